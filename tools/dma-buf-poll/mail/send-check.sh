#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# send-check.sh BASE [TOPIC]: is what series.py makes fit to be sent?
#
# Each topic is judged by itself, as whoever gets its mails has it: on the base and
# the topics it needs, and on nothing else. What is compiled is what each commit
# touches and drivers/dma-buf/, in one object tree, that of build/BASE/send-check/src.
# One "ok" or "not ok" line each; ends with N passed, N failed, N skipped. What
# get_maintainer.pl says is left in build/BASE/log/send-check/TOPIC.recipients.
#
# Takes a configured object tree of rework; make send-check and test.sh call it.

. "${BASH_SOURCE%/*}/../lib.sh"

base=${1:?usage: send-check.sh BASE [TOPIC]}
only=${2-}
check_base "$base"
plain_kernels send-check
own_arch_only send-check
# Says what is wrong with a TOPIC, before anything is composed.
"$tools/tree/series.py" "$base" ${only:+"$only"}
args_end
[ -z "$only" ] || "$tools/tree/series.py" "$base"
need_tree "$base"
lock "$base"
out=$top/build/$base
src=$(variant_src "$base" rework)
tree=$out/send-check/src
obj=$tree/$(flavour obj)
log=$out/log/send-check
rm -rf "$log"
mkdir -p "$log"
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
kernel_path
export CCACHE_DIR=$cache/ccache CCACHE_BASEDIR=$tree CCACHE_NOHASHDIR=1 LOCALVERSION=''
kmake() { nice make -s -j"$(nproc)" -C "$tree" O="$obj" CC="ccache gcc" "$@"; }

# topic_field TOPIC N: column N of the table of topics, a list without its commas
topic_field() {
	awk -F'\t' -v topic="$1" -v n="$2" '$1 == topic { if ($n != "-") { gsub(",", " ", $n); print $n } }' \
		"$top/patches/topics"
}

# mails TOPIC: those that carry a patch; the cover letter is no such
mails() { find "$out/series/$1" -name '*.patch' ! -name '*0000-cover-letter.patch' | LC_ALL=C sort; }

mapfile -t topics < <("$tools/tree/series.py" "$base" --topics)

# A repository to apply mails in, of all the files only those they are about
am=$tmp/am
a() { git -C "$am" -c advice.detachedHead=false -c gc.auto=0 -c user.name=check -c user.email=check@localhost "$@"; }
git clone -q --shared --no-checkout --no-tags "$src" "$am"
a fetch -q origin '+refs/dbp/base:refs/dbp/base' '+refs/tags/topic/*:refs/tags/topic/*'
find "$out/series" -name '*.patch' -exec sed -n 's,^diff --git a/\(.*\) b/.*,/\1,p; s,^diff --git a/.* b/,/,p' {} + |
	LC_ALL=C sort -u | a sparse-checkout set --no-cone --stdin

# The checks, of $topic

complete() {
	local mail n=0

	for mail in "${patches[@]}"; do
		n=$((n + 1))
		grep -q '^Signed-off-by: ' "$mail" || echo "$mail: not signed off"
		[ -n "$cover" ] || continue
		grep -qi '^In-Reply-To: ' "$mail" || echo "$mail: no answer to the cover letter"
		grep -qE "^Subject: \[[^]]* 0*$n/${#patches[@]}\]" "$mail" || echo "$mail: not number $n of ${#patches[@]}"
	done
	if [ "${#patches[@]}" -gt 1 ] && [ "$how" = series ] && [ -z "$cover" ]; then
		echo "more than one patch, and no cover letter"
	fi
	# What a run fills in, and what nobody has
	grep -noE '@[A-Z]+@|\*\*\* [A-Z ]+ \*\*\*' ${cover:+"$cover"} "${patches[@]}" | sed 's/$/ is left to fill in/'
	return 0
}

short() {
	# Up to the list of the patches, which begins with their author. Read to its end:
	# a sed that nobody listens to any more fails, and so would we.
	sed '1,/^$/d' "$cover" | awk '
		/^[^ ].* \([0-9]+\):$/ { list = 1 }
		!list { n++ }
		END { if (n > 60) print n " lines, where 60 are enough" }'
}

# What the kernel wants: 12 digits or more, the subject in quotes, all in one line.
# And stable has to know since when: no Cc: without it.
fixes() {
	local mail head

	for mail in "${patches[@]}"; do
		head=$(sed '/^---$/,$d' "$mail")
		grep -iE '^ *fixes:' <<<"$head" | grep -vE '^Fixes: [0-9a-f]{12,40} \(".+"\)$' | sed "s|^|${mail##*/}: |"
		if grep -q '^Cc: .*stable@vger.kernel.org' <<<"$head" && ! grep -q '^Fixes: ' <<<"$head"; then
			echo "${mail##*/}: for stable, and no Fixes:"
		fi
	done
	return 0
}

checkpatch() {
	# See check.sh for what is ignored, and why.
	(cd "$src" && scripts/checkpatch.pl --strict --quiet --show-types \
		--ignore FILE_PATH_CHANGES,UNKNOWN_COMMIT_ID "${patches[@]}")
}

# The base, the topics it needs, and this one by itself
applies() {
	local other list all=1

	a am -q --abort >/dev/null 2>&1
	a checkout -q -f --detach refs/dbp/base || return 1
	for other in "${topics[@]}"; do
		[ "$other" != "$topic" ] || break
		case " $needs " in
		*" $other "*) ;;
		*)
			all=0
			continue
			;;
		esac
		mapfile -t list < <(mails "$other")
		# Without mails: never sent, but composed
		[ ${#list[@]} -gt 0 ] || continue
		a am -q "${list[@]}" || { echo "$other, which it needs, does not apply"; return 1; }
	done
	a update-ref "refs/send-check/$topic-from" HEAD
	a am -q "${patches[@]}" || return 1
	a update-ref "refs/send-check/$topic" HEAD
	# Where nothing is left out, it is what has been composed.
	[ $all = 0 ] || [ "$(a rev-parse 'HEAD^{tree}')" = "$(a rev-parse "topic/$topic^{tree}")" ] ||
		{ echo "that is not what build/$base/src has at topic/$topic"; return 1; }
}

# at COMMIT: the tree that is built, there
at() {
	git -C "$src" fetch -q --no-tags "$am" "+refs/send-check/*:refs/dbp/send-check/*" &&
		(tree_at "$base" send-check "$1") || return
	mkdir -p "$obj"
	# What a patch has yet to add is lost to the configuration before it. And options
	# of the drivers that some topic touches, as far as this machine has them.
	{
		cat "$(variant_obj "$base" rework)/.config"
		printf 'CONFIG_%s\n' DRM_VMWGFX=m COMPILE_TEST=y TEGRA_HOST1X=m USB_SUPPORT=y USB_GADGET=m \
			USB_CONFIGFS=m USB_CONFIGFS_F_FS=y
	} >"$tmp/config"
	cmp -s "$tmp/config" "$obj/config.from" && [ "$(cat "$obj/config.at" 2>/dev/null)" = "$(kconfig "$1")" ] && return
	cp "$tmp/config" "$obj/.config"
	kmake olddefconfig </dev/null || return
	cp "$tmp/config" "$obj/config.from"
	kconfig "$1" >"$obj/config.at"
}

# Only a commit that has other options needs another configuration.
kconfig() { git -C "$src" ls-tree -r "$1" -- Kconfig drivers/dma-buf/Kconfig drivers/gpu/drm/Kconfig | git hash-object --stdin; }

# What the base says of its other files is not ours to mend.
each_builds() {
	local commit files objects touched file

	for commit in $(a rev-list --reverse "refs/send-check/$topic-from..refs/send-check/$topic"); do
		echo "== $(a log -1 --format=%s "$commit")"
		mapfile -t files < <(a diff-tree --no-commit-id -r --name-only --diff-filter=d "$commit")
		mapfile -t objects < <(printf '%s\n' "${files[@]}" |
			sed -nE '/^(tools|Documentation|scripts|samples)\//d; s/[.]c$/.o/p')
		at "$commit" || return 1
		for file in "${objects[@]}"; do
			rm -f "$obj/$file"
		done
		compile_ours kmake "${objects[@]}" >"$tmp/said" 2>&1 </dev/null || { tail -n 20 "$tmp/said"; return 1; }
		for file in "${objects[@]}"; do
			[ -f "$obj/$file" ] || { echo "$file has not been compiled"; return 1; }
		done
		touched=$(printf '%s\n' "${files[@]}" | sed 's/[.]/[.]/g' | paste -sd'|')
		if grep -E "(^|/)($touched):.*(warning|error):" "$tmp/said"; then return 1; fi
	done
}

# To whom: the lists that patches/topics names, for the mail of a driver any of its own
maintainers() {
	local mail list

	: >"$log/$topic.recipients"
	for mail in "${patches[@]}"; do
		(cd "$src" && scripts/get_maintainer.pl --no-git --no-git-fallback "$mail") >"$tmp/who" 2>"$tmp/said" ||
			{ cat "$tmp/said"; return 1; }
		if [ "$how" = singly ]; then
			printf '%s:\n' "${mail##*/}" >>"$log/$topic.recipients"
			# Its own: all but the list that gets everything, and that of DMA-BUF
			grep -E 'list' "$tmp/who" | grep -vE 'linux-kernel@|linaro-mm-sig@' >/dev/null ||
				echo "${mail##*/}: no list of its driver is among the recipients"
		fi
		cat "$tmp/who" >>"$log/$topic.recipients"
	done
	[ "$how" = singly ] || LC_ALL=C sort -u -o "$log/$topic.recipients" "$log/$topic.recipients"
	for list in $lists; do
		grep -qF "$list" "$log/$topic.recipients" || echo "$list is not among the recipients"
	done
	return 0
}

# Nothing leaves this machine: --dry-run.
send() {
	local lists=${lists:-dri-devel@lists.freedesktop.org}

	(cd "$top" && git send-email --dry-run --quiet --confirm=never --no-validate --suppress-cc=all \
		--to="${lists%% *}" --smtp-server=/bin/false \
		${cover:+"$cover"} "${patches[@]}" </dev/null)
}

# b4_takes MAIL...: with the cover letter, if there is one, and all in one go
b4_takes() {
	local mail id n=0

	rm -f "$tmp/b4"/*.mbx
	# What has no id yet gets one from git send-email.
	for mail in ${cover:+"$cover"} "$@"; do
		n=$((n + 1))
		sed -n 1p "$mail"
		grep -qi '^message-id: ' "$mail" || echo "Message-Id: <$topic-$n@localhost>"
		sed 1d "$mail"
		echo
	done >"$tmp/mbox"
	id=$(awk -F'[<>]' 'tolower($0) ~ /^message-id:/ && !n++ { print $2 }' "$tmp/mbox")
	(cd "$tmp/b4" && timeout 60 b4 am -C -m "$tmp/mbox" -o "$tmp/b4" "$id") || return
	[ "$(cat "$tmp/b4"/*.mbx | grep -c '^From ')" = $# ]
}

b4_reads() {
	local mail

	rm -rf "$tmp/b4"
	mkdir -p "$tmp/b4"
	git -C "$tmp/b4" init -q
	git -C "$tmp/b4" config b4.attestation-policy off
	if [ "$how" != singly ]; then
		b4_takes "${patches[@]}"
		return
	fi
	for mail in "${patches[@]}"; do
		b4_takes "$mail" || return
	done
}

for topic in "${topics[@]}"; do
	how=$(topic_field "$topic" 2)
	needs=$(topic_field "$topic" 3)
	lists=$(topic_field "$topic" 4)
	if [ "$how" = never ] || { [ -n "$only" ] && [ "$only" != "$topic" ]; }; then
		continue
	fi
	mapfile -t patches < <(mails "$topic")
	[ ${#patches[@]} -gt 0 ] || die "$base: build/$base/series/$topic holds no patch"
	cover=$(find "$out/series/$topic" -name '*0000-cover-letter.patch')
	check -q "$topic: numbered, threaded, signed off, nothing left to fill in" complete
	[ -z "$cover" ] || check -q "$topic: a cover letter that somebody reads to its end" short
	check -q "$topic: Fixes: and Cc: stable as the kernel wants them" fixes
	check -q "$topic: checkpatch --strict says nothing" checkpatch
	check "$topic: git am on the base${needs:+ and ${needs// /, }}" applies
	if a rev-parse -q --verify "refs/send-check/$topic" >/dev/null; then
		check "$topic: each patch compiles at its place, with W=1" each_builds
	else
		not_ok "$topic: each patch compiles at its place, with W=1" <<<"it does not apply"
	fi
	check -q "$topic: get_maintainer names those who have to read it" maintainers
	check "$topic: git send-email --dry-run takes all of it" send
	check "$topic: b4 reads it" b4_reads
done

verdict
