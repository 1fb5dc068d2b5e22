"""A graph's constants, of which the large kernels need not lie in memory twice.

Once a kernel is packed, all that is left to do with the array in the graph is to look at it, to save it, or
to pack it in yet another way. So it is put away: its panels stay, and give it back, to the bit, whenever it
is asked for by name (`Packed`). Whoever only wants to know what it is like takes the `entry`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

__all__ = ["Away", "Constants", "Draft", "Entry", "entry_of", "is_there"]

Array = npt.NDArray[Any]


class Packed(Protocol):
    """What an array can be made from again: a `PackedKernel`."""

    @property
    def kernel(self) -> Array:
        """The array, in another shape maybe, its elements in the same order."""


class Away:
    """A constant that is not there, and what it is made from again.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> away = Away(SimpleNamespace(kernel=np.arange(6).reshape(1, 2, 3)), (2, 3), np.dtype("int64"))
    >>> away.size, away.nbytes, away.array().tolist()
    (6, 48, [[0, 1, 2], [3, 4, 5]])
    """

    __slots__ = ("dtype", "packed", "shape")

    def __init__(self, packed: Packed, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.packed, self.shape, self.dtype = packed, shape, dtype

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """The bytes that the array takes."""
        return self.size * self.dtype.itemsize

    def array(self) -> Array:
        """The array, made anew."""
        made = self.packed.kernel.reshape(self.shape)
        made.flags.writeable = False
        return made


Entry = Array | Away


def is_there(entry: Any) -> bool:
    """Whether an entry is the array itself."""
    return not isinstance(entry, Away)


class Constants(Mapping[str, Array]):
    """Arrays by name, read-only; those that were put away are made again each time they are asked for.

    Copies share what is away, and what is put away later is so in one copy only.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> held = Constants({"k": np.ones(3), "b": np.zeros(1)})
    >>> held.put_away("k", Away(SimpleNamespace(kernel=np.ones(3)), (3,), np.dtype(float)))
    >>> held["k"], held.entry("k").shape, list(held)
    (array([1., 1., 1.]), (3,), ['k', 'b'])
    """

    __slots__ = ("_held",)

    def __init__(self, held: Mapping[str, Any] | None = None) -> None:
        self._held: dict[str, Any] = dict(held._held if isinstance(held, Constants) else held or {})

    def __getitem__(self, name: str) -> Array:
        entry = self._held[name]
        made: Array = entry.array() if isinstance(entry, Away) else entry
        return made

    def __contains__(self, name: object) -> bool:
        return name in self._held

    def __iter__(self) -> Iterator[str]:
        return iter(self._held)

    def __len__(self) -> int:
        return len(self._held)

    def entry(self, name: str) -> Entry | None:
        """The array or what stands for it; None where there is no such constant."""
        return self._held.get(name)

    def put_away(self, name: str, away: Away) -> None:
        """Forget an array that can be made again."""
        self._held[name] = away

    def __reduce__(self) -> Any:
        return type(self), (dict(self),)

    def __repr__(self) -> str:
        return f"Constants({dict(self._held)!r})"


class Draft(Constants, MutableMapping[str, Array]):
    """Constants while a graph is changed."""

    __slots__ = ()

    def __setitem__(self, name: str, array: Array) -> None:
        self._held[name] = array

    def __delitem__(self, name: str) -> None:
        del self._held[name]


def entry_of(constants: Mapping[str, Array], name: str) -> Any:
    """The array of a constant, or what stands for it, without making it; None where there is none."""
    return constants.entry(name) if isinstance(constants, Constants) else constants.get(name)
