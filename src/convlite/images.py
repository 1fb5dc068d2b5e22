"""Resizing and padding of images (N, H, W, C), in NumPy: each axis by itself, no loop over pixels."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .arguments import as_operand, as_padding, as_pair, as_real, is_one_of, new_output, shown

__all__ = ["resize2d", "upsample2d", "pad2d"]

Array = NDArray[Any]
METHODS = ("nearest", "bilinear")
COORDINATES = ("half_pixel", "align_corners", "asymmetric")
MODES = ("constant", "reflect", "edge")


def resize2d(
    x: ArrayLike,
    size: int | tuple[int, int],
    *,
    method: Literal["nearest", "bilinear"] = "bilinear",
    coordinates: Literal["half_pixel", "align_corners", "asymmetric"] = "half_pixel",
) -> Array:
    """Resize every image of x (N,H,W,C) to size (h, w), an int for a square: -> (N,h,w,C), x's dtype.

    With n input and m output pixels on an axis, output i stands at the input coordinate:
        half_pixel     (i + 1/2) * n/m - 1/2   tf.image.resize; PyTorch's align_corners=False, "nearest-exact"
        align_corners  i * (n - 1)/(m - 1)     tf.compat.v1.image and PyTorch with align_corners=True
        asymmetric     i * n/m                 TensorFlow 1's default; PyTorch's "nearest"
    Bilinear blends the two neighbours of a coordinate, which is first moved inside of the image; nothing is
    smoothed when an image shrinks. Nearest rounds (i + 1/2) * n/m and i * n/m down;
    align_corners takes the closest pixel.
    Raises TypeError for a wrong dtype; ValueError for a wrong shape, size, method or coordinates, and for an
    image without pixels.

    Examples:
        >>> import numpy as np, convlite as cl
        >>> cl.resize2d(np.array([[[[0.0], [4.0]]]]), (1, 4)).ravel()
        array([0., 1., 3., 4.])
        >>> cl.resize2d(np.array([[[[0.0], [4.0]]]]), (1, 3), coordinates="align_corners").ravel()
        array([0., 2., 4.])
    """
    image = as_operand(x, "x", ndim=4)
    _check_choice(method, "method", METHODS)
    _check_choice(coordinates, "coordinates", COORDINATES)
    sizes = as_pair(size, "size")
    n, _, _, c = image.shape
    result = new_output((n, *sizes, c), image.dtype)  # refused before the work starts
    if 0 in image.shape[1:3]:
        raise ValueError(
            f"x of shape {image.shape} has images without pixels, which cannot be resized to {sizes}"
        )
    if result.size == 0:
        return result
    del result
    for axis, wanted in zip((1, 2), sizes, strict=True):
        if method == "nearest":
            image = image.take(_nearest(image.shape[axis], wanted, coordinates), axis)
        else:
            image = _blend(image, axis, wanted, coordinates)
    return np.ascontiguousarray(image)


def upsample2d(
    x: ArrayLike,
    factors: int | tuple[int, int] = 2,
    *,
    method: Literal["nearest", "bilinear"] = "nearest",
) -> Array:
    """Enlarge every image of x by whole factors (fh, fw): (N,H,W,C) -> (N,H*fh,W*fw,C), x's dtype.

    Each pixel repeated, or half-pixel bilinear as in resize2d: Keras's UpSampling2D.
    Raises TypeError for a wrong dtype, ValueError for a wrong shape, factor or method.

    Examples:
        >>> import numpy as np, convlite as cl
        >>> cl.upsample2d(np.array([[[[1.0], [2.0]]]]), (1, 2)).ravel()
        array([1., 1., 2., 2.])
    """
    image = as_operand(x, "x", ndim=4)
    _check_choice(method, "method", METHODS)
    fh, fw = as_pair(factors, "factors")
    n, h, w, c = image.shape
    result = new_output((n, h * fh, w * fw, c), image.dtype)  # refused before the work starts
    if result.size == 0:
        return result
    del result
    if method == "nearest":
        return image.repeat(fh, axis=1).repeat(fw, axis=2)
    return resize2d(image, (image.shape[1] * fh, image.shape[2] * fw), method=method)


def pad2d(
    x: ArrayLike,
    padding: Any,
    *,
    mode: Literal["constant", "reflect", "edge"] = "constant",
    value: float = 0.0,
) -> Array:
    """Put a frame around every image of x: (N,H,W,C) -> (N,H+top+bottom,W+left+right,C), x's dtype.

    padding: an int, (ph, pw), ((top, bottom), (left, right)) or TensorFlow's [[0,0], [t,b], [l,r], [0,0]].
    mode: "constant" writes `value` (tf.pad, ZeroPadding2D), "reflect" mirrors without repeating the border
    pixel (tf.pad, PyTorch), "edge" repeats it (PyTorch's "replicate").
    Raises TypeError for a wrong dtype; ValueError for a wrong shape, padding or mode, for a reflection
    as deep as the image, and for reflecting or repeating an image without pixels.

    Examples:
        >>> import numpy as np, convlite as cl
        >>> cl.pad2d(np.array([[[[1.0], [2.0], [3.0]]]]), ((0, 0), (2, 1)), mode="reflect").ravel()
        array([3., 2., 1., 2., 3., 2.])
    """
    image = as_operand(x, "x", ndim=4)
    _check_choice(mode, "mode", MODES)
    pads = as_padding(padding)
    if isinstance(pads, str):
        raise ValueError(
            "padding must be numbers for pad2d, such as 1 or ((top, bottom), (left, right)); "
            f"got {shown(padding)}"
        )
    fill = as_real(value, "value")
    if mode != "constant":
        _check_depth(image.shape, pads, mode)
    n, h, w, c = image.shape
    result = new_output((n, h + sum(pads[0]), w + sum(pads[1]), c), image.dtype)  # refused before the work
    if result.size == 0:
        return result
    del result
    frame = ((0, 0), *pads, (0, 0))
    if mode == "constant":
        return np.pad(image, frame, mode="constant", constant_values=fill)
    return np.pad(image, frame, mode=mode)


def _check_choice(value: Any, name: str, choices: tuple[str, ...]) -> None:
    if not is_one_of(value, choices):
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}; got {shown(value)}")


def _check_depth(shape: tuple[int, ...], pads: tuple[tuple[int, int], tuple[int, int]], mode: str) -> None:
    for axis, (before, after) in zip((1, 2), pads, strict=True):
        deepest = max(before, after)
        if mode == "reflect" and deepest > max(shape[axis] - 1, 0):
            raise ValueError(
                f"padding {before, after} along axis {axis} is too deep for mode='reflect': it mirrors "
                f"at most {max(shape[axis] - 1, 0)} of the {shape[axis]} pixels there; x has shape {shape}"
            )
        if deepest and shape[axis] == 0:
            raise ValueError(
                f"x of shape {shape} has no pixels along axis {axis} to repeat; use mode='constant'"
            )


def _coordinates(pixels: int, wanted: int, coordinates: str, dtype: Any) -> Array:
    """Where output pixels stand, before the half pixel is taken off, as TensorFlow rounds it: in `dtype`."""
    index: Array = np.arange(wanted, dtype=dtype)
    real = index.dtype.type
    if coordinates == "align_corners" and wanted > 1:
        index *= real(pixels - 1) / real(wanted - 1)
        return index
    if coordinates == "half_pixel":
        index += real(0.5)
    index *= real(pixels) / real(wanted)
    return index


def _nearest(pixels: int, wanted: int, coordinates: str) -> NDArray[np.intp]:
    # float32 whatever x's dtype: where a coordinate is close to a boundary, TensorFlow's and PyTorch's
    # rounding decides, and they compute it so.
    place = _coordinates(pixels, wanted, coordinates, np.float32)
    index = np.floor(place)
    if coordinates == "align_corners":
        index += place - index >= 0.5
    return np.minimum(index, pixels - 1).astype(np.intp)


def _blend(image: Array, axis: int, wanted: int, coordinates: str) -> Array:
    """One axis of the bilinear resize: image[lower] * (1 - weight) + image[upper] * weight."""
    pixels = image.shape[axis]
    place = _coordinates(pixels, wanted, coordinates, image.dtype)
    if coordinates == "half_pixel":
        place -= image.dtype.type(0.5)
    np.clip(place, 0, pixels - 1, out=place)
    lower = place.astype(np.intp)
    weight = place - lower.astype(place.dtype)
    result = image.take(lower, axis)
    between = np.flatnonzero(weight)
    if between.size == 0:
        return result
    weight = weight.reshape(-1, *[1] * (image.ndim - axis - 1))
    with np.errstate(invalid="ignore"):
        upper = image.take(np.minimum(lower + 1, pixels - 1), axis)
        upper *= weight
        result *= 1 - weight
        result += upper
    # A pixel met exactly is copied: as a neighbour with weight 0, an infinite one would make NaN.
    exact = (slice(None),) * axis + (np.flatnonzero(weight.ravel() == 0),)
    result[exact] = image.take(lower[exact[-1]], axis)
    return result
