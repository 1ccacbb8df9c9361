// SPDX-License-Identifier: GPL-2.0
/// dma_fence_add_callback() returns -ENOENT when the fence has signaled
/// already, and then the callback is never called.  Whoever ignores the
/// result waits for a call that does not come.
///
// Confidence: High
// Comments: A cast to void says that the loss is meant, and is not reported.
//# There is no patch mode: what to do about a fence that has signaled only
//# the caller knows.
// Options: --no-includes --include-headers

virtual context
virtual org
virtual report

@ignored@
position p;
@@

 dma_fence_add_callback@p(...);

// Assigned, and then not looked at on any path.
@unread@
local idexpression x;
position p;
@@

 x = dma_fence_add_callback@p(...);
 ... when != x

@depends on context@
position ignored.p;
@@

*dma_fence_add_callback@p(...)

@depends on context@
position unread.p;
@@

*dma_fence_add_callback@p(...)

@script:python depends on org@
p << ignored.p;
@@

coccilib.org.print_todo(p[0], "%s: result of dma_fence_add_callback ignored" % p[0].current_element)

@script:python depends on org@
p << unread.p;
@@

coccilib.org.print_todo(p[0], "%s: result of dma_fence_add_callback never read" % p[0].current_element)

@script:python depends on report@
p << ignored.p;
@@

coccilib.report.print_report(p[0], "%s: result of dma_fence_add_callback ignored" % p[0].current_element)

@script:python depends on report@
p << unread.p;
@@

coccilib.report.print_report(p[0], "%s: result of dma_fence_add_callback never read" % p[0].current_element)
