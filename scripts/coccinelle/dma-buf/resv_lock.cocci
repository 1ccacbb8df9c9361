// SPDX-License-Identifier: GPL-2.0
/// dma_resv_add_fence() and dma_resv_reserve_fences() are for the holder of
/// the reservation lock.
///
// Confidence: Moderate
// Comments: A function that neither takes a lock nor asserts one is all right
//# if some caller in the same file does, as far up as calls there lead.  Names
//# with lock, reserve, drm_exec or assert_held count.  What callers in other
//# files do is not seen: of 15 findings in 7.3.4 none was a proven error, most
//# were helpers whose callers in other files lock.  There is no patch mode.
// Options: --no-includes --include-headers

virtual context
virtual org
virtual report

@initialize:python@
@@

import re

LOCKS = re.compile(r"lock|ttm_.*reserve|bo_reserve|eu_reserve|prepare_job|drm_exec|gpuvm_exec|assert_\w*held|ttm_bo_(init|validate)")
SPIN = re.compile("spin_|mutex_|read_lock|write_lock|rcu_|unlock|lock_init|lockdep_(un|re)pin|clock|local_|lockdep_assert_held_write")
calls = {}

def covered(where):
    """Some function that leads here locks, itself or in what it calls."""
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
            if LOCKS.search(func) and not SPIN.search(func) and func not in up:
                return True
            todo += graph.get(func, ())
    return False

@user@
identifier a = {dma_resv_add_fence, dma_resv_reserve_fences};
@@

 a(...)

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

@use@
identifier a = {dma_resv_add_fence, dma_resv_reserve_fences};
position p : script:python() { not covered(p[0]) };
@@

 a@p(...)

// After the unlock.
@late exists@
expression r, e;
identifier a = {dma_resv_add_fence, dma_resv_reserve_fences};
position p;
@@

 dma_resv_unlock(r)
 ... when != \(dma_resv_lock\|dma_resv_lock_interruptible\|dma_resv_lock_slow\|dma_resv_lock_slow_interruptible\|dma_resv_trylock\)(r, ...)
     when != r = e
 a@p(r, ...)

// On some path the lock is taken ...
@locked exists@
expression r;
identifier l = {dma_resv_lock, dma_resv_lock_interruptible, dma_resv_trylock};
identifier a = {dma_resv_add_fence, dma_resv_reserve_fences};
position p;
@@

 l(r, ...)
 ... when any
 a@p(r, ...)

// ... and on some other it is not.
@unlocked exists@
identifier f, a;
identifier l =~ "lock" || =~ "reserve" || =~ "drm_exec" || =~ "assert_.*held";
position locked.p, q;
@@

 f(...) {
 ... when != l(...)
 a@p@q(...)
 ... when any
 }

@depends on context@
identifier use.a;
position use.p;
@@

*a@p(...)

@depends on context@
identifier late.a;
position late.p;
@@

*a@p(...)

@depends on context@
identifier unlocked.a;
position unlocked.q;
@@

*a@q(...)

@script:python depends on org@
p << use.p;
@@

coccilib.org.print_todo(p[0], "%s: the reservation lock is taken neither here nor in callers of this file" % p[0].current_element)

@script:python depends on report@
p << use.p;
@@

coccilib.report.print_report(p[0], "%s: the reservation lock is taken neither here nor in callers of this file" % p[0].current_element)

@script:python depends on org@
p << late.p;
@@

coccilib.org.print_todo(p[0], "%s: used after the reservation lock was dropped" % p[0].current_element)

@script:python depends on report@
p << late.p;
@@

coccilib.report.print_report(p[0], "%s: used after the reservation lock was dropped" % p[0].current_element)

@script:python depends on org@
p << unlocked.q;
@@

coccilib.org.print_todo(p[0], "%s: a path comes here without the reservation lock" % p[0].current_element)

@script:python depends on report@
p << unlocked.q;
@@

coccilib.report.print_report(p[0], "%s: a path comes here without the reservation lock" % p[0].current_element)
