#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# clients.sh BASE VARIANT [CLIENT]...: the event loops people use, on the stock
# kernel and on another
#
# Builds the clients in clients/ on the libraries of this machine, boots both
# kernels, and runs the clients there from this machine's root, which the guest
# sees read-only over 9p. The table is made by clients.py, whose status is that of
# the variant. Name clients to run only those.
#
# Takes both kernels and the kselftest; make clients calls it.

. "${BASH_SOURCE%/*}/../lib.sh"

base=${1:?usage: clients.sh BASE VARIANT [CLIENT]...}
other=${2:?usage: clients.sh BASE VARIANT [CLIENT]...}
shift 2
check_base "$base"
check_compared "$base" "$other" clients
[ "$(base_field "$base" 4)" = all ] ||
	die "clients: $other of $base does not promise a quiet poll, and has no ioctl to give a buffer any fence"
plain_kernels clients
own_arch_only clients

# name, what it is, its program, and the arguments for it
clients="
glib_unix_fd|GLib g_unix_fd_add()|glib|fd
glib_source|GLib GSource|glib|source
libuv|libuv uv_poll|uv|
libevent_once|libevent, level-triggered|event|once
libevent_edge|libevent EV_ET|event|edge
uring_add|liburing poll_add|uring|add
uring_multishot|liburing multishot|uring|multishot
uring_timeout|liburing, linked timeout|uring|timeout
uring_cancel|liburing, cancel|uring|cancel
uring_planes|liburing poll_add, no second look|uring|planes
epoll_oneshot|epoll ONESHOT, MOD of what is left|pattern|oneshot
epoll_edges|epoll ET of both, readiness cleared|pattern|edges
poll_swapchain|one poll over a swapchain|pattern|swapchain
ppoll_set|ppoll over a set that changes|pattern|set
python_selectors|Python selectors|loop_selectors.py|
python_asyncio|Python asyncio|loop_asyncio.py|
go_netpoll|Go os.NewFile|netpoll|
go_idle|Go, a buffer wrapped for 2 s|idle|"

for name; do
	grep -q "^$name|" <<<"$clients" ||
		die "no client $name: there are $(sed -n 's/|.*//p' <<<"$clients" | paste -sd' ')"
done

args_end

"$tools/deps.sh" clients ||
	say "warning: not every library could be installed: what is missing is skipped"

build=$top/build/$base
out=$build/clients
headers=$build/kselftest-obj/usr/include
rm -rf "$out"
mkdir -p "$out/bin" "$build/log"
# For make readme: these are all there are.
[ $# -gt 0 ] || : >"$out/all-$other"
export GOCACHE=$cache/go

# make_one PROGRAM: build it, or say why not
make_one() {
	make -s -C "$tools/clients" O="$out/bin" HEADERS="$headers" "$out/bin/$1" >"$out/$1.log" 2>&1
}

make_one feed || die "clients/feed.c does not build: $(grep -m1 error "$out/feed.log" || tail -n1 "$out/feed.log") (see $out/feed.log)"

# Why it cannot be run, or nothing.
missing() {
	case $1 in
	*.py)
		if ! /usr/bin/python3 -c 'import asyncio, selectors' >"$out/$1.log" 2>&1; then
			echo "no /usr/bin/python3 with asyncio here"
			return
		fi
		make_one client.py
		;;
	pattern) ;;
	netpoll|idle)
		if ! command -v go >/dev/null; then
			echo "no go here: apt-get install golang-go"
			return
		fi
		;;
	*)
		if ! command -v pkg-config >/dev/null; then
			echo "no pkg-config here: apt-get install pkgconf"
			return
		fi
		if [[ $(make_one "$1"; cat "$out/$1.log") == *"was not found"* ]]; then
			echo "no library: $(grep -m1 'was not found' "$out/$1.log")"
			return
		fi
		;;
	esac
	make_one "$1" ||
		die "clients/$1 does not build: $(grep -m1 error "$out/$1.log" || tail -n1 "$out/$1.log") (see $out/$1.log)"
}

say "building the clients"
: >"$out/bin/list"
while IFS='|' read -r name what program args; do
	[ -n "$name" ] || continue
	if [ $# -gt 0 ] && [[ " $* " != *" $name "* ]]; then
		continue
	fi
	why=$(missing "$program") || exit 1
	printf '%s\t%s\t%s\n' "$name" "$what" "$why" >>"$out/list"
	[ -z "$why" ] || continue
	printf '%s\n' "$name|$program|$args" >>"$out/bin/list"
done <<<"$clients"

# The root of this machine, for the guest to read
host=local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap
for variant in stock "$other"; do
	say "running the clients on the $base $variant kernel"
	status=0
	"$vm" --progress --kernel "$(variant_image "$base" "$variant")" \
		--out "$build/log/clients-$variant" --timeout "${TIMEOUT:-1200}" \
		--file "$out/bin:clients" --file "$build/kselftest/dma-buf/poll_bench:poll_bench" \
		--qemu=-virtfs --qemu="$host" --job "$tools/clients/clients-job.sh" >/dev/null || status=$?
	case $variant-$status in
	*-0) ;;
	# What a kernel did up to where it fell over is still worth showing.
	*-[234]) say "warning: the $variant kernel did not get through it" ;;
	*) die "$base: the clients do not run: $(grep -m1 error: "$build/log/clients-$variant.results" || tail -n1 "$build/log/clients-$variant.results") (see $build/log/clients-$variant.results)" ;;
	esac
	printf '%s\n' "$status" >"$out/$variant.status"
done

"$tools/clients/clients.py" "$base" "$other"
