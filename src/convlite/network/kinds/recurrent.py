"""LSTM, GRU and the plain recurrent layer, with ONNX's layouts of weights. Everything in float64.

x (T, batch, inputs), w (directions, gates * hidden, inputs), r (directions, gates * hidden, hidden),
b (directions, 2 * gates * hidden), states (directions, batch, hidden) -> y (T, directions, batch, hidden) and
the last states. layout 1 puts the batch first everywhere. The states are those after the last step of each
sequence; after it y is zero. Backward, a sequence is read from its own end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..facts import Fact, Size, times
from ..graph import Array, Node
from .elementwise import FORMULAS
from .record import Arrays, Facts, Kind, exact, given, must_fit, optional, registered, shape_of

__all__ = ["KINDS"]

KINDS: dict[str, Kind] = {}
GATES = {"lstm": 4, "gru": 3, "rnn": 1}
FUNCTIONS = {"lstm": 3, "gru": 2, "rnn": 1}  # activations for each direction
Function = Callable[[Array], Array]


def _directions(node: Node) -> int:
    direction = node.attributes["direction"]
    if direction not in ("forward", "reverse", "bidirectional"):
        raise ValueError(f'direction must be "forward", "reverse" or "bidirectional", not {direction!r}')
    return 2 if direction == "bidirectional" else 1


def _recurrent_facts(node: Node, facts: Facts) -> tuple[Fact, ...]:
    x, w, r = (given(facts, number) for number in range(3))
    count, hidden, gates = _directions(node), int(node.attributes["hidden_size"]), GATES[node.kind]
    if optional(facts, 7) is not None:
        raise ValueError("peepholes are not supported")
    image = shape_of(x, 3, "x")
    weights, recurrence, bias = shape_of(w, 3, "w"), shape_of(r, 3, "r"), optional(facts, 3)
    assert image is not None
    assert weights is not None
    assert recurrence is not None
    for shape, what in ((weights, "w"), (recurrence, "r")):
        must_fit(shape[0], count, f"the directions of {what}")
        must_fit(shape[1], gates * hidden, f"the gates of {what}")
    must_fit(weights[2], image[2], "the last axis of w")
    must_fit(recurrence[2], hidden, "the last axis of r")
    if bias is not None and bias.shape is not None:
        must_fit(shape_of(bias, 2, "b")[1], times(2, gates * hidden), "the last axis of b")  # type: ignore[index]
    steps, batch = image[:2] if not node.attributes["layout"] else image[1::-1]
    state: tuple[Size, ...] = (count, batch, hidden)
    whole: tuple[Size, ...] = (steps, count, batch, hidden)
    if node.attributes["layout"]:
        state, whole = (batch, count, hidden), (batch, steps, count, hidden)
    _check_states(facts, state, batch)
    one = Fact(x.dtype, state)
    return (Fact(x.dtype, whole), one, one) if node.kind == "lstm" else (Fact(x.dtype, whole), one)


def _check_states(facts: Facts, state: tuple[Size, ...], batch: Size) -> None:
    """ValueError where the lengths or the first states do not fit the batch."""
    lengths = optional(facts, 4)
    if lengths is not None:
        must_fit((shape_of(lengths, 1, "the lengths") or (None,))[0], batch, "the vector of lengths")
    for number in (5, 6):
        first = optional(facts, number)
        if first is not None:
            for size, wanted in zip(shape_of(first, 3, "a first state") or (), state, strict=True):
                must_fit(size, wanted, "an axis of a first state")


def _functions(node: Node, direction: int) -> list[Function]:
    """The activations of one direction: names or (name, parameters...)."""
    each = FUNCTIONS[node.kind]
    chosen = node.attributes["activations"]
    if len(chosen) != each * _directions(node):
        raise ValueError(f"there are {len(chosen)} activations; {each} are needed for each direction")
    return [_function(entry) for entry in chosen[direction * each : (direction + 1) * each]]


def _function(entry: Any) -> Function:
    name, *parameters = (entry,) if isinstance(entry, str) else entry
    formula = FORMULAS.get(name.lower())
    if formula is None:
        raise ValueError(f"there is no activation {name!r}; there are {', '.join(sorted(FORMULAS))}")
    return lambda v: formula(v, *parameters)


def _clipped(node: Node, v: Array) -> Array:
    bound = node.attributes["clip"]
    return v if bound is None else np.clip(v, -bound, bound)


def _lstm_step(
    node: Node, f: list[Function], x: Array, states: list[Array], r: Array, rb: Array
) -> list[Array]:
    """Gates in the order input, output, forget, cell."""
    h, c = states
    i, o, forget, cell = np.split(x + h @ r.T + rb, 4, -1)
    i = f[0](_clipped(node, i))
    forget = 1 - i if node.attributes["input_forget"] else f[0](_clipped(node, forget))
    c = forget * c + i * f[1](_clipped(node, cell))
    return [f[0](_clipped(node, o)) * f[2](c), c]


def _gru_step(
    node: Node, f: list[Function], x: Array, states: list[Array], r: Array, rb: Array
) -> list[Array]:
    """Gates in the order update, reset, hidden."""
    (h,) = states
    hidden = h.shape[-1]
    gates = x[:, : 2 * hidden] + h @ r[: 2 * hidden].T + rb[: 2 * hidden]
    z, reset = (f[0](_clipped(node, part)) for part in np.split(gates, 2, -1))
    if node.attributes["linear_before_reset"]:
        inner = reset * (h @ r[2 * hidden :].T + rb[2 * hidden :])
    else:
        inner = (reset * h) @ r[2 * hidden :].T + rb[2 * hidden :]
    candidate = f[1](_clipped(node, x[:, 2 * hidden :] + inner))
    return [(1 - z) * candidate + z * h]


def _rnn_step(
    node: Node, f: list[Function], x: Array, states: list[Array], r: Array, rb: Array
) -> list[Array]:
    (h,) = states
    return [f[0](_clipped(node, x + h @ r.T + rb))]


STEPS = {"lstm": _lstm_step, "gru": _gru_step, "rnn": _rnn_step}


def _one_direction(
    node: Node, direction: int, backward: bool, x: Array, arrays: Arrays, states: list[Array], lengths: Array
) -> tuple[Array, list[Array]]:
    """y (T, batch, hidden) and the last states of one direction."""
    w, r = exact(given(arrays, 1))[direction], exact(given(arrays, 2))[direction]
    bias = optional(arrays, 3)
    half = len(w)
    wb, rb = (np.zeros(half), np.zeros(half)) if bias is None else np.split(exact(bias)[direction], 2)
    functions = _functions(node, direction)
    batch = np.arange(x.shape[1])
    y = np.zeros((len(x), x.shape[1], r.shape[-1]))
    for step in range(len(x)):
        active = step < lengths
        place = np.where(active, lengths - 1 - step, step) if backward else np.full(len(batch), step)
        gates = x[place, batch] @ w.T + wb
        new = STEPS[node.kind](node, functions, gates, states, r, rb)
        states = [np.where(active[:, None], a, b) for a, b in zip(new, states, strict=True)]
        y[place, batch] = np.where(active[:, None], states[0], 0.0)
    return y, states


@registered(KINDS, "lstm", "gru", "rnn", infer=_recurrent_facts)
def _recurrent(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    dtype, first = given(arrays, 0).dtype, bool(node.attributes["layout"])
    x = exact(given(arrays, 0))
    x = x.swapaxes(0, 1) if first else x
    count, hidden = _directions(node), int(node.attributes["hidden_size"])
    lengths = optional(arrays, 4)
    lengths = np.full(x.shape[1], len(x)) if lengths is None else lengths.astype(np.int64)
    if lengths.shape != (x.shape[1],) or (lengths < 0).any() or (lengths > len(x)).any():
        raise ValueError(
            f"the lengths {lengths.tolist()} do not fit {x.shape[1]} sequences of {len(x)} steps"
        )
    starts = []
    for number in (5, 6) if node.kind == "lstm" else (5,):
        start = optional(arrays, number)
        wide = np.zeros((count, x.shape[1], hidden)) if start is None else exact(start)
        starts.append(wide.swapaxes(0, 1) if first and start is not None else wide)
    outputs, finals = [], []
    for direction in range(count):
        backward = node.attributes["direction"] == "reverse" or direction == 1
        y, states = _one_direction(
            node, direction, backward, x, arrays, [s[direction] for s in starts], lengths
        )
        outputs.append(y)
        finals.append(states)
    whole = np.stack(outputs, 1)
    last = [np.stack([states[number] for states in finals]) for number in range(len(starts))]
    if first:
        whole, last = whole.transpose(2, 0, 1, 3), [state.swapaxes(0, 1) for state in last]
    return tuple(np.ascontiguousarray(array).astype(dtype) for array in (whole, *last))
