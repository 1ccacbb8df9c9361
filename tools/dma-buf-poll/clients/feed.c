// SPDX-License-Identifier: GPL-2.0
/*
 * feed NAME PROGRAM [ARG...]: give an event loop buffers to wait for, and judge
 *
 * Makes the buffers, with four fences on each, and starts the client with them:
 * protocol.h says what is expected of it. The fences are signaled one by one in
 * random order, so that of each callback it is known when it had to come and
 * when it must not. Then all buffers get fences once more; a quarter of these
 * is signaled, and the client has to take everything down with the others
 * pending. It is the only one who has the buffers open by then.
 *
 * Prints "# client: NAME KEY VALUE" for what was counted, then one result in
 * the manner of TAP. The status is 0 for ok, 1 for not ok, 4 for a skip.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "dmabuf_util.h"
#include "protocol.h"

#define ARRAY_SIZE(x)	(sizeof(x) / sizeof((x)[0]))

#define COUNT		CLIENT_COUNT
#define FENCES		4
/* Ours are above what a client uses, so that dup2() to CLIENT_FD hits none. */
#define HIGH_FD		1000

/* Interpreters come over a slow file system into a slow machine. */
#define START_MS	90000
#define REACT_MS	15000
#define WINDOW_MS	500
/* Of two windows in which nothing happens. A busy loop takes all of them. */
#define MAX_IDLE_CPU_MS	(2 * WINDOW_MS / 4)
/* A loop may go round for each buffer, for a look before, for a command. */
#define MAX_LOOPS	(4 * COUNT)

struct buffer {
	struct dmabuf buf;
	struct fence fences[FENCES];
	/* of the fences that the client has to wait for */
	int pending;
	int reports;
};

static struct buffer buffers[COUNT];
static const char *name;
static char reasons[1024];

static struct {
	pid_t pid;
	int commands;
	int reports;
	char line[256];
	size_t filled;
	bool over;
	/* what it said */
	char version[128];
	int watching;
	int closed;
	long loops;
	long early;
	long ready;
} client = { .commands = -1, .reports = -1 };

#define __printf(fmt, args)	__attribute__((format(printf, fmt, args)))

static void __printf(1, 2) fault(const char *fmt, ...)
{
	size_t used = strlen(reasons);
	va_list args;

	if (used > sizeof(reasons) - 200)
		return;
	if (used)
		used += sprintf(reasons + used, ", ");
	va_start(args, fmt);
	vsnprintf(reasons + used, sizeof(reasons) - used, fmt, args);
	va_end(args);
}

static void count(const char *key, long value)
{
	printf("# client: %s %s %ld\n", name, key, value);
}

static int finish(void)
{
	if (client.pid > 0) {
		kill(client.pid, SIGKILL);
		waitpid(client.pid, NULL, 0);
	}
	if (reasons[0])
		printf("not ok %s - %s\n", name, reasons);
	else
		printf("ok %s\n", name);
	return reasons[0] ? 1 : 0;
}

static void skip(const char *why)
{
	printf("ok %s # SKIP %s\n", name, why);
	exit(4);
}

/* Nothing of it depends on the client. */
static void need(int ret, const char *what)
{
	if (ret >= 0)
		return;
	fault("%s: %s", what, strerror(-ret));
	exit(finish());
}

static bool is_in(int n)
{
	return !(n & 1);
}

/* Three writes and a read to be read from, two of each to be written to. */
static bool is_write(int n, int fence)
{
	return is_in(n) ? fence > 0 : fence > 1;
}

static bool counts(int n, int fence)
{
	return !is_in(n) || is_write(n, fence);
}

static void make_buffers(void)
{
	static const enum dmabuf_exporter exporters[] = {
		EXPORTER_UDMABUF, EXPORTER_SYSTEM_HEAP,
	};
	const char *missing = NULL;
	unsigned int i;
	int n, fd;

	for (i = 0; i < ARRAY_SIZE(exporters); i++) {
		missing = exporter_missing(exporters[i]);
		if (!missing)
			break;
	}
	if (missing)
		skip(missing);

	for (n = 0; n < COUNT; n++) {
		struct dmabuf *buf = &buffers[n].buf;

		need(dmabuf_create(buf, exporters[i]), "cannot make a buffer");
		fd = fcntl(buf->fd, F_DUPFD_CLOEXEC, HIGH_FD);
		need(fd < 0 ? -errno : 0, "cannot move a descriptor");
		close(buf->fd);
		buf->fd = fd;
		/* the runtime of Go takes nothing else */
		fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK);
	}
	missing = fence_source_missing(FENCES_SW_SYNC, buffers[0].buf.fd);
	if (missing)
		skip(missing);
}

static void make_busy(void)
{
	int n, i;

	for (n = 0; n < COUNT; n++) {
		struct buffer *b = &buffers[n];

		b->pending = 0;
		b->reports = 0;
		for (i = 0; i < FENCES; i++) {
			need(fence_prepare(&b->fences[i], FENCES_SW_SYNC), "cannot make a fence");
			need(fence_attach(&b->fences[i], &b->buf,
					  is_write(n, i) ? FENCE_WRITE : FENCE_READ),
			     "cannot attach a fence");
			/* only the buffer is to hold it, and whoever waits for it */
			close(b->fences[i].sync_fd);
			b->fences[i].sync_fd = -1;
			b->pending += counts(n, i);
		}
	}
}

static void signal_one(int n, int i)
{
	struct buffer *b = &buffers[n];

	if (b->fences[i].timeline < 0)
		return;
	b->pending -= counts(n, i);
	need(fence_signal(&b->fences[i]), "cannot signal a fence");
	fence_close(&b->fences[i]);
}

static void signal_all(void)
{
	int k;

	for (k = 0; k < COUNT * FENCES; k++)
		signal_one(k / FENCES, k % FENCES);
}

static void take_report(char *line)
{
	int n;

	if (!strncmp(line, "hello ", 6)) {
		snprintf(client.version, sizeof(client.version), "%.100s", line + 6);
	} else if (!strcmp(line, "watching")) {
		client.watching++;
	} else if (!strcmp(line, "closed")) {
		client.closed++;
	} else if (sscanf(line, "loops %ld", &client.loops) == 1) {
		;
	} else if (sscanf(line, "ready %d", &n) == 1 && n >= 0 && n < COUNT) {
		client.ready++;
		if (buffers[n].pending)
			client.early++;
		else
			buffers[n].reports++;
	} else if (sscanf(line, "early %d", &n) == 1 && n >= 0 && n < COUNT) {
		client.early++;
	} else {
		fault("%s", line);
	}
}

/* Takes what the client has to say, for so long. */
static void listen_for(int ms)
{
	long long deadline = now_ms() + ms;
	struct pollfd pfd = { .fd = client.reports, .events = POLLIN };
	ssize_t got;
	char *end;

	do {
		if (client.over || poll(&pfd, 1, ms > 0 ? ms : 0) <= 0)
			return;
		got = read(client.reports, client.line + client.filled,
			   sizeof(client.line) - 1 - client.filled);
		if (got <= 0) {
			client.over = true;
			return;
		}
		client.filled += got;
		client.line[client.filled] = '\0';
		while ((end = strchr(client.line, '\n'))) {
			*end = '\0';
			take_report(client.line);
			client.filled -= end + 1 - client.line;
			memmove(client.line, end + 1, client.filled + 1);
		}
		if (client.filled == sizeof(client.line) - 1)
			client.filled = 0;
		ms = deadline - now_ms();
	} while (ms >= 0);
}

/* The whole time, even if there is nothing to listen to. */
static void listen_all_of(int ms)
{
	long long deadline = now_ms() + ms;

	while (now_ms() < deadline) {
		listen_for(deadline - now_ms());
		if (client.over)
			sleep_ms(1);
	}
}

static int silent_buffers(int step)
{
	int n, silent = 0;

	for (n = 0; n < COUNT; n++)
		silent += n % step < 2 && !buffers[n].pending && !buffers[n].reports;
	return silent;
}

/* Waits for *what to become value. Without it there is nothing to go on with. */
static void wait_for(const int *what, int value, int ms, const char *missing)
{
	long long deadline = now_ms() + ms;

	while (*what < value && now_ms() < deadline && !client.over)
		listen_for(20);
	if (*what >= value)
		return;
	fault("%s%s", client.over ? "ended, and " : "", missing);
	exit(finish());
}

static void tell(char command)
{
	if (write(client.commands, &command, 1) != 1) {
		fault("takes no commands");
		exit(finish());
	}
}

static void start(char **argv)
{
	int in[2], out[2], n;

	if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC))
		need(-errno, "cannot make a pipe");
	client.pid = fork();
	need(client.pid < 0 ? -errno : 0, "cannot fork");
	if (!client.pid) {
		dup2(in[0], STDIN_FILENO);
		dup2(out[1], STDOUT_FILENO);
		for (n = 0; n < COUNT; n++)
			dup2(buffers[n].buf.fd, CLIENT_FD + n);
		execv(argv[0], argv);
		dprintf(STDOUT_FILENO, "fault cannot run %s: %s\n", argv[0], strerror(errno));
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	client.commands = in[1];
	client.reports = out[0];
}

static long cpu_ms(void)
{
	struct timespec ts = { 0 };
	clockid_t clock;

	if (!clock_getcpuclockid(client.pid, &clock))
		clock_gettime(clock, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* How often its threads went to sleep. */
static long sleeps(void)
{
	struct sched_sample sample;
	struct dirent *entry;
	char path[32];
	long sum = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", client.pid);
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		if (atoi(entry->d_name) && !sched_sample(atoi(entry->d_name), &sample))
			sum += sample.nvcsw;
	}
	if (dir)
		closedir(dir);
	return sum;
}

/* CPU used while nothing is signaled. */
static long idle_cpu_ms(void)
{
	long before;

	listen_all_of(WINDOW_MS / 5);
	before = cpu_ms();
	listen_all_of(WINDOW_MS);
	return cpu_ms() - before;
}

static void judge_callbacks(int step, const char *when)
{
	long long deadline = now_ms() + REACT_MS;
	int n, missing, twice = 0;

	while ((missing = silent_buffers(step)) && now_ms() < deadline && !client.over)
		listen_for(20);
	listen_all_of(WINDOW_MS / 5);
	for (n = 0; n < COUNT; n++)
		twice += buffers[n].reports > 1;
	if (missing)
		fault("%d callbacks missing%s", missing, when);
	if (twice)
		fault("%d buffers with more than one callback%s", twice, when);
}

static void signal_at_random(void)
{
	int order[COUNT * FENCES], k, other;

	for (k = 0; k < COUNT * FENCES; k++) {
		other = rand() % (k + 1);
		order[k] = order[other];
		order[other] = k;
	}
	for (k = 0; k < COUNT * FENCES; k++) {
		/* also takes what was said up to now, before it becomes true */
		listen_for(rand() % 4);
		listen_for(0);
		signal_one(order[k] / FENCES, order[k] % FENCES);
	}
}

static void first_round(void)
{
	long idle, cpu, slept;

	wait_for(&client.watching, 1, START_MS, "does not begin to watch");
	idle = idle_cpu_ms();
	cpu = cpu_ms();
	slept = sleeps();
	signal_at_random();
	judge_callbacks(2, "");
	slept = sleeps() - slept;
	cpu = cpu_ms() - cpu;
	idle += idle_cpu_ms();

	count("callbacks", client.ready);
	count("early", client.early);
	count("wakeups", slept);
	count("cpu_ms", cpu);
	count("idle_cpu_ms", idle);
	if (client.early)
		fault("%ld callbacks too early", client.early);
	if (idle > MAX_IDLE_CPU_MS)
		fault("busy loop: %ld ms of CPU in %d ms in which nothing happens",
		      idle, 2 * WINDOW_MS);
}

/* Other fences on the same buffers, and the end before most of them signal. */
static void second_round(void)
{
	int n, i;

	make_busy();
	client.early = 0;
	tell('a');
	wait_for(&client.watching, 2, REACT_MS, "does not watch again");
	count("loops", client.loops);
	if (client.loops > MAX_LOOPS)
		fault("busy loop: went round %ld times for %d buffers", client.loops, COUNT);

	for (n = 0; n < COUNT; n++) {
		for (i = 0; i < FENCES && n % 8 < 2; i++)
			signal_one(n, i);
	}
	judge_callbacks(8, " when watched again");
	if (client.early)
		fault("%ld callbacks too early when watched again", client.early);
}

static int kept_buffers(void)
{
	int n, kept = 0;

	for (n = 0; n < COUNT; n++)
		kept += dmabuf_file_count(buffers[n].buf.ino) > 0;
	return kept;
}

static void teardown(void)
{
	long long deadline;
	long ready, fences;
	int n, kept, status = 0;

	for (n = 0; n < COUNT; n++)
		dmabuf_close(&buffers[n].buf);
	if (dmabuf_file_count(buffers[0].buf.ino) < 0)
		fault("bufinfo of dma-buf cannot be read");

	tell('s');
	wait_for(&client.closed, 1, REACT_MS, "does not close its loop");
	/* io_uring puts its files behind one's back */
	deadline = now_ms() + GIVE_UP_MS;
	while ((kept = kept_buffers()) && now_ms() < deadline)
		listen_for(50);
	fences = sw_sync_live_fences();
	count("kept", kept);
	count("fences", fences);
	if (kept)
		fault("%d buffers are not freed when closed", kept);
	if (fences)
		fault("%ld fences are still referenced then", fences);

	ready = client.ready + client.early;
	signal_all();
	listen_all_of(WINDOW_MS / 5);
	if (client.ready + client.early != ready)
		fault("a callback after the loop was closed");

	close(client.commands);
	deadline = now_ms() + REACT_MS;
	while (!client.over && now_ms() < deadline)
		listen_for(20);
	if (!client.over) {
		fault("does not end");
		return;
	}
	waitpid(client.pid, &status, 0);
	client.pid = 0;
	if (WIFSIGNALED(status))
		fault("killed by signal %d", WTERMSIG(status));
	else if (WEXITSTATUS(status))
		fault("ended with status %d", WEXITSTATUS(status));
}

int main(int argc, char **argv)
{
	struct rlimit files = { 4096, 4096 };
	int kernel_log;

	if (argc < 3) {
		fprintf(stderr, "usage: %s NAME PROGRAM [ARG...]\n", argv[0]);
		return 2;
	}
	name = argv[1];
	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGPIPE, SIG_IGN);
	setrlimit(RLIMIT_NOFILE, &files);
	kernel_log = kernel_log_open();

	make_buffers();
	make_busy();
	start(argv + 2);
	first_round();
	second_round();
	teardown();
	if (kernel_log_warnings(kernel_log))
		fault("a warning in the kernel's log");
	printf("# version: %s %s\n", name, client.version);
	return finish();
}
