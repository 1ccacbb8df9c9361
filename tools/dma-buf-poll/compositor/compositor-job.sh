#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
#
# What compositor.sh runs in the guest: COMPOSITOR from the root that is shared over 9p,
# and CASES of the client, all of them if there are none. Prints "trace:" lines, what the
# kernel and the client said, and "compositor:" lines, the last of what the compositor
# said. Status 1 comes with a line "error: ...".

root=/root
mkdir -p $root
if ! mount -t 9p -o ro,trans=virtio,version=9p2000.L,msize=262144,cache=loose root $root; then
	echo "error: no Debian 13 root over 9p"
	exit 1
fi
mount -t tracefs trace /sys/kernel/tracing
for dir in proc sys dev; do
	mount -o rbind /$dir $root/$dir
done
mount -t tmpfs tmp $root/tmp
mount -t tmpfs run $root/run
mkdir -m 700 $root/run/user
cp /frames $root/tmp/

said=$root/tmp/said
# in_root [NAME=VALUE]... COMMAND...
in_root() {
	env HOME=/tmp LANG=C.UTF-8 XDG_RUNTIME_DIR=/run/user XDG_CONFIG_HOME=/tmp XDG_CACHE_HOME=/tmp \
		XDG_DATA_DIRS=/usr/share PATH=/usr/bin:/usr/sbin "$@"
}
# last_lines ERROR: what the compositor said, and what is wrong
last_lines() {
	grep -v '^$' $said | tail -n 12 | cut -c1-200 | sed 's/^/compositor: /'
	echo "error: $1"
}

socket=wayland-dbp
case $COMPOSITOR in
kwin)
	name=kwin_wayland
	set -- kwin_wayland --virtual --width 800 --height 600 --no-lockscreen --socket $socket
	;;
mutter)
	name=mutter
	set -- mutter --headless --wayland --no-x11 --virtual-monitor 800x600 --wayland-display $socket
	;;
sway)
	name=sway
	# It picks the socket's name. It polls the buffer itself only where it takes the
	# kernel for one that cannot export a sync_file from it.
	socket=wayland-1
	echo 'output HEADLESS-1 mode 320x240' >$root/tmp/sway.conf
	export WLR_BACKENDS=headless WLR_LIBINPUT_NO_DEVICES=1 WLR_RENDERER=vulkan
	# lavapipe, see drm_layer.c
	export VK_DRIVER_FILES=/usr/share/vulkan/icd.d/lvp_icd.json
	export LD_PRELOAD=/tmp/drm_layer.so VK_LAYER_PATH=/tmp VK_INSTANCE_LAYERS=VK_LAYER_DBP_drm
	for node in /sys/class/drm/render*; do
		# The other one is vgem's.
		case $(readlink -f "$node") in
		*/pci*) export DRM_LAYER_NODE="/dev/dri/${node##*/}" WLR_RENDER_DRM_DEVICE="/dev/dri/${node##*/}" ;;
		esac
	done
	cp /drm_layer.so $root/tmp/
	cat >$root/tmp/drm_layer.json <<-END
		{ "file_format_version": "1.2.0", "layer": { "name": "VK_LAYER_DBP_drm", "type": "GLOBAL",
		  "library_path": "/tmp/drm_layer.so", "api_version": "1.3.0", "implementation_version": "1",
		  "description": "the DRM node of lavapipe" } }
	END
	set -- setarch --uname-2.6 sway -d -c /tmp/sway.conf
	;;
esac

in_root chroot $root dbus-run-session "$@" >$said 2>&1 &
starter=$!
waited=0
while [ ! -S $root/run/user/$socket ]; do
	waited=$((waited + 1))
	if ! kill -0 $starter 2>/dev/null; then
		wait $starter
		last_lines "$COMPOSITOR ended with status $? before it had a socket"
		exit 1
	elif [ $waited = "$START_TIMEOUT" ]; then
		last_lines "$COMPOSITOR has no socket after $START_TIMEOUT s"
		exit 1
	fi
	sleep 1
done
pid=$(pidof "$name" | awk '{ print $NF }')
echo "$COMPOSITOR has its socket after $waited s"

cd /sys/kernel/tracing || exit
echo mono >trace_clock
echo 8192 >buffer_size_kb
echo "pid == $pid" >events/sched/sched_wakeup/filter
echo 1 >events/sched/sched_wakeup/enable
# Of all fences those that the client signals
echo 'comm == "frames"' >events/dma_fence/dma_fence_signaled/filter
echo 1 >events/dma_fence/dma_fence_signaled/enable
cd / || exit

status=0
# shellcheck disable=SC2086 # a list of words
in_root WAYLAND_DISPLAY=$socket chroot $root /tmp/frames "$pid" $CASES || status=1
# Before its first frame the compositor is busy with itself. The serial line is slow.
sed -nE '/ dbp [a-z]* 0 frame 0/,$s/^ *(.*(tracing_mark_write: .*|sched_wakeup:|dma_fence_signaled:)).*/trace: \1/p' \
	/sys/kernel/tracing/trace
# Nobody may have waited for it yet.
if ! grep -qs '^State:[^Z]*$' "/proc/$pid/status"; then
	last_lines "$COMPOSITOR has ended"
	exit 1
elif [ $status != 0 ]; then
	last_lines "$COMPOSITOR: the client did not come to its end"
	exit 1
fi
kill "$pid"
exit 0
