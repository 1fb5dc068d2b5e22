"""Weights as arrays, in other layouts and other forms; `convlite.convert` shows the layouts in one table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._options import documented_module
from .arguments import (
    as_epsilon,
    as_flag,
    as_operand,
    as_size,
    check_bias,
    is_one_of,
    new_output,
    one_given,
    refuse_tensor_dtype,
    shown,
)

__all__ = [
    "from_torch", "to_torch", "from_onnx", "to_onnx", "from_keras", "to_keras",
    "nchw_to_nhwc", "nhwc_to_nchw",
    "dense_to_conv2d", "conv2d_to_dense", "fold_batch_norm",
]  # fmt: skip

Array = NDArray[Any]
Order = Literal["HWC", "CHW"]

_RANKS = {
    "conv2d": 4,
    "conv2d_transpose": 4,
    "depthwise_conv2d": 4,
    "dense": 2,
    "conv1d": 3,
    "conv1d_transpose": 3,
    "depthwise_conv1d": 3,
}
_DEPTHWISE = ("depthwise_conv2d", "depthwise_conv1d")
# What the frameworks call them, in lower case and without underscores.
_NAMES = {name.replace("_", ""): name for name in _RANKS} | {
    "linear": "dense",
    "convtranspose2d": "conv2d_transpose",
    "convtranspose1d": "conv1d_transpose",
}


def from_torch(weight: ArrayLike, operation: str = "conv2d", *, groups: int | None = None) -> Array:
    """Turn a PyTorch weight into a new convlite kernel of the same dtype.

    weight, operation, groups -> ndarray : A new kernel, in convlite's layout. : shared, convert

    Examples
    --------
    >>> from_torch(np.zeros((64, 3, 7, 5))).shape
    (7, 5, 3, 64)
    >>> from_torch(np.zeros((64, 3, 7, 5)), "conv2d_transpose").shape  # 64 channels in, 3 out
    (7, 5, 3, 64)
    >>> from_torch(np.zeros((6, 1, 3, 3)), "depthwise_conv2d", groups=3).shape
    (3, 3, 3, 2)
    """
    name = _operation(operation)
    array = _weight(weight, name, "PyTorch's")
    kernel = array.transpose(*range(2, array.ndim), 1, 0)
    if name in _DEPTHWISE:
        kernel = _split_depthwise(kernel, groups, array.shape)
    elif groups is not None and array.shape[0] % as_size(groups, "groups"):
        raise ValueError(
            f"groups must divide the weight's first axis; got groups={groups} and shape {array.shape}"
        )
    return np.array(kernel, order="C")


def to_torch(kernel: ArrayLike, operation: str = "conv2d") -> Array:
    """Turn a convlite kernel into a new array in PyTorch's layout: the inverse of `from_torch`.

    kernel, operation -> ndarray : A new array in PyTorch's layout. : shared, convert

    Examples
    --------
    >>> to_torch(np.zeros((7, 5, 3, 64))).shape
    (64, 3, 7, 5)
    """
    name = _operation(operation)
    array = _weight(kernel, name, "convlite's", "kernel")
    if name in _DEPTHWISE:
        array = array.reshape(*array.shape[:-2], 1, array.shape[-2] * array.shape[-1])
    return np.array(array.transpose(-1, -2, *range(array.ndim - 2)), order="C")


def from_onnx(
    weight: ArrayLike, operation: str = "Conv", *, groups: int | None = None, trans_b: bool = False
) -> Array:
    """Turn an ONNX weight into a new convlite kernel of the same dtype.

    A depthwise Conv is "depthwise_conv2d" here.

    weight, operation, groups, trans_b -> ndarray : A new kernel, in convlite's layout. : shared, onnx

    Examples
    --------
    >>> from_onnx(np.zeros((64, 3, 7, 5))).shape, from_onnx(np.zeros((10, 512)), "Gemm", trans_b=True).shape
    ((7, 5, 3, 64), (512, 10))
    """
    weight = as_operand(_detached(weight, "weight"), "weight")
    name = _onnx_operation(operation, weight.ndim)
    if name == "dense" and not as_flag(trans_b, "trans_b"):
        return np.array(_weight(weight, name, "ONNX's"), order="C")
    return from_torch(weight, name, groups=groups)


def to_onnx(kernel: ArrayLike, operation: str = "conv2d", *, trans_b: bool = False) -> Array:
    """Turn a convlite kernel into a new array in ONNX's layout: the inverse of `from_onnx`.

    kernel, operation, trans_b -> ndarray : A new array in ONNX's layout. : shared, convert

    Examples
    --------
    >>> to_onnx(np.zeros((7, 5, 3, 64))).shape, to_onnx(np.zeros((512, 10)), "Gemm").shape
    ((64, 3, 7, 5), (512, 10))
    """
    kernel = as_operand(_detached(kernel, "kernel"), "kernel")
    name = _onnx_operation(operation, kernel.ndim)
    if name == "dense" and not as_flag(trans_b, "trans_b"):
        return np.array(_weight(kernel, name, "convlite's", "kernel"), order="C")
    return to_torch(kernel, name)


def from_keras(weight: ArrayLike, operation: str = "conv2d") -> Array:
    """Return a new array with a Keras kernel, whose layout is convlite's own: dtype and rank are checked.

    weight, operation -> ndarray : A new kernel, in convlite's layout. : shared, convert

    Examples
    --------
    >>> from_keras(np.zeros((7, 5, 3, 64)), "Conv2D").shape
    (7, 5, 3, 64)
    """
    return np.array(_weight(weight, _operation(operation), "Keras's"), order="C")


def to_keras(kernel: ArrayLike, operation: str = "conv2d") -> Array:
    """Return a new array with a convlite kernel in Keras's layout, which is the same.

    kernel, operation -> ndarray : A new array in Keras's layout. : shared, convert

    Examples
    --------
    >>> to_keras(np.zeros((7, 5, 3, 64))).shape
    (7, 5, 3, 64)
    """
    return np.array(_weight(kernel, _operation(operation), "convlite's", "kernel"), order="C")


def nchw_to_nhwc(x: ArrayLike) -> Array:
    """Move channels last.

    Parameters
    ----------
    x : array_like, (N, C, H, W) or (N, C, W)
        An array of any dtype.

    Returns
    -------
    ndarray, (N, H, W, C) or (N, W, C)
        A new array.

    Raises
    ------
    ValueError
        For another rank.

    Examples
    --------
    >>> nchw_to_nhwc(np.zeros((8, 3, 32, 48))).shape
    (8, 32, 48, 3)
    """
    return _moved(x, 1, -1)


def nhwc_to_nchw(x: ArrayLike) -> Array:
    """Move channels first.

    Parameters
    ----------
    x : array_like, (N, H, W, C) or (N, W, C)
        An array of any dtype.

    Returns
    -------
    ndarray, (N, C, H, W) or (N, C, W)
        A new array.

    Raises
    ------
    ValueError
        For another rank.

    Examples
    --------
    >>> nhwc_to_nchw(np.zeros((8, 32, 48, 3))).shape
    (8, 3, 32, 48)
    """
    return _moved(x, -1, 1)


def dense_to_conv2d(
    kernel: ArrayLike,
    bias: ArrayLike | None = None,
    input_shape: Sequence[int] | None = None,
    order: Order = "HWC",
) -> tuple[Array, Array | None]:
    """Write a dense layer as a convolution with the same bias.

    With input_shape (H, W, C) the kernel is (H, W, C, M): one output on the image that used to be
    flattened, and on a larger image the dense layer at every place. Without it, or with (1, 1, K), it is
    (1, 1, K, M), for an image of K channels.

    Parameters
    ----------
    kernel : array_like, (K, M)
        The dense kernel.
    bias : array_like, (M,), or None, default None
        The bias.
    input_shape : (H, W, C) or None, default None
        The shape of the image that was flattened, H*W*C = K.
    order : str, default "HWC"
        How the image was flattened: "HWC" by TensorFlow and Keras, "CHW" by PyTorch and ONNX.

    Returns
    -------
    tuple
        The (kernel, bias) of the convolution.

    Raises
    ------
    TypeError
        For what is not float32 or float64.
    ValueError
        For a wrong rank, a name that is not known, or groups that do not fit.

    Examples
    --------
    >>> kernel, bias = dense_to_conv2d(np.arange(8.0).reshape(4, 2), np.zeros(2), (2, 2, 1))
    >>> kernel.shape, kernel[1, 0, 0]
    ((2, 2, 1, 2), array([4., 5.]))
    """
    array = as_operand(_detached(kernel, "kernel"), "kernel", ndim=2)
    size, outputs = array.shape
    offset = _copied_bias(bias, outputs, array.dtype)
    height, width, channels = (1, 1, size) if input_shape is None else _image_shape(input_shape)
    if height * width * channels != size:
        raise ValueError(
            f"input_shape must be (H, W, C) with H*W*C = {size}, the inputs of the kernel {array.shape}; "
            f"got {tuple(input_shape or ())}"
        )
    if _order(order) == "HWC":
        image = array.reshape(height, width, channels, outputs)
    else:
        image = array.reshape(channels, height, width, outputs).transpose(1, 2, 0, 3)
    return np.array(image, order="C"), offset


def conv2d_to_dense(
    kernel: ArrayLike, bias: ArrayLike | None = None, order: Order = "HWC"
) -> tuple[Array, Array | None]:
    """Write a convolution whose kernel covers its image as a dense layer: the inverse of `dense_to_conv2d`.

    Parameters
    ----------
    kernel : array_like, (H, W, C, M)
        The kernel.
    bias : array_like, (M,), or None, default None
        The bias.
    order : str, default "HWC"
        How the image was flattened: "HWC" by TensorFlow and Keras, "CHW" by PyTorch and ONNX.

    Returns
    -------
    tuple
        The (kernel, bias) of the dense layer; the kernel is (H*W*C, M).

    Raises
    ------
    TypeError
        For what is not float32 or float64.
    ValueError
        For a wrong rank, a name that is not known, or groups that do not fit.

    Examples
    --------
    >>> conv2d_to_dense(np.zeros((2, 2, 3, 5)))[0].shape
    (12, 5)
    """
    array = as_operand(_detached(kernel, "kernel"), "kernel", ndim=4)
    outputs = array.shape[3]
    offset = _copied_bias(bias, outputs, array.dtype)
    if _order(order) == "CHW":
        array = array.transpose(2, 0, 1, 3)
    rows = np.array(array, order="C").reshape(math.prod(array.shape[:3]), outputs)
    return rows, offset


def fold_batch_norm(
    kernel: ArrayLike,
    bias: ArrayLike | None,
    mean: ArrayLike,
    variance: ArrayLike,
    *,
    scale: ArrayLike | None = None,
    offset: ArrayLike | None = None,
    epsilon: float = 1e-3,
    operation: str = "conv2d",
    gamma: ArrayLike | None = None,
    beta: ArrayLike | None = None,
) -> tuple[Array, Array]:
    """Fold the batch normalisation behind an operation into it.

    An output y becomes (y - mean) * s + offset with s = scale / sqrt(variance + epsilon); so the kernel is
    multiplied by s along its output channels, and the bias is (bias - mean) * s + offset. Computed in
    float64, returned in the kernel's dtype. scale and offset are given by name, since frameworks differ in
    their order.

    Parameters
    ----------
    kernel : array_like
        The kernel, in convlite's layout.
    bias : array_like, (Cout,), or None
        The bias.
    mean : array_like, (Cout,)
        The moving mean, of the kernel's dtype, as the others.
    variance : array_like, (Cout,)
        The moving variance.
    scale : array_like, (Cout,), or None, default None
        The factor, Keras's gamma and PyTorch's weight; None: 1.
    offset : array_like, (Cout,), or None, default None
        What is added, Keras's beta and PyTorch's bias; None: 0.
    epsilon : float, default 0.001
        Added to the variance; the default is Keras's, PyTorch's is 1e-5.
    operation : str, default "conv2d"
        A name of the table above, the operation before.
    gamma : array_like, (Cout,), or None, default None
        Keras's name for scale.
    beta : array_like, (Cout,), or None, default None
        Keras's name for offset.

    Returns
    -------
    tuple
        The (kernel, bias) that do both.

    Raises
    ------
    TypeError
        For what is not float32 or float64.
    ValueError
        For a wrong rank, a name that is not known, or groups that do not fit.

    Examples
    --------
    >>> kernel, bias = fold_batch_norm(np.ones((1, 1, 1, 2)), None, [1.0, 2.0], [4.0, 9.0], epsilon=0.0)
    >>> kernel.ravel(), bias
    (array([0.5       , 0.33333333]), array([-0.5       , -0.66666667]))
    """
    name, small = _operation(operation), as_epsilon(epsilon)
    scale_name, scale = one_given(scale=scale, gamma=gamma)
    offset_name, offset = one_given(offset=offset, beta=beta)
    array = _weight(kernel, name, "convlite's", "kernel")
    centre = as_operand(mean, "mean", 1, array.dtype, ("kernel", None)).astype(np.float64)
    _check_output_channels(centre.size, array.shape, name)

    def per_channel(value: ArrayLike | None, what: str, default: float) -> Array:
        given = check_bias(value, centre.size, array.dtype, what, "kernel")
        return np.full(centre.size, default) if given is None else given.astype(np.float64)

    spread = as_operand(variance, "variance", 1, array.dtype, ("kernel", None))
    with np.errstate(all="ignore"):  # a variance below -epsilon is NaN, one of -epsilon inf
        factor = per_channel(scale, scale_name, 1.0) / np.sqrt(per_channel(spread, "variance", 1.0) + small)
        shifted = (per_channel(bias, "bias", 0.0) - centre) * factor + per_channel(offset, offset_name, 0.0)
        folded = array * _along_outputs(factor, array.shape, name)
        return folded.astype(array.dtype), shifted.astype(array.dtype)


def _check_output_channels(channels: int, shape: tuple[int, ...], operation: str) -> None:
    """Whether an operation with a kernel of this shape can have so many output channels."""
    if operation in ("conv2d_transpose", "conv1d_transpose"):
        per_group, inputs = shape[-2:]
        groups = channels // per_group if per_group else 1
        fits, rule = (
            channels == groups * per_group and groups > 0 and inputs % groups == 0,
            f"groups * {per_group}",
        )
    else:
        expected = shape[-2] * shape[-1] if operation in _DEPTHWISE else shape[-1]
        fits, rule = channels == expected, str(expected)
    if not fits:
        raise ValueError(
            f"mean must have {rule} values, one per output channel of the {operation} kernel {shape}; "
            f"got {channels}"
        )


def _along_outputs(values: Array, shape: tuple[int, ...], operation: str) -> Array:
    """One value per output channel (O,), arranged to broadcast against the kernel."""
    if operation in _DEPTHWISE:
        return values.reshape(shape[-2:])
    if operation in ("conv2d_transpose", "conv1d_transpose") and values.size:
        # The kernel's last axis holds the groups' input channels one after another: (O/g, g * I/g).
        groups = values.size // shape[-2]
        return np.repeat(values.reshape(groups, -1).T, shape[-1] // groups, axis=1)
    return values


def _operation(operation: str) -> str:
    if not isinstance(operation, str):
        raise TypeError(
            f"operation must be one of {', '.join(_RANKS)}; got {shown(operation)} "
            f"({type(operation).__name__})"
        )
    name = _NAMES.get(operation.replace("_", "").lower())
    if name is None:
        raise ValueError(f"operation must be one of {', '.join(_RANKS)}; got {shown(operation)}")
    return name


def _onnx_operation(operation: str, rank: int) -> str:
    if not isinstance(operation, str):
        return _operation(operation)
    known = {"Conv": "conv", "ConvTranspose": "convtranspose"}.get(operation)
    if known is not None:
        return _operation(f"{known}{'1d' if rank == 3 else '2d'}")
    return _operation({"Gemm": "dense", "MatMul": "dense"}.get(operation, operation))


def _detached(value: Any, name: str = "") -> Any:
    """A PyTorch tensor as a NumPy array, without importing PyTorch; anything else as it is. With a name,
    another dtype than float32 or float64 is refused by it.
    """
    if name:
        refuse_tensor_dtype(value, name)
    return value.detach().cpu().numpy() if hasattr(value, "detach") else value


def _weight(value: ArrayLike, operation: str, whose: str, name: str = "weight") -> Array:
    array = as_operand(_detached(value, name), name)
    if array.ndim != _RANKS[operation]:
        raise ValueError(
            f"{name} must have {_RANKS[operation]} dimensions in {whose} layout of {operation}; "
            f"got {array.shape}"
        )
    return array


def _split_depthwise(kernel: Array, groups: int | None, shape: tuple[int, ...]) -> Array:
    """(kh, kw, 1, C*multiplier) -> (kh, kw, C, multiplier), or (kw, ...) in 1-D."""
    if shape[1] != 1:
        raise ValueError(
            f"weight must be (C*multiplier, 1, kh, kw), in 1-D (C*multiplier, 1, kw); got {shape}. "
            f'With more than one input channel per group it is a "conv2d" with groups'
        )
    channels = shape[0] if groups is None else as_size(groups, "groups")
    if channels and shape[0] % channels:
        raise ValueError(f"groups must divide the weight's first axis; got groups={groups} and shape {shape}")
    return kernel.reshape(*kernel.shape[:-2], channels, shape[0] // channels if channels else 1)


def _moved(x: ArrayLike, source: int, target: int) -> Array:
    """A C-contiguous copy of an image of any dtype with one axis moved."""
    try:
        array = np.asarray(_detached(x))
    except (ValueError, TypeError) as error:
        from ._hints import not_an_array

        raise type(error)(f"x is not an array: {not_an_array(x, 'x', error)}") from None
    if array.ndim < 3:
        raise ValueError(
            f"x must have a batch, a channel and at least one image axis; got shape {array.shape}"
        )
    moved = np.moveaxis(array, source, target)
    result = new_output(moved.shape, moved.dtype)
    result[...] = moved
    return result


def _image_shape(value: Sequence[int]) -> tuple[int, int, int]:
    if not isinstance(value, Sequence) or len(value) != 3:
        raise ValueError(f"input_shape must be (H, W, C) or None; got {shown(value)}")
    height, width, channels = (as_size(size, f"input_shape[{axis}]") for axis, size in enumerate(value))
    return height, width, channels


def _order(order: str) -> str:
    if not is_one_of(order, ("HWC", "CHW")):
        raise ValueError(
            f'order must be "HWC" (TensorFlow, Keras) or "CHW" (PyTorch, ONNX); got {shown(order)}'
        )
    return order


def _copied_bias(bias: ArrayLike | None, outputs: int, dtype: np.dtype[Any]) -> Array | None:
    array = check_bias(_detached(bias, "bias"), outputs, dtype, against="kernel")
    return None if array is None else array.copy()


documented_module(globals())
