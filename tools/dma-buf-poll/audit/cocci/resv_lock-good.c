// SPDX-License-Identifier: GPL-2.0
// Not to be compiled: for resv_lock.cocci. A line it has to name ends in "bad".

static int straight(struct buf *b, struct dma_fence *fence)
{
	int ret;

	dma_resv_lock(b->resv, NULL);
	ret = dma_resv_reserve_fences(b->resv, 1);
	if (!ret)
		dma_resv_add_fence(b->resv, fence, DMA_RESV_USAGE_READ);
	dma_resv_unlock(b->resv);
	return ret;
}

static void asserted(struct buf *b, struct dma_fence *fence)
{
	dma_resv_assert_held(b->resv);
	dma_resv_add_fence(b->resv, fence, DMA_RESV_USAGE_READ);
}

static void helper(struct buf *b, struct dma_fence *fence)
{
	dma_resv_add_fence(b->resv, fence, DMA_RESV_USAGE_READ);
}

static void locks_for_helper(struct buf *b, struct dma_fence *fence)
{
	dma_resv_lock(b->resv, NULL);
	helper(b, fence);
	dma_resv_unlock(b->resv);
}
