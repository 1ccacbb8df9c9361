#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""One row per base: how its patches relate to the first base's, what holds there.

Made from the trees that are composed in build/ and from what the last `make
run` of each base left there; a base that has not been run says so, and the
status is 1 then. What a variant is for is tried out: the first base's patch on
the tree at that place of the series. One that would apply is a variant too
many, and the status is 1 as well.
"""

import os
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import report  # noqa: E402

TOP = report.TOP
LOST = "lost"


def bases():
    with open(os.path.join(TOP, "tools/dma-buf-poll/bases"), encoding="utf-8") as source:
        return [line.split()[0] for line in source if line.strip() and not line.startswith("#")]


def patches(base):
    """The path of each patch of a base, in order"""
    directory = os.path.join(TOP, "patches", base)
    with open(os.path.join(directory, "series"), encoding="utf-8") as source:
        names = [line.strip() for line in source]
    return [os.path.normpath(os.path.join(directory, name))
            for name in names if name and not name.startswith("#")]


def git(src, *args):
    ran = subprocess.run(["git", "-C", src, *args], capture_output=True, check=False)
    return ran.stdout if ran.returncode == 0 else None


def diff_of(path):
    """The part of a patch that `patch` is for: our own files come otherwise"""
    with open(path, encoding="utf-8") as source:
        text = source.read()
    return text[text.index("\n---\n"):]


def why_not(base, number, path):
    """Where this patch fails as number n of the series of a base; "" if nowhere"""
    src = os.path.join(TOP, "build", base, "src")
    before = git(src, "rev-list", "--reverse", "base..series")
    before = before.decode().split() if before else []
    if len(before) <= number:
        return LOST
    diff = diff_of(path)
    files = re.findall(r"^--- a/(\S+)", diff, re.M)
    with tempfile.TemporaryDirectory(prefix="dbp-backport-") as root:
        for name in files:
            content = git(src, "show", f"{before[number]}^:{name}")
            if content is None:
                return f"{name}: not there"
            target = os.path.join(root, name)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            with open(target, "wb") as out:
                out.write(content)
        ran = subprocess.run(["patch", "-p1", "-F2", "--dry-run", "-f", "-d", root], input=diff,
                             capture_output=True, text=True, check=False,
                             env=dict(os.environ, LC_ALL="C"))
    if ran.returncode == 0:
        return ""
    name = "?"
    for line in ran.stdout.splitlines():
        started = re.match(r"(?:patching|checking) file (\S+)", line)
        failed = re.match(r"Hunk #\d+ FAILED at \d+", line)
        if started:
            name = started.group(1)
        elif failed:
            return f"{name}: {failed.group(0)}"
    return (ran.stdout.strip().splitlines() or ["?"])[-1]


def short(path):
    return os.path.basename(path)[:4]


def main():
    problems, reasons = [], []
    first, *others = bases()
    originals = {os.path.basename(path): path for path in patches(first)}

    rows = [("base", "version", "as they are", "variants", "its own",
             "holds", "does not hold", "not promised", "untested")]
    for base in [first, *others]:
        mine = patches(base)
        same = [p for p in mine if p in originals.values()]
        variants = [p for p in mine if p not in same and os.path.basename(p) in originals]
        own = [p for p in mine if p not in same and p not in variants]
        cells = [" ".join(short(p) for p in group) or "-" for group in (same, variants, own)]

        build = os.path.join(TOP, "build", base)
        if not os.path.exists(os.path.join(build, "tree.stamp")):
            problems.append(f"{base} has not been composed: make run BASE={base}, or make test-all")
            rows.append((base, "-", *cells, *["not run"] * 4))
            continue
        with open(os.path.join(build, "base.id"), encoding="utf-8") as source:
            version = source.read().strip().rpartition("_")[2] or "own tree"

        for path in variants:
            why = why_not(base, mine.index(path), originals[os.path.basename(path)])
            if why == LOST:
                problems.append(f"{base}: build/{base}/src does not hold the series any more: make tree BASE={base}")
            elif not why:
                problems.append(f"{os.path.relpath(path, TOP)} is a variant for nothing: the one of {first} applies")
            else:
                reasons.append(f"{short(path)} of {first} does not apply to {base}: {why}")

        if not os.path.exists(os.path.join(build, "log/selftest-rework.results")):
            problems.append(f"{base} has not been run: make run BASE={base}, or make test-all")
            rows.append((base, version, *cells, *["not run"] * 4))
            continue
        run = report.Run(base, "rework")
        if run.trouble:
            problems.append(f"{base}: {run.trouble}")
        groups = {"holds": [], "broken": [], "beyond": [], "untested": []}
        for line in report.LINES:
            passed, failed, _ = run.count(line)
            kind = "holds" if passed and not failed else "untested" if not failed else \
                "broken" if line in run.promises else "beyond"
            groups[kind].append(line.replace("_", "-"))
        if groups["broken"]:
            problems.append(f"{base}: {' '.join(groups['broken'])} should hold and does not")
        rows.append((base, version, *cells,
                     *["all" if len(g) == len(report.LINES) else " ".join(g) or "-"
                       for g in groups.values()]))

    report.table(rows)
    for reason in reasons:
        print(reason)
    head = (git(TOP, "describe", "--always", "--dirty") or b"").decode().strip()
    print(f"\nrepository at {head or 'an unknown commit'}")
    for problem in problems[:-1]:
        print(f"and {problem}", file=sys.stderr)
    if problems:
        sys.exit(f"error: {problems[-1]}")


if __name__ == "__main__":
    main()
