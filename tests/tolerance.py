"""How far two correct results may lie apart: the one tolerance of the test suite."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import DTypeLike


def tolerance(dtype: DTypeLike, terms: int, scale: float = 1.0) -> dict[str, float]:
    """Return rtol and atol, for numpy.testing.assert_allclose, of a sum of `terms` products in `dtype`.

    scale: the size that partial sums reach. np.abs(want).max() does for a large result; for a few outputs,
    which may happen to be near zero, pass np.abs(x).max() * np.abs(kernel).max() * sqrt(terms).

    atol: each of the n + 1 additions (the last one adds the bias) rounds by at most u * scale, u = eps / 2,
    in either direction. Independent roundings add up as a random walk, to sqrt(n + 1) * u * scale rather than
    to the worst case (n + 1) * u * scale (Higham and Mary, "A new approach to probabilistic rounding error
    analysis", SIAM J. Sci. Comput. 41, 2019). Eight times that, 4 * sqrt(n + 1) * eps * scale, leaves room
    for a million outputs, for an expected value that is rounded as well, and for an activation of slope up
    to 1.2. A lost tap changes a sum by about scale / sqrt(n), in float32 400 times more at n = 5000.

    rtol: 8 eps, for the exp, tanh or erf of an activation, good to a few units in the last place.

    >>> bounds = tolerance("float32", 3 * 3 * 64, scale=30.0)
    >>> f"rtol {bounds['rtol']:.1e}, atol {bounds['atol']:.1e}"
    'rtol 9.5e-07, atol 3.4e-04'
    """
    eps = float(np.finfo(dtype).eps)
    return {"rtol": 8 * eps, "atol": 4 * math.sqrt(terms + 1) * eps * scale}
