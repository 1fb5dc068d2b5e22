"""Means, sums, largest numbers and normalizations, by the core's kernels where the axes are neighbours."""

from __future__ import annotations

import math

import numpy as np

from ... import _dispatch, _kernels
from ..graph import Node
from ..program import Frame, Lowered, Lowering, Script
from .elementwise import float_only, fused_of, keep, threads_of
from .table import rule

_CODES = _kernels.reduce_codes()


@rule("reduce_mean", "reduce_sum", "reduce_max")
def reduce(node: Node, low: Lowering) -> Lowered | None:
    """x (outer, middle, inner) -> (outer, inner)."""
    x, output = node.inputs[0], node.outputs[0]
    shape = low.shape(x)
    if not float_only(low, (x, output)) or 0 in shape or not shape:
        return None
    axes = tuple(range(len(shape)))
    if len(node.inputs) > 1 and node.inputs[1]:
        held = low.constants.get(node.inputs[1])
        if held is None:
            return None
        axes = tuple(sorted({int(axis) % len(shape) for axis in held.reshape(-1)})) or axes
        if held.size == 0 and node.attributes["noop_with_empty_axes"]:
            return None
    elif node.attributes["noop_with_empty_axes"]:
        return None
    axes = tuple(axis for axis in axes if shape[axis] > 1) or axes[:1]
    first, last = axes[0], axes[-1]
    if any(shape[axis] > 1 and axis not in axes for axis in range(first, last)):
        return None
    outer, middle, inner = (
        math.prod(part) for part in (shape[:first], shape[first : last + 1], shape[last + 1 :])
    )
    source, target = low.view(low.slot(x), (outer, middle, inner)), low.slot(output)
    out = low.view(target, (outer, inner))
    op, isa, size = _CODES[node.kind.removeprefix("reduce_")], _dispatch.active_isa(), outer * middle * inner

    def run(frame: Frame, into: Script | None = None) -> None:
        _kernels.reduce(isa, op, frame[source], frame[out], threads_of(size, 0.06), into)

    return Lowered(run, (source,), (target,), how="reduction", core=True, gaps=(source,))


@rule("layer_norm")
def layer_norm(node: Node, low: Lowering) -> Lowered | None:
    """Over the last axis."""
    x, scale, offset = (*node.inputs, "")[:3]
    shape = low.shape(x)
    if any(node.outputs[1:]) or node.attributes["axis"] % len(shape) != len(shape) - 1 or 0 in shape:
        return None
    if not float_only(low, (x, scale, offset)):
        return None
    channels, dtype = shape[-1], low.facts[x].dtype
    vectors = []
    for name, value in ((scale, 1), (offset, 0)):
        held = low.constants.get(name) if name else np.full(channels, value, dtype)
        if held is None or held.size != channels:
            return None
        vectors.append(np.ascontiguousarray(held.reshape(-1)))
    first, second = vectors
    pixels = (math.prod(shape[:-1]), channels)
    source, target = low.view(low.slot(x), pixels), low.slot(node.outputs[0])
    out = low.view(target, pixels)
    epsilon, isa, size = float(node.attributes["epsilon"]), _dispatch.active_isa(), math.prod(shape)

    def run(frame: Frame, into: Script | None = None) -> None:
        threads = threads_of(size, 0.2)
        x, y = frame[source], frame[out]
        keep(into, first, second)
        _kernels.layer_norm(isa, x, first, second, y, epsilon, threads=threads, into=into)

    return Lowered(run, (source,), (target,), how="norm", core=True)


@rule("instance_norm", "group_norm")
def group_norm(node: Node, low: Lowering) -> Lowered | None:
    """Over the pixels of each channel, or each group of channels."""
    x, scale, offset = (*node.inputs, "", "")[:3]
    images, *sizes, channels = low.shape(x)
    if 0 in (images, *sizes, channels) or not float_only(low, (x, scale, offset)):
        return None
    vectors = [low.constants.get(name) if name else None for name in (scale, offset)]
    if any(
        name and (v is None or v.size != channels) for name, v in zip((scale, offset), vectors, strict=True)
    ):
        return None
    first, second = vectors
    groups = channels if node.kind == "instance_norm" else int(node.attributes["groups"])
    pixels = (images, math.prod(sizes), channels)
    source, target = low.view(low.slot(x), pixels), low.slot(node.outputs[0])
    out = target if len(sizes) in (1, 2) else low.view(target, pixels)
    ends = (target,) if out == target else ()
    epsilon, isa = float(node.attributes["epsilon"]), _dispatch.active_isa()
    size = math.prod(pixels)
    dtype = np.dtype(low.facts[x].dtype)
    code, least, most, alpha = fused_of(node.attributes.get("activation"), channels, dtype)
    if alpha is not None:
        return None

    def run(frame: Frame, into: Script | None = None) -> None:
        threads = threads_of(size, 0.2)
        x, y = frame[source], frame[out]
        keep(into, first, second)
        after = (code, least, most, threads, into)
        _kernels.group_norm(isa, x, first, second, y, groups, epsilon, *after)

    over = (source,)
    return Lowered(run, (source,), (target,), over=over, how="norm", core=True, gaps=ends, frames=ends)
