// SPDX-License-Identifier: GPL-2.0
// Not to be compiled: for resv_reserve.cocci. A line it has to name ends in "bad".

static int one_path_without(struct buf *b, struct dma_fence *fence, bool fresh)
{
	int ret;

	if (fresh) {
		ret = dma_resv_reserve_fences(b->resv, 1);
		if (ret)
			return ret;
	}
	dma_resv_add_fence(b->resv, fence, DMA_RESV_USAGE_READ); /* bad */
	return 0;
}

static void nobody(struct buf *b, struct dma_fence *fence)
{
	dma_resv_add_fence(b->resv, fence, DMA_RESV_USAGE_READ); /* bad */
}

static void caller_neither(struct buf *b, struct dma_fence *fence)
{
	dma_resv_lock(b->resv, NULL);
	nobody(b, fence);
	dma_resv_unlock(b->resv);
}

static void not_looked_at(struct buf *b, struct dma_fence *fence)
{
	dma_resv_reserve_fences(b->resv, 1); /* bad */
	dma_resv_add_fence(b->resv, fence, DMA_RESV_USAGE_READ);
}

static int unlocked_between(struct buf *b, struct dma_fence *fence)
{
	int ret;

	ret = dma_resv_reserve_fences(b->resv, 1);
	if (ret)
		return ret;
	dma_resv_unlock(b->resv);
	prepare(b);
	dma_resv_lock(b->resv, NULL);
	dma_resv_add_fence(b->resv, fence, DMA_RESV_USAGE_READ); /* bad */
	return 0;
}
