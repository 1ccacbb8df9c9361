// SPDX-License-Identifier: MIT
/*
 * What poll(), select() and epoll may expect of a dma-buf.
 */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <linux/dma-buf.h>

#include "igt.h"
#include "sw_sync.h"

#include "drm.h"
#include "drm_mode.h"
#include "vgem_drm.h"
#include "virtgpu_drm.h"

/**
 * TEST: dmabuf poll
 * Category: Core
 * Mega feature: General Core features
 * Sub-category: dmabuf
 * Description: Waiting for the implicit fences of a dma-buf with poll, select
 *		and epoll
 * Functionality: dmabuf poll
 *
 * SUBTEST: %s-read
 * Description: A pending read leaves the buffer readable, and not writable
 *
 * SUBTEST: %s-write
 * Description: A pending write leaves the buffer neither readable nor writable
 *
 * SUBTEST: %s-mixed
 * Description: Reads and writes together, signaled in any order
 *
 * SUBTEST: %s-poll
 * Description: A sleeping poll() is woken when its fences have signaled
 *
 * SUBTEST: %s-select
 * Description: A sleeping select() is woken when its fences have signaled
 *
 * SUBTEST: %s-epoll
 * Description: Level-triggered epoll reports a buffer for as long as it is ready
 *
 * SUBTEST: %s-epoll-et
 * Description: Edge-triggered epoll reports each completion once, and an idle
 *		buffer once
 *
 * SUBTEST: %s-epoll-oneshot
 * Description: One-shot epoll reports a buffer once until it is armed again
 *
 * SUBTEST: %s-names
 * Description: POLLRDNORM goes with POLLIN, POLLWRNORM with POLLOUT
 *
 * SUBTEST: %s-wakeups
 * Description: Whoever waits for many fences is woken once
 *
 * SUBTEST: %s-waiters
 * Description: Several sleepers of every kind are all woken, and none too early
 *
 * SUBTEST: %s-close-pending
 * Description: The last close frees a buffer whose fences are pending, also
 *		after it was polled
 *
 * SUBTEST: %s-close-polling
 * Description: Closing the file descriptor does not lose whoever sleeps on it
 *
 * SUBTEST: %s-handle-close
 * Description: Closing the GEM handles does not lose whoever sleeps on the dma-buf
 *
 * SUBTEST: %s-kill
 * Description: A process that is killed while it polls leaves nothing behind
 *
 * SUBTEST: %s-hang
 * Description: Whoever waits for a fence that its driver gives up on is woken
 *
 * SUBTEST: %s-import
 * Description: Importing the buffer again and again disturbs nobody
 *
 * SUBTEST: %s-sync-file
 * Description: A sync_file exported from the buffer and poll agree
 *
 * SUBTEST: %s-sync-file-import
 * Description: A fence that comes in through a sync_file counts for poll as
 *		its flags say
 *
 * arg[1]:
 *
 * @vgem:		a buffer of vgem
 * @virtio:		a buffer of virtio-gpu
 * @virtio-vgem:	a buffer of virtio-gpu that vgem has imported
 */

/**
 * SUBTEST: %s-fence
 * Description: A fence of the device is waited for, and wakes once
 *
 * SUBTEST: %s-fences
 * Description: Buffers become ready in the order in which the device was asked
 *
 * SUBTEST: %s-fence-close
 * Description: The last close frees a buffer that the device is working on
 *
 * SUBTEST: %s-fence-unbind
 * Description: Taking the driver from the device while somebody polls a buffer
 *		of it crashes nothing
 *
 * arg[1]:
 *
 * @virtio-2d:	virtio-gpu, the creation of a resource
 * @virtio-3d:	virtio-gpu, commands for virgl
 */

IGT_TEST_DESCRIPTION("Waiting for the implicit fences of a dma-buf with poll, select and epoll");

/* Something that must not happen is given this long to happen. */
#define SETTLE_MS	20
/* Something that must happen has failed to after this long; vgem takes 10 s. */
#define GIVE_UP_MS	20000

#define MAX_FENCES	16
#define IN_OUT		(POLLIN | POLLOUT)

enum exporter {
	VGEM,
	VIRTIO,
	VIRTIO_VGEM,
	EXPORTERS,
};

static const char * const exporter_names[] = {
	[VGEM] = "vgem",
	[VIRTIO] = "virtio",
	[VIRTIO_VGEM] = "virtio-vgem",
};

struct buffer {
	int fd;
	ino_t ino;
	/* whose buffer it is */
	int drm;
	uint32_t handle;
	/* where its fences come from, or -1 */
	int vgem;
	uint32_t vgem_handle;
};

struct fence {
	int timeline;
	int sync;
	int vgem;
	uint32_t id;
};

static const char *debugfs;

/*
 * DRM
 */

static int xioctl(int fd, unsigned long request, void *arg)
{
	int ret;

	do {
		ret = ioctl(fd, request, arg);
	} while (ret < 0 && (errno == EINTR || errno == EAGAIN));

	return ret < 0 ? -errno : ret;
}

static void must(int ret, const char *what)
{
	igt_assert_f(ret >= 0, "%s failed: %s\n", what, strerror(-ret));
}

/*
 * Not drm_open_driver(): it takes this for one of the many drivers that a test
 * may run on, here the name of the driver is what the test is about.
 */
static int open_driver(const char *name)
{
	char path[32], driver[32];
	struct drm_version version;
	int i, fd;

	for (i = 0; i < 64; i++) {
		snprintf(path, sizeof(path), "/dev/dri/card%d", i);
		fd = open(path, O_RDWR | O_CLOEXEC);
		if (fd < 0)
			continue;
		memset(driver, 0, sizeof(driver));
		memset(&version, 0, sizeof(version));
		version.name = driver;
		version.name_len = sizeof(driver) - 1;
		if (!xioctl(fd, DRM_IOCTL_VERSION, &version) && !strcmp(driver, name))
			return fd;
		close(fd);
	}

	return -1;
}

static int need_driver(const char *name)
{
	int fd = open_driver(name);

	igt_require_f(fd >= 0, "there is no card of %s\n", name);
	return fd;
}

static int export_handle(int drm, uint32_t handle)
{
	struct drm_prime_handle prime = {
		.handle = handle,
		.flags = DRM_CLOEXEC | DRM_RDWR,
	};

	must(xioctl(drm, DRM_IOCTL_PRIME_HANDLE_TO_FD, &prime), "export");
	return prime.fd;
}

static uint32_t import_fd(int drm, int fd)
{
	struct drm_prime_handle prime = { .fd = fd };

	must(xioctl(drm, DRM_IOCTL_PRIME_FD_TO_HANDLE, &prime), "import");
	return prime.handle;
}

static void close_handle(int drm, uint32_t *handle)
{
	struct drm_gem_close gem = { .handle = *handle };

	if (*handle)
		must(xioctl(drm, DRM_IOCTL_GEM_CLOSE, &gem), "closing a handle");
	*handle = 0;
}

/*
 * Buffers
 */

static short ready(int fd, short events)
{
	struct pollfd pfd = { .fd = fd, .events = events };
	int ret = poll(&pfd, 1, 0);

	igt_assert_f(ret >= 0, "poll: %s\n", strerror(errno));
	igt_assert_f(ret == !!pfd.revents, "poll returned %d with revents %#x\n",
		     ret, pfd.revents);
	return pfd.revents;
}

#define assert_ready(fd, events)						\
	do {									\
		short now_ = ready(fd, IN_OUT), in_ = ready(fd, POLLIN),	\
		      out_ = ready(fd, POLLOUT);				\
		igt_assert_f(now_ == (events) && in_ == ((events) & POLLIN) &&	\
			     out_ == ((events) & POLLOUT),			\
			     "ready is %#x (IN alone %#x, OUT alone %#x), not %#x\n", \
			     now_, in_, out_, (events));			\
	} while (0)

static void wait_idle(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLOUT };

	igt_assert_f(poll(&pfd, 1, GIVE_UP_MS) == 1, "a new buffer stays busy\n");
}

static void remember_inode(struct buffer *b)
{
	struct stat st;

	igt_assert(!fstat(b->fd, &st));
	b->ino = st.st_ino;
}

static void buffer_open(struct buffer *b, enum exporter exporter)
{
	struct drm_mode_create_dumb dumb = { .width = 16, .height = 16, .bpp = 32 };

	memset(b, 0, sizeof(*b));
	b->vgem = -1;
	b->drm = need_driver(exporter == VGEM ? "vgem" : "virtio_gpu");
	if (exporter == VIRTIO_VGEM)
		b->vgem = need_driver("vgem");

	must(xioctl(b->drm, DRM_IOCTL_MODE_CREATE_DUMB, &dumb), "creating a buffer");
	b->handle = dumb.handle;
	b->fd = export_handle(b->drm, b->handle);
	wait_idle(b->fd);
	remember_inode(b);

	if (exporter == VGEM) {
		b->vgem = b->drm;
		b->vgem_handle = b->handle;
	} else if (exporter == VIRTIO_VGEM) {
		b->vgem_handle = import_fd(b->vgem, b->fd);
	}
}

/* All that keeps the buffer alive, but not the fences of vgem. */
static void buffer_close_handles(struct buffer *b)
{
	if (b->vgem >= 0 && b->vgem != b->drm)
		close_handle(b->vgem, &b->vgem_handle);
	close_handle(b->drm, &b->handle);
	b->vgem_handle = 0;
}

static void buffer_close_fd(struct buffer *b)
{
	if (b->fd >= 0)
		close(b->fd);
	b->fd = -1;
}

static void buffer_close(struct buffer *b)
{
	buffer_close_handles(b);
	buffer_close_fd(b);
	if (b->vgem >= 0 && b->vgem != b->drm)
		close(b->vgem);
	close(b->drm);
}

/* Is the buffer still in the kernel's list of them? */
static bool buffer_exists(const struct buffer *b)
{
	char path[PATH_MAX], line[512];
	unsigned long ino;
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "%s/dma_buf/bufinfo", debugfs);
	f = fopen(path, "r");
	igt_require_f(f, "cannot read %s: %s\n", path, strerror(errno));
	/* size flags mode count exporter ino name */
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%*x %*x %*x %*d %*s %lu", &ino) == 1 && ino == b->ino)
			found = true;
	}
	fclose(f);
	return found;
}

/*
 * Fences
 */

static int try_import(int fd, int sync, bool write)
{
	struct dma_buf_import_sync_file arg = {
		.flags = write ? DMA_BUF_SYNC_WRITE : DMA_BUF_SYNC_READ,
		.fd = sync,
	};

	return xioctl(fd, DMA_BUF_IOCTL_IMPORT_SYNC_FILE, &arg);
}

static int try_export(int fd, bool write)
{
	struct dma_buf_export_sync_file arg = {
		.flags = write ? DMA_BUF_SYNC_WRITE : DMA_BUF_SYNC_READ,
		.fd = -1,
	};
	int ret = xioctl(fd, DMA_BUF_IOCTL_EXPORT_SYNC_FILE, &arg);

	return ret < 0 ? ret : arg.fd;
}

static void require_sync_files(int fd)
{
	/* a kernel that knows the ioctl complains about the descriptor */
	igt_require_f(try_import(fd, -1, true) != -ENOTTY,
		      "this kernel imports no sync_file into a dma-buf\n");
}

static int export_sync_file(int fd, bool write)
{
	int sync = try_export(fd, write);

	must(sync, "exporting a sync_file");
	return sync;
}

/* A fence through a sync_file: any number of any kind on one buffer. */
static void fence_import(struct buffer *b, struct fence *f, bool write)
{
	require_sync_files(b->fd);
	igt_require_sw_sync();

	f->vgem = -1;
	f->timeline = sw_sync_timeline_create();
	f->sync = sw_sync_timeline_create_fence(f->timeline, 1);
	must(try_import(b->fd, f->sync, write), "importing a sync_file");
}

/* A fence as the driver attaches it, where there is one that does. */
static void fence_attach(struct buffer *b, struct fence *f, bool write)
{
	struct drm_vgem_fence_attach attach = {
		.handle = b->vgem_handle,
		.flags = write ? VGEM_FENCE_WRITE : 0,
	};

	if (b->vgem < 0) {
		fence_import(b, f, write);
		return;
	}

	f->timeline = -1;
	f->sync = -1;
	f->vgem = b->vgem;
	must(xioctl(b->vgem, DRM_IOCTL_VGEM_FENCE_ATTACH, &attach), "attaching a fence");
	f->id = attach.out_fence;
}

static void fence_signal(struct fence *f)
{
	struct drm_vgem_fence_signal sig = { .fence = f->id };

	if (f->vgem >= 0) {
		must(xioctl(f->vgem, DRM_IOCTL_VGEM_FENCE_SIGNAL, &sig), "signaling a fence");
		return;
	}

	sw_sync_timeline_inc(f->timeline, 1);
	close(f->sync);
	close(f->timeline);
}

/*
 * Waiting
 */

enum how {
	BY_POLL,
	BY_SELECT,
	BY_EPOLL,
	BY_EPOLL_ET,
	BY_EPOLL_ONESHOT,
	HOWS,
};

static bool by_epoll(enum how how)
{
	return how >= BY_EPOLL;
}

static uint32_t epoll_flags(enum how how)
{
	return how == BY_EPOLL_ET ? EPOLLET : how == BY_EPOLL_ONESHOT ? EPOLLONESHOT : 0;
}

static int epoll_watch(enum how how, int fd, short events)
{
	struct epoll_event event = { .events = events | epoll_flags(how) };
	int ep = epoll_create1(EPOLL_CLOEXEC);

	if (ep >= 0 && epoll_ctl(ep, EPOLL_CTL_ADD, fd, &event)) {
		close(ep);
		ep = -1;
	}
	return ep;
}

static short epoll_take(int ep, int timeout)
{
	struct epoll_event event = { 0 };
	int ret = epoll_wait(ep, &event, 1, timeout);

	return ret == 1 ? event.events : 0;
}

/* How often in a row there is something to report. */
static int epoll_drain(int ep, int rounds)
{
	int n;

	for (n = 0; n < rounds && epoll_take(ep, 0); n++)
		;
	return n;
}

static short wait_select(int fd, short events, int timeout)
{
	struct timeval tv = { timeout / 1000, timeout % 1000 * 1000 };
	fd_set in, out;

	FD_ZERO(&in);
	FD_ZERO(&out);
	if (events & POLLIN)
		FD_SET(fd, &in);
	if (events & POLLOUT)
		FD_SET(fd, &out);
	if (select(fd + 1, &in, &out, NULL, &tv) <= 0)
		return 0;
	return (FD_ISSET(fd, &in) ? POLLIN : 0) | (FD_ISSET(fd, &out) ? POLLOUT : 0);
}

static short wait_for(enum how how, int fd, int ep, short events, int timeout)
{
	struct pollfd pfd = { .fd = fd, .events = events };

	if (by_epoll(how))
		return epoll_take(ep, timeout);
	if (how == BY_SELECT)
		return wait_select(fd, events, timeout);
	return poll(&pfd, 1, timeout) == 1 ? pfd.revents : 0;
}

/* A thread that sleeps until its events are there. */
struct waiter {
	pthread_t thread;
	enum how how;
	int fd;
	int ep;
	short events;
	short revents;
	long sleeps;
	atomic_int tid;
	atomic_bool done;
};

static void *waiter_main(void *arg)
{
	struct waiter *w = arg;
	struct rusage before, after;

	/* the only thing it does from here on is to wait */
	getrusage(RUSAGE_THREAD, &before);
	atomic_store(&w->tid, syscall(SYS_gettid));
	w->revents = wait_for(w->how, w->fd, w->ep, w->events, GIVE_UP_MS);
	getrusage(RUSAGE_THREAD, &after);
	w->sleeps = after.ru_nvcsw - before.ru_nvcsw;
	atomic_store(&w->done, true);
	return NULL;
}

static char thread_state(int tid)
{
	char path[64], text[256], *state;
	ssize_t len;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return '?';
	len = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[len > 0 ? len : 0] = '\0';
	state = strrchr(text, ')');
	return state && state[1] ? state[2] : '?';
}

static void sleep_ms(int ms)
{
	usleep(ms * 1000);
}

static void waiter_start(struct waiter *w, enum how how, int fd, short events)
{
	int seen = 0, tries, tid;

	memset(w, 0, sizeof(*w));
	w->how = how;
	w->fd = fd;
	w->events = events;
	w->ep = by_epoll(how) ? epoll_watch(how, fd, events) : -1;
	igt_assert(!by_epoll(how) || w->ep >= 0);
	igt_assert_eq(pthread_create(&w->thread, NULL, waiter_main, w), 0);

	for (tries = 0; tries < GIVE_UP_MS && seen < 3; tries++) {
		tid = atomic_load(&w->tid);
		seen = tid && thread_state(tid) == 'S' ? seen + 1 : 0;
		igt_assert_f(!atomic_load(&w->done),
			     "a wait that should sleep returned %#x\n", w->revents);
		sleep_ms(1);
	}
	igt_assert_f(seen == 3, "a thread does not go to sleep\n");
}

static void waiter_must_sleep(struct waiter *w)
{
	sleep_ms(SETTLE_MS);
	igt_assert_f(!atomic_load(&w->done), "woken too early, with %#x\n", w->revents);
}

/* What it was woken with; 0 if it never was, and gave up. */
static short waiter_join(struct waiter *w)
{
	pthread_join(w->thread, NULL);
	if (w->ep >= 0)
		close(w->ep);
	return w->revents;
}

#define assert_woken(w, events)							\
	do {									\
		short got_ = waiter_join(w);					\
		igt_assert_f(got_ == (events), got_ ?				\
			     "woken with %#x, not %#x\n" :			\
			     "never woken (%#x, %#x)\n", got_, (events));	\
	} while (0)

/*
 * The tests on every exporter
 */

static void test_read(enum exporter exporter)
{
	struct buffer b;
	struct fence f;

	buffer_open(&b, exporter);
	assert_ready(b.fd, IN_OUT);
	fence_attach(&b, &f, false);
	assert_ready(b.fd, POLLIN);
	fence_signal(&f);
	assert_ready(b.fd, IN_OUT);
	buffer_close(&b);
}

static void test_write(enum exporter exporter)
{
	struct buffer b;
	struct fence f;

	buffer_open(&b, exporter);
	assert_ready(b.fd, IN_OUT);
	fence_attach(&b, &f, true);
	assert_ready(b.fd, 0);
	fence_signal(&f);
	assert_ready(b.fd, IN_OUT);
	buffer_close(&b);
}

static void test_mixed(enum exporter exporter)
{
	/* the order in which one write (0) and two reads are signaled */
	static const int orders[][3] = {
		{ 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 },
		{ 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 },
	};
	struct waiter in, out;
	struct fence f[3];
	struct buffer b;
	bool written;
	int i, k;

	buffer_open(&b, exporter);
	for (i = 0; i < ARRAY_SIZE(orders); i++) {
		for (k = 0; k < 3; k++)
			fence_import(&b, &f[k], k == 0);
		assert_ready(b.fd, 0);
		waiter_start(&in, i % HOWS, b.fd, POLLIN);
		waiter_start(&out, (i + 1) % HOWS, b.fd, POLLOUT);

		written = false;
		for (k = 0; k < 3; k++) {
			if (!written)
				waiter_must_sleep(&in);
			waiter_must_sleep(&out);
			fence_signal(&f[orders[i][k]]);
			written |= orders[i][k] == 0;
			assert_ready(b.fd, k == 2 ? IN_OUT : written ? POLLIN : 0);
		}
		assert_woken(&in, POLLIN);
		assert_woken(&out, POLLOUT);
	}
	buffer_close(&b);
}

/* Asleep until the very fence it waits for, whichever direction it asks for. */
static void wait_both_ways(struct buffer *b, enum how how)
{
	struct waiter w;
	struct fence f;

	fence_attach(b, &f, false);
	igt_assert_eq(ready(b->fd, POLLIN), POLLIN);
	waiter_start(&w, how, b->fd, POLLOUT);
	waiter_must_sleep(&w);
	fence_signal(&f);
	assert_woken(&w, POLLOUT);

	fence_attach(b, &f, true);
	waiter_start(&w, how, b->fd, POLLIN);
	waiter_must_sleep(&w);
	fence_signal(&f);
	assert_woken(&w, POLLIN);

	fence_attach(b, &f, true);
	waiter_start(&w, how, b->fd, IN_OUT);
	waiter_must_sleep(&w);
	fence_signal(&f);
	assert_woken(&w, IN_OUT);
}

static void test_poll(enum exporter exporter)
{
	struct buffer b;

	buffer_open(&b, exporter);
	wait_both_ways(&b, BY_POLL);
	buffer_close(&b);
}

static void test_select(enum exporter exporter)
{
	struct buffer b;
	struct fence f;

	buffer_open(&b, exporter);
	igt_assert_eq(wait_select(b.fd, IN_OUT, 0), IN_OUT);
	fence_attach(&b, &f, false);
	igt_assert_eq(wait_select(b.fd, IN_OUT, 0), POLLIN);
	fence_signal(&f);
	wait_both_ways(&b, BY_SELECT);
	buffer_close(&b);
}

static void test_epoll(enum exporter exporter)
{
	struct buffer b;
	struct fence f;
	int ep;

	buffer_open(&b, exporter);
	wait_both_ways(&b, BY_EPOLL);

	ep = epoll_watch(BY_EPOLL, b.fd, IN_OUT);
	igt_assert_eq(epoll_drain(ep, 100), 100);
	fence_attach(&b, &f, true);
	igt_assert_eq(epoll_drain(ep, 100), 0);
	fence_signal(&f);
	igt_assert_eq(epoll_drain(ep, 100), 100);
	close(ep);
	buffer_close(&b);
}

static void test_epoll_et(enum exporter exporter)
{
	struct buffer b;
	struct fence f;
	int ep, edges;

	buffer_open(&b, exporter);
	wait_both_ways(&b, BY_EPOLL_ET);

	ep = epoll_watch(BY_EPOLL_ET, b.fd, IN_OUT);
	edges = epoll_drain(ep, 1000);
	igt_assert_f(edges == 1, "%d edges on an idle buffer\n", edges);

	/* whoever has polled a busy buffer is told of its completion */
	fence_attach(&b, &f, true);
	assert_ready(b.fd, 0);
	igt_assert_eq(epoll_drain(ep, 1000), 0);
	fence_signal(&f);
	igt_assert_eq(epoll_take(ep, GIVE_UP_MS), IN_OUT);
	edges = epoll_drain(ep, 1000);
	igt_assert_f(edges == 0, "%d more edges for one completion\n", edges);
	close(ep);
	buffer_close(&b);
}

static void test_epoll_oneshot(enum exporter exporter)
{
	struct epoll_event event = { .events = IN_OUT | EPOLLONESHOT };
	struct buffer b;
	struct fence f;
	int ep;

	buffer_open(&b, exporter);
	wait_both_ways(&b, BY_EPOLL_ONESHOT);

	ep = epoll_watch(BY_EPOLL_ONESHOT, b.fd, IN_OUT);
	igt_assert_eq(epoll_drain(ep, 100), 1);

	fence_attach(&b, &f, true);
	igt_assert_eq(epoll_ctl(ep, EPOLL_CTL_MOD, b.fd, &event), 0);
	igt_assert_eq(epoll_drain(ep, 100), 0);
	fence_signal(&f);
	igt_assert_eq(epoll_take(ep, GIVE_UP_MS), IN_OUT);
	igt_assert_eq(epoll_drain(ep, 100), 0);
	igt_assert_eq(epoll_ctl(ep, EPOLL_CTL_MOD, b.fd, &event), 0);
	igt_assert_eq(epoll_drain(ep, 100), 1);
	close(ep);
	buffer_close(&b);
}

static void test_names(enum exporter exporter)
{
	const short in = POLLIN | POLLRDNORM, out = POLLOUT | POLLWRNORM;
	struct buffer b;
	struct fence f;

	buffer_open(&b, exporter);
	igt_assert_eq(ready(b.fd, in | out), in | out);
	igt_assert_eq(ready(b.fd, POLLRDNORM), POLLRDNORM);
	igt_assert_eq(ready(b.fd, POLLWRNORM), POLLWRNORM);
	fence_attach(&b, &f, false);
	igt_assert_eq(ready(b.fd, in | out), in);
	igt_assert_eq(ready(b.fd, POLLWRNORM), 0);
	fence_signal(&f);
	fence_attach(&b, &f, true);
	igt_assert_eq(ready(b.fd, in | out), 0);
	fence_signal(&f);
	igt_assert_eq(ready(b.fd, in | out), in | out);
	buffer_close(&b);
}

static void test_wakeups(enum exporter exporter)
{
	struct fence f[MAX_FENCES];
	struct waiter w;
	struct buffer b;
	int n, i, how;

	buffer_open(&b, exporter);
	for (how = 0; how < HOWS; how++) {
		for (n = 1; n <= MAX_FENCES; n *= 4) {
			/* vgem refuses two writes at once, but no two reads */
			for (i = 0; i < n; i++)
				fence_attach(&b, &f[i], false);
			waiter_start(&w, how, b.fd, POLLOUT);
			for (i = 0; i < n; i++) {
				fence_signal(&f[i]);
				if (i < n - 1)
					waiter_must_sleep(&w);
			}
			assert_woken(&w, POLLOUT);
			igt_info("way %d, %d fences: woken %ld times\n", how, n, w.sleeps);
			igt_assert_f(w.sleeps == 1, "woken %ld times for %d fences\n",
				     w.sleeps, n);
		}
	}
	buffer_close(&b);
}

static void test_waiters(enum exporter exporter)
{
	struct waiter in[HOWS], out[HOWS];
	struct buffer b;
	struct fence f;
	int how;

	buffer_open(&b, exporter);
	fence_attach(&b, &f, true);
	for (how = 0; how < HOWS; how++) {
		waiter_start(&in[how], how, b.fd, POLLIN);
		waiter_start(&out[how], how, b.fd, POLLOUT);
	}
	for (how = 0; how < HOWS; how++) {
		waiter_must_sleep(&in[how]);
		waiter_must_sleep(&out[how]);
	}
	fence_signal(&f);
	for (how = 0; how < HOWS; how++) {
		assert_woken(&in[how], POLLIN);
		assert_woken(&out[how], POLLOUT);
	}

	/* now only those who want to write have to wait */
	fence_attach(&b, &f, false);
	for (how = 0; how < HOWS; how++)
		waiter_start(&out[how], how, b.fd, POLLOUT);
	igt_assert_eq(ready(b.fd, POLLIN), POLLIN);
	for (how = 0; how < HOWS; how++)
		waiter_must_sleep(&out[how]);
	fence_signal(&f);
	for (how = 0; how < HOWS; how++)
		assert_woken(&out[how], POLLOUT);
	buffer_close(&b);
}

static void test_close_pending(enum exporter exporter)
{
	struct buffer b;
	struct fence f;
	int ep;

	buffer_open(&b, exporter);
	fence_attach(&b, &f, true);
	assert_ready(b.fd, 0);
	ep = epoll_watch(BY_EPOLL, b.fd, IN_OUT);
	igt_assert_eq(epoll_take(ep, 0), 0);
	igt_assert(buffer_exists(&b));
	buffer_close_handles(&b);
	buffer_close_fd(&b);
	igt_assert_f(!buffer_exists(&b), "the last close has not freed the buffer\n");
	igt_assert_eq(epoll_take(ep, SETTLE_MS), 0);
	/* and it is nobody any more whom this could wake */
	fence_signal(&f);
	igt_assert_eq(epoll_take(ep, SETTLE_MS), 0);
	close(ep);
	buffer_close(&b);
}

static void test_close_polling(enum exporter exporter)
{
	struct waiter on_fd, on_copy;
	struct buffer b;
	struct fence f;
	int copy;

	buffer_open(&b, exporter);
	fence_attach(&b, &f, true);
	copy = dup(b.fd);
	igt_assert(copy >= 0);
	waiter_start(&on_fd, BY_POLL, b.fd, POLLIN);
	waiter_start(&on_copy, BY_EPOLL, copy, POLLIN);
	buffer_close_handles(&b);
	buffer_close_fd(&b);
	waiter_must_sleep(&on_fd);
	waiter_must_sleep(&on_copy);
	fence_signal(&f);
	/* once awake poll looks again, at a descriptor that is no more */
	assert_woken(&on_fd, POLLNVAL);
	assert_woken(&on_copy, POLLIN);
	close(copy);
	igt_assert_f(!buffer_exists(&b), "the last close has not freed the buffer\n");
	buffer_close(&b);
}

static void test_handle_close(enum exporter exporter)
{
	struct waiter w[HOWS];
	struct buffer b;
	struct fence f;
	int how;

	buffer_open(&b, exporter);
	fence_attach(&b, &f, true);
	for (how = 0; how < HOWS; how++)
		waiter_start(&w[how], how, b.fd, POLLIN);
	buffer_close_handles(&b);
	for (how = 0; how < HOWS; how++)
		waiter_must_sleep(&w[how]);
	assert_ready(b.fd, 0);
	fence_signal(&f);
	for (how = 0; how < HOWS; how++)
		assert_woken(&w[how], POLLIN);
	assert_ready(b.fd, IN_OUT);
	buffer_close(&b);
}

/* Fork, and be killed in poll. */
static void poll_and_die(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = IN_OUT };
	int status, tries;
	char path[64], text[256], *state;
	bool asleep = false;
	pid_t child = fork();
	FILE *f;

	igt_assert(child >= 0);
	if (!child) {
		poll(&pfd, 1, GIVE_UP_MS);
		_exit(1);
	}

	snprintf(path, sizeof(path), "/proc/%d/stat", child);
	for (tries = 0; tries < GIVE_UP_MS && !asleep; tries++) {
		f = fopen(path, "r");
		igt_assert(f);
		state = fgets(text, sizeof(text), f) ? strrchr(text, ')') : NULL;
		asleep = state && state[1] && state[2] == 'S';
		fclose(f);
		sleep_ms(1);
	}
	sleep_ms(SETTLE_MS);
	kill(child, SIGKILL);
	igt_assert_eq(waitpid(child, &status, 0), child);
	igt_assert_f(asleep && WIFSIGNALED(status), "poll did not sleep: status %#x\n", status);
}

static void test_kill(enum exporter exporter)
{
	struct waiter w;
	struct buffer b;
	struct fence f;

	/* others go on waiting */
	buffer_open(&b, exporter);
	fence_attach(&b, &f, true);
	waiter_start(&w, BY_POLL, b.fd, POLLIN);
	poll_and_die(b.fd);
	waiter_must_sleep(&w);
	fence_signal(&f);
	assert_woken(&w, POLLIN);

	/* and nothing is held for the dead */
	fence_attach(&b, &f, true);
	poll_and_die(b.fd);
	buffer_close_handles(&b);
	buffer_close_fd(&b);
	igt_assert_f(!buffer_exists(&b), "the buffer outlives the process that polled it\n");
	fence_signal(&f);
	buffer_close(&b);
}

static void test_hang(enum exporter exporter)
{
	struct buffer b, source;
	struct timespec start, end;
	struct waiter w, out;
	struct fence f;
	long ms;
	int sync;

	buffer_open(&b, exporter);
	if (b.vgem >= 0) {
		fence_attach(&b, &f, true);
	} else {
		/* the fence of vgem comes in from a buffer of its own */
		require_sync_files(b.fd);
		buffer_open(&source, VGEM);
		fence_attach(&source, &f, true);
		sync = export_sync_file(source.fd, false);
		must(try_import(b.fd, sync, true), "importing a sync_file");
		close(sync);
	}

	clock_gettime(CLOCK_MONOTONIC, &start);
	waiter_start(&w, BY_POLL, b.fd, POLLIN);
	waiter_start(&out, BY_EPOLL_ONESHOT, b.fd, POLLOUT);
	/* vgem gives up on its fences after ten seconds */
	assert_woken(&w, POLLIN);
	assert_woken(&out, POLLOUT);
	clock_gettime(CLOCK_MONOTONIC, &end);
	ms = (end.tv_sec - start.tv_sec) * 1000 + (end.tv_nsec - start.tv_nsec) / 1000000;
	igt_info("woken after %ld ms\n", ms);
	igt_assert_f(ms > 5000, "woken after only %ld ms\n", ms);
	assert_ready(b.fd, IN_OUT);
	if (b.vgem < 0)
		buffer_close(&source);
	buffer_close(&b);
}

static void test_import(enum exporter exporter)
{
	struct waiter w[HOWS];
	struct buffer b;
	struct fence f;
	uint32_t handle;
	int vgem, how, i;

	/* a file of vgem of its own, so that each import is a new one */
	vgem = need_driver("vgem");
	buffer_open(&b, exporter);
	fence_attach(&b, &f, true);
	for (how = 0; how < HOWS; how++)
		waiter_start(&w[how], how, b.fd, POLLOUT);
	for (i = 0; i < 100; i++) {
		handle = import_fd(vgem, b.fd);
		close_handle(vgem, &handle);
		assert_ready(b.fd, 0);
	}
	for (how = 0; how < HOWS; how++)
		waiter_must_sleep(&w[how]);
	handle = import_fd(vgem, b.fd);
	fence_signal(&f);
	for (how = 0; how < HOWS; how++)
		assert_woken(&w[how], POLLOUT);
	close_handle(vgem, &handle);
	close(vgem);
	assert_ready(b.fd, IN_OUT);
	buffer_close(&b);
}

/* What poll says is what the sync_files say that are made at the same time. */
static void assert_agree(struct buffer *b, short events)
{
	int in = export_sync_file(b->fd, false), out = export_sync_file(b->fd, true);

	assert_ready(b->fd, events);
	igt_assert_f(!!ready(in, POLLIN) == !!(events & POLLIN),
		     "poll and the sync_file for a read disagree\n");
	igt_assert_f(!!ready(out, POLLIN) == !!(events & POLLOUT),
		     "poll and the sync_file for a write disagree\n");
	close(in);
	close(out);
}

static void test_sync_file(enum exporter exporter)
{
	struct waiter on_sync, on_buffer;
	struct buffer b;
	struct fence f;
	int sync, old;

	buffer_open(&b, exporter);
	require_sync_files(b.fd);
	assert_agree(&b, IN_OUT);
	fence_attach(&b, &f, false);
	assert_agree(&b, POLLIN);
	fence_signal(&f);
	assert_agree(&b, IN_OUT);

	old = export_sync_file(b.fd, true);
	fence_attach(&b, &f, true);
	assert_agree(&b, 0);
	/* what was exported before knows nothing of it */
	igt_assert_eq(ready(old, POLLIN), POLLIN);
	close(old);

	sync = export_sync_file(b.fd, true);
	waiter_start(&on_sync, BY_POLL, sync, POLLIN);
	waiter_start(&on_buffer, BY_POLL, b.fd, POLLOUT);
	waiter_must_sleep(&on_sync);
	waiter_must_sleep(&on_buffer);
	fence_signal(&f);
	assert_woken(&on_sync, POLLIN);
	assert_woken(&on_buffer, POLLOUT);
	igt_assert_eq(ready(sync, POLLIN), POLLIN);
	close(sync);
	assert_agree(&b, IN_OUT);
	buffer_close(&b);
}

static void test_sync_file_import(enum exporter exporter)
{
	struct buffer b, other;
	struct waiter w;
	struct fence f, g;
	int sync;

	buffer_open(&b, exporter);
	buffer_open(&other, exporter);

	fence_import(&b, &f, false);
	assert_agree(&b, POLLIN);
	fence_import(&b, &g, true);
	assert_agree(&b, 0);
	fence_signal(&g);
	assert_agree(&b, POLLIN);

	/* from one buffer to the other: that one has to wait for the same */
	sync = export_sync_file(b.fd, true);
	must(try_import(other.fd, sync, true), "importing a sync_file");
	close(sync);
	assert_agree(&other, 0);
	waiter_start(&w, BY_POLL, other.fd, POLLIN);
	waiter_must_sleep(&w);
	fence_signal(&f);
	assert_woken(&w, POLLIN);
	assert_agree(&b, IN_OUT);
	assert_agree(&other, IN_OUT);
	buffer_close(&other);
	buffer_close(&b);
}

/*
 * Fences of a device: virtio-gpu answers within microseconds, but no fence of
 * it signals while its interrupt is held back.
 */

#define PCI_COMMAND		0x04
#define PCI_INTX_DISABLE	0x400
#define PCI_CAPABILITIES	0x34
#define PCI_CAP_MSIX		0x11
#define PCI_MSIX_ENABLE		0x8000
#define PCI_MSIX_MASKALL	0x4000

struct device {
	int drm;
	bool virgl;
	/* sysfs: the virtio device, and the configuration space it is behind */
	char path[PATH_MAX];
	int config;
	/* what holds the interrupt: this bit of the word at this place */
	unsigned int where;
	uint16_t bit;
};

static uint16_t config_word(struct device *d, unsigned int where)
{
	uint8_t word[2];

	igt_assert_eq(pread(d->config, word, sizeof(word), where), sizeof(word));
	return word[0] | word[1] << 8;
}

static void device_hold(struct device *d, bool hold)
{
	uint16_t word = config_word(d, d->where);
	uint8_t bytes[2];

	word = hold ? word | d->bit : word & ~d->bit;
	bytes[0] = word & 0xff;
	bytes[1] = word >> 8;
	igt_assert_eq(pwrite(d->config, bytes, sizeof(bytes), d->where), sizeof(bytes));
}

static void device_open(struct device *d, bool virgl)
{
	struct drm_virtgpu_getparam param = { .param = VIRTGPU_PARAM_3D_FEATURES };
	char path[PATH_MAX];
	uint32_t value = 0;
	unsigned int cap;
	struct stat st;

	memset(d, 0, sizeof(*d));
	d->drm = need_driver("virtio_gpu");
	d->virgl = virgl;
	param.value = (uintptr_t)&value;
	if (virgl)
		igt_require_f(!xioctl(d->drm, DRM_IOCTL_VIRTGPU_GETPARAM, &param) && value,
			      "this virtio-gpu has no virgl\n");

	igt_assert(!fstat(d->drm, &st));
	snprintf(path, sizeof(path), "/sys/dev/char/%u:%u/device",
		 major(st.st_rdev), minor(st.st_rdev));
	igt_require_f(realpath(path, d->path), "cannot find %s\n", path);
	/* some kernels name the PCI device here, others the virtio device */
	snprintf(path, sizeof(path), "%.4000s/config", d->path);
	d->config = open(path, O_RDWR | O_CLOEXEC);
	if (d->config < 0) {
		snprintf(path, sizeof(path), "%.4000s/../config", d->path);
		d->config = open(path, O_RDWR | O_CLOEXEC);
	}
	igt_require_f(d->config >= 0, "virtio-gpu is no PCI device whose interrupt could be held\n");

	d->where = PCI_COMMAND;
	d->bit = PCI_INTX_DISABLE;
	for (cap = config_word(d, PCI_CAPABILITIES) & 0xfc; cap;
	     cap = config_word(d, cap) >> 8 & 0xfc) {
		if ((config_word(d, cap) & 0xff) != PCI_CAP_MSIX ||
		    !(config_word(d, cap + 2) & PCI_MSIX_ENABLE))
			continue;
		d->where = cap + 2;
		d->bit = PCI_MSIX_MASKALL;
	}
}

static void device_close(struct device *d)
{
	close(d->config);
	close(d->drm);
}

/*
 * Hold the interrupt. One that has been sent before may still be on its way to
 * a CPU that the host has no time for: it has arrived, and what it set off has
 * run, once this thread has been there and slept.
 */
static void device_pause(struct device *d)
{
	cpu_set_t all, one;
	int cpu, round;

	sleep_ms(SETTLE_MS);
	device_hold(d, true);
	igt_assert(!sched_getaffinity(0, sizeof(all), &all));
	for (round = 0; round < 2; round++) {
		for (cpu = 0; cpu < CPU_SETSIZE; cpu++) {
			if (!CPU_ISSET(cpu, &all))
				continue;
			CPU_ZERO(&one);
			CPU_SET(cpu, &one);
			igt_assert(!sched_setaffinity(0, sizeof(one), &one));
			sleep_ms(SETTLE_MS / 4);
		}
	}
	igt_assert(!sched_setaffinity(0, sizeof(all), &all));
}

static void device_execute(struct device *d, uint32_t handle)
{
	uint32_t nop[4] = { 0 };
	struct drm_virtgpu_execbuffer exec = {
		.size = sizeof(nop),
		.command = (uintptr_t)nop,
		.bo_handles = (uintptr_t)&handle,
		.num_bo_handles = 1,
		.fence_fd = -1,
	};

	must(xioctl(d->drm, DRM_IOCTL_VIRTGPU_EXECBUFFER, &exec), "EXECBUFFER");
}

static void device_create(struct device *d, struct buffer *b)
{
	struct drm_virtgpu_resource_create create = {
		.target = 2,
		.format = 2,
		/* render target, which says nothing to 2D */
		.bind = d->virgl ? 2 : 0,
		.width = 16,
		.height = 16,
		.depth = 1,
		.array_size = 1,
		.size = 4096,
	};

	memset(b, 0, sizeof(*b));
	b->drm = d->drm;
	b->vgem = -1;
	must(xioctl(d->drm, DRM_IOCTL_VIRTGPU_RESOURCE_CREATE, &create), "creating a resource");
	b->handle = create.bo_handle;
	b->fd = export_handle(d->drm, b->handle);
	remember_inode(b);
}

/* Buffers with a fence of the device each, all pending. */
static void device_submit(struct device *d, struct buffer *b, int n)
{
	int i;

	/* with virgl the creation is not the thing to wait for */
	for (i = 0; d->virgl && i < n; i++) {
		device_create(d, &b[i]);
		wait_idle(b[i].fd);
	}
	device_pause(d);
	for (i = 0; i < n; i++) {
		if (d->virgl)
			device_execute(d, b[i].handle);
		else
			device_create(d, &b[i]);
	}
	sleep_ms(SETTLE_MS);
	for (i = 0; i < n; i++) {
		if (ready(b[i].fd, IN_OUT))
			device_hold(d, false);
		igt_assert_f(!ready(b[i].fd, IN_OUT),
			     "buffer %d is ready while the device is held\n", i);
	}
}

static void device_buffer_close(struct buffer *b)
{
	buffer_close_handles(b);
	buffer_close_fd(b);
}

static void test_fence(bool virgl)
{
	struct buffer b;
	struct waiter w;
	struct device d;
	int how, again;

	device_open(&d, virgl);
	for (how = 0; how < HOWS; how++) {
		device_submit(&d, &b, 1);
		/* several EXECBUFFERs, one buffer */
		for (again = 0; virgl && again < 3; again++)
			device_execute(&d, b.handle);
		waiter_start(&w, how, b.fd, IN_OUT);
		waiter_must_sleep(&w);
		device_hold(&d, false);
		assert_woken(&w, IN_OUT);
		igt_assert_f(w.sleeps == 1, "woken %ld times\n", w.sleeps);
		assert_ready(b.fd, IN_OUT);
		device_buffer_close(&b);
	}
	device_close(&d);
}

static void test_fences(bool virgl)
{
	struct buffer b[4];
	struct waiter w[4];
	struct device d;
	int i, k, last;

	device_open(&d, virgl);
	for (last = 0; last < ARRAY_SIZE(b); last++) {
		device_submit(&d, b, ARRAY_SIZE(b));
		for (i = 0; i < ARRAY_SIZE(b); i++)
			waiter_start(&w[i], i % HOWS, b[i].fd, POLLIN);
		for (i = 0; i < ARRAY_SIZE(b); i++)
			waiter_must_sleep(&w[i]);
		device_hold(&d, false);
		/* whoever is told of one may rely on all that were before it */
		assert_woken(&w[last], POLLIN);
		for (k = 0; k <= last; k++)
			assert_ready(b[k].fd, IN_OUT);
		for (i = 0; i < ARRAY_SIZE(b); i++) {
			if (i != last)
				assert_woken(&w[i], POLLIN);
			device_buffer_close(&b[i]);
		}
	}
	device_close(&d);
}

static void test_fence_close(bool virgl)
{
	struct device d;
	struct buffer b;

	device_open(&d, virgl);
	device_submit(&d, &b, 1);
	device_buffer_close(&b);
	if (buffer_exists(&b))
		device_hold(&d, false);
	igt_assert_f(!buffer_exists(&b), "the last close has not freed the buffer\n");
	device_hold(&d, false);
	sleep_ms(SETTLE_MS);
	/* the device goes on working */
	device_create(&d, &b);
	wait_idle(b.fd);
	device_buffer_close(&b);
	device_close(&d);
}

static void write_file(const char *dir, const char *name, const char *text)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%.3000s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	igt_require_f(fd >= 0, "cannot write to %s: %s\n", path, strerror(errno));
	igt_assert_f(write(fd, text, strlen(text)) > 0, "%s: %s\n", path, strerror(errno));
	close(fd);
}

static void test_fence_unbind(bool virgl)
{
	char link[PATH_MAX], driver[PATH_MAX];
	const char *name;
	struct device d;
	struct buffer b;
	struct waiter w;
	int i;

	/* a buffer that outlives its device is leaked by virtio-gpu */
	igt_require_f(access("/sys/kernel/debug/kmemleak", F_OK),
		      "kmemleak would find what virtio-gpu leaks here\n");
	device_open(&d, virgl);
	snprintf(link, sizeof(link), "%.4000s/driver", d.path);
	igt_require(realpath(link, driver));
	name = strrchr(d.path, '/') + 1;

	device_submit(&d, &b, 1);
	waiter_start(&w, BY_POLL, b.fd, IN_OUT);
	waiter_must_sleep(&w);
	write_file(driver, "unbind", name);
	device_hold(&d, false);
	/* its event, or none: it may not have got one that is not there */
	for (i = 0; i < GIVE_UP_MS / SETTLE_MS && !atomic_load(&w.done); i++)
		sleep_ms(SETTLE_MS);
	waiter_join(&w);
	igt_info("the poller got %#x\n", w.revents);
	igt_assert_eq(ready(b.fd, IN_OUT), w.revents);
	close(b.fd);
	device_close(&d);

	write_file(driver, "bind", name);
	device_open(&d, virgl);
	device_create(&d, &b);
	wait_idle(b.fd);
	device_buffer_close(&b);
	device_close(&d);
}

static const struct {
	const char *name;
	void (*run)(enum exporter exporter);
	const char *description;
} tests[] = {
	{ "read", test_read,
	  "A pending read leaves the buffer readable, and not writable" },
	{ "write", test_write,
	  "A pending write leaves the buffer neither readable nor writable" },
	{ "mixed", test_mixed,
	  "Reads and writes together, signaled in any order" },
	{ "poll", test_poll,
	  "A sleeping poll() is woken when its fences have signaled" },
	{ "select", test_select,
	  "A sleeping select() is woken when its fences have signaled" },
	{ "epoll", test_epoll,
	  "Level-triggered epoll reports a buffer for as long as it is ready" },
	{ "epoll-et", test_epoll_et,
	  "Edge-triggered epoll reports each completion once, and an idle buffer once" },
	{ "epoll-oneshot", test_epoll_oneshot,
	  "One-shot epoll reports a buffer once until it is armed again" },
	{ "names", test_names,
	  "POLLRDNORM goes with POLLIN, POLLWRNORM with POLLOUT" },
	{ "wakeups", test_wakeups,
	  "Whoever waits for many fences is woken once" },
	{ "waiters", test_waiters,
	  "Several sleepers of every kind are all woken, and none too early" },
	{ "close-pending", test_close_pending,
	  "The last close frees a buffer whose fences are pending, also after it was polled" },
	{ "close-polling", test_close_polling,
	  "Closing the file descriptor does not lose whoever sleeps on it" },
	{ "handle-close", test_handle_close,
	  "Closing the GEM handles does not lose whoever sleeps on the dma-buf" },
	{ "kill", test_kill,
	  "A process that is killed while it polls leaves nothing behind" },
	{ "hang", test_hang,
	  "Whoever waits for a fence that its driver gives up on is woken" },
	{ "import", test_import,
	  "Importing the buffer again and again disturbs nobody" },
	{ "sync-file", test_sync_file,
	  "A sync_file exported from the buffer and poll agree" },
	{ "sync-file-import", test_sync_file_import,
	  "A fence that comes in through a sync_file counts for poll as its flags say" },
};

static const struct {
	const char *name;
	void (*run)(bool virgl);
	const char *description;
} device_tests[] = {
	{ "fence", test_fence,
	  "A fence of the device is waited for, and wakes once" },
	{ "fences", test_fences,
	  "Buffers become ready in the order in which the device was asked" },
	{ "fence-close", test_fence_close,
	  "The last close frees a buffer that the device is working on" },
	{ "fence-unbind", test_fence_unbind,
	  "Taking the driver from the device while somebody polls crashes nothing" },
};

int igt_main()
{
	int exporter, virgl, i;

	igt_fixture()
		debugfs = igt_debugfs_mount();

	for (exporter = 0; exporter < EXPORTERS; exporter++) {
		for (i = 0; i < ARRAY_SIZE(tests); i++) {
			igt_describe(tests[i].description);
			igt_subtest_f("%s-%s", exporter_names[exporter], tests[i].name)
				tests[i].run(exporter);
		}
	}

	for (i = 0; i < ARRAY_SIZE(device_tests); i++) {
		for (virgl = 0; virgl < 2; virgl++) {
			igt_describe(device_tests[i].description);
			igt_subtest_f("virtio-%s-%s", virgl ? "3d" : "2d", device_tests[i].name)
				device_tests[i].run(virgl);
		}
	}
}
