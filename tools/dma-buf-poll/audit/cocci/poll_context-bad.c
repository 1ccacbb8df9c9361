// SPDX-License-Identifier: GPL-2.0
// Not to be compiled: for poll_context.cocci. A line it has to name ends in "bad".

static void lock_it(struct thing *t)
{
	mutex_lock(&t->lock); /* bad */
	mutex_unlock(&t->lock);
}

static __poll_t thing_poll(struct file *file, poll_table *wait)
{
	struct thing *t = file->private_data;
	struct poll_cb *cb;

	poll_wait(file, &t->wait, wait);
	get_file(file); /* bad */
	cb = kzalloc(sizeof(*cb), GFP_KERNEL); /* bad */
	dma_resv_lock(t->resv, NULL); /* bad */
	dma_resv_unlock(t->resv);
	lock_it(t);
	mutex_lock(&t->other); /* bad */
	mutex_unlock(&t->other);
	mutex_lock(&t->other); /* bad */
	mutex_unlock(&t->other);
	return EPOLLIN;
}

static const struct file_operations thing_fops = {
	.owner = THIS_MODULE,
	.poll = thing_poll,
};
