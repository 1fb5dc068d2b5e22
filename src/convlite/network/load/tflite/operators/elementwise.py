"""Activations, arithmetic, comparisons, casts, and what changes the form of numbers only."""

from __future__ import annotations

import numpy as np

from ...onnx.tensors import Refused
from ..operation import Operation, operator
from ..tensors import computed_dtype, quantised

__all__: list[str] = []

_UNARY = {
    "RELU": "relu", "RELU6": "relu6", "LOGISTIC": "sigmoid", "TANH": "tanh", "HARD_SWISH": "hard_swish",
    "EXP": "exp", "LOG": "log", "SQRT": "sqrt", "ABS": "abs", "NEG": "neg", "FLOOR": "floor", "CEIL": "ceil",
    "ROUND": "round", "SIN": "sin", "COS": "cos", "SIGN": "sign", "LOGICAL_NOT": "not",
}  # fmt: skip
_BINARY = {
    "MAXIMUM": "max", "MINIMUM": "min", "POW": "pow", "EQUAL": "equal", "LESS": "less", "GREATER": "greater",
    "LESS_EQUAL": "less_equal", "GREATER_EQUAL": "greater_equal", "LOGICAL_AND": "and", "LOGICAL_OR": "or",
    "PRELU": "prelu", "ADD_N": "sum",
}  # fmt: skip
_FUSED = {"ADD": "AddOptions", "SUB": "SubOptions", "MUL": "MulOptions", "DIV": "DivOptions"}


@operator(*_UNARY)
def _unary(op: Operation) -> str:
    return op.emit(_UNARY[op.name], op.required(0))


@operator(*_BINARY)
def _binary(op: Operation) -> str:
    if op.name == "ADD_N":
        return op.emit("sum", *(op.required(place) for place in range(len(op.inputs))))
    return op.emit(_BINARY[op.name], op.required(0), op.required(1))


@operator(*_FUSED)
def _arithmetic(op: Operation) -> str:
    return op.activated(op.emit(op.name.lower(), op.required(0), op.required(1)), _FUSED[op.name])


@operator("NOT_EQUAL")
def _not_equal(op: Operation) -> str:
    return op.emit("not", op.emit("equal", op.required(0), op.required(1)))


@operator("SQUARED_DIFFERENCE")
def _squared_difference(op: Operation) -> str:
    difference = op.emit("sub", op.required(0), op.required(1))
    return op.emit("mul", difference, difference)


@operator("SQUARE")
def _square(op: Operation) -> str:
    return op.emit("mul", op.required(0), op.required(0))


@operator("RSQRT")
def _rsqrt(op: Operation) -> str:
    return op.emit("reciprocal", op.emit("sqrt", op.required(0)))


@operator("FLOOR_DIV")
def _floor_div(op: Operation) -> str:
    a, b = op.required(0), op.required(1)
    dtype = op.dtype(a)
    quotient = op.emit("div", op.cast(a, np.float64), op.cast(b, np.float64))
    return op.cast(op.emit("floor", quotient), dtype)


@operator("FLOOR_MOD")
def _floor_mod(op: Operation) -> str:
    return op.emit("mod", op.required(0), op.required(1), fmod=False)


@operator("RELU_N1_TO_1")
def _relu_n1(op: Operation) -> str:
    return op.clipped(op.required(0), -1.0, 1.0)


@operator("RELU_0_TO_1")
def _relu_01(op: Operation) -> str:
    return op.clipped(op.required(0), 0.0, 1.0)


@operator("LEAKY_RELU")
def _leaky_relu(op: Operation) -> str:
    return op.emit("leaky_relu", op.required(0), alpha=op.real("LeakyReluOptions", "Alpha"))


@operator("ELU")
def _elu(op: Operation) -> str:
    return op.emit("elu", op.required(0), alpha=1.0)


@operator("GELU")
def _gelu(op: Operation) -> str:
    return op.emit("gelu", op.required(0), approximate=op.flag("GeluOptions", "Approximate"))


@operator("SOFTMAX")
def _softmax(op: Operation) -> str:
    x, beta = op.required(0), op.real("SoftmaxOptions", "Beta", 1.0)
    if beta != 1:
        x = op.emit("mul", x, op.constant(beta, op.dtype(x)))
    return op.emit("softmax", x, axis=-1)


@operator("LOG_SOFTMAX")
def _log_softmax(op: Operation) -> str:
    return op.emit("log_softmax", op.required(0), axis=-1)


@operator("L2_NORMALIZATION")
def _l2_normalization(op: Operation) -> str:
    """x / max(|x|, 1e-6) over the last axis."""
    x = op.required(0)
    norm = op.emit("reduce_l2", x, op.ints((-1,)), keepdims=True, noop_with_empty_axes=False)
    y = op.emit("div", x, op.emit("max", norm, op.constant(1e-6, op.dtype(x))))
    return op.activated(y, "L2NormOptions")


@operator("LOCAL_RESPONSE_NORMALIZATION")
def _lrn(op: Operation) -> str:
    """alpha multiplies the sum here; in the vocabulary it multiplies the mean over `size`."""
    table = "LocalResponseNormalizationOptions"
    size = 2 * op.integer(table, "Radius") + 1
    if not 1 <= size < 1 << 16:
        raise Refused(f"its radius is {size // 2}")
    return op.emit(
        "lrn", op.required(0), size=size, alpha=op.real(table, "Alpha") * size, beta=op.real(table, "Beta"),
        bias=op.real(table, "Bias"),
    )  # fmt: skip


@operator("CAST")
def _cast(op: Operation) -> str:
    source, target = op.entry.inputs[0], op.entry.outputs[0]
    for place in (source, target):
        entry = op.file.tensors[place]
        if quantised(entry):
            raise Refused(f"it takes or makes the integers of the quantised tensor {entry.name!r}")
    x, dtype = op.required(0), computed_dtype(op.file.tensors[target])
    return op.emit("cast", x, dtype=dtype)


@operator("QUANTIZE", "DEQUANTIZE", "DENSIFY")
def _form(op: Operation) -> str:
    """Quantised, 16-bit and sparse values are plain floats in the graph already."""
    return op.required(0)


@operator("ZEROS_LIKE")
def _zeros_like(op: Operation) -> str:
    x = op.required(0)
    shape = op.emit("shape", x, start=0, end=None)
    return op.emit("constant_of_shape", shape, value=np.zeros(1, op.dtype(x)))


@operator("SELECT", "SELECT_V2")
def _select(op: Operation) -> str:
    condition, a, b = (op.required(place) for place in range(3))
    rank = len(op.sizes(a))
    if op.name == "SELECT" and len(op.sizes(condition)) == 1 and rank > 1:  # one condition a row
        condition = op.emit("unsqueeze", condition, op.ints(range(1, rank)))
    return op.emit("where", condition, a, b)
