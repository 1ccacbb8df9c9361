/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The look at the fences of a reservation object while others change them: a model of
 * dma_resv_find_unsignaled() in drivers/dma-buf/dma-resv.c for spin (https://spinroot.com).
 *
 * One reader looks once, without a lock; with INTERRUPT as an interrupt that has stopped
 * the CPU which holds the lock. Its holder changes the fences up to WRITES times: a
 * fence takes the place of another one, or of all of them, or is appended, or the list
 * is replaced, by one without some of those that have signaled, by one with another
 * fence, or by none. As there is a lock, one process stands for all who write. A fence
 * may signal at any time, in the list or before: that is some other CPU.
 *
 * If the reader finds nothing left, then at one instant since it began all fences of
 * the list had signaled. With BUSY only those histories are tried in which one is
 * pending at every instant, so that the reader has to find it. It gives up after WALKS
 * walks, but only if somebody has written meanwhile: as an interrupt it walks twice at
 * most. With ENDLESS fences take each other's place without end, and the reader still
 * comes to one.
 *
 * What is one step here: an access to memory that others may change. The memory of a
 * fence is used again as soon as nobody holds a reference, for a fence of something
 * else, which may signal. Mostly RCU keeps it for longer. That of a list is not used
 * again, as it is freed after a grace period. Memory is sequentially consistent: what
 * orders it is not checked.
 *
 * -DBUG_x breaks the model in one place, and has to be found.
 */
#ifndef WRITES
#define WRITES		3
#endif
#ifndef WALKS
#define WALKS		4	/* DMA_RESV_WALKS */
#endif
#define SLOTS		2
#ifdef ENDLESS
#define LISTS		1
#else
#define LISTS		3
#endif
#define FENCES		(SLOTS + 1)

#define NONE		255	/* no list: NULL */

/* struct dma_fence */
bool	flag[FENCES] = true;		/* the signaled bit in its memory, whoever's that is */
bool	signaled[FENCES] = true;	/* the fence itself */
byte	refs[FENCES];			/* 0: the memory is used for something else */

/* struct dma_resv_list, and the one in use */
byte	slot[LISTS * SLOTS];
byte	num_fences[LISTS];
byte	seq[LISTS];
byte	fences = NONE;
byte	lists;				/* there have been so many */

bool	looking;			/* the reader has begun */
bool	stopped;			/* whoever writes: by the interrupt, or as it is over */
bool	calm;				/* all have signaled, or had since the reader began */
bool	moved;				/* somebody has written since then */
#ifdef ENDLESS
bool	walking;			/* in every other walk */
#endif

hidden byte old_;

#define SLOT(list, i)	slot[(list) * SLOTS + (i)]
#define waits(i)	(i < num_fences[fences] && !signaled[SLOT(fences, i)])
#define idle()		(fences == NONE || !(waits(0) || waits(1)))

/* May fence f signal, or give way to one that has? */
#ifdef BUSY
#define waits_else(f, i) (waits(i) && SLOT(fences, i) != (f))
#define may_go(f)	(waits_else(f, 0) || waits_else(f, 1))
#else
#define may_go(f)	true
#endif

/* Whatever changes the fences of the list, or signals one, ends with this. */
inline changed()
{
#ifdef ENDLESS
	calm = true
#else
	calm = calm || idle()
#endif
}

inline put(f)
{
	assert(refs[f] > 0);
	refs[f]--;
	if
	:: refs[f] == 0 -> flag[f] = false
	:: true
	fi
}

/* A new fence, with the reference for one slot. */
inline new(f)
{
	f = 0;
	do
	:: refs[f] -> f++
	:: else -> break
	od;
	refs[f] = 1;
	flag[f] = false;
	signaled[f] = false
}

/* With ENDLESS the counter soon starts over: good enough to go round by, and no more. */
#ifdef ENDLESS
#define advance(by)	seq[fences] = (seq[fences] + (by)) % 2; moved = looking
#else
#define advance(by)	seq[fences] = seq[fences] + (by); moved = looking
#endif

/* raw_write_seqcount_begin() */
#if defined(BUG_NO_COUNTER) || defined(BUG_AFTER)
#define begin()		skip
#elif defined(BUG_BEFORE)
#define begin()		advance(2)
#else
#define begin()		advance(1)
#endif

/* raw_write_seqcount_end() */
#if defined(BUG_NO_COUNTER) || defined(BUG_BEFORE)
#define end()		skip
#elif defined(BUG_AFTER)
#define end()		advance(2)
#else
#define end()		advance(1)
#endif

/* dma_resv_list_put() of f into slot i, and dma_fence_put() of what was there */
inline replace(f, i, old)
{
#ifndef BUG_ADD_ONLY
	atomic { !stopped; begin() }
#endif
	atomic {
		!stopped && (!signaled[f] || may_go(SLOT(fences, i)));
		old = SLOT(fences, i);
#ifdef BUG_EARLY_PUT
		put(old)
	}
	atomic {
		!stopped;
#endif
		SLOT(fences, i) = f;
		changed()
	}
	atomic {
		!stopped;
#ifndef BUG_ADD_ONLY
		end();
#endif
#ifndef BUG_EARLY_PUT
		put(old);
#endif
		old = 0
	}
}

/* dma_resv_list_put() of f behind the others */
inline append(f)
{
#ifndef BUG_REPLACE_ONLY
	atomic { !stopped; begin() }
#endif
	atomic { !stopped; SLOT(fences, num_fences[fences]) = f }
	atomic { !stopped; num_fences[fences]++; changed() }
#ifndef BUG_REPLACE_ONLY
	atomic { !stopped; end() }
#endif
}

/* All that was said before the reader begins is said by where it begins. */
#define may_write	(!stopped && n < WRITES && (n == 0 || looking))
#ifdef ENDLESS
#define written()	skip
#else
#define written()	n++
#endif

/* The holder of the lock: dma_resv_add_fence(), dma_resv_replace_fences() and so on */
proctype writer()
{
	byte f, i, old, n;

	do
	:: atomic { may_write && fences != NONE && num_fences[fences] ->
		written();
		new(f);
		if
		:: true
		:: num_fences[fences] > 1 -> i = 1
		fi
	   }
		replace(f, i, old);
		do
		:: atomic { !stopped && i + 1 < num_fences[fences] -> refs[f]++; i++ }
			replace(f, i, old)
		:: atomic { !stopped -> f = 0; i = 0; break }
		od
	:: atomic { may_write && fences != NONE && num_fences[fences] < SLOTS ->
		written();
		new(f)
	   }
		append(f);
		f = 0
	:: atomic { may_write && lists < LISTS ->
		written();
		moved = looking;
		old_ = fences;
		fences = lists;
		lists++;
		do
		:: old_ != NONE && i < num_fences[old_] ->
			SLOT(fences, num_fences[fences]) = SLOT(old_, i);
			num_fences[fences]++;
			i++
		:: old_ != NONE && i < num_fences[old_] && signaled[SLOT(old_, i)] ->
			put(SLOT(old_, i));
			i++
		:: old_ == NONE -> break
		:: old_ != NONE && i == num_fences[old_] -> break
		/* dma_resv_copy_fences() */
		:: i == 0 ->
			do
			:: old_ != NONE && i < num_fences[old_] -> put(SLOT(old_, i)); i++
			:: else -> break
			od;
			if
#ifndef BUSY
			:: fences = NONE		/* from an object without any */
#endif
			:: true ->
				new(f);
				SLOT(fences, 0) = f;
				num_fences[fences] = 1;
				f = 0
			fi;
			break
		od;
		i = 0;
		old_ = 0;
		changed()
	   }
	od
}

/* dma_fence_signal(), by anybody, of one of these or of something else */
proctype signaler()
{
	byte f;

	do
	:: atomic {
		if
		:: !flag[0] && (!refs[0] || may_go(0)) -> f = 0
		:: !flag[1] && (!refs[1] || may_go(1)) -> f = 1
		:: !flag[2] && (!refs[2] || may_go(2)) -> f = 2
		fi;
		flag[f] = true;
		if
		:: refs[f] -> signaled[f] = true
		:: else
		fi;
		f = 0;
		changed()
	   }
	od
}

#ifdef ENDLESS
ltl comes_to_an_end { <>[] walking || <>[] !walking }
#endif

/* dma_resv_find_unsignaled() */
proctype reader()
{
	byte list, f, i, n;
	byte now, before;		/* the counter in this walk, and in the one before */
	byte walks;
	bool last;

	atomic {
#ifdef BUSY
		!idle();
#endif
#ifdef INTERRUPT
		stopped = true;
#endif
		looking = true;
		moved = false;
		changed();
		if
		:: last = true
#ifndef ENDLESS
		:: true
#endif
		fi
	}
again:
	atomic {
		list = fences;
#ifndef BUG_OTHER
		now = 0;
#endif
		if
		:: list == NONE -> goto nothing
		:: else
		fi
	}
walk:
#ifdef ENDLESS
	walking = !walking;
#endif
	if
	:: walks == WALKS -> assert(moved); goto out		/* -EAGAIN */
#ifdef BUG_ENDLESS
	:: walks < WALKS
#else
	:: walks < WALKS -> walks++
#endif
	fi;
#ifdef INTERRUPT
	assert(walks <= 2);
#endif
#ifdef BUG_LATE
	n = num_fences[list];
	atomic { before = now; now = seq[list] }
#else
	atomic { before = now; now = seq[list] }
	n = num_fences[list];
#endif
	do
	:: atomic { i < n ->
		f = (last -> SLOT(list, n - 1 - i) : SLOT(list, i));
		i++
	   }
		if
		:: atomic { !flag[f] -> goto out }
		:: atomic { flag[f] -> f = 0 }
		fi
	:: atomic { i == n -> i = 0; n = 0; break }
	od;
#ifndef BUG_LIST
	if
	:: list != fences -> goto again
	:: list == fences
	fi;
#endif
	atomic {
		if
#ifndef BUG_NO_COUNTER
		:: seq[list] != now -> goto walk
#endif
#if defined(BUG_WAIT)
		:: now & 1 -> goto walk
#elif !defined(BUG_ODD)
		:: (now & 1) && now != before -> goto walk
#endif
		:: else
		fi
	}
nothing:
	assert(calm);
out:
	stopped = true
}

init
{
	atomic {
		/* No list, or one with up to two fences, each signaled or not. */
		if
		:: true
		:: fences = 0;
			lists = 1;
			do
			:: num_fences[0] < SLOTS ->
				refs[num_fences[0]] = 1;
				SLOT(0, num_fences[0]) = num_fences[0];
				if
				:: flag[num_fences[0]] = false; signaled[num_fences[0]] = false
				:: true
				fi;
				num_fences[0]++
			:: break
			od
		fi;
		run writer();
		run signaler();
		run reader()
	}
}
