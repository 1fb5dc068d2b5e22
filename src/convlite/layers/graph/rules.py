"""The table of rules: class of a layer -> a function that makes its nodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...network.graph import Array
from ...network.load.onnx.building import Builder
from ..base import Layer

if TYPE_CHECKING:
    from .emission import Emitter

__all__ = ["RULES", "Applied", "CannotBe", "Rule", "rule", "rule_of"]

Rule = Callable[["Applied"], str]
RULES: dict[type[Layer], Rule] = {}


class CannotBe(ValueError):
    """A layer cannot be part of a network. The message is the reason; the emitter adds the layer's name."""


def rule(*kinds: type[Layer]) -> Callable[[Rule], Rule]:
    """Register a function for some classes of layers; the function returns the name of the output."""

    def enter(function: Rule) -> Rule:
        for kind in kinds:
            RULES[kind] = function
        return function

    return enter


def rule_of(layer: Layer) -> Rule | None:
    """The rule for a layer; None if there is none, or if a subclass has changed the computation.

    >>> from convlite.layers import Dense
    >>> class Doubled(Dense):
    ...     def call(self, x):
    ...         return super().call(x) * 2
    >>> rule_of(Dense(3)) is None, rule_of(Doubled(3)) is None
    (False, True)
    """
    kind = type(layer)
    for base in kind.__mro__:
        if base in RULES:
            same = kind.call is base.call and kind.__call__ is base.__call__
            return RULES[base] if same else None
    return None


class Applied:
    """A layer and the values of the new graph that it is applied to: the argument of a rule."""

    def __init__(self, emitter: Emitter, layer: Any, inputs: Sequence[str], path: str) -> None:
        self.emitter, self.layer, self.inputs, self.path = emitter, layer, list(inputs), path

    @property
    def builder(self) -> Builder:
        return self.emitter.builder

    @property
    def x(self) -> str:
        return self.inputs[0]

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of x."""
        dtype = self.builder.fact(self.x).dtype
        assert dtype is not None
        return dtype

    def shape(self, name: str | None = None) -> tuple[int | None, ...]:
        """The shape of a value, by default of x; a free size is None."""
        return self.emitter.shape(self.x if name is None else name)

    @property
    def rank(self) -> int:
        return len(self.shape())

    def sizes(self, why: str) -> list[int]:
        """The spatial sizes of x. CannotBe if they are free."""
        found = [size for size in self.shape()[1:-1] if size is not None]
        if len(found) < self.rank - 2:
            raise CannotBe(f"{why}, and the sizes {self.shape()} are free: give Input the image's size")
        return found

    def emit(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add a node and return the name of its output."""
        given = list(inputs)
        while given and not given[-1]:
            given.pop()
        output = self.builder.unique(f"{self.path}/{kind}")
        self.builder.add(kind, given, attributes, [output], self.path)
        return output

    def constant(self, value: Any, dtype: Any = None) -> str:
        array = np.array(value, self.dtype if dtype is None else dtype)
        array.flags.writeable = False
        return self.builder.add_constant(array, f"{self.path}/constant")

    def ints(self, values: Sequence[int]) -> str:
        return self.constant(tuple(values), np.int64)

    def weights(self) -> dict[str, Array]:
        """The layer's weights, by the names that the layer gives them."""
        return dict(self.layer.named_weights())

    def weight(self, name: str) -> str:
        """The name of a weight's constant, "" if there is none; all calls of a layer share the constant."""
        return self.emitter.weight(self.layer, name)

    def derived(self, array: Array, source: str, what: str) -> str:
        """A constant made from a weight."""
        return self.builder.derived(array, source, what)

    def reshaped(self, x: str, shape: Sequence[int]) -> str:
        """x in another shape: 0 keeps a size, and -1 is computed from the other sizes."""
        return self.emit("reshape", x, self.ints(shape), allowzero=False)

    def transposed(self, x: str, perm: Sequence[int]) -> str:
        return x if list(perm) == list(range(len(perm))) else self.emit("transpose", x, perm=tuple(perm))

    def sliced(self, x: str, starts: Sequence[int], ends: Sequence[int], axes: Sequence[int]) -> str:
        steps = self.ints([1] * len(axes))
        return self.emit("slice", x, self.ints(starts), self.ints(ends), self.ints(axes), steps)

    def padded(self, x: str, pairs: Sequence[tuple[int, int]], mode: str, value: float = 0.0) -> str:
        """x padded along its spatial axes."""
        pads = (0, *(low for low, _ in pairs), 0, 0, *(high for _, high in pairs), 0)
        fill = [self.constant(value)] if value else []
        return self.emit("pad", x, self.ints(pads), *fill, mode=mode)

    def reduced(self, kind: str, x: str, axes: Sequence[int], keepdims: bool) -> str:
        return self.emit(kind, x, self.ints(axes), keepdims=keepdims, noop_with_empty_axes=False)
