"""The activations made of exp (kernels/isa/exponential.h): their errors in units in the last place, their
edges, and the same bits on every instruction set with FMA.
"""

from __future__ import annotations

import math
import platform

import numpy as np
import pytest

import convlite as cl
from convlite import _dispatch

RNG = np.random.default_rng(71)
EXTENDED = np.finfo(np.longdouble).eps < np.finfo(np.float64).eps / 100

# The largest errors measured over 1.7 million points in [-110, 110] (float32) and [-760, 760] (float64), in
# units in the last place, rounded up; of gelu_tanh for x > -3, since beyond the error of its argument takes
# over (200 units at -9.8 in float32, 1500 at -21 in float64, where the function is below 1e-20).
ULPS = {
    "celu": 1.2,
    "elu": 1.2,
    "exponential": 1.1,
    "gelu": 6.6,
    "gelu_tanh": 16.0,
    "log_sigmoid": 3.5,
    "mish": 4.2,
    "selu": 2.8,
    "sigmoid": 2.4,
    "silu": 2.7,
    "softplus": 3.5,
    "softsign": 1.6,
    "tanh": 2.6,
}


def points(dtype: np.dtype, count: int = 20_000) -> np.ndarray:
    """A dense grid where the functions bend, a coarse one to where they are 0, and every magnitude."""
    info = np.finfo(dtype)
    end = 110 if dtype == np.float32 else 760
    sizes = np.exp(RNG.uniform(math.log(info.tiny), math.log(end), count)) * RNG.choice([-1, 1], count)
    grids = [np.linspace(-8, 8, count), np.linspace(-end, end, count), sizes]
    return np.concatenate(grids).astype(dtype)


def exact(name: str, points: np.ndarray) -> np.ndarray:
    """The function in long double (erfc: in double)."""
    x = points.astype(np.longdouble)
    with np.errstate(all="ignore"):
        if name == "tanh":
            return np.tanh(x)
        if name in ("elu", "celu"):
            return np.where(x > 0, x, np.expm1(x))
        if name == "selu":
            scale = np.longdouble("1.0507009873554804934193349852946")
            alpha = np.longdouble("1.6732632423543772848170429916717")
            return scale * np.where(x > 0, x, alpha * np.expm1(x))
        if name == "exponential":
            return np.exp(x)
        if name == "softsign":
            return x / (1 + np.abs(x))
        if name == "gelu":
            root = np.sqrt(np.longdouble(2))
            tail = np.array([math.erfc(v) for v in (-x / root).astype(float)])
            # erfc at the rounded argument, moved by its derivative to the unrounded one
            rest = -x / root - (-x / root).astype(float)
            slope = -2 / math.sqrt(math.pi) * np.exp(-x * x / 2)
            return x / 2 * (tail + slope * rest)
        z = x
        if name == "gelu_tanh":
            pi = np.longdouble(math.pi) + np.longdouble(1.2246467991473532e-16)
            z = 2 * np.sqrt(2 / pi) * (x + np.longdouble("0.044715") * x**3)
        decay = np.exp(-np.abs(z))
        if name == "softplus":
            return np.maximum(x, 0) + np.log1p(decay)
        if name == "log_sigmoid":
            return np.minimum(x, 0) - np.log1p(decay)
        if name == "mish":
            e, d = np.exp(np.minimum(x, 0)), np.exp(-np.maximum(x, 0))
            return np.where(
                x < 0, x * e * (e + 2) / (e * (e + 2) + 2), x * (1 + 2 * d) / (1 + 2 * d * (1 + d))
            )
        sigmoid = np.where(z < 0, decay, 1) / (1 + decay)
        return sigmoid if name == "sigmoid" else x * sigmoid


@pytest.mark.parametrize("name", ULPS)
def test_errors(isa: str, dtype: np.dtype, name: str) -> None:
    x = points(dtype)
    if name == "gelu_tanh":
        x = x[x > -3]
    if name == "gelu" and dtype == np.float64:
        x = x[x > -37]  # math.erfc has no subnormal results to compare with
    got, want = cl.activate(x, name), exact(name, x)
    info = np.finfo(dtype)
    with np.errstate(over="ignore"):
        infinite = np.isinf(want.astype(dtype))
    np.testing.assert_array_equal(np.isinf(got), infinite)  # exponential's overflow, nowhere else
    x, got, want = x[~infinite], got[~infinite], want[~infinite]
    unit = np.spacing(np.maximum(np.abs(want).astype(dtype), info.tiny))
    flushed = (got == 0) & (np.abs(want) < info.tiny * (1 + 16 * info.eps))  # a subnormal result is 0
    errors = np.where(flushed, 0, np.abs(got - want) / unit)
    slack = 0 if EXTENDED and (name, dtype) != ("gelu", np.float64) else 8
    assert float(errors.max()) <= ULPS[name] + slack, f"at {x[errors.argmax()]!r}"


@pytest.mark.thread_unsafe(reason="selects instruction sets")
@pytest.mark.parametrize("name", ULPS)
def test_instruction_sets_with_fma_agree(dtype: np.dtype, name: str) -> None:
    fused = [isa for isa in ("avx512", "avx2") if isa in _dispatch.available_isas()]
    if len(fused) < 2:
        pytest.skip(f"two instruction sets with FMA are needed; this CPU has {fused}")
    x = points(dtype, 5_000)
    results = []
    for isa in fused:
        with _dispatch.use_isa(isa):
            results.append(cl.activate(x, name))
    assert results[0].tobytes() == results[1].tobytes()


@pytest.mark.parametrize("name", ULPS)
def test_the_place_of_an_element_cannot_be_seen(isa: str, dtype: np.dtype, name: str) -> None:
    x = np.linspace(-5, 5, 37).astype(dtype)
    whole = cl.activate(x, name)
    alone = np.concatenate([cl.activate(x[i : i + 1], name) for i in range(x.size)])
    assert whole.tobytes() == alone.tobytes()


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        # at -inf: the formula, as TensorFlow and PyTorch have it, so -inf * 0 is NaN
        ("celu", -1.0, np.inf),
        ("elu", -1.0, np.inf),
        ("exponential", 0.0, np.inf),
        ("gelu", np.nan, np.inf),
        ("gelu_tanh", np.nan, np.inf),
        ("log_sigmoid", -np.inf, 0.0),
        ("mish", np.nan, np.inf),
        ("sigmoid", 0.0, 1.0),
        ("silu", np.nan, np.inf),
        ("softplus", 0.0, np.inf),
        ("tanh", -1.0, 1.0),
    ],
)
def test_edges(isa: str, dtype: np.dtype, name: str, low: float, high: float) -> None:
    info = np.finfo(dtype)
    got = cl.activate(np.array([-np.inf, np.inf, np.nan], dtype), name)
    np.testing.assert_array_equal(got, np.array([low, high, np.nan], dtype))
    # the largest numbers: the limit, without NaN or overflow
    top = cl.activate(np.array([info.min, info.min / 2, info.max], dtype), name)
    limits = {"celu": -1, "elu": -1, "tanh": -1, "log_sigmoid": [info.min, info.min / 2]}
    np.testing.assert_array_equal(top[:2], limits.get(name, 0))
    finite = high == np.inf and name != "exponential"
    np.testing.assert_array_equal(top[2], info.max if finite else high)
    # zeros keep their sign where the function goes through 0, and small numbers their size
    small = np.array([0.0, -0.0, 4 * info.tiny, -4 * info.tiny, 2 * info.tiny], dtype)
    near = cl.activate(small, name)
    at_zero = {"sigmoid": 0.5, "softplus": math.log(2), "log_sigmoid": -math.log(2), "exponential": 1}
    if name in at_zero:
        np.testing.assert_array_equal(near, near[0])
        np.testing.assert_allclose(near[0], at_zero[name], rtol=2 * info.eps)
        return
    np.testing.assert_array_equal(np.signbit(near[:4]), np.signbit(small[:4]))
    slope = {"celu": 1, "elu": 1, "tanh": 1, "mish": 0.6}.get(name, 0.5)
    np.testing.assert_allclose(near, small * dtype.type(slope), rtol=4 * info.eps)


@pytest.mark.skipif(
    platform.machine().lower() not in ("x86_64", "amd64", "arm64", "aarch64"), reason="keeps subnormals"
)
@pytest.mark.parametrize("name", ["exponential", "mish", "sigmoid", "silu", "softplus"])
def test_subnormal_results_are_zeros(isa: str, dtype: np.dtype, name: str) -> None:
    info = np.finfo(dtype)
    end = math.log(info.tiny)
    x = np.linspace(end - 8, end + 8, 1000).astype(dtype)
    got, want = cl.activate(x, name), np.abs(exact(name, x))
    assert not ((got != 0) & (np.abs(got) < info.tiny)).any()
    assert (got[want < info.tiny * (1 - 1e-4)] == 0).all()
    assert (got[want > info.tiny * (1 + 1e-4)] != 0).all()
    assert 0 < np.count_nonzero(got) < x.size


def test_exponential_reaches_the_largest_number(isa: str, dtype: np.dtype) -> None:
    info = np.finfo(dtype)
    last = np.log(np.longdouble(info.max)).astype(dtype)
    x = np.array([last * (1 - 2 * info.eps), last * (1 + 4 * info.eps)], dtype)
    got = cl.activate(x, "exponential")
    assert info.max / 2 < got[0] <= info.max
    assert got[1] == np.inf


def test_celu_and_selu_scale(dtype: np.dtype, isa: str) -> None:
    x = np.array([-np.inf, -2.0, -1e-3, -0.0, 0.0, 3.0, np.nan], dtype)
    with np.errstate(invalid="ignore"):
        want = np.where(x > 0, x, 2.5 * np.expm1(x / dtype.type(2.5)))
    np.testing.assert_allclose(cl.celu(x, 2.5), want, rtol=1e-6)
    np.testing.assert_allclose(
        cl.selu(x[1:2]), 1.0507009873554805 * 1.6732632423543772 * np.expm1(x[1:2]), rtol=1e-6
    )
    np.testing.assert_allclose(cl.selu(x[5:6]), 1.0507009873554805 * x[5:6], rtol=1e-6)
    assert np.signbit(cl.celu(x)[3])
    assert np.signbit(cl.selu(x)[3])


def test_elu_scales(dtype: np.dtype, isa: str) -> None:
    x = np.array([-np.inf, -2.0, -0.0, 0.0, 3.0, np.nan], dtype)
    got = cl.elu(x, 2.5)
    np.testing.assert_allclose(got, np.where(x > 0, x, 2.5 * np.expm1(x)), rtol=1e-6)
    assert np.signbit(got[2])
