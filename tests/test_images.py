"""Resizing and padding against TensorFlow and PyTorch (golden files), and at their edges."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from golden_cases import FOLDER, GoldenCase, golden_cases
from tolerance import tolerance

import convlite as cl
from convlite import images

RNG = np.random.default_rng(13)
COORDINATES = ("half_pixel", "align_corners", "asymmetric")
MODES = ("constant", "reflect", "symmetric", "edge", "wrap")
METHODS = ("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5", "area", "adaptive_average")


def randoms(*shape: int, dtype: str = "float32") -> np.ndarray:
    return RNG.standard_normal(shape).astype(dtype)


@pytest.mark.parametrize("case", golden_cases("images"))
def test_golden(case: GoldenCase) -> None:
    got = case.call(images)
    assert got.dtype == case.operands["x"].dtype
    assert got.shape == case.want.shape
    if case.function == "pad2d" or case.options["method"] == "nearest":
        np.testing.assert_array_equal(got, case.want)
    else:
        np.testing.assert_allclose(got, case.want, **tolerance(got.dtype, 4, scale=2))


# ---- resize ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("coordinates", COORDINATES)
def test_nearest_takes_tensorflows_pixels(coordinates: Any) -> None:
    ramp = np.arange(64, dtype="float32").reshape(1, 64, 1, 1)
    rows = [
        cl.resize2d(ramp[:, :pixels], (wanted, 1), method="nearest", coordinates=coordinates).ravel()
        for pixels, wanted in itertools.product(range(1, 65, 3), range(1, 65))
    ]
    with np.load(FOLDER / "ops_images.npz") as file:
        np.testing.assert_array_equal(np.concatenate(rows), file[f"indices/{coordinates}"])


@pytest.mark.parametrize(
    ("method", "coordinates"),
    [
        (method, place)
        for method in METHODS
        for place in COORDINATES
        if method not in ("area", "adaptive_average") or place == "half_pixel"
    ],
)
def test_the_same_size_is_a_copy(method: Any, coordinates: Any, dtype: np.dtype) -> None:
    x = randoms(2, 5, 7, 3, dtype=dtype.name)
    x[0, 1, 2, 0], x[0, 3, 3, 1], x[1, 4, 6, 2] = np.inf, -np.inf, np.nan
    got = cl.resize2d(x, (5, 7), method=method, coordinates=coordinates)
    np.testing.assert_array_equal(got, x)
    assert not np.shares_memory(got, x)
    assert got.dtype == dtype


@pytest.mark.parametrize("coordinates", COORDINATES)
@pytest.mark.parametrize("size", [(1, 1), (3, 20), (20, 3), (11, 11)])
def test_bilinear_keeps_a_plane(coordinates: Any, size: Any, dtype: np.dtype) -> None:
    h, w = np.mgrid[:9, :10].astype(dtype)
    got = cl.resize2d((2 * h + w)[None, :, :, None], size, coordinates=coordinates)[0, :, :, 0]
    places = []
    for pixels, wanted in zip((9, 10), size, strict=True):
        i = np.arange(wanted)
        if coordinates == "align_corners":
            place = i * (pixels - 1) / max(wanted - 1, 1)
        elif coordinates == "half_pixel":
            place = (i + 0.5) * pixels / wanted - 0.5
        else:
            place = i * pixels / wanted
        places.append(place.clip(0, pixels - 1))
    np.testing.assert_allclose(got, 2 * places[0][:, None] + places[1], **tolerance(dtype, 8, scale=27))


def test_corners_stay_when_aligned() -> None:
    x = randoms(1, 4, 5, 2)
    got = cl.resize2d(x, (13, 9), coordinates="align_corners")
    np.testing.assert_array_equal(got[:, [0, -1]][:, :, [0, -1]], x[:, [0, -1]][:, :, [0, -1]])


def test_infinities_and_nan_stay_local() -> None:
    x = np.zeros((1, 1, 8, 1), np.float32)
    x[0, 0, 2], x[0, 0, 6] = np.inf, np.nan
    got = cl.resize2d(x, (1, 16)).ravel()
    assert np.flatnonzero(np.isinf(got)).tolist() == [3, 4, 5, 6]
    assert np.flatnonzero(np.isnan(got)).tolist() == [11, 12, 13, 14]
    got = cl.resize2d(np.full((1, 2, 2, 1), np.inf), 5)
    np.testing.assert_array_equal(got, np.inf)


def test_an_int_is_a_square() -> None:
    assert cl.resize2d(randoms(1, 4, 6, 2), 3).shape == (1, 3, 3, 2)


@pytest.mark.parametrize("method", METHODS)
def test_empty_resize(method: Any) -> None:
    assert cl.resize2d(np.zeros((0, 4, 4, 3)), (2, 8), method=method).shape == (0, 2, 8, 3)
    assert cl.resize2d(np.zeros((2, 4, 4, 0)), (2, 8), method=method).shape == (2, 2, 8, 0)
    with pytest.raises(ValueError, match=r"x of shape \(1, 4, 0, 3\) has images without pixels, .*\(2, 8\)"):
        cl.resize2d(np.zeros((1, 4, 0, 3)), (2, 8), method=method)


@pytest.mark.parametrize("function", [lambda x: cl.resize2d(x, 9), lambda x: cl.pad2d(x, 2), cl.upsample2d])
def test_any_memory_layout(function: Any) -> None:
    x = randoms(2, 6, 8, 4)
    before = x.copy()
    for other in (x.copy(order="F"), x.astype(">f4"), np.repeat(x, 2, axis=2)[:, :, ::2]):
        np.testing.assert_array_equal(function(other), function(x))
    assert function(x).flags.c_contiguous
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize(
    ("x", "size", "options", "error", "message"),
    [
        (np.ones((4, 4)), 2, {}, ValueError, "x must have 4 dimensions"),
        (np.ones((1, 4, 4, 1), np.uint8), 2, {}, TypeError, "x must be float32 or float64; got uint8"),
        (np.ones((1, 4, 4, 1)), 0, {}, ValueError, "size must be at least 1; got 0"),
        (np.ones((1, 4, 4, 1)), (2, 2, 2), {}, ValueError, "size must be an int"),
        (np.ones((1, 4, 4, 1)), 2.5, {}, TypeError, "size must be an int"),
        (
            np.ones((1, 4, 4, 1)),
            2,
            {"method": "gaussian"},
            ValueError,
            "method must be one of 'nearest', .*'gaussian'",
        ),
        (
            np.ones((1, 4, 4, 1)),
            2,
            {"coordinates": None},
            ValueError,
            "coordinates must be one of 'half_pixel', ",
        ),
    ],
)
def test_resize_errors(x: Any, size: Any, options: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        cl.resize2d(x, size, **options)


# ---- upsample --------------------------------------------------------------------------------------------


def test_upsample_repeats() -> None:
    x = randoms(2, 3, 4, 2)
    np.testing.assert_array_equal(cl.upsample2d(x), np.kron(x, np.ones((1, 2, 2, 1), np.float32)))
    np.testing.assert_array_equal(cl.upsample2d(x, 1), x)
    for method in METHODS:
        assert cl.upsample2d(np.zeros((1, 0, 4, 2), np.float32), (3, 2), method=method).shape == (1, 0, 8, 2)


def test_upsample_errors() -> None:
    with pytest.raises(ValueError, match="factors must be at least 1; got 0"):
        cl.upsample2d(np.ones((1, 2, 2, 1)), 0)
    with pytest.raises(ValueError, match="method must be one of"):
        cl.upsample2d(np.ones((1, 2, 2, 1)), 2, method="linearly")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="x must have 4 dimensions"):
        cl.upsample2d(np.ones((2, 2, 1)))


# ---- pad -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("padding", [0, 1, (2, 1), ((0, 3), (2, 0)), [[0, 0], [1, 2], [3, 0], [0, 0]]])
def test_pad_is_numpys(mode: Any, padding: Any, dtype: np.dtype) -> None:
    x = randoms(2, 4, 5, 3, dtype=dtype.name)
    frames = {
        "0": ((0, 0), (0, 0)), "1": ((1, 1), (1, 1)), "(2, 1)": ((2, 2), (1, 1)),
        "[[0, 0], [1, 2], [3, 0], [0, 0]]": ((1, 2), (3, 0)),
    }  # fmt: skip
    frame = frames.get(str(padding), padding)
    got = cl.pad2d(x, padding, mode=mode)
    assert got.dtype == dtype
    np.testing.assert_array_equal(got, np.pad(x, ((0, 0), *frame, (0, 0)), mode=mode))


def test_pad_with_a_value() -> None:
    got = cl.pad2d(np.ones((1, 1, 1, 1), np.float32), 1, value=-np.inf)
    assert got.dtype == np.float32
    assert (np.isneginf(got).sum(), got.max()) == (8, 1)


def test_pad_of_nothing() -> None:
    assert cl.pad2d(np.zeros((1, 0, 2, 3)), 1).shape == (1, 2, 4, 3)
    for mode in MODES:
        assert cl.pad2d(np.zeros((0, 3, 2, 3)), 1, mode=mode).shape == (0, 5, 4, 3)
        assert cl.pad2d(np.zeros((1, 0, 2, 3)), (0, 1), mode=mode).shape == (1, 0, 4, 3)


@pytest.mark.parametrize(
    ("shape", "padding", "options", "message"),
    [
        ((4, 4), 1, {}, "x must have 4 dimensions"),
        ((1, 4, 4, 1), "same", {}, "padding must be numbers for pad2d, .*got 'same'"),
        ((1, 4, 4, 1), -1, {}, "padding must be at least 0; got -1"),
        ((1, 4, 4, 1), 1, {"mode": "mirror"}, "mode must be one of 'constant', 'reflect', .*; got 'mirror'"),
        ((1, 9, 4, 1), ((0, 0), (4, 1)), {"mode": "reflect"},
         r"padding \(4, 1\) along axis 2 is too deep for mode='reflect': it mirrors at most 3 of the 4"),
        ((1, 0, 4, 1), 1, {"mode": "reflect"}, r"padding \(1, 1\) along axis 1 is too deep"),
        ((1, 0, 4, 1), 1, {"mode": "edge"}, "no pixels along axis 1 to repeat; use mode='constant'"),
    ],
)  # fmt: skip
def test_pad_errors(shape: Any, padding: Any, options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        cl.pad2d(np.ones(shape), padding, **options)


def test_pad_refuses_integers() -> None:
    with pytest.raises(TypeError, match="x must be float32 or float64; got int64"):
        cl.pad2d(np.ones((1, 2, 2, 1), np.int64), 1)
