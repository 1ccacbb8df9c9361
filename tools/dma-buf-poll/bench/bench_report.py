#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Make one table of what bench.sh measured, and judge it.

bench_report.py BASE [VARIANT] reads build/BASE/bench/*.results, or those in
bench-VARIANT if that is not rework, writes results.tsv, results.json, report.md and
report.svg beside them, and prints the table. The status is 0 only if every
requirement is met; the file promises says which are not made of a variant.

bench_report.py --readme BASE puts the table, what one fence or watcher more costs, and
the picture where there is one of that base, into the document about the cost.

With ARCH= it is the figures of two architectures side by side that go there.

bench_report.py --compare A B puts two of those side by side: each is a
results.tsv, a directory that holds one, or a base.

bench.sh and make bench-compare call it.
"""

import argparse
import glob
import json
import os
import re
import shutil
import subprocess
import sys
from collections import OrderedDict

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "../test"))
import report as contract  # noqa: E402
arches = contract.arches

TOP = contract.TOP
HERE = os.path.dirname(os.path.realpath(__file__))
DOCUMENT = "Documentation/process/dma-buf-poll-cost.rst"
FENCES = (1, 4, 16, 64)
WATCHERS = (0, 16, 256, 4096)
SIGNALED = (0, 1, 4, 16, 64)
THREADS = (1, 2, 4, 8)
ORDERS = (("in_order", "in order"), ("random", "at random"), ("reverse", "in reverse"))
WAITS = ORDERS + (("reverse_again", "in reverse again"),)
FRAMES = (("in_order", "in order"), ("random", "at random"), ("held", "in order, lock held"))
FRAME_FENCES = (1, 2, 4, 8)

RESULT = re.compile(r"^# result: (\S+)\t(\S+)\t(\S.*)$")
SKIP = re.compile(r"^ok \d+ (?:- )?# SKIP ([^:]+): (.*)$")
NOT_OK = re.compile(r"^not ok \d+ (?:- )?([^:]+): (.*)$")


def die(text):
    sys.exit(f"error: {text}")


class Results:
    """All figures of one base, by variant and name; each a list of passes."""

    def __init__(self, base, variant):
        self.promises = contract.Promises(base, variant)
        self.variant = variant
        self.variants = ("stock", variant)
        # and those of which some figures stand beside
        self.all = self.variants + (("fixes",) if variant == "rework" else ())
        self.values = {variant: OrderedDict() for variant in self.all}
        self.units = OrderedDict()
        self.missing = {variant: OrderedDict() for variant in self.all}

    def read(self, path, variant):
        with open(path, encoding="utf-8", errors="replace") as source:
            for line in source:
                line = line.rstrip("\r\n")
                match = RESULT.match(line)
                if match:
                    name, value, unit = match.groups()
                    self.units[name] = unit
                    self.values[variant].setdefault(name, []).append(float(value))
                    continue
                match = SKIP.match(line) or NOT_OK.match(line)
                if match:
                    self.missing[variant][match.group(1)] = match.group(2)

    def get(self, variant, name):
        """Of counters the last pass; of costs the better one; rates, the best."""
        passes = self.values[variant].get(name)
        if not passes:
            return None
        return max(passes) if self.units[name] == "polls/s" else min(passes)

    def ours(self, name):
        """The same of what is held against the stock kernel"""
        return self.get(self.variant, name)

    def required(self, name):
        """Is anything required of that figure?"""
        return f"bench:{name}" in self.promises

    def counted(self, name):
        """Is this a figure that has to repeat exactly?"""
        return self.units[name] in ("insn", "wake-ups") and not name.startswith("cpu.")


def load(base, variant):
    results = Results(base, variant)
    name = ("bench" if variant == "rework" else f"bench-{variant}") + arches.suffix()
    directory = os.path.join(TOP, "build", base, name)
    paths = sorted(glob.glob(os.path.join(directory, "*.results")))
    if not paths:
        die(f"no build/{base}/{name}/*.results: run 'make bench BASE={base} VARIANT={variant}' first")
    for path in paths:
        of = os.path.basename(path).split("-")[0]
        if of in results.all:
            results.read(path, of)
    return results, directory


def number(value):
    if value is None:
        return "-"
    if value == int(value):
        return f"{int(value):,}"
    return f"{value:.3f}" if value < 10 else f"{value:,.1f}"


class Grid:
    """Rows of cells under a head, in sections, and how many of them fail."""

    def __init__(self, results, head, left):
        self.results = results
        self.head = head
        # the columns of text
        self.left = left
        self.rows = []
        self.failed = 0
        self.unknown = 0

    def heading(self, text):
        self.rows.append((text,))

    def judge(self, value, limit, strict=False):
        """What is said of what may reach the limit, or must stay below."""
        if value is None or limit is None:
            self.unknown += 1
            return "unknown"
        if value < limit or (value == limit and not strict):
            return "pass"
        self.failed += 1
        return "FAIL"

    def text(self):
        columns = range(len(self.head))
        full = [row for row in self.rows if len(row) > 1]
        width = [max(len(row[i]) for row in full + [self.head]) for i in columns]
        lines = []
        for row in [self.head] + self.rows:
            if len(row) == 1:
                lines += ["", row[0]]
                continue
            cells = [row[i].ljust(width[i]) if i in self.left else row[i].rjust(width[i])
                     for i in columns]
            lines.append("  ".join(cells).rstrip())
        return "\n".join(lines)

    def markdown(self):
        lines = ["| " + " | ".join(self.head) + " |",
                 "|" + "|".join("---" if i in self.left else "--:"
                                for i in range(len(self.head))) + "|"]
        for row in self.rows:
            if len(row) == 1:
                lines.append(f"| **{row[0]}** |" + " |" * (len(self.head) - 1))
            else:
                cells = (cell.replace("|", "\\|") for cell in row)
                lines.append("| " + " | ".join(cells) + " |")
        return "\n".join(lines)


class Table(Grid):
    """Rows of: figure, stock, the other, ratio, required, verdict."""

    def __init__(self, results):
        super().__init__(results, ("figure", "stock", results.variant, "ratio",
                                   f"required of {results.variant}", ""), (0, 4, 5))

    def row(self, label, name, required="", limit=None, strict=False):
        """One figure; limit is what the variant may reach, or must stay below."""
        stock = self.results.get("stock", name)
        ours = self.results.ours(name)
        if not self.results.required(name):
            required = ""
        ratio = f"{ours / stock:.3f}" if stock and ours is not None else "-"
        verdict = ""
        if required:
            verdict = self.judge(ours, limit, strict)
            if limit is not None:
                required = f"{required}: {number(limit)}"
        self.rows.append((label, number(stock), number(ours), ratio, required, verdict))


class FrameTable(Grid):
    """Rows of: figure, each of the variants, exported sync_files instead, verdict."""

    def __init__(self, results):
        self.variants = [variant for variant in ("stock", "fixes", "rework")
                         if variant in results.variants or results.values.get(variant)]
        super().__init__(results, ("figure", *self.variants, "exported sync_files", ""),
                         (0, len(self.variants) + 2))

    def row(self, label, figure, order, n, required="", limit=None, strict=False):
        """One figure, with %s for the row; of what is not measured there is none."""
        name = figure % f"frames.{order}.{n}"
        values = [self.results.get(variant, name) for variant in self.variants]
        values.append(self.results.ours(figure % f"frames.export_{order}.{n}"))
        if values == [None] * len(values):
            return
        if limit is None or not self.results.required(name):
            required = ""
        if required:
            required += ": " + self.judge(self.results.ours(name), limit, strict)
        self.rows.append((f"{label}, N={n}", *map(number, values), required))


def times(factor, value):
    return None if value is None else factor * value


def growth(results, variant, stem, points):
    """What one more costs, between the first and the last point."""
    first = results.get(variant, f"{stem}.{points[0]}")
    last = results.get(variant, f"{stem}.{points[-1]}")
    if first is None or last is None:
        return None
    return (last - first) / (points[-1] - points[0])


def make_table(results):
    table = Table(results)
    ours = results.ours
    stock = lambda name: results.get("stock", name)

    table.heading("One poll that returns at once, guest instructions")
    table.row("ready pipe", "poll.pipe")
    table.row("eventfd", "poll.eventfd")
    table.row("export as sync_file, poll, close", "poll.export_sync_file")
    for name, label in (("in", "IN"), ("out", "OUT"), ("inout", "IN|OUT")):
        near = results.required("near.pipe")
        table.row(f"idle, {label}", f"poll.idle.{name}",
                  "1.05 x the ready pipe" if near else "at most stock",
                  times(1.05, ours("poll.pipe")) if near else stock(f"poll.idle.{name}"))
    table.row("busy, IN", "poll.busy.in", "at most stock", stock("poll.busy.in"))
    table.row("busy, OUT", "poll.busy.out")
    table.row("busy, IN|OUT", "poll.busy.inout")
    for n in WATCHERS:
        if n:
            table.row(f"idle, {n} epoll watchers", f"poll.watchers.{n}", "flat within 2 %",
                      times(1.02, ours("poll.watchers.0")))
        else:
            table.row("idle, no epoll watcher", "poll.watchers.0")
    for n in SIGNALED:
        table.row(f"idle, {n} signaled fences left", f"poll.signaled.{n}", "at most stock",
                  stock(f"poll.signaled.{n}"))

    table.heading("A whole wait on N fences, guest instructions, signals included")
    for n in FENCES:
        table.row(f"the signals alone, N={n}", f"signals.{n}")
    for order, label in ORDERS:
        for n in FENCES:
            table.row(f"export as sync_file, {label}, N={n}", f"export.{order}.{n}")
    for n in FENCES:
        table.row(f"drm_syncobj and eventfd, in order, N={n}", f"syncobj.in_order.{n}")
    for order, label in WAITS:
        for n in FENCES:
            name = f"wait.{order}.{n}"
            if order.startswith("reverse"):
                table.row(f"poll, {label}, N={n}", name, "below stock", stock(name), True)
                continue
            table.row(f"poll, {label}, N={n}", name, "below the exported sync_file",
                      ours(f"export.{order}.{n}"), True)
            if n == FENCES[-1]:
                near = results.required(f"near.signals.{order}")
                table.row(f"poll, {label}, N={n}", name, "1.25 x the signals" if near else "",
                          times(1.25, ours(f"signals.{n}")))
    for order, label in WAITS:
        for n in FENCES:
            table.row(f"wake-ups, {label}, N={n}", f"wakeups.wait.{order}.{n}", "one", 1)
    table.row("last signal to return of poll, N=1", "latency.wait.in_order.1", "at most stock",
              stock("latency.wait.in_order.1"))

    table.heading("One buffer polled by several threads on 4 CPUs, polls per second of real time")
    for what, label in (("idle", "idle"), ("busy", "busy"),
                        ("idle_contended", "idle, lock contended"),
                        ("busy_contended", "busy, lock contended")):
        for n in THREADS:
            table.row(f"{label}, {n} threads", f"threads.{what}.{n}")
    for what, label in (("idle_contended", "idle"), ("busy_contended", "busy")):
        for n in THREADS:
            table.row(f"sleeps in poll, {label}, lock contended, {n} threads",
                      f"sleeps.threads.{what}.{n}", "none", 0)

    table.heading("An idle buffer polled by 8 threads on 4 CPUs: what each poll executes")
    table.row("instructions of poll and dma-resv", "idle.instructions")
    table.row("of these, writes to memory but the stack", "idle.stores", "none", 0)
    table.row("functions called, as for a lock", "idle.calls", "none", 0)

    table.heading("What a program feels that watches an idle buffer")
    table.row("edge-triggered epoll, CPU seconds in 2 s", "user.epoll_et.cpu")
    table.row("edge-triggered epoll, events in 2 s", "user.epoll_et.events", "one", 1)
    table.row("a Go program that wraps it, CPU seconds in 2 s", "user.go.cpu")
    table.row("io_uring multishot, completions", "user.io_uring_multishot", "one", 1)

    table.heading("Size, bytes")
    size = stock("sizeof.dma_buf")
    table.row("struct dma_buf", "sizeof.dma_buf", "stock and 64", size and size + 64)
    table.row("code of poll", "text.poll")
    return table


def make_frame_table(results):
    table = FrameTable(results)
    table.heading("Compositor, client and GPU on three buffers, per frame, guest instructions")
    for what, figure in (("compositor's wake-ups", "wakeups.%s.compositor"),
                         ("client's wake-ups", "wakeups.%s.client"),
                         ("CPU time of all three", "cpu.%s"),
                         ("files opened to wait on", "files.%s"),
                         ("longest look that is not to sleep", "longest.%s"),
                         ("last signal to return of poll, at most", "late.%s")):
        for order, label in FRAMES:
            for n in FRAME_FENCES:
                name = figure % f"frames.{order}.{n}"
                required = ()
                if results.variant == "rework" and "wake-ups" in what:
                    required = ("at most 1.1 x fixes", times(1.1, results.get("fixes", name)))
                elif order == "held" and what.startswith("longest"):
                    required = ("below stock", results.get("stock", name), True)
                table.row(f"{what}, {label}", figure, order, n, *required)
    return table


def growths(results):
    """What one fence or one watcher more costs"""
    for stem, points, label in (("poll.signaled", SIGNALED, "a signaled fence left in the buffer"),
                                ("poll.watchers", WATCHERS, "a watcher"),
                                ("wait.in_order", FENCES, "a fence, waited for in order"),
                                ("wait.random", FENCES, "a fence, waited for at random"),
                                ("wait.reverse", FENCES, "a fence, waited for in reverse"),
                                ("signals", FENCES, "the signal of a fence alone")):
        values = [growth(results, variant, stem, points) for variant in results.variants]
        if None not in values:
            yield (f"{label} costs {values[0]:,.1f} instructions on stock, "
                   f"{values[1]:,.1f} with {results.variant}")


def notes(results):
    """All there is to say about what was not measured or differs"""
    lines = []
    for variant in results.all:
        for name, why in results.missing[variant].items():
            lines.append(f"{variant}: {name} was not measured: {why}")

    differ = []
    single = 0
    for variant in results.all:
        for name, passes in results.values[variant].items():
            if not results.counted(name):
                continue
            if len(passes) < 2:
                single += 1
            elif len(set(passes)) > 1:
                differ.append(f"{variant} {name}: {' / '.join(number(p) for p in passes)}")
    if single:
        lines.append(f"{single} counted figures come from one pass only")
    if differ:
        lines.append("the two passes DIFFER in: " + "; ".join(differ))
    else:
        lines.append("the passes agree to the instruction in every counted figure")
    return lines


def write_tsv(results, path):
    names = list(results.units)
    with open(path, "w", encoding="utf-8") as out:
        out.write("name\tunit\tstock\tours\tstock_passes\tours_passes" +
                  "".join(f"\t{v}\t{v}_passes" for v in results.all[2:]) + "\n")
        for name in names:
            cells = [name, results.units[name]]
            cells += [repr(results.get(v, name)) if results.get(v, name) is not None else ""
                      for v in results.variants]
            cells += [",".join(repr(p) for p in results.values[v].get(name, [])) for v in results.variants]
            for v in results.all[2:]:
                value = results.get(v, name)
                cells += [repr(value) if value is not None else "",
                          ",".join(repr(p) for p in results.values[v].get(name, []))]
            out.write("\t".join(cells) + "\n")


def write_json(results, failed, path):
    data = {
        "results": {name: {"unit": results.units[name],
                           **{v: results.values[v].get(name, []) for v in results.all}}
                    for name in results.units},
        "missing": results.missing,
        "failed": failed,
    }
    with open(path, "w", encoding="utf-8") as out:
        json.dump(data, out, indent=1)
        out.write("\n")


def block(name, pairs):
    lines = [f"${name} << EOD"]
    lines += [f"{x} {y}" for x, y in pairs if y is not None]
    return "\n".join(lines + ["EOD"])


def write_svg(results, base, path):
    """Three pictures: one poll, growth with watchers, growth with fences."""
    if not shutil.which("gnuplot"):
        return "no gnuplot here, so no picture: apt-get install gnuplot-nox"

    def curve(variant, stem, points, offset=0):
        return [(n + offset, results.get(variant, f"{stem}.{n}")) for n in points]

    bars = (("pipe", "poll.pipe"), ("eventfd", "poll.eventfd"), ("idle IN", "poll.idle.in"),
            ("idle OUT", "poll.idle.out"), ("idle IN|OUT", "poll.idle.inout"),
            ("busy IN", "poll.busy.in"), ("export, poll", "poll.export_sync_file"))
    data = ["$bars << EOD"]
    for label, name in bars:
        pair = [results.get(v, name) for v in results.variants]
        if None not in pair:
            data.append(f'"{label}" {pair[0]} {pair[1]}')
    data.append("EOD")
    for variant, name in zip(results.variants, ("stock", "ours")):
        data.append(block(f"w_{name}", curve(variant, "poll.watchers", WATCHERS, 1)))
        for order, _ in ORDERS:
            data.append(block(f"f_{name}_{order}", curve(variant, f"wait.{order}", FENCES)))
    data.append(block("export", curve(results.variant, "export.in_order", FENCES)))
    data.append(block("syncobj", curve(results.variant, "syncobj.in_order", FENCES)))
    data.append(block("signals", curve(results.variant, "signals", FENCES)))
    pipe = results.ours("poll.pipe") or 0

    def have(name):
        return any(entry.startswith(f"${name} ") and entry.count("\n") > 1 for entry in data)

    waits = [("f_stock_in_order", 1, 1, "stock, in order"), ("f_stock_random", 1, 2, "stock, random"),
             ("f_stock_reverse", 1, 3, "stock, reverse"),
             ("f_ours_in_order", 2, 1, f"{results.variant}, in order"),
             ("f_ours_random", 2, 2, f"{results.variant}, random"),
             ("f_ours_reverse", 2, 3, f"{results.variant}, reverse"),
             ("syncobj", 4, 1, "drm_syncobj and eventfd"), ("export", 3, 1, "exported sync_file"),
             ("signals", 5, 4, "the signals alone")]
    wait_plots = [f'${name} with linespoints ls {style} dt {dash} title "{title}"'
                  for name, style, dash, title in waits if have(name)]
    watch_plots = [f'$w_{v} with linespoints ls {style} title "{title}"'
                   for v, style, title in (("stock", 1, "stock"), ("ours", 2, results.variant))
                   if have(f"w_{v}")]
    watch_plots.append(f'{pipe} with lines ls 5 dt 4 title "ready pipe"')

    script = "\n".join(data) + f"""
set terminal svg size 1500,640 dynamic noenhanced font "sans-serif,13" background "white"
set output "{path}"
set style line 1 lc rgb "#c0392b" lw 2 pt 7 ps 0.6
set style line 2 lc rgb "#1f77b4" lw 2 pt 7 ps 0.6
set style line 3 lc rgb "#2c8a4b" lw 2 pt 5 ps 0.6
set style line 4 lc rgb "#8e6bbf" lw 2 pt 9 ps 0.6
set style line 5 lc rgb "#666666" lw 1.5 pt 13 ps 0.6
set multiplot layout 1,3 title "Polling a dma-buf on {base}: guest instructions, less is better"
set grid ytics lc rgb "#dddddd"
set border 3
set tics nomirror
set format y "%.0f"
set title "one poll that returns at once"
set style data histograms
set style histogram clustered gap 1
set style fill solid 0.9 noborder
set boxwidth 0.9
set xtics rotate by -40
set key top left
set yrange [0:*]
plot $bars using 2:xtic(1) ls 1 title "stock", "" using 3 ls 2 title "{results.variant}"
set xtics norotate
set style data lines
set title "one poll of an idle buffer, and its epoll watchers"
set logscale xy
set yrange [400:*]
set xrange [0.8:6000]
set key outside bottom center horizontal
set xtics ("0" 1, "16" 17, "256" 257, "4096" 4097)
set xlabel "epoll instances that watch the buffer"
plot {", ".join(watch_plots)}
set title "a whole wait, the signals included"
set xrange [0.8:80]
set xtics (1, 4, 16, 64)
set xlabel "fences to wait for"
plot {", ".join(wait_plots) or "0"}
unset multiplot
"""
    done = subprocess.run(["gnuplot"], input=script, text=True, stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, check=False)
    if done.returncode:
        return "gnuplot failed: " + (done.stderr.strip().splitlines() or ["no reason given"])[-1]
    return None


def what_of(directory):
    """What was measured, and with what"""
    try:
        with open(os.path.join(directory, "what"), encoding="utf-8") as source:
            return [line.strip() for line in source]
    except OSError:
        return []


def make_tables(results):
    return make_table(results), make_frame_table(results)


def missed(tables):
    return (f"{sum(table.failed for table in tables)} requirements missed, "
            f"{sum(table.unknown for table in tables)} unknown")


def write_document(base):
    results, directory = load(base, "rework")
    if arches.suffix():
        # Beside what the same run says on this machine's own
        contract.put_table(DOCUMENT, "bench" + arches.suffix(), arch_table(base, directory))
        return 0
    tables = make_tables(results)
    # The commit says nothing to a reader.
    what = [line for line in what_of(directory) if not re.fullmatch("[0-9a-f]{40}", line)]
    contract.put_table(DOCUMENT, "bench", [
        *what, "", *(line for table in tables for line in (*table.text().split("\n"), "")),
        *growths(results), "", missed(tables)])
    picture = os.path.join(HERE, f"bench-{base}.svg")
    made = os.path.join(directory, "report.svg")
    if os.path.exists(picture) and os.path.exists(made):
        shutil.copyfile(made, picture)
    return 0


def arch_table(base, directory):
    """What repeats exactly on the other architecture, beside this machine's if that was measured"""
    beside = os.path.join(TOP, "build", base, "bench/results.tsv")
    here, there = read_tsv(beside) if os.path.exists(beside) else {}, read_tsv(directory)
    name = arches.suffix()[1:]
    lines = [("figure", *([f"{arches.OWN} stock", "rework", "ratio"] if here else ()), f"{name} stock", "rework", "ratio")]
    for figure, values in there.items():
        if not re.match(r"(poll|signals|wait|export|sizeof|text)\.", figure):
            continue
        cells = [figure]
        for stock, ours in [here.get(figure, [None] * 2)] * bool(here) + [values]:
            cells += [number(stock), number(ours), f"{ours / stock:.3f}" if stock and ours is not None else "-"]
        lines.append(tuple(cells))
    return aligned_right(lines)


def aligned_right(lines):
    """As text: the first column is left as it is"""
    width = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return ["  ".join([line[0].ljust(width[0])] + [cell.rjust(width[i + 1]) for i, cell in enumerate(line[1:])])
            for line in lines]


def report(base, variant):
    results, directory = load(base, variant)
    tables = make_tables(results)
    failed = sum(table.failed + table.unknown for table in tables)
    remarks = [*growths(results), *notes(results)]
    write_tsv(results, os.path.join(directory, "results.tsv"))
    write_json(results, failed, os.path.join(directory, "results.json"))
    trouble = write_svg(results, base, os.path.join(directory, "report.svg"))
    if trouble:
        remarks.append(trouble)
    what = what_of(directory)

    with open(os.path.join(directory, "report.md"), "w", encoding="utf-8") as out:
        out.write(f"# What polling a dma-buf costs on {base}\n\n")
        out.write(f"Made by `make bench BASE={base} VARIANT={variant}` from: {'; '.join(what)}.\n\n")
        if not trouble:
            out.write("![cost of polling](report.svg)\n\n")
        for table in tables:
            out.write(table.markdown() + "\n\n")
        out.write("".join(f"- {line}\n" for line in remarks))

    for table in tables:
        print(table.text())
        print()
    for line in remarks:
        print(line)
    print(f"\n{missed(tables)}: "
          f"see {os.path.relpath(directory, TOP)}/report.md")
    return 1 if failed else 0


def read_tsv(where):
    for path in (where, os.path.join(where, "results.tsv"),
                 os.path.join(TOP, "build", where, "bench", "results.tsv")):
        if os.path.isfile(path):
            break
    else:
        die(f"no results at '{where}': name a results.tsv, a directory with one, or a base")
    rows = OrderedDict()
    with open(path, encoding="utf-8") as source:
        head = source.readline().rstrip("\n").split("\t")
        if head[:4] != ["name", "unit", "stock", "ours"]:
            die(f"{path} is no table of results")
        for line in source:
            cells = line.rstrip("\n").split("\t")
            rows[cells[0]] = [float(cell) if cell else None for cell in cells[2:4]]
    return rows


def compare(where_a, where_b):
    rows_a, rows_b = read_tsv(where_a), read_tsv(where_b)
    lines = [("figure", "stock A", "stock B", "B/A", "ours A", "ours B", "B/A")]
    for name in list(rows_a) + [name for name in rows_b if name not in rows_a]:
        a, b = rows_a.get(name, [None] * 2), rows_b.get(name, [None] * 2)
        cells = [name]
        for i in (0, 1):
            ratio = f"{b[i] / a[i]:.3f}" if a[i] and b[i] is not None else "-"
            cells += [number(a[i]), number(b[i]), ratio]
        lines.append(tuple(cells))
    for line in aligned_right(lines):
        print(line)
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("base", nargs="?")
    parser.add_argument("variant", nargs="?", default="rework")
    parser.add_argument("--readme", action="store_true")
    parser.add_argument("--compare", nargs=2, metavar=("A", "B"))
    args = parser.parse_args()
    if args.compare:
        return compare(*args.compare)
    if not args.base:
        parser.error("name a BASE, or --compare A B")
    if args.readme:
        return write_document(args.base)
    return report(args.base, args.variant)


if __name__ == "__main__":
    sys.exit(main())
