// SPDX-License-Identifier: GPL-2.0
// Not to be compiled: for resv_lock.cocci. A line it has to name ends in "bad".

static int nobody_locks(struct buf *b, struct dma_fence *fence)
{
	int ret;

	ret = dma_resv_reserve_fences(b->resv, 1); /* bad */
	if (!ret)
		dma_resv_add_fence(b->resv, fence, DMA_RESV_USAGE_READ); /* bad */
	return ret;
}

static int too_late(struct buf *b, struct dma_fence *fence)
{
	int ret;

	dma_resv_lock(b->resv, NULL);
	ret = dma_resv_reserve_fences(b->resv, 1);
	dma_resv_unlock(b->resv);
	if (!ret)
		dma_resv_add_fence(b->resv, fence, DMA_RESV_USAGE_READ); /* bad */
	return ret;
}

static void only_sometimes(struct buf *b, struct dma_fence *fence, bool shared)
{
	if (shared)
		dma_resv_lock(b->resv, NULL);
	dma_resv_add_fence(b->resv, fence, DMA_RESV_USAGE_READ); /* bad */
	if (shared)
		dma_resv_unlock(b->resv);
}

static void a_spinlock_is_not_it(struct buf *b, struct dma_fence *fence)
{
	spin_lock(&b->lock);
	dma_resv_add_fence(b->resv, fence, DMA_RESV_USAGE_READ); /* bad */
	spin_unlock(&b->lock);
}
