#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# model.sh: check the model of dma-buf-poll.c, exhaustively, with spin
#
# Documentation/driver-api/dma-buf-poll.pml must hold in every configuration below;
# each of the bugs that can be seeded into it must be found, by the property that
# is meant to; and everything that dma-buf-poll.rst quotes from the source must
# still be there, so that model and source do not part unseen. One "ok" or "not ok"
# line each; ends with N passed, N failed, N skipped.

. "${BASH_SOURCE%/*}/lib.sh"

[ $# = 0 ] || die "usage: model.sh"
for tool in spin gcc; do
	command -v "$tool" >/dev/null ||
		die "$tool is missing: install the package '$tool'"
done
lock model

model=$top/Documentation/driver-api/dma-buf-poll.pml
doc=$top/Documentation/driver-api/dma-buf-poll.rst
code=$top/drivers/dma-buf/dma-buf-poll.c
dir=$top/build/model/run
rm -rf "$dir"
mkdir -p "$dir"
cd "$dir"

printf '# %s\n' "$(spin -V)"

# explore CFLAG PROPERTIES OPTION...: build a verifier and run it; its report is in
# "log". PROPERTIES is safety (assertions and deadlocks) or wakes (under weak
# fairness).
explore() {
	local build=("$1" -DSAFETY) run=()

	if [ "$2" = wakes ]; then
		set -- "$@" -DLIVE
		build=("$1" -DNFAIR=3)
		run=(-a -f -N wakes)
	fi
	shift 2
	rm -f pan* log
	cp "$model" model.pml
	# Whatever goes wrong leaves a report without the lines we look for.
	{ spin -a "$@" model.pml &&
	  gcc -w -DCOLLAPSE -DMEMLIM=4000 "${build[@]}" -o pan pan.c &&
	  timeout 900 ./pan -b -m10000 "${run[@]}" || { [ $? != 124 ] || echo "error: not done after 900 s"; }
	} >log 2>&1 </dev/null || :
}

# The configuration that each name stands for
options() {
	case $1 in
	few)	echo "-DWAITERS=1" ;;
	one)	echo "-DDIRECTIONS=1" ;;
	three)	echo "-DFENCES=3 -DINITIAL=3 -DWAITERS=1 -DCPUS=2" ;;
	both)	echo "-DDIRECTIONS=2 -DINITIAL=2" ;;
	shared)	echo "-DDIRECTIONS=2 -DWRITES=2" ;;
	exclusive) echo "-DEXCLUSIVE -DDIRECTIONS=2 -DFENCES=3" ;;
	*)	die "model.sh: no configuration '$1'" ;;
	esac
}

# holds CONFIGURATION PROPERTIES WHAT
holds() {
	local states opts

	read -ra opts < <(options "$1")
	explore -O2 "$2" "${opts[@]}"
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
	local opts level=-O0

	# To build takes longer than to run, mostly.
	case $1 in shared | exclusive) level=-O2 ;; esac
	read -ra opts < <(options "$1")
	explore $level "$2" "${opts[@]}" "-DBUG_$3"
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
		grep -qE "^(inline|proctype|ltl) $piece\b" "$model" ||
			echo "the model has no $piece"
		body=$(awk -v f="$function" '
			index($0, f "(") && /^[a-z_]/ { on = 1; text = "" }
			on { text = text $0 "\n" }
			on && /^[^{]*;$/ && /^[a-z_]/ { on = 0 }
			on && /^}/ { printf "%s", text; exit }' "$code")
		[ -n "$body" ] || { echo "dma-buf-poll.c has no $function()"; continue; }
		[[ $(tr -s '[:space:]' ' ' <<<"$body") == *"$(tr -s '[:space:]' ' ' <<<"$fragment" | sed 's/ $//')"* ]] ||
			echo "$function() no longer says: $fragment"
	done < <(quoted)
	[ $rows -ge 10 ] || echo "$doc: no table between model-table-begin and -end"
}

said=$(quotes)
if [ -z "$said" ]; then
	ok "what the documentation quotes from dma-buf-poll.c is there"
else
	not_ok "what the documentation quotes from dma-buf-poll.c is there" 40 <<<"$said"
fi

while read -r bug; do
	grep -q "^finds .* $bug " "$tools/model.sh" ||
		not_ok "$bug is in the model, and nobody looks for it" </dev/null
done < <(grep -oE '\bBUG_[A-Z_]+' "$model" | sed 's/^BUG_//' | sort -u)

holds one safety "2 fences, 2 waiters, an adder, a closer: safety"
holds one wakes "2 fences, 2 waiters, an adder, a closer: every sleeper wakes"
holds three safety "3 fences, a waiter, a closer, 2 CPUs: safety"
holds three wakes "3 fences, a waiter, a closer, 2 CPUs: every sleeper wakes"
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
finds both safety TWICE "assertion violated told" "who was answered for by the other direction is woken again"
finds shared safety NOT_OWED "invalid end state" "poll relies on an armed direction that owes nothing"
finds exclusive safety UNASKED "assertion violated (owed" "who owes nothing answers for the other direction"
finds exclusive safety ONE "assertion violated (owed" "both directions are told to one exclusive waiter"

verdict
