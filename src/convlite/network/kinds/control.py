"""Branches and loops: nodes that hold graphs. What a graph reads from outside are its last inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..facts import Fact, Shape, Size, same_size
from ..graph import Array, Graph, Node
from .record import Arrays, Facts, Kind, axis_of, given, optional, registered

__all__ = ["KINDS", "Runner", "branched", "looped", "scanned"]

KINDS: dict[str, Kind] = {}
Runner = Callable[[Graph, Sequence[Array | None]], tuple[Array, ...]]


def _run(graph: Graph, arrays: Sequence[Array | None]) -> tuple[Array, ...]:
    from ..interpret import interpreted_inside

    return interpreted_inside(graph, arrays)


def _facts(graph: Graph, facts: Sequence[Fact | None]) -> tuple[Fact, ...]:
    """What is known of a graph's outputs, given facts for its inputs."""
    from ..infer import propagated

    if len(facts) != len(graph.inputs):
        raise ValueError(f"the graph {graph.name!r} has {len(graph.inputs)} inputs, not {len(facts)}")
    known = {
        value.name: Fact.of_value(value) if fact is None else fact
        for value, fact in zip(graph.inputs, facts, strict=True)
    }
    found = propagated(graph, known, {})
    return tuple(found[value.name] for value in graph.outputs)


def common(a: Fact, b: Fact) -> Fact:
    """What holds for a value that is one or the other."""
    dtype = a.dtype if a.dtype == b.dtype else None
    if a.shape is None or b.shape is None or len(a.shape) != len(b.shape):
        return Fact(dtype, None)
    shape: list[Size] = [x if same_size(x, y) else None for x, y in zip(a.shape, b.shape, strict=True)]
    return Fact(dtype, tuple(shape))


# ---- if ----


def _branch(node: Node, condition: Array) -> Graph:
    if condition.size != 1:
        raise ValueError(f"the condition must be one truth value, not {condition.size}")
    chosen = node.attributes["then_branch" if bool(condition.reshape(-1)[0]) else "else_branch"]
    assert isinstance(chosen, Graph)
    return chosen


def _if_facts(node: Node, facts: Facts) -> tuple[Fact, ...]:
    condition = given(facts, 0)
    if condition.known is not None:
        return _facts(_branch(node, condition.known), facts[1:])
    found, faults = [], []
    for name in ("then_branch", "else_branch"):
        try:
            found.append(_facts(node.attributes[name], facts[1:]))
        except ValueError as fault:  # shapes for which this branch is not taken, as with an axis to squeeze
            faults.append(fault)
    if not found:
        raise faults[0]
    then, other = found[0], found[-1]
    if len(then) != len(other):
        raise ValueError(f"one branch has {len(then)} outputs, the other {len(other)}")
    return tuple(common(a, b) for a, b in zip(then, other, strict=True))


@registered(KINDS, "if_", infer=_if_facts)
def _if(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    return branched(node, arrays, _run)


def branched(node: Node, arrays: Arrays, run: Runner) -> tuple[Array, ...]:
    """The branch that the condition chooses, run by `run`."""
    return run(_branch(node, given(arrays, 0)), arrays[1:])


# ---- loop ----


def _loop_facts(node: Node, facts: Facts) -> tuple[Fact, ...]:
    """Carried values keep what the body does not change; what is collected gets an axis of unknown size."""
    body, count = node.attributes["body"], int(node.attributes["carried"])
    start = [given(facts, 2 + number) for number in range(count)]
    outside = list(facts[2 + count :])
    turn = [Fact(np.dtype(np.int64), ()), Fact(np.dtype(bool), ())]
    state = [Fact(fact.dtype, fact.shape) for fact in start]
    for _ in range(8):  # a size that changes is unknown in the next round, so this converges
        out = _facts(body, [*turn, *state, *outside])
        new = [common(a, b) for a, b in zip(state, out[1 : 1 + count], strict=True)]
        if [fact.shape for fact in new] == [fact.shape for fact in state]:
            break
        state = new
    else:
        state = [Fact(fact.dtype, None) for fact in state]
        out = _facts(body, [*turn, *state, *outside])
    turns: Size = None
    collected = [
        Fact(fact.dtype, None if fact.shape is None else (turns, *fact.shape)) for fact in out[1 + count :]
    ]
    return (*state, *collected)


@registered(KINDS, "loop", infer=_loop_facts)
def _loop(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    return looped(node, arrays, _run)


def looped(node: Node, arrays: Arrays, run: Runner) -> tuple[Array, ...]:
    """The body: (turn, condition, carried..., captured...) -> (condition, carried..., collected...)."""
    body, count = node.attributes["body"], int(node.attributes["carried"])
    most, going = optional(arrays, 0), optional(arrays, 1)
    limit = None if most is None else int(most.reshape(-1)[0])
    state, outside = list(arrays[2 : 2 + count]), list(arrays[2 + count :])
    more = going is None or bool(going.reshape(-1)[0])
    rows: list[list[Array]] = [[] for _ in body.outputs[1 + count :]]
    turn = 0
    while more and (limit is None or turn < limit):
        out = run(body, [np.array(turn, np.int64), np.array(more), *state, *outside])
        more, state = bool(out[0].reshape(-1)[0]), list(out[1 : 1 + count])
        for row, array in zip(rows, out[1 + count :], strict=True):
            row.append(array)
        turn += 1
    stacked = [
        np.stack(row) if row else _nothing(value.dtype, value.shape)
        for row, value in zip(rows, body.outputs[1 + count :], strict=True)
    ]
    return (*(np.asarray(array) for array in state), *stacked)


def _nothing(dtype: np.dtype[Any], shape: Shape) -> Array:
    """What a loop of no turns collects."""
    return np.zeros((0, *(size if isinstance(size, int) else 0 for size in shape or ())), dtype)


# ---- scan ----


def _scan_axes(node: Node, name: str, number: int, rank: int) -> int:
    return axis_of(int(node.attributes[name][number]), rank)


def _scan_facts(node: Node, facts: Facts) -> tuple[Fact, ...]:
    body, states = node.attributes["body"], int(node.attributes["states"])
    scanned = len(node.attributes["input_axes"])
    steps: Size = None
    slices = []
    for number in range(scanned):
        fact = given(facts, states + number)
        if fact.shape is None:
            slices.append(Fact(fact.dtype, None))
            continue
        axis = _scan_axes(node, "input_axes", number, len(fact.shape))
        steps = fact.shape[axis] if steps is None or isinstance(fact.shape[axis], int) else steps
        slices.append(Fact(fact.dtype, (*fact.shape[:axis], *fact.shape[axis + 1 :])))
    start = [Fact(given(facts, n).dtype, given(facts, n).shape) for n in range(states)]
    out = _facts(body, [*start, *slices, *facts[states + scanned :]])
    if any(common(a, b).shape != a.shape for a, b in zip(start, out, strict=False)):
        start = [Fact(fact.dtype, None) for fact in start]
        out = _facts(body, [*start, *slices, *facts[states + scanned :]])
    collected = []
    for number, fact in enumerate(out[states:]):
        if fact.shape is None:
            collected.append(Fact(fact.dtype, None))
            continue
        axis = _scan_axes(node, "output_axes", number, len(fact.shape) + 1)
        collected.append(Fact(fact.dtype, (*fact.shape[:axis], steps, *fact.shape[axis:])))
    return (*(common(a, b) for a, b in zip(start, out, strict=False)), *collected)


@registered(KINDS, "scan", infer=_scan_facts)
def _scan(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    return scanned(node, arrays, _run)


def scanned(node: Node, arrays: Arrays, run: Runner) -> tuple[Array, ...]:
    """The body: (states..., slices..., captured...) -> (states..., collected...)."""
    body, states = node.attributes["body"], int(node.attributes["states"])
    attributes, count = node.attributes, len(node.attributes["input_axes"])
    state, outside = list(arrays[:states]), list(arrays[states + count :])
    sequences = []
    for number, (axis, backward) in enumerate(
        zip(attributes["input_axes"], attributes["input_reversed"], strict=True)
    ):
        sequence = np.moveaxis(given(arrays, states + number), int(axis), 0)
        sequences.append(sequence[::-1] if backward else sequence)
    steps = {len(sequence) for sequence in sequences}
    if len(steps) != 1:
        raise ValueError(f"the scanned inputs have {sorted(steps)} steps; all must have as many")
    rows: list[list[Array]] = [[] for _ in body.outputs[states:]]
    for step in range(steps.pop()):
        out = run(body, [*state, *(sequence[step] for sequence in sequences), *outside])
        state = list(out[:states])
        for row, array in zip(rows, out[states:], strict=True):
            row.append(array)
    stacked = []
    for row, value, axis, backward in zip(
        rows, body.outputs[states:], attributes["output_axes"], attributes["output_reversed"], strict=True
    ):
        whole = np.stack(row[::-1] if backward else row) if row else _nothing(value.dtype, value.shape)
        stacked.append(np.ascontiguousarray(np.moveaxis(whole, 0, int(axis))))
    return (*(np.asarray(array) for array in state), *stacked)
