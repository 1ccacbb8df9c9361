// SPDX-License-Identifier: GPL-2.0
/// An armed callback holds no reference on its fence.  A reference that is
/// dropped between dma_fence_add_callback() and the call may be the last one:
/// the fence is then freed with the callback on its list.
///
// Confidence: Moderate
// Comments: Another reference may keep the fence: in a structure, or with the
//# caller.  The put has to be on a path on which the callback was added.
//# There is no patch mode: where the reference ought to be dropped, in the
//# callback or after dma_fence_remove_callback(), is for the author to decide.
// Options: --no-includes --include-headers

virtual context
virtual org
virtual report

// The result is not looked at, or an if statement deals with the failure and
// the path goes on behind it.
@armed exists@
expression f, e;
statement S;
position p;
@@

(
 dma_fence_add_callback(f, ...);
|
 if (dma_fence_add_callback(f, ...)) S
|
 if (dma_fence_add_callback(f, ...) != 0) S
|
 if (dma_fence_add_callback(f, ...) < 0) S
|
 if (dma_fence_add_callback(f, ...) == -ENOENT) S
)
 ... when != dma_fence_remove_callback(f, ...)
     when != dma_fence_get(f)
     when != dma_fence_wait(f, ...)
     when != dma_fence_signal(f)
     when != dma_fence_wait_timeout(f, ...)
     when != f = e
 dma_fence_put@p(f);

// The same with a variable for the result.
@stored exists@
expression f, e;
local idexpression x;
statement S;
position p;
@@

 x = dma_fence_add_callback(f, ...);
 ... when != dma_fence_remove_callback(f, ...)
     when != x
(
 if (x) S
|
 if (x != 0) S
|
 if (x < 0) S
|
 if (x == -ENOENT) S
)
 ... when != dma_fence_remove_callback(f, ...)
     when != dma_fence_get(f)
     when != dma_fence_wait(f, ...)
     when != dma_fence_signal(f)
     when != dma_fence_wait_timeout(f, ...)
     when != f = e
 dma_fence_put@p(f);

// In the branch of success.
@inside exists@
expression f, e;
local idexpression x;
position p;
@@

(
 if (!dma_fence_add_callback(f, ...)) {
  ... when != dma_fence_remove_callback(f, ...)
      when != dma_fence_get(f)
      when != dma_fence_wait(f, ...)
      when != dma_fence_signal(f)
      when != dma_fence_wait_timeout(f, ...)
      when != f = e
  dma_fence_put@p(f);
  ... when any
 }
|
 x = dma_fence_add_callback(f, ...);
 if (!x) {
  ... when != dma_fence_remove_callback(f, ...)
      when != dma_fence_get(f)
      when != dma_fence_wait(f, ...)
      when != dma_fence_signal(f)
      when != dma_fence_wait_timeout(f, ...)
      when != f = e
  dma_fence_put@p(f);
  ... when any
 }
)

@depends on context@
position armed.p;
@@

*dma_fence_put@p(...)

@depends on context@
position stored.p;
@@

*dma_fence_put@p(...)

@depends on context@
position inside.p;
@@

*dma_fence_put@p(...)

@script:python depends on org@
p << armed.p;
@@

coccilib.org.print_todo(p[0], "%s: fence put while its callback is armed" % p[0].current_element)

@script:python depends on report@
p << armed.p;
@@

coccilib.report.print_report(p[0], "%s: fence put while its callback is armed" % p[0].current_element)

@script:python depends on org@
p << stored.p;
@@

coccilib.org.print_todo(p[0], "%s: fence put while its callback is armed" % p[0].current_element)

@script:python depends on report@
p << stored.p;
@@

coccilib.report.print_report(p[0], "%s: fence put while its callback is armed" % p[0].current_element)

@script:python depends on org@
p << inside.p;
@@

coccilib.org.print_todo(p[0], "%s: fence put while its callback is armed" % p[0].current_element)

@script:python depends on report@
p << inside.p;
@@

coccilib.report.print_report(p[0], "%s: fence put while its callback is armed" % p[0].current_element)
