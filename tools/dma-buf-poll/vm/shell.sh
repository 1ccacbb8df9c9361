#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# shell.sh BASE VARIANT: an interactive guest, the kselftest in it if it is built
#
# Takes the kernel; make shell calls it.

. "${BASH_SOURCE%/*}/../lib.sh"

args_variant "shell.sh BASE VARIANT" "$@"
[ -t 0 ] || die "make shell wants a terminal"
args_end
out=$top/build/$base
say "^A x ends QEMU"
files=()
[ ! -d "$out/kselftest" ] || files=(--file "$out/kselftest:kselftest")
exec "$vm" --shell --kernel "$(variant_obj "$base" "$variant")/arch/x86/boot/bzImage" \
	--out "$out/log/shell" --smp "${SMP:-2}" "${files[@]}"
