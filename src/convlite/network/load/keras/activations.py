"""Keras's activation functions."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..onnx.tensors import Refused
from .call import LAYERS, Call, layer

__all__ = ["activated", "activation_of"]

# Name -> (kind, its attributes).
_PLAIN: dict[str, tuple[str, dict[str, Any]]] = {
    "relu": ("relu", {}), "relu6": ("relu6", {}), "sigmoid": ("sigmoid", {}), "tanh": ("tanh", {}),
    "softmax": ("softmax", {"axis": -1}), "log_softmax": ("log_softmax", {"axis": -1}),
    "softplus": ("softplus", {}), "softsign": ("softsign", {}), "silu": ("silu", {}), "swish": ("silu", {}),
    "mish": ("mish", {}), "selu": ("selu", {"alpha": 1.6732632423543772, "gamma": 1.0507009873554805}),
    "elu": ("elu", {"alpha": 1.0}), "celu": ("celu", {"alpha": 1.0}), "exponential": ("exp", {}),
    "gelu": ("gelu", {"approximate": False}),
    "hard_sigmoid": ("hard_sigmoid", {"alpha": 1 / 6, "beta": 0.5}), "hard_silu": ("hard_swish", {}),
    "hard_swish": ("hard_swish", {}), "leaky_relu": ("leaky_relu", {"alpha": 0.2}),
}  # fmt: skip


def activation_of(function: Any) -> tuple[str, dict[str, Any]] | None:
    """The kind and attributes of an activation; None for the linear one."""
    name = getattr(function, "__name__", type(function).__name__)
    module = str(getattr(function, "__module__", ""))
    if function is None or name == "linear":
        return None
    if name not in _PLAIN or module.partition(".")[0] not in ("keras", "tf_keras"):
        raise Refused(f"its activation {name!r} is not supported; there are {', '.join(sorted(_PLAIN))}")
    if name == "hard_sigmoid" and module.startswith("tf_keras"):
        return "hard_sigmoid", {"alpha": 0.2, "beta": 0.5}
    return _PLAIN[name]


def activated(call: Call, y: str, function: Any) -> str:
    """`function` of `y`; a function or a layer."""
    if hasattr(function, "get_config") and type(function).__name__ in LAYERS:
        return str(LAYERS[type(function).__name__](call.with_layer(function, y)))
    found = activation_of(function)
    return y if found is None else call.emit(found[0], y, **found[1])


@layer("Activation")
def _activation(call: Call) -> str:
    return activated(call, call.x, call.layer.activation)


@layer("ReLU")
def _relu(call: Call) -> str:
    """max_value, negative_slope and threshold: f(x) = slope * (x - threshold) below the threshold."""
    config, x = call.config, call.x
    slope, threshold = float(config.get("negative_slope") or 0), float(config.get("threshold") or 0)
    most = config.get("max_value")
    if threshold:
        if slope:
            raise Refused("it has a slope and a threshold, which is not supported")
        y = call.emit("thresholded_relu", x, alpha=threshold)
    elif slope:
        y = call.emit("leaky_relu", x, alpha=slope)
    elif most == 6:
        return call.emit("relu6", x)
    else:
        y = call.emit("relu", x)
    return y if most is None else call.emit("clip", y, "", call.constant(most, np.float32))


@layer("LeakyReLU")
def _leaky(call: Call) -> str:
    config = call.config
    return call.emit(
        "leaky_relu", call.x, alpha=float(config.get("negative_slope", config.get("alpha", 0.3)))
    )


@layer("PReLU")
def _prelu(call: Call) -> str:
    return call.emit("prelu", call.x, call.own("alpha"))


@layer("ELU")
def _elu(call: Call) -> str:
    return call.emit("elu", call.x, alpha=float(call.config["alpha"]))


@layer("ThresholdedReLU")
def _thresholded(call: Call) -> str:
    return call.emit("thresholded_relu", call.x, alpha=float(call.config["theta"]))


@layer("Softmax")
def _softmax(call: Call) -> str:
    axis = call.config["axis"]
    if not isinstance(axis, int):
        raise Refused(f"it goes over the axes {axis}; one is supported")
    if len(call.inputs) > 1:
        raise Refused("it has a mask, which is not supported")
    return call.emit("softmax", call.x, axis=axis)
