"""Element-wise layers and functions, and normalizations."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ... import activations, normalization, pointwise
from ...network.graph import Array
from ..normalization import (
    GroupNormalization,
    InstanceNormalization,
    LayerNormalization,
    Normalization,
    Rescaling,
    RMSNormalization,
    UnitNormalization,
)
from ..pointwise import ELU, GELU, Activation, BatchNormalization, LeakyReLU, PReLU, ReLU, Softmax
from ..symbolic import SymbolicTensor
from ..tracing import plan_of, why_not
from .rules import Applied, CannotBe, rule

__all__ = ["activated"]

_SELU = {"alpha": 1.6732632423543772, "gamma": 1.0507009873554805}
# Name of an activation -> kind of node and its attributes.
_PLAIN: dict[str, tuple[str, dict[str, Any]]] = {
    **{name: (name, {}) for name in ("relu", "relu6", "sigmoid", "tanh", "silu", "hard_swish", "softplus")},
    **{name: (name, {}) for name in ("mish", "softsign")},
    "leaky_relu": ("leaky_relu", {"alpha": 0.2}), "elu": ("elu", {"alpha": 1.0}),
    "celu": ("celu", {"alpha": 1.0}), "selu": ("selu", _SELU), "exponential": ("exp", {}),
    "gelu": ("gelu", {"approximate": False}), "gelu_tanh": ("gelu", {"approximate": True}),
    "hard_sigmoid": ("hard_sigmoid", {"alpha": 1 / 6, "beta": 0.5}),
    "softmax": ("softmax", {"axis": -1}), "log_softmax": ("log_softmax", {"axis": -1}),
}  # fmt: skip


def _log_sigmoid(call: Applied, x: str) -> str:
    return call.emit("neg", call.emit("softplus", call.emit("neg", x)))


def _tanh_shrink(call: Applied, x: str) -> str:
    return call.emit("sub", x, call.emit("tanh", x))


def _clipped(call: Applied, x: str, low: float, high: float) -> str:
    bounds = ["" if math.isinf(bound) else call.constant(bound) for bound in (low, high)]
    return call.emit("clip", x, *bounds)


def _soft_shrink(call: Applied, x: str, threshold: float = 0.5) -> str:
    return call.emit("sub", x, _clipped(call, x, -threshold, threshold))


def _hard_shrink(call: Applied, x: str, threshold: float = 0.5) -> str:
    small = call.emit("less_equal", call.emit("abs", x), call.constant(threshold))
    return call.emit("where", small, call.constant(0), x)


_MADE: dict[str, Callable[[Applied, str], str]] = {
    "log_sigmoid": _log_sigmoid,
    "tanh_shrink": _tanh_shrink,
    "hard_tanh": lambda call, x: _clipped(call, x, -1.0, 1.0),
    "soft_shrink": _soft_shrink,
    "hard_shrink": _hard_shrink,
    "linear": lambda call, x: x,
}


def activated(call: Applied, x: str, activation: Any) -> str:
    """Apply an activation, in the form in which layers hold it, to x. CannotBe if it needs numbers."""
    if activation is None:
        return x
    name = _name_of(activation)
    if name in _PLAIN:
        kind, attributes = _PLAIN[name]
        return call.emit(kind, x, **attributes)
    if name in _MADE:
        return _MADE[name](call, x)
    if isinstance(activation, activations.ReLU):
        most = activation.max_value
        return call.emit("relu", x) if most is None else _clipped(call, x, 0.0, float(most))
    if isinstance(activation, (activations.LeakyReLU, activations.ELU, activations.CELU)):
        kind = {"LeakyReLU": "leaky_relu", "ELU": "elu", "CELU": "celu"}[_own_class(activation)]
        return call.emit(kind, x, alpha=float(activation.alpha))
    if isinstance(activation, activations.SoftShrink):
        return _soft_shrink(call, x, activation.threshold)
    if isinstance(activation, activations.HardShrink):
        return _hard_shrink(call, x, activation.threshold)
    if isinstance(activation, activations.PReLU):
        return call.emit("prelu", x, call.constant(activation.alpha))
    return _function(call, x, activation)


def _own_class(activation: Any) -> str:
    for base in type(activation).__mro__:
        if base in (activations.LeakyReLU, activations.ELU, activations.CELU):
            return str(base.__name__)
    raise CannotBe(f"its activation {activation!r} is unknown")


def _name_of(activation: Any) -> str | None:
    """The name of one of the package's activations, given by name or as its function."""
    if isinstance(activation, activations.Named):
        return activation.name
    for name in activations.NAMES:
        if activation in (getattr(pointwise, name, None), getattr(activations, name, None)):
            return name
    return None


def _function(call: Applied, x: str, function: Any) -> str:
    """Apply a function of the caller, which is called on a symbolic tensor."""
    fresh = SymbolicTensor(call.shape(x), call.dtype)
    called = getattr(function, "__name__", type(function).__name__)
    try:
        given = function(fresh)
    except Exception as error:
        if (reason := why_not(error)) is None:
            raise
        raise CannotBe(f"its activation {called!r} does what cannot be recorded; {reason}") from None
    if not isinstance(given, SymbolicTensor):
        raise CannotBe(f"its activation {called!r} gave no tensor for a symbolic one")
    return call.emitter.walked(plan_of([fresh], [given], [], f"the activation {called!r}"), [], [x])[0]


@rule(Activation)
def _activation(call: Applied) -> str:
    return activated(call, call.x, call.layer.activation)


@rule(ReLU)
def _relu(call: Applied) -> str:
    """min(f(x), max_value), where f(x) is x if x >= threshold, else slope * (x - threshold)."""
    layer, x = call.layer, call.x
    slope, threshold, most = layer.negative_slope, layer.threshold, layer.max_value
    if threshold:
        above = call.emit("less", x, call.constant(threshold))
        shifted = call.emit("sub", x, call.constant(threshold))
        below = call.emit("mul", shifted, call.constant(slope)) if slope else call.constant(0)
        y = call.emit("where", above, below, x)
    elif slope:
        y = call.emit("leaky_relu", x, alpha=slope)
    elif most is not None:
        return call.emit("relu6", x) if most == 6 else _clipped(call, x, 0.0, most)
    else:
        return call.emit("relu", x)
    return y if most is None else call.emit("clip", y, "", call.constant(most))


@rule(LeakyReLU)
def _leaky(call: Applied) -> str:
    return call.emit("leaky_relu", call.x, alpha=call.layer.negative_slope)


@rule(ELU)
def _elu(call: Applied) -> str:
    return call.emit("elu", call.x, alpha=call.layer.alpha)


@rule(GELU)
def _gelu(call: Applied) -> str:
    return call.emit("gelu", call.x, approximate=call.layer.approximate)


@rule(PReLU)
def _prelu(call: Applied) -> str:
    return call.emit("prelu", call.x, call.weight("alpha"))


@rule(Softmax)
def _softmax(call: Applied) -> str:
    return call.emit("softmax", call.x, axis=call.layer.axis)


# ---- normalizations ----


def _vector(call: Applied, name: str, otherwise: float) -> str:
    """A weight with a number for each channel; if the layer has none, all numbers are `otherwise`."""
    return call.weight(name) or call.constant(np.full(call.shape()[-1] or 0, otherwise))


@rule(BatchNormalization)
def _batch_norm(call: Applied) -> str:
    scale, offset = _vector(call, "gamma", 1.0), _vector(call, "beta", 0.0)
    mean, variance = call.weight("moving_mean"), call.weight("moving_variance")
    return call.emit("batch_norm", call.x, scale, offset, mean, variance, epsilon=call.layer.epsilon)


@rule(GroupNormalization, InstanceNormalization)
def _group_norm(call: Applied) -> str:
    channels = call.shape()[-1]
    if channels is None:
        raise CannotBe("the number of channels is free")
    groups = channels if call.layer.groups == -1 else call.layer.groups
    scale, offset = _vector(call, "gamma", 1.0), _vector(call, "beta", 0.0)
    return call.emit("group_norm", call.x, scale, offset, groups=groups, epsilon=call.layer.epsilon)


def _along(call: Applied, kind: str, *names: str) -> str:
    """A normalization over some axes, which are moved to the end and back afterwards."""
    axes = normalization.as_axes(call.layer.axis, call.rank)
    front = [axis for axis in range(call.rank) if axis not in axes]
    perm = [*front, *axes]
    weights = [call.weight(name) for name in names]
    while weights and not weights[-1]:
        weights.pop()
    x = call.transposed(call.x, perm)
    y = call.emit(kind, x, *weights, axis=len(front), epsilon=call.layer.epsilon)
    return call.transposed(y, [perm.index(axis) for axis in range(call.rank)])


@rule(LayerNormalization)
def _layer_norm(call: Applied) -> str:
    return _along(call, "layer_norm", "gamma", "beta")


@rule(RMSNormalization)
def _rms_norm(call: Applied) -> str:
    return _along(call, "rms_norm", "scale")


@rule(UnitNormalization)
def _unit_norm(call: Applied) -> str:
    return unit(call, call.x, normalization.as_axes(call.layer.axis, call.rank))


def unit(call: Applied, x: str, axes: tuple[int, ...]) -> str:
    """x divided by its length along the axes, or by 1e-12 if the length is smaller."""
    length = call.reduced("reduce_l2", x, axes, keepdims=True)
    return call.emit("div", x, call.emit("max", length, call.constant(1e-12)))


@rule(Normalization)
def _normalization(call: Applied) -> str:
    layer, weights = call.layer, call.weights()
    mean: Array = weights["mean"] if layer.mean is None else layer.mean
    variance: Array = weights["variance"] if layer.variance is None else layer.variance
    with np.errstate(all="ignore"):
        spread = np.maximum(np.sqrt(variance.astype(call.dtype)), call.dtype.type(1e-7))
    centre, scale = call.constant(mean), call.constant(spread)
    if layer.invert:
        return call.emit("add", call.emit("mul", call.x, scale), centre)
    return call.emit("div", call.emit("sub", call.x, centre), scale)


@rule(Rescaling)
def _rescaling(call: Applied) -> str:
    y = call.emit("mul", call.x, call.constant(call.layer.scale))
    return call.emit("add", y, call.constant(call.layer.offset)) if call.layer.offset.any() else y
