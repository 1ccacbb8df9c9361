// SPDX-License-Identifier: GPL-2.0
// Not to be compiled: for fence_cb_put.cocci. A line it has to name ends in "bad".

static void put_behind(struct waiter *w, struct dma_fence *fence)
{
	if (dma_fence_add_callback(fence, &w->cb, waiter_wake))
		waiter_wake(fence, &w->cb);
	dma_fence_put(fence); /* bad */
}

static int put_by_result(struct waiter *w, struct dma_fence *fence)
{
	int ret;

	ret = dma_fence_add_callback(fence, &w->cb, waiter_wake);
	if (ret)
		waiter_wake(fence, &w->cb);
	dma_fence_put(fence); /* bad */
	return ret;
}

static bool put_on_success(struct waiter *w, struct dma_fence *fence)
{
	if (!dma_fence_add_callback(fence, &w->cb, waiter_wake)) {
		dma_fence_put(fence); /* bad */
		return true;
	}
	return false;
}
