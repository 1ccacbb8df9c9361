#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# kernel.sh BASE VARIANT [--config]: build the guest kernel of a variant
#
# VARIANT is stock, fixes or rework: the base, that with all topics but poll-rework,
# and build/BASE/src as it is. The other two have a tree of their own that is only
# built, build/BASE/VARIANT/src. The objects are in "obj" just below the source;
# DEBUG=1, KCSAN=1, RT=1, NOSMP=1 and GCOV=1 make that obj-debug and so on, ARCH=
# another machine's obj-arm64, and PAGES= obj-arm64-16k: a configuration of their own each,
# see config/. --config as the last word stops when the
# object tree is configured. What the stock kernel was built to is most of the others:
# they begin with a copy of its objects.
#
# Takes build/BASE/src; the Makefile calls it, and whoever has kernels of their own:
# test-debug.sh, coverage.sh, steps.py, mutants.py.

. "${BASH_SOURCE%/*}/../lib.sh"

base=${1:?usage: kernel.sh BASE VARIANT}
variant=${2:?usage: kernel.sh BASE VARIANT}
check_base "$base"
check_variant "$variant" "$base"
name=$(flavour "$variant")
args_end
need_compiler
lock "$base"
variant_tree "$base" "$variant"

out=$top/build/$base
src=$(variant_src "$base" "$variant")
obj=$(variant_obj "$base" "$variant")
stamp=$out/$name.stamp
log=$out/$name.log
image=$(variant_image "$base" "$variant")

# The later ones win.
kind=$(flavour_kind)
fragments=()
for fragment in guest "$arch" "${PAGES:+$arch-$PAGES}" "$base" "$kind" "${kind:+$arch-$kind}"; do
	[ ! -f "$tools/kernel/config/$fragment.config" ] || fragments+=("$tools/kernel/config/$fragment.config")
done

# The stamp is for what make cannot see: edits and commits in the tree, another compiler.
what=$({ cat "$out/base.id"
	git -C "$src" rev-parse HEAD
	git -C "$src" diff HEAD
	cd "$src" && git ls-files -z --others --exclude-standard | xargs -0r sha256sum; } | sha256sum)
cc=${CC:-${cross}gcc}
command -v "${cc%% *}" >/dev/null || die "no $cc here: run 'make deps'"
key=$({ cat "${fragments[@]}"; printf '%s\n' "$what"; $cc --version | sed -n 1p; } | sha256sum)
if [ -f "$stamp" ] && [ -f "$image" ] && [ "$(cat "$stamp")" = "$key" ]; then
	exit 0
fi
rm -f "$stamp"
need_space "$out" 3

like=$(variant_obj "$base" stock)
if [ ! -d "$obj" ] && [ "$obj" != "$like" ] && [ -f "$out/$(flavour stock).stamp" ] && [ -d "$like" ]; then
	rm -rf "$obj.part"
	cp -a --reflink=auto "$like" "$obj.part"
	mv "$obj.part" "$obj"
	# They are newer than what the patches have changed: make must not think so.
	(cd "$src" && git diff -z --name-only --diff-filter=d base | xargs -0r touch -c)
fi
mkdir -p "$obj"

export CCACHE_DIR=$cache/ccache CCACHE_BASEDIR=$src CCACHE_NOHASHDIR=1 CCACHE_MAXSIZE=8G
export KBUILD_BUILD_USER=dma-buf-poll KBUILD_BUILD_HOST=guest KBUILD_BUILD_TIMESTAMP=@0
# Else a commit that has no tag is another release, and everything that says so is new.
export LOCALVERSION=
kmake=(make -C "$src" O="$obj" "${kbuild[@]}" CC="ccache $cc")
# Nothing but the file in question counts its lines. Functions stay functions:
# what is inlined early is counted as often as it is.
[ "${GCOV:-0}" = 0 ] || kmake+=("GCOV_PROFILE_dma-buf-poll.o=y"
	"CFLAGS_GCOV=-fprofile-arcs -ftest-coverage -fno-tree-loop-im -fprofile-update=prefer-atomic -fno-early-inlining")

"${kmake[@]}" tinyconfig >"$log" 2>&1 ||
	die "$base: tinyconfig failed: $(tail -n1 "$log") (see $log)"
(cd "$src" && scripts/kconfig/merge_config.sh -m -O "$obj" "$obj/.config" "${fragments[@]}") >>"$log" 2>&1
"${kmake[@]}" olddefconfig >>"$log" 2>&1 ||
	die "$base: olddefconfig failed: $(tail -n1 "$log") (see $log)"

# What the fragments ask for must be there, else a test would skip unseen. Not
# so for symbols that only some bases have, or only the series adds.
lost=$(cat "${fragments[@]}" | awk -F= -v optional="$(cat "$tools/kernel/config/optional")" '
	BEGIN { n = split(optional, o, /[ \n]+/); for (i = 1; i <= n; i++) skip[o[i]] = 1 }
	/^CONFIG_/ { want[$1] = $2 }
	END { for (s in want) if (!(s in skip) && want[s] ~ /^[ym]$/) print s "=" want[s] }' |
	LC_ALL=C sort | LC_ALL=C comm -23 - <(LC_ALL=C sort "$obj/.config") | paste -sd' ')
[ -z "$lost" ] || die "$base: this kernel does not take $lost"

# For those who compile a few objects of it.
[ "${3-}" != --config ] || exit 0

expected=$(cat "$cache/count-$base-$name" 2>/dev/null || cat "$cache/count-$base-$(flavour stock)" 2>/dev/null || echo 1650)
[ "$variant" = stock ] || [ ! -f "$obj/vmlinux" ] || expected=
say "building the $base $name kernel${expected:+, about $expected files}"
start=$SECONDS
# One line every ten seconds; the rest goes to the log.
progress() {
	local line n=0 last=$SECONDS

	while IFS= read -r line; do
		printf '%s\n' "$line" >>"$log"
		case $line in '  CC'*|'  AS'*|'  LD'*|'  AR'*) n=$((n + 1)) ;; esac
		if [ $((SECONDS - last)) -ge 10 ]; then
			last=$SECONDS
			say "  $base $name: $n${expected:+ of about $expected} files"
		fi
	done
	printf '%s\n' "$n" >"$out/$name.count"
}
nice "${kmake[@]}" -j"$(($(nproc) + 1))" "${image##*/}" modules 2>&1 | progress ||
	die "$base $name: the kernel does not build: $(grep -m1 -E '(error|Error)[: ]' "$log" || tail -n1 "$log") (see $log)"
[ -f "$image" ] || die "$base $name: no ${image##*/} (see $log)"
# What an incremental build compiled says nothing about the next full one.
if [ "$(cat "$out/$name.count")" -gt "$(cat "$cache/count-$base-$name" 2>/dev/null || echo 0)" ]; then
	cp "$out/$name.count" "$cache/count-$base-$name"
fi
printf '%s\n' "$key" >"$stamp.new"
mv "$stamp.new" "$stamp"
say "$base $name: built in $((SECONDS - start)) s"
