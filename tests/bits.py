"""Calls whose bits are promised: inputs from integers alone, and the hashes of their outputs.

The inputs use neither NumPy's random streams nor libm: any version and any machine has the same.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from cases import SMALL, Case

import convlite as cl

FILE = Path(__file__).parent / "golden" / "bits.json"
IMAGES = 8  # every batch from 1 to 8 is made of these

Operands = tuple[np.ndarray, ...]


def numbers(name: str, shape: tuple[int, ...], dtype: np.dtype, size: float = 2.0) -> np.ndarray:
    """Numbers in [-size, size), of all of dtype's digits: SplitMix64 of name and index.

    size: a power of two.
    """
    count = int(np.prod(shape, dtype=object))
    with np.errstate(over="ignore"):
        z = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z += np.uint64(zlib.crc32(name.encode())) << np.uint64(32)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    digits = 24 if dtype == np.float32 else 53
    whole = (z >> np.uint64(64 - digits)).astype(np.int64) - 2 ** (digits - 1)
    return (whole * (size / 2.0 ** (digits - 1))).astype(dtype).reshape(shape)


@dataclass(frozen=True)
class Promise:
    """A call: its operands, of which the first is x, and the function. `batched`: images may be split off."""

    name: str
    operands: Callable[[np.dtype], Operands]
    call: Callable[..., np.ndarray]
    batched: bool = True
    case: Case | None = None


def _of_case(case: Case, suffix: str = "", **options: Any) -> Promise:
    batched = len(case.options.get("output_shape", ())) != 4 and len(case.x) > 1
    x_shape = (IMAGES, *case.x[1:]) if batched else case.x

    def operands(dtype: np.dtype) -> Operands:
        shapes = {"x": x_shape, "kernel": case.kernel, "bias": (case.cout,)}
        return tuple(numbers(f"{case.name}/{key}", shape, dtype) for key, shape in shapes.items())

    def call(*arrays: Any, out: np.ndarray | None = None) -> np.ndarray:
        return getattr(cl, case.operation)(*arrays, **case.options, **options, out=out)

    return Promise(case.name + suffix, operands, call, batched, case if not options else None)


def _of_function(name: str, shape: tuple[int, ...], function: Any, size: float = 2.0) -> Promise:
    return Promise(name, lambda dtype: (numbers(name, shape, dtype, size),), function)


_BY_NAME = {case.name: case for case in SMALL}
_ACTIVATIONS = (*cl.activations.NAMES, "swish")
_FUSED = ("conv-channels-33", "transpose-channels-17", "depthwise-channels-33", "dense-channels-33")
_FAST = tuple(
    Case(f"fast-{n}", "conv2d", (1, h, w, n), (3, 3, n, 40), {"padding": "same"})
    for h, w, n in ((13, 11, 16), (13, 11, 33), (23, 24, 17), (15, 14, 20))  # with m = 4, 4, 6, 5
)
_POOLED = (IMAGES, 9, 8, 19)

PROMISES: tuple[Promise, ...] = (
    *(_of_case(case) for case in SMALL),
    *(
        _of_case(_BY_NAME[name], f"+{activation}", activation=activation)
        for name in _FUSED
        for activation in _ACTIVATIONS
    ),
    *(_of_case(case, precision="fast") for case in _FAST),
    *(
        _of_function(f"activate-{name}-{size}", (IMAGES, 1001), partial(cl.activate, activation=name), size)
        for name in _ACTIVATIONS
        for size in (1, 16, 1024)
    ),
    _of_function("max_pool2d", _POOLED, lambda x: cl.max_pool2d(x, (3, 2), strides=2, padding="same")),
    _of_function("avg_pool2d", _POOLED, lambda x: cl.avg_pool2d(x, (3, 2), strides=2, padding="same")),
)


def hash_of(y: np.ndarray) -> str:
    """Of shape and little-endian bytes; 64 bits of SHA-256."""
    data = np.ascontiguousarray(y, y.dtype.newbyteorder("<")).tobytes()
    return hashlib.sha256(repr(y.shape).encode() + data).hexdigest()[:16]


def read() -> dict[str, dict[str, str]]:
    """{name: {dtype: hash}} as committed."""
    return json.loads(FILE.read_text())


def compute() -> dict[str, dict[str, str]]:
    """{name: {dtype: hash}} as the active instruction set has it."""
    return {
        promise.name: {
            name: hash_of(promise.call(*promise.operands(np.dtype(name)))) for name in ("float32", "float64")
        }
        for promise in PROMISES
    }
