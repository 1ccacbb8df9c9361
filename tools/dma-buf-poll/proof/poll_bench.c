// SPDX-License-Identifier: GPL-2.0
/*
 * What polling a dma-buf costs, beside its peers.
 *
 * Every row is a test of KTAP. A row that measured something also prints
 *
 *   # result: <name>\t<value>\t<unit>
 *
 * for each of its figures; a row that lacks an exporter, a source of fences or
 * an ioctl is skipped with the reason and prints none.
 *
 * Costs are the smallest of several rounds, so that timer interrupts are not
 * in them, less the cost of the loop that measures. In a guest whose clock
 * counts instructions (QEMU: -icount shift=0) the option -i says so: a tick of
 * the time stamp counter is an instruction then, and the figures repeat.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <drm/drm.h>
#ifdef HAVE_LIBURING
#include <liburing.h>
#endif

#include "kselftest.h"
#include "bench.h"
#include "dmabuf_util.h"

#ifndef DRM_IOCTL_SYNCOBJ_EVENTFD
struct drm_syncobj_eventfd {
	__u32 handle;
	__u32 flags;
	__u64 point;
	__s32 fd;
	__u32 pad;
};

#define DRM_IOCTL_SYNCOBJ_EVENTFD	DRM_IOWR(0xCF, struct drm_syncobj_eventfd)
#endif

#define MAX_FENCES	64
#define MAX_THREADS	8
#define ROUNDS		16
/* of a round of a cost: well below the time between two timer interrupts */
#define ROUND_TICKS	500000
/* orders that "random" is the mean of, and rounds of each wait */
#define SHUFFLES	16
#define WAIT_ROUNDS	11
#define THREAD_ROUNDS	5
#define THREAD_ROUND_MS	200
#define USER_MS		2000
#define START_MS	1000

static const char *go_program;
/*
 * The cost of one operation
 */

struct op {
	int (*run)(const struct op *op);
	int fd;
	short events;
	/* what run() has to return, or the cost is that of something else */
	int expected;
};

static int op_nothing(const struct op *op)
{
	return 0;
}

/*
 * Without what the C library does around it. Architectures that came late, such
 * as arm64, have no poll() but ppoll().
 */
static int poll_one(struct pollfd *pfd, int timeout_ms)
{
#ifdef SYS_poll
	return syscall(SYS_poll, pfd, 1, timeout_ms);
#else
	struct timespec timeout = {
		.tv_sec = timeout_ms / 1000,
		.tv_nsec = timeout_ms % 1000 * 1000000L,
	};

	return syscall(SYS_ppoll, pfd, 1, &timeout, NULL, 0);
#endif
}

static int op_poll(const struct op *op)
{
	struct pollfd pfd = { .fd = op->fd, .events = op->events };

	return poll_one(&pfd, 0) < 0 ? -errno : pfd.revents;
}

static int op_export(const struct op *op)
{
	int fd = dmabuf_export_sync_file(op->fd, FENCE_WRITE);
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	if (fd < 0)
		return fd;
	poll_one(&pfd, 0);
	close(fd);
	return pfd.revents;
}

static uint64_t op_loop(const struct op *op, long times)
{
	uint64_t start = ticks();

	while (times--) {
		op->run(op);
		/* so that no operation is moved out of the loop */
		asm volatile("" : : : "memory");
	}
	return ticks() - start;
}

static double op_ticks(const struct op *op)
{
	uint64_t best = UINT64_MAX, spent;
	long times = 1;
	int i;

	op_loop(op, 2);
	spent = op_loop(op, 1);
	if (spent < ROUND_TICKS)
		times = ROUND_TICKS / spent;
	if (times > 1000)
		times = 1000;

	for (i = 0; i < ROUNDS; i++) {
		spent = op_loop(op, times);
		if (spent < best)
			best = spent;
	}
	return (double)best / times;
}

static const char *measure(const struct op *op, const char *name)
{
	static double nothing = -1;
	int ret = op->run(op);

	if (ret != op->expected) {
		ksft_print_msg("%s: %#x instead of %#x\n", name, ret, op->expected);
		return failed("the operation does not return what it should");
	}
	if (nothing < 0)
		nothing = op_ticks(&(struct op) { .run = op_nothing });
	result_ticks(op_ticks(op) - nothing, name);
	return NULL;
}

/*
 * Buffers with fences
 */

struct bench_buf {
	struct dmabuf buf;
	struct fence fences[MAX_FENCES];
	int nr_fences;
};

/* With that many pending fences, each on a timeline of its own. */
static const char *bench_buf_fill(struct bench_buf *b, int fences,
				  enum fence_usage usage)
{
	struct fence *fence;
	const char *missing;

	missing = fences ? fence_source_missing(FENCES_SW_SYNC, b->buf.fd) : NULL;
	while (!missing && b->nr_fences < fences) {
		fence = &b->fences[b->nr_fences++];
		if (fence_prepare(fence, FENCES_SW_SYNC) ||
		    fence_attach(fence, &b->buf, usage))
			missing = failed("cannot add a fence");
	}
	return missing;
}

static void bench_buf_empty(struct bench_buf *b)
{
	while (b->nr_fences)
		fence_close(&b->fences[--b->nr_fences]);
}

static void bench_buf_close(struct bench_buf *b)
{
	bench_buf_empty(b);
	dmabuf_destroy(&b->buf);
}

static const char *bench_buf_open(struct bench_buf *b, int fences,
				  enum fence_usage usage)
{
	const char *missing;

	b->nr_fences = 0;
	if (exporter_reason)
		return exporter_reason;
	if (dmabuf_create(&b->buf, exporter))
		return failed("cannot create a buffer");

	missing = bench_buf_fill(b, fences, usage);
	if (missing)
		bench_buf_close(b);
	return missing;
}

/* How many fences of the buffer, signaled or not, the kernel still lists. */
static int bench_buf_listed(const struct bench_buf *b)
{
	FILE *f = fopen("/sys/kernel/debug/dma_buf/bufinfo", "r");
	unsigned long ino;
	char line[512];
	bool ours = false;
	int listed = 0;

	if (!f)
		return -errno;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%*x %*x %*x %*d %*s %lu", &ino) == 1)
			ours = ino == b->buf.ino;
		else if (ours && strstr(line, "fence:"))
			listed++;
	}
	fclose(f);
	return listed;
}

/*
 * poll.*: one poll that returns at once
 */

static const char *run_pipe(const struct row *row, int n)
{
	const char *ret;
	int fds[2];

	if (pipe(fds) || write(fds[1], "", 1) != 1)
		return failed("no pipe");
	ret = measure(&(struct op) { op_poll, fds[0], POLLIN, POLLIN }, row->name);
	close(fds[0]);
	close(fds[1]);
	return ret;
}

static const char *run_eventfd(const struct row *row, int n)
{
	int fd = eventfd(1, EFD_CLOEXEC);
	const char *ret;

	if (fd < 0)
		return "this kernel has no eventfd";
	ret = measure(&(struct op) { op_poll, fd, POLLIN, POLLIN }, row->name);
	close(fd);
	return ret;
}

/* Of a busy buffer the first poll arms the callback, before anything is measured. */
static const char *run_poll(const struct row *row, int n)
{
	struct bench_buf b;
	const char *ret = bench_buf_open(&b, row->busy, FENCE_WRITE);

	if (ret)
		return ret;
	ret = measure(&(struct op) { op_poll, b.buf.fd, row->events,
				     row->busy ? 0 : row->events }, row->name);
	bench_buf_close(&b);
	return ret;
}

static const char *run_export(const struct row *row, int n)
{
	struct bench_buf b;
	const char *ret = bench_buf_open(&b, 0, FENCE_READ);
	int fd;

	if (ret)
		return ret;
	fd = dmabuf_export_sync_file(b.buf.fd, FENCE_WRITE);
	if (fd < 0)
		ret = "this kernel has no DMA_BUF_IOCTL_EXPORT_SYNC_FILE";
	else
		ret = measure(&(struct op) { op_export, b.buf.fd, 0, POLLIN }, row->name);
	close(fd);
	bench_buf_close(&b);
	return ret;
}

static const char *run_watchers(const struct row *row, int n)
{
	struct epoll_event ev = { .events = POLLIN };
	struct bench_buf b;
	const char *ret;
	int i, *epfds;

	epfds = calloc(n + 1, sizeof(*epfds));
	if (!epfds)
		return failed("no memory");
	ret = bench_buf_open(&b, 0, FENCE_READ);
	if (ret)
		goto out;

	for (i = 0; i < n && !ret; i++) {
		epfds[i] = epoll_create1(EPOLL_CLOEXEC);
		if (epfds[i] < 0)
			ret = "cannot open that many epoll instances";
		else if (epoll_ctl(epfds[i], EPOLL_CTL_ADD, b.buf.fd, &ev))
			ret = failed("cannot watch the buffer");
	}
	if (!ret)
		ret = measure(&(struct op) { op_poll, b.buf.fd, POLLIN, POLLIN },
			      row_name(row, n));
	while (i--)
		close(epfds[i]);
	bench_buf_close(&b);
out:
	free(epfds);
	return ret;
}

/*
 * Read fences of distinct contexts, all added while all were pending: a later
 * reservation or fence would have swept out the signaled ones.
 */
static const char *run_signaled(const struct row *row, int n)
{
	struct bench_buf b;
	const char *ret = bench_buf_open(&b, n, FENCE_READ);
	int i, listed;

	if (ret)
		return ret;
	for (i = 0; i < n; i++)
		fence_signal(&b.fences[i]);

	listed = bench_buf_listed(&b);
	if (listed < 0)
		ret = "cannot see the fences in /sys/kernel/debug/dma_buf/bufinfo";
	else if (listed != n)
		ret = failed("the signaled fences are not in the reservation object");
	else
		ret = measure(&(struct op) { op_poll, b.buf.fd, POLLOUT, POLLOUT },
			      row_name(row, n));
	bench_buf_close(&b);
	return ret;
}

/*
 * wait.*: a thread that waits, and what signals
 *
 * Both run on one CPU, the waiter with the higher priority: it runs as soon as
 * it is woken, and whoever signals as soon as the waiter sleeps. So a wait is
 * from when the waiter begins it to when it returns, the signals included,
 * and nothing else but two switches between the threads.
 */

static struct {
	pthread_t thread;
	int go[2];
	int fd;
	int (*wait)(int dmabuf_fd);
	int ret;
	uint64_t begin, end;
	long sleeps;
	atomic_bool done;
} waiter;

static int wait_poll(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLOUT };

	return poll_one(&pfd, GIVE_UP_MS) < 0 ? -errno : pfd.revents;
}

static int wait_export(int dmabuf_fd)
{
	int fd = dmabuf_export_sync_file(dmabuf_fd, FENCE_WRITE);
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	if (fd < 0)
		return fd;
	poll_one(&pfd, GIVE_UP_MS);
	close(fd);
	return pfd.revents == POLLIN ? POLLOUT : 0;
}

static struct {
	int drm_fd;
	int eventfd;
	uint32_t handle;
} syncobj = { .drm_fd = -1 };

static int wait_syncobj(int dmabuf_fd)
{
	struct drm_syncobj_handle import = {
		.handle = syncobj.handle,
		.flags = DRM_SYNCOBJ_FD_TO_HANDLE_FLAGS_IMPORT_SYNC_FILE,
		.fd = dmabuf_export_sync_file(dmabuf_fd, FENCE_WRITE),
	};
	struct drm_syncobj_eventfd request = {
		.handle = syncobj.handle,
		.fd = syncobj.eventfd,
	};
	struct pollfd pfd = { .fd = syncobj.eventfd, .events = POLLIN };
	uint64_t count;
	int ret;

	if (import.fd < 0)
		return import.fd;
	ret = ioctl(syncobj.drm_fd, DRM_IOCTL_SYNCOBJ_FD_TO_HANDLE, &import);
	close(import.fd);
	if (ret || ioctl(syncobj.drm_fd, DRM_IOCTL_SYNCOBJ_EVENTFD, &request))
		return -errno;
	poll_one(&pfd, GIVE_UP_MS);
	if (pfd.revents != POLLIN || read(syncobj.eventfd, &count, sizeof(count)) < 0)
		return -ETIME;
	return POLLOUT;
}

static const char *syncobj_missing(void)
{
	struct drm_syncobj_create create = { .flags = 0 };
	struct drm_syncobj_eventfd probe = { .fd = -1 };
	char path[32];
	int i, fd;

	for (i = 0; i < 128 && syncobj.drm_fd < 0; i++) {
		snprintf(path, sizeof(path), "/dev/dri/%s%d",
			 i < 64 ? "card" : "renderD", i < 64 ? i : i + 64);
		fd = open(path, O_RDWR | O_CLOEXEC);
		if (fd < 0)
			continue;
		/* a kernel that knows the ioctl complains about the handle */
		if (!ioctl(fd, DRM_IOCTL_SYNCOBJ_CREATE, &create) &&
		    ioctl(fd, DRM_IOCTL_SYNCOBJ_EVENTFD, &probe) && errno == ENOENT)
			syncobj.drm_fd = fd;
		else
			close(fd);
	}
	if (syncobj.drm_fd < 0)
		return "no DRM device here has DRM_IOCTL_SYNCOBJ_EVENTFD";

	if (!syncobj.handle) {
		syncobj.handle = create.handle;
		syncobj.eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	}
	return NULL;
}

static void *waiter_thread(void *arg)
{
	long sleeps;
	char c;

	while (read(waiter.go[0], &c, 1) == 1) {
		sleeps = own_sleeps();
		waiter.begin = ticks();
		waiter.ret = waiter.wait(waiter.fd);
		waiter.end = ticks();
		waiter.sleeps = own_sleeps() - sleeps;
		atomic_store(&waiter.done, true);
	}
	return NULL;
}

static const char *waiter_start(void)
{
	struct sched_param param = { .sched_priority = 10 };
	struct sched_param normal = { .sched_priority = 0 };
	const char *ret = NULL;

	if (pipe(waiter.go))
		return failed("no pipe");
	pin(0, sched_getcpu());
	/* inherited, so that the thread never runs without */
	if (sched_setscheduler(0, SCHED_FIFO, &param))
		ret = "needs SCHED_FIFO, and may not use it";
	else if (pthread_create(&waiter.thread, NULL, waiter_thread, NULL))
		ret = failed("no thread");
	sched_setscheduler(0, SCHED_OTHER, &normal);
	if (ret) {
		close(waiter.go[0]);
		close(waiter.go[1]);
	}
	return ret;
}

static void waiter_stop(void)
{
	close(waiter.go[1]);
	pthread_join(waiter.thread, NULL);
	close(waiter.go[0]);
}

struct wait_sample {
	uint64_t wait;
	/* from before the last signal to the return of the waiter */
	uint64_t latency;
	/* from before the first signal to after the last */
	uint64_t signals;
	long sleeps;
};

/* One wait on what is in the buffer, or with no method only the signals. */
static const char *wait_once(struct bench_buf *b, int (*wait)(int dmabuf_fd),
			     const int *order, struct wait_sample *sample)
{
	uint64_t first, last = 0, after;
	const char *ret = NULL;
	long long deadline;
	int i;

	if (wait) {
		waiter.fd = b->buf.fd;
		waiter.wait = wait;
		atomic_store(&waiter.done, false);
		if (write(waiter.go[1], "", 1) != 1)
			ret = failed("the pipe is broken");
		if (atomic_load(&waiter.done))
			ret = failed("the wait was over before the first signal");
	}

	first = ticks();
	for (i = 0; i < b->nr_fences - 1; i++)
		fence_signal(&b->fences[order[i]]);
	if (!ret && wait && atomic_load(&waiter.done))
		ret = failed("the wait was over before the last signal");
	last = ticks();
	fence_signal(&b->fences[order[i]]);
	after = ticks();

	sample->signals = after - first;
	if (wait) {
		deadline = now_ms() + 2 * GIVE_UP_MS;
		while (!atomic_load(&waiter.done) && now_ms() < deadline)
			sleep_ms(1);
		if (!atomic_load(&waiter.done) || waiter.ret != POLLOUT)
			ret = failed("the wait did not end");
		sample->wait = waiter.end - waiter.begin;
		sample->latency = waiter.end - last;
		sample->sleeps = waiter.sleeps;
	}
	return ret;
}

static uint64_t min_of(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static const char *run_wait(const struct row *row, int n)
{
	int shuffles = row->order == RANDOM && n > 1 ? SHUFFLES : 1;
	double wait = 0, latency = 0, signals = 0, sleeps = 0;
	int order[MAX_FENCES];
	const char *ret = NULL;
	struct bench_buf b;
	char name[80];
	int i, j;

	if (row->wait == wait_syncobj)
		ret = syncobj_missing();
	/* with nobody waiting as well: a second thread makes each ioctl dearer */
	if (!ret)
		ret = waiter_start();
	if (ret)
		return ret;

	for (i = 0; i < shuffles && !ret; i++) {
		struct wait_sample best = { -1, -1, -1, 0 }, sample = best;

		make_order(order, n, row->order, i);
		/* once more, first: what the first one finds is cold */
		for (j = 0; j < WAIT_ROUNDS + 1 && !ret; j++) {
			if (j && row->again)
				ret = bench_buf_fill(&b, n, FENCE_READ);
			else
				ret = bench_buf_open(&b, n, FENCE_READ);
			if (ret)
				break;
			ret = wait_once(&b, row->wait, order, &sample);
			if (row->again && j < WAIT_ROUNDS)
				bench_buf_empty(&b);
			else
				bench_buf_close(&b);
			best.wait = min_of(best.wait, sample.wait);
			best.latency = min_of(best.latency, sample.latency);
			best.signals = min_of(best.signals, sample.signals);
		}
		wait += (double)best.wait / shuffles;
		latency += (double)best.latency / shuffles;
		signals += (double)best.signals / shuffles;
		sleeps += (double)sample.sleeps / shuffles;
	}
	waiter_stop();
	if (ret)
		return ret;

	if (!row->wait) {
		result_ticks(signals, row_name(row, n));
		return NULL;
	}
	result_ticks(wait, row_name(row, n));
	snprintf(name, sizeof(name), "latency.%s", row_name(row, n));
	result_ticks(latency, name);
	print_result("wake-ups", sleeps, "wakeups.%s", row_name(row, n));
	return NULL;
}

/*
 * threads.*: one buffer, many threads that poll it
 */

static struct {
	pthread_barrier_t barrier;
	atomic_bool stop;
	int fd;
	atomic_long polls, sleeps;
} threads;

static void *thread_polls(void *arg)
{
	struct op op = { op_poll, threads.fd, POLLOUT, 0 };
	long polls = 0, sleeps;

	pin(0, (long)arg);
	pthread_barrier_wait(&threads.barrier);
	sleeps = own_sleeps();
	while (!atomic_load_explicit(&threads.stop, memory_order_relaxed)) {
		op_poll(&op);
		polls++;
	}
	atomic_fetch_add(&threads.sleeps, own_sleeps() - sleeps);
	atomic_fetch_add(&threads.polls, polls);
	return NULL;
}

/* To import a fence takes the reservation lock, whatever the fence. */
static void *thread_locks(void *arg)
{
	struct fence *fence = arg;

	pthread_barrier_wait(&threads.barrier);
	while (!atomic_load_explicit(&threads.stop, memory_order_relaxed))
		dmabuf_import_sync_file(threads.fd, fence->sync_fd, FENCE_READ);
	return NULL;
}

static const char *run_threads(const struct row *row, int n)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN), best = 0, sleeps = 0;
	pthread_t thread[MAX_THREADS + 1];
	struct bench_buf b;
	const char *ret;
	cpu_set_t all;
	int i, round;

	if (cpus < 2)
		return "needs two CPUs, has one";
	ret = bench_buf_open(&b, row->busy || row->contended, FENCE_READ);
	if (ret)
		return ret;
	if (row->contended && !row->busy)
		fence_signal(&b.fences[0]);
	threads.fd = b.buf.fd;

	for (round = 0; round < THREAD_ROUNDS; round++) {
		atomic_store(&threads.stop, false);
		atomic_store(&threads.polls, 0);
		atomic_store(&threads.sleeps, 0);
		pthread_barrier_init(&threads.barrier, NULL, n + row->contended + 1);
		for (i = 0; i < n; i++)
			pthread_create(&thread[i], NULL, thread_polls,
				       (void *)(i % cpus));
		if (row->contended)
			pthread_create(&thread[i], NULL, thread_locks, &b.fences[0]);
		pthread_barrier_wait(&threads.barrier);
		sleep_ms(THREAD_ROUND_MS);
		atomic_store(&threads.stop, true);
		for (i = 0; i < n + row->contended; i++)
			pthread_join(thread[i], NULL);
		pthread_barrier_destroy(&threads.barrier);
		if (atomic_load(&threads.polls) > best)
			best = atomic_load(&threads.polls);
		sleeps += atomic_load(&threads.sleeps);
	}
	bench_buf_close(&b);

	/* the rows of one thread pinned themselves */
	memset(&all, 0xff, sizeof(all));
	sched_setaffinity(0, sizeof(all), &all);

	print_result("polls/s", best * 1000.0 / THREAD_ROUND_MS, "%s", row_name(row, n));
	print_result("sleeps", sleeps, "sleeps.%s", row_name(row, n));
	return NULL;
}

/*
 * user.*: what a program on top of it feels, with an idle buffer
 */

static const char *run_user_epoll(const struct row *row, int n)
{
	struct epoll_event ev = { .events = POLLIN | POLLOUT | EPOLLET };
	int epfd = epoll_create1(EPOLL_CLOEXEC);
	long long end, left;
	long events = 0;
	struct bench_buf b;
	const char *ret;
	uint64_t cpu;

	ret = bench_buf_open(&b, 0, FENCE_READ);
	if (ret)
		goto out;
	if (epoll_ctl(epfd, EPOLL_CTL_ADD, b.buf.fd, &ev)) {
		ret = failed("cannot watch the buffer");
	} else {
		cpu = now_ns(CLOCK_PROCESS_CPUTIME_ID);
		end = now_ms() + USER_MS;
		while ((left = end - now_ms()) > 0)
			events += epoll_wait(epfd, &ev, 1, left) > 0;
		cpu = now_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu;
		print_result("s", cpu / 1e9, "%s.cpu", row->name);
		print_result("events", events, "%s.events", row->name);
	}
	bench_buf_close(&b);
out:
	close(epfd);
	return ret;
}

/*
 * A program that gets the buffer as descriptor 3 and sleeps. What it takes to
 * start is left out: that is the runtime's, and more on a slow machine.
 */
static const char *run_user_go(const struct row *row, int n)
{
	uint64_t before, after;
	struct bench_buf b;
	clockid_t clock;
	const char *ret;
	int status;
	pid_t pid;

	if (!go_program)
		return "no program in Go to run (-g)";
	ret = bench_buf_open(&b, 0, FENCE_READ);
	if (ret)
		return ret;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		dup2(b.buf.fd, 3);
		fcntl(3, F_SETFD, 0);
		fcntl(3, F_SETFL, O_RDWR | O_NONBLOCK);
		execl(go_program, go_program, NULL);
		_exit(127);
	}
	sleep_ms(START_MS);
	if (clock_getcpuclockid(pid, &clock))
		return failed("no clock of another process");
	before = now_ns(clock);
	sleep_ms(USER_MS);
	after = now_ns(clock);

	/* If it is not there any more its clock has stood still. */
	if (waitpid(pid, &status, WNOHANG)) {
		ret = failed("the program in Go failed");
	} else {
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		print_result("s", (after - before) / 1e9, "%s.cpu", row->name);
	}
	bench_buf_close(&b);
	return ret;
}

static const char *run_user_io_uring(const struct row *row, int n)
{
#ifdef HAVE_LIBURING
	struct io_uring_sqe *sqe;
	struct io_uring_cqe *cqe;
	struct io_uring ring;
	unsigned int completions;
	struct bench_buf b;
	const char *ret;

	if (io_uring_queue_init(1024, &ring, 0))
		return "this kernel has no io_uring";
	ret = bench_buf_open(&b, 0, FENCE_READ);
	if (ret)
		goto out;

	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_poll_multishot(sqe, b.buf.fd, POLLIN);
	io_uring_submit(&ring);
	if (io_uring_wait_cqe(&ring, &cqe) || cqe->res < 0) {
		ret = "this kernel has no multishot poll in io_uring";
	} else {
		/* what came of it by itself, and the queue takes no more of */
		sleep_ms(100);
		io_uring_get_events(&ring);
		completions = io_uring_cq_ready(&ring);
		print_result("completions", completions, "%s", row->name);
		if (completions == *ring.cq.kring_entries)
			ksft_print_msg("%s: the completion queue is full\n", row->name);
	}
	bench_buf_close(&b);
out:
	io_uring_queue_exit(&ring);
	return ret;
#else
	return "built without liburing";
#endif
}

static const int watchers[] = { 0, 16, 256, 4096, -1 };
static const int signaled[] = { 0, 1, 4, 16, 64, -1 };
static const int fences[] = { 1, 4, 16, 64, -1 };
static const int nr_threads[] = { 1, 2, 4, 8, -1 };

static const struct row rows[] = {
	{ "poll.pipe", run_pipe },
	{ "poll.eventfd", run_eventfd },
	{ "poll.export_sync_file", run_export },
	{ "poll.idle.in", run_poll, .events = POLLIN },
	{ "poll.idle.out", run_poll, .events = POLLOUT },
	{ "poll.idle.inout", run_poll, .events = POLLIN | POLLOUT },
	{ "poll.busy.in", run_poll, .events = POLLIN, .busy = true },
	{ "poll.busy.out", run_poll, .events = POLLOUT, .busy = true },
	{ "poll.busy.inout", run_poll, .events = POLLIN | POLLOUT, .busy = true },
	{ "poll.watchers", run_watchers, watchers },
	{ "poll.signaled", run_signaled, signaled },
	{ "signals", run_wait, fences },
	{ "wait.in_order", run_wait, fences, .wait = wait_poll },
	{ "wait.random", run_wait, fences, .wait = wait_poll, .order = RANDOM },
	{ "wait.reverse", run_wait, fences, .wait = wait_poll, .order = REVERSED },
	{ "wait.reverse_again", run_wait, fences, .wait = wait_poll, .order = REVERSED,
	  .again = true },
	{ "export.in_order", run_wait, fences, .wait = wait_export },
	{ "export.random", run_wait, fences, .wait = wait_export, .order = RANDOM },
	{ "export.reverse", run_wait, fences, .wait = wait_export, .order = REVERSED },
	{ "syncobj.in_order", run_wait, fences, .wait = wait_syncobj },
	{ "threads.idle", run_threads, nr_threads },
	{ "threads.busy", run_threads, nr_threads, .busy = true },
	{ "threads.idle_contended", run_threads, nr_threads, .contended = true },
	{ "threads.busy_contended", run_threads, nr_threads, .busy = true,
	  .contended = true },
	{ "user.epoll_et", run_user_epoll },
	{ "user.go", run_user_go },
	{ "user.io_uring_multishot", run_user_io_uring },
};

int main(int argc, char **argv)
{
	return bench_main(argc, argv, rows, ARRAY_SIZE(rows), &go_program);
}
