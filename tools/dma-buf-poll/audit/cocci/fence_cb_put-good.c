// SPDX-License-Identifier: GPL-2.0
// Not to be compiled: for fence_cb_put.cocci. A line it has to name ends in "bad".

static bool put_on_failure(struct waiter *w, struct dma_fence *fence)
{
	if (!dma_fence_add_callback(fence, &w->cb, waiter_wake))
		return true;
	dma_fence_put(fence);
	return false;
}

static int put_on_error(struct waiter *w, struct dma_fence *fence)
{
	int ret;

	ret = dma_fence_add_callback(fence, &w->cb, waiter_wake);
	if (ret)
		dma_fence_put(fence);
	return ret;
}

static void removed_first(struct waiter *w, struct dma_fence *fence)
{
	if (dma_fence_add_callback(fence, &w->cb, waiter_wake))
		return;
	wait_for_completion_timeout(&w->done, HZ);
	dma_fence_remove_callback(fence, &w->cb);
	dma_fence_put(fence);
}

static void another_fence(struct waiter *w, struct dma_fence *fence)
{
	if (dma_fence_add_callback(fence, &w->cb, waiter_wake))
		return;
	fence = w->old;
	dma_fence_put(fence);
}

static void signaled_first(struct waiter *w, struct dma_fence *fence)
{
	if (dma_fence_add_callback(fence, &w->cb, waiter_wake))
		return;
	dma_fence_signal(fence);
	dma_fence_put(fence);
}
