"""Winograd's form against the definition: error, edges, bits, NaN and Inf; and the scopes of precision."""

from __future__ import annotations

import asyncio
import copy
import pickle
import threading
from collections.abc import Iterator
from fractions import Fraction as F
from typing import Any

import numpy as np
import pytest

import convlite as cl
from convlite import _dispatch, _kernels, ops, reference
from convlite.geometry import Geometry, conv_axis
from convlite.plan import Weights, plan_as, plan_for, winograd

# The matrices of kernels/isa/winograd.h.
MATRICES: dict[int, tuple[list[list[Any]], list[list[Any]], list[list[Any]]]] = {
    2: (
        [[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, -1, 0, 1]],
        [[1, 0, 0], [F(1, 2), F(1, 2), F(1, 2)], [F(1, 2), F(-1, 2), F(1, 2)], [0, 0, 1]],
        [[1, 1, 1, 0], [0, 1, -1, 1]],
    ),
    4: (
        [
            [1, F(-3, 2), -2, F(3, 2), 1, 0],
            [0, -1, F(1, 2), F(5, 2), 1, 0],
            [0, 1, F(-5, 2), F(1, 2), 1, 0],
            [0, -2, -1, 2, 1, 0],
            [0, F(1, 2), -1, F(-1, 2), 1, 0],
            [0, 1, F(-3, 2), -2, F(3, 2), 1],
        ],
        [
            [1, 0, 0],
            [F(1, 3), F(1, 3), F(1, 3)],
            [F(-1, 3), F(1, 3), F(-1, 3)],
            [F(-16, 15), F(-8, 15), F(-4, 15)],
            [F(1, 15), F(-2, 15), F(4, 15)],
            [0, 0, 1],
        ],
        [
            [1, 1, 1, 1, 1, 0],
            [0, 1, -1, F(1, 2), -2, 0],
            [0, 1, 1, F(1, 4), 4, 0],
            [0, 1, -1, F(1, 8), -8, 1],
        ],
    ),
    5: (
        [
            [1, F(-1, 2), -5, F(5, 2), 4, -2, 0],
            [0, F(1, 2), F(1, 4), F(-9, 4), -1, 1, 0],
            [0, F(-1, 2), F(3, 4), F(7, 4), -3, 1, 0],
            [0, 1, F(3, 2), -2, F(-3, 2), 1, 0],
            [0, -1, F(5, 2), 0, F(-5, 2), 1, 0],
            [0, F(1, 4), 0, F(-5, 4), 0, 1, 0],
            [0, F(-1, 2), F(1, 4), F(5, 2), F(-5, 4), -2, 1],
        ],
        [
            [1, 0, 0],
            [F(-2, 3), F(-2, 3), F(-2, 3)],
            [F(-2, 9), F(2, 9), F(-2, 9)],
            [F(16, 9), F(8, 9), F(4, 9)],
            [F(16, 15), F(-8, 15), F(4, 15)],
            [F(2, 45), F(4, 45), F(8, 45)],
            [0, 0, 1],
        ],
        [
            [1, 1, 1, 1, 1, 1, 0],
            [0, 1, -1, F(1, 2), F(-1, 2), 2, 0],
            [0, 1, 1, F(1, 4), F(1, 4), 4, 0],
            [0, 1, -1, F(1, 8), F(-1, 8), 8, 0],
            [0, 1, 1, F(1, 16), F(1, 16), 16, 1],
        ],
    ),
    6: (
        [
            [1, 0, F(-21, 4), 0, F(21, 4), 0, -1, 0],
            [0, 1, 1, F(-17, 4), F(-17, 4), 1, 1, 0],
            [0, -1, 1, F(17, 4), F(-17, 4), -1, 1, 0],
            [0, 2, 4, F(-5, 2), -5, F(1, 2), 1, 0],
            [0, -2, 4, F(5, 2), -5, F(-1, 2), 1, 0],
            [0, F(1, 2), F(1, 4), F(-5, 2), F(-5, 4), 2, 1, 0],
            [0, F(-1, 2), F(1, 4), F(5, 2), F(-5, 4), -2, 1, 0],
            [0, -1, 0, F(21, 4), 0, F(-21, 4), 0, 1],
        ],
        [
            [1, 0, 0],
            [F(-2, 9), F(-2, 9), F(-2, 9)],
            [F(-2, 9), F(2, 9), F(-2, 9)],
            [F(32, 45), F(16, 45), F(8, 45)],
            [F(32, 45), F(-16, 45), F(8, 45)],
            [F(1, 90), F(1, 45), F(2, 45)],
            [F(1, 90), F(-1, 45), F(2, 45)],
            [0, 0, 1],
        ],
        [
            [1, 1, 1, 1, 1, 1, 1, 0],
            [0, 1, -1, F(1, 2), F(-1, 2), 2, -2, 0],
            [0, 1, 1, F(1, 4), F(1, 4), 4, 4, 0],
            [0, 1, -1, F(1, 8), F(-1, 8), 8, -8, 0],
            [0, 1, 1, F(1, 16), F(1, 16), 16, 16, 0],
            [0, 1, -1, F(1, 32), F(-1, 32), 32, -32, 1],
        ],
    ),
}

# name: x, output channels, padding
SHAPES: dict[str, tuple[tuple[int, int, int, int], int, Any]] = {
    "one output": ((1, 3, 3, 1), 1, "valid"),
    "one pixel": ((2, 1, 1, 5), 3, "same"),
    "whole tiles": ((1, 10, 10, 16), 32, "valid"),
    "odd sizes": ((2, 13, 9, 7), 37, "same"),
    "tails of 2 tiles": ((1, 8, 11, 17), 15, "valid"),
    "one row": ((3, 1, 21, 33), 5, "same"),
    "deep padding": ((1, 5, 6, 4), 9, ((5, 0), (0, 7))),
    "padding below": ((1, 7, 4, 9), 48, ((0, 3), (2, 1))),
    "only padding": ((1, 1, 1, 3), 4, 6),
    "same_lower": ((1, 6, 7, 20), 24, "same_lower"),
    "more than a block": ((2, 43, 45, 3), 4, "same"),
}


@pytest.fixture(params=[2, 4, 5, 6])
def tile(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Winograd's form in tiles of this size for every shape that it can serve, even where it loses."""
    monkeypatch.setattr(winograd, "FEWEST_CHANNELS", 0)
    costs = {(0, 0): 100.0} | {(m, m): 1.0 if m == request.param else 9.0 for m in (2, 4, 5, 6)}
    monkeypatch.setattr(winograd, "products", lambda _: dict(costs))
    ops.planned.cache_clear()
    yield request.param
    ops.planned.cache_clear()


def operands(name: str, dtype: Any, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, Any]:
    """x, kernel, bias and padding of a named shape."""
    shape, cout, padding = SHAPES[name]
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape).astype(dtype)
    kernel = rng.standard_normal((3, 3, shape[3], cout)).astype(dtype)
    return x, kernel, rng.standard_normal(cout).astype(dtype), padding


def error_bound(x: np.ndarray, kernel: np.ndarray, bias: np.ndarray, padding: Any, m: int) -> np.ndarray:
    """(Cin + 20) u |A^T| (sum (|G||g||G^T|) * (|B^T||d||B|)) |A| for each output, and as much of the bias."""
    bt, g, at = (np.abs(np.array(matrix, np.float64)) for matrix in MATRICES[m])
    height, width = cl.conv2d_output_shape(x.shape, kernel.shape, padding=padding)[1:3]
    tiles = (-(-height // m), -(-width // m))
    axes = [conv_axis(x.shape[i], 3, 1, 1, _pad(padding, i - 1), "") for i in (1, 2)]
    edges = [(a.pads[0], max(t * m + 2 - a.pads[0] - a.in_size, 0)) for a, t in zip(axes, tiles, strict=True)]
    d = np.pad(np.abs(x.astype(np.float64)), ((0, 0), *edges, (0, 0)))
    u = np.einsum("ia,abkl,jb->ijkl", g, np.abs(kernel.astype(np.float64)), g)
    bound = np.zeros((x.shape[0], tiles[0] * m, tiles[1] * m, kernel.shape[3]))
    for i in range(tiles[0]):
        for j in range(tiles[1]):
            part = d[:, i * m : i * m + m + 2, j * m : j * m + m + 2]
            v = np.einsum("ia,nabk,jb->nijk", bt, part, bt)
            y = np.einsum("pi,nijl,qj->npql", at, np.einsum("nijk,ijkl->nijl", v, u), at)
            bound[:, i * m : i * m + m, j * m : j * m + m] = y
    terms = x.shape[3] + (20 if x.dtype == np.float32 else 30)
    return terms * float(np.finfo(x.dtype).eps) / 2 * (bound[:, :height, :width] + np.abs(bias))


def _pad(padding: Any, axis: int) -> Any:
    if isinstance(padding, int):
        return (padding, padding)
    return padding if isinstance(padding, str) else padding[axis]


@pytest.mark.parametrize("m", [2, 4])
def test_the_matrices_make_a_convolution(m: int) -> None:
    bt, g, at = MATRICES[m]
    for i in range(m):
        for d in range(m + 2):
            for tap in range(3):
                assert sum(at[i][q] * g[q][tap] * bt[q][d] for q in range(m + 2)) == (d == i + tap)


# ---- values ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SHAPES)
def test_error_within_the_bound(name: str, tile: int, isa: str, dtype: np.dtype) -> None:
    x, kernel, bias, padding = operands(name, dtype)
    got = cl.conv2d(x, kernel, bias, padding=padding, precision="fast")
    # the reference's own error in float64, 9 * Cin * u * sum |x| |w|, is a small part of the bound
    want = reference.conv2d(
        x.astype(np.float64), kernel.astype(np.float64), bias.astype(np.float64), padding=padding
    )
    bound = error_bound(x, kernel, bias, padding, tile)
    assert got.dtype == dtype
    assert (np.abs(got - want) <= bound).all()
    assert got.size == 0 or np.abs(got - want).max() < 1e-3 * max(np.abs(want).max(), 1)


def test_the_bound_is_no_empty_promise(tile: int) -> None:
    # a dropped tap or a wrong neighbour would be far outside
    x, kernel, bias, padding = operands("odd sizes", np.float32)
    wrong = kernel.copy()
    wrong[1, 1] = 0
    got = cl.conv2d(x, wrong, bias, padding=padding, precision="fast")
    want = reference.conv2d(x, kernel, bias, padding=padding)
    assert (np.abs(got - want) > error_bound(x, kernel, bias, padding, tile)).mean() > 0.9


def test_exact_where_no_rounding_happens(tile: int, isa: str, dtype: np.dtype) -> None:
    # small integers, and weights that 1/2 and 1/4 divide: only the fractions of larger tiles round
    rng = np.random.default_rng(1)
    x = rng.integers(-3, 4, (2, 9, 10, 5)).astype(dtype)
    kernel = (4 * rng.integers(-2, 3, (3, 3, 5, 19))).astype(dtype)
    got = cl.conv2d(x, kernel, padding="same", precision="fast")
    want = reference.conv2d(x, kernel, padding="same")
    if tile == 2:
        np.testing.assert_array_equal(got, want)
    else:
        np.testing.assert_allclose(got, want, rtol=0, atol=2e-3 if dtype == np.float32 else 1e-11)


@pytest.mark.parametrize("padding", ["same", "valid", ((1, 1), (1, 1)), ((2, 0), (0, 1))])
def test_transpose_with_stride_1(padding: Any, tile: int, isa: str, dtype: np.dtype) -> None:
    rng = np.random.default_rng(2)
    x, kernel = (
        rng.standard_normal((2, 7, 9, 6)).astype(dtype),
        rng.standard_normal((3, 3, 21, 6)).astype(dtype),
    )
    got = cl.conv2d_transpose(x, kernel, padding=padding, precision="fast")
    want = reference.conv2d_transpose(x.astype(np.float64), kernel.astype(np.float64), padding=padding)
    tolerance = {2: 1e-4, 4: 1e-4, 5: 5e-4, 6: 5e-4}[tile] if dtype == np.float32 else 1e-12
    np.testing.assert_allclose(got, want, rtol=0, atol=tolerance)


ACTIVATIONS: list[Any] = [
    "relu", "relu6", "leaky_relu", "hard_swish", "gelu", "softmax", np.tanh, cl.activations.ELU(0.3),
]  # fmt: skip


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=str)
def test_activation_is_applied_to_the_same_sums(activation: Any, tile: int, isa: str) -> None:
    x, kernel, bias, padding = operands("odd sizes", np.float32)
    plain = cl.conv2d(x, kernel, bias, padding=padding, precision="fast")
    fused = cl.conv2d(x, kernel, bias, padding=padding, activation=activation, precision="fast")
    np.testing.assert_array_equal(fused, cl.activate(plain, activation))


def test_prelu_has_a_slope_for_each_channel(tile: int, isa: str, dtype: np.dtype) -> None:
    x, kernel, bias, padding = operands("odd sizes", dtype)
    alpha = cl.activations.PReLU(np.linspace(-1, 1, 37).astype(dtype))
    plain = cl.conv2d(x, kernel, bias, padding=padding, precision="fast")
    fused = cl.conv2d(x, kernel, bias, padding=padding, activation=alpha, precision="fast")
    np.testing.assert_array_equal(fused, np.where(plain < 0, alpha.alpha * plain, plain))


def test_packed_kernels_give_the_same_bits(tile: int, isa: str, dtype: np.dtype) -> None:
    x, kernel, bias, padding = operands("tails of 2 tiles", dtype)
    want = cl.conv2d(x, kernel, bias, padding=padding, precision="fast")
    packed = cl.PackedKernel(kernel)
    for each in (packed, copy.deepcopy(packed), pickle.loads(pickle.dumps(packed))):
        np.testing.assert_array_equal(cl.conv2d(x, each, bias, padding=padding, precision="fast"), want)
    turned = cl.PackedKernel(kernel.swapaxes(2, 3), "conv2d_transpose")
    np.testing.assert_array_equal(
        cl.conv2d_transpose(x, turned, padding="same", precision="fast"),
        cl.conv2d_transpose(x, kernel.swapaxes(2, 3), padding="same", precision="fast"),
    )


@pytest.mark.parametrize("shape", [(0, 5, 5, 4), (0, 3, 7, 4), (1, 6, 6, 0)])
def test_empty_arrays(shape: tuple[int, ...], tile: int) -> None:
    kernel, bias = np.ones((3, 3, shape[3], 5), np.float32), np.arange(5, dtype=np.float32)
    got = cl.conv2d(np.ones(shape, np.float32), kernel, bias, precision="fast")
    np.testing.assert_array_equal(got, reference.conv2d(np.ones(shape, np.float32), kernel, bias))
    none = cl.conv2d(np.ones((1, 5, 5, 3), np.float32), np.ones((3, 3, 3, 0), np.float32), precision="fast")
    assert none.shape == (1, 3, 3, 0)


def test_out_is_written_and_its_neighbourhood_is_not(tile: int, isa: str, dtype: np.dtype) -> None:
    x, kernel, bias, padding = operands("tails of 2 tiles", dtype)
    want = cl.conv2d(x, kernel, bias, padding=padding, precision="fast")
    room = np.full(want.size + 128, 7, dtype)
    out = room[64:-64].reshape(want.shape)
    assert cl.conv2d(x, kernel, bias, padding=padding, out=out, precision="fast") is out
    np.testing.assert_array_equal(out, want)
    assert (room[:64] == 7).all()
    assert (room[-64:] == 7).all()


# ---- bits --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["odd sizes", "more than a block", "whole tiles"])
def test_bits_depend_on_no_batch_and_no_thread(
    name: str, tile: int, isa: str, dtype: np.dtype, threads: int
) -> None:
    x, kernel, bias, padding = operands(name, dtype)
    x = np.concatenate([x, x[:1], 2 * x])
    with cl.num_threads(threads):
        whole = _run_on(threads, x, kernel, bias, padding)
    with cl.num_threads(1):
        for i in range(len(x)):
            alone = cl.conv2d(x[i : i + 1], kernel, bias, padding=padding, precision="fast")
            np.testing.assert_array_equal(whole[i : i + 1], alone)


def _run_on(threads: int, x: np.ndarray, kernel: np.ndarray, bias: np.ndarray, padding: Any) -> np.ndarray:
    """conv2d on so many threads, however small the work."""
    isa = _dispatch.active_isa()
    axes = [conv_axis(x.shape[i], 3, 1, 1, _pad(padding, i - 1), "") for i in (1, 2)]
    geometry = Geometry(len(x), axes[0], axes[1], x.shape[3], kernel.shape[3], 1)
    form = plan_for(geometry, Weights("conv2d", kernel.shape), x.dtype, isa, fast=True)
    assert isinstance(form, winograd.Winograd)
    out = np.full(geometry.out_shape, np.nan, x.dtype)
    panels = cl.PackedKernel(kernel).panels(form.layout)
    form.runner.run(x, panels.data, bias, None, out, 0, 0.0, 0.0, True, threads)
    return out


@pytest.mark.parametrize("blocks", [1, 3, 14, 28, 1000])
def test_bits_depend_on_no_block(blocks: int, tile: int, isa: str, threads: int) -> None:
    x, kernel, bias, _ = operands("more than a block", np.float32)
    axis = [conv_axis(n, 3, 1, 1, "same", "") for n in x.shape[1:3]]
    geometry = Geometry(len(x), axis[0], axis[1], x.shape[3], kernel.shape[3], 1)
    form = plan_as("winograd", geometry, Weights("conv2d", kernel.shape), x.dtype, isa)
    assert form is not None
    panels = cl.PackedKernel(kernel).panels(form.layout)
    results = []
    for each in (
        form,
        winograd.Winograd(**dict(zip(form.fields, form.key(), strict=True)) | {"block_tiles": blocks}),
    ):
        results.append(np.empty(geometry.out_shape, np.float32))
        _kernels.Winograd(each).run(x, panels.data, bias, None, results[-1], 0, 0.0, 0.0, True, threads)
    np.testing.assert_array_equal(results[0], results[1])


@pytest.mark.thread_unsafe(reason="selects instruction sets")
@pytest.mark.parametrize("name", SHAPES)
def test_bits_depend_on_no_fma_instruction_set(name: str, tile: int, dtype: np.dtype) -> None:
    sets = [isa for isa in _dispatch.available_isas() if _kernels.describe(isa, "f32")["fma"]]
    if len(sets) < 2:
        pytest.skip(f"two instruction sets with FMA are needed; there are: {sets}")
    x, kernel, bias, padding = operands(name, dtype)
    results = []
    for isa in sets:
        with _dispatch.use_isa(isa):
            results.append(cl.conv2d(x, kernel, bias, padding=padding, activation="relu", precision="fast"))
    for other in results[1:]:
        np.testing.assert_array_equal(results[0], other)


# ---- NaN and Inf -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_spreads_over_its_tiles_only(
    value: float, tile: int, isa: str, dtype: np.dtype
) -> None:
    rng = np.random.default_rng(3)
    x, kernel = (
        rng.standard_normal((1, 14, 15, 3)).astype(dtype),
        rng.standard_normal((3, 3, 3, 18)).astype(dtype),
    )
    clean = cl.conv2d(x, kernel, padding="same", precision="fast")
    x[0, 6, 9, 1] = value
    got = cl.conv2d(x, kernel, padding="same", precision="fast")
    read = ~np.isfinite(cl.conv2d(x, kernel, padding="same", precision="exact"))
    assert read.any()
    assert not np.isfinite(got[read]).any()
    tiles = np.zeros(got.shape, bool)
    for _, i, j, _ in np.argwhere(read):
        i, j = i // tile * tile, j // tile * tile
        tiles[:, i : i + tile, j : j + tile] = True
    np.testing.assert_array_equal(got[~tiles], clean[~tiles])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_spoil_their_output_channel_only(
    value: float, tile: int, isa: str
) -> None:
    x, kernel, bias, padding = operands("odd sizes", np.float32)
    clean = cl.conv2d(x, kernel, bias, padding=padding, precision="fast")
    kernel[1, 1, 2, 20] = value
    got = cl.conv2d(x, kernel, bias, padding=padding, precision="fast")
    assert not np.isfinite(got[..., 20]).any()
    np.testing.assert_array_equal(np.delete(got, 20, axis=3), np.delete(clean, 20, axis=3))


# ---- the rule ----------------------------------------------------------------------------------------------


def shape(size: int, cin: int, cout: int, images: int = 1, **options: Any) -> Geometry:
    """The geometry of a 3x3 convolution of a square map."""
    given = {"stride": 1, "dilation": 1, "pad": "same", "axis": ""} | options
    axis = conv_axis(size, 3, **given)
    return Geometry(images, axis, axis, cin, cout, 1)


def test_the_rule() -> None:
    for channels in (64, 128, 256, 512):
        assert winograd.tile_for(shape(14, channels, channels)) == (5, 5)
        assert winograd.tile_for(shape(28, channels, channels)) == (4, 4)  # m = 6 wins less than 10%
        assert winograd.tile_for(shape(36, channels, channels)) == (6, 6)
        assert winograd.tile_for(shape(112, channels, channels)) == (6, 6)
    assert winograd.tile_for(shape(7, 128, 128)) == (4, 4)
    assert winograd.tile_for(shape(6, 128, 128)) == (3, 3)
    assert winograd.tile_for(shape(33, 256, 256, dilation=12)) == (3, 3)  # grids of 3 and 2
    assert winograd.tile_for(shape(7, 512, 512)) == (2, 2)
    assert winograd.tile_for(shape(56, 8, 8)) == (0, 0)
    assert winograd.tile_for(shape(56, 8, 64)) == (4, 4)
    assert winograd.tile_for(shape(224, 3, 64)) == (0, 0)
    assert winograd.tile_for(shape(56, 64, 64, stride=2)) == (4, 4)
    assert winograd.tile_for(shape(28, 128, 256, stride=2)) == (2, 2)
    assert winograd.tile_for(shape(35, 288, 384, stride=2)) == (3, 3)
    assert winograd.tile_for(shape(14, 256, 512, stride=2)) == (0, 0)
    assert winograd.tile_for(shape(56, 64, 64, stride=2, dilation=2)) == (0, 0)
    assert winograd.tile_for(shape(56, 64, 64, stride=3)) == (0, 0)
    assert winograd.tile_for(shape(56, 1344, 64, stride=2)) == (4, 4)
    assert winograd.tile_for(shape(56, 1345, 64, stride=2)) == (0, 0)  # longer sums than a section
    rare = Geometry(
        1, conv_axis(5000, 1, 1000, 1, "same", ""), conv_axis(300, 3, 1, 1, "same", ""), 64, 64, 1
    )
    assert winograd.tile_for(rare) == (1, 6)
    line = Geometry(1, conv_axis(1, 1, 1, 1, "same", ""), conv_axis(784, 3, 1, 1, "same", ""), 32, 32, 1)
    assert winograd.tile_for(line) == (1, 6)
    assert winograd.tile_for(line._replace(cin=31)) == winograd.tile_for(line._replace(cout=31)) == (0, 0)
    assert winograd.tile_for(shape(56, 64, 64, dilation=2)) == (4, 4)
    assert winograd.tile_for(shape(56, 64, 64)._replace(groups=2)) == (4, 4)
    assert winograd.tile_for(shape(56, 64, 64)._replace(groups=4)) == (4, 4)
    assert winograd.tile_for(shape(56, 64, 64)._replace(groups=8)) == (0, 0)
    assert winograd.tile_for(shape(14, 64, 64)._replace(groups=4)) == (0, 0)


def test_blocks_are_smaller_where_tiles_have_few_rows() -> None:
    tile = 36, 36, 36  # F(4, 3)
    assert [winograd.block_tiles(*tile, c, c, 4, 14, 32) for c in (16, 64, 128, 256)] == [56, 42, 28, 56]
    assert [winograd.block_tiles(*tile, c, c, 4, 6, 16) for c in (16, 64, 128, 256)] == [54, 24, 24, 54]


@pytest.mark.parametrize("size", [1, 4, 7, 14, 28])
def test_the_rule_sees_no_batch_and_no_machine(size: int) -> None:
    for channels in (8, 16, 64, 256):
        tiles = {winograd.tile_for(shape(size, channels, channels, images)) for images in (1, 2, 64)}
        for isa in _dispatch.available_isas():
            for dtype in ("float32", "float64"):
                call = shape(size, channels, channels), Weights("conv2d", (3, 3, channels, channels))
                made = plan_for(*call, np.dtype(dtype), isa, fast=True)
                tiles.add(made.tile if isinstance(made, winograd.Winograd) else (0, 0))
        assert len(tiles) == 1


def test_scratch_is_bounded(isa: str) -> None:
    for size, channels in ((14, 256), (28, 256), (36, 256), (56, 64), (224, 64), (1000, 16)):
        call = shape(size, channels, channels, 8), Weights("conv2d", (3, 3, channels, channels))
        form = plan_as("winograd", *call, np.dtype(np.float32), isa)
        assert isinstance(form, winograd.Winograd)
        runner = form.runner
        assert isinstance(runner, _kernels.Winograd)
        large = (form.tile[0] + 2) ** 2 * channels**2 * 4 > winograd.LARGE_WEIGHTS
        assert runner.scratch_bytes <= (1280 if form.tile[0] <= 4 else 2080) * 1024 * (1 + large)


def a_layer() -> tuple[np.ndarray, np.ndarray]:
    """x and kernel of a convolution that "fast" computes in Winograd's form."""
    rng = np.random.default_rng(4)
    x, kernel = rng.standard_normal((1, 20, 20, 32)), rng.standard_normal((3, 3, 32, 32))
    return x.astype(np.float32), kernel.astype(np.float32)


def test_exact_is_the_default_and_the_same_bits_as_ever(isa: str) -> None:
    rng = np.random.default_rng(4)
    x, kernel = (
        rng.standard_normal((1, 20, 20, 32)).astype("f4"),
        rng.standard_normal((3, 3, 32, 32)).astype("f4"),
    )
    plain = cl.conv2d(x, kernel)
    np.testing.assert_array_equal(plain, cl.conv2d(x, kernel, precision="exact"))
    with cl.precision("fast"):
        fast = cl.conv2d(x, kernel)
        np.testing.assert_array_equal(plain, cl.conv2d(x, kernel, precision="exact"))
    assert (fast != plain).any()
    np.testing.assert_array_equal(plain, cl.conv2d(x, kernel))


def test_other_operations_do_not_change() -> None:
    rng = np.random.default_rng(5)
    x, kernel = (
        rng.standard_normal((1, 20, 20, 32)).astype("f4"),
        rng.standard_normal((3, 3, 32, 32)).astype("f4"),
    )

    def all_of_them() -> list[np.ndarray]:
        return [
            cl.conv2d(x, kernel, strides=3),
            cl.conv2d(x, kernel, dilations=9, padding="same"),
            cl.conv2d(x, kernel[:, :, :8], groups=4),
            cl.conv2d(x, kernel[:1, :2]),
            cl.conv2d_transpose(x, kernel, strides=3),
            cl.depthwise_conv2d(x, kernel[..., :1]),
            cl.conv1d(x[0], kernel[0], strides=2),
            cl.dense(x, kernel[0, 0]),
        ]

    exact = all_of_them()
    with cl.precision("fast"):
        for a, b in zip(exact, all_of_them(), strict=True):
            np.testing.assert_array_equal(a, b)


# ---- scopes ------------------------------------------------------------------------------------------------


def test_scopes_nest_and_end() -> None:
    assert cl.get_precision() == "exact"
    with cl.precision("fast"):
        with cl.precision("exact"):
            assert cl.get_precision() == "exact"
        assert cl.get_precision() == "fast"
        with pytest.raises(KeyError), cl.precision("exact"):
            raise KeyError
        assert cl.get_precision() == "fast"
    assert cl.get_precision() == "exact"


@pytest.mark.thread_unsafe(reason="sets the process's precision")
def test_the_process_default_yields_to_scopes() -> None:
    cl.set_precision("fast")
    try:
        assert cl.get_precision() == "fast"
        with cl.precision("exact"):
            assert cl.get_precision() == "exact"
        seen = []
        thread = threading.Thread(target=lambda: seen.append(cl.get_precision()))
        thread.start()
        thread.join()
        assert seen == ["fast"]
    finally:
        cl.set_precision("exact")


def test_a_scope_is_this_thread_and_this_task_only() -> None:
    seen = []
    with cl.precision("fast"):
        thread = threading.Thread(target=lambda: seen.append(cl.get_precision()))
        thread.start()
        thread.join()
    assert seen == ["exact"]

    async def fast() -> str:
        with cl.precision("fast"):
            await asyncio.sleep(0)
            return cl.get_precision()

    async def plain() -> str:
        await asyncio.sleep(0)
        return cl.get_precision()

    async def both() -> list[str]:
        return await asyncio.gather(fast(), plain())

    assert asyncio.run(both()) == ["fast", "exact"]


@pytest.mark.parametrize("bad", ["quick", "", None, 1, "FAST"])
def test_errors_name_the_choices(bad: Any) -> None:
    with pytest.raises(ValueError, match='precision must be "exact" or "fast"'):
        cl.set_precision(bad)
    with pytest.raises(ValueError, match='precision must be "exact" or "fast"'), cl.precision(bad):
        pass
    if bad is not None:
        x = np.ones((1, 3, 3, 1), np.float32)
        with pytest.raises(ValueError, match='precision must be "exact" or "fast"'):
            cl.conv2d(x, np.ones((3, 3, 1, 1), np.float32), precision=bad)


def test_layers_follow_the_scope() -> None:
    rng = np.random.default_rng(6)
    x, kernel = (
        rng.standard_normal((1, 20, 20, 32)).astype("f4"),
        rng.standard_normal((3, 3, 32, 32)).astype("f4"),
    )
    layer = cl.layers.Conv2D.from_weights(kernel)
    exact = layer(x)
    with cl.precision("fast"):
        np.testing.assert_array_equal(layer(x), cl.conv2d(x, kernel))
        assert (layer(x) != exact).any()
    np.testing.assert_array_equal(layer(x), exact)


@pytest.mark.parametrize(("width", "dilation", "crop"), [(5, 1, 2), (5, 2, 4), (7, 2, 6)])
def test_a_transposed_output_that_few_taps_meet(width: int, dilation: int, crop: int) -> None:
    """It has one phase with fewer taps than the kernel: asked for tiles in either precision."""
    x, kernel = np.ones((1, 1, 8), np.float32), np.ones((width, 8, 8), np.float32)
    pads = [(0, 0), (crop, crop), (0, 0)]
    for precision in ("exact", "fast"):
        with cl.precision(precision):
            got = cl.conv1d_transpose(x, kernel, strides=3, dilations=dilation, padding=pads)
        np.testing.assert_array_equal(got, np.full((1, 1, 8), 8))
