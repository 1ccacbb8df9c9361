# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154
#
# The part of harness-test.sh that is about report.py and the promises: sourced
# there, with its $tmp, $tools, ok(), not_ok() and refuses(). What guests say is made
# up, for a copy of the scripts.

report_top=$tmp/report
report=$report_top/tools/dma-buf-poll/test/report.py
mkdir -p "$report_top"/tools/dma-buf-poll/{test,tree} "$report_top"/build/{6.12,5.10}/log
(cd "$tools" && cp --parents test/{report.py,promises} tree/bases kernel/arches documents.py arches.py lib.sh ktap.py "$report_top/tools/dma-buf-poll/")
mkdir -p "$report_top"/patches/{6.12,5.10}
printf '%s\n' '# poll-rework/' ../5.10/poll-fixes/0001-x.patch poll-rework/0001-x.patch >"$report_top/patches/6.12/series"
printf '%s\n' '# poll-rework/' poll-fixes/0001-x.patch >"$report_top/patches/5.10/series"
for base_of in 6.12 5.10; do
	echo 'package none_1' >"$report_top/build/$base_of/base.id"
done

# report_guest BASE VARIANT TEST...: all lines of the contract hold there, and these
# tests fail
report_guest() {
	local log=$report_top/build/$1/log/selftest-$2 test

	{
		echo "# run: poll"
		for test in exact no_lost_wakeup one_wakeup quiet nonblocking neutral no_alloc \
			signaling shared anycontext names; do
			echo "ok 1 $test.udmabuf.holds"
		done
		[ $# -lt 3 ] || printf 'not ok 2 %s\n' "${@:3}"
		echo "# figure: one_wakeup wake-ups of one io_uring_multishot for 64 fence(s) signaled in order = 1"
	} >"$log.results"
	echo "guest: exit $(($# > 2))" >"$log.console"
	: >"${log%/*}/run.table"
}

# report_says WHAT STATUS PATTERN... -- ARGUMENT...: what report.py says to these
report_says() {
	local what=$1 wanted=$2 status=0 patterns=()

	shift 2
	while [ "$1" != -- ]; do
		patterns+=("$1")
		shift
	done
	"$report" "${@:2}" >"$tmp/out" 2>&1 || status=$?
	said "$what" "$status" "$wanted" "${patterns[@]}"
}

report_stock=(exact.udmabuf.io_uring_x exact.udmabuf.aio_x
	one_wakeup.udmabuf.x quiet.udmabuf.x neutral.udmabuf.x names.udmabuf.x)
report_excused=(nonblocking_while_locked quiet.fuzz
	one_wakeup_import.udmabuf.sixteen_write_fences_at_random_cause_one_wakeup)
report_guest 6.12 stock "${report_stock[@]}"
report_guest 6.12 fixes "${report_excused[@]}"
report_guest 6.12 rework
printf 'text.dma-resv.o\t100\nsizeof.dma_buf\t232\nlines\t+75/-90\n' \
	>"$report_top/build/6.12/log/cost-fixes.tsv"
report_says "three columns, and what is not promised" 0 '^contract +stock +fixes +rework$' \
	'^one-wakeup +FAILS 1/2 +ok 1/1, not promised 0/1 +ok 1/1$' \
	'^nonblocking +ok 1/1 +not promised 1/2 +ok 1/1$' \
	'^  sizeof\(struct dma_buf\) +- +232 +-$' '^  lines .* \+75/-90 ' -- 6.12
if [ "$(awk '{ if (length > n) n = length } END { print n }' "$tmp/out")" -le 120 ]; then
	ok "the table fits into 120 columns"
else
	not_ok "the table fits into 120 columns" <"$tmp/out"
fi
for base_of in 6.12 5.10; do
	scripts=$(bash -c ". '$report_top/tools/dma-buf-poll/lib.sh'; variants $base_of")
	if [ "$scripts" = "$(PYTHONPATH=${report%/*} python3 -c "import report; print(*report.promises_of('$base_of'))")" ]; then
		ok "scripts and report mean the same variants of $base_of: $scripts"
	else
		not_ok "scripts and report mean the same variants of $base_of" <<<"$scripts"
	fi
done
report_says "some columns" 0 '^contract +stock +rework$' -- 6.12 stock rework
report_says "what fails and is not promised is skipped, with the reason" 0 \
	'^ok [0-9]+ - fixes: quiet.fuzz # SKIP fails, and is not promised: an edge' \
	'^ok [0-9]+ - rework: quiet.udmabuf.holds$' '^30 passed, 0 failed, 3 skipped$' -- --tests 6.12
report_says "and so in the count of one run" 0 '^11 passed, 0 failed, 3 skipped$' -- --count 6.12 fixes
if [ "$("$report" --promised 6.12 fixes one_wakeup.a quiet.fuzz igt:b)" = one_wakeup.a$'\n'igt:b ]; then
	ok "the names that are promised, and no others"
else
	not_ok "the names that are promised, and no others" < <("$report" --promised 6.12 fixes one_wakeup.a quiet.fuzz igt:b)
fi

report_guest 6.12 fixes quiet.udmabuf.x
report_says "what fixes promises has to hold" 1 '^failed on fixes: quiet.udmabuf.x$' -- 6.12
report_says "a test that fixes promises" 1 '^not ok [0-9]+ - fixes: quiet.udmabuf.x' ' 1 failed' -- --tests 6.12
report_guest 6.12 fixes
report_guest 6.12 rework "${report_excused[@]}"
report_says "rework has no such excuse" 1 '^failed on rework: nonblocking_while_locked$' \
	'^failed on rework: quiet.fuzz$' -- 6.12
report_guest 6.12 rework
sed -i '/quiet/d' "$report_top/build/6.12/log/selftest-fixes.results"
report_says "a line that nothing tests" 1 '^not tested on fixes: quiet$' -- 6.12
echo "# run: poll_clients
1..3" >>"$report_top/build/6.12/log/selftest-rework.results"
report_says "a program that did not run to its end" 1 'rework: poll_clients ended after 0 of 3 tests' -- 6.12

report_guest 5.10 stock
report_guest 5.10 rework one_wakeup.udmabuf.x names.udmabuf.x
report_says "two columns for the classic rework" 0 '^contract +stock +rework$' \
	'^names +ok 1/1 +not promised 1/2$' -- 5.10
refuses "a variant that the classic rework has not" "5.10 has no VARIANT 'fixes'" "$report" 5.10 fixes
