"""Pixel vectors: few output channels. Vectors run along the pixels of a row, which is transposed first."""

from __future__ import annotations

from functools import cached_property
from typing import Any, ClassVar

from .. import _kernels, sums
from ..geometry import Axis, Geometry
from .choice import form, pixel_vectors_costs
from .direct import EDGE_BYTES, cuts_of, one_section, reach, reads_outside
from .problem import Problem
from .record import Plan

# A tile's slice of the transposed row stays in L1; the row and the rolling sums of a stretch stay in L2.
TILE_BYTES = 24 * 1024
STRETCH_BYTES = 128 * 1024
# Lines of pixel vectors multiply the padding at their ends; strided tiles leave it out if there is much of
# it.
MOST_INSIDE = 0.8


class PixelVectors(Plan):
    """What kernels/pixel_vectors.pxi needs besides the geometry."""

    padding: bool  # whether some pixel reads outside the input
    cuts: tuple[sums.Cuts, ...]  # of each column phase: where sums are cut
    row_scale: int
    row_divisor: int
    deltas: tuple[int, ...]  # of each kernel row
    descending: bool
    planes: int
    taps: tuple[tuple[int, ...], ...]  # of each column phase: which kernel columns
    left: int
    right: int
    stretch: int
    tile: int
    form: ClassVar[str] = "pixel_vectors"

    @property
    def needs_finite(self) -> bool:
        """Where the transposed row holds zeros for padding."""
        return self.padding

    @cached_property
    def runner(self) -> _kernels.Runner:
        """The plan as C structures, built on first use."""
        return _kernels.PixelVectors(self)


@form
def pixel_vectors(problem: Problem) -> PixelVectors | None:
    """The plan, where the form serves."""
    geometry, weights = problem.geometry, problem.weights
    rows, columns = geometry.rows, geometry.columns
    if problem.empty or geometry.groups != 1 or not weights.general:
        return None
    if not problem.table["pixels"]:
        return None
    if weights.transposed and max(weights.dilations) > 1:
        return None
    # the copied input row includes its padding, and a wide dilation makes it long
    if reach(columns, 1) * geometry.cin * problem.bytes > EDGE_BYTES:
        return None
    if geometry.cout > problem.table["lanes"] and _inside(columns) < MOST_INSIDE:
        return None
    padding = reads_outside(rows) or reads_outside(columns)
    if (padding and not weights.finite) or not one_section(geometry):
        return None
    chosen = _rows_and_columns(geometry, problem.table["lanes"], problem.bytes)
    return PixelVectors(**problem.shared(pixel_vectors_costs(problem)), padding=padding, **chosen)


def _inside(axis: Axis) -> float:
    """The share of the products along an axis whose input is not padding."""
    found = 0
    for p in axis.phases:
        for o in p.offsets:
            first, last = max(-(o // p.in_step), 0), (axis.in_size - 1 - o) // p.in_step
            found += max(min(last + 1, p.count) - first, 0)
    return found / max(axis.products, 1)


def _rows_and_columns(geometry: Geometry, lanes: int, size: int) -> dict[str, Any]:
    """The rows and columns in the form that kernels/pixel_vectors.pxi expects."""
    rows, columns = geometry.rows, geometry.columns
    row, column = rows.phases[0], columns.phases[0]
    transposed = len(rows.phases) + len(columns.phases) > 2 or max(row.step, column.step) > 1
    transposed = transposed or row.offsets[-1:] < row.offsets[:1] or column.offsets[-1:] < column.offsets[:1]
    taps: tuple[tuple[int, ...], ...] = (tuple(range(columns.kernel)),)
    if transposed:  # dilation 1
        deltas = tuple(range(-rows.pads[0], rows.kernel - rows.pads[0]))
        firsts = [(p.start + columns.pads[0], p.step, p.offsets) for p in columns.phases]
        taps = tuple([tuple([first - o * step for o in offsets]) for first, step, offsets in firsts])
    else:
        deltas = tuple([-o for o in row.offsets])
    planes = column.in_step
    places = [0] + [o // planes for p in columns.phases for o in p.offsets]
    left, right = -(min(places) // lanes) * lanes, max(places)
    sums = ((max(deltas) - min(deltas)) // row.in_step + 1) * len(columns.phases) * geometry.cout
    fits = STRETCH_BYTES // (size * (planes * geometry.cin + sums)) // lanes
    vectors = -(-column.count // lanes)
    stretch = -(-vectors // -(-vectors // max(fits, 8)))
    return {
        "cuts": cuts_of(columns, geometry.cin),
        "row_scale": row.step,
        "row_divisor": row.in_step,
        "deltas": deltas,
        "descending": transposed,
        "planes": planes,
        "taps": taps,
        "left": left,
        "right": right,
        "stretch": stretch * lanes,
        "tile": max(TILE_BYTES // (size * lanes * planes * geometry.cin), 4),
    }
