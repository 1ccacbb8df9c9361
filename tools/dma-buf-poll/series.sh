#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# series.sh BASE: mail-ready patches with a cover letter in build/BASE/series
#
# The patches are the commits of build/BASE/src, with the sender's identity and
# Signed-off-by from git config. VERSION=n makes a v<n>. The cover letter is
# patches/BASE/cover.txt or else patches/cover.txt, in which @BASE@ is replaced by what the series is
# based on and @TABLE@ by the table of the last `make run`, if there was one.

. "${BASH_SOURCE%/*}/lib.sh"

base=${1:?usage: series.sh BASE}
check_base "$base"
lock "$base"

name=$(git -C "$top" config user.name || :)
email=$(git -C "$top" config user.email || :)
if [ -z "$name" ] || [ -z "$email" ]; then
	die "no sender for the Signed-off-by: git config user.name 'Your Name' and user.email first"
fi
case ${VERSION:-1} in
*[!0-9]*|0*) die "VERSION=$VERSION: say a number, 1 or more" ;;
esac

"$tools/compose.sh" "$base"
out=$top/build/$base
src=$out/src
cover=$top/patches/$base/cover.txt
[ -f "$cover" ] || cover=$top/patches/cover.txt
[ -f "$cover" ] || die "$base: no cover letter, neither patches/$base/cover.txt nor patches/cover.txt"
git -C "$src" diff --quiet HEAD ||
	die "$base: build/$base/src has edits: commit them there, or take them back"

# A clone of the few files git knows there: the sender signs copies of the
# commits, the tree itself stays as it is.
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
git clone -q --no-local "$src" "$tmp/tree" 2>/dev/null
g() { git -C "$tmp/tree" -c user.name="$name" -c user.email="$email" "$@"; }
g fetch -q --tags
g checkout -q --detach base
for commit in $(g rev-list --reverse base..origin/series); do
	g cherry-pick --allow-empty "$commit" >/dev/null
	# The sender's, as `git am -s` would have it; the author is the sender.
	g commit -q --amend --no-edit -s --reset-author
done

rm -rf "$out/series" "$out/series.part"
if [ "$base" = mainline ]; then prefix=PATCH; else prefix="PATCH $base"; fi
g format-patch -q -o "$out/series.part" --cover-letter --thread=shallow \
	--subject-prefix="$prefix" ${VERSION:+-v "$VERSION"} \
	--stat=75 base..HEAD
BASE_ID=$(cat "$out/base.id") python3 - "$out/series.part"/*0000-cover-letter.patch \
	"$cover" "$out/log/run.table" <<'PY'
import os
import sys

mail, cover, table = sys.argv[1:]
with open(mail, encoding="utf-8") as source:
    text = source.read()
with open(cover, encoding="utf-8") as source:
    subject, _, body = source.read().partition("\n")
shown = ""
if os.path.exists(table):
    with open(table, encoding="utf-8") as source:
        shown = "".join("    " + line.rstrip() + "\n" if line.strip() else "\n" for line in source)
if "@TABLE@" in body and not shown:
    sys.exit("error: the cover letter shows the table of a run: 'make run' for this base first")
body = body.strip("\n").replace("@TABLE@", shown.strip("\n"))
base = os.environ["BASE_ID"].removeprefix("package ").replace("_", " ")
body = body.replace("@BASE@", base)
text = text.replace("*** SUBJECT HERE ***", subject.strip())
text = text.replace("*** BLURB HERE ***", body)
# git's own statistics come below; what the series applies to comes last.
head, sep, end = text.rpartition("\n-- \n")
text = f"{head}\n\nbase: {base}{sep}{end}"
with open(mail, "w", encoding="utf-8") as out:
    out.write(text)
PY
# b4 of bookworm trips over headers that git has folded.
sed -i -E '1,/^$/{/^(From|Subject): /{:more;N;s/\n[ \t]+/ /;t more}}' "$out/series.part"/*.patch
mv "$out/series.part" "$out/series"
say "$base: $(find "$out/series" -name '*.patch' | wc -l) mails in build/$base/series, from $name <$email>"
