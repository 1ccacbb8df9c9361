#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# trace.sh BASE: the recipe for tracing of dma-buf-poll.rst, run and judged
#
# Boots the series and runs trace-cmd there, from this machine's root, which the
# guest sees read-only over 9p, on a program that waits for one buffer and closes
# another with a fence pending. One "ok" or "not ok" line for each thing that
# trace or debugfs have to say; ends with N passed, N failed, N skipped.

. "${BASH_SOURCE%/*}/lib.sh"

base=${1:?usage: trace.sh BASE}
check_base "$base"
plain_kernels trace
[ "$base" != 5.10 ] || die "trace: the classic rework of 5.10 has no trace events"

for tool in /usr/bin/trace-cmd /usr/bin/python3; do
	if [ ! -x "$tool" ]; then
		skip "the recipe for tracing" "no $tool here: run 'make deps'"
		verdict
		exit
	fi
done

"$tools/kernel.sh" "$base" rework

out=$top/build/$base/log/trace
mkdir -p "${out%/*}"
recipe='trace-cmd record -q -e dma_buf_poll -o /tmp/trace.dat'
job="mount -t tracefs tracing /sys/kernel/tracing
$mount_host_root
mount -o bind /traced /host/mnt
cd /tmp
chroot /host /usr/bin/$recipe /usr/bin/python3 -B /mnt/traced.py || exit 1
chroot /host /usr/bin/trace-cmd report -i /tmp/trace.dat | sed 's/^/report: /'
"
say "tracing polls on the $base kernel: $recipe"
status=0
"$tools/guest.py" --kernel "$(variant_obj "$base" rework)/arch/x86/boot/bzImage" \
	--out "$out" --timeout "${TIMEOUT:-240}" --file "$tools/guest/traced.py:traced/traced.py" \
	"${host_root[@]}" "$job" >/dev/null || status=$?
[ "$status" = 0 ] ||
	die "$base: the recipe for tracing does not run (see $out.results)"

# said WHAT REGEX: somewhere in the results
said() {
	if grep -qE -- "$2" "$out.results"; then
		ok "$1"
	else
		not_ok "$1 (see $out.results)" <<<"nothing like '$2'"
	fi
}

# is WHAT GOT WANTED
is() {
	if [ "$2" = "$3" ]; then
		ok "$1"
	else
		not_ok "$1 (see $out.results)" <<<"it is '$2' and not '$3'"
	fi
}

# events INODE: their names and directions, in order
events() {
	sed -nE "s/^report: .*dma_buf_poll_([a-z]+): +ino=$1 direction=([a-z|]+) .*/\1 \2/p" \
		"$out.results" | paste -sd,
}

waits=$(sed -n 's/^traced: waits //p' "$out.results")
closes=$(sed -n 's/^traced: closes //p' "$out.results")
context='context=[1-9][0-9]* seqno'
said "an arm has inode, direction, context and seqno of its fence" \
	"^report: .*dma_buf_poll_arm: +ino=${waits:-none} direction=out $context=2$"
said "a wake has them, too" \
	"^report: .*dma_buf_poll_wake: +ino=${waits:-none} direction=out $context=2$"
said "a cancel has them, too" \
	"^report: .*dma_buf_poll_cancel: +ino=${closes:-none} direction=in $context=3$"
said "debugfs says what fence a buffer waits for" \
	"^traced: bufinfo poll out waits for: (sw_sync [^ ]+ seq 1|[0-9]+:1 [^ ]+ sw_sync) unsignalled"
is "a wait for two fences arms on both and wakes once" \
	"$(events "${waits:-none}")" "arm out,arm out,wake out"
is "a close cancels what was armed" \
	"$(events "${closes:-none}")" "arm in,cancel in"
is "there is a line in debugfs for the direction that is waited for, only" \
	"$(grep -c '^traced: bufinfo' "$out.results" || :)" 1

verdict
