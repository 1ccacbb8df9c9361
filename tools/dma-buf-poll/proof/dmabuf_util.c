// SPDX-License-Identifier: GPL-2.0
/*
 * What the dma-buf tests share: buffers, fences, and views of the kernel.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include <linux/dma-buf.h>
#include <linux/dma-heap.h>
#include <linux/sync_file.h>
#include <linux/types.h>
#include <linux/udmabuf.h>
#include <drm/drm.h>
#include <drm/vgem_drm.h>

#include "dmabuf_util.h"

/* Since 6.0; the tests are also run on what came before. */
#ifndef DMA_BUF_IOCTL_IMPORT_SYNC_FILE
struct dma_buf_export_sync_file {
	__u32 flags;
	__s32 fd;
};

struct dma_buf_import_sync_file {
	__u32 flags;
	__s32 fd;
};

#define DMA_BUF_IOCTL_EXPORT_SYNC_FILE \
	_IOWR(DMA_BUF_BASE, 2, struct dma_buf_export_sync_file)
#define DMA_BUF_IOCTL_IMPORT_SYNC_FILE \
	_IOW(DMA_BUF_BASE, 3, struct dma_buf_import_sync_file)
#endif

/* sw_sync is for tests only and has no uapi header. */
struct sw_sync_create_fence_data {
	__u32 value;
	char name[32];
	__s32 fence;
};

#define SW_SYNC_IOC_MAGIC	'W'
#define SW_SYNC_IOC_CREATE_FENCE \
	_IOWR(SW_SYNC_IOC_MAGIC, 0, struct sw_sync_create_fence_data)
#define SW_SYNC_IOC_INC \
	_IOW(SW_SYNC_IOC_MAGIC, 1, __u32)

#define DEBUGFS			"/sys/kernel/debug"
#define SW_SYNC_PATH		DEBUGFS "/sync/sw_sync"
#define SYNC_INFO_PATH		DEBUGFS "/sync/info"
#define BUFINFO_PATH		DEBUGFS "/dma_buf/bufinfo"
#define UDMABUF_PATH		"/dev/udmabuf"
#define SYSTEM_HEAP_PATH	"/dev/dma_heap/system"
#define DRM_NODES		64

int xioctl(int fd, unsigned long request, void *arg)
{
	int ret;

	do {
		ret = ioctl(fd, request, arg);
	} while (ret < 0 && (errno == EINTR || errno == EAGAIN));

	return ret < 0 ? -errno : ret;
}

const char * const line_names[LINES] = {
	[EXACT] = "exact", [NO_LOST_WAKEUP] = "no_lost_wakeup", [ONE_WAKEUP] = "one_wakeup",
	[QUIET] = "quiet", [NEUTRAL] = "neutral", [SHARED] = "shared", [NAMES] = "names",
	[ANYCONTEXT] = "anycontext",
};

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static int open_path(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* A file of debugfs, which may not be mounted yet. */
static bool debugfs_has(const char *path)
{
	if (!access(path, R_OK))
		return true;
	mount("debugfs", DEBUGFS, "debugfs", 0, NULL);
	return !access(path, R_OK);
}

static FILE *open_debugfs(const char *path)
{
	return debugfs_has(path) ? fopen(path, "r") : NULL;
}

void sleep_ms(unsigned int ms)
{
	usleep(ms * 1000);
}

long long now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

/*
 * Exporters
 */

static bool drm_driver_is(int fd, const char *driver)
{
	char name[32] = "";
	struct drm_version version = {
		.name = name,
		.name_len = sizeof(name) - 1,
	};

	return !xioctl(fd, DRM_IOCTL_VERSION, &version) && !strcmp(name, driver);
}

static int vgem_open(void)
{
	char path[32];
	int i, fd;

	/* dumb buffers are created on the primary node, not on the render node */
	for (i = 0; i < DRM_NODES; i++) {
		snprintf(path, sizeof(path), "/dev/dri/card%d", i);
		fd = open_path(path, O_RDWR);
		if (fd < 0)
			continue;
		if (drm_driver_is(fd, "vgem"))
			return fd;
		close(fd);
	}

	return -ENODEV;
}

const char *exporter_missing(enum dmabuf_exporter exporter)
{
	int fd;

	switch (exporter) {
	case EXPORTER_UDMABUF:
		if (access(UDMABUF_PATH, R_OK | W_OK))
			return "cannot access " UDMABUF_PATH;
		return NULL;
	case EXPORTER_SYSTEM_HEAP:
		if (access(SYSTEM_HEAP_PATH, R_OK))
			return "cannot access " SYSTEM_HEAP_PATH;
		return NULL;
	case EXPORTER_VGEM:
		fd = vgem_open();
		if (fd < 0)
			return "cannot find a card of vgem in /dev/dri";
		close(fd);
		return NULL;
	}

	return "unknown exporter";
}

static int udmabuf_create(size_t size)
{
	struct udmabuf_create create = {
		.flags = UDMABUF_FLAGS_CLOEXEC,
		.size = size,
	};
	int dev, ret;

	dev = open_path(UDMABUF_PATH, O_RDWR);
	if (dev < 0)
		return dev;

	create.memfd = memfd_create("dmabuf-selftest", MFD_ALLOW_SEALING | MFD_CLOEXEC);
	if (ftruncate(create.memfd, size) ||
	    fcntl(create.memfd, F_ADD_SEALS, F_SEAL_SHRINK))
		ret = -errno;
	else
		ret = xioctl(dev, UDMABUF_CREATE, &create);
	close(create.memfd);
	close(dev);
	return ret;
}

static int system_heap_create(size_t size)
{
	struct dma_heap_allocation_data alloc = {
		.len = size,
		.fd_flags = O_RDWR | O_CLOEXEC,
	};
	int dev, ret;

	dev = open_path(SYSTEM_HEAP_PATH, O_RDONLY);
	if (dev < 0)
		return dev;

	ret = xioctl(dev, DMA_HEAP_IOCTL_ALLOC, &alloc);
	close(dev);
	return ret < 0 ? ret : (int)alloc.fd;
}

static int vgem_create(struct dmabuf *buf)
{
	struct drm_mode_create_dumb dumb = {
		.width = 16,
		.height = 16,
		.bpp = 32,
	};
	struct drm_prime_handle prime = {
		.flags = DRM_CLOEXEC | DRM_RDWR,
	};
	int ret;

	if (buf->drm_fd < 0)
		buf->drm_fd = vgem_open();
	if (buf->drm_fd < 0)
		return buf->drm_fd;

	ret = xioctl(buf->drm_fd, DRM_IOCTL_MODE_CREATE_DUMB, &dumb);
	if (ret)
		return ret;

	buf->handle = dumb.handle;
	prime.handle = dumb.handle;
	ret = xioctl(buf->drm_fd, DRM_IOCTL_PRIME_HANDLE_TO_FD, &prime);
	return ret ? ret : prime.fd;
}

static int dmabuf_export(struct dmabuf *buf, enum dmabuf_exporter exporter, size_t size)
{
	struct stat st;

	switch (exporter) {
	case EXPORTER_UDMABUF:
		buf->fd = udmabuf_create(size);
		break;
	case EXPORTER_SYSTEM_HEAP:
		buf->fd = system_heap_create(size);
		break;
	case EXPORTER_VGEM:
		buf->fd = vgem_create(buf);
		break;
	}

	if (buf->fd < 0)
		return buf->fd;
	if (fstat(buf->fd, &st))
		return -errno;
	buf->ino = st.st_ino;
	return 0;
}

int dmabuf_create(struct dmabuf *buf, enum dmabuf_exporter exporter)
{
	*buf = (struct dmabuf) { .fd = -1, .drm_fd = -1 };
	return dmabuf_export(buf, exporter, sysconf(_SC_PAGESIZE));
}

int dmabuf_create_sized(struct dmabuf *buf, size_t size)
{
	*buf = (struct dmabuf) { .fd = -1, .drm_fd = -1 };
	return dmabuf_export(buf, EXPORTER_UDMABUF, size);
}

void dmabuf_close(struct dmabuf *buf)
{
	struct drm_gem_close close_handle = { .handle = buf->handle };

	/* an exported GEM handle holds a reference on its dma-buf */
	if (buf->handle)
		xioctl(buf->drm_fd, DRM_IOCTL_GEM_CLOSE, &close_handle);
	buf->handle = 0;
	close_fd(&buf->fd);
}

int dmabuf_replace(struct dmabuf *buf, enum dmabuf_exporter exporter)
{
	dmabuf_close(buf);
	return dmabuf_export(buf, exporter, sysconf(_SC_PAGESIZE));
}

void dmabuf_destroy(struct dmabuf *buf)
{
	dmabuf_close(buf);
	close_fd(&buf->drm_fd);
}

/*
 * Fences
 */

int sw_sync_timeline(void)
{
	return open_path(SW_SYNC_PATH, O_RDWR);
}

int sw_sync_fence(int timeline, uint32_t value)
{
	struct sw_sync_create_fence_data data = {
		.value = value,
		.name = "dmabuf-selftest",
	};
	int ret = xioctl(timeline, SW_SYNC_IOC_CREATE_FENCE, &data);

	return ret ? ret : data.fence;
}

int sw_sync_inc(int timeline, uint32_t by)
{
	return xioctl(timeline, SW_SYNC_IOC_INC, &by);
}

/*
 * The driver signals what is left when a timeline is closed without a reference
 * of its own, and with the lock held that the release of a fence takes. Whoever
 * drops the last one when told, as poll does with a fence that has been replaced
 * in the meantime, hangs there. To ask for a fence again gives one to us.
 */
void sw_sync_end(int timeline, uint32_t from, uint32_t to)
{
	int held[SW_SYNC_MAX_LEFT];
	int n = 0;

	while (from < to && n < SW_SYNC_MAX_LEFT)
		held[n++] = sw_sync_fence(timeline, ++from);
	close(timeline);
	while (n)
		close_fd(&held[--n]);
}

int sw_sync_live_fences(void)
{
	char line[128], name[18];
	bool ours = false;
	int fences = 0;
	FILE *f;

	f = open_debugfs(SYNC_INFO_PATH);
	if (!f)
		return -ENOENT;

	/* "name: value" of each timeline, then its fences, indented */
	prctl(PR_GET_NAME, name);
	strcat(name, ":");
	while (fgets(line, sizeof(line), f) && strncmp(line, "fences:", 7)) {
		if (line[0] != ' ')
			ours = !strncmp(line, name, strlen(name));
		else if (ours)
			fences++;
	}
	fclose(f);
	return fences;
}

int sync_file_merge(int fd1, int fd2)
{
	struct sync_merge_data data = {
		.name = "dmabuf-selftest",
		.fd2 = fd2,
	};
	int ret = xioctl(fd1, SYNC_IOC_MERGE, &data);

	return ret ? ret : data.fence;
}

int dmabuf_import_sync_file(int dmabuf_fd, int sync_fd, enum fence_usage usage)
{
	struct dma_buf_import_sync_file data = {
		.flags = usage == FENCE_WRITE ? DMA_BUF_SYNC_WRITE : DMA_BUF_SYNC_READ,
		.fd = sync_fd,
	};

	return xioctl(dmabuf_fd, DMA_BUF_IOCTL_IMPORT_SYNC_FILE, &data);
}

int dmabuf_export_sync_file(int dmabuf_fd, enum fence_usage usage)
{
	struct dma_buf_export_sync_file data = {
		.flags = usage == FENCE_WRITE ? DMA_BUF_SYNC_WRITE : DMA_BUF_SYNC_READ,
	};
	int ret = xioctl(dmabuf_fd, DMA_BUF_IOCTL_EXPORT_SYNC_FILE, &data);

	return ret ? ret : data.fd;
}

const char *fence_source_missing(enum fence_source source, int dmabuf_fd)
{
	if (source == FENCES_VGEM)
		return NULL; /* comes with the exporter */

	if (!debugfs_has(SW_SYNC_PATH))
		return "cannot access " SW_SYNC_PATH;
	/* a kernel that knows the ioctl complains about the descriptor */
	if (dmabuf_import_sync_file(dmabuf_fd, -1, FENCE_READ) == -ENOTTY)
		return "this kernel has no DMA_BUF_IOCTL_IMPORT_SYNC_FILE";
	return NULL;
}

int fence_prepare(struct fence *fence, enum fence_source source)
{
	*fence = (struct fence) {
		.source = source,
		.timeline = -1,
		.sync_fd = -1,
		.drm_fd = -1,
	};

	/* vgem makes its fence when it attaches it */
	if (source == FENCES_VGEM)
		return 0;

	fence->timeline = sw_sync_timeline();
	if (fence->timeline < 0)
		return fence->timeline;
	fence->sync_fd = sw_sync_fence(fence->timeline, 1);
	return fence->sync_fd < 0 ? fence->sync_fd : 0;
}

int fence_attach(struct fence *fence, struct dmabuf *buf, enum fence_usage usage)
{
	struct drm_vgem_fence_attach attach = {
		.handle = buf->handle,
		.flags = usage == FENCE_WRITE ? VGEM_FENCE_WRITE : 0,
	};
	int ret;

	if (fence->source == FENCES_SW_SYNC)
		return dmabuf_import_sync_file(buf->fd, fence->sync_fd, usage);

	ret = xioctl(buf->drm_fd, DRM_IOCTL_VGEM_FENCE_ATTACH, &attach);
	if (ret)
		return ret;
	fence->drm_fd = buf->drm_fd;
	fence->vgem_id = attach.out_fence;
	return 0;
}

int fence_signal(struct fence *fence)
{
	struct drm_vgem_fence_signal signal = { .fence = fence->vgem_id };

	if (fence->source == FENCES_SW_SYNC)
		return sw_sync_inc(fence->timeline, 1);

	/* vgem forgets a fence once it was signaled */
	fence->vgem_id = 0;
	return xioctl(fence->drm_fd, DRM_IOCTL_VGEM_FENCE_SIGNAL, &signal);
}

void fence_close(struct fence *fence)
{
	if (fence->vgem_id)
		fence_signal(fence);
	close_fd(&fence->sync_fd);
	close_fd(&fence->timeline);
}

/*
 * Relays
 */

static int open_timeline(void)
{
	int timeline = sw_sync_timeline();

	need(timeline >= 0, "timeline");
	return timeline;
}

static int relay_fence(struct relay *r, int timeline, uint32_t point, enum fence_usage usage)
{
	int fd = sw_sync_fence(timeline, point);

	need(fd >= 0, "fence");
	need(!dmabuf_import_sync_file(r->dmabuf_fd, fd, usage), "import");
	return fd;
}

static int relay_next(struct relay *r)
{
	return relay_fence(r, r->timelines[r->last], ++r->points[r->last], r->usage);
}

void relay_begin(struct relay *r)
{
	close(relay_next(r));
}

void relay_open(struct relay *r, int dmabuf_fd, enum fence_usage usage)
{
	unsigned int i;

	*r = (struct relay) {
		.dmabuf_fd = dmabuf_fd,
		.usage = usage,
		.timelines = { open_timeline(), open_timeline() },
		/* those who look at read fences would see nothing but these */
		.n_crowd = usage == FENCE_WRITE ? RELAY_CROWD : 0,
	};
	relay_begin(r);
	for (i = 0; i < r->n_crowd; i++) {
		r->crowd[i] = open_timeline();
		close(relay_fence(r, r->crowd[i], 1, FENCE_READ));
	}
}

/* With nothing between the two that does not have to be. */
void relay_step(struct relay *r)
{
	int fd, before = r->timelines[r->last];

	r->last = !r->last;
	fd = relay_next(r);
	need(!sw_sync_inc(before, 1), "inc");
	close(fd);
}

void relay_end(struct relay *r)
{
	need(!sw_sync_inc(r->timelines[r->last], 1), "inc");
}

void relay_close(struct relay *r)
{
	unsigned int i;

	for (i = 0; i < r->n_crowd; i++) {
		need(!sw_sync_inc(r->crowd[i], 1), "inc");
		close(r->crowd[i]);
	}
	close(r->timelines[0]);
	close(r->timelines[1]);
}

/*
 * Views of the kernel
 */

/* How many buffers there are, with the count of the one asked for, if any. */
static long read_bufinfo(unsigned long ino, long *count)
{
	unsigned long line_ino;
	long line_count, lines = 0;
	char line[512];
	FILE *f;

	f = open_debugfs(BUFINFO_PATH);
	if (!f)
		return -ENOENT;

	/* size flags mode count exporter ino name */
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%*x %*x %*x %ld %*s %lu",
			   &line_count, &line_ino) != 2)
			continue;
		lines++;
		if (line_ino == ino)
			*count = line_count;
	}
	fclose(f);
	return lines;
}

long dmabuf_file_count(unsigned long ino)
{
	long count = 0, ret = read_bufinfo(ino, &count);

	return ret < 0 ? ret : count;
}

long dmabuf_live_buffers(void)
{
	long count;

	return read_bufinfo(0, &count);
}

/* A message of one byte and one descriptor, sent or received. */
union fd_control {
	char buf[CMSG_SPACE(sizeof(int))];
	struct cmsghdr align;
};

struct fd_message {
	union fd_control control;
	struct iovec iov;
	struct msghdr msg;
	char byte;
};

static struct msghdr *fd_message_init(struct fd_message *m)
{
	*m = (struct fd_message) { .byte = 'x' };
	m->iov.iov_base = &m->byte;
	m->iov.iov_len = 1;
	m->msg.msg_iov = &m->iov;
	m->msg.msg_iovlen = 1;
	m->msg.msg_control = m->control.buf;
	m->msg.msg_controllen = sizeof(m->control.buf);
	return &m->msg;
}

int fd_send(int sock, int fd)
{
	struct fd_message m;
	struct msghdr *msg = fd_message_init(&m);
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(msg);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	return sendmsg(sock, msg, 0) == 1 ? 0 : -errno;
}

int fd_receive(int sock)
{
	struct fd_message m;
	struct msghdr *msg = fd_message_init(&m);
	ssize_t len = recvmsg(sock, msg, 0);
	int fd;

	if (len < 0)
		return -errno;
	if (!len || !CMSG_FIRSTHDR(msg))
		return -ENOENT;
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(msg)), sizeof(fd));
	return fd;
}

int open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	if (!dir)
		return -errno;
	while (readdir(dir))
		n++;
	closedir(dir);
	/* without ".", ".." and the one it was read through */
	return n - 3;
}

int sched_sample(pid_t tid, struct sched_sample *sample)
{
	char path[32], line[128];
	int found = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", tid);
	f = fopen(path, "r");
	if (!f)
		return -errno;

	while (found < 2 && fgets(line, sizeof(line), f)) {
		found += sscanf(line, "State: %c", &sample->state) == 1;
		found += sscanf(line, "voluntary_ctxt_switches: %ld",
				&sample->nvcsw) == 1;
	}
	fclose(f);
	return found == 2 ? 0 : -ESRCH;
}

bool preempt_rt(void)
{
	struct utsname uts;

	return !uname(&uts) && strstr(uts.version, "PREEMPT_RT");
}

int wakeup_tries(void)
{
	return preempt_rt() ? 5 : 1;
}

bool test_is_spared(const char *fixture)
{
	const char *list = getenv("DMABUF_SPARE");
	size_t len;

	while (list && *list) {
		len = strcspn(list, " ");
		if (len == strlen(fixture) && !strncmp(list, fixture, len))
			return true;
		list += len;
		list += strspn(list, " ");
	}
	return false;
}

/* splitmix64 */
uint64_t rng_next(struct rng *rng)
{
	uint64_t z = rng->state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

unsigned int rng_below(struct rng *rng, unsigned int below)
{
	return (rng_next(rng) >> 32) * below >> 32;
}

long parse_number(const char *what, const char *text, long min, long max)
{
	char *end;
	long n;

	errno = 0;
	n = strtol(text, &end, 10);
	if (errno || end == text || *end || n < min || n > max) {
		fprintf(stderr, "error: %s is '%s', and has to be a whole number from %ld to %ld\n",
			what, text, min, max);
		exit(2);
	}
	return n;
}

void show_usage(const char *usage, int option)
{
	fprintf(option == 'h' ? stdout : stderr, "%s", usage);
	exit(option == 'h' ? 0 : 2);
}

void bad_usage(const char *usage, const char *what, const char *arg)
{
	fprintf(stderr, "error: %s%s\n%s", what, arg, usage);
	exit(2);
}

void need(bool ok, const char *what)
{
	if (ok)
		return;
	fflush(stdout);
	dprintf(STDOUT_FILENO, "Bail out! %s: %s\n", what, strerror(errno));
	_exit(1);
}

int kernel_log_open(void)
{
	int fd = open_path("/dev/kmsg", O_RDONLY | O_NONBLOCK);

	if (fd >= 0)
		lseek(fd, 0, SEEK_END);
	return fd;
}

/*
 * Not for a lockup or a stall: a loaded machine may well report those. Nor for a
 * data race, which KCSAN finds anywhere in the kernel, whatever is tested: whoever
 * runs the tests on such a kernel has to read the log.
 */
static bool is_kernel_warning(const char *record)
{
	static const char * const bad[] = {
		"WARNING: ", "kernel BUG at", "BUG: KASAN", "BUG: sleeping",
		"BUG: unable", "refcount_t: ", NULL,
	};
	const char * const *text;

	for (text = bad; *text; text++) {
		if (strstr(record, *text))
			return true;
	}
	return false;
}

int kernel_log_warnings(int fd)
{
	char record[8192];
	int warnings = 0;
	ssize_t len;

	while (fd >= 0) {
		len = read(fd, record, sizeof(record) - 1);
		if (len < 0 && (errno == EPIPE || errno == EINTR))
			continue; /* records were lost, go on with the next */
		if (len <= 0)
			break;
		record[len] = '\0';
		if (is_kernel_warning(record) && !warnings++)
			dprintf(STDOUT_FILENO, "# kernel log: %s\n",
				strtok(record, "\n"));
	}

	return warnings;
}
