// SPDX-License-Identifier: GPL-2.0
// Not to be compiled: for resv_open_walk.cocci. A line it has to name ends in "bad".

static void iterators(struct dma_resv *resv, struct dma_fence *head)
{
	struct dma_resv_iter cursor;
	struct dma_fence *fence;
	unsigned int i;

	dma_resv_assert_held(resv);
	dma_resv_for_each_fence(&cursor, resv, DMA_RESV_USAGE_READ, fence)
		look(fence);
	dma_fence_array_for_each(fence, i, head)
		look(fence);
	dma_fence_chain_for_each(fence, head)
		look(fence);
}

static void own_arrays(struct job *job)
{
	int i;

	for (i = 0; i < job->num_fences; i++)
		look(job->fences[i]);
}

static struct dma_fence *first(struct dma_resv_iter *cursor)
{
	return dma_resv_iter_first(cursor);
}
