/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Ways to wait for a file, behind one face, and threads that sleep in them.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <time.h>

#include <linux/aio_abi.h>
#include <linux/io_uring.h>
#include <linux/time_types.h>

#include "../kselftest_harness.h"

/* How long something that must not happen is given, and something that must */
#define SETTLE_MS	20
#define GIVE_UP_MS	5000

/*
 * What a way of waiting keeps in the kernel from one wait to the next, if it does.
 * To wait gives the events that are ready, 0 if none became so in time, or -1.
 */
struct watch {
	const struct way {
		int (*wait)(struct watch *w, int ms);
		int (*open)(struct watch *w);
		unsigned int flags;
	} *way;
	int target;
	int events;
	int fd;			/* an epoll instance, or the ring of io_uring */
	int outer;		/* the epoll instance that has fd in it */
	aio_context_t aio;
	atomic_uint *cq_head, *cq_tail;
	unsigned int cq_mask;
	struct io_uring_cqe *cqes;
	char *ring;
	size_t ring_size;
};

static int wait_poll(struct watch *w, int ms)
{
	struct pollfd pfd = { .fd = w->target, .events = w->events };
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000L };
	int ret = w->way->flags ? ppoll(&pfd, 1, &ts, NULL) : poll(&pfd, 1, ms);

	return ret < 0 ? -1 : pfd.revents;
}

static int wait_select(struct watch *w, int ms)
{
	struct timeval tv = { ms / 1000, ms % 1000 * 1000 };
	fd_set in, out;

	FD_ZERO(&in);
	FD_ZERO(&out);
	FD_SET(w->target, &in);
	FD_SET(w->target, &out);
	if (select(w->target + 1, w->events & POLLIN ? &in : NULL,
		   w->events & POLLOUT ? &out : NULL, NULL, &tv) < 0)
		return -1;
	return ((FD_ISSET(w->target, &in) ? POLLIN : 0) |
		(FD_ISSET(w->target, &out) ? POLLOUT : 0)) & w->events;
}

static int open_epoll(struct watch *w)
{
	struct epoll_event ev = { .events = w->events | w->way->flags };

	w->fd = epoll_create1(EPOLL_CLOEXEC);
	return epoll_ctl(w->fd, EPOLL_CTL_ADD, w->target, &ev);
}

static int wait_epoll(struct watch *w, int ms)
{
	struct epoll_event ev;
	int ret = epoll_wait(w->fd, &ev, 1, ms);

	return ret > 0 ? (int)ev.events : ret;
}

static int open_nested(struct watch *w)
{
	struct epoll_event ev = { .events = EPOLLIN };

	w->outer = epoll_create1(EPOLL_CLOEXEC);
	return open_epoll(w) ?: epoll_ctl(w->outer, EPOLL_CTL_ADD, w->fd, &ev);
}

static int wait_nested(struct watch *w, int ms)
{
	struct epoll_event ev;
	int ret = epoll_wait(w->outer, &ev, 1, ms);

	return ret > 0 ? wait_epoll(w, 0) : ret;
}

static int open_io_uring(struct watch *w)
{
	struct io_uring_params p = {};
	struct io_uring_sqe *sqe;
	char *ring;
	int ret;

	w->fd = syscall(__NR_io_uring_setup, 8, &p);
	if (w->fd < 0)
		return -1;
	/* The array of the submission queue is the last of what both queues have. */
	w->ring_size = p.sq_off.array + p.sq_entries * sizeof(__u32);
	ring = mmap(NULL, w->ring_size, PROT_READ | PROT_WRITE, MAP_SHARED, w->fd,
		    IORING_OFF_SQ_RING);
	sqe = mmap(NULL, p.sq_entries * sizeof(*sqe),
		   PROT_READ | PROT_WRITE, MAP_SHARED, w->fd, IORING_OFF_SQES);
	if (ring == MAP_FAILED || sqe == MAP_FAILED)
		return -1;

	w->ring = ring;
	w->cq_head = (atomic_uint *)(ring + p.cq_off.head);
	w->cq_tail = (atomic_uint *)(ring + p.cq_off.tail);
	w->cq_mask = p.cq_entries - 1;
	w->cqes = (struct io_uring_cqe *)(ring + p.cq_off.cqes);

	/* This is entry 0, which the array, full of zeroes, begins with. */
	sqe->opcode = IORING_OP_POLL_ADD;
	sqe->fd = w->target;
	sqe->poll_events = w->events;
	sqe->len = w->way->flags;
	*(atomic_uint *)(ring + p.sq_off.tail) = 1;
	ret = syscall(__NR_io_uring_enter, w->fd, 1, 0, 0, NULL, 0);
	munmap(sqe, p.sq_entries * sizeof(*sqe));
	return ret == 1 ? 0 : -1;
}

static int wait_io_uring(struct watch *w, int ms)
{
	struct __kernel_timespec ts = { ms / 1000, ms % 1000 * 1000000L };
	struct io_uring_getevents_arg arg = { .ts = (unsigned long)&ts };
	int res;

	if (*w->cq_head == *w->cq_tail)
		syscall(__NR_io_uring_enter, w->fd, 0, 1,
			IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &arg, sizeof(arg));
	if (*w->cq_head == *w->cq_tail)
		return errno == ETIME ? 0 : -1;
	res = w->cqes[*w->cq_head & w->cq_mask].res;
	++*w->cq_head;
	return res;
}

static int open_aio(struct watch *w)
{
	struct iocb cb = { .aio_lio_opcode = IOCB_CMD_POLL }, *cbs = &cb;

	cb.aio_fildes = w->target;
	cb.aio_buf = w->events;
	return syscall(__NR_io_setup, 1, &w->aio) ||
	       syscall(__NR_io_submit, w->aio, 1, &cbs) != 1 ? -1 : 0;
}

static int wait_aio(struct watch *w, int ms)
{
	struct __kernel_old_timespec ts = { ms / 1000, ms % 1000 * 1000000L };
	struct io_event ev;
	int ret = -1;

#ifdef __NR_io_getevents	/* not where 64 bits of time came first */
	ret = syscall(__NR_io_getevents, w->aio, 1, 1, &ev, &ts);
#endif
	return ret > 0 ? (int)ev.res : ret;
}

static const struct way by_poll = { wait_poll };
static const struct way by_ppoll = { .wait = wait_poll, .flags = 1 };
static const struct way by_select = { wait_select };
static const struct way by_epoll = { wait_epoll, open_epoll };
static const struct way by_epoll_et = { wait_epoll, open_epoll, EPOLLET };
static const struct way by_epoll_oneshot = { wait_epoll, open_epoll, EPOLLONESHOT };
static const struct way by_epoll_exclusive = { wait_epoll, open_epoll, EPOLLEXCLUSIVE };
static const struct way by_epoll_nested = { wait_nested, open_nested };
static const struct way by_io_uring = { wait_io_uring, open_io_uring };
static const struct way by_multishot = { wait_io_uring, open_io_uring, IORING_POLL_ADD_MULTI };
static const struct way by_aio = { wait_aio, open_aio };

static int watch_open(struct watch *w)
{
	return w->way->open ? w->way->open(w) : 0;
}

static int watch_wait(struct watch *w, int ms)
{
	return w->way->wait(w, ms);
}

/* In how many waits in a row it has something to report */
static int watch_events(struct watch *w, int waits)
{
	int events = 0;

	while (waits--)
		events += watch_wait(w, 0) > 0;
	return events;
}

/* What is mapped of a ring keeps it, and with it the file that it waits for. */
static void watch_close(struct watch *w)
{
	if (w->ring)
		munmap(w->ring, w->ring_size);
	if (w->fd > 0)
		close(w->fd);
	if (w->outer)
		close(w->outer);
	if (w->aio)
		syscall(__NR_io_destroy, w->aio);
}

/* What a caller is told that does not wait */
static int look(const struct way *way, int target, int events)
{
	struct watch w = { way, target, events };
	int ret = watch_open(&w) ?: watch_wait(&w, 0), why = errno;

	watch_close(&w);
	errno = why;
	return ret;
}

struct sleeper {
	struct watch watch;
	pthread_t thread;
	atomic_int tid;
	long before;		/* how often it had slept when its wait began */
	long asleep;		/* and when it was seen asleep in it */
};

static bool is_asleep(pid_t tid, long *times)
{
	char path[32], line[128], state = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", tid);
	f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "State: %c", &state) == 1 ||
		    sscanf(line, "voluntary_ctxt_switches: %ld", times) == 1)
			continue;
	if (f)
		fclose(f);
	return state == 'S';
}

static void *sleeper_thread(void *arg)
{
	struct sleeper *s = arg;
	pid_t tid = syscall(__NR_gettid);

	if (watch_open(&s->watch))
		return (void *)-1L;
	is_asleep(tid, &s->before);
	atomic_store(&s->tid, tid);
	return (void *)(long)watch_wait(&s->watch, 10 * GIVE_UP_MS);
}

static void start_sleeper(struct __test_metadata *_metadata, struct sleeper *s,
			  const struct way *way, int target, int events)
{
	int ms;

	*s = (struct sleeper){ .watch = { way, target, events } };
	ASSERT_EQ(0, pthread_create(&s->thread, NULL, sleeper_thread, s));
	/* It also shows as asleep on the way there, and has not slept then. */
	for (ms = 0; ms < GIVE_UP_MS; ms++) {
		if (s->tid && is_asleep(s->tid, &s->asleep) && s->asleep > s->before)
			return;
		usleep(1000);
	}
	ASSERT_LT(ms, GIVE_UP_MS);
}

static bool still_waits(struct sleeper *s)
{
	usleep(SETTLE_MS * 1000);
	return pthread_tryjoin_np(s->thread, NULL) == EBUSY;
}

/* Nor has it been woken in vain since it was seen asleep. */
static bool sleeps_undisturbed(struct sleeper *s)
{
	long times = 0;

	return still_waits(s) && is_asleep(s->tid, &times) && times == s->asleep;
}

/* What it is told, or -1 if it sleeps on */
static int woken_with(struct sleeper *s)
{
	struct timespec end;
	void *events;

	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += GIVE_UP_MS / 1000;
	return pthread_clockjoin_np(s->thread, &events, CLOCK_MONOTONIC, &end) ?
		-1 : (int)(long)events;
}
