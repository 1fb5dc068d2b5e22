"""LSTM and GRU with constant weights: products of packed kernels, then the gates, one step of time after
another.

The common case only: forward, reverse or both; the usual activations; no clipping, no peepholes, whole
sequences. The others are the kind's own NumPy.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import _kernels
from ...activations import activate
from ...ops import dense
from ...pack import PackedKernel
from ..graph import Array, Node
from ..program import Frame, Lowered, Lowering
from .table import rule

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
    """A dense product for all steps of time, then one for each."""
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
    parts = _parts(low, node, weights, recurrence, offsets)
    steps, batch, _ = low.shape(x)
    hidden = int(attributes["hidden_size"])
    source, starts = low.slot(x), [low.slot(name) if name else -1 for name in (h0, c0)]
    writes = tuple(low.slot(name) if name else -1 for name in node.outputs)
    step = _lstm_step if node.kind == "lstm" else _gru_step
    states = 2 if node.kind == "lstm" else 1

    def run(frame: Frame) -> None:
        data = frame[source]
        dtype = data.dtype
        whole = np.empty((steps, directions, batch, hidden), dtype)
        last = [np.empty((directions, batch, hidden), dtype) for _ in range(states)]
        for number, part in enumerate(parts):
            state = [
                np.zeros((batch, hidden), dtype) if slot < 0 else np.ascontiguousarray(frame[slot][number])
                for slot in starts[:states]
            ]
            gates = dense(data, part.w, part.wb)
            order = range(steps - 1, -1, -1) if part.backward else range(steps)
            for moment in order:
                state = step(gates[moment], state, part, hidden)
                whole[moment, number] = state[0]
            for final, values in zip(last, state, strict=True):
                final[number] = values
        for slot, result in zip(writes, (whole, *last), strict=False):
            if slot >= 0:
                frame[slot] = result

    used = (source, *(slot for slot in starts[:states] if slot >= 0))
    return Lowered(run, used, tuple(slot for slot in writes if slot >= 0), loose=True, how=node.kind)


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


def _product(h: Array, part: _Direction) -> Array:
    result = _kernels.replay(("dense", None), h, part.r, part.rb, None)
    return dense(h, part.r, part.rb) if result is None else result


def _lstm_step(gates: Array, state: list[Array], part: _Direction, hidden: int) -> list[Array]:
    """ONNX's order of gates: input, output, forget, cell."""
    h, c = state
    total = _product(h, part)
    total += gates
    cell = activate(np.ascontiguousarray(total[:, 3 * hidden :]), "tanh")
    opened = activate(np.ascontiguousarray(total[:, : 3 * hidden]), "sigmoid")
    i, o, forget = opened[:, :hidden], opened[:, hidden : 2 * hidden], opened[:, 2 * hidden :]
    c = forget * c + i * cell
    return [o * activate(c, "tanh"), c]


def _gru_step(gates: Array, state: list[Array], part: _Direction, hidden: int) -> list[Array]:
    """ONNX's order of gates: update, reset, hidden; the reset is applied to the product."""
    (h,) = state
    inner = _product(h, part)
    opened = activate(np.ascontiguousarray(gates[:, : 2 * hidden] + inner[:, : 2 * hidden]), "sigmoid")
    z, reset = opened[:, :hidden], opened[:, hidden:]
    candidate = activate(gates[:, 2 * hidden :] + reset * inner[:, 2 * hidden :], "tanh")
    return [(1 - z) * candidate + z * h]
