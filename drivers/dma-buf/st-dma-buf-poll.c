// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests for poll() on dma-buf files: what user space cannot show, because
 * no driver lets it have such fences, or because callbacks and references cannot
 * be seen from there. The rest is in tools/testing/selftests/dma-buf.
 *
 * The tests bring an exporter and fences of their own. They look at a buffer with
 * vfs_poll(), at fences in the way that anybody could, and know nothing of how
 * poll is made.
 */
#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/dma-buf.h>
#include <linux/dma-fence.h>
#include <linux/dma-resv.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/irq_work.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include <kunit/test.h>

#define IN	((__force unsigned int)EPOLLIN)
#define OUT	((__force unsigned int)EPOLLOUT)
#define INOUT	(IN | OUT)

#define PATIENCE	(10 * HZ)

struct poll_env {
	struct list_head bufs;
	struct list_head fences;
	struct list_head waiters;
};

enum enable {
	ENABLE_NONE,		/* there is no enable_signaling */
	ENABLE_TRUE,
	ENABLE_FALSE,		/* it turns out to have signaled */
	ENABLE_SIGNALS,		/* it is signaled on the way */
	ENABLE_INTERRUPT,	/* it signals as soon as interrupts are enabled */
};

struct mock_fence {
	struct dma_fence base;	/* first, for dma_fence_free() */
	spinlock_t lock;
	struct list_head node;
	enum enable enable;
	unsigned int enabled;	/* how often it was */
	bool hardirq;		/* that was told in hard interrupt context */
	struct irq_work irq;	/* to signal it from there, */
	struct work_struct thread;	/* and from there */
};

static const char *mock_name(struct dma_fence *fence)
{
	return "mock";
}

static bool mock_enable_signaling(struct dma_fence *fence)
{
	struct mock_fence *f = container_of(fence, struct mock_fence, base);

	f->enabled++;
	if (f->enable == ENABLE_INTERRUPT)
		irq_work_queue(&f->irq);
	if (f->enable == ENABLE_SIGNALS)
		dma_fence_signal_locked(fence);
	return f->enable == ENABLE_TRUE || f->enable == ENABLE_INTERRUPT;
}

static const struct dma_fence_ops mock_fence_plain_ops = {
	.get_driver_name = mock_name,
	.get_timeline_name = mock_name,
};

static const struct dma_fence_ops mock_fence_ops = {
	.get_driver_name = mock_name,
	.get_timeline_name = mock_name,
	.enable_signaling = mock_enable_signaling,
};

static void signal_in_irq(struct irq_work *irq)
{
	struct mock_fence *f = container_of(irq, struct mock_fence, irq);

	f->hardirq = in_hardirq();
	dma_fence_signal(&f->base);
}

static void signal_in_thread(struct work_struct *thread)
{
	dma_fence_signal(&container_of(thread, struct mock_fence, thread)->base);
}

static struct mock_fence *new_fence(struct kunit *test, enum enable enable)
{
	struct mock_fence *f = kzalloc(sizeof(*f), GFP_KERNEL);
	struct poll_env *env = test->priv;

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, f);
	spin_lock_init(&f->lock);
	f->enable = enable;
	init_irq_work(&f->irq, signal_in_irq);
	INIT_WORK(&f->thread, signal_in_thread);
	dma_fence_init(&f->base, enable == ENABLE_NONE ? &mock_fence_plain_ops : &mock_fence_ops,
		       &f->lock, dma_fence_context_alloc(1), 1);
	list_add_tail(&f->node, &env->fences);
	return f;
}

static void signal_fence(struct mock_fence *f)
{
	dma_fence_signal(&f->base);
}

static unsigned int callbacks_on(struct mock_fence *f)
{
	struct list_head *pos;
	unsigned int n = 0;

	/* Once it has signaled a timestamp is in the place of the list. */
	if (test_bit(DMA_FENCE_FLAG_SIGNALED_BIT, &f->base.flags))
		return 0;
	spin_lock_irq(&f->lock);
	if (!test_bit(DMA_FENCE_FLAG_SIGNALED_BIT, &f->base.flags))
		list_for_each(pos, &f->base.cb_list)
			n++;
	spin_unlock_irq(&f->lock);
	return n;
}

static unsigned int callbacks(struct poll_env *env)
{
	struct mock_fence *f;
	unsigned int n = 0;

	list_for_each_entry(f, &env->fences, node)
		n += callbacks_on(f);
	return n;
}

/* How many are left; some are dropped in an interrupt, in its own time. */
static unsigned int refs(struct mock_fence *f, unsigned int expected)
{
	unsigned long end = jiffies + PATIENCE;

	while (kref_read(&f->base.refcount) > expected && time_before(jiffies, end))
		usleep_range(50, 100);
	return kref_read(&f->base.refcount);
}

/* The reservation object is that of the dma-buf, or its own, which ends with it. */
struct mock_buf {
	struct dma_buf *dmabuf;	/* NULL once closed */
	struct dma_resv resv;
	bool own_resv;
	struct poll_env *env;
	struct list_head node;
	unsigned int callbacks;	/* that ops->release still found */
	struct completion released;
};

static struct sg_table *mock_map(struct dma_buf_attachment *attach,
				 enum dma_data_direction dir)
{
	return ERR_PTR(-ENODEV);
}

static void mock_unmap(struct dma_buf_attachment *attach, struct sg_table *sgt,
		       enum dma_data_direction dir)
{
}

static void mock_release(struct dma_buf *dmabuf)
{
	struct mock_buf *buf = dmabuf->priv;

	buf->callbacks = callbacks(buf->env);
	if (buf->own_resv) {
		dma_resv_fini(&buf->resv);
		memset(&buf->resv, 0x6b, sizeof(buf->resv));
	}
	complete(&buf->released);
}

static const struct dma_buf_ops mock_buf_ops = {
	.map_dma_buf = mock_map,
	.unmap_dma_buf = mock_unmap,
	.release = mock_release,
};

static struct mock_buf *new_buf(struct kunit *test, bool own_resv)
{
	struct mock_buf *buf = kunit_kzalloc(test, sizeof(*buf), GFP_KERNEL);
	DEFINE_DMA_BUF_EXPORT_INFO(info);
	struct poll_env *env = test->priv;
	struct dma_buf *dmabuf;

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, buf);
	init_completion(&buf->released);
	buf->env = env;
	buf->own_resv = own_resv;
	if (own_resv)
		dma_resv_init(&buf->resv);

	info.ops = &mock_buf_ops;
	info.size = PAGE_SIZE;
	info.flags = O_RDWR;
	info.priv = buf;
	info.resv = own_resv ? &buf->resv : NULL;
	dmabuf = dma_buf_export(&info);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, dmabuf);
	buf->dmabuf = dmabuf;
	list_add_tail(&buf->node, &env->bufs);
	return buf;
}

/* Drops the last reference; says whether that frees the buffer. */
static bool close_buf(struct mock_buf *buf)
{
	struct dma_buf *dmabuf = buf->dmabuf;

	buf->dmabuf = NULL;
	dma_buf_put(dmabuf);
	/* A test is a kernel thread: there the last fput() is put off. */
	flush_delayed_fput();
	return wait_for_completion_timeout(&buf->released, PATIENCE);
}

static void attach(struct kunit *test, struct mock_buf *buf, struct mock_fence *f,
		   enum dma_resv_usage usage)
{
	struct dma_resv *resv = buf->dmabuf->resv;
	int ret;

	dma_resv_lock(resv, NULL);
	ret = dma_resv_reserve_fences(resv, 1);
	if (!ret)
		dma_resv_add_fence(resv, &f->base, usage);
	dma_resv_unlock(resv);
	KUNIT_ASSERT_EQ(test, ret, 0);
}

static struct mock_fence *add_fence(struct kunit *test, struct mock_buf *buf,
				    enum dma_resv_usage usage)
{
	struct mock_fence *f = new_fence(test, ENABLE_TRUE);

	attach(test, buf, f, usage);
	return f;
}

static void replace(struct mock_buf *buf, struct mock_fence *old, struct mock_fence *new,
		    enum dma_resv_usage usage)
{
	struct dma_resv *resv = buf->dmabuf->resv;

	dma_resv_lock(resv, NULL);
	dma_resv_replace_fences(resv, old->base.context, &new->base, usage);
	dma_resv_unlock(resv);
}

/* As poll() with a timeout of 0 looks: nothing is queued. */
static unsigned int look(struct mock_buf *buf, unsigned int events)
{
	poll_table pt = { ._key = (__force __poll_t)events };

	return (__force unsigned int)vfs_poll(buf->dmabuf->file, &pt) & events;
}

/* As poll() and epoll wait: the first look queues, the next ones find it queued. */
struct waiter {
	poll_table pt;
	struct wait_queue_entry entry;
	wait_queue_head_t *head;
	struct mock_buf *buf;
	struct list_head node;
	unsigned int events;
	bool exclusive;
	atomic_t wakes;
};

static int waiter_wake(struct wait_queue_entry *entry, unsigned int mode, int sync, void *key)
{
	struct waiter *w = container_of(entry, struct waiter, entry);
	unsigned int events = (__force unsigned int)key_to_poll(key);

	/* To name no events is to name all. */
	if (events && !(events & w->events))
		return 0;
	atomic_inc(&w->wakes);
	return 1;
}

static void waiter_queue(struct file *file, wait_queue_head_t *head, poll_table *pt)
{
	struct waiter *w = container_of(pt, struct waiter, pt);

	w->head = head;
	if (w->exclusive)
		add_wait_queue_exclusive(head, &w->entry);
	else
		add_wait_queue(head, &w->entry);
}

static struct waiter *new_waiter(struct kunit *test, struct mock_buf *buf, unsigned int events)
{
	struct waiter *w = kunit_kzalloc(test, sizeof(*w), GFP_KERNEL);
	struct poll_env *env = test->priv;

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, w);
	init_waitqueue_func_entry(&w->entry, waiter_wake);
	init_poll_funcptr(&w->pt, waiter_queue);
	w->pt._key = (__force __poll_t)events;
	w->buf = buf;
	w->events = events;
	list_add_tail(&w->node, &env->waiters);
	return w;
}

static unsigned int waiter_look(struct waiter *w)
{
	unsigned int ready = (__force unsigned int)vfs_poll(w->buf->dmabuf->file, &w->pt);

	w->pt._qproc = NULL;
	return ready & w->events;
}

static void waiter_leave(struct waiter *w)
{
	if (w->head)
		remove_wait_queue(w->head, &w->entry);
	w->head = NULL;
}

/* A new waiter that is told to wait */
static struct waiter *wait_on(struct kunit *test, struct mock_buf *buf, unsigned int events)
{
	struct waiter *w = new_waiter(test, buf, events);

	KUNIT_EXPECT_EQ(test, waiter_look(w), 0U);
	return w;
}

/*
 * How often it was woken: waits for the least that is expected, and then a moment
 * for what is not. Whoever signals may leave the waking to an interrupt.
 */
static int wakes(struct waiter *w, int expected)
{
	unsigned long end = jiffies + PATIENCE;

	while (atomic_read(&w->wakes) < expected && time_before(jiffies, end))
		usleep_range(50, 100);
	usleep_range(500, 1000);
	return atomic_read(&w->wakes);
}

static void poll_test_exit(struct kunit *test)
{
	struct poll_env *env = test->priv;
	struct mock_fence *f, *next;
	struct mock_buf *buf;
	struct waiter *w;

	if (!env)
		return;
	list_for_each_entry(w, &env->waiters, node)
		waiter_leave(w);
	list_for_each_entry(buf, &env->bufs, node) {
		if (!buf->dmabuf)
			continue;
		KUNIT_EXPECT_EQ(test, file_count(buf->dmabuf->file), 1L);
		KUNIT_EXPECT_TRUE(test, close_buf(buf));
	}
	list_for_each_entry_safe(f, next, &env->fences, node) {
		/* It may wait for a grace period, even for one that is idle. */
		if (irq_work_is_busy(&f->irq))
			irq_work_sync(&f->irq);
		flush_work(&f->thread);
		KUNIT_EXPECT_EQ(test, callbacks_on(f), 0U);
		KUNIT_EXPECT_EQ(test, refs(f, 1), 1U);
		signal_fence(f);
		list_del(&f->node);
		dma_fence_put(&f->base);
	}
}

static int poll_test_init(struct kunit *test)
{
	struct poll_env *env = kunit_kzalloc(test, sizeof(*env), GFP_KERNEL);

	if (!env)
		return -ENOMEM;
	INIT_LIST_HEAD(&env->bufs);
	INIT_LIST_HEAD(&env->fences);
	INIT_LIST_HEAD(&env->waiters);
	test->priv = env;
	return 0;
}

static const struct {
	enum dma_resv_usage usage;
	unsigned int busy;
} usages[] = {
	{ DMA_RESV_USAGE_KERNEL, INOUT },
	{ DMA_RESV_USAGE_WRITE, INOUT },
	{ DMA_RESV_USAGE_READ, OUT },
	{ DMA_RESV_USAGE_BOOKKEEP, 0 },
};

static void exact_each_usage_holds_up_its_directions(struct kunit *test)
{
	struct mock_buf *buf = new_buf(test, false);
	struct mock_fence *f;
	int i;

	for (i = 0; i < ARRAY_SIZE(usages); i++) {
		f = add_fence(test, buf, usages[i].usage);
		KUNIT_EXPECT_EQ(test, look(buf, INOUT), INOUT & ~usages[i].busy);
		KUNIT_EXPECT_EQ(test, look(buf, IN), IN & ~usages[i].busy);
		KUNIT_EXPECT_EQ(test, look(buf, OUT), OUT & ~usages[i].busy);
		signal_fence(f);
		/* At once, whatever else is still on its way */
		KUNIT_EXPECT_EQ(test, look(buf, INOUT), INOUT);
	}
}

static void exact_fences_that_complete_when_enabled_do_not_count(struct kunit *test)
{
	struct mock_buf *buf = new_buf(test, false);
	struct mock_fence *f, *pending;
	int i;

	for (i = 0; i < 4; i++) {
		f = new_fence(test, i & 1 ? ENABLE_FALSE : ENABLE_SIGNALS);
		attach(test, buf, f, DMA_RESV_USAGE_WRITE);
	}
	pending = add_fence(test, buf, DMA_RESV_USAGE_READ);
	KUNIT_EXPECT_EQ(test, look(buf, INOUT), IN);
	KUNIT_EXPECT_EQ(test, callbacks_on(pending), 1U);
	signal_fence(pending);
	KUNIT_EXPECT_EQ(test, look(buf, INOUT), INOUT);
}

static void exact_a_fence_that_was_replaced_does_not_count(struct kunit *test)
{
	struct mock_buf *buf = new_buf(test, false);
	struct mock_fence *old = add_fence(test, buf, DMA_RESV_USAGE_WRITE);
	struct mock_fence *new = new_fence(test, ENABLE_TRUE);

	KUNIT_EXPECT_EQ(test, look(buf, INOUT), 0U);
	replace(buf, old, new, DMA_RESV_USAGE_READ);
	KUNIT_EXPECT_EQ(test, look(buf, INOUT), IN);
	replace(buf, new, old, DMA_RESV_USAGE_BOOKKEEP);
	KUNIT_EXPECT_EQ(test, look(buf, INOUT), INOUT);
	replace(buf, old, new, DMA_RESV_USAGE_WRITE);
	KUNIT_EXPECT_EQ(test, look(buf, INOUT), 0U);
}

/* Nor does it take a driver that can enable signaling. */
static void no_lost_wakeup_after_a_look_without_a_queue_function(struct kunit *test)
{
	struct mock_buf *buf = new_buf(test, false);
	struct waiter *w = new_waiter(test, buf, IN);
	struct mock_fence *f;
	int i;

	KUNIT_EXPECT_EQ(test, waiter_look(w), IN);
	for (i = 1; i < 5; i++) {
		f = new_fence(test, i & 1 ? ENABLE_TRUE : ENABLE_NONE);
		attach(test, buf, f, DMA_RESV_USAGE_WRITE);
		KUNIT_EXPECT_EQ(test, waiter_look(w), 0U);
		signal_fence(f);
		KUNIT_EXPECT_EQ(test, wakes(w, i), i);
		KUNIT_EXPECT_EQ(test, waiter_look(w), IN);
	}
}

/* At the latest when the old fence signals, or somebody looks */
static void no_lost_wakeup_when_a_fence_leaves_unsignaled(struct kunit *test)
{
	int looked;

	for (looked = 0; looked < 2; looked++) {
		struct mock_buf *buf = new_buf(test, false);
		struct mock_fence *old = add_fence(test, buf, DMA_RESV_USAGE_WRITE);
		struct mock_fence *new = new_fence(test, ENABLE_TRUE);
		struct waiter *w = wait_on(test, buf, IN);

		replace(buf, old, new, DMA_RESV_USAGE_BOOKKEEP);
		if (looked)
			KUNIT_EXPECT_EQ(test, look(buf, IN), IN);
		signal_fence(old);
		KUNIT_EXPECT_GE(test, wakes(w, 1), 1);
		KUNIT_EXPECT_EQ(test, waiter_look(w), IN);
	}
}

/* Whoever waits for the other direction must not swallow the wake-up. */
static void no_lost_wakeup_behind_an_exclusive_waiter(struct kunit *test)
{
	struct mock_buf *buf = new_buf(test, false);
	struct mock_fence *reader = add_fence(test, buf, DMA_RESV_USAGE_READ);
	struct mock_fence *writer = add_fence(test, buf, DMA_RESV_USAGE_WRITE);
	struct waiter *out = new_waiter(test, buf, OUT), *in = new_waiter(test, buf, IN);

	out->exclusive = true;
	in->exclusive = true;
	KUNIT_EXPECT_EQ(test, waiter_look(out), 0U);
	KUNIT_EXPECT_EQ(test, waiter_look(in), 0U);
	signal_fence(writer);
	KUNIT_EXPECT_GE(test, wakes(in, 1), 1);
	KUNIT_EXPECT_EQ(test, waiter_look(in), IN);
	signal_fence(reader);
	KUNIT_EXPECT_GE(test, wakes(out, 1), 1);
	KUNIT_EXPECT_EQ(test, waiter_look(out), OUT);
}

static void neutral_poll_refers_to_what_it_waits_for_only(struct kunit *test)
{
	struct mock_buf *buf = new_buf(test, false);
	struct mock_fence *old = add_fence(test, buf, DMA_RESV_USAGE_WRITE);
	struct mock_fence *new = new_fence(test, ENABLE_TRUE);

	KUNIT_EXPECT_EQ(test, look(buf, IN), 0U);
	KUNIT_EXPECT_EQ(test, file_count(buf->dmabuf->file), 1L);
	KUNIT_EXPECT_EQ(test, refs(old, 3), 3U);
	/* Nobody else keeps it now: the callback has to. */
	replace(buf, old, new, DMA_RESV_USAGE_WRITE);
	KUNIT_EXPECT_EQ(test, callbacks_on(old), 1U);
	KUNIT_EXPECT_EQ(test, refs(old, 2), 2U);
	signal_fence(old);
	KUNIT_EXPECT_EQ(test, look(buf, IN), 0U);
	KUNIT_EXPECT_EQ(test, refs(old, 1), 1U);
	KUNIT_EXPECT_EQ(test, refs(new, 3), 3U);
	signal_fence(new);
	KUNIT_EXPECT_EQ(test, look(buf, IN), IN);
	KUNIT_EXPECT_EQ(test, refs(new, 2), 2U);
	KUNIT_EXPECT_EQ(test, file_count(buf->dmabuf->file), 1L);
}

static void neutral_the_last_close_cancels_and_frees(struct kunit *test)
{
	static const unsigned int events[] = { IN, OUT, INOUT };
	struct poll_env *env = test->priv;
	int i, j;

	for (i = 0; i < 2 * ARRAY_SIZE(events); i++) {
		struct mock_buf *buf = new_buf(test, i & 1);
		struct mock_fence *f[] = {
			add_fence(test, buf, DMA_RESV_USAGE_WRITE),
			add_fence(test, buf, DMA_RESV_USAGE_READ),
			add_fence(test, buf, DMA_RESV_USAGE_BOOKKEEP),
		};

		waiter_leave(wait_on(test, buf, events[i / 2]));
		KUNIT_EXPECT_GE(test, callbacks(env), 1U);
		KUNIT_EXPECT_TRUE(test, close_buf(buf));
		KUNIT_EXPECT_EQ(test, buf->callbacks, 0U);
		for (j = 0; j < ARRAY_SIZE(f); j++) {
			KUNIT_EXPECT_FALSE(test, dma_fence_is_signaled(&f[j]->base));
			KUNIT_EXPECT_EQ(test, callbacks_on(f[j]), 0U);
			KUNIT_EXPECT_EQ(test, refs(f[j], 1), 1U);
			signal_fence(f[j]);
		}
	}
}

struct holder {
	struct work_struct work;
	struct mock_fence *f;
	bool holds, let_go, in_vain;
};

static void hold_lock(struct work_struct *work)
{
	struct holder *h = container_of(work, struct holder, work);
	int us;

	/* Other fences signal in interrupts, and to lockdep all their locks are one. */
	spin_lock_irq(&h->f->lock);
	WRITE_ONCE(h->holds, true);
	for (us = 0; us < 2 * USEC_PER_SEC && !READ_ONCE(h->let_go); us += 5)
		udelay(5);
	WRITE_ONCE(h->in_vain, !READ_ONCE(h->let_go));
	spin_unlock_irq(&h->f->lock);
}

/* Its lock may be one of the driver, and gone with that. */
static void neutral_a_fence_that_has_signaled_is_not_locked(struct kunit *test)
{
	struct mock_buf *buf = new_buf(test, false);
	int i;

	if (num_online_cpus() < 2)
		kunit_skip(test, "needs another CPU");
	/* Nothing else runs on the CPU of whoever holds the lock, nor would we. */
	migrate_disable();
	for (i = 0; i < 4; i++) {
		struct holder h = { .f = add_fence(test, buf, DMA_RESV_USAGE_WRITE) };
		struct waiter *w = wait_on(test, buf, INOUT);

		signal_fence(h.f);
		KUNIT_EXPECT_GE(test, wakes(w, 1), 1);
		waiter_leave(w);
		INIT_WORK_ONSTACK(&h.work, hold_lock);
		queue_work_on(cpumask_any_but(cpu_online_mask, smp_processor_id()),
			      system_highpri_wq, &h.work);
		while (!READ_ONCE(h.holds))
			cond_resched();
		if (i < 3)
			look(buf, INOUT);
		else
			close_buf(buf);
		KUNIT_EXPECT_FALSE(test, READ_ONCE(h.in_vain));
		WRITE_ONCE(h.let_go, true);
		flush_work(&h.work);
		destroy_work_on_stack(&h.work);
	}
	migrate_enable();
}

static void signaling_is_enabled_once_by_a_single_look(struct kunit *test)
{
	struct mock_buf *buf = new_buf(test, false);
	struct mock_fence *f;
	int i, j;

	for (i = 0; i < ARRAY_SIZE(usages); i++) {
		f = add_fence(test, buf, usages[i].usage);
		KUNIT_EXPECT_EQ(test, f->enabled, 0U);
		for (j = 0; j < 2; j++) {
			look(buf, OUT);
			look(buf, INOUT);
			KUNIT_EXPECT_EQ(test, f->enabled, usages[i].busy ? 1U : 0U);
		}
		signal_fence(f);
	}
}

/* One after the other: these signal only after they have been asked to. */
static void signaling_comes_to_every_fence_that_is_waited_for(struct kunit *test)
{
	struct mock_buf *buf = new_buf(test, false);
	unsigned long end = jiffies + PATIENCE;
	struct poll_env *env = test->priv;
	struct mock_fence *f;
	struct waiter *w;
	int i, signaled = 0;

	for (i = 0; i < 8; i++)
		add_fence(test, buf, DMA_RESV_USAGE_WRITE);
	w = wait_on(test, buf, IN);
	while (signaled < 8 && time_before(jiffies, end)) {
		list_for_each_entry(f, &env->fences, node) {
			if (f->enabled && !dma_fence_is_signaled(&f->base)) {
				signal_fence(f);
				signaled++;
			}
		}
		if (!wakes(w, signaled == 8))
			continue;
		/* Whoever is woken looks. */
		atomic_set(&w->wakes, 0);
		KUNIT_EXPECT_EQ(test, waiter_look(w), signaled == 8 ? IN : 0U);
	}
	KUNIT_EXPECT_EQ(test, signaled, 8);
}

static void shared_by_all_is_one_callback_per_direction(struct kunit *test)
{
	struct mock_buf *buf = new_buf(test, false);
	struct mock_fence *f[16];
	struct waiter *w[32];
	int i;

	for (i = 0; i < ARRAY_SIZE(f); i++)
		f[i] = add_fence(test, buf, DMA_RESV_USAGE_KERNEL);
	for (i = 0; i < ARRAY_SIZE(w); i++) {
		w[i] = wait_on(test, buf, i & 1 ? IN : OUT);
		KUNIT_EXPECT_GE(test, callbacks(test->priv), 1U);
		KUNIT_EXPECT_LE(test, callbacks(test->priv), i ? 2U : 1U);
	}
	for (i = 0; i < ARRAY_SIZE(f); i++) {
		/* In some order: 5 and 16 have no factor in common. */
		signal_fence(f[5 * i % ARRAY_SIZE(f)]);
		look(buf, INOUT);
		KUNIT_EXPECT_LE(test, callbacks(test->priv), 2U);
	}
	for (i = 0; i < ARRAY_SIZE(w); i++)
		KUNIT_EXPECT_GE(test, wakes(w[i], 1), 1);
}

static void anycontext_hard_interrupt(struct kunit *test)
{
	struct mock_buf *buf = new_buf(test, false);
	struct mock_fence *f[16];
	struct waiter *w;
	int i;

	for (i = 0; i < ARRAY_SIZE(f); i++)
		f[i] = add_fence(test, buf, DMA_RESV_USAGE_WRITE);
	w = wait_on(test, buf, IN);
	for (i = 0; i < ARRAY_SIZE(f); i++) {
		KUNIT_EXPECT_EQ(test, wakes(w, 0), 0);
		irq_work_queue(&f[i]->irq);
		irq_work_sync(&f[i]->irq);
		KUNIT_EXPECT_EQ(test, f[i]->hardirq, !IS_ENABLED(CONFIG_PREEMPT_RT));
	}
	KUNIT_EXPECT_EQ(test, wakes(w, 1), 1);
	KUNIT_EXPECT_EQ(test, waiter_look(w), IN);
}

/* The callback has just been added, and is called before poll has gone on. */
static void anycontext_an_interrupt_while_arming(struct kunit *test)
{
	struct mock_buf *buf = new_buf(test, false);
	struct waiter *w;
	int i;

	for (i = 0; i < 16; i++) {
		attach(test, buf, new_fence(test, ENABLE_INTERRUPT), DMA_RESV_USAGE_WRITE);
		w = new_waiter(test, buf, i & 1 ? IN : OUT);
		if (!waiter_look(w))
			KUNIT_EXPECT_GE(test, wakes(w, 1), 1);
		KUNIT_EXPECT_EQ(test, waiter_look(w), w->events);
	}
}

/* In an interrupt, and on another CPU if there is one */
static void anycontext_signals_while_closing(struct kunit *test)
{
	int i, cpu = cpumask_any_but(cpu_online_mask, raw_smp_processor_id());

	if (cpu >= nr_cpu_ids)
		cpu = raw_smp_processor_id();
	for (i = 0; i < 200; i++) {
		struct mock_buf *buf = new_buf(test, i & 1);
		struct mock_fence *here = add_fence(test, buf, DMA_RESV_USAGE_WRITE);
		struct mock_fence *there = add_fence(test, buf, DMA_RESV_USAGE_READ);

		waiter_leave(wait_on(test, buf, INOUT));
		queue_work_on(cpu, system_highpri_wq, &there->thread);
		udelay(i % 50);
		if (i & 2)
			irq_work_queue(&here->irq);
		KUNIT_EXPECT_TRUE(test, close_buf(buf));
		KUNIT_EXPECT_EQ(test, buf->callbacks, 0U);
	}
}

static void names_a_fence_with_an_error_has_signaled(struct kunit *test)
{
	struct mock_buf *buf = new_buf(test, false);
	struct mock_fence *f = add_fence(test, buf, DMA_RESV_USAGE_WRITE);
	struct waiter *w = wait_on(test, buf, INOUT);

	dma_fence_set_error(&f->base, -EIO);
	KUNIT_EXPECT_EQ(test, look(buf, INOUT), 0U);
	signal_fence(f);
	KUNIT_EXPECT_GE(test, wakes(w, 1), 1);
	KUNIT_EXPECT_EQ(test, waiter_look(w), INOUT);
}

static struct kunit_case poll_cases[] = {
	KUNIT_CASE(exact_each_usage_holds_up_its_directions),
	KUNIT_CASE(exact_fences_that_complete_when_enabled_do_not_count),
	KUNIT_CASE(exact_a_fence_that_was_replaced_does_not_count),
	KUNIT_CASE(no_lost_wakeup_after_a_look_without_a_queue_function),
	KUNIT_CASE(no_lost_wakeup_when_a_fence_leaves_unsignaled),
	KUNIT_CASE(no_lost_wakeup_behind_an_exclusive_waiter),
	KUNIT_CASE(neutral_poll_refers_to_what_it_waits_for_only),
	KUNIT_CASE(neutral_the_last_close_cancels_and_frees),
	KUNIT_CASE(neutral_a_fence_that_has_signaled_is_not_locked),
	KUNIT_CASE(signaling_is_enabled_once_by_a_single_look),
	KUNIT_CASE(signaling_comes_to_every_fence_that_is_waited_for),
	KUNIT_CASE(shared_by_all_is_one_callback_per_direction),
	KUNIT_CASE(anycontext_hard_interrupt),
	KUNIT_CASE(anycontext_an_interrupt_while_arming),
	KUNIT_CASE(anycontext_signals_while_closing),
	KUNIT_CASE(names_a_fence_with_an_error_has_signaled),
	{}
};

static struct kunit_suite poll_suite = {
	.name = "dma-buf-poll",
	.init = poll_test_init,
	.exit = poll_test_exit,
	.test_cases = poll_cases,
};

kunit_test_suite(poll_suite);

MODULE_DESCRIPTION("KUnit tests for poll() on dma-buf files");
MODULE_LICENSE("GPL");
/* What MODULE_IMPORT_NS() takes has changed, what it says has not. */
MODULE_INFO(import_ns, "DMA_BUF");
