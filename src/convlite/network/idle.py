"""Arenas are given back when their program was not called for a while, by a thread that is there until then.

The thread wakes once in PERIOD seconds; a program that was not called since the last time loses its arenas.
When none is left the thread ends, and the next call starts another. It keeps no interpreter alive. Before a
fork it ends, and the arenas go at once: the child gets neither.
"""

from __future__ import annotations

import _thread
import os
from contextlib import suppress
from typing import Any
from weakref import WeakSet

from .._locks import fork_lock

PERIOD = 60.0  # arenas go one to two of them after the last call

watch: tuple[Any, Any] | None = None  # locks: released to end the thread, and by the thread when it ends
_programs: WeakSet[Any] = WeakSet()  # those that made an arena
_lock = fork_lock()


def add(program: Any) -> None:
    """A program that makes an arena."""
    with _lock:
        _programs.add(program)


def start() -> None:
    """Start the thread, unless it runs; where the system gives none, arenas stay."""
    global watch
    with _lock:
        if watch is None:
            locks = _thread.allocate_lock(), _thread.allocate_lock()
            for lock in locks:
                lock.acquire()
            with suppress(RuntimeError):
                _thread.start_new_thread(_run, locks)
                watch = locks


def _run(wake: Any, ended: Any) -> None:
    global watch
    while not wake.acquire(timeout=PERIOD):
        with _lock:
            found = list(_programs)
            for program in found:
                if not program.called:
                    program.release()
                program.called = False
            if not any(program.holds for program in found):
                break
    with _lock:
        if watch == (wake, ended):
            watch = None
    ended.release()


def stop() -> None:
    """End the thread, and give back all arenas that no call is using."""
    global watch
    with _lock:
        locks, watch = watch, None
        for program in list(_programs):
            program.release()
    if locks is not None:
        locks[0].release()
        locks[1].acquire(timeout=1)  # no longer: the thread itself may fork, or an interpreter that ends


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=stop)
