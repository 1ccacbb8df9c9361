# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154
#
# The part of harness-test.sh that is about the tables in the documents: sourced there
# after report-test.sh, whose made-up results it uses. What the other commands have
# measured is made up as well.

documents=$report_top/tools/dma-buf-poll/documents.py
picture=$report_top/tools/dma-buf-poll/bench/bench-6.12.svg
(cd "$top" && cp -r --parents -t "$report_top" README.md Documentation/process scripts/coccinelle/dma-buf tools/dma-buf-poll)
cp -r "$report_top/Documentation" "$report_top/README.md" "$tmp/"
report_guest 6.12 fixes
report_guest 6.12 rework

# table DOCUMENT NAME: what stands between its marks
table() { sed -n "/ $2:begin/,/ $2:end/p" "$report_top/$1" | sed '1d;$d'; }

# outside FILE: all but the tables, with their marks
outside() { sed -E '/^[^ ]+ [a-z]+:begin/,/^[^ ]+ [a-z]+:end/{/ [a-z]+:(begin|end)/!d}' "$1"; }

# documents_say WHAT STATUS PATTERN...: make readme, and lines of what it says
documents_say() {
	local what=$1 wanted=$2 status=0 pattern

	shift 2
	"$documents" 6.12 >"$tmp/out" 2>&1 || status=$?
	[ "$status" = "$wanted" ] || { not_ok "$what (status $status)" <"$tmp/out"; return; }
	for pattern; do
		grep -qE -- "$pattern" "$tmp/out" || { not_ok "$what (nothing like '$pattern')" <"$tmp/out"; return; }
	done
	ok "$what"
}

# table_has DOCUMENT NAME LINE...: these lines, and around them all is as it was
table_has() {
	local document=$1 name=$2 line

	table "$document" "$name" >"$tmp/table"
	shift 2
	for line; do
		grep -qxF -- "$line" "$tmp/table" || { not_ok "$document: $name has '$line'" 40 <"$tmp/table"; return; }
	done
	if cmp -s <(outside "$tmp/$document") <(outside "$report_top/$document"); then
		ok "$document: $name is written, and nothing around it"
	else
		not_ok "$document: $name is written, and nothing around it" \
			< <(diff "$tmp/$document" "$report_top/$document")
	fi
}

documents_say "readme leaves out what has not run" 0 '^README.md: table$' \
	'^left out, .*: make bench BASE=6.12$' '^left out, .*: make clients BASE=6.12$' \
	'^left out, .*: make compositor BASE=6.12$' \
	'^left out, .*: make audit BASE=mainline$' '^left out, .*: make witness BASE=6.12$'
# Indented, as Markdown wants it.
table_has README.md table '                                                               stock      fixes             rework' \
	'    quiet                                                      FAILS 1/2  ok 1/1            ok 1/1'

made=$report_top/build/6.12
mkdir -p "$made"/{bench,clients,compositor} "$report_top/build/mainline/audit"
printf '%s\n' 'package none_1' 0123456789012345678901234567890123456789 'gcc 0' >"$made/bench/what"
for variant in stock rework; do
	for n in 0 1 4 16 64; do
		printf '# result: poll.signaled.%s\t%s\tinsn\n' "$n" $((n + 600))
	done >"$made/bench/$variant-icount-1.results"
	printf '# result: poll.pipe\t600\tinsn\n# result: poll.idle.inout\t600\tinsn\n' \
		>>"$made/bench/$variant-icount-1.results"
	printf '# client: x callbacks 64\nok 1 x\n' >"$made/log/clients-$variant.results"
	echo 0 >"$made/clients/$variant.status"
done
: >"$made/bench/results.tsv"
echo '<svg>new</svg>' >"$made/bench/report.svg"
printf 'x\ta loop\t\n' >"$made/clients/list"
: >"$made/clients/all-rework"
printf '%s 0.1\n' kwin-wayland mutter sway >"$made/compositor/versions"
for variant in stock rework; do
	for name in kwin mutter sway; do
		echo 0 >"$made/compositor/$name-$variant.status"
		echo "trace: frames-1 [000] ... 1.0: tracing_mark_write: dbp plain 0 left 0 0" \
			>"$made/log/compositor-$name-$variant.results"
	done
done
: >"$made/compositor/all"
echo 'package none_2' >"$report_top/build/mainline/base.id"
{
	printf '# Audit of mainline\n\n| rule | files | found | true | false | unclear | new |\n|---|--:|--:|--:|--:|--:|--:|\n'
	for rule in "$report_top"/scripts/coccinelle/dma-buf/*.cocci; do
		rule=${rule##*/}
		echo "| ${rule%.cocci} | 10 | 2 | 1 | 1 | 0 | 0 |"
	done
	printf '\n## x\n\n- **true** | no row |\n'
} >"$report_top/build/mainline/audit/report.md"
found=$((2 * $(find "$report_top/scripts/coccinelle/dma-buf" -name '*.cocci' | wc -l)))

process=Documentation/process/dma-buf-poll
mkdir -p "$report_top/build/6.12/log/witness"
printf 'ns  stock\nidle  30.0\n' >"$report_top/build/6.12/log/witness/table"
documents_say "readme writes all there is" 0 "^$process-cost.rst: witness$" "^$process-cost.rst: bench$" "^$process-clients.rst: clients$" \
	"^$process-compositor.rst: compositor$" \
	"^$process-audit.rst: audit$" "^$process-audit.rst: ops$"
table_has $process-cost.rst bench '::' '    package none_1' '    gcc 0' \
	'    One poll that returns at once, guest instructions' \
	'    a signaled fence left in the buffer costs 1.0 instructions on stock, 1.0 with rework'
if grep -q '0123456' "$tmp/table"; then
	not_ok "no commit of the tree that was measured" <"$tmp/table"
else
	ok "no commit of the tree that was measured"
fi
if cmp -s "$made/bench/report.svg" "$picture"; then
	ok "the picture is the new one"
else
	not_ok "the picture is the new one" < <(ls -l "$picture")
fi
table_has $process-clients.rst clients '::' \
	'    Event loops that wait for 64 dma-bufs with 4 fences each, package none_1' \
	'    client  stock  callbacks  early  rounds  wake-ups  CPU ms  idle ms  kept  rework  callbacks  early  rounds  wake-ups  CPU ms  idle ms  kept' \
	'    a loop  ok            64      -       -         -       -        -     -  ok             64      -       -         -       -        -     -'
table_has $process-compositor.rst compositor '::' '    sway 0.1                                                  stock   rework' \
	'      clients of which a buffer is left after that            0 of 1  0 of 1'
table_has $process-audit.rst audit '::' "    package none_2, with the series: $found findings" \
	'    fence_ops_sleep      10      2     1      1        0    0'
table_has $process-audit.rst ops '::' '    base      ops  safe  private  bookkeep-only  fixed-by-patch  unsafe'
cp -r "$report_top/Documentation" "$tmp/again"
documents_say "readme a second time" 0
if diff -r "$tmp/again" "$report_top/Documentation" >"$tmp/out"; then
	ok "and it changes nothing"
else
	not_ok "and it changes nothing" <"$tmp/out"
fi

sed -i '/fence_ops_lock/d' "$report_top/build/mainline/audit/report.md"
documents_say "an audit with some of the rules" 1 '^error: the last audit of mainline did not run fence_ops_lock: make audit'
rm "$made/log/clients-rework.results"
documents_say "results that are gone" 1 "^error: .*clients-rework.results is missing: run 'make clients' first"
sed -i '/clients:end/d' "$report_top/$process-clients.rst"
printf 'ok 1 x\n' >"$made/log/clients-rework.results"
documents_say "a document without the marks" 1 \
	"^error: $process-clients.rst has no place for the table: two lines with clients:begin and clients:end" '^README.md: table$'
