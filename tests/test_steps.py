"""Passes, copies and paddings of the compiled core against NumPy: instruction set x dtype x shape x threads.

Sums, norms and resampling are in test_step_sums.py, guard pages for all in test_step_guards.py.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import convlite as cl
from convlite import _dispatch, _kernels, activations

RNG = np.random.default_rng(2024)
CODES = _kernels.pass_codes()
NUMPY: dict[str, Callable[..., Any]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "max": np.maximum,
    "min": np.minimum,
    "prelu": lambda a, b: np.where(a < 0, a * b, a),
    "first": lambda a, b: np.broadcast_arrays(a, b)[0],
}
# x and what is combined with it: equal, per channel, per pixel, a squeeze-and-excite gate, numbers, odd ones
SHAPES = [
    ((2, 3, 5, 7), (2, 3, 5, 7)), ((2, 9, 5, 3), (3,)), ((2, 3, 5, 64), (64,)), ((2, 6, 5, 33), (33,)),
    ((2, 3, 5, 7), (2, 3, 5, 1)), ((2, 6, 5, 20), (2, 1, 1, 20)), ((2, 60, 5, 3), (2, 1, 1, 3)),
    ((3,), (3,)), ((), ()), ((1,), (5,)), ((4, 1), (1, 5)), ((2, 100, 30, 1), (1,)), ((17, 19), ()),
    ((0, 3), (3,)), ((3, 0), (1,)), ((40000,), (40000,)), ((1000, 3), (1000, 3)), ((300, 33), (300, 1)),
    ((2, 3, 4, 5), (3, 1, 5)), ((2, 3, 2, 3, 2, 3, 2, 3), (3, 1, 3, 1, 3)),
]  # fmt: skip


def randoms(*shape: int, dtype: Any) -> np.ndarray:
    return np.asarray(RNG.standard_normal(shape), dtype)


def run(op: str, a: np.ndarray, b: Any, out: np.ndarray, isa: str, *rest: Any, **options: Any) -> np.ndarray:
    _kernels.elementwise(isa, CODES[op], a, None if op == "first" else b, out, *rest, **options)
    return out


# ---- two operands ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("op", CODES)
@pytest.mark.parametrize(("first", "second"), SHAPES)
def test_two_operands(op: str, first: Any, second: Any, isa: str, dtype: np.dtype) -> None:
    one, other = randoms(*first, dtype=dtype), randoms(*second, dtype=dtype)
    for a, b in ((one, other), (other, one)):
        want = np.asarray(NUMPY[op](a, b))
        for threads in (1, 2, 3):
            got = run(op, a, b, np.full(want.shape, np.nan, dtype), isa, threads=threads)
            np.testing.assert_array_equal(got, want)
            got = run(op, a, b, np.full(want.shape, np.nan, dtype), isa, 1, -0.5, 0.5, threads=threads)
            np.testing.assert_array_equal(got, np.clip(want, -0.5, 0.5))


@pytest.mark.parametrize("op", ["add", "sub", "mul", "div", "max", "min"])
def test_a_number_for_the_second(op: str, isa: str, dtype: np.dtype) -> None:
    x = randoms(3, 5, 21, dtype=dtype)
    got = run(op, x, 0.3, np.empty_like(x), isa)
    np.testing.assert_array_equal(got, NUMPY[op](x, dtype.type(0.3)))


def test_special_values(isa: str, dtype: np.dtype) -> None:
    values = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -2.0, np.finfo(dtype).max / 4], dtype)
    a, b = (v.ravel() for v in np.meshgrid(values, values))
    with np.errstate(all="ignore"):
        for op in CODES:
            got = run(op, a, b, np.empty_like(a), isa)
            want = NUMPY[op](a, b)
            np.testing.assert_array_equal(got, want, err_msg=op)
            if op not in ("max", "min"):  # of two zeros either may be taken
                numbers = ~np.isnan(want)
                np.testing.assert_array_equal(np.signbit(got[numbers]), np.signbit(want[numbers]), err_msg=op)


def test_subnormal_numbers_are_zeros_unless_picked(isa: str, dtype: np.dtype) -> None:
    if cl.activate(np.full(1, 1e-310), "relu") != 0:
        pytest.skip("this build or machine keeps subnormal numbers")
    tiny = np.full(5, np.finfo(dtype).smallest_subnormal * 8, dtype)
    zeros = np.zeros_like(tiny)
    assert not run("add", tiny, zeros, np.empty_like(tiny), isa).any()
    for op in ("max", "first"):
        np.testing.assert_array_equal(run(op, tiny, zeros, np.empty_like(tiny), isa), tiny)
    slopes = cl.activations.PReLU(
        np.ones(5, dtype)
    )  # passes on what is not multiplied, from one row as from many
    for rows in (1, 3):
        many = np.tile(tiny, (rows, 1))
        np.testing.assert_array_equal(slopes(many), many)
        np.testing.assert_array_equal(cl.prelu(many, slopes.alpha), many)
    leaky = activations.CODES["leaky"]
    np.testing.assert_array_equal(run("first", tiny, None, np.empty_like(tiny), isa, leaky, 0.5), tiny)


@pytest.mark.parametrize("name", [n for n in activations.NAMES if "softmax" not in n])
def test_an_activation_in_the_same_pass(name: str, isa: str, dtype: np.dtype) -> None:
    x, y = 3 * randoms(2, 9, 11, 37, dtype=dtype), randoms(37, dtype=dtype)
    fused = activations.get(name).fused()  # type: ignore[union-attr]
    got = run("add", x, y, np.empty_like(x), isa, fused.code, fused.a, fused.b)
    assert got.tobytes() == cl.activate(x + y, name).tobytes()
    wide = np.zeros((2, 9, 11, 50), dtype)
    run("first", x, None, wide[..., 3:40], isa, fused.code, fused.a, fused.b, threads=2)
    assert wide[..., 3:40].tobytes() == cl.activate(x, name).tobytes()
    assert not wide[..., :3].any()
    assert not wide[..., 40:].any()


@pytest.mark.parametrize("channels", [1, 3, 33, 5000])
def test_slopes_for_each_channel(channels: int, isa: str, dtype: np.dtype) -> None:
    x, y, slopes = (randoms(*s, dtype=dtype) for s in ((2, 30, channels), (channels,), (channels,)))
    code = activations.CODES["prelu"]
    got = run("mul", x, y, np.empty_like(x), isa, code, 0.0, 0.0, slopes, 2)
    np.testing.assert_array_equal(got, NUMPY["prelu"](x * y, slopes))


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 17, 64, 300])
def test_channels_scaled_and_moved(channels: int, isa: str, dtype: np.dtype, threads: int) -> None:
    x = randoms(2, 20, 21, channels, dtype=dtype)
    centre, factor, offset = randoms(3, channels, dtype=dtype)
    exact = x.astype(np.float64)
    bound = {"rtol": 4 * np.finfo(dtype).eps, "atol": 16 * np.finfo(dtype).eps}
    for c, o in itertools.product((None, centre), (None, offset)):
        want = (exact - (0 if c is None else c)) * factor + (0 if o is None else o)
        out = np.full_like(x, np.nan)
        _kernels.affine(isa, x, c, factor, o, out, threads=threads)
        np.testing.assert_allclose(out, want, **bound)
        one = np.full_like(x[:1], np.nan)
        _kernels.affine(isa, x[:1], c, factor, o, one)
        assert one.tobytes() == out[:1].tobytes()
        _kernels.affine(isa, x, c, factor, o, out, 1, 0.0, np.inf, None, threads)
        np.testing.assert_allclose(out, np.maximum(want, 0), **bound)
    kept = x.copy()
    _kernels.affine(isa, kept, centre, factor, offset, kept, threads=threads)  # in place
    np.testing.assert_allclose(kept, (exact - centre) * factor + offset, **bound)


SLICES = [
    np.s_[:, :, :, 3:20], np.s_[:, ::2, :, ::3], np.s_[::-1, :, ::-1, ::-1], np.s_[:, :, 1:5, 0:1],
    np.s_[1:2, 3:9, 5:6], np.s_[..., 7],
]  # fmt: skip


@pytest.mark.parametrize("where", SLICES, ids=str)
def test_strided_operands(where: Any, isa: str, dtype: np.dtype, threads: int) -> None:
    x, wide = randoms(4, 10, 12, 40, dtype=dtype)[where], np.full((4, 10, 12, 50), 7, dtype)
    place = tuple(slice(5, 5 + n) if i == 3 else slice(n) for i, n in enumerate(x.shape))
    out = wide[(*place, 9)] if x.ndim == 3 else wide[place]
    want = x + x[..., :1]
    run("add", x, x[..., :1], out, isa, threads=threads)
    np.testing.assert_array_equal(out, want)
    out[...] = 7
    assert (wide == 7).all()
    run("sub", x.T, 0.5, out.T, isa, threads=threads)
    np.testing.assert_array_equal(out, x - dtype.type(0.5))
    run("div", x[..., :1], x, out, isa, threads=threads)
    np.testing.assert_array_equal(out, x[..., :1] / x)


def test_tasks_of_few_numbers_go_along_the_longest_axis(isa: str, dtype: np.dtype, threads: int) -> None:
    wide = randoms(1500, 3, 7, dtype=dtype)
    x, kept = wide[..., 1:3], wide.copy()
    each, place = 1 - wide[0, :, 3:5], 2 - wide[:, :1, 5:7]
    for b in (each, place, x.copy()):
        np.testing.assert_array_equal(run("mul", x, b, np.empty_like(x), isa, threads=threads), x * b)
    run("add", x, place, x, isa, threads=threads)  # in place, between numbers that stay
    kept[..., 1:3] += place
    np.testing.assert_array_equal(wide, kept)


def test_rows_an_odd_number_of_bytes_apart(isa: str, dtype: np.dtype) -> None:
    record = np.zeros(7, np.dtype([("byte", np.uint8), ("values", dtype, (5,))]))  # unaligned as well
    record["values"] = randoms(7, 5, dtype=dtype)
    out = np.empty((7, 5), dtype)
    np.testing.assert_array_equal(
        run("add", record["values"], 1.0, out, isa), record["values"] + dtype.type(1)
    )
    _kernels.copy(isa, record["values"].T, out.T)
    np.testing.assert_array_equal(out, record["values"])


def test_what_does_not_fit_is_refused(isa: str) -> None:
    x, out = np.ones((2, 3), np.float32), np.zeros((2, 3), np.float32)
    for b in (np.ones(2, np.float32), np.ones((1, 2, 3), np.float32), np.ones(3)):
        with pytest.raises(ValueError, match="internal error: b "):
            run("add", x, b, out, isa)
    with pytest.raises(ValueError, match="needs b"):
        run("add", x, None, out, isa)
    with pytest.raises(ValueError, match="internal error: 9 axes"):
        _kernels.copy(isa, x, np.zeros((1,) * 7 + (2, 3), np.float32))
    out.setflags(write=False)
    with pytest.raises(ValueError, match="read-only"):
        run("add", x, x, out, isa)
    assert not out.any()


# ---- copies ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "shape", [(2, 5, 6, 7), (1, 33, 40, 64), (3, 17, 19, 3), (1, 64, 64, 1), (2, 9, 4, 2)]
)
@pytest.mark.parametrize("kind", ["f4", "f8", "i2", "u1", "c16"])
def test_axes_in_any_order(shape: Any, kind: str, isa: str, threads: int) -> None:
    x = np.arange(np.prod(shape)).astype(kind).reshape(shape)
    for order in itertools.permutations(range(4)):
        out = np.full(x.transpose(order).shape, 99, kind)
        _kernels.copy(isa, x.transpose(order), out, threads)
        np.testing.assert_array_equal(out, x.transpose(order))


def test_blocks_of_larger_arrays(isa: str, dtype: np.dtype, threads: int) -> None:
    parts = [randoms(2, 11, 13, c, dtype=dtype) for c in (1, 3, 16, 33)]
    whole = np.full((2, 11, 13, 53), np.nan, dtype)
    at = 0
    for part in parts:  # concatenated
        _kernels.copy(isa, part, whole[..., at : at + part.shape[3]], threads)
        at += part.shape[3]
    np.testing.assert_array_equal(whole, np.concatenate(parts, axis=3))
    planes = np.full((2, 53, 11, 13), np.nan, dtype)
    for first, last in ((0, 3), (3, 53)):  # sliced, into planes
        _kernels.copy(isa, whole[..., first:last].transpose(0, 3, 1, 2), planes[:, first:last], threads)
    np.testing.assert_array_equal(planes, whole.transpose(0, 3, 1, 2))
    for first, last in ((0, 2), (2, 5), (5, 53)):  # and back
        _kernels.copy(isa, planes[:, first:last].transpose(0, 2, 3, 1), whole[..., first:last], threads)
    np.testing.assert_array_equal(whole, np.concatenate(parts, axis=3))


@pytest.mark.parametrize("channels", [1, 3, 4, 16])
def test_rearranged_pixels(channels: int, isa: str, dtype: np.dtype) -> None:
    x = randoms(2, 6, 8, channels, dtype=dtype)
    up = np.empty((2, 6, 2, 8, 2, channels), dtype)
    _kernels.copy(isa, x[:, :, None, :, None, :], up)
    np.testing.assert_array_equal(up.reshape(2, 12, 16, -1), x.repeat(2, 1).repeat(2, 2))
    space = x.reshape(2, 3, 2, 4, 2, channels)
    depth = np.empty((2, 3, 4, 2, 2, channels), dtype)
    _kernels.copy(isa, space.transpose(0, 1, 3, 2, 4, 5), depth)
    np.testing.assert_array_equal(depth, space.transpose(0, 1, 3, 2, 4, 5))
    back = np.empty_like(space)
    _kernels.copy(isa, depth.transpose(0, 1, 3, 2, 4, 5), back)
    np.testing.assert_array_equal(back, space)


def test_copies_of_nothing_and_of_one(isa: str) -> None:
    for shape in ((0,), (3, 0, 2), (), (1, 1, 1)):
        out = np.zeros(shape)
        _kernels.copy(isa, np.ones(shape), out)
        assert (out == 1).all()
    out = np.zeros((3, 4))
    _kernels.copy(isa, np.float64(2), out)
    assert (out == 2).all()


def test_copies_keep_every_bit(isa: str) -> None:
    """Subnormal numbers and NaN with their signs and payloads."""
    words = np.array([[1, 0x7F800001, 0xFFC12345], [0x80000001, 0x7FFFFFFF, 3]], np.uint32)
    for order in ((0, 1), (1, 0)):
        out = np.zeros(words.transpose(order).shape, np.float32)
        _kernels.copy(isa, words.view(np.float32).transpose(order), out)
        np.testing.assert_array_equal(out.view(np.uint32), words.transpose(order))


# ---- padding -----------------------------------------------------------------------------------------------

PADS = [
    ((2, 5, 6, 3), ((1, 2), (3, 0))), ((1, 4, 4, 16), ((3, 3), (2, 1))), ((1, 1, 1, 2), ((2, 3), (1, 1))),
    ((1, 3, 2, 5), ((7, 8), (5, 9))), ((2, 3, 4, 1), ((0, 0), (0, 0))), ((0, 3, 4, 1), ((1, 1), (1, 1))),
]  # fmt: skip


@pytest.mark.parametrize("mode", _kernels.pad_modes())
@pytest.mark.parametrize(("shape", "pads"), PADS)
def test_padding(mode: str, shape: Any, pads: Any, dtype: np.dtype, threads: int) -> None:
    x = randoms(*shape, dtype=dtype)
    constant = {"constant_values": dtype.type(1.5)} if mode == "constant" else {}
    want = np.pad(x, ((0, 0), *pads, (0, 0)), mode=mode, **constant)  # type: ignore[call-overload]
    out = np.full(want.shape, np.nan, dtype)
    _kernels.pad(x, out, pads[0][0], pads[1][0], _kernels.pad_modes()[mode], 1.5, threads)
    np.testing.assert_array_equal(out, want)
    wide = np.full((*want.shape[:3], want.shape[3] + 2), np.nan, dtype)  # from a slice into a slice
    double = np.concatenate([x, x], axis=3)[..., : x.shape[3]]
    _kernels.pad(double, wide[..., 1:-1], pads[0][0], pads[1][0], _kernels.pad_modes()[mode], 1.5, threads)
    np.testing.assert_array_equal(wide[..., 1:-1], want)
    assert np.isnan(wide[..., [0, -1]]).all()


def test_padding_refuses_what_does_not_fit() -> None:
    x, out = np.ones((1, 2, 2, 3)), np.zeros((1, 3, 3, 3))
    for arguments in ((2, 0, 0), (0, 2, 0), (-1, 0, 0), (0, 0, 5)):
        with pytest.raises(ValueError, match="do not fit"):
            _kernels.pad(x, out, *arguments)
    with pytest.raises(ValueError, match="do not fit"):
        _kernels.pad(x, out[..., ::-1], 0, 0, 0)
    assert not out.any()


# ---- one result ------------------------------------------------------------------------------------------


def test_the_same_bits_on_any_instruction_set_with_multiply_add(dtype: np.dtype) -> None:
    """What rounds once: on all; affine's multiply-add: on those that have it."""
    x, y = randoms(3, 7, 9, 21, dtype=dtype), randoms(21, dtype=dtype)
    found: dict[str, set[bytes]] = {}
    for isa in _dispatch.available_isas():
        fma = _kernels.describe(isa, "f32")["fma"]
        for op in CODES:
            for threads in (1, 2):
                got = run(op, x, y, np.empty_like(x), isa, threads=threads)
                found.setdefault(op, set()).add(got.tobytes())
        out = np.empty_like(x)
        _kernels.affine(isa, x, y, y, y, out, activations.CODES["gelu"])
        found.setdefault(f"affine {fma}", set()).add(out.tobytes())
    assert {name: len(bits) for name, bits in found.items()} == dict.fromkeys(found, 1)
