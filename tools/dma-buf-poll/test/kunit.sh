#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# kunit.sh BASE: run the KUnit tests of dma-buf under UML, natively
#
# Prints the KTAP, and keeps it in build/BASE/log/kunit.results; ends with
# N passed, N failed, N skipped. Lockdep, KASAN and the check for sleeping in
# atomic context are on, and what they have to say fails the run. UML has one
# CPU, so tests that need another are skipped; the guest has them.
#
# KUNIT_FILTER=GLOB runs the suites, or suite.test, that match only.
#
# Takes build/BASE/src; make kunit, test.sh and mutants.py call it.

. "${BASH_SOURCE%/*}/../lib.sh"

base=${1:?usage: kunit.sh BASE}
[ $# = 1 ] || die "kunit.sh takes one BASE, and KUNIT_FILTER from the environment"
check_base "$base"
[ "$base" != 5.10 ] ||
	die "5.10: the suite of this base needs interrupts that UML does not have: run it in the guest"
own_arch_only kunit
args_end
need_tree "$base"
lock "$base"

out=$top/build/$base
src=$out/src
obj=$src/obj-kunit
log=$out/log/kunit.log
results=$out/log/kunit.results
mkdir -p "$out/log" "$obj"
rm -f "$results" "$obj/test.log"
for file in .kunitconfig st-dma-buf-poll.c; do
	[ -f "$src/drivers/dma-buf/$file" ] ||
		die "$base: the series adds no KUnit suite: no drivers/dma-buf/$file"
done
need_space "$out" 2

options=(DEBUG_LIST KASAN
	# For the tracepoints of the allocator
	FTRACE ENABLE_DEFAULT_TRACERS)
# Up to 6.3 UML does not count what disables preemption. Neither checker can do
# without: lockdep's annotations of fences ask in_atomic().
grep -q 'select ARCH_NO_PREEMPT$' "$src/arch/um/Kconfig" ||
	options+=(PROVE_LOCKING DEBUG_ATOMIC_SLEEP)
set=()
[ ! -f "$src/drivers/dma-buf/st-dma-buf-poll-proof.h" ] || options+=(DMABUF_POLL_PROOF_KUNIT_TEST)
for option in DEBUG_KERNEL "${options[@]}"; do
	set+=(--kconfig_add "CONFIG_$option=y")
done

export CCACHE_DIR=$cache/ccache CCACHE_BASEDIR=$src CCACHE_NOHASHDIR=1 CCACHE_MAXSIZE=8G
export PYTHONDONTWRITEBYTECODE=1
say "running KUnit on $base under UML$([ -x "$obj/linux" ] || echo ', to be built first: some minutes')"
status=0 timeout=${TIMEOUT:-900}
(cd "$src" && nice tools/testing/kunit/kunit.py run --build_dir="$obj" \
	--kunitconfig=drivers/dma-buf "${set[@]}" --jobs "$(nproc)" \
	--timeout "$timeout" --make_options CC="ccache ${CC:-gcc}" \
	${KUNIT_FILTER:+"$KUNIT_FILTER"}) >"$log" 2>&1 </dev/null || status=$?

[ -s "$obj/test.log" ] ||
	die "$base: KUnit did not run: $(grep -m1 -E '(error|Error|ERROR)[: ]|not clean' "$log" || tail -n1 "$log") (see $log)"

# From the console to KTAP: without the time, and what comes before.
sed -E 's/\r$//; s/^\[ *[0-9]+\.[0-9]+\] ?//' "$obj/test.log" |
	sed -n '/^KTAP version/,$p' >"$results"
cat "$results"

# The tests of the suites; those with parameters count as one.
read -r passed failed skipped first < <(awk '
	/^    ok [0-9]+ .*# SKIP/ { skipped++; next }
	/^    ok [0-9]+ / { passed++ }
	/^    not ok [0-9]+ / && !failed++ { first = $4 == "-" ? $5 : $4 }
	END { print passed + 0, failed + 0, skipped + 0, first }' "$results")

if ! grep -qE '^(not )?ok [0-9]+ dma-buf-poll' "$results" && [ -z "${KUNIT_FILTER-}" ]; then
	not_ok "the suite dma-buf-poll did not come to its end: $(tail -n1 "$obj/test.log")" </dev/null
fi
# Only from there on: UML has a warning of its own for its virtual PCI.
said=$(PYTHONPATH=$tools/vm python3 -c '
import sys, guest
lines = open(sys.argv[1], encoding="utf-8", errors="replace").read().splitlines()
print(next((line for line in lines if guest.BAD.search(line) or "Kernel panic" in line), ""))' "$results")
# kunit.py ends a UML that takes too long with SIGTERM. Its exit calls then run
# in whatever task was there, often the idle one, and the kernel complains.
if grep -q "timed out after $timeout" "$log"; then
	not_ok "KUnit did not come to its end in $timeout s: TIMEOUT= gives it more" </dev/null
elif [ -n "$said" ]; then
	not_ok "the kernel complains: $said" </dev/null
fi
if [ "$status" != 0 ] && [ "$failed" = 0 ]; then
	not_ok "kunit.py ended with status $status: $(tail -n1 "$log")" </dev/null
fi
verdict ||
	die "$base: $failed KUnit tests failed${first:+, the first is $first} (see $obj/test.log)"
[ "$passed" -gt 0 ] || die "$base: no KUnit test ran (see $log)"
