# SPDX-License-Identifier: MIT
"""What tests fetch and keep for later runs, of which several may want it at once."""

import contextlib
import fcntl
import os

DIRECTORY = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "towonel-tests")


@contextlib.contextmanager
def alone(name):
    """The path of what has this name, while nobody else is at it."""
    os.makedirs(DIRECTORY, exist_ok=True)
    path = os.path.join(DIRECTORY, name)
    with open(f"{path}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield path
