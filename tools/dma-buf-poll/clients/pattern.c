// SPDX-License-Identifier: GPL-2.0
/*
 * Ways of waiting that are no library's, on system calls alone:
 *
 *   pattern oneshot    each two buffers are the planes of one. An epoll reports a
 *                      plane once; what has reported is taken out, what is left is
 *                      armed again, and the last one ends it
 *   pattern swapchain  one poll for OUT, which is never ready before IN, over all
 *   pattern set        ppoll over half of the buffers: for each that is ready and
 *                      goes, another one comes
 *   pattern edges      a runtime registers each file once, edge-triggered for both
 *                      directions, and remembers what it was told. Whoever finds the
 *                      buffer busy all the same clears that, and waits again
 *
 * Nobody but the last looks again: they say what they heard.
 */
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>

#include "client.h"

#define PLANES		2
#define INPUT		CLIENT_COUNT

static int epfd;
static bool waiting[CLIENT_COUNT];
/* what the runtime was told of each buffer, and nobody has cleared */
static unsigned int readiness[CLIENT_COUNT];

static void heard(int n)
{
	waiting[n] = false;
	say("ready %d", n);
}

static bool is_ready(int n)
{
	struct pollfd pfd = { .fd = buffer_fd(n), .events = buffer_events(n) };

	return poll(&pfd, 1, 0) == 1;
}

static void control(int op, int n, unsigned int events)
{
	struct epoll_event ev = { .events = events, .data.u32 = n };

	if (epoll_ctl(epfd, op, n == INPUT ? STDIN_FILENO : buffer_fd(n), &ev))
		die("epoll_ctl");
}

/*
 * One-shot
 */

static unsigned int plane_events(int n)
{
	return EPOLLONESHOT | EPOLLHUP | EPOLLERR |
	       (buffer_events(n) == POLLIN ? EPOLLIN | EPOLLPRI : EPOLLOUT);
}

/* Of a buffer with n among its planes. */
static void arm_planes_left(int op, int n)
{
	int first = n - n % PLANES, left = 0, i;

	for (i = first; i < first + PLANES; i++) {
		if (!waiting[i])
			continue;
		control(op, i, plane_events(i));
		left++;
	}
	for (i = first; i < first + PLANES && !left; i++)
		heard(i);
}

static void watch_planes(void)
{
	int n;

	for (n = 0; n < CLIENT_COUNT; n++) {
		waiting[n] = !is_ready(n);
		if (n % PLANES == PLANES - 1)
			arm_planes_left(EPOLL_CTL_ADD, n);
	}
}

static void plane_event(int n, unsigned int events)
{
	control(EPOLL_CTL_DEL, n, 0);
	waiting[n] = false;
	arm_planes_left(EPOLL_CTL_MOD, n);
}

/*
 * Edges
 */

static void try_again(int n)
{
	if (is_ready(n))
		heard(n);
	else
		readiness[n] &= ~buffer_events(n);
}

static void wait_for_edges(void)
{
	int n;

	for (n = 0; n < CLIENT_COUNT; n++) {
		waiting[n] = true;
		try_again(n);
	}
}

static void register_all(void)
{
	int n;

	for (n = 0; n < CLIENT_COUNT; n++)
		control(EPOLL_CTL_ADD, n, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
	wait_for_edges();
}

static void edge_event(int n, unsigned int events)
{
	readiness[n] |= events & (EPOLLIN | EPOLLOUT);
	if (waiting[n] && readiness[n] & buffer_events(n))
		try_again(n);
}

/*
 * Sets
 */

static void wait_for_all(void)
{
	memset(waiting, true, sizeof(waiting));
}

static void wait_for_half(void)
{
	int n;

	for (n = 0; n < CLIENT_COUNT; n++)
		waiting[n] = n % 4 < 2;
}

static void and_another(int n)
{
	if (n % 4 < 2)
		waiting[n + 2] = true;
}

static const struct pattern {
	const char *name;
	/* to watch all, the first time and again */
	void (*begin)(void);
	void (*again)(void);
	/* epoll only: what came */
	void (*event)(int n, unsigned int events);
	/* poll only: after this one was ready */
	void (*after)(int n);
	/* where it is the same for all */
	short events;
	bool ppoll;
} patterns[] = {
	{ "oneshot", watch_planes, watch_planes, plane_event },
	{ "edges", register_all, wait_for_edges, edge_event },
	{ "swapchain", wait_for_all, wait_for_all, .events = POLLOUT },
	{ "set", wait_for_half, wait_for_half, .after = and_another, .ppoll = true },
};

/* Both return whether there is a command to read. */
static bool epoll_once(const struct pattern *p)
{
	struct epoll_event events[16];
	bool input = false;
	int i, n;

	n = epoll_wait(epfd, events, 16, -1);
	if (n < 0)
		die("epoll_wait");
	for (i = 0; i < n; i++) {
		if (events[i].data.u32 == INPUT)
			input = true;
		else
			p->event(events[i].data.u32, events[i].events);
	}
	return input;
}

static bool poll_once(const struct pattern *p)
{
	struct pollfd pfds[CLIENT_COUNT + 1];
	int ids[CLIENT_COUNT], n, nr = 0, i;
	sigset_t none;

	for (n = 0; n < CLIENT_COUNT; n++) {
		if (!waiting[n])
			continue;
		ids[nr] = n;
		pfds[nr++] = (struct pollfd) {
			buffer_fd(n), p->events ?: buffer_events(n)
		};
	}
	pfds[nr] = (struct pollfd) { STDIN_FILENO, POLLIN };
	sigemptyset(&none);
	if ((p->ppoll ? ppoll(pfds, nr + 1, NULL, &none) : poll(pfds, nr + 1, -1)) < 0)
		die("poll");
	for (i = 0; i < nr; i++) {
		if (!pfds[i].revents)
			continue;
		if (pfds[i].revents != pfds[i].events)
			say("fault buffer %d: poll says %#x", ids[i], pfds[i].revents);
		heard(ids[i]);
		if (p->after)
			p->after(ids[i]);
	}
	return pfds[nr].revents;
}

int main(int argc, char **argv)
{
	const struct pattern *p = patterns;
	bool input = false;
	int n;

	while (argc < 2 || strcmp(argv[1], p->name)) {
		if (++p == patterns + sizeof(patterns) / sizeof(*p))
			die("no such pattern");
	}
	say("hello system calls");
	epfd = epoll_create1(EPOLL_CLOEXEC);
	if (epfd < 0)
		die("epoll_create1");
	control(EPOLL_CTL_ADD, INPUT, EPOLLIN);
	p->begin();
	say_watching();
	for (;;) {
		input = p->event ? epoll_once(p) : poll_once(p);
		loops++;
		if (!input)
			continue;
		if (!read_command())
			break;
		p->again();
		say_watching();
	}

	for (n = 0; n < CLIENT_COUNT; n++)
		close_buffer(n);
	close(epfd);
	say_closed();
	return 0;
}
