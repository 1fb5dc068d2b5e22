"""How an operation runs: geometry + dtype + instruction set -> a frozen Plan (algorithm, tiles, chunks),
cached per shape by ops.

Results never depend on these choices: every output is one ordered sum, cut where the shape says
(sums.py) and interleaved in any way (kernels/gather.pxi).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property
from typing import Any, ClassVar, NamedTuple, Protocol, TypeVar

import numpy as np

from . import _kernels, sums
from .geometry import Axis, Geometry, Phase
from .heads import PixelPlan, fits_skinny, pixel_plan, widened
from .lanewise import LanewisePlan, lanewise_plan
from .winograd import WinogradPlan, make_winograd_plan

# Bytes that a task keeps close, in a core's L2 (1 to 2 MB on servers, 256 KB at least): its pixels and its
# table of addresses; with them a panel of a section's weights, at most 700 KB.
PIXEL_BYTES = 256 * 1024
TABLE_BYTES = 64 * 1024
MAX_BLOCK_TILES = 48
# Where all weights stay in L2 anyway, short blocks write their output lines whole before they leave the
# cache: 1x1 64 -> 256 channels on 56x56 68 -> 75% of peak, 256 -> 1024 on 14x14 93 -> 99%.
SMALL_WEIGHT_BYTES = 1024 * 1024
OUT_BYTES = 128 * 1024
# Weights that exceed L2 come from L3 or memory at every call; the tiles of a panel then prefetch the next
# one: 3x3 on 512 channels of 7x7 +7%, transposed 4x4/2 512 -> 256 on 8x8 +8%, never slower.
FETCH_BYTES = 512 * 1024
# Fuse a kernel row's taps where they are at most so many numbers: 7x7 on 3 channels 60 -> 84% of peak, 3x3
# on 512 channels of 7x7 69 -> 80%, on 64 and 128 channels +0 to 2%; never slower.
FUSED_NUMBERS = 2048
# Strided tiles copy what lies between the first and the last tap at an edge, pixel vectors hold it for a row.
# Of wider dilations most taps fall outside there: edge tiles are cut, whatever their calls cost.
EDGE_BYTES = 1024 * 1024
# Where a tile reads more pixels a multiple of SET_BYTES apart than a set of L1 holds lines (8 or 12 on
# servers), each drives out another: their channels are copied first. On 32 KB and 8 lines (Zen 4): 1x1
# 1024 -> 256 on 14x14 71 -> 95% of peak, 2048 -> 512 on 7x7 83 -> 96%, a product of 1024^3 70 -> 94%.
SET_BYTES = 4096
SET_LINES = 8
# So many pixels are copied at most for each that a panel reads. On a Zen 4 the copy wins with 1024 channels
# to 512 at stride 2 (0.12), 256 to 512 at stride 4 (0.24), 1024 to 64 at a dilation of 6 (0.31), and loses
# with 1024 to 64 at a dilation of 12 (0.45), 512 to 64 at stride 4 (1.9) and all that is farther apart.
COPY_SHARE = 0.4
# What another call of a tile costs, in multiply-adds of vectors: a tile at the edge is cut tap by tap where
# more multiplications by zeros are saved. 3x3 on 512 channels of 7x7 +16%, of 4x4 +34%, on 256 of 14x14
# +2%, 5x5 on 256 of 10x10 +13%, 1x7 on 128 of 17x17 +11%; Zen 4, one thread.
CALL_WORK = 150
# Pixel vectors multiply the padding at a line's ends; strided tiles leave it out where it is much.
MOST_INSIDE = 0.8
# Tiles of a block at least where wide dilations leave its tiles few pixels in common: 2048 to 256 channels of
# 33x33 with a dilation of 12 +25%, of 256 channels no change.
WIDE_TILES = 16
# Packing a matrix for one product with few rows costs more than the product.
FEW_ROWS = 8


class _Choices(NamedTuple):
    """What the loop nest needs to know beyond the geometry."""

    geometry: Geometry
    loops: Geometry  # what the loop nest runs over: `geometry`, or the same pixels in one row
    isa: str
    bits: int
    layout: str  # of the weights: heads.LAYOUTS
    algorithm: str  # "strided", "gathered", "depthwise_lines", "depthwise", or a layout's name
    tile_pixels: int
    block_tiles: int
    cuts: tuple[sums.Cuts, ...]  # of each column phase: where sums are cut
    fused: bool  # a kernel row's taps are one run of numbers: see kernels/segments.pxi
    fetch_bytes: int  # prefetch panels where all weights are larger
    padding: bool  # whether some pixel reads outside the input
    multiply_adds: int
    few_rows: int  # rows of a matrix product so few that an unpacked kernel is used as it lies; 0: pack it
    lead: int = 0  # "wide": numbers of the first pixel that lie before its output line
    pixels: PixelPlan | None = None
    spread: bool = False  # strided tiles copy their input: its pixels lie in one set of the L1 cache
    call_work: int = 0  # what another call of a tile costs, in multiply-adds of vectors; -1: cut all edges
    lanewise: LanewisePlan | None = None


class Plan(_Choices):
    """The choices, and what runs them."""

    winograd: ClassVar[int] = 0

    @cached_property
    def runner(self) -> Any:
        """The plan as C structures, built on first use."""
        if self.algorithm == "depthwise_lines":
            return _kernels.Lines(self)
        if self.algorithm == "lanewise":
            return _kernels.Lanewise(self)
        if self.algorithm == "skinny":
            return _kernels.TallSkinny(self)
        return _kernels.Pixels(self) if self.pixels else _kernels.Gather(self)

    @cached_property
    def matrix_runner(self) -> Any:
        """The same for `few_rows`: the kernel is used as it lies."""
        return _kernels.FewRows(self)

    @cached_property
    def plain(self) -> Plan:
        """The same operation in the plain layout."""
        return make_direct_plan(self.geometry, np.dtype(f"f{self.bits // 8}"), self.isa)

    @cached_property
    def exact(self) -> Any:
        """The same without zeros for padding: for kernels that hold Inf or NaN."""
        if self.algorithm == "strided":  # pixels and lines leave padding out by themselves
            return _kernels.Gather(self._replace(algorithm="gathered", fused=False))
        return self.runner


def algorithm_for(groups: int, cin: int, cout: int, lanes: int) -> str:
    """The loop nest: "depthwise" where vectors along the groups waste fewer lanes than vectors along one
    group's output channels.

    Both sum in the same order, so the choice cannot be seen in the result.

    >>> algorithm_for(32, 32, 32, 16), algorithm_for(1, 1, 64, 16)
    ('depthwise', 'gather')
    """
    if groups != cin or groups == 1:
        return "gather"
    width = max(cout // groups, 1)
    filled_across = groups / (-(-groups // lanes) * lanes)
    filled_within = width / (-(-width // lanes) * lanes)
    return "depthwise" if filled_across >= filled_within else "gather"


def _reads_outside(axis: Axis) -> bool:
    for p in axis.phases:
        if p.count > 0 and p.offsets:
            first, last = p.offsets[0], p.offsets[-1]
            if min(first, last) < 0 or (p.count - 1) * p.in_step + max(first, last) >= axis.in_size:
                return True
    return False


def flattened(geometry: Geometry) -> Geometry:
    """The same operation on one row of pixels where neighbours do not matter: a 1x1 kernel, stride 1, no
    padding."""
    rows, columns = geometry.rows, geometry.columns
    if not (rows.is_point and columns.is_point):
        return geometry
    pixels = geometry.images * rows.in_size * columns.in_size
    row = Axis(1, 1, 1, (0, 0), (Phase(0, 1, 1, 1, (0,), 0),))
    line = Axis(pixels, pixels, 1, (0, 0), (Phase(0, 1, pixels, 1, (0,), 0),))
    return Geometry(1, row, line, geometry.cin, geometry.cout, geometry.groups)


def _neighbours(axis: Axis) -> bool:
    """Whether there is one phase of all taps, and they read neighbouring inputs in ascending order."""
    if len(axis.phases) != 1:
        return False
    offsets = axis.phases[0].offsets  # the only output of a transposed convolution may meet none, or a few
    return bool(offsets) and offsets == tuple(range(offsets[0], offsets[0] + axis.kernel))


def _product(loops: Geometry) -> bool:
    """Whether the operation is a matrix product of one row of pixels, as `flattened` leaves it."""
    one_row = loops.groups == loops.images == loops.rows.out_size == 1
    return one_row and loops.rows.is_point and loops.columns.is_point


def _fused(loops: Geometry) -> bool:
    """Whether each kernel row reads one run of numbers: its taps' pixels are neighbours, and all channels are
    read."""
    width = loops.columns.kernel
    if width > sums.SECTION_TAPS or width * loops.cin > sums.SECTION:  # a section has whole taps
        return False
    return (
        loops.groups == 1 and width > 1 and _neighbours(loops.columns) and width * loops.cin <= FUSED_NUMBERS
    )


def _spread(loops: Geometry, mr: int, panel: int, size: int) -> bool:
    """Whether more pixels of a strided tile than a set has lines fall into one set of the L1 cache, and the
    panels that read a copy are worth all that lies between its taps.
    """
    columns = loops.columns
    step = columns.phases[0].in_step * loops.cin * size
    apart = SET_BYTES // math.gcd(step, SET_BYTES)
    if min(mr, columns.phases[0].count) <= apart * SET_LINES:
        return False
    copied = _reach(columns, mr)
    reads = mr * columns.kernel * -(-(loops.cout // loops.groups) // panel)
    return copied <= COPY_SHARE * reads and copied * loops.cin * size <= EDGE_BYTES


def _lines(loops: Geometry, kernels: set[tuple[int, int]]) -> bool:
    """Whether a depthwise operation fits one of the line kernels, known by (stride, kernel width)."""
    return (
        loops.cin == loops.cout
        and len(loops.rows.phases) == 1
        and loops.rows.kernel * loops.columns.kernel <= sums.PIECE
        and _neighbours(loops.columns)
        and (loops.columns.phases[0].in_step, loops.columns.kernel) in kernels
    )


def _algorithm(
    loops: Geometry, table: _kernels._Table, size: int, padding: bool, cuts: bool
) -> tuple[str, int]:
    """(algorithm, pixels of a tile); `cuts`: tiles at an edge may be cut."""
    if algorithm_for(loops.groups, loops.cin, loops.cout, table["lanes"]) == "depthwise":
        # lines against tiles of any pixels, on Zen 4: 3x3 on 96 channels of 56x56 24 -> 77 GFLOP/s, with
        # stride 2 on 112x112 20 -> 41, 5x5 on 240 of 14x14 37 -> 116 (products with padding counted, too)
        if _lines(loops, table["lines"]):
            return "depthwise_lines", table["line_mr"]
        return "depthwise", table["depthwise_mr"]
    # lines so short that two of them leave most of a tile empty are gathered across more lines
    narrowest = min([p.count for p in loops.columns.phases], default=0)
    fits = 4 * narrowest > table["mr"]
    if fits and padding and not cuts:
        fits = _edge_bytes(loops, table["mr"], size) <= EDGE_BYTES
    return ("strided" if fits else "gathered"), table["mr"]


def _edge_bytes(loops: Geometry, mr: int, size: int) -> int:
    """What one line's copies at the left and right edge may take: strided tiles copy the input between the
    first and the last tap."""
    return 2 * _reach(loops.rows, 1) * _reach(loops.columns, mr) * (loops.cin // loops.groups * size + 64)


def _reach(axis: Axis, outputs: int) -> int:
    """The most inputs from the first to the last that so many neighbouring outputs of a phase read."""
    spans = [p.reach + (outputs - 1) * p.in_step for p in axis.phases if p.offsets]
    return max(spans, default=0)


def _inside(axis: Axis) -> float:
    """The share of the products along an axis whose input is no padding."""
    found = 0
    for p in axis.phases:
        for o in p.offsets:
            first, last = max(-(o // p.in_step), 0), (axis.in_size - 1 - o) // p.in_step
            found += max(min(last + 1, p.count) - first, 0)
    return found / max(axis.products, 1)


def _one_section(axes: tuple[Axis, Axis], channels: int) -> bool:
    """Whether the sums of all phases are one section each."""
    rows = axes[0].most_taps
    return all(
        sums.one_section(rows * len(p.offsets), sums.cuts(len(p.offsets), channels), channels)
        for p in axes[1].phases
    )


def make_plan(
    geometry: Geometry, dtype: np.dtype[Any], isa: str, fast: bool = False, layout: str = "plain"
) -> Plan | WinogradPlan:
    """Winograd's form where `fast` allows it and it wins, the direct one otherwise."""
    form = make_winograd_plan(geometry, dtype, isa) if fast else None
    return form or make_direct_plan(geometry, dtype, isa, layout)


def make_direct_plan(geometry: Geometry, dtype: np.dtype[Any], isa: str, layout: str = "plain") -> Plan:
    """Choose tiles and chunks: a block's pixels, its table of addresses and one panel of weights stay in
    L2."""
    size = dtype.itemsize
    table = _kernels.describe(isa, 8 * size)
    # pixel vectors hold a row of the input with its padding, which a wide dilation makes long
    too_wide = layout == "pixels" and (
        _reach(geometry.columns, 1) * geometry.cin * size > EDGE_BYTES
        or (geometry.cout > table["lanes"] and _inside(geometry.columns) < MOST_INSIDE)
    )
    unfit = layout == "skinny" and not fits_skinny(geometry, table["lanes"])
    if layout in ("pixels", "skinny"):
        unfit = (
            unfit or not table["pixels"] or not _one_section((geometry.rows, geometry.columns), geometry.cin)
        )
    lanewise = None
    if layout == "lanewise" and 0 not in geometry.out_shape and geometry.cin:
        lanewise = lanewise_plan(flattened(geometry), table["lanes"], size)
        unfit = lanewise is None
    if 0 in geometry.out_shape or geometry.cin == 0 or too_wide or unfit:
        layout = "plain"
    loops, lead = widened(geometry) if layout == "wide" else (flattened(geometry), 0)
    rows, columns = loops.rows, loops.columns
    padding = _reads_outside(rows) or _reads_outside(columns)
    cuttable = layout != "wide" and loops.cin // loops.groups <= sums.SECTION
    algorithm, mr = _algorithm(loops, table, size, padding, cuttable)
    if layout == "wide" and algorithm != "strided":
        return make_direct_plan(geometry, dtype, isa)
    depthwise = algorithm.startswith("depthwise")
    wide_edges = algorithm == "strided" and padding and _edge_bytes(loops, mr, size) > EDGE_BYTES
    spread = (
        algorithm == "strided" and not wide_edges and _spread(loops, mr, table["nr"] * table["lanes"], size)
    )
    fused = algorithm == "strided" and not spread and _fused(loops)
    channels = loops.cin // (1 if depthwise else loops.groups)
    width = loops.cout // loops.groups
    most_taps = rows.most_taps * columns.most_taps

    addresses = 2 if algorithm == "strided" else mr  # of a tile, for each tap
    run = columns.kernel if fused else 1
    cut_axis = geometry.columns if layout == "pixels" else columns
    cuts = tuple([sums.cuts(len(p.offsets), 1 if depthwise else channels) for p in cut_axis.phases])
    section = max([c.taps for c in cuts], default=1)
    taps = max(min(most_taps, section) // run, 1)

    held = channels if depthwise else min([channels, *(c.channels for c in cuts)])  # at a time, of a pixel
    tile_bytes = mr * rows.in_step * columns.in_step * held * size
    block_tiles = min(
        MAX_BLOCK_TILES, TABLE_BYTES // (taps * addresses * 8), PIXEL_BYTES // max(tile_bytes, 1)
    )
    if not depthwise and rows.kernel * columns.kernel * channels * width * size <= SMALL_WEIGHT_BYTES:
        block_tiles = min(block_tiles, OUT_BYTES // max(mr * width * size, 1))
    if wide_edges:  # tiles share no pixels, so a panel in L2 serves many of them
        block_tiles = max(block_tiles, WIDE_TILES)
    return Plan(
        geometry,
        loops,
        isa,
        8 * size,
        layout,
        layout if layout in ("pixels", "skinny", "lanewise") else algorithm,
        mr,
        max(block_tiles, 1),
        cuts,
        fused,
        FETCH_BYTES,
        padding,
        geometry.multiply_adds,
        columns.out_size if columns.out_size <= FEW_ROWS and _product(loops) else 0,
        lead,
        pixel_plan(geometry, table["lanes"], size) if layout == "pixels" else None,
        spread,
        -1 if wide_edges else CALL_WORK,
        lanewise,
    )


class Packed(Protocol):
    """Weights in some layout: pack.Panels."""

    @property
    def finite(self) -> bool:
        """No Inf, no NaN."""


P = TypeVar("P", bound=Packed)


def with_panels(plan: Plan | WinogradPlan, panels_in: Callable[[str], P]) -> tuple[Plan | WinogradPlan, P]:
    """The plan and the weights in its layout; where they are not finite and zeros would stand for padding,
    the plain form, which has an exact mode.
    """
    panels = panels_in(plan.layout)
    if not panels.finite and plan.padding and isinstance(plan, Plan) and plan.layout != "plain":
        return plan.plain, panels_in("plain")
    return plan, panels
