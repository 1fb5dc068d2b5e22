"""Loading a model's weights from a file, with a report of those that were not loaded."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from .._weight_files import StrPath, read_halves, read_weights, write_weights
from ..arguments import as_flag, shown
from .base import Array, Layer

__all__ = ["LoadReport", "Rename", "load_into", "read_weights", "write_weights"]

Rename = Mapping[str, str | None] | Callable[[str], str | None] | None


@dataclass(frozen=True)
class LoadReport:
    """What `load_weights` did with a file; `str(report)` says it in words.

    Parameters
    ----------
    path : str
        The file.
    loaded : tuple of str, default ()
        The model's weights that were in the file.
    missing : tuple of str, default ()
        The model's weights that were not in the file.
    unused : tuple of str, default ()
        Names in the file, after renaming, that the model does not have.
    mismatched : mapping, default {}
        For each weight whose shape differs: (the model's shape, the file's shape).

    Examples
    --------
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
    """Load a file's weights into a model; `Sequential.load_weights` documents it."""
    whole = as_flag(strict, "strict")
    arrays, halves = read_halves(path)
    if _is_network(arrays):
        file = os.fspath(path)
        raise ValueError(
            f"{file!r} is a whole network, as save writes it: read it by convlite.load({file!r}); "
            "load_weights takes files of save_weights"
        )
    arrays, halves = _renamed(arrays, halves, rename)
    places = model._places()
    missing, unused = (
        tuple(name for name in some if name not in others)
        for some, others in ((places, arrays), (arrays, places))
    )
    if whole and (missing or unused):
        raise ValueError(
            f"the weights of the file are not those of {model.name}: missing {list(missing)}, unknown "
            f"{list(unused)}; strict=False takes those that fit, rename= changes the names of the file"
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
            f"the model's {shown(list(own))}; rename= changes the names of the file"
        )
    model.assign({**own, **fit})
    return LoadReport(os.fspath(path), tuple(n for n in own if n in fit), missing, unused, differ)


def _is_network(arrays: Mapping[str, Array]) -> bool:
    """Whether a file holds a network: a graph in JSON, and arrays with numbers as names."""
    graph = arrays.get("graph")
    return (
        graph is not None
        and graph.dtype == np.uint8
        and graph.ndim == 1
        and graph[:20].tobytes().startswith(b'{"format":')
        and all(name == "graph" or name.isdecimal() for name in arrays)
    )


def _renamed(arrays: dict[str, Array], halves: set[str], rename: Rename) -> tuple[dict[str, Array], set[str]]:
    """The arrays under their names after `rename`; an array is left out if its new name is None."""
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
            f"rename has {shown(idle)}, but no name in the file begins with it; the file has "
            f"{shown(list(arrays))}"
        )
    return new, {to for to, name in was.items() if name in halves}
