"""What the plans of all forms tell. Each form's record adds what its loops need to know, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from .. import _kernels
from ..geometry import Geometry


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How a call is computed: frozen, so that calls and threads share it."""

    geometry: Geometry
    isa: str
    bits: int
    nanoseconds: int  # on one thread, by costs.py

    form: ClassVar[str]

    @property
    def layout(self) -> str:
        """Of the weights: what pack.py makes for this form; "" where it uses the array as it lies."""
        return self.form

    @property
    def needs_finite(self) -> bool:
        """Whether zeros stand for padding: NaN and Inf among the weights would show there."""
        return False

    @cached_property
    def runner(self) -> _kernels.Runner:
        """The plan as C structures, built on first use."""
        raise NotImplementedError(self.form)

    def __str__(self) -> str:
        """The form, as `explain` names it."""
        return self.form.replace("_", " ")
