/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Implicit fence polling on dma-buf files: what dma-buf.c calls.
 */
#ifndef _DMA_BUF_POLL_H
#define _DMA_BUF_POLL_H

#include <linux/poll.h>

struct dma_buf;
struct file;
struct seq_file;

void dma_buf_poll_init(struct dma_buf *dmabuf);
__poll_t dma_buf_poll(struct file *file, poll_table *table);
void dma_buf_poll_release(struct dma_buf *dmabuf);
void dma_buf_poll_describe(struct dma_buf *dmabuf, struct seq_file *seq);

#endif /* _DMA_BUF_POLL_H */
