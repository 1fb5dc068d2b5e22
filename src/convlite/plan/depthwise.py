"""Depthwise: vectors run along the groups, where this fills them better than the outputs of one group do.

Lines serve the usual kernels and strides: they compute one line of outputs at a time, with its sums in
registers. Tiles serve all other cases, with the direct form's loops.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import ClassVar

from .. import _kernels, sums
from ..geometry import Geometry
from .choice import depthwise_lines_costs, depthwise_tiles_costs, form
from .direct import Direct, blocks, cuts_of, flattened, spacing_of
from .problem import Problem
from .record import Plan

# A kernel row has a weight for each pixel of a tile but one. Against lane by lane over copied rows, on one
# core of a Zen 4, AVX-512 / AVX2: 7x7 on 96 channels of 56x56 1.55 / 1.3 times as fast, on 40 or 17 1.55 /
# 1.35; 9x9 1.4 / 1.05; 31x31 on 128 of 28x28 1.65 / 1.15, on 40 1.65 / 1.4; 27x27 on 768 of 7x7 3.2 / 2.8.
# Columns of 5 to 25 taps mostly 1.2 to 3 / 1.2 to 2.3, the least where rows are a multiple of 4 KB apart; 3x1
# 2.1 to 5 / 1.8 to 4 times as fast as tiles.
WIDE_LEAST = 6


class DepthwiseLines(Plan):
    """Lines are cut into pieces of `tile_pixels`; a dilated line is several, of pixels that lie apart."""

    loops: Geometry
    tile_pixels: int
    pair: int  # output rows from one to the other of two that are computed together
    spacing: int  # pixels from one to the next of a line
    lines: int  # 2 where two rows are computed together
    wide: bool  # kernel rows of any width, weights in panels of one vector
    piece: int  # kernel rows of a piece of the sum, and of a section (sums.py)
    section: int
    form: ClassVar[str] = "depthwise_lines"

    @property
    def layout(self) -> str:
        """The layout of both depthwise forms, or that of lane by lane, without zeros at its end."""
        lanes = _kernels.describe(self.isa, self.kind)["lanes"]
        return "depthwise" if not self.wide else "wide_lines" if self.loops.cin % lanes else "lanewise"

    @property
    def turned(self) -> bool:
        """Whether `loops` has the rows of images as columns."""
        return is_column(self.geometry)

    @cached_property
    def runner(self) -> _kernels.Runner:
        """The plan as C structures, built on first use."""
        return _kernels.DepthwiseLines(self)


class DepthwiseTiles(Direct):
    """Tiles of any pixels."""

    form: ClassVar[str] = "depthwise_tiles"

    @property
    def layout(self) -> str:
        """The layout of both depthwise forms."""
        return "depthwise"


def fills_vectors(groups: int, cin: int, cout: int, lanes: int) -> bool:
    """Whether vectors along the groups waste fewer lanes than vectors along one group's output channels.

    Both sum in the same order, so the choice does not change the result.

    >>> fills_vectors(32, 32, 32, 16), fills_vectors(1, 1, 64, 16)
    (True, False)
    """
    if groups != cin or groups == 1:
        return False
    width = max(cout // groups, 1)
    filled_across = groups / (-(-groups // lanes) * lanes)
    filled_within = width / (-(-width // lanes) * lanes)
    return filled_across >= filled_within


def is_column(geometry: Geometry) -> bool:
    """Whether a kernel is a column of taps: lines then run along the columns of images."""
    return geometry.columns.kernel == 1 < geometry.rows.kernel


def takes_wide(channels: int, width: int, stride: int, table: _kernels._Table) -> bool:
    """Whether lines take kernel rows of so many taps, where no kernel is made for them."""
    fills = stride == 1 and channels >= table["lanes"]
    return table["wide"] and fills and WIDE_LEAST <= width <= sums.PIECE


def _fills(problem: Problem) -> bool:
    geometry = problem.geometry
    return fills_vectors(geometry.groups, geometry.cin, geometry.cout, problem.table["lanes"])


@form
def depthwise_lines(problem: Problem) -> DepthwiseLines | None:
    """The plan, where the form serves: one of the kernels that isa/depthwise.h has, by (stride, width).

    Lines against tiles, on Zen 4: 3x3 on 96 channels of 56x56 24 -> 77 GFLOP/s, with stride 2 on 112x112
    20 -> 41, 5x5 on 240 of 14x14 37 -> 116 (products with padding counted, too).
    """
    if not _fills(problem):
        return None
    loops = problem.geometry
    if is_column(loops):
        loops = Geometry(loops.images, loops.columns, loops.rows, loops.cin, loops.cout, loops.groups)
    rows, columns = loops.rows, loops.columns
    row_spacing, spacing, table = spacing_of(rows), spacing_of(columns), problem.table
    if loops.cin != loops.cout or row_spacing * spacing == 0 or (columns.in_step > 1 and spacing > 1):
        return None
    pair, (cut,) = row_spacing // math.gcd(row_spacing, rows.in_step), cuts_of(columns, 1)
    lines, pixels = table["line_rows"], table["line_mr"]
    wide = (columns.in_step, columns.kernel) not in table["lines"]
    if wide and not takes_wide(loops.cin, columns.kernel, columns.in_step, table):
        return None
    if not wide and rows.kernel * columns.kernel > sums.PIECE:
        return None
    if wide and not (2 * rows.in_step * pair <= rows.kernel * row_spacing and pair < rows.phases[0].count):
        lines, pixels = 1, pixels * lines  # rows that share too little
    return DepthwiseLines(
        **problem.shared(depthwise_lines_costs(problem, wide)),
        loops=loops,
        tile_pixels=pixels,
        pair=pair,
        spacing=spacing,
        lines=lines,
        wide=wide,
        piece=cut.part // columns.kernel,
        section=cut.taps // columns.kernel,
    )


@form
def depthwise_tiles(problem: Problem) -> DepthwiseTiles | None:
    """The plan, where the form serves."""
    if not _fills(problem):
        return None
    loops, mr = flattened(problem.geometry), problem.table["depthwise_mr"]
    chosen = blocks(problem, loops, mr, addresses=mr, depthwise=True)
    return DepthwiseTiles(**problem.shared(depthwise_tiles_costs(problem)), **chosen)
