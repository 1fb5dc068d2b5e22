"""What models of other libraries can do and convlite's cannot: the error says what to do instead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__all__ = ["InferenceOnly"]


class InferenceOnly:
    """Layers and networks: they compute, and are trained elsewhere.

    The names are answered in `__getattr__` and not by attributes that raise, so that `dir`, `hasattr`, `help`
    and type checkers do not know them.
    """

    if not TYPE_CHECKING:  # type checkers refuse names that are not declared, as they should

        def __getattr__(self, name: str) -> Any:
            if not name.startswith("_"):
                from ._hints import elsewhere

                hint = elsewhere(name)
                if hint:
                    raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}: {hint}")
            return object.__getattribute__(self, name)  # raises again: a property's own error is kept
