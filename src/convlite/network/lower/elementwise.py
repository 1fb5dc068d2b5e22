"""Elementwise kinds: vector kernels where there are some, NumPy into the arena elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...activations import Spec, activate
from ..graph import Node
from ..program import Frame, Lowered, Lowering
from .table import activation_of, rule

_UFUNCS: dict[str, Any] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "abs": np.abs,
    "neg": np.negative,
    "exp": np.exp,
    "sqrt": np.sqrt,
    "floor": np.floor,
    "ceil": np.ceil,
}
_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def _float_only(low: Lowering, names: tuple[str, ...]) -> bool:
    return all(low.facts[name].dtype in _FLOATS for name in names if name)


@rule(*_UFUNCS)
def ufunc(node: Node, low: Lowering) -> Lowered | None:
    """NumPy's function into the arena, then the activation in place."""
    if not _float_only(low, (*node.inputs, *node.outputs)):
        return None
    function: Callable[..., Any] = _UFUNCS[node.kind]
    sources, target = tuple(low.slot(name) for name in node.inputs), low.slot(node.outputs[0])
    activation = activation_of(node.attributes.get("activation"))
    low.shape(node.outputs[0])

    def run(frame: Frame) -> None:
        out = frame[target]
        with np.errstate(all="ignore"):
            function(*(frame[slot] for slot in sources), out=out)
        if activation is not None:
            activate(out, activation, out=out)

    return Lowered(run, sources, (target,), over=sources, how="NumPy")


_NAMED = ("relu", "relu6", "sigmoid", "tanh", "silu", "hard_swish", "softplus")


@rule(*_NAMED, "gelu", "leaky_relu", "elu", "hard_sigmoid", "prelu")
def activation(node: Node, low: Lowering) -> Lowered | None:
    """activate()."""
    from ..passes.activations import fused_form

    if not _float_only(low, (*node.inputs[:1], *node.outputs)):
        return None
    form = fused_form(node, lambda name: low.constants.get(name), low.shape(node.outputs[0]))
    if form is None:
        return None
    spec: Spec = activation_of(form)
    source, target = low.slot(node.inputs[0]), low.slot(node.outputs[0])

    def run(frame: Frame) -> None:
        x, out = frame[source], frame[target]
        if x is not out and np.may_share_memory(x, out):
            x = out
        activate(x, spec, out=out)

    return Lowered(run, (source,), (target,), over=(source,), how="activation")


@rule("affine")
def affine(node: Node, low: Lowering) -> Lowered | None:
    """x*scale + offset per channel."""
    x = node.inputs[0]
    held = [low.constants.get(name) for name in node.inputs[1:]]
    scale, offset = held
    if scale is None or offset is None or not _float_only(low, node.inputs):
        return None
    source, target = low.slot(x), low.slot(node.outputs[0])
    activation = activation_of(node.attributes["activation"])

    def run(frame: Frame) -> None:
        out = frame[target]
        np.multiply(frame[source], scale, out=out)
        np.add(out, offset, out=out)
        if activation is not None:
            activate(out, activation, out=out)

    return Lowered(run, (source,), (target,), over=(source,), how="NumPy")


@rule("softmax")
def softmax(node: Node, low: Lowering) -> Lowered | None:
    """Over the last axis."""
    shape = low.shape(node.outputs[0])
    if node.attributes["axis"] % len(shape) != len(shape) - 1 or not _float_only(low, node.inputs):
        return None
    source, target = low.slot(node.inputs[0]), low.slot(node.outputs[0])

    def run(frame: Frame) -> None:
        activate(frame[source], "softmax", out=frame[target])

    return Lowered(run, (source,), (target,), how="softmax")
