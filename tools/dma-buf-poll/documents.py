#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Put tables into the documents of the repository, between their marks.

documents.py BASE is `make readme`: it calls with --readme each command that makes
a table, if a run on its base has left results in build/, and names those it leaves out.

put_table() is what these commands write with.
"""

import os
import re
import subprocess
import sys

import arches

TOOLS = os.path.dirname(os.path.realpath(__file__))
TOP = os.path.realpath(os.path.join(TOOLS, "../.."))

# Which script writes, from what in build/BASE, which target leaves that, and the base if it is
# always the same: what the audit finds is judged for mainline. ARCH= has the first two.
WRITERS = (("test/report.py", f"log/run{arches.suffix()}.table", "run", None),
           ("bench/bench_report.py", f"bench{arches.suffix()}/results.tsv", "bench", None),
           ("clients/clients.py", "clients/all-rework", "clients", None),
           ("igt/igt_report.py", "log/igt-rework.tsv", "igt", None),
           ("compositor/compositor.py", "compositor/all", "compositor", None),
           ("audit/audit.py", "audit/report.md", "audit", "mainline"))

# What is a table already: the file in build/BASE, the target, and where it goes
TABLES = (("log/witness/table", "witness", "Documentation/process/dma-buf-poll-cost.rst"),)


def put_table(document, name, lines):
    """Put lines between the marks NAME:begin and NAME:end of a document. Markdown takes
    as they are those that are indented, reStructuredText those after a double colon."""
    path = os.path.join(TOP, document)
    text = "".join(("    " + line).rstrip() + "\n" for line in lines)
    if document.endswith(".rst"):
        text = f"\n::\n\n{text}\n"
    with open(path, encoding="utf-8") as source:
        old = source.read()
    new, number = re.subn(rf"(?ms)^(\S+ {name}:begin\b[^\n]*\n).*?^(?=\S+ {name}:end\b)",
                          lambda match: match.group(1) + text, old)
    if number != 1:
        sys.exit(f"error: {document} has no place for the table: "
                 f"two lines with {name}:begin and {name}:end")
    with open(path + ".new", "w", encoding="utf-8") as out:
        out.write(new)
    os.rename(path + ".new", path)
    print(f"{document}: {name}")


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: documents.py BASE")
    status = 0
    of = f" ARCH={arches.ARCH}" if arches.suffix() else ""
    for tool, made, target, always in WRITERS[:2] if arches.suffix() else WRITERS:
        base = always or sys.argv[1]
        if not os.path.exists(os.path.join(TOP, "build", base, made)):
            print(f"left out, as there are no results: make {target} BASE={base}{of}")
        elif subprocess.run([os.path.join(TOOLS, tool), "--readme", base], check=False).returncode:
            status = 1
    for made, target, document in () if arches.suffix() else TABLES:
        path = os.path.join(TOP, "build", sys.argv[1], made)
        if os.path.exists(path):
            with open(path, encoding="utf-8") as table:
                put_table(document, target, table.read().splitlines())
        else:
            print(f"left out, as there are no results: make {target} BASE={sys.argv[1]}")
    sys.exit(status)


if __name__ == "__main__":
    main()
