# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154
#
# The part of harness-test.sh that is about ARCH=, PAGES= and ARCHES=: sourced there, with
# its $base, $kernel, $tmp, $tools, refuses(), stub(), with_stubs(), m(), ok() and not_ok().
# Nothing is built, and no guest of another architecture runs.

refuses "an unknown ARCH" "unknown ARCH 'sparc': known are x86_64 arm64 arm$" m kernel BASE="$base" ARCH=sparc
refuses "an ARCH that no guest runs on" "only compiled for, by 'make check ARCHES=s390x'" m run BASE="$base" ARCH=s390x
refuses "pages that an architecture has not" "x86_64 has no PAGES=64k: it has 4k$" \
	m kernel BASE="$base" ARCH=x86_64 PAGES=64k
refuses "pages that do not exist" "arm64 has no PAGES=8k: it has 4k 16k 64k" m kernel BASE="$base" ARCH=arm64 PAGES=8k
refuses "more CPUs than a guest of arm has" "SMP=2: a guest of arm has 1" m selftest BASE="$base" ARCH=arm SMP=2
for target in igt clients kunit steps; do
	refuses "$target for another architecture" "$target runs on $own_arch only, .* leave out ARCH=arm64" \
		env ARGS_ONLY=1 make -s -C "$top" -o tree -o kselftest BASE="$base" "$target" ARCH=arm64
done
refuses "an unknown name in ARCHES" "unknown ARCHES 'vax': known are all x86_64 arm64 " \
	m check BASE="$base" ARCHES="arm64 vax"

# A machine without a compiler, without QEMU, without an answer from the archive
mkdir -p "$tmp/nocross"
for tool in awk bash cat cut dirname echo env flock git grep mkdir paste sed sha256sum sort uname xargs; do
	ln -sf "$(type -P "$tool")" "$tmp/nocross/$tool"
done
refuses "no cross compiler for the kernel" \
	"no aarch64-linux-gnu-gcc here, to compile for arm64: apt-get install gcc-aarch64-linux-gnu libc6-dev-arm64-cross$" \
	c env PATH="$tmp/nocross" ARCH=arm64 "$tools/kernel/kernel.sh" "$base" rework
refuses "no cross compiler for the tests" "no arm-linux-gnueabihf-gcc here, .*: apt-get install gcc-arm-linux-gnueabihf" \
	c env PATH="$tmp/nocross" ARCH=arm "$tools/test/kselftest.sh" "$base"
refuses "no QEMU for another architecture" "no QEMU here for arm64, qemu-system-aarch64: apt-get install qemu-system-arm$" \
	env PATH="$tmp/noqemu" "$tools/vm/guest.py" --arch arm64 --out "$tmp/guest" --kernel "$kernel" true
refuses "no busybox for another architecture" "(needs --busybox|no QEMU here)" \
	"$tools/vm/guest.py" --arch arm --out "$tmp/guest" --kernel "$kernel" true
refuses "an unknown architecture of a guest" "--arch: invalid choice: 'sparc'" guest --arch sparc true
stub apt-get 'case "$*" in *update*) echo "E: no route to host"; exit 100 ;; esac; exec /usr/bin/apt-get "$@"'
refuses "no answer from the archive about another architecture" \
	"no busybox-static and liburing-dev for arm64: no answer from the Debian archive: E: no route" \
	with_stubs env XDG_CACHE_HOME="$tmp/cache" ARCH=arm64 bash -c ". '$tools/lib.sh'; need_foreign_root"
rm -rf "${tmp:?}/bin"
stub dpkg-query 'exit 1'
stub id 'echo 1000'
stub sudo 'exit 1'
stub aarch64-linux-gnu-gcc 'exit 1'
stub qemu-system-aarch64 'exit 1'
refuses "missing packages of another architecture" \
	"missing are virtio-gpu-pci: on Debian and Ubuntu apt-get install qemu-system-arm;" \
	with_stubs env ARCH=arm64 "$tools/deps.sh"
rm -rf "${tmp:?}/bin"

# kbuild must not find the ARCH of make, wherever it looks.
# shellcheck disable=SC2016 # the stub expands these
stub env-of-make 'echo "${ARCH-none} ${MAKEFLAGS-}"'
said=$(cd "$tmp" && printf 'include %s\nwhat-kbuild-sees:\n\t@%s\n' "$top/Makefile" "$tmp/bin/env-of-make" >sees.mk &&
	make -s -C "$top" -f "$tmp/sees.mk" what-kbuild-sees ARCH=arm64 2>&1)
rm -rf "${tmp:?}/bin"
if [[ $said = 'none '* && $said != *ARCH=* ]]; then
	ok "kbuild does not see the ARCH of make"
else
	not_ok "kbuild does not see the ARCH of make" <<<"$said"
fi

# Shell and Python read the same table, and name the same files.
names() {
	env "$@" bash -c ". '$tools/lib.sh'; flavour rework; arch_field image; arches qemu | xargs"
	env "$@" PYTHONPATH="$tools" PYTHONDONTWRITEBYTECODE=1 python3 -c \
		'import arches; print("rework" + arches.suffix(), arches.of()["image"], " ".join(arches.GUESTS), sep="\n")'
}
for of in ARCH= "ARCH=$own_arch" ARCH=arm64 "ARCH=arm64 PAGES=16k" ARCH=arm; do
	# shellcheck disable=SC2086 # these are words
	said=$(names $of 2>&1)
	if [ "$(sed 1,3d <<<"$said")" = "$(sed 3q <<<"$said")" ]; then
		ok "shell and Python agree on $of"
	else
		not_ok "shell and Python agree on $of" <<<"$said"
	fi
done
