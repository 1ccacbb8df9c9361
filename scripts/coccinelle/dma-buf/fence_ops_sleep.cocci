// SPDX-License-Identifier: GPL-2.0
/// dma_fence_ops.enable_signaling, .signaled and .release are called from hard
/// interrupt context as well, and with interrupts disabled.  They must not
/// sleep, allocate memory with anything that may, drop an mm, or wait for a
/// timer that is not TIMER_IRQSAFE.
///
// Confidence: Moderate
// Comments: Looks into what they call, four calls deep, in all files that the
//# same spatch has read: coccicheck gives it one at a time, the audit of this
//# series those that belong together.  What stands behind a pointer is not seen,
//# nor that a path is never taken.  There is no patch mode.
// Options: --no-includes --include-headers

virtual context
virtual org
virtual report

@initialize:python@
@@

import re

DEPTH = 4
# A function is known by its file and name, a place in it by file, line and column.
calls, known = {}, {}
roots, static, irqsafe, timers = set(), set(), set(), {}

def here(p):
    return (p.file, p.current_element)

def at(p):
    return (p.file, p.line, p.column)

def member(timer):
    """The last part of its name"""
    return re.split(r"->|\.|&", re.sub(r"\s+", "", timer))[-1]

def meant(caller, name):
    """The functions that a call by this name may mean"""
    if (caller[0], name) in calls:
        return [(caller[0], name)]
    return [f for f in calls if f[1] == name and f not in static]

def reached(p):
    """Is this place in a function that is reached from the operations?"""
    if "reached" not in known:
        found, edge = set(), [g for f in roots for g in meant(f, f[1])]
        for _ in range(DEPTH + 1):
            found.update(edge)
            edge = set(g for f in edge for name in calls[f] for g in meant(f, name)) - found
        known["reached"] = found
    return here(p) in known["reached"]

@ops@
identifier s, fn;
identifier op = {enable_signaling, signaled, release};
position p;
@@

 struct dma_fence_ops s = { .op = fn@p, };

@script:python@
fn << ops.fn;
p << ops.p;
@@

roots.add((p[0].file, fn))

@inner depends on ops@
type T;
identifier f;
position p;
@@

 static T f@p(...) { ... }

@script:python@
f << inner.f;
p << inner.p;
@@

static.add((p[0].file, f))

@call depends on ops@
identifier g;
position p;
@@

 g@p(...)

@script:python@
g << call.g;
p << call.p;
@@

calls.setdefault(here(p[0]), set()).add(g)
known.clear()

@irqsafe depends on ops@
expression e, flags;
identifier f = {timer_setup, __timer_setup, timer_setup_on_stack};
@@

 f(e, ..., \(TIMER_IRQSAFE\|TIMER_IRQSAFE | flags\))

@script:python@
e << irqsafe.e;
@@

irqsafe.add(member(e))

@sleeps depends on ops@
identifier f = {mutex_lock, mutex_lock_interruptible, mutex_lock_killable, mutex_lock_nested, down, down_interruptible, down_killable, down_timeout, down_read, down_write, down_read_killable, down_write_killable, ww_mutex_lock, ww_mutex_lock_interruptible, rt_mutex_lock, dma_resv_lock, dma_resv_lock_interruptible, dma_resv_wait_timeout, dma_fence_wait, dma_fence_wait_timeout, drm_modeset_lock, ttm_bo_reserve, msleep, msleep_interruptible, ssleep, fsleep, usleep_range, schedule, schedule_timeout, schedule_timeout_interruptible, schedule_timeout_uninterruptible, cond_resched, might_sleep, flush_work, flush_delayed_work, flush_workqueue, destroy_workqueue, cancel_work_sync, cancel_delayed_work_sync, kthread_stop, synchronize_rcu, synchronize_srcu, synchronize_irq, disable_irq, irq_work_sync, hrtimer_cancel, mmdrop, mmput, iput, dput, vmalloc, vzalloc, pm_runtime_get_sync, pm_runtime_resume_and_get, copy_from_user, copy_to_user} || =~ "^wait_event[a-z_]*$" || =~ "^wait_for_completion[a-z_]*$" || =~ "^clk_prepare[a-z_]*$";
position p : script:python() { reached(p[0]) };
@@

 f@p(...)

@kernel depends on ops@
identifier f;
position p : script:python() { reached(p[0]) };
@@

 f@p(..., GFP_KERNEL, ...)

// Without flags these are GFP_KERNEL.
@object depends on ops@
expression e, n;
position p : script:python() { reached(p[0]) };
@@

(
 \(kmalloc_obj@p\|kzalloc_obj@p\|kvmalloc_obj@p\|kvzalloc_obj@p\)(e)
|
 \(kmalloc_objs@p\|kzalloc_objs@p\|kvmalloc_objs@p\|kvzalloc_objs@p\)(e, n)
)

@timer depends on ops@
expression e : script:python() { member(e) not in irqsafe };
identifier f = {del_timer_sync, timer_delete_sync, timer_shutdown_sync, del_singleshot_timer_sync};
position p : script:python() { reached(p[0]) };
@@

 f@p(e)

@depends on context@
identifier f;
position sleeps.p;
@@

*f@p(...)

@depends on context@
identifier f;
position kernel.p;
@@

*f@p(...)

@depends on context@
identifier f;
position object.p;
@@

*f@p(...)

@depends on context@
identifier f;
position timer.p;
@@

*f@p(...)

@script:python depends on org@
p << sleeps.p;
f << sleeps.f;
@@

coccilib.org.print_todo(p[0], "%s: reached from dma_fence_ops, calls %s" % (p[0].current_element, f))

@script:python depends on report@
p << sleeps.p;
f << sleeps.f;
@@

coccilib.report.print_report(p[0], "%s: reached from dma_fence_ops, calls %s" % (p[0].current_element, f))

@script:python depends on org@
p << kernel.p;
@@

coccilib.org.print_todo(p[0], "%s: reached from dma_fence_ops, allocates with GFP_KERNEL" % p[0].current_element)

@script:python depends on report@
p << kernel.p;
@@

coccilib.report.print_report(p[0], "%s: reached from dma_fence_ops, allocates with GFP_KERNEL" % p[0].current_element)

@script:python depends on org@
p << object.p;
@@

coccilib.org.print_todo(p[0], "%s: reached from dma_fence_ops, allocates with GFP_KERNEL" % p[0].current_element)

@script:python depends on report@
p << object.p;
@@

coccilib.report.print_report(p[0], "%s: reached from dma_fence_ops, allocates with GFP_KERNEL" % p[0].current_element)

@script:python depends on org@
p << timer.p;
@@

coccilib.org.print_todo(p[0], "%s: reached from dma_fence_ops, waits for a timer that is not TIMER_IRQSAFE" % p[0].current_element)

@script:python depends on report@
p << timer.p;
@@

coccilib.report.print_report(p[0], "%s: reached from dma_fence_ops, waits for a timer that is not TIMER_IRQSAFE" % p[0].current_element)
