"""Element-wise and channel-wise operations: activations, bias, batch normalization and others.

Nearly all runs in the compiled core, the activations by the code that conv2d's `activation=` fuses into its
output. x is float32 or float64, of any shape where none is named, and keeps both; another dtype is
a TypeError. NaN propagates.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _dispatch, _kernels, _threads, activations
from ._memory import is_plain
from ._options import documented, public
from ._types import Elementwise
from .activations import activate, softmax_rows
from .arguments import as_epsilon, as_int, as_operand, as_real, is_one_of, new_output, one_given, shown

__all__ = [
    "relu", "relu6", "leaky_relu", "prelu", "elu", "sigmoid", "hard_sigmoid", "tanh", "softplus", "silu",
    "hard_swish", "gelu", "softmax", "bias_add", "batch_norm", "flatten", "hard_tanh", "selu", "celu", "mish",
    "exponential", "softsign", "log_sigmoid", "log_softmax", "tanh_shrink", "soft_shrink", "hard_shrink",
    "threshold",
]  # fmt: skip

Array = NDArray[Any]
_PASS = _kernels.pass_codes()
_MOST_AXES = 8  # of the core's passes


def _elementwise(function: Callable[[ArrayLike], Array]) -> Elementwise:
    """`documented`; type checkers know the dtype of the result from x's."""
    return cast(Elementwise, documented(function))


@_elementwise
def relu(x: ArrayLike) -> Array:
    """Return max(x, 0); float32 or float64, any shape.

    x -> of x's shape : shared

    Examples
    --------
    >>> import numpy as np, convlite as cl
    >>> cl.relu(np.array([-1.0, 2.0]))
    array([0., 2.])
    """
    return activate(x, "relu")


@_elementwise
def relu6(x: ArrayLike) -> Array:
    """Return min(max(x, 0), 6); float32 or float64, any shape.

    x -> of x's shape : shared

    Examples
    --------
    >>> import numpy as np, convlite as cl
    >>> cl.relu6(np.array([-1.0, 2.0, 7.0]))
    array([0., 2., 6.])
    """
    return activate(x, "relu6")


@public
def leaky_relu(x: ArrayLike, alpha: float = 0.2) -> Array:
    """Return x, times alpha where x < 0; float32 or float64, any shape.

    The slope 0.2 is that of tf.nn and Keras 3; PyTorch's is 0.01, that of Keras 2's layer 0.3.

    x, alpha -> of x's shape : shared, leaky

    Examples
    --------
    >>> import numpy as np, convlite as cl
    >>> cl.leaky_relu(np.array([-1.0, 2.0]))
    array([-0.2,  2. ])
    """
    return activate(x, activations.LeakyReLU(alpha))


@public
def elu(x: ArrayLike, alpha: float = 1.0) -> Array:
    """Return x, or alpha * (exp(x) - 1) where x < 0; float32 or float64, any shape.

    x, alpha -> of x's shape : shared, elementwise

    Examples
    --------
    >>> import numpy as np, convlite as cl
    >>> cl.elu(np.array([-np.inf, 2.0]))
    array([-1.,  2.])
    """
    return activate(x, activations.ELU(alpha))


@_elementwise
def sigmoid(x: ArrayLike) -> Array:
    """Return 1 / (1 + exp(-x)), without overflow; float32 or float64, any shape.

    x -> of x's shape : shared

    Examples
    --------
    >>> import numpy as np, convlite as cl
    >>> cl.sigmoid(np.array([-1000.0, 0.0, 1000.0]))
    array([0. , 0.5, 1. ])
    """
    return activate(x, "sigmoid")


@_elementwise
def hard_sigmoid(x: ArrayLike) -> Array:
    """Return relu6(x + 3) / 6; float32 or float64, any shape.

    This is Keras 3's and PyTorch's; Keras 2's and ONNX's default is 0.2 * x + 0.5 between 0 and 1.

    x -> of x's shape : shared

    Examples
    --------
    >>> import numpy as np, convlite as cl
    >>> cl.hard_sigmoid(np.array([-3.0, 0.0, 1.5]))
    array([0.  , 0.5 , 0.75])
    """
    return activate(x, "hard_sigmoid")


@_elementwise
def tanh(x: ArrayLike) -> Array:
    """Return tanh(x); float32 or float64, any shape.

    x -> of x's shape : shared

    Examples
    --------
    >>> import numpy as np, convlite as cl
    >>> cl.tanh(np.array([-100.0, 0.0, 100.0]))
    array([-1.,  0.,  1.])
    """
    return activate(x, "tanh")


@_elementwise
def softplus(x: ArrayLike) -> Array:
    """Return log(1 + exp(x)), without overflow; float32 or float64, any shape.

    x -> of x's shape : shared

    Examples
    --------
    >>> import numpy as np, convlite as cl
    >>> cl.softplus(np.array([-1000.0, 1000.0]))
    array([   0., 1000.])
    """
    return activate(x, "softplus")


@_elementwise
def silu(x: ArrayLike) -> Array:
    """Return x * sigmoid(x), also called swish; float32 or float64, any shape.

    x -> of x's shape : shared

    Examples
    --------
    >>> import numpy as np, convlite as cl
    >>> cl.silu(np.array([0.0, 1000.0]))
    array([   0., 1000.])
    """
    return activate(x, "silu")


@_elementwise
def hard_swish(x: ArrayLike) -> Array:
    """Return x * relu6(x + 3) / 6; float32 or float64, any shape.

    x -> of x's shape : shared

    Examples
    --------
    >>> import numpy as np, convlite as cl
    >>> cl.hard_swish(np.array([1.5, 4.0]))
    array([1.125, 4.   ])
    """
    return activate(x, "hard_swish")


@_elementwise
def gelu(x: ArrayLike) -> Array:
    """Return x * (1 + erf(x / sqrt 2)) / 2; float32 or float64, any shape.

    The exact form, the default of tf.nn.gelu and PyTorch; the approximation by tanh differs by up to 5e-4.

    x -> of x's shape : shared

    Examples
    --------
    >>> import numpy as np, convlite as cl
    >>> cl.gelu(np.array([0.0, 1.0])).round(6)
    array([0.      , 0.841345])
    """
    return activate(x, "gelu")


@_elementwise
def hard_tanh(x: ArrayLike) -> Array:
    """Return min(max(x, -1), 1); float32 or float64, any shape.

    x -> of x's shape : shared

    Examples
    --------
    >>> import numpy as np, convlite as cl
    >>> cl.hard_tanh(np.array([-3.0, 0.5, 3.0]))
    array([-1. ,  0.5,  1. ])
    """
    return activate(x, "hard_tanh")


@_elementwise
def selu(x: ArrayLike) -> Array:
    """Return 1.0507... * (x, or 1.6732... * (exp(x) - 1) where x < 0); float32 or float64, any shape.

    Source: Klambauer et al., "Self-normalizing neural networks", 2017, arXiv:1706.02515.

    x -> of x's shape : shared

    Examples
    --------
    >>> import numpy as np, convlite as cl
    >>> cl.selu(np.array([-np.inf, 0.0, 1.0])).round(4)
    array([-1.7581,  0.    ,  1.0507])
    """
    return activate(x, "selu")


@public
def celu(x: ArrayLike, alpha: float = 1.0) -> Array:
    """Return x, or alpha * (exp(x / alpha) - 1) where x < 0; float32 or float64, any shape; alpha above 0.

    Source: Barron, "Continuously differentiable exponential linear units", 2017, arXiv:1704.07483.

    x, alpha -> of x's shape : shared, elementwise

    Examples
    --------
    >>> import numpy as np, convlite as cl
    >>> cl.celu(np.array([-np.inf, 2.0]), alpha=0.5)
    array([-0.5,  2. ])
    """
    return activate(x, activations.CELU(alpha))


@_elementwise
def mish(x: ArrayLike) -> Array:
    """Return x * tanh(log(1 + exp(x))), without overflow; float32 or float64, any shape.

    Source: Misra, "Mish: a self regularized non-monotonic activation function", 2019, arXiv:1908.08681.

    x -> of x's shape : shared

    Examples
    --------
    >>> import numpy as np, convlite as cl
    >>> cl.mish(np.array([-1.0, 0.0, 1.0])).round(4)
    array([-0.3034,  0.    ,  0.8651])
    """
    return activate(x, "mish")


@_elementwise
def exponential(x: ArrayLike) -> Array:
    """Return exp(x), infinite where it overflows; float32 or float64, any shape.

    x -> of x's shape : shared

    Examples
    --------
    >>> import numpy as np, convlite as cl
    >>> cl.exponential(np.array([-np.inf, 0.0, 1000.0]))
    array([ 0.,  1., inf])
    """
    return activate(x, "exponential")


@_elementwise
def softsign(x: ArrayLike) -> Array:
    """Return `x / (1 + |x|)`; float32 or float64, any shape.

    x -> of x's shape : shared

    Examples
    --------
    >>> import numpy as np, convlite as cl
    >>> cl.softsign(np.array([-1.0, 0.0, 3.0]))
    array([-0.5 ,  0.  ,  0.75])
    """
    return activate(x, "softsign")


@_elementwise
def log_sigmoid(x: ArrayLike) -> Array:
    """Return -log(1 + exp(-x)), without overflow; float32 or float64, any shape.

    x -> of x's shape : shared

    Examples
    --------
    >>> import numpy as np, convlite as cl
    >>> cl.log_sigmoid(np.array([-1000.0, 1000.0]))
    array([-1000.,     0.])
    """
    return activate(x, "log_sigmoid")


@_elementwise
def tanh_shrink(x: ArrayLike) -> Array:
    """Return x - tanh(x); float32 or float64, any shape.

    x -> of x's shape : shared

    Examples
    --------
    >>> import numpy as np, convlite as cl
    >>> cl.tanh_shrink(np.array([0.0, 50.0]))
    array([ 0., 49.])
    """
    return activate(x, "tanh_shrink")


@public
def soft_shrink(x: ArrayLike, threshold: float = 0.5) -> Array:
    """Return x moved towards 0 by threshold, 0 where it is smaller; float32 or float64, any shape.

    x, threshold -> of x's shape : shared, elementwise

    Examples
    --------
    >>> import numpy as np, convlite as cl
    >>> cl.soft_shrink(np.array([-2.0, 0.25, 2.0]))
    array([-1.5,  0. ,  1.5])
    """
    return activate(x, activations.SoftShrink(threshold))


@public
def hard_shrink(x: ArrayLike, threshold: float = 0.5) -> Array:
    """Return x, and 0 from -threshold to threshold; float32 or float64, any shape.

    x, threshold -> of x's shape : shared, elementwise

    Examples
    --------
    >>> import numpy as np, convlite as cl
    >>> cl.hard_shrink(np.array([-2.0, 0.25, 2.0]))
    array([-2.,  0.,  2.])
    """
    return activate(x, activations.HardShrink(threshold))


@public
def threshold(x: ArrayLike, threshold: float, value: float) -> Array:
    """Return x where x > threshold, else value.

    Keras and PyTorch have the same order of arguments; Keras calls value default_value.

    Parameters
    ----------
    x : shared
    threshold : float
        Where x stays.
    value : float
        What replaces the other values.

    Returns
    -------
    ndarray, of x's shape
        The result, in x's dtype.

    Raises
    ------
    errors : shared

    Examples
    --------
    >>> import numpy as np, convlite as cl
    >>> cl.threshold(np.array([-2.0, 0.5, 2.0]), 1.0, 0.25)
    array([0.25, 0.25, 2.  ])
    """
    values, limit, other = as_operand(x, "x"), as_real(threshold, "threshold"), as_real(value, "value")
    real = values.dtype.type
    return np.asarray(np.where(values <= real(limit), real(other), values))


@public
def prelu(x: ArrayLike, alpha: ArrayLike) -> Array:
    """Return x, times alpha where x < 0; alpha broadcasts against x from the last axis, the channels.

    Source: He et al., "Delving deep into rectifiers", 2015, arXiv:1502.01852.

    x, alpha -> of x's shape : shared, prelu

    Examples
    --------
    >>> import numpy as np, convlite as cl
    >>> cl.prelu(np.array([[-1.0, -1.0], [2.0, 2.0]]), np.array([0.5, 0.25]))
    array([[-0.5 , -0.25],
           [ 2.  ,  2.  ]])
    """
    values = as_operand(x, "x")
    slopes = as_operand(alpha, "alpha", dtype=values.dtype, first=("x", x))
    sizes, given = values.shape, slopes.shape
    if given != sizes[-1:] and not (
        len(given) <= len(sizes) and all(n in (1, m) for n, m in zip(given[::-1], sizes[::-1], strict=False))
    ):
        raise ValueError(
            f"alpha of shape {given} does not broadcast to x of shape {sizes}; expected a "
            "slope for each channel, (C,), or for each position, (H, W, C)"
        )
    return _combined("prelu", values, slopes)


@public
def softmax(x: ArrayLike, axis: int = -1) -> Array:
    """Return exp(x) / sum(exp(x)) along an axis of x, without overflow; float32 or float64, any shape.

    x, axis -> of x's shape : shared, elementwise

    Examples
    --------
    >>> import numpy as np, convlite as cl
    >>> cl.softmax(np.array([1000.0, 1000.0]))
    array([0.5, 0.5])
    """
    return _along(x, axis, softmax_rows)


@public
def log_softmax(x: ArrayLike, axis: int = -1) -> Array:
    """Return x - log(sum(exp(x))) along an axis of x, summed in float64; float32 or float64, any shape.

    The maximum is taken off first, so that nothing overflows.

    x, axis -> of x's shape : shared, elementwise

    Examples
    --------
    >>> import numpy as np, convlite as cl
    >>> cl.log_softmax(np.array([0.0, 1000.0]))
    array([-1000.,     0.])
    """
    return _along(x, axis, activations.log_softmax)


def _along(x: ArrayLike, axis: int, rows_of: Callable[[Array], Array]) -> Array:
    """A function of the last axis, along any other."""
    values = as_operand(x, "x")
    axis = as_int(axis, "axis", minimum=-(2**31))
    if not -values.ndim <= axis < values.ndim:
        raise ValueError(f"axis must be an axis of x, which has shape {values.shape}; got {axis}")
    if values.size == 0:
        return values.copy()
    if axis in (-1, values.ndim - 1):
        return rows_of(values)
    rows = np.ascontiguousarray(np.moveaxis(values, axis, -1))
    return np.ascontiguousarray(np.moveaxis(rows_of(rows), -1, axis))


@public
def bias_add(x: ArrayLike, bias: ArrayLike) -> Array:
    """Return x + bias, one number for each channel.

    x, bias -> of x's shape : shared, channels

    Examples
    --------
    >>> import numpy as np, convlite as cl
    >>> cl.bias_add(np.array([[1.0, 2.0]]), np.array([0.5, -0.5]))
    array([[1.5, 1.5]])
    """
    values = as_operand(x, "x")
    return _combined("add", values, _per_channel(bias, "bias", values))


@public
def batch_norm(
    x: ArrayLike,
    mean: ArrayLike,
    variance: ArrayLike,
    *,
    scale: ArrayLike | None = None,
    offset: ArrayLike | None = None,
    epsilon: float = 1e-3,
    gamma: ArrayLike | None = None,
    beta: ArrayLike | None = None,
    weight: ArrayLike | None = None,
    bias: ArrayLike | None = None,
) -> Array:
    """Return (x - mean) / sqrt(variance + epsilon) * scale + offset, channel by channel: the inference form.

    scale and offset are given by name, as frameworks differ in their order. All arrays have x's dtype.
    Source: Ioffe and Szegedy, "Batch normalization", 2015, arXiv:1502.03167.

    x, mean, variance, scale, offset, epsilon, gamma, beta, weight, bias -> of x's shape : shared, batch

    Examples
    --------
    >>> import numpy as np, convlite as cl
    >>> cl.batch_norm(np.array([[3.0, 5.0]]), np.ones(2), np.full(2, 4.0), epsilon=0.0)
    array([[1., 2.]])
    """
    values, small = as_operand(x, "x"), as_epsilon(epsilon)
    scale_name, offset_name = "scale", "offset"
    if gamma is not None or weight is not None:
        scale_name, scale = one_given(scale=scale, gamma=gamma, weight=weight)
    if beta is not None or bias is not None:
        offset_name, offset = one_given(offset=offset, beta=beta, bias=bias)
    centre = _per_channel(mean, "mean", values)
    variances = _per_channel(variance, "variance", values)
    times = None if scale is None else _per_channel(scale, scale_name, values)
    moved = None if offset is None else _per_channel(offset, offset_name, values)
    factor = new_output(variances.shape, variances.dtype)
    _kernels.norm_factor(variances, times, factor, variances.itemsize, small)
    # Not x * factor + (offset - mean * factor): that loses digits where the mean is large.
    result, threads = new_output(values.shape, values.dtype), _threads.threads_for(0.1 * values.size)
    if values.size:
        rows, into = values.reshape(-1, centre.size), result.reshape(-1, centre.size)
        _kernels.affine(_dispatch.active_isa(), rows, centre, factor, moved, into, threads=threads)
    return result


@public
def flatten(x: ArrayLike, order: Literal["HWC", "CHW"] = "HWC") -> Array:
    """Return x as rows, one for each sample.

    Parameters
    ----------
    x : shared, channels
    order : str, default "HWC"
        "HWC" keeps x's own order, as Keras does; "CHW" puts channels first, the order in which PyTorch
        flattens the same image and which a dense kernel trained there expects.

    Returns
    -------
    ndarray, (N, features)
        One row a sample, a copy.

    Raises
    ------
    errors : shared

    Examples
    --------
    >>> import numpy as np, convlite as cl
    >>> cl.flatten(np.arange(4.0).reshape(1, 1, 2, 2), order="CHW")
    array([[0., 2., 1., 3.]])
    """
    values = as_operand(x, "x")
    if not is_one_of(order, ("HWC", "CHW")):
        raise ValueError(f"order must be 'HWC' or 'CHW'; got {shown(order)}")
    if values.ndim == 0:
        raise ValueError("x must have at least one axis, the batch; got a scalar")
    rows = new_output((values.shape[0], math.prod(values.shape[1:])), values.dtype)
    if order == "CHW" and values.ndim > 2:
        values = np.moveaxis(values, -1, 1)
    into = rows.reshape(values.shape)
    if values.ndim > _MOST_AXES:
        into[...] = values
    else:
        _kernels.copy(_dispatch.active_isa(), values, into, _threads.threads_for(0.1 * values.size))
    return rows


def _combined(what: str, x: Array, y: Array) -> Array:
    """One pass in the core; y broadcasts to x."""
    into = result = new_output(x.shape, x.dtype)
    threads = _threads.threads_for(0.1 * x.size)
    if x.ndim > _MOST_AXES:
        x, y, into = x.reshape(-1), np.broadcast_to(y, x.shape).reshape(-1), result.reshape(-1)
    _kernels.elementwise(_dispatch.active_isa(), _PASS[what], x, y, into, threads=threads)
    return result


def _per_channel(value: ArrayLike, name: str, x: Array) -> Array:
    if x.ndim and is_plain(value, x.shape[-1:], x.dtype):
        return value
    vector = as_operand(value, name, dtype=x.dtype, first=("x", x))
    if x.ndim == 0 or vector.shape != x.shape[-1:]:
        raise ValueError(
            f"{name} must hold one number for each channel, the last axis of x of shape {x.shape}; "
            f"got shape {vector.shape}"
        )
    return vector
