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
 * With one direction (EPOLLIN) all fences count, the waiters are alike, any of them may
 * poll without a place in the queue, and a fence that is added may take the place of
 * those that have signaled, or of all.
 * With DIRECTIONS=2 EPOLLIN waits for the first WRITES fences, EPOLLOUT for all. Then
 * one waiter wants both and the others one of the two; or, if there are WRITE fences
 * only, the others poll for EPOLLOUT and do not sleep.
 * With EXCLUSIVE each waiter may be an exclusive one: of those a wake-up with a mask
 * reaches one. With REARM a waiter that was woken stays on the queue and wants nothing,
 * until it wants the same again and looks (EPOLLONESHOT, EPOLL_CTL_MOD). With PATIENT
 * nobody goes away who has not been told "ready". With EARLY the bit of a fence is set
 * before the lock of the fence is taken, as i915 does. With LATE the irq_work would
 * come late, and all look again in its place. With RUSH so many looks give up, as
 * fences come and go faster than one can look.
 *
 * What is one step here: an access to memory that no lock protects, or a section
 * under a lock. A lock is held over many steps where others may change what is looked
 * at under it: that of a fence that signals, poll_lock, and that of the wait queue. A
 * look at the fences is one step: resv-look.pml says why it may be. Which of those that
 * are left it finds is left open. A reference is dropped in the step that gives it up.
 * Memory is sequentially consistent: what orders it is not checked.
 *
 * Every run ends, and nobody sleeps then: a waiter that is not woken is an invalid end
 * state. -DBUG_x breaks the model in one place, and has to be found.
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
#define AGAIN		254	/* the look has given up: ERR_PTR(-EAGAIN) */
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
bool	resv_locked;
#ifdef RUSH
byte	rush = RUSH;			/* so many looks may still give up */
#endif

/* struct dma_buf, and struct dma_buf_poll_cb_t of each direction */
bool	freed;
bool	poll_locked;			/* poll_lock */
bool	queue_locked;			/* the lock is held over several steps */
bool	rushed;				/* whoever holds it has given up */
byte	cb_fence[DIRECTIONS] = NONE;
bool	func[DIRECTIONS];		/* the callback is still to come */
bool	owed[DIRECTIONS];

/* The irq_work, and what runs it */
bool	pending;			/* IRQ_WORK_PENDING */
bool	busy;				/* IRQ_WORK_BUSY */
bool	gone;				/* the memory it is in has been freed */
bool	raised[CPUS];			/* this CPU has been asked to run it */
bool	runs[CPUS];			/* it does */

/* The wait queue, and its sleepers */
bool	queued[WAITERS];
byte	wants[WAITERS];
bool	triggered[WAITERS];
#ifdef EXCLUSIVE
bool	exclusive[WAITERS];
#endif

/* Only for the checks */
byte	since[WAITERS];			/* there were so many fences when it queued */
bool	told[DIRECTIONS];		/* "not yet" was said, and no wake-up followed */
byte	waiters_left = WAITERS;
byte	others_left = FENCES + 1;	/* signalers and the adder */

hidden byte i_;
hidden byte j_;
hidden byte key_;
hidden byte all_;			/* a wake-up without a mask */

/* Every step that touches the dma-buf or its reservation object says so. */
#define use()		assert(!freed)

inline fence_get(f)
{
	assert(refs[f] > 0);
	refs[f]++
}

/* The last reference goes neither under the lock of f nor with a callback on it. */
inline fence_put(f)
{
	assert(refs[f] > 0);
	refs[f]--;
	assert(refs[f] > 0 || (list[f] == 0 && !locked[f]))
}

/* Is fence f left to wait for? Is any? Has anybody queued? */
#define left(f, d)	(f < num_fences && !dropped[f] && counts(f, d) && !signaled[f])
#if FENCES == 2
#define any_left(d)	(left(0, d) || left(1, d))
#elif FENCES == 3
#define any_left(d)	(left(0, d) || left(1, d) || left(2, d))
#endif
#if WAITERS == 1
#define any_queued	queued[0]
#elif WAITERS == 2
#define any_queued	(queued[0] || queued[1])
#endif

/* dma_resv_get_unsignaled(): any of the fences that are left, or AGAIN */
inline resv_get(d, fence, locked_)
{
	atomic {
		use();
		if
#ifdef RUSH
		:: rush > 0 && !(locked_) -> rush--; fence = AGAIN
#endif
		:: left(0, d) -> fence = 0; fence_get(0)
		:: left(1, d) -> fence = 1; fence_get(1)
#if FENCES == 3
		:: left(2, d) -> fence = 2; fence_get(2)
#endif
		:: else -> fence = NONE
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
#ifdef BUG_ONE
#define to_all		false
#else
#define to_all		(all_ || any_exclusive)
#endif

/*
 * What a wake-up with a mask says is true: what was there when w queued has signaled, or
 * has been replaced.
 */
inline wake_one(w)
{
	triggered[w] = true;
	j_ = 0;
	do
	:: j_ < since[w] && !to_all ->
		assert(signaled[j_] || dropped[j_] ||
		       !((key_ & wants[w] & KEY(IN)) && counts(j_, IN)) &&
		       !((key_ & wants[w] & KEY(OUT)) && counts(j_, OUT)));
		j_++
	:: else -> break
	od;
	j_ = 0
}

/*
 * wake_up_locked_poll(): of those who wait exclusively whichever comes first. If there
 * is one, wake_up_all_locked(): everybody looks again.
 */
inline wake()
{
#ifdef EXCLUSIVE
	if
	:: !to_all && queued[0] && exclusive[0] && (wants[0] & key_) -> wake_one(0)
	:: !to_all && queued[1] && exclusive[1] && (wants[1] & key_) -> wake_one(1)
	:: else
	fi;
#endif
	i_ = 0;
	do
	:: i_ < WAITERS ->
		if
		:: queued[i_] && (to_all || (!is_exclusive(i_) && (wants[i_] & key_))) ->
			wake_one(i_)
		:: else
		fi;
		i_++
	:: else -> break
	od;
	i_ = 0
}

/* A wake-up speaks of direction d. Between two that do "not yet" is said. */
inline answer(d)
{
	owed[d] = false;
	assert(told[d]);
	told[d] = false;
	key_ = key_ | KEY(d)
}

/* dma_buf_poll_look_again() */
inline look_again(d)
{
	assert(told[d]);
#ifndef BUG_LATE_OWED
	owed[d] = false;
	told[d] = false;
#endif
	all_ = true;
	wake();
	all_ = false
}

/* irq_work_queue(): any CPU; one that has nothing to do is the worst. */
inline queue_irq_work()
{
	if
	:: pending
	:: else ->
#ifndef BUG_NO_WORK
		pending = true;
		busy = true;
		i_ = 0;
		do
		:: i_ < CPUS - 1 && (raised[i_] || runs[i_]) -> i_++
		:: else -> break
		od;
		raised[i_] = true;
#endif
		i_ = 0
	fi
}

/* The callback ends; whoever takes it off sees if it is still to come. */
inline tell_end(d, comes, callback)
{
	queue_locked = false;
	if
	:: callback ->
#ifndef BUG_KEEP_FUNC
		func[d] = false
#endif
	:: else -> comes = func[d]
	fi
}

#ifdef BUG_FOLLOW
#define nobody_queued	false
#else
#define nobody_queued	(!any_queued)
#endif

/*
 * dma_buf_poll_tell(), with the lock of the wait queue around it, and what follows in
 * dma_buf_poll_cb() or in dma_buf_poll_disarm(). looks: a local of the caller. The
 * second step is the look at this direction, the third begins with that at the other one.
 */
inline tell(d, looks, comes, callback)
{
	atomic {
		!queue_locked;
		use();
		assert(owed[d] || !told[d]);
		if
		:: !owed[d] || nobody_queued ->
			owed[d] = false;
			told[d] = false;
			looks = false;
			tell_end(d, comes, callback)
		:: else ->
			looks = true;
#ifndef BUG_OUTSIDE
			queue_locked = true
#endif
		fi
	}
	if
	:: looks ->
		atomic {
			use();
#ifdef BUG_BLIND
			looks = false
#else
			looks = any_left(d);
#ifdef RUSH
			if
			:: rush > 0 -> rush--; looks = true; rushed = true
			:: true
			fi
#endif
#endif
		}
		atomic {
#ifdef BUG_OUTSIDE
			!queue_locked;
#endif
			use();
			if
#ifdef LATE
			:: looks ->
#else
			:: looks && rushed ->
#endif
				look_again(d);
				rushed = false
#ifndef LATE
			:: looks && !rushed ->
				queue_irq_work()
#endif
			:: else ->
				key_ = 0;
				answer(d);
#if DIRECTIONS == 2
				if
#ifdef BUG_OTHER_BLIND
				:: owed[1 - (d)] ->
#else
				:: owed[1 - (d)] && ((d) == OUT || !any_left(OUT)) ->
#endif
					answer(1 - (d))
#ifdef BUG_TWICE
					; owed[1 - (d)] = true
#endif
#ifdef RUSH
				:: rush > 0 && owed[1 - (d)] && (d) == IN -> rush--
#endif
				:: else
				fi;
#endif
				wake();
				key_ = 0
			fi;
			looks = false;
			tell_end(d, comes, callback)
		}
	:: else
	fi
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

/* dma_fence_add_callback() */
inline add_callback(d, fence)
{
	if
	:: signaled[fence]
	:: atomic { !locked[fence] ->
		use();
		if
		:: signaled[fence]
		:: else ->
			assert(refs[fence] > 0);
			check_single(d);
			list[fence] = list[fence] | KEY(d);
			func[d] = true
		fi
	   }
	fi
}

/* dma_buf_poll_disarm(), with poll_lock held */
inline disarm(d, looks, comes)
{
#ifndef BUG_NO_TELL
	tell(d, looks, comes, false);
#else
	atomic { !queue_locked -> use(); comes = func[d] }
#endif
	if
	:: comes ->
		/* dma_fence_remove_callback(): is it on a list? It must be that one. */
		atomic {
			assert(cb_fence[d] != NONE && refs[cb_fence[d]] > 0);
#ifndef BUG_REMOVE
			!locked[cb_fence[d]];
#endif
			use();
			if
			:: list[cb_fence[d]] & KEY(d) ->
				list[cb_fence[d]] = list[cb_fence[d]] & ~KEY(d);
				func[d] = false
			:: else
			fi;
			check_single(d);
			comes = false
		}
	:: else
	fi;
	atomic {
		use();
		if
		:: cb_fence[d] != NONE -> fence_put(cb_fence[d]); cb_fence[d] = NONE
		:: else
		fi
	}
}

/*
 * The irq_work leaves it as it is: those it works for may have had their wake-up by
 * now, from the other direction.
 */
inline owes(d, polls)
{
#if defined(BUG_WORK_OWES)
	owed[d] = true;
#elif !defined(BUG_NOT_SET)
	owed[d] = owed[d] || polls;
#endif
	told[d] = told[d] || polls
}

/*
 * dma_buf_poll_arm(), with poll_lock held. result: whether a fence is left. polls: "not
 * yet" is what the caller says then. If it has given up fence is AGAIN at the end.
 */
inline arm(d, fence, result, comes, polls, locked_)
{
	do
	:: true ->
		atomic {
			!queue_locked;
			use();
			result = func[d];
			if
			:: result -> owes(d, polls); break
			:: else
			fi
		}
		resv_get(d, fence, locked_);
		if
		:: fence == NONE || fence == AGAIN -> break
		:: else
		fi;
		atomic {
			use();
#ifndef BUG_KEEP_FENCE
			if
			:: cb_fence[d] != NONE -> fence_put(cb_fence[d])
			:: else
			fi;
#endif
			cb_fence[d] = fence
		}
		add_callback(d, fence);
		fence = NONE;
#ifdef BUG_UNHEARD
		/* Added is armed, whether or not it has run since. */
		atomic {
			!queue_locked;
			owes(d, polls);
			result = true;
			break
		}
#endif
	od;
	if
	:: result || fence == AGAIN
	:: else -> disarm(d, result, comes)
	fi
}

#ifdef BUG_NOT_OWED
#define relies(d)	func[d]
#else
#define relies(d)	owed[d]
#endif

/* dma_buf_poll_ready() */
inline poll_ready(d, fence, result, comes)
{
	atomic {
		use();
		result = any_left(d);
#ifdef RUSH
		if
		:: rush > 0 -> rush--; fence = AGAIN
		:: true
		fi
#endif
	}
	if
#ifdef RUSH
	:: fence == AGAIN
#endif
	:: atomic { fence == NONE && result && relies(d) -> use(); told[d] = true }
	:: atomic { fence == NONE && !result && cb_fence[d] == NONE -> use() }
	:: else ->
#ifndef BUG_NO_LOCK
		atomic { !poll_locked -> use(); poll_locked = true }
#endif
		if
		:: result -> arm(d, fence, result, comes, true, false)
		:: else -> disarm(d, result, comes)	/* dma_buf_poll_move() */
		fi;
		poll_locked = false
	fi;
#ifdef RUSH
	if
	:: fence == AGAIN ->
		fence = NONE;
#ifdef BUG_RUSH_LEFT
		result = true
#else
		/* dma_buf_poll_update() */
		atomic { !resv_locked -> resv_locked = true }
		atomic { use(); result = any_left(d) }
		atomic { !poll_locked -> use(); poll_locked = true }
		if
		:: result -> arm(d, fence, result, comes, true, true)
		:: else -> disarm(d, result, comes)
		fi;
		atomic { poll_locked = false; resv_locked = false }
#endif
	:: else
	fi;
#endif
	result = !result
}

/* Does waiter w poll without a place in the queue? */
#if DIRECTIONS == 1
#define never_sleeps(w)	false
#define may_not_sleep(w) true
#else
#define never_sleeps(w)	(WRITES == FENCES && w > 0)
#define may_not_sleep(w) never_sleeps(w)
#endif

/* A thread in poll(): do_poll() and dma_buf_poll() */
proctype waiter(byte w)
{
	byte fence = NONE, d;
	bool result, comes;

	atomic {
#if DIRECTIONS == 1
		/* All waiters are alike: let them start in this order. */
		!queue_locked && (w == 0 || queued[w - 1] || waiters_left < WAITERS);
		wants[w] = KEY(IN);
#else
		!queue_locked;
		if
		:: w == 0 -> wants[w] = KEY(IN) | KEY(OUT)
		:: w > 0 -> wants[w] = KEY(OUT)
#if WRITES < FENCES
		:: w > 0 -> wants[w] = KEY(IN)
#endif
		fi;
#endif
#ifdef EXCLUSIVE
		if
		:: exclusive[w] = true
		:: w == 0
		fi;
#endif
		if
#ifndef BUG_LOOK_FIRST
		:: !never_sleeps(w) -> queued[w] = true		/* poll_wait() */
#endif
		:: may_not_sleep(w)
		fi;
		since[w] = num_fences
	}
look:
#if DIRECTIONS == 2
	if
	:: wants[w] & KEY(OUT) -> d = OUT; poll_ready(d, fence, result, comes)
	:: else
	fi;
#endif
	if
	:: !result && (wants[w] & KEY(IN)) -> d = IN; poll_ready(d, fence, result, comes)
	:: else
	fi;
	atomic {
		d = 0;
#ifdef BUG_LOOK_FIRST
		queued[w] = true;
#endif
		if
		:: !result && queued[w]
#ifdef PATIENT
		:: result || !queued[w] -> goto leave
#else
		:: goto leave			/* ready, or had enough */
#endif
		fi
	}
	atomic {
		triggered[w] ->
		triggered[w] = false;
#ifdef REARM
		d = wants[w];
		wants[w] = 0
	}
	atomic {
		wants[w] = d;			/* ep_modify(): not under the lock of the queue */
		d = 0;
#endif
		goto look
	}
leave:
	atomic {
		!queue_locked;
		result = false;
		queued[w] = false;
		triggered[w] = false;
		wants[w] = 0;
		since[w] = 0;
		waiters_left--
	}
}

/* dma_buf_poll_cb(), under the lock of f, with the callback off its list */
inline fence_cb(f, d, looks)
{
	list[f] = list[f] & ~KEY(d);
	assert(cb_fence[d] == f);
	tell(d, looks, i_, true)		/* i_: not used */
}

/* dma_fence_signal(), by whoever holds a reference */
proctype signaler(byte f)
{
	bool looks;

#ifdef EARLY
	signaled[f] = true;
#endif
	atomic { !locked[f] -> locked[f] = true; signaled[f] = true }
	do
	:: list[f] & KEY(IN) -> fence_cb(f, IN, looks)
#if DIRECTIONS == 2
	:: list[f] & KEY(OUT) -> fence_cb(f, OUT, looks)
#endif
	:: atomic { list[f] == 0 ->
#ifdef BUG_EARLY_PUT
		fence_put(f);
#endif
		locked[f] = false;
		break
	   }
	od;
	atomic {
#ifndef BUG_EARLY_PUT
		fence_put(f);
#endif
		others_left--
	}
}

/*
 * Under the reservation lock: dma_resv_reserve_fences() with dma_resv_add_fence(), or
 * dma_resv_replace_fences()
 */
proctype adder()
{
	do
	:: atomic { num_fences < FENCES && !resv_locked ->
		refs[num_fences]++;
		num_fences++;
		if
		:: true
#if DIRECTIONS == 1
		:: i_ = 0;
			do
			:: i_ < num_fences - 1 ->
				if
				:: !dropped[i_] -> dropped[i_] = true; fence_put(i_)
				:: signaled[i_] || dropped[i_]
				fi;
				i_++
			:: else -> break
			od;
			i_ = 0
#endif
		fi
	   }
	:: atomic { num_fences == FENCES -> others_left--; break }
	od
}

/*
 * irq_work_run_list(), irq_work_single() and dma_buf_poll_work(). As soon as it runs
 * an irq_work may be queued again, and then two CPUs can run it at a time. Busy is one
 * bit: the first of them to end clears it.
 */
proctype cpu(byte c)
{
	byte fence = NONE, d;
	bool result, comes;

end:	do
	:: atomic { raised[c] ->
		raised[c] = false;
		runs[c] = true;
		assert(!gone);
		pending = false
	   }
#ifndef BUG_UNLOCKED
		atomic { !poll_locked -> assert(!gone); poll_locked = true }
#endif
		do
		:: d < DIRECTIONS ->
			result = owed[d];
			if
			:: result ->
#ifdef BUG_UNLOCKED
				atomic { !poll_locked -> use(); poll_locked = true }
#endif
				arm(d, fence, result, comes, false, false);
#ifdef RUSH
				if
				:: fence == AGAIN ->
					atomic {
						!queue_locked;
						use();
						fence = NONE;
#ifndef BUG_RUSH_KEPT
						if
#ifdef BUG_RUSH_OWED
						:: true -> look_again(d)
#else
						:: owed[d] -> look_again(d)
						:: else
#endif
						fi
#endif
					}
				:: else
				fi
#endif
			:: else
			fi;
#ifdef BUG_UNLOCKED
			poll_locked = false;
#endif
			atomic { result = false; d++ }
		:: else -> break
		od;
		atomic { assert(!gone); poll_locked = false }
		/* The cmpxchg(), which fails when it is pending again. */
		atomic {
			assert(!gone);
			busy = pending;
			runs[c] = false;
			d = 0
		}
	od
}

/* The last fput(): dma_buf_poll_release(), dma_buf_release() */
proctype closer()
{
	byte f;
	bool result, comes;

	waiters_left == 0;
#ifndef BUG_NO_SYNC
	!busy;				/* irq_work_sync() */
#endif
#ifndef BUG_NO_WAIT
	atomic { !poll_locked -> poll_locked = true }
#endif
#ifndef BUG_NO_CANCEL
	disarm(IN, result, comes);
#if DIRECTIONS == 2
	disarm(OUT, result, comes);
#endif
#endif
	atomic {
		freed = true;
		poll_locked = false
	}

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
		do
		:: f < FENCES ->
			if
			:: !dropped[f] -> fence_put(f)
			:: else
			fi;
			assert(refs[f] == 0);
			f++
		:: else -> break
		od;
		f = 0
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
		run closer()
	}
}
