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
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest.h"

#include "fuzz.h"

/* The other lines are for the model to judge, this is for the kernel. */
#define MODEL_LINES	ANYCONTEXT

#define MAX_STEPS	160
#define MAX_WORD	32
#define MAX_TEXT	(MAX_STEPS * 56)

/* A step that takes so long is one that hangs in the kernel; so with a whole program. */
#define STUCK_MS	20000
#define TRY_MS		60000
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

/*
 * Programs
 */

struct program {
	struct op ops[MAX_STEPS];
	int n;
};

/* Into no more than MAX_WORD bytes */
static int print_arg(char *to, enum arg arg, uint8_t value)
{
	const struct arg_type *type = &arg_types[arg];

	return type->words ? sprintf(to, "%s", type->words[value]) : sprintf(to, "%u", value);
}

/* The value that print_arg() prints as @word */
static bool parse_arg(const char *word, enum arg arg, uint8_t *value)
{
	char shown[MAX_WORD];

	for (*value = 0; word && *value < arg_types[arg].below; ++*value) {
		print_arg(shown, arg, *value);
		if (!strcmp(word, shown))
			return true;
	}
	return false;
}

static uint8_t random_arg(struct rng *rng, enum arg arg)
{
	const struct arg_type *type = &arg_types[arg];

	if (type->rare && rng_below(rng, type->rare))
		return 1 + rng_below(rng, type->usual);
	return rng_below(rng, type->below);
}

static void random_op(struct rng *rng, struct op *op)
{
	const struct op_type *type;
	unsigned int n = 0;
	int i;

	for (type = op_types; type->name; type++)
		n += type->weight;
	n = rng_below(rng, n);
	for (type = op_types; n >= type->weight; type++)
		n -= type->weight;
	op->code = type - op_types;
	for (i = 0; type->args[i]; i++)
		op->arg[i] = random_arg(rng, type->args[i]);
}

static void print_program(char *to, const struct program *p)
{
	const struct op *op;
	int i;

	*to = '\0';
	for (op = p->ops; op < p->ops + p->n; op++) {
		const struct op_type *type = &op_types[op->code];

		to += sprintf(to, "%s%s", op > p->ops ? "; " : "", type->name);
		for (i = 0; type->args[i]; i++) {
			*to++ = ' ';
			to += print_arg(to, type->args[i], op->arg[i]);
		}
	}
}

#define BLANKS	" \t\r"

/* The step of the name at the beginning of text, or the last, which has none. */
static const struct op_type *op_named(const char *text)
{
	size_t len = strcspn(text, BLANKS);
	const struct op_type *type = op_types;

	while (type->name && (strlen(type->name) != len || strncmp(type->name, text, len)))
		type++;
	return type;
}

static bool parse_op(char *text, struct op *op)
{
	char *save, *word = strtok_r(text, BLANKS, &save);
	const struct op_type *type = op_named(word);
	unsigned int i;

	op->code = type - op_types;
	for (i = 0; type->args[i]; i++) {
		if (!parse_arg(strtok_r(NULL, BLANKS, &save), type->args[i], &op->arg[i]))
			return false;
	}
	return type->name && !strtok_r(NULL, BLANKS, &save);
}

/* What such a step looks like, or which there are. */
static void explain_op(const char *step)
{
	const struct op_type *type = op_named(step);
	unsigned int value;
	int i;

	fprintf(stderr, type->name ? "it is %s" : "there are", type->name);
	for (i = 0; type->args[i]; i++) {
		const struct arg_type *arg = &arg_types[type->args[i]];

		if (!arg->words)
			fprintf(stderr, " 0-%u", arg->below - 1);
		for (value = 0; arg->words && value < arg->below; value++)
			fprintf(stderr, "%c%s", value ? '|' : ' ', arg->words[value]);
	}
	for (type = type->name ? NULL : op_types; type && type->name; type++)
		fprintf(stderr, " %s", type->name);
}

/* Semicolons or newlines between the steps, # up to the end of a line. */
static void parse_program(const char *text, struct program *p)
{
	char *copy = strdup(text), *save, *step, *hash, *end;
	char shown[64];

	need(copy, "program");
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

/* When to stop whether or not there are more steps to do. */
static long long stop_at;

/* For the thread that sees whether there is progress. */
static struct program current;
static unsigned long long current_number;
static long seed = 1;

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
	int pipefd[2], status;
	pid_t pid;

	need(!pipe(pipefd), "pipe");
	fflush(stdout);
	pid = fork();
	need(pid >= 0, "fork");
	if (!pid) {
		forget_world(patience_ms);
		begin_world();
		outcome->program = *p;
		run_program(&outcome->program);
		end_timelines();
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

static void announce(enum line line, const char *name)
{
	ksft_print_msg("RUN           %s.fuzz%s%s ...\n", line_names[line], *name ? "_" : "", name);
}

static void result(bool ok, enum line line, const char *name)
{
	if (ok)
		ksft_test_result_pass("%s.fuzz%s%s\n", line_names[line], *name ? "_" : "", name);
	else
		ksft_test_result_fail("%s.fuzz%s%s\n", line_names[line], *name ? "_" : "", name);
}

static void skip(enum line line, const char *name, const char *why)
{
	announce(line, name);
	ksft_test_result_skip("%s\n", why);
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

	if (!world_has_ring() && needs_ring(known->text)) {
		skip(known->line, known->name, wait_kind_missing(WAIT_IO_URING_MULTISHOT));
		return;
	}
	announce(known->line, known->name);
	for (i = 0; i < LINES; i++)
		ignored[i] = i != (int)known->line;
	parse_program(known->text, &p);
	if (try_program(&p, GIVE_UP_MS, &outcome))
		ksft_print_msg("step %d: %s\n", outcome.program.n, outcome.violation.text);
	else if (!outcome.complete)
		ksft_print_msg("did not come to its end\n");
	memset(ignored, 0, sizeof(ignored));
	result(!outcome.violation.found && outcome.complete, known->line, known->name);
}

/*
 * A line that broke has failed. If none did the steps have to be enough to say
 * so; if others did, this one may not have had its share, and has no result.
 */
static void result_of_line(enum line line, bool any_broken, bool enough)
{
	announce(line, "");
	ksft_print_msg("%ld checks\n", checks[line]);
	if (ignored[line] || (!enough && !any_broken))
		result(false, line, "");
	else if (!enough)
		ksft_test_result_skip("time was up before enough steps were done\n");
	else if (!checks[line])
		ksft_test_result_skip("no step of these had anything to check\n");
	else
		result(true, line, "");
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
	for (i = 0; i < MODEL_LINES; i++)
		result_of_line(i, any_broken, done >= enough);
	announce(ANYCONTEXT, "kernel_log");
	result(!kernel_log_warnings(log), ANYCONTEXT, "kernel_log");
}

static int run_one(const char *text, struct program *p)
{
	static char shown[MAX_TEXT];
	bool ok;

	if (!world_has_ring() && needs_ring(text))
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
				bad_usage(usage, "one program at a time", "");
			program = opt == 'p' ? optarg : read_program(optarg);
			break;
		default:
			show_usage(usage, opt);
		}
	}
	if (optind < argc)
		bad_usage(usage, "what to do with ", argv[optind]);
	if (program && (steps || seconds || seeded))
		bad_usage(usage, "--seed, --steps and --seconds are for random programs", "");
	if (!seconds)
		seconds = steps ? MAX_SECONDS : 300;
	if (!steps)
		steps = 120000;

	if (program) {
		parse_program(program, &replayed);
	} else {
		ksft_print_header();
		ksft_set_plan(ARRAY_SIZE(known_programs) + MODEL_LINES + 1);
	}
	why = world_missing();
	if (why && program)
		ksft_exit_skip("%s\n", why);
	if (why) {
		for (i = 0; i < ARRAY_SIZE(known_programs); i++)
			skip(known_programs[i].line, known_programs[i].name, why);
		for (i = 0; i < MODEL_LINES; i++)
			skip(i, "", why);
		skip(ANYCONTEXT, "kernel_log", why);
		ksft_print_cnts();
		return KSFT_SKIP;
	}

	begin_world();
	need(!pthread_create(&watchdog, NULL, see_progress, NULL), "thread");
	if (program)
		return run_one(program, &replayed);
	if (!world_has_ring())
		ksft_print_msg("without io_uring: %s\n",
			       wait_kind_missing(WAIT_IO_URING_MULTISHOT));
	for (i = 0; i < ARRAY_SIZE(known_programs); i++)
		run_known(&known_programs[i]);
	run_random(steps, seconds);
	ksft_print_cnts();
	return ksft_get_fail_cnt() ? KSFT_FAIL : KSFT_PASS;
}
