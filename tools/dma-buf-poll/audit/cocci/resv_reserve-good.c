// SPDX-License-Identifier: GPL-2.0
// Not to be compiled: for resv_reserve.cocci. A line it has to name ends in "bad".

static int straight(struct buf *b, struct dma_fence *fence)
{
	int ret;

	ret = dma_resv_reserve_fences(b->resv, 1);
	if (ret)
		return ret;
	dma_resv_add_fence(b->resv, fence, DMA_RESV_USAGE_READ);
	return 0;
}

static void attach(struct job *job)
{
	int i;

	for (i = 0; i < job->n; i++)
		dma_resv_add_fence(job->bo[i]->resv, job->done, DMA_RESV_USAGE_WRITE);
}

static int lock_all(struct job *job)
{
	return dma_resv_reserve_fences(job->bo[0]->resv, 1);
}

static int push(struct job *job)
{
	int ret = lock_all(job);

	if (ret)
		return ret;
	attach(job);
	return 0;
}

static int in_loops(struct job *job)
{
	int i, ret;

	for (i = 0; i < job->n; i++) {
		ret = dma_resv_reserve_fences(job->bo[i]->resv, 1);
		if (ret)
			return ret;
	}
	for (i = 0; i < job->n; i++)
		dma_resv_add_fence(job->bo[i]->resv, job->done, DMA_RESV_USAGE_WRITE);
	return 0;
}
