# SPDX-License-Identifier: GPL-2.0
"""The architectures that guests run on, as kernel/arches has them, for those in Python.

ARCH is the one that ARCH= of make asks for, this machine's own if nobody does.
"""

import configparser
import os
import sys

TABLE = configparser.ConfigParser(interpolation=None, inline_comment_prefixes=())
TABLE.read(os.path.join(os.path.dirname(os.path.realpath(__file__)), "kernel/arches"), encoding="utf-8")

GUESTS = [name for name in TABLE.sections() if "qemu" in TABLE[name]]
OWN = next((name for name in TABLE.sections() if TABLE[name]["uname"] == os.uname().machine), None)
ARCH = os.environ.get("DBP_ARCH") or os.environ.get("ARCH") or OWN or "x86_64"


def of(name=ARCH):
    """What there is to know of an architecture: a field it has not is empty."""
    if name not in GUESTS:
        sys.exit(f"error: unknown ARCH '{name}': known are {' '.join(GUESTS)}")
    return TABLE[name]


def own_only(what):
    """For what takes programs that are only there for this machine"""
    if suffix():
        sys.exit(f"error: {what} runs on {OWN} only, with 4 KiB pages: leave out ARCH={ARCH}" +
                 (f" and PAGES={os.environ['PAGES']}" if os.environ.get("PAGES") else ""))


def suffix():
    """What the names of its kernels and results end with, as flavour() of lib.sh has it"""
    pages = os.environ.get("PAGES") or "4k"
    return ("" if ARCH == OWN else f"-{ARCH}") + ("" if pages == "4k" else f"-{pages}")
