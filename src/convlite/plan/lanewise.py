"""Few channels for each group, and depthwise kernels of any size: vectors along the outputs of all groups.

The input is copied row by row, so that lane l of a vector holds what output channel l reads. For a depthwise
operation this is one vector, with each channel repeated `multiplier` times; for groups of k channels it is k
vectors, one for each channel of the group. Each output is then a sum of lane-by-lane products over kernel
rows, columns and those k vectors, for any kernel, stride and dilation. Zeros surround the copied rows.

A vector holds LANES output channels of one pixel. If there are fewer channels, or half as many again, it
continues with the next pixel of the row: each pixel has `per` numbers, so that a whole number of pixels fills
one vector or three.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, ClassVar

from .. import _kernels, sums
from ..geometry import Axis, Geometry, channels_of
from .choice import WINS, form, lanewise_costs
from .depthwise import takes_wide
from .direct import cuts_of, flattened, reads_outside
from .problem import Problem, Weights
from .record import Plan

# A task's copied rows fit L1, or have enough pixels that few are copied twice; MOST_BYTES is the limit.
ROWS_BYTES = 32 * 1024
MOST_BYTES = 4 * 1024 * 1024
MIN_VECTORS = 28  # the least vectors in a line of a task: two tiles
EDGES = 4  # the least pixels of a task for each pixel that it shares with its neighbour
BAND_ROWS = 4  # the same for rows
BAND_BYTES = 1024 * 1024  # the input rows that all blocks of channels read in turn stay in L2


class Lanewise(Plan):
    """The layout of the copied rows, and the size of a task."""

    loops: Geometry  # `geometry`, or the same pixels in one row
    padding: bool  # whether some pixel reads outside the input
    per: int  # numbers of a pixel
    patterns: int  # the number of vectors after which a pixel begins at the start of a vector again
    lowest: int  # of all taps: pixels of a plane before and behind that of the output
    highest: int
    positions: int  # pixels of a plane of a copied row
    x_step: int  # numbers from one copied vector's row to the next
    slots: int  # input rows from the first to the last that an output row reads
    stretches: int  # tasks: along a row, and along the rows
    bands: int
    pieces: tuple[int, ...]  # of each column phase: kernel rows of a piece of the sum (sums.py)
    sections: tuple[int, ...]  # and of a section
    form: ClassVar[str] = "lanewise"

    @property
    def needs_finite(self) -> bool:
        """Where zeros stand around the copied rows."""
        return self.padding

    @cached_property
    def runner(self) -> _kernels.Runner:
        """The plan as C structures, built on first use."""
        return _kernels.Lanewise(self)


@form
def lanewise(problem: Problem) -> Lanewise | None:
    """The plan, where the form serves."""
    weights, loops = problem.weights, flattened(problem.geometry)
    # the weights of neighbouring outputs have uneven distances in memory
    uneven = weights.transposed and weights.shape[2] > 1
    if problem.empty or not problem.table["lanewise"] or len(weights.shape) != 4 or uneven:
        return None
    padding = reads_outside(loops.rows) or reads_outside(loops.columns)
    chosen = _tasks(loops, problem.table, problem.bytes)
    if chosen is None or (padding and not weights.finite):
        return None
    return Lanewise(**problem.shared(lanewise_costs(problem)), loops=loops, padding=padding, **chosen)


def wins(weights: Weights, table: _kernels._Table) -> bool:
    """Whether the form wins for this kernel, whatever the input's size.

    >>> table = {"lanewise": True, "lanes": 16, "lines": {(1, 3), (2, 3)}, "wide": True}
    >>> wins(Weights("depthwise_conv2d", (7, 7, 12, 1)), table)
    True
    >>> wins(Weights("conv2d", (3, 3, 4, 128), groups=32), table)
    True
    """
    kernel, strides = weights.shape, weights.strides
    if not table["lanewise"] or len(kernel) != 4 or 0 in kernel:
        return False
    lanes = table["lanes"]
    cin, cout, groups = channels_of(weights.operation, kernel, weights.groups)
    channels, width, taps = cin // groups, cout // groups, kernel[0] * kernel[1]
    uses = taps if weights.transposed else taps / (strides[0] * strides[1])  # of each copied vector
    if groups < 2 or width >= lanes or (weights.transposed and width > 1):
        return False
    if channels > 1:
        touched = groups if groups * width <= lanes else lanes // width + (2 if lanes % width else 0)
        if touched * channels <= lanes and lanes >= MOVING_LANES:
            return min(channels, width) < 8 and (taps == 1 or uses >= max(2, channels / 2))
        return width == 1 or (width <= 3 and uses >= 4)
    if width == 1 and not weights.transposed:
        along = 1 if kernel[1] > 1 else 0  # a column of taps: lines take rows as columns
        stride, spacing, size = strides[along], weights.dilations[along], kernel[along]
        even = spacing == 1 or (stride == 1 and (along == 0 or spacing * groups % SET_FLOATS))
        if even and takes_wide(groups, size, stride, table):
            return False
        lines = (stride, size) in table["lines"] and even
        least = 8 if along else 4
        if lines and not (uses >= least and (2 * groups <= lanes or lanes < MOVING_LANES) and groups < lanes):
            return False
        if lanes < MOVING_LANES and groups >= lanes and uses < 16:
            return False
    return uses >= 4


WINS["lanewise"] = wins


# One instruction rearranges a vector; without it, lanes are copied one by one. The rules above, against the
# plain form on a Sapphire Rapids core (AVX-512 / AVX2 / SSE2): depthwise 7x7 2.8 / 1.7 / 1.3, dilated 3x3 1.4
# / 1.2 / 0.9, 2x2 1.2 / 1.0 / 1.0, with stride 2 (one use) 0.8 / 0.6 / 0.6; 3 channels, 11x11 17 / 14 / 51.
# Groups of 4 channels, 3x3 2.5 / 1.7, with stride 2 1.6 / 1.1, 1x1 2.6 / 2.2; of 6, 3x3 0.8 / 0.8 / 0.7; from
# 4 channels to 2, 3x3 2.8 / 2.6 / 1.8, 1x1 0.7 / 0.8 / 1.0.
# Groups of 8 channels to 8 (AVX-512), 3x3 1.3, with stride 2 0.5 to 0.9; but on a Zen 4, whose half vectors
# take half the time, 3x3 0.75 to 1.05, 5x5 0.85, 1x1 0.75.
MOVING_LANES = 8
# Lines take dilated kernels too, but where the pixels that a tile reads lie in one set of L1: 3x3 with
# dilations of 2 to 12 1.6 to 2.9 times as fast as copied rows, 24 on 33x33 1.25, with AVX2 0.96; pixels a
# multiple of 4 KB apart 0.65 to 1.2, with AVX2 0.5 to 1.0 (Zen 4).
SET_FLOATS = 1024


def numbers_of(cout: int, lanes: int) -> tuple[int, int]:
    """(numbers of a pixel, vectors after which pixels begin with a vector again).

    >>> [numbers_of(cout, 16) for cout in (2, 3, 5, 12, 13, 21, 64)]
    [(2, 1), (3, 3), (6, 3), (12, 3), (16, 1), (24, 3), (16, 1)]
    """
    for per in (2, 3, 4, 6, 8, 12):
        if cout <= per < lanes:
            return per, 1 if lanes % per == 0 else 3
    return (lanes * 3 // 2, 3) if lanes < cout <= lanes * 3 // 2 else (lanes, 1)


def _span(axis: Axis, scale: int) -> tuple[int, int]:
    """The least and the largest offset of all phases, in planes of `scale` inputs."""
    offsets = [o // scale for p in axis.phases for o in p.offsets]
    return min(offsets, default=0), max(offsets, default=0)


def _tasks(loops: Geometry, table: _kernels._Table, size: int) -> dict[str, Any] | None:
    """How the copied rows lie, and what a task is; None where a row is too long to copy, or the sum of one
    kernel row too long for a piece."""
    rows, columns, lanes = loops.rows, loops.columns, table["lanes"]
    per, patterns = numbers_of(loops.cout, lanes)
    kc = loops.cin // loops.groups
    planes = columns.in_step
    taps = [len(p.offsets) for p in columns.phases]
    cuts = cuts_of(columns, kc)
    if max(taps, default=0) * kc > sums.PIECE:
        return None
    pieces = tuple([cut.part // max(n * kc, 1) for n, cut in zip(taps, cuts, strict=True)])
    sections = tuple([cut.taps // max(n, 1) for n, cut in zip(taps, cuts, strict=True)])
    lowest, highest = _span(columns, planes)
    first, last = _span(rows, 1)
    slots, halo = last - first + 1, highest - lowest
    most = max([p.count for p in columns.phases], default=0)
    lines = max([p.count for p in rows.phases], default=0)

    number = slots * kc * planes * size  # bytes for each number of a plane's row
    fitting = ROWS_BYTES // number // per - halo
    stretch = max(fitting, -(-MIN_VECTORS * lanes // per), EDGES * halo)
    stretches = max(-(-most // stretch), 1)
    positions = -(-most // stretches) + halo
    beyond = (16 if patterns > 1 or per < lanes else 1) * lanes  # the last tile reads so far behind the row
    x_step = -(-(positions * per + beyond) // lanes) * lanes
    if number * x_step > MOST_BYTES:
        return None
    row_bytes = rows.in_step * columns.in_size * loops.cin * size
    band = max(BAND_BYTES // max(row_bytes, 1), -(-BAND_ROWS * slots // rows.in_step), 1)
    bands = max(-(-lines // band), 1)
    return {
        "per": per,
        "patterns": patterns,
        "lowest": lowest,
        "highest": highest,
        "positions": positions,
        "x_step": x_step,
        "slots": slots,
        "stretches": stretches,
        "bands": bands,
        "pieces": pieces,
        "sections": sections,
    }
