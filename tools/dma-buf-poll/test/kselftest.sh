#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# kselftest.sh BASE: build/BASE/kselftest, all test programs for the guest
#
# With ARCH= of another machine that is build/BASE/kselftest-arm64, or the like.
# They are what `make kselftest-install TARGETS=dma-buf` installs from build/BASE/src,
# and the programs of proof/; kselftest-list.txt names those that a run begins with.
#
# Takes build/BASE/src; the Makefile calls it, and mutants.py.

. "${BASH_SOURCE%/*}/../lib.sh"

base=${1:?usage: kselftest.sh BASE}
check_base "$base"
need_tree "$base"

out=$top/build/$base
src=$out/src
install=$out/kselftest$arch_suffix
built=$out/kselftest-obj$arch_suffix
log=$out/log/kselftest-build$arch_suffix.log
mkdir -p "$out/log"
need_compiler
lock "$base"
need_foreign_root
# The stamp is for what make cannot see: a file that is gone, or a time that git has set.
key=$({ (cd "$src" && find tools/testing/selftests/dma-buf -type f -print0 2>/dev/null |
	LC_ALL=C sort -z | xargs -0 sha256sum)
	cat "$foreign_root/.version" 2>/dev/null || :
	(cd "$top" && sha256sum tools/dma-buf-poll/proof/*.[ch] tools/dma-buf-poll/proof/Makefile \
		Documentation/driver-api/dma-buf-poll-example.c); } | sha256sum)
[ "$(cat "$install.stamp" 2>/dev/null)" != "$key" ] || exit 0

rm -rf "$install" "$install.stamp" "$built"
mkdir -p "$built"
# In the tree itself: old versions of lib.mk know nothing else.
fails() {
	die "$base: the $1 does not build: $(grep -m1 -E '(error|Error)[: ]' "$log" || tail -n1 "$log") (see $log)"
}
{ make -C "$src" O="$built" "${kbuild[@]}" headers ||
  make -C "$src" O="$built" "${kbuild[@]}" headers_install; } >"$log" 2>&1 || fails kselftest
mkdir -p "$install/dma-buf"
# 5.10 has not what the one that is mailed needs.
if [ -d "$src/tools/testing/selftests/dma-buf" ]; then
	make -C "$src/tools/testing/selftests" O="$built" "${kbuild[@]}" \
		TARGETS=dma-buf INSTALL_PATH="$install" USERLDFLAGS=-static \
		KHDR_INCLUDES="-isystem $built/usr/include" \
		install >>"$log" 2>&1 || fails kselftest
	[ -x "$install/dma-buf/poll" ] || fails kselftest
fi
make -C "$tools/proof" CC="${cross}gcc" SYSROOT="$foreign_root" KSRC="$src" \
	HEADERS="$built/usr/include" O="$install/dma-buf" >>"$log" 2>&1 || fails proof
make -s -C "$tools/proof" list | tr ' ' '\n' | sed 's/^/dma-buf:/' \
	>>"$install/kselftest-list.txt"
printf '%s\n' "$key" >"$install.stamp"
