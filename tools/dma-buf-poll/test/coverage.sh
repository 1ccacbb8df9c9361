#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# coverage.sh BASE: which lines and branches of dma-buf-poll.c do the tests reach?
#
# Runs KUnit and the kselftest in a guest whose kernel counts the lines of that
# file, and lists each line with its count and both sides of its branches. What
# was not reached has to stand in coverage.txt, with a reason. Ends with N passed,
# N failed, N skipped, where skipped is what has a reason.
#
# Takes build/BASE/src and the kselftest; make coverage calls it.

. "${BASH_SOURCE%/*}/../lib.sh"

base=${1:?usage: coverage.sh BASE}
check_base "$base"
[ "$base" != 5.10 ] || die "5.10: the series has no dma-buf-poll.c there"
plain_kernels coverage
args_end

out=$top/build/$base
dir=$out/log/coverage
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
cp "$(GCOV=1 variant_obj "$base" rework)/drivers/dma-buf/dma-buf-poll.gcno" "$dir/"
(cd "$dir" && gcov -b -c --json-format dma-buf-poll.gcda) >"$dir/log" 2>&1 ||
	die "$base: gcov: $(tail -n1 "$dir/log")"
"$tools/test/coverage.py" "$dir/dma-buf-poll.gcov.json.gz" "$out/src/drivers/dma-buf/dma-buf-poll.c"
