#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# selftest.sh BASE VARIANT [TEST]...: run the kselftest and the proofs in a guest
#
# Takes a kernel of kernel.sh and the programs of kselftest.sh. Prints KTAP, and keeps it
# in build/BASE/log/selftest-VARIANT.results: that of the KUnit modules of the kernel,
# where it has any, then that of the tests, or of those that are named. TESTFLAGS goes to
# each, REPEAT=n runs all n times, and SMP=n gives the guest n CPUs. TIMEOUT is that of
# the guest, in seconds, MEMORY what it has, such as 2G, and APPEND goes to the command
# line of its kernel.
#
# make selftest, run.sh, test-debug.sh, coverage.sh and steps.py call it.

. "${BASH_SOURCE%/*}/../lib.sh"

base=${1:?usage: selftest.sh BASE VARIANT [TEST]...}
variant=${2:?usage: selftest.sh BASE VARIANT [TEST]...}
shift 2
check_base "$base"
check_variant "$variant" "$base"
name=$(flavour "$variant")
check_repeat
guest_cpus 2

out=$top/build/$base
install=$out/kselftest$arch_suffix
obj=$(variant_obj "$base" "$variant")
prefix=$out/log/selftest-$name${SMP:+-smp$SMP}
args_end
guest_tests "$base" "$variant" "$@"
guest_args "$base" "$variant"
# What an earlier run said is no result of this one, should it end early.
mkdir -p "$out/log"
rm -f "$prefix".{results,console} "$prefix".boot*
# Nor is the table of make run one of these results, which may be of some tests only.
[ "$prefix" != "$out/log/selftest-$variant$arch_suffix" ] || rm -f "$out/log/run$arch_suffix.table"

files=(--file "$install:kselftest")
for module in "${modules[@]}"; do
	files+=(--file "$module:${module##*/}")
done
[ -z "${DBP_STEP-}" ] || when+=' step'
# The counters of the lines, for coverage.sh
counters=
[ "${GCOV:-0}" = 0 ] || counters=/sys/kernel/debug/gcov$obj/drivers/dma-buf/dma-buf-poll.gcda

say "running the kselftest on $base $name${SMP:+, $SMP CPUs}"
slow=1
[ -z "$(flavour_kind)" ] || slow=4
more=()
[ -t 1 ] || more+=(--progress)
! have_virgl || more+=(--virgl)
if [ "${KCSAN:-0}" = 1 ]; then
	# Races of the base with itself are not ours to judge: what is in drivers/
	# dma-buf, the tests included, is.
	"${cross}nm" "$obj"/drivers/dma-buf/*.o 2>/dev/null |
		awk '$2 ~ /^[tT]$/ { print $3 }' | sort -u >"$out/log/kcsan-ours"
	more+=(--kcsan-ours "$out/log/kcsan-ours")
fi

# A stock kernel may not survive a test, or not come back from it. That is a
# result like others: say so, and go on with the fixtures not yet begun in
# another boot, as with a step between stock and series. For a series it is the end.
worst=0 spare='' n=0
while :; do
	n=$((n + 1)) status=0
	# guest.py may end before it comes to that
	: >"$prefix.results"
	: >"$prefix.console"
	{ "$vm" "${more[@]}" "${guest[@]}" \
		--out "$prefix" --smp "$cpus" \
		--timeout "${TIMEOUT:-$((REPEAT * slow * 900))}" --stall "$((slow * 120))" \
		--boot-timeout "$((slow * 60))" ${MEMORY:+--memory "$MEMORY"} \
		${APPEND:+--append "$APPEND"} "${files[@]}" --job "$tools/test/selftest-job.sh" \
		--set TESTS="${tests[*]}" --set REPEAT="$REPEAT" --set TESTFLAGS="${TESTFLAGS-}" \
		--set MODULES="${modules[*]##*/}" --set WHEN="$when" --set COUNTERS="$counters" \
		--set DMABUF_SPARE="$spare" \
		2>&1 >&3 | tee "$prefix.said" | sed -u '/^error: /d' >&2; } 3>&1 || status=$?
	error=$(grep '^error: ' "$prefix.said" | tail -n1 || :)
	test=$(awk '$1 == "#" && $2 == "RUN" { run = $3 } /^(not )?ok / { run = "" }
		END { print run }' "$prefix.results")
	begun=$(awk '$1 == "#" && $2 == "RUN" { sub(/[.].*/, "", $3); print $3 }' "$prefix.results" |
		sort -u | paste -sd' ')
	case $status in
	3|4) worst=$status ;;
	*) [ "$worst" != 0 ] || worst=$status ;;
	esac
	case $variant$status in
	stock[34]|step[34])
		# In no test, or in one that it should not have come to?
		[ -n "$test" ] || break
		case " $spare " in *" ${test%%.*} "*) break ;; esac
		[ "$n" -lt 20 ] || break
		;;
	*)
		break
		;;
	esac
	reason=${error#error: }
	printf '# guest: went down in %s: %s\n' "$test" "${reason% (see *}" | tee -a "$prefix.results"
	for kind in console results; do
		mv "$prefix.$kind" "$prefix.boot$n.$kind"
	done
	spare=$(tr ' ' '\n' <<<"$spare $begun" | sed '/^$/d' | sort -u | paste -sd' ')
	say "$base $name does not survive $test: ${reason% (see *}"
	say "  booting it again for what comes after"
done
for kind in console results; do
	for boot in $(seq "$((n - 1))" -1 1); do
		cat "$prefix.boot$boot.$kind" "$prefix.$kind" >"$prefix.part"
		mv "$prefix.part" "$prefix.$kind"
	done
done
rm -f "$prefix".boot* "$prefix.said"
[ -z "$error" ] || say "$error"
[ "$n" = 1 ] || [ -n "$error" ] || say "error: $base $name went down in $((n - 1)) tests (see $prefix.console)"
exit "$worst"
