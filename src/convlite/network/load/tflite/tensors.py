"""Constants of a TFLite file as arrays: 4-bit, 16-bit and quantised numbers widened, sparse ones unfolded."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from convlite.network.graph import Array

from ..onnx.tensors import Refused
from .file import File, TensorEntry, guarded, vector

__all__ = ["Store", "computed_dtype", "end_dtype", "quantised", "zero_points"]

# TensorType, a number of the format -> (name, dtype of the bytes).
_TYPES: dict[int, tuple[str, str]] = {
    0: ("float32", "<f4"), 1: ("float16", "<f2"), 2: ("int32", "<i4"), 3: ("uint8", "u1"),
    4: ("int64", "<i8"), 6: ("bool", "?"), 7: ("int16", "<i2"), 9: ("int8", "i1"),
    10: ("float64", "<f8"), 12: ("uint64", "<u8"),
    15: ("uint32", "<u4"), 16: ("uint16", "<u2"), 17: ("int4", "u1"),
}  # fmt: skip
_UNSUPPORTED = {
    5: "string", 8: "complex64", 11: "complex128", 13: "resource", 14: "variant", 18: "bfloat16",
}  # fmt: skip
_FLOAT16, _INT4 = 1, 17
_QUANTISED = {"int8", "uint8", "int16", "int4"}  # int32 too, where it is a constant: biases
_MOST_DENSE = 1 << 26  # elements that a sparse constant may unfold to
_GROWTH, _FREE = 64, 1 << 28  # bytes that constants may grow to: so many times the file's, and some


def quantised(entry: TensorEntry, constant: bool = False) -> bool:
    """Whether a tensor's integers stand for scale * (integer - zero)."""
    name = _TYPES.get(entry.code, ("", ""))[0]
    return entry.scale.size > 0 and (name in _QUANTISED or (constant and name in ("int32", "int64")))


def computed_dtype(entry: TensorEntry) -> np.dtype[Any]:
    """The dtype in which a tensor is computed: float32 for 16-bit floats and quantised integers."""
    dtype = end_dtype(entry)
    return np.dtype(np.float32) if dtype == np.float16 or quantised(entry) else dtype


def end_dtype(entry: TensorEntry) -> np.dtype[Any]:
    """The file's dtype of an input or output."""
    if entry.code not in _TYPES or entry.code == _INT4:
        name = "int4" if entry.code == _INT4 else _UNSUPPORTED.get(entry.code, f"number {entry.code}")
        raise Refused(f"the tensor {entry.name!r} holds elements of type {name}, which are not supported")
    return np.dtype(_TYPES[entry.code][1]).newbyteorder("=")


def zero_points(entry: TensorEntry) -> Array:
    """As many as there are scales."""
    if entry.zero.size == 0:
        return np.zeros(entry.scale.size, np.int64)
    if entry.zero.size not in (1, entry.scale.size):
        raise Refused(
            f"the tensor {entry.name!r} has {entry.scale.size} scales and {entry.zero.size} zero points"
        )
    return np.broadcast_to(entry.zero, entry.scale.shape)


class Store:
    """Reads constants; the same buffer in the same form is read once."""

    def __init__(self, file: File) -> None:
        self.file = file
        self._left = _FREE + _GROWTH * len(file.data)

    def constant(self, entry: TensorEntry) -> Array | None:
        """The array of a tensor, None where it has no bytes: floats for quantised and 16-bit ones."""
        data = self.file.buffer(entry.buffer)
        shape: tuple[int, ...] = tuple(size for size in entry.shape if size is not None)
        if data.size == 0 and (len(shape) < len(entry.shape) or math.prod(shape) > 0):
            return None
        if len(shape) < len(entry.shape):
            raise Refused(f"the constant {entry.name!r} has a free size")
        if entry.code not in _TYPES:
            end_dtype(entry)  # refuses
        dtype = np.dtype(_TYPES[entry.code][1])
        count = math.prod(shape)
        if entry.sparsity is not None:
            array = self._dense(entry, data, dtype, shape)
        elif entry.code == _INT4:
            self._exactly(entry, data, (count + 1) // 2)
            self._spend(count)
            array = _nibbles(data)[:count].reshape(shape)
        else:
            self._exactly(entry, data, count * dtype.itemsize)
            array = data.view(dtype).reshape(shape)
        array = self._widened(entry, array)
        array.flags.writeable = False
        return array

    def _exactly(self, entry: TensorEntry, data: Array, size: int) -> None:
        if data.size != size:
            raise Refused(f"the constant {entry.name!r} must have {size} bytes; it has {data.size}")

    def _spend(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise Refused("its constants would take far more memory than the file has bytes")

    def _widened(self, entry: TensorEntry, array: Array) -> Array:
        if quantised(entry, constant=True):
            self._spend(4 * array.size)
            return _dequantised(entry, array)
        if array.dtype.kind == "f" and array.dtype.itemsize == 2:
            self._spend(4 * array.size)
            return array.astype(np.float32)
        return array.astype(array.dtype.newbyteorder("="), copy=False)

    def _dense(self, entry: TensorEntry, data: Array, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Array:
        """A sparse constant unfolded: a tree of axes, each dense or with the indices that are there."""
        if entry.code == _INT4:
            raise Refused(f"the sparse constant {entry.name!r} is of type int4, which is not supported")
        if data.size % dtype.itemsize:
            raise Refused(f"the constant {entry.name!r} has {data.size} bytes, no whole number of elements")
        if math.prod(shape) > _MOST_DENSE:
            raise Refused(f"the sparse constant {entry.name!r} of shape {shape} is too large")
        with guarded(f"the sparse constant {entry.name!r}"):
            values = data.view(dtype)
            self._spend(8 * (values.size + 1) * (len(shape) + 2))
            places = _places(self.file.schema, entry, shape, values.size)
            self._spend(math.prod(shape) * dtype.itemsize)
            array = np.zeros(shape, dtype)
            array[tuple(places)] = values
            return array
        raise AssertionError


def _nibbles(data: Array) -> Array:
    """4-bit integers, the low half of a byte first."""
    both = np.stack([data & 15, data >> 4], -1).reshape(-1).astype(np.int8)
    return np.where(both > 7, both - 16, both).astype(np.int8)


def _dequantised(entry: TensorEntry, array: Array) -> Array:
    scale, zero = entry.scale, zero_points(entry)
    if scale.size > 1:
        if not 0 <= entry.axis < array.ndim or array.shape[entry.axis] != scale.size:
            raise Refused(
                f"the constant {entry.name!r} of shape {array.shape} has {scale.size} scales along axis "
                f"{entry.axis}"
            )
        across = [1] * array.ndim
        across[entry.axis] = scale.size
        scale, zero = scale.reshape(across), zero.reshape(across)
    else:
        scale, zero = scale.reshape(()), zero.reshape(())
    return np.asarray((array.astype(np.float64) - zero) * scale.astype(np.float64)).astype(np.float32)


def _places(schema: Any, entry: TensorEntry, shape: tuple[int, ...], count: int) -> list[Array]:
    """The index of each value along each axis."""
    sparsity, rank = entry.sparsity, len(shape)
    order = vector(sparsity.TraversalOrderAsNumpy(), np.int64).tolist()
    blocks = vector(sparsity.BlockMapAsNumpy(), np.int64).tolist()
    if sorted(order) != list(range(rank + len(blocks))) or sparsity.DimMetadataLength() != len(order):
        raise Refused(f"the sparse constant {entry.name!r} has axes in the order {order}")
    if sorted(set(blocks)) != sorted(blocks) or any(not 0 <= axis < rank for axis in blocks):
        raise Refused(f"the sparse constant {entry.name!r} has blocks of the axes {blocks}")
    found: list[Array] = []  # for each axis passed, the index of each node of the tree
    nodes = 1
    sizes: dict[int, int] = {}
    for level, axis in enumerate(order):
        meta = sparsity.DimMetadata(level)
        if meta.Format() == 0:
            size = int(meta.DenseSize())
            if not 0 <= nodes * size <= count:
                raise Refused(f"the sparse constant {entry.name!r} has {count} values; its axes need more")
            parents, own = np.repeat(np.arange(nodes), size), np.tile(np.arange(size), nodes)
            sizes[axis] = size
        else:
            segments = _index_vector(schema, meta.ArraySegmentsType(), meta.ArraySegments())
            own = _index_vector(schema, meta.ArrayIndicesType(), meta.ArrayIndices())
            widths = np.diff(segments)
            if (
                segments.size != nodes + 1
                or (widths < 0).any()
                or own.size != widths.sum()
                or own.size > count
            ):
                raise Refused(f"the sparse constant {entry.name!r} has indices that do not fit its axes")
            parents = np.repeat(np.arange(nodes), widths)
        found = [index[parents] for index in found] + [own]
        nodes = own.size
    if nodes != count:
        raise Refused(f"the sparse constant {entry.name!r} has {count} values for {nodes} places")
    by_axis = dict(zip(order, found, strict=True))
    places = []
    for axis in range(rank):
        place = by_axis[axis]
        if axis in blocks:
            block = rank + blocks.index(axis)
            if block not in sizes:
                raise Refused(f"the sparse constant {entry.name!r} has a block that is sparse itself")
            place = place * sizes[block] + by_axis[block]
        if place.size and (int(place.min()) < 0 or int(place.max()) >= shape[axis]):
            raise Refused(f"the sparse constant {entry.name!r} has an index outside of its shape")
        places.append(place)
    return places


def _index_vector(schema: Any, kind: int, table: Any) -> Array:
    """A vector of indices, which files write in the narrowest type that will do."""
    forms = {1: ("Int32Vector", np.int32), 2: ("Uint16Vector", np.uint16), 3: ("Uint8Vector", np.uint8)}
    if kind not in forms or table is None:
        raise Refused("it has no indices")
    name, dtype = forms[kind]
    held = getattr(schema, name)()
    held.Init(table.Bytes, table.Pos)
    return vector(held.ValuesAsNumpy(), dtype).astype(np.int64)
