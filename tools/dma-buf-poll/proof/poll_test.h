/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the tests of poll() on a dma-buf share: where they run, what is set up
 * for each of them, and the steps they are made of.
 */
#ifndef __SELFTEST_POLL_TEST_H
#define __SELFTEST_POLL_TEST_H

#include <poll.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "kselftest_harness.h"

#include "dmabuf_util.h"
#include "dmabuf_wait.h"

#define TIMEOUT_S	30

/* Whoever drops the last reference frees the buffer before going on. */
#define AT_ONCE		0
/* But what io_uring or a socket held is dropped behind one's back. */
#define SOON		GIVE_UP_MS

/*
 * SKIP() from wherever it turns out to be necessary. Harnesses before 6.9 go
 * on with the test when its setup is skipped, and had an exit code of their
 * own for it.
 */
#ifdef XFAIL_ADD
#define SKIP_EXIT	KSFT_SKIP
#else
#define SKIP_EXIT	255
#endif

#define SKIP_TEST(fmt, ...) \
	SKIP(_exit(SKIP_EXIT), fmt, ##__VA_ARGS__)

/* Where a test runs. */
struct place {
	enum dmabuf_exporter exporter;
	enum fence_source source;
};

struct poll_test {
	struct dmabuf buf;
	enum dmabuf_exporter exporter;
	enum fence_source source;
	int kernel_log;
};

/* What comes first in every test: what the kernel logs from here on is its fault. */
static inline int begin_test(struct __test_metadata *_metadata, const struct place *on)
{
	const char *missing = exporter_missing(on->exporter);
	char name[16];

	if (test_is_spared(_metadata->fixture->name))
		SKIP_TEST("spared");
	if (missing)
		SKIP_TEST("%s", missing);

	/* timelines of sw_sync are named after the process that opened them */
	snprintf(name, sizeof(name), "poll.%d", getpid());
	prctl(PR_SET_NAME, name);
	return kernel_log_open();
}

static inline void poll_test_setup(struct __test_metadata *_metadata,
				   struct poll_test *t, const struct place *on)
{
	const char *missing;

	t->exporter = on->exporter;
	t->source = on->source;
	t->kernel_log = begin_test(_metadata, on);
	ASSERT_EQ(0, dmabuf_create(&t->buf, t->exporter));

	missing = fence_source_missing(t->source, t->buf.fd);
	if (missing)
		SKIP_TEST("%s", missing);
}

/* A reference that is dropped twice shows in the kernel's log first. */
static inline void poll_test_teardown(struct __test_metadata *_metadata,
				      struct poll_test *t)
{
	dmabuf_destroy(&t->buf);
	EXPECT_EQ(0, kernel_log_warnings(t->kernel_log));
	close(t->kernel_log);
}

#define POLL_TEST(fixture, name) \
	TEST_F_TIMEOUT(fixture, name, TIMEOUT_S)

#define UDMABUF_SW_SYNC		{ EXPORTER_UDMABUF, FENCES_SW_SYNC }
#define SYSTEM_HEAP_SW_SYNC	{ EXPORTER_SYSTEM_HEAP, FENCES_SW_SYNC }
#define VGEM_SW_SYNC		{ EXPORTER_VGEM, FENCES_SW_SYNC }
#define VGEM_VGEM		{ EXPORTER_VGEM, FENCES_VGEM }

/* Tests whose fences vgem would refuse to attach: they are imported. */
#define POLL_FIXTURE_IMPORT(name)						\
FIXTURE(name) { struct poll_test t; };						\
FIXTURE_VARIANT(name) { struct place on; };					\
FIXTURE_SETUP(name) { poll_test_setup(_metadata, &self->t, &variant->on); }	\
FIXTURE_TEARDOWN(name) { poll_test_teardown(_metadata, &self->t); }		\
FIXTURE_VARIANT_ADD(name, udmabuf_sw_sync) { .on = UDMABUF_SW_SYNC };		\
FIXTURE_VARIANT_ADD(name, system_heap_sw_sync) { .on = SYSTEM_HEAP_SW_SYNC };	\
FIXTURE_VARIANT_ADD(name, vgem_sw_sync) { .on = VGEM_SW_SYNC }

/* and with any */
#define POLL_FIXTURE(name)							\
POLL_FIXTURE_IMPORT(name);							\
FIXTURE_VARIANT_ADD(name, vgem_vgem) { .on = VGEM_VGEM }

static inline struct fence add_fence(struct __test_metadata *_metadata,
				     struct poll_test *t, enum fence_usage usage)
{
	struct fence fence;

	ASSERT_EQ(0, fence_prepare(&fence, t->source));
	ASSERT_EQ(0, fence_attach(&fence, &t->buf, usage));
	return fence;
}

static inline void signal_fence(struct __test_metadata *_metadata, struct fence *fence)
{
	ASSERT_EQ(0, fence_signal(fence));
}

static inline int poll_now(struct poll_test *t, short events)
{
	return wait_now(WAIT_POLL, t->buf.fd, events);
}

static inline void need_kind(struct __test_metadata *_metadata, enum wait_kind kind)
{
	const char *missing = wait_kind_missing(kind);

	if (missing)
		SKIP_TEST("%s: %s", wait_kind_name(kind), missing);
}

/* A thread that is known to sleep in its wait. */
static inline struct waiter *start_waiter(struct __test_metadata *_metadata,
					  struct poll_test *t, enum wait_kind kind,
					  short events)
{
	struct waiter *w;

	need_kind(_metadata, kind);
	w = waiter_start(kind, t->buf.fd, events);
	ASSERT_NE(NULL, w);
	ASSERT_EQ(0, waiter_wait_asleep(w, 1));
	return w;
}

static inline void expect_woken(struct __test_metadata *_metadata, struct waiter *w,
				short events)
{
	EXPECT_EQ(events, waiter_join(w, NULL));
}

/* It has not even been woken in vain since it was seen asleep. */
static inline void expect_undisturbed(struct __test_metadata *_metadata,
				      struct waiter *w)
{
	sleep_ms(SETTLE_MS);
	EXPECT_EQ(1, waiter_sleeps(w));
	EXPECT_FALSE(waiter_returned(w));
}

/* References on the file, which goes with the last of them, fences or not. */
static inline long wait_freed(struct __test_metadata *_metadata, struct poll_test *t,
			      int within_ms)
{
	long long deadline = now_ms() + within_ms;
	long count;

	do {
		count = dmabuf_file_count(t->buf.ino);
		if (count <= 0)
			break;
		usleep(1000);
	} while (now_ms() < deadline);

	if (count < 0)
		SKIP_TEST("bufinfo of dma-buf: %s", strerror(-count));
	return count;
}

#endif /* __SELFTEST_POLL_TEST_H */
