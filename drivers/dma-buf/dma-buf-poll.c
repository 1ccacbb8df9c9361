// SPDX-License-Identifier: GPL-2.0-only
/*
 * Implicit fence polling on dma-buf files
 *
 * poll() on a dma-buf answers from the fences in the buffer's reservation
 * object, at the moment of the call: EPOLLIN when every KERNEL and WRITE fence
 * has signaled, EPOLLOUT when every READ fence has as well. The answer needs no
 * lock and, when it is "ready", touches nothing but the fences.
 *
 * Only when the answer is "not yet" does somebody have to be woken later. For
 * that each direction has a &struct dma_buf_poll_cb, @cb_in and @cb_out of the
 * &struct dma_buf: one fence callback, shared by everyone who waits. All of the
 * code below serves one invariant:
 *
 *   Whoever waits and was told "not yet" has an active direction behind them,
 *   which owes them a wake-up. An active direction ends in a look at the fences
 *   which either finds one more to wait for or wakes those who wait, once. If
 *   nobody waits it ends anyway.
 *
 * Life of a direction
 * -------------------
 *
 *   idle:       poll finds a fence and claims the direction: arming
 *   arming:     the callback is on the fence: armed
 *               every fence has signaled before it was: wake, idle
 *   armed:      the fence signals, it was the last to do so: wake, idle
 *               it signals and nobody waits: idle
 *               it signals and others are left: the irq_work looks again
 *   irq_work:   finds one of them: arming
 *               finds none: wake, idle
 *               finds nobody who waits: idle
 *
 * All but the first are @active. @owed says that somebody was told "not yet"
 * since the last wake-up, and @last at which end of the list of fences to look
 * for one to wait for.
 *
 * Who may touch what
 * ------------------
 *
 * @active and @owed are protected by the lock of the wait queue, &dma_buf.poll.
 * Setting @active is the claim; the claimer owns the rest up to the moment
 * dma_fence_add_callback() succeeds, from then on the callback owns it, and
 * hands it on to the irq_work if it queues that. So there is always exactly one
 * owner, and @cb is never on two fences. @fence holds a reference for as long
 * as @cb is on that fence; others may look at it under RCU. Poll reads @last
 * whoever owns it: that only says where to begin, and any value will do. Why it
 * may read @owed without the lock stands in dma_buf_poll_ready().
 *
 * Lock order: &dma_fence.lock, then &dma_buf.poll lock. A callback runs under
 * the lock of its fence, maybe in hard interrupt context. It must not take the
 * lock of another fence, and so neither add itself to that fence, nor ask its
 * driver; this is what the irq_work is for. Nor may any of this be done under
 * the lock of the wait queue. To read the signaled bits of fences takes no lock
 * and is fine in both.
 *
 * Polling takes no reference on the file, does not sleep and does not allocate.
 */

#include <linux/container_of.h>
#include <linux/dma-buf.h>
#include <linux/dma-fence.h>
#include <linux/dma-resv.h>
#include <linux/irq_work.h>
#include <linux/poll.h>
#include <linux/rcupdate.h>
#include <linux/seq_file.h>
#include <linux/spinlock.h>
#include <linux/wait.h>

#include "dma-buf-poll.h"

#define CREATE_TRACE_POINTS
#include <trace/events/dma_buf_poll.h>

#define DMA_BUF_POLL_IN		(EPOLLIN | EPOLLRDNORM)
#define DMA_BUF_POLL_OUT	(EPOLLOUT | EPOLLWRNORM)

static struct dma_buf *dma_buf_poll_buf(struct dma_buf_poll_cb *dcb)
{
	return dcb->write ? container_of(dcb, struct dma_buf, cb_out) :
			    container_of(dcb, struct dma_buf, cb_in);
}

static __poll_t dma_buf_poll_events(struct dma_buf_poll_cb *dcb)
{
	return dcb->write ? DMA_BUF_POLL_OUT : DMA_BUF_POLL_IN;
}

/*
 * Have all fences signaled, as far as their signaled bits tell?
 *
 * Here and below BOOKKEEP fences are never looked at, and must not be: no
 * reader or writer waits for them, and not all of them may be asked or armed from
 * here. The preemption fences of amdkfd and xe sleep or take locks that an
 * interrupt must not take.
 */
static bool dma_buf_poll_signaled(struct dma_buf *dmabuf, bool write, bool last)
{
	return !dma_resv_find_unsignaled(dmabuf->resv,
					 dma_resv_usage_rw(write), last);
}

/* The fence to wait for, or NULL if nothing is left. */
static struct dma_fence *dma_buf_poll_fence(struct dma_buf *dmabuf,
					    struct dma_buf_poll_cb *dcb)
{
	return dma_resv_get_unsignaled(dmabuf->resv,
				       dma_resv_usage_rw(dcb->write),
				       READ_ONCE(dcb->last));
}

/* The same. A driver may know better than the signaled bit, and sets it then. */
static __always_inline struct dma_fence *
dma_buf_poll_fence_asked(struct dma_buf *dmabuf, struct dma_buf_poll_cb *dcb)
{
	struct dma_fence *fence;

	while ((fence = dma_buf_poll_fence(dmabuf, dcb)) &&
	       dma_fence_is_signaled(fence))
		dma_fence_put(fence);

	return fence;
}

/*
 * Does an exclusive waiter stand in the queue? They are behind all others, and
 * a wake-up ends at the first of them that takes it.
 */
static bool dma_buf_poll_exclusive(struct dma_buf *dmabuf)
{
	struct wait_queue_head *queue = &dmabuf->poll;

	return !list_empty(&queue->head) &&
	       list_last_entry(&queue->head, struct wait_queue_entry,
			       entry)->flags & WQ_FLAG_EXCLUSIVE;
}

/*
 * Called by the owner of the direction, to give it up if it owes nothing or
 * nobody waits, and if all fences have signaled, which wakes those who wait.
 * Then this returns true. Otherwise it returns false, and the direction stays
 * with the caller, or goes to the irq_work with @queue_work.
 *
 * Whoever does not own the direction any more after the unlock must not touch
 * the buffer, which dma_buf_poll_release() may be waiting to let go. It finds an
 * active direction with a fence to take the callback off, or with the irq_work
 * to wait for, which is why that is queued under the lock, too.
 *
 * To look and to wake is one step under the lock of the wait queue: io_uring
 * and aio take the events they are woken with for the answer, so whoever queues
 * after the look must not be told what it found.
 */
static bool dma_buf_poll_done(struct dma_buf *dmabuf,
			      struct dma_buf_poll_cb *dcb, bool queue_work)
{
	struct dma_buf_poll_cb *other;
	struct dma_fence *fence;
	unsigned long flags;
	__poll_t key = 0;
	bool done;

	spin_lock_irqsave(&dmabuf->poll.lock, flags);
	fence = rcu_dereference_protected(dcb->fence,
					  lockdep_is_held(&dmabuf->poll.lock));
	RCU_INIT_POINTER(dcb->fence, NULL);

	/*
	 * Under the lock of the queue: exact. Whoever queues later looks later,
	 * and finds the direction idle.
	 */
	done = !dcb->owed || !waitqueue_active(&dmabuf->poll);

	/* If any is left it is found soonest from the other end. */
	if (!done && dma_buf_poll_signaled(dmabuf, dcb->write, !dcb->last)) {
		key = dma_buf_poll_events(dcb);
		done = true;
	}

	/*
	 * Answer for both directions in one go. The callback of the other one
	 * may sit on the very same fence, still to be run, and whoever waits
	 * for both would be woken a second time for nothing. What may be
	 * written may be read, so one direction is known.
	 *
	 * Not if somebody waits exclusively: they would take the wake-up from
	 * others who wait for the other direction, or who are arming it right
	 * now, with a fence that has come since, and would sleep on a direction
	 * that owes nothing. Nor if nobody waits for this one, for then they
	 * would not be woken at all.
	 */
	other = dcb->write ? &dmabuf->cb_in : &dmabuf->cb_out;
	if (key && other->owed && !dma_buf_poll_exclusive(dmabuf) &&
	    (dcb->write || dma_buf_poll_signaled(dmabuf, true, true))) {
		key |= dma_buf_poll_events(other);
		WRITE_ONCE(other->owed, false);
	}

	if (done) {
		WRITE_ONCE(dcb->owed, false);
		dcb->active = false;
	} else if (queue_work) {
		irq_work_queue(&dcb->work);
	}

	if (key) {
		trace_dma_buf_poll_wake(dmabuf, key, fence);

		/*
		 * First the signaled bits, then what each waiter asks for. Pairs
		 * with ep_modify(): either the poll there sees the fences signaled
		 * or the wake-up sees the new events. Without, an item that is
		 * enabled again (EPOLLONESHOT) could be told "not yet" without the
		 * lock, for its direction still owes, and not be woken either.
		 */
		smp_mb();
		wake_up_locked_poll(&dmabuf->poll, key);
	}
	spin_unlock_irqrestore(&dmabuf->poll.lock, flags);

	/*
	 * This may be under the lock of the fence, and even the last reference.
	 * The memory stays nevertheless: whoever signals has to drop that lock
	 * after the callbacks. Mostly they hold a reference for that. vmwgfx does
	 * not, but has taken the fence off its list, so that its release takes no
	 * lock; the timer of vgem does not, but its table of fences does.
	 */
	dma_fence_put(fence);
	return done;
}

/* Runs under the lock of @fence: see "Lock order" above. */
static void dma_buf_poll_fence_cb(struct dma_fence *fence,
				  struct dma_fence_cb *cb)
{
	struct dma_buf_poll_cb *dcb = container_of(cb, typeof(*dcb), cb);

	dma_buf_poll_done(dma_buf_poll_buf(dcb), dcb, true);
}

/*
 * Wait for @fence, of which the caller, who owns the direction, passes its
 * reference. Returns false, with the direction still the caller's, when it is
 * NULL or has signaled.
 *
 * @dcb->fence is set before the callback can run, and nothing is touched after
 * dma_fence_add_callback() succeeded: the callback owns the direction by then,
 * and may be done with it.
 */
static bool dma_buf_poll_try(struct dma_buf *dmabuf,
			     struct dma_buf_poll_cb *dcb,
			     struct dma_fence *fence)
{
	if (!fence)
		return false;

	trace_dma_buf_poll_arm(dmabuf, dma_buf_poll_events(dcb), fence);
	rcu_assign_pointer(dcb->fence, fence);
	if (!dma_fence_add_callback(fence, &dcb->cb, dma_buf_poll_fence_cb))
		return true;

	RCU_INIT_POINTER(dcb->fence, NULL);
	dma_fence_put(fence);
	return false;
}

/*
 * The fence we were armed on has signaled, others have not, and somebody waits:
 * wait for one of those. For nobody it is cheaper not to follow the fences of a
 * busy buffer for ever, and dma_buf_poll_release() relies on that: it takes the
 * callback off the fence it finds in @dcb->fence. So dma_buf_poll_done(), which
 * looks whether somebody waits, stands between any two fences. (Except in
 * dma_buf_poll_claim(), whose file cannot be released.)
 *
 * The fence was at the wrong end of the list, so take the one at the other, in
 * turns: whether fences signal in the order of the list or in reverse, one way
 * round is enough. Frames that are submitted in the same order fill the slots
 * in that order, so the end that was right is where to begin the next time. The
 * very first time that is the first fence, as it always used to be: no order
 * has to cost more than it did.
 *
 * This goes round only for a fence that turns out to have signaled when it is
 * to be waited for: one less for each round.
 */
static void dma_buf_poll_work(struct irq_work *work)
{
	struct dma_buf_poll_cb *dcb = container_of(work, typeof(*dcb), work);
	struct dma_buf *dmabuf = dma_buf_poll_buf(dcb);

	do {
		WRITE_ONCE(dcb->last, !dcb->last);
		if (dma_buf_poll_try(dmabuf, dcb, dma_buf_poll_fence(dmabuf, dcb)))
			return;
	} while (!dma_buf_poll_done(dmabuf, dcb, false));
}

/*
 * Claim the direction and wait for a fence, unless somebody else does already.
 * Returns whether there is anything left to wait for.
 *
 * This arms no matter whether the caller is going to sleep: epoll looks again
 * without a queue function while its entry is already queued, and so does the
 * second round of poll(2). And a fence that is polled has to have its signaling
 * enabled, or a loop that polls without sleeping might never see it signal.
 */
static noinline bool dma_buf_poll_claim(struct dma_buf *dmabuf,
					struct dma_buf_poll_cb *dcb)
{
	struct dma_fence *fence;
	bool claimed;

	fence = dma_buf_poll_fence_asked(dmabuf, dcb);
	if (!fence)
		return false;

	/*
	 * If the direction is active its owner may have passed @fence already,
	 * and find no other. Then it wakes the queue: the caller is on it since
	 * before it looked, and @owed makes the owner do so.
	 */
	spin_lock_irq(&dmabuf->poll.lock);
	claimed = !dcb->active;
	dcb->active = true;
	WRITE_ONCE(dcb->owed, true);
	spin_unlock_irq(&dmabuf->poll.lock);

	if (!claimed) {
		dma_fence_put(fence);
		return true;
	}

	while (!dma_buf_poll_try(dmabuf, dcb, fence)) {
		fence = dma_buf_poll_fence_asked(dmabuf, dcb);

		/* All signaled: those who came to rely on us are woken. */
		if (!fence && dma_buf_poll_done(dmabuf, dcb, false))
			return false;
	}

	return true;
}

/*
 * Is the direction ready? If not, whoever sleeps on the wait queue from here on
 * is woken.
 *
 * That is certain already where this finds the fence we wait for: its callback
 * is still to come, and will find the caller, who is on the wait queue if it is
 * going to sleep. There is no need to ask its driver, either, which has been
 * asked before and has promised to signal. Not so a container: it signals in an
 * irq_work, some time after its fences, but knows at once when asked. @owed is
 * read without the lock, but whoever clears it after the caller has queued wakes
 * the caller, and before that the fence had signaled.
 */
static __always_inline bool dma_buf_poll_ready(struct dma_buf *dmabuf,
					       bool write)
{
	struct dma_buf_poll_cb *dcb = write ? &dmabuf->cb_out : &dmabuf->cb_in;
	struct dma_fence *fence;
	bool container;

	rcu_read_lock();
	fence = dma_resv_find_unsignaled(dmabuf->resv, dma_resv_usage_rw(write),
					 READ_ONCE(dcb->last));
	container = fence && dma_fence_is_container(fence);
	rcu_read_unlock();
	if (!fence)
		return true;

	if (fence == rcu_access_pointer(dcb->fence) && READ_ONCE(dcb->owed) &&
	    !container)
		return false;

	return !dma_buf_poll_claim(dmabuf, dcb);
}

/**
 * dma_buf_poll - &file_operations.poll of a dma-buf
 * @file: the file of the dma-buf
 * @table: what is asked for and, maybe, a queue function
 *
 * See "Implicit Fence Poll Support" for what the events mean.
 *
 * Context: Process context, interrupts enabled. Takes neither the reservation
 * lock nor any other lock that sleeps, except where every spinlock does
 * (PREEMPT_RT), and does not allocate.
 * Return: Those of EPOLLIN, EPOLLRDNORM, EPOLLOUT and EPOLLWRNORM that hold now
 * and belong to a direction that @table asks for.
 */
__poll_t dma_buf_poll(struct file *file, poll_table *table)
{
	struct dma_buf *dmabuf = file->private_data;
	__poll_t events;

	/* First queue, then look: a signal in between is not lost. */
	poll_wait(file, &dmabuf->poll, table);

	events = poll_requested_events(table);

	/* What may be written may be read: no need to look again for that. */
	if ((events & DMA_BUF_POLL_OUT) && dma_buf_poll_ready(dmabuf, true))
		return events & DMA_BUF_POLL_IN ?
		       DMA_BUF_POLL_IN | DMA_BUF_POLL_OUT : DMA_BUF_POLL_OUT;
	if ((events & DMA_BUF_POLL_IN) && dma_buf_poll_ready(dmabuf, false))
		return DMA_BUF_POLL_IN;

	return 0;
}

static void dma_buf_poll_cb_init(struct dma_buf_poll_cb *dcb, bool write)
{
	init_irq_work(&dcb->work, dma_buf_poll_work);
	RCU_INIT_POINTER(dcb->fence, NULL);
	dcb->write = write;
	dcb->active = false;
	dcb->owed = false;
	dcb->last = false;
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
	dma_buf_poll_cb_init(&dmabuf->cb_in, false);
	dma_buf_poll_cb_init(&dmabuf->cb_out, true);
}

static void dma_buf_poll_cancel(struct dma_buf_poll_cb *dcb)
{
	struct dma_buf *dmabuf = dma_buf_poll_buf(dcb);
	bool active, removed;
	struct dma_fence *fence;

	for (;;) {
		/* Pairs with the last unlock of whoever owned the direction. */
		spin_lock_irq(&dmabuf->poll.lock);
		active = dcb->active;
		spin_unlock_irq(&dmabuf->poll.lock);
		if (!active)
			return;

		/*
		 * To remove the callback takes the lock of the fence. What was
		 * read from @dcb->fence has not run its callback to the end yet,
		 * so RCU keeps that lock even from an issuer that lets go of it a
		 * grace period after it has signaled.
		 */
		rcu_read_lock();
		fence = dma_fence_get_rcu_safe(&dcb->fence);
		removed = fence && dma_fence_remove_callback(fence, &dcb->cb);
		rcu_read_unlock();

		/*
		 * If there was nothing to remove the callback has run to its end
		 * by now, and the direction is idle or belongs to the irq_work; or
		 * that is about to add the callback, for somebody it saw wait. The
		 * next look sees the queue empty.
		 */
		if (removed) {
			trace_dma_buf_poll_cancel(dmabuf,
						  dma_buf_poll_events(dcb), fence);
			dma_buf_poll_done(dmabuf, dcb, false);
		} else {
			irq_work_sync(&dcb->work);
		}
		dma_fence_put(fence);
	}
}

/**
 * dma_buf_poll_release - nobody can poll a dma-buf any more
 * @dmabuf: the dma-buf
 *
 * Takes the callbacks off the fences, signaled or not, and drops the references
 * on these. Neither a callback nor the irq_work uses @dmabuf when this returns,
 * but whoever ran the latter may still have to mark it as no longer busy: free
 * @dmabuf after an RCU grace period, with @cb_in.rcu.
 *
 * Context: Process context, may sleep. Called by the release of the file, which
 * nothing polls any more, so the wait queue is empty. The trace events look at
 * the file, and the exporter may free the reservation object later on.
 */
void dma_buf_poll_release(struct dma_buf *dmabuf)
{
	dma_buf_poll_cancel(&dmabuf->cb_in);
	dma_buf_poll_cancel(&dmabuf->cb_out);
}

#ifdef CONFIG_DEBUG_FS
static void dma_buf_poll_cb_describe(struct dma_buf_poll_cb *dcb,
				     struct seq_file *seq)
{
	struct dma_fence *fence;

	rcu_read_lock();
	fence = dma_fence_get_rcu_safe(&dcb->fence);
	rcu_read_unlock();
	if (!fence)
		return;

	seq_printf(seq, "	poll %s waits for: ", dcb->write ? "out" : "in");
	dma_fence_describe(fence, seq);
	dma_fence_put(fence);
}

/**
 * dma_buf_poll_describe - say in debugfs what is waited for
 * @dmabuf: the dma-buf
 * @seq: the file to write to
 *
 * Prints a line for each direction that has a callback on a fence.
 *
 * Context: Process context.
 */
void dma_buf_poll_describe(struct dma_buf *dmabuf, struct seq_file *seq)
{
	dma_buf_poll_cb_describe(&dmabuf->cb_in, seq);
	dma_buf_poll_cb_describe(&dmabuf->cb_out, seq);
}
#endif
