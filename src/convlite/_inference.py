"""Methods that models of other libraries have and convlite's do not: the error says what to do instead."""

from __future__ import annotations

import abc
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

__all__ = ["InferenceOnly"]

_TRAINING = (
    "convlite runs networks and does not train them; train in Keras or PyTorch and read the result by "
    "convlite.load, convlite.Network.from_keras or convlite.Network.from_torch"
)
_CALL = "call the object itself, as in model(x)"
_ON_CPU = "convlite computes on the CPU: leave it out"
# Attributes of other libraries' models, and what to do instead.
_ELSEWHERE = {
    **dict.fromkeys(("fit", "fit_generator", "train", "train_on_batch", "train_step"), _TRAINING),
    **dict.fromkeys(("backward", "zero_grad", "requires_grad_", "optimizer", "loss"), _TRAINING),
    "compile": "convlite runs networks, does not train them and needs no compile: leave it out",
    **dict.fromkeys(
        ("evaluate", "test_on_batch"),
        "convlite runs networks and has no metrics: compute the outputs, as in y = model(x), and compare "
        "them with the labels in NumPy",
    ),
    "eval": "convlite always computes inference: leave it out",
    **dict.fromkeys(("forward", "run", "predict_on_batch", "predict_step", "invoke"), _CALL),
    **dict.fromkeys(("to", "cuda", "cpu"), _ON_CPU),
}


class _Missing:
    """An attribute that does not exist, and says what to do instead."""

    def __init__(self, name: str, hint: str) -> None:
        self.name, self.hint = name, hint

    def __get__(self, instance: object, owner: type) -> Any:
        """Return the attribute of a base that stands behind InferenceOnly, or raise AttributeError."""
        try:
            return getattr(super(InferenceOnly, owner if instance is None else instance), self.name)
        except AttributeError:
            of = f"type object {owner.__name__!r}" if instance is None else f"{owner.__name__!r} object"
            raise AttributeError(f"{of} has no attribute {self.name!r}: {self.hint}") from None


def _without_missing(owner: type, names: Iterable[str]) -> list[str]:
    """The names less those that are missing attributes of a class."""

    def is_missing(name: str) -> bool:
        found = next((vars(kind)[name] for kind in owner.__mro__ if name in vars(kind)), None)
        return isinstance(found, _Missing)

    return [name for name in names if name not in _ELSEWHERE or not is_missing(name)]


class _Kind(abc.ABCMeta):
    """The type of the classes, so that `dir` and `help` of a class do not list what is missing."""

    def __dir__(cls) -> list[str]:
        return _without_missing(cls, super().__dir__())


class InferenceOnly(metaclass=_Kind):
    """The base of layers and networks, which cannot be trained here.

    Descriptors raise the errors. A `__getattr__` would do, but Python reads each attribute of a class with
    one the slow way: 0.1 us in each call of a layer. `dir`, `hasattr`, `help` and type checkers do not
    list the names.
    """

    if not TYPE_CHECKING:  # type checkers refuse names that are not declared, as they should

        def __dir__(self) -> list[str]:
            mine = vars(self) if hasattr(self, "__dict__") else {}
            return sorted({*_without_missing(type(self), super().__dir__()), *mine})


for _name, _hint in _ELSEWHERE.items():
    setattr(InferenceOnly, _name, _Missing(_name, _hint))
