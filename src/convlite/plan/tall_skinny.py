"""Tall and skinny: each output reads one pixel, and each pixel gives few outputs. Vectors run along the
pixels, and all sums of a pixel stay in registers. With few channels a vector instead holds several pixels
side by side, in their order in memory.
"""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar

from .. import _kernels, sums
from .choice import form, pixels_together, tall_skinny_costs
from .direct import one_section
from .problem import Problem
from .record import Plan

LEAST_CHANNELS = 4  # 16 bytes of a pixel are read at a time


class TallSkinny(Plan):
    """The geometry holds everything but the places where sums are cut."""

    piece: int  # input channels of a piece of a sum
    together: int  # pixels side by side in a vector; 0: each lane is a pixel
    form: ClassVar[str] = "tall_skinny"

    @cached_property
    def runner(self) -> _kernels.Runner:
        """The plan as C structures, built on first use."""
        return _kernels.TallSkinny(self)


@form
def tall_skinny(problem: Problem) -> TallSkinny | None:
    """The plan, if every output reads one pixel, every pixel gives all of its outputs (no padding, no crop),
    these are few, each sum is one section, and there are enough pixels for a vector.
    """
    geometry, weights, table = problem.geometry, problem.weights, problem.table
    rows, columns = geometry.rows, geometry.columns
    steps = weights.strides if weights.transposed else (1, 1)
    serves = (
        not problem.empty
        and geometry.groups == 1
        and weights.size == steps
        and weights.strides == steps
        and (not weights.transposed or max(weights.dilations) == 1)
        and all(a.pads == (0, 0) and a.out_size == a.in_size * a.kernel for a in (rows, columns))
        and (geometry.cin >= LEAST_CHANNELS or pixels_together(problem))
        and rows.kernel * columns.kernel * geometry.cout <= table["skinny_sums"]
        and geometry.images * rows.in_size * columns.in_size >= table["lanes"]
        and one_section(geometry)
    )
    if not serves:
        return None
    together, shared = pixels_together(problem), problem.shared(tall_skinny_costs(problem))
    return TallSkinny(**shared, piece=sums.cuts(1, geometry.cin).part, together=together)
