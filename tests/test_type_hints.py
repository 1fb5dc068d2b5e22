"""The types of every public function, class and method can be asked for at run time."""

from __future__ import annotations

import importlib
import inspect
import typing
from collections.abc import Iterator
from typing import Any

import pytest

MODULES = (
    "convlite",
    "convlite.layers",
    "convlite.activations",
    "convlite.initializers",
    "convlite.initializers.keras3",
    "convlite.convert",
    "convlite.reference",
)


def public() -> Iterator[tuple[str, Any]]:
    """Every public callable and every method of a public class, by its name."""
    for name in MODULES:
        module = importlib.import_module(name)
        for word in module.__all__:
            value = getattr(module, word)
            if not callable(value):
                continue
            yield f"{name}.{word}", value
            for method, function in inspect.getmembers(value) if inspect.isclass(value) else ():
                if inspect.isroutine(function) and "convlite" in (getattr(function, "__module__", "") or ""):
                    yield f"{name}.{word}.{method}", function
                elif isinstance(function, property):
                    yield f"{name}.{word}.{method}", function.fget


@pytest.mark.parametrize(("name", "thing"), list(public()), ids=[name for name, _ in public()])
def test_types_resolve(name: str, thing: Any) -> None:
    hints = typing.get_type_hints(thing)
    if inspect.isfunction(thing) and not name.endswith("__"):
        assert "return" in hints, f"{name} does not say what it returns"
