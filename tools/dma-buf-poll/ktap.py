# SPDX-License-Identifier: GPL-2.0
"""What the Python scripts of the harness count, as lib.sh does: the plan, a line of KTAP for
each result, and the numbers as the last line. They judge what has ended, so all of it is
printed at the end, and the plan can be where KTAP wants it: first."""

# What guest.py says with its status, where that is more than that the job has failed
TROUBLE = {2: "the kernel's log is not clean", 3: "the kernel panicked", 4: "the guest hung"}


class Tally:
    """A line for each result, and the numbers of them at the end"""

    def __init__(self):
        self.count = {"pass": 0, "fail": 0, "skip": 0}
        self.lines = []

    def tell(self, state, name, why="", silent=False):
        self.count[state] += 1
        if not silent:
            self.lines.append(("not ok" if state == "fail" else "ok") + f" {len(self.lines) + 1} - {name}" +
                              (f" # SKIP {why}" if state == "skip" else f" ({why})" if why else ""))

    def end(self):
        """The status that goes with it"""
        if self.lines:
            print("KTAP version 1", f"1..{len(self.lines)}", *self.lines, sep="\n")
        print(f"{self.count['pass']} passed, {self.count['fail']} failed, {self.count['skip']} skipped")
        return 1 if self.count["fail"] else 0
