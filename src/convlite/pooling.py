"""Pooling of images (N,H,W,C) and sequences (N,W,C), over windows and as a whole, in the compiled core."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _dispatch, _kernels, _threads
from ._options import public
from ._types import Pads
from .arguments import (
    Padding,
    Pair,
    as_flag,
    as_operand,
    as_padding,
    as_padding_1d,
    as_pair,
    as_single,
    as_size,
    check_out,
    check_taps,
    new_output,
    shown,
)
from .geometry import conv_axis

__all__ = [
    "max_pool2d", "avg_pool2d", "global_max_pool2d", "global_avg_pool2d", "adaptive_max_pool2d",
    "adaptive_avg_pool2d", "max_pool1d", "avg_pool1d", "global_max_pool1d", "global_avg_pool1d",
]  # fmt: skip

Array = NDArray[Any]
_AXES = ("height", "width")
_REDUCE = _kernels.reduce_codes()


class _Windows(NamedTuple):
    """What the core takes for one axis: output i reads first + i*step + t*dilation, t < kernel, where inside.

    Places from `limit` on are neither image nor padding. A step of 0 is adaptive.
    """

    first: int
    step: int
    dilation: int
    kernel: int
    in_size: int
    out_size: int
    limit: int


@public
def max_pool2d(
    x: ArrayLike,
    pool_size: int | tuple[int, int] = 2,
    *,
    strides: int | tuple[int, int] | None = None,
    padding: Pads = "valid",
    dilations: int | tuple[int, int] = 1,
    ceil_mode: bool = False,
    out: Array | None = None,
) -> Array:
    """Take the largest element of each window of images, channel by channel.

    Padding is never the largest element. A window that holds a NaN gives NaN, as in np.max. A window that is
    larger than the padded x is refused, as in Keras and PyTorch.

    x, pool_size, strides, padding, dilations, ceil_mode, out -> (N, Ho, Wo, C) : shared, pool

    Examples
    --------
    >>> import numpy as np, convlite as cl
    >>> cl.max_pool2d(np.arange(9.0).reshape(1, 3, 3, 1), 2, strides=1)[0, :, :, 0]
    array([[4., 5.],
           [7., 8.]])
    >>> cl.max_pool2d(np.arange(5.0).reshape(1, 1, 5, 1), (1, 2), ceil_mode=True).ravel()
    array([1., 3., 4.])
    """
    image = as_operand(x, "x", ndim=4)
    axes = window_axes(image.shape[1:3], pool_size, strides, padding, dilations, ceil_mode)
    result = check_out(out, _shape(image, axes), image.dtype, [x, image])
    pool_windows(image, axes, result, largest=True)
    return result


@public
def avg_pool2d(
    x: ArrayLike,
    pool_size: int | tuple[int, int] = 2,
    *,
    strides: int | tuple[int, int] | None = None,
    padding: Pads = "valid",
    count_include_pad: bool = False,
    dilations: int | tuple[int, int] = 1,
    ceil_mode: bool = False,
    out: Array | None = None,
) -> Array:
    """Take the mean of each window of images, channel by channel.

    The sum is divided by the number of elements inside of the image, as in TensorFlow and Keras, unless
    count_include_pad is True. A window that is larger than the padded x is refused, as in Keras and
    PyTorch.

    x, pool_size, strides, padding, count_include_pad, dilations, ceil_mode,
    out -> (N, Ho, Wo, C) : shared, pool

    Examples
    --------
    >>> import numpy as np, convlite as cl
    >>> cl.avg_pool2d(np.arange(4.0).reshape(1, 2, 2, 1), 2, strides=1, padding="same")[0, :, :, 0]
    array([[1.5, 2. ],
           [2.5, 3. ]])
    >>> x = np.arange(1.0, 6.0).reshape(1, 1, 5, 1)
    >>> cl.avg_pool2d(x, (1, 2), ceil_mode=True, count_include_pad=True).ravel()
    array([1.5, 3.5, 5. ])
    """
    image = as_operand(x, "x", ndim=4)
    count = as_flag(count_include_pad, "count_include_pad")
    axes = window_axes(image.shape[1:3], pool_size, strides, padding, dilations, ceil_mode)
    result = check_out(out, _shape(image, axes), image.dtype, [x, image])
    pool_windows(image, axes, result, count_padding=count)
    return result


@public
def global_max_pool2d(x: ArrayLike, *, keepdims: bool = False) -> Array:
    """Take the largest element of each channel over an image.

    x, keepdims -> (N, C), or (N, 1, 1, C) with keepdims : shared, images

    Examples
    --------
    >>> import numpy as np, convlite as cl
    >>> cl.global_max_pool2d(np.arange(8.0).reshape(1, 2, 2, 2))
    array([[6., 7.]])
    """
    return _over_images(x, "max", keepdims)


@public
def global_avg_pool2d(x: ArrayLike, *, keepdims: bool = False) -> Array:
    """Take the mean of each channel over an image; the sum is in float64.

    x, keepdims -> (N, C), or (N, 1, 1, C) with keepdims : shared, images

    Examples
    --------
    >>> import numpy as np, convlite as cl
    >>> cl.global_avg_pool2d(np.arange(8.0).reshape(1, 2, 2, 2))
    array([[3., 4.]])
    """
    return _over_images(x, "mean", keepdims)


def _over_images(x: ArrayLike, what: str, keepdims: bool) -> Array:
    image, keep = _with_pixels(x), as_flag(keepdims, "keepdims")
    images, _, _, channels = image.shape
    result = new_output((images, 1, 1, channels) if keep else (images, channels), image.dtype)
    _reduce(image, result, what)
    return result


def _reduce(image: Array, out: Array, what: str, script: Any = None) -> None:
    """Each image's mean or largest number per channel, now or as a step of a script; out is contiguous."""
    images, height, width, channels = image.shape
    threads = _threads.threads_for(0.06 * image.size)
    pixels = image.reshape(images, height * width, channels)
    _kernels.reduce(_dispatch.active_isa(), _REDUCE[what], pixels, out, threads, script)


@public
def adaptive_max_pool2d(x: ArrayLike, output_size: int | Sequence[int | None]) -> Array:
    """Take the largest element of each of Ho x Wo windows that cover the image.

    Window i of an axis goes from floor(i * n / m) to ceil((i + 1) * n / m), with n elements in and m out:
    PyTorch's and Keras's rule.

    x, output_size -> (N, Ho, Wo, C) : shared, pool

    Examples
    --------
    >>> import numpy as np, convlite as cl
    >>> cl.adaptive_max_pool2d(np.arange(5.0).reshape(1, 1, 5, 1), (1, 2)).ravel()
    array([2., 4.])
    """
    image = as_operand(x, "x", ndim=4)
    axes = _adaptive_axes(image.shape, output_size)
    result = new_output(_shape(image, axes), image.dtype)
    pool_windows(image, axes, result, largest=True)
    return result


@public
def adaptive_avg_pool2d(x: ArrayLike, output_size: int | Sequence[int | None]) -> Array:
    """Take the mean of each of Ho x Wo windows that cover the image.

    Window i of an axis goes from floor(i * n / m) to ceil((i + 1) * n / m), with n elements in and m out:
    PyTorch's and Keras's rule. A single window is global_avg_pool2d.

    x, output_size -> (N, Ho, Wo, C) : shared, pool

    Examples
    --------
    >>> import numpy as np, convlite as cl
    >>> cl.adaptive_avg_pool2d(np.arange(5.0).reshape(1, 1, 5, 1), (1, 2)).ravel()
    array([1., 3.])
    """
    image = as_operand(x, "x", ndim=4)
    axes = _adaptive_axes(image.shape, output_size)
    if (axes[0].out_size, axes[1].out_size) == (1, 1):
        return global_avg_pool2d(image, keepdims=True)
    result = new_output(_shape(image, axes), image.dtype)
    pool_windows(image, axes, result)
    return result


@public
def max_pool1d(
    x: ArrayLike,
    pool_size: int = 2,
    *,
    strides: int | None = None,
    padding: Pads = "valid",
    dilations: int = 1,
    ceil_mode: bool = False,
    out: Array | None = None,
) -> Array:
    """Take the largest element of each window of sequences: max_pool2d's rules on one axis.

    x, pool_size, strides, padding, dilations, ceil_mode, out -> (N, Wo, C) : shared, pool1d

    Examples
    --------
    >>> import numpy as np, convlite as cl
    >>> cl.max_pool1d(np.arange(4.0).reshape(1, 4, 1)).ravel()
    array([1., 3.])
    """
    row = as_operand(x, "x", ndim=3)
    axes = _axes_1d(row.shape[1], pool_size, strides, padding, dilations, ceil_mode)
    result = check_out(out, (len(row), axes[1].out_size, row.shape[2]), row.dtype, [x, row])
    pool_windows(row[:, None], axes, result[:, None], largest=True)
    return result


@public
def avg_pool1d(
    x: ArrayLike,
    pool_size: int = 2,
    *,
    strides: int | None = None,
    padding: Pads = "valid",
    count_include_pad: bool = False,
    dilations: int = 1,
    ceil_mode: bool = False,
    out: Array | None = None,
) -> Array:
    """Take the mean of each window of sequences: avg_pool2d's rules on one axis.

    x, pool_size, strides, padding, count_include_pad, dilations, ceil_mode,
    out -> (N, Wo, C) : shared, pool1d

    Examples
    --------
    >>> import numpy as np, convlite as cl
    >>> cl.avg_pool1d(np.arange(4.0).reshape(1, 4, 1)).ravel()
    array([0.5, 2.5])
    """
    row = as_operand(x, "x", ndim=3)
    count = as_flag(count_include_pad, "count_include_pad")
    axes = _axes_1d(row.shape[1], pool_size, strides, padding, dilations, ceil_mode)
    result = check_out(out, (len(row), axes[1].out_size, row.shape[2]), row.dtype, [x, row])
    pool_windows(row[:, None], axes, result[:, None], count_padding=count)
    return result


@public
def global_max_pool1d(x: ArrayLike, *, keepdims: bool = False) -> Array:
    """Take the largest element of each channel over a sequence.

    x, keepdims -> (N, C), or (N, 1, C) with keepdims : shared, sequences

    Examples
    --------
    >>> import numpy as np, convlite as cl
    >>> cl.global_max_pool1d(np.arange(8.0).reshape(1, 4, 2))
    array([[6., 7.]])
    """
    row, keep = as_operand(x, "x", ndim=3), as_flag(keepdims, "keepdims")
    largest = global_max_pool2d(row[:, None])
    return largest[:, None] if keep else largest


@public
def global_avg_pool1d(x: ArrayLike, *, keepdims: bool = False) -> Array:
    """Take the mean of each channel over a sequence; the sum is in float64.

    x, keepdims -> (N, C), or (N, 1, C) with keepdims : shared, sequences

    Examples
    --------
    >>> import numpy as np, convlite as cl
    >>> cl.global_avg_pool1d(np.arange(8.0).reshape(1, 4, 2))
    array([[3., 4.]])
    """
    row, keep = as_operand(x, "x", ndim=3), as_flag(keepdims, "keepdims")
    mean = global_avg_pool2d(row[:, None])
    return mean[:, None] if keep else mean


def pooled_sizes(
    sizes: Sequence[int], pool_size: Any, strides: Any, padding: Any, dilations: Any, ceil_mode: bool
) -> tuple[int, ...]:
    """The output's height and width, or its width, for the input's: the rule of max_pool2d and max_pool1d.

    >>> pooled_sizes((28, 27), 2, None, "valid", 1, True), pooled_sizes((27,), 2, None, "valid", 1, False)
    ((14, 14), (13,))
    """
    if len(sizes) == 1:
        return (_axes_1d(sizes[0], pool_size, strides, padding, dilations, ceil_mode)[1].out_size,)
    return tuple(
        axis.out_size for axis in window_axes(sizes, pool_size, strides, padding, dilations, ceil_mode)
    )


def as_output_size(value: Any) -> tuple[int | None, int | None]:
    """(h, w) of an adaptive pool, None where the input's size is kept.

    >>> as_output_size(7), as_output_size((None, 1))
    ((7, 7), (None, 1))
    """
    if value is not None and hasattr(value, "__index__"):
        return (as_size(value, "output_size"),) * 2
    if isinstance(value, (str, bytes)) or not isinstance(value, (Sequence, np.ndarray)) or len(value) != 2:
        raise ValueError(f"output_size must be an int or (h, w), with None for x's size; got {shown(value)}")
    height, width = (None if size is None else as_size(size, "output_size") for size in value)
    return height, width


def _with_pixels(x: ArrayLike) -> Array:
    """Return x as images; images without pixels are refused."""
    image = as_operand(x, "x", ndim=4)
    if not image.size and 0 in image.shape[1:3]:
        raise ValueError(f"x must have pixels to pool; got shape {image.shape}, images without any")
    return image


def window_axes(
    sizes: Sequence[int], pool_size: Any, strides: Any, padding: Any, dilations: Any, ceil_mode: Any
) -> tuple[_Windows, _Windows]:
    """The windows along both axes, in the form that the core takes."""
    given = (sizes, pool_size, strides, padding, dilations)
    if type(ceil_mode) is bool and all(map(_is_plain, given)):
        return _known_axes(*given, ceil_mode)
    return _axes_of(*given, ceil_mode)


def _is_plain(value: Any) -> bool:
    """Whether a value is safe as a cache key; other types are not, since 2 == 2.0 and 1 == True."""
    kind = type(value)
    return kind is int or kind is str or value is None or (kind is tuple and all(map(_is_plain, value)))


def _axes_of(
    sizes: Sequence[int], pool_size: Any, strides: Any, padding: Any, dilations: Any, ceil_mode: Any
) -> tuple[_Windows, _Windows]:
    window = as_pair(pool_size, "pool_size")
    step = window if strides is None else as_pair(strides, "strides")
    return _windows(sizes, window, step, as_pair(dilations, "dilations"), as_padding(padding), ceil_mode)


_known_axes = lru_cache(256)(_axes_of)  # they took most of a small pool's time


def _axes_1d(
    size: int, pool_size: Any, strides: Any, padding: Any, dilations: Any, ceil_mode: Any
) -> tuple[_Windows, _Windows]:
    window = as_single(pool_size, "pool_size")
    step = window if strides is None else as_single(strides, "strides")
    dilation = as_single(dilations, "dilations")
    return _windows((1, size), (1, window), (1, step), (1, dilation), as_padding_1d(padding), ceil_mode)


def _windows(
    sizes: Sequence[int], window: Pair, step: Pair, dilation: Pair, pads: Padding, ceil_mode: Any
) -> tuple[_Windows, _Windows]:
    check_taps(*window, "pool_size")
    ceil = as_flag(ceil_mode, "ceil_mode")
    axes = []
    for a, name in enumerate(_AXES):
        pad = pads if isinstance(pads, str) else pads[a]
        extent = (window[a] - 1) * dilation[a] + 1
        if not isinstance(pad, str) and max(pad) >= extent:
            raise ValueError(
                f"padding {pad} along {name} must be smaller than the window's {extent} elements there: "
                "a window that lies in the padding has nothing to pool"
            )
        padded = sizes[a] + (0 if isinstance(pad, str) else sum(pad))
        limit = None
        if pad not in ("same", "same_lower"):
            before, after = (0, 0) if isinstance(pad, str) else pad
            beyond = 0
            if ceil and extent - padded <= step[a]:
                limit, beyond = sizes[a] + after, _beyond(sizes[a], before, padded, extent, step[a])
            if extent - padded - beyond > (0 if sizes[a] else step[a]):
                raise ValueError(
                    f"pool_size covers {extent} elements along {name} but x has {padded} there, padding "
                    "included: there is no output; give a larger x or a smaller window, or write "
                    'padding="same"'
                )
            pad = before, after + beyond
        axis = conv_axis(sizes[a], window[a], step[a], dilation[a], pad, name)
        first = axis.phases[0].offsets[0]
        if limit is None:
            limit = first + max(axis.out_size - 1, 0) * step[a] + extent
        found = _Windows(first, step[a], dilation[a], window[a], sizes[a], axis.out_size, limit)
        _check_windows(found, name)
        axes.append(found)
    return axes[0], axes[1]


def _beyond(size: int, before: int, padded: int, extent: int, step: int) -> int:
    """How far the last window of ceil_mode reaches beyond the padding."""
    outputs = -(-(padded - extent) // step) + 1
    if (outputs - 1) * step >= size + before:  # it would begin in the padding behind the image
        outputs -= 1
    return max((outputs - 1) * step + extent - padded, 0) if outputs > 0 else 0


def _check_windows(axis: _Windows, name: str) -> None:
    """Refuse a dilated window that has no element inside of the image."""
    if axis.dilation == 1 or axis.in_size == 0:
        return
    for i in range(min(axis.out_size, -(-max(-axis.first, 0) // axis.step))):  # those that begin before it
        at = axis.first + i * axis.step
        skipped = -(at // axis.dilation)
        if skipped >= axis.kernel or at + skipped * axis.dilation >= axis.in_size:
            raise ValueError(
                f"the window of output {i} along {name} has no element inside of x: {axis.kernel} elements "
                f"{axis.dilation} apart, from {at} on, and x has {axis.in_size}; use a smaller padding"
            )


def _adaptive_axes(shape: tuple[int, ...], output_size: Any) -> tuple[_Windows, _Windows]:
    wanted = as_output_size(output_size)
    if 0 in shape[1:3]:
        raise ValueError(f"x of shape {shape} has images without pixels: there is nothing to pool")
    rows, columns = (
        _Windows(0, 0, 1, -(-n // (m or n)), n, m or n, n) for n, m in zip(shape[1:3], wanted, strict=True)
    )
    return rows, columns


def _is_whole(axis: _Windows) -> bool:
    """Whether there is one window, and it is the whole image."""
    if axis.step == 0:
        return axis.out_size == 1
    window = (axis.first, axis.dilation, axis.kernel, axis.out_size, axis.limit)
    return window == (0, 1, axis.in_size, 1, axis.in_size)


def _shape(image: Array, axes: tuple[_Windows, _Windows]) -> tuple[int, int, int, int]:
    return image.shape[0], axes[0].out_size, axes[1].out_size, image.shape[3]


def is_whole_mean(axes: tuple[Any, Any], largest: bool) -> bool:
    """Whether a pool is each image's mean, which `_reduce` computes."""
    return not largest and all(_is_whole(axis) for axis in axes)


def pool_windows(
    image: Array,
    axes: tuple[_Windows, _Windows],
    out: Array,
    *,
    largest: bool = False,
    count_padding: bool = False,
    into: Any = None,
) -> None:
    """Pool an image into out, or add this step to a script of the core."""
    if out.size == 0:
        return
    rows, columns = axes
    if is_whole_mean(axes, largest):
        _reduce(image, out, "mean", script=into)  # the same bits as global_avg_pool2d
        return
    # about 0.1 ns for each element that comes from memory, 0.02 for each tap
    threads = _threads.threads_for(0.1 * image.size + 0.02 * out.size * rows.kernel * columns.kernel)
    sizes = (image.shape[0], image.shape[3])
    isa = _dispatch.active_isa()
    _kernels.pool(
        isa, image.itemsize, image, out, *sizes, rows, columns, largest, count_padding, threads, into
    )
