"""Resizing and padding of images (N, H, W, C) and sequences (N, W, C), one axis after the other."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._image_arguments import (
    Coordinates,
    Method,
    NearestMode,
    Policy,
    as_method,
    as_mode,
    as_roi,
    as_scales,
    check_depth,
    resize_options,
    target_sizes,
)
from ._options import public
from ._types import Mode
from .arguments import (
    Pair,
    as_operand,
    as_padding,
    as_padding_1d,
    as_pair,
    as_real,
    as_single,
    new_output,
    shown,
)
from .resampling import Table, axis_table, resample

__all__ = ["resize2d", "resize1d", "upsample2d", "pad2d", "pad1d"]

Array = NDArray[Any]


@public
def resize2d(
    x: ArrayLike,
    size: int | tuple[int, int] | None = None,
    *,
    method: Method = "bilinear",
    coordinates: Coordinates = "half_pixel",
    scales: float | tuple[float, float] | None = None,
    nearest_mode: NearestMode | None = None,
    cubic_a: float | None = None,
    antialias: bool = False,
    exclude_outside: bool = True,
    roi: Sequence[float] | None = None,
    extrapolation_value: float = 0.0,
    keep_aspect_ratio: Policy = "stretch",
) -> Array:
    """Resize images; the defaults are tf.image.resize's.

    With n input and m output pixels on an axis and r = m/n, output i stands at the input coordinate

        half_pixel           (i + 1/2) / r - 1/2  TensorFlow 2, ONNX; PyTorch's align_corners=False
        asymmetric           i / r                TensorFlow 1's default; PyTorch's "nearest"
        align_corners        i * (n-1)/(m-1)      tf.compat.v1.image and PyTorch with align_corners=True

    and, for ONNX, at those of "pytorch_half_pixel", "half_pixel_symmetric", "tf_half_pixel_for_nn" and
    "tf_crop_and_resize", which cuts out roi and writes extrapolation_value where that leads outside.

    "bilinear" blends 2 pixels along each axis, "bicubic" 4, "lanczos3" and "lanczos5" 6 and 10.
    antialias=True widens the blend by 1/r where an image shrinks: PIL's resize, TensorFlow's and PyTorch's
    antialias=True (all with cubic_a=-0.5); ONNX's has cubic_a=-0.75 and exclude_outside=False. "area" is
    the mean over the rectangle that an output covers, cut pixels counted in part (TensorFlow),
    "adaptive_average" that over all pixels it touches, counted alike (PyTorch's "area"). "nearest" takes
    the closest pixel, of two the later one, but asymmetric coordinates are rounded down: TensorFlow;
    PyTorch's "nearest" (asymmetric) and "nearest-exact" (half_pixel).

    Places and weights are exact, or float64, and rounded to x's dtype once; TensorFlow's are float32, and
    its bicubic places without antialias multiples of 1/1024. Only "nearest" places float32 pixels in
    float32, to take the very pixels of the frameworks. Images of bytes are refused, as all integers are:
    write x.astype(np.float32), and after PyTorch's or PIL's example np.clip(np.rint(y), 0,
    255).astype(np.uint8).

    x, size, method, coordinates, scales, nearest_mode, cubic_a, antialias, exclude_outside, roi,
    extrapolation_value, keep_aspect_ratio -> (N, h, w, C) : shared, resize

    Examples
    --------
    >>> import numpy as np, convlite as cl
    >>> x = np.array([[[[0.0], [4.0]]]])
    >>> cl.resize2d(x, (1, 4)).ravel()
    array([0., 1., 3., 4.])
    >>> cl.resize2d(x, (1, 3), coordinates="align_corners").ravel()
    array([0., 2., 4.])
    >>> cl.resize2d(x, (1, 3), method="nearest", nearest_mode="round_prefer_floor").ravel()
    array([0., 0., 4.])
    >>> cl.resize2d(x, scales=(1, 2), method="bicubic", cubic_a=-0.75, exclude_outside=False).ravel()
    array([-0.421875,  0.90625 ,  3.09375 ,  4.421875])
    """
    image = as_operand(x, "x", ndim=4)
    rest = (nearest_mode, cubic_a, scales, roi, antialias, exclude_outside, keep_aspect_ratio)
    if _is_usual(size, method, coordinates, extrapolation_value, rest) and image.size:
        tables = _plain_tables(image.shape[1:3], size, method, coordinates, image.itemsize)
        result = new_output((image.shape[0], *size, image.shape[3]), image.dtype)
        return resample(image, tables, extrapolation_value, result)
    options = resize_options(
        method, coordinates, nearest_mode, cubic_a, antialias, exclude_outside, extrapolation_value
    )
    sizes, ratios = target_sizes(
        image.shape[1:3],
        None if size is None else as_pair(size, "size"),
        None if scales is None else as_scales(scales, 2),
        keep_aspect_ratio,
    )
    return _resize(image, sizes, ratios, as_roi(roi, 2, coordinates), extrapolation_value, options)


def _is_usual(
    size: object, method: object, coordinates: object, outside: object, rest: tuple[object, ...]
) -> TypeGuard[Pair]:
    """Whether it is a plain call with a size, whose tables are kept: its checks take 10 us."""
    return (
        type(size) is tuple
        and [type(n) for n in size] == [int, int]
        and rest[0] is rest[1] is rest[2] is rest[3] is None
        and rest[4] is False
        and rest[5] is True
        and type(rest[6]) is str
        and rest[6] == "stretch"
        and type(outside) is float
        and isinstance(method, str)
        and isinstance(coordinates, str)
    )


@lru_cache(maxsize=64)
def _plain_tables(
    image: Pair, size: Pair, method: Method, coordinates: Coordinates, itemsize: int
) -> tuple[tuple[int, Table], tuple[int, Table]]:
    """The tables of rows and columns, where only method and coordinates are given."""
    options = resize_options(method, coordinates, None, None, False, True, 0.0)
    sizes, ratios = target_sizes(image, as_pair(size, "size"), None, "stretch")
    rows, columns = _tables(image, sizes, ratios, as_roi(None, 2, coordinates), itemsize, options)
    return rows, columns


@public
def resize1d(
    x: ArrayLike,
    size: int | None = None,
    *,
    method: Method = "bilinear",
    coordinates: Coordinates = "half_pixel",
    scales: float | None = None,
    nearest_mode: NearestMode | None = None,
    cubic_a: float | None = None,
    antialias: bool = False,
    exclude_outside: bool = True,
    roi: Sequence[float] | None = None,
    extrapolation_value: float = 0.0,
) -> Array:
    """Resize sequences: resize2d's rules on one axis.

    x, size, method, coordinates, scales, nearest_mode, cubic_a, antialias, exclude_outside, roi,
    extrapolation_value -> (N, w, C) : shared, resize1d

    Examples
    --------
    >>> import numpy as np, convlite as cl
    >>> cl.resize1d(np.array([[[0.0], [4.0]]]), 4, method="linear").ravel()
    array([0., 1., 3., 4.])
    """
    line = as_operand(x, "x", ndim=3)
    options = resize_options(
        method, coordinates, nearest_mode, cubic_a, antialias, exclude_outside, extrapolation_value
    )
    sizes, ratios = target_sizes(
        line.shape[1:2],
        None if size is None else (as_single(size, "size"),),
        None if scales is None else as_scales(scales, 1),
        "stretch",
    )
    return _resize(line, sizes, ratios, as_roi(roi, 1, coordinates), extrapolation_value, options)


@public
def upsample2d(
    x: ArrayLike,
    factors: int | tuple[int, int] = 2,
    *,
    method: Method = "nearest",
) -> Array:
    """Enlarge images by whole factors, as Keras's UpSampling2D.

    Parameters
    ----------
    x : shared, images
    factors : int or (fh, fw), default 2
        The factors of height and width.
    method : str, default "nearest"
        "nearest" repeats each pixel; the other methods are resize2d's, with its defaults.

    Returns
    -------
    ndarray, (N, H*fh, W*fw, C)
        The enlarged images, in x's dtype.

    Raises
    ------
    errors : shared

    Examples
    --------
    >>> import numpy as np, convlite as cl
    >>> cl.upsample2d(np.array([[[[1.0], [2.0]]]]), (1, 2)).ravel()
    array([1., 1., 2., 2.])
    """
    image = as_operand(x, "x", ndim=4)
    known = as_method(method)
    fh, fw = as_pair(factors, "factors")
    n, h, w, c = image.shape
    result = new_output((n, h * fh, w * fw, c), image.dtype)  # refused before the work starts
    if result.size == 0:
        return result
    del result
    if known == "nearest":
        return image.repeat(fh, axis=1).repeat(fw, axis=2)
    return resize2d(image, (image.shape[1] * fh, image.shape[2] * fw), method=method)


@public
def pad2d(x: ArrayLike, padding: Any, *, mode: Mode = "constant", value: float = 0.0) -> Array:
    """Put a frame around images.

    mode, in any case, with PyTorch's names in brackets:

        constant ("zeros")   writes `value`, 0: tf.pad, ZeroPadding2D
        reflect              mirrors without repeating the border pixel: tf.pad, PyTorch, ONNX
        symmetric            mirrors with the border pixel: tf.pad
        edge ("replicate")   repeats the border pixel: PyTorch, ONNX
        wrap ("circular")    goes on at the other side: PyTorch, ONNX

    x, padding, mode, value -> (N, H+top+bottom, W+left+right, C) : shared, frames

    Examples
    --------
    >>> import numpy as np, convlite as cl
    >>> x = np.array([[[[1.0], [2.0], [3.0]]]])
    >>> cl.pad2d(x, ((0, 0), (2, 1)), mode="reflect").ravel()
    array([3., 2., 1., 2., 3., 2.])
    >>> cl.pad2d(x, (0, 1), mode="circular").ravel()
    array([3., 1., 2., 3., 1.])
    """
    image = as_operand(x, "x", ndim=4)
    known = as_mode(mode)
    pads = as_padding(padding)
    if isinstance(pads, str):
        raise ValueError(
            "padding must be numbers for pad2d, such as 1 or ((top, bottom), (left, right)); "
            f"got {shown(padding)}"
        )
    return pad_axes(image, pads, known, value)


@public
def pad1d(x: ArrayLike, padding: Any, *, mode: Mode = "constant", value: float = 0.0) -> Array:
    """Lengthen sequences at both ends, in pad2d's modes.

    Parameters
    ----------
    x : shared, sequences
    padding : int or sequence of ints
        What is added: an int for both ends, (before, after) or TensorFlow's [[0,0], [before, after],
        [0,0]].
    mode : str, default "constant"
        How the ends are filled: pad2d lists the modes.
    value : float, default 0.0
        What "constant" writes.

    Returns
    -------
    ndarray, (N, before+W+after, C)
        The longer sequences, in x's dtype.

    Raises
    ------
    errors : shared

    Examples
    --------
    >>> import numpy as np, convlite as cl
    >>> cl.pad1d(np.array([[[1.0], [2.0], [3.0]]]), (2, 1), mode="symmetric").ravel()
    array([2., 1., 1., 2., 3., 3.])
    """
    line = as_operand(x, "x", ndim=3)
    known = as_mode(mode)
    pads = as_padding_1d(padding)
    if isinstance(pads, str):
        raise ValueError(
            f"padding must be numbers for pad1d, such as 1 or (before, after); got {shown(padding)}"
        )
    return pad_axes(line, pads[1:], known, value)


# ---- padding -----------------------------------------------------------------------------------------------


def pad_axes(x: Array, pads: Sequence[Pair], mode: str, value: float = 0.0) -> Array:
    """Pad the axes behind the first of x by (before, after) each; `mode` is one of MODES."""
    fill = as_real(value, "value")
    if mode != "constant" and fill != 0:
        raise ValueError(f"value is for mode='constant'; mode={mode!r} takes its numbers from x; got {fill}")
    check_depth(x.shape, pads, mode)
    middle = [n + sum(pair) for n, pair in zip(x.shape[1:-1], pads, strict=True)]
    result = new_output((x.shape[0], *middle, x.shape[-1]), x.dtype)  # refused before the work starts
    if result.size == 0:
        return result
    del result
    frame = ((0, 0), *pads, (0, 0))
    if mode == "constant":
        return np.pad(x, frame, mode="constant", constant_values=fill)
    padded: Array = np.pad(x, frame, mode=mode)  # type: ignore[call-overload]
    return padded


# ---- resizing ----------------------------------------------------------------------------------------------


def _resize(
    x: Array,
    sizes: tuple[int, ...],
    ratios: tuple[float | None, ...],
    rois: tuple[Any, ...],
    outside: float,
    options: dict[str, Any],
) -> Array:
    """Resize the axes behind the first: rows, then columns."""
    result = new_output((x.shape[0], *sizes, x.shape[-1]), x.dtype)  # refused before the work starts
    if 0 in x.shape[1:-1]:
        raise ValueError(
            f"x of shape {x.shape} has images without pixels, which cannot be resized to {sizes}"
        )
    if result.size == 0:
        return result
    tables = _tables(x.shape[1:-1], sizes, ratios, rois, x.itemsize, options)
    return resample(x, tables, outside, result)


def _tables(
    image: tuple[int, ...],
    sizes: tuple[int, ...],
    ratios: tuple[float | None, ...],
    rois: tuple[Any, ...],
    itemsize: int,
    options: dict[str, Any],
) -> list[tuple[int, Table]]:
    """The axes behind the first, with their tables."""
    kind = "float32" if itemsize == 4 else "float64"  # dtype.name is slow
    each = enumerate(zip(image, sizes, ratios, rois, strict=True), start=1)
    return [
        (axis, axis_table(n, m, scale=ratio, roi=roi, dtype=kind, **options))
        for axis, (n, m, ratio, roi) in each
    ]
