#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Python's asyncio: add_reader() or add_writer() until a buffer is ready."""

import asyncio
import os
import platform
import selectors

import client


class CountingSelector(selectors.DefaultSelector):
    """Counts how often the loop goes round."""

    loops = 0

    def select(self, timeout=None):
        self.loops += 1
        return super().select(timeout)


class Loop:
    """All of it"""

    def __init__(self):
        self.selector = CountingSelector()
        self.loop = asyncio.SelectorEventLoop(self.selector)
        self.loop.add_reader(client.STDIN, self.command)

    def watch_all(self):
        """Watch all buffers, and say so."""
        for number in range(client.COUNT):
            add = self.loop.add_reader if client.is_in(number) else self.loop.add_writer
            add(client.FD + number, self.ready, number)
        client.say("watching")
        self.selector.loops = 0

    def forget(self, number):
        """Returns whether it was being watched."""
        if client.is_in(number):
            return self.loop.remove_reader(client.FD + number)
        return self.loop.remove_writer(client.FD + number)

    def ready(self, number):
        """The callback of a buffer"""
        if client.is_ready(number) and not self.forget(number):
            client.say(f"fault buffer {number} was not watched")

    def command(self):
        """The callback of standard input"""
        byte = os.read(client.STDIN, 1)
        client.say(f"loops {self.selector.loops}")
        if byte == b"a":
            self.watch_all()
        else:
            self.loop.stop()

    def close(self):
        """With fences pending"""
        for number in range(client.COUNT):
            self.forget(number)
            os.close(client.FD + number)
        self.loop.remove_reader(client.STDIN)
        self.loop.close()


def main():
    """See protocol.h."""
    client.say(f"hello Python {platform.python_version()}, {selectors.DefaultSelector.__name__}")
    loop = Loop()
    loop.watch_all()
    loop.loop.run_forever()
    loop.close()
    client.wait_for_end()


if __name__ == "__main__":
    main()
