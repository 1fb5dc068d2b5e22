"""Kinds that put together, cut out, pick and place elements."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..facts import Fact, Size, ceil_of, difference, largest, listed, numbers, smallest, sum_of, times
from ..graph import Array, Node, described_shape
from .record import Arrays, Facts, Kind, axis_of, dtype_of, given, must_fit, optional, registered

__all__ = ["KINDS"]

KINDS: dict[str, Kind] = {}


# ---- concat, split ----


def _concat_facts(node: Node, facts: Facts) -> tuple[Fact, ...]:
    parts = [fact for fact in facts if fact is not None]
    if not parts:
        raise ValueError("there is nothing to put together")
    dtype = dtype_of(parts)
    ranks = {len(fact.shape) for fact in parts if fact.shape is not None}
    if not ranks:
        return (Fact(dtype, None),)
    if len(ranks) > 1:
        raise ValueError(f"the inputs have {sorted(ranks)} axes; they must have the same number")
    rank = ranks.pop()
    axis = axis_of(int(node.attributes["axis"]), rank)
    shape: list[Size] = [None] * rank
    total: Size = 0
    for fact in parts:
        sizes = (None,) * rank if fact.shape is None else fact.shape
        total = sum_of(total, sizes[axis])
        for number, size in enumerate(sizes):
            if number != axis:
                must_fit(size, shape[number], f"axis {number} of each input")
                shape[number] = size if isinstance(size, int) or shape[number] is None else shape[number]
    shape[axis] = total
    return (Fact(dtype, tuple(shape)),)


@registered(KINDS, "concat", infer=_concat_facts, moves=True)
def _concat(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    return (np.concatenate([x for x in arrays if x is not None], int(node.attributes["axis"])),)


def _parts(size: Size, sizes: list[Size] | None, count: int) -> list[Size]:
    """The sizes of the parts of an axis: those given, or equal ones with a smaller last."""
    if sizes is not None:
        if len(sizes) != count:
            raise ValueError(f"there are {len(sizes)} sizes for {count} parts")
        known = [part for part in sizes if isinstance(part, int)]
        if (
            len(known) == len(sizes)
            and isinstance(size, int)
            and (sum(known) != size or min(known, default=0) < 0)
        ):
            raise ValueError(f"the sizes {known} do not make up {size}")
        return sizes
    if count < 1:
        raise ValueError(f"an axis cannot be cut into {count} parts")
    each = ceil_of(size, count)
    if isinstance(size, int) and isinstance(each, int):
        rest = [min(each, size - each * number) for number in range(count)]
        if rest[-1] < 0:
            raise ValueError(f"{size} elements do not divide into {count} parts of {each}")
        return list(rest)
    return [each] * (count - 1) + [difference(size, times(each, count - 1))]


def _split_facts(node: Node, facts: Facts) -> tuple[Fact, ...]:
    x, sizes = given(facts, 0), optional(facts, 1)
    count = len(node.outputs)
    if x.shape is None:
        return (Fact(x.dtype, None),) * count
    axis = axis_of(int(node.attributes["axis"]), len(x.shape))
    wanted = listed(sizes)
    if sizes is not None and wanted is None:
        wanted = [None] * count
    parts = _parts(x.shape[axis], wanted, count)
    return tuple(Fact(x.dtype, (*x.shape[:axis], size, *x.shape[axis + 1 :])) for size in parts)


@registered(KINDS, "split", infer=_split_facts, moves=True)
def _split(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    x, sizes = given(arrays, 0), optional(arrays, 1)
    axis = axis_of(int(node.attributes["axis"]), x.ndim)
    parts = _parts(x.shape[axis], None if sizes is None else sizes.tolist(), len(node.outputs))
    ends = np.cumsum([int(size) for size in parts if size is not None])
    return tuple(np.split(x, ends[:-1], axis))


# ---- slice ----


def _slice_axes(
    rank: int, starts: list[Any], axes: list[Any] | None, steps: list[Any] | None
) -> tuple[list[int], list[Any]]:
    axes = list(range(len(starts))) if axes is None else axes
    steps = [1] * len(starts) if steps is None else steps
    if not len(starts) == len(axes) == len(steps):
        raise ValueError(
            f"{len(starts)} starts, {len(axes)} axes and {len(steps)} steps; all must be as many"
        )
    found = [axis_of(int(axis), rank) for axis in axes]
    if len(set(found)) < len(found):
        raise ValueError(f"axes {axes} name an axis twice")
    if 0 in steps:
        raise ValueError("a step is 0")
    return found, steps


def _cut(size: int, start: int, end: int, step: int) -> range:
    """The places that ONNX's slice takes: negative bounds count from the end, all are clipped to the axis."""
    start, end = (bound + size if bound < 0 else bound for bound in (start, end))
    if step > 0:
        return range(min(max(start, 0), size), min(max(end, 0), size), step)
    return range(min(max(start, 0), size - 1), min(max(end, -1), size - 1), step)


def _cut_size(size: Size, start: Size, end: Size, step: Size) -> Size:
    """How many places a slice takes, where sizes may have only names."""
    if start is None or end is None or not isinstance(step, int):
        return None
    if isinstance(size, int) and isinstance(start, int) and isinstance(end, int):
        return len(_cut(size, start, end, step))
    if step < 0:
        whole = isinstance(start, int) and isinstance(end, int) and end < -(2**31) + 2
        return ceil_of(size, -step) if whole and (start == -1 or start > 2**31 - 2) else None  # type: ignore[operator]
    # Where the slice begins behind the end, the difference is negative: no need to clip its start.
    first = start if isinstance(start, int) and 0 <= start < 2**31 - 1 else _bound(size, start)
    last = _bound(size, end)
    return ceil_of(largest(difference(last, first), 0), step)


def _bound(size: Size, bound: int | str) -> Size:
    """A bound counted from the front and clipped to the axis (names count as positive)."""
    if isinstance(bound, int):
        if bound >= 2**31 - 1:
            return size
        if bound < 0:
            return 0 if bound <= -(2**31) + 1 else largest(sum_of(size, bound), 0)
        return smallest(size, bound)
    return smallest(size, bound) if not bound.startswith("-") else largest(sum_of(size, bound), 0)


def _slice_facts(node: Node, facts: Facts) -> tuple[Fact, ...]:
    x = given(facts, 0)
    starts, ends = listed(given(facts, 1)), listed(given(facts, 2))
    axes_fact, steps_fact = optional(facts, 3), optional(facts, 4)
    axes, steps = listed(axes_fact), listed(steps_fact)
    if x.shape is None:
        return (Fact(x.dtype, None),)
    unknown = starts is None or ends is None or (axes_fact is not None and numbers(axes_fact) is None)
    if unknown or (steps_fact is not None and steps is None):
        return (Fact(x.dtype, (None,) * len(x.shape)),)
    assert starts is not None
    assert ends is not None
    if len(starts) != len(ends):
        raise ValueError(f"{len(starts)} starts and {len(ends)} ends; they must be as many")
    found, strides = _slice_axes(len(x.shape), starts, axes, steps)
    shape = list(x.shape)
    for axis, start, end, step in zip(found, starts, ends, strides, strict=True):
        shape[axis] = _cut_size(x.shape[axis], start, end, step)
    return (Fact(x.dtype, tuple(shape)),)


@registered(KINDS, "slice", infer=_slice_facts, moves=True)
def _slice(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    x, starts, ends = given(arrays, 0), given(arrays, 1).tolist(), given(arrays, 2).tolist()
    axes, steps = optional(arrays, 3), optional(arrays, 4)
    found, strides = _slice_axes(
        x.ndim, starts, None if axes is None else axes.tolist(), None if steps is None else steps.tolist()
    )
    if len(starts) != len(ends):
        raise ValueError(f"{len(starts)} starts and {len(ends)} ends; they must be as many")
    for axis, start, end, step in zip(found, starts, ends, strides, strict=True):
        places = _cut(x.shape[axis], start, end, step)
        stop: int | None = places.stop if places.stop >= 0 else None
        cut = slice(places.start, stop, step) if len(places) else slice(0, 0)
        x = x[(slice(None),) * axis + (cut,)]
    return (x,)


# ---- pad ----


def _pads(rank: int, pads: list[Any], axes: list[Any] | None) -> dict[int, tuple[Any, Any]]:
    """axis: (before, after)."""
    numbers = list(range(rank)) if axes is None else [axis_of(int(axis), rank) for axis in axes]
    if len(pads) != 2 * len(numbers):
        raise ValueError(f"pads has {len(pads)} entries for {len(numbers)} axes; there must be two for each")
    return {axis: (pads[n], pads[n + len(numbers)]) for n, axis in enumerate(numbers)}


def _pad_facts(node: Node, facts: Facts) -> tuple[Fact, ...]:
    x, pads, axes_fact = given(facts, 0), listed(given(facts, 1)), optional(facts, 3)
    if node.attributes["mode"] not in SOURCES and node.attributes["mode"] != "constant":
        raise ValueError(
            f'mode must be "constant" or one of {sorted(SOURCES)}, not {node.attributes["mode"]!r}'
        )
    if x.shape is None:
        return (Fact(x.dtype, None),)
    axes = numbers(axes_fact)
    if pads is None or (axes_fact is not None and axes is None):
        return (Fact(x.dtype, (None,) * len(x.shape)),)
    shape = list(x.shape)
    for axis, (before, after) in _pads(len(shape), pads, axes).items():
        shape[axis] = sum_of(shape[axis], sum_of(before, after))
        if isinstance(shape[axis], int) and shape[axis] < 0:
            raise ValueError(f"pads {pads} take away more than there is along axis {axis}")
    return (Fact(x.dtype, tuple(shape)),)


def _reflect(place: Array, size: int) -> Array:
    """0 1 2 3 2 1 0 1 ...: the edge is not repeated."""
    period = max(1, 2 * (size - 1))
    place = np.mod(place, period)
    return np.where(place < size, place, period - place)


def _symmetric(place: Array, size: int) -> Array:
    """0 1 2 3 3 2 1 0 0 1 ...: the edge is repeated."""
    place = np.mod(place, 2 * size)
    return np.where(place < size, place, 2 * size - 1 - place)


SOURCES: dict[str, Callable[[Array, int], Array]] = {
    "reflect": _reflect,
    "symmetric": _symmetric,
    "edge": lambda place, size: np.clip(place, 0, size - 1),
    "wrap": lambda place, size: np.mod(place, size),
}


@registered(KINDS, "pad", infer=_pad_facts)
def _pad(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    """Negative pads cut off, before the others repeat what is left."""
    x, pads, value, axes = (
        given(arrays, 0),
        given(arrays, 1).tolist(),
        optional(arrays, 2),
        optional(arrays, 3),
    )
    mode = node.attributes["mode"]
    for axis, (before, after) in _pads(x.ndim, pads, None if axes is None else axes.tolist()).items():
        front = (slice(None),) * axis
        x = x[(*front, slice(max(0, -before), x.shape[axis] - max(0, -after)))]
        before, after, size = max(0, before), max(0, after), x.shape[axis]
        if mode != "constant" and size:
            x = np.take(x, SOURCES[mode](np.arange(-before, size + after), size), axis)
        elif before or after:
            if mode != "constant":
                raise ValueError(
                    f'there is nothing to repeat along axis {axis}, which is empty; mode is "{mode}"'
                )
            fill = 0 if value is None else value.reshape(-1)[0]
            out = np.full([*x.shape[:axis], before + size + after, *x.shape[axis + 1 :]], fill, x.dtype)
            out[(*front, slice(before, before + size))] = x
            x = out
    return (x,)


# ---- gather ----


def _wrapped(indices: Array, size: int) -> Array:
    """Negative indices count from the end; ValueError for what is outside."""
    if indices.size and (indices.min() < -size or indices.max() >= size):
        raise ValueError(
            f"an index lies outside of {-size} .. {size - 1}" if size else "an index into nothing"
        )
    return np.where(indices < 0, indices + size, indices).astype(np.intp)


def _gather_facts(node: Node, facts: Facts) -> tuple[Fact, ...]:
    x, indices = given(facts, 0), given(facts, 1)
    if x.shape is None or indices.shape is None:
        return (Fact(x.dtype, None),)
    axis = axis_of(int(node.attributes["axis"]), len(x.shape))
    return (Fact(x.dtype, (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])),)


@registered(KINDS, "gather", infer=_gather_facts, moves=True)
def _gather(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    x, indices = given(arrays, 0), given(arrays, 1)
    axis = axis_of(int(node.attributes["axis"]), x.ndim)
    return (np.asarray(np.take(x, _wrapped(indices, x.shape[axis]), axis), x.dtype),)


def _elements_facts(node: Node, facts: Facts) -> tuple[Fact, ...]:
    x, indices = given(facts, 0), given(facts, 1)
    if x.shape is not None and indices.shape is not None:
        if len(x.shape) != len(indices.shape):
            raise ValueError(
                f"x has {len(x.shape)} axes, indices {len(indices.shape)}; they must have as many"
            )
        axis_of(int(node.attributes["axis"]), len(x.shape))
    return (Fact(x.dtype, indices.shape),)


def _grid(indices: Array, axis: int, size: int) -> tuple[Array, ...]:
    """For each element of `indices` its own place, with the index along the axis."""
    places: list[Any] = list(np.indices(indices.shape))
    places[axis] = _wrapped(indices, size)
    return tuple(places)


@registered(KINDS, "gather_elements", infer=_elements_facts, moves=True)
def _gather_elements(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    x, indices = given(arrays, 0), given(arrays, 1)
    axis = axis_of(int(node.attributes["axis"]), x.ndim)
    return (x[_grid(indices, axis, x.shape[axis])],)


def _nd_facts(node: Node, facts: Facts) -> tuple[Fact, ...]:
    x, indices, batch = given(facts, 0), given(facts, 1), int(node.attributes["batch_dims"])
    if x.shape is None or not indices.shape or not isinstance(indices.shape[-1], int):
        return (Fact(x.dtype, None),)
    depth = batch + indices.shape[-1]
    if depth > len(x.shape) or batch >= len(indices.shape):
        raise ValueError(
            f"indices of shape {described_shape(indices.shape)} address {depth} axes of {len(x.shape)}"
        )
    for size, wanted in zip(indices.shape[:batch], x.shape[:batch], strict=True):
        must_fit(size, wanted, "a batch axis of indices")
    return (Fact(x.dtype, (*indices.shape[:-1], *x.shape[depth:])),)


@registered(KINDS, "gather_nd", infer=_nd_facts, moves=True)
def _gather_nd(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    x, indices, batch = given(arrays, 0), given(arrays, 1), int(node.attributes["batch_dims"])
    shape = _nd_facts(node, (Fact.of(x), Fact.of(indices)))[0].shape
    lead = indices.shape[:batch]
    places: list[Array] = [
        np.arange(size).reshape([-1 if n == axis else 1 for n in range(indices.ndim - 1)])
        for axis, size in enumerate(lead)
    ]
    places += [_wrapped(indices[..., n], x.shape[batch + n]) for n in range(indices.shape[-1])]
    if not places:
        return (np.broadcast_to(x, shape).copy(),)  # type: ignore[arg-type]
    return (np.asarray(x[tuple(np.broadcast_arrays(*places))], x.dtype).reshape(shape),)  # type: ignore[arg-type]


# ---- scatter ----

UPDATES: dict[str, Any] = {"add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum}


def _written(x: Array, places: tuple[Array, ...], updates: Array, reduction: str) -> Array:
    out = x.copy()
    if reduction == "none":
        out[places] = updates
    elif reduction in UPDATES:
        UPDATES[reduction].at(out, places, updates)
    else:
        raise ValueError(f'reduction must be "none" or one of {sorted(UPDATES)}, not {reduction!r}')
    return out


def _scatter_elements_facts(node: Node, facts: Facts) -> tuple[Fact, ...]:
    x, indices, updates = (given(facts, number) for number in range(3))
    _elements_facts(node, (x, indices))
    if indices.shape is not None and updates.shape is not None:
        if len(indices.shape) != len(updates.shape):
            raise ValueError("indices and updates must have one shape")
        for size, wanted in zip(updates.shape, indices.shape, strict=True):
            must_fit(size, wanted, "an axis of updates")
    return (Fact(dtype_of((x, updates)), x.shape),)


@registered(KINDS, "scatter_elements", infer=_scatter_elements_facts)
def _scatter_elements(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    x, indices, updates = (given(arrays, number) for number in range(3))
    axis = axis_of(int(node.attributes["axis"]), x.ndim)
    return (_written(x, _grid(indices, axis, x.shape[axis]), updates, node.attributes["reduction"]),)


def _scatter_nd_facts(node: Node, facts: Facts) -> tuple[Fact, ...]:
    x, indices, updates = (given(facts, number) for number in range(3))
    if x.shape is not None and indices.shape and isinstance(indices.shape[-1], int):
        depth = indices.shape[-1]
        if depth > len(x.shape):
            raise ValueError(f"indices address {depth} axes of {len(x.shape)}")
        wanted = (*indices.shape[:-1], *x.shape[depth:])
        if updates.shape is not None:
            if len(updates.shape) != len(wanted):
                raise ValueError(f"updates must have shape {described_shape(wanted)}")
            for size, other in zip(updates.shape, wanted, strict=True):
                must_fit(size, other, "an axis of updates")
    return (Fact(dtype_of((x, updates)), x.shape),)


@registered(KINDS, "scatter_nd", infer=_scatter_nd_facts)
def _scatter_nd(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    x, indices, updates = (given(arrays, number) for number in range(3))
    places = tuple(_wrapped(indices[..., n], x.shape[n]) for n in range(indices.shape[-1]))
    return (_written(x, places, updates, node.attributes["reduction"]),)


# ---- the rest ----


def _one_hot_facts(node: Node, facts: Facts) -> tuple[Fact, ...]:
    indices, depth, values = (given(facts, number) for number in range(3))
    if indices.shape is None:
        return (Fact(values.dtype, None),)
    axis = axis_of(int(node.attributes["axis"]), len(indices.shape) + 1)
    sizes = [int(depth.known.reshape(-1)[0])] if depth.known is not None else listed(depth)
    size = sizes[0] if sizes else None
    return (Fact(values.dtype, (*indices.shape[:axis], size, *indices.shape[axis:])),)


@registered(KINDS, "one_hot", infer=_one_hot_facts)
def _one_hot(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    """values (off, on); an index outside of -depth .. depth - 1 is nowhere on."""
    indices, depth, values = (given(arrays, number) for number in range(3))
    count = int(depth.reshape(-1)[0])
    axis = axis_of(int(node.attributes["axis"]), indices.ndim + 1)
    place = np.expand_dims(np.where(indices < 0, indices + count, indices), axis)
    levels = np.arange(count).reshape([-1 if n == axis else 1 for n in range(indices.ndim + 1)])
    return (np.where(place == levels, values[1], values[0]),)


def _trilu_facts(node: Node, facts: Facts) -> tuple[Fact, ...]:
    x = given(facts, 0)
    if x.shape is not None and len(x.shape) < 2:
        raise ValueError(f"x must have at least 2 axes, not {len(x.shape)}")
    return (Fact(x.dtype, x.shape),)


@registered(KINDS, "trilu", infer=_trilu_facts)
def _trilu(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    x, k = given(arrays, 0), optional(arrays, 1)
    diagonal = 0 if k is None else int(k.reshape(-1)[0])
    rows, columns = np.arange(x.shape[-2])[:, None], np.arange(x.shape[-1])
    kept = columns - rows >= diagonal if node.attributes["upper"] else columns - rows <= diagonal
    return (np.where(kept, x, np.zeros((), x.dtype)),)


def _eye_facts(node: Node, facts: Facts) -> tuple[Fact, ...]:
    x, dtype = given(facts, 0), node.attributes["dtype"]
    if x.shape is not None and len(x.shape) != 2:
        raise ValueError(f"x must have 2 axes, not {len(x.shape)}")
    return (Fact(x.dtype if dtype is None else np.dtype(dtype), x.shape),)


@registered(KINDS, "eye_like", infer=_eye_facts)
def _eye_like(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    x, dtype = given(arrays, 0), node.attributes["dtype"]
    rows, columns = x.shape
    return (np.eye(rows, columns, int(node.attributes["k"]), x.dtype if dtype is None else dtype),)


def _reverse_facts(node: Node, facts: Facts) -> tuple[Fact, ...]:
    x, lengths = given(facts, 0), given(facts, 1)
    if x.shape is not None:
        axis = axis_of(int(node.attributes["batch_axis"]), len(x.shape))
        axis_of(int(node.attributes["time_axis"]), len(x.shape))
        if lengths.shape is not None:
            if len(lengths.shape) != 1:
                raise ValueError("the lengths must be a vector")
            must_fit(lengths.shape[0], x.shape[axis], "the vector of lengths")
    return (Fact(x.dtype, x.shape),)


@registered(KINDS, "reverse_sequence", infer=_reverse_facts)
def _reverse_sequence(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    """Of each batch entry, its first `length` steps backwards."""
    x, lengths = given(arrays, 0), given(arrays, 1)
    batch, time = (axis_of(int(node.attributes[name]), x.ndim) for name in ("batch_axis", "time_axis"))
    out = np.moveaxis(x, (batch, time), (0, 1)).copy()
    for entry, length in enumerate(lengths.tolist()):
        if not 0 <= length <= out.shape[1]:
            raise ValueError(f"a length is {length}, but there are {out.shape[1]} steps")
        out[entry, :length] = out[entry, :length][::-1].copy()
    return (np.ascontiguousarray(np.moveaxis(out, (0, 1), (batch, time))),)


def _compress_facts(node: Node, facts: Facts) -> tuple[Fact, ...]:
    x, axis = given(facts, 0), node.attributes["axis"]
    if axis is None:
        return (Fact(x.dtype, (None,)),)
    if x.shape is None:
        return (Fact(x.dtype, None),)
    axis = axis_of(int(axis), len(x.shape))
    return (Fact(x.dtype, (*x.shape[:axis], None, *x.shape[axis + 1 :])),)


@registered(KINDS, "compress", infer=_compress_facts)
def _compress(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    """What the condition holds for; a shorter condition leaves out the rest."""
    x, condition, axis = given(arrays, 0), given(arrays, 1).astype(bool).ravel(), node.attributes["axis"]
    flat = x.ravel() if axis is None else x
    return (np.take(flat, np.flatnonzero(condition), 0 if axis is None else int(axis)),)
