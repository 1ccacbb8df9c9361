#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""What trace.sh traces: a wait on two fences, and a close with one pending.

Prints what /sys/kernel/debug/dma_buf/bufinfo says of the buffer, and its inode.
"""

import fcntl
import os
import select
import struct
import threading
import time

PAGE = 4096


def ioc(direction, kind, number, size):
    """The number of an ioctl: 1 writes, 2 reads, 3 does both."""
    return direction << 30 | size << 16 | ord(kind) << 8 | number


UDMABUF_CREATE = ioc(1, "u", 0x42, 24)
SW_SYNC_IOC_CREATE_FENCE = ioc(3, "W", 0, 40)
SW_SYNC_IOC_INC = ioc(1, "W", 1, 4)
DMA_BUF_IOCTL_IMPORT_SYNC_FILE = ioc(1, "b", 3, 8)
DMA_BUF_SYNC_READ = 1
DMA_BUF_SYNC_WRITE = 2


def new_buffer():
    """A dma-buf of one page."""
    memory = os.memfd_create("traced", os.MFD_ALLOW_SEALING)
    os.ftruncate(memory, PAGE)
    fcntl.fcntl(memory, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
    with open("/dev/udmabuf", "rb+", buffering=0) as device:
        create = bytearray(struct.pack("IIQQ", memory, 0, 0, PAGE))
        buf = fcntl.ioctl(device, UDMABUF_CREATE, create)
    os.close(memory)
    return buf


def add_fence(buf, timeline, value, flags):
    """A fence on the buffer, which the timeline signals when it gets to value."""
    data = bytearray(struct.pack("I32si", value, b"traced", -1))
    fcntl.ioctl(timeline, SW_SYNC_IOC_CREATE_FENCE, data)
    fence = struct.unpack("I32si", data)[2]
    fcntl.ioctl(buf, DMA_BUF_IOCTL_IMPORT_SYNC_FILE, struct.pack("Ii", flags, fence))
    os.close(fence)


def poll(buf, events, timeout):
    """poll(2) of the buffer: the events it returns."""
    poller = select.poll()
    poller.register(buf, events)
    return sum(got for _, got in poller.poll(timeout))


def main():
    """One buffer is waited for, one is closed."""
    timeline = os.open("/sys/kernel/debug/sync/sw_sync", os.O_RDWR)
    buf = new_buffer()
    print("traced: waits", os.fstat(buf).st_ino, flush=True)
    add_fence(buf, timeline, 1, DMA_BUF_SYNC_WRITE)
    add_fence(buf, timeline, 2, DMA_BUF_SYNC_READ)
    waiter = threading.Thread(target=poll, args=(buf, select.POLLOUT, 20000))
    waiter.start()
    time.sleep(0.5)
    with open("/sys/kernel/debug/dma_buf/bufinfo", encoding="ascii") as info:
        for line in info:
            if "waits for" in line:
                print("traced: bufinfo", line.strip(), flush=True)
    fcntl.ioctl(timeline, SW_SYNC_IOC_INC, struct.pack("I", 1))
    time.sleep(0.2)
    fcntl.ioctl(timeline, SW_SYNC_IOC_INC, struct.pack("I", 1))
    waiter.join()
    os.close(buf)

    buf = new_buffer()
    print("traced: closes", os.fstat(buf).st_ino, flush=True)
    add_fence(buf, timeline, 3, DMA_BUF_SYNC_WRITE)
    assert poll(buf, select.POLLIN, 0) == 0
    os.close(buf)
    os.close(timeline)


if __name__ == "__main__":
    main()
