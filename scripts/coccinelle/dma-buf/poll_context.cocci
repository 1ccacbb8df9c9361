// SPDX-License-Identifier: GPL-2.0
/// ->poll handlers that take a reference on a file, allocate, or take a
/// sleeping lock.  A poll handler is called once for each file of an event
/// loop, again with every wake-up: a reference keeps a closed file alive, and
/// an allocation or a lock held elsewhere stalls everything else in the loop.
///
// Confidence: Moderate
// Comments: Looks into the handler and one function deep into what it calls in
//# the same file.  Sleeping is not forbidden in ->poll: whether a lock is held
//# for long elsewhere is to be judged.  There is no patch mode.
// Options: --no-includes --include-headers

virtual context
virtual org
virtual report

@handler@
identifier s, fn;
identifier t =~ "file_operations$" || =~ "_f?ops$";
@@

 struct t s = { .poll = fn, };

@called@
identifier handler.fn, g;
@@

 fn(...) { <+... g(...) ...+> }

@direct@
identifier handler.fn;
identifier bad = {get_file, get_file_rcu, get_file_active, fget, fget_raw, get_dma_buf, kmalloc, kzalloc, kcalloc, kmalloc_array, kvmalloc, kvzalloc, vmalloc, vzalloc, kmemdup, kstrdup, kmem_cache_alloc, kmem_cache_zalloc, kmalloc_obj, kzalloc_obj, kmalloc_objs, kzalloc_objs, dma_resv_get_fences, dma_resv_get_singleton, mutex_lock, mutex_lock_interruptible, mutex_lock_killable, mutex_lock_nested, down, down_interruptible, down_read, down_write, down_read_killable, down_write_killable, dma_resv_lock, dma_resv_lock_interruptible, ww_mutex_lock, rt_mutex_lock, dma_resv_wait_timeout, dma_fence_wait, dma_fence_wait_timeout};
position p;
@@

 fn(...) { <+... bad@p(...) ...+> }

@deep@
identifier called.g;
identifier bad = {get_file, get_file_rcu, get_file_active, fget, fget_raw, get_dma_buf, kmalloc, kzalloc, kcalloc, kmalloc_array, kvmalloc, kvzalloc, vmalloc, vzalloc, kmemdup, kstrdup, kmem_cache_alloc, kmem_cache_zalloc, kmalloc_obj, kzalloc_obj, kmalloc_objs, kzalloc_objs, dma_resv_get_fences, dma_resv_get_singleton, mutex_lock, mutex_lock_interruptible, mutex_lock_killable, mutex_lock_nested, down, down_interruptible, down_read, down_write, down_read_killable, down_write_killable, dma_resv_lock, dma_resv_lock_interruptible, ww_mutex_lock, rt_mutex_lock, dma_resv_wait_timeout, dma_fence_wait, dma_fence_wait_timeout};
position p != direct.p;
@@

 g(...) { <+... bad@p(...) ...+> }

@depends on context@
position direct.p;
identifier f;
@@

*f@p(...)

@depends on context@
position deep.p;
identifier f;
@@

*f@p(...)

@script:python depends on org@
p << direct.p;
bad << direct.bad;
@@

for where in p:
    coccilib.org.print_todo(where, "%s: ->poll handler calls %s" % (where.current_element, bad))

@script:python depends on report@
p << direct.p;
bad << direct.bad;
@@

for where in p:
    coccilib.report.print_report(where, "%s: ->poll handler calls %s" % (where.current_element, bad))

@script:python depends on org@
p << deep.p;
bad << deep.bad;
@@

for where in p:
    coccilib.org.print_todo(where, "%s: called by a ->poll handler, calls %s" % (where.current_element, bad))

@script:python depends on report@
p << deep.p;
bad << deep.bad;
@@

for where in p:
    coccilib.report.print_report(where, "%s: called by a ->poll handler, calls %s" % (where.current_element, bad))
