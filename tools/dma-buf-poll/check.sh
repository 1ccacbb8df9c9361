#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# check.sh BASE: static checks on what the series adds, and on the harness
#
# One "ok" or "not ok" line each; ends with N passed, N failed, N skipped.

. "${BASH_SOURCE%/*}/lib.sh"

base=${1:?usage: check.sh BASE}
check_base "$base"
"$tools/kernel.sh" "$base" patched
out=$top/build/$base
src=$out/src
obj=$out/patched
log=$out/log/check
mkdir -p "$log"
passed=0 failed=0
kernel_path

# check WHAT COMMAND...: silent and status 0, or not ok with what it said
check() {
	local what=$1 said=$log/${1//[^A-Za-z0-9]/-}.log

	shift
	if "$@" >"$said" 2>&1 && [ ! -s "$said" ]; then
		echo "ok - $what"
		passed=$((passed + 1))
	else
		echo "not ok - $what"
		sed 's/^/#   /' "$said" | head -n 20
		failed=$((failed + 1))
	fi
}

versions() {
	gcc --version | head -n1
	printf 'sparse %s\n' "$(sparse --version 2>/dev/null)"
	shellcheck --version | sed -n 's/^version:/shellcheck/p'
	printf 'codespell %s\n' "$(codespell --version)"
}
versions | sed 's/^/# /'

mapfile -t own < <(git -C "$src" diff --name-only --diff-filter=A base series)
mapfile -t own_c < <(printf '%s\n' "${own[@]}" | grep '^drivers/.*\.c$')

checkpatch() {
	local commit status=0

	for commit in $(git -C "$src" rev-list --reverse base..series); do
		# The sign-off is the sender's. The entry in MAINTAINERS covers the
		# new files. The composed tree has no history to look commits up in.
		git -C "$src" format-patch -1 --stdout "$commit" |
			(cd "$src" && scripts/checkpatch.pl --strict --quiet --no-signoff \
				--show-types --ignore FILE_PATH_CHANGES,UNKNOWN_COMMIT_ID -) || status=1
	done
	return $status
}
check "checkpatch --strict on every patch" checkpatch

kmake() {
	CCACHE_DIR=$cache/ccache CCACHE_BASEDIR=$out CCACHE_NOHASHDIR=1 \
		make -s -C "$src" O="$obj" CC="ccache gcc" "$@"
}

# Only what is said about files that the series touches counts, in paths that
# may be absolute; make needs to see the files as changed.
touched=$(git -C "$src" diff --name-only base series | sed 's/[.]/[.]/g' | paste -sd'|')
on_ours() {
	local file

	for file in "${own_c[@]}" drivers/dma-buf/dma-resv.c drivers/dma-buf/dma-buf.c; do
		[ -f "$src/$file" ] || continue
		rm -f "$obj/${file%.c}.o"
	done
	kmake "$@" drivers/dma-buf/ 2>&1 |
		grep -E "(^|/)($touched):.*(warning|error):|\*\*\*" || :
}
check "W=1 says nothing" on_ours W=1
check "sparse says nothing" on_ours C=1 CHECK="sparse -Wcontext"

kernel_doc() {
	local files=() tool=scripts/kernel-doc options=(-none)

	[ -e "$src/$tool" ] || tool=tools/docs/kernel-doc
	# Not known to the one of 6.1 and before
	! (cd "$src" && "$tool" -help 2>&1 || :) | grep -q -- '-Wall' || options+=(-Wall)
	mapfile -t files < <(printf '%s\n' "${own[@]}" | grep -E '^(drivers|include)/.*\.[ch]$')
	[ ${#files[@]} -gt 0 ] || return 0
	(cd "$src" && "$tool" "${options[@]}" "${files[@]}" 2>&1) | grep -iE 'warning|error' || :
}
check "kernel-doc says nothing" kernel_doc

spelling() {
	local ours=inout,damon,pevents,renderd

	(cd "$src" && codespell -q 3 -L "$ours" "${own[@]}")
	(cd "$top" && codespell -q 3 -L "$ours" README.md Makefile tools/dma-buf-poll patches Documentation)
}
check "codespell says nothing" spelling

shell_scripts() {
	cd "$top"
	mapfile -t scripts < <(grep -lE '^#!/bin/(ba)?sh' tools/dma-buf-poll/*.sh .ci/run)
	shellcheck -x "${scripts[@]}"
}
check "shellcheck says nothing" shell_scripts

python_scripts() {
	python3 -W error -m py_compile "$tools"/*.py "$tools"/clients/*.py
}
check "the Python scripts compile without a warning" python_scripts

printf '%d passed, %d failed, 0 skipped\n' "$passed" "$failed"
[ "$failed" = 0 ]
