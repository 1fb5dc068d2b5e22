"""Pools."""

from __future__ import annotations

import numpy as np

from ...pooling import avg_pool2d, max_pool2d
from ..graph import Node
from ..program import Frame, Lowered, Lowering
from .convolution import _two
from .table import rule

_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


@rule("max_pool", "avg_pool")
def pool(node: Node, low: Lowering) -> Lowered | None:
    """max_pool2d, avg_pool2d."""
    x, attributes = node.inputs[0], node.attributes
    if low.facts[x].dtype not in _FLOATS or attributes["ceil_mode"]:
        return None
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
    if node.kind == "max_pool":

        def run(frame: Frame) -> None:
            max_pool2d(
                frame[inner], window, strides=strides, padding=padding, dilations=dilations, out=frame[outer]
            )

    else:
        if dilations != (1, 1):
            return None
        count = attributes["count_include_pad"]

        def run(frame: Frame) -> None:
            x, out = frame[inner], frame[outer]
            avg_pool2d(x, window, strides=strides, padding=padding, count_include_pad=count, out=out)

    return Lowered(run, (inner,), (target,), how=f"{node.kind}2d")
