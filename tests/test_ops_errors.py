"""What the operations refuse, what they say, and that `out` is untouched then."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from calls import every_operation, frozen, numbers, operands, strided, unaligned

import convlite as cl

# ---- what is refused, and what it says ---------------------------------------------------------------------


def f32(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.float32)


REFUSED: list[tuple[str, tuple[Any, ...], dict[str, Any], type[Exception], str]] = [
    ("conv2d", (f32(5, 5, 3), f32(3, 3, 3, 4)), {}, ValueError,
     "x must have 4 dimensions (N, H, W, C); got shape (5, 5, 3)"),
    ("conv2d", (f32(1, 5, 5, 3), f32(3, 3, 3)), {}, ValueError,
     "kernel must have 4 dimensions (kh, kw, in, out); got shape (3, 3, 3)"),
    ("conv2d", (f32(1, 5, 5, 3), f32(64, 3, 7, 7)), {}, ValueError,
     "kernel has 7 input channels but x has 3 (kernel is (kh, kw, Cin//groups, Cout), got (64, 3, 7, 7)); "
     "(64, 3, 7, 7) looks like PyTorch's OIHW: see convlite.convert.from_torch"),
    ("conv2d", (f32(1, 3, 32, 32), f32(3, 3, 3, 8)), {}, ValueError,
     "kernel has 3 input channels but x has 32 (kernel is (kh, kw, Cin//groups, Cout), got (3, 3, 3, 8)); "
     "x of shape (1, 3, 32, 32) looks like NCHW: write x.transpose(0, 2, 3, 1)"),
    ("conv2d_transpose", (f32(1, 5, 5, 3), f32(3, 8, 5, 5)), {}, ValueError,
     "kernel has 5 input channels but x has 3 (kernel is (kh, kw, Cout//groups, Cin), got (3, 8, 5, 5)); "
     "(3, 8, 5, 5) looks like PyTorch's IOHW: see convlite.convert.from_torch"),
    ("depthwise_conv2d", (f32(1, 5, 5, 3), f32(6, 1, 5, 5)), {}, ValueError,
     "kernel has 5 input channels but x has 3 (kernel is (kh, kw, C, multiplier), got (6, 1, 5, 5)); "
     "(6, 1, 5, 5) looks like PyTorch's (C*m, 1, kh, kw): see convlite.convert.from_torch"),
    ("conv2d", (f32(1, 5, 5, 3), f32(0, 3, 3, 8)), {}, ValueError,
     "kernel must have at least one row and one column; got (0, 3, 3, 8)"),
    ("conv2d", (f32(1, 5, 5, 3), f32(3, 3, 3, 8), f32(3)), {}, ValueError,
     "bias must have shape (8,), one value per output channel; got (3,)"),
    ("conv2d", (f32(1, 5, 5, 3), f32(3, 3, 3, 8), f32(1, 8)), {}, ValueError,
     "bias must have shape (8,), one value per output channel; got (1, 8)"),
    ("conv2d", (f32(1, 5, 5, 4), f32(3, 3, 4, 8)), {"groups": 3}, ValueError,
     "groups must divide the number of x's channels; got groups=3 and 4 channels"),
    ("conv2d", (f32(1, 5, 5, 6), f32(3, 3, 2, 8)), {"groups": 3}, ValueError,
     "groups must divide the number of output channels; got groups=3 and 8 channels"),
    ("conv2d", (f32(1, 5, 5, 3), f32(3, 3, 3, 8)), {"groups": 0}, ValueError,
     "groups must be at least 1; got 0"),
    ("conv2d", (f32(1, 5, 5, 3), f32(3, 3, 3, 8)), {"groups": 1.0}, TypeError,
     "groups must be an integer; got 1.0 (float)"),
    ("conv2d", (f32(1, 5, 5, 3), f32(3, 3, 3, 8)), {"groups": True}, TypeError,
     "groups must be an integer; got True (bool)"),
    ("conv1d", (f32(1, 5, 3), f32(3, 3, 8)), {"groups": [1]}, TypeError,
     "groups must be an integer; got [1] (list)"),
    ("conv2d", (f32(1, 2, 2, 3), f32(5, 5, 3, 8)), {}, ValueError,
     "kernel's effective height 5 exceeds x's height 2: there is no output; "
     'give a larger x or a smaller kernel, or write padding="same"'),
    ("conv2d", (f32(1, 5, 5, 3), f32(3, 3, 3, 8)), {"activation": "rectify"}, ValueError,
     "activation 'rectify' is unknown; there are "),
    ("conv2d", (f32(1, 5, 5, 3), f32(3, 3, 3, 8)), {"activation": 3}, TypeError,
     "activation must be None, a name, an object or a callable; got 3"),
    ("conv2d", (f32(1, 5, 5, 3), f32(3, 3, 3, 8)), {"activation": float}, TypeError,
     "activation must be None, a name, an object or a callable; got <class 'float'>"),
    ("conv2d", (f32(1, 5, 5, 3), f32(3, 3, 3, 8)), {"activation": cl.activations.PReLU(f32(7))},
     ValueError,
     "activation's alpha has 7 slopes but the output has 8 channels"),
    ("conv2d", (f32(1, 5, 5, 3), f32(3, 3, 3, 8)), {"activation": cl.activations.PReLU(np.ones(8))},
     TypeError,
     "activation's alpha is float64 but the operands are float32; write alpha.astype(np.float32)"),
    ("conv2d_transpose", (f32(1, 4, 4, 3), f32(3, 3, 8, 3)), {"output_shape": (6, 6), "output_padding": 0},
     ValueError,
     "output_shape and output_padding exclude each other: give one"),
    ("conv2d_transpose", (f32(1, 4, 4, 3), f32(3, 3, 8, 3)), {"output_shape": (6,)}, ValueError,
     "output_shape must be (Ho, Wo) or (N, Ho, Wo, Cout); got (6,)"),
    ("conv2d_transpose", (f32(1, 4, 4, 3), f32(3, 3, 8, 3)), {"output_shape": 6}, ValueError,
     "output_shape must be (Ho, Wo) or (N, Ho, Wo, Cout); got 6"),
    ("conv2d_transpose", (f32(1, 4, 4, 3), f32(3, 3, 8, 3)), {"output_shape": ((6, 6), 6)}, TypeError,
     "output_shape[0] must be an integer; got (6, 6) (tuple)"),
    ("conv2d_transpose", (f32(1, 4, 4, 3), f32(3, 3, 8, 3)), {"output_shape": (2, 6, 6, 8)}, ValueError,
     "output_shape (2, 6, 6, 8) must have x's batch 1 and the kernel's 8 output channels"),
    ("conv2d_transpose", (f32(1, 4, 4, 3), f32(3, 3, 8, 3)), {"output_shape": (7, 6)}, ValueError,
     "output_shape asks for an output height of 7, but only 6..6 give x's height of 4 back "
     "(stride 1, effective kernel 3, padding 'valid')"),
    ("conv2d_transpose", (f32(1, 4, 4, 3), f32(3, 3, 8, 3)), {"output_padding": -1}, ValueError,
     "output_padding must be at least 0; got -1"),
    ("conv2d_transpose", (f32(1, 4, 4, 4), f32(3, 3, 8, 4)), {"groups": 3}, ValueError,
     "groups must divide the number of x's channels; got groups=3 and 4 channels"),
    ("dense", (np.float32(1), f32(1, 2)), {}, ValueError,
     "x must have at least 1 dimension (..., K); got a scalar"),
    ("dense", (f32(4), f32(4)), {}, ValueError, "kernel must have 2 dimensions (in, out); got shape (4,)"),
    ("dense", (f32(2, 4), f32(3, 4)), {}, ValueError,
     "kernel has 3 inputs but x has 4 (kernel is (K, M), got (3, 4)); "
     "(3, 4) looks like PyTorch's (out, in): write kernel.T"),
    ("conv1d", (f32(1, 5, 5, 3), f32(3, 3, 8)), {}, ValueError,
     "x must have 3 dimensions (N, W, C); got shape (1, 5, 5, 3)"),
    ("conv1d", (f32(1, 5, 3), f32(3, 4, 8)), {}, ValueError,
     "kernel has 4 input channels but x has 3 (kernel is (kw, Cin//groups, Cout), got (3, 4, 8))"),
    ("conv1d", (f32(1, 3, 50), f32(3, 3, 8)), {}, ValueError,
     "kernel has 3 input channels but x has 50 (kernel is (kw, Cin//groups, Cout), got (3, 3, 8)); "
     "x of shape (1, 3, 50) looks like NCW: write x.transpose(0, 2, 1)"),
    ("conv1d_transpose", (f32(1, 5, 3), f32(3, 4, 8)), {}, ValueError,
     "kernel has 8 input channels but x has 3 (kernel is (kw, Cout//groups, Cin), got (3, 4, 8))"),
    ("conv1d_transpose", (f32(1, 5, 3), f32(3, 8, 3)), {"output_shape": (1, 2)}, ValueError,
     "output_shape must be Wo, (Wo,) or (N, Wo, Cout); got (1, 2)"),
    ("conv1d", (f32(1, 5, 3), f32(3, 3, 8)), {"padding": (1, 2, 3)}, ValueError,
     'padding must be "valid", "same", "same_lower", an int, (before, after) or [[0, 0], '),
    ("conv1d", (f32(1, 5, 3), f32(3, 3, 8)), {"strides": (1, 2)}, ValueError,
     "strides must be an int, (w,) or [1, w, 1]; got 2 values: (1, 2)"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "arrays", "options", "error", "message"), REFUSED)
def test_refusals(name: str, arrays: Any, options: Any, error: Any, message: str) -> None:
    for _ in range(2):  # the second time, plans are cached
        with pytest.raises(error) as caught:
            getattr(cl, name)(*arrays, **options)
        assert str(caught.value).startswith(message)


@every_operation
def test_unknown_options_are_refused(
    name: str, x_shape: Any, kernel_shape: Any, options: Any, shape: Any
) -> None:
    with pytest.raises(TypeError, match="stride"):
        getattr(cl, name)(*operands(x_shape, kernel_shape, shape), stride=2, **options)


@pytest.mark.parametrize(
    ("shape", "kernel", "options"),
    [
        ((2**20, 2**20, 2**18, 1), (3, 3, 1, 8), {}),
        ((1, 2**29, 2**31, 1), (1, 1, 1, 1), {}),
        ((0, 2**40, 2**20, 1), (1, 1, 1, 2**20), {}),
    ],
)
def test_huge_shapes_fail_at_once(shape: Any, kernel: Any, options: Any) -> None:
    x = np.lib.stride_tricks.as_strided(f32(1), shape, (0, 0, 0, 0))
    with pytest.raises((MemoryError, ValueError)):
        cl.conv2d(x, np.ones(kernel, np.float32), **options)


@pytest.mark.parametrize(
    ("name", "x", "kernel", "options"),
    [
        ("conv2d", (1, 1, 1, 1), (1, 1, 1, 1), {"padding": 2**31 - 1}),
        ("conv2d", (0, 2**30, 2**30, 0), (1, 1, 0, 2**20), {"padding": 2**31 - 1}),
        ("conv2d_transpose", (1, 1, 1, 1), (1, 1, 1, 1), {"strides": 2**31 - 1}),
        ("conv2d_transpose", (1, 1, 1, 1), (2, 2, 1, 1), {"dilations": 2**31 - 1}),
        ("conv2d_transpose", (1, 1, 1, 1), (2, 2, 1, 1), {"strides": 2**31 - 1, "dilations": 2**31 - 1}),
        ("conv1d", (1, 1, 1), (1, 1, 1), {"padding": (2**31 - 1, 2**31 - 1), "activation": "no such"}),
    ],
)
def test_huge_outputs_fail_at_once(name: str, x: Any, kernel: Any, options: Any) -> None:
    with pytest.raises((MemoryError, ValueError)):
        getattr(cl, name)(f32(*x), f32(*kernel), **options)


def test_huge_steps_over_small_outputs_are_computed() -> None:
    big = 2**31 - 1
    x = numbers((1, 3, 3, 2))
    kernel = numbers((2, 2, 2, 3))
    options: dict[str, Any] = {"strides": big, "dilations": big, "padding": "same"}
    np.testing.assert_array_equal(cl.conv2d(x, kernel, **options), cl.reference.conv2d(x, kernel, **options))
    one = numbers((1, 1, 1, 3))
    options["padding"] = 2**30 - 3  # crops 2**31 pixels to 6
    got = cl.conv2d_transpose(one, kernel, **options)
    assert got.shape == (1, 6, 6, 2)
    np.testing.assert_array_equal(got, cl.reference.conv2d_transpose(one, kernel, **options))


# ---- out ---------------------------------------------------------------------------------------------------


def marked(shape: tuple[int, ...], dtype: Any = np.float32) -> np.ndarray:
    return np.full(shape, -77.25, dtype)


@every_operation
def test_out_is_filled_and_returned(
    name: str, x_shape: Any, kernel_shape: Any, options: Any, shape: Any, isa: str, dtype: np.dtype
) -> None:
    plain = operands(x_shape, kernel_shape, shape, dtype)
    for activation in (None, "relu", "gelu", "softmax", np.negative):
        want = getattr(cl, name)(*plain, **options, activation=activation)
        out = marked(shape, dtype)
        assert getattr(cl, name)(*plain, **options, activation=activation, out=out) is out
        np.testing.assert_array_equal(out, want, strict=True)


@every_operation
def test_out_may_be_part_of_a_larger_array(
    name: str, x_shape: Any, kernel_shape: Any, options: Any, shape: Any
) -> None:
    plain = operands(x_shape, kernel_shape, shape)
    whole = marked((3, *shape))
    getattr(cl, name)(*plain, **options, out=whole[1])
    np.testing.assert_array_equal(whole[1], getattr(cl, name)(*plain, **options))
    assert (whole[[0, 2]] == -77.25).all()


BAD_OUT: dict[str, tuple[Any, type[Exception], str]] = {
    "list": (lambda shape: marked(shape).tolist(), TypeError, "out must be a NumPy array; got list"),
    "dtype": (lambda shape: marked(shape, np.float64), TypeError, "out must be float32, as the operands are"),
    "byte order": (lambda shape: marked(shape, ">f4"), TypeError, "out must be float32, as the operands are"),
    "shape": (lambda shape: marked((*shape[:-1], shape[-1] + 1)), ValueError, "out must have shape"),
    "rank": (lambda shape: marked((1, *shape)), ValueError, "out must have shape"),
    "read-only": (lambda shape: frozen(marked(shape)), ValueError, "out must be writeable"),
    "strided": (lambda shape: strided(marked(shape)), ValueError, "out must be C-contiguous"),
    "Fortran order": (lambda shape: np.asfortranarray(marked(shape)), ValueError, "out must be C-contiguous"),
    "unaligned": (lambda shape: unaligned(marked(shape)), ValueError, "out must be C-contiguous and aligned"),
}


@pytest.mark.parametrize("kind", BAD_OUT)
@every_operation
def test_a_bad_out_is_refused_and_untouched(
    name: str, x_shape: Any, kernel_shape: Any, options: Any, shape: Any, kind: str
) -> None:
    make, error, message = BAD_OUT[kind]
    out = make(shape)
    before = np.array(out)
    with pytest.raises(error, match=message):
        getattr(cl, name)(*operands(x_shape, kernel_shape, shape), **options, out=out)
    np.testing.assert_array_equal(np.array(out), before)


def lend(shape: tuple[int, ...], wanted: tuple[int, ...], kind: str) -> tuple[Any, np.ndarray]:
    """An operand and an `out` in the same memory."""
    size, out_size = math.prod(shape), math.prod(wanted)
    memory = numbers((size + out_size,))
    start = size - 1 if kind == "last element" else 0
    operand = memory[:size].reshape(shape)
    return memoryview(operand) if kind == "memoryview" else operand, memory[start:][:out_size].reshape(wanted)


@pytest.mark.parametrize("kind", ["same start", "last element", "memoryview"])
@pytest.mark.parametrize("which", [0, 1, 2])
@every_operation
def test_an_overlapping_out_is_refused_and_untouched(
    name: str, x_shape: Any, kernel_shape: Any, options: Any, shape: Any, which: int, kind: str
) -> None:
    plain: list[Any] = operands(x_shape, kernel_shape, shape)
    plain[which], out = lend(plain[which].shape, shape, kind)
    before = out.copy()
    with pytest.raises(ValueError, match="out must not overlap an input"):
        getattr(cl, name)(*plain, **options, out=out)
    np.testing.assert_array_equal(out, before)


def fails(_: np.ndarray) -> np.ndarray:
    raise ZeroDivisionError("of the callable")


BAD_ACTIVATION: dict[str, tuple[Any, type[Exception], str]] = {
    "raises": (fails, ZeroDivisionError, "of the callable"),
    "None": (lambda _: None, ValueError, "activation must return an array of shape"),
    "a number": (lambda _: 1.0, ValueError, "activation must return an array of shape"),
    "text": (lambda _: "text", ValueError, "activation must return an array of shape"),
    "ragged": (lambda _: [[1], [2, 3]], ValueError, "activation must return an array of shape .* list"),
    "transposed": (lambda y: y.T, ValueError, "activation must return an array of shape"),
    "a sum": (lambda y: y.sum(-1), ValueError, "activation must return an array of shape"),
    "complex": (lambda y: y * 1j, ValueError, "activation must return an array of shape .* complex64"),
    "objects": (lambda y: y.astype(object), ValueError, "activation must return an array of shape .* object"),
    "in place, then raises": (lambda y: fails(np.negative(y, out=y)), ZeroDivisionError, "of the callable"),
    "another float": (
        lambda y: y.astype(np.float64),
        TypeError,
        "activation must return float32.*float64: .*wr",
    ),
    "integers": (
        lambda y: (y > 0).astype(np.int8),
        TypeError,
        "activation must return float32.*returned int8",
    ),
    "unknown name": ("no such", ValueError, "activation 'no such' is unknown"),
    "other dtype": (cl.activations.PReLU(0.5), TypeError, "activation's alpha is float64"),
}


@pytest.mark.parametrize("kind", BAD_ACTIVATION)
@every_operation
def test_a_bad_activation_leaves_out_untouched(
    name: str, x_shape: Any, kernel_shape: Any, options: Any, shape: Any, kind: str
) -> None:
    activation, error, message = BAD_ACTIVATION[kind]
    if kind == "transposed" and shape == shape[::-1]:
        return
    plain = operands(x_shape, kernel_shape, shape)
    out = marked(shape)
    with pytest.raises(error, match=message):
        getattr(cl, name)(*plain, **options, activation=activation, out=out)
    assert (out == -77.25).all()
    with pytest.raises(error, match=message):
        getattr(cl, name)(*plain, **options, activation=activation)


@every_operation
def test_a_callable_gets_the_array_that_is_returned(
    name: str, x_shape: Any, kernel_shape: Any, options: Any, shape: Any
) -> None:
    plain = operands(x_shape, kernel_shape, shape)
    seen: list[np.ndarray] = []

    def keep(y: np.ndarray) -> Any:
        seen.append(y.copy())
        return (y > 0).astype(y.dtype)

    got = getattr(cl, name)(*plain, **options, activation=keep)
    np.testing.assert_array_equal(seen[0], getattr(cl, name)(*plain, **options), strict=True)
    np.testing.assert_array_equal(got, (seen[0] > 0).astype(np.float32), strict=True)


def test_other_errors_leave_out_untouched() -> None:
    out = marked((1, 5, 5, 8))
    for name, arrays, options, error, _ in REFUSED:
        with pytest.raises(error):
            getattr(cl, name)(*arrays, **options, out=out)
    assert (out == -77.25).all()
