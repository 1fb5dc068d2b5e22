"""NaN, Inf, -0.0 and overflow, operation by operation, as NumPy's own arithmetic has them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from calls import every_operation, numbers

import convlite as cl

SPECIAL = (0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 3.0)


def windows(x: np.ndarray, size: int) -> np.ndarray:
    """(N, Ho, Wo, C, size*size) of a pool with stride 1 and no padding."""
    n, h, w, c = x.shape
    view = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(1, 2))
    return view.reshape(n, h - size + 1, w - size + 1, c, size * size)


def mean(taps: np.ndarray) -> np.ndarray:
    """The sum of the last axis in its order, divided."""
    with np.errstate(all="ignore"):
        total = np.zeros(taps.shape[:-1], taps.dtype)
        for t in range(taps.shape[-1]):
            total += taps[..., t]
        return total / taps.dtype.type(taps.shape[-1])


def maximum(taps: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        return taps.max(axis=-1)


@pytest.mark.parametrize("channels", [1, 3, 8, 16, 33])
@pytest.mark.parametrize(
    ("pool", "formula"), [(cl.max_pool2d, maximum), (cl.avg_pool2d, mean)], ids=["max", "avg"]
)
def test_pools(
    isa: str, dtype: np.dtype, threads: int, pool: Callable[..., np.ndarray],
    formula: Callable[[np.ndarray], np.ndarray], channels: int,
) -> None:  # fmt: skip
    rng = np.random.default_rng(channels)
    some = rng.choice(SPECIAL, (2, 7, 6, channels)).astype(dtype)
    large = (rng.choice([1, -1, 0.5], (2, 7, 6, channels)) * np.finfo(dtype).max).astype(
        dtype
    )  # sums overflow
    for x in (some, large):
        np.testing.assert_array_equal(pool(x, 2, strides=1), formula(windows(x, 2)), strict=True)


def test_max_pools_keep_the_sign_of_zero(isa: str, dtype: np.dtype) -> None:
    x = np.full((1, 4, 4, 19), -0.0, dtype)
    assert np.signbit(cl.max_pool2d(x, 2)).all()
    assert np.signbit(cl.max_pool2d(x, 2, padding="same")).all()
    assert np.signbit(cl.global_max_pool2d(x)).all()


@every_operation
def test_sums_overflow_to_infinity(
    isa: str, dtype: np.dtype, name: str, x_shape: Any, kernel_shape: Any, options: Any, shape: Any,
) -> None:  # fmt: skip
    """Of the sign that they have; and where both signs meet, NaN. A ones kernel: the sums are those of x."""
    top = np.finfo(dtype).max
    kernel, zeros = np.full(kernel_shape, 2, dtype), np.zeros(shape[-1], dtype)
    call = getattr(cl, name)
    for sign in (1, -1):
        np.testing.assert_array_equal(
            call(np.full(x_shape, sign * top, dtype), kernel, zeros, **options),
            np.full(shape, sign * np.inf, dtype),
        )
    both = call(np.full(x_shape, top, dtype), kernel, np.full(shape[-1], -np.inf, dtype), **options)
    assert np.isnan(both).all()


@every_operation
@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "sigmoid", "tanh", "hard_swish", "softplus"])
def test_nan_passes_through_fused_activations(
    isa: str, dtype: np.dtype, name: str, x_shape: Any, kernel_shape: Any, options: Any, shape: Any,
    activation: str,
) -> None:  # fmt: skip
    """As the activation of the result has it, NaN by NaN and infinity by infinity."""
    x, kernel = numbers(x_shape, dtype), numbers(kernel_shape, dtype)
    x.reshape(-1)[::11] = np.nan
    bias = np.resize(np.array([0, np.inf, -np.inf, np.nan, 1], dtype), shape[-1])
    call = getattr(cl, name)
    plain = call(x, kernel, bias, **options)
    fused = call(x, kernel, bias, activation=activation, **options)
    np.testing.assert_array_equal(fused, cl.activate(plain, activation), strict=True)
    assert np.isnan(plain).any()
    np.testing.assert_array_equal(np.isnan(fused) >= np.isnan(plain), np.ones(shape, bool))


@every_operation
def test_the_sign_of_zero(
    isa: str, dtype: np.dtype, name: str, x_shape: Any, kernel_shape: Any, options: Any, shape: Any,
) -> None:  # fmt: skip
    """A sum starts at +0, so zeros of either sign give +0 without a bias, as NumPy's sum of products does."""
    for sign in (1, -1):
        got = getattr(cl, name)(np.full(x_shape, -0.0, dtype), np.full(kernel_shape, sign, dtype), **options)
        assert not got.any()
        assert not np.signbit(got).any()
