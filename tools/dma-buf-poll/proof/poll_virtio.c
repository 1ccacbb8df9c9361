// SPDX-License-Identifier: GPL-2.0
/*
 * poll() on buffers that a device is working on: virtio-gpu.
 *
 * Its fences are signaled by its interrupt, microseconds after it was asked for
 * something. While the interrupt is held back at the PCI device they stay
 * pending, and nothing is lost: it comes when it is let go. So a test holds it,
 * submits, looks and waits as it likes, and lets it go.
 *
 * The variants of the fixtures are 2D, where the creation of a resource is what there is to
 * wait for, and 3D, where commands for virgl are. The names of the fixtures are
 * those of contract.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <linux/pci_regs.h>
#include <linux/types.h>
#include <drm/drm.h>
#include <drm/virtgpu_drm.h>

#include "poll_test.h"

#define BUFFERS		4
#define IN_OUT		(POLLIN | POLLOUT)

struct gpu {
	bool virgl;
	int drm;
	int kernel_log;
	/* sysfs: the device DRM names, and the configuration space behind it */
	char path[PATH_MAX];
	int config;
	/* this bit of the word at that place holds the interrupt */
	off_t where;
	__u16 bit;
	struct dmabuf bufs[BUFFERS];
};

static int gpu_find(void)
{
	char path[32], name[32];
	struct drm_version version;
	int i, fd;

	for (i = 0; i < 64; i++) {
		snprintf(path, sizeof(path), "/dev/dri/card%d", i);
		fd = open(path, O_RDWR | O_CLOEXEC);
		if (fd < 0)
			continue;
		memset(name, 0, sizeof(name));
		memset(&version, 0, sizeof(version));
		version.name = name;
		version.name_len = sizeof(name) - 1;
		if (!xioctl(fd, DRM_IOCTL_VERSION, &version) &&
		    !strcmp(name, "virtio_gpu"))
			return fd;
		close(fd);
	}

	return -ENODEV;
}

static bool gpu_has_virgl(int drm)
{
	__u32 value = 0;
	struct drm_virtgpu_getparam param = {
		.param = VIRTGPU_PARAM_3D_FEATURES,
		.value = (uintptr_t)&value,
	};

	return !xioctl(drm, DRM_IOCTL_VIRTGPU_GETPARAM, &param) && value;
}

static __u16 config_read(struct gpu *gpu, off_t where)
{
	__u8 bytes[2] = { 0 };

	if (pread(gpu->config, bytes, sizeof(bytes), where) != sizeof(bytes))
		return 0;
	return bytes[0] | bytes[1] << 8;
}

/* 0 if the word is what it should be then */
static int gpu_hold(struct gpu *gpu, bool hold)
{
	__u16 word = config_read(gpu, gpu->where);
	__u8 bytes[2];

	word = hold ? word | gpu->bit : word & ~gpu->bit;
	bytes[0] = word & 0xff;
	bytes[1] = word >> 8;
	if (pwrite(gpu->config, bytes, sizeof(bytes), gpu->where) != sizeof(bytes))
		return -EIO;
	return config_read(gpu, gpu->where) == word ? 0 : -EIO;
}

/* INTx has its bit in the command register, MSI-X one in its capability. */
static void gpu_find_bit(struct gpu *gpu)
{
	int cap, limit = 48;

	gpu->where = PCI_COMMAND;
	gpu->bit = PCI_COMMAND_INTX_DISABLE;
	cap = config_read(gpu, PCI_CAPABILITY_LIST) & 0xfc;
	for (; cap && limit--; cap = config_read(gpu, cap) >> 8 & 0xfc) {
		if ((config_read(gpu, cap) & 0xff) == PCI_CAP_ID_MSIX &&
		    config_read(gpu, cap + PCI_MSIX_FLAGS) & PCI_MSIX_FLAGS_ENABLE) {
			gpu->where = cap + PCI_MSIX_FLAGS;
			gpu->bit = PCI_MSIX_FLAGS_MASKALL;
		}
	}
}

static const char *gpu_open(struct gpu *gpu, bool virgl)
{
	char path[PATH_MAX + 16];
	struct stat st;
	int i;

	memset(gpu, 0, sizeof(*gpu));
	for (i = 0; i < BUFFERS; i++)
		gpu->bufs[i] = (struct dmabuf) { .fd = -1, .drm_fd = -1 };
	gpu->virgl = virgl;
	gpu->config = -1;
	gpu->drm = gpu_find();
	if (gpu->drm < 0)
		return "cannot find a card of virtio-gpu in /dev/dri";
	if (virgl && !gpu_has_virgl(gpu->drm))
		return "this virtio-gpu has no virgl";

	fstat(gpu->drm, &st);
	snprintf(path, sizeof(path), "/sys/dev/char/%u:%u/device",
		 major(st.st_rdev), minor(st.st_rdev));
	if (!realpath(path, gpu->path))
		return "cannot find the device of virtio-gpu in sysfs";
	/* the PCI device, or the virtio device on top of it */
	snprintf(path, sizeof(path), "%s/config", gpu->path);
	gpu->config = open(path, O_RDWR | O_CLOEXEC);
	if (gpu->config < 0) {
		snprintf(path, sizeof(path), "%s/../config", gpu->path);
		gpu->config = open(path, O_RDWR | O_CLOEXEC);
	}
	if (gpu->config < 0)
		return "virtio-gpu is no PCI device, whose interrupt could be held";
	gpu_find_bit(gpu);
	/* a test that did not come to its end may have left it held */
	gpu_hold(gpu, false);
	gpu->kernel_log = kernel_log_open();
	return NULL;
}

static int buf_create(struct gpu *gpu, struct dmabuf *buf)
{
	struct drm_virtgpu_resource_create create = {
		.target = 2,
		.format = 2,
		/* a render target, of which 2D knows nothing */
		.bind = gpu->virgl ? 2 : 0,
		.width = 16,
		.height = 16,
		.depth = 1,
		.array_size = 1,
		.size = 4096,
	};
	struct drm_prime_handle prime = { .flags = DRM_CLOEXEC | DRM_RDWR };
	struct stat st;
	int ret;

	ret = xioctl(gpu->drm, DRM_IOCTL_VIRTGPU_RESOURCE_CREATE, &create);
	if (ret)
		return ret;
	buf->handle = create.bo_handle;
	buf->drm_fd = gpu->drm;
	prime.handle = create.bo_handle;
	ret = xioctl(gpu->drm, DRM_IOCTL_PRIME_HANDLE_TO_FD, &prime);
	if (ret)
		return ret;
	buf->fd = prime.fd;
	if (fstat(buf->fd, &st))
		return -errno;
	buf->ino = st.st_ino;
	return 0;
}

static int buf_execute(struct gpu *gpu, struct dmabuf *buf)
{
	/* a command of virgl that does nothing */
	__u32 nop[4] = { 0 };
	struct drm_virtgpu_execbuffer exec = {
		.size = sizeof(nop),
		.command = (uintptr_t)nop,
		.bo_handles = (uintptr_t)&buf->handle,
		.num_bo_handles = 1,
		.fence_fd = -1,
	};

	return xioctl(gpu->drm, DRM_IOCTL_VIRTGPU_EXECBUFFER, &exec);
}

static int buf_wait_idle(struct dmabuf *buf)
{
	struct pollfd pfd = { .fd = buf->fd, .events = POLLOUT };

	return poll(&pfd, 1, GIVE_UP_MS) == 1 ? 0 : -ETIMEDOUT;
}

static void gpu_close(struct gpu *gpu)
{
	int i;

	if (gpu->config >= 0)
		gpu_hold(gpu, false);
	for (i = 0; i < BUFFERS; i++)
		dmabuf_close(&gpu->bufs[i]);
	close(gpu->config);
	close(gpu->drm);
}

static void gpu_setup(struct __test_metadata *_metadata, struct gpu *gpu, bool virgl)
{
	const char *missing = gpu_open(gpu, virgl);

	if (missing)
		SKIP_TEST("%s", missing);
}

static void gpu_teardown(struct __test_metadata *_metadata, struct gpu *gpu)
{
	gpu_close(gpu);
	EXPECT_EQ(0, kernel_log_warnings(gpu->kernel_log));
	close(gpu->kernel_log);
}

/*
 * An interrupt that was sent before it was held may still be on its way to a
 * CPU that the host has no time for. It has arrived, and what it set off has
 * run, once this thread has been there and slept.
 */
static int visit_cpus(void)
{
	cpu_set_t all, one;
	int cpu, round;

	if (sched_getaffinity(0, sizeof(all), &all))
		return -errno;
	for (round = 0; round < 2; round++) {
		for (cpu = 0; cpu < CPU_SETSIZE; cpu++) {
			if (!CPU_ISSET(cpu, &all))
				continue;
			CPU_ZERO(&one);
			CPU_SET(cpu, &one);
			if (sched_setaffinity(0, sizeof(one), &one))
				return -errno;
			sleep_ms(SETTLE_MS / 4);
		}
	}
	return sched_setaffinity(0, sizeof(all), &all) ? -errno : 0;
}

/* n buffers, each of which the device has something to do with, and is held. */
static void submit(struct __test_metadata *_metadata, struct gpu *gpu, int n)
{
	int i;

	for (i = 0; gpu->virgl && i < n; i++) {
		ASSERT_EQ(0, buf_create(gpu, &gpu->bufs[i]));
		ASSERT_EQ(0, buf_wait_idle(&gpu->bufs[i]));
	}
	sleep_ms(SETTLE_MS);
	ASSERT_EQ(0, gpu_hold(gpu, true));
	ASSERT_EQ(0, visit_cpus());
	for (i = 0; i < n; i++) {
		struct dmabuf *buf = &gpu->bufs[i];

		ASSERT_EQ(0, gpu->virgl ? buf_execute(gpu, buf) : buf_create(gpu, buf));
	}
	for (i = 0; i < n; i++) {
		struct pollfd pfd = { .fd = gpu->bufs[i].fd, .events = IN_OUT };

		ASSERT_EQ(0, poll(&pfd, 1, SETTLE_MS)) {
			TH_LOG("buffer %d is ready although the device is held", i);
		}
	}
}

#define VIRTIO_FIXTURE(name)							\
FIXTURE(name) { struct gpu gpu; };						\
FIXTURE_VARIANT(name) { bool virgl; };						\
FIXTURE_SETUP(name) { gpu_setup(_metadata, &self->gpu, variant->virgl); }	\
FIXTURE_TEARDOWN(name) { gpu_teardown(_metadata, &self->gpu); }			\
FIXTURE_VARIANT_ADD(name, virtio_2d) { .virgl = false };			\
FIXTURE_VARIANT_ADD(name, virtio_3d) { .virgl = true }

VIRTIO_FIXTURE(exact_virtio);
VIRTIO_FIXTURE(no_lost_wakeup_virtio);
VIRTIO_FIXTURE(one_wakeup_virtio);
VIRTIO_FIXTURE(neutral_virtio);
VIRTIO_FIXTURE(anycontext_virtio);

/* Neither readable nor writable until the device is done, and both from then. */
/* For those who look, or for the requests, which may believe what they are woken with */
static void busy_until_done(struct __test_metadata *_metadata, struct gpu *gpu, bool requests)
{
	struct dmabuf *buf = &gpu->bufs[0];
	enum wait_kind kind;

	submit(_metadata, gpu, 1);
	for (kind = 0; kind < WAIT_KINDS; kind++) {
		if (wait_kind_missing(kind) || wait_kind_is_request(kind) != requests)
			continue;
		EXPECT_EQ(0, wait_now(kind, buf->fd, IN_OUT));
		EXPECT_EQ(0, wait_now(kind, buf->fd, POLLIN));
		EXPECT_EQ(0, wait_now(kind, buf->fd, POLLOUT));
	}
	ASSERT_EQ(0, gpu_hold(gpu, false));
	ASSERT_EQ(0, buf_wait_idle(buf));
	for (kind = 0; kind < WAIT_KINDS; kind++) {
		if (wait_kind_missing(kind) || wait_kind_is_request(kind) != requests)
			continue;
		EXPECT_EQ(IN_OUT, wait_now(kind, buf->fd, IN_OUT));
	}
}

POLL_TEST(exact_virtio, busy_until_done)
{
	busy_until_done(_metadata, &self->gpu, false);
}

POLL_TEST(exact_virtio, busy_until_done_for_io_uring_and_aio)
{
	busy_until_done(_metadata, &self->gpu, true);
}

/* A sync_file that is made of it is as busy. */
POLL_TEST(exact_virtio, agrees_with_sync_file)
{
	struct dmabuf *buf = &self->gpu.bufs[0];
	int in, out;

	submit(_metadata, &self->gpu, 1);
	in = dmabuf_export_sync_file(buf->fd, FENCE_READ);
	if (in == -ENOTTY) {
		gpu_hold(&self->gpu, false);
		SKIP_TEST("this kernel has no DMA_BUF_IOCTL_EXPORT_SYNC_FILE");
	}
	ASSERT_LE(0, in);
	out = dmabuf_export_sync_file(buf->fd, FENCE_WRITE);
	ASSERT_LE(0, out);
	EXPECT_EQ(0, wait_now(WAIT_POLL, in, POLLIN));
	EXPECT_EQ(0, wait_now(WAIT_POLL, out, POLLIN));
	ASSERT_EQ(0, gpu_hold(&self->gpu, false));
	ASSERT_EQ(0, buf_wait_idle(buf));
	EXPECT_EQ(POLLIN, wait_now(WAIT_POLL, in, POLLIN));
	EXPECT_EQ(POLLIN, wait_now(WAIT_POLL, out, POLLIN));
	close(in);
	close(out);
}

/* The interrupt wakes whoever sleeps, in whichever way. */
POLL_TEST(no_lost_wakeup_virtio, all_kinds)
{
	struct waiter *in[WAIT_KINDS] = { NULL }, *out[WAIT_KINDS] = { NULL };
	struct dmabuf *buf = &self->gpu.bufs[0];
	enum wait_kind kind;

	submit(_metadata, &self->gpu, 1);
	for (kind = 0; kind < WAIT_KINDS; kind++) {
		if (wait_kind_missing(kind))
			continue;
		in[kind] = waiter_start(kind, buf->fd, POLLIN);
		out[kind] = waiter_start(kind, buf->fd, POLLOUT);
		ASSERT_NE(NULL, in[kind]);
		ASSERT_NE(NULL, out[kind]);
		ASSERT_EQ(0, waiter_wait_asleep(in[kind], 1));
		ASSERT_EQ(0, waiter_wait_asleep(out[kind], 1));
	}
	sleep_ms(SETTLE_MS);
	for (kind = 0; kind < WAIT_KINDS; kind++) {
		if (in[kind]) {
			EXPECT_FALSE(waiter_returned(in[kind]));
			EXPECT_FALSE(waiter_returned(out[kind]));
		}
	}
	ASSERT_EQ(0, gpu_hold(&self->gpu, false));
	for (kind = 0; kind < WAIT_KINDS; kind++) {
		if (in[kind]) {
			EXPECT_EQ(POLLIN, waiter_join(in[kind], NULL));
			EXPECT_EQ(POLLOUT, waiter_join(out[kind], NULL));
		}
	}
}

/* Whoever is told of one buffer may rely on those that were asked for before. */
POLL_TEST(no_lost_wakeup_virtio, in_order)
{
	struct waiter *waiters[BUFFERS];
	struct gpu *gpu = &self->gpu;
	int last, i;

	for (last = 0; last < BUFFERS; last++) {
		submit(_metadata, gpu, BUFFERS);
		for (i = 0; i < BUFFERS; i++) {
			waiters[i] = waiter_start(i % 2 ? WAIT_POLL : WAIT_EPOLL_LT,
						  gpu->bufs[i].fd, IN_OUT);
			ASSERT_NE(NULL, waiters[i]);
			ASSERT_EQ(0, waiter_wait_asleep(waiters[i], 1));
		}
		ASSERT_EQ(0, gpu_hold(gpu, false));
		/* A stock kernel may have one direction still to come. */
		EXPECT_LT(0, waiter_join(waiters[last], NULL));
		for (i = 0; i <= last; i++)
			EXPECT_LT(0, wait_now(WAIT_POLL, gpu->bufs[i].fd, IN_OUT));
		for (i = 0; i < BUFFERS; i++) {
			if (i != last)
				EXPECT_LT(0, waiter_join(waiters[i], NULL));
			dmabuf_close(&gpu->bufs[i]);
		}
	}
}

/* One buffer, and with virgl several submissions outstanding: one wake-up. */
POLL_TEST(one_wakeup_virtio, several_submissions)
{
	struct dmabuf *buf = &self->gpu.bufs[0];
	int tries = wakeup_tries();
	struct waiter *waiter;
	long wakeups;
	int i;

	do {
		submit(_metadata, &self->gpu, 1);
		for (i = 0; variant->virgl && i < 7; i++)
			ASSERT_EQ(0, buf_execute(&self->gpu, buf));
		waiter = waiter_start(WAIT_POLL, buf->fd, IN_OUT);
		ASSERT_NE(NULL, waiter);
		ASSERT_EQ(0, waiter_wait_asleep(waiter, 1));
		ASSERT_EQ(0, gpu_hold(&self->gpu, false));
		wakeups = 0;
		EXPECT_EQ(IN_OUT, waiter_join(waiter, &wakeups));
		dmabuf_close(buf);
	} while (wakeups > 1 && --tries);
	EXPECT_EQ(1, wakeups);
}

/* The last close frees the buffer, although the device is not done with it. */
POLL_TEST(neutral_virtio, close_while_busy)
{
	struct dmabuf *buf = &self->gpu.bufs[0];
	unsigned long ino;

	submit(_metadata, &self->gpu, 1);
	ino = buf->ino;
	EXPECT_EQ(0, wait_now(WAIT_POLL, buf->fd, IN_OUT));
	EXPECT_EQ(0, wait_now(WAIT_EPOLL_LT, buf->fd, IN_OUT));
	ASSERT_NE(0, dmabuf_file_count(ino));
	dmabuf_close(buf);
	EXPECT_EQ(0, dmabuf_file_count(ino));
	ASSERT_EQ(0, gpu_hold(&self->gpu, false));

	/* and the device works on */
	ASSERT_EQ(0, buf_create(&self->gpu, buf));
	ASSERT_EQ(0, buf_wait_idle(buf));
}

static int sysfs_write(const char *dir, const char *name, const char *text)
{
	char path[PATH_MAX + 16];
	int fd, ret = 0;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		ret = -errno;
	close(fd);
	return ret;
}

/*
 * The driver is taken from the device while somebody sleeps: the poller
 * survives, and what it is told is what the next one is told. virtio-gpu itself
 * leaks a buffer that outlives its device, with a warning of drm_mm_takedown().
 */
POLL_TEST(anycontext_virtio, driver_unbound)
{
	char link[PATH_MAX + 16], driver[PATH_MAX];
	struct gpu *gpu = &self->gpu;
	struct dmabuf *buf = &gpu->bufs[0];
	struct waiter *waiter;
	const char *name;
	int got;

	if (!access("/sys/kernel/debug/kmemleak", F_OK))
		SKIP_TEST("virtio-gpu leaks a buffer here, which kmemleak would find");
	snprintf(link, sizeof(link), "%s/driver", gpu->path);
	if (!realpath(link, driver))
		SKIP_TEST("cannot find the driver of virtio-gpu in sysfs");
	name = strrchr(gpu->path, '/') + 1;

	submit(_metadata, gpu, 1);
	waiter = waiter_start(WAIT_POLL, buf->fd, IN_OUT);
	ASSERT_NE(NULL, waiter);
	ASSERT_EQ(0, waiter_wait_asleep(waiter, 1));
	ASSERT_EQ(0, sysfs_write(driver, "unbind", name));
	gpu_hold(gpu, false);
	got = waiter_join(waiter, NULL);
	/* the thread of one that is told nothing is left to sleep */
	EXPECT_TRUE(got == -ETIME || got == IN_OUT);
	EXPECT_EQ(got == IN_OUT ? IN_OUT : 0, wait_now(WAIT_POLL, buf->fd, IN_OUT));

	/* what is left of it goes with the last file, and then it comes back */
	gpu_close(gpu);
	ASSERT_EQ(0, sysfs_write(driver, "bind", name));
	close(gpu->kernel_log);
	ASSERT_EQ(NULL, gpu_open(gpu, variant->virgl));
	ASSERT_EQ(0, buf_create(gpu, buf));
	EXPECT_EQ(0, buf_wait_idle(buf));
}

TEST_HARNESS_MAIN
