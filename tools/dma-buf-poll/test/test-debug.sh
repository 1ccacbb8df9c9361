#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# test-debug.sh BASE VARIANT [RUN]...: all tests on kernels that look for more
#
#   debug   lockdep, KASAN, atomic sleep, debug objects, kmemleak; 4 CPUs
#   kcsan   data races; 4 CPUs
#   rt      PREEMPT_RT with lockdep, where the base has it; 4 CPUs
#   up      the usual kernel with one CPU
#   nosmp   a kernel without SMP
#
# Each run is the kselftest with its fuzzer, KUnit, and, except for up, poll_race.
# The log of the guest has to be clean as well: guest.py knows what no kernel
# should print. Ends with N passed, N failed, N skipped over all runs.
#
# Takes build/BASE/src and the kselftest, and builds its kernels; make test-debug calls
# it.

. "${BASH_SOURCE%/*}/../lib.sh"

base=${1:?usage: test-debug.sh BASE VARIANT [RUN]...}
variant=${2:?usage: test-debug.sh BASE VARIANT [RUN]...}
shift 2
check_base "$base"
check_variant "$variant" "$base"
all=(debug kcsan rt up nosmp)
runs=("$@")
[ $# -gt 0 ] || runs=("${all[@]}")
for run in "${runs[@]}"; do
	[[ " ${all[*]} " = *" $run "* ]] || die "no run '$run': there are ${all[*]}"
done
plain_kernels test-debug
args_end
need_tree "$base"
out=$top/build/$base
mkdir -p "$out/log"

# run NAME KIND CPUS TIMEOUT [VARIABLE=VALUE]..., where KIND is that of the kernel
run() {
	local name=$1 kernel=$variant$arch_suffix$2 cpus=$3 timeout=$4 status=0 line

	shift 4
	guest_cpus "$cpus"
	echo "# == $base $variant$arch_suffix: $name, $cpus CPU(s)"
	if ! env "$@" "$tools/kernel/kernel.sh" "$base" "$variant"; then
		not_ok "$name: its kernel does not build" </dev/null
		return
	fi
	env "$@" SMP="$cpus" TIMEOUT="${TIMEOUT:-$timeout}" "$tools/test/selftest.sh" "$base" "$variant" \
		>"$out/log/test-debug-$variant$arch_suffix-$name" || status=$?
	if [ "$status" -gt 1 ]; then
		not_ok "$name: the guest or its log, see above (status $status)" </dev/null
	fi
	grep '^# KCSAN: ' "$out/log/test-debug-$variant$arch_suffix-$name" || :
	# A test may fail that this variant does not promise: it is the report that knows.
	status=0
	line=$("$tools/test/report.py" --count "$base" "$kernel-smp$cpus") || status=$?
	printf '%s\n' "$line"
	tally "$name" "$status" "${line##*$'\n'}"
}

for name in "${runs[@]}"; do
	case $name in
	debug) run debug -debug 4 3600 DEBUG=1 MEMORY=2G ;;
	kcsan) run kcsan -kcsan 4 3600 KCSAN=1 ;;
	rt)
		if grep -qs 'select ARCH_SUPPORTS_RT' "$out/src/arch/$(arch_field source)/Kconfig"; then
			run rt -rt 4 3600 RT=1
		else
			skip rt "$base has no PREEMPT_RT for $arch"
		fi
		;;
	up) run up "" 1 1800 ;;
	nosmp) run nosmp -nosmp 1 1800 NOSMP=1 ;;
	esac
done

echo "# == all"
verdict && [ "$passed" -gt 0 ]
