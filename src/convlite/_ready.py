"""What a network asks ahead of its calls: how an operation will run, and what runs it."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from . import _dispatch, _precision
from ._calls import runner_for
from .arguments import as_output_shape, as_padding, as_pair
from .geometry import Geometry
from .ops import _plan
from .pack import Operation, PackedKernel, Panels
from .plan import with_panels

__all__ = ["form_of", "made_ready"]


def form_of(
    operation: Operation, dtype: np.dtype[Any], x: tuple[int, ...], kernel: tuple[int, ...], *options: Any
) -> str:
    """The algorithm of a call with arrays of these shapes; the options are strides and on."""
    return _plan(
        _dispatch.active_isa(), dtype, _precision.is_fast(), operation, x, kernel, *options
    ).algorithm


def made_ready(
    packed: PackedKernel,
    x_shape: tuple[int, ...],
    strides: object = 1,
    padding: object = "valid",
    dilations: object = 1,
    output_shape: object = None,
    output_padding: tuple[int, int] | None = None,
) -> tuple[Geometry, Any, Panels | None, int]:
    """What runs the operation of a packed kernel on x (N,H,W,C) of this shape, under the precision and
    instruction set in force: (geometry, runner, panels, multiply-adds); no runner where there is no output.
    """  # fmt: skip
    isa, s, d = _dispatch.active_isa(), as_pair(strides, "strides"), as_pair(dilations, "dilations")
    options = (s, as_padding(padding), d, packed.groups, as_output_shape(output_shape), output_padding, 2)
    shapes = (packed.operation, x_shape, packed.shape)
    plan = _plan(isa, packed.dtype, _precision.is_fast(), *shapes, *options)
    if 0 in plan.geometry.out_shape:
        return plan.geometry, None, None, 0
    plan, panels = with_panels(plan, partial(packed.panels, isa=isa))
    return plan.geometry, runner_for(plan, panels), panels, plan.multiply_adds
