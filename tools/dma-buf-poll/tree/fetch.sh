#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# fetch.sh BASE: have the source package of a base in the cache
#
# Prints the path of the .deb. Which version that is, is asked anew once a day,
# or with REFRESH=1. The mirror is the one this machine uses; suites it does not
# use come in through an apt configuration of our own, in the cache.
#
# compose.sh and litmus.sh call it.

. "${BASH_SOURCE%/*}/../lib.sh"

base=${1:?usage: fetch.sh BASE}
check_base "$base"
pattern=$(base_field "$base" 2)
suites=$(base_field "$base" 3)

lock "fetch-$base"
need_space "$cache" 1
mkdir -p "$cache/deb" "$cache/apt"
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
	die "$*"
}

command -v apt-get >/dev/null ||
	die "no apt-get here: give a kernel tree with KSRC=/path/to/linux"

# The machine's own Debian archives: "URI suite" a line, components dropped
# shellcheck disable=SC2016 # it is apt-get that expands these
mapfile -t own < <(apt-get indextargets \
		--format '$(REPO_URI) $(RELEASE) $(COMPONENT) $(CREATED_BY)' |
		awk '$3 == "main" && $4 == "Packages" { print $1, $2 }' |
		grep -E '/debian(-security)?/? ' | sort -u)
[ ${#own[@]} -gt 0 ] ||
	die "this machine's apt knows no Debian archive: give a kernel tree with KSRC=/path/to/linux"

keyring=/usr/share/keyrings/debian-archive-keyring.gpg
[ -f "$keyring" ] || die "$keyring is missing: apt-get install debian-archive-keyring"

dir=$cache/apt/$base
mkdir -p "$dir/lists/partial" "$dir/archives/partial"
{
	for line in "${own[@]}"; do
		printf 'deb [signed-by=%s] %s main\n' "$keyring" "$line"
	done
	mirror=$(printf '%s\n' "${own[@]}" | grep -v -- '-security' | sed -n 1p | cut -d' ' -f1)
	if [ "$suites" != - ]; then
		[ -n "$mirror" ] || die "no Debian mirror in this machine's apt configuration"
		for suite in ${suites//,/ }; do
			printf 'deb [signed-by=%s] %s %s main\n' "$keyring" "$mirror" "$suite"
		done
	fi
} >"$dir/sources.list"

apt=(-q -o Dir::Etc::sourcelist="$dir/sources.list" -o Dir::Etc::sourceparts=/dev/null
     -o Dir::State::lists="$dir/lists" -o Dir::Cache="$dir"
     -o Dir::Etc::preferencesparts=/dev/null -o Dir::Etc::preferences=/dev/null
     -o Acquire::Languages=none -o APT::Sandbox::User=root -o Acquire::Retries=2)

say "asking the archive which ${pattern%%\[*} there is for $base"
apt-get "${apt[@]}" update >"$dir/update.log" 2>&1 ||
	give_up "no answer from the Debian archive: $(grep -m1 '^[EW]' "$dir/update.log" || echo 'see '"$dir/update.log")"

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
	give_up "no package $pattern in ${suites/#-/the machine\'s own suites}"

arch=all
name=${best}_${version//:/%3a}_$arch.deb
if [ ! -f "$cache/deb/$name" ]; then
	part=$dir/part
	rm -rf "$part"
	mkdir -p "$part"
	size=$(apt-cache "${apt[@]}" show "$best=$version" | awk '/^Size:/ && !n++ { print $2 }')
	say "downloading $best $version ($((size / 1048576)) MiB)"
	(cd "$part" && exec apt-get "${apt[@]}" download "$best=$version") >"$dir/download.log" 2>&1 &
	pid=$!
	tick=0
	while kill -0 "$pid" 2>/dev/null; do
		sleep 0.2
		tick=$((tick + 1))
		[ $((tick % 10)) = 0 ] || continue
		have=$(du -sb "$part" "$dir/archives" 2>/dev/null | awk '{ n += $1 } END { print n }')
		say "  $((have * 100 / size)) % of $best"
	done
	wait "$pid" ||
		give_up "downloading $best failed: $(grep -m1 '^E' "$dir/download.log" || tail -n1 "$dir/download.log")"
	# apt has checked size and hash; only a whole file gets the name
	mv "$part"/*.deb "$cache/deb/$name"
	rm -rf "$part"
fi
printf '%s\n' "$name" >"$answer.new"
mv "$answer.new" "$answer"
say "$base is $best $version"
printf '%s\n' "$cache/deb/$name"
