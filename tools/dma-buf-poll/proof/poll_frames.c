// SPDX-License-Identifier: GPL-2.0
/*
 * What polling costs where machines do it: a client, a compositor, and a GPU with
 * a display, on a swapchain of three buffers, frames back to back.
 *
 * The client waits until it may write to a buffer, attaches the write fences of a
 * frame and commits it. The compositor waits until the frame may be read, attaches
 * the read fence of the scan-out and has it shown at the next vblank. The GPU
 * signals the write fences of one frame after the other, and at a vblank the read
 * fence of the buffer that leaves the screen. Only the GPU has a clock. All run on
 * one CPU: what it does wakes the others, and they are done before its next step.
 *
 * Rows, results and -i are those of poll_bench. Per frame shown it prints
 *
 *   wakeups.ROW.client, .compositor	how often it slept in poll and was woken. If a
 *					message ends a poll, the wake-up that brought it
 *					does not count; those that a wait for the
 *					reservation lock takes in poll do
 *   cpu.ROW				CPU time of the three, but if the lock is held
 *   files.ROW				files opened to wait on
 *
 * and, as the longest there was,
 *
 *   longest.ROW	one look that is not to sleep: poll with timeout 0, and to
 *			export before it what is not exported yet
 *   late.ROW		from the signal of the last fence to the return of the poll
 *			that waits for it. The client is woken after the compositor
 *
 * A row fails if somebody gets a buffer too early, if nothing moves any more, and,
 * with -i, if a vblank has no new frame.
 */
#define _GNU_SOURCE
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <drm/drm.h>

#include "bench.h"

#define BUFFERS		3
#define MAX_FENCES	8
#define WARM_UP		20
#define LAST_FRAME	(WARM_UP + 120)
/* with those on their way when the last one is shown */
#define ALL_FRAMES	(LAST_FRAME + BUFFERS)

#define STEP_NS		1000000
/* a vblank, one for each fence, and one for the compositor after the last of them */
#define STEPS		(MAX_FENCES + 2)
#define GIVE_UP_FRAMES	(GIVE_UP_MS * 1000000LL / STEP_NS / STEPS)

/* The lock is taken so long before one of the next steps, and held for longer. */
#define HOLD_LEAD_NS	40000
#define HOLD_STEPS	8
#define HELD_SIZE	(48 << 20)

/* Messages that are not the number of a buffer, and where poll has those */
#define FLIPPED		BUFFERS
#define STOP		(BUFFERS + 1)
#define MESSAGE		BUFFERS

#define BIT(n)		(1U << (n))

struct actor {
	int priority;
	void (*run)(struct actor *self);
	short events;
	enum fence_usage usage;
	pthread_t thread;
	int pipe[2];
	/* the buffers it waits for */
	unsigned int waits;
	long wakeups, files;
	uint64_t longest, late;
};

static void run_gpu(struct actor *self);
static void run_compositor(struct actor *self);
static void run_client(struct actor *self);

static struct actor actors[] = {
	{ 30, run_gpu },
	{ 20, run_compositor, POLLIN, FENCE_READ },
	{ 10, run_client, POLLOUT, FENCE_WRITE },
};

static struct actor *const compositor = &actors[1], *const client = &actors[2];

struct swap_buf {
	struct dmabuf buf;
	int frame;
	/* of whoever waits for it */
	int sync_fd;
	atomic_int writes_left;
	/* on the screen, or about to be */
	atomic_bool shown;
	/* when what is waited for was signaled */
	atomic_ullong signaled;
};

static struct {
	const struct row *row;
	int n;
	struct dmabuf importer;
	struct swap_buf bufs[BUFFERS];
	int nr_bufs;
	/* the writes of each frame, and the read */
	struct fence fences[ALL_FRAMES][MAX_FENCES + 1];
	int nr_frames;
	struct swap_buf *jobs[ALL_FRAMES];
	atomic_int nr_jobs, nr_shown;
	/* to be shown at the next vblank, or NULL */
	atomic_uintptr_t next;
	/* what went wrong, a string, or NULL */
	atomic_uintptr_t trouble;
	atomic_bool over;
	uint64_t begin, cpu;
} run;

/* The first to say what is wrong is right, and all come to an end. */
static void trouble(const char *why)
{
	uintptr_t none = 0;

	atomic_compare_exchange_strong(&run.trouble, &none, (uintptr_t)why);
}

static void tell(struct actor *who, char what)
{
	if (write(who->pipe[1], &what, 1) != 1)
		trouble("a pipe is broken");
}

static int hear(struct actor *self)
{
	char what = STOP;

	if (read(self->pipe[0], &what, 1) != 1)
		trouble("a pipe is broken");
	return what;
}

static void sleep_until(uint64_t ns)
{
	struct timespec ts = { ns / 1000000000, ns % 1000000000 };

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
}

/* Is what happens now in the results? */
static bool counts(void)
{
	int shown = atomic_load(&run.nr_shown);

	return shown >= WARM_UP && shown < LAST_FRAME;
}

static uint64_t max_of(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static int file_of(struct actor *self, struct swap_buf *b)
{
	if (!run.row->export)
		return b->buf.fd;
	if (b->sync_fd < 0) {
		b->sync_fd = dmabuf_export_sync_file(b->buf.fd, self->usage);
		self->files += counts();
		if (b->sync_fd < 0)
			trouble("cannot export a sync_file");
	}
	return b->sync_fd;
}

static void waited(struct actor *self, int i)
{
	self->waits &= ~BIT(i);
	if (run.bufs[i].sync_fd >= 0)
		close(run.bufs[i].sync_fd);
	run.bufs[i].sync_fd = -1;
}

/* For a message or any of the buffers. Looks before it sleeps, as Mutter does. */
static unsigned int wait_for(struct actor *self)
{
	short events = run.row->export ? POLLIN : self->events;
	struct pollfd pfds[BUFFERS + 1];
	long before = own_sleeps(), looked, after;
	uint64_t begin = ticks(), end, signaled;
	unsigned int ready = 0;
	int i, ret;

	for (i = 0; i < BUFFERS; i++) {
		pfds[i].fd = self->waits & BIT(i) ? file_of(self, &run.bufs[i]) : -1;
		pfds[i].events = events;
	}
	pfds[MESSAGE] = (struct pollfd) { self->pipe[0], POLLIN };

	ret = poll(pfds, BUFFERS + 1, 0);
	end = ticks();
	looked = own_sleeps();
	after = looked;
	if (counts())
		self->longest = max_of(self->longest, end - begin);
	if (!ret) {
		ret = poll(pfds, BUFFERS + 1, -1);
		end = ticks();
		after = own_sleeps();
	}

	for (i = 0; i < BUFFERS + 1; i++)
		ready |= pfds[i].revents ? BIT(i) : 0;
	if (!counts())
		return ready;
	/* the one that brought the message */
	if (after > looked && ready == BIT(MESSAGE))
		after--;
	self->wakeups += after - before;
	for (i = 0; i < BUFFERS; i++) {
		signaled = atomic_load(&run.bufs[i].signaled);
		if (ready & BIT(i) && signaled >= begin)
			self->late = max_of(self->late, end - signaled);
	}
	return ready;
}

static void run_client(struct actor *self)
{
	unsigned int ready;
	struct swap_buf *b;
	int i, j, what;

	self->waits = BIT(BUFFERS) - 1;
	while (!atomic_load(&run.trouble)) {
		ready = wait_for(self);
		if (ready & BIT(MESSAGE)) {
			what = hear(self);
			if (what == STOP)
				break;
			self->waits |= BIT(what);
		}
		i = ffs(ready) - 1;
		if (i < 0 || i >= BUFFERS)
			continue;

		waited(self, i);
		b = &run.bufs[i];
		if (atomic_load(&b->shown))
			trouble("the client got a buffer that is on the screen");
		b->frame = atomic_load(&run.nr_jobs);
		run.jobs[b->frame] = b;
		atomic_store(&b->writes_left, run.n);
		for (j = 0; j < run.n; j++) {
			if (fence_attach(&run.fences[b->frame][j], &b->buf, FENCE_WRITE))
				trouble("cannot attach a write fence");
		}
		atomic_fetch_add(&run.nr_jobs, 1);
		tell(compositor, i);
	}
}

static void show(struct swap_buf *b)
{
	if (atomic_load(&b->writes_left))
		trouble("a frame is shown before all its fences have signaled");
	atomic_store(&b->shown, true);
	if (fence_attach(&run.fences[b->frame][MAX_FENCES], &b->buf, FENCE_READ))
		trouble("cannot attach a read fence");
	atomic_store(&run.next, (uintptr_t)b);
	tell(client, b - run.bufs);
}

static void run_compositor(struct actor *self)
{
	int queue[BUFFERS], queued = 0, i, what;
	unsigned int ready, pending = 0;
	bool flips = false;

	while (!atomic_load(&run.trouble)) {
		/* What could not be shown yet is not looked at. */
		self->waits = flips ? 0 : pending;
		ready = wait_for(self);
		pending &= ~ready;
		for (i = 0; i < BUFFERS; i++) {
			if (ready & BIT(i))
				waited(self, i);
		}
		what = ready & BIT(MESSAGE) ? hear(self) : -1;
		if (what == STOP)
			break;
		if (what == FLIPPED) {
			flips = false;
		} else if (what >= 0) {
			queue[queued++] = what;
			pending |= BIT(what);
		}

		/* in the order in which they came, one a vblank */
		if (!queued || flips || pending & BIT(queue[0]))
			continue;
		flips = true;
		show(&run.bufs[queue[0]]);
		memmove(queue, queue + 1, --queued * sizeof(*queue));
	}
}

static uint64_t cpu_ns(void)
{
	uint64_t sum = 0;
	clockid_t clock;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(actors); i++) {
		pthread_getcpuclockid(actors[i].thread, &clock);
		sum += now_ns(clock);
	}
	return sum;
}

/* Returns what is on the screen from here on. */
static struct swap_buf *vblank(struct swap_buf *screen)
{
	struct swap_buf *next = (void *)atomic_exchange(&run.next, 0);

	if (!next)
		return screen;
	if (screen) {
		atomic_store(&screen->shown, false);
		atomic_store(&screen->signaled, ticks());
		fence_signal(&run.fences[screen->frame][MAX_FENCES]);
	}
	tell(compositor, FLIPPED);
	switch (atomic_fetch_add(&run.nr_shown, 1) + 1) {
	case WARM_UP:
		run.cpu = cpu_ns();
		break;
	case LAST_FRAME:
		run.cpu = cpu_ns() - run.cpu;
		break;
	}
	return next;
}

static void run_gpu(struct actor *self)
{
	struct swap_buf *screen = NULL, *last, *job = NULL;
	int order[MAX_FENCES], jobs = 0, same = 0, step, i;
	uint64_t at = run.begin;

	for (step = 0; !atomic_load(&run.trouble); step = (step + 1) % STEPS) {
		sleep_until(at += STEP_NS);
		if (!step) {
			last = screen;
			screen = vblank(screen);
			same = screen == last ? same + 1 : 0;
			if (same > GIVE_UP_FRAMES)
				trouble("nothing moves");
			else if (same && counts() && ticks_are_instructions)
				trouble("a vblank had no frame");
			if (atomic_load(&run.nr_shown) == LAST_FRAME)
				break;
			job = jobs < atomic_load(&run.nr_jobs) ? run.jobs[jobs++] : NULL;
			make_order(order, run.n, run.row->order, jobs);
			continue;
		}
		/* The last one always signals in the same step. */
		i = step - (STEPS - 1 - run.n);
		if (!job || i < 0 || i >= run.n)
			continue;
		if (atomic_fetch_sub(&job->writes_left, 1) == 1)
			atomic_store(&job->signaled, ticks());
		fence_signal(&run.fences[job->frame][order[i]]);
	}
	tell(compositor, STOP);
	tell(client, STOP);
}

static int be_fifo(int priority)
{
	struct sched_param param = { .sched_priority = priority };

	return sched_setscheduler(0, priority ? SCHED_FIFO : SCHED_OTHER, &param);
}

static void *actor_thread(void *arg)
{
	struct actor *self = arg;

	be_fifo(self->priority);
	self->run(self);
	return NULL;
}

/*
 * A device that imports a buffer has all its pages mapped with the reservation lock
 * held, and unmapped when it gives the buffer back. Not every kernel lets others run
 * in the midst of that: it begins before a step, to be in it when something happens.
 */
static void *holder_thread(void *arg)
{
	uint64_t at = run.begin - HOLD_LEAD_NS;
	struct rng rng = { };

	prctl(PR_SET_TIMERSLACK, 1);
	while (!atomic_load(&run.over)) {
		struct drm_prime_handle prime = {
			.fd = run.bufs[rng_below(&rng, BUFFERS)].buf.fd,
		};
		struct drm_gem_close gem = { };

		at += STEP_NS * (1 + rng_below(&rng, HOLD_STEPS));
		sleep_until(at);
		if (ioctl(run.importer.drm_fd, DRM_IOCTL_PRIME_FD_TO_HANDLE, &prime))
			trouble("cannot import a buffer");
		gem.handle = prime.handle;
		ioctl(run.importer.drm_fd, DRM_IOCTL_GEM_CLOSE, &gem);
	}
	return NULL;
}

/* As those of a guest are that has just booted and keeps time by its ticks. */
static bool timers_are_coarse(void)
{
	int i, fine = 0;
	uint64_t at;

	for (i = 0; i < GIVE_UP_MS && fine < 10; i++) {
		at = now_ns(CLOCK_MONOTONIC) + STEP_NS;
		sleep_until(at);
		fine = now_ns(CLOCK_MONOTONIC) - at < STEP_NS / 2 ? fine + 1 : 0;
	}
	return fine < 10;
}

static const char *set_up(void)
{
	const char *missing = exporter_reason;
	int ret, i;

	if (run.row->contended) {
		missing = exporter_missing(EXPORTER_UDMABUF);
		if (!missing)
			missing = exporter_missing(EXPORTER_VGEM);
	}
	if (!missing && timers_are_coarse())
		missing = "timers are coarser than the steps";
	if (missing)
		return missing;
	if (run.row->contended && dmabuf_create(&run.importer, EXPORTER_VGEM))
		return failed("cannot open vgem");

	while (run.nr_bufs < BUFFERS) {
		struct swap_buf *b = &run.bufs[run.nr_bufs++];

		b->sync_fd = -1;
		ret = run.row->contended ? dmabuf_create_sized(&b->buf, HELD_SIZE) :
					   dmabuf_create(&b->buf, exporter);
		if (ret)
			return failed("cannot create a buffer");
	}
	missing = fence_source_missing(FENCES_SW_SYNC, run.bufs[0].buf.fd);
	if (missing)
		return missing;
	for (ret = 0; run.nr_frames < ALL_FRAMES && !ret; run.nr_frames++) {
		for (i = 0; i <= MAX_FENCES; i++)
			ret |= fence_prepare(&run.fences[run.nr_frames][i], FENCES_SW_SYNC);
	}
	return ret ? failed("cannot make a fence") : NULL;
}

static void tear_down(void)
{
	int i;

	while (run.nr_frames--) {
		for (i = 0; i <= MAX_FENCES; i++) {
			fence_signal(&run.fences[run.nr_frames][i]);
			fence_close(&run.fences[run.nr_frames][i]);
		}
	}
	for (i = 0; i < run.nr_bufs; i++) {
		waited(client, i);
		dmabuf_destroy(&run.bufs[i].buf);
	}
	dmabuf_destroy(&run.importer);
}

static void start(pthread_t *thread, void *(*func)(void *arg), void *arg)
{
	/* Those that run already would not end. */
	if (pthread_create(thread, NULL, func, arg))
		exit(1);
}

static const char *run_all(void)
{
	pthread_t holder;
	unsigned int i;

	pin(0, 0);
	/* above all of them, so that none runs before the last one is there */
	if (be_fifo(actors[0].priority + 1))
		return "needs SCHED_FIFO, and may not use it";
	run.begin = now_ns(CLOCK_MONOTONIC) + 2 * STEP_NS;
	for (i = 0; i < ARRAY_SIZE(actors); i++) {
		struct actor *a = &actors[i];

		a->waits = 0;
		a->wakeups = 0;
		a->files = 0;
		a->longest = 0;
		a->late = 0;
		if (pipe(a->pipe))
			exit(1);
		start(&a->thread, actor_thread, a);
	}
	be_fifo(0);
	if (run.row->contended)
		start(&holder, holder_thread, NULL);

	for (i = 0; i < ARRAY_SIZE(actors); i++) {
		pthread_join(actors[i].thread, NULL);
		close(actors[i].pipe[0]);
		close(actors[i].pipe[1]);
	}
	atomic_store(&run.over, true);
	if (run.row->contended)
		pthread_join(holder, NULL);
	return run.trouble ? failed((const char *)run.trouble) : NULL;
}

static void result(const char *what, uint64_t value)
{
	char name[64];

	snprintf(name, sizeof(name), "%s.%s", what, row_name(run.row, run.n));
	result_ticks(value, name);
}

static const char *run_frames(const struct row *row, int n)
{
	const double frames = LAST_FRAME - WARM_UP;
	const char *ret, *name = row_name(row, n);

	memset(&run, 0, sizeof(run));
	run.row = row;
	run.n = n;
	run.importer = (struct dmabuf) { .fd = -1, .drm_fd = -1 };
	ret = set_up();
	if (!ret)
		ret = run_all();
	tear_down();
	if (ret)
		return ret;

	print_result("wake-ups/frame", client->wakeups / frames, "wakeups.%s.client", name);
	print_result("wake-ups/frame", compositor->wakeups / frames,
		     "wakeups.%s.compositor", name);
	/* The mapping is charged to whoever has to wait until it lets others run. */
	if (!row->contended)
		print_result(ticks_are_instructions ? "insn" : "ns", run.cpu / (int)frames,
			     "cpu.%s", name);
	print_result("files/frame", (client->files + compositor->files) / frames,
		     "files.%s", name);
	result("longest", max_of(client->longest, compositor->longest));
	result("late", max_of(client->late, compositor->late));
	return NULL;
}

static const int fences[] = { 1, 2, 4, 8, -1 };

static const struct row rows[] = {
	{ "frames.in_order", run_frames, fences },
	{ "frames.random", run_frames, fences, .order = RANDOM },
	{ "frames.export_in_order", run_frames, fences, .export = true },
	{ "frames.export_random", run_frames, fences, .export = true, .order = RANDOM },
	{ "frames.held", run_frames, fences, .contended = true },
};

int main(int argc, char **argv)
{
	return bench_main(argc, argv, rows, ARRAY_SIZE(rows), NULL);
}
