#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# check.sh BASE [ARCH]...: static checks on what the series adds, and on the harness
#
# gcc and sparse look at the objects of the guest's kernel. clang has an object
# tree of its own, build/BASE/check-clang, in which nothing but these objects is
# compiled, and which also has the drivers that the series touches; what is for
# ARM only is in build/BASE/check-clang-arm. ARCH are those it has to compile for, arm64
# by itself, or all: see arches.sh. One "ok" or "not ok" line each; ends
# with N passed, N failed, N skipped.
#
# Takes a configured object tree of rework; make check and test.sh call it.

. "${BASH_SOURCE%/*}/../lib.sh"

base=${1:?usage: check.sh BASE [ARCH]...}
shift
check_base "$base"
plain_kernels check
own_arch_only check
[ $# -gt 0 ] || set -- arm64
ARGS_ONLY=1 "$tools/check/arches.sh" "$base" "$@"
args_end
need_tree "$base"
lock "$base"
out=$top/build/$base
src=$(variant_src "$base" rework)
obj=$(variant_obj "$base" rework)
clang_obj=$out/check-clang
log=$out/log/check
mkdir -p "$log"
kernel_path
export CCACHE_DIR=$cache/ccache CCACHE_BASEDIR=$src CCACHE_NOHASHDIR=1 PYTHONDONTWRITEBYTECODE=1

# The oldest clang that this kernel wants may be newer than Debian's own.
version_of() { "$1" --version 2>/dev/null | sed -nE '1s/.*version ([0-9]+)\..*/\1/p'; }
oldest=$(cd "$src" && scripts/min-tool-version.sh llvm 2>/dev/null | cut -d. -f1) || oldest=
suffix=''
if [ "$(version_of clang)" -lt "${oldest:-10}" ]; then
	"$tools/deps.sh" clang
	suffix=-19
fi

versions() {
	gcc --version | sed -n 1p
	"clang$suffix" --version | sed -n 1p
	printf 'sparse %s\n' "$(sparse --version 2>/dev/null)"
	spatch --version | sed -n 1p
	if command -v smatch >/dev/null; then
		printf 'smatch %s\n' "$(smatch --version 2>&1 | sed -n 1p)"
	else
		echo 'smatch: not in Debian, and not here'
	fi
	perl -e 'printf "perl %vd, for the checkpatch.pl of the tree\n", $^V'
	python3 --version
	shellcheck --version | sed -n 's/^version:/shellcheck/p'
	printf 'codespell %s\n' "$(codespell --version)"
	pyflakes3 --version | sed 's/^/pyflakes /'
	pylint --version | sed -n 1p
}
versions | sed 's/^/# /'

mapfile -t own < <(git -C "$src" diff --name-only --diff-filter=A base)
mapfile -t touched < <(git -C "$src" diff --name-only --diff-filter=M base)
mapfile -t own_c < <(printf '%s\n' "${own[@]}" | grep '^drivers/.*\.c$')
mapfile -t touched_c < <(printf '%s\n' "${touched[@]}" | grep '^drivers/.*\.c$')

checkpatch() {
	local commit status=0

	for commit in $(git -C "$src" rev-list --reverse base..series); do
		# The sign-off is the sender's. The entry in MAINTAINERS covers the
		# new files. The composed tree has no history to look commits up in.
		git -C "$src" format-patch -1 --stdout "$commit" |
			(cd "$src" && scripts/checkpatch.pl --strict --quiet --no-signoff \
				--show-types --ignore FILE_PATH_CHANGES,UNKNOWN_COMMIT_ID -) || status=1
	done
	return $status
}
check -q "checkpatch --strict on every patch" checkpatch

kmake() { kmake_in "$src" "$obj" "$@"; }
kmake_in() { nice make -s -C "$1" O="$2" CC="ccache gcc" "${@:3}"; }
kmake_clang() { nice make -s -C "$src" O="$clang_obj" LLVM="${suffix:-1}" LLVM_IAS=1 "$@"; }
kmake_clang_arm() {
	nice make -s -C "$src" O="$clang_obj-arm" ARCH=arm LLVM="${suffix:-1}" LLVM_IAS=1 "$@"
}

# clang_dir FILE: the object tree of clang that has it
clang_dir() {
	case $1 in
	drivers/gpu/host1x/*) echo "$clang_obj-arm" ;;
	*) echo "$clang_obj" ;;
	esac
}

# What a compiler has to say, without the rest. That it failed is said as well.
spoken() {
	local said status=0

	said=$("$@" 2>&1) || status=$?
	grep -E '(warning|error):|\*\*\*' <<<"$said" || [ $status = 0 ] || tail -n 5 <<<"$said"
	[ $status = 0 ]
}

# What the base says of files that the series does not touch is not ours to mend,
# such as W=1 of 6.1 about dma-heap.c. An error is, wherever it is.
our_paths=$(git -C "$src" diff --name-only base series | sed 's/[.]/[.]/g' | paste -sd'|')
of_ours() { awk -v ours="(^|/)($our_paths):" '!/warning:/ || $0 ~ ours'; }

# What is not compiled anew says nothing.
fresh() {
	local dir=$1 file

	shift
	for file; do
		rm -f "$dir/${file%.c}.o"
	done
}

gcc_says() {
	fresh "$obj" "${own_c[@]}" "${touched_c[@]}"
	spoken compile_ours kmake "${own_c[@]/%.c/.o}" | of_ours
	# All of what we add has to have been seen.
	for file in "${own_c[@]}"; do
		[ -f "$obj/${file%.c}.o" ] || echo "$file has not been compiled"
	done
}
check -q "W=1 with gcc says nothing" gcc_says

# Options of the drivers that the series touches and the guest does without
clang_tree() {
	mkdir -p "$clang_obj"
	cmp -s "$obj/.config" "$clang_obj/config.from" && [ -f "$clang_obj/.config" ] && return
	{
		cat "$obj/.config"
		printf 'CONFIG_%s\n' DRM_VMWGFX=m USB_SUPPORT=y USB_GADGET=m CONFIGFS_FS=m \
			USB_CONFIGFS=m USB_CONFIGFS_F_FS=y
	} >"$clang_obj/.config"
	kmake_clang olddefconfig || return
	cp "$obj/.config" "$clang_obj/config.from"
}

# The same for those of another machine, with as little else as there can be
clang_arm_tree() {
	mkdir -p "$clang_obj-arm"
	[ ! -f "$clang_obj-arm/.config" ] || return 0
	kmake_clang_arm tinyconfig || return
	printf 'CONFIG_%s\n' EXPERT=y COMPILE_TEST=y MODULES=y PRINTK=y SMP=y DEBUG_FS=y MMU=y \
		ARCH_MULTIPLATFORM=y ARCH_MULTI_V7=y TEGRA_HOST1X=m >>"$clang_obj-arm/.config"
	kmake_clang_arm olddefconfig
}

objects=() arm_objects=()
for file in "${touched_c[@]}"; do
	case $file in
	drivers/dma-buf/*) ;;
	drivers/gpu/host1x/*) arm_objects+=("${file%.c}.o") ;;
	*) objects+=("${file%.c}.o") ;;
	esac
done
clang_says() {
	clang_tree >"$log/clang-config" 2>&1 || { tail -n 5 "$log/clang-config"; return 1; }
	fresh "$clang_obj" "${own_c[@]}" "${touched_c[@]}"
	spoken compile_ours kmake_clang "${own_c[@]/%.c/.o}" "${objects[@]}" | of_ours
	if [ ${#arm_objects[@]} -gt 0 ]; then
		clang_arm_tree >"$log/clang-arm-config" 2>&1 || { tail -n 5 "$log/clang-arm-config"; return 1; }
		fresh "$clang_obj-arm" "${touched_c[@]}"
		spoken kmake_clang_arm W=1 "${arm_objects[@]}" | of_ours
	fi
	for file in "${own_c[@]}" "${touched_c[@]}"; do
		[ -f "$(clang_dir "$file")/${file%.c}.o" ] || echo "$file has not been compiled"
	done
}
check -q "W=1 with clang says nothing" clang_says

# sparse_said SRC OBJ: all it has to say, without line numbers
sparse_said() {
	spoken kmake_in "$1" "$2" C=2 CHECK="sparse -Wcontext" drivers/dma-buf/ |
		sed -E 's/:[0-9]+:[0-9]+:/:/g' | sort -u
}

sparse_says() {
	sparse_said "$src" "$obj" >"$log/sparse.rework"
	[ -s "$log/sparse.rework" ] || return 0
	# Something: see what the stock tree has to say.
	"$tools/kernel/kernel.sh" "$base" stock --config || return
	sparse_said "$(variant_src "$base" stock)" "$(variant_obj "$base" stock)" >"$log/sparse.stock" || :
	LC_ALL=C comm -23 <(LC_ALL=C sort "$log/sparse.rework") <(LC_ALL=C sort "$log/sparse.stock")
}
check -q "sparse says nothing that it does not say of the stock kernel" sparse_says

series_lines "$src" >"$log/lines"

# Of what is said as FILE:LINE:..., that which is about such a line
# shellcheck disable=SC2317 # the checks call it
ours() {
	sed -E "s,^(\./|$src/|\.\./src/),," | sort -u | awk -F: '
		NR == FNR { ours[$0] = 1; next }
		($1 ":" $2) in ours' "$log/lines" -
}

if command -v smatch >/dev/null; then
	smatch_says() {
		spoken kmake C=2 CHECK="smatch -p=kernel" drivers/dma-buf/ | ours
	}
	check -q "smatch says nothing of what is ours" smatch_says
fi

# doc_said DIR: what kernel-doc has to say of $file there, without line numbers
# shellcheck disable=SC2154 # those of kernel_doc
doc_said() {
	(cd "$1" && "$src/$tool" "${options[@]}" "$file" 2>&1) | grep -i warning |
		sed -E 's/([.][ch]):[0-9]+/\1/' | sort
}

kernel_doc() {
	local files=() tool=scripts/kernel-doc old=$log/base options=(-none) option file

	[ -e "$src/$tool" ] || tool=tools/docs/kernel-doc
	# -Wall is not known to the one of 6.1 and before
	for option in -Wall -Werror; do
		! (cd "$src" && "$tool" -help 2>&1 || :) | grep -- "$option" >/dev/null || options+=("$option")
	done
	mapfile -t files < <(printf '%s\n' "${own[@]}" | grep -E '^(drivers|include)/.*\.[ch]$')
	if [ ${#files[@]} -gt 0 ]; then
		(cd "$src" && "$tool" "${options[@]}" "${files[@]}" 2>&1) |
			grep -iE 'warning|error' || [ "${PIPESTATUS[0]}" = 0 ]
	fi
	# Of a file of the kernel, what it did not say before.
	for file in "${touched[@]}"; do
		case $file in drivers/dma-buf/*.c|include/*.h) ;; *) continue ;; esac
		mkdir -p "$old/${file%/*}"
		git -C "$src" show "base:$file" >"$old/$file"
		diff <(doc_said "$old") <(doc_said "$src") | grep '^>' || :
	done
}
check -q "kernel-doc -Werror says nothing" kernel_doc

coccicheck() {
	local status=0

	# Relative it would be a directory of the object tree.
	kmake coccicheck MODE=report M="$src/drivers/dma-buf" >"$log/coccicheck" 2>&1 </dev/null || status=$?
	if [ $status != 0 ] || grep -q '^coccicheck failed' "$log/coccicheck"; then
		tail -n 5 "$log/coccicheck"
		return 1
	fi
	{ grep -E '^[^ ]+\.[ch]:[0-9]+' "$log/coccicheck" || :; } | sed -E 's/^([^:]+:[0-9]+)[-:0-9]*/\1:/' | ours
}
check -q "coccicheck finds nothing in what is ours" coccicheck

analyzer() {
	local file command dir

	for file in "${own_c[@]}" "${touched_c[@]}"; do
		dir=$(clang_dir "$file")
		command=$(sed -nE '1s/^(saved)?cmd_[^ ]* := //p' "$dir/${file%/*}/.$(basename "${file%.c}").o.cmd")
		[ -n "$command" ] || { echo "$file has not been compiled"; continue; }
		# The command of the build, but for what it makes.
		command=$(sed -E 's/ -c -o [^ ]+/ /; s/;.*//; s/-Wp,-MMD,[^ ]*//' <<<"$command")
		(cd "$dir" && nice bash -c "$command --analyze -Xclang -analyzer-output=text -o /dev/null \
			-Xclang -analyzer-disable-checker=security.insecureAPI") 2>&1 |
			grep -E ': (warning|error):' || [ "${PIPESTATUS[0]}" = 0 ] || echo "$file cannot be analyzed"
	done >"$log/analyzer"
	grep 'cannot be\|has not been' "$log/analyzer" || :
	ours <"$log/analyzer"
}
check -q "the clang analyzer finds nothing in what is ours" analyzer

spelling() {
	# The last one stands in a comment of 6.1, next to a hunk of ours.
	local ours=inout,damon,pevents,renderd,bu,acces

	(cd "$src" && codespell -q 3 -L "$ours" "${own[@]}")
	(cd "$top" && git ls-files -z -- README.md Makefile Kconfig MAINTAINERS tools patches Documentation |
		xargs -0 codespell -q 3 -L "$ours")
}
check -q "codespell says nothing" spelling

# What a script is, its first line tells: find them all, wherever they stand.
scripts() {
	(cd "$top" && git ls-files -z --cached --others --exclude-standard | xargs -0 grep -lIE -m1 "^#!.*\\b($1)\\b" | sort)
}

shell_scripts() {
	local list

	mapfile -t list < <(scripts 'bash|sh')
	cd "$top"
	shellcheck -x "${list[@]}" "$tools"/lib.sh "$tools"/self/*-test.sh
}
check -q "shellcheck says nothing" shell_scripts

python_scripts() {
	local list

	mapfile -t list < <(scripts python3; printf '%s\n' "$tools"/{arches,ktap}.py)
	cd "$top"
	for file in "${list[@]}"; do
		python3 -W error::SyntaxWarning -c 'import sys; compile(open(sys.argv[1]).read(), sys.argv[1], "exec")' "$file"
	done
	pyflakes3 "${list[@]}"
	pylint --score=n --persistent=n --disable=all \
		--enable=E,F,W --disable=fixme,unspecified-encoding,unused-argument,too-many-function-args \
		"${list[@]}"
}
check -q "pyflakes and pylint say nothing" python_scripts

if "$tools/check/arches.sh" "$base" "$@" 2>&1 | sed 's/^/  /'; then
	ok "it compiles for $*"
else
	not_ok "it compiles for $*" </dev/null
fi

verdict
