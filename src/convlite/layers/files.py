"""Weights in files: .safetensors or .npz, by the name's ending. Nothing is ever unpickled."""

import math
import os
import pathlib
import uuid
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import IO, Any, BinaryIO

import numpy as np
from numpy.lib import format as npy

from ..arguments import as_flag, shown
from .base import Array, Layer

__all__ = ["LoadReport", "Rename", "load_into", "read_weights", "write_weights"]

StrPath = str | os.PathLike[str]
Rename = Mapping[str, str | None] | Callable[[str], str | None] | None
_DEFLATE = 1040  # bytes that one compressed byte can become at most: more is a lie


@dataclass(frozen=True)
class LoadReport:
    """What `load_weights` did with a file; `str(report)` says it in words.

    loaded, missing: names of the model's weights that the file had, and had not. unused: names of the file
    that the model has not (after renaming). mismatched: name -> (the model's shape, the file's).

    >>> print(LoadReport("w.npz", ("a/kernel",), ("b/kernel",), (), {"c/bias": ((7,), (3,))}))
    w.npz: 1 of 3 weights loaded
    missing in the file: b/kernel
    of another shape: c/bias, (7,) here and (3,) in the file
    """

    path: str
    loaded: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    mismatched: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]] = field(default_factory=dict)

    def __str__(self) -> str:
        total = len(self.loaded) + len(self.missing) + len(self.mismatched)
        lines = [f"{self.path}: {len(self.loaded)} of {total} weights loaded"]
        if self.missing:
            lines.append(f"missing in the file: {', '.join(self.missing)}")
        if self.unused:
            lines.append(f"not in the model: {', '.join(self.unused)}")
        for name, (here, there) in self.mismatched.items():
            lines.append(f"of another shape: {name}, {here} here and {there} in the file")
        return "\n".join(lines)


def load_into(model: Layer, path: StrPath, *, strict: bool = True, rename: Rename = None) -> LoadReport:
    """Give a model the weights of a file: `Sequential.load_weights`, which documents it."""
    whole = as_flag(strict, "strict")
    arrays, halves = _read(path)
    arrays, halves = _renamed(arrays, halves, rename)
    places = model._places()
    missing, unused = (
        tuple(name for name in some if name not in others)
        for some, others in ((places, arrays), (arrays, places))
    )
    if whole and (missing or unused):
        raise ValueError(
            f"{model.name} has other weights: missing {list(missing)}, unknown {list(unused)}; strict=False "
            "takes what fits, rename= says what else a name of the file means"
        )
    for name, array in arrays.items():
        dtype = getattr(places[name][0], "dtype", None) if name in places else None
        if name in halves and dtype is not None:
            arrays[name] = array.astype(dtype)  # exact: every half number is one of the longer ones
        elif dtype is not None and array.dtype.newbyteorder("=") != dtype:
            raise TypeError(
                f"weight {name!r} must be {dtype}; got {array.dtype} in {os.fspath(path)!r}: cast what "
                f"layers.read_weights(path) gives with .astype({dtype.name!r}), and assign it"
            )
    if whole:
        model.assign(arrays)
        return LoadReport(os.fspath(path), tuple(places))
    if not model.built:
        raise ValueError(f"{model.name} must be built for strict=False: call build((None, ...)) first")
    own = model.named_weights()
    differ = {
        name: (own[name].shape, array.shape)
        for name, array in arrays.items()
        if name in own and own[name].shape != array.shape
    }
    fit = {name: array for name, array in arrays.items() if name in own and name not in differ}
    if not fit:
        raise ValueError(
            f"{os.fspath(path)!r} has no weight that fits {model.name}: its names are {shown(list(arrays))}, "
            f"the model's {shown(list(own))}; rename= says what a name of the file means"
        )
    model.assign({**own, **fit})
    return LoadReport(os.fspath(path), tuple(n for n in own if n in fit), missing, unused, differ)


def _renamed(arrays: dict[str, Array], halves: set[str], rename: Rename) -> tuple[dict[str, Array], set[str]]:
    """The arrays under the names that `rename` gives them, without those that it gives None."""
    if rename is None:
        return arrays, halves
    if not callable(rename) and not isinstance(rename, Mapping):
        raise TypeError(f"rename must be a mapping or a function of a name; got {shown(rename)}")
    new: dict[str, Array] = {}
    was: dict[str, str] = {}
    used: set[str] = set()
    for name, array in arrays.items():
        if isinstance(rename, Mapping):
            heads = [k for k in rename if isinstance(k, str) and f"{name}/".startswith(f"{k}/")]
            head = max(heads, key=len, default=None)
            used.update(heads)
            to = rename[head] if head is not None else name
            if head is not None and isinstance(to, str):
                to += name[len(head) :]
        else:
            to = rename(name)
        if to is None:
            continue
        if not isinstance(to, str):
            raise TypeError(f"rename must give a name or None for {name!r}; got {shown(to)}")
        if to in new:
            raise ValueError(f"rename gives {was[to]!r} and {name!r} the same name, {to!r}")
        new[to], was[to] = array, name
    if isinstance(rename, Mapping) and (idle := [key for key in rename if key not in used]):
        raise ValueError(
            f"rename has {shown(idle)}, and no name in the file begins so; the file has {shown(list(arrays))}"
        )
    return new, {to for to, name in was.items() if name in halves}


def write_weights(path: StrPath, weights: Mapping[str, Array], *, float16: bool = False) -> None:
    """Write named arrays; whoever opens `path` finds the old file or the new one, never a part.

    float16: round them to half precision. ValueError for another ending than .safetensors or .npz and for
    numbers that float16 cannot hold, ImportError where a package is missing.
    """
    save, _ = _format(path)
    if as_flag(float16, "float16"):
        weights = {name: _halved(name, array) for name, array in weights.items()}
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


def _halved(name: str, array: Array) -> Array:
    with np.errstate(over="ignore"):
        half = array.astype(np.float16)
    lost = np.isinf(half) & np.isfinite(array)
    if lost.any():
        raise ValueError(
            f"float16 holds numbers up to 65504; weight {name!r} has {array[lost].flat[0]}: save it as it is"
        )
    return half


def read_weights(path: StrPath) -> dict[str, Array]:
    """The named arrays of a .safetensors or .npz file, such as `Sequential.save_weights` writes.

    float16 and bfloat16 come as float32, which holds each of their numbers exactly; all else as it is stored.
    ValueError where the file is malformed or has another ending, OSError where it cannot be opened,
    ImportError where .safetensors needs a package that is missing.

    >>> import tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "w.npz")
    >>> np.savez(path, half=np.array([0.5, 1.5], np.float16))
    >>> read_weights(path)
    {'half': array([0.5, 1.5], dtype=float32)}
    """
    return _read(path)[0]


def _read(path: StrPath) -> tuple[dict[str, Array], set[str]]:
    """The arrays of a file, and the names of those that had half precision."""
    _, load = _format(path)
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
            'pip install "convlite[safetensors]", or use a file that ends in .npz'
        ) from None
    return safetensors.numpy


_FORMATS: dict[str, tuple[Callable[..., None], Callable[..., dict[str, Array]]]] = {
    ".npz": (_save_npz, _load_npz),
    ".safetensors": (_save_safetensors, _load_safetensors),
}


def _format(path: StrPath) -> tuple[Callable[..., None], Callable[..., dict[str, Array]]]:
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"path must be a string or a pathlib.Path; got {shown(path)}")
    known = _FORMATS.get(pathlib.Path(path).suffix)
    if known is None or "\0" in os.fspath(path):
        raise ValueError(f"path must end in {' or '.join(_FORMATS)}; got {shown(os.fspath(path))}")
    return known
