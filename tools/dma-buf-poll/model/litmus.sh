#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# litmus.sh [TEST]...: the memory ordering, with herd7 and the kernel's memory model
#
# Each litmus/TEST.litmus says in its comment what herd7 has to find. "Result: Never"
# is a claim that Documentation/driver-api/dma-buf-poll.rst makes in its table of
# memory ordering. TEST+SOMETHING is its twin, without one of the barriers, for which
# the same outcome has to be "Sometimes": else the barrier, or the test, is good for
# nothing.
#
# herd7 is that of the machine, or Debian sid's in a root of its own in the cache; the
# model is tools/memory-model of the newest kernel source that Debian has, or of KSRC.
# What cannot be had is one test that is skipped. TEST may be a pattern. One "ok" or
# "not ok" line each; ends with N passed, N failed, N skipped.
#
# make litmus and test.sh call it.

. "${BASH_SOURCE%/*}/../lib.sh"

dir=$tools/model/litmus
doc=$top/Documentation/driver-api/dma-buf-poll.rst
out=$top/build/litmus
mkdir -p "$out"

# A test stands before its twins.
mapfile -t all < <(cd "$dir" && printf '%s\n' ./*.litmus | sed 's|^\./||; s/\.litmus$//' | LC_ALL=C sort)
tests=()
for pattern; do
	before=${#tests[@]}
	for test in "${all[@]}"; do
		# shellcheck disable=SC2053 # a pattern
		[[ $test != $pattern ]] || tests+=("$test")
	done
	[ ${#tests[@]} != "$before" ] ||
		die "no litmus test $pattern: there are $(printf '%s\n' "${all[@]}" | grep -v + | paste -sd' ')"
done
[ $# -gt 0 ] || tests=("${all[@]}")

# What a test says that herd7 finds, as the scripts of tools/memory-model read it
result='^[( ][*] Result: *'
result_of() { sed -n "s/$result//p" "$dir/$1.litmus"; }

# What is wrong with the twins
twins() {
	(cd "$dir" && awk -v result="$result" '
	FNR == 1 { name = FILENAME; sub(/[.]litmus$/, "", name); names[++n] = name; at_end = 0 }
	$0 ~ result { sub(result, ""); says[name] = says[name] $0 }
	/^exists/ { at_end = 1 }
	at_end { $1 = $1; outcome[name] = outcome[name] " " $0 }
	END {
		for (i = 1; i <= n; i++) {
			test = twin = names[i]
			if (!sub(/[+].*/, "", test)) continue
			with[test]++
			if (!(test in outcome)) print twin " is the twin of no test"
			else if (outcome[twin] != outcome[test]) print twin " asks for another outcome than " test
			else if (says[twin] == "Never") print twin " is Never: what it leaves out is not needed"
		}
		for (i = 1; i <= n; i++) {
			test = names[i]
			if (test ~ /[+]/) continue
			if (says[test] != "Never") print test " is not Never, and is no twin"
			if (!with[test]) print test " has no twin without a barrier"
		}
	}' "${all[@]/%/.litmus}")
}

# The last column of the table names the tests of each row.
# shellcheck disable=SC2016 # these are quotes of the document
named() {
	awk '
	/^\.\. ordering-table-begin/ { on = 1 }
	/^\.\. ordering-table-end/ { on = 0 }
	on && /^   \* - / { col = 1; rows++ }
	on && /^     - / { col++ }
	on && col == 4 && rows > 1' "$doc" | grep -oE '``[^`]+``' | tr -d '`'
}

rows() {
	awk '
	function end() { if (rows > 1 && !tests) print "no test in the row of " what }
	/^\.\. ordering-table-begin/ { on = 1 }
	on && /^\.\. ordering-table-end/ { end(); on = 0 }
	on && /^   \* - / { end(); col = 1; tests = 0; rows++; what = substr($0, 8) }
	on && /^     - / { col++ }
	on && col == 4 && /``/ { tests++ }
	END { if (rows < 2) print "no table between ordering-table-begin and -end" }' "$doc"
	LC_ALL=C diff <(named | LC_ALL=C sort) <(printf '%s\n' "${all[@]}" | grep -v + | LC_ALL=C sort) |
		sed -n 's/^< \(.*\)/the table names \1, once too often/p; s/^> \(.*\)/no row names \1/p' || :
}

# silent WHAT COMMAND: ok if it says nothing
silent() {
	local said

	said=$("$2")
	if [ -z "$said" ]; then
		ok "$1"
	else
		not_ok "$1" 40 <<<"$said"
	fi
}
silent "each litmus test has its twins, which ask for the same outcome" twins
silent "each row of the table in ${doc##*/} names its tests" rows

# cannot REASON: herd7 or the model is not to be had, and no fault of the tests
cannot() {
	skip "${#tests[@]} litmus tests" "$1"
	verdict
	exit
}

# The model, in $model. Those of older kernels are written in another dialect.
model=$cache/memory-model
dialect='^variant lkmmv[2-9]'

from_mainline() {
	local part=$model.part deb name package

	# In here nothing stops at an error by itself.
	"$tools/tree/fetch.sh" mainline 2>&1 >"$out/deb" | tee "$out/fetch.log" | { grep -v '^error: ' || :; } >&2
	if [ "${PIPESTATUS[0]}" != 0 ]; then
		why="no kernel source to take the memory model from: $(sed -n 's/^error: //p' "$out/fetch.log")"
		return 1
	fi
	deb=$(cat "$out/deb")
	name=${deb##*/}
	package=${name%%_*}
	say "  unpacking tools/memory-model of ${name%_all.deb}"
	rm -rf "$part"
	mkdir -p "$part"
	dpkg-deb --fsys-tarfile "$deb" | tar -xOf - "./usr/src/$package.tar.xz" |
		tar -xJf - -C "$part" --strip-components=3 "$package/tools/memory-model" ||
		{ rm -f "$deb"; die "${deb##*/} is broken: removed it, try again"; }
	printf '%s\n' "${name%_all.deb}" >"$part/.version"
	rm -rf "$model"
	mv "$part" "$model"
}

if [ -n "${KSRC:-}" ] && grep -qE "$dialect" "$KSRC/tools/memory-model/linux-kernel.cfg" 2>/dev/null; then
	model=$(cd "$KSRC" && pwd)/tools/memory-model
	version="KSRC $KSRC"
else
	rm -f "$out/why"
	(
		lock memory-model "$cache"
		if [ ! -f "$model/.version" ] || [ "${REFRESH:-0}" = 1 ]; then
			from_mainline || { printf '%s\n' "$why" >"$out/why"; exit 1; }
		fi
	) || { [ ! -s "$out/why" ] || cannot "$(cat "$out/why")"; exit 1; }
	version=$(cat "$model/.version")
fi

# herd7, in $herd, and not older than the model wants it
oldest=$(sed -nE 's/^Version ([0-9.]+) or higher of the "herd7".*/\1/p' "$model/README")
oldest=${oldest:-7.58}
version_of() { "$@" -version 2>/dev/null | sed -nE '1s/^([0-9][0-9.]*).*/\1/p'; }
good() { [ -n "$1" ] && printf '%s\n' "$oldest" "$1" | sort -V -C; }

herd=(herd7)
found=$(version_of herd7 || :)
if ! good "$found"; then
	lacks="no herd7 here"
	[ -z "$found" ] || lacks="herd7 $found is older than $oldest"
	root=$cache/herd-sid
	suite_root sid herd-sid "$root" 1 herdtools7 || cannot "$lacks; ${why:-sid has none}"
	loader=$(printf '%s\n' "$root"/usr/lib*/ld-linux*.so.[0-9] | sed -n 1p)
	libc=$(find "$root/usr/lib" -name libc.so.6 | sed -n 1p)
	herd=("$loader" --library-path "${libc%/*}" "$root/usr/bin/herd7" -set-libdir "$root/usr/share/herdtools7/herd")
	found=$(version_of "${herd[@]}" || :)
	[ -n "$found" ] || die "herd7 of sid does not run: ${herd[*]}"
	good "$found" || cannot "$lacks, and that of sid is $found"
fi
echo "# herd7 $found, tools/memory-model of $version"

# judge TEST: one line
judge() {
	local test=$1 log=$out/$1.log status=0 wanted first outcome flags race=

	wanted=$(result_of "$test")
	if ! [[ $wanted =~ ^(Never|Sometimes|Always)( DATARACE)?$ ]]; then
		not_ok "$test: its comment does not say 'Result:' and Never or Sometimes, once" <<<"$wanted"
		return
	fi
	read -r first <"$dir/$test.litmus" || first=
	if [ "$first" != "C $test" ]; then
		not_ok "$test: another name stands in its first line" <<<"$first"
		return
	fi
	(cd "$model" && exec timeout "${TEST_TIMEOUT:-300}" "${herd[@]}" -conf linux-kernel.cfg "$dir/$test.litmus") \
		>"$log" 2>&1 </dev/null || status=$?
	read -r outcome < <(sed -n "s/^Observation $test //p" "$log") || outcome=
	flags=$(sed -n 's/^Flag //p' "$log" | paste -sd' ')
	[ "$flags" != data-race ] || race=' DATARACE'
	if [ $status = 124 ]; then
		not_ok "$test: herd7 was not done after ${TEST_TIMEOUT:-300} s" </dev/null
	elif [ $status != 0 ] || [ -z "$outcome" ]; then
		not_ok "$test: no answer from herd7 (status $status)" < <(tail -n 5 "$log")
	elif [ "${outcome#* }" = "0 0" ]; then
		not_ok "$test: nothing can happen at all (see $log)" </dev/null
	elif [ "${outcome%% *}$race" != "$wanted" ] || { [ -n "$flags" ] && [ -z "$race" ]; }; then
		not_ok "$test: $wanted is said, and found: $outcome${flags:+, $flags} (see $log)" \
			< <(grep -E '^(Condition|Flag)' "$log")
	else
		ok "$test: $outcome${flags:+, $flags}"
	fi
}

rm -f "$out"/*.log
for test in "${tests[@]}"; do
	judge "$test"
done
verdict
