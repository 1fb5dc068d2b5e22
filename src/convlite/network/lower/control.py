"""Branches and loops: their graphs get programs of their own, by the shapes that they meet."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ..graph import Array, Graph, Node
from ..kinds.control import Runner, branched, looped, scanned
from ..kinds.record import Arrays
from ..program import Frame, Lowered, Lowering
from .generic import own
from .table import rule

_WAYS: dict[str, Callable[[Node, Arrays, Runner], tuple[Array, ...]]] = {
    "if_": branched,
    "loop": looped,
    "scan": scanned,
}


@rule("if_", "loop", "scan", shapeless=True)
def control(node: Node, low: Lowering) -> Lowered:
    """The kind's own order of things, with executors for its graphs."""
    from ..executor import Executor

    way = _WAYS[node.kind]
    graphs = [value for value in node.attributes.values() if isinstance(value, Graph)]
    executors = {}
    for graph in graphs:
        key = ("graph", id(graph))
        held = low.packed.get(key)
        if held is None or held[0] is not graph:
            held = low.packed[key] = (graph, Executor(graph))
        executors[id(graph)] = held[1]
    reads = tuple(low.slot(name) if name else -1 for name in node.inputs)
    writes = tuple(low.slot(name) if name else -1 for name in node.outputs)

    def inside(graph: Graph, arrays: Sequence[Array | None]) -> tuple[Array, ...]:
        return executors[id(graph)].run(
            [np.asarray(array, order="C") for array in arrays if array is not None]
        )

    def run(frame: Frame) -> None:
        arrays = [frame[slot] if slot >= 0 else None for slot in reads]
        for slot, result in zip(writes, way(node, arrays, inside), strict=False):
            if slot >= 0:
                frame[slot] = own(result, arrays)  # a loop without iterations returns what it was given
                arrays.append(frame[slot])

    used = tuple(slot for slot in reads if slot >= 0)
    return Lowered(run, used, tuple(slot for slot in writes if slot >= 0), loose=True, how=node.kind)
