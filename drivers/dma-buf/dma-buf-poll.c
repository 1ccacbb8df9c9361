// SPDX-License-Identifier: GPL-2.0-only
/*
 * Implicit fence polling on dma-buf files
 *
 * Whoever polls looks at the signaled bits of the fences in the reservation object,
 * without a lock. If any fence is left the callback of the direction, @cb_in or
 * @cb_out of the &struct dma_buf, is on one of them, for all who wait. One
 * invariant is behind all of the code below:
 *
 *   Whoever waits and was told "not yet" is owed a wake-up. A direction that owes
 *   one has a callback that is still to come, or the irq_work queued, or somebody
 *   in dma_buf_poll_arm(). Each of these looks at the fences again, and either
 *   wakes those who wait, once, or has the callback on another fence. If nobody
 *   waits nothing is owed.
 *
 * &dma_buf.poll_lock serializes those who arm, and protects @fence, the one that
 * the callback is or was on. It is taken before &dma_fence.lock, and that before
 * the lock of the wait queue, which protects @owed, @last, and whether the callback
 * is still to come (@cb.func).
 *
 * A callback runs under the lock of its fence, maybe in hard interrupt context. It
 * must not take the lock of another fence, and so neither add itself to that fence,
 * nor ask its driver; this is what the irq_work is for. To read the signaled bits
 * of fences takes no lock and is fine everywhere.
 *
 * Polling takes no reference on the file and does not allocate. It sleeps only if
 * fences come and go faster than it can look at them, for the reservation lock.
 */

#include <linux/container_of.h>
#include <linux/dma-buf.h>
#include <linux/dma-fence.h>
#include <linux/dma-resv.h>
#include <linux/irq_work.h>
#include <linux/poll.h>
#include <linux/rcupdate.h>
#include <linux/spinlock.h>
#include <linux/wait.h>

#include "dma-buf-poll.h"

#define DMA_BUF_POLL_IN		(EPOLLIN | EPOLLRDNORM)
#define DMA_BUF_POLL_OUT	(EPOLLOUT | EPOLLWRNORM)

/* So often poll looks again before it waits for whoever adds fences. */
#define DMA_BUF_POLL_LOOKS	64

/*
 * One of the fences that are left, as far as their signaled bits tell.
 *
 * BOOKKEEP fences never count, and are never armed: no reader or writer waits for
 * them, and the preemption fences of amdkfd and xe sleep or take locks that an
 * interrupt must not take. No more than their signaled bit is read.
 */
static struct dma_fence *dma_buf_poll_find(struct dma_buf *dmabuf, bool write,
					   bool last)
{
	return dma_resv_find_unsignaled(dmabuf->resv,
					dma_resv_usage_rw(write), last);
}

/*
 * Exclusive waiters are at the end of the queue. The first one that a wake-up with
 * a mask reaches keeps it from the others.
 */
static bool dma_buf_poll_exclusive(struct dma_buf *dmabuf)
{
	return list_last_entry(&dmabuf->poll.head, struct wait_queue_entry,
			       entry)->flags & WQ_FLAG_EXCLUSIVE;
}

/*
 * Does an irq_work run at once? Elsewhere it waits for the tick, or, in a thread,
 * for whoever keeps its processor.
 */
static bool dma_buf_poll_work_is_prompt(void)
{
	return arch_irq_work_has_interrupt() && !IS_ENABLED(CONFIG_PREEMPT_RT);
}

/* Called with the lock of the wait queue held. */
static void dma_buf_poll_look_again(struct dma_buf *dmabuf,
				    struct dma_buf_poll_cb_t *dcb)
{
	WRITE_ONCE(dcb->owed, false);
	smp_mb();	/* see dma_buf_poll_tell() */
	wake_up_all_locked(&dmabuf->poll);
}

/*
 * Wake those who wait for the direction if all of its fences have signaled;
 * otherwise have the irq_work wait for one of those that are left. Where that would
 * come late, or fences come and go faster than one can look, have all look again.
 *
 * Called with the lock of the wait queue held, so that to look and to wake is one
 * step: io_uring and aio take the events they are woken with for the answer, so
 * whoever queues after the look must not be told what it found.
 */
static void dma_buf_poll_tell(struct dma_buf *dmabuf,
			      struct dma_buf_poll_cb_t *dcb)
{
	struct dma_buf_poll_cb_t *other;
	struct dma_fence *left;
	__poll_t key;

	if (!dcb->owed)
		return;

	/* Whoever queues later looks later. */
	if (!waitqueue_active(&dmabuf->poll)) {
		WRITE_ONCE(dcb->owed, false);
		return;
	}

	/*
	 * The fence we were on was at the wrong end of the list, so take the one
	 * at the other, in turns: whether fences signal in the order of the list
	 * or in reverse, one way round is enough. The end that was right is
	 * where to begin the next time.
	 */
	left = dma_buf_poll_find(dmabuf, dcb->write, !dcb->last);
	if (left) {
		WRITE_ONCE(dcb->last, !dcb->last);
		if (!IS_ERR(left) && dma_buf_poll_work_is_prompt())
			irq_work_queue(&dmabuf->poll_work);
		else
			dma_buf_poll_look_again(dmabuf, dcb);
		return;
	}

	WRITE_ONCE(dcb->owed, false);
	key = dcb->write ? DMA_BUF_POLL_OUT : DMA_BUF_POLL_IN;

	/*
	 * Answer for both directions in one go. The callback of the other one
	 * may sit on the very same fence, still to be run, and whoever waits
	 * for both would be woken a second time for nothing. What may be
	 * written may be read, so one direction is known.
	 */
	other = dcb->write ? &dmabuf->cb_in : &dmabuf->cb_out;
	if (other->owed &&
	    (dcb->write || !dma_buf_poll_find(dmabuf, true, true))) {
		WRITE_ONCE(other->owed, false);
		key = DMA_BUF_POLL_IN | DMA_BUF_POLL_OUT;
	}

	/*
	 * First the signaled bits and @owed, then what each waiter asks for.
	 * Pairs with ep_modify(), and smp_store_mb() in poll_schedule_timeout():
	 * either the poll there sees these or the wake-up sees the new events.
	 * Without, an item that is enabled again (EPOLLONESHOT) could be told
	 * "not yet" without the lock, for its direction still owes, and not be
	 * woken either.
	 */
	smp_mb();

	/* Without a mask all look again, and each exclusive waiter is woken. */
	if (dma_buf_poll_exclusive(dmabuf))
		wake_up_all_locked(&dmabuf->poll);
	else
		wake_up_locked_poll(&dmabuf->poll, key);
}

/* Runs under the lock of @fence. */
static void dma_buf_poll_cb(struct dma_fence *fence, struct dma_fence_cb *cb)
{
	struct dma_buf_poll_cb_t *dcb = container_of(cb, typeof(*dcb), cb);
	struct dma_buf *dmabuf;
	unsigned long flags;

	dmabuf = dcb->write ? container_of(dcb, struct dma_buf, cb_out) :
			      container_of(dcb, struct dma_buf, cb_in);

	spin_lock_irqsave(&dmabuf->poll.lock, flags);
	dma_buf_poll_tell(dmabuf, dcb);
	/* From here on nobody waits for us: the buffer may go. */
	cb->func = NULL;
	spin_unlock_irqrestore(&dmabuf->poll.lock, flags);
}

/*
 * Take the callback off its fence, and tell those who are owed a wake-up: no fence is
 * left, but they may sleep on one that has been replaced. When this returns the callback
 * has run to its end, or will not run.
 */
static void dma_buf_poll_disarm(struct dma_buf *dmabuf,
				struct dma_buf_poll_cb_t *dcb)
{
	bool pending;

	/* After its callbacks, and a grace period, a fence may lose its lock. */
	rcu_read_lock();
	spin_lock(&dmabuf->poll.lock);
	dma_buf_poll_tell(dmabuf, dcb);
	pending = dcb->cb.func;
	spin_unlock(&dmabuf->poll.lock);
	if (pending && dma_fence_remove_callback(dcb->fence, &dcb->cb))
		dcb->cb.func = NULL;
	rcu_read_unlock();

	dma_fence_put(dcb->fence);
	WRITE_ONCE(dcb->fence, NULL);
}

/*
 * Have the callback on one of the fences that are left and, if the caller @polls, a
 * wake-up owed. Returns whether a fence is left, or -EAGAIN.
 *
 * The irq_work leaves @owed as it is: the callback of the other direction may have
 * answered for this one meanwhile.
 */
static int dma_buf_poll_arm(struct dma_buf *dmabuf,
			    struct dma_buf_poll_cb_t *dcb, bool polls)
{
	struct dma_fence *fence;
	bool armed;

	for (;;) {
		spin_lock(&dmabuf->poll.lock);
		armed = dcb->cb.func;
		if (armed && polls)
			WRITE_ONCE(dcb->owed, true);
		spin_unlock(&dmabuf->poll.lock);
		if (armed)
			return 1;

		fence = dma_resv_get_unsignaled(dmabuf->resv,
						dma_resv_usage_rw(dcb->write),
						READ_ONCE(dcb->last));
		if (IS_ERR(fence))
			return PTR_ERR(fence);
		if (!fence) {
			dma_buf_poll_disarm(dmabuf, dcb);
			return 0;
		}

		/* If it cannot be added, or has run already, look again. */
		dma_fence_put(dcb->fence);
		WRITE_ONCE(dcb->fence, fence);
		dma_fence_add_callback(fence, &dcb->cb, dma_buf_poll_cb);
	}
}

static void dma_buf_poll_go_on(struct dma_buf *dmabuf,
			       struct dma_buf_poll_cb_t *dcb)
{
	/* If nothing is owed the buffer may have been released. */
	if (!READ_ONCE(dcb->owed) || dma_buf_poll_arm(dmabuf, dcb, false) >= 0)
		return;

	/* The callback of the other direction may have answered for this one. */
	spin_lock(&dmabuf->poll.lock);
	if (dcb->owed)
		dma_buf_poll_look_again(dmabuf, dcb);
	spin_unlock(&dmabuf->poll.lock);
}

static void dma_buf_poll_work(struct irq_work *work)
{
	struct dma_buf *dmabuf = container_of(work, struct dma_buf, poll_work);
	unsigned long flags;

	spin_lock_irqsave(&dmabuf->poll_lock, flags);
	dma_buf_poll_go_on(dmabuf, &dmabuf->cb_in);
	dma_buf_poll_go_on(dmabuf, &dmabuf->cb_out);
	spin_unlock_irqrestore(&dmabuf->poll_lock, flags);
}

static int dma_buf_poll_move(struct dma_buf *dmabuf,
			     struct dma_buf_poll_cb_t *dcb, bool left)
{
	int ret = 0;

	spin_lock_irq(&dmabuf->poll_lock);
	if (left)
		ret = dma_buf_poll_arm(dmabuf, dcb, true);
	else
		dma_buf_poll_disarm(dmabuf, dcb);
	spin_unlock_irq(&dmabuf->poll_lock);

	return ret;
}

/*
 * This arms no matter whether the caller is going to sleep: epoll looks again
 * without a queue function while its entry is already queued, and so does the
 * second round of poll(2). And a fence that is polled has to have its signaling
 * enabled, or a loop that polls without sleeping might never see it signal.
 */
static noinline bool dma_buf_poll_update(struct dma_buf *dmabuf,
					 struct dma_buf_poll_cb_t *dcb,
					 struct dma_fence *left)
{
	int i, ret = -EAGAIN;

	for (i = 0; i < DMA_BUF_POLL_LOOKS; i++) {
		if (!IS_ERR(left))
			ret = dma_buf_poll_move(dmabuf, dcb, left);
		if (ret >= 0)
			return ret;
		left = dma_buf_poll_find(dmabuf, dcb->write, true);
	}

	/* Fences come and go faster than one can look: let nobody add any. */
	dma_resv_lock(dmabuf->resv, NULL);
	do {
		left = dma_buf_poll_find(dmabuf, dcb->write, true);
		ret = dma_buf_poll_move(dmabuf, dcb, left);
	} while (ret < 0);
	dma_resv_unlock(dmabuf->resv);

	return ret;
}

/*
 * Is the direction ready? If not, whoever sleeps on the wait queue from here on
 * is woken.
 *
 * Where a wake-up is owed that is certain without a lock: whoever takes @owed back
 * after the caller has queued wakes the caller, with the answer or to look again.
 * Where none is left and @fence is still there it may be one that has been replaced.
 */
static __always_inline bool dma_buf_poll_ready(struct dma_buf *dmabuf,
					       bool write)
{
	struct dma_buf_poll_cb_t *dcb = write ? &dmabuf->cb_out : &dmabuf->cb_in;
	struct dma_fence *fence;

	fence = dma_buf_poll_find(dmabuf, write, READ_ONCE(dcb->last));
	if (!fence && !READ_ONCE(dcb->fence))
		return true;
	if (!IS_ERR_OR_NULL(fence) && READ_ONCE(dcb->owed))
		return false;

	return !dma_buf_poll_update(dmabuf, dcb, fence);
}

/**
 * dma_buf_poll - &file_operations.poll of a dma-buf
 * @file: the file of the dma-buf
 * @table: what is asked for and, maybe, a queue function
 *
 * See "Implicit Fence Poll Support" for what the events mean.
 *
 * Context: Process context, interrupts enabled, may sleep: it takes the reservation
 * lock if fences come and go faster than it can look at them. Otherwise it takes
 * no lock that sleeps, except where every spinlock does (PREEMPT_RT). Does not
 * allocate.
 * Return: Those of the events that @table asks for which hold now.
 */
__poll_t dma_buf_poll(struct file *file, poll_table *table)
{
	struct dma_buf *dmabuf = file->private_data;
	__poll_t events;

	if (!dmabuf || !dmabuf->resv)
		return EPOLLERR;

	/* First queue, then look: a signal in between is not lost. */
	poll_wait(file, &dmabuf->poll, table);

	/*
	 * A request of io_uring that has queued before reads how often it was
	 * woken, and then looks. Pairs with smp_mb() in dma_buf_poll_tell().
	 */
	smp_rmb();

	events = poll_requested_events(table) &
		 (DMA_BUF_POLL_IN | DMA_BUF_POLL_OUT);
	/* What may be written may be read. */
	if ((events & DMA_BUF_POLL_OUT) && dma_buf_poll_ready(dmabuf, true))
		return events;
	events &= DMA_BUF_POLL_IN;
	if (events && dma_buf_poll_ready(dmabuf, false))
		return events;

	return 0;
}

/**
 * dma_buf_poll_init - prepare a new dma-buf for polling
 * @dmabuf: the dma-buf
 *
 * Context: Any, before the file of @dmabuf is visible to anyone.
 */
void dma_buf_poll_init(struct dma_buf *dmabuf)
{
	init_waitqueue_head(&dmabuf->poll);
	spin_lock_init(&dmabuf->poll_lock);
	init_irq_work(&dmabuf->poll_work, dma_buf_poll_work);
	/* Mostly fences signal in the order of the list. */
	dmabuf->cb_in.last = true;
	dmabuf->cb_out.last = true;
	dmabuf->cb_out.write = true;
}

/**
 * dma_buf_poll_release - nobody can poll a dma-buf any more
 * @dmabuf: the dma-buf
 *
 * Takes the callbacks off the fences, signaled or not, and drops the references
 * on these. When this returns no callback uses @dmabuf, and nobody the reservation
 * object. But whoever runs the irq_work may still look whether anything is owed, and
 * mark it as no longer busy: free @dmabuf after an RCU grace period, with @cb_in.rcu.
 *
 * Context: Process context, may sleep. Called by the release of the file: the wait
 * queue is empty, so no callback queues the irq_work again.
 */
void dma_buf_poll_release(struct dma_buf *dmabuf)
{
	/* Where it is never queued this waits for a grace period (PREEMPT_RT). */
	if (irq_work_is_busy(&dmabuf->poll_work))
		irq_work_sync(&dmabuf->poll_work);

	/*
	 * Two processors may have run the irq_work at a time, as it can be queued
	 * again while it runs, and the first of them to end has made it look idle.
	 * The other one finds nothing owed from here on.
	 */
	spin_lock_irq(&dmabuf->poll_lock);
	dma_buf_poll_disarm(dmabuf, &dmabuf->cb_in);
	dma_buf_poll_disarm(dmabuf, &dmabuf->cb_out);
	spin_unlock_irq(&dmabuf->poll_lock);
}
