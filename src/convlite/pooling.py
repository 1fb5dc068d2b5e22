"""Pooling over windows of an image (N,H,W,C) and over whole images: in the compiled core, largest numbers of
whole images in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _dispatch, _kernels, _threads, sums
from .arguments import FLOAT64, as_flag, as_operand, as_padding, as_pair, check_out, check_taps, new_output
from .geometry import Axis, conv_axis

__all__ = ["max_pool2d", "avg_pool2d", "global_max_pool2d", "global_avg_pool2d"]

Array = NDArray[Any]
Window = tuple[int, int, int, int, int, int]


def max_pool2d(
    x: ArrayLike,
    pool_size: int | tuple[int, int] = 2,
    *,
    strides: int | tuple[int, int] | None = None,
    padding: Any = "valid",
    dilations: int | tuple[int, int] = 1,
    out: Array | None = None,
) -> Array:
    """Take the largest element of each window of x, channel by channel: (N,H,W,C) -> (N,Ho,Wo,C), x's dtype.

    strides are pool_size by default. padding takes every form that conv2d takes and gives the same size; what
    is padded is never the largest. A NaN is, as in np.max.
    Raises TypeError for a wrong dtype, ValueError for a wrong shape, size, padding or out.

    Examples:
        >>> import numpy as np, convlite as cl
        >>> cl.max_pool2d(np.arange(9.0).reshape(1, 3, 3, 1), 2, strides=1)[0, :, :, 0]
        array([[4., 5.],
               [7., 8.]])
    """
    image = as_operand(x, "x", ndim=4)
    axes = _axes(image, pool_size, strides, dilations, padding)
    result = check_out(out, _shape(image, axes), image.dtype, [x, image])
    _pool(image, axes, result, largest=True)
    return result


def avg_pool2d(
    x: ArrayLike,
    pool_size: int | tuple[int, int] = 2,
    *,
    strides: int | tuple[int, int] | None = None,
    padding: Any = "valid",
    count_include_pad: bool = False,
    out: Array | None = None,
) -> Array:
    """Take the mean of each window of x, channel by channel: (N,H,W,C) -> (N,Ho,Wo,C), x's dtype.

    strides are pool_size by default; padding is as in conv2d. The sum is divided by the number of elements
    inside of the image, as TensorFlow and Keras do; count_include_pad=True counts padding too, PyTorch's
    default.
    Raises TypeError for a wrong dtype, ValueError for a wrong shape, size, padding or out.

    Examples:
        >>> import numpy as np, convlite as cl
        >>> cl.avg_pool2d(np.arange(4.0).reshape(1, 2, 2, 1), 2, strides=1, padding="same")[0, :, :, 0]
        array([[1.5, 2. ],
               [2.5, 3. ]])
    """
    image = as_operand(x, "x", ndim=4)
    count = as_flag(count_include_pad, "count_include_pad")
    axes = _axes(image, pool_size, strides, 1, padding)
    result = check_out(out, _shape(image, axes), image.dtype, [x, image])
    _pool(image, axes, result, count_padding=count)
    return result


def global_max_pool2d(x: ArrayLike, *, keepdims: bool = False) -> Array:
    """Take the largest element of each channel of x (N,H,W,C) -> (N,C), or (N,1,1,C) with keepdims.

    An image without pixels gives -inf. Raises TypeError for a wrong dtype, ValueError for a wrong shape.

    Examples:
        >>> import numpy as np, convlite as cl
        >>> cl.global_max_pool2d(np.arange(8.0).reshape(1, 2, 2, 2))
        array([[6., 7.]])
    """
    image, keep = as_operand(x, "x", ndim=4), as_flag(keepdims, "keepdims")
    new_output((image.shape[0], image.shape[3]), FLOAT64)  # refused before the work starts
    largest: Array = np.max(image, axis=(1, 2), keepdims=keep, initial=-np.inf)
    return largest


def global_avg_pool2d(x: ArrayLike, *, keepdims: bool = False) -> Array:
    """Take the mean of each channel of x (N,H,W,C), summed in float64 -> (N,C), or (N,1,1,C) with keepdims.

    An image without pixels gives NaN. Raises TypeError for a wrong dtype, ValueError for a wrong shape.

    Examples:
        >>> import numpy as np, convlite as cl
        >>> cl.global_avg_pool2d(np.arange(8.0).reshape(1, 2, 2, 2))
        array([[3., 4.]])
    """
    image, keep = as_operand(x, "x", ndim=4), as_flag(keepdims, "keepdims")
    new_output((image.shape[0], image.shape[3]), FLOAT64)  # refused before the work starts
    with np.errstate(all="ignore"):
        mean: Array = image.sum(axis=(1, 2), keepdims=keep, dtype=np.float64)
        mean /= np.float64(image.shape[1] * image.shape[2])
        return mean.astype(image.dtype)


def _axes(image: Array, pool_size: Any, strides: Any, dilations: Any, padding: Any) -> tuple[Axis, Axis]:
    window = as_pair(pool_size, "pool_size")
    check_taps(*window, "pool_size")
    step = window if strides is None else as_pair(strides, "strides")
    spread = as_pair(dilations, "dilations")
    pads = as_padding(padding)
    axes = []
    for a, name in enumerate(("height", "width")):
        pad = pads if isinstance(pads, str) else pads[a]
        extent = (window[a] - 1) * spread[a] + 1
        if not isinstance(pad, str) and max(pad) >= extent:
            raise ValueError(
                f"padding {pad} along {name} must be smaller than the window's {extent} elements there: "
                "a window that lies in the padding has nothing to pool"
            )
        padded = image.shape[1 + a] + (0 if isinstance(pad, str) else sum(pad))
        if pad not in ("same", "same_lower") and extent - padded > step[a]:
            raise ValueError(
                f"pool_size covers {extent} elements along {name} but x has {padded} there, with padding; "
                f"a stride of {step[a]} leaves no output: use a smaller window or padding='same'"
            )
        axes.append(conv_axis(image.shape[1 + a], window[a], step[a], spread[a], pad, name))
    return axes[0], axes[1]


def _shape(image: Array, axes: tuple[Axis, Axis]) -> tuple[int, int, int, int]:
    return image.shape[0], axes[0].out_size, axes[1].out_size, image.shape[3]


def _pool(
    image: Array, axes: tuple[Axis, Axis], out: Array, *, largest: bool = False, count_padding: bool = False
) -> None:
    if out.size == 0:
        return
    windows = [
        (p.offsets[0], p.in_step, p.offsets[1] - p.offsets[0] if axis.kernel > 1 else 1, axis.kernel)
        for axis in axes
        for p in axis.phases
    ]
    rows, columns = [(*w, axis.in_size, axis.out_size) for w, axis in zip(windows, axes, strict=True)]
    _run(image, rows, columns, out, largest, count_padding)


def _run(
    image: Array,
    rows: Window,
    columns: Window,
    out: Array,
    largest: bool = False,
    count_padding: bool = False,
) -> None:
    """A window is (first, step, spread, taps, input size, output size): output i reads first + i*step +
    t*spread."""
    # in multiply-adds: about 0.1 ns for each element that comes from memory, 0.02 for each tap
    threads = _threads.threads_for(5 * image.size + out.size * rows[3] * columns[3])
    sizes = (image.shape[0], image.shape[3])
    isa = _dispatch.active_isa()
    pieces = (0, 0) if largest else sums.mean_cuts(rows[3], columns[3])
    _kernels.pool(
        isa, image.itemsize, image, out, *sizes, rows, columns, largest, count_padding, pieces, threads
    )
