/* SPDX-License-Identifier: GPL-2.0 */
/* What the clients in C have in common: see protocol.h. */
#ifndef CLIENT_H
#define CLIENT_H

#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "protocol.h"

#define say(fmt, ...)	dprintf(STDOUT_FILENO, fmt "\n", ##__VA_ARGS__)

/* Iterations of the event loop so far. */
static long loops;

static inline int buffer_fd(int n)
{
	return CLIENT_FD + n;
}

static inline short buffer_events(int n)
{
	return n & 1 ? POLLOUT : POLLIN;
}

/* The callback was called. Returns whether it should have been. */
static inline bool buffer_is_ready(int n)
{
	struct pollfd pfd = { .fd = buffer_fd(n), .events = buffer_events(n) };
	bool ready = poll(&pfd, 1, 0) == 1 && pfd.revents == pfd.events;

	say("%s %d", ready ? "ready" : "early", n);
	return ready;
}

static inline void say_watching(void)
{
	say("watching");
	loops = 0;
}

/* There is a byte to read. Returns false if that means to stop. */
static inline bool read_command(void)
{
	char byte = 's';

	if (read(STDIN_FILENO, &byte, 1) != 1)
		say("fault standard input has ended");
	say("loops %ld", loops);
	return byte == 'a';
}

static inline void close_buffer(int n)
{
	if (close(buffer_fd(n)))
		say("fault buffer %d was not open any more", n);
}

/* The loop is gone: wait to be let go, so that it is not exit() that cleans up. */
static inline void say_closed(void)
{
	char byte;

	say("closed");
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
}

static inline void die(const char *text)
{
	say("fault %s", text);
	exit(1);
}

#endif /* CLIENT_H */
