"""Concat, Split, Slice, Pad, the gathers and scatters, NonMaxSuppression."""

from __future__ import annotations

from ..operation import Operation, operator
from ..tensors import Refused

__all__: list[str] = []


@operator("Concat")
def _concat(op: Operation) -> str:
    inputs = [op.required(place) for place in range(len(op.inputs))]
    if not inputs:
        raise Refused("it has no inputs")
    axis = op.integer("axis")
    return inputs[0] if len(inputs) == 1 else op.emit("concat", *inputs, axis=axis)


@operator("Split")
def _split(op: Operation) -> tuple[str, ...]:
    count = len(op.wanted)
    old = op.axes(op.integers("split")) if op.version < 13 and op.has("split") else ""
    sizes = op.input(1) if op.version >= 13 else old
    stated = op.integer("num_outputs", count) if op.version >= 18 else count
    if stated != count:
        raise Refused(f"the attribute 'num_outputs' is {stated}, but it has {count} outputs")
    known = op.known(sizes) if sizes else None
    if known is not None and known.size != count:
        raise Refused(f"{known.size} sizes for {count} outputs")
    return op.emit_many(
        "split", (op.required(0), sizes), count, axis=op.integer("axis", 0), num_outputs=count
    )


@operator("Slice")
def _slice(op: Operation) -> str:
    if op.version >= 10:
        return op.emit("slice", op.required(0), op.required(1), op.required(2), op.input(3), op.input(4))
    starts, ends = op.integers("starts"), op.integers("ends")
    axes = op.integers("axes", range(len(starts)))
    return op.emit("slice", op.required(0), op.axes(starts), op.axes(ends), op.axes(axes))


_MODES = {"constant": "constant", "reflect": "reflect", "edge": "edge", "wrap": "wrap"}


@operator("Pad")
def _pad(op: Operation) -> str:
    x = op.required(0)
    mode = _MODES[op.text("mode", "constant", tuple(_MODES))]
    if op.version >= 11:
        return op.emit("pad", x, op.required(1), op.input(2), op.input(3), mode=mode)
    pads = op.axes(op.integers("pads" if op.has("pads") else "paddings"))
    return op.emit("pad", x, pads, op.constant(op.real("value", 0.0), op.dtype(x)), mode=mode)


@operator("Gather")
def _gather(op: Operation) -> str:
    return op.emit("gather", op.required(0), op.required(1), axis=op.integer("axis", 0))


@operator("GatherElements")
def _gather_elements(op: Operation) -> str:
    return op.emit("gather_elements", op.required(0), op.required(1), axis=op.integer("axis", 0))


@operator("GatherND")
def _gather_nd(op: Operation) -> str:
    return op.emit("gather_nd", op.required(0), op.required(1), batch_dims=op.integer("batch_dims", 0))


_SCATTERED = ("none", "add", "mul", "max", "min")


@operator("ScatterElements", "Scatter")
def _scatter_elements(op: Operation) -> str:
    return op.emit(
        "scatter_elements", op.required(0), op.required(1), op.required(2), axis=op.integer("axis", 0),
        reduction=op.text("reduction", "none", _SCATTERED),
    )  # fmt: skip


@operator("ScatterND")
def _scatter_nd(op: Operation) -> str:
    return op.emit(
        "scatter_nd", op.required(0), op.required(1), op.required(2),
        reduction=op.text("reduction", "none", _SCATTERED),
    )  # fmt: skip


@operator("OneHot")
def _one_hot(op: Operation) -> str:
    return op.emit("one_hot", op.required(0), op.required(1), op.required(2), axis=op.integer("axis", -1))


@operator("Trilu")
def _trilu(op: Operation) -> str:
    return op.emit("trilu", op.required(0), op.input(1), upper=op.flag("upper", True))


@operator("ReverseSequence")
def _reverse_sequence(op: Operation) -> str:
    return op.emit(
        "reverse_sequence", op.required(0), op.required(1), batch_axis=op.integer("batch_axis", 1),
        time_axis=op.integer("time_axis", 0),
    )  # fmt: skip


@operator("Compress")
def _compress(op: Operation) -> str:
    axis = op.integer("axis") if op.has("axis") else None
    return op.emit("compress", op.required(0), op.required(1), axis=axis)


@operator("NonMaxSuppression")
def _non_max_suppression(op: Operation) -> str:
    return op.emit(
        "non_max_suppression", op.required(0), op.required(1), op.input(2), op.input(3), op.input(4),
        center_point_box=op.flag("center_point_box"),
    )  # fmt: skip
