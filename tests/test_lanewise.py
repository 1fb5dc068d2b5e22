"""Products lane by lane, and edges of wide dilations: chosen where they win, with the plain form's bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tolerance import tolerance

import convlite as cl
from convlite import _dispatch, _kernels, ops, pack
from convlite.arguments import as_padding
from convlite.geometry import Geometry, conv_axis
from convlite.plan import Plan, Weights, plan_as, plan_for
from convlite.plan.lanewise import numbers_of, wins

CODES = {"none": (0, 0.0, 0.0), "clip": (1, -0.5, 6.0), "prelu": (3, 0.0, 0.0), "sigmoid": (7, 0.0, 0.0)}
# operation, x, kernel, strides, dilations, groups
CALLS: tuple[tuple[Any, ...], ...] = (
    ("depthwise_conv2d", (2, 11, 30, 40), (7, 7, 40, 1), (1, 1), (1, 1), 1),
    ("depthwise_conv2d", (1, 9, 120, 3), (3, 9, 3, 1), (1, 1), (1, 2), 1),
    ("depthwise_conv2d", (1, 9, 41, 5), (4, 3, 5, 1), (1, 3), (1, 1), 1),
    ("depthwise_conv2d", (1, 13, 17, 21), (5, 5, 21, 1), (2, 2), (1, 1), 1),
    ("depthwise_conv2d", (2, 6, 19, 3), (2, 2, 3, 5), (1, 2), (3, 1), 1),
    ("depthwise_conv2d", (1, 1, 700, 33), (1, 31, 33, 1), (1, 1), (1, 1), 1),
    ("depthwise_conv2d", (1, 40, 41, 18), (31, 31, 18, 1), (1, 1), (1, 1), 1),  # sums of two sections,
    ("depthwise_conv2d", (1, 45, 46, 3), (40, 40, 3, 1), (2, 1), (1, 1), 1),  # and of four
    ("depthwise_conv2d", (1, 33, 20, 33), (9, 7, 33, 1), (1, 1), (3, 2), 1),
    ("depthwise_conv2d", (2, 30, 9, 19), (9, 8, 19, 1), (2, 1), (1, 1), 1),
    ("depthwise_conv2d", (1, 37, 35, 16), (35, 33, 16, 1), (1, 1), (1, 1), 1),
    ("depthwise_conv2d", (2, 13, 31, 40), (3, 3, 40, 1), (1, 1), (2, 2), 1),  # dilated lines
    ("depthwise_conv2d", (1, 19, 20, 33), (4, 5, 33, 1), (2, 1), (3, 4), 1),
    ("depthwise_conv2d", (1, 13, 27, 16), (3, 3, 16, 1), (1, 1), (5, 12), 1),
    ("depthwise_conv2d", (2, 11, 30, 48), (7, 7, 48, 1), (1, 1), (1, 1), 1),  # wide lines
    ("depthwise_conv2d", (1, 34, 33, 32), (31, 31, 32, 1), (1, 1), (1, 1), 1),
    ("depthwise_conv2d", (1, 33, 20, 32), (9, 8, 32, 1), (2, 1), (3, 2), 1),
    ("depthwise_conv2d", (2, 1, 300, 16), (1, 31, 16, 1), (1, 1), (1, 1), 1),
    ("depthwise_conv2d", (1, 6, 29, 16), (2, 10, 16, 1), (3, 1), (1, 1), 1),
    ("depthwise_conv2d", (1, 3, 290, 32), (2, 255, 32, 1), (1, 1), (1, 1), 1),
    ("depthwise_conv2d", (2, 28, 27, 37), (27, 27, 37, 1), (1, 1), (1, 1), 1),  # most taps are outside
    ("depthwise_conv2d", (1, 46, 46, 44), (45, 46, 44, 1), (1, 1), (1, 1), 1),  # sums of four sections
    ("depthwise_conv2d", (1, 1, 300, 45), (1, 11, 45, 1), (1, 1), (1, 1), 1),
    ("depthwise_conv2d", (2, 40, 9, 40), (21, 1, 40, 1), (1, 1), (1, 1), 1),  # rows as columns
    ("depthwise_conv2d", (1, 31, 30, 16), (8, 1, 16, 1), (1, 2), (2, 1), 1),
    ("depthwise_conv2d", (2, 17, 12, 37), (5, 1, 37, 1), (2, 3), (1, 1), 1),
    ("depthwise_conv2d", (1, 1, 40, 16), (1, 7, 16, 1), (1, 1), (1, 1), 1),
    ("depthwise_conv2d", (2, 300, 1, 33), (256, 1, 33, 1), (1, 1), (1, 3), 1),
    ("conv2d", (2, 7, 33, 64), (3, 3, 4, 64), (1, 1), (1, 1), 16),
    ("conv2d", (1, 8, 17, 36), (1, 3, 9, 20), (1, 1), (2, 2), 4),
    ("conv2d", (1, 5, 6, 48), (1, 1, 4, 24), (1, 1), (1, 1), 12),
    ("conv2d", (1, 9, 25, 6), (3, 2, 2, 9), (2, 2), (1, 1), 3),
    ("conv2d", (2, 5, 7, 52), (1, 1, 4, 52), (1, 1), (1, 1), 13),  # vectors in pairs
    ("conv2d", (1, 6, 7, 30), (1, 1, 2, 30), (2, 1), (1, 1), 15),
    ("conv2d_transpose", (1, 6, 13, 21), (4, 4, 1, 21), (2, 2), (1, 1), 21),
    ("conv2d_transpose", (2, 5, 12, 3), (3, 5, 1, 3), (3, 2), (1, 1), 3),
    ("conv2d_transpose", (1, 6, 13, 11), (4, 4, 1, 11), (2, 2), (1, 1), 11),  # three vectors for two pixels
    ("conv2d_transpose", (1, 4, 9, 24), (3, 3, 1, 24), (1, 2), (2, 1), 8),
)


def numbers(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.standard_normal(shape).astype(np.float32)


def planned(isa: str, call: Any, padding: Any) -> tuple[Plan, Plan]:
    """The plan lane by lane, and that of another form."""
    name, x, kernel, strides, dilations, groups = call
    geometry = ops.geometry_of(name, x, kernel, strides, as_padding(padding), dilations, groups, None, None)
    weights = Weights(name, kernel, strides, dilations, groups)
    forms = ("lanewise", "depthwise_lines", "depthwise_tiles", "strided", "gathered")
    made = [plan_as(form, geometry, weights, np.dtype("f4"), isa) for form in forms]
    assert made[0] is not None
    return made[0], next(other for other in made[1:] if other is not None)


def result(made: Any, call: Any, x: np.ndarray, kernel: np.ndarray, extra: Any, threads: int) -> bytes:
    name, _, _, strides, dilations, groups = call
    facts = Weights(name, kernel.shape, strides, dilations, groups)
    panels = pack.pack_panels(kernel, facts, made.isa, made.layout)
    bias, alpha, (code, a, b) = extra
    out = np.full(made.geometry.out_shape, 7, np.float32)
    made.runner.run(x, panels.data, bias, alpha, out, code, a, b, True, threads)
    return out.tobytes()


@pytest.mark.parametrize("padding", ["same", "valid", ((2, 0), (1, 3))])
@pytest.mark.parametrize("call", CALLS, ids=lambda c: f"{c[0]}-{c[2]}-{c[3]}")
def test_the_bits_are_those_of_other_forms(isa: str, call: Any, padding: Any) -> None:
    if not _kernels.describe(isa, "f32")["lanewise"]:
        pytest.skip("no such form")
    rng = np.random.default_rng(1)
    x, kernel = numbers(rng, *call[1]), numbers(rng, *call[2])
    lanewise, other = planned(isa, call, padding)
    cout = lanewise.geometry.cout
    for act, code in CODES.items():
        for bias in (None, numbers(rng, cout)):
            extra = (bias, numbers(rng, cout) if act == "prelu" else None, code)
            want = result(other, call, x, kernel, extra, 1)
            assert result(lanewise, call, x, kernel, extra, 1) == want, act
            assert result(lanewise, call, x, kernel, extra, 3) == want, act


def test_lanes_that_hold_no_output_are_not_written(isa: str) -> None:
    """A view behind other numbers: the tails of blocks and lines end where they should."""
    for c, m in ((3, 1), (5, 3), (17, 1), (21, 1)):
        x = np.arange(2 * 5 * 13 * c, dtype=np.float32).reshape(2, 5, 13, c) % 7
        kernel = np.ones((3, 7, c, m), np.float32)
        room = np.full(2 * 5 * 13 * c * m + 64, -1, np.float32)
        out = room[32:-32].reshape(2, 5, 13, c * m)
        cl.depthwise_conv2d(x, kernel, padding="same", out=out)
        want = cl.reference.depthwise_conv2d(x, kernel, padding="same")
        np.testing.assert_array_equal(out, want)
        assert (room[:32] == -1).all()
        assert (room[-32:] == -1).all()


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("place", ["x", "kernel"])
def test_special_values(isa: str, value: float, place: str) -> None:
    """They reach the outputs that the definition says; an infinite weight meets no padding."""
    rng = np.random.default_rng(2)
    for x_shape, k_shape, groups in (((1, 9, 20, 3), (7, 7, 3, 1), 0), ((1, 9, 20, 32), (3, 3, 4, 32), 8)):
        x, kernel = np.abs(numbers(rng, *x_shape)), np.abs(numbers(rng, *k_shape))
        (x if place == "x" else kernel)[0, 0, 0, 0] = value
        name = "conv2d" if groups else "depthwise_conv2d"
        options: dict[str, Any] = {"padding": "same"} | ({"groups": groups} if groups else {})
        got = getattr(cl, name)(x, kernel, **options)
        want = getattr(cl.reference, name)(x, kernel, **options)
        np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
        np.testing.assert_array_equal(np.isinf(got), np.isinf(want))
        rest = np.isfinite(want)
        np.testing.assert_allclose(got[rest], want[rest], rtol=1e-4)


@pytest.mark.parametrize(
    ("operation", "kernel", "strides", "groups", "want"),
    [
        ("depthwise_conv2d", (7, 7, 96, 1), 1, 1, False),  # wide lines
        ("depthwise_conv2d", (7, 7, 40, 1), 1, 1, False),
        ("depthwise_conv2d", (7, 7, 12, 1), 1, 1, True),
        ("depthwise_conv2d", (7, 1, 40, 1), 1, 1, False),
        ("depthwise_conv2d", (5, 1, 40, 1), 2, 1, False),
        ("depthwise_conv2d", (5, 1, 8, 1), 1, 1, True),
        ("depthwise_conv2d", (3, 3, 96, 1), 1, 1, False),  # lines
        ("depthwise_conv2d", (5, 7, 96, 1), 2, 1, True),
        ("depthwise_conv2d", (3, 3, 96, 1), 3, 1, False),  # each input is used once
        ("depthwise_conv2d", (3, 3, 3, 1), 2, 1, False),
        ("depthwise_conv2d", (3, 3, 3, 1), 1, 1, True),  # vectors of several pixels
        ("depthwise_conv2d", (3, 3, 96, 2), 1, 1, True),
        ("depthwise_conv2d", (1, 1, 96, 1), 1, 1, False),  # a factor for each channel
        ("depthwise_conv2d", (3, 3, 3, 40), 1, 1, False),  # vectors along a channel's outputs
        ("depthwise_conv2d", (3, 3, 1, 4), 1, 1, False),
        ("conv2d", (3, 3, 4, 128), 1, 32, True),
        ("conv2d", (1, 1, 4, 128), 1, 32, True),
        ("conv2d", (1, 1, 8, 64), 1, 16, False),  # a vector's inputs fill two
        ("conv2d", (3, 3, 8, 128), 1, 16, False),  # half vectors of strided tiles are full
        ("conv2d", (5, 5, 8, 128), 2, 16, False),
        ("conv2d", (3, 3, 4, 128), 1, 16, True),
        ("conv2d", (3, 3, 8, 8), 1, 2, True),
        ("conv2d", (3, 3, 4, 128), 2, 32, True),
        ("conv2d", (3, 3, 8, 32), 1, 16, True),
        ("conv2d", (3, 3, 6, 48), 1, 8, False),
        ("conv2d", (3, 3, 4, 128), 1, 1, False),
        ("conv2d", (3, 3, 32, 64), 1, 8, False),  # long sums, most of a vector in use
        ("conv2d_transpose", (4, 4, 1, 21), 2, 21, True),
        ("conv2d_transpose", (4, 4, 2, 42), 2, 21, False),
        ("dense", (4, 4), 1, 1, False),
    ],
)
def test_where_it_is_chosen(operation: str, kernel: Any, strides: int, groups: int, want: bool) -> None:
    table = {"lanewise": True, "lanes": 16, "lines": {(1, 3), (2, 3), (1, 5), (2, 5)}, "wide": True}
    weights = Weights(operation, kernel, (strides, strides), (1, 1), groups)
    assert wins(weights, table) == want  # type: ignore[arg-type]
    assert not wins(weights, {"lanewise": False})  # type: ignore[typeddict-item]


def test_pixels_fill_whole_vectors() -> None:
    for lanes in (4, 8, 16):
        for cout in range(2, 60):
            per, patterns = numbers_of(cout, lanes)
            assert patterns * lanes % per == 0
            assert per >= cout or per == lanes


def test_rows_that_are_too_long_to_copy_are_left_to_other_forms(isa: str) -> None:
    axis, line = conv_axis(1, 3, 1, 2**20, "same", ""), conv_axis(64, 7, 1, 1, "same", "")
    geometry = Geometry(1, axis, line, 40, 40, 40)
    weights = Weights("depthwise_conv2d", (3, 7, 40, 1), dilations=(2**20, 1))
    assert plan_as("lanewise", geometry, weights, np.dtype("f4"), isa) is None
    wide = _kernels.describe(isa, "f32")["wide"]
    form = "depthwise_lines" if wide else "depthwise_tiles"
    assert plan_for(geometry, weights, np.dtype("f4"), isa).form == form


@pytest.mark.parametrize("dilation", [8, 12, 16])
@pytest.mark.parametrize("width", [17, 30])
def test_edges_of_wide_dilations_are_cut(isa: str, width: int, dilation: int) -> None:
    rng = np.random.default_rng(width * dilation)
    x, kernel = numbers(rng, 1, width, width, 400), numbers(rng, 3, 3, 400, 160)
    pair, dtype = (dilation, dilation), np.dtype("f4")
    geometry = ops.geometry_of("conv2d", x.shape, kernel.shape, (1, 1), "same", pair, 1, None, None)
    weights = Weights("conv2d", kernel.shape, dilations=pair)
    made: Any = plan_for(geometry, weights, dtype, isa)
    assert (made.form, made.call_work, made.spread) == ("strided", -1, False)
    got = cl.conv2d(x, kernel, dilations=dilation, padding="same")
    want = cl.reference.conv2d(*(a.astype("f8") for a in (x, kernel)), dilations=dilation, padding="same")
    np.testing.assert_allclose(got, want, **tolerance("f4", 9 * 400, np.abs(want).max()))
    gathered = plan_as("gathered", geometry, weights, dtype, isa)
    assert gathered is not None
    out = np.empty_like(got)
    panels = pack.pack_panels(kernel, weights, isa, gathered.layout)
    gathered.runner.run(x, panels.data, None, None, out, 0, 0.0, 0.0, True, 1)
    assert out.tobytes() == got.tobytes()


def test_the_form_exists_for_float32_alone() -> None:
    for isa in _dispatch.available_isas():
        assert not _kernels.describe(isa, "f64")["lanewise"]
