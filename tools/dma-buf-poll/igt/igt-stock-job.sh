#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
#
# What igt-stock.sh runs in the guest: TESTS, each TEST or TEST@SUBTEST with TEST_TIMEOUT
# seconds, from the root that is shared over 9p. Prints igt-run and igt-end lines, and
# of what IGT says the results.

root=/root
mkdir -p $root
mount -t 9p -o ro,trans=virtio,version=9p2000.L,msize=131072,cache=loose root $root || exit 1
for dir in proc sys dev sys/kernel/debug; do
	mount --bind /$dir $root/$dir
done
mount -t tmpfs tmp $root/tmp
mount -t tmpfs run $root/run
for test in $TESTS; do
	subtest=
	case $test in
	*@*) subtest=${test#*@} ;;
	esac
	test=${test%@*}
	echo "igt-run: $test"
	timeout -s KILL "$TEST_TIMEOUT" chroot $root env HOME=/tmp IGT_FORCE_DRIVER="$IGT_FORCE_DRIVER" \
		"/usr/libexec/igt-gpu-tools/$test" ${subtest:+--run-subtest "$subtest"} >/tmp/said 2>&1
	echo "igt-end: $?" >>/tmp/said
	grep -a -E '(Subtest .*: [A-Z]+ \()|^(SUCCESS|SKIP|FAIL|igt-end)|Failed assertion|Test requirement:' /tmp/said
done
