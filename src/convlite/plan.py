"""How an operation runs: geometry + dtype + instruction set -> a frozen Plan (algorithm, tiles, chunks),
cached per shape by ops.

Results never depend on these choices: every output is one ordered sum, cut or interleaved in any way
(kernels/gather.pxi).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from . import _kernels
from .geometry import Axis, Geometry, Phase

LAYOUTS = ("plain", "wide", "pixels")

# Bytes that a task keeps close, in a core's L2 (1 to 2 MB on servers, 256 KB at least): its pixels, its
# pointer table, a panel.
PIXEL_BYTES = 256 * 1024
TABLE_BYTES = 64 * 1024
PANEL_BYTES = 600 * 1024
MAX_BLOCK_TILES = 48
# Where all weights stay in L2 anyway, short blocks write their output lines whole before they leave the cache: 1x1 64 -> 256 channels on 56x56
# 68 -> 75% of peak, 256 -> 1024 on 14x14 93 -> 99%.
SMALL_WEIGHT_BYTES = 1024 * 1024
OUT_BYTES = 128 * 1024
# Fuse a kernel row's taps where they are at most so many numbers. Measured: 7x7 on 3 channels 60 -> 84% of peak, 3x3 on 512 channels of a 7x7 map
# 69 -> 80%, on 64 and 128 channels +0 to 2%; never slower.
FUSED_NUMBERS = 2048


# Pixel vectors: a tile's slice of the transposed row stays in L1, the row and the rolling sums of a stretch in L2.
TILE_BYTES = 24 * 1024
STRETCH_BYTES = 128 * 1024


@dataclass(frozen=True)
class PixelPlan:
    """What kernels/pixels.pxi needs to know beyond the geometry."""

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


@dataclass(frozen=True)
class Plan:
    """What the loop nest needs to know beyond the geometry."""

    geometry: Geometry
    loops: Geometry  # what the loop nest runs over: `geometry`, or the same pixels in one row
    isa: str
    bits: int
    layout: str  # of the weights: one of LAYOUTS
    algorithm: str  # "strided", "gathered" or "depthwise"
    tile_pixels: int
    block_tiles: int
    tap_chunk: int
    channel_chunk: int
    fused: bool  # a kernel row's taps are one run of numbers: see kernels/gather.pxi
    lead: int  # "wide": numbers of the first pixel that lie before its output line
    padding: bool  # whether some pixel reads outside the input
    multiply_adds: int = field(compare=False)
    pixels: PixelPlan | None = None

    @cached_property
    def runner(self) -> Any:
        """The plan as C structures, built on first use."""
        if self.pixels:
            return _kernels.Pixels(self)
        return _kernels.Gather(self)

    @cached_property
    def exact(self) -> Any:
        """The same without zeros for padding: for kernels that hold Inf or NaN."""
        if self.layout == "plain" and self.algorithm != "strided":
            return self.runner
        plain = make_plan(self.geometry, np.dtype(f"f{self.bits // 8}"), self.isa)
        return _kernels.Gather(replace(plain, algorithm="gathered", fused=False) if plain.algorithm == "strided" else plain)


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


def layout_for(
    operation: str, kernel: tuple[int, ...], strides: tuple[int, int], dilations: tuple[int, int], groups: int, lanes: int
) -> str:
    """The layout of the weights, and with it the form of the loops. It depends on the kernel only, so that
    a kernel can be packed before the input's size is known.

    "wide": in NHWC the outputs of a transposed convolution's column phases lie side by side, so phases with
    the same taps are one phase with stride*Cout channels. Chosen where that fills vectors better, or where
    kernel and stride are equal (no pixel is then half outside).

    >>> layout_for("conv2d_transpose", (16, 16, 21, 21), (8, 8), (1, 1), 1, 16)
    'wide'
    """
    transposed = operation == "conv2d_transpose"
    if groups != 1 or 0 in kernel or operation not in ("conv2d", "conv2d_transpose"):
        return "plain"
    width, stride = kernel[1], strides[1] if transposed else 1
    cout = kernel[2] if transposed else kernel[3]
    if pixels_pay(kernel, transposed, stride, cout, lanes) and not (transposed and max(dilations) > 1):
        return "pixels"
    if not transposed:
        return "plain"
    if stride > 1 and dilations[1] == 1 and width % stride == 0:
        apart, together = stride * -(-cout // lanes), -(-stride * cout // lanes)
        if together < apart or width == stride:
            return "wide"
    return "plain"


def pixels_pay(kernel: tuple[int, ...], transposed: bool, stride: int, cout: int, lanes: int) -> bool:
    """Whether vectors along pixels do better than vectors along channels."""
    together = cout * (stride if kernel[1] % stride == 0 else 1)
    filled = together / (-(-together // lanes) * lanes)
    return together <= 2 * lanes and filled < 0.9 and kernel[0] * cout > 1


def _reads_outside(axis: Axis) -> bool:
    return any(
        p.count > 0
        and p.offsets
        and (min(p.offsets) < 0 or (p.count - 1) * p.in_step + max(p.offsets) >= axis.in_size)
        for p in axis.phases
    )


def flattened(geometry: Geometry) -> Geometry:
    """The same operation on one row of pixels where neighbours do not matter: a 1x1 kernel, stride 1, no padding."""
    point = Phase(0, 1, 0, 1, (0,), 0)
    for axis in (geometry.rows, geometry.columns):
        if [replace(p, count=0) for p in axis.phases] != [point] or axis.kernel != 1 or axis.in_size != axis.out_size:
            return geometry
    pixels = geometry.images * geometry.rows.in_size * geometry.columns.in_size
    row, line = Axis(1, 1, 1, (0, 0), (replace(point, count=1),)), Axis(pixels, pixels, 1, (0, 0), (replace(point, count=pixels),))
    return replace(geometry, images=1, rows=row, columns=line)


def _fused(geometry: Geometry) -> bool:
    """Whether each kernel row reads one run of numbers: its taps' pixels are neighbours, and all channels are read."""
    phases = geometry.columns.phases
    if geometry.groups != 1 or len(phases) != 1 or geometry.columns.kernel < 2:
        return False
    offsets = phases[0].offsets
    return offsets == tuple(range(offsets[0], offsets[0] + len(offsets))) and len(offsets) * geometry.cin <= FUSED_NUMBERS


def widened(geometry: Geometry) -> tuple[Geometry, int]:
    """A transposed convolution with its column phases side by side, as one phase of stride*Cout channels;
    and how many numbers of the first pixel lie before the output line.

    With u = output column + before, all phases u % stride have the same taps at the input column u // stride.
    """
    columns = geometry.columns
    stride, before, outputs = columns.phases[0].step, columns.pads[0], columns.out_size
    first = before // stride
    count = (outputs - 1 + before) // stride - first + 1
    offsets = tuple(first - tap for tap in range(columns.kernel // stride))
    axis = Axis(columns.in_size, count, len(offsets), columns.pads, (Phase(0, 1, count, 1, offsets, 0),))
    return replace(geometry, columns=axis, cout=stride * geometry.cout), before % stride * geometry.cout


def pixel_plan(geometry: Geometry, lanes: int, size: int) -> PixelPlan:
    """The rows and columns as kernels/pixels.pxi wants them."""
    rows, columns = geometry.rows, geometry.columns
    row, column = rows.phases[0], columns.phases[0]
    transposed = len(rows.phases) + len(columns.phases) > 2 or max(row.step, column.step) > 1
    transposed = transposed or any(p.offsets[-1:] < p.offsets[:1] for p in (row, column))
    if transposed:  # dilation 1
        deltas = tuple(tap - rows.pads[0] for tap in range(rows.kernel))
        taps = tuple(tuple(p.start + columns.pads[0] - o * p.step for o in p.offsets) for p in columns.phases)
    else:
        deltas = tuple(-o for o in row.offsets)
        taps = (tuple(range(columns.kernel)),)
    planes = column.in_step
    places = [o // planes for p in columns.phases for o in p.offsets] or [0]
    left, right = -(min(*places, 0) // lanes) * lanes, max(*places, 0)
    # pixels of a task
    sums = ((max(deltas) - min(deltas)) // row.in_step + 1) * len(columns.phases) * geometry.cout
    fits = STRETCH_BYTES // (size * (planes * geometry.cin + sums)) // lanes
    vectors = -(-column.count // lanes)
    stretch = -(-vectors // -(-vectors // max(fits, 8)))
    tile = max(TILE_BYTES // (size * lanes * planes * geometry.cin), 4)
    return PixelPlan(row.step, row.in_step, deltas, transposed, planes, taps, left, right, stretch * lanes, tile)


def make_plan(geometry: Geometry, dtype: np.dtype[Any], isa: str, layout: str = "plain") -> Plan:
    """Choose tiles and chunks: a block's pixels, its table of addresses and one panel of weights stay in L2."""
    bits, size = 8 * dtype.itemsize, dtype.itemsize
    table = _kernels.describe(isa, bits)
    loops, lead = flattened(geometry), 0
    if 0 in geometry.out_shape or geometry.cin == 0:
        layout = "plain"
    if layout == "wide":
        loops, lead = widened(geometry)
    rows, columns = loops.rows, loops.columns
    algorithm = algorithm_for(geometry.groups, geometry.cin, geometry.cout, table["lanes"])
    depthwise = algorithm == "depthwise"
    tile_pixels = table["depthwise_mr"] if depthwise else table["mr"]
    # lines so short that two of them leave most of a tile empty are gathered across more lines
    narrowest = min((p.count for p in columns.phases), default=0)
    if not depthwise:
        algorithm = "strided" if 4 * narrowest > tile_pixels or layout == "wide" else "gathered"
    fused = algorithm == "strided" and _fused(loops)
    pixel_channels = geometry.cin // (1 if depthwise else geometry.groups)
    channels = pixel_channels * (columns.kernel if fused else 1)
    most_taps = max((len(p.offsets) for p in rows.phases), default=0) * max((len(p.offsets) for p in columns.phases), default=0)
    if fused:
        most_taps = rows.kernel

    # LOOP taps and channels: pieces whose panel fits L2; only one of the two is ever cut
    row_bytes = table["nr"] * table["lanes"] * size
    channel_chunk, tap_chunk = max(channels, 1), max(most_taps, 1)
    if not depthwise and channels * row_bytes > PANEL_BYTES:
        channel_chunk, tap_chunk = PANEL_BYTES // 2 // row_bytes, 1
    elif not depthwise and most_taps * channels * row_bytes > PANEL_BYTES:
        tap_chunk = PANEL_BYTES // max(channels * row_bytes, 1)
    addresses = 2 if algorithm == "strided" else tile_pixels  # of a tile, for each tap
    tap_chunk = max(1, min(tap_chunk, TABLE_BYTES // (addresses * 8)))

    steps = [p.in_step for p in (*rows.phases[:1], *columns.phases[:1])]
    pixel_bytes = math.prod(steps) * min(pixel_channels, channel_chunk) * size
    block_tiles = min(
        MAX_BLOCK_TILES, TABLE_BYTES // (tap_chunk * addresses * 8), PIXEL_BYTES // max(tile_pixels * pixel_bytes, 1)
    )
    width = loops.cout // geometry.groups
    if not depthwise and rows.kernel * columns.kernel * pixel_channels * width * size <= SMALL_WEIGHT_BYTES:
        block_tiles = min(block_tiles, OUT_BYTES // max(tile_pixels * width * size, 1))
    return Plan(
        geometry,
        loops,
        isa,
        bits,
        layout,
        algorithm,
        tile_pixels,
        max(block_tiles, 1),
        tap_chunk,
        channel_chunk,
        fused,
        lead,
        _reads_outside(rows) or _reads_outside(columns),
        geometry.multiply_adds,
        pixel_plan(geometry, table["lanes"], size) if layout == "pixels" else None,
    )
