// SPDX-License-Identifier: GPL-2.0
// Not to be compiled: for fence_cb_free.cocci. A line it has to name ends in "bad".

static int freed_at_once(struct dma_fence *fence)
{
	struct waiter *w = kzalloc(sizeof(*w), GFP_KERNEL);

	if (dma_fence_add_callback(fence, &w->cb, waiter_wake))
		goto out;
	if (wait_event_interruptible(w->wait, w->done))
		goto out;
out:
	kfree(w); /* bad */
	return 0;
}

static int left_on_the_stack(struct dma_fence *fence)
{
	struct onstack w;

	if (dma_fence_add_callback(fence, &w.cb, onstack_wake)) /* bad */
		return 0;
	if (wait_for(w.done, 50))
		return -ETIMEDOUT;
	return 0;
}

static int arm(struct session *s, struct dma_fence *fence)
{
	return dma_fence_add_callback(fence, &s->cb, session_wake);
}

static void session_destroy(struct session *s)
{
	kfree(s); /* bad */
}
