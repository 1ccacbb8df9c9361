#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# bundle.sh BASE VARIANT: a kernel and its tests, for any VM tool, LAVA or tuxrun
#
# Takes a kernel of kernel.sh and the programs of kselftest.sh. Gives the directory
# build/BASE/bundle-VARIANT, or BUNDLE=DIR, whose README.md says what is in it and how
# to boot it. BUNDLE_URL= is where others will find it. A directory that holds anything
# but a bundle is left alone.

. "${BASH_SOURCE%/*}/../lib.sh"

args_variant "bundle.sh BASE VARIANT" "$@"
out=$top/build/$base
dir=$(realpath -m "${BUNDLE:-$out/bundle-$name}")
if [ -e "$dir" ] && [ ! -f "$dir/.bundle" ] && ! { [ -d "$dir" ] && [ -z "$(ls -A "$dir")" ]; }; then
	die "$dir is in the way, and no bundle: remove it, or say BUNDLE=DIR"
fi
args_end
guest_tests "$base" "$variant"
image=$(variant_image "$base" "$variant")
[ -f "$image" ] || die "$base: no $name kernel: run 'make kernel BASE=$base VARIANT=$variant'"
need_space "${dir%/*}" 1
need_foreign_root

release=
[ ${#modules[@]} = 0 ] || release=$(PATH=$PATH:/usr/sbin:/sbin modinfo -F vermagic "${modules[0]}" | cut -d' ' -f1)
mkdir -p "$dir"
: >"$dir/.bundle"
rm -rf "$dir"/{bzImage,Image,zImage,initramfs.cpio.gz,tests,tests.tar.gz,lava.yaml,dma-buf-poll.yaml,README.md}
mkdir "$dir/tests"
cp "$image" "$dir/"
cp "$tools/bundle/run" "$tools/test/selftest-job.sh" "${modules[@]}" "$dir/tests/"
mkdir "$dir/tests/kselftest"
cp -r "$out/kselftest$arch_suffix/dma-buf" "$dir/tests/kselftest/"
cat >"$dir/tests/settings" <<-END
	RELEASE='$release'
	TESTS='${tests[*]}'
	MODULES='${modules[*]##*/}'
	WHEN='${when#kunit}'
END
tar -C "$dir/tests" --owner=0 --group=0 -czf "$dir/tests.tar.gz" .
# shellcheck disable=SC2016 # the guest expands it
PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$tools/vm python3 -c '
import guest, sys
guest.initramfs(sys.argv[1], "exec sh /tests/run $TESTS", [sys.argv[2] + ":tests"], False, *sys.argv[3:])' \
	"$dir/initramfs.cpio.gz" "$dir/tests" ${foreign_root:+"$foreign_root/bin/busybox"}

emulated=$(arch_field emulated)
append="$(PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$tools/vm python3 -c '
import guest, sys
print(guest.command_line(sys.argv[1]), *sys.argv[2:])' "$arch" ${emulated:+"$emulated"})"
cpu=$(arch_field cpu)
read -ra board <<<"$(arch_field board) ${cpu:+-cpu $cpu}"
guest_cpus 2
case $arch in
arm) tuxrun=armv7 ;;
*) tuxrun=$arch ;;
esac
options=
for word in "${board[@]}"; do
	options+="'$word', "
done
sed "s|BUNDLE/|${BUNDLE_URL:-file://$dir}/|; s|APPEND|$append|; s|IMAGE|${image##*/}|
	s|ARCH|$(arch_field debian)|; s|OPTIONS|$options-smp, '$cpus'|" "$tools/bundle/lava.yaml" >"$dir/lava.yaml"
cp "$tools/bundle/dma-buf-poll.yaml" "$dir/"
cat >"$dir/README.md" <<-END
	# poll() on dma-buf: $base $name

	Made from $(cat "$out/base.id"), by dma-buf-poll at
	$(git -C "$top" describe --always --dirty 2>/dev/null || echo 'no commit'). To boot it, and run all tests:

	    $(arch_field qemu)${board[*]:+ ${board[*]}} -nographic -no-reboot -nic none -m 1G -smp $cpus -device virtio-gpu-pci \\
	        -kernel ${image##*/} -initrd initramfs.cpio.gz \\
	        -append '$append'

	The console shows KTAP, and "guest: exit 0" in the end if no test has failed. With TESTS=poll
	among what follows -append only that one runs. In a system that has booted already, as root:
	\`sh tests/run\`, or \`sh tests/run poll\`; \`tests.tar.gz\` holds that directory. The status is 0
	if no test has failed. On another kernel than this one KUnit is skipped.

	- \`lava.yaml\`: a job for LAVA that boots this, with the URL of BUNDLE_URL=, or for lava-run
	- \`dma-buf-poll.yaml\`: a test definition for systems that LAVA, KernelCI or others boot
	- with tuxrun, on a kernel that boots its root file system:
	  \`tuxrun --device qemu-$tuxrun --kernel KERNEL --overlay tests.tar.gz /tests -- sh /tests/run\`
END
say "$base $name: ${#modules[@]} KUnit modules and ${#tests[@]} programs in ${dir#"$top/"}, see its README.md"
