"""Kinds that move numbers, by the core's copies with threads, or only say how to look at them."""

from __future__ import annotations

import math

import numpy as np

from ... import _dispatch, _kernels
from ..graph import Array, Node
from ..program import Frame, Lowered, Lowering, Run, Script, Slice
from .elementwise import keep, threads_of
from .table import rule

_MOST_AXES = 8


@rule("reshape", "flatten", "squeeze", "unsqueeze", "identity")
def viewed(node: Node, low: Lowering) -> Lowered | None:
    """A view: nothing to do."""
    source, name = low.slot(node.inputs[0]), node.outputs[0]
    shape = low.shape(name)
    if math.prod(shape) != math.prod(low.shape(node.inputs[0])):
        return None
    if low.facts[node.inputs[0]].dtype != low.facts[name].dtype:
        return None
    low.names[name] = low.view(source, shape)
    if node.inputs[0] in low.ranges:
        low.ranges[name] = low.ranges[node.inputs[0]]
    return Lowered(None, (source,), (), how="view")


def _can_copy(low: Lowering, *names: str) -> bool:
    dtypes = {low.facts[name].dtype for name in names}
    return len(dtypes) == 1 and all(len(low.shape(name)) <= _MOST_AXES for name in names)


def _copied(x: Array, out: Array, isa: str, into: Script | None) -> None:
    """out[...] = x, with threads where that is worth it; nothing where they are the same.

    A script goes on reading where x lies, so that x must be a view of what is in the frame.
    """
    if into is not None and not isinstance(x, np.ndarray):
        raise TypeError("internal error: a step was given a number in place of a view")
    same = x.strides == out.strides and x.__array_interface__["data"][0] == out.__array_interface__["data"][0]
    if x.size and not same:
        _kernels.copy(isa, x, out, threads_of(x.size), into)


def _slices(low: Lowering, whole: int, places: list[tuple[int, tuple[slice, ...]]]) -> tuple[Slice, ...]:
    """The parts as ranges of channels, where they are that."""
    shape, found = low.shapes[whole], []
    if not shape or len(shape) < 2:
        return ()
    for slot, place in places:
        starts = [part.indices(size) for part, size in zip(place, shape, strict=False)]
        whole_axes = all(
            (start, stop, step) == (0, size, 1)
            for (start, stop, step), size in zip(starts[: len(shape) - 1], shape, strict=False)
        )
        if len(place) < len(shape) or not whole_axes or starts[-1][2] != 1:
            return ()
        found.append(Slice(whole, slot, starts[-1][0]))
    return tuple(found)


def _rows(low: Lowering, whole: int, places: list[tuple[int, tuple[slice, ...]]]) -> tuple[Slice, ...]:
    """The parts of a concat as neighbouring elements, where the axes before its own are 1."""
    axis, shape = len(places[0][1]) - 1, low.shapes[whole]
    if shape is None or math.prod(shape[:axis]) != 1:
        return ()
    each = math.prod(shape[axis + 1 :])
    return tuple(Slice(whole, slot, place[axis].start * each, True) for slot, place in places)


@rule("transpose")
def transpose(node: Node, low: Lowering) -> Lowered | None:
    """A copy in the other order."""
    x, output = node.inputs[0], node.outputs[0]
    if not _can_copy(low, x, output):
        return None
    source, target, perm, isa = low.slot(x), low.slot(output), node.attributes["perm"], _dispatch.active_isa()

    def run(frame: Frame, into: Script | None = None) -> None:
        _copied(frame[source].transpose(perm), frame[target], isa, into)

    return Lowered(run, (source,), (target,), how="copy", core=True)


@rule("concat")
def concat(node: Node, low: Lowering) -> Lowered | None:
    """Copies side by side."""
    if not _can_copy(low, *node.inputs, node.outputs[0]):
        return None
    sources, target = tuple(low.slot(name) for name in node.inputs), low.slot(node.outputs[0])
    axis = node.attributes["axis"] % len(low.shape(node.outputs[0]))
    places: list[tuple[int, tuple[slice, ...]]] = []
    start = 0
    for name, slot in zip(node.inputs, sources, strict=True):
        size = low.shape(name)[axis]
        places.append((slot, (*(slice(None),) * axis, slice(start, start + size))))
        start += size
    isa, slices = _dispatch.active_isa(), _slices(low, target, places) or _rows(low, target, places)

    def run(frame: Frame, into: Script | None = None) -> None:
        out = frame[target]
        for slot, place in places:
            _copied(frame[slot], out[place], isa, into)

    ends = (*sources, target)
    return Lowered(run, sources, (target,), how="copy", core=True, gaps=ends, slices=slices)


@rule("split")
def split(node: Node, low: Lowering) -> Lowered | None:
    """Copies of the parts."""
    x, outputs = node.inputs[0], [name for name in node.outputs if name]
    if not _can_copy(low, x, *outputs):
        return None
    axis = node.attributes["axis"] % len(low.shape(x))
    source, start = low.slot(x), 0
    places: list[tuple[int, tuple[slice, ...]]] = []
    for name in node.outputs:
        if not name:
            return None
        size = low.shape(name)[axis]
        places.append((low.slot(name), (*(slice(None),) * axis, slice(start, start + size))))
        start += size
    isa, slices = _dispatch.active_isa(), _slices(low, source, places)

    def run(frame: Frame, into: Script | None = None) -> None:
        x = frame[source]
        for slot, place in places:
            _copied(x[place], frame[slot], isa, into)

    writes = tuple(slot for slot, _ in places)
    return Lowered(run, (source,), writes, how="copy", core=True, gaps=(source, *writes), slices=slices)


@rule("slice")
def sliced(node: Node, low: Lowering) -> Lowered | None:
    """A copy of the part."""
    x, output = node.inputs[0], node.outputs[0]
    shape = low.shape(x)
    if not _can_copy(low, x, output):
        return None
    values = [low.constants.get(name) if name else None for name in (*node.inputs[1:], "", "")[:4]]
    if any(name and value is None for name, value in zip(node.inputs[1:], values, strict=False)):
        return None
    starts, ends, axes, steps = (None if v is None else [int(n) for n in v.reshape(-1)] for v in values)
    if starts is None or ends is None:
        return None
    place = [slice(None)] * len(shape)
    for number, (start, end) in enumerate(zip(starts, ends, strict=True)):
        axis = (axes[number] if axes else number) % len(shape)
        step = steps[number] if steps else 1
        if step < 1:
            return None
        place[axis] = slice(start, end, step)
    chosen = tuple(place)
    source, target, isa = low.slot(x), low.slot(output), _dispatch.active_isa()
    found = tuple(len(range(*part.indices(size))) for part, size in zip(place, shape, strict=True))
    if found != low.shape(output):
        return None

    slices = _slices(low, source, [(target, chosen)])

    def run(frame: Frame, into: Script | None = None) -> None:
        _copied(frame[source][chosen], frame[target], isa, into)

    both = (source, target)
    return Lowered(run, (source,), (target,), how="copy", core=True, gaps=both, slices=slices)


@rule("gather")
def gather(node: Node, low: Lowering) -> Lowered | None:
    """A copy of what one constant index picks."""
    x, output = node.inputs[0], node.outputs[0]
    index = low.constants.get(node.inputs[1])
    shape = low.shape(x)
    if index is None or index.ndim or not shape or not _can_copy(low, x, output):
        return None
    axis, chosen = node.attributes["axis"] % len(shape), int(index)
    if not -shape[axis] <= chosen < shape[axis]:
        return None
    # a view: without the dots one number of a vector would be a copy
    place = (*(slice(None),) * axis, chosen, ...)
    source, target, isa = low.slot(x), low.slot(output), _dispatch.active_isa()

    def run(frame: Frame, into: Script | None = None) -> None:
        _copied(frame[source][place], frame[target], isa, into)

    return Lowered(run, (source,), (target,), how="copy", core=True)


@rule("expand")
def expand(node: Node, low: Lowering) -> Lowered | None:
    """A copy that repeats."""
    x, output = node.inputs[0], node.outputs[0]
    if not _can_copy(low, x, output):
        return None
    source, target, shape, isa = low.slot(x), low.slot(output), low.shape(output), _dispatch.active_isa()

    def run(frame: Frame, into: Script | None = None) -> None:
        _copied(np.broadcast_to(frame[source], shape), frame[target], isa, into)

    return Lowered(run, (source,), (target,), how="copy", core=True)


@rule("depth_to_space", "space_to_depth")
def blocks(node: Node, low: Lowering) -> Lowered | None:
    """A copy between views of more axes; channels last."""
    x, output = node.inputs[0], node.outputs[0]
    shape, found = low.shape(x), low.shape(output)
    if len(shape) != 4 or low.facts[x].dtype != low.facts[output].dtype:
        return None
    block = int(node.attributes["block"])
    images, height, width, channels = shape
    if node.kind == "depth_to_space":
        depth = channels // (block * block)
        inner: tuple[int, ...] = (images, height, width, block, block, depth)
        order = (0, 1, 3, 2, 4, 5)
        if node.attributes["mode"] == "CRD":
            inner, order = (images, height, width, depth, block, block), (0, 1, 4, 2, 5, 3)
    else:
        inner, order = (images, height // block, block, width // block, block, channels), (0, 1, 3, 2, 4, 5)
    outer = tuple(inner[axis] for axis in order)
    if math.prod(outer) != math.prod(found):
        return None
    source, target = low.view(low.slot(x), inner), low.slot(output)
    return Lowered(
        _moved(source, low.view(target, outer), order), (source,), (target,), how="copy", core=True
    )


def _moved(source: int, target: int, order: tuple[int, ...]) -> Run:
    isa = _dispatch.active_isa()

    def run(frame: Frame, into: Script | None = None) -> None:
        _copied(frame[source].transpose(order), frame[target], isa, into)

    return run


def _pad_channels(node: Node, low: Lowering, before: int, value: float) -> Lowered:
    """The last axis: channels into their place, and a constant beside them."""
    x, output = node.inputs[0], node.outputs[0]
    source, target, isa = low.slot(x), low.slot(output), _dispatch.active_isa()
    rank, channels, fill = len(low.shape(x)), low.shape(x)[-1], np.full(1, value, low.facts[x].dtype)
    middle = (*(slice(None),) * (rank - 1), slice(before, before + channels))

    def run(frame: Frame, into: Script | None = None) -> None:
        out = frame[target]
        keep(into, fill)
        for rest in (out[..., :before], out[..., before + channels :]):
            _copied(np.broadcast_to(fill, rest.shape), rest, isa, into)
        _copied(frame[source], out[middle], isa, into)

    return Lowered(run, (source,), (target,), how="copy", core=True, gaps=(source, target))


@rule("pad")
def pad(node: Node, low: Lowering) -> Lowered | None:
    """Margins of rows and columns around images."""
    x, output = node.inputs[0], node.outputs[0]
    shape, found = low.shape(x), low.shape(output)
    dtype, mode = low.facts[x].dtype, node.attributes["mode"]
    if dtype not in (np.dtype(np.float32), np.dtype(np.float64)) or not 1 < len(shape) < 5 or 0 in shape:
        return None
    pads, value = low.constants.get(node.inputs[1]), 0.0
    if len(node.inputs) > 2 and node.inputs[2]:
        held = low.constants.get(node.inputs[2])
        if held is None:
            return None
        value = float(held.reshape(-1)[0])
    axes = list(range(len(shape)))
    if len(node.inputs) > 3 and node.inputs[3]:
        named = low.constants.get(node.inputs[3])
        if named is None:
            return None
        axes = [int(axis) % len(shape) for axis in named.reshape(-1)]
    if pads is None or mode not in _kernels.pad_modes():
        return None
    before = dict.fromkeys(range(len(shape)), 0)
    for axis, count in zip(axes, pads.reshape(-1)[: len(axes)], strict=True):
        before[axis] = int(count)
    grown = [after - size for after, size in zip(found, shape, strict=True)]
    ends: tuple[int, ...] = (0, len(shape) - 1)
    alone = all(grown[axis] == before[axis] == 0 for axis in range(len(shape) - 1))
    if alone and mode == "constant" and 0 <= before[len(shape) - 1] <= grown[-1]:
        return _pad_channels(node, low, before[len(shape) - 1], value)
    if alone:  # the last axis
        rows = math.prod(shape[:-1])
        shape, found = (rows, shape[-1], 1), (rows, found[-1], 1)
        grown, before, ends = [0, grown[-1], 0], {0: 0, 1: before[len(before) - 1], 2: 0}, (0, 2)
    if len(shape) == 4 and grown[3] and not (grown[0] or grown[1] or before[0] or before[1]):
        # channels first: images of one channel
        shape, found = ((math.prod(sizes[:2]), *sizes[2:], 1) for sizes in (shape, found))
        grown, before = [0, *grown[2:], 0], {0: 0, 1: before[2], 2: before[3], 3: 0}
    if len(shape) < 3 or any(grown[axis] or before[axis] for axis in ends):
        return None
    if any(before[axis] < 0 or grown[axis] < before[axis] for axis in before):
        return None
    limit = [size - 1 if mode == "reflect" else size for size in shape]
    if mode not in ("constant", "edge") and any(
        max(before[a], grown[a] - before[a]) > limit[a] for a in before
    ):
        return None
    image = shape if len(shape) == 4 else (shape[0], 1, *shape[1:])
    wide = found if len(found) == 4 else (found[0], 1, *found[1:])
    top, left = (before[1], before[2]) if len(shape) == 4 else (0, before[1])
    source, target = low.view(low.slot(x), image), low.slot(output)
    out, code, size = low.view(target, wide), _kernels.pad_modes()[mode], math.prod(found)

    def run(frame: Frame, into: Script | None = None) -> None:
        _kernels.pad(frame[source], frame[out], top, left, code, value, threads_of(size), into)

    ends = (source,) if source in low.names.values() else ()  # as it is, not seen in another shape
    middle = (target, source, (top, left)) if ends and out == target else None
    return Lowered(run, (source,), (target,), how="copy", core=True, gaps=ends, frames=ends, middle=middle)
