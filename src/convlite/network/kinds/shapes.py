"""Shapes as values, and the same elements in another shape."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..facts import Fact, Shape, Size, broadcast, floor_of, listed, numbers, product, times
from ..graph import Array, Node, described_shape
from .record import Arrays, Facts, Kind, axis_of, given, optional, registered

__all__ = ["KINDS"]

KINDS: dict[str, Kind] = {}
INT64 = np.dtype(np.int64)
MOST_AXES = 64


def _numbers(array: Array) -> list[Any]:
    """The elements of a small integer array (sizes with names among them, where it is an object array)."""
    return [item if isinstance(item, str) or item is None else int(item) for item in array.ravel().tolist()]


# ---- shapes as values ----


def _bounds(node: Node, rank: int) -> slice:
    start, end = node.attributes["start"], node.attributes["end"]
    return slice(*slice(start, end).indices(rank)[:2])


def _shape_facts(node: Node, facts: Facts) -> tuple[Fact, ...]:
    shape = given(facts, 0).shape
    if shape is None:
        return (Fact(INT64, (None,)),)
    sizes = shape[_bounds(node, len(shape))]
    if all(isinstance(size, int) for size in sizes):
        return (Fact.of(np.array(sizes, INT64)),)
    held = np.empty(len(sizes), object)
    held[:] = sizes
    return (Fact(INT64, (len(sizes),), held),)


@registered(KINDS, "shape", infer=_shape_facts)
def _shape(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    x = given(arrays, 0)
    return (np.array(x.shape[_bounds(node, x.ndim)], INT64),)


def _size_facts(node: Node, facts: Facts) -> tuple[Fact, ...]:
    shape = given(facts, 0).shape
    size = None if shape is None else product(shape)
    if isinstance(size, int):
        return (Fact.of(np.array(size, INT64)),)
    return (Fact(INT64, (), np.array(size, object)),)


@registered(KINDS, "size", infer=_size_facts)
def _size(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    return (np.array(given(arrays, 0).size, INT64),)


def _sizes(fact: Fact, what: str) -> tuple[Size, ...] | None:
    """A shape that is a value."""
    sizes = listed(fact)
    if fact.shape is not None and len(fact.shape) != 1:
        raise ValueError(f"{what} must be a vector, not of shape {described_shape(fact.shape)}")
    if sizes is not None and len(sizes) > MOST_AXES:
        raise ValueError(f"{what} has {len(sizes)} entries; an array has at most {MOST_AXES} axes")
    return None if sizes is None else tuple(sizes)


def _constant_facts(node: Node, facts: Facts) -> tuple[Fact, ...]:
    sizes = _sizes(given(facts, 0), "the shape")
    if sizes is not None and any(isinstance(size, int) and size < 0 for size in sizes):
        raise ValueError(f"the shape {sizes} has negative sizes")
    return (Fact(np.asarray(node.attributes["value"]).dtype, sizes),)


@registered(KINDS, "constant_of_shape", infer=_constant_facts)
def _constant_of_shape(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    value = np.asarray(node.attributes["value"])
    return (np.full(_numbers(given(arrays, 0)), value.reshape(-1)[0], value.dtype),)


def _range_facts(node: Node, facts: Facts) -> tuple[Fact, ...]:
    start, limit, delta = (given(facts, number) for number in range(3))
    first, last, step = ((listed(fact) or [None])[0] for fact in (start, limit, delta))
    size: Size = None
    if start.dtype is not None and start.dtype.kind in "iu" and isinstance(step, int):
        if step == 0:
            raise ValueError("delta is 0")
        if isinstance(first, int) and isinstance(last, int):
            size = max(0, -((first - last) // step))
        elif step == 1 and first == 0:
            size = last
    elif start.known is not None and limit.known is not None and delta.known is not None:
        size = _count(start.known, limit.known, delta.known)
    return (Fact(start.dtype, (size,)),)


def _count(start: Array, limit: Array, delta: Array) -> int:
    first, last, step = (float(array.reshape(-1)[0]) for array in (start, limit, delta))
    if step == 0:
        raise ValueError("delta is 0")
    return max(0, math.ceil((last - first) / step))


@registered(KINDS, "range", infer=_range_facts)
def _range(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    """start + i * delta for i below ceil((limit - start) / delta)."""
    start, limit, delta = (given(arrays, number).reshape(-1)[0] for number in range(3))
    count = _count(start, limit, delta)
    steps = np.arange(count)
    return ((start + steps * delta).astype(start.dtype),)


# ---- the same elements in another shape ----


def _reshaped(shape: Shape, sizes: tuple[Size, ...], allowzero: bool) -> tuple[Size, ...]:
    """ONNX's reshape: 0 copies a size (unless allowzero), one -1 takes what is left."""
    result: list[Size] = []
    for axis, size in enumerate(sizes):
        if size == 0 and not allowzero:
            if shape is not None and axis >= len(shape):
                raise ValueError(
                    f"the new shape {sizes} copies axis {axis}, which {described_shape(shape)} lacks"
                )
            result.append(None if shape is None else shape[axis])
        elif isinstance(size, int) and size < -1:
            raise ValueError(f"the new shape {sizes} has a negative size")
        else:
            result.append(size)
    if result.count(-1) > 1:
        raise ValueError(f"the new shape {sizes} has more than one -1")
    total = None if shape is None else product(shape)
    if -1 in result:
        place = result.index(-1)
        rest = product(size for number, size in enumerate(result) if number != place)
        left = floor_of(total, rest)
        if rest == 0:
            if isinstance(total, int):
                raise ValueError(f"the new shape {sizes} leaves open what -1 stands for")
        elif isinstance(total, int) and isinstance(rest, int) and total % rest:
            raise ValueError(f"{described_shape(shape)} does not divide into {sizes}")
        result[place] = None if isinstance(left, int) and left < 0 else left
    elif total is not None:
        new = product(result)
        if isinstance(total, int) and isinstance(new, int) and total != new:
            raise ValueError(
                f"{described_shape(shape)} has {total} elements, the new shape {sizes} has {new}"
            )
        if result.count(None) == 1 and 0 not in result:  # one unknown size: the remaining elements
            place = result.index(None)
            result[place] = floor_of(total, product(size for n, size in enumerate(result) if n != place))
    return tuple(result)


def _reshape_facts(node: Node, facts: Facts) -> tuple[Fact, ...]:
    x, wanted = given(facts, 0), _sizes(given(facts, 1), "the new shape")
    if wanted is None:
        return (Fact(x.dtype, None),)
    return (Fact(x.dtype, _reshaped(x.shape, wanted, bool(node.attributes["allowzero"]))),)


@registered(KINDS, "reshape", infer=_reshape_facts, moves=True)
def _reshape(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    x = given(arrays, 0)
    shape = _reshaped(x.shape, tuple(_numbers(given(arrays, 1))), bool(node.attributes["allowzero"]))
    return (x.reshape(shape),)


def _flat(shape: tuple[Any, ...], axis: int) -> tuple[Size, Size]:
    axis = axis_of(axis, len(shape) + 1) if axis >= 0 else axis_of(axis, len(shape))
    return product(shape[:axis]), product(shape[axis:])


def _flatten_facts(node: Node, facts: Facts) -> tuple[Fact, ...]:
    x = given(facts, 0)
    shape = (None, None) if x.shape is None else _flat(x.shape, int(node.attributes["axis"]))
    return (Fact(x.dtype, shape),)


@registered(KINDS, "flatten", infer=_flatten_facts, moves=True)
def _flatten(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    x = given(arrays, 0)
    return (x.reshape(_flat(x.shape, int(node.attributes["axis"]))),)


def _squeezed(shape: tuple[Any, ...], axes: list[Any] | None) -> tuple[int, ...]:
    """Which axes go: those named, or all of size 1."""
    if axes is None:
        return tuple(axis for axis, size in enumerate(shape) if size == 1)
    found = tuple(axis_of(int(axis), len(shape)) for axis in axes)
    for axis in found:
        if isinstance(shape[axis], int) and shape[axis] != 1:
            raise ValueError(f"axis {axis} of {described_shape(shape)} has not size 1")
    return found


def _squeeze_facts(node: Node, facts: Facts) -> tuple[Fact, ...]:
    x, axes = given(facts, 0), optional(facts, 1)
    named = numbers(axes)
    if x.shape is None or (axes is not None and named is None) or (axes is None and not x.concrete):
        return (Fact(x.dtype, None),)
    gone = _squeezed(x.shape, named)
    return (Fact(x.dtype, tuple(size for axis, size in enumerate(x.shape) if axis not in gone)),)


@registered(KINDS, "squeeze", infer=_squeeze_facts, moves=True)
def _squeeze(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    x, axes = given(arrays, 0), optional(arrays, 1)
    return (np.squeeze(x, _squeezed(x.shape, None if axes is None else _numbers(axes))),)


def _unsqueezed(shape: tuple[Any, ...], axes: list[Any]) -> tuple[Any, ...]:
    rank = len(shape) + len(axes)
    places = [axis_of(int(axis), rank) for axis in axes]
    if len(set(places)) < len(places):
        raise ValueError(f"axes {axes} name an axis twice")
    rest = iter(shape)
    return tuple(1 if axis in places else next(rest) for axis in range(rank))


def _unsqueeze_facts(node: Node, facts: Facts) -> tuple[Fact, ...]:
    x, axes = given(facts, 0), listed(given(facts, 1))
    if x.shape is None or axes is None:
        return (Fact(x.dtype, None),)
    known = numbers(given(facts, 1))
    shape = (None,) * (len(x.shape) + len(axes)) if known is None else _unsqueezed(x.shape, known)
    return (Fact(x.dtype, shape),)


@registered(KINDS, "unsqueeze", infer=_unsqueeze_facts, moves=True)
def _unsqueeze(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    x = given(arrays, 0)
    return (x.reshape(_unsqueezed(x.shape, _numbers(given(arrays, 1)))),)


def _transpose_facts(node: Node, facts: Facts) -> tuple[Fact, ...]:
    x, perm = given(facts, 0), tuple(int(axis) for axis in node.attributes["perm"])
    if x.shape is not None and len(x.shape) != len(perm):
        raise ValueError(f"perm {perm} has {len(perm)} axes, the input {len(x.shape)}")
    if sorted(perm) != list(range(len(perm))):
        raise ValueError(f"perm {perm} is no permutation of {len(perm)} axes")
    return (Fact(x.dtype, (None,) * len(perm) if x.shape is None else tuple(x.shape[axis] for axis in perm)),)


@registered(KINDS, "transpose", infer=_transpose_facts, moves=True)
def _transpose(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    return (np.transpose(given(arrays, 0), node.attributes["perm"]),)


def _expand_facts(node: Node, facts: Facts) -> tuple[Fact, ...]:
    x, wanted = given(facts, 0), _sizes(given(facts, 1), "the new shape")
    return (Fact(x.dtype, broadcast([x.shape, wanted])),)


@registered(KINDS, "expand", infer=_expand_facts, moves=True)
def _expand(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    """Broadcast both ways: an axis of the new shape that is 1 keeps the input's size."""
    x = given(arrays, 0)
    shape = np.broadcast_shapes(x.shape, tuple(_numbers(given(arrays, 1))))
    return (np.broadcast_to(x, shape).copy(),)


def _tile_facts(node: Node, facts: Facts) -> tuple[Fact, ...]:
    x, repeats = given(facts, 0), listed(given(facts, 1))
    if x.shape is None or repeats is None:
        return (Fact(x.dtype, None if x.shape is None else (None,) * len(x.shape)),)
    if len(repeats) != len(x.shape):
        raise ValueError(f"repeats has {len(repeats)} entries, the input {len(x.shape)} axes")
    return (Fact(x.dtype, tuple(times(size, count) for size, count in zip(x.shape, repeats, strict=True))),)


@registered(KINDS, "tile", infer=_tile_facts, moves=True)
def _tile(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    x, repeats = given(arrays, 0), _numbers(given(arrays, 1))
    if len(repeats) != x.ndim:
        raise ValueError(f"repeats has {len(repeats)} entries, the input {x.ndim} axes")
    return (np.tile(x, repeats),)


# ---- channels and pixels ----


def _image(facts: Facts) -> tuple[Fact, tuple[Size, ...]]:
    x = given(facts, 0)
    if x.shape is not None and len(x.shape) != 4:
        raise ValueError(f"x must have 4 axes (N, H, W, C), not {len(x.shape)}")
    return x, (None,) * 4 if x.shape is None else x.shape


def _divides(size: Size, divisor: int, what: str) -> Size:
    if isinstance(size, int) and size % divisor:
        raise ValueError(f"{what} {size} is not a multiple of {divisor}")
    return floor_of(size, divisor)


def _depth_facts(node: Node, facts: Facts) -> tuple[Fact, ...]:
    x, (n, h, w, c) = _image(facts)
    block = int(node.attributes["block"])
    return (
        Fact(
            x.dtype,
            (n, times(h, block), times(w, block), _divides(c, block * block, "the number of channels")),
        ),
    )


@registered(KINDS, "depth_to_space", infer=_depth_facts, moves=True)
def _depth_to_space(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    """Channel (row, column, c) of mode "DCR", or (c, row, column) of "CRD", to a block of pixels."""
    x, block = given(arrays, 0), int(node.attributes["block"])
    n, h, w, c = x.shape
    depth = _divides(c, block * block, "the number of channels")
    if node.attributes["mode"] == "DCR":
        parts = x.reshape(n, h, w, block, block, depth).transpose(0, 1, 3, 2, 4, 5)
    else:
        parts = x.reshape(n, h, w, depth, block, block).transpose(0, 1, 4, 2, 5, 3)
    return (parts.reshape(n, h * block, w * block, depth),)


def _space_facts(node: Node, facts: Facts) -> tuple[Fact, ...]:
    x, (n, h, w, c) = _image(facts)
    block = int(node.attributes["block"])
    return (
        Fact(
            x.dtype,
            (n, _divides(h, block, "the height"), _divides(w, block, "the width"), times(c, block * block)),
        ),
    )


@registered(KINDS, "space_to_depth", infer=_space_facts, moves=True)
def _space_to_depth(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    x, block = given(arrays, 0), int(node.attributes["block"])
    n, h, w, c = x.shape
    parts = x.reshape(n, h // block, block, w // block, block, c).transpose(0, 1, 3, 2, 4, 5)
    return (parts.reshape(n, h // block, w // block, c * block * block),)
