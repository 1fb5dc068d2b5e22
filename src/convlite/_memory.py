"""Arrays that start on a cache line."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from . import _kernels

ALIGNMENT = 64  # a cache line, and a whole AVX-512 vector
# NumPy's large arrays begin 16 bytes behind a line, so that every other vector of an AVX2 kernel and each
# of an AVX-512 kernel lies across two. From this size on the alignment saves more than the microsecond it
# costs: depthwise 3x3 on 96 channels of 56x56 goes from 55 to 74 GFLOP/s with x and output on a line, first
# layers and 1x1 gain 1 to 3%.
LARGE = 64 * 1024
_ALL = 2**62
_PAGES, _HUGE_PAGES = 1 << 20, 1 << 22  # bytes from which on memory is asked of the system; as NumPy does
PLAIN = 0x101  # in flags.num of an array: C-contiguous and aligned


def aligned_empty(size: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """An uninitialised 1-D array that starts on a cache line."""
    return _on_line((size,), size * dtype.itemsize, dtype)


def pages(nbytes: int) -> NDArray[Any]:
    """Uninitialised bytes that the system has back as soon as nobody uses them: malloc keeps some.

    >>> pages(1 << 20).nbytes
    1048576
    """
    if nbytes >= _PAGES:
        import mmap

        with suppress(AttributeError, OSError, OverflowError):  # Windows; NumPy says why there is none
            memory = mmap.mmap(-1, nbytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            array = np.frombuffer(memory, np.uint8)
            if nbytes >= _HUGE_PAGES:
                with suppress(AttributeError, OSError):  # not every system has huge pages
                    memory.madvise(mmap.MADV_HUGEPAGE)
            return array
    return aligned_empty(nbytes, np.dtype(np.uint8))


def empty(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """An uninitialised array of this shape, on a cache line if it is large; errors are numpy.empty's.

    >>> empty((1, 128, 128, 8), np.dtype("float32")).__array_interface__["data"][0] % 64
    0
    """
    nbytes = math.prod(shape) * dtype.itemsize
    return _on_line(shape, nbytes, dtype) if LARGE <= nbytes < _ALL else np.empty(shape, dtype)


def _on_line(shape: tuple[int, ...], nbytes: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    raw = np.empty(nbytes + ALIGNMENT, np.uint8)
    array: NDArray[Any] = np.ndarray(shape, dtype, raw, -_kernels.address(raw) % ALIGNMENT)
    if not array.flags.writeable:  # NumPy takes a failed allocation for a buffer that only can be read
        raise MemoryError
    return array


def is_large(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bool:
    """Whether an array is worth aligning, and not so large that numpy.empty must say why it fails.

    >>> is_large((4, 4), np.dtype("float32")), is_large((2**62, 2**62), np.dtype("float32"))
    (False, False)
    """
    return LARGE <= math.prod(shape) * dtype.itemsize < _ALL


def is_plain(value: object, shape: tuple[int, ...], dtype: np.dtype[Any]) -> TypeGuard[NDArray[Any]]:
    """Whether it is a C-contiguous and aligned array of this shape and this very dtype.

    >>> [is_plain(array, (2,), np.dtype(float)) for array in (np.ones(2), np.ones(4)[::2])]
    [True, False]
    """
    return (
        type(value) is np.ndarray
        and value.dtype is dtype
        and value.shape == shape
        and value.flags.num & PLAIN == PLAIN
    )
