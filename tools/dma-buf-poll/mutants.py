#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Break dma-buf-poll.c on purpose, one line at a time, and see who notices.

mutants.py BASE [NAME]...: builds each mutant of mutants.txt on top of
build/BASE/src, in an object tree of its own, and runs the KUnit suite and the
kselftest on it until a test fails. A mutant on which everything passes has
survived, and is named. Ends with N passed, N failed, N skipped, where a killed
mutant has passed.
"""

import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.realpath(__file__))
TOP = os.path.realpath(os.path.join(HERE, "../.."))
FILE = "drivers/dma-buf/dma-buf-poll.c"


def die(text):
    sys.exit(f"error: {text}")


def load():
    """The mutants: name -> (before, after, why it may survive)"""
    found, name = {}, None
    with open(os.path.join(HERE, "mutants.txt"), encoding="utf-8") as source:
        for number, line in enumerate(source, 1):
            line = line.rstrip("\n")
            if line.startswith("== "):
                name = line[3:]
                if name in found:
                    die(f"mutants.txt:{number}: there is a '{name}' already")
                found[name] = ([], [], [])
            elif line[:1] in ("-", "+", "!") and name:
                found[name]["-+!".index(line[0])].append(line[1:])
            elif line and not line.startswith("#"):
                die(f"mutants.txt:{number}: neither -, + nor !: {line}")
    return found


def by_kunit(base):
    """Who notices under UML, natively and in seconds"""
    ran = subprocess.run([os.path.join(HERE, "kunit.sh"), base], env=dict(os.environ, AS_IS="1", TIMEOUT="60"),
                         capture_output=True, text=True, check=False)
    first = re.search(r"^ {4}not ok \d+ (?:- )?(\w+)", ran.stdout, re.M)
    if first:
        return first.group(1) + " (KUnit)"
    if "did not run" in ran.stderr:
        die(ran.stderr.strip().splitlines()[-1].removeprefix("error: "))
    if ran.returncode:
        return "KUnit: " + (ran.stderr.strip().splitlines() or ["?"])[-1].removeprefix("error: ")[:100]
    return ""


def by_kselftest(base, name):
    """Who notices in the guest"""
    out = os.path.join(TOP, "build", base)
    src, obj = os.path.join(out, "src"), os.path.join(out, "mutant")
    cache = os.path.join(os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache")),
                         "dma-buf-poll")
    env = dict(os.environ, CCACHE_DIR=os.path.join(cache, "ccache"), CCACHE_BASEDIR=out,
               CCACHE_NOHASHDIR="1", KBUILD_BUILD_TIMESTAMP="@0",
               KBUILD_BUILD_USER="dma-buf-poll", KBUILD_BUILD_HOST="guest")
    if not os.path.isdir(obj):
        subprocess.run(["cp", "-a", os.path.join(out, "patched"), obj], check=True)
    built = subprocess.run(
        ["make", "-C", src, f"O={obj}", "CC=ccache gcc", "-j2", "bzImage"],
        env=env, capture_output=True, text=True, check=False)
    if built.returncode:
        line = next((l for l in built.stderr.splitlines() if "error" in l), "?")
        die(f"{name}: does not build, so says nothing: {line}")
    ran = subprocess.run(
        [os.path.join(HERE, "guest.py"), "--kernel", os.path.join(obj, "arch/x86/boot/bzImage"),
         "--out", os.path.join(out, "log", "mutant-" + re.sub(r"\W+", "-", name)),
         "--first-failure", "--timeout", "300",
         "--file", os.path.join(out, "kselftest") + ":kselftest",
         "cd /kselftest/dma-buf && ./poll"],
        capture_output=True, text=True, check=False)
    first = re.search(r"^not ok \d+ (?:- )?(\S+)", ran.stdout, re.M)
    if first:
        return first.group(1)
    if ran.returncode:
        return ran.stderr.strip().splitlines()[-1].removeprefix("error: ").split(" (see ")[0]
    return ""


def main():
    if len(sys.argv) < 2:
        sys.exit("usage: mutants.py BASE [NAME]...")
    base, wanted = sys.argv[1], sys.argv[2:]
    mutants = load()
    for name in wanted:
        if name not in mutants:
            die(f"no mutant '{name}' in mutants.txt")

    out = os.path.join(TOP, "build", base)
    # Builds what there is to build, and says why not.
    if subprocess.run([os.path.join(HERE, "selftest.sh"), base, "patched", "--build-only"],
                      check=False).returncode:
        sys.exit(1)
    src = os.path.join(out, "src")
    path = os.path.join(src, FILE)
    if subprocess.run(["git", "-C", src, "diff", "--quiet", "HEAD"], check=False).returncode:
        die(f"{base}: build/{base}/src has edits: commit them there, or take them back")
    # If we are killed compose.sh finds this, and brings the tree back.
    marker = os.path.join(out, "at-base")
    with open(marker, "w", encoding="utf-8"):
        pass
    with open(path, encoding="utf-8") as source:
        original = source.read()

    counts = {"killed": 0, "survived": 0, "excused": 0}
    try:
        for name, (before, after, excuse) in mutants.items():
            if wanted and name not in wanted:
                continue
            text = "\n".join(before) + "\n"
            if original.count(text) != 1:
                print(f"not ok - {name}: the text stands {original.count(text)} times in {FILE}")
                counts["survived"] += 1
                continue
            new = original.replace(text, "\n".join(after) + "\n" if after else "")
            with open(path, "w", encoding="utf-8") as target:
                target.write(new)
            said = by_kunit(base) or by_kselftest(base, name)
            if said:
                print(f"ok - {name}: killed by {said}", flush=True)
                counts["killed"] += 1
            elif excuse:
                print(f"ok - {name} # SKIP survives: {' '.join(excuse).strip()}", flush=True)
                counts["excused"] += 1
            else:
                print(f"not ok - {name}: survived", flush=True)
                counts["survived"] += 1
    finally:
        with open(path, "w", encoding="utf-8") as target:
            target.write(original)
        os.unlink(marker)
    print(f"{counts['killed']} passed, {counts['survived']} failed, "
          f"{counts['excused']} skipped")
    sys.exit(1 if counts["survived"] or not counts["killed"] else 0)


if __name__ == "__main__":
    main()
