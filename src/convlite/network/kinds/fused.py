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
