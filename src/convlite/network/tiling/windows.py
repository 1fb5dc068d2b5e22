"""Windows of convolutions, pools, transposed convolutions, margins and resizes, along one axis at a time."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np

from ...geometry import Geometry, conv_axis, transpose_axis
from ...plan import periods_for, tile_for
from ..facts import Fact
from ..graph import Node
from ..kinds.convolution import _transpose_axis
from ..kinds.selection import SOURCES, _pads
from ..kinds.windows import padding_of
from ..lower.images import axis_tables
from .rule import Back, Local, Look, Roles, Rule, rule

__all__ = ["winograd_of"]


def covered(lo: int, hi: int, n: int, m: int, reach: int, stride: int, before: int) -> tuple[int, ...]:
    """(lo, hi, first, last): outputs lo..hi, or more until one of them meets an input, read first..last-1.

    Output o reads o*stride - before and the `reach` places from there on; n inputs, m outputs.

    >>> covered(0, 4, 10, 10, 3, 1, 1)
    (0, 4, -1, 5)
    """
    if (hi - 1) * stride - before + reach <= 0:
        hi = min(m, (before - reach) // stride + 2)
    if lo * stride - before >= n:
        lo = max(0, (n + before - 1) // stride)
    return lo, hi, lo * stride - before, (hi - 1) * stride - before + reach


def _spatial(look: Look, axes: int) -> Roles:
    """The roles of an image, none of them in its channels."""
    look.spared([axes + 1], "sums over")
    return look.roles()


def _first(look: Look, role: int, window: tuple[int, int]) -> tuple[Any, ...]:
    return (window, *(None for _ in look.node.inputs[1:]))


def _cut_first(look: Look) -> tuple[dict[int, int], ...]:
    first = {role: axis for axis, role in enumerate(look.roles()) if role is not None}
    return (first, *({} for _ in look.node.inputs[1:]))


@rule("conv")
def conv(look: Look) -> Rule:
    """The margins of a window are those of the image where it lies at the image's border, none elsewhere."""
    shape, kernel, out = look.shape(0), look.shape(1), look.out()
    axes = len(shape) - 2
    roles, attributes = _spatial(look, axes), look.node.attributes
    strides, dilations = attributes["strides"], attributes["dilations"]
    pads = padding_of(attributes["padding"], shape[1:-1], kernel[:axes], strides, dilations)
    geometry = geometry_of(look.node, look.facts) if look.aligned else None
    periods = (0, 0) if geometry is None else periods_for(geometry)

    def back(role: int, lo: int, hi: int) -> Back:
        axis = roles.index(role) - 1
        if axis < 0:
            return Back(lo, hi, _first(look, role, (lo, hi)))
        n, m = shape[axis + 1], out[axis + 1]
        period = periods[axis - axes]  # of one axis it is the columns'
        if period:
            lo, hi = lo // period * period, min(m, -(-hi // period) * period)
        reach = (kernel[axis] - 1) * dilations[axis] + 1
        lo, hi, first, last = covered(lo, hi, n, m, reach, strides[axis], pads[axis][0])
        inner = max(0, first), min(n, last)
        return Back(lo, hi, _first(look, role, inner), (inner[0] - first, last - inner[1]))

    def emit(local: Local) -> Any:
        padding = _padding(roles, axes, pads, local)
        return local.node.with_(inputs=local.inputs, attributes={**local.node.attributes, "padding": padding})

    return Rule((roles,), _cut_first(look), back, emit, _scales(roles, [Fraction(1, s) for s in strides]))


def winograd_of(node: Node, facts: Mapping[str, Fact]) -> tuple[int, int]:
    """The tiles of Winograd's form that "fast" takes for a convolution; (0, 0) for the direct form."""
    geometry = geometry_of(node, facts)
    return (0, 0) if geometry is None else tile_for(geometry)


def geometry_of(node: Node, facts: Mapping[str, Fact]) -> Geometry | None:
    """What a convolution or its transpose reads, of one image; None where that is not known."""
    if node.kind not in ("conv", "conv_transpose"):
        return None
    shape, kernel = facts[node.inputs[0]].shape, facts[node.inputs[1]].shape
    if shape is None or kernel is None or None in shape[1:] or len(shape) not in (3, 4):
        return None
    attributes, groups = node.attributes, int(node.attributes["groups"])
    strides, dilations = attributes["strides"], attributes["dilations"]
    sizes, out = [int(n) for n in shape[1:-1] if n is not None], facts[node.outputs[0]].shape
    axes = [conv_axis(1, 1, 1, 1, "valid", "x")] * (4 - len(shape))
    if node.kind == "conv":
        pads = padding_of(attributes["padding"], sizes, kernel[:-2], strides, dilations)  # type: ignore[arg-type]
        for i, n in enumerate(sizes):
            axes.append(conv_axis(n, kernel[i], strides[i], dilations[i], pads[i], "x"))  # type: ignore[arg-type]
        cout = kernel[-1]
    else:
        if out is None:
            return None
        for i, n in enumerate(sizes):
            before = int(_transpose_axis(node, i, n, kernel[i])[1])
            full = (n - 1) * strides[i] + (kernel[i] - 1) * dilations[i] + 1  # type: ignore[operator]
            rest = full - before - out[1 + i]
            pad, extra = (before, max(0, rest)), max(0, -rest)
            axes.append(transpose_axis(n, kernel[i], strides[i], dilations[i], pad, "x", None, extra))  # type: ignore[arg-type]
        cout = kernel[-2] * groups  # type: ignore[operator]
    return Geometry(1, axes[0], axes[1], shape[-1], cout, groups)  # type: ignore[arg-type]


def _padding(roles: Roles, axes: int, pads: Any, local: Local) -> tuple[tuple[int, int], ...]:
    """(before, after) of each spatial axis: the window's where it is cut, the whole's elsewhere."""
    found = []
    for axis in range(axes):
        role = roles[axis + 1]
        found.append(tuple(pads[axis]) if role is None else local.how[role])
    return tuple(found)


def _scales(roles: Roles, scales: list[Fraction]) -> dict[int, Fraction]:
    return {
        role: scales[axis - 1]
        for axis, role in enumerate(roles)
        if role is not None and 0 < axis <= len(scales)
    }


@rule("max_pool", "avg_pool", "lp_pool")
def pool(look: Look) -> Rule:
    """As conv; a last window that goes beyond the margin is one of ceil_mode's."""
    shape, out = look.shape(0), look.out()
    axes, roles, attributes = len(shape) - 2, look.roles(), look.node.attributes
    kernel, strides, dilations = (attributes[key] for key in ("kernel", "strides", "dilations"))
    pads = padding_of(attributes["padding"], shape[1:-1], kernel, strides, dilations)

    def back(role: int, lo: int, hi: int) -> Back:
        axis = roles.index(role) - 1
        if not 0 <= axis < axes:
            return Back(lo, hi, ((lo, hi),))
        n, (before, after) = shape[axis + 1], pads[axis]
        reach = (kernel[axis] - 1) * dilations[axis] + 1
        if look.node.kind == "avg_pool" and hi - lo == 1:  # a window that is all of the image has other bits
            lo, hi = (lo - 1, hi) if lo else (lo, min(hi + 1, out[axis + 1]))
        if (hi - 1) * strides[axis] - before + reach > n + after:
            lo = max(0, min(lo, hi - 2))  # a window must not be in the padding only
        lo, hi, first, last = covered(lo, hi, n, out[axis + 1], reach, strides[axis], before)
        inner = max(0, first), min(n, last)
        return Back(lo, hi, (inner,), (inner[0] - first, min(last, n + after) - inner[1]))

    def emit(local: Local) -> Any:
        padding = _padding(roles, axes, pads, local)
        return local.node.with_(inputs=local.inputs, attributes={**local.node.attributes, "padding": padding})

    if attributes["ceil_mode"] and isinstance(attributes["padding"], str):
        look.refuse("has ceil_mode beside a padding by name")
    return Rule((roles,), _cut_first(look), back, emit, _scales(roles, [Fraction(1, s) for s in strides]))


@rule("conv_transpose")
def conv_transpose(look: Look) -> Rule:
    """Input i adds to i*stride - before and the places behind: what lies outside of the window is cropped."""
    shape, kernel = look.shape(0), look.shape(1)
    axes = len(shape) - 2
    roles, attributes = _spatial(look, axes), look.node.attributes
    strides, dilations = attributes["strides"], attributes["dilations"]
    before = [int(_transpose_axis(look.node, axis, shape[1 + axis], kernel[axis])[1]) for axis in range(axes)]

    def back(role: int, lo: int, hi: int) -> Back:
        axis = roles.index(role) - 1
        if axis < 0:
            return Back(lo, hi, _first(look, role, (lo, hi)))
        n, stride = shape[axis + 1], strides[axis]
        span = (kernel[axis] - 1) * dilations[axis]
        start = max(0, min(-(-(lo + before[axis] - span) // stride), (lo + before[axis]) // stride, n - 1))
        stop = max(start + 1, min(n, (hi - 1 + before[axis]) // stride + 1))
        crop = before[axis] + lo - start * stride
        rest = (stop - start - 1) * stride + span + 1 - crop - (hi - lo)
        return Back(lo, hi, _first(look, role, (start, stop)), (crop, max(0, rest), max(0, -rest)))

    def emit(local: Local) -> Any:
        whole = look.out()
        padding, extra = [], []
        for axis in range(axes):
            role = roles[axis + 1]
            if role is None:
                full = (shape[axis + 1] - 1) * strides[axis] + (kernel[axis] - 1) * dilations[axis] + 1
                rest = full - before[axis] - whole[axis + 1]
                padding.append((before[axis], max(0, rest)))
                extra.append(max(0, -rest))
            else:
                crop, rest, more = local.how[role]
                padding.append((crop, rest))
                extra.append(more)
        changed = {"padding": tuple(padding), "output_padding": tuple(extra), "output_shape": None}
        return local.node.with_(inputs=local.inputs, attributes={**local.node.attributes, **changed})

    return Rule((roles,), _cut_first(look), back, emit, _scales(roles, [Fraction(s) for s in strides]))


@rule("pad")
def pad(look: Look) -> Rule:
    """Margins at the image's border; those that mirror the image are places of it."""
    shape, out, roles = look.shape(0), look.out(), look.roles()
    amounts, named = look.value(1), look.value(3)
    assert amounts is not None
    mode = look.node.attributes["mode"]
    pads = dict.fromkeys(range(len(shape)), (0, 0))
    given = _pads(len(shape), amounts.tolist(), None if named is None else named.tolist())
    pads |= {axis: (int(pair[0]), int(pair[1])) for axis, pair in given.items()}
    cut = [axis for axis, role in enumerate(roles) if role is not None and pads[axis] != (0, 0)]
    mirrored = mode != "constant" and bool(cut)
    if mirrored and (mode == "wrap" or min(min(pair) for pair in pads.values()) < 0):
        look.refuse("repeats the other side of the image, or cuts off what it repeats")
    maps = {
        axis: SOURCES[mode](np.arange(-low, shape[axis] + high), shape[axis])
        for axis, (low, high) in pads.items()
        if mirrored and (low, high) != (0, 0)
    }

    def back(role: int, lo: int, hi: int) -> Back:
        axis = roles.index(role)
        if axis in maps:
            places = maps[axis][lo:hi]
            first, last = int(places.min()), int(places.max()) + 1
            return Back(lo, hi, _first(look, role, (first, last)), places - first)
        lo, hi, first, last = covered(lo, hi, shape[axis], out[axis], 1, 1, pads[axis][0])
        inner = max(0, first), min(shape[axis], last)
        return Back(lo, hi, _first(look, role, inner), (inner[0] - first, last - inner[1]))

    def emit(local: Local) -> Any:
        if mirrored:
            tables = [
                maps.get(axis) if role is None or axis not in maps else local.how[role]
                for axis, role in enumerate(roles)
            ]
            return local.node.with_(
                kind="taken", inputs=local.inputs[:1], attributes={"places": tuple(tables)}
            )
        sides = [pads[axis] if role is None else local.how[role] for axis, role in enumerate(roles)]
        array = np.array([[low for low, _ in sides], [high for _, high in sides]], np.int64).reshape(-1)
        inputs = (local.inputs[0], local.constant(array), *local.inputs[2:3])
        return local.node.with_(inputs=inputs)

    return Rule((roles,), _cut_first(look), back, emit)


@rule("resize")
def resize(look: Look) -> Rule:
    """Rows of the whole image's table of places and weights."""
    shape, out, roles = look.shape(0), look.out(), look.roles()
    attributes = look.node.attributes
    if len(shape) not in (3, 4) or (shape[0], shape[-1]) != (out[0], out[-1]):
        look.refuse("resizes more than rows and columns")
    look.spared([len(shape) - 1], "resizes")
    linear = attributes["mode"] != "nearest"
    stretched = attributes["keep_aspect_ratio_policy"] == "stretch"
    crop = attributes["coordinates"] == "tf_crop_and_resize"
    if (linear and look.dtype() not in (np.dtype("f4"), np.dtype("f8"))) or not stretched or crop:
        look.refuse("resizes in a way that needs all of the image")
    scales = look.value(2)
    tables = axis_tables(shape, out, attributes, scales, look.dtype())
    if tables is None:
        look.refuse("resizes in a way that needs all of the image")

    def back(role: int, lo: int, hi: int) -> Back:
        axis = roles.index(role)
        if axis == 0:
            return Back(lo, hi, _first(look, role, (lo, hi)))
        places, weights = tables[axis - 1]
        near = places[lo:hi]
        first, last = int(near.min()), int(near.max()) + 1
        return Back(lo, hi, _first(look, role, (first, last)), (near - first, weights[lo:hi]))

    def emit(local: Local) -> Any:
        found = []
        for axis in range(1, len(shape) - 1):
            role = roles[axis]
            found.append(tables[axis - 1] if role is None else local.how[role])
        attributes = {"places": tuple(pair[0] for pair in found), "weights": tuple(pair[1] for pair in found)}
        return local.node.with_(kind="resample", inputs=local.inputs[:1], attributes=attributes)

    factors = [_factor(shape[axis], out[axis]) for axis in range(1, len(shape) - 1)]
    return Rule((roles,), _cut_first(look), back, emit, _scales(roles, factors))


def _factor(n: int, m: int) -> Fraction:
    """How many outputs a resize makes of an input; whole where the sizes may come from a whole factor."""
    up, down = round(m / n), round(n / max(m, 1))
    if up >= 1 and abs(m - up * n) < up:
        return Fraction(up)
    if down >= 1 and abs(n - down * m) < down:
        return Fraction(1, down)
    return Fraction(m, n)
