"""Quantised tensors and the products of integers."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..operation import Operation, operator
from ..tensors import INT4, UINT4, Refused, computed_dtype
from .convolution import convolution

__all__: list[str] = []


def _along(op: Operation, x: str) -> dict[str, Any]:
    """Which axis has a scale of its own for each index, or for each block."""
    return {"axis": op.integer("axis", 1), "block_size": op.integer("block_size", 0)}


@operator("QuantizeLinear")
def _quantize_linear(op: Operation) -> str:
    op.ignore("precision")  # of the division; it is never less than float32 here
    x, scale, zero = op.required(0), op.required(1), op.input(2)
    code = op.integer("output_dtype", 0)
    if code in (INT4, UINT4):
        raise Refused("the attribute 'output_dtype' is a 4-bit integer; use uint8 or int8")
    dtype = computed_dtype(code) if code else op.dtype(zero, np.uint8) if zero else np.dtype(np.uint8)
    if dtype.kind not in "iu":
        raise Refused(f"it quantises to {dtype}; only integers are supported")
    return op.emit(
        "quantize_linear", x, scale, zero, dtype=dtype, saturate=op.flag("saturate", True), **_along(op, x)
    )


@operator("DequantizeLinear")
def _dequantize_linear(op: Operation) -> str:
    op.ignore("output_dtype")  # that of the scale, or a 16-bit float, which is computed in float32
    x = op.required(0)
    return op.emit("dequantize_linear", x, op.required(1), op.input(2), **_along(op, x))


@operator("DynamicQuantizeLinear")
def _dynamic_quantize_linear(op: Operation) -> tuple[str, ...]:
    return op.emit_many("dynamic_quantize_linear", (op.required(0),), 3)


@operator("MatMulInteger")
def _matmul_integer(op: Operation) -> str:
    return op.emit("matmul_integer", op.required(0), op.required(1), op.input(2), op.input(3))


@operator("QLinearMatMul")
def _qlinear_matmul(op: Operation) -> str:
    return op.emit("qlinear_matmul", *(op.required(place) for place in range(8)))


@operator("ConvInteger")
def _conv_integer(op: Operation) -> str:
    return convolution(op, "conv_integer", op.required(0), op.required(1), (op.input(2), op.input(3)))


@operator("QLinearConv")
def _qlinear_conv(op: Operation) -> str:
    """(x, its scale and zero, w, its scale and zero, scale and zero of y, bias)."""
    x, w = op.required(0), op.required(3)
    between = (op.required(1), op.required(2))
    rest = tuple(op.required(place) for place in (4, 5, 6, 7))
    return convolution(op, "qlinear_conv", x, w, (*rest, op.input(8)), between)
