// SPDX-License-Identifier: GPL-2.0
/*
 * A Wayland client whose buffers become ready when it says so: dumb buffers of
 * virtio-gpu, with sw_sync write fences that are signaled long after the commit.
 *
 *   frames PID [CASE]...
 *
 * PID is the compositor's. Everything that happens goes to the kernel's trace as a
 * line "dbp CASE FRAME WHAT", in between what the kernel says itself: compositor.py
 * judges that. Ends with status 0 if all cases came to their end, whatever was shown.
 *
 * A case is a process of its own. Its parent holds the timelines, so that fences
 * stay pending when the client is killed.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "dmabuf_util.h"
#include "window.h"

#define FENCES		4
/* One more, for a fence that is added. */
#define TIMELINES	(FENCES + 1)

/* The compositor has gone to sleep on a commit, has handled a signal, has cleaned up. */
#define ASLEEP_MS	40
#define APART_MS	20
#define GONE_MS		1000
#define IDLE_MS		10000

enum order { IN_ORDER, REVERSE, RANDOM };
enum event { NOTHING, ADD_FENCE, DESTROY_BUFFER, KILL, IDLE };

static const struct plan {
	const char *name;
	int frames;
	int fences;
	enum order order;
	/* what happens while the compositor sleeps */
	enum event event;
	unsigned int asleep_ms;
	unsigned int apart_ms;
} plans[] = {
	/* A window without a fence: how many buffers does the compositor keep then? */
	{ "plain", 0, 0, IN_ORDER, NOTHING, 0, 0 },
	{ "one", 10, 1, IN_ORDER, NOTHING, ASLEEP_MS, APART_MS },
	{ "order", 10, FENCES, IN_ORDER, NOTHING, ASLEEP_MS, APART_MS },
	{ "reverse", 10, FENCES, REVERSE, NOTHING, ASLEEP_MS, APART_MS },
	{ "random", 10, FENCES, RANDOM, NOTHING, ASLEEP_MS, APART_MS },
	{ "added", 5, 1, IN_ORDER, ADD_FENCE, ASLEEP_MS, APART_MS },
	{ "destroyed", 5, FENCES, IN_ORDER, DESTROY_BUFFER, ASLEEP_MS, APART_MS },
	{ "killed", 3, FENCES, IN_ORDER, KILL, ASLEEP_MS, 0 },
	{ "busy", 60, FENCES, IN_ORDER, NOTHING, 2, 1 },
	{ "idle", 0, 0, IN_ORDER, IDLE, 0, 0 },
};

static int tracing = -1;
static pid_t compositor_pid;
const char *current_case = "-";
int current_frame;
static int timelines[TIMELINES];
static uint32_t values[TIMELINES];

void die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	printf("error: case %s, frame %d: ", current_case, current_frame);
	vprintf(format, args);
	printf("\n");
	va_end(args);
	exit(1);
}

void mark(const char *format, ...)
{
	char text[128];
	va_list args;
	int len;

	len = snprintf(text, sizeof(text), "dbp %s %d ", current_case, current_frame);
	va_start(args, format);
	vsnprintf(text + len, sizeof(text) - len, format, args);
	va_end(args);
	if (write(tracing, text, strlen(text)) < 0)
		die("cannot write to the trace: %s", strerror(errno));
}

/*
 * Fences and buffers
 */

static void add_fence(struct buffer *buffer, int timeline)
{
	int ret, fence = sw_sync_fence(timelines[timeline], ++values[timeline]);

	if (fence < 0)
		die("no sw_sync fence: %s", strerror(-fence));
	ret = dmabuf_import_sync_file(buffer->fd, fence, FENCE_WRITE);
	if (ret)
		die("the dma-buf takes no fence: %s", strerror(-ret));
	close(fence);
}

/* The kernel says in between when the fence has signaled. */
static void signal_fence(int timeline, int number, int of)
{
	mark("signal %d %d", number, of);
	if (sw_sync_inc(timelines[timeline], 1))
		die("a fence does not signal");
	mark("signaled %d %d", number, of);
}

/* How many buffers of our clients there are, and of how many the compositor has a file */
static void mark_buffers(const char *what)
{
	FILE *file = fopen("/sys/kernel/debug/dma_buf/bufinfo", "r");
	char line[512], path[64];
	int live = 0, held = 0;
	ino_t known[64];
	struct stat st;

	if (!file)
		die("no /sys/kernel/debug/dma_buf/bufinfo");
	while (fgets(line, sizeof(line), file))
		live += !!strstr(line, "\t" NAME "\n");
	fclose(file);
	for (int fd = 0; fd < 1024; fd++) {
		bool again = false;
		ssize_t len;

		snprintf(path, sizeof(path), "/proc/%d/fd/%d", compositor_pid, fd);
		len = readlink(path, line, sizeof(line) - 1);
		line[len < 0 ? 0 : len] = '\0';
		if (!strstr(line, ":" NAME) || stat(path, &st))
			continue;
		/* It may have several of one buffer. */
		for (int i = 0; i < held; i++)
			again |= known[i] == st.st_ino;
		if (!again && held < (int)ARRAY_SIZE(known))
			known[held++] = st.st_ino;
	}
	mark("%s %d %d", what, live, held);
}

/*
 * The cases
 */

static void show_frame(const struct plan *plan, struct rng *rng)
{
	int order[TIMELINES], n = plan->fences;
	struct buffer *buffer = window_buffer();

	for (int i = 0; i < n; i++) {
		int at = plan->order == RANDOM ? (int)rng_below(rng, i + 1) :
			 plan->order == REVERSE ? 0 : i;

		add_fence(buffer, i);
		memmove(order + at + 1, order + at, (i - at) * sizeof(*order));
		order[at] = i;
	}

	window_commit(buffer);
	window_listen(plan->asleep_ms, NULL);
	if (plan->event == ADD_FENCE) {
		add_fence(buffer, FENCES);
		order[n++] = FENCES;
	} else if (plan->event == DESTROY_BUFFER) {
		window_destroy_buffer(buffer);
		window_listen(plan->asleep_ms, NULL);
	} else if (plan->event == KILL) {
		raise(SIGSTOP);
	}
	for (int i = 0; i < n; i++) {
		signal_fence(order[i], i + 1, n);
		if (i + 1 < n)
			window_listen(plan->apart_ms, NULL);
	}
	window_listen(SHOWN_MS, window_shown);
	mark("end");
}

static double cpu_ms(void)
{
	struct timespec ts;
	clockid_t clock;

	if (clock_getcpuclockid(compositor_pid, &clock) || clock_gettime(clock, &ts))
		die("the compositor has no CPU clock: has it ended?");
	return ts.tv_sec * 1000.0 + ts.tv_nsec / 1e6;
}

static void __attribute__((noreturn)) run_client(const struct plan *plan)
{
	struct rng rng = { 1 };
	double before;

	window_open();
	/* The first one has no fence: the window appears. */
	window_commit(window_buffer());
	if (!window_listen(START_MS, window_shown))
		die("the compositor does not show a buffer that is ready");
	if (plan->event == IDLE) {
		window_listen(GONE_MS, NULL);
		mark("idle");
		before = cpu_ms();
		window_listen(IDLE_MS, NULL);
		mark("idled %.1f", cpu_ms() - before);
		exit(0);
	}
	for (current_frame = 1; current_frame <= plan->frames; current_frame++)
		show_frame(plan, &rng);
	exit(0);
}

static int run_case(const struct plan *plan)
{
	int status, n = plan->event == KILL ? plan->frames : 1;

	current_case = plan->name;
	/* Each of those who are killed is a client of its own. */
	for (int round = 0; round < n; round++) {
		pid_t pid;

		for (int i = 0; i < TIMELINES; i++) {
			timelines[i] = sw_sync_timeline();
			if (timelines[i] < 0)
				die("no sw_sync timeline: %s", strerror(-timelines[i]));
			values[i] = 0;
		}
		current_frame = 0;
		mark("begin");
		fflush(stdout);
		pid = fork();
		if (!pid)
			run_client(plan);
		if (pid < 0 || waitpid(pid, &status, WUNTRACED) != pid)
			die("no process");
		if (WIFSTOPPED(status)) {
			kill(pid, SIGKILL);
			waitpid(pid, &status, 0);
			sleep_ms(GONE_MS);
			mark_buffers("pending");
			for (int i = 0; i < plan->fences; i++)
				sw_sync_inc(timelines[i], 1);
		} else if (!WIFEXITED(status) || WEXITSTATUS(status)) {
			return 1;
		}
		sleep_ms(GONE_MS);
		mark_buffers("left");
		for (int i = 0; i < TIMELINES; i++)
			close(timelines[i]);
	}
	return 0;
}

int main(int argc, char **argv)
{
	if (argc < 2 || (compositor_pid = atoi(argv[1])) <= 0)
		die("usage: frames PID [CASE]...");
	tracing = open("/sys/kernel/tracing/trace_marker", O_WRONLY | O_CLOEXEC);
	if (tracing < 0)
		die("no trace: %s", strerror(errno));
	for (size_t i = 0; i < ARRAY_SIZE(plans); i++) {
		int wanted = argc == 2 || !i;

		for (int j = 2; j < argc; j++)
			wanted |= !strcmp(argv[j], plans[i].name);
		if (wanted && run_case(&plans[i]))
			return 1;
	}
	return 0;
}
