"""Integers, comparisons, choices and casts by the core, and the places of largest numbers: rare or small, but
each would be a call of NumPy between the core's steps.

Indices may only be left to the core where their bounds are known before they are computed: `Lowering.ranges`
follows them from where they are made.
"""

from __future__ import annotations

import math

import numpy as np

from ... import _kernels
from ..graph import Array, Node
from ..program import Frame, Lowered, Lowering, Script
from .elementwise import threads_of
from .table import rule

_MOST_AXES = 8
_ELEMENTS = ("bool", "int32", "int64", "float32", "float64")
_WHOLE = ("int32", "int64")
_SLOW = 1.0  # nanoseconds an element


def _element(low: Lowering, *names: str) -> str:
    """The one dtype of these values, where the core's steps know it and all shapes have few axes; or ""."""
    dtypes = {low.facts[name].dtype for name in names}
    if len(dtypes) != 1 or any(len(low.shape(name)) > _MOST_AXES for name in names):
        return ""
    found = str(dtypes.pop())
    return found if found in _ELEMENTS else ""


def _bounds(low: Lowering, name: str) -> tuple[int, int] | None:
    """The least and the greatest of some integers."""
    held = low.constants.get(name)
    if held is None:
        return low.ranges.get(name)
    if held.dtype.kind not in "iu" or held.size == 0:
        return None
    return int(held.min()), int(held.max())


def _step(
    op: str,
    element: str,
    low: Lowering,
    operands: tuple[str, ...],
    output: str,
    target: str = "",
    activation: object = None,
) -> Lowered | None:
    """A step of `_kernels.elements`; operands: a, and b, and a condition."""
    if activation is not None:
        return None
    slots, out = tuple(low.slot(name) for name in operands), low.slot(output)
    size = math.prod(low.shape(output))

    def run(frame: Frame, into: Script | None = None) -> None:
        a, b, condition = [*(frame[slot] for slot in slots), None, None][:3]
        threads = threads_of(size, _SLOW)
        _kernels.elements(op, element, a, b, condition, frame[out], target, threads=threads, into=into)

    return Lowered(run, slots, (out,), how="elements", core=True)


@rule("add", "sub", "mul", "max", "min")
def arithmetic(node: Node, low: Lowering) -> Lowered | None:
    """Of integers; sums wrap around."""
    output = node.outputs[0]
    if len(node.inputs) != 2 or _element(low, *node.inputs, output) not in _WHOLE:
        return None
    first, second = (_bounds(low, name) for name in node.inputs)
    if first is not None and second is not None and node.kind in ("add", "sub"):
        sign = 1 if node.kind == "add" else -1
        ends = sorted(sign * end for end in second)
        found = (first[0] + ends[0], first[1] + ends[1])
        if found[0] > -(2**31) and found[1] < 2**31:
            low.ranges[output] = found
    element = _element(low, output)
    return _step(node.kind, element, low, node.inputs, output, activation=node.attributes.get("activation"))


@rule("clip")
def clip(node: Node, low: Lowering) -> Lowered | None:
    """Integers between two constants."""
    x, output = node.inputs[0], node.outputs[0]
    bounds = [low.constants.get(name) if name else None for name in (*node.inputs[1:], "", "")[:2]]
    if _element(low, x, output) not in _WHOLE or any(b is None or b.size != 1 for b in bounds):
        return None
    dtype = low.facts[x].dtype
    least, most = (np.asarray(bound, dtype).reshape(()) for bound in bounds if bound is not None)
    element, source, target = _element(low, x), low.slot(x), low.slot(output)
    threads = threads_of(math.prod(low.shape(output)), _SLOW)
    if least <= most:
        low.ranges[output] = (int(least), int(most))

    def run(frame: Frame, into: Script | None = None) -> None:
        out = frame[target]
        if into is not None:
            into.keep((least, most))
        _kernels.elements("max", element, frame[source], least, None, out, threads=threads, into=into)
        _kernels.elements("min", element, out, most, None, out, threads=threads, into=into)

    return Lowered(run, (source,), (target,), how="elements", core=True)


_TURNED = {"greater": "less", "greater_equal": "less_equal"}


@rule("equal", "less", "less_equal", "greater", "greater_equal", "and", "or", "xor")
def comparison(node: Node, low: Lowering) -> Lowered | None:
    """Truth values of two arrays."""
    a, b = node.inputs
    element, logical = _element(low, a, b), node.kind in ("and", "or", "xor")
    if not element or (node.kind != "equal" and logical != (element == "bool")):
        return None
    if len(low.shape(node.outputs[0])) > _MOST_AXES:
        return None
    if node.kind in _TURNED:
        a, b = b, a
    return _step(_TURNED.get(node.kind, node.kind), element, low, (a, b), node.outputs[0])


@rule("not")
def negation(node: Node, low: Lowering) -> Lowered | None:
    """Of truth values."""
    x = node.inputs[0]
    if _element(low, x) != "bool":
        return None
    return _step("not", "bool", low, (x, x), node.outputs[0])


@rule("where")
def where(node: Node, low: Lowering) -> Lowered | None:
    """One of two values, by a condition."""
    condition, a, b = node.inputs
    element = _element(low, a, b, node.outputs[0])
    if not element or _element(low, condition) != "bool":
        return None
    return _step("where", element, low, (a, b, condition), node.outputs[0])


@rule("cast")
def cast(node: Node, low: Lowering) -> Lowered | None:
    """All but floats to integers, where NumPy answers for what does not fit."""
    x, output = node.inputs[0], node.outputs[0]
    element, target = _element(low, x), _element(low, output)
    if not element or not target or (element.startswith("float") and target in _WHOLE):
        return None
    known = low.ranges.get(x)
    if known is not None and target in _WHOLE and known[0] >= -(2**31) and known[1] < 2**31:
        low.ranges[output] = known
    return _step("cast", element, low, (x,), output, target)


@rule("arg_max", "arg_min")
def places(node: Node, low: Lowering) -> Lowered | None:
    """Where the largest or smallest numbers are, along an axis."""
    x, output = node.inputs[0], node.outputs[0]
    shape = low.shape(x)
    if not _element(low, x).startswith("float") or not shape or 0 in shape:
        return None
    axis = node.attributes["axis"] % len(shape)
    outer, middle, inner = math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :])
    source, target, itemsize = low.slot(x), low.slot(output), low.facts[x].dtype.itemsize  # type: ignore[union-attr]
    smallest, last = node.kind == "arg_min", bool(node.attributes["select_last_index"])
    low.ranges[output] = (0, middle - 1)

    def run(frame: Frame, into: Script | None = None) -> None:
        threads = threads_of(outer * middle * inner, _SLOW)
        x, out = frame[source], frame[target]
        _kernels.extreme_places(itemsize, x, out, outer, middle, inner, smallest, last, threads, into)

    return Lowered(run, (source,), (target,), how="elements", core=True)


@rule("gather", "gather_elements")
def picked(node: Node, low: Lowering) -> Lowered | None:
    """What lies at places that are computed, where they are inside for sure."""
    x, index = node.inputs
    shape, wanted, output = low.shape(x), low.shape(index), low.shape(node.outputs[0])
    element, whole, bounds = _element(low, x), _element(low, index), _bounds(low, index)
    if not element or whole not in _WHOLE or bounds is None or not shape or len(output) > _MOST_AXES:
        return None
    axis = node.attributes["axis"] % len(shape)
    size = shape[axis]
    if bounds[0] < -size or bounds[1] >= size or 0 in output:
        return None
    if node.kind == "gather":
        ahead, behind = (1,) * axis, (1,) * (len(shape) - axis - 1)
        seen, places = (*shape[:axis], *(1,) * len(wanted), *shape[axis + 1 :]), (*ahead, *wanted, *behind)
        window = tuple(slice(0, 1) if n == axis else slice(None) for n in range(len(shape)))
    else:
        if any(w > s for n, (w, s) in enumerate(zip(wanted, shape, strict=True)) if n != axis):
            return None
        seen, places = tuple(1 if n == axis else w for n, w in enumerate(wanted)), wanted
        window = tuple(slice(0, size) for size in seen)
    source, other, target = low.slot(x), low.slot(index), low.slot(node.outputs[0])
    threads = threads_of(math.prod(output), _SLOW)

    def run(frame: Frame, into: Script | None = None) -> None:
        x: Array = frame[source]
        first, at = x[window].reshape(seen), frame[other].reshape(places)
        assert x.size == 0 or (np.may_share_memory(first, x) and np.may_share_memory(at, frame[other]))
        stride = x.strides[axis]
        _kernels.elements(
            "pick",
            whole,
            first,
            at,
            None,
            frame[target],
            stride=stride,
            size=size,
            threads=threads,
            into=into,
        )

    return Lowered(run, (source, other), (target,), how="elements", core=True)
