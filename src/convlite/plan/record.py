"""The fields that the plans of all forms have. Each form's record adds only what its loops need."""

from __future__ import annotations

from functools import cached_property
from typing import Any, ClassVar

from .. import _kernels
from ..geometry import Geometry


class Plan:
    """How a call is computed: frozen, so that calls and threads share it. Equal fields make equal records.

    A dataclass would do the same, but each dataclass adds a millisecond to the import of convlite.
    """

    geometry: Geometry
    isa: str
    kind: str  # of the elements: isa/table.h
    nanoseconds: int  # the estimated time on one thread: choice.py

    form: ClassVar[str]
    fields: ClassVar[tuple[str, ...]] = ("geometry", "isa", "kind", "nanoseconds")

    def __init_subclass__(cls) -> None:
        cls.fields += tuple([name for name, kind in cls.__annotations__.items() if "ClassVar" not in kind])

    def __init__(self, **values: Any) -> None:
        if values.keys() != set(self.fields):
            raise TypeError(f"{self.form} has the fields {self.fields}; got {tuple(values)}")
        self.__dict__.update(values)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a plan is frozen: {name} stays")

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.key() == other.key()

    def __hash__(self) -> int:
        return hash(self.key())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join([f'{n}={getattr(self, n)!r}' for n in self.fields])})"

    def key(self) -> tuple[Any, ...]:
        """The fields' values."""
        return tuple([getattr(self, name) for name in self.fields])

    @property
    def layout(self) -> str:
        """The layout of the weights that pack.py makes for this form; "" where the form uses the array
        unpacked.
        """
        return self.form

    @property
    def needs_finite(self) -> bool:
        """Whether padding is multiplied as zeros: NaN and Inf in the weights would then change the result."""
        return False

    @cached_property
    def runner(self) -> _kernels.Runner:
        """The plan as C structures, built on first use."""
        raise NotImplementedError(self.form)

    @property
    def apart(self) -> _kernels.Runner:
        """The runner for an x whose pixels are not adjacent in memory: some channels of a larger array."""
        return self.runner

    def __str__(self) -> str:
        """The form, as `explain` names it."""
        return self.form.replace("_", " ")
