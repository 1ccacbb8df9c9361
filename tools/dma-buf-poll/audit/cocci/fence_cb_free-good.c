// SPDX-License-Identifier: GPL-2.0
// Not to be compiled: for fence_cb_free.cocci. A line it has to name ends in "bad".

static int removed_first(struct dma_fence *fence)
{
	struct waiter *w = kzalloc(sizeof(*w), GFP_KERNEL);

	if (dma_fence_add_callback(fence, &w->cb, waiter_wake))
		return 0;
	wait_event_timeout(w->wait, w->done, HZ);
	dma_fence_remove_callback(fence, &w->cb);
	kfree(w);
	return 0;
}

static int freed_on_failure(struct dma_fence *fence)
{
	struct waiter *w = kzalloc(sizeof(*w), GFP_KERNEL);

	if (!dma_fence_add_callback(fence, &w->cb, waiter_wake))
		return 0;
	kfree(w);
	return -ENOENT;
}

static int taken_off_the_stack(struct dma_fence *fence)
{
	struct onstack w;

	if (dma_fence_add_callback(fence, &w.cb, onstack_wake))
		return 0;
	schedule_timeout(HZ);
	dma_fence_remove_callback(fence, &w.cb);
	return 0;
}

static void own_wake(struct dma_fence *fence, struct dma_fence_cb *cb)
{
	struct own *o = container_of(cb, struct own, cb);

	kfree(o);
}

static int frees_itself(struct own *o, struct dma_fence *fence)
{
	return dma_fence_add_callback(fence, &o->cb, own_wake);
}

static void queued_finish(struct queued *q)
{
	kfree(q);
}

static void queued_work(struct work_struct *work)
{
	queued_finish(container_of(work, struct queued, work));
}

static int freed_behind_the_call(struct queued *q, struct dma_fence *fence)
{
	INIT_WORK(&q->work, queued_work);
	return dma_fence_add_callback(fence, &q->cb, queue_it);
}
