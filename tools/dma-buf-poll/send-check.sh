#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# send-check.sh BASE: is what series.sh makes fit to be sent?
#
# One "ok" or "not ok" line each; ends with N passed, N failed, N skipped.

. "${BASH_SOURCE%/*}/lib.sh"

base=${1:?usage: send-check.sh BASE}
check_base "$base"
plain_kernels send-check
lock "$base"
"$tools/kernel.sh" "$base" rework
"$tools/series.sh" "$base"
out=$top/build/$base
src=$out/src
obj=$out/rework
log=$out/log/send-check
mkdir -p "$log"
tmp=$(mktemp -d)
# A tree that is taken to one of its commits is brought back, even if we die:
# compose.sh looks for at-base.
back() {
	git -C "$src" checkout -q -f series
	rm -rf "$out/at-base" "$tmp"
}
trap back EXIT
trap 'exit 130' INT TERM HUP
kernel_path

mapfile -t mails < <(find "$out/series" -name '*.patch' | LC_ALL=C sort)
patches=("${mails[@]:1}")
[ ${#patches[@]} -gt 0 ] || die "$base: build/$base/series holds no patch"

checkpatch() {
	# See check.sh for what is ignored, and why.
	(cd "$src" && scripts/checkpatch.pl --strict --show-types \
		--ignore FILE_PATH_CHANGES,UNKNOWN_COMMIT_ID "${patches[@]}") &&
		! grep -qE '^total: .*[1-9][0-9]* (errors|warnings|checks)' \
			"$log/checkpatch---strict-is-clean-on-every-mail.log"
}
check "checkpatch --strict is clean on every mail" checkpatch

threaded() {
	grep -q '^Subject: .* 0*0/' "${mails[0]}" &&
	! grep -LiE '^In-Reply-To: ' "${patches[@]}" | grep . &&
	! grep -L '^Signed-off-by: ' "${patches[@]}" | grep . &&
	! grep -lE '\*\*\* |@TABLE@|@BASE@' "${mails[@]}" | grep .
}
check "numbered, threaded, signed off, nothing left to fill in" threaded

am() {
	git clone -q --no-local "$src" "$tmp/am" &&
	git -C "$tmp/am" fetch -q --tags &&
	git -C "$tmp/am" checkout -q --detach base &&
	git -C "$tmp/am" -c user.name=check -c user.email=check@localhost \
		am -q "${patches[@]}" &&
	[ "$(git -C "$tmp/am" rev-parse 'HEAD^{tree}')" = "$(git -C "$src" rev-parse 'series^{tree}')" ]
}
check "git am on the pristine base gives the composed tree" am

touched=$(git -C "$src" diff --name-only base series | sed 's/[.]/[.]/g' | paste -sd'|')
kmake() { nice make -s -j"$(nproc)" -C "$src" O="$obj" CC="ccache gcc" "$@"; }

each_builds() {
	local commit added

	export CCACHE_DIR=$cache/ccache CCACHE_BASEDIR=$out CCACHE_NOHASHDIR=1
	# What a patch has yet to add is lost to the configuration before it.
	cp "$obj/.config" "$tmp/config"
	touch "$out/at-base"
	for commit in $(git -C "$src" rev-list --reverse base..series); do
		echo "== $(git -C "$src" log -1 --format=%s "$commit")"
		git -C "$src" checkout -q --detach "$commit"
		cp "$tmp/config" "$obj/.config"
		kmake olddefconfig </dev/null || return 1
		mapfile -t added < <(git -C "$src" diff --name-only --diff-filter=A base HEAD -- drivers |
				     sed -n 's/[.]c$/.o/p')
		compile_ours kmake "${added[@]}" >"$tmp/said" 2>&1 || { tail -n 20 "$tmp/said"; return 1; }
		# What the base says of its other files is not ours to mend.
		if grep -E "(^|/)($touched):.*(warning|error):" "$tmp/said"; then return 1; fi
	done
	git -C "$src" checkout -q series
	cp "$tmp/config" "$obj/.config"
	kmake olddefconfig
	rm -f "$out/at-base"
}
check "every patch compiles at its place, with W=1" each_builds

maintainers() {
	(cd "$src" && scripts/get_maintainer.pl --no-git --no-git-fallback "${patches[@]}") |
		tee "$log/recipients" && grep -q 'dri-devel@lists.freedesktop.org' "$log/recipients"
}
check "get_maintainer names the recipients" maintainers

# Nothing leaves this machine: --dry-run.
send() {
	(cd "$top" && git send-email --dry-run --quiet --confirm=never --no-validate \
		--suppress-cc=all --to=dri-devel@lists.freedesktop.org \
		--smtp-server=/bin/false "${mails[@]}" </dev/null)
}
check "git send-email --dry-run takes all of it" send

b4_reads() {
	local id

	id=$(awk -F'[<>]' 'tolower($0) ~ /^message-id:/ && !n++ { print $2 }' "${mails[0]}")
	for mail in "${mails[@]}"; do cat "$mail"; echo; done >"$tmp/mbox"
	mkdir -p "$tmp/b4"
	git -C "$tmp/b4" init -q
	git -C "$tmp/b4" config b4.attestation-policy off
	(cd "$tmp/b4" && timeout 60 b4 am -C -m "$tmp/mbox" -o "$tmp/b4" "$id")
	[ "$(grep -c '^From ' "$tmp"/b4/*.mbx)" = ${#patches[@]} ]
}
check "b4 reads it" b4_reads

verdict
