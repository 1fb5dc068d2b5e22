"""Reductions, normalisations and resampling of the compiled core, against NumPy in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tolerance import tolerance

from convlite import _dispatch, _kernels, activations

RNG = np.random.default_rng(77)
REDUCE = _kernels.reduce_codes()
# (outer, middle, inner): one piece and several, inner below and above 16, rests of both
MIDDLES = [
    (1, 1, 1), (2, 49, 64), (3, 200, 3), (1, 5000, 1), (2, 3136, 17), (1, 40000, 2), (5, 7, 33), (1, 0, 4),
    (4, 3, 1), (2, 129 * 16 + 5, 15), (3, 0, 0), (0, 4, 2), (2, 128, 16), (2, 129, 16), (300, 64, 1),
    *((70, m, 1) for m in (1, 2, 15, 16, 17, 63, 64, 65)), (8, 16, 1),
]  # fmt: skip


def randoms(*shape: int, dtype: Any) -> np.ndarray:
    return np.asarray(RNG.standard_normal(shape), dtype)


def reduce(op: str, x: np.ndarray, isa: str, threads: int = 1) -> np.ndarray:
    out = np.full((x.shape[0], x.shape[2]), np.nan, x.dtype)
    _kernels.reduce(isa, REDUCE[op], x, out, threads)
    return out


# ---- along the middle --------------------------------------------------------------------------------------


@pytest.mark.parametrize("op", REDUCE)
@pytest.mark.parametrize("shape", MIDDLES)
def test_reductions(op: str, shape: Any, isa: str, dtype: np.dtype, threads: int) -> None:
    x = randoms(*shape, dtype=dtype) + dtype.type(3)
    got = reduce(op, x, isa, threads)
    if op == "max":
        np.testing.assert_array_equal(got, x.max(1, initial=-np.inf))
    else:
        count = shape[1] if op == "mean" else 1
        with np.errstate(invalid="ignore"):
            want = x.astype(np.float64).sum(1) / np.float64(count)
        np.testing.assert_allclose(got, want, rtol=1e-7 if dtype == np.float32 else 1e-13)
    # the same bits from one image alone, from a slice of something larger, and from any instruction set
    for n in range(shape[0])[:2]:
        assert reduce(op, x[n : n + 1], isa).tobytes() == got[n : n + 1].tobytes()
    larger = np.full((shape[0], shape[1] + 1, shape[2] + 3), np.nan, dtype)
    larger[:, 1:, 2:-1] = x
    assert reduce(op, larger[:, 1:, 2:-1], isa, threads).tobytes() == got.tobytes()
    for other in _dispatch.available_isas():
        assert reduce(op, x, other).tobytes() == got.tobytes()


def test_long_sums_are_accurate(isa: str, dtype: np.dtype) -> None:
    ulp = 1 if dtype == np.float32 else 64  # one chain of float64 comes to more than 10 000
    for channels in (1, 3, 16, 40):
        x = np.full((1, 100_000, channels), 0.1, dtype)
        np.testing.assert_array_max_ulp(reduce("mean", x, isa), np.full((1, channels), 0.1, dtype), ulp)
    huge = np.full((1, 40, 3), 3e38, np.float32)
    assert (reduce("mean", huge, isa) == np.float32(3e38)).all()


@pytest.mark.parametrize("channels", [1, 3, 20])
def test_reductions_of_special_values(channels: int, isa: str, dtype: np.dtype) -> None:
    for place in (0, 5, 39):
        for value, mean, largest in ((np.nan,) * 3, (np.inf,) * 3, (-np.inf, -np.inf, 1.0)):
            x = np.ones((1, 40, channels), dtype)
            x[0, place, -1] = value
            np.testing.assert_array_equal(reduce("mean", x, isa)[0, -1], mean)
            np.testing.assert_array_equal(reduce("max", x, isa)[0, -1], largest)
            assert (reduce("mean", x, isa)[0, :-1] == 1).all()
            many = np.ones((65, 40, channels), dtype)  # one channel: short sums are turned
            many[::3] = x
            for op in REDUCE:
                assert reduce(op, many, isa)[63].tobytes() == reduce(op, x, isa)[0].tobytes()
                assert np.isfinite(reduce(op, many, isa)[1::3]).all()
    both = np.zeros((1, 2, channels), dtype)
    both[0, :, 0] = np.inf, -np.inf
    assert np.isnan(reduce("sum", both, isa)[0, 0])
    tiny = np.full((1, 33, channels), -np.finfo(dtype).smallest_subnormal, dtype)
    np.testing.assert_array_equal(reduce("max", tiny, isa), tiny[:, 0])  # picked, not computed


# ---- normalisations ----------------------------------------------------------------------------------------

GROUPS = [
    (2, 100, 6, 6), (1, 5000, 3, 3), (2, 3000, 32, 32), (2, 77, 12, 4), (3, 10, 5, 1), (1, 300, 1, 1),
    (2, 3125, 16, 4), (1, 1, 8, 2),
]  # fmt: skip


def normal(x: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    exact = x.astype(np.float64)
    return (exact - exact.mean(axes, keepdims=True)) / np.sqrt(exact.var(axes, keepdims=True) + 1e-5)


def bound(x: np.ndarray, factor: np.ndarray) -> dict[str, float]:
    """Sums are in float64: of float64 numbers they round as the expected ones do, by the numbers' size."""
    terms, scale = (4, 4.0) if x.dtype == np.float32 else (x.size, float(np.abs(x).max(initial=0)))
    return tolerance(x.dtype, terms, scale=scale * float(np.abs(factor).max(initial=1)))


@pytest.mark.parametrize("shape", [(1, 1), (7, 3), (50, 64), (9, 768), (3, 5000), (2, 17), (0, 4), (4, 0)])
def test_layer_norm(shape: Any, isa: str, dtype: np.dtype, threads: int) -> None:
    x = 2 * randoms(*shape, dtype=dtype) + 100
    scale, offset = randoms(2, shape[1], dtype=dtype)
    want = normal(x, (1,)) if x.size else np.zeros(shape)
    for s, o in ((scale, offset), (scale, None), (None, offset), (None, None)):
        expected = want * (1 if s is None else s) + (0 if o is None else o)
        out = np.full_like(x, np.nan)
        _kernels.layer_norm(isa, x, s, o, out, 1e-5, threads=threads)
        np.testing.assert_allclose(out, expected, **bound(x, scale))
        for name in ("relu", "gelu"):
            fused = activations.get(name).fused()  # type: ignore[union-attr]
            clipped = x.copy()  # in place
            _kernels.layer_norm(isa, clipped, s, o, clipped, 1e-5, *fused[:3], threads)
            assert clipped.tobytes() == activations.activate(out, name).tobytes()
        wide = np.full((shape[0], shape[1] + 3), np.nan, dtype)
        wide[:, 1:-2] = x
        _kernels.layer_norm(isa, wide[:, 1:-2], s, o, wide[:, 1:-2], 1e-5, threads=threads)
        assert wide[:, 1:-2].tobytes() == out.tobytes()
        assert np.isnan(wide[:, [0, -2, -1]]).all()
        single = np.full_like(x[:1], np.nan)
        _kernels.layer_norm(isa, x[:1], s, o, single, 1e-5)
        assert single.tobytes() == out[:1].tobytes()


@pytest.mark.parametrize("case", GROUPS)
def test_group_norm(case: Any, isa: str, dtype: np.dtype, threads: int) -> None:
    images, pixels, channels, groups = case
    x = 2 * randoms(images, pixels, channels, dtype=dtype) + 50
    scale, offset = randoms(2, channels, dtype=dtype)
    apart = x.reshape(images, pixels, groups, channels // groups)
    want = normal(apart, (1, 3)).reshape(x.shape)
    for s, o in ((scale, offset), (None, None)):
        out = np.full_like(x, np.nan)
        _kernels.group_norm(isa, x, s, o, out, groups, 1e-5, threads=threads)
        expected = want * (1 if s is None else s) + (0 if o is None else o)
        np.testing.assert_allclose(out, expected, **bound(x, scale))
        single = x[-1:].copy()
        _kernels.group_norm(isa, single, s, o, single, groups, 1e-5)
        assert single.tobytes() == out[-1:].tobytes()
        _kernels.group_norm(isa, x, s, o, single := x.copy(), groups, 1e-5, 1, 0.0, np.inf, threads)
        np.testing.assert_array_equal(single, np.maximum(out, 0))
    larger = np.full((images, pixels, channels + 5), np.nan, dtype)
    larger[..., 2:-3] = x
    _kernels.group_norm(isa, larger[..., 2:-3], None, None, larger[..., 2:-3], groups, 1e-5, threads=threads)
    assert larger[..., 2:-3].tobytes() == out.tobytes()
    assert np.isnan(larger[..., [0, 1, -1]]).all()
    framed = np.full((images, 3, pixels + 2, channels), np.nan, dtype)  # the middle of a larger image
    middle = framed[:, 1:2, 1:-1]
    _kernels.group_norm(isa, x, None, None, middle, groups, 1e-5, threads=threads)
    assert middle.tobytes() == out.tobytes()
    assert np.isnan(framed[:, ::2]).all()
    assert np.isnan(framed[:, :, [0, -1]]).all()
    with pytest.raises(ValueError, match="out does not fit"):
        _kernels.group_norm(isa, x, None, None, framed, groups, 1e-5)


def test_norms_have_the_bits_of_any_instruction_set_with_multiply_add(dtype: np.dtype) -> None:
    x = randoms(2, 300, 24, dtype=dtype)
    scale, offset = randoms(2, 24, dtype=dtype)
    found: dict[bool, set[bytes]] = {True: set(), False: set()}
    for isa in _dispatch.available_isas():
        one, other = np.empty_like(x), np.empty_like(x)
        _kernels.group_norm(isa, x, scale, offset, one, 4, 1e-5)
        _kernels.layer_norm(isa, x.reshape(-1, 24), scale, offset, other.reshape(-1, 24), 1e-5)
        found[_kernels.describe(isa, "f32")["fma"]].add(one.tobytes() + other.tobytes())
    assert len(found[True]) <= 1
    assert len(found[False]) <= 1


def test_norms_refuse_what_does_not_fit(isa: str) -> None:
    x = np.ones((2, 3, 4))
    with pytest.raises(ValueError, match="groups must divide"):
        _kernels.group_norm(isa, x, None, None, x, 3, 1e-5)
    with pytest.raises(ValueError, match="out does not fit"):
        _kernels.group_norm(isa, x, None, None, x[:1].copy(), 2, 1e-5)
    with pytest.raises(ValueError, match="scale has 24 bytes"):
        _kernels.group_norm(isa, x, np.ones(3), None, x, 2, 1e-5)
    with pytest.raises(ValueError, match="must be alike"):
        _kernels.layer_norm(isa, x[0], None, None, x[0, :2].copy(), 1e-5)
    with pytest.raises(ValueError, match="three axes"):
        _kernels.reduce(isa, 0, x[0], x)
    assert (x == 1).all()


# ---- resampling --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("inner", [1, 2, 3, 16, 17, 100])
@pytest.mark.parametrize("taps", [1, 2, 3, 4, 7])
def test_resampling_by_tables(inner: int, taps: int, isa: str, dtype: np.dtype, threads: int) -> None:
    x = randoms(3, 11, inner, dtype=dtype)
    index, weights = RNG.integers(0, 11, (23, taps)), randoms(23, taps, dtype=dtype)
    out = np.full((3, 23, inner), np.nan, dtype)
    _kernels.resample(isa, dtype.itemsize, x, out, index, weights, 3, 11, 23, inner, taps, threads)
    want = (x[:, index].astype(np.float64) * weights[:, :, None]).sum(2)
    np.testing.assert_allclose(out, want, **tolerance(dtype, taps, scale=4 * taps))
    alone = np.full((1, 23, inner), np.nan, dtype)
    _kernels.resample(isa, dtype.itemsize, x[1:2], alone, index, weights, 1, 11, 23, inner, taps)
    assert alone.tobytes() == out[1:2].tobytes()


@pytest.mark.parametrize("channels", [1, 2, 3, 16, 33])
def test_rows_and_columns_in_one_pass(channels: int, isa: str, dtype: np.dtype, threads: int) -> None:
    x, size = randoms(2, 9, 11, channels, dtype=dtype), dtype.itemsize
    for rows, columns in ((1, 2), (2, 2), (4, 4), (2, 5)):
        tables = RNG.integers(0, 9, (13, rows)), randoms(13, rows, dtype=dtype)
        others = RNG.integers(0, 11, (40, columns)), randoms(40, columns, dtype=dtype)
        out = np.full((2, 13, 40, channels), np.nan, dtype)
        _kernels.resize(isa, size, x, out, (2, 9, 11, channels, 13, 40), *tables, *others, threads)
        between, want = np.empty((2, 13, 11, channels), dtype), np.empty_like(out)
        _kernels.resample(isa, size, x, between, *tables, 2, 9, 13, 11 * channels, rows)
        _kernels.resample(isa, size, between, want, *others, 26, 11, 40, channels, columns)
        assert out.tobytes() == want.tobytes()
    ones = RNG.integers(0, 9, (13, 1)), np.ones((13, 1), dtype)
    wide = np.full((2, 14, 41, channels + 2), np.nan, dtype)  # some of a larger array
    _kernels.resize(
        isa, size, x, wide[:, 1:, 1:, 1:-1], (2, 9, 11, channels, 13, 40), *ones, *others, threads
    )
    chosen = np.ascontiguousarray(x[:, ones[0][:, 0]])
    _kernels.resample(isa, size, chosen, want, *others, 26, 11, 40, channels, columns)
    assert wide[:, 1:, 1:, 1:-1].tobytes() == want.tobytes()
    assert np.isnan(wide[:, 0]).all()
    assert np.isnan(wide[:, :, 0]).all()
    assert np.isnan(wide[..., [0, -1]]).all()


def test_tables_are_checked(isa: str) -> None:
    x, out, weights = np.ones((1, 4, 2)), np.zeros((1, 3, 2)), np.ones((3, 1))
    wide, tall = x[..., None], out[..., None]
    columns = np.zeros((2, 1), np.int64), np.ones((2, 1))
    for bad in (-1, 4):
        index = np.array([[0], [bad], [0]])
        with pytest.raises(ValueError, match=f"index {bad} in a table for 4 places"):
            _kernels.resample(isa, 8, x, out, index, weights, 1, 4, 3, 2, 1)
        with pytest.raises(ValueError, match=f"index {bad} in a table for 4 places"):
            _kernels.resize(isa, 8, wide, tall, (1, 4, 2, 1, 3, 2), index, weights, *columns)
    with pytest.raises(ValueError, match="weights has 24 bytes"):
        _kernels.resample(isa, 8, x, out, np.zeros((3, 2), np.int64), weights, 1, 4, 3, 2, 2)
    assert not out.any()
