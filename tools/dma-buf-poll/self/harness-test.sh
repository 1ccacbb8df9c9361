#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# harness-test.sh BASE: does the harness refuse what it should, in one line?
#
# Uses the rework kernel of BASE for the guests that go wrong on purpose. Ends
# with N passed, N failed, N skipped.
#
# make self and test.sh call it.

. "${BASH_SOURCE%/*}/../lib.sh"

base=${1:?usage: harness-test.sh BASE}
check_base "$base"
plain_kernels harness-test
own_arch_only harness-test
need_tree "$base"
kernel=$(variant_image "$base" rework)
tmp=$(mktemp -d)
# Runs that end early leave no results. Those of a run before are for make readme.
results=$top/build/$base/log
for file in "$results"/selftest-rework.{results,console}; do
	[ ! -f "$file" ] || cp -p "$file" "$tmp/"
done
trap 'for file in "$tmp"/selftest-rework.*; do [ ! -f "$file" ] || cp -p "$file" "$results/"; done; rm -rf "$tmp"' EXIT

need_space "$tmp" 2

# refuses WHAT PATTERN COMMAND...: it fails, with one error line that matches
refuses() {
	local what=$1 pattern=$2 status=0 lines

	shift 2
	"$@" >"$tmp/out" 2>&1 </dev/null || status=$?
	lines=$(grep -c '^error: ' "$tmp/out" || :)
	if [ "$status" != 0 ] && [ "$lines" = 1 ] && grep -qE -- "^error: .*($pattern)" "$tmp/out"; then
		ok "$what"
	else
		not_ok "$what (status $status, $lines error lines, wanted one with '$pattern')" \
			< <(tail -n 10 "$tmp/out")
	fi
}

# said WHAT STATUS WANTED PATTERN...: it ended with the status that was wanted, and
# $tmp/out has something like each of these
said() {
	local pattern

	[ "$2" = "$3" ] || { not_ok "$1 (status $2)" 40 <"$tmp/out"; return; }
	for pattern in "${@:4}"; do
		grep -qE -- "$pattern" "$tmp/out" ||
			{ not_ok "$1 (nothing like '$pattern')" 40 <"$tmp/out"; return; }
	done
	ok "$1"
}

# With a command of the machine replaced: stub NAME 'script'
stub() {
	mkdir -p "$tmp/bin"
	printf '#!/bin/sh\n%s\n' "$2" >"$tmp/bin/$1"
	chmod +x "$tmp/bin/$1"
}
with_stubs() { env PATH="$tmp/bin:$PATH" "$@"; }

m() { make -s -C "$top" "$@"; }

refuses "an unknown BASE" "unknown BASE '7.0'.*6.12 6.1 mainline 5.10" m tree BASE=7.0
refuses "an unknown VARIANT" "$base has no VARIANT 'fast': it has stock .*rework" \
	m kernel BASE="$base" VARIANT=fast
refuses "a variant of before" "no VARIANT 'patched'" m selftest BASE="$base" VARIANT=patched
for target in kernel selftest igt bench clients test-debug; do
	refuses "$target with a variant that the classic rework has not" \
		"5.10 has no VARIANT 'fixes': it has stock rework" m "$target" BASE=5.10 VARIANT=fixes
done
for target in bench clients; do
	refuses "$target of the stock kernel alone" "$target has the stock kernel beside another" \
		m "$target" BASE="$base" VARIANT=stock
done
refuses "a report on a variant that does not exist" "no VARIANT 'fast'" "$tools/test/report.py" "$base" fast
refuses "a flag that is neither on nor off" "DEBUG=yes" m kernel BASE="$base" DEBUG=yes
refuses "DEBUG and KCSAN at once" "exclude each other" m kernel BASE="$base" DEBUG=1 KCSAN=1
refuses "RT and NOSMP at once" "RT=1 and NOSMP=1 exclude each other" m kernel BASE="$base" RT=1 NOSMP=1
refuses "an unknown run of test-debug" "no run 'fast'" m test-debug BASE="$base" RUNS=fast
refuses "test-debug with a flavour of its own" "leave out" m test-debug BASE="$base" KCSAN=1
refuses "coverage on the classic series" "no dma-buf-poll.c there" m coverage BASE=5.10
refuses "an unknown mutant" "no mutant 'nonsense'" "$tools/test/mutants.py" "$base" nonsense
refuses "a flavour for those who have kernels of their own" "leave out RT=1" m clients BASE="$base" RT=1
refuses "a number of CPUs for those who have their own" "leave out SMP=4" m run BASE="$base" SMP=4
refuses "a time-out that is none" "invalid float value: '10m'" env TIMEOUT=10m "$tools/test/selftest.sh" "$base" rework
refuses "a test that does not exist" "no test nonsense" "$tools/test/selftest.sh" "$base" rework nonsense
refuses "a client that does not exist" "no client nonsense: there are .*libuv" m clients BASE="$base" CLIENTS=nonsense
refuses "a number of runs that is none" "REPEAT=x" env REPEAT=x "$tools/test/selftest.sh" "$base" rework
refuses "a full disk" "GiB free" bash -c ". '$tools/lib.sh'; need_space '$tmp' 99999999"

# A checkout of its own, so that nothing here is in the way of a build there.
copy=$tmp/copy
mkdir -p "$copy"
(cd "$top" && git ls-files -z --cached --others --exclude-standard |
	xargs -0 cp --parents -t "$copy" 2>/dev/null) || :
git -C "$copy" init -q
c() { env -u DBP_LOCK_"${base//[^A-Za-z0-9]/_}" "$@"; }

refuses "a KSRC that is no kernel tree" "no kernel tree" \
	c env KSRC="$tmp" "$copy/tools/dma-buf-poll/tree/compose.sh" "$base"
stub apt-get 'case "$*" in *update*) echo "E: no route to host"; exit 100 ;; esac; exec /usr/bin/apt-get "$@"'
refuses "no network and an empty cache" "no answer from the Debian archive: E: no route" \
	with_stubs env XDG_CACHE_HOME="$tmp/cache" "$copy/tools/dma-buf-poll/tree/fetch.sh" "$base"
stub apt-get 'case "$*" in *indextargets*) exec /usr/bin/apt-get "$@" ;; esac; exit 0'
stub apt-cache 'exit 0'
refuses "a package that is gone" "no package linux-source" \
	with_stubs env XDG_CACHE_HOME="$tmp/cache" "$copy/tools/dma-buf-poll/tree/fetch.sh" "$base"
rm -rf "${tmp:?}/bin"

stub dpkg-query 'exit 1'
stub id 'echo 1000'
stub sudo 'exit 1'
refuses "missing packages without the rights to install them" "neither root nor sudo; .* gnuplot-nox" \
	with_stubs "$tools/deps.sh" bench
if with_stubs "$tools/deps.sh" >"$tmp/out" 2>&1 && [ ! -s "$tmp/out" ]; then
	ok "without these rights the commands are enough"
else
	not_ok "without these rights the commands are enough" <"$tmp/out"
fi
stub qemu-system-x86_64 'exit 1'
refuses "a QEMU that lacks a device" "missing are virtio-gpu-pci: .* on Fedora dnf install qemu-device-display" \
	with_stubs "$tools/deps.sh"
rm -rf "${tmp:?}/bin"
mkdir -p "$tmp/nodpkg"
for tool in awk bash dirname echo env uname uniq xargs; do
	ln -sf "$(type -P "$tool")" "$tmp/nodpkg/$tool"
done
refuses "a machine without dpkg and gcc" \
	"no dpkg here, and missing are bc .*gcc.*: on Debian and Ubuntu apt-get install .* on Arch pacman -S bc .*glibc" \
	env PATH="$tmp/nodpkg" "$tools/deps.sh"

refuses "a sender who is nobody" "git config user.name" \
	env GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null \
	"$copy/tools/dma-buf-poll/tree/series.py" "$base"

# The litmus tests, on a herd7 that says what each of them expects, or nothing, and
# on a model that nobody reads.
refuses "a litmus test that does not exist" "no litmus test nonsense: there are .*owed" m litmus TESTS=nonsense
lkmm=$tmp/lkmm-cache/dma-buf-poll/memory-model
mkdir -p "$lkmm"
echo made up >"$lkmm/.version"
echo 'Version 7.58 or higher of the "herd7" and "klitmus7" tools must be' >"$lkmm/README"
# shellcheck disable=SC2016 # it is the stub that expands these
herd7='[ "$1" != -version ] || { echo "7.58, Rev: exported"; exit; }
name=${3##*/}
name=${name%.litmus}
said=$(sed -n "s/^[( ]\* Result: *//p" "$3.is")
case $said in *DATARACE) echo "Flag data-race" ;; esac
echo "Observation $name ${said%% *} 1 1"'
for file in "$copy"/tools/dma-buf-poll/model/litmus/*.litmus; do
	cp "$file" "$file.is"
done
litmus() {
	with_stubs env -u KSRC XDG_CACHE_HOME="$tmp/lkmm-cache" \
		"$copy/tools/dma-buf-poll/model/litmus.sh" "$@" >"$tmp/out" 2>&1 </dev/null
}
# litmus_says WHAT STATUS PATTERN LAST [TEST]...: a line that matches, and the last one
litmus_says() {
	local what=$1 wanted=$2 pattern=$3 last=$4 status=0

	shift 4
	litmus "$@" || status=$?
	# shellcheck disable=SC2053 # a pattern
	if [ $status = "$wanted" ] && grep -qE -- "$pattern" "$tmp/out" && [[ $(tail -n1 "$tmp/out") == $last ]]; then
		ok "$what"
	else
		not_ok "$what (status $status, wanted $wanted, '$pattern' and '$last')" < <(tail -n 10 "$tmp/out")
	fi
}
owed=$copy/tools/dma-buf-poll/model/litmus/owed.litmus
stub herd7 "$herd7"
litmus_says "litmus tests that find what they should" 0 '^ok [0-9]+ - owed: Never 1 1$' '*[0-9] passed, 0 failed, 0 skipped'
sed -i '/Result:/d' "$owed"
litmus_says "a litmus test that does not say its result" 1 '^not ok [0-9]+ - owed: its comment does not say' '* 2 failed, 0 skipped' owed
sed 's/Result: Never/Result: Sometimes/' "$owed.is" >"$owed"
litmus_says "a litmus test that expects what is not so" 1 \
	'^not ok [0-9]+ - owed: Sometimes is said, and found: Never 1 1 ' '* 2 failed, 0 skipped' owed
sed 's/^exists .*/exists (0:r0=0)/' "$owed.is" >"$owed"
litmus_says "a litmus test whose twin asks for something else" 1 'owed[+]no-mb asks for another outcome than owed$' \
	'* 1 failed, 0 skipped' owed
cp "$owed.is" "$owed"
mv "$owed" "${owed%/*}/other.litmus"
litmus_says "a litmus test that has another name" 1 '^not ok [0-9]+ - other: another name stands in its first line$' \
	'* 3 failed, 0 skipped' other
litmus_says "a litmus test that no row of the table names" 1 'no row names other$' '* 3 failed, 0 skipped' other
litmus_says "a litmus test that is gone, and its twins are not" 1 'owed[+]no-mb is the twin of no test$' \
	'* 3 failed, 0 skipped' other
mv "${owed%/*}/other.litmus" "$owed"
stub herd7 "${herd7%echo *}"
litmus_says "a herd7 that says nothing" 1 '^not ok [0-9]+ - owed: no answer from herd7' '* 1 failed, 0 skipped' owed
stub herd7 "${herd7/echo \"Flag data-race\"/:}; echo 'Flag mixed-accesses'"
litmus_says "a litmus test with a flag that nobody expects" 1 '^not ok [0-9]+ - owed: Never is said, and found: Never 1 1, mixed' \
	'* 1 failed, 0 skipped' owed
stub herd7 "${herd7/7.58/7.57}"
stub apt-get 'case "$*" in *update*) echo "E: no route to host"; exit 100 ;; esac; exec /usr/bin/apt-get "$@"'
litmus_says "a herd7 that is too old, and no other" 0 \
	'# SKIP herd7 7.57 is older than 7.58; no answer from the Debian archive: E: no route' '2 passed, 0 failed, 1 skipped'
rm -f "$lkmm/.version"
litmus_says "no kernel source to take the memory model from" 0 \
	'# SKIP no kernel source to take the memory model from: no answer from the Debian archive: E: no route' \
	'2 passed, 0 failed, 1 skipped'
rm -rf "${tmp:?}/bin"

guest() { "$tools/vm/guest.py" --out "$tmp/guest" --kernel "$kernel" "$@"; }
mkdir -p "$tmp/noqemu"
for tool in bash env busybox sh; do
	ln -sf "$(command -v "$tool")" "$tmp/noqemu/$tool"
done
# Itself, not one of the scripts that choose a version and want a PATH for it.
ln -sf "$(python3 -c 'import sys; print(sys.executable)')" "$tmp/noqemu/python3"
refuses "a machine without QEMU" "no QEMU here for x86_64, qemu-system-x86_64: apt-get install" \
	env PATH="$tmp/noqemu" "$tools/vm/guest.py" --out "$tmp/guest" --kernel "$kernel" true
refuses "a kernel that is not there" "no kernel /nowhere" guest --kernel /nowhere true
if [ -e /dev/kvm ]; then
	skip "KVM where there is none" "there is one"
else
	refuses "KVM where there is none" "/dev/kvm does not work here" env KVM=1 "$tools/vm/guest.py" \
		--out "$tmp/guest" --kernel "$kernel" true
fi
refuses "a KVM that is neither on nor off" "KVM=yes makes no sense" env KVM=yes "$tools/vm/guest.py" \
	--out "$tmp/guest" --kernel "$kernel" true
refuses "a program to boot with that is not there" "VM=/nowhere: there is no such program" \
	env VM=/nowhere "$tools/test/selftest.sh" "$base" rework
refuses "a job script that is not there" "no job /nowhere: No such file" guest --job /nowhere
refuses "a guest that hangs" "the guest hung: not done after 15 s, its last output: almost" \
	guest --timeout 15 'echo almost; sleep 1000'
refuses "a guest that panics" "panicked: .*init" guest --append rdinit=/nowhere 'true'
refuses "a guest that never reaches init" "never reached init in three attempts" \
	guest --boot-timeout 0.3 'true'
refuses "a kernel log that is not clean" "log is not clean: .*WARNING: CPU: 0 made up" \
	guest 'echo "<4>WARNING: CPU: 0 made up" >/dev/kmsg'
echo dma_buf_poll >"$tmp/ours"
race() {
	guest --kcsan-ours "$tmp/ours" "for line in '=====' 'BUG: KCSAN: data-race in $1' \
'read to 0 of 1 bytes by task 1 on cpu 0:' ' dma_buf_poll+0x1/0x2' '====='; do echo \"<4>\$line\" >/dev/kmsg; done"
}
refuses "a data race of ours" "not clean: .*KCSAN.* in dma_buf_poll / other" race "dma_buf_poll / other"
refuses "a guest that goes down before the job is done" "ended before its job did" guest 'poweroff -f'

# And those that must not be refused. A job's own failure is just that.
if race "other / another" >"$tmp/out" 2>&1 && grep -q '^# KCSAN: .*: other / another (1 times)' "$tmp/out"; then
	ok "a data race of the base is listed, not judged"
else
	not_ok "a data race of the base is listed, not judged" <"$tmp/out"
fi
status=0
guest 'exit 3' >/dev/null 2>"$tmp/out" || status=$?
if [ "$status" = 1 ] && [ ! -s "$tmp/out" ]; then
	ok "a job that fails is no trouble with the guest"
else
	not_ok "a job that fails is no trouble with the guest (status $status)" <"$tmp/out"
fi

# In files of their own, as they are long
. "${BASH_SOURCE%/*}/refresh-test.sh"
. "${BASH_SOURCE%/*}/tree-test.sh"
. "${BASH_SOURCE%/*}/report-test.sh"
. "${BASH_SOURCE%/*}/documents-test.sh"
. "${BASH_SOURCE%/*}/steps-test.sh"
. "${BASH_SOURCE%/*}/bundle-test.sh"
. "${BASH_SOURCE%/*}/arches-test.sh"
. "${BASH_SOURCE%/*}/coverage-test.sh"
. "${BASH_SOURCE%/*}/compositor-test.sh"

# test-all with parts that do nothing, and fail for 6.1: what becomes of the others?
for name in test/run check/check check/htmldocs mail/send-check test/kunit model/model model/litmus \
	audit/cocci-test self/harness-test; do
	cat >"$copy/tools/dma-buf-poll/$name.sh" <<-'EOF'
		#!/bin/bash
		[ "${1-}" != 6.1 ] || { echo "error: 6.1: broken on purpose" >&2; exit 1; }
		echo "1 passed, 0 failed, 0 skipped"
	EOF
done
for name in test/report mail/backport-report; do
	sed 1d "$copy/tools/dma-buf-poll/test/run.sh" | sed '1i #!/bin/bash\nshift' >"$copy/tools/dma-buf-poll/$name.py"
done
git -C "$copy" config user.email nobody@localhost
# shellcheck disable=SC2016 # it is make that expands this
printf 'kernels:\n\t@[ $(BASE) != 6.1 ] || { echo "error: 6.1: broken on purpose" >&2; exit 1; }\n' >"$copy/Makefile"
status=0
"$copy/tools/dma-buf-poll/test/test.sh" all >"$tmp/out" 2>&1 </dev/null || status=$?
bad=$(grep -cE '^not ok [0-9]+ - the kernels and the tests build' "$tmp/out" || :)
rest=$(grep -c '^not ok' "$tmp/out" || :)
ran=$(grep -c '^# == .*: the contract' "$tmp/out" || :)
if [ "$status" != 0 ] && [ "$bad-$rest" = 1-1 ] && [ "$ran" = $(($(bases | wc -l) - 1)) ] &&
   [[ $(tail -n1 "$tmp/out") =~ ^[0-9]+\ passed,\ $bad\ failed,\ 0\ skipped ]]; then
	ok "a base that fails does not stop the others"
else
	not_ok "a base that fails does not stop the others (status $status, $bad failures of 6.1, $rest in all, $ran other bases)" < <(tail -n 10 "$tmp/out")
fi

verdict
