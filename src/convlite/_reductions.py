"""Sums along rows in NumPy, in one order whatever the number of rows: NumPy's own order is its own affair."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _dispatch, _kernels, _threads

Array = NDArray[Any]
_PASS, _REDUCE = _kernels.pass_codes(), _kernels.reduce_codes()
BLOCK = 1 << 16  # numbers to work on at a time: what NumPy writes between its steps stays in the cache


def sum_rows(rows: Array) -> Array:
    """The sum along the second axis of (R,n) or (R,n,C), of size 1 then: halves are added until one is left.

    >>> sum_rows(np.arange(10.0).reshape(2, 5)).tolist()
    [[10.0], [35.0]]
    """
    if rows.shape[1] == 0:
        return np.zeros((len(rows), 1, *rows.shape[2:]), rows.dtype)
    while (n := rows.shape[1]) > 1:
        half = n // 2
        added = rows[:, :half] + rows[:, half : 2 * half]
        if n % 2:
            added[:, 0] += rows[:, -1]
        rows = added
    return rows


def log_softmax_rows(x: Array, out: Array, exponential: int) -> None:
    """x - max - log(sum(exp(x - max))) of rows. exponential: the core's code of that activation.

    Sums and logarithms are float64; long rows have their exponentials in x's dtype.
    """
    isa, threads = _dispatch.active_isa(), _threads.threads_for(0.3 * x.size)

    def powers(of: Array) -> Array:
        result = np.empty_like(of)
        _kernels.activate(isa, of.itemsize, of, result, 1, of.size, None, exponential, 0.0, 0.0, threads)
        return result

    with np.errstate(all="ignore"):
        if x.shape[1] < 64:  # too short to be worth a sum of their own in the core
            values = x.astype(np.float64)
            values -= values.max(axis=-1, keepdims=True)
            out[...] = values - np.log(sum_rows(powers(values)))
            return
        largest, total = np.empty((len(x), 1), x.dtype), np.empty((len(x), 1))
        _kernels.reduce(isa, _REDUCE["max"], x[..., None], largest, threads)
        _kernels.elementwise(isa, _PASS["sub"], x, largest, out, threads=threads)
        wide = powers(out).astype(np.float64, copy=False)
        _kernels.reduce(isa, _REDUCE["sum"], wide[..., None], total, threads)
        logarithm = np.log(total).astype(x.dtype)
        _kernels.elementwise(isa, _PASS["sub"], out, logarithm, out, threads=threads)
