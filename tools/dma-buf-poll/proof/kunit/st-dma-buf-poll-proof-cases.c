// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests for poll() on dma-buf files
 *
 * Each test is named after the line of the contract it holds dma_buf_poll() to,
 * see "Implicit Fence Poll Support".
 */

#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/dma-fence-chain.h>
#include <linux/fdtable.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/kmemleak.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/lockdep.h>
#include <linux/mman.h>
#include <linux/module.h>
#include <linux/preempt.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/sync_file.h>
#include <linux/tracepoint.h>
#include <linux/uaccess.h>
#include <linux/workqueue.h>
#include <uapi/linux/dma-buf.h>

#include "st-dma-buf-poll-proof.h"

/*
 * exact: EPOLLIN if and only if every KERNEL and WRITE fence has signaled,
 * EPOLLOUT if and only if every READ fence has as well.
 */

static void exact_a_buffer_without_fences_is_ready(struct kunit *test)
{
	struct st_buf *buf = st_buf(test);
	struct st_fence *f = st_fence(test, ST_ENABLE_TRUE);

	KUNIT_EXPECT_EQ(test, st_poll(buf, ST_INOUT), ST_INOUT);
	KUNIT_EXPECT_EQ(test, st_poll(buf, ST_IN), ST_IN);
	KUNIT_EXPECT_EQ(test, st_poll(buf, ST_OUT), ST_OUT);
	KUNIT_EXPECT_EQ(test, st_look(st_waiter(test, buf, ST_INOUT)), ST_INOUT);

	st_signal(f);
	st_attach(test, buf, f, DMA_RESV_USAGE_WRITE);
	KUNIT_EXPECT_EQ(test, st_poll(buf, ST_INOUT), ST_INOUT);
}

/* Whoever polls without a table asks for everything, and does not wait */
static void exact_poll_without_a_table(struct kunit *test)
{
	struct st_buf *buf = st_buf(test);
	struct file *file = buf->dmabuf->file;
	struct st_fence *read, *write;

	KUNIT_EXPECT_EQ(test, (__force unsigned int)vfs_poll(file, NULL),
			ST_INOUT | ST_RDNORM | ST_WRNORM);
	read = st_add(test, buf, DMA_RESV_USAGE_READ);
	KUNIT_EXPECT_EQ(test, (__force unsigned int)vfs_poll(file, NULL),
			ST_IN | ST_RDNORM);
	write = st_add(test, buf, DMA_RESV_USAGE_WRITE);
	KUNIT_EXPECT_EQ(test, (__force unsigned int)vfs_poll(file, NULL), 0U);
	KUNIT_EXPECT_EQ(test, write->enabled, 1U);

	st_signal(read);
	KUNIT_EXPECT_EQ(test, (__force unsigned int)vfs_poll(file, NULL), 0U);
	st_signal(write);
	KUNIT_EXPECT_EQ(test, (__force unsigned int)vfs_poll(file, NULL),
			ST_INOUT | ST_RDNORM | ST_WRNORM);
}

struct st_usage {
	enum dma_resv_usage usage;
	unsigned int busy;
	const char *desc;
};

static const struct st_usage st_usages[] = {
	{ DMA_RESV_USAGE_KERNEL, ST_INOUT, "kernel" },
	{ DMA_RESV_USAGE_WRITE, ST_INOUT, "write" },
	{ DMA_RESV_USAGE_READ, ST_OUT, "read" },
	{ DMA_RESV_USAGE_BOOKKEEP, 0, "bookkeep" },
};

static void st_usage_desc(const struct st_usage *u, char *desc)
{
	strscpy(desc, u->desc, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(st_usage, st_usages, st_usage_desc);

static void exact_each_usage_holds_up_its_directions(struct kunit *test)
{
	const struct st_usage *u = test->param_value;
	struct st_buf *buf = st_buf(test);
	struct st_fence *f = st_add(test, buf, u->usage);
	unsigned int ready = ST_INOUT & ~u->busy;
	struct st_waiter *w;

	KUNIT_EXPECT_EQ(test, st_poll(buf, ST_INOUT), ready);
	KUNIT_EXPECT_EQ(test, st_poll(buf, ST_IN), ready & ST_IN);
	KUNIT_EXPECT_EQ(test, st_poll(buf, ST_OUT), ready & ST_OUT);
	KUNIT_EXPECT_EQ(test, st_refs(f), 2U + hweight32(u->busy));

	w = st_waiter(test, buf, u->busy);
	KUNIT_EXPECT_EQ(test, st_look(w), 0U);

	st_signal(f);
	/* At once, whatever is still on its way */
	KUNIT_EXPECT_EQ(test, st_poll(buf, ST_INOUT), ST_INOUT);
	KUNIT_EXPECT_EQ(test, st_poll(buf, ST_IN), ST_IN);
	KUNIT_EXPECT_EQ(test, st_poll(buf, ST_OUT), ST_OUT);
	KUNIT_EXPECT_EQ(test, st_wakes(w), u->busy ? 1 : 0);
}

/* Each direction by itself: polling one must not spare the other the look */
static void exact_a_direction_does_not_depend_on_what_else_is_polled(struct kunit *test)
{
	struct st_buf *buf = st_buf(test);
	struct st_fence *read = st_add(test, buf, DMA_RESV_USAGE_READ);
	struct st_fence *write = st_add(test, buf, DMA_RESV_USAGE_WRITE);

	KUNIT_EXPECT_EQ(test, st_poll(buf, 0), 0U);
	KUNIT_EXPECT_EQ(test, st_callbacks(test->priv), 0U);
	KUNIT_EXPECT_EQ(test, st_poll(buf, ST_OUT), 0U);
	KUNIT_EXPECT_EQ(test, st_poll(buf, ST_IN), 0U);
	st_signal(write);
	KUNIT_EXPECT_EQ(test, st_poll(buf, ST_OUT), 0U);
	KUNIT_EXPECT_EQ(test, st_poll(buf, ST_IN), ST_IN);
	KUNIT_EXPECT_EQ(test, st_poll(buf, ST_INOUT), ST_IN);
	st_signal(read);
	KUNIT_EXPECT_EQ(test, st_poll(buf, ST_OUT), ST_OUT);
}

/* Fences that turn out to have signaled when the callback is to be added */
static void exact_fences_which_complete_when_enabled_do_not_count(struct kunit *test)
{
	int pending, i;

	for (pending = 0; pending < 2; pending++) {
		struct st_buf *buf = st_buf(test);
		struct st_fence *read = st_fence(test, ST_ENABLE_TRUE);
		struct st_fence *f[3];

		if (pending)
			st_attach(test, buf, read, DMA_RESV_USAGE_READ);
		for (i = 0; i < 3; i++) {
			f[i] = st_fence(test, ST_ENABLE_FALSE);
			st_attach(test, buf, f[i], DMA_RESV_USAGE_WRITE);
		}

		KUNIT_EXPECT_EQ(test, st_poll(buf, ST_INOUT),
				pending ? ST_IN : ST_INOUT);
		for (i = 0; i < 3; i++)
			KUNIT_EXPECT_EQ(test, f[i]->enabled, 1U);
		KUNIT_EXPECT_EQ(test, st_fence_callbacks(read), pending ? 1U : 0);

		st_cleanup(test);
	}
}

/* What was on the buffer when somebody began to wait has no say in what is now */
static void exact_a_fence_that_was_replaced_does_not_count(struct kunit *test)
{
	struct st_buf *buf = st_buf(test);
	struct st_fence *old = st_add(test, buf, DMA_RESV_USAGE_WRITE);
	struct st_fence *new = st_fence(test, ST_ENABLE_TRUE);
	struct st_waiter *w = st_wait(test, buf, ST_INOUT);

	st_replace(buf, old, new, DMA_RESV_USAGE_READ);
	KUNIT_EXPECT_EQ(test, st_poll(buf, ST_INOUT), ST_IN);
	KUNIT_EXPECT_EQ(test, st_look(w), ST_IN);

	st_replace(buf, new, old, DMA_RESV_USAGE_BOOKKEEP);
	KUNIT_EXPECT_EQ(test, st_poll(buf, ST_INOUT), ST_INOUT);

	st_replace(buf, old, new, DMA_RESV_USAGE_WRITE);
	KUNIT_EXPECT_EQ(test, st_poll(buf, ST_INOUT), 0U);
	/* Whoever slept on the old one has been told when a look found none left. */
	KUNIT_EXPECT_GE(test, st_wakes(w), 1);
	KUNIT_EXPECT_EQ(test, st_look(w), 0U);
	KUNIT_EXPECT_EQ(test, st_refs(old), 1U);
	st_signal(new);
	KUNIT_EXPECT_GE(test, st_wakes(w), 2);
	KUNIT_EXPECT_EQ(test, st_look(w), ST_INOUT);
}

/* Fences whose driver signals them, or another one, while it is enabling them */
static void exact_fences_which_signal_when_enabled(struct kunit *test)
{
	static struct lock_class_key key;
	struct st_buf *buf = st_buf(test);
	struct st_fence *self = st_fence(test, ST_ENABLE_SIGNALS);
	struct st_fence *asked, *other;
	struct st_waiter *in, *out;

	st_needs_interrupt(test);
	st_attach(test, buf, self, DMA_RESV_USAGE_WRITE);
	KUNIT_EXPECT_EQ(test, st_poll(buf, ST_OUT), ST_OUT);
	KUNIT_EXPECT_EQ(test, self->enabled, 1U);
	KUNIT_EXPECT_EQ(test, st_refs(self), 2U);

	/*
	 * OUT waits for the other fence and IN asks for the one that signals
	 * it, so the callback of OUT runs in the midst of arming that of IN.
	 */
	other = st_fence(test, ST_ENABLE_TRUE);
	lockdep_set_class(&other->own_lock, &key);
	asked = st_fence(test, ST_ENABLE_SIGNALS_OTHER);
	asked->other = other;
	st_attach(test, buf, asked, DMA_RESV_USAGE_WRITE);
	st_attach(test, buf, other, DMA_RESV_USAGE_READ);

	out = st_wait(test, buf, ST_OUT);
	KUNIT_EXPECT_EQ(test, st_fence_callbacks(other), 1U);
	in = st_wait(test, buf, ST_IN);
	KUNIT_EXPECT_TRUE(test, st_is_signaled(other));
	KUNIT_EXPECT_EQ(test, st_wakes(out), 0);
	KUNIT_EXPECT_EQ(test, st_fence_callbacks(asked), 2U);
	KUNIT_EXPECT_EQ(test, asked->enabled, 1U);

	st_signal(asked);
	KUNIT_EXPECT_EQ(test, st_wakes(in), 1);
	KUNIT_EXPECT_EQ(test, st_wakes(out), 1);
	KUNIT_EXPECT_EQ(test, st_poll(buf, ST_INOUT), ST_INOUT);
}

/* All fences of @from, and no other ones, as drivers do that share a buffer */
static void st_copy(struct kunit *test, struct st_buf *buf, struct st_buf *from)
{
	int ret;

	dma_resv_lock(buf->dmabuf->resv, NULL);
	ret = dma_resv_copy_fences(buf->dmabuf->resv, from->dmabuf->resv);
	dma_resv_unlock(buf->dmabuf->resv);
	KUNIT_ASSERT_EQ(test, ret, 0);
}

/* Nor has one that was removed, and nothing is in its place */
static void exact_a_fence_that_was_removed_does_not_count(struct kunit *test)
{
	struct st_buf *buf = st_buf(test);
	struct st_buf *none = st_buf(test);
	struct st_buf *other = st_buf(test);
	struct st_fence *old = st_add(test, buf, DMA_RESV_USAGE_WRITE);
	struct st_fence *new = st_add(test, other, DMA_RESV_USAGE_WRITE);
	struct st_waiter *w = st_wait(test, buf, ST_INOUT);

	st_needs_interrupt(test);
	st_copy(test, buf, none);
	KUNIT_EXPECT_EQ(test, st_poll(buf, ST_INOUT), ST_INOUT);
	/* Whoever slept on it is told at once, for both directions. That of IN stays. */
	KUNIT_EXPECT_EQ(test, st_wakes(w), 1);
	KUNIT_EXPECT_EQ(test, st_fence_callbacks(old), 1U);

	st_copy(test, buf, other);
	KUNIT_EXPECT_EQ(test, st_look(w), 0U);
	KUNIT_EXPECT_EQ(test, st_fence_callbacks(new), 1U);
	st_signal(old);
	KUNIT_EXPECT_EQ(test, st_wakes(w), 1);
	KUNIT_EXPECT_EQ(test, st_fence_callbacks(new), 2U);
	KUNIT_EXPECT_EQ(test, st_refs(old), 1U);

	st_copy(test, buf, none);
	KUNIT_EXPECT_EQ(test, st_poll(buf, ST_INOUT), ST_INOUT);
	KUNIT_EXPECT_EQ(test, st_wakes(w), 2);
	st_signal(new);
	KUNIT_EXPECT_EQ(test, st_wakes(w), 2);
	KUNIT_EXPECT_EQ(test, st_look(w), ST_INOUT);
}

/*
 * A driver that replaces its fences may put an array or a chain in their place.
 * These have locks, enable their fences and signal from an irq_work of their own.
 */
static void exact_an_array_or_a_chain_is_one_fence(struct kunit *test)
{
	int chained, i;

	for (chained = 0; chained < 2; chained++) {
		struct st_buf *buf = st_buf(test);
		struct st_buf *scratch = st_buf(test);
		struct st_fence *old = st_add(test, buf, DMA_RESV_USAGE_WRITE);
		struct dma_resv *resv = buf->dmabuf->resv;
		struct dma_fence *container;
		struct st_fence *f[4];
		struct st_waiter *w;

		for (i = 0; i < ARRAY_SIZE(f); i++)
			f[i] = st_add(test, scratch, DMA_RESV_USAGE_WRITE);
		if (chained) {
			struct dma_fence *prev = NULL;

			for (i = 0; i < ARRAY_SIZE(f); i++) {
				struct dma_fence_chain *chain = dma_fence_chain_alloc();

				KUNIT_ASSERT_NOT_ERR_OR_NULL(test, chain);
				dma_fence_chain_init(chain, prev,
						     dma_fence_get(&f[i]->base), i + 1);
				prev = &chain->base;
			}
			container = prev;
		} else {
			int ret = dma_resv_get_singleton(scratch->dmabuf->resv,
							 DMA_RESV_USAGE_WRITE,
							 &container);

			KUNIT_ASSERT_EQ(test, ret, 0);
		}

		dma_resv_lock(resv, NULL);
		dma_resv_replace_fences(resv, old->base.context, container,
					DMA_RESV_USAGE_WRITE);
		dma_resv_unlock(resv);

		w = st_wait(test, buf, ST_INOUT);
		for (i = 0; i < ARRAY_SIZE(f); i++) {
			KUNIT_EXPECT_EQ(test, st_wakes(w), 0);
			KUNIT_EXPECT_EQ(test, st_poll(buf, ST_INOUT), 0U);
			st_signal(f[i]);
		}
		/* Their irq_work may be yet to come, under UML for some time. */
		KUNIT_EXPECT_NE(test, wait_for_completion_timeout(&w->woken, ST_TIMEOUT),
				0UL);
		KUNIT_EXPECT_EQ(test, st_wakes(w), 1);
		KUNIT_EXPECT_EQ(test, st_look(w), ST_INOUT);

		/* They let go of their fences in their own time */
		st_stop(w);
		KUNIT_EXPECT_TRUE(test, st_close(buf));
		KUNIT_EXPECT_TRUE(test, st_close(scratch));
		dma_fence_put(container);
		for (i = 0; i < ARRAY_SIZE(f); i++)
			KUNIT_EXPECT_TRUE(test, st_await_refs(f[i], 1));
		st_cleanup(test);
	}
}

#if IS_ENABLED(CONFIG_SYNC_FILE)
/* What is in the file that user space gets for the same fences? */
static bool st_exported_idle(struct kunit *test, struct st_buf *buf,
			     enum dma_resv_usage usage)
{
	struct dma_buf_export_sync_file arg = {
		.flags = usage == DMA_RESV_USAGE_READ ? DMA_BUF_SYNC_RW :
							DMA_BUF_SYNC_READ,
		.fd = -1,
	};
	struct st_env *env = test->priv;
	struct file *file = buf->dmabuf->file;
	struct dma_fence *fence;
	long ret;
	bool idle;

	KUNIT_ASSERT_EQ(test, copy_to_user(env->user, &arg, sizeof(arg)), 0UL);
	ret = file->f_op->unlocked_ioctl(file, DMA_BUF_IOCTL_EXPORT_SYNC_FILE,
					 (unsigned long)env->user);
	KUNIT_ASSERT_EQ(test, ret, 0L);
	KUNIT_ASSERT_EQ(test, copy_from_user(&arg, env->user, sizeof(arg)), 0UL);

	fence = sync_file_get_fence(arg.fd);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, fence);
	idle = dma_fence_is_signaled(fence);
	dma_fence_put(fence);

	/* Here and now: the file holds the fences, and an array of them maybe */
	close_fd(arg.fd);
	flush_delayed_fput();

	return idle;
}
#else
static bool st_exported_idle(struct kunit *test, struct st_buf *buf,
			     enum dma_resv_usage usage)
{
	return false;
}
#endif

/* What dma_resv says of the same fences, in three ways, and user space */
static bool st_resv_idle(struct kunit *test, struct st_buf *buf,
			 enum dma_resv_usage usage, unsigned int how)
{
	struct dma_resv *resv = buf->dmabuf->resv;
	struct dma_fence **fences;
	struct dma_fence *fence;
	unsigned int n, i;
	bool idle;

	switch (how) {
	case 0:
		return dma_resv_test_signaled(resv, usage);
	case 1:
		KUNIT_ASSERT_EQ(test, dma_resv_get_fences(resv, usage, &n, &fences), 0);
		for (i = 0; i < n; i++)
			dma_fence_put(fences[i]);
		kfree(fences);
		return !n;
	case 3:
		return st_exported_idle(test, buf, usage);
	default:
		/* This is what DMA_BUF_IOCTL_EXPORT_SYNC_FILE exports */
		KUNIT_ASSERT_EQ(test, dma_resv_get_singleton(resv, usage, &fence), 0);
		idle = !fence || dma_fence_is_signaled(fence);
		dma_fence_put(fence);
		return idle;
	}
}

/*
 * Does poll() say what dma_resv says, and what the fences say that are on the
 * buffer? It is asked first, or it would find the drivers asked already. Only
 * the driver of a fence that is waited for may know better than poll(), which
 * takes its promise to signal: then it is asked again, after dma_resv has.
 *
 * To ask a driver may signal its fence, whereupon the callback moves on to one
 * that completes when it is enabled. Only then there is another look.
 */
static bool st_agree(struct kunit *test, struct st_buf *buf, unsigned int asked,
		     struct st_fence **f, enum dma_resv_usage *usage,
		     unsigned int n)
{
	struct st_env *env = test->priv;
	unsigned int expect, ready, got, how, enabled, waited, i;

	do {
		enabled = st_enabled(env);
		waited = st_callbacks(env);
		got = st_poll(buf, asked);

		how = st_rnd(env, env->user ? 4 : 3);
		env->asked[how]++;
		ready = 0;
		if (st_resv_idle(test, buf, DMA_RESV_USAGE_WRITE, how))
			ready |= ST_IN;
		if (st_resv_idle(test, buf, DMA_RESV_USAGE_READ, how))
			ready |= ST_OUT;

		expect = ST_INOUT;
		for (i = 0; i < n; i++) {
			if (st_is_signaled(f[i]))
				continue;
			if (usage[i] <= DMA_RESV_USAGE_WRITE)
				expect &= ~ST_IN;
			if (usage[i] <= DMA_RESV_USAGE_READ)
				expect &= ~ST_OUT;
		}

		if (waited && !(got & ~ready))
			got = st_poll(buf, asked);
		if (got == (ready & asked) && got == (expect & asked))
			return true;
		st_settle(buf);
	} while (enabled != st_enabled(env));

	KUNIT_FAIL(test, "polled %x: got %x, dma_resv (%u) %x, fences %x\n",
		   asked, got, how, ready, expect);

	return false;
}

#define ST_STEPS	8000
#define ST_ROUND	40	/* steps with the same buffer */

static void exact_poll_agrees_with_dma_resv_at_every_step(struct kunit *test)
{
	static const unsigned int events[] = { ST_IN, ST_OUT, ST_INOUT };
	static const enum st_enable enable[] = {
		ST_ENABLE_NONE, ST_ENABLE_TRUE, ST_ENABLE_TRUE, ST_ENABLE_FALSE,
	};
	struct st_env *env = test->priv;
	struct st_waiter *w[ARRAY_SIZE(events)];
	enum dma_resv_usage usage[ST_ROUND];
	struct st_fence *f[ST_ROUND];
	struct st_buf *buf = NULL;
	bool busy[ARRAY_SIZE(w)];
	unsigned int step, n = 0, i;
	unsigned long addr;

	if (IS_ENABLED(CONFIG_SYNC_FILE) && IS_ENABLED(CONFIG_MMU)) {
		addr = kunit_vm_mmap(test, NULL, 0, PAGE_SIZE, PROT_READ | PROT_WRITE,
				     MAP_ANONYMOUS | MAP_PRIVATE, 0);
		KUNIT_ASSERT_NE(test, addr, 0UL);
		/* An error is what kernels say that have no such thing */
		if (!IS_ERR_VALUE(addr)) {
			env->user = (void __user *)addr;
			/* KUnit has the thread use it, and never has it stop that. */
			kmemleak_not_leak(current->mm);
		}
	}

	for (step = 0; step < ST_STEPS; step++) {
		if (step % ST_ROUND == 0) {
			buf = st_buf_resv(test, st_rnd(env, 2));
			n = 0;
			for (i = 0; i < ARRAY_SIZE(w); i++) {
				w[i] = st_waiter(test, buf, events[i]);
				st_look(w[i]);
			}
		}

		i = n ? st_rnd(env, n) : 0;
		switch (st_rnd(env, n ? 8 : 3)) {
		case 0:
		case 1:
		case 2:
			usage[n] = st_rnd(env, DMA_RESV_USAGE_BOOKKEEP + 1);
			f[n] = st_fence(test, enable[st_rnd(env, ARRAY_SIZE(enable))]);
			if (!st_rnd(env, 8))
				st_signal(f[n]);
			st_attach(test, buf, f[n], usage[n]);
			n++;
			break;
		case 3:
		case 4:
		case 5:
			st_signal(f[i]);
			break;
		case 6:
			usage[n] = st_rnd(env, DMA_RESV_USAGE_BOOKKEEP + 1);
			f[n] = st_fence(test, ST_ENABLE_TRUE);
			st_replace(buf, f[i], f[n], usage[n]);
			/* The first may have made room for others already */
			if (st_refs(f[n]) == 1)
				break;
			usage[i] = DMA_RESV_USAGE_BOOKKEEP;
			n++;
			break;
		default:
			st_look(w[st_rnd(env, ARRAY_SIZE(w))]);
			break;
		}

		if (!st_agree(test, buf, events[st_rnd(env, ARRAY_SIZE(events))],
			      f, usage, n)) {
			KUNIT_FAIL(test, "in step %u\n", step);
			break;
		}

		if (st_callbacks(env) > 2) {
			KUNIT_FAIL(test, "step %u: %u callbacks\n", step,
				   st_callbacks(env));
			break;
		}

		if (step % ST_ROUND < ST_ROUND - 1)
			continue;

		/* Told to wait, all fences signal: woken */
		for (i = 0; i < ARRAY_SIZE(w); i++) {
			atomic_set(&w[i]->wakes, 0);
			busy[i] = !st_look(w[i]);
		}
		for (i = 0; i < n; i++)
			st_signal(f[i]);
		for (i = 0; i < ARRAY_SIZE(w); i++) {
			if (busy[i] && !st_wakes(w[i])) {
				KUNIT_FAIL(test, "step %u: waiter for %x not woken\n",
					   step, w[i]->events);
				step = ST_STEPS;
			}
		}
		st_cleanup(test);
	}

	/* Of each fence set two directions are asked for, and some sets again */
	kunit_info(test, "%u steps, seed %d: test_signaled %u, get_fences %u, get_singleton %u, EXPORT_SYNC_FILE %u\n",
		   step, ST_SEED, env->asked[0], env->asked[1], env->asked[2],
		   env->asked[3]);
	for (i = 0; i < (env->user ? 4 : 3); i++)
		KUNIT_EXPECT_GT(test, env->asked[i], ST_STEPS / 8U);
}

/*
 * A buffer that is never idle: the next fence is there before the last one
 * signals, and so one is pending at every instant. A walk over the list that
 * passes the slot of the next one before it is put there, and comes to the last
 * one when that has signaled, must not be taken for the answer.
 *
 * The walk is made a long one, by fences that do not count. They stay pending, or
 * else their slots would be used again.
 */

#define ST_CHAIN_CROWD	1024
#define ST_CHAIN_STEPS	1024
#define ST_CHAIN_US	50
#define ST_CHAIN_ENOUGH	32	/* walks to be interrupted */
/*
 * Steps within one look. After four walks it would give up: poll would wait for the
 * reservation lock, which the test holds, and a callback would wake everybody.
 */
#define ST_CHAIN_LOOK_STEPS	3

enum st_step {
	ST_STEP_ADD,		/* in the slot at the other end, and back */
	ST_STEP_REPLACE,	/* the same, with dma_resv_replace_fences() */
	ST_STEP_APPEND,		/* in one more slot */
};

struct st_chain {
	struct dma_resv *resv;
	enum st_step step;
	struct st_fence **fences;	/* two for each step */
	struct st_fence *last;		/* the one that is pending */
	struct st_fence *spare;		/* at the other end, and has signaled */
	unsigned int steps;
	/* In the interrupt of a timer: */
	struct hrtimer timer;
	struct task_struct *task;	/* that holds the lock, and looks */
	bool looking;
	unsigned int look_steps;	/* within this look */
	unsigned int interrupted;	/* within all of them */
};

/* The fences of the crowd, with the first and the last of the list around them */
static int st_chain_init(struct kunit *test, struct st_chain *c, struct st_buf *buf,
			 enum st_step step)
{
	struct st_fence *near = st_fence(test, ST_ENABLE_TRUE);
	struct st_fence *far = st_fence(test, ST_ENABLE_TRUE);
	unsigned int i, room = step == ST_STEP_APPEND ? ST_CHAIN_STEPS : 0;
	struct st_fence **crowd;
	int ret;

	c->resv = buf->dmabuf->resv;
	c->step = step;
	c->fences = kunit_kcalloc(test, 2 * ST_CHAIN_STEPS, sizeof(*c->fences), GFP_KERNEL);
	crowd = kunit_kcalloc(test, ST_CHAIN_CROWD, sizeof(*crowd), GFP_KERNEL);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, c->fences);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, crowd);
	for (i = 0; i < 2 * ST_CHAIN_STEPS; i++)
		c->fences[i] = st_fence(test, ST_ENABLE_TRUE);
	for (i = 0; i < ST_CHAIN_CROWD; i++)
		crowd[i] = st_fence(test, ST_ENABLE_TRUE);

	dma_resv_lock(c->resv, NULL);
	ret = dma_resv_reserve_fences(c->resv, ST_CHAIN_CROWD + 2 + room);
	if (!ret) {
		dma_resv_add_fence(c->resv, &near->base, step == ST_STEP_APPEND ?
				   DMA_RESV_USAGE_BOOKKEEP : DMA_RESV_USAGE_WRITE);
		for (i = 0; i < ST_CHAIN_CROWD; i++)
			dma_resv_add_fence(c->resv, &crowd[i]->base,
					   DMA_RESV_USAGE_BOOKKEEP);
		dma_resv_add_fence(c->resv, &far->base, DMA_RESV_USAGE_WRITE);
		if (step != ST_STEP_APPEND)
			st_signal(near);
	}
	c->spare = near;
	c->last = far;

	/* With the lock held, for those who are going to write */
	return ret;
}

static void st_chain_step(struct st_chain *c)
{
	struct st_fence *next = c->fences[2 * c->steps];

	/*
	 * The slot of one that has signaled would be used again. It goes, but not in
	 * the interrupt that appends: this is a change of its own.
	 */
	if (c->step == ST_STEP_APPEND && st_is_signaled(c->spare)) {
		struct st_fence *away = c->fences[2 * c->steps - 1];

		dma_resv_replace_fences(c->resv, c->spare->base.context, &away->base,
					DMA_RESV_USAGE_BOOKKEEP);
		c->spare = away;
		return;
	}

	if (c->step == ST_STEP_REPLACE)
		dma_resv_replace_fences(c->resv, c->spare->base.context, &next->base,
					DMA_RESV_USAGE_WRITE);
	else
		dma_resv_add_fence(c->resv, &next->base, DMA_RESV_USAGE_WRITE);
	st_signal(c->last);
	c->spare = c->last;
	c->last = next;
	WRITE_ONCE(c->steps, c->steps + 1);
}

static enum hrtimer_restart st_chain_timer(struct hrtimer *timer)
{
	struct st_chain *c = container_of(timer, struct st_chain, timer);

	if (c->steps == ST_CHAIN_STEPS)
		return HRTIMER_NORESTART;

	/* It holds the lock on our behalf */
	if (current == c->task && c->look_steps < ST_CHAIN_LOOK_STEPS) {
		c->look_steps += READ_ONCE(c->looking);
		st_chain_step(c);
	}
	hrtimer_forward_now(timer, ns_to_ktime(ST_CHAIN_US * NSEC_PER_USEC));

	return HRTIMER_RESTART;
}

struct st_never_idle {
	enum st_step step;
	bool last;
	const char *desc;
};

static const struct st_never_idle st_never_idle[] = {
	{ ST_STEP_ADD, false, "add, look from the first" },
	{ ST_STEP_ADD, true, "add, look from the last" },
	{ ST_STEP_REPLACE, false, "replace, look from the first" },
	{ ST_STEP_REPLACE, true, "replace, look from the last" },
	{ ST_STEP_APPEND, false, "append, look from the first" },
	{ ST_STEP_APPEND, true, "append, look from the last" },
};

static void st_never_idle_desc(const struct st_never_idle *p, char *desc)
{
	strscpy(desc, p->desc, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(st_never_idle, st_never_idle, st_never_idle_desc);

static void exact_a_buffer_that_is_never_idle_is_never_ready(struct kunit *test)
{
	static const unsigned int asked[] = { ST_IN, ST_OUT, ST_INOUT };
	const struct st_never_idle *p = test->param_value;
	struct st_buf *buf = st_buf(test);
	unsigned int looks = 0, ready = 0;
	unsigned long end;
	struct st_chain *c;
	int ret;

	if (IS_ENABLED(CONFIG_PREEMPT_RT))
		kunit_skip(test, "no timer signals on top of a walk on PREEMPT_RT");

	c = kunit_kzalloc(test, sizeof(*c), GFP_KERNEL);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, c);
	c->task = current;
	hrtimer_setup(&c->timer, st_chain_timer, CLOCK_MONOTONIC, ST_TIMER_MODE);
	ret = st_chain_init(test, c, buf, p->step);

	/* Where the timer is */
	migrate_disable();
	if (!ret)
		hrtimer_start(&c->timer, ns_to_ktime(ST_CHAIN_US * NSEC_PER_USEC),
			      ST_TIMER_MODE);
	end = jiffies + ST_TIMEOUT;
	while (!ret && c->interrupted < ST_CHAIN_ENOUGH &&
	       READ_ONCE(c->steps) < ST_CHAIN_STEPS && time_before(jiffies, end)) {
		buf->dmabuf->cb_in.last = p->last;
		buf->dmabuf->cb_out.last = p->last;
		WRITE_ONCE(c->looking, true);
		ready += !!st_poll(buf, asked[looks++ % ARRAY_SIZE(asked)]);
		WRITE_ONCE(c->looking, false);
		c->interrupted += READ_ONCE(c->look_steps);
		WRITE_ONCE(c->look_steps, 0);
		cond_resched();
	}
	hrtimer_cancel(&c->timer);
	migrate_enable();
	dma_resv_unlock(c->resv);

	KUNIT_EXPECT_EQ(test, ret, 0);
	KUNIT_EXPECT_EQ(test, ready, 0U);
	KUNIT_EXPECT_GE(test, c->interrupted, (unsigned int)ST_CHAIN_ENOUGH);
	KUNIT_EXPECT_EQ(test, st_poll(buf, ST_INOUT), 0U);
	st_signal(c->last);
	KUNIT_EXPECT_EQ(test, st_poll(buf, ST_INOUT), ST_INOUT);
	kunit_info(test, "%s: ready in %u of %u looks, %u of them interrupted, in %u steps\n",
		   p->desc, ready, looks, c->interrupted, c->steps);
}

struct st_looker {
	struct work_struct work;
	struct st_fence *f;
	bool started, done;
};

static void st_looker(struct work_struct *work)
{
	struct st_looker *l = container_of(work, struct st_looker, work);

	WRITE_ONCE(l->started, true);
	udelay(ST_CHAIN_US / 2);
	st_signal(l->f);
	WRITE_ONCE(l->done, true);
}

#define ST_CHAIN_ROUNDS		64

/* Nor may the callback take it for ready, which looks on the CPU that signals */
static void exact_a_buffer_that_is_never_idle_wakes_nobody(struct kunit *test)
{
	unsigned int round, busy = 0, early = 0, hits = 0, i;
	struct st_buf *buf = st_buf(test);
	struct st_fence *f[ST_CHAIN_ROUNDS];
	struct st_chain *c;
	struct st_looker l;
	struct st_waiter *w;
	int ret, cpu;

	st_needs_interrupt(test);
	st_other_cpu(test);
	c = kunit_kzalloc(test, sizeof(*c), GFP_KERNEL);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, c);
	w = st_waiter(test, buf, ST_IN);
	for (round = 0; round < ST_CHAIN_ROUNDS; round++)
		f[round] = st_fence(test, ST_ENABLE_TRUE);
	INIT_WORK_ONSTACK(&l.work, st_looker);
	ret = st_chain_init(test, c, buf, ST_STEP_ADD);
	migrate_disable();
	cpu = cpumask_any_but(cpu_online_mask, raw_smp_processor_id());

	for (round = 0; !ret && cpu < nr_cpu_ids && round < ST_CHAIN_ROUNDS; round++) {
		int wakes;

		/* Idle, and then the callback is on a fence that leaves the list */
		st_signal(c->last);
		st_settle(buf);
		buf->dmabuf->cb_in.last = round & 1;
		dma_resv_add_fence(c->resv, &f[round]->base, DMA_RESV_USAGE_WRITE);
		busy += !st_look(w);
		wakes = st_wakes(w);
		c->spare = c->last;
		c->last = c->fences[2 * c->steps++];
		dma_resv_add_fence(c->resv, &c->last->base, DMA_RESV_USAGE_WRITE);
		dma_resv_replace_fences(c->resv, f[round]->base.context, &c->spare->base,
					DMA_RESV_USAGE_WRITE);

		l.f = f[round];
		l.started = false;
		l.done = false;
		schedule_work_on(cpu, &l.work);
		st_await_flag(&l.started);
		for (i = 0; i < ST_CHAIN_LOOK_STEPS && !READ_ONCE(l.done); i++) {
			st_chain_step(c);
			udelay(ST_CHAIN_US);
		}
		hits += i && READ_ONCE(l.done);
		flush_work(&l.work);
		early += st_wakes(w) != wakes;
	}
	migrate_enable();
	dma_resv_unlock(c->resv);
	destroy_work_on_stack(&l.work);

	KUNIT_EXPECT_EQ(test, ret, 0);
	KUNIT_EXPECT_EQ(test, busy, round);
	KUNIT_EXPECT_EQ(test, early, 0U);
	st_signal(c->last);
	KUNIT_EXPECT_EQ(test, (unsigned int)st_wakes(w), round);
	kunit_info(test, "woken in %u of %u rounds, in %u of which the look came in time, %u steps\n",
		   early, round, hits, c->steps);

	/* How often depends on what else this machine has to do. */
	if (!hits)
		kunit_skip(test, "the other CPU never looked in time");
}

struct st_list_looker {
	struct work_struct work;
	struct st_buf *buf;
	bool started, stop;
	unsigned int looks, ready;
};

static void st_list_looker(struct work_struct *work)
{
	struct st_list_looker *l = container_of(work, struct st_list_looker, work);

	WRITE_ONCE(l->started, true);
	while (!READ_ONCE(l->stop)) {
		WRITE_ONCE(l->buf->dmabuf->cb_in.last, false);
		l->ready += !!st_poll(l->buf, ST_IN);
		l->looks++;
		cond_resched();
	}
}

#define ST_LIST_ROUNDS		4

/*
 * A list that is full makes room for a longer one, which alone has the next fence:
 * nothing is written to the old one, and its counter stands still.
 */
static unsigned int st_list_grow(struct kunit *test, struct st_buf *buf,
				 struct st_fence **crowd, unsigned int *lists)
{
	struct dma_resv *resv = buf->dmabuf->resv;
	struct st_fence *last = st_fence(test, ST_ENABLE_TRUE);
	struct st_list_looker l = { .buf = buf };
	const void *list;
	unsigned int i;
	int ret, cpu;

	dma_resv_lock(resv, NULL);
	ret = dma_resv_reserve_fences(resv, 1);
	if (!ret)
		dma_resv_add_fence(resv, &last->base, DMA_RESV_USAGE_WRITE);
	list = rcu_access_pointer(resv->fences);

	INIT_WORK_ONSTACK(&l.work, st_list_looker);
	migrate_disable();
	cpu = cpumask_any_but(cpu_online_mask, raw_smp_processor_id());
	schedule_work_on(cpu, &l.work);
	st_await_flag(&l.started);
	for (i = 0; !ret && i < ST_CHAIN_CROWD; i++) {
		ret = dma_resv_reserve_fences(resv, 1);
		if (!ret && rcu_access_pointer(resv->fences) != list) {
			struct st_fence *next = st_fence(test, ST_ENABLE_TRUE);

			list = rcu_access_pointer(resv->fences);
			dma_resv_add_fence(resv, &next->base, DMA_RESV_USAGE_WRITE);
			st_signal(last);
			last = next;
			++*lists;
			ret = dma_resv_reserve_fences(resv, 1);
		}
		if (!ret)
			dma_resv_add_fence(resv, &crowd[i]->base, DMA_RESV_USAGE_BOOKKEEP);
	}
	/* If fences came too fast it waits for the lock. */
	dma_resv_unlock(resv);
	WRITE_ONCE(l.stop, true);
	flush_work(&l.work);
	destroy_work_on_stack(&l.work);
	migrate_enable();
	st_signal(last);

	KUNIT_EXPECT_EQ(test, ret, 0);
	KUNIT_EXPECT_GT(test, l.looks, 0U);

	return l.ready;
}

static void exact_a_list_that_is_replaced_is_looked_at_again(struct kunit *test)
{
	unsigned int i, lists = 0, ready = 0;
	struct st_fence **crowd;

	st_other_cpu(test);
	crowd = kunit_kcalloc(test, ST_CHAIN_CROWD, sizeof(*crowd), GFP_KERNEL);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, crowd);
	for (i = 0; i < ST_CHAIN_CROWD; i++)
		crowd[i] = st_fence(test, ST_ENABLE_TRUE);

	for (i = 0; i < ST_LIST_ROUNDS; i++)
		ready += st_list_grow(test, st_buf(test), crowd, &lists);
	KUNIT_EXPECT_EQ(test, ready, 0U);
	KUNIT_EXPECT_GT(test, lists, (unsigned int)ST_LIST_ROUNDS);
	kunit_info(test, "said to be ready %u times while %u lists were replaced\n", ready, lists);
}

/*
 * one_wakeup: a sleeper waiting on N fences is woken once.
 */

struct st_pattern {
	unsigned int n;
	enum st_order order;
};

static const struct st_pattern st_patterns[] = {
	{ 1, ST_IN_ORDER },
	{ 4, ST_IN_ORDER }, { 4, ST_REVERSE }, { 4, ST_RANDOM },
	{ 16, ST_IN_ORDER }, { 16, ST_REVERSE }, { 16, ST_RANDOM },
	{ 64, ST_IN_ORDER }, { 64, ST_REVERSE }, { 64, ST_RANDOM },
};

static void st_pattern_desc(const struct st_pattern *p, char *desc)
{
	static const char * const orders[] = { "in order", "reverse", "random" };

	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "%u %s", p->n, orders[p->order]);
}

KUNIT_ARRAY_PARAM(st_pattern, st_patterns, st_pattern_desc);

static void one_wakeup_for_any_number_of_fences(struct kunit *test)
{
	const struct st_pattern *p = test->param_value;
	struct st_buf *buf = st_buf(test);
	struct st_fence *f[ST_MAX_FENCES];
	struct st_waiter *in, *out, *both;
	unsigned int i;

	st_needs_interrupt(test);
	for (i = 0; i < p->n; i++)
		f[i] = st_add(test, buf, i % 2 ? DMA_RESV_USAGE_WRITE :
						 DMA_RESV_USAGE_KERNEL);
	out = st_wait(test, buf, ST_OUT);
	in = st_wait(test, buf, ST_IN);
	both = st_wait(test, buf, ST_INOUT);

	st_shuffle(test->priv, f, p->n, p->order);
	for (i = 0; i < p->n; i++) {
		KUNIT_EXPECT_EQ(test, st_wakes(in), 0);
		KUNIT_EXPECT_EQ(test, st_wakes(out), 0);
		KUNIT_EXPECT_EQ(test, st_wakes(both), 0);
		KUNIT_EXPECT_EQ(test, st_callbacks(test->priv), 2U);
		KUNIT_EXPECT_EQ(test, st_poll(buf, ST_INOUT), 0U);
		st_signal(f[i]);
	}
	KUNIT_EXPECT_EQ(test, st_wakes(in), 1);
	KUNIT_EXPECT_EQ(test, st_wakes(out), 1);
	KUNIT_EXPECT_EQ(test, st_wakes(both), 1);
	KUNIT_EXPECT_EQ(test, st_look(both), ST_INOUT);
}

/* As above, with each step taken before the last one has been digested */
static void one_wakeup_when_fences_signal_in_a_burst(struct kunit *test)
{
	const struct st_pattern *p = test->param_value;
	struct st_buf *buf = st_buf(test);
	struct st_fence *f[ST_MAX_FENCES];
	struct st_waiter *w;
	unsigned int i;

	for (i = 0; i < p->n; i++)
		f[i] = st_add(test, buf, DMA_RESV_USAGE_WRITE);
	w = st_wait(test, buf, ST_IN);

	st_shuffle(test->priv, f, p->n, p->order);
	for (i = 0; i < p->n; i++)
		st_signal(f[i]);
	KUNIT_EXPECT_EQ(test, st_wakes(w), 1);
	KUNIT_EXPECT_EQ(test, st_look(w), ST_IN);
}

static void one_wakeup_names_both_directions(struct kunit *test)
{
	struct st_buf *buf = st_buf(test);
	struct st_fence *f = st_add(test, buf, DMA_RESV_USAGE_WRITE);
	struct st_waiter *w = st_wait(test, buf, ST_INOUT);

	st_signal(f);
	st_told_both(test, w);
	KUNIT_EXPECT_EQ(test, st_look(w), ST_INOUT);
}

/*
 * The fence of OUT leaves the list, so IN answers for both. Then somebody waits for
 * IN anew, and that of OUT signals at last: it owes nothing, and knows nothing of IN.
 */
static void one_wakeup_not_by_a_direction_that_owes_nothing(struct kunit *test)
{
	struct st_buf *buf = st_buf(test);
	struct st_fence *write = st_add(test, buf, DMA_RESV_USAGE_WRITE);
	struct st_fence *read = st_add(test, buf, DMA_RESV_USAGE_READ);
	struct st_waiter *both = st_wait(test, buf, ST_INOUT);
	struct st_waiter *in;
	struct st_fence *next;

	KUNIT_EXPECT_EQ(test, st_fence_callbacks(read), 1U);
	st_replace(buf, read, read, DMA_RESV_USAGE_BOOKKEEP);
	st_signal(write);
	st_told_both(test, both);
	KUNIT_EXPECT_EQ(test, st_fence_callbacks(read), 1U);

	next = st_add(test, buf, DMA_RESV_USAGE_WRITE);
	in = st_wait(test, buf, ST_IN);
	st_signal(read);
	KUNIT_EXPECT_EQ(test, st_wakes(in), 0);
	st_signal(next);
	KUNIT_EXPECT_EQ(test, st_wakes(in), 1);
	KUNIT_EXPECT_EQ(test, st_look(in), ST_IN);
}

/*
 * woken: a sleeper whose condition becomes true is woken.
 */

/* epoll: the entry is queued while the buffer is idle, and stays */
static void no_lost_wakeup_after_a_look_without_a_queue_function(struct kunit *test)
{
	struct st_buf *buf = st_buf(test);
	struct st_waiter *w = st_waiter(test, buf, ST_INOUT);
	struct st_fence *f;
	int i;

	KUNIT_EXPECT_EQ(test, st_look(w), ST_INOUT);
	/* Again and again: what one round claims it has to give back */
	for (i = 0; i < 3; i++) {
		f = st_add(test, buf, DMA_RESV_USAGE_WRITE);
		KUNIT_EXPECT_EQ(test, st_look(w), 0U);
		KUNIT_EXPECT_EQ(test, st_callbacks(test->priv), 2U);
		st_signal(f);
		KUNIT_EXPECT_EQ(test, st_wakes(w), i + 1);
		KUNIT_EXPECT_EQ(test, st_look(w), ST_INOUT);
	}
	KUNIT_EXPECT_EQ(test, w->queued, 1U);
}

static void no_lost_wakeup_for_the_direction_that_became_ready(struct kunit *test)
{
	struct st_buf *buf = st_buf(test);
	struct st_fence *write = st_add(test, buf, DMA_RESV_USAGE_WRITE);
	struct st_fence *read = st_add(test, buf, DMA_RESV_USAGE_READ);
	struct st_waiter *in = st_wait(test, buf, ST_IN);
	struct st_waiter *out = st_wait(test, buf, ST_OUT);
	struct st_waiter *both = st_wait(test, buf, ST_INOUT);

	st_signal(write);
	KUNIT_EXPECT_EQ(test, st_wakes(in), 1);
	KUNIT_EXPECT_EQ(test, st_wakes(out), 0);
	KUNIT_EXPECT_EQ(test, st_wakes(both), 1);
	KUNIT_EXPECT_EQ(test, st_look(both), ST_IN);

	st_signal(read);
	KUNIT_EXPECT_EQ(test, st_wakes(in), 1);
	KUNIT_EXPECT_EQ(test, st_wakes(out), 1);
	KUNIT_EXPECT_EQ(test, st_wakes(both), 2);
	KUNIT_EXPECT_EQ(test, st_look(both), ST_INOUT);
}

/* Only one of the exclusive waiters for a direction is, but one of each */
static void no_lost_wakeup_for_exclusive_waiters_for_another_direction(struct kunit *test)
{
	int in_first, arm_in_first;

	for (in_first = 0; in_first < 2; in_first++) {
		for (arm_in_first = 0; arm_in_first < 2; arm_in_first++) {
			struct st_buf *buf = st_buf(test);
			struct st_fence *f = st_add(test, buf, DMA_RESV_USAGE_WRITE);
			struct st_waiter *w[2];
			int i;

			st_poll(buf, arm_in_first ? ST_IN : ST_OUT);
			for (i = 0; i < 2; i++) {
				w[i] = st_waiter(test, buf, i ^ in_first ? ST_IN : ST_OUT);
				w[i]->exclusive = true;
				KUNIT_EXPECT_EQ(test, st_look(w[i]), 0U);
			}

			st_signal(f);
			KUNIT_EXPECT_EQ(test, st_wakes(w[0]), 1);
			KUNIT_EXPECT_EQ(test, st_wakes(w[1]), 1);
			st_cleanup(test);
		}
	}
}

/*
 * An irq_work without an interrupt of its own waits for the next tick. There all look
 * again, at once, and whoever finds a fence left arms.
 */
static void st_all_look_again(struct kunit *test, const struct st_pattern *p)
{
	struct st_buf *buf = st_buf(test);
	struct st_fence *f[ST_MAX_FENCES];
	struct st_waiter *w, *exclusive[2];
	unsigned int i, j;

	for (i = 0; i < p->n; i++)
		f[i] = st_add(test, buf, DMA_RESV_USAGE_WRITE);
	w = st_wait(test, buf, ST_IN);
	for (j = 0; j < ARRAY_SIZE(exclusive); j++) {
		exclusive[j] = st_waiter(test, buf, ST_IN);
		exclusive[j]->exclusive = true;
		KUNIT_EXPECT_EQ(test, st_look(exclusive[j]), 0U);
	}

	st_shuffle(test->priv, f, p->n, p->order);
	for (i = 0; i < p->n; i++) {
		unsigned int armed = st_fence_callbacks(f[i]);
		unsigned int left = i + 1 < p->n;
		int wakes = atomic_read(&w->wakes);

		atomic_set(&w->keys, 0);
		st_signal(f[i]);
		KUNIT_EXPECT_FALSE(test, irq_work_is_busy(&buf->dmabuf->poll_work));
		KUNIT_EXPECT_EQ(test, atomic_read(&w->wakes), wakes + (int)armed);
		for (j = 0; j < ARRAY_SIZE(exclusive); j++)
			KUNIT_EXPECT_EQ(test, atomic_read(&exclusive[j]->wakes),
					atomic_read(&w->wakes));
		/* io_uring and aio would take a mask for the answer */
		if (armed && left)
			KUNIT_EXPECT_EQ(test, atomic_read(&w->keys), -1);
		KUNIT_EXPECT_EQ(test, st_look(w), left ? 0 : ST_IN);
		KUNIT_EXPECT_EQ(test, st_callbacks(test->priv), left);
	}
	/* First one end of the list is waited for, then the other */
	if (p->order != ST_RANDOM)
		KUNIT_EXPECT_LE(test, atomic_read(&w->wakes), 2);
	st_cleanup(test);
}

static void no_lost_wakeup_where_an_irq_work_has_no_interrupt(struct kunit *test)
{
	unsigned int i;

	if (!st_interrupt(false))
		kunit_skip(test, "an irq_work has an interrupt here");
	for (i = 0; i < ARRAY_SIZE(st_patterns); i++)
		st_all_look_again(test, &st_patterns[i]);
}

/* Everybody sees that, not only whoever comes first */
static void no_lost_wakeup_for_any_waiter(struct kunit *test)
{
	struct st_waiter *w[64];
	struct st_buf *buf = st_buf(test);
	struct st_fence *f = st_add(test, buf, DMA_RESV_USAGE_KERNEL);
	int i;

	for (i = 0; i < ARRAY_SIZE(w); i++)
		w[i] = st_wait(test, buf, i % 2 ? ST_IN : ST_OUT);
	KUNIT_EXPECT_EQ(test, st_callbacks(test->priv), 2U);
	st_signal(f);
	for (i = 0; i < ARRAY_SIZE(w); i++)
		KUNIT_EXPECT_EQ(test, st_wakes(w[i]), 1);
}

static void one_wakeup_not_before_a_fence_that_was_added_meanwhile(struct kunit *test)
{
	struct st_buf *buf = st_buf(test);
	struct st_fence *a = st_add(test, buf, DMA_RESV_USAGE_WRITE);
	struct st_waiter *w = st_wait(test, buf, ST_IN);
	struct st_fence *b = st_add(test, buf, DMA_RESV_USAGE_WRITE);

	st_needs_interrupt(test);
	st_signal(a);
	KUNIT_EXPECT_EQ(test, st_wakes(w), 0);
	KUNIT_EXPECT_EQ(test, st_poll(buf, ST_IN), 0U);
	st_signal(b);
	KUNIT_EXPECT_EQ(test, st_wakes(w), 1);
	KUNIT_EXPECT_EQ(test, st_look(w), ST_IN);
}

/* The signal has left work to do, and before it is done there is more */
static void one_wakeup_after_a_fence_added_between_signal_and_wake(struct kunit *test)
{
	struct st_buf *buf = st_buf(test);
	struct st_fence *a = st_add(test, buf, DMA_RESV_USAGE_WRITE);
	struct st_fence *b = st_add(test, buf, DMA_RESV_USAGE_WRITE);
	struct st_fence *c = st_fence(test, ST_ENABLE_TRUE);
	struct st_waiter *w = st_wait(test, buf, ST_IN);
	struct dma_resv *resv = buf->dmabuf->resv;
	unsigned long flags;

	st_needs_interrupt(test);
	if (IS_ENABLED(CONFIG_PREEMPT_RT))
		kunit_skip(test, "no fence signals with interrupts disabled on PREEMPT_RT");

	dma_resv_lock(resv, NULL);
	KUNIT_EXPECT_EQ(test, dma_resv_reserve_fences(resv, 1), 0);
	local_irq_save(flags);
	st_signal(b);
	st_signal(a);
	dma_resv_add_fence(resv, &c->base, DMA_RESV_USAGE_WRITE);
	local_irq_restore(flags);
	dma_resv_unlock(resv);

	KUNIT_EXPECT_EQ(test, st_wakes(w), 0);
	KUNIT_EXPECT_EQ(test, st_look(w), 0U);
	st_signal(c);
	KUNIT_EXPECT_EQ(test, st_wakes(w), 1);
	KUNIT_EXPECT_EQ(test, st_look(w), ST_IN);
}

static void no_lost_wakeup_when_a_replaced_fence_signals_at_the_latest(struct kunit *test)
{
	int gone;

	st_needs_interrupt(test);
	for (gone = 0; gone < 2; gone++) {
		struct st_buf *buf = st_buf(test);
		struct st_fence *old = st_add(test, buf, DMA_RESV_USAGE_WRITE);
		struct st_fence *new = st_fence(test, ST_ENABLE_TRUE);
		struct st_waiter *w = st_wait(test, buf, ST_IN);

		st_replace(buf, old, new, gone ? DMA_RESV_USAGE_BOOKKEEP :
						 DMA_RESV_USAGE_WRITE);
		st_signal(old);
		KUNIT_EXPECT_EQ(test, st_wakes(w), gone);
		KUNIT_EXPECT_EQ(test, st_look(w), gone ? ST_IN : 0U);
		st_signal(new);
		KUNIT_EXPECT_EQ(test, st_wakes(w), 1);
		KUNIT_EXPECT_EQ(test, st_look(w), ST_IN);
		st_cleanup(test);
	}
}

/*
 * The callback of IN is on a fence that has left, and OUT has answered for IN.
 * Then the fence is back, and whoever polls now has yet to be told of it.
 */
static void no_lost_wakeup_for_a_fence_that_comes_back(struct kunit *test)
{
	struct st_buf *buf = st_buf(test);
	struct st_fence *write = st_add(test, buf, DMA_RESV_USAGE_WRITE);
	struct st_fence *read = st_add(test, buf, DMA_RESV_USAGE_READ);
	struct st_waiter *w = st_wait(test, buf, ST_INOUT);

	KUNIT_EXPECT_EQ(test, st_fence_callbacks(write), 1U);
	KUNIT_EXPECT_EQ(test, st_fence_callbacks(read), 1U);

	st_replace(buf, write, write, DMA_RESV_USAGE_BOOKKEEP);
	st_signal(read);
	st_told_both(test, w);
	KUNIT_EXPECT_EQ(test, st_fence_callbacks(write), 1U);

	st_replace(buf, write, write, DMA_RESV_USAGE_WRITE);
	w = st_wait(test, buf, ST_IN);
	st_signal(write);
	KUNIT_EXPECT_EQ(test, st_wakes(w), 1);
	KUNIT_EXPECT_EQ(test, st_look(w), ST_IN);
}

struct st_newcomer {
	struct dma_resv *resv;
	struct st_fence *old, *next;
};

/* In the midst of arming: @f is done, so is @old, and then there is @next */
static void st_signal_and_add(struct st_fence *f)
{
	struct st_newcomer *n = f->arg;

	dma_fence_signal_locked(&f->base);
	st_signal_nested(n->old);
	dma_resv_add_fence(n->resv, &n->next->base, DMA_RESV_USAGE_READ);
}

/*
 * OUT has answered for IN as well. The callback of IN runs while somebody arms OUT
 * again, whose fence has just signaled, for yet another fence.
 */
static void no_lost_wakeup_for_whoever_arms_while_the_other_direction_ends(struct kunit *test)
{
	static struct lock_class_key key;
	struct st_buf *buf = st_buf(test);
	struct st_fence *write = st_add(test, buf, DMA_RESV_USAGE_WRITE);
	struct st_fence *read = st_add(test, buf, DMA_RESV_USAGE_READ);
	struct st_fence *asked = st_fence(test, ST_ENABLE_CALLS);
	struct st_fence *next = st_fence(test, ST_ENABLE_TRUE);
	struct st_newcomer n = {
		.resv = buf->dmabuf->resv, .old = write, .next = next,
	};
	struct st_waiter *first, *second;
	int ret;

	lockdep_set_class(&write->own_lock, &key);

	/* The fence of IN leaves, so that OUT is ready when its own signals. */
	first = st_waiter(test, buf, ST_INOUT);
	first->exclusive = true;
	KUNIT_EXPECT_EQ(test, st_look(first), 0U);
	KUNIT_EXPECT_EQ(test, st_fence_callbacks(write), 1U);
	st_replace(buf, write, write, DMA_RESV_USAGE_BOOKKEEP);
	st_signal(read);
	KUNIT_EXPECT_EQ(test, st_wakes(first), 1);
	KUNIT_EXPECT_EQ(test, st_fence_callbacks(write), 1U);

	st_attach(test, buf, asked, DMA_RESV_USAGE_READ);
	second = st_waiter(test, buf, ST_OUT);
	second->exclusive = true;

	asked->on_enable = st_signal_and_add;
	asked->arg = &n;

	dma_resv_lock(buf->dmabuf->resv, NULL);
	ret = dma_resv_reserve_fences(buf->dmabuf->resv, 1);
	if (!ret)
		KUNIT_EXPECT_EQ(test, st_look(second), 0U);
	dma_resv_unlock(buf->dmabuf->resv);
	KUNIT_ASSERT_EQ(test, ret, 0);

	KUNIT_EXPECT_TRUE(test, st_is_signaled(asked));
	KUNIT_EXPECT_TRUE(test, st_is_signaled(write));
	KUNIT_EXPECT_EQ(test, st_fence_callbacks(next), 1U);
	/* IN has been answered for by OUT, and owes nothing. */
	KUNIT_EXPECT_EQ(test, st_wakes(first), 1);
	KUNIT_EXPECT_EQ(test, st_wakes(second), 0);
	st_signal(next);
	KUNIT_EXPECT_EQ(test, st_wakes(first) + st_wakes(second), 3);
	KUNIT_EXPECT_EQ(test, st_look(second), ST_OUT);
}

/*
 * quiet: polling wakes nobody.
 */

static void quiet_polls_of_an_idle_buffer_wake_nobody(struct kunit *test)
{
	static const unsigned int events[] = { ST_IN, ST_OUT, ST_INOUT };
	struct st_waiter *w[ARRAY_SIZE(events)];
	struct st_buf *buf = st_buf(test);
	struct st_fence *f = st_fence(test, ST_ENABLE_TRUE);
	int used, i, j;

	for (i = 0; i < ARRAY_SIZE(w); i++) {
		w[i] = st_waiter(test, buf, events[i]);
		KUNIT_EXPECT_EQ(test, st_look(w[i]), events[i]);
	}

	for (used = 0; used < 2; used++) {
		for (j = 0; j < 100; j++) {
			for (i = 0; i < ARRAY_SIZE(w); i++) {
				KUNIT_EXPECT_EQ(test, st_look(w[i]), events[i]);
				KUNIT_EXPECT_EQ(test, st_poll(buf, events[i]), events[i]);
			}
		}
		for (i = 0; i < ARRAY_SIZE(w); i++)
			KUNIT_EXPECT_EQ(test, st_wakes(w[i]), 0);

		/* Once more with fences that are history */
		st_attach(test, buf, f, DMA_RESV_USAGE_WRITE);
		st_signal(f);
	}
}

static void quiet_polls_of_a_busy_buffer_wake_nobody(struct kunit *test)
{
	static const unsigned int events[] = { ST_IN, ST_OUT, ST_INOUT };
	struct st_waiter *w[ARRAY_SIZE(events)];
	struct st_buf *buf = st_buf(test);
	struct st_fence *f = st_add(test, buf, DMA_RESV_USAGE_WRITE);
	struct st_env *env = test->priv;
	int i, j;

	for (i = 0; i < ARRAY_SIZE(w); i++)
		w[i] = st_wait(test, buf, events[i]);
	for (j = 0; j < 100; j++) {
		for (i = 0; i < ARRAY_SIZE(w); i++) {
			KUNIT_EXPECT_EQ(test, st_look(w[i]), 0U);
			KUNIT_EXPECT_EQ(test, st_poll(buf, events[i]), 0U);
		}
	}
	for (i = 0; i < ARRAY_SIZE(w); i++)
		KUNIT_EXPECT_EQ(test, st_wakes(w[i]), 0);
	KUNIT_EXPECT_EQ(test, st_callbacks(env), 2U);
	KUNIT_EXPECT_EQ(test, f->enabled, 1U);
	KUNIT_EXPECT_EQ(test, st_refs(f), 4U);
}

/* Nobody is told of what was looked at in passing */
static void quiet_signals_that_nobody_waits_for(struct kunit *test)
{
	struct st_buf *buf = st_buf(test);
	struct st_waiter *w = st_waiter(test, buf, ST_INOUT);
	struct st_fence *f;

	KUNIT_EXPECT_EQ(test, st_look(w), ST_INOUT);

	f = st_add(test, buf, DMA_RESV_USAGE_BOOKKEEP);
	KUNIT_EXPECT_EQ(test, st_look(w), ST_INOUT);
	st_signal(f);
	KUNIT_EXPECT_EQ(test, st_wakes(w), 0);

	f = st_add(test, buf, DMA_RESV_USAGE_WRITE);
	st_signal(f);
	KUNIT_EXPECT_EQ(test, st_wakes(w), 0);
}

/* Nor is one direction told of fences that only the other was polled for */
static void quiet_signals_that_only_others_wait_for(struct kunit *test)
{
	static const unsigned int asked[] = { ST_IN, ST_OUT };
	struct st_buf *buf = st_buf(test);
	int i;

	/* What was claimed once is no longer owed */
	st_add(test, buf, DMA_RESV_USAGE_WRITE);
	KUNIT_EXPECT_EQ(test, st_poll(buf, ST_INOUT), 0U);

	for (i = 0; i < ARRAY_SIZE(asked); i++) {
		struct st_waiter *not, *w;
		struct st_env *env = test->priv;
		struct st_fence *f;

		f = list_last_entry(&env->fences, struct st_fence, node);
		st_signal(f);
		not = st_waiter(test, buf, ST_INOUT & ~asked[i]);
		KUNIT_EXPECT_EQ(test, st_look(not), ST_INOUT & ~asked[i]);

		f = st_add(test, buf, DMA_RESV_USAGE_WRITE);
		w = st_wait(test, buf, asked[i]);
		st_signal(f);
		KUNIT_EXPECT_EQ(test, st_wakes(w), 1);
		KUNIT_EXPECT_EQ(test, st_wakes(not), 0);
	}
}

/* To ask a driver which says that its fence is done is no news to anybody */
static void quiet_polls_that_find_a_fence_done(struct kunit *test)
{
	struct st_buf *buf = st_buf(test);
	struct st_waiter *w = st_waiter(test, buf, ST_INOUT);
	struct st_fence *f;

	KUNIT_EXPECT_EQ(test, st_look(w), ST_INOUT);
	f = st_fence(test, ST_ENABLE_FALSE);
	st_attach(test, buf, f, DMA_RESV_USAGE_WRITE);
	KUNIT_EXPECT_EQ(test, st_look(w), ST_INOUT);
	KUNIT_EXPECT_EQ(test, st_wakes(w), 0);
}

/*
 * nonblocking: poll does not sleep, and does not wait for the reservation lock, as long as
 * no fences come and go under its look.
 */

struct st_thread {
	struct task_struct *task;
	struct st_buf *buf;
	unsigned int events;
	unsigned int ready;
	struct completion done;
	unsigned int rounds;
	bool lost;
};

static int st_poll_thread(void *data)
{
	struct st_thread *t = data;

	t->ready = st_poll(t->buf, t->events);
	complete(&t->done);

	return 0;
}

static void nonblocking_while_somebody_holds_the_reservation_lock(struct kunit *test)
{
	struct st_buf *buf = st_buf(test);
	struct st_fence *f = st_fence(test, ST_ENABLE_TRUE);
	struct st_thread *t;
	bool busy, in_time;

	t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, t);
	t->buf = buf;
	t->events = ST_INOUT;

	for (busy = false; ; busy = true) {
		init_completion(&t->done);
		dma_resv_lock(buf->dmabuf->resv, NULL);
		t->task = kthread_run(st_poll_thread, t, "st-poll");
		in_time = !IS_ERR(t->task) &&
			  wait_for_completion_timeout(&t->done, ST_TIMEOUT);
		dma_resv_unlock(buf->dmabuf->resv);
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, t->task);
		if (!in_time)
			wait_for_completion(&t->done);
		KUNIT_EXPECT_TRUE(test, in_time);
		KUNIT_EXPECT_EQ(test, t->ready, busy ? 0U : ST_INOUT);
		if (busy)
			break;
		st_attach(test, buf, f, DMA_RESV_USAGE_WRITE);
	}
}

/* CONFIG_DEBUG_ATOMIC_SLEEP has something to say if it does */
static void nonblocking_with_preemption_disabled(struct kunit *test)
{
	struct st_buf *buf = st_buf(test);
	struct st_waiter *w = st_waiter(test, buf, ST_INOUT);
	unsigned int idle, busy, again;
	struct st_fence *f;

	if (IS_ENABLED(CONFIG_PREEMPT_RT))
		kunit_skip(test, "every spinlock sleeps on PREEMPT_RT");

	preempt_disable();
	idle = st_look(w);
	preempt_enable();

	f = st_add(test, buf, DMA_RESV_USAGE_WRITE);

	preempt_disable();
	busy = st_look(w);
	st_signal(f);
	again = st_look(w);
	preempt_enable();

	KUNIT_EXPECT_EQ(test, idle, ST_INOUT);
	KUNIT_EXPECT_EQ(test, busy, 0U);
	KUNIT_EXPECT_EQ(test, again, ST_INOUT);
}

/*
 * neutral: poll holds no reference on the file, and of the fences only on those
 * it has a callback on. The last close frees the buffer.
 */

static void neutral_pending_callbacks_hold_their_fence_only(struct kunit *test)
{
	struct st_buf *buf = st_buf(test);
	struct st_fence *a = st_add(test, buf, DMA_RESV_USAGE_WRITE);
	struct st_fence *b = st_add(test, buf, DMA_RESV_USAGE_READ);
	struct st_waiter *w;

	st_needs_interrupt(test);
	st_poll(buf, ST_INOUT);
	KUNIT_EXPECT_EQ(test, st_file_count(buf), 1L);
	w = st_wait(test, buf, ST_INOUT);
	KUNIT_EXPECT_EQ(test, st_file_count(buf), 1L);
	KUNIT_EXPECT_EQ(test, st_refs(a), 2U + st_fence_callbacks(a));
	KUNIT_EXPECT_EQ(test, st_refs(b), 2U + st_fence_callbacks(b));
	KUNIT_EXPECT_EQ(test, st_callbacks(test->priv), 2U);

	st_signal(b);
	KUNIT_EXPECT_EQ(test, st_wakes(w), 0);
	KUNIT_EXPECT_EQ(test, st_file_count(buf), 1L);
	KUNIT_EXPECT_EQ(test, st_refs(a), 2U + st_fence_callbacks(a));
	KUNIT_EXPECT_EQ(test, st_refs(b), 2U);

	/* The next look lets go of it. */
	st_signal(a);
	st_settle(buf);
	KUNIT_EXPECT_EQ(test, st_poll(buf, ST_OUT), ST_OUT);
	KUNIT_EXPECT_EQ(test, st_poll(buf, ST_IN), ST_IN);
	KUNIT_EXPECT_EQ(test, st_file_count(buf), 1L);
	KUNIT_EXPECT_EQ(test, st_refs(a), 2U);
	KUNIT_EXPECT_EQ(test, st_refs(b), 2U);
}

/* The callback holds on to the fence that nobody else does */
static void neutral_a_fence_lives_as_long_as_its_callback(struct kunit *test)
{
	struct st_buf *buf = st_buf(test);
	struct st_fence *old = st_add(test, buf, DMA_RESV_USAGE_WRITE);
	struct st_fence *new = st_fence(test, ST_ENABLE_TRUE);
	struct st_waiter *w = st_wait(test, buf, ST_IN);

	st_needs_interrupt(test);
	st_replace(buf, old, new, DMA_RESV_USAGE_WRITE);
	KUNIT_EXPECT_EQ(test, st_refs(old), 2U);
	KUNIT_EXPECT_EQ(test, st_fence_callbacks(old), 1U);
	st_signal(old);
	KUNIT_EXPECT_EQ(test, st_wakes(w), 0);
	KUNIT_EXPECT_EQ(test, st_refs(old), 1U);
	KUNIT_EXPECT_EQ(test, st_refs(new), 3U);
}

static void neutral_the_last_close_frees_at_once(struct kunit *test)
{
	static const unsigned int events[] = { ST_IN, ST_OUT, ST_INOUT };
	struct st_env *env = test->priv;
	int i, j;

	for (i = 0; i < 4 * ARRAY_SIZE(events); i++) {
		struct st_buf *buf = st_buf_resv(test, i & 1);
		unsigned int asked = events[i / 4];
		struct st_fence *f[3];

		f[0] = st_add(test, buf, DMA_RESV_USAGE_WRITE);
		f[1] = st_add(test, buf, DMA_RESV_USAGE_READ);
		f[2] = st_add(test, buf, DMA_RESV_USAGE_BOOKKEEP);
		if (i & 2)
			st_stop(st_wait(test, buf, asked));
		else
			KUNIT_EXPECT_EQ(test, st_poll(buf, asked), 0U);
		KUNIT_EXPECT_EQ(test, st_callbacks(env), hweight32(asked));

		KUNIT_EXPECT_TRUE(test, st_close(buf));
		KUNIT_EXPECT_EQ(test, buf->callbacks, 0U);
		KUNIT_EXPECT_EQ(test, st_callbacks(env), 0U);
		for (j = 0; j < 3; j++) {
			KUNIT_EXPECT_FALSE(test, st_is_signaled(f[j]));
			KUNIT_EXPECT_EQ(test, st_refs(f[j]), 1U);
		}

		/* Nobody is left to care */
		for (j = 0; j < 3; j++)
			st_signal(f[j]);
		st_cleanup(test);
	}
}

/*
 * irq_work_sync() may wait for a grace period, even for an irq_work that is idle: on
 * PREEMPT_RT, and where there is no interrupt for it.
 */
static void neutral_a_close_waits_for_no_grace_period(struct kunit *test)
{
	struct st_buf *buf[8];
	s64 grace, closing;
	ktime_t start;
	int i;

	for (i = 0; i < ARRAY_SIZE(buf); i++) {
		buf[i] = st_buf(test);
		st_add(test, buf[i], DMA_RESV_USAGE_WRITE);
		KUNIT_EXPECT_EQ(test, st_poll(buf[i], ST_INOUT), 0U);
	}

	start = ktime_get();
	for (i = 0; i < ARRAY_SIZE(buf); i++)
		synchronize_rcu();
	grace = ktime_us_delta(ktime_get(), start);
	if (grace < 1000 * (s64)ARRAY_SIZE(buf))
		kunit_skip(test, "a grace period takes no time here");

	start = ktime_get();
	for (i = 0; i < ARRAY_SIZE(buf); i++)
		KUNIT_EXPECT_TRUE(test, st_close(buf[i]));
	closing = ktime_us_delta(ktime_get(), start);
	kunit_info(test, "%lld us to close, %lld us of grace periods\n", closing, grace);
	KUNIT_EXPECT_LT(test, closing, grace / 2);
}

/* A waiter saw to it that the callback moves on, and has left */
static void neutral_close_while_the_callback_moves_on(struct kunit *test)
{
	int i;

	for (i = 0; i < 8; i++) {
		struct st_buf *buf = st_buf_resv(test, i & 1);
		struct st_fence *a = st_add(test, buf, DMA_RESV_USAGE_WRITE);
		struct st_fence *b = st_add(test, buf, DMA_RESV_USAGE_WRITE);
		struct st_waiter *w = st_wait(test, buf, ST_INOUT);

		if (i & 2)
			st_signal_irq(b);
		else
			st_signal(b);
		st_stop(w);
		if (i & 4)
			st_signal(a);
		/* Nobody has waited for the irq_work here, this has to */
		KUNIT_EXPECT_TRUE(test, st_close(buf));
		KUNIT_EXPECT_EQ(test, buf->callbacks, 0U);
		KUNIT_EXPECT_EQ(test, st_refs(a), 1U);
		KUNIT_EXPECT_EQ(test, st_refs(b), 1U);
		st_cleanup(test);
	}
}

/*
 * no_alloc: nothing is allocated. Counted by a probe on the tracepoints of the
 * allocators, and proven to see something.
 */

#if defined(CONFIG_TRACEPOINTS) && !defined(CONFIG_CFI) && !defined(CONFIG_CFI_CLANG)
static struct task_struct *st_allocs_task;
static unsigned int st_allocs;

/* Whatever the tracepoint has to say: that differs, and does not matter */
static void st_alloc_probe(void *data)
{
	/* The irq_work may well run on top of another task */
	if (current == st_allocs_task || in_hardirq())
		st_allocs++;
}

static void st_alloc_tracepoint(struct tracepoint *tp, void *priv)
{
	static const char * const names[] = {
		"kmalloc", "kmalloc_node", "kmem_cache_alloc",
		"kmem_cache_alloc_node", "mm_page_alloc",
	};
	bool add = priv;
	int i;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcmp(tp->name, names[i]))
			continue;
		if (add)
			WARN_ON(tracepoint_probe_register(tp, st_alloc_probe, NULL));
		else
			tracepoint_probe_unregister(tp, st_alloc_probe, NULL);
	}
}

static void st_alloc_round(struct st_buf *buf, struct st_waiter *w,
			   struct st_fence **f)
{
	st_look(w);
	st_poll(buf, ST_INOUT);
	/* The callback moves on, in an irq_work, and then wakes */
	st_signal(f[1]);
	st_settle(buf);
	st_look(w);
	st_signal(f[0]);
	st_settle(buf);
	st_look(w);
	st_poll(buf, ST_INOUT);
}

static void no_alloc_in_poll_callback_and_irq_work(struct kunit *test)
{
	struct {
		struct st_buf *buf;
		struct st_waiter *w;
		struct st_fence *f[2];
	} round[8];
	unsigned int least = UINT_MAX, seen, i;
	void *p;

	st_needs_interrupt(test);
	/* No test may end while its probes are there. */
	for (i = 0; i < ARRAY_SIZE(round); i++) {
		round[i].buf = st_buf(test);
		round[i].w = st_waiter(test, round[i].buf, ST_INOUT);
		round[i].f[0] = st_add(test, round[i].buf, DMA_RESV_USAGE_WRITE);
		round[i].f[1] = st_add(test, round[i].buf, DMA_RESV_USAGE_KERNEL);
	}

	st_allocs = 0;
	st_allocs_task = current;
	for_each_kernel_tracepoint(st_alloc_tracepoint, (void *)1UL);
	p = kmalloc(64, GFP_KERNEL);
	seen = st_allocs;
	kfree(p);

	/*
	 * Other interrupts may allocate something now and then. What poll does
	 * it does every time. A new wait queue entry each is what counts.
	 */
	for (i = 0; i < ARRAY_SIZE(round); i++) {
		st_allocs = 0;
		st_alloc_round(round[i].buf, round[i].w, round[i].f);
		least = min(least, st_allocs);
	}

	for_each_kernel_tracepoint(st_alloc_tracepoint, NULL);
	tracepoint_synchronize_unregister();
	st_allocs_task = NULL;

	for (i = 0; i < ARRAY_SIZE(round); i++)
		KUNIT_EXPECT_EQ(test, atomic_read(&round[i].w->wakes), 1);
	if (!seen)
		kunit_skip(test, "the tracepoints of kmalloc() are silent");
	KUNIT_EXPECT_EQ(test, least, 0U);
}
#else
static void no_alloc_in_poll_callback_and_irq_work(struct kunit *test)
{
	kunit_skip(test, "needs CONFIG_TRACEPOINTS without CFI");
}
#endif

/*
 * signaling: whatever is polled has signaling enabled.
 */

static void signaling_is_enabled_by_a_single_look(struct kunit *test)
{
	const struct st_usage *u = test->param_value;
	struct st_buf *buf = st_buf(test);
	struct st_fence *f = st_add(test, buf, u->usage);
	unsigned int enabled = u->busy ? 1 : 0;
	int i;

	KUNIT_EXPECT_EQ(test, f->enabled, 0U);
	for (i = 0; i < 3; i++) {
		st_poll(buf, u->busy & ST_OUT);
		KUNIT_EXPECT_EQ(test, f->enabled, enabled);
	}
	st_poll(buf, ST_INOUT);
	KUNIT_EXPECT_EQ(test, f->enabled, enabled);
}

static void signaling_of_any_kind(struct kunit *test)
{
	static const enum st_enable enable[] = {
		ST_ENABLE_NONE, ST_ENABLE_TRUE, ST_ENABLE_SLOW,
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(enable); i++) {
		struct st_buf *buf = st_buf(test);
		struct st_fence *f = st_fence(test, enable[i]);
		struct st_waiter *w;

		st_attach(test, buf, f, DMA_RESV_USAGE_WRITE);
		w = st_wait(test, buf, ST_INOUT);
		st_signal(f);
		KUNIT_EXPECT_EQ(test, st_wakes(w), 1);
		KUNIT_EXPECT_EQ(test, st_look(w), ST_INOUT);
		st_cleanup(test);
	}
}

/* One after the other, as far as it takes for all of them to signal */
static void signaling_comes_to_every_fence_while_somebody_waits(struct kunit *test)
{
	struct st_buf *buf = st_buf(test);
	struct st_env *env = test->priv;
	struct st_waiter *w;
	struct st_fence *f;
	int i;

	st_needs_interrupt(test);
	for (i = 0; i < 8; i++)
		st_add(test, buf, DMA_RESV_USAGE_WRITE);
	w = st_wait(test, buf, ST_IN);

	/* These signal only after they have been asked to */
	for (i = 0; i < 8; i++) {
		list_for_each_entry(f, &env->fences, node) {
			if (f->enabled && !st_is_signaled(f)) {
				st_signal(f);
				break;
			}
		}
		KUNIT_EXPECT_EQ(test, st_wakes(w), i == 7);
	}
}

/*
 * shared: any number of waiters share one callback per direction.
 */

static void shared_by_all_waiters_is_one_callback_per_direction(struct kunit *test)
{
	const struct st_pattern *p = test->param_value;
	struct st_buf *buf = st_buf(test);
	struct st_env *env = test->priv;
	struct st_fence *f[ST_MAX_FENCES];
	unsigned int i;

	st_needs_interrupt(test);
	for (i = 0; i < p->n; i++)
		f[i] = st_add(test, buf, DMA_RESV_USAGE_READ);
	for (i = 0; i < 16; i++) {
		st_wait(test, buf, ST_OUT);
		st_poll(buf, ST_OUT);
		KUNIT_EXPECT_EQ(test, st_callbacks(env), 1U);
	}

	st_shuffle(env, f, p->n, p->order);
	for (i = 0; i < p->n; i++) {
		st_signal(f[i]);
		st_settle(buf);
		KUNIT_EXPECT_EQ(test, st_callbacks(env), i < p->n - 1 ? 1U : 0U);
	}

	/* Fences that signal in order do so at the cost of one, others of two */
	if (p->order == ST_IN_ORDER)
		KUNIT_EXPECT_EQ(test, st_enabled(env), 1U);
	if (p->order == ST_REVERSE)
		KUNIT_EXPECT_EQ(test, st_enabled(env), 2U);
}

/* One that was armed on the wrong end of the list begins at the other next time */
static void shared_callbacks_remember_the_end_that_was_right(struct kunit *test)
{
	struct st_buf *buf = st_buf(test);
	struct st_env *env = test->priv;
	unsigned int before;
	int round, i;

	st_needs_interrupt(test);
	/* In reverse first, and then in the order of the list again */
	for (round = 0; round < 6; round++) {
		struct st_fence *f[8];

		before = st_enabled(env);
		for (i = 0; i < ARRAY_SIZE(f); i++)
			f[i] = st_add(test, buf, DMA_RESV_USAGE_WRITE);
		st_wait(test, buf, ST_IN);
		for (i = 0; i < ARRAY_SIZE(f); i++) {
			st_signal(f[round < 3 ? ARRAY_SIZE(f) - 1 - i : i]);
			st_settle(buf);
		}
		KUNIT_EXPECT_EQ(test, st_enabled(env) - before, round % 3 ? 1U : 2U);
	}
}

static void shared_callbacks_go_on_for_the_direction_that_is_waited_for(struct kunit *test)
{
	struct st_buf *buf = st_buf(test);
	struct st_fence *first = st_add(test, buf, DMA_RESV_USAGE_READ);
	struct st_fence *write = st_add(test, buf, DMA_RESV_USAGE_WRITE);
	struct st_fence *last = st_add(test, buf, DMA_RESV_USAGE_READ);
	struct st_waiter *out = st_wait(test, buf, ST_OUT);

	st_needs_interrupt(test);
	st_signal(last);
	st_settle(buf);
	KUNIT_EXPECT_EQ(test, st_fence_callbacks(first), 1U);
	KUNIT_EXPECT_EQ(test, st_fence_callbacks(write), 0U);
	st_signal(first);
	st_settle(buf);
	KUNIT_EXPECT_EQ(test, st_fence_callbacks(write), 1U);
	st_signal(write);
	KUNIT_EXPECT_EQ(test, st_wakes(out), 1);
}

/* Of those that wait exclusively one is woken, and everybody else is */
static void shared_callbacks_wake_every_exclusive_waiter(struct kunit *test)
{
	static const unsigned int events[] = { ST_IN, ST_OUT };
	struct st_waiter *w[4], *other;
	int i, j;

	for (i = 0; i < ARRAY_SIZE(events); i++) {
		struct st_buf *buf = st_buf(test);
		struct st_fence *f = st_add(test, buf, DMA_RESV_USAGE_WRITE);
		int woken = 0;

		for (j = 0; j < ARRAY_SIZE(w); j++) {
			w[j] = st_waiter(test, buf, events[i]);
			w[j]->exclusive = true;
			KUNIT_EXPECT_EQ(test, st_look(w[j]), 0U);
		}
		other = st_wait(test, buf, events[i]);

		st_signal(f);
		KUNIT_EXPECT_EQ(test, st_wakes(other), 1);
		for (j = 0; j < ARRAY_SIZE(w); j++)
			woken += st_wakes(w[j]);
		KUNIT_EXPECT_EQ(test, woken, (int)ARRAY_SIZE(w));
		st_cleanup(test);
	}
}

static void shared_callbacks_do_not_follow_what_nobody_waits_for(struct kunit *test)
{
	struct st_buf *buf = st_buf(test);
	struct st_fence *a = st_add(test, buf, DMA_RESV_USAGE_WRITE);
	struct st_fence *b = st_add(test, buf, DMA_RESV_USAGE_WRITE);
	struct st_waiter *w;
	int late;

	st_needs_interrupt(test);
	for (late = 0; late < 2; late++) {
		KUNIT_EXPECT_EQ(test, st_poll(buf, ST_INOUT), 0U);
		/* The last one first: mostly fences signal in order */
		KUNIT_EXPECT_EQ(test, st_fence_callbacks(b), 2U);
		w = st_wait(test, buf, ST_INOUT);
		if (!late)
			st_stop(w);
		st_signal(b);
		st_settle(buf);
		KUNIT_EXPECT_EQ(test, st_fence_callbacks(a), late ? 2U : 0U);
		KUNIT_EXPECT_EQ(test, a->enabled, late ? 1U : 0U);
		KUNIT_EXPECT_EQ(test, atomic_read(&w->wakes), 0);
		if (!late)
			b = st_add(test, buf, DMA_RESV_USAGE_WRITE);
	}
	st_signal(a);
	KUNIT_EXPECT_GE(test, st_wakes(w), 1);
}

/*
 * anycontext: it does not matter where fences signal.
 */

static void anycontext_hard_interrupt(struct kunit *test)
{
	const struct st_pattern *p = test->param_value;
	struct st_buf *buf = st_buf(test);
	struct st_fence *f[ST_MAX_FENCES];
	struct st_waiter *w;
	unsigned int i;

	st_needs_interrupt(test);
	for (i = 0; i < p->n; i++)
		f[i] = st_add(test, buf, DMA_RESV_USAGE_WRITE);
	w = st_wait(test, buf, ST_IN);

	st_shuffle(test->priv, f, p->n, p->order);
	for (i = 0; i < p->n; i++) {
		KUNIT_EXPECT_EQ(test, st_wakes(w), 0);
		st_signal_irq(f[i]);
		KUNIT_EXPECT_EQ(test, f[i]->hardirq, !IS_ENABLED(CONFIG_PREEMPT_RT));
	}
	KUNIT_EXPECT_EQ(test, st_wakes(w), 1);
	KUNIT_EXPECT_EQ(test, st_look(w), ST_IN);
}

/* Timers of the same CPU, some of which expire at once */
static void anycontext_timers(struct kunit *test)
{
	const struct st_pattern *p = test->param_value;
	struct st_buf *buf = st_buf(test);
	struct st_fence *f[ST_MAX_FENCES];
	struct st_waiter *w;
	unsigned int i;

	st_needs_interrupt(test);
	for (i = 0; i < p->n; i++)
		f[i] = st_add(test, buf, DMA_RESV_USAGE_WRITE);
	w = st_wait(test, buf, ST_IN);

	st_shuffle(test->priv, f, p->n, p->order);
	for (i = 0; i < p->n; i++)
		st_start_timer(f[i], 2000 + (i & ~1) * 20);
	KUNIT_EXPECT_NE(test, wait_for_completion_timeout(&w->woken, ST_TIMEOUT), 0UL);
	for (i = 0; i < p->n; i++) {
		hrtimer_cancel(&f[i]->timer);
		KUNIT_EXPECT_TRUE(test, st_is_signaled(f[i]));
		KUNIT_EXPECT_EQ(test, f[i]->hardirq, !IS_ENABLED(CONFIG_PREEMPT_RT));
	}
	KUNIT_EXPECT_EQ(test, st_wakes(w), 1);
	KUNIT_EXPECT_EQ(test, st_look(w), ST_IN);
}

/*
 * The driver has started the work, which is done before poll is: the interrupt
 * comes when the lock of the fence is dropped, with the callback just added.
 */
static void anycontext_an_interrupt_before_arming_returns(struct kunit *test)
{
	static const enum st_enable enable[] = { ST_ENABLE_IRQ, ST_ENABLE_TIMER };
	unsigned int events, i, n;

	st_needs_interrupt(test);
	for (i = 0; i < 16 * ARRAY_SIZE(enable); i++) {
		struct st_buf *buf = st_buf(test);
		struct st_waiter *w = st_waiter(test, buf, ST_INOUT);

		for (n = 0; n <= i % 4; n++)
			st_attach(test, buf, st_fence(test, enable[i / 16]),
				  DMA_RESV_USAGE_WRITE);
		events = st_look(w);
		if (!events)
			KUNIT_EXPECT_NE(test, wait_for_completion_timeout(&w->woken, ST_TIMEOUT),
					0UL);
		/* Whoever is told of IN alone may have been woken on the way, by each direction. */
		KUNIT_EXPECT_LE(test, st_wakes(w), events == ST_IN ? 2 : 1);
		KUNIT_EXPECT_EQ(test, st_look(w), ST_INOUT);
		st_cleanup(test);
	}
}

static long st_signal_here(void *f)
{
	st_signal(f);
	return 0;
}

static void anycontext_another_cpu(struct kunit *test)
{
	struct st_fence *f[8];
	struct st_waiter *w;
	struct st_buf *buf;
	int i, cpu;

	st_needs_interrupt(test);
	cpu = st_other_cpu(test);
	buf = st_buf(test);
	for (i = 0; i < ARRAY_SIZE(f); i++)
		f[i] = st_add(test, buf, DMA_RESV_USAGE_WRITE);
	w = st_wait(test, buf, ST_IN);

	st_shuffle(test->priv, f, ARRAY_SIZE(f), ST_RANDOM);
	for (i = 0; i < ARRAY_SIZE(f); i++) {
		KUNIT_EXPECT_EQ(test, st_wakes(w), 0);
		KUNIT_EXPECT_EQ(test, work_on_cpu(cpu, st_signal_here, f[i]), 0L);
	}
	KUNIT_EXPECT_EQ(test, st_wakes(w), 1);
	KUNIT_EXPECT_EQ(test, st_look(w), ST_IN);
}

/*
 * Nobody who polls waits for BOOKKEEP fences, and they are not to be asked either:
 * those of amdkfd and xe that preempt a queue sleep, or take locks that must not be
 * taken here, when they are enabled.
 */
static void st_leave_alone(struct kunit *test, bool last, enum st_order order, bool irq)
{
	static const enum dma_resv_usage usage[] = {
		DMA_RESV_USAGE_BOOKKEEP, DMA_RESV_USAGE_WRITE,
		DMA_RESV_USAGE_BOOKKEEP, DMA_RESV_USAGE_KERNEL,
		DMA_RESV_USAGE_BOOKKEEP, DMA_RESV_USAGE_READ,
		DMA_RESV_USAGE_BOOKKEEP,
	};
	struct st_fence *f[ARRAY_SIZE(usage)], *others[ARRAY_SIZE(usage)];
	struct st_buf *buf = st_buf(test);
	struct st_waiter *in, *out;
	unsigned int n = 0, i;

	for (i = 0; i < ARRAY_SIZE(usage); i++) {
		f[i] = st_add(test, buf, usage[i]);
		if (usage[i] != DMA_RESV_USAGE_BOOKKEEP)
			others[n++] = f[i];
	}
	/* Whoever adds a fence asks those that are there: from here on */
	for (i = 0; i < ARRAY_SIZE(usage); i++)
		WRITE_ONCE(f[i]->shunned, usage[i] == DMA_RESV_USAGE_BOOKKEEP);

	buf->dmabuf->cb_in.last = last;
	buf->dmabuf->cb_out.last = last;
	in = st_wait(test, buf, ST_IN);
	out = st_wait(test, buf, ST_OUT);
	st_shuffle(test->priv, others, n, order);
	for (i = 0; i < n; i++) {
		st_poll(buf, ST_INOUT);
		if (irq)
			st_signal_irq(others[i]);
		else
			st_signal(others[i]);
		st_settle(buf);
		st_poll(buf, ST_INOUT);
	}
	KUNIT_EXPECT_EQ(test, st_poll(buf, ST_INOUT), ST_INOUT);
	KUNIT_EXPECT_EQ(test, st_wakes(in), 1);
	KUNIT_EXPECT_EQ(test, st_wakes(out), 1);

	for (i = 0; i < ARRAY_SIZE(usage); i++) {
		WRITE_ONCE(f[i]->shunned, false);
		KUNIT_EXPECT_FALSE(test, READ_ONCE(f[i]->asked_shunned));
		if (usage[i] != DMA_RESV_USAGE_BOOKKEEP)
			continue;
		KUNIT_EXPECT_EQ(test, f[i]->enabled, 0U);
		KUNIT_EXPECT_EQ(test, st_fence_callbacks(f[i]), 0U);
		KUNIT_EXPECT_EQ(test, st_refs(f[i]), 2U);
	}
	st_cleanup(test);
}

static void anycontext_bookkeep_fences_are_left_alone(struct kunit *test)
{
	enum st_order order;

	st_needs_interrupt(test);
	for (order = ST_IN_ORDER; order <= ST_RANDOM; order++) {
		st_leave_alone(test, false, order, false);
		st_leave_alone(test, false, order, true);
		st_leave_alone(test, true, order, false);
		st_leave_alone(test, true, order, true);
	}
}

#define ST_TORN_SLOTS	256
#define ST_TORN_ROUNDS	100

/* Interrupts whoever is replacing one fence by another, and signals a third */
struct st_torn {
	struct hrtimer timer;
	struct task_struct *task;
	struct st_fence *slots[ST_TORN_SLOTS];
	struct st_fence *both[2];
	struct st_fence *f;
	struct st_waiter *w;
	bool writing;
	bool done;
	unsigned int hits;	/* came while it was writing */
	unsigned int late;	/* did not wake at once */
};

static enum hrtimer_restart st_torn_timer(struct hrtimer *timer)
{
	struct st_torn *t = container_of(timer, struct st_torn, timer);
	int wakes = atomic_read(&t->w->wakes);

	if (current != t->task) {
		hrtimer_forward_now(timer, ns_to_ktime(ST_CHAIN_US * NSEC_PER_USEC));
		return HRTIMER_RESTART;
	}

	t->hits += READ_ONCE(t->writing);
	st_signal(t->f);
	/* For both directions in one go, or for each */
	t->late += atomic_read(&t->w->wakes) == wakes;
	WRITE_ONCE(t->done, true);

	return HRTIMER_NORESTART;
}

/*
 * The look of a callback, in hard interrupt context, at a list that the very CPU
 * it runs on was about to change. To wait until that is done would be to wait for
 * ever, and there is no need to: the old fence has signaled, and so has the new one.
 */
static void anycontext_a_writer_that_was_interrupted(struct kunit *test)
{
	struct st_buf *buf = st_buf(test);
	struct dma_resv *resv = buf->dmabuf->resv;
	unsigned int round, cur = 0, replaced = 0, i;
	unsigned long end;
	struct st_torn *t;
	bool good;
	int ret;

	if (IS_ENABLED(CONFIG_PREEMPT_RT))
		kunit_skip(test, "no fence signals in an interrupt on PREEMPT_RT");

	t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, t);
	t->task = current;
	t->w = st_waiter(test, buf, ST_INOUT);
	hrtimer_setup(&t->timer, st_torn_timer, CLOCK_MONOTONIC, ST_TIMER_MODE);
	for (i = 0; i < ARRAY_SIZE(t->slots); i++)
		t->slots[i] = st_fence(test, ST_ENABLE_TRUE);
	for (i = 0; i < ARRAY_SIZE(t->both); i++) {
		t->both[i] = st_fence(test, ST_ENABLE_TRUE);
		st_signal(t->both[i]);
	}

	/* One of the two, both of which have signaled, is in all slots */
	dma_resv_lock(resv, NULL);
	ret = dma_resv_reserve_fences(resv, ARRAY_SIZE(t->slots));
	good = !ret;
	for (i = 0; good && i < ARRAY_SIZE(t->slots); i++)
		dma_resv_add_fence(resv, &t->slots[i]->base, DMA_RESV_USAGE_WRITE);
	for (i = 0; good && i < ARRAY_SIZE(t->slots); i++)
		dma_resv_replace_fences(resv, t->slots[i]->base.context,
					&t->both[0]->base, DMA_RESV_USAGE_WRITE);

	/* Where the timer is */
	migrate_disable();
	for (round = 0; good && round < ST_TORN_ROUNDS; round++) {
		t->done = false;
		t->f = st_fence(test, ST_ENABLE_TRUE);
		/* The callbacks are on a fence that is not in the list any more */
		dma_resv_add_fence(resv, &t->f->base, DMA_RESV_USAGE_WRITE);
		good = !st_look(t->w);
		dma_resv_replace_fences(resv, t->f->base.context, &t->both[cur]->base,
					DMA_RESV_USAGE_WRITE);

		hrtimer_start(&t->timer, ns_to_ktime((ST_CHAIN_US + round) * NSEC_PER_USEC),
			      ST_TIMER_MODE);
		for (end = jiffies + ST_TIMEOUT;
		     !READ_ONCE(t->done) && time_before(jiffies, end); cur = !cur) {
			WRITE_ONCE(t->writing, true);
			dma_resv_replace_fences(resv, t->both[cur]->base.context,
						&t->both[!cur]->base,
						DMA_RESV_USAGE_WRITE);
			WRITE_ONCE(t->writing, false);
			replaced++;
			cond_resched();
		}
		hrtimer_cancel(&t->timer);
		good = good && t->done && st_poll(buf, ST_INOUT) == ST_INOUT;
	}
	migrate_enable();
	dma_resv_unlock(resv);

	KUNIT_EXPECT_EQ(test, ret, 0);
	KUNIT_EXPECT_TRUE(test, good);
	KUNIT_EXPECT_EQ(test, t->late, 0U);
	KUNIT_EXPECT_GT(test, t->hits, ST_TORN_ROUNDS / 4U);
	kunit_info(test, "%u of %u interrupts came while fences were replaced, %u times\n",
		   t->hits, round, replaced);
}

struct st_enabler {
	struct work_struct work;
	struct st_fence *f;
};

static void st_enabler(struct work_struct *work)
{
	struct st_fence *f = container_of(work, struct st_enabler, work)->f;

	st_await_flag(&f->enabling);
	WRITE_ONCE(f->signaling, true);
	st_signal(f);
}

/* Another CPU waits for the lock under which the driver enables its fence */
static void anycontext_another_cpu_while_enabling(struct kunit *test)
{
	struct st_enabler e;
	int cpu, i;

	cpu = st_other_cpu(test);
	INIT_WORK_ONSTACK(&e.work, st_enabler);

	for (i = 0; i < 16; i++) {
		struct st_buf *buf = st_buf(test);
		struct st_fence *rest = st_add(test, buf, DMA_RESV_USAGE_READ);
		struct st_waiter *w = st_waiter(test, buf, i & 1 ? ST_IN : ST_INOUT);
		unsigned int ready;

		e.f = st_fence(test, ST_ENABLE_WAITS);
		st_attach(test, buf, e.f, DMA_RESV_USAGE_WRITE);
		schedule_work_on(cpu, &e.work);

		/* Pinned elsewhere, but we may have gone there meanwhile */
		ready = st_look(w);
		flush_work(&e.work);
		KUNIT_EXPECT_TRUE(test, e.f->enabling);
		KUNIT_EXPECT_TRUE(test, ready == 0 || ready == ST_IN);
		if (!ready)
			KUNIT_EXPECT_EQ(test, st_wakes(w), 1);
		KUNIT_EXPECT_EQ(test, st_look(w), ST_IN);
		st_signal(rest);
		KUNIT_EXPECT_EQ(test, st_poll(buf, ST_INOUT), ST_INOUT);
		st_cleanup(test);
	}
	destroy_work_on_stack(&e.work);
}

/*
 * All fences of a timeline share a lock, and signal in one go while it is held.
 * No driver may be asked for the others meanwhile, nor fences be enabled.
 */
static void anycontext_a_whole_timeline_under_one_lock(struct kunit *test)
{
	const struct st_pattern *p = test->param_value;
	struct st_buf *buf = st_buf(test);
	struct st_fence *f[ST_MAX_FENCES] = {};
	struct st_waiter *w;
	bool locked = false;
	unsigned long flags;
	spinlock_t *lock;	/* of the timeline */
	unsigned int i;

	st_needs_interrupt(test);
	lock = kunit_kzalloc(test, sizeof(*lock), GFP_KERNEL);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, lock);
	spin_lock_init(lock);

	/* The last one is left for later, so that there is more to look for */
	for (i = 0; i < p->n; i++) {
		f[i] = st_fence_locked(test, ST_ENABLE_TRUE, lock);
		f[i]->timeline_locked = &locked;
		st_attach(test, buf, f[i], DMA_RESV_USAGE_WRITE);
	}
	w = st_wait(test, buf, ST_INOUT);

	st_shuffle(test->priv, f, p->n, p->order);
	spin_lock_irqsave(lock, flags);
	WRITE_ONCE(locked, true);
	for (i = 0; i < p->n - 1; i++)
		dma_fence_signal_locked(&f[i]->base);
	WRITE_ONCE(locked, false);
	spin_unlock_irqrestore(lock, flags);
	KUNIT_EXPECT_EQ(test, st_wakes(w), 0);

	spin_lock_irqsave(lock, flags);
	WRITE_ONCE(locked, true);
	dma_fence_signal_locked(&f[i]->base);
	WRITE_ONCE(locked, false);
	spin_unlock_irqrestore(lock, flags);
	KUNIT_EXPECT_GE(test, st_wakes(w), 1);
	KUNIT_EXPECT_EQ(test, st_look(w), ST_INOUT);

	for (i = 0; i < p->n; i++)
		KUNIT_EXPECT_FALSE(test, f[i]->asked_locked);

	/* The lock goes with the test, the fences may stay for a while */
	st_cleanup(test);
}

static void st_count_cb(struct dma_fence *fence, struct dma_fence_cb *cb)
{
}

/* The same fences stand in a fence array and in a fence chain, which are waited for */
static void anycontext_fences_of_arrays_and_chains(struct kunit *test)
{
	struct dma_fence_cb cb[2];
	struct st_buf *buf = st_buf(test);
	struct dma_fence_chain *chain;
	struct dma_fence *array;
	struct st_fence *f[4];
	struct st_waiter *w;
	int i;

	for (i = 0; i < ARRAY_SIZE(f); i++)
		f[i] = st_add(test, buf, DMA_RESV_USAGE_WRITE);
	KUNIT_ASSERT_EQ(test, dma_resv_get_singleton(buf->dmabuf->resv,
						     DMA_RESV_USAGE_WRITE,
						     &array), 0);
	chain = dma_fence_chain_alloc();
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, chain);
	dma_fence_chain_init(chain, dma_fence_get(&f[0]->base),
			     dma_fence_get(&f[3]->base), 1);

	w = st_wait(test, buf, ST_INOUT);
	KUNIT_EXPECT_EQ(test, dma_fence_add_callback(array, &cb[0], st_count_cb), 0);
	KUNIT_EXPECT_EQ(test, dma_fence_add_callback(&chain->base, &cb[1],
						     st_count_cb), 0);

	for (i = 0; i < ARRAY_SIZE(f); i++) {
		KUNIT_EXPECT_EQ(test, st_wakes(w), 0);
		st_signal(f[i]);
	}
	KUNIT_EXPECT_EQ(test, st_wakes(w), 1);
	KUNIT_EXPECT_EQ(test, st_look(w), ST_INOUT);

	/* Both signal from an irq_work and hold on to the fences until then */
	KUNIT_EXPECT_GT(test, dma_fence_wait_timeout(array, false, ST_TIMEOUT), 0L);
	KUNIT_EXPECT_GT(test, dma_fence_wait_timeout(&chain->base, false,
						     ST_TIMEOUT), 0L);
	dma_fence_put(array);
	dma_fence_put(&chain->base);
	/* Where it may be written nobody has looked at the callback for reading yet */
	KUNIT_EXPECT_EQ(test, st_poll(buf, ST_IN), ST_IN);
	for (i = 0; i < ARRAY_SIZE(f); i++)
		KUNIT_EXPECT_TRUE(test, st_await_refs(f[i], 2));
}

/* A thread that signals fences on another CPU, if there is one */

struct st_signaler {
	struct work_struct work;
	struct st_fence **f;
	unsigned int n;
	unsigned int delay;
};

static void st_signaler(struct work_struct *work)
{
	struct st_signaler *s = container_of(work, struct st_signaler, work);
	unsigned int i;

	udelay(s->delay);
	for (i = 0; i < s->n; i++)
		st_signal(s->f[i]);
}

/* Fences signal here, there, and in an interrupt while the buffer is closed */
static void anycontext_signal_while_closing(struct kunit *test)
{
	unsigned long end = jiffies + HZ;
	struct st_env *env = test->priv;
	struct st_signaler s;
	unsigned int rounds;
	int cpu, i;

	cpu = cpumask_any_but(cpu_online_mask, raw_smp_processor_id());
	if (cpu >= nr_cpu_ids)
		cpu = raw_smp_processor_id();
	INIT_WORK_ONSTACK(&s.work, st_signaler);

	for (rounds = 0; rounds < 20 || time_before(jiffies, end); rounds++) {
		struct st_buf *buf = st_buf_resv(test, rounds & 1);
		struct st_fence *f[4];
		struct st_waiter *w;
		bool released;

		for (i = 0; i < ARRAY_SIZE(f); i++)
			f[i] = st_add(test, buf, i & 1 ? DMA_RESV_USAGE_WRITE :
							 DMA_RESV_USAGE_READ);
		st_shuffle(env, f, ARRAY_SIZE(f), ST_RANDOM);
		w = st_wait(test, buf, ST_INOUT);

		s.f = f;
		s.n = 3;
		s.delay = st_rnd(env, 50);
		schedule_work_on(cpu, &s.work);
		irq_work_queue(&f[3]->work);
		udelay(st_rnd(env, 100));
		st_stop(w);
		kunit_kfree(test, w);
		released = st_close(buf);
		flush_work(&s.work);
		if (!released) {
			KUNIT_FAIL(test, "round %u: not released\n", rounds);
			break;
		}
		st_cleanup(test);
	}
	destroy_work_on_stack(&s.work);
	kunit_info(test, "%u rounds\n", rounds);
}

/* Sleeps until it is woken, and does so again */
static int st_sleep_thread(void *data)
{
	struct st_thread *t = data;

	while (!kthread_should_stop() && !READ_ONCE(t->lost)) {
		struct st_waiter w;

		st_waiter_init(&w, t->buf, t->events);
		while (!st_look(&w)) {
			if (!wait_for_completion_timeout(&w.woken, ST_TIMEOUT)) {
				WRITE_ONCE(t->lost, true);
				break;
			}
		}
		st_stop(&w);
		WRITE_ONCE(t->rounds, t->rounds + 1);
		/* The others need the CPU as well */
		usleep_range(10, 100);
	}

	/* kthread_stop() wants to find us */
	while (!kthread_should_stop())
		schedule_timeout_uninterruptible(1);

	return 0;
}

/* With all fences signaled, whoever does not get through sleeps for good */
static bool st_thread_alive(struct st_thread *t)
{
	unsigned int rounds = READ_ONCE(t->rounds);
	unsigned long end = jiffies + ST_TIMEOUT / 2;

	while (READ_ONCE(t->rounds) == rounds) {
		if (time_after(jiffies, end))
			return false;
		usleep_range(20, 50);
	}

	return true;
}

static void anycontext_threads_add_signal_and_wait(struct kunit *test)
{
	static const unsigned int events[] = { ST_IN, ST_OUT, ST_INOUT, ST_OUT };
	struct st_env *env = test->priv;
	unsigned long end = jiffies + HZ;
	struct st_buf *buf = st_buf(test);
	struct st_thread *t;
	struct st_signaler s;
	unsigned int rounds;
	bool alive = true;
	int cpu, i;

	t = kunit_kzalloc(test, sizeof(*t) * ARRAY_SIZE(events), GFP_KERNEL);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, t);
	for (i = 0; i < ARRAY_SIZE(events); i++) {
		t[i].buf = buf;
		t[i].events = events[i];
		t[i].task = kthread_run(st_sleep_thread, &t[i], "st-poll/%d", i);
		alive &= !IS_ERR(t[i].task);
	}

	cpu = cpumask_any_but(cpu_online_mask, raw_smp_processor_id());
	if (cpu >= nr_cpu_ids)
		cpu = raw_smp_processor_id();
	INIT_WORK_ONSTACK(&s.work, st_signaler);

	for (rounds = 0; alive && (rounds < 20 || time_before(jiffies, end)); rounds++) {
		struct st_fence *f[8], *next, *tmp;
		bool replaced = false;

		for (i = 0; i < ARRAY_SIZE(f); i++) {
			f[i] = st_fence(test, i == 5 ? ST_ENABLE_NONE : ST_ENABLE_TRUE);
			st_attach(test, buf, f[i], st_rnd(env, DMA_RESV_USAGE_BOOKKEEP));
		}
		st_shuffle(env, f, ARRAY_SIZE(f), ST_RANDOM);

		/* Four signal elsewhere, two in an interrupt, two here */
		s.f = f;
		s.n = 4;
		s.delay = st_rnd(env, 50);
		schedule_work_on(cpu, &s.work);
		irq_work_queue(&f[4]->work);
		udelay(st_rnd(env, 50));
		st_signal(f[5]);
		if (rounds & 1) {
			/* The same fence under a weaker usage: OUT still waits */
			st_replace(buf, f[6], f[7], DMA_RESV_USAGE_READ);
			replaced = true;
		}
		st_poll(buf, ST_INOUT);
		irq_work_queue(&f[6]->work);
		st_signal(f[7]);
		flush_work(&s.work);
		st_irq_work_sync(&f[4]->work);
		st_irq_work_sync(&f[6]->work);

		for (i = 0; i < ARRAY_SIZE(events); i++) {
			if (st_thread_alive(&t[i]))
				continue;
			alive = false;
			KUNIT_FAIL(test, "round %u%s: waiter %d for %x sleeps for nothing\n",
				   rounds, replaced ? " (replaced)" : "", i, events[i]);
		}

		/* The buffer drops its references only as new fences come */
		st_settle(buf);
		list_for_each_entry_safe(next, tmp, &env->fences, node) {
			list_del(&next->node);
			dma_fence_put(&next->base);
		}
	}

	for (i = 0; i < ARRAY_SIZE(events); i++) {
		if (IS_ERR(t[i].task))
			continue;
		kthread_stop(t[i].task);
		KUNIT_EXPECT_FALSE(test, t[i].lost);
	}
	destroy_work_on_stack(&s.work);
	KUNIT_EXPECT_TRUE(test, alive);
	kunit_info(test, "%u rounds\n", rounds);
}

/* As anycontext_everything_at_once(), but all look again in place of an irq_work. */
static void anycontext_everything_at_once_without_an_interrupt(struct kunit *test)
{
	if (!st_interrupt(false))
		kunit_skip(test, "an irq_work has an interrupt here");
	anycontext_everything_at_once(test);
}

/*
 * names: EPOLLRDNORM goes with EPOLLIN, EPOLLWRNORM with EPOLLOUT.
 */

static void names_rdnorm_is_in_and_wrnorm_is_out(struct kunit *test)
{
	struct st_buf *buf = st_buf(test);
	struct st_fence *write = st_add(test, buf, DMA_RESV_USAGE_WRITE);
	struct st_fence *read = st_add(test, buf, DMA_RESV_USAGE_READ);
	struct st_waiter *in = st_wait(test, buf, ST_RDNORM);
	struct st_waiter *out = st_wait(test, buf, ST_WRNORM);
	unsigned int said;

	st_signal(write);
	KUNIT_EXPECT_EQ(test, st_wakes(in), 1);
	KUNIT_EXPECT_EQ(test, st_wakes(out), 0);
	KUNIT_EXPECT_EQ(test, st_look(in), ST_RDNORM);
	KUNIT_EXPECT_EQ(test, st_look(out), 0U);

	st_signal(read);
	KUNIT_EXPECT_EQ(test, st_wakes(out), 1);
	KUNIT_EXPECT_EQ(test, st_look(out), ST_WRNORM);

	/* And of a direction that is not asked for nothing is said */
	KUNIT_EXPECT_EQ(test, st_poll_said(buf, ST_IN | ST_RDNORM, &said),
			ST_IN | ST_RDNORM);
	KUNIT_EXPECT_EQ(test, said & (ST_OUT | ST_WRNORM), 0U);
	KUNIT_EXPECT_EQ(test, st_poll_said(buf, ST_OUT | ST_WRNORM, &said),
			ST_OUT | ST_WRNORM);
	KUNIT_EXPECT_EQ(test, said & (ST_IN | ST_RDNORM), 0U);
	KUNIT_EXPECT_EQ(test, st_poll_said(buf, ST_RDNORM | ST_WRNORM, &said),
			ST_RDNORM | ST_WRNORM);
	KUNIT_EXPECT_EQ(test, said & ~(ST_INOUT | ST_RDNORM | ST_WRNORM), 0U);
}

static void names_a_fence_with_an_error_has_signaled(struct kunit *test)
{
	struct st_buf *buf = st_buf(test);
	struct st_fence *f = st_add(test, buf, DMA_RESV_USAGE_WRITE);
	struct st_waiter *w = st_wait(test, buf, ST_INOUT);

	dma_fence_set_error(&f->base, -EIO);
	KUNIT_EXPECT_EQ(test, st_poll(buf, ST_INOUT), 0U);
	st_signal(f);
	KUNIT_EXPECT_EQ(test, st_wakes(w), 1);
	KUNIT_EXPECT_EQ(test, st_look(w), ST_INOUT);
}

static struct kunit_case st_cases[] = {
	KUNIT_CASE(exact_a_buffer_without_fences_is_ready),
	KUNIT_CASE(exact_poll_without_a_table),
	KUNIT_CASE_PARAM(exact_each_usage_holds_up_its_directions,
			 st_usage_gen_params),
	KUNIT_CASE(exact_a_direction_does_not_depend_on_what_else_is_polled),
	KUNIT_CASE(exact_fences_which_complete_when_enabled_do_not_count),
	KUNIT_CASE(exact_a_fence_that_was_replaced_does_not_count),
	KUNIT_CASE(exact_a_fence_that_was_removed_does_not_count),
	KUNIT_CASE(exact_fences_which_signal_when_enabled),
	KUNIT_CASE(exact_an_array_or_a_chain_is_one_fence),
	KUNIT_CASE(exact_poll_agrees_with_dma_resv_at_every_step),
	KUNIT_CASE_PARAM(exact_a_buffer_that_is_never_idle_is_never_ready,
			 st_never_idle_gen_params),
	KUNIT_CASE(exact_a_buffer_that_is_never_idle_wakes_nobody),
	KUNIT_CASE(exact_a_list_that_is_replaced_is_looked_at_again),
	KUNIT_CASE_PARAM(one_wakeup_for_any_number_of_fences,
			 st_pattern_gen_params),
	KUNIT_CASE_PARAM(one_wakeup_when_fences_signal_in_a_burst,
			 st_pattern_gen_params),
	KUNIT_CASE(one_wakeup_names_both_directions),
	KUNIT_CASE(one_wakeup_not_by_a_direction_that_owes_nothing),
	KUNIT_CASE(no_lost_wakeup_after_a_look_without_a_queue_function),
	KUNIT_CASE(no_lost_wakeup_for_the_direction_that_became_ready),
	KUNIT_CASE(no_lost_wakeup_for_exclusive_waiters_for_another_direction),
	KUNIT_CASE(no_lost_wakeup_where_an_irq_work_has_no_interrupt),
	KUNIT_CASE(no_lost_wakeup_for_any_waiter),
	KUNIT_CASE(one_wakeup_not_before_a_fence_that_was_added_meanwhile),
	KUNIT_CASE(one_wakeup_after_a_fence_added_between_signal_and_wake),
	KUNIT_CASE(no_lost_wakeup_when_a_replaced_fence_signals_at_the_latest),
	KUNIT_CASE(no_lost_wakeup_for_a_fence_that_comes_back),
	KUNIT_CASE(no_lost_wakeup_for_whoever_arms_while_the_other_direction_ends),
	KUNIT_CASE(quiet_polls_of_an_idle_buffer_wake_nobody),
	KUNIT_CASE(quiet_polls_of_a_busy_buffer_wake_nobody),
	KUNIT_CASE(quiet_signals_that_nobody_waits_for),
	KUNIT_CASE(quiet_signals_that_only_others_wait_for),
	KUNIT_CASE(quiet_polls_that_find_a_fence_done),
	KUNIT_CASE(nonblocking_while_somebody_holds_the_reservation_lock),
	KUNIT_CASE(nonblocking_with_preemption_disabled),
	KUNIT_CASE(neutral_pending_callbacks_hold_their_fence_only),
	KUNIT_CASE(neutral_a_fence_lives_as_long_as_its_callback),
	KUNIT_CASE(neutral_the_last_close_frees_at_once),
	KUNIT_CASE(neutral_a_close_waits_for_no_grace_period),
	KUNIT_CASE(neutral_close_while_the_callback_moves_on),
	KUNIT_CASE(no_alloc_in_poll_callback_and_irq_work),
	KUNIT_CASE_PARAM(signaling_is_enabled_by_a_single_look,
			 st_usage_gen_params),
	KUNIT_CASE(signaling_of_any_kind),
	KUNIT_CASE(signaling_comes_to_every_fence_while_somebody_waits),
	KUNIT_CASE_PARAM(shared_by_all_waiters_is_one_callback_per_direction,
			 st_pattern_gen_params),
	KUNIT_CASE(shared_callbacks_remember_the_end_that_was_right),
	KUNIT_CASE(shared_callbacks_go_on_for_the_direction_that_is_waited_for),
	KUNIT_CASE(shared_callbacks_wake_every_exclusive_waiter),
	KUNIT_CASE(shared_callbacks_do_not_follow_what_nobody_waits_for),
	KUNIT_CASE_PARAM(anycontext_hard_interrupt, st_pattern_gen_params),
	KUNIT_CASE_PARAM(anycontext_timers, st_pattern_gen_params),
	KUNIT_CASE(anycontext_an_interrupt_before_arming_returns),
	KUNIT_CASE(anycontext_bookkeep_fences_are_left_alone),
	KUNIT_CASE(anycontext_a_writer_that_was_interrupted),
	KUNIT_CASE(anycontext_another_cpu),
	KUNIT_CASE(anycontext_another_cpu_while_enabling),
	KUNIT_CASE_PARAM(anycontext_a_whole_timeline_under_one_lock,
			 st_pattern_gen_params),
	KUNIT_CASE(anycontext_fences_of_arrays_and_chains),
	KUNIT_CASE(anycontext_signal_while_closing),
	KUNIT_CASE(anycontext_threads_add_signal_and_wait),
	KUNIT_CASE(anycontext_everything_at_once),
	KUNIT_CASE(anycontext_everything_at_once_without_an_interrupt),
	KUNIT_CASE(names_rdnorm_is_in_and_wrnorm_is_out),
	KUNIT_CASE(names_a_fence_with_an_error_has_signaled),
	{}
};

static struct kunit_suite st_suite = {
	.name = "dma-buf-poll-proof",
	.init = st_env_init,
	.exit = st_env_exit,
	.test_cases = st_cases,
};

kunit_test_suite(st_suite);

MODULE_DESCRIPTION("KUnit tests for poll() on dma-buf files");
MODULE_LICENSE("GPL");
/* What MODULE_IMPORT_NS() takes has changed, what it says has not. */
MODULE_INFO(import_ns, "DMA_BUF");
