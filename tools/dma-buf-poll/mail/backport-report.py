#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Which patch goes to which base, and what holds there.

Patches down, bases across: "same" is the patch of the first base as it is, "own
diff" one with the same message whose hunks differ, "own" one that only that base
has. An own diff where the first base's would apply is one too many, and the status
is 1. So it is if a base has not been run, or does not hold what it promises: made
from the trees in build/ and from what the last `make run` of each base left there.

make backport-report and make test-all call it.
"""

import os
import subprocess
import sys
import tempfile

TOOLS = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
sys.path[:0] = [os.path.join(TOOLS, "test"), os.path.join(TOOLS, "tree")]
import report  # noqa: E402
import series  # noqa: E402

TOP = report.TOP


def git(src, *args, **how):
    return subprocess.run(["git", "-C", src, *args], capture_output=True, check=False, **how)


def key(patch):
    """What a patch and its ports have in common"""
    return os.path.join(patch.topic, os.path.basename(patch.path))


class Base:
    """What a base is made of, and what its guests said"""

    def __init__(self, name):
        self.name = name
        self.patches = {key(patch): patch for patch in series.Series(name).patches}
        self.src = os.path.join(TOP, "build", name, "src")
        self.problems = []
        commits = git(self.src, "rev-list", "--reverse", "base..series").stdout.decode().split()
        self.commits = dict(zip(self.patches, commits))
        if len(commits) != len(self.patches):
            self.problems.append(f"build/{name}/src does not hold the patches as they are: make tree BASE={name}")

    def applies(self, patch):
        """Would the hunks of that one apply in the place of ours?"""
        with tempfile.TemporaryDirectory(prefix="dbp-backport-") as tmp:
            env = dict(os.environ, GIT_INDEX_FILE=os.path.join(tmp, "index"))
            git(self.src, "read-tree", self.commits[key(patch)] + "^", env=env)
            diff = b"".join(part for _, part in patch.sections)
            return not git(self.src, "apply", "--cached", "--check", env=env, input=diff).returncode

    def cell(self, name, original):
        mine = self.patches.get(name)
        if not mine:
            return "-"
        if not original:
            return "own"
        if mine.path == original.path:
            return "same"
        if mine.sections and not self.problems and self.applies(original):
            self.problems.append(f"{mine.path} is a port for nothing: {original.path} applies")
        return "own diff" if mine.holder is not mine else "own diff, own message"

    def version(self):
        try:
            with open(os.path.join(TOP, "build", self.name, "base.id"), encoding="utf-8") as source:
                return source.read().strip().rpartition("_")[2]
        except OSError:
            return "-"

    def holds(self):
        """A row for each variant: what holds of the contract"""
        for variant in list(report.promises_of(self.name))[1:]:
            log = os.path.join(TOP, "build", self.name, "log", f"selftest-{variant}.results")
            if not os.path.exists(log):
                self.problems.append(f"{variant} has not been run: make run BASE={self.name}, or make test-all")
                yield (self.name, self.version(), variant, "not run", "-", "-")
                continue
            run = report.Run(self.name, variant)
            groups = {"all": [], "part": [], "broken": []}
            for line in report.LINES:
                whole = run.count(line)
                broken = run.count(line, True)[1] or (line in run.promises and not any(whole[:2]))
                groups["broken" if broken else "part" if whole[1] or not whole[0] else "all"].append(line)
            if run.trouble or groups["broken"]:
                why = run.trouble or " ".join(groups["broken"]) + " should hold"
                self.problems.append(f"{variant}: {why}")
            yield (self.name, self.version(), variant,
                   *[" ".join(group).replace("_", "-") or "-" for group in groups.values()])


def main():
    bases = [Base(name) for name in series.bases()]
    first = bases[0]
    rows = [("patch", *[base.name for base in bases])]
    for name in report.joined(base.patches for base in bases):
        original = first.patches.get(name)
        rows.append((name[:60], *[base.cell(name, original) for base in bases]))
    report.table(rows)
    print()
    report.table([("base", "version", "variant", "holds", "not promised in whole or in part", "broken")] +
                 [row for base in bases for row in base.holds()])
    head = git(TOP, "describe", "--always", "--dirty").stdout.decode().strip()
    print(f"\nrepository at {head or 'an unknown commit'}")
    problems = [f"{base.name}: {problem}" for base in bases for problem in base.problems]
    for problem in problems[:-1]:
        print(f"and {problem}", file=sys.stderr)
    if problems:
        sys.exit(f"error: {problems[-1]}")


if __name__ == "__main__":
    try:
        main()
    except series.Wrong as wrong:
        sys.exit(f"error: {wrong}")
