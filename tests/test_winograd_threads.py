"""Winograd's form on several threads where the weights are large: each thread reads its own."""

import numpy as np
import pytest

import convlite as cl
from convlite import _dispatch
from convlite.geometry import Geometry, conv_axis, transpose_axis
from convlite.plan.choice import plan_for
from convlite.plan.problem import Weights


def numbers(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).standard_normal(shape, dtype=np.float32)


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("threads", [2, 3, 4, 7])
@pytest.mark.parametrize("cout", [128, 130, 200])
@pytest.mark.parametrize("operation", ["conv2d", "conv2d_transpose"])
def test_bits_of_large_weights_depend_on_no_number_of_threads(
    operation: str, cout: int, threads: int
) -> None:
    """Few tiles and 2 to 6 MB of weights; panels that the threads share equally, and others."""
    x, bias = numbers(1, 10, 13, 128), numbers(cout)
    if operation == "conv2d":
        array, strides = numbers(3, 3, 128, cout), 1
        rows, columns = (conv_axis(n, 3, 1, 1, "same", "") for n in (10, 13))
    else:
        array, strides = numbers(4, 4, cout, 128), 2
        rows, columns = (transpose_axis(n, 4, 2, 1, "same", "") for n in (10, 13))
    geometry = Geometry(1, rows, columns, 128, cout, 1)
    weights = Weights(operation, array.shape, (strides, strides))
    plan = plan_for(geometry, weights, x.dtype, _dispatch.active_isa(), fast=True)
    assert plan.form == "winograd"
    kernel = cl.PackedKernel(array, operation, strides=strides)
    results = []
    for count in (1, threads):
        out = np.full(geometry.out_shape, np.nan, np.float32)
        plan.runner.run(x, kernel.panels(plan.layout).data, bias, None, out, 0, 0.0, 0.0, True, count)
        results.append(out)
    np.testing.assert_array_equal(results[0].view("u4"), results[1].view("u4"))
