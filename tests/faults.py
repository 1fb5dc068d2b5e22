"""Calls whose allocations fail one after the other: test_faults.py runs this with failing_malloc.c preloaded.

    python tests/faults.py core|numpy|all THREADS

"core" refuses what the compiled core asks for, "numpy" the memory of arrays, "all" whatever any code of the
process asks for, objects included (PYTHONMALLOC=malloc). A line for each call: its name, how many allocations
failed, and how many errors came of it; of the others the result was right. A crash or a failed assert is for
the test to see.
"""

from __future__ import annotations

import ctypes
import gc
import sys
import traceback
from collections.abc import Callable
from typing import Any

import numpy as np
from network_examples import classifier

import convlite as cl
from convlite import (
    _dispatch,
    _kernels,
    _precision,
    _threads,
    arguments,
    geometry,
    ops,
    pack,
)
from convlite._calls import bind
from convlite.plan import choice, direct, winograd

Call = Callable[[np.ndarray | None], np.ndarray]
MODULES = (arguments, geometry, ops, pack, choice, direct, winograd)
CACHES = [value for module in MODULES for value in vars(module).values() if hasattr(value, "cache_clear")]
ARRAYS = 1024  # bytes from which on NumPy asks malloc each time; smaller blocks it keeps


def code_of(name: str) -> tuple[int, int]:
    """Where a shared object lies in memory."""
    with open("/proc/self/maps", encoding="ascii") as maps:
        rows = [line.split()[0].split("-") for line in maps if name in line]
    return min(int(row[0], 16) for row in rows), max(int(row[1], 16) for row in rows)


class Malloc:
    """failing_malloc.c, for one source of requests."""

    def __init__(self, source: str) -> None:
        library = ctypes.CDLL(None)
        library.watch.argtypes = (ctypes.c_size_t, ctypes.c_size_t, ctypes.c_size_t)
        library.fail.argtypes = (ctypes.c_long,)
        library.watch.restype = library.fail.restype = None
        library.asked.restype = library.alive.restype = ctypes.c_long
        self.fail, self.asked, self.alive = library.fail, library.asked, library.alive
        self.source = source
        # "can't allocate lock" (CPython) and "error return without exception set" (NumPy) are other errors
        self.errors = (MemoryError, RuntimeError, SystemError) if source == "all" else (MemoryError,)
        if source == "core":
            library.watch(*code_of("_kernels"), 0)
        elif source == "numpy":
            library.watch(*code_of("_multiarray_umath"), ARRAYS)
        else:
            library.watch(0, 2**64 - 1, 0)


def numbers(*shape: int) -> np.ndarray:
    """Small numbers with sums that rounding changes if their order does."""
    count = int(np.prod(shape))
    return ((np.arange(count) * 7919 % 1009 - 504) / 997).astype(np.float32).reshape(shape)


FAST = {"padding": "same", "precision": "fast"}
SAME = {"padding": "same"}
# name: (operation, x, kernel, options, what the plan must be)
CONVOLUTIONS: dict[str, tuple[str, tuple[int, ...], tuple[int, ...], dict[str, Any], str]] = {
    "gathered": ("conv2d", (9, 9, 1, 16), (3, 3, 16, 40), SAME, "gathered"),
    "strided": ("conv2d", (1, 20, 20, 16), (3, 3, 16, 40), SAME, "strided"),
    "short": ("conv2d", (1, 6, 15, 4), (3, 3, 4, 40), {"activation": "relu"}, "strided"),
    "grouped": ("conv2d", (1, 20, 20, 16), (3, 3, 8, 40), {"groups": 2, "dilations": 2}, "strided"),
    "winograd": ("conv2d", (1, 28, 28, 64), (3, 3, 64, 64), FAST, "winograd"),
    "pixels": ("conv2d", (1, 40, 40, 8), (5, 5, 8, 1), SAME, "pixel_vectors"),
    "transposed": ("conv2d_transpose", (1, 20, 20, 16), (3, 3, 24, 16), {"strides": 2}, "strided"),
    "wide": ("conv2d_transpose", (1, 12, 12, 16), (16, 16, 5, 16), {"strides": 8}, "merged_phases"),
    "turned pixels": ("conv2d_transpose", (1, 30, 30, 64), (4, 4, 1, 64), {"strides": 2}, "pixel_vectors"),
    "skinny": ("conv2d_transpose", (1, 30, 30, 16), (2, 2, 1, 16), {"strides": 2}, "tall_skinny"),
    "lines": ("depthwise_conv2d", (1, 20, 20, 32), (3, 3, 32, 1), SAME, "depthwise_lines"),
    "tall lines": ("depthwise_conv2d", (1, 40, 20, 32), (40, 3, 32, 1), SAME, "depthwise_lines"),
    "tiles": ("depthwise_conv2d", (1, 20, 20, 32), (1, 1, 32, 1), SAME, "depthwise_tiles"),
    "wide lines": ("depthwise_conv2d", (1, 20, 20, 42), (7, 7, 42, 1), SAME, "depthwise_lines"),
    "lane by lane": ("depthwise_conv2d", (1, 20, 20, 7), (7, 7, 7, 1), SAME, "lanewise"),
    "shared vectors": (
        "conv2d",
        (1, 20, 20, 12),
        (3, 3, 4, 6),
        {"groups": 3, "activation": "gelu"},
        "lanewise",
    ),
    "few rows": ("dense", (2, 64), (64, 400), {}, "few_rows"),
    "many rows": ("dense", (50, 64), (64, 40), {"activation": "softmax"}, "strided"),
    "one axis": ("conv1d", (2, 60, 16), (3, 16, 40), SAME, "strided"),
}


def into(y: np.ndarray, out: np.ndarray | None) -> np.ndarray:
    """For what has no out."""
    if out is None:
        return y
    out[...] = y
    return out


def forms(name: str) -> dict[str, tuple[Call, Any]]:
    """Ways to make a call, each with the packed kernel that outlives it."""
    operation, x_shape, kernel_shape, options, _ = CONVOLUTIONS[name]
    function = getattr(cl, operation)
    x, kernel = numbers(*x_shape), numbers(*kernel_shape)
    infinite = kernel.copy()
    infinite.reshape(-1)[kernel.size // 2] = np.inf
    kind = operation.replace("1d", "2d")
    strides = options.get("strides", 1)
    lasting = kernel[None] if kind != operation else kernel
    packing = {"strides": strides, "groups": options.get("groups", 1)}
    packed = cl.PackedKernel(lasting, kind, **packing)
    packed_infinite = cl.PackedKernel(infinite[None] if kind != operation else infinite, kind, **packing)
    bound = bind(function, packed, None, options)
    return {
        "array": (lambda out: function(x, kernel, **options, out=out), None),
        "infinite": (lambda out: function(x, infinite, **options, out=out), None),
        "packed": (lambda out: function(x, packed, **options, out=out), packed),
        "packed infinite": (lambda out: function(x, packed_infinite, **options, out=out), packed_infinite),
        "layer": (lambda out: into(bound(x), out), packed),
        "packing": (
            lambda out: function(x, cl.PackedKernel(lasting, kind, **packing), **options, out=out),
            None,
        ),
    }


def fresh(kernel: Any) -> None:
    """As before the first call."""
    for cache in CACHES:
        cache.cache_clear()
    _kernels.plain_calls.clear()
    if kernel is not None:
        kernel.calls.clear()


def state() -> tuple[Any, ...]:
    return cl.get_num_threads(), _precision.resolve(None), _dispatch.active_isa(), _kernels.float_mode()


def walk(malloc: Malloc, name: str, call: Call, kernel: Any, known: bool, own_out: bool) -> tuple[int, int]:
    """Fail the first allocation, the second, ... until a call needs no more."""
    call(None)  # may pack another layout, which the kernel keeps
    fresh(kernel)
    want = call(None).tobytes()
    gc.collect()
    before, blocks = state(), malloc.alive()
    out = np.empty_like(call(None))
    sentinel = np.full_like(out, 7).tobytes()
    errors = n = 0
    finished = False
    while not finished:
        n += 1
        fresh(kernel)
        if known:
            call(None)
        out.fill(7)
        got: np.ndarray | None = None
        error: BaseException | None = None
        finished = False
        try:
            malloc.fail(n)
            got = call(out if own_out else None)
            finished = malloc.asked() < n
        except malloc.errors as found:
            error = found
            refused = malloc.asked() >= n
            finished = got is not None  # asked() failed itself
        try:
            malloc.fail(0)
        except (MemoryError, ctypes.ArgumentError):  # the n-th fell on this call's own
            malloc.fail(0)
        label = f"{name}, allocation {n}"
        if got is None:
            assert refused, f"{label}: {error!r} though nothing was refused"
            assert out.tobytes() == sentinel, f"{label}: out was touched: {traceback.format_exception(error)}"
            errors += 1
        else:
            assert got.tobytes() == want, f"{label}: a wrong result"
            assert got is out or not own_out, f"{label}: another out"
        assert state() == before, f"{label}: {before} became {state()}"
        assert kernel is None or not kernel._lock._is_owned(), f"{label}: the kernel's lock is held"
        assert call(None).tobytes() == want, f"{label}: the next call is wrong"
        assert call(out).tobytes() == want, f"{label}: the call after the next is wrong"
    if malloc.source == "core":  # the others' blocks are this function's, too
        fresh(kernel)
        call(None)
        gc.collect()
        assert malloc.alive() == blocks, f"{name}: {malloc.alive() - blocks} blocks were never freed"
    return n - 1, errors


def others() -> dict[str, Call]:
    """What is no convolution."""
    x = numbers(2, 20, 20, 24)
    slopes = cl.activations.PReLU(numbers(24))
    net, images = cl.Network(classifier()), numbers(2, 12, 16, 3)

    def bound_anew(out: np.ndarray | None) -> np.ndarray:
        net.release()
        return into(net(images), out)

    return {
        "network": bound_anew,
        "max pool": lambda out: into(cl.max_pool2d(x, 3, strides=2, padding="same"), out),
        "average pool": lambda out: into(cl.avg_pool2d(x, 3, strides=2, padding="same"), out),
        "activation": lambda out: into(cl.activate(x, "gelu"), out),
        "slopes": lambda out: into(cl.activate(x, slopes), out),
        "softmax": lambda out: into(cl.softmax(x), out),
    }


def plan_of(call: Call) -> str:
    """The form of the first call of its kind."""
    plans: list[Any] = []
    original = ops.planned

    def spy(*arguments: Any) -> Any:
        plans.append(original(*arguments))
        return plans[-1]

    ops.planned = spy  # type: ignore[assignment]
    try:
        fresh(None)
        call(None)
    finally:
        ops.planned = original
    (found,) = plans
    return str(found.form)


def main(malloc: Malloc, threads: int, names: list[str]) -> None:
    """Walk through the calls."""
    if threads > 1:
        _threads.SERIAL_WORK = 0
    cl.set_num_threads(threads)
    for name in names or CONVOLUTIONS:
        ways = forms(name)
        for form, (call, kernel) in ways.items():
            if form == "array":
                found, want = plan_of(call), CONVOLUTIONS[name][-1]
                if name == "wide lines" and not _kernels.describe(_dispatch.active_isa(), "f32")["wide"]:
                    want = "lanewise"
                assert found == want, f"{name} is planned as {found}, not as {want}"
                call(None)
            for known in (False, True):
                for own_out in (False, True):
                    label = f"{name}/{form}{'/known' if known else ''}{'/out' if own_out else ''}"
                    print(label, *walk(malloc, label, call, kernel, known, own_out), sep=": ", flush=True)
    for name, call in others().items() if not names else ():
        print(name, *walk(malloc, name, call, None, False, False), sep=": ", flush=True)


if __name__ == "__main__":
    main(Malloc(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
