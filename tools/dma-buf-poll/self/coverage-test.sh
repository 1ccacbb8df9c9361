# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154
#
# The part of harness-test.sh that is about coverage.sh: sourced there, with its $tmp,
# $tools, ok(), not_ok() and refuses(). The kernel and the guest are made up: a program
# of this machine has counted, in a copy of the scripts.

counted=$tmp/counted
counted_obj=$counted/build/6.12/src/obj-gcov
mkdir -p "$counted"/tools/dma-buf-poll/{kernel,test,tree} "$counted"/build/6.12/{log,src/drivers/dma-buf} \
	"$counted_obj/drivers/dma-buf"
(cd "$tools" && cp --parents test/coverage.sh tree/bases kernel/arches lib.sh "$counted/tools/dma-buf-poll/")
for name in kernel/kernel test/selftest; do
	printf '#!/bin/sh\n' >"$counted/tools/dma-buf-poll/$name.sh"
	chmod +x "$counted/tools/dma-buf-poll/$name.sh"
done
cat >"${counted_obj%/*}/drivers/dma-buf/dma-buf-poll.c" <<'END'
static int never(int n) { return n * 3; }
int main(int argc, char **argv)
{
	if (argc > 2)
		argc *= 3;
	return argc > 40 ? never(argc) : 0;
}
END
# counters ARGUMENT...: what the guest sent after the program ran with each of these
counters() {
	local arguments

	rm -f "$counted_obj"/drivers/dma-buf/*.gc*
	(cd "$counted_obj" && gcc --coverage -o drivers/dma-buf/dma-buf-poll.o -c ../drivers/dma-buf/dma-buf-poll.c &&
		gcc --coverage -o program drivers/dma-buf/dma-buf-poll.o)
	for arguments; do
		# shellcheck disable=SC2086 # these are words
		"$counted_obj/program" $arguments || :
	done
	{
		echo '# gcov: begin'
		base64 "$counted_obj/drivers/dma-buf/dma-buf-poll.gcda"
		echo '# gcov: end'
	} >"$counted/build/6.12/log/selftest-rework-gcov-smp2.results"
}
# covers WHAT STATUS PATTERN...: what coverage.sh says of it
covers() {
	local what=$1 wanted=$2 status=0

	shift 2
	"$counted/tools/dma-buf-poll/test/coverage.sh" 6.12 >"$tmp/out" 2>&1 || status=$?
	for pattern; do
		grep -qE -- "$pattern" "$tmp/out" || status="$status, nothing like '$pattern'"
	done
	if [ "$status" = "$wanted" ]; then
		ok "$what"
	else
		not_ok "$what (status $status)" 40 <"$tmp/out"
	fi
}
counters "a b"
covers "lines and branches that no test reaches" 1 'dma-buf-poll.c +5 +4 +80% +1$' 'dma-buf-poll.c +4 +2 +50% +4,6$' \
	'^0 passed, 2 failed, 0 skipped$'
counters "" "$(seq -s' ' 50)"
covers "all of them reached" 0 '^2 passed, 0 failed, 0 skipped$'
counters ""
: >"${counted_obj%/*}/drivers/dma-buf/dma-buf-poll.c"
sed -i '/^#/!d' "$counted/build/6.12/log/selftest-rework-gcov-smp2.results"
covers "a guest that sent no counters" 1 '^error: 6.12: the guest sent no counters'
