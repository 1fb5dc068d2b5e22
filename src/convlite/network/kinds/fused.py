"""Kinds that passes make; no importer writes them."""

from __future__ import annotations

import numpy as np

from ..facts import Fact
from ..graph import Array, Node
from .elementwise import activated, fused_activation
from .record import Arrays, Facts, Kind, exact, given, must_fit, registered, shape_of

__all__ = ["KINDS"]

KINDS: dict[str, Kind] = {}


def _infer(node: Node, facts: Facts) -> tuple[Fact, ...]:
    first = given(facts, 0)
    shape = shape_of(first)
    if shape:
        for fact in facts[1:]:
            vector = shape_of(fact, 1, "a vector")
            if vector:
                must_fit(vector[0], shape[-1], "a vector")
    fused_activation(node.attributes["activation"], shape[-1] if shape else None)
    return (Fact(first.dtype, first.shape),)


@registered(KINDS, "affine", infer=_infer)
def _affine(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    """activation(x*scale + offset), scale and offset a number for each channel."""
    x, scale, offset = (given(arrays, number) for number in range(3))
    total = exact(x) * exact(scale) + exact(offset)
    return (activated(node.attributes["activation"], total).astype(np.asarray(x).dtype),)


def _taken_facts(node: Node, facts: Facts) -> tuple[Fact, ...]:
    first = given(facts, 0)
    shape = shape_of(first)
    if shape is None:
        return (Fact(first.dtype, None),)
    places = node.attributes["places"]
    sizes = tuple(size if along is None else len(along) for size, along in zip(shape, places, strict=True))
    return (Fact(first.dtype, sizes),)


@registered(KINDS, "taken", infer=_taken_facts)
def _taken(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    """Places of each axis; None for all of it."""
    y = given(arrays, 0)
    for axis, along in enumerate(node.attributes["places"]):
        y = y if along is None else np.take(y, along, axis)
    return (y,)


def _resample_facts(node: Node, facts: Facts) -> tuple[Fact, ...]:
    first = given(facts, 0)
    places = node.attributes["places"]
    shape = shape_of(first, len(places) + 2)
    assert shape is not None
    return (Fact(first.dtype, (shape[0], *(len(along) for along in places), shape[-1])),)


@registered(KINDS, "resample", infer=_resample_facts)
def _resample(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    """Output o along an axis is the sum over taps t of x[places[o, t]] * weights[o, t]."""
    x = given(arrays, 0)
    y = x
    for axis, (places, weights) in enumerate(
        zip(node.attributes["places"], node.attributes["weights"], strict=True), 1
    ):
        if places.shape[1] == 1 and (weights == 1).all():
            y = np.take(y, places[:, 0], axis)
            continue
        along = (-1, *(1 for _ in range(y.ndim - axis - 1)))
        total = np.zeros((*y.shape[:axis], len(places), *y.shape[axis + 1 :]))
        for tap in range(places.shape[1]):
            total += np.take(exact(y), places[:, tap], axis) * exact(weights)[:, tap].reshape(along)
        y = total
    return (y.astype(x.dtype),)
