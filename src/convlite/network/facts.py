"""What is known of a value before a network runs, and arithmetic with sizes that have only a name.

A size is an int, a string (the name of a free size, or a sum of products of such names: "4*N*W", "H - 2",
"floor((H + 1)/2)"), or None where nothing is known. Equal strings are equal sizes. Free sizes count as >= 1.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from .graph import Array, Value, described_shape, frozen_array

__all__ = [
    "Fact",
    "at_least",
    "Shape",
    "Size",
    "broadcast",
    "ceil_of",
    "difference",
    "floor_of",
    "largest",
    "listed",
    "merged",
    "merged_shapes",
    "numbers",
    "product",
    "same_size",
    "smallest",
    "sum_of",
    "times",
]

MOST_TERMS = 256  # of a product of sums: nothing that a file says may grow without end
MOST_LISTED = 1 << 16  # elements of which nothing is known but their number
Size = int | str | None
Shape = tuple[Size, ...] | None


@dataclass(frozen=True, slots=True, eq=False)
class Fact:
    """What is known of one value.

    dtype: None where unknown. shape: sizes; None where even the rank is unknown. data: the value itself where
    it follows from constants and shapes; an object array (ints, names, None) where only some elements do.
    """

    dtype: np.dtype[Any] | None
    shape: Shape
    data: Array | None = None

    @classmethod
    def of(cls, array: Array) -> Fact:
        """The fact for a constant, which is known completely."""
        return cls(array.dtype, array.shape, frozen_array(array))

    @classmethod
    def of_value(cls, value: Value) -> Fact:
        """The fact for a declared input or output."""
        return cls(value.dtype, value.shape)

    @property
    def rank(self) -> int | None:
        """The number of axes, None where unknown."""
        return None if self.shape is None else len(self.shape)

    @property
    def known(self) -> Array | None:
        """The value where all of it is known."""
        return None if self.data is None or self.data.dtype == object else self.data

    @property
    def concrete(self) -> bool:
        """Whether every size is a number."""
        return self.shape is not None and all(isinstance(size, int) for size in self.shape)

    def __str__(self) -> str:
        dtype = "?" if self.dtype is None else str(self.dtype)
        held = "" if self.data is None else f" = {self.data.tolist() if self.data.size <= 8 else '...'}"
        return f"{dtype}{described_shape(self.shape)}{held}"


def listed(fact: Fact | None) -> list[Size] | None:
    """The elements of a vector or scalar of integers as sizes; None where its length is unknown.

    Examples:
        >>> listed(Fact.of(np.array([1, 2])))
        [1, 2]
        >>> listed(Fact(np.dtype("int64"), (2,)))
        [None, None]
    """
    if fact is None:
        return None
    if fact.data is not None:
        flat = fact.data.ravel().tolist()
        return [size if isinstance(size, str) or size is None else int(size) for size in flat]
    if fact.shape is not None and len(fact.shape) <= 1 and all(isinstance(size, int) for size in fact.shape):
        count = math.prod(size for size in fact.shape if isinstance(size, int))
        return [None] * count if count <= MOST_LISTED else None
    return None


def numbers(fact: Fact | None) -> list[int] | None:
    """The elements of a vector or scalar of integers, such as axes; None unless all are known."""
    sizes = listed(fact)
    found = [size for size in sizes or () if isinstance(size, int)]
    return None if sizes is None or len(found) < len(sizes) else found


# ---- sums of products of names: {names of a product: its coefficient} ----

Terms = dict[tuple[str, ...], int]


@lru_cache(4096)
def _parsed(text: str) -> tuple[tuple[tuple[str, ...], int], ...]:
    terms: Terms = {}
    depth, sign, start = 0, 1, 0
    if text.startswith("-"):
        sign, start = -1, 1
    parts: list[tuple[int, str]] = []
    for place, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if depth == 0 and letter in "+-" and text[place - 1 : place + 2] in (" + ", " - "):
            parts.append((sign, text[start : place - 1]))
            sign, start = (1 if letter == "+" else -1), place + 2
    parts.append((sign, text[start:]))
    for sign, part in parts:
        factors = _cut(part)
        coefficient = sign
        names = []
        for factor in factors:
            if re.fullmatch("[0-9]+", factor):
                coefficient *= int(factor)
            else:
                names.append(factor)
        key = tuple(sorted(names))
        terms[key] = terms.get(key, 0) + coefficient
    return tuple(terms.items())


def _cut(part: str) -> list[str]:
    """The factors of a product: "2*floor(a*b/3)*c" has three."""
    depth = 0
    factors = [""]
    for letter in part:
        depth += (letter == "(") - (letter == ")")
        if letter == "*" and depth == 0:
            factors.append("")
        else:
            factors[-1] += letter
    return factors


def _terms(size: int | str) -> Terms:
    return dict(_parsed(size)) if isinstance(size, str) else {(): int(size)}


def _written(terms: Terms) -> int | str:
    """The normal form of a sum: the largest products first, the constant last."""
    kept = {names: value for names, value in terms.items() if value}
    if not set(kept) - {()}:
        return kept.get((), 0)
    text = ""
    for names in sorted(kept, key=lambda names: (-len(names), names)):
        value = kept[names]
        factors = [str(abs(value))] if abs(value) != 1 or not names else []
        term = "*".join([*factors, *names])
        if not text:
            text = f"-{term}" if value < 0 else term
        else:
            text += f" - {term}" if value < 0 else f" + {term}"
    return text


def sum_of(a: Size, b: Size) -> Size:
    """
    >>> sum_of("N", 2), sum_of("N - 1", 1), sum_of("N", "N")
    ('N + 2', 'N', '2*N')
    """
    if a is None or b is None:
        return None
    if isinstance(a, int) and isinstance(b, int):
        return a + b
    total = _terms(a)
    for names, value in _terms(b).items():
        total[names] = total.get(names, 0) + value
    return _written(total)


def times(a: Size, b: Size) -> Size:
    """
    >>> times("N + 1", 3), times("N", "H"), times("N", 0)
    ('3*N + 3', 'H*N', 0)
    """
    if a is None or b is None:
        return 0 if 0 in (a, b) else None
    if isinstance(a, int) and isinstance(b, int):
        return a * b
    total: Terms = {}
    lefts, rights = _terms(a), _terms(b)
    if len(lefts) * len(rights) > MOST_TERMS:
        return None
    for left, value in lefts.items():
        for right, other in rights.items():
            names = tuple(sorted(left + right))
            total[names] = total.get(names, 0) + value * other
    return _written(total)


def difference(a: Size, b: Size) -> Size:
    """
    >>> difference("N", 2), difference("N + 1", "N")
    ('N - 2', 1)
    """
    return sum_of(a, times(b, -1))


def product(sizes: Iterable[Size]) -> Size:
    """
    >>> product(["N", 3, "N"])
    '3*N*N'
    """
    total: Size = 1
    for size in sizes:
        total = times(total, size)
    return total


def floor_of(a: Size, b: Size) -> Size:
    """a // b; exact where the division has no remainder.

    >>> floor_of("4*N + 6", 4), floor_of("3*H*N", "N"), floor_of("N", 2)
    ('N + 1', '3*H', 'floor(N/2)')
    """
    if a is None or b is None or b == 0:
        return None
    if isinstance(a, int) and isinstance(b, int):
        return a // b
    if a == b:
        return 1
    top, bottom = _terms(a), _terms(b)
    if len(bottom) > 1:
        return f"floor({_bracketed(a)}/{_bracketed(b)})"
    ((names, divisor),) = bottom.items()
    whole: Terms = {}
    rest: Terms = {}
    for key, value in top.items():
        left = _without(key, names)
        if left is None:
            rest[key] = value
        elif value % divisor == 0:
            whole[left] = value // divisor
        elif not key and divisor > 0:
            whole[left] = value // divisor
            rest[key] = value % divisor
        else:
            rest[key] = value
    left_over = _written(rest)
    if left_over == 0 or (isinstance(left_over, int) and not names and 0 <= left_over < divisor):
        return _written(whole)
    atom = f"floor({_bracketed(left_over)}/{_bracketed(b)})"
    whole[(atom,)] = whole.get((atom,), 0) + 1
    return _written(whole)


def _bracketed(size: int | str) -> str:
    return (
        f"({size})" if isinstance(size, str) and (" " in size or "*" in size or size[0] == "-") else str(size)
    )


def _without(names: tuple[str, ...], divisor: tuple[str, ...]) -> tuple[str, ...] | None:
    rest = list(names)
    for name in divisor:
        if name not in rest:
            return None
        rest.remove(name)
    return tuple(rest)


def ceil_of(a: Size, b: int) -> Size:
    """
    >>> ceil_of(5, 2), ceil_of("4*N", 2), ceil_of("N", 2)
    (3, '2*N', 'floor((N + 1)/2)')
    """
    return floor_of(sum_of(a, b - 1), b)


def smallest(a: Size, b: Size) -> Size:
    """
    >>> smallest("N", "N + 1"), smallest("N", 5), smallest("N", 1)
    ('N', 'min(N, 5)', 1)
    """
    return _extreme(a, b, "min")


def largest(a: Size, b: Size) -> Size:
    """
    >>> largest("N", "N + 1"), largest("N - 1", 0), largest("N - 2", 0)
    ('N + 1', 'N - 1', 'max(N - 2, 0)')
    """
    return _extreme(a, b, "max")


def _extreme(a: Size, b: Size, name: str) -> Size:
    if a is None or b is None:
        return None
    small, large = (a, b) if _at_least(b, a) else (b, a)
    if _at_least(large, small):
        return small if name == "min" else large
    first, second = sorted((a, b), key=lambda size: (isinstance(size, int), str(size)))
    return f"{name}({first}, {second})"


def _at_least(a: int | str, b: int | str) -> bool:
    """Whether a >= b for certain, all names being >= 1 (names of differences are not trusted)."""
    return bool(at_least(a, b, 1))


def at_least(a: Size, b: Size, smallest_name: int = 0) -> bool:
    """Whether a >= b for certain, if all names are at least 0 (or smallest_name).

    >>> at_least("N + 2", "N"), at_least("N", 0), at_least("N", 1), at_least("N", "M"), at_least("N", 1, 1)
    (True, True, False, False, True)
    >>> at_least("floor((N + 1)/2)", 0), at_least("floor((N - 3)/2)", 0)
    (True, False)
    """
    if a is None or b is None:
        return False
    apart = difference(a, b)
    if apart is None:
        return False
    gap = _terms(apart)
    least = gap.pop((), 0)
    for names, value in gap.items():
        if value < 0:
            return False
        if not any("(" in name for name in names):
            least += value * smallest_name
        elif not all(_not_negative(name) for name in names):
            return False
    return least >= 0


def _not_negative(name: str) -> bool:
    """Whether a name, or what stands in brackets, is certainly at least 0."""
    if name.startswith("floor("):
        above, _, below = name[len("floor(") : -1].rpartition("/")
        return not below.startswith("-") and at_least(_unbracketed(above), 0)
    if name.startswith("min("):
        return all(at_least(part, 0) for part in _arguments(name))
    if name.startswith("max("):
        return any(at_least(part, 0) for part in _arguments(name))
    return "(" not in name


def _arguments(call: str) -> list[str]:
    """
    >>> _arguments("max(min(N, 2), 0)")
    ['min(N, 2)', '0']
    """
    depth = 0
    parts = [""]
    for letter in call[4:-1]:
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]


def _unbracketed(text: str) -> str:
    return text[1:-1] if text.startswith("(") and text.endswith(")") else text


# ---- shapes ----


def same_size(a: Size, b: Size) -> bool | None:
    """Whether two sizes are equal; None where that is not known.

    >>> same_size("N", "N"), same_size("N", 4), same_size(3, 4), same_size("N", "N + 1")
    (True, None, False, False)
    """
    if a is None or b is None:
        return None
    if a == b:
        return True
    return False if isinstance(difference(a, b), int) else None


def merged(a: Size, b: Size) -> Size:
    """One size from two facts about it; ValueError where they contradict each other.

    >>> merged("N", 4), merged(None, "N"), merged("N", "M")
    (4, 'N', 'N')
    """
    if same_size(a, b) is False and isinstance(a, int) and isinstance(b, int):
        raise ValueError(f"a size is {a} and {b} at once")
    if a is None or (isinstance(b, int) and not isinstance(a, int)):
        return b
    return a


def merged_shapes(a: Shape, b: Shape) -> Shape:
    """One shape from two facts about it.

    >>> merged_shapes(("N", 3), (None, None)), merged_shapes(None, (1,))
    (('N', 3), (1,))
    """
    if a is None or b is None:
        return b if a is None else a
    if len(a) != len(b):
        raise ValueError(f"a shape is {described_shape(a)} and {described_shape(b)} at once")
    return tuple(merged(left, right) for left, right in zip(a, b, strict=True))


def broadcast(shapes: Sequence[Shape]) -> Shape:
    """NumPy's broadcasting.

    >>> broadcast([("N", 1, 3), (5, 1)]), broadcast([("N",), (4,)]), broadcast([("N",), ("M",)])
    (('N', 5, 3), (4,), (None,))
    """
    known = [shape for shape in shapes if shape is not None]
    if len(known) < len(shapes):
        return None
    rank = max((len(shape) for shape in known), default=0)
    result: list[Size] = []
    for axis in range(-rank, 0):
        sizes = [shape[axis] for shape in known if len(shape) >= -axis]
        others = [size for size in sizes if size != 1]
        numbers = {size for size in others if isinstance(size, int)}
        if len(numbers) > 1:
            listed_shapes = ", ".join(described_shape(shape) for shape in known)
            raise ValueError(
                f"the shapes {listed_shapes} do not broadcast: axis {axis} has sizes {sorted(numbers)}"
            )
        if numbers:
            result.append(numbers.pop())
        elif not others:
            result.append(1)
        else:
            result.append(others[0] if all(size == others[0] for size in others) else None)
    return tuple(result)


def elementwise(function: Callable[..., Any], *arrays: Array) -> Array:
    """An object array of `function` over object arrays, broadcast; used for sizes that are data."""
    result = np.frompyfunc(function, len(arrays), 1)(*arrays)
    return np.asarray(result, object)
