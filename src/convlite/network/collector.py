"""The garbage collector, while many objects are made that stay."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager

from .._locks import fork_lock


class _Rest:
    """How many blocks of `uncollected` threads are in, and whether the garbage collector ran before them."""

    def __init__(self) -> None:
        self.lock, self.blocks, self.ran = fork_lock(), 0, False

    def end(self, blocks: int) -> None:
        """So many blocks have ended."""
        with self.lock:
            if self.blocks and self.blocks <= blocks and self.ran:
                gc.enable()
            self.blocks = max(self.blocks - blocks, 0)


_rest = _Rest()
if hasattr(os, "register_at_fork"):  # a forked child has none of the other threads
    os.register_at_fork(after_in_child=lambda: _rest.end(_rest.blocks))


@contextmanager
def uncollected() -> Iterator[None]:
    """The garbage collector rests: what is made in the block stays, and to visit all objects of the process
    takes 10 to 15 ms (with the package onnx, Zen 4). It runs again when no thread is in such a block."""
    with _rest.lock:
        if not _rest.blocks:
            _rest.ran = gc.isenabled()
            gc.disable()
        _rest.blocks += 1
    try:
        yield
    finally:
        _rest.end(1)
