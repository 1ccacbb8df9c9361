// SPDX-License-Identifier: GPL-2.0
// Not to be compiled: for fence_cb_ignored.cocci. A line it has to name ends in "bad".

static int returned(struct waiter *w, struct dma_fence *fence)
{
	return dma_fence_add_callback(fence, &w->cb, waiter_wake);
}

static void tested(struct waiter *w, struct dma_fence *fence)
{
	if (dma_fence_add_callback(fence, &w->cb, waiter_wake))
		waiter_wake(fence, &w->cb);
}

static int kept(struct waiter *w, struct dma_fence *fence)
{
	int ret;

	ret = dma_fence_add_callback(fence, &w->cb, waiter_wake);
	if (ret == -ENOENT)
		ret = 0;
	return ret;
}

static void meant(struct waiter *w, struct dma_fence *fence)
{
	(void)dma_fence_add_callback(fence, &w->cb, waiter_wake);
}
