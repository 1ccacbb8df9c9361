// SPDX-License-Identifier: GPL-2.0
// Not to be compiled: for fence_ops_lock.cocci. A line it has to name ends in "bad".

/* What enable_signaling takes, by way of a function of its own */
static void ring_queue(struct ring *ring, struct ring_fence *fence)
{
	unsigned long flags;

	spin_lock_irqsave(&ring->queue.lock, flags);
	list_add_tail(&fence->link, &ring->queue.list);
	spin_unlock_irqrestore(&ring->queue.lock, flags);
}

static bool ring_fence_enable_signaling(struct dma_fence *f)
{
	struct ring_fence *fence = to_ring_fence(f);

	ring_queue(fence->ring, fence);
	return true;
}

/* What a driver takes in its release */
static void ring_fence_release(struct dma_fence *f)
{
	struct ring_fence *fence = to_ring_fence(f);

	spin_lock_irq(&fence->ring->stat_lock); /* bad */
	fence->ring->fences--;
	spin_unlock_irq(&fence->ring->stat_lock); /* bad */
	dma_fence_free(f);
}

static const struct dma_fence_ops ring_fence_ops = {
	.enable_signaling = ring_fence_enable_signaling,
	.release = ring_fence_release,
};

static void ring_emit(struct ring *ring, struct ring_fence *fence)
{
	dma_fence_init(&fence->base, &ring_fence_ops, &ring->lock, ring->context, ++ring->seqno);
	spin_lock(&ring->lock); /* bad */
	list_add_tail(&fence->ring_link, &ring->fences);
	spin_unlock(&ring->lock);
}

static void ring_work(struct work_struct *work)
{
	struct ring *ring = container_of(work, struct ring, work);

	spin_lock_bh(&ring->queue.lock); /* bad */
	ring_complete(ring);
	spin_unlock_bh(&ring->queue.lock);
}

/* The last of several rings, and after interrupts have been enabled again */
static int ring_show(struct seq_file *m, void *unused)
{
	struct device_rings *all = m->private;
	unsigned long flags;
	int i;

	for (i = 0; i < all->nr; i++) {
		spin_lock_irqsave(&all->lock, flags);
		seq_printf(m, "%d\n", all->rings[i].seqno);
		spin_unlock_irqrestore(&all->lock, flags);
		spin_lock(&all->rings[i].queue.lock); /* bad */
		ring_describe(m, &all->rings[i]);
		spin_unlock(&all->rings[i].queue.lock);
	}
	return 0;
}

/* The half of an interrupt handler that is a thread */
static irqreturn_t ring_irq_thread(int irq, void *data)
{
	struct ring *ring = data;

	spin_lock(&ring->lock); /* bad */
	ring_signal(ring);
	spin_unlock(&ring->lock);
	return IRQ_HANDLED;
}

static int ring_irq_init(struct ring *ring)
{
	return request_threaded_irq(ring->irq, NULL, ring_irq_thread, IRQF_ONESHOT, "ring", ring);
}
