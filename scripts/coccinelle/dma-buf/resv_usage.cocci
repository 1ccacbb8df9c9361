// SPDX-License-Identifier: GPL-2.0
/// DMA_RESV_USAGE_* that contradicts the access.  A fence of a write has to be
/// added as DMA_RESV_USAGE_WRITE, or readers do not wait for it, and one of a
/// read as DMA_RESV_USAGE_READ.  dma_resv_usage_rw() says what an access has
/// to wait for, which is the opposite, and is not for dma_resv_add_fence().
///
// Confidence: Moderate
// Comments: Goes by names: what is called write, dst or exclusive is taken for
//# a write, what is called read, src or shared for a read.  Two names, or
//# none, and nothing is said.
// Options: --no-includes --include-headers

virtual patch
virtual context
virtual org
virtual report

@initialize:python@
@@

import re

WRITE = re.compile(r"(^|[^a-z])(wr|write|writes|written|writable|dst|dest|excl|exclusive)([^a-z]|$)", re.I)
READ = re.compile(r"(^|[^a-z])(rd|read|reads|readonly|ro|src|shared)([^a-z]|$)", re.I)

def says(text):
    """'w' or 'r', if the text speaks of one of them; a negation turns it."""
    write, read = bool(WRITE.search(text)), bool(READ.search(text))
    if write == read:
        return None
    turned = text.strip().startswith("!") != bool(re.search(r"==\s*(0|false|NULL)\b", text))
    return "w" if write != turned else "r"

@rw@
expression o, f;
position p;
@@

 dma_resv_add_fence@p(o, f, dma_resv_usage_rw(...))

@inv@
expression o;
expression f;
expression c : script:python() { says(c) == "w" };
position p;
@@

 dma_resv_add_fence@p(o, f, c ? DMA_RESV_USAGE_READ : DMA_RESV_USAGE_WRITE)

@inv2@
expression o;
expression f;
expression c : script:python() { says(c) == "r" };
position p;
@@

 dma_resv_add_fence@p(o, f, c ? DMA_RESV_USAGE_WRITE : DMA_RESV_USAGE_READ)

// By way of a variable.
@var@
expression c : script:python() { says(c) == "w" };
idexpression u;
position p;
@@

 u@p = c ? DMA_RESV_USAGE_READ : DMA_RESV_USAGE_WRITE
 
@var2@
expression c : script:python() { says(c) == "r" };
idexpression u;
position p;
@@

 u@p = c ? DMA_RESV_USAGE_WRITE : DMA_RESV_USAGE_READ

// Behind a test.
@ifw@
expression o;
expression f;
expression c : script:python() { says(c) == "w" };
position p;
@@

 if (c) {
  <+... dma_resv_add_fence@p(o, f, DMA_RESV_USAGE_READ) ...+>
 }

@ifr@
expression o;
expression f;
expression c : script:python() { says(c) == "r" };
position p;
@@

 if (c) {
  <+... dma_resv_add_fence@p(o, f, DMA_RESV_USAGE_WRITE) ...+>
 }

// The object itself is called so.
@objw@
expression o : script:python() { says(o) == "w" };
expression f;
position p;
@@

 dma_resv_add_fence@p(o, f, DMA_RESV_USAGE_READ)

@objr@
expression o : script:python() { says(o) == "r" };
expression f;
position p;
@@

 dma_resv_add_fence@p(o, f, DMA_RESV_USAGE_WRITE)

// A wait for what a reader has to wait for, to write; and the other way round.
@waitw@
expression c : script:python() { says(c) == "w" };
identifier f = {dma_resv_wait_timeout, dma_resv_test_signaled, dma_resv_get_fences, dma_resv_get_singleton, dma_resv_iter_begin};
position p;
@@

 f@p(..., c ? DMA_RESV_USAGE_WRITE : DMA_RESV_USAGE_READ, ...)

@waitr@
expression c : script:python() { says(c) == "r" };
identifier f = {dma_resv_wait_timeout, dma_resv_test_signaled, dma_resv_get_fences, dma_resv_get_singleton, dma_resv_iter_begin};
position p;
@@

 f@p(..., c ? DMA_RESV_USAGE_READ : DMA_RESV_USAGE_WRITE, ...)

@depends on context@
position rw.p;
@@

*dma_resv_add_fence@p(...)

@depends on context@
position inv.p;
@@

*dma_resv_add_fence@p(...)

@depends on context@
position inv2.p;
@@

*dma_resv_add_fence@p(...)

@depends on context@
expression var.c;
idexpression var.u;
position var.p;
@@

*u@p = c ? DMA_RESV_USAGE_READ : DMA_RESV_USAGE_WRITE

@depends on context@
expression var2.c;
idexpression var2.u;
position var2.p;
@@

*u@p = c ? DMA_RESV_USAGE_WRITE : DMA_RESV_USAGE_READ

@depends on context@
position ifw.p;
@@

*dma_resv_add_fence@p(...)

@depends on context@
position ifr.p;
@@

*dma_resv_add_fence@p(...)

@depends on context@
position objw.p;
@@

*dma_resv_add_fence@p(...)

@depends on context@
position objr.p;
@@

*dma_resv_add_fence@p(...)

@depends on context@
identifier waitw.f;
position waitw.p;
@@

*f@p(...)

@depends on context@
identifier waitr.f;
position waitr.p;
@@

*f@p(...)

@script:python depends on org@
p << rw.p;
@@

coccilib.org.print_todo(p[0], "%s: fence added with dma_resv_usage_rw, which is for waiting" % p[0].current_element)

@script:python depends on report@
p << rw.p;
@@

coccilib.report.print_report(p[0], "%s: fence added with dma_resv_usage_rw, which is for waiting" % p[0].current_element)

@script:python depends on org@
p << inv.p;
@@

coccilib.org.print_todo(p[0], "%s: fence of a write added as a read" % p[0].current_element)

@script:python depends on report@
p << inv.p;
@@

coccilib.report.print_report(p[0], "%s: fence of a write added as a read" % p[0].current_element)

@script:python depends on org@
p << inv2.p;
@@

coccilib.org.print_todo(p[0], "%s: fence of a read added as a write" % p[0].current_element)

@script:python depends on report@
p << inv2.p;
@@

coccilib.report.print_report(p[0], "%s: fence of a read added as a write" % p[0].current_element)

@script:python depends on org@
p << var.p;
@@

coccilib.org.print_todo(p[0], "%s: usage of a write is READ" % p[0].current_element)

@script:python depends on report@
p << var.p;
@@

coccilib.report.print_report(p[0], "%s: usage of a write is READ" % p[0].current_element)

@script:python depends on org@
p << var2.p;
@@

coccilib.org.print_todo(p[0], "%s: usage of a read is WRITE" % p[0].current_element)

@script:python depends on report@
p << var2.p;
@@

coccilib.report.print_report(p[0], "%s: usage of a read is WRITE" % p[0].current_element)

@script:python depends on org@
p << ifw.p;
@@

coccilib.org.print_todo(p[0], "%s: fence of a write added as a read" % p[0].current_element)

@script:python depends on report@
p << ifw.p;
@@

coccilib.report.print_report(p[0], "%s: fence of a write added as a read" % p[0].current_element)

@script:python depends on org@
p << ifr.p;
@@

coccilib.org.print_todo(p[0], "%s: fence of a read added as a write" % p[0].current_element)

@script:python depends on report@
p << ifr.p;
@@

coccilib.report.print_report(p[0], "%s: fence of a read added as a write" % p[0].current_element)

@script:python depends on org@
p << objw.p;
@@

coccilib.org.print_todo(p[0], "%s: fence of a write added as a read" % p[0].current_element)

@script:python depends on report@
p << objw.p;
@@

coccilib.report.print_report(p[0], "%s: fence of a write added as a read" % p[0].current_element)

@script:python depends on org@
p << objr.p;
@@

coccilib.org.print_todo(p[0], "%s: fence of a read added as a write" % p[0].current_element)

@script:python depends on report@
p << objr.p;
@@

coccilib.report.print_report(p[0], "%s: fence of a read added as a write" % p[0].current_element)

@script:python depends on org@
p << waitw.p;
@@

coccilib.org.print_todo(p[0], "%s: a write waits for what a read waits for" % p[0].current_element)

@script:python depends on report@
p << waitw.p;
@@

coccilib.report.print_report(p[0], "%s: a write waits for what a read waits for" % p[0].current_element)

@script:python depends on org@
p << waitr.p;
@@

coccilib.org.print_todo(p[0], "%s: a read waits for what a write waits for" % p[0].current_element)

@script:python depends on report@
p << waitr.p;
@@

coccilib.report.print_report(p[0], "%s: a read waits for what a write waits for" % p[0].current_element)

// What can be mended without knowing more: turn the two around.
@depends on patch@
expression o;
expression f;
expression w;
expression cw : script:python() { says(cw) == "w" };
expression cr : script:python() { says(cr) == "r" };
@@

(
 dma_resv_add_fence(o, f,
-dma_resv_usage_rw(w)
+w ? DMA_RESV_USAGE_WRITE : DMA_RESV_USAGE_READ
 )
|
 dma_resv_add_fence(o, f,
-cw ? DMA_RESV_USAGE_READ : DMA_RESV_USAGE_WRITE
+cw ? DMA_RESV_USAGE_WRITE : DMA_RESV_USAGE_READ
 )
|
 dma_resv_add_fence(o, f,
-cr ? DMA_RESV_USAGE_WRITE : DMA_RESV_USAGE_READ
+cr ? DMA_RESV_USAGE_READ : DMA_RESV_USAGE_WRITE
 )
)
