"""Methods that models of other libraries have and convlite's do not: the error says what to do instead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__all__ = ["InferenceOnly"]


class InferenceOnly:
    """The base of layers and networks, which cannot be trained here.

    `__getattr__` raises the errors for the names. There are no attributes for them, so `dir`, `hasattr`,
    `help` and type checkers do not list them.
    """

    if not TYPE_CHECKING:  # type checkers refuse names that are not declared, as they should

        def __getattr__(self, name: str) -> Any:
            if not name.startswith("_"):
                from ._hints import elsewhere

                hint = elsewhere(name)
                if hint:
                    raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}: {hint}")
            return object.__getattribute__(self, name)  # raises again: a property's own error is kept
