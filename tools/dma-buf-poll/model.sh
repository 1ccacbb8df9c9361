#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# model.sh: check the models of poll and of its look at the fences, with spin
#
# dma-buf-poll.pml and resv-look.pml in Documentation/driver-api must hold in every
# configuration below, exhaustively; each of the bugs that can be seeded into them must
# be found, by the property that is meant to; and everything that dma-buf-poll.rst
# quotes from the source must still be there, so that model and source do not part
# unseen. One "ok" or "not ok" line each; ends with N passed, N failed, N skipped.

. "${BASH_SOURCE%/*}/lib.sh"

[ $# = 0 ] || die "usage: model.sh"
for tool in spin gcc; do
	command -v "$tool" >/dev/null ||
		die "$tool is missing: install the package '$tool'"
done
lock model

poll=$top/Documentation/driver-api/dma-buf-poll.pml
look=$top/Documentation/driver-api/resv-look.pml
doc=$top/Documentation/driver-api/dma-buf-poll.rst
# What is ours of dma-resv.c stands in patches, the same for all bases.
code=("$top/drivers/dma-buf/dma-buf-poll.c" "$top"/patches/6.12/*/*-dma-resv-*.patch)
dir=$top/build/model/run
rm -rf "$dir"
mkdir -p "$dir"
cd "$dir"

printf '# %s\n' "$(spin -V)"

# explore CFLAG CONFIGURATION PROPERTIES OPTION...: build a verifier and run it; its
# report is in "log". PROPERTIES is safety (assertions and deadlocks), wakes (under weak
# fairness) or ends (nobody goes round by himself for ever).
explore() {
	local build=("$1" -DSAFETY) run=() opts model

	read -ra opts < <(options "$2")
	model=$poll
	if [ "${opts[0]}" = look ]; then
		model=$look
		run=(-E)	# The others stop when the reader is through.
	fi
	opts=("${opts[@]:1}")
	case $3 in
	wakes)
		opts+=(-DLIVE)
		build=("$1" -DNFAIR=3)
		run+=(-a -f -N wakes)
		;;
	ends)
		build=("$1" -DNP)
		run+=(-l)
		;;
	esac
	shift 3
	rm -f pan* log
	cp "$model" model.pml
	# Whatever goes wrong leaves a report without the lines we look for.
	{ spin -a "${opts[@]}" "$@" model.pml &&
	  gcc -w -DCOLLAPSE -DMEMLIM=4000 "${build[@]}" -o pan pan.c &&
	  timeout 900 ./pan -b -m10000 "${run[@]}" || { [ $? != 124 ] || echo "error: not done after 900 s"; }
	} >log 2>&1 </dev/null || :
}

# The model and the configuration that each name stands for
options() {
	case $1 in
	few)	echo "poll -DWAITERS=1" ;;
	one)	echo "poll -DDIRECTIONS=1" ;;
	three)	echo "poll -DFENCES=3 -DINITIAL=3 -DWAITERS=1 -DCPUS=2" ;;
	rearm)	echo "poll -DREARM -DWAITERS=1" ;;
	both)	echo "poll -DDIRECTIONS=2 -DINITIAL=2" ;;
	shared)	echo "poll -DDIRECTIONS=2 -DWRITES=2" ;;
	exclusive) echo "poll -DEXCLUSIVE -DDIRECTIONS=2 -DFENCES=3" ;;
	look)	echo "look -DWRITES=2" ;;
	busy)	echo "look -DBUSY" ;;
	interrupt) echo "look -DINTERRUPT" ;;
	*)	die "model.sh: no configuration '$1'" ;;
	esac
}

# holds CONFIGURATION PROPERTIES WHAT
holds() {
	local states

	explore -O2 "$1" "$2"
	states=$(awk '/states, stored/ { print $1; exit }' log)
	if grep -q 'errors: 0$' log && [ -n "$states" ] &&
	   ! grep -qE 'not completed|too small|reached -DMEMLIM' log; then
		ok "$3: $states states"
	else
		not_ok "$3 (see $dir/log)" < <(grep -E '^pan|rror|not completed|too small' log)
	fi
}

# finds CONFIGURATION PROPERTIES BUG REASON WHAT: REASON is how spin reports it
finds() {
	local level=-O0

	# To build takes longer than to run, mostly.
	case $1 in shared | exclusive) level=-O2 ;; esac
	explore $level "$1" "$2" "-DBUG_$3"
	if grep -q "^pan:1: $4" log; then
		ok "BUG_$3, $5: found, $(sed -n 's/^pan:1: \(.*\) (at depth.*/\1/p' log)"
	else
		not_ok "BUG_$3, $5: not found by '$4'" < <(grep -E '^pan|errors:|rror' log)
	fi
}

# The table from model to source lies between two comments. Below its head each row
# has a piece of the model, a function and a fragment of that function's text.
quoted() {
	awk '
	/^\.\. model-table-begin/ { on = 1 }
	/^\.\. model-table-end/ { on = 0 }
	on && /^   \* - / { row = substr($0, 8); col = 1; next }
	on && /^     - / { row = row "\t" substr($0, 8); if (++col == 3 && rows++) print row }
	' "$doc" | sed 's/``//g'
}

# quotes: what the table says and the files do not
quotes() {
	local piece function fragment body rows=0

	while IFS=$'\t' read -r piece function fragment; do
		rows=$((rows + 1))
		grep -qE "^(inline|proctype|ltl) $piece\b" "$poll" "$look" ||
			echo "no model has $piece"
		body=$(sed '/^---$/,/^diff /d; s/^+//' "${code[@]}" | awk -v f="$function" '
			!found && index($0, f "(") && /^[a-z_]/ { on = 1; text = "" }
			on { text = text $0 "\n" }
			on && /^[^{]*;$/ && /^[a-z_]/ { on = 0 }
			on && /^}/ { printf "%s", text; found = 1; on = 0 }')
		[ -n "$body" ] || { echo "the source has no $function()"; continue; }
		[[ $(tr -s '[:space:]' ' ' <<<"$body") == *"$(tr -s '[:space:]' ' ' <<<"$fragment" | sed 's/ $//')"* ]] ||
			echo "$function() no longer says: $fragment"
	done < <(quoted)
	[ $rows -ge 10 ] || echo "$doc: no table between model-table-begin and -end"
}

said=$(quotes)
if [ -z "$said" ]; then
	ok "what the documentation quotes from the source is there"
else
	not_ok "what the documentation quotes from the source is there" 40 <<<"$said"
fi

while read -r bug; do
	grep -q "^finds .* $bug " "$tools/model.sh" ||
		not_ok "$bug is in a model, and nobody looks for it" </dev/null
done < <(grep -ohE '\bBUG_[A-Z_]+' "$poll" "$look" | sed 's/^BUG_//' | sort -u)

holds look safety "the look, 2 changes: what it says is true of one instant"
holds look ends "the look, 2 changes: it goes round only if somebody writes"
holds busy safety "the look, 3 changes, never idle: it never finds nothing left"
holds interrupt safety "the look, 3 changes, in an interrupt: two walks at most"

finds busy safety NO_COUNTER "assertion violated calm" "only the list is looked at again"
finds busy safety AFTER "assertion violated calm" "the counter moves only after a change"
finds busy safety BEFORE "assertion violated calm" "the counter moves only before a change"
finds busy safety ADD_ONLY "assertion violated calm" "a fence that takes the place of another does not count"
finds busy safety REPLACE_ONLY "assertion violated calm" "a fence behind the others does not count"
finds busy safety LATE "assertion violated calm" "the counter is read after the number of fences"
finds busy safety ODD "assertion violated calm" "one walk is enough while the list changes"
finds busy safety OTHER "assertion violated calm" "two walks agree, but not over the same list"
finds busy safety LIST "assertion violated calm" "the list may be another one"
finds busy safety EARLY_PUT "assertion violated calm" "a fence is put while it is in its slot"
finds interrupt safety WAIT "assertion violated (walks" "an interrupt waits for who it has interrupted"
finds look ends WAIT "non-progress cycle" "the look waits for who is not running"

holds one safety "2 fences, 2 waiters, an adder, a closer: safety"
holds one wakes "2 fences, 2 waiters, an adder, a closer: every sleeper wakes"
holds three safety "3 fences, a waiter, a closer, 2 CPUs: safety"
holds three wakes "3 fences, a waiter, a closer, 2 CPUs: every sleeper wakes"
holds rearm safety "a waiter that changes what it asks for: safety"
holds rearm wakes "a waiter that changes what it asks for: every sleeper wakes"
holds both safety "EPOLLIN and EPOLLOUT, a WRITE and a READ fence: safety"
holds shared safety "EPOLLIN and EPOLLOUT, 2 WRITE fences, an adder: safety"
holds exclusive safety "EPOLLIN and EPOLLOUT, 3 fences, an adder, exclusive waiters: safety"

finds one wakes NO_WAKE "acceptance cycle" "who found the direction active is not woken"
finds one wakes LOOK_FIRST "acceptance cycle" "poll looks first and queues then"
finds few safety NO_RECHECK "invalid end state" "a fence that cannot be waited for is taken as armed"
finds few safety LATE_FENCE "assertion violated" "the fence is stored after the callback was added"
finds few safety FOLLOW "assertion violated" "the irq_work goes on with nobody waiting"
finds few safety EARLY_PUT "assertion violated" "the driver drops its reference before the lock"
finds few safety CANCEL_GET "assertion violated (refs" "release takes a reference where there may be none"
finds one safety NO_CLAIM "assertion violated" "two pollers arm the same direction"
finds three safety ARM_ON "assertion violated" "the irq_work takes the next fence without a look at the queue"
finds three safety KEEP "assertion violated" "the callback leaves its fence to release, and the work goes on"
finds three safety NO_SYNC "assertion violated" "release does not wait for the irq_work"
finds three safety NO_RCU "assertion violated  !(gone)" "the irq_work is freed at once"
finds both safety UNOWED "assertion violated told" "who owes nothing looks, and wakes"
finds both safety TWICE "assertion violated told" "who was answered for by the other direction is woken again"
finds shared safety NOT_OWED "invalid end state" "poll relies on an armed direction that owes nothing"
finds exclusive safety ONE "assertion violated (owed" "both directions are told to one exclusive waiter"

verdict
