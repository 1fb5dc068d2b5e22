"""Checks and conversion of arguments, with the texts of their errors.

An error names the argument, the rule, what was received and, where it is known, the likely fix.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Container, Sequence
from typing import Any, Literal, SupportsIndex, TypeGuard, cast

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from ._memory import PLAIN, empty

Array = NDArray[Any]
Pair = tuple[int, int]
PadMode = Literal["valid", "same", "same_lower"]
Pads = tuple[Pair, Pair]
Pad = PadMode | Pair  # along one axis
Padding = PadMode | Pads

FLOAT32 = np.dtype(np.float32)
FLOAT64 = np.dtype(np.float64)
_LIMIT = 2**31  # of a stride, a dilation, a pad: larger ones are mistakes
MAX_TAPS = 2**24  # of a kernel or a window
_MAX_BYTES = 2**63 - 1
_LONGEST = 200  # characters of a value in a message


def shown(value: object) -> str:
    """repr(value) for a message: cut where it is long, and never an error of its own.

    >>> shown("same"), len(shown([1] * 1_000_000)), shown(np.zeros((1, 8, 8, 3)))
    ("'same'", 203, 'a float64 array of shape (1, 8, 8, 3)')
    """
    if isinstance(value, np.ndarray) and value.size > 8:
        return f"a {value.dtype} array of shape {value.shape}"
    try:
        text = repr(value)
    except Exception:  # a repr that fails; an int of more than 4300 digits
        return f"an object of type {type(value).__name__}, which has no text"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


# ---- integers ----------------------------------------------------------------------------------------------


def as_int(value: object, name: str, *, minimum: int = 0) -> int:
    """An int in [minimum, 2**31); bools, floats and strings are refused.

    >>> as_int(3, "groups", minimum=1)
    3
    """
    if type(value) is int and minimum <= value < _LIMIT:
        return value
    if type(value) is not int:
        if isinstance(value, (bool, np.bool_)) or not hasattr(value, "__index__"):
            raise TypeError(f"{name} must be an integer; got {shown(value)} ({type(value).__name__})")
        try:
            value = operator.index(cast(SupportsIndex, value))
        except TypeError:
            raise TypeError(
                f"{name} must be an integer; got {shown(value)} ({type(value).__name__})"
            ) from None
    number = value
    if not minimum <= number < _LIMIT:
        bound = f"at least {minimum}" if number < minimum else "below 2**31"
        raise ValueError(f"{name} must be {bound}; got {shown(number)}")
    return number


def as_size(value: object, name: str) -> int:
    """A positive int."""
    return as_int(value, name, minimum=1)


def _items(value: object, name: str, forms: str) -> list[object]:
    if isinstance(value, (str, bytes)) or not isinstance(value, (Sequence, np.ndarray)):
        raise TypeError(f"{name} must be {forms}; got {shown(value)} ({type(value).__name__})")
    if isinstance(value, np.ndarray) and value.ndim == 0:
        raise TypeError(f"{name} must be {forms}; got {shown(value)}")
    return list(value)


def _is_pair(value: object, minimum: int) -> TypeGuard[Pair]:
    """Whether the value is already in the form that as_pair returns."""
    return (
        type(value) is tuple
        and len(value) == 2
        and type(value[0]) is int
        and type(value[1]) is int
        and minimum <= value[0] < _LIMIT
        and minimum <= value[1] < _LIMIT
    )


def as_pair(value: object, name: str, *, minimum: int = 1) -> Pair:
    """(h, w) from an int, a pair, or TensorFlow's [1, h, w, 1].

    >>> as_pair(2, "strides"), as_pair((1, 2), "strides"), as_pair([1, 2, 3, 1], "strides")
    ((2, 2), (1, 2), (2, 3))
    """
    if type(value) is int and minimum <= value < _LIMIT:  # the usual forms first: small calls feel it
        return value, value
    if _is_pair(value, minimum):
        return value
    if type(value) is int or not isinstance(value, (Sequence, np.ndarray)) or isinstance(value, (str, bytes)):
        if (
            isinstance(value, (str, bytes))
            or (value is not None and not hasattr(value, "__index__"))
            or value is None
        ):
            raise TypeError(
                f"{name} must be an int, (h, w) or [1, h, w, 1]; got {shown(value)} ({type(value).__name__})"
            )
        number = as_int(value, name, minimum=minimum)
        return number, number
    items = _items(value, name, "an int, (h, w) or [1, h, w, 1]")
    if len(items) == 4:
        outer = (as_int(items[0], f"{name}[0]"), as_int(items[3], f"{name}[3]"))
        if outer != (1, 1):
            raise ValueError(
                f"{name} as four numbers must be [1, h, w, 1] (NHWC): 1 for the batch and for the channels; "
                f"got {shown(value)}"
            )
        items = items[1:3]
    if len(items) != 2:
        raise ValueError(
            f"{name} must be an int, (h, w) or [1, h, w, 1]; got {len(items)} values: {shown(value)}"
        )
    return as_int(items[0], f"{name}[0]", minimum=minimum), as_int(items[1], f"{name}[1]", minimum=minimum)


def as_single(value: object, name: str, *, minimum: int = 1) -> int:
    """One int from an int, (w,) or TensorFlow's [1, w, 1]: the 1-D form of as_pair."""
    if isinstance(value, (Sequence, np.ndarray)) and not isinstance(value, (str, bytes)):
        items = _items(value, name, "an int, (w,) or [1, w, 1]")
        if len(items) == 3:
            if (as_int(items[0], f"{name}[0]"), as_int(items[2], f"{name}[2]")) != (1, 1):
                raise ValueError(f"{name} as three numbers must be [1, w, 1] (NWC); got {shown(value)}")
            items = items[1:2]
        if len(items) != 1:
            raise ValueError(
                f"{name} must be an int, (w,) or [1, w, 1]; got {len(items)} values: {shown(value)}"
            )
        value = items[0]
    return as_int(value, name, minimum=minimum)


# ---- numbers, flags, names ---------------------------------------------------------------------------------


def as_real(value: object, name: str) -> float:
    """A float; bools, strings and complex numbers are refused.

    >>> as_real(np.float32(0.5), "alpha")
    0.5
    """
    if type(value) is float:
        return value
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{name} must be a number; got {shown(value)} ({type(value).__name__})")
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{name} must fit into a float64; got {shown(value)}") from None


def as_epsilon(value: object, name: str = "epsilon") -> float:
    """A finite number of at least 0."""
    number = as_real(value, name)
    if not 0 <= number < math.inf:
        raise ValueError(f"{name} must be a number of at least 0; got {number}")
    return number


def as_flag(value: object, name: str) -> bool:
    """True or False, or 1 or 0: a string or an array in a flag's place is a mistake.

    >>> as_flag(1, "keepdims")
    True
    """
    if type(value) is bool:
        return value
    if isinstance(value, np.bool_) or (isinstance(value, (int, np.integer)) and value in (0, 1)):
        return bool(value)
    raise TypeError(f"{name} must be True or False; got {shown(value)} ({type(value).__name__})")


def one_given(**named: Any) -> tuple[str, Any]:
    """The name and value that are given of several names for one thing; the first and None where none is.

    >>> one_given(scale=None, gamma=2.0)
    ('gamma', 2.0)
    """
    given = [name for name, value in named.items() if value is not None]
    if len(given) > 1:
        raise TypeError(f"{' and '.join(given)} are names of the same argument; give one of them")
    name = given[0] if given else next(iter(named))
    return name, named[name]


def is_one_of(value: object, names: Container[str]) -> bool:
    """Whether it is one of these strings; `in` alone fails on arrays and other unhashable things."""
    return isinstance(value, str) and value in names


# ---- padding -----------------------------------------------------------------------------------------------

_PAD_FORMS = (
    '"valid", "same", "same_lower", an int, (ph, pw), ((top, bottom), (left, right)) '
    "or [[0, 0], [t, b], [l, r], [0, 0]]"
)
_PAD_FORMS_1D = '"valid", "same", "same_lower", an int, (before, after) or [[0, 0], [before, after], [0, 0]]'


def _pad_mode(value: str, name: str, forms: str = _PAD_FORMS) -> PadMode:
    if value in ("valid", "same"):
        return cast(PadMode, value)
    mode = value.lower()
    if mode not in ("valid", "same", "same_lower"):
        hint = '; ONNX\'s SAME_UPPER is "same" here' if mode == "same_upper" else ""
        if mode == "causal":
            hint = "; causal padding is (dilation * (kw - 1), 0) along the sequence, or layers.Conv1D's"
        if not hint:
            from . import _hints  # late: only errors need it

            hint = _hints.nearest(mode, ("valid", "same", "same_lower"))
        raise ValueError(f"{name} must be {forms}; got {shown(value)}{hint}")
    return cast(PadMode, mode)


def _before_after(value: object, name: str) -> Pair:
    if isinstance(value, (Sequence, np.ndarray)) and not isinstance(value, (str, bytes)):
        items = _items(value, name, "(before, after)")
        if len(items) != 2:
            raise ValueError(f"{name} must be (before, after); got {shown(value)}")
        return as_int(items[0], f"{name}[0]"), as_int(items[1], f"{name}[1]")
    both = as_int(value, name)
    return both, both


def _is_number(value: object) -> bool:
    return hasattr(value, "__index__") and not isinstance(value, np.ndarray | bool | np.bool_)


def _refuse_flat(items: Sequence[object], name: str) -> None:
    """Four plain numbers mean one thing to ONNX and another to PyTorch: they must be said in pairs."""
    if len(items) == 4 and all(map(_is_number, items)):
        a, b, c, d = (shown(item) for item in items)
        raise ValueError(
            f"{name} must not be four plain numbers, which no two frameworks read alike; "
            f"got [{a}, {b}, {c}, {d}]: write (({a}, {c}), ({b}, {d})) if they are ONNX's "
            f"[top, left, bottom, right], or (({c}, {d}), ({a}, {b})) if they are PyTorch's "
            "[left, right, top, bottom]"
        )


def as_padding(value: object, name: str = "padding") -> Padding:
    """A padding in one of two forms: a mode's name, or ((top, bottom), (left, right)).

    >>> as_padding("SAME"), as_padding(1), as_padding((1, 2)), as_padding([[0, 0], [1, 2], [3, 4], [0, 0]])
    ('same', ((1, 1), (1, 1)), ((1, 1), (2, 2)), ((1, 2), (3, 4)))
    """
    if isinstance(value, str):
        return _pad_mode(value, name)
    if type(value) is tuple and len(value) == 2 and _is_pair(value[0], 0) and _is_pair(value[1], 0):
        return value
    if isinstance(value, (Sequence, np.ndarray)) and not isinstance(value, bytes):
        items = _items(value, name, _PAD_FORMS)
        if len(items) == 4:
            _refuse_flat(items, name)
            ends = [_before_after(items[0], f"{name}[0]"), _before_after(items[3], f"{name}[3]")]
            if ends != [(0, 0), (0, 0)]:
                raise ValueError(
                    f"{name} as four pairs must be [[0, 0], [t, b], [l, r], [0, 0]]; got {shown(value)}"
                )
            items = items[1:3]
        if len(items) != 2:
            raise ValueError(f"{name} must be {_PAD_FORMS}; got {shown(value)}")
        return _before_after(items[0], f"{name}[0]"), _before_after(items[1], f"{name}[1]")
    if value is None or not hasattr(value, "__index__"):
        raise TypeError(f"{name} must be {_PAD_FORMS}; got {shown(value)} ({type(value).__name__})")
    both = as_int(value, name)
    return (both, both), (both, both)


def as_padding_1d(value: object, name: str = "padding") -> Padding:
    """The 1-D form: a mode's name, an int, (p,), (before, after), or [[0, 0], [before, after], [0, 0]]."""
    forms = _PAD_FORMS_1D
    if isinstance(value, str):
        return _pad_mode(value, name, forms)
    if isinstance(value, (Sequence, np.ndarray)) and not isinstance(value, bytes):
        items = _items(value, name, forms)
        if len(items) in (3, 4) and all(map(_is_number, items)):
            raise ValueError(f"{name} must be {forms}; got {len(items)} numbers: {shown(value)}")
        if len(items) == 3:
            ends = [_before_after(items[0], f"{name}[0]"), _before_after(items[2], f"{name}[2]")]
            if ends != [(0, 0), (0, 0)]:
                raise ValueError(
                    f"{name} as three pairs must be [[0, 0], [before, after], [0, 0]]; got {shown(value)}"
                )
            return (0, 0), _before_after(items[1], f"{name}[1]")
        if len(items) == 1:
            return (0, 0), _before_after(items[0], f"{name}[0]")
        if len(items) != 2:
            raise ValueError(f"{name} must be {forms}; got {shown(value)}")
        return (0, 0), (as_int(items[0], f"{name}[0]"), as_int(items[1], f"{name}[1]"))
    if value is None or not hasattr(value, "__index__"):
        raise TypeError(f"{name} must be {forms}; got {shown(value)} ({type(value).__name__})")
    both = as_int(value, name)
    return (0, 0), (both, both)


def as_numbers(value: object, name: str) -> tuple[int, ...]:
    """The ints of a sequence; a single int is a sequence of one."""
    if isinstance(value, (str, bytes)) or not isinstance(value, (Sequence, np.ndarray)):
        return (as_int(value, name),)
    if isinstance(value, np.ndarray):
        value = value.tolist() if value.ndim else [value.item()]
    return tuple(as_int(v, f"{name}[{i}]") for i, v in enumerate(cast(Sequence[object], value)))


def as_nhwc(value: object, name: str) -> tuple[int, ...]:
    """A shape of four sizes."""
    items = as_numbers(value, name)
    if len(items) != 4:
        raise ValueError(f"{name} must be four sizes; got {shown(value)}")
    return items


def as_output_shape(value: object) -> tuple[int, ...] | None:
    """(Ho, Wo), (N, Ho, Wo, Cout) or None."""
    if value is None:
        return None
    items = as_numbers(value, "output_shape")
    if len(items) not in (2, 4):
        raise ValueError(f"output_shape must be (Ho, Wo) or (N, Ho, Wo, Cout); got {shown(value)}")
    return items


# ---- arrays ------------------------------------------------------------------------------------------------


def as_operand(
    value: ArrayLike,
    name: str,
    ndim: int | None = None,
    dtype: DTypeLike | None = None,
    first: tuple[str, object] | None = None,
) -> Array:
    """A C-contiguous, aligned, native float32 or float64 array: the value itself where it is one, or a copy.

    `dtype` is the dtype of the call's first operand: another one is refused. `first` is that operand's name
    and value as it was given, for the message. `ndim` is the exact rank.
    """
    if (
        type(value) is np.ndarray
        and ((kind := value.dtype) is FLOAT32 or kind is FLOAT64)
        and value.flags.num & PLAIN == PLAIN
    ):
        array = value
    else:
        array = _convert(value, name)
    if ndim is not None and array.ndim != ndim:
        form = f"{ndim} dimension{'s' * (ndim > 1)}{_RANKS.get((name, ndim), '')}"
        raise ValueError(
            f"{name} must have {form}; got shape {array.shape}"
            + (_missing_axes(array.shape, ndim) if name == "x" else "")
        )
    if dtype is not None and array.dtype is not dtype and array.dtype != dtype:
        raise mixed_dtypes(value, name, array.dtype, np.dtype(dtype), first)
    return array


def cast_of(value: object, name: str, dtype: object = FLOAT32) -> str:
    """The cast to write: arrays have .astype, PyTorch's tensors .float(), lists and other tensors neither.

    >>> cast_of(np.ones(2), "x"), cast_of([1], "x")
    ('x.astype(np.float32)', 'np.asarray(x, np.float32)')
    """
    if hasattr(value, "detach"):
        return f"{name}.{'double' if dtype == FLOAT64 else 'float'}()"
    if isinstance(value, np.ndarray | np.generic):
        return f"{name}.astype(np.{dtype})"
    return f"np.asarray({name}, np.{dtype})"


def mixed_dtypes(
    value: object, name: str, received: object, wanted: object, first: tuple[str, object] | None = None
) -> TypeError:
    """The error for operands of two dtypes. The float64 one is to be cast, where the first operand is known:
    NumPy makes float64 of image / 255 and of lists.
    """
    other, given = first or ("x", None)
    if first is None and wanted == FLOAT64:
        fix = f"x.astype(np.{received})"
    elif given is not None and wanted == FLOAT64:
        fix = cast_of(given, other, received)
    else:
        fix = cast_of(value, name, wanted)
    return TypeError(
        f"{name} is {received} but {other} is {wanted}: convlite casts nothing silently; write {fix}"
    )


_RANKS = {
    ("x", 4): " (N, H, W, C)",
    ("x", 3): " (N, W, C)",
    ("kernel", 4): " (kh, kw, in, out)",
    ("kernel", 3): " (kw, in, out)",
    ("kernel", 2): " (in, out)",
}


def _convert(value: ArrayLike, name: str) -> Array:
    if value is None:
        raise TypeError(f"{name} must be an array of float32 or float64; got None")
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name} is not an array: {_why(value, name, error)}") from None
    except (
        TypeError,
        RuntimeError,
        AttributeError,
        OverflowError,
    ) as error:  # of a foreign __array__
        refuse_tensor_dtype(value, name)
        raise TypeError(f"{name} is not an array: {_why(value, name, error)}") from error
    native = array.dtype.newbyteorder("=")
    if native not in (FLOAT32, FLOAT64):
        raise TypeError(f"{name} must be {_of_floats(value, array, name)}")
    if array.flags.c_contiguous and array.flags.aligned and array.dtype.isnative:
        return array
    try:
        return np.array(array, dtype=native, order="C", copy=True)
    except MemoryError as error:
        raise MemoryError(
            f"no memory for a C-contiguous copy of {name}, shape {array.shape}: {error}"
        ) from None


def _missing_axes(shape: tuple[int, ...], ndim: int) -> str:
    from . import _hints  # late: only errors need it

    return _hints.missing_axes(shape, ndim)


def _why(value: object, name: str, error: Exception) -> str:
    from . import _hints

    return _hints.not_an_array(value, name, error)


def _of_floats(value: object, array: Array, name: str) -> str:
    """The end of the error for an array of another dtype: what was given, and what to write."""
    kind, rule = array.dtype.kind, f"float32 or float64; got {array.dtype}"
    if kind in "iufb":
        cast_it = cast_of(value, name)
        scaled = f", or {cast_it} / 255 if the network expects 0 to 1" if array.dtype == np.uint8 else ""
        if isinstance(value, tuple) and kind == "i" and array.ndim == 1 < array.size:
            return f"{rule}; write {cast_it}, or np.zeros({name}, np.float32) if it is a shape"
        return f"{rule}; write {cast_it}{scaled if name == 'x' else ''}"
    if kind == "c":
        return f"{rule}; write {name}.real or {name}.imag"
    if isinstance(value, np.ndarray | np.generic | list | tuple | memoryview):
        hint = "its elements are not plain numbers" if kind in "OV" else "numbers are needed"
        return f"{rule}: {hint}"
    from . import _hints

    return f"an array of float32 or float64; {_hints.other_kind(value, name)}"


def refuse_tensor_dtype(value: Any, name: str) -> None:
    """TypeError for a PyTorch tensor of another dtype, such as bfloat16, which NumPy may not have."""
    kind = str(getattr(value, "dtype", ""))
    if not hasattr(value, "detach") or not kind:
        return
    if kind.rpartition(".")[2] not in ("float32", "float64"):
        raise TypeError(f"{name} must be float32 or float64; got {kind}; write {cast_of(value, name)}")


def new_output(shape: tuple[int, ...], dtype: np.dtype[Any], named: tuple[int, ...] | None = None) -> Array:
    """An array for an output, not yet filled; MemoryError, with the shape that the caller knows, where it
    cannot be."""
    try:
        return empty(shape, dtype)
    except (ValueError, MemoryError) as error:
        shape = named or shape
        if math.prod(shape) * dtype.itemsize > _MAX_BYTES:
            raise MemoryError(
                f"an output of shape {shape} and dtype {dtype} does not fit into memory"
            ) from None
        raise MemoryError(f"no memory for an output of shape {shape} and dtype {dtype}: {error}") from None


def check_out(
    out: Array | None,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    inputs: Sequence[object],
    named: tuple[int, ...] | None = None,
) -> Array:
    """The array to write into: a new one, or `out` if it fits and overlaps no input."""
    if out is None:
        return new_output(shape, dtype, named)
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out must be a NumPy array; got {type(out).__name__}")
    if out.dtype != dtype or not out.dtype.isnative:
        raise TypeError(f"out must be {dtype}, as the operands are; got {out.dtype}")
    if out.shape != shape:
        raise ValueError(f"out must have shape {shape}; got {out.shape}")
    if not out.flags.writeable:
        raise ValueError("out must be writeable; got a read-only array")
    if not (out.flags.c_contiguous and out.flags.aligned):
        raise ValueError("out must be C-contiguous and aligned; got a strided or unaligned array")
    for value in inputs:
        if isinstance(value, np.ndarray) and _overlap(out, value):
            raise ValueError("out must not overlap an input; results are written while inputs are still read")
    return out


def _overlap(a: Array, b: Array) -> bool:
    if not np.may_share_memory(a, b):
        return False
    try:
        return bool(np.shares_memory(a, b, max_work=cast(Any, 10_000)))
    except RuntimeError:  # too hard to decide: take it that they do
        return True


# ---- channels and layouts ----------------------------------------------------------------------------------


def check_taps(height: int, width: int, name: str = "kernel") -> None:
    """Every tap costs an entry in tables: a window that no array fills must not fill the memory instead."""
    if max(height, 1) * max(width, 1) > MAX_TAPS:
        raise ValueError(f"{name} must have at most {MAX_TAPS} rows times columns; got {height} by {width}")


def check_groups(groups: object, cin: int, cout: int) -> int:
    """A group count that divides both channel counts."""
    number = as_size(groups, "groups")
    for what, channels in (("x's", cin), ("output", cout)):
        if channels % number:
            raise ValueError(
                f"groups must divide the number of {what} channels; "
                f"got groups={number} and {channels} channels"
            )
    return number


def fits_torch(kernel: tuple[int, ...], cin: int, form: str) -> bool:
    """Whether PyTorch's form, OIHW, IOHW (transpose) or (C*m, 1, kh, kw) (depthwise), has cin inputs here,
    and its last axes look like a window: two that are alike, or smaller than the first, a large one.
    """
    if not (len(kernel) == 4 and kernel[2] == kernel[3]) and (kernel[0] < 16 or kernel[0] <= max(kernel[2:])):
        return False
    if form in ("OIHW", "OIW"):
        return kernel[1] == cin
    if form in ("IOHW", "IOW"):
        return kernel[0] == cin
    return kernel[1] == 1 and cin > 0 and kernel[0] % cin == 0


def nchw_hint(x: tuple[int | None, ...]) -> str:
    """What to do with an image whose channels come first."""
    return f"x of shape {x} looks like NCHW: write x.transpose(0, 2, 3, 1)"


def check_bias(
    bias: ArrayLike | None, channels: int, dtype: np.dtype[Any], name: str = "bias", against: str = "x"
) -> Array | None:
    """One number per output channel, of the dtype of `against`."""
    if bias is None:
        return None
    numbers = isinstance(bias, list | tuple) and len(bias) > 0 and all(map(_is_number, bias))
    if name == "bias" and (numbers or isinstance(bias, int | float | str | np.generic)):
        given = f"strides={shown(bias)}" if numbers or type(bias) is int else "strides=2"
        hint = f"; strides and all arguments after it are keywords: write {given}"
        if isinstance(bias, bool):
            hint = "; write bias=None for no bias"
        elif isinstance(bias, float | np.floating):
            hint = f"; write np.full({channels}, {bias!s}, np.{dtype})"
        raise TypeError(
            f"bias must be an array of {dtype}, one value for each of the {channels} output channels; "
            f"got {shown(bias)}{hint}"
        )
    array = as_operand(bias, name, None, dtype, (against, None))
    if array.shape != (channels,):
        raise ValueError(
            f"{name} must have shape ({channels},), one value per output channel; got {array.shape}"
        )
    return array
