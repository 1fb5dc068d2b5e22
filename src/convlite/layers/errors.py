"""Errors say which layer they come from: its class, its name, and the size that it was built for."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np

from ..arguments import shown

if TYPE_CHECKING:
    from .base import Layer

__all__ = ["tell", "telling"]

Method = TypeVar("Method", bound=Callable[..., Any])


def tell(error: TypeError | ValueError, layer: Layer, x: Any = None) -> None:
    """Put the class and name of the innermost layer in front of an error's text.

    If x has another shape than the outermost layer was built for, that shape is appended.
    """
    text = error.args[0] if len(error.args) == 1 else None
    if type(error) not in (TypeError, ValueError) or not isinstance(text, str):
        return  # an exception class of the caller
    name = getattr(layer, "name", None)
    told = error.__dict__.get("_told")
    if told is None and name is not None:
        kind = type(layer).__name__
        if text.startswith((f"{name} ", f"{name}:")):
            text = f"{kind} {name!r}{text[len(name) :]}"
        elif not text.startswith((f"{kind} {name!r}", f"the layer {name!r} ({kind})")):
            text = f"{kind} {name!r}: {text}"
        told = text
    if told is None:
        return
    error.__dict__["_told"] = told
    built = getattr(layer, "input_shape", None)
    said = shown(built) in told
    if built is not None and not said and isinstance(x, np.ndarray) and not _fits(x.shape, built):
        text = f"{told}; {type(layer).__name__} {name!r} was built for the shape {built}, x has {x.shape}"
    error.args = (text,)


def _fits(given: tuple[int, ...], built: tuple[int | None, ...]) -> bool:
    """Whether only the batch differs; the error itself reports another number of axes."""
    if len(given) != len(built):
        return True
    return all(b in (None, a) for a, b in zip(given[1:], built[1:], strict=True))


def telling(method: Method) -> Method:
    """Wrap a method of a layer so that its errors name the layer."""

    @functools.wraps(method)
    def wrapper(self: Layer, *arguments: Any, **keywords: Any) -> Any:
        try:
            return method(self, *arguments, **keywords)
        except (TypeError, ValueError) as error:
            tell(error, self)
            raise

    return cast(Method, wrapper)
