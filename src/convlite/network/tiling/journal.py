"""A small file beside `out` that says which tiles are done, so that an interrupted run can continue.

The first line is what the run depends on, as JSON; each further line is the number of a tile whose outputs
have been flushed. A last line without its end was being written when the run stopped, and does not count.
"""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
import time
from collections.abc import Iterable
from typing import Any

import numpy as np

from ..graph import Graph

__all__ = ["Journal", "fingerprint"]

EVERY = 2.0  # the most seconds between flushes: after a crash this much is computed twice


def fingerprint(graph: Graph) -> str:
    """A hash of what a network computes: its nodes and constants."""
    digest = hashlib.sha256()
    for value in (*graph.inputs, *graph.outputs):
        digest.update(str(value).encode())
    for node in graph.nodes:
        digest.update(f"{node.kind} {node.inputs} {node.outputs}".encode())
        for key, value in sorted(node.attributes.items()):
            held = value.tobytes() if isinstance(value, np.ndarray) else str(value).encode()
            digest.update(key.encode() + held)
    for name, array in sorted(graph.constants.items()):
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:32]


class Journal:
    """The file. path: None for none, and then nothing is written."""

    def __init__(
        self, path: str | os.PathLike[str] | None, head: dict[str, Any], outs: Iterable[Any]
    ) -> None:
        self.path = None if path is None else pathlib.Path(path)
        self.outs = tuple(outs)
        self.done: set[int] = set()
        self._waiting: list[int] = []
        self._flushed = time.monotonic()
        if self.path is None:
            return
        told = json.loads(json.dumps(head))
        if self.path.exists():
            self.done = self._read(told)
        else:
            self.path.write_text(json.dumps(told) + "\n", encoding="utf-8")

    def _read(self, head: dict[str, Any]) -> set[int]:
        assert self.path is not None
        text = self.path.read_text(encoding="utf-8")
        *lines, torn = text.split("\n")
        try:
            held = json.loads(lines[0] if lines else "")
            done = {int(line) for line in lines[1:]}
            if not isinstance(held, dict):
                raise ValueError("it is no journal")
        except ValueError:
            raise ValueError(
                f"the journal {str(self.path)!r} cannot be read: delete it to begin anew"
            ) from None
        differing = [key for key in head if held.get(key) != head[key]]
        if differing:
            key = differing[0]
            raise ValueError(
                f"the journal {str(self.path)!r} is of another run: its {key} is {held.get(key)!r}, not "
                f"{head[key]!r}; delete it to begin anew, or give the same arguments"
            )
        if torn:
            self.path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return done

    def wrote(self, number: int) -> None:
        """A tile is written; flushed and noted every now and then."""
        self.done.add(number)
        self._waiting.append(number)
        if self.path is not None and time.monotonic() - self._flushed > EVERY:
            self.flush()

    def flush(self) -> None:
        """First the outputs, then the lines that say so."""
        if self.path is None or not self._waiting:
            return
        for out in self.outs:
            flush = getattr(out, "flush", None) or getattr(getattr(out, "file", None), "flush", None)
            if flush is not None:
                flush()
        with open(self.path, "a", encoding="utf-8") as file:
            file.write("".join(f"{number}\n" for number in self._waiting))
            file.flush()
            os.fsync(file.fileno())
        self._waiting.clear()
        self._flushed = time.monotonic()

    def finish(self) -> None:
        """All is done: flush, and the journal is not needed any more."""
        if self.path is not None:
            self.flush()
            self.path.unlink(missing_ok=True)
