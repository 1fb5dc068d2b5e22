"""A call of every kernel, small enough for valgrind: see .ci/sanitize."""

from __future__ import annotations

import itertools
import sys

import numpy as np
from cases import SMALL

import convlite as cl


def run() -> None:
    """Every third small case, every activation, the pools and Winograd's form, against the reference."""
    count = 0
    for case, dtype in itertools.product(SMALL[::3], (np.float32, np.float64)):
        x, kernel, bias = case.operands(dtype)
        options = {k: v for k, v in case.options.items() if k != "precision"}
        got = getattr(cl, case.operation)(x, kernel, bias, **options)
        want = getattr(cl.reference, case.operation)(x, kernel, bias, **options)
        np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-3)
        count += 1
    x = np.linspace(-3, 3, 3 * 14 * 13 * 9).reshape(3, 14, 13, 9)
    for dtype in (np.float32, np.float64):
        image = x.astype(dtype)
        for name in cl.activations.NAMES:
            assert np.isfinite(cl.activate(image[0, 0], name)).all()
            count += 1
        kernel = image[:1, :3, :3].reshape(3, 3, 9, 1).repeat(11, 3)
        near = cl.conv2d(image, kernel, precision="fast"), cl.reference.conv2d(image, kernel)
        np.testing.assert_allclose(*near, rtol=1e-2, atol=1e-2)
        for pool in (cl.max_pool2d, cl.avg_pool2d):
            assert np.isfinite(pool(image, 3, strides=2, padding="same")).all()
            count += 1
    sys.stdout.write(f"{count} calls\n")
