"""Reductions, and what looks for the largest, the first, the different."""

from __future__ import annotations

import re

from ..operation import Operation, operator

__all__: list[str] = []

_REDUCTIONS = [
    "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin",
    "ReduceProd", "ReduceSum", "ReduceSumSquare",
]  # fmt: skip


@operator(*_REDUCTIONS)
def _reduce(op: Operation) -> str:
    x = op.required(0)
    by_input = op.version >= (13 if op.name == "ReduceSum" else 18)
    old = op.axes(op.integers("axes")) if not by_input and op.has("axes") else ""
    axes = op.input(1) if by_input else old
    kind = re.sub("(?<=[a-z])(?=[A-Z])", "_", op.name).lower()
    noop = op.flag("noop_with_empty_axes") if by_input else False
    return op.emit(kind, x, axes, keepdims=op.flag("keepdims", True), noop_with_empty_axes=noop)


@operator("ArgMax", "ArgMin")
def _arg(op: Operation) -> str:
    return op.emit(
        "arg_max" if op.name == "ArgMax" else "arg_min", op.required(0), axis=op.integer("axis", 0),
        keepdims=op.flag("keepdims", True), select_last_index=op.flag("select_last_index"),
    )  # fmt: skip


@operator("TopK")
def _top_k(op: Operation) -> tuple[str, ...]:
    count = op.required(1) if op.version >= 10 else op.axes([op.integer("k")])
    return op.emit_many(
        "top_k", (op.required(0), count), 2, axis=op.integer("axis", -1), largest=op.flag("largest", True),
        sorted=op.flag("sorted", True),
    )  # fmt: skip


@operator("CumSum")
def _cumsum(op: Operation) -> str:
    return op.emit(
        "cumsum", op.required(0), op.required(1), exclusive=op.flag("exclusive"), reverse=op.flag("reverse")
    )


@operator("NonZero")
def _nonzero(op: Operation) -> str:
    return op.emit("nonzero", op.required(0))


@operator("Unique")
def _unique(op: Operation) -> tuple[str, ...]:
    return op.emit_many(
        "unique", (op.required(0),), 4, axis=op.integer("axis") if op.has("axis") else None,
        sorted=op.flag("sorted", True),
    )  # fmt: skip
