// SPDX-License-Identifier: GPL-2.0
// Not to be compiled: for resv_iter_end.cocci. A line it has to name ends in "bad".

static bool busy(struct dma_resv *resv)
{
	struct dma_resv_iter cursor;
	struct dma_fence *fence;

	dma_resv_iter_begin(&cursor, resv, DMA_RESV_USAGE_READ); /* bad */
	dma_resv_for_each_fence_unlocked(&cursor, fence) {
		if (look(fence))
			return true;
	}
	dma_resv_iter_end(&cursor);
	return false;
}

static int count(struct list_head *all)
{
	struct buf *b;
	int n = 0;

	list_for_each_entry(b, all, link) {
		struct dma_resv_iter cursor;
		struct dma_fence *fence;

		dma_resv_iter_begin(&cursor, b->resv, DMA_RESV_USAGE_READ); /* bad */
		dma_resv_for_each_fence_unlocked(&cursor, fence)
			n++;
	}
	return n;
}
