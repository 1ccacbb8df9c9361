#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Judge what real compositors did with buffers whose fences signal late.

compositor.py BASE VARIANTS COMPOSITOR... reads what compositor.sh left in
build/BASE/log and build/BASE/compositor: the kernel's trace, with what the client
frames.c wrote into it. Prints a table, what went wrong, a line for each compositor,
variant and case, and ends with N passed, N failed, N skipped.

compositor.sh calls it. With --readme BASE it puts the table into the document about
compositors.
"""

import os
import re
import statistics
import sys
from collections import OrderedDict

TOOLS = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
TOP = os.path.realpath(os.path.join(TOOLS, "../.."))

sys.path.insert(0, TOOLS)
import ktap  # noqa: E402
from documents import put_table  # noqa: E402

DOCUMENT = "Documentation/process/dma-buf-poll-compositor.rst"

# Each, and its package
COMPOSITORS = OrderedDict((("kwin", "kwin-wayland"), ("mutter", "mutter"), ("sway", "sway")))
# Waits for a sync_file made at the commit: what is added later is not in it.
SNAPSHOT = ("mutter",)
# With frames of which something is told. In "idle" nothing is shown.
CASES = ("one", "order", "reverse", "random", "added", "destroyed", "killed", "busy", "idle")
# Where those who sleep on the dma-buf are woken by the last fence alone
ONE_WAKEUP = {"fixes": ("order",), "rework": ("order", "reverse", "random")}
# Per frame; a compositor has other reasons to wake as well.
WAKEUPS = 1
# Of ten seconds in which nothing happens; a busy loop takes all of them.
IDLE_CPU_MS = 1000

TRACE = re.compile(r"^trace: .*-(\d+)\s+\[\d+\] \S+\s+([\d.]+): (\w+): ?(.*)$")


def fail(text):
    sys.exit(f"error: {text}")


class Frame:
    """One commit, and what became of it"""

    def __init__(self, case, committed):
        self.case = case
        self.committed = committed
        self.signals = []   # when each fence signaled, by the kernel's clock
        self.shown = []     # when the compositor said so, or says that it was
        self.told = set()   # frame, presented, discarded

    def ready(self, snapshot):
        """When the last fence that counts had signaled"""
        if snapshot and self.case == "added":
            return self.signals[0]
        return self.signals[-1]


class Run:
    """What one compositor did on one kernel."""

    def __init__(self, base, compositor, variant):
        self.compositor, self.variant = compositor, variant
        self.frames = OrderedDict((case, []) for case in CASES)
        self.left, self.pending = {}, []
        self.idle_ms = None
        self.wakeups = []
        self.idle = []
        self.errors, self.said = [], []
        self.frame = None
        path = os.path.join(TOP, "build", base, "log", f"compositor-{compositor}-{variant}.results")
        status = os.path.join(TOP, "build", base, "compositor", f"{compositor}-{variant}.status")
        try:
            with open(status, encoding="utf-8") as source:
                self.status = int(source.read())
            with open(path, encoding="utf-8", errors="replace") as source:
                for line in source:
                    self.line(line.rstrip())
        except OSError as error:
            fail(f"{error.filename} is missing: run 'make compositor' first")
        if self.status in ktap.TROUBLE:
            self.errors.append(ktap.TROUBLE[self.status])
        elif not self.errors and (self.status or "plain" not in self.left):
            self.errors.append("the job ended, and does not say why")

    def line(self, line):
        """One line of the results"""
        match = TRACE.match(line)
        if match:
            time, event, text = float(match.group(2)), match.group(3), match.group(4)
            if event == "sched_wakeup":
                self.wakeups.append(time)
            elif event == "dma_fence_signaled" and self.frame:
                self.frame.signals.append(time)
            elif event == "tracing_mark_write" and text.startswith("dbp "):
                try:
                    _, case, number, what, *args = text.split()
                    self.mark(time, case, int(number), what, args)
                except (ValueError, IndexError, KeyError):
                    self.errors.append(f"a line of the client's that makes no sense: {text}")
        elif line.startswith("error: "):
            self.errors.append(line[7:])
        elif line.startswith("compositor: "):
            self.said.append(line[12:])

    def mark(self, time, case, number, what, args):
        """One line of the client's"""
        if what == "commit" and number:
            self.frame = Frame(case, time)
            self.frames[case].append(self.frame)
        elif what in ("frame", "presented", "discarded") and self.frame and int(args[0]) == number:
            self.frame.told.add(what)
            if what == "discarded":
                return
            self.frame.shown.append(time)
            if args[1:] and args[1] != "-":
                self.frame.shown.append(float(args[1]))
        elif what == "end" or what == "begin":
            self.frame = None
        elif what == "pending":
            self.frame = None
            self.pending.append(self.unheld(args))
        elif what == "left":
            self.left.setdefault(case, []).append(self.unheld(args))
        elif what in ("idle", "idled"):
            self.idle.append(time)
            if args:
                self.idle_ms = float(args[0])

    @staticmethod
    def unheld(args):
        """Buffers that are left, without those of which the compositor has a file"""
        return int(args[0]) - int(args[1])

    def kept(self, left):
        """Of these clients, how many left more buffers than one without fences"""
        return sum(number > self.left["plain"][0] for number in left)

    def woken(self, since, until):
        return sum(since <= time <= until for time in self.wakeups)

    def ended(self, case):
        """Its frames of which all fences signaled: those of "killed" do not"""
        return [frame for frame in self.frames[case] if frame.signals]

    def all_frames(self):
        return [frame for case in CASES for frame in self.ended(case)]

    def ready(self, frame):
        return frame.ready(self.compositor in SNAPSHOT)

    def early(self, frames):
        return sum(min(frame.shown, default=self.ready(frame)) < self.ready(frame) for frame in frames)

    @staticmethod
    def missing(frames):
        return sum(frame.told != {"frame", "presented"} for frame in frames)

    def latency(self, frames):
        """ms from the last signal to the presentation"""
        return sorted(1000 * (max(frame.shown) - self.ready(frame)) for frame in frames if frame.shown)

    def early_wakeups(self, case):
        """For one frame, while fences are left; the wake-up of the last one is later"""
        frames = self.ended(case)
        woken = sum(self.woken(frame.signals[0], frame.signals[-1]) for frame in frames)
        return f"{woken / len(frames):.1f}" if frames else "-"

    def wakeups_per_frame(self, case):
        frames = [frame for frame in self.ended(case) if frame.shown]
        woken = sum(self.woken(frame.committed, max(frame.shown)) for frame in frames)
        return f"{woken / len(frames):.1f}" if frames else "-"

    def judge(self, tally, cases):
        """A line for each case"""
        name = f"{self.compositor} on {self.variant}: "
        if self.errors:
            tally.tell("fail", name + "it runs", "; ".join(self.errors))
        for case in cases:
            why = self.why_not(case)
            tally.tell("fail" if why else "pass", name + case, why or "")

    def why_not(self, case):
        """What is wrong with a case, or nothing"""
        if case not in self.left or "plain" not in self.left:
            return "did not come to its end"
        frames = self.ended(case)
        early, missing = self.early(frames), self.missing(frames)
        if case == "idle":
            if self.idle_ms is None or self.idle_ms > IDLE_CPU_MS:
                return f"{self.idle_ms} ms of CPU in 10 s in which nothing happens"
        elif case == "killed":
            if not self.frames[case] or any(frame.shown for frame in self.frames[case]):
                return "a frame was shown, or none committed, before the client was killed"
            if self.kept(self.pending):
                return f"buffers left that nobody has, while fences are pending: {self.pending}"
        elif not frames:
            return "no frame, or no fence in the kernel's trace"
        if early:
            return f"{early} of {len(frames)} frames shown before their last write fence"
        if missing:
            return f"{missing} of {len(frames)} frames not presented after it"
        if case in ONE_WAKEUP.get(self.variant, ()) and self.compositor not in SNAPSHOT and \
                float(self.early_wakeups(case)) > WAKEUPS:
            return f"{self.early_wakeups(case)} wake-ups per frame before the last fence"
        if self.kept(self.left[case]):
            return f"buffers left after the client: {self.left[case]}"
        return None


def of(count, frames):
    return f"{count} of {len(frames)}" if frames else "-"


# A row of the table: what it says, and how it is found out
ROWS = (
    ("frames shown before their last write fence", lambda run: of(run.early(run.all_frames()), run.all_frames())),
    ("frames not presented after it", lambda run: of(run.missing(run.all_frames()), run.all_frames())),
    ("ms from it to the presentation, median", lambda run: spread(run, statistics.median)),
    ("ms from it to the presentation, longest", lambda run: spread(run, max)),
    ("wake-ups for 3 of 4 fences, in order", lambda run: run.early_wakeups("order")),
    ("wake-ups for 3 of 4 fences, in reverse", lambda run: run.early_wakeups("reverse")),
    ("wake-ups for 3 of 4 fences, at random", lambda run: run.early_wakeups("random")),
    ("wake-ups of a frame, one fence", lambda run: run.wakeups_per_frame("one")),
    ("wake-ups of a frame, 4 fences, back to back", lambda run: run.wakeups_per_frame("busy")),
    ("wake-ups in 10 s idle", lambda run: str(run.woken(*run.idle)) if len(run.idle) == 2 else "-"),
    ("ms of CPU in 10 s idle", lambda run: "-" if run.idle_ms is None else f"{run.idle_ms:.0f}"),
    ("killed clients whose buffer nobody has, fences pending", lambda run: of(run.kept(run.pending), run.pending)),
    ("clients of which a buffer is left after that", lambda run: of(
        sum(run.kept(left) for left in run.left.values()), [n for left in run.left.values() for n in left])),
)


def spread(run, what):
    latency = run.latency([frame for case in ("one", "order", "reverse", "random") for frame in run.ended(case)])
    return f"{what(latency):.0f}" if latency else "-"


def versions(base):
    """Of the packages of Debian 13: name -> version"""
    path = os.path.join(TOP, "build", base, "compositor", "versions")
    try:
        with open(path, encoding="utf-8") as source:
            return dict(line.split() for line in source)
    except (OSError, ValueError):
        fail(f"{path} is missing: run 'make compositor' first")


def table(base, runs, variants):
    """What it is of, and the table: a part for each compositor"""
    with open(os.path.join(TOP, "build", base, "base.id"), encoding="utf-8") as source:
        kernel = source.read().strip()
    rows, version = [], versions(base)
    for compositor in OrderedDict.fromkeys(run.compositor for run in runs):
        columns = [run for run in runs if run.compositor == compositor]
        package = COMPOSITORS[compositor]
        rows.append((f"{package} {version.get(package, '')}", *variants))
        if not any("plain" in run.left for run in columns):
            rows.append(("  does not run: " + columns[0].errors[0], *[""] * len(variants)))
            continue
        rows += [("  " + label, *["-" if "plain" not in run.left else cell(run) for run in columns]) for label, cell in ROWS]
    widths = [max(len(row[i]) for row in rows if row[1]) for i in range(len(rows[0]))]
    return [f"Compositors of Debian 13 and a client with late fences, {kernel}", ""] + \
        ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]


def main():
    if sys.argv[1:2] == ["--readme"] and len(sys.argv) == 3:
        base, compositors = sys.argv[2], list(COMPOSITORS)
        variants = [name for name in ("stock", "fixes", "rework")
                    if os.path.exists(os.path.join(TOP, f"build/{base}/compositor/{compositors[0]}-{name}.status"))]
    elif len(sys.argv) > 3:
        base, variants, compositors = sys.argv[1], sys.argv[2].split(), sys.argv[3:]
    else:
        sys.exit("usage: compositor.py BASE VARIANTS COMPOSITOR...\n       compositor.py --readme BASE")
    runs = [Run(base, compositor, variant) for compositor in compositors for variant in variants]
    lines = table(base, runs, variants)
    if sys.argv[1] == "--readme":
        put_table(DOCUMENT, "compositor", lines)
        return

    print("", *lines, "", sep="\n")
    for run in runs:
        for error in run.errors:
            print(f"{run.compositor} on {run.variant}: {error}")
        for line in run.said:
            print("    " + line)
    tally = ktap.Tally()
    for run in runs:
        run.judge(tally, os.environ.get("CASES", "").split() or CASES)
    sys.exit(tally.end() or not tally.count["pass"])


if __name__ == "__main__":
    main()
