#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# run.sh BASE: boot the stock kernel and that of each variant, and put them side by side
#
# Takes the kernels and the kselftest of BASE; leaves what cost.sh says and the table in
# build/BASE/log. Called by make run, and by test.sh.

. "${BASH_SOURCE%/*}/../lib.sh"

base=${1:?usage: run.sh BASE}
check_base "$base"
plain_kernels run
args_end
read -ra variants <<<"$(variants "$base")"
log=$top/build/$base/log

# What an earlier run said is no result of this one, should it end early.
for variant in "${variants[@]}"; do
	name=$(flavour "$variant")
	rm -f "$log/selftest-$name".{results,console} "$log/cost-$name.tsv"
done

# The stock kernel is expected to fail tests, and 5.10 to panic or not to come
# back. Anything else that goes wrong with the guest is our problem.
for variant in "${variants[@]}"; do
	status=0
	name=$(flavour "$variant")
	"$tools/test/selftest.sh" "$base" "$variant" >"$log/run-$name.ktap" || status=$?
	case $variant-$status in
	*-[013]|stock-4) ;;
	*) exit 1 ;;
	esac
	"$tools/kernel/cost.sh" "$base" "$variant" >"$log/cost-$name.tsv"
done
status=0
"$tools/test/report.py" "$base" >"$log/run$arch_suffix.table" || status=$?
cat "$log/run$arch_suffix.table"
exit $status
