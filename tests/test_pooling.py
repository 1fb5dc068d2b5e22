"""Pooling against TensorFlow and PyTorch (golden files), against loops, and at its edges."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from golden_cases import GoldenCase, golden_cases
from tolerance import tolerance

import convlite as cl
from convlite import _threads, pooling

RNG = np.random.default_rng(11)
POOLS = (cl.max_pool2d, cl.avg_pool2d)


def randoms(*shape: int, dtype: str = "float32") -> np.ndarray:
    return RNG.standard_normal(shape).astype(dtype)


@pytest.mark.parametrize("case", golden_cases("pools"))
def test_golden(case: GoldenCase) -> None:
    got = case.call(pooling)
    assert got.dtype == case.want.dtype
    assert got.shape == case.want.shape
    np.testing.assert_allclose(got, case.want, **tolerance(got.dtype, 12, scale=2 * 12))


@pytest.mark.parametrize("strides", [(1, 1), (2, 3), (4, 4)])
@pytest.mark.parametrize(
    ("size", "padding"),
    [
        *itertools.product([(1, 1), (3, 3), (2, 3)], ["valid", "same", "same_lower"]),
        ((3, 3), ((0, 1), (2, 0))),
        ((2, 3), ((1, 0), (1, 2))),
    ],
)
def test_pools_are_their_loops(size: Any, strides: Any, padding: Any, dtype: np.dtype) -> None:
    x = randoms(2, 7, 8, 3, dtype=dtype.name)
    shape = cl.conv2d_output_shape(x.shape, (*size, 3, 3), strides=strides, padding=padding)
    if isinstance(padding, tuple):
        top, left = padding[0][0], padding[1][0]
    elif padding == "valid":
        top = left = 0
    else:
        totals = [max((shape[1 + a] - 1) * strides[a] + size[a] - x.shape[1 + a], 0) for a in (0, 1)]
        top, left = (t - t // 2 if padding == "same_lower" else t // 2 for t in totals)
    largest, mean = np.empty(shape, dtype), np.empty(shape, dtype)
    for i, j in np.ndindex(*shape[1:3]):
        h, w = i * strides[0] - top, j * strides[1] - left
        window = x[:, max(h, 0) : h + size[0], max(w, 0) : w + size[1]]
        largest[:, i, j], mean[:, i, j] = window.max(axis=(1, 2)), window.mean(axis=(1, 2))
    np.testing.assert_array_equal(cl.max_pool2d(x, size, strides=strides, padding=padding), largest)
    got = cl.avg_pool2d(x, size, strides=strides, padding=padding)
    np.testing.assert_allclose(got, mean, **tolerance(dtype, 9, scale=4))


def test_a_larger_dilation_skips() -> None:
    x = np.arange(25.0).reshape(1, 5, 5, 1)
    got = cl.max_pool2d(-x, 2, strides=1, dilations=(1, 4))
    np.testing.assert_array_equal(got, -x[:, :4, :1])


def test_strides_default_to_the_window() -> None:
    assert cl.max_pool2d(randoms(1, 7, 9, 2), (2, 3)).shape == (1, 3, 3, 2)


@pytest.mark.parametrize("pool", POOLS)
def test_padding_is_never_pooled(pool: Any) -> None:
    x = np.full((1, 3, 3, 1), -5, np.float32)
    for padding in ("same", "same_lower", 1, ((2, 1), (0, 2))):
        np.testing.assert_array_equal(pool(x, 3, strides=1, padding=padding), -5)


def test_padding_may_be_counted() -> None:
    got = cl.avg_pool2d(np.full((1, 1, 1, 1), 9.0), 3, strides=1, padding=1, count_include_pad=True)
    assert got.item() == 1


@pytest.mark.parametrize("pool", POOLS)
def test_nan_reaches_its_windows_only(pool: Any) -> None:
    x = randoms(1, 6, 6, 2)
    x[0, 2, 3, 1] = np.nan
    got = pool(x, 2)
    assert np.argwhere(np.isnan(got)).tolist() == [[0, 1, 1, 1]]


def test_infinities() -> None:
    x = np.array([np.inf, -np.inf, 1, 2], np.float32).reshape(1, 1, 4, 1)
    np.testing.assert_array_equal(cl.max_pool2d(x, (1, 2)).ravel(), [np.inf, 2])
    np.testing.assert_array_equal(cl.avg_pool2d(x, (1, 2)).ravel(), [np.nan, 1.5])


@pytest.mark.parametrize("pool", POOLS)
def test_empty(pool: Any) -> None:
    assert pool(np.zeros((0, 4, 4, 3)), 2).shape == (0, 2, 2, 3)
    assert pool(np.zeros((2, 4, 4, 0)), 2).shape == (2, 2, 2, 0)
    assert pool(np.zeros((2, 0, 4, 3)), 2, padding="same").shape == (2, 0, 2, 3)


@pytest.mark.parametrize("pool", POOLS)
def test_any_memory_layout(pool: Any) -> None:
    x = randoms(2, 6, 8, 4)
    want = pool(x, 3, strides=2)
    before = x.copy()
    for other in (x.copy(order="F"), x.astype(">f4"), np.repeat(x, 2, axis=2)[:, :, ::2], x[::-1][::-1]):
        np.testing.assert_array_equal(pool(other, 3, strides=2), want)
    np.testing.assert_array_equal(pool(x.tolist(), 3, strides=2), pool(x.astype(np.float64), 3, strides=2))
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("pool", POOLS)
def test_out(pool: Any) -> None:
    x = randoms(2, 6, 6, 3)
    out = np.full((2, 3, 3, 3), 99, np.float32)
    assert pool(x, 2, out=out) is out
    np.testing.assert_array_equal(out, pool(x, 2))


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize(
    ("out", "error", "message"),
    [
        (np.zeros((1, 2, 2, 1)), TypeError, "out must be float32"),
        (np.zeros((1, 2, 3, 1), np.float32), ValueError, r"out must have shape \(1, 2, 2, 1\)"),
        (np.zeros((1, 2, 4, 1), np.float32)[:, :, ::2], ValueError, "out must be C-contiguous"),
        ([0.0], TypeError, "out must be a NumPy array"),
    ],
)
def test_out_errors(pool: Any, out: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        pool(np.ones((1, 4, 4, 1), np.float32), 2, out=out)
    assert not np.any(out)


@pytest.mark.parametrize("pool", POOLS)
def test_out_overlaps(pool: Any) -> None:
    x = np.ones((1, 4, 4, 1), np.float32)
    with pytest.raises(ValueError, match="out must not overlap an input"):
        pool(x, 1, out=x)


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"pool_size": 0}, ValueError, "pool_size must be at least 1; got 0"),
        ({"pool_size": 2.0}, TypeError, "pool_size must be an int"),
        ({"strides": (1, 2, 3)}, ValueError, "strides must be an int"),
        ({"padding": "full"}, ValueError, "padding must be .*got 'full'"),
        ({"padding": 2}, ValueError, r"padding \(2, 2\) along height must be smaller than the window's 2"),
        ({"padding": (0, 3)}, ValueError, r"padding \(3, 3\) along width must be smaller"),
        ({"pool_size": 7}, ValueError, "pool_size covers 7 elements along height but x has 4 there"),
    ],
)
def test_errors(pool: Any, options: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        pool(np.ones((1, 4, 4, 1)), **{"strides": 1, **options})


@pytest.mark.parametrize("pool", [*POOLS, cl.global_max_pool2d, cl.global_avg_pool2d])
def test_operand_errors(pool: Any) -> None:
    with pytest.raises(TypeError, match="x must be float32 or float64; got uint8"):
        pool(np.ones((1, 4, 4, 1), np.uint8))
    with pytest.raises(ValueError, match=r"x must have 4 dimensions.*got shape \(4, 4\)"):
        pool(np.ones((4, 4)))


# ---- global pools ----------------------------------------------------------------------------------------


def test_global_pools(dtype: np.dtype) -> None:
    x = randoms(3, 5, 7, 4, dtype=dtype.name)
    for keepdims in (False, True):
        largest, mean = cl.global_max_pool2d(x, keepdims=keepdims), cl.global_avg_pool2d(x, keepdims=keepdims)
        assert largest.dtype == mean.dtype == dtype
        np.testing.assert_array_equal(largest, x.max(axis=(1, 2), keepdims=keepdims))
        want = x.astype(np.float64).mean(axis=(1, 2), keepdims=keepdims)
        np.testing.assert_allclose(mean, want, **tolerance(dtype, 35, scale=1))


def test_the_global_mean_is_summed_in_float64() -> None:
    x = np.full((1, 1000, 500, 1), 0.1, np.float32)
    assert cl.global_avg_pool2d(x).item() == np.float32(0.1)
    assert cl.global_avg_pool2d(np.full((1, 2, 2, 1), 3e38, np.float32)).item() == np.float32(3e38)


@pytest.mark.parametrize("pool", [cl.global_max_pool2d, cl.global_avg_pool2d])
@pytest.mark.parametrize("keepdims", [True, False])
def test_global_pools_of_nothing(pool: Any, keepdims: bool) -> None:
    for shape in ((2, 0, 4, 3), (2, 4, 0, 3), (0, 0, 0, 3)):
        with pytest.raises(ValueError, match=r"x must have pixels to pool; got shape \("):
            pool(np.zeros(shape, np.float32), keepdims=keepdims)
    ones = (1, 1) if keepdims else ()
    assert pool(np.zeros((0, 2, 2, 3)), keepdims=keepdims).shape == (0, *ones, 3)  # no images
    assert pool(np.zeros((2, 2, 2, 0)), keepdims=keepdims).shape == (2, *ones, 0)  # no channels


def test_global_pools_propagate_nan() -> None:
    x = np.zeros((1, 2, 2, 2))
    x[0, 0, 1, 1] = np.nan
    for pool in (cl.global_max_pool2d, cl.global_avg_pool2d):
        np.testing.assert_array_equal(pool(x), [[0, np.nan]])


# ---- the compiled core -------------------------------------------------------------------------------------


def test_every_number_of_channels(isa: str, dtype: np.dtype) -> None:
    for channels in (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 33):
        x = randoms(2, 5, 4, channels, dtype=dtype.name)
        windows = np.lib.stride_tricks.sliding_window_view(x, (3, 2), axis=(1, 2))
        np.testing.assert_array_equal(cl.max_pool2d(x, (3, 2), strides=1), windows.max(axis=(4, 5)))
        sums = np.zeros(windows.shape[:4], dtype)
        for i, j in np.ndindex(3, 2):
            sums += windows[..., i, j]
        # one order of addition, whatever the instruction set
        np.testing.assert_array_equal(cl.avg_pool2d(x, (3, 2), strides=1), sums / dtype.type(6))


def test_nan_is_found_wherever_it_is(isa: str, dtype: np.dtype) -> None:
    for i, j in np.ndindex(3, 3):
        x = randoms(1, 3, 3, 21, dtype=dtype.name)
        x[0, i, j, ::2] = np.nan
        x[0, 1, 1, 1::2] = np.inf
        for pool, other in ((cl.max_pool2d, np.inf), (cl.avg_pool2d, np.inf)):
            got = pool(x, 3)[0, 0, 0]
            assert np.isnan(got[::2]).all()
            np.testing.assert_array_equal(got[1::2], other)


def test_the_number_of_threads_cannot_be_seen(isa: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_threads, "SERIAL_WORK", 0)
    x = randoms(2, 9, 8, 5)
    for pool in POOLS:
        results = []
        for n in (1, 2, 3, 7):
            with cl.num_threads(n):
                results.append(pool(x, 3, strides=2, padding="same").tobytes())
        assert len(set(results)) == 1
