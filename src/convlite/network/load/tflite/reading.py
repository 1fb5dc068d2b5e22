"""A TFLite file as a graph: inputs, constants, operators one by one, outputs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from convlite.network.facts import Fact
from convlite.network.graph import Dim, Graph, Value
from convlite.network.infer import Memo

from ..onnx.building import Builder
from ..onnx.tensors import Refused
from .file import File, OperatorEntry, TensorEntry, opened
from .operation import OPERATORS, Operation
from .tensors import Store, end_dtype, quantised, zero_points

__all__ = ["read_tflite"]

_MOST_REASONS = 50
# The results of these lie in the range of what they take, or in one that the scales always cover.
_IN_RANGE = {
    "RESHAPE", "TRANSPOSE", "CONCATENATION", "PAD", "MIRROR_PAD", "MAX_POOL_2D", "AVERAGE_POOL_2D", "SLICE",
    "SPLIT", "SPLIT_V", "STRIDED_SLICE", "PACK", "UNPACK", "SQUEEZE", "EXPAND_DIMS", "GATHER", "GATHER_ND",
    "TILE", "DEPTH_TO_SPACE", "SPACE_TO_DEPTH", "SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND", "RESIZE_BILINEAR",
    "RESIZE_NEAREST_NEIGHBOR", "SOFTMAX", "LOGISTIC", "TANH", "BROADCAST_TO", "REVERSE_V2", "RELU_N1_TO_1",
}  # fmt: skip


def read_tflite(source: Any, memo: Memo | None = None) -> Graph:
    """A TFLite model as a graph with the file's own names, layout and order of inputs and outputs.

    source: the path of a file, or its bytes. The first graph of the file is read. memo: takes what is found
    about the nodes' shapes.

    Everything is computed in float32. Float16 weights are widened, sparse ones unfolded. In a quantised
    model weights, biases and activations are the numbers that scale * (integer - zero) stands for; between
    the operators nothing is rounded, but what leaves the range that a tensor's integers can hold is clipped
    to it. Inputs and outputs keep the file's dtype: a quantised input passes a `dequantize_linear` first, a
    quantised output a `quantize_linear` last.

    Returns a Graph in the vocabulary of `convlite.network.kinds`. Needs the package `tflite`.

    Raises ValueError naming every operator that is not supported or malformed, and ImportError without
    `tflite`.
    """
    from . import operators  # noqa: F401, operators register themselves when they are imported

    data, title = _bytes(source)
    try:
        import tflite  # noqa: F401
    except ImportError:
        raise ImportError(
            "TFLite files are read with the package tflite, which is not installed: pip install tflite"
        ) from None
    try:
        return _Reader(opened(data, title), memo).graph()
    except Refused as problem:
        raise ValueError(f"{title} cannot be read: {problem}") from None


def _bytes(source: Any) -> tuple[bytes, str]:
    if isinstance(source, (bytes, bytearray, memoryview)):
        return bytes(source), "the TFLite model"
    if isinstance(source, (str, os.PathLike)):
        path = Path(os.fspath(source))
        return path.read_bytes(), path.name
    raise TypeError(f"source must be a path or bytes; got a {type(source).__name__}")


class _Reader:
    def __init__(self, file: File, memo: Memo | None) -> None:
        self.file = file
        self.store = Store(file)
        ends = {file.tensors[number].name for number in (*file.inputs, *file.outputs)}
        self.builder = Builder(names=ends, memo=memo)
        self.names: dict[int, str] = {}  # tensor -> value
        self.reasons: list[str] = []
        self.failed: set[int] = set()  # tensors that an operator with a fault should have written

    def graph(self) -> Graph:
        inputs = self._inputs()
        for number, entry in enumerate(self.file.operators):
            if len(self.reasons) > 4 * _MOST_REASONS:
                break
            self._operator(number, entry)
        outputs = [] if self.reasons else self._outputs(inputs)
        if self.reasons:
            count = len(self.reasons)
            shown = self.reasons[:_MOST_REASONS]
            shown += [f"... and {count - _MOST_REASONS} more"] if count > _MOST_REASONS else []
            raise ValueError(
                f"{self.file.title}: {count} operator{'s' * (count != 1)} cannot be read\n"
                + "\n".join(f"  {line}" for line in shown)
            )
        return self.builder.finished(outputs, self.file.name or "network")

    # ---- ends

    def _inputs(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for number in self.file.inputs:
            entry = self.file.tensors[number]
            if entry.name in found:
                raise Refused(f"the input {entry.name!r} stands there twice")
            found[entry.name] = number
            dtype = end_dtype(entry)
            shape: tuple[Dim, ...] = tuple(
                f"{entry.name}[{axis}]" if size is None else size for axis, size in enumerate(entry.shape)
            )
            self.builder.add_input(entry.name, dtype, shape, Fact(dtype, shape))
            name = entry.name
            if quantised(entry):
                name = self.builder.unique(f"{name}:float32")
                scale, zero = self._scales(entry)
                self.builder.add(
                    "dequantize_linear",
                    [entry.name, scale, zero],
                    {"axis": entry.axis, "block_size": 0},
                    [name],
                    "",
                )
            elif dtype == np.float16:
                name = self.builder.unique(f"{name}:float32")
                self.builder.add("cast", [entry.name], {"dtype": np.dtype(np.float32)}, [name], "")
            self.names[number] = name
        return found

    def _scales(self, entry: TensorEntry) -> tuple[str, str]:
        """Constants for the scale and zero point of a quantised input or output."""
        scale, zero = entry.scale, zero_points(entry)
        limits = np.iinfo(end_dtype(entry))
        if (zero < limits.min).any() or (zero > limits.max).any():
            raise Refused(f"the tensor {entry.name!r} has a zero point that its integers do not hold")
        if scale.size == 1:
            scale, zero = scale.reshape(()), zero.reshape(())
        elif not 0 <= entry.axis < len(entry.shape):
            raise Refused(f"the tensor {entry.name!r} has scales along axis {entry.axis}")
        return (
            self.builder.add_constant(scale.astype(np.float32), f"{entry.name}:scale"),
            self.builder.add_constant(zero.astype(end_dtype(entry)), f"{entry.name}:zero"),
        )

    def _outputs(self, inputs: dict[str, int]) -> list[Value]:
        outputs: list[Value] = []
        taken = set(inputs)
        for number in self.file.outputs:
            entry = self.file.tensors[number]
            held = self._value(number)
            name = self.builder.unique(entry.name) if entry.name in taken else entry.name
            taken.add(name)
            dtype = end_dtype(entry)
            if quantised(entry):
                scale, zero = self._scales(entry)
                attributes = {"axis": entry.axis, "dtype": dtype, "saturate": True, "block_size": 0}
                self.builder.add("quantize_linear", [held, scale, zero], attributes, [name], "")
            elif dtype == np.float16:
                self.builder.add("cast", [held], {"dtype": dtype}, [name], "")
            else:
                self.builder.add("identity", [held], {}, [name], "")
            fact = self.builder.fact(name)
            if fact.dtype is not None and fact.dtype != dtype:
                raise Refused(f"the output {name!r} must be {dtype}, but {fact.dtype} is computed")
            known: Sequence[int | str | None] = entry.shape if fact.shape is None else fact.shape
            outputs.append(
                Value(
                    name, dtype,
                    tuple(f"{name}[{axis}]" if size is None else size for axis, size in enumerate(known)),
                )
            )  # fmt: skip
        return outputs

    # ---- operators

    def _value(self, number: int) -> str:
        """The value of a tensor: what was written, or a constant."""
        if number == -1:
            return ""
        if not 0 <= number < len(self.file.tensors):
            raise Refused(f"it names tensor {number} of {len(self.file.tensors)}")
        if number in self.names:
            return self.names[number]
        entry = self.file.tensors[number]
        if entry.variable:
            raise Refused(f"the tensor {entry.name!r} keeps a state between calls, which is not supported")
        array = self.store.constant(entry)
        if array is None:
            raise Refused(f"nothing writes the tensor {entry.name!r} before it is read")
        self.names[number] = self.builder.add_constant(array, entry.name)
        return self.names[number]

    def _operator(self, number: int, entry: OperatorEntry) -> None:
        called = f"CUSTOM {entry.custom!r}" if entry.name == "CUSTOM" else entry.name
        where = next(
            (self.file.tensors[place].name for place in entry.outputs if 0 <= place < len(self.file.tensors)),
            "",
        )
        try:
            self._translate(entry, called, where or f"{called}{number}")
        except ValueError as problem:  # Refused, or inputs that do not fit a kind
            if self.failed.isdisjoint(entry.inputs) or entry.name not in OPERATORS:
                self.reasons.append(f"operator {number}, {called} ({where!r}): {problem}")
            self.failed.update(entry.outputs)

    def _translate(self, entry: OperatorEntry, called: str, label: str) -> None:
        key = f"custom:{entry.custom}" if entry.name == "CUSTOM" else entry.name
        if key not in OPERATORS:
            raise Refused("this operator is not supported")
        if not entry.outputs:
            raise Refused("it has no output")
        for place in entry.outputs:
            if not 0 <= place < len(self.file.tensors):
                raise Refused(f"it writes tensor {place} of {len(self.file.tensors)}")
            if place in self.names:
                raise Refused(
                    f"it writes the tensor {self.file.tensors[place].name!r}, which is there already"
                )
        inputs = [self._value(place) for place in entry.inputs]
        operation = Operation(self.file, self.builder, entry, inputs, label, label)
        found = OPERATORS[key](operation)
        names = (found,) if isinstance(found, str) else tuple(found)
        if len(names) < len(entry.outputs):
            raise Refused(f"it has {len(entry.outputs)} outputs; {len(names)} are known")
        for place, name in zip(entry.outputs, names, strict=False):
            self.names[place] = self._in_range(operation, place, name)

    def _in_range(self, operation: Operation, place: int, name: str) -> str:
        """Clips a quantised result to what its integers can hold."""
        entry = self.file.tensors[place]
        if not quantised(entry) or operation.name in _IN_RANGE or name in self.builder.constants:
            return name
        if entry.scale.size > 1:
            raise Refused(f"its result {entry.name!r} is quantised along an axis, which is not supported")
        limits, zero = np.iinfo(end_dtype(entry)), int(zero_points(entry)[0])
        scale = float(entry.scale[0])
        if not np.isfinite(scale) or scale <= 0:
            raise Refused(f"its result {entry.name!r} has the scale {scale}")
        return operation.clipped(name, scale * (limits.min - zero), scale * (limits.max - zero))
