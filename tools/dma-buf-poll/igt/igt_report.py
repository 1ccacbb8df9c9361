#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Put what IGT's dmabuf_poll said on one kernel beside what it said on the others.

igt_report.py --readme BASE reads build/BASE/log/igt-VARIANT.tsv, which igt.sh leaves when
it ran all subtests, of the variants that have one, and puts a table of them into the
document about IGT: a line for each test, with the exporters and devices it fails on, then
why.

make readme calls it.
"""

import os
import sys
from collections import OrderedDict

TOOLS = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
TOP = os.path.realpath(os.path.join(TOOLS, "../.."))

sys.path.insert(0, TOOLS)
sys.path.insert(0, os.path.join(TOOLS, "test"))
from documents import put_table  # noqa: E402
from report import aligned  # noqa: E402

DOCUMENT = "Documentation/process/dma-buf-poll-igt.rst"
VARIANTS = ("stock", "fixes", "rework")

# What stands before the name of a test in that of a subtest, the longest first
PLACES = ("virtio-vgem", "virtio-2d", "virtio-3d", "virtio", "vgem")


def split(subtest):
    """Where it runs, and what it is"""
    for place in PLACES:
        if subtest.startswith(place + "-"):
            return place, subtest[len(place) + 1:]
    return "", subtest


def load(base, variant):
    """test -> place -> (state, why), or None if not all subtests ran there"""
    tests = OrderedDict()
    path = os.path.join(TOP, "build", base, "log", f"igt-{variant}.tsv")
    if not os.path.exists(path):
        return None
    with open(path, encoding="utf-8") as source:
        for line in source:
            if line.count("\t") != 2 or not line.endswith("\n"):
                sys.exit(f"error: {path} is cut short: make igt BASE={base} VARIANT={variant}")
            subtest, state, why = line.rstrip("\n").split("\t")
            place, test = split(subtest)
            tests.setdefault(test, OrderedDict())[place] = (state, why)
    return tests


def cell(places):
    """What one test has to say on one kernel"""
    if not places:
        return "-"
    words = []
    for state, word in (("ok", "ok"), ("not ok", "FAILS"), ("skip", "skipped")):
        names = [place for place, (is_state, _) in places.items() if is_state == state]
        if names:
            words.append(word if len(names) == len(places) else f"{word} {' '.join(names)}")
    return ", ".join(words)


def main():
    if len(sys.argv) != 3 or sys.argv[1] != "--readme":
        sys.exit("usage: igt_report.py --readme BASE")
    base = sys.argv[2]
    runs = OrderedDict((variant, run) for variant in VARIANTS
                       for run in [load(base, variant)] if run)
    if not runs:
        sys.exit(f"error: IGT has not run on {base}: make igt BASE={base}")
    try:
        with open(os.path.join(TOP, "build", base, "base.id"), encoding="utf-8") as source:
            kernel = source.read().strip()
    except OSError as error:
        sys.exit(f"error: {error.filename} is missing: make igt BASE={base}")

    rows = [("test", *runs)]
    for test in OrderedDict.fromkeys(test for run in runs.values() for test in run):
        rows.append((test, *[cell(run.get(test)) for run in runs.values()]))
    rows.append(("subtests that passed", *[
        str(sum(state == "ok" for places in run.values() for state, _ in places.values()))
        for run in runs.values()]))
    (head, *lines), widths = aligned(rows)
    lines = [f"IGT's dmabuf_poll, {kernel}", "", head,
             "  ".join("-" * width for width in widths), *lines]
    for variant, run in runs.items():
        # Each place has figures of its own: those of the first will do.
        reasons = OrderedDict()
        for test, places in run.items():
            for state, why in places.values():
                if state == "not ok":
                    reasons.setdefault(test, f"{variant}: {test}: {why}")
        lines += ["", *reasons.values()] if reasons else []
    put_table(DOCUMENT, "igt", lines)


if __name__ == "__main__":
    main()
