#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# fetch.sh BASE: have the source package of a base in the cache
#
# Prints the path of the .deb. Which version that is, is asked anew once a day,
# or with REFRESH=1. Suites that this machine does not use come in through an apt
# configuration of our own, see private_apt.
#
# compose.sh and litmus.sh call it.

. "${BASH_SOURCE%/*}/../lib.sh"

base=${1:?usage: fetch.sh BASE}
check_base "$base"
pattern=$(base_field "$base" 2)
suites=$(base_field "$base" 3)

need_space "$cache" 1
mkdir -p "$cache/deb"
# All checkouts share it.
lock "fetch-$base" "$cache/apt"
answer=$cache/deb/$base.version

cached() {
	[ -f "$answer" ] && [ -f "$cache/deb/$(cat "$answer")" ]
}

if cached && [ "${REFRESH:-0}" != 1 ] &&
   [ -n "$(find "$answer" -mtime -1 2>/dev/null)" ]; then
	printf '%s\n' "$cache/deb/$(cat "$answer")"
	exit 0
fi

# What cannot be asked now may have been answered before.
give_up() {
	if cached; then
		say "warning: $*; using $(cat "$answer") from the cache"
		printf '%s\n' "$cache/deb/$(cat "$answer")"
		exit 0
	fi
	die "$* (KSRC=/path/to/linux does without)"
}

say "asking the archive which ${pattern%%\[*} there is for $base"
suites=${suites#-}
# shellcheck disable=SC2086 # these are words
private_apt "$base" own ${suites//,/ } || give_up "$why"

# The newest version of the newest package that matches
best='' version='' arch=''
while IFS=' |' read -r package candidate _; do
	# shellcheck disable=SC2254 # the table holds a pattern
	case $package in $pattern) ;; *) continue ;; esac
	if [ -z "$version" ] || dpkg --compare-versions "$candidate" gt "$version"; then
		best=$package version=$candidate
	fi
done < <(apt-cache "${apt[@]}" pkgnames linux-source- |
	 xargs -r apt-cache "${apt[@]}" madison 2>/dev/null)
[ -n "$best" ] ||
	give_up "no package $pattern in ${suites:-the suites of this machine}"

arch=all
name=${best}_${version//:/%3a}_$arch.deb
if [ ! -f "$cache/deb/$name" ]; then
	part=$apt_dir/part
	rm -rf "$part"
	mkdir -p "$part"
	size=$(apt-cache "${apt[@]}" show "$best=$version" | awk '/^Size:/ && !n++ { print $2 }')
	say "downloading $best $version ($((size / 1048576)) MiB)"
	(cd "$part" && exec apt-get "${apt[@]}" download "$best=$version") >"$apt_dir/download.log" 2>&1 &
	pid=$!
	tick=0
	while kill -0 "$pid" 2>/dev/null; do
		sleep 0.2
		tick=$((tick + 1))
		[ $((tick % 10)) = 0 ] || continue
		have=$(du -sb "$part" "$apt_dir/archives" 2>/dev/null | awk '{ n += $1 } END { print n }')
		say "  $((have * 100 / size)) % of $best"
	done
	wait "$pid" ||
		give_up "downloading $best failed: $(grep -m1 '^E' "$apt_dir/download.log" || tail -n1 "$apt_dir/download.log")"
	# apt has checked size and hash; only a whole file gets the name
	mv "$part"/*.deb "$cache/deb/$name"
	rm -rf "$part"
fi
printf '%s\n' "$name" >"$answer.new"
mv "$answer.new" "$answer"
say "$base is $best $version"
printf '%s\n' "$cache/deb/$name"
