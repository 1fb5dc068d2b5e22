"""Every public function with every bad value for every argument: its error or a sound result, never more.

`golden/messages.txt` holds what each call answers, so that a change of a message is seen. To write it anew:

    python tests/test_hostile.py
"""

from __future__ import annotations

import contextlib
import inspect
import io
import re
import resource
import sys
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hostile import CALLS, NO_ARGUMENTS, bad_values, public

import convlite as cl

MESSAGES = Path(__file__).parent / "golden" / "messages.txt"
# What a message may name in an argument's place: the operand that does not fit it, or the layer.
SYNONYMS = (
    "x", "kernel", "x_shape", "shape", "input_shape", "output", "axes", "channels", "alpha", "mean", "cropping",
    "initializer", "filters", "units", "precision", "activation",
)  # fmt: skip
LONGEST = 700  # characters of a message: what was given is cut
MOST_MEMORY = 300  # MB that all the calls together may add to the process
# What the file leaves out: NumPy's own words, which change from version to version, and what was received.
LEFT_OUT = re.compile(
    r"(?<=is not an array): .*|(?<=needs arguments): .*|Unable to allocate .*|; got .*", re.DOTALL
)


def answer(name: str, argument: str, value: Any) -> Any:
    """What a call with one bad value returns, or the exception."""
    call = CALLS[name]
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return call.run(**{**call.good, argument: value})
        except Exception as error:
            return error


def text(result: Any) -> str:
    """One line for an answer."""
    if isinstance(result, Exception):
        kind = "MemoryError" if isinstance(result, MemoryError) else type(result).__name__
        message = LEFT_OUT.sub("", str(result))
        return f"{kind}: {message}".replace("\n", "\\n")
    if isinstance(result, np.ndarray):
        return f"{result.dtype} {result.shape}"
    return f"accepted, {type(result).__name__}"


def answers(name: str) -> Iterator[tuple[str, str, Any]]:
    for argument, kind in CALLS[name].kinds.items():
        for label, value in bad_values(kind, CALLS[name].good[argument]):
            yield argument, label, answer(name, argument, value)


def transcript(found: Iterable[tuple[str, str, Any]]) -> list[str]:
    """Each answer once, with the values that it is given to, in the order of the first."""
    lines: dict[tuple[str, str], list[str]] = {}
    for argument, label, result in found:
        lines.setdefault((argument, text(result)), []).append(label)
    return [f"{a}: {message}  <- {', '.join(labels)}" for (a, message), labels in lines.items()]


def peak() -> int:
    """The largest size of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def golden() -> dict[str, list[str]]:
    """What golden/messages.txt says, by function; "as NAME" stands for what another function answers too."""
    found: dict[str, list[str]] = {}
    for block in MESSAGES.read_text(encoding="utf-8").split("\n\n"):
        name, *lines = block.strip().split("\n")
        found[name] = found[lines[0][5:]] if lines[0].startswith("  as ") else [line[2:] for line in lines]
    return found


def test_no_public_function_is_forgotten() -> None:
    assert set(public()) == set(FUNCTIONS) | (NO_ARGUMENTS & set(public()))


FUNCTIONS = [name for name in CALLS if name in public()]  # the others are methods


@pytest.mark.parametrize("name", FUNCTIONS)
def test_no_argument_is_forgotten(name: str) -> None:
    signature = inspect.signature(public()[name])
    names = {n for n, p in signature.parameters.items() if p.kind is not p.VAR_KEYWORD} - {
        "out",
        "layers",
        "name",
    }
    assert names <= set(CALLS[name].kinds)


@pytest.mark.parametrize("name", CALLS)
def test_the_good_call_is_good(name: str) -> None:
    call = CALLS[name]
    with contextlib.redirect_stdout(io.StringIO()):
        call.run(**call.good)


@pytest.mark.parametrize("name", CALLS)
def test_bad_values(name: str) -> None:
    before = peak()
    found = list(answers(name))
    for argument, label, result in found:
        case = f"{name}({argument}={label})"
        if not isinstance(result, Exception):
            continue
        assert isinstance(result, (TypeError, ValueError, MemoryError)), f"{case}: {result!r}"
        message = str(result)
        assert len(message) <= LONGEST, f"{case}: {len(message)} characters"
        named = any(re.search(rf"\b{word}", message) for word in (*CALLS[name].kinds, *SYNONYMS))
        assert named, f"{case}: {message!r} names no argument"
    assert peak() - before < MOST_MEMORY
    assert transcript(found) == golden()[name], (
        "messages changed: look at them, then run python tests/test_hostile.py"
    )


@pytest.mark.parametrize("name", CALLS)
def test_a_good_array_of_any_kind_gives_the_same(name: str) -> None:
    call = CALLS[name]
    for argument, kind in call.kinds.items():
        if kind != "array":
            continue
        good = call.good[argument]
        want = call.run(**call.good)
        for label, array in same_numbers(good).items():
            before = np.array(array)
            got = call.run(**{**call.good, argument: array})
            np.testing.assert_equal(got, want, err_msg=f"{name}({argument}={label})")
            np.testing.assert_array_equal(np.array(array), before)


class Subclass(np.ndarray):
    """Somebody's array: its arithmetic must not be used."""

    def __array_ufunc__(self, *_: Any, **__: Any) -> Any:
        raise AssertionError("the subclass's own arithmetic was called")


class Lends:
    """Not an array, but it has one."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return self.array


def same_numbers(good: np.ndarray) -> dict[str, Any]:
    """The numbers of an array in arrays of every kind."""
    swapped = good.astype(good.dtype.newbyteorder())
    wide = np.full((*good.shape[:-1], 2 * good.shape[-1]), np.nan, good.dtype)
    wide[..., ::2] = good
    room = np.empty(good.nbytes + 1, np.uint8)[1:].view(good.dtype).reshape(good.shape)
    room[...] = good
    frozen = good.copy()
    frozen.setflags(write=False)
    return {
        "Fortran order": np.asfortranarray(good),
        "negative strides": np.ascontiguousarray(good[::-1, ...])[::-1, ...],
        "all axes reversed": np.flip(np.ascontiguousarray(np.flip(good))),
        "strided": wide[..., ::2],
        "byte-swapped": swapped,
        "unaligned": room,
        "read-only": frozen,
        "subclass": good.copy().view(Subclass),
        "masked": np.ma.masked_array(good, mask=False),
        "memoryview": memoryview(good.copy()),
        "with __array__": Lends(good.copy()),
    }


# ---- what was found ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("slope", [np.float64(0.5), np.float32(0.5), 0.5, 1, np.int64(1)])
def test_a_slope_of_numpy_does_not_change_the_dtype(slope: Any) -> None:
    x = np.ones((2, 3), np.float32)
    assert cl.layers.ReLU(negative_slope=slope, threshold=slope)(x).dtype == np.float32
    assert cl.layers.ReLU(max_value=slope)(x).dtype == np.float32
    assert cl.layers.LeakyReLU(slope)(x).dtype == np.float32


@pytest.mark.parametrize("kernel", [(2**31 - 1, 1), (2**12 + 1, 2**12), (1, 2**24 + 1), (2**20, 2**20)])
def test_huge_windows_are_refused_at_once(kernel: tuple[int, int]) -> None:
    before = peak()
    for call in (
        lambda: cl.conv2d_output_shape((1, 9, 9, 1), (*kernel, 1, 1), padding="same"),
        lambda: cl.conv2d_transpose_output_shape((1, 9, 9, 1), (*kernel, 1, 1), padding="same"),
        lambda: cl.max_pool2d(np.ones((1, 9, 9, 1)), kernel, padding="same"),
        lambda: cl.avg_pool2d(np.ones((1, 9, 9, 1)), kernel, padding="same"),
        lambda: cl.explain("conv2d", (1, 9, 9, 1), (*kernel, 1, 1), padding="same"),
        lambda: cl.PackedKernel(np.ones((*kernel, 0, 1))),
        lambda: cl.reference.conv2d(np.ones((1, 9, 9, 0)), np.ones((*kernel, 0, 1)), padding="same"),
        lambda: cl.layers.MaxPooling2D(kernel, padding="same")(np.ones((1, 9, 9, 1))),
    ):
        with pytest.raises((ValueError, MemoryError), match="at most 16777216 rows times columns"):
            call()
    assert peak() - before < MOST_MEMORY


@pytest.mark.parametrize(
    "name", [n for n, c in CALLS.items() if n[0].islower() and "." not in n and "x" in c.kinds]
)
def test_huge_outputs_of_small_inputs_are_refused_at_once(name: str) -> None:
    call, big, before = CALLS[name], 2**31 - 1, peak()
    for argument in {"padding", "size", "factors"} & set(call.kinds):
        if name == "lrn":  # a window of channels, and no size of an output
            continue
        with pytest.raises((MemoryError, ValueError), match=r"output|dimension|window|padding|rows times"):
            call.run(**{**call.good, argument: big})
    assert peak() - before < MOST_MEMORY


# ---- out, where a function has one -------------------------------------------------------------------------

HAVE_OUT = [n for n, f in public().items() if "out" in inspect.signature(f).parameters and "." not in n]


def bad_outs(want: np.ndarray) -> dict[str, Any]:
    """Arrays that are no place for a result."""
    shape, dtype = want.shape, want.dtype
    frozen = np.zeros(shape, dtype)
    frozen.setflags(write=False)
    unaligned = np.zeros(want.nbytes + 1, np.uint8)[1:].view(dtype).reshape(shape)
    outs: dict[str, Any] = {
        "a list": want.tolist(), "a number": 1.0, "a flag": True, "a memoryview": memoryview(np.zeros(shape, dtype)),
        "other floats": np.zeros(shape, np.float64), "float16": np.zeros(shape, np.float16),
        "integers": np.zeros(shape, np.int32), "complex": np.zeros(shape, np.complex64),
        "objects": np.zeros(shape, object), "byte-swapped": np.zeros(shape, dtype.newbyteorder()),
        "one more": np.zeros((*shape[:-1], shape[-1] + 1), dtype), "one axis more": np.zeros((1, *shape), dtype),
        "one axis less": np.zeros(shape[1:], dtype), "flat": np.zeros(want.size, dtype), "a scalar": np.zeros((), dtype),
        "empty": np.zeros((0,), dtype), "read-only": frozen, "unaligned": unaligned,
        "Fortran order": np.zeros(shape, dtype, order="F"), "strided": np.zeros((*shape, 2), dtype)[..., 0],
        "negative strides": np.zeros(shape, dtype)[::-1],
        "one number for all": np.lib.stride_tricks.as_strided(np.zeros(1, dtype), shape, (0,) * len(shape)),
    }  # fmt: skip
    return outs


@pytest.mark.parametrize("name", HAVE_OUT)
def test_a_bad_out_is_refused_and_untouched(name: str) -> None:
    call = CALLS[name]
    want = call.run(**call.good)
    for label, out in bad_outs(want).items():
        with pytest.raises((TypeError, ValueError), match=r"^out must "):
            call.run(**call.good, out=out)
        assert np.array_equal(np.asarray(out), np.zeros_like(out)) or label in (
            "a list",
            "a number",
            "a flag",
        )


@pytest.mark.parametrize("name", HAVE_OUT)
def test_out_over_an_operand_is_refused_and_untouched(name: str) -> None:
    """In every way in which two arrays can share memory."""
    call = CALLS[name]
    want = call.run(**call.good)
    for argument in (a for a, kind in call.kinds.items() if kind == "array"):
        good = call.good[argument]
        for shift in (0, 1, good.size - 1, -1, 1 - want.size):
            if name == "activate" and shift == 0:
                continue  # in place, which it allows
            room = np.zeros(3 * max(good.size, want.size), good.dtype)
            start = max(good.size, want.size)
            operand = room[start : start + good.size].reshape(good.shape)
            operand[...] = good
            out = room[start + shift : start + shift + want.size].reshape(want.shape)
            for given in (operand, memoryview(operand), operand.view(Subclass), Lends(operand)):
                before = room.copy()
                with pytest.raises(ValueError, match="out must not overlap an input"):
                    call.run(**{**call.good, argument: given}, out=out)
                assert room.tobytes() == before.tobytes()


@pytest.mark.parametrize("name", HAVE_OUT)
def test_a_refused_call_leaves_out_untouched(name: str) -> None:
    call = CALLS[name]
    want = call.run(**call.good)
    out = np.full_like(want, -77.25)
    for argument, kind in call.kinds.items():
        for label, value in bad_values(kind, call.good[argument]):
            try:
                call.run(**{**call.good, argument: value}, out=out)
            except (TypeError, ValueError, MemoryError):
                assert (out == -77.25).all(), f"{name}({argument}={label})"
            out[...] = -77.25


# ---- callables ---------------------------------------------------------------------------------------------

NONSENSE: dict[str, Any] = {
    "nothing": lambda y: None,
    "text": lambda y: "text",
    "a number": lambda y: 1.5,
    "itself": lambda y: NONSENSE["itself"],
    "a generator": lambda y: (v for v in y),
    "ragged": lambda y: [[1.0], [1.0, 2.0]],
    "too much": lambda y: np.concatenate([y, y]),
    "too little": lambda y: y[..., :-1],
    "complex": lambda y: y * 1j,
    "objects": lambda y: y.astype(object),
    "dates": lambda y: y.astype("M8[s]"),
    "another shape in place": lambda y: y.reshape(-1),
}
WITH_CALLABLE = [n for n, c in CALLS.items() if "activation" in c.kinds and not n.endswith("get")]


@pytest.mark.parametrize("name", WITH_CALLABLE)
def test_nonsense_of_a_callable_is_refused(name: str) -> None:
    call = CALLS[name]
    for label, function in NONSENSE.items():
        with pytest.raises((TypeError, ValueError), match="activation"):
            print(label, call.run(**{**call.good, "activation": function}))


class OwnError(BaseException):
    """What nobody catches by accident."""


@pytest.mark.parametrize("name", WITH_CALLABLE)
def test_an_error_of_a_callable_comes_through(name: str) -> None:
    def fail(y: Any) -> Any:
        y[...] = 3
        raise OwnError

    call = CALLS[name]
    with pytest.raises(OwnError):
        call.run(**{**call.good, "activation": fail})
    call.run(**call.good)  # and nothing is broken by it


def test_a_callable_may_call_again() -> None:
    call = CALLS["conv2d"]
    inner = call.run(**call.good)

    def again(y: np.ndarray) -> np.ndarray:
        return y + call.run(**call.good)

    np.testing.assert_array_equal(call.run(**{**call.good, "activation": again}), 2 * inner)


def test_initializers_that_return_nonsense_are_refused() -> None:
    for made in (
        None,
        "text",
        np.ones(3),
        np.ones((4, 3), np.float64),
        [[1.0], [1.0, 2.0]],
        np.ones((4, 3), object),
    ):
        layer = cl.layers.Dense(3, kernel_initializer=lambda shape, dtype=None, made=made: made)
        with pytest.raises((TypeError, ValueError), match="kernel_initializer"):
            layer(np.ones((2, 4), np.float32))
        assert not layer.built


if __name__ == "__main__":
    written: dict[tuple[str, ...], str] = {}
    blocks = []
    for name in CALLS:
        lines = tuple(transcript(answers(name)))
        same = written.setdefault(lines, name)
        blocks.append("\n  ".join([name, *(lines if same == name else [f"as {same}"])]))
    MESSAGES.write_text("\n\n".join(blocks) + "\n", encoding="utf-8")
    sys.stdout.write(f"{MESSAGES} written\n")
