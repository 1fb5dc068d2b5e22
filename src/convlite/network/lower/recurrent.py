"""LSTM and GRU with constant weights: products of packed kernels, then the gates in one kernel, one step of
time after another.

The common case only: forward, reverse or both; the usual activations; no clipping, no peepholes, whole
sequences. The others are the kind's own NumPy.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import _dispatch, _kernels, _threads
from ...pack import PackedKernel, made_ready
from ..graph import Array, Node
from ..program import Frame, Lowered, Lowering, Script
from .elementwise import keep
from .table import rule

_MOST_STEPS = 1024  # more steps of time are not kept in a script, but made in each call
_USUAL = {"lstm": ("sigmoid", "tanh", "tanh"), "gru": ("sigmoid", "tanh")}


class _Direction:
    """The weights of one direction."""

    def __init__(self, w: Array, r: Array, bias: Array | None, backward: bool) -> None:
        half = len(w)
        self.w = PackedKernel(np.ascontiguousarray(w.T), "dense")
        self.r = PackedKernel(np.ascontiguousarray(r.T), "dense")
        self.wb = None if bias is None else np.ascontiguousarray(bias[:half])
        self.rb = None if bias is None else np.ascontiguousarray(bias[half:])
        self.backward = backward


def _names(activations: Any) -> tuple[str, ...]:
    return tuple((entry if isinstance(entry, str) else entry[0]).lower() for entry in activations)


@rule("lstm", "gru")
def recurrent(node: Node, low: Lowering) -> Lowered | None:
    """A product for all steps of time, then one for each, and its gates."""
    x, w, r, *rest = (*node.inputs, "", "", "", "")[:7]
    bias, lengths, h0, c0 = rest[0], rest[1], rest[2], rest[3]
    attributes = node.attributes
    constants = [low.constants.get(name) if name else None for name in (w, r, bias)]
    weights, recurrence, offsets = constants
    if weights is None or recurrence is None or (bias and offsets is None) or lengths:
        return None
    if weights.dtype not in (np.float32, np.float64) or any(node.inputs[7:]):
        return None
    directions = len(weights)
    usual = _names(attributes["activations"]) == _USUAL[node.kind] * directions
    if not usual or attributes["clip"] is not None or attributes["layout"]:
        return None
    if any(not isinstance(entry, str) and len(entry) > 1 for entry in attributes["activations"]):
        return None
    if (node.kind == "lstm" and attributes["input_forget"]) or (
        node.kind == "gru" and not attributes["linear_before_reset"]
    ):
        return None
    steps, batch, width = low.shape(x)
    hidden = int(attributes["hidden_size"])
    if 0 in (steps, batch, hidden, width):
        return None
    parts = _parts(low, node, weights, recurrence, offsets)
    ways = [
        (made_ready(part.w, (1, 1, steps * batch, width)), made_ready(part.r, (1, 1, batch, hidden)))
        for part in parts
    ]
    source, starts = low.slot(x), [low.slot(name) if name else -1 for name in (h0, c0)]
    writes = tuple(low.slot(name) if name else -1 for name in node.outputs)
    states = 2 if node.kind == "lstm" else 1

    def run(frame: Frame, into: Script | None = None) -> None:
        data = np.ascontiguousarray(frame[source])
        new = (steps, directions, batch, hidden), *(((directions, batch, hidden),) * states)
        results = [np.empty(size, data.dtype) for size in new]
        for number, slot in enumerate(writes):
            if slot >= 0:
                results[number] = frame[slot]
        for number, (part, way) in enumerate(zip(parts, ways, strict=True)):
            given = [frame[slot][number] if slot >= 0 else None for slot in starts[:states]]
            _direction(
                part, way, data, given, [results[0][:, number], *(y[number] for y in results[1:])], into
            )
        keep(into, data, results, ways)

    used = (source, *(slot for slot in starts[:states] if slot >= 0))
    core = steps <= _MOST_STEPS
    return Lowered(run, used, tuple(slot for slot in writes if slot >= 0), how=node.kind, core=core)


def _direction(
    part: _Direction,
    ways: tuple[Any, Any],
    data: Array,
    given: list[Array | None],
    out: list[Array],
    into: Script | None,
) -> None:
    """One direction: the product of all steps of time, then for each the product of the state, and the gates.

    given: the first states, None for zeros. out: the states of all steps, and the last ones.
    """  # fmt: skip
    isa, dtype = _dispatch.active_isa(), data.dtype
    steps, batch, hidden = out[0].shape
    gates = np.empty((steps, batch, part.w.shape[1]), dtype)
    _product(ways[0], data, part.wb, gates, into)
    first, *cells = [np.zeros((batch, hidden), dtype) if h is None else h for h in given]
    product = np.empty((batch, part.w.shape[1]), dtype)
    cell = out[2] if cells else None
    if cell is not None:
        _kernels.copy(isa, cells[0], cell, into=into)
    keep(into, gates, product, first, cells, part)
    h = first
    for moment in range(steps - 1, -1, -1) if part.backward else range(steps):
        _product(ways[1], h, part.rb, product, into)
        before = None if cells else h
        _kernels.recurrent_gates(isa, product, gates[moment], before, cell, out[0][moment], hidden, into=into)
        h = out[0][moment]
    _kernels.copy(isa, h, out[1], into=into)


def _product(way: Any, x: Array, bias: Array | None, out: Array, into: Script | None) -> None:
    """A matrix product by what `made_ready` gave."""
    plan, panels = way
    threads = _threads.threads_for(plan.nanoseconds)
    plan.runner.run(x, panels.data, bias, None, out, 0, 0.0, 0.0, panels.finite, threads, into)


def _parts(low: Lowering, node: Node, w: Array, r: Array, bias: Array | None) -> list[_Direction]:
    """The packed weights of all directions, made once for a network."""
    key = ("recurrent", node.outputs)
    held = low.packed.get(key)
    if held is None or held[0] is not w:
        directions = [
            _Direction(w[i], r[i], None if bias is None else bias[i], _backward(node, i))
            for i in range(len(w))
        ]
        held = low.packed[key] = (w, directions)
    result: list[_Direction] = held[1]
    return result


def _backward(node: Node, number: int) -> bool:
    return bool(node.attributes["direction"] == "reverse" or number == 1)
