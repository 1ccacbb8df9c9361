/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Lets the KUnit tests of poll say whether an irq_work has an interrupt of its own.
 *
 * dma-buf-poll.c includes it from the command line where that file is compiled for
 * nothing but tests: under UML, which has no such interrupt, and where its lines are
 * counted, on a machine that has one. So the tests go both ways on either.
 */
#ifndef _ST_DMA_BUF_POLL_INTERRUPT_H
#define _ST_DMA_BUF_POLL_INTERRUPT_H

#include <linux/export.h>
#include <linux/irq_work.h>

extern bool st_irq_work_interrupt;
/* mutants.py compiles the file many times. */
bool st_irq_work_interrupt __weak = true;
EXPORT_SYMBOL_GPL(st_irq_work_interrupt);

#define arch_irq_work_has_interrupt()	READ_ONCE(st_irq_work_interrupt)

#endif /* _ST_DMA_BUF_POLL_INTERRUPT_H */
