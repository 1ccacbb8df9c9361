#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# arches.sh BASE ARCH...|all: does it compile, without a word, for other machines?
#
# Nothing but drivers/dma-buf and the drivers that the topics touch, with allmodconfig and
# W=1, by gcc and by sparse. An object tree for each is in build/BASE/check-ARCH; Debian's
# cross compilers are installed if they are missing. One "ok" or "not ok" line each; ends
# with N passed, N failed, N skipped.
#
# Takes build/BASE/src; check.sh and test.sh call it.

. "${BASH_SOURCE%/*}/../lib.sh"

base=${1:?usage: arches.sh BASE ARCH...}
shift
check_base "$base"
names=("$@")
for name; do
	[[ " all $(arches | xargs) " = *" $name "* ]] || die "unknown ARCHES '$name': known are all $(arches | xargs)"
done
[[ " $* " != *' all '* ]] || mapfile -t names < <(arches | grep -vx -- "$own_arch")
plain_kernels check
args_end
need_tree "$base"
lock "$base"
out=$top/build/$base
src=$(variant_src "$base" rework)
log=$out/log/check-arches
mkdir -p "$log"
kernel_path
export CCACHE_DIR=$cache/ccache CCACHE_BASEDIR=$src CCACHE_NOHASHDIR=1

# What a driver wants, by its directory; allmodconfig has it where it can be had.
symbols='
drivers/gpu/drm/vmwgfx	DRM_VMWGFX
drivers/gpu/host1x	TEGRA_HOST1X
drivers/usb/gadget/function	USB_CONFIGFS_F_FS
'
mapfile -t own < <(git -C "$src" diff --name-only --diff-filter=A base -- 'drivers/*.c')
mapfile -t drivers < <(git -C "$src" diff --name-only --diff-filter=M base -- 'drivers/*.c' ':!drivers/dma-buf')
series_lines "$src" >"$log/lines"

kmake() {
	local name=$1

	shift
	nice make -s -C "$src" O="$out/check-$name" ARCH="$(arch_field kbuild "$name")" \
		CROSS_COMPILE="$prefix" CC="ccache ${prefix}gcc" -j"$(nproc)" "$@"
}

# What our lines are told, and any error. Of the rest of the kernel nothing is ours to mend.
of_ours() {
	sed -E "s,^(\./|$src/|\.\./src/),," | grep -E '(warning|error):|\*\*\*' | sort -u | awk -F: '
		NR == FNR { ours[$0] = 1; next }
		!/warning:/ || ($1 ":" $2) in ours' "$log/lines" -
}

configured() {
	local obj=$out/check-$1

	[ ! -f "$obj/prepared" ] || [ "$(cat "$obj/prepared")" != "$2" ] || return 0
	rm -rf "$obj"
	mkdir -p "$obj"
	kmake "$1" allmodconfig || return
	# What makes each object larger, and no test of it: BTF, plugins, and -Werror, which
	# ends at the first one that has something to say.
	printf 'CONFIG_%s\n' WERROR=n DEBUG_INFO_NONE=y GCC_PLUGINS=n DRM_WERROR=n \
		COMPILE_TEST=y DMABUF_POLL_KUNIT_TEST=m DMABUF_POLL_PROOF_KUNIT_TEST=m >>"$obj/.config"
	kmake "$1" olddefconfig && kmake "$1" prepare modules_prepare || return
	printf '%s\n' "$2" >"$obj/prepared"
}

# objects ARCH: what there is to compile for it
objects() {
	local file symbol

	printf '%s\n' drivers/dma-buf/
	for file in "${own[@]}" "${drivers[@]}"; do
		symbol=$(awk -v dir="${file%/*}" '$1 == dir { print $2 }' <<<"$symbols")
		if [ -z "$symbol" ] || grep -q "^CONFIG_$symbol=[ym]" "$out/check-$1/.config"; then
			printf '%s\n' "${file%.c}.o"
		fi
	done
}

# sparse_lacks ARCH: what it does not know of the command line that it would get, or nothing
sparse_lacks() {
	local file=drivers/dma-buf/sync_file.o

	rm -f "$out/check-$1/$file"
	kmake "$1" C=1 "$file" 2>&1 | grep -m1 "^invalid argument" || :
}

# compiles ARCH [WHAT]...: says what there is to be said
compiles() {
	local name=$1 file status=0 list

	mapfile -t list < <(objects "$name")
	(cd "$out/check-$name" && rm -f drivers/dma-buf/*.o "${list[@]:1}")
	kmake "$name" W=1 "${@:2}" "${list[@]}" >"$log/$name.said" 2>&1 || status=$?
	of_ours <"$log/$name.said" || [ $status = 0 ] || tail -n 5 "$log/$name.said"
	for file in "${list[@]:1}"; do
		[ -f "$out/check-$name/$file" ] || echo "$file has not been compiled"
	done
}

for name in "${names[@]}"; do
	prefix=''
	if [ "$name" != "$own_arch" ]; then
		prefix=$(arch_field cross "$name")
		command -v "${prefix}gcc" >/dev/null || "$tools/deps.sh" "cross-$name"
	fi
	key=$(cat "$out/base.id"; git -C "$src" rev-parse HEAD:Makefile; "${prefix}gcc" --version | sed -n 1p)
	if ! configured "$name" "$key" >"$log/$name.config" 2>&1; then
		not_ok "$name: its configuration" < <(tail -n 5 "$log/$name.config")
		continue
	fi
	check -q "$name: W=1 with gcc says nothing of what is ours" compiles "$name"
	# It may be older than an option of that architecture: then it looks at nothing.
	old=$(sparse_lacks "$name")
	if [ -n "$old" ]; then
		skip "$name: sparse" "sparse $(sparse --version): $old"
		continue
	fi
	check -q "$name: sparse says nothing of what is ours" compiles "$name" C=1 CHECK="sparse -Wcontext"
done
verdict
