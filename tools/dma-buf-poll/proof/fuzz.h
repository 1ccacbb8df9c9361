/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the fuzzer is made of: fuzz_world.c has the buffers, timelines and waiters, the
 * model of them, and the steps that change both; poll_fuzz.c makes programs of steps,
 * runs them, shrinks them and reports.
 */
#ifndef __SELFTEST_FUZZ_H
#define __SELFTEST_FUZZ_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "dmabuf_util.h"
#include "dmabuf_wait.h"

#define MAX_ARGS	4

/* What a step takes: which one of these there are, or how, how much, what. */
enum arg {
	NO_ARG,
	BUFFER,
	TIMELINE,
	SYNC_FILE,
	WATCH,
	REQUEST,
	SLEEPER,
	EXPORTER,
	AMOUNT,
	USAGE,
	EVENTS,
	KIND,
	SHOTS,
};

/* All there is to know of such an argument to print, parse and choose it. */
struct arg_type {
	/* from 0 on */
	unsigned int below;
	/* what to call each; numbers if NULL */
	const char * const *words;
	/* if not 0, all but one in so many are one of the @usual from 1 on */
	unsigned int rare;
	unsigned int usual;
};

struct op_type {
	const char *name;
	enum arg args[MAX_ARGS + 1];
	/* how often it comes in random programs */
	unsigned int weight;
	/* false, having done nothing, where it makes no sense */
	bool (*run)(const uint8_t *arg);
};

/* A step */
struct op {
	uint8_t code;
	uint8_t arg[MAX_ARGS];
};

extern const struct arg_type arg_types[];
/* The last has no name. */
extern const struct op_type op_types[];

/* What a program was found to break, if anything. */
struct violation {
	bool found;
	enum line line;
	char text[200];
};

extern struct violation violation;

/* Those that are known to be broken are not looked at any more. */
extern bool ignored[LINES];
extern long checks[LINES];

/* For a thread that sees whether there is any. */
extern atomic_long progress;

/* Why nothing can be tested here, or NULL. Finds out what there is to make a world of. */
const char *world_missing(void);
bool world_has_ring(void);
/* Once in each process */
void begin_world(void);
/* In a new process: what there is belongs to its parent. */
void forget_world(int patience_ms);
/* Returns as run() of the step, with all checked that has to happen by then. */
bool run_op(const struct op *op);
/* Closes everything, and checks what is left; begin_world() need not be repeated. */
void end_world(void);
/* The same without a look at anything, after a violation */
void abandon_world(void);
/* For the end of the process, which does not do it well: see sw_sync_end() */
void end_timelines(void);

#endif /* __SELFTEST_FUZZ_H */
