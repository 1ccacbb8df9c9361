// SPDX-License-Identifier: GPL-2.0
/*
 * libevent: event once   an event for each buffer, level-triggered, added anew
 *                        for what comes next
 *           event edge   EV_ET | EV_PERSIST: it stays when it has fired
 */
#include <event2/event.h>
#include <string.h>

#include "client.h"

static struct event_base *base;
static struct event *events[CLIENT_COUNT];
static bool edge;
static bool stop;

static void event_ready(evutil_socket_t fd, short what, void *arg)
{
	int n = (struct event **)arg - events;

	/* level-triggered it is not ready: ask once more */
	if (!buffer_is_ready(n) && !edge)
		event_add(events[n], NULL);
}

/* What is edge-triggered looks again when it is added again. */
static void watch_all(void)
{
	int n;

	for (n = 0; n < CLIENT_COUNT; n++) {
		if (edge)
			event_del(events[n]);
		if (event_add(events[n], NULL))
			die("event_add");
	}
	say_watching();
}

static void command(evutil_socket_t fd, short what, void *arg)
{
	if (read_command())
		watch_all();
	else
		stop = true;
}

int main(int argc, char **argv)
{
	struct event *input;
	int n;

	edge = argc > 1 && !strcmp(argv[1], "edge");
	base = event_base_new();
	if (!base)
		die("event_base_new");
	say("hello libevent %s, %s", event_get_version(), event_base_get_method(base));
	input = event_new(base, STDIN_FILENO, EV_READ | EV_PERSIST, command, NULL);
	if (!input || event_add(input, NULL))
		die("event_new");
	for (n = 0; n < CLIENT_COUNT; n++) {
		events[n] = event_new(base, buffer_fd(n),
				      (buffer_events(n) == POLLIN ? EV_READ : EV_WRITE) |
				      (edge ? EV_ET | EV_PERSIST : 0),
				      event_ready, &events[n]);
		if (!events[n])
			die("event_new");
	}
	watch_all();
	for (; !stop; loops++)
		event_base_loop(base, EVLOOP_ONCE);

	for (n = 0; n < CLIENT_COUNT; n++) {
		event_free(events[n]);
		close_buffer(n);
	}
	event_free(input);
	event_base_free(base);
	say_closed();
	return 0;
}
