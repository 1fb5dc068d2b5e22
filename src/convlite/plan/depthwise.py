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
from .direct import Direct, blocks, flattened, spacing_of
from .problem import Problem
from .record import Plan


class DepthwiseLines(Plan):
    """Lines are cut into pieces of `tile_pixels`; a dilated line is several, of pixels that lie apart."""

    loops: Geometry
    tile_pixels: int
    pair: int  # output rows from one to the other of two that are computed together
    spacing: int  # pixels from one to the next of a line
    form: ClassVar[str] = "depthwise_lines"

    @property
    def layout(self) -> str:
        """The layout of both depthwise forms."""
        return "depthwise"

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
    loops = flattened(problem.geometry)
    rows, columns = loops.rows, loops.columns
    row_spacing, spacing = spacing_of(rows), spacing_of(columns)
    serves = (
        loops.cin == loops.cout
        and row_spacing * spacing > 0
        and rows.kernel * columns.kernel <= sums.PIECE
        and (columns.in_step, columns.kernel) in problem.table["lines"]
        and (columns.in_step == 1 or spacing == 1)
    )
    if not serves:
        return None
    shared = problem.shared(depthwise_lines_costs(problem))
    pair = row_spacing // math.gcd(row_spacing, rows.in_step)
    return DepthwiseLines(
        **shared, loops=loops, tile_pixels=problem.table["line_mr"], pair=pair, spacing=spacing
    )


@form
def depthwise_tiles(problem: Problem) -> DepthwiseTiles | None:
    """The plan, where the form serves."""
    if not _fills(problem):
        return None
    loops, mr = flattened(problem.geometry), problem.table["depthwise_mr"]
    chosen = blocks(problem, loops, mr, addresses=mr, depthwise=True)
    return DepthwiseTiles(**problem.shared(depthwise_tiles_costs(problem)), **chosen)
