"""Numbers in few bits: real = (integer - zero point) * scale; in float32, as ONNX rounds."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..facts import Fact, ceil_of
from ..graph import Array, Node
from .convolution import convolved, infer_conv, matmul_shape
from .record import Arrays, Facts, Kind, axis_of, given, must_fit, optional, registered

__all__ = ["KINDS"]

KINDS: dict[str, Kind] = {}
INT32 = np.dtype(np.int32)
FLOAT32 = np.dtype(np.float32)


def _along(node: Node, parameter: Array, x: Array) -> Array:
    """A scale or zero point broadcast to x: one number, one an index of the axis, or one a block."""
    if parameter.size == 1 and not node.attributes["block_size"]:
        return parameter.reshape(())
    axis = axis_of(int(node.attributes["axis"]), x.ndim)
    block = int(node.attributes["block_size"])
    if block:
        spread = np.repeat(parameter, block, axis)
        return spread[(slice(None),) * axis + (slice(0, x.shape[axis]),)]
    if parameter.shape != (x.shape[axis],):
        raise ValueError(f"there are {parameter.shape} scales or zero points for axis {axis} of {x.shape}")
    return parameter.reshape([-1 if number == axis else 1 for number in range(x.ndim)])


def _saturated(values: Array, dtype: np.dtype[Any]) -> Array:
    limits = np.iinfo(dtype)
    return np.clip(values, limits.min, limits.max).astype(dtype)


def _quantized(x: Array, scale: Array, zero: Array, dtype: np.dtype[Any]) -> Array:
    """round(x / scale) + zero, halves to even, clipped to what the dtype holds."""
    steps = np.rint(x.astype(scale.dtype) / scale).astype(np.float64)
    return _saturated(steps + zero.astype(np.float64), dtype)


def _check_scales(node: Node, facts: Facts) -> None:
    """ValueError where scales or zero points are not one number, one an index of the axis, or one a block."""
    x, block = given(facts, 0), int(node.attributes["block_size"])
    for number, name in ((1, "scale"), (2, "zero")):
        fact = optional(facts, number)
        if fact is None or fact.shape is None or x.shape is None or fact.shape in ((), (1,)):
            continue
        axis = axis_of(int(node.attributes["axis"]), len(x.shape))
        if len(fact.shape) != (len(x.shape) if block else 1):
            raise ValueError(f"{name} has shape {fact.shape}, which does not fit x of shape {x.shape}")
        must_fit(
            fact.shape[axis if block else 0], ceil_of(x.shape[axis], block or 1), f"{name} along axis {axis}"
        )


def _quantize_facts(node: Node, facts: Facts) -> tuple[Fact, ...]:
    _check_scales(node, facts)
    zero = optional(facts, 2)
    dtype = np.dtype(node.attributes["dtype"]) if zero is None or zero.dtype is None else zero.dtype
    return (Fact(dtype, given(facts, 0).shape),)


@registered(KINDS, "quantize_linear", infer=_quantize_facts)
def _quantize_linear(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    x, scale, zero = given(arrays, 0), given(arrays, 1), optional(arrays, 2)
    dtype = np.dtype(node.attributes["dtype"]) if zero is None else zero.dtype
    offset = np.zeros((), dtype) if zero is None else _along(node, zero, x)
    return (_quantized(x, _along(node, scale, x), offset, dtype),)


def _dequantize_facts(node: Node, facts: Facts) -> tuple[Fact, ...]:
    _check_scales(node, facts)
    return (Fact(given(facts, 1).dtype, given(facts, 0).shape),)


@registered(KINDS, "dequantize_linear", infer=_dequantize_facts)
def _dequantize_linear(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    x, scale, zero = given(arrays, 0), given(arrays, 1), optional(arrays, 2)
    steps = _centred(x, None if zero is None else _along(node, zero, x))
    return ((steps.astype(scale.dtype) * _along(node, scale, x)).astype(scale.dtype),)


def _centred(x: Array, zero: Array | None) -> Array:
    """x - zero, exactly; floats as they are."""
    if x.dtype.kind == "f":
        return x if zero is None else x - zero
    wide = x.astype(np.int64)
    return wide if zero is None else wide - zero.astype(np.int64)


def _dynamic_facts(node: Node, facts: Facts) -> tuple[Fact, ...]:
    x = given(facts, 0)
    return Fact(np.dtype(np.uint8), x.shape), Fact(FLOAT32, ()), Fact(np.dtype(np.uint8), ())


@registered(KINDS, "dynamic_quantize_linear", infer=_dynamic_facts)
def _dynamic_quantize_linear(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    """To uint8, with a scale and zero point such that the range of x and 0 fit."""
    x = given(arrays, 0).astype(np.float32)
    low, high = (np.float32(bound) for bound in (x.min(initial=0), x.max(initial=0)))
    scale = np.asarray((high - low) / np.float32(255), np.float32)
    if scale == 0:
        return np.zeros(x.shape, np.uint8), np.ones((), np.float32), np.zeros((), np.uint8)
    zero = _saturated(np.rint(-low / scale), np.dtype(np.uint8))
    return _quantized(x, scale, zero, np.dtype(np.uint8)), scale, zero


# ---- products of integers ----


def _rows(zero: Array | None, x: Array) -> Array | None:
    """A zero point of the left matrix: one number, or one for each row."""
    return zero[..., None] if zero is not None and zero.ndim == 1 and zero.size > 1 else zero


def _matmul_facts(node: Node, facts: Facts) -> tuple[Fact, ...]:
    return (Fact(INT32, matmul_shape(given(facts, 0), given(facts, 1))),)


@registered(KINDS, "matmul_integer", infer=_matmul_facts)
def _matmul_integer(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    a, b = given(arrays, 0), given(arrays, 1)
    left, right = _centred(a, _rows(optional(arrays, 2), a)), _centred(b, optional(arrays, 3))
    return (np.asarray(left @ right).astype(INT32),)


def _conv_facts(node: Node, facts: Facts) -> tuple[Fact, ...]:
    return (Fact(INT32, infer_conv(node, given(facts, 0), given(facts, 1), None)),)


@registered(KINDS, "conv_integer", infer=_conv_facts)
def _conv_integer(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    """The padding holds the zero point and adds nothing. Integer sums below 2**53 are exact in float64."""
    x, kernel = (
        _centred(given(arrays, 0), optional(arrays, 2)),
        _centred(given(arrays, 1), optional(arrays, 3)),
    )
    return (convolved(node, x, kernel).astype(np.int64).astype(INT32),)


def _qconv_facts(node: Node, facts: Facts) -> tuple[Fact, ...]:
    shape = infer_conv(node, given(facts, 0), given(facts, 3), optional(facts, 8))
    return (Fact(given(facts, 7).dtype, shape),)


def _requantized(total: Array, scales: tuple[Array, Array, Array], zero: Array) -> Array:
    """round(total * (scale of a * scale of b / scale of y)) + zero."""
    factor = (scales[0] * scales[1] / scales[2]).astype(np.float32)
    return _saturated(np.rint(total.astype(np.float32) * factor) + zero.astype(np.float32), zero.dtype)


@registered(KINDS, "qlinear_conv", infer=_qconv_facts)
def _qlinear_conv(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    x, x_scale, x_zero, kernel, k_scale, k_zero, y_scale, y_zero = (given(arrays, n) for n in range(8))
    bias = optional(arrays, 8)
    total = convolved(node, _centred(x, x_zero), _centred(kernel, k_zero))
    total = total if bias is None else total + bias
    return (_requantized(total, (x_scale.reshape(()), k_scale, y_scale.reshape(())), y_zero.reshape(())),)


def _qmatmul_facts(node: Node, facts: Facts) -> tuple[Fact, ...]:
    return (Fact(given(facts, 7).dtype, matmul_shape(given(facts, 0), given(facts, 3))),)


@registered(KINDS, "qlinear_matmul", infer=_qmatmul_facts)
def _qlinear_matmul(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero = (given(arrays, n) for n in range(8))
    total = np.asarray(_centred(a, _rows(a_zero, a)) @ _centred(b, b_zero))
    scale = _rows(a_scale, a)
    assert scale is not None
    return (_requantized(total, (scale, b_scale, y_scale), y_zero),)
