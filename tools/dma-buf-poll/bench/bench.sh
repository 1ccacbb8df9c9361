#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# bench.sh BASE VARIANT: what polling costs, the stock kernel against another
#
# Runs poll_bench and poll_frames on both kernels, and each once more to show
# whether the figures repeat: in a guest whose clock counts instructions, and
# what takes several CPUs or two seconds of sleep in one that keeps real time.
# poll_frames runs on "fixes" as well, where that comes before the rework.
# Leaves everything in build/BASE/bench, or bench-VARIANT if that is not rework, with
# bench-arm64 or the like for ARCH=,
# and ends with bench_report.py, whose status says whether all requirements are met.
#
# Takes both kernels and the kselftest; make bench calls it.

. "${BASH_SOURCE%/*}/../lib.sh"

base=${1:?usage: bench.sh BASE VARIANT}
ours=${2:?usage: bench.sh BASE VARIANT}
[ $# = 2 ] || die "bench.sh takes one BASE and one VARIANT"
check_base "$base"
check_compared "$base" "$ours" bench
plain_kernels bench
guest_cpus 4
args_end

framed=(stock "$ours")
case "$ours $(variants "$base") " in
'rework '*' fixes '*) framed+=(fixes) ;;
esac

build=$top/build/$base
out=$build/bench
[ "$ours" = rework ] || out+=-$ours
out+=$arch_suffix
programs=$build/kselftest$arch_suffix/dma-buf
files=()
for program in poll_bench poll_frames; do
	files+=(--file "$programs/$program:$program")
	[ -x "$programs/$program" ] ||
		die "$base: $ours has no $program in its kselftest"
done
rm -rf "$out"
mkdir -p "$out"

options=
if command -v go >/dev/null; then
	say "building the program in Go"
	if CGO_ENABLED=0 GOARCH=$(arch_field go) GOCACHE=$cache/go GO111MODULE=off \
	   go build -o "$out/idle" "$tools/bench/idle.go" >"$out/go.log" 2>&1; then
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
	guest_args "$base" "$variant"
	say "measuring the $base $variant kernel, pass $pass: $name"
	nice "$vm" "${guest[@]}" \
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
	for variant in stock "$ours"; do
		run "$variant" "$pass" icount --accel icount -- \
			"/poll_bench -i poll signals wait export syncobj"
		run "$variant" "$pass" smp --accel tcg --smp "$cpus" -- \
			"/poll_bench $options threads user"
	done
	for variant in "${framed[@]}"; do
		run "$variant" "$pass" frames --accel icount -- "/poll_frames -i"
	done
done

# Does a poll of an idle buffer write what other CPUs read?
for variant in stock "$ours"; do
	say "tracing the $base $variant kernel: what a poll of an idle buffer executes"
	guest_args "$base" "$variant"
	"$tools/bench/idle_stores.py" "$base" "$variant" "${guest[@]}" >"$out/$variant-idle-1.results"
done

# symbols OBJECT TYPES [REGEX]: bytes of its symbols of these types, by name
symbols() {
	local sum=0 size

	while read -r size; do
		sum=$((sum + 16#$size))
	done < <("${cross}nm" -S "$1" | awk -v types="$2" -v re="${3:-.}" \
		'NF == 4 && index(types, $3) && $4 ~ re { print $2 }')
	printf '%s\n' "$sum"
}

# sizes VARIANT: of struct dma_buf, and of the code of poll, with what it adds to
# dma-resv
sizes() {
	local dir stock text

	dir=$(variant_obj "$base" "$1")/drivers/dma-buf
	stock=$(variant_obj "$base" stock)/drivers/dma-buf
	text=$(symbols "$dir/dma-buf.o" tT '^dma_buf_poll')
	[ ! -f "$dir/dma-buf-poll.o" ] || text=$((text + $(symbols "$dir/dma-buf-poll.o" tT)))
	printf '# result: text.poll\t%s\tbytes\n' \
		"$((text + $(symbols "$dir/dma-resv.o" tT) - $(symbols "$stock/dma-resv.o" tT)))"
	"$tools/kernel/cost.sh" "$base" "$1" | sed -n 's/^sizeof\.dma_buf.*/# result: &\tbytes/p'
}
for variant in stock "$ours"; do
	sizes "$variant" >"$out/$variant-size-1.results"
done

{
	cat "$build/base.id"
	git -C "$(variant_src "$base" "$ours")" rev-parse HEAD
	"${CC:-${cross}gcc}" --version | sed -n 1p
	"$(arch_field qemu)" --version | sed -n 1p
	[ -z "$arch_suffix" ] || echo "${arch_suffix#-}"
} >"$out/what"

"$tools/bench/bench_report.py" "$base" "$ours"
