"""The weights of layers as arrays: they are checked, read-only and of the layer's dtype."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import initializers
from ..arguments import shown

__all__ = ["as_dtype", "as_weight", "frozen", "initializer", "read_only"]

Array = npt.NDArray[Any]
_DTYPES = {np.dtype(np.float32), np.dtype(np.float64)}


def as_dtype(dtype: npt.DTypeLike) -> np.dtype[Any]:
    try:
        result: np.dtype[Any] = np.dtype(dtype)
    except Exception:  # any error, for example of a repr
        result = np.dtype(object)
    if dtype is None or result not in _DTYPES:  # NumPy takes None as float64
        raise TypeError(f"dtype must be float32 or float64; got {shown(dtype)}")
    return result


def initializer(spec: Any, weight: str) -> Callable[..., Array]:
    try:
        return initializers.get(spec)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{weight}_initializer: {error}") from None


def as_weight(value: npt.ArrayLike, label: str, dtype: np.dtype[Any]) -> Array:
    try:
        array = np.asarray(value)
    except ValueError as error:
        from .._hints import not_an_array

        raise ValueError(f"weight {label!r} is not an array: {not_an_array(value, label, error)}") from None
    if array.dtype != dtype:  # the byte order does not matter: '>f4' counts as float32
        if array.dtype.newbyteorder("=") == dtype:
            return array.astype(dtype)
        if array.dtype.name in ("float16", "bfloat16"):  # every number of these is exact in dtype
            return array.astype(dtype)
        if array.dtype.kind not in "biuf":
            raise TypeError(f"weight {label!r} must be {dtype}; got {array.dtype}")
        raise TypeError(
            f"weight {label!r} must be {dtype}; got {array.dtype}: cast it with np.asarray(w, {dtype.name!r})"
            + (f", or make the layer with dtype={array.dtype.name!r}" if array.dtype in _DTYPES else "")
        )
    return array


def read_only(array: Array) -> Array:
    view = array.view()
    view.flags.writeable = False
    return view


def frozen(array: Array) -> Array:
    return read_only(np.array(array, order="C"))
