#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Does polling an idle buffer write to memory that other CPUs read?

idle_stores.py BASE VARIANT --kernel IMAGE...: what stands after VARIANT is for
../vm/guest.py. 8 threads poll one idle buffer on 4 CPUs of a guest whose
QEMU logs each block of instructions it runs in the code of poll. Prints how many there
are, which write to memory other than the stack, and which functions they call: with
neither, no thread waits for a cache line of another one. What poll(2) itself does, such
as to take a reference on the file, is not in it; the iterator of dma-resv, which is on
the stack, is.

Called by bench.sh; kernel and tests have been built.
"""

import os
import re
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), ".."))
import arches  # noqa: E402

HERE = os.path.dirname(os.path.realpath(__file__))
TOP = os.path.realpath(os.path.join(HERE, "../../.."))
# What poll consists of, in any variant
OURS = re.compile(r"^(dma_buf_poll\w*|dma_resv_(find|get)_unsignaled|dma_resv_iter\w*)(\.\w+)*$")
# The last operand is where the result goes, but for those that have none.
READS = re.compile(r"^(cmp(?!xchg)|test|lea|nop|j|call|ret|bt[lqw]?$|prefetch|endbr)")
# Without frame pointers %rbp is a register like others.
STACK = "(%rsp"
# Of arm and arm64: what stores, and LSE's atomic instructions
STORES = re.compile(r"^(st|push|cas|swp|ld(add|clr|eor|set|[su]max|[su]min))")
ENDS = {"x86_64": r"j|call|ret|(bnd|notrack) ", "arm64": r"b|cb|tb|ret|eret"}
CALLS = {"x86_64": r"^call\s+.*<([^+>]*)", "arm64": r"^bl\s+.*<([^+>]*)"}
CROSS = "" if arches.ARCH == arches.OWN else arches.of()["cross"]


def die(text):
    sys.exit(f"error: {text}")


def code(vmlinux):
    """Of the functions of poll: address -> instruction, and the ranges"""
    listed = subprocess.run([CROSS + "nm", "-S", vmlinux], capture_output=True, text=True, check=True).stdout
    ranges = []
    for line in listed.splitlines():
        cells = line.split()
        if len(cells) == 4 and cells[2] in "tT" and OURS.match(cells[3]):
            ranges.append((int(cells[0], 16), int(cells[1], 16)))
    if not ranges:
        die(f"no function of poll in {vmlinux}")
    found = {}
    for start, size in ranges:
        text = subprocess.run([CROSS + "objdump", "-d", "--no-show-raw-insn", f"--start-address={start}",
                               f"--stop-address={start + size}", vmlinux],
                              capture_output=True, text=True, check=True).stdout
        for match in re.finditer(r"^([0-9a-f]+):\t(.*)$", text, re.M):
            found[int(match.group(1), 16)] = match.group(2).strip()
    return found, ranges


def writes(text):
    """Does this instruction write to memory, other than the stack?"""
    if arches.ARCH != "x86_64":
        return bool(STORES.match(text)) and "[sp" not in text
    text = re.sub(r"\s*<.*>|\s*#.*", "", text)
    if text.startswith("lock "):
        text = text[5:]
    name, _, operands = text.partition(" ")
    if READS.match(name):
        return False
    operands = operands.rstrip()
    return operands.endswith(")") and not operands[operands.rindex("("):].startswith(STACK)


def blocks(found, starts):
    """The instructions of the blocks that begin there: each ends with a branch"""
    ran = set()
    addresses = sorted(found)
    for start in starts:
        if start not in found:
            continue
        for address in addresses[addresses.index(start):]:
            ran.add(address)
            if re.match(ENDS[arches.ARCH], found[address]):
                break
    return ran


def main():
    base, variant = sys.argv[1:3]
    if arches.ARCH not in ENDS:
        die(f"the code of {arches.ARCH} cannot be read here")
    suffix = arches.suffix()
    build = os.path.join(TOP, "build", base)
    source = os.path.join(build, "src" if variant == "rework" else f"{variant}/src")
    found, ranges = code(os.path.join(source, f"obj{suffix}/vmlinux"))
    begun = {}

    with tempfile.TemporaryDirectory(prefix="dbp-trace-") as where:
        fifo = os.path.join(where, "trace")
        os.mkfifo(fifo)
        # So that the log does not end with a guest that guest.py boots once more
        held = os.open(fifo, os.O_RDWR)

        def read():
            with open(fifo, encoding="utf-8", errors="replace") as log:
                for line in log:
                    match = re.search(r"\[[0-9a-f]+/([0-9a-f]+)/", line)
                    if match:
                        address = int(match.group(1), 16)
                        begun[address] = begun.get(address, 0) + 1

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        options = ["-d", "exec,nochain", "-D", fifo, "-dfilter",
                   ",".join(f"0x{start:x}+0x{size:x}" for start, size in ranges)]
        out = os.path.join(build, "log", f"idle-stores-{variant}{suffix}")
        status = subprocess.run([os.path.join(HERE, "../vm/guest.py"), *sys.argv[3:], "--out", out,
                                 "--smp", "4", "--timeout", "900", *(f"--qemu={o}" for o in options),
                                 "--file", os.path.join(build, f"kselftest{suffix}/dma-buf/poll_bench") + ":poll_bench",
                                 "/poll_bench threads.idle.8"],
                                stdout=subprocess.DEVNULL, check=False).returncode
        os.close(held)
        if status:
            die(f"{base} {variant}: the guest ended with status {status} (see {out}.console)")
        reader.join(60)

    polls = max((n for address, n in begun.items() if address in found), default=0)
    # Not what runs once, when the buffer is made and when it goes
    executed = blocks(found, [start for start, n in begun.items() if n > polls // 100])
    if polls < 1000:
        die(f"{base} {variant}: only {polls} polls in the trace: this shows nothing")
    stores = [(a, found[a]) for a in sorted(executed) if writes(found[a])]
    calls = sorted({match.group(1) for a in executed
                    for match in [re.search(CALLS[arches.ARCH], found[a])]
                    if match and not OURS.match(match.group(1))})
    for name, value in (("instructions", executed), ("stores", stores), ("calls", calls)):
        print(f"# result: idle.{name}\t{len(value)}\t{name}")
    print(f"# {polls} polls of an idle buffer by 8 threads on 4 CPUs")
    for address, text in stores:
        print(f"# writes: {address:x}: {text}")
    for name in calls:
        print(f"# calls {name}()")


if __name__ == "__main__":
    main()
