"""Few output channels and merged phases: every form gives the bits of the direct one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import convlite as cl
from convlite import _dispatch, _kernels, ops, pack, sums
from convlite.plan import Plan, Weights, kind_of, pixel_vectors, plan_as, usual_layout

PADDINGS = ("same", "valid", "same_lower", ((1, 1), (1, 1)), ((0, 1), (2, 0)), ((3, 2), (5, 3)))
SHAPES = (
    (1, 7, 9, 5),
    (2, 5, 1, 3),
    (3, 4, 4, 17),
    (1, 1, 2, 1),
    (1, 1, 200, 3),
    (2, 6, 31, 21),
    (1, 9, 70, 33),
)
WIDE = (((2, 2), 2), ((4, 4), 2), ((16, 16), 8), ((6, 6), 3), ((3, 3), 3), ((1, 8), (1, 4)), ((3, 4), (1, 2)))
PIXELS = (
    *WIDE,
    ((3, 3), 2),
    ((5, 5), 2),
    ((9, 9), 3),
    ((1, 1), 2),
    ((2, 3), (3, 2)),
    ((3, 3), 1),
    ((1, 1), 1),
)
CODES = {"none": (0, 0.0, 0.0), "clip": (1, 0.0, 6.0), "prelu": (3, 0.0, 0.0), "sigmoid": (7, 0.0, 0.0)}


def pair(value: Any) -> tuple[int, int]:
    return value if isinstance(value, tuple) else (value, value)


class Call:
    """A call below ops, so that the form can be chosen."""

    def __init__(
        self, operation: str, shape: tuple[int, ...], kernel: tuple[int, ...], dtype: Any, **options: Any
    ):
        rng = np.random.default_rng(sum(shape) + 7 * sum(kernel))
        self.operation, self.groups = operation, 1
        self.strides, self.dilations = pair(options.get("strides", 1)), pair(options.get("dilations", 1))
        self.size = options.get("output_shape"), options.get("output_padding")
        self.padding = options.get("padding", "valid")
        self.x, self.kernel = (rng.standard_normal(s).astype(dtype) for s in (shape, kernel))
        cout = kernel[2] if operation == "conv2d_transpose" else kernel[3]
        self.bias, self.alpha = (rng.standard_normal(cout).astype(dtype) for _ in range(2))

    def plan(self, isa: str, form: str) -> Plan:
        """The plan in a form; in the direct one where that does not serve."""
        weights = Weights(self.operation, self.kernel.shape, self.strides, self.dilations)
        shape = (self.operation, self.x.shape, weights.shape, self.strides, self.padding, self.dilations, 1)
        geometry = ops.geometry_of(*shape, *self.size)
        for name in ("strided", "gathered") if form == "direct" else (form, "strided", "gathered"):
            if (made := plan_as(name, geometry, weights, self.x.dtype, isa)) is not None:
                return made
        raise AssertionError("gathered tiles serve all")

    def run(self, isa: str, form: str, threads: int = 1, name: str = "none", bias: bool = True) -> np.ndarray:
        made = self.plan(isa, form)
        weights = Weights(self.operation, self.kernel.shape, self.strides, self.dilations)
        panels = pack.pack_panels(self.kernel, weights, isa, made.layout)
        out = np.full(made.geometry.out_shape, 7, self.x.dtype)
        alpha = self.alpha if name == "prelu" else None
        made.runner.run(
            self.x, panels.data, self.bias if bias else None, alpha, out, *CODES[name], True, threads
        )
        return out


def transposed(kernel: tuple[int, int], strides: Any, dtype: Any) -> list[Call]:
    """Some of the shapes, paddings and channels, a different choice for each kernel."""
    calls = []
    for i, shape in enumerate(SHAPES):
        for j, cout in enumerate((1, 3, 8, 21)):
            padding = PADDINGS[(i + 2 * j + kernel[1]) % len(PADDINGS)]
            extra = (0, 1) if pair(strides)[1] > 1 and (i + j) % 3 == 0 else None
            options = {"strides": strides, "padding": padding, "output_padding": extra}
            try:
                call = Call("conv2d_transpose", shape, (*kernel, cout, shape[3]), dtype, **options)
                call.run("base", "direct")
            except ValueError:  # the padding crops more than there is
                continue
            calls.append(call)
    assert len(calls) > 12
    return calls


def assert_same_bits(a: np.ndarray, b: np.ndarray) -> None:
    assert (a.shape, a.dtype) == (b.shape, b.dtype)
    assert a.tobytes() == b.tobytes(), f"{np.sum(a != b)} of {a.size} values differ"


# ---- the same bits -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kernel", "strides"), WIDE)
def test_wide_phases_give_the_plain_bits(isa: str, dtype: np.dtype, kernel: Any, strides: Any) -> None:
    for call in transposed(kernel, strides, dtype):
        assert_same_bits(call.run(isa, "merged_phases"), call.run(isa, "direct"))


@pytest.mark.parametrize(("kernel", "strides"), PIXELS)
def test_transposed_pixel_vectors_give_the_plain_bits(
    isa: str, dtype: np.dtype, kernel: Any, strides: Any
) -> None:
    for call in transposed(kernel, strides, dtype):
        assert_same_bits(call.run(isa, "pixel_vectors"), call.run(isa, "direct"))


@pytest.mark.parametrize("strides", [1, 2, (3, 1)])
@pytest.mark.parametrize("dilations", [1, (1, 2), 3])
@pytest.mark.parametrize("kernel", [(1, 1), (3, 3), (1, 4), (5, 2)])
def test_pixel_vectors_give_the_plain_bits(
    isa: str, dtype: np.dtype, kernel: Any, dilations: Any, strides: Any
) -> None:
    for i, shape in enumerate(SHAPES):
        padding = PADDINGS[(i + kernel[0]) % 3 if i % 2 else 5]
        options = {"strides": strides, "dilations": dilations, "padding": padding}
        call = Call("conv2d", shape, (*kernel, shape[3], (1, 3, 8, 20)[i % 4]), dtype, **options)
        try:
            want = call.run(isa, "direct")
        except ValueError:  # a kernel larger than the image
            continue
        assert_same_bits(call.run(isa, "pixel_vectors"), want)


SKINNY = (
    ("conv2d", (1, 1), 1, (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)),
    ("conv2d_transpose", (1, 1), 1, (1, 3, 8)),
    ("conv2d_transpose", (2, 2), 2, (1, 2, 3)),
    ("conv2d_transpose", (3, 3), 3, (1,)),
    ("conv2d_transpose", (1, 4), (1, 4), (1, 2, 3)),
    ("conv2d_transpose", (3, 1), (3, 1), (1, 2, 4)),
)


@pytest.mark.parametrize(("operation", "kernel", "strides", "couts"), SKINNY)
def test_few_sums_for_each_pixel_give_the_plain_bits(
    isa: str, dtype: np.dtype, operation: str, kernel: Any, strides: Any, couts: Any
) -> None:
    """Lines shorter and longer than a vector and than a block of them, every number of channels mod 4."""
    table = _kernels.describe(isa, kind_of(dtype))
    lanes, most, served = table["lanes"], table["skinny_sums"], 0
    for i, cout in enumerate(couts):
        for j, cin in enumerate((*range(1, 10), 16, 24, 70)):
            shape = ((2, 3, 11), (1, 1, 131), (3, 2, 5), (1, 1, 16), (1, 2, 300), (1, 1, 3))[(i + j) % 6]
            channels = (cout, cin) if operation == "conv2d_transpose" else (cin, cout)
            call = Call(operation, (*shape, cin), (*kernel, *channels), dtype, strides=strides)
            sums, pixels = kernel[0] * kernel[1] * cout, shape[0] * shape[1] * shape[2]
            together = kernel == (1, 1) and operation == "conv2d" and max(cin, cout) <= lanes // 2  # pixels
            few = (table["moves"] and together) or (cin >= 4 and sums <= most)
            serves = dtype == np.float32 and pixels >= lanes and few
            assert call.plan(isa, "tall_skinny").layout == ("tall_skinny" if serves else "direct")
            served += serves
            assert_same_bits(call.run(isa, "tall_skinny"), call.run(isa, "direct"))
    assert served > 5 or dtype != np.float32 or kernel[0] * kernel[1] * couts[0] > most


@pytest.mark.parametrize("name", CODES)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("threads", [1, 3])
def test_few_sums_with_bias_and_activations(
    isa: str, dtype: np.dtype, bias: bool, name: str, threads: int
) -> None:
    for shape, kernel in (((2, 6, 21), (2, 2, 1, 5)), ((1, 3, 301), (2, 2, 2, 5))):
        call = Call("conv2d_transpose", (*shape, 5), kernel, dtype, strides=2)
        want = call.run(isa, "direct", 1, name, bias)
        assert_same_bits(call.run(isa, "tall_skinny", threads, name, bias), want)


@pytest.mark.parametrize("shape", [(1, 40, 40, 12), (5, 7, 19, 12), (1, 1, 17, 12)])
def test_few_sums_from_threads_and_batches(isa: str, dtype: np.dtype, threads: int, shape: Any) -> None:
    call = Call("conv2d_transpose", shape, (2, 2, 1, 12), dtype, strides=2)
    whole = call.run(isa, "tall_skinny", threads)
    assert_same_bits(whole, call.run(isa, "direct"))
    call.x = call.x[-1:].copy()
    assert_same_bits(whole[-1:], call.run(isa, "tall_skinny", threads))


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((1, 5, 9, 8), {"padding": ((1, 0), (0, 1))}),
        ((1, 5, 9, 8), {"padding": ((1, 0), (0, 1)), "output_padding": (1, 1)}),
        ((1, 5, 9, 8), {"output_shape": (11, 19)}),
        ((1, 0, 9, 8), {}),
        ((1, 9, 9, 0), {}),
    ],
)
def test_outputs_that_are_cropped_or_empty_have_another_form(
    isa: str, dtype: np.dtype, shape: Any, options: dict[str, Any]
) -> None:
    call = Call("conv2d_transpose", shape, (2, 2, 1, shape[3]), dtype, strides=2, **options)
    assert call.plan(isa, "tall_skinny").layout == "direct"
    assert_same_bits(call.run(isa, "tall_skinny"), call.run(isa, "direct"))


def test_few_sums_of_inf_and_nan(isa: str, dtype: np.dtype) -> None:
    """Nothing is padded, so that any weights and pixels give the definition's results."""
    rng = np.random.default_rng(3)
    x = rng.integers(1, 5, (2, 6, 20, 5)).astype(dtype)
    w = rng.integers(1, 5, (2, 2, 1, 5)).astype(dtype)
    w[0, 0, 0, 0], w[1, 1, 0, 2], w[0, 1, 0, 4], x[1, 2, 3, 1] = np.inf, -np.inf, np.nan, np.nan
    want = cl.reference.conv2d_transpose(x, w, strides=2)
    for kernel in (w, cl.PackedKernel(w, "conv2d_transpose", strides=2)):
        np.testing.assert_array_equal(cl.conv2d_transpose(x, kernel, strides=2), want)


def test_doubles_have_the_general_forms_alone() -> None:
    for isa in _dispatch.available_isas():
        table = _kernels.describe(isa, "f64")
        has = (table["pixels"], table["skinny_sums"], table["lines"], table["lanewise"])
        assert has == (False, 0, set(), False)
        for kernel in ((1, 1, 8, 2), (7, 7, 3, 1)):
            assert usual_layout(Weights("conv2d", kernel), np.dtype("f8"), isa) == "direct"


def test_a_kernel_packed_for_few_sums_serves_every_size_and_padding(isa: str, dtype: np.dtype) -> None:
    rng = np.random.default_rng(6)
    for operation, shape, strides in (
        ("conv2d_transpose", (2, 2, 1, 6), 2), ("conv2d", (1, 1, 6, 2), 1), ("conv2d", (1, 1, 6, 2), 2)
    ):  # fmt: skip
        w = rng.standard_normal(shape).astype(dtype)
        packed = cl.PackedKernel(w, operation, strides=strides)  # type: ignore[arg-type]
        for size in ((1, 1, 1, 6), (2, 3, 5, 6), (1, 9, 40, 6)):
            x = rng.standard_normal(size).astype(dtype)
            for padding in ("same", 0, ((1, 0), (0, 0))):
                options: Any = {"strides": strides, "padding": padding}
                function = getattr(cl, operation)
                assert_same_bits(function(x, packed, **options), function(x, w, **options))


@pytest.mark.parametrize("name", CODES)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("layout", ["merged_phases", "pixel_vectors"])
def test_bias_and_activations(isa: str, dtype: np.dtype, layout: str, bias: bool, name: str) -> None:
    call = Call("conv2d_transpose", (2, 6, 21, 5), (4, 4, 3, 5), dtype, strides=2, padding="same")
    assert_same_bits(call.run(isa, layout, 1, name, bias), call.run(isa, "direct", 1, name, bias))


@pytest.mark.parametrize("layout", ["merged_phases", "pixel_vectors"])
@pytest.mark.parametrize("shape", [(1, 40, 40, 12), (5, 7, 19, 12), (1, 3, 500, 12)])
def test_threads_and_batches_cannot_be_seen(
    isa: str, dtype: np.dtype, threads: int, shape: Any, layout: str
) -> None:
    call = Call("conv2d_transpose", shape, (6, 4, 5, 12), dtype, strides=2, padding="same")
    whole = call.run(isa, layout, threads)
    assert_same_bits(whole, call.run(isa, "direct"))
    batch, call.x = call.x, call.x[-1:].copy()
    assert_same_bits(whole[-1:], call.run(isa, layout))
    assert len(batch) == len(whole)


@pytest.mark.parametrize("layout", ["merged_phases", "pixel_vectors"])
def test_output_shapes_that_end_amid_the_phases(isa: str, dtype: np.dtype, layout: str) -> None:
    for width in range(3 * 5 + 4, 3 * 5 + 7):  # valid, kernel 6, stride 3, 6 pixels: 21 to 23
        options = {"strides": (2, 3), "padding": "valid", "output_shape": (13, width + 2)}
        call = Call("conv2d_transpose", (1, 6, 6, 4), (3, 6, 5, 4), dtype, **options)
        assert_same_bits(call.run(isa, layout), call.run(isa, "direct"))


@pytest.mark.parametrize(
    "cut", [{"STRETCH_BYTES": 1}, {"TILE_BYTES": 1}, {"STRETCH_BYTES": 2**30, "TILE_BYTES": 2**30}]
)
def test_where_rows_are_cut_cannot_be_seen(
    isa: str, monkeypatch: pytest.MonkeyPatch, cut: dict[str, int]
) -> None:
    calls = [
        Call("conv2d_transpose", (1, 4, 330, 6), (5, 5, 2, 6), "float32", strides=2, padding="same"),
        Call("conv2d", (1, 6, 600, 6), (3, 5, 6, 4), "float32", strides=(1, 2), padding="same"),
    ]
    for name, value in cut.items():
        monkeypatch.setattr(pixel_vectors, name, value)
    for call in calls:
        assert_same_bits(call.run(isa, "pixel_vectors"), call.run(isa, "direct"))


@pytest.fixture
def short_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums of a few products are cut: in pieces of 16, in sections of 48."""
    for name, value in (("PIECE", 16), ("SECTION", 48), ("SECTION_TAPS", 16)):
        monkeypatch.setattr(sums, name, value)


@pytest.mark.usefixtures("short_pieces")
def test_sums_cut_in_sections_are_continued_past_the_ends_of_a_line(isa: str) -> None:
    call = Call("conv2d_transpose", (1, 5, 20, 40), (4, 4, 21, 40), "float32", strides=2, padding="same")
    assert_same_bits(call.run(isa, "merged_phases"), call.run(isa, "direct"))


@pytest.mark.parametrize("section", [48, 10**6])
@pytest.mark.parametrize(
    ("operation", "shape", "kernel", "strides"),
    [
        ("conv2d", (1, 9, 21, 3), (3, 3, 3, 2), 1),
        ("conv2d", (1, 9, 21, 12), (3, 3, 12, 3), 1),
        ("conv2d", (2, 9, 21, 40), (3, 2, 40, 2), (2, 1)),
        ("conv2d", (1, 12, 21, 2), (7, 1, 2, 3), 1),
        ("conv2d_transpose", (1, 6, 21, 9), (4, 4, 3, 9), 2),
        ("conv2d_transpose", (1, 6, 21, 3), (6, 4, 2, 3), 2),
        ("conv2d", (1, 5, 21, 70), (1, 1, 70, 3), 1),
        ("conv2d_transpose", (1, 5, 21, 33), (2, 2, 2, 33), 2),
    ],
)
def test_forms_cut_sums_at_the_same_places(
    isa: str, dtype: np.dtype, monkeypatch: pytest.MonkeyPatch, operation: str, shape: Any, kernel: Any,
    strides: Any, section: int,
) -> None:  # fmt: skip
    for name, value in (("PIECE", 16), ("SECTION", section), ("SECTION_TAPS", max(section // 3, 16))):
        monkeypatch.setattr(sums, name, value)
    padding = "valid" if kernel[0] in (1, 2) else "same"
    call = Call(operation, shape, kernel, dtype, strides=strides, padding=padding)
    want = call.run(isa, "direct")
    merged = ("merged_phases",) if operation == "conv2d_transpose" else ()
    for form in (*merged, "pixel_vectors", "tall_skinny"):
        if form == "tall_skinny" and kernel[0] > 2:
            continue
        assert_same_bits(call.run(isa, form), want)


@pytest.mark.parametrize("shape", [(1, 0, 3, 4), (1, 3, 0, 4), (0, 3, 3, 4), (1, 3, 3, 0)])
@pytest.mark.parametrize("layout", ["merged_phases", "pixel_vectors"])
def test_nothing_to_sum(isa: str, shape: Any, layout: str) -> None:
    call = Call("conv2d_transpose", shape, (4, 4, 3, shape[3]), "float32", strides=2)
    assert_same_bits(call.run(isa, layout), call.run(isa, "direct"))


# ---- through the operations --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kernel", "strides"), [((4, 4, 3, 8), 2), ((16, 16, 21, 4), 8), ((3, 3, 1, 8), 2), ((2, 2, 64, 3), 2)]
)
def test_inf_weights_add_nothing_over_padding(isa: str, dtype: np.dtype, kernel: Any, strides: int) -> None:
    rng = np.random.default_rng(3)
    x = rng.integers(1, 5, (1, 6, 20, kernel[3])).astype(dtype)
    w = rng.integers(1, 5, kernel).astype(dtype)
    w[0, 0, 0, 0], w[-1, -1, -1, -1] = np.inf, -np.inf
    want = cl.reference.conv2d_transpose(x, w, strides=strides, padding="same")
    packed = cl.PackedKernel(w, "conv2d_transpose", strides=strides)
    for k in (w, packed, packed):
        np.testing.assert_array_equal(cl.conv2d_transpose(x, k, strides=strides, padding="same"), want)


def test_inf_weights_of_a_convolution(isa: str, dtype: np.dtype) -> None:
    x = np.arange(1, 1 + 5 * 21 * 2, dtype=dtype).reshape(1, 5, 21, 2)
    w = np.ones((3, 3, 2, 3), dtype)
    w[0, 0, 0, 0] = np.inf
    want = cl.reference.conv2d(x, w, padding="same")
    np.testing.assert_array_equal(cl.conv2d(x, w, padding="same"), want)
    np.testing.assert_array_equal(cl.conv2d(x, cl.PackedKernel(w), padding="same"), want)


def test_nan_stays_where_it_is(isa: str) -> None:
    x = np.zeros((1, 8, 40, 4), np.float32)
    x[0, 3, 17, 2] = np.nan
    y = cl.conv2d(x, np.ones((3, 3, 4, 2), np.float32), padding="same")
    assert np.isnan(y).sum() == 3 * 3 * 2
    assert np.isnan(y[0, 2:5, 16:19]).all()


def test_a_packed_kernel_serves_every_size_and_padding(isa: str, dtype: np.dtype) -> None:
    rng = np.random.default_rng(5)
    for shape in ((4, 4, 3, 6), (2, 2, 24, 6), (8, 8, 5, 6)):
        w = rng.standard_normal(shape).astype(dtype)
        packed = cl.PackedKernel(w, "conv2d_transpose", strides=2)
        for size in ((1, 1, 1, 6), (2, 3, 5, 6), (1, 9, 40, 6)):
            x = rng.standard_normal(size).astype(dtype)
            for padding in ("same", "valid"):
                options: Any = {"strides": 2, "padding": padding}
                assert_same_bits(
                    cl.conv2d_transpose(x, packed, **options), cl.conv2d_transpose(x, w, **options)
                )


# ---- the rule ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operation", "kernel", "strides", "layout"),
    [
        ("conv2d_transpose", (4, 4, 3, 64), 2, "pixel_vectors"),
        ("conv2d_transpose", (9, 9, 1, 64), 2, "pixel_vectors"),
        ("conv2d_transpose", (16, 16, 21, 21), 8, "merged_phases"),
        ("conv2d_transpose", (2, 2, 64, 128), 2, "merged_phases"),
        ("conv2d_transpose", (2, 2, 24, 24), 2, "merged_phases"),
        ("conv2d_transpose", (4, 4, 64, 128), 2, "direct"),
        ("conv2d_transpose", (3, 3, 128, 256), 2, "direct"),
        ("conv2d", (3, 3, 64, 3), 1, "pixel_vectors"),
        ("conv2d", (3, 3, 32, 12), 1, "pixel_vectors"),
        ("conv2d", (3, 3, 64, 64), 1, "direct"),
        ("conv2d_transpose", (2, 2, 1, 16), 2, "tall_skinny"),
        ("conv2d_transpose", (2, 2, 3, 16), 2, "tall_skinny"),
        ("conv2d_transpose", (2, 2, 4, 16), 2, "pixel_vectors"),
        ("conv2d_transpose", (2, 2, 1, 3), 2, "pixel_vectors"),
        ("conv2d_transpose", (3, 3, 1, 16), 2, "pixel_vectors"),
        ("conv2d", (1, 1, 64, 1), 1, "tall_skinny"),
        ("conv2d", (1, 1, 64, 4), 1, "tall_skinny"),
        ("conv2d", (1, 1, 64, 21), 1, "direct"),
    ],
)
def test_the_rule(operation: str, kernel: tuple[int, ...], strides: int, layout: str) -> None:
    if "avx512" not in _dispatch.available_isas():
        pytest.skip("the rule knows how many lanes a vector has")
    weights = Weights(operation, kernel, pair(strides))
    assert usual_layout(weights, np.dtype("f4"), "avx512") == layout


def test_groups_and_dilated_transposes_are_direct(isa: str) -> None:
    for weights in (
        Weights("conv2d", (3, 3, 32, 64), groups=8),
        Weights("conv2d_transpose", (4, 4, 3, 8), (2, 2), (1, 3)),
        Weights("conv2d_transpose", (4, 4, 3, 0), (2, 2)),
        Weights("conv2d_transpose", (1, 1, 3, 8), (10**6, 10**6)),
    ):
        assert usual_layout(weights, np.dtype("f4"), isa) == "direct"
