// SPDX-License-Identifier: GPL-2.0
// Not to be compiled: for resv_iter_end.cocci. A line it has to name ends in "bad".

static bool busy(struct dma_resv *resv)
{
	struct dma_resv_iter cursor;
	struct dma_fence *fence;
	bool ret = false;

	dma_resv_iter_begin(&cursor, resv, DMA_RESV_USAGE_READ);
	dma_resv_for_each_fence_unlocked(&cursor, fence) {
		if (look(fence)) {
			ret = true;
			break;
		}
	}
	dma_resv_iter_end(&cursor);
	return ret;
}

static bool ends_before_return(struct dma_resv *resv)
{
	struct dma_resv_iter cursor;
	struct dma_fence *fence;

	dma_resv_iter_begin(&cursor, resv, DMA_RESV_USAGE_READ);
	dma_resv_for_each_fence_unlocked(&cursor, fence) {
		if (look(fence)) {
			dma_resv_iter_end(&cursor);
			return true;
		}
	}
	dma_resv_iter_end(&cursor);
	return false;
}

static void locked(struct dma_resv *resv)
{
	struct dma_resv_iter cursor;
	struct dma_fence *fence;

	dma_resv_for_each_fence(&cursor, resv, DMA_RESV_USAGE_READ, fence)
		if (look(fence))
			return;
}
