/* SPDX-License-Identifier: MIT */
/*
 * What tests/dmabuf_poll.c needs of IGT's helpers for sync_files: see igt.h.
 */
#ifndef DMABUF_POLL_COMPAT_DMABUF_SYNC_FILE_H
#define DMABUF_POLL_COMPAT_DMABUF_SYNC_FILE_H

#include <stdint.h>

void dmabuf_import_timeline_fence(int dmabuf, uint32_t flags, int timeline, uint32_t seqno);

#endif /* DMABUF_POLL_COMPAT_DMABUF_SYNC_FILE_H */
