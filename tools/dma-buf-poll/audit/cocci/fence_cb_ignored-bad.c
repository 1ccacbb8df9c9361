// SPDX-License-Identifier: GPL-2.0
// Not to be compiled: for fence_cb_ignored.cocci. A line it has to name ends in "bad".

static void fire_and_forget(struct waiter *w, struct dma_fence *fence)
{
	dma_fence_add_callback(fence, &w->cb, waiter_wake); /* bad */
	w->armed = true;
}

static int never_looked_at(struct waiter *w, struct dma_fence *fence)
{
	int ret;

	ret = dma_fence_add_callback(fence, &w->cb, waiter_wake); /* bad */
	w->armed = true;
	return 0;
}
