#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""refresh.py BASE: fold the commits of build/BASE/src back into the repository

The opposite of compose.sh: what the commits of the branch "series" add goes to
the own files, what they change in files of the kernel to patches/BASE, as do
their messages. What has not changed stays as it is, byte for byte: a patch
whose hunks still give what the commit has is not written anew, and one that
belongs to another base is still named by its path. If it has changed, it
becomes a variant of its own in patches/BASE.

Nothing in the repository is touched before a copy of it, with all of this in
it, has been composed to the same commits.
"""

import fcntl
import os
import re
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.realpath(__file__))
TOP = os.path.realpath(os.path.join(HERE, "../.."))
# Where the commit of the base knows every file of the kernel, so that a file it
# does not know is a new one.
WHOLE = re.compile(r"drivers/dma-buf/|Documentation/driver-api/[^/]*\.rst$|include/linux/dma-[^/]*\.h$")
ADVICE = "git -C {} rebase -i --autosquash base"


def die(text):
    sys.exit(f"error: {text}")


def run(*command, data=None, check=True, env=None):
    done = subprocess.run(command, input=data, capture_output=True, check=False,
                          env=dict(os.environ, LC_ALL="C", **(env or {})))
    if check and done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"]
        die(f"{' '.join(command[:6])}: {said[-1].removeprefix('error: ')}")
    return done


def lines(*command):
    return run(*command).stdout.decode().splitlines()


def read(*path):
    with open(os.path.join(*path), "rb") as source:
        return source.read()


def write(data, *path):
    name = os.path.join(*path)
    os.makedirs(os.path.dirname(name), exist_ok=True)
    with open(name, "wb") as out:
        out.write(data)


def stripped(message):
    """A message as git commit stores it"""
    return run("git", "stripspace", data=message).stdout


class Repository:
    """A checkout of this repository: own files and patches"""

    def __init__(self, top):
        self.top = top

    def path(self, name):
        return os.path.join(self.top, name)

    def bases(self):
        return [line.split()[0].decode() for line in read(self.top, "tools/dma-buf-poll/bases").splitlines()
                if line.strip() and not line.startswith(b"#")]

    def series(self, base):
        """[(comment lines before it, path of the patch)], and what comes last"""
        found, before = [], []
        where = f"patches/{base}"
        if not os.path.exists(self.path(f"{where}/series")):
            return found, before
        for line in read(self.top, where, "series").decode().splitlines():
            name = line.strip()
            if not name or name.startswith("#"):
                before.append(line)
            else:
                found.append((before, os.path.normpath(os.path.join(where, name))))
                before = []
        return found, before

    def split(self, patch):
        """A patch: what is above the ---, the lines below it, and the diff"""
        text = read(self.top, patch)
        head, _, rest = text.partition(b"\n---\n")
        # A variant has nothing but its Message line above.
        start = re.search(rb"^diff ", rest, re.M)
        cut = start.start() if start else len(rest)
        return head + b"\n", rest[:cut], rest[cut:]

    def message_of(self, patch):
        """compose.sh has the same rule"""
        other = re.search(rb"^Message: *(.*)$", self.split(patch)[0], re.M)
        if not other:
            return patch
        return os.path.normpath(os.path.join(os.path.dirname(patch), other.group(1).decode().strip()))

    def message(self, patch):
        """What compose.sh makes of it: subject, empty line, body"""
        name = self.message_of(patch)
        body = self.path(".refresh-message")
        info = run("git", "mailinfo", "--encoding=UTF-8", body, "/dev/null", data=read(self.top, name)).stdout
        subject = re.search(rb"^Subject: (.*)$", info, re.M)
        text = read(body)
        os.remove(body)
        return stripped((subject.group(1) if subject else b"") + b"\n\n" + text)

    def items(self, patch):
        """What its Own-files line says"""
        below = self.split(self.message_of(patch))[1].decode()
        return " ".join(re.findall(r"^Own-files: *(.*)$", below, re.M)).split()

    def inside(self, item):
        """{path in the kernel: path here} of one item of an Own-files line"""
        if os.path.isdir(self.path(item)):
            names = lines("git", "-C", self.top, "ls-files", "--cached", "--others",
                          "--exclude-standard", "--", item)
            return {name: name for name in names if os.path.exists(self.path(name))}
        here, _, there = item.partition(":")
        return {there or here: here}

    def own(self, patch):
        found = {}
        for item in self.items(patch):
            found.update(self.inside(item))
        return found


class Commit:
    """A commit of build/BASE/src: what it does to the kernel's files, and to ours"""

    def __init__(self, src, name):
        self.src, self.name = src, name
        self.message = stripped(run("git", "-C", src, "log", "-1", "--format=%B", name).stdout)
        self.subject = self.message.decode().splitlines()[0] if self.message else ""
        self.patch = None
        self.kernel, self.own = [], []
        self.changes = []
        for line in lines("git", "-C", src, "-c", "core.quotePath=false", "diff-tree", "-r",
                          "--no-renames", "--name-status", f"{name}^", name):
            status, _, path = line.partition("\t")
            self.changes.append((status[0], path))

    def __str__(self):
        return f"{self.name[:12]} (\"{self.subject}\")"

    def blob(self, path, parent=False):
        """Its content, or None"""
        done = run("git", "-C", self.src, "show", f"{self.name}{'^' if parent else ''}:{path}", check=False)
        return None if done.returncode else done.stdout

    def before(self, path, extra):
        """The same in its parent; extra are files of the base git did not know"""
        found = self.blob(path, parent=True)
        return extra.get(path) if found is None else found

    def gives(self, diff, extra, tmp):
        """Does this diff lead from the parent to the commit, as patch sees it?"""
        named = set(re.findall(r"^(?:---|\+\+\+) [ab]/(.*)$", diff.decode(errors="replace"), re.M))
        if named != set(self.kernel):
            return False
        if not named:
            return True
        shutil.rmtree(tmp, ignore_errors=True)
        for path in named:
            old = self.before(path, extra)
            if old is not None:
                write(old, tmp, path)
        applied = run("patch", "-s", "-d", tmp, "-p1", "-F2", "--no-backup-if-mismatch", "-f",
                      data=diff, check=False)
        same = not applied.returncode
        for path in named:
            new = self.blob(path)
            if os.path.exists(os.path.join(tmp, path)):
                same = same and read(tmp, path) == new
            else:
                same = same and new is None
        shutil.rmtree(tmp)
        return same

    def hunks(self, extra, tmp):
        """The diff of the kernel's files, in the form the patches here have"""
        if not self.kernel:
            return b""
        shutil.rmtree(tmp, ignore_errors=True)
        run("git", "init", "-q", tmp)
        git = ("git", "-C", tmp, "-c", "user.name=x", "-c", "user.email=x@localhost", "-c", "core.autocrlf=false")
        # So that the heads of the hunks name functions as they do in the kernel
        write(b"*.c diff=cpp\n*.h diff=cpp\n", tmp, ".git/info/attributes")
        for path in self.kernel:
            old = self.before(path, extra)
            if old is not None:
                write(old, tmp, path)
        run(*git, "add", "-Af")
        run(*git, "commit", "-q", "--allow-empty", "-m", "old")
        for path in self.kernel:
            new = self.blob(path)
            if new is None:
                os.remove(os.path.join(tmp, path))
            else:
                write(new, tmp, path)
        run(*git, "add", "-Af")
        diff = run(*git, "diff", "--cached", "--no-color", "--no-ext-diff", "--no-renames", "-U3").stdout
        shutil.rmtree(tmp)
        if b"\nBinary files " in diff:
            die(f"{self} changes a binary file of the kernel: no patch can carry that")
        return re.sub(rb"^(?:index [0-9a-f]+\.\.[0-9a-f]+.*|old mode .*|new mode .*)\n", b"", diff, flags=re.M)


def match(commits, patches, repo):
    """Which patch was each commit? By its subject, or else by its place."""
    titles = {patch: repo.message(patch).decode().splitlines()[0] for patch in patches}
    free = list(patches)
    for commit in commits:
        for patch in free:
            if titles[patch] == commit.subject:
                commit.patch = patch
                free.remove(patch)
                break
    for number, commit in enumerate(commits):
        if commit.patch:
            continue
        # A new subject where an old one is missing, between the same neighbours
        above = commits[number - 1].patch if number else None
        place = patches.index(above) + 1 if above else 0
        if (number == 0 or above) and place < len(patches) and patches[place] in free:
            commit.patch = patches[place]
            free.remove(patches[place])
    # New here, but with the message of a patch of another base: maybe it is that
    for commit in commits:
        for base in repo.bases() if not commit.patch else []:
            for _, patch in repo.series(base)[0]:
                if patch not in patches and repo.message(patch) == commit.message:
                    commit.patch = commit.patch or repo.message_of(patch)
    return free


def sort_out(commits, src, base, pristine):
    """Tell the kernel's files from ours; returns those the base has and git does not know"""
    known = set(lines("git", "-C", src, "ls-tree", "-r", "--name-only", "base"))
    by = {}
    new = []
    for commit in commits:
        for status, path in commit.changes:
            if status == "A" and path not in known and path not in by:
                by[path] = commit
                new.append(path)
    extra = pristine(new)
    for commit in commits:
        for status, path in commit.changes:
            if path in known or path in extra:
                commit.kernel.append(path)
                continue
            if by[path] is not commit:
                die(f"{base}: {path} is added by {by[path]} and changed again by {commit}: a file of ours "
                    f"has one commit, so make them one ({ADVICE.format(os.path.relpath(src))})")
            commit.own.append(path)
        if not commit.changes:
            die(f"{base}: {commit} changes nothing")
    return extra


def from_archive(base, src, new, covered, tmp):
    """Which of these files has the base itself? {path: content}"""
    ask = [path for path in new if not WHOLE.match(path) and path not in covered]
    if not ask:
        return {}
    if os.environ.get("KSRC"):
        return {path: read(os.environ["KSRC"], path) for path in ask
                if os.path.isfile(os.path.join(os.environ["KSRC"], path))}
    print(f"looking in the package of {base} for {' '.join(ask)}", file=sys.stderr)
    deb = lines(os.path.join(HERE, "fetch.sh"), base)[-1]
    package = read(os.path.dirname(src), "base.id").decode().split()[1].partition("_")[0]
    shutil.rmtree(tmp, ignore_errors=True)
    os.makedirs(tmp)
    # tar complains about those that are not there: these are the new ones.
    script = 'dpkg-deb --fsys-tarfile "$1" | tar -xOf - "./usr/src/$2.tar.xz" | tar -xJf - -C "$3" ' \
             '--strip-components=1 "${@:4}"; [ "${PIPESTATUS[1]}" = 0 ]'
    run("bash", "-c", script, "bash", deb, package, tmp, *[f"{package}/{path}" for path in ask])
    found = {path: read(tmp, path) for path in ask if os.path.isfile(os.path.join(tmp, path))}
    shutil.rmtree(tmp)
    return found


def items_for(repo, patch, want, mapping):
    """An Own-files line for these files, as much as possible the old one"""
    items, left = [], set(want)
    for item in repo.items(patch) if patch else []:
        inside = set(repo.inside(item))
        if inside and inside <= left:
            items.append(item)
            left -= inside
    for path in sorted(left):
        here = mapping.get(path, path)
        items.append(path if here == path else f"{here}:{path}")
    return items


def render(head, below, items, diff):
    """A patch file"""
    below = re.sub(rb"^Own-files:.*\n", b"", below, flags=re.M)
    if items:
        below = b"Own-files: " + " ".join(items).encode() + b"\n" + below
    return head.rstrip(b"\n") + b"\n\n---\n" + below + diff


def mail_head(message):
    """The message above the ---; git mailinfo has to read it as it is"""
    subject, _, body = message.partition(b"\n")
    return b"Subject: [PATCH] " + subject + b"\n\n" + body.lstrip(b"\n")


def slug(subject):
    return re.sub(r"[^A-Za-z0-9.]+", "-", subject).strip("-.")[:52].rstrip("-.")


def fold(stage, base, commit, extra, mapping, tmp):
    """Write the patch of a commit, if it is not the old one; returns its path"""
    where = f"patches/{base}"
    old = commit.patch
    if not old:
        numbers = [int(name[:4]) for _, _, names in os.walk(stage.path("patches"))
                   for name in names if re.match(r"\d{4}-", name)]
        path = f"{where}/{max(numbers, default=0) + 1:04}-{slug(commit.subject)}.patch"
        items = items_for(stage, None, commit.own, mapping)
        write(render(mail_head(commit.message), b"", items, commit.hunks(extra, tmp)), stage.top, path)
        return path

    holder = stage.message_of(old)
    same_message = stage.message(old) == commit.message
    same_own = set(stage.own(old)) == set(commit.own)
    diff = stage.split(old)[2]
    same_hunks = commit.gives(diff, extra, tmp)
    if same_message and same_own and same_hunks:
        return old
    if not same_hunks:
        diff = commit.hunks(extra, tmp)

    path = f"{where}/{os.path.basename(old)}"
    if path != old and os.path.exists(stage.path(path)):
        die(f"{base}: {old} needs a variant, but there is a {path} that the series does not name")
    head, below, _ = stage.split(holder)
    if same_message and same_own and holder != path:
        # Ours in nothing but the hunks
        name = os.path.relpath(holder, where)
        write(f"Message: {name}\n\n---\n".encode() + diff, stage.top, path)
        return path
    items = stage.items(old) if same_own else items_for(stage, old, commit.own, mapping)
    if not same_message:
        head = mail_head(commit.message)
    write(render(head, below, items, diff), stage.top, path)
    return path


def write_series(stage, base, was, end, now):
    names = [os.path.relpath(path, f"patches/{base}") for path in now]
    comments = {path: before for before, path in was}
    if [path for _, path in was] == now:
        return
    out = []
    if was and was[0][1] not in now:
        out += was[0][0]
    for path, name in zip(now, names):
        # A variant takes the place, and the comment, of what it was made from
        old = path if path in comments else next(
            (p for p in comments if p not in now and os.path.basename(p) == os.path.basename(path)), None)
        out += comments.get(old, []) + [name]
    write(("\n".join(out + end) + "\n").encode(), stage.top, "patches", base, "series")


def used(repo):
    """{patch: bases} that name a patch, or take a message from it"""
    found = {}
    for base in repo.bases():
        for _, patch in repo.series(base)[0]:
            if os.path.exists(repo.path(patch)):
                for path in {patch, repo.message_of(patch)}:
                    found.setdefault(path, []).append(base)
    return found


def copy(repo, where):
    shutil.rmtree(where, ignore_errors=True)
    os.makedirs(where)
    for name in lines("git", "-C", repo.top, "-c", "core.quotePath=false", "ls-files", "--cached",
                      "--others", "--exclude-standard"):
        if os.path.isfile(repo.path(name)):
            os.makedirs(os.path.dirname(os.path.join(where, name)), exist_ok=True)
            shutil.copy2(repo.path(name), os.path.join(where, name))
    run("git", "init", "-q", where)
    return Repository(where)


def own_files(stage, base, commits, mapping):
    """What the commits have of our own files goes to the copy; what they lack goes"""
    there = set()
    for commit in commits:
        for path in commit.own:
            here = mapping.get(path, path)
            there.add(here)
            if path not in mapping and os.path.exists(stage.path(here)):
                die(f"{base}: {commit} adds {path}, but the repository has a {here} that is no part of the series")
            if here.split("/")[0] in ("patches", "build", ".git"):
                die(f"{base}: {commit} adds {path}, which has no place in the repository")
            data = commit.blob(path)
            if not os.path.exists(stage.path(here)) or read(stage.top, here) != data:
                write(data, stage.top, here)
    for here in set(mapping.values()) - there:
        if os.path.exists(stage.path(here)):
            os.remove(stage.path(here))


def keep_for_others(stage, repo, base):
    """A file that this series has no more, and another one names, stays"""
    for other in stage.bases():
        for _, patch in stage.series(other)[0] if other != base else []:
            for here in stage.own(patch).values():
                if not os.path.exists(stage.path(here)) and os.path.exists(repo.path(here)):
                    write(read(repo.top, here), stage.top, here)


def verify(stage, base, src, extra, tmp):
    """Compose the copy, and see that it gives the commits we began with"""
    shutil.rmtree(tmp, ignore_errors=True)
    os.makedirs(tmp)
    archive = run("git", "-C", src, "archive", "base").stdout
    run("tar", "-x", "-C", tmp, data=archive)
    for path, data in extra.items():
        write(data, tmp, path)
    clean = {key: value for key, value in os.environ.items() if not key.startswith("DBP_LOCK_")}
    done = subprocess.run([stage.path("tools/dma-buf-poll/compose.sh"), base], capture_output=True, text=True,
                          check=False, env=dict(clean, KSRC=tmp))
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.startswith("error: ")] or ["error: ?"]
        die("what would be written does not compose: " + said[-1].removeprefix("error: "))
    made = stage.path(f"build/{base}/src")

    def story(tree):
        found = []
        for name in lines("git", "-C", tree, "rev-list", "--reverse", "base..series"):
            commit = Commit(tree, name)
            blobs = lines("git", "-C", tree, "-c", "core.quotePath=false", "ls-tree", "-r",
                          "--format=%(objectname) %(path)", name)
            mine = {path for _, path in commit.changes}
            found.append((commit.subject, commit.message,
                          sorted(line for line in blobs if line.partition(" ")[2] in mine)))
        return found

    here, there = story(src), story(made)
    if len(here) != len(there):
        die(f"{base}: {len(here)} commits became {len(there)}: a bug in refresh.py")
    for now, then in zip(here, there):
        if now[:2] != then[:2]:
            die(f"{base}: the message of \"{now[0]}\" does not survive being a mail: no line of it may be --- "
                "or look like a diff or a header")
        if now[2] != then[2]:
            die(f"{base}: \"{now[0]}\" does not come out as it went in: a bug in refresh.py")
    shutil.rmtree(tmp)
    return read(made, "../tree.stamp").splitlines()[0]


def install(stage, repo):
    """Take over what is different; returns [(what, path)]"""
    def names(top):
        return {name for name in lines("git", "-C", top, "-c", "core.quotePath=false", "ls-files", "--cached",
                                       "--others", "--exclude-standard")
                if os.path.isfile(os.path.join(top, name))}
    before, after = names(repo.top), names(stage.top)
    done = []
    for name in sorted(before | after):
        if name not in after:
            os.remove(repo.path(name))
            done.append(("removed", name))
        elif name not in before:
            write(read(stage.top, name), repo.top, name)
            done.append(("new", name))
        elif read(stage.top, name) != read(repo.top, name):
            write(read(stage.top, name), repo.top, name)
            done.append(("changed", name))
    return done


def ready(base, src):
    """Refuse a tree of which a part would be lost"""
    shown = os.path.relpath(src)
    branch = run("git", "-C", src, "symbolic-ref", "-q", "--short", "HEAD", check=False).stdout.decode().strip()
    if branch != "series":
        die(f"{base}: {shown} is not on its branch: end the rebase, or git -C {shown} checkout series")
    if run("git", "-C", src, "-c", "core.fileMode=false", "diff", "--quiet", "HEAD", check=False).returncode:
        die(f"{base}: {shown} has edits: commit them there, or take them back")
    if run("git", "-C", src, "merge-base", "--is-ancestor", "base", "series", check=False).returncode:
        die(f"{base}: in {shown} the branch series does not begin at the tag base")
    if lines("git", "-C", src, "rev-list", "--merges", "base..series"):
        die(f"{base}: {shown} has a merge: a series is a line of commits")
    if not lines("git", "-C", src, "rev-list", "base..series"):
        die(f"{base}: {shown} has no commits on top of its base")


def unknown(base, src, where):
    """Files that somebody made and git was not told of"""
    found = lines("git", "-C", src, "-c", "core.quotePath=false", "ls-files", "--others",
                  "--exclude-per-directory=.gitignore", "--", *where)
    found = [name for name in found if not re.search(r"\.(o|d|ko|mod|cmd|orig|rej)$", name)]
    if found:
        die(f"{base}: git does not know {found[0]} in {os.path.relpath(src)}: "
            "git add -f and commit it there, or remove it")


def main():
    if len(sys.argv) != 2:
        die("usage: refresh.py BASE")
    base = sys.argv[1]
    repo = Repository(TOP)
    if base not in repo.bases():
        die(f"unknown BASE '{base}': known are {' '.join(repo.bases())}")
    out = os.path.join(TOP, "build", base)
    src = os.path.join(out, "src")
    os.makedirs(out, exist_ok=True)
    name = "DBP_LOCK_" + re.sub(r"\W", "_", base)
    with open(os.path.join(TOP, "build", f".lock-{base}"), "w", encoding="utf-8") as held:
        if not os.environ.get(name):
            fcntl.flock(held, fcntl.LOCK_EX)
            os.environ[name] = "1"
        # Refuses if the repository has moved on as well. A tree that is at its
        # base because a build was stopped there, it brings back.
        if os.path.isdir(src) and not os.path.exists(os.path.join(out, "at-base")):
            ready(base, src)
        if subprocess.run([os.path.join(HERE, "compose.sh"), base], check=False).returncode:
            sys.exit(1)
        ready(base, src)
        fold_back(base, repo, out, src)


def fold_back(base, repo, out, src):
    was, end = repo.series(base)
    patches = [path for _, path in was]
    mapping, roots = {}, {"drivers/dma-buf", "Documentation/driver-api/dma-buf*"}
    for patch in patches:
        mapping.update(repo.own(patch))
        roots.update(item for item in repo.items(patch) if os.path.isdir(repo.path(item)))
    unknown(base, src, sorted(roots))

    def covered(path):
        return path in mapping or any(path.startswith(root + "/") for root in roots)

    commits = [Commit(src, name) for name in lines("git", "-C", src, "rev-list", "--reverse", "base..series")]
    tmp = os.path.join(out, "refresh-tmp")
    extra = sort_out(commits, src, base, lambda new: from_archive(
        base, src, new, {path for path in new if covered(path)}, tmp))
    dropped = match(commits, patches, repo)

    stage = copy(repo, os.path.join(out, "refresh"))
    try:
        own_files(stage, base, commits, mapping)
        now = [fold(stage, base, commit, extra, mapping, tmp) for commit in commits]
        write_series(stage, base, was, end, now)
        needed = used(stage)
        keep_for_others(stage, repo, base)
        for patch in set(dropped + patches) - set(now):
            if patch.startswith(f"patches/{base}/") and patch not in needed:
                os.remove(stage.path(patch))
        key = verify(stage, base, src, extra, tmp)
        done = install(stage, repo)
    finally:
        shutil.rmtree(stage.top, ignore_errors=True)
        shutil.rmtree(tmp, ignore_errors=True)

    # This is what compose.sh would make of it: nothing to compose.
    write(key + b"\n" + run("git", "-C", src, "rev-parse", "series").stdout, out, "tree.stamp")
    if not done:
        print(f"{base}: nothing to fold back", file=sys.stderr)
        return
    for what, path in done:
        print(f"{what:8} {path}", file=sys.stderr)
    others = sorted({other for _, path in done for other in needed.get(path, []) if other != base})
    others += [other for other in repo.bases() if other not in others + [base] and
               any(path in repo.own(patch).values() for _, patch in repo.series(other)[0] for _, path in done)]
    print(f"{base}: folded back {len(commits)} commits", file=sys.stderr)
    if others:
        print(f"other bases use some of this: see that it still fits {' '.join(others)}", file=sys.stderr)


if __name__ == "__main__":
    main()
