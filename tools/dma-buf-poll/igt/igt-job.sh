#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
#
# What igt.sh runs in the guest: SUBTESTS of /igt/TEST, REPEAT times, each a process
# that has SUBTEST_TIMEOUT seconds. Prints igt-run, igt-said and igt-end lines.

export LD_LIBRARY_PATH=/igt/lib
i=0
while [ "$i" -lt "$REPEAT" ]; do
	for subtest in $SUBTESTS; do
		echo "igt-run: $subtest"
		timeout -s KILL "$SUBTEST_TIMEOUT" "/igt/$TEST" --run-subtest "$subtest" >/tmp/said 2>&1
		status=$?
		sed 's/^/igt-said: /' /tmp/said
		echo "igt-end: $status"
	done
	i=$((i + 1))
done
