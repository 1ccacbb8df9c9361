/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Implicit fence polling on dma-buf files: a model of drivers/dma-buf/dma-buf-poll.c
 * for spin (https://spinroot.com). "From model to source" in dma-buf-poll.rst says
 * what here stands for what there.
 *
 * WAITERS threads poll() and sleep until they are woken; each time they may go away
 * instead, as after a timeout. FENCES fences signal, each once, at any time. The
 * first INITIAL of them are in the reservation object from the start; an adder adds
 * the others. CPUS processors run irq_work. When the last waiter is gone a closer
 * releases the dma-buf, fences pending or not.
 *
 * With one direction (EPOLLIN) all fences count, the waiters are alike, and a fence
 * that is added may take the place of those that have signaled.
 * With DIRECTIONS=2 EPOLLIN waits for the first WRITES fences, EPOLLOUT for all. Then
 * one waiter wants both and the others one of the two; or, if there are WRITE fences
 * only, one polls for EPOLLOUT and does not sleep, and the others want EPOLLIN.
 * With EXCLUSIVE each waiter may be an exclusive one: of those a wake-up reaches one. One
 * waiter sleeps from the start and for good, wants both, and has EPOLLIN armed on
 * the first fence, whether it still owes a wake-up or EPOLLOUT has answered for it;
 * there is no closer. With REARM a waiter that was woken stays on the queue and wants
 * nothing, until it wants the same again and looks (EPOLLONESHOT, EPOLL_CTL_MOD).
 *
 * What is one step here: an access to memory that no lock protects, or a section
 * under a lock. The lock of a fence that signals is held over many steps, its
 * callbacks, as in the kernel, and so is the lock of the wait queue where others may
 * change what is looked at under it. A look at the fences is one step: resv-look.pml
 * says why it may be. Which end of the list it begins at is left open. A reference is
 * dropped in the step that gives it up. Memory is sequentially consistent: what orders
 * it is not checked.
 *
 * -DLIVE adds the property "wakes". -DBUG_x breaks the model in one place, and has
 * to be found.
 */
#ifndef FENCES
#define FENCES		2
#endif
#ifndef INITIAL
#define INITIAL		1
#endif
#ifndef WAITERS
#define WAITERS		2
#endif
#ifndef DIRECTIONS
#define DIRECTIONS	1
#endif
#ifndef WRITES
#define WRITES		1
#endif
#ifndef CPUS
#define CPUS		1
#endif

#define NONE		255	/* no fence, NULL */
#define IN		0
#define OUT		1
#define KEY(d)		(1 << (d))

/* Does fence f count for direction d? */
#if DIRECTIONS == 1
#define counts(f, d)	true
#else
#define counts(f, d)	((d) == OUT || (f) < WRITES)
#endif

/* struct dma_fence */
bool	locked[FENCES];			/* the lock is held over several steps */
bool	signaled[FENCES];
byte	refs[FENCES];
byte	list[FENCES];			/* cb_list: a KEY() for each direction */

/* struct dma_resv: the fences 0 to num_fences - 1 but for those dropped */
byte	num_fences = INITIAL;
bool	dropped[FENCES];

/* struct dma_buf, and struct dma_buf_poll_cb of each direction */
bool	freed;
bool	poll_locked;			/* the lock is held over several steps */
byte	cb_fence[DIRECTIONS] = NONE;
bool	is_active[DIRECTIONS];
bool	owed[DIRECTIONS];

/* The irq_work of each direction, and what runs them */
bool	pending[DIRECTIONS];		/* IRQ_WORK_PENDING */
bool	busy[DIRECTIONS];		/* IRQ_WORK_BUSY */
bool	gone;				/* the memory they are in has been freed */
bool	runs[CPUS];			/* this CPU runs one */
byte	raised[CPUS];			/* it has been asked to run these: KEY()s */

/* The wait queue, and its sleepers */
bool	queued[WAITERS];
byte	wants[WAITERS];
bool	triggered[WAITERS];
#ifdef EXCLUSIVE
bool	exclusive[WAITERS];
#endif
#ifdef LIVE
bool	asleep[WAITERS];
#endif

/* Only for the checks */
bool	told[DIRECTIONS];		/* "not yet" was said, and no wake-up followed */
byte	waiters_left = WAITERS;
byte	others_left = FENCES + 1;	/* signalers and the adder */
mtype = { NOBODY, POLLER, CALLBACK, WORK };
mtype	owner[DIRECTIONS] = NOBODY;

hidden byte i_;
hidden byte key_;
bool looks;				/* a local of dma_buf_poll_done() */

/* Every step that touches the dma-buf or its reservation object says so. */
#define use()		assert(!freed)

inline fence_get(f)
{
	assert(refs[f] > 0);
	refs[f]++
}

/* in_callback: called under the lock of f, which must not be freed there */
inline fence_put(f, in_callback)
{
	assert(refs[f] > 0);
	refs[f]--;
	assert(refs[f] > 0 || (list[f] == 0 && !(in_callback)))
}

/* A poller that finds the direction active is not woken by its owner. */
#ifdef BUG_NO_WAKE
#define SILENT		true
#else
#define SILENT		false
#endif

/* Is fence f left to wait for? Is any? */
#define left(f, d)	(f < num_fences && !dropped[f] && counts(f, d) && !signaled[f])
#if FENCES == 2
#define any_left(d)	(left(0, d) || left(1, d))
#elif FENCES == 3
#define any_left(d)	(left(0, d) || left(1, d) || left(2, d))
#endif

/* One of the fences that are left, from either end of the list */
inline pick(d, fence)
{
	i_ = FENCES - 1;
	do
	:: !left(i_, d) -> i_--
	:: else -> break
	od;
	fence = i_;
	i_ = 0;
	if
	:: left(0, d) -> fence = 0
#if FENCES == 3
	:: left(1, d) -> fence = 1
#endif
	:: true
	fi
}

/* dma_resv_find_unsignaled(), or with ref: dma_resv_get_unsignaled() */
inline resv_next(d, fence, ref)
{
	atomic {
		use();
		fence = NONE;
		if
		:: any_left(d) ->
			pick(d, fence);
			if
			:: ref -> fence_get(fence)
			:: else
			fi
		:: else
		fi
	}
}

#ifdef EXCLUSIVE
#define is_exclusive(w)	exclusive[w]
#define any_exclusive	((queued[0] && exclusive[0]) || (queued[1] && exclusive[1]))
#else
#define is_exclusive(w)	false
#define any_exclusive	false
#endif

/* wake_up_locked_poll(): of those who wait exclusively whichever comes first */
inline wake(key)
{
#ifdef EXCLUSIVE
	if
	:: queued[0] && exclusive[0] && (wants[0] & (key)) -> triggered[0] = true
	:: queued[1] && exclusive[1] && (wants[1] & (key)) -> triggered[1] = true
	:: else
	fi;
#endif
	i_ = 0;
	do
	:: i_ < WAITERS ->
		if
		:: queued[i_] && !is_exclusive(i_) && (wants[i_] & (key)) ->
			triggered[i_] = true
		:: else
		fi;
		i_++
	:: else -> break
	od;
	i_ = 0
}

inline is_queued(result)
{
	result = false;
	i_ = 0;
	do
	:: i_ < WAITERS -> result = result || queued[i_]; i_++
	:: else -> break
	od;
	i_ = 0
}

/* What a wake-up says of direction d: each "not yet" is followed by one of them. */
inline answer(d)
{
	key_ = key_ | KEY(d);
	assert(told[d]);
	told[d] = false
}

/* Does one wake-up answer for the other direction, too? */
#ifdef BUG_ONE
#define MAY_ANSWER	true
#else
#define MAY_ANSWER	(!any_exclusive)
#endif

/* irq_work_queue(): any CPU; one that has nothing to do is the worst. */
inline queue_irq_work(d)
{
	assert(!pending[d]);
	pending[d] = true;
	busy[d] = true;
	i_ = 0;
	do
	:: i_ < CPUS - 1 && (raised[i_] || runs[i_]) -> i_++
	:: else -> break
	od;
	raised[i_] = raised[i_] | KEY(d);
	i_ = 0
}

/*
 * dma_buf_poll_done(). result, fence: locals of the caller. who: the owner. silent: see
 * BUG_NO_WAKE. The second step is the look at this direction, unless it is over
 * anyway, and the third begins with the look at the other one.
 */
inline done(d, result, fence, who, queue_work, silent)
{
	atomic {
		!poll_locked -> poll_locked = true;
		use();
		assert(is_active[d] && owner[d] == who);
		if
#ifdef BUG_KEEP
		:: queue_work
		:: !(queue_work) && cb_fence[d] != NONE ->
#else
		:: cb_fence[d] != NONE ->
#endif
			fence = cb_fence[d];
			cb_fence[d] = NONE;
			fence_put(fence, queue_work);
			fence = NONE
		:: else
		fi;
		is_queued(result);
#ifdef BUG_FOLLOW
		result = true;
#endif
#ifndef BUG_UNOWED
		result = result && owed[d];
#endif
		looks = result
	}
	atomic {
		use();
		result = !looks || !any_left(d);
		looks = looks && result && !(silent)
	}
	atomic {
		use();
		poll_locked = false;
		key_ = 0;
		if
		:: looks ->
			answer(d);
#if DIRECTIONS == 2
			if
			:: MAY_ANSWER && owed[1 - (d)] && ((d) == OUT || !any_left(OUT)) ->
				answer(1 - (d))
#ifndef BUG_TWICE
				; owed[1 - (d)] = false
#endif
			:: else
			fi
#endif
		:: else
		fi;
		looks = false;
		if
		:: result ->
#ifdef BUG_KEEP
			if
			:: cb_fence[d] != NONE ->
				fence = cb_fence[d];
				cb_fence[d] = NONE;
				fence_put(fence, queue_work);
				fence = NONE
			:: else
			fi;
#endif
			owed[d] = false;
			told[d] = false;
			is_active[d] = false;
			owner[d] = NOBODY;
			wake(key_)
		:: !result && (queue_work) -> owner[d] = WORK; queue_irq_work(d)
		:: else
		fi;
		key_ = 0
	}
}

/* The callback of a direction is on no fence yet. */
inline check_single(d)
{
	i_ = 0;
	do
	:: i_ < FENCES -> assert(!(list[i_] & KEY(d))); i_++
	:: else -> break
	od;
	i_ = 0
}

/*
 * dma_buf_poll_try(): one attempt to wait for fence, of which the reference goes
 * with it. result: whether it waits. heard: has to hold if it does.
 */
inline try(d, fence, result, heard)
{
	result = false;
	if
	:: fence == NONE
	:: atomic { fence != NONE ->
		use();
		assert(cb_fence[d] == NONE);
#ifndef BUG_LATE_FENCE
		cb_fence[d] = fence
#endif
	   }
		/* dma_fence_add_callback() */
		if
		:: signaled[fence]
		:: atomic { !locked[fence] ->
			use();
			if
			:: signaled[fence]
			:: else ->
				assert(refs[fence] > 0);
				assert(heard);
				check_single(d);
				list[fence] = list[fence] | KEY(d);
				owner[d] = CALLBACK;
				result = true
#ifndef BUG_LATE_FENCE
				; fence = NONE
#endif
			fi
		   }
		fi;
		atomic {
			if
#ifdef BUG_LATE_FENCE
			:: result -> cb_fence[d] = fence; fence = NONE
#endif
			:: !result && fence != NONE ->
				use();
				cb_fence[d] = NONE;
				fence_put(fence, false);
				fence = NONE
#ifdef BUG_NO_RECHECK
				; result = true
#endif
			:: else
			fi
		}
	fi
}

/* What was there when poll() was called has signaled. */
inline check_exact(d, before)
{
	i_ = 0;
	do
	:: i_ < before -> assert(signaled[i_] || !counts(i_, d)); i_++
	:: else -> break
	od;
	i_ = 0
}

/* dma_buf_poll_ready() */
inline poll_ready(d, fence, result, before)
{
	resv_next(d, fence, false);
	if
	:: atomic { fence == NONE -> check_exact(d, before); result = true }
	:: fence != NONE ->
		result = (fence == cb_fence[d]);
#ifndef BUG_NOT_OWED
		if
		:: result -> result = owed[d]
		:: else
		fi;
#endif
		fence = NONE;
		if
		:: atomic { result -> told[d] = true; result = false }
		:: !result -> poll_claim(d, fence, result, before)
		fi
	fi
}

/* dma_buf_poll_claim() as far as the claim */
inline poll_claim(d, fence, result, before)
{
	resv_next(d, fence, true);
	if
	:: atomic { fence == NONE -> check_exact(d, before); result = true }
	:: fence != NONE ->
		atomic {
			!poll_locked;
			use();
#ifdef BUG_NO_CLAIM
			result = true;
#else
			result = !is_active[d];
#endif
			if
			:: result ->
				assert(owner[d] == NOBODY && cb_fence[d] == NONE);
				owner[d] = POLLER
			:: else -> fence_put(fence, false); fence = NONE
			fi;
			is_active[d] = true;
			owed[d] = true;
			told[d] = true
		}
		if
		:: result -> poll_arm(d, fence, result, before)
		:: else
		fi
	fi
}

/*
 * Whoever waits for a fence is owed a wake-up, or has had one. That others have had one,
 * before there was this fence, is not enough where not everybody gets it.
 */
#ifdef EXCLUSIVE
#define HEARD(d)	(owed[d] || triggered[w])
#else
#define HEARD(d)	true
#endif

/* The rest of dma_buf_poll_claim(). result: whether the direction is ready */
inline poll_arm(d, fence, result, before)
{
	do
	:: true ->
		try(d, fence, result, HEARD(d));
		if
		:: result -> result = false; break
		:: else
		fi;
		resv_next(d, fence, true);
		if
		:: fence == NONE ->
			done(d, result, fence, POLLER, false, SILENT);
			if
			:: atomic { result -> check_exact(d, before); break }
			:: else
			fi
		:: else
		fi
	od
}

/* A thread in poll(): do_poll() and dma_buf_poll() */
proctype waiter(byte w)
{
	byte fence = NONE, before;
	bool result;

	atomic {
#if DIRECTIONS == 1
		/* All waiters are alike: let them start in this order. */
		!poll_locked && (w == 0 || queued[w - 1] || waiters_left < WAITERS);
		wants[w] = KEY(IN);
#else
		!poll_locked;
		if
#if WRITES < FENCES
		:: w == 0 -> wants[w] = KEY(IN) | KEY(OUT)
		:: w > 0 -> wants[w] = KEY(OUT)
#else
		:: w == 0 -> wants[w] = KEY(OUT)
#endif
		:: w > 0 -> wants[w] = KEY(IN)
		fi;
#endif
#ifndef BUG_LOOK_FIRST
		queued[w] = true;		/* poll_wait() */
#endif
		before = num_fences
	}
look:
#if DIRECTIONS == 2
	if
	:: wants[w] & KEY(OUT) -> poll_ready(OUT, fence, result, before)
	:: else
	fi;
	if
	:: !result && (wants[w] & KEY(IN)) -> poll_ready(IN, fence, result, before)
	:: else
	fi;
#else
	poll_ready(IN, fence, result, before);
#endif
	atomic {
		before = 0;
#ifdef BUG_LOOK_FIRST
		queued[w] = true;
#endif
		if
#if DIRECTIONS == 2 && WRITES == FENCES
		:: !result && w > 0 ->
#else
		:: !result ->
#endif
#ifdef LIVE
			asleep[w] = true
#endif
		:: goto leave			/* ready, or had enough */
		fi
	}
#ifdef EXCLUSIVE
end_passed_over:
#endif
	atomic {
		triggered[w] ->
		triggered[w] = false;
#ifdef LIVE
		asleep[w] = false;
#endif
#ifdef REARM
		before = wants[w];
		wants[w] = 0
	}
	atomic {
		wants[w] = before;		/* ep_modify(): not under the lock of the queue */
#endif
		before = num_fences;
		goto look
	}
leave:
	atomic {
		!poll_locked;
		result = false;
		queued[w] = false;
		triggered[w] = false;
		wants[w] = 0;
		waiters_left--
	}
}

/* dma_buf_poll_fence_cb(), under the lock of f, with the callback off its list */
inline fence_cb(f, d, result, fence)
{
	list[f] = list[f] & ~KEY(d);
	assert(owner[d] == CALLBACK && cb_fence[d] == f);
	done(d, result, fence, CALLBACK, true, false);
	result = false
}

/* dma_fence_signal(), by whoever holds a reference */
proctype signaler(byte f)
{
	byte fence = NONE;
	bool result;

	atomic { !locked[f] -> locked[f] = true; signaled[f] = true }
	do
	:: list[f] & KEY(IN) -> fence_cb(f, IN, result, fence)
#if DIRECTIONS == 2
	:: list[f] & KEY(OUT) -> fence_cb(f, OUT, result, fence)
#endif
	:: atomic { list[f] == 0 ->
#ifdef BUG_EARLY_PUT
		fence_put(f, true);
#endif
		locked[f] = false;
		break
	   }
	od;
	atomic {
#ifndef BUG_EARLY_PUT
		fence_put(f, false);
#endif
		others_left--
	}
}

/* dma_resv_reserve_fences() and dma_resv_add_fence(), under the reservation lock */
proctype adder()
{
	do
	:: atomic { num_fences < FENCES ->
		if
		:: true
#if DIRECTIONS == 1
		:: i_ = 0;
			do
			:: i_ < num_fences ->
				if
				:: signaled[i_] && !dropped[i_] ->
					dropped[i_] = true;
					fence_put(i_, false)
				:: else
				fi;
				i_++
			:: else -> break
			od;
			i_ = 0
#endif
		fi;
		refs[num_fences]++;
		num_fences++
	   }
	:: atomic { num_fences == FENCES -> others_left--; break }
	od
}

/* dma_buf_poll_work() */
inline work(d, fence, result)
{
	atomic {
		use();
		assert(is_active[d] && owner[d] == WORK);
#ifdef BUG_KEEP
		fence = cb_fence[d];
		cb_fence[d] = NONE;
		fence_put(fence, false);
		fence = NONE
#endif
	}
	do
	:: true ->
		resv_next(d, fence, true);
		try(d, fence, result, true);
		if
		:: result -> break
		:: else
		fi;
#ifdef BUG_ARM_ON
		if
		:: any_left(d)
		:: else -> done(d, result, fence, WORK, false, false)
		fi;
#else
		done(d, result, fence, WORK, false, false);
#endif
		if
		:: result -> break
		:: else
		fi
	od
}

/*
 * irq_work_run_list(), irq_work_single(). As soon as it runs an irq_work may be
 * queued again, and then two CPUs can run it at a time. Busy is one bit: the first of
 * them to end clears it.
 */
proctype cpu(byte c)
{
	byte fence = NONE, d;
	bool result;

end:	do
	:: atomic { raised[c] ->
		d = (raised[c] & KEY(IN) -> IN : OUT);
		raised[c] = raised[c] & ~KEY(d);
		runs[c] = true;
		assert(!gone);
		pending[d] = false
	   }
		work(d, fence, result);
		/* The cmpxchg(), which fails when it is pending again. */
		atomic {
			assert(!gone);
			busy[d] = pending[d];
			runs[c] = false;
			result = false;
			d = 0
		}
	od
}

/* dma_buf_poll_cancel() */
inline cancel(d, fence, own, result)
{
	do
	:: atomic { !poll_locked -> use(); result = is_active[d]; own = NONE }
		if
		:: !result -> break
		:: else
		fi;
#ifndef BUG_CANCEL_GET
		/* dma_fence_get_rcu_safe() */
		atomic {
			own = cb_fence[d];
			if
			:: own != NONE -> fence_get(own)
			:: else
			fi
		}
#else
		/* dma_fence_get() */
		own = cb_fence[d];
		atomic {
			if
			:: own != NONE -> fence_get(own)
			:: else
			fi
		}
#endif
		result = false;
		if
		:: own != NONE ->
			/* dma_fence_remove_callback(): is it on a list? It must be that one. */
			atomic { !locked[own] ->
				result = (list[own] & KEY(d)) != 0;
				list[own] = list[own] & ~KEY(d);
				check_single(d)
			}
		:: else
		fi;
		if
		:: result -> done(d, result, fence, CALLBACK, false, false)
		:: else ->
#ifndef BUG_NO_SYNC
			!busy[d]		/* irq_work_sync() */
#else
			atomic {
				if
				:: own != NONE -> fence_put(own, false); own = NONE
				:: else
				fi;
				break
			}
#endif
		fi;
		atomic {
			if
			:: own != NONE -> fence_put(own, false); own = NONE
			:: else
			fi;
			result = false
		}
	od;
	assert(!is_active[d] && cb_fence[d] == NONE && owner[d] == NOBODY)
}

/* The last fput(): dma_buf_file_release(), dma_buf_release() */
proctype closer()
{
	byte fence = NONE, own = NONE;
	bool result;

	waiters_left == 0;
	cancel(IN, fence, own, result);
#if DIRECTIONS == 2
	cancel(OUT, fence, own, result);
#endif
	freed = true;

	/* kfree_rcu() */
#ifndef BUG_NO_RCU
	!runs[0];
#if CPUS > 1
	!runs[1];
#endif
#endif
	gone = true;

	/* The reservation object goes when its other users are gone as well. */
	others_left == 0;
	atomic {
		own = 0;
		do
		:: own < FENCES ->
			if
			:: !dropped[own] -> fence_put(own, false)
			:: else
			fi;
			assert(refs[own] == 0);
			own++
		:: else -> break
		od;
		own = NONE
	}
}

init
{
	byte i;

	atomic {
		do
		:: i < FENCES ->
			/* The signaler's, and that of the reservation object. */
			refs[i] = (i < INITIAL -> 2 : 1);
			run signaler(i);
			i++
		:: else -> break
		od;
		i = 0;
#ifdef EXCLUSIVE
		/* Waiter 0 sleeps, for both; what it has armed for OUT is through. */
		queued[0] = true;
		wants[0] = KEY(IN) | KEY(OUT);
		if
		:: exclusive[0] = true
		:: true
		fi;
		if
		:: exclusive[1] = true
		:: true
		fi;
		is_active[IN] = true;
		owner[IN] = CALLBACK;
		cb_fence[IN] = 0;
		list[0] = KEY(IN);
		refs[0]++;
		if
		:: owed[IN] = true; told[IN] = true
		:: true
		fi;
		i++;
#endif
		do
		:: i < WAITERS -> run waiter(i); i++
		:: else -> break
		od;
		i = 0;
		do
		:: i < CPUS -> run cpu(i); i++
		:: else -> break
		od;
		run adder();
#ifndef EXCLUSIVE
		run closer()
#endif
	}
}

#ifdef LIVE
/* Once every fence has signaled, whoever sleeps wakes up. */
#define all_signaled	(others_left == 0)
ltl wakes { [] (all_signaled -> <> (!asleep[0] && !asleep[WAITERS - 1])) }
#endif
