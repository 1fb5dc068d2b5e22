"""Reductions, positions of extremes, running sums."""

from __future__ import annotations

import numpy as np

from ...onnx.tensors import Refused
from ..operation import Operation, operator
from ..tensors import end_dtype

__all__: list[str] = []

_REDUCTIONS = {
    "MEAN": "reduce_mean", "SUM": "reduce_sum", "REDUCE_MAX": "reduce_max", "REDUCE_MIN": "reduce_min",
    "REDUCE_PROD": "reduce_prod", "REDUCE_ANY": "reduce_max", "REDUCE_ALL": "reduce_min",
}  # fmt: skip


@operator(*_REDUCTIONS)
def _reduce(op: Operation) -> str:
    x = op.required(0)
    axes = op.ints(op.integers(op.required(1), "axes"))
    logical = op.name in ("REDUCE_ANY", "REDUCE_ALL")
    y = op.emit(
        _REDUCTIONS[op.name], op.cast(x, np.int32) if logical else x, axes,
        keepdims=op.flag("ReducerOptions", "KeepDims"), noop_with_empty_axes=True,
    )  # fmt: skip
    return op.cast(y, np.bool_) if logical else y


@operator("ARG_MAX", "ARG_MIN")
def _arg(op: Operation) -> str:
    axis = op.one_integer(op.required(1), "axis")
    y = op.emit(op.name.lower(), op.required(0), axis=axis, keepdims=False, select_last_index=False)
    return op.cast(y, end_dtype(op.file.tensors[op.entry.outputs[0]]))


@operator("TOPK_V2")
def _top_k(op: Operation) -> tuple[str, ...]:
    k = op.reshaped(op.wide(op.required(1)), (1,))
    values, indices = op.emit_many("top_k", (op.required(0), k), 2, axis=-1, largest=True, sorted=True)
    return values, op.cast(indices, np.int32)


@operator("CUMSUM")
def _cumsum(op: Operation) -> str:
    axis = op.constant(op.one_integer(op.required(1), "axis"), np.int64)
    exclusive, reverse = (op.flag("CumsumOptions", name) for name in ("Exclusive", "Reverse"))
    return op.emit("cumsum", op.required(0), axis, exclusive=exclusive, reverse=reverse)


@operator("ONE_HOT")
def _one_hot(op: Operation) -> str:
    indices, depth, on, off = (op.required(place) for place in range(4))
    values = op.emit("concat", op.reshaped(off, (1,)), op.reshaped(on, (1,)), axis=0)
    size = op.one_integer(depth, "depth")
    if not 0 <= size < 1 << 24:
        raise Refused(f"its depth is {size}")
    axis = op.integer("OneHotOptions", "Axis", -1)
    # Indices below 0 count from the end in the vocabulary; here they match nothing.
    wide = op.wide(indices)
    inside = op.emit(
        "where", op.emit("less", wide, op.constant(0, np.int64)), op.constant(size, np.int64), wide
    )
    return op.emit("one_hot", inside, op.constant(size, np.int64), values, axis=axis)
