"""The core's bound steps: scripts, kernels on arrays with gaps, gates of recurrent layers, roots."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import convlite as cl
from convlite import _kernels
from convlite.pack import PackedKernel, made_ready

REST = -77.0  # what lies between the channels


def numbers(seed: int, *shape: int, dtype: Any = np.float32) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def gapped(shape: tuple[int, ...], before: int, after: int, dtype: Any) -> tuple[Any, Any]:
    """An array and, as a view of it, some of its channels."""
    whole = np.full((*shape[:-1], before + shape[-1] + after), REST, dtype)
    return whole, whole[..., before : before + shape[-1]]


# x's shape, kernel's shape, operation, options
CALLS = {
    "1x1": ((2, 9, 9, 24), (1, 1, 24, 40), "conv2d", {}),
    "1x1, strides": ((2, 9, 9, 24), (1, 1, 24, 40), "conv2d", {"strides": 2}),
    "1x1, powers of two": ((1, 4, 14, 1024), (1, 1, 1024, 32), "conv2d", {}),
    "3x3": ((2, 9, 9, 24), (3, 3, 24, 40), "conv2d", {"padding": "same"}),
    "3x3, inside": ((2, 9, 9, 24), (3, 3, 24, 24), "conv2d", {"dilations": 2}),
    "3x3, large": ((1, 30, 30, 64), (3, 3, 64, 72), "conv2d", {"padding": "same"}),
    "groups": ((1, 9, 9, 32), (3, 3, 8, 32), "conv2d", {"padding": "same"}),
    "narrow map": ((1, 3, 3, 24), (3, 3, 24, 40), "conv2d", {"padding": "same"}),
    "multiplier": ((1, 9, 9, 24), (3, 3, 24, 2), "depthwise_conv2d", {"padding": "same"}),
    "turned": ((1, 5, 5, 24), (3, 3, 40, 24), "conv2d_transpose", {"strides": 2, "padding": "same"}),
}


@pytest.mark.parametrize("precision", ["exact", "fast"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", CALLS)
def test_gaps_between_pixels_change_no_bit(isa: str, name: str, dtype: Any, precision: Any) -> None:
    shape, kernel_shape, operation, options = CALLS[name]
    groups = 4 if name == "groups" else 1
    packing = {"strides": options.get("strides", 1)} if operation == "conv2d_transpose" else {}
    packed = PackedKernel(numbers(0, *kernel_shape, dtype=dtype), operation, groups=groups, **packing)  # type: ignore[arg-type]
    x, bias = numbers(1, *shape, dtype=dtype), numbers(2, 64 * 64, dtype=dtype)
    with cl.precision(precision):
        plan, panels = made_ready(packed, shape, **options)
    assert panels is not None
    geometry, runner = plan.geometry, plan.runner
    bias = bias[: geometry.cout]
    want = np.empty(geometry.out_shape, dtype)
    rest = (0, 0.5, 1.0, panels.finite, 1)
    runner.run(x, panels.data, bias, None, want, *rest)
    _, given = gapped(shape, 3, 5, dtype)
    given[...] = x
    whole, target = gapped(want.shape, 7, 2, dtype)
    for threads in (1, 3):
        target[...] = REST
        plan.apart.run(given, panels.data, bias, None, target, *rest[:-1], threads)
        assert target.tobytes() == want.tobytes()
        assert (whole[..., :7] == REST).all()
        assert (whole[..., 7 + want.shape[-1] :] == REST).all()


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("batch", "hidden"), [(1, 128), (3, 5), (2, 1)])
def test_the_gates_of_a_step(isa: str, dtype: Any, batch: int, hidden: int) -> None:
    close = {"rtol": 1e-5, "atol": 1e-6} if dtype == np.float32 else {"rtol": 1e-12, "atol": 1e-13}
    product, inputs = (numbers(seed, batch, 4 * hidden, dtype=dtype) for seed in (0, 1))
    state = numbers(2, batch, hidden, dtype=dtype)
    c, out = state.copy(), np.empty_like(state)
    _kernels.recurrent_gates(isa, product, inputs, None, c, out, hidden)
    i, o, f, g = np.split((product + inputs).astype(np.float64), 4, -1)
    cell = sigmoid(f) * state + sigmoid(i) * np.tanh(g)
    np.testing.assert_allclose(c, cell, **close)
    np.testing.assert_allclose(out, sigmoid(o) * np.tanh(cell), **close)

    product, inputs = product[:, : 3 * hidden].copy(), inputs[:, : 3 * hidden].copy()
    _kernels.recurrent_gates(isa, product, inputs, state, None, out, hidden)
    (pz, pr, ph), (xz, xr, xh) = (np.split(v.astype(np.float64), 3, -1) for v in (product, inputs))
    z, r = sigmoid(pz + xz), sigmoid(pr + xr)
    np.testing.assert_allclose(out, (1 - z) * np.tanh(xh + r * ph) + z * state, **close)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("count", [0, 1, 17, 20000])
def test_roots_and_the_like(isa: str, dtype: Any, count: int) -> None:
    x = np.abs(numbers(0, count, dtype=dtype))
    x[:3] = [0, np.inf, np.nan][: len(x[:3])]
    ways = {"sqrt": np.sqrt, "abs": np.abs, "neg": np.negative, "reciprocal": np.reciprocal}
    assert {*ways, "log"} == set(_kernels.unary_codes())
    for name in ways:
        for threads in (1, 3):
            out = np.empty_like(x)
            _kernels.unary(isa, _kernels.unary_codes()[name], x, out, threads)
            with np.errstate(all="ignore"):
                np.testing.assert_array_equal(out, ways[name](x))


def test_a_script_runs_what_was_bound_on_the_arrays_of_the_call() -> None:
    add = _kernels.pass_codes()["add"]
    x, y, middle = (np.empty((4, 300), np.float32) for _ in range(3))
    script = _kernels.Script(2, [x, y])
    _kernels.elementwise("base", add, x, 1.0, middle, into=script)
    _kernels.elementwise("base", add, middle[1:], 2.0, y[1:], into=script)
    script.close()
    assert len(script) == 2
    for seed in range(3):
        given, found = numbers(seed, 4, 300), np.zeros((4, 300), np.float32)
        script.point([given, found])
        script.run(0, 1)
        script.run(1, 2)
        np.testing.assert_array_equal(found[1:], given[1:] + np.float32(1) + np.float32(2))
        assert not found[0].any()
    for wrong in ([given], [given, found[:3]]):
        with pytest.raises(ValueError, match="internal error"):
            script.point(wrong)
    for first, last in ((0, 3), (-1, 1), (2, 1)):
        with pytest.raises(ValueError, match="internal error"):
            script.run(first, last)


def test_a_script_that_was_not_closed_does_not_run() -> None:
    x = np.zeros(3, np.float32)
    script = _kernels.Script(1)
    _kernels.copy("base", x, np.empty_like(x), into=script)
    with pytest.raises(ValueError, match="internal error"):
        script.run(0, 1)


def test_tasks_are_all_done_once_whatever_the_threads() -> None:
    steps, size = 60, 200_000
    add = _kernels.pass_codes()["add"]
    x = np.zeros(size, np.float32)
    for threads in (1, 2, 5):
        script = _kernels.Script(threads)
        for _ in range(steps):
            _kernels.elementwise("base", add, x, 1.0, x, into=script)
        script.close()
        x[...] = 0
        for turn in range(1, 6):
            script.run(0, steps)
            assert (x == math.prod((turn, steps))).all()
