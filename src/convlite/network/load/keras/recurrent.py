"""Keras's recurrent layers in ONNX's layouts of weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...graph import Array
from ..onnx.tensors import Refused
from .activations import activation_of
from .call import Call, array_of, layer

__all__: list[str] = []

# The order of Keras's gates in that of the vocabulary: LSTM i f c o -> i o f c.
_ORDERS = {"lstm": (0, 3, 1, 2), "gru": (0, 1, 2), "rnn": (0,)}
_KINDS = {"LSTM": "lstm", "GRU": "gru", "SimpleRNN": "rnn"}


def _gates(kind: str, array: Array) -> Array:
    """The gates along the last axis put in order, then in front."""
    parts = np.split(array, len(_ORDERS[kind]), -1)
    return np.ascontiguousarray(np.concatenate([parts[place] for place in _ORDERS[kind]], -1).T)


def _function(function: Any) -> tuple[Any, ...]:
    found = activation_of(function)
    if found is None:
        raise Refused("a linear activation in a recurrent layer is not supported")
    return (found[0], *found[1].values())


def _run(call: Call, target: Any, x: str, states: list[str]) -> tuple[str, list[str]]:
    """y (batch, steps, units) in the order in which steps were read, and the last states (batch, units)."""
    kind, config = _KINDS[type(target).__name__], dict(target.get_config())
    if config.get("stateful"):
        raise Refused("it is stateful, which is not supported: pass its state as an input")
    cell, units = target.cell, int(config["units"])
    w = _gates(kind, array_of(cell.kernel))[None]
    r = _gates(kind, array_of(cell.recurrent_kernel))[None]
    b = np.zeros((1, 2 * len(_ORDERS[kind]) * units), np.float32)
    after = bool(config.get("reset_after", False))
    if config.get("use_bias", True):
        bias = array_of(cell.bias)
        both = bias if bias.ndim == 2 else np.stack([bias, np.zeros_like(bias)])
        b = np.concatenate([_gates(kind, both[0]), _gates(kind, both[1])])[None]
    functions = [_function(cell.activation)]
    attributes: dict[str, Any] = {"clip": None, "layout": 1, "hidden_size": units}
    if kind == "lstm":
        functions = [_function(cell.recurrent_activation), functions[0], functions[0]]
        attributes["input_forget"] = False
    elif kind == "gru":
        functions = [_function(cell.recurrent_activation), functions[0]]
        attributes["linear_before_reset"] = after
    backwards = bool(config.get("go_backwards"))
    first = [call.emit("unsqueeze", state, call.ints((1,))) for state in states]
    outputs = call.emit_many(
        kind, (x, call.constant(w), call.constant(r), call.constant(b), "", *first),
        3 if kind == "lstm" else 2,
        direction="reverse" if backwards else "forward", activations=tuple(functions), **attributes,
    )  # fmt: skip
    y = call.emit("squeeze", outputs[0], call.ints((2,)))
    y = _reversed(call, y) if backwards else y
    return y, [call.emit("squeeze", state, call.ints((1,))) for state in outputs[1:]]


def _reversed(call: Call, y: str) -> str:
    last, first = call.ints((-1,)), call.ints((-np.iinfo(np.int64).max,))
    return call.emit("slice", y, last, first, call.ints((1,)), call.ints((-1,)))


@layer("LSTM", "GRU", "SimpleRNN")
def _recurrent(call: Call) -> Any:
    config = call.config
    y, states = _run(call, call.layer, call.x, call.inputs[1:])
    result = y if config["return_sequences"] else states[0]
    return (result, *states) if config["return_state"] else result


@layer("Bidirectional")
def _bidirectional(call: Call) -> Any:
    forward, backward = call.layer.forward_layer, call.layer.backward_layer
    if type(forward).__name__ not in _KINDS or type(backward).__name__ not in _KINDS:
        raise Refused(f"it wraps a {type(forward).__name__}, which is not supported")
    config = dict(forward.get_config())
    if config["return_state"] or len(call.inputs) > 1:
        raise Refused("states given to it or returned by it are not supported")
    sequences, ends = _run(call, forward, call.x, [])
    others, other_ends = _run(call, backward, call.x, [])
    a, b = (sequences, _reversed(call, others)) if config["return_sequences"] else (ends[0], other_ends[0])
    mode = call.layer.merge_mode
    if mode is None:
        return a, b
    if mode == "concat":
        return call.emit("concat", a, b, axis=-1)
    return call.emit({"sum": "add", "mul": "mul", "ave": "mean"}[mode], a, b)
