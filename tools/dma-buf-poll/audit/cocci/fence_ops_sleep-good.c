// SPDX-License-Identifier: GPL-2.0
// Not to be compiled: for fence_ops_sleep.cocci. A line it has to name ends in "bad".

static bool ring_fence_enable_signaling(struct dma_fence *f)
{
	struct ring_fence *fence = to_ring_fence(f);

	fence->waiter = kzalloc(sizeof(*fence->waiter), GFP_ATOMIC);
	if (!fence->waiter)
		return false;
	fence->log = kmalloc_obj(*fence->log, GFP_NOWAIT);
	if (!mutex_trylock(&fence->ring->mutex)) {
		schedule_work(&fence->work);
		return true;
	}
	fence->ring->awake++;
	mutex_unlock(&fence->ring->mutex);
	return true;
}

static void ring_fence_release(struct dma_fence *f)
{
	struct ring_fence *fence = to_ring_fence(f);

	timer_delete_sync(&fence->timer);
	queue_work(fence->ring->wq, &fence->release_work);
}

/* Runs in a work item: nothing calls it. */
static void ring_fence_release_work(struct work_struct *work)
{
	struct ring_fence *fence = container_of(work, struct ring_fence, release_work);

	mutex_lock(&fence->ring->mutex);
	list_del(&fence->link);
	mutex_unlock(&fence->ring->mutex);
	mmdrop(fence->mm);
	dma_fence_free(&fence->base);
}

static const struct dma_fence_ops ring_fence_ops = {
	.enable_signaling = ring_fence_enable_signaling,
	.release = ring_fence_release,
};

static long ring_fence_wait(struct ring_fence *fence)
{
	return wait_event_timeout(fence->ring->wait, fence->done, HZ);
}

static struct ring_fence *ring_fence_new(struct ring *ring)
{
	struct ring_fence *fence = kzalloc(sizeof(*fence), GFP_KERNEL);

	if (fence) {
		timer_setup(&fence->timer, ring_fence_timeout, TIMER_IRQSAFE);
		INIT_WORK(&fence->release_work, ring_fence_release_work);
	}
	return fence;
}
