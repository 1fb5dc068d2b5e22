"""What does not depend on the inputs' values is computed once."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..facts import Fact
from ..graph import Graph, Node
from ..infer import facts_of
from .editor import Editor

__all__ = ["fold_constants"]

# A constant larger than this is not stored if a node with small inputs makes it (Expand, Tile).
_MOST_BYTES = 1 << 22


def fold_constants(graph: Graph, facts: Mapping[str, Fact]) -> Graph:
    """Values that `facts` knows become constants; identity, what changes nothing, and dead nodes go."""
    editor = Editor(graph, facts)
    for number in editor.order():
        node = editor.nodes.get(number)
        if node is None:
            continue
        if node.kind == "if_":
            _inline(editor, number, node)
            continue
        if node.kind == "identity" or _changes_nothing(editor, node):
            editor.replace(node.outputs[0], node.inputs[0])
            continue
        given = sum(held.nbytes for name in node.inputs if (held := editor.constants.entry(name)) is not None)
        for name in node.outputs:
            known = facts[name].known if name and name in facts else None
            if known is None or known.nbytes > max(_MOST_BYTES, 2 * given):
                continue
            if name not in editor.outputs:
                editor.replace(name, editor.add_constant(f"{name}.value", np.asarray(known)))
    editor.sweep()
    return editor.graph()


# Those that give back their first input where they give back its shape; slice too, if it does not step back.
_SHAPING = frozenset(("expand", "flatten", "reshape", "slice", "squeeze", "tile", "unsqueeze"))


def _changes_nothing(editor: Editor, node: Node) -> bool:
    """Whether the output is the first input, by what is known of shapes: exporters write whole slices."""
    if node.kind not in _SHAPING:
        return False
    before, after = editor.shape(node.inputs[0]), editor.shape(node.outputs[0])
    if before is None or before != after or None in before:
        return False
    if node.kind != "slice" or len(node.inputs) < 5 or not node.inputs[4]:
        return True
    steps = editor.constant(node.inputs[4])
    return steps is not None and bool((steps > 0).all())


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
            kept = editor.replace(output, names[value.name])
            names = {inside: kept if name == names[value.name] else name for inside, name in names.items()}
    if number in editor.nodes and not any(editor.readers(name) for name in node.outputs if name):
        editor.sweep()
