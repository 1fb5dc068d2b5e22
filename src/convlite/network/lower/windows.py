"""Pools."""

from __future__ import annotations

from typing import Any

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
    options = {"strides": strides, "padding": padding, "dilations": dilations, "ceil_mode": ceil}
    function: Any = max_pool2d
    if node.kind == "avg_pool":
        function, options["count_include_pad"] = avg_pool2d, attributes["count_include_pad"]

    def run(frame: Frame) -> None:
        function(frame[inner], window, out=frame[outer], **options)

    return Lowered(run, (inner,), (target,), how=f"{node.kind}2d")
