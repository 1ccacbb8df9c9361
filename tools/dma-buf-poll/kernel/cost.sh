#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# cost.sh BASE VARIANT [OBJ SRC]: what a variant costs, beside time
#
# Prints a line for each: name, tab, value. The object tree has to be built; it is
# the variant's, with its sources, unless it is named.
#
# run.sh, bench.sh and steps.py call it.

. "${BASH_SOURCE%/*}/../lib.sh"

base=${1:?usage: cost.sh BASE VARIANT [OBJ SRC]}
variant=${2:?usage: cost.sh BASE VARIANT [OBJ SRC]}
check_base "$base"
obj=${3:-}
src=${4:-}
if [ -z "$obj" ]; then
	check_variant "$variant" "$base"
	obj=$(variant_obj "$base" "$variant")
	src=$(variant_src "$base" "$variant")
fi
[ -f "$obj/drivers/dma-buf/dma-buf.o" ] || die "$base $variant has not been built: run 'make kernel' first"

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

for name in dma-buf dma-buf-poll dma-resv; do
	[ -f "$obj/drivers/dma-buf/$name.o" ] || continue
	printf 'text.%s.o\t%s\n' "$name" \
		"$("${cross}size" "$obj/drivers/dma-buf/$name.o" | awk 'NR == 2 { print $1 }')"
done

# Compiled as dma-buf.o itself was: its size is that of an array of so many bytes.
command=$(sed -nE 's/^(saved)?cmd_[^ ]* := //p' "$obj/drivers/dma-buf/.dma-buf.o.cmd" |
	sed -E 's/ -c -o .*//; s/ -Wp,-MMD,[^ ]*//')
printf '%s\n' '#include <linux/dma-buf.h>' \
	'char sizeof_dma_buf[sizeof(struct dma_buf)];' >"$tmp/probe.c"
if (cd "$obj" && eval "$command -c -o $tmp/probe.o $tmp/probe.c") >"$tmp/log" 2>&1; then
	"${cross}nm" -S "$tmp/probe.o" | while read -r _ size _ symbol; do
		[ "$symbol" != sizeof_dma_buf ] || printf 'sizeof.dma_buf\t%d\n' "$((16#$size))"
	done
else
	say "warning: the size of struct dma_buf is not known: $(grep -m1 'error' "$tmp/log" || tail -n1 "$tmp/log")"
fi

# What whoever is asked to take it has to read. Tests are no part of the cost, nor is
# what builds them.
git -C "$src" diff --numstat base -- drivers include fs ':!*/st-*' ':!*kunit*' ':!*/tests/*' ':!*/selftests/*' \
	':!drivers/dma-buf/Makefile' ':!drivers/dma-buf/*Kconfig' |
	awk '{ more += $1; less += $2 } END { if (NR) printf "lines\t+%d/-%d\n", more, less }'
