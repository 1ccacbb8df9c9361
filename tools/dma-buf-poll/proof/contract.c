// SPDX-License-Identifier: GPL-2.0
/*
 * What poll(), select(), epoll, io_uring and aio may expect of a dma-buf.
 *
 * Each fixture is one line of that contract and each test one sentence of it,
 * run on buffers of several exporters with fences from several sources:
 *
 *   exact           EPOLLIN waits for the write fences, EPOLLOUT for all
 *   no_lost_wakeup  whoever sleeps is woken when its condition becomes true
 *   one_wakeup      and is woken once, however many fences there are
 *   neutral         poll keeps neither the buffer nor a fence alive
 *   quiet           polling an idle buffer wakes nobody
 *   no_alloc        nothing is allocated
 *   shared          any number of waiters of any kind share a buffer
 *   anycontext      signaling, polling and closing may collide
 *   names           EPOLLRDNORM, EPOLLWRNORM, and fences that end in an error
 *
 * The fixtures called *_import need fences that vgem refuses to attach to one
 * buffer, and so run on imported sync_files only.
 *
 * That poll looks without the reservation lock, and that it enables signaling
 * cannot be seen reliably from here: the KUnit suite of dma-buf covers these.
 *
 * Every wait is bounded, no test depends on something being fast, and "asleep"
 * and "woken" are read from the scheduler's own counters.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "poll_test.h"

#define MAX_FENCES	64

static const int fence_counts[] = { 1, 4, 16, 64 };

POLL_FIXTURE(exact);
POLL_FIXTURE_IMPORT(exact_import);
POLL_FIXTURE(no_lost_wakeup);
POLL_FIXTURE_IMPORT(no_lost_wakeup_import);
POLL_FIXTURE(one_wakeup);
POLL_FIXTURE_IMPORT(one_wakeup_import);
POLL_FIXTURE(neutral);
POLL_FIXTURE_IMPORT(neutral_import);
POLL_FIXTURE(quiet);
POLL_FIXTURE(no_alloc);
POLL_FIXTURE(shared);
POLL_FIXTURE(anycontext);
POLL_FIXTURE(names);
POLL_FIXTURE_IMPORT(names_import);

/*
 * Helpers
 */

/* For what is reported without delay unless it is never reported. */
static int poll_soon(struct poll_test *t, short events)
{
	struct pollfd pfd = { .fd = t->buf.fd, .events = events };
	int ret = poll(&pfd, 1, GIVE_UP_MS);

	return ret < 0 ? -errno : pfd.revents;
}

static struct poller *open_poller(struct __test_metadata *_metadata,
				  struct poll_test *t, enum wait_kind kind,
				  short events)
{
	struct poller *p;

	need_kind(_metadata, kind);
	p = poller_open(kind, t->buf.fd, events);
	ASSERT_NE(NULL, p);
	return p;
}

enum mix {
	READS,
	WRITES,
	ALTERNATING,
};

enum order {
	IN_ORDER,
	REVERSED,
	SHUFFLED,
	ORDERS,
};

static enum fence_usage usage_of(enum mix mix, int i)
{
	if (mix == ALTERNATING)
		return i & 1 ? FENCE_READ : FENCE_WRITE;
	return mix == READS ? FENCE_READ : FENCE_WRITE;
}

/* Fences that are signaled one by one, and what is left to signal of them. */
struct fence_set {
	struct fence fences[MAX_FENCES];
	int turn[MAX_FENCES];
	enum mix mix;
	int n;
	int signaled;
};

static void fill_fence_set(struct __test_metadata *_metadata,
			   struct poll_test *t, struct fence_set *set, int n,
			   enum mix mix, enum order order)
{
	int i, other;

	set->n = n;
	set->mix = mix;
	set->signaled = 0;
	for (i = 0; i < n; i++) {
		set->fences[i] = add_fence(_metadata, t, usage_of(mix, i));
		set->turn[i] = order == REVERSED ? n - 1 - i : i;
		if (order == SHUFFLED) {
			other = rand() % (i + 1);
			set->turn[i] = set->turn[other];
			set->turn[other] = i;
		}
	}
}

static void signal_next(struct __test_metadata *_metadata, struct fence_set *set)
{
	signal_fence(_metadata, &set->fences[set->turn[set->signaled++]]);
}

static void close_fence_set(struct fence_set *set)
{
	int i;

	for (i = 0; i < set->n; i++)
		fence_close(&set->fences[i]);
}

static short ready_events(const struct fence_set *set)
{
	short ready = POLLIN | POLLOUT;
	int i;

	for (i = set->signaled; i < set->n; i++) {
		ready &= ~POLLOUT;
		if (usage_of(set->mix, set->turn[i]) == FENCE_WRITE)
			ready &= ~POLLIN;
	}
	return ready;
}

/*
 * exact
 */

POLL_TEST(exact, idle_buffer_is_ready_in_both_directions)
{
	struct poll_test *t = &self->t;

	EXPECT_EQ(POLLIN, poll_now(t, POLLIN));
	EXPECT_EQ(POLLOUT, poll_now(t, POLLOUT));
	EXPECT_EQ(POLLIN | POLLOUT, poll_now(t, POLLIN | POLLOUT));
	EXPECT_EQ(0, poll_now(t, 0));
}

POLL_TEST(exact, in_waits_for_write_fences)
{
	struct poll_test *t = &self->t;
	struct fence fence = add_fence(_metadata, t, FENCE_WRITE);

	EXPECT_EQ(0, poll_now(t, POLLIN));
	signal_fence(_metadata, &fence);
	EXPECT_EQ(POLLIN, poll_now(t, POLLIN));
	fence_close(&fence);
}

POLL_TEST(exact, in_ignores_read_fences)
{
	struct poll_test *t = &self->t;
	struct fence fence = add_fence(_metadata, t, FENCE_READ);

	EXPECT_EQ(POLLIN, poll_now(t, POLLIN));
	EXPECT_EQ(POLLIN, poll_now(t, POLLIN | POLLOUT));
	fence_close(&fence);
}

POLL_TEST(exact, out_waits_for_write_fences)
{
	struct poll_test *t = &self->t;
	struct fence fence = add_fence(_metadata, t, FENCE_WRITE);

	EXPECT_EQ(0, poll_now(t, POLLOUT));
	signal_fence(_metadata, &fence);
	EXPECT_EQ(POLLOUT, poll_now(t, POLLOUT));
	fence_close(&fence);
}

POLL_TEST(exact, out_waits_for_read_fences)
{
	struct poll_test *t = &self->t;
	struct fence fence = add_fence(_metadata, t, FENCE_READ);

	EXPECT_EQ(0, poll_now(t, POLLOUT));
	signal_fence(_metadata, &fence);
	EXPECT_EQ(POLLOUT, poll_now(t, POLLOUT));
	fence_close(&fence);
}

/* Polling must not leave behind an answer that outlives the fence. */
POLL_TEST(exact, poll_sees_each_fence_come_and_go)
{
	struct poll_test *t = &self->t;
	struct fence fence;
	int i;

	for (i = 0; i < 50; i++) {
		fence = add_fence(_metadata, t, i & 1 ? FENCE_READ : FENCE_WRITE);
		ASSERT_EQ(i & 1 ? POLLIN : 0, poll_now(t, POLLIN | POLLOUT));
		ASSERT_EQ(0, poll_now(t, POLLOUT));
		signal_fence(_metadata, &fence);
		ASSERT_EQ(POLLIN | POLLOUT, poll_now(t, POLLIN | POLLOUT));
		fence_close(&fence);
	}
}

static void check_each_step(struct __test_metadata *_metadata,
			    struct poll_test *t, enum mix mix)
{
	struct fence_set set;
	enum order order;
	unsigned int i;

	for (order = IN_ORDER; order < ORDERS; order++) {
		for (i = 0; i < ARRAY_SIZE(fence_counts); i++) {
			fill_fence_set(_metadata, t, &set, fence_counts[i], mix, order);
			while (set.signaled < set.n) {
				ASSERT_EQ(ready_events(&set), poll_now(t, POLLIN | POLLOUT));
				signal_next(_metadata, &set);
			}
			ASSERT_EQ(POLLIN | POLLOUT, poll_now(t, POLLIN | POLLOUT));
			close_fence_set(&set);
		}
	}
}

POLL_TEST(exact, out_waits_for_the_last_of_many_read_fences)
{
	check_each_step(_metadata, &self->t, READS);
}

POLL_TEST(exact_import, in_and_out_wait_for_the_last_of_many_write_fences)
{
	check_each_step(_metadata, &self->t, WRITES);
}

POLL_TEST(exact_import, each_direction_waits_for_its_own_of_mixed_fences)
{
	check_each_step(_metadata, &self->t, ALTERNATING);
}

POLL_TEST(exact_import, a_later_fence_of_the_same_timeline_replaces_the_earlier)
{
	struct poll_test *t = &self->t;
	int timeline = sw_sync_timeline();
	int i, fd;

	for (i = 1; i <= 2; i++) {
		fd = sw_sync_fence(timeline, i);
		ASSERT_EQ(0, dmabuf_import_sync_file(t->buf.fd, fd, FENCE_WRITE));
		EXPECT_EQ(0, poll_now(t, POLLIN));
		close(fd);
	}

	ASSERT_EQ(0, sw_sync_inc(timeline, 1));
	EXPECT_EQ(0, poll_now(t, POLLIN));
	ASSERT_EQ(0, sw_sync_inc(timeline, 1));
	EXPECT_EQ(POLLIN, poll_now(t, POLLIN));
	close(timeline);
}

POLL_TEST(exact_import, every_fence_of_a_merged_sync_file_counts)
{
	struct poll_test *t = &self->t;
	int timelines[4], fd, next, merged = -1;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(timelines); i++) {
		timelines[i] = sw_sync_timeline();
		fd = sw_sync_fence(timelines[i], 1);
		ASSERT_LE(0, fd);
		if (merged < 0) {
			merged = fd;
			continue;
		}
		next = sync_file_merge(merged, fd);
		ASSERT_LE(0, next);
		close(merged);
		close(fd);
		merged = next;
	}
	ASSERT_EQ(0, dmabuf_import_sync_file(t->buf.fd, merged, FENCE_WRITE));

	for (i = 0; i < ARRAY_SIZE(timelines); i++) {
		EXPECT_EQ(0, poll_now(t, POLLIN | POLLOUT));
		ASSERT_EQ(0, sw_sync_inc(timelines[i], 1));
		close(timelines[i]);
	}
	EXPECT_EQ(POLLIN | POLLOUT, poll_now(t, POLLIN | POLLOUT));
	close(merged);
}

/* The two answers that user space can get to the same question. */
POLL_TEST(exact_import, poll_agrees_with_the_exported_sync_file)
{
	struct poll_test *t = &self->t;
	struct fence_set set;
	int round, in, out;
	short expected;

	for (round = 0; round < 30; round++) {
		fill_fence_set(_metadata, t, &set, rand() % 7, rand() % 3, SHUFFLED);
		for (;;) {
			in = dmabuf_export_sync_file(t->buf.fd, FENCE_READ);
			out = dmabuf_export_sync_file(t->buf.fd, FENCE_WRITE);
			ASSERT_LE(0, in);
			ASSERT_LE(0, out);
			expected = wait_now(WAIT_POLL, in, POLLIN) ? POLLIN : 0;
			expected |= wait_now(WAIT_POLL, out, POLLIN) ? POLLOUT : 0;
			close(in);
			close(out);
			ASSERT_EQ(expected, poll_now(t, POLLIN | POLLOUT));
			if (set.signaled == set.n)
				break;
			signal_next(_metadata, &set);
		}
		close_fence_set(&set);
	}
}

static void check_reports(struct __test_metadata *_metadata,
			  struct poll_test *t, enum wait_kind kind)
{
	const short both = POLLIN | POLLOUT;
	struct fence fence;

	need_kind(_metadata, kind);
	EXPECT_EQ(POLLIN, wait_now(kind, t->buf.fd, POLLIN));
	EXPECT_EQ(POLLOUT, wait_now(kind, t->buf.fd, POLLOUT));
	EXPECT_EQ(both, wait_now(kind, t->buf.fd, both));

	fence = add_fence(_metadata, t, FENCE_WRITE);
	EXPECT_EQ(0, wait_now(kind, t->buf.fd, POLLIN));
	EXPECT_EQ(0, wait_now(kind, t->buf.fd, POLLOUT));
	EXPECT_EQ(0, wait_now(kind, t->buf.fd, both));
	signal_fence(_metadata, &fence);
	fence_close(&fence);
	EXPECT_EQ(both, wait_now(kind, t->buf.fd, both));

	fence = add_fence(_metadata, t, FENCE_READ);
	EXPECT_EQ(POLLIN, wait_now(kind, t->buf.fd, POLLIN));
	EXPECT_EQ(0, wait_now(kind, t->buf.fd, POLLOUT));
	EXPECT_EQ(POLLIN, wait_now(kind, t->buf.fd, both));
	signal_fence(_metadata, &fence);
	fence_close(&fence);
	EXPECT_EQ(both, wait_now(kind, t->buf.fd, both));
}

POLL_TEST(exact, poll_reports_what_is_ready)
{
	check_reports(_metadata, &self->t, WAIT_POLL);
}

POLL_TEST(exact, ppoll_reports_what_is_ready)
{
	check_reports(_metadata, &self->t, WAIT_PPOLL);
}

POLL_TEST(exact, select_reports_what_is_ready)
{
	check_reports(_metadata, &self->t, WAIT_SELECT);
}

POLL_TEST(exact, epoll_lt_reports_what_is_ready)
{
	check_reports(_metadata, &self->t, WAIT_EPOLL_LT);
}

POLL_TEST(exact, epoll_et_reports_what_is_ready)
{
	check_reports(_metadata, &self->t, WAIT_EPOLL_ET);
}

POLL_TEST(exact, epoll_oneshot_reports_what_is_ready)
{
	check_reports(_metadata, &self->t, WAIT_EPOLL_ONESHOT);
}

POLL_TEST(exact, epoll_exclusive_reports_what_is_ready)
{
	check_reports(_metadata, &self->t, WAIT_EPOLL_EXCLUSIVE);
}

POLL_TEST(exact, epoll_nested_reports_what_is_ready)
{
	check_reports(_metadata, &self->t, WAIT_EPOLL_NESTED);
}

POLL_TEST(exact, io_uring_reports_what_is_ready)
{
	check_reports(_metadata, &self->t, WAIT_IO_URING);
}

POLL_TEST(exact, aio_reports_what_is_ready)
{
	check_reports(_metadata, &self->t, WAIT_AIO);
}

POLL_TEST(exact, level_triggered_epoll_keeps_reporting)
{
	struct poller *p = open_poller(_metadata, &self->t, WAIT_EPOLL_LT, POLLIN);
	int events = poller_drain(p, 1000);

	figure("exact", events, "level-triggered events in 1000 epoll_wait on an idle buffer");
	EXPECT_EQ(1000, events);
	poller_close(p);
}

/*
 * no_lost_wakeup
 */

/* Twice in a row: a direction that is not given back serves only once. */
static void check_wakes_for(struct __test_metadata *_metadata,
			    struct poll_test *t, enum wait_kind kind,
			    short events, enum fence_usage usage)
{
	struct waiter *w;
	struct fence fence;
	int round;

	for (round = 0; round < 2; round++) {
		fence = add_fence(_metadata, t, usage);
		w = start_waiter(_metadata, t, kind, events);
		signal_fence(_metadata, &fence);
		expect_woken(_metadata, w, events);
		fence_close(&fence);
	}
}

static void check_wakes(struct __test_metadata *_metadata, struct poll_test *t,
			enum wait_kind kind)
{
	check_wakes_for(_metadata, t, kind, POLLIN, FENCE_WRITE);
	check_wakes_for(_metadata, t, kind, POLLOUT, FENCE_WRITE);
	check_wakes_for(_metadata, t, kind, POLLOUT, FENCE_READ);
}

POLL_TEST(no_lost_wakeup, poll_wakes_when_the_fences_signal)
{
	check_wakes(_metadata, &self->t, WAIT_POLL);
}

POLL_TEST(no_lost_wakeup, ppoll_wakes_when_the_fences_signal)
{
	check_wakes(_metadata, &self->t, WAIT_PPOLL);
}

POLL_TEST(no_lost_wakeup, select_wakes_when_the_fences_signal)
{
	check_wakes(_metadata, &self->t, WAIT_SELECT);
}

POLL_TEST(no_lost_wakeup, epoll_lt_wakes_when_the_fences_signal)
{
	check_wakes(_metadata, &self->t, WAIT_EPOLL_LT);
}

POLL_TEST(no_lost_wakeup, epoll_et_wakes_when_the_fences_signal)
{
	check_wakes(_metadata, &self->t, WAIT_EPOLL_ET);
}

POLL_TEST(no_lost_wakeup, epoll_oneshot_wakes_when_the_fences_signal)
{
	check_wakes(_metadata, &self->t, WAIT_EPOLL_ONESHOT);
}

POLL_TEST(no_lost_wakeup, epoll_exclusive_wakes_when_the_fences_signal)
{
	check_wakes(_metadata, &self->t, WAIT_EPOLL_EXCLUSIVE);
}

POLL_TEST(no_lost_wakeup, epoll_nested_wakes_when_the_fences_signal)
{
	check_wakes(_metadata, &self->t, WAIT_EPOLL_NESTED);
}

POLL_TEST(no_lost_wakeup, io_uring_wakes_when_the_fences_signal)
{
	check_wakes(_metadata, &self->t, WAIT_IO_URING);
}

POLL_TEST(no_lost_wakeup, aio_wakes_when_the_fences_signal)
{
	check_wakes(_metadata, &self->t, WAIT_AIO);
}

static void check_wakes_after_the_last(struct __test_metadata *_metadata,
				       struct poll_test *t, enum mix mix,
				       enum order order, short events)
{
	struct fence_set set;
	struct waiter *w;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(fence_counts); i++) {
		fill_fence_set(_metadata, t, &set, fence_counts[i], mix, order);
		w = start_waiter(_metadata, t, WAIT_POLL, events);
		while (!(ready_events(&set) & events)) {
			EXPECT_FALSE(waiter_returned(w));
			signal_next(_metadata, &set);
		}
		expect_woken(_metadata, w, events);
		close_fence_set(&set);
	}
}

POLL_TEST(no_lost_wakeup, wakes_after_many_fences_signaled_in_order)
{
	check_wakes_after_the_last(_metadata, &self->t, READS, IN_ORDER, POLLOUT);
}

POLL_TEST(no_lost_wakeup, wakes_after_many_fences_signaled_in_reverse)
{
	check_wakes_after_the_last(_metadata, &self->t, READS, REVERSED, POLLOUT);
}

POLL_TEST(no_lost_wakeup, wakes_after_many_fences_signaled_at_random)
{
	check_wakes_after_the_last(_metadata, &self->t, READS, SHUFFLED, POLLOUT);
}

POLL_TEST(no_lost_wakeup_import, wakes_after_mixed_fences_signaled_in_order)
{
	check_wakes_after_the_last(_metadata, &self->t, ALTERNATING, IN_ORDER, POLLIN);
	check_wakes_after_the_last(_metadata, &self->t, ALTERNATING, IN_ORDER, POLLOUT);
}

POLL_TEST(no_lost_wakeup_import, wakes_after_mixed_fences_signaled_in_reverse)
{
	check_wakes_after_the_last(_metadata, &self->t, ALTERNATING, REVERSED, POLLIN);
	check_wakes_after_the_last(_metadata, &self->t, ALTERNATING, REVERSED, POLLOUT);
}

POLL_TEST(no_lost_wakeup_import, wakes_after_mixed_fences_signaled_at_random)
{
	check_wakes_after_the_last(_metadata, &self->t, ALTERNATING, SHUFFLED, POLLIN);
	check_wakes_after_the_last(_metadata, &self->t, ALTERNATING, SHUFFLED, POLLOUT);
}

POLL_TEST(no_lost_wakeup, sleeper_also_waits_for_a_fence_added_meanwhile)
{
	struct poll_test *t = &self->t;
	struct fence first = add_fence(_metadata, t, FENCE_READ);
	struct waiter *w = start_waiter(_metadata, t, WAIT_POLL, POLLOUT);
	struct fence second = add_fence(_metadata, t, FENCE_READ);

	signal_fence(_metadata, &first);
	sleep_ms(SETTLE_MS);
	EXPECT_FALSE(waiter_returned(w));
	EXPECT_EQ(0, poll_now(t, POLLOUT));

	signal_fence(_metadata, &second);
	expect_woken(_metadata, w, POLLOUT);
	fence_close(&first);
	fence_close(&second);
}

/*
 * What epoll and io_uring have registered is polled again with a poll table
 * that queues nothing: a buffer found busy then must be armed all the same.
 * Nobody looks between the first signal and the second fence, so that it is
 * this second look which finds the buffer busy.
 */
static void check_second_look_arms(struct __test_metadata *_metadata,
				   struct poll_test *t, enum wait_kind kind)
{
	struct fence first = add_fence(_metadata, t, FENCE_WRITE);
	struct poller *p = open_poller(_metadata, t, kind, POLLIN);
	struct fence second;

	signal_fence(_metadata, &first);
	second = add_fence(_metadata, t, FENCE_WRITE);
	EXPECT_EQ(0, poller_wait(p, SETTLE_MS));

	signal_fence(_metadata, &second);
	EXPECT_EQ(POLLIN, poller_wait(p, GIVE_UP_MS));
	poller_close(p);
	fence_close(&first);
	fence_close(&second);
}

POLL_TEST(no_lost_wakeup, epoll_lt_second_look_arms_again)
{
	check_second_look_arms(_metadata, &self->t, WAIT_EPOLL_LT);
}

POLL_TEST(no_lost_wakeup, epoll_et_second_look_arms_again)
{
	check_second_look_arms(_metadata, &self->t, WAIT_EPOLL_ET);
}

POLL_TEST(no_lost_wakeup, epoll_oneshot_second_look_arms_again)
{
	check_second_look_arms(_metadata, &self->t, WAIT_EPOLL_ONESHOT);
}

POLL_TEST(no_lost_wakeup, epoll_exclusive_second_look_arms_again)
{
	check_second_look_arms(_metadata, &self->t, WAIT_EPOLL_EXCLUSIVE);
}

POLL_TEST(no_lost_wakeup, epoll_nested_second_look_arms_again)
{
	check_second_look_arms(_metadata, &self->t, WAIT_EPOLL_NESTED);
}

/* The same for a sleeper in poll(2), which is kept off the processor. */
POLL_TEST(no_lost_wakeup, poll_second_look_arms_again)
{
	const struct sched_param fifo = { .sched_priority = 1 };
	const struct sched_param other = { .sched_priority = 0 };
	struct poll_test *t = &self->t;
	struct fence first, second;
	struct waiter *w;
	cpu_set_t cpu;

	CPU_ZERO(&cpu);
	CPU_SET(sched_getcpu(), &cpu);
	ASSERT_EQ(0, sched_setaffinity(0, sizeof(cpu), &cpu));

	ASSERT_EQ(0, fence_prepare(&second, t->source));
	first = add_fence(_metadata, t, FENCE_WRITE);
	w = start_waiter(_metadata, t, WAIT_POLL, POLLIN);
	if (sched_setscheduler(0, SCHED_FIFO, &fifo))
		SKIP_TEST("SCHED_FIFO: %s", strerror(errno));
	signal_fence(_metadata, &first);
	ASSERT_EQ(0, fence_attach(&second, &t->buf, FENCE_WRITE));
	ASSERT_EQ(0, sched_setscheduler(0, SCHED_OTHER, &other));

	sleep_ms(SETTLE_MS);
	EXPECT_FALSE(waiter_returned(w));
	signal_fence(_metadata, &second);
	expect_woken(_metadata, w, POLLIN);
	fence_close(&first);
	fence_close(&second);
}

/* After the report of a ready buffer, while epoll still has it on its list. */
POLL_TEST(no_lost_wakeup, level_triggered_epoll_waits_when_busy_again)
{
	struct poll_test *t = &self->t;
	struct poller *p = open_poller(_metadata, t, WAIT_EPOLL_LT, POLLIN);
	struct fence fence;
	int i;

	for (i = 0; i < 3; i++) {
		EXPECT_EQ(POLLIN, poller_wait(p, GIVE_UP_MS));
		fence = add_fence(_metadata, t, FENCE_WRITE);
		EXPECT_EQ(0, poller_wait(p, 0));
		signal_fence(_metadata, &fence);
		fence_close(&fence);
	}
	EXPECT_EQ(POLLIN, poller_wait(p, GIVE_UP_MS));
	poller_close(p);
}

POLL_TEST(no_lost_wakeup, oneshot_armed_on_a_busy_buffer_reports_when_ready)
{
	struct poll_test *t = &self->t;
	struct poller *p = open_poller(_metadata, t, WAIT_EPOLL_ONESHOT, POLLIN);
	struct fence fence;

	EXPECT_EQ(POLLIN, poller_wait(p, 0));
	fence = add_fence(_metadata, t, FENCE_WRITE);
	ASSERT_EQ(0, poller_rearm(p));
	EXPECT_EQ(0, poller_wait(p, 0));
	signal_fence(_metadata, &fence);
	EXPECT_EQ(POLLIN, poller_wait(p, GIVE_UP_MS));
	poller_close(p);
	fence_close(&fence);
}

/* What is armed belongs to all waiters, not to the one that armed it. */
static void check_leaving_leaves_others(struct __test_metadata *_metadata,
					struct poll_test *t, enum wait_kind kind)
{
	struct fence fence = add_fence(_metadata, t, FENCE_WRITE);
	struct poller *p = open_poller(_metadata, t, kind, POLLIN);
	struct waiter *w;

	EXPECT_EQ(0, poller_wait(p, 0));
	w = start_waiter(_metadata, t, WAIT_POLL, POLLIN);
	poller_close(p);
	expect_undisturbed(_metadata, w);
	signal_fence(_metadata, &fence);
	expect_woken(_metadata, w, POLLIN);
	fence_close(&fence);
}

POLL_TEST(no_lost_wakeup, poll_that_leaves_leaves_others_waiting)
{
	check_leaving_leaves_others(_metadata, &self->t, WAIT_POLL);
}

POLL_TEST(no_lost_wakeup, epoll_lt_that_leaves_leaves_others_waiting)
{
	check_leaving_leaves_others(_metadata, &self->t, WAIT_EPOLL_LT);
}

POLL_TEST(no_lost_wakeup, io_uring_that_leaves_leaves_others_waiting)
{
	check_leaving_leaves_others(_metadata, &self->t, WAIT_IO_URING);
}

POLL_TEST(no_lost_wakeup, aio_that_leaves_leaves_others_waiting)
{
	check_leaving_leaves_others(_metadata, &self->t, WAIT_AIO);
}

static void check_cancel(struct __test_metadata *_metadata,
			 struct poll_test *t, enum wait_kind kind)
{
	struct fence fence = add_fence(_metadata, t, FENCE_WRITE);
	struct poller *p = open_poller(_metadata, t, kind, POLLIN);
	struct waiter *w;

	EXPECT_EQ(0, poller_wait(p, 0));
	w = start_waiter(_metadata, t, WAIT_POLL, POLLIN);
	ASSERT_EQ(0, poller_cancel(p));
	EXPECT_EQ(-ECANCELED, poller_wait(p, GIVE_UP_MS));
	expect_undisturbed(_metadata, w);

	/* another request of the same poller is as good as the first */
	EXPECT_EQ(0, poller_wait(p, 0));
	signal_fence(_metadata, &fence);
	expect_woken(_metadata, w, POLLIN);
	EXPECT_EQ(POLLIN, poller_wait(p, GIVE_UP_MS));
	poller_close(p);
	fence_close(&fence);
}

POLL_TEST(no_lost_wakeup, io_uring_request_can_be_cancelled_while_pending)
{
	check_cancel(_metadata, &self->t, WAIT_IO_URING);
}

POLL_TEST(no_lost_wakeup, aio_request_can_be_cancelled_while_pending)
{
	check_cancel(_metadata, &self->t, WAIT_AIO);
}

POLL_TEST(no_lost_wakeup, sleeper_is_woken_after_its_descriptor_was_closed)
{
	struct poll_test *t = &self->t;
	struct fence fence = add_fence(_metadata, t, FENCE_WRITE);
	struct waiter *w = start_waiter(_metadata, t, WAIT_POLL, POLLIN);

	dmabuf_close(&t->buf);
	expect_undisturbed(_metadata, w);
	signal_fence(_metadata, &fence);
	/* it looks the descriptor up again, and may say that it is gone */
	EXPECT_LT(0, waiter_join(w, NULL));
	fence_close(&fence);
}

/*
 * The armed fence leaves the reservation object when a later one of the same
 * timeline comes in, and then only poll still refers to it.
 */
POLL_TEST(no_lost_wakeup_import, sleeper_survives_the_replacement_of_its_fence)
{
	struct poll_test *t = &self->t;
	int timeline = sw_sync_timeline();
	struct waiter *w;
	int fd;

	fd = sw_sync_fence(timeline, 1);
	ASSERT_EQ(0, dmabuf_import_sync_file(t->buf.fd, fd, FENCE_WRITE));
	close(fd);
	w = start_waiter(_metadata, t, WAIT_POLL, POLLIN);

	fd = sw_sync_fence(timeline, 2);
	ASSERT_EQ(0, dmabuf_import_sync_file(t->buf.fd, fd, FENCE_WRITE));
	close(fd);
	expect_undisturbed(_metadata, w);

	ASSERT_EQ(0, sw_sync_inc(timeline, 1));
	sleep_ms(SETTLE_MS);
	EXPECT_FALSE(waiter_returned(w));
	ASSERT_EQ(0, sw_sync_inc(timeline, 1));
	expect_woken(_metadata, w, POLLIN);
	close(timeline);
}

POLL_TEST(no_lost_wakeup_import, each_direction_is_woken_in_its_own_time)
{
	struct poll_test *t = &self->t;
	struct fence read = add_fence(_metadata, t, FENCE_READ);
	struct fence write = add_fence(_metadata, t, FENCE_WRITE);
	struct waiter *in = start_waiter(_metadata, t, WAIT_POLL, POLLIN);
	struct waiter *out = start_waiter(_metadata, t, WAIT_POLL, POLLOUT);

	signal_fence(_metadata, &write);
	expect_woken(_metadata, in, POLLIN);
	EXPECT_FALSE(waiter_returned(out));
	EXPECT_EQ(POLLIN, poll_now(t, POLLIN | POLLOUT));
	signal_fence(_metadata, &read);
	expect_woken(_metadata, out, POLLOUT);
	fence_close(&read);
	fence_close(&write);
}

POLL_TEST(no_lost_wakeup_import, merged_fences_added_meanwhile_are_waited_for)
{
	struct poll_test *t = &self->t;
	struct fence first = add_fence(_metadata, t, FENCE_WRITE);
	struct waiter *w = start_waiter(_metadata, t, WAIT_POLL, POLLIN);
	int timelines[2] = { sw_sync_timeline(), sw_sync_timeline() };
	int fds[2] = { sw_sync_fence(timelines[0], 1), sw_sync_fence(timelines[1], 1) };
	int merged = sync_file_merge(fds[0], fds[1]);

	ASSERT_EQ(0, dmabuf_import_sync_file(t->buf.fd, merged, FENCE_WRITE));
	close(fds[0]);
	close(fds[1]);
	close(merged);

	ASSERT_EQ(0, sw_sync_inc(timelines[1], 1));
	signal_fence(_metadata, &first);
	sleep_ms(SETTLE_MS);
	EXPECT_FALSE(waiter_returned(w));
	ASSERT_EQ(0, sw_sync_inc(timelines[0], 1));
	expect_woken(_metadata, w, POLLIN);
	close(timelines[0]);
	close(timelines[1]);
	fence_close(&first);
}

/*
 * one_wakeup
 */

/*
 * After each fence a sleeper that was woken in vain is given the time to go
 * back to sleep: only that is counted.
 */
static long count_wakeups(struct __test_metadata *_metadata,
			  struct poll_test *t, enum wait_kind kind,
			  int n, enum mix mix, enum order order)
{
	short events = mix == READS ? POLLOUT : POLLIN;
	long wakeups = 0, left;
	struct fence_set set;
	struct waiter *w;

	fill_fence_set(_metadata, t, &set, n, mix, order);
	w = start_waiter(_metadata, t, kind, events);
	do {
		left = set.n - set.signaled;
		signal_next(_metadata, &set);
		sleep_ms(1);
		waiter_wait_asleep(w, 1);
	} while (set.signaled < set.n && !waiter_returned(w));
	EXPECT_EQ(events, waiter_join(w, &wakeups));
	/* a request believes a wake-up, and completes early if it comes early */
	EXPECT_EQ(1, left) {
		TH_LOG("returned with %ld of %d fences pending", left - 1, n);
	}
	close_fence_set(&set);
	return wakeups;
}

static void check_one_wakeup(struct __test_metadata *_metadata,
			     struct poll_test *t, enum wait_kind kind,
			     int n, enum mix mix, enum order order)
{
	static const char * const order_names[ORDERS] = {
		[IN_ORDER] = "in order",
		[REVERSED] = "in reverse",
		[SHUFFLED] = "at random",
	};
	int tries = wakeup_tries();
	long wakeups;

	do {
		wakeups = count_wakeups(_metadata, t, kind, n, mix, order);
	} while (wakeups > 1 && --tries);

	figure("one_wakeup", wakeups, "wake-ups of one %s for %d fence(s) signaled %s",
	       wait_kind_name(kind), n, order_names[order]);
	EXPECT_EQ(1, wakeups) {
		TH_LOG("%d fence(s): %ld wake-ups", n, wakeups);
	}
}

POLL_TEST(one_wakeup, one_fence_causes_one_wakeup)
{
	check_one_wakeup(_metadata, &self->t, WAIT_POLL, 1, READS, IN_ORDER);
}

POLL_TEST(one_wakeup, four_fences_cause_one_wakeup)
{
	check_one_wakeup(_metadata, &self->t, WAIT_POLL, 4, READS, IN_ORDER);
}

POLL_TEST(one_wakeup, sixteen_fences_cause_one_wakeup)
{
	check_one_wakeup(_metadata, &self->t, WAIT_POLL, 16, READS, IN_ORDER);
}

POLL_TEST(one_wakeup, sixty_four_fences_cause_one_wakeup)
{
	check_one_wakeup(_metadata, &self->t, WAIT_POLL, 64, READS, IN_ORDER);
}

POLL_TEST(one_wakeup, sixteen_fences_in_reverse_cause_one_wakeup)
{
	check_one_wakeup(_metadata, &self->t, WAIT_POLL, 16, READS, REVERSED);
}

POLL_TEST(one_wakeup, sixteen_fences_at_random_cause_one_wakeup)
{
	check_one_wakeup(_metadata, &self->t, WAIT_POLL, 16, READS, SHUFFLED);
}

POLL_TEST(one_wakeup_import, one_write_fence_causes_one_wakeup)
{
	check_one_wakeup(_metadata, &self->t, WAIT_POLL, 1, WRITES, IN_ORDER);
}

POLL_TEST(one_wakeup_import, four_write_fences_cause_one_wakeup)
{
	check_one_wakeup(_metadata, &self->t, WAIT_POLL, 4, WRITES, IN_ORDER);
}

POLL_TEST(one_wakeup_import, sixteen_write_fences_cause_one_wakeup)
{
	check_one_wakeup(_metadata, &self->t, WAIT_POLL, 16, WRITES, IN_ORDER);
}

POLL_TEST(one_wakeup_import, sixty_four_write_fences_cause_one_wakeup)
{
	check_one_wakeup(_metadata, &self->t, WAIT_POLL, 64, WRITES, IN_ORDER);
}

POLL_TEST(one_wakeup_import, sixteen_write_fences_in_reverse_cause_one_wakeup)
{
	check_one_wakeup(_metadata, &self->t, WAIT_POLL, 16, WRITES, REVERSED);
}

POLL_TEST(one_wakeup_import, sixteen_write_fences_at_random_cause_one_wakeup)
{
	check_one_wakeup(_metadata, &self->t, WAIT_POLL, 16, WRITES, SHUFFLED);
}

POLL_TEST(one_wakeup, poll_is_woken_once_for_eight_fences)
{
	check_one_wakeup(_metadata, &self->t, WAIT_POLL, 8, READS, IN_ORDER);
}

POLL_TEST(one_wakeup, ppoll_is_woken_once_for_eight_fences)
{
	check_one_wakeup(_metadata, &self->t, WAIT_PPOLL, 8, READS, IN_ORDER);
}

POLL_TEST(one_wakeup, select_is_woken_once_for_eight_fences)
{
	check_one_wakeup(_metadata, &self->t, WAIT_SELECT, 8, READS, IN_ORDER);
}

POLL_TEST(one_wakeup, epoll_lt_is_woken_once_for_eight_fences)
{
	check_one_wakeup(_metadata, &self->t, WAIT_EPOLL_LT, 8, READS, IN_ORDER);
}

POLL_TEST(one_wakeup, epoll_et_is_woken_once_for_eight_fences)
{
	check_one_wakeup(_metadata, &self->t, WAIT_EPOLL_ET, 8, READS, IN_ORDER);
}

POLL_TEST(one_wakeup, epoll_oneshot_is_woken_once_for_eight_fences)
{
	check_one_wakeup(_metadata, &self->t, WAIT_EPOLL_ONESHOT, 8, READS, IN_ORDER);
}

POLL_TEST(one_wakeup, epoll_exclusive_is_woken_once_for_eight_fences)
{
	check_one_wakeup(_metadata, &self->t, WAIT_EPOLL_EXCLUSIVE, 8, READS, IN_ORDER);
}

POLL_TEST(one_wakeup, epoll_nested_is_woken_once_for_eight_fences)
{
	check_one_wakeup(_metadata, &self->t, WAIT_EPOLL_NESTED, 8, READS, IN_ORDER);
}

POLL_TEST(one_wakeup, io_uring_is_woken_once_for_eight_fences)
{
	check_one_wakeup(_metadata, &self->t, WAIT_IO_URING, 8, READS, IN_ORDER);
}

POLL_TEST(one_wakeup, aio_is_woken_once_for_eight_fences)
{
	check_one_wakeup(_metadata, &self->t, WAIT_AIO, 8, READS, IN_ORDER);
}

POLL_TEST(one_wakeup, adding_fences_does_not_wake)
{
	struct poll_test *t = &self->t;
	struct fence first = add_fence(_metadata, t, FENCE_READ);
	struct waiter *w = start_waiter(_metadata, t, WAIT_POLL, POLLOUT);
	struct fence_set more;

	fill_fence_set(_metadata, t, &more, 4, READS, IN_ORDER);
	expect_undisturbed(_metadata, w);

	signal_fence(_metadata, &first);
	while (more.signaled < more.n) {
		expect_undisturbed(_metadata, w);
		signal_next(_metadata, &more);
	}
	expect_woken(_metadata, w, POLLOUT);
	close_fence_set(&more);
	fence_close(&first);
}

POLL_TEST(one_wakeup_import, one_direction_does_not_wake_the_other)
{
	struct poll_test *t = &self->t;
	struct fence write = add_fence(_metadata, t, FENCE_WRITE);
	struct fence read = add_fence(_metadata, t, FENCE_READ);
	struct waiter *out = start_waiter(_metadata, t, WAIT_POLL, POLLOUT);
	struct waiter *in = start_waiter(_metadata, t, WAIT_POLL, POLLIN);

	signal_fence(_metadata, &write);
	expect_woken(_metadata, in, POLLIN);
	expect_undisturbed(_metadata, out);
	signal_fence(_metadata, &read);
	expect_woken(_metadata, out, POLLOUT);
	fence_close(&write);
	fence_close(&read);
}

/*
 * neutral
 */

static void expect_freed(struct __test_metadata *_metadata, struct poll_test *t,
			 int within_ms)
{
	long count = wait_freed(_metadata, t, within_ms);

	figure("neutral", count, "file references after the last close, fence pending");
	EXPECT_EQ(0, count);
}

static int freed_within(enum wait_kind kind)
{
	return wait_kind_is_request(kind) ? SOON : AT_ONCE;
}

static void check_last_close_frees(struct __test_metadata *_metadata,
				   struct poll_test *t, enum wait_kind kind)
{
	struct fence fence = add_fence(_metadata, t, FENCE_WRITE);
	struct poller *p = open_poller(_metadata, t, kind, POLLIN | POLLOUT);

	EXPECT_EQ(0, poller_wait(p, 0));
	if (wait_kind_is_request(kind))
		poller_close(p);
	dmabuf_close(&t->buf);
	expect_freed(_metadata, t, freed_within(kind));

	signal_fence(_metadata, &fence);
	if (!wait_kind_is_request(kind))
		poller_close(p);
	fence_close(&fence);
}

POLL_TEST(neutral, last_close_after_poll_frees_the_buffer)
{
	check_last_close_frees(_metadata, &self->t, WAIT_POLL);
}

POLL_TEST(neutral, last_close_after_ppoll_frees_the_buffer)
{
	check_last_close_frees(_metadata, &self->t, WAIT_PPOLL);
}

POLL_TEST(neutral, last_close_after_select_frees_the_buffer)
{
	check_last_close_frees(_metadata, &self->t, WAIT_SELECT);
}

POLL_TEST(neutral, last_close_after_epoll_lt_frees_the_buffer)
{
	check_last_close_frees(_metadata, &self->t, WAIT_EPOLL_LT);
}

POLL_TEST(neutral, last_close_after_epoll_et_frees_the_buffer)
{
	check_last_close_frees(_metadata, &self->t, WAIT_EPOLL_ET);
}

POLL_TEST(neutral, last_close_after_epoll_oneshot_frees_the_buffer)
{
	check_last_close_frees(_metadata, &self->t, WAIT_EPOLL_ONESHOT);
}

POLL_TEST(neutral, last_close_after_epoll_exclusive_frees_the_buffer)
{
	check_last_close_frees(_metadata, &self->t, WAIT_EPOLL_EXCLUSIVE);
}

POLL_TEST(neutral, last_close_after_epoll_nested_frees_the_buffer)
{
	check_last_close_frees(_metadata, &self->t, WAIT_EPOLL_NESTED);
}

POLL_TEST(neutral, last_close_after_io_uring_frees_the_buffer)
{
	check_last_close_frees(_metadata, &self->t, WAIT_IO_URING);
}

POLL_TEST(neutral, last_close_after_io_uring_multishot_frees_the_buffer)
{
	check_last_close_frees(_metadata, &self->t, WAIT_IO_URING_MULTISHOT);
}

POLL_TEST(neutral, last_close_after_aio_frees_the_buffer)
{
	check_last_close_frees(_metadata, &self->t, WAIT_AIO);
}

POLL_TEST(neutral, polling_a_busy_buffer_holds_no_file_reference)
{
	struct poll_test *t = &self->t;
	struct fence fence = add_fence(_metadata, t, FENCE_WRITE);
	long before = dmabuf_file_count(t->buf.ino);
	long after;

	if (before < 0)
		SKIP_TEST("bufinfo of dma-buf: %s", strerror(-before));
	EXPECT_EQ(0, poll_now(t, POLLIN | POLLOUT));
	after = dmabuf_file_count(t->buf.ino);
	figure("neutral", after - before, "file references held by a poll that has returned");
	EXPECT_EQ(before, after);
	signal_fence(_metadata, &fence);
	fence_close(&fence);
}

POLL_TEST(neutral, closing_one_of_two_descriptors_frees_nothing)
{
	struct poll_test *t = &self->t;
	struct fence fence = add_fence(_metadata, t, FENCE_WRITE);
	int dupfd = dup(t->buf.fd);
	struct waiter *w;

	ASSERT_LE(0, dupfd);
	EXPECT_EQ(0, poll_now(t, POLLIN));
	w = start_waiter(_metadata, t, WAIT_POLL, POLLIN);
	close(dupfd);
	expect_undisturbed(_metadata, w);
	EXPECT_LT(0, dmabuf_file_count(t->buf.ino));
	signal_fence(_metadata, &fence);
	expect_woken(_metadata, w, POLLIN);
	fence_close(&fence);
}

POLL_TEST(neutral, last_close_through_a_dup_frees_the_buffer)
{
	struct poll_test *t = &self->t;
	struct fence fence = add_fence(_metadata, t, FENCE_WRITE);
	int dupfd = dup(t->buf.fd);

	EXPECT_EQ(0, poll_now(t, POLLIN | POLLOUT));
	dmabuf_close(&t->buf);
	EXPECT_EQ(0, wait_now(WAIT_POLL, dupfd, POLLIN | POLLOUT));
	EXPECT_LT(0, dmabuf_file_count(t->buf.ino));
	close(dupfd);
	expect_freed(_metadata, t, AT_ONCE);
	fence_close(&fence);
}

/* The sleeper is the last user then, and takes the buffer with it. */
POLL_TEST(neutral, buffer_lives_as_long_as_someone_sleeps_on_it)
{
	struct poll_test *t = &self->t;
	struct fence fence = add_fence(_metadata, t, FENCE_WRITE);
	struct waiter *w = start_waiter(_metadata, t, WAIT_POLL, POLLIN);

	dmabuf_close(&t->buf);
	EXPECT_LT(0, dmabuf_file_count(t->buf.ino));
	signal_fence(_metadata, &fence);
	EXPECT_LT(0, waiter_join(w, NULL));
	expect_freed(_metadata, t, AT_ONCE);
	fence_close(&fence);
}

static int wait_exit(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		return -errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

POLL_TEST(neutral, last_close_by_a_receiver_of_the_descriptor_frees_the_buffer)
{
	struct poll_test *t = &self->t;
	struct fence fence = add_fence(_metadata, t, FENCE_WRITE);
	int socks[2], fd;
	pid_t pid;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, socks));
	EXPECT_EQ(0, poll_now(t, POLLIN | POLLOUT));

	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		close(t->buf.fd);
		fd = fd_receive(socks[1]);
		if (wait_now(WAIT_POLL, fd, POLLIN | POLLOUT))
			_exit(1);
		_exit(close(fd) ? 2 : 0);
	}

	ASSERT_EQ(0, fd_send(socks[0], t->buf.fd));
	dmabuf_close(&t->buf);
	EXPECT_EQ(0, wait_exit(pid));
	expect_freed(_metadata, t, AT_ONCE);
	close(socks[0]);
	close(socks[1]);
	fence_close(&fence);
}

POLL_TEST(neutral, closing_the_socket_with_the_descriptor_in_it_frees_the_buffer)
{
	struct poll_test *t = &self->t;
	struct fence fence = add_fence(_metadata, t, FENCE_WRITE);
	int socks[2];

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, socks));
	EXPECT_EQ(0, poll_now(t, POLLIN | POLLOUT));
	ASSERT_EQ(0, fd_send(socks[0], t->buf.fd));
	dmabuf_close(&t->buf);
	EXPECT_LT(0, dmabuf_file_count(t->buf.ino));
	close(socks[0]);
	close(socks[1]);
	expect_freed(_metadata, t, SOON);
	fence_close(&fence);
}

/* Forks a poller, and leaves the buffer to it alone. */
static pid_t leave_to_child(struct __test_metadata *_metadata,
			    struct poll_test *t, enum wait_kind kind,
			    int timeout_ms)
{
	struct poller *p;
	int ready[2];
	pid_t pid;
	char byte;

	need_kind(_metadata, kind);
	ASSERT_EQ(0, pipe(ready));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		p = poller_open(kind, t->buf.fd, POLLIN | POLLOUT);
		if (!p || write(ready[1], "x", 1) != 1)
			_exit(1);
		_exit(poller_wait(p, timeout_ms) ? 2 : 0);
	}

	ASSERT_EQ(1, read(ready[0], &byte, 1));
	close(ready[0]);
	close(ready[1]);
	dmabuf_close(&t->buf);
	return pid;
}

static void check_exit_frees(struct __test_metadata *_metadata,
			     struct poll_test *t, enum wait_kind kind)
{
	struct fence fence = add_fence(_metadata, t, FENCE_WRITE);
	pid_t pid = leave_to_child(_metadata, t, kind, 1);

	EXPECT_EQ(0, wait_exit(pid));
	expect_freed(_metadata, t, freed_within(kind));
	signal_fence(_metadata, &fence);
	fence_close(&fence);
}

static void check_kill_frees(struct __test_metadata *_metadata,
			     struct poll_test *t, enum wait_kind kind)
{
	struct fence fence = add_fence(_metadata, t, FENCE_WRITE);
	pid_t pid = leave_to_child(_metadata, t, kind, 10 * GIVE_UP_MS);
	long long deadline = now_ms() + GIVE_UP_MS;
	struct sched_sample sample;

	do {
		usleep(1000);
		ASSERT_EQ(0, sched_sample(pid, &sample));
	} while (sample.state != 'S' && now_ms() < deadline);

	EXPECT_LT(0, dmabuf_file_count(t->buf.ino));
	ASSERT_EQ(0, kill(pid, SIGKILL));
	EXPECT_EQ(-SIGKILL, wait_exit(pid));
	expect_freed(_metadata, t, freed_within(kind));
	signal_fence(_metadata, &fence);
	fence_close(&fence);
}

POLL_TEST(neutral, exit_of_the_last_poll_user_frees_the_buffer)
{
	check_exit_frees(_metadata, &self->t, WAIT_POLL);
}

POLL_TEST(neutral, killing_the_last_poll_sleeper_frees_the_buffer)
{
	check_kill_frees(_metadata, &self->t, WAIT_POLL);
}

POLL_TEST(neutral, exit_of_the_last_epoll_user_frees_the_buffer)
{
	check_exit_frees(_metadata, &self->t, WAIT_EPOLL_LT);
}

POLL_TEST(neutral, killing_the_last_epoll_sleeper_frees_the_buffer)
{
	check_kill_frees(_metadata, &self->t, WAIT_EPOLL_LT);
}

POLL_TEST(neutral, exit_of_the_last_io_uring_user_frees_the_buffer)
{
	check_exit_frees(_metadata, &self->t, WAIT_IO_URING);
}

POLL_TEST(neutral, killing_the_last_io_uring_sleeper_frees_the_buffer)
{
	check_kill_frees(_metadata, &self->t, WAIT_IO_URING);
}

POLL_TEST(neutral, exit_of_the_last_aio_user_frees_the_buffer)
{
	check_exit_frees(_metadata, &self->t, WAIT_AIO);
}

POLL_TEST(neutral, killing_the_last_aio_sleeper_frees_the_buffer)
{
	check_kill_frees(_metadata, &self->t, WAIT_AIO);
}

/*
 * A callback that outlives its buffer is called on memory that by then belongs
 * to another buffer, if the allocator gives back what was freed last.
 */
POLL_TEST(neutral, fence_that_outlives_the_buffer_signals_into_nothing)
{
	struct poll_test *t = &self->t;
	struct dmabuf next[4];
	struct fence fence;
	unsigned int i, round;

	for (round = 0; round < 4; round++) {
		fence = add_fence(_metadata, t, FENCE_WRITE);
		EXPECT_EQ(0, poll_now(t, POLLIN | POLLOUT));
		dmabuf_close(&t->buf);

		for (i = 0; i < ARRAY_SIZE(next); i++) {
			ASSERT_EQ(0, dmabuf_create(&next[i], t->exporter));
			EXPECT_EQ(POLLIN, wait_now(WAIT_POLL, next[i].fd, POLLIN));
		}
		signal_fence(_metadata, &fence);
		for (i = 0; i < ARRAY_SIZE(next); i++) {
			EXPECT_EQ(POLLIN, wait_now(WAIT_POLL, next[i].fd, POLLIN));
			dmabuf_destroy(&next[i]);
		}

		fence_close(&fence);
		ASSERT_EQ(0, dmabuf_replace(&t->buf, t->exporter));
	}
}

POLL_TEST(neutral_import, last_close_drops_the_references_on_pending_fences)
{
	struct poll_test *t = &self->t;
	struct fence_set set;
	long fences;
	int i;

	if (sw_sync_live_fences() < 0)
		SKIP_TEST("cannot read the fences of sw_sync from debugfs");
	fill_fence_set(_metadata, t, &set, 4, ALTERNATING, IN_ORDER);
	for (i = 0; i < set.n; i++)
		close(set.fences[i].sync_fd);
	EXPECT_EQ(0, poll_now(t, POLLIN | POLLOUT));
	EXPECT_EQ(4, sw_sync_live_fences());

	dmabuf_close(&t->buf);
	fences = sw_sync_live_fences();
	figure("neutral", fences, "fences of 4 still referenced after the last close");
	EXPECT_EQ(0, fences);
	for (i = 0; i < set.n; i++)
		close(set.fences[i].timeline);
}

/*
 * quiet
 */

static void check_one_edge(struct __test_metadata *_metadata,
			   struct poll_test *t, short events, const char *what)
{
	struct poller *p = open_poller(_metadata, t, WAIT_EPOLL_ET, events);
	int edges = poller_drain(p, 1000);

	figure("quiet", edges, "edges in 1000 epoll_wait for %s on an idle buffer", what);
	EXPECT_EQ(1, edges);
	poller_close(p);
}

POLL_TEST(quiet, idle_edge_triggered_epoll_reports_one_edge)
{
	struct poll_test *t = &self->t;

	check_one_edge(_metadata, t, POLLIN, "IN");
	check_one_edge(_metadata, t, POLLOUT, "OUT");
	/* what the runtime of Go asks for every file that it wraps */
	check_one_edge(_metadata, t, POLLIN | POLLOUT | POLLRDHUP, "IN, OUT and RDHUP");
}

POLL_TEST(quiet, two_edge_triggered_instances_do_not_ping_pong)
{
	struct poller *a = open_poller(_metadata, &self->t, WAIT_EPOLL_ET, POLLIN);
	struct poller *b = open_poller(_metadata, &self->t, WAIT_EPOLL_ET, POLLIN);
	int edges = 0, round;

	for (round = 0; round < 500; round++)
		edges += poller_drain(a, 1) + poller_drain(b, 1);
	figure("quiet", edges, "edges in 500 rounds of two instances on an idle buffer");
	EXPECT_EQ(2, edges);
	poller_close(a);
	poller_close(b);
}

POLL_TEST(quiet, completion_is_one_edge_for_both_directions)
{
	struct poll_test *t = &self->t;
	struct fence fence = add_fence(_metadata, t, FENCE_WRITE);
	struct poller *p = open_poller(_metadata, t, WAIT_EPOLL_ET, POLLIN | POLLOUT);
	int edges;

	EXPECT_EQ(0, poller_wait(p, 0));
	signal_fence(_metadata, &fence);
	sleep_ms(SETTLE_MS);
	edges = poller_drain(p, 1000);
	figure("quiet", edges, "edges for the completion of one write fence");
	EXPECT_EQ(1, edges);
	poller_close(p);
	fence_close(&fence);
}

/*
 * The price of quiet: nobody looked while the buffer was busy, so nothing was
 * armed and there is no edge, until somebody looks. A level-triggered or
 * re-armed watcher looks.
 */
POLL_TEST(quiet, busy_period_nobody_saw_is_no_edge_until_rearmed)
{
	struct poll_test *t = &self->t;
	struct poller *p = open_poller(_metadata, t, WAIT_EPOLL_ET, POLLIN);
	struct fence fence;

	EXPECT_EQ(POLLIN, poller_wait(p, 0));
	ASSERT_EQ(0, poller_drain(p, 100));
	fence = add_fence(_metadata, t, FENCE_WRITE);
	signal_fence(_metadata, &fence);
	sleep_ms(SETTLE_MS);
	EXPECT_EQ(0, poller_drain(p, 100));

	ASSERT_EQ(0, poller_rearm(p));
	EXPECT_EQ(1, poller_drain(p, 100));
	poller_close(p);
	fence_close(&fence);
}

/* Re-arming while it is busy is looking, so the completion is an edge. */
POLL_TEST(quiet, rearming_on_a_busy_buffer_makes_its_completion_an_edge)
{
	struct poll_test *t = &self->t;
	struct poller *p = open_poller(_metadata, t, WAIT_EPOLL_ET, POLLIN);
	struct fence fence;

	EXPECT_EQ(1, poller_drain(p, 100));
	fence = add_fence(_metadata, t, FENCE_WRITE);
	ASSERT_EQ(0, poller_rearm(p));
	EXPECT_EQ(0, poller_drain(p, 100));
	signal_fence(_metadata, &fence);
	EXPECT_EQ(POLLIN, poller_wait(p, GIVE_UP_MS));
	EXPECT_EQ(0, poller_drain(p, 100));
	poller_close(p);
	fence_close(&fence);
}

POLL_TEST(quiet, oneshot_reports_once_per_arming)
{
	struct poller *p = open_poller(_metadata, &self->t, WAIT_EPOLL_ONESHOT,
				       POLLIN | POLLOUT);
	int round;

	for (round = 0; round < 3; round++) {
		EXPECT_EQ(1, poller_drain(p, 100));
		ASSERT_EQ(0, poller_rearm(p));
	}
	poller_close(p);
}

/*
 * All that waits with a multishot request is found here, and after the other
 * fixtures: where poll is not quiet, the kernel may complete such a request
 * for as long as there is room, or (5.10) never return from it at all.
 */
POLL_TEST(quiet, io_uring_multishot_completes_once_on_an_idle_buffer)
{
	struct poller *p = open_poller(_metadata, &self->t,
				       WAIT_IO_URING_MULTISHOT, POLLIN);
	int completions = poller_drain(p, 100);

	figure("quiet", completions,
	       "multishot completions in 100 looks at an idle buffer");
	EXPECT_EQ(1, completions);
	poller_close(p);
}

POLL_TEST(quiet, io_uring_multishot_reports_what_is_ready)
{
	check_reports(_metadata, &self->t, WAIT_IO_URING_MULTISHOT);
}

POLL_TEST(quiet, io_uring_multishot_wakes_when_the_fences_signal)
{
	check_wakes(_metadata, &self->t, WAIT_IO_URING_MULTISHOT);
}

POLL_TEST(quiet, io_uring_multishot_can_be_cancelled_while_pending)
{
	check_cancel(_metadata, &self->t, WAIT_IO_URING_MULTISHOT);
}

POLL_TEST(quiet, io_uring_multishot_is_woken_once_for_eight_fences)
{
	check_one_wakeup(_metadata, &self->t, WAIT_IO_URING_MULTISHOT, 8, READS, IN_ORDER);
}

POLL_TEST(quiet, polling_an_idle_buffer_gives_others_no_edge)
{
	struct poll_test *t = &self->t;
	struct poller *p = open_poller(_metadata, t, WAIT_EPOLL_ET, POLLIN | POLLOUT);
	int i, edges = 0;

	/* the first is its own; a noisy kernel may never run out of them */
	poller_drain(p, 10);
	for (i = 0; i < 100; i++) {
		poll_now(t, POLLIN | POLLOUT);
		edges += poller_drain(p, 1);
	}
	figure("quiet", edges, "edges of a watcher while others polled 100 times");
	EXPECT_EQ(0, edges);
	poller_close(p);
}

/* The watcher here sleeps for one direction while the other is polled. */
static void check_polling_wakes_nobody(struct __test_metadata *_metadata,
				       struct poll_test *t, enum wait_kind kind,
				       enum fence_usage usage, short events)
{
	struct fence fence = add_fence(_metadata, t, usage);
	struct waiter *w = start_waiter(_metadata, t, kind, POLLOUT);
	int i;

	for (i = 0; i < 100; i++)
		poll_now(t, events);
	expect_undisturbed(_metadata, w);
	signal_fence(_metadata, &fence);
	expect_woken(_metadata, w, POLLOUT);
	fence_close(&fence);
}

POLL_TEST(quiet, polling_a_ready_direction_wakes_no_sleeper_of_the_other)
{
	check_polling_wakes_nobody(_metadata, &self->t, WAIT_POLL, FENCE_READ,
				   POLLIN | POLLOUT);
	check_polling_wakes_nobody(_metadata, &self->t, WAIT_EPOLL_LT, FENCE_READ,
				   POLLIN | POLLOUT);
}

POLL_TEST(quiet, polling_a_busy_buffer_wakes_no_sleeper)
{
	check_polling_wakes_nobody(_metadata, &self->t, WAIT_POLL, FENCE_WRITE,
				   POLLIN | POLLOUT);
	check_polling_wakes_nobody(_metadata, &self->t, WAIT_EPOLL_LT, FENCE_WRITE,
				   POLLIN | POLLOUT);
}

/*
 * Whoever waits for what a buffer never reports, such as an error, sleeps on. A
 * wake-up that names no event would be for them as well.
 */
static void check_completion_wakes_no(struct __test_metadata *_metadata,
				      struct poll_test *t, enum wait_kind kind,
				      short events)
{
	static const enum fence_usage usages[] = { FENCE_WRITE, FENCE_READ, FENCE_WRITE };
	struct waiter *w = start_waiter(_metadata, t, kind, events);
	struct waiter *in, *out;
	struct fence fence;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(usages); i++) {
		fence = add_fence(_metadata, t, usages[i]);
		in = NULL;
		if (usages[i] == FENCE_WRITE)
			in = start_waiter(_metadata, t, WAIT_POLL, POLLIN);
		out = start_waiter(_metadata, t, WAIT_EPOLL_LT, POLLOUT);
		signal_fence(_metadata, &fence);
		if (in)
			expect_woken(_metadata, in, POLLIN);
		expect_woken(_metadata, out, POLLOUT);
		fence_close(&fence);
	}
	expect_undisturbed(_metadata, w);
	/* it sleeps until this process ends */
}

POLL_TEST(quiet, completion_wakes_no_poll_for_other_events)
{
	struct poll_test *t = &self->t;

	check_completion_wakes_no(_metadata, t, WAIT_POLL, POLLPRI);
	check_completion_wakes_no(_metadata, t, WAIT_POLL, POLLRDHUP);
	check_completion_wakes_no(_metadata, t, WAIT_POLL, POLLERR);
	check_completion_wakes_no(_metadata, t, WAIT_POLL, 0);
	check_completion_wakes_no(_metadata, t, WAIT_PPOLL, POLLPRI);
	check_completion_wakes_no(_metadata, t, WAIT_SELECT, POLLPRI);
}

POLL_TEST(quiet, completion_wakes_no_epoll_for_other_events)
{
	struct poll_test *t = &self->t;

	check_completion_wakes_no(_metadata, t, WAIT_EPOLL_LT, POLLPRI);
	check_completion_wakes_no(_metadata, t, WAIT_EPOLL_LT, POLLRDHUP);
	check_completion_wakes_no(_metadata, t, WAIT_EPOLL_LT, POLLERR);
	check_completion_wakes_no(_metadata, t, WAIT_EPOLL_ET, POLLPRI);
	check_completion_wakes_no(_metadata, t, WAIT_EPOLL_ONESHOT, POLLRDHUP);
	check_completion_wakes_no(_metadata, t, WAIT_EPOLL_NESTED, POLLPRI);
	/* Not WAIT_EPOLL_EXCLUSIVE: if one is in the queue all are to look again. */
}

POLL_TEST(quiet, completion_wakes_no_io_uring_for_other_events)
{
	struct poll_test *t = &self->t;

	check_completion_wakes_no(_metadata, t, WAIT_IO_URING, POLLPRI);
	check_completion_wakes_no(_metadata, t, WAIT_IO_URING, POLLRDHUP);
}

POLL_TEST(quiet, completion_wakes_no_aio_for_other_events)
{
	struct poll_test *t = &self->t;

	check_completion_wakes_no(_metadata, t, WAIT_AIO, POLLPRI);
	check_completion_wakes_no(_metadata, t, WAIT_AIO, POLLRDHUP);
}

/*
 * no_alloc
 */

static int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int ret;

	if (fd < 0)
		return -errno;
	ret = write(fd, text, strlen(text)) < 0 ? -errno : 0;
	close(fd);
	return ret;
}

/*
 * Fault injection is told to fail the first allocation of this thread, and the
 * order still stands when nothing was allocated.
 */
static bool poll_allocates(struct __test_metadata *_metadata, int fail_nth, int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN | POLLOUT };
	char left;

	ASSERT_EQ(1, pwrite(fail_nth, "1", 1, 0));
	poll(&pfd, 1, 0);
	ASSERT_EQ(1, pread(fail_nth, &left, 1, 0));
	ASSERT_EQ(1, pwrite(fail_nth, "0", 1, 0));
	return left != '1';
}

POLL_TEST(no_alloc, poll_allocates_nothing)
{
	static const char no_sleepers[] = "/sys/kernel/debug/failslab/ignore-gfp-wait";
	struct poll_test *t = &self->t;
	int fail_nth, epfd, pipefd[2];
	struct fence fence;

	fail_nth = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	if (fail_nth < 0 || write_file(no_sleepers, "N"))
		SKIP_TEST("needs CONFIG_FAILSLAB and CONFIG_FAULT_INJECTION_DEBUG_FS");

	/* neither blind nor seeing things: epoll allocates, a pipe does not */
	ASSERT_EQ(1, pwrite(fail_nth, "1", 1, 0));
	epfd = epoll_create1(EPOLL_CLOEXEC);
	ASSERT_EQ(1, pwrite(fail_nth, "0", 1, 0));
	ASSERT_EQ(0, pipe(pipefd));
	if (epfd >= 0 || poll_allocates(_metadata, fail_nth, pipefd[0]))
		SKIP_TEST("fault injection cannot tell here what allocates");

	EXPECT_FALSE(poll_allocates(_metadata, fail_nth, t->buf.fd));
	/* the first poll arms, the second finds it armed */
	fence = add_fence(_metadata, t, FENCE_WRITE);
	EXPECT_FALSE(poll_allocates(_metadata, fail_nth, t->buf.fd));
	EXPECT_FALSE(poll_allocates(_metadata, fail_nth, t->buf.fd));
	signal_fence(_metadata, &fence);
	EXPECT_FALSE(poll_allocates(_metadata, fail_nth, t->buf.fd));

	fence_close(&fence);
	close(fail_nth);
	close(pipefd[0]);
	close(pipefd[1]);
	write_file(no_sleepers, "Y");
}

/*
 * shared
 */

static void check_all_kinds_at_once(struct __test_metadata *_metadata,
				    struct poll_test *t, enum fence_usage usage,
				    short events)
{
	struct fence fence = add_fence(_metadata, t, usage);
	struct waiter *waiters[2 * WAIT_KINDS];
	enum wait_kind kind;
	int n = 0;

	for (kind = 0; kind < WAIT_KINDS; kind++) {
		if (wait_kind_missing(kind)) {
			TH_LOG("without %s: %s", wait_kind_name(kind),
			       wait_kind_missing(kind));
			continue;
		}
		/* one exclusive watcher may be woken in place of another */
		waiters[n++] = start_waiter(_metadata, t, kind, events);
		if (kind != WAIT_EPOLL_EXCLUSIVE)
			waiters[n++] = start_waiter(_metadata, t, kind, events);
	}

	signal_fence(_metadata, &fence);
	while (n--)
		expect_woken(_metadata, waiters[n], events);
	fence_close(&fence);
}

POLL_TEST(shared, every_kind_of_waiter_is_woken_at_once)
{
	check_all_kinds_at_once(_metadata, &self->t, FENCE_WRITE, POLLIN);
	check_all_kinds_at_once(_metadata, &self->t, FENCE_WRITE, POLLOUT);
	check_all_kinds_at_once(_metadata, &self->t, FENCE_READ, POLLOUT);
}

POLL_TEST(shared, sleepers_of_both_directions_are_woken_by_one_fence)
{
	struct poll_test *t = &self->t;
	struct fence fence = add_fence(_metadata, t, FENCE_WRITE);
	struct waiter *waiters[8];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(waiters); i++)
		waiters[i] = start_waiter(_metadata, t, WAIT_POLL,
					  i & 1 ? POLLOUT : POLLIN);
	signal_fence(_metadata, &fence);
	for (i = 0; i < ARRAY_SIZE(waiters); i++)
		expect_woken(_metadata, waiters[i], i & 1 ? POLLOUT : POLLIN);
	fence_close(&fence);
}

POLL_TEST(shared, many_epoll_instances_all_report_one_completion)
{
	struct poll_test *t = &self->t;
	struct fence fence = add_fence(_metadata, t, FENCE_WRITE);
	struct poller *pollers[64];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(pollers); i++)
		pollers[i] = open_poller(_metadata, t,
					 i & 1 ? WAIT_EPOLL_ET : WAIT_EPOLL_LT,
					 POLLIN);
	signal_fence(_metadata, &fence);
	for (i = 0; i < ARRAY_SIZE(pollers); i++) {
		EXPECT_EQ(POLLIN, poller_wait(pollers[i], GIVE_UP_MS));
		poller_close(pollers[i]);
	}
	fence_close(&fence);
}

POLL_TEST(shared, at_least_one_of_many_exclusive_sleepers_is_woken)
{
	struct poll_test *t = &self->t;
	struct fence fence = add_fence(_metadata, t, FENCE_WRITE);
	long long deadline = now_ms() + GIVE_UP_MS;
	struct waiter *waiters[4];
	long woken = 0;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(waiters); i++)
		waiters[i] = start_waiter(_metadata, t, WAIT_EPOLL_EXCLUSIVE, POLLIN);
	signal_fence(_metadata, &fence);

	do {
		sleep_ms(SETTLE_MS);
		for (woken = 0, i = 0; i < ARRAY_SIZE(waiters); i++)
			woken += waiter_returned(waiters[i]);
	} while (!woken && now_ms() < deadline);
	figure("shared", woken, "exclusive sleepers of 4 woken by one completion");
	EXPECT_LE(1, woken);

	/* those that sleep on end with this process */
	fence_close(&fence);
}

/*
 * anycontext
 */

struct collision {
	struct poll_test *t;
	atomic_bool stop;
	/* to be signaled, or polled and closed, by whoever takes it */
	struct fence *fences[2];
	atomic_int fd;
	atomic_long signals;
	atomic_long polls;
};

static struct fence *take_fence(struct collision *c, int slot)
{
	return __atomic_exchange_n(&c->fences[slot], NULL, __ATOMIC_SEQ_CST);
}

static void *collision_signaler(void *arg)
{
	struct collision *c = arg;
	struct fence *fence;
	unsigned int i = 0;

	while (!atomic_load(&c->stop)) {
		fence = take_fence(c, i++ & 1);
		if (!fence) {
			sched_yield();
			continue;
		}
		fence_signal(fence);
		fence_close(fence);
		free(fence);
		atomic_fetch_add(&c->signals, 1);
	}
	return NULL;
}

static void *collision_poller(void *arg)
{
	struct collision *c = arg;
	enum wait_kind kind = WAIT_POLL;
	int fd;

	while (!atomic_load(&c->stop)) {
		fd = atomic_exchange(&c->fd, -1);
		if (fd < 0) {
			sched_yield();
			continue;
		}
		wait_now(kind, fd, POLLIN | POLLOUT);
		close(fd);
		kind = (kind + 1) % WAIT_IO_URING;
		atomic_fetch_add(&c->polls, 1);
	}
	return NULL;
}

/* Waits for the slot to be empty. */
static void publish_fence(struct __test_metadata *_metadata,
			  struct collision *c, int slot, struct fence *fence)
{
	long long deadline = now_ms() + GIVE_UP_MS;
	struct fence *taken = NULL;

	while (!__atomic_compare_exchange_n(&c->fences[slot], &taken, fence, false,
					    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
		ASSERT_LT(now_ms(), deadline);
		taken = NULL;
		sched_yield();
	}
}

static void publish_new_fence(struct __test_metadata *_metadata,
			      struct collision *c, int slot)
{
	struct fence *fence = malloc(sizeof(*fence));

	ASSERT_NE(NULL, fence);
	*fence = add_fence(_metadata, c->t, FENCE_READ);
	publish_fence(_metadata, c, slot, fence);
}

POLL_TEST(anycontext, signaling_polling_and_closing_may_collide)
{
	struct poll_test *t = &self->t;
	struct collision c = { .t = t, .fd = -1 };
	pthread_t threads[3];
	long long deadline = now_ms() + 700;
	long rounds = 0;
	unsigned int i;
	int old;

	ASSERT_EQ(0, pthread_create(&threads[0], NULL, collision_signaler, &c));
	ASSERT_EQ(0, pthread_create(&threads[1], NULL, collision_signaler, &c));
	ASSERT_EQ(0, pthread_create(&threads[2], NULL, collision_poller, &c));

	while (now_ms() < deadline) {
		publish_new_fence(_metadata, &c, 0);
		old = atomic_exchange(&c.fd, dup(t->buf.fd));
		if (old >= 0)
			close(old);
		publish_new_fence(_metadata, &c, 1);
		/* every other buffer is closed in the middle of it all */
		if (rounds++ & 1) {
			ASSERT_EQ(POLLOUT, poll_soon(t, POLLOUT));
			continue;
		}
		poll_now(t, POLLIN | POLLOUT);
		ASSERT_EQ(0, dmabuf_replace(&t->buf, t->exporter));
	}

	/* both slots are empty once they take nothing */
	publish_fence(_metadata, &c, 0, NULL);
	publish_fence(_metadata, &c, 1, NULL);
	atomic_store(&c.stop, true);
	for (i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
	old = atomic_load(&c.fd);
	if (old >= 0)
		close(old);

	figure("anycontext", rounds, "rounds of signaling, polling and closing at once");
	figure("anycontext", atomic_load(&c.signals), "fences signaled by two threads");
	figure("anycontext", atomic_load(&c.polls), "polls and closes by a third");
	EXPECT_EQ(POLLIN | POLLOUT, poll_now(t, POLLIN | POLLOUT));
}

/*
 * names
 */

POLL_TEST(names, rdnorm_goes_with_in)
{
	struct poll_test *t = &self->t;
	struct fence fence;

	EXPECT_EQ(POLLRDNORM, poll_now(t, POLLRDNORM));
	EXPECT_EQ(POLLIN | POLLRDNORM, poll_now(t, POLLIN | POLLRDNORM));

	fence = add_fence(_metadata, t, FENCE_READ);
	EXPECT_EQ(POLLRDNORM, poll_now(t, POLLRDNORM));
	signal_fence(_metadata, &fence);
	fence_close(&fence);

	fence = add_fence(_metadata, t, FENCE_WRITE);
	EXPECT_EQ(0, poll_now(t, POLLRDNORM));
	signal_fence(_metadata, &fence);
	fence_close(&fence);
}

POLL_TEST(names, wrnorm_goes_with_out)
{
	struct poll_test *t = &self->t;
	struct fence fence;

	EXPECT_EQ(POLLWRNORM, poll_now(t, POLLWRNORM));
	EXPECT_EQ(POLLOUT | POLLWRNORM, poll_now(t, POLLOUT | POLLWRNORM));

	fence = add_fence(_metadata, t, FENCE_READ);
	EXPECT_EQ(0, poll_now(t, POLLWRNORM));
	signal_fence(_metadata, &fence);
	EXPECT_EQ(POLLWRNORM, poll_now(t, POLLWRNORM));
	fence_close(&fence);
}

POLL_TEST(names, sleepers_under_the_other_names_are_woken)
{
	struct poll_test *t = &self->t;

	/* unless it is reported at all, nobody would ever be woken with it */
	ASSERT_EQ(POLLRDNORM | POLLWRNORM, poll_now(t, POLLRDNORM | POLLWRNORM));
	check_wakes_for(_metadata, t, WAIT_POLL, POLLRDNORM, FENCE_WRITE);
	check_wakes_for(_metadata, t, WAIT_POLL, POLLWRNORM, FENCE_READ);
	check_wakes_for(_metadata, t, WAIT_EPOLL_ET, POLLRDNORM, FENCE_WRITE);
	check_wakes_for(_metadata, t, WAIT_EPOLL_ET, POLLWRNORM, FENCE_READ);
}

/*
 * poll() and epoll look again when they are woken. A request may take what it was
 * woken with for the answer, and gets no other name than those it has asked for.
 */
static void check_told_what_was_asked_for(struct __test_metadata *_metadata,
					  struct poll_test *t, enum wait_kind kind)
{
	static const short in[] = { POLLIN, POLLRDNORM, POLLIN | POLLRDNORM };
	static const short out[] = { POLLOUT, POLLWRNORM, POLLOUT | POLLWRNORM };
	unsigned int i;

	ASSERT_EQ(POLLRDNORM | POLLWRNORM, poll_now(t, POLLRDNORM | POLLWRNORM));
	for (i = 0; i < ARRAY_SIZE(in); i++) {
		check_wakes_for(_metadata, t, kind, in[i], FENCE_WRITE);
		check_wakes_for(_metadata, t, kind, out[i], FENCE_WRITE);
		check_wakes_for(_metadata, t, kind, out[i], FENCE_READ);
		check_wakes_for(_metadata, t, kind, in[i] | out[i], FENCE_WRITE);
	}
}

POLL_TEST(names, io_uring_is_told_what_it_has_asked_for)
{
	check_told_what_was_asked_for(_metadata, &self->t, WAIT_IO_URING);
}

POLL_TEST(names, aio_is_told_what_it_has_asked_for)
{
	check_told_what_was_asked_for(_metadata, &self->t, WAIT_AIO);
}

/* A timeline of sw_sync that is closed ends its fences with -ENOENT. */
POLL_TEST(names_import, fence_error_counts_as_signaled)
{
	struct poll_test *t = &self->t;
	struct fence fence = add_fence(_metadata, t, FENCE_WRITE);

	EXPECT_EQ(0, poll_now(t, POLLIN | POLLOUT));
	fence_close(&fence);
	EXPECT_EQ(POLLIN | POLLOUT, poll_now(t, POLLIN | POLLOUT));
}

POLL_TEST(names_import, fence_error_wakes_sleepers)
{
	struct poll_test *t = &self->t;
	struct fence fence = add_fence(_metadata, t, FENCE_WRITE);
	struct waiter *in = start_waiter(_metadata, t, WAIT_POLL, POLLIN);
	struct waiter *out = start_waiter(_metadata, t, WAIT_EPOLL_ET, POLLOUT);

	fence_close(&fence);
	expect_woken(_metadata, in, POLLIN);
	expect_woken(_metadata, out, POLLOUT);
}

TEST_HARNESS_MAIN
