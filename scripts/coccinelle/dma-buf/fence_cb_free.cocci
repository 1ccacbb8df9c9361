// SPDX-License-Identifier: GPL-2.0
/// The structure that holds a fence callback is freed, or goes out of scope,
/// while the callback may still be called.  dma_fence_remove_callback() has to
/// come first; it also waits for a call that is running.
///
// Confidence: Moderate
// Comments: A wait for the fence, or for something the callback completes,
//# makes it safe as well; the rule knows the waits for a fence only.  Nor does
//# it know a kfree() on an error path before arming in another function, a
//# callback handed over in a variable, and a loop that removes (1 of 10 is true).
//# Patch mode removes the callback before a kfree() in the same function.
// Options: --no-includes --include-headers

virtual patch
virtual context
virtual org
virtual report

// Freed in the function that armed it.
@freed exists@
expression f;
expression x, e;
identifier m, kf = {kfree, kvfree, kfree_sensitive, kmem_cache_free};
position p;
statement S;
@@

(
 dma_fence_add_callback(f, \(&x->m\|&x->m.base\|x\), ...);
|
 if (dma_fence_add_callback(f, \(&x->m\|&x->m.base\|x\), ...)) S
|
 if (dma_fence_add_callback(f, \(&x->m\|&x->m.base\|x\), ...) < 0) S
|
 if (dma_fence_add_callback(f, \(&x->m\|&x->m.base\|x\), ...) != 0) S
)
 ... when != dma_fence_remove_callback(...)
     when != \(dma_fence_wait\|dma_fence_wait_timeout\)(f, ...)
     when != x = e
 kf@p(..., x);

// On the stack, and the function is left.
@stack exists@
type T;
identifier c, m;
expression f;
statement S;
position p;
@@

 T c;
 ... when any
(
 dma_fence_add_callback@p(f, \(&c.m\|&c\), ...);
|
 if (dma_fence_add_callback@p(f, \(&c.m\|&c\), ...)) S
|
 if (dma_fence_add_callback@p(f, \(&c.m\|&c\), ...) < 0) S
|
 if (dma_fence_add_callback@p(f, \(&c.m\|&c\), ...) != 0) S
)
 ... when != dma_fence_remove_callback(...)
     when != \(dma_fence_wait\|dma_fence_wait_timeout\|dma_fence_signal\|dma_fence_signal_locked\)(f, ...)
 return ...;

// Armed as a member of a structure; freed elsewhere in the file, by neither the
// callback nor anything it could be waited for in.
@member@
type T;
T *y;
identifier m, func;
@@

 dma_fence_add_callback(..., \(&y->m\|&y->m.base\), func)

@removed@
type member.T;
T *y;
identifier member.m;
@@

 dma_fence_remove_callback(..., \(&y->m\|&y->m.base\))

// Whatever runs from the callback, or from a work item it may have queued, runs
// behind the call: that may free.
@initialize:python@
@@

calls, handlers = {}, {}

def behind(where):
    """The callback, a work item, or something they call in this file"""
    graph, todo, seen = calls.get(where.file, {}), [where.current_element], set()
    while todo:
        func = todo.pop()
        if func in handlers.get(where.file, ()):
            return True
        if func not in seen:
            seen.add(func)
            todo += [f for f in graph if func in graph[f]]
    return False

@handler@
identifier w;
position p;
@@

(
 INIT_WORK@p(..., w)
|
 INIT_DELAYED_WORK@p(..., w)
|
 INIT_RCU_WORK@p(..., w)
|
 init_irq_work@p(..., w)
|
 dma_fence_add_callback@p(..., w)
)

@script:python@
w << handler.w;
p << handler.p;
@@

handlers.setdefault(p[0].file, set()).add(w)

@call depends on member && !removed@
identifier g;
position p;
@@

 g@p(...)

@script:python@
g << call.g;
p << call.p;
@@

calls.setdefault(p[0].file, {}).setdefault(p[0].current_element, set()).add(g)

@elsewhere depends on member && !removed@
type member.T;
T *z;
identifier kf = {kfree, kvfree, kfree_sensitive};
position q != freed.p;
position p : script:python() { not behind(p[0]) };
@@

 kf@p@q(z)

@depends on patch@
expression f, x, e;
identifier m, kf = {kfree, kvfree, kfree_sensitive, kmem_cache_free};
position freed.p;
statement S;
@@

(
 dma_fence_add_callback(f, &x->m, ...);
|
 if (dma_fence_add_callback(f, &x->m, ...)) S
)
 ... when != x = e
+dma_fence_remove_callback(f, &x->m);
 kf@p(..., x);

@depends on context@
position freed.p;
identifier f;
@@

*f@p(...)

@depends on context@
position stack.p;
@@

*dma_fence_add_callback@p(...)

@depends on context@
position elsewhere.p;
identifier f;
@@

*f@p(...)

@script:python depends on org@
p << freed.p;
@@

coccilib.org.print_todo(p[0], "%s: fence callback freed while armed" % p[0].current_element)

@script:python depends on report@
p << freed.p;
@@

coccilib.report.print_report(p[0], "%s: fence callback freed while armed" % p[0].current_element)

@script:python depends on org@
p << stack.p;
@@

coccilib.org.print_todo(p[0], "%s: fence callback on the stack armed when the function returns" % p[0].current_element)

@script:python depends on report@
p << stack.p;
@@

coccilib.report.print_report(p[0], "%s: fence callback on the stack armed when the function returns" % p[0].current_element)

@script:python depends on org@
p << elsewhere.p;
@@

coccilib.org.print_todo(p[0], "%s: structure with a fence callback freed, which nothing removes" % p[0].current_element)

@script:python depends on report@
p << elsewhere.p;
@@

coccilib.report.print_report(p[0], "%s: structure with a fence callback freed, which nothing removes" % p[0].current_element)
