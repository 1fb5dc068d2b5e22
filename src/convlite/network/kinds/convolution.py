"""Convolutions and matrix products."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..facts import Fact, Size, broadcast, difference, sum_of, times
from ..graph import Array, Node
from .elementwise import activated, fused_activation
from .record import Arrays, Facts, Kind, dtype_of, exact, given, must_fit, optional, registered, shape_of
from .windows import axes_of, check_name, count_of, links, padding_of

__all__ = ["KINDS", "activated", "convolved", "infer_conv"]

KINDS: dict[str, Kind] = {}


# ---- conv ----


def _spatial(x: Fact, kernel: Fact) -> int:
    """How many spatial axes there are; ValueError where x and kernel do not agree."""
    for fact, what in ((x, "x (N, spatial..., C)"), (kernel, "kernel (taps..., Cin, Cout)")):
        if fact.shape is not None and len(fact.shape) < 3:
            raise ValueError(f"{what} must have at least 3 axes, not {len(fact.shape)}")
    if x.shape is not None and kernel.shape is not None and len(x.shape) != len(kernel.shape):
        raise ValueError(
            f"x has {len(x.shape)} axes and kernel {len(kernel.shape)}; they must have the same number"
        )
    shape = x.shape if x.shape is not None else kernel.shape
    return 0 if shape is None else len(shape) - 2


def infer_conv(node: Node, x: Fact, kernel: Fact, bias: Fact | None) -> tuple[Size, ...] | None:
    """The shape of a convolution's output."""
    axes = _spatial(x, kernel)
    if not axes:
        return None
    strides, dilations = axes_of(node, "strides", axes), axes_of(node, "dilations", axes)
    groups, padding = int(node.attributes["groups"]), node.attributes["padding"]
    image, weights = shape_of(x, axes + 2), shape_of(kernel, axes + 2)
    assert image is not None
    assert weights is not None
    channels, cout = image[-1], weights[-1]
    must_fit(
        channels, times(weights[-2], groups), f"the channels of x for {groups} groups and {weights[-2]} each"
    )
    if isinstance(cout, int) and (groups < 1 or cout % groups):
        raise ValueError(f"{cout} output channels do not split into {groups} groups")
    if bias is not None and bias.shape is not None:
        must_fit(shape_of(bias, 1, "bias")[0], cout, "bias")  # type: ignore[index]
    sides = []
    for axis in range(axes):
        pads = padding if isinstance(padding, str) else padding[axis]
        sides.append(count_of(image[1 + axis], weights[axis], strides[axis], dilations[axis], pads))
    return (image[0], *sides, cout)


def _conv_facts(node: Node, facts: Facts) -> tuple[Fact, ...]:
    x, kernel, bias = given(facts, 0), given(facts, 1), optional(facts, 2)
    shape, residual = infer_conv(node, x, kernel, bias), optional(facts, 3)
    fused_activation(node.attributes.get("activation"), shape[-1] if shape else None)
    if residual is not None:
        fused_activation(node.attributes["last"])
        added = shape_of(residual, len(shape or ()), "residual") or ()
        for wanted, size in list(zip(shape or (), added, strict=False))[:-1]:
            must_fit(size, wanted, "the residual")
        channels = [sizes[-1] for sizes in (shape, added) if sizes and isinstance(sizes[-1], int)]
        if len(channels) == 2 and channels[0] < channels[1]:
            raise ValueError(
                f"the residual has {channels[1]} channels, more than the {channels[0]} of the output"
            )
    return (Fact(dtype_of((x, kernel, bias)), shape),)


def convolved(node: Node, x: Array, kernel: Array) -> Array:
    """In float64: out[o] = sum over taps t of x[o * stride + t * dilation - before] @ kernel[t]."""
    shape = infer_conv(node, Fact(None, x.shape), Fact(None, kernel.shape), None)
    assert shape is not None
    sizes = [int(size) for size in shape if size is not None]
    axes, groups = x.ndim - 2, int(node.attributes["groups"])
    strides, dilations = axes_of(node, "strides", axes), axes_of(node, "dilations", axes)
    taps = kernel.shape[:axes]
    pads = padding_of(node.attributes["padding"], x.shape[1:-1], taps, strides, dilations)
    out = np.zeros(sizes)
    image, weights = x.astype(np.float64), kernel.astype(np.float64)
    cin, cout = kernel.shape[-2], kernel.shape[-1] // groups
    for tap, near, far in links(taps, strides, dilations, [b for b, _ in pads], sizes[1:-1], x.shape[1:-1]):
        met, target = image[(slice(None), *far)], out[(slice(None), *near)]
        if cin == 1:
            target += np.repeat(met, cout, axis=-1) * weights[tap][0]
            continue
        for group in range(groups):
            part = slice(group * cout, (group + 1) * cout)
            target[..., part] += met[..., group * cin : (group + 1) * cin] @ weights[tap][:, part]
    return out


@registered(KINDS, "conv", infer=_conv_facts)
def _conv(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    x, kernel, bias, residual = given(arrays, 0), given(arrays, 1), optional(arrays, 2), optional(arrays, 3)
    total = convolved(node, x, kernel)
    y = _finished(node, total if bias is None else total + bias, x.dtype)
    if residual is not None:
        rest = [(0, 0)] * (y.ndim - 1) + [(0, y.shape[-1] - residual.shape[-1])]  # zeros for other channels
        y = activated(node.attributes["last"], exact(y) + np.pad(exact(residual), rest)).astype(x.dtype)
    return (y,)


def _finished(node: Node, total: Array, dtype: Any) -> Array:
    return activated(node.attributes.get("activation"), total).astype(dtype)


# ---- conv_transpose ----


def _transpose_axis(node: Node, axis: int, size: Size, kernel: Size) -> tuple[Size, int]:
    """The output's size along a spatial axis, and how much is cropped before.

    output_shape, or "same" (size * stride), decides what is cropped: the odd one before, except for "same".
    """
    attributes = node.attributes
    stride, dilation = int(attributes["strides"][axis]), int(attributes["dilations"][axis])
    extra = 0 if attributes["output_padding"] is None else int(attributes["output_padding"][axis])
    padding, wanted = attributes["padding"], attributes["output_shape"]
    window = sum_of(times(difference(kernel, 1), dilation), 1)
    full = sum_of(sum_of(times(difference(size, 1), stride), window), extra)
    check_name(padding)
    if wanted is None and not isinstance(padding, str):
        before, after = padding[axis]
        return difference(full, before + after), before
    out = times(size, stride) if wanted is None else int(wanted[axis])
    total = difference(full, out)
    crop = max(0, total) if isinstance(total, int) else 0
    return out, crop // 2 if padding == "same" else crop - crop // 2


def _transpose_shape(node: Node, x: Fact, kernel: Fact, bias: Fact | None) -> tuple[Size, ...] | None:
    axes = _spatial(x, kernel)
    if not axes:
        return None
    axes_of(node, "strides", axes)
    axes_of(node, "dilations", axes)
    groups = int(node.attributes["groups"])
    image, weights = shape_of(x, axes + 2), shape_of(kernel, axes + 2)
    assert image is not None
    assert weights is not None
    must_fit(image[-1], weights[-1], "the channels of x")
    if isinstance(weights[-1], int) and (groups < 1 or weights[-1] % groups):
        raise ValueError(f"{weights[-1]} input channels do not split into {groups} groups")
    cout = times(weights[-2], groups)
    if bias is not None and bias.shape is not None:
        must_fit(shape_of(bias, 1, "bias")[0], cout, "bias")  # type: ignore[index]
    sides = [_transpose_axis(node, axis, image[1 + axis], weights[axis])[0] for axis in range(axes)]
    if any(isinstance(side, int) and side < 0 for side in sides):
        raise ValueError(f"nothing is left of the output: its sizes would be {tuple(sides)}")
    return (image[0], *sides, cout)


def _transpose_facts(node: Node, facts: Facts) -> tuple[Fact, ...]:
    x, kernel, bias = given(facts, 0), given(facts, 1), optional(facts, 2)
    shape = _transpose_shape(node, x, kernel, bias)
    fused_activation(node.attributes.get("activation"), shape[-1] if shape else None)
    return (Fact(dtype_of((x, kernel, bias)), shape),)


@registered(KINDS, "conv_transpose", infer=_transpose_facts)
def _conv_transpose(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    x, kernel, bias = given(arrays, 0), given(arrays, 1), optional(arrays, 2)
    shape = _transpose_shape(node, Fact.of(x), Fact.of(kernel), None if bias is None else Fact.of(bias))
    assert shape is not None
    sizes = [int(size) for size in shape if size is not None]
    axes, groups = x.ndim - 2, int(node.attributes["groups"])
    strides, dilations = axes_of(node, "strides", axes), axes_of(node, "dilations", axes)
    taps = kernel.shape[:axes]
    before = [_transpose_axis(node, axis, x.shape[1 + axis], taps[axis])[1] for axis in range(axes)]
    out = np.zeros(sizes)
    image, weights = x.astype(np.float64), kernel.astype(np.float64)
    cin, cout = kernel.shape[-1] // groups, kernel.shape[-2]
    for tap, near, far in links(taps, strides, dilations, before, x.shape[1:-1], sizes[1:-1]):
        met, target = image[(slice(None), *near)], out[(slice(None), *far)]
        for group in range(groups):
            part = slice(group * cin, (group + 1) * cin)
            target[..., group * cout : (group + 1) * cout] += met[..., part] @ weights[tap][:, part].T
    return (_finished(node, out if bias is None else out + bias, x.dtype),)


# ---- matrix products ----


def _dense_facts(node: Node, facts: Facts) -> tuple[Fact, ...]:
    x, kernel, bias = given(facts, 0), given(facts, 1), optional(facts, 2)
    weights = shape_of(kernel, 2, "kernel")
    assert weights is not None
    dtype = dtype_of((x, kernel, bias))
    fused_activation(node.attributes.get("activation"), weights[1])
    if x.shape is None:
        return (Fact(dtype, None),)
    if not x.shape:
        raise ValueError("x must have at least 1 axis")
    must_fit(x.shape[-1], weights[0], "the last axis of x")
    if bias is not None and bias.shape is not None:
        must_fit(shape_of(bias, 1, "bias")[0], weights[1], "bias")  # type: ignore[index]
    return (Fact(dtype, (*x.shape[:-1], weights[1])),)


@registered(KINDS, "dense", infer=_dense_facts)
def _dense(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    x, kernel, bias = given(arrays, 0), given(arrays, 1), optional(arrays, 2)
    total = exact(x) @ exact(kernel)
    return (_finished(node, total if bias is None else total + bias, x.dtype),)


def matmul_shape(a: Fact, b: Fact) -> tuple[Size, ...] | None:
    """NumPy's matmul: vectors lose their axis, axes before the last two broadcast."""
    if a.shape is None or b.shape is None:
        return None
    if not a.shape or not b.shape:
        raise ValueError("both matrices must have at least 1 axis")
    inner = b.shape[-2] if len(b.shape) > 1 else b.shape[0]
    must_fit(inner, a.shape[-1], "the axis of b that is summed over")
    lead = broadcast([a.shape[:-2], b.shape[:-2]])
    assert lead is not None
    return (*lead, *a.shape[-2:-1], *(b.shape[-1:] if len(b.shape) > 1 else ()))


def _matmul_facts(node: Node, facts: Facts) -> tuple[Fact, ...]:
    a, b = given(facts, 0), given(facts, 1)
    return (Fact(dtype_of((a, b)), matmul_shape(a, b)),)


@registered(KINDS, "matmul", infer=_matmul_facts)
def _matmul(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    a, b = given(arrays, 0), given(arrays, 1)
    return (np.asarray(np.matmul(exact(a), exact(b))).astype(a.dtype),)


# ---- einsum ----


def _terms_of(equation: str) -> tuple[list[str], str]:
    """The subscripts of the inputs and of the output, written out where the equation leaves it implicit."""
    text = equation.replace(" ", "")
    left, arrow, right = text.partition("->")
    terms = left.split(",")
    if not arrow:
        letters = left.replace(",", "").replace("...", "")
        right = "..." * ("..." in left) + "".join(sorted(c for c in set(letters) if letters.count(c) == 1))
    return terms, right


def _einsum_facts(node: Node, facts: Facts) -> tuple[Fact, ...]:
    terms, result = _terms_of(node.attributes["equation"])
    if len(terms) != len(facts):
        raise ValueError(
            f"the equation {node.attributes['equation']!r} has {len(terms)} inputs, not {len(facts)}"
        )
    sizes: dict[str, Size] = {}
    leads = []
    for term, fact in zip(terms, facts, strict=True):
        if fact is None or fact.shape is None:
            return (Fact(dtype_of(facts), None),)
        front, dots, back = term.partition("...")
        lead = len(fact.shape) - len(front) - len(back)
        if lead < 0 or (lead and not dots):
            raise ValueError(f"{term!r} does not fit the shape {fact.shape}")
        named = zip(front + back, fact.shape[: len(front)] + fact.shape[len(front) + lead :], strict=True)
        for letter, size in named:
            joined = broadcast([(sizes.get(letter, 1),), (size,)])
            assert joined is not None
            sizes[letter] = joined[0]
        leads.append(fact.shape[len(front) : len(front) + lead])
    front, dots, back = result.partition("...")
    lead_shape = broadcast(leads) if dots else ()
    assert lead_shape is not None
    shape = (*(sizes[c] for c in front), *lead_shape, *(sizes[c] for c in back))
    return (Fact(dtype_of(facts), shape),)


@registered(KINDS, "einsum", infer=_einsum_facts)
def _einsum(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    terms, result = _terms_of(node.attributes["equation"])
    wide = [exact(array) for array in arrays if array is not None]
    total = np.einsum(f"{','.join(terms)}->{result}", *wide)
    return (np.asarray(total).astype(given(arrays, 0).dtype),)
