#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Put what the event loops did on the stock kernel beside what they do on another.

clients.py BASE VARIANT reads what clients.sh left in build/BASE/clients and
build/BASE/log, and prints a table, what failed, and a line for each client. Ends with
N passed, N failed, N skipped. The status is 0 only if every client that could be run
does well on the variant, and the stock kernel was seen to fail.

clients.sh calls it. With --readme BASE it puts the table of rework into the document
about the clients.
"""

import os
import re
import sys
from collections import OrderedDict, defaultdict

TOOLS = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
TOP = os.path.realpath(os.path.join(TOOLS, "../.."))

sys.path.insert(0, TOOLS)
import ktap  # noqa: E402
from documents import put_table  # noqa: E402

DOCUMENT = "Documentation/process/dma-buf-poll-clients.rst"

# Of two seconds in which a program does nothing; a busy loop takes all of them.
IDLE = "go_idle"
IDLE_CPU_S = 0.1

COLUMNS = (("callbacks", "callbacks"), ("early", "early"), ("loops", "rounds"),
           ("wakeups", "wake-ups"), ("cpu_ms", "CPU ms"), ("idle_cpu_ms", "idle ms"),
           ("kept", "kept"))

RESULT = re.compile(r"^(not ok|ok) (?:\d+ )?(\S+)(?:: | - )?(.*)$")


def fail(text):
    sys.exit(f"error: {text}")


class Run:
    """What one guest said."""

    def __init__(self, base, variant):
        self.results = {}
        self.figures = defaultdict(dict)
        self.versions = {}
        path = os.path.join(TOP, "build", base, "log", f"clients-{variant}.results")
        status = os.path.join(TOP, "build", base, "clients", f"{variant}.status")
        try:
            with open(status, encoding="utf-8") as source:
                self.trouble = ktap.TROUBLE.get(int(source.read()))
            with open(path, encoding="utf-8", errors="replace") as source:
                for line in source:
                    self.line(line.rstrip())
        except OSError as error:
            fail(f"{error.filename} is missing: run 'make clients' first")
        if "cpu_s" in self.figures[IDLE]:
            self.judge_idle()

    def line(self, line):
        fields = line.split(None, 4)
        if line.startswith("# client: ") and len(fields) == 5:
            self.figures[fields[2]][fields[3]] = fields[4]
        elif line.startswith("# version: "):
            self.versions[fields[2]] = line.split(None, 3)[-1]
        elif line.startswith("# result: user.go.cpu"):
            self.figures[IDLE]["cpu_s"] = float(fields[3])
        else:
            match = RESULT.match(line)
            if match:
                state, name, why = match.groups()
                name = IDLE if name.startswith("user.go") else name
                skipped = re.match(r"#\s*SKIP\s*(.*)", why, re.I)
                if skipped:
                    self.results[name] = ("skip", skipped.group(1))
                else:
                    self.results[name] = ("pass" if state == "ok" else "fail", why)

    def judge_idle(self):
        """poll_bench measures, and does not judge."""
        cpu = self.figures[IDLE]["cpu_s"]
        if cpu > IDLE_CPU_S:
            self.results[IDLE] = ("fail", f"busy loop: {cpu:.3f} s of CPU in 2 s in which nothing happens")

    def result(self, name):
        return self.results.get(name, ("fail", self.trouble or "did not run to its end"))

    def cells(self, name):
        """The verdict, then the figures"""
        state, _ = self.result(name)
        figures = self.figures[name]
        if name == IDLE and "cpu_s" in figures:
            figures = {"cpu_ms": f"{figures['cpu_s'] * 1000:.0f}",
                       "idle_cpu_ms": f"{figures['cpu_s'] * 1000:.0f}"}
        return [{"pass": "ok", "fail": "FAILS", "skip": "skipped"}[state]] + \
            [figures.get(key, "-") for key, _ in COLUMNS]


def aligned(rows):
    """The lines of a table, with one below its head"""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    rows.insert(1, ["-" * width for width in widths])
    for row in rows:
        cells = [cell.ljust(width) if i in (0, 1, len(COLUMNS) + 2) else cell.rjust(width)
                 for i, (cell, width) in enumerate(zip(row, widths))]
        yield "  ".join(cells).rstrip()


def table(clients, kernel, stock, ours, other):
    """What it is of, and the table"""
    head = [title for _, title in COLUMNS]
    rows = [["client", "stock", *head, other, *head]]
    for name, (what, missing) in clients.items():
        if missing:
            rows.append([what, "skipped", *["-"] * len(head), "skipped", *["-"] * len(head)])
        else:
            rows.append([what, *stock.cells(name), *ours.cells(name)])
    return [f"Event loops that wait for 64 dma-bufs with 4 fences each, {kernel}", "", *aligned(rows)]


def load(base):
    """name -> (what it is, why it cannot be run)"""
    clients = OrderedDict()
    path = os.path.join(TOP, "build", base, "clients", "list")
    try:
        with open(path, encoding="utf-8") as source:
            for line in source:
                name, what, missing = line.rstrip("\n").split("\t")
                clients[name] = (what, missing)
        with open(os.path.join(TOP, "build", base, "base.id"), encoding="utf-8") as source:
            kernel = source.read().strip()
    except OSError as error:
        fail(f"{error.filename} is missing: run 'make clients' first")
    return clients, kernel


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: clients.py BASE VARIANT\n       clients.py --readme BASE")
    base, other = sys.argv[1], sys.argv[2]
    readme = base == "--readme"
    if readme:
        base, other = other, "rework"
    clients, kernel = load(base)
    stock, ours = Run(base, "stock"), Run(base, other)
    lines = table(clients, kernel, stock, ours, other)
    if readme:
        put_table(DOCUMENT, "clients", lines)
        return

    print("", *lines, "", sep="\n")
    for version in OrderedDict.fromkeys(ours.versions.values()):
        print(f"with {version}")
    for name, (what, missing) in clients.items():
        state, why = stock.result(name)
        if not missing and state == "fail":
            print(f"stock: {what}: {why}")
    print()

    tally = ktap.Tally()
    ran = [name for name in clients if not clients[name][1]]
    for name, (_, missing) in clients.items():
        if missing:
            tally.tell("skip", f"{other}: {name}", missing)
        else:
            tally.tell(*ours.result(name)[:1], f"{other}: {name}", ours.result(name)[1])
    if ours.trouble:
        tally.tell("fail", f"{other}: the guest", ours.trouble)
    # A client that finds nothing there finds nothing here.
    blind = [name for name in ran if stock.result(name)[0] == "pass"]
    if [name for name in ran if stock.result(name)[0] != "skip"]:
        tally.tell("fail" if blind else "pass", "stock: every client is seen to fail", ", ".join(blind))
    sys.exit(tally.end() or not tally.count["pass"])


if __name__ == "__main__":
    main()
