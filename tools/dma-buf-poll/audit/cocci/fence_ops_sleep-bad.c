// SPDX-License-Identifier: GPL-2.0
// Not to be compiled: for fence_ops_sleep.cocci. A line it has to name ends in "bad".

static int ring_wake(struct ring *ring)
{
	mutex_lock(&ring->mutex); /* bad */
	ring->awake++;
	mutex_unlock(&ring->mutex);
	return wait_event_timeout(ring->wait, ring->ready, HZ); /* bad */
}

static bool ring_fence_enable_signaling(struct dma_fence *f)
{
	struct ring_fence *fence = to_ring_fence(f);

	fence->waiter = kzalloc(sizeof(*fence->waiter), GFP_KERNEL); /* bad */
	if (!fence->waiter)
		return false;
	fence->log = kmalloc_obj(*fence->log); /* bad */
	if (!ring_wake(fence->ring))
		cancel_delayed_work_sync(&fence->timeout); /* bad */
	return true;
}

static bool ring_fence_signaled(struct dma_fence *f)
{
	msleep(1); /* bad */
	return to_ring_fence(f)->done;
}

static void ring_fence_release(struct dma_fence *f)
{
	struct ring_fence *fence = to_ring_fence(f);

	timer_delete_sync(&fence->timer); /* bad */
	mmdrop(fence->mm); /* bad */
	dma_fence_free(f);
}

static const struct dma_fence_ops ring_fence_ops = {
	.enable_signaling = ring_fence_enable_signaling,
	.signaled = ring_fence_signaled,
	.release = ring_fence_release,
};

static struct ring_fence *ring_fence_new(struct ring *ring)
{
	struct ring_fence *fence = kzalloc(sizeof(*fence), GFP_KERNEL);

	if (fence)
		timer_setup(&fence->timer, ring_fence_timeout, 0);
	return fence;
}
