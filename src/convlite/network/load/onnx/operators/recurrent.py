"""LSTM, GRU and RNN."""

from __future__ import annotations

from typing import Any

from ..operation import Operation, operator
from ..tensors import Refused

__all__: list[str] = []

_ACTIVATIONS = {
    "LSTM": ("Sigmoid", "Tanh", "Tanh"),
    "GRU": ("Sigmoid", "Tanh"),
    "RNN": ("Tanh",),
}
# With ONNX's default alpha and beta, where an activation has them.
_KNOWN: dict[str, tuple[float, ...]] = {
    "relu": (), "tanh": (), "sigmoid": (), "softsign": (), "softplus": (), "affine": (1.0, 0.0),
    "leakyrelu": (0.01,), "thresholdedrelu": (1.0,), "scaledtanh": (1.0, 1.0), "hardsigmoid": (0.2, 0.5),
    "elu": (1.0,),
}  # fmt: skip
_KINDS = {
    "leakyrelu": "leaky_relu", "thresholdedrelu": "thresholded_relu", "hardsigmoid": "hard_sigmoid",
}  # fmt: skip


def _activations(op: Operation, directions: int) -> tuple[tuple[Any, ...], ...]:
    """(kind, parameters...) for each gate of each direction."""
    names = op.texts("activations", ()) or _ACTIVATIONS[op.name] * directions
    wanted = len(_ACTIVATIONS[op.name]) * directions
    if len(names) != wanted:
        raise Refused(f"the attribute 'activations' has {len(names)} entries; it needs {wanted}")
    alphas, betas = list(op.reals("activation_alpha", ())), list(op.reals("activation_beta", ()))
    found: list[tuple[Any, ...]] = []
    for name in names:
        defaults = _KNOWN.get(name.lower())
        if defaults is None or name.lower() in ("affine", "scaledtanh"):
            raise Refused(f"the activation {name!r} is not supported in a recurrent layer")
        parameters = []
        if defaults:
            parameters.append(alphas.pop(0) if alphas else defaults[0])
        if len(defaults) > 1:
            parameters.append(betas.pop(0) if betas else defaults[1])
        found.append((_KINDS.get(name.lower(), name.lower()), *parameters))
    return tuple(found)


@operator("LSTM", "GRU", "RNN", since=7)
def _recurrent(op: Operation) -> tuple[str, ...]:
    direction = op.text("direction", "forward", ("forward", "reverse", "bidirectional"))
    directions = 2 if direction == "bidirectional" else 1
    weights, recurrence = op.required(1), op.required(2)
    attributes: dict[str, Any] = {
        "direction": direction,
        "hidden_size": _hidden(op, recurrence),
        "activations": _activations(op, directions),
        "clip": op.real("clip") if op.has("clip") else None,
        "layout": op.integer("layout", 0),
    }
    if attributes["layout"] not in (0, 1):
        raise Refused(f"the attribute 'layout' must be 0 or 1; it is {attributes['layout']}")
    op.ignore("output_sequence")  # of version 7 and before: what is computed does not change
    states = [op.input(5)]
    if op.name == "LSTM":
        attributes["input_forget"] = op.flag("input_forget")
        states.append(op.input(6))
        peepholes = op.input(7)
        if peepholes:
            held = op.known(peepholes)
            if held is None or held.any():
                raise Refused("peepholes (input P) are not supported: use an LSTM without them")
    elif op.name == "GRU":
        attributes["linear_before_reset"] = op.flag("linear_before_reset")
    inputs = (op.required(0), weights, recurrence, op.input(3), op.input(4), *states)
    return op.emit_many(op.name.lower(), inputs, 3 if op.name == "LSTM" else 2, **attributes)


def _hidden(op: Operation, recurrence: str) -> int:
    shape = op.shape(recurrence)
    size = shape[-1] if shape else None
    if op.has("hidden_size"):
        stated = op.integer("hidden_size")
        if isinstance(size, int) and size != stated:
            raise Refused(f"the attribute 'hidden_size' is {stated}, but its weights have {size}")
        return stated
    if not isinstance(size, int):
        raise Refused("the attribute 'hidden_size' is missing")
    return size
