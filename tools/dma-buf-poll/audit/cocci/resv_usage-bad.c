// SPDX-License-Identifier: GPL-2.0
// Not to be compiled: for resv_usage.cocci. A line it has to name ends in "bad".

static void usage_for_waiting(struct dma_resv *resv, struct dma_fence *fence, bool write)
{
	dma_resv_add_fence(resv, fence, dma_resv_usage_rw(write)); /* bad */
}

static void turned(struct dma_resv *resv, struct dma_fence *fence, bool write)
{
	dma_resv_add_fence(resv, fence, write ? DMA_RESV_USAGE_READ : DMA_RESV_USAGE_WRITE); /* bad */
}

static void turned_too(struct dma_resv *resv, struct dma_fence *fence, bool read_only)
{
	dma_resv_add_fence(resv, fence, read_only ? DMA_RESV_USAGE_WRITE : DMA_RESV_USAGE_READ); /* bad */
}
