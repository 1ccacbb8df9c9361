# SPDX-License-Identifier: GPL-2.0
"""What the clients in Python have in common; protocol.h says what a client is."""

import os
import select

FD = 200
COUNT = 64
STDIN = 0


def say(text):
    """One line for feed.c, in one write"""
    os.write(1, (text + "\n").encode())


def is_in(number):
    """Is this buffer watched for IN? Otherwise for OUT."""
    return not number & 1


def is_ready(number):
    """The callback was called: should it have been?"""
    poll = select.poll()
    events = select.POLLIN if is_in(number) else select.POLLOUT
    poll.register(FD + number, events)
    ready = poll.poll(0) == [(FD + number, events)]
    say(f"{'ready' if ready else 'early'} {number}")
    return ready


def wait_for_end():
    """The loop is gone: wait to be let go."""
    say("closed")
    while os.read(STDIN, 1):
        pass
