"""Conv, ConvTranspose, Gemm, MatMul, Einsum."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..operation import Operation, operator
from ..tensors import Refused
from .windows import Folded, per_axis, planar, windowed_padding

__all__ = ["convolution"]


def _weights(op: Operation, name: str, x: str) -> tuple[int, tuple[int, ...]]:
    """The number of spatial axes and the taps along each, from the weights' shape or `kernel_shape`."""
    shape = op.shape(name)
    taps: tuple[Any, ...] | None = None if shape is None else tuple(shape[2:])
    stated = op.integers("kernel_shape", ()) if op.has("kernel_shape") else None
    if taps is None:
        taps = stated if stated is not None else (None,) * (op.rank(x) - 2)
    if stated is not None:
        if len(stated) != len(taps) or any(
            isinstance(tap, int) and tap != wanted for tap, wanted in zip(taps, stated, strict=True)
        ):
            raise Refused(f"the attribute 'kernel_shape' is {stated}, but the weights have the shape {shape}")
        taps = stated
    if not taps:
        raise Refused(f"the weights have the shape {shape}; a convolution has at least one spatial axis")
    known = tuple(tap for tap in taps if isinstance(tap, int))
    if len(known) < len(taps):
        if len(taps) == 3:
            raise Refused("3-D convolutions need a window that is known while loading")
        return len(taps), ()
    return len(taps), known


def convolution(
    op: Operation,
    kind: str,
    x: str,
    w: str,
    rest: tuple[str, ...],
    between: tuple[str, ...] = (),
    **attributes: Any,
) -> str:
    """A convolution of a channels-first x with (M, C/g, taps...) weights, as a channels-last one.

    The node takes x, the inputs `between`, the kernel, and the `rest`.
    """
    axes, taps = _weights(op, w, x)
    strides, dilations = per_axis(op, "strides", axes), per_axis(op, "dilations", axes)
    padding = windowed_padding(op, axes)
    groups = op.integer("group", 1)
    if groups < 1:
        raise Refused(f"the attribute 'group' must be positive; it is {groups}")
    shape = op.shape(x)
    if shape is not None and len(shape) != axes + 2:
        raise Refused(f"its input has {len(shape)} axes, but the weights want {axes + 2}")
    alone = planar(op, x, axes, taps, strides, dilations, padding)
    kernel_perm = (*range(2, axes + 2), 1, 0)
    if alone is None:
        kernel = op.transposed(w, kernel_perm)
        y = op.emit(
            kind, op.channels_last(x, axes + 2), *between, kernel, *rest,
            strides=strides, padding=padding, dilations=dilations, groups=groups, **attributes,
        )  # fmt: skip
        return op.channels_first(y, axes + 2)
    keep = [axis for axis in range(3) if axis != alone]
    flat = _without_axis(op, w, 2 + alone)
    folded = Folded(op, x, alone)
    y = op.emit(
        kind, folded.x, *between, op.transposed(flat, (2, 3, 1, 0)), *rest,
        strides=tuple(strides[axis] for axis in keep),
        padding=padding if isinstance(padding, str) else tuple(padding[axis] for axis in keep),
        dilations=tuple(dilations[axis] for axis in keep), groups=groups, **attributes,
    )  # fmt: skip
    return folded.unfolded(y)


def _without_axis(op: Operation, name: str, axis: int) -> str:
    array = op.held(name)
    if array is None:
        return op.emit("squeeze", name, op.axes([axis]))
    before = op.builder.derived_before(name, "squeezed", axis)
    return before or op.builder.derived(array.squeeze(axis), name, "squeezed", axis)


@operator("Conv")
def _conv(op: Operation) -> str:
    return convolution(op, "conv", op.required(0), op.required(1), (op.input(2),), activation=None)


@operator("ConvTranspose")
def _conv_transpose(op: Operation) -> str:
    x, w, bias = op.required(0), op.required(1), op.input(2)
    axes, taps = _weights(op, w, x)
    strides, dilations = per_axis(op, "strides", axes), per_axis(op, "dilations", axes)
    padding = windowed_padding(op, axes)
    extra: Any = op.integers("output_padding", (0,) * axes) or (0,) * axes
    if len(extra) != axes or min(extra) < 0:
        raise Refused(f"the attribute 'output_padding' must be {axes} sizes; it is {extra}")
    wanted: Any = op.integers("output_shape", ()) or None
    if wanted is not None:
        if len(wanted) == axes + 2:
            wanted = wanted[2:]
        if len(wanted) != axes or min(wanted) < 1:
            raise Refused(f"the attribute 'output_shape' must be {axes} sizes; it is {wanted}")
    alone = planar(op, x, axes, taps, strides, dilations, padding)
    if alone is not None and (wanted is not None or extra[alone]):
        raise Refused("3-D transposed convolutions with output_shape or output_padding are not supported")
    groups = op.integer("group", 1)
    attributes: dict[str, Any] = {"groups": groups, "activation": None}
    if groups < 1:
        raise Refused(f"the attribute 'group' must be positive; it is {groups}")
    if alone is None:
        y = op.emit(
            "conv_transpose", op.channels_last(x, axes + 2),
            op.transposed(w, (*range(2, axes + 2), 1, 0)), bias,
            strides=strides, padding=padding, output_shape=wanted, output_padding=extra, dilations=dilations,
            **attributes,
        )  # fmt: skip
        return op.channels_first(y, axes + 2)
    keep = [axis for axis in range(3) if axis != alone]
    folded = Folded(op, x, alone)
    y = op.emit(
        "conv_transpose", folded.x, op.transposed(_without_axis(op, w, 2 + alone), (2, 3, 1, 0)), bias,
        strides=tuple(strides[axis] for axis in keep),
        padding=padding if isinstance(padding, str) else tuple(padding[axis] for axis in keep),
        output_shape=None, output_padding=tuple(extra[axis] for axis in keep),
        dilations=tuple(dilations[axis] for axis in keep), **attributes,
    )  # fmt: skip
    return folded.unfolded(y)


# ---- products ----


def scaled(op: Operation, name: str, factor: float) -> str:
    """`name` times a number of its own dtype."""
    if factor == 1:
        return name
    return op.emit("mul", name, op.constant(factor, op.dtype(name)))


def product(op: Operation, a: str, b: str) -> str:
    """a @ b; a `dense` node where b is a constant matrix of floats."""
    held = op.held(b)
    if held is not None and held.ndim == 2 and held.dtype.kind == "f" and (op.fact(a).rank or 0) >= 2:
        return op.emit("dense", a, b, activation=None)
    return op.emit("matmul", a, b)


@operator("MatMul")
def _matmul(op: Operation) -> str:
    return product(op, op.required(0), op.required(1))


@operator("Gemm")
def gemm(op: Operation) -> str:
    a, b, c = op.required(0), op.required(1), op.input(2)
    alpha, beta = op.real("alpha", 1.0), op.real("beta", 1.0)
    op.ignore("broadcast")  # of version 6: where it is 0, the shapes agree without
    if op.flag("transA"):
        a = op.transposed(a, (1, 0))
    for name in (a, b):
        rank = op.fact(name).rank
        if rank is not None and rank != 2:
            raise Refused(f"its inputs must have 2 axes; {name!r} has {rank}")
    weights, offset = op.held(b), op.held(c) if c else None
    flip = op.flag("transB")
    floats = weights is not None and weights.dtype.kind == "f"
    if weights is not None and floats and weights.ndim == 2 and (not c or offset is not None):
        if flip:
            b = op.transposed(b, (1, 0))
        if alpha != 1:
            held = op.builder.constants[b]
            b = op.builder.derived(held * np.asarray(alpha, held.dtype), b, "scaled", alpha)
        units = op.builder.constants[b].shape[1]
        fits = offset is not None and offset.shape in ((units,), (1, units), (1,), ())
        if offset is not None and fits and offset.dtype == weights.dtype:
            row = np.broadcast_to(offset.reshape(-1) * np.asarray(beta, offset.dtype), (units,))
            before = op.builder.derived_before(c, "bias", units, beta)
            return op.emit(
                "dense", a, b, before or op.builder.derived(row, c, "bias", units, beta), activation=None
            )
        y = op.emit("dense", a, b, activation=None)
    else:
        y = scaled(op, op.emit("matmul", a, op.transposed(b, (1, 0)) if flip else b), alpha)
    return op.emit("add", y, scaled(op, c, beta)) if c else y


@operator("Einsum")
def _einsum(op: Operation) -> str:
    return op.emit("einsum", *op.inputs, equation=op.text("equation").replace(" ", ""))
