/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the KUnit tests for poll() on dma-buf files are made with: fences, buffers and
 * waiters of their own, in st-dma-buf-poll-proof-util.c. Whatever a test makes it leaves
 * to st_cleanup(), which expects of every buffer that the last close frees it, and of
 * every fence that no callback and no reference is left on it.
 */
#ifndef _ST_DMA_BUF_POLL_PROOF_H
#define _ST_DMA_BUF_POLL_PROOF_H

#include <linux/atomic.h>
#include <linux/completion.h>
#include <linux/dma-buf.h>
#include <linux/dma-fence.h>
#include <linux/dma-resv.h>
#include <linux/hrtimer.h>
#include <linux/irq_work.h>
#include <linux/jiffies.h>
#include <linux/list.h>
#include <linux/poll.h>
#include <linux/prandom.h>
#include <linux/spinlock.h>
#include <linux/wait.h>

#include <kunit/test.h>

#define ST_IN		((__force unsigned int)EPOLLIN)
#define ST_OUT		((__force unsigned int)EPOLLOUT)
#define ST_INOUT	(ST_IN | ST_OUT)
#define ST_RDNORM	((__force unsigned int)EPOLLRDNORM)
#define ST_WRNORM	((__force unsigned int)EPOLLWRNORM)

#define ST_TIMEOUT	(10 * HZ)
#define ST_SEED		20240517

#define ST_MAX_FENCES	64
#define ST_SLOW_US	200

/* In hard interrupt context, except on PREEMPT_RT, where no fence does that */
#define ST_TIMER_MODE	HRTIMER_MODE_REL_PINNED

enum st_enable {
	ST_ENABLE_NONE,		/* no enable_signaling at all */
	ST_ENABLE_TRUE,
	ST_ENABLE_FALSE,	/* has completed by the time it is asked */
	ST_ENABLE_SLOW,
	ST_ENABLE_SIGNALS,	/* has completed, and says so by itself */
	ST_ENABLE_SIGNALS_OTHER, /* finds that another fence has completed */
	ST_ENABLE_CALLS,	/* st_fence.on_enable, and has completed by then */
	ST_ENABLE_IRQ,		/* completes as soon as interrupts are enabled */
	ST_ENABLE_TIMER,	/* as above, in the interrupt of a timer */
	ST_ENABLE_WAITS,	/* until somebody is about to signal it */
};

/*
 * Flags and counts that one thread or interrupt writes while another reads
 * them, here and below, are accessed with READ_ONCE() and WRITE_ONCE(): they
 * stand alone, no other data is handed over by them.
 */
struct st_fence {
	struct dma_fence base;	/* first, for dma_fence_free() */
	spinlock_t own_lock;
	spinlock_t *lock;	/* own_lock, or one that is shared */
	struct list_head node;
	struct irq_work work;
	struct hrtimer timer;
	enum st_enable enable;
	unsigned int enabled;	/* calls of enable_signaling */
	bool hardirq;		/* signaled in hard interrupt context */
	bool *timeline_locked;	/* held by whoever signals */
	bool asked_locked;	/* and a driver was asked meanwhile */
	bool shunned;		/* nobody is to ask the driver */
	bool asked_shunned;	/* and somebody did */
	bool enabling;		/* ST_ENABLE_WAITS is waiting */
	bool signaling;		/* and this is what it waits for */
	struct st_fence *other;	/* of ST_ENABLE_SIGNALS_OTHER */
	void (*on_enable)(struct st_fence *f);	/* of ST_ENABLE_CALLS */
	void *arg;		/* of on_enable */
};

struct st_env {
	struct list_head fences;
	struct list_head waiters;
	struct list_head bufs;
	struct rnd_state rnd;
	void __user *user;	/* for the arguments of ioctls */
	unsigned int asked[4];	/* how often dma_resv was, in which way */
};

/* Inline, so that static analysis knows that it is below. */
static inline u32 st_rnd(struct st_env *env, u32 below)
{
	return prandom_u32_state(&env->rnd) % below;
}

/* Without a grace period where nothing is to be waited for, see dma_buf_poll_release() */
static inline void st_irq_work_sync(struct irq_work *work)
{
	if (irq_work_is_busy(work))
		irq_work_sync(work);
}

const char *st_fence_name(struct dma_fence *fence);
struct st_fence *st_fence_locked(struct kunit *test, enum st_enable enable, spinlock_t *lock);
struct st_fence *st_fence(struct kunit *test, enum st_enable enable);
void st_signal(struct st_fence *f);
void st_signal_irq(struct st_fence *f);
void st_signal_nested(struct st_fence *f);
void st_start_timer(struct st_fence *f, unsigned int us);
void st_await_flag(const bool *flag);
bool st_is_signaled(struct st_fence *f);
unsigned int st_refs(struct st_fence *f);
bool st_await_refs(struct st_fence *f, unsigned int refs);
unsigned int st_fence_callbacks(struct st_fence *f);
unsigned int st_callbacks(struct st_env *env);
unsigned int st_enabled(struct st_env *env);

/*
 * Buffers, with a reservation object of the dma-buf's, or of the exporter's,
 * which is gone when ops->release returns.
 */
struct st_buf {
	struct dma_buf *dmabuf;	/* NULL once closed */
	struct st_env *env;
	struct list_head node;
	struct dma_resv resv;
	bool own_resv;
	unsigned int callbacks;	/* left when ops->release was called */
	struct completion released;
};

struct st_buf *st_buf_new(struct st_env *env, bool own_resv);
struct st_buf *st_buf_resv(struct kunit *test, bool own_resv);
struct st_buf *st_buf(struct kunit *test);
long st_file_count(struct st_buf *buf);
bool st_close(struct st_buf *buf);
void st_attach(struct kunit *test, struct st_buf *buf, struct st_fence *f,
	       enum dma_resv_usage usage);
struct st_fence *st_add(struct kunit *test, struct st_buf *buf,
			enum dma_resv_usage usage);
void st_replace(struct st_buf *buf, struct st_fence *old, struct st_fence *new,
		enum dma_resv_usage usage);
unsigned int st_poll_said(struct st_buf *buf, unsigned int events, unsigned int *said);
unsigned int st_poll(struct st_buf *buf, unsigned int events);

/*
 * A waiter, as poll() and epoll are: queued by its first look, and looking again
 * without a queue function while its wait entry stays in place.
 */
struct st_waiter {
	poll_table pt;
	struct wait_queue_entry wait;
	wait_queue_head_t *head;
	struct st_buf *buf;
	struct list_head node;
	unsigned int events;
	bool exclusive;
	unsigned int queued;	/* how many wait queues poll() named */
	atomic_t wakes;
	atomic_t keys;		/* all events that wake-ups named */
	struct completion woken;
};

void st_waiter_init(struct st_waiter *w, struct st_buf *buf, unsigned int events);
struct st_waiter *st_waiter(struct kunit *test, struct st_buf *buf,
			    unsigned int events);
struct st_waiter *st_wait(struct kunit *test, struct st_buf *buf, unsigned int events);
unsigned int st_look(struct st_waiter *w);
void st_stop(struct st_waiter *w);
void st_settle(struct st_buf *buf);
int st_wakes(struct st_waiter *w);
void st_told_both(struct kunit *test, struct st_waiter *w);

enum st_order { ST_IN_ORDER, ST_REVERSE, ST_RANDOM };

extern bool st_irq_work_interrupt;	/* st-dma-buf-poll-interrupt.h */
bool st_interrupt(bool has);
void st_needs_interrupt(struct kunit *test);
int st_env_init(struct kunit *test);
void st_env_exit(struct kunit *test);
void st_cleanup(struct kunit *test);
int st_other_cpu(struct kunit *test);
void st_shuffle(struct st_env *env, struct st_fence **f, unsigned int n,
		enum st_order order);

/* The race of all there is, in a file of its own */
void anycontext_everything_at_once(struct kunit *test);

#endif /* _ST_DMA_BUF_POLL_PROOF_H */
