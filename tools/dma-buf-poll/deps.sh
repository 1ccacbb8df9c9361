#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# deps.sh [GROUP]...: install the Debian packages that are missing
#
# The groups: build (the default), check, clang (a newer one than Debian's own),
# docs, bench, clients, coverage, igt, audit.
#
# The Makefile calls it first.

. "${BASH_SOURCE%/*}/lib.sh"

build="bc bison busybox-static ca-certificates ccache cpio dpkg-dev flex gcc git
	kmod libc6-dev libelf-dev libssl-dev liburing-dev make patch perl
	python3 qemu-system-x86 rsync xz-utils"
check="b4 clang clang-tools coccinelle codespell git-email lava-common
	libmailtools-perl lld llvm
	ocaml-findlib ocaml-nox pyflakes3 pylint python3-git python3-ply shellcheck sparse spin"
clang="clang-19 lld-19 llvm-19"
docs="graphviz python3-docutils python3-sphinx python3-yaml"
bench="gnuplot-nox"
clients="golang-go libevent-dev libglib2.0-dev libuv1-dev pkgconf"
coverage="gcovr"
igt="intel-gpu-tools libegl1 libgbm1 libgl1-mesa-dri libvirglrenderer1 qemu-system-gui"
audit="coccinelle"

packages=$build
for group; do
	case $group in
	build) ;;
	check) packages+=" $check" ;;
	clang) packages+=" $clang" ;;
	docs) packages+=" $docs" ;;
	bench) packages+=" $bench" ;;
	clients) packages+=" $clients" ;;
	coverage) packages+=" $coverage" ;;
	igt) packages+=" $igt" ;;
	audit) packages+=" $audit" ;;
	*) die "deps.sh: no group '$group'" ;;
	esac
done

command -v dpkg-query >/dev/null ||
	die "this is not Debian: install what these packages hold: ${packages//[$'\n\t']/ }"

missing=()
for package in $packages; do
	[ "$(dpkg-query -Wf '${db:Status-Status}' "$package" 2>/dev/null || :)" = installed ] ||
		missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" != 0 ]; then
	if ! command -v sudo >/dev/null || ! sudo -n true 2>/dev/null; then
		die "missing packages and neither root nor sudo: apt-get install ${missing[*]}"
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
