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
 *   Whoever was told "not yet" has an active direction behind them, and an
 *   active direction always ends in a look at the fences which either finds
 *   one more to wait for or wakes everybody, once.
 *
 * Life of a direction
 * -------------------
 *
 *   idle:       poll finds a fence and claims the direction: arming
 *   arming:     the callback is on the fence: armed
 *               every fence has signaled before it was: wake, idle
 *   armed:      the fence signals, it was the last to do so: wake, idle
 *               it signals and others are left: the irq_work looks again
 *   irq_work:   finds one of them: arming
 *               finds none, or nobody who waits: wake, idle
 *
 * All but the first are active.
 *
 * Who may touch what
 * ------------------
 *
 * @active and @owed are protected by the lock of the wait queue, &dma_buf.poll.
 * Setting @active is the claim; the claimer owns @cb and @fence up to the
 * moment dma_fence_add_callback() succeeds, from then on the callback owns
 * them, and hands them on to the irq_work if it queues that. So there is always
 * exactly one owner and @cb is never on two fences. @fence holds a reference
 * for as long as @cb is on that fence.
 *
 * Lock order: &dma_fence.lock, then &dma_buf.poll lock. A callback runs under
 * the lock of its fence, maybe in hard interrupt context. It must not take the
 * lock of another fence, and so neither add itself to that fence, nor ask its
 * driver, nor drop a reference that could be the last; this is what the
 * irq_work is for. For the same reason nothing of this happens under the lock
 * of the wait queue.
 *
 * Nothing here holds a reference on the file, sleeps, or allocates.
 */

#include <linux/container_of.h>
#include <linux/dma-buf.h>
#include <linux/dma-fence.h>
#include <linux/dma-resv.h>
#include <linux/irq_work.h>
#include <linux/poll.h>
#include <linux/spinlock.h>
#include <linux/wait.h>

#include "dma-buf-poll.h"

#define DMA_BUF_POLL_IN		(EPOLLIN | EPOLLRDNORM)
#define DMA_BUF_POLL_OUT	(EPOLLOUT | EPOLLWRNORM)

static struct dma_buf *dma_buf_poll_buf(struct dma_buf_poll_cb *dcb)
{
	return dcb->write ? container_of(dcb, struct dma_buf, cb_out) :
			    container_of(dcb, struct dma_buf, cb_in);
}

/* A reference to the fence to wait for, or NULL: the direction is ready. */
static struct dma_fence *dma_buf_poll_next(struct dma_buf_poll_cb *dcb)
{
	return dma_resv_get_last_unsignaled(dma_buf_poll_buf(dcb)->resv,
					    dma_resv_usage_rw(dcb->write));
}

/*
 * Give up the direction and wake those who were told to wait for it. The caller
 * owns it; from the unlock on the caller owns nothing and must not touch the
 * buffer, which may be freed as soon as dma_buf_poll_release() got the lock.
 */
static void dma_buf_poll_done(struct dma_buf_poll_cb *dcb)
{
	struct dma_buf *dmabuf = dma_buf_poll_buf(dcb);
	struct dma_fence *fence;
	unsigned long flags;
	__poll_t key = 0;

	spin_lock_irqsave(&dmabuf->poll.lock, flags);
	fence = dcb->fence;
	dcb->fence = NULL;
	dcb->active = false;

	if (dcb->owed)
		key = dcb->write ? DMA_BUF_POLL_OUT : DMA_BUF_POLL_IN;
	dcb->owed = false;

	/*
	 * What may be written may be read. Say both in one go: the callback of
	 * cb_in may sit on the very same fence, still to be run, and whoever
	 * waits for both would be woken a second time for nothing.
	 */
	if (dcb->write && dmabuf->cb_in.owed) {
		key |= DMA_BUF_POLL_IN;
		dmabuf->cb_in.owed = false;
	}

	if (key)
		wake_up_locked_poll(&dmabuf->poll, key);
	spin_unlock_irqrestore(&dmabuf->poll.lock, flags);

	/*
	 * Never the last reference where this is called under the lock of the
	 * fence: who signals a fence holds one until it has dropped that lock.
	 */
	dma_fence_put(fence);
}

/*
 * Runs under the lock of @fence: see "Lock order" above. To read the signaled
 * bits of the other fences takes no lock, and mostly shows that there is nothing
 * left to wait for; then the wake-up need not take the way round.
 */
static void dma_buf_poll_cb(struct dma_fence *fence, struct dma_fence_cb *cb)
{
	struct dma_buf_poll_cb *dcb = container_of(cb, typeof(*dcb), cb);
	struct dma_buf *dmabuf = dma_buf_poll_buf(dcb);

	if (dma_resv_test_signaled_flags(dmabuf->resv,
					 dma_resv_usage_rw(dcb->write)))
		dma_buf_poll_done(dcb);
	else
		irq_work_queue(&dcb->work);
}

/*
 * Wait for @fence, or for any other that is left when it signals first. The
 * caller owns the direction and passes its reference on @fence, which may be
 * NULL. Returns false, with the direction still the caller's, when there is no
 * unsignaled fence to wait for.
 *
 * @dcb->fence is set before the callback can run, and nothing is touched after
 * dma_fence_add_callback() succeeded: the callback owns the direction by then,
 * and may be done with it.
 */
static bool dma_buf_poll_arm(struct dma_buf_poll_cb *dcb,
			     struct dma_fence *fence)
{
	while (fence) {
		dcb->fence = fence;
		if (!dma_fence_add_callback(fence, &dcb->cb, dma_buf_poll_cb))
			return true;

		dcb->fence = NULL;
		dma_fence_put(fence);
		fence = dma_buf_poll_next(dcb);
	}

	return false;
}

/*
 * The fence we were armed on has signaled, others have not: wait for one of
 * those. Not so when nobody waits any more. That is not only cheaper than
 * following the fences of a busy buffer for ever, it is also what
 * dma_buf_poll_release() relies on.
 */
static void dma_buf_poll_work(struct irq_work *work)
{
	struct dma_buf_poll_cb *dcb = container_of(work, typeof(*dcb), work);
	struct dma_buf *dmabuf = dma_buf_poll_buf(dcb);
	struct dma_fence *fence;
	unsigned long flags;
	bool wanted;

	spin_lock_irqsave(&dmabuf->poll.lock, flags);
	fence = dcb->fence;
	dcb->fence = NULL;
	/* Under the lock of the queue: exact. */
	wanted = waitqueue_active(&dmabuf->poll);
	spin_unlock_irqrestore(&dmabuf->poll.lock, flags);

	dma_fence_put(fence);

	if (wanted && dma_buf_poll_arm(dcb, dma_buf_poll_next(dcb)))
		return;

	/*
	 * Whoever queued since we looked has found the direction active and
	 * is owed a wake-up: this one, after which they look for themselves.
	 */
	dma_buf_poll_done(dcb);
}

/*
 * Is the direction ready? If not, see to it that whoever sleeps on the wait
 * queue from here on is woken.
 *
 * This arms no matter whether the caller is going to sleep: epoll looks again
 * without a queue function while its entry is already queued, and so does the
 * second round of poll(2). And a fence that is polled has to have its signaling
 * enabled, or polling without a timeout might never see it signal.
 */
static bool dma_buf_poll_ready(struct dma_buf_poll_cb *dcb)
{
	struct dma_buf *dmabuf = dma_buf_poll_buf(dcb);
	struct dma_fence *fence;
	bool claimed;

	fence = dma_buf_poll_next(dcb);
	if (!fence)
		return true;

	/*
	 * If the direction is active its owner may have passed @fence already,
	 * and find no other. Then it wakes the queue: the caller is on it since
	 * before it looked, and @owed makes the owner do so.
	 */
	spin_lock_irq(&dmabuf->poll.lock);
	claimed = !dcb->active;
	dcb->active = true;
	dcb->owed = true;
	spin_unlock_irq(&dmabuf->poll.lock);

	if (!claimed) {
		dma_fence_put(fence);
		return false;
	}

	if (dma_buf_poll_arm(dcb, fence))
		return false;

	/* All signaled meanwhile: others may sleep on our claim by now. */
	dma_buf_poll_done(dcb);
	return true;
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

	if (!dmabuf || !dmabuf->resv)
		return EPOLLERR;

	/* First queue, then look: a signal in between is not lost. */
	poll_wait(file, &dmabuf->poll, table);

	events = poll_requested_events(table);
	if (events & DMA_BUF_POLL_IN)
		events |= DMA_BUF_POLL_IN;
	if (events & DMA_BUF_POLL_OUT)
		events |= DMA_BUF_POLL_OUT;
	events &= DMA_BUF_POLL_IN | DMA_BUF_POLL_OUT;

	/* What may be written may be read: no need to look again for that. */
	if (events & DMA_BUF_POLL_OUT) {
		if (dma_buf_poll_ready(&dmabuf->cb_out))
			return events;
		events &= ~DMA_BUF_POLL_OUT;
	}

	if (events && !dma_buf_poll_ready(&dmabuf->cb_in))
		events = 0;

	return events;
}

static void dma_buf_poll_cb_init(struct dma_buf_poll_cb *dcb, bool write)
{
	init_irq_work(&dcb->work, dma_buf_poll_work);
	dcb->fence = NULL;
	dcb->write = write;
	dcb->active = false;
	dcb->owed = false;
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
	struct dma_fence *fence;

	/*
	 * An irq_work that saw somebody wait may still be about to arm. When
	 * this returns it has done so; any later one sees the queue empty.
	 */
	irq_work_sync(&dcb->work);

	spin_lock_irq(&dmabuf->poll.lock);
	fence = dcb->fence ? dma_fence_get(dcb->fence) : NULL;
	spin_unlock_irq(&dmabuf->poll.lock);

	/*
	 * Armed, unless the callback just came first. To remove it takes the
	 * lock of the fence, so by then the callback is off the fence or has
	 * run to its end.
	 */
	if (fence) {
		if (dma_fence_remove_callback(fence, &dcb->cb))
			dma_buf_poll_done(dcb);
		dma_fence_put(fence);
	}

	/* That callback may have left the rest to the irq_work once more. */
	irq_work_sync(&dcb->work);
}

/**
 * dma_buf_poll_release - nobody can poll a dma-buf any more
 * @dmabuf: the dma-buf
 *
 * Takes the callbacks off the fences, signaled or not, and drops the references
 * on these. No callback and no irq_work runs or will run when this returns.
 *
 * Context: Process context, may sleep. Called once the last reference on the
 * file is gone, so that nothing polls and the wait queue is empty, and before
 * the exporter releases the buffer, which may free the reservation object.
 */
void dma_buf_poll_release(struct dma_buf *dmabuf)
{
	dma_buf_poll_cancel(&dmabuf->cb_in);
	dma_buf_poll_cancel(&dmabuf->cb_out);
}
