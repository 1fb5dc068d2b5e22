"""Explicit padding with zeros becomes the padding of the convolution or average pool that alone reads it."""

from __future__ import annotations

from collections.abc import Mapping

from ..facts import Fact
from ..graph import Graph
from .editor import Editor

__all__ = ["fold_padding"]


def fold_padding(graph: Graph, facts: Mapping[str, Fact]) -> Graph:
    """pad(x, zeros around spatial axes) -> conv  =  conv with that padding added to its own."""
    if not any(node.kind == "pad" for node in graph.nodes):
        return graph
    editor = Editor(graph, facts)
    for number, node in editor.of_kind("conv"):
        before = editor.producer(node.inputs[0])
        padding = node.attributes["padding"]
        if before is None or before.kind != "pad" or isinstance(padding, str):
            continue
        if before.attributes["mode"] != "constant":
            continue
        value = before.inputs[2] if len(before.inputs) > 2 else ""
        if value and editor.scalar(value) != 0:
            continue
        pads, rank = editor.constant(before.inputs[1]), editor.rank(before.inputs[0])
        if pads is None or rank is None:
            continue
        axes = range(rank)
        if len(before.inputs) > 3 and before.inputs[3]:
            held = editor.constant(before.inputs[3])
            if held is None:
                continue
            axes = [int(axis) % rank for axis in held.reshape(-1)]  # type: ignore[assignment]
        around = dict.fromkeys(range(rank), (0, 0))
        half = len(pads) // 2
        for place, axis in enumerate(axes):
            around[axis] = (int(pads[place]), int(pads[half + place]))
        if (
            around[0] != (0, 0)
            or around[rank - 1] != (0, 0)
            or min(min(pair) for pair in around.values()) < 0
        ):
            continue
        total = tuple(
            (own[0] + around[axis][0], own[1] + around[axis][1]) for axis, own in enumerate(padding, start=1)
        )
        attributes = {**node.attributes, "padding": total}
        editor.change(number, inputs=(before.inputs[0], *node.inputs[1:]), attributes=attributes)
    return editor.graph()
