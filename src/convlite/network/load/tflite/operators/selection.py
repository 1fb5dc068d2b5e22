"""Parts of arrays, arrays put together, padding."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...onnx.tensors import Refused
from ..operation import Operation, operator

__all__: list[str] = []

_END = np.iinfo(np.int64).max


@operator("CONCATENATION")
def _concatenation(op: Operation) -> str:
    names = [op.required(place) for place in range(len(op.inputs))]
    y = op.emit("concat", *names, axis=op.integer("ConcatenationOptions", "Axis"))
    return op.activated(y, "ConcatenationOptions")


@operator("PACK")
def _pack(op: Operation) -> str:
    axis = op.integer("PackOptions", "Axis")
    parts = [op.emit("unsqueeze", op.required(place), op.ints((axis,))) for place in range(len(op.inputs))]
    return op.emit("concat", *parts, axis=axis)


@operator("UNPACK")
def _unpack(op: Operation) -> tuple[str, ...]:
    axis = op.integer("UnpackOptions", "Axis")
    parts = op.emit_many("split", (op.required(0),), op.count, axis=axis, num_outputs=op.count)
    return tuple(op.emit("squeeze", part, op.ints((axis,))) for part in parts)


@operator("SPLIT")
def _split(op: Operation) -> tuple[str, ...]:
    axis, x = op.one_integer(op.required(0), "axis"), op.required(1)
    _whole(op, x, axis)
    return op.emit_many("split", (x,), op.count, axis=axis, num_outputs=op.count)


def _whole(op: Operation, x: str, axis: int) -> None:
    """The vocabulary makes a smaller last part; here all must be equal."""
    shape = op.sizes(x)
    if -len(shape) <= axis < len(shape):
        size = shape[axis]
        if isinstance(size, int) and size % op.count:
            raise Refused(f"{size} do not split into {op.count} equal parts")


@operator("SPLIT_V")
def _split_v(op: Operation) -> tuple[str, ...]:
    x, sizes = op.required(0), list(op.integers(op.required(1), "sizes"))
    axis, shape = op.one_integer(op.required(2), "axis"), op.sizes(x)
    if sizes.count(-1) == 1 and -len(shape) <= axis < len(shape):
        whole = shape[axis]
        if not isinstance(whole, int):
            raise Refused("the size of the axis that it splits is not known while loading")
        sizes[sizes.index(-1)] = whole - sum(sizes) - 1
    if len(sizes) != op.count or min(sizes) < 0:
        raise Refused(f"its sizes are {sizes} for {op.count} outputs")
    return op.emit_many("split", (x, op.ints(sizes)), op.count, axis=axis, num_outputs=op.count)


def _sliced(
    op: Operation,
    x: str,
    starts: Sequence[int],
    ends: Sequence[int],
    axes: Sequence[int],
    steps: Sequence[int],
) -> str:
    if not axes:
        return x
    return op.emit("slice", x, op.ints(starts), op.ints(ends), op.ints(axes), op.ints(steps))


@operator("SLICE")
def _slice(op: Operation) -> str:
    x, begin, size = op.required(0), op.integers(op.required(1), "begin"), op.required(2)
    sizes, rank = op.integers(size, "size"), len(op.sizes(op.required(0)))
    if len(begin) != rank or len(sizes) != rank or min((*begin, 0)) < 0 or min((*sizes, 0)) < -1:
        raise Refused(f"it takes {sizes} from {begin} of an array of {rank} axes")
    for first, many, whole in zip(begin, sizes, op.sizes(x), strict=True):
        if isinstance(whole, int) and first + max(many, 0) > whole:
            raise Refused(f"it takes {many} from {first} on of an axis of {whole}")
    ends = [_END if many == -1 else first + many for first, many in zip(begin, sizes, strict=True)]
    axes = [axis for axis in range(rank) if begin[axis] or ends[axis] != _END]
    return _sliced(op, x, [begin[a] for a in axes], [ends[a] for a in axes], axes, [1] * len(axes))


@operator("STRIDED_SLICE")
def _strided_slice(op: Operation) -> str:
    table, x = "StridedSliceOptions", op.required(0)
    begin, end, steps = (
        list(op.integers(op.required(1 + place), what))
        for place, what in enumerate(("begin", "end", "strides"))
    )
    if not len(begin) == len(end) == len(steps):
        raise Refused(f"it has {len(begin)} begins, {len(end)} ends and {len(steps)} strides")
    if 0 in steps:
        raise Refused("one of its strides is 0")
    if op.flag(table, "Offset"):
        end = [first + last for first, last in zip(begin, end, strict=True)]
    first_masked, last_masked, ellipsis, added, removed = (
        op.integer(table, name)
        for name in ("BeginMask", "EndMask", "EllipsisMask", "NewAxisMask", "ShrinkAxisMask")
    )
    if bin(ellipsis).count("1") > 1:
        raise Refused("it has more than one ellipsis")
    rank, used = len(op.sizes(x)), sum(not (ellipsis | added) >> place & 1 for place in range(len(begin)))
    axis = result = 0  # of x, and of what comes out before axes are removed
    slices: list[tuple[int, int, int, int]] = []
    new_axes: list[int] = []
    squeezed: list[int] = []
    for place in range(len(begin)):
        bit = 1 << place
        if ellipsis & bit:
            axis, result = axis + rank - used, result + rank - used
            continue
        if added & bit:
            new_axes.append(result)
            result += 1
            continue
        step = steps[place]
        start = begin[place] if not first_masked & bit else (0 if step > 0 else _END)
        stop = end[place] if not last_masked & bit else (_END if step > 0 else -_END)
        if removed & bit:
            start, step = (0 if first_masked & bit else begin[place]), 1
            stop = start + 1 if start != -1 else _END
            squeezed.append(result)
        if (start, stop, step) != (0, _END, 1):
            slices.append((start, stop, axis, step))
        axis, result = axis + 1, result + 1
    if axis > rank or used > rank:
        raise Refused(f"it takes {used} axes of an array that has {rank}")
    y = _sliced(op, x, *([entry[k] for entry in slices] for k in range(4)))
    if new_axes:
        y = op.emit("unsqueeze", y, op.ints(new_axes))
    return op.emit("squeeze", y, op.ints(squeezed)) if squeezed else y


@operator("REVERSE_V2")
def _reverse(op: Operation) -> str:
    axes = op.integers(op.required(1), "axes")
    many = len(axes)
    return _sliced(op, op.required(0), [-1] * many, [-_END] * many, axes, [-1] * many)


@operator("GATHER")
def _gather(op: Operation) -> str:
    if op.integer("GatherOptions", "BatchDims"):
        raise Refused("its batch_dims is not 0, which is not supported")
    return op.emit(
        "gather", op.required(0), op.wide(op.required(1)), axis=op.integer("GatherOptions", "Axis")
    )


@operator("EMBEDDING_LOOKUP")
def _embedding(op: Operation) -> str:
    return op.emit("gather", op.required(1), op.wide(op.required(0)), axis=0)


@operator("GATHER_ND")
def _gather_nd(op: Operation) -> str:
    return op.emit("gather_nd", op.required(0), op.wide(op.required(1)), batch_dims=0)


def _pads(op: Operation, name: str) -> str:
    """((before, after) a axis) as all befores, then all afters."""
    values = op.integers(name, "paddings")
    if len(values) != 2 * len(op.sizes(op.required(0))) or min((*values, 0)) < 0:
        raise Refused(f"its paddings are {values} for {len(op.sizes(op.required(0)))} axes")
    return op.ints((*values[::2], *values[1::2]))


@operator("PAD", "PADV2")
def _pad(op: Operation) -> str:
    value = op.required(2) if op.name == "PADV2" else ""
    if value:
        value = op.reshaped(value, ())
    return op.emit("pad", op.required(0), _pads(op, op.required(1)), value, mode="constant")


@operator("MIRROR_PAD")
def _mirror_pad(op: Operation) -> str:
    mode = op.integer("MirrorPadOptions", "Mode")
    if mode not in (0, 1):
        raise Refused(f"its mode is number {mode}; there are 0 (reflect) and 1 (symmetric)")
    return op.emit("pad", op.required(0), _pads(op, op.required(1)), mode=("reflect", "symmetric")[mode])
