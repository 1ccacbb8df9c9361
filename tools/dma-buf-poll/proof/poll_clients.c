// SPDX-License-Identifier: GPL-2.0
/*
 * How compositors, and the runtimes below them, wait for a dma-buf today.
 *
 * contract.c asks for each line of the contract on its own; here each test is one
 * whole pattern of use, and named after what it does:
 *
 *   - poll each plane with timeout 0, then watch the busy ones level-triggered,
 *     once per buffer, with one epoll instance for all buffers that come
 *   - watch a duplicate of the descriptor in the epoll instance of a thread,
 *     take it out and close it while it is pending
 *   - a one-shot source over up to four planes
 *   - a blocking poll of a tenth of a second or of one, where there is no event loop
 *   - 256 descriptors polled for POLLNVAL only, to see that they are open
 *   - export a sync_file for writing, poll that, then watch it
 *   - register a descriptor edge-triggered for IN and OUT at once, as the
 *     runtimes of Go and Rust do with every file that they are given
 *
 * The fixtures are lines of the contract, as in contract.c.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "poll_test.h"

#define PLANES		4
#define PLANE_FENCES	4
#define FRAMES		3
#define DESCRIPTORS	256

/* What most wait at most where they have to block. */
#define FALLBACK_MS	1000

#define BOTH_EDGES	(EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET)

POLL_FIXTURE(exact_client);
POLL_FIXTURE(no_lost_wakeup_client);
POLL_FIXTURE(one_wakeup_client);
POLL_FIXTURE(neutral_client);
POLL_FIXTURE(quiet_client);

/*
 * Planes: buffers with fences on them, and what is waited for
 */

/* The harness forks for each test, so each begins with this. */
static struct rng rng = { .state = 1 };

/*
 * Every other plane is read from and waits for one write fence; the others are
 * written to and wait for four reads. No exporter refuses that.
 */
struct plane {
	struct dmabuf buf;
	short events;
	struct fence fences[PLANE_FENCES];
	int n;
	/* of these, the first still to signal, in the order they are signaled in */
	int signaled;
};

static void open_plane(struct __test_metadata *_metadata, struct poll_test *t,
		       struct plane *plane, int number)
{
	ASSERT_EQ(0, dmabuf_create(&plane->buf, t->exporter));
	plane->events = number & 1 ? POLLIN : POLLOUT;
	plane->n = 0;
	plane->signaled = 0;
}

/*
 * Their fences signal in the order of the list. In another one the variant "fixes"
 * wakes more than once, see the file promises.
 */
static void make_busy_in_order(struct __test_metadata *_metadata, struct poll_test *t,
			       struct plane *plane)
{
	bool write = plane->events == POLLIN;
	int i;

	plane->n = write ? 1 : PLANE_FENCES;
	plane->signaled = 0;
	for (i = 0; i < plane->n; i++) {
		ASSERT_EQ(0, fence_prepare(&plane->fences[i], t->source));
		ASSERT_EQ(0, fence_attach(&plane->fences[i], &plane->buf,
					  write ? FENCE_WRITE : FENCE_READ));
	}
}

/* At random */
static void make_busy(struct __test_metadata *_metadata, struct poll_test *t,
		      struct plane *plane)
{
	struct fence fence;
	int i, other;

	make_busy_in_order(_metadata, t, plane);
	for (i = plane->n - 1; i > 0; i--) {
		other = rng_below(&rng, i + 1);
		fence = plane->fences[i];
		plane->fences[i] = plane->fences[other];
		plane->fences[other] = fence;
	}
}

static bool plane_is_busy(const struct plane *plane)
{
	return plane->signaled < plane->n;
}

/* Returns whether that made it ready. */
static bool signal_plane(struct __test_metadata *_metadata, struct plane *plane)
{
	signal_fence(_metadata, &plane->fences[plane->signaled++]);
	return !plane_is_busy(plane);
}

static void make_idle(struct plane *plane)
{
	int i;

	for (i = 0; i < plane->n; i++)
		fence_close(&plane->fences[i]);
	plane->n = 0;
	plane->signaled = 0;
}

static void close_plane(struct plane *plane)
{
	make_idle(plane);
	dmabuf_destroy(&plane->buf);
}

static int plane_poll(const struct plane *plane)
{
	return wait_now(WAIT_POLL, plane->buf.fd, plane->events);
}

/* One of those that are still busy. */
static struct plane *choose_busy(struct plane *planes, int n)
{
	int i, first = rng_below(&rng, n);

	for (i = 0; i < n; i++) {
		if (plane_is_busy(&planes[(first + i) % n]))
			return &planes[(first + i) % n];
	}
	return NULL;
}

static int watch(int epfd, int op, int fd, unsigned int events, unsigned int id)
{
	struct epoll_event ev = { .events = events, .data.u32 = id };

	return epoll_ctl(epfd, op, fd, &ev) ? -errno : 0;
}

/* The id of the source that has something to say, or -1: none in that time. */
static int dispatch(int epfd, int timeout_ms)
{
	struct epoll_event ev;

	return epoll_wait(epfd, &ev, 1, timeout_ms) == 1 ? (int)ev.data.u32 : -1;
}

/*
 * A thread with an event loop
 */

#define STOP_SOURCE	PLANES

struct loop {
	int epfd;
	int stopfd;
	/* an edge-triggered source stays, a level-triggered one is taken out */
	bool edges;
	int fds[PLANES];
	short events[PLANES];
	pthread_t thread;
	atomic_int tid;
	/* per source, and all that were not ready when they were dispatched */
	atomic_long dispatched[PLANES];
	atomic_long early;
};

static void *loop_thread(void *arg)
{
	struct loop *loop = arg;
	int id;

	atomic_store(&loop->tid, syscall(SYS_gettid));
	while ((id = dispatch(loop->epfd, -1)) != STOP_SOURCE) {
		if (id < 0)
			continue;
		if (!wait_now(WAIT_POLL, loop->fds[id], loop->events[id]))
			atomic_fetch_add(&loop->early, 1);
		if (!loop->edges)
			watch(loop->epfd, EPOLL_CTL_DEL, loop->fds[id], 0, id);
		atomic_fetch_add(&loop->dispatched[id], 1);
	}
	return NULL;
}

static void start_loop(struct __test_metadata *_metadata, struct loop *loop,
		       bool edges)
{
	*loop = (struct loop) {
		.edges = edges,
		.epfd = epoll_create1(EPOLL_CLOEXEC),
		.stopfd = eventfd(0, EFD_CLOEXEC),
	};
	ASSERT_LE(0, loop->epfd);
	ASSERT_LE(0, loop->stopfd);
	ASSERT_EQ(0, watch(loop->epfd, EPOLL_CTL_ADD, loop->stopfd, EPOLLIN, STOP_SOURCE));
	ASSERT_EQ(0, pthread_create(&loop->thread, NULL, loop_thread, loop));
}

static void add_source(struct __test_metadata *_metadata, struct loop *loop,
		       int id, int fd, unsigned int events)
{
	loop->fds[id] = fd;
	loop->events[id] = events & (POLLIN | POLLOUT);
	ASSERT_EQ(0, watch(loop->epfd, EPOLL_CTL_ADD, fd, events, id));
}

static void stop_loop(struct __test_metadata *_metadata, struct loop *loop)
{
	ASSERT_EQ(0, eventfd_write(loop->stopfd, 1));
	ASSERT_EQ(0, pthread_join(loop->thread, NULL));
	EXPECT_EQ(0, atomic_load(&loop->early));
	close(loop->epfd);
	close(loop->stopfd);
}

/* How often it went to sleep up to now, once it sleeps; -1: it never does. */
static long loop_sleeps(struct loop *loop)
{
	long long deadline = now_ms() + GIVE_UP_MS;
	struct sched_sample sample;
	long last = -1;
	pid_t tid;

	/* state S is also shown on the way there, before it counts */
	while (now_ms() < deadline) {
		sleep_ms(SETTLE_MS);
		tid = atomic_load(&loop->tid);
		if (!tid || sched_sample(tid, &sample) || sample.state != 'S')
			continue;
		if (sample.nvcsw == last)
			return last;
		last = sample.nvcsw;
	}
	return -1;
}

/* As many, and not one more */
static long await_dispatched(struct loop *loop, int id, long times)
{
	long long deadline = now_ms() + GIVE_UP_MS;

	while (atomic_load(&loop->dispatched[id]) < times && now_ms() < deadline)
		usleep(500);
	sleep_ms(SETTLE_MS);
	return atomic_load(&loop->dispatched[id]);
}

static long long cpu_ms(struct loop *loop)
{
	struct timespec ts = { 0 };
	clockid_t clock;

	if (!pthread_getcpuclockid(loop->thread, &clock))
		clock_gettime(clock, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

/*
 * poll(0) on each plane, then a level-triggered source on the busy ones
 */

POLL_TEST(no_lost_wakeup_client, poll_each_plane_then_watch_the_busy_ones_level_triggered)
{
	struct poll_test *t = &self->t;
	int epfd = epoll_create1(EPOLL_CLOEXEC);
	int dispatched[PLANES], waits, frame, i;
	struct plane planes[PLANES], *plane;

	ASSERT_LE(0, epfd);
	for (i = 0; i < PLANES; i++)
		open_plane(_metadata, t, &planes[i], i);

	for (frame = 0; frame < FRAMES; frame++) {
		/* in each frame another plane is ready from the start */
		for (waits = 0, i = 0; i < PLANES; i++) {
			dispatched[i] = 0;
			if (i != frame)
				make_busy(_metadata, t, &planes[i]);
			if (plane_poll(&planes[i]))
				continue;
			ASSERT_NE(frame, i);
			ASSERT_EQ(0, watch(epfd, EPOLL_CTL_ADD, planes[i].buf.fd,
					   planes[i].events, i));
			waits++;
		}
		ASSERT_EQ(PLANES - 1, waits);

		while ((plane = choose_busy(planes, PLANES))) {
			EXPECT_EQ(-1, dispatch(epfd, 0));
			if (!signal_plane(_metadata, plane))
				continue;
			i = dispatch(epfd, GIVE_UP_MS);
			ASSERT_EQ(plane - planes, i);
			dispatched[i]++;
			ASSERT_EQ(0, watch(epfd, EPOLL_CTL_DEL, plane->buf.fd, 0, i));
		}
		EXPECT_EQ(-1, dispatch(epfd, SETTLE_MS));
		for (i = 0; i < PLANES; i++) {
			EXPECT_EQ(i != frame, dispatched[i]);
			make_idle(&planes[i]);
		}
	}

	for (i = 0; i < PLANES; i++)
		close_plane(&planes[i]);
	close(epfd);
}

static long count_loop_wakeups(struct __test_metadata *_metadata,
			       struct poll_test *t)
{
	struct plane plane;
	struct loop loop;
	long before, wakeups;

	open_plane(_metadata, t, &plane, 0);
	make_busy_in_order(_metadata, t, &plane);
	start_loop(_metadata, &loop, false);
	ASSERT_EQ(0, plane_poll(&plane));
	add_source(_metadata, &loop, 0, plane.buf.fd, plane.events);
	before = loop_sleeps(&loop);
	ASSERT_LT(0, before);

	/* each time long enough for a loop woken in vain to sleep again */
	while (plane_is_busy(&plane)) {
		EXPECT_EQ(before, loop_sleeps(&loop));
		signal_plane(_metadata, &plane);
	}
	EXPECT_EQ(1, await_dispatched(&loop, 0, 1));
	wakeups = loop_sleeps(&loop) - before;

	stop_loop(_metadata, &loop);
	close_plane(&plane);
	return wakeups;
}

POLL_TEST(one_wakeup_client, a_level_triggered_source_wakes_its_loop_once_per_buffer)
{
	int tries = wakeup_tries();
	long wakeups;

	do {
		wakeups = count_loop_wakeups(_metadata, &self->t);
	} while (wakeups > 1 && --tries);

	figure("one_wakeup", wakeups, "wake-ups of an event loop for one buffer with %d fences",
	       PLANE_FENCES);
	EXPECT_EQ(1, wakeups);
}

/*
 * Duplicates in the epoll instance of a thread
 */

POLL_TEST(no_lost_wakeup_client, a_duplicate_leaves_an_epoll_thread_while_pending_others_stay)
{
	struct poll_test *t = &self->t;
	struct plane planes[PLANES], *plane;
	int i, dups[PLANES];
	struct loop loop;

	start_loop(_metadata, &loop, false);
	for (i = 0; i < PLANES; i++) {
		open_plane(_metadata, t, &planes[i], i);
		make_busy(_metadata, t, &planes[i]);
		dups[i] = dup(planes[i].buf.fd);
		ASSERT_LE(0, dups[i]);
		add_source(_metadata, &loop, i, dups[i], planes[i].events);
	}

	/* one that waits for reads, one that waits for a write */
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, watch(loop.epfd, EPOLL_CTL_DEL, dups[i], 0, i));
		ASSERT_EQ(0, close(dups[i]));
	}
	while ((plane = choose_busy(planes, PLANES)))
		signal_plane(_metadata, plane);
	for (i = 2; i < PLANES; i++) {
		EXPECT_EQ(1, await_dispatched(&loop, i, 1));
		close(dups[i]);
	}
	for (i = 0; i < 2; i++)
		EXPECT_EQ(0, atomic_load(&loop.dispatched[i]));

	stop_loop(_metadata, &loop);
	for (i = 0; i < PLANES; i++) {
		EXPECT_EQ(planes[i].events, plane_poll(&planes[i]));
		close_plane(&planes[i]);
	}
}

static void check_epoll_thread_frees(struct __test_metadata *_metadata,
				     struct poll_test *t, bool del)
{
	struct fence fence = add_fence(_metadata, t, FENCE_WRITE);
	int dupfd = dup(t->buf.fd);
	struct loop loop;
	long sleeps;

	ASSERT_LE(0, dupfd);
	start_loop(_metadata, &loop, false);
	add_source(_metadata, &loop, 0, dupfd, EPOLLIN);
	sleeps = loop_sleeps(&loop);
	ASSERT_LT(0, sleeps);

	/* otherwise the last close takes it out of the epoll instance */
	if (del)
		ASSERT_EQ(0, watch(loop.epfd, EPOLL_CTL_DEL, dupfd, 0, 0));
	close(dupfd);
	dmabuf_close(&t->buf);
	EXPECT_EQ(0, wait_freed(_metadata, t, AT_ONCE));

	signal_fence(_metadata, &fence);
	EXPECT_EQ(sleeps, loop_sleeps(&loop));
	EXPECT_EQ(0, atomic_load(&loop.dispatched[0]));
	stop_loop(_metadata, &loop);
	fence_close(&fence);
}

POLL_TEST(neutral_client, a_duplicate_that_left_an_epoll_thread_while_pending_keeps_nothing_alive)
{
	check_epoll_thread_frees(_metadata, &self->t, true);
}

POLL_TEST(neutral_client, closing_a_pending_duplicate_takes_the_buffer_out_of_an_epoll_thread)
{
	check_epoll_thread_frees(_metadata, &self->t, false);
}

/*
 * A one-shot source over up to four planes
 */

POLL_TEST(no_lost_wakeup_client, a_one_shot_source_over_up_to_four_planes_finishes_once)
{
	struct poll_test *t = &self->t;
	struct plane planes[PLANES], *plane;
	int n, i, left, epfd;

	for (n = 1; n <= PLANES; n++) {
		epfd = epoll_create1(EPOLL_CLOEXEC);
		ASSERT_LE(0, epfd);
		for (i = 0; i < n; i++) {
			open_plane(_metadata, t, &planes[i], i);
			make_busy(_metadata, t, &planes[i]);
			ASSERT_EQ(0, watch(epfd, EPOLL_CTL_ADD, planes[i].buf.fd,
					   planes[i].events | EPOLLONESHOT, i));
		}

		left = n;
		while ((plane = choose_busy(planes, n))) {
			EXPECT_EQ(-1, dispatch(epfd, 0));
			if (!signal_plane(_metadata, plane))
				continue;
			ASSERT_EQ(plane - planes, dispatch(epfd, GIVE_UP_MS));
			left--;
		}
		EXPECT_EQ(0, left);

		/* it is over, though every plane is ready: each had its one shot */
		EXPECT_EQ(-1, dispatch(epfd, SETTLE_MS));
		for (i = 0; i < n; i++)
			close_plane(&planes[i]);
		close(epfd);
	}
}

/* The planes of one buffer, as most drivers have them: same fences, same end. */
POLL_TEST(no_lost_wakeup_client, a_one_shot_source_over_planes_of_one_buffer_hears_of_each_once)
{
	struct poll_test *t = &self->t;
	struct fence fence = add_fence(_metadata, t, FENCE_WRITE);
	int epfd = epoll_create1(EPOLL_CLOEXEC);
	int i, id, dups[PLANES], dispatched[PLANES] = { 0 };

	ASSERT_LE(0, epfd);
	for (i = 0; i < PLANES; i++) {
		dups[i] = dup(t->buf.fd);
		ASSERT_LE(0, dups[i]);
		ASSERT_EQ(0, watch(epfd, EPOLL_CTL_ADD, dups[i],
				   (i & 1 ? EPOLLIN : EPOLLOUT) | EPOLLONESHOT, i));
	}
	EXPECT_EQ(-1, dispatch(epfd, SETTLE_MS));
	signal_fence(_metadata, &fence);
	for (i = 0; i < PLANES; i++) {
		id = dispatch(epfd, GIVE_UP_MS);
		ASSERT_LE(0, id);
		dispatched[id]++;
	}
	EXPECT_EQ(-1, dispatch(epfd, SETTLE_MS));
	for (i = 0; i < PLANES; i++) {
		EXPECT_EQ(1, dispatched[i]);
		close(dups[i]);
	}
	close(epfd);
	fence_close(&fence);
}

/*
 * A blocking poll, as fallback
 */

struct signaler {
	struct plane *plane;
	/* fences to be left pending */
	int leave;
	pid_t sleeper;
	long long done_ms;
};

/* Begins when the other one is asleep, and leaves it some time in between. */
static void *signaler_thread(void *arg)
{
	struct signaler *s = arg;
	long long deadline = now_ms() + GIVE_UP_MS;
	struct sched_sample sample;

	do {
		sleep_ms(1);
	} while ((sched_sample(s->sleeper, &sample) || sample.state != 'S') &&
		 now_ms() < deadline);
	while (s->plane->signaled < s->plane->n - s->leave) {
		sleep_ms(5);
		fence_signal(&s->plane->fences[s->plane->signaled++]);
	}
	s->done_ms = now_ms();
	return NULL;
}

POLL_TEST(no_lost_wakeup_client, a_blocking_poll_of_a_second_ends_with_the_last_fence)
{
	struct signaler s = { .sleeper = syscall(SYS_gettid) };
	struct poll_test *t = &self->t;
	int round, judged = 0, events;
	long long began, took;
	struct plane plane;
	struct pollfd pfd;
	pthread_t thread;

	for (round = 0; round < 6; round++) {
		open_plane(_metadata, t, &plane, round);
		make_busy(_metadata, t, &plane);
		s.plane = &plane;
		pfd = (struct pollfd) { .fd = plane.buf.fd, .events = plane.events };
		began = now_ms();
		ASSERT_EQ(0, pthread_create(&thread, NULL, signaler_thread, &s));
		events = poll(&pfd, 1, FALLBACK_MS) == 1 ? pfd.revents : 0;
		took = now_ms() - began;
		ASSERT_EQ(0, pthread_join(thread, NULL));
		close_plane(&plane);

		/*
		 * When its time is up a poll that nobody woke finds the buffer
		 * ready all the same. A machine that is too busy to signal in
		 * half of that time proves nothing.
		 */
		if (s.done_ms - began > FALLBACK_MS / 2)
			continue;
		judged++;
		EXPECT_EQ(plane.events, events);
		EXPECT_GT(FALLBACK_MS, took);
	}
	EXPECT_LT(0, judged);
}

/* Woken for some fences or not, it sleeps for as long as one of them is left. */
static void check_gives_up(struct __test_metadata *_metadata, struct poll_test *t,
			   int timeout_ms)
{
	struct signaler s = { .sleeper = syscall(SYS_gettid), .leave = 1 };
	struct plane plane;
	struct pollfd pfd;
	pthread_t thread;
	long long began;

	open_plane(_metadata, t, &plane, 0);
	make_busy(_metadata, t, &plane);
	s.plane = &plane;
	pfd = (struct pollfd) { .fd = plane.buf.fd, .events = plane.events };
	began = now_ms();
	ASSERT_EQ(0, pthread_create(&thread, NULL, signaler_thread, &s));
	EXPECT_EQ(0, poll(&pfd, 1, timeout_ms));
	EXPECT_EQ(0, pfd.revents);
	EXPECT_LE(timeout_ms, now_ms() - began);
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_TRUE(signal_plane(_metadata, &plane));
	EXPECT_EQ(1, poll(&pfd, 1, timeout_ms));
	EXPECT_EQ(plane.events, pfd.revents);
	close_plane(&plane);
}

POLL_TEST(exact_client, a_blocking_poll_of_100_ms_returns_nothing_while_a_fence_is_left)
{
	check_gives_up(_metadata, &self->t, 100);
}

POLL_TEST(exact_client, a_blocking_poll_of_a_second_returns_nothing_while_a_fence_is_left)
{
	check_gives_up(_metadata, &self->t, FALLBACK_MS);
}

/*
 * 256 descriptors polled for POLLNVAL only
 */

static void dup_descriptors(struct __test_metadata *_metadata, int fd,
			    struct pollfd *pfds)
{
	int i;

	for (i = 0; i < DESCRIPTORS; i++) {
		pfds[i] = (struct pollfd) { .fd = dup(fd) };
		ASSERT_LE(0, pfds[i].fd);
	}
}

static void close_descriptors(struct pollfd *pfds)
{
	int i;

	for (i = 0; i < DESCRIPTORS; i++)
		close(pfds[i].fd);
}

POLL_TEST(exact_client, polling_256_descriptors_for_nval_tells_which_of_them_are_closed)
{
	struct poll_test *t = &self->t;
	/* before the others are closed: it has descriptors of its own */
	struct fence fence = add_fence(_metadata, t, FENCE_WRITE);
	struct pollfd pfds[DESCRIPTORS];
	int i, busy;

	dup_descriptors(_metadata, t->buf.fd, pfds);
	EXPECT_EQ(0, poll(pfds, DESCRIPTORS, 0));
	for (i = 3; i < DESCRIPTORS; i += 8)
		close(pfds[i].fd);
	for (busy = 1; busy >= 0; busy--) {
		EXPECT_EQ(DESCRIPTORS / 8, poll(pfds, DESCRIPTORS, 0));
		for (i = 0; i < DESCRIPTORS; i++)
			ASSERT_EQ(i % 8 == 3 ? POLLNVAL : 0, pfds[i].revents);
		if (busy)
			signal_fence(_metadata, &fence);
	}
	fence_close(&fence);
	close_descriptors(pfds);
}

POLL_TEST(neutral_client, polling_256_descriptors_for_nval_holds_nothing)
{
	struct poll_test *t = &self->t;
	struct fence fence = add_fence(_metadata, t, FENCE_WRITE);
	struct pollfd pfds[DESCRIPTORS];
	long before;

	dup_descriptors(_metadata, t->buf.fd, pfds);
	before = dmabuf_file_count(t->buf.ino);
	EXPECT_EQ(0, poll(pfds, DESCRIPTORS, 0));
	EXPECT_EQ(before, dmabuf_file_count(t->buf.ino));
	close_descriptors(pfds);
	dmabuf_close(&t->buf);
	EXPECT_EQ(0, wait_freed(_metadata, t, AT_ONCE));
	fence_close(&fence);
}

POLL_TEST(quiet_client, polling_256_descriptors_for_nval_wakes_no_sleeper)
{
	struct poll_test *t = &self->t;
	struct fence fence = add_fence(_metadata, t, FENCE_READ);
	struct waiter *w = start_waiter(_metadata, t, WAIT_EPOLL_ET, POLLOUT);
	struct pollfd pfds[DESCRIPTORS];

	dup_descriptors(_metadata, t->buf.fd, pfds);
	EXPECT_EQ(0, poll(pfds, DESCRIPTORS, 0));
	expect_undisturbed(_metadata, w);
	signal_fence(_metadata, &fence);
	expect_woken(_metadata, w, POLLOUT);
	close_descriptors(pfds);
	fence_close(&fence);
}

/*
 * Export a sync_file for writing, poll that, then a source on it
 */

POLL_TEST(exact_client, a_sync_file_exported_for_writing_is_polled_then_watched)
{
	struct poll_test *t = &self->t;
	int epfd = epoll_create1(EPOLL_CLOEXEC);
	struct plane plane;
	struct fence later;
	int fd;

	ASSERT_LE(0, epfd);
	open_plane(_metadata, t, &plane, 0);
	fd = dmabuf_export_sync_file(plane.buf.fd, FENCE_WRITE);
	if (fd == -ENOTTY)
		SKIP_TEST("this kernel has no DMA_BUF_IOCTL_EXPORT_SYNC_FILE");
	ASSERT_LE(0, fd);
	/* ready: no source is made */
	EXPECT_EQ(POLLIN, wait_now(WAIT_POLL, fd, POLLIN));
	close(fd);

	make_busy(_metadata, t, &plane);
	fd = dmabuf_export_sync_file(plane.buf.fd, FENCE_WRITE);
	ASSERT_LE(0, fd);
	EXPECT_EQ(0, wait_now(WAIT_POLL, fd, POLLIN));
	ASSERT_EQ(0, watch(epfd, EPOLL_CTL_ADD, fd, EPOLLIN, 0));
	do {
		EXPECT_EQ(0, plane_poll(&plane));
		EXPECT_EQ(-1, dispatch(epfd, 0));
	} while (!signal_plane(_metadata, &plane));
	EXPECT_EQ(0, dispatch(epfd, GIVE_UP_MS));
	EXPECT_EQ(plane.events, plane_poll(&plane));

	/* what comes later concerns the buffer only */
	ASSERT_EQ(0, fence_prepare(&later, t->source));
	ASSERT_EQ(0, fence_attach(&later, &plane.buf, FENCE_READ));
	EXPECT_EQ(0, plane_poll(&plane));
	EXPECT_EQ(0, dispatch(epfd, 0));
	ASSERT_EQ(0, watch(epfd, EPOLL_CTL_DEL, fd, 0, 0));
	EXPECT_EQ(-1, dispatch(epfd, 0));
	signal_fence(_metadata, &later);
	EXPECT_EQ(plane.events, plane_poll(&plane));

	close(fd);
	fence_close(&later);
	close_plane(&plane);
	close(epfd);
}

/*
 * Registered edge-triggered for IN and OUT at once, as runtimes do
 */

POLL_TEST(no_lost_wakeup_client, a_runtime_that_registers_both_edges_gets_the_first_readiness)
{
	struct poll_test *t = &self->t;
	struct fence fence;
	struct loop loop;
	int busy;

	for (busy = 0; busy < 2; busy++) {
		if (busy)
			fence = add_fence(_metadata, t, FENCE_WRITE);
		start_loop(_metadata, &loop, true);
		add_source(_metadata, &loop, 0, t->buf.fd, BOTH_EDGES);
		if (busy) {
			sleep_ms(SETTLE_MS);
			EXPECT_EQ(0, atomic_load(&loop.dispatched[0]));
			signal_fence(_metadata, &fence);
		}
		EXPECT_LE(1, await_dispatched(&loop, 0, 1));
		stop_loop(_metadata, &loop);
	}
	fence_close(&fence);
}

/* Registered once, for as long as the file is open: look, and wait if need be. */
POLL_TEST(no_lost_wakeup_client, a_runtime_that_looks_before_it_waits_sees_each_frame)
{
	struct poll_test *t = &self->t;
	int epfd = epoll_create1(EPOLL_CLOEXEC);
	struct plane plane;
	int frame, edges;

	ASSERT_LE(0, epfd);
	open_plane(_metadata, t, &plane, 0);
	ASSERT_EQ(0, watch(epfd, EPOLL_CTL_ADD, plane.buf.fd, BOTH_EDGES, 0));
	for (frame = 0; frame < 2 * FRAMES; frame++) {
		/* written to and read from in turns */
		plane.events ^= POLLIN | POLLOUT;
		make_busy(_metadata, t, &plane);
		/* the edge from before, and what a kernel makes up: bounded */
		for (edges = 0; edges < 10 && !dispatch(epfd, 0); edges++)
			;
		ASSERT_EQ(0, plane_poll(&plane));
		while (!signal_plane(_metadata, &plane))
			;
		edges = 0;
		do {
			ASSERT_EQ(0, dispatch(epfd, GIVE_UP_MS));
		} while (!plane_poll(&plane) && ++edges < 100);
		EXPECT_EQ(plane.events, plane_poll(&plane));
		make_idle(&plane);
	}
	close_plane(&plane);
	close(epfd);
}

POLL_TEST(quiet_client, a_runtime_that_registers_both_edges_sleeps_on_an_idle_buffer)
{
	struct poll_test *t = &self->t;
	const int watched_ms = 300;
	struct loop loop;
	long dispatched;
	long long cpu;

	start_loop(_metadata, &loop, true);
	cpu = cpu_ms(&loop);
	add_source(_metadata, &loop, 0, t->buf.fd, BOTH_EDGES);
	EXPECT_LE(1, await_dispatched(&loop, 0, 1));
	sleep_ms(watched_ms);
	cpu = cpu_ms(&loop) - cpu;
	dispatched = atomic_load(&loop.dispatched[0]);

	figure("quiet", dispatched, "edges for a runtime in %d ms of an idle buffer", watched_ms);
	EXPECT_EQ(1, dispatched);
	EXPECT_GT(watched_ms / 2, cpu);
	stop_loop(_metadata, &loop);
}

POLL_TEST(quiet_client, a_runtime_that_registers_both_edges_gets_one_edge_for_a_completion)
{
	struct poll_test *t = &self->t;
	struct plane plane;
	struct loop loop;

	open_plane(_metadata, t, &plane, 0);
	make_busy_in_order(_metadata, t, &plane);
	start_loop(_metadata, &loop, true);
	/* reads only are pending, so the first edge is for IN */
	add_source(_metadata, &loop, 0, plane.buf.fd, BOTH_EDGES);
	EXPECT_EQ(1, await_dispatched(&loop, 0, 1));

	while (!signal_plane(_metadata, &plane))
		sleep_ms(1);
	await_dispatched(&loop, 0, 2);
	sleep_ms(2 * SETTLE_MS);
	EXPECT_EQ(2, atomic_load(&loop.dispatched[0]));
	stop_loop(_metadata, &loop);
	close_plane(&plane);
}

POLL_TEST(neutral_client, closing_what_a_runtime_has_registered_frees_the_buffer_while_pending)
{
	struct poll_test *t = &self->t;
	struct fence fence = add_fence(_metadata, t, FENCE_WRITE);
	struct loop loop;

	start_loop(_metadata, &loop, true);
	add_source(_metadata, &loop, 0, t->buf.fd, BOTH_EDGES);
	ASSERT_LT(0, loop_sleeps(&loop));
	dmabuf_close(&t->buf);
	EXPECT_EQ(0, wait_freed(_metadata, t, AT_ONCE));
	signal_fence(_metadata, &fence);
	EXPECT_LT(0, loop_sleeps(&loop));
	EXPECT_EQ(0, atomic_load(&loop.dispatched[0]));
	stop_loop(_metadata, &loop);
	fence_close(&fence);
}

TEST_HARNESS_MAIN
