"""How an operation runs: geometry + dtype + instruction set -> a frozen Plan (algorithm, tiles, chunks), cached per shape by ops.

Results never depend on these choices: every output is one ordered sum, cut or interleaved in any way (kernels/gather.pxi).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from . import _kernels
from .geometry import Axis, Geometry

# Bytes that a task keeps close, in a core's L2 (1 to 2 MB on servers, 256 KB at least): its pixels, its pointer table, a panel.
PIXEL_BYTES = 256 * 1024
TABLE_BYTES = 64 * 1024
PANEL_BYTES = 600 * 1024
MAX_BLOCK_TILES = 48
# Fuse a kernel row's taps where they are at most so many numbers. Measured: 7x7 on 3 channels 60 -> 84% of peak, 3x3 on 512 channels of a 7x7 map
# 69 -> 80%, on 64 and 128 channels +0 to 2%; never slower.
FUSED_NUMBERS = 2048


@dataclass(frozen=True)
class Plan:
    """What the loop nest needs to know beyond the geometry."""

    geometry: Geometry
    isa: str
    bits: int
    algorithm: str  # "gather" or "depthwise"
    tile_pixels: int
    block_tiles: int
    tap_chunk: int
    channel_chunk: int
    fused: bool  # a kernel row's taps are one run of numbers: see kernels/gather.pxi
    padding: bool  # whether some pixel reads outside the input
    multiply_adds: int = field(compare=False)

    @cached_property
    def gather(self) -> Any:
        """The plan as C structures, built on first use."""
        return _kernels.Gather(self)

    @cached_property
    def exact(self) -> Any:
        """The same without zeros for padding: for kernels that hold Inf or NaN."""
        return _kernels.Gather(replace(self, fused=False)) if self.fused else self.gather


def algorithm_for(groups: int, cin: int, cout: int, lanes: int) -> str:
    """"depthwise" where vectors along the groups waste fewer lanes than vectors along one group's output channels.

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
    return any(
        p.count > 0
        and p.offsets
        and (min(p.offsets) < 0 or (p.count - 1) * p.in_step + max(p.offsets) >= axis.in_size)
        for p in axis.phases
    )


def make_plan(geometry: Geometry, dtype: np.dtype[Any], isa: str) -> Plan:
    """Choose tiles and chunks: a block's pixels, its pointer table and one panel of weights stay in L2."""
    bits = 8 * dtype.itemsize
    table = _kernels.describe(isa, bits)
    algorithm = algorithm_for(geometry.groups, geometry.cin, geometry.cout, table["lanes"])
    depthwise = algorithm == "depthwise"
    tile_pixels = table["depthwise_mr"] if depthwise else table["mr"]
    channels = geometry.cin // (1 if depthwise else geometry.groups)
    most_taps = max((len(p.offsets) for p in geometry.rows.phases), default=0) * max(
        (len(p.offsets) for p in geometry.columns.phases), default=0
    )

    offsets = geometry.columns.phases[0].offsets if geometry.columns.phases else ()
    fused = (
        geometry.groups == 1
        and 1 < len(offsets) == geometry.columns.kernel
        and offsets[-1] - offsets[0] == len(offsets) - 1
        and len(offsets) * channels <= FUSED_NUMBERS
    )
    pixel_channels = channels  # fused runs overlap: a pixel is still so many numbers
    if fused:
        channels *= len(offsets)
        most_taps //= len(offsets)

    # LOOP taps and channels: pieces whose panel fits L2; only one of the two is ever cut
    row_bytes = table["nr"] * table["lanes"] * dtype.itemsize
    channel_chunk, tap_chunk = max(channels, 1), max(most_taps, 1)
    if not depthwise and channels * row_bytes > PANEL_BYTES:
        channel_chunk, tap_chunk = PANEL_BYTES // 2 // row_bytes, 1
    elif not depthwise and most_taps * channels * row_bytes > PANEL_BYTES:
        tap_chunk = PANEL_BYTES // max(channels * row_bytes, 1)
    tap_chunk = max(1, min(tap_chunk, TABLE_BYTES // (tile_pixels * 8)))

    block_tiles = min(
        MAX_BLOCK_TILES,
        TABLE_BYTES // (tap_chunk * tile_pixels * 8),
        PIXEL_BYTES // max(tile_pixels * min(pixel_channels, channel_chunk) * dtype.itemsize, 1),
        # edge copies, were every pixel at an edge
        PIXEL_BYTES // max(tile_pixels * channel_chunk * tap_chunk * dtype.itemsize, 1) if fused else MAX_BLOCK_TILES,
    )
    return Plan(
        geometry,
        isa,
        bits,
        algorithm,
        tile_pixels,
        max(block_tiles, 1),
        tap_chunk,
        channel_chunk,
        fused,
        _reads_outside(geometry.rows) or _reads_outside(geometry.columns),
        geometry.multiply_adds,
    )
