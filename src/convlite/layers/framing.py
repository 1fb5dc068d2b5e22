"""The padding modes of convolution layers that the operations themselves do not have."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy.typing as npt

from .. import images, ops
from ..arguments import as_operand
from .base import Array

__all__ = ["frame", "framed", "per_group"]


def framed(
    run: Callable[[npt.ArrayLike], Array], framing: tuple[Any, ...], mode: str, x: npt.ArrayLike
) -> Array:
    """Pad x in a mode other than "zeros", then convolve."""
    array = as_operand(x, "x", ndim=2 + len(framing[1]))
    return run(images.pad_axes(array, frame(framing, array.shape[1:-1]), mode))


def frame(framing: tuple[Any, ...], sizes: Sequence[int]) -> Sequence[tuple[int, int]]:
    """Return the numbers of pixels that a layer's padding adds before and after each axis of an image.

    >>> frame(("same", (3, 3), (2, 2), (1, 1)), (8, 7)), frame(((2, 0), (3,), (1,), (1,)), (7,))
    (((0, 1), (1, 1)), ((2, 0),))
    """
    padding, kernel_size, strides, dilations = framing
    if not isinstance(padding, str):
        return padding if len(kernel_size) == 2 else (padding,)
    if padding == "valid":
        return ((0, 0),) * len(kernel_size)
    ones = (1,) * (2 - len(kernel_size))
    steps = {"strides": (*ones, *strides), "dilations": (*ones, *dilations)}
    frame = ops.same_padding((*ones, *sizes), (*ones, *kernel_size), **steps)[len(ones) :]
    return frame if padding == "same" else tuple((after, before) for before, after in frame)


def per_group(channels: int, groups: int, what: str) -> int:
    if channels % groups:
        raise ValueError(
            f"groups must divide the number of {what}; got groups={groups} and {channels} {what}"
        )
    return channels // groups
