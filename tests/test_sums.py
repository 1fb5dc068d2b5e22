"""How much sums err, from 64 products to twenty million: what sums.py derives, and what that is for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import convlite as cl
from convlite import sums

LENGTHS = [
    64,
    256,
    1000,
    4096,
    25088,
    pytest.param(1_000_000, marks=pytest.mark.long),
    pytest.param(20_000_000, marks=pytest.mark.long),
]


def numbers(kind: str, shape: tuple[int, ...], dtype: Any = np.float32) -> np.ndarray:
    rng = np.random.default_rng(sum(shape))
    return (rng.random(shape) if kind == "positive" else rng.standard_normal(shape)).astype(dtype)


def check(got: np.ndarray, exact: np.ndarray, absolute: np.ndarray) -> None:
    """The bound of each, and the root of the mean square of all, a multiple of the largest output.

    A chain of n roundings with random signs errs by about 0.6 u * sqrt(n / 3) of its sum: 5.5 u for a piece
    of 256 positive numbers (3.2 u was measured), and the pieces of longer sums lessen that. One chain without
    pieces errs by 6.4 u at 1000 products, 14 u at 4096 and 39 u at 25088: 4.5 u tells them apart. With base's
    separate products each adds a rounding of its own.
    """
    u = 2.0**-24
    error = np.abs(got.astype(np.float64) - exact)
    bound = sums.PIECE + sums.SECTION / sums.PIECE + 4  # + 3, and 1 for the product's own rounding
    assert (error <= bound * u * absolute).all()
    assert np.sqrt(np.mean(error**2)) <= 4.5 * u * np.abs(exact).max()


@pytest.mark.parametrize("kind", ["positive", "mixed"])
@pytest.mark.parametrize("rows", [1, 16])
@pytest.mark.parametrize("length", LENGTHS)
def test_dense_does_not_drift(isa: str, length: int, rows: int, kind: str) -> None:
    if length > 10**5:
        rows = min(rows, 2)
    columns = max(min(64, 2 * 10**7 // length), 2)
    x, w = numbers(kind, (rows, length)), numbers(kind, (length, columns))
    exact, absolute = np.zeros((rows, columns)), np.zeros((rows, columns))
    for k in range(0, length, 10**6):
        a, b = x[:, k : k + 10**6].astype(np.float64), w[k : k + 10**6].astype(np.float64)
        exact += a @ b
        absolute += np.abs(a) @ np.abs(b)
    check(cl.dense(x, w), exact, absolute)


@pytest.mark.parametrize("kind", ["positive", "mixed"])
@pytest.mark.parametrize(
    ("shape", "kernel", "operation"),
    [
        ((1, 5, 6, 512), (3, 3, 512, 40), "conv2d"),
        ((1, 5, 9, 700), (3, 3, 700, 2), "conv2d"),  # few outputs
        ((1, 12, 12, 64), (9, 9, 64, 33), "conv2d"),
        ((1, 40, 40, 16), (31, 31, 16, 1), "depthwise_conv2d"),
        ((1, 3, 3, 2000), (1, 1, 2000, 3), "conv2d"),
    ],
)
def test_windows_do_not_drift(
    isa: str, shape: tuple[int, ...], kernel: tuple[int, ...], operation: str, kind: str
) -> None:
    x, w = numbers(kind, shape), numbers(kind, kernel)
    run, define = getattr(cl, operation), getattr(cl.reference, operation)
    a, b = x.astype(np.float64), w.astype(np.float64)
    check(run(x, w), define(a, b), define(np.abs(a), np.abs(b)))


@pytest.mark.parametrize("channels", [1, 3, 64, 256, 257, 5376, 5377, 25088])
@pytest.mark.parametrize("width", [1, 3, 9, 300, 600])
def test_cuts_are_whole_rows_taps_or_channels(width: int, channels: int) -> None:
    cut = sums.cuts(width, channels)
    assert 0 < cut.part <= sums.PIECE
    assert cut.period % channels == 0 or cut.period % (width * channels) == 0 or cut.period <= sums.PIECE
    assert cut.taps <= max(sums.SECTION_TAPS, width)
    assert cut.taps * min(cut.channels, channels) <= max(sums.SECTION, sums.PIECE)


def test_a_mean_of_many_numbers_is_right_to_the_last_bit() -> None:
    """One chain of floats errs by the same amount at each step, where all numbers are alike."""
    x = np.full((1, 60, 60, 19), 0.1, np.float32)
    for mean in (
        cl.avg_pool2d(x, 59, strides=1), cl.avg_pool2d(x, 60), cl.avg_pool2d(x, 20),
        cl.adaptive_avg_pool2d(x, 7), cl.adaptive_avg_pool2d(x, 1), cl.global_avg_pool2d(x),
    ):  # fmt: skip
        np.testing.assert_array_equal(mean, np.float32(0.1))


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (7, 7), (56, 56)])
def test_a_window_that_is_the_image_gives_the_global_mean(
    isa: str, dtype: Any, size: tuple[int, int]
) -> None:
    x = numbers("mixed", (3, *size, 37), dtype)
    want = cl.global_avg_pool2d(x, keepdims=True).tobytes()
    assert cl.avg_pool2d(x, size).tobytes() == want
    assert cl.avg_pool2d(x, size, strides=1, padding="valid").tobytes() == want
    assert cl.adaptive_avg_pool2d(x, 1).tobytes() == want
