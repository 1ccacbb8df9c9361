#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# compose.sh BASE: base + own files + patches, as a git tree in build/BASE/src
#
# One commit holds what the base has of the files the series touches and of
# their neighbours, tagged "base"; then one commit for each patch. The rest of
# the kernel lies around them, unknown to git: to commit it would take longer
# than to build it. KSRC=/path/to/linux takes the base from there.
#
# Commits and edits made in build/BASE/src are kept and built as they are. Only
# when the repository has moved on as well somebody has to decide.

. "${BASH_SOURCE%/*}/lib.sh"

base=${1:?usage: compose.sh BASE}
check_base "$base"
lock "$base"

out=$top/build/$base
src=$out/src
stamp=$out/tree.stamp
series=$top/patches/$base/series
[ -f "$series" ] || die "$base: no patches/$base/series"

# Paths of the patches, absolute, in order. A base that needs the very patch of
# another base names it by its path from there, such as ../6.12/0001-x.patch.
patches=()
while read -r name; do
	case $name in ''|'#'*) continue ;; esac
	[ -f "$top/patches/$base/$name" ] || die "$base: patches/$base/series names $name, which does not exist"
	patches+=("$(realpath --relative-to="$top" "$top/patches/$base/$name")")
done <"$series"

# The patch that holds the message: a variant of another base's patch has only
# hunks, and a line that says whose message is its own.
message_of() {
	local other

	other=$(sed -n '/^---$/q;s/^Message: *//p' "$top/$1")
	if [ -n "$other" ]; then
		realpath --relative-to="$top" "$top/${1%/*}/$other"
	else
		printf '%s\n' "$1"
	fi
}

# The own files a patch adds; a directory stands for what git knows in it, and
# HERE:THERE for a file that has another path in the kernel.
own_files() {
	local path

	sed -n '/^---$/,/^diff /s/^Own-files: *//p' "$top/$1" | tr ' ' '\n' | while read -r path; do
		if [ -d "$top/$path" ]; then
			git -C "$top" ls-files --cached --others --exclude-standard -- "$path"
		else
			printf '%s\n' "$path"
		fi
	done
}

own=()
for patch in "${patches[@]}"; do
	[ -f "$top/$(message_of "$patch")" ] || die "$base: $patch takes its message from a patch that does not exist"
	own+=("$(message_of "$patch")")
	for file in $(own_files "$(message_of "$patch")"); do
		[ -f "$top/${file%:*}" ] || die "$base: $patch adds ${file%:*}, which does not exist"
		own+=("${file%:*}")
	done
done

# Which base is it?
if [ -n "${KSRC:-}" ]; then
	if [ ! -f "$KSRC/Makefile" ] || [ ! -d "$KSRC/drivers/dma-buf" ]; then
		die "KSRC=$KSRC is no kernel tree"
	fi
	if [ -e "$KSRC/include/config/auto.conf" ] || [ -e "$KSRC/.config" ]; then
		die "KSRC=$KSRC has been built in: build with O= there, and 'make mrproper' first"
	fi
	commit=$(git -C "$KSRC" rev-parse -q --verify HEAD 2>/dev/null || :)
	id="KSRC $(cd "$KSRC" && pwd) ${commit:-without git}"
else
	# Once composed a tree stays on its version until it is asked to move.
	if [ "${REFRESH:-0}" != 1 ] && [ -f "$stamp" ] && [ -f "$out/base.id" ] &&
	   grep -q '^package ' "$out/base.id"; then
		id=$(cat "$out/base.id")
	else
		deb=$("$tools/fetch.sh" "$base")
		name=${deb##*/}
		id="package ${name%_all.deb}"
	fi
fi

key=$(hash_files "${patches[@]}" "${own[@]}" tools/dma-buf-poll/compose.sh)

g() {
	git -C "$src" -c core.fileMode=false -c gc.auto=0 -c advice.detachedHead=false "$@"
}

# A step that was stopped while the tree was at its base: bring it back.
if [ -f "$out/at-base" ] && [ -f "$stamp" ]; then
	g checkout -q -f series
	rm -f "$out/at-base"
fi

changed() {
	[ "$(g rev-parse series)" != "$(sed -n 2p "$stamp")" ] ||
		! g diff --quiet HEAD
}

# What the series changes has to be in the commit of the base: else git takes it
# away when it goes back there.
touched() {
	local patch

	for patch in "${patches[@]}"; do
		sed -n 's/^--- a\///p' "$top/$patch"
	done | sort -u
}

complete() {
	touched | while read -r path; do
		g cat-file -e "base:$path" 2>/dev/null || exit 1
	done
}

if [ -f "$stamp" ] && [ "$(cat "$out/base.id")" = "$id" ] && complete; then
	if [ "$(sed -n 1p "$stamp")" = "$key" ]; then
		changed && say "$base: with your own changes in build/$base/src"
		exit 0
	fi
	! changed ||
		die "$base: both build/$base/src and the repository have changed: save the work in build/$base/src, then remove that directory"
	g checkout -q -f base
else
	if [ -f "$stamp" ] && changed; then
		die "$base: the base is now $id, but build/$base/src has changes: save them, then remove that directory"
	fi
	say "composing build/$base/src from $id"
	# The same sources again have the same times: what was built stays good.
	if [ -f "$out/base.id" ] && [ "$(cat "$out/base.id")" != "$id" ]; then
		rm -rf "$out"/{stock,rework,kunit,mutant}*
	fi
	rm -rf "$stamp" "$out/base.id" "$src" "$src.part"
	need_space "$out" 4
	mkdir -p "$src.part"
	if [ -n "${KSRC:-}" ]; then
		tar -C "$KSRC" --exclude=./.git -cf - . | tar -C "$src.part" -xf - ||
			die "$base: could not copy $KSRC"
	else
		deb=$("$tools/fetch.sh" "$base")
		package=${id#package }
		package=${package%%_*}
		say "  unpacking"
		if ! dpkg-deb --fsys-tarfile "$deb" |
		     tar -xOf - "./usr/src/$package.tar.xz" |
		     tar -xJf - -C "$src.part" --strip-components=1; then
			rm -f "$deb"
			die "$base: ${deb##*/} is broken: removed it, try again"
		fi
	fi
	mv "$src.part" "$src"
	git -C "$src" init -q -b series
	echo '*' >"$src/.git/info/exclude"
	(
		cd "$src"
		touched
		printf '%s\n' LICENSES MAINTAINERS Makefile drivers/dma-buf include/linux/dma-*.h \
			tools/testing/selftests/Makefile Documentation/driver-api/*.rst
	) | sort -u | while read -r path; do
		[ ! -e "$src/$path" ] || printf '%s\0' "$path"
	done | g add -f --pathspec-from-file=- --pathspec-file-nul
	export GIT_AUTHOR_DATE='2026-01-01T00:00:00Z' GIT_COMMITTER_DATE='2026-01-01T00:00:00Z'
	g -c user.name="dma-buf-poll" -c user.email="dma-buf-poll@localhost" \
		commit -q -m "$id"
	g tag base
	printf '%s\n' "$id" >"$out/base.id"
fi
rm -f "$stamp"

# A base without "series" is one that was interrupted below: same thing.
g checkout -q -f -B series base
export GIT_AUTHOR_NAME='dma-buf-poll' GIT_AUTHOR_EMAIL='dma-buf-poll@localhost'
export GIT_COMMITTER_NAME=$GIT_AUTHOR_NAME GIT_COMMITTER_EMAIL=$GIT_AUTHOR_EMAIL
export GIT_AUTHOR_DATE='2026-01-01T00:00:00Z' GIT_COMMITTER_DATE='2026-01-01T00:00:00Z'

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
for patch in "${patches[@]}"; do
	sed -n '/^---$/,$p' "$top/$patch" >"$tmp/diff"
	git mailinfo --encoding=UTF-8 "$tmp/msg" /dev/null \
		<"$top/$(message_of "$patch")" >"$tmp/info" 2>/dev/null
	subject=$(sed -n 's/^Subject: //p' "$tmp/info")
	[ -n "$subject" ] || die "$base: $patch has no Subject"

	if grep -q '^diff ' "$tmp/diff"; then
		# All or nothing: try first. Fuzz as quilt allows it.
		if ! LC_ALL=C patch -d "$src" -p1 -F2 --dry-run -f <"$tmp/diff" >"$tmp/log"; then
			file=$(awk '/^(patching|checking) file/ { f = $3 } /FAILED|No file to patch/ { print f; exit }' "$tmp/log")
			hunk=$(grep -m1 -oE 'Hunk #[0-9]+ FAILED at [0-9]+' "$tmp/log" || grep -m1 -i 'no file to patch' "$tmp/log" || tail -n1 "$tmp/log")
			die "$base ($id): $patch no longer applies: ${file:-?}: $hunk"
		fi
		patch -s -d "$src" -p1 -F2 --no-backup-if-mismatch -f <"$tmp/diff" ||
			die "$base ($id): $patch failed half-way: remove build/$base"
		# Both sides: a file may go away.
		sed -n 's/^+++ b\///p; s/^--- a\///p' "$tmp/diff" | sort -u | tr '\n' '\0' |
			g add -f --pathspec-from-file=- --pathspec-file-nul
	fi
	for file in $(own_files "$(message_of "$patch")"); do
		to=${file#*:}
		mkdir -p "$src/${to%/*}"
		cp "$top/${file%:*}" "$src/$to"
		g add -f "$to"
	done
	{ printf '%s\n\n' "$subject"; cat "$tmp/msg"; } >"$tmp/full"
	g commit -q -F "$tmp/full" || die "$base: $patch changes nothing"
done

{ printf '%s\n' "$key"; g rev-parse HEAD; } >"$stamp.new"
mv "$stamp.new" "$stamp"
say "$base: $id and ${#patches[@]} patches in build/$base/src"
