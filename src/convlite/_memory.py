"""Arrays that start on a cache line."""

from __future__ import annotations

import math
from collections.abc import Iterable
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
_PAGES, HUGE_PAGE = 1 << 20, 1 << 21  # bytes from which on memory is asked of the system, and in huge pages
# Bytes of an array in a Room. Smaller ones take the places that malloc has free: from 128 KB on in a Room, a
# DenseNet-121's process had 12 MB more, from 256 KB on 1 MB.
APART = 1 << 19
PLAIN = 0x101  # in flags.num of an array: C-contiguous and aligned


def aligned_empty(size: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """An uninitialised 1-D array that starts on a cache line."""
    return _on_line((size,), size * dtype.itemsize, dtype)


def pages(nbytes: int, more: int = 0) -> NDArray[Any]:
    """Uninitialised bytes that the system has back as soon as nobody uses them: malloc keeps some.

    more: bytes behind them that may be needed, or never touched.

    >>> pages(1 << 20).nbytes
    1048576
    """
    if nbytes >= _PAGES:
        import mmap

        huge = nbytes // HUGE_PAGE * HUGE_PAGE
        with suppress(AttributeError, OSError, OverflowError):  # Windows; NumPy says why there is none
            # Linux aligns whole huge pages only; what is left of the last one is never touched
            size = (nbytes + more) // HUGE_PAGE * HUGE_PAGE + HUGE_PAGE if huge else nbytes
            memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            array = np.frombuffer(memory, np.uint8, nbytes + more)
            if huge:
                with suppress(AttributeError, OSError):  # not every system has huge pages
                    memory.madvise(mmap.MADV_HUGEPAGE, 0, huge)
            return array
    return aligned_empty(nbytes + more, np.dtype(np.uint8))


class Room:
    """Large arrays of about so many bytes each, side by side in one piece of memory, as far as it goes.

    Touching new memory takes 0.46 ms/MB in pages of 4 KB, 0.32 with MAP_POPULATE, 0.02 in huge pages (Zen 4,
    a virtual machine). The system has the memory back when none of the arrays is left.

    >>> Room([1 << 22]).empty(1 << 20, np.dtype("f4")).nbytes
    4194304
    """

    def __init__(self, nbytes: Iterable[int]) -> None:
        total = sum([size for size in nbytes if size >= APART])
        # one array, or none: who has taken it out has it alone
        self._left = [pages(total, total // 4)] if total >= HUGE_PAGE else []

    def empty(self, size: int, dtype: np.dtype[Any]) -> NDArray[Any]:
        """An uninitialised 1-D array that starts on a cache line."""
        nbytes = size * dtype.itemsize
        with suppress(IndexError):
            if nbytes >= APART:
                left = self._left.pop()
                fits = nbytes <= left.nbytes
                self._left.append(left[-(-nbytes // ALIGNMENT) * ALIGNMENT :] if fits else left)
                if fits:
                    return left[:nbytes].view(dtype)
        return aligned_empty(size, dtype)


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
