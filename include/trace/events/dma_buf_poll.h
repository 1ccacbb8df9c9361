/* SPDX-License-Identifier: GPL-2.0 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM dma_buf_poll

#if !defined(_TRACE_DMA_BUF_POLL_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TRACE_DMA_BUF_POLL_H

#include <linux/dma-buf.h>
#include <linux/dma-fence.h>
#include <linux/fs.h>
#include <linux/poll.h>
#include <linux/tracepoint.h>

/*
 * The fence is the one that was waited for, without one there is nothing left
 * to wait for. Of it only what never changes: this is called with its lock held.
 */
DECLARE_EVENT_CLASS(dma_buf_poll,
		    TP_PROTO(struct dma_buf *dmabuf, __poll_t events,
			     struct dma_fence *fence),
		    TP_ARGS(dmabuf, events, fence),
		    TP_STRUCT__entry(__field(unsigned long, ino)
				     __field(u64, context)
				     __field(u64, seqno)
				     __field(unsigned int, direction)
		    ),
		    TP_fast_assign(__entry->ino = file_inode(dmabuf->file)->i_ino;
				   __entry->context = fence ? fence->context : 0;
				   __entry->seqno = fence ? fence->seqno : 0;
				   __entry->direction =
					   (events & EPOLLIN ? 1 : 0) |
					   (events & EPOLLOUT ? 2 : 0);
		    ),
		    TP_printk("ino=%lu direction=%s context=%llu seqno=%llu",
			      __entry->ino,
			      __print_flags(__entry->direction, "|",
					    { 1, "in" }, { 2, "out" }),
			      __entry->context, __entry->seqno)
);

DEFINE_EVENT(dma_buf_poll, dma_buf_poll_arm,
	     TP_PROTO(struct dma_buf *dmabuf, __poll_t events,
		      struct dma_fence *fence),
	     TP_ARGS(dmabuf, events, fence));

DEFINE_EVENT(dma_buf_poll, dma_buf_poll_wake,
	     TP_PROTO(struct dma_buf *dmabuf, __poll_t events,
		      struct dma_fence *fence),
	     TP_ARGS(dmabuf, events, fence));

DEFINE_EVENT(dma_buf_poll, dma_buf_poll_cancel,
	     TP_PROTO(struct dma_buf *dmabuf, __poll_t events,
		      struct dma_fence *fence),
	     TP_ARGS(dmabuf, events, fence));

#endif /* _TRACE_DMA_BUF_POLL_H */

/* This part must be outside protection */
#include <trace/define_trace.h>
