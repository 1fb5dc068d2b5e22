"""Winograd's form of 3x3 convolutions with stride 1: which shapes it serves, in which tiles and blocks.

F(m x m, 3x3) computes m x m outputs from (m + 2)^2 products per pair of channels instead of 9 * m * m:
2.25, 4, 4.59 and 5.06 times fewer for m = 2, 4, 5 and 6. kernels/isa/winograd.h has the matrices,
kernels/winograd.pxi the loops.

Error. With u the unit roundoff, B, G and A the matrices, and `|.|` element by element:

    |y - exact| <= (Cin + 20) * u * |A^T| (sum over k of (|G| |g| |G^T|) * (|B^T| |d| |B|)) |A|  + O(u^2)

1 rounding of each transformed weight, at most 8 in the input transform (4 for each axis), Cin in the sum,
8 in the output transform, 1 for the bias; the rest is spare (float64 weights take 10 more). With `|x|` and
`|w|` constant the expression is 7, 97, 474 or 509 times the direct form's (m = 2, 4, 5, 6), which is
`sum |x| |w|`; far less on average. Measured in float32 with normally distributed operands and 64 to 512
channels, the largest error over the largest output: 3e-7 to 9e-7 with m = 2, 2e-6 to 6e-6 with m = 4, 1e-5
to 3e-5 with m = 5 and 6, 8e-7 to 3e-6 in the direct form, whose chains are nine times as long.

NaN and Inf. An output that reads one in the direct form is NaN or Inf here too, but so may be the others
of its tile, up to m x m outputs computed together. A NaN or Inf in the weights makes its whole output
channel so. Transformed inputs exceed inputs up to 225-fold, and what is added up at the end exceeds the sum
of `|x| |w|` up to 509-fold: where one of these is beyond 5e35, float32 may overflow though the direct form
does not.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from . import _kernels, sums
from .geometry import Axis, Geometry

# What a tile costs beside its products, in products per pair of channels: the transforms of its input
# (once for all output channels) and of its output, by vectors of 16 channels, and the start and end of each
# sum. Fitted to one thread of AVX-512, maps of 7 to 112 (Zen 4): on 56x56 maps with 16 -> 16, 64 -> 64 and
# 128 -> 128 channels it predicts 2.06, 3.23 and 3.55 times the direct form's speed for m = 4; measured were
# 2.26, 3.19 and 3.16. For m = 5 on 14x14: 1.92, 3.02, 2.95; 1.93, 3.10, 3.04. For m = 6 on 36x36: 2.50,
# 3.99, 4.28; 2.83, 4.00, 3.69.
TILES = (2, 4, 5, 6)
INPUT_COST = {2: 50, 4: 200, 5: 350, 6: 410}
OUTPUT_COST = {2: 50, 4: 160, 5: 250, 6: 320}
TRANSFORMED = 16
SUM_COST = 5
FEWEST_TILES = 4  # a product of fewer rows takes as long
FEWEST_CHANNELS = 8
# Weights beyond a core's cache must be fetched for each call, however small the map: as if it had more
# rows, one for each so many pairs of channels, at most so many; and few tiles do not hide it, so that it
# takes as long as so many times these rows. Fitted on an EPYC with 40 GB/s from L3 to 256 and 512 channels:
# for 4 tiles they take the time of 9 to 11, for 9 of 12 to 14, for 16 of 20 to 22, whatever m.
PAIRS_PER_ROW = 8192
MOST_WEIGHT_ROWS = 4
UNHIDDEN = 2.5
# What must be won at least: over the direct form; and by m = 5 or 6 over m = 4, since they err three to five
# times as much and have up to 1.8 times the weights. (On 28x28 and 56x56 maps with 64 and more channels
# m = 6 is from 4% slower to 9% faster.)
GAIN = 1.25
GAIN_LARGE = 1.1

# What a block holds in L2: its transformed inputs and sums, and all weights, or if those are too many the
# panel in use. No block is smaller than two rows of the largest micro-kernel, so that weights are not
# fetched too often. Measured with 2 MB of L2: 14 to 56 tiles for 64 channels, 28 to 84 for 128, 28 to 84
# for 256, 28 to 56 for 512 are within 5% of each other; 14 costs 10% for 128 channels, 30% for 256 and
# 512.
BLOCK_BYTES = 1280 * 1024
LEAST_TILES, MOST_TILES = 28, 56


@dataclass(frozen=True)
class WinogradPlan:
    """What the loop nest needs to know beyond the geometry. The results do not depend on `block_tiles`."""

    geometry: Geometry
    isa: str
    bits: int
    winograd: int  # m
    block_tiles: int
    multiply_adds: int = field(compare=False)  # what the call costs, in those: see `costs`
    padding: ClassVar[bool] = False  # the same code serves weights that are not finite
    few_rows: ClassVar[int] = 0

    @property
    def piece(self) -> int:
        """Input channels of a piece of a sum."""
        return sums.cuts(1, self.geometry.cin).part

    @property
    def algorithm(self) -> str:
        """The name: winograd2, winograd4, winograd5 or winograd6."""
        return f"winograd{self.winograd}"

    @property
    def layout(self) -> str:
        """Of the weights: the algorithm's own."""
        return self.algorithm

    @cached_property
    def runner(self) -> Any:
        """The plan as C structures, built on first use."""
        return _kernels.Winograd(self)

    @property
    def matrix_runner(self) -> Any:
        """None: see `few_rows`."""
        return None

    @property
    def exact(self) -> Any:
        """The same: see `padding`."""
        return self.runner


def _serves(axis: Axis) -> bool:
    if len(axis.phases) != 1:
        return False
    phase = axis.phases[0]
    if len(phase.offsets) != 3 or not phase.in_step == phase.step == 1:
        return False
    first, middle, last = phase.offsets
    return abs(middle - first) == 1 and last - middle == middle - first


def costs(geometry: Geometry) -> dict[int, float]:
    """What one image costs with each tile, in products per pair of channels; tile 0 is the direct form."""
    height, width, cin, cout = geometry.rows.out_size, geometry.columns.out_size, geometry.cin, geometry.cout
    fetched = min(cin * cout / PAIRS_PER_ROW, MOST_WEIGHT_ROWS)
    read, written = (-(-channels // TRANSFORMED) * TRANSFORMED for channels in (cin, cout))
    found: dict[int, float] = {0: 9 * height * width}
    for tile in TILES:
        tiles = max(-(-height // tile) * -(-width // tile), FEWEST_TILES)
        rows = max(tiles * (1 + SUM_COST / cin) + fetched, UNHIDDEN * fetched)
        transforms = (INPUT_COST[tile] * read + OUTPUT_COST[tile] * written) / (cin * cout)
        found[tile] = (tile + 2) ** 2 * rows + tiles * transforms
    return found


def tile_for(geometry: Geometry) -> int:
    """The tile of the cheapest form: 6, 5, 4 or 2, or 0 for the direct one.

    By the shape of one image only: the batch and the machine have no say, so they do not show in the result.

    >>> from convlite.geometry import conv_axis
    >>> def same(size, channels):
    ...     axis = conv_axis(size, 3, 1, 1, "same", "height")
    ...     return Geometry(1, axis, axis, channels, channels, 1)
    >>> [tile_for(same(*shape)) for shape in ((112, 64), (56, 64), (14, 256), (7, 512), (56, 3))]
    [6, 4, 5, 2, 0]
    """
    if geometry.groups != 1 or not (_serves(geometry.rows) and _serves(geometry.columns)):
        return 0
    if min(geometry.cin, geometry.cout) < FEWEST_CHANNELS or geometry.cin > sums.SECTION:
        return 0
    found = costs(geometry)
    best = 2 if found[2] < found[4] else 4
    large = 5 if found[5] < found[6] else 6
    if found[large] * GAIN_LARGE < found[best]:
        best = large
    return best if found[best] * GAIN < found[0] else 0


def block_tiles(geometry: Geometry, tile: int, itemsize: int, mr: int, wide: int) -> int:
    """How many tiles go through the three steps at a time; the micro-kernel computes mr x wide sums.

    A thread's scratch is so many times (tile + 2)^2 * (Cin + wide) elements: in float32 0.4 to 1.2 MB for up
    to 256 channels with tiles of 2 and 4, up to 2.1 MB with 5 and 6, and in proportion to Cin beyond.
    """
    positions = (tile + 2) ** 2 * itemsize
    weights = positions * geometry.cin * geometry.cout
    if weights > BLOCK_BYTES:
        weights = positions * geometry.cin * min(wide, geometry.cout)
    tiles = (BLOCK_BYTES - weights) // (positions * (geometry.cin + wide))
    return max(LEAST_TILES, min(tiles, MOST_TILES)) // mr * mr


def make_winograd_plan(geometry: Geometry, dtype: np.dtype[Any], isa: str) -> WinogradPlan | None:
    """The plan of Winograd's form; None where the direct one is as good or the only one."""
    tile = tile_for(geometry)
    if not tile:
        return None
    bits = 8 * dtype.itemsize
    table = _kernels.describe(isa, bits)
    tiles = block_tiles(geometry, tile, dtype.itemsize, table["mr"], table["nr"] * table["lanes"])
    work = int(costs(geometry)[tile] * geometry.images * geometry.cin * geometry.cout)
    return WinogradPlan(geometry, isa, bits, tile, tiles, work)
