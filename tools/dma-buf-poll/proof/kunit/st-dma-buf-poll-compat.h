/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the KUnit tests of poll use and kernels before 6.13 have not, for the
 * backports: these include it from the command line. Mainline has no such file.
 */
#ifndef _ST_DMA_BUF_POLL_COMPAT_H
#define _ST_DMA_BUF_POLL_COMPAT_H

#include <linux/err.h>
#include <linux/hrtimer.h>
#include <linux/version.h>
#include <kunit/test.h>

static inline void hrtimer_setup(struct hrtimer *timer,
				 enum hrtimer_restart (*function)(struct hrtimer *),
				 clockid_t clock_id, enum hrtimer_mode mode)
{
	hrtimer_init(timer, clock_id, mode);
	timer->function = function;
}

#if LINUX_VERSION_MAJOR == 6 && LINUX_VERSION_PATCHLEVEL < 11
static inline unsigned long kunit_vm_mmap(struct kunit *test, struct file *file,
					  unsigned long addr, unsigned long len,
					  unsigned long prot, unsigned long flag,
					  unsigned long offset)
{
	return -EOPNOTSUPP;
}
#endif

#endif /* _ST_DMA_BUF_POLL_COMPAT_H */
