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
 * With one direction (EPOLLIN) all fences count, the waiters are alike, and the
 * adder may replace the list of fences by one without those that have signaled.
 * With DIRECTIONS=2 EPOLLIN waits for the first WRITES fences, EPOLLOUT for all. Then
 * one waiter wants both and the others one of the two; or, if there are WRITE fences
 * only, one polls for EPOLLOUT and does not sleep, and the others want EPOLLIN.
 * With EXCLUSIVE a wake-up for one direction reaches one of those who want it. One
 * waiter sleeps from the start and for good, wants both, and has EPOLLIN armed on
 * the first fence, whether it still owes a wake-up or EPOLLOUT has answered for it;
 * there is no closer.
 *
 * What is one step here: an access to memory that no lock protects, or a section
 * under a lock. The lock of a fence that signals is held over many steps, its
 * callbacks, as in the kernel, and so is the lock of the wait queue where others may
 * change what is looked at under it. A walk over the fences is two steps: to read
 * how many there are and, later, all of their signaled bits. That loses nothing, as
 * a bit once set stays set. Which end of the list a walk begins at is left open. A
 * reference is dropped in the step that gives it up. Memory is sequentially
 * consistent: what orders it is not checked.
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
byte	list_id;			/* changes when the list is replaced */

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

/* The wait queue, and who sleeps on it */
bool	queued[WAITERS];
byte	wants[WAITERS];
bool	triggered[WAITERS];
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

/* Who polls and finds the direction active is not woken by who claimed it. */
#ifdef BUG_NO_WAKE
#define SILENT		true
#else
#define SILENT		false
#endif

inline resv_snapshot(v, n)
{
	use();
	v = list_id;
	n = num_fences
}

/* Is fence f, one of the first n, left to wait for? Is any? */
#define left(f, d, n)	(f < n && !dropped[f] && counts(f, d) && !signaled[f])
#if FENCES == 2
#define any_left(d, n)	(left(0, d, n) || left(1, d, n))
#elif FENCES == 3
#define any_left(d, n)	(left(0, d, n) || left(1, d, n) || left(2, d, n))
#endif

/* One of the fences that are left, from either end of the list */
inline pick(d, fence, n)
{
	i_ = FENCES - 1;
	do
	:: !left(i_, d, n) -> i_--
	:: else -> break
	od;
	fence = i_;
	i_ = 0;
	if
	:: left(0, d, n) -> fence = 0
#if FENCES == 3
	:: left(1, d, n) -> fence = 1
#endif
	:: true
	fi
}

/*
 * dma_resv_find_unsignaled(), or with ref: dma_resv_get_unsignaled(). v, n: locals of
 * the caller. fence: what was found, or NONE. Fences that signaled are skipped, so
 * that one was dropped from the list does not show.
 */
inline resv_next(d, fence, v, n, ref)
{
	atomic { resv_snapshot(v, n) }
	do
	:: atomic { any_left(d, n) ->
		use();
		pick(d, fence, n);
		if
		:: ref -> fence_get(fence)
		:: else
		fi;
		v = 0;
		n = 0;
		break
	   }
	:: atomic { !any_left(d, n) && v == list_id -> use(); v = 0; n = 0; break }
	:: atomic { !any_left(d, n) && v != list_id -> resv_snapshot(v, n) }
	od
}

/* wake_up_locked_poll(), with exclusive waiters: whichever comes first */
inline wake_one(key)
{
	if
	:: queued[0] && (wants[0] & (key)) -> triggered[0] = true
	:: queued[1] && (wants[1] & (key)) -> triggered[1] = true
	:: else
	fi
}

/* wake_up_all_locked(), or the same without exclusive waiters */
inline wake_all(key)
{
	i_ = 0;
	do
	:: i_ < WAITERS ->
		if
		:: queued[i_] && (wants[i_] & (key)) -> triggered[i_] = true
		:: else
		fi;
		i_++
	:: else -> break
	od;
	i_ = 0
}

inline wake(key)
{
#ifdef EXCLUSIVE
	if
#ifndef BUG_ONE
	:: (key) == (KEY(IN) | KEY(OUT)) -> wake_all(key)
#endif
	:: else -> wake_one(key)
	fi
#else
	wake_all(key)
#endif
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

/* Does who owes nothing answer for the other direction? */
#ifdef BUG_UNASKED
#define MAY_ANSWER	true
#else
#define MAY_ANSWER	key_
#endif

/* What a wake-up for direction d says, if somebody waits for one. */
inline answer(d)
{
	if
	:: owed[d] ->
#ifndef BUG_TWICE
		owed[d] = false;
#endif
		key_ = key_ | KEY(d);
		assert(told[d]);
		told[d] = false
	:: else
	fi
}

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
 * dma_buf_poll_done(). result, fence, v, n: locals of the caller. who: the owner.
 * silent: see BUG_NO_WAKE.
 */
inline done(d, result, fence, v, n, who, queue_work, silent)
{
	atomic {
		!poll_locked -> poll_locked = true;
		assert(is_active[d] && owner[d] == who);
		resv_snapshot(v, n)
	}
	atomic {
		use();
		poll_locked = false;
		is_queued(result);
#ifdef BUG_FOLLOW
		result = true;
#endif
		result = result && (any_left(d, n) || v != list_id);
		if
#ifdef BUG_KEEP
		:: result && (queue_work)
		:: !(result && (queue_work)) && cb_fence[d] != NONE ->
#else
		:: cb_fence[d] != NONE ->
#endif
			fence = cb_fence[d];
			cb_fence[d] = NONE;
			fence_put(fence, queue_work);
			fence = NONE
		:: else
		fi;
		if
		:: result ->
			if
			:: queue_work -> owner[d] = WORK; queue_irq_work(d)
			:: else
			fi;
			result = false
		:: else ->
			key_ = 0;
			if
			:: !any_left(d, n) && v == list_id && !(silent) ->
				answer(d);
#if DIRECTIONS == 2
				if
				:: MAY_ANSWER && (d) == OUT -> answer(IN)
				:: MAY_ANSWER && (d) == IN && !any_left(OUT, n) -> answer(OUT)
				:: else
				fi
#endif
			:: else
			fi;
			owed[d] = false;
			told[d] = false;
			is_active[d] = false;
			owner[d] = NOBODY;
			wake(key_);
			key_ = 0;
			result = true
		fi;
		v = 0;
		n = 0
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
inline poll_ready(d, fence, result, v, n, before)
{
	resv_next(d, fence, v, n, false);
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
		:: !result -> poll_claim(d, fence, result, v, n, before)
		fi
	fi
}

/* dma_buf_poll_claim() as far as the claim */
inline poll_claim(d, fence, result, v, n, before)
{
	resv_next(d, fence, v, n, true);
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
		:: result -> poll_arm(d, fence, result, v, n, before)
		:: else
		fi
	fi
}

/*
 * Who waits for a fence is owed a wake-up, or has had one. That others have had one,
 * before there was this fence, is not enough where not everybody gets it.
 */
#ifdef EXCLUSIVE
#define HEARD(d)	(owed[d] || triggered[w])
#else
#define HEARD(d)	true
#endif

/* The rest of dma_buf_poll_claim(). result: whether the direction is ready */
inline poll_arm(d, fence, result, v, n, before)
{
	do
	:: true ->
		try(d, fence, result, HEARD(d));
		if
		:: result -> result = false; break
		:: else
		fi;
		resv_next(d, fence, v, n, true);
		if
		:: fence == NONE ->
			done(d, result, fence, v, n, POLLER, false, SILENT);
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
	byte fence = NONE, v, n, before;
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
	:: wants[w] & KEY(OUT) -> poll_ready(OUT, fence, result, v, n, before)
	:: else
	fi;
	if
	:: !result && (wants[w] & KEY(IN)) -> poll_ready(IN, fence, result, v, n, before)
	:: else
	fi;
#else
	poll_ready(IN, fence, result, v, n, before);
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
inline fence_cb(f, d, result, fence, v, n)
{
	list[f] = list[f] & ~KEY(d);
	assert(owner[d] == CALLBACK && cb_fence[d] == f);
	done(d, result, fence, v, n, CALLBACK, true, false);
	result = false
}

/* dma_fence_signal(), by whoever holds a reference */
proctype signaler(byte f)
{
	byte fence = NONE, v, n;
	bool result;

	atomic { !locked[f] -> locked[f] = true; signaled[f] = true }
	do
	:: list[f] & KEY(IN) -> fence_cb(f, IN, result, fence, v, n)
#if DIRECTIONS == 2
	:: list[f] & KEY(OUT) -> fence_cb(f, OUT, result, fence, v, n)
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
		:: list_id++;
			/* The new list does without the fences that have signaled. */
			i_ = 0;
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
inline work(d, fence, result, v, n)
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
		resv_next(d, fence, v, n, true);
		try(d, fence, result, true);
		if
		:: result -> break
		:: else
		fi;
#ifdef BUG_ARM_ON
		if
		:: any_left(d, num_fences)
		:: else -> done(d, result, fence, v, n, WORK, false, false)
		fi;
#else
		done(d, result, fence, v, n, WORK, false, false);
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
	byte fence = NONE, v, n, d;
	bool result;

end:	do
	:: atomic { raised[c] ->
		d = (raised[c] & KEY(IN) -> IN : OUT);
		raised[c] = raised[c] & ~KEY(d);
		runs[c] = true;
		assert(!gone);
		pending[d] = false
	   }
		work(d, fence, result, v, n);
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
inline cancel(d, fence, own, result, v, n)
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
		:: result -> done(d, result, fence, v, n, CALLBACK, false, false)
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
	byte fence = NONE, own = NONE, v, n;
	bool result;

	waiters_left == 0;
	cancel(IN, fence, own, result, v, n);
#if DIRECTIONS == 2
	cancel(OUT, fence, own, result, v, n);
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
