"""A call of each operation, and arrays of odd kinds."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

CONV = ("conv2d", (1, 5, 6, 4), (3, 3, 4, 6), {"padding": "same"}, (1, 5, 6, 6))
TRANSPOSE = ("conv2d_transpose", (1, 3, 2, 4), (3, 3, 6, 4), {"strides": 2, "padding": "same"}, (1, 6, 4, 6))
DEPTHWISE = ("depthwise_conv2d", (1, 5, 6, 4), (3, 3, 4, 2), {"padding": "same"}, (1, 5, 6, 8))
DENSE = ("dense", (2, 3, 4), (4, 5), {}, (2, 3, 5))
CONV1D = ("conv1d", (2, 6, 4), (3, 4, 5), {"padding": "same"}, (2, 6, 5))
TRANSPOSE1D = ("conv1d_transpose", (2, 3, 4), (3, 5, 4), {"strides": 2}, (2, 7, 5))
CALLS = [pytest.param(*call, id=call[0]) for call in (CONV, TRANSPOSE, DEPTHWISE, DENSE, CONV1D, TRANSPOSE1D)]
every_operation = pytest.mark.parametrize(("name", "x_shape", "kernel_shape", "options", "shape"), CALLS)


def numbers(shape: tuple[int, ...], dtype: Any = np.float32) -> np.ndarray:
    """Whole numbers: every sum of a few of them is exact."""
    return (np.arange(math.prod(shape)) * 7 % 11 - 5.0).reshape(shape).astype(dtype)


def operands(x_shape: Any, kernel_shape: Any, shape: Any, dtype: Any = np.float32) -> list[np.ndarray]:
    return [numbers(x_shape, dtype), numbers(kernel_shape, dtype), numbers(shape[-1:], dtype)]


def unaligned(array: np.ndarray) -> np.ndarray:
    room = np.empty(array.nbytes + 1, np.uint8)[1:].view(array.dtype).reshape(array.shape)
    room[...] = array
    return room


def frozen(array: np.ndarray) -> np.ndarray:
    copy = array.copy()
    copy.setflags(write=False)
    return copy


def strided(array: np.ndarray) -> np.ndarray:
    room = np.full((*array.shape[:-1], 2 * array.shape[-1]), np.nan, array.dtype)
    room[..., ::2] = array
    return room[..., ::2]
