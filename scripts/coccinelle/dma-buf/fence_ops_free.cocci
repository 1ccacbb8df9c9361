// SPDX-License-Identifier: GPL-2.0
/// dma_fence_ops.release that frees the fence without waiting for a grace
/// period.  A fence is looked up under rcu_read_lock(), its reference count is
/// read and raised unless it is zero: dma_fence_free(), kfree_rcu() and
/// call_rcu() leave the memory alone for so long.
///
// Confidence: Moderate
// Comments: Sees the fence, what container_of() or a function of one argument
//# makes of it, and one function that it is handed to.  A cache of the type
//# SLAB_TYPESAFE_BY_RCU is all right as well, as long as whoever looks up a
//# fence looks again once it has a reference.  There is no patch mode.
// Options: --no-includes --include-headers

virtual context
virtual org
virtual report

@ops@
identifier s, fn;
@@

 struct dma_fence_ops s = { .release = fn, };

@fence exists@
identifier ops.fn;
identifier f, kf = {kfree, kvfree, kfree_sensitive, vfree};
identifier conv;
expression cache;
position p;
@@

 fn(struct dma_fence *f)
 {
 ... when any
(
 kf@p(\(f\|conv(f, ...)\));
|
 kmem_cache_free@p(cache, \(f\|conv(f, ...)\));
|
 mempool_free@p(\(f\|conv(f, ...)\), cache);
)
 ... when any
 }

@whole exists@
identifier ops.fn;
identifier f, x, kf = {kfree, kvfree, kfree_sensitive, vfree};
identifier conv;
expression cache;
type T;
position p;
@@

 fn(struct dma_fence *f)
 {
 ... when any
(
 T x = conv(f, ...);
|
 x = conv(f, ...);
)
 ... when any
(
 kf@p(x);
|
 kmem_cache_free@p(cache, x);
|
 mempool_free@p(x, cache);
)
 ... when any
 }

// Handed on, as it is or as what it is a part of.
@handed exists@
identifier ops.fn;
identifier f, x, g;
identifier conv;
type T;
@@

 fn(struct dma_fence *f)
 {
 ... when any
(
 T x = conv(f, ...);
|
 x = conv(f, ...);
)
 ... when any
 g(x)
 ... when any
 }

@there@
identifier handed.g;
identifier x, kf = {kfree, kvfree, kfree_sensitive, vfree};
expression cache;
type T;
position p;
@@

 g(T x)
 {
 <+...
(
 kf@p(x)
|
 kmem_cache_free@p(cache, x)
|
 mempool_free@p(x, cache)
)
 ...+>
 }

@depends on context@
identifier k;
position fence.p;
@@

*k@p(...)

@depends on context@
identifier k;
position whole.p;
@@

*k@p(...)

@depends on context@
identifier k;
position there.p;
@@

*k@p(...)

@script:python depends on org@
p << fence.p;
@@

coccilib.org.print_todo(p[0], "%s: frees a fence without a grace period" % p[0].current_element)

@script:python depends on report@
p << fence.p;
@@

coccilib.report.print_report(p[0], "%s: frees a fence without a grace period" % p[0].current_element)

@script:python depends on org@
p << whole.p;
@@

coccilib.org.print_todo(p[0], "%s: frees a fence without a grace period" % p[0].current_element)

@script:python depends on report@
p << whole.p;
@@

coccilib.report.print_report(p[0], "%s: frees a fence without a grace period" % p[0].current_element)

@script:python depends on org@
p << there.p;
@@

coccilib.org.print_todo(p[0], "%s: frees a fence without a grace period" % p[0].current_element)

@script:python depends on report@
p << there.p;
@@

coccilib.report.print_report(p[0], "%s: frees a fence without a grace period" % p[0].current_element)
