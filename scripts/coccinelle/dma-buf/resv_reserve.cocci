// SPDX-License-Identifier: GPL-2.0
/// dma_resv_add_fence() needs a slot that dma_resv_reserve_fences() has made
/// under the same lock; without one it is a BUG.  The reservation may fail, so
/// its result counts as well.
///
// Confidence: Moderate
// Comments: A function that reserves has to do so on every path to the fence.
//# For one that does not, some caller in the same file, as far up as calls
//# there lead, has to reserve, itself or in what it calls.  Names such as
//# ttm_bo_validate, drm_exec_prepare_obj or *_reserve* count as well.  What
//# callers in other files do is not seen.  There is no patch mode.
// Options: --no-includes --include-headers

virtual context
virtual org
virtual report

@initialize:python@
@@

import re

RESERVES = re.compile("reserve|reservation|prepare|ttm_bo_(validate|evict|init)|gpuvm_exec_lock|lock_(bos|objects)")
calls = {}

def covered(where):
    """Some function that leads here reserves, itself or in what it calls."""
    graph = calls.get(where.file, {})
    up, todo = set(), [where.current_element]
    while todo:
        func = todo.pop()
        if func not in up:
            up.add(func)
            todo += [f for f in graph if func in graph[f]]
    down, todo = set(), list(up)
    while todo:
        func = todo.pop()
        if func not in down:
            down.add(func)
            if RESERVES.search(func) and func not in up:
                return True
            todo += graph.get(func, ())
    return False

@user@
@@

 dma_resv_add_fence(...)

@call depends on user@
identifier g;
position p;
@@

 g@p(...)

@script:python@
g << call.g;
p << call.p;
@@

calls.setdefault(p[0].file, {}).setdefault(p[0].current_element, set()).add(g)

// Some path comes here with a reservation ...
@with exists@
position p;
@@

 \(dma_resv_reserve_fences\|drm_exec_prepare_obj\)(...)
 ... when any
 dma_resv_add_fence@p(...)

// One loop that reserves and one that adds go round equally often, if at all.
@looped exists@
iterator i;
position p;
@@

(
 for (...; ...; ...) {
  <+... dma_resv_reserve_fences(...) ...+>
 }
|
 i(...) {
  <+... dma_resv_reserve_fences(...) ...+>
 }
)
 ... when any
 dma_resv_add_fence@p(...);

// ... and some other without.
@without exists@
identifier f;
position with.p, q != looped.p;
@@

 f(...) {
 ... when != \(dma_resv_reserve_fences\|drm_exec_prepare_obj\)(...)
 dma_resv_add_fence@p@q(...)
 ... when any
 }

@add@
position p != with.p;
position q : script:python() { not covered(q[0]) };
@@

 dma_resv_add_fence@p@q(...)

// The lock was given up in between: what was reserved is gone.
@unlocked exists@
expression r;
position p;
@@

 dma_resv_reserve_fences(r, ...)
 ... when any
 dma_resv_unlock(r)
 ... when != dma_resv_reserve_fences(r, ...)
 dma_resv_add_fence@p(r, ...)

@ignored exists@
expression r;
position p;
@@

 dma_resv_reserve_fences@p(r, ...);
 ... when any
 dma_resv_add_fence(r, ...);

@depends on context@
position without.q;
@@

*dma_resv_add_fence@q(...)

@depends on context@
position add.p;
@@

*dma_resv_add_fence@p(...)

@depends on context@
position unlocked.p;
@@

*dma_resv_add_fence@p(...)

@depends on context@
position ignored.p;
@@

*dma_resv_reserve_fences@p(...)

@script:python depends on org@
p << without.q;
@@

coccilib.org.print_todo(p[0], "%s: fence added on a path that reserves no slot" % p[0].current_element)

@script:python depends on report@
p << without.q;
@@

coccilib.report.print_report(p[0], "%s: fence added on a path that reserves no slot" % p[0].current_element)

@script:python depends on org@
p << add.p;
@@

coccilib.org.print_todo(p[0], "%s: fence added, nothing here or in callers of this file reserves a slot" % p[0].current_element)

@script:python depends on report@
p << add.p;
@@

coccilib.report.print_report(p[0], "%s: fence added, nothing here or in callers of this file reserves a slot" % p[0].current_element)

@script:python depends on org@
p << unlocked.p;
@@

coccilib.org.print_todo(p[0], "%s: fence added after an unlock that voids the reserved slot" % p[0].current_element)

@script:python depends on report@
p << unlocked.p;
@@

coccilib.report.print_report(p[0], "%s: fence added after an unlock that voids the reserved slot" % p[0].current_element)

@script:python depends on org@
p << ignored.p;
@@

coccilib.org.print_todo(p[0], "%s: result of dma_resv_reserve_fences ignored" % p[0].current_element)

@script:python depends on report@
p << ignored.p;
@@

coccilib.report.print_report(p[0], "%s: result of dma_resv_reserve_fences ignored" % p[0].current_element)
