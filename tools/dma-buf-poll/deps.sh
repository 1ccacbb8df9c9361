#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# deps.sh [GROUP]...: install the Debian packages that are missing
#
# The groups: build (the default), check, clang (a newer one than Debian's own),
# docs, bench, clients, compositor, coverage, igt, audit. Where nobody can install any, for want
# of dpkg or of the right to, the group build is content with the commands it calls: see
# the table.
#
# The Makefile calls it first.

. "${BASH_SOURCE%/*}/lib.sh"

build="bc bison busybox-static ca-certificates ccache cpio dpkg-dev flex gcc git
	kmod libc6-dev libelf-dev libssl-dev liburing-dev make patch perl
	python3 qemu-system-x86 rsync xz-utils"
check="b4 clang clang-tools coccinelle codespell git-email lava-common
	libmailtools-perl lld llvm ocaml-findlib ocaml-nox pyflakes3 pylint python3-git python3-ply
	python3-yaml shellcheck sparse spin"
clang="clang-19 lld-19 llvm-19"
docs="graphviz python3-docutils python3-sphinx python3-yaml"
bench="gnuplot-nox"
clients="golang-go libevent-dev libglib2.0-dev libuv1-dev pkgconf"
coverage="gcovr"
virgl="libegl1 libgbm1 libgl1-mesa-dri libvirglrenderer1 qemu-system-gui"
compositor="libvulkan-dev libwayland-bin libwayland-dev wayland-protocols $virgl"
igt="intel-gpu-tools $virgl"
audit="coccinelle"
# Debian 13 does not have it: one test is skipped there.
maybe=lava-common

packages=$build
for group; do
	case $group in
	build) ;;
	check) packages+=" $check" ;;
	clang) packages+=" $clang" ;;
	docs) packages+=" $docs" ;;
	bench) packages+=" $bench" ;;
	clients) packages+=" $clients" ;;
	compositor) packages+=" $compositor" ;;
	coverage) packages+=" $coverage" ;;
	igt) packages+=" $igt" ;;
	audit) packages+=" $audit" ;;
	*) die "deps.sh: no group '$group'" ;;
	esac
done

# What to look for, and its package in Debian and Ubuntu, in Fedora, and in Arch
table='
bc			bc		bc			bc
bison			bison		bison			bison
busybox			busybox-static	busybox			busybox
ccache			ccache		ccache			ccache
cpio			cpio		cpio			cpio
flex			flex		flex			flex
gcc			gcc		gcc			gcc
git			git		git			git
make			make		make			make
modinfo			kmod		kmod			kmod
perl			perl		perl			perl
python3			python3		python3			python
qemu-system-x86_64	qemu-system-x86	qemu-system-x86		qemu-system-x86
virtio-gpu-pci		qemu-system-x86	qemu-device-display-virtio-gpu-pci qemu-hw-display-virtio-gpu-pci
rsync			rsync		rsync			rsync
xz			xz-utils	xz			xz
libc.a			libc6-dev	glibc-static		glibc
libelf.so		libelf-dev	elfutils-libelf-devel	libelf
'

# there WHAT: a command, a library that gcc finds, or a device of QEMU
there() {
	case $1 in
	lib*) [ "$(gcc -print-file-name="$1" 2>/dev/null)" != "$1" ] && command -v gcc ;;
	virtio*) qemu-system-x86_64 -device "$1,help" ;;
	*) PATH=$PATH:/usr/sbin:/sbin command -v "$1" ;;
	esac >/dev/null 2>&1
}

# without_packages WHY: end with what the commands are that are missing, or go on
without_packages() {
	local what debian fedora arch lacks='' ubuntu='' dnf='' pacman=''

	[ "$packages" = "$build" ] || die "$1; what is wanted is what these of Debian's hold: $(xargs <<<"${missing[*]}")"
	while read -r what debian fedora arch; do
		if [ -z "$what" ] || there "$what"; then
			continue
		fi
		lacks+=" $what" ubuntu+=" $debian" dnf+=" $fedora" pacman+=" $arch"
	done <<<"$table"
	[ -n "$lacks" ] || exit 0
	ubuntu=" $(xargs -n1 <<<"$ubuntu" | uniq | xargs)"
	die "$1, and missing are$lacks: on Debian and Ubuntu apt-get install$ubuntu; on Fedora dnf install$dnf; on Arch pacman -S$pacman"
}

missing=("$packages")
if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
	without_packages "no dpkg here"
fi

missing=()
for package in $packages; do
	[ "$package" != "$maybe" ] || [ -n "$(apt-cache madison "$package" 2>/dev/null)" ] || continue
	[ "$(dpkg-query -Wf '${db:Status-Status}' "$package" 2>/dev/null || :)" = installed ] ||
		missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" != 0 ]; then
	if ! command -v sudo >/dev/null || ! sudo -n true 2>/dev/null; then
		without_packages "missing packages and neither root nor sudo"
	fi
	as_root=(sudo)
fi

lock packages
say "installing ${missing[*]}${as_root[0]:+ (through sudo)}"
log=$top/build/packages.log
export DEBIAN_FRONTEND=noninteractive
if ! { "${as_root[@]}" apt-get -q update &&
       "${as_root[@]}" apt-get -qy -o DPkg::Lock::Timeout=600 install --no-install-recommends "${missing[@]}"
     } >"$log" 2>&1 </dev/null; then
	die "apt-get failed: $(grep -m1 -E '^(E|Err)' "$log" || tail -n1 "$log") (see $log)"
fi
