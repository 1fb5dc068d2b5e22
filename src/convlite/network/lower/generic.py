"""What NumPy does for kinds without a rule, and for nodes whose shapes are not known beforehand."""

from __future__ import annotations

from ..graph import Array, Node
from ..kinds import KINDS
from ..program import Frame, Lowered, Lowering
from .table import RULES

__all__ = ["lower_node"]


def lower_node(node: Node, low: Lowering) -> Lowered:
    """The step for a node."""
    rule = RULES.get(node.kind)
    known = all(low.facts[name].concrete for name in (*node.inputs, *node.outputs) if name)
    lowered = rule(node, low) if rule is not None and known else None
    return lowered if lowered is not None else by_numpy(node, low)


def by_numpy(node: Node, low: Lowering) -> Lowered:
    """The kind's own NumPy function; its arrays are new in each call."""
    reads = tuple(low.slot(name) if name else -1 for name in node.inputs)
    writes = tuple(low.slot(name) if name else -1 for name in node.outputs)
    compute = KINDS[node.kind].compute

    def run(frame: Frame) -> None:
        arrays: list[Array | None] = [frame[slot] if slot >= 0 else None for slot in reads]
        for slot, result in zip(writes, compute(node, arrays), strict=False):
            if slot >= 0:
                frame[slot] = result

    used = tuple(slot for slot in reads if slot >= 0)
    return Lowered(run, used, tuple(slot for slot in writes if slot >= 0), loose=True, how="NumPy")
