"""Normalisations; channels are the last axis. Everything is worked out in float64."""

from __future__ import annotations

import numpy as np

from ..facts import Fact, Size, broadcast
from ..graph import Array, Node
from .elementwise import activated
from .record import Arrays, Facts, Kind, axis_of, exact, given, like_first, must_fit, optional, registered

__all__ = ["KINDS"]

KINDS: dict[str, Kind] = {}


def _channels(facts: Facts, what: tuple[str, ...], least: int) -> Fact:
    """x, checked against vectors of one number a channel."""
    x = given(facts, 0)
    if x.shape is None:
        return Fact(x.dtype, None)
    if len(x.shape) < least:
        raise ValueError(f"x must have at least {least} axes, not {len(x.shape)}")
    for number, name in enumerate(what, 1):
        fact = optional(facts, number)
        if fact is None or fact.shape is None:
            continue
        if len(fact.shape) != 1:
            raise ValueError(f"{name} must be a vector of one number a channel, not of shape {fact.shape}")
        must_fit(fact.shape[0], x.shape[-1], name)
    return Fact(x.dtype, x.shape)


def _batch_facts(node: Node, facts: Facts) -> tuple[Fact, ...]:
    return (_channels(facts, ("scale", "offset", "mean", "variance"), 1),)


@registered(KINDS, "batch_norm", infer=_batch_facts)
def _batch_norm(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    """(x - mean) / sqrt(variance + epsilon) * scale + offset."""
    x = given(arrays, 0)
    scale, offset, mean, variance = (exact(given(arrays, number)) for number in range(1, 5))
    y = (exact(x) - mean) / np.sqrt(variance + node.attributes["epsilon"]) * scale + offset
    return (y.astype(x.dtype),)


def _standardized(x: Array, axes: tuple[int, ...], epsilon: float) -> Array:
    mean = x.mean(axes, keepdims=True)
    variance = np.square(x - mean).mean(axes, keepdims=True)
    result: Array = (x - mean) / np.sqrt(variance + epsilon)
    return result


def _instance_facts(node: Node, facts: Facts) -> tuple[Fact, ...]:
    return (_channels(facts, ("scale", "offset"), 2),)


@registered(KINDS, "instance_norm", infer=_instance_facts)
def _instance_norm(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    x, scale, offset = given(arrays, 0), exact(given(arrays, 1)), exact(given(arrays, 2))
    y = _standardized(exact(x), tuple(range(1, x.ndim - 1)), node.attributes["epsilon"])
    return (activated(node.attributes.get("activation"), y * scale + offset).astype(x.dtype),)


def _group_facts(node: Node, facts: Facts) -> tuple[Fact, ...]:
    y = _channels(facts, ("scale", "offset"), 2)
    groups = int(node.attributes["groups"])
    if y.shape is not None and isinstance(y.shape[-1], int) and (groups < 1 or y.shape[-1] % groups):
        raise ValueError(f"{y.shape[-1]} channels do not split into {groups} groups")
    return (y,)


@registered(KINDS, "group_norm", infer=_group_facts)
def _group_norm(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    """Channels in consecutive groups, each with its spatial axes brought to mean 0 and variance 1."""
    x, scale, offset = given(arrays, 0), exact(given(arrays, 1)), exact(given(arrays, 2))
    groups = int(node.attributes["groups"])
    grouped = exact(x).reshape(*x.shape[:-1], groups, x.shape[-1] // groups)
    axes = (*range(1, x.ndim - 1), x.ndim)
    y = _standardized(grouped, axes, node.attributes["epsilon"]).reshape(x.shape)
    return (activated(node.attributes.get("activation"), y * scale + offset).astype(x.dtype),)


def _layer_facts(node: Node, facts: Facts) -> tuple[Fact, ...]:
    x = given(facts, 0)
    stash = x.dtype if x.dtype is None or x.dtype == np.float32 else np.dtype(np.float32)
    if x.shape is None:
        return Fact(x.dtype, None), Fact(stash, None), Fact(stash, None)
    axis = axis_of(int(node.attributes["axis"]), len(x.shape))
    for number in (1, 2):
        fact = optional(facts, number)
        if fact is not None:
            _fits_into(fact, x.shape)
    kept: tuple[Size, ...] = (*x.shape[:axis], *([1] * (len(x.shape) - axis)))
    return Fact(x.dtype, x.shape), Fact(stash, kept), Fact(stash, kept)


def _fits_into(fact: Fact, shape: tuple[Size, ...]) -> None:
    """ValueError where a parameter does not broadcast to x."""
    both = broadcast([fact.shape, shape])
    if both is not None and len(both) > len(shape):
        raise ValueError(f"a parameter of shape {fact.shape} does not broadcast to x of shape {shape}")
    for size, wanted in zip(both or (), shape, strict=False):
        must_fit(size, wanted, "an axis of a parameter")


@registered(KINDS, "layer_norm", infer=_layer_facts)
def _layer_norm(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    """y, mean, 1 / sqrt(variance + epsilon) over all axes from `axis` on."""
    x, scale, offset = given(arrays, 0), optional(arrays, 1), optional(arrays, 2)
    axes = tuple(range(axis_of(int(node.attributes["axis"]), x.ndim), x.ndim))
    wide = exact(x)
    mean = wide.mean(axes, keepdims=True)
    inverse = 1 / np.sqrt(np.square(wide - mean).mean(axes, keepdims=True) + node.attributes["epsilon"])
    y = (wide - mean) * inverse
    y = y if scale is None else y * exact(scale)
    y = y if offset is None else y + exact(offset)
    return y.astype(x.dtype), mean.astype(np.float32), inverse.astype(np.float32)


def _rms_facts(node: Node, facts: Facts) -> tuple[Fact, ...]:
    x, scale = given(facts, 0), optional(facts, 1)
    if x.shape is not None:
        axis_of(int(node.attributes["axis"]), len(x.shape))
        if scale is not None:
            _fits_into(scale, x.shape)
    return (Fact(x.dtype, x.shape),)


@registered(KINDS, "rms_norm", infer=_rms_facts)
def _rms_norm(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    x, scale = given(arrays, 0), optional(arrays, 1)
    axes = tuple(range(axis_of(int(node.attributes["axis"]), x.ndim), x.ndim))
    wide = exact(x)
    y = wide / np.sqrt(np.square(wide).mean(axes, keepdims=True) + node.attributes["epsilon"])
    return ((y if scale is None else y * exact(scale)).astype(x.dtype),)


@registered(KINDS, "lrn", infer=like_first)
def _lrn(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    """x / (bias + alpha / size * sum of squares of `size` neighbouring channels) ** beta."""
    x, size = given(arrays, 0), int(node.attributes["size"])
    wide = exact(x)
    channels = x.shape[-1]
    total = np.zeros(x.shape)
    for c in range(channels):
        near = slice(max(0, c - (size - 1) // 2), min(channels, c + size // 2 + 1))
        total[..., c] = np.square(wide[..., near]).sum(-1)
    below = node.attributes["bias"] + node.attributes["alpha"] / size * total
    return ((wide / below ** node.attributes["beta"]).astype(x.dtype),)


def _along_axis(node: Node, facts: Facts) -> tuple[Fact, ...]:
    x = given(facts, 0)
    if x.shape is not None:
        axis_of(int(node.attributes["axis"]), len(x.shape))
    return (Fact(x.dtype, x.shape),)


@registered(KINDS, "lp_normalize", infer=_along_axis)
def _lp_normalize(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    """x over its 1- or 2-norm; zeros where the norm is zero."""
    x, axis, p = given(arrays, 0), int(node.attributes["axis"]), int(node.attributes["p"])
    wide = exact(x)
    norm = np.sum(np.abs(wide) ** p, axis, keepdims=True) ** (1 / p)
    return (np.where(norm == 0, 0.0, wide / norm).astype(x.dtype),)


@registered(KINDS, "mean_variance_normalize", infer=like_first)
def _mean_variance_normalize(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    """(x - mean) / (standard deviation + 1e-9) over the axes."""
    x, axes = given(arrays, 0), tuple(int(axis) for axis in node.attributes["axes"])
    wide = exact(x)
    mean = wide.mean(axes, keepdims=True)
    deviation = np.sqrt(np.square(wide - mean).mean(axes, keepdims=True))
    return (((wide - mean) / (deviation + 1e-9)).astype(x.dtype),)


# ---- softmax ----


def _exponentials(x: Array, axis: int) -> tuple[Array, Array]:
    """x minus its maximum, and the sum of the exponentials."""
    shifted = exact(x) - np.max(exact(x), axis, keepdims=True, initial=-np.inf)
    return shifted, np.exp(shifted).sum(axis, keepdims=True)


@registered(KINDS, "softmax", infer=_along_axis)
def _softmax(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    x = given(arrays, 0)
    shifted, total = _exponentials(x, int(node.attributes["axis"]))
    return ((np.exp(shifted) / total).astype(x.dtype),)


@registered(KINDS, "log_softmax", infer=_along_axis)
def _log_softmax(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    x = given(arrays, 0)
    shifted, total = _exponentials(x, int(node.attributes["axis"]))
    return ((shifted - np.log(total)).astype(x.dtype),)


@registered(KINDS, "hardmax", infer=_along_axis)
def _hardmax(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    """1 at the first of the largest along the axis, 0 elsewhere."""
    x, axis = given(arrays, 0), int(node.attributes["axis"])
    y = np.zeros_like(x)
    if x.size:
        np.put_along_axis(y, np.expand_dims(np.argmax(x, axis), axis), 1, axis)
    return (y,)
