"""The padding and the output size that the attributes of ONNX's ConvTranspose mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ._options import public
from .arguments import as_int, as_numbers, is_one_of, shown
from .geometry import effective_kernel

__all__ = ["onnx_transpose_padding"]

_MODES = ("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID")


@public
def onnx_transpose_padding(
    x_shape: Sequence[int],
    kernel_shape: Sequence[int],
    *,
    strides: Any = 1,
    dilations: Any = 1,
    auto_pad: str = "NOTSET",
    pads: Sequence[int] | None = None,
    output_padding: Sequence[int] | int | None = None,
    output_shape: Sequence[int] | None = None,
) -> dict[str, Any]:
    """Work out ConvTranspose's attributes: the keywords `padding` and `output_padding` of conv2d_transpose.

    With in sizes and k = (kernel - 1) * dilation + 1 the full output has (in - 1) * stride + k +
    output_padding places. auto_pad SAME_UPPER and SAME_LOWER take off what makes it in * stride,
    output_shape what makes it that shape; of an odd number SAME_UPPER takes the greater part from the end,
    all others from the beginning. So output_padding moves the result, and where nothing is to be taken off,
    the size is the full one: the rules of ONNX Runtime (1.32), and the specification's where it has any.
    Source: ConvTranspose-11 in onnx/docs/Operators.md; conv_transpose_attributes.h of ONNX Runtime.

    x_shape, kernel_shape, strides, dilations, auto_pad, pads, output_padding,
    output_shape -> dict : The keywords `padding` and `output_padding`. : shared, onnx-transpose

    Examples
    --------
    >>> import numpy as np, convlite as cl
    >>> onnx_transpose_padding((1, 7, 7, 8), (3, 3, 4, 8), strides=2, auto_pad="SAME_UPPER")
    {'padding': ((0, 1), (0, 1)), 'output_padding': (0, 0)}
    >>> x, kernel = np.arange(1.0, 4).reshape(1, 3, 1), np.array([1.0, 10, 100]).reshape(3, 1, 1)
    >>> node = {"auto_pad": "SAME_UPPER", "output_padding": [1]}
    >>> found = onnx_transpose_padding(x.shape, kernel.shape, strides=[2], **node)
    >>> cl.conv1d_transpose(x, kernel, strides=[2], **found).ravel()
    array([ 10., 102.,  20., 203.,  30., 300.])
    """
    if not is_one_of(auto_pad, _MODES):
        raise ValueError(f"auto_pad must be one of {', '.join(_MODES)}; got {shown(auto_pad)}")
    x, kernel = as_numbers(x_shape, "x_shape"), as_numbers(kernel_shape, "kernel_shape")
    axes = len(x) - 2
    if axes not in (1, 2) or len(kernel) != len(x):
        raise ValueError(
            "x_shape and kernel_shape must be (N, H, W, C) and (kh, kw, O/g, I), or (N, W, C) and "
            f"(kw, O/g, I); got {shown(x)} and {shown(kernel)}"
        )
    for size in kernel[:axes]:
        as_int(size, "kernel_shape's window", minimum=1)
    steps, gaps = _each(strides, "strides", axes, 1), _each(dilations, "dilations", axes, 1)
    extras = _each(0 if output_padding is None else output_padding, "output_padding", axes, 0)
    if pads is not None and auto_pad != "NOTSET":
        raise ValueError(f"pads and auto_pad exclude each other; got auto_pad={auto_pad!r}")
    given = (0,) * (2 * axes) if pads is None else _each(pads, "pads", 2 * axes, 0)
    sizes: Sequence[int | None]
    sizes = [None] * axes if output_shape is None else _each(output_shape, "output_shape", axes, 0)
    padding, rest = [], []
    for axis in range(axes):
        extent = effective_kernel(kernel[axis], gaps[axis])
        full = (x[axis + 1] - 1) * steps[axis] + extent + extras[axis]
        stated = sizes[axis]
        if stated is None and auto_pad.startswith("SAME"):
            stated = min(full, x[axis + 1] * steps[axis])
        if stated is None:
            before, after = given[axis], given[axis + axes]
            size = full - before - after
        else:
            size = stated
            total = max(0, full - size)
            before, after = total // 2, total - total // 2
            if auto_pad != "SAME_UPPER":
                before, after = after, before
        more = size + before + after - (full - extras[axis])
        limit = max(steps[axis], gaps[axis], 1 + extras[axis]) - 1
        if not 0 <= more <= limit:
            raise ValueError(
                f"output_shape must be at most {limit} larger than the full output, {full - extras[axis]}, "
                f"along axis {axis + 1}; got {size}"
            )
        padding.append((before, after))
        rest.append(more)
    if axes == 1:
        return {"padding": padding[0], "output_padding": rest[0]}
    return {"padding": tuple(padding), "output_padding": tuple(rest)}


def _each(value: Any, name: str, count: int, minimum: int) -> tuple[int, ...]:
    """One number for all, or a number for each axis."""
    if isinstance(value, str | bytes) or not isinstance(value, Sequence | np.ndarray):
        return (as_int(value, name, minimum=minimum),) * count
    numbers = list(value)
    if len(numbers) != count:
        raise ValueError(f"{name} must be {count} numbers, one for each axis; got {shown(value)}")
    return tuple(as_int(number, name, minimum=minimum) for number in numbers)
