"""Activations: recognised where exporters wrote them as several nodes, and fused into the node before.

A fused activation is an attribute `activation = (name, *parameters)` of the kinds of FUSED_INTO; the names
are those of the kinds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..facts import Fact
from ..graph import Array, Graph, Node
from .editor import Editor

__all__ = ["FUSED_INTO", "fuse_activations", "fused_form", "recognise_activations"]

FUSED_INTO = ("conv", "conv_transpose", "dense", "affine", "add", "mul", "instance_norm", "group_norm")
_SIMPLE_ONLY = ("instance_norm", "group_norm")  # activations without parameters


def recognise_activations(graph: Graph, facts: Mapping[str, Fact]) -> Graph:
    """clip -> relu, relu6; x*sigmoid(x) -> silu; hard-swish, gelu and mish in their pieces -> one node."""
    editor = Editor(graph, facts)
    for number, node in editor.of_kind("clip"):
        _clip(editor, number, node)
    for number, node in editor.of_kind("min", "max"):
        if len(node.inputs) == 2:
            _bound(editor, number, node)
    for number, node in editor.of_kind("mul", "div"):
        if number in editor.nodes:
            _product(editor, number, node)
    return editor.graph()


def _clip(editor: Editor, number: int, node: Node) -> None:
    """clip(x, 0, inf) is relu, clip(x, 0, 6) is relu6."""
    names = [*node.inputs[1:], "", ""][:2]
    if any(name and editor.scalar(name) is None for name in names):
        return
    low = editor.scalar(names[0]) if names[0] else -math.inf
    high = editor.scalar(names[1]) if names[1] else math.inf
    if low == 0 and high in (6, math.inf):  # the largest number is a bound, since infinity is more
        kind = "relu6" if high == 6 else "relu"
        editor.change(number, kind=kind, inputs=node.inputs[:1], attributes={})


def _bound(editor: Editor, number: int, node: Node) -> None:
    """max(x, 0) is relu; min(relu(x), 6) is relu6."""
    for x, c in (node.inputs, node.inputs[::-1]):
        value = editor.scalar(c)
        if (
            value is None
            or editor.constant(x) is not None
            or editor.shape(x) != editor.shape(node.outputs[0])
        ):
            continue
        if node.kind == "max" and value == 0:
            editor.change(number, kind="relu", inputs=(x,), attributes={})
        elif node.kind == "min" and value == 6 and (before := _inner(editor, x, "relu")) is not None:
            editor.change(number, kind="relu6", inputs=(before.inputs[0],), attributes={})
        return


def _inner(editor: Editor, name: str, *kinds: str) -> Node | None:
    """The node that writes a value, where it is of one of these kinds."""
    node = editor.producer(name)
    return node if node is not None and node.kind in kinds else None


def _scaled(editor: Editor, name: str, stop: str = "") -> tuple[str, float]:
    """(x, c) where the value is x*c with a constant c; (name, 1) for all else, and where name is `stop`."""
    if name == stop:
        return name, 1.0
    node = _inner(editor, name, "mul", "div")
    if node is not None and node.attributes.get("activation") is None:
        a, b = node.inputs
        if (value := editor.scalar(b)) is not None and value != 0 and _same_shape(editor, a, name):
            inner, factor = _scaled(editor, a, stop)
            return inner, factor * (value if node.kind == "mul" else 1 / value)
        if node.kind == "mul" and (value := editor.scalar(a)) is not None and _same_shape(editor, b, name):
            inner, factor = _scaled(editor, b, stop)
            return inner, factor * value
    return name, 1.0


def _shifted(editor: Editor, name: str) -> tuple[str, float]:
    """(x, c) where the value is x + c with a constant c."""
    node = _inner(editor, name, "add", "sub")
    if node is not None and node.attributes.get("activation") is None:
        a, b = node.inputs
        if (value := editor.scalar(b)) is not None and _same_shape(editor, a, name):
            return a, value if node.kind == "add" else -value
        if node.kind == "add" and (value := editor.scalar(a)) is not None and _same_shape(editor, b, name):
            return b, value
    return name, 0.0


def _same_shape(editor: Editor, a: str, b: str) -> bool:
    return editor.shape(a) is not None and editor.shape(a) == editor.shape(b)


def _splits(editor: Editor, name: str, depth: int = 0) -> list[tuple[float, tuple[str, ...]]]:
    """The ways to see a value as constant * (at most two factors), itself the first; factors may be products
    in turn."""
    value = editor.scalar(name)
    if value is not None:
        return [(value, ())]
    found: list[tuple[float, tuple[str, ...]]] = [(1.0, (name,))]
    node = _inner(editor, name, "mul", "div")
    if node is None or depth > 4 or node.attributes.get("activation") is not None:
        return found
    a, b = node.inputs
    if any(editor.scalar(operand) is None and not _same_shape(editor, operand, name) for operand in (a, b)):
        return found  # a gate, say: no activation has operands of two shapes
    if node.kind == "div":
        divisor = editor.scalar(b)
        parts = _splits(editor, a, depth + 1) if divisor else []
        return found + [(constant / divisor, factors) for constant, factors in parts if divisor]
    for first, left in _splits(editor, a, depth + 1):
        for second, right in _splits(editor, b, depth + 1):
            if len(left) + len(right) <= 2:
                found.append((first * second, left + right))
    return found


def _product(editor: Editor, number: int, node: Node) -> None:
    """x*sigmoid(x), x*hard_sigmoid(x), c*x*(1 + erf(x/sqrt 2)), c*x*(1 + tanh(...)), x*tanh(softplus(x))."""
    output = node.outputs[0]
    if not editor.is_float(output) or node.attributes.get("activation") is not None:
        return
    for constant, factors in _splits(editor, output):
        if len(factors) != 2:
            continue
        for x, gate in (factors, factors[::-1]):
            name = _gate(editor, x, gate, constant) if _same_shape(editor, x, output) else None
            if name is not None:
                kind, attributes = name
                editor.change(number, kind=kind, inputs=(x,), attributes=attributes)
                return


def _gate(editor: Editor, x: str, gate: str, constant: float) -> tuple[str, dict[str, object]] | None:
    """The activation that constant * x * gate is."""

    def close(a: float, b: float) -> bool:
        return abs(a - b) <= 1e-5 * abs(b)

    one = close(constant, 1)
    node = editor.producer(gate)
    if node is None:
        return None
    if node.kind == "sigmoid" and node.inputs[0] == x and one:
        return "silu", {}
    if node.kind == "hard_sigmoid" and node.inputs[0] == x and one:
        if close(node.attributes["alpha"], 1 / 6) and close(node.attributes["beta"], 0.5):
            return "hard_swish", {}
        return None
    if node.kind in ("relu6", "clip") and close(constant, 1 / 6):
        if node.kind == "clip":
            return None  # relu6 by now, or not hard-swish
        inner, shift = _shifted(editor, node.inputs[0])
        return ("hard_swish", {}) if inner == x and close(shift, 3) else None
    if node.kind == "tanh" and one:
        inside = _inner(editor, node.inputs[0], "softplus")
        return ("mish", {}) if inside is not None and inside.inputs[0] == x else None
    if node.kind == "add" and close(constant, 0.5):
        inner, shift = _shifted(editor, gate)
        inside = editor.producer(inner) if close(shift, 1) else None
        if inside is None:
            return None
        argument, factor = _scaled(editor, inside.inputs[0], x)
        if inside.kind == "erf" and argument == x and close(factor, math.sqrt(0.5)):
            return "gelu", {"approximate": False}
        if inside.kind == "tanh" and close(factor, math.sqrt(2 / math.pi)) and _is_cubic(editor, argument, x):
            return "gelu", {"approximate": True}
    return None


def _is_cubic(editor: Editor, name: str, x: str) -> bool:
    """Whether a value is x + 0.044715*x**3."""
    node = _inner(editor, name, "add")
    if node is None:
        return False
    for first, second in (node.inputs, node.inputs[::-1]):
        inner, factor = _scaled(editor, second)
        cube = _inner(editor, inner, "pow", "mul")
        if first != x or cube is None:
            continue
        if cube.kind == "pow":
            cubed = cube.inputs[0] == x and editor.scalar(cube.inputs[1]) == 3
        else:  # the constant may stand at any place: x*(x*(c*x))
            operands = _flat(editor, inner, x, [])
            held = [editor.scalar(name) for name in operands]
            factor *= math.prod(value for value in held if value is not None)
            cubed = [name for name, value in zip(operands, held, strict=True) if value is None] == [x, x, x]
        return cubed and abs(factor - 0.044715) <= 1e-6
    return False


def _flat(editor: Editor, name: str, x: str, found: list[str]) -> list[str]:
    """The operands of a nest of multiplications, x for one of them."""
    node = None if name == x else _inner(editor, name, "mul")
    if node is None or len(found) > 4:
        found.append(name)
    else:
        for operand in node.inputs:
            _flat(editor, operand, x, found)
    return found


def fuse_activations(graph: Graph, facts: Mapping[str, Fact]) -> Graph:
    """An activation that alone reads what a node of FUSED_INTO writes becomes that node's."""
    editor = Editor(graph, facts)
    for number in editor.order():
        if number not in editor.nodes:
            continue
        node = editor.nodes[number]
        activation = _fusable(editor, node)
        if activation is None:
            continue
        source = node.inputs[0]
        before = editor.producer(source)
        if before is None or before.kind not in FUSED_INTO or editor.only_reader(source) is None:
            continue
        if before.attributes.get("activation") is not None or not editor.is_float(source):
            continue
        if before.kind in _SIMPLE_ONLY and len(activation) > 1:
            continue
        place = editor.number(source)
        editor.remove(number)
        attributes = {**before.attributes, "activation": activation}
        editor.change(place, outputs=node.outputs, attributes=attributes)
    return editor.graph()


def _fusable(editor: Editor, node: Node) -> tuple[object, ...] | None:
    shape = editor.shape(node.outputs[0]) if len(node.outputs) == 1 else None
    return None if shape is None else fused_form(node, editor.constant, shape)


_SIMPLE = {
    **{name: name for name in ("relu", "relu6", "sigmoid", "tanh", "silu", "hard_swish", "softplus")},
    "mish": "mish",
    "softsign": "softsign",
    "exp": "exponential",
}


def fused_form(
    node: Node, constant: Callable[[str], Array | None], shape: tuple[Any, ...]
) -> tuple[object, ...] | None:
    """(name, *parameters) where a node is an activation that kernels know, on an output of this shape."""
    attributes = node.attributes
    if node.kind in _SIMPLE:
        return (_SIMPLE[node.kind],)
    if node.kind == "gelu":
        return ("gelu_tanh",) if attributes["approximate"] else ("gelu",)
    if node.kind in ("leaky_relu", "elu"):
        return (node.kind, float(attributes["alpha"]))
    if node.kind == "hard_sigmoid":
        alpha, beta = attributes["alpha"], attributes["beta"]
        return ("hard_sigmoid",) if abs(alpha - 1 / 6) < 1e-6 and abs(beta - 0.5) < 1e-6 else None
    if node.kind == "prelu":
        slope = constant(node.inputs[1])
        if slope is None or not shape:
            return None
        if slope.size != 1 and (slope.size != shape[-1] or slope.shape[-1] != slope.size):
            return None
        return ("prelu", np.ascontiguousarray(slope.reshape(-1)))
    return None
