// SPDX-License-Identifier: GPL-2.0
/// dma_fence_ops.enable_signaling, .signaled and .release are called from hard
/// interrupt context as well, and with interrupts disabled.  A lock that they
/// take, and the lock that was given to dma_fence_init(), must not be taken
/// elsewhere with interrupts enabled, and they must not enable interrupts.
///
// Confidence: Moderate
// Comments: Looks into what they call, four calls deep, in all files that the
//# same spatch has read: coccicheck gives it one at a time, the audit of this
//# series those that belong together.  A lock is known by the last two parts of
//# its name.  Interrupts count as disabled after spin_lock_irqsave() and the
//# like in the same function, in handlers of hard interrupts, and in static
//# functions all of whose calls are like that.  guard() is not seen, nor what
//# stands behind a pointer.  There is no patch mode.
// Options: --no-includes --include-headers

virtual context
virtual org
virtual report

@initialize:python@
@@

import os
import re

DEPTH = 4
LOCK = re.compile(r"(raw_)?(spin|read|write)_(try)?lock(_bh|_irq|_irqsave)?$")
PLAIN = re.compile(r"_lock(_bh)?$")
OPENS = re.compile(r"(raw_)?(spin|read|write)_(un)?lock_(irq|bh)$|local_(irq|bh)_(enable|disable)$")
# A function is known by its file and name, a place in it by file, line and column.
areas, calls, sites, known = set(), {}, {}, {}
roots, static, handlers, threads, inside = set(), set(), set(), set(), set()

def here(p):
    return (p.file, p.current_element)

def at(p):
    return (p.file, p.line, p.column)

def key(lock):
    """The last two parts of its name, whatever array it stands in"""
    lock = re.sub(r"\[[^][]*\]", "", re.sub(r"\s+", "", lock)).lstrip("&(*").rstrip(")")
    return ".".join(re.split(r"->|\.", lock)[-2:])

def meant(caller, name):
    """The functions that a call by this name may mean"""
    if (caller[0], name) in calls:
        return [(caller[0], name)]
    return [f for f in calls if f[1] == name and f not in static]

def facts(area):
    """What is reached from the operations below this directory, what runs with
    interrupts disabled, and the locks that the operations need"""
    if area in known:
        return known[area]
    below = lambda f: f[0].startswith(area)
    entries = set(f for f in roots if below(f))
    reached, edge = set(), [g for f in entries for g in meant(f, f[1])]
    for _ in range(DEPTH + 1):
        reached.update(edge)
        edge = set(g for f in edge for name, _ in calls[f] for g in meant(f, name)) - reached
    callers = {}
    for f in calls:
        for name, p in calls[f]:
            for g in meant(f, name):
                callers.setdefault(g, set()).add((f, p in inside))
    off = entries | set(f for f in calls if f[1] in handlers - threads)
    more = off
    while more:
        more = set(g for g in callers if g not in off and g in static and
                   all(quiet or f in off for f, quiet in callers[g]))
        off |= more
    locks = set(lock for f, kind, lock in sites.values()
                if (kind == "init" and below(f)) or f in reached)
    known[area] = reached, off, locks
    return known[area]

def enabled(p):
    """Is this a lock that the operations need, with interrupts enabled?"""
    if at(p) not in sites or at(p) in inside:
        return False
    f, kind, lock = sites[at(p)]
    return bool(PLAIN.search(kind)) and any(
        f[0].startswith(a) and lock in facts(a)[2] and f not in facts(a)[1] for a in areas)

def reached(p):
    return any(here(p) in facts(a)[0] for a in areas)

@ops@
identifier s;
position p;
@@

 struct dma_fence_ops s@p = { ... };

@script:python@
p << ops.p;
@@

areas.add(os.path.join(os.path.dirname(p[0].file), ""))
known.clear()

@root depends on ops@
identifier s, fn;
identifier op = {enable_signaling, signaled, release};
position p;
@@

 struct dma_fence_ops s = { .op = fn@p, };

@script:python@
fn << root.fn;
p << root.p;
@@

roots.add((p[0].file, fn))

// Functions, and what they are good for.
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

@handler depends on ops@
typedef irqreturn_t;
identifier h;
position p;
@@

 irqreturn_t h@p(...) { ... }

@script:python@
h << handler.h;
@@

handlers.add(h)

@behind depends on ops@
identifier h;
@@

(
 init_irq_work(..., h)
|
 hrtimer_setup(..., h, ...)
)

@script:python@
h << behind.h;
@@

handlers.add(h)

// These run in a thread, with interrupts enabled.
@thread depends on ops@
expression a, b, c;
identifier h;
@@

(
 request_threaded_irq(a, b, h, ...)
|
 devm_request_threaded_irq(a, b, c, h, ...)
)

@script:python@
h << thread.h;
@@

threads.add(h)

@call depends on ops@
identifier g;
position p;
@@

 g@p(...)

@script:python@
g << call.g;
p << call.p;
@@

calls.setdefault(here(p[0]), set()).add((g, at(p[0])))
known.clear()

// The same function has disabled interrupts.
@quiet depends on ops exists@
identifier off = {spin_lock_irqsave, spin_lock_irq, raw_spin_lock_irqsave, raw_spin_lock_irq, read_lock_irqsave, read_lock_irq, write_lock_irqsave, write_lock_irq, local_irq_save, local_irq_disable, dma_fence_lock_irqsave};
identifier on = {spin_unlock_irqrestore, spin_unlock_irq, raw_spin_unlock_irqrestore, raw_spin_unlock_irq, read_unlock_irqrestore, read_unlock_irq, write_unlock_irqrestore, write_unlock_irq, local_irq_restore, local_irq_enable, dma_fence_unlock_irqrestore};
identifier g;
position p;
@@

 off(...)
 ... when != on(...)
 g@p(...)

@script:python@
p << quiet.p;
@@

inside.add(at(p[0]))

@site depends on ops@
expression lock;
identifier f : script:python() { bool(LOCK.match(f)) };
position p;
@@

 f@p(lock, ...)

@script:python@
f << site.f;
lock << site.lock;
p << site.p;
@@

sites[at(p[0])] = (here(p[0]), f, key(lock))

@init depends on ops@
expression a, b, lock != NULL;
identifier f = {dma_fence_init, dma_fence_init64};
position p;
@@

 f@p(a, b, lock, ...)

@script:python@
lock << init.lock;
p << init.p;
@@

sites[at(p[0])] = (here(p[0]), "init", key(lock))

@taken depends on ops@
identifier f;
position p : script:python() { enabled(p[0]) };
@@

 f@p(...)

@opens depends on ops@
identifier f : script:python() { bool(OPENS.match(f)) };
position p : script:python() { reached(p[0]) };
@@

 f@p(...)

@depends on context@
identifier f;
position taken.p;
@@

*f@p(...)

@depends on context@
identifier f;
position opens.p;
@@

*f@p(...)

@script:python depends on org@
p << taken.p;
@@

coccilib.org.print_todo(p[0], "%s: takes %s, which dma_fence_ops need, with interrupts enabled" % (p[0].current_element, sites[at(p[0])][2]))

@script:python depends on report@
p << taken.p;
@@

coccilib.report.print_report(p[0], "%s: takes %s, which dma_fence_ops need, with interrupts enabled" % (p[0].current_element, sites[at(p[0])][2]))

@script:python depends on org@
p << opens.p;
f << opens.f;
@@

coccilib.org.print_todo(p[0], "%s: reached from dma_fence_ops, calls %s" % (p[0].current_element, f))

@script:python depends on report@
p << opens.p;
f << opens.f;
@@

coccilib.report.print_report(p[0], "%s: reached from dma_fence_ops, calls %s" % (p[0].current_element, f))
