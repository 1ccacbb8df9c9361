# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154
#
# A part of harness-test.sh: does refresh.py bring back what compose.sh made,
# and no more? In $copy, a checkout of its own, on the few files of each base
# that the patches are about, so nothing here is in the way of anybody, and fast.

r() {
	local var=DBP_LOCK_${1//[^A-Za-z0-9]/_}

	env -u "$var" KSRC="$tmp/ksrc-$1" "$copy/tools/dma-buf-poll/tree/${2:-refresh.py}" "$1"
}
in_copy() { git -C "$copy" -c user.name=x -c user.email=x@localhost "$@"; }
in_tree() { git -C "$copy/build/$tree/src" -c user.name=x -c user.email=x@localhost -c advice.detachedHead=false "$@"; }
# What is different from the last commit, as "A path" and so on
differs() {
	in_copy add -A
	in_copy -c core.quotePath=false diff --cached --no-renames --name-status HEAD | tr '\t' ' '
}
again() {
	in_copy reset -q --hard
	rm -rf "$copy/build/$tree"
}
commit_of() { in_tree log --format='%s %H' base..series | awk -v s="$1 " 'index($0, s) == 1 && !n++ { print $NF }'; }
# edit SUBJECT SCRIPT: what the script does becomes a part of that commit
edit() {
	local tip at

	tip=$(in_tree rev-parse series)
	at=$(commit_of "$1")
	in_tree checkout -q --detach "$at"
	(cd "$copy/build/$tree/src" && bash -ec "$2")
	in_tree commit -q --amend --no-edit -a
	[ "$at" = "$tip" ] || in_tree cherry-pick --allow-empty "$at..$tip" >/dev/null
	in_tree branch -f series HEAD
	in_tree checkout -q series
}
# folds WHAT EXPECTED: what is edited in $tree comes back as these files, and
# composes to what it was
folds() {
	local want got status=0

	want=$(in_tree rev-parse 'series^{tree}')
	r "$tree" >"$tmp/out" 2>&1 || status=$?
	got=$(differs)
	rm -rf "$copy/build/$tree"
	r "$tree" compose.sh >>"$tmp/out" 2>&1 || status=$?
	if [ $status = 0 ] && [ "$got" = "$2" ] &&
	   [ "$(in_tree rev-parse 'series^{tree}')" = "$want" ]; then
		ok "$1"
	else
		printf 'got:\n%s\nwanted:\n%s\n' "$got" "$2" >>"$tmp/out"
		not_ok "$1 (status $status)" 40 <"$tmp/out"
	fi
}

# tiny BASE DIR: of its source only what the patches are about
tiny() {
	local from=$top/build/$1/src

	"$copy/tools/dma-buf-poll/tree/series.py" "$1" --unsigned "$tmp/tiny" >/dev/null
	mkdir -p "$2"
	{ echo Makefile; cat "$tmp"/tiny/*.patch | sed -n 's,^--- a/,,p'; } | LC_ALL=C sort -u >"$tmp/tiny/list"
	mapfile -t list < <(git -C "$from" ls-tree -r --name-only base | grep -xFf "$tmp/tiny/list")
	git -C "$from" archive base "${list[@]}" | tar -x -C "$2"
}

in_copy add -A
in_copy commit -q -m x
for tree in $(bases); do
	if ! git -C "$top/build/$tree/src" rev-parse -q --verify base >/dev/null 2>&1; then
		[ "$tree" != "$base" ] || not_ok "refresh: $tree has not been composed" </dev/null
		continue
	fi
	tiny "$tree" "$tmp/ksrc-$tree"
	r "$tree" compose.sh >/dev/null 2>&1 || :
	folds "refresh of $tree, nothing edited, changes nothing" ""
	again
done

tree=$base
r "$tree" compose.sh >/dev/null 2>&1 || :
# The first patch that has a message of its own and stands in patches/$tree
first_patch=$(cd "$copy" && sed -n "s,^\([^#.].*\),patches/$tree/\1,p" "patches/$tree/series" | xargs grep -l '^Subject: ' | sed -n 1p)
first=$(sed -n 's/^Subject: \[PATCH\] //p' "$copy/$first_patch")
test_commit=$(in_tree log --format=%s base..series | sed -n '/^selftests: /{p;:rest;n;b rest}')
last_topic=$("$copy/tools/dma-buf-poll/tree/series.py" "$tree" --topics | tail -n1)

# A commit amended: its hunk, and in another one a file of our own, and a new one
# shellcheck disable=SC2016
edit "$first" 'file=$(git diff-tree --no-commit-id -r --name-only HEAD | sed -n 1p)
	sed -i "1a/* A remark of refresh-test. */" "$file"'
edit "$test_commit" 'cd tools/testing/selftests/dma-buf
	echo "/* more */" >>poll.c
	echo "/* new */" >extra.h
	git add -f extra.h'
folds "refresh: an amended hunk, an own file edited, one added" \
"M $first_patch
A tools/testing/selftests/dma-buf/extra.h
M tools/testing/selftests/dma-buf/poll.c"
again

# A commit on top, and one in the middle that has a new message
r "$tree" compose.sh >/dev/null 2>&1 || :
at=$(commit_of "$first")
tip=$(in_tree rev-parse series)
in_tree checkout -q --detach "$at"
in_tree commit -q --amend -m "$first" -m "Another reason, in other words."
in_tree cherry-pick "$at..$tip" >/dev/null
in_tree branch -f series HEAD
in_tree checkout -q series
sed -i '1a/* On top. */' "$copy/build/$tree/src/drivers/dma-buf/dma-buf.c"
echo '/* Of our own. */' >"$copy/build/$tree/src/drivers/dma-buf/refresh-test.h"
in_tree add -f drivers/dma-buf/refresh-test.h
in_tree commit -q -a -m "dma-buf: add a remark" -m "Because."
number=$(find "$copy/patches" -path "*/$last_topic/[0-9]*.patch" -printf '%f\n' | LC_ALL=C sort | tail -n1 | cut -c1-4)
number=$last_topic/$(printf '%04d' $((10#$number + 1)))
folds "refresh: a new message, a commit on top" \
"A drivers/dma-buf/refresh-test.h
$(printf '%s\n' "M $first_patch" "A patches/$tree/$number-dma-buf-add-a-remark.patch" "M patches/$tree/series" |
	LC_ALL=C sort -k2)"
if grep -qx 'Own-files: drivers/dma-buf/refresh-test.h' "$copy/patches/$tree/$number"-* &&
   grep -q '^Another reason' "$copy/$first_patch"; then
	ok "refresh: the new message and the new own file are in the patches"
else
	not_ok "refresh: the new message and the new own file are in the patches" <"$copy/$first_patch"
fi

# And gone again: the patch, its file and its line in the series
in_tree reset -q --hard HEAD^
number_gone=$(cd "$copy" && ls patches/"$tree/$number"-*)
in_copy commit -q -a -m x
folds "refresh: a commit that is gone takes its patch and its file with it" \
"D drivers/dma-buf/refresh-test.h
D $number_gone
M patches/$tree/series"
in_copy reset -q --hard HEAD^
again

# A patch of another base that is changed here becomes a port.
for tree in $(bases); do
	shared=$(sed -n 's,^\.\./,,p' "$copy/patches/$tree/series" | sed -n 1p)
	[ -z "$shared" ] || [ ! -d "$tmp/ksrc-$tree" ] || break
	shared=
done
if [ -n "$shared" ]; then
	r "$tree" compose.sh >/dev/null 2>&1 || :
	# shellcheck disable=SC2016
	edit "$(in_tree log --reverse --format=%s base..series | sed -n 1p)" \
		'sed -i "1a/* Here only. */" "$(git diff-tree --no-commit-id -r --name-only HEAD | sed -n 1p)"'
	port=patches/$tree/${shared#*/}
	folds "refresh: a patch of another base becomes a port where it has changed" \
"A $port
M patches/$tree/series"
	if [ "$(head -n1 "$copy/$port")" = "Message: $shared" ]; then
		ok "refresh: which takes its message from there"
	else
		not_ok "refresh: which takes its message from there" <"$copy/$port"
	fi
	again
else
	skip "refresh: a patch of another base that has changed" "no base with such a patch has been composed"
fi

tree=$base
r "$tree" compose.sh >/dev/null 2>&1 || :
echo >>"$copy/build/$tree/src/drivers/dma-buf/dma-buf.c"
refuses "refresh with edits that are not committed" "has edits, in drivers/dma-buf/dma-buf.c: commit them there" r "$tree"
in_tree checkout -q -f series
touch "$copy/build/$tree/src/drivers/dma-buf/forgotten.c"
refuses "refresh with a file that git was not told of" \
	"does not know drivers/dma-buf/forgotten.c .*git add" r "$tree"
rm "$copy/build/$tree/src/drivers/dma-buf/forgotten.c"
in_tree checkout -q --detach
refuses "refresh in the middle of a rebase" "not on its branch: end the rebase" r "$tree"
in_tree checkout -q series

# An own file that grows over two patches: here stands the last state of it, and
# the first one comes back with the second taken off.
echo '/* twice */' >>"$copy/build/$tree/src/tools/testing/selftests/dma-buf/poll.c"
in_tree commit -q -a -m "selftests: dma-buf: once more" -m "It grows."
folds "refresh: an own file that grows over two patches" \
"A patches/$tree/$number-selftests-dma-buf-once-more.patch
M patches/$tree/series
M tools/testing/selftests/dma-buf/poll.c"
grown=$(in_tree rev-parse "$(commit_of "$test_commit")":tools/testing/selftests/dma-buf/poll.c)
if [ "$grown" = "$(in_copy rev-parse HEAD:tools/testing/selftests/dma-buf/poll.c)" ]; then
	ok "refresh: the patch that adds it adds what it did before"
else
	not_ok "refresh: the patch that adds it adds what it did before" <"$tmp/out"
fi
in_copy reset -q --hard
again
r "$tree" compose.sh >/dev/null 2>&1 || :

# Changes on both sides
sed -i '1a/* Of mine. */' "$copy/build/$tree/src/drivers/dma-buf/dma-buf.c"
in_tree commit -q -a -m "dma-buf: mine"
echo '/* of the repository */' >>"$copy/tools/testing/selftests/dma-buf/poll.c"
refuses "refresh with changes on both sides" "both .* have changed" r "$tree"
again
