// SPDX-License-Identifier: GPL-2.0
// Not to be compiled: for resv_get_fences.cocci. A line it has to name ends in "bad".

static int one_loop(struct dma_resv *resv)
{
	struct dma_fence **fences;
	unsigned int i, n;
	int ret;

	ret = dma_resv_get_fences(resv, DMA_RESV_USAGE_READ, &n, &fences); /* bad */
	if (ret)
		return ret;
	for (i = 0; i < n; i++) {
		dma_fence_enable_sw_signaling(fences[i]);
		dma_fence_put(fences[i]);
	}
	kfree(fences);
	return 0;
}

static long only_to_wait(struct dma_resv *resv)
{
	struct dma_fence *fence;
	long ret;

	ret = dma_resv_get_singleton(resv, DMA_RESV_USAGE_READ, &fence); /* bad */
	if (ret)
		return ret;
	ret = dma_fence_wait(fence, true);
	dma_fence_put(fence);
	return ret;
}
