/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the dma-buf tests share: buffers from several exporters, fences from
 * several sources, and the views of the kernel from which the tests judge.
 *
 * Unless said otherwise a function returns 0 (or a file descriptor) or -errno.
 */
#ifndef __SELFTEST_DMABUF_UTIL_H
#define __SELFTEST_DMABUF_UTIL_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

/* The kselftest.h of 5.10 does not have it */
#ifndef ARRAY_SIZE
#define ARRAY_SIZE(arr)	(sizeof(arr) / sizeof((arr)[0]))
#endif

/*
 * Nothing here is expected to take anywhere near this long: it is the point at
 * which a test gives up on something that should have happened.
 */
#define GIVE_UP_MS	4000

/* How long something that must not happen is given to happen. */
#define SETTLE_MS	20

/* The lines of the contract, as results are named after them */
enum line {
	EXACT,
	NO_LOST_WAKEUP,
	ONE_WAKEUP,
	QUIET,
	NEUTRAL,
	SHARED,
	NAMES,
	ANYCONTEXT,
	LINES,
};

extern const char * const line_names[LINES];

enum dmabuf_exporter {
	EXPORTER_UDMABUF,
	EXPORTER_SYSTEM_HEAP,
	EXPORTER_VGEM,
};

enum fence_source {
	/* one timeline per fence, through DMA_BUF_IOCTL_IMPORT_SYNC_FILE */
	FENCES_SW_SYNC,
	/* DRM_IOCTL_VGEM_FENCE_ATTACH, which refuses conflicting fences */
	FENCES_VGEM,
};

enum fence_usage {
	FENCE_READ,
	FENCE_WRITE,
};

struct dmabuf {
	int fd;
	unsigned long ino;
	/* vgem only; the fences of vgem live and die with drm_fd */
	int drm_fd;
	uint32_t handle;
};

struct fence {
	enum fence_source source;
	/* sw_sync; closing the timeline signals the fence with an error */
	int timeline;
	int sync_fd;
	/* vgem */
	int drm_fd;
	uint32_t vgem_id;
};

/*
 * ioctl(), until it is not interrupted; what it returns, or -errno. What goes to IGT by
 * itself, igt/tests/dmabuf_poll.c, has its own.
 */
int xioctl(int fd, unsigned long request, void *arg);

/* Why the exporter or source cannot be used here, or NULL. */
const char *exporter_missing(enum dmabuf_exporter exporter);
const char *fence_source_missing(enum fence_source source, int dmabuf_fd);

int dmabuf_create(struct dmabuf *buf, enum dmabuf_exporter exporter);
/* From udmabuf, which may refuse more than 64 MiB. */
int dmabuf_create_sized(struct dmabuf *buf, size_t size);
/* Closes the buffer and makes another, with vgem's fences left pending. */
int dmabuf_replace(struct dmabuf *buf, enum dmabuf_exporter exporter);
/* Drops what keeps the buffer alive, but leaves vgem's fences pending. */
void dmabuf_close(struct dmabuf *buf);
void dmabuf_destroy(struct dmabuf *buf);

/* A fence that is ready to be attached with as little ado as possible. */
int fence_prepare(struct fence *fence, enum fence_source source);
int fence_attach(struct fence *fence, struct dmabuf *buf, enum fence_usage usage);
int fence_signal(struct fence *fence);
void fence_close(struct fence *fence);

int sw_sync_timeline(void);
int sw_sync_fence(int timeline, uint32_t value);
int sw_sync_inc(int timeline, uint32_t by);
/* Close a timeline with fences left for values after @from up to @to. */
#define SW_SYNC_MAX_LEFT	8
void sw_sync_end(int timeline, uint32_t from, uint32_t to);
/* Fences still referenced on the timelines that carry this process' name. */
int sw_sync_live_fences(void);
int sync_file_merge(int fd1, int fd2);
int dmabuf_import_sync_file(int dmabuf_fd, int sync_fd, enum fence_usage usage);
/* A sync_file for what an access of this kind has to wait for. */
int dmabuf_export_sync_file(int dmabuf_fd, enum fence_usage usage);

/*
 * A relay: fences follow each other on a buffer, each there before the last one signals,
 * so that one is pending at every instant. Two timelines take turns. Write fences have
 * read fences in between, which stay: the slots of the two are far apart in the list, and
 * whoever walks over it is overtaken.
 */
#define RELAY_CROWD	256

struct relay {
	int dmabuf_fd;
	enum fence_usage usage;
	int timelines[2];
	uint32_t points[2];
	/* whose fence is pending */
	unsigned int last;
	int crowd[RELAY_CROWD];
	unsigned int n_crowd;
};

/* With its first fence pending */
void relay_open(struct relay *r, int dmabuf_fd, enum fence_usage usage);
void relay_step(struct relay *r);
/* The last fence signals, and the crowd stays. */
void relay_end(struct relay *r);
/* One fence is pending again. */
void relay_begin(struct relay *r);
/* After relay_end() */
void relay_close(struct relay *r);

/* References held on the file of the buffer; 0 once it is freed. */
long dmabuf_file_count(unsigned long ino);
/* All the buffers there are, of whomever. */
long dmabuf_live_buffers(void);

/* Over a socket, as SCM_RIGHTS. */
int fd_send(int sock, int fd);
int fd_receive(int sock);
/* Descriptors that this process has open. */
int open_fds(void);

struct sched_sample {
	char state;
	long nvcsw;
};

/*
 * Of any thread, its state and how often it left the processor of its own
 * accord. That is to sleep, except on PREEMPT_RT: there it also waits for
 * spinlocks, such as that of the wait queue on which others are woken as well.
 */
int sched_sample(pid_t tid, struct sched_sample *sample);
bool preempt_rt(void);
/* How often to count wake-ups until there is one: what was none is not always there. */
int wakeup_tries(void);

void sleep_ms(unsigned int ms);
long long now_ms(void);

/*
 * Whether whoever runs the tests wants this fixture left out, because the
 * kernel at hand does not survive it: $DMABUF_SPARE lists them. Not every
 * version of the harness can be told on its command line.
 */
bool test_is_spared(const char *fixture);

/* The same numbers after the same seed, on every machine. */
struct rng {
	uint64_t state;
};

uint64_t rng_next(struct rng *rng);
/* From 0 to below - 1. */
unsigned int rng_below(struct rng *rng, unsigned int below);

/* A whole number given by the user: says what is wrong with it and exits. */
long parse_number(const char *what, const char *text, long min, long max);
/* Prints it because it was asked for (-h), or because the option is none, and exits. */
void show_usage(const char *usage, int option);
/* Says what is wrong with the arguments, and exits. */
void bad_usage(const char *usage, const char *what, const char *arg);

/* Something the tests rely on, and not poll, has failed if it is not @ok. */
void need(bool ok, const char *what);

/* Warnings of the kernel logged since, with the first of them printed. */
int kernel_log_open(void);
int kernel_log_warnings(int fd);

/* A measured figure, for a report to pick up. */
#define figure(contract, value, what, ...)				\
	dprintf(STDOUT_FILENO, "# figure: " contract " " what " = %ld\n", \
		##__VA_ARGS__, (long)(value))

#endif /* __SELFTEST_DMABUF_UTIL_H */
