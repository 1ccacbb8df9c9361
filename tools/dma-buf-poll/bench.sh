#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# bench.sh BASE: what polling costs, stock against series
#
# Runs the kselftest's poll_bench on both kernels, and each once more to show
# whether the figures repeat: in a guest whose clock counts instructions, and
# what takes several CPUs or two seconds of sleep in one that keeps real time.
# Leaves everything in build/BASE/bench and ends with bench_report.py, whose
# status says whether all requirements are met.

. "${BASH_SOURCE%/*}/lib.sh"

base=${1:?usage: bench.sh BASE}
[ $# = 1 ] || die "bench.sh takes one BASE"
check_base "$base"
plain_kernels bench

"$tools/kernel.sh" "$base" stock
"$tools/selftest.sh" "$base" patched --build-only

build=$top/build/$base
src=$build/src
out=$build/bench
program=$build/kselftest/dma-buf/poll_bench
[ -x "$program" ] || die "$base: the series has no poll_bench in its kselftest"
rm -rf "$out"
mkdir -p "$out"

files=(--file "$program:poll_bench")
options=
if command -v go >/dev/null; then
	say "building the program in Go"
	if CGO_ENABLED=0 GOCACHE=$cache/go GO111MODULE=off \
	   go build -o "$out/idle" "$tools/guest/idle.go" >"$out/go.log" 2>&1; then
		files+=(--file "$out/idle:idle")
		options="-g /idle"
	else
		say "warning: it does not build, so it is not measured (see $out/go.log)"
	fi
else
	say "no go here, so the program in Go is not measured: apt-get install golang-go"
fi

# run VARIANT PASS NAME OPTION... -- JOB: a guest that may fail, but not silently
run() {
	local variant=$1 pass=$2 name=$1-$3-$2 status=0 accel=()

	shift 3
	while [ "$1" != -- ]; do
		accel+=("$1")
		shift
	done
	say "measuring the $base $variant kernel, pass $pass: $name"
	nice "$tools/guest.py" --kernel "$build/$variant/arch/x86/boot/bzImage" \
		--out "$out/$name" --timeout "${TIMEOUT:-900}" \
		"${accel[@]}" "${files[@]}" "$2" >/dev/null || status=$?
	case $status in
	0) ;;
	1) say "warning: not every row of $name could be measured: $(grep -m1 '^not ok' "$out/$name.results" || echo 'see the log')" ;;
	# What a kernel did up to where it fell over is still worth showing.
	2|3|4)
		[ "$variant" = stock ] || exit "$status"
		say "warning: the stock kernel did not get through $name"
		;;
	*) exit "$status" ;;
	esac
}

for pass in 1 2; do
	for variant in stock patched; do
		run "$variant" "$pass" icount --accel icount -- \
			"/poll_bench -i poll signals wait export syncobj"
		run "$variant" "$pass" smp --accel tcg --smp 4 -- \
			"/poll_bench $options threads user"
	done
done

# symbols OBJECT TYPES [REGEX]: bytes of its symbols of these types, by name
symbols() {
	local sum=0 size

	while read -r size; do
		sum=$((sum + 16#$size))
	done < <(nm -S "$1" | awk -v types="$2" -v re="${3:-.}" \
		'NF == 4 && index(types, $3) && $4 ~ re { print $2 }')
	printf '%s\n' "$sum"
}

# size VARIANT: of struct dma_buf, from a probe built like dma-buf.o itself
size() {
	local obj=$build/$1 probe=$out/probe-$1 command header

	mkdir -p "$probe"
	command=$(sed -n 's/^\(saved\)\?cmd_[^ ]* := //p' "$obj/drivers/dma-buf/.dma-buf.o.cmd" |
		sed 's/ -c -o .*//; s/ -Wp,-MMD,[^ ]*//')
	if [ "$1" = stock ]; then
		# Both are built from one tree, and that is at the series.
		while read -r header; do
			mkdir -p "$probe/${header%/*}"
			git -C "$src" show "base:$header" >"$probe/$header" 2>/dev/null || rm -f "$probe/$header"
		done < <(git -C "$src" diff --name-only base -- include)
		command=${command/ -I/ -I$probe/include -I}
	fi
	printf '%s\n' '#include <linux/dma-buf.h>' \
		'char sizeof_dma_buf[sizeof(struct dma_buf)];' >"$probe/probe.c"
	if ! (cd "$obj" && eval "$command -c -o $probe/probe.o $probe/probe.c") >"$probe/log" 2>&1; then
		say "warning: the size of struct dma_buf is not known (see $probe/log)"
		return
	fi
	symbols "$probe/probe.o" BbDdCS '^sizeof_dma_buf$'
}

stock=$build/stock/drivers/dma-buf
patched=$build/patched/drivers/dma-buf
{
	printf '# result: sizeof.dma_buf\t%s\tbytes\n' "$(size stock)"
	printf '# result: text.poll\t%s\tbytes\n' "$(symbols "$stock/dma-buf.o" tT '^dma_buf_poll')"
} >"$out/stock-size-1.results"
{
	printf '# result: sizeof.dma_buf\t%s\tbytes\n' "$(size patched)"
	own=$(symbols "$patched/dma-buf.o" tT '^dma_buf_poll')
	[ ! -f "$patched/dma-buf-poll.o" ] || own=$((own + $(symbols "$patched/dma-buf-poll.o" tT)))
	printf '# result: text.poll\t%s\tbytes\n' \
		"$((own + $(symbols "$patched/dma-resv.o" tT) - $(symbols "$stock/dma-resv.o" tT)))"
} >"$out/patched-size-1.results"

{
	cat "$build/base.id"
	git -C "$src" rev-parse HEAD
	"${CC:-gcc}" --version | sed -n 1p
	qemu-system-x86_64 --version | sed -n 1p
} >"$out/what"

"$tools/bench_report.py" "$base"
