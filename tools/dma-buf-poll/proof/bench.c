// SPDX-License-Identifier: GPL-2.0
/*
 * What the benchmarks share: time, results, orders that repeat, and rows.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "kselftest.h"
#include "bench.h"

bool ticks_are_instructions;
static double ns_per_tick = 1;

enum dmabuf_exporter exporter;
const char *exporter_reason;

bool row_failed;

static void choose_exporter(void)
{
	static const enum dmabuf_exporter exporters[] = {
		EXPORTER_UDMABUF, EXPORTER_SYSTEM_HEAP, EXPORTER_VGEM,
	};
	static const char * const names[] = { "udmabuf", "system heap", "vgem" };
	static char reasons[256];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(exporters); i++) {
		exporter_reason = exporter_missing(exporters[i]);
		if (!exporter_reason) {
			exporter = exporters[i];
			ksft_print_msg("buffers are from %s\n", names[i]);
			return;
		}
		snprintf(reasons + strlen(reasons), sizeof(reasons) - strlen(reasons),
			 "%s%s", i ? ", " : "no exporter: ", exporter_reason);
	}
	exporter_reason = reasons;
}

void print_result(const char *unit, double value, const char *fmt, ...)
{
	char name[64];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(name, sizeof(name), fmt, ap);
	va_end(ap);
	printf("# result: %s\t%.*f\t%s\n", name,
	       value == (long long)value ? 0 : 4, value, unit);
}

uint64_t now_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

static void calibrate_ticks(void)
{
	uint64_t t, ns;

	if (ticks_are_instructions)
		return;
	t = ticks();
	ns = now_ns(CLOCK_MONOTONIC);
	sleep_ms(50);
	ns_per_tick = (double)(now_ns(CLOCK_MONOTONIC) - ns) / (ticks() - t);
}

/* Whole ones: a fraction of an instruction would be a fraction of the loop. */
void result_ticks(double value, const char *name)
{
	long long whole = value * ns_per_tick + 0.5;

	print_result(ticks_are_instructions ? "insn" : "ns", whole, "%s", name);
}

void pin(pid_t tid, int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(tid, sizeof(set), &set);
}

long own_sleeps(void)
{
	struct rusage usage;

	getrusage(RUSAGE_THREAD, &usage);
	return usage.ru_nvcsw;
}

void make_order(int *order, int n, enum order how, uint32_t seed)
{
	uint32_t x = 2463534242u + seed * 2654435761u;
	int i, j, tmp;

	for (i = 0; i < n; i++)
		order[i] = how == REVERSED ? n - 1 - i : i;
	for (i = n - 1; how == RANDOM && i > 0; i--) {
		x ^= x << 13;
		x ^= x >> 17;
		x ^= x << 5;
		j = x % (i + 1);
		tmp = order[i];
		order[i] = order[j];
		order[j] = tmp;
	}
}

const char *row_name(const struct row *row, int n)
{
	static char name[64];

	if (row->ns)
		snprintf(name, sizeof(name), "%s.%d", row->name, n);
	else
		snprintf(name, sizeof(name), "%s", row->name);
	return name;
}

static void run_row(const struct row *row, int n)
{
	const char *reason;

	row_failed = false;
	reason = row->run(row, n);
	if (!reason)
		ksft_test_result_pass("%s\n", row_name(row, n));
	else if (row_failed)
		ksft_test_result_fail("%s: %s\n", row_name(row, n), reason);
	else
		ksft_test_result_skip("%s: %s\n", row_name(row, n), reason);
}

/* Runs the rows whose names begin so, or only counts them. */
static unsigned int do_rows(const struct row *rows, unsigned int nr_rows,
			    const char *prefix, bool run)
{
	unsigned int i, count = 0;
	const int *n;

	for (i = 0; i < nr_rows; i++) {
		const struct row *row = &rows[i];

		for (n = row->ns; !n || *n >= 0; n++) {
			if (!strncmp(row_name(row, n ? *n : 0), prefix, strlen(prefix))) {
				count++;
				if (run)
					run_row(row, n ? *n : 0);
			}
			if (!n)
				break;
		}
	}
	return count;
}

static void die_usage(const char *name, bool go)
{
	fprintf(stderr, "usage: %s [-i] %s[ROW...]\n", name, go ? "[-g PROGRAM] " : "");
	fprintf(stderr, "  -i          a tick of the time stamp counter is an instruction\n");
	if (go)
		fprintf(stderr, "  -g PROGRAM  the program in Go to run with an idle buffer\n");
	fprintf(stderr, "  ROW         only the rows whose names begin so\n");
	exit(KSFT_FAIL);
}

int bench_main(int argc, char **argv, const struct row *rows, unsigned int nr_rows,
	       const char **go_program)
{
	struct rlimit files = { 8192, 8192 };
	unsigned int count = 0;
	struct utsname uts;
	int i, opt;

	while ((opt = getopt(argc, argv, go_program ? "ig:" : "i")) != -1) {
		if (opt == 'i')
			ticks_are_instructions = true;
		else if (opt == 'g')
			*go_program = optarg;
		else
			die_usage(argv[0], go_program);
	}
	if (optind == argc)
		count = do_rows(rows, nr_rows, "", false);
	for (i = optind; i < argc; i++)
		count += do_rows(rows, nr_rows, argv[i], false);
	if (!count)
		die_usage(argv[0], go_program);

	ksft_print_header();
	ksft_set_plan(count);
	setvbuf(stdout, NULL, _IOLBF, 0);
	setrlimit(RLIMIT_NOFILE, &files);
	uname(&uts);
	ksft_print_msg("kernel: %s %s\n", uts.release, uts.version);
	choose_exporter();
	calibrate_ticks();

	if (optind == argc)
		do_rows(rows, nr_rows, "", true);
	for (i = optind; i < argc; i++)
		do_rows(rows, nr_rows, argv[i], true);

	/* not ksft_finished(): what it is built for may be older than that */
	ksft_exit(!ksft_get_fail_cnt());
}
