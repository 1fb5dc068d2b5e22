"""conv, conv_transpose, dense, matmul: steps of the core on packed kernels."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ... import _dispatch, _kernels, _threads
from ...arguments import check_bias
from ...ops import dense
from ...pack import PackedKernel, made_ready
from ..graph import Array, Node
from ..program import Frame, Lowered, Lowering, Run, Script
from .elementwise import fused_of, keep, threads_of
from .table import activation_of, rule

_KERNEL_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def _packed(
    low: Lowering,
    name: str,
    shape: tuple[int, ...],
    operation: str,
    turned: Callable[[Array], Array] | None = None,
    **options: Any,
) -> PackedKernel:
    """The constant's packed kernel of this shape, made once for all programs of the network.

    turned: makes the kernel where it is not the constant itself in another shape.
    """
    key = (name, operation, shape, turned is not None, tuple(sorted(options.items())))
    entry, held = low.constants.entry(name), low.packed.get(key)
    if held is None or held[0] is not entry:
        weights = low.constants[name]
        kernel = (weights if turned is None else turned(weights)).reshape(shape)
        held = low.packed[key] = (entry, PackedKernel._deferred(kernel, operation, low.room, **options))  # type: ignore[arg-type]
    if turned is None:
        low.spare.append((name, key))
    result: PackedKernel = held[1]
    return result


def step_of(
    packed: PackedKernel,
    bias: Array | None,
    activation: Any,
    slots: tuple[int, int],
    shape: tuple[int, ...],
    options: tuple[Any, Any, Any] = ((1, 1), "valid", (1, 1)),
    sizes: tuple[Any, Any] = (None, None),
    residual: tuple[int, Any] | None = None,
) -> tuple[Run, str]:
    """A step, and what runs it: the operation, and the form that computes it.

    The operation of a packed kernel on the slots of x, (N,H,W,C) of this shape, and of the output. Both may
    be some channels of larger arrays.

    options: strides, padding, dilations. sizes: output_shape and output_padding of a transposed convolution.
    residual: the slot of what is added at the end, of the output's shape or of fewer channels, and the
    activation behind that. Only one of the two activations may have slopes.
    """
    plan, panels = made_ready(packed, shape, *options, *sizes)
    geometry, (source, target) = plan.geometry, slots
    if panels is None:
        return _nothing, f"{packed.operation}: empty"
    (data, finite), work = panels, plan.nanoseconds
    code, a, b, alpha = fused_of(activation, geometry.cout, packed.dtype)
    offsets = None if bias is None else check_bias(bias, geometry.cout, packed.dtype)

    def run(frame: Frame, into: Script | None = None) -> None:
        x, out, threads = frame[source], frame[target], _threads.threads_for(work)
        x = x if into is not None else np.ascontiguousarray(x)
        runner = plan.runner if x.flags.c_contiguous else plan.apart
        keep(into, runner, data, offsets, alpha)
        runner.run(x, data, offsets, alpha, out, code, a, b, finite, threads, into)

    how = f"{packed.operation}: {plan}"
    if residual is None:
        return run, how
    slot, (last, low, high, slopes) = residual[0], fused_of(residual[1], geometry.cout, packed.dtype)
    isa, both = _dispatch.active_isa(), alpha if slopes is None else slopes

    def run_and_add(frame: Frame, into: Script | None = None) -> None:
        x, out, more = frame[source], frame[target], frame[slot]
        x = x if into is not None else np.ascontiguousarray(x)
        runner = plan.runner if x.flags.c_contiguous else plan.apart
        if not (runner.adds and _lie_alike(out, more)):
            run(frame, into)
            keep(into, slopes)
            after = isa, (last, low, high, slopes), threads_of(out.size), into
            _add_apart(out, more, *after)
            return
        keep(into, runner, data, offsets, both)
        threads = _threads.threads_for(work)
        runner.run(x, data, offsets, both, out, code, a, b, finite, threads, into, more, last, low, high)

    return run_and_add, how if plan.runner.adds else f"{how}, pass"


_CODES = _kernels.pass_codes()


def _add_apart(
    out: Array, more: Array, isa: str, last: tuple[Any, ...], threads: int, into: Script | None
) -> None:
    """out = last(out + more), where `more` may have fewer channels, in passes of their own."""
    channels, combine, (code, a, b, slopes) = more.shape[-1], _kernels.elementwise, last
    if channels == out.shape[-1]:
        combine(isa, _CODES["add"], out, more, out, code, a, b, slopes, threads, into)
        return
    first, rest = out[..., :channels], out[..., channels:]
    combine(isa, _CODES["add"], first, more, first, 0, 0.0, 0.0, None, threads, into)
    zero = np.zeros(1, out.dtype)
    keep(into, zero)
    combine(isa, _CODES["add"], rest, zero, rest, 0, 0.0, 0.0, None, threads, into)
    if code:
        combine(isa, _CODES["first"], out, None, out, code, a, b, slopes, threads, into)


def _lie_alike(out: Array, residual: Array) -> bool:
    """Whether all numbers of two arrays of one shape lie equally far from the first one; where one has fewer
    channels, whether the pixels of both lie at even steps."""
    if out.shape != residual.shape:
        return _is_even(out) and _is_even(residual)
    if out.flags.c_contiguous and residual.flags.c_contiguous:
        return True
    return out.strides == residual.strides


def _is_even(array: Array) -> bool:
    """Whether all pixels lie one step apart."""
    shape, strides = array.shape[:-1], array.strides[:-1]
    longer = [axis for axis, size in enumerate(shape) if size > 1]
    return all(strides[a] == strides[b] * shape[b] for a, b in itertools.pairwise(longer))


def _nothing(frame: Frame, into: Script | None = None) -> None:
    """An output without elements."""


def _floats(low: Lowering, *names: str) -> bool:
    dtypes = {low.facts[name].dtype for name in names if name}
    return len(dtypes) == 1 and dtypes <= set(_KERNEL_FLOATS)


@rule("conv")
def conv(node: Node, low: Lowering) -> Lowered | None:
    """conv2d or depthwise_conv2d, and what is added to it; one spatial axis is an image of one row."""
    x, kernel, bias, more = (*node.inputs, "", "")[:4]
    offsets = low.constants.get(bias) if bias else None
    if kernel not in low.constants or (bias and offsets is None) or not _floats(low, x, kernel, bias):
        return None
    window, turned = low.shape(kernel), None
    images, *sizes, cin = low.shape(x)
    out_shape = low.shape(node.outputs[0])
    if len(sizes) not in (1, 2):
        return None
    attributes = node.attributes
    strides, dilations, padding = (_two(attributes[key]) for key in ("strides", "dilations", "padding"))
    if isinstance(padding, tuple):
        padding = tuple(tuple(pair) for pair in padding)
    groups = attributes["groups"]
    activation = attributes["activation"]
    window = window if len(window) == 4 else (1, *window)
    source, target, added = low.slot(x), low.slot(node.outputs[0]), low.slot(more) if more else -1
    inner, outer, other = source, target, added
    if len(sizes) == 1:
        inner = low.view(source, (images, 1, sizes[0], cin))
        outer = low.view(target, (images, 1, *out_shape[1:]))
        other = low.view(added, (images, 1, out_shape[1], low.shape(more)[-1])) if more else -1
    elif _is_column(sizes, out_shape, window, padding):
        inner = low.view(source, (images, 1, sizes[0], cin))
        outer = low.view(target, (images, 1, out_shape[1], out_shape[3]))
        other = low.view(added, (images, 1, out_shape[1], low.shape(more)[-1])) if more else -1
        window, turned = (window[1], window[0], *window[2:]), _column_as_row
        strides, dilations = strides[::-1], dilations[::-1]
        padding = padding if isinstance(padding, str) else padding[::-1]
    if groups == cin and groups > 1:
        packed = _packed(low, kernel, (*window[:2], cin, window[3] // cin), "depthwise_conv2d", turned)
    else:
        packed = _packed(low, kernel, window, "conv2d", turned, groups=groups)
    image = low.shapes[inner]
    assert image is not None
    options = (strides, padding, dilations)
    residual = (other, attributes.get("last")) if more else None
    run, how = step_of(packed, offsets, activation, (inner, outer), image, options, residual=residual)
    reads = (inner, other) if more else (inner,)
    return Lowered(run, reads, (target,), how=how, core=True, gaps=(*reads, target))


def _column_as_row(weights: Array) -> Array:
    return np.ascontiguousarray(weights.swapaxes(0, 1))


def _is_column(sizes: list[int], out_shape: tuple[int, ...], window: tuple[int, ...], padding: Any) -> bool:
    """Whether images are one pixel wide, as where a format of two axes holds one: turned into a row they fill
    the tiles, which go along rows.
    """
    plain = isinstance(padding, str) or padding[1] == (0, 0)
    return sizes[1] == out_shape[2] == window[1] == 1 < sizes[0] and plain


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
    offsets = low.constants.get(bias) if bias else None
    if kernel not in low.constants or (bias and offsets is None) or not _floats(low, x, kernel, bias):
        return None
    window = low.shape(kernel)
    images, *sizes, cin = low.shape(x)
    out_shape = low.shape(node.outputs[0])
    if len(sizes) not in (1, 2):
        return None
    attributes = node.attributes
    strides, dilations, padding = (_two(attributes[key]) for key in ("strides", "dilations", "padding"))
    groups, activation = attributes["groups"], attributes["activation"]
    window = window if len(window) == 4 else (1, *window)
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
        size, extra = None, _extra(sizes, out_shape, window, strides, dilations, padding)
    packed = _packed(
        low, kernel, window, "conv2d_transpose", strides=strides, dilations=dilations, groups=groups
    )
    image = low.shapes[inner]
    assert image is not None
    options, ends = (strides, padding, dilations), (size, extra)
    run, how = step_of(packed, offsets, activation, (inner, outer), image, options, ends)
    return Lowered(run, (inner,), (target,), how=how, core=True, gaps=(inner, target))


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
    offsets = low.constants.get(bias) if bias else None
    if (bias and offsets is None) or not _floats(low, x, kernel, bias):
        return None
    if offsets is not None and offsets.shape != low.shape(node.outputs[0])[-1:]:
        return None
    low.shape(x)
    source, target = low.slot(x), low.slot(node.outputs[0])
    if kernel in low.constants:
        packed = _packed(low, kernel, low.shape(kernel), "dense")
        return _product(low, packed, offsets, node.attributes["activation"], x, node.outputs[0])
    activation = activation_of(node.attributes["activation"], low.facts[x].dtype)
    low.shape(kernel)
    other = low.slot(kernel)

    def run(frame: Frame) -> None:
        dense(frame[source], frame[other], offsets, activation=activation, out=frame[target])

    return Lowered(run, (source, other), (target,), how="dense")


def _product(
    low: Lowering, packed: PackedKernel, bias: Array | None, activation: Any, x: str, output: str
) -> Lowered:
    """A matrix product over the last axis, as a 1x1 convolution on a row of pixels."""
    shape = low.shape(x)
    source, target = low.slot(x), low.slot(output)
    row = (1, 1, math.prod(shape[:-1]), shape[-1])
    run, how = step_of(packed, bias, activation, (source, target), row)
    return Lowered(run, (source,), (target,), how=how, core=True, gaps=(source, target))


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
    if len(right) == 2:
        if b in low.constants:
            packed = _packed(low, b, right, "dense")
            return _product(low, packed, None, None, a, node.outputs[0])

        def plain(frame: Frame) -> None:
            dense(frame[source], frame[other], out=frame[target])

        return Lowered(plain, (source, other), (target,), how="dense")
    if a in low.constants and len(left) == 2 and 0 not in right:
        return _constant_first(low, node)
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


def _constant_first(low: Lowering, node: Node) -> Lowered:
    """A constant matrix times each matrix of a stack: its transpose on the transposed ones, in the same order
    of sums.
    """
    a, b = node.inputs
    right, shape, dtype = low.shape(b), low.shape(node.outputs[0]), low.facts[b].dtype
    packed = _packed(low, a, low.shape(a)[::-1], "dense", lambda left: np.ascontiguousarray(left.T))
    plan, panels = made_ready(packed, (1, 1, math.prod(right[:-2]) * right[-1], right[-2]))
    source, target, isa = low.slot(b), low.slot(node.outputs[0]), _dispatch.active_isa()
    assert panels is not None
    (data, finite), runner, work = panels, plan.runner, plan.nanoseconds
    first = source not in low.turned
    if first:
        low.turned[source] = low.new_slot((*right[:-2], right[-1], right[-2]), dtype)
    turned, product = low.turned[source], low.new_slot((*shape[:-2], shape[-1], shape[-2]), dtype)

    def run(frame: Frame, into: Script | None = None) -> None:
        keep(into, runner, data)
        threads = _threads.threads_for(work)
        x, products = frame[turned], frame[product]
        if first:
            _kernels.copy(isa, np.swapaxes(frame[source], -1, -2), x, threads, into)
        runner.run(x, data, None, None, products, 0, 0.0, 0.0, finite, threads, into)
        _kernels.copy(isa, np.swapaxes(products, -1, -2), frame[target], threads, into)

    reads, writes = ((source,), (target, product, turned)) if first else ((turned,), (target, product))
    return Lowered(run, reads, writes, how=f"dense: {plan}", core=True)
