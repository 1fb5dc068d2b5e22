"""The operations from outside: other frameworks' values, spellings, operands of every kind, shapes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from calls import every_operation, frozen, numbers, operands, strided, unaligned
from cases import SMALL, Case
from golden_cases import GoldenCase, golden_cases
from tolerance import tolerance

import convlite as cl

# ---- values of other frameworks ----------------------------------------------------------------------------

GOLDEN = [
    case
    for name in ("conv2d", "conv2d_transpose", "depthwise_conv2d", "dense_conv1d")
    for case in golden_cases(name)
]


@pytest.mark.parametrize("case", GOLDEN)
def test_tensorflow_and_pytorch_say_the_same(isa: str, case: GoldenCase) -> None:
    if case.leaves_nothing:
        with pytest.raises(ValueError, match="there is no output"):
            case.call(cl)
        return
    got = case.call(cl)
    if case.options.get("activation") in (None, "relu"):  # the files hold exact sums
        np.testing.assert_array_equal(got, case.want, strict=True)
    else:
        assert (got.shape, got.dtype) == (case.want.shape, case.want.dtype)
        np.testing.assert_allclose(got, case.want, **tolerance(got.dtype, 1))


# ---- adjoints ----------------------------------------------------------------------------------------------

FORWARD = [
    pytest.param(case, id=case.name) for case in SMALL if case.operation == "conv2d" and 0 not in case.x[1:3]
]


@pytest.mark.parametrize("case", FORWARD)
def test_the_transpose_is_the_adjoint(isa: str, case: Case) -> None:
    """<conv2d(x, w), y> = <x, conv2d_transpose(y, w)> with the same kernel array, exact in whole numbers."""
    x, kernel, _ = case.exact_operands("float64")
    forward = cl.conv2d(x, kernel, **case.options)
    y = np.rint(np.random.default_rng(1).uniform(-3, 3, forward.shape))
    back = cl.conv2d_transpose(y, kernel, output_shape=x.shape, **case.options)
    assert back.shape == x.shape
    assert np.vdot(forward, y) == np.vdot(x, back)


# ---- one definition, many spellings ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"padding": "SAME"}, {"padding": "same"}),
        ({"padding": 1}, {"padding": ((1, 1), (1, 1))}),
        ({"padding": (1, 2)}, {"padding": [[0, 0], [1, 1], [2, 2], [0, 0]]}),
        ({"padding": "same"}, {"padding": cl.same_padding((5, 6), 3)}),
        (
            {"padding": "same", "strides": 2},
            {"padding": cl.same_padding((5, 6), 3, strides=2), "strides": (2, 2)},
        ),
        ({"strides": [1, 2, 3, 1]}, {"strides": np.array([2, 3])}),
        ({"dilations": (2, 1)}, {"dilations": [1, 2, 1, 1]}),
        ({"groups": np.int64(1)}, {}),
        ({"activation": None}, {"activation": "linear"}),
    ],
)  # fmt: skip
def test_spellings(one: dict[str, Any], other: dict[str, Any]) -> None:
    x, kernel = numbers((1, 5, 6, 4)), numbers((3, 3, 4, 6))
    np.testing.assert_array_equal(cl.conv2d(x, kernel, **one), cl.conv2d(x, kernel, **other))


@pytest.mark.parametrize("stride", [1, 2, 4])
@pytest.mark.parametrize("padding", ["valid", "same", "same_lower", 2, (0, 1)])
def test_one_axis_is_an_image_of_one_row(isa: str, stride: int, padding: Any) -> None:
    x, kernel, bias = numbers((2, 9, 4)), numbers((3, 2, 6)), numbers((6,))
    both = (
        padding if isinstance(padding, str) else ((0, 0), padding if isinstance(padding, tuple) else (2, 2))
    )
    options = {"strides": stride, "dilations": 2, "groups": 2, "padding": padding}
    wide = {**options, "strides": (1, stride), "dilations": (1, 2), "padding": both}
    want = cl.conv2d(x[:, None], kernel[None], bias, **wide)[:, 0]
    np.testing.assert_array_equal(cl.conv1d(x, kernel, bias, **options), want)
    packed = cl.PackedKernel(kernel[None], groups=2)
    np.testing.assert_array_equal(cl.conv1d(x, packed, bias, **options), want)
    kernel, bias = numbers((3, 3, 4)), numbers((6,))
    want = cl.conv2d_transpose(x[:, None], kernel[None], bias, **wide)[:, 0]
    np.testing.assert_array_equal(cl.conv1d_transpose(x, kernel, bias, **options), want)
    packed = cl.PackedKernel(
        kernel[None], "conv2d_transpose", strides=(1, stride), dilations=(1, 2), groups=2
    )
    np.testing.assert_array_equal(cl.conv1d_transpose(x, packed, bias, **options), want)


@pytest.mark.parametrize("size", [9, (9,), [2, 9, 5], np.array([9])])
def test_sizes_of_the_transpose_on_one_axis(size: Any) -> None:
    x, kernel = numbers((2, 4, 3)), numbers((3, 5, 3))
    got = cl.conv1d_transpose(x, kernel, strides=2, output_shape=9)
    assert got.shape == (2, 9, 5)
    np.testing.assert_array_equal(got, cl.reference.conv1d_transpose(x, kernel, strides=2, output_shape=9))
    np.testing.assert_array_equal(cl.conv1d_transpose(x, kernel, strides=2, output_shape=size), got)
    longer = cl.conv1d_transpose(x, kernel, strides=2, output_padding=(1,))
    assert longer.shape == (2, 10, 5)


@pytest.mark.parametrize(
    "shape", [(4,), (0, 4), (3, 4), (1, 1, 4), (2, 3, 2, 4), (1, 1, 1, 2, 1, 4), (2, 0, 4)]
)
def test_dense_keeps_leading_axes(isa: str, dtype: np.dtype, shape: tuple[int, ...]) -> None:
    x, kernel, bias = operands(shape, (4, 3), (3,), dtype)
    got = cl.dense(x, kernel, bias)
    np.testing.assert_array_equal(got, x @ kernel + bias, strict=True)
    out = np.empty_like(got)
    assert cl.dense(x, cl.PackedKernel(kernel, "dense"), bias, out=out) is out
    np.testing.assert_array_equal(out, got)


def test_dense_is_a_1x1_convolution(isa: str) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 5, 6, 37)).astype(np.float32)
    kernel = rng.standard_normal((37, 19)).astype(np.float32)
    np.testing.assert_array_equal(cl.dense(x, kernel), cl.conv2d(x, kernel[None, None]))


def test_depthwise_is_a_grouped_convolution(isa: str, dtype: np.dtype) -> None:
    rng = np.random.default_rng(0)
    x, kernel = (
        rng.standard_normal((2, 5, 6, 21)).astype(dtype),
        rng.standard_normal((3, 3, 21, 2)).astype(dtype),
    )
    got = cl.depthwise_conv2d(x, kernel, padding="same")
    np.testing.assert_array_equal(got, cl.conv2d(x, kernel.reshape(3, 3, 1, 42), groups=21, padding="same"))


# ---- operands ----------------------------------------------------------------------------------------------


KINDS: dict[str, Any] = {
    "Fortran order": np.asfortranarray,
    "strided": strided,
    "reversed": lambda a: a[::-1].copy()[::-1],
    "byte-swapped": lambda a: a.astype(a.dtype.newbyteorder()),
    "unaligned": unaligned,
    "read-only": frozen,
    "subclass": lambda a: a.view(type("Mine", (np.ndarray,), {})),
    "masked": np.ma.masked_array,
    "memoryview": memoryview,
}


@pytest.mark.parametrize("kind", KINDS)
@every_operation
def test_any_float_array_will_do(
    name: str, x_shape: Any, kernel_shape: Any, options: Any, shape: Any, dtype: np.dtype, kind: str
) -> None:
    plain = operands(x_shape, kernel_shape, shape, dtype)
    want = getattr(cl, name)(*plain, **options)
    odd = [KINDS[kind](array) for array in plain]
    before = [np.array(array) for array in odd]
    got = getattr(cl, name)(*odd, **options)
    assert type(got) is np.ndarray
    np.testing.assert_array_equal(got, want, strict=True)
    for array, copy in zip(odd, before, strict=True):
        np.testing.assert_array_equal(array, copy)


@every_operation
def test_lists_are_float64(name: str, x_shape: Any, kernel_shape: Any, options: Any, shape: Any) -> None:
    plain = operands(x_shape, kernel_shape, shape, np.float64)
    got = getattr(cl, name)(*(array.tolist() for array in plain), **options)
    np.testing.assert_array_equal(got, getattr(cl, name)(*plain, **options), strict=True)


@every_operation
def test_shapes_and_inputs(name: str, x_shape: Any, kernel_shape: Any, options: Any, shape: Any) -> None:
    plain = operands(x_shape, kernel_shape, shape)
    copies = [array.copy() for array in plain]
    got = getattr(cl, name)(*plain, **options)
    assert got.shape == shape
    assert got.flags.c_contiguous
    assert got.flags.writeable
    for array, copy in zip(plain, copies, strict=True):
        np.testing.assert_array_equal(array, copy)
        assert not np.may_share_memory(array, got)


@pytest.mark.parametrize("which", [0, 1, 2])
@every_operation
def test_mixed_dtypes_are_refused(
    name: str, x_shape: Any, kernel_shape: Any, options: Any, shape: Any, which: int
) -> None:
    mixed = operands(x_shape, kernel_shape, shape)
    mixed[which] = mixed[which].astype(np.float64)
    with pytest.raises(
        TypeError, match=r"casts nothing silently; write (x|kernel|bias)\.astype\(np\.float32\)"
    ):
        getattr(cl, name)(*mixed, **options)


@pytest.mark.parametrize("which", [0, 1, 2])
@pytest.mark.parametrize("dtype", [np.int32, np.float16, np.complex64, np.bool_, object])
@every_operation
def test_other_dtypes_are_refused(
    name: str, x_shape: Any, kernel_shape: Any, options: Any, shape: Any, which: int, dtype: Any
) -> None:
    wrong = operands(x_shape, kernel_shape, shape)
    wrong[which] = wrong[which].astype(dtype)
    with pytest.raises(TypeError, match=f"^{('x', 'kernel', 'bias')[which]} must be float32 or float64; got"):
        getattr(cl, name)(*wrong, **options)


@every_operation
def test_none_is_no_operand(name: str, x_shape: Any, kernel_shape: Any, options: Any, shape: Any) -> None:
    x, kernel, _ = operands(x_shape, kernel_shape, shape)
    with pytest.raises(TypeError, match=r"^x must be an array of float32 or float64; got None"):
        getattr(cl, name)(None, kernel, **options)
    with pytest.raises(TypeError, match=r"^kernel must be an array of float32 or float64; got None"):
        getattr(cl, name)(x, None, **options)


# ---- shapes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "case", [pytest.param(case, id=case.name) for case in SMALL if "-channels" not in case.name]
)
def test_shape_helpers_agree_with_the_operations(case: Case) -> None:
    helper = {"conv2d": cl.conv2d_output_shape, "conv2d_transpose": cl.conv2d_transpose_output_shape}
    if case.operation not in helper:
        return
    want = getattr(cl, case.operation)(*case.operands("float32"), **case.options).shape
    assert helper[case.operation](case.x, case.kernel, **case.options) == want
    assert helper[case.operation](list(case.x), np.array(case.kernel), **case.options) == want


@pytest.mark.parametrize("shape", [(1, 2, 3), (1, 2, 3, 4, 5), 4, ()])
def test_shape_helpers_want_four_sizes(shape: Any) -> None:
    for helper in (cl.conv2d_output_shape, cl.conv2d_transpose_output_shape):
        with pytest.raises(ValueError, match=r"^x_shape must be four sizes; got"):
            helper(shape, (3, 3, 3, 3))
        with pytest.raises(ValueError, match=r"^kernel_shape must be four sizes; got"):
            helper((1, 5, 5, 3), shape)
        with pytest.raises(TypeError, match=r"^x_shape\[1\] must be an integer"):
            helper((1, 5.0, 5, 3), (3, 3, 3, 3))
        with pytest.raises(ValueError, match=r"^x_shape\[1\] must be at least 0; got -5"):
            helper((1, -5, 5, 3), (3, 3, 3, 3))
        with pytest.raises(TypeError, match=r"^groups must be an integer"):
            helper((1, 5, 5, 3), (3, 3, 3, 3), groups=1.0)


@pytest.mark.parametrize("strides", [1, 2, 3, (2, 5)])
@pytest.mark.parametrize("dilations", [1, (2, 3)])
@pytest.mark.parametrize("kernel", [1, 2, 3, (4, 5)])
def test_same_padding_is_what_same_adds(strides: Any, dilations: Any, kernel: Any) -> None:
    rows, columns = (kernel, kernel) if isinstance(kernel, int) else kernel
    w = numbers((rows, columns, 2, 3))
    for height, width in ((1, 1), (5, 8), (7, 6), (12, 3)):
        x = numbers((1, height, width, 2))
        pads = cl.same_padding((height, width), kernel, strides=strides, dilations=dilations)
        options = {"strides": strides, "dilations": dilations}
        np.testing.assert_array_equal(
            cl.conv2d(x, w, padding="same", **options), cl.conv2d(x, w, padding=pads, **options)
        )


def test_same_padding_reads_its_arguments_as_the_operations_do() -> None:
    assert cl.same_padding(5, 3) == ((1, 1), (1, 1))
    assert cl.same_padding((4, 5), (2, 3), strides=[1, 2, 1, 1]) == ((0, 0), (1, 1))
    with pytest.raises(TypeError, match=r"^kernel_size must be"):
        cl.same_padding(5, "3")
    with pytest.raises(ValueError, match=r"^size must be at least 0"):
        cl.same_padding(-5, 3)


# ---- document 004 ------------------------------------------------------------------------------------------


def test_sizes_of_document_004() -> None:
    shape = cl.conv2d_transpose_output_shape
    assert shape((1, 3, 3, 1), (5, 5, 1, 1), strides=2, padding="same") == (1, 6, 6, 1)
    assert shape((1, 2, 2, 1), (5, 5, 1, 1), strides=2, padding="same") == (1, 4, 4, 1)
    assert shape((64, 7, 7, 256), (5, 5, 128, 256), strides=2, padding="same") == (64, 14, 14, 128)
    assert cl.conv2d_output_shape((64, 14, 14, 128), (3, 3, 128, 256), strides=3) == (64, 4, 4, 256)
    assert shape((64, 4, 4, 256), (3, 3, 128, 256), strides=3) == (64, 12, 12, 128)
    assert shape((64, 4, 4, 256), (3, 3, 128, 256), strides=3, output_shape=(14, 14)) == (64, 14, 14, 128)
