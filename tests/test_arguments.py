"""What callers may write: every form, every refusal, and the texts of the refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from convlite import arguments
from convlite._layouts import check_channels
from convlite.arguments import (
    as_epsilon,
    as_flag,
    as_int,
    as_operand,
    as_padding,
    as_padding_1d,
    as_pair,
    as_real,
    as_single,
    as_size,
    check_bias,
    check_groups,
    check_out,
    check_taps,
    is_one_of,
    shown,
)

F32, F64 = np.dtype(np.float32), np.dtype(np.float64)


class Index:
    """An integer of another library."""

    def __index__(self) -> int:
        return 3


# ---- forms -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3), np.array(3), Index()])
def test_integers(value: Any) -> None:
    assert as_int(value, "n") == 3
    assert type(as_int(value, "n")) is int
    assert as_size(value, "n") == 3


@pytest.mark.parametrize(
    ("value", "want"),
    [
        (2, (2, 2)),
        (np.int32(2), (2, 2)),
        (Index(), (3, 3)),
        ((1, 2), (1, 2)),
        ([1, 2], (1, 2)),
        (np.array([1, 2]), (1, 2)),
        (range(1, 3), (1, 2)),
        ([1, 2, 3, 1], (2, 3)),
        (np.array([1, 2, 3, 1]), (2, 3)),
        ((np.int64(1), Index()), (1, 3)),
    ],
)
def test_pairs(value: Any, want: tuple[int, int]) -> None:
    got = as_pair(value, "strides")
    assert got == want
    assert [type(v) for v in got] == [int, int]


@pytest.mark.parametrize(
    ("value", "want"), [(2, 2), ((2,), 2), ([1, 2, 1], 2), (np.array([2]), 2), (Index(), 3)]
)
def test_singles(value: Any, want: int) -> None:
    assert as_single(value, "strides") == want


@pytest.mark.parametrize(
    ("value", "want"),
    [
        ("valid", "valid"),
        ("VALID", "valid"),
        ("Same", "same"),
        ("SAME_LOWER", "same_lower"),
        (0, ((0, 0), (0, 0))),
        (np.int64(2), ((2, 2), (2, 2))),
        ((1, 2), ((1, 1), (2, 2))),
        ([1, (2, 3)], ((1, 1), (2, 3))),
        (((1, 2), (3, 4)), ((1, 2), (3, 4))),
        (np.array([[1, 2], [3, 4]]), ((1, 2), (3, 4))),
        ([[0, 0], [1, 2], [3, 4], [0, 0]], ((1, 2), (3, 4))),
        (np.array([[0, 0], [1, 2], [3, 4], [0, 0]]), ((1, 2), (3, 4))),
    ],
)
def test_paddings(value: Any, want: Any) -> None:
    assert as_padding(value) == want
    hash(as_padding(value))  # plans are cached by it


@pytest.mark.parametrize(
    ("value", "want"),
    [
        ("SAME", "same"),
        (2, ((0, 0), (2, 2))),
        ((2,), ((0, 0), (2, 2))),
        ((1, 2), ((0, 0), (1, 2))),
        ([[0, 0], [1, 2], [0, 0]], ((0, 0), (1, 2))),
    ],
)
def test_paddings_of_one_axis(value: Any, want: Any) -> None:
    assert as_padding_1d(value) == want


# ---- refusals ----------------------------------------------------------------------------------------------

NO_INTEGERS: tuple[Any, ...] = (
    2.0, np.float64(2), True, np.True_, "2", b"2", None, 1j, {2}, {2: 1}, ..., np.array([[1]]),
    np.array([2.0]),
)  # fmt: skip


@pytest.mark.parametrize("value", NO_INTEGERS, ids=repr)
def test_what_is_no_integer(value: Any) -> None:
    with pytest.raises(TypeError, match=r"^n must be an integer; got "):
        as_int(value, "n")
    for convert in (as_pair, as_single, as_padding, as_padding_1d):
        if convert in (as_padding, as_padding_1d) and isinstance(value, str):
            continue
        with pytest.raises((TypeError, ValueError), match=r"^strides"):
            convert(value, "strides")
        with pytest.raises((TypeError, ValueError), match=r"^strides"):
            convert((1, value), "strides")
        with pytest.raises((TypeError, ValueError), match=r"^strides"):
            convert([[0, 0], [0, value], [0, 0]], "strides")


@pytest.mark.parametrize("value", [(), (1,), (1, 2, 3), (1, 2, 3, 4, 5), [[1, 2], 3], [[1], [2]]])
def test_what_is_no_pair(value: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=r"^dilations"):
        as_pair(value, "dilations")


@pytest.mark.parametrize(
    "value",
    [
        "full",
        "",
        "SAME_UPPER",
        (),
        (1,),
        (1, 2, 3),
        (1, 2, 3, 4),
        ((1, 2, 3), (4, 5)),
        ((1, 2),),
        -1,
        (1, -1),
        ((0, 0), (0, -2)),
        [[0, 0], [1, 1], [1, 1], [0, 1]],
        [[1, 1], [1, 1], [1, 1], [1, 1]],
        ("same", "valid"),
        2**31,
    ],
    ids=repr,
)
def test_what_is_no_padding(value: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=r"^padding"):
        as_padding(value)


# ---- operands ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [F32, F64])
def test_a_good_array_is_passed_through(dtype: np.dtype) -> None:
    x = np.ones((2, 3), dtype)
    assert as_operand(x, "x") is x
    assert as_operand(x, "x", 2, dtype) is x


def odd_arrays(dtype: np.dtype) -> dict[str, np.ndarray]:
    """The same numbers in arrays of every kind."""
    x = np.arange(24, dtype=dtype).reshape(2, 3, 4)
    unaligned = np.frombuffer(b"\0" + x.tobytes(), np.uint8)[1:].view(dtype).reshape(x.shape)
    wide = np.zeros((2, 3, 8), dtype)
    wide[..., ::2] = x
    frozen = x.copy()
    frozen.setflags(write=False)
    return {
        "Fortran order": np.asfortranarray(x),
        "strided": wide[..., ::2],
        "reversed": np.ascontiguousarray(x[::-1])[::-1],
        "transposed": np.ascontiguousarray(x.T).T,
        "byte-swapped": x.astype(dtype.newbyteorder()),
        "unaligned": unaligned,
        "read-only": frozen,
        "masked": np.ma.masked_array(x),
        "record field": np.rec.fromarrays([x], names="a").a,
        "subclass": x.view(type("Mine", (np.ndarray,), {})),
        "metadata": x.astype(np.dtype(dtype, metadata={"unit": "m"})),
    }


@pytest.mark.parametrize("dtype", [F32, F64])
@pytest.mark.parametrize("kind", odd_arrays(F32))
def test_any_float_array_is_accepted(dtype: np.dtype, kind: str) -> None:
    x = odd_arrays(dtype)[kind]
    got = as_operand(x, "x", 3, dtype)
    assert type(got) is np.ndarray
    assert got.dtype == dtype
    assert got.dtype.isnative
    assert got.flags.c_contiguous
    assert got.flags.aligned
    np.testing.assert_array_equal(got, np.arange(24).reshape(2, 3, 4))


def test_a_broadcast_array_is_copied_whole() -> None:
    got = as_operand(np.broadcast_to(np.float32(2), (3, 4)), "x")
    assert got.flags.c_contiguous
    assert got.tolist() == [[2.0] * 4] * 3


def test_lists_and_numbers_are_what_numpy_makes_of_them() -> None:
    assert as_operand([[1.0, 2.0]], "x").dtype == F64
    assert as_operand(3.0, "x").shape == ()
    assert as_operand([np.float32(1)], "x").dtype == F32
    assert as_operand(memoryview(np.ones(3, np.float32)), "x").dtype == F32


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([1, 2], "x must be float32 or float64; got int64; write np.asarray(x, np.float32)"),
        (np.ones(2, np.float16), "x must be float32 or float64; got float16; write x.astype(np.float32)"),
        (np.ones(2, ">f2"), "x must be float32 or float64; got >f2; write x.astype(np.float32)"),
        (np.ones(2, bool), "x must be float32 or float64; got bool; write x.astype(np.float32)"),
        (
            np.ones(2, np.uint8),
            "x must be float32 or float64; got uint8; write x.astype(np.float32), "
            "or x.astype(np.float32) / 255 if the network expects 0 to 1",
        ),
        (np.ones(2, np.complex64), "x must be float32 or float64; got complex64; write x.real or x.imag"),
        (np.array([None]), "x must be float32 or float64; got object: its elements are not plain numbers"),
        (
            {},
            "x must be an array of float32 or float64; "
            "got a dict of 0 entries: give one of them, as in x[...]",
        ),
        (
            "text",
            "x must be an array of float32 or float64; got the text 'text': read the file first, as in "
            "np.load(path) or np.asarray(PIL.Image.open(path))",
        ),
        (np.zeros(1, "M8[s]"), "x must be float32 or float64; got datetime64[s]: numbers are needed"),
        (
            np.zeros(1, "f4,f4"),
            "x must be float32 or float64; got [('f0', '<f4'), ('f1', '<f4')]: "
            "its elements are not plain numbers",
        ),
        (None, "x must be an array of float32 or float64; got None"),
    ],
    ids=repr,
)
def test_wrong_dtypes(value: Any, message: str) -> None:
    with pytest.raises(TypeError) as caught:
        as_operand(value, "x")
    assert str(caught.value) == message


def test_ragged_lists() -> None:
    with pytest.raises(ValueError, match=r"^x is not an array: "):
        as_operand([[1.0], [1.0, 2.0]], "x")


def test_a_long_double_is_refused() -> None:
    if np.dtype(np.longdouble) == F64:
        pytest.skip("long double is double here")
    with pytest.raises(TypeError, match=r"^x must be float32 or float64; got .*write x\.astype"):
        as_operand(np.ones(2, np.longdouble), "x")


# ---- out ---------------------------------------------------------------------------------------------------


def test_out_is_made_or_passed_through() -> None:
    made = check_out(None, (2, 3), F32, ())
    assert (made.shape, made.dtype) == ((2, 3), F32)
    assert check_out(made, (2, 3), F32, (np.ones(3), None, "x")) is made


def test_out_next_to_an_input_is_no_overlap() -> None:
    both = np.zeros((2, 4), np.float32)
    assert check_out(both[0], (4,), F32, (both[1],)).base is both
    with pytest.raises(ValueError, match="must not overlap"):
        check_out(both[0], (4,), F32, (both[:, 1],))


@pytest.mark.parametrize("shape", [(2**40, 2**40), (2**62, 2**62, 2**62), (2**50,)])
def test_outputs_that_cannot_be(shape: tuple[int, ...]) -> None:
    with pytest.raises(MemoryError, match="an output of shape"):
        check_out(None, shape, F64, ())


# ---- messages ----------------------------------------------------------------------------------------------

FORMS = (
    '"valid", "same", "same_lower", an int, (ph, pw), ((top, bottom), (left, right)) or '
    "[[0, 0], [t, b], [l, r], [0, 0]]"
)

CONV = "(kh, kw, Cin//groups, Cout)"


def frozen() -> np.ndarray:
    array = np.zeros(3, np.float32)
    array.setflags(write=False)
    return array


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: as_int(True, "groups"), TypeError, "groups must be an integer; got True (bool)"),
        (lambda: as_int(2.5, "groups"), TypeError, "groups must be an integer; got 2.5 (float)"),
        (lambda: as_size(0, "groups"), ValueError, "groups must be at least 1; got 0"),
        (lambda: as_int(-1, "n"), ValueError, "n must be at least 0; got -1"),
        (lambda: as_int(2**31, "n"), ValueError, "n must be below 2**31; got 2147483648"),
        (
            lambda: as_pair("2", "strides"),
            TypeError,
            "strides must be an int, (h, w) or [1, h, w, 1]; got '2' (str)",
        ),
        (
            lambda: as_pair(None, "strides"),
            TypeError,
            "strides must be an int, (h, w) or [1, h, w, 1]; got None (NoneType)",
        ),
        (lambda: as_pair(0, "strides"), ValueError, "strides must be at least 1; got 0"),
        (lambda: as_pair((1, 0), "strides"), ValueError, "strides[1] must be at least 1; got 0"),
        (lambda: as_pair((1, 2.0), "strides"), TypeError, "strides[1] must be an integer; got 2.0 (float)"),
        (
            lambda: as_pair((1, 2, 3), "strides"),
            ValueError,
            "strides must be an int, (h, w) or [1, h, w, 1]; got 3 values: (1, 2, 3)",
        ),
        (
            lambda: as_pair([2, 1, 1, 1], "strides"),
            ValueError,
            "strides as four numbers must be [1, h, w, 1] (NHWC): 1 for the batch and for the channels; "
            "got [2, 1, 1, 1]",
        ),
        (
            lambda: as_single((1, 2), "strides"),
            ValueError,
            "strides must be an int, (w,) or [1, w, 1]; got 2 values: (1, 2)",
        ),
        (
            lambda: as_single([2, 1, 1], "strides"),
            ValueError,
            "strides as three numbers must be [1, w, 1] (NWC); got [2, 1, 1]",
        ),
        (lambda: as_padding("full"), ValueError, f"padding must be {FORMS}; got 'full'"),
        (
            lambda: as_padding("SAME_UPPER"),
            ValueError,
            f"padding must be {FORMS}; got 'SAME_UPPER'; ONNX's SAME_UPPER is \"same\" here",
        ),
        (lambda: as_padding(None), TypeError, f"padding must be {FORMS}; got None (NoneType)"),
        (lambda: as_padding(-1), ValueError, "padding must be at least 0; got -1"),
        (lambda: as_padding((1, (2, -3))), ValueError, "padding[1][1] must be at least 0; got -3"),
        (
            lambda: as_padding([[1, 0], [1, 1], [1, 1], [0, 0]]),
            ValueError,
            "padding as four pairs must be [[0, 0], [t, b], [l, r], [0, 0]]; "
            "got [[1, 0], [1, 1], [1, 1], [0, 0]]",
        ),
        (
            lambda: as_operand(np.ones(3, np.float32), "x", 4),
            ValueError,
            "x must have 4 dimensions (N, H, W, C); got shape (3,)",
        ),
        (
            lambda: as_operand(np.ones(3, np.float32), "kernel", 4),
            ValueError,
            "kernel must have 4 dimensions (kh, kw, in, out); got shape (3,)",
        ),
        (
            lambda: as_operand(np.ones(3), "bias", None, F32),
            TypeError,
            "bias is float64 but x is float32: convlite casts nothing silently; "
            "write bias.astype(np.float32)",
        ),
        (lambda: check_out([0.0], (1,), F32, ()), TypeError, "out must be a NumPy array; got list"),
        (
            lambda: check_out(np.zeros(3), (3,), F32, ()),
            TypeError,
            "out must be float32, as the operands are; got float64",
        ),
        (
            lambda: check_out(np.zeros(3, ">f4"), (3,), F32, ()),
            TypeError,
            "out must be float32, as the operands are; got >f4",
        ),
        (
            lambda: check_out(np.zeros(3, np.float32), (4,), F32, ()),
            ValueError,
            "out must have shape (4,); got (3,)",
        ),
        (
            lambda: check_out(frozen(), (3,), F32, ()),
            ValueError,
            "out must be writeable; got a read-only array",
        ),
        (
            lambda: check_out(np.zeros(6, np.float32)[::2], (3,), F32, ()),
            ValueError,
            "out must be C-contiguous and aligned; got a strided or unaligned array",
        ),
        (
            lambda: check_groups(3, 4, 6),
            ValueError,
            "groups must divide the number of x's channels; got groups=3 and 4 channels",
        ),
        (
            lambda: check_groups(3, 6, 4),
            ValueError,
            "groups must divide the number of output channels; got groups=3 and 4 channels",
        ),
        (
            lambda: check_bias(np.ones(3, np.float32), 4, F32),
            ValueError,
            "bias must have shape (4,), one value per output channel; got (3,)",
        ),
        (
            lambda: check_channels(7, 3, (1, 9, 9, 3), (64, 3, 7, 7), CONV, "OIHW"),
            ValueError,
            "kernel has 7 input channels but x has 3 (kernel is (kh, kw, Cin//groups, Cout), "
            "got (64, 3, 7, 7)); (64, 3, 7, 7) looks like PyTorch's OIHW: see convlite.convert.from_torch",
        ),
        (
            lambda: check_channels(5, 8, (1, 9, 9, 8), (8, 4, 5, 5), "(kh, kw, Cout//groups, Cin)", "IOHW"),
            ValueError,
            "kernel has 5 input channels but x has 8 (kernel is (kh, kw, Cout//groups, Cin), "
            "got (8, 4, 5, 5)); (8, 4, 5, 5) looks like PyTorch's IOHW: see convlite.convert.from_torch",
        ),
        (
            lambda: check_channels(3, 32, (1, 3, 32, 32), (5, 5, 3, 8), CONV, "OIHW"),
            ValueError,
            "kernel has 3 input channels but x has 32 (kernel is (kh, kw, Cin//groups, Cout), "
            "got (5, 5, 3, 8)); x of shape (1, 3, 32, 32) looks like NCHW: write x.transpose(0, 2, 3, 1)",
        ),
        (
            lambda: check_channels(4, 3, (1, 9, 9, 3), (3, 3, 4, 8), CONV, "OIHW"),
            ValueError,
            "kernel has 4 input channels but x has 3 "
            "(kernel is (kh, kw, Cin//groups, Cout), got (3, 3, 4, 8))",
        ),
    ],
)  # fmt: skip
def test_messages(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == message


def test_an_overlap_too_hard_to_decide_counts_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def too_hard(*_: Any, **__: Any) -> bool:
        raise RuntimeError("max_work exceeded")

    monkeypatch.setattr(arguments.np, "shares_memory", too_hard)
    both = np.zeros(8, np.float32)
    with pytest.raises(ValueError, match="must not overlap"):
        check_out(both[:4], (4,), F32, (both[::2],))


# ---- numbers, flags, windows, messages ---------------------------------------------------------------------


def test_numbers() -> None:
    for value in (2, 2.0, np.float32(2), np.int8(2)):
        assert as_real(value, "alpha") == 2.0
        assert type(as_real(value, "alpha")) is float
    assert [as_epsilon(value) for value in (0, 0.0, 1e-3)] == [0.0, 0.0, 1e-3]
    for value in (-1e-300, float("inf"), float("nan"), -1):
        with pytest.raises(ValueError, match="epsilon must be a number of at least 0; got"):
            as_epsilon(value)
    with pytest.raises(ValueError, match="alpha must fit into a float64; got an object of type int"):
        as_real(10**5000, "alpha")


def test_flags() -> None:
    assert [as_flag(value, "f") for value in (True, np.True_, 1, np.int64(1))] == [True] * 4
    assert [as_flag(value, "f") for value in (False, np.False_, 0, np.uint8(0))] == [False] * 4
    for value in (2, -1, 1.0, "True", None, np.array([True]), []):
        with pytest.raises(TypeError, match="f must be True or False; got"):
            as_flag(value, "f")


def test_names() -> None:
    assert is_one_of("a", ("a", "b"))
    for value in ("c", 1, None, ["a"], np.array(["a", "b"]), b"a"):
        assert not is_one_of(value, ("a", "b"))


@pytest.mark.parametrize("size", [(1, 2**24), (2**24, 1), (2**12, 2**12), (0, 2**24), (0, 0)])
def test_the_largest_window(size: tuple[int, int]) -> None:
    check_taps(*size)
    larger = size[0], max(2**24 // max(size[0], 1), 1) + 1
    for height, width in (larger, larger[::-1]):
        with pytest.raises(ValueError, match=r"^kernel must have at most 16777216 rows times columns; got"):
            check_taps(height, width)


def test_what_messages_show() -> None:
    assert shown("x" * 198) == repr("x" * 198)
    assert shown("x" * 199) == repr("x" * 199)[:200] + "..."
    deep: list[object] = []
    for _ in range(10**5):
        deep = [deep]
    assert shown(deep) == "an object of type list, which has no text"


def test_a_copy_that_does_not_fit_is_named() -> None:
    view = np.lib.stride_tricks.as_strided(np.ones(1, np.float32), (2**50, 2), (0, 0))
    with pytest.raises(MemoryError, match=r"^no memory for a C-contiguous copy of weight, shape \("):
        as_operand(view, "weight")
