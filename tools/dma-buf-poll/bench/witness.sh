#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# witness.sh BASE: how long poll takes by the clock, beside what bench.sh counts
#
# Builds UML kernels of all variants with proof/kunit/st-dma-buf-poll-time.c, runs them
# natively in turns, PASSES times each (10), and prints the smallest time of each
# figure, in nanoseconds, and its ratio to the stock kernel's. A kernel that does not
# get through is an error; a slow machine is not. Called by make, after tree.

. "${BASH_SOURCE%/*}/../lib.sh"

base=${1:?usage: witness.sh BASE}
[ $# = 1 ] || die "witness.sh takes one BASE"
check_base "$base"
[ "$base" != 5.10 ] || die "5.10: UML of this base has no interrupts for an irq_work: nothing to compare"
passes=${PASSES:-10}
case $passes in
*[!0-9]*|0*|'') die "PASSES=$passes: say how many times, 1 or more" ;;
esac
plain_kernels witness
own_arch_only witness
args_end
lock "$base"

out=$top/build/$base
src=$out/src
log=$out/log/witness
rm -rf "$log"
mkdir -p "$log"
need_space "$out" 3
read -ra variants <<<"$(variants "$base")"

# with_suite COMMIT: a commit on top of it, with the suite built in
with_suite() {
	local index=$out/witness.index dir=drivers/dma-buf

	rm -f "$index"
	(
		cd "$src"
		export GIT_INDEX_FILE=$index
		git read-tree "$1"
		git update-index --add --cacheinfo "100644,$(git hash-object -w \
			"$tools/proof/kunit/st-dma-buf-poll-time.c"),$dir/st-dma-buf-poll-time.c"
		git update-index --cacheinfo "100644,$({ git show "$1:$dir/Makefile"
			echo "obj-\$(CONFIG_KUNIT) += st-dma-buf-poll-time.o"; } |
			git hash-object -w --stdin),$dir/Makefile"
		"${as_nobody[@]}" git commit-tree "$(git write-tree)" -p "$1" -m "witness"
	)
	rm -f "$index"
}

printf 'CONFIG_KUNIT=y\nCONFIG_SYNC_FILE=y\n' >"$log/kunitconfig"
export CCACHE_DIR=$cache/ccache CCACHE_NOHASHDIR=1 CCACHE_MAXSIZE=8G
export PYTHONDONTWRITEBYTECODE=1
declare -A linux
for variant in "${variants[@]}"; do
	case $variant in
	stock) commit=refs/tags/base ;;
	fixes) commit=refs/dbp/fixes ;;
	*) commit=HEAD ;;
	esac
	tree_at "$base" "witness-$variant" "$(with_suite "$commit")"
	tree=$out/witness-$variant/src
	say "building the $base $variant kernel for UML"
	(cd "$tree" && CCACHE_BASEDIR=$tree nice tools/testing/kunit/kunit.py build \
		--build_dir="$tree/obj" --kunitconfig="$log/kunitconfig" --jobs "$(nproc)" \
		--make_options CC="ccache ${CC:-gcc}") >"$log/$variant.build" 2>&1 </dev/null ||
		die "$base $variant: UML does not build: $(grep -m1 -E 'error: |Error [0-9]' "$log/$variant.build" || tail -n1 "$log/$variant.build") (see $log/$variant.build)"
	linux[$variant]=$tree/obj/linux
done

for ((pass = 1; pass <= passes; pass++)); do
	say "pass $pass of $passes"
	for variant in "${variants[@]}"; do
		timeout 300 "${linux[$variant]}" mem=256M console=tty kunit_shutdown=halt \
			kunit.filter_glob=dma-buf-poll-time >"$log/$variant-$pass.log" 2>&1 </dev/null || :
		grep -q '^ok 1 dma-buf-poll-time' <(sed -E 's/\r$//; s/^\[ *[0-9.]+\] //' "$log/$variant-$pass.log") ||
			die "$base $variant did not get through: $(grep -m1 -E 'not ok|panic|BUG' "$log/$variant-$pass.log" || tail -n1 "$log/$variant-$pass.log") (see $log/$variant-$pass.log)"
	done
done

# The smallest of all passes, and what it is to the stock kernel's
for variant in "${variants[@]}"; do
	sed -nE "s/\r\$//; s/.*# result: (\S+)\t([0-9]+)\tps\$/$variant \1 \2/p" "$log/$variant"-*.log
done | awk -v variants="${variants[*]}" '
	!($1 SUBSEP $2 in best) || $3 < best[$1, $2] { best[$1, $2] = $3 }
	!seen[$2]++ { order[++rows] = $2 }
	END {
		n = split(variants, v, " ")
		printf "%-14s", "ns"
		for (i = 1; i <= n; i++) printf "%12s%s", v[i], (i > 1 ? "   ratio" : "")
		print ""
		for (r = 1; r <= rows; r++) {
			printf "%-14s", order[r]
			for (i = 1; i <= n; i++) {
				printf "%12.1f", best[v[i], order[r]] / 1000
				if (i > 1) printf "%8.3f", best[v[i], order[r]] / best[v[1], order[r]]
			}
			print ""
		}
	}' | tee "$log/table"
