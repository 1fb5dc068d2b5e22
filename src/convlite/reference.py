"""The definition of every operation, in plain NumPy: one loop over the kernel's taps, sums in float64.

One axis has a *coarse* and a *fine* side. Tap t links coarse position c to fine position

    c * stride + t * dilation - before

and there is no link to a position outside of the image, so even an infinite weight adds nothing there.
A convolution carries values from fine to coarse, the transposed convolution from coarse to fine over the same
links: that is why the two are adjoint. Each tap scatters its products to all the positions it reaches;
the compiled kernels instead gather, output by output. Nothing but the checking of arguments is shared with
them: sizes, padding and activations are worked out here a second time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _definitions
from ._definitions import (
    adaptive_avg_pool2d,
    adaptive_max_pool2d,
    avg_pool1d,
    avg_pool2d,
    group_norm,
    instance_norm,
    layer_norm,
    lrn,
    max_pool1d,
    max_pool2d,
    rms_norm,
    unit_norm,
)
from ._layouts import check_channels
from ._options import documented_module
from ._reference_blocks import channel_shuffle, depth_to_space, extract_patches, space_to_depth
from ._reference_images import pad2d, resize2d
from .arguments import (
    FLOAT64,
    Padding,
    Pair,
    as_int,
    as_operand,
    as_padding,
    as_padding_1d,
    as_pair,
    as_single,
    check_bias,
    check_groups,
    check_taps,
    new_output,
    shown,
)

__all__ = [
    "conv2d", "conv2d_transpose", "depthwise_conv2d", "dense", "conv1d", "conv1d_transpose",
    "max_pool2d", "avg_pool2d", "adaptive_max_pool2d", "adaptive_avg_pool2d", "max_pool1d", "avg_pool1d",
    "layer_norm", "rms_norm", "group_norm", "instance_norm", "unit_norm", "lrn",
    "depth_to_space", "space_to_depth", "channel_shuffle", "extract_patches",
    "resize2d", "pad2d",
]  # fmt: skip

Array = NDArray[Any]
Region = tuple[slice, slice, slice]  # batch, rows, columns
AXES = ("height", "width")


def conv2d(
    x: ArrayLike,
    kernel: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    strides: Any = 1,
    padding: Any = "valid",
    dilations: Any = 1,
    groups: int = 1,
    activation: Any = None,
) -> Array:
    """Define convlite.conv2d, the sum over taps t of x[o * stride + t * dilation - before] @ kernel[t].

    x, kernel, bias, strides, padding, dilations, groups, activation -> (N, Ho, Wo, Cout) : shared, conv2d

    Examples
    --------
    >>> conv2d(np.ones((1, 3, 3, 1)), np.ones((2, 2, 1, 1)), padding="same")[0, :, :, 0]
    array([[4., 4., 2.],
           [4., 4., 2.],
           [2., 2., 1.]])
    """
    image, weights = _operands(x, kernel, 4)
    axes = as_pair(strides, "strides"), as_pair(dilations, "dilations"), as_padding(padding)
    return _finish(_convolve(image, weights, bias, *axes, groups), activation, image.dtype)


def conv2d_transpose(
    x: ArrayLike,
    kernel: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    strides: Any = 1,
    padding: Any = "valid",
    output_shape: Any = None,
    output_padding: Any = None,
    dilations: Any = 1,
    groups: int = 1,
    activation: Any = None,
) -> Array:
    """Define convlite.conv2d_transpose: out[i * stride + t * dilation - before] += x[i] @ kernel[t].T.

    An output size whose conv2d would not have x's size is refused.

    x, kernel, bias, strides, padding, output_shape, output_padding, dilations, groups,
    activation -> (N, Ho, Wo, Cout) : shared, conv2d_transpose

    Examples
    --------
    >>> conv2d_transpose(np.ones((1, 2, 2, 1)), np.ones((3, 3, 1, 1)), strides=2)[0, :, :, 0]
    array([[1., 1., 2., 1., 1.],
           [1., 1., 2., 1., 1.],
           [2., 2., 4., 2., 2.],
           [1., 1., 2., 1., 1.],
           [1., 1., 2., 1., 1.]])
    """
    image, weights = _operands(x, kernel, 4)
    axes = as_pair(strides, "strides"), as_pair(dilations, "dilations"), as_padding(padding)
    extra = None if output_padding is None else as_pair(output_padding, "output_padding", minimum=0)
    total = _transpose(image, weights, bias, *axes, _sequence(output_shape), extra, groups)
    return _finish(total, activation, image.dtype)


def depthwise_conv2d(
    x: ArrayLike,
    kernel: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    strides: Any = 1,
    padding: Any = "valid",
    dilations: Any = 1,
    activation: Any = None,
) -> Array:
    """Define convlite.depthwise_conv2d: channel c of x makes channels c*m .. c*m + m-1, m the multiplier.

    x, kernel, bias, strides, padding, dilations,
    activation -> (N, Ho, Wo, C*multiplier) : shared, depthwise_conv2d

    Examples
    --------
    >>> depthwise_conv2d(np.ones((1, 1, 2, 2)), np.array([[[[1.0, 2.0], [3.0, 4.0]]]]))
    array([[[[1., 2., 3., 4.],
             [1., 2., 3., 4.]]]])
    """
    image, weights = _operands(x, kernel, 4)
    axes = as_pair(strides, "strides"), as_pair(dilations, "dilations"), as_padding(padding)
    channels, multiplier = weights.shape[2:]
    check_channels(
        channels, image.shape[3], image.shape, weights.shape, "(kh, kw, C, multiplier)", "(C*m, 1, kh, kw)"
    )
    offset = check_bias(bias, channels * multiplier, image.dtype)
    size, before = _conv_sizes(image, weights, *axes)
    total = _zeros((len(image), *size, channels, multiplier))
    for tap, coarse, fine in _links(weights, axes[0], axes[1], before, size, image.shape[1:3]):
        with np.errstate(all="ignore"):
            total[coarse] += image[fine][..., None].astype(np.float64) * weights[tap]
    flat = total.reshape(len(image), *size, channels * multiplier)
    return _finish(_biased(flat, offset), activation, image.dtype)


def dense(x: ArrayLike, kernel: ArrayLike, bias: ArrayLike | None = None, *, activation: Any = None) -> Array:
    """Define convlite.dense: out[..., m] = sum over k of x[..., k] * kernel[k, m].

    x, kernel, bias, activation -> (..., M) : shared, dense

    Examples
    --------
    >>> dense([1.0, 2.0], [[3.0, 0.0, 1.0], [4.0, 0.0, 1.0]])
    array([11.,  0.,  3.])
    """
    rows = as_operand(x, "x")
    weights = as_operand(kernel, "kernel", ndim=2, dtype=rows.dtype)
    if rows.ndim == 0:
        raise ValueError("x must have at least one axis, (..., K); got a scalar")
    if weights.shape[0] != rows.shape[-1]:
        raise ValueError(f"kernel must be (K, M) with K={rows.shape[-1]}, x's last axis; got {weights.shape}")
    offset = check_bias(bias, weights.shape[1], rows.dtype)
    return _finish(_biased(_product(rows, weights), offset), activation, rows.dtype)


def conv1d(
    x: ArrayLike,
    kernel: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    strides: Any = 1,
    padding: Any = "valid",
    dilations: Any = 1,
    groups: int = 1,
    activation: Any = None,
) -> Array:
    """Define convlite.conv1d: conv2d on an image of one row.

    x, kernel, bias, strides, padding, dilations, groups, activation -> (N, Wo, Cout) : shared, conv1d

    Examples
    --------
    >>> conv1d(np.arange(4.0).reshape(1, 4, 1), np.ones((2, 1, 1)), padding="same").ravel()
    array([1., 3., 5., 3.])
    """
    row, weights = _operands(x, kernel, 3)
    axes = (1, as_single(strides, "strides")), (1, as_single(dilations, "dilations")), as_padding_1d(padding)
    return _finish(_convolve(row, weights, bias, *axes, groups)[:, 0], activation, row.dtype)


def conv1d_transpose(
    x: ArrayLike,
    kernel: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    strides: Any = 1,
    padding: Any = "valid",
    output_shape: Any = None,
    output_padding: Any = None,
    dilations: Any = 1,
    groups: int = 1,
    activation: Any = None,
) -> Array:
    """Define convlite.conv1d_transpose: conv2d_transpose on an image of one row.

    x, kernel, bias, strides, padding, output_shape, output_padding, dilations, groups,
    activation -> (N, Wo, Cout) : shared, conv1d_transpose

    Examples
    --------
    >>> conv1d_transpose(np.ones((1, 2, 1)), np.ones((3, 1, 1)), strides=2).ravel()
    array([1., 1., 2., 1., 1.])
    """
    row, weights = _operands(x, kernel, 3)
    axes = (1, as_single(strides, "strides")), (1, as_single(dilations, "dilations")), as_padding_1d(padding)
    extra = None if output_padding is None else (0, as_single(output_padding, "output_padding", minimum=0))
    shape = _sequence(output_shape)
    if shape is not None:
        if len(shape) not in (1, 3):
            raise ValueError(f"output_shape must be Wo, (Wo,) or (N, Wo, Cout); got {shown(output_shape)}")
        shape = [*shape[:-2], 1, *shape[-2:]]
    return _finish(_transpose(row, weights, bias, *axes, shape, extra, groups)[:, 0], activation, row.dtype)


# ---- the two directions ------------------------------------------------------------------------------------


@np.errstate(all="ignore")
def _convolve(
    image: Array,
    weights: Array,
    bias: ArrayLike | None,
    strides: Pair,
    dilations: Pair,
    padding: Padding,
    groups: object,
) -> Array:
    """Sums and bias of a convolution, in float64."""
    cout = weights.shape[3]
    count = check_groups(groups, image.shape[3], cout)
    check_channels(
        weights.shape[2],
        image.shape[3] // count,
        image.shape,
        weights.shape,
        "(kh, kw, Cin//groups, Cout)",
        "OIHW",
    )
    offset = check_bias(bias, cout, image.dtype)
    size, before = _conv_sizes(image, weights, strides, dilations, padding)
    total = _zeros((len(image), *size, cout))
    for tap, coarse, fine in _links(weights, strides, dilations, before, size, image.shape[1:3]):
        parts = zip(_split(image[fine], count), _split(weights[tap], count), strict=True)
        total[coarse] += np.concatenate([_product(part, w) for part, w in parts], axis=-1)
    return _biased(total, offset)


@np.errstate(all="ignore")
def _transpose(
    image: Array,
    weights: Array,
    bias: ArrayLike | None,
    strides: Pair,
    dilations: Pair,
    padding: Padding,
    shape: list[Any] | None,
    extra: Pair | None,
    groups: object,
) -> Array:
    """Sums and bias of a transposed convolution, in float64."""
    count = check_groups(groups, image.shape[3], image.shape[3])
    cout = weights.shape[2] * count
    check_channels(
        weights.shape[3], image.shape[3], image.shape, weights.shape, "(kh, kw, Cout//groups, Cin)", "IOHW"
    )
    offset = check_bias(bias, cout, image.dtype)
    size, before = _transpose_sizes(image, weights, strides, dilations, padding, shape, extra, cout)
    total = _zeros((len(image), *size, cout))
    for tap, coarse, fine in _links(weights, strides, dilations, before, image.shape[1:3], size):
        parts = zip(_split(image[coarse], count), _split(weights[tap], count), strict=True)
        total[fine] += np.concatenate([_product(part, w.T) for part, w in parts], axis=-1)
    return _biased(total, offset)


def _links(
    weights: Array,
    strides: Pair,
    dilations: Pair,
    before: Pair,
    coarse: tuple[int, ...],
    fine: tuple[int, ...],
) -> Iterator[tuple[Pair, Region, Region]]:
    """Every tap that reaches the image, with the coarse positions that it links and their fine positions."""
    batch = slice(None)
    rows, columns = (
        [_meet(t * dilations[a] - before[a], strides[a], coarse[a], fine[a]) for t in range(weights.shape[a])]
        for a in (0, 1)
    )
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            if row and column:
                yield (i, j), (batch, row[0], column[0]), (batch, row[1], column[1])


def _meet(shift: int, stride: int, coarse: int, fine: int) -> tuple[slice, slice] | None:
    """All c in [0, coarse) with c * stride + shift in [0, fine), and the latter; None if there are none.

    >>> _meet(-1, 2, 3, 5)
    (slice(1, 3, None), slice(1, 4, 2))
    """
    first = max(0, -(shift // stride))  # ceil(-shift / stride)
    last = min(coarse - 1, (fine - 1 - shift) // stride)
    if last < first:
        return None
    return slice(first, last + 1), slice(first * stride + shift, last * stride + shift + 1, stride)


# ---- sizes -------------------------------------------------------------------------------------------------


def _conv_sizes(
    image: Array, weights: Array, strides: Pair, dilations: Pair, padding: Padding
) -> tuple[Pair, Pair]:
    """((Ho, Wo), (top, left))."""
    sizes, befores = [], []
    for a in (0, 1):
        n, s = image.shape[1 + a], strides[a]
        k = (weights.shape[a] - 1) * dilations[a] + 1
        if padding in ("same", "same_lower"):
            size = -(-n // s)
            before = _same_before((size - 1) * s + k - n, padding)
        else:
            before, after = (0, 0) if isinstance(padding, str) else padding[a]
            padded = n + before + after
            size = (padded - k) // s + 1
            if size < 0 or (size == 0 and n > 0):
                raise ValueError(
                    f"kernel covers {k} elements along {AXES[a]} but x has {padded} there, padding included; "
                    "give a larger x or a smaller kernel, or write padding='same'"
                )
        sizes.append(size)
        befores.append(before)
    return (sizes[0], sizes[1]), (befores[0], befores[1])


def _transpose_sizes(
    image: Array,
    weights: Array,
    strides: Pair,
    dilations: Pair,
    padding: Padding,
    shape: list[Any] | None,
    extra: Pair | None,
    cout: int,
) -> tuple[Pair, Pair]:
    """((Ho, Wo), (top, left)); a size is legal if its convolution has x's size."""
    wanted = _wanted(shape, extra, len(image), cout)
    sizes, befores = [], []
    for a in (0, 1):
        n, s = image.shape[1 + a], strides[a]
        k = (weights.shape[a] - 1) * dilations[a] + 1
        same = padding in ("same", "same_lower")
        before, after = (0, 0) if isinstance(padding, str) else padding[a]
        full = (n - 1) * s + k - before - after
        lowest = (n - 1) * s + 1 if same else full
        highest = lowest + s - 1
        if wanted is not None:
            size = wanted[a]
        elif extra is not None:
            size = (full - 2 * (k // 2) if same else full) + extra[a]
            bound = max(s, dilations[a])
            if extra[a] >= bound:
                raise ValueError(
                    f"output_padding must be smaller than the stride or the dilation ({bound} along "
                    f"{AXES[a]}); got {extra[a]}"
                )
            if not same:  # as in PyTorch: where the dilation is larger, sizes beyond the stride's
                highest = lowest + bound - 1
        elif same:
            size = n * s
        elif padding == "valid":
            size = n * s + max(k - s, 0)
        else:
            size = full
        if n == 0 and wanted is None:  # nothing to crop: a negative size is an empty one
            size = max(size, 0)
        elif not max(lowest, 0) <= size <= highest:
            asked = "output_padding" if extra else "output_shape" if wanted else "padding"
            legal = f"{max(lowest, 0)} to {highest}" if highest >= 0 else "none, the padding crops all of it"
            raise ValueError(
                f"{asked} gives an output {AXES[a]} of {size}, whose convolution has not x's {AXES[a]} {n}; "
                f"possible sizes: {legal} (stride {s}, kernel over {k} elements, padding {shown(padding)})"
            )
        sizes.append(size)
        befores.append(_same_before((n - 1) * s + k - size, padding) if same else before)
    return (sizes[0], sizes[1]), (befores[0], befores[1])


def _same_before(total: int, padding: Padding) -> int:
    """SAME puts the smaller half of its pads before the image, SAME_LOWER the larger half."""
    total = max(total, 0)
    return total - total // 2 if padding == "same_lower" else total // 2


def _wanted(shape: list[Any] | None, extra: Pair | None, batch: int, cout: int) -> Pair | None:
    if shape is None:
        return None
    if extra is not None:
        raise ValueError("output_shape and output_padding both choose the output's size; give one of them")
    sizes = [as_int(value, "output_shape") for value in shape]
    if len(sizes) == 4 and (sizes[0], sizes[3]) != (batch, cout):
        raise ValueError(
            f"output_shape {tuple(sizes)} must have x's batch {batch} and {cout} output channels"
        )
    if len(sizes) not in (2, 4):
        raise ValueError(f"output_shape must be (Ho, Wo) or (N, Ho, Wo, Cout); got {shown(tuple(sizes))}")
    return (sizes[0], sizes[1]) if len(sizes) == 2 else (sizes[1], sizes[2])


# ---- operands, sums, activations ---------------------------------------------------------------------------


def _operands(x: ArrayLike, kernel: ArrayLike, ndim: int) -> tuple[Array, Array]:
    """Both operands as images (N, H, W, C) and kernels (kh, kw, in, out); 1-D ones get one row."""
    image = as_operand(x, "x", ndim=ndim)
    weights = as_operand(kernel, "kernel", ndim=ndim, dtype=image.dtype)
    if 0 in weights.shape[:-2]:
        raise ValueError(f"kernel must have at least one tap along each axis; got shape {weights.shape}")
    check_taps(*(weights.shape[:2] if ndim == 4 else (1, weights.shape[0])))
    return (image, weights) if ndim == 4 else (image[:, None], weights[None])


def _sequence(value: Any) -> list[Any] | None:
    """output_shape as a list: one number stands for a list of one."""
    return None if value is None else list(np.atleast_1d(np.asarray(value, dtype=object)))


def _zeros(shape: tuple[int, ...]) -> Array:
    new_output(shape, FLOAT64)  # refuses what does not fit into memory
    return np.zeros(shape)


def _split(array: Array, groups: int) -> list[Array]:
    return np.split(array, groups, axis=-1)


@np.errstate(all="ignore")
def _product(a: Array, b: Array) -> Array:
    """a @ b in float64, with NumPy's NaN and infinities but without its warnings."""
    total: Array = np.matmul(a, b, dtype=np.float64)
    return total


@np.errstate(all="ignore")
def _biased(total: Array, bias: Array | None) -> Array:
    return total if bias is None else total + bias


def _finish(total: Array, activation: Any, dtype: np.dtype[Any]) -> Array:
    """The activation, in float64, then the operands' dtype; a callable is given the finished array."""
    formula = _formula(activation)
    with np.errstate(all="ignore"):
        try:
            result: Array = (total if formula is None else formula(total)).astype(dtype)
        except ValueError as error:
            raise ValueError(f"activation does not fit an output of shape {total.shape}: {error}") from None
    if formula is not None or activation is None:
        return result
    shape = result.shape
    try:
        result = np.asarray(activation(result))
    except ValueError as error:
        raise ValueError(f"activation must return an array of shape {shape}: {error}") from error
    if result.shape != shape or result.dtype.kind not in "fiub":
        raise ValueError(
            f"activation must return an array of shape {shape}; "
            f"it returned {result.dtype} of shape {result.shape}"
        )
    if result.dtype != dtype:
        raise TypeError(f"activation must return {dtype}, as the operands are; it returned {result.dtype}")
    return result.astype(dtype, copy=False)


def _sigmoid(v: Array) -> Array:
    e = np.exp(-np.abs(v))
    return np.where(v >= 0, 1 / (1 + e), e / (1 + e))


def _softmax(v: Array) -> Array:
    if v.shape[-1] == 0:
        return v
    e = np.exp(v - v.max(axis=-1, keepdims=True))
    share: Array = e / e.sum(axis=-1, keepdims=True)
    return share


def _gelu(v: Array) -> Array:
    # erfc keeps the digits that 1 + erf loses below zero.
    return v * np.asarray(np.frompyfunc(math.erfc, 1, 1)(-v / math.sqrt(2)), dtype=np.float64) / 2


def _leaky(v: Array, slope: Any) -> Array:
    return np.where(v < 0, v * slope, v)


def _elu(v: Array, alpha: float) -> Array:
    return np.where(v < 0, alpha * np.expm1(np.minimum(v, 0)), v)


FORMULAS: dict[str, Callable[[Array], Array]] = {
    "linear": lambda v: v,
    "relu": lambda v: np.maximum(v, 0),
    "relu6": lambda v: np.clip(v, 0, 6),
    "leaky_relu": lambda v: _leaky(v, 0.2),
    "elu": lambda v: _elu(v, 1.0),
    "sigmoid": _sigmoid,
    "tanh": np.tanh,
    "silu": lambda v: v * _sigmoid(v),
    "gelu": _gelu,
    "gelu_tanh": lambda v: v * (1 + np.tanh(math.sqrt(2 / math.pi) * (v + 0.044715 * v**3))) / 2,
    "hard_sigmoid": lambda v: np.clip(v + 3, 0, 6) / 6,
    "hard_swish": lambda v: v * np.clip(v + 3, 0, 6) / 6,
    "softplus": lambda v: np.logaddexp(v, 0),
    "softmax": _softmax,
    **_definitions.FORMULAS,
}

# The classes of convlite.activations, known by name: to call one of their objects runs the compiled core.
PARAMETRIC: dict[str, Callable[[Array, Any], Array]] = {
    "ReLU": lambda v, a: np.clip(v, 0, a.max_value),
    "LeakyReLU": lambda v, a: _leaky(v, a.alpha),
    "ELU": lambda v, a: _elu(v, a.alpha),
    "CELU": lambda v, a: _definitions.celu(v, a.alpha),
    "SoftShrink": lambda v, a: np.sign(v) * np.maximum(np.abs(v) - a.threshold, 0),
    "HardShrink": lambda v, a: np.where(np.abs(v) <= a.threshold, 0, v),
    "PReLU": lambda v, a: _leaky(v, a.alpha.astype(np.float64)),
}


def _formula(activation: Any) -> Callable[[Array], Array] | None:
    """The formula of a name or of an object of convlite.activations; None for None and other callables."""
    if hasattr(activation, "fused"):
        kind = PARAMETRIC.get(type(activation).__name__)
        if kind is not None:
            return lambda v: kind(v, activation)
        activation = getattr(activation, "name", activation)
    if isinstance(activation, str):
        activation = _definitions.SAME.get(activation, activation)
        if activation not in FORMULAS:
            raise ValueError(
                f"activation must be None, a callable or one of {', '.join(FORMULAS)}; "
                f"got {shown(activation)}"
            )
        return FORMULAS[activation]
    if activation is not None and (isinstance(activation, type) or not callable(activation)):
        raise TypeError(f"activation must be None, a name or a callable; got {shown(activation)}")
    return None


documented_module(globals())
