"""What does not depend on the inputs' values is computed once."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..facts import Fact
from ..graph import Graph
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
