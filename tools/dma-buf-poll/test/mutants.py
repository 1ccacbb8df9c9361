#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Break the code on purpose, one line at a time, and see who notices.

mutants.py BASE [NAME|GLOB]...: all mutants of mutants.txt are built into one kernel,
each as an object of its own beside the original, and the command line says which
one of them is in charge. That takes one build for UML and one for the guest, not
two for each mutant. A mutant faces the KUnit suite under UML, natively. Those that
get through that face the KUnit suite and the kselftest in the guest, with more than
one CPU; but not those for which mutants.txt says why no test can notice, unless
ALL=1 asks for it: that takes minutes for each. The first test that fails has killed a
mutant. One on which everything passes has survived, and is named.

What is known stays in build/BASE/mutants and is not run again, until the code,
the mutant or a test changes; REDO=1 forgets it. Ends with N passed, N failed,
N skipped: a killed mutant has passed, one that survives with a reason in
mutants.txt is skipped.

Takes build/BASE/src, and builds kernels and tests when it needs them; make mutants
calls it.
"""

import fcntl
import fnmatch
import glob
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

HERE = os.path.dirname(os.path.realpath(__file__))
TOOLS = os.path.dirname(HERE)
TOP = os.path.realpath(os.path.join(TOOLS, "../.."))
DIR = "drivers/dma-buf"
# What mutants.txt may change, and where it is declared what others call there
HEADERS = {DIR + "/dma-buf-poll.c": DIR + "/dma-buf-poll.h",
           DIR + "/dma-resv.c": "include/linux/dma-resv.h"}

sys.path[:0] = [TOOLS, os.path.join(TOOLS, "vm")]
import arches  # noqa: E402
import guest  # noqa: E402
import ktap  # noqa: E402

SWITCH = """// SPDX-License-Identifier: GPL-2.0
/* Made by mutants.py: takes the number of a mutant from the command line. */

#include <linux/cache.h>
#include <linux/init.h>
#include <linux/kernel.h>

unsigned int dma_buf_poll_mutant __ro_after_init;

static const unsigned int mutants[] = {{ {numbers} }};

static int __init mutant_setup(char *number)
{{
	unsigned int i;

	if (kstrtouint(number, 10, &dma_buf_poll_mutant))
		panic("dma_buf_poll_mutant: not a number");
	for (i = 0; i < ARRAY_SIZE(mutants); i++)
		if (mutants[i] == dma_buf_poll_mutant)
			break;
	if (i == ARRAY_SIZE(mutants))
		panic("dma_buf_poll_mutant: there is no such mutant");
	pr_warn("dma-buf-poll: mutant %u\\n", dma_buf_poll_mutant);

	return 0;
}}
early_param("dma_buf_poll_mutant", mutant_setup);
"""

DISPATCHER = """// SPDX-License-Identifier: GPL-2.0
/* Made by mutants.py: hands each call to the mutant on the command line. */

#include <linux/kernel.h>
#include <linux/dma-buf.h>
#include <linux/dma-resv.h>
#include <linux/export.h>
#include <linux/poll.h>

#include "dma-buf-poll.h"

extern unsigned int dma_buf_poll_mutant;

{declarations}
static const struct mutant {{
{members}}} mutants[] = {{
{table}}};

/* The original, if the mutant is one of another file */
static const struct mutant *mutant(void)
{{
	if (dma_buf_poll_mutant < ARRAY_SIZE(mutants) && mutants[dma_buf_poll_mutant].{first})
		return &mutants[dma_buf_poll_mutant];

	return &mutants[0];
}}

{functions}"""


def die(text):
    sys.exit(f"error: {text}")


def say(text):
    print(text, file=sys.stderr, flush=True)


class Mutant:
    """One entry of mutants.txt."""

    def __init__(self, name, path):
        self.name = name
        self.path = path
        self.parts = {"-": [], "+": [], "!": []}
        self.number = 0
        self.text = ""
        self.key = ""
        self.killer = None

    def apply(self, original):
        """The whole file with this one thing changed, or None"""
        before = "\n".join(self.parts["-"]) + "\n"
        if not self.parts["-"] or original.count(before) != 1:
            return None
        after = "\n".join(self.parts["+"]) + "\n" if self.parts["+"] else ""
        return original.replace(before, after)


def load():
    """The mutants, in order"""
    found = {}
    mutant = None
    path = next(iter(HEADERS))
    with open(os.path.join(HERE, "mutants.txt"), encoding="utf-8") as source:
        for number, line in enumerate(source, 1):
            line = line.rstrip("\n")
            if line.startswith("@@ "):
                path, mutant = line[3:], None
                if path not in HEADERS:
                    die(f"mutants.txt:{number}: not a file that can be changed: {path}")
            elif line.startswith("== "):
                mutant = Mutant(line[3:], path)
                if mutant.name in found:
                    die(f"mutants.txt:{number}: there is a '{mutant.name}' already")
                found[mutant.name] = mutant
            elif line[:1] in ("-", "+", "!") and mutant:
                mutant.parts[line[0]].append(line[1:])
            elif line and not line.startswith("#"):
                die(f"mutants.txt:{number}: neither -, + nor !: {line}")
    return list(found.values())


def digest(*texts):
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]


def read(*path):
    with open(os.path.join(*path), encoding="utf-8") as source:
        return source.read()


def write(text, *path):
    # Not into what may be a hard link to the file of another tree
    if os.path.exists(os.path.join(*path)):
        os.unlink(os.path.join(*path))
    with open(os.path.join(*path), "w", encoding="utf-8") as target:
        target.write(text)


def prototypes(header):
    """What the rest of the kernel calls: (type, name, parameters, arguments)"""
    found = []
    for kind, name, params in re.findall(r"^((?:struct )?\w+ \**)(\w+)\(([^()]*)\);$", header, re.M):
        args = [re.search(r"(\w+)$", param).group(1) for param in params.split(",")]
        found.append((kind, name, re.sub(r"\s+", " ", params), ", ".join(args)))
    if not found:
        die("a header declares nothing that could be replaced")
    return found


def certain(header):
    """The header without what depends on the configuration"""
    kept, depth = [], 0
    for line in header.splitlines(keepends=True):
        depth += line.startswith("#if")
        # The first one is its own guard.
        if depth < 2:
            kept.append(line)
        depth -= line.startswith("#endif")
    return "".join(kept)


def exports(text):
    return re.findall(r"^EXPORT_SYMBOL\w*\((\w+)[^)]*\);\n", text, re.M)


def dispatcher(original, header, numbers):
    """The C file that stands in for the original one"""
    declared, members, functions = [], [], []
    protos = prototypes(certain(header))
    exported = exports(original)
    for kind, name, params, args in protos:
        members.append(f"\t{kind}(*{name})({params});\n")
        # Weak: the header may declare what the configuration leaves out.
        declared += [f"{kind}{name}_m{n}({params}) __weak;\n" for n in numbers]
        value = "" if kind == "void " else "return "
        functions.append(f"{kind}{name}({params})\n{{\n\t{value}mutant()->{name}({args});\n}}\n"
                         + (f"EXPORT_SYMBOL_GPL({name});\n" if name in exported else ""))
    rows = [f"\t[{n}] = {{ " + ", ".join(f".{p[1]} = {p[1]}_m{n}" for p in protos) + " },\n"
            for n in numbers]
    return DISPATCHER.format(first=protos[0][1], declarations="".join(declared), members="".join(members),
                             table="".join(rows), functions="\n".join(functions))


def renamed(text, header, number):
    """The file with a suffix to each function that others call"""
    # What the dispatcher does not have stays with the original.
    protos = prototypes(header if number else certain(header))
    more = "\n" + "".join(f"#define {p[1]} {p[1]}_m{number}\n" for p in protos)
    more += "".join(f"{kind}{name}({params});\n" for kind, name, params, _ in protos)
    names = [p[1] for p in protos]
    text = re.sub(r"^EXPORT_SYMBOL\w*\((\w+)[^)]*\);\n",
                  lambda found: "" if number or found.group(1) in names else found.group(0),
                  text, flags=re.M)
    if number:
        # The tracepoints are those of the original, and so is the class of the lock.
        text = re.sub(r"^(#define CREATE_TRACE_POINTS|DEFINE_WD_CLASS\(.*\);)\n", "", text, flags=re.M)
    end = [found.end() for found in re.finditer(r"^#include .*\n", text, re.M)][-1]
    return text[:end] + more + text[end:]


class Bench:
    """The kernels that hold all mutants, and the ways to run one of them."""

    def __init__(self, base):
        self.base = base
        self.out = os.path.join(TOP, "build", base)
        # A tree of its own to break; the objects are just below it, see variant_obj.
        self.src = os.path.join(self.out, "mutant", "src")
        self.dir = os.path.join(self.out, "mutants")
        os.makedirs(self.dir, exist_ok=True)
        cache = os.path.join(os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache")),
                             "dma-buf-poll")
        self.env = dict(os.environ, CCACHE_DIR=os.path.join(cache, "ccache"),
                        CCACHE_BASEDIR=self.src, CCACHE_NOHASHDIR="1",
                        KBUILD_BUILD_TIMESTAMP="@0", KBUILD_BUILD_USER="dma-buf-poll",
                        KBUILD_BUILD_HOST="guest")
        self.limit = {"uml": 600.0, "guest": 1800.0}
        self.running = set()
        self.lock = threading.Lock()
        self.over = False

    def make(self, obj, mutants, *what):
        """Build in an object tree, and name those that do not"""
        log = os.path.join(self.dir, f"built-{os.path.basename(obj)}.log")
        with open(log, "w", encoding="utf-8") as target:
            status = subprocess.run(
                ["nice", "make", "-C", self.src, f"O={obj}", "CC=ccache gcc",
                 f"-j{(os.cpu_count() or 1) + 1}", *what],
                env=self.env, stdin=subprocess.DEVNULL, stdout=target,
                stderr=subprocess.STDOUT, check=False).returncode
        if status:
            lines = read(log).splitlines()
            line = next((l for l in lines if "error" in l or "undefined" in l), lines[-1])
            number = re.search(r"-m(\d+)\.c", line)
            names = [m.name for m in mutants if number and m.number == int(number.group(1))]
            die(f"{names[0] if names else 'the kernel with the mutants'}: does not build: "
                f"{line} (see {log})")

    def build(self, originals, mutants, name, origin, *what):
        """All of them into one kernel, in the object tree of that name, from a copy of that"""
        key = digest(*originals.values(), *(m.text for m in mutants), read(self.out, "tree.stamp"),
                     json.dumps([m.number for m in mutants]))
        # make cannot tell: the sources are put back once it has compiled them.
        stamp = os.path.join(self.dir, "built-" + name)
        obj = os.path.join(self.src, name)
        if os.path.exists(stamp) and read(stamp) == key and os.path.isdir(obj):
            return
        if os.path.exists(stamp):
            os.unlink(stamp)
        say(f"building {len(mutants)} mutants into one kernel: {os.path.relpath(obj, TOP)}")
        if not os.path.isdir(obj):
            shutil.rmtree(obj + ".part", ignore_errors=True)
            subprocess.run(["cp", "-a", os.path.join(self.out, "src", origin), obj + ".part"],
                           check=True)
            os.rename(obj + ".part", obj)

        makefile = read(self.src, DIR, "Makefile")
        try:
            numbers = [0] + [m.number for m in mutants]
            write(SWITCH.format(numbers=", ".join(map(str, numbers))), self.src, DIR, "dma-buf-poll-mutant.c")
            more = "obj-y += dma-buf-poll-mutant.o\n"
            for path, original in originals.items():
                stem = os.path.basename(path).removesuffix(".c")
                header = read(self.src, HEADERS[path])
                texts = {0: original} | {m.number: m.text for m in mutants if m.path == path}
                for number, text in texts.items():
                    name = f"{stem}-m{number}"
                    write(renamed(text, header, number), self.src, DIR, name + ".c")
                    more += f"obj-y += {name}.o\n"
                    more += f"CFLAGS_{name}.o := $(CFLAGS_{stem}.o)\n"
                write(dispatcher(original, header, list(texts)), self.src, path)
            write(makefile + more, self.src, DIR, "Makefile")
            self.make(obj, mutants, *what)
        finally:
            restore(self.src)
        write(key, stamp)

    def start(self, *args, **kwargs):
        """A process group that stop() knows of"""
        with self.lock:
            if self.over:
                raise KeyboardInterrupt
            # pylint: disable-next=consider-using-with
            ran = subprocess.Popen(*args, stdin=subprocess.DEVNULL, start_new_session=True,
                                   text=True, errors="replace", **kwargs)
            self.running.add(ran)
        return ran

    def end(self, ran):
        with self.lock:
            try:
                os.killpg(ran.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self.running.discard(ran)
        ran.wait()

    def stop(self):
        with self.lock:
            self.over = True
            left = list(self.running)
        for ran in left:
            self.end(ran)

    def by_kunit(self, number):
        """Who notices under UML: a name, or nothing"""
        linux = os.path.join(self.src, "obj-kunit", "linux")
        started = time.monotonic()
        ran = self.start([linux, "mem=512M", "console=tty", "kunit_shutdown=halt",
                          "kunit.enable=1", "kunit.filter_glob=dma-buf-poll*",
                          f"dma_buf_poll_mutant={number}"],
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        late = threading.Timer(self.limit["uml"], self.end, [ran])
        late.start()
        said, named, suite, ended, last = "", False, False, False, ""
        with open(os.path.join(self.dir, f"uml-{number}.log"), "w", encoding="utf-8") as log:
            try:
                for line in ran.stdout:
                    log.write(line)
                    line = re.sub(r"^\[ *[0-9.]+\] ?", "", line.rstrip("\r\n"))
                    named |= line.endswith(f"dma-buf-poll: mutant {number}")
                    failed = re.match(r" {4}not ok \d+ (?:- )?(\w+)", line)
                    if failed:
                        said = f"{failed.group(1)} (KUnit)"
                        break
                    # Only once the tests run: UML has a warning of its own.
                    if suite and guest.BAD.search(line):
                        said = f"{line.strip()[:80]} (KUnit)"
                        break
                    suite |= "Subtest: dma-buf-poll" in line
                    # The last one: what is mailed comes before what only proves things.
                    ended = re.match(r"ok \d+ dma-buf-poll-proof", line) is not None
                    if ended:
                        break
                    last = line.strip() or last
            finally:
                late.cancel()
                self.end(ran)
        if self.over:
            # We ended it: nobody has noticed anything.
            raise KeyboardInterrupt
        if not named:
            die(f"the kernel for UML does not know of mutant {number}: {last}")
        if not said and not ended:
            took = time.monotonic() - started
            said = ("a hang" if took >= self.limit["uml"] else "the end of the kernel") + \
                f" after {last[:80]} (KUnit)"
        if not number:
            self.limit["uml"] = 60 + 5 * (time.monotonic() - started)
        return said

    def by_kselftest(self, number):
        """Who notices in the guest"""
        install = os.path.join(self.out, "kselftest")
        tests = re.findall(r"^dma-buf:(\S+)", read(install, "kselftest-list.txt"), re.M)
        obj = os.path.join(self.src, "obj")
        modules = [m for m in ("st-dma-buf-poll.ko", "dmabuf_kunit.ko", "st-dma-buf-poll-proof.ko")
                   if os.path.exists(os.path.join(obj, DIR, m))]
        job = f"dmesg | grep -q 'dma-buf-poll: mutant {number}$' || {{ echo 'no mutant'; exit 1; }}\n"
        for module in modules:
            job += f"insmod /{module} || exit 1\n"
        job += ("for r in /sys/kernel/debug/kunit/*/results; do [ -f $r ] || continue\n"
                "sed -n 's/^    \\(ok\\|not ok\\)/\\1/p' $r; done\n"
                "cd /kselftest/dma-buf\n" + "".join(
                    # What dies without a word has noticed as well.
                    f"./{test} || [ $? = 4 ] || echo 'not ok 1 {test}'\n" for test in tests))
        out = os.path.join(self.dir, f"guest-{number}")
        command = [os.environ.get("VM") or os.path.join(TOOLS, "vm/guest.py"), "--first-failure", "--kernel",
                   os.path.join(obj, arches.of()["image"]), "--out", out,
                   "--timeout", str(self.limit["guest"]), "--stall", "120",
                   "--append", f"dma_buf_poll_mutant={number}", "--file", install + ":kselftest"]
        for module in modules:
            command += ["--file", os.path.join(obj, DIR, module) + ":" + module]
        started = time.monotonic()
        ran = self.start(command + [job], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            stdout, stderr = ran.communicate()
        finally:
            self.end(ran)
        if os.path.exists(out + ".cpio.gz"):
            os.unlink(out + ".cpio.gz")
        if "no mutant" in stdout:
            die(f"the kernel of the guest does not know of mutant {number}")
        first = re.search(r"^not ok \d+ (?:- )?(\S+)", stdout, re.M)
        if first:
            return first.group(1) + " (guest)"
        if ran.returncode:
            line = (stderr.strip().splitlines() or ["an unknown end"])[-1]
            if ran.returncode in (guest.NO_INIT, guest.NO_HOST):
                die(line.removeprefix("error: "))
            return line.removeprefix("error: ").split(" (see ")[0] + " (guest)"
        if not number:
            self.limit["guest"] = 120 + 4 * (time.monotonic() - started)
        return ""


def lock(base):
    """As in lib.sh: nobody else works on this base while we do, we and ours"""
    name = "DBP_LOCK_" + re.sub(r"[^A-Za-z0-9]", "_", base)
    os.makedirs(os.path.join(TOP, "build"), exist_ok=True)
    # pylint: disable-next=consider-using-with
    held = open(os.path.join(TOP, "build", ".lock-" + base), "w", encoding="utf-8")
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say(f"waiting for another make that works on {base}")
        fcntl.flock(held, fcntl.LOCK_EX)
    os.environ[name] = "1"
    return held, name


def unlock(held, name):
    del os.environ[name]
    held.close()


def restore(src):
    """Take back what building leaves in the tree, and nothing else"""
    if not os.path.isdir(src):
        return
    for name in os.listdir(os.path.join(src, DIR)):
        if re.fullmatch(r".*-m(\d+|utant)\.c", name):
            os.unlink(os.path.join(src, DIR, name))
    subprocess.run(["git", "-C", src, "checkout", "-q", "--", *HEADERS, DIR + "/Makefile"], check=True)


def call(script, *args):
    """A script of ours, which says by itself why it fails"""
    if subprocess.run([os.path.join(TOOLS, script), *args], stdout=subprocess.DEVNULL,
                      check=False).returncode:
        sys.exit(1)


def prepare(base):
    """A kernel for UML to begin with, and the tree to break"""
    if not os.path.exists(os.path.join(TOP, "build", base, "src/obj-kunit/linux")):
        call("test/kunit.sh", base)
    src = os.path.join(TOP, "build", base, "src")
    if subprocess.run(["git", "-C", src, "diff", "--quiet", "HEAD"], check=False).returncode:
        die(f"{base}: build/{base}/src has edits: commit them there, or take them back")
    # An earlier run may have been killed.
    restore(os.path.join(TOP, "build", base, "mutant/src"))
    if subprocess.run(["bash", "-c", '. "$0/lib.sh"; need_tree "$1"; tree_at "$1" mutant series', TOOLS, base],
                      check=False).returncode:
        sys.exit(1)


def choose(wanted):
    mutants = load()
    for name in wanted:
        if not any(chosen(m, [name]) for m in mutants):
            die(f"no mutant '{name}' in mutants.txt")
    for number, mutant in enumerate(mutants, 1):
        mutant.number = number
    return mutants


def chosen(mutant, wanted):
    return not wanted or any(fnmatch.fnmatchcase(mutant.name, name) for name in wanted)


class Results:
    """What is known from before, by what it depends on"""

    def __init__(self, bench):
        self.path = os.path.join(bench.dir, "results.json")
        self.known = {}
        self.lock = threading.Lock()
        if os.environ.get("REDO") != "1" and os.path.exists(self.path):
            with open(self.path, encoding="utf-8") as source:
                self.known = json.load(source)

    def save(self, key, killer):
        with self.lock:
            self.known[key] = killer
            # A machine that was busy with other things is no reason for ever.
            kept = {key: killer for key, killer in self.known.items()
                    if not re.search(r"a hang|hung|lockup|rcu: INFO", killer)}
            write(json.dumps(kept, indent=1, sort_keys=True), self.path + ".new")
            os.replace(self.path + ".new", self.path)


def control(said):
    """What fails on the code as it is says nothing about a mutant"""
    if said:
        die(f"the tests fail on the code as it is: {said}")


def hunt(bench, results, todo, into_guest):
    """Who kills each of them, and how far we are"""
    done = 0

    def tell(mutant):
        nonlocal done
        done += 1
        say(f"  {done}/{len(todo)} {mutant.name}: "
            + (f"killed by {mutant.killer}" if mutant.killer else "survived"))

    def under_uml(mutant):
        mutant.killer = bench.by_kunit(mutant.number)
        if mutant.killer:
            results.save(mutant.key, mutant.killer)
            tell(mutant)

    say("under UML, the code as it is first")
    # This also tells how long a run may take.
    control(bench.by_kunit(0))
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        try:
            for _ in pool.map(under_uml, todo):
                pass
        except BaseException:
            bench.stop()
            raise
    left = [mutant for mutant in todo if not mutant.killer]
    if os.environ.get("ALL") != "1":
        for mutant in left:
            if mutant.parts["!"]:
                tell(mutant)
        left = [mutant for mutant in left if not mutant.parts["!"]]
    if not left:
        return
    into_guest()
    say(f"in the guest, the code as it is first: {', '.join(m.name for m in left)}")
    control(bench.by_kselftest(0))
    for mutant in left:
        mutant.killer = bench.by_kselftest(mutant.number)
        results.save(mutant.key, mutant.killer)
        tell(mutant)


def main():
    arches.own_only("mutants")
    if len(sys.argv) < 2:
        sys.exit("usage: mutants.py BASE [NAME]...")
    base, wanted = sys.argv[1], sys.argv[2:]
    if base not in re.findall(r"^([^#\s]+)", read(TOOLS, "tree/bases"), re.M):
        die(f"unknown BASE '{base}'")
    if base == "5.10":
        die("5.10: the series has no dma-buf-poll.c there")
    mutants = choose(wanted)
    if os.environ.get("ARGS_ONLY"):
        sys.exit(0)
    held = lock(base)
    prepare(base)
    bench = Bench(base)
    originals = {path: read(bench.src, path) for path in HEADERS}
    selftests = os.path.join(TOOLS, "proof")
    tests = digest(*originals.values(), read(bench.src, DIR, "st-dma-buf-poll.c"),
                   *(read(name) for name in sorted(glob.glob(selftests + "/*.[ch]") +
                                                   glob.glob(selftests + "/kunit/*-proof*.[ch]"))))

    fitting = []
    for mutant in mutants:
        mutant.text = mutant.apply(originals[mutant.path])
        if mutant.text is not None:
            fitting.append(mutant)
            mutant.key = digest(tests, mutant.text)
    results = Results(bench)
    todo = [m for m in fitting if m.key not in results.known
            and chosen(m, wanted)]

    def into_guest():
        held = lock(base)
        call("kernel/kernel.sh", base, "rework")
        call("test/kselftest.sh", base)
        for path, original in originals.items():
            if read(bench.src, path) != original:
                die(f"{path} has changed meanwhile: run this again")
        bench.build(originals, fitting, "obj", "obj", os.path.basename(arches.of()["image"]), "modules")
        unlock(*held)

    if todo:
        bench.build(originals, fitting, "obj-kunit", "obj-kunit", "ARCH=um", "linux")
        # What runs from here on is nobody else's.
        unlock(*held)
        hunt(bench, results, todo, into_guest)
    else:
        unlock(*held)

    tally = ktap.Tally()
    for mutant in mutants:
        if not chosen(mutant, wanted):
            continue
        excuse = " ".join(part.strip() for part in mutant.parts["!"])
        if mutant.text is None:
            tally.tell("fail", f"{mutant.name}: what it changes does not stand just once in {mutant.path}")
        elif results.known.get(mutant.key):
            tally.tell("pass", f"{mutant.name}: killed by {results.known[mutant.key]}")
        elif excuse:
            tally.tell("skip", mutant.name, f"survives: {excuse}")
        else:
            tally.tell("fail", f"{mutant.name}: survived")
    sys.exit(tally.end() or not tally.count["pass"])


if __name__ == "__main__":
    main()
