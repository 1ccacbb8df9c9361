// SPDX-License-Identifier: GPL-2.0
/*
 * Every way there is to wait for a file, behind one face.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <linux/aio_abi.h>
#include <linux/time_types.h>

#ifdef HAVE_LIBURING
#include <liburing.h>
#endif

#include "dmabuf_util.h"
#include "dmabuf_wait.h"

struct poller {
	enum wait_kind kind;
	int fd;
	short events;
	int epfd;
	int outer_epfd;
	struct poll_ring *ring;
	aio_context_t aio;
	struct iocb iocb;
	bool submitted;
};

const char * const wait_kind_names[WAIT_KINDS] = {
	[WAIT_POLL] = "poll",
	[WAIT_PPOLL] = "ppoll",
	[WAIT_SELECT] = "select",
	[WAIT_EPOLL_LT] = "epoll_lt",
	[WAIT_EPOLL_ET] = "epoll_et",
	[WAIT_EPOLL_ONESHOT] = "epoll_oneshot",
	[WAIT_EPOLL_EXCLUSIVE] = "epoll_exclusive",
	[WAIT_EPOLL_NESTED] = "epoll_nested",
	[WAIT_IO_URING] = "io_uring",
	[WAIT_IO_URING_MULTISHOT] = "io_uring_multishot",
	[WAIT_AIO] = "aio",
};

static bool kind_is_io_uring(enum wait_kind kind)
{
	return kind == WAIT_IO_URING || kind == WAIT_IO_URING_MULTISHOT;
}

bool wait_kind_is_request(enum wait_kind kind)
{
	return kind_is_io_uring(kind) || kind == WAIT_AIO;
}

static bool kind_is_epoll(enum wait_kind kind)
{
	return kind >= WAIT_EPOLL_LT && kind <= WAIT_EPOLL_NESTED;
}

/*
 * poll, ppoll, select
 */

static struct timespec ms_to_timespec(int ms)
{
	return (struct timespec) {
		.tv_sec = ms / 1000,
		.tv_nsec = ms % 1000 * 1000000L,
	};
}

static int wait_poll(struct poller *p, int timeout_ms)
{
	struct pollfd pfd = { .fd = p->fd, .events = p->events };
	struct timespec ts = ms_to_timespec(timeout_ms);
	sigset_t none;
	int ret;

	sigemptyset(&none);
	if (p->kind == WAIT_PPOLL)
		ret = ppoll(&pfd, 1, &ts, &none);
	else
		ret = poll(&pfd, 1, timeout_ms);
	return ret < 0 ? -errno : pfd.revents;
}

static int wait_select(struct poller *p, int timeout_ms)
{
	struct timeval tv = {
		.tv_sec = timeout_ms / 1000,
		.tv_usec = timeout_ms % 1000 * 1000,
	};
	fd_set in, out, other;
	int events = 0;

	FD_ZERO(&in);
	FD_ZERO(&out);
	FD_ZERO(&other);
	if (p->events & POLLIN)
		FD_SET(p->fd, &in);
	if (p->events & POLLOUT)
		FD_SET(p->fd, &out);
	if (p->events & POLLPRI)
		FD_SET(p->fd, &other);

	if (select(p->fd + 1, &in, &out, &other, &tv) < 0)
		return -errno;
	if (FD_ISSET(p->fd, &in))
		events |= POLLIN;
	if (FD_ISSET(p->fd, &out))
		events |= POLLOUT;
	if (FD_ISSET(p->fd, &other))
		events |= POLLPRI;
	return events;
}

/*
 * epoll
 */

static int poller_epoll_ctl(struct poller *p, int op)
{
	struct epoll_event ev = { .events = p->events };

	switch (p->kind) {
	case WAIT_EPOLL_ET:
		ev.events |= EPOLLET;
		break;
	case WAIT_EPOLL_ONESHOT:
		ev.events |= EPOLLONESHOT;
		break;
	case WAIT_EPOLL_EXCLUSIVE:
		ev.events |= EPOLLEXCLUSIVE;
		break;
	default:
		break;
	}

	return epoll_ctl(p->epfd, op, p->fd, &ev) ? -errno : 0;
}

static int open_epoll(struct poller *p)
{
	struct epoll_event inner = { .events = EPOLLIN };

	p->epfd = epoll_create1(EPOLL_CLOEXEC);
	if (p->epfd < 0)
		return -errno;

	if (p->kind == WAIT_EPOLL_NESTED) {
		p->outer_epfd = epoll_create1(EPOLL_CLOEXEC);
		if (p->outer_epfd < 0 ||
		    epoll_ctl(p->outer_epfd, EPOLL_CTL_ADD, p->epfd, &inner))
			return -errno;
	}

	return poller_epoll_ctl(p, EPOLL_CTL_ADD);
}

static int wait_epoll(struct poller *p, int timeout_ms)
{
	struct epoll_event ev;
	int ret;

	if (p->kind == WAIT_EPOLL_NESTED) {
		ret = epoll_wait(p->outer_epfd, &ev, 1, timeout_ms);
		if (ret <= 0)
			return ret ? -errno : 0;
		timeout_ms = 0;
	}

	ret = epoll_wait(p->epfd, &ev, 1, timeout_ms);
	if (ret <= 0)
		return ret ? -errno : 0;
	return ev.events;
}

/*
 * io_uring
 */

#ifdef HAVE_LIBURING
struct poll_ring {
	struct io_uring ring;
};

struct poll_ring *poll_ring_open(unsigned int entries)
{
	struct poll_ring *r = calloc(1, sizeof(*r));
	int ret;

	if (!r)
		return NULL;
	ret = io_uring_queue_init(entries, &r->ring, 0);
	if (!ret)
		return r;
	free(r);
	errno = -ret;
	return NULL;
}

static int ring_submit(struct poll_ring *r, struct io_uring_sqe *sqe, uint64_t tag)
{
	int ret;

	sqe->user_data = tag;
	ret = io_uring_submit(&r->ring);
	return ret < 0 ? ret : 0;
}

int poll_ring_add(struct poll_ring *r, int fd, short events, bool multishot,
		  uint64_t tag)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&r->ring);

	if (!sqe)
		return -EBUSY;
	if (multishot)
		io_uring_prep_poll_multishot(sqe, fd, events);
	else
		io_uring_prep_poll_add(sqe, fd, events);
	return ring_submit(r, sqe, tag);
}

int poll_ring_cancel(struct poll_ring *r, uint64_t tag)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&r->ring);

	if (!sqe)
		return -EBUSY;
	io_uring_prep_cancel64(sqe, tag, 0);
	return ring_submit(r, sqe, POLL_RING_CANCEL);
}

int poll_ring_next(struct poll_ring *r, int timeout_ms, struct poll_done *done)
{
	struct __kernel_timespec ts = {
		.tv_sec = timeout_ms / 1000,
		.tv_nsec = timeout_ms % 1000 * 1000000LL,
	};
	struct io_uring_cqe *cqe;
	int ret;

	if (timeout_ms < 0)
		ret = io_uring_peek_cqe(&r->ring, &cqe);
	else
		ret = io_uring_wait_cqe_timeout(&r->ring, &cqe, &ts);
	if (ret)
		return ret == -ETIME || ret == -EAGAIN ? 0 : ret;

	*done = (struct poll_done) {
		.tag = cqe->user_data,
		.res = cqe->res,
		.more = cqe->flags & IORING_CQE_F_MORE,
	};
	io_uring_cqe_seen(&r->ring, cqe);
	return 1;
}

void poll_ring_close(struct poll_ring *r)
{
	io_uring_queue_exit(&r->ring);
	free(r);
}
#else
struct poll_ring *poll_ring_open(unsigned int entries)
{
	errno = EOPNOTSUPP;
	return NULL;
}

int poll_ring_add(struct poll_ring *r, int fd, short events, bool multishot,
		  uint64_t tag)
{
	return -EOPNOTSUPP;
}

int poll_ring_cancel(struct poll_ring *r, uint64_t tag)
{
	return -EOPNOTSUPP;
}

int poll_ring_next(struct poll_ring *r, int timeout_ms, struct poll_done *done)
{
	return -EOPNOTSUPP;
}

void poll_ring_close(struct poll_ring *r)
{
}
#endif

#define POLLER_TAG	1

/* A wait without a request pending makes one, as poll(2) would. */
static int wait_io_uring(struct poller *p, int timeout_ms)
{
	struct poll_done done;
	int ret;

	if (!p->submitted) {
		ret = poll_ring_add(p->ring, p->fd, p->events,
				    p->kind == WAIT_IO_URING_MULTISHOT, POLLER_TAG);
		if (ret)
			return ret;
		p->submitted = true;
	}

	do {
		ret = poll_ring_next(p->ring, timeout_ms, &done);
		if (ret <= 0)
			return ret;
		/* a cancelled request itself completes with -ECANCELED */
	} while (done.tag == POLL_RING_CANCEL);

	p->submitted = done.more;
	return done.res;
}

/*
 * aio, for which C libraries have nothing
 */

/* Without the one of time64 that 32 bit machines have besides. */
#ifdef SYS_io_getevents
static int open_aio(struct poller *p)
{
	return syscall(SYS_io_setup, 1, &p->aio) ? -errno : 0;
}

static int submit_aio(struct poller *p)
{
	struct iocb *iocb = &p->iocb;

	memset(iocb, 0, sizeof(*iocb));
	iocb->aio_lio_opcode = IOCB_CMD_POLL;
	iocb->aio_fildes = p->fd;
	iocb->aio_buf = (uint16_t)p->events;
	return syscall(SYS_io_submit, p->aio, 1, &iocb) == 1 ? 0 : -errno;
}

/* Nothing is ready of a request that completes only because it was cancelled. */
static int wait_aio(struct poller *p, int timeout_ms)
{
	struct __kernel_old_timespec ts = {
		.tv_sec = timeout_ms / 1000,
		.tv_nsec = timeout_ms % 1000 * 1000000L,
	};
	struct io_event done;
	int ret;

	if (!p->submitted) {
		ret = submit_aio(p);
		if (ret)
			return ret;
		p->submitted = true;
	}

	ret = syscall(SYS_io_getevents, p->aio, 1, 1, &done, &ts);
	if (ret <= 0)
		return ret ? -errno : 0;
	p->submitted = false;
	return done.res ? done.res : -ECANCELED;
}

/* To cancel it says that this is on its way, or that it has completed already. */
static int cancel_aio(struct poller *p)
{
	struct io_event unused;

	if (!p->submitted || !syscall(SYS_io_cancel, p->aio, &p->iocb, &unused))
		return 0;
	return errno == EINPROGRESS || errno == EINVAL ? 0 : -errno;
}

static void close_aio(struct poller *p)
{
	syscall(SYS_io_destroy, p->aio);
}
#else
static int open_aio(struct poller *p)
{
	return -EOPNOTSUPP;
}

static int wait_aio(struct poller *p, int timeout_ms)
{
	return -EOPNOTSUPP;
}

static int cancel_aio(struct poller *p)
{
	return -EOPNOTSUPP;
}

static void close_aio(struct poller *p)
{
}
#endif

/*
 * One face for all of them
 */

struct poller *poller_open(enum wait_kind kind, int fd, short events)
{
	struct poller *p = calloc(1, sizeof(*p));
	int ret = 0;

	if (!p)
		return NULL;

	p->kind = kind;
	p->fd = fd;
	p->events = events;
	p->epfd = -1;
	p->outer_epfd = -1;

	if (kind_is_io_uring(kind)) {
		p->ring = poll_ring_open(8);
		ret = p->ring ? 0 : -errno;
	} else if (kind_is_epoll(kind)) {
		ret = open_epoll(p);
	} else if (kind == WAIT_AIO) {
		ret = open_aio(p);
	}
	if (!ret)
		return p;

	poller_close(p);
	errno = -ret;
	return NULL;
}

int poller_wait(struct poller *p, int timeout_ms)
{
	if (kind_is_io_uring(p->kind))
		return wait_io_uring(p, timeout_ms);
	if (kind_is_epoll(p->kind))
		return wait_epoll(p, timeout_ms);
	if (p->kind == WAIT_AIO)
		return wait_aio(p, timeout_ms);
	if (p->kind == WAIT_SELECT)
		return wait_select(p, timeout_ms);
	return wait_poll(p, timeout_ms);
}

int poller_rearm(struct poller *p)
{
	return poller_epoll_ctl(p, EPOLL_CTL_MOD);
}

int poller_cancel(struct poller *p)
{
	if (p->kind == WAIT_AIO)
		return cancel_aio(p);
	return poll_ring_cancel(p->ring, POLLER_TAG);
}

void poller_close(struct poller *p)
{
	if (p->ring)
		poll_ring_close(p->ring);
	if (p->aio)
		close_aio(p);
	if (p->outer_epfd >= 0)
		close(p->outer_epfd);
	if (p->epfd >= 0)
		close(p->epfd);
	free(p);
}

int poller_drain(struct poller *p, int rounds)
{
	int events = 0;

	while (rounds--)
		events += poller_wait(p, 0) > 0;
	return events;
}

int wait_now(enum wait_kind kind, int fd, short events)
{
	struct poller *p = poller_open(kind, fd, events);
	int ret;

	if (!p)
		return -errno;
	ret = poller_wait(p, 0);
	poller_close(p);
	return ret;
}

static const char *request_missing(enum wait_kind kind)
{
	int pipefd[2];
	int ret;

#ifndef HAVE_LIBURING
	if (kind_is_io_uring(kind))
		return "built without liburing (2.2 or newer)";
#endif
	/* the far end is always writable */
	if (pipe(pipefd))
		return "no pipe to try it with";
	ret = wait_now(kind, pipefd[1], POLLOUT);
	close(pipefd[0]);
	close(pipefd[1]);

	if (ret == POLLOUT)
		return NULL;
	if (kind == WAIT_AIO)
		return "this kernel has no aio, or no IOCB_CMD_POLL";
	return kind == WAIT_IO_URING ? "this kernel has no io_uring" :
				       "this kernel has no multishot poll in io_uring";
}

const char *wait_kind_missing(enum wait_kind kind)
{
	static const char *missing[WAIT_KINDS];
	static bool known[WAIT_KINDS];

	if (wait_kind_is_request(kind) && !known[kind]) {
		missing[kind] = request_missing(kind);
		known[kind] = true;
	}
	return missing[kind];
}

/*
 * Sleeping threads
 */

struct waiter {
	enum wait_kind kind;
	int fd;
	short events;
	pthread_t thread;
	/* written by the thread before tid, respectively before returned */
	long nvcsw_before;
	atomic_int tid;
	int result;
	long wakeups;
	atomic_bool returned;
};

static long own_nvcsw(void)
{
	struct rusage usage;

	getrusage(RUSAGE_THREAD, &usage);
	return usage.ru_nvcsw;
}

static void *waiter_thread(void *arg)
{
	struct waiter *w = arg;
	struct poller *p = poller_open(w->kind, w->fd, w->events);

	if (!p) {
		w->result = -errno;
	} else {
		w->nvcsw_before = own_nvcsw();
		atomic_store(&w->tid, syscall(SYS_gettid));
		w->result = poller_wait(p, 10 * GIVE_UP_MS);
		w->wakeups = own_nvcsw() - w->nvcsw_before;
		poller_close(p);
	}

	atomic_store(&w->returned, true);
	return NULL;
}

struct waiter *waiter_start(enum wait_kind kind, int fd, short events)
{
	struct waiter *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->kind = kind;
	w->fd = fd;
	w->events = events;
	if (pthread_create(&w->thread, NULL, waiter_thread, w)) {
		free(w);
		return NULL;
	}
	return w;
}

long waiter_sleeps(struct waiter *w)
{
	struct sched_sample sample;
	pid_t tid = atomic_load(&w->tid);

	if (!tid || sched_sample(tid, &sample))
		return 0;
	return sample.nvcsw - w->nvcsw_before;
}

/*
 * Sleeping is being in state S after having left the processor of its own
 * accord since the wait began: state S alone is also shown on the way there.
 */
int waiter_wait_asleep(struct waiter *w, long times)
{
	long long deadline = now_ms() + GIVE_UP_MS;
	struct sched_sample sample;
	unsigned int us = 25;
	pid_t tid;

	while (now_ms() < deadline) {
		if (waiter_returned(w))
			return -EALREADY;
		tid = atomic_load(&w->tid);
		if (tid && !sched_sample(tid, &sample) && sample.state == 'S' &&
		    sample.nvcsw - w->nvcsw_before >= times)
			return 0;
		/* mostly it is asleep at once, and fuzzing asks very often */
		usleep(us);
		us = us < 400 ? 2 * us : 400;
	}

	return -ETIME;
}

bool waiter_returned(struct waiter *w)
{
	return atomic_load(&w->returned);
}

/* A waiter that does not return is left behind: it ends with the process. */
int waiter_join(struct waiter *w, long *wakeups)
{
	long long deadline = now_ms() + GIVE_UP_MS;
	int result;

	while (!waiter_returned(w)) {
		if (now_ms() > deadline)
			return -ETIME;
		usleep(200);
	}

	pthread_join(w->thread, NULL);
	result = w->result;
	if (wakeups)
		*wakeups = w->wakeups;
	free(w);
	return result;
}
