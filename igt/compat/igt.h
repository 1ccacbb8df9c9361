/* SPDX-License-Identifier: MIT */
/*
 * What tests/dmabuf_poll.c needs of IGT, as far as the library libigt.so.0 of
 * Debian 12 (intel-gpu-tools 1.27) has it: that package brings no headers.
 *
 * The functions are what the library exports; the statements are put together
 * from them the way IGT 2.4 and later spells them, with parentheses. In a tree
 * of IGT nothing of this is used.
 */
#ifndef DMABUF_POLL_COMPAT_IGT_H
#define DMABUF_POLL_COMPAT_IGT_H

#include <errno.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define ARRAY_SIZE(a)	((int)(sizeof(a) / sizeof((a)[0])))

struct option;

/* the runner */
int igt_subtest_init_parse_opts(int *argc, char **argv, const char *short_opts,
				const struct option *long_opts, const char *help,
				int (*handler)(int opt, int index, void *data), void *data);
void igt_exit(void) __attribute__((noreturn));
bool __igt_run_subtest(const char *name, const char *file, const int line);
extern jmp_buf igt_subtest_jmpbuf;
void igt_success(void);
void __igt_skip_check(const char *file, const int line, const char *func, const char *check,
		      const char *fmt, ...)
	__attribute__((noreturn, format(printf, 5, 6)));
void __igt_fail_assert(const char *domain, const char *file, const int line, const char *func,
		       const char *assertion, const char *fmt, ...)
	__attribute__((noreturn, format(printf, 6, 7)));
void igt_skip(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));
const char *igt_debugfs_mount(void);
uint64_t igt_nsec_elapsed(struct timespec *start);
extern int (*igt_ioctl)(int fd, unsigned long request, void *arg);

/* buffers */
uint32_t kmstest_dumb_create(int fd, int width, int height, int bpp, unsigned int *stride,
			     uint64_t *size);
int prime_handle_to_fd_for_mmap(int fd, uint32_t handle);
uint32_t prime_fd_to_handle(int fd, int dma_buf_fd);
void gem_close(int fd, uint32_t handle);

#define IGT_TEST_DESCRIPTION(text)	const char *__igt_test_description = text

static void compat_subtests(void);

#define igt_main()								\
	main(int argc, char **argv)						\
	{									\
		igt_subtest_init_parse_opts(&argc, argv, NULL, NULL, NULL, NULL, NULL); \
		compat_subtests();						\
		igt_exit();							\
	}									\
	static void compat_subtests(void)

/* Whatever fails or skips in there comes back through the jump buffer. */
#define igt_subtest_f(...)							\
	for (char compat_name[128];						\
	     snprintf(compat_name, sizeof(compat_name), __VA_ARGS__),		\
	     __igt_run_subtest(compat_name, __FILE__, __LINE__) &&		\
	     !sigsetjmp(igt_subtest_jmpbuf, 1);					\
	     igt_success())

#define igt_seconds_elapsed(start)	(igt_nsec_elapsed(start) / 1000000000)

#define igt_require_f(condition, ...)						\
	do {									\
		if (!(condition))						\
			__igt_skip_check(__FILE__, __LINE__, __func__,		\
					 #condition, __VA_ARGS__);		\
	} while (0)
#define igt_require(condition)	igt_require_f(condition, NULL)

#define igt_assert_f(condition, ...)						\
	do {									\
		if (!(condition))						\
			__igt_fail_assert(NULL, __FILE__, __LINE__, __func__,	\
					  #condition, __VA_ARGS__);		\
	} while (0)
#define igt_assert(condition)	igt_assert_f(condition, NULL)
#define igt_assert_eq(a, b)							\
	do {									\
		long compat_a = (a), compat_b = (b);				\
		igt_assert_f(compat_a == compat_b, "%s is %ld, not %ld\n",	\
			     #a, compat_a, compat_b);				\
	} while (0)

#endif /* DMABUF_POLL_COMPAT_IGT_H */
