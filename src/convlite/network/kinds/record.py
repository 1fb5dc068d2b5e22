"""What a kind of node is: its name, what it says of its outputs' shapes, and its meaning in plain NumPy."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any

import numpy as np

from ..facts import Fact, Shape, Size
from ..graph import Array, Node, described_shape

__all__ = [
    "Arrays",
    "Compute",
    "Facts",
    "Infer",
    "Kind",
    "axis_of",
    "dtype_of",
    "exact",
    "given",
    "like_first",
    "named",
    "optional",
    "registered",
]

Facts = Sequence[Fact | None]
Arrays = Sequence[Array | None]
Infer = Callable[[Node, Facts], tuple[Fact, ...]]
Compute = Callable[[Node, Arrays], tuple[Array, ...]]


@dataclass(frozen=True, slots=True)
class Kind:
    """One word of the vocabulary.

    infer(node, facts): a fact for each output, from what is known of the inputs (None: left out).
    compute(node, arrays): the outputs. Both may return more than the node asks for, never less; both raise
    ValueError that names the node. moves: `compute` only moves elements about, so that it takes object arrays
    too.
    """

    name: str
    infer: Infer
    compute: Compute
    moves: bool = False


def named(node: Node) -> str:
    """How messages call a node.

    Examples:
        >>> named(Node("conv", ("x", "k"), ("y",), {}, "/block1/Conv"))
        "node '/block1/Conv' (conv)"
    """
    label = node.label or next((name for name in node.outputs if name), "")
    return f"node {label!r} ({node.kind})"


def registered(
    table: dict[str, Kind], *names: str, infer: Infer, moves: bool = False
) -> Callable[[Compute], Compute]:
    """Put a compute function into a table of kinds, under some names, with errors that name the node."""

    def put(compute: Compute) -> Compute:
        for name in names:
            table[name] = Kind(name, _telling_infer(infer), _telling_compute(compute), moves)
        return compute

    return put


FAULTS = (ValueError, TypeError, IndexError, KeyError, OverflowError, ZeroDivisionError, AttributeError)


def _telling_infer(infer: Infer) -> Infer:
    @wraps(infer)
    def told(node: Node, facts: Facts) -> tuple[Fact, ...]:
        try:
            return infer(node, facts)
        except FAULTS as error:
            shown = ", ".join("_" if fact is None else str(fact) for fact in facts)
            raise ValueError(f"{named(node)}: {_reason(error)}; its inputs are {shown}") from error

    return told


def _telling_compute(compute: Compute) -> Compute:
    @wraps(compute)
    def told(node: Node, arrays: Arrays) -> tuple[Array, ...]:
        try:
            with np.errstate(all="ignore"):
                return tuple(np.asarray(array) for array in compute(node, arrays))
        except FAULTS as error:
            shown = ", ".join(
                "_" if array is None else f"{array.dtype}{described_shape(array.shape)}" for array in arrays
            )
            raise ValueError(f"{named(node)}: {_reason(error)}; its inputs are {shown}") from error

    return told


def _reason(error: Exception) -> str:
    return f"it lacks the attribute {error}" if isinstance(error, KeyError) else str(error)


def given(items: Sequence[Any], number: int) -> Any:
    """An input that must be there."""
    if number >= len(items) or items[number] is None:
        raise ValueError(f"input {number} is missing")
    return items[number]


def optional(items: Sequence[Any], number: int) -> Any:
    """An input that may be left out: None then."""
    return items[number] if number < len(items) else None


def axis_of(axis: int, rank: int, *, extra: int = 0) -> int:
    """A number of an axis, counted from the front; ValueError where there is no such axis."""
    if not -rank - extra <= axis < rank + extra:
        raise ValueError(f"axis {axis} is not one of {rank + extra} axes")
    return axis + rank + extra if axis < 0 else axis


def dtype_of(facts: Iterable[Fact | None]) -> np.dtype[Any] | None:
    """The dtype that all inputs have."""
    found = {fact.dtype for fact in facts if fact is not None and fact.dtype is not None}
    if len(found) > 1:
        raise ValueError(f"the inputs must have one dtype, not {sorted(str(dtype) for dtype in found)}")
    return found.pop() if found else None


def like_first(node: Node, facts: Facts) -> tuple[Fact, ...]:
    """infer: the first output is like the first input."""
    first = given(facts, 0)
    return (Fact(first.dtype, first.shape),)


def exact(array: Array) -> Array:
    """Floats as float64; everything else as it is."""
    return array.astype(np.float64) if array.dtype.kind == "f" else array


def shape_of(fact: Fact | None, rank: int | None = None, what: str = "input") -> tuple[Size, ...] | None:
    """A fact's shape; with a rank, that many axes: unknown sizes where nothing is known, else ValueError."""
    if fact is None or fact.shape is None:
        return None if rank is None else (None,) * rank
    if rank is not None and len(fact.shape) != rank:
        raise ValueError(f"{what} must have {rank} axes, not shape {described_shape(fact.shape)}")
    return fact.shape


def must_fit(size: Size, wanted: Size, what: str) -> None:
    """ValueError where two sizes that must be equal are certainly not."""
    if isinstance(size, int) and isinstance(wanted, int) and size != wanted:
        raise ValueError(f"{what} must have size {wanted}, not {size}")


__all__ += ["must_fit", "shape_of", "Shape"]
