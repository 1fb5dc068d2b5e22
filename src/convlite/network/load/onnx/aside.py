"""Large weights taken out of an ONNX file before the rest is parsed, each copied once and no more.

The package `onnx` copies every weight when it parses the file, and again when `raw_data` is asked for. So the
file's outermost levels are walked here, by protobuf's wire format (protobuf.dev/programming-guides/encoding):
ModelProto.graph, GraphProto.initializer, TensorProto.raw_data. What is left is a small model, which the
package parses and checks as ever. A file that is written in another way than usual is left as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from convlite.network.graph import Array

__all__ = ["set_aside"]

# Numbers of fields, of onnx.proto; the wire types of protobuf.
_GRAPH, _INITIALIZER, _RAW_DATA, _DATA_LOCATION = 7, 5, 9, 14
_VARINT, _EIGHT_BYTES, _BYTES, _FOUR_BYTES = 0, 1, 2, 5
_LEAST = 1 << 12  # bytes of a weight that is worth it


class _Unusual(Exception):
    """What this walk does not understand, or leaves to the package to complain of."""


def set_aside(data: Any) -> tuple[bytes, dict[int, Array]] | None:
    """A file's bytes (anything that slices into bytes) without its large weights, and those as bytes, by the
    number of the initialiser; None where nothing was taken out.
    """
    try:
        pieces, found = _model(data)
    except (_Unusual, IndexError):
        return None
    if not found:
        return None
    # In huge pages they stay until all are packed: 1 MB more (MobileNetV3-small), and 1.5 ms in place of 1.1
    # where malloc has the memory already.
    raw = {
        number: np.frombuffer(data, np.uint8, end - start, start).copy()
        for number, (start, end) in found.items()
    }
    return b"".join(pieces), raw


def _model(data: Any) -> tuple[list[bytes], dict[int, tuple[int, int]]]:
    pieces: list[bytes] = []
    found: dict[int, tuple[int, int]] | None = None
    for number, wire, begin, start, end in _fields(data, 0, len(data)):
        if number != _GRAPH:
            pieces.append(data[begin:end])
            continue
        if wire != _BYTES or found is not None:  # protobuf would join two graphs
            raise _Unusual
        inner, found = _graph(data, start, end)
        pieces += _field(_GRAPH, inner)
    return pieces, found or {}


def _graph(data: Any, start: int, end: int) -> tuple[list[bytes], dict[int, tuple[int, int]]]:
    pieces: list[bytes] = []
    found: dict[int, tuple[int, int]] = {}
    count, left = 0, start  # initialisers so far; what is not in the pieces yet
    for number, wire, begin, first, last in _fields(data, start, end):
        if number != _INITIALIZER:
            continue
        if wire != _BYTES:
            raise _Unusual
        raw = _raw(data, first, last) if last - first >= _LEAST else None
        if raw is not None:
            field, inside, beyond = raw
            found[count] = inside, beyond
            pieces.append(data[left:begin])
            pieces += _field(_INITIALIZER, [data[first:field], data[beyond:last]])
            left = last
        count += 1
    pieces.append(data[left:end])
    return pieces, found


def _raw(data: Any, start: int, end: int) -> tuple[int, int, int] | None:
    """Where a tensor's raw_data begins as a field, begins, and ends; None where it is small or not there."""
    found = None
    for number, wire, begin, first, last in _fields(data, start, end):
        if number == _DATA_LOCATION:
            return None
        if number == _RAW_DATA:
            if wire != _BYTES or found is not None:
                raise _Unusual
            found = begin, first, last
    return found if found is not None and found[2] - found[1] >= _LEAST else None


def _fields(data: Any, place: int, end: int) -> Iterator[tuple[int, int, int, int, int]]:
    """(number, wire type, begin, begin of the value, end) of each field."""
    while place < end:
        begin = place
        tag, place = _varint(data, place)
        wire, start = tag & 7, place
        if wire == _BYTES:
            size, start = _varint(data, place)
            place = start + size
        elif wire == _VARINT:
            _, place = _varint(data, place)
        elif wire == _EIGHT_BYTES:
            place += 8
        elif wire == _FOUR_BYTES:
            place += 4
        else:
            raise _Unusual
        if place > end or tag < 8:
            raise _Unusual
        yield tag >> 3, wire, begin, start, place


def _varint(data: Any, place: int) -> tuple[int, int]:
    byte = data[place]
    if byte < 128:
        return byte, place + 1
    value, shift = byte & 127, 7
    while True:
        place += 1
        byte = data[place]
        value |= (byte & 127) << shift
        if byte < 128:
            return value, place + 1
        shift += 7
        if shift > 63:
            raise _Unusual


def _field(number: int, pieces: list[bytes]) -> list[bytes]:
    """A field of bytes: its tag, its length, what is in it."""
    size = sum(map(len, pieces))
    head = [number << 3 | _BYTES]
    while size > 127:
        head.append(size & 127 | 128)
        size >>= 7
    return [bytes([*head, size]), *pieces]
