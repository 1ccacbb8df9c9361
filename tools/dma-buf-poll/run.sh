#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# run.sh BASE: the main job. Stock kernel and series side by side.

. "${BASH_SOURCE%/*}/lib.sh"

base=${1:?usage: run.sh BASE}
check_base "$base"
plain_kernels run

# What an earlier run said is no result of this one, should it end early.
rm -f "$top/build/$base/log"/selftest-{stock,patched}.{results,console}

# Stock first: what it builds is most of the other one. What cannot be built
# ends it here and is not taken for a test that fails.
"$tools/kernel.sh" "$base" stock
"$tools/kernel.sh" "$base" patched
"$tools/selftest.sh" "$base" patched --build-only

# The stock kernel is expected to fail tests, and 5.10 to panic or not to come
# back. Anything else that goes wrong with the guest is our problem.
status=0
"$tools/selftest.sh" "$base" stock >/dev/null || status=$?
case $status in
0|1|3|4) ;;
*) exit 1 ;;
esac
status=0
"$tools/selftest.sh" "$base" patched >"$top/build/$base/log/run.ktap" || status=$?
case $status in
0|1|3) ;;
*) exit 1 ;;
esac
status=0
"$tools/report.py" "$base" >"$top/build/$base/log/run.table" || status=$?
cat "$top/build/$base/log/run.table"
exit $status
