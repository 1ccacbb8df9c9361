// SPDX-License-Identifier: GPL-2.0
// Not to be compiled: for fence_ops_free.cocci. A line it has to name ends in "bad".

static void default_release(struct dma_fence *f)
{
	struct default_fence *fence = to_default_fence(f);

	kfree(fence->name);
	dma_fence_free(f);
}

static const struct dma_fence_ops default_ops = {
	.release = default_release,
};

static void waits_release(struct dma_fence *f)
{
	struct waits_fence *fence = container_of(f, struct waits_fence, base);

	kfree_rcu(fence, base.rcu);
}

static const struct dma_fence_ops waits_ops = {
	.release = waits_release,
};

static void called_free(struct rcu_head *rcu)
{
	struct dma_fence *f = container_of(rcu, struct dma_fence, rcu);

	kmem_cache_free(cache_of_fences, to_called_fence(f));
}

static void called_release(struct dma_fence *f)
{
	call_rcu(&f->rcu, called_free);
}

static const struct dma_fence_ops called_ops = {
	.release = called_release,
};

/* What nobody has seen yet may go at once. */
static struct default_fence *default_new(struct ring *ring)
{
	struct default_fence *fence = kzalloc(sizeof(*fence), GFP_KERNEL);

	if (fence && ring_full(ring)) {
		kfree(fence);
		fence = NULL;
	}
	return fence;
}
