"""What does not depend on the inputs' values is computed once."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..facts import Fact
from ..graph import Graph, Node
from ..infer import facts_of
from .editor import Editor

__all__ = ["fold_constants"]

# A constant larger than this is not written down where a node of small inputs makes it: Expand, Tile.
_MOST_BYTES = 1 << 22


def fold_constants(graph: Graph, facts: Mapping[str, Fact]) -> Graph:
    """Values that `facts` knows become constants; identity and dead nodes go."""
    editor = Editor(graph, facts)
    for number in editor.order():
        node = editor.nodes.get(number)
        if node is None:
            continue
        if node.kind == "if_":
            _inline(editor, number, node)
            continue
        if node.kind == "identity":
            editor.replace(node.outputs[0], node.inputs[0])
            continue
        given = sum(held.nbytes for name in node.inputs if (held := editor.constants.get(name)) is not None)
        for name in node.outputs:
            known = facts[name].known if name and name in facts else None
            if known is None or known.nbytes > max(_MOST_BYTES, 2 * given):
                continue
            if name not in editor.outputs:
                editor.replace(name, editor.add_constant(f"{name}.value", np.asarray(known)))
    return editor.graph()


def _inline(editor: Editor, number: int, node: Node) -> None:
    """A branch whose condition is known takes the place of its node."""
    condition = editor.facts[node.inputs[0]].known
    if condition is None or condition.size != 1:
        return
    branch: Graph = node.attributes["then_branch" if condition.reshape(-1)[0] else "else_branch"]
    names = {value.name: outer for value, outer in zip(branch.inputs, node.inputs[1:], strict=True)}
    inner = facts_of(branch, {})
    for name, array in branch.constants.items():
        names[name] = editor.add_constant(name, array)
    for inside in branch.nodes:
        outputs = tuple(editor.fresh(name) if name else "" for name in inside.outputs)
        for old, new in zip(inside.outputs, outputs, strict=True):
            if old:
                names[old] = new
                editor.facts[new] = inner[old]
        inputs = tuple(names[name] if name else "" for name in inside.inputs)
        editor.insert(inside.with_(inputs=inputs, outputs=outputs))
    for value, output in zip(branch.outputs, node.outputs, strict=False):
        if output:
            editor.replace(output, names[value.name])
    if number in editor.nodes and not any(editor.readers(name) for name in node.outputs if name):
        editor.sweep()
