"""Shapes as values, constants, and the same elements in another shape."""

from __future__ import annotations

import numpy as np

from ..operation import Operation, operator
from ..tensors import Refused

__all__: list[str] = []


@operator("Constant")
def _constant(op: Operation) -> str:
    forms = ["value", "sparse_value", "value_float", "value_floats", "value_int", "value_ints"]
    for name in ("value_string", "value_strings"):
        if op.has(name):
            raise Refused("strings are not supported; feed what follows from them as a tensor")
    present = [name for name in forms if op.has(name)]
    if len(present) != 1:
        raise Refused(
            f"it needs exactly one of the attributes {', '.join(forms)}; it has {present or 'none'}"
        )
    (form,) = present
    if form == "value":
        array = op.tensor("value")
        assert array is not None
    elif form == "sparse_value":
        array = op.scope.store.dense(op.attribute("sparse_value", 11).sparse_tensor)
    elif form == "value_float":
        array = np.array(op.real(form), np.float32)
    elif form == "value_floats":
        array = np.array(op.reals(form), np.float32)
    elif form == "value_int":
        array = np.array(op.integer(form), np.int64)
    else:
        array = np.array(op.integers(form), np.int64)
    array.flags.writeable = False
    name = op.scope.own_name(str(op.proto.output[0]))
    if not name or name in op.builder.constants:
        raise Refused(f"its output {name!r} is no new name")
    op.builder.constants[name] = array
    return name


@operator("Shape")
def _shape(op: Operation) -> str:
    end = op.integer("end") if op.has("end") else None
    return op.emit("shape", op.required(0), start=op.integer("start", 0), end=end)


@operator("Size")
def _size(op: Operation) -> str:
    return op.emit("size", op.required(0))


@operator("ConstantOfShape")
def _constant_of_shape(op: Operation) -> str:
    value = op.tensor("value") if op.has("value") else np.zeros(1, np.float32)
    assert value is not None
    if value.size != 1:
        raise Refused(f"the attribute 'value' must have one element; it has {value.size}")
    return op.emit("constant_of_shape", op.required(0), value=value.reshape(1))


@operator("Range")
def _range(op: Operation) -> str:
    op.ignore("stash_type")
    return op.emit("range", op.required(0), op.required(1), op.required(2))


@operator("EyeLike")
def _eye_like(op: Operation) -> str:
    x = op.required(0)
    dtype = op.element_type("dtype") if op.has("dtype") else op.dtype(x)
    return op.emit("eye_like", x, dtype=dtype, k=op.integer("k", 0))


@operator("Reshape")
def _reshape(op: Operation) -> str:
    return op.emit("reshape", op.required(0), op.required(1), allowzero=op.flag("allowzero"))


@operator("Flatten")
def _flatten(op: Operation) -> str:
    return op.emit("flatten", op.required(0), axis=op.integer("axis", 1))


@operator("Squeeze")
def _squeeze(op: Operation) -> str:
    if op.version >= 13:
        return op.emit("squeeze", op.required(0), op.input(1))
    return op.emit("squeeze", op.required(0), op.axes(op.integers("axes")) if op.has("axes") else "")


@operator("Unsqueeze")
def _unsqueeze(op: Operation) -> str:
    axes = op.required(1) if op.version >= 13 else op.axes(op.integers("axes"))
    return op.emit("unsqueeze", op.required(0), axes)


@operator("Transpose")
def _transpose(op: Operation) -> str:
    x = op.required(0)
    perm = op.integers("perm") if op.has("perm") else tuple(reversed(range(op.rank(x))))
    return op.emit("transpose", x, perm=perm)


@operator("Expand")
def _expand(op: Operation) -> str:
    return op.emit("expand", op.required(0), op.required(1))


@operator("Tile")
def _tile(op: Operation) -> str:
    return op.emit("tile", op.required(0), op.required(1))


@operator("DepthToSpace")
def _depth_to_space(op: Operation) -> str:
    block, mode = _block(op), op.text("mode", "DCR", ("DCR", "CRD"))
    y = op.emit("depth_to_space", op.channels_last(op.required(0), 4), block=block, mode=mode)
    return op.channels_first(y, 4)


@operator("SpaceToDepth")
def _space_to_depth(op: Operation) -> str:
    block, mode = _block(op), op.text("mode", "DCR", ("DCR", "CRD"))
    y = op.emit("space_to_depth", op.channels_last(op.required(0), 4), block=block)
    if mode == "CRD":
        y = _channels_outermost(op, y, block)
    return op.channels_first(y, 4)


def _block(op: Operation) -> int:
    block = op.integer("blocksize")
    if not 1 <= block < 1 << 15:
        raise Refused(f"the attribute 'blocksize' must be positive; it is {block}")
    return block


def _channels_outermost(op: Operation, y: str, block: int) -> str:
    """Channels (row, column, c) of a channels-last image as (c, row, column)."""
    shape = op.shape(y)
    channels = shape[-1] if shape is not None else None
    if not isinstance(channels, int):
        raise Refused("SpaceToDepth of mode CRD needs a known number of channels")
    order = np.arange(channels).reshape(block * block, -1).T.reshape(-1)
    return op.emit("gather", y, op.axes(order.tolist()), axis=3)
