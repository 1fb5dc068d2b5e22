"""Few rows times a kernel that is an array: the bits of the packed kernel, and the reference's values."""

import numpy as np
import pytest
from tolerance import tolerance

import convlite as cl
from convlite import reference
from convlite.arguments import as_padding
from convlite.plan import planned
from convlite.plan.choice import OWN_CACHE
from convlite.plan.few_rows import MOST_ROWS, TALL_ROWS

ROWS = (*range(1, 20), 28)  # groups of all sizes, alone and beside one that is a row smaller


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


SIZES = [(1, 1), (3, 15), (37, 100), (131, 33), (600, 150), (2600, 110)]  # products, columns


@pytest.mark.parametrize(("products", "columns"), SIZES)
def test_rows_times_an_array_have_the_bits_of_the_packed_kernel(
    isa: str, dtype: np.dtype, products: int, columns: int
) -> None:
    kernel = numbers(products, columns, seed=1).astype(dtype)
    packed = cl.PackedKernel(kernel, "dense")
    large = (29, 57, MOST_ROWS, TALL_ROWS)  # with large kernels only
    for rows in ROWS if products < 1000 else large:
        x = numbers(rows, products, seed=rows).astype(dtype)
        y = cl.dense(x, kernel)
        assert np.array_equal(y, cl.dense(x, packed)), rows
        scale = np.abs(x).max() * np.abs(kernel).max() * products**0.5
        np.testing.assert_allclose(y, reference.dense(x, kernel), **tolerance(dtype, products, scale))


@pytest.mark.parametrize("size", [2, 4, 5, 10])
@pytest.mark.parametrize("channels", [(5, 36), (70, 40), (300, 100)])
def test_small_maps_too(isa: str, threads: int, size: int, channels: tuple[int, int]) -> None:
    x = numbers(1, size, size, channels[0]).astype("f4")
    kernel = numbers(3, 3, *channels, seed=1).astype("f4")
    call = ("conv2d", x.shape, kernel.shape, (1, 1), as_padding(1), (1, 1), 1, None, None, 2)
    plan = planned(isa, x.dtype, False, False, True, *call)
    assert (plan.form == "few_rows") == (size < 10 or kernel.nbytes > OWN_CACHE)
    y = cl.conv2d(x, kernel, padding=1)
    assert np.array_equal(y, cl.conv2d(x, cl.PackedKernel(kernel), padding=1))
    scale = np.abs(x).max() * np.abs(kernel).max() * 3 * channels[0] ** 0.5
    want = reference.conv2d(x, kernel, padding=1)
    np.testing.assert_allclose(y, want, **tolerance(x.dtype, 9 * channels[0], scale))
