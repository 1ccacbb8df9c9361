// SPDX-License-Identifier: GPL-2.0
// Not to be compiled: for resv_usage.cocci. A line it has to name ends in "bad".

static void right(struct dma_resv *resv, struct dma_fence *fence, bool write, bool shared)
{
	enum dma_resv_usage usage;

	dma_resv_add_fence(resv, fence, write ? DMA_RESV_USAGE_WRITE : DMA_RESV_USAGE_READ);
	dma_resv_add_fence(resv, fence, shared ? DMA_RESV_USAGE_READ : DMA_RESV_USAGE_WRITE);
	dma_resv_add_fence(resv, fence, !write ? DMA_RESV_USAGE_READ : DMA_RESV_USAGE_WRITE);
	usage = write ? DMA_RESV_USAGE_WRITE : DMA_RESV_USAGE_READ;
	dma_resv_add_fence(resv, fence, usage);
}

static void no_telling(struct dma_resv *resv, struct dma_fence *fence, u32 flags)
{
	if (flags & BO_READWRITE)
		dma_resv_add_fence(resv, fence, DMA_RESV_USAGE_READ);
	if (flags & (BO_READ | BO_WRITE))
		dma_resv_add_fence(resv, fence, DMA_RESV_USAGE_WRITE);
	dma_resv_add_fence(resv, fence, DMA_RESV_USAGE_BOOKKEEP);
}

static void copy(struct buf *src_buf, struct buf *dst_buf, struct dma_fence *fence)
{
	dma_resv_add_fence(dst_buf->resv, fence, DMA_RESV_USAGE_WRITE);
	dma_resv_add_fence(src_buf->resv, fence, DMA_RESV_USAGE_READ);
	dma_resv_wait_timeout(dst_buf->resv, dma_resv_usage_rw(true), true, 0);
}
