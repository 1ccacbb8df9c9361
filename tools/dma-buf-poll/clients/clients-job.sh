#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
#
# What clients.sh runs in the guest: the clients that /clients/list names, "name|program|
# arguments" a line, from the root of the machine that the guest runs on. That is
# /host, read-only over 9p, with what the guest has of its own in it.

mkdir -p /host
if ! mount -t 9p -o ro,trans=virtio,version=9p2000.L,cache=loose,msize=262144 host /host; then
	echo "error: no root of the host"
	exit 1
fi
for dir in dev proc sys tmp; do
	mount -o rbind /$dir /host/$dir
done
mount -o bind /clients /host/mnt

# run NAME PROGRAM [ARGUMENT]
run() {
	case $2 in
	idle) /poll_bench -g /clients/idle user.go ;;
	*.py) chroot /host /mnt/feed "$1" /usr/bin/python3 -B "/mnt/$2" ;;
	*) chroot /host /mnt/feed "$1" "/mnt/$2" ${3:+"$3"} ;;
	esac
}

cd / || exit
# The job has no stdin, and nor have they.
while IFS='|' read -r name program argument <&3; do
	run "$name" "$program" "$argument" 3<&-
done 3</clients/list
exit 0
