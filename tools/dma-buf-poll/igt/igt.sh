#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# igt.sh BASE VARIANT [SUBTEST]...: run igt/tests/dmabuf_poll in a guest
#
# Builds it against the libigt.so.0 of Debian's intel-gpu-tools, with the
# declarations of igt/compat, or in a copy of the IGT tree IGT_SRC. Each subtest
# is a process and a line of its own; should one of them take the kernel with it
# the rest goes on in another guest. SUBTEST may be a pattern; without one all
# are run that the variant promises on this base, all of them on the stock kernel; what
# they said is left in build/BASE/log/igt-VARIANT.tsv, for make readme.
# Ends with N passed, N failed, N skipped.
#
# Takes the kernel and what kselftest.sh built; make igt calls it.

. "${BASH_SOURCE%/*}/../lib.sh"

args_variant "igt.sh BASE VARIANT [SUBTEST]..." "$@"
shift 2
check_repeat
own_arch_only igt
args_end

out=$top/build/$base
log=$out/log/igt-$name
test=dmabuf_poll

library=
if [ -z "${IGT_SRC:-}" ]; then
	library=$(ldconfig -p 2>/dev/null | awk '$1 == "libigt.so.0" && !n++ { print $NF }')
	if [ -z "$library" ]; then
		skip IGT "no libigt.so.0 here: apt-get install intel-gpu-tools, or give IGT_SRC="
		verdict
		exit
	fi
elif [ ! -f "$IGT_SRC/meson.build" ] || [ ! -f "$IGT_SRC/tests/meson.build" ]; then
	die "IGT_SRC=$IGT_SRC is no tree of igt-gpu-tools"
fi

mkdir -p "$out/log"

# In the tree of IGT, or rather a copy of it, with our patch to its meson.build
build_in_tree() {
	local tree=$top/build/igt-tree patch

	for tool in meson ninja; do
		command -v "$tool" >/dev/null || die "no $tool here: apt-get install meson, and what IGT's README.md asks for"
	done
	rm -rf "$tree.part"
	mkdir -p "$tree.part"
	tar -C "$IGT_SRC" --exclude=./.git --exclude=./build -cf - . | tar -C "$tree.part" -xf - ||
		die "could not copy $IGT_SRC"
	cp "$top/igt/tests/$test.c" "$tree.part/tests/"
	for patch in "$top"/igt/patches/*.patch; do
		if ! grep -q "'$test'" "$tree.part/tests/meson.build" &&
		   ! patch -s -d "$tree.part" -p1 -F2 -f <"$patch" >"$log.build" 2>&1; then
			die "igt/patches/${patch##*/} does not apply to $IGT_SRC: $(grep -m1 -i fail "$log.build" || tail -n1 "$log.build")"
		fi
	done
	rm -rf "$tree"
	mv "$tree.part" "$tree"
	say "building IGT's $test in a copy of $IGT_SRC"
	meson setup -Dtests=enabled -Dman=disabled -Ddocs=disabled -Drunner=disabled -Doverlay=disabled \
		"$tree/build" "$tree" >"$log.build" 2>&1 ||
		die "meson does not take $IGT_SRC: $(grep -m1 ERROR "$log.build" || tail -n1 "$log.build") (see $log.build)"
	nice ninja -C "$tree/build" "tests/$test" >>"$log.build" 2>&1 ||
		die "$test does not build in $IGT_SRC: $(grep -m1 -E 'error:' "$log.build" || tail -n1 "$log.build") (see $log.build)"
	binary=$tree/build/tests/$test
}

# On its own. The headers of DRM are those of the kernel that is tested, and may
# want others of it that this machine's do not have yet.
build_with_library() {
	binary=$out/igt/$test
	mkdir -p "$out/igt"
	gcc -std=gnu11 -O2 -g -Wall -Wextra -Werror -Wno-clobbered -Wno-sign-compare -Wno-unused-parameter \
		-Wdeclaration-after-statement -D_GNU_SOURCE -I "$top/igt/compat" \
		-I "$out/kselftest-obj/usr/include/drm" \
		-idirafter "$out/kselftest-obj/usr/include" \
		-o "$binary" "$top/igt/tests/$test.c" "$library" -pthread >"$log.build" 2>&1 ||
		die "igt/tests/$test.c does not build: $(grep -m1 -E 'error' "$log.build") (see $log.build)"
}

if [ -n "${IGT_SRC:-}" ]; then
	build_in_tree
else
	build_with_library
fi

mapfile -t known < <("$binary" --list-subtests)
[ ${#known[@]} -gt 0 ] || die "$binary has no subtests"

wanted=()
if [ $# = 0 ]; then
	mapfile -t wanted < <("$tools/test/report.py" --promised "$base" "$variant" "${known[@]/#/igt:}" |
		sed 's/^igt://')
	[ ${#wanted[@]} -gt 0 ] || die "$base $variant promises none of the subtests"
fi
for pattern; do
	found=0
	for subtest in "${known[@]}"; do
		# shellcheck disable=SC2053 # a pattern it is
		if [[ $subtest == $pattern ]]; then
			wanted+=("$subtest")
			found=1
		fi
	done
	# IGT says itself what it thinks of a name it does not know.
	if [ $found = 0 ]; then
		"$binary" --run-subtest "$pattern" >/dev/null || exit
		die "there is no subtest $pattern in $test"
	fi
done

# Everything it needs, at the place where its own loader looks for it.
root=$out/igt/root-$name
rm -rf "$root"
mkdir -p "$root/igt"
cp "$binary" "$root/igt/$test"
ldd "$binary" | awk '$2 == "=>" && $3 ~ /^\// { print $3 } $1 ~ /^\// { print $1 }' |
while read -r file; do
	case $file in
	# IGT's own library, from the tree: the guest has a /tmp of its own.
	"$top"/*) to=/igt/lib/${file##*/} ;;
	*) to=$file ;;
	esac
	mkdir -p "$root${to%/*}"
	cp -L "$file" "$root$to"
done

virgl=()
if have_virgl; then
	virgl=(--virgl)
fi

# judge SUBTEST STATUS WHY
judge() {
	local state why=$3

	case $2 in
	0) state=ok why='' ; ok "$1" ;;
	77) state=skip why=${3:-it does not say why}; skip "$1" "$why" ;;
	*) state='not ok' why=${3:-ended with status $2}; not_ok "$1: $why" </dev/null ;;
	esac
	printf '%s\t%s\t%s\n' "$1" "$state" "$why" >>"$log.tsv.new"
}

# A guest that runs the subtests in $wanted, and takes from there what it ran
run_guest() {
	local line running='' why='' status=0 expect=0

	# A loaded host lets the guest find the wrong frequency for its TSC, and then
	# its seconds are a fraction of one: the tests give up on what is in time.
	: >"$log.said"
	while IFS= read -r line; do
		printf '%s\n' "$line" >>"$log.said"
		case $line in
		'igt-run: '*)
			running=${line#igt-run: } why='' expect=0
			;;
		'igt-said: Test requirement: '*|'igt-said: '*'Failed assertion: '*)
			# the condition; the next line, if it is no errno, is the reason
			why=${line##*assertion: } why=${why##*requirement: } expect=1
			;;
		'igt-said: '*)
			line=${line#igt-said: }
			line=${line#*igt_core-INFO: } line=${line#*CRITICAL: }
			case $expect$line in
			1*'Last errno'*) ;;
			1Stack*|1Subtest*|1) expect=0 ;;
			1*) why=$line expect=0 ;;
			esac
			;;
		'igt-end: 137')
			judge "$running" 137 "killed after ${SUBTEST_TIMEOUT:-120} s"
			running=''
			;;
		'igt-end: '*)
			judge "$running" "${line#igt-end: }" "$why"
			running=''
			;;
		'guest-status: '*)
			status=${line#guest-status: }
			;;
		esac
		# what has begun is not run again
		if [ "$REPEAT" = 1 ] && [ "${line#igt-run: }" = "${wanted[0]-}" ]; then
			wanted=("${wanted[@]:1}")
		fi
	done < <(set +e
		 "$vm" "${virgl[@]}" --kernel "$(variant_image "$base" "$variant")" \
			--out "$log" --boot-timeout 120 --smp "${SMP:-2}" \
			--timeout "${TIMEOUT:-$((REPEAT * 900))}" \
			--append "rcupdate.rcu_cpu_stall_timeout=120 ${APPEND-}" \
			--file "$root:." --job "$tools/igt/igt-job.sh" --set TEST="$test" \
			--set SUBTESTS="${wanted[*]}" --set REPEAT="$REPEAT" \
			--set SUBTEST_TIMEOUT="${SUBTEST_TIMEOUT:-120}" 2>"$log.error"
		 echo "guest-status: $?")

	case $status in
	0|1) ;;
	3|4)
		why=$(sed -n 's/^error: //p' "$log.error" | tail -n1)
		judge "${running:-the guest}" 1 "$why"
		[ -n "$running" ] || wanted=()
		return
		;;
	*)
		judge "the guest" 1 "$(sed -n 's/^error: //p' "$log.error" | tail -n1)"
		;;
	esac
	wanted=()
}

rm -f "$log.tsv.new"
say "running ${#wanted[@]} subtests of IGT's $test on $base $name${virgl[0]:+, with virgl}"
guests=0
while [ ${#wanted[@]} -gt 0 ] && [ $guests -lt 8 ]; do
	guests=$((guests + 1))
	run_guest
done
for subtest in "${wanted[@]}"; do
	judge "$subtest" 1 "not reached: $guests guests died before it"
done
if [ $# = 0 ] && [ "$REPEAT" = 1 ]; then
	mv "$log.tsv.new" "$log.tsv"
fi
verdict && [ "$passed" -gt 0 ]
