"""Pools over windows and over whole images."""

from __future__ import annotations

from typing import Any

from ..operation import Operation, operator
from ..tensors import Refused
from .windows import Folded, per_axis, planar, windowed_padding

__all__: list[str] = []


def _pooled(op: Operation, kind: str, **attributes: Any) -> str:
    """A pool of a channels-first input as a channels-last one."""
    x = op.required(0)
    kernel = op.integers("kernel_shape")
    axes = len(kernel)
    kernel = per_axis(op, "kernel_shape", axes)
    strides, dilations = per_axis(op, "strides", axes), per_axis(op, "dilations", axes)
    padding, ceil_mode = windowed_padding(op, axes), op.flag("ceil_mode")
    shape = op.shape(x)
    if shape is not None and len(shape) != axes + 2:
        raise Refused(f"its input has {len(shape)} axes, but its window wants {axes + 2}")
    alone = planar(op, x, axes, kernel, strides, dilations, padding)
    if alone is None:
        y = op.emit(
            kind, op.channels_last(x, axes + 2), kernel=kernel, strides=strides, padding=padding,
            dilations=dilations, ceil_mode=ceil_mode, **attributes,
        )  # fmt: skip
        return op.channels_first(y, axes + 2)
    keep = [axis for axis in range(3) if axis != alone]
    folded = Folded(op, x, alone)
    y = op.emit(
        kind, folded.x,
        kernel=tuple(kernel[axis] for axis in keep), strides=tuple(strides[axis] for axis in keep),
        padding=padding if isinstance(padding, str) else tuple(padding[axis] for axis in keep),
        dilations=tuple(dilations[axis] for axis in keep), ceil_mode=ceil_mode, **attributes,
    )  # fmt: skip
    return folded.unfolded(y)


@operator("MaxPool")
def _max_pool(op: Operation) -> tuple[str, ...]:
    if len(op.wanted) < 2 or not op.wanted[1]:
        op.ignore("storage_order")  # of the indices
        return (_pooled(op, "max_pool"),)
    x = op.required(0)
    axes = len(op.integers("kernel_shape"))
    if axes not in (1, 2):
        raise Refused("the indices of a 3-D MaxPool are not supported")
    y, indices = op.emit_many(
        "max_pool_indices", (op.channels_last(x, axes + 2),), 2,
        kernel=per_axis(op, "kernel_shape", axes), strides=per_axis(op, "strides", axes),
        padding=windowed_padding(op, axes), dilations=per_axis(op, "dilations", axes),
        ceil_mode=op.flag("ceil_mode"), channels_first_index=True,
        storage_order=op.integer("storage_order", 0),
    )  # fmt: skip
    return (op.channels_first(y, axes + 2) if y else "", op.channels_first(indices, axes + 2))


@operator("AveragePool")
def _average_pool(op: Operation) -> str:
    return _pooled(op, "avg_pool", count_include_pad=op.flag("count_include_pad"))


@operator("LpPool")
def _lp_pool(op: Operation) -> str:
    return _pooled(op, "lp_pool", p=op.integer("p", 2))


def _global_axes(op: Operation, x: str) -> str:
    rank = op.rank(x)
    if rank < 3:
        raise Refused(f"its input has {rank} axes; a global pool needs at least 3 (N, C, spatial...)")
    return op.axes(range(2, rank))


@operator("GlobalAveragePool", "GlobalMaxPool")
def _global_pool(op: Operation) -> str:
    x = op.required(0)
    kind = "reduce_mean" if op.name == "GlobalAveragePool" else "reduce_max"
    return op.emit(kind, x, _global_axes(op, x), keepdims=True, noop_with_empty_axes=False)


@operator("GlobalLpPool")
def _global_lp_pool(op: Operation) -> str:
    x, p = op.required(0), op.integer("p", 2)
    axes = _global_axes(op, x)
    if p in (1, 2):
        return op.emit(f"reduce_l{p}", x, axes, keepdims=True, noop_with_empty_axes=False)
    if p < 1:
        raise Refused(f"the attribute 'p' must be positive; it is {p}")
    powers = op.emit("pow", op.emit("abs", x), op.constant(p, op.dtype(x)))
    total = op.emit("reduce_sum", powers, axes, keepdims=True, noop_with_empty_axes=False)
    return op.emit("pow", total, op.constant(1 / p, op.dtype(x)))
