// SPDX-License-Identifier: GPL-2.0
// Not to be compiled: for poll_context.cocci. A line it has to name ends in "bad".

static __poll_t quiet_poll(struct file *file, poll_table *wait)
{
	struct thing *t = file->private_data;
	__poll_t mask = 0;

	poll_wait(file, &t->wait, wait);
	spin_lock_irq(&t->slock);
	if (t->ready)
		mask = EPOLLIN;
	spin_unlock_irq(&t->slock);
	return mask;
}

static int quiet_open(struct inode *inode, struct file *file)
{
	mutex_lock(&quiet_lock);
	file->private_data = kzalloc(sizeof(struct thing), GFP_KERNEL);
	mutex_unlock(&quiet_lock);
	return 0;
}

static const struct file_operations quiet_fops = {
	.open = quiet_open,
	.poll = quiet_poll,
};
