#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Python's selectors: a buffer is registered until it is ready."""

import os
import platform
import selectors

import client


class Loop:
    """All of it"""

    def __init__(self):
        self.selector = selectors.DefaultSelector()
        self.selector.register(client.STDIN, selectors.EVENT_READ, None)
        self.loops = 0

    def watch_all(self):
        """Watch all buffers, and say so."""
        for number in range(client.COUNT):
            events = selectors.EVENT_READ if client.is_in(number) else selectors.EVENT_WRITE
            self.selector.register(client.FD + number, events, number)
        client.say("watching")
        self.loops = 0

    def run(self):
        """Until it is told to stop"""
        while True:
            self.loops += 1
            for key, _ in self.selector.select():
                if key.data is not None:
                    if client.is_ready(key.data):
                        self.selector.unregister(key.fd)
                    continue
                byte = os.read(client.STDIN, 1)
                client.say(f"loops {self.loops}")
                if byte != b"a":
                    return
                self.watch_all()

    def close(self):
        """With fences pending"""
        for number in range(client.COUNT):
            if client.FD + number in self.selector.get_map():
                self.selector.unregister(client.FD + number)
            os.close(client.FD + number)
        self.selector.close()


def main():
    """See protocol.h."""
    client.say(f"hello Python {platform.python_version()}, {selectors.DefaultSelector.__name__}")
    loop = Loop()
    loop.watch_all()
    loop.run()
    loop.close()
    client.wait_for_end()


if __name__ == "__main__":
    main()
