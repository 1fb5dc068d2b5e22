"""resize as tables of places and weights, which the core applies to rows and columns.

Along one axis a resize is a matrix, and the few entries in each of its rows are the table: the places and
weights of the kind's own definition, put together where two are the same pixel. So every mode and rule of
coordinates runs here but those that are not linear (values from beyond the image).
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np

from ... import _dispatch, _kernels
from ..graph import Array, Node
from ..kinds.images import ROUNDINGS, _coordinates, _taps
from ..program import Frame, Lowered, Lowering, Script
from .elementwise import keep, threads_of
from .table import rule


@rule("resize")
def resize(node: Node, low: Lowering) -> Lowered | None:
    """The spatial axes of images or sequences."""
    x, output = node.inputs[0], node.outputs[0]
    shape, found = low.shape(x), low.shape(output)
    attributes = node.attributes
    if len(shape) not in (3, 4) or low.facts[x].dtype not in (np.dtype(np.float32), np.dtype(np.float64)):
        return None
    if attributes["keep_aspect_ratio_policy"] != "stretch":  # the axes depend on each other
        return None
    if attributes["coordinates"] == "tf_crop_and_resize" or shape[0] != found[0] or shape[-1] != found[-1]:
        return None
    if 0 in shape or 0 in found:
        return None
    scales = low.constants.get(node.inputs[2]) if len(node.inputs) > 2 and node.inputs[2] else None
    if len(node.inputs) > 2 and node.inputs[2] and scales is None:
        return None
    dtype = low.facts[x].dtype
    assert dtype is not None
    tables = axis_tables(shape, found, attributes, scales, dtype)
    return None if tables is None else _applied(low, node, tables)


def axis_tables(
    shape: tuple[int, ...],
    found: tuple[int, ...],
    attributes: Any,
    scales: Array | None,
    dtype: np.dtype[Any],
) -> list[tuple[Array, Array]] | None:
    """(places, weights) of each axis between the first and the last; None where there is no such table.

    places, weights: (new size, taps); the weights in `dtype`, in float64 where that is no float.
    """
    named = attributes["axes"]
    axes = list(range(len(shape))) if named is None else [int(axis) % len(shape) for axis in named]
    options = tuple((key, value) for key, value in sorted(attributes.items()) if key != "axes")
    tables = []
    for axis in range(1, len(shape) - 1):
        scale = None
        if scales is not None and scales.size and axis in axes:
            scale = float(scales.reshape(-1)[axes.index(axis)])
        kind = dtype.str if dtype.kind == "f" else "float64"
        table = _table(shape[axis], found[axis], scale, options, kind)
        if table is None:
            return None
        tables.append(table)
    return tables


@rule("resample")
def resample(node: Node, low: Lowering) -> Lowered | None:
    """A resize whose tables are given."""
    if low.facts[node.inputs[0]].dtype not in (np.dtype(np.float32), np.dtype(np.float64)):
        return None
    if len(low.shape(node.inputs[0])) not in (3, 4):
        return None
    tables = list(zip(node.attributes["places"], node.attributes["weights"], strict=True))
    for (places, weights), size in zip(tables, low.shape(node.inputs[0])[1:-1], strict=True):
        whole = places.ndim == 2 and places.dtype.kind == "i" and places.shape == weights.shape
        if not whole or places.size == 0 or places.min() < 0 or places.max() >= size:
            return None  # the tables come from a file
    return _applied(low, node, tables)


def _applied(low: Lowering, node: Node, tables: list[tuple[Array, Array]]) -> Lowered:
    """The step that applies tables to rows and columns; a sequence is an image of one row."""
    x, output = node.inputs[0], node.outputs[0]
    shape, found = low.shape(x), low.shape(output)
    dtype = low.facts[x].dtype
    assert dtype is not None
    if len(shape) == 3:
        tables = [(np.zeros((1, 1), np.int64), np.ones((1, 1), dtype)), *tables]
    images, channels = shape[0], shape[-1]
    height, width = shape[1:-1] if len(shape) == 4 else (1, shape[1])
    rows, columns = found[1:-1] if len(found) == 4 else (1, found[1])
    sizes = (images, height, width, channels, rows, columns)
    (row_places, row_weights), (places, weights) = (
        (np.ascontiguousarray(where, np.int64), np.ascontiguousarray(how, dtype)) for where, how in tables
    )
    source, target = low.slot(x), low.slot(output)
    isa, itemsize, size = _dispatch.active_isa(), dtype.itemsize, math.prod(found)

    def run(frame: Frame, into: Script | None = None) -> None:
        x = frame[source]
        x = x if x.flags.c_contiguous else np.ascontiguousarray(x)
        out, threads = frame[target], threads_of(size, 0.2)
        keep(into, x, row_places, row_weights, places, weights)
        _kernels.resize(isa, itemsize, x, out, sizes, row_places, row_weights, places, weights, threads, into)

    return Lowered(run, (source,), (target,), how="resize", core=True, gaps=(target,), frames=(target,))


@lru_cache(maxsize=64)
def _table(
    size: int, new: int, scale: float | None, options: tuple[tuple[str, Any], ...], dtype: str
) -> tuple[Array, Array] | None:
    """(places, weights), each (new, taps): the rows of the axis's matrix without their zeros."""
    found = _entries(size, new, scale, dict(options))
    if found is None:
        return None
    index, weight = found
    for tap in range(index.shape[1]):  # the same pixel counts once
        for later in range(tap + 1, index.shape[1]):
            same = (index[:, later] == index[:, tap]) & (weight[:, later] != 0)
            weight[same, tap] += weight[same, later]
            weight[same, later] = 0
    used = weight != 0
    counts = used.sum(1)
    if not np.isfinite(weight).all() or counts.min() == 0:
        return None
    order = np.argsort(np.where(used, index, size), 1, kind="stable")[:, : int(counts.max())]
    places = np.take_along_axis(index, order, 1).astype(np.int64)
    weights = np.take_along_axis(weight, order, 1).astype(dtype)
    # No weight of zero, which would make NaN of an infinite pixel: the last one is halved instead.
    for tap in range(1, places.shape[1]):
        spare = counts <= tap
        weights[spare, tap] = weights[spare, tap - 1] = weights[spare, tap - 1] / 2
        places[spare, tap] = places[spare, tap - 1]
    return places, weights


def _entries(size: int, new: int, scale: float | None, options: dict[str, Any]) -> tuple[Array, Array] | None:
    """Places and weights of each output, in float64: places may come twice and weights be 0."""
    whole, factor = scale is None, new / size if scale is None else scale
    if size == new and factor == 1:
        return np.arange(size)[:, None], np.ones((size, 1))
    place = _coordinates(options["coordinates"], size, new, factor, whole, (0.0, 1.0), np.float64)
    if options["mode"] == "nearest":
        index = np.clip(ROUNDINGS[options["nearest_mode"]](place), 0, size - 1)
        return index.astype(np.intp)[:, None], np.ones((new, 1))
    return _taps(Node("resize", (), (), options), place, size, factor)
