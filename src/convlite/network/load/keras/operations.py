"""Keras's operations on symbolic tensors (`x + y`, `keras.ops.relu(x)`)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..onnx.tensors import Refused
from .call import Call, layer

__all__: list[str] = []

_BINARY = {
    "Add": "add", "Subtract": "sub", "Multiply": "mul", "Divide": "div", "TrueDivide": "div",
    "Maximum": "max", "Minimum": "min", "Matmul": "matmul", "Power": "pow",
}  # fmt: skip
_UNARY = {
    "Negative": "neg", "Absolute": "abs", "Exp": "exp", "Log": "log", "Sqrt": "sqrt", "Relu": "relu",
    "Relu6": "relu6", "Sigmoid": "sigmoid", "Tanh": "tanh", "Silu": "silu", "Softplus": "softplus",
}  # fmt: skip
_REDUCTIONS = {"Mean": "reduce_mean", "Sum": "reduce_sum", "Max": "reduce_max", "Min": "reduce_min"}


def _operands(call: Call) -> list[str]:
    """Both sides; numbers become constants of the other side's dtype."""
    sides = list(call.args) + list(call.kwargs.values())
    dtype = call.builder.fact(call.inputs[0]).dtype
    return [side if isinstance(side, str) else call.constant(np.asarray(side), dtype) for side in sides[:2]]


@layer(*(f"ops.{name}" for name in _BINARY))
def _binary(call: Call) -> str:
    return call.emit(_BINARY[type(call.layer).__name__], *_operands(call))


@layer(*(f"ops.{name}" for name in _UNARY))
def _unary(call: Call) -> str:
    return call.emit(_UNARY[type(call.layer).__name__], call.x)


@layer(*(f"ops.{name}" for name in _REDUCTIONS))
def _reduction(call: Call) -> str:
    axis: Any = call.layer.axis
    axes = range(call.rank) if axis is None else axis if isinstance(axis, (list, tuple)) else [axis]
    return call.emit(
        _REDUCTIONS[type(call.layer).__name__], call.x, call.ints([int(a) for a in axes]),
        keepdims=bool(call.layer.keepdims), noop_with_empty_axes=False,
    )  # fmt: skip


@layer("ops.Softmax")
def _softmax(call: Call) -> str:
    if not isinstance(call.layer.axis, int):
        raise Refused(f"it goes over the axes {call.layer.axis}; one is supported")
    return call.emit("softmax", call.x, axis=call.layer.axis)


@layer("ops.Concatenate")
def _concatenate(call: Call) -> str:
    return call.emit("concat", *call.inputs, axis=int(call.layer.axis))


@layer("ops.Transpose")
def _transpose(call: Call) -> str:
    perm = call.layer.axes
    return call.transposed(call.x, tuple(reversed(range(call.rank))) if perm is None else tuple(perm))


@layer("ops.ExpandDims")
def _expand_dims(call: Call) -> str:
    axis = call.layer.axis
    return call.emit("unsqueeze", call.x, call.ints(axis if isinstance(axis, (list, tuple)) else [axis]))
