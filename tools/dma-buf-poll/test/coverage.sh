#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# coverage.sh BASE: which lines and branches of dma-buf-poll.c do the tests reach?
#
# Runs KUnit and the kselftest in a guest whose kernel counts the lines of that file.
# gcovr lists the lines, and those with a side of a branch, that nothing reached. Each
# line with its counts is in build/BASE/log/coverage/index.html. Ends with N passed,
# N failed, N skipped.
#
# Takes build/BASE/src and the kselftest; make coverage calls it.

. "${BASH_SOURCE%/*}/../lib.sh"

base=${1:?usage: coverage.sh BASE}
check_base "$base"
[ "$base" != 5.10 ] || die "5.10: the series has no dma-buf-poll.c there"
plain_kernels coverage
own_arch_only coverage
args_end

out=$top/build/$base
dir=$out/log/coverage log=$dir
results=$out/log/selftest-rework-gcov-smp2.results
mkdir -p "$out/log"
GCOV=1 "$tools/kernel/kernel.sh" "$base" rework
status=0
GCOV=1 SMP=2 "$tools/test/selftest.sh" "$base" rework >"$out/log/coverage.ktap" || status=$?
# A test that fails says so elsewhere; what matters here is that all came to an end.
[ "$status" -le 1 ] && [ -f "$results" ] || exit 1
[ "$status" = 0 ] || say "warning: a test failed, see build/$base/log/coverage.ktap"

rm -rf "$dir"
mkdir -p "$dir"
sed -n '/^# gcov: begin/,/^# gcov: end/{/^#/!p}' "$results" | tr -d '\r' |
	base64 -d >"$dir/dma-buf-poll.gcda"
[ -s "$dir/dma-buf-poll.gcda" ] || die "$base: the guest sent no counters (see $results)"
obj=$(GCOV=1 variant_obj "$base" rework)
cp "$obj/drivers/dma-buf/dma-buf-poll.gcno" "$dir/"
# The check that dma_buf_poll() always began with: no file of a dma-buf fails it.
counts=(gcovr --root "$out/src" --object-directory "$obj" --filter '.*/dma-buf-poll[.]c'
	--exclude-branches-by-pattern '.*!dmabuf [|][|] !dmabuf->resv')
"${counts[@]}" --json "$dir/counts.json" --html-details "$dir/index.html" "$dir" >"$dir/log" 2>&1 ||
	die "$base: gcovr: $(tail -n1 "$dir/log")"
grep -q '"line_number"' "$dir/counts.json" || die "$base: gcovr knows no line of dma-buf-poll.c (see $dir/log)"
counts+=(--add-tracefile "$dir/counts.json" --txt)
check "the tests reach every line" "${counts[@]}" --fail-under-line 100
check "the tests reach both sides of every branch" "${counts[@]}" --branches --fail-under-branch 100
verdict
