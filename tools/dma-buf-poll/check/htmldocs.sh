#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# htmldocs.sh BASE: build/BASE/htmldocs, the pages of the series as HTML
#
# Only Documentation/driver-api/dma-buf.rst and what hangs on it, with the
# extensions of the composed tree but a conf.py of our own: all of the kernel's
# documents take an hour. One "ok" or "not ok" line each; ends with N passed,
# N failed, N skipped.
#
# Takes build/BASE/src; make htmldocs and test.sh call it.

. "${BASH_SOURCE%/*}/../lib.sh"

base=${1:?usage: htmldocs.sh BASE}
check_base "$base"
need_tree "$base"
lock "$base"
out=$top/build/$base
src=$out/src
html=$out/htmldocs
log=$out/log/htmldocs
work=$out/htmldocs-work
page=driver-api/dma-buf-poll
[ -f "$src/Documentation/$page.rst" ] ||
	die "$base: the series has no Documentation/$page.rst"
# Sphinx wants the modules of Debian's Python, not of another one.
PATH=/usr/bin:$PATH
export PYTHONDONTWRITEBYTECODE=1 srctree=$src LC_ALL=C.UTF-8
command -v sphinx-build >/dev/null || die "no sphinx-build here: run 'make deps'"
mkdir -p "$log" "$work"

cat >"$work/conf.py" <<PY
import os
import sys

tree = "$src"
sys.path.insert(0, tree + "/Documentation/sphinx")
# Since 7.0 the extensions import what was a script before.
for lib in ("scripts/lib/kdoc", "scripts/lib", "tools/lib/python", "tools", "scripts"):
    if os.path.isdir(os.path.join(tree, lib)):
        sys.path.append(os.path.join(tree, lib))
project = "dma-buf"
extensions = ["kerneldoc", "rstFlatTable", "kfigure", "automarkup"]
root_doc = "driver-api/dma-buf"
include_patterns = ["driver-api/dma-buf.rst", "driver-api/dma-buf-poll.rst"]
exclude_patterns = ["output"]
primary_domain = "c"
highlight_language = "none"
html_theme = "alabaster"
html_theme_options = {"page_width": "1100px", "fixed_sidebar": True}
script = next(name for name in ("tools/docs/kernel-doc", "scripts/kernel-doc")
              if os.path.exists(os.path.join(tree, name)))
kerneldoc_bin = os.path.join(tree, script)
kerneldoc_srctree = os.environ["srctree"]
# As in the kernel's own: what its declarations are full of
c_id_attributes = ["__rcu", "__user", "__iomem", "noinline", "__must_check"]
PY

# The index is not built, as it names all the others: see that it names us.
index() {
	grep -qxE ' +dma-buf-poll' "$src/Documentation/driver-api/index.rst" &&
		grep -q 'dma-buf-poll' "$src/Documentation/driver-api/dma-buf.rst"
}

# sphinx TREE: as HTML in $html, and what there is to say about it, without the
# other documents, which are not built
sphinx() {
	local status=0

	rm -rf "$html"
	srctree=$1 nice sphinx-build -q -b html -c "$work" -d "$work/doctrees" -E "$1/Documentation" "$html" \
		>"$log/sphinx" 2>&1 </dev/null || status=$?
	if [ $status != 0 ]; then
		tail -n 10 "$log/sphinx"
		return 1
	fi
	grep -E 'dma-buf-poll|dma-buf\.(rst|c|h)|dma-resv\.c|WARNING: dot|rror' "$log/sphinx" |
		grep -vE 'driver-api/dma-buf.*(undefined label|unknown document|isn.t included in any toctree)' |
		sed "s|$1/||g" || :
}

# The kernel-doc of 6.1 has something to say about 6.1 itself: what is said of the
# page as it was is not for us.
build() {
	local stock=$work/stock file page_was=Documentation/driver-api/dma-buf.rst

	rm -rf "$stock"
	mkdir -p "$stock"
	{ echo $page_was
	  git -C "$src" show base:$page_was | sed -n 's/^.. kernel-doc:: *//p'
	} | sort -u >"$work/files"
	while read -r file; do
		mkdir -p "$stock/${file%/*}"
		# Of the base git knows the files that the series changes.
		git -C "$src" show "base:$file" >"$stock/$file" 2>/dev/null ||
			cp "$src/$file" "$stock/$file" || return
	done <"$work/files"
	sphinx "$stock" >"$log/sphinx-stock" || { cat "$log/sphinx-stock"; return 1; }
	sphinx "$src" >"$log/sphinx-series" || { cat "$log/sphinx-series"; return 1; }
	grep -vxF -f <(sed 's/^$/-/' "$log/sphinx-stock") "$log/sphinx-series" || :
	[ -f "$html/$page.html" ] || echo "there is no $html/$page.html"
}

example() {
	# Each line of it, as it is now: quoted, not copied.
	python3 - "$html/$page.html" "$src/Documentation/driver-api/dma-buf-poll-example.c" <<'PY'
import html
import re
import sys

with open(sys.argv[1], encoding="utf-8") as source:
    text = html.unescape(re.sub(r"<[^>]*>", "", source.read()))
with open(sys.argv[2], encoding="utf-8") as source:
    example = source.read()
if example.expandtabs(8).strip() not in text.expandtabs(8):
    sys.exit("the page does not show dma-buf-poll-example.c as it is")
PY
}

picture() {
	grep -qE '<(svg|object|img)[^>]*' "$html/$page.html" &&
		find "$html" -name '*.svg' -size +1k | grep . >/dev/null || echo "no drawing of the states"
}

functions() {
	local name

	for name in dma_buf_poll dma_buf_poll_init dma_buf_poll_release dma_resv_get_unsignaled; do
		grep -q "id=\"c.$name\"" "$html/$page.html" || echo "no description of $name()"
	done
}

process() {
	for file in "$top"/Documentation/process/*.rst; do
		python3 -m docutils --strict --report=2 "$file" /dev/null
	done
}

sphinx-build --version | sed 's/^/# /'
check "the driver-api index and dma-buf.rst name the page" index
check -q "the page builds without a warning" build
check -q "the pages about this repository build without a warning" process
if [ -f "$html/$page.html" ]; then
	check -q "it shows the example that is run" example
	check -q "it draws the states" picture
	check -q "it describes the functions" functions
	say "$base: $html/$page.html"
fi

verdict
