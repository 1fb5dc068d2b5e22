"""Pools: windows that keep their channel apart."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..facts import Fact, Size
from ..graph import Array, Node
from .record import Arrays, Facts, Kind, given, registered
from .windows import Links, Pads, axes_of, count_of, links, padding_of

__all__ = ["KINDS"]

KINDS: dict[str, Kind] = {}


def _pool_shape(node: Node, x: Fact) -> tuple[Size, ...] | None:
    if x.shape is None:
        return None
    axes = len(x.shape) - 2
    if axes < 1:
        raise ValueError(f"x must have at least 3 axes (N, spatial..., C), not {len(x.shape)}")
    kernel, strides = axes_of(node, "kernel", axes), axes_of(node, "strides", axes)
    dilations, padding = axes_of(node, "dilations", axes), node.attributes["padding"]
    if not isinstance(padding, str) and len(padding) != axes:
        raise ValueError(f"padding must have {axes} pairs, not {padding!r}")
    ceil_mode = bool(node.attributes["ceil_mode"])
    sides = []
    for axis, size in enumerate(x.shape[1:-1]):
        pads = padding if isinstance(padding, str) else padding[axis]
        sides.append(count_of(size, kernel[axis], strides[axis], dilations[axis], pads, ceil_mode))
    return (x.shape[0], *sides, x.shape[-1])


def _pool_facts(node: Node, facts: Facts) -> tuple[Fact, ...]:
    x = given(facts, 0)
    return (Fact(x.dtype, _pool_shape(node, x)),)


def _indices_facts(node: Node, facts: Facts) -> tuple[Fact, ...]:
    (y,) = _pool_facts(node, facts)
    return y, Fact(np.dtype(np.int64), y.shape)


class _Windows:
    """The taps of one pool over one array."""

    def __init__(self, node: Node, x: Array) -> None:
        axes = x.ndim - 2
        shape = _pool_shape(node, Fact(x.dtype, x.shape))
        assert shape is not None
        self.out = tuple(int(size) for size in shape if size is not None)
        self.kernel, self.strides = axes_of(node, "kernel", axes), axes_of(node, "strides", axes)
        self.dilations, self.fine = axes_of(node, "dilations", axes), x.shape[1:-1]
        self.pads: Pads = padding_of(
            node.attributes["padding"], self.fine, self.kernel, self.strides, self.dilations
        )

    def taps(self, *, padded: bool = False) -> Links:
        """(tap, where in the output, where in x); padded: over x with its padding, whose elements count."""
        before = [0 if padded else low for low, _ in self.pads]
        fine = [
            size + (low + high if padded else 0)
            for size, (low, high) in zip(self.fine, self.pads, strict=True)
        ]
        for tap, near, far in links(self.kernel, self.strides, self.dilations, before, self.out[1:-1], fine):
            yield tap, (slice(None), *near), (slice(None), *far)


def _lowest(dtype: np.dtype[Any]) -> float | int:
    if dtype.kind == "f":
        return -np.inf
    return 0 if dtype.kind == "b" else int(np.iinfo(dtype).min)


@registered(KINDS, "max_pool", infer=_pool_facts)
def _max_pool(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    x = given(arrays, 0)
    windows = _Windows(node, x)
    out = np.full(windows.out, _lowest(x.dtype), x.dtype)
    for _, near, far in windows.taps():
        out[near] = np.maximum(out[near], x[far])
    return (out,)


@registered(KINDS, "max_pool_indices", infer=_indices_facts)
def _max_pool_indices(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    """The index counts elements of the whole array: of (N, C, spatial...) with channels_first_index."""
    x = given(arrays, 0)
    windows = _Windows(node, x)
    sides = x.shape[1:-1]
    index = np.arange(x.size, dtype=np.int64)
    if node.attributes["channels_first_index"]:
        reverse = bool(node.attributes["storage_order"])  # 1: the first spatial axis runs fastest
        index = index.reshape(x.shape[0], x.shape[-1], *(sides[::-1] if reverse else sides))
        if reverse:
            index = index.transpose(0, 1, *range(index.ndim - 1, 1, -1))
        index = np.moveaxis(index, 1, -1)
    else:
        index = index.reshape(x.shape)
    out = np.full(windows.out, _lowest(x.dtype), x.dtype)
    places = np.full(windows.out, -1, np.int64)
    for _, near, far in windows.taps():
        better = (x[far] > out[near]) | (places[near] < 0)
        out[near] = np.where(better, x[far], out[near])
        places[near] = np.where(better, index[far], places[near])
    return out, places


@registered(KINDS, "avg_pool", infer=_pool_facts)
def _avg_pool(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    x = given(arrays, 0)
    windows = _Windows(node, x)
    total, count = np.zeros(windows.out), np.zeros(windows.out)
    for _, near, far in windows.taps():
        total[near] += x[far]
    for _, near, _ in windows.taps(padded=bool(node.attributes["count_include_pad"])):
        count[near] += 1
    return ((total / count).astype(x.dtype),)


@registered(KINDS, "lp_pool", infer=_pool_facts)
def _lp_pool(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    x, p = given(arrays, 0), float(node.attributes["p"])
    windows = _Windows(node, x)
    total = np.zeros(windows.out)
    for _, near, far in windows.taps():
        total[near] += np.abs(x[far].astype(np.float64)) ** p
    return ((total ** (1 / p)).astype(x.dtype),)
