// SPDX-License-Identifier: GPL-2.0
// Not to be compiled: for fence_ops_lock.cocci. A line it has to name ends in "bad".

static bool ring_fence_signaled(struct dma_fence *f)
{
	struct ring_fence *fence = to_ring_fence(f);
	unsigned long flags;
	bool done;

	spin_lock_irqsave(&fence->ring->seqno_lock, flags);
	done = fence->ring->seqno >= f->seqno;
	spin_unlock_irqrestore(&fence->ring->seqno_lock, flags);
	return done;
}

/* Called with interrupts disabled: by this operation, and by nobody else */
static void ring_enable(struct ring *ring)
{
	spin_lock(&ring->irq_lock);
	ring->enabled++;
	spin_unlock(&ring->irq_lock);
}

static bool ring_fence_enable_signaling(struct dma_fence *f)
{
	ring_enable(to_ring_fence(f)->ring);
	return true;
}

static const struct dma_fence_ops ring_fence_ops = {
	.enable_signaling = ring_fence_enable_signaling,
	.signaled = ring_fence_signaled,
};

static void ring_emit(struct ring *ring, struct ring_fence *fence)
{
	dma_fence_init(&fence->base, &ring_fence_ops, &ring->lock, ring->context, ++ring->seqno);
	spin_lock_irq(&ring->lock);
	list_add_tail(&fence->ring_link, &ring->fences);
	spin_unlock_irq(&ring->lock);
}

/* A lock that no operation takes */
static void ring_resize(struct ring *ring, size_t size)
{
	spin_lock(&ring->size_lock);
	ring->size = size;
	spin_unlock(&ring->size_lock);
}

/* Inside of another one */
static void ring_reset(struct ring *ring)
{
	unsigned long flags;

	spin_lock_irqsave(&ring->reset_lock, flags);
	spin_lock(&ring->lock);
	ring->seqno = 0;
	spin_unlock(&ring->lock);
	spin_unlock_irqrestore(&ring->reset_lock, flags);
}

/* In hard interrupt context, itself and what it alone calls */
static void ring_advance(struct ring *ring)
{
	spin_lock(&ring->seqno_lock);
	ring->seqno++;
	spin_unlock(&ring->seqno_lock);
}

static irqreturn_t ring_irq(int irq, void *data)
{
	struct ring *ring = data;

	ring_advance(ring);
	spin_lock(&ring->lock);
	ring_signal(ring);
	spin_unlock(&ring->lock);
	irq_work_queue(&ring->irq_work);
	return IRQ_HANDLED;
}

static void ring_irq_work(struct irq_work *work)
{
	struct ring *ring = container_of(work, struct ring, irq_work);

	spin_lock(&ring->lock);
	ring_signal(ring);
	spin_unlock(&ring->lock);
}

static int ring_irq_init(struct ring *ring)
{
	init_irq_work(&ring->irq_work, ring_irq_work);
	return request_irq(ring->irq, ring_irq, 0, "ring", ring);
}
