# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154
#
# The part of harness-test.sh that is about steps.py: sourced there, with its $tmp,
# $copy, refuses(), ok() and not_ok(). Nothing is built: the "kernel" of a step is a
# file of its tree that says how the tests end on it.

steps_tools=$tmp/steps/tools/dma-buf-poll
steps_out=$tmp/steps/build/6.12
mkdir -p "$tmp/steps/tools" "$steps_out/src" "$steps_out/kselftest/dma-buf" "$steps_out/log" \
	"$tmp/steps/patches/6.12"
cp -a "$copy/tools/dma-buf-poll" "$tmp/steps/tools/"
printf '%s\n' poll-fixes/0001-x.patch poll-rework/0001-x.patch >"$tmp/steps/patches/6.12/series"
echo 'package none' >"$steps_out/base.id"
echo 1 >"$steps_out/kselftest.stamp"
printf 'dma-buf:%s\n' poll poll_fuzz >"$steps_out/kselftest-list.txt"
mv "$steps_out/kselftest-list.txt" "$steps_out/kselftest/"

# What stands in for the build and for the guests
steps_stub() { cat >"$steps_tools/$1"; chmod +x "$steps_tools/$1"; }
steps_stub kernel/kernel.sh <<'EOS'
#!/bin/bash
. "${BASH_SOURCE%/*}/../lib.sh"
check_variant "$2" "$1"
echo kernel >>"$top/calls"
mkdir -p "$(dirname "$(variant_image "$1" "$2")")"
! grep -q broken "$(variant_src "$1" "$2")/drivers/dma-buf/dma-buf.c" || die "$1 $2: it does not build"
cp "$(variant_src "$1" "$2")/drivers/dma-buf/dma-buf.c" "$(variant_image "$1" "$2")"
EOS
# A line of the "kernel" is a test and its result, or what follows "flaky", which
# fails until it is run for the third time; or a figure.
steps_stub test/selftest.sh <<'EOS'
#!/bin/bash
. "${BASH_SOURCE%/*}/../lib.sh"
echo "selftest ${*:3}" >>"$top/calls"
log=$top/build/$1/log/selftest-step
{
	echo "# run: poll"
	while read -r name result; do
		case $result in
		flaky)
			runs=$(grep -c selftest "$top/calls")
			[ $((runs % 3)) = 0 ] && echo "ok 1 $name" || echo "not ok 1 $name"
			;;
		ok|'not ok') echo "$result 1 $name" ;;
		*) echo "# figure: $name $result" ;;
		esac
	done <"$(variant_image "$1" "$2")"
} | tee "$log.results"
status=0
! grep -q '^not ok' "$log.results" || status=1
echo "guest: exit $status" >"$log.console"
exit $status
EOS
steps_stub vm/guest.py <<'EOS'
#!/bin/bash
while [ "$1" != --out ]; do shift; done
printf '# result: poll.idle.in\t850\tinsn\n' >"$2.results"
EOS
steps_stub kernel/cost.sh <<'EOS'
#!/bin/bash
printf 'sizeof.dma_buf\t232\nlines\t+1/-1\n'
EOS

steps_git() {
	git -C "$steps_out/src" -c user.name=x -c user.email=x@localhost "$@"
}
# steps_commit SUBJECT LINE...: the tests with other results, one for each line
steps_commit() {
	mkdir -p "$steps_out/src/drivers/dma-buf"
	printf '%s\n' "${@:2}" >"$steps_out/src/drivers/dma-buf/dma-buf.c"
	steps_git add -f drivers
	steps_git commit -q --allow-empty -m "$1"
}
steps_in_order='one_wakeup wake-ups of one poll for 64 fence(s) signaled in order'
steps_reverse=one_wakeup.x.sixteen_fences_in_reverse_cause_one_wakeup
git init -q -b series "$steps_out/src"
echo '/obj' >"$steps_out/src/.git/info/exclude"
steps_commit stock 'exact.a ok' 'quiet.b not ok' "$steps_reverse ok" "$steps_in_order = 64"
steps_git tag base
mkdir -p "$steps_out/src/Documentation"
echo text >"$steps_out/src/Documentation/x.rst"
steps_git add Documentation
steps_git commit -q -m 'text only'
steps_commit 'look again' 'exact.a ok' 'quiet.b ok' "$steps_reverse ok" "$steps_in_order = 64"
steps_commit 'wait for the last' 'exact.a flaky' 'quiet.b ok' "$steps_reverse not ok" "$steps_in_order = 1"
echo driver >"$steps_out/src/drivers/other.c"
steps_git add drivers
steps_git commit -q -m 'another driver'
steps_git tag topic/poll-fixes

steps_run() {
	: >"$tmp/steps/calls"
	steps_status=0
	"$steps_tools/test/steps.py" "$@" >"$tmp/out" 2>&1 </dev/null || steps_status=$?
}

# steps_says WHAT STATUS PATTERN...: the last run ended so and said all of it
steps_says() { said "$1" "$steps_status" "${@:2}"; }

# steps_ran WHAT KERNELS GUESTS: so many of each
steps_ran() {
	local kernels guests

	kernels=$(grep -c kernel "$tmp/steps/calls" || :)
	guests=$(grep -c selftest "$tmp/steps/calls" || :)
	if [ "$kernels-$guests" = "$2-$3" ]; then
		ok "$1"
	else
		not_ok "$1 ($kernels kernels and $guests guests, not $2 and $3)" <"$tmp/out"
	fi
}

refuses "a step that does not exist" "no step 'nonsense': there are 0 to 3" \
	"$steps_tools/test/steps.py" 6.12 nonsense
refuses "a step that changes no code" "no step 'text': .*text only changes no code" \
	"$steps_tools/test/steps.py" 6.12 text
refuses "steps of an unknown base" "unknown BASE '7.0'" "$steps_tools/test/steps.py" 7.0
refuses "an unknown option of steps" "unrecognized arguments: --fast" "$steps_tools/test/steps.py" --fast 6.12

steps_run 6.12 0 1
steps_says "two steps that are asked for" 0 '^exact +1/0 +1/0$' '^quiet +0/1 +1/0$' '2 .*\(not run\)'
steps_ran "no more than these are run" 2 2
steps_run 6.12
# exact.a fails twice and passes when it is run for the third time
steps_says "the other steps" 0 '^step +0 +1 +2$' 'wake-ups, 64 in order +64 +64 +1$' \
	'3 .*another driver \(the kernel of step 2\)' 'step 2: exact.a passes now and then: run 3 times' \
	'^   - .*text only \(no code'
steps_ran "only what is new is run, and the same kernel once" 2 3
if grep -qx 'selftest poll' "$tmp/steps/calls" && ! grep -q fuzz "$tmp/steps/calls"; then
	ok "a step runs what says something about a single patch"
else
	not_ok "a step runs what says something about a single patch" <"$tmp/steps/calls"
fi
steps_run 6.12
steps_says "all of it once more" 0 'run 3 times'
steps_ran "nothing is run twice" 0 0
steps_run 6.12 --message 'wait for'
steps_says "what a patch changes, for its message" 0 '^poll-fixes: wait for the last$' \
	'^ +one-wakeup, tests passed +1/1 +0/1$' '^ +wake-ups, 64 in order +64 +1$'

# What passed now and then may fail, what always did may not.
steps_commit 'wait for the first' 'exact.a not ok' 'quiet.b not ok' "$steps_reverse ok" "$steps_in_order = 64"
steps_git tag topic/poll-rework
steps_run 6.12
steps_says "a step that makes it worse" 1 \
	'^worse at step 4, poll-rework: wait for the first: quiet.b: passed at step 3; tried 3 times' \
	'^worse at step 4, .*in order: 64, and was 1 at step 3; tried 3 times'
if grep -q '^worse at step 4, .*exact.a' "$tmp/out"; then
	not_ok "a test that passed by luck" <"$tmp/out"
else
	ok "a test that passed by luck"
fi
steps_ran "what is worse is tried three times, and what was better as often" 2 5
steps_run 6.12 4
steps_says "and is worse when it is known already" 1 '^worse at step 4, .*quiet.b'
steps_ran "without another try" 0 0
# What is promised there, and has been: nobody promised it after step 1.
steps_git tag -d topic/poll-rework >/dev/null
steps_commit 'other ways' 'exact.a ok' 'quiet.b ok' "$steps_reverse not ok" "$steps_in_order = 1"
steps_git tag topic/poll-rework
steps_run 6.12
steps_says "a promise that begins with poll-rework is broken there only" 1 \
	'^worse at step 5, .*in_reverse_cause_one_wakeup: passed at step 4'

# What is known of one step by now is held against another.
steps_run 6.12
# Rebased: other commits, with the same subjects.
steps_git rebase -q --no-ff --keep-base base
steps_run 6.12
steps_says "a tree that has been rebased" 1 '^worse at step 5, '
steps_ran "what has only another commit is not run again" 0 0
steps_commit 'broken' 'broken'
steps_git tag -f topic/poll-rework >/dev/null
refuses "a step that does not build" "6.12 step: it does not build" "$steps_tools/test/steps.py" 6.12
if grep -q '^step 6 does not build: poll-rework: broken' "$tmp/out"; then
	ok "and is named"
else
	not_ok "and is named" <"$tmp/out"
fi
steps_git tag -d topic/poll-fixes topic/poll-rework >/dev/null
steps_git tag topic/poll-fixes base
refuses "a topic that is gone" "no 'stock' in build/6.12/src, with which the topic poll-fixes ends" \
	"$steps_tools/test/steps.py" 6.12
steps_git tag -d topic/poll-fixes >/dev/null
refuses "a tree without topics" "no topic/. tags" "$steps_tools/test/steps.py" 6.12
