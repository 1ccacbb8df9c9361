// SPDX-License-Identifier: GPL-2.0
// Not to be compiled: for resv_open_walk.cocci. A line it has to name ends in "bad".

static int count(struct dma_resv *resv)
{
	struct dma_resv_list *list;
	int n = 0;

	list = rcu_dereference(resv->fences); /* bad */
	while (list->table[n]) /* bad */
		n++;
	return n;
}

static void steps(struct dma_resv_iter *cursor)
{
	struct dma_fence *fence;

	for (fence = dma_resv_iter_first_unlocked(cursor); /* bad */
	     fence; fence = dma_resv_iter_next_unlocked(cursor))
		look(fence);
}

static void while_steps(struct dma_resv_iter *cursor)
{
	struct dma_fence *fence;

	fence = dma_resv_iter_first(cursor); /* bad */
	while (fence) {
		look(fence);
		fence = dma_resv_iter_next(cursor);
	}
}

static void array(struct dma_fence_array *array)
{
	int i;

	for (i = 0; i < array->num_fences; i++)
		look(array->fences[i]); /* bad */
}

static void chain(struct dma_fence_chain *chain)
{
	look(rcu_dereference(chain->prev)); /* bad */
}
