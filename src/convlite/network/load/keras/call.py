"""One call of a Keras layer while it is translated: its settings, its inputs, and what it becomes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...graph import Array
from ..onnx.building import Builder
from ..onnx.tensors import Refused

__all__ = ["LAYERS", "Call", "array_of", "layer"]

Translate = Callable[["Call"], Any]
LAYERS: dict[str, Translate] = {}  # class of a layer; "ops.NAME" for Keras's operations


def layer(*names: str) -> Callable[[Translate], Translate]:
    """Registers a function that translates the layers `names`; it returns the names of its outputs."""

    def registered(function: Translate) -> Translate:
        for name in names:
            LAYERS[name] = function
        return function

    return registered


def array_of(variable: Any) -> Array:
    """A weight, or any tensor, as an array; 16-bit floats as float32."""
    held = getattr(variable, "value", None)  # a variable of Keras; of TensorFlow's own it is a method
    if held is not None and not callable(held) and not isinstance(variable, np.ndarray):
        variable = held
    for part in ("detach", "cpu"):  # tensors of torch
        if hasattr(variable, part):
            variable = getattr(variable, part)()
    if not isinstance(variable, np.ndarray) and hasattr(variable, "numpy"):
        variable = variable.numpy()
    array = np.array(variable)
    if array.dtype.kind not in "fiub":
        array = array.astype(np.float32)
    if array.dtype.kind == "f" and array.dtype.itemsize == 2:
        array = array.astype(np.float32)
    array.flags.writeable = False
    return array


class Call:
    """A layer applied to values.

    inputs: names of values in the graph that is made; arguments: what it was called with, values as names.
    """

    def __init__(
        self,
        builder: Builder,
        target: Any,
        inputs: Sequence[str],
        args: Any,
        kwargs: Any,
        weights: dict[int, str],
    ) -> None:
        self.builder, self.layer, self.inputs = builder, target, list(inputs)
        self.args, self.kwargs, self._weights = args, kwargs, weights
        self.name = str(target.name)
        self._config: dict[str, Any] | None = None

    @property
    def config(self) -> dict[str, Any]:
        if self._config is None:
            self._config = dict(self.layer.get_config())
        return self._config

    @property
    def x(self) -> str:
        if not self.inputs:
            raise Refused("it has no input")
        return self.inputs[0]

    @property
    def rank(self) -> int:
        return self.rank_of(self.x)

    def rank_of(self, name: str) -> int:
        rank = self.builder.fact(name).rank
        if rank is None:
            raise Refused(f"the number of axes of its input {name!r} is not known")
        return rank

    def with_layer(self, target: Any, *inputs: str) -> Call:
        return Call(self.builder, target, inputs or self.inputs, (), {}, self._weights)

    def emit(self, kind: str, *inputs: str, **attributes: Any) -> str:
        return self.emit_many(kind, inputs, 1, **attributes)[0]

    def emit_many(self, kind: str, inputs: Sequence[str], count: int, **attributes: Any) -> tuple[str, ...]:
        given = list(inputs)
        while given and not given[-1]:
            given.pop()
        outputs = tuple(self.builder.unique(f"{self.name}/{kind}") for _ in range(count))
        self.builder.add(kind, given, attributes, outputs, self.name)
        return outputs

    def constant(self, value: Any, dtype: Any = None) -> str:
        array = np.array(value, dtype)
        array.flags.writeable = False
        return self.builder.add_constant(array, f"{self.name}/constant")

    def ints(self, values: Sequence[int]) -> str:
        return self.constant(tuple(values), np.int64)

    def weight(self, variable: Any, base: str) -> str:
        """A weight as a constant; that of a shared layer is one constant."""
        if variable is None:
            return ""
        if id(variable) not in self._weights:
            self._weights[id(variable)] = self.builder.add_constant(array_of(variable), f"{self.name}/{base}")
        return self._weights[id(variable)]

    def own(self, base: str) -> str:
        """The weight that the layer calls `base`, "" where it has none."""
        return self.weight(getattr(self.layer, base, None), base)

    def array(self, base: str) -> Array:
        return array_of(getattr(self.layer, base))

    def reshaped(self, x: str, shape: Sequence[int]) -> str:
        return self.emit("reshape", x, self.ints(shape), allowzero=False)

    def transposed(self, x: str, perm: Sequence[int]) -> str:
        return x if tuple(perm) == tuple(range(len(perm))) else self.emit("transpose", x, perm=tuple(perm))

    def last(self, x: str | None = None) -> str:
        """An image with channels last, whatever the layer takes."""
        x = self.x if x is None else x
        rank = self.rank_of(x)
        first = self.config.get("data_format") == "channels_first"
        return self.transposed(x, (0, *range(2, rank), 1)) if first else x

    def back(self, y: str) -> str:
        """An image in the layer's own layout again."""
        rank = self.rank_of(y)
        first = self.config.get("data_format") == "channels_first"
        return self.transposed(y, (0, rank - 1, *range(1, rank - 1))) if first and rank > 2 else y

    def floats(self, x: str) -> str:
        """As float32 where they are integers."""
        dtype = self.builder.fact(x).dtype
        return (
            x if dtype is not None and dtype.kind == "f" else self.emit("cast", x, dtype=np.dtype(np.float32))
        )
