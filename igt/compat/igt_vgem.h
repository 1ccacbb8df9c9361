/* SPDX-License-Identifier: MIT */
/*
 * What tests/dmabuf_poll.c needs of IGT's helpers for vgem: see igt.h.
 */
#ifndef DMABUF_POLL_COMPAT_IGT_VGEM_H
#define DMABUF_POLL_COMPAT_IGT_VGEM_H

#include <stdint.h>

#include "vgem_drm.h"

struct vgem_bo {
	uint32_t handle;
	uint32_t width, height;
	uint32_t bpp, pitch;
	uint64_t size;
};

uint32_t vgem_fence_attach(int fd, struct vgem_bo *bo, unsigned int flags);
void vgem_fence_signal(int fd, uint32_t fence);

#endif /* DMABUF_POLL_COMPAT_IGT_VGEM_H */
