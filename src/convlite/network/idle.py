"""Arenas are given back when their program was not called for a while, by a thread that is there until then.

The thread wakes once in PERIOD seconds; a program that was not called since the last time loses its arenas.
When none is left the thread ends, and the next call starts another. It keeps no interpreter alive. Before a
fork it ends, and the arenas go at once: the child gets neither.
"""

from __future__ import annotations

import _thread
import os
from typing import Any
from weakref import WeakValueDictionary

from .._locks import fork_lock

PERIOD = 60.0  # arenas go one to two of them after the last call

programs: WeakValueDictionary[int, Any] = WeakValueDictionary()  # those that made an arena, by their id
watch: tuple[Any, Any] | None = None  # locks: released to end the thread, and by the thread when it ends
_lock = fork_lock()


def start() -> None:
    """Start the thread, unless it runs; where the system gives none, arenas stay."""
    global watch
    with _lock:
        if watch is None:
            watch = wake, ended = _thread.allocate_lock(), _thread.allocate_lock()
            wake.acquire()
            ended.acquire()
            try:
                _thread.start_new_thread(_run, watch)
            except RuntimeError:
                watch = None


def _run(*locks: Any) -> None:
    global watch
    while not locks[0].acquire(timeout=PERIOD):
        with _lock:
            watch = None  # a call that ends now starts another thread, or is seen here
            if not _give_back(False):
                break
            watch = locks
    with _lock:
        if watch == locks:
            watch = None
    locks[1].release()


def _give_back(called: bool) -> bool:
    """Give back the arenas of programs that were not called, or of all; whether some are kept."""
    kept = False
    for reference in programs.valuerefs():
        program = reference()
        if program is not None:
            if called or not program.called:
                program.release()
            program.called = False
            kept = kept or bool(program._frames)
    return kept


def stop() -> None:
    """End the thread, and give back all arenas that no call is using."""
    global watch
    with _lock:
        locks, watch = watch, None
        _give_back(True)
    if locks is not None:
        locks[0].release()
        locks[1].acquire(timeout=1)  # no longer: the thread itself may fork, or an interpreter that ends


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=stop)
