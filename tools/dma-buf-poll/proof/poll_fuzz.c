// SPDX-License-Identifier: GPL-2.0
/*
 * Random programs over buffers, timelines and waiters, each step of which is
 * checked against a model of what poll on a dma-buf promises.
 *
 * The model knows nothing of how it is done. For each buffer it keeps the
 * fences that are pending, and for each direction whether a wake-up is owed:
 *
 *   - a look at a direction, by whomever, that finds it busy makes it owed;
 *   - the moment the last of its fences signals everybody who waits for it is
 *     woken if it is owed, and then it is not any more.
 *
 * From that follows what each kind of waiter reports, and when. Whatever else
 * the kernel says counts against the line of the contract that forbids it:
 *
 *   exact           poll(), or a report of an event that is not ready
 *   no_lost_wakeup  what is owed does not come
 *   one_wakeup      a sleeper or a request is woken more often, or earlier
 *   quiet           an edge, or a completion, that nobody is owed
 *   neutral         references to files and fences, and what the last close frees
 *   shared          a cancelled request completes once, with -ECANCELED
 *   names           EPOLLRDNORM and EPOLLWRNORM
 *
 * What fails is shrunk to the steps that matter and printed so that it can be
 * run again with --program. Those found once are in known_programs[] below.
 *
 * See "Usage" for the options.
 */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest.h"

#include "dmabuf_util.h"
#include "dmabuf_wait.h"

#define BUFFERS		3
#define TIMELINES	3
#define SYNC_FILES	6
#define WATCHES		6
#define REQUESTS	4
#define SLEEPERS	3
#define MAX_FDS		3
#define MAX_PARKED	2
#define MAX_STEPS	160
#define MAX_ARGS	4
#define MAX_TEXT	(MAX_STEPS * 48)
/* A relay: how often one fence follows the other, and who stands in between. */
#define RELAY_STEPS	24
#define RELAY_CROWD	192

/* What io_uring or a socket held is dropped behind one's back. */
#define SOON_MS		GIVE_UP_MS
/* A step that takes so long is one that hangs in the kernel. */
#define STUCK_MS	20000
#define TRY_MS		10000
/* How often a long run shows that it is alive. */
#define PROGRESS_MS	20000
/* Effort spent on shrinking. */
#define SHRINK_MS	8000
#define SHRINK_GIVE_UP	250
/* What is left to find the other lines that break once the first has. */
#define BROKEN_MS	60000
/* How many steps, if so many were asked for, it takes to say that all is well. */
#define MIN_STEPS	100000L
#define MAX_SECONDS	604800

#define IN_BITS		(POLLIN | POLLRDNORM)
#define OUT_BITS	(POLLOUT | POLLWRNORM)
#define MAIN_BITS	(POLLIN | POLLOUT)

static const char usage[] =
"Usage: poll_fuzz [--seed N] [--steps N] [--seconds N]\n"
"                 [--program TEXT | --replay FILE]\n"
"\n"
"  --seed N        of the random programs, 0 to 2147483647 (default 1)\n"
"  --steps N       how many to run, 1 to 1000000000 (default 120000)\n"
"  --seconds N     stop after so long, 1 to 604800 (default 300, or never where\n"
"                  --steps is given); all fails if by then it has done fewer\n"
"                  than 100000 steps, or than --steps if that is less\n"
"  --program TEXT  run this one instead: steps separated by semicolons\n"
"  --replay FILE   the same from a file, one step a line, - is stdin\n";

enum line {
	EXACT,
	NO_LOST_WAKEUP,
	ONE_WAKEUP,
	QUIET,
	NEUTRAL,
	SHARED,
	NAMES,
	LINES,
};

static const char * const line_names[LINES] = {
	[EXACT] = "exact",
	[NO_LOST_WAKEUP] = "no_lost_wakeup",
	[ONE_WAKEUP] = "one_wakeup",
	[QUIET] = "quiet",
	[NEUTRAL] = "neutral",
	[SHARED] = "shared",
	[NAMES] = "names",
};

struct op {
	uint8_t code;
	uint8_t arg[MAX_ARGS];
};

struct program {
	struct op ops[MAX_STEPS];
	int n;
};

/*
 * The world, as it is and as the model has it
 */

struct timeline {
	int fd;
	bool open;
	uint32_t value;
	/* the last there is a fence for */
	uint32_t last;
};

/* The last point of each timeline that it waits for, 0: none. */
struct fences {
	uint32_t point[TIMELINES];
};

struct sync_file {
	int fd;
	bool used;
	struct fences fences;
};

struct buffer {
	struct dmabuf dmabuf;
	bool alive;
	int fds[MAX_FDS];
	int nfds;
	int parked;
	/* references held by requests, by sleepers and their descriptors */
	int held;
	/* once somebody else was involved the last reference may go late */
	bool late;
	/* one was in the queue: then a completion has everybody look again */
	bool exclusive;
	struct fences fences[2];
	/* a relay is going on, see op_relay() */
	bool relay[2];
	bool owed[2];
};

struct watch {
	struct poller *poller;
	enum wait_kind kind;
	short events;
	/* the buffer is gone, or the descriptor it was added with */
	struct buffer *buffer;
	bool fd_closed;
	int fd;
	/* epoll has it on its list; it was reported and not re-armed */
	bool queued;
	bool disabled;
};

struct request {
	bool used;
	bool multishot;
	struct buffer *buffer;
	short events;
	uint64_t tag;
	/* has to complete with these; may also with those */
	short must;
	short may;
	short got;
	int completions;
	int error;
	bool final;
};

struct sleeper {
	struct waiter *waiter;
	enum wait_kind kind;
	struct buffer *buffer;
	short events;
	int fd;
	int held;
	bool woken;
	bool partly;
};

static struct timeline timelines[TIMELINES];
static struct sync_file sync_files[SYNC_FILES];
static struct buffer buffers[BUFFERS];
static struct watch watches[WATCHES];
static struct request requests[REQUESTS];
static struct sleeper sleepers[SLEEPERS];
static int socks[BUFFERS][2];
static struct poll_ring *ring;
static uint64_t next_tag;
static enum dmabuf_exporter exporters[2];
static int n_exporters;

/* Some buffer was. */
static bool any_late;

/* An array of fences that waits for them holds them, until they signal. */
static bool any_array;

static int give_up_ms = GIVE_UP_MS;

/* What a program was found to break, if anything. */
static struct violation {
	bool found;
	enum line line;
	char text[200];
} violation;

/* Those that are known to be broken are not looked at any more. */
static bool ignored[LINES];
static long checks[LINES];

/* When to stop whether or not there are more steps to do. */
static long long stop_at;

/* For the thread that sees whether there is progress. */
static atomic_long progress;
static struct program current;
static unsigned long long current_number;
static long seed = 1;

/*
 * Says whether @ok, and otherwise that the line is broken, unless that is known
 * already: then the program goes on as if nothing was.
 */
#define check(broken, ok, fmt, ...) ({					\
	enum line __line = (broken);					\
	bool __ok = (ok);						\
									\
	checks[__line]++;						\
	if (!__ok && !ignored[__line] && !violation.found) {		\
		violation.found = true;					\
		violation.line = __line;				\
		snprintf(violation.text, sizeof(violation.text),	\
			 fmt, ##__VA_ARGS__);				\
	}								\
	__ok;								\
})

/* How long to wait for what is owed. */
static int patience(enum line line)
{
	return ignored[line] ? 0 : give_up_ms;
}

/* Something the tests rely on, and not poll, has failed. */
#define must(cond, what)						\
	do {								\
		if (!(cond))						\
			ksft_exit_fail_msg("%s: %s\n", what,		\
					   strerror(errno));		\
	} while (0)

/*
 * The model
 */

static bool pending(const struct fences *f)
{
	int t;

	for (t = 0; t < TIMELINES; t++) {
		if (timelines[t].open && f->point[t] > timelines[t].value)
			return true;
	}
	return false;
}

static short ready(const struct buffer *b)
{
	if (b->relay[FENCE_WRITE] || pending(&b->fences[FENCE_WRITE]))
		return 0;
	if (b->relay[FENCE_READ] || pending(&b->fences[FENCE_READ]))
		return IN_BITS;
	return IN_BITS | OUT_BITS;
}

static void add_fences(struct fences *to, const struct fences *from)
{
	int t;

	for (t = 0; t < TIMELINES; t++) {
		if (from->point[t] > to->point[t])
			to->point[t] = from->point[t];
	}
}

/* How the arguments of a step spell events. */
static const struct {
	const char *name;
	short bit;
} mask_names[] = {
	{ "in", POLLIN }, { "out", POLLOUT },
	{ "rdnorm", POLLRDNORM }, { "wrnorm", POLLWRNORM },
};

static short mask_of(uint8_t arg)
{
	short mask = 0;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(mask_names); i++) {
		if (arg & 1 << i)
			mask |= mask_names[i].bit;
	}
	return mask;
}

/* Somebody has asked. */
static void look(struct buffer *b, short events)
{
	short busy = events & ~ready(b);

	if (busy & IN_BITS)
		b->owed[0] = true;
	if (busy & OUT_BITS)
		b->owed[1] = true;
}

/*
 * Where poll is not quiet the kernel completes such a request for as long as
 * there is room, or longer than it can bear. Nor do sleeping threads rest there.
 */
static bool multishot_is_safe(void)
{
	return ring && !ignored[QUIET];
}

/* Names alone are a matter of names. */
static enum line line_of(enum line line, short events)
{
	return events & MAIN_BITS ? line : NAMES;
}

/*
 * Fences have signaled. If they were several, one direction may have become
 * ready before the other, and whoever waits for both may be told so: a request, and
 * a thread if it gets to look on another CPU, or on PREEMPT_RT, in between.
 */
static void wake(struct buffer *b, bool several)
{
	short woken = 0, now = ready(b);
	int i;

	if (!b->alive)
		return;
	if (b->owed[0] && now & IN_BITS) {
		woken |= IN_BITS;
		b->owed[0] = false;
	}
	if (b->owed[1] && now & OUT_BITS) {
		woken |= OUT_BITS;
		b->owed[1] = false;
	}
	if (!woken)
		return;

	for (i = 0; i < WATCHES; i++) {
		if (watches[i].buffer == b && !watches[i].disabled &&
		    watches[i].events & woken)
			watches[i].queued = true;
	}

	for (i = 0; i < REQUESTS; i++) {
		struct request *r = &requests[i];

		if (!r->used || r->buffer != b || !(r->events & woken))
			continue;
		r->may = r->events & now;
		r->must = r->events & woken;
		if (several && !r->multishot && r->must & IN_BITS)
			r->must &= IN_BITS;
	}

	for (i = 0; i < SLEEPERS; i++) {
		struct sleeper *s = &sleepers[i];

		if (!s->waiter || s->buffer != b || !(s->events & woken))
			continue;
		s->woken = true;
		s->partly = several;
	}
}

/*
 * Lifetime
 */

static long file_count(const struct buffer *b, long expected)
{
	long long deadline = now_ms() + SOON_MS;
	long count;

	if (ignored[NEUTRAL])
		return expected;
	for (;;) {
		count = dmabuf_file_count(b->dmabuf.ino);
		if (count == expected || !b->late || now_ms() > deadline)
			return count;
		usleep(500);
	}
}

static int references(const struct buffer *b)
{
	return b->nfds + b->parked + b->held;
}

/* The same for all fences, when every buffer and sync_file is closed. */
static int fences_left(void)
{
	long long deadline = now_ms() + (any_late ? SOON_MS : 0);
	int fences;

	do {
		fences = sw_sync_live_fences();
		if (fences <= 0)
			return 0;
		usleep(any_late ? 500 : 0);
	} while (now_ms() < deadline);
	return fences;
}

/* After every step that takes a reference away. */
static void maybe_freed(struct buffer *b)
{
	long count;
	int i;

	if (!b->alive || references(b))
		return;
	any_late |= b->late;

	count = file_count(b, 0);
	check(NEUTRAL, !count, "the last close leaves %ld references on the file", count);
	for (i = 0; i < WATCHES; i++) {
		if (watches[i].buffer == b)
			watches[i].buffer = NULL;
	}
	b->alive = false;
}

/*
 * Steps. Each returns false, having done nothing, where it makes no sense.
 */

static bool op_buffer(const uint8_t *arg)
{
	struct buffer *b = &buffers[arg[0]];

	if (b->alive)
		return false;
	*b = (struct buffer) { .alive = true, .nfds = 1 };
	must(!dmabuf_create(&b->dmabuf, exporters[arg[1] % n_exporters]), "buffer");
	b->fds[0] = b->dmabuf.fd;
	return true;
}

static bool op_dup(const uint8_t *arg)
{
	struct buffer *b = &buffers[arg[0]];

	if (!b->nfds || b->nfds == MAX_FDS)
		return false;
	b->fds[b->nfds] = dup(b->fds[0]);
	must(b->fds[b->nfds] >= 0, "dup");
	b->nfds++;
	return true;
}

/* Takes the first, with which epoll has been told of the buffer, or the last. */
static int take_fd(struct buffer *b, bool first)
{
	int fd = b->fds[first ? 0 : b->nfds - 1];
	int i;

	b->nfds--;
	if (first)
		memmove(b->fds, b->fds + 1, b->nfds * sizeof(b->fds[0]));
	for (i = 0; i < WATCHES; i++) {
		if (watches[i].buffer == b && watches[i].fd == fd)
			watches[i].fd_closed = true;
	}
	return fd;
}

static bool op_close(const uint8_t *arg)
{
	struct buffer *b = &buffers[arg[0]];

	if (!b->nfds)
		return false;
	close(take_fd(b, true));
	maybe_freed(b);
	return true;
}

static bool op_park(const uint8_t *arg)
{
	struct buffer *b = &buffers[arg[0]];
	int fd;

	if (!b->nfds || b->parked == MAX_PARKED)
		return false;
	fd = take_fd(b, false);
	must(!fd_send(socks[arg[0]][0], fd), "sendmsg");
	close(fd);
	b->parked++;
	return true;
}

static bool op_unpark(const uint8_t *arg)
{
	struct buffer *b = &buffers[arg[0]];

	if (!b->parked || b->nfds == MAX_FDS)
		return false;
	b->fds[b->nfds] = fd_receive(socks[arg[0]][1]);
	must(b->fds[b->nfds] >= 0, "recvmsg");
	b->nfds++;
	b->parked--;
	/* the garbage collector of sockets may hold it a little longer */
	b->late = true;
	return true;
}

static bool op_timeline(const uint8_t *arg)
{
	struct timeline *t = &timelines[arg[0]];

	if (t->open)
		return false;
	*t = (struct timeline) { .fd = sw_sync_timeline(), .open = true };
	must(t->fd >= 0, "timeline");
	return true;
}

static void wake_all(bool several)
{
	int i;

	for (i = 0; i < BUFFERS; i++)
		wake(&buffers[i], several);
}

static bool op_inc(const uint8_t *arg)
{
	struct timeline *t = &timelines[arg[0]];

	if (!t->open || !arg[1])
		return false;
	must(!sw_sync_inc(t->fd, arg[1]), "inc");
	t->value += arg[1];
	wake_all(arg[1] > 1);
	return true;
}

/* Fences that are left signal, with an error. */
static bool op_end(const uint8_t *arg)
{
	struct timeline *t = &timelines[arg[0]];
	int i;

	if (!t->open)
		return false;
	sw_sync_end(t->fd, t->value, t->last);
	t->open = false;
	wake_all(true);
	for (i = 0; i < BUFFERS; i++) {
		buffers[i].fences[FENCE_READ].point[arg[0]] = 0;
		buffers[i].fences[FENCE_WRITE].point[arg[0]] = 0;
	}
	for (i = 0; i < SYNC_FILES; i++)
		sync_files[i].fences.point[arg[0]] = 0;
	return true;
}

static bool op_fence(const uint8_t *arg)
{
	struct sync_file *s = &sync_files[arg[0]];
	struct timeline *t = &timelines[arg[1]];

	if (s->used || !t->open)
		return false;
	*s = (struct sync_file) { .used = true };
	s->fences.point[arg[1]] = t->value + arg[2];
	s->fd = sw_sync_fence(t->fd, t->value + arg[2]);
	must(s->fd >= 0, "fence");
	if (t->last < t->value + arg[2])
		t->last = t->value + arg[2];
	return true;
}

static bool op_merge(const uint8_t *arg)
{
	struct sync_file *s = &sync_files[arg[0]];
	struct sync_file *a = &sync_files[arg[1]], *b = &sync_files[arg[2]];

	if (s->used || !a->used || !b->used)
		return false;
	*s = (struct sync_file) { .used = true };
	add_fences(&s->fences, &a->fences);
	add_fences(&s->fences, &b->fences);
	s->fd = sync_file_merge(a->fd, b->fd);
	must(s->fd >= 0, "merge");
	return true;
}

static bool op_drop(const uint8_t *arg)
{
	struct sync_file *s = &sync_files[arg[0]];

	if (!s->used)
		return false;
	close(s->fd);
	s->used = false;
	return true;
}

static bool op_import(const uint8_t *arg)
{
	struct buffer *b = &buffers[arg[0]];
	struct sync_file *s = &sync_files[arg[1]];

	if (!b->nfds || !s->used)
		return false;
	must(!dmabuf_import_sync_file(b->fds[0], s->fd, arg[2]), "import");
	add_fences(&b->fences[arg[2]], &s->fences);
	return true;
}

/* The other way to ask: that the model is right, and not just poll. */
static bool op_export(const uint8_t *arg)
{
	struct buffer *b = &buffers[arg[0]];
	struct pollfd pfd = { .events = POLLIN };
	short bits = arg[1] == FENCE_WRITE ? OUT_BITS : IN_BITS;

	if (!b->nfds)
		return false;
	pfd.fd = dmabuf_export_sync_file(b->fds[0], arg[1]);
	must(pfd.fd >= 0, "export");
	must(poll(&pfd, 1, 0) >= 0, "poll of a sync_file");
	close(pfd.fd);
	any_array |= !pfd.revents;
	check(EXACT, !!pfd.revents == !!(ready(b) & bits),
	      "the exported sync_file says %d, the model %#x", pfd.revents, ready(b));
	return true;
}

static bool op_poll(const uint8_t *arg)
{
	struct buffer *b = &buffers[arg[0]];
	struct pollfd pfd = { .events = mask_of(arg[1]) };
	short expected, wrong;

	if (!b->nfds)
		return false;
	pfd.fd = b->fds[0];
	must(poll(&pfd, 1, 0) >= 0, "poll");
	expected = ready(b) & pfd.events;
	wrong = expected ^ pfd.revents;
	look(b, pfd.events);
	check(EXACT, !(wrong & ~(POLLRDNORM | POLLWRNORM)),
	      "poll says %#x, and it is %#x", pfd.revents, expected);
	check(NAMES, !(wrong & (POLLRDNORM | POLLWRNORM)),
	      "poll says %#x, and it is %#x", pfd.revents, expected);
	return true;
}

static bool op_refs(const uint8_t *arg)
{
	struct buffer *b = &buffers[arg[0]];
	long count;

	if (!b->alive)
		return false;
	count = file_count(b, references(b));
	check(NEUTRAL, count == references(b), "%ld references on the file, and not %d",
	      count, references(b));
	return true;
}

static bool op_watch(const uint8_t *arg)
{
	struct watch *w = &watches[arg[0]];
	struct buffer *b = &buffers[arg[1]];
	enum wait_kind kind = arg[2];
	short events = mask_of(arg[3]);

	/* exclusive is for IN and OUT by these names only */
	if (w->poller || !b->nfds || !events || kind < WAIT_EPOLL_LT ||
	    kind > WAIT_EPOLL_NESTED ||
	    (kind == WAIT_EPOLL_EXCLUSIVE && events & ~MAIN_BITS))
		return false;
	*w = (struct watch) {
		.poller = poller_open(kind, b->fds[0], events),
		.kind = kind,
		.events = events,
		.buffer = b,
		.fd = b->fds[0],
		.queued = events & ready(b),
	};
	must(w->poller, "epoll");
	b->exclusive |= kind == WAIT_EPOLL_EXCLUSIVE;
	look(b, events);
	return true;
}

/* What it reports is not to be trusted, or is news to the model. */
static void check_unexpected(struct watch *w, short now, int got)
{
	if (!w->buffer) {
		check(NEUTRAL, false, "%s reports %#x of a buffer that is closed",
		      wait_kind_name(w->kind), got);
		return;
	}
	if (!check(line_of(EXACT, w->events), !(got & ~now),
		   "%s reports %#x, ready is %#x", wait_kind_name(w->kind), got, now))
		return;
	check(line_of(QUIET, w->events), w->buffer->exclusive,
	      "%s reports %#x once more", wait_kind_name(w->kind), got);
}

static bool op_wait(const uint8_t *arg)
{
	struct watch *w = &watches[arg[0]];
	short now, expected;
	enum line lost;
	int got;

	if (!w->poller)
		return false;

	now = w->buffer ? ready(w->buffer) & w->events : 0;
	expected = w->queued && !w->disabled && w->buffer ? now : 0;
	lost = line_of(NO_LOST_WAKEUP, expected);
	got = poller_wait(w->poller, expected ? patience(lost) : 0);
	must(got >= 0, "epoll_wait");
	if (!expected) {
		if (got)
			check_unexpected(w, now, got);
		else
			checks[QUIET]++;
	} else if (check(lost, got, "%s does not report %#x",
			 wait_kind_name(w->kind), expected)) {
		check(line_of(EXACT, w->events), (got & MAIN_BITS) == (expected & MAIN_BITS),
		      "%s reports %#x, ready is %#x", wait_kind_name(w->kind), got, now);
		check(NAMES, got == expected, "%s reports %#x, ready is %#x",
		      wait_kind_name(w->kind), got, now);
	}

	if (!w->buffer || w->disabled || !(w->queued || got))
		return true;
	look(w->buffer, w->events);
	w->disabled = now && w->kind == WAIT_EPOLL_ONESHOT;
	w->queued = now && w->kind != WAIT_EPOLL_ONESHOT && w->kind != WAIT_EPOLL_ET;
	return true;
}

static bool op_rearm(const uint8_t *arg)
{
	struct watch *w = &watches[arg[0]];

	if (!w->poller || !w->buffer || w->fd_closed || w->kind == WAIT_EPOLL_EXCLUSIVE)
		return false;
	must(!poller_rearm(w->poller), "EPOLL_CTL_MOD");
	w->disabled = false;
	w->queued |= !!(w->events & ready(w->buffer));
	look(w->buffer, w->events);
	return true;
}

static bool op_unwatch(const uint8_t *arg)
{
	struct watch *w = &watches[arg[0]];

	if (!w->poller)
		return false;
	poller_close(w->poller);
	*w = (struct watch) {};
	return true;
}

/*
 * io_uring. A completion carries what its request was woken with, so it is
 * fetched after each step, at no cost, and compared with what was true then.
 */

static struct request *request_of(uint64_t tag)
{
	int i;

	for (i = 0; i < REQUESTS; i++) {
		if (requests[i].used && requests[i].tag == tag)
			return &requests[i];
	}
	return NULL;
}

/* Returns false when nothing (more) came in time. */
static bool fetch_completion(int timeout_ms, int *cancel)
{
	struct poll_done done;
	struct request *r;

	if (poll_ring_next(ring, timeout_ms, &done) <= 0)
		return false;
	if (done.tag == POLL_RING_CANCEL) {
		if (cancel)
			*cancel = done.res;
		return true;
	}

	r = request_of(done.tag);
	if (!check(SHARED, r && !r->final, "a request of io_uring completes twice") || !r)
		return true;
	if (done.res < 0)
		r->error = done.res;
	else
		r->got |= done.res;
	r->completions++;
	r->final = !done.more;
	return true;
}

static void end_request(struct request *r)
{
	struct buffer *b = r->buffer;

	*r = (struct request) {};
	b->held--;
	maybe_freed(b);
}

static void check_request(struct request *r)
{
	const char *name = r->multishot ? "a multishot request" : "a request";
	short missing;
	enum line lost = line_of(NO_LOST_WAKEUP, r->must);
	short now = ready(r->buffer) & r->events;
	short may = r->buffer->exclusive ? now : r->may;

	while (r->must && !r->completions && !r->final) {
		if (!fetch_completion(patience(lost), NULL))
			break;
	}

	check(lost, !r->must || r->completions, "%s for %#x does not complete",
	      name, r->events);
	check(SHARED, !r->error, "%s completes with %d", name, r->error);
	if (r->completions && !r->error) {
		check(line_of(QUIET, r->events), r->must || r->buffer->exclusive,
		      "%s completes with %#x, which is no news", name, r->got);
		missing = r->must & ~r->got;
		check(line_of(ONE_WAKEUP, r->events), !(r->got & ~now & MAIN_BITS),
		      "%s completes with %#x, ready is %#x", name, r->got, now);
		check(line_of(ONE_WAKEUP, r->events),
		      !(missing & MAIN_BITS) && !(r->got & ~may & MAIN_BITS),
		      "%s completes with %#x, and not %#x", name, r->got, r->must);
		check(NAMES, !(missing | (r->got & ~now)),
		      "%s completes with %#x, and not %#x", name, r->got, r->must);
		check(line_of(QUIET, r->events), r->completions <= 2,
		      "%s completes %d times for one step", name, r->completions);
	}

	r->must = 0;
	r->may = 0;
	r->got = 0;
	if (r->final || (r->completions && !r->multishot))
		end_request(r);
	else
		r->completions = 0;
}

static void check_requests(void)
{
	int i;

	while (fetch_completion(-1, NULL))
		;
	for (i = 0; i < REQUESTS; i++) {
		if (requests[i].used)
			check_request(&requests[i]);
	}
}

static bool op_request(const uint8_t *arg)
{
	struct request *r = &requests[arg[0]];
	struct buffer *b = &buffers[arg[1]];
	short events = mask_of(arg[3]);

	if (!ring || r->used || !b->nfds || !events ||
	    (arg[2] && !multishot_is_safe()))
		return false;
	*r = (struct request) {
		.used = true,
		.multishot = arg[2],
		.buffer = b,
		.events = events,
		.tag = ++next_tag,
		.must = ready(b) & events,
		.may = ready(b) & events,
	};
	b->held++;
	b->late = true;
	must(!poll_ring_add(ring, b->fds[0], events, arg[2], r->tag), "io_uring");
	look(b, events);
	return true;
}

/* Everything before has been fetched, so it cannot have completed by now. */
static bool op_cancel(const uint8_t *arg)
{
	struct request *r = &requests[arg[0]];
	int said = 1;

	if (!r->used)
		return false;
	must(!poll_ring_cancel(ring, r->tag), "io_uring");
	while ((said > 0 || !r->final) && fetch_completion(give_up_ms, &said))
		;
	check(SHARED, !said, "to cancel a request gives %d", said);
	check(SHARED, r->final && r->error == -ECANCELED && r->completions == 1,
	      "a cancelled request completes %d times, with %d", r->completions, r->error);
	end_request(r);
	return true;
}

/*
 * Sleeping threads
 */

static bool op_sleep(const uint8_t *arg)
{
	struct sleeper *s = &sleepers[arg[0]];
	struct buffer *b = &buffers[arg[1]];
	enum wait_kind kind = arg[2];
	short events = mask_of(arg[3]);
	bool asleep;

	if (s->waiter || !b->nfds || !events || events & ready(b) ||
	    kind >= WAIT_KINDS || kind == WAIT_EPOLL_EXCLUSIVE || ignored[QUIET] ||
	    (kind == WAIT_SELECT && events & ~MAIN_BITS) || wait_kind_missing(kind))
		return false;

	*s = (struct sleeper) {
		.kind = kind,
		.buffer = b,
		.events = events,
		.fd = dup(b->fds[0]),
		/* its descriptor, and what the kernel holds while it sleeps */
		.held = kind < WAIT_EPOLL_LT || wait_kind_is_request(kind) ? 2 : 1,
	};
	must(s->fd >= 0, "dup");
	s->waiter = waiter_start(kind, s->fd, events);
	must(s->waiter, "thread");
	b->held += s->held;
	b->late |= wait_kind_is_request(kind);
	look(b, events);
	asleep = !waiter_wait_asleep(s->waiter, 1);
	check(line_of(EXACT, events), asleep, "%s does not sleep for %#x on a busy buffer",
	      wait_kind_name(kind), events);
	return true;
}

/*
 * How often it was, the first time included. Several sleepers on one queue are
 * woken at a time: on PREEMPT_RT nobody can tell, see sched_sample().
 */
static bool woken_once(long times)
{
	return times == 1 || (times > 1 && preempt_rt());
}

static bool op_look(const uint8_t *arg)
{
	struct sleeper *s = &sleepers[arg[0]];
	long times;

	if (!s->waiter)
		return false;
	times = waiter_sleeps(s->waiter);
	check(line_of(ONE_WAKEUP, s->events), !times || woken_once(times) || s->buffer->exclusive,
	      "a sleeper in %s was woken %ld times in vain", wait_kind_name(s->kind), times - 1);
	return true;
}

static void end_sleeper(struct sleeper *s)
{
	struct buffer *b = s->buffer;

	close(s->fd);
	b->held -= s->held;
	*s = (struct sleeper) {};
	maybe_freed(b);
}

static void check_woken(struct sleeper *s)
{
	const char *name = wait_kind_name(s->kind);
	short expected = ready(s->buffer) & s->events;
	enum line lost = line_of(NO_LOST_WAKEUP, expected);
	long long deadline = now_ms() + patience(lost);
	short missing;
	long wakeups;
	int got;

	while (!waiter_returned(s->waiter) && now_ms() < deadline)
		usleep(50);
	if (!check(lost, waiter_returned(s->waiter), "a sleeper in %s for %#x is not woken",
		   name, s->events)) {
		end_sleeper(s);
		return;
	}

	got = waiter_join(s->waiter, &wakeups);
	missing = s->partly && got & IN_BITS ? 0 : expected & ~got;
	check(line_of(wait_kind_is_request(s->kind) ? ONE_WAKEUP : EXACT, s->events),
	      got > 0 && !(got & ~expected & MAIN_BITS),
	      "a sleeper in %s returns with %#x, ready is %#x", name, got, expected);
	/* and would have to be woken again for the rest */
	check(line_of(ONE_WAKEUP, s->events), got <= 0 || !(missing & MAIN_BITS),
	      "a sleeper in %s returns with %#x only, ready is %#x", name, got, expected);
	check(NAMES, got > 0 && !missing && !(got & ~expected),
	      "a sleeper in %s returns with %#x, ready is %#x", name, got, expected);
	check(line_of(ONE_WAKEUP, s->events), woken_once(wakeups) || s->buffer->exclusive,
	      "a sleeper in %s was woken %ld times", name, wakeups);
	end_sleeper(s);
}

static void check_sleepers(void)
{
	int i;

	for (i = 0; i < SLEEPERS; i++) {
		struct sleeper *s = &sleepers[i];
		enum line line;

		if (!s->waiter)
			continue;
		if (s->woken) {
			check_woken(s);
			continue;
		}
		line = line_of(wait_kind_is_request(s->kind) ? ONE_WAKEUP : EXACT, s->events);
		if (check(line, !waiter_returned(s->waiter),
			  "a sleeper in %s returns while %#x is busy",
			  wait_kind_name(s->kind), s->events))
			continue;
		waiter_join(s->waiter, NULL);
		end_sleeper(s);
	}
}

/*
 * Relays: another thread adds fences, each before it signals the last one, so that
 * one is pending at every instant. Looks meanwhile must not miss that.
 */
static struct relay {
	bool open;
	int lines[2];
	uint32_t points[2];
	unsigned int last;
	/* read fences that stay pending, between the slots of the two lines */
	int crowd[RELAY_CROWD];
	uint32_t crowd_point;
	int fd;
	enum fence_usage usage;
	atomic_bool over;
} relay;

static void open_relay(void)
{
	int i;

	if (relay.open)
		return;
	memset(&relay, 0, sizeof(relay));
	for (i = 0; i < 2; i++) {
		relay.lines[i] = sw_sync_timeline();
		must(relay.lines[i] >= 0, "timeline");
	}
	for (i = 0; i < RELAY_CROWD; i++) {
		relay.crowd[i] = sw_sync_timeline();
		must(relay.crowd[i] >= 0, "timeline");
	}
	relay.open = true;
}

static int relay_fence(int timeline, uint32_t point, enum fence_usage usage)
{
	int fd = sw_sync_fence(timeline, point);

	must(fd >= 0, "fence");
	must(!dmabuf_import_sync_file(relay.fd, fd, usage), "import");
	return fd;
}

/* With nothing between the two that does not have to be. */
static void relay_step(void)
{
	unsigned int next = !relay.last;
	int fd = relay_fence(relay.lines[next], ++relay.points[next], relay.usage);

	must(!sw_sync_inc(relay.lines[relay.last], 1), "inc");
	close(fd);
	relay.last = next;
}

static void *run_relay(void *arg)
{
	int i;

	for (i = 0; i < RELAY_STEPS; i++)
		relay_step();
	atomic_store(&relay.over, true);
	return NULL;
}

static void begin_relay(struct buffer *b, enum fence_usage usage)
{
	int i;

	open_relay();
	relay.fd = b->fds[0];
	relay.usage = usage;
	atomic_store(&relay.over, false);
	close(relay_fence(relay.lines[relay.last], ++relay.points[relay.last], usage));
	b->relay[usage] = true;

	/* those who look at read fences would see nothing but these */
	if (usage == FENCE_READ)
		return;
	relay.crowd_point++;
	for (i = 0; i < RELAY_CROWD; i++)
		close(relay_fence(relay.crowd[i], relay.crowd_point, FENCE_READ));
	b->relay[FENCE_READ] = true;
}

static void end_relay(struct buffer *b)
{
	int i;

	must(!sw_sync_inc(relay.lines[relay.last], 1), "inc");
	for (i = 0; i < RELAY_CROWD && relay.usage == FENCE_WRITE; i++)
		must(!sw_sync_inc(relay.crowd[i], 1), "inc");
	memset(b->relay, 0, sizeof(b->relay));
	wake(b, true);
}

/* Returns once nothing has happened that should not have, with a fence pending. */
static void look_at_relay(struct buffer *b, uint8_t buffer)
{
	const uint8_t both[MAX_ARGS] = { buffer, 3 };
	uint8_t watch[MAX_ARGS] = { 0 };

	op_poll(both);
	for (watch[0] = 0; watch[0] < WATCHES; watch[0]++) {
		if (watches[watch[0]].buffer == b)
			op_wait(watch);
	}
	if (ring)
		check_requests();
	check_sleepers();
}

static bool op_relay(const uint8_t *arg)
{
	struct buffer *b = &buffers[arg[0]];
	pthread_t thread;

	if (!b->nfds)
		return false;
	begin_relay(b, arg[1]);
	must(!pthread_create(&thread, NULL, run_relay, NULL), "thread");
	do {
		look_at_relay(b, arg[0]);
	} while (!atomic_load(&relay.over));
	pthread_join(thread, NULL);
	/* a request that has completed since must not pass for one that was right */
	look_at_relay(b, arg[0]);
	end_relay(b);
	return true;
}

/*
 * Programs
 */

/*
 * args: of what kind each is. B buffer, T timeline, S sync_file, W watch,
 * R request, Z sleeper, N number, U usage, M events, K kind of waiter, H shot,
 * E exporter
 */
static const struct op_type {
	const char *name;
	const char *args;
	unsigned int weight;
	bool (*run)(const uint8_t *arg);
} op_types[] = {
	{ "buffer",	"BE",	 8, op_buffer },
	{ "dup",	"B",	 2, op_dup },
	{ "close",	"B",	 4, op_close },
	{ "park",	"B",	 1, op_park },
	{ "unpark",	"B",	 2, op_unpark },
	{ "timeline",	"T",	 6, op_timeline },
	{ "inc",	"TN",	 9, op_inc },
	{ "end",	"T",	 1, op_end },
	{ "fence",	"STN",	12, op_fence },
	{ "merge",	"SSS",	 2, op_merge },
	{ "drop",	"S",	 6, op_drop },
	{ "import",	"BSU",	16, op_import },
	{ "export",	"BU",	 1, op_export },
	{ "poll",	"BM",	10, op_poll },
	{ "refs",	"B",	 1, op_refs },
	{ "watch",	"WBKM",	 8, op_watch },
	{ "wait",	"W",	24, op_wait },
	{ "rearm",	"W",	 4, op_rearm },
	{ "unwatch",	"W",	 2, op_unwatch },
	{ "request",	"RBHM",	 6, op_request },
	{ "cancel",	"R",	 1, op_cancel },
	{ "sleep",	"ZBKM",	20, op_sleep },
	{ "look",	"Z",	 3, op_look },
	{ "relay",	"BU",	 1, op_relay },
};

static const struct arg_type {
	char type;
	unsigned int below;
} arg_types[] = {
	{ 'B', BUFFERS }, { 'T', TIMELINES }, { 'S', SYNC_FILES },
	{ 'W', WATCHES }, { 'R', REQUESTS }, { 'Z', SLEEPERS }, { 'N', 5 },
	{ 'U', 2 }, { 'M', 16 }, { 'K', WAIT_KINDS }, { 'H', 2 }, { 'E', 2 },
};

static unsigned int arg_below(char type)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(arg_types); i++) {
		if (arg_types[i].type == type)
			return arg_types[i].below;
	}
	return 0;
}

static int print_mask(char *to, uint8_t arg)
{
	unsigned int i;
	int len = 0;

	for (i = 0; i < ARRAY_SIZE(mask_names); i++) {
		if (arg & 1 << i)
			len += sprintf(to + len, "%s%s", len ? "+" : " ",
				       mask_names[i].name);
	}
	return len ? len : sprintf(to, " none");
}

static int print_op(char *to, const struct op *op)
{
	const struct op_type *type = &op_types[op->code];
	int len = sprintf(to, "%s", type->name);
	int i;

	for (i = 0; type->args[i]; i++) {
		uint8_t arg = op->arg[i];

		switch (type->args[i]) {
		case 'U':
			len += sprintf(to + len, arg == FENCE_WRITE ? " write" : " read");
			break;
		case 'H':
			len += sprintf(to + len, arg ? " multi" : " single");
			break;
		case 'K':
			len += sprintf(to + len, " %s", wait_kind_name(arg));
			break;
		case 'M':
			len += print_mask(to + len, arg);
			break;
		default:
			len += sprintf(to + len, " %u", arg);
		}
	}
	return len;
}

static void print_program(char *to, const struct program *p)
{
	int i;

	*to = '\0';
	for (i = 0; i < p->n; i++) {
		to += sprintf(to, "%s", i ? "; " : "");
		to += print_op(to, &p->ops[i]);
	}
}

static bool parse_mask(char *word, uint8_t *arg)
{
	char *name, *save;
	unsigned int i;

	*arg = 0;
	if (!strcmp(word, "none"))
		return true;
	for (name = strtok_r(word, "+", &save); name; name = strtok_r(NULL, "+", &save)) {
		for (i = 0; i < ARRAY_SIZE(mask_names); i++) {
			if (!strcmp(name, mask_names[i].name))
				break;
		}
		if (i == ARRAY_SIZE(mask_names))
			return false;
		*arg |= 1 << i;
	}
	return *arg;
}

static bool parse_choice(const char *word, const char *zero, const char *one,
			 uint8_t *arg)
{
	*arg = !strcmp(word, one);
	return *arg || !strcmp(word, zero);
}

static bool parse_arg(char type, char *word, uint8_t *arg)
{
	unsigned long n;
	char *end;

	if (!word)
		return false;
	if (type == 'U')
		return parse_choice(word, "read", "write", arg);
	if (type == 'H')
		return parse_choice(word, "single", "multi", arg);
	if (type == 'M')
		return parse_mask(word, arg);
	if (type == 'K') {
		for (*arg = 0; *arg < WAIT_KINDS; (*arg)++) {
			if (!strcmp(word, wait_kind_name(*arg)))
				return true;
		}
		return false;
	}
	n = strtoul(word, &end, 10);
	*arg = n;
	return end != word && !*end && n < arg_below(type);
}

#define BLANKS	" \t\r"

/* The step of the name at the beginning of text; as many as there are if none. */
static unsigned int op_named(const char *text)
{
	size_t len = strcspn(text, BLANKS);
	unsigned int code;

	for (code = 0; code < ARRAY_SIZE(op_types); code++) {
		if (strlen(op_types[code].name) == len &&
		    !strncmp(op_types[code].name, text, len))
			break;
	}
	return code;
}

static bool parse_op(char *text, struct op *op)
{
	char *save, *word = strtok_r(text, BLANKS, &save);
	const char *args;
	unsigned int i;

	op->code = op_named(word);
	if (op->code == ARRAY_SIZE(op_types))
		return false;
	args = op_types[op->code].args;
	for (i = 0; args[i]; i++) {
		if (!parse_arg(args[i], strtok_r(NULL, BLANKS, &save), &op->arg[i]))
			return false;
	}
	return !strtok_r(NULL, BLANKS, &save);
}

/* What such a step looks like, or which there are. */
static void explain_op(const char *step)
{
	const struct op_type *type = &op_types[op_named(step)];
	unsigned int i;

	if (type == op_types + ARRAY_SIZE(op_types)) {
		fprintf(stderr, "there are");
		for (i = 0; i < ARRAY_SIZE(op_types); i++)
			fprintf(stderr, " %s", op_types[i].name);
		return;
	}

	fprintf(stderr, "it is %s", type->name);
	for (i = 0; type->args[i]; i++) {
		switch (type->args[i]) {
		case 'U':
			fprintf(stderr, " read|write");
			break;
		case 'H':
			fprintf(stderr, " single|multi");
			break;
		case 'K':
			fprintf(stderr, " KIND, such as %s,", wait_kind_name(WAIT_POLL));
			break;
		case 'M':
			fprintf(stderr, " EVENTS, such as in+out");
			break;
		default:
			fprintf(stderr, " 0-%u", arg_below(type->args[i]) - 1);
		}
	}
}

/* Semicolons or newlines between the steps, # up to the end of a line. */
static void parse_program(const char *text, struct program *p)
{
	char *copy = strdup(text), *save, *step, *hash, *end;
	char shown[64];

	must(copy, "program");
	for (hash = copy; (hash = strchr(hash, '#')); ) {
		end = hash + strcspn(hash, "\n");
		memset(hash, ' ', end - hash);
	}

	p->n = 0;
	for (step = strtok_r(copy, ";\n", &save); step; step = strtok_r(NULL, ";\n", &save)) {
		snprintf(shown, sizeof(shown), "%s", step);
		if (step[strspn(step, BLANKS)] == '\0')
			continue;
		if (p->n == MAX_STEPS) {
			fprintf(stderr, "error: a program has 1 to %d steps\n", MAX_STEPS);
			exit(2);
		}
		if (!parse_op(step, &p->ops[p->n++])) {
			fprintf(stderr, "error: no step of a program: '%s': ", shown);
			explain_op(shown + strspn(shown, BLANKS));
			fprintf(stderr, "\n");
			exit(2);
		}
	}
	free(copy);
	if (!p->n) {
		fprintf(stderr, "error: a program has 1 to %d steps\n", MAX_STEPS);
		exit(2);
	}
}

/*
 * Running them
 */

static bool run_step(bool (*run)(const uint8_t *arg), const uint8_t *arg)
{
	if (!run(arg))
		return false;
	atomic_fetch_add(&progress, 1);
	if (ring)
		check_requests();
	check_sleepers();
	return true;
}

static bool run_op(const struct op *op)
{
	return run_step(op_types[op->code].run, op->arg);
}

static bool any_sleeps(void)
{
	int i;

	for (i = 0; i < SLEEPERS; i++) {
		if (sleepers[i].waiter)
			return true;
	}
	return false;
}

static void end_all(bool (*run)(const uint8_t *arg), int n)
{
	uint8_t arg[MAX_ARGS] = { 0 };

	for (arg[0] = 0; arg[0] < n; arg[0]++) {
		while (run_step(run, arg))
			;
	}
}

/*
 * Everything goes, in an order in which fences are still pending when the
 * buffers do, and watches still there.
 */
static void end_world(void)
{
	int fences;

	atomic_fetch_add(&progress, 1);
	end_all(op_drop, SYNC_FILES);
	if (any_sleeps())
		end_all(op_end, TIMELINES);
	end_all(op_cancel, REQUESTS);
	end_all(op_close, BUFFERS);
	end_all(op_unpark, BUFFERS);
	end_all(op_close, BUFFERS);
	fences = ignored[NEUTRAL] || any_array ? 0 : fences_left();
	check(NEUTRAL, !fences, "%d fences are left when all buffers are gone", fences);
	end_all(op_unwatch, WATCHES);
	end_all(op_end, TIMELINES);
	any_late = false;
	any_array = false;
}

/* Timelines are named after who opened them: only ours are to be counted. */
static void begin_world(void)
{
	char name[16];
	int i;

	snprintf(name, sizeof(name), "fuzz.%d", getpid());
	prctl(PR_SET_NAME, name);
	for (i = 0; i < BUFFERS; i++)
		must(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, socks[i]), "socketpair");
	if (!wait_kind_missing(WAIT_IO_URING) && !wait_kind_missing(WAIT_IO_URING_MULTISHOT)) {
		ring = poll_ring_open(8);
		must(ring, "io_uring");
	}
}

/* Runs @p up to the first violation, and leaves in it what had a meaning. */
static bool run_program(struct program *p)
{
	struct program done = { .n = 0 };
	int i;

	violation.found = false;
	for (i = 0; i < p->n && !violation.found; i++) {
		if (run_op(&p->ops[i]))
			done.ops[done.n++] = p->ops[i];
	}
	if (!violation.found)
		end_world();
	*p = done;
	return !violation.found;
}

static void random_op(struct rng *rng, struct op *op)
{
	static unsigned int total;
	const char *args;
	unsigned int i, n;

	if (!total) {
		for (i = 0; i < ARRAY_SIZE(op_types); i++)
			total += op_types[i].weight;
	}
	n = rng_below(rng, total);
	for (op->code = 0; n >= op_types[op->code].weight; op->code++)
		n -= op_types[op->code].weight;
	args = op_types[op->code].args;
	for (i = 0; args[i]; i++) {
		op->arg[i] = rng_below(rng, arg_below(args[i]));
		/* the other names are rare, and the usual ones mostly enough */
		if (args[i] == 'M' && rng_below(rng, 8))
			op->arg[i] = 1 + rng_below(rng, 3);
		if (args[i] == 'N' && rng_below(rng, 2))
			op->arg[i] = 1;
	}
}

/* Makes a program up while it runs. */
static bool run_random_program(unsigned long long number)
{
	struct rng rng = { .state = (uint64_t)seed << 32 ^ number };
	int wanted, tries;

	rng_next(&rng);
	wanted = 10 + rng_below(&rng, MAX_STEPS - 10);
	violation.found = false;
	current.n = 0;
	current_number = number;
	for (tries = 0; current.n < wanted && tries < 20 * wanted && now_ms() < stop_at;
	     tries++) {
		struct op *op = &current.ops[current.n];

		random_op(&rng, op);
		/* counted first: whoever finds us stuck prints this one as well */
		current.n++;
		if (!run_op(op))
			current.n--;
		if (violation.found)
			return false;
	}
	end_world();
	return !violation.found;
}

/*
 * Shrinking. A program that breaks something leaves a world behind of which
 * the model knows nothing: so each try is a process of its own.
 */

struct outcome {
	struct violation violation;
	struct program program;
	/* it came to its end, one way or the other */
	bool complete;
};

static bool try_program(const struct program *p, int patience_ms,
			struct outcome *outcome)
{
	long long deadline = now_ms() + TRY_MS;
	int pipefd[2], status, i;
	pid_t pid;

	must(!pipe(pipefd), "pipe");
	fflush(stdout);
	pid = fork();
	must(pid >= 0, "fork");
	if (!pid) {
		memset(timelines, 0, sizeof(timelines));
		memset(sync_files, 0, sizeof(sync_files));
		memset(buffers, 0, sizeof(buffers));
		memset(watches, 0, sizeof(watches));
		memset(requests, 0, sizeof(requests));
		memset(sleepers, 0, sizeof(sleepers));
		relay.open = false;
		any_late = false;
		any_array = false;
		give_up_ms = patience_ms;
		begin_world();
		outcome->program = *p;
		run_program(&outcome->program);
		/* not left to the end of the process, see sw_sync_end() */
		for (i = 0; i < TIMELINES; i++) {
			if (timelines[i].open)
				sw_sync_end(timelines[i].fd, timelines[i].value, timelines[i].last);
		}
		outcome->violation = violation;
		outcome->complete = true;
		_exit(write(pipefd[1], outcome, sizeof(*outcome)) != sizeof(*outcome));
	}

	close(pipefd[1]);
	outcome->violation.found = false;
	outcome->complete = false;
	while (now_ms() < deadline) {
		struct pollfd pfd = { .fd = pipefd[0], .events = POLLIN };

		atomic_fetch_add(&progress, 1);
		if (poll(&pfd, 1, 100) < 1)
			continue;
		/* nothing to read: it has died before it could tell */
		if (read(pipefd[0], outcome, sizeof(*outcome)) != sizeof(*outcome))
			memset(outcome, 0, sizeof(*outcome));
		break;
	}
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	close(pipefd[0]);
	return outcome->violation.found;
}

/* As long as the same line breaks leave steps out, many at first. */
static void shrink(struct program *p, struct violation *v)
{
	long long deadline = now_ms() + SHRINK_MS;
	struct outcome outcome;
	struct program shorter;
	int chunk = p->n / 2 + 1;
	int at;

	if (deadline > stop_at)
		deadline = stop_at;

	do {
		chunk = (chunk + 1) / 2;
		for (at = 0; at < p->n && now_ms() < deadline; ) {
			int cut = at + chunk < p->n ? chunk : p->n - at;

			shorter = *p;
			shorter.n -= cut;
			memmove(&shorter.ops[at], &shorter.ops[at + cut],
				(shorter.n - at) * sizeof(shorter.ops[0]));
			if (try_program(&shorter, SHRINK_GIVE_UP, &outcome) &&
			    outcome.violation.line == v->line) {
				*p = outcome.program;
				*v = outcome.violation;
			} else {
				at += cut;
			}
		}
	} while (chunk > 1 && now_ms() < deadline);
}

static void report_violation(const char *what, struct program *p)
{
	struct violation v = violation;
	static char text[MAX_TEXT];
	struct outcome outcome;
	int n = p->n, again = 0;

	ksft_print_msg("%s: %s breaks in %s, step %d: %s\n", what, line_names[v.line],
		       what, n, v.text);
	/* what does not happen again every time may need another try */
	while (again < 3 && now_ms() < stop_at &&
	       !(try_program(p, SHRINK_GIVE_UP, &outcome) &&
		 outcome.violation.line == v.line))
		again++;
	if (now_ms() >= stop_at) {
		ksft_print_msg("%s: no time to shrink it, so all of it:\n", what);
	} else if (again == 3) {
		ksft_print_msg("%s: does not happen again, so all of it:\n", what);
	} else {
		shrink(p, &v);
		ksft_print_msg("%s: shrunk from %d steps to %d: %s\n", what, n, p->n, v.text);
	}
	print_program(text, p);
	/* not through ksft_print_msg(), which may cut it short */
	fflush(stdout);
	dprintf(STDOUT_FILENO, "# replay: ./poll_fuzz --program '%s'\n", text);
}

/* Where the violation has left the world is anybody's guess: begin again. */
static void abandon_world(void)
{
	bool was[LINES];

	memcpy(was, ignored, sizeof(was));
	memset(ignored, true, sizeof(ignored));
	give_up_ms = 0;
	end_world();
	give_up_ms = GIVE_UP_MS;
	memcpy(ignored, was, sizeof(was));
	violation.found = false;
}

/*
 * What random programs have found, in the series or where it was broken on
 * purpose, shrunk to what matters.
 */
static const struct known_program {
	enum line line;
	const char *name;
	const char *text;
} known_programs[] = {
	{ EXACT, "fence_seen_and_gone",
	  "buffer 0 0; timeline 0; fence 0 0 1; import 0 0 write; poll 0 in+out; "
	  "inc 0 1; poll 0 in+out" },
	{ EXACT, "replaced_fence_of_an_ended_timeline",
	  "timeline 0; buffer 0 0; fence 0 0 1; import 0 0 write; poll 0 in+out; "
	  "fence 1 0 2; import 0 1 write; drop 0; drop 1; end 0; poll 0 in+out" },
	{ EXACT, "one_fence_follows_the_other",
	  "buffer 0 0; watch 0 0 epoll_lt in; relay 0 write; relay 0 write; relay 0 write; "
	  "relay 0 write; relay 0 write; relay 0 write; relay 0 write; relay 0 write; "
	  "relay 0 write; relay 0 write; relay 0 read; relay 0 read; wait 0" },
	{ NAMES, "wrnorm_beside_out", "buffer 0 0; poll 0 out+wrnorm" },
	{ NAMES, "request_for_wrnorm", "buffer 1 0; request 2 1 single wrnorm" },
	{ NEUTRAL, "close_after_poll",
	  "buffer 1 0; timeline 2; fence 5 2 1; import 1 5 write; poll 1 in+out" },
	{ NEUTRAL, "close_under_exclusive_watch",
	  "timeline 0; buffer 1 1; watch 1 1 epoll_exclusive out; fence 2 0 1; "
	  "import 1 2 read; wait 1" },
	{ NEUTRAL, "closed_buffer_reports_nothing",
	  "timeline 1; fence 3 1 4; buffer 0 1; import 0 3 read; watch 1 0 epoll_et in; "
	  "poll 0 out; close 0; wait 1" },
	{ ONE_WAKEUP, "request_waits_for_both_fences",
	  "timeline 2; timeline 0; buffer 2 1; fence 5 0 1; import 2 5 write; fence 4 2 4; "
	  "import 2 4 write; request 2 2 single out; inc 0 1" },
	{ ONE_WAKEUP, "request_waits_for_the_later_point",
	  "timeline 2; buffer 2 0; fence 2 2 4; inc 2 1; import 2 2 write; fence 5 2 4; "
	  "request 2 2 single out+wrnorm; import 2 5 read; inc 2 3" },
	{ QUIET, "multishot_on_an_idle_buffer", "buffer 1 1; request 1 1 multi in" },
};

static void announce(const char *line, const char *name)
{
	ksft_print_msg("RUN           %s.fuzz%s%s ...\n", line, *name ? "_" : "", name);
}

static void result(bool ok, const char *line, const char *name)
{
	if (ok)
		ksft_test_result_pass("%s.fuzz%s%s\n", line, *name ? "_" : "", name);
	else
		ksft_test_result_fail("%s.fuzz%s%s\n", line, *name ? "_" : "", name);
}

static bool needs_ring(const char *text)
{
	return strstr(text, "request") || strstr(text, "io_uring");
}

static void run_known(const struct known_program *known)
{
	struct outcome outcome;
	struct program p;
	int i;

	announce(line_names[known->line], known->name);
	if (!ring && needs_ring(known->text)) {
		ksft_test_result_skip("%s\n", wait_kind_missing(WAIT_IO_URING_MULTISHOT));
		return;
	}
	for (i = 0; i < LINES; i++)
		ignored[i] = i != (int)known->line;
	parse_program(known->text, &p);
	if (try_program(&p, GIVE_UP_MS, &outcome))
		ksft_print_msg("step %d: %s\n", outcome.program.n, outcome.violation.text);
	else if (!outcome.complete)
		ksft_print_msg("did not come to its end\n");
	memset(ignored, 0, sizeof(ignored));
	result(!outcome.violation.found && outcome.complete, line_names[known->line], known->name);
}

/*
 * A line that broke has failed. If none did the steps have to be enough to say
 * so; if others did, this one may not have had its share, and has no result.
 */
static void result_of_line(enum line line, bool any_broken, bool enough)
{
	announce(line_names[line], "");
	ksft_print_msg("%ld checks\n", checks[line]);
	if (ignored[line] || (!enough && !any_broken))
		result(false, line_names[line], "");
	else if (!enough)
		ksft_test_result_skip("time was up before enough steps were done\n");
	else if (!checks[line])
		ksft_test_result_skip("no step of these had anything to check\n");
	else
		result(true, line_names[line], "");
}

static void run_random(long steps, long seconds)
{
	long enough = steps < MIN_STEPS ? steps : MIN_STEPS;
	long long begun = now_ms(), told = begun;
	int log = kernel_log_open();
	unsigned long long number;
	bool any_broken = false;
	char what[64];
	long done = 0;
	int i;

	stop_at = begun + 1000LL * seconds;
	for (number = 0; done < steps && now_ms() < stop_at; number++) {
		bool ok = run_random_program(number);

		done += current.n;
		if (now_ms() - told > PROGRESS_MS) {
			told = now_ms();
			ksft_print_msg("%ld steps in %lld s\n", done, (told - begun) / 1000);
			fflush(stdout);
		}
		if (ok)
			continue;
		ksft_print_msg("after %ld steps and %lld ms:\n", done, now_ms() - begun);
		if (!any_broken && stop_at > now_ms() + BROKEN_MS)
			stop_at = now_ms() + BROKEN_MS;
		any_broken = true;
		snprintf(what, sizeof(what), "seed %ld, program %llu", seed, number);
		report_violation(what, &current);
		ignored[violation.line] = true;
		abandon_world();
	}

	ksft_print_msg("seed %ld: %ld steps in %llu programs, %lld s\n", seed, done, number,
		       (now_ms() - begun) / 1000);
	figure("exact", done, "steps of random programs that were checked");
	if (done < steps)
		ksft_print_msg("time was up after %ld of %ld steps%s\n", done, steps,
			       done < enough ? ", too few to say that anything holds" : "");
	if (preempt_rt())
		ksft_print_msg("PREEMPT_RT: how often sleepers were woken has not been judged\n");
	for (i = 0; i < LINES; i++)
		result_of_line(i, any_broken, done >= enough);
	announce("anycontext", "kernel_log");
	result(!kernel_log_warnings(log), "anycontext", "kernel_log");
}

static int run_one(const char *text, struct program *p)
{
	static char shown[MAX_TEXT];
	bool ok;

	if (!ring && needs_ring(text))
		ksft_exit_skip("%s\n", wait_kind_missing(WAIT_IO_URING_MULTISHOT));
	current = *p;
	ksft_print_header();
	ksft_set_plan(1);
	ok = run_program(p);
	print_program(shown, p);
	fflush(stdout);
	dprintf(STDOUT_FILENO, "# ran: %s\n", shown);
	if (!ok)
		ksft_print_msg("%s breaks in step %d: %s\n", line_names[violation.line],
			       p->n, violation.text);
	if (ok)
		ksft_test_result_pass("replay\n");
	else
		ksft_test_result_fail("replay\n");
	return ok ? KSFT_PASS : KSFT_FAIL;
}

/*
 * A kernel that never returns from a step takes us with it: say in what, as
 * long as somebody can.
 */
static void *see_progress(void *arg)
{
	static char text[MAX_TEXT];
	long seen = -1, now;

	for (;;) {
		now = atomic_load(&progress);
		if (now == seen)
			break;
		seen = now;
		sleep_ms(STUCK_MS);
	}

	print_program(text, &current);
	dprintf(STDOUT_FILENO,
		"# seed %ld, program %llu: stuck for %d s in or after the last of: %s\n",
		seed, current_number, STUCK_MS / 1000, text);
	dprintf(STDOUT_FILENO, "not ok %d anycontext.fuzz_progress\n", ksft_test_num());
	_exit(KSFT_FAIL);
}

/* Why nothing can be tested here, or NULL. */
static const char *missing(void)
{
	static const enum dmabuf_exporter usable[] = { EXPORTER_SYSTEM_HEAP, EXPORTER_UDMABUF };
	const char *why = NULL;
	struct dmabuf buf;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(usable); i++) {
		why = exporter_missing(usable[i]);
		if (!why)
			exporters[n_exporters++] = usable[i];
	}
	if (!n_exporters)
		return why;
	must(!dmabuf_create(&buf, exporters[0]), "buffer");
	why = fence_source_missing(FENCES_SW_SYNC, buf.fd);
	if (!why && dmabuf_file_count(buf.ino) < 0)
		why = "cannot read bufinfo of dma-buf from debugfs";
	dmabuf_destroy(&buf);
	return why;
}

static char *read_program(const char *path)
{
	FILE *f = strcmp(path, "-") ? fopen(path, "r") : stdin;
	char *text = calloc(1, MAX_TEXT);
	size_t len;

	if (!f || !text) {
		fprintf(stderr, "error: cannot open %s: %s\n", path, strerror(errno));
		exit(2);
	}
	len = fread(text, 1, MAX_TEXT, f);
	if (ferror(f) || len == MAX_TEXT) {
		fprintf(stderr, "error: cannot read %s, or it is longer than %d bytes\n",
			path, MAX_TEXT - 1);
		exit(2);
	}
	return text;
}

static void bad_usage(const char *what, const char *arg)
{
	fprintf(stderr, "error: %s%s\n%s", what, arg, usage);
	exit(2);
}

static const struct option options[] = {
	{ "seed", required_argument, NULL, 's' },
	{ "steps", required_argument, NULL, 'n' },
	{ "seconds", required_argument, NULL, 't' },
	{ "program", required_argument, NULL, 'p' },
	{ "replay", required_argument, NULL, 'r' },
	{ "help", no_argument, NULL, 'h' },
	{ }
};

int main(int argc, char **argv)
{
	const unsigned int tests = ARRAY_SIZE(known_programs) + LINES + 1;
	const struct known_program *known;
	const char *why, *program = NULL;
	struct program replayed;
	long steps = 0, seconds = 0;
	bool seeded = false;
	pthread_t watchdog;
	unsigned int i;
	int opt;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (opt) {
		case 's':
			seed = parse_number("--seed", optarg, 0, 2147483647);
			seeded = true;
			break;
		case 'n':
			steps = parse_number("--steps", optarg, 1, 1000000000);
			break;
		case 't':
			seconds = parse_number("--seconds", optarg, 1, MAX_SECONDS);
			break;
		case 'p':
		case 'r':
			if (program)
				bad_usage("one program at a time", "");
			program = opt == 'p' ? optarg : read_program(optarg);
			break;
		case 'h':
			printf("%s", usage);
			return 0;
		default:
			fprintf(stderr, "%s", usage);
			return 2;
		}
	}
	if (optind < argc)
		bad_usage("what to do with ", argv[optind]);
	if (program && (steps || seconds || seeded))
		bad_usage("--seed, --steps and --seconds are for random programs", "");
	if (!seconds)
		seconds = steps ? MAX_SECONDS : 300;
	if (!steps)
		steps = 120000;

	if (program) {
		parse_program(program, &replayed);
	} else {
		ksft_print_header();
		ksft_set_plan(tests);
	}
	why = missing();
	if (why && program)
		ksft_exit_skip("%s\n", why);
	if (why) {
		for (i = 0; i < tests; i++) {
			known = &known_programs[i];
			if (i < ARRAY_SIZE(known_programs))
				announce(line_names[known->line], known->name);
			else if (i < tests - 1)
				announce(line_names[i - ARRAY_SIZE(known_programs)], "");
			else
				announce("anycontext", "kernel_log");
			ksft_test_result_skip("%s\n", why);
		}
		ksft_print_cnts();
		return KSFT_SKIP;
	}

	begin_world();
	must(!pthread_create(&watchdog, NULL, see_progress, NULL), "thread");
	if (program)
		return run_one(program, &replayed);
	if (!ring)
		ksft_print_msg("without io_uring: %s\n",
			       wait_kind_missing(WAIT_IO_URING_MULTISHOT));
	for (i = 0; i < ARRAY_SIZE(known_programs); i++)
		run_known(&known_programs[i]);
	run_random(steps, seconds);
	ksft_print_cnts();
	return ksft_get_fail_cnt() ? KSFT_FAIL : KSFT_PASS;
}
