"""Numbers moved between space and channels, unchanged: images (N,H,W,C) in, new images out."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import ArrayLike, NDArray

from ._options import public
from ._types import Pads
from .arguments import as_operand, as_padding, as_pair, as_size, check_taps, is_one_of, new_output, shown
from .geometry import conv_axis

__all__ = [
    "depth_to_space",
    "space_to_depth",
    "pixel_shuffle",
    "pixel_unshuffle",
    "channel_shuffle",
    "extract_patches",
]

Array = NDArray[Any]
Mode = Literal["DCR", "CRD"]


@public
def depth_to_space(x: ArrayLike, block_size: int, *, mode: Mode = "DCR") -> Array:
    """Spread the channels of each pixel over a block of pixels.

    x, block_size, mode -> (N, H*b, W*b, C/(b*b)) : shared, blocks

    Examples
    --------
    >>> import numpy as np, convlite as cl
    >>> cl.depth_to_space(np.arange(8.0).reshape(1, 1, 1, 8), 2)[0, :, :, 0]
    array([[0., 2.],
           [4., 6.]])
    >>> cl.depth_to_space(np.arange(8.0).reshape(1, 1, 1, 8), 2, mode="CRD")[0, :, :, 0]
    array([[0., 1.],
           [2., 3.]])
    """
    image = as_operand(x, "x", ndim=4)
    n, h, w, _ = image.shape
    b = as_size(block_size, "block_size")
    _check_mode(mode)
    c = divided(image.shape[3], b * b, f"block_size * block_size ({b * b}) must divide the channels of x")
    result = new_output((n, h * b, w * b, c), image.dtype)
    if mode == "DCR":
        moved = image.reshape(n, h, w, b, b, c).transpose(0, 1, 3, 2, 4, 5)
    else:
        moved = image.reshape(n, h, w, c, b, b).transpose(0, 1, 4, 2, 5, 3)
    result.reshape(n, h, b, w, b, c)[...] = moved
    return result


@public
def space_to_depth(x: ArrayLike, block_size: int, *, mode: Mode = "DCR") -> Array:
    """Gather blocks of pixels into channels: the inverse of depth_to_space.

    x, block_size, mode -> (N, H/b, W/b, C*b*b) : shared, blocks

    Examples
    --------
    >>> import numpy as np, convlite as cl
    >>> cl.space_to_depth(np.arange(4.0).reshape(1, 2, 2, 1), 2).ravel()
    array([0., 1., 2., 3.])
    """
    image = as_operand(x, "x", ndim=4)
    n, _, _, c = image.shape
    b = as_size(block_size, "block_size")
    _check_mode(mode)
    h, w = (
        divided(size, b, f"block_size {b} must divide the {name} of x")
        for size, name in zip(image.shape[1:3], ("height", "width"), strict=True)
    )
    result = new_output((n, h, w, c * b * b), image.dtype)
    blocks = image.reshape(n, h, b, w, b, c)
    if mode == "DCR":
        result.reshape(n, h, w, b, b, c)[...] = blocks.transpose(0, 1, 3, 2, 4, 5)
    else:
        result.reshape(n, h, w, c, b, b)[...] = blocks.transpose(0, 1, 3, 5, 2, 4)
    return result


@public
def pixel_shuffle(x: ArrayLike, upscale_factor: int) -> Array:
    """Spread channels over pixels in PyTorch's order: depth_to_space with mode="CRD".

    Source: Shi et al., "Real-time single image and video super-resolution", 2016, arXiv:1609.05158.

    Parameters
    ----------
    x : shared, images
    upscale_factor : int
        The side r of a block; r*r divides the channels.

    Returns
    -------
    ndarray, (N, H*r, W*r, C/(r*r))
        The rearranged images, in x's dtype.

    Raises
    ------
    errors : shared

    Examples
    --------
    >>> import numpy as np, convlite as cl
    >>> cl.pixel_shuffle(np.arange(4.0).reshape(1, 1, 1, 4), 2)[0, :, :, 0]
    array([[0., 1.],
           [2., 3.]])
    """
    return depth_to_space(x, as_size(upscale_factor, "upscale_factor"), mode="CRD")


@public
def pixel_unshuffle(x: ArrayLike, downscale_factor: int) -> Array:
    """Gather pixels into channels in PyTorch's order: space_to_depth with mode="CRD".

    Parameters
    ----------
    x : shared, images
    downscale_factor : int
        The side r of a block, which divides height and width.

    Returns
    -------
    ndarray, (N, H/r, W/r, C*r*r)
        The rearranged images, in x's dtype.

    Raises
    ------
    errors : shared

    Examples
    --------
    >>> import numpy as np, convlite as cl
    >>> cl.pixel_unshuffle(np.arange(4.0).reshape(1, 2, 2, 1), 2).ravel()
    array([0., 1., 2., 3.])
    """
    return space_to_depth(x, as_size(downscale_factor, "downscale_factor"), mode="CRD")


@public
def channel_shuffle(x: ArrayLike, groups: int) -> Array:
    """Reorder channels so that neighbours come from all groups.

    Channel g * (C // groups) + i goes to i * groups + g, as in PyTorch's ChannelShuffle.
    Source: Zhang et al., "ShuffleNet", 2017, arXiv:1707.01083.

    x, groups -> of x's shape : shared, channels

    Examples
    --------
    >>> import numpy as np, convlite as cl
    >>> cl.channel_shuffle(np.arange(6.0), 2)
    array([0., 3., 1., 4., 2., 5.])
    """
    values = as_operand(x, "x")
    if values.ndim == 0:
        raise ValueError("x must have a channel axis (..., C); got a scalar")
    count = as_size(groups, "groups")
    part = divided(values.shape[-1], count, f"groups {count} must divide the channels of x")
    result = new_output(values.shape, values.dtype)
    outer = values.shape[:-1]
    result.reshape(*outer, part, count)[...] = values.reshape(*outer, count, part).swapaxes(-1, -2)
    return result


@public
def extract_patches(
    x: ArrayLike,
    size: int | tuple[int, int],
    *,
    strides: int | tuple[int, int] | None = None,
    padding: Pads = "valid",
    dilations: int | tuple[int, int] = 1,
    order: Literal["HWC", "CHW"] = "HWC",
) -> Array:
    """Lay out the window of each place as channels (im2col).

    x, size, strides, padding, dilations, order -> (N, Ho, Wo, kh*kw*C) : shared, patches

    Examples
    --------
    >>> import numpy as np, convlite as cl
    >>> cl.extract_patches(np.arange(4.0).reshape(1, 1, 4, 1), (1, 2))[0, 0]
    array([[0., 1.],
           [2., 3.]])
    """
    image = as_operand(x, "x", ndim=4)
    window = as_pair(size, "size")
    check_taps(*window, "size")
    step = window if strides is None else as_pair(strides, "strides")
    dilation, pads = as_pair(dilations, "dilations"), as_padding(padding)
    if not is_one_of(order, ("HWC", "CHW")):
        raise ValueError(f"order must be 'HWC' or 'CHW'; got {shown(order)}")
    rows, columns = (
        conv_axis(
            image.shape[1 + a],
            window[a],
            step[a],
            dilation[a],
            pads if isinstance(pads, str) else pads[a],
            name,
            "size",
        )
        for a, name in enumerate(("height", "width"))
    )
    n, h, w, c = image.shape
    result = new_output((n, rows.out_size, columns.out_size, window[0] * window[1] * c), image.dtype)
    if result.size == 0:
        return result
    if any((*rows.pads, *columns.pads)):
        framed = np.zeros((n, h + sum(rows.pads), w + sum(columns.pads), c), image.dtype)
        framed[:, rows.pads[0] : rows.pads[0] + h, columns.pads[0] : columns.pads[0] + w] = image
        image = framed
    sn, sh, sw, sc = image.strides
    patches = as_strided(
        image,
        (n, rows.out_size, columns.out_size, *window, c),
        (sn, sh * step[0], sw * step[1], sh * dilation[0], sw * dilation[1], sc),
        writeable=False,
    )
    if order == "CHW":
        patches = patches.transpose(0, 1, 2, 5, 3, 4)
    result.reshape(patches.shape)[...] = patches
    return result


def divided(size: int, by: int, rule: str) -> int:
    """size // by, or a ValueError with the rule that by divides it.

    >>> divided(12, 4, "")
    3
    """
    if size % by:
        raise ValueError(f"{rule}; got {size}")
    return size // by


def _check_mode(mode: Any) -> None:
    if not is_one_of(mode, ("DCR", "CRD")):
        raise ValueError(
            f"mode must be 'DCR' (TensorFlow, Keras, ONNX's default) or 'CRD' (PyTorch); got {shown(mode)}"
        )
