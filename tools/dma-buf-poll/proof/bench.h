/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the benchmarks share: time, results, orders that repeat, and rows.
 */
#ifndef __SELFTEST_BENCH_H
#define __SELFTEST_BENCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "dmabuf_util.h"

/* In a guest whose clock counts instructions: the option -i. */
extern bool ticks_are_instructions;

/* Where buffers are from, or why there are none. */
extern enum dmabuf_exporter exporter;
extern const char *exporter_reason;

/* One figure, as "# result: <name>\t<value>\t<unit>" */
void print_result(const char *unit, double value, const char *fmt, ...);
void result_ticks(double value, const char *name);

uint64_t now_ns(clockid_t clock);
void pin(pid_t tid, int cpu);
/* How often this thread has left the processor of its own accord */
long own_sleeps(void);

#ifdef __has_builtin
#if __has_builtin(__builtin_ia32_rdtsc)
#define read_ticks()	__builtin_ia32_rdtsc()
#endif
#endif
#ifndef read_ticks
#define read_ticks()	now_ns(CLOCK_MONOTONIC)
#endif

static inline uint64_t ticks(void)
{
	uint64_t t;

	/* nothing of what is measured may be moved across */
	asm volatile("" : : : "memory");
	t = read_ticks();
	asm volatile("" : : : "memory");
	return t;
}

enum order {
	IN_ORDER,
	REVERSED,
	RANDOM,
};

/* Always the same orders, so that kernels can be compared. */
void make_order(int *order, int n, enum order how, uint32_t seed);

struct row {
	const char *name;
	/* Prints its results, or returns why it cannot: skipped, or failed. */
	const char *(*run)(const struct row *row, int n);
	/* "name.n" for each of them, or just "name" */
	const int *ns;
	short events;
	enum order order;
	int (*wait)(int dmabuf_fd);
	/* wait for the same buffer again and again, or for a new one each time */
	bool again;
	bool busy;
	bool contended;
	/* wait on sync_files exported from the buffers */
	bool export;
};

/* Set by a row that went wrong, as opposed to one that is skipped. */
extern bool row_failed;

static inline const char *failed(const char *why)
{
	row_failed = true;
	return why;
}

const char *row_name(const struct row *row, int n);

/* Runs the rows whose names begin as the arguments say. Only a program with a row for Go takes -g. */
int bench_main(int argc, char **argv, const struct row *rows, unsigned int nr_rows,
	       const char **go_program);

#endif /* __SELFTEST_BENCH_H */
