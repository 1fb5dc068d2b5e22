"""Activations, softmax, batch norm and so on against TensorFlow and PyTorch (golden files), and at edges."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from golden_cases import GoldenCase, golden_cases
from tolerance import tolerance

import convlite as cl
from convlite import _dispatch, pointwise, reference

RNG = np.random.default_rng(17)
ELEMENTWISE = (
    cl.relu, cl.relu6, cl.leaky_relu, cl.elu, cl.sigmoid, cl.hard_sigmoid, cl.tanh, cl.softplus, cl.silu,
    cl.hard_swish, cl.gelu,
)  # fmt: skip


def randoms(*shape: int, dtype: str = "float32") -> np.ndarray:
    return RNG.standard_normal(shape).astype(dtype)


@pytest.mark.parametrize("case", golden_cases("pointwise"))
def test_golden(case: GoldenCase) -> None:
    with np.errstate(over="raise", divide="raise", invalid="raise"):
        got = case.call(pointwise)
    assert got.dtype == case.want.dtype
    assert got.shape == case.want.shape
    terms, scale = (3, 100) if case.function == "batch_norm" else (1, 1)
    np.testing.assert_allclose(got, case.want, **tolerance(got.dtype, terms, scale=scale))


# ---- activations -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("function", ELEMENTWISE)
@pytest.mark.parametrize("shape", [(), (0,), (1,), (3,), (2, 3, 5), (1, 7, 9, 33), (2, 0, 3)])
def test_any_shape(function: Any, shape: Any, dtype: np.dtype) -> None:
    x = np.asarray(3 * randoms(*shape), dtype)
    before = x.copy()
    got = function(x)
    assert got.shape == shape
    assert got.dtype == dtype
    np.testing.assert_array_equal(x, before)
    name = "swish" if function is cl.silu else function.__name__
    want = reference.dense(x.reshape(-1, 1), np.ones((1, 1), dtype), activation=name).reshape(shape)
    np.testing.assert_allclose(got, want, **tolerance(dtype, 1))


@pytest.mark.parametrize("function", ELEMENTWISE)
def test_lists_strides_and_byte_orders(function: Any) -> None:
    x = randoms(4, 6)
    want = function(x)
    np.testing.assert_array_equal(function(x.astype(">f4")), want)
    np.testing.assert_array_equal(function(np.repeat(x, 2, axis=1)[:, ::2]), want)
    np.testing.assert_array_equal(function(x.T), want.T)
    np.testing.assert_array_equal(function([0.5, -0.5]), function(np.array([0.5, -0.5])))


@pytest.mark.parametrize("function", [*ELEMENTWISE, cl.softmax, cl.flatten])
def test_dtype_errors(function: Any) -> None:
    for dtype in (np.int64, np.float16, np.complex64, bool):
        with pytest.raises(TypeError, match="x must be float32 or float64; got"):
            function(np.ones((2, 2), dtype))
    with pytest.raises(TypeError, match="x must be an array of float32 or float64; got None"):
        function(None)


# ---- prelu -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(), (1,), (5,), (1, 1, 5), (3, 4, 5), (4, 1)])
def test_prelu(shape: Any, dtype: np.dtype) -> None:
    x, alpha = randoms(2, 3, 4, 5, dtype=dtype.name), np.asarray(randoms(*shape), dtype)
    got = cl.prelu(x, alpha)
    assert got.dtype == dtype
    np.testing.assert_array_equal(got, np.where(x > 0, x, x * alpha))


def test_prelu_errors() -> None:
    x = np.ones((2, 3, 4), np.float32)
    with pytest.raises(
        ValueError, match=r"alpha of shape \(3,\) does not broadcast to x of shape \(2, 3, 4\)"
    ):
        cl.prelu(x, np.ones(3, np.float32))
    with pytest.raises(ValueError, match="alpha of shape"):
        cl.prelu(x, np.ones((5, 1, 1, 1), np.float32))
    with pytest.raises(TypeError, match="alpha is float64 but x is float32"):
        cl.prelu(x, np.ones(4))


# ---- softmax ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", [-1, 0, 1, np.int64(2)])
def test_softmax(axis: Any, dtype: np.dtype) -> None:
    x = 100 * randoms(3, 4, 5, dtype=dtype.name)
    got = cl.softmax(x, axis)
    want = np.exp(x.astype(np.float64) - x.max(axis=axis, keepdims=True))
    want /= want.sum(axis=axis, keepdims=True)
    assert got.dtype == dtype
    np.testing.assert_allclose(got, want, **tolerance(dtype, 5))


def test_softmax_edges() -> None:
    np.testing.assert_array_equal(cl.softmax([-np.inf, 0.0, -np.inf]), [0, 1, 0])
    assert np.isnan(cl.softmax([np.nan, 0.0])).all()
    assert np.isnan(cl.softmax([-np.inf, -np.inf])).all()
    assert cl.softmax(np.zeros((2, 0))).shape == (2, 0)
    assert cl.softmax(np.zeros((0, 2))).shape == (0, 2)


@pytest.mark.thread_unsafe(reason="selects instruction sets")
@pytest.mark.parametrize("columns", [1, 2, 7, 15, 16, 17, 33, 1000])
def test_softmax_rows(isa: str, dtype: np.dtype, columns: int) -> None:
    x = 5 * randoms(9, columns, dtype=dtype.name)
    x[1, 0], x[2, -1], x[3], x[4, 0] = np.nan, np.inf, -np.inf, -np.inf
    if columns == 1:
        x[4] = 0
    got = cl.softmax(x)
    with np.errstate(invalid="ignore"):
        want = np.exp(x.astype(np.float64) - x.max(axis=-1, keepdims=True))
        want /= want.sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(got, want, rtol=(12 + columns**0.5) * np.finfo(dtype).eps, atol=0)
    np.testing.assert_array_equal(cl.softmax(x[5:6]), got[5:6])
    with cl.num_threads(2):
        np.testing.assert_array_equal(cl.softmax(np.tile(x, (50, 1)))[-9:], got)
    if isa == "avx2":
        with _dispatch.use_isa("avx512" if "avx512" in _dispatch.available_isas() else "avx2"):
            np.testing.assert_array_equal(cl.softmax(x), got)


def test_softmax_errors() -> None:
    with pytest.raises(ValueError, match=r"axis must be an axis of x, which has shape \(2, 2\); got 2"):
        cl.softmax(np.ones((2, 2)), axis=2)
    with pytest.raises(ValueError, match=r"axis must be an axis of x, which has shape \(\); got -1"):
        cl.softmax(np.float64(1))
    for axis in (1.0, None, True):
        with pytest.raises(TypeError, match="axis must be an integer"):
            cl.softmax(np.ones((2, 2)), axis=axis)  # type: ignore[arg-type]


# ---- bias_add, batch_norm --------------------------------------------------------------------------------


def test_bias_add(dtype: np.dtype) -> None:
    x, bias = randoms(2, 3, 4, dtype=dtype.name), randoms(4, dtype=dtype.name)
    got = cl.bias_add(x, bias)
    assert got.dtype == dtype
    np.testing.assert_array_equal(got, x + bias)
    assert cl.bias_add(np.zeros((2, 0)), np.zeros(0)).shape == (2, 0)
    assert np.isnan(cl.bias_add(np.array([np.inf]), np.array([-np.inf]))).all()


@pytest.mark.parametrize(
    ("x", "bias", "error", "message"),
    [
        (np.ones((2, 3)), np.ones(2), ValueError, r"bias must hold one number .*\(2, 3\); got shape \(2,\)"),
        (np.ones((2, 3)), np.ones((1, 3)), ValueError, "bias must hold one number for each channel"),
        (np.float64(1), np.ones(1), ValueError, "bias must hold one number for each channel"),
        (np.ones((2, 3)), np.ones(3, np.float32), TypeError, "bias is float32 but x is"),
        (np.ones((2, 3)), np.ones(3, int), TypeError, "bias must be float32 or float64; got int64"),
    ],
)  # fmt: skip
def test_bias_add_errors(x: Any, bias: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        cl.bias_add(x, bias)


def test_batch_norm(dtype: np.dtype) -> None:
    x, mean, scale, offset = (randoms(*shape, dtype=dtype.name) for shape in ((2, 3, 4), (4,), (4,), (4,)))
    variance = randoms(4, dtype=dtype.name) ** 2
    for gamma in (None, scale):
        for beta in (None, offset):
            want = (x.astype(float) - mean) / np.sqrt(variance.astype(float) + 1e-3)
            want = want * (1 if gamma is None else gamma) + (0 if beta is None else beta)
            got = cl.batch_norm(x, mean, variance, scale=gamma, offset=beta)
            assert got.dtype == dtype
            np.testing.assert_allclose(got, want, **tolerance(dtype, 3, scale=abs(want).max()))


def test_batch_norm_keeps_digits_under_a_large_mean() -> None:
    x = np.float32([[100000.125], [100000.25]])
    got = cl.batch_norm(x, np.float32([100000]), np.float32([1]), epsilon=0.0)
    np.testing.assert_array_equal(got, [[0.125], [0.25]])


def test_batch_norm_edges() -> None:
    one = np.ones(1)
    assert np.isnan(cl.batch_norm(one, one, np.array([-2.0]))).all()
    assert np.isinf(cl.batch_norm(2 * one, one, np.zeros(1), epsilon=0)).all()
    assert cl.batch_norm(np.zeros((0, 3)), np.zeros(3), np.ones(3)).shape == (0, 3)


def test_batch_norm_errors() -> None:
    x, v = np.ones((2, 3)), np.ones(3)
    for name in ("mean", "variance", "scale", "offset"):
        values = {"mean": v, "variance": v, "scale": v, "offset": v}
        with pytest.raises(ValueError, match=f"{name} must hold one number for each channel"):
            cl.batch_norm(x, **{**values, name: np.ones(2)})
        with pytest.raises(TypeError, match=f"{name} is float32 but x is float64"):
            cl.batch_norm(x, **{**values, name: v.astype(np.float32)})
    for epsilon in (-1e-3, np.nan, np.inf):
        with pytest.raises(ValueError, match="epsilon must be a number of at least 0; got"):
            cl.batch_norm(x, v, v, epsilon=epsilon)
    with pytest.raises(TypeError, match="epsilon must be a number; got '1'"):
        cl.batch_norm(x, v, v, epsilon="1")  # type: ignore[arg-type]


# ---- flatten ---------------------------------------------------------------------------------------------


def test_flatten() -> None:
    x = np.arange(24.0).reshape(2, 3, 2, 2)
    got = cl.flatten(x)
    np.testing.assert_array_equal(got, x.reshape(2, 12))
    assert not np.shares_memory(got, x)
    np.testing.assert_array_equal(cl.flatten(x, order="CHW"), x.transpose(0, 3, 1, 2).reshape(2, 12))
    np.testing.assert_array_equal(cl.flatten(x[0], order="CHW"), x[0].transpose(0, 2, 1).reshape(3, 4))
    np.testing.assert_array_equal(cl.flatten(x[0, 0], order="CHW"), x[0, 0])
    assert cl.flatten(np.ones(3)).shape == (3, 1)
    assert cl.flatten(np.ones((0, 2, 3, 4))).shape == (0, 24)
    assert cl.flatten(np.ones((2, 0, 3, 4))).shape == (2, 0)


def test_flatten_errors() -> None:
    with pytest.raises(ValueError, match="order must be 'HWC' or 'CHW'; got 'NCHW'"):
        cl.flatten(np.ones((1, 2, 2, 1)), order="NCHW")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="x must have at least one axis, the batch; got a scalar"):
        cl.flatten(np.float64(1))


# ---- in the core -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3, 20, 65])
def test_the_same_bits_from_batch_and_threads(channels: int, isa: str, dtype: np.dtype) -> None:
    x, vector = randoms(3, 200, 210, channels, dtype=dtype.name), randoms(channels, dtype=dtype.name)
    x = x if dtype == np.float32 else x[:, :50].copy()
    for function in (
        lambda x: cl.prelu(x, vector),
        lambda x: cl.bias_add(x, vector),
        lambda x: cl.batch_norm(x, vector, vector**2, scale=vector, offset=vector),
        lambda x: cl.flatten(x, "CHW"),
        lambda x: cl.global_avg_pool2d(x),
        lambda x: cl.global_max_pool2d(x),
        lambda x: cl.activations.PReLU(vector)(x),
    ):
        with cl.num_threads(1):
            want = function(x)
        with cl.num_threads(3):
            assert function(x).tobytes() == want.tobytes()
        assert function(x[1:2]).tobytes() == want[1:2].tobytes()


def test_more_axes_than_the_core_walks_over(dtype: np.dtype) -> None:
    x, vector = randoms(1, 2, 1, 2, 1, 2, 1, 2, 1, 3, dtype=dtype.name), randoms(3, dtype=dtype.name)
    np.testing.assert_array_equal(cl.bias_add(x, vector), x + vector)
    np.testing.assert_array_equal(cl.prelu(x, vector), np.where(x < 0, x * vector, x))
    np.testing.assert_array_equal(cl.flatten(x, "CHW"), np.moveaxis(x, -1, 1).reshape(1, -1))
    flat = cl.batch_norm(x.reshape(-1, 3), vector, vector**2)
    np.testing.assert_array_equal(cl.batch_norm(x, vector, vector**2), flat.reshape(x.shape))
