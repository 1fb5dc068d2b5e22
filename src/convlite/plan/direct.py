"""The direct form: phases, blocks of tiles, and panels of weights (kernels/direct.pxi). The pixels of a tile
lie at even steps in one or two lines (strided), or anywhere (gathered).

Results never depend on these choices: every output is one sum in a fixed order. The shape alone decides where
it is cut (sums.py); only independent sums are interleaved.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any, ClassVar

from .. import _kernels, sums
from ..geometry import Axis, Geometry, Phase
from .choice import form, gathered_costs, strided_costs
from .problem import Problem
from .record import Plan

# Bytes that a task keeps in a core's L2 (1 to 2 MB on servers, 256 KB at least): its pixels and its table of
# addresses; in addition a panel of a section's weights, at most 700 KB.
PIXEL_BYTES = 256 * 1024
TABLE_BYTES = 64 * 1024
MAX_BLOCK_TILES = 48
# Where all weights stay in L2 anyway, short blocks write their output lines whole before they leave the
# cache: 1x1 64 -> 256 channels on 56x56 68 -> 75% of peak, 256 -> 1024 on 14x14 93 -> 99%.
SMALL_WEIGHT_BYTES = 1024 * 1024
OUT_BYTES = 128 * 1024
# Larger weights are read from L3 or memory once for each block. Long pixels leave few tiles for one, so they
# may take more of L2, up to FEW_TILES: 32 rows times 2048 x 1000 119 -> 138 GFLOP/s, 48 rows 130 -> 148, 64
# times 4096 x 1000 112 -> 132 (Xeon, 2 MB of L2). More gained nothing.
FAR_PIXEL_BYTES = 1024 * 1024
FEW_TILES = 4
# Weights that exceed L2 come from L3 or memory at every call; the tiles of a panel then prefetch the next
# one: 3x3 on 512 channels of 7x7 +7%, transposed 4x4/2 512 -> 256 on 8x8 +8%, never slower.
FETCH_BYTES = 512 * 1024
# Fuse a kernel row's taps if they are at most this many numbers: 7x7 on 3 channels 60 -> 84% of peak, 3x3
# on 512 channels of 7x7 69 -> 80%, on 64 and 128 channels +0 to 2%; never slower.
FUSED_NUMBERS = 2048
# Strided tiles copy all pixels between the first and the last tap at an edge; pixel vectors hold them for a
# row. With wider dilations most taps fall outside there: edge tiles are then thinned, whatever calls cost.
EDGE_BYTES = 1024 * 1024
# Where a tile reads more pixels a multiple of SET_BYTES apart than a set of L1 holds lines (8 or 12 on
# servers), each drives out another: their channels are copied first. On 32 KB and 8 lines (Zen 4): 1x1
# 1024 -> 256 on 14x14 71 -> 95% of peak, 2048 -> 512 on 7x7 83 -> 96%, a product of 1024^3 70 -> 94%. Two
# short lines of a tile count together if they meet in the same sets: 3x3/2 on 512 of 14x14 83 -> 104%.
SET_BYTES = 4096
SET_LINES = 8
# So many pixels are copied at most for each that a panel reads. On a Zen 4 the copy wins with 1024 channels
# to 512 at stride 2 (0.12), 256 to 512 at stride 4 (0.24), 1024 to 64 at a dilation of 6 (0.31), and loses
# with 1024 to 64 at a dilation of 12 (0.45), 512 to 64 at stride 4 (1.9) and all that is farther apart.
COPY_SHARE = 0.4
# What another call of a tile costs, in multiply-adds of vectors: a tile at the edge is thinned where
# more multiplications by zeros are saved. 3x3 on 512 channels of 7x7 +16%, of 4x4 +34%, on 256 of 14x14
# +2%, 5x5 on 256 of 10x10 +13%, 1x7 on 128 of 17x17 +11%; Zen 4, one thread.
CALL_WORK = 150
# The least number of tiles in a block where, because of a wide dilation, tiles have few pixels in common:
# 2048 to 256 channels of 33x33 with a dilation of 12 +25%; 256 input channels no change.
FAR_TILES = 16


class Direct(Plan):
    """Blocks of tiles, and the pieces into which a sum is cut."""

    loops: Geometry  # what the loop nest runs over: `geometry`, or the same pixels in one row
    padding: bool  # whether some pixel reads outside the input
    tile_pixels: int
    block_tiles: int
    cuts: tuple[sums.Cuts, ...]  # of each column phase: where sums are cut
    fetch_bytes: int  # prefetch panels where all weights are larger

    @property
    def layout(self) -> str:
        """Panels for each phase."""
        return "direct"

    @cached_property
    def runner(self) -> _kernels.Runner:
        """The plan as C structures, built on first use."""
        return _kernels.Direct(self)


class Strided(Direct):
    """A tile's pixels lie at even steps in one line, or in two short ones."""

    fused: bool  # a kernel row's taps are one run of numbers: see kernels/strided.pxi
    spread: bool  # tiles copy their input: its pixels lie in one set of the L1 cache
    call_work: int  # what another call of a tile costs, in multiply-adds of vectors; -1: thin all edges
    takes: bool  # the kernel is not packed: each task takes its panels from the array
    form: ClassVar[str] = "strided"

    @property
    def layout(self) -> str:
        """Panels for each phase; none if they are taken from the unpacked kernel."""
        return "" if self.takes else "direct"

    @property
    def needs_finite(self) -> bool:
        """Tiles at the edge multiply zeros."""
        return self.padding

    @cached_property
    def apart(self) -> _kernels.Runner:
        """A kernel row's taps are one run of numbers only where their pixels are neighbours."""
        fields = dict(zip(self.fields, self.key(), strict=True))
        return type(self)(**fields | {"fused": False}).runner if self.fused else self.runner


class Gathered(Direct):
    """A tile has the address of each pixel for each tap; with weights that are not finite, taps outside the
    image are left out one by one."""

    form: ClassVar[str] = "gathered"


@form
def strided(problem: Problem) -> Strided | None:
    """The plan, where the form serves."""
    loops = flattened(problem.geometry)
    chosen = strided_blocks(problem, loops, cuttable=loops.cin // loops.groups <= sums.SECTION)
    return None if chosen is None else Strided(**problem.shared(strided_costs(problem)), **chosen)


@form
def gathered(problem: Problem) -> Gathered:
    """The plan: this form serves every call."""
    loops, mr = flattened(problem.geometry), problem.table["mr"]
    chosen = blocks(problem, loops, mr, addresses=mr)
    return Gathered(**problem.shared(gathered_costs(problem)), **chosen)


def strided_blocks(problem: Problem, loops: Geometry, cuttable: bool) -> dict[str, Any] | None:
    """The fields of a strided form's record, where strided tiles serve; `cuttable`: those at an edge may be
    cut. If two lines leave most of a tile empty, tiles are gathered across more lines."""
    table, size = problem.table, problem.bytes
    mr = table["tall_mr"] if loops.cout // loops.groups <= table["lanes"] else table["mr"]
    padding = reads_outside(loops.rows) or reads_outside(loops.columns)
    narrowest = min([p.count for p in loops.columns.phases], default=0)
    if 4 * narrowest <= table["mr"] or (padding and not problem.weights.finite):
        return None
    far_edges = padding and _edge_bytes(loops, mr, size) > EDGE_BYTES
    if far_edges and not cuttable:
        return None
    spread = not far_edges and _spread(loops, mr, problem.panel_lanes, size)
    fused = not spread and _fused(loops)
    run = loops.columns.kernel if fused else 1
    chosen = blocks(problem, loops, mr, addresses=2, run=run)
    if far_edges:  # tiles share no pixels, so a panel in L2 serves many of them
        chosen["block_tiles"] = max(chosen["block_tiles"], FAR_TILES)
    takes = takes_panels(problem)
    if takes:
        chosen["block_tiles"] = max(chosen["block_tiles"], taken_tiles(loops, mr, run))
    return chosen | {
        "fused": fused,
        "spread": spread,
        "call_work": -1 if far_edges else CALL_WORK,
        "takes": takes,
    }


def takes_panels(problem: Problem) -> bool:
    """Whether panels are taken from the unpacked kernel: it is used once, and its channels are contiguous."""
    return not problem.weights.packed and problem.weights.outputs_last


def taken_tiles(loops: Geometry, mr: int, run: int) -> int:
    """How many tiles a block has. Each block takes all panels once, so it has many, though their pixels
    exceed L2.
    """
    most = TABLE_BYTES // max(loops.rows.kernel * loops.columns.kernel // run * 2 * 8, 1)
    return max(min(MAX_BLOCK_TILES, most), 1)


def blocks(
    problem: Problem,
    loops: Geometry,
    mr: int,
    *,
    addresses: int,
    run: int = 1,
    depthwise: bool = False,
) -> dict[str, Any]:
    """Tiles and sections: a block's pixels, its table of `addresses` for each tile and tap, and one panel of
    a section's weights stay in L2. `run` taps count as one.
    """
    rows, columns, size = loops.rows, loops.columns, problem.bytes
    channels = loops.cin // (1 if depthwise else loops.groups)
    width = loops.cout // loops.groups
    cuts = cuts_of(columns, 1 if depthwise else channels)
    section = max([c.taps for c in cuts], default=1)
    taps = max(min(rows.most_taps * columns.most_taps, section) // run, 1)

    held = channels if depthwise else min([channels, *(c.channels for c in cuts)])  # of a pixel, at one time
    tile_bytes = mr * rows.in_step * columns.in_step * held * size
    most = PIXEL_BYTES // max(tile_bytes, 1)
    if not depthwise and rows.kernel * columns.kernel * channels * width * size <= SMALL_WEIGHT_BYTES:
        most = min(most, OUT_BYTES // max(mr * width * size, 1))
    elif not depthwise:
        most = max(most, min(FEW_TILES, FAR_PIXEL_BYTES // max(tile_bytes, 1)))
    block_tiles = min(MAX_BLOCK_TILES, TABLE_BYTES // (taps * addresses * 8), most)
    return {
        "loops": loops,
        "padding": reads_outside(rows) or reads_outside(columns),
        "tile_pixels": mr,
        "block_tiles": max(block_tiles, 1),
        "cuts": cuts,
        "fetch_bytes": FETCH_BYTES,
    }


def cuts_of(columns: Axis, channels: int) -> tuple[sums.Cuts, ...]:
    """Where the sums of each column phase are cut."""
    return tuple([sums.cuts(len(p.offsets), channels) for p in columns.phases])


def one_section(geometry: Geometry) -> bool:
    """Whether the sums of all phases are one section each."""
    rows, columns, channels = geometry.rows.most_taps, geometry.columns, geometry.cin
    return all(
        sums.one_section(rows * len(p.offsets), cut, channels)
        for p, cut in zip(columns.phases, cuts_of(columns, channels), strict=True)
    )


def reads_outside(axis: Axis) -> bool:
    """Whether some output of a phase reads outside the input."""
    for p in axis.phases:
        if p.count > 0 and p.offsets:
            first, last = p.offsets[0], p.offsets[-1]
            if min(first, last) < 0 or (p.count - 1) * p.in_step + max(first, last) >= axis.in_size:
                return True
    return False


def flattened(geometry: Geometry) -> Geometry:
    """The same operation on one row of pixels, if their position does not matter: a 1x1 kernel, stride 1, no
    padding.
    """
    rows, columns = geometry.rows, geometry.columns
    if not (rows.is_point and columns.is_point):
        return geometry
    pixels = geometry.images * rows.in_size * columns.in_size
    row = Axis(1, 1, 1, (0, 0), (Phase(0, 1, 1, 1, (0,), 0),))
    line = Axis(pixels, pixels, 1, (0, 0), (Phase(0, 1, pixels, 1, (0,), 0),))
    return Geometry(1, row, line, geometry.cin, geometry.cout, geometry.groups)


def spacing_of(axis: Axis) -> int:
    """How far apart the inputs of neighbouring taps lie, where there is one phase with all taps in ascending
    order; otherwise 0.
    """
    offsets = axis.phases[0].offsets if len(axis.phases) == 1 else ()
    if len(offsets) != axis.kernel or not offsets:  # the single output of a transpose may meet no tap, or few
        return 0
    return max(offsets[1] - offsets[0], 0) if len(offsets) > 1 else 1


def neighbours(axis: Axis) -> bool:
    """Whether there is one phase with all taps, which read neighbouring inputs in ascending order."""
    return spacing_of(axis) == 1


def _fused(loops: Geometry) -> bool:
    """Whether each kernel row reads one run of numbers: its taps' pixels are neighbours, and all channels are
    read."""
    width = loops.columns.kernel
    if width > sums.SECTION_TAPS or width * loops.cin > sums.SECTION:  # a section has whole taps
        return False
    return (
        loops.groups == 1 and width > 1 and neighbours(loops.columns) and width * loops.cin <= FUSED_NUMBERS
    )


def _spread(loops: Geometry, mr: int, panel: int, size: int) -> bool:
    """Whether more pixels of a strided tile fall into one set of the L1 cache than it has lines, and enough
    panels read the copy to be worth copying all pixels between the taps.
    """
    columns = loops.columns
    step = columns.phases[0].in_step * loops.cin * size
    shared, pixels = math.gcd(step, SET_BYTES), min(mr, columns.phases[0].count)
    next_line = loops.rows.in_step * columns.in_size * loops.cin * size
    if 2 * pixels <= mr and next_line % shared == 0:
        pixels *= 2
    if pixels * shared <= SET_BYTES * SET_LINES:
        return False
    copied = reach(columns, mr)
    reads = mr * columns.kernel * -(-(loops.cout // loops.groups) // panel)
    return copied <= COPY_SHARE * reads and copied * loops.cin * size <= EDGE_BYTES


def _edge_bytes(loops: Geometry, mr: int, size: int) -> int:
    """The bytes that one line's copies at the left and right edge may take: strided tiles copy the input
    between the first and the last tap.
    """
    return 2 * reach(loops.rows, 1) * reach(loops.columns, mr) * (loops.cin // loops.groups * size + 64)


def reach(axis: Axis, outputs: int) -> int:
    """The most inputs between the first and the last that this many neighbouring outputs of a phase read."""
    spans = [p.reach + (outputs - 1) * p.in_step for p in axis.phases if p.offsets]
    return max(spans, default=0)
