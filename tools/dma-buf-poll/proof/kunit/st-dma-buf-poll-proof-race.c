// SPDX-License-Identifier: GPL-2.0-only
/*
 * Everything at once: threads that poll and wait, threads on each CPU that add
 * fences which a timer of that CPU signals in hard interrupt context, others
 * that replace, copy and merge fences, and that close the buffers on which all
 * of it happens.
 *
 * Now and then everybody is stopped, except whoever sleeps until the buffer is
 * ready. By then all fences have signaled and nobody polls any more, so nobody
 * else's poll makes good for a wake-up that was lost.
 */

#include <linux/delay.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/moduleparam.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/stringify.h>

#include "st-dma-buf-poll-proof.h"

#define ST_RACE_MS_MIN		100
#define ST_RACE_MS_MAX		240000	/* KUnit gives a case 300 s */

static unsigned int race_ms = 1500;
module_param(race_ms, uint, 0444);
MODULE_PARM_DESC(race_ms, "how long the threads race, in ms: "
		 __stringify(ST_RACE_MS_MIN) " to " __stringify(ST_RACE_MS_MAX));

#define ST_RACE_BUFS		2
#define ST_RACE_CPUS		4
#define ST_RACE_WAITERS		4
#define ST_RACE_TASKS		(ST_RACE_CPUS + ST_RACE_WAITERS + 2)
#define ST_RACE_ROUND		(HZ / 20)

struct st_race_fence {
	struct dma_fence base;	/* first, for dma_fence_free() */
	spinlock_t lock;
	struct hrtimer timer;
	struct st_race *race;
};

struct st_racer {
	struct st_race *race;
	struct task_struct *task;
	struct rnd_state rnd;
	struct st_buf *buf;	/* on which it sleeps */
	struct st_waiter w;
	unsigned int events;
	unsigned int done;	/* how often it did what it does */
	unsigned int slept;
	bool sleeps;		/* until @buf is ready */
	bool parked;
};

struct st_race {
	spinlock_t lock;	/* of what follows */
	struct st_buf *buf[ST_RACE_BUFS];
	struct list_head closed;
	unsigned int closes;

	struct st_env env;	/* without a fence that it knows */
	atomic_t fences;	/* that have not been freed */
	atomic_t pending;	/* that have not signaled */
	bool pause;
	bool failed;		/* for want of memory */
	unsigned int n;
	struct st_racer racer[ST_RACE_TASKS];
};

static void st_race_fence_release(struct dma_fence *fence)
{
	struct st_race_fence *f = container_of(fence, struct st_race_fence, base);

	atomic_dec(&f->race->fences);
	dma_fence_free(fence);
}

static const struct dma_fence_ops st_race_fence_ops = {
	.get_driver_name = st_fence_name,
	.get_timeline_name = st_fence_name,
	.release = st_race_fence_release,
};

static enum hrtimer_restart st_race_fence_timer(struct hrtimer *timer)
{
	struct st_race_fence *f = container_of(timer, struct st_race_fence, timer);

	dma_fence_signal(&f->base);
	atomic_dec(&f->race->pending);
	dma_fence_put(&f->base);

	return HRTIMER_NORESTART;
}

/* A fence that will signal by itself, if it is not told to before */
static struct st_race_fence *st_race_fence(struct st_race *race)
{
	struct st_race_fence *f = kzalloc(sizeof(*f), GFP_KERNEL);

	if (!f) {
		WRITE_ONCE(race->failed, true);
		return NULL;
	}

	spin_lock_init(&f->lock);
	f->race = race;
	hrtimer_setup(&f->timer, st_race_fence_timer, CLOCK_MONOTONIC, ST_TIMER_MODE);
	dma_fence_init(&f->base, &st_race_fence_ops, &f->lock,
		       dma_fence_context_alloc(1), 1);
	atomic_inc(&race->fences);

	return f;
}

static u32 st_race_rnd(struct st_racer *r, u32 below)
{
	return prandom_u32_state(&r->rnd) % below;
}

static void st_race_start(struct st_racer *r, struct st_race_fence *f)
{
	/* Some stay long enough for their buffer to be closed before */
	unsigned int us = st_race_rnd(r, st_race_rnd(r, 16) ? 200 : 5000);

	atomic_inc(&r->race->pending);
	dma_fence_get(&f->base);
	hrtimer_start(&f->timer, ns_to_ktime(us * NSEC_PER_USEC), ST_TIMER_MODE);
}

/* One of the buffers, with a reference on its file */
static struct st_buf *st_race_buf(struct st_racer *r, struct file **file)
{
	struct st_race *race = r->race;
	struct st_buf *buf;

	spin_lock(&race->lock);
	buf = race->buf[st_race_rnd(r, ST_RACE_BUFS)];
	*file = get_file(buf->dmabuf->file);
	spin_unlock(&race->lock);

	return buf;
}

/* Returns whether to go on, after everybody else has been looked after */
static bool st_race_on(struct st_racer *r)
{
	r->done++;
	cond_resched();
	for (;;) {
		/* Pairs with st_race_rest(): it sees this, or we see @pause */
		smp_store_mb(r->parked, false);
		if (!READ_ONCE(r->race->pause) || kthread_should_stop())
			return !kthread_should_stop();
		/* Whatever we did comes before */
		smp_store_release(&r->parked, true);
		schedule_timeout_uninterruptible(1);
	}
}

static int st_race_adder(void *data)
{
	struct st_racer *r = data;
	struct st_race *race = r->race;

	while (st_race_on(r)) {
		struct st_race_fence *f = st_race_fence(race);
		struct dma_resv *resv;
		struct file *file;
		struct st_buf *buf;
		int ret;

		if (!f)
			break;
		buf = st_race_buf(r, &file);
		resv = buf->dmabuf->resv;
		dma_resv_lock(resv, NULL);
		ret = dma_resv_reserve_fences(resv, 1);
		if (!ret)
			dma_resv_add_fence(resv, &f->base,
					   st_race_rnd(r, DMA_RESV_USAGE_BOOKKEEP + 1));
		dma_resv_unlock(resv);
		if (ret)
			WRITE_ONCE(race->failed, true);
		st_race_start(r, f);
		if (!st_race_rnd(r, 4))
			dma_fence_signal(&f->base);
		dma_fence_put(&f->base);
		__fput_sync(file);
		/* Buffers should be idle as well now and then */
		if (!st_race_rnd(r, 8))
			usleep_range(100, 400);
	}

	while (!kthread_should_stop())
		schedule_timeout_uninterruptible(1);

	return 0;
}

static void st_race_replace(struct st_racer *r, struct dma_resv *resv)
{
	struct st_race_fence *f = st_race_fence(r->race);
	struct dma_resv_iter cursor;
	struct dma_fence *fence;
	u64 context = 0;

	if (!f)
		return;

	dma_resv_lock(resv, NULL);
	dma_resv_for_each_fence(&cursor, resv, DMA_RESV_USAGE_BOOKKEEP, fence) {
		if (!context || !st_race_rnd(r, 2))
			context = fence->context;
	}
	dma_resv_replace_fences(resv, context, &f->base,
				st_race_rnd(r, DMA_RESV_USAGE_BOOKKEEP + 1));
	dma_resv_unlock(resv);
	st_race_start(r, f);
	dma_fence_put(&f->base);
}

static int st_race_mixer(void *data)
{
	struct st_racer *r = data;

	while (st_race_on(r)) {
		struct st_buf *buf, *from;
		struct file *file, *from_file;
		struct dma_fence *array;
		struct dma_resv *resv;
		int ret = 0;

		buf = st_race_buf(r, &file);
		resv = buf->dmabuf->resv;
		switch (st_race_rnd(r, 4)) {
		case 0:
			from = st_race_buf(r, &from_file);
			dma_resv_lock(resv, NULL);
			ret = dma_resv_copy_fences(resv, from->dmabuf->resv);
			dma_resv_unlock(resv);
			__fput_sync(from_file);
			break;
		case 1:
			ret = dma_resv_get_singleton(resv, DMA_RESV_USAGE_READ, &array);
			if (ret || !array)
				break;
			/* Enables its signaling, under the name that all bases have. */
			dma_fence_wait_timeout(array, false, 0);
			dma_fence_put(array);
			break;
		default:
			st_race_replace(r, resv);
			break;
		}
		if (ret)
			WRITE_ONCE(r->race->failed, true);
		__fput_sync(file);
		usleep_range(20, 100);
	}

	return 0;
}

static int st_race_closer(void *data)
{
	struct st_racer *r = data;
	struct st_race *race = r->race;

	while (st_race_on(r)) {
		struct st_buf *buf = st_buf_new(&race->env, st_race_rnd(r, 2));
		unsigned int i = st_race_rnd(r, ST_RACE_BUFS);
		struct file *file;

		if (!buf) {
			WRITE_ONCE(race->failed, true);
			break;
		}

		spin_lock(&race->lock);
		swap(race->buf[i], buf);
		list_add_tail(&buf->node, &race->closed);
		race->closes++;
		file = buf->dmabuf->file;
		spin_unlock(&race->lock);

		/* Not always the last reference: whoever has that closes it */
		__fput_sync(file);
		usleep_range(50, 500);
	}

	while (!kthread_should_stop())
		schedule_timeout_uninterruptible(1);

	return 0;
}

static void st_race_sleep(struct st_racer *r)
{
	/* Gives up without being woken, as a time-out or a signal has it */
	bool impatient = !st_race_rnd(r, 3);

	/* Of these one is woken for all: the others would sleep on */
	r->w.exclusive = impatient && st_race_rnd(r, 2);

	while (!st_look(&r->w)) {
		if (impatient) {
			if (!try_wait_for_completion(&r->w.woken))
				usleep_range(10, 200);
			return;
		}

		/* Pairs with st_race_rest(): @events and @buf are what they are */
		smp_store_release(&r->sleeps, true);
		while (!wait_for_completion_timeout(&r->w.woken, HZ)) {
			if (kthread_should_stop())
				return;
		}
		WRITE_ONCE(r->sleeps, false);
		r->slept++;
	}
}

static int st_race_waiter(void *data)
{
	static const unsigned int events[] = { ST_IN, ST_OUT, ST_INOUT };
	struct st_racer *r = data;

	while (st_race_on(r)) {
		struct file *file;

		r->events = events[st_race_rnd(r, ARRAY_SIZE(events))];
		r->buf = st_race_buf(r, &file);
		if (st_race_rnd(r, 4)) {
			st_waiter_init(&r->w, r->buf, r->events);
			st_race_sleep(r);
			st_stop(&r->w);
		} else {
			st_poll(r->buf, r->events);
		}
		__fput_sync(file);
		/* The others need the CPU as well */
		if (!st_race_rnd(r, 4))
			usleep_range(10, 100);
	}

	return 0;
}

/* Waits until everybody is at rest, and names whoever is not */
static bool st_race_rest(struct kunit *test, struct st_race *race)
{
	unsigned long end = jiffies + ST_TIMEOUT;
	struct dma_resv_iter cursor;
	struct st_racer *r;
	struct dma_fence *fence;
	unsigned int left, i;

	do {
		schedule_timeout_uninterruptible(1);
		left = atomic_read(&race->pending);
		for (i = 0; i < race->n; i++) {
			/* Pairs with st_race_on() */
			left += !smp_load_acquire(&race->racer[i].parked);
		}
	} while (left && time_before(jiffies, end));

	for (i = 0; left && i < race->n; i++) {
		r = &race->racer[i];
		if (READ_ONCE(r->parked))
			continue;
		/* Pairs with st_race_sleep() */
		if (!smp_load_acquire(&r->sleeps)) {
			KUNIT_FAIL(test, "thread %u is stuck\n", i);
			continue;
		}
		KUNIT_FAIL(test, "waiter %u sleeps for %x, ready are %x, fences to signal: %d\n",
			   i, r->events, st_poll(r->buf, ST_INOUT),
			   atomic_read(&race->pending));
		dma_resv_iter_begin(&cursor, r->buf->dmabuf->resv, DMA_RESV_USAGE_READ);
		dma_resv_for_each_fence_unlocked(&cursor, fence)
			kunit_info(test, "  not signaled: %llu:%llu, usage %u\n",
				   (unsigned long long)fence->context,
				   (unsigned long long)fence->seqno,
				   dma_resv_iter_usage(&cursor));
		dma_resv_iter_end(&cursor);
	}

	return !left;
}

/* All who held them have gone: the buffers that were closed have to be */
static bool st_race_closed(struct kunit *test, struct st_race *race)
{
	struct st_buf *buf, *next;

	list_for_each_entry_safe(buf, next, &race->closed, node) {
		if (!wait_for_completion_timeout(&buf->released, ST_TIMEOUT)) {
			KUNIT_FAIL(test, "the last close frees nothing");
			return false;
		}
		list_del(&buf->node);
		kfree(buf);
	}

	return true;
}

static bool st_race_spawn(struct st_race *race, int (*fn)(void *data), int cpu,
			  const char *what)
{
	struct st_racer *r = &race->racer[race->n];

	r->race = race;
	prandom_seed_state(&r->rnd, ST_SEED + race->n);
	r->task = kthread_create(fn, r, "st-poll-%s/%u", what, race->n);
	if (IS_ERR(r->task))
		return false;
	if (cpu >= 0)
		kthread_bind(r->task, cpu);
	race->n++;

	return true;
}

void anycontext_everything_at_once(struct kunit *test)
{
	unsigned int rounds = 0, polls = 0, slept = 0, adds = 0, i;
	struct st_race *race;
	unsigned long end;
	bool good = true;
	int cpu;

	if (race_ms < ST_RACE_MS_MIN || race_ms > ST_RACE_MS_MAX) {
		KUNIT_FAIL(test, "race_ms=%u: from %u to %u\n", race_ms,
			   ST_RACE_MS_MIN, ST_RACE_MS_MAX);
		return;
	}

	race = kunit_kzalloc(test, sizeof(*race), GFP_KERNEL);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, race);
	spin_lock_init(&race->lock);
	INIT_LIST_HEAD(&race->closed);
	INIT_LIST_HEAD(&race->env.fences);
	for (i = 0; i < ST_RACE_BUFS; i++) {
		race->buf[i] = st_buf_new(&race->env, i & 1);
		good &= !!race->buf[i];
	}

	for_each_online_cpu(cpu) {
		if (good && race->n < ST_RACE_CPUS)
			good = st_race_spawn(race, st_race_adder, cpu, "add");
	}
	adds = race->n;
	for (i = 0; good && i < ST_RACE_WAITERS; i++)
		good = st_race_spawn(race, st_race_waiter, -1, "wait");
	good = good && st_race_spawn(race, st_race_mixer, -1, "mix") &&
	       st_race_spawn(race, st_race_closer, -1, "close");
	KUNIT_EXPECT_TRUE_MSG(test, good, "no memory for threads and buffers");

	for (i = 0; i < race->n; i++)
		wake_up_process(race->racer[i].task);

	for (end = jiffies + msecs_to_jiffies(race_ms);
	     good && (rounds < 5 || time_before(jiffies, end)); rounds++) {
		schedule_timeout_uninterruptible(ST_RACE_ROUND);
		/* Pairs with st_race_on() */
		smp_store_mb(race->pause, true);
		good = st_race_rest(test, race) && st_race_closed(test, race);
		for (i = 0; good && i < ST_RACE_BUFS; i++) {
			KUNIT_EXPECT_EQ(test, st_file_count(race->buf[i]), 1L);
			KUNIT_EXPECT_EQ(test, st_poll(race->buf[i], ST_INOUT), ST_INOUT);
		}
		WRITE_ONCE(race->pause, false);
	}

	for (i = 0; i < race->n; i++) {
		struct st_racer *r = &race->racer[i];

		/* Once stopped nobody adds, and whoever sleeps is woken by a timer */
		kthread_stop(r->task);
		if (i < adds)
			continue;
		if (i < adds + ST_RACE_WAITERS)
			polls += r->done;
		slept += r->slept;
	}
	for (i = 1; i < adds; i++)
		race->racer[0].done += race->racer[i].done;

	for (i = 0; i < ST_RACE_BUFS; i++) {
		if (!race->buf[i])
			continue;
		list_add_tail(&race->buf[i]->node, &race->closed);
		dma_buf_put(race->buf[i]->dmabuf);
	}
	flush_delayed_fput();
	good &= st_race_closed(test, race);
	KUNIT_EXPECT_TRUE(test, good);
	KUNIT_EXPECT_FALSE_MSG(test, race->failed, "out of memory");

	/* Timers and irq_works that are still to come hold some of them */
	end = jiffies + ST_TIMEOUT;
	while (atomic_read(&race->fences) && time_before(jiffies, end))
		schedule_timeout_uninterruptible(1);
	KUNIT_EXPECT_EQ(test, atomic_read(&race->pending), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&race->fences), 0);

	kunit_info(test, "%u rounds on %u CPUs: %u polls, %u sleeps, %u fences, %u closes\n",
		   rounds, adds, polls, slept, race->racer[0].done, race->closes);
	KUNIT_EXPECT_GT(test, slept, 0U);
	KUNIT_EXPECT_GT(test, race->closes, 0U);
}
