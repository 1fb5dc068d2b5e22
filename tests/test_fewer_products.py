"""Winograd's form beyond the plain 3x3: dilated, strided, along one axis, 5x5, transposed, grouped."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction as F
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import convlite as cl
from convlite import _dispatch, _kernels, ops, reference
from convlite.plan import winograd

POINTS = {
    3: [F(0), F(1)],
    4: [F(0), F(1), F(-1)],
    5: [F(0), F(1), F(-1), F(1, 2)],
    6: [F(0), F(1), F(-1), F(1, 2), F(-2)],
    7: [F(0), F(1), F(-1), F(1, 2), F(-1, 2), F(2)],
    8: [F(0), F(1), F(-1), F(1, 2), F(-1, 2), F(2), F(-2)],
    10: [F(0), F(1), F(-1), F(1, 2), F(-1, 2), F(2), F(-2), F(5, 4), F(-5, 4)],
}


class Case(NamedTuple):
    """x, output channels, a kernel's size, the tiles that serve it, and options."""

    shape: tuple[int, int, int, int]
    cout: int
    kernel: tuple[int, int]
    tiles: tuple[tuple[int, int], ...]
    dilations: tuple[int, int] = (1, 1)
    groups: int = 1
    transposed: bool = False
    padding: Any = "same"
    strides: tuple[int, int] = (1, 1)  # of a convolution


SQUARES = ((2, 2), (3, 3), (4, 4), (5, 5), (6, 6))
CASES = {
    "dilated": Case((2, 13, 17, 5), 7, (3, 3), SQUARES, (2, 2)),
    "dilated, two ways": Case((1, 14, 9, 17), 33, (3, 3), SQUARES, (3, 5)),
    "dilated beyond the map": Case((1, 5, 6, 8), 8, (3, 3), SQUARES, (7, 9)),
    "dilated, deep padding": Case((1, 11, 7, 16), 16, (3, 3), SQUARES, (3, 2), padding=((2, 5), (7, 0))),
    "1x3": Case((2, 5, 19, 7), 21, (1, 3), ((1, 2), (1, 3), (1, 4), (1, 5), (1, 6))),
    "3x1": Case((1, 23, 4, 33), 5, (3, 1), ((2, 1), (4, 1), (5, 1), (6, 1))),
    "1x3 dilated": Case((1, 3, 40, 9), 16, (1, 3), ((1, 4), (1, 6)), (1, 4)),
    "1x5": Case((1, 4, 21, 17), 18, (1, 5), ((1, 2), (1, 4))),
    "5x1": Case((2, 11, 3, 16), 32, (5, 1), ((2, 1), (4, 1))),
    "1x7": Case((1, 2, 30, 8), 40, (1, 7), ((1, 4),)),
    "7x1": Case((2, 9, 5, 19), 3, (7, 1), ((4, 1),), padding="valid"),
    "1x2": Case((1, 3, 10, 6), 9, (1, 2), ((1, 2), (1, 3), (1, 4))),
    "5x5": Case((1, 13, 14, 18), 35, (5, 5), ((2, 2), (4, 4))),
    "5x5 dilated": Case((1, 13, 21, 4), 6, (5, 5), ((2, 2), (4, 4)), (2, 3)),
    "2x2": Case((1, 9, 8, 16), 20, (2, 2), ((2, 2), (3, 3), (4, 4)), padding="valid"),
    "one pixel": Case((3, 1, 1, 9), 4, (5, 5), ((2, 2), (4, 4))),
    "4x4/2": Case((2, 7, 9, 6), 21, (4, 4), ((2, 2), (3, 3), (4, 4)), transposed=True),
    "4x4/2, nothing cropped": Case(
        (1, 6, 5, 17), 33, (4, 4), ((2, 2), (3, 3), (4, 4)), transposed=True, padding="valid"
    ),
    "5x5/2": Case((1, 8, 5, 16), 9, (5, 5), ((2, 2), (4, 4)), transposed=True),
    "5x5/2, cropped": Case(
        (1, 6, 6, 8), 9, (5, 5), ((2, 2), (4, 4)), transposed=True, padding=((2, 2), (3, 1))
    ),
    "6x6/2": Case((1, 5, 7, 8), 9, (6, 6), ((2, 2), (4, 4)), transposed=True),
    "4x4/2, one pixel": Case((1, 1, 1, 8), 3, (4, 4), ((2, 2), (3, 3), (4, 4)), transposed=True),
    "groups": Case((2, 10, 11, 15), 21, (3, 3), SQUARES, groups=3),
    "groups, more than a panel": Case((1, 9, 6, 34), 70, (3, 3), ((4, 4),), groups=2),
    "groups of 5x5/2": Case((1, 6, 7, 16), 10, (5, 5), ((4, 4),), groups=2, transposed=True),
    "3x3/2 transposed": Case((2, 7, 9, 9), 21, (3, 3), ((2, 2), (3, 3), (4, 4)), transposed=True),
    "3x3/2 transposed, one pixel": Case((1, 1, 1, 8), 3, (3, 3), ((2, 2), (3, 3), (4, 4)), transposed=True),
    "3x4/2 transposed": Case(
        (1, 9, 6, 40), 33, (3, 4), ((2, 2), (3, 3), (4, 4)), transposed=True, padding=((1, 0), (2, 1))
    ),
    "3x3 with stride 2": Case((2, 13, 18, 9), 21, (3, 3), ((2, 2), (3, 3), (4, 4)), strides=(2, 2)),
    "3x3 with stride 2, valid": Case(
        (1, 18, 12, 17), 33, (3, 3), ((2, 2), (3, 3), (4, 4)), padding="valid", strides=(2, 2)
    ),
    "3x3 with stride 2 down": Case((1, 13, 17, 16), 9, (3, 3), ((2, 2), (3, 3), (4, 4)), strides=(2, 1)),
    "5x3 with stride 2 down": Case((1, 15, 9, 8), 16, (5, 3), ((2, 2), (3, 3), (4, 4)), strides=(2, 1)),
    "3x3 with stride 2 across": Case((1, 10, 21, 8), 40, (3, 3), ((2, 2), (3, 3), (4, 4)), strides=(1, 2)),
    "4x4 with stride 2": Case(
        (2, 12, 15, 6), 7, (4, 4), ((2, 2), (3, 3), (4, 4)), padding=((1, 1), (1, 1)), strides=(2, 2)
    ),
    "5x5 with stride 2": Case((1, 19, 22, 20), 35, (5, 5), ((2, 2), (3, 3), (4, 4)), strides=(2, 2)),
    "5x5 with stride 2, pieces": Case((1, 9, 8, 150), 5, (5, 5), ((2, 2), (4, 4)), strides=(2, 2)),
    "6x6 with stride 2, deep padding": Case(
        (1, 14, 9, 300), 4, (6, 6), ((2, 2), (4, 4)), padding=((7, 0), (3, 9)), strides=(2, 2)
    ),
    "1x3 with stride 2": Case((2, 5, 40, 7), 33, (1, 3), ((1, 2), (1, 3), (1, 4)), strides=(2, 2)),
    "5x1 with stride 2": Case((1, 31, 3, 16), 8, (5, 1), ((2, 1), (3, 1), (4, 1)), strides=(2, 1)),
    "3x5 with stride 2": Case((1, 16, 23, 8), 8, (3, 5), ((2, 2), (3, 3), (4, 4)), strides=(2, 2)),
    "3x3 with stride 2, one output": Case(
        (3, 3, 4, 9), 4, (3, 3), ((2, 2), (3, 3), (4, 4)), padding="valid", strides=(2, 2)
    ),
    "groups of 3x3 with stride 2": Case(
        (2, 12, 11, 30), 34, (3, 3), ((2, 2), (3, 3), (4, 4)), groups=2, strides=(2, 2)
    ),
    "3x3 with stride 2, more than a block": Case((1, 70, 66, 3), 4, (3, 3), ((3, 3),), strides=(2, 2)),
    "more than a block": Case((1, 41, 43, 3), 4, (3, 3), ((2, 2), (4, 4)), (2, 2)),
}
EACH = [(name, tile) for name, case in CASES.items() for tile in case.tiles]


@pytest.fixture(params=EACH, ids=lambda each: f"{each[0]}, {each[1][0]}x{each[1][1]}")
def each(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Case, tuple[int, int]]]:
    """A case and the tile that is taken for it, even where it loses."""
    name, tile = request.param
    monkeypatch.setattr(winograd, "FEWEST_CHANNELS", 0)
    known = winograd.products
    monkeypatch.setattr(
        winograd, "products", lambda g: dict.fromkeys(known(g), 1e3) | {(0, 0): 1e2, tile: 1.0}
    )
    monkeypatch.setattr(winograd, "fits_groups", lambda *_: True)
    ops.planned.cache_clear()
    yield CASES[name], tile
    ops.planned.cache_clear()


def operands(case: Case, dtype: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x, kernel and bias."""
    rng = np.random.default_rng(0)
    cin = case.shape[3]
    last = (case.cout // case.groups, cin) if case.transposed else (cin // case.groups, case.cout)
    kernel = rng.standard_normal((*case.kernel, *last)).astype(dtype)
    return rng.standard_normal(case.shape).astype(dtype), kernel, rng.standard_normal(case.cout).astype(dtype)


def run(case: Case, x: Any, kernel: Any, bias: Any, module: Any = cl, **options: Any) -> np.ndarray:
    """The operation, by convlite or another module with its functions."""
    options |= {"padding": case.padding, "groups": case.groups}
    if case.transposed:
        return module.conv2d_transpose(x, kernel, bias, strides=2, **options)
    return module.conv2d(x, kernel, bias, strides=case.strides, dilations=case.dilations, **options)


# ---- the transforms ----------------------------------------------------------------------------------------


def matrices(n: int, m: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """B^T, G, A^T of F(m, n - m + 1) in fractions, by Lagrange's interpolation, transposed."""
    points, taps = POINTS[n], n - m + 1
    rows = []
    for p in [*points, None]:
        row = [F(1)]
        for q in points:
            if q != p:
                row = [a - q * b for a, b in zip([F(0), *row], [*row, F(0)], strict=True)]
        rows.append(row + [F(0)] * (n - len(row)))
    scales = [np.prod([p - q for q in points if q != p]) for p in points]
    g = [[p**k / s for k in range(taps)] for p, s in zip(points, scales, strict=True)]
    g.append([F(int(k == taps - 1)) for k in range(taps)])
    at = [[*(p**i for p in points), F(int(i == m - 1))] for i in range(m)]
    return np.array(rows), np.array(g), np.array(at)


@pytest.mark.parametrize(
    ("n", "m"), [(3, 2), (4, 2), (4, 3), (5, 3), (5, 4), (6, 2), (6, 4), (7, 5), (8, 4), (8, 6), (10, 4)]
)
def test_the_matrices_make_a_filter(n: int, m: int) -> None:
    bt, g, at = matrices(n, m)
    for i in range(m):
        for d in range(n):
            for tap in range(n - m + 1):
                assert sum(at[i] * g[:, tap] * bt[:, d]) == (d == i + tap)


def test_the_header_is_what_its_script_writes() -> None:
    script = Path(__file__).parent / "golden" / "make_winograd.py"
    assert subprocess.run([sys.executable, str(script), "--check"], check=False).returncode == 0


# ---- values ------------------------------------------------------------------------------------------------


class Tiles(NamedTuple):
    """An axis in tiles: for each, the inputs that it reads of each part and the outputs that it makes, some
    of them outside."""

    each: list[tuple[list[list[int]], list[int]]]
    n: int
    phases: int = 1
    parts: int = 1


def places(case: Case, axis: int, tile: int, out: int) -> Tiles:
    """The tiles of an axis with more than one tap."""
    kernel, dilation, stride = case.kernel[axis], case.dilations[axis], case.strides[axis]
    size = case.shape[1 + axis]
    taps = -(-kernel // (2 if case.transposed else stride))
    n, found = tile + taps - 1, []
    if case.transposed:
        before = reference_pads(case, axis)
        first = before // 2
        for t in range(-(-(out + before % 2) // (2 * tile))):
            start = first + t * tile
            read = [start - taps + 1 + i for i in range(n)]
            found.append(([read], [2 * start - before + i for i in range(2 * tile)]))
        return Tiles(found, n, phases=2)
    total = max((out - 1) * stride + (kernel - 1) * dilation + 1 - size, 0) if case.padding == "same" else 0
    before = case.padding[axis][0] if not isinstance(case.padding, str) else total // 2
    for grid in range(min(dilation, out)):
        for start in range(grid, out, dilation * tile):
            parts = [
                [stride * start - before + part + i * dilation * stride for i in range(n)]
                for part in range(stride)
            ]
            found.append((parts, [start + i * dilation for i in range(tile)]))
    return Tiles(found, n, parts=stride)


def reference_pads(case: Case, axis: int) -> int:
    """What is cropped before a transposed convolution's output."""
    if not isinstance(case.padding, str):
        return int(case.padding[axis][0])
    return (case.kernel[axis] - 2) // 2 if case.padding == "same" else 0


def error_bound(
    case: Case, x: np.ndarray, kernel: np.ndarray, bias: np.ndarray, tile: Any, out: Any
) -> np.ndarray:
    """(K + 20) u |A^T| (sum (|G||g||G^T|) * (|B^T||d||B|)) |A| for each output, and as much of the bias."""
    spare = 20 if x.dtype == np.float32 else 30
    x, kernel = np.abs(x.astype(np.float64)), np.abs(kernel.astype(np.float64))
    if case.transposed:  # as a convolution: turned round, and (kh, kw, cin/g, cout)
        kernel = kernel[::-1, ::-1]
        kernel = np.concatenate([p.swapaxes(2, 3) for p in np.split(kernel, case.groups, axis=3)], axis=3)
    kc, width = case.shape[3] // case.groups, case.cout // case.groups
    axes = []
    for axis in (0, 1):
        if case.kernel[axis] == 1:
            spec = Tiles([([[i * case.strides[axis]]], [i]) for i in range(out[1 + axis])], 1)
            axes.append((spec, *(np.ones((1, 1)),) * 3))
        else:
            spec = places(case, axis, tile[axis], out[1 + axis])
            axes.append((spec, *(np.abs(a.astype(np.float64)) for a in matrices(spec.n, tile[axis]))))
    (rows, bt_r, g_r, at_r), (columns, bt_c, g_c, at_c) = axes
    parts = list(itertools.product(range(rows.parts), range(columns.parts)))
    bound = np.zeros(out)
    for (ins_r, outs_r), (ins_c, outs_c) in itertools.product(rows.each, columns.each):
        v = [np.einsum("ia,nabk,jb->nijk", bt_r, window(x, ins_r[a], ins_c[b]), bt_c) for a, b in parts]
        for p, q, group in itertools.product(range(rows.phases), range(columns.phases), range(case.groups)):
            ks, ls = slice(group * kc, (group + 1) * kc), slice(group * width, (group + 1) * width)
            s = 0
            for (a, b), transformed in zip(parts, v, strict=True):
                taps = part_of(taps_of(kernel, p, rows.phases, columns.phases, q), (a, b), rows, columns)
                u = np.einsum("ia,abkl,jb->ijkl", g_r, taps, g_c)
                s = s + np.einsum("nijk,ijkl->nijl", transformed[..., ks], u[..., ls])
            y = np.einsum("pi,nijl,qj->npql", at_r, s, at_c)
            for a, b in itertools.product(range(y.shape[1]), range(y.shape[2])):
                i, j = outs_r[a * rows.phases + p], outs_c[b * columns.phases + q]
                if 0 <= i < out[1] and 0 <= j < out[2]:
                    bound[:, i, j, ls] = y[:, a, b]
    return (kc * len(parts) + spare) * (bound + np.abs(bias))


def window(x: np.ndarray, rows: list[int], columns: list[int]) -> np.ndarray:
    """These pixels, zeros outside."""
    found = np.zeros((x.shape[0], len(rows), len(columns), x.shape[3]))
    for (a, i), (b, j) in itertools.product(enumerate(rows), enumerate(columns)):
        if 0 <= i < x.shape[1] and 0 <= j < x.shape[2]:
            found[:, a, b] = x[:, i, j]
    return found


def part_of(kernel: np.ndarray, part: tuple[int, int], rows: Tiles, columns: Tiles) -> np.ndarray:
    """The taps that meet a part of the inputs, with zeros behind where there is one less."""
    for axis, spec in ((0, rows), (1, columns)):
        if spec.parts > 1:
            taps = -(-kernel.shape[axis] // spec.parts)
            chosen = range(part[axis], kernel.shape[axis], spec.parts)
            pad = [(0, 0)] * 4
            pad[axis] = (0, taps - len(chosen))
            kernel = np.pad(np.take(kernel, chosen, axis=axis), pad)
    return kernel


def taps_of(kernel: np.ndarray, p: int, rows: int, columns: int, q: int) -> np.ndarray:
    """The taps of phases p and q of a turned kernel, with zeros before where it is one short."""
    for axis, phase, phases in ((0, p, rows), (1, q, columns)):
        if phases == 2:
            size = kernel.shape[axis]
            chosen = [size - 1 - k for k in range(phase, size, 2)][::-1]
            short = -(-size // 2) - len(chosen)
            kernel = np.take(kernel, chosen, axis=axis)
            pad = [(0, 0)] * 4
            pad[axis] = (short, 0)
            kernel = np.pad(kernel, pad)
    return kernel


def test_error_within_the_bound(each: tuple[Case, tuple[int, int]], isa: str, dtype: np.dtype) -> None:
    case, tile = each
    x, kernel, bias = operands(case, dtype)
    got = run(case, x, kernel, bias, precision="fast")
    want = run(case, x.astype(np.float64), kernel.astype(np.float64), bias.astype(np.float64), reference)
    assert got.dtype == dtype
    assert got.shape == want.shape
    bound = error_bound(case, x, kernel, bias, tile, want.shape) * float(np.finfo(dtype).eps) / 2
    assert (np.abs(got - want) <= bound).all()
    assert np.abs(got - want).max() < 1e-3 * max(np.abs(want).max(), 1)
    assert (got != run(case, x, kernel, bias, precision="exact")).any()  # it was Winograd's form


def test_activations_are_applied_to_the_same_sums(each: tuple[Case, tuple[int, int]], isa: str) -> None:
    case, _ = each
    x, kernel, bias = operands(case, np.float32)
    plain = run(case, x, kernel, bias, precision="fast")
    slopes = cl.activations.PReLU(np.linspace(-1, 1, case.cout).astype(np.float32))
    for activation in ("relu", "gelu"):
        fused = run(case, x, kernel, bias, activation=activation, precision="fast")
        np.testing.assert_array_equal(fused, cl.activate(plain, activation))
    fused = run(case, x, kernel, bias, activation=slopes, precision="fast")
    np.testing.assert_array_equal(fused, np.where(plain < 0, slopes.alpha * plain, plain))


def test_out_is_written_and_its_neighbourhood_is_not(
    each: tuple[Case, tuple[int, int]], isa: str, dtype: np.dtype
) -> None:
    case, _ = each
    x, kernel, bias = operands(case, dtype)
    want = run(case, x, kernel, bias, precision="fast")
    room = np.full(want.size + 128, 7, dtype)
    out = room[64:-64].reshape(want.shape)
    assert run(case, x, kernel, bias, out=out, precision="fast") is out
    np.testing.assert_array_equal(out, want)
    assert (room[:64] == 7).all()
    assert (room[-64:] == 7).all()


def test_packed_kernels_give_the_same_bits(each: tuple[Case, tuple[int, int]], isa: str) -> None:
    case, _ = each
    x, kernel, bias = operands(case, np.float32)
    operation, options = "conv2d", {}
    if case.transposed:
        operation, options = "conv2d_transpose", {"strides": 2}
    packed = cl.PackedKernel(kernel, operation, groups=case.groups, **options)  # type: ignore[arg-type]
    np.testing.assert_array_equal(
        run(case, x, packed, bias, precision="fast"), run(case, x, kernel, bias, precision="fast")
    )


# ---- bits --------------------------------------------------------------------------------------------------


def test_bits_depend_on_no_batch_and_no_thread(
    each: tuple[Case, tuple[int, int]], isa: str, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    case, _ = each
    x, kernel, bias = operands(case, np.float32)
    x = np.concatenate([x, 2 * x[:1], x[:1]])
    with cl.num_threads(threads):
        whole = run(case, x, kernel, bias, precision="fast")
    with cl.num_threads(1):
        for i in range(len(x)):
            np.testing.assert_array_equal(
                whole[i : i + 1], run(case, x[i : i + 1], kernel, bias, precision="fast")
            )


@pytest.mark.thread_unsafe(reason="selects instruction sets")
def test_bits_depend_on_no_fma_instruction_set(each: tuple[Case, tuple[int, int]], dtype: np.dtype) -> None:
    sets = [isa for isa in _dispatch.available_isas() if _kernels.describe(isa, "f32")["fma"]]
    if len(sets) < 2:
        pytest.skip(f"two instruction sets with FMA are needed; there are: {sets}")
    case, _ = each
    x, kernel, bias = operands(case, dtype)
    results = []
    for isa in sets:
        with _dispatch.use_isa(isa):
            results.append(run(case, x, kernel, bias, activation="relu", precision="fast"))
    for other in results[1:]:
        np.testing.assert_array_equal(results[0], other)


# ---- NaN and Inf -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_spreads_over_its_tiles_only(
    value: float, each: tuple[Case, tuple[int, int]], isa: str
) -> None:
    case, tile = each
    x, kernel, bias = operands(case, np.float32)
    clean = run(case, x, kernel, bias, precision="fast")
    x[0, x.shape[1] // 2, x.shape[2] // 2, 1] = value
    got = run(case, x, kernel, bias, precision="fast")
    read = ~np.isfinite(run(case, x, kernel, bias, precision="exact"))
    assert not np.isfinite(got[read]).any()
    touched = np.zeros(got.shape, bool)
    wide = [
        spread(case, axis, 1 if case.kernel[axis] == 1 else tile[axis], read.any(axis=(0, 2 - axis, 3)))
        for axis in (0, 1)
    ]
    touched[:1] = wide[0][None, :, None, None] & wide[1][None, None, :, None]
    np.testing.assert_array_equal(got[~touched], clean[~touched])


def spread(case: Case, axis: int, tile: int, read: np.ndarray) -> np.ndarray:
    """All outputs along an axis that are computed together with one of `read`."""
    found = read.copy()
    if case.kernel[axis] == 1:
        return found
    for _, outs in places(case, axis, tile, len(read)).each:
        inside = [o for o in outs if 0 <= o < len(read)]
        if read[inside].any():
            found[inside] = True
    return found


@pytest.mark.parametrize("precision", ["exact", "fast"])
@pytest.mark.parametrize("kernel", [(1, 3), (4, 4), (5, 5), (6, 2)])
def test_phases_without_taps(kernel: tuple[int, int], precision: Any) -> None:
    """Where strides and dilations have a common factor, no tap meets some of the outputs."""
    rng = np.random.default_rng(3)
    x, w = rng.standard_normal((1, 9, 7, 8)), rng.standard_normal((*kernel, 15, 8))
    want = reference.conv2d_transpose(x, w, strides=2, dilations=2, padding="same")
    got = cl.conv2d_transpose(x, w, strides=2, dilations=2, padding="same", precision=precision)
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-9)
