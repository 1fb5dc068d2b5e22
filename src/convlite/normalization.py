"""Normalization with statistics of each sample: its mean, variance or length over some of its axes.

x is float32 or float64, channels last; results have its shape and dtype, and the same bits whatever the batch
size. NaN propagates. `layer_norm`, `group_norm` and `instance_norm` run in the compiled core: means and
variances are summed in float64, and what they do to each number is computed in x's dtype, with subnormal
numbers as zeros; so float32 numbers that deviate by more than 8e37 come out of `group_norm` and
`instance_norm` as zeros. The others are computed in float64 by NumPy and rounded once. `gamma` and `beta` are
Keras's names: PyTorch's and ONNX's are weight and bias, scale and bias.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _dispatch, _kernels, _threads
from ._options import public
from ._reductions import BLOCK, sum_rows
from .arguments import as_epsilon, as_int, as_operand, as_real, as_size, new_output, shown

__all__ = ["layer_norm", "rms_norm", "group_norm", "instance_norm", "unit_norm", "lrn"]

Array = NDArray[Any]


@public
def layer_norm(
    x: ArrayLike,
    *,
    gamma: ArrayLike | None = None,
    beta: ArrayLike | None = None,
    axis: int | Sequence[int] = -1,
    epsilon: float = 1e-3,
) -> Array:
    """Normalize each sample over some axes, by default the channels.

    (x - mean) / sqrt(variance + epsilon) * gamma + beta, with mean and variance over axis. PyTorch's
    LayerNorm takes normalized_shape, the sizes of the last axes. Source: Ba et al., "Layer normalization",
    2016, arXiv:1607.06450.

    x, gamma, beta, axis, epsilon -> of x's shape : shared, norm

    Examples
    --------
    >>> import numpy as np, convlite as cl
    >>> cl.layer_norm(np.array([[1.0, 3.0], [0.0, 8.0]]), epsilon=0.0)
    array([[-1.,  1.],
           [-1.,  1.]])
    """
    values, axes, scale, shift = _over_axes(x, axis, gamma, beta)
    isa, threads, eps = _dispatch.active_isa(), _threads.threads_for(0.3 * values.size), as_epsilon(epsilon)

    def fill(rows: Array, out: Array) -> None:
        _kernels.layer_norm(isa, rows, scale, shift, out, eps, threads=threads)

    return _rowwise(values, axes, fill)


@public
def rms_norm(
    x: ArrayLike,
    *,
    gamma: ArrayLike | None = None,
    axis: int | Sequence[int] = -1,
    epsilon: float = 1e-6,
) -> Array:
    """Divide each sample by the root of its mean square over some axes, by default the channels.

    x / sqrt(mean(x * x) + epsilon) * gamma, with the mean over axis. Keras calls gamma scale, PyTorch
    weight. Source: Zhang and Sennrich, "Root mean square layer normalization", 2019, arXiv:1910.07467.

    x, gamma, axis, epsilon -> of x's shape : shared, rms

    Examples
    --------
    >>> import numpy as np, convlite as cl
    >>> cl.rms_norm(np.array([[1.0, 7.0]]), epsilon=0.0)
    array([[0.2, 1.4]])
    """
    values, axes, scale, _ = _over_axes(x, axis, gamma, None)
    eps = as_epsilon(epsilon)

    def by_root(rows: Array) -> None:
        rows /= np.sqrt(sum_rows(rows * rows) / rows.shape[1] + eps)
        if scale is not None:
            rows *= scale

    return _rowwise(values, axes, _in_double(by_root))


@public
def group_norm(
    x: ArrayLike,
    groups: int = 32,
    *,
    gamma: ArrayLike | None = None,
    beta: ArrayLike | None = None,
    epsilon: float = 1e-3,
) -> Array:
    """Normalize each group of channels of each sample.

    (x - mean) / sqrt(variance + epsilon) * gamma + beta; gamma and beta are (C,).
    Source: Wu and He, "Group normalization", 2018, arXiv:1803.08494.

    x, groups, gamma, beta, epsilon -> of x's shape : shared, norm

    Examples
    --------
    >>> import numpy as np, convlite as cl
    >>> cl.group_norm(np.array([[[1.0, 3.0, 0.0, 8.0]]]), 2, epsilon=0.0)
    array([[[-1.,  1., -1.,  1.]]])
    """
    values = as_operand(x, "x")
    if values.ndim < 2:
        raise ValueError(f"x must have a batch and a channel axis (N, ..., C); got shape {values.shape}")
    channels = values.shape[-1]
    count = channels if as_int(groups, "groups", minimum=-1) == -1 else as_size(groups, "groups")
    if count and channels % count:
        raise ValueError(f"groups must divide the {channels} channels of x; got {count}")
    scale = _fitting(gamma, "gamma", values.shape[-1:], values)
    shift = _fitting(beta, "beta", values.shape[-1:], values)
    eps, result = as_epsilon(epsilon), new_output(values.shape, values.dtype)
    if values.size:
        shape = (len(values), -1, channels)
        threads = _threads.threads_for(0.3 * values.size)
        images, out = values.reshape(shape), result.reshape(shape)
        _kernels.group_norm(_dispatch.active_isa(), images, scale, shift, out, count, eps, threads=threads)
    return result


@public
def instance_norm(
    x: ArrayLike,
    *,
    gamma: ArrayLike | None = None,
    beta: ArrayLike | None = None,
    epsilon: float = 1e-3,
) -> Array:
    """Normalize each channel of each sample: group_norm with one channel a group.

    (x - mean) / sqrt(variance + epsilon) * gamma + beta; gamma and beta are (C,).
    Source: Ulyanov et al., "Instance normalization", 2016, arXiv:1607.08022.

    x, gamma, beta, epsilon -> of x's shape : shared, norm

    Examples
    --------
    >>> import numpy as np, convlite as cl
    >>> cl.instance_norm(np.array([[[1.0, 0.0], [3.0, 8.0]]]), epsilon=0.0)
    array([[[-1., -1.],
            [ 1.,  1.]]])
    """
    return group_norm(x, -1, gamma=gamma, beta=beta, epsilon=epsilon)


@public
def unit_norm(x: ArrayLike, *, axis: int | Sequence[int] = -1, epsilon: float = 1e-12) -> Array:
    """Divide each vector by its length: x / max(sqrt(sum(x * x)), epsilon).

    The sum is over axis, by default the channels: Keras's UnitNormalization and PyTorch's normalize, with
    their epsilon.

    x, axis, epsilon -> of x's shape : shared, unit

    Examples
    --------
    >>> import numpy as np, convlite as cl
    >>> cl.unit_norm(np.array([[3.0, 4.0], [0.0, 0.0]]))
    array([[0.6, 0.8],
           [0. , 0. ]])
    """
    values = as_operand(x, "x")
    axes, least = as_axes(axis, values.ndim), as_epsilon(epsilon)

    def by_size(rows: Array) -> None:
        rows /= np.maximum(np.sqrt(sum_rows(rows * rows)), least)

    return _rowwise(values, axes, _in_double(by_size))


@public
def lrn(
    x: ArrayLike, size: int | tuple[int, int], *, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Array:
    """Divide each value by the squares of its neighbouring channels: local response normalization.

    x / (k + alpha/size * (sum of squares of size channels around))**beta. Defaults are PyTorch's and
    ONNX's; TensorFlow's local_response_normalization has size = 2*depth_radius + 1 and does not divide
    alpha by it. Source: Krizhevsky et al., "ImageNet classification with deep convolutional neural
    networks", 2012.

    x, size, alpha, beta, k -> of x's shape : shared, lrn

    Examples
    --------
    >>> import numpy as np, convlite as cl
    >>> cl.lrn(np.array([[1.0, 2.0, 3.0]]), 3, alpha=3.0, beta=1.0, k=0.0)
    array([[0.2       , 0.14285714, 0.23076923]])
    """
    values = as_operand(x, "x")
    before, after = as_neighbours(size)
    share, power, offset = as_real(alpha, "alpha"), as_real(beta, "beta"), as_real(k, "k")
    if values.ndim < 2:
        raise ValueError(f"x must have a batch and a channel axis (N, ..., C); got shape {values.shape}")
    result = new_output(values.shape, values.dtype)
    if values.size == 0:
        return result
    channels, share = values.shape[-1], share / (before + after + 1)
    source, target = values.reshape(-1, channels), result.reshape(-1, channels)
    some = max(1, BLOCK // channels)
    with np.errstate(all="ignore"):
        for first in range(0, len(source), some):
            block = source[first : first + some].astype(np.float64)
            squares, total = block * block, np.zeros_like(block)
            for shift in range(-min(before, channels - 1), min(after, channels - 1) + 1):
                low, high = max(-shift, 0), channels - max(shift, 0)
                total[:, low:high] += squares[:, low + shift : high + shift]
            target[first : first + some] = block / (offset + share * total) ** power
    return result


def as_axes(axis: Any, ndim: int) -> tuple[int, ...]:
    """An axis or several of an array, counted from 0.

    >>> as_axes(-1, 4), as_axes((1, -1), 4)
    ((3,), (1, 3))
    """
    if type(axis) is int and -ndim <= axis < ndim:
        return (axis % ndim,)
    given = (
        axis if isinstance(axis, (Sequence, np.ndarray)) and not isinstance(axis, (str, bytes)) else (axis,)
    )
    numbers = [as_int(a, "axis", minimum=-(2**31)) for a in given]
    if (
        not numbers
        or any(not -ndim <= a < ndim for a in numbers)
        or len({a % ndim for a in numbers}) < len(numbers)
    ):
        raise ValueError(f"axis must name one or more axes of x, each once; x has {ndim}; got {shown(axis)}")
    return tuple(a % ndim for a in numbers)


def as_neighbours(size: Any) -> tuple[int, int]:
    """lrn's size as the numbers of channels before and behind.

    >>> as_neighbours(5), as_neighbours((2, 1))
    ((2, 2), (2, 1))
    """
    if isinstance(size, (Sequence, np.ndarray)) and not isinstance(size, (str, bytes)):
        if len(size) != 2:
            raise ValueError(f"size must be odd, or the channels (before, behind); got {shown(size)}")
        return as_int(size[0], "size[0]"), as_int(size[1], "size[1]")
    number = as_size(size, "size")
    if number % 2 == 0:
        half = number // 2
        raise ValueError(
            f"size must be odd, or the channels (before, behind): of {number}, PyTorch's are "
            f"{(half, half - 1)}, ONNX's {(half - 1, half)}"
        )
    return number // 2, number // 2


def _over_axes(
    x: ArrayLike, axis: Any, gamma: ArrayLike | None, beta: ArrayLike | None
) -> tuple[Array, tuple[int, ...], Array | None, Array | None]:
    """x, its axes, and gamma and beta that fit them."""
    values = as_operand(x, "x")
    axes = as_axes(axis, values.ndim)
    sizes = tuple(values.shape[a] for a in axes)
    return values, axes, _fitting(gamma, "gamma", sizes, values), _fitting(beta, "beta", sizes, values)


def _rowwise(values: Array, axes: tuple[int, ...], fill: Callable[[Array, Array], None]) -> Array:
    """What `fill` makes of contiguous rows, the numbers along `axes` at each place of the others."""
    result = new_output(values.shape, values.dtype)
    if values.size == 0:
        return result
    if axes == tuple(range(values.ndim - len(axes), values.ndim)):
        n = math.prod(values.shape[axes[0] :])
        fill(values.reshape(-1, n), result.reshape(-1, n))
        return result
    ends = tuple(range(-len(axes), 0))
    moved, target = np.moveaxis(values, axes, ends), np.moveaxis(result, axes, ends)
    n = math.prod(moved.shape[-len(axes) :])
    rows = np.ascontiguousarray(moved).reshape(-1, n)
    out = np.empty_like(rows)
    fill(rows, out)
    target[...] = out.reshape(moved.shape)
    return result


def _in_double(change: Callable[[Array], None]) -> Callable[[Array, Array], None]:
    """`change` on float64 rows in place, some at a time."""

    def fill(rows: Array, out: Array) -> None:
        some = max(1, BLOCK // rows.shape[1])
        with np.errstate(all="ignore"):
            for first in range(0, len(rows), some):
                block = rows[first : first + some].astype(np.float64)
                change(block)
                out[first : first + some] = block

    return fill


def _fitting(value: ArrayLike | None, name: str, sizes: tuple[int, ...], x: Array) -> Array | None:
    if value is None:
        return None
    array = as_operand(value, name, dtype=x.dtype)
    if array.shape != sizes:
        raise ValueError(
            f"{name} must have the shape {sizes}, x's sizes along the axes that it scales or shifts; "
            f"got {array.shape}, and x has {x.shape}"
        )
    return array if array.ndim == 1 else array.reshape(-1)
