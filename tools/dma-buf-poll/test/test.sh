#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# test.sh BASE|all: the test suite
#
# Runs each part, shows what it said, and ends with N passed, N failed,
# N skipped over all of them. A part that ends without such a line, or with a
# status that does not go with it, counts as one failure more.
#
# With ARCH= these are the parts that ARCH changes: the build, the contract in the guest,
# and what compilers say.
#
# Builds all of a base first; make test and make test-all call it.

. "${BASH_SOURCE%/*}/../lib.sh"

arg=${1:?usage: test.sh BASE|all}
if [ "$arg" = all ]; then
	mapfile -t list < <(bases)
else
	check_base "$arg"
	list=("$arg")
fi
plain_kernels test

mkdir -p "$top/build"
said=$(mktemp)
trap 'rm -f "$said"' EXIT

# part NAME COMMAND...: its status is in $status
# shellcheck disable=SC2030,SC2031 # a part counts for itself
part() {
	local name=$1

	status=0
	shift
	echo "# == $name"
	{ passed=0 failed=0 skipped=0 told=0; "$@"; } 2>&1 | tee "$said" || status=$?
	tally "$name" "$status" \
		"$(grep -E '^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$' "$said" | tail -n1 || :)"
}

# tell_status WHAT COMMAND...: a part with one result, and what the command says before it
tell_status() {
	if "${@:2}"; then
		ok "$1"
	else
		not_ok "$1" </dev/null
	fi
	verdict
}

# All that the parts of a base take: the tree, the kernels, the tests
build() {
	tell_status "the kernels and the tests build" make -s -C "$top" BASE="$1" ARCH="$DBP_ARCH" kernels
}

# The kernels, their logs, and what the tests said on them. That a log is not
# clean is no test's result: tally() hears of it by the status.
contract() {
	local status=0

	"$tools/test/run.sh" "$1" || status=$?
	"$tools/test/report.py" --tests "$1" || status=$?
	return $status
}

# Mail needs a sender, and not every machine that runs the tests has one.
mail() {
	if git -C "$top" config user.email >/dev/null; then
		"$tools/mail/send-check.sh" "$1"
	else
		skip "the series as mail" "nobody to send it: git config user.name and user.email"
		verdict
	fi
}

# What goes where, and what holds there: for all bases together.
backports() {
	tell_status "every base holds what it promises, and no port is needless" "$tools/mail/backport-report.py"
}

for base in "${list[@]}"; do
	part "$base: the build" build "$base"
	# Of what is left from before nothing is to be told.
	[ $status = 0 ] || continue
	part "$base: the contract" contract "$base"
	if [ -n "$arch_suffix" ]; then
		part "$base: it compiles" "$tools/check/arches.sh" "$base" "$arch"
		continue
	fi
	part "$base: static checks" "$tools/check/check.sh" "$base"
	if [ -f "$top/build/$base/src/Documentation/driver-api/dma-buf-poll.rst" ]; then
		part "$base: the documentation" "$tools/check/htmldocs.sh" "$base"
	fi
	part "$base: the series as mail" mail "$base"
	if [ -f "$top/drivers/dma-buf/st-dma-buf-poll.c" ] && [ "$base" != 5.10 ]; then
		part "$base: KUnit" "$tools/test/kunit.sh" "$base"
	fi
done
if [ -n "$arch_suffix" ]; then
	echo "# the other checks, mail, KUnit under UML, the models and the harness say the same for $arch: 'make test' without ARCH="
	echo "# == all"
	# shellcheck disable=SC2031
	verdict && [ "$passed" -gt 0 ]
	exit
fi
if [ -x "$tools/model/model.sh" ]; then
	part "the model" "$tools/model/model.sh"
fi
part "memory ordering" "$tools/model/litmus.sh"
part "the semantic patches" "$tools/audit/cocci-test.sh"
part "the harness" "$tools/self/harness-test.sh" "${list[0]}"
if [ "$arg" = all ]; then
	part "the bases" backports
fi

echo "# == all"
# shellcheck disable=SC2031
verdict && [ "$passed" -gt 0 ]
