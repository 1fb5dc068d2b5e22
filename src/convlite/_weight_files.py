"""Named arrays in files: .safetensors or .npz, by the name's ending. Nothing is ever unpickled."""

import errno
import math
import os
import pathlib
import uuid
import zipfile
from collections.abc import Callable, Mapping
from typing import IO, Any, BinaryIO

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy

from ._options import suggesting
from .arguments import as_flag, shown

__all__ = ["StrPath", "read_halves", "read_weights", "refuse_stand_in", "write_weights"]

Array = npt.NDArray[Any]
StrPath = str | os.PathLike[str]
_DEFLATE = 1040  # DEFLATE's largest ratio: a member that claims more is forged


@suggesting
def write_weights(path: StrPath, weights: Mapping[str, Array], *, float16: bool = False) -> None:
    """Write named arrays; whoever opens `path` finds the old file or the new one, never a part.

    float16: round them to half precision. ValueError for another ending than .safetensors or .npz and for
    numbers that float16 cannot hold, ImportError where a package is missing.
    """
    save, _ = _format(path)
    if as_flag(float16, "float16"):
        weights = {name: _halved(name, array) for name, array in weights.items()}
    final = pathlib.Path(os.path.realpath(path))  # if it is a symbolic link, the target is replaced
    if not final.parent.is_dir():  # `open` would name a file that nobody asked for
        raise FileNotFoundError(errno.ENOENT, "No such folder", str(final.parent))
    part = final.with_name(f".{uuid.uuid4().hex}.part")
    try:
        with part.open("xb") as file:
            save(file, dict(weights))
            file.flush()
            os.fsync(file.fileno())
        part.replace(final)
    finally:
        part.unlink(missing_ok=True)


def _halved(name: str, array: Array) -> Array:
    with np.errstate(over="ignore"):
        half = array.astype(np.float16)
    lost = np.isinf(half) & np.isfinite(array)
    if lost.any():
        raise ValueError(
            f"float16 holds numbers up to 65504; weight {name!r} has {array[lost].flat[0]}: save it as it is"
        )
    return half


@suggesting
def read_weights(path: StrPath) -> dict[str, Array]:
    """Read the named arrays of a .safetensors or .npz file, such as `Sequential.save_weights` writes.

    float16 and bfloat16 come as float32, which holds each of their numbers exactly; all else as it is
    stored.

    Parameters
    ----------
    path : str or path-like
        The file.

    Returns
    -------
    dict of str to ndarray
        The arrays by name.

    Raises
    ------
    ValueError
        Where the file is malformed or has another ending.
    OSError
        Where it cannot be opened.
    ImportError
        Where .safetensors needs a package that is missing.

    Examples
    --------
    >>> import tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "w.npz")
    >>> np.savez(path, half=np.array([0.5, 1.5], np.float16))
    >>> read_weights(path)
    {'half': array([0.5, 1.5], dtype=float32)}
    """
    return read_halves(path)[0]


def refuse_stand_in(path: StrPath) -> None:
    """ValueError for what a download leaves in place of a file: a pointer of Git LFS, a web page."""
    try:
        with open(path, "rb") as file:
            begin = file.read(64).lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    except (OSError, ValueError):  # the reader says what it could not open, or a null byte
        return
    if begin.startswith(b"version https://git-lfs"):
        what = "is a pointer of Git LFS: run git lfs pull where it was cloned"
    elif begin.startswith((b"<!doctype html", b"<html")):
        what = "is a web page: download the file itself"
    else:
        return
    raise ValueError(f"{os.fspath(path)!r} {what}")


def read_halves(path: StrPath) -> tuple[dict[str, Array], set[str]]:
    """The arrays of a file, and the names of those that had half precision."""
    _, load = _format(path)
    refuse_stand_in(path)
    with open(path, "rb") as file:
        try:
            arrays, halves = load(file), set()
            for name, array in arrays.items():
                if array.dtype.kind == "V" or array.dtype.hasobject:
                    raise ValueError(
                        f"{name!r} holds {array.dtype}, which are no numbers; NumPy stores bfloat16 so: "
                        "write it as float32, or as a .safetensors file"
                    )
                if isinstance(array, _Brain):
                    halves.add(name)
                    arrays[name] = array.view(np.ndarray)
                elif array.dtype.newbyteorder("=") == np.float16:
                    halves.add(name)
                    arrays[name] = array.astype(np.float32)
            return arrays, halves
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


class _Brain(np.ndarray[Any, Any]):
    """Numbers that were bfloat16, the upper half of a float32."""


_STORED = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "BOOL": "?",
    **{f"{kind}{bits}": f"<{kind.lower()}{bits // 8}" for kind in "IU" for bits in (8, 16, 32, 64)},
}  # fmt: skip


def _load_safetensors(file: BinaryIO) -> dict[str, Array]:
    """The package checks header and sizes; its own NumPy form knows no bfloat16."""
    _safetensors()
    import safetensors

    parse: Callable[[bytes], list[tuple[str, dict[str, Any]]]] = safetensors.deserialize
    arrays: dict[str, Array] = {}
    for name, tensor in parse(file.read()):
        stored = _STORED.get(tensor["dtype"])
        if stored is None:
            raise ValueError(f"{name!r} is {tensor['dtype']}; convlite reads {', '.join(_STORED)}")
        array = np.frombuffer(tensor["data"], stored).reshape(tensor["shape"])
        if tensor["dtype"] == "BF16":
            array = (array.astype(np.uint32) << np.uint32(16)).view(np.float32).view(_Brain)
        arrays[name] = array
    return arrays


def _safetensors() -> Any:
    try:
        import safetensors.numpy
    except ImportError:
        raise ImportError(
            "files that end in .safetensors need the package safetensors: "
            "pip install safetensors, or use a file that ends in .npz"
        ) from None
    return safetensors.numpy


_FORMATS: dict[str, tuple[Callable[..., None], Callable[..., dict[str, Array]]]] = {
    ".npz": (_save_npz, _load_npz),
    ".safetensors": (_save_safetensors, _load_safetensors),
}


def _format(path: StrPath) -> tuple[Callable[..., None], Callable[..., dict[str, Array]]]:
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"path must be a string or a pathlib.Path; got {shown(path)}")
    ending = pathlib.Path(path).suffix
    known = _FORMATS.get(ending)
    if known is None or "\0" in os.fspath(path):
        hint = _FOREIGN.get(ending, "")
        raise ValueError(f"path must end in {' or '.join(_FORMATS)}; got {shown(os.fspath(path))}{hint}")
    return known


_KERAS = (
    ": weights alone are neither written to nor read from files of Keras. "
    "model.set_weights(keras_model.get_weights()) takes them from a live model, and convlite.load reads a "
    "whole network"
)
_TORCH = (
    ": files of PyTorch may be pickles, which run code, and are not read. In PyTorch, "
    "safetensors.torch.save_file(module.state_dict(), path) writes one that is; convert.from_torch turns "
    "kernels into this layout"
)
_FOREIGN = {".h5": _KERAS, ".hdf5": _KERAS, ".keras": _KERAS, ".pt": _TORCH, ".pth": _TORCH, ".bin": _TORCH}
