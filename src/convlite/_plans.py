"""From the arguments of a call to its plan, each asked once for each shape; and from a plan to the weights in
its layout."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from . import _dispatch, _kernels, _precision
from ._layouts import check_channels, warn_of_foreign
from .arguments import (
    Array,
    Pad,
    Padding,
    Pair,
    as_output_shape,
    as_padding,
    as_pair,
    check_groups,
    check_taps,
)
from .geometry import Geometry, check_phases, conv_axis, transpose_axis
from .pack import Operation, PackedKernel, Panels, pack_panels
from .plan import Plan, Weights, channels_of, plan_for


@lru_cache(maxsize=512)
def _geometry(
    operation: Operation,
    x: tuple[int, ...],
    kernel: tuple[int, ...],
    strides: Pair,
    padding: Padding,
    dilations: Pair,
    groups: int,
    output_shape: tuple[int, ...] | None,
    output_padding: Pair | None,
    axes: int = 2,
) -> Geometry:
    """Shapes and options -> Geometry; every error about shapes is raised here, in the shapes of a caller with
    so many spatial axes.
    """
    height, width = kernel[:2] if len(kernel) == 4 else (1, 1)
    if height == 0 or width == 0:
        places = "row and one column" if axes == 2 else "tap"
        raise ValueError(f"kernel must have at least one {places}; got {kernel[2 - axes :]}")
    check_taps(height, width)
    _check_inputs(operation, (x[0], *x[3 - axes :]), kernel[2 - axes :], groups)
    cin, cout, groups = channels_of(operation, kernel, groups)
    if operation in ("conv2d", "conv2d_transpose"):
        check_groups(groups, cin, cout)
    pads: tuple[Pad, Pad] = padding if isinstance(padding, tuple) else (padding, padding)
    if operation == "conv2d_transpose":
        if output_shape is not None and output_padding is not None:
            raise ValueError("output_shape and output_padding exclude each other: give one")
        whole = output_shape is not None and len(output_shape) == 4
        sizes = output_shape[1:3] if output_shape and whole else output_shape or (None, None)
        if output_shape and whole and (output_shape[0], output_shape[3]) != (x[0], cout):
            raise ValueError(
                f"output_shape {(output_shape[0], *output_shape[3 - axes :])} must have x's batch {x[0]} "
                f"and the kernel's {cout} output channels"
            )
        extras = output_padding or (None, None)
        rows = transpose_axis(x[1], height, strides[0], dilations[0], pads[0], "height", sizes[0], extras[0])
        columns = transpose_axis(x[2], width, strides[1], dilations[1], pads[1], "width", sizes[1], extras[1])
        check_phases(rows, columns)
    else:
        rows = conv_axis(x[1], height, strides[0], dilations[0], pads[0], "height")
        columns = conv_axis(x[2], width, strides[1], dilations[1], pads[1], "width")
    warn_of_foreign(operation, kernel[2 - axes :])
    return Geometry(x[0], rows, columns, cin, cout, groups)


def _check_inputs(operation: Operation, x: tuple[int, ...], kernel: tuple[int, ...], groups: int) -> None:
    """The kernel's input channels against x's; both shapes with one or two spatial axes."""
    window, space = ("kh, kw", "HW") if len(kernel) == 4 else ("kw", "W")
    if operation == "conv2d":
        if x[-1] % groups:
            check_groups(groups, x[-1], kernel[-1])
        form, foreign = f"({window}, Cin//groups, Cout)", f"OI{space}"
        check_channels(kernel[-2], x[-1] // groups, x, kernel, form, foreign, groups)
    elif operation == "conv2d_transpose":
        check_channels(kernel[-1], x[-1], x, kernel, f"({window}, Cout//groups, Cin)", f"IO{space}")
    elif operation == "depthwise_conv2d":
        check_channels(kernel[2], x[3], x, kernel, "(kh, kw, C, multiplier)", "(C*m, 1, kh, kw)")


@lru_cache(maxsize=512)
def _plan(isa: str, dtype: np.dtype[Any], fast: bool, packed: bool, finite: bool, *shape: Any) -> Plan:
    """The plan of a call, by everything that it depends on."""
    operation, _, kernel, strides, _, dilations, groups = shape[:7]
    weights = Weights(operation, kernel, strides, dilations, groups, packed, finite)
    return plan_for(_geometry(*shape), weights, dtype, isa, fast)


def made_ready(
    packed: PackedKernel,
    x_shape: tuple[int, ...],
    strides: object = 1,
    padding: object = "valid",
    dilations: object = 1,
    output_shape: object = None,
    output_padding: Pair | None = None,
) -> tuple[Plan, Panels | None]:
    """The plan of a packed kernel's operation on x (N,H,W,C) of this shape, under the precision and the
    instruction set in force, and the weights in its layout; no weights where there is no output.

    >>> str(made_ready(PackedKernel(np.ones((3, 3, 8, 64), np.float32)), (1, 28, 28, 8))[0])
    'strided'
    """
    s, p, d = as_pair(strides, "strides"), as_padding(padding), as_pair(dilations, "dilations")
    size = as_output_shape(output_shape)
    call = (packed.operation, x_shape, packed.shape, s, p, d, packed.groups, size, output_padding, 2)
    plan = _plan(_dispatch.active_isa(), packed.dtype, _precision.is_fast(), True, True, *call)
    return (plan, None) if 0 in plan.geometry.out_shape else with_weights(plan, packed, call)


def with_weights(plan: Plan, weights: Array | PackedKernel, shapes: tuple[Any, ...]) -> tuple[Plan, Panels]:
    """A plan, and the weights in its layout.

    Where they hold Inf or NaN and zeros would stand for padding, it is another plan, which leaves padding
    out. `shapes` are _plan's last arguments.
    """

    def pack(layout: str) -> Panels:
        if isinstance(weights, PackedKernel):
            return weights.panels(layout, plan.isa)
        if not layout:
            finite = not plan.needs_finite or _kernels.all_finite(weights, plan.isa, plan.bits)
            return Panels(weights, finite)  # as they lie
        operation, _, _, strides, _, dilations, groups = shapes[:7]
        return pack_panels(weights, operation, strides, dilations, groups, plan.isa, layout)

    panels = pack(plan.layout)
    if panels.finite or not plan.needs_finite:
        return plan, panels
    other = _plan(plan.isa, weights.dtype, False, isinstance(weights, PackedKernel), False, *shapes)
    return other, panels if other.layout == plan.layout else pack(other.layout)
