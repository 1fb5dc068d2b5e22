"""Shapes of layers: they include the batch axis, and an unknown size is None."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

__all__ = ["TOO_SMALL", "Shape", "as_dimension", "check_pixels", "keep_unknown", "product", "snake_case"]

Shape = tuple[int | None, ...]

TOO_SMALL = 'give it a larger image, a smaller window, or padding="same"'
_STAND_IN = 1 << 16  # for an unknown size: larger than any kernel, small enough for products of sizes


def keep_unknown(shape: Shape, rule: Callable[[tuple[int, ...]], Sequence[int]]) -> Shape:
    """Return `rule(shape)`, with None on each axis whose size is unknown in `shape`.

    >>> keep_unknown((None, None, 8), lambda shape: [size // 2 for size in shape])
    (None, None, 4)
    """
    known = tuple(_STAND_IN if size is None else size for size in shape)
    return tuple(None if size is None else new for size, new in zip(shape, rule(known), strict=True))


def product(sizes: Sequence[int | None]) -> int | None:
    """The product of sizes, or None if one of them is unknown.

    >>> product((2, 3)), product((2, None))
    (6, None)
    """
    total = 1
    for size in sizes:
        if size is None:
            return None
        total *= size
    return total


def check_pixels(name: str, given: Shape, result: Shape, why: str) -> Shape:
    """Return `result`, a layer's output shape for the shape `given`. ValueError if either has no pixels.

    >>> check_pixels("conv2d", (None, 5, 5, 1), (None, 3, 3, 8), "")
    (None, 3, 3, 8)
    """
    if 0 in given[1:-1]:
        raise ValueError(
            f"{name} has no pixel to work on in the shape {given}: give the model a larger image"
        )
    if 0 in result[1:-1]:
        raise ValueError(f"{name} would give {result} for the shape {given}, which is nothing: {why}")
    return result


def as_dimension(size: Any) -> int:
    if isinstance(size, (bool, np.bool_)):
        raise TypeError
    return operator.index(size)


def snake_case(name: str) -> str:
    """Keras's default name of a class: Conv2DTranspose -> conv2d_transpose, LeakyReLU -> leaky_re_lu."""
    return re.sub(r"(?<!^)(?=[A-Z][a-z0-9])|(?<=[a-z])(?=[A-Z])", "_", name).lower()
