#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The contract after each patch: what does each one change, and does any make it worse?

steps.py [--message] BASE [STEP]...: builds and boots the stock kernel and then the
kernel after each patch of the topics that changes code in drivers, include or fs,
and prints contract lines down and patches across, each with the tests that pass and
fail and the figures that change. --message says of each patch what it changes, as
its commit message may. STEP is a number of that table, or a part of a subject; with
any, only these are built, and those that are known already are shown.

The tests are the last ones for every step, and built once. What a step did is kept
in build/BASE/steps, by the hash of its code, the tests and the configuration, so
that only what is new is built and booted; a step whose kernel is the same as that
of another one has its results.

A test that a variant promises and that passed once must not fail later, and figures
that say how often something happens must not rise. What seems to be worse is run
again, twice at most, and so is what was better before: that may have been luck. The
status is 1 if something is.

Takes build/BASE/src and the kselftest; make steps calls it.
"""

import argparse
import fcntl
import fnmatch
import glob
import hashlib
import json
import os
import re
import subprocess
import sys
from collections import OrderedDict

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import report  # noqa: E402
arches = report.arches

TOP, TOOLS = report.TOP, report.TOOLS
CODE = ("drivers", "include", "fs")
# Changes to these change no kernel that is booted here, or only its tests.
NO_CODE = ("*/st-*", "*kunit*", "*/tests/*", "*/selftests/*")
# Programs of the kselftest that say nothing about a single patch, or take too long.
LEFT_OUT = ("poll_bench", "poll_clients", "poll_example", "poll_frames", "poll_fuzz", "poll_race",
            "poll_virtio")
# What the guest that counts instructions measures
BENCH = ("poll.pipe", "poll.idle.in", "poll.busy.in", "poll.watchers.256", "wait.in_order.64",
         "wait.random.16", "wait.reverse.16")
ATTEMPTS = 3
WIDTH = 118

# line of the contract, what the test says, label, and for which variant it must not rise
ALL = ("fixes", "rework", "classic")
FIGURES = (
    ("one_wakeup", "wake-ups of one poll for 64 fence(s) signaled in order",
     "wake-ups, 64 in order", ALL[:2]),
    ("one_wakeup", "wake-ups of one poll for 16 fence(s) signaled at random",
     "wake-ups, 16 at random", ("rework",)),
    ("one_wakeup", "wake-ups of one poll for 16 fence(s) signaled in reverse",
     "wake-ups, 16 in reverse", ("rework",)),
    ("quiet", "edges in 1000 epoll_wait for IN on an idle buffer", "edges of 1000", ALL),
    ("quiet", "edges of a watcher while others polled 100 times", "edges, others poll", ALL),
    ("neutral", "file references held by a poll that has returned", "references held", ALL),
    ("neutral", "file references after the last close, fence pending", "references, closed", ALL),
    ("neutral", "fences of 4 still referenced after the last close", "fences kept of 4", ALL),
)
# These may rise: what a patch costs has to be weighed, and is for its message.
COSTS = OrderedDict((
    ("insn.poll.pipe", "ready pipe"),
    ("insn.poll.idle.in", "idle"),
    ("insn.poll.busy.in", "busy"),
    ("insn.poll.watchers.256", "idle, 256 watchers"),
    ("insn.wait.in_order.64", "wait, 64 in order"),
    ("insn.wait.random.16", "wait, 16 at random"),
    ("insn.wait.reverse.16", "wait, 16 in reverse"),
    ("text.dma-buf.o", "text of dma-buf.o"),
    ("text.dma-buf-poll.o", "text of dma-buf-poll.o"),
    ("text.dma-resv.o", "text of dma-resv.o"),
    ("sizeof.dma_buf", "struct dma_buf"),
))


def die(text):
    sys.exit(f"error: {text}")


def say(text):
    print(text, file=sys.stderr, flush=True)


def digest(*texts):
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]


def read(*path):
    with open(os.path.join(*path), encoding="utf-8", errors="replace") as source:
        return source.read()


def is_code(path):
    return path.split("/")[0] in CODE and not any(fnmatch.fnmatchcase(path, p) for p in NO_CODE)


class Step:
    """The stock kernel, or the kernel after one patch"""

    def __init__(self, number, commit, topic, subject, code):
        self.number, self.commit, self.topic = number, commit, topic
        self.subject, self.code = subject, code
        self.key = self.data = None
        # What got worse: name -> why, and name -> the step that was better
        self.worse = OrderedDict()
        self.better = OrderedDict()

    def name(self):
        return f"{self.topic}: {self.subject}" if self.topic else self.subject

    def matches(self, wanted):
        if wanted.isdigit():
            return self.number == int(wanted)
        return self.number is not None and wanted.lower() in self.name().lower()


class Steps:
    """All of them for one base, and what is needed to run one"""

    def __init__(self, base):
        self.base = base
        self.out = os.path.join(TOP, "build", base)
        self.dir = os.path.join(self.out, "steps")
        self.image = os.path.join(self.out, "step/src/obj", arches.of()["image"])
        self.env = dict(os.environ, DBP_STEP="1", KBUILD_BUILD_VERSION="1")
        self.programs = self.tests = None
        self.list = []

    def git(self, *args):
        ran = subprocess.run(["git", "-C", os.path.join(self.out, "src"), *args],
                             capture_output=True, text=True, check=False)
        if ran.returncode:
            die(f"{self.base}: git {args[0]}: {ran.stderr.strip().splitlines()[-1:]}")
        return ran.stdout

    def call(self, script, *args, **kwargs):
        """A script of ours. It says itself what is wrong; that ends us as well"""
        return subprocess.run([os.path.join(TOOLS, script), *args], env=self.env,
                              stdin=subprocess.DEVNULL, text=True, check=False, **kwargs)

    def prepare(self):
        """The tests, the last ones for all steps, and what the steps are"""
        install = os.path.join(self.out, "kselftest")
        if not os.path.exists(install + ".stamp"):
            die(f"{self.base}: the tests have not been built: run 'make steps'")
        names = [line.split(":", 1)[1] for line in read(install, "kselftest-list.txt").split()
                 if ":" in line]
        self.programs = [name for name in names if name not in LEFT_OUT]
        self.tests = digest(read(install + ".stamp"), *self.programs, *BENCH)
        self.enumerate()

    def topics(self, log):
        """subject -> topic, of the last commit of each. Whoever has rebased the tree has
        other commits than the tags, but with the same subjects."""
        ends = {}
        for tag in self.git("tag", "--list", "topic/*").split():
            subject = self.git("log", "-1", "--format=%s", tag).strip()
            if subject not in [line.split(" ", 1)[1] for line in log]:
                die(f"{self.base}: no '{subject}' in build/{self.base}/src, with which the topic "
                    f"{tag[6:]} ends: 'make refresh' first")
            ends[subject] = tag[6:]
        if not ends:
            die(f"{self.base}: no topic/* tags in build/{self.base}/src: 'make tree' first")
        return ends

    def enumerate(self):
        """Stock, then the patches in order; what only proves things is no step"""
        log = self.git("log", "--reverse", "--format=%H %s", "base..HEAD").splitlines()
        ends = self.topics(log)
        self.list = [Step(0, self.git("rev-parse", "base^{commit}").strip(), "", "stock", True)]
        waiting, number = [], 0
        for line in log:
            commit, subject = line.split(" ", 1)
            paths = self.git("diff-tree", "--no-commit-id", "--name-only", "-r", commit).split()
            code = any(is_code(path) for path in paths)
            waiting.append((commit, subject, code))
            topic = ends.get(subject)
            if not topic:
                continue
            for commit, subject, code in waiting if topic != "proof" else ():
                number += code
                self.list.append(Step(number if code else None, commit, topic, subject, code))
            waiting = []
        setup = digest(read(self.out, "base.id"), self.tests, self.compiler(),
                       *[read(path) for path in sorted(glob.glob(TOOLS + "/kernel/config/*"))])
        for step in self.steps():
            tree = self.git("ls-tree", "-r", step.commit, "--", *CODE)
            code = [line for line in tree.splitlines() if is_code(line.split("\t")[1])]
            step.key = digest(setup, *code)
            self.load(step)

    def compiler(self):
        cc = os.environ.get("CC", "gcc").split()
        return subprocess.run([*cc, "--version"], capture_output=True, text=True,
                              check=False).stdout.split("\n")[0]

    def steps(self):
        return [step for step in self.list if step.code]

    def path(self, key):
        return os.path.join(self.dir, key + ".json")

    def load(self, step):
        try:
            step.data = json.loads(read(self.path(step.key)))
        except (OSError, ValueError):
            step.data = None

    def save(self, step):
        with open(self.path(step.key) + ".new", "w", encoding="utf-8") as out:
            json.dump(step.data, out, indent=1)
            out.write("\n")
        os.rename(self.path(step.key) + ".new", self.path(step.key))

    def build(self, step):
        """The kernel after that patch; returns what it is known by"""
        shell = '. "$0/lib.sh"; lock "$1"; tree_at "$1" step "$2"'
        if subprocess.run(["bash", "-c", shell, TOOLS, self.base, step.commit], env=self.env,
                          stdin=subprocess.DEVNULL, check=False).returncode:
            sys.exit(1)
        if self.call("kernel/kernel.sh", self.base, "step").returncode:
            say(f"step {step.number} does not build: {step.name()}")
            sys.exit(1)
        with open(self.image, "rb") as image:
            return hashlib.sha256(image.read()).hexdigest()[:16]

    def same(self, image):
        """The results of a step that has the same kernel and was tested the same way"""
        for path in sorted(glob.glob(self.path("*"))):
            try:
                data = json.loads(read(path))
            except (OSError, ValueError):
                continue
            if data["image"] == image and data["tested"] == self.tests:
                return data
        return None

    def variant(self, step):
        """Whose promises a step is held to"""
        names = list(report.promises_of(self.base))
        if step.number == 0:
            return "stock"
        return "rework" if step.topic == "poll-rework" or "fixes" not in names else "fixes"

    def promises(self, step):
        return report.Promises(self.base, self.variant(step))

    def selftest(self, step, programs):
        """What these say in the guest: name -> state, the figures, and who said it"""
        with open(os.path.join(self.out, "log", "step.ktap"), "w", encoding="utf-8") as out:
            status = self.call("test/selftest.sh", self.base, "step", *programs, stdout=out).returncode
        if status > 4:
            sys.exit(1)
        run = report.Run(self.base, "step", variant=self.variant(step))
        tests = OrderedDict((name, state) for name, (state, _) in run.tests.items())
        trouble = run.trouble or ("the log is not clean" if status == 2 else None)
        tests["guest"] = "fail" if trouble else "pass"
        figures = {f"{line}.{what}": int(value) for line, what, _, _ in FIGURES
                   for value in [run.figures[line].get(what)] if value is not None}
        return tests, figures, run.program_of, trouble

    def bench(self, step):
        """Instructions, in a guest whose clock counts them"""
        out = os.path.join(self.out, "log", "step-icount")
        program = os.path.join(self.out, "kselftest/dma-buf/poll_bench")
        status = self.call(os.environ.get("VM") or "vm/guest.py", "--kernel", self.image, "--out", out, "--accel", "icount",
                           "--timeout", "900",
                           "--file", program + ":poll_bench", "/poll_bench -i " + " ".join(BENCH),
                           stdout=subprocess.DEVNULL).returncode
        if status > 4:
            sys.exit(1)
        found = re.findall(r"^# result: (\S+)\t(\S+)\tinsn\r?$", read(out + ".results"), re.M)
        if not found and step.number:
            die(f"{self.base}: step {step.number}: nothing was measured (see {out}.results)")
        return {f"insn.{name}": round(float(value)) for name, value in found}

    def cost(self):
        ran = self.call("kernel/cost.sh", self.base, "step", stdout=subprocess.PIPE)
        if ran.returncode:
            sys.exit(1)
        rows = [line.split("\t") for line in ran.stdout.splitlines()]
        return {key: int(value) for key, value in rows if key in COSTS}

    def run(self, step, before):
        """Build and boot one step, and keep what it did"""
        say(f"step {step.number}: {step.name()}")
        image = self.build(step)
        known = self.same(image)
        if known:
            say("  the kernel is one that is known: not run again")
            step.data = dict(known)
        else:
            tests, figures, program_of, trouble = self.selftest(step, self.programs)
            step.data = {"tested": self.tests, "image": image, "tests": tests,
                         "figures": figures, "program_of": program_of, "trouble": trouble,
                         "again": {}, "cost": {**self.bench(step), **self.cost()}}
        step.data["commit"], step.data["subject"] = step.commit, step.subject
        self.run_again(step, before)
        self.save(step)

    def run_again(self, step, before):
        """What seems to be worse may be one of those that fail now and then"""
        data = step.data
        for attempt in range(2, ATTEMPTS + 1):
            self.judge(step, before)
            names = [name for name in step.worse if data["again"].get(name, 1) < attempt]
            if not names:
                break
            programs = sorted({data["program_of"].get(name) for name in names} - {None})
            programs = programs or self.programs
            say(f"  worse than before, attempt {attempt} of {ATTEMPTS}: {', '.join(names)}")
            tests, figures, _, trouble = self.selftest(step, programs)
            for name in names:
                data["again"][name] = attempt
                if tests.get(name) == "pass":
                    data["tests"][name] = "pass"
                    if name == "guest":
                        data["trouble"] = trouble
                if name in figures:
                    data["figures"][name] = min(data["figures"][name], figures[name])
        self.judge(step, before)

    def doubt(self, step, before):
        """What was better before, and now is not: was that luck?"""
        for old in list(OrderedDict.fromkeys(step.better.values())):
            names = [name for name, better in step.better.items() if better is old
                     and name not in old.data.setdefault("sure", [])]
            if not names:
                continue
            programs = {old.data["program_of"].get(name) for name in names}
            programs = self.programs if None in programs else sorted(programs)
            say(f"step {old.number} once more: {', '.join(names)}")
            self.build(old)
            for _ in range(1, ATTEMPTS):
                tests, figures = self.selftest(old, programs)[:2]
                for name in names:
                    if tests.get(name) == "fail":
                        old.data["tests"][name] = "fail"
                    if name in figures:
                        old.data["figures"][name] = max(old.data["figures"][name], figures[name])
            old.data["sure"] += [name for name in names if old.data["tests"].get(name) != "fail"]
            self.save(old)
        self.judge(step, before)

    def judge(self, step, before):
        """What got worse since the last step that said anything about it"""
        step.worse, step.better = OrderedDict(), OrderedDict()
        if not step.number:
            return
        promises = self.promises(step)
        known, figures = {}, {}
        for old in before:
            known.update({name: (state, old) for name, state in old.data["tests"].items()
                          if state != "skip"})
            figures.update({name: (value, old) for name, value in old.data["figures"].items()})
        for name, state in step.data["tests"].items():
            old = known.get(name)
            if state == "fail" and old and old[0] == "pass" and name in promises:
                step.worse[name] = f"passed at step {old[1].number}"
                step.better[name] = old[1]
        promised = report.promises_of(self.base)[self.variant(step)]
        for line, what, _, judged in FIGURES:
            name = f"{line}.{what}"
            value, old = step.data["figures"].get(name), figures.get(name)
            if promised in judged and value is not None and old and value > old[0]:
                step.worse[name] = f"{value}, and was {old[0]} at step {old[1].number}"
                step.better[name] = old[1]
        for name in step.worse:
            if step.data["again"].get(name, 1) > 1:
                step.worse[name] += f"; tried {step.data['again'][name]} times"

    def lines_of(self, step):
        """What it changes in the code: +n/-n"""
        more = less = 0
        for row in self.git("diff-tree", "--numstat", "-r", "--no-commit-id", step.commit).splitlines():
            added, removed, path = row.split("\t")
            if is_code(path) and added != "-":
                more, less = more + int(added), less + int(removed)
        return f"+{more}/-{less}"


def of_line(data, line):
    """passed, failed of the tests of one line of the contract"""
    states = [state for name, state in data["tests"].items() if re.match(line + r"[._]", name)]
    return states.count("pass"), states.count("fail")


def figure_rows(line):
    return [(f"{line}.{what}", label) for of, what, label, _ in FIGURES if of == line]


def show_matrix(steps, shown, unchanged):
    """Contract lines down, patches across, as many at once as there is room for"""
    rows = []
    for line in report.LINES:
        cells = [of_line(step.data, line) for step in shown]
        if any(map(sum, cells)):
            rows.append((line.replace("_", "-"), [f"{p}/{f}" if p + f else "-" for p, f in cells]))
        for name, label in figure_rows(line):
            cells = [step.data["figures"].get(name) for step in shown]
            if set(cells) != {None}:
                rows.append(("  " + label, ["-" if v is None else str(v) for v in cells]))
    rows.append(("what it costs", [""] * len(shown)))
    for key, label in COSTS.items():
        cells = [step.data["cost"].get(key) for step in shown]
        if set(cells) != {None}:
            rows.append(("  " + label, ["-" if v is None else str(v) for v in cells]))
    rows.append(("  lines of the patch", [steps.lines_of(step) if step.number else "-"
                                          for step in shown]))

    print(f"\nThe contract after each patch, {read(steps.out, 'base.id').strip()}: "
          "tests passed/failed\n")
    for step in steps.list:
        if not step.code:
            print(f"   -  {step.name()} (no code: not a step)")
        elif step in unchanged:
            print(f"{step.number:4}  {step.name()} (the kernel of step {unchanged[step]})")
        elif step in shown:
            print(f"{step.number:4}  {step.name()}")
        else:
            print(f"{step.number:4}  {step.name()} (not run)")
    label = max(len(row[0]) for row in rows)
    first = 0
    while first < len(shown):
        last, width = first, label
        cells = []
        while last < len(shown):
            size = max(len(str(shown[last].number)), *[len(row[1][last]) for row in rows])
            if last > first and width + 2 + size > WIDTH:
                break
            width += 2 + size
            cells.append(size)
            last += 1
        print()
        for name, row in [("step", [str(step.number) for step in shown])] + rows:
            print("  ".join([name.ljust(label)] +
                            [row[first + i].rjust(size) for i, size in enumerate(cells)]).rstrip())
            if name == "step":
                print("  ".join("-" * size for size in (label, *cells)))
        first = last
    print()


def show_message(steps, step, old):
    """What one patch changes, in the width of a commit message"""
    rows = []
    for line in report.LINES:
        then, now = of_line(old.data, line), of_line(step.data, line)
        if then != now:
            rows.append((line.replace("_", "-") + ", tests passed",
                         *[f"{p}/{p + f}" for p, f in (then, now)]))
        for name, label in figure_rows(line):
            rows.append((label, *[data["figures"].get(name, "-") for data in (old.data, step.data)]))
    for key, label in COSTS.items():
        label += ", instructions" if key.startswith("insn.") else ", bytes"
        rows.append((label, *[data["cost"].get(key, "-") for data in (old.data, step.data)]))
    rows = [tuple(map(str, row)) for row in rows if row[1] != row[2]]
    print(f"{step.name()}")
    print(f"{steps.lines_of(step)} lines of code" + ("" if rows else ", and no test or figure changes"))
    if rows:
        rows.insert(0, ("", "before", "after"))
        width = [max(len(row[i]) for row in rows) for i in range(3)]
        for row in rows:
            print(f"    {row[0].ljust(width[0])}  {row[1].rjust(width[1])}  {row[2].rjust(width[2])}")
    print()


def choose(steps, wanted):
    """The steps that are asked for"""
    if not wanted:
        return steps.steps()
    chosen = []
    for one in wanted:
        found = [step for step in steps.steps() if step.matches(one)]
        if not found:
            idle = [step for step in steps.list if not step.code and one.lower() in step.name().lower()]
            die(f"no step '{one}': " + (f"{idle[0].name()} changes no code" if idle else
                                        f"there are 0 to {steps.steps()[-1].number}"))
        chosen += found
    return [step for step in steps.steps() if step in chosen]


def main():
    arches.own_only("steps")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.error = die
    parser.add_argument("--message", action="store_true")
    parser.add_argument("base")
    parser.add_argument("step", nargs="*")
    args = parser.parse_intermixed_args()
    report.promises_of(args.base)

    steps = Steps(args.base)
    os.makedirs(steps.dir, exist_ok=True)
    with open(os.path.join(steps.dir, ".lock"), "w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another 'make steps' of {args.base}")
            fcntl.flock(lock, fcntl.LOCK_EX)
        steps.prepare()
        chosen = choose(steps, args.step)
        for step in chosen:
            before = [old for old in steps.steps() if old.number < step.number and old.data]
            if not step.data:
                steps.run(step, before)
            steps.judge(step, before)
            steps.doubt(step, before)

    known = [step for step in steps.steps() if step.data]
    unchanged, shown = OrderedDict(), []
    for step in known:
        twin = next((old for old in shown if old.data["image"] == step.data["image"]), None)
        if twin and step.number:
            unchanged[step] = twin.number
        else:
            shown.append(step)
    if args.message:
        for step in chosen:
            earlier = [old for old in known if old.number < step.number]
            if step.number and earlier:
                show_message(steps, step, earlier[-1])
    else:
        show_matrix(steps, shown, unchanged)

    for step in chosen:
        for name, times in step.data["again"].items():
            if name not in step.worse and step not in unchanged:
                print(f"step {step.number}: {name} passes now and then: run {times} times")
        if step.data["trouble"] and step.number:
            print(f"step {step.number}: the guest: {step.data['trouble']}")
    worse = [(step, name) for step in chosen for name in step.worse]
    for step, name in worse:
        print(f"worse at step {step.number}, {step.name()}: {name}: {step.worse[name]}")
    sys.exit(1 if worse else 0)


if __name__ == "__main__":
    main()
