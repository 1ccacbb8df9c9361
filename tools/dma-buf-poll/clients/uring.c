// SPDX-License-Identifier: GPL-2.0
/*
 * liburing: uring add        a poll_add for each buffer
 *           uring multishot  a multishot poll for each, which stays
 *           uring timeout    a poll_add for each with a linked timeout
 *           uring cancel     a poll_add for each; whenever one completes
 *                            another is cancelled, and added again
 *           uring planes     each two buffers are the planes of one: a poll_add for
 *                            each, and when both have completed both are ready.
 *                            Nobody looks again
 *
 * A request completes once, whatever it meets on its way: with an event, or
 * cancelled, or timed out, never with two of them and never with none.
 */
#include <errno.h>
#include <liburing.h>
#include <string.h>

#include "client.h"

enum mode { ADD, MULTISHOT, TIMEOUT, CANCEL, PLANES };

static const char * const mode_names[] = { "add", "multishot", "timeout", "cancel", "planes" };

/* What a completion is of; its buffer is in the low bits. */
enum what {
	POLL = 0x100,
	LINKED = 0x200,
	CANCELLATION = 0x300,
	COMMAND = 0x400,
};

#define WHAT_MASK	0xff00

enum state {
	IDLE,
	PENDING,
	/* a cancellation of the pending request is on its way */
	CANCELLING,
	/* which says that it came too late: an event has to come */
	TOO_LATE,
	/* which says that it cancelled: so has the request to say */
	CANCELLED,
	/* as the request says: so has the cancellation to say */
	GONE,
	/* the request had an event: the cancellation has to say it was too late */
	FIRED,
};

static struct io_uring ring;
static enum mode mode;
static enum state state[CLIENT_COUNT];
static bool early[CLIENT_COUNT];
static int linked[CLIENT_COUNT];
static long timed_out;
static long cancelled;

static const struct __kernel_timespec a_moment = { .tv_nsec = 50 * 1000 * 1000 };
static const struct __kernel_timespec long_enough = { .tv_sec = 100 };
static const struct __kernel_timespec *limit = &long_enough;

static struct io_uring_sqe *get_sqe(void)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

	if (!sqe) {
		io_uring_submit(&ring);
		sqe = io_uring_get_sqe(&ring);
	}
	if (!sqe)
		die("the submission queue is full");
	return sqe;
}

static void watch(int n)
{
	struct io_uring_sqe *sqe;

	/* a link must not be split by a submission in between */
	if (io_uring_sq_space_left(&ring) < 2)
		io_uring_submit(&ring);
	sqe = get_sqe();
	if (mode == MULTISHOT)
		io_uring_prep_poll_multishot(sqe, buffer_fd(n), buffer_events(n));
	else
		io_uring_prep_poll_add(sqe, buffer_fd(n), buffer_events(n));
	io_uring_sqe_set_data64(sqe, POLL | n);
	state[n] = PENDING;

	if (mode == TIMEOUT) {
		sqe->flags |= IOSQE_IO_LINK;
		sqe = get_sqe();
		io_uring_prep_link_timeout(sqe, (struct __kernel_timespec *)limit, 0);
		io_uring_sqe_set_data64(sqe, LINKED | n);
		linked[n]++;
	}
}

static void cancel(int n)
{
	struct io_uring_sqe *sqe = get_sqe();

	io_uring_prep_cancel64(sqe, POLL | n, 0);
	io_uring_sqe_set_data64(sqe, CANCELLATION | n);
	state[n] = CANCELLING;
}

static void cancel_another(int than)
{
	int i, n;

	for (i = 1; i < CLIENT_COUNT; i++) {
		n = (than + 7 * i) % CLIENT_COUNT;
		if (state[n] == PENDING) {
			cancel(n);
			return;
		}
	}
}

/* A multishot request that stays looks only when it is woken: look for it. */
static void watch_all(void)
{
	struct pollfd pfd;
	int n;

	for (n = 0; n < CLIENT_COUNT; n++) {
		pfd = (struct pollfd) { .fd = buffer_fd(n), .events = buffer_events(n) };
		if (state[n] == IDLE)
			watch(n);
		else if (poll(&pfd, 1, 0))
			say("fault buffer %d is not busy", n);
	}
	io_uring_submit(&ring);
}

static void watch_input(void)
{
	struct io_uring_sqe *sqe = get_sqe();

	io_uring_prep_poll_add(sqe, STDIN_FILENO, POLLIN);
	io_uring_sqe_set_data64(sqe, COMMAND);
}

static void wrong(int n, const char *what, const struct io_uring_cqe *cqe)
{
	say("fault buffer %d: %s completed with %d in state %d", n, what, cqe->res, state[n]);
}

static void poll_completed(int n, const struct io_uring_cqe *cqe)
{
	enum state was = state[n];
	bool more = cqe->flags & IORING_CQE_F_MORE;

	if (cqe->res == -ECANCELED) {
		if (mode == TIMEOUT && limit == &a_moment && was == PENDING)
			state[n] = IDLE;
		else if (was == CANCELLING)
			state[n] = GONE;
		else if (was == CANCELLED)
			watch(n);
		else
			wrong(n, "the request", cqe);
		return;
	}

	if (cqe->res != buffer_events(n) || was == IDLE || was == GONE || was == FIRED ||
	    was == CANCELLED) {
		wrong(n, "the request", cqe);
		return;
	}
	if (!more)
		state[n] = was == CANCELLING ? FIRED : IDLE;
	if (mode == PLANES) {
		if (state[n ^ 1] == IDLE) {
			say("ready %d", n);
			say("ready %d", n ^ 1);
		}
		return;
	}
	early[n] = !buffer_is_ready(n);
	if (early[n] && state[n] == IDLE)
		watch(n);
	if (mode == CANCEL)
		cancel_another(n);
}

static void cancellation_completed(int n, const struct io_uring_cqe *cqe)
{
	bool done = cqe->res == 0;

	if (!done && cqe->res != -ENOENT && cqe->res != -EALREADY) {
		wrong(n, "a cancellation", cqe);
	} else if (state[n] == CANCELLING) {
		state[n] = done ? CANCELLED : TOO_LATE;
	} else if (state[n] == GONE && done) {
		watch(n);
	} else if (state[n] == FIRED && !done) {
		state[n] = IDLE;
		if (early[n])
			watch(n);
	} else {
		wrong(n, "a cancellation", cqe);
	}
	cancelled += done;
}

static void timeout_completed(int n, const struct io_uring_cqe *cqe)
{
	linked[n]--;
	if (linked[n] < 0)
		wrong(n, "a timeout", cqe);
	if (cqe->res == -ETIME && limit == &a_moment)
		timed_out++;
	else if (cqe->res != -ECANCELED && cqe->res != -ENOENT)
		wrong(n, "a timeout", cqe);
}

/* One round of the loop. Returns the last command that came in, or 0. */
static int run_once(void)
{
	struct io_uring_cqe *cqe;
	unsigned int head, seen = 0;
	int command = 0;

	if (io_uring_submit_and_wait(&ring, 1) < 0)
		die("io_uring_submit_and_wait");
	loops++;
	io_uring_for_each_cqe(&ring, head, cqe) {
		unsigned long long id = io_uring_cqe_get_data64(cqe);
		int n = id & ~WHAT_MASK;

		seen++;
		switch (id & WHAT_MASK) {
		case POLL:
			poll_completed(n, cqe);
			break;
		case LINKED:
			timeout_completed(n, cqe);
			break;
		case CANCELLATION:
			cancellation_completed(n, cqe);
			break;
		default:
			command = read_command() ? 'a' : 's';
			watch_input();
		}
	}
	io_uring_cq_advance(&ring, seen);
	return command;
}

static int left_linked(void)
{
	int n, left = 0;

	for (n = 0; n < CLIENT_COUNT; n++)
		left += linked[n];
	return left;
}

/* All time out, with their fences pending: no event, and one timeout each. */
static void let_all_time_out(void)
{
	limit = &a_moment;
	watch_all();
	while (left_linked())
		run_once();
	if (timed_out != CLIENT_COUNT)
		say("fault %ld of %d requests timed out", timed_out, CLIENT_COUNT);
	limit = &long_enough;
}

int main(int argc, char **argv)
{
	int command = 0, n;

	while (argc > 1 && strcmp(argv[1], mode_names[mode])) {
		if (++mode > PLANES)
			die("no such mode");
	}
	if (io_uring_queue_init(256, &ring, 0))
		die("io_uring_queue_init");
	say("hello liburing " LIBURING_VERSION);
	watch_input();
	watch_all();
	say_watching();

	for (;;) {
		command = run_once();
		if (command == 's')
			break;
		if (command == 'a') {
			if (mode == TIMEOUT)
				let_all_time_out();
			watch_all();
			say_watching();
		}
	}

	if (mode == CANCEL && !cancelled)
		say("fault no request was cancelled");
	/* half of the files first, half of them after the ring */
	for (n = 0; n < CLIENT_COUNT; n += 2)
		close_buffer(n);
	io_uring_queue_exit(&ring);
	for (n = 1; n < CLIENT_COUNT; n += 2)
		close_buffer(n);
	say_closed();
	return 0;
}
