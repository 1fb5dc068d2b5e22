"""Passes, pools, resizes and norms of few channels, and of channels that fill no vectors, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest

import convlite as cl

CHANNELS = (1, 2, 3, 4, 5, 6, 8, 12, 15, 16, 17, 24, 32, 33, 48, 63, 64, 65)
Array = np.ndarray


def image_of(shape: tuple[int, ...], dtype: np.dtype) -> Array:
    """Small whole numbers, zeros of both signs among them."""
    x = np.random.default_rng(sum(shape)).integers(-3, 4, shape).astype(dtype)
    x[x == 0] = np.where(np.arange(np.count_nonzero(x == 0)) % 2, dtype.type(0), -dtype.type(0))
    return x


def vector(channels: int, dtype: np.dtype, seed: int) -> Array:
    return np.random.default_rng(seed).uniform(0.5, 1.5, channels).astype(dtype)


@pytest.mark.parametrize("channels", CHANNELS)
def test_passes_by_channel(isa: str, dtype: np.dtype, channels: int) -> None:
    """More than one task, and pixels that fill no vector."""
    x = np.random.default_rng(channels).standard_normal((1, 41, 67, channels)).astype(dtype)
    slopes, bias = vector(channels, dtype, 1), vector(channels, dtype, 2)
    assert np.array_equal(cl.prelu(x, slopes), np.where(x < 0, x * slopes, x))
    assert np.array_equal(cl.bias_add(x, bias), x + bias)
    mean, variance, scale = bias, vector(channels, dtype, 3), slopes
    got = cl.batch_norm(x, mean, variance, scale=scale, offset=bias, epsilon=1e-3)
    factor = (scale / np.sqrt(variance.astype(np.float64) + 1e-3)).astype(dtype)
    want = (x - mean).astype(np.float64) * factor + bias
    assert np.allclose(got, want, rtol=4 * np.finfo(dtype).eps, atol=4 * np.finfo(dtype).eps)
    alone = [cl.batch_norm(p, mean, variance, scale=scale, offset=bias) for p in x.reshape(-1, channels)[:9]]
    assert np.array_equal(
        cl.batch_norm(x, mean, variance, scale=scale, offset=bias).reshape(-1, channels)[:9], alone
    )


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 7, 8, 15, 16])
@pytest.mark.parametrize("stride", [1, 2, 3, 5])
def test_pools_along_rows(isa: str, dtype: np.dtype, channels: int, stride: int) -> None:
    """Each window in the order of its rows, then columns: the last of equal numbers; sums of the dtype."""
    x, size = image_of((2, 11, 61, channels), dtype), (2, 3)
    x += np.random.default_rng(0).uniform(0, 1, x.shape).astype(dtype) * (x > 0)
    outputs = ((11 - 2) // stride + 1, (61 - 3) // stride + 1)
    largest, total = (
        np.full((2, *outputs, channels), -np.inf, dtype),
        np.zeros((2, *outputs, channels), dtype),
    )
    for r in range(size[0]):
        for q in range(size[1]):
            tap = x[:, r : r + stride * outputs[0] : stride, q : q + stride * outputs[1] : stride]
            tap = tap[:, : outputs[0], : outputs[1]]
            largest = np.where(largest > tap, largest, tap)
            total = total + tap
    got = cl.max_pool2d(x, size, strides=stride)
    assert np.array_equal(got, largest)
    assert np.array_equal(np.signbit(got), np.signbit(largest))
    assert np.array_equal(cl.avg_pool2d(x, size, strides=stride), total / dtype.type(6))
    x[0, 5, 30, 0] = np.nan
    assert np.isnan(cl.max_pool2d(x, size, strides=1)[0, 4:6, 28:31, 0]).all()


@pytest.mark.parametrize("channels", [3, 4, 16, 17, 40])
@pytest.mark.parametrize("size", [(8, 6), (13, 21), (20, 9), (30, 23)])
def test_rows_and_columns_at_once(isa: str, dtype: np.dtype, channels: int, size: tuple[int, int]) -> None:
    x = np.random.default_rng(1).standard_normal((2, 16, 23, channels)).astype(dtype)
    rows = cl.resize2d(x, (size[0], 23))
    assert np.array_equal(cl.resize2d(x, size), cl.resize2d(rows, size))
    assert cl.resize2d(x, list(size)).tobytes() == cl.resize2d(x, size).tobytes()


def test_plain_resizes_check_their_arguments() -> None:
    """What is kept for usual calls is not found by arguments that are equal but wrong."""
    x = np.ones((1, 4, 4, 1), np.float32)
    cl.resize2d(x, (1, 2))
    with pytest.raises(TypeError, match="size"):
        cl.resize2d(x, (True, 2))
    with pytest.raises(ValueError, match="method"):
        cl.resize2d(x, (1, 2), method="nothing")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="size"):
        cl.resize2d(x, (0, 2))
    with pytest.raises(TypeError, match="antialias"):
        cl.resize2d(x, (1, 2), antialias=0.0)  # type: ignore[arg-type]


@pytest.mark.parametrize("channels", CHANNELS)
def test_largest_of_images(isa: str, dtype: np.dtype, channels: int) -> None:
    x = np.random.default_rng(channels).standard_normal((2, 37, 29, channels)).astype(dtype)
    assert np.array_equal(cl.global_max_pool2d(x), x.max((1, 2)))
    want = x.mean((1, 2), dtype=np.float64)
    assert np.allclose(cl.global_avg_pool2d(x), want, rtol=2 * np.finfo(dtype).eps, atol=1e-15)
    for row in (0, 17, 36):
        y = x.copy()
        y[1, row, 11, channels - 1] = np.nan
        got = cl.global_max_pool2d(y)
        assert np.isnan(got[1, channels - 1])
        assert np.array_equal(got[0], x[0].max((0, 1)))


@pytest.mark.parametrize("channels", [1, 3, 8, 64])
@pytest.mark.parametrize("groups", [1, -1])
def test_images_one_after_the_other(isa: str, dtype: np.dtype, channels: int, groups: int) -> None:
    x = np.random.default_rng(channels).standard_normal((3, 31, 17, channels)).astype(dtype)
    together = cl.group_norm(x, groups)
    alone = [cl.group_norm(image[None], groups)[0] for image in x]
    assert np.array_equal(together, alone)
    with cl.num_threads(2):
        assert np.array_equal(together, cl.group_norm(np.concatenate([x] * 20), groups)[-3:])
