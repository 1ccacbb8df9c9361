// SPDX-License-Identifier: GPL-2.0
/// dma_resv_get_fences() allocates an array and takes a reference on each
/// fence.  To look at each of them once dma_resv_for_each_fence() or, without
/// the lock, dma_resv_for_each_fence_unlocked() needs neither, and to wait for
/// them there is dma_resv_wait_timeout().
///
// Confidence: Moderate
// Comments: A loop that may not run under RCU or the lock needs the references
//# after all: but the unlocked iterator holds one for each step.
//# There is no patch mode: lock or no lock is for the author to decide.
// Options: --no-includes --include-headers

virtual context
virtual org
virtual report

@looped exists@
local idexpression struct dma_fence **fs;
local idexpression r;
expression resv, u, n, i, e;
statement S, S2;
position p;
@@

(
 r = dma_resv_get_fences@p(resv, u, &n, &fs);
|
 if (dma_resv_get_fences@p(resv, u, &n, &fs)) S
)
 ... when != fs = e
 for (i = 0; i < n; \(i++\|++i\)) S2

// Kept, handed on or walked again: then an array it has to be.
@kept exists@
local idexpression struct dma_fence **fs;
expression resv, u, n, i, e;
identifier k != {kfree, kvfree, dma_fence_put};
position k1;
statement S, S2, S4;
local idexpression r;
@@

(
 r = dma_resv_get_fences@k1(resv, u, &n, &fs);
|
 if (dma_resv_get_fences@k1(resv, u, &n, &fs)) S
)
 ... when any
(
 e = fs;
|
 return fs;
|
 e = k(..., fs, ...);
|
 k(..., fs, ...);
|
 if (k(..., fs, ...)) S4
|
 for (i = 0; i < n; \(i++\|++i\)) S2
 ... when any
 for (i = 0; i < n; \(i++\|++i\)) {
  <+... k(..., fs[i], ...) ...+>
 }
)

@once@
position looped.p;
position q != kept.k1;
@@

 dma_resv_get_fences@p@q(...)

// A singleton only to wait for it, and not to arm a callback first.
@armed exists@
local idexpression struct dma_fence *f;
position p;
@@

 dma_resv_get_singleton@p(..., &f)
 ... when any
 dma_fence_add_callback(f, ...)

@waited exists@
local idexpression struct dma_fence *f;
local idexpression r;
expression resv, u, e;
statement S;
position p != armed.p;
@@

(
 r = dma_resv_get_singleton@p(resv, u, &f);
|
 if (dma_resv_get_singleton@p(resv, u, &f)) S
)
 ... when != f = e
     when != dma_fence_get(f)
(
 dma_fence_wait(f, ...);
|
 dma_fence_wait_timeout(f, ...);
|
 e = dma_fence_wait(f, ...);
|
 e = dma_fence_wait_timeout(f, ...);
|
 if (<+... \(dma_fence_wait\|dma_fence_wait_timeout\)(f, ...) ...+>) S
)
 ... when != f = e
 dma_fence_put(f);

@depends on context && once@
position looped.p;
position q != kept.k1;
@@

*dma_resv_get_fences@p@q(...)

@depends on context@
position waited.p;
@@

*dma_resv_get_singleton@p(...)

@script:python depends on org@
p << once.q;
@@

coccilib.org.print_todo(p[0], "%s: dma_resv_get_fences for a single loop" % p[0].current_element)

@script:python depends on report@
p << once.q;
@@

coccilib.report.print_report(p[0], "%s: dma_resv_get_fences for a single loop" % p[0].current_element)

@script:python depends on org@
p << waited.p;
@@

coccilib.org.print_todo(p[0], "%s: dma_resv_get_singleton only to wait" % p[0].current_element)

@script:python depends on report@
p << waited.p;
@@

coccilib.report.print_report(p[0], "%s: dma_resv_get_singleton only to wait" % p[0].current_element)
