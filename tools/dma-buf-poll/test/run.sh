#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# run.sh BASE: the main job. The stock kernel and each series side by side.

. "${BASH_SOURCE%/*}/../lib.sh"

base=${1:?usage: run.sh BASE}
check_base "$base"
plain_kernels run
read -ra variants <<<"$(variants "$base")"
log=$top/build/$base/log

# What an earlier run said is no result of this one, should it end early.
for variant in "${variants[@]}"; do
	rm -f "$log/selftest-$variant".{results,console} "$log/cost-$variant.tsv"
done

# Stock first: what it builds is most of the others. What cannot be built ends it
# here and is not taken for a test that fails.
for variant in "${variants[@]}"; do
	"$tools/kernel/kernel.sh" "$base" "$variant"
done
"$tools/test/selftest.sh" "$base" "${variants[-1]}" --build-only

# The stock kernel is expected to fail tests, and 5.10 to panic or not to come
# back. Anything else that goes wrong with the guest is our problem.
for variant in "${variants[@]}"; do
	status=0
	"$tools/test/selftest.sh" "$base" "$variant" >"$log/run-$variant.ktap" || status=$?
	case $variant-$status in
	*-[013]|stock-4) ;;
	*) exit 1 ;;
	esac
	"$tools/kernel/cost.sh" "$base" "$variant" >"$log/cost-$variant.tsv"
done
status=0
"$tools/test/report.py" "$base" >"$log/run.table" || status=$?
cat "$log/run.table"
exit $status
