"""Shapes of layers: with the batch axis, None where a size is not known."""

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
    """`rule(shape)`, where an axis of unknown size stays unknown.

    >>> keep_unknown((None, None, 8), lambda shape: [size // 2 for size in shape])
    (None, None, 4)
    """
    known = tuple(_STAND_IN if size is None else size for size in shape)
    return tuple(None if size is None else new for size, new in zip(shape, rule(known), strict=True))


def product(sizes: Sequence[int | None]) -> int | None:
    """The product of sizes, None where one is unknown.

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
    """`result`, the shape that a layer makes of the shape `given`. ValueError where either has no pixel.

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
    """The default name that Keras gives: Conv2DTranspose -> conv2d_transpose, LeakyReLU -> leaky_re_lu."""
    return re.sub(r"(?<!^)(?=[A-Z][a-z0-9])|(?<=[a-z])(?=[A-Z])", "_", name).lower()
