"""Resizes of every kind against ONNX, PyTorch, PIL and Keras (golden file), and against the reference."""

from __future__ import annotations

import itertools
import json
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from golden_cases import FOLDER
from tolerance import tolerance

import convlite as cl
from convlite import layers, reference, resampling

RNG = np.random.default_rng(5)
SMOOTH = ("bilinear", "bicubic", "lanczos3", "lanczos5")
with np.load(FOLDER / "resize.npz") as file:
    IMAGES = {key[2:]: file[key].astype("float32") for key in file.files if key.startswith("x/")}
    CASES = json.loads(str(file["cases"]))
    WANT = file["want"].astype("float32")
    ONNX_INDICES = file["indices"]


def golden() -> list[Any]:
    found, start = [], 0
    for number, case in enumerate(CASES):
        size = math.prod(case["shape"])
        want = WANT[start : start + size].reshape(case["shape"])
        start += size
        text = ",".join(f"{key}={value}" for key, value in case["options"].items()).replace(" ", "")
        found.append(pytest.param(case, want, id=f"{number}-{case['source']}-{case['x']}-{text}"))
    assert start == len(WANT)
    return found


@pytest.mark.parametrize(("case", "want"), golden())
def test_golden(case: dict[str, Any], want: np.ndarray) -> None:
    x, options = IMAGES[case["x"]], case["options"]
    got = layers.Resizing(**options)(x) if case["function"] == "Resizing" else cl.resize2d(x, **options)
    assert got.dtype == np.float32
    assert got.shape == want.shape
    if options.get("method", "").startswith("nearest") or options.get("interpolation") == "nearest":
        np.testing.assert_array_equal(got, want)
    else:  # the frameworks place pixels in float32: up to 30 pixels, which differ by 4 at most
        np.testing.assert_allclose(got, want, rtol=0, atol=30 * 4 * float(np.finfo(np.float32).eps))


def test_nearest_takes_onnx_runtimes_pixels() -> None:
    rows = []
    for n, m in itertools.product(range(1, 65, 3), range(1, 65)):
        ramp = np.arange(n, dtype="float32").reshape(1, 1, n, 1)
        rows.append(cl.resize2d(ramp, (1, m), method="nearest", nearest_mode="round_prefer_floor").ravel())
    np.testing.assert_array_equal(np.concatenate(rows), ONNX_INDICES)


# ---- against the definition ------------------------------------------------------------------------------

SIZES: list[Any] = [
    ((5, 8), {"size": (8, 4)}), ((6, 9), {"size": (1, 13)}), ((23, 4), {"size": (3, 5)}),
    ((1, 1), {"size": (3, 2)}), ((5, 9), {"scales": (0.6, 1.7)}), ((7, 7), {"scales": (1.0, 0.3)}),
]  # fmt: skip


def check(x: np.ndarray, **options: Any) -> None:
    got, want = cl.resize2d(x, **options), reference.resize2d(x, **options)
    assert (got.dtype, got.shape) == (want.dtype, want.shape)
    # lanczos weights reach -0.2 and beyond, and two axes multiply them
    np.testing.assert_allclose(got, want, **tolerance(x.dtype, 40, scale=float(np.abs(x).max())))


def image(shape: tuple[int, int], dtype: Any) -> np.ndarray:
    return RNG.standard_normal((2, *shape, 3)).astype(dtype)


@pytest.mark.parametrize("coordinates", resampling.COORDINATES)
@pytest.mark.parametrize("method", SMOOTH)
@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("exclude_outside", [False, True])
def test_blends_are_the_definition(
    method: Any, coordinates: Any, antialias: bool, exclude_outside: bool, dtype: np.dtype
) -> None:
    crop = {"roi": (-0.25, 0.1, 0.75, 1.5), "extrapolation_value": -9.0}
    options = crop if coordinates == "tf_crop_and_resize" else {}
    for shape, size in SIZES:
        check(image(shape, dtype), method=method, coordinates=coordinates, antialias=antialias,
              exclude_outside=exclude_outside, **size, **options)  # fmt: skip


@pytest.mark.parametrize("method", ["area", "adaptive_average"])
def test_means_are_the_definition(method: Any, dtype: np.dtype) -> None:
    for shape, size in SIZES:
        check(image(shape, dtype), method=method, **size)


@pytest.mark.parametrize("a", [-0.5, -0.75, -1.0, 0.1])
def test_every_cubic_is_the_definition(a: float, dtype: np.dtype) -> None:
    for shape, size in SIZES:
        check(image(shape, dtype), method="cubic", cubic_a=a, **size)


@pytest.mark.parametrize("coordinates", resampling.COORDINATES)
@pytest.mark.parametrize("mode", [None, *resampling.NEAREST_MODES])
def test_nearest_is_the_definition(coordinates: Any, mode: Any, dtype: np.dtype) -> None:
    sizes = [(n, {"size": (1, m)}) for n, m in itertools.product((1, 3, 7, 10), (1, 2, 4, 5, 14, 20))]
    sizes += [(n, {"scales": (1, s)}) for n, s in itertools.product((3, 7), (0.4, 1.6, 2.5))]
    for n, size in sizes:
        roi = {"roi": (0.0, -0.3, 1.0, 0.9)} if coordinates == "tf_crop_and_resize" else {}
        ramp = np.arange(1, n + 1, dtype=dtype).reshape(1, 1, n, 1)
        options = {**size, "method": "nearest", "coordinates": coordinates, "nearest_mode": mode, **roi}
        np.testing.assert_array_equal(cl.resize2d(ramp, **options), reference.resize2d(ramp, **options))


def test_nearest_in_float64_is_exact() -> None:
    """Rounding a coordinate to float32, or n/m to float64, moves some of these to the wrong pixel."""
    for n, m in itertools.product(range(1, 120, 7), range(1, 120, 3)):
        ramp = np.arange(n, dtype=np.float64).reshape(1, 1, n, 1)
        half = [math.floor(Fraction((2 * i + 1) * n, 2 * m)) for i in range(m)]
        down = [i * n // m for i in range(m)]
        up = [min(-(-i * n // m), n - 1) for i in range(m)]
        assert cl.resize2d(ramp, (1, m), method="nearest").ravel().tolist() == half
        place = {"method": "nearest", "coordinates": "asymmetric"}
        assert cl.resize2d(ramp, (1, m), **place).ravel().tolist() == down
        assert cl.resize2d(ramp, (1, m), nearest_mode="ceil", **place).ravel().tolist() == up


def test_float64_keeps_its_digits() -> None:
    ramp = np.arange(3001, dtype=np.float64).reshape(1, 1, 3001, 1)
    got = cl.resize2d(ramp, (1, 7000), coordinates="align_corners").ravel()
    np.testing.assert_allclose(got, np.arange(7000) * 3000 / 6999, rtol=1e-15)


def test_scales_move_the_places_that_a_size_does_not() -> None:
    x = np.arange(5, dtype=np.float64).reshape(1, 1, 5, 1)
    by_scale = cl.resize2d(x, scales=(1, 1.5), coordinates="asymmetric").ravel()
    by_size = cl.resize2d(x, (1, 7), coordinates="asymmetric").ravel()
    np.testing.assert_allclose(by_scale, np.minimum(np.arange(7) / 1.5, 4))
    np.testing.assert_allclose(by_size, np.minimum(np.arange(7) * 5 / 7, 4))
    assert cl.resize2d(x, scales=1.5).shape == (1, 1, 7, 1)
    assert cl.resize2d(x[:0], scales=1.5).shape == (0, 1, 7, 1)


def test_aspect_ratio_policies() -> None:
    x = np.zeros((1, 10, 20, 1))
    assert cl.resize2d(x, (7, 8), keep_aspect_ratio="not_larger").shape == (1, 4, 8, 1)
    assert cl.resize2d(x, (7, 8), keep_aspect_ratio="not_smaller").shape == (1, 7, 14, 1)


# ---- tables ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", resampling.METHODS)
@pytest.mark.parametrize(("n", "m"), [(1, 1), (1, 9), (9, 1), (7, 20), (20, 7), (64, 3)])
@pytest.mark.parametrize("antialias", [False, True])
def test_a_table_keeps_its_promises(method: str, n: int, m: int, antialias: bool) -> None:
    table = resampling.axis_table(n, m, method, antialias=antialias, dtype="float64")
    assert table.indices.shape == table.weights.shape == (m, table.indices.shape[1])
    assert table.outside is None
    assert ((table.indices >= 0) & (table.indices < n)).all()
    assert (table.weights != 0).all(), "0 times an infinite pixel is NaN"
    again = np.diff(table.indices, axis=1) == 0
    assert not again.all(axis=0).any(), "no column of nothing"
    np.testing.assert_allclose(table.weights.sum(axis=1), 1)
    with pytest.raises(ValueError, match="read-only"):
        table.weights[0, 0] = 0
    assert resampling.axis_table(n, m, method, antialias=antialias, dtype="float64") is table


def test_any_number_of_axes() -> None:
    x = RNG.standard_normal((2, 3, 4, 5))
    sizes = (4, 6, 2, 5)
    tables = [(a, resampling.axis_table(n, m, dtype="float64"))
              for a, (n, m) in enumerate(zip(x.shape, sizes, strict=True))]  # fmt: skip
    got = resampling.resample(x, tables)
    want = x
    for a, m in enumerate(sizes):
        front = np.moveaxis(want, a, 0).reshape(1, x.shape[a] if a == 0 else want.shape[a], -1)
        line = cl.resize1d(np.ascontiguousarray(front), m)[0]
        rest = [size for b, size in enumerate(want.shape) if b != a]
        want = np.moveaxis(line.reshape(m, *rest), 0, a)
    np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12)
    assert not np.shares_memory(resampling.resample(x, []), x)


@pytest.mark.parametrize("options", [{}, {"method": "bicubic"}, {"method": "area"}, {"antialias": True}])
def test_the_same_bits_whatever_the_batch(options: Any, dtype: np.dtype) -> None:
    x = RNG.standard_normal((5, 13, 17, 3)).astype(dtype)
    whole = cl.resize2d(x, (7, 21), **options)
    for i in range(5):
        np.testing.assert_array_equal(cl.resize2d(x[i : i + 1], (7, 21), **options)[0], whole[i])


@pytest.mark.parametrize(
    "options", [{"method": method} for method in resampling.METHODS] + [{"antialias": True}]
)
def test_one_row_is_1d(options: Any, dtype: np.dtype) -> None:
    x = RNG.standard_normal((2, 9, 3)).astype(dtype)
    for size in ({"size": 4}, {"size": (14,)}, {"scales": 0.7}):
        flat = cl.resize1d(x, **size, **options)
        two = {"size": (1, np.ravel(size["size"])[0])} if "size" in size else {"scales": (1, size["scales"])}
        np.testing.assert_array_equal(flat, cl.resize2d(x[:, None], **two, **options)[:, 0])


# ---- infinities, errors ----------------------------------------------------------------------------------


@pytest.mark.parametrize("method", SMOOTH)
def test_a_pixel_of_weight_zero_is_not_read(method: Any) -> None:
    x = np.zeros((1, 1, 9, 1), np.float32)
    x[0, 0, 4] = np.inf
    got = cl.resize2d(x, (1, 17), method=method, coordinates="align_corners").ravel()
    assert np.isinf(got[8])
    assert (got[[0, 2, 4, 6, 10, 12, 14, 16]] == 0).all()
    zero = np.full((1, 1, 3, 1), -0.0)
    assert np.signbit(cl.resize2d(zero, (1, 3), method=method)).all()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({}, ValueError, "give size or scales, one of them; got size=None, scales=None"),
        ({"size": 2, "scales": 2}, ValueError, "give size or scales, one of them"),
        ({"scales": 0.1}, ValueError, r"scales \(0.1, 0.1\) leave nothing of an image of \(4, 4\)"),
        ({"scales": 0}, ValueError, "scales must be above 0"),
        ({"scales": math.nan}, ValueError, "scales must be above 0"),
        ({"scales": (1, 2, 3)}, ValueError, r"scales must be a number or \(sh, sw\)"),
        ({"scales": "2"}, TypeError, "scales must be a number"),
        ({"size": 2, "nearest_mode": "floor"}, ValueError, "nearest_mode is for method='nearest'"),
        ({"size": 2, "method": "nearest", "nearest_mode": "up"}, ValueError, "nearest_mode must be one of"),
        ({"size": 2, "cubic_a": -0.75}, ValueError, "cubic_a is for method='bicubic'; got -0.75"),
        ({"size": 2, "method": "cubic", "cubic_a": math.inf}, ValueError, "cubic_a must be finite"),
        ({"size": 2, "method": "nearest", "antialias": True}, ValueError, "antialias=True widens a blend"),
        ({"size": 2, "method": "area", "coordinates": "asymmetric"}, ValueError, "coordinates of its own"),
        ({"size": 2, "method": "nearest-exact", "coordinates": "asymmetric"}, ValueError, "of its own"),
        ({"size": 2, "roi": (0, 0, 1, 1)}, ValueError, "roi is for coordinates='tf_crop_and_resize'"),
        ({"size": 2, "coordinates": "tf_crop_and_resize"}, TypeError, r"roi must be \(top, left, "),
        ({"size": 2, "coordinates": "tf_crop_and_resize", "roi": (0, 1)}, ValueError, "roi must be"),
        ({"size": 2, "coordinates": "tf_crop_and_resize", "roi": (0, 0, 1, math.nan)}, ValueError, "finite"),
        ({"size": 2, "keep_aspect_ratio": True}, ValueError, "keep_aspect_ratio must be one of 'stretch'"),
        ({"scales": 2, "keep_aspect_ratio": "not_larger"}, ValueError, "give size, not scales"),
        ({"size": 2, "antialias": "yes"}, TypeError, "antialias must be True or False"),
    ],
)  # fmt: skip
def test_resize_options_that_mean_nothing_are_refused(options: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        cl.resize2d(np.ones((1, 4, 4, 1)), **options)


def test_resize1d_errors() -> None:
    with pytest.raises(ValueError, match=r"x must have 3 dimensions \(N, W, C\)"):
        cl.resize1d(np.ones((1, 4, 4, 1)), 2)
    with pytest.raises(ValueError, match=r"size must be an int, \(w,\) or \[1, w, 1\]; got 2 values"):
        cl.resize1d(np.ones((1, 4, 1)), (2, 2))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="scales must be a number; got"):
        cl.resize1d(np.ones((1, 4, 1)), scales=(2, 2))  # type: ignore[arg-type]
