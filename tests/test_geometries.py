"""Every geometry that the argument checks let through has a plan in every form, and each gives the
definition's values; whole numbers, so that no rounding hides a wrong product.
"""

from __future__ import annotations

from typing import Any

import fuzz
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import convlite as cl


@settings(max_examples=400)
@given(st.binary(min_size=26, max_size=26))
def test_every_geometry_has_a_plan_in_every_form(isa: str, data: bytes) -> None:
    fuzz.plans(data)


@pytest.mark.parametrize("groups", [1, 2, 3])
@pytest.mark.parametrize("axis", [0, 1])
def test_outputs_that_no_tap_reaches(isa: str, dtype: np.dtype, groups: int, axis: int) -> None:
    """One output, behind a crop that leaves none of the taps to it: zeros and the bias."""
    x, kernel = np.ones((1, 1, 1, 6), dtype), np.ones((1, 1, 6 // groups, 6), dtype)
    bias = np.arange(6.0).astype(dtype)
    strides, extra = [1, 1], [0, 0]
    pads: list[tuple[int, int]] = [(0, 0), (0, 0)]
    strides[axis], extra[axis], pads[axis] = 2, 1, (1, 0)
    options: dict[str, Any] = {
        "strides": tuple(strides), "padding": tuple(pads), "output_padding": tuple(extra), "groups": groups
    }  # fmt: skip
    packed = cl.PackedKernel(kernel, "conv2d_transpose", strides=options["strides"], groups=groups)
    layer = cl.layers.Conv2DTranspose(6, 1, dtype=dtype.name, **options)
    assert not layer(x).any()
    for weights in (kernel, packed):
        np.testing.assert_array_equal(cl.conv2d_transpose(x, weights, bias, **options).ravel(), bias)
    depthwise = np.ones((1, 1, 1, 6), dtype)
    got = cl.conv2d_transpose(x, depthwise, bias, **{**options, "groups": 6})
    np.testing.assert_array_equal(got.ravel(), bias)
    if axis == 1:
        line = {"strides": 2, "padding": (1, 0), "output_shape": 1, "groups": groups}
        np.testing.assert_array_equal(cl.conv1d_transpose(x[0], kernel[0], bias, **line).ravel(), bias)
