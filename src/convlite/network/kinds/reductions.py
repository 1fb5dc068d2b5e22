"""Kinds that reduce axes, or look for the largest, the first, the different along one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..facts import Fact, Size, listed, numbers, product
from ..graph import Array, Node
from .record import Arrays, Facts, Kind, axis_of, exact, given, optional, registered

__all__ = ["KINDS"]

KINDS: dict[str, Kind] = {}
INT64 = np.dtype(np.int64)


def _reduced_axes(node: Node, axes: list[int] | None, rank: int) -> tuple[int, ...]:
    """The axes that a reduce_* node reduces: none given means all, or none with noop_with_empty_axes."""
    if not axes:
        return () if node.attributes["noop_with_empty_axes"] else tuple(range(rank))
    found = tuple(axis_of(int(axis), rank) for axis in axes)
    if len(set(found)) < len(found):
        raise ValueError(f"axes {axes} name an axis twice")
    return found


def _kept(shape: tuple[Size, ...], axes: tuple[int, ...], keepdims: bool) -> tuple[Size, ...]:
    if keepdims:
        return tuple(1 if axis in axes else size for axis, size in enumerate(shape))
    return tuple(size for axis, size in enumerate(shape) if axis not in axes)


def _reduce_facts(node: Node, facts: Facts) -> tuple[Fact, ...]:
    x, axes = given(facts, 0), optional(facts, 1)
    keepdims = bool(node.attributes["keepdims"])
    if x.shape is None:
        return (Fact(x.dtype, None),)
    named = numbers(axes)
    if axes is not None and named is None:
        if keepdims:
            return (Fact(x.dtype, (None,) * len(x.shape)),)
        return (Fact(x.dtype, None),)
    reduced = _reduced_axes(node, named, len(x.shape))
    return (Fact(x.dtype, _kept(x.shape, reduced, keepdims)),)


def _log_sum_exp(v: Array, **how: Any) -> Array:
    top = np.max(v, initial=-np.inf, **{**how, "keepdims": True})
    top = np.where(np.isfinite(top), top, 0.0)
    total = np.log(np.sum(np.exp(v - top), **how))
    result: Array = total + np.reshape(top, np.shape(total))
    return result


def _extreme(v: Array, top: bool, **how: Any) -> Any:
    """Nothing to compare: the lowest (highest) number there is."""
    initial: Any
    if v.dtype.kind == "f":
        initial = -np.inf if top else np.inf
    elif v.dtype.kind == "b":
        initial = not top
    else:
        initial = np.iinfo(v.dtype).min if top else np.iinfo(v.dtype).max
    return np.max(v, initial=initial, **how) if top else np.min(v, initial=initial, **how)


REDUCTIONS: dict[str, Callable[..., Any]] = {
    "reduce_sum": np.sum,
    "reduce_mean": lambda v, **how: np.mean(v, **how),
    "reduce_prod": np.prod,
    "reduce_l1": lambda v, **how: np.sum(np.abs(v), **how),
    "reduce_l2": lambda v, **how: np.sqrt(np.sum(np.square(v.astype(np.float64)), **how)),
    "reduce_log_sum": lambda v, **how: np.log(np.sum(v, **how)),
    "reduce_log_sum_exp": lambda v, **how: _log_sum_exp(v.astype(np.float64), **how),
    "reduce_sum_square": lambda v, **how: np.sum(np.square(v), **how),
    "reduce_max": lambda v, **how: _extreme(v, True, **how),
    "reduce_min": lambda v, **how: _extreme(v, False, **how),
}


@registered(KINDS, *REDUCTIONS, infer=_reduce_facts)
def _reduce(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    x, axes = given(arrays, 0), optional(arrays, 1)
    reduced = _reduced_axes(node, None if axes is None else axes.ravel().tolist(), x.ndim)
    how = {"axis": reduced, "keepdims": bool(node.attributes["keepdims"])}
    return (np.asarray(REDUCTIONS[node.kind](exact(x), **how)).astype(x.dtype),)


# ---- along one axis ----


def _arg_facts(node: Node, facts: Facts) -> tuple[Fact, ...]:
    x = given(facts, 0)
    if x.shape is None:
        return (Fact(INT64, None),)
    axis = axis_of(int(node.attributes["axis"]), len(x.shape))
    return (Fact(INT64, _kept(x.shape, (axis,), bool(node.attributes["keepdims"]))),)


@registered(KINDS, "arg_max", "arg_min", infer=_arg_facts)
def _arg(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    """The first of equal ones, or with select_last_index the last."""
    x = given(arrays, 0)
    axis = axis_of(int(node.attributes["axis"]), x.ndim)
    find = np.argmax if node.kind == "arg_max" else np.argmin
    if node.attributes["select_last_index"]:
        found = x.shape[axis] - 1 - find(np.flip(x, axis), axis)
    else:
        found = find(x, axis)
    found = np.asarray(found, INT64)
    return (np.expand_dims(found, axis) if node.attributes["keepdims"] else found,)


def _top_facts(node: Node, facts: Facts) -> tuple[Fact, ...]:
    x, k = given(facts, 0), listed(given(facts, 1))
    if x.shape is None:
        return Fact(x.dtype, None), Fact(INT64, None)
    axis = axis_of(int(node.attributes["axis"]), len(x.shape))
    if k is not None and len(k) != 1:
        raise ValueError(f"k must be one number, not {len(k)}")
    count = k[0] if k else None
    if isinstance(count, int) and isinstance(x.shape[axis], int) and not 0 <= count <= x.shape[axis]:
        raise ValueError(f"k is {count}, but axis {axis} has {x.shape[axis]} elements")
    shape = (*x.shape[:axis], count, *x.shape[axis + 1 :])
    return Fact(x.dtype, shape), Fact(INT64, shape)


@registered(KINDS, "top_k", infer=_top_facts)
def _top_k(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    """The k largest (smallest) in order; of equal ones the lower index first."""
    x, k = given(arrays, 0), int(given(arrays, 1).reshape(-1)[0])
    axis = axis_of(int(node.attributes["axis"]), x.ndim)
    if not 0 <= k <= x.shape[axis]:
        raise ValueError(f"k is {k}, but axis {axis} has {x.shape[axis]} elements")
    if node.attributes["largest"]:
        backwards = np.argsort(np.flip(x, axis), axis, kind="stable")
        order = np.flip(x.shape[axis] - 1 - backwards, axis)
    else:
        order = np.argsort(x, axis, kind="stable")
    places = np.take(order, np.arange(k), axis).astype(INT64)
    return np.take_along_axis(x, places, axis), places


def _cumsum_facts(node: Node, facts: Facts) -> tuple[Fact, ...]:
    x, axis = given(facts, 0), listed(given(facts, 1))
    if x.shape is not None and axis and isinstance(axis[0], int):
        axis_of(axis[0], len(x.shape))
    return (Fact(x.dtype, x.shape),)


@registered(KINDS, "cumsum", infer=_cumsum_facts)
def _cumsum(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    x, axis = given(arrays, 0), int(given(arrays, 1).reshape(-1)[0])
    axis = axis_of(axis, x.ndim)
    wide = np.flip(exact(x), axis) if node.attributes["reverse"] else exact(x)
    total = np.cumsum(wide, axis, dtype=wide.dtype)
    if node.attributes["exclusive"]:
        first = np.zeros_like(np.take(total, np.arange(min(1, x.shape[axis])), axis))
        total = np.concatenate([first, np.take(total, np.arange(max(0, x.shape[axis] - 1)), axis)], axis)
    total = np.flip(total, axis) if node.attributes["reverse"] else total
    return (np.ascontiguousarray(total).astype(x.dtype),)


# ---- as many as there are ----


def _nonzero_facts(node: Node, facts: Facts) -> tuple[Fact, ...]:
    return (Fact(INT64, (given(facts, 0).rank, None)),)


@registered(KINDS, "nonzero", infer=_nonzero_facts)
def _nonzero(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    """A column of indices for each element that is not zero, in the order of the elements."""
    x = given(arrays, 0)
    found = np.nonzero(np.atleast_1d(x))
    return (np.array(found, INT64).reshape(len(found), -1)[: x.ndim],)


def _unique_facts(node: Node, facts: Facts) -> tuple[Fact, ...]:
    x, axis = given(facts, 0), node.attributes["axis"]
    one = Fact(INT64, (None,))
    if axis is None:
        every = None if x.shape is None else product(x.shape)
        return Fact(x.dtype, (None,)), one, Fact(INT64, (every,)), one
    if x.shape is None:
        return Fact(x.dtype, None), one, one, one
    axis = axis_of(int(axis), len(x.shape))
    shape = (*x.shape[:axis], None, *x.shape[axis + 1 :])
    return Fact(x.dtype, shape), one, Fact(INT64, (x.shape[axis],)), one


@registered(KINDS, "unique", infer=_unique_facts)
def _unique(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    """The different elements (or slices), sorted or as they come; their first places; which; how many."""
    x, axis = given(arrays, 0), node.attributes["axis"]
    y, first, which, counts = np.unique(x, True, True, True, axis=None if axis is None else int(axis))
    which = which.reshape(-1)
    if not node.attributes["sorted"]:
        order = np.argsort(first, kind="stable")
        y = np.take(y, order, 0 if axis is None else int(axis))
        first, counts = first[order], counts[order]
        which = np.argsort(order, kind="stable")[which]
    return y, first.astype(INT64), which.astype(INT64), counts.astype(INT64)
