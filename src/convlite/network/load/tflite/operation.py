"""One operator of a TFLite file while it is translated: its options, its inputs, and what it becomes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from convlite.network.facts import Fact, Shape, listed
from convlite.network.graph import Array

from ..onnx.building import Builder
from ..onnx.tensors import Refused
from .file import File, OperatorEntry, guarded

__all__ = ["OPERATORS", "Operation", "operator"]

Translate = Callable[["Operation"], Any]
OPERATORS: dict[str, Translate] = {}  # "custom:NAME" for custom operators
_INT64 = np.dtype(np.int64)


class Operation:
    """An operator with its inputs looked up.

    inputs: names of values in the graph that is made, "" for one that is left out. All quantised and 16-bit
    values are float32 there.
    """

    def __init__(
        self, file: File, builder: Builder, entry: OperatorEntry, inputs: Sequence[str], label: str, base: str
    ) -> None:
        self.file, self.builder, self.entry = file, builder, entry
        self.inputs, self.label, self.base = tuple(inputs), label, base
        self.name = entry.name
        self.count = len(entry.outputs)

    # ---- options

    def option(self, table: str, name: str, default: Any = 0) -> Any:
        """A field of the operator's options; the default where the file holds none."""
        if self.entry.options is None or self.entry.options_type == 0:
            return default
        schema = self.file.schema
        if self.entry.options_type != getattr(schema.BuiltinOptions, table):
            raise Refused(f"its options are not those of its operator ({table})")
        with guarded(f"its option {name}"):
            options = getattr(schema, table)()
            options.Init(self.entry.options.Bytes, self.entry.options.Pos)
            return getattr(options, name)()

    def option_integers(self, table: str, name: str) -> tuple[int, ...] | None:
        """A vector among the options; None where the file holds none."""
        if self.entry.options is None or self.entry.options_type == 0:
            return None
        absent = self.option(table, f"{name}IsNone")
        found = () if absent else np.asarray(self.option(table, f"{name}AsNumpy")).reshape(-1)[:64].tolist()
        return None if absent else tuple(int(value) for value in found)

    def integer(self, table: str, name: str, default: int = 0) -> int:
        return int(self.option(table, name, default))

    def positive(self, table: str, *names: str) -> tuple[int, ...]:
        """Sizes such as strides: a number of 1 or more for each name."""
        found = tuple(self.integer(table, name, 1) for name in names)
        if any(not 1 <= value < 1 << 24 for value in found):
            raise Refused(f"its {', '.join(names)} must be positive; they are {found}")
        return found

    def real(self, table: str, name: str, default: float = 0.0) -> float:
        return float(self.option(table, name, default))

    def flag(self, table: str, name: str) -> bool:
        return bool(self.option(table, name, False))

    def padding(self, table: str, axes: int = 2) -> Any:
        code = self.integer(table, "Padding")
        if code not in (0, 1):
            raise Refused(f"its padding is number {code}; there are 0 (same) and 1 (valid)")
        return "same" if code == 0 else ((0, 0),) * axes

    # ---- inputs

    def input(self, place: int) -> str:
        """An input, "" where it is left out."""
        return self.inputs[place] if place < len(self.inputs) else ""

    def required(self, place: int) -> str:
        name = self.input(place)
        if not name:
            raise Refused(f"input {place} is missing")
        return name

    def fact(self, name: str) -> Fact:
        return self.builder.fact(name)

    def shape(self, name: str) -> Shape:
        return self.fact(name).shape

    def sizes(self, name: str) -> tuple[Any, ...]:
        """The shape; refused where not even the number of axes is known."""
        shape = self.fact(name).shape
        if shape is None:
            raise Refused(f"the number of axes of its input {name!r} is not known while loading")
        return shape

    def dtype(self, name: str) -> np.dtype[Any]:
        return self.fact(name).dtype or np.dtype(np.float32)

    def static(self, name: str, what: str) -> Array:
        """A value that must be known while loading."""
        value = self.fact(name).known
        if value is None:
            raise Refused(f"its {what} is computed while the network runs; it must be a constant")
        return value

    def integers(self, name: str, what: str) -> tuple[int, ...]:
        value = self.static(name, what)
        if value.dtype.kind not in "iu" or value.ndim > 2 or value.size > 1 << 12:
            raise Refused(f"its {what} must be a few integers, not {value.dtype} of shape {value.shape}")
        return tuple(int(entry) for entry in value.reshape(-1))

    def one_integer(self, name: str, what: str) -> int:
        values = self.integers(name, what)
        if len(values) != 1:
            raise Refused(f"its {what} must be one integer, not {len(values)}")
        return values[0]

    def listed(self, name: str) -> list[int | str | None] | None:
        return listed(self.fact(name))

    # ---- what it becomes

    def emit(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """A node of one output; its name."""
        return self.emit_many(kind, inputs, 1, **attributes)[0]

    def emit_many(self, kind: str, inputs: Sequence[str], count: int, **attributes: Any) -> tuple[str, ...]:
        given = list(inputs)
        while given and not given[-1]:
            given.pop()
        outputs = tuple(self.builder.unique(f"{self.base}:{kind}") for _ in range(count))
        self.builder.add(kind, given, attributes, outputs, self.label)
        return outputs

    def constant(self, value: Any, dtype: Any = None) -> str:
        array = np.array(value, dtype)
        array.flags.writeable = False
        return self.builder.add_constant(array, f"{self.base}:constant")

    def ints(self, values: Sequence[int]) -> str:
        """A constant vector of int64."""
        if any(not -(2**63) <= value < 2**63 for value in values):
            raise Refused(f"the numbers {tuple(values)} are too large")
        return self.constant(tuple(values), np.int64)

    def wide(self, name: str) -> str:
        """Integers as int64."""
        if self.dtype(name) == _INT64:
            return name
        array = self.builder.constants.get(name)
        if array is not None and array.size <= 1 << 16:
            return self.builder.derived(array.astype(np.int64), name, "int64")
        return self.emit("cast", name, dtype=_INT64)

    def cast(self, name: str, dtype: Any) -> str:
        return name if self.dtype(name) == dtype else self.emit("cast", name, dtype=np.dtype(dtype))

    def transposed(self, name: str, perm: Sequence[int]) -> str:
        """`name` with its axes in another order: another constant for a constant, else a node."""
        perm = tuple(perm)
        if perm == tuple(range(len(perm))):
            return name
        array = self.builder.constants.get(name)
        if array is None:
            return self.emit("transpose", name, perm=perm)
        if array.ndim != len(perm):
            raise Refused(f"{name!r} has {array.ndim} axes, but {len(perm)} are needed here")
        return self.builder.derived(array.transpose(perm), name, "transposed", perm)

    def reshaped(self, name: str, shape: Sequence[int]) -> str:
        return self.emit("reshape", name, self.ints(shape), allowzero=False)

    def activated(self, name: str, table: str) -> str:
        """What follows the operator within it."""
        code = self.integer(table, "FusedActivationFunction")
        if code == 0:
            return name
        if code == 2:
            return self.clipped(name, -1.0, 1.0)
        if code not in (1, 3, 4):
            raise Refused(f"its activation is number {code}, which is not supported")
        return self.emit({1: "relu", 3: "relu6", 4: "tanh"}[code], name)

    def clipped(self, name: str, low: float, high: float) -> str:
        dtype = self.dtype(name)
        return self.emit("clip", name, self.constant(low, dtype), self.constant(high, dtype))


def operator(*names: str) -> Callable[[Translate], Translate]:
    """Registers a function that translates the operators `names`.

    It returns the name of its output, or one for each of several.
    """

    def registered(function: Translate) -> Translate:
        for name in names:
            OPERATORS[name] = function
        return function

    return registered
