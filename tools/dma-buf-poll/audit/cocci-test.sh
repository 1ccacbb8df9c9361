#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# cocci-test.sh [RULE]...: do the semantic patches find what they should, and
# nothing else?
#
# cocci/RULE*-bad.c mark the lines that have to be named with "bad", and
# cocci/RULE*-good.c have none: in the modes report, org and context it has to
# be these lines exactly. What patch mode makes of a bad file has to be silent,
# or, where it mends only some of it, to have fewer findings; and it leaves a
# good file alone. The audit itself is tried on trees of two files. COCCI_RULES=
# takes the rules from another directory. Ends with N passed, N failed, N skipped.
#
# Takes nothing that is built; test.sh calls it.

. "${BASH_SOURCE%/*}/../lib.sh"

rules=${COCCI_RULES:-$top/scripts/coccinelle/dma-buf}
cases=$tools/audit/cocci
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
# spatch wants the Python of Debian, not of another one.
PATH=/usr/bin:$PATH
command -v spatch >/dev/null || die "there is no spatch: install the package coccinelle"
echo "# $(spatch --version | sed -n 1p)"

# spatch RULE MODE FILE: what it says, as coccicheck would run it
rule_says() {
	local options

	options=$(sed -n 's|^// Options: *||p' "$rules/$1.cocci")
	[ "$2" = patch ] || [ "$2" = context ] || options+=" --no-show-diff"
	# shellcheck disable=SC2086
	spatch -D "$2" --very-quiet --cocci-file "$rules/$1.cocci" $options "$3" 2>"$tmp/stderr" ||
		echo "spatch failed: $(tail -n1 "$tmp/stderr")"
}

# The lines a mode names, one a line
named() {
	case $1 in
	report) sed -nE 's/^[^ ]+\.c:([0-9]+):[0-9]+-[0-9]+: .*/\1/p; /^spatch failed/p' ;;
	org) sed -nE 's/^\* TODO \[\[view:[^:]+::face=[^:]*::linb=([0-9]+)::.*/\1/p; /^spatch failed/p' ;;
	context)
		awk '/^@@/ { split($2, a, /[-,]/); line = a[2]; next }
		     /^(---|\+\+\+)/ { next }
		     /^-/ { print line++; next }
		     /^ / { line++ }
		     /^spatch failed/'
		;;
	esac | sort -nu
}

# lines MODE RULE FILE: the marked ones and no others
lines() {
	local what="$2 names what it should in ${3##*/} ($1)"

	grep -n 'bad \*/$' "$3" | cut -d: -f1 | sort -nu >"$tmp/want" || :
	rule_says "$2" "$1" "$3" | named "$1" >"$tmp/got"
	if cmp -s "$tmp/want" "$tmp/got"; then
		ok "$what"
	else
		not_ok "$what" < <(diff "$tmp/want" "$tmp/got" |
				   sed -n 's/^< /misses line /p; s/^> /should not name /p')
	fi
}

# mends RULE FILE: patch mode does some good
mends() {
	local before after what="$1 mends ${2##*/} (patch)"

	cp "$2" "$tmp/case.c"
	before=$(rule_says "$1" report "$tmp/case.c" | named report | wc -l)
	rule_says "$1" patch "$tmp/case.c" >"$tmp/diff"
	if ! patch -s -o "$tmp/mended.c" "$tmp/case.c" "$tmp/diff" >/dev/null 2>&1; then
		not_ok "$what" <<<"what it makes is no patch: $(head -n1 "$tmp/diff")"
		return
	fi
	after=$(rule_says "$1" report "$tmp/mended.c" | named report | wc -l)
	if [ "$after" -lt "$before" ]; then
		ok "$what: $before findings, then $after"
	else
		not_ok "$what" <<<"$before findings before, $after after"
	fi
}

for rule in "$rules"/*.cocci; do
	rule=${rule##*/} rule=${rule%.cocci}
	[ $# = 0 ] || printf '%s\n' "$@" | grep -xF "$rule" >/dev/null || continue
	bad=("$cases/$rule"*-bad.c) good=("$cases/$rule"*-good.c)
	if [ ! -f "${bad[0]}" ] || [ ! -f "${good[0]}" ]; then
		not_ok "$rule has a bad and a good case" </dev/null
		continue
	fi
	modes="report org context"
	for mode in $modes; do
		if ! grep -qx "virtual $mode" "$rules/$rule.cocci"; then
			not_ok "$rule has a mode $mode" </dev/null
			continue
		fi
		for file in "${bad[@]}" "${good[@]}"; do
			lines "$mode" "$rule" "$file"
		done
	done
	grep -qx 'virtual patch' "$rules/$rule.cocci" || continue
	mends "$rule" "${bad[0]}"
	for file in "${good[@]}"; do
		if [ -z "$(rule_says "$rule" patch "$file")" ]; then
			ok "$rule leaves ${file##*/} alone (patch)"
		else
			not_ok "$rule leaves ${file##*/} alone (patch)" </dev/null
		fi
	done
done

# audit: a tree that lacks most directories, one finding, and then its verdict
audit() {
	local status=0

	"$tools/audit/audit.py" test --tree "$tmp/tree" --rules "$tmp/rules" --ops "$tmp/ops" \
		--out "$tmp/audit" --jobs 1 \
		>"$tmp/out" 2>"$tmp/err" || status=$?
	echo "$status" >"$tmp/status"
}

# says WHAT FILE PATTERN: the last audit said so
says() {
	if grep -qE -- "$3" "$tmp/$2"; then
		ok "$1"
	else
		not_ok "$1" < <(cat "$tmp/out" "$tmp/err")
	fi
}

if [ $# = 0 ]; then
	mkdir -p "$tmp/tree/drivers/gpu" "$tmp/tree/drivers/char" "$tmp/rules"
	: >"$tmp/ops"
	cp "$rules/resv_iter_end.cocci" "$tmp/rules"
	cp "$cases/resv_iter_end-good.c" "$tmp/tree/drivers/gpu/fine.c"
	sed '/^static int count/,$d' "$cases/resv_iter_end-bad.c" >"$tmp/tree/drivers/char/leak.c"
	audit
	says "audit names a directory that is missing" err 'has no drivers/virtio: going on without'
	says "audit finds what is elsewhere in the tree" out '^new: resv_iter_end: drivers/char/leak.c:[0-9]+: busy: '
	says "audit reports it" audit/report.md '[*]{2}new[*]{2} .drivers/char/leak.c:[0-9]+'
	says "audit ends with 1 when there is something new" status '^1$'

	sed -n 's/^     ?\t\(.*\)\t?$/true\t\1\tleaks/p' "$tmp/out" >"$tmp/rules/resv_iter_end.verdicts"
	sed -i '1i // one line more' "$tmp/tree/drivers/char/leak.c"
	audit
	says "audit knows a verdict again, on another line" status '^0$'
	says "audit has it in its table" out '^\| resv_iter_end \| 2 \| 1 \| 1 \| 0 \| 0 \| 0 \|'
	says "audit remembers what it need not run again" err ': 1 runs, 1 remembered'

	echo nonsense >"$tmp/rules/resv_iter_end.verdicts"
	audit
	says "audit refuses a verdict it cannot read" err '^error: resv_iter_end.verdicts:1: '
	rm "$tmp/rules/resv_iter_end.verdicts"
	echo '@broken' >>"$tmp/rules/resv_iter_end.cocci"
	audit
	says "audit ends with 2 when spatch fails" status '^2$'

	# The operations of a fence: in one file, and what they call in another one.
	rm -rf "$tmp/tree/drivers/char"/* "$tmp/tree/drivers/gpu"/* "$tmp/rules"/*
	cp "$rules/fence_ops_lock.cocci" "$tmp/rules"
	sed '/^static void ring_queue/,/^}/d; /^static void ring_emit/,$d; /bad \*\/$/d' \
		"$cases/fence_ops_lock-bad.c" >"$tmp/tree/drivers/gpu/fence.c"
	sed -n '/^static void ring_queue/,/^}/{s/^static //;p}; /^static void ring_work/,/^}/p' \
		"$cases/fence_ops_lock-bad.c" >"$tmp/tree/drivers/gpu/queue.c"
	audit
	says "audit sees what they call in another file" out \
		'^new: fence_ops_lock: drivers/gpu/queue.c:[0-9]+: ring_work: takes queue.lock'
	says "audit names operations without a verdict" err \
		'^error: drivers/gpu/fence.c: ring_fence_ops has no verdict in ops$'
	says "audit ends with 1 when there are such" status '^1$'
	sed -i 's/spin_lock_bh/spin_lock_irq/; s/spin_unlock_bh/spin_unlock_irq/' "$tmp/tree/drivers/gpu/queue.c"
	printf '6.1,test\tdrivers/gpu/fence.c\tring_fence_ops\tsafe\tlocks as it should\n' >"$tmp/ops"
	audit
	says "audit takes a verdict on operations" out '^struct dma_fence_ops: 1, 1 safe, 0 private,'
	says "audit ends with 0 when all have one" status '^0$'
	says "audit reports it" audit/report.md '[*]{2}safe[*]{2} .drivers/gpu/fence.c. .ring_fence_ops.: locks as it should'
	printf 'test\tdrivers/gpu/fence.c\tcube_fence_ops\tunsafe\tgone\n' >>"$tmp/ops"
	audit
	says "audit names a verdict on operations that are not there" err \
		'^error: drivers/gpu/fence.c: there is no cube_fence_ops, for which ops has a verdict$'
	says "audit ends with 1 then as well" status '^1$'
	sed -i '$s/unsafe/unsure/' "$tmp/ops"
	audit
	says "audit refuses a verdict on operations that it cannot read" err '^error: ops:2: not '
fi

verdict && [ "$passed" -gt 0 ]
