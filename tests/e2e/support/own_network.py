# SPDX-License-Identifier: MIT
"""A network for each process that runs tests side by side, so that none meets another's ports, addresses and load of sockets."""

import ctypes
import os

from .process import run

CLONE_NEWNET = 0x40000000


def enter():
    """For root, and before there is any other thread: children and later threads follow. Others share the machine's network."""
    if os.geteuid() != 0:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "no network namespace can be made")
    run(["ip", "link", "set", "lo", "up"], check=True)


def outside():
    """What to put before a command that needs the network of the machine."""
    if os.geteuid() != 0 or "PYTEST_XDIST_WORKER" not in os.environ:
        return []
    return ["nsenter", f"--net=/proc/{os.getppid()}/ns/net"]
