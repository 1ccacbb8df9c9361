// SPDX-License-Identifier: GPL-2.0-only
/*
 * How long poll on a dma-buf takes by the clock of the machine: a second witness
 * beside the instructions that poll_bench counts. witness.sh builds it into UML
 * kernels of the stock code, the fixes and the rework, and runs these in turns.
 *
 * It knows nothing but vfs_poll() and dma-resv, and prints for each figure
 *
 *   # result: <name>\t<picoseconds>\tps
 *
 * the smallest of many rounds: what else the machine does is not in it.
 */

#include <linux/dma-buf.h>
#include <linux/dma-fence.h>
#include <linux/dma-resv.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/irq_work.h>
#include <linux/irqflags.h>
#include <linux/ktime.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/wait.h>

#include <kunit/test.h>

#define MAX_FENCES	64
#define MAX_WATCHERS	256
#define ROUNDS		40
/* so that the steps of the clock, 256 ns under UML, do not matter */
#define POLLS		1000
#define WAITS		50

enum order {
	ORDER_ADDED,
	ORDER_RANDOM,
	ORDER_REVERSE,
};

struct watcher {
	struct poll_table_struct table;
	struct wait_queue_entry entry;
	struct wait_queue_head *head;
	bool woken;
};

static struct timed {
	struct dma_buf *dmabuf;
	spinlock_t lock;
	struct dma_fence *fences[MAX_FENCES];
	struct watcher watchers[MAX_WATCHERS];
} timed;

static const char *timed_name(struct dma_fence *fence)
{
	return "timed";
}

static bool timed_enable_signaling(struct dma_fence *fence)
{
	return true;
}

static const struct dma_fence_ops timed_fence_ops = {
	.get_driver_name = timed_name,
	.get_timeline_name = timed_name,
	.enable_signaling = timed_enable_signaling,
};

static struct sg_table *timed_map(struct dma_buf_attachment *attach,
				  enum dma_data_direction dir)
{
	return ERR_PTR(-ENODEV);
}

static void timed_unmap(struct dma_buf_attachment *attach, struct sg_table *sgt,
			enum dma_data_direction dir)
{
}

static void timed_release(struct dma_buf *dmabuf)
{
}

static const struct dma_buf_ops timed_buf_ops = {
	.map_dma_buf = timed_map,
	.unmap_dma_buf = timed_unmap,
	.release = timed_release,
};

static void timed_open(struct kunit *test)
{
	DEFINE_DMA_BUF_EXPORT_INFO(info);

	spin_lock_init(&timed.lock);
	info.ops = &timed_buf_ops;
	info.size = PAGE_SIZE;
	info.flags = O_RDWR;
	info.priv = &timed;
	timed.dmabuf = dma_buf_export(&info);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, timed.dmabuf);
}

static void timed_close(void)
{
	dma_buf_put(timed.dmabuf);
	flush_delayed_fput();
}

static void timed_add_fences(struct kunit *test, unsigned int n)
{
	struct dma_resv *resv = timed.dmabuf->resv;
	unsigned int i;

	dma_resv_lock(resv, NULL);
	KUNIT_ASSERT_EQ(test, dma_resv_reserve_fences(resv, n), 0);
	for (i = 0; i < n; i++) {
		timed.fences[i] = kzalloc(sizeof(*timed.fences[i]), GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, timed.fences[i]);
		dma_fence_init(timed.fences[i], &timed_fence_ops, &timed.lock,
			       dma_fence_context_alloc(1), 1);
		dma_resv_add_fence(resv, timed.fences[i], DMA_RESV_USAGE_WRITE);
	}
	dma_resv_unlock(resv);
}

static void timed_put_fences(unsigned int n)
{
	while (n--)
		dma_fence_put(timed.fences[n]);
}

static int watcher_wake(struct wait_queue_entry *entry, unsigned int mode, int flags,
			void *key)
{
	container_of(entry, struct watcher, entry)->woken = true;
	return 1;
}

static void watcher_queue(struct file *file, struct wait_queue_head *head,
			  struct poll_table_struct *table)
{
	struct watcher *w = container_of(table, struct watcher, table);

	w->head = head;
	init_waitqueue_func_entry(&w->entry, watcher_wake);
	add_wait_queue(head, &w->entry);
}

static __poll_t watcher_begin(struct watcher *w)
{
	w->woken = false;
	init_poll_funcptr(&w->table, watcher_queue);
	w->table._key = EPOLLIN;
	return vfs_poll(timed.dmabuf->file, &w->table);
}

static void watcher_end(struct watcher *w)
{
	remove_wait_queue(w->head, &w->entry);
}

static void timed_result(const char *name, unsigned int n, u64 ps)
{
	pr_info("# result: %s.%u\t%llu\tps\n", name, n, ps);
}

/* One poll of a buffer that so many watch, and on which nothing happens. */
static void timed_poll(struct kunit *test, const char *name, unsigned int watchers,
		       __poll_t expected)
{
	struct poll_table_struct table = { ._key = EPOLLIN };
	u64 best = U64_MAX, begin;
	unsigned int i, j;

	for (i = 0; i < watchers; i++)
		watcher_begin(&timed.watchers[i]);
	for (i = 0; i < ROUNDS; i++) {
		begin = ktime_get_ns();
		for (j = 0; j < POLLS; j++)
			if (vfs_poll(timed.dmabuf->file, &table) != expected)
				break;
		best = min(best, ktime_get_ns() - begin);
		KUNIT_ASSERT_EQ(test, j, POLLS);
	}
	for (i = 0; i < watchers; i++)
		watcher_end(&timed.watchers[i]);
	timed_result(name, watchers, best * 1000 / POLLS);
}

static void time_idle(struct kunit *test)
{
	timed_open(test);
	timed_poll(test, "idle", 0, EPOLLIN);
	timed_poll(test, "idle", 16, EPOLLIN);
	timed_poll(test, "idle", 256, EPOLLIN);
	timed_close();
}

static void time_busy(struct kunit *test)
{
	timed_open(test);
	timed_add_fences(test, 1);
	timed_poll(test, "busy", 0, 0);
	dma_fence_signal(timed.fences[0]);
	timed_put_fences(1);
	timed_close();
}

/* The same orders for every kernel */
static unsigned int timed_next(enum order order, unsigned int i, unsigned int n)
{
	switch (order) {
	case ORDER_ADDED:
		return i;
	case ORDER_REVERSE:
		return n - 1 - i;
	default:
		/* each once, as n is a power of two and the factor is odd */
		return (i * 37 + 11) % n;
	}
}

/* UML has no interrupt for it: it would wait for the next tick. */
static void run_irq_work(void)
{
	unsigned long flags;

	local_irq_save(flags);
	irq_work_run();
	local_irq_restore(flags);
}

/*
 * A whole wait, as poll(2) does it but for the switches between threads: queue and
 * look, and whenever somebody has woken us look again. The signals are in it, and a
 * look for irq_work after each, in all kernels alike.
 */
static u64 timed_wait_once(struct kunit *test, unsigned int n, enum order order, bool wait)
{
	struct watcher *w = &timed.watchers[0];
	__poll_t events = 0;
	unsigned int i;
	u64 begin;

	timed_open(test);
	timed_add_fences(test, n);

	begin = ktime_get_ns();
	if (wait)
		watcher_begin(w);
	w->table._qproc = NULL;
	for (i = 0; i < n; i++) {
		dma_fence_signal(timed.fences[timed_next(order, i, n)]);
		run_irq_work();
		if (wait && READ_ONCE(w->woken)) {
			w->woken = false;
			events = vfs_poll(timed.dmabuf->file, &w->table);
		}
	}
	begin = ktime_get_ns() - begin;

	if (wait) {
		watcher_end(w);
		KUNIT_EXPECT_EQ(test, events, EPOLLIN);
	}
	timed_put_fences(n);
	timed_close();

	return begin;
}

static void timed_wait(struct kunit *test, const char *name, unsigned int n,
		       enum order order, bool wait)
{
	u64 best = U64_MAX, sum;
	unsigned int i, j;

	for (i = 0; i < ROUNDS; i++) {
		for (sum = 0, j = 0; j < WAITS; j++)
			sum += timed_wait_once(test, n, order, wait);
		best = min(best, sum);
	}
	timed_result(name, n, best * 1000 / WAITS);
}

static void time_wait(struct kunit *test)
{
	unsigned int n;

	for (n = 1; n <= MAX_FENCES; n *= 4) {
		timed_wait(test, "signals", n, ORDER_ADDED, false);
		timed_wait(test, "in_order", n, ORDER_ADDED, true);
		timed_wait(test, "random", n, ORDER_RANDOM, true);
		timed_wait(test, "reverse", n, ORDER_REVERSE, true);
	}
}

static struct kunit_case time_cases[] = {
	KUNIT_CASE(time_idle),
	KUNIT_CASE(time_busy),
	KUNIT_CASE(time_wait),
	{}
};

static struct kunit_suite time_suite = {
	.name = "dma-buf-poll-time",
	.test_cases = time_cases,
};
kunit_test_suite(time_suite);

MODULE_DESCRIPTION("How long poll on a dma-buf takes");
MODULE_LICENSE("GPL");
