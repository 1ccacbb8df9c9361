#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""One row per base: how its patches relate to the others', what holds there.

Made from what the last `make run` of each base left in build/; a base that has
not been run says so, and the status is 1 then.
"""

import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import report  # noqa: E402

TOP = report.TOP


def bases():
    with open(os.path.join(TOP, "tools/dma-buf-poll/bases"), encoding="utf-8") as source:
        return [line.split()[0] for line in source if line.strip() and not line.startswith("#")]


def patches(base):
    """(name, where it stands) of each patch of a base"""
    found = []
    directory = os.path.join(TOP, "patches", base)
    with open(os.path.join(directory, "series"), encoding="utf-8") as source:
        for line in source:
            name = line.strip()
            if name and not name.startswith("#"):
                path = os.path.normpath(os.path.join(directory, name))
                found.append((os.path.basename(name), os.path.basename(os.path.dirname(path))))
    return found


def composed(base):
    """Is there a composed tree that what ran can have come from?"""
    return os.path.exists(os.path.join(TOP, "build", base, "tree.stamp"))


def main():
    complete = True
    owners = {}
    for base in bases():
        for name, home in patches(base):
            owners.setdefault(name, {}).setdefault(home, []).append(base)

    rows = [("base", "version", "patches", "as they are", "variants", "holds", "does not hold", "untested")]
    for base in bases():
        mine = patches(base)
        same = [name for name, home in mine if len(owners[name][home]) > 1]
        variants = [name for name, home in mine
                    if len(owners[name][home]) == 1 and len(owners[name]) > 1]
        cells = [base, "-", str(len(mine)),
                 " ".join(n[:4] for n in same) or "-", " ".join(n[:4] for n in variants) or "-"]
        results = os.path.join(TOP, "build", base, "log", "selftest-patched.results")
        if not composed(base) or not os.path.exists(results):
            complete = False
            rows.append((*cells, "not run", "not run", "not run"))
            continue
        with open(os.path.join(TOP, "build", base, "base.id"), encoding="utf-8") as source:
            cells[1] = source.read().strip().rpartition("_")[2] or "own tree"
        run = report.Run(base, "patched")
        holds, broken, untested = [], [], []
        for line in report.LINES:
            passed, failed, _ = run.count(line)
            where = broken if failed else holds if passed else untested
            where.append(line.replace("_", "-"))
        rows.append((*cells, " ".join(holds) or "-", " ".join(broken) or "-",
                     " ".join(untested) or "-"))
    report.table(rows)
    head = subprocess.run(["git", "-C", TOP, "rev-parse", "--short", "HEAD"],
                          capture_output=True, text=True, check=False).stdout.strip()
    print(f"\nrepository at {head or 'an unknown commit'}")
    if not complete:
        sys.exit("error: not every base has been run: make run BASE=... for each, or make test-all")


if __name__ == "__main__":
    main()
