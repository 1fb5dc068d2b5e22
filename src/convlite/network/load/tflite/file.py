"""The parts of a TFLite file as plain values. Every offset of the file is distrusted."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from convlite.network.graph import Array

from ..onnx.tensors import Refused

__all__ = ["File", "OperatorEntry", "TensorEntry", "guarded", "opened"]

_MOST_AXES = 16
# What the generated readers raise if an offset is outside of the file or a length is impossible.
_FAULTS = (
    struct.error,
    ValueError,
    TypeError,
    IndexError,
    KeyError,
    OverflowError,
    AttributeError,
    MemoryError,
)


@contextmanager
def guarded(what: str) -> Iterator[None]:
    """Whatever goes wrong while a part of the file is read becomes one error."""
    try:
        yield
    except Refused:
        raise
    except _FAULTS as problem:
        raise Refused(f"{what} cannot be read, the file is damaged: {problem}") from None


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """One tensor of the file.

    shape: with None for a free size. code: the file's number of its type. buffer: the number of the buffer of
    a constant. scale, zero: empty where it is not quantised; axis: along which they run where there are
    several.
    """

    name: str
    code: int
    shape: tuple[int | None, ...]
    buffer: int
    scale: Array
    zero: Array
    axis: int
    variable: bool
    sparsity: Any


@dataclass(frozen=True, slots=True)
class OperatorEntry:
    """One operator: its name ("CUSTOM" with `custom`), the numbers of its tensors (-1: left out), options."""

    name: str
    custom: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options_type: int
    options: Any
    custom_options: bytes


@dataclass(frozen=True, slots=True)
class File:
    """The first graph of a file."""

    title: str
    name: str
    data: bytes
    tensors: tuple[TensorEntry, ...]
    operators: tuple[OperatorEntry, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    buffers: tuple[Any, ...]
    schema: Any

    def buffer(self, number: int) -> Array:
        """The bytes of a buffer, as a view; no bytes where there are none."""
        if not 0 <= number < len(self.buffers):
            raise Refused(f"it names buffer {number} of {len(self.buffers)}")
        with guarded(f"buffer {number}"):
            entry = self.buffers[number]
            offset, size = int(entry.Offset()), int(entry.Size())
            if offset > 1:  # behind the tables, in files of more than 2 GB
                if offset + size > len(self.data):
                    raise Refused(f"buffer {number} ends behind the end of the file")
                return np.frombuffer(self.data, np.uint8, size, offset)
            return vector(entry.DataAsNumpy(), np.uint8)
        raise AssertionError


def vector(found: Any, dtype: Any) -> Array:
    """A vector of numbers as the generated readers give it; empty where it is not there: they give 0."""
    return np.asarray(found if isinstance(found, np.ndarray) else (), dtype)


def _numbers(found: Any) -> tuple[int, ...]:
    return tuple(found.tolist()) if isinstance(found, np.ndarray) else ()


def _entries(length: int, entry: Callable[[int], Any], what: str, room: int) -> list[Any]:
    """The tables of a vector; each takes at least 4 bytes of the file."""
    if not 0 <= length <= room // 4:
        raise Refused(f"it says that it has {length} {what}; it is not long enough")
    return [entry(number) for number in range(length)]


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else ""


def opened(data: bytes, title: str) -> File:
    """Takes the tables of a file apart."""
    import tflite

    if len(data) < 8 or data[4:8] != b"TFL3":
        raise Refused("it does not start as a TFLite file does")
    with guarded("its tables"):
        model = tflite.Model.GetRootAs(data, 0)
        room = len(data)
        names = {
            number: name for name, number in vars(tflite.BuiltinOperator).items() if isinstance(number, int)
        }
        codes = []
        for code in _entries(model.OperatorCodesLength(), model.OperatorCodes, "operator codes", room):
            number = max(int(code.BuiltinCode()), int(code.DeprecatedBuiltinCode()))
            codes.append((names.get(number, f"operator {number}"), _text(code.CustomCode())))
        if model.SubgraphsLength() < 1:
            raise Refused("it holds no graph")
        buffers = _entries(model.BuffersLength(), model.Buffers, "buffers", room)
        graph = model.Subgraphs(0)
        tensors = [
            _tensor(tensor, number)
            for number, tensor in enumerate(_entries(graph.TensorsLength(), graph.Tensors, "tensors", room))
        ]
        operators = [
            _operator(entry, codes, number)
            for number, entry in enumerate(
                _entries(graph.OperatorsLength(), graph.Operators, "operators", room)
            )
        ]
        inputs = _numbers(graph.InputsAsNumpy())
        outputs = _numbers(graph.OutputsAsNumpy())
        name = _text(graph.Name())
    for what, ends in (("input", inputs), ("output", outputs)):
        for number in ends:
            if not 0 <= number < len(tensors):
                raise Refused(f"its {what} {number} is no tensor; it has {len(tensors)}")
    if not outputs:
        raise Refused("it holds no graph with an output")
    return File(title, name, data, tuple(tensors), tuple(operators), inputs, outputs, tuple(buffers), tflite)


def _tensor(tensor: Any, number: int) -> TensorEntry:
    shape: tuple[int | None, ...] = _numbers(tensor.ShapeAsNumpy())
    free = _numbers(tensor.ShapeSignatureAsNumpy())
    if len(shape) > _MOST_AXES:
        raise Refused(f"tensor {number} has {len(shape)} axes; at most {_MOST_AXES} are read")
    if len(free) == len(shape):
        shape = tuple(None if size < 0 else known for size, known in zip(free, shape, strict=True))
    if any(size is not None and size < 0 for size in shape):
        raise Refused(f"tensor {number} has the shape {shape}")
    scale, zero, axis = np.empty(0, np.float32), np.empty(0, np.int64), 0
    quantization = tensor.Quantization()
    if quantization is not None:
        scale = vector(quantization.ScaleAsNumpy(), np.float32)
        zero = vector(quantization.ZeroPointAsNumpy(), np.int64)
        axis = int(quantization.QuantizedDimension())
    name = _text(tensor.Name()) or f"tensor{number}"
    return TensorEntry(
        name, int(tensor.Type()), shape, int(tensor.Buffer()), scale, zero, axis, bool(tensor.IsVariable()),
        tensor.Sparsity(),
    )  # fmt: skip


def _operator(entry: Any, codes: list[tuple[str, str]], number: int) -> OperatorEntry:
    code = int(entry.OpcodeIndex())
    if not 0 <= code < len(codes):
        raise Refused(f"operator {number} names code {code} of {len(codes)}")
    name, custom = codes[code]
    custom_options = vector(entry.CustomOptionsAsNumpy(), np.uint8)
    return OperatorEntry(
        name,
        custom,
        _numbers(entry.InputsAsNumpy()),
        _numbers(entry.OutputsAsNumpy()),
        int(entry.BuiltinOptionsType()),
        entry.BuiltinOptions(),
        custom_options.tobytes(),
    )
