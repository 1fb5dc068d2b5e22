"""The resolved options of a call, and the same call in TensorFlow, Keras 3, PyTorch and ONNX.

convlite imports this module at once, since a later import would replace the function of the same name by the
module. The larger part, the frameworks' code, is imported at the first call.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

import numpy as np

from . import _dispatch
from ._options import public
from ._types import Pads
from ._types import Sizes as Steps
from .arguments import as_int, as_padding, as_padding_1d, as_pair, as_single, as_size, is_one_of, shown
from .geometry import Geometry, geometry_of
from .geometry import Operation as Operations
from .plan import Weights, plan_for

if TYPE_CHECKING:
    from ._equivalents import Call

Operation = Literal[Operations, "conv1d", "conv1d_transpose"]
Sizes = tuple[int, ...]


@public
def explain(
    operation: Operation,
    x_shape: Sequence[int],
    kernel_shape: Sequence[int],
    *,
    strides: Steps = 1,
    padding: Pads = "valid",
    dilations: Steps = 1,
    groups: int = 1,
    output_shape: Steps | None = None,
    output_padding: Steps | None = None,
) -> None:
    """Print a call's output shape, padding, cost, the form that computes it, and its equivalents.

    The equivalents are the same call in TensorFlow, Keras, PyTorch and ONNX, where x and kernel are the
    operands here: NumPy arrays for TensorFlow, Keras and ONNX, tensors for PyTorch. The form is that of
    float32 arrays with the instruction set in use (docs/fast.md names all); results do not show it.

    operation, x_shape, kernel_shape, strides, padding, dilations, groups, output_shape,
    output_padding -> : shared, shapes

    Examples
    --------
    >>> import convlite as cl
    >>> cl.explain("dense", (8, 3), (3, 5))
    dense: x (8, 3), kernel (3, 5) -> (8, 5)
      multiply-adds 120
      form few rows
    <BLANKLINE>
    TensorFlow
        y = tf.matmul(x, kernel)
    <BLANKLINE>
    Keras 3
        y = keras.ops.matmul(x, kernel)
      - as a layer: Dense(5), on inputs of rank 2 or more
    <BLANKLINE>
    PyTorch
        y = F.linear(x, kernel.T)
      - the weight is (outputs, inputs): the transpose of kernel
    <BLANKLINE>
    ONNX
        X, W = x, kernel
        node = onnx.helper.make_node("MatMul", ["X", "W"], ["Y"])
        # y = Y
      - Gemm takes inputs of rank 2 only; with transB=1 its weight is PyTorch's
    """
    print(
        describe(
            operation,
            x_shape,
            kernel_shape,
            strides=strides,
            padding=padding,
            dilations=dilations,
            groups=groups,
            output_shape=output_shape,
            output_padding=output_padding,
        )
    )


def describe(
    operation: Operation, x_shape: Sequence[int], kernel_shape: Sequence[int], **options: Any
) -> str:
    r"""The text that `explain` prints.

    >>> text = describe("conv2d", (1, 8, 8, 3), (3, 3, 3, 4), strides=2, padding="same")
    >>> print(*text.splitlines()[:4], sep="\n")
    conv2d: x (1, 8, 8, 3), kernel (3, 3, 3, 4) -> (1, 4, 4, 4)
      strides [2, 2], dilations [1, 1], groups 1
      padding "same": top 0, bottom 1, left 0, right 1
      multiply-adds 1,728 (taps outside x included)
    """
    from ._equivalents import equivalents

    call = resolve(operation, x_shape, kernel_shape, **options)
    lines = [f"{call.operation}: x {call.x}, kernel {call.kernel} -> {call.out}"]
    if call.axes:
        sides = ("top", "bottom", "left", "right")[4 - 2 * call.axes :]
        pads = ", ".join(
            f"{side} {n}" for side, n in zip(sides, [n for p in call.pads for n in p], strict=True)
        )
        mode = call.mode if call.mode == "explicit" else f'"{call.mode}"'
        crop = " (cropped from the full output)" if call.transposed and call.padded else ""
        lines.append(
            f"  strides {list(call.strides)}, dilations {list(call.dilations)}, groups {call.groups}"
        )
        lines.append(f"  padding {mode}: {pads}{crop}")
    note = " (taps outside x included)" if call.padded or call.transposed else ""
    lines.append(f"  multiply-adds {call.multiply_adds:,}{note}")
    if call.form:
        lines.append(f"  form {call.form}")
    if 0 in call.out:
        lines.append("  the output is empty: Keras and PyTorch raise errors or give other shapes here")
    for one in equivalents(call):
        lines += ["", one.framework]
        lines += [f"    {line}" for line in one.code]
        lines += [f"  - {note}" for note in one.notes]
    return "\n".join(lines)


def resolve(
    operation: Operation,
    x_shape: Sequence[int],
    kernel_shape: Sequence[int],
    *,
    strides: Steps = 1,
    padding: Pads = "valid",
    dilations: Steps = 1,
    groups: int = 1,
    output_shape: Steps | None = None,
    output_padding: Steps | None = None,
) -> Call:
    """The call with its padding and sizes; raises the same errors as the operation.

    >>> resolve("conv2d", (1, 224, 224, 3), (7, 7, 3, 64), strides=2, padding="same").pads
    ((2, 3), (2, 3))
    """
    from ._equivalents import Call

    if not is_one_of(operation, get_args(Operation)):
        hint = "" if isinstance(operation, str) else '; write explain("conv2d", x.shape, kernel.shape)'
        raise ValueError(
            f"operation must be one of {', '.join(get_args(Operation))}; got {shown(operation)}{hint}"
        )
    if not operation.endswith("transpose") and (output_shape is not None or output_padding is not None):
        raise ValueError(
            f"output_shape and output_padding belong to the transposed operations; got {operation}"
        )
    if operation == "dense":
        given = ((strides, 1), (padding, "valid"), (dilations, 1), (groups, 1))
        if any(type(value) is not type(default) or value != default for value, default in given):
            raise ValueError(
                "strides, padding, dilations and groups have no meaning for dense; leave them out"
            )
        return _resolve_dense(_sizes(x_shape, "x_shape", None), _sizes(kernel_shape, "kernel_shape", 2))
    groups = as_size(groups, "groups")
    axes = 1 if "1d" in operation else 2
    x, kernel = _sizes(x_shape, "x_shape", axes + 2), _sizes(kernel_shape, "kernel_shape", axes + 2)
    if axes == 1:
        steps, gaps = (1, as_single(strides, "strides")), (1, as_single(dilations, "dilations"))
        pad = as_padding_1d(padding)
        extra = (
            None if output_padding is None else (0, as_single(output_padding, "output_padding", minimum=0))
        )
    else:
        steps, gaps = as_pair(strides, "strides"), as_pair(dilations, "dilations")
        pad = as_padding(padding)
        extra = None if output_padding is None else as_pair(output_padding, "output_padding", minimum=0)
    inner_kernel = (*(1,) * (2 - axes), *kernel)
    geometry = geometry_of(
        cast(Any, operation.replace("1d", "2d")),
        (x[0], *(1,) * (2 - axes), *x[1:]),
        inner_kernel,
        steps,
        pad,
        gaps,
        groups,
        _output_shape(output_shape, axes),
        extra,
        axes,
    )
    n, *sizes, channels = geometry.out_shape
    return Call(
        operation,
        x,
        kernel,
        (n, *sizes[-axes:], channels),
        steps[-axes:],
        gaps[-axes:],
        (geometry.rows.pads, geometry.columns.pads)[-axes:],
        pad if isinstance(pad, str) else "explicit",
        geometry.groups,
        geometry.multiply_adds,
        _form(
            geometry, Weights(operation.replace("1d", "2d"), inner_kernel, steps, gaps, groups, packed=False)
        ),
    )


def _form(geometry: Geometry, weights: Weights) -> str:
    """The form that computes a call in float32 here, and the form under "fast" if it is another one."""
    if 0 in geometry.out_shape:
        return ""
    isa, dtype = _dispatch.active_isa(), np.dtype(np.float32)
    exact, fast = (str(plan_for(geometry, weights, dtype, isa, fast)) for fast in (False, True))
    return exact if fast == exact else f'{exact}; with precision="fast" {fast}'


def _resolve_dense(x: Sizes, kernel: Sizes) -> Call:
    from ._equivalents import Call

    if x[-1] != kernel[0]:
        raise ValueError(f"kernel has {kernel[0]} inputs but x has {x[-1]} (kernel is (K, M), got {kernel})")
    out = (*x[:-1], kernel[1])
    plain: Any = ((1, 1), "valid", (1, 1), 1, None, None)
    geometry = geometry_of("dense", (1, 1, prod(x[:-1]), x[-1]), kernel, *plain)
    form = _form(geometry, Weights("dense", kernel, packed=False))
    return Call("dense", x, kernel, out, (), (), (), "valid", 1, prod(x) * kernel[1], form)


def _sizes(value: object, name: str, count: int | None) -> Sizes:
    try:
        items = tuple(as_int(v, name) for v in cast(Any, value))
    except TypeError as error:
        given = name.removesuffix("_shape")
        hint = f": write {given}.shape" if getattr(value, "shape", ()) != () else ""
        raise TypeError(f"{name} must be a sequence of integers; got {shown(value)}{hint}") from error
    if len(items) != count and (count is not None or not items):
        raise ValueError(f"{name} must be {count or 'one or more'} sizes; got {shown(value)}")
    return items


def _output_shape(value: object, axes: int) -> Sizes | None:
    if value is None:
        return None
    items = (
        (as_int(value, "output_shape"),)
        if axes == 1 and isinstance(value, int)
        else _sizes(value, "output_shape", None)
    )
    if len(items) not in (axes, axes + 2):
        raise ValueError(f"output_shape must be {axes} or {axes + 2} sizes; got {shown(value)}")
    ones = (1,) * (2 - axes)
    return (*ones, *items) if len(items) == axes else (items[0], *ones, *items[1:])
