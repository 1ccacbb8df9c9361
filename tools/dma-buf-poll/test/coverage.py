#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""What of a file ran, from the JSON of gcov, and why the rest did not.

coverage.py JSON SOURCE [REASONS] prints the source with the count of each line and of each
side of its branches. What never ran has to stand in coverage.txt:

    == the line, without its indentation
    line: why it never runs
    branch N: why this side, counted from 0, is never taken

An entry there for what did run, or for a line that does not exist, fails as well.
Ends with N passed, N failed, N skipped: lines and sides of branches that ran,
those that did not, and those that did not with a reason.

coverage.sh calls it.
"""

import gzip
import json
import os
import re
import sys
from collections import defaultdict

HERE = os.path.dirname(os.path.realpath(__file__))

sys.path.insert(0, os.path.dirname(HERE))
import ktap  # noqa: E402


def die(text):
    sys.exit(f"error: {text}")


def excuses(path):
    """(line, what) -> why"""
    found, line = {}, None
    with open(path, encoding="utf-8") as source:
        for number, text in enumerate(source, 1):
            text = text.rstrip("\n")
            entry = re.match(r"(line|branch \d+): (\S.*)$", text)
            if text.startswith("== "):
                line = text[3:].strip()
            elif entry and line:
                if (line, entry.group(1)) in found:
                    die(f"coverage.txt:{number}: a second reason for the same: {text}")
                found[line, entry.group(1)] = entry.group(2)
            elif text and not text.startswith("#"):
                die(f"coverage.txt:{number}: neither ==, line nor branch: {text}")
    return found


def merge(entries):
    """The branches of a line; it may stand in several functions, inlined"""
    shapes = [[b["count"] for b in entry["branches"]] for entry in entries if entry["branches"]]
    if not shapes:
        return []
    if len({len(shape) for shape in shapes}) == 1:
        return [sum(side) for side in zip(*shapes)]
    return [count for shape in shapes for count in shape]


def main():
    if len(sys.argv) not in (3, 4):
        sys.exit("usage: coverage.py JSON SOURCE [REASONS]")
    with gzip.open(sys.argv[1], "rt", encoding="utf-8") as source:
        data = json.load(source)
    with open(sys.argv[2], encoding="utf-8") as source:
        text = source.read().splitlines()
    name = os.path.basename(sys.argv[2])
    files = [f for f in data["files"] if os.path.basename(f["file"]) == name]
    if len(files) != 1:
        die(f"gcov says nothing of {name}")

    lines = defaultdict(list)
    for entry in files[0]["lines"]:
        lines[entry["line_number"]].append(entry)
    if not lines:
        die(f"gcov knows no line of {name}")

    reasons = excuses(sys.argv[3] if len(sys.argv) > 3 else os.path.join(HERE, "coverage.txt"))
    used = set()
    count = {"line": [0, 0], "branch": [0, 0]}
    failed, excused = [], []
    tally = ktap.Tally()

    def judge(number, what, ran):
        line = text[number - 1].strip()
        kind = count[what.split()[0]]
        kind[1] += 1
        if ran:
            kind[0] += 1
            tally.tell("pass", what, silent=True)
            return
        why = reasons.get((line, what))
        if why:
            used.add((line, what))
            excused.append((f"{name}:{number}: {what}", why))
        else:
            failed.append(f"{name}:{number}: {what} never ran: {line}")

    for number, line in enumerate(text, 1):
        entries = lines.get(number)
        if not entries:
            print(f"{'':>10} {'':<24} {number:4} {line}")
            continue
        times = sum(entry["count"] for entry in entries)
        sides = merge(entries)
        print(f"{times:>10} {' '.join(map(str, sides)):<24} {number:4} {line}")
        judge(number, "line", times)
        for side, taken in enumerate(sides):
            judge(number, f"branch {side}", taken)

    for what, why in excused:
        tally.tell("skip", what, why)
    for line in failed:
        tally.tell("fail", line)
    stale = [f"coverage.txt: '{line}', {what}: ran, or is not there"
             for line, what in reasons if (line, what) not in used]
    for line in stale:
        tally.tell("fail", line)
    for what, plural in (("line", "lines"), ("branch", "sides of branches")):
        ran, total = count[what]
        print(f"# {ran} of {total} {plural} ran, {100 * ran / max(total, 1):.1f} %")
    sys.exit(tally.end())


if __name__ == "__main__":
    main()
