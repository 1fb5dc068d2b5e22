"""conv, conv_transpose, dense, matmul: steps that call the operations on packed kernels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ... import _kernels
from ...ops import conv2d, conv2d_transpose, dense, depthwise_conv2d
from ...pack import PackedKernel
from ..graph import Array, Node
from ..program import Frame, Lowered, Lowering, Run
from .table import activation_of, rule

_KERNEL_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def _packed(low: Lowering, name: str, kernel: Array, operation: str, **options: Any) -> PackedKernel:
    """The constant's packed kernel, made once for all programs of the network."""
    key = (name, operation, kernel.shape, tuple(sorted(options.items())))
    held = low.packed.get(key)
    if held is None or held[0] is not low.constants[name]:
        held = low.packed[key] = (low.constants[name], PackedKernel(kernel, operation, **options))  # type: ignore[arg-type]
    result: PackedKernel = held[1]
    return result


def call(
    function: Callable[..., Array],
    given: tuple[Any, ...],
    options: dict[str, Any],
    x: int,
    kernel: Any,
    bias: Any,
    out: int,
) -> Run:
    """A step: the operation on slots, by the core's memory of calls where it has been made before."""
    replay = _kernels.replay

    def run(frame: Frame) -> None:
        if replay(given, frame[x], kernel, bias, frame[out]) is None:
            function(frame[x], kernel, bias, out=frame[out], **options)

    return run


def _floats(low: Lowering, *names: str) -> bool:
    dtypes = {low.facts[name].dtype for name in names if name}
    return len(dtypes) == 1 and dtypes <= set(_KERNEL_FLOATS)


@rule("conv")
def conv(node: Node, low: Lowering) -> Lowered | None:
    """conv2d or depthwise_conv2d; one spatial axis is an image of one row."""
    x, kernel, bias = (*node.inputs, "")[:3]
    weights, offsets = low.constants.get(kernel), low.constants.get(bias) if bias else None
    if weights is None or (bias and offsets is None) or not _floats(low, x, kernel, bias):
        return None
    images, *sizes, cin = low.shape(x)
    out_shape = low.shape(node.outputs[0])
    if len(sizes) not in (1, 2):
        return None
    attributes = node.attributes
    strides, dilations, padding = (_two(attributes[key]) for key in ("strides", "dilations", "padding"))
    if isinstance(padding, tuple):
        padding = tuple(tuple(pair) for pair in padding)
    groups = attributes["groups"]
    activation = activation_of(attributes["activation"], low.facts[x].dtype)
    weights = weights if weights.ndim == 4 else weights[None]
    source, target = low.slot(x), low.slot(node.outputs[0])
    if len(sizes) == 1:
        flat = (images, 1, sizes[0], cin)
        inner = low.view(source, flat)
        outer = low.view(target, (images, 1, *out_shape[1:]))
    else:
        inner, outer = source, target
    shared = {"strides": strides, "padding": padding, "dilations": dilations}
    if groups == cin and groups > 1:
        turned = weights.reshape(*weights.shape[:2], cin, weights.shape[3] // cin)
        packed = _packed(low, kernel, turned, "depthwise_conv2d")
        given: tuple[Any, ...] = ("depthwise_conv2d", strides, padding, dilations, activation)
        options = {**shared, "activation": activation}
        run = call(depthwise_conv2d, given, options, inner, packed, offsets, outer)
        how = "depthwise_conv2d"
    else:
        packed = _packed(low, kernel, weights, "conv2d", groups=groups)
        given = ("conv2d", strides, padding, dilations, groups, activation, None)
        options = {**shared, "groups": groups, "activation": activation}
        run = call(conv2d, given, options, inner, packed, offsets, outer)
        how = "conv2d"
    return Lowered(run, (inner,), (target,), how=how)


def _two(value: Any) -> Any:
    """An attribute of one or two spatial axes as one of two: a row is an image of height one."""
    if isinstance(value, str) or len(value) == 2:
        return value
    first = value[0]
    return ((0, 0), tuple(first)) if isinstance(first, tuple | list) else (1, first)


@rule("conv_transpose")
def conv_transpose(node: Node, low: Lowering) -> Lowered | None:
    """conv2d_transpose."""
    x, kernel, bias = (*node.inputs, "")[:3]
    weights, offsets = low.constants.get(kernel), low.constants.get(bias) if bias else None
    if weights is None or (bias and offsets is None) or not _floats(low, x, kernel, bias):
        return None
    images, *sizes, cin = low.shape(x)
    out_shape = low.shape(node.outputs[0])
    if len(sizes) not in (1, 2):
        return None
    attributes = node.attributes
    strides, dilations, padding = (_two(attributes[key]) for key in ("strides", "dilations", "padding"))
    groups, activation = attributes["groups"], activation_of(attributes["activation"], low.facts[x].dtype)
    weights = weights if weights.ndim == 4 else weights[None]
    source, target = low.slot(x), low.slot(node.outputs[0])
    inner, outer = source, target
    if len(sizes) == 1:
        inner = low.view(source, (images, 1, sizes[0], cin))
        outer = low.view(target, (images, 1, *out_shape[1:]))
    if isinstance(padding, str):
        size: Any = out_shape[1:-1] if len(sizes) == 2 else (1, out_shape[1])
        extra = None
    else:
        padding = tuple(tuple(pair) for pair in padding)
        size, extra = None, _extra(sizes, out_shape, weights.shape, strides, dilations, padding)
    packed = _packed(
        low, kernel, weights, "conv2d_transpose", strides=strides, dilations=dilations, groups=groups
    )
    given = ("conv2d_transpose", strides, padding, size, extra, dilations, groups, activation, None)
    options = {
        "strides": strides,
        "padding": padding,
        "output_shape": size,
        "output_padding": extra,
        "dilations": dilations,
        "groups": groups,
        "activation": activation,
    }
    run = call(conv2d_transpose, given, options, inner, packed, offsets, outer)
    return Lowered(run, (inner,), (target,), how="conv2d_transpose")


def _extra(
    sizes: list[int],
    out_shape: tuple[int, ...],
    kernel: tuple[int, ...],
    strides: Any,
    dilations: Any,
    padding: Any,
) -> tuple[int, int]:
    """The output_padding that leads to the output's sizes."""
    inputs = sizes if len(sizes) == 2 else [1, *sizes]
    outputs = out_shape[1:-1] if len(sizes) == 2 else (1, out_shape[1])
    extra = []
    for i in (0, 1):
        plain = (inputs[i] - 1) * strides[i] + (kernel[i] - 1) * dilations[i] + 1 - sum(padding[i])
        extra.append(outputs[i] - plain)
    return extra[0], extra[1]


@rule("dense")
def dense_layer(node: Node, low: Lowering) -> Lowered | None:
    """dense."""
    x, kernel, bias = (*node.inputs, "")[:3]
    weights, offsets = low.constants.get(kernel), low.constants.get(bias) if bias else None
    if (bias and offsets is None) or not _floats(low, x, kernel, bias):
        return None
    if offsets is not None and offsets.shape != low.shape(node.outputs[0])[-1:]:
        return None
    low.shape(x)
    activation = activation_of(node.attributes["activation"], low.facts[x].dtype)
    source, target = low.slot(x), low.slot(node.outputs[0])
    options = {"activation": activation}
    if weights is not None:
        packed = _packed(low, kernel, weights, "dense")
        step = call(dense, ("dense", activation), options, source, packed, offsets, target)
        return Lowered(step, (source,), (target,), how="dense")
    low.shape(kernel)
    other = low.slot(kernel)

    def run(frame: Frame) -> None:
        dense(frame[source], frame[other], offsets, activation=activation, out=frame[target])

    return Lowered(run, (source, other), (target,), how="dense")


@rule("matmul")
def matmul(node: Node, low: Lowering) -> Lowered | None:
    """A dense product for each matrix of the stack: the bits of NumPy's own depend on the threads."""
    a, b = node.inputs
    if not _floats(low, a, b):
        return None
    left, right, shape = low.shape(a), low.shape(b), low.shape(node.outputs[0])
    source, other, target = low.slot(a), low.slot(b), low.slot(node.outputs[0])
    if len(left) == 1 or len(right) == 1:
        return None
    weights = low.constants.get(b)
    if len(right) == 2:
        if weights is not None:
            packed = _packed(low, b, weights, "dense")
            step = call(dense, ("dense", None), {"activation": None}, source, packed, None, target)
            return Lowered(step, (source,), (target,), how="dense")

        def plain(frame: Frame) -> None:
            dense(frame[source], frame[other], out=frame[target])

        return Lowered(plain, (source, other), (target,), how="dense")
    stack = shape[:-2]
    lefts, rights = (*stack, *left[-2:]), (*stack, *right[-2:])

    def stacked(frame: Frame) -> None:
        x, w, out = (
            np.broadcast_to(frame[source], lefts),
            np.broadcast_to(frame[other], rights),
            frame[target],
        )
        for index in np.ndindex(stack):
            dense(x[index], w[index], out=out[index])

    return Lowered(stacked, (source, other), (target,), how="dense")
