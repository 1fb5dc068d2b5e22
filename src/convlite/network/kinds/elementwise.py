"""Kinds that work element by element: formulas of one array, NumPy's broadcasting of several."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..facts import Fact, Size, broadcast
from ..graph import Array, Node
from .record import Arrays, Facts, Kind, dtype_of, exact, given, like_first, optional, registered

__all__ = ["FORMULAS", "KINDS", "activated", "cast_to", "fused_activation"]

KINDS: dict[str, Kind] = {}
BOOL = np.dtype(bool)


# ---- formulas of one array, in float64; parameters are the node's attributes in this order ----


def _sigmoid(v: Array) -> Array:
    return 1 / (1 + np.exp(-v))


def _softplus(v: Array) -> Array:
    return np.logaddexp(0.0, v)


def _erf(v: Array) -> Array:
    return np.asarray(np.frompyfunc(math.erf, 1, 1)(v), np.float64)


def _gelu(v: Array, approximate: Any = False) -> Array:
    if approximate in (True, "tanh"):
        gate: Array = np.tanh(math.sqrt(2 / math.pi) * (v + 0.044715 * v**3))
    else:
        gate = _erf(v / math.sqrt(2))
    result: Array = 0.5 * v * (1 + gate)
    return result


def _elu(v: Array, alpha: float = 1.0) -> Array:
    return np.where(v < 0, alpha * np.expm1(np.minimum(v, 0)), v)


def _selu(v: Array, alpha: float, gamma: float) -> Array:
    return gamma * _elu(v, alpha)


def _celu(v: Array, alpha: float = 1.0) -> Array:
    return np.maximum(0, v) + np.minimum(0, alpha * np.expm1(v / alpha))


def _shrink(v: Array, bias: float, lambd: float) -> Array:
    return np.where(v < -lambd, v + bias, np.where(v > lambd, v - bias, 0))


def _hard_sigmoid(v: Array, alpha: float = 1 / 6, beta: float = 0.5) -> Array:
    return np.clip(alpha * v + beta, 0, 1)


FORMULAS: dict[str, Callable[..., Array]] = {
    "relu": lambda v: np.maximum(v, 0),
    "relu6": lambda v: np.clip(v, 0, 6),
    "sigmoid": _sigmoid,
    "tanh": np.tanh,
    "silu": lambda v: v * _sigmoid(v),
    "swish": lambda v, alpha=1.0: v * _sigmoid(alpha * v),
    "gelu": _gelu,
    "hard_swish": lambda v: v * _hard_sigmoid(v),
    "mish": lambda v: v * np.tanh(_softplus(v)),
    "softsign": lambda v: v / (1 + np.abs(v)),
    "selu": _selu,
    "elu": _elu,
    "celu": _celu,
    "leaky_relu": lambda v, alpha=0.01: np.where(v < 0, alpha * v, v),
    "thresholded_relu": lambda v, alpha=1.0: np.where(v > alpha, v, np.where(np.isnan(v), v, 0)),
    "hard_sigmoid": _hard_sigmoid,
    "softplus": _softplus,
    "shrink": _shrink,
    "exp": np.exp,
    "log": np.log,
    "sqrt": np.sqrt,
    "reciprocal": lambda v: 1 / v,
    "erf": _erf,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "asinh": np.arcsinh,
    "acosh": np.arccosh,
    "atanh": np.arctanh,
}
PARAMETERS = {
    "swish": ("alpha",),
    "gelu": ("approximate",),
    "selu": ("alpha", "gamma"),
    "elu": ("alpha",),
    "celu": ("alpha",),
    "leaky_relu": ("alpha",),
    "thresholded_relu": ("alpha",),
    "hard_sigmoid": ("alpha", "beta"),
    "shrink": ("bias", "lambd"),
}


# Fused activations: name -> how many parameters.
FUSED = {
    **dict.fromkeys(("relu", "relu6", "sigmoid", "tanh", "silu", "gelu", "gelu_tanh", "hard_swish"), 0),
    **dict.fromkeys(("hard_sigmoid", "softplus", "mish", "softsign", "exponential"), 0),
    **dict.fromkeys(("leaky_relu", "elu", "prelu"), 1),
}


def fused_activation(attribute: Any, channels: Size = None) -> tuple[Any, ...] | None:
    """The attribute `activation` of a node as (name, *parameters); None for none. A name alone will do.

    channels: of the output, which "prelu" has slopes for. ValueError for what is no fused activation.

    Examples:
        >>> fused_activation("relu"), fused_activation(("leaky_relu", 0.1)), fused_activation(None)
        (('relu',), ('leaky_relu', 0.1), None)
    """
    if attribute is None:
        return None
    form = (attribute,) if isinstance(attribute, str) else attribute
    if not isinstance(form, tuple | list) or not form or not isinstance(form[0], str):
        raise ValueError(f"activation must be None, a name or (name, *parameters), not {attribute!r}")
    name, *parameters = form
    if name not in FUSED:
        raise ValueError(f"there is no fused activation {name!r}; there are {', '.join(sorted(FUSED))}")
    if len(parameters) != FUSED[name]:
        raise ValueError(f"activation {name!r} has {FUSED[name]} parameters, not {len(parameters)}")
    for value in parameters:
        numbers = np.asarray(value)
        if numbers.dtype.kind not in "fiu" or (numbers.ndim if name != "prelu" else numbers.ndim > 1):
            raise ValueError(f"activation {name!r} has a parameter that is no number: {value!r}")
        if isinstance(channels, int) and numbers.size not in (1, channels):
            raise ValueError(f"activation {name!r} has {numbers.size} slopes for {channels} channels")
    return (name, *parameters)


def activated(activation: Any, values: Array) -> Array:
    """A fused activation, None or (name, *parameters), of float64 values."""
    form = fused_activation(activation)
    if form is None:
        return values
    name, *parameters = form
    if name == "prelu":
        return np.where(values < 0, values * np.asarray(parameters[0], np.float64), values)
    if name == "gelu_tanh":
        name, parameters = "gelu", [True]
    if name == "exponential":
        name = "exp"
    return FORMULAS[name](values, *parameters)


@registered(KINDS, *FORMULAS, infer=like_first)
def _formula(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    x = given(arrays, 0)
    values = [node.attributes[name] for name in PARAMETERS.get(node.kind, ())]
    wide = x.astype(np.float64) if x.dtype.kind == "f" or values else x
    return (np.asarray(FORMULAS[node.kind](wide, *values)).astype(x.dtype),)


# ---- of one array, in its own dtype ----

PLAIN: dict[str, Callable[[Array], Any]] = {
    "abs": np.abs,
    "neg": np.negative,
    "sign": np.sign,
    "floor": np.floor,
    "ceil": np.ceil,
    "round": np.rint,  # halves to even
    "bitwise_not": np.invert,
    "identity": lambda x: x,
}


@registered(KINDS, *PLAIN, infer=like_first)
def _plain(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    x = given(arrays, 0)
    return (np.asarray(PLAIN[node.kind](x)).astype(x.dtype, copy=False),)


def _bool_facts(node: Node, facts: Facts) -> tuple[Fact, ...]:
    return (Fact(BOOL, given(facts, 0).shape),)


@registered(KINDS, "not", "isnan", infer=_bool_facts)
def _test(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    x = given(arrays, 0)
    return (np.asarray(np.logical_not(x) if node.kind == "not" else np.isnan(x)),)


@registered(KINDS, "isinf", infer=_bool_facts)
def _isinf(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    x = given(arrays, 0)
    above, below = bool(node.attributes["positive"]), bool(node.attributes["negative"])
    return (np.asarray((np.isposinf(x) & above) | (np.isneginf(x) & below)),)


# ---- several arrays ----


def _arithmetic_facts(node: Node, facts: Facts) -> tuple[Fact, ...]:
    shape = broadcast([fact.shape for fact in facts if fact is not None])
    fused_activation(node.attributes.get("activation"), shape[-1] if shape else None)
    return (Fact(dtype_of(facts), shape),)


def _divided(a: Array, b: Array) -> Any:
    """Integers: towards zero, as ONNX; floats: the quotient."""
    if a.dtype.kind == "f":
        return np.divide(a, b)
    quotient = np.floor_divide(a, b)
    if a.dtype.kind == "i":
        with np.errstate(all="ignore"):
            inexact = np.multiply(quotient, b) != a
        quotient = quotient + ((quotient < 0) & inexact & (b != 0))
    return quotient


def _modulo(node: Node, a: Array, b: Array) -> Any:
    """fmod: the sign of a; otherwise the sign of b."""
    return np.fmod(a, b) if node.attributes["fmod"] else np.mod(a, b)


def _shifted(node: Node, a: Array, b: Array) -> Any:
    return (np.left_shift if node.attributes["direction"] == "LEFT" else np.right_shift)(a, b)


BINARY: dict[str, Callable[[Node, Array, Array], Any]] = {
    "add": lambda node, a, b: np.add(a, b),
    "sub": lambda node, a, b: np.subtract(a, b),
    "mul": lambda node, a, b: np.multiply(a, b),
    "div": lambda node, a, b: _divided(a, b),
    "mod": _modulo,
    "bitwise_and": lambda node, a, b: np.bitwise_and(a, b),
    "bitwise_or": lambda node, a, b: np.bitwise_or(a, b),
    "bitwise_xor": lambda node, a, b: np.bitwise_xor(a, b),
    "bit_shift": _shifted,
}
COMPARISONS: dict[str, Callable[[Array, Array], Any]] = {
    "equal": np.equal,
    "less": np.less,
    "less_equal": np.less_equal,
    "greater": np.greater,
    "greater_equal": np.greater_equal,
    "and": np.logical_and,
    "or": np.logical_or,
    "xor": np.logical_xor,
}


@registered(KINDS, *BINARY, infer=_arithmetic_facts)
def _binary(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    a, b = given(arrays, 0), given(arrays, 1)
    result = np.asarray(BINARY[node.kind](node, a, b)).astype(a.dtype, copy=False)
    activation = node.attributes.get("activation")  # where a pass fused one
    return (result if activation is None else activated(activation, exact(result)).astype(a.dtype),)


def _comparison_facts(node: Node, facts: Facts) -> tuple[Fact, ...]:
    (fact,) = _arithmetic_facts(node, facts)
    return (Fact(BOOL, fact.shape),)


@registered(KINDS, *COMPARISONS, infer=_comparison_facts)
def _comparison(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    return (np.asarray(COMPARISONS[node.kind](given(arrays, 0), given(arrays, 1))),)


def _pow_facts(node: Node, facts: Facts) -> tuple[Fact, ...]:
    a, b = given(facts, 0), given(facts, 1)
    return (Fact(a.dtype, broadcast([a.shape, b.shape])),)


@registered(KINDS, "pow", infer=_pow_facts)
def _pow(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    """The result has the dtype of the base."""
    a, b = given(arrays, 0), given(arrays, 1)
    if a.dtype.kind in "iu" and b.dtype.kind in "iu" and (b >= 0).all():
        return (np.asarray(np.power(a, b)).astype(a.dtype),)
    return (np.asarray(np.power(a.astype(np.float64), b.astype(np.float64))).astype(a.dtype),)


@registered(KINDS, "prelu", infer=_pow_facts)
def _prelu(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    x, slope = given(arrays, 0), given(arrays, 1)
    return (np.where(x < 0, np.multiply(exact(x), slope), x).astype(x.dtype),)


VARIADIC: dict[str, Callable[[Array, Array], Any]] = {"max": np.maximum, "min": np.minimum, "sum": np.add}


@registered(KINDS, *VARIADIC, infer=_arithmetic_facts)
def _variadic(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    result = given(arrays, 0)
    for array in arrays[1:]:
        if array is not None:
            result = np.asarray(VARIADIC[node.kind](result, array))
    return (np.asarray(result),)


@registered(KINDS, "mean", infer=_arithmetic_facts)
def _mean(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    first = given(arrays, 0)
    total: Any = 0.0
    for array in arrays:
        if array is not None:
            total = total + exact(array)
    return (np.asarray(total / len(arrays)).astype(first.dtype),)


def _clip_facts(node: Node, facts: Facts) -> tuple[Fact, ...]:
    x = given(facts, 0)
    for number, name in ((1, "low"), (2, "high")):
        bound = optional(facts, number)
        if bound is not None and bound.shape is not None and any(size != 1 for size in bound.shape):
            raise ValueError(f"{name} must be one number, not of shape {bound.shape}")
    return (Fact(x.dtype, x.shape),)


@registered(KINDS, "clip", infer=_clip_facts)
def _clip(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    x, low, high = given(arrays, 0), optional(arrays, 1), optional(arrays, 2)
    y = x if low is None else np.maximum(x, low.reshape(()))
    y = y if high is None else np.minimum(y, high.reshape(()))
    return (np.asarray(y).astype(x.dtype),)


def _where_facts(node: Node, facts: Facts) -> tuple[Fact, ...]:
    shape = broadcast([given(facts, number).shape for number in range(3)])
    return (Fact(dtype_of(facts[1:]), shape),)


@registered(KINDS, "where", infer=_where_facts)
def _where(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    return (np.where(given(arrays, 0).astype(bool), given(arrays, 1), given(arrays, 2)),)


# ---- dtypes ----


def cast_to(x: Array, dtype: Any) -> Array:
    """To integers towards zero; to bool: whether it is not zero."""
    return x.astype(dtype)


def _cast_facts(node: Node, facts: Facts) -> tuple[Fact, ...]:
    return (Fact(np.dtype(node.attributes["dtype"]), given(facts, 0).shape),)


@registered(KINDS, "cast", infer=_cast_facts)
def _cast(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    return (cast_to(given(arrays, 0), np.dtype(node.attributes["dtype"])),)


def _cast_like_facts(node: Node, facts: Facts) -> tuple[Fact, ...]:
    return (Fact(given(facts, 1).dtype, given(facts, 0).shape),)


@registered(KINDS, "cast_like", infer=_cast_like_facts)
def _cast_like(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    return (cast_to(given(arrays, 0), given(arrays, 1).dtype),)
