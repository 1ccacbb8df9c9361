// SPDX-License-Identifier: GPL-2.0
/*
 * What the kernel tells of those who wait for a dma-buf: the lines in
 * dma_buf/bufinfo of debugfs, and the trace events dma_buf_poll.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/mount.h>

#include "poll_test.h"

#define BUFINFO		"/sys/kernel/debug/dma_buf/bufinfo"
#define TRACEFS		"/sys/kernel/tracing"
#define EVENTS		TRACEFS "/events/dma_buf_poll"

FIXTURE(trace) {
	struct dmabuf buf;
	struct fence fence;
};

FIXTURE_SETUP(trace)
{
	const char *missing;

	missing = exporter_missing(EXPORTER_UDMABUF);
	if (missing)
		SKIP_TEST("%s", missing);
	ASSERT_EQ(0, dmabuf_create(&self->buf, EXPORTER_UDMABUF));
	missing = fence_source_missing(FENCES_SW_SYNC, self->buf.fd);
	if (missing)
		SKIP_TEST("%s", missing);
	ASSERT_EQ(0, fence_prepare(&self->fence, FENCES_SW_SYNC));
	ASSERT_EQ(0, fence_attach(&self->fence, &self->buf, FENCE_WRITE));
}

FIXTURE_TEARDOWN(trace)
{
	fence_close(&self->fence);
	dmabuf_destroy(&self->buf);
}

/*
 * How many lines of what bufinfo says about the buffer hold both, or -errno.
 * The first line of a buffer is the one with its inode number.
 */
static int bufinfo_lines_of(unsigned long ino, const char *text,
			    const char *driver)
{
	unsigned long line_ino;
	bool ours = false;
	char line[512];
	int lines = 0;
	FILE *f;

	f = fopen(BUFINFO, "r");
	if (!f)
		return -errno;

	/* size flags mode count exporter ino name */
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%*x %*x %*x %*d %*s %lu", &line_ino) == 1)
			ours = line_ino == ino;
		else if (ours && strstr(line, text) && strstr(line, driver))
			lines++;
	}
	fclose(f);

	return lines;
}

static int bufinfo_lines(unsigned long ino, const char *text)
{
	return bufinfo_lines_of(ino, text, "");
}

TEST_F(trace, debugfs_says_which_fence_is_waited_for)
{
	unsigned long ino = self->buf.ino;

	if (access(BUFINFO, R_OK))
		SKIP(return, BUFINFO ": %s", strerror(errno));

	ASSERT_EQ(0, bufinfo_lines(ino, "waits for"));
	ASSERT_EQ(0, wait_now(WAIT_POLL, self->buf.fd, POLLIN));
	EXPECT_EQ(1, bufinfo_lines(ino, "poll in waits for: "));
	EXPECT_EQ(0, bufinfo_lines(ino, "poll out waits for: "));

	ASSERT_EQ(0, wait_now(WAIT_POLL, self->buf.fd, POLLIN | POLLOUT));
	EXPECT_EQ(1, bufinfo_lines(ino, "poll in waits for: "));
	EXPECT_EQ(1, bufinfo_lines(ino, "poll out waits for: "));
	/* Its driver is in there, wherever this kernel puts that. */
	EXPECT_EQ(1, bufinfo_lines_of(ino, "poll in waits for: ", "sw_sync"));
	EXPECT_EQ(1, bufinfo_lines_of(ino, "poll out waits for: ", "sw_sync"));

	ASSERT_EQ(0, fence_signal(&self->fence));
	EXPECT_EQ(0, bufinfo_lines(ino, "waits for"));
}

/* To look must not keep the fence alive, nor the file */
TEST_F(trace, debugfs_holds_on_to_nothing)
{
	int before, i;

	if (access(BUFINFO, R_OK))
		SKIP(return, BUFINFO ": %s", strerror(errno));

	before = sw_sync_live_fences();
	if (before < 0)
		SKIP(return, "the fences of sw_sync: %s", strerror(-before));

	ASSERT_EQ(0, wait_now(WAIT_POLL, self->buf.fd, POLLIN | POLLOUT));
	for (i = 0; i < 8; i++)
		ASSERT_EQ(2, bufinfo_lines(self->buf.ino, "waits for"));
	ASSERT_EQ(0, fence_signal(&self->fence));
	fence_close(&self->fence);
	dmabuf_close(&self->buf);
	EXPECT_EQ(0, dmabuf_file_count(self->buf.ino));
	EXPECT_EQ(before - 1, sw_sync_live_fences());
}

static int write_to(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_TRUNC);
	ssize_t len;

	if (fd < 0)
		return -errno;
	len = write(fd, text, strlen(text));
	close(fd);

	return len == (ssize_t)strlen(text) ? 0 : -EIO;
}

/*
 * How often the event was traced for the buffer and the directions, or for any
 * if that is NULL, or -errno
 */
static int traced(const char *event, unsigned long ino, const char *direction)
{
	char line[1024], wanted[128];
	int lines = 0;
	FILE *f;

	f = fopen(TRACEFS "/trace", "r");
	if (!f)
		return -errno;
	snprintf(wanted, sizeof(wanted), "dma_buf_poll_%s: ino=%lu direction=%s%s",
		 event, ino, direction ?: "", direction ? " context=" : "");
	while (fgets(line, sizeof(line), f)) {
		if (strstr(line, wanted))
			lines++;
	}
	fclose(f);

	return lines;
}

TEST_F(trace, events_tell_the_life_of_a_wait)
{
	struct epoll_event both = { .events = EPOLLIN | EPOLLOUT };
	unsigned long ino = self->buf.ino;
	struct fence next;
	int ep;

	mount("tracefs", TRACEFS, "tracefs", 0, NULL);
	if (access(EVENTS, F_OK))
		SKIP(return, EVENTS ": %s", strerror(errno));
	ASSERT_EQ(0, write_to(TRACEFS "/trace", "\n"));
	ASSERT_EQ(0, write_to(EVENTS "/enable", "1"));

	EXPECT_EQ(0, wait_now(WAIT_POLL, self->buf.fd, POLLIN));
	EXPECT_EQ(0, wait_now(WAIT_POLL, self->buf.fd, POLLIN));
	EXPECT_EQ(1, traced("arm", ino, "in"));
	EXPECT_EQ(0, traced("arm", ino, "out"));
	EXPECT_EQ(0, wait_now(WAIT_POLL, self->buf.fd, POLLOUT));
	EXPECT_EQ(1, traced("arm", ino, "out"));
	EXPECT_EQ(0, traced("wake", ino, NULL));

	/* One wake-up for both, which a single fence stood for, if somebody waits */
	ep = epoll_create1(EPOLL_CLOEXEC);
	ASSERT_LE(0, ep);
	ASSERT_EQ(0, epoll_ctl(ep, EPOLL_CTL_ADD, self->buf.fd, &both));
	EXPECT_EQ(0, fence_signal(&self->fence));
	close(ep);
	EXPECT_EQ(1, traced("wake", ino, "in|out"));
	EXPECT_EQ(0, traced("wake", ino, "in"));
	EXPECT_EQ(0, traced("wake", ino, "out"));

	ASSERT_EQ(0, fence_prepare(&next, FENCES_SW_SYNC));
	ASSERT_EQ(0, fence_attach(&next, &self->buf, FENCE_READ));
	EXPECT_EQ(POLLIN, wait_now(WAIT_POLL, self->buf.fd, POLLIN | POLLOUT));
	EXPECT_EQ(1, traced("arm", ino, "in"));
	EXPECT_EQ(2, traced("arm", ino, "out"));
	EXPECT_EQ(0, traced("cancel", ino, "out"));
	dmabuf_close(&self->buf);
	EXPECT_EQ(1, traced("cancel", ino, "out"));
	EXPECT_EQ(0, traced("cancel", ino, "in"));
	EXPECT_EQ(1, traced("wake", ino, "in|out"));
	fence_close(&next);

	EXPECT_EQ(0, write_to(EVENTS "/enable", "0"));
}

TEST_HARNESS_MAIN
