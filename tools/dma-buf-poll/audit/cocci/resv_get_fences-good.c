// SPDX-License-Identifier: GPL-2.0
// Not to be compiled: for resv_get_fences.cocci. A line it has to name ends in "bad".

static int kept(struct work *w, struct dma_resv *resv)
{
	return dma_resv_get_fences(resv, DMA_RESV_USAGE_READ, &w->n, &w->fences);
}

static int handed_on(struct dma_resv *resv)
{
	struct dma_fence **fences;
	unsigned int i, n;
	int ret;

	ret = dma_resv_get_fences(resv, DMA_RESV_USAGE_READ, &n, &fences);
	if (ret)
		return ret;
	ret = dma_fence_array_wait(fences, n);
	for (i = 0; i < n; i++)
		dma_fence_put(fences[i]);
	kfree(fences);
	return ret;
}

static int walked_twice(struct dma_resv *resv)
{
	struct dma_fence **fences;
	unsigned int i, n;

	if (dma_resv_get_fences(resv, DMA_RESV_USAGE_READ, &n, &fences))
		return -ENOMEM;
	for (i = 0; i < n; i++)
		dma_fence_enable_sw_signaling(fences[i]);
	for (i = 0; i < n; i++) {
		dma_fence_wait(fences[i], false);
		dma_fence_put(fences[i]);
	}
	kfree(fences);
	return 0;
}

static int exported(struct dma_resv *resv, struct dma_fence **out)
{
	struct dma_fence *fence;
	int ret;

	ret = dma_resv_get_singleton(resv, DMA_RESV_USAGE_READ, &fence);
	if (ret)
		return ret;
	*out = fence;
	return 0;
}

static int waits_only_without_memory(struct dma_resv *resv, struct waiter *w)
{
	struct dma_fence *fence;
	int ret;

	ret = dma_resv_get_singleton(resv, DMA_RESV_USAGE_READ, &fence);
	if (ret)
		return ret;
	if (!w) {
		dma_fence_wait(fence, false);
		dma_fence_put(fence);
		return 0;
	}
	return dma_fence_add_callback(fence, &w->cb, waiter_wake);
}
