#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# compositor.sh BASE VARIANTS [COMPOSITOR]...: real compositors, as Debian 13 ships them
#
# Boots each of VARIANTS, a list of words, with each compositor, from a root of Debian 13
# that is unpacked in the cache and shared over 9p, and lets the client frames.c show it
# buffers with fences. compositor.py judges what the kernel's trace says of that, and
# prints the table. CASES="one killed" has the client do only these.
#
# Takes the kernels and the kselftest's headers; make compositor calls it.

. "${BASH_SOURCE%/*}/../lib.sh"

base=${1:?usage: compositor.sh BASE VARIANTS [COMPOSITOR]...}
check_base "$base"
read -ra variants <<<"${2:?usage: compositor.sh BASE VARIANTS [COMPOSITOR]...}"
shift 2
for variant in "${variants[@]}"; do
	check_variant "$variant" "$base"
done
[ "$(base_field "$base" 4)" = all ] ||
	die "compositor: $base has no ioctl to give a buffer any fence"
plain_kernels compositor
own_arch_only compositor

known=(kwin mutter sway)
for name; do
	[[ " ${known[*]} " = *" $name "* ]] || die "no compositor $name: there are ${known[*]}"
done
compositors=("${@:-${known[@]}}")
cases=$(sed -n 's/^\t{ "\([a-z]*\)", .*/\1/p' "$tools/compositor/frames.c" | paste -sd' ')
for case in ${CASES-}; do
	[[ " $cases " = *" $case "* ]] || die "no case $case: there are $cases"
done
args_end

have_virgl ||
	die "compositors want a virtio-gpu with 3D: apt-get install qemu-system-gui libvirglrenderer1 libgl1-mesa-dri libegl1 libgbm1"

root=$cache/compositor-trixie
suite_root trixie compositor-trixie "$root" 2 kwin-wayland mutter sway dbus-daemon libgl1-mesa-dri libegl1 libgbm1 \
	mesa-vulkan-drivers qt6-wayland xkb-data util-linux dash || die "no root of Debian 13: $why"

# The client and the layer, of this machine's libraries
log=$top/build/$base/log
out=$top/build/$base/compositor
mkdir -p "$out" "$log"
make -s -C "$tools/compositor" O="$out" HEADERS="$top/build/$base/kselftest-obj/usr/include" \
	"$out/frames" "$out/drm_layer.so" >"$out/build.log" 2>&1 ||
	die "compositor/ does not build: $(grep -m1 -E 'rror' "$out/build.log" || tail -n1 "$out/build.log") (see $out/build.log)"

cp "$root/.versions" "$out/versions"

# What the scripts of these packages would have made
if [ ! -f "$root/.ready" ]; then
	printf 'root:x:0:0:root:/tmp:/bin/sh\n' >"$root/etc/passwd"
	printf 'root:x:0:\n' >"$root/etc/group"
	printf '%032d\n' 1 >"$root/etc/machine-id"
	lib=$(dirname "$(find "$root/usr/lib" -name libc.so.6 | sed -n 1p)")
	"$root"/lib64/ld-linux-x86-64.so.2 --library-path "$lib" \
		"$lib/glib-2.0/glib-compile-schemas" "$root/usr/share/glib-2.0/schemas" >"$out/schemas.log" 2>&1 ||
		die "no GSettings schemas in the root of Debian 13: $(tail -n1 "$out/schemas.log")"
	: >"$root/.ready"
fi

# What another run has said of the others stays.
rm -f "$out/all"
for name in "${compositors[@]}"; do
	for variant in "${variants[@]}"; do
		said=$log/compositor-$name-$variant
		rm -f "$said.results" "$out/$name-$variant".{status,some}
		say "running $name on the $base $variant kernel"
		status=0
		"$vm" --virgl --memory 3G --kernel "$(variant_image "$base" "$variant")" \
			--out "$said" --boot-timeout 240 --timeout "${TIMEOUT:-1200}" \
			--append "rcupdate.rcu_cpu_stall_timeout=120" \
			--qemu=-fsdev --qemu "local,id=root,path=$root,security_model=none,readonly=on" \
			--qemu=-device --qemu virtio-9p-pci,fsdev=root,mount_tag=root \
			--file "$out/frames:frames" --file "$out/drm_layer.so:drm_layer.so" \
			--job "$tools/compositor/compositor-job.sh" \
			--set COMPOSITOR="$name" --set CASES="${CASES-}" \
			--set START_TIMEOUT="${START_TIMEOUT:-300}" >/dev/null || status=$?
		[ $status -lt 5 ] || exit $status
		printf '%s\n' "$status" >"$out/$name-$variant.status"
		[ -z "${CASES-}" ] || : >"$out/$name-$variant.some"
	done
done
# For make readme: all there are have run, with all cases.
missing=$(for name in "${known[@]}"; do
	for variant in $(variants "$base"); do
		[ -f "$out/$name-$variant.status" ] && [ ! -f "$out/$name-$variant.some" ] || echo "$name-$variant"
	done
done)
[ -n "$missing" ] || : >"$out/all"
"$tools/compositor/compositor.py" "$base" "${variants[*]}" "${compositors[@]}"
