#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Boot a kernel, run one job in it, and tell truthfully how that ended.

The job is a shell script, a file or a few words; it and the files it needs travel in
an initramfs.
What the job prints is copied to stdout as it comes. The exit status is

  0  the job ran and ended with status 0
  1  the job ended with another status
  2  the kernel's log holds a line that no kernel should print
  3  the kernel panicked
  4  the guest hung: the job did not end in time
  5  the guest never reached init, tried three times
  6  the host lacks something

and anything but 0 and 1 comes with one line on stderr that says what. KVM=1 in the
environment boots with /dev/kvm where no --accel is given, else the guest is emulated.
The guest is of this machine's architecture; of another one with --arch, and then
--busybox says which one runs there. ../kernel/arches has what QEMU needs to know.

VM=PROGRAM has another program do this. It gets the same arguments, see --help, and
owes the same: vm/init as the first process, or what does the same; OUT.results with
what the job printed, which is copied to stdout; OUT.console with the kernel's log, the
lines "guest: init" and "guest: exit STATUS" included; and the exit status. --qemu,
--virgl and --progress it may pass over.

Everything that boots a kernel calls it.
"""

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
import arches  # noqa: E402

OK, FAILED, DIRTY, PANIC, HUNG, NO_INIT, NO_HOST = range(7)

# A line of these in the log fails a run, whatever the tests said.
BAD = re.compile(
    r"BUG:|WARNING:|Oops|kernel BUG at|general protection fault|"
    r"Unable to handle|KASAN|KCSAN|UBSAN|refcount_t:|"
    r"possible (?:circular|recursive|irq) lock|inconsistent lock state|"
    r"suspicious RCU usage|possible deadlock|bad unlock balance|"
    r"INFO: (?:task .* blocked|rcu|possible|trying|inconsistent)|"
    r"rcu: INFO:|soft lockup|hard LOCKUP|list_(?:add|del) corruption|"
    r"ODEBUG|sleeping function called|scheduling while atomic|"
    r"guest-kmemleak: unreferenced|released with pending signals"
)
# But for this one, which every kernel has in store for whoever takes the driver
# from a virtio-gpu that still has a buffer: the buffer is leaked then.
KNOWN = re.compile(r"WARNING: .*\bdrm_mm_takedown\b")
PANIC_LINE = re.compile(r"Kernel panic - not syncing: (.*)")
CAUSE = re.compile(r"(kernel BUG at .*?!|BUG: .*|Oops: .*)")


def die(status, text):
    print(f"error: {text}", file=sys.stderr, flush=True)
    sys.exit(status)


def say(text):
    print(text, file=sys.stderr, flush=True)


def initramfs(path, job, files, shell, busybox=None):
    """Make an initramfs of busybox, our init, the job and the files."""
    busybox = busybox or shutil.which("busybox", path="/bin:/usr/bin:/sbin:/usr/sbin")
    if not busybox:
        die(NO_HOST, "no busybox here: apt-get install busybox-static")
    if not os.path.exists(busybox):
        die(NO_HOST, f"no busybox {busybox}")
    with tempfile.TemporaryDirectory(prefix="dbp-root-") as root:
        for name in ("bin", "dev", "proc", "sys", "tmp"):
            os.mkdir(os.path.join(root, name))
        shutil.copy2(busybox, os.path.join(root, "bin/busybox"))
        shutil.copy2(os.path.join(HERE, "init"), os.path.join(root, "init"))
        os.chmod(os.path.join(root, "init"), 0o755)
        if shell:
            open(os.path.join(root, "shell"), "w", encoding="utf-8").close()
        with open(os.path.join(root, "job"), "w", encoding="utf-8") as out:
            out.write(job)
        for spec in files:
            source, _, target = spec.partition(":")
            if not os.path.exists(source):
                die(NO_HOST, f"no such file for the guest: {source}")
            target = os.path.join(root, target or os.path.basename(source))
            os.makedirs(os.path.dirname(target), exist_ok=True)
            if os.path.isdir(source):
                shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)
            else:
                shutil.copy2(source, target)
        made = subprocess.run(
            "find . -print0 | LC_ALL=C sort -z | cpio -0 -o -H newc --quiet | gzip -1",
            shell=True, cwd=root, stdout=subprocess.PIPE, check=False)
        if made.returncode or not made.stdout:
            die(NO_HOST, "could not make the initramfs: is cpio installed, is the disk full?")
        with open(path, "wb") as out:
            out.write(made.stdout)


def command_line(arch):
    """What any kernel of this architecture is to be told"""
    table = arches.TABLE[arch]
    words = [f"console={table['console']}", "panic=-1 oops=panic", table.get("append", ""), "loglevel=4"]
    return " ".join(filter(None, words))


def qemu_command(args, ramdisk, results):
    """The command line of QEMU; results is where the second serial line goes."""
    arch = arches.TABLE[args.arch]
    accel = {
        "tcg": ["-accel", "tcg,thread=multi", "-smp", str(args.smp)],
        "icount": ["-accel", "tcg,thread=single", "-smp", "1",
                   "-icount", "shift=0,sleep=off"],
        "kvm": ["-accel", "kvm", "-cpu", "host", "-smp", str(args.smp)],
    }[args.accel]
    if args.accel != "kvm" and "cpu" in arch:
        accel += ["-cpu", arch["cpu"]]
    line, _, device = arch["results"].partition(" ")
    append = command_line(args.arch) + " " + args.append
    if args.accel == "tcg":
        append += " " + arch.get("emulated", "")
    # For init; its own choice is what it was before others came.
    if line != "ttyS1":
        append += f" results={line}"
    if args.shell:
        append += " quiet"
    # 3D needs no GPU of the host's: it is rendered by llvmpipe.
    display = ("egl-headless,rendernode=/dev/null", "virtio-gpu-gl-pci") if args.virgl \
        else ("none", "virtio-gpu-pci")
    return [arch["qemu"], *arch.get("board", "").split(), *accel, "-m", args.memory,
            "-display", display[0], "-serial", "mon:stdio" if args.shell else "stdio",
            *[word.replace("FILE", results) for word in device.split()],
            "-no-reboot", "-nic", "none",
            "-kernel", args.kernel, "-initrd", ramdisk, "-append", append,
            "-device", display[1], *args.qemu]


class Killed(Exception):
    """QEMU was, by the signal that is the argument, and not by us."""


class FirstFailure(Exception):
    """A test has failed, and that is all the caller wants to know."""


class Follower(threading.Thread):
    """Copy a growing file to stdout, line by line."""

    def __init__(self, path):
        super().__init__(daemon=True)
        self.path = path
        self.over = threading.Event()
        self.tests = 0
        self.failed = False

    def run(self):
        with open(self.path, "rb") as source:
            rest = b""
            while True:
                last = self.over.is_set()
                data = source.read()
                if data:
                    rest += data
                    *lines, rest = rest.split(b"\n")
                    for line in lines:
                        self.tests += line.startswith((b"ok ", b"not ok "))
                        self.failed |= line.startswith(b"not ok ")
                        sys.stdout.write(line.rstrip(b"\r").decode("utf-8", "replace") + "\n")
                    sys.stdout.flush()
                elif last:
                    if rest:
                        print(rest.decode("utf-8", "replace"), flush=True)
                    return
                else:
                    time.sleep(0.1)


class Stalled(Exception):
    """The job has said nothing for too long."""


def boot(args, ramdisk, console, results):
    """One try. Returns True, or False if the guest never reached init."""
    open(results, "wb").close()
    with open(console, "wb") as log:
        with subprocess.Popen(qemu_command(args, ramdisk, results), stdin=subprocess.DEVNULL,
                              stdout=log, stderr=subprocess.STDOUT) as qemu:
            follower = Follower(results)
            follower.start()
            started = time.monotonic()
            alive = False
            told = 0.0
            heard, size = started, 0
            try:
                while qemu.poll() is None:
                    time.sleep(0.1)
                    spent = time.monotonic() - started
                    if args.progress and spent > told + 10:
                        told = spent
                        say(f"  {follower.tests} tests done")
                    if not alive:
                        with open(console, "rb") as seen:
                            text = seen.read()
                        alive = b"guest: init" in text
                        if not alive and spent > args.boot_timeout and b"Kernel panic" not in text:
                            return False
                    if args.first_failure and follower.failed:
                        raise FirstFailure
                    if spent > args.timeout:
                        raise TimeoutError
                    if not alive or os.path.getsize(results) != size:
                        heard, size = time.monotonic(), os.path.getsize(results)
                    if args.stall and time.monotonic() - heard > args.stall:
                        raise Stalled
            finally:
                if qemu.poll() is None:
                    qemu.kill()
                    qemu.wait()
                follower.over.set()
                follower.join()
            if qemu.returncode < 0:
                raise Killed(-qemu.returncode)
    return True


def without_foreign_races(lines, ours):
    """The log without the data races between functions which are not ours.

    A report of KCSAN goes from its title to a line of ===, and the title names
    the two functions that race, or the one that saw a value change. Those left
    out are listed: they are the base's, with us or without.
    """
    kept, foreign, skipping = [], {}, False
    for line in lines:
        title = re.search(r"BUG: KCSAN: .* in (.*)", line)
        if title:
            names = [side.split()[0].split("+")[0] for side in title.group(1).split(" / ")]
            skipping = not any(name in ours or name.split(".")[0] in ours for name in names)
            if skipping:
                foreign[" / ".join(names)] = foreign.get(" / ".join(names), 0) + 1
        elif skipping and "=====" in line:
            skipping = False
        # Other CPUs may print between the lines of a report.
        if not skipping or (BAD.search(line) and "KCSAN" not in line):
            kept.append(line)
    for names, times in sorted(foreign.items()):
        print(f"# KCSAN: neither side is in drivers/dma-buf, so not judged: {names} ({times} times)")
    return kept


def judge(console, results, ours=None):
    """What the log says of a guest that ended by itself."""
    with open(console, "r", encoding="utf-8", errors="replace") as log:
        lines = [line.rstrip() for line in log]
    if ours:
        lines = without_foreign_races(lines, ours)
    text = "\n".join(lines)
    panic = PANIC_LINE.search(text)
    if panic:
        cause = CAUSE.search(text)
        die(PANIC, f"the guest's kernel panicked: {cause.group(1) if cause else panic.group(1)} "
                   f"(see {console})")
    bad = next((line for line in lines if BAD.search(line) and not KNOWN.search(line)), None)
    if bad:
        die(DIRTY, f"the guest's log is not clean: {bad.strip()} (see {console})")
    ended = re.search(r"^guest: exit (\d+)$", text, re.M)
    if not ended:
        reason = lines[-1] if lines else "nothing at all"
        die(HUNG, f"the guest ended before its job did, its last line: {reason} (see {console})")
    return OK if ended.group(1) == "0" else FAILED


def tail(path):
    with open(path, "rb") as source:
        lines = [line for line in source.read().decode("utf-8", "replace").splitlines() if line.strip()]
    return lines[-1].strip() if lines else "none"


def choose_accel(args):
    """How to run the guest, if nobody has said so"""
    kvm = os.environ.get("KVM", "")
    if kvm not in ("", "0", "1"):
        die(NO_HOST, f"KVM={kvm} makes no sense: say KVM=1 or leave it out")
    args.accel = args.accel or ("kvm" if kvm == "1" else "tcg")
    if args.accel == "kvm":
        if args.arch != arches.OWN:
            die(NO_HOST, f"a guest of {args.arch} is emulated here: leave out KVM=1")
        try:
            os.close(os.open("/dev/kvm", os.O_RDWR))
        except OSError as error:
            die(NO_HOST, f"/dev/kvm does not work here, {error.strerror}: leave out KVM=1")


def read_job(args):
    """The shell script that the guest is to run, its variables first"""
    job = args.commands
    if args.job:
        try:
            with open(args.job, encoding="utf-8") as source:
                job = source.read()
        except OSError as error:
            die(NO_HOST, f"no job {args.job}: {error.strerror}")
    for variable in reversed(args.set if job else ()):
        name, _, value = variable.partition("=")
        job = f"export {name}={shlex.quote(value)}\n{job}"
    return job


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    # Its own status is 2, which is said of logs here.
    parser.error = lambda text: die(NO_HOST, text)
    parser.add_argument("--kernel", required=True)
    parser.add_argument("--out", required=True, help="prefix of the logs: OUT.console, OUT.results")
    parser.add_argument("--file", action="append", default=[], metavar="HOST[:GUEST]")
    parser.add_argument("--job", metavar="SCRIPT", help="the job, if it is a file")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE",
                        help="a variable of the job's environment")
    parser.add_argument("--accel", choices=("tcg", "icount", "kvm"))
    parser.add_argument("--arch", default=arches.OWN, choices=arches.GUESTS)
    parser.add_argument("--busybox", metavar="FILE", help="one for that architecture")
    parser.add_argument("--smp", type=int, default=2)
    parser.add_argument("--memory", default="1G")
    parser.add_argument("--append", default="")
    parser.add_argument("--timeout", type=float, default=300)
    parser.add_argument("--boot-timeout", type=float, default=60)
    parser.add_argument("--stall", type=float, default=0,
                        help="give up when the job has said nothing for so long")
    parser.add_argument("--qemu", action="append", default=[], help="one more argument for QEMU")
    parser.add_argument("--virgl", action="store_true", help="a virtio-gpu with 3D")
    parser.add_argument("--progress", action="store_true", help="count tests on stderr")
    parser.add_argument("--first-failure", action="store_true",
                        help="stop at the first test that fails")
    parser.add_argument("--kcsan-ours", metavar="FILE",
                        help="judge data races only of the functions named there")
    parser.add_argument("--shell", action="store_true", help="an interactive guest, no job")
    parser.add_argument("commands", nargs="?", default="", help="the job, if it is short")
    args = parser.parse_args()

    arch = arches.of(args.arch)
    if not shutil.which(arch["qemu"]):
        die(NO_HOST, f"no QEMU here for {args.arch}, {arch['qemu']}: apt-get install {arch['emulator'].split()[0]}")
    if args.arch != arches.OWN and not args.busybox:
        die(NO_HOST, f"a guest of {args.arch} needs --busybox, one for it")
    ours = None
    if args.kcsan_ours:
        with open(args.kcsan_ours, encoding="utf-8") as names:
            ours = set(names.read().split())
        if not ours:
            die(NO_HOST, f"no function in {args.kcsan_ours}")
    choose_accel(args)
    job = read_job(args)
    if not os.path.isfile(args.kernel):
        die(NO_HOST, f"no kernel {args.kernel}")
    if not args.shell and not job:
        die(NO_HOST, "no job for the guest")
    if not (args.timeout > 0 and args.boot_timeout > 0 and args.stall >= 0 and args.smp > 0):
        die(NO_HOST, "time-outs and the number of CPUs must be more than 0")

    os.makedirs(os.path.dirname(os.path.abspath(args.out)), exist_ok=True)
    console, results = args.out + ".console", args.out + ".results"
    ramdisk = args.out + ".cpio.gz"
    initramfs(ramdisk, job, args.file, args.shell, args.busybox)

    if args.shell:
        open(results, "wb").close()
        return subprocess.run(qemu_command(args, ramdisk, results), check=False).returncode

    for attempt in range(3):
        try:
            if boot(args, ramdisk, console, results):
                return judge(console, results, ours)
        except FirstFailure:
            return FAILED
        except Killed as killed:
            die(NO_HOST, f"QEMU was killed by signal {killed}, is the memory full? The guest's last "
                         f"output: {tail(results)} (see {console})")
        except Stalled:
            die(HUNG, f"the guest hung: nothing said for {args.stall:g} s, its last output: "
                      f"{tail(results)} (see {console})")
        except TimeoutError:
            die(HUNG, f"the guest hung: not done after {args.timeout:g} s, its last output: "
                      f"{tail(results)} (see {console})")
        if attempt < 2:
            say(f"warning: the guest did not reach init in {args.boot_timeout:g} s "
                f"(attempt {attempt + 1} of 3), trying again")
    die(NO_INIT, f"the guest never reached init in three attempts, its last line: "
                 f"{tail(console)} (see {console})")
    return NO_INIT


if __name__ == "__main__":
    sys.exit(main())
