"""A residual into the convolution that computes the other operand: last(act(conv + bias) + residual).

Such a node is a conv with a fourth input, and `last` for the activation behind the addition. The residual may
have fewer channels, where a graph pads them with zeros. It runs last, for inputs of known shapes: the other
passes never meet it, nor do files.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..facts import Fact
from ..graph import Graph, Node
from .editor import Editor

__all__ = ["fuse_residuals"]


def fuse_residuals(graph: Graph, facts: Mapping[str, Fact]) -> Graph:
    """An add of two values of one shape becomes the last part of a conv that computes one of them for it
    alone.

    Of two such convs the later one takes it, since the other's output must be there.
    """
    if not any(node.kind == "add" for node in graph.nodes):
        return graph
    editor = Editor(graph, facts)
    places = {number: place for place, number in enumerate(editor.order())}
    for number, node in editor.of_kind("add"):
        convs = [name for name in node.inputs if _takes(editor, node, name)]
        if not convs:
            continue
        name = max(convs, key=lambda name: places[editor.number(name)])
        place = editor.number(name)
        conv, (other,) = editor.nodes[place], [operand for operand in node.inputs if operand != name]
        attributes = {**conv.attributes, "last": node.attributes.get("activation")}
        inputs = (*(*conv.inputs, "")[:3], _unpadded(editor, other))
        editor.remove(number)
        editor.change(place, inputs=inputs, outputs=node.outputs, attributes=attributes)
        places[place] = places[number]
    return editor.graph()


def _unpadded(editor: Editor, name: str) -> str:
    """What a value is before zeros were put behind its channels, by a pad that no other node reads."""
    pad = editor.producer(name)
    if pad is None or pad.kind != "pad" or editor.only_reader(name) is None:
        return name
    x, fill = pad.inputs[0], (*pad.inputs, "")[2]
    shape, padded, pads = editor.shape(x), editor.shape(name), editor.constant(pad.inputs[1])
    if pad.attributes["mode"] != "constant" or (fill and editor.scalar(fill) != 0):
        return name
    if not shape or not padded or pads is None or pads.size != 2 * len(shape) or len(pad.inputs) > 3:
        return name
    behind = [0] * (2 * len(shape) - 1) + [padded[-1] - shape[-1]]
    return x if behind[-1] > 0 and shape[-1] > 0 and pads.reshape(-1).tolist() == behind else name


def _has_slopes(node: Node) -> bool:
    activation = node.attributes.get("activation")
    return (
        activation is not None and (activation if isinstance(activation, str) else activation[0]) == "prelu"
    )


def _takes(editor: Editor, node: Node, name: str) -> bool:
    """Whether an operand is a conv's, which may add the other one."""
    conv, shape = editor.producer(name), editor.shape(node.outputs[0])
    if conv is None or conv.kind != "conv" or len(conv.inputs) > 3 or editor.only_reader(name) is None:
        return False
    if _has_slopes(node) and _has_slopes(conv):
        return False  # the kernels have room for those of one
    fact = editor.facts[name]
    if fact.dtype is None or fact.dtype.kind != "f" or not fact.concrete or fact.shape != shape:
        return False
    others = [editor.facts[operand] for operand in node.inputs if operand != name]
    return len(others) == 1 and others[0].shape == shape and others[0].dtype == fact.dtype
