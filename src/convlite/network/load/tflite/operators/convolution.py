"""Convolutions, matrix products and pools. Kernels lie (outputs, height, width, inputs) in the file."""

from __future__ import annotations

import struct
from typing import Any

from convlite.network.facts import same_size, times

from ...onnx.tensors import Refused
from ..operation import Operation, operator

__all__: list[str] = []


def _conv(op: Operation, kernel: str, groups: int, table: str) -> str:
    y = op.emit(
        "conv", op.required(0), kernel, op.input(2), strides=op.positive(table, "StrideH", "StrideW"),
        padding=op.padding(table), dilations=op.positive(table, "DilationHFactor", "DilationWFactor"),
        groups=groups, activation=None,
    )  # fmt: skip
    return op.activated(y, table)


@operator("CONV_2D")
def _conv_2d(op: Operation) -> str:
    channels, inputs = op.sizes(op.required(0))[-1:], op.sizes(op.required(1))[-1:]
    groups = 1
    if channels != inputs:
        if not all(isinstance(size, int) for size in (*channels, *inputs)) or not inputs or not inputs[0]:
            raise Refused(f"its kernel takes {inputs} channels of {channels}")
        groups = channels[0] // inputs[0]
    return _conv(op, op.transposed(op.required(1), (1, 2, 3, 0)), groups, "Conv2DOptions")


@operator("DEPTHWISE_CONV_2D")
def _depthwise(op: Operation) -> str:
    channels = op.sizes(op.required(0))[-1]
    if not isinstance(channels, int):
        raise Refused("the number of channels of its input is not known while loading")
    kernel = op.transposed(op.required(1), (1, 2, 0, 3))  # (1, h, w, inputs * multiplier)
    return _conv(op, kernel, channels, "DepthwiseConv2DOptions")


def _conv_transpose(
    op: Operation, x: str, kernel: str, bias: str, strides: tuple[int, ...], same: bool, sides: Any
) -> str:
    return op.emit(
        "conv_transpose", x, op.transposed(kernel, (1, 2, 0, 3)), bias, strides=strides,
        padding="same" if same else ((0, 0), (0, 0)), output_shape=sides, output_padding=None,
        dilations=(1, 1), groups=1, activation=None,
    )  # fmt: skip


@operator("TRANSPOSE_CONV")
def _transpose_conv(op: Operation) -> str:
    table = "TransposeConvOptions"
    wanted, kernel, x = op.required(0), op.required(1), op.required(2)
    strides, same = op.positive(table, "StrideH", "StrideW"), op.padding(table) == "same"
    listed = op.listed(wanted)
    if listed is None or len(listed) != 4:
        raise Refused("its output shape must have 4 known entries")
    sides = listed[1:3]
    numbers = tuple(size for size in sides if isinstance(size, int))
    if len(numbers) == 2:
        if any(not 0 < size < 1 << 24 for size in numbers):
            raise Refused(f"its output shape is {listed}")
        output: tuple[int, ...] | None = numbers
    else:
        natural = [times(size, stride) for size, stride in zip(op.sizes(x)[1:3], strides, strict=True)]
        if not same or not all(same_size(a, b) for a, b in zip(sides, natural, strict=True)):
            raise Refused("its output shape is computed while the network runs; it must be a constant")
        output = None
    y = _conv_transpose(op, x, kernel, op.input(3), strides, same, output)
    return op.activated(y, table)


@operator("custom:Convolution2DTransposeBias")
def _mediapipe_transpose_conv(op: Operation) -> str:
    """MediaPipe's: options are three C ints, padding (1 same, 2 valid), stride along x, stride along y."""
    if len(op.entry.custom_options) < 12:
        raise Refused(f"its options have {len(op.entry.custom_options)} bytes; they must have 12")
    padding, width, height = struct.unpack_from("<iii", op.entry.custom_options)
    if padding not in (1, 2) or not (0 < width < 1 << 16 and 0 < height < 1 << 16):
        raise Refused(f"its padding is {padding} and its strides {(height, width)}")
    return _conv_transpose(
        op, op.required(0), op.required(1), op.input(2), (height, width), padding == 1, None
    )


@operator("FULLY_CONNECTED")
def _fully_connected(op: Operation) -> str:
    table = "FullyConnectedOptions"
    if op.integer(table, "WeightsFormat"):
        raise Refused("its weights are shuffled, which is not supported")
    x, weights = op.required(0), op.required(1)
    inner = op.sizes(weights)[-1]
    if not isinstance(inner, int):
        raise Refused("the shape of its weights is not known while loading")
    shape = op.sizes(x)
    if not op.flag(table, "KeepNumDims") and (len(shape) != 2 or shape[-1] != inner):
        x = op.reshaped(x, (-1, inner))
    y = op.emit("dense", x, op.transposed(weights, (1, 0)), op.input(2), activation=None)
    return op.activated(y, table)


@operator("BATCH_MATMUL")
def _batch_matmul(op: Operation) -> str:
    sides = []
    for place, flag in enumerate(("AdjX", "AdjY")):
        name = op.required(place)
        if op.flag("BatchMatMulOptions", flag):
            rank = len(op.sizes(name))
            name = op.transposed(name, (*range(rank - 2), rank - 1, rank - 2))
        sides.append(name)
    return op.emit("matmul", *sides)


@operator("AVERAGE_POOL_2D", "MAX_POOL_2D", "L2_POOL_2D")
def _pool(op: Operation) -> str:
    table, x = "Pool2DOptions", op.required(0)
    attributes: dict[str, Any] = {
        "kernel": op.positive(table, "FilterHeight", "FilterWidth"), "dilations": (1, 1), "ceil_mode": False,
        "strides": op.positive(table, "StrideH", "StrideW"), "padding": op.padding(table),
    }  # fmt: skip
    if op.name == "MAX_POOL_2D":
        y = op.emit("max_pool", x, **attributes)
    elif op.name == "AVERAGE_POOL_2D":
        y = op.emit("avg_pool", x, count_include_pad=False, **attributes)
    else:
        squares = op.emit("avg_pool", op.emit("mul", x, x), count_include_pad=False, **attributes)
        y = op.emit("sqrt", squares)
    return op.activated(y, table)
