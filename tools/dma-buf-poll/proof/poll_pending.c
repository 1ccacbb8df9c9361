// SPDX-License-Identifier: GPL-2.0
/*
 * A buffer that is never idle is never reported ready.
 *
 * One thread always adds the next fence before it signals the last one, as a
 * GPU does under load that draws one frame after the other. So some fence is
 * pending at every instant, and whoever looks must not be told otherwise: a
 * look that takes the state of one fence from before such a step, and that of
 * another from after it, finds that all have signaled, which was never true.
 *
 * Others look meanwhile, in each of the ways in which the answer comes to be:
 * poll(), which looks when it is called and when it is woken; epoll, which is
 * told to look with EPOLL_CTL_MOD; and requests of io_uring and aio. These look
 * when they are submitted, and after that take what they are woken with for the
 * answer, so here whoever wakes has to look.
 *
 * How the fences follow each other decides what a look can trip over: see
 * patterns[]. All results are of the line "exact" of the contract in contract.c.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kselftest.h"

#include "dmabuf_util.h"
#include "dmabuf_wait.h"

#define MANY		256
#define MAX_LOOKERS	64

/* Fewer say nothing, however long that takes. Requests are slower. */
#define MIN_STEPS	200
#define MIN_LOOKS	1000
#define MIN_REQUESTS	200
#define PATIENCE_MS	(5 * GIVE_UP_MS)
/* How often a long run shows that it is alive. */
#define PROGRESS_MS	20000

static const char usage[] =
"Usage: poll_pending [-t SECONDS] [-j THREADS] [-f TEXT]\n"
"\n"
"  -t SECONDS  how long, all tests together, 1 to 604800 (default 15)\n"
"  -j THREADS  how many look at a time, 1 to 64 (default one for each CPU, 2 to 8)\n"
"  -f TEXT     only the tests with TEXT in their name\n"
"  -h          this\n";

/* How the next fence comes after the last one. */
static const struct pattern {
	const char *name;
	enum fence_source source;
	/* fences of one timeline replace each other in place */
	unsigned int timelines;
	/*
	 * Read fences that stay pending, between the slots of the first timeline
	 * and of the second. For whoever looks at write fences these are a long way
	 * from one slot to the other, in either direction.
	 */
	unsigned int reads;
	/* several at a time, at random */
	bool random;
	/*
	 * Somebody else adds fences, and signals them on another CPU. There the
	 * callback of poll looks, while the next fence comes and the last one goes.
	 */
	bool others;
	/*
	 * All timelines get a fence, and then all but the last signal: the only
	 * one that is pending is at the end of a long list, the next one goes to
	 * its beginning.
	 */
	bool rounds;
} patterns[] = {
	{ "one_timeline", FENCES_SW_SYNC, .timelines = 1 },
	{ "two_timelines", FENCES_SW_SYNC, .timelines = 2 },
	{ "eight_timelines", FENCES_SW_SYNC, .timelines = 8, .random = true, .others = true },
	{ "far_apart", FENCES_SW_SYNC, .timelines = 2, .reads = MANY },
	{ "far_apart_and_others", FENCES_SW_SYNC, .timelines = 2, .reads = MANY, .others = true },
	{ "many_timelines", FENCES_SW_SYNC, .timelines = MANY, .rounds = true },
	{ "vgem", FENCES_VGEM, .timelines = 1 },
};

/* What is asked for, and so which fences keep it pending. */
static const struct direction {
	const char *name;
	short events;
	bool reads;
} directions[] = {
	{ "in", POLLIN, false },
	{ "out", POLLOUT, true },
};

static const enum wait_kind ways[] = {
	WAIT_POLL, WAIT_EPOLL_LT, WAIT_IO_URING, WAIT_AIO,
};

struct timeline {
	int fd;
	uint32_t added;
	uint32_t signaled;
};

static struct test {
	enum wait_kind kind;
	const struct pattern *pattern;
	const struct direction *direction;
	char name[80];

	struct dmabuf buf;
	struct timeline timelines[MANY];
	struct timeline reads[MANY];
	struct rng rng;
	/* the timeline, or the fence of vgem, that is pending */
	unsigned int last;
	struct fence fence;

	atomic_bool stop;
	/* fences that were added while another one was pending */
	atomic_long steps;
	atomic_long looks;
	atomic_long ready;
	atomic_long errors;
} test;

static enum dmabuf_exporter heap;
static unsigned int n_lookers;

/* The first few tell it all. */
static void fail(const char *fmt, ...)
{
	char text[200];
	va_list args;

	if (atomic_fetch_add(&test.errors, 1) >= 5)
		return;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	dprintf(STDOUT_FILENO, "# %s: %s\n", test.name, text);
}

/*
 * Fences
 */

/* Where those that are read count, some of each: one does not replace the other. */
static enum fence_usage pick_usage(struct rng *rng)
{
	if (!test.direction->reads)
		return FENCE_WRITE;
	return rng_below(rng, 2) ? FENCE_READ : FENCE_WRITE;
}

static void open_timeline(struct timeline *t)
{
	*t = (struct timeline) { .fd = sw_sync_timeline() };
	need(t->fd >= 0, "a timeline of sw_sync");
}

static int add(struct timeline *t, enum fence_usage usage)
{
	int sync = sw_sync_fence(t->fd, ++t->added);

	need(sync >= 0, "a fence of sw_sync");
	need(!dmabuf_import_sync_file(test.buf.fd, sync, usage), "import of a fence");
	return sync;
}

static void signal_timeline(struct timeline *t)
{
	if (t->signaled == t->added)
		return;
	need(!sw_sync_inc(t->fd, 1), "a timeline of sw_sync");
	t->signaled++;
}

static void close_timeline(struct timeline *t)
{
	while (t->signaled < t->added)
		signal_timeline(t);
	close(t->fd);
}

static void add_vgem(struct fence *fence)
{
	need(!fence_prepare(fence, FENCES_VGEM) &&
	     !fence_attach(fence, &test.buf, FENCE_READ), "a fence of vgem");
}

/* With nothing in between that does not have to be. */
static void step_to(unsigned int next)
{
	int sync = add(&test.timelines[next], pick_usage(&test.rng));

	signal_timeline(&test.timelines[test.last]);
	close(sync);
	test.last = next;
	atomic_fetch_add(&test.steps, 1);
}

static void step_vgem(void)
{
	struct fence next;

	add_vgem(&next);
	need(!fence_signal(&test.fence), "a fence of vgem");
	fence_close(&test.fence);
	test.fence = next;
	atomic_fetch_add(&test.steps, 1);
}

/* On all timelines but the one that is pending: the last of them is, in the end. */
static void step_round(void)
{
	unsigned int n = test.pattern->timelines, i, last = test.last;

	for (i = 0; i < n; i++) {
		if (i == test.last)
			continue;
		close(add(&test.timelines[i], pick_usage(&test.rng)));
		atomic_fetch_add(&test.steps, 1);
		last = i;
	}
	for (i = 0; i < n; i++) {
		if (i != last)
			signal_timeline(&test.timelines[i]);
	}
	test.last = last;
	step_to(last ? 0 : 1);
}

/* To some of the other timelines at once, and to any of these in the end. */
static void step_random(void)
{
	unsigned int n = test.pattern->timelines;
	unsigned int some = 1 + rng_below(&test.rng, n / 2);
	unsigned int first = test.last + 1 + rng_below(&test.rng, n - some);
	unsigned int keep = (first + rng_below(&test.rng, some)) % n;
	unsigned int i, at;

	if (some == 1) {
		step_to(keep);
		return;
	}
	for (i = 0; i < some; i++)
		close(add(&test.timelines[(first + i) % n], pick_usage(&test.rng)));
	if (rng_below(&test.rng, 2))
		signal_timeline(&test.timelines[test.last]);
	for (i = 0; i < some; i++) {
		at = (first + i) % n;
		if (at != keep)
			signal_timeline(&test.timelines[at]);
	}
	signal_timeline(&test.timelines[test.last]);
	test.last = keep;
	atomic_fetch_add(&test.steps, some);
}

static void *run_adder(void *arg)
{
	unsigned int next = 0;

	while (!atomic_load(&test.stop)) {
		if (test.pattern->source == FENCES_VGEM) {
			step_vgem();
		} else if (test.pattern->rounds) {
			step_round();
		} else if (test.pattern->random) {
			step_random();
		} else {
			next = (next + 1) % test.pattern->timelines;
			step_to(next);
		}
	}
	return NULL;
}

static void *run_other(void *arg)
{
	struct rng rng = { .state = 1 };
	struct timeline t;
	int sync;

	open_timeline(&t);
	while (!atomic_load(&test.stop)) {
		sync = add(&t, rng_below(&rng, 2) ? FENCE_READ : FENCE_WRITE);
		if (!rng_below(&rng, 4))
			usleep(rng_below(&rng, 50));
		signal_timeline(&t);
		close(sync);
	}
	close_timeline(&t);
	return NULL;
}

/* Returns with a fence pending. */
static void begin_fences(void)
{
	const struct pattern *p = test.pattern;
	unsigned int i;

	if (p->source == FENCES_VGEM) {
		add_vgem(&test.fence);
		return;
	}
	for (i = 0; i < p->timelines; i++)
		open_timeline(&test.timelines[i]);
	test.last = 0;
	close(add(&test.timelines[0], pick_usage(&test.rng)));
	for (i = 0; i < p->reads; i++) {
		open_timeline(&test.reads[i]);
		close(add(&test.reads[i], FENCE_READ));
	}
}

static void close_timelines(struct timeline *t, unsigned int n)
{
	while (n--)
		close_timeline(t++);
}

static void end_fences(void)
{
	if (test.pattern->source == FENCES_VGEM) {
		fence_close(&test.fence);
		return;
	}
	close_timelines(test.timelines, test.pattern->timelines);
	close_timelines(test.reads, test.pattern->reads);
}

/*
 * Those who look
 */

static void answer(int got)
{
	if (got > 0)
		atomic_fetch_add(&test.ready, 1);
	else if (got < 0 && got != -EINTR)
		fail("%s says %d", wait_kind_name(test.kind), got);
}

/* Every now and then long enough to be woken, and to look again. */
static int timeout_of(long look)
{
	return look % 32 == 31;
}

/* It stays pending while fences come and go, or is taken back at once. */
static void look_by_request(struct poller *p, long look)
{
	long enough = atomic_load(&test.steps) + 2;
	int got = poller_wait(p, 0);

	while (!got && look & 1 && atomic_load(&test.steps) < enough &&
	       !atomic_load(&test.stop))
		got = poller_wait(p, 1);
	answer(got);
	if (got > 0)
		return;

	need(!poller_cancel(p), "to cancel a request");
	do {
		got = poller_wait(p, PATIENCE_MS);
	} while (got == -EINTR);
	if (!got)
		fail("%s: a cancelled request never completes", wait_kind_name(test.kind));
	else if (got != -ECANCELED)
		answer(got);
}

static void *run_looker(void *arg)
{
	short events = test.direction->events;
	struct poller *p;
	long look;

	/* to look at both directions is to look twice */
	if ((uintptr_t)arg & 1)
		events |= test.direction->reads ? 0 : POLLOUT;
	p = poller_open(test.kind, test.buf.fd, events);
	need(p, wait_kind_name(test.kind));

	for (look = 0; !atomic_load(&test.stop); look++) {
		if (wait_kind_is_request(test.kind)) {
			look_by_request(p, look);
		} else {
			/* epoll looks when it is told to, and when it is woken */
			if (test.kind == WAIT_EPOLL_LT)
				need(!poller_rearm(p), "EPOLL_CTL_MOD");
			answer(poller_wait(p, timeout_of(look)));
		}
		atomic_fetch_add(&test.looks, 1);
	}
	poller_close(p);
	return NULL;
}

/*
 * Tests
 */

static bool enough(void)
{
	long looks = wait_kind_is_request(test.kind) ? MIN_REQUESTS : MIN_LOOKS;

	return atomic_load(&test.looks) >= looks && atomic_load(&test.steps) >= MIN_STEPS;
}

/* Those who look have gone before the last fence signals. */
static void run(long ms)
{
	pthread_t lookers[MAX_LOOKERS], adder, other;
	long long begun, told, now;
	unsigned int i;

	begin_fences();
	need(!pthread_create(&adder, NULL, run_adder, NULL), "thread");
	if (test.pattern->others)
		need(!pthread_create(&other, NULL, run_other, NULL), "thread");
	for (i = 0; i < n_lookers; i++)
		need(!pthread_create(&lookers[i], NULL, run_looker, (void *)(uintptr_t)i),
		     "thread");

	begun = now_ms();
	told = begun;
	do {
		sleep_ms(5);
		now = now_ms();
		if (now - told > PROGRESS_MS) {
			told = now;
			dprintf(STDOUT_FILENO, "# %s: %ld looks in %lld s\n", test.name,
				atomic_load(&test.looks), (now - begun) / 1000);
		}
	} while (now - begun < ms || (!enough() && now - begun < ms + PATIENCE_MS));

	atomic_store(&test.stop, true);
	for (i = 0; i < n_lookers; i++)
		pthread_join(lookers[i], NULL);
	pthread_join(adder, NULL);
	if (test.pattern->others)
		pthread_join(other, NULL);
	if (!enough())
		fail("%ld looks while %ld fences followed each other are too few",
		     atomic_load(&test.looks), atomic_load(&test.steps));
	end_fences();
}

static const char *missing(enum wait_kind kind, const struct pattern *pattern)
{
	enum dmabuf_exporter exporter = pattern->source == FENCES_VGEM ? EXPORTER_VGEM : heap;
	const char *why = exporter_missing(exporter);

	if (!why)
		why = wait_kind_missing(kind);
	if (why)
		return why;
	need(!dmabuf_create(&test.buf, exporter), "buffer");
	why = fence_source_missing(pattern->source, test.buf.fd);
	if (why)
		dmabuf_destroy(&test.buf);
	return why;
}

/* Read fences that stay keep OUT pending all by themselves; vgem has no others. */
static bool makes_sense(const struct pattern *p, const struct direction *d)
{
	return d->reads ? !p->reads : p->source != FENCES_VGEM;
}

static void name_test(enum wait_kind kind, const struct direction *direction,
		      const struct pattern *pattern)
{
	memset(&test, 0, sizeof(test));
	test.kind = kind;
	test.pattern = pattern;
	test.direction = direction;
	test.rng.state = 1;
	snprintf(test.name, sizeof(test.name), "exact.pending_%s_%s_%s", wait_kind_name(kind),
		 direction->name, pattern->name);
}

static void run_test(long ms, long *looks, long *ready)
{
	const char *why;

	ksft_print_msg("RUN           %s ...\n", test.name);
	fflush(stdout);
	why = missing(test.kind, test.pattern);
	if (why) {
		ksft_test_result_skip("%s\n", why);
		return;
	}
	run(ms);
	/* and then it is */
	if (wait_now(WAIT_POLL, test.buf.fd, test.direction->events) != test.direction->events)
		fail("all fences have signaled, and poll does not say so");
	dmabuf_destroy(&test.buf);

	*looks += atomic_load(&test.looks);
	*ready += atomic_load(&test.ready);
	if (atomic_load(&test.ready))
		ksft_print_msg("ready, in %ld of %ld looks while %ld fences followed each other\n",
			       atomic_load(&test.ready), atomic_load(&test.looks),
			       atomic_load(&test.steps));
	if (atomic_load(&test.ready) || atomic_load(&test.errors))
		ksft_test_result_fail("%s\n", test.name);
	else
		ksft_test_result_pass("%s\n", test.name);
}

/* Counts them, or runs them and gives each @ms. */
static unsigned int all_tests(const char *filter, bool count, long ms)
{
	unsigned int way, d, p, n = 0;

	for (way = 0; way < ARRAY_SIZE(ways); way++) {
		long looks = 0, ready = 0;

		for (d = 0; d < ARRAY_SIZE(directions); d++) {
			for (p = 0; p < ARRAY_SIZE(patterns); p++) {
				name_test(ways[way], &directions[d], &patterns[p]);
				if (!makes_sense(&patterns[p], &directions[d]) ||
				    !strstr(test.name, filter))
					continue;
				n++;
				if (!count)
					run_test(ms, &looks, &ready);
			}
		}
		if (!looks)
			continue;
		fflush(stdout);
		figure("exact", looks, "looks by %s at a buffer that is never idle",
		       wait_kind_name(ways[way]));
		figure("exact", ready, "looks by %s of these that found it ready",
		       wait_kind_name(ways[way]));
	}
	return n;
}

int main(int argc, char **argv)
{
	long seconds = 15, lookers = sysconf(_SC_NPROCESSORS_ONLN);
	const char *filter = "";
	unsigned int n;
	int opt, log;

	lookers = lookers < 2 ? 2 : lookers > 8 ? 8 : lookers;
	while ((opt = getopt(argc, argv, "t:j:f:h")) != -1) {
		switch (opt) {
		case 't':
			seconds = parse_number("-t", optarg, 1, 604800);
			break;
		case 'j':
			lookers = parse_number("-j", optarg, 1, MAX_LOOKERS);
			break;
		case 'f':
			filter = optarg;
			break;
		default:
			show_usage(usage, opt);
		}
	}
	if (optind < argc)
		bad_usage(usage, "what to do with ", argv[optind]);
	n_lookers = lookers;
	heap = exporter_missing(EXPORTER_SYSTEM_HEAP) ? EXPORTER_UDMABUF : EXPORTER_SYSTEM_HEAP;
	n = all_tests(filter, true, 0);
	if (!n) {
		fprintf(stderr, "error: no test has '%s' in its name\n", filter);
		return 2;
	}

	ksft_print_header();
	ksft_set_plan(n + 1);
	log = kernel_log_open();
	all_tests(filter, false, 1000 * seconds / n);
	ksft_print_msg("RUN           anycontext.pending_kernel_log ...\n");
	if (kernel_log_warnings(log))
		ksft_test_result_fail("anycontext.pending_kernel_log\n");
	else
		ksft_test_result_pass("anycontext.pending_kernel_log\n");
	ksft_print_cnts();
	return ksft_get_fail_cnt() ? KSFT_FAIL : KSFT_PASS;
}
