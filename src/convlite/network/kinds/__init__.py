"""The vocabulary of networks: what each kind of node says of shapes, and what it means in plain NumPy."""

from __future__ import annotations

from ..graph import Node
from . import (
    control,
    convolution,
    elementwise,
    fused,
    images,
    normalization,
    pooling,
    quantization,
    recurrent,
    reductions,
    sampling,
    selection,
    shapes,
)
from .record import Kind, named

__all__ = ["KINDS", "Kind", "kind_of", "named"]

FAMILIES = (
    *(convolution, pooling, normalization, elementwise, reductions, shapes, selection),
    *(images, sampling, recurrent, quantization, control, fused),
)
KINDS: dict[str, Kind] = {name: kind for family in FAMILIES for name, kind in family.KINDS.items()}


def kind_of(node: Node) -> Kind:
    """The meaning of a node; ValueError for a kind that is not in the vocabulary."""
    if node.kind not in KINDS:
        raise ValueError(f"{named(node)}: there is no such kind")
    return KINDS[node.kind]
