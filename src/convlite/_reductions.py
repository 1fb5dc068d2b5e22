"""Sums along rows in an order that does not depend on the number of rows, unlike the order of NumPy's sum."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
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
