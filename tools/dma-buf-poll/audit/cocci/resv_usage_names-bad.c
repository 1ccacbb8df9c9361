// SPDX-License-Identifier: GPL-2.0
// Not to be compiled: for resv_usage_names.cocci. A line it has to name ends in "bad".

static void by_variable(struct job *job, struct dma_fence *fence)
{
	enum dma_resv_usage usage;

	usage = job->is_write ? DMA_RESV_USAGE_READ : DMA_RESV_USAGE_WRITE; /* bad */
	add(job, fence, usage);
	usage = job->readonly ? DMA_RESV_USAGE_WRITE : DMA_RESV_USAGE_READ; /* bad */
	add(job, fence, usage);
}

static void behind_a_test(struct dma_resv *resv, struct dma_fence *fence, u32 flags)
{
	if (flags & SUBMIT_BO_WRITE)
		dma_resv_add_fence(resv, fence, DMA_RESV_USAGE_READ); /* bad */
	if (!(flags & SUBMIT_BO_WRITE)) {
		dma_resv_add_fence(resv, fence, DMA_RESV_USAGE_WRITE); /* bad */
	}
}

static void copy(struct buf *src_buf, struct buf *dst_buf, struct dma_fence *fence)
{
	dma_resv_add_fence(dst_buf->resv, fence, DMA_RESV_USAGE_READ); /* bad */
	dma_resv_add_fence(src_buf->resv, fence, DMA_RESV_USAGE_WRITE); /* bad */
}

static long waits(struct dma_resv *resv, bool write, bool readonly)
{
	long ret;

	ret = dma_resv_wait_timeout(resv, write ? DMA_RESV_USAGE_WRITE : DMA_RESV_USAGE_READ, true, 0); /* bad */
	if (ret <= 0)
		return ret;
	return dma_resv_wait_timeout(resv, readonly ? DMA_RESV_USAGE_READ : DMA_RESV_USAGE_WRITE, true, 0); /* bad */
}
