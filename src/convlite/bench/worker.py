"""A process that holds one peer: it prepares layers, verifies them against the reference, and times them; or
it loads one network (contestant.py).

    python -m convlite.bench.worker PEER THREADS

Requests come as lines of JSON on standard input, answers go as lines of JSON to what was standard output;
whatever the peer prints goes to standard error. PEER is a name of rivals.PEERS, or "machine" (the limits of
the machine), or "reference" (the float64 results).
"""

from __future__ import annotations

import concurrent.futures
import importlib
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .contestant import Contestant
from .rivals import PEERS, Call, Unsupported
from .shape import Operands, Shape, parse

__all__ = ["TOLERANCE", "fastest", "main", "reference_of", "resident"]

# Of the largest result. float32 sums in any order stay below 1e-5, Winograd's form below 5e-5 (tiles of 6x6
# too); bfloat16 or TF32 would show as 1e-3.
TOLERANCE = 1e-4
_LONG = 60_000_000  # ns: such a call is its own warming
_BLOCK = 20_000  # ns: shorter calls are timed several at once, the clock's own cost being 50 ns


def reference_of(operands: Operands) -> NDArray[np.float64]:
    """The layer in float64."""
    from .. import reference

    shape = operands.shape
    x, kernel = operands.x.astype(np.float64), operands.kernel.astype(np.float64)
    if shape.operation == "dense":
        product: NDArray[np.float64] = x @ kernel
        return product
    bias = np.asarray(operands.bias, np.float64)
    options = {"strides": shape.strides, "padding": shape.padding, "dilations": shape.dilation}
    if shape.operation == "depthwise":
        return reference.depthwise_conv2d(x, kernel, bias, **options)
    if shape.operation == "transpose":
        return reference.conv2d_transpose(x, kernel, bias, groups=shape.groups, **options)
    return reference.conv2d(x, kernel, bias, groups=shape.groups, **options)


def fastest(run: Callable[[], Any], nanoseconds: int) -> tuple[float, int]:
    """Call until the time is over: the fastest call in microseconds, and how many there were."""
    clock = time.perf_counter_ns
    begin = clock()
    run()  # wakes threads, brings the operands back into the caches
    best: float = clock() - begin
    if best > _LONG:
        return best / 1000, 1
    block = max(1, int(_BLOCK / max(best, 1)))
    count, end = 1, clock() + nanoseconds
    while True:
        start = clock()
        for _ in range(block):
            run()
        stop = clock()
        best = min(best, (stop - start) / block)
        count += block
        if stop >= end:
            return best / 1000, count
        if block * 4 < _BLOCK / max(best, 1):  # the first call was slow
            block = int(_BLOCK / max(best, 1))


def _largest(part: NDArray[np.float32]) -> Any:
    return part.max()


def _square(part: NDArray[np.float32]) -> Any:
    return np.dot(part, part)  # one pass: the second operand comes from L1


def resident() -> int:
    """The most bytes of this process that were in memory at once; 0 where the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


class Peer:
    """One rival, its prepared layers, and the fastest variant of each so far."""

    def __init__(self, name: str, threads: int) -> None:
        self.rival = importlib.import_module(f".rivals.{PEERS[name][0]}", __package__)
        self.version = self.rival.start(threads)
        self.calls: dict[str, dict[str, Call]] = {}
        self.best: dict[str, dict[str, float]] = {}

    def prepare(self, shape: Shape, reference: str) -> dict[str, Any]:
        """Set the layer up in all variants; those whose result is wrong are dropped and named."""
        try:
            calls = self.rival.prepare(Operands.of(shape))
        except Unsupported as error:
            return {"refused": str(error)}
        except Exception as error:  # a peer that fails on one layer goes on with the next
            return {"refused": f"{type(error).__name__}: {error}"[:200]}
        want = np.load(reference, mmap_mode="r")
        errors: dict[str, float] = {}
        wrong: dict[str, str] = {}
        for name, call in list(calls.items()):
            try:
                call.run()
                got = call.result()
                off = float(np.abs(got - want).max() / np.abs(want).max())
                fault = "" if off <= TOLERANCE else f"off by {off:.1e} of the largest result"
            except Exception as error:
                off, fault = 0.0, f"{type(error).__name__}: {error}"[:200]
            if fault:
                wrong[name] = fault
                del calls[name]
            else:
                errors[name] = off
        if not calls:
            return {"refused": "; ".join(f"{name}: {fault}" for name, fault in wrong.items())}
        self.calls[shape.name], self.best[shape.name] = calls, {}
        return {"errors": errors, "wrong": wrong}

    def time(self, shape: Shape, turn: int, nanoseconds: int) -> dict[str, Any]:
        """Time one variant: each gets two turns, after that the fastest gets them all."""
        calls, best = self.calls[shape.name], self.best[shape.name]
        names = list(calls)
        name = names[turn % len(names)] if turn < 2 * len(names) else min(best, key=best.__getitem__)
        microseconds, count = fastest(calls[name].run, nanoseconds)
        best[name] = min(best.get(name, microseconds), microseconds)
        return {"variant": name, "us": microseconds, "calls": count}

    def drop(self) -> dict[str, Any]:
        """Forget the layers; tell the most memory that was ever resident."""
        self.calls.clear()
        self.best.clear()
        return {"resident": resident()}


class Machine:
    """The limits: multiply-adds on registers, and reading memory."""

    def __init__(self, name: str, threads: int) -> None:
        from .. import _dispatch, _kernels

        self.version, self.threads = _dispatch.active_isa(), threads
        self._kernels = _kernels
        self.rounds = 1000
        self._timed(self.rounds)  # starts the threads
        while min(self._timed(self.rounds)[1] for _ in range(5)) < 400_000:
            self.rounds *= 2
        self.buffers: dict[int, NDArray[np.float32]] = {}

    def _timed(self, rounds: int) -> tuple[float, int]:
        start = time.perf_counter_ns()
        flops = self._kernels.peak_flops(self.version, "f32", rounds, self.threads)
        return flops, time.perf_counter_ns() - start

    def prepare(self, shape: Shape, reference: str) -> dict[str, Any]:
        """Nothing to do."""
        return {}

    def time(self, shape: Shape, turn: int, nanoseconds: int) -> dict[str, Any]:
        """GFLOP/s, and GB/s for reading as many bytes as the layer touches, again and again."""
        end, runs = time.perf_counter_ns() + nanoseconds, [self._timed(self.rounds)]
        while time.perf_counter_ns() < end:
            runs.append(self._timed(self.rounds))
        return {"gflops": max(flops / ns for flops, ns in runs), "gbs": self._read(shape.bytes)}

    def _read(self, size: int) -> float:
        """The best of a few tries, half a millisecond each, of NumPy's two fastest ways to read an array."""
        size = min(max(size, 1 << 16), 1 << 27)
        if size not in self.buffers:
            self.buffers = {size: np.ones(size // 4, np.float32)}
        parts = np.array_split(self.buffers[size], self.threads)
        repeats = max(1, int(5e-4 * 2e10 * self.threads / size))
        with concurrent.futures.ThreadPoolExecutor(self.threads) as pool:
            return max(
                self._try(parts, repeats, read, pool) for _ in range(3) for read in (_largest, _square)
            )

    def _try(
        self,
        parts: list[NDArray[np.float32]],
        repeats: int,
        read: Callable[[NDArray[np.float32]], Any],
        pool: concurrent.futures.Executor,
    ) -> float:
        barrier = threading.Barrier(self.threads)

        def timed(part: NDArray[np.float32]) -> tuple[int, int]:
            barrier.wait()
            start = time.perf_counter_ns()
            for _ in range(repeats):
                read(part)
            return start, time.perf_counter_ns()

        times = list(pool.map(timed, parts))
        total = sum(part.nbytes for part in parts) * repeats
        return total / (max(stop for _, stop in times) - min(start for start, _ in times))

    def drop(self) -> dict[str, Any]:
        """Forget the buffers."""
        self.buffers = {}
        return {}


class Reference:
    """Writes float64 results to files."""

    version = "float64"

    def __init__(self, name: str, threads: int) -> None:
        pass

    def prepare(self, shape: Shape, reference: str) -> dict[str, Any]:
        """Compute one."""
        np.save(reference, reference_of(Operands.of(shape)))
        return {}


def main() -> None:
    """Answer until standard input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    _die_with_parent()

    def answer(value: dict[str, Any]) -> None:
        print(json.dumps(value), file=answers, flush=True)

    name, threads = sys.argv[1], int(sys.argv[2])
    kinds: dict[str, Any] = {"machine": Machine, "reference": Reference}
    try:
        held = kinds.get(name, Peer)(name, threads)
    except (ImportError, Unsupported) as error:
        answer({"missing": str(error)})
        return
    answer({"version": held.version})
    shapes: dict[str, Shape] = {}
    contestant: Contestant
    for line in sys.stdin:
        request = json.loads(line)
        if request["do"] == "drop":
            shapes.clear()
            answer(held.drop())
        elif request["do"] == "load":
            contestant = Contestant(held.rival)
            answer(contestant.load(**request["what"]))
        elif request["do"] == "run":
            answer(contestant.time(request["nanoseconds"]))
        elif request["do"] == "prepare":
            shape = parse(request["line"])
            shapes[shape.name] = shape
            answer(held.prepare(shape, request["reference"]))
        else:
            answer(held.time(shapes[request["name"]], request["turn"], request["nanoseconds"]))


def _die_with_parent() -> None:
    """Linux: a stopped worker would outlive a parent that was killed."""
    if sys.platform == "linux":
        import ctypes
        import signal

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


if __name__ == "__main__":
    main()
