"""The same elements in another shape, shapes as values, filled arrays."""

from __future__ import annotations

import numpy as np

from ...onnx.tensors import Refused
from ..operation import Operation, operator
from ..tensors import end_dtype

__all__: list[str] = []


@operator("RESHAPE")
def _reshape(op: Operation) -> str:
    if op.input(1):
        return op.emit("reshape", op.required(0), op.wide(op.required(1)), allowzero=True)
    shape = op.option_integers("ReshapeOptions", "NewShape")
    if shape is None:
        raise Refused("its new shape is missing")
    if len(shape) > 16:
        raise Refused(f"its new shape has {len(shape)} axes")
    return op.emit("reshape", op.required(0), op.ints(shape), allowzero=True)


@operator("TRANSPOSE")
def _transpose(op: Operation) -> str:
    return op.transposed(op.required(0), op.integers(op.required(1), "perm"))


@operator("SQUEEZE")
def _squeeze(op: Operation) -> str:
    axes = op.option_integers("SqueezeOptions", "SqueezeDims")
    return op.emit("squeeze", op.required(0), op.ints(axes) if axes else "")


@operator("EXPAND_DIMS")
def _expand_dims(op: Operation) -> str:
    return op.emit("unsqueeze", op.required(0), op.ints((op.one_integer(op.required(1), "axis"),)))


@operator("SHAPE")
def _shape(op: Operation) -> str:
    y = op.emit("shape", op.required(0), start=0, end=None)
    return op.cast(y, end_dtype(op.file.tensors[op.entry.outputs[0]]))


@operator("RANK")
def _rank(op: Operation) -> str:
    return op.constant(len(op.sizes(op.required(0))), np.int32)


@operator("FILL")
def _fill(op: Operation) -> str:
    return op.emit("expand", op.reshaped(op.required(1), ()), op.wide(op.required(0)))


@operator("BROADCAST_TO")
def _broadcast_to(op: Operation) -> str:
    return op.emit("expand", op.required(0), op.wide(op.required(1)))


@operator("TILE")
def _tile(op: Operation) -> str:
    return op.emit("tile", op.required(0), op.wide(op.required(1)))


@operator("RANGE")
def _range(op: Operation) -> str:
    return op.emit("range", *(op.reshaped(op.required(place), ()) for place in range(3)))


@operator("DEPTH_TO_SPACE")
def _depth_to_space(op: Operation) -> str:
    (block,) = op.positive("DepthToSpaceOptions", "BlockSize")
    return op.emit("depth_to_space", op.required(0), block=block, mode="DCR")


@operator("SPACE_TO_DEPTH")
def _space_to_depth(op: Operation) -> str:
    (block,) = op.positive("SpaceToDepthOptions", "BlockSize")
    return op.emit("space_to_depth", op.required(0), block=block)


def _blocks(op: Operation, what: str) -> tuple[list[int], list[int], list[int], list[int]]:
    """Blocks, what is padded or cropped before and after, and the sizes behind the batch axis."""
    blocks = list(op.integers(op.required(1), "blocks"))
    pairs = op.integers(op.required(2), what)
    sizes = list(op.sizes(op.required(0))[1:])
    if not blocks or len(pairs) != 2 * len(blocks) or len(sizes) < len(blocks) or min(pairs) < 0:
        raise Refused(f"its blocks are {blocks} and its {what} {pairs} for {len(sizes) + 1} axes")
    if any(not 1 <= block < 1 << 16 for block in blocks):
        raise Refused(f"its blocks are {blocks}")
    if not all(isinstance(size, int) for size in sizes):
        raise Refused("the sizes behind its batch axis are not all known while loading")
    return blocks, list(pairs[::2]), list(pairs[1::2]), sizes


@operator("SPACE_TO_BATCH_ND")
def _space_to_batch(op: Operation) -> str:
    """(n, h * b, w * d, ...) as (b * d * n, h, w, ...): the place within a block is outermost."""
    blocks, before, after, sizes = _blocks(op, "paddings")
    x, many, rest = op.required(0), len(blocks), sizes[len(blocks) :]
    if any(before) or any(after):
        zeros = [0] * len(rest)
        x = op.emit("pad", x, op.ints([0, *before, *zeros, 0, *after, *zeros]), mode="constant")
    padded = [size + low + high for size, low, high in zip(sizes[:many], before, after, strict=True)]
    if any(size % block for size, block in zip(padded, blocks, strict=True)):
        raise Refused(f"sizes of {padded} do not divide by its blocks {blocks}")
    coarse = [size // block for size, block in zip(padded, blocks, strict=True)]
    split = [size for pair in zip(coarse, blocks, strict=True) for size in pair]
    x = op.reshaped(x, [-1, *split, *rest])
    inner, outer = range(2, 2 * many + 1, 2), range(1, 2 * many, 2)
    x = op.emit("transpose", x, perm=(*inner, 0, *outer, *range(2 * many + 1, 2 * many + 1 + len(rest))))
    return op.reshaped(x, [-1, *coarse, *rest])


@operator("BATCH_TO_SPACE_ND")
def _batch_to_space(op: Operation) -> str:
    blocks, before, after, sizes = _blocks(op, "crops")
    x, many, rest = op.required(0), len(blocks), sizes[len(blocks) :]
    x = op.reshaped(x, [*blocks, -1, *sizes])
    pairs = [axis for k in range(many) for axis in (many + 1 + k, k)]
    x = op.emit("transpose", x, perm=(many, *pairs, *range(2 * many + 1, 2 * many + 1 + len(rest))))
    fine = [size * block for size, block in zip(sizes[:many], blocks, strict=True)]
    x = op.reshaped(x, [-1, *fine, *rest])
    if not any(before) and not any(after):
        return x
    ends = [size - high for size, high in zip(fine, after, strict=True)]
    axes = list(range(1, many + 1))
    return op.emit("slice", x, op.ints(before), op.ints(ends), op.ints(axes), op.ints([1] * many))
