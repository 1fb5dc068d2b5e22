"""A peer with one network, in a worker: it loads the file, tells what that cost, and times calls."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from .rivals import Call, Unsupported

__all__ = ["Contestant", "now_resident"]

LOADS = 3  # the fastest of which is told; the first one imports
_ENOUGH = 0.3  # seconds after which no third is asked for


def now_resident() -> int:
    """The bytes of this process that are in memory now; 0 where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return 0
    import resource

    return pages * resource.getpagesize()


class Contestant:
    """A rival's module and its network."""

    def __init__(self, rival: Any) -> None:
        self.rival = rival
        self.call: Call | None = None

    def load(self, path: str, inputs: str, names: list[str], outputs: str, folder: str) -> dict[str, Any]:
        """Load, call, and leave the outputs in a file: milliseconds to load and of the first call, memory.

        The memory is taken after the first calls, before the file is loaded again for a fairer time: the
        first load imports what it needs.
        """
        if not hasattr(self.rival, "load"):
            return {"refused": "it runs no networks"}
        with np.load(inputs) as arrays:
            feed = {name: arrays[f"arr_{place}"] for place, name in enumerate(names)}
        try:
            if hasattr(self.rival, "convert"):
                path = self.rival.convert(path, feed, folder)
            start = time.perf_counter()
            call = self.rival.load(path, feed)
            begin = time.perf_counter()
            call.run()
            first = time.perf_counter() - begin
            loads = [begin - start]
            found = call.result()
            np.savez(outputs, *found)
            call.run()
            memory = now_resident()
            while len(loads) < 2 or (len(loads) < LOADS and sum(loads[1:]) < _ENOUGH):
                begin = time.perf_counter()
                again = self.rival.load(path, feed)
                loads.append(time.perf_counter() - begin)
                del again
        except Unsupported as error:
            return {"refused": str(error)}
        except Exception as error:  # whatever it is: the others race without this one
            return {"refused": f"{type(error).__name__}: {error}".replace("\n", " ")[:200]}
        self.call = call
        return {"load_ms": 1e3 * min(loads), "first_ms": 1e3 * first, "resident": memory}

    def time(self, nanoseconds: int) -> dict[str, Any]:
        """The fastest call within the time, two of them at least; and the processor's seconds it all took."""
        assert self.call is not None
        run, clock = self.call.run, time.perf_counter_ns
        spent, begin = time.process_time(), clock()
        run()  # wakes threads, brings the weights back into the caches
        best, count, start = clock() - begin, 1, clock()
        while True:
            run()
            stop = clock()
            best, count, start = min(best, stop - start), count + 1, stop
            if stop - begin >= nanoseconds:
                used = time.process_time() - spent
                return {"ms": best / 1e6, "calls": count, "cpu": used, "wall": (stop - begin) / 1e9}
