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
[ "$base" != 5.10 ] || die "trace: the classic rework of 5.10 has no trace events"

for tool in /usr/bin/trace-cmd /usr/bin/python3; do
	if [ ! -x "$tool" ]; then
		echo "ok - the recipe for tracing # SKIP no $tool here: run 'make deps'"
		echo "0 passed, 0 failed, 1 skipped"
		exit 0
	fi
done

"$tools/kernel.sh" "$base" patched

out=$top/build/$base/log/trace
mkdir -p "${out%/*}"
recipe='trace-cmd record -q -e dma_buf_poll -o /tmp/trace.dat'
job="
mkdir -p /host
mount -t 9p -o ro,trans=virtio,version=9p2000.L,cache=loose,msize=262144 host /host || exit 1
mount -t tracefs tracing /sys/kernel/tracing
for dir in dev proc sys tmp; do
	mount -o rbind /\$dir /host/\$dir
done
mount -o bind /traced /host/mnt
cd /tmp
chroot /host /usr/bin/$recipe /usr/bin/python3 -B /mnt/traced.py || exit 1
chroot /host /usr/bin/trace-cmd report -i /tmp/trace.dat | sed 's/^/report: /'
"
say "tracing polls on the $base patched kernel: $recipe"
status=0
"$tools/guest.py" --kernel "$top/build/$base/patched/arch/x86/boot/bzImage" \
	--out "$out" --timeout "${TIMEOUT:-240}" --file "$tools/guest/traced.py:traced/traced.py" \
	--qemu=-virtfs \
	--qemu=local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap \
	"$job" >/dev/null || status=$?
[ "$status" = 0 ] ||
	die "$base: the recipe for tracing does not run (see $out.results)"

passed=0 failed=0
# said WHAT REGEX: in the results, with ANY space
said() {
	if grep -qE -- "$2" "$out.results"; then
		echo "ok - $1"
		passed=$((passed + 1))
	else
		echo "not ok - $1: nothing like '$2' (see $out.results)"
		failed=$((failed + 1))
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
lines=$(grep -c '^traced: bufinfo' "$out.results" || :)
for check in "$(events "${waits:-none}")=arm out,arm out,wake out=a wait for two fences arms on both and wakes once" \
	"$(events "${closes:-none}")=arm in,cancel in=a close cancels what was armed" \
	"$lines=1=there is a line in debugfs for the direction that is waited for, only"; do
	IFS='=' read -r got wanted what <<<"$check"
	if [ "$got" = "$wanted" ]; then
		echo "ok - $what"
		passed=$((passed + 1))
	else
		echo "not ok - $what: it is '$got' and not '$wanted' (see $out.results)"
		failed=$((failed + 1))
	fi
done

echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" = 0 ]
