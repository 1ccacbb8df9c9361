// SPDX-License-Identifier: GPL-2.0
/*
 * How to wait for a dma-buf in an event loop: the example of
 * Documentation/driver-api/dma-buf-poll.rst.
 *
 * A buffer comes in, maybe still being written to by a device. Watch it with
 * level-triggered epoll, like any other file descriptor of the loop; when it is
 * ready, stop watching it, and read it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/dma-buf.h>
#include <linux/udmabuf.h>

/* Whole pages, of whatever size */
#define SIZE		65536
#define KSFT_SKIP	4

static void die(const char *what)
{
	perror(what);
	exit(1);
}

/* Whatever has a dma-buf to give: here udmabuf, in a compositor the client. */
static int get_buffer(void)
{
	struct udmabuf_create create = { .size = SIZE };
	int dev, mem, buf;

	dev = open("/dev/udmabuf", O_RDWR | O_CLOEXEC);
	if (dev < 0) {
		perror("/dev/udmabuf");
		exit(KSFT_SKIP);
	}
	mem = memfd_create("example", MFD_ALLOW_SEALING | MFD_CLOEXEC);
	if (mem < 0 || ftruncate(mem, SIZE) ||
	    fcntl(mem, F_ADD_SEALS, F_SEAL_SHRINK))
		die("memfd");

	create.memfd = mem;
	create.flags = UDMABUF_FLAGS_CLOEXEC;
	buf = ioctl(dev, UDMABUF_CREATE, &create);
	if (buf < 0)
		die("UDMABUF_CREATE");
	close(mem);
	close(dev);

	return buf;
}

/* EPOLLIN to read the buffer, EPOLLOUT to write to it. Level is the default. */
static void watch(int epoll, int buf)
{
	struct epoll_event event = { .events = EPOLLIN, .data.fd = buf };

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, buf, &event))
		die("EPOLL_CTL_ADD");
}

/* The devices are done. The caches are another matter: bracket the access. */
static void use(int buf)
{
	struct dma_buf_sync sync = { .flags = DMA_BUF_SYNC_READ };
	const unsigned char *map;

	map = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, buf, 0);
	if (map == MAP_FAILED)
		die("mmap");

	sync.flags |= DMA_BUF_SYNC_START;
	if (ioctl(buf, DMA_BUF_IOCTL_SYNC, &sync))
		die("DMA_BUF_SYNC_START");

	printf("the buffer is ready, its first byte is %u\n", map[0]);

	sync.flags = DMA_BUF_SYNC_READ | DMA_BUF_SYNC_END;
	if (ioctl(buf, DMA_BUF_IOCTL_SYNC, &sync))
		die("DMA_BUF_SYNC_END");
	munmap((void *)map, SIZE);
}

int main(void)
{
	struct epoll_event event;
	int epoll, n;

	epoll = epoll_create1(EPOLL_CLOEXEC);
	if (epoll < 0)
		die("epoll_create1");
	watch(epoll, get_buffer());

	do {
		n = epoll_wait(epoll, &event, 1, 10000);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		die("epoll_wait");
	if (n == 0) {
		fprintf(stderr, "no device needs this long\n");
		return 1;
	}

	/*
	 * A buffer that stays ready would be reported again and again. To watch
	 * it once more, for its next frame, is EPOLL_CTL_ADD again.
	 */
	if (epoll_ctl(epoll, EPOLL_CTL_DEL, event.data.fd, NULL))
		die("EPOLL_CTL_DEL");
	use(event.data.fd);
	close(event.data.fd);
	close(epoll);

	return 0;
}
