"""Kernels along rows of few columns or channels: softmax, its logarithm, layer norm, pools.

The oracles are the formulas in float64, and the same numbers among others: a row between other rows, channels
between other channels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import convlite as cl
from convlite import _dispatch, _kernels

COLUMNS = (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33, 63, 64, 100, 1000)


def rows_of(columns: int, count: int, dtype: Any, scale: float = 3.0) -> Any:
    rng = np.random.default_rng(columns)
    return (rng.standard_normal((count, columns)) * scale).astype(dtype)


def logarithm_of(x: Any) -> Any:
    """log_softmax by its formula, with log1p of what the others add to the largest number's 1."""
    wide = np.sort(x.astype(np.float64), axis=-1)
    largest, others = wide[:, -1:], wide[:, :-1]
    rest = np.log1p(np.exp(others - largest).sum(axis=-1, keepdims=True))
    return x.astype(np.float64) - largest - rest


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("columns", COLUMNS)
def test_softmax_and_its_logarithm_are_the_formulas(isa: str, columns: int, dtype: Any) -> None:
    x = rows_of(columns, 37, dtype)
    unit = np.finfo(dtype).eps
    expected = logarithm_of(x)
    np.testing.assert_allclose(cl.log_softmax(x), expected, rtol=8 * unit, atol=8 * unit)
    np.testing.assert_allclose(cl.softmax(x), np.exp(expected), rtol=(16 + columns / 16) * unit)


@pytest.mark.parametrize("columns", [2, 3, 17, 64])
def test_the_logarithm_is_right_where_one_number_has_nearly_all(isa: str, columns: int) -> None:
    x = rows_of(columns, 33, np.float32, 20.0)
    expected = logarithm_of(x)
    # the largest difference, 100, is rounded to 4e-6, and so is its exponential; sums are in double
    np.testing.assert_allclose(cl.log_softmax(x), expected, rtol=1e-5, atol=np.finfo(np.float64).eps)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("columns", COLUMNS)
def test_a_row_has_its_bits_whatever_stands_beside_it(isa: str, columns: int, dtype: Any) -> None:
    x = rows_of(columns, 67, dtype)
    gamma, beta = rows_of(columns, 2, dtype)
    for function in (cl.softmax, cl.log_softmax, lambda rows: cl.layer_norm(rows, gamma=gamma, beta=beta)):
        whole = function(x)
        for first, last in ((0, 1), (5, 6), (3, 20), (50, 67)):
            assert function(x[first:last]).tobytes() == whole[first:last].tobytes()


@pytest.mark.parametrize("columns", [1, 2, 3, 16, 17, 40])
def test_what_is_no_number_stays_in_its_row(isa: str, columns: int) -> None:
    x = rows_of(columns, 40, np.float32)
    clean = [cl.softmax(x), cl.log_softmax(x)]
    x[3, 0], x[9, -1], x[20] = np.nan, np.inf, -np.inf
    for function, before in zip((cl.softmax, cl.log_softmax), clean, strict=True):
        result = function(x)
        bad = np.isnan(result)
        assert bad[[3, 9, 20]].all()
        assert not np.delete(bad, [3, 9, 20], axis=0).any()
        keep = np.delete(np.arange(40), [3, 9, 20])
        assert np.array_equal(result[keep], before[keep])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_shares_are_rounded_as_by_division(isa: str, dtype: Any) -> None:
    """softmax divides by way of an inverse: the quotients are those of a division, the smallest ones too."""
    rng = np.random.default_rng(0)
    for columns in (2, 5, 17, 40):
        x = (rng.standard_normal((400, columns)) * 30).astype(dtype)
        result = cl.softmax(x)
        powers = np.empty_like(x)
        less = x - x.max(axis=1, keepdims=True)
        cl.activate(less, "exponential", out=powers)
        total = powers.sum(axis=1, keepdims=True, dtype=np.float64)
        ratio = np.where(powers > 0, result / np.where(powers > 0, powers / total, 1), 1)
        normal = powers > np.finfo(dtype).tiny * columns * 2
        assert np.abs(ratio[normal] - 1).max() < (4 + columns) * np.finfo(dtype).eps


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("columns", COLUMNS)
def test_layer_norm_is_the_formula(isa: str, columns: int, dtype: Any) -> None:
    x = rows_of(columns, 37, dtype) + dtype(5)
    gamma, beta = rows_of(columns, 2, dtype)
    wide = x.astype(np.float64)
    deviation = wide - wide.mean(axis=1, keepdims=True)
    expected = deviation / np.sqrt((deviation**2).mean(axis=1, keepdims=True) + 1e-3)
    unit = np.finfo(dtype).eps
    for scale, offset in ((None, None), (gamma, None), (None, beta), (gamma, beta)):
        wanted = expected * (1 if scale is None else scale) + (0 if offset is None else offset)
        got = cl.layer_norm(x, gamma=scale, beta=offset)
        np.testing.assert_allclose(got, wanted, rtol=8 * unit, atol=40 * unit * max(1, np.abs(gamma).max()))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 8, 15])
@pytest.mark.parametrize("window", [2, 3, (2, 5)])
def test_few_channels_are_pooled_as_among_many(isa: str, channels: int, window: Any, dtype: Any) -> None:
    rng = np.random.default_rng(channels)
    x = rng.standard_normal((2, 9, 41, channels)).astype(dtype)
    x[0, 1, 3], x[1, 2, :4], x[1, 2, 4:8], x[0, 4, 7], x[1, 3, 5] = np.nan, -0.0, 0.0, -np.inf, np.inf
    many = np.concatenate([x, rng.standard_normal((2, 9, 41, 40)).astype(dtype)], axis=-1)
    for options in (
        {},
        {"strides": 1, "padding": "same"},
        {"strides": 2, "padding": ((0, 1), (1, 1))},
        {"strides": 3, "ceil_mode": True},
        {"strides": 2, "dilations": 2},
    ):
        for pool, more in (
            (cl.max_pool2d, {}),
            (cl.avg_pool2d, {}),
            (cl.avg_pool2d, {"count_include_pad": True}),
        ):
            few, part = (pool(image, window, **options, **more) for image in (x, many))
            bits = [np.nan_to_num(y, nan=7.0).tobytes() for y in (few, part[..., :channels])]
            assert bits[0] == bits[1], options


@pytest.mark.parametrize("columns", [1, 7, 9, 17, 31, 63, 129])
def test_sums_of_any_number_of_columns(isa: str, columns: int) -> None:
    """The last vector of columns overlaps the one before: integers are summed exactly, in any order."""
    x = np.random.default_rng(columns).integers(-50, 50, (3, 300, columns)).astype(np.float32)
    codes = _kernels.reduce_codes()
    for name, expected in (("sum", x.sum(axis=1)), ("max", x.max(axis=1))):
        out = np.empty((3, columns), np.float32)
        _kernels.reduce(isa, codes[name], x, out)
        assert np.array_equal(out, expected)


def chain(threads: int, size: tuple[int, int], joined: bool, shift: int = 0) -> tuple[Any, int]:
    """A gate, an activation and a sum of two in a row, and how many steps were joined into others."""
    isa, codes = _dispatch.active_isa(), _kernels.pass_codes()
    rng = np.random.default_rng(1)
    a, b = (rng.standard_normal(size).astype(np.float32) for _ in range(2))
    gate = rng.standard_normal(size[1]).astype(np.float32)
    store = np.zeros(size[0] * size[1] + shift, np.float32)
    first, second = store[: a.size].reshape(size), store[shift:].reshape(size)
    out = np.empty(size, np.float32)
    script = _kernels.Script(threads)
    script.keep((a, b, gate, store, out))
    add = {"threads": threads, "into": script}
    _kernels.elementwise(isa, codes["mul"], a, gate, first, **add)
    _kernels.elementwise(isa, codes["max"], first, b, second, **add)
    _kernels.elementwise(isa, codes["add"], second, b, out, 1, 0.0, 1.0, **add)
    gone = script.join(0, len(script)) if joined else 0
    script.close()
    script.run(0, len(script))
    return out, gone


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("size", [(700, 96), (3000, 17), (40000, 3)])
def test_a_chain_of_passes_gives_what_they_give_apart(threads: int, size: tuple[int, int]) -> None:
    apart, joined = chain(threads, size, False), chain(threads, size, True)
    assert (apart[1], joined[1]) == (0, 2)
    assert np.array_equal(apart[0], joined[0])


def test_passes_that_read_other_places_than_were_written_stay_apart() -> None:
    apart, joined = (chain(1, (700, 96), join, shift=64) for join in (False, True))
    assert joined[1] == 1  # the last two
    assert np.array_equal(apart[0], joined[0])


def test_small_passes_stay_apart() -> None:
    assert chain(1, (8, 96), True)[1] == 0
