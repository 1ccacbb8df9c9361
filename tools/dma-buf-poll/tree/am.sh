#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# am.sh BASE SRC DIR: git am of the patches of BASE on the tag "base" of SRC
#
# SRC is a repository such as build/BASE/src, and is only read. What comes out is
# in the repository DIR: a tag topic/NAME at the end of each topic,
# refs/dbp/composing with all of them, and refs/dbp/fixes with all but poll-rework,
# if there is that and poll-fixes. The same commits whoever does it.
#
# compose.sh and refresh.py call it.

. "${BASH_SOURCE%/*}/../lib.sh"

base=${1:?usage: am.sh BASE SRC DIR}
src=${2:?usage: am.sh BASE SRC DIR}
dir=${3:?usage: am.sh BASE SRC DIR}
id=$(cat "$src/../base.id" 2>/dev/null || echo "$src")

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"$tools/tree/series.py" "$base" --unsigned "$tmp/mails" >"$tmp/list"

# Nobody's settings, and of all the files only those that the patches are about
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1
export GIT_COMMITTER_NAME=dma-buf-poll GIT_COMMITTER_EMAIL=dma-buf-poll@localhost
am() { git -C "$dir" -c advice.detachedHead=false -c gc.auto=0 "$@"; }
git clone -q --shared --no-checkout --no-tags "$src" "$dir"
am fetch -q origin '+refs/tags/base:refs/tags/base'
cut -f3 "$tmp/list" | tr '\n' '\0' |
	xargs -0 sed -n 's,^diff --git a/\(.*\) b/.*,/\1,p; s,^diff --git a/.* b/,/,p' | LC_ALL=C sort -u |
	am sparse-checkout set --no-cone --stdin
am checkout -q --detach base

apply() {
	local mails mail patch where

	mapfile -t mails < <(awk -F'\t' -v topic="$1" '$1 == topic { print $3 }' "$tmp/list")
	am am -q --committer-date-is-author-date "${mails[@]}" >"$tmp/log" 2>&1 && return
	mail=${mails[$(($(cat "$dir/.git/rebase-apply/next") - 1))]}
	patch=$(awk -F'\t' -v mail="$mail" '$3 == mail { print $2 }' "$tmp/list")
	where=$(sed -nE 's/^error: patch failed: (.*):([0-9]+)$/\1: the hunk at line \2/p;
		s/^error: (.*: .*)/\1/p' "$tmp/log" | sed -n 1p)
	die "$base ($id): $patch no longer applies: ${where:-$(tail -n1 "$tmp/log")}"
}

mapfile -t topics < <(cut -f1 "$tmp/list" | uniq)
for topic in "${topics[@]}"; do
	apply "$topic"
	am tag "topic/$topic"
done
am update-ref refs/dbp/composing HEAD

if [[ " ${topics[*]} " = *' poll-fixes '* && " ${topics[*]} " = *' poll-rework '* ]]; then
	am checkout -q --detach topic/poll-fixes
	if [ "$(am rev-parse topic/poll-rework)" != "$(am rev-parse refs/dbp/composing)" ]; then
		export GIT_COMMITTER_DATE=2026-01-01T00:00:00Z
		am cherry-pick topic/poll-rework..refs/dbp/composing >"$tmp/log" 2>&1 ||
			die "$base: what comes after poll-rework does not apply without it: $(grep -m1 CONFLICT "$tmp/log" || tail -n1 "$tmp/log")"
	fi
	am update-ref refs/dbp/fixes HEAD
fi
