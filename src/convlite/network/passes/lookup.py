"""A product of one-hot vectors with a constant matrix selects rows: it becomes a gather."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..facts import Fact
from ..graph import Array, Graph, Node
from .editor import Editor

__all__ = ["fold_one_hot"]


def fold_one_hot(graph: Graph, facts: Mapping[str, Fact]) -> Graph:
    """cast(ids == 0..K-1) @ table + bias  =  the rows of table + bias; ids outside have zeros + bias.

    The sums are the same to the bit: all products but one are zeros, where the table is finite.
    """
    if not any(node.kind == "equal" for node in graph.nodes):
        return graph
    editor = Editor(graph, facts)
    for number, node in editor.of_kind("dense", "matmul"):
        ids = _ids(editor, node)
        table = None if ids is None else _table(editor, node)
        if table is None or ids is None:
            continue
        fact = editor.facts[ids]
        assert fact.shape is not None
        assert fact.dtype is not None
        axis = editor.add_constant(f"{ids}.axes", np.array([-1]))
        flat = editor.add("squeeze", (ids, axis), Fact(fact.dtype, fact.shape[:-1]))
        # gather counts -1 from the end: both sides of the range lead to the last row
        bounds = [
            editor.add_constant(f"{ids}.bound", np.array(bound, fact.dtype)) for bound in (-1, len(table) - 1)
        ]
        within = editor.add("clip", (flat, *bounds), Fact(fact.dtype, fact.shape[:-1]))
        rows = editor.add_constant(f"{node.outputs[0]}.rows", table)
        editor.change(number, kind="gather", inputs=(rows, within), attributes={"axis": 0})
    return editor.graph()


def _table(editor: Editor, node: Node) -> Array | None:
    """The rows that the product can give, the last one for no id; None where that is not known."""
    weights = editor.constant(node.inputs[1])
    bias = editor.constant(node.inputs[2]) if len(node.inputs) > 2 and node.inputs[2] else None
    if weights is None or weights.ndim != 2 or not np.isfinite(weights).all():
        return None
    if node.attributes.get("activation") is not None or (bias is None and any(node.inputs[2:])):
        return None
    rows = np.concatenate([weights + 0.0, np.zeros_like(weights[:1])])  # a sum has no -0
    return rows if bias is None else rows + bias


def _ids(editor: Editor, node: Node) -> str | None:
    """The integers (..., 1) of whose one-hot vectors this is a product."""
    cast, weights = editor.producer(node.inputs[0]), editor.shape(node.inputs[1])
    count = weights[0] if weights else None
    equal = None if cast is None or cast.kind != "cast" else editor.producer(cast.inputs[0])
    if equal is None or equal.kind != "equal":
        return None
    for ids, numbers in (equal.inputs, equal.inputs[::-1]):
        held, fact = editor.constant(numbers), editor.facts[ids]
        if held is None or held.size != count or held.shape[-1:] != (count,) or fact.dtype is None:
            continue
        if fact.dtype.kind != "i" or fact.shape is None or fact.shape[-1:] != (1,):
            continue
        if held.ndim <= len(fact.shape) and np.array_equal(held.reshape(-1), np.arange(count)):
            return ids
    return None
