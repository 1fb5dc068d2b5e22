"""The arrays that a network is called with, checked against the inputs that it declares."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from itertools import repeat
from typing import Any

import numpy as np

from .graph import Array, Value, described_shape

__all__ = ["check_axes", "checked_inputs", "refuse_shape"]


def checked_inputs(
    network: str, declared: Sequence[Value], arrays: Sequence[Any], named: dict[str, Any]
) -> list[Array]:
    """An array for each declared input, of its dtype and shape; TypeError and ValueError say what is not."""
    if not named and len(arrays) == len(declared):
        known: dict[str, int] = {}
        if all(map(_fits, arrays, declared, repeat(known))):
            return list(arrays)
    names = [value.name for value in declared]
    if len(arrays) > len(names):
        raise TypeError(f"{network} takes {len(names)} inputs ({', '.join(names)}); got {len(arrays)}")
    given = dict(zip(names, arrays, strict=False))
    for name, array in named.items():
        if name not in names:
            raise TypeError(f"{network} has no input {name!r}; its inputs are {', '.join(names)}")
        if name in given:
            raise TypeError(f"the input {name!r} was given twice")
        given[name] = array
    missing = [str(value) for value in declared if value.name not in given]
    if missing:
        raise TypeError(f"{network} misses its inputs {', '.join(missing)}")
    sizes: dict[str, tuple[int, str]] = {}
    return [_fitting(given[value.name], value, sizes, len(declared) == 1) for value in declared]


def _fits(given: Any, value: Value, sizes: dict[str, int]) -> bool:
    """Whether this is certainly an input as it is declared: three inputs take 2 us, not 6.

    sizes: of the axes that have names, so far.
    """
    wanted = value.shape
    if type(given) is not np.ndarray or given.dtype is not value.dtype or not given.flags.c_contiguous:
        return False
    shape = given.shape
    if wanted is None or shape == wanted:
        return True
    if len(shape) != len(wanted):
        return False
    for axis, want in enumerate(wanted):
        size = shape[axis]
        if size != want and (type(want) is not str or sizes.setdefault(want, size) != size):
            return False
    return True


def _fitting(given: Any, value: Value, sizes: dict[str, tuple[int, str]], alone: bool) -> Array:
    """One input as an array; every error about it is raised here."""
    refuse_shape(given, value, f"the input {value.name!r}")
    if given is None or isinstance(given, str | os.PathLike | Mapping):
        from .._hints import other_kind

        what = other_kind(given, "x")
        if given is None or (isinstance(given, Mapping) and value.name in given):
            what = "got None" if given is None else "got a mapping: write net(**x)"
        raise TypeError(f"the input {value.name!r} must be an array of {value.dtype}; {what}")
    try:
        array = np.asarray(given)
    except ValueError as error:
        from .._hints import not_an_array

        why = not_an_array(given, value.name, error)
        raise ValueError(f"the input {value.name!r} is not an array: {why}") from None
    if array.dtype != value.dtype:
        hint = (
            f"write x.astype(np.{value.dtype.name})"
            if isinstance(given, np.ndarray)
            else (f"write np.asarray(x, np.{value.dtype.name})")
        )
        if array.dtype == np.uint8 and value.dtype.kind == "f":
            hint += ", and scale it as the network was trained (often / 255)"
        raise TypeError(f"the input {value.name!r} must be {value.dtype}; got {array.dtype}: {hint}")
    shape = value.shape
    if shape is not None:
        check_axes(array, value)
        for size, wanted in zip(array.shape, shape, strict=True):
            if isinstance(wanted, str):
                known, owner = sizes.setdefault(wanted, (size, value.name))
                if known != size:
                    raise ValueError(
                        f"the input {value.name!r} has the shape {array.shape}, but {wanted} is {known} "
                        f"in {owner!r} and must be the same in {described_shape(shape)}"
                    )
            elif size != wanted:
                told = f"the input {value.name!r} must have the shape {described_shape(shape)}"
                raise ValueError(f"{told}; got {array.shape}" + _hint(array.shape, shape, alone))
    return np.asarray(array, value.dtype, order="C")


def refuse_shape(given: Any, value: Value, name: str) -> None:
    """TypeError for a shape where an array is wanted; a list may be one sample of a table, written out."""
    least = 2 if isinstance(given, list) else 1
    if isinstance(given, tuple | list) and (value.shape is None or len(value.shape) > least):
        from .._hints import is_shape, shape_for_array

        if is_shape(given):
            raise TypeError(shape_for_array(given, name, value.dtype.name, "summary, plot and tiling"))


def check_axes(array: Array, value: Value) -> None:
    """ValueError for another number of axes than the input declares."""
    if value.shape is not None and array.ndim != len(value.shape):
        hint = "; is the batch axis missing? Write x[None]" if array.ndim == len(value.shape) - 1 else ""
        told = f"the input {value.name!r} must have the shape {described_shape(value.shape)}"
        raise ValueError(f"{told}; got {array.shape}{hint}")


def _hint(got: tuple[int, ...], wanted: tuple[Any, ...], alone: bool) -> str:
    """What to write where the file fixes the batch of its only input, or axes are in another order."""
    batch = wanted[0]
    if alone and len(got) > 1 and got[1:] == wanted[1:] and 0 < batch < got[0] and not got[0] % batch:
        return f"; the file fixes the batch: write net.predict(x, batch_size={batch}), or export a free one"
    from .._hints import other_channels, other_order, other_size

    moved = other_order(got, wanted, "this network", True) or other_channels(got, wanted)
    return moved or other_size(got, wanted, "this network")
