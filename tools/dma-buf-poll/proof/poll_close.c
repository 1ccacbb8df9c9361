// SPDX-License-Identifier: GPL-2.0
/*
 * Closing a dma-buf that is being polled.
 *
 * These are the tests that a kernel may not survive: stock 5.10 does not. They
 * are a program of their own so that those of contract.c need not go down with
 * them. Each fixture belongs to the line of the contract that its name starts
 * with, see contract.c.
 */
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "poll_test.h"

#define BUFFERS		16
/* On an idle machine the first is more than enough for the second. */
#define RACE_MS		1500
#define RACE_ROUNDS	200
#define RACE_MAX_MS	(TIMEOUT_S * 1000 / 2)

static const struct place udmabuf_sw_sync = UDMABUF_SW_SYNC;
static const struct place vgem_sw_sync = VGEM_SW_SYNC;
static const struct place vgem_vgem = VGEM_VGEM;

static int setup(struct __test_metadata *_metadata, const struct place *on)
{
	int kernel_log = begin_test(_metadata, on);
	const char *missing;
	struct dmabuf buf;

	ASSERT_EQ(0, dmabuf_create(&buf, on->exporter));
	missing = fence_source_missing(on->source, buf.fd);
	dmabuf_destroy(&buf);
	if (missing)
		SKIP_TEST("%s", missing);
	return kernel_log;
}

#define CLOSE_FIXTURE(name)							\
FIXTURE(name) { int kernel_log; };						\
FIXTURE_VARIANT(name) { const struct place *on; };				\
FIXTURE_SETUP(name) { self->kernel_log = setup(_metadata, variant->on); }	\
FIXTURE_TEARDOWN(name) { EXPECT_EQ(0, kernel_log_warnings(self->kernel_log)); }	\
FIXTURE_VARIANT_ADD(name, udmabuf_sw_sync) { .on = &udmabuf_sw_sync };		\
FIXTURE_VARIANT_ADD(name, vgem_sw_sync) { .on = &vgem_sw_sync };		\
FIXTURE_VARIANT_ADD(name, vgem_vgem) { .on = &vgem_vgem }

CLOSE_FIXTURE(neutral_close);
CLOSE_FIXTURE(anycontext_close);

/*
 * neutral
 */

static void attach(struct __test_metadata *_metadata, const struct place *on,
		   struct dmabuf *buf, enum fence_usage usage,
		   struct fence *fence)
{
	ASSERT_EQ(0, fence_prepare(fence, on->source));
	ASSERT_EQ(0, fence_attach(fence, buf, usage));
}

/*
 * The whole of what an unprivileged process needs to bring stock 5.10 down
 * with a BUG_ON in dma_buf_release().
 */
static void check_close_after_one_poll(struct __test_metadata *_metadata,
				       const struct place *on,
				       enum fence_usage usage, short ready)
{
	struct fence fence;
	struct dmabuf buf;
	int status = -1;
	pid_t pid;

	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		if (dmabuf_create(&buf, on->exporter) ||
		    fence_prepare(&fence, on->source) ||
		    fence_attach(&fence, &buf, usage))
			_exit(1);
		if (wait_now(WAIT_POLL, buf.fd, POLLIN | POLLOUT) != ready)
			_exit(2);
		/* the rest is closed by _exit() */
		dmabuf_close(&buf);
		_exit(0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);

	/* whoever gets that memory next finds nothing left behind in it */
	ASSERT_EQ(0, dmabuf_create(&buf, on->exporter));
	EXPECT_EQ(POLLIN | POLLOUT, wait_now(WAIT_POLL, buf.fd, POLLIN | POLLOUT));
	dmabuf_destroy(&buf);
}

POLL_TEST(neutral_close, one_poll_then_closing_everything_is_survived)
{
	check_close_after_one_poll(_metadata, variant->on, FENCE_WRITE, 0);
	check_close_after_one_poll(_metadata, variant->on, FENCE_READ, POLLIN);
}

/*
 * anycontext
 */

struct race {
	struct dmabuf bufs[BUFFERS];
	struct fence fences[BUFFERS];
	int epfd;
	/* threads that have arrived, once per round */
	pthread_barrier_t start;
	pthread_barrier_t end;
	atomic_bool stop;
	atomic_bool closing;
	atomic_bool closed;
	long overlaps;
};

static void *race_closer(void *arg)
{
	struct race *r = arg;
	int i;

	for (;;) {
		pthread_barrier_wait(&r->start);
		if (atomic_load(&r->stop))
			return NULL;
		atomic_store(&r->closing, true);
		/* the last are looked at last: there is the most time for them */
		for (i = BUFFERS - 1; i >= 0; i--)
			dmabuf_close(&r->bufs[i]);
		atomic_store(&r->closed, true);
		pthread_barrier_wait(&r->end);
	}
}

/*
 * All buffers are on the ready list and busy by now. epoll_wait() looks at one
 * after the other, under a lock that closing them has to wait for: with the
 * last reference to their files gone already.
 */
static void *race_watcher(void *arg)
{
	struct epoll_event events[BUFFERS];
	struct race *r = arg;
	bool overlap;
	int i;

	for (;;) {
		pthread_barrier_wait(&r->start);
		if (atomic_load(&r->stop))
			return NULL;
		overlap = false;
		for (i = 0; i < 1000 && !atomic_load(&r->closed); i++) {
			epoll_wait(r->epfd, events, BUFFERS, 0);
			overlap |= atomic_load(&r->closing);
		}
		r->overlaps += overlap;
		pthread_barrier_wait(&r->end);
	}
}

static void race_prepare(struct __test_metadata *_metadata,
			 const struct place *on, struct race *r)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLOUT };
	int i;

	for (i = 0; i < BUFFERS; i++) {
		ASSERT_EQ(0, dmabuf_replace(&r->bufs[i], on->exporter));
		/* ready now, and so on the list of what is to be looked at */
		ASSERT_EQ(0, epoll_ctl(r->epfd, EPOLL_CTL_ADD, r->bufs[i].fd, &ev));
		attach(_metadata, on, &r->bufs[i], i & 1 ? FENCE_READ : FENCE_WRITE,
		       &r->fences[i]);
	}
	atomic_store(&r->closing, false);
	atomic_store(&r->closed, false);
}

static int race_signal(struct race *r)
{
	int i, failed = 0;

	for (i = 0; i < BUFFERS; i++)
		failed += !!fence_signal(&r->fences[i]);
	return failed;
}

/*
 * epoll calls ->poll() on a file that is being closed on another CPU. Kernels
 * before 6.10 do not even hold a reference on it meanwhile.
 */
POLL_TEST(anycontext_close, closing_and_epoll_wait_may_collide)
{
	struct race r = { .stop = false };
	pthread_t closer, watcher;
	long long start;
	long rounds = 0;
	int i, failed = 0;

	r.epfd = epoll_create1(EPOLL_CLOEXEC);
	ASSERT_LE(0, r.epfd);
	for (i = 0; i < BUFFERS; i++)
		ASSERT_EQ(0, dmabuf_create(&r.bufs[i], variant->on->exporter));
	ASSERT_EQ(0, pthread_barrier_init(&r.start, NULL, 3));
	ASSERT_EQ(0, pthread_barrier_init(&r.end, NULL, 3));
	ASSERT_EQ(0, pthread_create(&closer, NULL, race_closer, &r));
	ASSERT_EQ(0, pthread_create(&watcher, NULL, race_watcher, &r));

	start = now_ms();
	while (now_ms() - start < (rounds < RACE_ROUNDS ? RACE_MAX_MS : RACE_MS)) {
		race_prepare(_metadata, variant->on, &r);
		pthread_barrier_wait(&r.start);
		/* the callbacks come meanwhile, or are left to be cancelled */
		failed += rounds & 1 ? race_signal(&r) : 0;
		pthread_barrier_wait(&r.end);
		failed += rounds & 1 ? 0 : race_signal(&r);
		for (i = 0; i < BUFFERS; i++)
			fence_close(&r.fences[i]);
		rounds++;
	}
	atomic_store(&r.stop, true);
	pthread_barrier_wait(&r.start);
	pthread_join(closer, NULL);
	pthread_join(watcher, NULL);

	figure("anycontext", rounds, "rounds of closing 16 buffers against epoll_wait");
	figure("anycontext", r.overlaps, "rounds of these in which the two overlapped");
	EXPECT_EQ(0, failed);
	EXPECT_TRUE(r.overlaps || sysconf(_SC_NPROCESSORS_ONLN) == 1);
	for (i = 0; i < BUFFERS; i++)
		dmabuf_destroy(&r.bufs[i]);
	close(r.epfd);
}

TEST_HARNESS_MAIN
