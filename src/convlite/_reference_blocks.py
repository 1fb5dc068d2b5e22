"""The definitions of what moves pixels into channels and back: part of `convlite.reference`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._definitions import _MOST, _zeros
from ._options import documented_module
from .arguments import (
    as_operand,
    as_padding,
    as_pair,
    as_size,
    check_taps,
    is_one_of,
    shown,
)

__all__ = ["channel_shuffle", "depth_to_space", "extract_patches", "space_to_depth"]

Array = NDArray[Any]


def depth_to_space(x: ArrayLike, block_size: int, *, mode: str = "DCR") -> Array:
    """Define convlite.depth_to_space: pixel (y, x) comes from channel (y % b, x % b, c) or (c, ...).

    x, block_size, mode -> (N, H*b, W*b, C/(b*b)) : shared, blocks

    Examples
    --------
    >>> depth_to_space(np.arange(4.0).reshape(1, 1, 1, 4), 2)[0, :, :, 0]
    array([[0., 1.],
           [2., 3.]])
    """
    image, b = as_operand(x, "x", ndim=4), _block(block_size, mode)
    n, height, width, channels = image.shape
    c = channels // (b * b)
    if c * b * b != channels:
        raise ValueError(f"block_size {b} squared must divide the {channels} channels of x")
    result = _zeros((n, height * b, width * b, c), image.dtype)
    for y, z, k in np.ndindex(*result.shape[1:] if result.size else (0, 0, 0)):
        result[:, y, z, k] = image[:, y // b, z // b, _channel(y % b, z % b, k, b, c, mode)]
    return result


def space_to_depth(x: ArrayLike, block_size: int, *, mode: str = "DCR") -> Array:
    """Define convlite.space_to_depth: the inverse of depth_to_space.

    x, block_size, mode -> (N, H/b, W/b, C*b*b) : shared, blocks

    Examples
    --------
    >>> space_to_depth(np.arange(4.0).reshape(1, 2, 2, 1), 2).ravel()
    array([0., 1., 2., 3.])
    """
    image, b = as_operand(x, "x", ndim=4), _block(block_size, mode)
    n, height, width, c = image.shape
    if height % b or width % b:
        raise ValueError(f"block_size {b} must divide the height and width of x; got {height} by {width}")
    result = _zeros((n, height // b, width // b, c * b * b), image.dtype)
    for y, z, k in np.ndindex(*image.shape[1:] if image.size else (0, 0, 0)):
        result[:, y // b, z // b, _channel(y % b, z % b, k, b, c, mode)] = image[:, y, z, k]
    return result


def _block(size: Any, mode: Any) -> int:
    if not is_one_of(mode, ("DCR", "CRD")):
        raise ValueError(f"mode must be 'DCR' or 'CRD'; got {shown(mode)}")
    return as_size(size, "block_size")


def _channel(row: int, column: int, k: int, b: int, channels: int, mode: str) -> int:
    return (row * b + column) * channels + k if mode == "DCR" else (k * b + row) * b + column


def channel_shuffle(x: ArrayLike, groups: int) -> Array:
    """Define convlite.channel_shuffle: channel g * (C // groups) + i goes to i * groups + g.

    x, groups -> of x's shape : shared, channels

    Examples
    --------
    >>> channel_shuffle(np.arange(4.0), 2)
    array([0., 2., 1., 3.])
    """
    values, count = as_operand(x, "x"), as_size(groups, "groups")
    if values.ndim == 0 or values.shape[-1] % count:
        raise ValueError(f"groups {count} must divide the channels of x; got shape {values.shape}")
    result, width = _zeros(values.shape, values.dtype), values.shape[-1] // count
    for g, i in np.ndindex(*(count, width) if values.size else (0, 0)):
        result[..., i * count + g] = values[..., g * width + i]
    return result


def extract_patches(
    x: ArrayLike,
    size: Any,
    *,
    strides: Any = None,
    padding: Any = "valid",
    dilations: Any = 1,
    order: str = "HWC",
) -> Array:
    """Define convlite.extract_patches: each tap of each window, zero in the padding.

    x, size, strides, padding, dilations, order -> (N, Ho, Wo, kh*kw*C) : shared, patches

    Examples
    --------
    >>> extract_patches(np.arange(4.0).reshape(1, 1, 4, 1), (1, 2))[0, 0]
    array([[0., 1.],
           [2., 3.]])
    """
    image, window = as_operand(x, "x", ndim=4), as_pair(size, "size")
    step = window if strides is None else as_pair(strides, "strides")
    spread, pads = as_pair(dilations, "dilations"), as_padding(padding)
    check_taps(*window, "size")
    if not is_one_of(order, ("HWC", "CHW")):
        raise ValueError(f"order must be 'HWC' or 'CHW'; got {shown(order)}")
    starts = []
    for a in (0, 1):
        n, extent = image.shape[1 + a], (window[a] - 1) * spread[a] + 1
        if pads in ("same", "same_lower"):
            outputs = -(-n // step[a])
            total = max((outputs - 1) * step[a] + extent - n, 0)
            before = total - total // 2 if pads == "same_lower" else total // 2
        else:
            before, after = (0, 0) if isinstance(pads, str) else pads[a]
            outputs = (n + before + after - extent) // step[a] + 1
            if outputs < 1 and n:
                raise ValueError(f"size {window} leaves no patch of x, which has {n} elements")
        if outputs > _MOST:
            raise MemoryError(f"x of shape {image.shape} is too large for convlite.reference")
        starts.append([i * step[a] - before for i in range(outputs)])
    shape = (len(image), len(starts[0]), len(starts[1]), *window, image.shape[3])
    result = _zeros(shape, image.dtype)
    for i, j, t, u in np.ndindex(*shape[1:5] if result.size else (0, 0, 0, 0)):
        y, z = starts[0][i] + t * spread[0], starts[1][j] + u * spread[1]
        if 0 <= y < image.shape[1] and 0 <= z < image.shape[2]:
            result[:, i, j, t, u] = image[:, y, z]
    if order == "CHW":
        result = result.transpose(0, 1, 2, 5, 3, 4)
    return result.reshape(*result.shape[:3], window[0] * window[1] * image.shape[3])


documented_module(globals())
