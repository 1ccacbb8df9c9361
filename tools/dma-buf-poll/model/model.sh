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
#
# make model and test.sh call it.

. "${BASH_SOURCE%/*}/../lib.sh"

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
# report is in "log". PROPERTIES is safety (assertions and deadlocks), ends (nobody
# goes round by himself for ever) or walks (the look does not go round for ever).
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
	ends)
		build=("$1" -DNP)
		run+=(-l)
		;;
	walks)
		build=("$1")
		run+=(-a -m100000)
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
	early)	echo "poll -DEARLY" ;;
	late)	echo "poll -DLATE" ;;
	late-few) echo "poll -DLATE -DWAITERS=1" ;;
	late-rearm) echo "poll -DLATE -DREARM -DWAITERS=1" ;;
	late-both) echo "poll -DLATE -DDIRECTIONS=2 -DINITIAL=2" ;;
	rush)	echo "poll -DRUSH=1" ;;
	rush-few) echo "poll -DRUSH=2 -DWAITERS=1" ;;
	rush-both) echo "poll -DRUSH=1 -DDIRECTIONS=2 -DINITIAL=2 -DWAITERS=1" ;;
	rush-shared) echo "poll -DRUSH=1 -DDIRECTIONS=2 -DWRITES=2 -DINITIAL=2 -DWAITERS=1" ;;
	rearm)	echo "poll -DREARM -DWAITERS=1" ;;
	both)	echo "poll -DDIRECTIONS=2 -DINITIAL=2" ;;
	added)	echo "poll -DDIRECTIONS=2 -DWRITES=2 -DWAITERS=1" ;;
	shared)	echo "poll -DDIRECTIONS=2 -DWRITES=2 -DINITIAL=2 -DPATIENT" ;;
	patient) echo "poll -DDIRECTIONS=2 -DPATIENT" ;;
	calm)	echo "poll -DPATIENT" ;;
	exclusive) echo "poll -DEXCLUSIVE -DINITIAL=2 -DPATIENT" ;;
	look)	echo "look -DWRITES=2" ;;
	busy)	echo "look -DBUSY" ;;
	interrupt) echo "look -DINTERRUPT" ;;
	endless) echo "look -DENDLESS" ;;
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
	# To build takes longer than to run.
	explore -O0 "$1" "$2" "-DBUG_$3"
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
		body=$(sed '/^From [0-9a-f]* /,/^diff /d; s/^+//' "${code[@]}" | awk -v f="$function" '
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
	grep -q "^finds .* $bug " "$tools/model/model.sh" ||
		not_ok "$bug is in a model, and nobody looks for it" </dev/null
done < <(grep -ohE '\bBUG_[A-Z_]+' "$poll" "$look" | sed 's/^BUG_//' | sort -u)

holds look safety "the look, 2 changes: what it says is true of one instant"
holds endless walks "the look, while fences take each other's place without end: it ends"
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
finds interrupt safety WAIT "assertion violated (walks" "an interrupt waits for whoever it has interrupted"
finds look safety WAIT "assertion violated moved" "the look gives up, and nobody has written"
finds endless walks ENDLESS "acceptance cycle" "the look does not give up"

holds one safety "2 fences, 2 waiters, an adder, a closer"
holds few ends "2 fences, a waiter, an adder, a closer: every run ends"
holds three safety "3 fences, a waiter, a closer, 2 CPUs"
holds three ends "3 fences, a waiter, a closer, 2 CPUs: every run ends"
holds early safety "2 fences, 2 waiters, an adder, a closer, signaled before the lock"
holds late safety "2 fences, 2 waiters, an adder, a closer, no interrupt for the irq_work"
holds late-few ends "2 fences, a waiter, an adder, a closer, no interrupt for the irq_work: every run ends"
holds late-both safety "EPOLLIN and EPOLLOUT, 2 waiters, a closer, no interrupt for the irq_work"
holds late-rearm safety "a waiter that changes what it asks for, no interrupt for the irq_work"
holds rush safety "2 fences, 2 waiters, an adder, a closer, a look that gives up"
holds rush-few ends "2 fences, a waiter, an adder, a closer, 2 looks that give up: every run ends"
holds rush-both safety "EPOLLIN and EPOLLOUT, a WRITE and a READ fence, a waiter, a closer, a look that gives up"
holds rush-shared safety "EPOLLIN and EPOLLOUT, 2 WRITE fences, a waiter, a closer, a look that gives up"
holds rearm safety "a waiter that changes what it asks for"
holds rearm ends "a waiter that changes what it asks for: every run ends"
holds both safety "EPOLLIN and EPOLLOUT, a WRITE and a READ fence, 2 waiters, a closer"
holds added safety "EPOLLIN and EPOLLOUT, 2 WRITE fences, a waiter, an adder, a closer"
holds added ends "EPOLLIN and EPOLLOUT, 2 WRITE fences, a waiter, an adder, a closer: every run ends"
holds shared safety "EPOLLIN and EPOLLOUT, 2 WRITE fences, a waiter and one that does not sleep"
holds exclusive safety "2 fences, exclusive waiters"

finds few safety LOOK_FIRST "invalid end state" "poll looks first and queues then"
finds few safety NOT_SET "assertion violated (owed" "a poller that has armed is not owed a wake-up"
finds few safety UNHEARD "invalid end state" "the callback may have run before a wake-up is owed"
finds few safety KEEP_FUNC "assertion violated" "a callback that has run is taken for one to come"
finds few safety NO_WORK "invalid end state" "the callback finds another fence and queues no irq_work"
finds late-few safety LATE_OWED "invalid end state" "all look again, and a wake-up is still owed"
finds rush-few safety RUSH_KEPT "invalid end state" "the irq_work gives up, and nobody looks again"
finds rush-shared safety RUSH_OWED "assertion violated told" "the irq_work gives up, and wakes for what was answered"
finds rush-few safety RUSH_LEFT "invalid end state" "a poller gives up, and is owed nothing"
finds few safety NO_TELL "invalid end state" "a poller takes the callback off and tells nobody"
finds few safety FOLLOW "assertion violated" "the callback goes on with nobody waiting"
finds few safety NO_SYNC "assertion violated" "release does not wait for the irq_work"
finds few safety NO_CANCEL "assertion violated" "release leaves the callback on the fence"
finds few safety REMOVE "assertion violated" "the callback is taken off without the lock of its fence"
finds few safety KEEP_FENCE "assertion violated (refs" "the old fence is not put when the next one is armed"
finds few safety EARLY_PUT "assertion violated" "the driver drops its reference before the lock"
finds one safety NO_LOCK "assertion violated" "two pollers arm the same direction"
finds one safety BLIND "assertion violated ((signaled" "the callback does not look at the other fences"
finds calm safety OUTSIDE "assertion violated told" "the look is not under the lock of the wait queue"
finds patient safety NOT_OWED "assertion violated (owed" "poll relies on a callback that owes nothing"
finds both safety OTHER_BLIND "assertion violated ((signaled" "the other direction is told without a look"
finds both safety TWICE "assertion violated told" "the direction that was answered for goes on owing"
finds both safety WORK_OWES "assertion violated told" "the irq_work owes a wake-up that was had"
finds three safety UNLOCKED "assertion violated" "the irq_work looks at what is owed without poll_lock"
finds three safety NO_WAIT "assertion violated" "release takes irq_work_sync() for enough"
finds three safety NO_RCU "assertion violated  !(gone)" "the irq_work is freed at once"
finds exclusive safety ONE "invalid end state" "a wake-up with a mask, with exclusive waiters"

verdict
