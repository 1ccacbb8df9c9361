// SPDX-License-Identifier: GPL-2.0
/// dma_resv_iter_begin() without a dma_resv_iter_end() on every path.  The
/// unlocked iteration holds a reference on the fence it stands at, and only
/// the next step or dma_resv_iter_end() drops it: a return, a goto or a break
/// out of it leaks the fence.
///
// Confidence: High
// Comments: A cursor that another function ends is not known to be ended.
// Options: --no-includes --include-headers

virtual patch
virtual context
virtual org
virtual report

@good forall@
expression c;
position p;
@@

 dma_resv_iter_begin@p(c, ...);
 ... when any
     when strict
 dma_resv_iter_end(c);

@bad forall@
expression c;
position p != good.p;
@@

 dma_resv_iter_begin@p(c, ...);

// The two forms that can be mended by machine: a return out of the loop, and
// no dma_resv_iter_end() at all behind it.
@depends on patch@
expression c, f;
statement S;
position bad.p;
iterator name dma_resv_for_each_fence_unlocked;
@@

 dma_resv_iter_begin@p(c, ...);
 ... when != dma_resv_iter_end(c)
(
 dma_resv_for_each_fence_unlocked(c, f) {
  <+... when != dma_resv_iter_end(c)
+ dma_resv_iter_end(c);
  return ...;
  ...+>
 }
|
 dma_resv_for_each_fence_unlocked(c, f) S
+dma_resv_iter_end(c);
 ... when any
     when != dma_resv_iter_end(c)
)

@depends on context@
position bad.p;
@@

*dma_resv_iter_begin@p(...)

@script:python depends on org@
p << bad.p;
@@

coccilib.org.print_todo(p[0], "%s: dma_resv_iter_begin without dma_resv_iter_end on some path" % p[0].current_element)

@script:python depends on report@
p << bad.p;
@@

coccilib.report.print_report(p[0], "%s: dma_resv_iter_begin without dma_resv_iter_end on some path" % p[0].current_element)
