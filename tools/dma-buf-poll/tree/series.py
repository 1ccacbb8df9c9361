#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""series.py BASE [TOPIC]: mail-ready patches in build/BASE/series/TOPIC

Needs git and this repository, but no source of a kernel: the patches under
patches/ are mails already, and only lack the files that stand here whole. These
become new-file diffs. Without TOPIC all that are mailed are written. Signed off
by the sender whom git config names; VERSION=n makes a v<n>.

  series.py BASE --topics           the names of the topics of a base
  series.py BASE --files            all files they are made of
  series.py BASE --unsigned DIR     all of them for compose.sh, in DIR, signed by
                                    nobody; prints "topic patch mail" for each

patches/topics says which topics there are, patches/BASE/series which patches a
base has of them. Below the --- of a patch "Own-files:" names what it adds whole;
a directory stands for the files in it that no other patch names, HERE:THERE for a
file with another path in the kernel. A later patch may change such a file with an
ordinary hunk. What stands here is the last state: the ones before come from taking
the later hunks back. "Message:" instead of a Subject means: that of this patch,
named from patches/ on, which does the same to another base.

make topics, make series, compose.sh, am.sh and send-check.sh call it; refresh.py and
backport-report.py import it.
"""

import argparse
import fcntl
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.realpath(__file__))
TOP = os.path.realpath(os.path.join(HERE, "../../.."))
# Who a commit is by in build/BASE/src, and a patch here. The sender's name comes later.
NOBODY = ("dma-buf-poll", "dma-buf-poll@localhost")
DATE = "2026-01-01T00:00:00Z"
# What git calls a file in a diff must not depend on how many objects there are.
ABBREV = "--abbrev=12"


class Wrong(Exception):
    """Something to be said in one line"""


def run(*command, data=None, check=True, env=None):
    """Without the user's own settings of git: a patch must not depend on them"""
    done = subprocess.run(command, input=data, capture_output=True, check=False,
                          env=dict(os.environ, LC_ALL="C", GIT_CONFIG_GLOBAL="/dev/null",
                                   GIT_CONFIG_NOSYSTEM="1", **(env or {})))
    if check and done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"]
        raise Wrong(f"{' '.join(command[:6])}: {re.sub('^(error|fatal): ', '', said[-1])}")
    return done


def lines(*command, **how):
    return run(*command, **how).stdout.decode().splitlines()


def read(*path):
    with open(os.path.join(*path), "rb") as source:
        return source.read()


def write(data, *path):
    name = os.path.join(*path)
    os.makedirs(os.path.dirname(name), exist_ok=True)
    with open(name, "wb") as out:
        out.write(data)


def table(path):
    """The lines of a file, without those that are for people"""
    for line in read(path).decode().splitlines():
        if line.strip() and not line.startswith("#"):
            yield line


def bases(top=TOP):
    return [line.split()[0] for line in table(os.path.join(top, "tools/dma-buf-poll/tree/bases"))]


def ident(name, email, date=DATE):
    """Who a commit is by, for the environment of git"""
    return {f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER")
            for what, value in (("NAME", name), ("EMAIL", email), ("DATE", date)) if value}


class Topic:
    """A line of patches/topics"""

    def __init__(self, line):
        fields = line.split("\t")
        if len(fields) != 5 or fields[1] not in ("series", "singly", "never"):
            raise Wrong(f"patches/topics: not name, series|singly|never, needs, lists, text: {line}")
        self.name, self.mailed, needs, lists, self.text = fields
        self.needs = [] if needs == "-" else needs.split(",")
        self.lists = [] if lists == "-" else lists.split(",")


def topics(top=TOP):
    return {topic.name: topic for topic in map(Topic, table(os.path.join(top, "patches/topics")))}


def sections(diff):
    """[(path, its part of the diff)]. No line of a hunk begins like this."""
    found = []
    for part in re.split(rb"^(?=diff --git )", diff, flags=re.M):
        if not part.startswith(b"diff --git "):
            continue
        name = re.search(rb"^\+\+\+ b/(.*)$", part, re.M) or re.search(rb"^rename to (.*)$", part, re.M) or \
            re.search(rb"^--- a/(.*)$", part, re.M) or re.match(rb"diff --git a/.* b/(.*)$", part, re.M)
        found.append((name.group(1).decode().rstrip("\t"), part))
    return found


class Patch:
    """A file under patches/"""

    def __init__(self, top, path):
        self.top, self.path = top, path
        self.topic = path.split("/")[-2]
        if not os.path.isfile(os.path.join(top, path)):
            raise Wrong(f"there is no {path}")
        text = read(top, path)
        self.head, dashes, rest = text.partition(b"\n---\n")
        if not dashes:
            raise Wrong(f"{path}: no line --- ends its message")
        start = re.search(rb"^diff --git ", rest, re.M)
        below = rest[:start.start()] if start else rest
        diff = rest[start.start():] if start else b""
        # A version of git, which format-patch signs with
        diff = re.sub(rb"^-- \n.*\n\s*\Z", b"", diff, flags=re.M)
        self.sections = sections(diff)
        self.holder = self
        other = re.search(rb"^Message: *(.*)$", self.head, re.M)
        if other:
            other = f"patches/{other.group(1).decode().strip()}"
            if not os.path.isfile(os.path.join(top, other)):
                raise Wrong(f"{path} takes its message from {other}, which does not exist")
            self.holder = Patch(top, other)
        self.items = " ".join(re.findall(r"^Own-files: *(.*)$", below.decode(), re.M)).split()
        if other:
            self.items = self.holder.items

    def message(self):
        """As git am makes it of this mail: subject, empty line, body"""
        if self.holder is not self:
            return self.holder.message()
        with tempfile.TemporaryDirectory(prefix="dbp-mail-") as tmp:
            info = run("git", "mailinfo", "--encoding=UTF-8", f"{tmp}/body", "/dev/null",
                       data=read(self.top, self.path)).stdout
            subject = re.search(rb"^Subject: (.*)$", info, re.M)
            if not subject:
                raise Wrong(f"{self.path} has no Subject")
            return run("git", "stripspace", data=subject.group(1) + b"\n\n" + read(tmp, "body")).stdout

    def inside(self, item):
        """{path in the kernel: path here} of one item of Own-files"""
        if os.path.isdir(os.path.join(self.top, item)):
            names = lines("git", "-C", self.top, "-c", "core.quotePath=false", "ls-files", "--cached", "--others",
                          "--exclude-standard", "--", item)
            return {name: name for name in names if os.path.isfile(os.path.join(self.top, name))}
        here, _, there = item.partition(":")
        if not os.path.isfile(os.path.join(self.top, here)):
            raise Wrong(f"{self.path} adds {here}, which does not exist")
        return {there or here: here}


class Series:
    """The patches of a base, in order, and what each adds whole"""

    def __init__(self, base, top=TOP):
        self.base, self.top = base, top
        where = f"patches/{base}"
        if not os.path.isfile(os.path.join(top, where, "series")):
            raise Wrong(f"{base}: no {where}/series")
        known = topics(top)
        self.patches = []
        for line in table(os.path.join(top, where, "series")):
            path = os.path.normpath(os.path.join(where, line.strip()))
            if not os.path.isfile(os.path.join(top, path)):
                raise Wrong(f"{base}: {where}/series names {line.strip()}, which does not exist")
            self.patches.append(Patch(top, path))
        at = [list(known).index(patch.topic) if patch.topic in known else -1 for patch in self.patches]
        for number, patch in enumerate(self.patches):
            if at[number] < 0:
                raise Wrong(f"{patch.path}: patches/topics knows no {patch.topic}")
            if number and at[number] < at[number - 1]:
                raise Wrong(f"{where}/series: {patch.topic} comes before {self.patches[number - 1].topic}")
        self.topics = {name: topic for name, topic in known.items()
                       if any(patch.topic == name for patch in self.patches)}
        for patch in self.patches:
            patch.own = {}
        owner = {}
        # One by one before whole directories: those are for what is left.
        for whole in (False, True):
            for patch in self.patches:
                for item in patch.items:
                    if os.path.isdir(os.path.join(top, item)) != whole:
                        continue
                    for there, here in patch.inside(item).items():
                        if there in owner and whole:
                            continue
                        if there in owner:
                            raise Wrong(f"{base}: both {owner[there].path} and {patch.path} add {there}")
                        owner[there] = patch
                        patch.own[there] = here
        self.owner = owner

    def files(self):
        """What composing them reads"""
        found = {path for patch in self.patches for path in (patch.path, patch.holder.path)}
        found.update(here for patch in self.patches for here in patch.own.values())
        return sorted(found) + [f"patches/{self.base}/series"]


class Scratch:
    """A repository with nothing but our own files, to let git make diffs and mails"""

    def __init__(self, series):
        self.series = series
        self.held = tempfile.TemporaryDirectory(prefix="dbp-series-")
        self.dir = self.held.name
        self.env = {"GIT_DIR": self.dir, "GIT_INDEX_FILE": os.path.join(self.dir, "index"),
                    "GIT_WORK_TREE": self.dir}
        run("git", "init", "-q", self.dir, env={"GIT_DIR": self.dir})
        # So that the heads of hunks name functions as they do in the kernel
        write(b"*.c diff=cpp\n*.h diff=cpp\n*.py diff=python\n", self.dir, "info/attributes")
        self.trees = self.states()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.held.cleanup()

    def git(self, *args, **how):
        return run("git", *args, **dict(how, env=dict(self.env, **how.get("env", {})))).stdout

    def states(self):
        """Our own files before the first patch and after each: trees of git"""
        series = self.series
        entries = []
        for patch in series.patches:
            for there, here in patch.own.items():
                path = os.path.join(series.top, here)
                mode = "100755" if os.access(path, os.X_OK) else "100644"
                blob = self.git("hash-object", "-w", "--no-filters", "--", path).decode().strip()
                entries.append(f"{mode} {blob}\t{there}\0")
        self.git("update-index", "-z", "--index-info", data="".join(entries).encode())
        trees = [self.git("write-tree").decode().strip()]
        for patch in reversed(series.patches):
            grown = [(path, part) for path, part in patch.sections if path in series.owner]
            for path, _ in grown:
                if path in patch.own:
                    raise Wrong(f"{patch.path} adds {path} whole and has hunks for it")
            if grown:
                done = run("git", "apply", "-R", "--cached", "-", data=b"".join(part for _, part in grown),
                           check=False, env=self.env)
                if done.returncode:
                    said = done.stderr.decode(errors="replace").splitlines()
                    said = re.sub("^error: ", "", said[0]) if said else "?"
                    raise Wrong(f"{series.base}: {patch.path} cannot be taken back from what stands here: {said}")
            if patch.own:
                self.git("update-index", "-z", "--force-remove", "--stdin",
                         data="".join(f"{name}\0" for name in patch.own).encode())
            trees.append(self.git("write-tree").decode().strip())
        return trees[::-1]

    def diff(self, old, new):
        return sections(self.git("diff-tree", "-r", "-p", ABBREV, "--no-renames", old, new))

    def body(self, number):
        """What comes below the --- of a mail"""
        patch = self.series.patches[number]
        parts = self.diff(self.trees[number], self.trees[number + 1])
        parts += [(path, part) for path, part in patch.sections if path not in self.series.owner]
        diff = b"".join(part for _, part in sorted(parts, key=lambda one: one[0]))
        if not diff:
            raise Wrong(f"{self.series.base}: {patch.path} changes nothing")
        return self.stat(diff) + b"\n" + diff

    @staticmethod
    def stat(diff):
        return run("git", "apply", "--stat", "--summary", "-", data=diff).stdout

    def total(self, numbers):
        """The diffstat of several patches. What one changes of the kernel's lines that
        another has changed counts twice: there is no source to compare with."""
        parts = dict(self.diff(self.trees[numbers[0]], self.trees[numbers[-1] + 1]))
        for number in numbers:
            for path, part in self.series.patches[number].sections:
                if path in self.series.owner:
                    continue
                hunks = part[re.search(rb"^@@ ", part, re.M).start():] if re.search(rb"^@@ ", part, re.M) else b""
                parts[path] = parts[path] + hunks if path in parts else part
        return self.stat(b"".join(parts[path] for path in sorted(parts)))

    def commits(self, numbers, who):
        """A line of commits with the messages of these patches; [first parent, ...]"""
        found = [self.git("commit-tree", self.trees[numbers[0]], "-m", "base", env=who).decode().strip()]
        for number in numbers:
            found.append(self.git("commit-tree", self.trees[number + 1], "-p", found[-1],
                                  data=self.series.patches[number].message(), env=who).decode().strip())
        return found

    def mails(self, numbers, out, who, *options):
        """Let git make the mails of these patches; the diffs we know better"""
        commits = self.commits(numbers, who)
        names = lines("git", "format-patch", "-o", out, "--always", "--no-signature", "--stat=75", *options,
                      f"{commits[0]}..{commits[-1]}", env=dict(self.env, **who))
        for name in names:
            text = read(name)
            # b4 of bookworm trips over headers that git has folded.
            head, gap, rest = text.partition(b"\n\n")
            head = re.sub(rb"^((?:From|Subject): .*(?:\n[ \t].*)*)",
                          lambda found: re.sub(rb"\n[ \t]+", b" ", found.group(1)), head, flags=re.M)
            write(head + gap + rest, name)
        for name, number in zip(names[-len(numbers):], numbers):
            message = read(name).partition(b"\n---\n")[0].rstrip(b"\n")
            write(message + b"\n---\n" + self.body(number), name)
        return names


def cover_text(series, topic):
    """The cover letter of a topic: (subject, body), or an error"""
    names = (f"patches/{series.base}/{topic}/cover.txt", f"patches/cover/{topic}.txt")
    for name in names:
        if os.path.isfile(os.path.join(series.top, name)):
            subject, _, body = read(series.top, name).decode().partition("\n")
            return subject.strip(), body.strip("\n")
    raise Wrong(f"{series.base}: no cover letter of {topic}, neither {' nor '.join(names)}")


def cover(scratch, topic, numbers, mail):
    series = scratch.series
    subject, body = cover_text(series, topic)
    out = os.path.join(series.top, "build", series.base)
    shown = os.path.join(out, "log/run.table")
    if "@TABLE@" in body and os.path.exists(shown):
        rows = "".join(f"    {line.rstrip()}\n" if line.strip() else "\n"
                       for line in read(shown).decode().splitlines())
        body = body.replace("@TABLE@", rows.strip("\n"))
    elif "@TABLE@" in body:
        print(f"warning: the cover letter of {topic} shows the table of a run: 'make run BASE={series.base}', "
              "then this again", file=sys.stderr)
    base = f"Linux {series.base}" if series.base[0].isdigit() else series.base
    if os.path.exists(os.path.join(out, "base.id")):
        kind, _, what = read(out, "base.id").decode().strip().partition(" ")
        base = what.replace("_", " ") if kind == "package" else base
    body = body.replace("@BASE@", base)
    text = read(mail).decode()
    text = text.replace("*** SUBJECT HERE ***", subject)
    head, _, rest = text.partition("*** BLURB HERE ***\n\n")
    # git's list of the patches stays, its statistics know only our own files.
    shortlog = rest.partition("\n\n")[0]
    write(f"{head}{body}\n\n{shortlog}\n\n{scratch.total(numbers).decode()}\nbase: {base}\n".encode(), mail)


def sender():
    """Who git config says is sending"""
    name, email = (subprocess.run(["git", "-C", TOP, "config", key], capture_output=True, check=False)
                   .stdout.decode().strip() for key in ("user.name", "user.email"))
    if not name or not email:
        raise Wrong("no sender for the Signed-off-by: git config user.name 'Your Name' and user.email first")
    return name, email


def for_mailing(series, asked):
    version = os.environ.get("VERSION") or "1"
    if not re.fullmatch("[1-9][0-9]*", version):
        raise Wrong(f"VERSION={version}: say a number, 1 or more")
    if asked and asked not in series.topics:
        raise Wrong(f"{series.base} has no TOPIC '{asked}': it has {' '.join(series.topics)}")
    if asked and series.topics[asked].mailed == "never":
        raise Wrong(f"the topic {asked} proves things here and is never mailed")
    name, email = sender()
    who = ident(name, email, date=None)
    prefix = "PATCH" if series.base == "mainline" else f"PATCH {series.base}"
    common = ["-s", f"--subject-prefix={prefix}", *(["-v", version] if version != "1" else [])]
    out = os.path.join(series.top, "build", series.base, "series")
    part = f"{out}.part"
    shutil.rmtree(part, ignore_errors=True)
    done = []
    with Scratch(series) as scratch:
        for topic in series.topics.values():
            if topic.mailed == "never" or (asked and topic.name != asked):
                continue
            numbers = [n for n, patch in enumerate(series.patches) if patch.topic == topic.name]
            options = ["--no-numbered"]
            if len(numbers) > 1 and topic.mailed == "series":
                options = ["--cover-letter", "--thread=shallow"]
            mails = scratch.mails(numbers, os.path.join(part, topic.name), who, *common, *options)
            if len(mails) > len(numbers):
                cover(scratch, topic.name, numbers, mails[0])
            for mail in mails:
                write(read(mail) + b"-- \n" + lines("git", "version")[0].split()[2].encode() + b"\n\n", mail)
            done.append(f"{topic.name} {len(mails)}")
    for topic in os.listdir(part):
        shutil.rmtree(os.path.join(out, topic), ignore_errors=True)
        os.makedirs(out, exist_ok=True)
        os.rename(os.path.join(part, topic), os.path.join(out, topic))
    shutil.rmtree(part)
    if not asked:
        # A topic that is gone, or what an older version of this left
        for left in os.listdir(out):
            if left not in [one.split()[0] for one in done]:
                path = os.path.join(out, left)
                if os.path.isdir(path):
                    shutil.rmtree(path)
                else:
                    os.remove(path)
    print(f"{series.base}: mails in build/{series.base}/series from {name} <{email}>: {', '.join(done)}",
          file=sys.stderr)


def for_composing(series, out):
    shutil.rmtree(out, ignore_errors=True)
    os.makedirs(out)
    with Scratch(series) as scratch:
        if not series.patches:
            raise Wrong(f"{series.base}: patches/{series.base}/series names no patch")
        mails = scratch.mails(range(len(series.patches)), out, ident(*NOBODY), "--no-numbered")
    for patch, mail in zip(series.patches, mails):
        print(f"{patch.topic}\t{patch.path}\t{mail}")


def main():
    parser = argparse.ArgumentParser(usage="series.py BASE [TOPIC] [--topics | --files | --unsigned DIR]")
    parser.add_argument("base")
    parser.add_argument("topic", nargs="?")
    parser.add_argument("--topics", action="store_true")
    parser.add_argument("--files", action="store_true")
    parser.add_argument("--unsigned", metavar="DIR")
    args = parser.parse_args()
    if args.base not in bases():
        raise Wrong(f"unknown BASE '{args.base}': known are {' '.join(bases())}")
    series = Series(args.base)
    if args.topics:
        print("\n".join(series.topics))
    elif args.files:
        print("\n".join(series.files()))
    elif args.unsigned:
        for_composing(series, args.unsigned)
    else:
        os.makedirs(os.path.join(TOP, "build", args.base), exist_ok=True)
        with open(os.path.join(TOP, "build", f".lock-series-{args.base}"), "w", encoding="utf-8") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            for_mailing(series, args.topic)


if __name__ == "__main__":
    try:
        main()
    except Wrong as wrong:
        sys.exit(f"error: {wrong}")
