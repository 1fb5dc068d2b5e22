"""resize as tables of places and weights, which the core applies to rows and columns.

Along one axis a resize is a matrix; the kind's own definition, applied to the unit matrix, gives it, and its
few entries in each row are the table. So every mode and rule of coordinates runs here but those that are not
linear (values from beyond the image).
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np

from ... import _dispatch, _kernels
from ..graph import Array, Node
from ..kinds.images import KINDS
from ..program import Frame, Lowered, Lowering
from .elementwise import threads_of
from .table import rule

_LARGEST = 4096  # sizes whose matrix is made


@rule("resize")
def resize(node: Node, low: Lowering) -> Lowered | None:
    """The spatial axes of images or sequences."""
    x, output = node.inputs[0], node.outputs[0]
    shape, found = low.shape(x), low.shape(output)
    attributes = node.attributes
    if len(shape) not in (3, 4) or low.facts[x].dtype not in (np.dtype(np.float32), np.dtype(np.float64)):
        return None
    if attributes["keep_aspect_ratio_policy"] != "stretch":  # the axes hang together
        return None
    if attributes["coordinates"] == "tf_crop_and_resize" or shape[0] != found[0] or shape[-1] != found[-1]:
        return None
    if 0 in shape or 0 in found or max(*shape[1:-1], *found[1:-1]) > _LARGEST:
        return None
    scales = low.constants.get(node.inputs[2]) if len(node.inputs) > 2 and node.inputs[2] else None
    if len(node.inputs) > 2 and node.inputs[2] and scales is None:
        return None
    named = attributes["axes"]
    axes = list(range(len(shape))) if named is None else [int(axis) % len(shape) for axis in named]
    options = tuple((key, value) for key, value in sorted(attributes.items()) if key != "axes")
    dtype = low.facts[x].dtype
    assert dtype is not None
    tables = []
    for axis in range(1, len(shape) - 1):
        scale = None
        if scales is not None and scales.size and axis in axes:
            scale = float(scales.reshape(-1)[axes.index(axis)])
        tables.append(_table(shape[axis], found[axis], scale, options, dtype.str))
    if any(table is None for table in tables):
        return None
    if len(shape) == 3:
        tables.insert(0, _table(1, 1, None, options, dtype.str))
    images, channels = shape[0], shape[-1]
    height, width = shape[1:-1] if len(shape) == 4 else (1, shape[1])
    rows, columns = found[1:-1] if len(found) == 4 else (1, found[1])
    sizes = (images, height, width, channels, rows, columns)
    (row_places, row_weights), (places, weights) = (table for table in tables if table is not None)
    source, target = low.slot(x), low.slot(output)
    isa, itemsize, size = _dispatch.active_isa(), dtype.itemsize, math.prod(found)

    def run(frame: Frame) -> None:
        x = frame[source]
        x = x if x.flags.c_contiguous else np.ascontiguousarray(x)
        out, threads = frame[target], threads_of(size, 0.2)
        _kernels.resize(isa, itemsize, x, out, sizes, row_places, row_weights, places, weights, threads)

    return Lowered(run, (source,), (target,), how="resize")


@lru_cache(maxsize=64)
def _table(
    size: int, new: int, scale: float | None, options: tuple[tuple[str, Any], ...], dtype: str
) -> tuple[Array, Array] | None:
    """(places, weights), each (new, taps): the rows of the axis's matrix without their zeros."""
    node = Node("resize", ("x", "", "s", "n"), ("y",), {**dict(options), "axes": (1,)})
    unit = np.eye(size)[:, :, None].transpose(2, 1, 0)  # one image of `size` pixels, a channel for each
    given: list[Array | None] = [np.ascontiguousarray(unit), None, None, None]
    if scale is not None:
        given[2] = np.array([scale], np.float32)
    else:
        given[3] = np.array([new], np.int64)
    (matrix,) = KINDS["resize"].compute(node, given)
    matrix = matrix[0]
    if matrix.shape != (new, size) or not np.isfinite(matrix).all():
        return None
    taps = max(int((matrix != 0).sum(1).max()), 1)
    places = np.zeros((new, taps), np.int64)
    weights = np.zeros((new, taps), dtype)
    for row in range(new):
        (used,) = np.nonzero(matrix[row])
        if len(used) == 0:
            return None
        places[row, : len(used)] = used
        weights[row, : len(used)] = matrix[row, used]
        # No weight of zero, which would make NaN of an infinite pixel: the last one is halved instead.
        for tap in range(len(used), taps):
            weights[row, tap - 1 : tap + 1] = weights[row, tap - 1] / 2
            places[row, tap] = places[row, tap - 1]
    return places, weights
