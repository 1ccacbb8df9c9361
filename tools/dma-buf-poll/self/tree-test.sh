# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154
#
# A part of harness-test.sh, after refresh-test.sh: is nothing lost that somebody has
# done in build/BASE/src or in KSRC, and can a topic be had without a kernel? As
# there in $copy, on the few files that the patches are about.

tree=$base
made=$tmp/ksrc-$tree
built=$copy/build/$tree
dmabuf=drivers/dma-buf/dma-buf.c
compose() { env -u DBP_LOCK_"${tree//[^A-Za-z0-9]/_}" KSRC="$made" "$copy/tools/dma-buf-poll/tree/compose.sh" "$tree"; }
k() { git -C "$made" -c user.name=x -c user.email=x@localhost "$@"; }
# variant NAME: its tree, as kernel.sh makes it
variant() {
	# shellcheck disable=SC2016 # the other shell expands these
	env -u DBP_LOCK_"${tree//[^A-Za-z0-9]/_}" bash -c '. "$0/lib.sh"; lock "$1"; variant_tree "$1" "$2"' \
		"$copy/tools/dma-buf-poll" "$tree" "$1"
}
# is WHAT COMMAND...: with its output in $tmp/out
is() {
	local what=$1

	shift
	if "$@" >"$tmp/out" 2>&1 </dev/null; then
		ok "$what"
	else
		not_ok "$what" < <(tail -n 12 "$tmp/out")
	fi
}

refuses "a KSRC that is no kernel tree" "no kernel tree" \
	env -u DBP_LOCK_"${base//[^A-Za-z0-9]/_}" KSRC="$tmp" "$copy/tools/dma-buf-poll/tree/compose.sh" "$base"

in_copy reset -q --hard
rm -rf "$built"
compose >/dev/null 2>&1 || :

# Somebody edits the tree, and a build of another variant is interrupted meanwhile:
# nothing that is composed or built afterwards may take the edit away.
mine_is_there() { grep -q '^/[*] Mine. [*]/$' "$built/src/$dmabuf"; }
echo '/* Mine. */' >>"$built/src/$dmabuf"
interrupted() {
	# The tree of stock half made, the marker of an older version left
	rm -rf "$built/stock"
	mkdir -p "$built/stock/src.part"
	touch "$built/at-base"
	variant stock && compose && variant fixes && mine_is_there &&
		[ -d "$built/stock/src/.git" ] && ! grep -q 'Mine' "$built/stock/src/$dmabuf"
}
is "an edit in build/BASE/src survives a build that was interrupted" interrupted
committed() {
	git -C "$built/src" -c user.name=x -c user.email=x@localhost commit -q -a -m mine || return
	variant stock && compose && mine_is_there && [ "$(in_tree log -1 --format=%s series)" = mine ]
}
is "and so does a commit there" committed
echo '/* more */' >>"$copy/tools/testing/selftests/dma-buf/poll.c"
refuses "another series, with a commit of one's own in the tree" \
	"both build/.*/src and the repository have changed: that tree has commits" compose
is "which is still there" mine_is_there
in_copy reset -q --hard
in_tree reset -q --hard refs/dbp/composed

# What is only made to be built
echo '/* Mine, here. */' >>"$built/stock/src/$dmabuf"
in_tree commit -q --allow-empty -m other
refuses "an edit in build/BASE/stock/src" "build/$tree/stock/src has edits, in $dmabuf" variant stock
is "which is not lost" grep -q 'Mine, here' "$built/stock/src/$dmabuf"
in_tree reset -q --hard refs/dbp/composed
rm -rf "$built"

# A KSRC without git that is edited after composing
compose >/dev/null 2>&1 || :
echo '/* Theirs. */' >>"$made/$dmabuf"
noticed() { compose && git -C "$built/src" show "base:$dmabuf" | grep "^/[*] $1 [*]/\$" >/dev/null; }
is "a KSRC that is edited after composing" noticed Theirs.
touch "$made/.config"
is "a KSRC with a .config" compose
rm "$made/.config"
echo '/* Mine. */' >>"$built/src/$dmabuf"
echo '/* Again. */' >>"$made/$dmabuf"
refuses "a KSRC that is edited, and edits in the tree" "has moved on .* build/$tree/src has edits" compose
is "which are still there" mine_is_there
rm -rf "$built"

# A KSRC with git
k init -q
k add -A -f
k commit -q -m one
compose >/dev/null 2>&1 || :
echo '/* Committed. */' >>"$made/$dmabuf"
refuses "a KSRC with edits that git was not told of" "has edits that are not committed, in $dmabuf" compose
k commit -q -a -m two
is "a KSRC with a new commit" noticed Committed.

# A patch that does not fit
sed -i '/dma_buf_poll_cb/d' "$made/$dmabuf"
k commit -q -a -m three
refuses "a base on which a patch no longer applies" \
	"$tree .*patches/.*no longer applies: $dmabuf: the hunk at line [0-9]+" compose
k reset -q --hard HEAD^

# The topics
t() { "$copy/tools/dma-buf-poll/tree/series.py" "$tree" "$@"; }
export GIT_AUTHOR_NAME=x GIT_AUTHOR_EMAIL=x@localhost
in_copy config user.name x
in_copy config user.email x@localhost
refuses "a TOPIC that does not exist" "$tree has no TOPIC 'nonsense': it has sw_sync" t nonsense
refuses "send-check of a TOPIC that does not exist" "has no TOPIC 'nonsense'" \
	"$copy/tools/dma-buf-poll/mail/send-check.sh" "$tree" nonsense

# No kernel, no network, none of our cache: only git and Python
alone() {
	local -a cut=(unshare -rn)

	"${cut[@]}" true 2>/dev/null || cut=()
	rm -rf "$built"
	env -u KSRC XDG_CACHE_HOME="$tmp/no-cache" "${cut[@]}" "$copy/tools/dma-buf-poll/tree/series.py" "$tree" &&
		[ ! -e "$built/src" ] && [ ! -e "$tmp/no-cache" ]
}
is "make series without a kernel and without a network" alone
# Each one by git am on the base, with those it needs
taken() {
	local topic other needs

	for topic in $(t --topics); do
		[ -d "$built/series/$topic" ] || continue
		needs=" $(awk -F'\t' -v t="$topic" '$1 == t { gsub(",", " ", $3); print $3 }' "$copy/patches/topics") $topic "
		k checkout -q --detach HEAD || return
		k reset -q --hard "$pristine" || return
		for other in $(t --topics); do
			if [[ $needs != *" $other "* ]] || [ ! -d "$built/series/$other" ]; then
				continue
			fi
			find "$built/series/$other" -name '*.patch' ! -name '*-cover-letter.patch' -print0 |
				LC_ALL=C sort -z | xargs -0 git -C "$made" -c user.name=x -c user.email=x@localhost am -q || return
		done
	done
}
pristine=$(k rev-parse HEAD)
is "git am takes each topic on the base and what it needs" taken
unset GIT_AUTHOR_NAME GIT_AUTHOR_EMAIL
again
