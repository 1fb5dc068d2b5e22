"""Windows of what moves elements, or works on them one by one or along axes that stay whole."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np

from ..graph import Node
from ..kinds.elementwise import KINDS as ELEMENTWISE
from ..kinds.selection import _cut, _slice_axes
from .rule import ROLES, Back, Local, Look, Roles, Rule, aligned, cut_like, rule

__all__ = ["slice_node"]

rule(*(kind for kind in ELEMENTWISE if kind != "cast_like"), "affine", "batch_norm")(aligned)


def _first(look: Look, roles: tuple[Roles, ...] | None = None) -> Rule:
    """Roles of the first input, and of the outputs unless said; the others are whole."""
    found = look.roles()
    cut: list[dict[int, int]] = [{role: axis for axis, role in enumerate(found) if role is not None}]
    cut += [{} for _ in look.node.inputs[1:]]
    for number, name in enumerate(look.node.inputs[1:], 1):
        if name and any(role is not None for role in look.roles(number)):
            look.refuse(f"takes its input {name!r} from the image")
    return Rule((found,) * len(look.node.outputs) if roles is None else roles, tuple(cut))


# ---- along axes that stay whole ----


@rule("softmax", "log_softmax", "hardmax", "lp_normalize")
def along(look: Look) -> Rule:
    """One axis."""
    look.spared([look.node.attributes["axis"] % len(look.shape(0))], "looks at")
    return _first(look)


@rule("layer_norm", "rms_norm")
def normalized(look: Look) -> Rule:
    """From an axis on."""
    rank = len(look.shape(0))
    look.spared(range(look.node.attributes["axis"] % rank, rank), "takes the mean of")
    return _first(look)


@rule("lrn")
def lrn(look: Look) -> Rule:
    """Neighbouring channels."""
    look.spared([len(look.shape(0)) - 1], "looks at")
    return _first(look)


@rule("instance_norm", "group_norm", "mean_variance_normalize")
def whole(look: Look) -> Rule:
    """A mean over the image."""
    rank = len(look.shape(0))
    axes = look.node.attributes["axes"] if look.node.kind == "mean_variance_normalize" else range(1, rank)
    look.spared([int(axis) % rank for axis in axes], "takes the mean of")
    return _first(look)


@rule(
    *("reduce_sum", "reduce_mean", "reduce_prod", "reduce_l1", "reduce_l2", "reduce_log_sum", "reduce_max"),
    *("reduce_log_sum_exp", "reduce_sum_square", "reduce_min", "arg_max", "arg_min"),
)
def reduced(look: Look) -> Rule:
    """Axes that vanish, or become 1."""
    rank, attributes = len(look.shape(0)), look.node.attributes
    if look.node.kind.startswith("arg"):
        axes = [attributes["axis"] % rank]
    else:
        given = look.value(1)
        axes = [] if given is None else [int(axis) % rank for axis in given.reshape(-1)]
        if not axes and not attributes["noop_with_empty_axes"]:
            axes = list(range(rank))
    look.spared(axes, "reduces")
    roles = look.roles()
    kept = tuple(role for axis, role in enumerate(roles) if attributes["keepdims"] or axis not in axes)
    return _first(look, (kept,))


@rule("quantize_linear", "dequantize_linear")
def quantized(look: Look) -> Rule:
    """One scale, or one for each index of an axis that stays whole."""
    scale = look.value(1)
    if scale is not None and (scale.size > 1 or look.node.attributes["block_size"]):
        look.spared([look.node.attributes["axis"] % len(look.shape(0))], "has a scale of its own for")
    return _first(look)


@rule("dense", "matmul")
def product(look: Look) -> Rule:
    """Rows of a matrix product with a constant."""
    if len(look.shape(1)) != 2 or any(role is not None for role in look.roles(1)):
        look.refuse("multiplies with what comes from the image")
    look.spared([len(look.shape(0)) - 1], "sums over")
    return _first(look)


# ---- moves ----


@rule("transpose")
def transpose(look: Look) -> Rule:
    """Axes in another order."""
    roles = look.roles()
    return _first(look, (tuple(roles[axis] for axis in look.node.attributes["perm"]),))


@rule("concat")
def concat(look: Look) -> Rule:
    """Side by side along an axis that stays whole."""
    out = look.out()
    axis = look.node.attributes["axis"] % len(out)
    roles: list[int | None] = [None] * len(out)
    for number in range(len(look.node.inputs)):
        for place, role in enumerate(look.roles(number)):
            if role is not None and roles[place] not in (None, role):
                look.refuse("puts rows beside columns")
            roles[place] = role if role is not None else roles[place]
    if roles[axis] is not None:
        look.refuse(f"puts images together along their {ROLES[roles[axis] or 0]}")
    return Rule((tuple(roles),), cut_like(look, roles, out))


@rule("split")
def split(look: Look) -> Rule:
    """Parts of an axis that stays whole."""
    look.spared([look.node.attributes["axis"] % len(look.shape(0))], "splits")
    return _first(look)


@rule("gather")
def gather(look: Look) -> Rule:
    """Places of an axis that stays whole."""
    roles, indices = look.roles(), look.value(1)
    axis = look.node.attributes["axis"] % len(roles)
    look.spared([axis], "picks from")
    assert indices is not None
    return _first(look, ((*roles[:axis], *(None,) * indices.ndim, *roles[axis + 1 :]),))


@rule("tile")
def tile(look: Look) -> Rule:
    """Axes that stay whole, repeated."""
    repeats = look.value(1)
    assert repeats is not None
    look.spared([axis for axis, count in enumerate(repeats.tolist()) if count != 1], "repeats")
    return _first(look)


@rule("expand")
def expand(look: Look) -> Rule:
    """Repeated along axes of one element."""
    found, out = look.roles(), look.out()
    shift = len(out) - len(found)
    look.spared([axis for axis, size in enumerate(look.shape(0)) if size != out[axis + shift]], "repeats")
    made = _first(look, ((*(None,) * shift, *found),))
    made.emit = _reshaping("expand")
    return made


def _reshaping(kind: str) -> Any:
    def emit(local: Local) -> Node:
        shape = local.constant(np.array(local.outputs[0], np.int64))
        attributes = {"allowzero": True} if kind == "reshape" else {}
        return local.node.with_(kind=kind, inputs=(local.inputs[0], shape), attributes=attributes)

    return emit


@rule("slice")
def sliced(look: Look) -> Rule:
    """Every step-th place from a start on."""
    shape, roles = look.shape(0), look.roles()
    starts, ends, axes, steps = (
        None if value is None else value.reshape(-1).tolist()
        for value in (look.value(number) for number in (1, 2, 3, 4))
    )
    found, strides = _slice_axes(len(shape), starts or [], axes, steps)
    places = {
        axis: _cut(shape[axis], int(start), int(end), int(step))
        for axis, start, end, step in zip(found, starts or (), ends or (), strides, strict=True)
    }
    look.spared([axis for axis, along in places.items() if along.step < 1], "turns round")

    def back(role: int, lo: int, hi: int) -> Back:
        along = places.get(roles.index(role))
        rest = (None,) * (len(look.node.inputs) - 1)
        if along is None:
            return Back(lo, hi, ((lo, hi), *rest))
        first = along.start + lo * along.step
        return Back(lo, hi, ((first, along.start + (hi - 1) * along.step + 1), *rest))

    def emit(local: Local) -> Node:
        cuts = {}
        for axis, along in places.items():
            if roles[axis] is None:
                cuts[axis] = along.start, along.stop if along.stop >= 0 else -(2**31), along.step
            else:
                cuts[axis] = 0, 2**31 - 1, along.step
        return slice_node(local.inputs[0], local.node.outputs[0], cuts, local.constant, local.node.label)

    scale = {
        role: Fraction(1, places[axis].step)
        for axis, role in enumerate(roles)
        if role is not None and axis in places
    }
    return Rule((roles,), _first(look).cut, back, emit, scale)


def slice_node(
    source: str, target: str, cuts: dict[int, tuple[int, int, int]], constant: Any, label: str
) -> Node:
    """target = source[start:end:step] along some axes."""
    order = sorted(cuts)
    columns = [[cuts[axis][part] for axis in order] for part in range(3)]
    starts, ends, steps = (constant(np.array(column, np.int64)) for column in columns)
    axes = constant(np.array(order, np.int64))
    return Node("slice", (source, starts, ends, axes, steps), (target,), {}, label)


# ---- blocks and shapes ----


@rule("depth_to_space", "space_to_depth")
def blocks(look: Look) -> Rule:
    """A pixel is a block of pixels."""
    roles, block = look.roles(), int(look.node.attributes["block"])
    look.spared([3], "moves pixels into")
    up = look.node.kind == "depth_to_space"

    def back(role: int, lo: int, hi: int) -> Back:
        if roles.index(role) == 0:
            return Back(lo, hi, ((lo, hi),))
        if up:
            first, last = lo // block, -(-hi // block)
            return Back(first * block, last * block, ((first, last),))
        return Back(lo, hi, ((lo * block, hi * block),))

    factor = Fraction(block) if up else Fraction(1, block)
    scale = {role: factor for axis, role in enumerate(roles) if role is not None and axis in (1, 2)}
    return Rule((roles,), _first(look).cut, back, scale=scale)


def groups_of(old: tuple[int, ...], new: tuple[int, ...]) -> list[tuple[list[int], list[int]]]:
    """Which axes of a reshape belong together: the fewest of both with as many elements.

    >>> groups_of((2, 6, 4, 3), (2, 3, 2, 12))
    [([0], [0]), ([1], [1, 2]), ([2, 3], [3])]
    """
    found: list[tuple[list[int], list[int]]] = []
    i = j = 0
    while i < len(old) and j < len(new):
        left, right = [i], [j]
        a, b = old[i], new[j]
        i, j = i + 1, j + 1
        while a != b:
            if a < b:
                a, i = a * old[i], i + 1
                left.append(i - 1)
            else:
                b, j = b * new[j], j + 1
                right.append(j - 1)
        found.append((left, right))
    if found:  # axes of one element at the end
        found[-1][0].extend(range(i, len(old)))
        found[-1][1].extend(range(j, len(new)))
    return found


@rule("reshape", "flatten", "squeeze", "unsqueeze")
def reshape(look: Look) -> Rule:
    """An axis that is cut may take others into it from the right, or give them."""
    shape, out, roles = look.shape(0), look.out(), look.roles()
    target: list[int | None] = [None] * len(out)
    units: dict[int, tuple[int, int]] = {}  # role: (elements of a place before, and after)
    for left, right in groups_of(shape, out) if 0 not in shape else ():
        held = [axis for axis in left if roles[axis] is not None]
        if not held:
            continue
        axis, role = held[0], roles[held[0]]
        assert role is not None
        if len(held) > 1 or any(shape[other] > 1 for other in left if other < axis):
            look.refuse(f"mixes {ROLES[role]} with other axes")
        inner = math.prod(shape[other] for other in left if other > axis)
        place = next((other for other in right if out[other] > 1), right[0])
        target[place] = role
        units[role] = inner, math.prod(out[other] for other in right if other > place)

    def back(role: int, lo: int, hi: int) -> Back:
        inner, outer = units[role]
        n = shape[roles.index(role)]
        step = math.lcm(inner, outer) // inner  # places of the input that are whole places of the output
        first = lo * outer // inner // step * step
        last = min(n, -(-hi * outer // (inner * step)) * step)
        rest = (None,) * (len(look.node.inputs) - 1)
        return Back(first * inner // outer, last * inner // outer, ((first, last), *rest))

    scale = {role: Fraction(inner, outer) for role, (inner, outer) in units.items()}
    return Rule((tuple(target),), _first(look).cut, back, _reshaping("reshape"), scale)
