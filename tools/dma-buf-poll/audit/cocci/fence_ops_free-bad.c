// SPDX-License-Identifier: GPL-2.0
// Not to be compiled: for fence_ops_free.cocci. A line it has to name ends in "bad".

static void whole_release(struct dma_fence *f)
{
	struct whole_fence *fence = container_of(f, struct whole_fence, base);

	kfree(fence->name);
	kfree(fence); /* bad */
}

static const struct dma_fence_ops whole_ops = {
	.release = whole_release,
};

static void bare_release(struct dma_fence *f)
{
	if (atomic_dec_and_test(&fences))
		wake_up(&no_fences);
	kfree(f); /* bad */
}

static const struct dma_fence_ops bare_ops = {
	.release = bare_release,
};

static void cached_release(struct dma_fence *f)
{
	kmem_cache_free(cache_of_fences, to_cached_fence(f)); /* bad */
}

static const struct dma_fence_ops cached_ops = {
	.release = cached_release,
};

static void handed_destroy(struct handed_fence *fence)
{
	list_del(&fence->link);
	kmem_cache_free(cache_of_handed, fence); /* bad */
}

static void handed_release(struct dma_fence *f)
{
	struct handed_fence *fence;

	fence = to_handed_fence(f);
	handed_destroy(fence);
}

static const struct dma_fence_ops handed_ops = {
	.release = handed_release,
};
