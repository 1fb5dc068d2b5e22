"""Kernels of Flax and JAX, whose transposed convolution does not mirror them; part of `convlite.convert`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._options import suggesting
from ._weights import _detached, _operation, _split_depthwise, _weight
from .arguments import as_flag, as_operand

__all__ = ["from_flax", "to_flax"]

Array = NDArray[Any]


@suggesting
def from_flax(
    weight: ArrayLike, operation: str = "Conv", *, groups: int | None = None, transpose_kernel: bool = False
) -> Array:
    """Turn a Flax kernel into a new convlite kernel of the same dtype.

    Conv and Dense have convlite's layout. ConvTranspose, and lax.conv_transpose, do not mirror the kernel
    and have it as (kh, kw, in, out): it is mirrored here, and the channels change places. A depthwise Conv,
    where feature_group_count is the number of channels, has (kh, kw, 1, C*multiplier): "depthwise_conv2d"
    here, with groups=C where the multiplier is not 1. The paddings "SAME" and "VALID" give convlite's sizes
    and places.

    Parameters
    ----------
    weight : array_like or tensor
        The weight, float32 or float64.
    operation : str, default "Conv"
        A name of the table above, or Flax's: "Conv" and "ConvTranspose" (of 1 or 2 dimensions, by the
        weight's rank), "Dense".
    groups : int or None, default None
        The groups: needed for a depthwise kernel with a multiplier, elsewhere only checked.
    transpose_kernel : bool, default False
        Flax's option of ConvTranspose, with which its layout is convlite's.

    Returns
    -------
    ndarray
        A new kernel in convlite's layout, of the same dtype.

    Raises
    ------
    TypeError
        For what is not float32 or float64.
    ValueError
        For a wrong rank, a name that is not known, or groups that do not fit.

    Examples
    --------
    >>> from_flax(np.arange(6.0).reshape(3, 1, 2), "ConvTranspose")[:, 0, 0]
    array([4., 2., 0.])
    >>> from_flax(np.zeros((3, 3, 1, 6)), "depthwise_conv2d", groups=3).shape
    (3, 3, 3, 2)
    """
    weight = as_operand(_detached(weight), "weight")
    name = _flax_operation(operation, weight.ndim)
    array, as_it_is = _weight(weight, name, "Flax's"), as_flag(transpose_kernel, "transpose_kernel")
    if name.startswith("depthwise"):
        shape = (array.shape[-1], array.shape[-2], *array.shape[:-2])
        array = _split_depthwise(array, groups, shape)
    elif name.endswith("transpose") and not as_it_is:
        array = _mirrored(array)
    return np.array(array, order="C")


@suggesting
def to_flax(kernel: ArrayLike, operation: str = "Conv", *, transpose_kernel: bool = False) -> Array:
    """Turn a convlite kernel into a new array in Flax's layout: the inverse of `from_flax`.

    Parameters
    ----------
    kernel : array_like
        The kernel, in convlite's layout, float32 or float64.
    operation : str, default "Conv"
        A name of the table above, or Flax's.
    transpose_kernel : bool, default False
        Flax's option of ConvTranspose, with which its layout is convlite's.

    Returns
    -------
    ndarray
        A new array in Flax's layout.

    Raises
    ------
    TypeError
        For what is not float32 or float64.
    ValueError
        For a wrong rank, a name that is not known, or groups that do not fit.

    Examples
    --------
    >>> to_flax(np.zeros((3, 5, 2, 4)), "ConvTranspose").shape
    (3, 5, 4, 2)
    """
    kernel = as_operand(_detached(kernel), "kernel")
    name = _flax_operation(operation, kernel.ndim)
    array, as_it_is = (
        _weight(kernel, name, "convlite's", "kernel"),
        as_flag(transpose_kernel, "transpose_kernel"),
    )
    if name.startswith("depthwise"):
        array = array.reshape(*array.shape[:-2], 1, array.shape[-2] * array.shape[-1])
    elif name.endswith("transpose") and not as_it_is:
        array = _mirrored(array)
    return np.array(array, order="C")


def _mirrored(kernel: Array) -> Array:
    """The kernel with its taps in reverse order and its channel axes exchanged."""
    return np.flip(kernel, axis=tuple(range(kernel.ndim - 2))).swapaxes(-1, -2)


def _flax_operation(operation: str, rank: int) -> str:
    known = (
        {"Conv": "conv", "ConvTranspose": "convtranspose"}.get(operation)
        if isinstance(operation, str)
        else None
    )
    return _operation(operation if known is None else f"{known}{'1d' if rank == 3 else '2d'}")
