"""One node of an ONNX file while it is translated: its attributes, its inputs, and what it becomes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from convlite.network.facts import Fact, Shape, listed
from convlite.network.graph import Array

from .building import Builder
from .tensors import Refused, whole_dtype

if TYPE_CHECKING:
    from .translation import Scope

OLDEST, NEWEST = 6, 28  # versions of ONNX's own operator set that are read

__all__ = ["NEWEST", "OLDEST", "OPERATORS", "Operation", "Operator", "operator"]

# AttributeProto.AttributeType: the numbers are part of the format.
_FLOAT, _INT, _STRING, _TENSOR, _GRAPH, _FLOATS, _INTS, _STRINGS, _SPARSE = 1, 2, 3, 4, 5, 6, 7, 8, 11
_TYPE_NAMES = {
    _FLOAT: "a float", _INT: "an integer", _STRING: "a string", _TENSOR: "a tensor", _GRAPH: "a graph",
    _FLOATS: "floats", _INTS: "integers", _STRINGS: "strings", _SPARSE: "a sparse tensor",
}  # fmt: skip


class Operation:
    """A node with its inputs looked up.

    inputs: names of values in the graph that is made, "" for one that is left out. wanted: for each output,
    whether anybody reads it. version: of the operator's set in force where the node stands.
    """

    def __init__(
        self, scope: Scope, proto: Any, version: int, inputs: Sequence[str], label: str, used: set[str]
    ) -> None:
        self.scope = scope
        self.builder: Builder = scope.builder
        self.proto = proto
        self.name = str(proto.op_type)
        self.version = version
        self.inputs = tuple(inputs)
        self.wanted = tuple(name in used for name in proto.output)
        self.label = label
        self._attributes: dict[str, Any] = {}
        self._read: set[str] = set()
        for attribute in proto.attribute:
            found = attribute
            if attribute.ref_attr_name:
                if attribute.ref_attr_name not in scope.attributes:
                    continue  # the function was called without it: the operator's default
                found = scope.attributes[attribute.ref_attr_name]
            if attribute.name in self._attributes:
                raise Refused(f"the attribute {attribute.name!r} stands there twice")
            self._attributes[str(attribute.name)] = found

    # ---- attributes

    def has(self, name: str) -> bool:
        return name in self._attributes

    def attributes(self) -> dict[str, Any]:
        """All of them, those that a function was called with in place of references to them."""
        return dict(self._attributes)

    def attribute(self, name: str, *types: int) -> Any:
        """The AttributeProto, None where it is not there; its type must be one of `types`."""
        self._read.add(name)
        found = self._attributes.get(name)
        if found is not None and types and found.type not in types:
            wanted = " or ".join(_TYPE_NAMES[code] for code in types)
            raise Refused(f"the attribute {name!r} must be {wanted}")
        return found

    def ignore(self, *names: str) -> None:
        """These attributes have no effect on the result."""
        self._read.update(names)

    def unread(self) -> list[str]:
        return sorted(set(self._attributes) - self._read)

    def integer(self, name: str, default: int | None = None) -> int:
        found = self.attribute(name, _INT)
        if found is None:
            return int(self._default(name, default))
        return int(found.i)

    def flag(self, name: str, default: bool = False) -> bool:
        value = self.integer(name, int(default))
        if value not in (0, 1):
            raise Refused(f"the attribute {name!r} must be 0 or 1; it is {value}")
        return bool(value)

    def integers(self, name: str, default: Sequence[int] | None = None) -> tuple[int, ...]:
        found = self.attribute(name, _INTS)
        if found is None:
            return tuple(self._default(name, default))
        return tuple(int(value) for value in found.ints)

    def real(self, name: str, default: float | None = None) -> float:
        found = self.attribute(name, _FLOAT)
        if found is None:
            return float(self._default(name, default))
        return float(found.f)

    def reals(self, name: str, default: Sequence[float] | None = None) -> tuple[float, ...]:
        found = self.attribute(name, _FLOATS)
        if found is None:
            return tuple(self._default(name, default))
        return tuple(float(value) for value in found.floats)

    def text(self, name: str, default: str | None = None, among: Sequence[str] = ()) -> str:
        found = self.attribute(name, _STRING)
        value = str(self._default(name, default)) if found is None else found.s.decode("utf-8", "replace")
        if among and value not in among:
            raise Refused(f"the attribute {name!r} is {value!r}; supported are {', '.join(map(repr, among))}")
        return value

    def texts(self, name: str, default: Sequence[str] | None = None) -> tuple[str, ...]:
        found = self.attribute(name, _STRINGS)
        if found is None:
            return tuple(self._default(name, default))
        return tuple(value.decode("utf-8", "replace") for value in found.strings)

    def tensor(self, name: str) -> Array | None:
        found = self.attribute(name, _TENSOR)
        return None if found is None else self.scope.store.array(found.t)

    def graph(self, name: str) -> Any:
        found = self.attribute(name, _GRAPH)
        if found is None:
            raise Refused(f"the attribute {name!r} is missing")
        return found.g

    def element_type(self, name: str, default: int | None = None) -> np.dtype[Any]:
        """An attribute that holds ONNX's number of a dtype, as the dtype that is computed in."""
        return whole_dtype(self.integer(name, default))

    def _default(self, name: str, default: Any) -> Any:
        if default is None:
            raise Refused(f"the attribute {name!r} is missing")
        return default

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

    def known(self, name: str) -> Array | None:
        """A value that is known while loading: a constant, or what follows from constants and shapes."""
        return self.fact(name).known if name else None

    def held(self, name: str) -> Array | None:
        """The array of a constant, None for every other value."""
        return self.builder.constants.get(name)

    def shape(self, name: str) -> Shape:
        return self.fact(name).shape

    def rank(self, name: str) -> int:
        """The number of axes; refused where it is unknown."""
        rank = self.fact(name).rank
        if rank is None:
            raise Refused(
                f"the number of axes of its input {name!r} is not known while loading: "
                "export the model with the shapes of its inputs"
            )
        return rank

    def dtype(self, name: str, default: Any = np.float32) -> np.dtype[Any]:
        """The dtype of a value; `default` where it is unknown."""
        return self.fact(name).dtype or np.dtype(default)

    def static(self, name: str, what: str) -> Array:
        """A value that must be known while loading."""
        value = self.known(name)
        if value is None:
            raise Refused(f"its {what} is computed while the network runs; it must be a constant")
        return value

    def sizes_of(self, name: str) -> list[int | str | None] | None:
        return listed(self.fact(name))

    # ---- what it becomes

    def emit(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """A node of one output; its name."""
        return self.emit_many(kind, inputs, 1, **attributes)[0]

    def emit_many(self, kind: str, inputs: Sequence[str], count: int, **attributes: Any) -> tuple[str, ...]:
        """A node of several outputs; their names, "" for those that are not used."""
        given = list(inputs)
        while given and not given[-1]:
            given.pop()
        base = next((str(name) for name in self.proto.output if name), self.name)
        wanted = self.wanted if count > 1 else (True,)
        outputs = tuple(
            self.builder.unique(f"{base}:{kind}") if place < len(wanted) and wanted[place] else ""
            for place in range(count)
        )
        self.builder.add(kind, given, attributes, outputs, self.label)
        return outputs

    def constant(self, value: Any, dtype: Any = None) -> str:
        base = next((str(name) for name in self.proto.output if name), self.name)
        array = np.array(value, dtype)
        array.flags.writeable = False
        return self.builder.add_constant(array, f"{base}:constant")

    def axes(self, axes: Sequence[int]) -> str:
        """A constant vector of int64."""
        return self.constant(tuple(axes), np.int64)

    def transposed(self, name: str, perm: Sequence[int]) -> str:
        """`name` with its axes in another order: another constant for a constant, else a node."""
        perm = tuple(perm)
        if perm == tuple(range(len(perm))):
            return name
        array = self.held(name)
        if array is None:
            return self.emit("transpose", name, perm=perm)
        if array.ndim != len(perm):
            raise Refused(f"{name!r} has {array.ndim} axes, but {len(perm)} are needed here")
        before = self.builder.derived_before(name, "transposed", perm)
        return before or self.builder.derived(array.transpose(perm), name, "transposed", perm)

    def channels_last(self, name: str, rank: int) -> str:
        """(N, C, spatial...) as (N, spatial..., C)."""
        return self.transposed(name, (0, *range(2, rank), 1))

    def channels_first(self, name: str, rank: int) -> str:
        """(N, spatial..., C) as (N, C, spatial...)."""
        return self.transposed(name, (0, rank - 1, *range(1, rank - 1)))


Translate = Callable[[Operation], Any]


@dataclass(frozen=True, slots=True)
class Operator:
    """How one operator is read: from which version of its set on, up to which, and by which function."""

    name: str
    domain: str
    since: int
    until: float
    translate: Translate

    def __str__(self) -> str:
        last = "" if math.isinf(self.until) else f" to {int(self.until)}"
        return f"{self.domain + '.' if self.domain else ''}{self.name} ({self.since}{last})"


# The version of ONNX's own set in which an operator first stood, where that is not the oldest that is read.
# ONNX Runtime's optimiser writes LayerNormalization into files of every version.
_FIRST = {
    7: "Acos Asin Atan Cos Sin Tan",
    8: "Expand Scan",
    9: "Acosh Asinh Atanh Compress ConstantOfShape Cosh Erf EyeLike IsNaN "
    "MeanVarianceNormalization NonZero OneHot Scatter Shrink Sign Sinh Where",
    10: "ConvInteger DequantizeLinear IsInf MatMulInteger Mod NonMaxSuppression QLinearConv "
    "QLinearMatMul QuantizeLinear Resize ReverseSequence RoiAlign ThresholdedRelu",
    11: "BitShift CumSum DynamicQuantizeLinear GatherElements GatherND Range Round ScatterElements "
    "ScatterND Unique",
    12: "Celu Einsum GreaterOrEqual LessOrEqual",
    14: "HardSwish Trilu",
    15: "CastLike",
    16: "GridSample",
    18: "BitwiseAnd BitwiseNot BitwiseOr BitwiseXor GroupNormalization Mish",
    20: "Gelu",
    23: "RMSNormalization",
    24: "Swish",
}
_SINCE = {name: version for version, names in _FIRST.items() for name in names.split()}

OPERATORS: dict[tuple[str, str], Operator] = {}  # (domain, name) -> Operator; "" is ONNX's own domain


def operator(
    *names: str, domain: str = "", since: int = 1, until: float = math.inf
) -> Callable[[Translate], Translate]:
    """Registers a function that translates the operators `names`.

    It returns the name of its output, or one for each of several, in the order of the operator's outputs.
    """

    def registered(function: Translate) -> Translate:
        for name in names:
            first = max(since, OLDEST, _SINCE.get(name, 1)) if not domain else since
            OPERATORS[domain, name] = Operator(name, domain, first, until, function)
        return function

    return registered
