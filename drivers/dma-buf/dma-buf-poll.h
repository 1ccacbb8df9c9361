/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Implicit fence polling on dma-buf files: what dma-buf.c calls.
 */
#ifndef _DMA_BUF_POLL_H
#define _DMA_BUF_POLL_H

#include <linux/poll.h>

struct dma_buf;
struct file;

void dma_buf_poll_init(struct dma_buf *dmabuf);
__poll_t dma_buf_poll(struct file *file, poll_table *table);
void dma_buf_poll_release(struct dma_buf *dmabuf);

#endif /* _DMA_BUF_POLL_H */
