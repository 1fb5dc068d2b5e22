"""The arrays that a network is called with, checked against the inputs that it declares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .graph import Array, Value, described_shape

__all__ = ["checked_inputs"]


def checked_inputs(
    network: str, declared: Sequence[Value], arrays: Sequence[Any], named: dict[str, Any]
) -> list[Array]:
    """An array for each declared input, of its dtype and shape; TypeError and ValueError say what is not."""
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


def _fitting(given: Any, value: Value, sizes: dict[str, tuple[int, str]], alone: bool) -> Array:
    """One input as an array; every error about it is raised here."""
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
        told = f"the input {value.name!r} must have the shape {described_shape(shape)}"
        if array.ndim != len(shape):
            hint = "; is the batch axis missing? Write x[None]" if array.ndim == len(shape) - 1 else ""
            raise ValueError(f"{told}; got {array.shape}{hint}")
        for size, wanted in zip(array.shape, shape, strict=True):
            if isinstance(wanted, str):
                known, owner = sizes.setdefault(wanted, (size, value.name))
                if known != size:
                    raise ValueError(
                        f"the input {value.name!r} has the shape {array.shape}, but {wanted} is {known} "
                        f"in {owner!r} and must be the same in {described_shape(shape)}"
                    )
            elif size != wanted:
                raise ValueError(f"{told}; got {array.shape}" + _hint(array.shape, shape, alone))
    return np.asarray(array, value.dtype, order="C")


def _hint(got: tuple[int, ...], wanted: tuple[Any, ...], alone: bool) -> str:
    """What to write where the file fixes the batch of its only input, or axes are in another order."""
    batch = wanted[0]
    if alone and len(got) > 1 and got[1:] == wanted[1:] and 0 < batch < got[0] and not got[0] % batch:
        return f"; the file fixes the batch: write net.predict(x, batch_size={batch}), or export a free one"
    for perm, name in (((0, 3, 1, 2), "channels first"), ((0, 2, 3, 1), "channels last")):
        if len(got) == 4 and all(
            isinstance(size, str) or got[axis] == size for axis, size in zip(perm, wanted, strict=True)
        ):
            return f"; this network takes images {name}: write np.transpose(x, {perm})"
    from .._hints import other_size

    return other_size(got, wanted, "this network")
