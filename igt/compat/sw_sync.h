/* SPDX-License-Identifier: MIT */
/*
 * What tests/dmabuf_poll.c needs of IGT's helpers for sw_sync: see igt.h.
 */
#ifndef DMABUF_POLL_COMPAT_SW_SYNC_H
#define DMABUF_POLL_COMPAT_SW_SYNC_H

#include <stdint.h>

void igt_require_sw_sync(void);
int sw_sync_timeline_create(void);
void sw_sync_timeline_inc(int timeline, uint32_t count);

#endif /* DMABUF_POLL_COMPAT_SW_SYNC_H */
