// SPDX-License-Identifier: GPL-2.0
/*
 * Buffers, timelines and waiters as they are, and as the model of poll_fuzz.c has
 * them; and the steps of its programs, each of which changes both and compares.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fuzz.h"

#define BUFFERS		3
#define TIMELINES	3
#define SYNC_FILES	6
#define WATCHES		6
#define REQUESTS	4
#define SLEEPERS	3
#define MAX_FDS		3
#define MAX_PARKED	2
/* How often one fence follows the other in a relay */
#define RELAY_STEPS	24

/* What io_uring or a socket held is dropped behind one's back. */
#define SOON_MS		GIVE_UP_MS

#define IN_BITS		(POLLIN | POLLRDNORM)
#define OUT_BITS	(POLLOUT | POLLWRNORM)
#define MAIN_BITS	(POLLIN | POLLOUT)

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

struct violation violation;
bool ignored[LINES];
long checks[LINES];
atomic_long progress;

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

/* The events of an argument: it has a bit for each. */
static short mask_of(uint8_t arg)
{
	return (arg & 1 ? POLLIN : 0) | (arg & 2 ? POLLOUT : 0) |
	       (arg & 4 ? POLLRDNORM : 0) | (arg & 8 ? POLLWRNORM : 0);
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
 * Steps
 */

static bool op_buffer(const uint8_t *arg)
{
	struct buffer *b = &buffers[arg[0]];

	if (b->alive)
		return false;
	*b = (struct buffer) { .alive = true, .nfds = 1 };
	need(!dmabuf_create(&b->dmabuf, exporters[arg[1] % n_exporters]), "buffer");
	b->fds[0] = b->dmabuf.fd;
	return true;
}

static bool op_dup(const uint8_t *arg)
{
	struct buffer *b = &buffers[arg[0]];

	if (!b->nfds || b->nfds == MAX_FDS)
		return false;
	b->fds[b->nfds] = dup(b->fds[0]);
	need(b->fds[b->nfds] >= 0, "dup");
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
	need(!fd_send(socks[arg[0]][0], fd), "sendmsg");
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
	need(b->fds[b->nfds] >= 0, "recvmsg");
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
	need(t->fd >= 0, "timeline");
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
	need(!sw_sync_inc(t->fd, arg[1]), "inc");
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
	need(s->fd >= 0, "fence");
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
	need(s->fd >= 0, "merge");
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
	need(!dmabuf_import_sync_file(b->fds[0], s->fd, arg[2]), "import");
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
	need(pfd.fd >= 0, "export");
	need(poll(&pfd, 1, 0) >= 0, "poll of a sync_file");
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
	need(poll(&pfd, 1, 0) >= 0, "poll");
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
	need(w->poller, "epoll");
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
	need(got >= 0, "epoll_wait");
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
	need(!poller_rearm(w->poller), "EPOLL_CTL_MOD");
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
	need(!poll_ring_add(ring, b->fds[0], events, arg[2], r->tag), "io_uring");
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
	need(!poll_ring_cancel(ring, r->tag), "io_uring");
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
	need(s->fd >= 0, "dup");
	s->waiter = waiter_start(kind, s->fd, events);
	need(s->waiter, "thread");
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
 * Relays: another thread takes their steps. Looks meanwhile must not miss that a fence
 * is pending.
 */
static atomic_bool relay_over;

static void *run_relay(void *arg)
{
	int i;

	for (i = 0; i < RELAY_STEPS; i++)
		relay_step(arg);
	atomic_store(&relay_over, true);
	return NULL;
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
	struct relay relay;
	pthread_t thread;

	if (!b->nfds)
		return false;
	relay_open(&relay, b->fds[0], arg[1]);
	b->relay[FENCE_READ] = true;
	b->relay[FENCE_WRITE] = arg[1] == FENCE_WRITE;
	atomic_store(&relay_over, false);
	need(!pthread_create(&thread, NULL, run_relay, &relay), "thread");
	do {
		look_at_relay(b, arg[0]);
	} while (!atomic_load(&relay_over));
	pthread_join(thread, NULL);
	/* a request that has completed since must not pass for one that was right */
	look_at_relay(b, arg[0]);
	relay_end(&relay);
	relay_close(&relay);
	memset(b->relay, 0, sizeof(b->relay));
	wake(b, true);
	return true;
}

/*
 * Tables of all that
 */

#define WORDS(...)	((const char * const []){ __VA_ARGS__ })

const struct arg_type arg_types[] = {
	[BUFFER] = { BUFFERS },
	[TIMELINE] = { TIMELINES },
	[SYNC_FILE] = { SYNC_FILES },
	[WATCH] = { WATCHES },
	[REQUEST] = { REQUESTS },
	[SLEEPER] = { SLEEPERS },
	[EXPORTER] = { ARRAY_SIZE(exporters) },
	[AMOUNT] = { 5, .rare = 2, .usual = 1 },
	[USAGE] = { 2, WORDS([FENCE_READ] = "read", [FENCE_WRITE] = "write") },
	/* see mask_of(); the other names are rare, and the usual ones mostly enough */
	[EVENTS] = { 16, WORDS("none", "in", "out", "in+out", "rdnorm", "in+rdnorm",
			       "out+rdnorm", "in+out+rdnorm", "wrnorm", "in+wrnorm",
			       "out+wrnorm", "in+out+wrnorm", "rdnorm+wrnorm",
			       "in+rdnorm+wrnorm", "out+rdnorm+wrnorm",
			       "in+out+rdnorm+wrnorm"), .rare = 8, .usual = 3 },
	[KIND] = { WAIT_KINDS, wait_kind_names },
	[SHOTS] = { 2, WORDS("single", "multi") },
};

const struct op_type op_types[] = {
	{ "buffer",	{ BUFFER, EXPORTER },		 8, op_buffer },
	{ "dup",	{ BUFFER },			 2, op_dup },
	{ "close",	{ BUFFER },			 4, op_close },
	{ "park",	{ BUFFER },			 1, op_park },
	{ "unpark",	{ BUFFER },			 2, op_unpark },
	{ "timeline",	{ TIMELINE },			 6, op_timeline },
	{ "inc",	{ TIMELINE, AMOUNT },		 9, op_inc },
	{ "end",	{ TIMELINE },			 1, op_end },
	{ "fence",	{ SYNC_FILE, TIMELINE, AMOUNT }, 12, op_fence },
	{ "merge",	{ SYNC_FILE, SYNC_FILE, SYNC_FILE }, 2, op_merge },
	{ "drop",	{ SYNC_FILE },			 6, op_drop },
	{ "import",	{ BUFFER, SYNC_FILE, USAGE },	16, op_import },
	{ "export",	{ BUFFER, USAGE },		 1, op_export },
	{ "poll",	{ BUFFER, EVENTS },		10, op_poll },
	{ "refs",	{ BUFFER },			 1, op_refs },
	{ "watch",	{ WATCH, BUFFER, KIND, EVENTS }, 8, op_watch },
	{ "wait",	{ WATCH },			24, op_wait },
	{ "rearm",	{ WATCH },			 4, op_rearm },
	{ "unwatch",	{ WATCH },			 2, op_unwatch },
	{ "request",	{ REQUEST, BUFFER, SHOTS, EVENTS }, 6, op_request },
	{ "cancel",	{ REQUEST },			 1, op_cancel },
	{ "sleep",	{ SLEEPER, BUFFER, KIND, EVENTS }, 20, op_sleep },
	{ "look",	{ SLEEPER },			 3, op_look },
	{ "relay",	{ BUFFER, USAGE },		 1, op_relay },
	{ }
};

/*
 * The world as a whole
 */

const char *world_missing(void)
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
	need(!dmabuf_create(&buf, exporters[0]), "buffer");
	why = fence_source_missing(FENCES_SW_SYNC, buf.fd);
	if (!why && dmabuf_file_count(buf.ino) < 0)
		why = "cannot read bufinfo of dma-buf from debugfs";
	dmabuf_destroy(&buf);
	return why;
}

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

bool run_op(const struct op *op)
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
void end_world(void)
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

/* Timelines are named after the process that opened them: only ours are to be counted. */
void begin_world(void)
{
	char name[16];
	int i;

	snprintf(name, sizeof(name), "fuzz.%d", getpid());
	prctl(PR_SET_NAME, name);
	for (i = 0; i < BUFFERS; i++)
		need(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, socks[i]), "socketpair");
	if (!wait_kind_missing(WAIT_IO_URING) && !wait_kind_missing(WAIT_IO_URING_MULTISHOT)) {
		ring = poll_ring_open(8);
		need(ring, "io_uring");
	}
}

void forget_world(int patience_ms)
{
	memset(timelines, 0, sizeof(timelines));
	memset(sync_files, 0, sizeof(sync_files));
	memset(buffers, 0, sizeof(buffers));
	memset(watches, 0, sizeof(watches));
	memset(requests, 0, sizeof(requests));
	memset(sleepers, 0, sizeof(sleepers));
	any_late = false;
	any_array = false;
	give_up_ms = patience_ms;
}

void end_timelines(void)
{
	int i;

	for (i = 0; i < TIMELINES; i++) {
		if (timelines[i].open)
			sw_sync_end(timelines[i].fd, timelines[i].value, timelines[i].last);
	}
}

bool world_has_ring(void)
{
	return ring;
}

/* Where the violation has left the world is anybody's guess: begin again. */
void abandon_world(void)
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
