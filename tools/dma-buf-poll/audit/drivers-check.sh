#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# drivers-check.sh BASE [TREE]: do the patches of patches/BASE-drivers apply,
# pass checkpatch --strict, and compile, with W=1?
#
# They mend what `make audit` found, and are no part of the series. Compiled are
# just the files they touch, in build/BASE/drivers, on a tree of hard links:
# build/BASE/src stays as it is. Ends with N passed, N failed, N skipped.
#
# Takes build/BASE/src; make audit-patches calls it.

. "${BASH_SOURCE%/*}/../lib.sh"

base=${1:?usage: drivers-check.sh BASE [TREE]}
check_base "$base"
patches=$top/patches/$base-drivers
[ -f "$patches/series" ] || die "$base: there is no patches/$base-drivers/series"
lock "$base-drivers"
src=${2:-$top/build/$base/src}
[ -f "$src/Makefile" ] || die "$src is no kernel tree: make tree BASE=$base"
out=$top/build/$base/drivers
tree=$out/src
obj=$out/obj
mkdir -p "$out" "$obj"
PATH=/usr/bin:$PATH

result() {
	if [ "$1" = 0 ]; then
		ok "$2"
	else
		not_ok "$2" <"$out/said"
	fi
}

finish() {
	verdict && [ "$passed" -gt 0 ]
	exit
}

mapfile -t series < <(grep -v '^#' "$patches/series" | grep .)
mapfile -t files < <(for name in "${series[@]}"; do
	sed -n 's/^+++ b\///p' "$patches/$name"; done | sort -u)

# The tree again when its source has moved on; else only the files to patch.
if [ "$(cat "$tree/.from" 2>/dev/null)" != "$src $(stat -c %Y "$src/Makefile")" ]; then
	say "linking $src into build/$base/drivers/src"
	rm -rf "$tree" "$tree.part"
	mkdir -p "$tree.part"
	for how in -al -a; do
		find "$src" -mindepth 1 -maxdepth 1 ! -name .git ! -name 'obj*' \
			-exec cp "$how" -t "$tree.part" {} + 2>/dev/null && break
		rm -rf "${tree:?}.part"/*
	done
	mv "$tree.part" "$tree"
	printf '%s\n' "$src $(stat -c %Y "$src/Makefile")" >"$tree/.from"
fi
for file in "${files[@]}"; do
	[ -f "$src/$file" ] || die "$base has no $file"
	cmp -s "$src/$file" "$tree/$file" && continue
	rm -f "$tree/$file"
	cp -p "$src/$file" "$tree/$file"
done

for name in "${series[@]}"; do
	status=0
	patch -d "$tree" -p1 -F0 --no-backup-if-mismatch -f <"$patches/$name" >"$out/said" 2>&1 || status=1
	result "$status" "$name applies"
	[ "$status" = 0 ] || finish
	status=0
	# The sign-off is the sender's.
	(cd "$tree" && scripts/checkpatch.pl --no-tree --strict --quiet --no-signoff \
		"$patches/$name") >"$out/said" 2>&1 || status=1
	result "$status" "$name passes checkpatch --strict"
done

kmake() {
	CCACHE_DIR=$cache/ccache CCACHE_BASEDIR=$out CCACHE_NOHASHDIR=1 \
		make -s -C "$tree" O="$obj" ARCH=x86_64 CC="ccache gcc" -j"$(nproc)" "$@"
}

say "configuring build/$base/drivers/obj"
if ! { kmake tinyconfig &&
       (cd "$obj" && "$tree/scripts/kconfig/merge_config.sh" -m -O . .config "$patches/config") &&
       kmake olddefconfig; } >"$out/said" 2>&1; then
	tail -n 5 "$out/said" >&2
	die "$base: cannot configure for patches/$base-drivers"
fi
grep -vE '^(#|$)' "$patches/config" | while read -r option; do
	grep -qxF -- "$option" "$obj/.config" || die "$base: $option of patches/$base-drivers/config does not hold"
done
say "compiling ${files[*]}"
kmake prepare modules_prepare >"$out/said" 2>&1 || {
	tail -n 5 "$out/said" >&2
	die "$base: make prepare failed"
}
for file in "${files[@]}"; do
	# i915 includes its selftests into the file they test.
	target=$file
	case $file in
	drivers/gpu/drm/i915/selftests/*) target=${file/selftests\//} ;;
	esac
	status=0
	rm -f "$obj/${target%.c}.o"
	kmake W=1 "${target%.c}.o" >"$out/said" 2>&1 || status=1
	[ ! -s "$out/said" ] || status=1
	[ -f "$obj/${target%.c}.o" ] || status=1
	result "$status" "$file compiles with W=1"
done
finish
