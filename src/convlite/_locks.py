"""Locks that are released in a forked child, where the thread that held one does not exist."""

import _thread  # not threading, whose import takes 1.2 ms
import os
import weakref
from typing import Any

_made: weakref.WeakSet[Any] = weakref.WeakSet()


def fork_lock() -> Any:
    """A new reentrant lock: one thread may acquire it several times."""
    lock = _thread.RLock()
    _made.add(lock)
    return lock


def _after_in_child() -> None:
    for lock in list(_made):
        lock._at_fork_reinit()  # the standard library does this with its own locks


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_in_child)
