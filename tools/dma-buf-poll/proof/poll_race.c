// SPDX-License-Identifier: GPL-2.0
/*
 * Everything that can happen to a dma-buf that is polled, at once.
 *
 * A few buffers are polled, watched, waited for and cancelled, given fences
 * that are signaled in any order, duplicated, passed over sockets, inherited,
 * replaced and closed by a dozen threads. That goes in rounds, most of them
 * short: at the end of each no more fences are added and those that are left
 * signal, so that whoever still waits then has to return.
 *
 * One buffer more is never idle until then, see struct relay.
 *
 *   no_lost_wakeup  every waiter returns once its fences have signaled
 *   exact           and then every buffer is ready; no event nobody asked for;
 *                   and none of the buffer that is never idle
 *   shared          a request of io_uring completes once, cancelled or not
 *   neutral         at the end there are buffers, fences and descriptors as at
 *                   the start
 *   anycontext      the kernel has nothing to complain about
 *
 * What is freed too early is for the kernel's own checkers to see (KASAN): this
 * test makes it happen.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest.h"

#include "dmabuf_util.h"
#include "dmabuf_wait.h"

#define BUFFERS		3
/* after them stands the one that is never idle */
#define NEVER_IDLE	BUFFERS
#define TARGETS		(BUFFERS + 1)
#define MIN_LOOKS	100
/* How long a round goes on for one of them. */
#define ROUND_MS	1000
#define WAITERS		5
#define ADDERS		2
#define SIGNALERS	2
#define POOL		12
#define MAX_POINTS	3
#define REQUESTS	8
#define LOG		64

/* Longer than any watchdog: a wait that ends by itself is one that failed. */
#define FOREVER_MS	600000
/* A guest on a busy machine is slow, but not that slow. */
#define PATIENCE_MS	(5 * GIVE_UP_MS)
/* How often a long run shows that it is alive. */
#define PROGRESS_MS	20000
/* How long a request or a socket may hold on after it is closed. */
#define SOON_MS		5000

static const char usage[] =
"Usage: poll_race [-t SECONDS] [-s SEED]\n"
"\n"
"  -t SECONDS  how long, 1 to 604800 (default 60)\n"
"  -s SEED     of the random numbers, 0 to 2147483647 (default 1)\n"
"  -h          this\n";

/* Buffers: whoever wants one duplicates it, and run_closer() replaces them. */
static struct target {
	pthread_mutex_t lock;
	struct dmabuf buf;
} targets[TARGETS];

/* Odd while the one that is never idle has a write fence pending at every instant. */
static atomic_uint never_idle;
static atomic_long never_idle_looks;

/* A timeline and how many points of it are still to be signaled. */
struct timeline {
	int fd;
	int points;
	int signaled;
	unsigned int id;
};

/* Those to be signaled by whoever takes them. */
static atomic_uintptr_t pool[POOL];

/* A child must not be the last to close a timeline: see sw_sync_end(). */
static pthread_rwlock_t ends = PTHREAD_RWLOCK_INITIALIZER;

/* The fences that were added last, for the watchdog to tell of. */
static struct {
	pthread_mutex_t lock;
	struct {
		unsigned long ino;
		unsigned int id;
		int point;
		enum fence_usage usage;
	} entries[LOG];
	unsigned int n;
} added = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* Of the current round. */
static atomic_bool stop;	/* no more new things */
static atomic_bool drain;	/* and nobody adds fences any more */
static atomic_int round_number;
static bool exclusives_in_packs;

/* The lock is for those who wait for the next one, or for the end of all. */
static pthread_mutex_t round_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t round_begins = PTHREAD_COND_INITIALIZER;
static bool over;

struct thread {
	pthread_t thread;
	const char *name;
	void (*run)(struct thread *t);
	struct rng rng;
	/* the last round it has finished */
	atomic_int finished;
	atomic_int tid;
	/* what it waits for, if it does: for the watchdog */
	pthread_mutex_t lock;
	const char *kind;
	short events;
	unsigned long ino;
	int fd;
	long long since;
	bool exclusive;
};

static struct thread threads[WAITERS + ADDERS + SIGNALERS + 8];
static int n_threads;

static bool have_ring, have_multishot, have_aio;
static enum dmabuf_exporter exporter;

static atomic_long waits, sleeps, fences, requests, cancels, forks, replaced, passed;

/* What can be found wrong; told at the end. */
static const enum line judged[] = { NO_LOST_WAKEUP, EXACT, SHARED, NEUTRAL, ANYCONTEXT };

static atomic_long failures[LINES];

static void fail(enum line line, const char *fmt, ...)
{
	char text[300];
	va_list args;

	/* the first few tell it all */
	if (atomic_fetch_add(&failures[line], 1) >= 5)
		return;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	dprintf(STDOUT_FILENO, "# %s.race: round %d: %s\n", line_names[line],
		atomic_load(&round_number), text);
}

static unsigned int pick(struct thread *t, unsigned int below)
{
	return rng_below(&t->rng, below);
}

static bool chance(struct thread *t, unsigned int percent)
{
	return pick(t, 100) < percent;
}

static short pick_events(struct thread *t)
{
	static const short events[] = { POLLIN, POLLOUT, POLLIN | POLLOUT };

	return events[pick(t, ARRAY_SIZE(events))];
}

/* A descriptor of one's own for one of the buffers. */
static int grab(struct thread *t, unsigned long *ino)
{
	struct target *p = &targets[pick(t, TARGETS)];
	int fd;

	pthread_mutex_lock(&p->lock);
	fd = dup(p->buf.fd);
	if (ino)
		*ino = p->buf.ino;
	pthread_mutex_unlock(&p->lock);
	need(fd >= 0, "dup");
	return fd;
}

static bool is_never_idle(unsigned long ino)
{
	return ino == targets[NEVER_IDLE].buf.ino;
}

/* The same, and what to ask it for: read fences stay on the one that is never idle. */
static int grab_to_poll(struct thread *t, unsigned long *ino, short *events)
{
	int fd = grab(t, ino);

	*events = is_never_idle(*ino) ? POLLIN : pick_events(t);
	return fd;
}

/* From when to when nothing may be said of it: from one of these to the other. */
static unsigned int begin_look(unsigned long ino)
{
	return is_never_idle(ino) ? atomic_load(&never_idle) : 0;
}

static void end_look(unsigned int since, int got, const char *kind)
{
	if (!(since & 1) || since != atomic_load(&never_idle))
		return;
	atomic_fetch_add(&never_idle_looks, 1);
	if (got > 0)
		fail(EXACT, "%s says %#x of a buffer that is never idle", kind, got);
}

/*
 * Fences
 */

static void log_fence(unsigned long ino, unsigned int id, int point,
		      enum fence_usage usage)
{
	pthread_mutex_lock(&added.lock);
	added.entries[added.n % LOG].ino = ino;
	added.entries[added.n % LOG].id = id;
	added.entries[added.n % LOG].point = point;
	added.entries[added.n % LOG].usage = usage;
	added.n++;
	pthread_mutex_unlock(&added.lock);
}

/* In order, at once, or by the end of the timeline, which is an error. */
static void signal_timeline(struct thread *t, struct timeline *tl)
{
	while (tl->points && !chance(t, 10)) {
		int by = chance(t, 70) ? 1 : tl->points;

		need(!sw_sync_inc(tl->fd, by), "sw_sync");
		tl->points -= by;
		tl->signaled += by;
		if (chance(t, 20))
			sched_yield();
	}
	pthread_rwlock_rdlock(&ends);
	sw_sync_end(tl->fd, tl->signaled, tl->signaled + tl->points);
	pthread_rwlock_unlock(&ends);
	free(tl);
}

/* Takes that one of the pool, and puts another there instead. */
static struct timeline *take_timeline(int at, struct timeline *tl)
{
	return (struct timeline *)atomic_exchange(&pool[at], (uintptr_t)tl);
}

static void add_point(struct thread *t, struct timeline *tl, int point, int *merged)
{
	int sync = sw_sync_fence(tl->fd, point);
	int times = 1 + pick(t, 2);
	enum fence_usage usage;
	unsigned long ino;
	int fd;

	need(sync >= 0, "sw_sync");
	/* with those of other timelines, of this round or of an earlier one */
	if (*merged >= 0 && chance(t, 30)) {
		fd = sync_file_merge(sync, *merged);
		need(fd >= 0, "merge");
		close(sync);
		sync = fd;
	}
	while (times--) {
		usage = chance(t, 50) ? FENCE_READ : FENCE_WRITE;
		fd = grab(t, &ino);
		log_fence(ino, tl->id, point, usage);
		need(!dmabuf_import_sync_file(fd, sync, usage), "import");
		close(fd);
	}
	if (chance(t, 25)) {
		close(*merged);
		*merged = sync;
	} else {
		close(sync);
	}
	atomic_fetch_add(&fences, 1);
}

static void run_adder(struct thread *t)
{
	static atomic_uint ids;
	int merged = -1, i;

	while (!atomic_load(&stop)) {
		struct timeline *tl = calloc(1, sizeof(*tl));

		need(tl, "memory");
		tl->id = atomic_fetch_add(&ids, 1);
		tl->fd = sw_sync_timeline();
		need(tl->fd >= 0, "sw_sync");
		tl->points = 1 + pick(t, MAX_POINTS);
		for (i = 1; i <= tl->points; i++)
			add_point(t, tl, i, &merged);

		/* the one that was there is signaled here */
		tl = take_timeline(pick(t, POOL), tl);
		if (tl)
			signal_timeline(t, tl);
		if (chance(t, 30))
			usleep(pick(t, 1000));
	}
	close(merged);
}

static void run_signaler(struct thread *t)
{
	bool last, any;
	int i, from;

	do {
		last = atomic_load(&drain);
		from = pick(t, POOL);
		any = false;
		for (i = 0; i < POOL; i++) {
			struct timeline *tl = take_timeline((from + i) % POOL, NULL);

			if (!tl)
				continue;
			any = true;
			signal_timeline(t, tl);
			if (!last && chance(t, 50))
				break;
		}
		if (!any)
			usleep(100);
	} while (!last || any);
}

/* Of the buffer that is never idle. Its crowd is there in all rounds. */
static struct relay relay;

static void run_relay(struct thread *t)
{
	relay_begin(&relay);
	atomic_fetch_add(&never_idle, 1);
	while (!atomic_load(&stop)) {
		relay_step(&relay);
		/* the others need the processor as well */
		if (chance(t, 5))
			usleep(pick(t, 200));
	}
	atomic_fetch_add(&never_idle, 1);
	relay_end(&relay);
}

/*
 * Waiters
 */

static enum wait_kind pick_kind(struct thread *t, bool exclusive)
{
	enum wait_kind kind;

	do {
		kind = pick(t, WAIT_KINDS);
	} while ((kind == WAIT_EPOLL_EXCLUSIVE && !exclusive) ||
		 (kind == WAIT_IO_URING && !have_ring) ||
		 (kind == WAIT_IO_URING_MULTISHOT && !have_multishot) ||
		 (kind == WAIT_AIO && !have_aio));

	return kind;
}

/* Tell the watchdog, wait, and tell it that this is over. */
static int wait_watched(struct thread *t, struct poller *p, enum wait_kind kind,
			short events, int fd, unsigned long ino)
{
	int ret;

	pthread_mutex_lock(&t->lock);
	t->kind = wait_kind_name(kind);
	t->events = events;
	t->ino = ino;
	t->fd = fd;
	t->since = now_ms();
	t->exclusive = kind == WAIT_EPOLL_EXCLUSIVE;
	pthread_mutex_unlock(&t->lock);

	/*
	 * A ring that was closed takes back its requests by interrupting us, and
	 * between the two epolls of a nest a new fence may come.
	 */
	do {
		ret = poller_wait(p, FOREVER_MS);
	} while (ret == -EINTR || (!ret && kind == WAIT_EPOLL_NESTED));

	pthread_mutex_lock(&t->lock);
	t->kind = NULL;
	t->exclusive = false;
	pthread_mutex_unlock(&t->lock);
	atomic_fetch_add(&sleeps, 1);
	return ret;
}

/* @since the look began: see begin_look(). */
static void check_events(int got, short asked, enum wait_kind kind, bool empty_ok,
			 unsigned int since)
{
	end_look(since, got, wait_kind_name(kind));
	if (got == -EINTR && empty_ok)
		return;
	if (got < 0 || got & ~asked || (!got && !empty_ok))
		fail(EXACT, "%s for %#x returns %d", wait_kind_name(kind), asked, got);
}

static void wait_once(struct thread *t, bool exclusive)
{
	enum wait_kind kind = pick_kind(t, exclusive);
	bool request = wait_kind_is_request(kind);
	unsigned long ino;
	short events;
	int fd = grab_to_poll(t, &ino, &events);
	unsigned int since = begin_look(ino);
	struct poller *p = poller_open(kind, fd, events);
	int ret;

	need(p, "poller");
	atomic_fetch_add(&waits, 1);
	switch (pick(t, 10)) {
	case 0:
		/* it is gone while it is watched, and nobody is owed anything */
		check_events(poller_wait(p, 0), events, kind, true, since);
		if (!request && kind >= WAIT_EPOLL_LT) {
			close(fd);
			fd = -1;
			check_events(poller_wait(p, pick(t, 2)), events, kind, true, since);
		}
		break;
	case 1:
	case 2:
		check_events(poller_wait(p, pick(t, 3)), events, kind, true, since);
		break;
	case 3:
		check_events(poller_wait(p, 0), events, kind, true, since);
		if (request) {
			need(!poller_cancel(p), "to cancel a request");
			ret = wait_watched(t, p, kind, events, fd, ino);
			if (ret != -ECANCELED)
				check_events(ret, events, kind, false, since);
			break;
		}
		if (kind >= WAIT_EPOLL_LT && kind != WAIT_EPOLL_EXCLUSIVE)
			need(!poller_rearm(p), "EPOLL_CTL_MOD");
		else if (kind == WAIT_EPOLL_EXCLUSIVE)
			break;
		ret = wait_watched(t, p, kind, events, fd, ino);
		check_events(ret, events, kind, false, since);
		break;
	default:
		ret = wait_watched(t, p, kind, events, fd, ino);
		check_events(ret, events, kind, false, since);
	}

	poller_close(p);
	if (fd >= 0)
		close(fd);
}

static void run_waiter(struct thread *t)
{
	while (!atomic_load(&stop))
		wait_once(t, exclusives_in_packs || t == &threads[0]);
}

/*
 * One ring with many requests, half of which are taken back: each completes
 * once, and says so, or is cancelled, and says that.
 */

struct request {
	bool used;
	bool multishot;
	short events;
	int fd;
	unsigned long ino;
	unsigned int since;
	/* completions before the last, and what that said */
	int more;
	bool final;
	int res;
};

static bool take_completion(struct poll_ring *ring, struct request *all,
			    int timeout_ms, int *cancel)
{
	struct poll_done done;
	struct request *r;
	int ret = poll_ring_next(ring, timeout_ms, &done);

	if (ret < 0)
		fail(SHARED, "io_uring: %d", ret);
	if (ret <= 0)
		return false;
	if (done.tag == POLL_RING_CANCEL) {
		*cancel = done.res;
		return true;
	}
	r = &all[done.tag % REQUESTS];
	if (!r->used || r->final) {
		fail(SHARED, "a request completes once more, with %d", done.res);
		return true;
	}
	end_look(r->since, done.res, "io_uring");
	if (done.res > 0 && done.res & ~r->events)
		fail(EXACT, "a request for %#x completes with %#x", r->events, done.res);
	if (done.more) {
		r->more++;
		return true;
	}
	r->final = true;
	r->res = done.res;
	return true;
}

/* Returns false when the last completion does not come. */
static bool cancel_request(struct poll_ring *ring, struct request *all, int i)
{
	long long deadline = now_ms() + PATIENCE_MS;
	struct request *r = &all[i];
	int said = 1;

	need(!poll_ring_cancel(ring, i), "io_uring");
	while ((said > 0 || !r->final) && now_ms() < deadline)
		take_completion(ring, all, 10, &said);
	atomic_fetch_add(&cancels, 1);

	if (said > 0 || !r->final) {
		fail(SHARED, "a request for %#x on buffer %lu is cancelled (%d), and %s",
		     r->events, r->ino, said, r->final ? "has completed" : "never completes");
		return false;
	}
	/* cancelled, not found, or just about to complete */
	if (said == 0 ? r->res != -ECANCELED :
	    said == -ENOENT ? r->res <= 0 : said != -EALREADY)
		fail(SHARED, "to cancel says %d, and the request completes with %d",
		     said, r->res);
	return true;
}

static void end_request(struct request *r)
{
	close(r->fd);
	*r = (struct request) {};
}

static void wait_for_requests(struct thread *t, struct poll_ring *ring,
			      struct request *all)
{
	int i, said;

	for (i = 0; i < REQUESTS; i++) {
		struct request *r = &all[i];

		if (!r->used)
			continue;
		pthread_mutex_lock(&t->lock);
		t->kind = r->multishot ? "a multishot request" : "a request";
		t->events = r->events;
		t->ino = r->ino;
		t->fd = r->fd;
		t->since = now_ms();
		pthread_mutex_unlock(&t->lock);

		while (!r->final && !r->more)
			take_completion(ring, all, 100, &said);

		pthread_mutex_lock(&t->lock);
		t->kind = NULL;
		pthread_mutex_unlock(&t->lock);
		if (!r->final)
			cancel_request(ring, all, i);
		else if (r->res <= 0)
			fail(SHARED, "a request that nobody cancelled completes with %d", r->res);
		end_request(r);
	}
}

static void run_ring(struct thread *t)
{
	struct request all[REQUESTS] = {};
	struct poll_ring *ring = poll_ring_open(2 * REQUESTS);
	struct request *r;
	int i, said;

	need(ring, "io_uring");
	while (!atomic_load(&stop)) {
		i = pick(t, REQUESTS);
		r = &all[i];
		if (!r->used) {
			r->used = true;
			r->multishot = have_multishot && chance(t, 40);
			r->fd = grab_to_poll(t, &r->ino, &r->events);
			r->since = begin_look(r->ino);
			need(!poll_ring_add(ring, r->fd, r->events, r->multishot, i), "io_uring");
			atomic_fetch_add(&requests, 1);
		} else if (r->final || (chance(t, 50) && cancel_request(ring, all, i))) {
			end_request(r);
		}
		while (take_completion(ring, all, -1, &said))
			;
	}
	wait_for_requests(t, ring, all);
	poll_ring_close(ring);
}

/*
 * Those who take buffers away, and give them to others
 */

static void run_closer(struct thread *t)
{
	struct target *p;

	while (!atomic_load(&stop)) {
		usleep(pick(t, 2000));
		p = &targets[pick(t, BUFFERS)];
		pthread_mutex_lock(&p->lock);
		need(!dmabuf_replace(&p->buf, exporter), "buffer");
		pthread_mutex_unlock(&p->lock);
		atomic_fetch_add(&replaced, 1);
	}
}

static void run_looker(struct thread *t)
{
	unsigned int since;
	unsigned long ino;
	short events;
	int fd, got;

	while (!atomic_load(&stop)) {
		fd = grab_to_poll(t, &ino, &events);
		since = begin_look(ino);
		got = wait_now(WAIT_POLL, fd, events);
		check_events(got, events, WAIT_POLL, true, since);
		close(fd);
		if (chance(t, 20))
			usleep(pick(t, 500));
	}
}

static void run_passer(struct thread *t)
{
	int socks[2], fd, n;

	while (!atomic_load(&stop)) {
		need(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, socks), "socketpair");
		for (n = 1 + pick(t, 4); n; n--) {
			fd = grab(t, NULL);
			need(!fd_send(socks[0], fd), "sendmsg");
			close(fd);
			atomic_fetch_add(&passed, 1);
			if (chance(t, 30))
				continue;
			fd = fd_receive(socks[1]);
			need(fd >= 0, "recvmsg");
			wait_now(WAIT_POLL, fd, POLLIN | POLLOUT);
			close(fd);
		}
		/* with what is still in it */
		close(socks[0]);
		close(socks[1]);
	}
}

static void child(enum wait_kind kind, int fd, short events, int ms, int parent)
{
	struct poller *p;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* all that it has inherited, and then tell its parent */
	if (dup2(fd, 0) || dup2(parent, 1) != 1 || syscall(SYS_close_range, 2, ~0U, 0))
		_exit(1);
	close(1);
	p = poller_open(kind, 0, events);
	if (p)
		poller_wait(p, ms);
	_exit(!p);
}

/* Returns once the child holds none of our timelines. */
static pid_t start_child(enum wait_kind kind, int fd, short events, int ms)
{
	int pipefd[2];
	pid_t pid;
	char c;

	pthread_rwlock_wrlock(&ends);
	need(!pipe2(pipefd, O_CLOEXEC), "pipe");
	pid = fork();
	need(pid >= 0, "fork");
	if (!pid)
		child(kind, fd, events, ms, pipefd[1]);
	close(pipefd[1]);
	while (read(pipefd[0], &c, 1) < 0 && errno == EINTR)
		;
	close(pipefd[0]);
	pthread_rwlock_unlock(&ends);
	return pid;
}

/* Nobody waits for a child to return: it ends, or is ended, while it polls. */
static void run_forker(struct thread *t)
{
	bool killed;
	int fd, ms;
	pid_t pid;

	while (!atomic_load(&stop)) {
		enum wait_kind kind = pick_kind(t, false);
		short events = pick_events(t);

		killed = chance(t, 50);
		ms = killed ? FOREVER_MS : (int)pick(t, 4);
		fd = grab(t, NULL);
		pid = start_child(kind, fd, events, ms);
		close(fd);
		if (killed) {
			usleep(pick(t, 4000));
			kill(pid, SIGKILL);
		}
		need(waitpid(pid, NULL, 0) == pid, "waitpid");
		atomic_fetch_add(&forks, 1);
		usleep(pick(t, 20000));
	}
}

/*
 * Rounds
 */

static void begin_round(int number)
{
	pthread_mutex_lock(&round_lock);
	atomic_store(&round_number, number);
	pthread_cond_broadcast(&round_begins);
	pthread_mutex_unlock(&round_lock);
}

static void end_rounds(void)
{
	pthread_mutex_lock(&round_lock);
	over = true;
	pthread_cond_broadcast(&round_begins);
	pthread_mutex_unlock(&round_lock);
}

/*
 * Returns false if there is none any more. Whoever has done its part sleeps without a
 * timeout: so many timers would leave a slow machine no time for the others.
 */
static bool wait_for_round(int done)
{
	bool more;

	pthread_mutex_lock(&round_lock);
	while (!over && atomic_load(&round_number) == done)
		pthread_cond_wait(&round_begins, &round_lock);
	more = !over;
	pthread_mutex_unlock(&round_lock);
	return more;
}

static void *thread_main(void *arg)
{
	struct thread *t = arg;
	int done = 0;

	atomic_store(&t->tid, syscall(SYS_gettid));
	while (wait_for_round(done)) {
		t->run(t);
		done++;
		atomic_store(&t->finished, done);
	}
	return NULL;
}

static void add_thread(const char *name, void (*run)(struct thread *t), long seed)
{
	struct thread *t = &threads[n_threads];

	t->name = name;
	t->run = run;
	t->rng.state = (uint64_t)seed << 32 ^ n_threads;
	t->fd = -1;
	pthread_mutex_init(&t->lock, NULL);
	n_threads++;
}

static bool waits_for_fences(const struct thread *t)
{
	return t->run == run_waiter || t->run == run_ring;
}

/* Which threads have to be done at which stage of the end of a round. */
static bool all_done(int number, int stage)
{
	int i;

	for (i = 0; i < n_threads; i++) {
		const struct thread *t = &threads[i];
		int stage_of = waits_for_fences(t) ? 2 : t->run == run_signaler;

		if (stage_of <= stage && atomic_load(&t->finished) != number)
			return false;
	}
	return true;
}

static void tell_fences(unsigned long ino)
{
	unsigned int i, n = 0;

	pthread_mutex_lock(&added.lock);
	for (i = added.n; i > 0 && i + LOG > added.n && n < 4; i--) {
		unsigned int at = (i - 1) % LOG;

		if (added.entries[at].ino != ino)
			continue;
		n++;
		dprintf(STDOUT_FILENO,
			"#   its fence, %u before the last: point %d of timeline %u, %s, signaled\n",
			n - 1, added.entries[at].point, added.entries[at].id,
			added.entries[at].usage == FENCE_WRITE ? "write" : "read");
	}
	pthread_mutex_unlock(&added.lock);
}

static void tell_waiter(struct thread *t)
{
	struct sched_sample sample = { .state = '?' };
	short now = 0;

	sched_sample(atomic_load(&t->tid), &sample);
	if (t->kind && t->fd >= 0)
		now = wait_now(WAIT_POLL, t->fd, POLLIN | POLLOUT);
	if (!t->kind) {
		fail(NO_LOST_WAKEUP, "%s does not come to its end (state %c)", t->name, sample.state);
		return;
	}
	fail(NO_LOST_WAKEUP, "%s: %s for %s%s on buffer %lu is %lld ms late (state %c), poll says %s%s%s",
	     t->name, t->kind, t->events & POLLIN ? "IN" : "",
	     t->events & POLLOUT ? "OUT" : "", t->ino, now_ms() - t->since, sample.state,
	     now & POLLIN ? "IN" : "", now & POLLOUT ? "OUT" : "", now ? "" : "nothing");
	tell_fences(t->ino);
}

/*
 * A completion owes a wake-up to one of the exclusive waiters only: those that
 * are left get one more.
 */
static void nudge_exclusives(void)
{
	struct fence fence;
	int i, fd;

	for (i = 0; i < n_threads; i++) {
		struct thread *t = &threads[i];

		pthread_mutex_lock(&t->lock);
		fd = t->exclusive ? dup(t->fd) : -1;
		pthread_mutex_unlock(&t->lock);
		if (fd < 0)
			continue;
		need(!fence_prepare(&fence, FENCES_SW_SYNC), "sw_sync");
		need(!dmabuf_import_sync_file(fd, fence.sync_fd, FENCE_WRITE), "import");
		wait_now(WAIT_POLL, fd, POLLIN | POLLOUT);
		need(!fence_signal(&fence), "sw_sync");
		fence_close(&fence);
		close(fd);
	}
}

static bool wait_until_done(int number, int stage)
{
	long long begun = now_ms(), nudged = begun;
	int i;

	while (!all_done(number, stage)) {
		if (stage == 2 && exclusives_in_packs && now_ms() - nudged > SETTLE_MS) {
			nudged = now_ms();
			nudge_exclusives();
		}
		if (now_ms() - begun > PATIENCE_MS)
			break;
		usleep(100);
	}
	if (all_done(number, stage))
		return true;

	for (i = 0; i < n_threads; i++) {
		struct thread *t = &threads[i];

		/* sleeping waiters are in nobody's way before the last stage */
		if (atomic_load(&t->finished) != number &&
		    (stage == 2 || !waits_for_fences(t)))
			tell_waiter(t);
	}
	return false;
}

static void check_all_ready(void)
{
	int i, got;

	for (i = 0; i < TARGETS; i++) {
		short events = i == NEVER_IDLE ? POLLIN : POLLIN | POLLOUT;

		got = wait_now(WAIT_POLL, targets[i].buf.fd, events);
		if (got != events)
			fail(EXACT, "all fences have signaled, and poll says %#x", got);
	}
}

/*
 * Most of them short: the end is where a lost wake-up shows. But on a slow machine
 * long enough for something to happen.
 */
static bool run_round(struct rng *rng, int number)
{
	long looks = atomic_load(&never_idle_looks);
	long long enough;

	exclusives_in_packs = number & 1;
	atomic_store(&stop, false);
	atomic_store(&drain, false);
	begin_round(number);
	usleep(rng_below(rng, rng_below(rng, 8) ? 5000 : 100000));
	enough = now_ms() + ROUND_MS;
	while (atomic_load(&never_idle_looks) == looks && now_ms() < enough)
		usleep(1000);

	atomic_store(&stop, true);
	if (!wait_until_done(number, 0))
		return false;
	atomic_store(&drain, true);
	if (!wait_until_done(number, 1) || !wait_until_done(number, 2))
		return false;
	check_all_ready();
	return true;
}

static const char *missing(void)
{
	struct dmabuf buf;
	struct poller *p;
	const char *why;

	exporter = EXPORTER_SYSTEM_HEAP;
	if (exporter_missing(exporter))
		exporter = EXPORTER_UDMABUF;
	why = exporter_missing(exporter);
	if (why)
		return why;
	need(!dmabuf_create(&buf, exporter), "buffer");
	why = fence_source_missing(FENCES_SW_SYNC, buf.fd);
	if (!why && (dmabuf_live_buffers() < 0 || sw_sync_live_fences() < 0))
		why = "cannot read buffers and fences from debugfs";

	have_aio = !why && !wait_kind_missing(WAIT_AIO);
	have_ring = !why && !wait_kind_missing(WAIT_IO_URING);
	if (have_ring && !wait_kind_missing(WAIT_IO_URING_MULTISHOT)) {
		/* where poll is not quiet such a request never comes to rest */
		p = poller_open(WAIT_IO_URING_MULTISHOT, buf.fd, POLLIN);
		need(p, "io_uring");
		have_multishot = poller_drain(p, 3) == 1;
		poller_close(p);
		if (!have_multishot)
			ksft_print_msg("without multishot requests: poll is not quiet here\n");
	}
	dmabuf_destroy(&buf);
	return why;
}

struct inventory {
	long buffers;
	long fences;
	long fds;
};

static struct inventory take_inventory(void)
{
	return (struct inventory) {
		.buffers = dmabuf_live_buffers(),
		.fences = sw_sync_live_fences(),
		.fds = open_fds(),
	};
}

static void check_nothing_left(const struct inventory *before)
{
	long long deadline = now_ms() + SOON_MS;
	struct inventory after;

	do {
		after = take_inventory();
		if (!memcmp(before, &after, sizeof(after)))
			return;
		usleep(1000);
	} while (now_ms() < deadline);
	fail(NEUTRAL, "%ld buffers, %ld fences, %ld descriptors, and at the start %ld, %ld, %ld",
	     after.buffers, after.fences, after.fds, before->buffers, before->fences, before->fds);
}

static void race(long seconds, long seed, const struct inventory *before)
{
	long long begun = now_ms(), end = begun + 1000 * seconds, told = begun;
	struct rng rng = { .state = ~(uint64_t)seed };
	bool alright = true;
	int number = 0, i;

	for (i = 0; i < TARGETS; i++) {
		pthread_mutex_init(&targets[i].lock, NULL);
		need(!dmabuf_create(&targets[i].buf, exporter), "buffer");
	}
	relay_open(&relay, targets[NEVER_IDLE].buf.fd, FENCE_WRITE);
	relay_end(&relay);
	for (i = 0; i < WAITERS; i++)
		add_thread("waiter", run_waiter, seed);
	for (i = 0; i < ADDERS; i++)
		add_thread("adder", run_adder, seed);
	for (i = 0; i < SIGNALERS; i++)
		add_thread("signaler", run_signaler, seed);
	add_thread("closer", run_closer, seed);
	add_thread("looker", run_looker, seed);
	add_thread("relay", run_relay, seed);
	add_thread("passer", run_passer, seed);
	add_thread("forker", run_forker, seed);
	if (have_ring)
		add_thread("ring", run_ring, seed);
	for (i = 0; i < n_threads; i++)
		need(!pthread_create(&threads[i].thread, NULL, thread_main, &threads[i]), "thread");

	while (alright && now_ms() < end) {
		alright = run_round(&rng, ++number);
		if (now_ms() - told < PROGRESS_MS)
			continue;
		told = now_ms();
		ksft_print_msg("%d rounds in %lld s\n", number, (told - begun) / 1000);
		fflush(stdout);
	}

	ksft_print_msg("seed %ld: %d rounds in %lld s: %ld waits, %ld of them to the end\n",
		       seed, number, (now_ms() - begun) / 1000, atomic_load(&waits),
		       atomic_load(&sleeps));
	ksft_print_msg("%ld fences; %ld requests, %ld cancelled\n", atomic_load(&fences),
		       atomic_load(&requests), atomic_load(&cancels));
	ksft_print_msg("%ld buffers replaced, %ld passed; %ld children\n",
		       atomic_load(&replaced), atomic_load(&passed), atomic_load(&forks));
	ksft_print_msg("%ld looks at the buffer that is never idle\n",
		       atomic_load(&never_idle_looks));
	if (atomic_load(&never_idle_looks) < MIN_LOOKS)
		fail(EXACT, "too few looks at the buffer that is never idle");
	figure("no_lost_wakeup", number, "rounds of everything at once");
	figure("no_lost_wakeup", atomic_load(&sleeps), "waits in these that had to return");
	if (!alright) {
		/* those that hang cannot be asked to leave, nor what they hold */
		fail(NEUTRAL, "not looked at: a thread does not return");
		return;
	}

	end_rounds();
	for (i = 0; i < n_threads; i++)
		pthread_join(threads[i].thread, NULL);
	relay_close(&relay);
	for (i = 0; i < TARGETS; i++)
		dmabuf_destroy(&targets[i].buf);
	check_nothing_left(before);
}

static void announce(enum line line)
{
	ksft_print_msg("RUN           %s.race ...\n", line_names[line]);
}

int main(int argc, char **argv)
{
	long seconds = 60, seed = 1;
	struct inventory before;
	const char *why;
	char name[16];
	unsigned int i;
	int opt, log;

	while ((opt = getopt(argc, argv, "t:s:h")) != -1) {
		switch (opt) {
		case 't':
			seconds = parse_number("-t", optarg, 1, 604800);
			break;
		case 's':
			seed = parse_number("-s", optarg, 0, 2147483647);
			break;
		default:
			show_usage(usage, opt);
		}
	}
	if (optind < argc)
		bad_usage(usage, "what to do with ", argv[optind]);

	ksft_print_header();
	ksft_set_plan(ARRAY_SIZE(judged));

	/* timelines are named after the process that opened them: only ours are to be counted */
	snprintf(name, sizeof(name), "race.%d", getpid());
	prctl(PR_SET_NAME, name);
	log = kernel_log_open();
	before = take_inventory();
	why = missing();
	if (why) {
		for (i = 0; i < ARRAY_SIZE(judged); i++) {
			announce(judged[i]);
			ksft_test_result_skip("%s\n", why);
		}
		ksft_print_cnts();
		return KSFT_SKIP;
	}

	race(seconds, seed, &before);
	if (kernel_log_warnings(log))
		fail(ANYCONTEXT, "the kernel complains");

	for (i = 0; i < ARRAY_SIZE(judged); i++) {
		enum line line = judged[i];

		announce(line);
		if (line == SHARED && !have_ring)
			ksft_test_result_skip("%s\n", wait_kind_missing(WAIT_IO_URING));
		else if (atomic_load(&failures[line]))
			ksft_test_result_fail("%s.race\n", line_names[line]);
		else
			ksft_test_result_pass("%s.race\n", line_names[line]);
	}
	ksft_print_cnts();
	fflush(stdout);
	/* not waiting for threads that hang */
	_exit(ksft_get_fail_cnt() ? KSFT_FAIL : KSFT_PASS);
}
