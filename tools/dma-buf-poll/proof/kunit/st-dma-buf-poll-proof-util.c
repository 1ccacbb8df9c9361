// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fences, buffers and waiters for the KUnit tests of poll() on dma-buf files
 *
 * The exporter and the fences do what no driver lets user space ask for. Of poll this
 * knows nothing but vfs_poll(), and in st_settle() that there is an irq_work to wait for.
 */

#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/ktime.h>
#include <linux/preempt.h>
#include <linux/slab.h>

#include "st-dma-buf-poll-proof.h"

/*
 * Fences
 */

static struct st_fence *to_st_fence(struct dma_fence *fence)
{
	return container_of(fence, struct st_fence, base);
}

const char *st_fence_name(struct dma_fence *fence)
{
	return "st-dma-buf-poll";
}

void st_start_timer(struct st_fence *f, unsigned int us)
{
	hrtimer_start(&f->timer, ns_to_ktime(us * NSEC_PER_USEC), ST_TIMER_MODE);
}

/* Until another CPU sets it, or has had the time to */
void st_await_flag(const bool *flag)
{
	unsigned int us;

	for (us = 0; us < 100000 && !READ_ONCE(*flag); us++)
		udelay(1);
}

/* Holding the lock that the other CPU wants to have by now, or soon */
static void st_await_signaler(struct st_fence *f)
{
	WRITE_ONCE(f->enabling, true);
	st_await_flag(&f->signaling);
	udelay(ST_SLOW_US);
}

static void st_fence_asked(struct st_fence *f)
{
	if (f->timeline_locked && READ_ONCE(*f->timeline_locked))
		f->asked_locked = true;
	if (READ_ONCE(f->shunned))
		WRITE_ONCE(f->asked_shunned, true);
}

/*
 * Under the lock of another one. Not dma_fence_signal(): on PREEMPT_RT lockdep
 * takes its dma_fence_begin_signalling() for a sleeping lock there.
 */
void st_signal_nested(struct st_fence *f)
{
	unsigned long flags;

	spin_lock_irqsave(f->lock, flags);
	dma_fence_signal_locked(&f->base);
	spin_unlock_irqrestore(f->lock, flags);
}

static bool st_fence_enable_signaling(struct dma_fence *fence)
{
	struct st_fence *f = to_st_fence(fence);

	st_fence_asked(f);
	f->enabled++;

	switch (f->enable) {
	case ST_ENABLE_FALSE:
		return false;
	case ST_ENABLE_SLOW:
		udelay(ST_SLOW_US);
		return true;
	case ST_ENABLE_SIGNALS:
		dma_fence_signal_locked(fence);
		return false;
	case ST_ENABLE_SIGNALS_OTHER:
		st_signal_nested(f->other);
		return true;
	case ST_ENABLE_CALLS:
		f->on_enable(f);
		return false;
	case ST_ENABLE_IRQ:
		irq_work_queue(&f->work);
		return true;
	case ST_ENABLE_TIMER:
		st_start_timer(f, 0);
		return true;
	case ST_ENABLE_WAITS:
		st_await_signaler(f);
		return true;
	default:
		return true;
	}
}

static bool st_fence_signaled(struct dma_fence *fence)
{
	struct st_fence *f = to_st_fence(fence);

	st_fence_asked(f);
	return false;
}

/* Nothing but what is mandatory */
static const struct dma_fence_ops st_fence_plain_ops = {
	.get_driver_name = st_fence_name,
	.get_timeline_name = st_fence_name,
};

static const struct dma_fence_ops st_fence_ops = {
	.get_driver_name = st_fence_name,
	.get_timeline_name = st_fence_name,
	.enable_signaling = st_fence_enable_signaling,
	.signaled = st_fence_signaled,
};

static void st_fence_irq(struct irq_work *work)
{
	struct st_fence *f = container_of(work, struct st_fence, work);

	f->hardirq = in_hardirq();
	dma_fence_signal(&f->base);
}

static enum hrtimer_restart st_fence_timer(struct hrtimer *timer)
{
	struct st_fence *f = container_of(timer, struct st_fence, timer);

	f->hardirq = in_hardirq();
	dma_fence_signal(&f->base);

	return HRTIMER_NORESTART;
}

/* @lock is one that several fences share, as those of a timeline do, or NULL */
struct st_fence *st_fence_locked(struct kunit *test, enum st_enable enable, spinlock_t *lock)
{
	struct st_env *env = test->priv;
	struct st_fence *f = kzalloc(sizeof(*f), GFP_KERNEL);

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, f);

	spin_lock_init(&f->own_lock);
	f->lock = lock ?: &f->own_lock;
	f->enable = enable;
	init_irq_work(&f->work, st_fence_irq);
	hrtimer_setup(&f->timer, st_fence_timer, CLOCK_MONOTONIC, ST_TIMER_MODE);
	dma_fence_init(&f->base, enable == ST_ENABLE_NONE ?
		       &st_fence_plain_ops : &st_fence_ops, f->lock,
		       dma_fence_context_alloc(1), 1);
	list_add_tail(&f->node, &env->fences);

	return f;
}

struct st_fence *st_fence(struct kunit *test, enum st_enable enable)
{
	return st_fence_locked(test, enable, NULL);
}

void st_signal(struct st_fence *f)
{
	dma_fence_signal(&f->base);
}

/* In hard interrupt context, except on PREEMPT_RT, where no fence does that */
void st_signal_irq(struct st_fence *f)
{
	irq_work_queue(&f->work);
	st_irq_work_sync(&f->work);
}

bool st_is_signaled(struct st_fence *f)
{
	return test_bit(DMA_FENCE_FLAG_SIGNALED_BIT, &f->base.flags);
}

unsigned int st_refs(struct st_fence *f)
{
	return kref_read(&f->base.refcount);
}

/* For what is put by an irq_work or a timer that nobody can wait for */
bool st_await_refs(struct st_fence *f, unsigned int refs)
{
	unsigned long end = jiffies + ST_TIMEOUT;

	while (st_refs(f) > refs && time_before(jiffies, end))
		usleep_range(50, 100);

	return st_refs(f) == refs;
}

unsigned int st_fence_callbacks(struct st_fence *f)
{
	struct list_head *pos;
	unsigned int n = 0;

	spin_lock_irq(f->lock);
	/* It shares its memory with the timestamp */
	if (!st_is_signaled(f))
		list_for_each(pos, &f->base.cb_list)
			n++;
	spin_unlock_irq(f->lock);

	return n;
}

/* On all fences of the test */
unsigned int st_callbacks(struct st_env *env)
{
	struct st_fence *f;
	unsigned int n = 0;

	list_for_each_entry(f, &env->fences, node)
		n += st_fence_callbacks(f);

	return n;
}

unsigned int st_enabled(struct st_env *env)
{
	struct st_fence *f;
	unsigned int n = 0;

	list_for_each_entry(f, &env->fences, node)
		n += f->enabled;

	return n;
}

/*
 * Buffers
 */

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

	buf->callbacks = st_callbacks(buf->env);
	if (buf->own_resv) {
		dma_resv_fini(&buf->resv);
		memset(&buf->resv, 0x6b, sizeof(buf->resv));
	}
	complete(&buf->released);
}

static const struct dma_buf_ops st_buf_ops = {
	.map_dma_buf = st_buf_map,
	.unmap_dma_buf = st_buf_unmap,
	.release = st_buf_release,
};

struct st_buf *st_buf_new(struct st_env *env, bool own_resv)
{
	struct st_buf *buf = kzalloc(sizeof(*buf), GFP_KERNEL);
	DEFINE_DMA_BUF_EXPORT_INFO(info);
	struct dma_buf *dmabuf;

	if (!buf)
		return NULL;

	init_completion(&buf->released);
	buf->env = env;
	buf->own_resv = own_resv;
	if (own_resv)
		dma_resv_init(&buf->resv);

	info.ops = &st_buf_ops;
	info.size = PAGE_SIZE;
	info.flags = O_RDWR;
	info.priv = buf;
	info.resv = own_resv ? &buf->resv : NULL;

	dmabuf = dma_buf_export(&info);
	if (IS_ERR(dmabuf)) {
		kfree(buf);
		return NULL;
	}

	buf->dmabuf = dmabuf;
	return buf;
}

struct st_buf *st_buf_resv(struct kunit *test, bool own_resv)
{
	struct st_env *env = test->priv;
	struct st_buf *buf = st_buf_new(env, own_resv);

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, buf);
	list_add_tail(&buf->node, &env->bufs);

	return buf;
}

struct st_buf *st_buf(struct kunit *test)
{
	return st_buf_resv(test, false);
}

long st_file_count(struct st_buf *buf)
{
	return file_count(buf->dmabuf->file);
}

/* Drops the last reference and returns whether that has freed the buffer */
bool st_close(struct st_buf *buf)
{
	struct dma_buf *dmabuf = buf->dmabuf;

	buf->dmabuf = NULL;
	dma_buf_put(dmabuf);
	/* Tests run in a kernel thread, whose last fput() is deferred */
	flush_delayed_fput();

	return wait_for_completion_timeout(&buf->released, ST_TIMEOUT);
}

void st_attach(struct kunit *test, struct st_buf *buf, struct st_fence *f,
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

/* A new fence on a buffer */
struct st_fence *st_add(struct kunit *test, struct st_buf *buf,
			enum dma_resv_usage usage)
{
	struct st_fence *f = st_fence(test, ST_ENABLE_TRUE);

	st_attach(test, buf, f, usage);
	return f;
}

void st_replace(struct st_buf *buf, struct st_fence *old,
		struct st_fence *new, enum dma_resv_usage usage)
{
	struct dma_resv *resv = buf->dmabuf->resv;

	dma_resv_lock(resv, NULL);
	dma_resv_replace_fences(resv, old->base.context, &new->base, usage);
	dma_resv_unlock(resv);
}

/*
 * Looking, as poll() with a timeout of 0 does: without a wait entry. Those of
 * @events that hold, and all that poll() said in @said.
 */
unsigned int st_poll_said(struct st_buf *buf, unsigned int events,
			  unsigned int *said)
{
	poll_table pt = { ._key = (__force __poll_t)events };

	*said = (__force unsigned int)vfs_poll(buf->dmabuf->file, &pt);

	return *said & events;
}

unsigned int st_poll(struct st_buf *buf, unsigned int events)
{
	unsigned int said;

	return st_poll_said(buf, events, &said);
}

/*
 * Waiters
 */

static int st_waiter_wake(struct wait_queue_entry *wait, unsigned int mode,
			  int sync, void *key)
{
	struct st_waiter *w = container_of(wait, struct st_waiter, wait);
	unsigned int events = (__force unsigned int)key_to_poll(key);

	/* As all waiters do that get told for what they are woken */
	if (events && !(events & w->events))
		return 0;

	/* None named are all */
	atomic_or(events ?: ~0U, &w->keys);
	atomic_inc(&w->wakes);
	complete(&w->woken);

	return 1;
}

static void st_waiter_queue(struct file *file, wait_queue_head_t *head,
			    poll_table *pt)
{
	struct st_waiter *w = container_of(pt, struct st_waiter, pt);

	if (w->queued++)
		return;
	w->head = head;
	if (w->exclusive)
		add_wait_queue_exclusive(head, &w->wait);
	else
		add_wait_queue(head, &w->wait);
}

void st_waiter_init(struct st_waiter *w, struct st_buf *buf,
		    unsigned int events)
{
	memset(w, 0, sizeof(*w));
	init_waitqueue_func_entry(&w->wait, st_waiter_wake);
	INIT_LIST_HEAD(&w->node);
	init_completion(&w->woken);
	init_poll_funcptr(&w->pt, st_waiter_queue);
	w->pt._key = (__force __poll_t)events;
	w->buf = buf;
	w->events = events;
}

unsigned int st_look(struct st_waiter *w)
{
	unsigned int ready;

	/* Not reinit_completion(): whoever wakes may be at it */
	while (try_wait_for_completion(&w->woken))
		;
	ready = (__force unsigned int)vfs_poll(w->buf->dmabuf->file, &w->pt);
	w->pt._qproc = NULL;

	return ready & w->events;
}

void st_stop(struct st_waiter *w)
{
	if (w->head)
		remove_wait_queue(w->head, &w->wait);
	w->head = NULL;
	list_del_init(&w->node);
}

/* A new waiter that has not looked yet */
struct st_waiter *st_waiter(struct kunit *test, struct st_buf *buf,
			    unsigned int events)
{
	struct st_env *env = test->priv;
	struct st_waiter *w = kunit_kzalloc(test, sizeof(*w), GFP_KERNEL);

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, w);
	st_waiter_init(w, buf, events);
	list_add_tail(&w->node, &env->waiters);

	return w;
}

/* A new waiter that was told to wait */
struct st_waiter *st_wait(struct kunit *test, struct st_buf *buf,
			  unsigned int events)
{
	struct st_waiter *w = st_waiter(test, buf, events);

	KUNIT_EXPECT_EQ(test, st_look(w), 0U);
	KUNIT_EXPECT_EQ(test, w->queued, 1U);

	return w;
}

/* What signals have left to do is done when this returns */
void st_settle(struct st_buf *buf)
{
	st_irq_work_sync(&buf->dmabuf->poll_work);
}

int st_wakes(struct st_waiter *w)
{
	st_settle(w->buf);

	return atomic_read(&w->wakes);
}

/* Woken once, and for both directions */
void st_told_both(struct kunit *test, struct st_waiter *w)
{
	KUNIT_EXPECT_EQ(test, st_wakes(w), 1);
	KUNIT_EXPECT_EQ(test, (unsigned int)atomic_read(&w->keys) & ST_INOUT,
			ST_INOUT);
}

/* Everything goes, and leaves nothing behind */
void st_cleanup(struct kunit *test)
{
	struct st_env *env = test->priv;
	struct st_waiter *w, *next_w;
	struct st_fence *f, *next_f;
	struct st_buf *buf, *next_buf;

	list_for_each_entry_safe(w, next_w, &env->waiters, node)
		st_stop(w);

	list_for_each_entry_safe(buf, next_buf, &env->bufs, node) {
		list_del(&buf->node);
		if (buf->dmabuf) {
			KUNIT_EXPECT_EQ(test, st_file_count(buf), 1L);
			if (!st_close(buf)) {
				KUNIT_FAIL(test, "the last close frees nothing");
				continue;
			}
		}
		kfree(buf);
	}

	list_for_each_entry_safe(f, next_f, &env->fences, node) {
		st_irq_work_sync(&f->work);
		hrtimer_cancel(&f->timer);
		KUNIT_EXPECT_EQ(test, st_fence_callbacks(f), 0U);
		KUNIT_EXPECT_EQ(test, st_refs(f), 1U);
		st_signal(f);
		list_del(&f->node);
		dma_fence_put(&f->base);
	}
}

/*
 * Poll is to take it that an irq_work has an interrupt of its own, or that it has not.
 * On PREEMPT_RT that does not matter: it is a thread.
 * It only listens where nothing but tests is done with the kernel, otherwise to the
 * machine: returns whether it does as it is told.
 */
bool st_interrupt(bool has)
{
#if IS_ENABLED(CONFIG_UML) || IS_ENABLED(CONFIG_GCOV_KERNEL)
	WRITE_ONCE(st_irq_work_interrupt, has);
	return true;
#elif defined(MODULE) && defined(CONFIG_SMP_ON_UP)
	/* What arch_irq_work_has_interrupt() reads is not exported. */
	return has;
#else
	return has == (arch_irq_work_has_interrupt() && !IS_ENABLED(CONFIG_PREEMPT_RT));
#endif
}

/* For tests of wake-ups and callbacks as they are with one */
void st_needs_interrupt(struct kunit *test)
{
	if (!st_interrupt(true))
		kunit_skip(test, "an irq_work would come late: all look again");
}

int st_env_init(struct kunit *test)
{
	struct st_env *env = kunit_kzalloc(test, sizeof(*env), GFP_KERNEL);

	if (!env)
		return -ENOMEM;

	INIT_LIST_HEAD(&env->fences);
	INIT_LIST_HEAD(&env->waiters);
	INIT_LIST_HEAD(&env->bufs);
	prandom_seed_state(&env->rnd, ST_SEED);
	test->priv = env;

	return 0;
}

void st_env_exit(struct kunit *test)
{
	if (test->priv)
		st_cleanup(test);
	st_interrupt(true);
}

int st_other_cpu(struct kunit *test)
{
	int this = raw_smp_processor_id();
	int cpu = cpumask_any_but(cpu_online_mask, this);

	if (cpu >= nr_cpu_ids)
		kunit_skip(test, "there is no other CPU");

	return cpu;
}

void st_shuffle(struct st_env *env, struct st_fence **f, unsigned int n,
		enum st_order order)
{
	unsigned int i, with;

	for (i = 0; order == ST_REVERSE && i < n / 2; i++)
		swap(f[i], f[n - 1 - i]);
	for (i = n; order == ST_RANDOM && i > 1; i--) {
		with = st_rnd(env, i);
		swap(f[i - 1], f[with]);
	}
}
