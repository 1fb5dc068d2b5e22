"""Operators that work element by element."""

from __future__ import annotations

import numpy as np

from ..operation import Operation, operator
from ..tensors import Refused

__all__: list[str] = []

_PLAIN = {
    "Abs": "abs", "Acos": "acos", "Acosh": "acosh", "Asin": "asin", "Asinh": "asinh", "Atan": "atan",
    "Atanh": "atanh", "BitwiseNot": "bitwise_not", "Ceil": "ceil", "Cos": "cos", "Cosh": "cosh", "Erf": "erf",
    "Exp": "exp", "Floor": "floor", "HardSwish": "hard_swish", "IsNaN": "isnan", "Log": "log", "Mish": "mish",
    "Neg": "neg", "Not": "not", "Reciprocal": "reciprocal", "Relu": "relu", "Round": "round",
    "Sigmoid": "sigmoid", "Sign": "sign", "Sin": "sin", "Sinh": "sinh", "Softplus": "softplus",
    "Softsign": "softsign", "Sqrt": "sqrt", "Tan": "tan", "Tanh": "tanh",
}  # fmt: skip


@operator(*_PLAIN)
def _plain(op: Operation) -> str:
    op.ignore("consumed_inputs")
    return op.emit(_PLAIN[op.name], op.required(0))


# Operator -> kind, and the attributes with ONNX's defaults.
_PARAMETERS = {
    "Elu": ("elu", {"alpha": 1.0}),
    "Celu": ("celu", {"alpha": 1.0}),
    "LeakyRelu": ("leaky_relu", {"alpha": 0.01}),
    "ThresholdedRelu": ("thresholded_relu", {"alpha": 1.0}),
    "Selu": ("selu", {"alpha": 1.6732632423543772, "gamma": 1.0507009873554805}),
    "HardSigmoid": ("hard_sigmoid", {"alpha": 0.2, "beta": 0.5}),
    "Shrink": ("shrink", {"bias": 0.0, "lambd": 0.5}),
    "Swish": ("swish", {"alpha": 1.0}),
}


@operator(*_PARAMETERS)
def _with_parameters(op: Operation) -> str:
    kind, defaults = _PARAMETERS[op.name]
    return op.emit(kind, op.required(0), **{name: op.real(name, value) for name, value in defaults.items()})


@operator("Gelu")
def _gelu(op: Operation) -> str:
    return op.emit(
        "gelu", op.required(0), approximate=op.text("approximate", "none", ("none", "tanh")) == "tanh"
    )


@operator("IsInf")
def _isinf(op: Operation) -> str:
    return op.emit(
        "isinf",
        op.required(0),
        positive=op.flag("detect_positive", True),
        negative=op.flag("detect_negative", True),
    )


@operator("PRelu")
def _prelu(op: Operation) -> str:
    x, slope = op.required(0), op.required(1)
    if op.version < 7:  # one slope a channel there
        slope = _aligned(op, x, slope, 1)
    return op.emit("prelu", x, slope)


@operator("Clip")
def _clip(op: Operation) -> str:
    x = op.required(0)
    if op.version < 11:
        bounds = [
            op.constant(op.real(name, 0.0), op.dtype(x)) if op.has(name) else "" for name in ("min", "max")
        ]
    else:
        bounds = [op.input(1), op.input(2)]
    return op.emit("clip", x, *bounds) if any(bounds) else x


# ---- two inputs

_BINARY = {
    "Add": "add", "Sub": "sub", "Mul": "mul", "Div": "div", "Pow": "pow", "And": "and", "Or": "or",
    "Xor": "xor", "Equal": "equal", "Less": "less", "LessOrEqual": "less_equal", "Greater": "greater",
    "GreaterOrEqual": "greater_equal", "BitwiseAnd": "bitwise_and", "BitwiseOr": "bitwise_or",
    "BitwiseXor": "bitwise_xor",
}  # fmt: skip


@operator(*_BINARY)
def _binary(op: Operation) -> str:
    a, b = op.required(0), op.required(1)
    if op.version < 7:
        b = _broadcast(op, a, b)
    return op.emit(_BINARY[op.name], a, b)


def _broadcast(op: Operation, a: str, b: str) -> str:
    """The second input of version 6, whose axes begin at `axis` of the first one's."""
    op.ignore("consumed_inputs", "broadcast")
    if not op.has("axis"):
        return b
    return _aligned(op, a, b, op.integer("axis"))


def _aligned(op: Operation, a: str, b: str, axis: int) -> str:
    """b with axes of size 1 behind its own, so that its first is `axis` of a."""
    rank, own = op.rank(a), op.rank(b)
    axis += rank if axis < 0 else 0
    missing = rank - own - axis
    if own == 0 or own == rank or missing <= 0:
        return b
    return op.emit("unsqueeze", b, op.axes(range(own, own + missing)))


@operator("BitShift")
def _bit_shift(op: Operation) -> str:
    return op.emit(
        "bit_shift", op.required(0), op.required(1), direction=op.text("direction", None, ("LEFT", "RIGHT"))
    )


@operator("Mod")
def _mod(op: Operation) -> str:
    return op.emit("mod", op.required(0), op.required(1), fmod=op.flag("fmod"))


@operator("Max", "Min", "Sum", "Mean")
def _variadic(op: Operation) -> str:
    op.ignore("consumed_inputs")
    if not op.inputs:
        raise Refused("it has no inputs")
    inputs = [op.required(place) for place in range(len(op.inputs))]
    return inputs[0] if len(inputs) == 1 else op.emit(op.name.lower(), *inputs)


@operator("Where")
def _where(op: Operation) -> str:
    return op.emit("where", op.required(0), op.required(1), op.required(2))


# ---- dtypes, and operators that do nothing


@operator("Cast")
def _cast(op: Operation) -> str:
    op.ignore("saturate", "round_mode")  # of 8-bit floats, which are refused
    x, dtype = op.required(0), op.element_type("to")
    return x if op.fact(x).dtype == dtype else op.emit("cast", x, dtype=dtype)


@operator("CastLike")
def _cast_like(op: Operation) -> str:
    op.ignore("saturate", "round_mode")
    x, like = op.required(0), op.required(1)
    dtype = op.fact(like).dtype
    if dtype is None:
        return op.emit("cast_like", x, like)
    return x if op.fact(x).dtype == dtype else op.emit("cast", x, dtype=dtype)


@operator("Identity")
def _identity(op: Operation) -> str:
    return op.required(0)


@operator("Dropout")
def _dropout(op: Operation) -> tuple[str, ...]:
    """At inference the input; the mask is true everywhere."""
    op.ignore("ratio", "seed", "is_test", "consumed_inputs")
    x, training = op.required(0), op.input(2)
    if training and op.known(training) is None:
        raise Refused("whether it trains is computed while the network runs; export the model for inference")
    ratio = op.known(op.input(1)) if op.input(1) else None
    nothing = ratio is not None and not ratio.any()
    if training and bool(np.any(op.static(training, "training_mode"))) and not nothing:
        raise Refused("it drops values at random (training): export the model for inference")
    if len(op.wanted) < 2 or not op.wanted[1]:
        return (x,)
    if op.version < 10:
        raise Refused("its mask is not supported")
    shape = op.emit("shape", x, start=0, end=None)
    return x, op.emit("constant_of_shape", shape, value=np.array([True]))
