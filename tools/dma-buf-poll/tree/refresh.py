#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""refresh.py BASE: fold the commits of build/BASE/src back into the repository

The opposite of compose.sh: the files that the commits of the branch "series" add
go to the repository as they are at its end, all else to patches/BASE as git
format-patch writes it. What has not changed stays as it is, byte for byte: a patch
that still gives what the commit has is not written anew, and one that belongs to
another base is still named by its path. If it has changed, it becomes a port of
its own in patches/BASE. A new commit belongs to the topic of the one before it, or
to one that the base has not had so far: where somebody puts the tag topic/NAME.

Nothing in the repository is touched before a copy of it, with all of this in it,
has been put together to the same commits.

make refresh calls it.
"""

import fcntl
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from series import ABBREV, HERE, NOBODY, TOP, Patch, Series, Wrong, bases, ident, lines, read, run, topics, \
    write  # noqa: E402

ADVICE = "git -C {} rebase -i base"


class Tree:
    """build/BASE/src"""

    def __init__(self, base, out):
        self.base, self.out = base, out
        self.src = os.path.join(out, "src")
        self.shown = os.path.relpath(self.src)
        self.index = {"GIT_INDEX_FILE": os.path.join(out, "refresh.index")}

    def git(self, *args, **how):
        return run("git", "-C", self.src, "-c", "core.quotePath=false", *args, **how)

    def lines(self, *args, **how):
        return self.git(*args, **how).stdout.decode().splitlines()

    def ready(self):
        """Refuse a tree of which a part would be lost"""
        branch = self.git("symbolic-ref", "-q", "--short", "HEAD", check=False).stdout.decode().strip()
        if branch != "series":
            raise Wrong(f"{self.base}: {self.shown} is not on its branch: end the rebase, "
                        f"or git -C {self.shown} checkout series")
        for line in self.lines("status", "--porcelain", "--untracked-files=all"):
            name = line[3:]
            if line.startswith("??"):
                raise Wrong(f"{self.base}: git does not know {name} in {self.shown}: "
                            "git add and commit it there, or remove it")
            raise Wrong(f"{self.base}: {self.shown} has edits, in {name}: commit them there, or take them back")
        if self.git("merge-base", "--is-ancestor", "base", "series", check=False).returncode:
            raise Wrong(f"{self.base}: in {self.shown} the branch series does not begin at the tag base")
        if self.lines("rev-list", "--merges", "base..series"):
            raise Wrong(f"{self.base}: {self.shown} has a merge: a series is a line of commits")
        if not self.lines("rev-list", "base..series"):
            raise Wrong(f"{self.base}: {self.shown} has no commits on top of its base")

    def changes(self, old, new):
        """[(status, path)]"""
        return [(line[0], line[2:]) for line in
                self.lines("diff-tree", "-r", "--no-renames", "--name-status", old, new)]

    def commits(self, tip):
        return [Commit(self, name) for name in self.lines("rev-list", "--reverse", f"base..{tip}")]


class Commit:
    """One of them: what it adds whole, and what git makes of the rest"""

    def __init__(self, tree, name):
        self.tree, self.name = tree, name
        self.message = run("git", "stripspace", data=tree.git("log", "-1", "--format=%B", name).stdout).stdout
        self.subject = self.message.decode().splitlines()[0] if self.message else ""
        self.changed = tree.changes(f"{name}^", name)
        self.patch = None
        self.own = []
        if not self.changed:
            raise Wrong(f"{tree.base}: {self} changes nothing")

    def __str__(self):
        return f"{self.name[:12]} (\"{self.subject}\")"

    def blob(self, path):
        return self.tree.git("show", f"{self.name}:{path}").stdout

    def rest(self):
        """Its tree without the files that it adds whole"""
        self.tree.git("read-tree", self.name, env=self.tree.index)
        if self.own:
            self.tree.git("update-index", "-z", "--force-remove", "--stdin", env=self.tree.index,
                          data="".join(f"{name}\0" for name in self.own).encode())
        return self.tree.git("write-tree", env=self.tree.index).stdout.decode().strip()

    def given_by(self, patch):
        """Does this patch lead from the parent to the commit?"""
        self.tree.git("read-tree", f"{self.name}^", env=self.tree.index)
        diff = b"".join(part for _, part in patch.sections)
        if diff and self.tree.git("apply", "--cached", "-", data=diff, check=False,
                                  env=self.tree.index).returncode:
            return False
        return self.tree.git("write-tree", env=self.tree.index).stdout.decode().strip() == self.rest()

    def mail(self):
        """What git format-patch makes of the rest: (headers and message, all below the ---)"""
        who = ident(*NOBODY)
        commit = self.tree.git("commit-tree", self.rest(), "-p", f"{self.name}^", data=self.message,
                               env=who).stdout.decode().strip()
        text = self.tree.git("format-patch", "--stdout", "-1", "--always", "--zero-commit", "--no-signature",
                             "--no-numbered", ABBREV, "-M", commit).stdout
        if b"\nGIT binary patch\n" in text:
            raise Wrong(f"{self.tree.base}: {self} changes a binary file of the kernel: no patch can carry that")
        head, _, rest = text.partition(b"\n---\n")
        return head.rstrip(b"\n"), rest.rstrip(b"\n") + b"\n" if rest else b""


def match(commits, composed, patches):
    """Which patch was each commit? By what it is, by its subject, or else by its place."""
    free = {old.name: (old, patch) for old, patch in zip(composed, patches)}

    def take(commit, found):
        if found:
            commit.patch = free.pop(found)[1]

    for commit in commits:
        take(commit, commit.name if commit.name in free else None)
    for commit in commits:
        if not commit.patch:
            take(commit, next((name for name, (old, _) in free.items() if old.subject == commit.subject), None))
    order = [patch.path for patch in patches]
    for number, commit in enumerate(commits):
        if commit.patch:
            continue
        # A new subject where an old one is missing, between the same neighbours
        above = commits[number - 1].patch if number else None
        place = order.index(above.path) + 1 if above else 0
        if number == 0 or above:
            take(commit, next((name for name, (_, patch) in free.items()
                               if patch.path in order[place:place + 1]), None))


def from_elsewhere(commits, repo, base):
    """New here, but with the message of a patch of another base: maybe it is that"""
    for other in bases(repo):
        if other == base or not os.path.exists(os.path.join(repo, f"patches/{other}/series")):
            continue
        for patch in Series(other, repo).patches:
            for commit in commits:
                if not commit.patch and patch.message() == commit.message:
                    commit.patch = patch.holder


def sort_out(tree, commits):
    """Whose is each file that is new at the end: of the commit that adds it for good"""
    new = {path for status, path in tree.changes("base", "series") if status == "A"}
    for commit in reversed(commits):
        for status, path in commit.changed:
            if status == "A" and path in new:
                new.discard(path)
                commit.own.append(path)


def inside(patch, item, others):
    """{path in the kernel: path here} of an item of Own-files, without what others name"""
    try:
        found = patch.inside(item)
    except Wrong:
        # Gone from the copy
        return {item: item}
    if item in found or len(item.split(":")) > 1:
        return found
    return {there: here for there, here in found.items() if there not in others}


def items_for(patch, want, mapping, others):
    """An Own-files line for these files, as much as possible the old one"""
    items, left = [], set(want)
    for item in patch.items if patch else []:
        there = set(inside(patch, item, others))
        if there and there <= left:
            items.append(item)
            left -= there
    for path in sorted(left):
        here = mapping.get(path, path)
        items.append(path if here == path else f"{here}:{path}")
    return items


def slug(subject):
    return re.sub(r"[^A-Za-z0-9.]+", "-", subject).strip("-.")[:52].rstrip("-.")


def fold(stage, base, topic, commit, mapping, others):
    """Write the patch of a commit, if it is not the old one; returns its path"""
    old = commit.patch
    if not old:
        numbers = [int(name[:4]) for other in os.listdir(os.path.join(stage, "patches"))
                   if os.path.isdir(os.path.join(stage, "patches", other, topic))
                   for name in os.listdir(os.path.join(stage, "patches", other, topic))
                   if re.match(r"\d{4}-", name)]
        path = f"patches/{base}/{topic}/{max(numbers, default=0) + 1:04}-{slug(commit.subject)}.patch"
        same_message = same_own = False
    else:
        same_message = old.message() == commit.message
        same_own = {there for item in old.items for there in inside(old, item, others)} == set(commit.own)
        if same_message and same_own and commit.given_by(old):
            return old.path
        path = f"patches/{base}/{old.topic}/{os.path.basename(old.path)}"
        if path != old.path and os.path.exists(os.path.join(stage, path)):
            raise Wrong(f"{base}: {old.path} needs a port, but there is a {path} that the series does not name")

    head, rest = commit.mail()
    if same_message and same_own and old.holder.path != path:
        # Ours in nothing but the hunks
        head = head.splitlines()[0] + b"\nMessage: " + old.holder.path.removeprefix("patches/").encode() + b"\n"
    else:
        items = old.items if same_own else items_for(old, commit.own, mapping, others)
        if items:
            rest = b"Own-files: " + " ".join(items).encode() + b"\n" + rest
    write(head + b"\n---\n" + rest, stage, path)
    return path


def new_topic(tree, series, commits):
    """The tag topic/NAME that somebody has put on one of these commits, all new up to there"""
    for commit in commits:
        if commit.patch:
            return None
        for name in tree.lines("tag", "--points-at", commit.name, "topic/*"):
            name = name.removeprefix("topic/")
            if name in series.topics:
                continue
            if name not in topics():
                raise Wrong(f"{tree.base}: the tag topic/{name}: patches/topics knows no {name}")
            return name
    return None


def write_series(stage, base, was, now):
    """The names in their new order; each keeps the comment above it"""
    where = f"patches/{base}"
    if was == now:
        return
    comments, before = {}, []
    for line in read(stage, where, "series").decode().splitlines():
        name = line.strip()
        if name and not name.startswith("#"):
            comments[os.path.normpath(os.path.join(where, name))] = before
            before = []
        else:
            before.append(line)
    out = comments.get(was[0], []) if was and was[0] not in now else []
    for path in now:
        # A port takes the place, and the comment, of what it was made from
        old = path if path in comments else next(
            (p for p in comments if p not in now and p.split("/")[-2:] == path.split("/")[-2:]), None)
        out += [line for line in comments.get(old, []) if line not in out or not line]
        out.append(os.path.relpath(path, where))
    write(("\n".join(out + before) + "\n").encode(), stage, where, "series")


def used(repo):
    """{patch: bases} that name a patch, or take a message from it"""
    found = {}
    for base in bases(repo):
        if os.path.exists(os.path.join(repo, f"patches/{base}/series")):
            for patch in Series(base, repo).patches:
                for path in {patch.path, patch.holder.path}:
                    found.setdefault(path, []).append(base)
    return found


def files(top):
    return {name for name in lines("git", "-C", top, "-c", "core.quotePath=false", "ls-files", "--cached",
                                   "--others", "--exclude-standard")
            if os.path.isfile(os.path.join(top, name))}


def copy(repo, where):
    shutil.rmtree(where, ignore_errors=True)
    os.makedirs(where)
    for name in files(repo):
        os.makedirs(os.path.dirname(os.path.join(where, name)), exist_ok=True)
        shutil.copy2(os.path.join(repo, name), os.path.join(where, name))
    run("git", "init", "-q", where)


def own_files(stage, base, commits, mapping):
    """What the series has of our own files goes to the copy; what it lacks goes"""
    there = set()
    for commit in commits:
        for path in commit.own:
            here = mapping.get(path, path)
            there.add(here)
            if path not in mapping and os.path.exists(os.path.join(stage, here)):
                raise Wrong(f"{base}: {commit} adds {path}, but the repository has a {here} "
                            "that is no part of the series")
            if here.split("/")[0] in ("patches", "build", ".git"):
                raise Wrong(f"{base}: {commit} adds {path}, which has no place in the repository")
            data = commits[-1].blob(path)
            if not os.path.exists(os.path.join(stage, here)) or read(stage, here) != data:
                write(data, stage, here)
            mode = commit.tree.lines("ls-tree", "--format=%(objectmode)", commits[-1].name, "--", path)
            os.chmod(os.path.join(stage, here), 0o755 if mode == ["100755"] else 0o644)
    for here in set(mapping.values()) - there:
        if os.path.exists(os.path.join(stage, here)):
            os.remove(os.path.join(stage, here))


def keep_for_others(stage, repo, base):
    """A file that this series has no more, and another one names, stays"""
    for other in bases(repo):
        if other == base or not os.path.exists(os.path.join(repo, f"patches/{other}/series")):
            continue
        for patch in Series(other, repo).patches:
            for here in patch.own.values():
                if not os.path.exists(os.path.join(stage, here)):
                    write(read(repo, here), stage, here)


def verify(stage, tree, commits):
    """Put the copy together, and see that it gives the commits we began with"""
    made = os.path.join(tree.out, "refresh-am")
    shutil.rmtree(made, ignore_errors=True)
    done = subprocess.run([os.path.join(stage, "tools/dma-buf-poll/tree/am.sh"), tree.base, tree.src, made],
                          capture_output=True, text=True, check=False)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.startswith("error: ")] or \
            done.stderr.strip().splitlines()[-1:] or ["?"]
        raise Wrong("what would be written does not compose: " + said[-1].removeprefix("error: "))
    other = Tree(tree.base, tree.out)
    other.src = made
    there = other.commits("refs/dbp/composing")
    if len(there) != len(commits):
        raise Wrong(f"{tree.base}: {len(commits)} commits became {len(there)}: a bug in refresh.py")
    for now, then in zip(commits, there):
        if now.message != then.message:
            raise Wrong(f"{tree.base}: the message of \"{now.subject}\" does not survive being a mail: no line of "
                        "it may be --- or look like a diff or a header")
        if tree.git("rev-parse", f"{now.name}^{{tree}}").stdout != other.git("rev-parse", f"{then.name}^{{tree}}").stdout:
            raise Wrong(f"{tree.base}: \"{now.subject}\" does not come out as it went in: a bug in refresh.py")
    return made


def install(stage, repo):
    """Take over what is different; returns [(what, path)]"""
    before, after = files(repo), files(stage)
    done = []
    for name in sorted(before | after):
        here, there = os.path.join(repo, name), os.path.join(stage, name)
        if name not in after:
            os.remove(here)
            done.append(("removed", name))
        elif name not in before:
            write(read(there), here)
            shutil.copymode(there, here)
            done.append(("new", name))
        elif read(there) != read(here) or os.access(there, os.X_OK) != os.access(here, os.X_OK):
            write(read(there), here)
            shutil.copymode(there, here)
            done.append(("changed", name))
    return done


def fold_back(tree):
    base, out, repo = tree.base, tree.out, TOP
    series = Series(base)
    was = [patch.path for patch in series.patches]
    mapping = {there: here for patch in series.patches for there, here in patch.own.items()}
    composed = tree.commits("refs/dbp/composed")
    commits = tree.commits("series")
    if len(composed) != len(was):
        raise Wrong(f"{base}: {tree.shown} was composed from other patches: make tree BASE={base}")
    match(commits, composed, series.patches)
    sort_out(tree, commits)
    from_elsewhere(commits, repo, base)

    stage = os.path.join(out, "refresh")
    copy(repo, stage)
    try:
        own_files(stage, base, commits, mapping)
        now, topic = [], None
        for number, commit in enumerate(commits):
            others = {path for other in commits if other is not commit for path in other.own}
            if commit.patch:
                commit.patch = Patch(stage, commit.patch.path)
                topic = commit.patch.topic
            else:
                topic = new_topic(tree, series, commits[number:]) or topic or next(iter(series.topics))
            now.append(fold(stage, base, topic, commit, mapping, others))
        write_series(stage, base, was, now)
        keep_for_others(stage, repo, base)
        needed = used(stage)
        for path in set(was) - set(now):
            if path.startswith(f"patches/{base}/") and path not in needed:
                os.remove(os.path.join(stage, path))
        made = verify(stage, tree, commits)
        done = install(stage, repo)
        # The same trees, as compose.sh would have made them: nothing is left to compose.
        tree.git("fetch", "-q", "--no-tags", made, "+refs/dbp/composing:refs/dbp/composing")
        tree.git("checkout", "-q", "-B", "series", "refs/dbp/composing")
        tree.git("update-ref", "refs/dbp/composed", "refs/dbp/composing")
    finally:
        for name in ("refresh", "refresh-am"):
            shutil.rmtree(os.path.join(out, name), ignore_errors=True)
        if os.path.exists(tree.index["GIT_INDEX_FILE"]):
            os.remove(tree.index["GIT_INDEX_FILE"])
    if not done:
        print(f"{base}: nothing to fold back", file=sys.stderr)
        return
    for what, path in done:
        print(f"{what:8} {path}", file=sys.stderr)
    others = sorted({other for _, path in done for other in needed.get(path, []) if other != base})
    for other in bases():
        if other not in others + [base] and os.path.exists(os.path.join(repo, f"patches/{other}/series")) and \
           {path for _, path in done} & {here for patch in Series(other).patches for here in patch.own.values()}:
            others.append(other)
    print(f"{base}: folded back {len(commits)} commits", file=sys.stderr)
    if others:
        print(f"other bases use some of this: see that it still fits {' '.join(others)}", file=sys.stderr)


def main():
    if len(sys.argv) != 2:
        raise Wrong("usage: refresh.py BASE")
    base = sys.argv[1]
    if base not in bases():
        raise Wrong(f"unknown BASE '{base}': known are {' '.join(bases())}")
    out = os.path.join(TOP, "build", base)
    os.makedirs(out, exist_ok=True)
    name = "DBP_LOCK_" + re.sub(r"\W", "_", base)
    with open(os.path.join(TOP, "build", f".lock-{base}"), "w", encoding="utf-8") as held:
        if not os.environ.get(name):
            fcntl.flock(held, fcntl.LOCK_EX)
            os.environ[name] = "1"
        tree = Tree(base, out)
        if os.path.isdir(tree.src):
            tree.ready()
        # Refuses if the repository has moved on as well.
        compose = [os.path.join(HERE, "compose.sh"), base]
        if subprocess.run(compose, check=False).returncode:
            sys.exit(1)
        tree.ready()
        fold_back(tree)
        sys.exit(subprocess.run(compose, check=False, stderr=subprocess.DEVNULL).returncode)


if __name__ == "__main__":
    try:
        main()
    except Wrong as wrong:
        sys.exit(f"error: {wrong}")
