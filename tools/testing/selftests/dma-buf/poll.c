// SPDX-License-Identifier: GPL-2.0
/*
 * What poll() on a dma-buf promises to whoever waits, in whichever way they do.
 *
 * A dma-buf is readable once the fences of all writers have signaled, and writable
 * once those of all readers have as well. Each test is a sentence of that promise:
 *
 *   exact           that is what is reported, at any time, to everybody
 *   no_lost_wakeup  whoever sleeps is woken when their turn has come
 *   one_wakeup      and not before, if fences signal in the order they came
 *   quiet           to poll wakes nobody
 *   neutral         nor does it keep a buffer alive
 *   shared          all ways of waiting may be used at once
 *   names           POLLRDNORM and POLLWRNORM go by the same rule
 *
 * The KUnit tests show what cannot be seen from here: which callbacks and
 * references there are, that signaling is enabled, and hard interrupts. Each
 * test here is a process of its own, and with it ends what it has opened.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <drm/drm.h>
#include <linux/dma-buf.h>
#include <linux/dma-heap.h>
#include <linux/udmabuf.h>

#include "../sync/sw_sync.h"
#include "../sync/sync.h"
#include "waiting.h"

#define READ_FENCE	DMA_BUF_SYNC_READ
#define WRITE_FENCE	DMA_BUF_SYNC_WRITE
#define INOUT		(POLLIN | POLLOUT)

static int udmabuf_alloc(void)
{
	struct udmabuf_create create = { .size = sysconf(_SC_PAGESIZE) };
	int dev = open("/dev/udmabuf", O_RDWR);

	create.memfd = memfd_create("poll", MFD_ALLOW_SEALING);
	if (ftruncate(create.memfd, create.size) || fcntl(create.memfd, F_ADD_SEALS, F_SEAL_SHRINK))
		return -1;
	return ioctl(dev, UDMABUF_CREATE, &create);
}

static int system_heap_alloc(void)
{
	struct dma_heap_allocation_data data = { .len = sysconf(_SC_PAGESIZE) };
	int heap = open("/dev/dma_heap/system", O_RDONLY);

	data.fd_flags = O_RDWR;
	if (heap < 0)
		return -1;
	return ioctl(heap, DMA_HEAP_IOCTL_ALLOC, &data) ? -1 : (int)data.fd;
}

static int vgem_alloc(void)
{
	struct drm_mode_create_dumb dumb = { .width = 16, .height = 16, .bpp = 32 };
	struct drm_prime_handle prime = { .flags = DRM_RDWR };
	int drm, i, ret = -1;
	char path[32];

	for (i = 0; i < 64 && ret; i++) {
		char name[8] = "";
		struct drm_version version = { .name = name, .name_len = sizeof(name) };

		snprintf(path, sizeof(path), "/dev/dri/card%d", i);
		drm = open(path, O_RDWR);
		if (drm < 0 || ioctl(drm, DRM_IOCTL_VERSION, &version) || strcmp(name, "vgem")) {
			close(drm);
			errno = ENODEV;
			continue;
		}
		ret = ioctl(drm, DRM_IOCTL_MODE_CREATE_DUMB, &dumb);
		prime.handle = dumb.handle;
		ret = ret ?: ioctl(drm, DRM_IOCTL_PRIME_HANDLE_TO_FD, &prime);
		close(drm); /* its handle is one more reference on the file of the buffer */
	}
	return ret ? -1 : prime.fd;
}

static unsigned long inode_of(int buf)
{
	struct stat st;

	return fstat(buf, &st) ? 0 : st.st_ino;
}

/* On the file of a buffer; none when it is gone */
static long references(unsigned long inode)
{
	FILE *bufinfo = fopen("/sys/kernel/debug/dma_buf/bufinfo", "r");
	long count, found = 0;
	unsigned long other;
	char line[256];

	while (fgets(line, sizeof(line), bufinfo))
		if (sscanf(line, "%*x %*x %*x %ld %*s %lu", &count, &other) == 2 &&
		    other == inode)
			found = count;
	fclose(bufinfo);
	return found;
}

static void attach(struct __test_metadata *_metadata, int buf, __u32 access, int sync_file)
{
	struct dma_buf_import_sync_file import = { .flags = access, .fd = sync_file };

	ASSERT_LE(0, sync_file);
	ASSERT_EQ(0, ioctl(buf, DMA_BUF_IOCTL_IMPORT_SYNC_FILE, &import));
	close(sync_file);
}

/* Signals when the timeline comes to value. */
static int fence_at(int timeline, unsigned int value)
{
	return sw_sync_fence_create(timeline, "poll", value);
}

/* Returns the timeline. */
static int add_fence(struct __test_metadata *_metadata, int buf, __u32 access)
{
	int timeline = sw_sync_timeline_create();

	attach(_metadata, buf, access, fence_at(timeline, 1));
	return timeline;
}

static void signal_fence(struct __test_metadata *_metadata, int timeline)
{
	ASSERT_EQ(0, sw_sync_timeline_inc(timeline, 1));
}

FIXTURE(exporter) { int buf; };
FIXTURE_VARIANT(exporter) { int (*alloc)(void); };
FIXTURE_VARIANT_ADD(exporter, udmabuf) { udmabuf_alloc };
FIXTURE_VARIANT_ADD(exporter, system_heap) { system_heap_alloc };
FIXTURE_VARIANT_ADD(exporter, vgem) { vgem_alloc };
FIXTURE_TEARDOWN(exporter) {}

FIXTURE_SETUP(exporter)
{
	self->buf = variant->alloc();
	if (self->buf < 0)
		SKIP(return, "cannot allocate such a buffer: %s", strerror(errno));
}

TEST_F(exporter, exact_readers_wait_for_writers_and_writers_for_all)
{
	int fence = add_fence(_metadata, self->buf, WRITE_FENCE);

	EXPECT_EQ(0, look(&by_poll, self->buf, INOUT));
	signal_fence(_metadata, fence);
	EXPECT_EQ(INOUT, look(&by_poll, self->buf, INOUT));
	fence = add_fence(_metadata, self->buf, READ_FENCE);
	EXPECT_EQ(POLLIN, look(&by_poll, self->buf, INOUT));
	signal_fence(_metadata, fence);
	EXPECT_EQ(INOUT, look(&by_poll, self->buf, INOUT));
}

TEST_F(exporter, neutral_last_close_frees_the_buffer_at_once)
{
	int fence = add_fence(_metadata, self->buf, WRITE_FENCE);
	unsigned long inode = inode_of(self->buf);

	EXPECT_EQ(0, look(&by_poll, self->buf, INOUT));
	EXPECT_EQ(1, references(inode));
	close(self->buf);
	EXPECT_EQ(0, references(inode));
	signal_fence(_metadata, fence); /* and that is nobody's business any more */
}

/* Whether this kernel can wait in that way for anything at all */
static bool is_usable(const struct way *way)
{
	int fds[2];

	return !pipe(fds) && look(way, fds[1], POLLOUT) == POLLOUT;
}

static int alloc_for(struct __test_metadata *_metadata, const struct way *way)
{
	int buf = udmabuf_alloc();

	ASSERT_LE(0, buf);
	if (!is_usable(way))
		SKIP(return buf, "cannot wait in that way: %s", strerror(errno));
	return buf;
}

FIXTURE(way) { int buf; };
FIXTURE_VARIANT(way) { const struct way *way; };
FIXTURE_VARIANT_ADD(way, poll) { &by_poll };
FIXTURE_VARIANT_ADD(way, ppoll) { &by_ppoll };
FIXTURE_VARIANT_ADD(way, select) { &by_select };
FIXTURE_VARIANT_ADD(way, epoll) { &by_epoll };
FIXTURE_VARIANT_ADD(way, epoll_et) { &by_epoll_et };
FIXTURE_VARIANT_ADD(way, epoll_oneshot) { &by_epoll_oneshot };
FIXTURE_VARIANT_ADD(way, epoll_exclusive) { &by_epoll_exclusive };
FIXTURE_VARIANT_ADD(way, epoll_nested) { &by_epoll_nested };
FIXTURE_VARIANT_ADD(way, io_uring) { &by_io_uring };
FIXTURE_VARIANT_ADD(way, io_uring_multishot) { &by_multishot };
FIXTURE_VARIANT_ADD(way, aio) { &by_aio };
FIXTURE_SETUP(way) { self->buf = alloc_for(_metadata, variant->way); }
FIXTURE_TEARDOWN(way) {}

TEST_F(way, exact_each_direction_is_reported_when_it_is_ready)
{
	int fence = add_fence(_metadata, self->buf, READ_FENCE);

	EXPECT_EQ(POLLIN, look(variant->way, self->buf, POLLIN));
	EXPECT_EQ(0, look(variant->way, self->buf, POLLOUT));
	EXPECT_EQ(POLLIN, look(variant->way, self->buf, INOUT));
	signal_fence(_metadata, fence);
	EXPECT_EQ(POLLOUT, look(variant->way, self->buf, POLLOUT));
	fence = add_fence(_metadata, self->buf, WRITE_FENCE);
	EXPECT_EQ(0, look(variant->way, self->buf, INOUT));
	signal_fence(_metadata, fence);
	EXPECT_EQ(INOUT, look(variant->way, self->buf, INOUT));
}

TEST_F(way, exact_nothing_is_reported_when_the_first_of_two_fences_signals)
{
	int first, fences[2];

	for (first = 0; first < 2; first++) {
		struct watch w = { variant->way, self->buf, POLLIN };

		fences[0] = add_fence(_metadata, self->buf, WRITE_FENCE);
		fences[1] = add_fence(_metadata, self->buf, WRITE_FENCE);
		ASSERT_EQ(0, watch_open(&w));
		EXPECT_EQ(0, watch_wait(&w, 0));
		signal_fence(_metadata, fences[first]);
		EXPECT_EQ(0, watch_wait(&w, SETTLE_MS));
		signal_fence(_metadata, fences[!first]);
		EXPECT_EQ(POLLIN, watch_wait(&w, GIVE_UP_MS));
	}
}

TEST_F(way, exact_nothing_is_reported_while_one_fence_follows_another)
{
	int timelines[] = { sw_sync_timeline_create(), sw_sync_timeline_create() };
	struct sleeper s;
	int i;

	attach(_metadata, self->buf, WRITE_FENCE, fence_at(timelines[0], 1));
	start_sleeper(_metadata, &s, variant->way, self->buf, POLLIN);
	/*
	 * The next fence is there before the last one signals. One thread does both,
	 * so a look while a fence is being added is not what is tested here.
	 */
	for (i = 1; i < 2000; i++) {
		attach(_metadata, self->buf, WRITE_FENCE, fence_at(timelines[i & 1], i / 2 + 1));
		signal_fence(_metadata, timelines[~i & 1]);
		ASSERT_EQ(0, look(&by_poll, self->buf, INOUT));
	}
	EXPECT_TRUE(still_waits(&s));
	signal_fence(_metadata, timelines[~i & 1]);
	EXPECT_EQ(POLLIN, woken_with(&s));
}

TEST_F(way, no_lost_wakeup_when_the_fence_signals)
{
	static const struct { __u32 access; int events; } step[] = {
		{ WRITE_FENCE, POLLIN }, { WRITE_FENCE, POLLOUT }, { READ_FENCE, POLLOUT },
	};
	struct sleeper s;
	int fence, i;

	/* Twice each: what nobody gives back serves only once. */
	for (i = 0; i < 6; i++) {
		fence = add_fence(_metadata, self->buf, step[i / 2].access);
		start_sleeper(_metadata, &s, variant->way, self->buf, step[i / 2].events);
		signal_fence(_metadata, fence);
		EXPECT_EQ(step[i / 2].events, woken_with(&s));
	}
}

TEST_F(way, no_lost_wakeup_when_fences_are_added_replaced_or_merged_meanwhile)
{
	enum { ADDED, REPLACED, MERGED } how;
	int first, next, fence;
	struct sleeper s;

	for (how = ADDED; how <= MERGED; how++) {
		first = add_fence(_metadata, self->buf, WRITE_FENCE);
		start_sleeper(_metadata, &s, variant->way, self->buf, POLLIN);
		next = how == REPLACED ? first : sw_sync_timeline_create();
		fence = fence_at(next, how == REPLACED ? 2 : 1);
		if (how == MERGED)
			fence = sync_merge("poll", fence, fence_at(first, 1));
		attach(_metadata, self->buf, WRITE_FENCE, fence);
		EXPECT_TRUE(sleeps_undisturbed(&s));
		signal_fence(_metadata, first);
		EXPECT_TRUE(still_waits(&s));
		signal_fence(_metadata, next);
		EXPECT_EQ(POLLIN, woken_with(&s));
	}
}

TEST_F(way, one_wakeup_for_sixteen_fences_in_order)
{
	struct sleeper s;
	int fences[16], i;

	for (i = 0; i < 16; i++)
		fences[i] = add_fence(_metadata, self->buf, READ_FENCE);
	start_sleeper(_metadata, &s, variant->way, self->buf, POLLOUT);
	for (i = 0; i < 15; i++) {
		signal_fence(_metadata, fences[i]);
		ASSERT_TRUE(sleeps_undisturbed(&s));
	}
	signal_fence(_metadata, fences[15]);
	EXPECT_EQ(POLLOUT, woken_with(&s));
}

TEST_F(way, quiet_polling_the_idle_direction_wakes_no_sleeper_for_the_other)
{
	int fence = add_fence(_metadata, self->buf, READ_FENCE), i;
	struct sleeper s;

	start_sleeper(_metadata, &s, variant->way, self->buf, POLLOUT);
	for (i = 0; i < 100; i++)
		EXPECT_EQ(POLLIN, look(&by_poll, self->buf, INOUT));
	EXPECT_TRUE(sleeps_undisturbed(&s));
	signal_fence(_metadata, fence);
	EXPECT_EQ(POLLOUT, woken_with(&s));
}

TEST_F(way, neutral_last_close_frees_the_buffer_with_a_fence_pending)
{
	struct watch w = { variant->way, self->buf, INOUT };
	unsigned long inode = inode_of(self->buf);
	int ms;

	add_fence(_metadata, self->buf, WRITE_FENCE);
	ASSERT_EQ(0, watch_open(&w));
	EXPECT_EQ(0, watch_wait(&w, 1));
	/* What is under way holds the file; epoll does not, and may stay. */
	if (variant->way->wait == wait_io_uring || variant->way->wait == wait_aio)
		watch_close(&w);
	close(self->buf);
	for (ms = 0; ms < GIVE_UP_MS && references(inode); ms++)
		usleep(1000);
	EXPECT_EQ(0, references(inode));
}

/* Those who are told of each change, once */
FIXTURE(edge) { int buf; };
FIXTURE_VARIANT(edge) { const struct way *way; };
FIXTURE_VARIANT_ADD(edge, epoll_et) { &by_epoll_et };
FIXTURE_VARIANT_ADD(edge, io_uring_multishot) { &by_multishot };
FIXTURE_SETUP(edge) { self->buf = alloc_for(_metadata, variant->way); }
FIXTURE_TEARDOWN(edge) {}

TEST_F(edge, quiet_idle_buffer_is_one_event_to_each_of_two)
{
	struct watch a = { variant->way, self->buf, POLLIN }, b = a;
	int i, events = 0;

	ASSERT_EQ(0, watch_open(&a));
	EXPECT_EQ(1, watch_events(&a, 1000));
	ASSERT_EQ(0, watch_open(&b));
	for (i = 0; i < 500; i++) {
		EXPECT_EQ(INOUT, look(&by_poll, self->buf, INOUT));
		events += watch_events(&b, 1) + watch_events(&a, 1);
	}
	EXPECT_EQ(1, events);
}

TEST_F(edge, quiet_completion_is_one_event_if_somebody_has_seen_it_busy)
{
	struct watch w = { variant->way, self->buf, POLLIN };
	int fence, seen, events;

	ASSERT_EQ(0, watch_open(&w));
	EXPECT_EQ(POLLIN, watch_wait(&w, 0));
	for (seen = 0; seen < 2; seen++) {
		fence = add_fence(_metadata, self->buf, WRITE_FENCE);
		if (seen)
			look(&by_poll, self->buf, POLLIN);
		signal_fence(_metadata, fence);
		usleep(SETTLE_MS * 1000);
		events = watch_events(&w, 100);
		/* That there is none unless somebody has looked is no promise. */
		EXPECT_TRUE(events == 1 || events == seen);
	}
}

/* In which order sixteen fences signal, by turns a writer's and a reader's */
FIXTURE(order) { int buf, fences[16]; };
FIXTURE_VARIANT(order) { int first, step; };
FIXTURE_VARIANT_ADD(order, as_added) { 0, 1 };
FIXTURE_VARIANT_ADD(order, reversed) { 15, 15 };
FIXTURE_VARIANT_ADD(order, shuffled) { 3, 7 };
FIXTURE_TEARDOWN(order) {}

FIXTURE_SETUP(order)
{
	int i;

	self->buf = udmabuf_alloc();
	for (i = 0; i < 16; i++)
		self->fences[i] = add_fence(_metadata, self->buf,
					    i & 1 ? READ_FENCE : WRITE_FENCE);
}

/* What that access has to wait for, as a sync_file, says whether it is over. */
static bool is_over(int buf, __u32 access)
{
	struct dma_buf_export_sync_file export = { .flags = access };

	return !ioctl(buf, DMA_BUF_IOCTL_EXPORT_SYNC_FILE, &export) &&
	       look(&by_poll, export.fd, POLLIN);
}

TEST_F(order, exact_poll_agrees_with_exported_sync_files_at_each_step)
{
	int i;

	for (i = 0; i < 16; i++) {
		EXPECT_EQ((is_over(self->buf, DMA_BUF_SYNC_READ) ? POLLIN : 0) |
			  (is_over(self->buf, DMA_BUF_SYNC_WRITE) ? POLLOUT : 0),
			  look(&by_poll, self->buf, INOUT));
		signal_fence(_metadata, self->fences[(variant->first + i * variant->step) % 16]);
	}
	EXPECT_EQ(INOUT, look(&by_poll, self->buf, INOUT));
}

TEST_F(order, no_lost_wakeup_in_either_direction)
{
	struct sleeper in, out;
	int i;

	start_sleeper(_metadata, &in, &by_poll, self->buf, POLLIN);
	start_sleeper(_metadata, &out, &by_poll, self->buf, POLLOUT);
	for (i = 0; i < 16; i++)
		signal_fence(_metadata, self->fences[(variant->first + i * variant->step) % 16]);
	EXPECT_EQ(POLLIN, woken_with(&in));
	EXPECT_EQ(POLLOUT, woken_with(&out));
}

FIXTURE(buffer) { int buf; };
FIXTURE_SETUP(buffer) { self->buf = alloc_for(_metadata, &by_poll); }
FIXTURE_TEARDOWN(buffer) {}

TEST_F(buffer, shared_sleepers_of_every_kind_are_woken_by_one_fence)
{
	static const struct way * const ways[] = {
		&by_poll, &by_ppoll, &by_select, &by_epoll, &by_epoll_et, &by_epoll_oneshot,
		&by_epoll_exclusive, &by_epoll_nested, &by_io_uring, &by_multishot, &by_aio,
	};
	int fence = add_fence(_metadata, self->buf, WRITE_FENCE), i, n = 0;
	struct sleeper s[2 * ARRAY_SIZE(ways)];

	for (i = 0; i < ARRAY_SIZE(s); i++)
		if (is_usable(ways[i / 2]))
			start_sleeper(_metadata, &s[n++], ways[i / 2], self->buf,
				      i & 1 ? POLLOUT : POLLIN);
	signal_fence(_metadata, fence);
	for (i = 0; i < n; i++)
		EXPECT_EQ(s[i].watch.events, woken_with(&s[i]));
}

TEST_F(buffer, names_rdnorm_goes_with_in_and_wrnorm_with_out)
{
	const int all = INOUT | POLLRDNORM | POLLWRNORM;
	struct sleeper in, out;
	int fence;

	EXPECT_EQ(all, look(&by_poll, self->buf, all));
	fence = add_fence(_metadata, self->buf, READ_FENCE);
	EXPECT_EQ(POLLIN | POLLRDNORM, look(&by_poll, self->buf, all));
	signal_fence(_metadata, fence);
	fence = add_fence(_metadata, self->buf, WRITE_FENCE);
	start_sleeper(_metadata, &in, &by_poll, self->buf, POLLRDNORM);
	start_sleeper(_metadata, &out, &by_epoll, self->buf, POLLWRNORM);
	signal_fence(_metadata, fence);
	EXPECT_EQ(POLLRDNORM, woken_with(&in));
	EXPECT_EQ(POLLWRNORM, woken_with(&out));
}

int main(int argc, char **argv)
{
	static const char * const needs[] = {
		"/sys/kernel/debug/sync/sw_sync", "/sys/kernel/debug/dma_buf/bufinfo",
		"/dev/udmabuf",
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(needs); i++)
		if (access(needs[i], R_OK))
			ksft_exit_skip("%s: %s\n", needs[i], strerror(errno));
	return test_harness_run(argc, argv);
}
