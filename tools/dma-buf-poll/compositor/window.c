// SPDX-License-Identifier: GPL-2.0
/*
 * The window of frames.c: its buffers are dumb buffers of virtio-gpu, and what the
 * compositor says of its frames goes to the trace.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include <drm/drm.h>
#include <drm/drm_fourcc.h>
#include <drm/drm_mode.h>
#include <linux/dma-buf.h>
#include <wayland-client.h>

#include "dmabuf_util.h"
#include "linux-dmabuf.h"
#include "presentation-time.h"
#include "window.h"
#include "xdg-shell.h"

#define WIDTH		320
#define HEIGHT		240
#define BUFFERS		3

static struct wl_display *display;
static struct wl_compositor *compositor;
static struct xdg_wm_base *shell;
static struct zwp_linux_dmabuf_v1 *dmabuf;
static struct wp_presentation *presentation;
static uint32_t presentation_clock = UINT32_MAX;
static struct wl_surface *surface;
static bool configured;
static struct buffer buffers[BUFFERS];
static int drm = -1;
/* What the compositor has said of the current frame */
static bool frame_done, frame_over;

/*
 * What the compositor says
 */

static void on_ping(void *data, struct xdg_wm_base *base, uint32_t serial)
{
	xdg_wm_base_pong(base, serial);
}

static const struct xdg_wm_base_listener shell_listener = { .ping = on_ping };

static void on_clock(void *data, struct wp_presentation *object, uint32_t clock)
{
	presentation_clock = clock;
}

static const struct wp_presentation_listener presentation_listener = { .clock_id = on_clock };

static void *bind_global(struct wl_registry *registry, uint32_t name,
			 const struct wl_interface *interface, uint32_t has, uint32_t want)
{
	return wl_registry_bind(registry, name, interface, has < want ? has : want);
}

static void on_global(void *data, struct wl_registry *registry, uint32_t name,
		      const char *interface, uint32_t version)
{
	if (!strcmp(interface, wl_compositor_interface.name)) {
		compositor = bind_global(registry, name, &wl_compositor_interface, version, 4);
	} else if (!strcmp(interface, xdg_wm_base_interface.name)) {
		shell = bind_global(registry, name, &xdg_wm_base_interface, version, 1);
		xdg_wm_base_add_listener(shell, &shell_listener, NULL);
	} else if (!strcmp(interface, zwp_linux_dmabuf_v1_interface.name)) {
		dmabuf = bind_global(registry, name, &zwp_linux_dmabuf_v1_interface, version, 3);
	} else if (!strcmp(interface, wp_presentation_interface.name)) {
		presentation = bind_global(registry, name, &wp_presentation_interface, version, 1);
		wp_presentation_add_listener(presentation, &presentation_listener, NULL);
	}
}

static void on_global_remove(void *data, struct wl_registry *registry, uint32_t name)
{
}

static const struct wl_registry_listener registry_listener = {
	.global = on_global,
	.global_remove = on_global_remove,
};

static void on_xdg_configure(void *data, struct xdg_surface *xdg, uint32_t serial)
{
	xdg_surface_ack_configure(xdg, serial);
	configured = true;
}

static const struct xdg_surface_listener xdg_listener = { .configure = on_xdg_configure };

static void on_toplevel_configure(void *data, struct xdg_toplevel *toplevel, int32_t width,
				  int32_t height, struct wl_array *states)
{
}

static void on_toplevel_close(void *data, struct xdg_toplevel *toplevel)
{
}

static const struct xdg_toplevel_listener toplevel_listener = {
	.configure = on_toplevel_configure,
	.close = on_toplevel_close,
};

static void on_release(void *data, struct wl_buffer *wl)
{
	((struct buffer *)data)->busy = false;
}

static const struct wl_buffer_listener buffer_listener = { .release = on_release };

/* The frame that a callback or feedback is of is its data: late ones are told as well. */
static void on_frame(void *data, struct wl_callback *callback, uint32_t time)
{
	wl_callback_destroy(callback);
	mark("frame %ld", (long)data);
	if ((long)data == current_frame)
		frame_done = true;
}

static const struct wl_callback_listener frame_listener = { .done = on_frame };

static void on_sync_output(void *data, struct wp_presentation_feedback *feedback,
			   struct wl_output *output)
{
}

static void on_presented(void *data, struct wp_presentation_feedback *feedback,
			 uint32_t sec_high, uint32_t sec_low, uint32_t nsec,
			 uint32_t refresh, uint32_t seq_high, uint32_t seq_low, uint32_t flags)
{
	wp_presentation_feedback_destroy(feedback);
	/* The trace has the monotonic clock. */
	if (presentation_clock == CLOCK_MONOTONIC)
		mark("presented %ld %llu.%09u", (long)data,
		     (unsigned long long)sec_high << 32 | sec_low, nsec);
	else
		mark("presented %ld -", (long)data);
	if ((long)data == current_frame)
		frame_over = true;
}

static void on_discarded(void *data, struct wp_presentation_feedback *feedback)
{
	wp_presentation_feedback_destroy(feedback);
	mark("discarded %ld", (long)data);
	if ((long)data == current_frame)
		frame_over = true;
}

static const struct wp_presentation_feedback_listener feedback_listener = {
	.sync_output = on_sync_output,
	.presented = on_presented,
	.discarded = on_discarded,
};

static void dispatch(void)
{
	if (wl_display_dispatch_pending(display) < 0)
		die("the compositor has gone, or does not like us: %s", strerror(errno));
}

bool window_listen(unsigned int ms, bool (*condition)(void))
{
	struct pollfd pollfd = { .fd = wl_display_get_fd(display), .events = POLLIN };
	long long left, end = now_ms() + ms;

	for (;;) {
		while (wl_display_prepare_read(display))
			dispatch();
		wl_display_flush(display);
		left = end - now_ms();
		if ((condition && condition()) || left <= 0) {
			wl_display_cancel_read(display);
			return condition && condition();
		}
		if (poll(&pollfd, 1, left) > 0)
			wl_display_read_events(display);
		else
			wl_display_cancel_read(display);
		dispatch();
	}
}

static bool is_configured(void)
{
	return configured;
}

bool window_shown(void)
{
	return frame_done && (frame_over || !presentation);
}

static struct buffer *free_buffer(void)
{
	for (int i = 0; i < BUFFERS; i++)
		if (!buffers[i].busy)
			return &buffers[i];
	return NULL;
}

static bool has_free_buffer(void)
{
	return free_buffer();
}

/*
 * Buffers
 */

static void open_drm(void)
{
	struct drm_version version;
	char path[32], name[32];

	for (int i = 0; i < 8 && drm < 0; i++) {
		snprintf(path, sizeof(path), "/dev/dri/card%d", i);
		drm = open(path, O_RDWR | O_CLOEXEC);
		if (drm < 0)
			continue;
		version = (struct drm_version) { .name = name, .name_len = sizeof(name) };
		if (!ioctl(drm, DRM_IOCTL_VERSION, &version) && version.name_len == 10 &&
		    !strncmp(name, "virtio_gpu", 10))
			return;
		close(drm);
		drm = -1;
	}
	die("no virtio-gpu among /dev/dri/card*");
}

static void make_buffer(struct buffer *buffer)
{
	struct drm_mode_create_dumb dumb = { .width = WIDTH, .height = HEIGHT, .bpp = 32 };
	struct zwp_linux_buffer_params_v1 *params;
	struct drm_prime_handle prime = { .flags = DRM_CLOEXEC | DRM_RDWR };

	if (ioctl(drm, DRM_IOCTL_MODE_CREATE_DUMB, &dumb))
		die("no dumb buffer: %s", strerror(errno));
	prime.handle = dumb.handle;
	if (ioctl(drm, DRM_IOCTL_PRIME_HANDLE_TO_FD, &prime))
		die("no dma-buf: %s", strerror(errno));
	if (ioctl(prime.fd, DMA_BUF_SET_NAME_B, NAME))
		die("no name for the dma-buf: %s", strerror(errno));

	params = zwp_linux_dmabuf_v1_create_params(dmabuf);
	zwp_linux_buffer_params_v1_add(params, prime.fd, 0, 0, dumb.pitch,
				       DRM_FORMAT_MOD_LINEAR >> 32,
				       DRM_FORMAT_MOD_LINEAR & UINT32_MAX);
	*buffer = (struct buffer) {
		.wl = zwp_linux_buffer_params_v1_create_immed(params, WIDTH, HEIGHT,
							      DRM_FORMAT_XRGB8888, 0),
		.fd = prime.fd,
		.handle = dumb.handle,
	};
	zwp_linux_buffer_params_v1_destroy(params);
	wl_buffer_add_listener(buffer->wl, &buffer_listener, buffer);
}

struct buffer *window_buffer(void)
{
	for (int i = 0; i < BUFFERS; i++)
		if (!buffers[i].wl)
			make_buffer(&buffers[i]);
	if (!window_listen(SHOWN_MS, has_free_buffer))
		die("the compositor does not release a buffer");
	return free_buffer();
}

void window_destroy_buffer(struct buffer *buffer)
{
	struct drm_mode_destroy_dumb dumb = { .handle = buffer->handle };

	wl_buffer_destroy(buffer->wl);
	close(buffer->fd);
	ioctl(drm, DRM_IOCTL_MODE_DESTROY_DUMB, &dumb);
	*buffer = (struct buffer) { .fd = -1 };
}

void window_open(void)
{
	struct wl_registry *registry;
	struct xdg_toplevel *toplevel;
	struct xdg_surface *xdg;

	open_drm();
	display = wl_display_connect(NULL);
	if (!display)
		die("no compositor: %s", strerror(errno));
	registry = wl_display_get_registry(display);
	wl_registry_add_listener(registry, &registry_listener, NULL);
	if (wl_display_roundtrip(display) < 0 || wl_display_roundtrip(display) < 0)
		die("the compositor does not answer");
	if (!compositor || !shell)
		die("the compositor has no wl_compositor, or no xdg_wm_base");
	if (!dmabuf)
		die("the compositor has no zwp_linux_dmabuf_v1: does it render in software?");

	surface = wl_compositor_create_surface(compositor);
	xdg = xdg_wm_base_get_xdg_surface(shell, surface);
	xdg_surface_add_listener(xdg, &xdg_listener, NULL);
	toplevel = xdg_surface_get_toplevel(xdg);
	xdg_toplevel_add_listener(toplevel, &toplevel_listener, NULL);
	xdg_toplevel_set_title(toplevel, current_case);
	wl_surface_commit(surface);
	if (!window_listen(START_MS, is_configured))
		die("the compositor does not configure the window");
}

void window_commit(struct buffer *buffer)
{
	long frame = current_frame;

	frame_done = false;
	frame_over = false;
	buffer->busy = true;
	wl_callback_add_listener(wl_surface_frame(surface), &frame_listener, (void *)frame);
	if (presentation)
		wp_presentation_feedback_add_listener(wp_presentation_feedback(presentation, surface),
						      &feedback_listener, (void *)frame);
	wl_surface_attach(surface, buffer->wl, 0, 0);
	wl_surface_damage_buffer(surface, 0, 0, WIDTH, HEIGHT);
	mark("commit");
	wl_surface_commit(surface);
	wl_display_flush(display);
}
