"""The kernels: instruction set x dtype x case against the reference, and the promises about bits."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import pytest
from cases import NETWORKS, SMALL, Case
from tolerance import tolerance

import convlite as cl
from convlite import _dispatch, _kernels, _threads, activations, ops, sums
from convlite.plan import Plan, Weights, direct, plan_for

CASES = [pytest.param(case, id=case.name) for case in SMALL]
# Threads, batches and special values meet every loop without all the tails of channels and pixels.
TAILS = ("channels-17", "channels-33", "channels-17-multiplier-3", "-29", "line-5", "line-13-stride2")
SHAPES = [p for p in CASES if not any(word in p.id for word in ("channels-", "pixels-"))] + [
    p for p in CASES if p.id.endswith(TAILS)
]


def call(case: Case, x: Any, kernel: Any, bias: Any = None, **options: Any) -> np.ndarray:
    return getattr(cl, case.operation)(x, kernel, bias, **case.options, **options)


def packed(case: Case, kernel: np.ndarray) -> cl.PackedKernel:
    return cl.PackedKernel(kernel, case.operation, **case.packing)


def defined(case: Case, *operands: Any, **options: Any) -> np.ndarray:
    return getattr(cl.reference, case.operation)(*operands, **case.options, **options)


@cache
def exact_want(case: Case) -> np.ndarray:
    """The reference on whole numbers: every sum is below 2**24, so float32 holds it, too."""
    return defined(case, *case.exact_operands("float64"))


def assert_same_bits(a: np.ndarray, b: np.ndarray) -> None:
    assert (a.shape, a.dtype) == (b.shape, b.dtype)
    assert a.tobytes() == b.tobytes(), f"{np.sum(a != b)} of {a.size} values differ"


def test_names_of_cases_are_unique() -> None:
    names = [case.name for case in SMALL + NETWORKS]
    assert len(names) == len(set(names))


# ---- values ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES)
def test_whole_numbers_are_exact(isa: str, dtype: np.dtype, case: Case) -> None:
    got = call(case, *case.exact_operands(dtype))
    assert got.dtype == dtype
    np.testing.assert_array_equal(got, exact_want(case).astype(dtype), strict=True)


@pytest.mark.parametrize("case", CASES)
def test_packed_kernels_give_the_same_bits(isa: str, dtype: np.dtype, case: Case) -> None:
    x, kernel, bias = case.operands(dtype)
    assert_same_bits(call(case, x, packed(case, kernel), bias), call(case, x, kernel, bias))


@pytest.mark.parametrize("case", SHAPES)
def test_real_numbers_are_close(isa: str, dtype: np.dtype, case: Case) -> None:
    operands = case.operands(dtype)
    want = defined(case, *operands)
    scale = max(float(np.abs(want).max(initial=0)), case.terms**0.5)
    np.testing.assert_allclose(call(case, *operands), want, **tolerance(dtype, case.terms, scale))


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in NETWORKS])
def test_layers_of_networks(isa: str, case: Case) -> None:
    """The first outputs against the reference on the patch of the input that they read."""
    x, kernel, bias = case.exact_operands("float32")
    got = call(case, x, kernel, bias)
    if case.operation == "dense":
        np.testing.assert_array_equal(got[:3], defined(case, x[:3], kernel, bias))
        return
    # a patch of x whose size leaves the same remainder by the stride gets the same SAME padding at its top
    stride = case.options.get("strides", 1)
    rows = min(x.shape[1], 12 + x.shape[1] % stride)
    want = defined(case, x[:, :rows, :rows], kernel, bias)
    np.testing.assert_array_equal(got[:, :2, :2], want[:, :2, :2])


@pytest.mark.parametrize("channels", [192, 200, 16])
def test_where_an_array_begins_cannot_be_seen(isa: str, dtype: np.dtype, channels: int) -> None:
    """Depthwise lines begin with a short vector where the others are aligned then."""
    case = Case("", "depthwise_conv2d", (1, 5, 9, channels), (3, 3, channels, 1), {"padding": "same"})
    x, kernel, bias = case.operands(dtype)
    want = call(case, x, kernel, bias)
    memory = np.empty(x.size + 128 // dtype.itemsize, dtype)
    begin = -memory.ctypes.data % 64 // dtype.itemsize
    for offset in range(64 // dtype.itemsize):
        there = memory[begin + offset :][: x.size].reshape(x.shape)
        there[...] = x
        assert_same_bits(call(case, there, kernel, bias), want)


# ---- bias and activations ----------------------------------------------------------------------------------

FUSED_NAMES = (
    "conv-channels-33",
    "depthwise-channels-9-multiplier-3",
    "transpose-stride-over-kernel",
    "dense-matrix",
)
FUSED = [p for p in CASES if p.id in FUSED_NAMES]


@pytest.mark.parametrize("case", FUSED)
@pytest.mark.parametrize("name", activations.NAMES)
def test_activations_are_applied_last(isa: str, dtype: np.dtype, case: Case, name: str) -> None:
    x, kernel, bias = case.operands(dtype)
    got = call(case, x, kernel, bias, activation=name)
    want = defined(case, x, kernel, bias, activation=name)
    # log_softmax is the steepest, with a slope of 2: tolerance() has room for 1.2
    scale = 2 * max(float(np.abs(defined(case, x, kernel, bias)).max()), case.terms**0.5)
    if name == "exponential":
        np.testing.assert_allclose(np.log(got), np.log(want), **tolerance(dtype, case.terms, scale))
    elif name != "hard_shrink":  # it jumps
        np.testing.assert_allclose(got, want, **tolerance(dtype, case.terms, scale))
    assert_same_bits(got, cl.activate(call(case, x, kernel, bias), name))


@pytest.mark.parametrize("case", FUSED)
def test_activation_objects_are_applied_last(isa: str, dtype: np.dtype, case: Case) -> None:
    x, kernel, bias = case.operands(dtype)
    slopes = np.linspace(-0.5, 0.5, case.cout).astype(dtype)
    plain = call(case, x, kernel, bias)
    for spec, want in (
        (activations.ReLU(1.5), np.clip(plain, 0, 1.5)),
        (activations.LeakyReLU(0.25), np.where(plain < 0, plain * dtype.type(0.25), plain)),
        (activations.PReLU(slopes), np.where(plain < 0, plain * slopes, plain)),
        (np.square, np.square(plain)),
    ):
        np.testing.assert_array_equal(call(case, x, kernel, bias, activation=spec), want, strict=True)


@pytest.mark.parametrize("case", SHAPES)
def test_without_bias(isa: str, dtype: np.dtype, case: Case) -> None:
    x, kernel, bias = case.exact_operands(dtype)
    want = exact_want(case).astype(dtype) - bias
    np.testing.assert_array_equal(call(case, x, kernel), want)


# ---- the same bits -----------------------------------------------------------------------------------------


@pytest.fixture
def eager_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """The smallest call is worth its threads."""
    monkeypatch.setattr(_threads, "SERIAL_WORK", 0)
    if not _dispatch.config()["openmp"]:
        pytest.skip("this build has no OpenMP")


@pytest.mark.usefixtures("eager_threads")
@pytest.mark.parametrize("case", SHAPES)
def test_the_number_of_threads_cannot_be_seen(isa: str, dtype: np.dtype, case: Case) -> None:
    x, kernel, bias = case.operands(dtype)
    panels = packed(case, kernel)
    results = []
    for n in (1, 2, 3, 7):
        with cl.num_threads(n):
            results.append(call(case, x, panels, bias, activation="relu6"))
    for result in results[1:]:
        assert_same_bits(results[0], result)


@pytest.mark.usefixtures("eager_threads")
@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 4097, 3 * 1024, 50_000])
def test_the_number_of_threads_cannot_be_seen_in_activations(isa: str, dtype: np.dtype, size: int) -> None:
    x = np.linspace(-5, 5, size).astype(dtype)
    results = []
    for n in (1, 2, 3, 7):
        with cl.num_threads(n):
            results.append(cl.activate(x, "silu"))
    for result in results[1:]:
        assert_same_bits(results[0], result)


@pytest.mark.parametrize("case", SHAPES)
def test_the_batch_cannot_be_seen(isa: str, dtype: np.dtype, case: Case) -> None:
    if case.x[0] == 0 or len(case.options.get("output_shape", ())) == 4 or len(case.x) == 1:
        return  # no batch to vary
    x, kernel, bias = case.operands(dtype, images=3)
    together = call(case, x, kernel, bias)
    alone = np.concatenate([call(case, x[i : i + 1], kernel, bias) for i in range(3)])
    assert_same_bits(together, alone)


@pytest.mark.thread_unsafe(reason="selects instruction sets")
@pytest.mark.parametrize("case", CASES)
def test_instruction_sets_with_fma_agree(dtype: np.dtype, case: Case) -> None:
    fused = [isa for isa in ("avx512", "avx2") if isa in _dispatch.available_isas()]
    if len(fused) < 2:
        pytest.skip(f"two instruction sets with FMA are needed; this CPU has {fused}")
    results = []
    for isa in fused:
        with _dispatch.use_isa(isa):
            results.append(call(case, *case.operands(dtype), activation="gelu_tanh"))
    assert_same_bits(*results)


CHUNKS = {
    "one tile": {"PIXEL_BYTES": 1, "FAR_PIXEL_BYTES": 1, "TABLE_BYTES": 1},
    "never fused": {"FUSED_NUMBERS": 0},
    "fused": {"FUSED_NUMBERS": 2**30},
    "edges cut": {"CALL_WORK": 0},
    "edges cut, never fused": {"CALL_WORK": 0, "FUSED_NUMBERS": 0},
    "copied": {"SET_LINES": 0, "CALL_WORK": 2**40},
    "copied, edges cut": {"SET_LINES": 0, "CALL_WORK": 0, "PIXEL_BYTES": 1, "FAR_PIXEL_BYTES": 1},
    "gathered": {"EDGE_BYTES": 0},
    "whole": {"TABLE_BYTES": 2**30, "PIXEL_BYTES": 2**30, "FAR_PIXEL_BYTES": 2**30, "CALL_WORK": 2**40},
}
CUTS = {
    "as ever": {},
    "pieces": {"PIECE": 16},
    "sections": {"PIECE": 16, "SECTION": 48, "SECTION_TAPS": 16},
    "sections, long rows": {"PIECE": 8, "SECTION": 200, "SECTION_TAPS": 64},
}


def forget_plans() -> None:
    """A short call like one before would run that one's plan."""
    ops.planned.cache_clear()
    _kernels.plain_calls.clear()


@pytest.fixture
def chunked() -> Iterator[Any]:
    """Plans that cut sums and blocks elsewhere."""
    with pytest.MonkeyPatch.context() as patch:

        def choose(name: str, cuts: str = "as ever") -> None:
            patch.undo()
            for key, value in CHUNKS[name].items():
                patch.setattr(direct, key, value)
            for key, value in CUTS[cuts].items():
                patch.setattr(sums, key, value)
            forget_plans()

        yield choose
    forget_plans()


@pytest.mark.thread_unsafe(reason="changes the planner's constants")
@pytest.mark.parametrize("chunks", [name for name in CHUNKS if name != "whole"])
@pytest.mark.parametrize("cuts", CUTS)
@pytest.mark.parametrize("case", SHAPES)
def test_how_sums_are_computed_cannot_be_seen(
    isa: str, chunked: Any, chunks: str, cuts: str, case: Case
) -> None:
    x, kernel, bias = case.operands("float32")
    chunked("whole", cuts)
    whole = call(case, x, kernel, bias, activation="relu6")
    chunked(chunks, cuts)
    assert_same_bits(call(case, x, kernel, bias, activation="relu6"), whole)


def test_what_ran_before_cannot_be_seen(isa: str, dtype: np.dtype) -> None:
    cases = [case for case in SMALL if "many" in case.name or "groups" in case.name]
    first = [call(case, *case.operands(dtype)) for case in cases]
    again = [call(case, *case.operands(dtype)) for case in reversed(cases)]
    for a, b in zip(first, reversed(again), strict=True):
        assert_same_bits(a, b)


def test_the_sign_of_zero_does_not_tell_either(isa: str) -> None:
    """A sum that underflows to -0 before taps of padding: skipped in one batch, multiplied in another."""
    x = np.full((1, 3, 5, 1), 1e-30, np.float32)
    kernel = np.array([-1e-30, 1], np.float32).reshape(2, 1, 1, 1)
    one = cl.conv2d(x, kernel, padding=((0, 1), (0, 0)))
    two = cl.conv2d(np.concatenate([x, x]), kernel, padding=((0, 1), (0, 0)))
    assert_same_bits(np.concatenate([one, one]), two)
    assert not np.signbit(one).any()


def test_plans_go_when_they_are_dropped() -> None:
    """No cycle: what the cache lets go is freed at once."""
    gc.disable()
    try:
        dropped = make()
        assert dropped() is None
    finally:
        gc.enable()


def make() -> weakref.ref[Plan]:
    shape = ("conv2d", (1, 9, 9, 3), (3, 3, 3, 4), (1, 1), "same", (1, 1), 1, None, None)
    geometry, weights = ops.geometry_of.__wrapped__(*shape), Weights("conv2d", shape[2])
    made = plan_for(geometry, weights, np.dtype(np.float32), _dispatch.active_isa())
    assert made.runner is not None
    return weakref.ref(made)


# ---- NaN and Inf -------------------------------------------------------------------------------------------

SPECIAL = {"x": (np.nan,), "kernel": (np.inf, np.inf, -np.inf), "bias": (np.inf, np.nan)}


def special_operands(case: Case, dtype: Any, where: str) -> tuple[np.ndarray, ...]:
    """Whole numbers, with special values at fixed, scattered places of one operand."""
    operands = case.exact_operands(dtype)
    flat = operands[list(SPECIAL).index(where)].reshape(-1)
    for i, value in enumerate(SPECIAL[where]):
        if flat.size:
            flat[(i * 7919 + 3) % flat.size] = value
    return operands


@cache
def special_want(case: Case, where: str) -> np.ndarray:
    return defined(case, *special_operands(case, "float64", where))


@pytest.mark.parametrize("where", SPECIAL)
@pytest.mark.parametrize("case", SHAPES)
def test_nan_and_inf_reach_what_they_should(isa: str, dtype: np.dtype, case: Case, where: str) -> None:
    """The reference never multiplies a weight by padding: so must the kernels not, or Inf becomes NaN."""
    got = call(case, *special_operands(case, dtype, where))
    np.testing.assert_array_equal(got, special_want(case, where).astype(dtype), strict=True)


@pytest.mark.parametrize("weight", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("padding", ["same", "same_lower", 2, ((0, 3), (2, 0))])
def test_weights_over_padding_do_nothing(isa: str, dtype: np.dtype, weight: float, padding: Any) -> None:
    x = np.ones((1, 4, 5, 3), dtype)
    kernel = np.ones((3, 3, 3, 18), dtype)
    kernel[0, 2] = weight
    got = cl.conv2d(x, kernel, padding=padding)
    np.testing.assert_array_equal(got, cl.reference.conv2d(x, kernel, padding=padding))
    assert np.isfinite(got).any()
    wide = np.ones((3, 3, 20, 1), dtype)
    wide[2, 0] = weight
    x = np.ones((2, 4, 5, 20), dtype)
    got = cl.depthwise_conv2d(x, wide, padding=padding, activation="relu")
    want = cl.reference.depthwise_conv2d(x, wide, padding=padding, activation="relu")
    np.testing.assert_array_equal(got, want)


def test_a_nan_pixel_reaches_exactly_its_receptive_field(isa: str, dtype: np.dtype) -> None:
    x = np.zeros((1, 9, 9, 2), dtype)
    x[0, 4, 5, 1] = np.nan
    got = cl.conv2d(x, np.zeros((3, 2, 2, 5), dtype), dilations=(2, 1), padding=((2, 2), (1, 0)))
    want = np.zeros((9, 9), bool)
    want[[2, 4, 6], 5] = want[[2, 4, 6], 6] = True  # rows 4 - {-2, 0, 2}, columns 5 - {-1, 0}
    for channel in range(5):
        np.testing.assert_array_equal(np.isnan(got[0, :, :, channel]), want)


def test_an_infinity_times_zero_is_nan(isa: str, dtype: np.dtype) -> None:
    assert np.isnan(cl.dense(np.array([np.inf], dtype), np.zeros((1, 1), dtype))).all()
    assert np.isnan(cl.dense(np.array([np.inf, np.inf], dtype), np.array([[1], [-1]], dtype))).all()


def test_float32_overflows_to_infinity(isa: str) -> None:
    big = np.float32(3e38)
    assert cl.dense(np.array([big, big]), np.ones((2, 1), np.float32))[0] == np.inf
