"""Convolutions and dense layers."""

from __future__ import annotations

from typing import Any

from ..convolution import (
    Conv1D,
    Conv1DTranspose,
    Conv2D,
    Conv2DTranspose,
    DepthwiseConv2D,
)
from ..framing import frame
from ..kernels import Dense
from ..sequence import DepthwiseConv1D
from .numbers import activated
from .rules import Applied, rule

__all__: list[str] = []


def _pads(layer: Any, axes: int) -> Any:
    """The padding of a layer in the form of nodes: "same", "same_lower", or pairs."""
    if layer.padding == "valid":
        return ((0, 0),) * axes
    if isinstance(layer.padding, str):
        return layer.padding
    return layer.padding if axes == 2 else (layer.padding,)


def _framed(call: Applied) -> tuple[str, Any]:
    """x, and the padding of the node; a mode other than "zeros" pads x in a node before it."""
    layer, axes = call.layer, call.rank - 2
    if layer.padding_mode == "zeros":
        return call.x, _pads(layer, axes)
    depends = isinstance(layer.padding, str) and layer.padding != "valid" and max(layer.strides) > 1
    sizes = (
        call.sizes(f"what padding {layer.padding!r} adds depends on the image's size")
        if depends
        else [64] * axes
    )
    pads = frame(layer._framing, sizes)
    return call.padded(call.x, pads, layer.padding_mode), ((0, 0),) * axes


def _convolved(call: Applied, kernel: str, groups: int) -> str:
    x, padding = _framed(call)
    y = call.emit(
        "conv", x, kernel, call.weight("bias"), strides=call.layer.strides,
        dilations=call.layer.dilation_rate, padding=padding, groups=groups, activation=None,
    )  # fmt: skip
    return activated(call, y, call.layer.activation)


@rule(Conv1D, Conv2D)
def _conv(call: Applied) -> str:
    return _convolved(call, call.weight("kernel"), call.layer.groups)


@rule(DepthwiseConv1D, DepthwiseConv2D)
def _depthwise(call: Applied) -> str:
    kernel = call.layer.kernel
    wide = call.derived(kernel.reshape(*kernel.shape[:-2], 1, -1), call.weight("kernel"), "grouped")
    return _convolved(call, wide, kernel.shape[-2])


@rule(Conv1DTranspose, Conv2DTranspose)
def _conv_transpose(call: Applied) -> str:
    layer, axes = call.layer, call.rank - 2
    strides, dilations, padding = layer.strides, layer.dilation_rate, _pads(layer, axes)
    windows = [(k - 1) * d + 1 for k, d in zip(layer.kernel_size, dilations, strict=True)]
    extra: Any = layer.output_padding
    if extra is None and layer.padding == "valid":
        # even if the windows do not overlap, the output's size is strides * size
        extra = tuple(max(s - k, 0) for s, k in zip(strides, windows, strict=True))
    elif extra is not None and isinstance(padding, str):
        # the output's size is (in - 1)*s + k - 2*(k // 2) + extra: crop the full output, or extend it
        short = [2 * (k // 2) - e for k, e in zip(windows, extra, strict=True)]
        small = [max(total, 0) // 2 for total in short]
        large = [max(total, 0) - part for total, part in zip(short, small, strict=True)]
        low = padding == "same_lower"
        padding = tuple(zip(*((large, small) if low else (small, large)), strict=True))
        extra = tuple(max(-total, 0) for total in short)
    y = call.emit(
        "conv_transpose", call.x, call.weight("kernel"), call.weight("bias"), strides=strides,
        dilations=dilations, padding=padding, output_shape=None,
        output_padding=tuple(extra) if extra is not None and any(extra) else None, groups=layer.groups,
        activation=None,
    )  # fmt: skip
    return activated(call, y, layer.activation)


@rule(Dense)
def _dense(call: Applied) -> str:
    y = call.emit("dense", call.x, call.weight("kernel"), call.weight("bias"), activation=None)
    return activated(call, y, call.layer.activation)
