"""Weights in files: .safetensors or .npz, by the name's ending. Nothing is ever unpickled."""

import math
import os
import pathlib
import uuid
import zipfile
from collections.abc import Callable, Mapping
from typing import IO, Any, BinaryIO

import numpy as np
from numpy.lib import format as npy

from .base import Array

__all__ = ["read_weights", "write_weights"]

StrPath = str | os.PathLike[str]
_DEFLATE = 1040  # bytes that one compressed byte can become at most: more is a lie


def write_weights(path: StrPath, weights: Mapping[str, Array]) -> None:
    """Write named arrays; whoever opens `path` finds the old file or the new one, never a part.

    ValueError for another ending than .safetensors or .npz, ImportError where a package is missing.
    """
    save, _ = _format(path)
    final = pathlib.Path(os.path.realpath(path))  # behind a symbolic link, the file itself is replaced
    part = final.with_name(f".{uuid.uuid4().hex}.part")
    try:
        with part.open("xb") as file:
            save(file, dict(weights))
            file.flush()
            os.fsync(file.fileno())
        part.replace(final)
    finally:
        part.unlink(missing_ok=True)


def read_weights(path: StrPath) -> dict[str, Array]:
    """The named arrays of a file. ValueError where it is malformed, OSError where it cannot be opened."""
    _, load = _format(path)
    with open(path, "rb") as file:
        try:
            return load(file)
        except ImportError:
            raise
        except (
            Exception
        ) as error:  # the parsers raise a dozen kinds for broken bytes, a size that lies among them
            raise ValueError(f"{os.fspath(path)!r} is not a readable weights file: {error}") from error


def _save_npz(file: BinaryIO, weights: dict[str, Any]) -> None:
    np.savez(file, **weights)


def _load_npz(file: BinaryIO) -> dict[str, Array]:
    """Each size is checked before memory is taken for it: headers may claim anything."""
    if file.read(2) != b"PK":  # a zip archive may begin anywhere, and NumPy would read what begins the file
        raise ValueError("it is no zip archive")
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        if sum(member.compress_size for member in members) > file.seek(0, os.SEEK_END):
            raise ValueError("its members overlap")  # each would be unpacked anew from the same bytes
        for member in members:
            if member.file_size > _DEFLATE * member.compress_size + 1024:
                raise ValueError(f"{member.filename!r} claims {member.file_size} bytes")
            with archive.open(member) as array:
                _check_header(array, member.file_size)
    file.seek(0)
    with np.load(file, allow_pickle=False) as loaded:
        return dict(loaded.items())


def _check_header(array: IO[bytes], size: int) -> None:
    """ValueError where a .npy header's shape and dtype do not make up the `size` bytes that are there."""
    version = npy.read_magic(array)
    read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}.get(version)
    if read is None:
        raise ValueError(f"version {version} of the .npy format is not for arrays of numbers")
    shape, _, dtype = read(array)
    if dtype.hasobject or min(shape, default=0) < 0:
        raise ValueError(f"an array of {dtype} and shape {shape}")
    if math.prod(shape) * dtype.itemsize != size - array.tell():
        raise ValueError(f"{size - array.tell()} bytes for an array of {dtype} and shape {shape}")


def _save_safetensors(file: BinaryIO, weights: dict[str, Any]) -> None:
    file.write(_safetensors().save(weights))


def _load_safetensors(file: BinaryIO) -> dict[str, Array]:
    arrays: dict[str, Array] = _safetensors().load(file.read())
    return arrays


def _safetensors() -> Any:
    try:
        import safetensors.numpy
    except ImportError:
        raise ImportError(
            "files that end in .safetensors need the package safetensors: "
            'pip install "convlite[safetensors]", or use a file that ends in .npz'
        ) from None
    return safetensors.numpy


_FORMATS: dict[str, tuple[Callable[..., None], Callable[..., dict[str, Array]]]] = {
    ".npz": (_save_npz, _load_npz),
    ".safetensors": (_save_safetensors, _load_safetensors),
}


def _format(path: StrPath) -> tuple[Callable[..., None], Callable[..., dict[str, Array]]]:
    known = _FORMATS.get(pathlib.Path(path).suffix)
    if known is None:
        raise ValueError(f"path must end in {' or '.join(_FORMATS)}; got {os.fspath(path)!r}")
    return known
