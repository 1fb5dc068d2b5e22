"""What NumPy does for kinds without a rule, and for nodes whose shapes are not known beforehand."""

from __future__ import annotations

import numpy as np

from ..graph import Array, Graph, Node, Value
from ..kinds import KINDS
from ..program import Frame, Lowered, Lowering
from .table import RULES, SHAPELESS

__all__ = ["by_numpy", "lower_node", "own"]


def lower_node(node: Node, low: Lowering) -> Lowered:
    """The step for a node."""
    rules = RULES.get(node.kind, [])
    if rules:
        known = all(low.facts[name].concrete for name in (*node.inputs, *node.outputs) if name)
        if known or node.kind in SHAPELESS:
            for rule in rules:
                lowered = rule(node, low)
                if lowered is not None:
                    return lowered
        elif node.kind in _LATE:
            return later(node, low)
    return by_numpy(node, low)


def own(result: Array, arrays: list[Array | None]) -> Array:
    """The result, copied where it looks at an operand's memory: that is written over when it is free."""
    if any(array is not None and np.may_share_memory(result, array) for array in arrays):
        return np.array(result, order="C")
    return result


# Kinds whose NumPy form is the slow definition: where shapes show only during a run, they are planned then.
_LATE = frozenset(("conv", "conv_transpose", "dense", "matmul", "max_pool", "avg_pool", "lstm", "gru"))


def later(node: Node, low: Lowering) -> Lowered:
    """A network of this node alone, which plans for the shapes that it meets."""
    from ..executor import Executor

    constants = {name: low.constants[name] for name in node.inputs if name in low.constants}
    names = [name for name in dict.fromkeys(node.inputs) if name and name not in constants]
    facts = low.facts
    for name in (*names, *node.outputs):
        if name and facts[name].dtype is None:
            return by_numpy(node, low)
    values = [Value(name, facts[name].dtype, None) for name in names]  # type: ignore[arg-type]
    outputs = [Value(name, facts[name].dtype, None) for name in node.outputs if name]  # type: ignore[arg-type]
    executor = Executor(Graph.of(values, outputs, [node], constants, name=node.label or node.kind))
    reads, writes = (tuple(low.slot(value.name) for value in part) for part in (values, outputs))

    def run(frame: Frame) -> None:
        arrays = [np.asarray(frame[slot], order="C") for slot in reads]
        for slot, result in zip(writes, executor.run(arrays), strict=True):
            frame[slot] = result

    return Lowered(run, reads, writes, loose=True, how=f"{node.kind}, planned when it runs")


def by_numpy(node: Node, low: Lowering) -> Lowered:
    """The kind's own NumPy function; its arrays are new in each call."""
    reads = tuple(low.slot(name) if name else -1 for name in node.inputs)
    writes = tuple(low.slot(name) if name else -1 for name in node.outputs)
    compute = KINDS[node.kind].compute

    def run(frame: Frame) -> None:
        arrays: list[Array | None] = [frame[slot] if slot >= 0 else None for slot in reads]
        for slot, result in zip(writes, compute(node, arrays), strict=False):
            if slot >= 0:
                frame[slot] = own(result, arrays)
                arrays.append(frame[slot])  # nor may two results share memory

    used = tuple(slot for slot in reads if slot >= 0)
    return Lowered(run, used, tuple(slot for slot in writes if slot >= 0), loose=True, how="NumPy")
