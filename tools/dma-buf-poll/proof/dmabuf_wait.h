/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Every way there is to wait for a file, behind one face.
 *
 * Events are those of poll(2), which epoll, io_uring and aio share, and select(2)
 * is translated. A wait returns the events that are ready, 0 when none became
 * so in time, or -errno.
 */
#ifndef __SELFTEST_DMABUF_WAIT_H
#define __SELFTEST_DMABUF_WAIT_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum wait_kind {
	WAIT_POLL,
	WAIT_PPOLL,
	WAIT_SELECT,
	WAIT_EPOLL_LT,
	WAIT_EPOLL_ET,
	WAIT_EPOLL_ONESHOT,
	WAIT_EPOLL_EXCLUSIVE,
	WAIT_EPOLL_NESTED,
	WAIT_IO_URING,
	WAIT_IO_URING_MULTISHOT,
	WAIT_AIO,
	WAIT_KINDS,
};

extern const char * const wait_kind_names[WAIT_KINDS];

static inline const char *wait_kind_name(enum wait_kind kind)
{
	return wait_kind_names[kind];
}

/* Why this kind cannot be used here, or NULL. */
const char *wait_kind_missing(enum wait_kind kind);

/*
 * Whether it waits by a request, of io_uring or aio. That refers to the file until
 * it completes, which it does with what it was woken with, or is cancelled.
 */
bool wait_kind_is_request(enum wait_kind kind);

/*
 * A file that is being watched in one of the ways. What a kind keeps in the
 * kernel between two waits (an epoll instance, a request of io_uring or aio)
 * stays there from one call of poller_wait() to the next.
 */
struct poller;

struct poller *poller_open(enum wait_kind kind, int fd, short events);
int poller_wait(struct poller *p, int timeout_ms);
/* epoll: EPOLL_CTL_MOD with the same events as before */
int poller_rearm(struct poller *p);
/* takes a request back; what it completes with, or -ECANCELED, is left to wait for */
int poller_cancel(struct poller *p);
void poller_close(struct poller *p);

/* How many times in a row the poller reports something right now. */
int poller_drain(struct poller *p, int rounds);

/* What fd has ready now, asked in one of the ways. */
int wait_now(enum wait_kind kind, int fd, short events);

/*
 * One io_uring with any number of requests to poll, each known by its tag.
 * poll_ring_next() returns 1 with one more completion, 0 when none came in
 * time, or -errno; with a timeout below 0 it does not even enter the kernel.
 */
#define POLL_RING_CANCEL	UINT64_MAX

struct poll_ring;

struct poll_done {
	/* of the request, or POLL_RING_CANCEL for what a cancel said */
	uint64_t tag;
	/* events, or -errno */
	int res;
	/* multishot: this was not its last */
	bool more;
};

struct poll_ring *poll_ring_open(unsigned int entries);
int poll_ring_add(struct poll_ring *r, int fd, short events, bool multishot,
		  uint64_t tag);
int poll_ring_cancel(struct poll_ring *r, uint64_t tag);
int poll_ring_next(struct poll_ring *r, int timeout_ms, struct poll_done *done);
void poll_ring_close(struct poll_ring *r);

/*
 * A thread that sleeps until events are ready: started, known to be asleep,
 * and joined. It wakes up by itself only long after the test has given up on
 * it, and so never passes for woken.
 */
struct waiter;

struct waiter *waiter_start(enum wait_kind kind, int fd, short events);
/* Waits until it has gone to sleep at least that many times. */
int waiter_wait_asleep(struct waiter *w, long times);
bool waiter_returned(struct waiter *w);
/* How often it went to sleep up to now: see sched_sample(). */
long waiter_sleeps(struct waiter *w);
/* Waits for its return, and returns what it was woken with, after how many. */
int waiter_join(struct waiter *w, long *wakeups);

#endif /* __SELFTEST_DMABUF_WAIT_H */
