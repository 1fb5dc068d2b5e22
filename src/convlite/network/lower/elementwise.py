"""Elementwise kinds: a pass of the core over memory for each, activation included; NumPy for rare ones."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ... import _dispatch, _kernels, _threads
from ...activations import Fused, resolve
from ..graph import Array, Node
from ..passes.activations import fused_form
from ..program import Frame, Lowered, Lowering, Script
from .table import activation_of, rule

_PASS = _kernels.pass_codes()
_MOST_AXES = 8  # of the core's passes
_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def float_only(low: Lowering, names: tuple[str, ...]) -> bool:
    """Whether all values are float32, or all float64."""
    found = {low.facts[name].dtype for name in names if name}
    return len(found) == 1 and found <= set(_FLOATS)


def fused_of(attribute: Any, channels: int, dtype: np.dtype[Any]) -> Fused:
    """What the core takes for a fused activation."""
    return resolve(activation_of(attribute, dtype), channels, dtype)[0]


def keep(into: Script | None, *things: Any) -> None:
    """Let a script hold what its step points to, beside slots."""
    if into is not None:
        into.keep(things)


def threads_of(size: int, nanoseconds: float = 0.1) -> int:
    """Threads for so many numbers that take about so long each."""
    return _threads.threads_for(nanoseconds * size)


@rule("add", "sub", "mul", "div", "max", "min")
def combined(node: Node, low: Lowering) -> Lowered | None:
    """Two operands, broadcast, and an activation."""
    names, output = node.inputs, node.outputs[0]
    shape = low.shape(output)
    if len(names) != 2 or not float_only(low, (*names, output)) or len(shape) > _MOST_AXES:
        return None
    dtype = low.facts[output].dtype
    assert dtype is not None
    fused = fused_of(node.attributes.get("activation"), shape[-1] if shape else 1, dtype)
    a, b = names
    if node.kind in ("add", "mul", "max", "min") and low.shape(a) != shape and low.shape(b) == shape:
        a, b = b, a
    first, second, target = low.slot(a), low.slot(b), low.slot(output)
    size, op, isa, combine = math.prod(shape), _PASS[node.kind], _dispatch.active_isa(), _kernels.elementwise
    code, least, most, alpha = fused

    def run(frame: Frame, into: Script | None = None) -> None:
        x, y, out = frame[first], frame[second], frame[target]
        keep(into, alpha)
        combine(isa, op, x, y, out, code, least, most, alpha, threads_of(size), into)

    over = tuple(low.slot(name) for name in names if low.shape(name) == shape)
    ends = (first, second, target)
    return Lowered(run, ends[:2], (target,), over=over, how="pass", core=True, gaps=ends, frames=ends)


_ACTIVATIONS = (
    *("relu", "relu6", "sigmoid", "tanh", "silu", "hard_swish", "softplus", "mish", "softsign", "exp"),
    *("gelu", "leaky_relu", "elu", "hard_sigmoid", "prelu", "clip", "celu", "selu"),
)


@rule(*_ACTIVATIONS)
def activation(node: Node, low: Lowering) -> Lowered | None:
    """One operand through an activation of the core."""
    x, output = node.inputs[0], node.outputs[0]
    if not float_only(low, (x, output)) or low.shape(x) != low.shape(output):
        return None
    shape, dtype = low.shape(output), low.facts[output].dtype
    assert dtype is not None
    fused = _bounds(node, low) if node.kind == "clip" else None
    if fused is None:
        form = fused_form(node, lambda name: low.constants.get(name), shape)
        if form is None:
            return None
        fused = fused_of(form, shape[-1] if shape else 1, dtype)
    if len(shape) > _MOST_AXES:
        return None
    source, target = low.slot(x), low.slot(output)
    isa, op, size, combine = _dispatch.active_isa(), _PASS["first"], math.prod(shape), _kernels.elementwise
    code, least, most, alpha = fused
    each = 0.4 if code > 5 else 0.1  # exponentials take about 0.5 ns

    def run(frame: Frame, into: Script | None = None) -> None:
        x, out = frame[source], frame[target]
        keep(into, alpha)
        combine(isa, op, x, None, out, code, least, most, alpha, threads_of(size, each), into)

    ends = (source, target)
    return Lowered(run, (source,), (target,), over=(source,), how="pass", core=True, gaps=ends, frames=ends)


def _bounds(node: Node, low: Lowering) -> Fused | None:
    """clip with constant bounds."""
    bounds = []
    for name, missing in zip([*node.inputs[1:], "", ""][:2], (-np.inf, np.inf), strict=True):
        held = low.constants.get(name) if name else None
        if name and (held is None or held.size != 1):
            return None
        bounds.append(missing if held is None else float(held.reshape(-1)[0]))
    if not bounds[0] <= bounds[1]:
        return None
    return Fused(1, bounds[0], bounds[1])


@rule("affine")
def affine(node: Node, low: Lowering) -> Lowered | None:
    """x*scale + offset per channel, and an activation."""
    x, output = node.inputs[0], node.outputs[0]
    scale, offset = (low.constants.get(name) for name in node.inputs[1:])
    if scale is None or offset is None or not float_only(low, node.inputs):
        return None
    shape = low.shape(output)
    channels = shape[-1]
    pixels = (math.prod(shape) // max(channels, 1), channels)
    source, target = low.view(low.slot(x), pixels), low.slot(output)
    out = low.view(target, pixels)
    factor, moved = (np.ascontiguousarray(np.broadcast_to(v, channels)) for v in (scale, offset))
    code, least, most, alpha = fused_of(node.attributes["activation"], channels, scale.dtype)
    isa, size, scaled = _dispatch.active_isa(), math.prod(shape), _kernels.affine
    if size == 0:
        return None

    def run(frame: Frame, into: Script | None = None) -> None:
        threads = threads_of(size)
        keep(into, factor, moved, alpha)
        scaled(isa, frame[source], None, factor, moved, frame[out], code, least, most, alpha, threads, into)

    ends = (source, target)  # no frames: `out` is one row of pixels, which parts of rows are not
    return Lowered(run, (source,), (target,), over=(source,), how="pass", core=True, gaps=ends)


_UNARY = _kernels.unary_codes()


@rule(*_UNARY)
def unary(node: Node, low: Lowering) -> Lowered | None:
    """Square roots, logarithms and the like."""
    x, output = node.inputs[0], node.outputs[0]
    if not float_only(low, (x, output)):
        return None
    source, target, size = low.slot(x), low.slot(output), math.prod(low.shape(output))
    op, isa = _UNARY[node.kind], _dispatch.active_isa()
    each = 0.8 if node.kind == "log" else 0.1

    def run(frame: Frame, into: Script | None = None) -> None:
        if size:
            x = np.ascontiguousarray(frame[source])
            keep(into, x)
            _kernels.unary(isa, op, x, frame[target], threads_of(size, each), into)

    return Lowered(run, (source,), (target,), over=(source,), how="pass", core=True)


@rule("pow")
def square(node: Node, low: Lowering) -> Lowered | None:
    """x to the second power, of a constant: a product."""
    x, exponent = node.inputs
    held, output = low.constants.get(exponent), node.outputs[0]
    if held is None or held.size != 1 or held.reshape(-1)[0] != 2 or not float_only(low, (x, output)):
        return None
    shape = low.shape(output)
    if low.shape(x) != shape or len(shape) > _MOST_AXES:
        return None
    source, target, size, isa = low.slot(x), low.slot(output), math.prod(shape), _dispatch.active_isa()

    def run(frame: Frame, into: Script | None = None) -> None:
        x, out, threads = frame[source], frame[target], threads_of(size)
        _kernels.elementwise(isa, _PASS["mul"], x, x, out, threads=threads, into=into)

    ends = (source, target)
    return Lowered(run, (source,), (target,), over=(source,), how="pass", core=True, gaps=ends, frames=ends)


_UFUNCS: dict[str, Any] = {
    "floor": np.floor,
    "ceil": np.ceil,
    "sin": np.sin,
    "cos": np.cos,
}


@rule(*_UFUNCS)
def ufunc(node: Node, low: Lowering) -> Lowered | None:
    """NumPy's function into the arena."""
    if not float_only(low, (*node.inputs, *node.outputs)):
        return None
    function = _UFUNCS[node.kind]
    source, target = low.slot(node.inputs[0]), low.slot(node.outputs[0])

    def run(frame: Frame) -> None:
        with np.errstate(all="ignore"):
            function(frame[source], out=frame[target])

    return Lowered(run, (source,), (target,), over=(source,), how="NumPy")


@rule("softmax", "log_softmax")
def softmax(node: Node, low: Lowering) -> Lowered | None:
    """Softmax, or its logarithm, over the last axis."""
    logarithm = node.kind == "log_softmax"
    shape = low.shape(node.outputs[0])
    if not shape or node.attributes["axis"] % len(shape) != len(shape) - 1:
        return None
    if not float_only(low, node.inputs) or 0 in shape:
        return None
    source, target = low.slot(node.inputs[0]), low.slot(node.outputs[0])
    size, columns, isa = math.prod(shape), shape[-1], _dispatch.active_isa()

    def run(frame: Frame, into: Script | None = None) -> None:
        x: Array = frame[source]
        x = x if x.flags.c_contiguous else np.ascontiguousarray(x)
        threads = threads_of(size, 0.6)
        keep(into, x)
        rows = size // columns
        _kernels.softmax(isa, x.itemsize, x, frame[target], rows, columns, threads, into, logarithm)

    return Lowered(run, (source,), (target,), how=node.kind, core=True)
