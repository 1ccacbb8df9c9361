# SPDX-License-Identifier: GPL-2.0
"""What the Python scripts of the harness count, as lib.sh does: a line of KTAP for each
result, then the plan, and the numbers as the last line."""


class Tally:
    """A line for each result, and the numbers of them at the end"""

    def __init__(self):
        self.count = {"pass": 0, "fail": 0, "skip": 0}
        self.lines = 0

    def tell(self, state, name, why="", silent=False):
        self.count[state] += 1
        if silent:
            return
        if not self.lines:
            print("KTAP version 1")
        self.lines += 1
        print(("not ok" if state == "fail" else "ok") + f" {self.lines} - {name}" +
              (f" # SKIP {why}" if state == "skip" else f" ({why})" if why else ""))

    def end(self):
        """The status that goes with it"""
        if self.lines:
            print(f"1..{self.lines}")
        print(f"{self.count['pass']} passed, {self.count['fail']} failed, {self.count['skip']} skipped")
        return 1 if self.count["fail"] else 0
