/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The window of frames.c: see window.c, and frames.c for the trace
 */
#ifndef __WINDOW_H
#define __WINDOW_H

#include <stdbool.h>
#include <stdint.h>
#include <wayland-client.h>

/* By this name the kernel's list of buffers tells ours from the compositor's. */
#define NAME		"dbp-frame"

/* The compositor has come up, will not show the frame any more. */
#define START_MS	60000
#define SHOWN_MS	3000

struct buffer {
	struct wl_buffer *wl;
	int fd;
	uint32_t handle;
	bool busy;
};


/* Connect to the compositor and make a window, or die. */
void window_open(void);
/* One that the compositor does not use. */
struct buffer *window_buffer(void);
void window_destroy_buffer(struct buffer *buffer);
/* Show it, as the current frame. */
void window_commit(struct buffer *buffer);
/* Has the compositor said all there is to say of the current frame? */
bool window_shown(void);
/* Take what comes in so much time, or until the condition holds. Did it? */
bool window_listen(unsigned int ms, bool (*condition)(void));

/* frames.c: what goes on */
extern const char *current_case;
extern int current_frame;

/* A line "dbp CASE FRAME ..." in the kernel's trace */
void mark(const char *format, ...) __attribute__((format(printf, 1, 2)));
void die(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

#endif
