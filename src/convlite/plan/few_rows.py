"""Few rows: a matrix product of at most eight rows with an array that is used once, as it lies."""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar

from .. import _kernels, sums
from ..geometry import Geometry
from .choice import few_rows_costs, form
from .direct import flattened
from .problem import Problem
from .record import Plan

# Packing a matrix for one product with few rows costs more than the product.
FEW_ROWS = 8


class FewRows(Plan):
    """The rows of x are `rows`; the weights lie as [Cin][Cout]."""

    rows: int
    piece: int  # input channels of a piece of a sum
    section: int  # and of a section
    form: ClassVar[str] = "few_rows"

    @property
    def layout(self) -> str:
        """As it lies."""
        return ""

    @cached_property
    def runner(self) -> _kernels.Runner:
        """The plan as C structures, built on first use."""
        return _kernels.FewRows(self)


def is_product(loops: Geometry) -> bool:
    """Whether the operation is a matrix product of one row of pixels, as `flattened` leaves it."""
    one_row = loops.groups == loops.images == loops.rows.out_size == 1
    return one_row and loops.rows.is_point and loops.columns.is_point


@form
def few_rows(problem: Problem) -> FewRows | None:
    """The plan, where the form serves."""
    weights, loops = problem.weights, flattened(problem.geometry)
    rows = loops.columns.out_size
    if weights.packed or weights.transposed or rows > FEW_ROWS or not is_product(loops):
        return None
    cut, shared = sums.cuts(1, loops.cin), problem.shared(few_rows_costs(problem, rows))
    return FewRows(**shared, rows=rows, piece=cut.part, section=cut.channels)
