"""Locks that are open in a forked child: the thread that held one is not there to open it."""

import _thread  # what threading has them from: importing that takes 1.2 ms
import os
import weakref
from typing import Any

_made: weakref.WeakSet[Any] = weakref.WeakSet()


def fork_lock() -> Any:
    """A new lock, which one thread may take several times."""
    lock = _thread.RLock()
    _made.add(lock)
    return lock


def _after_in_child() -> None:
    for lock in list(_made):
        lock._at_fork_reinit()  # what the standard library does with its own


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_in_child)
