// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests for poll() on dma-buf files, v5.10 edition.
 *
 * v5.10 knows one exclusive fence and a list of shared ones. No exporter lets
 * user space attach both at a time, make a fence signal in hard interrupt
 * context, or choose what its enable_signaling does. These tests do, against
 * buffers and fences of their own, through nothing but vfs_poll().
 */

#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/dma-buf.h>
#include <linux/dma-fence.h>
#include <linux/dma-resv.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/hrtimer.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/random.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/wait.h>

#include <kunit/test.h>

#define ST_IN		((__force unsigned int)EPOLLIN)
#define ST_OUT		((__force unsigned int)EPOLLOUT)
#define ST_INOUT	(ST_IN | ST_OUT)
#define ST_TIMEOUT	(5 * HZ)

/*
 * Fences. Every one is counted, so that a leaked reference shows at the end of
 * each test.
 */

static atomic_t st_fences = ATOMIC_INIT(0);

enum st_enable {
	ST_ENABLE_NONE,		/* no enable_signaling at all */
	ST_ENABLE_TRUE,
	ST_ENABLE_FALSE,	/* "has signaled already" */
};

struct st_fence {
	struct dma_fence base;	/* first, for dma_fence_free() */
	spinlock_t lock;
	enum st_enable enable;
	unsigned int enabled;	/* calls of enable_signaling */
	bool done;		/* what ->signaled reports */
	bool hardirq;		/* the timer ran in hard interrupt context */
	bool signaling;		/* being signaled by whoever has no reference */
	bool *released_early;	/* set if freed meanwhile */
	struct hrtimer timer;
};

static struct st_fence *to_st_fence(struct dma_fence *fence)
{
	return container_of(fence, struct st_fence, base);
}

static const char *st_fence_name(struct dma_fence *fence)
{
	return "st-dma-buf-poll";
}

static bool st_fence_enable_signaling(struct dma_fence *fence)
{
	struct st_fence *f = to_st_fence(fence);

	f->enabled++;
	return f->enable == ST_ENABLE_TRUE;
}

static bool st_fence_signaled(struct dma_fence *fence)
{
	return READ_ONCE(to_st_fence(fence)->done);
}

static void st_fence_release(struct dma_fence *fence)
{
	struct st_fence *f = to_st_fence(fence);

	if (f->released_early)
		*f->released_early = f->signaling;
	atomic_dec(&st_fences);
	dma_fence_free(fence);
}

static const struct dma_fence_ops st_fence_plain_ops = {
	.get_driver_name = st_fence_name,
	.get_timeline_name = st_fence_name,
	.release = st_fence_release,
};

static const struct dma_fence_ops st_fence_ops = {
	.get_driver_name = st_fence_name,
	.get_timeline_name = st_fence_name,
	.enable_signaling = st_fence_enable_signaling,
	.signaled = st_fence_signaled,
	.release = st_fence_release,
};

static enum hrtimer_restart st_fence_timer(struct hrtimer *timer)
{
	struct st_fence *f = container_of(timer, struct st_fence, timer);

	f->hardirq = in_irq();
	dma_fence_signal(&f->base);
	/* The reference that st_fence_arm() took */
	dma_fence_put(&f->base);

	return HRTIMER_NORESTART;
}

static struct st_fence *st_fence(struct kunit *test, enum st_enable enable)
{
	struct st_fence *f = kzalloc(sizeof(*f), GFP_KERNEL);

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, f);

	spin_lock_init(&f->lock);
	f->enable = enable;
	hrtimer_init(&f->timer, CLOCK_MONOTONIC, HRTIMER_MODE_REL_HARD);
	f->timer.function = st_fence_timer;
	dma_fence_init(&f->base, enable == ST_ENABLE_NONE ?
		       &st_fence_plain_ops : &st_fence_ops, &f->lock,
		       dma_fence_context_alloc(1), 1);
	atomic_inc(&st_fences);

	return f;
}

/* Has the fence signal from hard interrupt context, @us microseconds from now */
static void st_fence_arm(struct st_fence *f, unsigned int us)
{
	dma_fence_get(&f->base);
	hrtimer_start(&f->timer, ns_to_ktime(us * NSEC_PER_USEC),
		      HRTIMER_MODE_REL_HARD);
}

static unsigned int st_fence_refs(struct st_fence *f)
{
	return kref_read(&f->base.refcount);
}

/*
 * Buffers, with the reservation object in the dma-buf, or in the exporter's
 * object that goes away with ops->release.
 */

struct st_buf {
	struct dma_resv resv;
	bool own_resv;
	bool *released;		/* protected by st_lock */
};

static DEFINE_SPINLOCK(st_lock);

static struct sg_table *st_buf_map(struct dma_buf_attachment *attach,
				   enum dma_data_direction dir)
{
	return ERR_PTR(-ENODEV);
}

static void st_buf_unmap(struct dma_buf_attachment *attach, struct sg_table *sgt,
			 enum dma_data_direction dir)
{
}

static void st_buf_release(struct dma_buf *dmabuf)
{
	struct st_buf *buf = dmabuf->priv;

	if (buf->own_resv)
		dma_resv_fini(&buf->resv);

	spin_lock(&st_lock);
	if (buf->released)
		*buf->released = true;
	spin_unlock(&st_lock);

	memset(buf, 0x6b, sizeof(*buf));
	kfree(buf);
}

static const struct dma_buf_ops st_buf_ops = {
	.map_dma_buf = st_buf_map,
	.unmap_dma_buf = st_buf_unmap,
	.release = st_buf_release,
};

static struct dma_buf *__st_buf(struct kunit *test, bool *released,
				bool own_resv)
{
	DEFINE_DMA_BUF_EXPORT_INFO(info);
	struct dma_buf *dmabuf;
	struct st_buf *buf;

	buf = kzalloc(sizeof(*buf), GFP_KERNEL);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, buf);

	*released = false;
	buf->released = released;
	buf->own_resv = own_resv;
	if (own_resv)
		dma_resv_init(&buf->resv);

	info.ops = &st_buf_ops;
	info.size = PAGE_SIZE;
	info.flags = O_RDWR;
	info.priv = buf;
	info.resv = own_resv ? &buf->resv : NULL;

	dmabuf = dma_buf_export(&info);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, dmabuf);

	return dmabuf;
}

static struct dma_buf *st_buf(struct kunit *test, bool *released)
{
	return __st_buf(test, released, false);
}

/* Closes the buffer and returns whether that has freed it */
static bool st_close(struct dma_buf *dmabuf, bool *released)
{
	struct st_buf *buf = dmabuf->priv;
	bool ret;

	/* Tests run in a kernel thread, where fput() would be deferred */
	__fput_sync(dmabuf->file);

	/* Someone who pinned it must not find our stack gone later on */
	spin_lock(&st_lock);
	ret = *released;
	if (!ret)
		buf->released = NULL;
	spin_unlock(&st_lock);

	return ret;
}

static void st_attach(struct kunit *test, struct dma_buf *dmabuf,
		      struct st_fence *f, bool exclusive)
{
	struct dma_resv *resv = dmabuf->resv;
	int ret = 0;

	dma_resv_lock(resv, NULL);
	if (exclusive) {
		dma_resv_add_excl_fence(resv, f ? &f->base : NULL);
	} else {
		ret = dma_resv_reserve_shared(resv, 1);
		if (!ret)
			dma_resv_add_shared_fence(resv, &f->base);
	}
	dma_resv_unlock(resv);
	KUNIT_ASSERT_EQ(test, ret, 0);
}

#define st_attach_excl(test, dmabuf, f)		st_attach(test, dmabuf, f, true)
#define st_attach_shared(test, dmabuf, f)	st_attach(test, dmabuf, f, false)

/* poll() with timeout 0: nobody is going to wait */
static unsigned int st_poll(struct dma_buf *dmabuf, unsigned int events)
{
	poll_table pt = { ._key = (__force __poll_t)events };

	return (__force unsigned int)vfs_poll(dmabuf->file, &pt) & events;
}

/*
 * A waiter, as epoll and poll() are: queued by its first look, woken, and then
 * looking again with the wait entry still in place.
 */

struct st_waiter {
	poll_table pt;
	struct wait_queue_entry wait;
	wait_queue_head_t *head;
	struct file *file;
	unsigned int events;
	unsigned int ready;	/* what the last look found */
	bool exclusive;
	atomic_t wakes;
	int seen;		/* wakes before the last look */
	atomic_t keys;		/* all events that wake-ups claimed */
	struct completion woken;
};

static int st_waiter_wake(struct wait_queue_entry *wait, unsigned int mode,
			  int sync, void *key)
{
	struct st_waiter *w = container_of(wait, struct st_waiter, wait);
	unsigned int events = (__force unsigned int)key_to_poll(key);

	/* As all waiters do that get told for what they are woken */
	if (events && !(events & w->events))
		return 0;

	atomic_or(events & w->events, &w->keys);
	atomic_inc(&w->wakes);
	complete(&w->woken);

	return 1;
}

static void st_waiter_queue(struct file *file, wait_queue_head_t *head,
			    poll_table *pt)
{
	struct st_waiter *w = container_of(pt, struct st_waiter, pt);

	w->head = head;
	if (w->exclusive)
		add_wait_queue_exclusive(head, &w->wait);
	else
		add_wait_queue(head, &w->wait);
}

static unsigned int st_look(struct st_waiter *w)
{
	w->seen = atomic_read(&w->wakes);
	reinit_completion(&w->woken);
	w->ready = (__force unsigned int)vfs_poll(w->file, &w->pt) & w->events;
	w->pt._qproc = NULL;

	return w->ready;
}

static void st_waiter_init(struct st_waiter *w, struct dma_buf *dmabuf,
			   unsigned int events, bool exclusive)
{
	memset(w, 0, sizeof(*w));
	init_waitqueue_func_entry(&w->wait, st_waiter_wake);
	init_completion(&w->woken);
	init_poll_funcptr(&w->pt, st_waiter_queue);
	w->pt._key = (__force __poll_t)events;
	w->file = dmabuf->file;
	w->events = events;
	w->exclusive = exclusive;
}

/* Starts to wait and returns what is ready right away */
static unsigned int st_wait(struct st_waiter *w, struct dma_buf *dmabuf,
			    unsigned int events)
{
	st_waiter_init(w, dmabuf, events, false);
	return st_look(w);
}

static unsigned int st_wait_exclusive(struct st_waiter *w,
				      struct dma_buf *dmabuf,
				      unsigned int events)
{
	st_waiter_init(w, dmabuf, events, true);
	return st_look(w);
}

static bool st_woken(struct st_waiter *w)
{
	return atomic_read(&w->wakes) != w->seen;
}

/* Runs the waiter, which only ever looks again if it was woken */
static unsigned int st_run(struct st_waiter *w)
{
	while (!w->ready && st_woken(w))
		st_look(w);

	return w->ready;
}

/* The same for a thread that sleeps, returns 0 if it was not woken in time */
static unsigned int st_sleep(struct st_waiter *w)
{
	while (!w->ready) {
		if (!wait_for_completion_timeout(&w->woken, ST_TIMEOUT))
			return 0;
		st_look(w);
	}

	return w->ready;
}

static void st_stop(struct st_waiter *w)
{
	if (w->head)
		remove_wait_queue(w->head, &w->wait);
}

static const unsigned int st_orders[][3] = {
	{ 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 },
	{ 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 },
};

/* Nothing attached: ready for everything, nobody woken, no edge in sight */
static void exact_idle(struct kunit *test)
{
	bool released;
	struct dma_buf *dmabuf = st_buf(test, &released);
	struct st_waiter w, other;
	int i;

	KUNIT_EXPECT_EQ(test, st_wait(&other, dmabuf, ST_INOUT), ST_INOUT);
	KUNIT_EXPECT_EQ(test, st_wait(&w, dmabuf, ST_INOUT), ST_INOUT);
	for (i = 0; i < 10; i++) {
		KUNIT_EXPECT_EQ(test, st_poll(dmabuf, ST_IN), ST_IN);
		KUNIT_EXPECT_EQ(test, st_poll(dmabuf, ST_OUT), ST_OUT);
		KUNIT_EXPECT_EQ(test, st_look(&w), ST_INOUT);
	}
	KUNIT_EXPECT_EQ(test, atomic_read(&other.wakes), 0);
	KUNIT_EXPECT_EQ(test, st_poll(dmabuf, 0), 0U);

	st_stop(&w);
	st_stop(&other);
	KUNIT_EXPECT_TRUE(test, st_close(dmabuf, &released));
}

/* An exclusive fence alone holds up both directions, a shared one only OUT */
static void exact_one_fence(struct kunit *test)
{
	int exclusive;

	for (exclusive = 0; exclusive < 2; exclusive++) {
		unsigned int busy = exclusive ? ST_INOUT : ST_OUT;
		struct st_fence *f = st_fence(test, ST_ENABLE_TRUE);
		bool released;
		struct dma_buf *dmabuf = st_buf(test, &released);
		struct st_waiter out;

		st_attach(test, dmabuf, f, exclusive);

		KUNIT_EXPECT_EQ(test, st_poll(dmabuf, ST_INOUT), ST_INOUT & ~busy);
		KUNIT_EXPECT_EQ(test, st_poll(dmabuf, ST_IN), ST_IN & ~busy);
		KUNIT_EXPECT_EQ(test, st_poll(dmabuf, ST_OUT), 0U);
		KUNIT_EXPECT_EQ(test, st_wait(&out, dmabuf, ST_OUT), 0U);
		KUNIT_EXPECT_FALSE(test, st_woken(&out));

		dma_fence_signal(&f->base);

		KUNIT_EXPECT_EQ(test, st_run(&out), ST_OUT);
		KUNIT_EXPECT_EQ(test, st_poll(dmabuf, ST_INOUT), ST_INOUT);

		st_stop(&out);
		KUNIT_EXPECT_TRUE(test, st_close(dmabuf, &released));
		dma_fence_put(&f->base);
	}
}

/*
 * An exclusive and two shared fences, all pending, signaled in every order, one
 * round per set of events polled at each step: IN is for the exclusive one, OUT
 * for all.
 */
static void exact_exclusive_and_shared(struct kunit *test)
{
	int order, i;

	for (order = 0; order < ARRAY_SIZE(st_orders); order++) {
		bool released;
		struct dma_buf *dmabuf = st_buf(test, &released);
		unsigned int expect = 0;
		struct st_fence *f[3];

		for (i = 0; i < 3; i++) {
			f[i] = st_fence(test, ST_ENABLE_TRUE);
			st_attach(test, dmabuf, f[i], i == 0);
		}

		for (i = 0; i <= 3; i++) {
			KUNIT_EXPECT_EQ(test, st_poll(dmabuf, ST_IN),
					expect & ST_IN);
			KUNIT_EXPECT_EQ(test, st_poll(dmabuf, ST_OUT),
					expect & ST_OUT);
			KUNIT_EXPECT_EQ(test, st_poll(dmabuf, ST_INOUT), expect);
			if (i == 3)
				break;

			dma_fence_signal(&f[st_orders[order][i]]->base);
			if (st_orders[order][i] == 0)
				expect |= ST_IN;
			if (i == 2)
				expect |= ST_OUT;
		}

		KUNIT_EXPECT_TRUE(test, st_close(dmabuf, &released));
		for (i = 0; i < 3; i++)
			dma_fence_put(&f[i]->base);
	}
}

static noinline_for_stack void st_expect(struct kunit *test,
					 struct st_waiter *w,
					 unsigned int expect)
{
	KUNIT_EXPECT_EQ(test, st_run(w), expect);
	KUNIT_EXPECT_EQ(test, atomic_read(&w->keys) & ~expect, 0U);
}

/*
 * The same with nobody but sleepers looking, and those only when woken. Also,
 * no wake-up may claim an event that is not there: aio and io_uring take it for
 * the result.
 */
static void no_lost_wakeup_sleepers(struct kunit *test)
{
	int order, i;

	for (order = 0; order < ARRAY_SIZE(st_orders); order++) {
		bool released;
		struct dma_buf *dmabuf = st_buf(test, &released);
		/* With lockdep in them too much for the stack */
		static struct st_waiter in, out[2];
		struct st_fence *f[3];
		unsigned int expect_in = 0;

		for (i = 0; i < 3; i++) {
			f[i] = st_fence(test, ST_ENABLE_TRUE);
			st_attach(test, dmabuf, f[i], i == 0);
		}

		KUNIT_EXPECT_EQ(test, st_wait(&in, dmabuf, ST_IN), 0U);
		KUNIT_EXPECT_EQ(test, st_wait(&out[0], dmabuf, ST_OUT), 0U);
		KUNIT_EXPECT_EQ(test, st_wait(&out[1], dmabuf, ST_OUT), 0U);

		for (i = 0; i < 3; i++) {
			unsigned int expect_out = i == 2 ? ST_OUT : 0;

			dma_fence_signal(&f[st_orders[order][i]]->base);
			if (st_orders[order][i] == 0)
				expect_in = ST_IN;

			st_expect(test, &in, expect_in);
			st_expect(test, &out[0], expect_out);
			st_expect(test, &out[1], expect_out);
		}

		st_stop(&in);
		st_stop(&out[0]);
		st_stop(&out[1]);
		KUNIT_EXPECT_TRUE(test, st_close(dmabuf, &released));
		for (i = 0; i < 3; i++)
			dma_fence_put(&f[i]->base);
	}
}

/* One waiter for both directions gets IN as soon as it is there */
static void no_lost_wakeup_in_before_out(struct kunit *test)
{
	struct st_fence *excl = st_fence(test, ST_ENABLE_TRUE);
	struct st_fence *shared = st_fence(test, ST_ENABLE_TRUE);
	bool released;
	struct dma_buf *dmabuf = st_buf(test, &released);
	struct st_waiter w;

	st_attach_excl(test, dmabuf, excl);
	st_attach_shared(test, dmabuf, shared);

	KUNIT_EXPECT_EQ(test, st_wait(&w, dmabuf, ST_INOUT), 0U);
	dma_fence_signal(&excl->base);
	KUNIT_EXPECT_EQ(test, st_run(&w), ST_IN);
	dma_fence_signal(&shared->base);
	KUNIT_EXPECT_TRUE(test, st_woken(&w));
	KUNIT_EXPECT_EQ(test, st_look(&w), ST_INOUT);

	st_stop(&w);
	KUNIT_EXPECT_TRUE(test, st_close(dmabuf, &released));
	dma_fence_put(&excl->base);
	dma_fence_put(&shared->base);
}

/* Exclusive waiters: the first is woken but does not come back for long */
static void no_lost_wakeup_exclusive_waiters(struct kunit *test)
{
	struct st_fence *a = st_fence(test, ST_ENABLE_TRUE);
	struct st_fence *b = st_fence(test, ST_ENABLE_TRUE);
	bool released;
	struct dma_buf *dmabuf = st_buf(test, &released);
	struct st_waiter lazy, w;

	st_attach_shared(test, dmabuf, a);
	st_attach_shared(test, dmabuf, b);

	KUNIT_EXPECT_EQ(test, st_wait_exclusive(&lazy, dmabuf, ST_OUT), 0U);
	KUNIT_EXPECT_EQ(test, st_wait_exclusive(&w, dmabuf, ST_OUT), 0U);
	dma_fence_signal(&a->base);
	KUNIT_EXPECT_EQ(test, st_run(&w), 0U);
	dma_fence_signal(&b->base);
	KUNIT_EXPECT_EQ(test, st_run(&w), ST_OUT);
	KUNIT_EXPECT_EQ(test, st_run(&lazy), ST_OUT);

	st_stop(&lazy);
	st_stop(&w);
	KUNIT_EXPECT_TRUE(test, st_close(dmabuf, &released));
	dma_fence_put(&a->base);
	dma_fence_put(&b->base);
}

/* A poll that does not wait has looked before, then someone goes to sleep */
static void no_lost_wakeup_sleep_after_look(struct kunit *test)
{
	struct st_fence *f = st_fence(test, ST_ENABLE_TRUE);
	bool released;
	struct dma_buf *dmabuf = st_buf(test, &released);
	struct st_waiter in, out;

	st_attach_excl(test, dmabuf, f);

	KUNIT_EXPECT_EQ(test, st_poll(dmabuf, ST_INOUT), 0U);
	KUNIT_EXPECT_EQ(test, st_wait(&in, dmabuf, ST_IN), 0U);
	KUNIT_EXPECT_EQ(test, st_wait(&out, dmabuf, ST_OUT), 0U);
	KUNIT_EXPECT_EQ(test, st_poll(dmabuf, ST_INOUT), 0U);
	dma_fence_signal(&f->base);
	KUNIT_EXPECT_EQ(test, st_run(&in), ST_IN);
	KUNIT_EXPECT_EQ(test, st_run(&out), ST_OUT);

	st_stop(&in);
	st_stop(&out);
	KUNIT_EXPECT_TRUE(test, st_close(dmabuf, &released));
	dma_fence_put(&f->base);
}

/* A fence added while others sleep counts, for those who sleep already, too */
static void no_lost_wakeup_fence_added(struct kunit *test)
{
	struct st_fence *a = st_fence(test, ST_ENABLE_TRUE);
	struct st_fence *b = st_fence(test, ST_ENABLE_TRUE);
	bool released;
	struct dma_buf *dmabuf = st_buf(test, &released);
	struct st_waiter w;

	st_attach_shared(test, dmabuf, a);
	KUNIT_EXPECT_EQ(test, st_wait(&w, dmabuf, ST_OUT), 0U);
	st_attach_shared(test, dmabuf, b);
	dma_fence_signal(&a->base);
	KUNIT_EXPECT_EQ(test, st_run(&w), 0U);
	KUNIT_EXPECT_EQ(test, st_poll(dmabuf, ST_OUT), 0U);
	dma_fence_signal(&b->base);
	KUNIT_EXPECT_EQ(test, st_run(&w), ST_OUT);

	st_stop(&w);
	KUNIT_EXPECT_TRUE(test, st_close(dmabuf, &released));
	dma_fence_put(&a->base);
	dma_fence_put(&b->base);
}

/*
 * A poll that armed a fence does not bind those after it to that fence, once it
 * has been replaced by another that signals earlier.
 */
static void no_lost_wakeup_fence_replaced(struct kunit *test)
{
	struct st_fence *a = st_fence(test, ST_ENABLE_TRUE);
	struct st_fence *b = st_fence(test, ST_ENABLE_TRUE);
	bool released;
	struct dma_buf *dmabuf = st_buf(test, &released);
	struct st_waiter w;

	st_attach_excl(test, dmabuf, a);
	KUNIT_EXPECT_EQ(test, st_poll(dmabuf, ST_INOUT), 0U);
	st_attach_excl(test, dmabuf, b);
	KUNIT_EXPECT_EQ(test, st_wait(&w, dmabuf, ST_INOUT), 0U);
	/* Only the buffers of this test and the poller held the first one */
	KUNIT_EXPECT_EQ(test, st_fence_refs(a), 1U);
	dma_fence_signal(&b->base);
	KUNIT_EXPECT_EQ(test, st_run(&w), ST_INOUT);
	dma_fence_signal(&a->base);

	st_stop(&w);
	KUNIT_EXPECT_TRUE(test, st_close(dmabuf, &released));
	dma_fence_put(&a->base);
	dma_fence_put(&b->base);
}

/* Whoever finds the buffer ready tells those who sleep on a fence since removed */
static void no_lost_wakeup_fence_removed(struct kunit *test)
{
	struct st_fence *f = st_fence(test, ST_ENABLE_TRUE);
	bool released;
	struct dma_buf *dmabuf = st_buf(test, &released);
	struct st_waiter w;

	st_attach_excl(test, dmabuf, f);
	KUNIT_EXPECT_EQ(test, st_wait(&w, dmabuf, ST_INOUT), 0U);
	st_attach_excl(test, dmabuf, NULL);
	KUNIT_EXPECT_EQ(test, st_poll(dmabuf, ST_INOUT), ST_INOUT);
	KUNIT_EXPECT_EQ(test, st_run(&w), ST_INOUT);
	KUNIT_EXPECT_EQ(test, st_fence_refs(f), 1U);
	dma_fence_signal(&f->base);

	st_stop(&w);
	KUNIT_EXPECT_TRUE(test, st_close(dmabuf, &released));
	dma_fence_put(&f->base);
}

/* Whatever is polled has signaling enabled, once, also if nobody waits */
static void signaling_is_enabled(struct kunit *test)
{
	int exclusive;

	for (exclusive = 0; exclusive < 2; exclusive++) {
		struct st_fence *f = st_fence(test, ST_ENABLE_TRUE);
		bool released;
		struct dma_buf *dmabuf = st_buf(test, &released);
		unsigned int events = exclusive ? ST_IN : ST_OUT;

		st_attach(test, dmabuf, f, exclusive);
		KUNIT_EXPECT_EQ(test, f->enabled, 0U);
		KUNIT_EXPECT_EQ(test, st_poll(dmabuf, events), 0U);
		KUNIT_EXPECT_EQ(test, f->enabled, 1U);
		KUNIT_EXPECT_EQ(test, st_poll(dmabuf, ST_OUT), 0U);
		KUNIT_EXPECT_EQ(test, f->enabled, 1U);

		dma_fence_signal(&f->base);
		KUNIT_EXPECT_TRUE(test, st_close(dmabuf, &released));
		dma_fence_put(&f->base);
	}
}

/* A fence without enable_signaling */
static void signaling_without_an_op(struct kunit *test)
{
	struct st_fence *f = st_fence(test, ST_ENABLE_NONE);
	bool released;
	struct dma_buf *dmabuf = st_buf(test, &released);
	struct st_waiter w;

	st_attach_excl(test, dmabuf, f);
	KUNIT_EXPECT_EQ(test, st_wait(&w, dmabuf, ST_INOUT), 0U);
	dma_fence_signal(&f->base);
	KUNIT_EXPECT_EQ(test, st_run(&w), ST_INOUT);

	st_stop(&w);
	KUNIT_EXPECT_TRUE(test, st_close(dmabuf, &released));
	dma_fence_put(&f->base);
}

/*
 * Fences that turn out to have signaled when the callback goes in, each alone
 * and in front of one that has not.
 */
static void signaling_that_fails(struct kunit *test)
{
	int exclusive, pending;

	for (exclusive = 0; exclusive < 2; exclusive++) {
		for (pending = 0; pending < 2; pending++) {
			unsigned int expect = pending ? ST_IN : ST_INOUT;
			struct st_fence *f = st_fence(test, ST_ENABLE_FALSE);
			struct st_fence *p = st_fence(test, ST_ENABLE_TRUE);
			bool released;
			struct dma_buf *dmabuf = st_buf(test, &released);
			struct st_waiter w;

			st_attach(test, dmabuf, f, exclusive);
			if (pending)
				st_attach_shared(test, dmabuf, p);

			KUNIT_EXPECT_EQ(test, st_wait(&w, dmabuf, ST_OUT),
					expect & ST_OUT);
			KUNIT_EXPECT_EQ(test, f->enabled, 1U);
			KUNIT_EXPECT_EQ(test, st_poll(dmabuf, ST_INOUT), expect);

			dma_fence_signal(&p->base);
			KUNIT_EXPECT_EQ(test, st_run(&w), ST_OUT);

			st_stop(&w);
			KUNIT_EXPECT_TRUE(test, st_close(dmabuf, &released));
			dma_fence_put(&f->base);
			dma_fence_put(&p->base);
		}
	}
}

/* A fence that is done but has not said so yet, is when asked */
static void exact_signaled_when_asked(struct kunit *test)
{
	struct st_fence *f = st_fence(test, ST_ENABLE_TRUE);
	bool released;
	struct dma_buf *dmabuf = st_buf(test, &released);
	struct st_waiter in, out;

	st_attach_excl(test, dmabuf, f);
	KUNIT_EXPECT_EQ(test, st_wait(&in, dmabuf, ST_IN), 0U);
	KUNIT_EXPECT_EQ(test, st_wait(&out, dmabuf, ST_OUT), 0U);
	WRITE_ONCE(f->done, true);
	KUNIT_EXPECT_EQ(test, st_poll(dmabuf, ST_INOUT), ST_INOUT);
	KUNIT_EXPECT_EQ(test, st_run(&in), ST_IN);
	KUNIT_EXPECT_EQ(test, st_run(&out), ST_OUT);

	st_stop(&in);
	st_stop(&out);
	KUNIT_EXPECT_TRUE(test, st_close(dmabuf, &released));
	dma_fence_put(&f->base);
}

/* A fence that failed counts as signaled */
static void exact_fence_error(struct kunit *test)
{
	struct st_fence *f = st_fence(test, ST_ENABLE_TRUE);
	bool released;
	struct dma_buf *dmabuf = st_buf(test, &released);
	struct st_waiter w;

	st_attach_excl(test, dmabuf, f);
	KUNIT_EXPECT_EQ(test, st_wait(&w, dmabuf, ST_INOUT), 0U);
	dma_fence_set_error(&f->base, -EIO);
	dma_fence_signal(&f->base);
	KUNIT_EXPECT_EQ(test, st_run(&w), ST_INOUT);

	st_stop(&w);
	KUNIT_EXPECT_TRUE(test, st_close(dmabuf, &released));
	dma_fence_put(&f->base);
}

/* References: on the fence as long as a callback is on it, never on the file */
static void neutral_references(struct kunit *test)
{
	struct st_fence *f = st_fence(test, ST_ENABLE_TRUE);
	bool released;
	struct dma_buf *dmabuf = st_buf(test, &released);
	unsigned int before;

	st_attach_excl(test, dmabuf, f);
	before = st_fence_refs(f);

	KUNIT_EXPECT_EQ(test, st_poll(dmabuf, ST_INOUT), 0U);
	KUNIT_EXPECT_EQ(test, st_poll(dmabuf, ST_INOUT), 0U);
	KUNIT_EXPECT_EQ(test, st_fence_refs(f), before + 2);
	KUNIT_EXPECT_EQ(test, file_count(dmabuf->file), 1L);

	/* The next look gives them back, or else the close, see below */
	dma_fence_signal(&f->base);
	KUNIT_EXPECT_EQ(test, st_poll(dmabuf, ST_INOUT), ST_INOUT);
	KUNIT_EXPECT_EQ(test, st_fence_refs(f), before);
	KUNIT_EXPECT_EQ(test, file_count(dmabuf->file), 1L);

	KUNIT_EXPECT_TRUE(test, st_close(dmabuf, &released));
	KUNIT_EXPECT_EQ(test, st_fence_refs(f), 1U);
	dma_fence_put(&f->base);
}

/*
 * The last close frees the buffer at once, fences pending or not, and whether
 * the reservation object goes with the dma-buf or with the exporter's object.
 */
static void neutral_close_pending(struct kunit *test)
{
	int own_resv, signaled, i;

	for (own_resv = 0; own_resv < 2; own_resv++) {
		for (signaled = 0; signaled < 2; signaled++) {
			bool released;
			struct dma_buf *dmabuf;
			struct st_fence *f[3];

			dmabuf = __st_buf(test, &released, own_resv);
			for (i = 0; i < 3; i++) {
				f[i] = st_fence(test, ST_ENABLE_TRUE);
				st_attach(test, dmabuf, f[i], i == 0);
			}

			KUNIT_EXPECT_EQ(test, st_poll(dmabuf, ST_INOUT), 0U);
			for (i = 0; signaled && i < 3; i++)
				dma_fence_signal(&f[i]->base);

			KUNIT_EXPECT_TRUE(test, st_close(dmabuf, &released));
			for (i = 0; i < 3; i++) {
				KUNIT_EXPECT_EQ(test, st_fence_refs(f[i]), 1U);
				KUNIT_EXPECT_TRUE(test,
						  signaled ||
						  list_empty(&f[i]->base.cb_list));
				dma_fence_signal(&f[i]->base);
				dma_fence_put(&f[i]->base);
			}
		}
	}
}

/*
 * Some drivers signal a fence, under its lock, without holding a reference to
 * it, and need that lock to free one. So what poll holds is not for the callback
 * to drop.
 */
static void anycontext_signaler_without_reference(struct kunit *test)
{
	struct st_fence *f = st_fence(test, ST_ENABLE_TRUE);
	bool released_early = false;
	bool released;
	struct dma_buf *dmabuf = st_buf(test, &released);
	struct st_waiter w;
	unsigned long flags;

	f->released_early = &released_early;
	st_attach_excl(test, dmabuf, f);
	KUNIT_EXPECT_EQ(test, st_wait(&w, dmabuf, ST_INOUT), 0U);
	st_attach_excl(test, dmabuf, NULL);

	/* Nobody but poll holds it now */
	KUNIT_ASSERT_EQ(test, st_fence_refs(f), 3U);
	dma_fence_put(&f->base);

	rcu_read_lock();
	spin_lock_irqsave(&f->lock, flags);
	f->signaling = true;
	dma_fence_signal_locked(&f->base);
	f->signaling = false;
	spin_unlock_irqrestore(&f->lock, flags);
	rcu_read_unlock();

	KUNIT_EXPECT_EQ(test, st_run(&w), ST_INOUT);
	KUNIT_EXPECT_FALSE(test, released_early);

	st_stop(&w);
	KUNIT_EXPECT_TRUE(test, st_close(dmabuf, &released));
}

/* Fences that signal in hard interrupt context, in every order, while we sleep */
static void anycontext_hardirq(struct kunit *test)
{
	int order, i;

	for (order = 0; order < ARRAY_SIZE(st_orders); order++) {
		bool released;
		struct dma_buf *dmabuf = st_buf(test, &released);
		struct st_waiter in, out;
		struct st_fence *f[3];

		for (i = 0; i < 3; i++) {
			f[i] = st_fence(test, ST_ENABLE_TRUE);
			st_attach(test, dmabuf, f[i], i == 0);
		}

		KUNIT_EXPECT_EQ(test, st_wait(&in, dmabuf, ST_IN), 0U);
		KUNIT_EXPECT_EQ(test, st_wait(&out, dmabuf, ST_OUT), 0U);
		for (i = 0; i < 3; i++)
			st_fence_arm(f[st_orders[order][i]], 2000 * (i + 1));
		KUNIT_EXPECT_EQ(test, st_sleep(&in), ST_IN);
		KUNIT_EXPECT_TRUE(test, dma_fence_is_signaled(&f[0]->base));
		KUNIT_EXPECT_EQ(test, st_sleep(&out), ST_OUT);

		st_stop(&in);
		st_stop(&out);
		KUNIT_EXPECT_TRUE(test, st_close(dmabuf, &released));
		for (i = 0; i < 3; i++) {
			KUNIT_EXPECT_TRUE(test, dma_fence_is_signaled(&f[i]->base));
			KUNIT_EXPECT_TRUE(test, f[i]->hardirq);
			dma_fence_put(&f[i]->base);
		}

		/* Once is enough to have waited for that long */
		if (!in.ready || !out.ready)
			break;
	}
}

/* Hard interrupts signal while the buffer is polled and closed */
static void anycontext_hardirq_close(struct kunit *test)
{
	bool closed = true;
	int round, i;

	for (round = 0; closed && round < 500; round++) {
		bool released;
		struct dma_buf *dmabuf = __st_buf(test, &released, round & 1);
		struct st_fence *f[3];

		for (i = 0; i < 3; i++) {
			f[i] = st_fence(test, ST_ENABLE_TRUE);
			st_attach(test, dmabuf, f[i], i == 0);
		}
		for (i = 0; i < 3; i++)
			st_fence_arm(f[i], prandom_u32_max(100));

		st_poll(dmabuf, ST_INOUT);
		udelay(prandom_u32_max(50));
		st_poll(dmabuf, ST_INOUT);
		closed = st_close(dmabuf, &released);
		KUNIT_EXPECT_TRUE(test, closed);

		for (i = 0; i < 3; i++) {
			/* Cancelled before it ran: its reference is still there */
			if (hrtimer_cancel(&f[i]->timer)) {
				dma_fence_signal(&f[i]->base);
				dma_fence_put(&f[i]->base);
			}
			dma_fence_put(&f[i]->base);
		}
	}
}

/* Several threads sleep and poll while hard interrupts signal: nobody is lost */

struct st_thread {
	struct task_struct *task;
	struct dma_buf *dmabuf;
	unsigned int events;
	bool exclusive;
	unsigned int rounds;
	bool lost;
};

/* With all fences signaled, whoever does not get through sleeps for good */
static bool st_thread_alive(struct st_thread *t)
{
	unsigned int rounds = READ_ONCE(t->rounds);
	unsigned long end = jiffies + ST_TIMEOUT;

	while (READ_ONCE(t->rounds) == rounds) {
		if (time_after(jiffies, end))
			return false;
		usleep_range(20, 50);
	}

	return true;
}

static int st_thread(void *data)
{
	struct st_thread *t = data;

	while (!kthread_should_stop() && !READ_ONCE(t->lost)) {
		struct st_waiter w;

		st_waiter_init(&w, t->dmabuf, t->events, t->exclusive);
		st_look(&w);
		if (!st_sleep(&w))
			WRITE_ONCE(t->lost, true);
		st_stop(&w);
		WRITE_ONCE(t->rounds, t->rounds + 1);
		cond_resched();
	}

	/* kthread_stop() wants to find us */
	while (!kthread_should_stop())
		schedule_timeout_uninterruptible(1);

	return 0;
}

static void anycontext_threads(struct kunit *test)
{
	static const unsigned int events[] = { ST_IN, ST_OUT, ST_INOUT, ST_OUT };
	struct st_thread t[ARRAY_SIZE(events)] = {};
	bool released;
	struct dma_buf *dmabuf = st_buf(test, &released);
	bool alive = true;
	int round, i;

	for (i = 0; i < ARRAY_SIZE(t); i++) {
		t[i].dmabuf = dmabuf;
		t[i].events = events[i];
		t[i].exclusive = i & 1;
		t[i].task = kthread_run(st_thread, &t[i], "st-poll/%d", i);
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, t[i].task);
	}

	for (round = 0; alive && round < 100; round++) {
		struct st_fence *f[4];

		for (i = 0; i < 4; i++) {
			f[i] = st_fence(test, ST_ENABLE_TRUE);
			st_attach(test, dmabuf, f[i], i == 0);
			st_fence_arm(f[i], 100 + prandom_u32_max(1000));
		}
		for (i = 0; i < 4; i++) {
			dma_fence_wait(&f[i]->base, false);
			dma_fence_put(&f[i]->base);
		}
		for (i = 0; i < ARRAY_SIZE(t); i++)
			alive &= st_thread_alive(&t[i]);
	}
	KUNIT_EXPECT_TRUE(test, alive);

	for (i = 0; i < ARRAY_SIZE(t); i++) {
		kthread_stop(t[i].task);
		KUNIT_EXPECT_FALSE(test, t[i].lost);
		KUNIT_EXPECT_GT(test, t[i].rounds, 0U);
	}

	KUNIT_EXPECT_TRUE(test, st_close(dmabuf, &released));
}

static int st_init(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, atomic_read(&st_fences), 0);
	return 0;
}

static void st_exit(struct kunit *test)
{
	int i;

	/* A timer may be about to drop the last reference to its fence */
	for (i = 0; i < 100 && atomic_read(&st_fences); i++)
		usleep_range(1000, 2000);

	KUNIT_EXPECT_EQ(test, atomic_read(&st_fences), 0);
	atomic_set(&st_fences, 0);
}

static struct kunit_case st_cases[] = {
	KUNIT_CASE(exact_idle),
	KUNIT_CASE(exact_one_fence),
	KUNIT_CASE(exact_exclusive_and_shared),
	KUNIT_CASE(no_lost_wakeup_sleepers),
	KUNIT_CASE(no_lost_wakeup_in_before_out),
	KUNIT_CASE(no_lost_wakeup_exclusive_waiters),
	KUNIT_CASE(no_lost_wakeup_sleep_after_look),
	KUNIT_CASE(no_lost_wakeup_fence_added),
	KUNIT_CASE(no_lost_wakeup_fence_replaced),
	KUNIT_CASE(no_lost_wakeup_fence_removed),
	KUNIT_CASE(signaling_is_enabled),
	KUNIT_CASE(signaling_without_an_op),
	KUNIT_CASE(signaling_that_fails),
	KUNIT_CASE(exact_signaled_when_asked),
	KUNIT_CASE(exact_fence_error),
	KUNIT_CASE(neutral_references),
	KUNIT_CASE(neutral_close_pending),
	KUNIT_CASE(anycontext_signaler_without_reference),
	KUNIT_CASE(anycontext_hardirq),
	KUNIT_CASE(anycontext_hardirq_close),
	KUNIT_CASE(anycontext_threads),
	{}
};

static struct kunit_suite st_suite = {
	.name = "dma_buf_poll_classic",
	.init = st_init,
	.exit = st_exit,
	.test_cases = st_cases,
};

kunit_test_suite(st_suite);

MODULE_DESCRIPTION("KUnit tests for poll() on dma-buf files");
MODULE_LICENSE("GPL v2");
