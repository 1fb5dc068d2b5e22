"""Pools."""

from __future__ import annotations

import numpy as np

from ...pooling import is_whole_mean, pool_windows, window_axes
from ..graph import Node
from ..program import Frame, Lowered, Lowering, Script
from .convolution import _two
from .table import rule

_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


@rule("max_pool", "avg_pool")
def pool(node: Node, low: Lowering) -> Lowered | None:
    """max_pool2d, avg_pool2d."""
    x, attributes = node.inputs[0], node.attributes
    if low.facts[x].dtype not in _FLOATS or 0 in low.shape(x):
        return None
    ceil = attributes["ceil_mode"]
    images, *sizes, channels = low.shape(x)
    out_shape = low.shape(node.outputs[0])
    if len(sizes) not in (1, 2):
        return None
    window, strides, dilations = (_two(attributes[key]) for key in ("kernel", "strides", "dilations"))
    padding = _two(attributes["padding"])
    source, target = low.slot(x), low.slot(node.outputs[0])
    inner, outer = source, target
    if len(sizes) == 1:
        inner = low.view(source, (images, 1, sizes[0], channels))
        outer = low.view(target, (images, 1, *out_shape[1:]))
    largest = node.kind == "max_pool"
    counts = not largest and attributes["count_include_pad"]
    axes = window_axes(low.shapes[inner][1:3], window, strides, padding, dilations, ceil)  # type: ignore[index]

    def run(frame: Frame, into: Script | None = None) -> None:
        x = frame[inner] if into is not None else np.ascontiguousarray(frame[inner])
        pool_windows(x, axes, frame[outer], largest=largest, count_padding=counts, into=into)

    gaps = (inner,) if is_whole_mean(axes, largest) else (inner, target)
    return Lowered(run, (inner,), (target,), how=f"{node.kind}2d", core=True, gaps=gaps)
