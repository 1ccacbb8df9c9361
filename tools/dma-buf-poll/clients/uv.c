// SPDX-License-Identifier: GPL-2.0
/*
 * libuv: a uv_poll_t for each buffer, stopped when it has fired
 */
#include <uv.h>

#include "client.h"

static uv_loop_t loop;
static uv_poll_t polls[CLIENT_COUNT];
static uv_poll_t input;
static uv_check_t check;

static void count_loop(uv_check_t *handle)
{
	loops++;
}

static void poll_ready(uv_poll_t *handle, int status, int events)
{
	int n = handle - polls;

	if (status < 0)
		say("fault buffer %d: %s", n, uv_strerror(status));
	if (buffer_is_ready(n))
		uv_poll_stop(handle);
}

static void watch_all(void)
{
	int n;

	for (n = 0; n < CLIENT_COUNT; n++) {
		if (uv_poll_start(&polls[n], buffer_events(n) == POLLIN ? UV_READABLE : UV_WRITABLE,
				  poll_ready))
			die("uv_poll_start");
	}
	say_watching();
}

static void command(uv_poll_t *handle, int status, int events)
{
	int n;

	if (read_command()) {
		watch_all();
		return;
	}
	for (n = 0; n < CLIENT_COUNT; n++) {
		uv_poll_stop(&polls[n]);
		uv_close((uv_handle_t *)&polls[n], NULL);
	}
	uv_close((uv_handle_t *)&input, NULL);
	uv_close((uv_handle_t *)&check, NULL);
}

int main(void)
{
	int n;

	say("hello libuv %s", uv_version_string());
	if (uv_loop_init(&loop) || uv_poll_init(&loop, &input, STDIN_FILENO) ||
	    uv_poll_start(&input, UV_READABLE | UV_DISCONNECT, command) ||
	    uv_check_init(&loop, &check) || uv_check_start(&check, count_loop))
		die("libuv does not start");
	for (n = 0; n < CLIENT_COUNT; n++) {
		if (uv_poll_init(&loop, &polls[n], buffer_fd(n)))
			die("uv_poll_init");
	}
	watch_all();
	uv_run(&loop, UV_RUN_DEFAULT);

	for (n = 0; n < CLIENT_COUNT; n++)
		close_buffer(n);
	if (uv_loop_close(&loop))
		say("fault handles are left in the loop");
	say_closed();
	return 0;
}
