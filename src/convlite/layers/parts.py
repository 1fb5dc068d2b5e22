"""The contents of a layer's attributes: the layers inside, and the state to restore after a failed call.

Layers are found in attributes and in lists, tuples, deques and dicts, at any depth; the path is their name:
"conv", "blocks/0", "heads/left". A layer inside any other object would have no name, so it is refused:
otherwise its weights would be missing without an error.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import re
import threading
import types
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

if TYPE_CHECKING:
    from .base import Layer

__all__ = [
    "check_held",
    "find",
    "hides",
    "is_name",
    "rebuilt",
    "rehearses",
    "unchanged",
    "visit",
    "watching",
    "without_rehearsal",
]

T = TypeVar("T")
_LEAVES = (str, bytes, int, float, complex, type(None), np.dtype, np.generic, type, types.ModuleType)
_DEEPEST = 3  # the depth of objects in objects to which layers are searched for


def is_name(text: object) -> bool:
    """Whether `text` can be a part of a weight's name: a string without slashes, and not only dots."""
    return isinstance(text, str) and re.fullmatch(r"[^/\\]*[^/\\.][^/\\]*", text) is not None


def find(owner: str, attributes: Mapping[str, Any], kind: type[T]) -> list[tuple[str, T]]:
    """The objects of this kind in attributes, with their paths. ValueError for one that has no path.

    >>> find("layer", {"a": 1, "b": [2, {"c": 3.0}]}, float)
    [('b/1/c', 3.0)]
    """
    found: list[tuple[str, T]] = []

    def look(path: str, key: object, value: Any, inside: tuple[int, ...]) -> None:
        if isinstance(value, kind):
            if not is_name(str(key) if type(key) is int else key):
                raise ValueError(
                    f"{owner} holds a layer under the key {key!r} ({path}): a key must be an integer, or a "
                    "string without slashes, to be a part of the weights' names"
                )
            found.append((path, value))
        elif isinstance(value, (list, tuple, deque, dict)):
            if id(value) not in inside:
                items: Iterable[tuple[object, Any]] = (
                    value.items() if isinstance(value, dict) else enumerate(value)
                )
                count = len(found)
                for inner, item in items:
                    look(f"{path}/{inner}", inner, item, (*inside, id(value)))
                    if isinstance(inner, kind):
                        raise ValueError(f"{owner} holds a layer as a key of {path}: make it a value")
                if len(found) > count and not is_name(str(key) if type(key) is int else key):
                    raise ValueError(f"{owner} holds layers under the key {key!r} ({path}): give it a name")
        elif not isinstance(value, _LEAVES) and hides(value, kind):
            raise ValueError(
                f"{owner} holds a layer inside of {path}, a {type(value).__name__}, where its weights have "
                "no name: keep it in an attribute, or in a list, tuple or dict there"
            )

    for name, value in attributes.items():
        look(name, name, value, ())
    paths = [path for path, _ in found]
    double = next((path for path in paths if paths.count(path) > 1), None)
    if double is not None:
        raise ValueError(f"{owner} holds two layers under the name {double!r}: names must differ")
    return found


def hides(value: Any, kind: type, depth: int = _DEEPEST) -> bool:
    """Whether an object that is not a list, tuple or dict has an object of this kind inside."""
    if isinstance(value, kind):
        return True
    if isinstance(value, _LEAVES) or depth == 0:
        return False
    inner: list[Any] = []
    if isinstance(value, (list, tuple, deque, set, frozenset)):
        inner = list(value)
    elif isinstance(value, Mapping):
        inner = list(value.values())
    elif isinstance(value, np.ndarray):
        inner = list(value.flat) if value.dtype.hasobject else []
    elif isinstance(value, functools.partial):
        inner = [value.func, *value.args, *value.keywords.values()]
    elif isinstance(value, types.MethodType):
        inner = [value.__self__]
    elif isinstance(value, types.FunctionType):
        cells = [cell for cell in value.__closure__ or () if cell != types.CellType()]
        defaults = [*(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values()]
        named = [value.__globals__.get(name) for name in value.__code__.co_names]
        inner = [cell.cell_contents for cell in cells] + defaults
        inner += [item for item in named if isinstance(item, kind)]
    elif isinstance(getattr(value, "__dict__", None), dict):
        inner = list(vars(value).values())
    return any(hides(item, kind, depth - 1) for item in inner)


def rebuilt(value: Any, kind: type[T], change: Callable[[T], T]) -> Any:
    """Return `value` with `change` applied to every object of this kind; `value` itself if there is none.

    >>> rebuilt(([1, "a"], {"b": 2}), int, lambda n: n + 1)
    ([2, 'a'], {'b': 3})
    """
    if isinstance(value, kind):
        return change(value)
    if isinstance(value, dict):
        new = {key: rebuilt(item, kind, change) for key, item in value.items()}
        if all(new[key] is item for key, item in value.items()):
            return value
        mapping = copy.copy(value)
        mapping.update(new)
        return mapping
    if isinstance(value, (list, tuple, deque)):
        items = [item if item is value else rebuilt(item, kind, change) for item in value]
        if all(a is b for a, b in zip(items, value, strict=True)):
            return value
        if isinstance(value, tuple):
            return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
        twin = copy.copy(value)
        twin.clear()
        twin.extend(items)
        return twin
    return value


def _boxes(value: Any, found: list[tuple[Any, Any]]) -> None:
    """Add (container, copy of it) for the lists, deques, sets and dicts in a value to `found`."""
    if isinstance(value, (list, deque, dict, set)):
        if any(value is box for box, _ in found):
            return
        found.append((value, copy.copy(value)))
    if isinstance(value, (list, tuple, deque, dict)):
        for item in value.values() if isinstance(value, dict) else value:
            if isinstance(item, (list, tuple, deque, dict, set)):
                _boxes(item, found)


def _put_back(found: list[tuple[Any, Any]]) -> None:
    """Restore the content that containers had at the call of `_boxes`, if it has changed."""
    for box, before in found:
        if isinstance(box, dict):
            same = len(box) == len(before) and all(
                a is b and box[a] is before[b] for a, b in zip(box, before, strict=True)
            )
        else:
            same = len(box) == len(before) and all(a is b for a, b in zip(box, before, strict=True))
        if not same:
            box.clear()
            box.update(before) if isinstance(box, (dict, set)) else box.extend(before)


# ---- layers in layers --------------------------------------------------------------------------------------


def visit(
    layer: Layer,
    label: Callable[[str], str] = str,
    above: tuple[Layer, ...] = (),
    done: set[int] | None = None,
) -> Iterator[tuple[Layer, Callable[[str], str]]]:
    """The layer and all layers inside, each once, with the prefix of its weights. ValueError for a cycle."""
    if any(layer is other for other in above):
        raise ValueError(
            f"{layer.name} holds itself, through {[other.name for other in above]}: a network "
            "of layers must not run in a circle"
        )
    done = set() if done is None else done
    if id(layer) in done:
        return
    done.add(id(layer))
    yield layer, label
    for part, inner in [] if above and layer._names_its_own() else layer.sublayers():
        yield from visit(inner, _labels(layer, part, label), (*above, layer), done)


def _labels(layer: Layer, part: str, label: Callable[[str], str]) -> Callable[[str], str]:
    return lambda weight: label(layer._label(part, weight))


@contextlib.contextmanager
def unchanged(*layers: Layer) -> Iterator[None]:
    """If the block raises, restore the state of these layers and of all layers inside."""
    done: set[int] = set()
    states = []
    for outer in layers:
        for layer, _ in visit(outer, done=done):
            found: list[tuple[Any, Any]] = []
            for key, value in vars(layer).items():
                if key not in layer._private:
                    _boxes(value, found)
            states.append((layer, dict(vars(layer)), found))
    try:
        yield
    except BaseException:
        for layer, before, found in states:
            now = vars(layer)
            now.update({key: value for key, value in before.items() if now.get(key, now) is not value})
            for key in now.keys() - before.keys():
                del now[key]
            _put_back(found)
        raise


_watched = threading.local()  # the outermost layer of this thread's first call, and the layers inside it


@contextlib.contextmanager
def watching(layer: Layer, *, anew: bool = False) -> Iterator[None]:
    """In the block, refuse first calls of layers that are not inside the outermost layer."""
    outer = getattr(_watched, "layer", None)
    if outer is None or anew:
        _watched.layer, _watched.inside = layer, set()
    try:
        yield
    finally:
        if outer is None or anew:
            _watched.layer, _watched.inside = outer, set()


@contextlib.contextmanager
def without_rehearsal() -> Iterator[None]:
    """In the block, `build` makes the weights only and calls no layer, as calls have symbolic tensors."""
    before = getattr(_watched, "symbolic", False)
    _watched.symbolic = True
    try:
        yield
    finally:
        _watched.symbolic = before


def rehearses() -> bool:
    """Whether `build` calls the layers that it has built."""
    return not getattr(_watched, "symbolic", False)


def check_held(layer: Layer) -> None:
    """Check that the layer whose first call is running has this layer inside, and so finds its weights."""
    outer = getattr(_watched, "layer", None)
    if outer is None or id(layer) in _watched.inside:
        return
    _watched.inside = {id(inner) for inner, _ in visit(outer)}
    if id(layer) not in _watched.inside and layer.weight_names():
        raise ValueError(
            f"{outer.name} calls the layer {layer.name!r}, which none of its attributes holds: its weights "
            f"would be neither counted nor saved; keep it as self.{layer.name}, or in a list, tuple or dict"
        )
