# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154
#
# The part of harness-test.sh that is about real compositors: sourced there, with its
# $tmp, $tools, $base, ok(), not_ok(), refuses(), stub() and with_stubs(). What guests
# say is made up, for a copy of the scripts.

compositor_top=$tmp/compositor
compositor_log=$compositor_top/build/6.12/log
mkdir -p "$compositor_top"/tools/dma-buf-poll "$compositor_log" "$compositor_top/build/6.12/compositor"
(cd "$tools" && cp --parents compositor/compositor.py kernel/arches documents.py arches.py ktap.py "$compositor_top/tools/dma-buf-poll/")
echo 'package none_1' >"$compositor_top/build/6.12/base.id"
printf 'kwin-wayland\t4:1.2\n' >"$compositor_top/build/6.12/compositor/versions"

# compositor_guest [SCRIPT]: what a guest says in which one frame with two fences is
# committed at 1.0 s and both cases do well, but for what the sed script changes
compositor_guest() {
	sed -E "${1-}" <<-'END' >"$compositor_log/compositor-kwin-rework.results"
		trace: frames-8     [000] ..... 0.900: tracing_mark_write: dbp plain 0 left 1 0
		trace: frames-9     [000] ..... 1.000: tracing_mark_write: dbp order 1 commit
		trace: frames-9     [000] ..... 1.040: tracing_mark_write: dbp order 1 signal 1 2
		trace: frames-9     [000] d..2. 1.041: dma_fence_signaled: driver=sw_sync timeline=frames context=1 seqno=1
		trace: frames-9     [000] d..3. 1.042: sched_wakeup: comm=kwin_wayland pid=5 prio=120 target_cpu=001
		trace: frames-9     [000] ..... 1.060: tracing_mark_write: dbp order 1 signal 2 2
		trace: frames-9     [000] d..2. 1.061: dma_fence_signaled: driver=sw_sync timeline=frames context=2 seqno=1
		trace: frames-9     [000] ..... 1.072: tracing_mark_write: dbp order 1 frame 1
		trace: frames-9     [000] ..... 1.073: tracing_mark_write: dbp order 1 presented 1 1.070000000
		trace: frames-9     [000] ..... 1.074: tracing_mark_write: dbp order 1 end
		trace: frames-8     [000] ..... 2.000: tracing_mark_write: dbp order 1 left 0 0
		trace: frames-10    [000] ..... 3.000: tracing_mark_write: dbp killed 1 commit
		trace: frames-8     [000] ..... 4.000: tracing_mark_write: dbp killed 0 pending 1 1
		trace: frames-8     [000] ..... 5.000: tracing_mark_write: dbp killed 0 left 0 0
		trace: frames-11    [000] ..... 6.000: tracing_mark_write: dbp idle 0 idle
		trace: frames-11    [000] ..... 16.00: tracing_mark_write: dbp idle 0 idled 3.5
		trace: frames-8     [000] ..... 17.00: tracing_mark_write: dbp idle 0 left 0 0
	END
	echo "${2:-0}" >"$compositor_top/build/6.12/compositor/kwin-rework.status"
}

# compositor_says WHAT STATUS LINE...: what compositor.py makes of that, whole lines but for columns
compositor_says() {
	local what=$1 wanted=$2 status=0 line

	shift 2
	CASES="order killed idle" "$compositor_top/tools/dma-buf-poll/compositor/compositor.py" 6.12 rework kwin \
		>"$tmp/out" 2>&1 || status=$?
	sed -i 's/  */ /g' "$tmp/out"
	[ "$status" = "$wanted" ] || { not_ok "$what (status $status)" 40 <"$tmp/out"; return; }
	for line; do
		grep -qxF -- "$line" "$tmp/out" || { not_ok "$what (no line '$line')" 40 <"$tmp/out"; return; }
	done
	ok "$what"
}

compositor_guest
compositor_says "a compositor that does well" 0 "3 passed, 0 failed, 0 skipped" \
	"kwin-wayland 4:1.2 rework" \
	" frames shown before their last write fence 0 of 1" \
	" ms from it to the presentation, longest 12" \
	" wake-ups for 3 of 4 fences, in order 1.0" \
	" ms of CPU in 10 s idle 4"
compositor_guest 's/1\.072(.* frame 1)/1.055\1/'
compositor_says "a frame callback before the last fence" 1 \
	"not ok 1 - kwin on rework: order (1 of 1 frames shown before their last write fence)"
compositor_guest 's/1\.070000000/1.059000000/'
compositor_says "a presentation before the last fence that is told of later" 1 \
	"not ok 1 - kwin on rework: order (1 of 1 frames shown before their last write fence)"
compositor_guest '/presented/d'
compositor_says "a frame that is not presented" 1 \
	"not ok 1 - kwin on rework: order (1 of 1 frames not presented after it)"
compositor_guest 's/presented 1 .*/discarded 1/'
compositor_says "a frame that is discarded" 1 \
	"not ok 1 - kwin on rework: order (1 of 1 frames not presented after it)"
compositor_guest '/dma_fence_signaled/d'
compositor_says "a trace without fences" 1 \
	"not ok 1 - kwin on rework: order (no frame, or no fence in the kernel's trace)"
compositor_guest '/sched_wakeup/p'
compositor_says "a wake-up too many" 1 \
	"not ok 1 - kwin on rework: order (2.0 wake-ups per frame before the last fence)"
compositor_guest 's/order 1 left 0/order 1 left 2/'
compositor_says "buffers that stay" 1 "not ok 1 - kwin on rework: order (buffers left after the client: [2])"
compositor_guest 's/pending 1 1/pending 2 0/'
compositor_says "buffers that stay while fences are pending" 1 \
	"not ok 2 - kwin on rework: killed (buffers left that nobody has, while fences are pending: [2])"
compositor_guest 's/idled 3.5/idled 9500/'
compositor_says "a busy loop" 1 "not ok 3 - kwin on rework: idle (9500.0 ms of CPU in 10 s in which nothing happens)"
compositor_guest '/ (3|4|5|6|16|17)\.0/d'
compositor_says "results cut short" 1 "not ok 2 - kwin on rework: killed (did not come to its end)"
compositor_guest 's/(pending 1) 1/\1/'
compositor_says "a line cut short" 1 \
	"not ok 1 - kwin on rework: it runs (a line of the client's that makes no sense: dbp killed 0 pending 1)"
compositor_guest '/trace/d' 1
printf '%s\n' "compositor: libEGL: no driver" "error: kwin ended with status 1 before it had a socket" \
	>"$compositor_log/compositor-kwin-rework.results"
compositor_says "a compositor that exits" 1 "kwin on rework: kwin ended with status 1 before it had a socket" \
	" libEGL: no driver" "0 passed, 4 failed, 0 skipped"
compositor_guest '' 4
compositor_says "a guest that hangs" 1 "not ok 1 - kwin on rework: it runs (the guest hung)"
rm "$compositor_top/build/6.12/compositor/kwin-rework.status"
compositor_says "no results" 1 \
	"error: $compositor_top/build/6.12/compositor/kwin-rework.status is missing: run 'make compositor' first"

compositor_sh=$tools/compositor/compositor.sh
refuses "a compositor that does not exist" "no compositor weston: there are kwin mutter sway" \
	m compositor BASE="$base" COMPOSITORS=weston
refuses "a case that does not exist" "no case nonsense: there are plain one .* idle" \
	m compositor BASE="$base" CASES=nonsense
refuses "compositors on a base whose buffers take no fence" "5.10 has no ioctl" m compositor BASE=5.10 VARIANT=stock
refuses "compositors with a variant that does not exist" "no VARIANT 'fast'" m compositor BASE="$base" VARIANT=fast
stub qemu-system-x86_64 'echo egl-headless'
stub ldconfig 'echo libEGL_mesa'
stub df 'printf "head\nfs 1 1 1048576 1 /\n"'
refuses "no room for the root of Debian 13" "has 1 GiB free, this needs 2" \
	with_stubs env XDG_CACHE_HOME="$tmp/cache" "$compositor_sh" "$base" rework kwin
rm "$tmp"/bin/{df,ldconfig}
stub qemu-system-x86_64 'exit 1'
refuses "a QEMU without 3D" "apt-get install qemu-system-gui libvirglrenderer1" \
	with_stubs "$compositor_sh" "$base" rework kwin
rm "$tmp/bin/qemu-system-x86_64"
