#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# compose.sh BASE: base + patches, as a git tree in build/BASE/src
#
# That is the tree to work in: the whole base in one commit, tagged "base", then a
# commit for each patch on the branch "series", with a tag topic/NAME at the end of
# each topic. KSRC=/path/to/linux takes the base from there, and only reads: with git
# it is the commit that is checked out, without it all that is no product of a build.
#
# Commits and edits made in build/BASE/src are kept and built as they are. Only when
# the repository or the base has moved on as well somebody has to decide. The patches
# are put together elsewhere, so that tree never stands half-way.
#
# The Makefile calls it once, before all that takes build/BASE/src; so does refresh.py.

. "${BASH_SOURCE%/*}/../lib.sh"

base=${1:?usage: compose.sh BASE}
check_base "$base"
lock "$base"

out=$top/build/$base
src=$out/src
stamp=$out/tree.stamp

# The settings of the trees only
export GIT_CONFIG_NOSYSTEM=1
g() { "${as_nobody[@]}" git -C "$src" -c advice.detachedHead=false "$@"; }

# One pack for all the files, not one object for each
add=(-c core.bigFileThreshold=1 -c core.compression=1 -c core.fsync=none)

# Which base is it?
if [ -n "${KSRC:-}" ]; then
	if [ ! -f "$KSRC/Makefile" ] || [ ! -d "$KSRC/drivers/dma-buf" ]; then
		die "KSRC=$KSRC is no kernel tree"
	fi
	path=$(realpath "$KSRC")
	if [ -e "$path/.git" ]; then
		kind=git
		commit=$(git -C "$path" rev-parse -q --verify HEAD 2>"$out.said") ||
			die "KSRC=$KSRC: git does not read it: $(sed -n '$s/^[a-z]*: //p' "$out.said")"
		rm -f "$out.said"
		# What is not committed there would be missing here, unseen.
		edit=$(GIT_OPTIONAL_LOCKS=0 git -C "$path" status --porcelain --untracked-files=no | sed -n '1s/^...//p')
		[ -z "$edit" ] ||
			die "KSRC=$KSRC has edits that are not committed, in $edit: commit them there, or git stash"
		edit=$(GIT_OPTIONAL_LOCKS=0 git -C "$path" ls-files --others --exclude-standard | sed -n 1p)
		[ -z "$edit" ] || say "warning: git does not know $edit in KSRC=$KSRC: it is left out"
	else
		kind=plain
		mkdir -p "$out"
		[ -d "$out/ksrc.git" ] || git init -q --bare "$out/ksrc.git"
		built=-f
		for product in .config include/config/auto.conf vmlinux; do
			[ ! -e "$path/$product" ] || built=
		done
		[ -n "$built" ] || say "KSRC=$KSRC has been built in: what its .gitignore names is left out"
		there=("${as_nobody[@]}" GIT_DIR="$out/ksrc.git" git "${add[@]}" -c core.bare=false --work-tree="$path")
		"${there[@]}" add -A ${built:+"$built"} -- "$path" 2>"$out.said" ||
			die "KSRC=$KSRC: git does not read it: $(sed -n '$s/^[a-z]*: //p' "$out.said")"
		rm -f "$out.said"
		commit=$("${there[@]}" commit-tree "$("${there[@]}" write-tree)" -m "KSRC")
	fi
	id="KSRC $path $commit"
else
	kind=package
	# Once composed a tree stays on its version until it is asked to move.
	if [ "${REFRESH:-0}" != 1 ] && [ -f "$stamp" ] && [ -f "$out/base.id" ] &&
	   grep -q '^package ' "$out/base.id"; then
		id=$(cat "$out/base.id")
	else
		deb=$("$tools/tree/fetch.sh" "$base")
		name=${deb##*/}
		id="package ${name%_all.deb}"
	fi
fi

# Everything that the patches are made of. The number is for those who change how: an
# edited tree and another make tree is nothing that somebody has to decide.
# The stamp keeps a hash of it: git knows what is in the tree, but not of which patches
# and which version of this script that was made.
mapfile -t inputs < <("$tools/tree/series.py" "$base" --files)
[ ${#inputs[@]} -gt 0 ] || exit 1
key="1 $(hash_files "${inputs[@]}" patches/topics)"

if [ -e "$src" ] && ! g rev-parse -q --verify refs/dbp/base >/dev/null 2>&1; then
	die "$base: build/$base/src is not what this version makes: save what is yours in it, then remove that directory"
fi

# remove_trees: all of them, if that loses nothing
remove_trees() {
	local dir why

	for dir in "$src" "$out"/*/src; do
		[ -e "$dir/.git" ] || continue
		why=$(tree_changes "$dir" all)
		[ -z "$why" ] ||
			die "$base: the base is now $id, but ${dir#"$top/"} $why: save them, then remove that directory"
	done
	rm -f "$stamp" "$out/base.id"
	for dir in "$src" "$out"/*/src; do
		rm -rf "$dir"
	done
}

# How many GiB the tree takes, and kernels that are built in it: a package is a whole
# kernel, and KSRC may be just a part of one, as in refresh-test.sh.
tree_needs() {
	local from=$out/ksrc.git

	[ "$kind" != package ] || { echo 5; return; }
	[ "$kind" != git ] || from=$path
	git -C "$from" ls-tree -r -l "$commit" | awk '{ size += $4 } END { print 1 + int(size * 3 / 2 ^ 30) }'
}

# The whole base in one commit, and its files around it with the times they have:
# what was built from them stays good.
base_tree() {
	local part=$src.part package deb kept=$cache/git/${id#package }

	say "composing build/$base/src from $id"
	need_space "$out" "$(tree_needs)"
	rm -rf "$part"
	mkdir -p "$part"
	case $kind in
	package)
		deb=$("$tools/tree/fetch.sh" "$base")
		package=${id#package }
		package=${package%%_*}
		say "  unpacking"
		if ! dpkg-deb --fsys-tarfile "$deb" |
		     tar -xOf - "./usr/src/$package.tar.xz" |
		     tar -xJf - -C "$part" --strip-components=1; then
			rm -f "$deb"
			die "$base: ${deb##*/} is broken: removed it, try again"
		fi
		if [ -d "$kept" ]; then
			copy_git "$kept" "$part/.git"
		else
			say "  telling git of it"
			init_tree "$part"
			"${as_nobody[@]}" git -C "$part" "${add[@]}" add -A -f
			"${as_nobody[@]}" git -C "$part" "${add[@]}" commit -q -m "$id"
			mkdir -p "$cache/git"
			rm -rf "$kept.$$"
			copy_git "$part/.git" "$kept.$$"
			mv -T "$kept.$$" "$kept" 2>/dev/null || rm -rf "$kept.$$"
		fi
		;;
	git)
		init_tree "$part"
		borrow "$part"
		git -C "$part" reset -q --hard "$commit"
		;;
	plain)
		init_tree "$part"
		borrow "$part"
		cp "$out/ksrc.git/index" "$part/.git/index"
		git -C "$part" ls-files -z |
			tar -C "$path" --null --verbatim-files-from -T - -cf - | tar -C "$part" -xf - ||
			die "$base: could not copy $KSRC"
		git -C "$part" reset -q "$commit"
		;;
	esac
	git -C "$part" tag -f base >/dev/null
	git -C "$part" update-ref refs/dbp/base base
	git -C "$part" update-ref refs/dbp/composed base
	mv "$part" "$src"
	printf '%s\n' "$id" >"$out/base.id"
}

init_tree() {
	git init -q -b series "$1"
	# Times are what unpacking gives them, also to another copy of the tree.
	git -C "$1" config core.trustctime false
	git -C "$1" config core.checkStat minimal
	git -C "$1" config gc.auto 0
	printf '/obj\n/obj-*\n' >"$1/.git/info/exclude"
}

# borrow TREE: the objects of KSRC are read where they are; nothing is written there
borrow() {
	local from=$out/ksrc.git/objects

	if [ "$kind" = git ]; then
		from=$(cd "$path" && realpath "$(git rev-parse --git-path objects)")
		shallow=$(cd "$path" && realpath -m "$(git rev-parse --git-path shallow)")
		rm -f "$1/.git/shallow"
		[ ! -s "$shallow" ] || cp "$shallow" "$1/.git/shallow"
	fi
	printf '%s\n' "$from" >"$1/.git/objects/info/alternates"
}

old=$(cat "$out/base.id" 2>/dev/null || :)
if [ -d "$src" ] && [ "$old" != "$id" ] && [ "${old%" "*}" = "${id%" "*}" ] && [[ $id = KSRC* ]]; then
	# The same tree has moved on: so does this one, and only in what is different.
	why=$(tree_changes "$src")
	[ -z "$why" ] ||
		die "$base: KSRC=$KSRC has moved on to another commit or has been edited, but build/$base/src $why: save them, then remove that directory"
	say "KSRC=$KSRC is not what it was: composing anew"
	rm -f "$stamp"
	borrow "$src"
	g tag -f base "$commit" >/dev/null
	g update-ref refs/dbp/base base
	printf '%s\n' "$id" >"$out/base.id"
elif [ ! -d "$src" ] || [ "$old" != "$id" ]; then
	remove_trees
	base_tree
fi

if [ -f "$stamp" ] && [ "$(sed -n 1p "$stamp")" = "$key" ]; then
	why=$(tree_changes "$src")
	[ -z "$why" ] || say "$base: with your own changes: build/$base/src $why"
else
	why=$(tree_changes "$src")
	[ -z "$why" ] ||
		die "$base: both build/$base/src and the repository have changed: that tree $why: save the work in it, then remove that directory"
	rm -f "$stamp"

	tmp=$(mktemp -d)
	trap 'rm -rf "$tmp"' EXIT
	"$tools/tree/am.sh" "$base" "$src" "$tmp/am"
	g for-each-ref --format='delete %(refname)' refs/tags/topic refs/dbp/fixes | g update-ref --stdin
	g fetch -q --no-tags "$tmp/am" '+refs/tags/topic/*:refs/tags/topic/*' '+refs/dbp/*:refs/dbp/*'
	# Not with -f: what is in the way here would be somebody's.
	g checkout -q -B series refs/dbp/composing
	g update-ref refs/dbp/composed refs/dbp/composing
	{ printf '%s\n' "$key"; g rev-parse HEAD; } >"$stamp.new"
	mv "$stamp.new" "$stamp"
	say "$base: $id and $(g rev-list --count base..series) patches in build/$base/src"
fi
