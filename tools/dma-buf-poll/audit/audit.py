#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Run the semantic patches over a kernel tree and say what is new.

audit.py BASE [--tree DIR] [--rules DIR] [--rule NAME]... [--ops FILE] [--jobs N] [--out DIR]
audit.py --readme BASE

Runs each scripts/coccinelle/dma-buf/*.cocci over the files that mention what it
is about, one spatch for a rule and a file, and remembers what it said by the
hash of both. The rules fence_ops_* get a file together with what its operations
call in the same driver. What a finding is worth stands beside its rule, in
RULE.verdicts, known by file, function and the text of the line, so that it
outlives the line's number. fence_ops.verdicts has a verdict for each struct
dma_fence_ops of each base: one without, and one for nothing, is an error. Writes
build/BASE/audit/report.md; prints the findings that nobody has judged. The
status is 0 if there are none, 1 if there are or that table is not complete, 2 if
spatch failed.

--readme runs nothing: it puts the table of the last run, and the verdicts on the
operations, into the document about the audit.

Takes build/BASE/src; make audit calls it, and cocci-test.sh.
"""

import argparse
import glob
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor, as_completed

HERE = os.path.dirname(os.path.realpath(__file__))
TOP = os.path.realpath(os.path.join(HERE, "../../.."))
RULES = os.path.join(TOP, "scripts/coccinelle/dma-buf")
sys.path.insert(0, os.path.join(TOP, "tools/dma-buf-poll"))
from documents import put_table  # noqa: E402

DOCUMENT = "Documentation/process/dma-buf-poll-audit.rst"

# These have to be there; what else mentions the calls is found by looking.
DIRECTORIES = ("drivers/gpu", "drivers/dma-buf", "drivers/media",
               "drivers/virtio", "drivers/accel")
ELSEWHERE = ("arch", "block", "crypto", "drivers", "fs", "include", "io_uring",
             "kernel", "lib", "mm", "net", "samples", "security", "sound", "virt")

# What makes a file one "that uses these calls".
USES = re.compile(rb"\bdma_(?:fence_(?:add|remove)_callback|fence_cb|fence_ops|resv_\w+|buf_ops)\b")

# The operations of a kind of fence, and those of them that may be called from
# hard interrupt context.
OPS = re.compile(rb"\bstruct\s+dma_fence_ops\s+(\w+)\s*=\s*\{(.*?)\}\s*;", re.S)
ENTRY = re.compile(rb"\.(?:enable_signaling|signaled|release)\s*=\s*(\w+)")
LOCK = re.compile(rb"\b(?:raw_)?(?:spin|read|write)_(?:try)?lock(?:_irq|_bh|_irqsave)?\s*\(\s*&?([^,;()]+)[,)]")
INIT = re.compile(rb"\bdma_fence_init(?:64)?\s*\([^;]*?&\w+\s*,\s*&?([^,;()]+),", re.S)
HEAD = re.compile(rb"^(?!static\b)(?:[A-Za-z_][^\n;=(){}]*?\b)?([A-Za-z_]\w*)\s*\(", re.M)
CALL = re.compile(rb"\b([A-Za-z_]\w*)\s*\(")
DEPTH = 4

# What a file has to mention for a rule to find anything there.
MENTIONS = {
    "fence_cb_ignored": rb"\bdma_fence_add_callback\b",
    "fence_cb_put": rb"\bdma_fence_add_callback\b",
    "fence_cb_free": rb"\bdma_fence_add_callback\b",
    "poll_context": rb"\.poll\s*=",
    "resv_reserve": rb"\bdma_resv_add_fence\b",
    "resv_lock": rb"\bdma_resv_(?:add_fence|reserve_fences)\b",
    "resv_usage": rb"\bDMA_RESV_USAGE_|\bdma_resv_usage_rw\b",
    "resv_get_fences": rb"\bdma_resv_get_(?:fences|singleton)\b",
    "resv_open_walk": rb"\bdma_resv_(?:list|iter_first)|\bdma_fence_(?:array|chain)\b|resv->fences\b",
    "resv_iter_end": rb"\bdma_resv_iter_begin\b",
    "fence_ops_free": rb"\bstruct\s+dma_fence_ops\s+\w+\s*=",
    "fence_ops_lock": rb"\bstruct\s+dma_fence_ops\s+\w+\s*=",
    "fence_ops_sleep": rb"\bstruct\s+dma_fence_ops\s+\w+\s*=",
}

# A ->poll handler is looked at where it is defined.
POLL = re.compile(rb"\.poll\s*=\s*(\w+)")

FINDING = re.compile(r"^(\S+?):(\d+):\d+-\d+: ((\w+): .*)$")
VERDICTS = ("true", "false", "unclear")
OPS_VERDICTS = ("safe", "private", "bookkeep-only", "fixed-by-patch", "unsafe")


def die(text):
    sys.exit(f"error: {text}")


def rules(where, names):
    """The rules to run: name -> path"""
    found = {os.path.basename(path)[:-len(".cocci")]: path
             for path in sorted(glob.glob(os.path.join(where, "*.cocci")))}
    if not found:
        die(f"there are no rules in {where}")
    for name in found:
        if name not in MENTIONS:
            die(f"audit.py does not know which files {name}.cocci is for")
    for name in names:
        if name not in found:
            die(f"no rule '{name}': known are {' '.join(found)}")
    return {name: path for name, path in found.items() if not names or name in names}


def candidates(tree, memo):
    """Files that may be of interest: path -> contents, headers only those which
    define the operations of a fence

    To read the whole kernel takes longer than all the rest when it is not in
    the page cache: memo keeps, by size and time, which files were of none.
    """
    files, missing, known, seen = {}, [], {}, []
    if os.path.exists(memo):
        with open(memo, encoding="utf-8") as source:
            known = dict(line.rstrip("\n").split("\t", 1) for line in source)
    for top in DIRECTORIES:
        if not os.path.isdir(os.path.join(tree, top)):
            missing.append(top)
            print(f"audit: {tree} has no {top}: going on without", file=sys.stderr)
    for top in ELSEWHERE:
        for where, _, names in os.walk(os.path.join(tree, top)):
            inside = os.path.relpath(where, tree)
            listed = any((inside + "/").startswith(d + "/") for d in DIRECTORIES)
            for name in names:
                if not name.endswith((".c", ".h")):
                    continue
                path, short = os.path.join(where, name), os.path.join(inside, name)
                try:
                    stat = os.stat(path)
                    state = f"{USES.pattern} {OPS.pattern} {stat.st_size} {stat.st_mtime_ns}"
                    if known.get(short) == state:
                        seen.append((short, state))
                        continue
                    with open(path, "rb") as source:
                        text = source.read()
                except OSError as error:
                    print(f"audit: cannot read {path}: {error.strerror}", file=sys.stderr)
                    continue
                if (b"dma_fence_ops" in text and OPS.search(text)) or (name.endswith(".c") and (
                        USES.search(text) or (listed and b".poll" in text))):
                    files[short] = text
                else:
                    seen.append((short, state))
    with open(memo + ".new", "w", encoding="utf-8") as sink:
        sink.writelines(f"{path}\t{state}\n" for path, state in seen)
    os.replace(memo + ".new", memo)
    return files, missing


def defines_handler(text):
    """Is a ->poll handler of this file also defined in it?"""
    return any(re.search(rb"\b" + name + rb"\s*\(\s*struct\s+file\b", text)
               for name in set(POLL.findall(text)))


def spatch(rule, tree, paths):
    """What the rule says about the files; None if spatch failed."""
    path = paths[0]
    environment = dict(os.environ, PATH="/usr/bin:" + os.environ["PATH"])
    try:
        done = subprocess.run(
            ["spatch", "-D", "report", "--no-show-diff", "--very-quiet", "--no-includes",
             "--include-headers", "--cocci-file", rule, *paths], cwd=tree, env=environment,
            capture_output=True, text=True, errors="replace", timeout=1200, check=False)
    except subprocess.TimeoutExpired:
        print(f"audit: {os.path.basename(rule)} on {path}: no end after 20 minutes", file=sys.stderr)
        return None
    if done.returncode:
        last = (done.stderr.strip() or "no reason given").splitlines()[-1]
        print(f"audit: {os.path.basename(rule)} on {path}: {last}", file=sys.stderr)
        return None
    return done.stdout


def squeeze(text):
    """A line of code with no more than single blanks"""
    return " ".join(text.split())


def table_rows(path):
    """(name:number, fields) of each line of a table of ours"""
    with open(path, encoding="utf-8") as source:
        for number, line in enumerate(source, 1):
            line = line.rstrip("\n")
            if line and not line.startswith("#"):
                yield f"{os.path.basename(path)}:{number}", line.split("\t")


def load_verdicts(rule):
    """(file, function, code) -> (verdict, why), from what stands beside the rule"""
    found = {}
    path = rule[:-len(".cocci")] + ".verdicts"
    if not os.path.exists(path):
        return found
    for where, fields in table_rows(path):
        if len(fields) != 5 or fields[0] not in VERDICTS or not fields[4].strip():
            die(f"{where}: not 'true|false|unclear <tab> file <tab> function <tab> line <tab> why'")
        found[tuple(fields[1:4])] = (fields[0], fields[4])
    return found


def load_ops(path, base):
    """(file, name) -> (verdict, why) for this base, from fence_ops.verdicts"""
    found = {}
    for where, fields in table_rows(path):
        if len(fields) != 5 or fields[3] not in OPS_VERDICTS or not fields[4].strip():
            die(f"{where}: not 'base,... <tab> file <tab> name <tab> "
                f"{'|'.join(OPS_VERDICTS)} <tab> why'")
        if base not in fields[0].split(","):
            continue
        if tuple(fields[1:3]) in found:
            die(f"{where}: a second verdict for {fields[2]} in {fields[1]}")
        found[tuple(fields[1:3])] = (fields[3], fields[4])
    return found


def functions(text):
    """The functions a file defines: name -> body"""
    found, head, body = {}, b"", None
    for line in text.split(b"\n"):
        if body is not None:
            body.append(line)
            if line.startswith(b"}"):
                found.setdefault(CALL.search(head).group(1), b"\n".join(body))
                head, body = b"", None
        elif line.startswith(b"{") and CALL.search(head):
            body = []
        elif line[:1].isalpha() or line[:1] == b"_":
            head = b"" if line.rstrip().endswith((b";", b":")) else head + b" " + line
        elif line[:1] in (b"\t", b" ") and head and not line.rstrip().endswith(b";"):
            head += line
        else:
            head = b""
    return found


def lock_name(lock):
    """The last two parts of a lock's name, as fence_ops_lock.cocci has it"""
    lock = re.sub(rb"\[[^][]*\]|\s", b"", lock)
    return tuple(re.split(rb"->|[.]", lock)[-2:])


class Drivers:
    """What belongs to the operations of a fence: the files of its driver that
    define what they call, make such fences, or take a lock that they need"""

    def __init__(self, tree):
        self.tree = tree
        self.texts, self.names, self.parsed, self.index = {}, {}, {}, {}

    def text(self, path):
        if path not in self.texts:
            with open(os.path.join(self.tree, path), "rb") as source:
                self.texts[path] = source.read()
        return self.texts[path]

    def listing(self, where, deep):
        """The .c files of a directory, or also of those in it"""
        if (where, deep) not in self.names:
            found = []
            for inside, dirs, names in os.walk(os.path.join(self.tree, where)):
                found += [os.path.relpath(os.path.join(inside, name), self.tree)
                          for name in names if name.endswith(".c")]
                if not deep:
                    dirs.clear()
            self.names[where, deep] = sorted(found)
        return self.names[where, deep]

    def bodies(self, path):
        if path not in self.parsed:
            self.parsed[path] = functions(self.text(path))
        return self.parsed[path]

    def defines(self, where):
        """name -> the file below this directory that defines it for others"""
        if where not in self.index:
            self.index[where] = found = {}
            for path in self.listing(where, False) + self.listing(where, True):
                for name in HEAD.findall(self.text(path)):
                    found.setdefault(name, path)
        return self.index[where]

    def group(self, path):
        """The file itself, and what belongs to it"""
        where, text, group = os.path.dirname(path), self.text(path), [path]
        edge = {(path, name) for ops in OPS.finditer(text) for name in ENTRY.findall(ops.group(2))}
        reached = set()
        for _ in range(DEPTH + 1):
            reached |= edge
            called = {(p, name) for p, caller in edge
                      for name in CALL.findall(self.bodies(p).get(caller, b""))}
            edge = {(p, name) for p, name in called if name in self.bodies(p)}
            away = {name for p, name in called if name not in self.bodies(p)}
            edge |= {(self.defines(where)[name], name) for name in away if name in self.defines(where)}
            edge -= reached
        group += sorted({p for p, name in reached if name in self.bodies(p)} - {path})
        # Where such fences are made tells which lock they have.
        made = re.compile(rb"&(?:%s)\b" % b"|".join(ops.group(1) for ops in OPS.finditer(text)))
        group += [p for p in self.listing(where, False) if p not in group and made.search(self.text(p)) and
                  INIT.search(self.text(p))]
        locks = {lock_name(lock) for p in group for lock in INIT.findall(self.text(p))}
        for p, name in reached:
            locks |= {lock_name(lock) for lock in LOCK.findall(self.bodies(p).get(name, b""))}
        # A name of one part is one of the file.
        locks = {lock for lock in locks if len(lock) == 2}
        group += [p for p in self.listing(where, False) if p not in group and
                  locks & {lock_name(lock) for lock in LOCK.findall(self.text(p))}]
        return group


class Audit:
    """One run over one tree"""

    def __init__(self, tree, jobs, out):
        self.tree, self.jobs, self.out = tree, jobs, out
        self.cache = os.path.join(out, "cache")
        os.makedirs(self.cache, exist_ok=True)
        print(f"audit: looking for files in {tree}", file=sys.stderr)
        self.files, self.missing = candidates(tree, os.path.join(out, "of-no-interest"))
        self.drivers = Drivers(tree)
        self.drivers.texts.update(self.files)
        self.failed = []
        self.ran = Counter()

    def look(self, name, rule, digest, path):
        """One rule on one file, or what it said the last time"""
        paths = self.drivers.group(path) if name.startswith("fence_ops_") else [path]
        key = hashlib.sha256(digest + b"".join(p.encode() + self.drivers.text(p) for p in paths)).hexdigest()
        kept = os.path.join(self.cache, key)
        if os.path.exists(kept):
            with open(kept, encoding="utf-8") as source:
                return name, path, source.read(), False
        said = spatch(rule, self.tree, paths)
        if said is not None:
            with open(kept + ".new", "w", encoding="utf-8") as sink:
                sink.write(said)
            os.replace(kept + ".new", kept)
        return name, path, said, True

    def run(self, wanted):
        """rule -> its findings: (file, line, function, message, code)"""
        found = defaultdict(list)
        jobs = []
        for name, rule in wanted.items():
            with open(rule, "rb") as source:
                digest = hashlib.sha256(source.read()).digest()
            mention = re.compile(MENTIONS[name])
            paths = sorted(p for p, text in self.files.items() if mention.search(text) and
                           (name != "poll_context" or defines_handler(text)))
            self.ran[name] = len(paths)
            jobs += [(name, rule, digest, path) for path in paths]
        print(f"audit: {len(wanted)} rules, {len(self.files)} files, {len(jobs)} runs of spatch",
              file=sys.stderr)
        fresh = done = 0
        with ThreadPoolExecutor(self.jobs) as pool:
            for future in as_completed([pool.submit(self.look, *job) for job in jobs]):
                name, path, said, was_run = future.result()
                done += 1
                fresh += was_run
                if said is None:
                    self.failed.append((name, path))
                for line in sorted(set((said or "").splitlines())):
                    self.keep(found[name], line)
                if was_run and (sys.stderr.isatty() or not done % 50):
                    print(f"  {done}/{len(jobs)} {name} {path}", file=sys.stderr)
        print(f"audit: {fresh} runs, {done - fresh} remembered", file=sys.stderr)
        return {name: sorted(set(found[name])) for name in wanted}

    def keep(self, found, line):
        """Take in one line of a report"""
        match = FINDING.match(line)
        if not match:
            return
        path, number = match.group(1), int(match.group(2))
        code = self.drivers.text(path).decode("utf-8", "replace").splitlines()[number - 1]
        found.append((path, number, match.group(4), match.group(3), squeeze(code)))

    def operations(self, verdicts, name):
        """Lines for the report, and what is wrong with the table of verdicts"""
        there = {(path, ops.group(1).decode()) for path, text in self.files.items()
                 for ops in OPS.finditer(text)}
        wrong = [f"{path}: {ops} has no verdict in {name}" for path, ops in sorted(there - set(verdicts))]
        wrong += [f"{path}: there is no {ops}, for which {name} has a verdict"
                  for path, ops in sorted(set(verdicts) - there)]
        counts = Counter(verdict for key, (verdict, _) in verdicts.items() if key in there)
        lines = ["", f"struct dma_fence_ops: {len(there)}, " +
                 ", ".join(f"{counts[v]} {v}" for v in OPS_VERDICTS) +
                 (f", {len(wrong)} errors in {name}." if wrong else ".")]
        body = ["", "## dma_fence_ops", ""] + [f"- *error* {text}" for text in wrong]
        body += [f"- **{verdict}** `{path}` `{ops}`: {why}"
                 for (path, ops), (verdict, why) in sorted(verdicts.items()) if (path, ops) in there]
        return lines, body, wrong

    def report(self, found, wanted, base, table_of_ops):
        """Write report.md; give back what nobody has judged, and what is wrong"""
        unjudged, table, body = [], [], []
        for name, findings in found.items():
            verdicts = load_verdicts(wanted[name])
            counts, unused = Counter(), set(verdicts)
            body += ["", f"## {name}", ""]
            for path, number, function, message, code in findings:
                key = (path, function, code)
                unused.discard(key)
                verdict, why = verdicts.get(key, ("new", "nobody has read this yet"))
                counts[verdict] += 1
                if verdict == "new":
                    unjudged.append((name, path, number, function, message, code))
                body += [f"- **{verdict}** `{path}:{number}` {message}", "",
                         f"      {code}", "", f"  {why}"]
            if not findings:
                body.append("Nothing found.")
            for path, function, code in sorted(unused):
                body.append(f"- *gone* `{path}` {function}: `{code}` "
                            f"({verdicts[path, function, code][0]})")
            table.append(f"| {name} | {self.ran[name]} | {len(findings)} | " +
                         " | ".join(str(counts[v]) for v in VERDICTS + ("new",)) + " |")
        lines = [f"# Audit of {base}", "",
                 "| rule | files | found | true | false | unclear | new |",
                 "|---|--:|--:|--:|--:|--:|--:|"] + table
        lines += [f"\nMissing in this tree: {', '.join(self.missing)}."] if self.missing else []
        said, more, wrong = self.operations(*table_of_ops)
        lines, body = lines + said, body + more
        lines += [f"\nspatch failed: {name} on {path}." for name, path in self.failed]
        with open(os.path.join(self.out, "report.md"), "w", encoding="utf-8") as sink:
            sink.write("\n".join(lines + body) + "\n")
        print("\n".join(lines[2:]))
        return unjudged, wrong


def aligned(rows):
    """The lines of a table: words to the left, numbers to the right"""
    widths = [max(len(str(row[i])) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(str(cell).rjust(width) if i else str(cell).ljust(width)
                      for i, (cell, width) in enumerate(zip(row, widths))) for row in rows]


def write_document(base, out, ops):
    """What the last run found, and what is known of the operations on each base"""
    with open(os.path.join(out, "report.md"), encoding="utf-8") as source:
        head = source.read().split("\n## ", 1)[0]
    rows = [line.strip("| ").split(" | ") for line in head.splitlines() if line.startswith("| ")]
    missing = set(rules(RULES, [])) - {row[0] for row in rows}
    if missing or "spatch failed" in head:
        die(f"the last audit of {base} did not run {' '.join(sorted(missing)) or 'to its end'}: "
            f"make audit BASE={base}")
    with open(os.path.join(TOP, "build", base, "base.id"), encoding="utf-8") as source:
        kernel = source.read().strip()
    found = sum(int(row[2]) for row in rows[1:])
    put_table(DOCUMENT, "audit", [f"{kernel}, with the series: {found} findings", "", *aligned(rows)])

    with open(ops, encoding="utf-8") as source:
        bases = {name for line in source if line.strip() and not line.startswith("#")
                 for name in line.split("\t")[0].split(",")}
    verdicts = {name: Counter(verdict for verdict, _ in load_ops(ops, name).values()) for name in bases}
    put_table(DOCUMENT, "ops", aligned([("base", "ops", *OPS_VERDICTS)] + [
        (name, sum(counts.values()), *[counts[verdict] for verdict in OPS_VERDICTS])
        for name, counts in sorted(verdicts.items())]))


def main():
    """What the command line asks for"""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("base")
    parser.add_argument("--tree", help="the kernel tree, instead of build/BASE/src")
    parser.add_argument("--rules", default=RULES, help="where the rules are")
    parser.add_argument("--rule", action="append", default=[], help="only this rule")
    parser.add_argument("--ops", default=os.path.join(HERE, "fence_ops.verdicts"),
                        help="the verdicts on each struct dma_fence_ops")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="so many at once")
    parser.add_argument("--out", help="where the report goes, instead of build/BASE/audit")
    parser.add_argument("--readme", action="store_true", help="run nothing, write the document")
    args = parser.parse_args()
    args.out = args.out or os.path.join(TOP, "build", args.base, "audit")
    if args.readme:
        write_document(args.base, args.out, args.ops)
        return 0

    tree = os.path.abspath(args.tree or os.path.join(TOP, "build", args.base, "src"))
    if not os.path.isdir(os.path.join(tree, "drivers")):
        die(f"{tree} is no kernel tree" + ("" if args.tree else f": make tree BASE={args.base}"))
    if args.jobs < 1:
        die(f"--jobs {args.jobs} makes no sense")
    if not shutil.which("spatch"):
        die("there is no spatch: install the package coccinelle")
    wanted = rules(args.rules, args.rule)
    for rule in wanted.values():
        load_verdicts(rule)
    ops = load_ops(args.ops, args.base)
    audit = Audit(tree, args.jobs, args.out)
    found = audit.run(wanted)
    unjudged, wrong = audit.report(found, wanted, args.base, (ops, os.path.basename(args.ops)))
    print(f"report: {os.path.relpath(os.path.join(audit.out, 'report.md'))}")
    for name, path, number, function, message, code in unjudged:
        print(f"new: {name}: {path}:{number}: {message}\n     {code}")
        # Ready to be judged: the line for RULE.verdicts.
        print("     " + "\t".join(("?", path, function, code, "?")))
    for text in wrong:
        print(f"error: {text}", file=sys.stderr)
    if audit.failed:
        return 2
    return 1 if unjudged or wrong else 0


if __name__ == "__main__":
    sys.exit(main())
