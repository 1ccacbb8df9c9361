#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
#
# What selftest.sh runs in the guest, and bundle/run anywhere: the KUnit modules, then
# the kselftest, as KTAP. It takes TESTS (of kselftest/dma-buf), REPEAT (so many times),
# TESTFLAGS (for each), MODULES, COUNTERS (of gcov, to be printed at the end), and WHEN:
# which rows of the table below hold, and whether KUnit has to have something to say.
# Files are looked for below ROOT. NESTED=1 leaves the tests of KUnit below their suite.

# When, test, and what it gets beside TESTFLAGS. On its own poll_race races for a
# minute, among all the others for a part of that. The steps of the fuzzer take longer
# where the kernel looks at each access. A patch does the same to every exporter: for
# steps.py one is enough, where the harness of the base can leave tests out.
table='
all|poll_race|-t 20
debug|poll_fuzz|--seconds 600
debug-emulated|poll_fuzz|--steps 10000
debug-emulated|poll_race|-t 120
step|contract|-V system_heap_sw_sync -V vgem_sw_sync -V vgem_vgem
'

failed=0

flags_of() {
	echo "$table" | while IFS='|' read -r kind test flags; do
		case " $WHEN " in
		*" $kind "*) [ "$test" != "$1" ] || printf '%s ' "$flags" ;;
		esac
	done
}

kunit() {
	indent='    '
	[ -z "${NESTED-}" ] || indent=
	for module in $MODULES; do
		echo "# run: $module"
		insmod "${ROOT-}/$module" || { echo "not ok 1 ${module}_loads"; failed=1; }
	done
	for results in /sys/kernel/debug/kunit/*/results; do
		[ -f "$results" ] || { echo 'not ok 1 kunit_has_results'; failed=1; continue; }
		said=$(sed "s/^$indent\(ok\|not ok\)/\1/" "$results")
		printf '%s\n' "$said"
		! printf '%s\n' "$said" | grep '^not ok' >/dev/null || failed=1
	done
}

# run TEST
run() {
	echo "# run: $1"
	case $1 in
	*_example) printf 'TAP version 13\n1..1\n' ;;
	esac
	status=0
	# Those of the table are not for a program that somebody replays.
	case $TESTFLAGS in
	*--program*|*--replay*) flags= ;;
	*) flags=$(flags_of "$1") ;;
	esac
	# TESTFLAGS may hold quotes.
	eval "./$1 $flags $TESTFLAGS" || status=$?
	# An example says nothing of tests: its status tells.
	case $1-$status in
	*_example-0) echo "ok 1 $1" ;;
	*_example-4) echo "ok 1 $1 # SKIP it has not what it needs" ;;
	*_example-*) echo "not ok 1 $1"; failed=1 ;;
	*-0|*-4) ;;
	*) failed=1 ;;
	esac
}

if [ -n "$COUNTERS" ] && [ ! -f "$COUNTERS" ]; then
	echo "no $COUNTERS"
	exit 1
fi
case " $WHEN " in
*' kunit '*) kunit ;;
esac
cd "${ROOT-}/kselftest/dma-buf" || exit
i=0
while [ "$i" -lt "$REPEAT" ]; do
	for test in $TESTS; do
		run "$test"
	done
	i=$((i + 1))
done
if [ -n "$COUNTERS" ]; then
	echo '# gcov: begin'
	base64 "$COUNTERS"
	echo '# gcov: end'
fi
exit $failed
