// SPDX-License-Identifier: MIT
/*
 * What poll(), epoll and aio may expect of a dma-buf.
 */

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include <linux/aio_abi.h>
#include <linux/dma-buf.h>
#include <linux/pci_regs.h>

#include "igt.h"
#include "dmabuf_sync_file.h"
#include "igt_vgem.h"
#include "sw_sync.h"

#include "drm.h"
#include "drm_mode.h"
#include "virtgpu_drm.h"

/**
 * TEST: dmabuf poll
 * Category: Core
 * Mega feature: General Core features
 * Sub-category: dmabuf
 * Description: Waiting for the implicit fences of a dma-buf with poll, epoll and
 *		aio, on buffers and fences of drivers. Not tested again: what poll
 *		says with a timeout of 0, and whether sync_files agree
 *		(dmabuf_sync_file, vgem_basic, prime_vgem, amd_prime); that it
 *		sleeps until a GPU is done (vc4_dmabuf_poll, prime_vgem@wait,
 *		prime_busy) or has hung (vgem_slow, prime_busy). What is the same
 *		for all drivers is tested in the kernel's own
 *		tools/testing/selftests/dma-buf: reads and writes together in any
 *		order, merged and replaced fences, select, io_uring, names of events.
 * Functionality: dmabuf poll
 *
 * SUBTEST: %s-poll
 * Description: poll() sleeps until its fences have signaled, whatever it asks for
 *
 * SUBTEST: %s-epoll
 * Description: Level-triggered epoll reports a buffer for as long as it is ready
 *
 * SUBTEST: %s-epoll-et
 * Description: Edge-triggered epoll reports a completion and an idle buffer once
 *
 * SUBTEST: %s-epoll-oneshot
 * Description: One-shot epoll reports a buffer once until it is armed again
 *
 * SUBTEST: %s-aio
 * Description: A request of aio completes once its fences have signaled
 *
 * SUBTEST: %s-pending
 * Description: A buffer that is never idle is never reported as ready
 *
 * SUBTEST: %s-wakeups
 * Description: Whoever waits for many fences is woken once
 *
 * SUBTEST: %s-close-pending
 * Description: The last close frees a buffer that was polled, fences pending
 *
 * SUBTEST: %s-frames
 * Description: Client, compositor and GPU hand buffers on, neither too early nor never
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
 * SUBTEST: %s-fence-close
 * Description: The last close frees a buffer that the device is working on
 *
 * arg[1]:
 *
 * @virtio-2d:	virtio-gpu, the creation of a resource
 * @virtio-3d:	virtio-gpu, commands for virgl
 */

IGT_TEST_DESCRIPTION("Waiting for the implicit fences of a dma-buf with poll, epoll and aio");

/* Something that must not happen is given this long to happen. */
#define SETTLE_MS	20
/* Something that must happen has failed to after this long; vgem takes 10 s. */
#define GIVE_UP_MS	20000

#define IN_OUT		(POLLIN | POLLOUT)

enum exporter { VGEM, VIRTIO, VIRTIO_VGEM, EXPORTERS };

static const char * const exporter_names[] = { "vgem", "virtio", "virtio-vgem" };

struct buffer {
	int fd;
	ino_t ino;
	/* whose buffer it is */
	int drm;
	uint32_t handle;
	/* where its fences come from, or -1 */
	int vgem;
	struct vgem_bo bo;
};

struct fence {
	int timeline;
	int vgem;
	uint32_t id;
};

static void must(int ret, const char *what)
{
	igt_assert_f(ret >= 0, "%s failed: %s\n", what, strerror(errno));
}

static void sleep_ms(int ms)
{
	usleep(ms * 1000);
}

/* drm_open_driver() opens any driver that is allowed: here it must be this one. */
static int need_driver(const char *name)
{
	char path[32];
	int i, fd;

	for (i = 0; i < 64; i++) {
		char driver[32] = "";
		struct drm_version version = { .name = driver, .name_len = sizeof(driver) - 1 };

		snprintf(path, sizeof(path), "/dev/dri/card%d", i);
		fd = open(path, O_RDWR | O_CLOEXEC);
		if (!igt_ioctl(fd, DRM_IOCTL_VERSION, &version) && !strcmp(driver, name))
			return fd;
		close(fd);
	}

	igt_skip("there is no card of %s\n", name);
	return -1;
}

/*
 * Buffers
 */

static short ready(int fd, short events)
{
	struct pollfd pfd = { .fd = fd, .events = events };

	must(poll(&pfd, 1, 0), "poll");
	return pfd.revents;
}

static void assert_ready(int fd, short events)
{
	igt_assert_eq(ready(fd, IN_OUT), events);
	igt_assert_eq(ready(fd, POLLIN), events & POLLIN);
	igt_assert_eq(ready(fd, POLLOUT), events & POLLOUT);
}

static bool becomes_ready(int fd, short events)
{
	struct pollfd pfd = { .fd = fd, .events = events };

	return poll(&pfd, 1, GIVE_UP_MS) == 1;
}

static void export_buffer(struct buffer *b)
{
	struct stat st;

	b->fd = prime_handle_to_fd_for_mmap(b->drm, b->handle);
	igt_assert(!fstat(b->fd, &st));
	b->ino = st.st_ino;
}

static void buffer_open(struct buffer *b, enum exporter exporter)
{
	*b = (struct buffer) {
		.drm = need_driver(exporter == VGEM ? "vgem" : "virtio_gpu"),
		.vgem = exporter == VIRTIO_VGEM ? need_driver("vgem") : -1,
	};
	b->handle = kmstest_dumb_create(b->drm, 16, 16, 32, NULL, NULL);
	export_buffer(b);
	igt_assert(becomes_ready(b->fd, POLLOUT));

	if (exporter == VGEM) {
		b->vgem = b->drm;
		b->bo.handle = b->handle;
	} else if (exporter == VIRTIO_VGEM) {
		b->bo.handle = prime_fd_to_handle(b->vgem, b->fd);
	}
}

/* All that keeps the buffer alive, but not the fences of vgem. */
static void buffer_free(struct buffer *b)
{
	if (b->fd < 0)
		return;
	if (b->bo.handle && b->vgem != b->drm)
		gem_close(b->vgem, b->bo.handle);
	gem_close(b->drm, b->handle);
	close(b->fd);
	b->fd = -1;
}

static void buffer_close(struct buffer *b)
{
	buffer_free(b);
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

	snprintf(path, sizeof(path), "%s/dma_buf/bufinfo", igt_debugfs_mount());
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

/* Any number of any kind on one buffer. */
static void require_sync_files(int fd)
{
	struct dma_buf_import_sync_file arg = { .flags = DMA_BUF_SYNC_WRITE, .fd = -1 };

	/* Whoever knows the ioctl complains about the descriptor. */
	igt_require_f(igt_ioctl(fd, DMA_BUF_IOCTL_IMPORT_SYNC_FILE, &arg) && errno != ENOTTY,
		      "this kernel imports no sync_file into a dma-buf\n");
	igt_require_sw_sync();
}

static void fence_import(struct buffer *b, struct fence *f, bool write)
{
	f->vgem = -1;
	f->timeline = sw_sync_timeline_create();
	dmabuf_import_timeline_fence(b->fd, write ? DMA_BUF_SYNC_WRITE : DMA_BUF_SYNC_READ,
				     f->timeline, 1);
}

/* A fence as the driver attaches it, where there is one that does. */
static void fence_attach(struct buffer *b, struct fence *f, bool write)
{
	if (b->vgem >= 0) {
		f->vgem = b->vgem;
		f->id = vgem_fence_attach(b->vgem, &b->bo, write ? VGEM_FENCE_WRITE : 0);
	} else {
		require_sync_files(b->fd);
		fence_import(b, f, write);
	}
}

static void fence_signal(struct fence *f)
{
	if (f->vgem >= 0) {
		vgem_fence_signal(f->vgem, f->id);
	} else {
		sw_sync_timeline_inc(f->timeline, 1);
		close(f->timeline);
	}
}

/*
 * Waiting
 */

enum how {
	BY_POLL,
	BY_EPOLL,
	BY_EPOLL_ET,
	BY_EPOLL_ONESHOT,
	BY_AIO,
	HOWS,
};

static const char * const how_names[] = { "poll", "epoll", "epoll-et", "epoll-oneshot", "aio" };

/* What is in the kernel between two waits. */
struct watch {
	enum how how;
	int fd;
	short events;
	int ep;
	aio_context_t aio;
	bool submitted;
};

static void watch_epoll(struct watch *w, int op)
{
	struct epoll_event event = {
		.events = w->events | (w->how == BY_EPOLL_ET ? EPOLLET :
				       w->how == BY_EPOLL_ONESHOT ? EPOLLONESHOT : 0),
	};

	must(epoll_ctl(w->ep, op, w->fd, &event), "epoll_ctl");
}

static void watch_open(struct watch *w, enum how how, int fd, short events)
{
	*w = (struct watch) { .how = how, .fd = fd, .events = events, .ep = -1 };
	if (how == BY_AIO) {
		must(syscall(SYS_io_setup, 1, &w->aio), "io_setup");
	} else if (how != BY_POLL) {
		w->ep = epoll_create1(EPOLL_CLOEXEC);
		watch_epoll(w, EPOLL_CTL_ADD);
	}
}

/* A request that is pending is cancelled. */
static void watch_close(struct watch *w)
{
	if (w->ep >= 0)
		close(w->ep);
	if (w->how == BY_AIO)
		syscall(SYS_io_destroy, w->aio);
}

static short wait_aio(struct watch *w, int timeout)
{
	struct timespec ts = { timeout / 1000, timeout % 1000 * 1000000L };
	struct iocb request = {
		.aio_lio_opcode = IOCB_CMD_POLL,
		.aio_fildes = w->fd,
		.aio_buf = w->events,
	}, *requests = &request;
	struct io_event event;

	if (!w->submitted)
		must(syscall(SYS_io_submit, w->aio, 1, &requests), "io_submit");
	w->submitted = syscall(SYS_io_getevents, w->aio, 1, 1, &event, &ts) != 1;
	return w->submitted ? 0 : event.res;
}

/* The events that are ready, or 0 if none are in time. */
static short watch_wait(struct watch *w, int timeout)
{
	struct pollfd pfd = { .fd = w->fd, .events = w->events };
	struct epoll_event event;

	if (w->ep >= 0)
		return epoll_wait(w->ep, &event, 1, timeout) == 1 ? event.events : 0;
	if (w->how == BY_AIO)
		return wait_aio(w, timeout);
	return poll(&pfd, 1, timeout) == 1 ? pfd.revents : 0;
}

/* How often in a row there is something to report. */
static int watch_drain(struct watch *w, int rounds)
{
	int n;

	for (n = 0; n < rounds && watch_wait(w, 0); n++)
		;
	return n;
}

/* A thread that sleeps until its events are there. */
struct waiter {
	pthread_t thread;
	struct watch watch;
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
	w->revents = watch_wait(&w->watch, GIVE_UP_MS);
	getrusage(RUSAGE_THREAD, &after);
	w->sleeps = after.ru_nvcsw - before.ru_nvcsw;
	atomic_store(&w->done, true);
	return NULL;
}

static bool is_asleep(int tid)
{
	char path[64], state = '?';
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	f = fopen(path, "r");
	if (f && fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
		state = '?';
	if (f)
		fclose(f);
	return state == 'S';
}

static void waiter_start(struct waiter *w, enum how how, int fd, short events)
{
	int seen = 0, tries, tid;

	memset(w, 0, sizeof(*w));
	watch_open(&w->watch, how, fd, events);
	igt_assert(!pthread_create(&w->thread, NULL, waiter_main, w));

	for (tries = 0; tries < GIVE_UP_MS && seen < 3; tries++) {
		tid = atomic_load(&w->tid);
		seen = tid && is_asleep(tid) ? seen + 1 : 0;
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

static void assert_woken(struct waiter *w, short events)
{
	pthread_join(w->thread, NULL);
	watch_close(&w->watch);
	igt_assert_f(w->revents == events, "%s: %s, with %#x instead of %#x\n",
		     how_names[w->watch.how], w->revents ? "woken" : "never woken",
		     w->revents, events);
}

/*
 * The tests on every exporter
 */

static void test_how(enum exporter exporter, enum how how)
{
	/* a fence, what is ready meanwhile, and what is waited for */
	static const struct {
		bool write;
		short before, asks;
	} waits[] = {
		{ false, POLLIN, POLLOUT },
		{ true, 0, POLLIN },
		{ true, 0, IN_OUT },
	};
	/* of a hundred looks at a buffer that is ready how many say so */
	int reports = how == BY_EPOLL_ET || how == BY_EPOLL_ONESHOT ? 1 : 100, i;
	struct waiter waiter;
	struct watch w;
	struct buffer b;
	struct fence f;

	buffer_open(&b, exporter);
	for (i = 0; i < ARRAY_SIZE(waits); i++) {
		fence_attach(&b, &f, waits[i].write);
		assert_ready(b.fd, waits[i].before);
		waiter_start(&waiter, how, b.fd, waits[i].asks);
		waiter_must_sleep(&waiter);
		fence_signal(&f);
		assert_woken(&waiter, waits[i].asks);
		assert_ready(b.fd, IN_OUT);
	}

	watch_open(&w, how, b.fd, IN_OUT);
	i = watch_drain(&w, 100);
	igt_assert_f(i == reports, "%d reports of an idle buffer, not %d\n", i, reports);
	/* whoever has seen the buffer busy is told of its completion */
	fence_attach(&b, &f, true);
	if (how == BY_EPOLL_ONESHOT)
		watch_epoll(&w, EPOLL_CTL_MOD);
	assert_ready(b.fd, 0);
	igt_assert_eq(watch_drain(&w, 100), 0);
	fence_signal(&f);
	igt_assert_eq(watch_wait(&w, GIVE_UP_MS), IN_OUT);
	igt_assert_eq(watch_drain(&w, 99), reports - 1);
	watch_close(&w);
	buffer_close(&b);
}

/*
 * Never idle: the next fence is always there before the last one signals.
 */

struct looker {
	pthread_t thread;
	enum how how;
	int fd;
	atomic_long looks, ready;
};

static atomic_bool stop;

static void *looker_main(void *arg)
{
	struct looker *l = arg;
	struct watch w;

	/* every other time long enough for some fences to come and go meanwhile */
	for (; !stop; l->looks++) {
		watch_open(&w, l->how, l->fd, POLLOUT);
		l->ready += !!watch_wait(&w, l->looks & 1 ? 10 : 0);
		watch_close(&w);
	}
	return NULL;
}

static void test_pending(enum exporter exporter, enum how unused)
{
	struct looker l[HOWS] = {};
	struct timespec start = {};
	struct fence f[2];
	struct buffer b;
	int how, n, slow = 0;

	buffer_open(&b, exporter);
	fence_attach(&b, &f[0], false);
	stop = false;
	for (how = 0; how < HOWS; how++) {
		l[how].how = how;
		l[how].fd = b.fd;
		igt_assert(!pthread_create(&l[how].thread, NULL, looker_main, &l[how]));
	}
	/* for three seconds, and until each way has looked often enough */
	for (n = 1; igt_seconds_elapsed(&start) < (slow < HOWS ? 30 : 3); n++) {
		fence_attach(&b, &f[n & 1], false);
		fence_signal(&f[!(n & 1)]);
		slow += slow < HOWS && l[slow].looks >= 20;
	}
	stop = true;
	for (how = 0; how < HOWS; how++)
		pthread_join(l[how].thread, NULL);
	fence_signal(&f[!(n & 1)]);

	for (how = 0; how < HOWS; how++)
		igt_assert_f(!l[how].ready && l[how].looks >= 20,
			     "%s: ready in %ld of %ld looks while %d fences followed each other\n",
			     how_names[how], l[how].ready, l[how].looks, n);
	assert_ready(b.fd, IN_OUT);
	buffer_close(&b);
}

static void test_wakeups(enum exporter exporter, enum how unused)
{
	struct fence f[16];
	struct waiter w;
	struct buffer b;
	int n, i, how;

	buffer_open(&b, exporter);
	for (how = 0; how < HOWS; how++) {
		for (n = 1; n <= ARRAY_SIZE(f); n *= 4) {
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
			igt_assert_f(w.sleeps == 1, "%s: woken %ld times for %d fences\n",
				     how_names[how], w.sleeps, n);
		}
	}
	buffer_close(&b);
}

static void test_close_pending(enum exporter exporter, enum how unused)
{
	struct buffer b;
	struct fence f;
	struct watch w;

	buffer_open(&b, exporter);
	fence_attach(&b, &f, true);
	assert_ready(b.fd, 0);
	watch_open(&w, BY_EPOLL, b.fd, IN_OUT);
	igt_assert_eq(watch_wait(&w, 0), 0);
	igt_assert(buffer_exists(&b));
	buffer_free(&b);
	igt_assert_f(!buffer_exists(&b), "the last close has not freed the buffer\n");
	igt_assert_eq(watch_wait(&w, SETTLE_MS), 0);
	/* and it is nobody any more whom this could wake */
	fence_signal(&f);
	igt_assert_eq(watch_wait(&w, SETTLE_MS), 0);
	watch_close(&w);
	buffer_close(&b);
}

/*
 * Frames: the client waits until it may write, the compositor until it may read
 * and then shows the buffer, and the GPU signals the writes. Pipes carry buffers
 * from one to the other.
 */

#define FRAMES		60
#define SWAPCHAIN	3
#define FRAME_FENCES	4

struct swap_buffer {
	struct buffer b;
	struct fence writes[FRAME_FENCES], read;
	atomic_int writes_left;
	atomic_bool shown;
};

static struct swapchain {
	struct swap_buffer buffers[SWAPCHAIN];
	int client[2], compositor[2], gpu[2];
	/* what went wrong first */
	_Atomic(const char *) trouble;
} chain;

static void trouble(const char *what)
{
	const char *none = NULL;

	atomic_compare_exchange_strong(&chain.trouble, &none, what);
}

static void tell(const int pipe[2], char buffer)
{
	if (write(pipe[1], &buffer, 1) != 1)
		trouble("a pipe is broken");
}

static struct swap_buffer *hear(const int pipe[2])
{
	char buffer;

	if (!chain.trouble && becomes_ready(pipe[0], POLLIN) && read(pipe[0], &buffer, 1) == 1)
		return &chain.buffers[(int)buffer];
	trouble("nothing moves any more");
	return NULL;
}

static void *gpu_main(void *arg)
{
	struct swap_buffer *s;
	int n, i;

	for (n = 0; n < FRAMES && (s = hear(chain.gpu)); n++) {
		for (i = 0; i < FRAME_FENCES; i++) {
			usleep(500);
			atomic_fetch_sub(&s->writes_left, 1);
			/* every other frame in reverse */
			fence_signal(&s->writes[n & 1 ? FRAME_FENCES - 1 - i : i]);
		}
	}
	return NULL;
}

static void *compositor_main(void *arg)
{
	struct swap_buffer *s, *screen = NULL;
	int n;

	for (n = 0; n < FRAMES && (s = hear(chain.compositor)); n++) {
		if (!becomes_ready(s->b.fd, POLLIN))
			trouble("the compositor is not woken");
		if (atomic_load(&s->writes_left))
			trouble("a frame is shown before all its fences have signaled");
		atomic_store(&s->shown, true);
		fence_attach(&s->b, &s->read, false);
		tell(chain.client, s - chain.buffers);
		sleep_ms(1);
		/* now the last one leaves the screen */
		if (screen) {
			atomic_store(&screen->shown, false);
			fence_signal(&screen->read);
		}
		screen = s;
	}
	if (screen)
		fence_signal(&screen->read);
	return NULL;
}

/* Waits for all its buffers at once, and for what it is told. */
static void run_client(void)
{
	struct pollfd pfds[SWAPCHAIN + 1];
	struct swap_buffer *s;
	int n = 0, i, k;

	for (i = 0; i < SWAPCHAIN; i++)
		pfds[i] = (struct pollfd) { .fd = chain.buffers[i].b.fd, .events = POLLOUT };
	pfds[i] = (struct pollfd) { .fd = chain.client[0], .events = POLLIN };

	while (n < FRAMES && !chain.trouble) {
		if (poll(pfds, SWAPCHAIN + 1, GIVE_UP_MS) <= 0)
			trouble("the client is not woken");
		if (pfds[SWAPCHAIN].revents && (s = hear(chain.client)))
			pfds[s - chain.buffers].fd = s->b.fd;
		for (i = 0; i < SWAPCHAIN && !pfds[i].revents; i++)
			;
		if (i == SWAPCHAIN)
			continue;

		s = &chain.buffers[i];
		pfds[i].fd = -1;
		if (atomic_load(&s->shown) || atomic_load(&s->writes_left))
			trouble("the client got a buffer that is in use");
		atomic_store(&s->writes_left, FRAME_FENCES);
		for (k = 0; k < FRAME_FENCES; k++)
			fence_import(&s->b, &s->writes[k], true);
		tell(chain.gpu, i);
		tell(chain.compositor, i);
		n++;
	}
}

static void test_frames(enum exporter exporter, enum how unused)
{
	int *pipes[] = { chain.client, chain.compositor, chain.gpu };
	pthread_t gpu, compositor;
	int i;

	memset(&chain, 0, sizeof(chain));
	for (i = 0; i < SWAPCHAIN; i++)
		buffer_open(&chain.buffers[i].b, exporter);
	require_sync_files(chain.buffers[0].b.fd);
	for (i = 0; i < ARRAY_SIZE(pipes); i++)
		igt_assert(!pipe(pipes[i]));
	igt_assert(!pthread_create(&gpu, NULL, gpu_main, NULL));
	igt_assert(!pthread_create(&compositor, NULL, compositor_main, NULL));
	run_client();
	pthread_join(gpu, NULL);
	pthread_join(compositor, NULL);
	igt_assert_f(!chain.trouble, "%s\n", chain.trouble);

	for (i = 0; i < ARRAY_SIZE(pipes); i++) {
		close(pipes[i][0]);
		close(pipes[i][1]);
	}
	for (i = 0; i < SWAPCHAIN; i++) {
		assert_ready(chain.buffers[i].b.fd, IN_OUT);
		buffer_close(&chain.buffers[i].b);
	}
}

/*
 * Fences of a device: virtio-gpu answers within microseconds, but no fence of
 * it signals while its interrupt is held back.
 */

struct device {
	int drm;
	bool virgl;
	/* its PCI configuration space, and what holds its interrupt there */
	int config;
	unsigned int where;
	uint16_t bit;
};

static uint16_t config_word(struct device *d, unsigned int where)
{
	uint16_t word;

	igt_assert_eq(pread(d->config, &word, sizeof(word), where), sizeof(word));
	return le16toh(word);
}

static void device_hold(struct device *d, bool hold)
{
	uint16_t word = config_word(d, d->where);

	word = htole16(hold ? word | d->bit : word & ~d->bit);
	igt_assert_eq(pwrite(d->config, &word, sizeof(word), d->where), sizeof(word));
}

static void device_open(struct device *d, bool virgl)
{
	uint32_t value = 0;
	struct drm_virtgpu_getparam param = {
		.param = VIRTGPU_PARAM_3D_FEATURES, .value = (uintptr_t)&value,
	};
	unsigned int cap, i;
	struct stat st;
	char path[64];

	*d = (struct device) { .drm = need_driver("virtio_gpu"), .virgl = virgl };
	if (virgl)
		igt_require_f(!igt_ioctl(d->drm, DRM_IOCTL_VIRTGPU_GETPARAM, &param) && value,
			      "this virtio-gpu has no virgl\n");

	/* some kernels name the PCI device here, others the virtio device */
	igt_assert(!fstat(d->drm, &st));
	for (i = 0, d->config = -1; i < 2 && d->config < 0; i++) {
		snprintf(path, sizeof(path), "/sys/dev/char/%u:%u/device/%sconfig",
			 major(st.st_rdev), minor(st.st_rdev), i ? "../" : "");
		d->config = open(path, O_RDWR | O_CLOEXEC);
	}
	igt_require_f(d->config >= 0, "virtio-gpu is no PCI device whose interrupt could be held\n");

	d->where = PCI_COMMAND;
	d->bit = PCI_COMMAND_INTX_DISABLE;
	for (cap = config_word(d, PCI_CAPABILITY_LIST) & 0xfc; cap;
	     cap = config_word(d, cap) >> 8 & 0xfc) {
		if ((config_word(d, cap) & 0xff) != PCI_CAP_ID_MSIX ||
		    !(config_word(d, cap + 2) & PCI_MSIX_FLAGS_ENABLE))
			continue;
		d->where = cap + 2;
		d->bit = PCI_MSIX_FLAGS_MASKALL;
	}
}

/*
 * Hold the interrupt. One that has been sent before may still be on its way to
 * a CPU that the host has no time for: it has arrived, and what it set off has
 * run, once this thread has been there and slept.
 */
static void device_pause(struct device *d)
{
	cpu_set_t all, one;
	int n;

	sleep_ms(SETTLE_MS);
	device_hold(d, true);
	igt_assert(!sched_getaffinity(0, sizeof(all), &all));
	/* twice */
	for (n = 0; n < 2 * CPU_SETSIZE; n++) {
		if (!CPU_ISSET(n % CPU_SETSIZE, &all))
			continue;
		CPU_ZERO(&one);
		CPU_SET(n % CPU_SETSIZE, &one);
		igt_assert(!sched_setaffinity(0, sizeof(one), &one));
		sleep_ms(SETTLE_MS / 4);
	}
	igt_assert(!sched_setaffinity(0, sizeof(all), &all));
}

static void device_execute(struct device *d, uint32_t handle)
{
	uint32_t nop[4] = { 0 };
	struct drm_virtgpu_execbuffer exec = {
		.size = sizeof(nop), .command = (uintptr_t)nop,
		.bo_handles = (uintptr_t)&handle, .num_bo_handles = 1,
		.fence_fd = -1,
	};

	must(igt_ioctl(d->drm, DRM_IOCTL_VIRTGPU_EXECBUFFER, &exec), "EXECBUFFER");
}

static void device_create(struct device *d, struct buffer *b)
{
	struct drm_virtgpu_resource_create create = {
		.target = 2, .format = 2,
		/* render target, which says nothing to 2D */
		.bind = d->virgl ? 2 : 0,
		.width = 16, .height = 16, .depth = 1, .array_size = 1, .size = 4096,
	};

	*b = (struct buffer) { .drm = d->drm, .vgem = -1 };
	must(igt_ioctl(d->drm, DRM_IOCTL_VIRTGPU_RESOURCE_CREATE, &create), "creating a resource");
	b->handle = create.bo_handle;
	export_buffer(b);
}

/* A buffer with a fence of the device, pending. */
static void device_submit(struct device *d, struct buffer *b)
{
	/* with virgl the creation is not the thing to wait for */
	if (d->virgl) {
		device_create(d, b);
		igt_assert(becomes_ready(b->fd, POLLOUT));
	}
	device_pause(d);
	if (d->virgl)
		device_execute(d, b->handle);
	else
		device_create(d, b);
	sleep_ms(SETTLE_MS);
	if (ready(b->fd, IN_OUT)) {
		device_hold(d, false);
		igt_assert_f(false, "the buffer is ready while the device is held\n");
	}
}

static void test_fence(bool virgl)
{
	struct buffer b;
	struct waiter w;
	struct device d;
	int how;

	device_open(&d, virgl);
	for (how = 0; how < HOWS; how++) {
		device_submit(&d, &b);
		waiter_start(&w, how, b.fd, IN_OUT);
		waiter_must_sleep(&w);
		device_hold(&d, false);
		assert_woken(&w, IN_OUT);
		igt_assert_f(w.sleeps == 1, "woken %ld times\n", w.sleeps);
		assert_ready(b.fd, IN_OUT);
		buffer_free(&b);
	}
	close(d.config);
	close(d.drm);
}

static void test_fence_close(bool virgl)
{
	struct device d;
	struct buffer b;
	bool freed;

	device_open(&d, virgl);
	device_submit(&d, &b);
	buffer_free(&b);
	freed = !buffer_exists(&b);
	device_hold(&d, false);
	igt_assert_f(freed, "the last close has not freed the buffer\n");
	sleep_ms(SETTLE_MS);
	/* the device goes on working */
	device_create(&d, &b);
	igt_assert(becomes_ready(b.fd, POLLOUT));
	buffer_free(&b);
	close(d.config);
	close(d.drm);
}

static const struct {
	const char *name;
	void (*run)(enum exporter exporter, enum how how);
	enum how how;
} tests[] = {
	{ "poll", test_how, BY_POLL },
	{ "epoll", test_how, BY_EPOLL },
	{ "epoll-et", test_how, BY_EPOLL_ET },
	{ "epoll-oneshot", test_how, BY_EPOLL_ONESHOT },
	{ "aio", test_how, BY_AIO },
	{ .name = "pending", .run = test_pending },
	{ .name = "wakeups", .run = test_wakeups },
	{ .name = "close-pending", .run = test_close_pending },
	{ .name = "frames", .run = test_frames },
};

static const struct {
	const char *name;
	void (*run)(bool virgl);
} device_tests[] = {
	{ "fence", test_fence },
	{ "fence-close", test_fence_close },
};

int igt_main()
{
	int exporter, virgl, i;

	for (exporter = 0; exporter < EXPORTERS; exporter++) {
		for (i = 0; i < ARRAY_SIZE(tests); i++) {
			igt_subtest_f("%s-%s", exporter_names[exporter], tests[i].name)
				tests[i].run(exporter, tests[i].how);
		}
	}

	for (i = 0; i < ARRAY_SIZE(device_tests); i++) {
		for (virgl = 0; virgl < 2; virgl++) {
			igt_subtest_f("virtio-%s-%s", virgl ? "3d" : "2d", device_tests[i].name)
				device_tests[i].run(virgl);
		}
	}
}
