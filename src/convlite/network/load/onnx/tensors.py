"""Arrays out of an ONNX file: what a tensor's bytes mean, checked before memory is taken."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from convlite.network.graph import Array

__all__ = ["Refused", "Store", "computed_dtype", "dtype_name", "file_dtype", "whole_dtype"]

FLOAT, FLOAT16, BFLOAT16, UINT4, INT4, UINT2, INT2 = 1, 10, 16, 21, 22, 25, 26

# TensorProto.DataType, a number of the format -> (name, dtype of the bytes, dtype that is computed in).
_TYPES: dict[int, tuple[str, str, str]] = {
    FLOAT: ("float32", "<f4", "f4"),
    2: ("uint8", "u1", "u1"),
    3: ("int8", "i1", "i1"),
    4: ("uint16", "<u2", "u2"),
    5: ("int16", "<i2", "i2"),
    6: ("int32", "<i4", "i4"),
    7: ("int64", "<i8", "i8"),
    9: ("bool", "?", "?"),
    FLOAT16: ("float16", "<f2", "f4"),
    11: ("float64", "<f8", "f8"),
    12: ("uint32", "<u4", "u4"),
    13: ("uint64", "<u8", "u8"),
    BFLOAT16: ("bfloat16", "<u2", "f4"),
    UINT4: ("uint4", "u1", "u1"),
    INT4: ("int4", "u1", "i1"),
}
_UNSUPPORTED = {
    0: "undefined",
    8: "string",
    14: "complex64",
    15: "complex128",
    17: "float8e4m3fn",
    18: "float8e4m3fnuz",
    19: "float8e5m2",
    20: "float8e5m2fnuz",
    23: "float4e2m1",
    24: "float8e8m0",
    UINT2: "uint2",
    INT2: "int2",
}
# Typed fields of a TensorProto that hold the elements where `raw_data` is empty.
_FIELDS = {FLOAT: "float_data", 7: "int64_data", 11: "double_data", 12: "uint64_data", 13: "uint64_data"}

MAX_DENSE = 1 << 26  # elements that a sparse tensor may unfold to, whatever the file's size


class Refused(ValueError):
    """Why one node cannot be read; the caller adds which one."""


def dtype_name(code: int) -> str:
    """ONNX's element type in words."""
    if code in _TYPES:
        return _TYPES[code][0]
    return _UNSUPPORTED.get(code, f"of unknown number {code}")


def computed_dtype(code: int) -> np.dtype[Any]:
    """The dtype in which an element type is computed: float32 for the 16-bit floats."""
    if code not in _TYPES:
        raise Refused(
            f"elements of type {dtype_name(code)} are not supported; convert them to float32 or an integer"
        )
    return np.dtype(_TYPES[code][2])


def whole_dtype(code: int) -> np.dtype[Any]:
    """computed_dtype without the 4-bit integers, which only constants may have."""
    if code in (UINT4, INT4):
        name = dtype_name(code)
        raise Refused(f"elements of type {name} are supported in constants only; use {name[:-1]}8")
    return computed_dtype(code)


def file_dtype(code: int) -> np.dtype[Any]:
    """The dtype of an input or output: the file's, but float32 for bfloat16, which NumPy does not have."""
    return np.dtype(np.float16) if code == FLOAT16 else whole_dtype(code)


class Store:
    """Reads tensors; knows where the files of external data lie, and what was set aside of the file.

    aside: the raw data of initialisers of the outermost graph, by their numbers, which the model lacks.
    """

    def __init__(self, folder: Path | None, aside: Mapping[int, Array] | None = None) -> None:
        self.folder = folder
        self.aside = aside or {}

    def array(self, tensor: Any, raw: Array | None = None) -> Array:
        """A TensorProto's elements in the dtype that is computed in, read-only; raw: its raw data, if that
        was set aside."""
        code = int(tensor.data_type)
        dtype = computed_dtype(code)
        shape = tuple(int(size) for size in tensor.dims)
        if any(size < 0 for size in shape):
            raise Refused(f"a tensor of negative size: {shape}")
        count = math.prod(shape)
        if count > 0 and len(shape) > 64:
            raise Refused(f"a tensor of {len(shape)} axes; NumPy has 64")
        outside = tensor.data_location == 1
        if outside:
            stored = self._external(tensor, code, count)
        elif raw is not None:
            stored = raw
        elif held := tensor.raw_data:  # once: each access copies
            stored = np.frombuffer(held, np.uint8)
        else:
            return self._typed(tensor, code, shape, count, dtype)
        item = np.dtype(_TYPES[code][1])
        wanted = (count + 1) // 2 if code in (UINT4, INT4) else count * item.itemsize
        if stored.nbytes != wanted:
            raise Refused(
                f"a tensor of shape {shape} and type {dtype_name(code)} takes {wanted} bytes, "
                f"but has {stored.nbytes}"
            )
        return _frozen(_widened(stored.view(item), code, count).reshape(shape).astype(dtype, copy=False))

    def _typed(
        self, tensor: Any, code: int, shape: tuple[int, ...], count: int, dtype: np.dtype[Any]
    ) -> Array:
        field = getattr(tensor, _FIELDS.get(code, "int32_data"))
        wanted = (count + 1) // 2 if code in (UINT4, INT4) else count
        if len(field) != wanted:
            raise Refused(f"a tensor of shape {shape} has {wanted} elements, but {len(field)} are stored")
        item = np.dtype(_TYPES[code][1])
        if item.kind in "fu" and code in (FLOAT, 11, 12, 13):
            elements = np.array(field, item.newbyteorder("="))
        elif code == FLOAT16:
            elements = np.array(field, np.int64).astype(np.uint16).view(np.float16)
        else:
            elements = np.array(field, np.int64).astype(item.newbyteorder("="))
        return _frozen(_widened(elements, code, count).reshape(shape).astype(dtype, copy=False))

    def _external(self, tensor: Any, code: int, count: int) -> Array:
        """The bytes of a tensor that lies in a file beside the model, mapped and not read."""
        entries = {entry.key: entry.value for entry in tensor.external_data}
        location = entries.get("location", "")
        if self.folder is None:
            raise Refused(
                f"the weights lie in another file, {location!r}: give the path of the model instead"
            )
        folder = self.folder.resolve()
        path = (folder / location).resolve() if location else folder
        if not location or os.path.isabs(location) or not path.is_relative_to(folder):
            raise Refused(
                f"external data must lie in the folder of the model, but its location is {location!r}"
            )
        if not path.is_file():
            raise Refused(f"the file of external data {location!r} is not beside the model")
        try:
            offset = int(entries.get("offset", 0))
            item = np.dtype(_TYPES[code][1]).itemsize
            wanted = (count + 1) // 2 if code in (UINT4, INT4) else count * item
            length = int(entries.get("length", wanted))
        except ValueError:
            raise Refused(f"offset and length of external data must be integers: {entries}") from None
        if offset < 0 or length < 0 or offset + length > path.stat().st_size:
            raise Refused(
                f"external data from byte {offset} to {offset + length}, "
                f"but {location!r} has {path.stat().st_size}"
            )
        if length == 0:
            return np.zeros(0, np.uint8)
        return np.memmap(path, np.uint8, "r", offset, (length,))

    def dense(self, sparse: Any) -> Array:
        """A SparseTensorProto as a full array."""
        shape = tuple(int(size) for size in sparse.dims)
        values = self.array(sparse.values)
        indices = self.array(sparse.indices)
        count = math.prod(shape)
        if any(size < 0 for size in shape) or values.ndim != 1 or indices.dtype != np.int64:
            raise Refused("a sparse tensor needs a shape, a vector of values and int64 indices")
        if count > max(MAX_DENSE, 1024 * values.size):
            raise Refused(f"a sparse tensor of shape {shape} has {count} elements for {values.size} values")
        if indices.ndim == 2 and indices.shape == (values.size, len(shape)):
            if (indices < 0).any() or (indices >= np.array(shape)).any():
                raise Refused(f"an index of a sparse tensor lies outside its shape {shape}")
            flat = (
                np.ravel_multi_index(tuple(indices.T), shape)
                if len(shape)
                else np.zeros(values.size, np.int64)
            )
        elif indices.shape == values.shape:
            flat = indices
        else:
            raise Refused(f"{values.size} values of a sparse tensor have indices of shape {indices.shape}")
        if flat.size and (flat.min() < 0 or flat.max() >= count):
            raise Refused(f"an index of a sparse tensor lies outside its shape {shape}")
        full = np.zeros(count, values.dtype)
        full[flat] = values
        return _frozen(full.reshape(shape))


def _widened(elements: Array, code: int, count: int) -> Array:
    """bfloat16 as float32, packed halves of a byte as bytes; everything else as it is."""
    if code == BFLOAT16:
        return (elements.astype(np.uint32) << 16).view(np.float32)
    if code in (UINT4, INT4):
        pairs = np.stack([elements & 15, elements >> 4], axis=-1).reshape(-1)[:count]
        return pairs if code == UINT4 else (pairs.astype(np.int8) ^ 8) - 8
    return elements


def _frozen(array: Array) -> Array:
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    array = array.view() if array.flags.writeable else array
    array.flags.writeable = False
    return array
