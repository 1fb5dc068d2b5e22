"""Batch normalisation and multiplications and additions of constants: into the weights before them, or into
one multiply-add per channel.

    conv(x) * s + t   =   conv with kernel * s, and bias * s + t          (s, t one number per output channel)

The products are made in float64 and rounded once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..facts import Fact
from ..graph import Array, Graph, Node
from .editor import Editor

__all__ = ["fold_affine"]

_WEIGHTED = ("conv", "conv_transpose", "dense")


def fold_affine(graph: Graph, facts: Mapping[str, Fact]) -> Graph:
    """batch_norm with constant parameters -> affine; chains of mul, add, sub, div by constants -> affine;
    affine after conv, conv_transpose, dense -> their weights."""
    editor = Editor(graph, facts)
    for number, node in editor.of_kind("batch_norm"):
        _normalization(editor, number, node)
    for number, node in editor.of_kind("add", "sub", "mul", "div"):
        if number in editor.nodes:
            _absorb(editor, number, node)
    for number, node in editor.of_kind("affine"):
        if number in editor.nodes:
            _absorb(editor, number, node)
    return editor.graph()


def _normalization(editor: Editor, number: int, node: Node) -> None:
    """gamma/sqrt(variance + epsilon) and beta - mean*that (Ioffe and Szegedy, 2015, arXiv:1502.03167)."""
    held = [editor.constant(name) for name in node.inputs[1:]]
    dtype = editor.facts[node.inputs[0]].dtype
    if any(array is None for array in held):
        return
    scale, offset, mean, variance = (np.asarray(array, np.float64) for array in held)
    factor = scale / np.sqrt(variance + node.attributes["epsilon"])
    change = offset - mean * factor
    with np.errstate(over="ignore"):
        vectors = (factor.astype(dtype), change.astype(dtype))
    names = tuple(
        editor.add_constant(f"{node.outputs[0]}.{what}", vector)
        for what, vector in zip(("scale", "offset"), vectors, strict=True)
    )
    attributes = {"activation": None}
    editor.change(number, kind="affine", inputs=(node.inputs[0], *names), attributes=attributes)


def _absorb(editor: Editor, number: int, node: Node) -> None:
    """Fold a multiply-add by constants into the node that writes its operand, where that is its only use."""
    parts = _parts(editor, node)
    if parts is None or node.attributes.get("activation") is not None:
        return
    source, scale, offset = parts
    before = editor.producer(source)
    if (
        before is None
        or editor.only_reader(source) is None
        or before.attributes.get("activation") is not None
    ):
        return
    output, dtype = node.outputs[0], editor.facts[source].dtype
    if dtype is None:
        return
    if editor.facts[output].shape is None or editor.facts[output].shape != editor.facts[source].shape:
        return  # the constant widens the array
    if before.kind in _WEIGHTED:
        changed = _into_weights(editor, before, scale, offset, dtype)
    else:
        inner = _parts(editor, before)
        if inner is None:
            return
        channels = _channels(editor, source)
        if channels is None or editor.shape(inner[0]) != editor.shape(source):
            return
        with np.errstate(over="ignore", under="ignore"):
            first = (np.broadcast_to(inner[1], channels) * scale).astype(dtype)
            second = (np.broadcast_to(inner[2], channels) * scale + offset).astype(dtype)
        if not _representable(np.broadcast_to(inner[1], channels) * scale, first, second):
            return
        names = tuple(
            editor.add_constant(f"{output}.{what}", np.broadcast_to(vector, channels))
            for what, vector in (("scale", first), ("offset", second))
        )
        attributes = {"activation": None}
        changed = before.with_(kind="affine", inputs=(inner[0], *names), attributes=attributes)
    if changed is None:
        return
    place = editor.number(source)
    editor.remove(number)
    editor.change(
        place, kind=changed.kind, inputs=changed.inputs, outputs=(output,), attributes=changed.attributes
    )


def _representable(exact: Array, rounded: Array, added: Array) -> bool:
    """Whether products neither overflow nor vanish, which the numbers of a chain need not do on their way."""
    return bool(
        np.isfinite(rounded).all() and np.isfinite(added).all() and not ((rounded == 0) & (exact != 0)).any()
    )


def _channels(editor: Editor, name: str) -> int | None:
    shape = editor.shape(name)
    return shape[-1] if shape and isinstance(shape[-1], int) else None


def _parts(editor: Editor, node: Node) -> tuple[str, Array, Array] | None:
    """(x, scale, offset) of a node that computes x*scale + offset with constants per channel, in float64."""
    one, zero = np.ones(1), np.zeros(1)
    if node.kind == "affine":
        if node.attributes["activation"] is not None:
            return None
        held = [editor.constant(name) for name in node.inputs[1:]]
        if any(array is None for array in held):
            return None
        return node.inputs[0], np.asarray(held[0], np.float64), np.asarray(held[1], np.float64)
    if node.kind not in ("add", "sub", "mul", "div") or node.attributes.get("activation") is not None:
        return None
    if not editor.is_float(node.outputs[0]):
        return None
    left, right = (_vector(editor, name, node.outputs[0]) for name in node.inputs)
    a, b = node.inputs
    if left is not None and right is not None:
        return None
    if node.kind == "mul":
        return (b, left, zero) if left is not None else (a, right, zero) if right is not None else None
    if node.kind == "add":
        return (b, one, left) if left is not None else (a, one, right) if right is not None else None
    if node.kind == "sub":
        return (b, -one, left) if left is not None else (a, one, -right) if right is not None else None
    if right is not None and np.all(right != 0):
        return a, 1 / right, zero
    return None


def _vector(editor: Editor, name: str, output: str) -> Array | None:
    """A constant that has one number, or one for each channel of the output, in float64."""
    held = editor.constant(name)
    channels = _channels(editor, output)
    if held is None or (held.size != 1 and (channels is None or held.shape[-1:] != (channels,))):
        return None
    if held.size != 1 and held.size != held.shape[-1]:
        return None
    return np.asarray(held, np.float64).reshape(-1)


def _into_weights(
    editor: Editor, node: Node, scale: Array, offset: Array, dtype: np.dtype[Any]
) -> Node | None:
    kernel = editor.constant(node.inputs[1])
    named = node.inputs[2] if len(node.inputs) > 2 else ""
    bias = editor.constant(named) if named else None
    channels = _channels(editor, node.outputs[0])
    if kernel is None or (named and bias is None) or channels is None:
        return None
    scale, offset = np.broadcast_to(scale, channels), np.broadcast_to(offset, channels)
    factor = scale
    if node.kind == "conv_transpose":  # (k..., Cout//groups, Cin): each group of Cin has its own scales
        groups = node.attributes["groups"]
        factor = np.repeat(scale.reshape(groups, -1), kernel.shape[-1] // groups, axis=0).T
    total = offset if bias is None else bias.astype(np.float64) * scale + offset
    with np.errstate(over="ignore", under="ignore"):
        bias = total.astype(dtype)
    if not np.isfinite(bias).all():
        return None
    stem, named = node.outputs[0], node.inputs[1]
    if (scale != 1).any():
        product = _product(kernel, factor, dtype)
        if product is None:
            return None
        named = editor.hold_constant(f"{stem}.kernel", product)
    return node.with_(inputs=(node.inputs[0], named, editor.add_constant(f"{stem}.bias", bias)))


def _product(kernel: Array, factor: Array, dtype: np.dtype[Any]) -> Array | None:
    """kernel * factor in the kernel's own order of axes, which may be the file's: whoever packs it copies it.

    None where a number overflows or vanishes. A product of two float32 is exact in float64, and rounding
    that is what multiplying in float32 does: half the time where the factors are float32.
    """
    product = np.empty_like(kernel, dtype, order="K")
    with np.errstate(over="ignore", under="ignore"):
        narrow = factor.astype(dtype)
        within = kernel.dtype == dtype and np.array_equal(narrow, factor)
        factors, kind = (narrow, dtype) if within else (factor, np.float64)
        np.multiply(kernel, factors, out=product, dtype=kind, casting="unsafe")
    if not np.isfinite(product).all():
        return None
    # of booleans NumPy counts ten times as fast as of floats
    left, before = (np.count_nonzero(array.ravel("K") != 0) for array in (product, kernel))
    if left < before and ((product == 0) & (kernel * factor != 0)).any():
        return None
    return product
