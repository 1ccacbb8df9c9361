#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Put what the kselftest said on one kernel beside what it said on the others.

report.py BASE [VARIANT]... reads build/BASE/log/selftest-VARIANT.results and
.console of all variants of that base, or those that are named, and prints one
table, contract line by contract line, and what each of them costs.

report.py --count BASE NAME prints what failed in build/BASE/log/selftest-NAME, and
the numbers of it.

report.py --tests BASE prints a line for each test on each variant, then one for
each thing the stock kernel is known to do wrong or right: if the tests do not
see that any more it is the tests that are broken. Ends with N passed, N failed,
N skipped.

report.py --promised BASE VARIANT NAME... prints those of the names that the variant
promises, see the file promises.

report.py --readme BASE puts the lines of the contract, the figures that differ
between the variants, and the costs into README.md, between its marks.

With ARCH= all of that is about the guests of another architecture, whose results have
its name at the end, and whose table goes into the document about these.

The status is 0 only if no test failed that its variant promises, and its guest ended
as it should.

run.sh, test.sh, test-debug.sh, igt.sh and make readme call it; steps.py,
bench_report.py and backport-report.py import it.
"""

import fnmatch
import os
import re
import sys
from collections import OrderedDict, defaultdict

TOOLS = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
TOP = os.path.realpath(os.path.join(TOOLS, "../.."))
sys.path.insert(0, TOOLS)
from documents import put_table  # noqa: E402

sys.path.insert(0, TOOLS)
import arches  # noqa: E402
import ktap  # noqa: E402

LINES = ("exact", "no_lost_wakeup", "one_wakeup", "quiet", "nonblocking",
         "neutral", "no_alloc", "signaling", "shared", "anycontext", "names")

# Those who take the events they are woken with for the answer: a stock kernel tells them
# "ready" when the first of several fences signals. They have the word in their names.
BELIEVERS = ("io_uring", "aio")

# The figures that README.md has
README = re.compile(r"never idle|found it ready|of one poll for (16|64)|for IN on an idle|"
                    r"others polled|last close, fence|exclusive sleepers")

# What brings stock 5.10 down.
CRASH = "one_poll_then_closing_everything_is_survived"

RESULT = re.compile(r"^(not ok|ok) \d+(?: -)?(?: (?!#)(\S+))?(?:\s+#\s*(SKIP|TODO|XFAIL)\b\s*(.*))?")
RUNNING = re.compile(r"^#\s+RUN\s+(\S+)")
DOWN = re.compile(r"^# guest: went down in (\S+): (.*)$")
FIGURE = re.compile(r"^# figure: (\S+) (.*) = (\S.*)$")
PANIC = re.compile(r"(kernel BUG at [^!]*|BUG: .*|Oops: .*)")


# fixture.variant.LINE_sentence: there the fixture is not the line of the contract
FIXTURE = re.compile(r"^(?!(?:%s)[._])((?:\w+\.)+)(%s)_" % ("|".join(LINES), "|".join(LINES)))


def line_first(name):
    """The name of a test with the line of the contract before its fixture"""
    return FIXTURE.sub(r"\2.\1", name)


def rows_of(name):
    """The rows of one of our tables, without its comments"""
    with open(os.path.join(TOOLS, name), encoding="utf-8") as source:
        return [line.split(None, 2) if name == "test/promises" else line.split()
                for line in source if line.strip() and not line.startswith("#")]


def promises_of(base):
    """The variants of a base, stock first, and by what name each promises"""
    promises = {row[0]: row[3] for row in rows_of("tree/bases")}
    if base not in promises:
        sys.exit(f"error: unknown BASE '{base}': known are {' '.join(promises)}")
    with open(os.path.join(TOP, "patches", base, "series"), encoding="utf-8") as source:
        topics = {os.path.basename(os.path.dirname(line)) for line in source if line[0] != "#"}
    known = OrderedDict(stock=None)
    if {"poll-fixes", "poll-rework"} <= topics:
        known["fixes"] = "fixes"
    known["rework"] = "classic" if promises[base] == "classic" else "rework"
    return known


class Promises:
    """What a variant promises: everything, but for what the table says.

    The name of its kernel may say more, as "rework-rt-smp4" does.
    """

    def __init__(self, base, variant, kernel=""):
        known = promises_of(base)
        if variant not in known:
            sys.exit(f"error: {base} has no VARIANT '{variant}': it has {' '.join(known)}")
        names = {f"{known[variant]}-{kind}" for kind in [arches.ARCH, *kernel.split("-")[1:]]}
        names.add(known[variant])
        self.exceptions = [(pattern, why.strip()) for given, pattern, why in rows_of("test/promises")
                           if names & set(given.split(","))]

    def why_not(self, name):
        """Why something is not promised, or nothing if it is"""
        for pattern, why in self.exceptions:
            if fnmatch.fnmatchcase(name, pattern):
                return why
        return None

    def __contains__(self, name):
        return self.why_not(name) is None

    def lines(self):
        """The lines of the contract, which may have tests that are not promised"""
        return [line for line in LINES if line in self]


class Run:
    """What one guest said. Its name begins with that of the variant, or it is given."""

    def __init__(self, base, name, variant=None):
        self.variant = variant or name.split("-")[0]
        self.promises = Promises(base, self.variant, name)
        prefix = os.path.join(TOP, "build", base, "log", f"selftest-{name}")
        self.tests = OrderedDict()
        self.figures = defaultdict(OrderedDict)
        self.trouble = None
        # The tests that the kernel did not survive: name -> what became of it
        self.down = OrderedDict()
        self.running = ""
        # What runs in the guest, and how many tests it promised and gave
        self.programs = []
        self.program_of = {}
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
            self.running = line_first(match.group(1))
            return
        match = DOWN.match(raw)
        if match:
            name = line_first(match.group(1))
            self.down[name] = match.group(2)
            self.tests[name] = ("fail", match.group(2))
            return
        match = RESULT.match(raw)
        # The harness of old kernels does not name what it skips.
        name = match and (line_first(match.group(2) or "") or self.running)
        # The single parameters of a KUnit test are indented, and not counted.
        if name:
            self.program_of[name] = self.programs[-1][0] if self.programs else None
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

    def of_line(self, line):
        """The tests of one line of the contract"""
        return [name for name in self.tests if re.match(line + r"[._]", name)]

    def count(self, line, promised=None):
        """passed, failed, skipped of one line; if asked for, only what is promised or is not"""
        states = [self.tests[name][0] for name in self.of_line(line)
                  if promised is None or promised == (name in self.promises)]
        return tuple(states.count(s) for s in ("pass", "fail", "skip"))

    def failed(self):
        return [name for name, (state, _) in self.tests.items()
                if state == "fail" and name in self.promises]

    def untested(self):
        """The lines of the contract of which nothing is known"""
        return [line for line in self.promises.lines() if not any(self.count(line, True)[:2])]

    def cell(self, line):
        passed, failed, skipped = self.count(line, True)
        other = self.count(line, False)
        if self.trouble and not self.down and not passed + failed + skipped + sum(other):
            return "not reached"
        words = []
        if passed + failed:
            fatal = any(re.match(line + r"[._]", name) for name in self.down)
            words.append(("ok" if not failed else "GOES DOWN" if fatal else "FAILS") +
                         f" {passed}/{passed + failed}")
        if skipped:
            words.append(f"{skipped} skipped")
        if other[0] + other[1]:
            words.append(f"not promised {other[0]}/{other[0] + other[1]}")
        return ", ".join(words) or "-"


def aligned(rows):
    """The lines of a table, without the one below its head"""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()
            for row in rows], widths


def table(rows):
    (head, *lines), widths = aligned(rows)
    print(head, "  ".join("-" * width for width in widths), *lines, sep="\n")


def short(figure):
    """A figure as there is room for it beside three columns"""
    return re.sub(r" fence\(s\) signaled", " fences", figure)


# What cost.sh says
COSTS = OrderedDict((("text.dma-buf.o", "text of dma-buf.o, bytes"),
                     ("text.dma-buf-poll.o", "text of dma-buf-poll.o, bytes"),
                     ("text.dma-resv.o", "text of dma-resv.o, bytes"),
                     ("sizeof.dma_buf", "sizeof(struct dma_buf)"),
                     ("lines", "lines changed in drivers, include and fs, without tests")))


def costs_of(base, variant):
    """What it costs, as cost.sh found out: name -> value"""
    path = os.path.join(TOP, "build", base, "log", f"cost-{variant}{arches.suffix()}.tsv")
    try:
        with open(path, encoding="utf-8") as source:
            return OrderedDict(line.rstrip("\n").split("\t") for line in source)
    except OSError:
        return {}


def cost_rows(costs):
    """A row for each cost; code that is the same in all of them is not worth one"""
    for key, label in COSTS.items():
        values = [each.get(key, "-") for each in costs]
        if set(values) == {"-"} or (key == "text.dma-resv.o" and len(set(values)) == 1):
            continue
        yield (label, *values)


def contract_rows(runs, wanted):
    """A row for each line of the contract, and for its figures that are wanted"""
    for line in LINES:
        yield (line.replace("_", "-"), *[run.cell(line) for run in runs])
        for key in joined(run.figures[line] for run in runs):
            values = [run.figures[line].get(key, "-") for run in runs]
            if wanted(key, values):
                yield ("  " + short(key), *values)


def write_readme(base, runs):
    """The table that README.md has"""
    rows = [("", *[run.variant for run in runs])]
    rows += contract_rows(runs, lambda key, values: README.search(key) and "-" not in values)
    rows += [("  " + label, *values)
             for label, *values in cost_rows([costs_of(base, run.variant) for run in runs])]
    if arches.suffix():
        put_table("Documentation/process/dma-buf-poll-arches.rst", "contract" + arches.suffix(), aligned(rows)[0])
    else:
        put_table("README.md", "table", aligned(rows)[0])


def of_arch():
    """Where it ran, if not on this machine's own"""
    return " on " + arches.suffix()[1:] if arches.suffix() else ""


def joined(dicts):
    """All keys of some dictionaries, in order"""
    return list(OrderedDict.fromkeys(key for each in dicts for key in each))


def show_table(base, runs):
    rows = [("contract", *[run.variant for run in runs])]
    rows += contract_rows(runs, lambda key, values: True)
    costs = [costs_of(base, run.variant) for run in runs]
    if any(costs):
        rows.append(("",) * (len(runs) + 1))
        rows.append(("what it costs", *[""] * len(runs)))
        for label, *values in cost_rows(costs):
            rows.append(("  " + label, *values))
    with open(os.path.join(TOP, "build", base, "base.id"), encoding="utf-8") as source:
        print(f"\npoll() on a dma-buf, {source.read().strip()}{of_arch()}: " +
              ", ".join(run.variant for run in runs) + "\n")
    table(rows)
    print()
    for run in runs:
        for trouble in run.trouble.split("; ") if run.trouble else ():
            print(f"{run.variant}: {trouble}")

    for run in runs:
        if run.variant == "stock":
            continue
        reasons = OrderedDict()
        for name, (state, why) in run.tests.items():
            if state == "skip":
                reasons.setdefault(why, []).append(name)
        for why, names in reasons.items():
            print(f"skipped on {run.variant}: {len(names)} x {why}")
        for name in run.failed():
            print(f"failed on {run.variant}: {name}")
        for line in run.untested():
            print(f"not tested on {run.variant}: {line}")


class Tally(ktap.Tally):
    """Of tests of guests"""

    def tests(self, run, prefix="", silent=()):
        """All tests of a run; what fails and is not promised counts as skipped"""
        for name, (state, why) in run.tests.items():
            if state == "fail" and name not in run.promises:
                state, why = "skip", f"fails, and is not promised: {run.promises.why_not(name)}"
            self.tell(state, prefix + name, why, state in silent)
        if run.trouble or not run.tests:
            self.tell("fail", prefix + "the guest", run.trouble or "no test ran")


def show_tests(base, runs):
    tally = Tally()
    for run in runs:
        if run.variant == "stock":
            continue
        tally.tests(run, run.variant + ": ")
        for line in run.untested():
            tally.tell("fail", f"{run.variant}: {line}", "nothing tests it")

    # What is known of the stock kernels.
    stock = runs[0]
    if base == "5.10":
        why = next((why for name, why in stock.down.items() if name.endswith(CRASH)), "survived")
        tally.tell("pass" if re.search(r"panicked: kernel BUG at .*dma-buf\.c:", why) else "fail",
                   f"stock: panics when {CRASH.replace('_', ' ')}", why)
    else:
        for line in ("exact", "no_lost_wakeup"):
            states = [stock.tests[name][0] for name in stock.of_line(line)
                      if not any(kind in name for kind in BELIEVERS)]
            passed, failed = states.count("pass"), states.count("fail")
            tally.tell("pass" if passed and not failed else "fail",
                       f"stock: keeps {line} for poll, select and epoll",
                       f"{passed} passed, {failed} failed")
        for kind in BELIEVERS:
            failed = sum(kind in name and stock.tests[name][0] == "fail"
                         for name in stock.of_line("exact"))
            tally.tell("pass" if failed else "fail", f"stock: breaks exact for {kind}",
                       f"{failed} failed")
        for line in ("one_wakeup", "quiet", "neutral", "names"):
            _, failed, _ = stock.count(line)
            tally.tell("pass" if failed else "fail", f"stock: breaks {line}", f"{failed} failed")
    return tally.end()


def show_count(base, name):
    """What failed in one run, and the counts of it"""
    tally = Tally()
    tally.tests(Run(base, name), silent=("pass",))
    return tally.end()


USAGE = """usage: report.py BASE [VARIANT]...
       report.py --tests|--readme BASE
       report.py --count BASE NAME
       report.py --promised BASE VARIANT NAME..."""


def main():
    args = sys.argv[1:]
    if args[:1] == ["--count"] and len(args) == 3:
        sys.exit(show_count(*args[1:]))
    if args[:1] == ["--promised"] and len(args) >= 3:
        promises = Promises(*args[1:3])
        for name in args[3:]:
            if name in promises:
                print(name)
        sys.exit(0)
    mode = args.pop(0) if args[:1] in (["--tests"], ["--readme"]) else None
    if not args or args[0].startswith("-") or (mode and len(args) > 1):
        sys.exit(USAGE)
    base = args[0]
    runs = [Run(base, variant + arches.suffix(), variant) for variant in args[1:] or promises_of(base)]
    for run in runs:
        if run.variant != "stock" and not run.tests:
            sys.exit(f"error: no test ran on {base} {run.variant}" +
                     (f": {run.trouble}" if run.trouble else ""))
    if mode == "--tests":
        sys.exit(show_tests(base, runs))
    if mode == "--readme":
        write_readme(base, runs)
        sys.exit(0)
    show_table(base, runs)
    sys.exit(1 if any(run.failed() or run.trouble or run.untested()
                      for run in runs if run.variant != "stock") else 0)


if __name__ == "__main__":
    main()
