"""The definitions of the other operations, in plain NumPy: part of `convlite.reference`.

As in the written definitions, loops go over the outputs and the taps of each window, and over the pixels of
each block; speed does not matter. Only the checks of arguments are shared with the operations themselves.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._options import documented_module
from .arguments import (
    FLOAT64,
    Pair,
    as_epsilon,
    as_flag,
    as_int,
    as_operand,
    as_padding,
    as_padding_1d,
    as_pair,
    as_real,
    as_single,
    as_size,
    check_taps,
    new_output,
    shown,
)

__all__ = [
    "max_pool2d", "avg_pool2d", "adaptive_max_pool2d", "adaptive_avg_pool2d", "max_pool1d", "avg_pool1d",
    "layer_norm", "rms_norm", "group_norm", "instance_norm", "unit_norm", "lrn",
]  # fmt: skip

Array = NDArray[Any]
_MOST = 2**26  # the most elements along an axis that a definition accepts


# ---- pools -------------------------------------------------------------------------------------------------


def max_pool2d(
    x: ArrayLike,
    pool_size: Any = 2,
    *,
    strides: Any = None,
    padding: Any = "valid",
    dilations: Any = 1,
    ceil_mode: bool = False,
) -> Array:
    """Define convlite.max_pool2d: the largest of the taps of each window that lie inside of x (N,H,W,C).

    x, pool_size, strides, padding, dilations, ceil_mode -> (N, Ho, Wo, C) : shared, pool

    Examples
    --------
    >>> max_pool2d(np.arange(9.0).reshape(1, 3, 3, 1), 2, strides=1)[0, :, :, 0]
    array([[4., 5.],
           [7., 8.]])
    """
    return _pool2d(x, pool_size, strides, padding, dilations, ceil_mode, _largest)


def avg_pool2d(
    x: ArrayLike,
    pool_size: Any = 2,
    *,
    strides: Any = None,
    padding: Any = "valid",
    count_include_pad: bool = False,
    dilations: Any = 1,
    ceil_mode: bool = False,
) -> Array:
    """Define convlite.avg_pool2d: the sum of the taps inside of x (N,H,W,C) over their number.

    With count_include_pad the divisor is the number of taps inside of x or its padding.

    x, pool_size, strides, padding, count_include_pad, dilations, ceil_mode -> (N, Ho, Wo, C) : shared, pool

    Examples
    --------
    >>> avg_pool2d(np.ones((1, 1, 1, 1)), 3, strides=1, padding=1, count_include_pad=True).item() * 9
    1.0
    """
    rule = _mean_with_padding if as_flag(count_include_pad, "count_include_pad") else _mean
    return _pool2d(x, pool_size, strides, padding, dilations, ceil_mode, rule)


def max_pool1d(
    x: ArrayLike,
    pool_size: Any = 2,
    *,
    strides: Any = None,
    padding: Any = "valid",
    dilations: Any = 1,
    ceil_mode: bool = False,
) -> Array:
    """Define convlite.max_pool1d: max_pool2d on images of one row.

    x, pool_size, strides, padding, dilations, ceil_mode -> (N, Wo, C) : shared, pool1d

    Examples
    --------
    >>> max_pool1d(np.arange(4.0).reshape(1, 4, 1)).ravel()
    array([1., 3.])
    """
    return _pool1d(x, pool_size, strides, padding, dilations, ceil_mode, _largest)


def avg_pool1d(
    x: ArrayLike,
    pool_size: Any = 2,
    *,
    strides: Any = None,
    padding: Any = "valid",
    count_include_pad: bool = False,
    dilations: Any = 1,
    ceil_mode: bool = False,
) -> Array:
    """Define convlite.avg_pool1d: avg_pool2d on images of one row.

    x, pool_size, strides, padding, count_include_pad, dilations, ceil_mode -> (N, Wo, C) : shared, pool1d

    Examples
    --------
    >>> avg_pool1d(np.arange(4.0).reshape(1, 4, 1)).ravel()
    array([0.5, 2.5])
    """
    rule = _mean_with_padding if as_flag(count_include_pad, "count_include_pad") else _mean
    return _pool1d(x, pool_size, strides, padding, dilations, ceil_mode, rule)


def adaptive_max_pool2d(x: ArrayLike, output_size: Any) -> Array:
    """Define convlite.adaptive_max_pool2d: window i goes from floor(i * n / m) to ceil((i + 1) * n / m).

    x, output_size -> (N, Ho, Wo, C) : shared, pool

    Examples
    --------
    >>> adaptive_max_pool2d(np.arange(5.0).reshape(1, 1, 5, 1), (1, 2)).ravel()
    array([2., 4.])
    """
    return _adaptive(x, output_size, np.max)


def adaptive_avg_pool2d(x: ArrayLike, output_size: Any) -> Array:
    """Define convlite.adaptive_avg_pool2d: the means of the same windows.

    x, output_size -> (N, Ho, Wo, C) : shared, pool

    Examples
    --------
    >>> adaptive_avg_pool2d(np.arange(5.0).reshape(1, 1, 5, 1), (1, 2)).ravel()
    array([1., 3.])
    """
    return _adaptive(x, output_size, np.mean)


Pooled = Callable[[Array, int], Array]  # of the taps inside (taps, N, C), and the number of counted taps


def _largest(taps: Array, counted: int) -> Array:
    return np.asarray(taps.max(axis=0))


def _mean(taps: Array, counted: int) -> Array:
    return np.asarray(taps.sum(axis=0) / len(taps))


def _mean_with_padding(taps: Array, counted: int) -> Array:
    return np.asarray(taps.sum(axis=0) / counted)


def _pool1d(
    x: ArrayLike, pool_size: Any, strides: Any, padding: Any, dilations: Any, ceil: bool, rule: Pooled
) -> Array:
    row, k = as_operand(x, "x", ndim=3), as_single(pool_size, "pool_size")
    s, d = k if strides is None else as_single(strides, "strides"), as_single(dilations, "dilations")
    pads = as_padding_1d(padding)
    return _pooled(row[:, None], (1, k), (1, s), pads, (1, d), ceil, rule)[:, 0]


def _pool2d(
    x: ArrayLike, pool_size: Any, strides: Any, padding: Any, dilations: Any, ceil: bool, rule: Pooled
) -> Array:
    image, window = as_operand(x, "x", ndim=4), as_pair(pool_size, "pool_size")
    step = window if strides is None else as_pair(strides, "strides")
    return _pooled(image, window, step, as_padding(padding), as_pair(dilations, "dilations"), ceil, rule)


@np.errstate(all="ignore")
def _pooled(
    image: Array, window: Pair, step: Pair, pads: Any, spread: Pair, ceil: bool, rule: Pooled
) -> Array:
    check_taps(*window, "pool_size")
    ceil = as_flag(ceil, "ceil_mode")
    axes: list[list[tuple[list[int], int]]] = []
    for a in (0, 1):
        pad = pads if isinstance(pads, str) else pads[a]
        if image.shape[1 + a] * window[a] > _MOST:
            raise MemoryError(f"x of shape {image.shape} is too large for convlite.reference")
        found = list(_places(image.shape[1 + a], window[a], step[a], spread[a], pad, ceil))
        if image.shape[1 + a] and any(not inside for inside, _ in found):
            raise ValueError(
                f"padding {shown(pad)} leaves windows of pool_size {window} with nothing to pool"
            )
        axes.append(found)
    rows, columns = axes
    result = _zeros((len(image), len(rows), len(columns), image.shape[3]), FLOAT64)
    if result.size == 0:
        return result.astype(image.dtype)
    for i, (inside_h, counted_h) in enumerate(rows):
        for j, (inside_w, counted_w) in enumerate(columns):
            taps = [image[:, h, w].astype(np.float64) for h in inside_h for w in inside_w]
            result[:, i, j] = rule(np.array(taps), counted_h * counted_w)
    return result.astype(image.dtype)


def _zeros(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    new_output(shape, dtype)  # refuses what does not fit into memory
    return np.zeros(shape, dtype)


def _places(n: int, k: int, s: int, d: int, pad: Any, ceil: bool) -> Iterator[tuple[list[int], int]]:
    """For each output of an axis: its taps inside the image, and the number of taps in image and padding."""
    extent = (k - 1) * d + 1
    if pad in ("same", "same_lower"):
        outputs = -(-n // s)
        total = max((outputs - 1) * s + extent - n, 0)
        before = total - total // 2 if pad == "same_lower" else total // 2
        after = total - before
    else:
        before, after = (0, 0) if pad == "valid" else pad
        room = n + before + after - extent
        if max(before, after) >= extent:
            raise ValueError(
                f"padding {(before, after)} must be smaller than the {extent} elements of a window"
            )
        outputs = (math.ceil(room / s) if ceil else room // s) + 1
        if -room > s or (outputs < 1 and n > 0):
            raise ValueError(
                f"pool_size covers {extent} elements but x has {room + extent}, padding included"
            )
        if ceil and (outputs - 1) * s >= n + before:
            outputs -= 1
    for i in range(outputs):
        taps = [i * s + t * d - before for t in range(k)]
        yield [t for t in taps if 0 <= t < n], sum(t < n + after for t in taps)


def _adaptive(x: ArrayLike, output_size: Any, rule: Callable[..., Array]) -> Array:
    image = as_operand(x, "x", ndim=4)
    given = output_size if isinstance(output_size, (tuple, list)) else (output_size, output_size)
    if len(given) != 2 or output_size is None:
        raise ValueError(f"output_size must be an int or (h, w); got {shown(output_size)}")
    wanted = [None if size is None else as_size(size, "output_size") for size in given]
    if 0 in image.shape[1:3]:
        raise ValueError(f"x of shape {image.shape} has images without pixels: there is nothing to pool")
    sizes = [m or n for n, m in zip(image.shape[1:3], wanted, strict=True)]
    result = _zeros((len(image), *sizes, image.shape[3]), FLOAT64)
    if result.size == 0:
        return result.astype(image.dtype)
    rows, columns = (
        [(i * n // m, -(-(i + 1) * n // m)) for i in range(m)]
        for n, m in zip(image.shape[1:3], sizes, strict=True)
    )
    for i, (top, bottom) in enumerate(rows):
        for j, (left, right) in enumerate(columns):
            result[:, i, j] = rule(image[:, top:bottom, left:right].astype(np.float64), axis=(1, 2))
    return result.astype(image.dtype)


# ---- normalization -----------------------------------------------------------------------------------------


@np.errstate(all="ignore")
def layer_norm(
    x: ArrayLike, *, gamma: Any = None, beta: Any = None, axis: Any = -1, epsilon: float = 1e-3
) -> Array:
    """Define convlite.layer_norm: (x - mean) / sqrt(variance + epsilon) * gamma + beta over axis.

    x, gamma, beta, axis, epsilon -> of x's shape : shared, norm

    Examples
    --------
    >>> layer_norm(np.array([[1.0, 3.0]]), epsilon=0.0)
    array([[-1.,  1.]])
    """
    array, small = as_operand(x, "x"), as_epsilon(epsilon)
    axes, values = _axes(axis, array.ndim), array.astype(np.float64)
    result = values
    if values.size:
        centred = values - values.mean(axis=axes, keepdims=True)
        result = centred / np.sqrt((centred**2).mean(axis=axes, keepdims=True) + small)
    return _affine(result, gamma, beta, axes, array.dtype)


@np.errstate(all="ignore")
def rms_norm(x: ArrayLike, *, gamma: Any = None, axis: Any = -1, epsilon: float = 1e-6) -> Array:
    """Define convlite.rms_norm: x / sqrt(mean(x * x) + epsilon) * gamma over axis.

    x, gamma, axis, epsilon -> of x's shape : shared, rms

    Examples
    --------
    >>> rms_norm(np.array([[1.0, 7.0]]), epsilon=0.0)
    array([[0.2, 1.4]])
    """
    array, small = as_operand(x, "x"), as_epsilon(epsilon)
    axes, values = _axes(axis, array.ndim), array.astype(np.float64)
    result = values
    if values.size:
        result = values / np.sqrt((values**2).mean(axis=axes, keepdims=True) + small)
    return _affine(result, gamma, None, axes, array.dtype)


@np.errstate(all="ignore")
def group_norm(
    x: ArrayLike, groups: int = 32, *, gamma: Any = None, beta: Any = None, epsilon: float = 1e-3
) -> Array:
    """Define convlite.group_norm: every group of channels of every sample; -1 means C groups.

    x, groups, gamma, beta, epsilon -> of x's shape : shared, norm

    Examples
    --------
    >>> group_norm(np.array([[[1.0, 3.0, 0.0, 8.0]]]), 2, epsilon=0.0)
    array([[[-1.,  1., -1.,  1.]]])
    """
    array, small = as_operand(x, "x"), as_epsilon(epsilon)
    if array.ndim < 2:
        raise ValueError(f"x must have a batch and a channel axis; got shape {array.shape}")
    channels = array.shape[-1]
    count = channels if as_int(groups, "groups", minimum=-1) == -1 else as_size(groups, "groups")
    if count and channels % count:
        raise ValueError(f"groups must divide the {channels} channels of x; got {count}")
    result = array.astype(np.float64)
    if result.size:
        for n, g in np.ndindex(len(array), count):
            part = result[n, ..., g * (channels // count) : (g + 1) * (channels // count)]  # a view
            part[...] = (part - part.mean()) / np.sqrt(part.var() + small)
    return _affine(result, gamma, beta, (array.ndim - 1,), array.dtype)


def instance_norm(x: ArrayLike, *, gamma: Any = None, beta: Any = None, epsilon: float = 1e-3) -> Array:
    """Define convlite.instance_norm: group_norm with a group for each channel.

    x, gamma, beta, epsilon -> of x's shape : shared, norm

    Examples
    --------
    >>> instance_norm(np.array([[[1.0], [3.0]]]), epsilon=0.0).ravel()
    array([-1.,  1.])
    """
    return group_norm(x, -1, gamma=gamma, beta=beta, epsilon=epsilon)


@np.errstate(all="ignore")
def unit_norm(x: ArrayLike, *, axis: Any = -1, epsilon: float = 1e-12) -> Array:
    """Define convlite.unit_norm: x / max(sqrt(sum(x * x)), epsilon) over axis.

    x, axis, epsilon -> of x's shape : shared, unit

    Examples
    --------
    >>> unit_norm(np.array([[3.0, 4.0]]))
    array([[0.6, 0.8]])
    """
    array, small = as_operand(x, "x"), as_epsilon(epsilon)
    axes, values = _axes(axis, array.ndim), array.astype(np.float64)
    if values.size:
        values /= np.maximum(np.sqrt((values**2).sum(axis=axes, keepdims=True)), small)
    return values.astype(array.dtype)


@np.errstate(all="ignore")
def lrn(x: ArrayLike, size: Any, *, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Array:
    """Define convlite.lrn: x[c] / (k + alpha/size * sum of x[c']**2 over the channels c' around c)**beta.

    x, size, alpha, beta, k -> of x's shape : shared, lrn

    Examples
    --------
    >>> lrn(np.array([[1.0, 2.0]]), 3, alpha=3.0, beta=1.0, k=0.0)
    array([[0.2, 0.4]])
    """
    array = as_operand(x, "x")
    a, b, c = as_real(alpha, "alpha"), as_real(beta, "beta"), as_real(k, "k")
    if isinstance(size, (tuple, list)):
        if len(size) != 2:
            raise ValueError(f"size must be odd, or the channels (before, behind); got {shown(size)}")
        before, after = (as_int(n, "size") for n in size)
    else:
        if as_size(size, "size") % 2 == 0:
            raise ValueError(f"size must be odd, or the channels (before, behind); got {size}")
        before = after = size // 2
    if array.ndim < 2:
        raise ValueError(f"x must have a batch and a channel axis; got shape {array.shape}")
    values = array.astype(np.float64)
    result = np.zeros_like(values)
    for channel in range(values.shape[-1] if values.size else 0):
        around = values[..., max(channel - before, 0) : channel + after + 1]
        scale = c + a / (before + after + 1) * (around**2).sum(axis=-1)
        result[..., channel] = values[..., channel] / scale**b
    return result.astype(array.dtype)


def _axes(axis: Any, ndim: int) -> tuple[int, ...]:
    given = axis if isinstance(axis, (tuple, list)) else (axis,)
    numbers = [as_int(a, "axis", minimum=-(2**31)) for a in given]
    if not numbers or not all(-ndim <= a < ndim for a in numbers):
        raise ValueError(f"axis must name axes of x, which has {ndim}; got {shown(axis)}")
    found = tuple(a % ndim for a in numbers)
    if len(set(found)) < len(found):
        raise ValueError(f"axis must name each axis once; got {shown(axis)}")
    return found


def _affine(values: Array, gamma: Any, beta: Any, axes: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    moved = np.moveaxis(values, axes, range(-len(axes), 0))  # a view
    for given, name in ((gamma, "gamma"), (beta, "beta")):
        if given is None:
            continue
        array = as_operand(given, name, dtype=dtype)
        wanted = moved.shape[values.ndim - len(axes) :]
        if array.shape != wanted:
            raise ValueError(
                f"{name} must have the shape {wanted}, x's sizes along axis; got shape {array.shape}"
            )
        if name == "gamma":
            moved *= array
        else:
            moved += array
    return values.astype(dtype)


# ---- activations -------------------------------------------------------------------------------------------


def _expm1_below(v: Array, alpha: float) -> Array:
    return np.where(v < 0, alpha * np.expm1(np.minimum(v, 0)), v)


def _mish(v: Array) -> Array:
    return v * np.tanh(np.logaddexp(v, 0))


def _log_softmax(v: Array) -> Array:
    if v.shape[-1] == 0:
        return v
    moved = v - v.max(axis=-1, keepdims=True)
    return np.asarray(moved - np.log(np.exp(moved).sum(axis=-1, keepdims=True)))


FORMULAS: dict[str, Callable[[Array], Array]] = {
    "log_sigmoid": lambda v: -np.logaddexp(-v, 0),
    "selu": lambda v: 1.0507009873554805 * _expm1_below(v, 1.6732632423543772),
    "celu": lambda v: _expm1_below(v, 1.0),
    "mish": _mish,
    "softsign": lambda v: v / (1 + np.abs(v)),
    "exponential": np.exp,
    "hard_tanh": lambda v: np.clip(v, -1, 1),
    "log_softmax": _log_softmax,
    "tanh_shrink": lambda v: v - np.tanh(v),
    "soft_shrink": lambda v: np.where(v > 0.5, v - 0.5, np.where(v < -0.5, v + 0.5, v * 0)),
    "hard_shrink": lambda v: np.where((v >= -0.5) & (v <= 0.5), 0, v),
}
# Other names for the same, as in convlite.activations.ALIASES.
SAME: dict[str, str] = {
    "swish": "silu", "identity": "linear", "relu_6": "relu6", "exp": "exponential", "hard_silu": "hard_swish",
    "hardswish": "hard_swish", "hardsigmoid": "hard_sigmoid", "hardtanh": "hard_tanh",
    "logsigmoid": "log_sigmoid", "logsoftmax": "log_softmax", "tanhshrink": "tanh_shrink",
    "softshrink": "soft_shrink", "hardshrink": "hard_shrink",
}  # fmt: skip


def celu(v: Array, alpha: float) -> Array:
    """The formula of the object CELU.

    >>> celu(np.array([-np.inf, 1.0]), 2.0)
    array([-2.,  1.])
    """
    return np.where(v < 0, alpha * np.expm1(np.minimum(v, 0) / alpha), v)


documented_module(globals())
