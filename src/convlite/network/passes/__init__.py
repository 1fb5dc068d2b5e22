"""Graph -> Graph, each pass small and tested against the interpreter."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ..facts import Fact
from ..graph import Graph, Node
from ..infer import Memo, facts_of
from .activations import fuse_activations, recognise_activations
from .affine import fold_affine
from .constants import fold_constants
from .ends import channels_last_ends
from .layout import sink_transposes
from .lookup import fold_one_hot
from .padding import fold_padding
from .residuals import fuse_residuals

__all__ = [
    "PASSES",
    "channels_last_ends",
    "fold_affine",
    "fold_constants",
    "fold_one_hot",
    "fold_padding",
    "fuse_activations",
    "fuse_residuals",
    "inside_first",
    "optimised",
    "passed",
    "recognise_activations",
    "sink_transposes",
]

Pass = Callable[[Graph, Mapping[str, Fact]], Graph]

# In this order: each prepares what later ones look for.
PASSES: tuple[Pass, ...] = (
    fold_constants,
    sink_transposes,
    fold_constants,
    recognise_activations,
    fold_affine,
    fold_one_hot,
    fold_padding,
    fuse_activations,
)
# These round other products or sums than those of the graph.
ROUNDING: tuple[Pass, ...] = (recognise_activations, fold_affine)


def optimised(graph: Graph) -> Graph:
    """The graph after all passes, branches and loops included."""
    return passed(inside_first(graph))[0]


def inside_first(graph: Graph) -> Graph:
    """The graph with its branches and loops after all passes."""
    return graph.with_(nodes=tuple(_inside(node) for node in graph.nodes))


def passed(
    graph: Graph,
    input_shapes: Mapping[str, Sequence[int]] | None = None,
    rounding: bool = True,
    memo: Memo | None = None,
) -> tuple[Graph, dict[str, Fact]]:
    """The graph after all passes, and what is known of its values; for inputs of these shapes where given.

    rounding: whether passes run after which the last bits may differ. memo: what is known of the nodes from
    reading them; it is added to. Branches and loops stay as they are.
    """
    memo = {} if memo is None else memo
    facts = facts_of(graph, input_shapes, memo)
    for function in PASSES:
        if function in ROUNDING and not rounding:
            continue
        before, graph = graph, function(graph, facts)
        if graph is not before:
            facts = facts_of(graph, input_shapes, memo)
    return graph, facts


def _inside(node: Node) -> Node:
    changed = {name: optimised(value) for name, value in node.attributes.items() if isinstance(value, Graph)}
    return node.with_(attributes={**node.attributes, **changed}) if changed else node
