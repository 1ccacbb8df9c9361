#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# shell.sh BASE VARIANT: an interactive guest, the kselftest in it if it is built
#
# Takes the kernel; make shell calls it.

. "${BASH_SOURCE%/*}/../lib.sh"

args_variant "shell.sh BASE VARIANT" "$@"
[ -t 0 ] || die "make shell wants a terminal"
guest_cpus 2
args_end
out=$top/build/$base
say "^A x ends QEMU"
guest_args "$base" "$variant"
files=()
[ ! -d "$out/kselftest$arch_suffix" ] || files=(--file "$out/kselftest$arch_suffix:kselftest")
exec "$vm" --shell "${guest[@]}" \
	--out "$out/log/shell" --smp "$cpus" "${files[@]}"
