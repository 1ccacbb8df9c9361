#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Put what the kselftest said on the stock kernel beside what it said on ours.

report.py BASE reads build/BASE/log/selftest-{stock,patched}.results and
.console, and prints one table, contract line by contract line.

report.py --count BASE NAME prints what failed in build/BASE/log/selftest-NAME, and
the numbers of it.

report.py --tests BASE prints a line for each test on the series, then one for
each thing the stock kernel is known to do wrong or right: if the tests do not
see that any more it is the tests that are broken. Ends with N passed, N failed,
N skipped.

The status is 0 only if no test failed on the series and its guest ended as it
should.
"""

import os
import re
import sys
from collections import OrderedDict, defaultdict

TOP = os.path.realpath(os.path.join(os.path.dirname(__file__), "../.."))

LINES = ("exact", "no_lost_wakeup", "one_wakeup", "quiet", "nonblocking",
         "neutral", "no_alloc", "signaling", "shared", "anycontext", "names")

# What the classic rework keeps, [r] in the contract.
CLASSIC = ("exact", "no_lost_wakeup", "neutral", "no_alloc", "signaling", "anycontext")

# Requests at a buffer that is never idle: on a stock kernel they complete with what
# they are woken with when the first fence signals.
BELIEVERS = ("io_uring", "aio")

# What brings stock 5.10 down.
CRASH = "one_poll_then_closing_everything_is_survived"

RESULT = re.compile(r"^(not ok|ok) \d+(?: -)?(?: (?!#)(\S+))?(?:\s+#\s*(SKIP|TODO|XFAIL)\b\s*(.*))?")
RUNNING = re.compile(r"^#\s+RUN\s+(\S+)")
DOWN = re.compile(r"^# guest: went down in (\S+): (.*)$")
FIGURE = re.compile(r"^# figure: (\S+) (.*) = (\S.*)$")
PANIC = re.compile(r"(kernel BUG at [^!]*|BUG: .*|Oops: .*)")


def promised(base):
    """The lines of the contract that the series keeps on this base."""
    with open(os.path.join(TOP, "tools/dma-buf-poll/bases"), encoding="utf-8") as source:
        for line in source:
            fields = line.split()
            if fields[:1] == [base]:
                return CLASSIC if fields[3] == "classic" else LINES
    sys.exit(f"error: unknown BASE '{base}'")


class Run:
    """What one guest said."""

    def __init__(self, base, variant):
        self.promised = promised(base)
        prefix = os.path.join(TOP, "build", base, "log", f"selftest-{variant}")
        self.tests = OrderedDict()
        self.figures = defaultdict(OrderedDict)
        self.trouble = None
        # The tests that the kernel did not survive: name -> what became of it
        self.down = OrderedDict()
        self.running = ""
        # What runs in the guest, and how many tests it promised and gave
        self.programs = []
        try:
            with open(prefix + ".results", encoding="utf-8", errors="replace") as source:
                text = source.read()
            with open(prefix + ".console", encoding="utf-8", errors="replace") as source:
                console = source.read()
        except OSError as error:
            sys.exit(f"error: {error.filename} is missing: run 'make selftest' first")
        for raw in text.splitlines():
            self.line(raw.rstrip())
        if self.down:
            self.trouble = "; ".join(f"{why} in {name}" for name, why in self.down.items())
        elif "Kernel panic" in console:
            cause = PANIC.search(console)
            self.trouble = "panic: " + (cause.group(1).strip() if cause else "see the console")
        else:
            self.trouble = self.judge_end(re.search(r"^guest: exit (\d+)", console, re.M))

    def judge_end(self, ended):
        """What is wrong although no test failed, or nothing"""
        if not ended:
            return "the guest did not end by itself"
        for name, plan, given in self.programs:
            if given < plan:
                return f"{name} ended after {given} of {plan} tests"
        if ended.group(1) != "0" and "fail" not in [state for state, _ in self.tests.values()]:
            return "the job failed, and no test says why"
        return None

    def line(self, raw):
        match = re.match(r"# run: (\S+)", raw)
        if match:
            self.programs.append([match.group(1), 0, 0])
            return
        match = re.match(r"1\.\.(\d+)", raw)
        if match and self.programs:
            self.programs[-1][1] = int(match.group(1))
            return
        if self.programs and re.match(r"(not )?ok \d+", raw):
            self.programs[-1][2] += 1
        match = RUNNING.match(raw)
        if match:
            self.running = match.group(1)
            return
        match = DOWN.match(raw)
        if match:
            self.down[match.group(1)] = match.group(2)
            self.tests[match.group(1)] = ("fail", match.group(2))
            return
        match = RESULT.match(raw)
        # The harness of old kernels does not name what it skips.
        name = match and (match.group(2) or self.running)
        # The single parameters of a KUnit test are indented, and not counted.
        if name:
            state = "fail" if match.group(1) == "not ok" else "pass"
            if match.group(3) == "SKIP":
                state = "skip"
            old = self.tests.get(name)
            if match.group(4) == "spared":
                # Booted again after a fixture it did not survive: see selftest.sh.
                if old is None:
                    self.tests[name] = ("skip", "not reached, the kernel went down before")
                return
            # A test that ran several times has passed if it always did.
            if old is None or old[0] == "pass" or state == "fail":
                self.tests[name] = (state, match.group(4) or "")
            return
        match = FIGURE.match(raw)
        if match:
            self.figures[match.group(1)][match.group(2)] = match.group(3)

    def count(self, line, rest=""):
        """passed, failed, skipped of one line of the contract, or of a part of it"""
        states = [state for name, (state, _) in self.tests.items()
                  if re.match(line + r"[._]" + rest, name)]
        return tuple(states.count(s) for s in ("pass", "fail", "skip"))

    def is_promised(self, name):
        # The classic rework adds nothing to debugfs and to tracing either.
        if name.startswith("trace.") and self.promised is CLASSIC:
            return False
        return name.startswith(self.promised) or not name.startswith(LINES)

    def failed(self):
        return [name for name, (state, _) in self.tests.items()
                if state == "fail" and self.is_promised(name)]

    def untested(self):
        """The lines of the contract of which nothing is known"""
        return [line for line in self.promised if not any(self.count(line)[:2])]

    def cell(self, line):
        passed, failed, skipped = self.count(line)
        if self.trouble and not self.down and not passed + failed + skipped:
            return "not reached"
        if not passed + failed + skipped:
            return "-"
        if not passed + failed:
            return f"{skipped} skipped"
        fatal = any(name.startswith(line) for name in self.down)
        text = "ok " if not failed else "GOES DOWN " if fatal else "FAILS "
        text += f"{passed}/{passed + failed}"
        return text + (f", {skipped} skipped" if skipped else "")


def table(rows):
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for number, row in enumerate(rows):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
        if number == 0:
            print("  ".join("-" * width for width in widths))


def show_table(base, stock, ours):
    rows = [("contract", "stock", "series")]
    for line in LINES:
        rows.append((line.replace("_", "-"), stock.cell(line), ours.cell(line)))
        keys = list(OrderedDict.fromkeys([*stock.figures[line], *ours.figures[line]]))
        for key in keys:
            rows.append(("  " + key, stock.figures[line].get(key, "-"),
                         ours.figures[line].get(key, "-")))
    with open(os.path.join(TOP, "build", base, "base.id"), encoding="utf-8") as source:
        print(f"\npoll() on a dma-buf, {source.read().strip()}: the stock kernel and the series\n")
    table(rows)
    print()
    for who, run in (("stock", stock), ("series", ours)):
        for trouble in run.trouble.split("; ") if run.trouble else ():
            print(f"{who}: {trouble}")

    reasons = OrderedDict()
    for name, (state, why) in ours.tests.items():
        if state == "skip":
            reasons.setdefault(why, []).append(name)
    for why, names in reasons.items():
        print(f"skipped on the series: {len(names)} x {why}")
    for name in ours.failed():
        print(f"failed on the series: {name}")
    for line in ours.untested():
        print(f"not tested on the series: {line}")


def show_tests(base, stock, ours):
    count = {"pass": 0, "fail": 0, "skip": 0}

    def tell(state, name, why=""):
        count[state] += 1
        print(("not ok" if state == "fail" else "ok") + " - " + name +
              (f" # SKIP {why}" if state == "skip" else f" ({why})" if why else ""))

    for name, (state, why) in ours.tests.items():
        if state == "fail" and not ours.is_promised(name):
            state, why = "skip", f"fails, and is not promised on {base}"
        tell(state, f"series: {name}", why)
    if ours.trouble:
        tell("fail", "series: the guest", ours.trouble)
    for line in ours.untested():
        tell("fail", f"series: {line}", "nothing tests it")

    # What is known of the stock kernels, DESIGN section 6.
    if base == "5.10":
        why = next((why for name, why in stock.down.items() if name.endswith(CRASH)), "survived")
        tell("pass" if re.search(r"panicked: kernel BUG at .*dma-buf\.c:", why) else "fail",
             f"stock: panics when {CRASH.replace('_', ' ')}", why)
    else:
        others = f"(?!pending_({'|'.join(BELIEVERS)})_)"
        for what, counts in (("exact for poll and epoll", stock.count("exact", others)),
                             ("no_lost_wakeup", stock.count("no_lost_wakeup"))):
            tell("pass" if counts[0] and not counts[1] else "fail",
                 f"stock: keeps {what}", f"{counts[0]} passed, {counts[1]} failed")
        for kind in BELIEVERS:
            _, failed, _ = stock.count("exact", f"pending_{kind}_")
            tell("pass" if failed else "fail", f"stock: breaks exact for {kind}",
                 f"{failed} failed")
        for line in ("one_wakeup", "quiet", "neutral", "names"):
            _, failed, _ = stock.count(line)
            tell("pass" if failed else "fail", f"stock: breaks {line}", f"{failed} failed")
    print(f"{count['pass']} passed, {count['fail']} failed, {count['skip']} skipped")
    return count["fail"] == 0


def show_count(base, name):
    """What failed in one run, and the counts of it"""
    run = Run(base, name)
    states = [state for state, _ in run.tests.values()]
    for test, (state, why) in run.tests.items():
        if state != "pass":
            print(f"not ok - {test}" if state == "fail" else f"ok - {test} # SKIP {why}")
    failed = states.count("fail")
    if run.trouble or not states:
        print(f"not ok - the guest: {run.trouble or 'no test ran'}")
        failed += 1
    print(f"{states.count('pass')} passed, {failed} failed, {states.count('skip')} skipped")
    return not failed


def main():
    args = sys.argv[1:]
    if args[:1] == ["--count"] and len(args) == 3:
        sys.exit(0 if show_count(*args[1:]) else 1)
    tests = args[:1] == ["--tests"]
    if tests:
        args = args[1:]
    if len(args) != 1:
        sys.exit("usage: report.py [--tests] BASE | --count BASE NAME")
    base = args[0]
    stock, ours = Run(base, "stock"), Run(base, "patched")
    if not ours.tests:
        sys.exit("error: no test ran on the series" + (f": {ours.trouble}" if ours.trouble else ""))
    if tests:
        sys.exit(0 if show_tests(base, stock, ours) else 1)
    show_table(base, stock, ours)
    sys.exit(1 if ours.failed() or ours.trouble or ours.untested() else 0)


if __name__ == "__main__":
    main()
