"""Winograd's form of convolutions: which shapes it serves, in which tiles and blocks.

F(m x m, 3x3) computes m x m outputs from (m + 2)^2 products per pair of channels instead of 9 * m * m:
2.25, 3.24, 4, 4.59 and 5.06 times fewer for m = 2 to 6. along.py says which axes are such filters, of 2, 3,
5 and 7 taps, and how: a tile is m x n outputs of (products along rows) x (products along columns), 1 along an
axis of one tap. kernels/isa/winograd.h has the matrices, kernels/winograd.pxi the loops.

Error. With u the unit roundoff, B, G and A the matrices of either axis, and `|.|` element by element:

    |y - exact| <= (K + 20) * u * |A^T| (sum over K of (|G| |g| |G^T|) * (|B^T| |d| |B|)) |A|  + O(u^2)

K is the number of input channels of a group; of a strided convolution, twice that for each strided axis: the
sum is over the parts of the inputs, too. 1 rounding of each transformed weight, at most 8 in the input
transform (4 for each axis), K in the sum, 8 in the output transform (5 for one axis of 10 products), 1 for
the bias; the rest is spare (float64 weights take 10 more). With constant `|x|` and `|w|` the expression is
this many times the direct form's, which is `sum |x| |w|`; far less on average. Measured in float32 with
normally distributed operands and 64 to 512 channels, the largest error over the largest output; and with 64,
the root of the mean square over that of the outputs:

    3x3, dilated or not, m = 2      7 times    3e-7 to 9e-7    3e-7
                         m = 3, 4  66, 97      2e-6 to 6e-6    1e-6
                         m = 5, 6  474, 509    1e-5 to 3e-5    3e-6
    5x5,                 m = 2, 4  71, 301     2e-6, 7e-6      1e-6, 3e-6
    2x2, and 4x4/2 transposed,
                         m = 2     4           4e-7 to 8e-7    3e-7
                         m = 3, 4  9, 100      3e-7, 3e-6      3e-7, 9e-7
    5x5/2 transposed,    m = 2, 4  as 3x3
    3x3/2, 5x5/2, and 3x3/2 transposed: docs/precision.md
    3 taps along one axis,
                         m = 4, 6  10, 23      7e-7, 2e-6      4e-7, 7e-7
    5 taps,              m = 2, 4  8, 17       7e-7, 1e-6      4e-7, 7e-7
    7 taps,              m = 4     99          4e-6            3e-6

The error of the direct form is 8e-7 to 3e-6 where its chains are nine times as long.

NaN and Inf. An output that reads one is NaN or Inf, as in the direct form. The other outputs of its tile may
be, too: up to 8 x 8 outputs are computed together, a dilation apart. A NaN or Inf in the weights does this to
its whole output channel. Transformed inputs exceed inputs up to 225-fold, and the numbers that the output
transform adds exceed the sum of `|x| |w|` up to 509-fold. If one of these is beyond 5e35, float32 may
overflow where the direct form does not.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import cached_property
from typing import ClassVar

from .. import _kernels, sums
from ..arguments import Pair
from ..geometry import Axis, Geometry
from .along import Along, along, tiles_of
from .choice import form, winograd_costs
from .problem import Problem
from .record import Plan

# What a tile costs beside its products, in products per pair of channels: the transforms of its input
# (once for all output channels) and of its output, by vectors of 16 channels, and the start and end of each
# sum. Fitted to one thread of AVX-512, maps of 7 to 112 (Zen 4): on 56x56 maps with 16 -> 16, 64 -> 64 and
# 128 -> 128 channels it predicts 2.06, 3.23 and 3.55 times the direct form's speed for m = 4; measured were
# 2.26, 3.19 and 3.16. For m = 5 on 14x14: 1.92, 3.02, 2.95; 1.93, 3.10, 3.04. For m = 6 on 36x36: 2.50,
# 3.99, 4.28; 2.83, 4.00, 3.69.
INPUT_COST = {2: 50, 4: 200, 5: 350, 6: 410}
OUTPUT_COST = {2: 50, 4: 160, 5: 250, 6: 320}
# The same cost of other tiles, for each input and each position: along two axes, along one (of strided axes
# that is for each part, and twice as much). On an EPYC (Zen 4, AVX-512, one thread) the chosen tiles of
# strided and transposed convolutions are as fast as predicted within 12% on maps of 28 and more: 3x3/2
# 64 -> 128 on 56x56 1.58, measured 1.54; 5x5/2 2.97, 2.93; transposed 3x3/2 128 -> 64 on 28x28 1.56, 1.55.
# On maps of 8 to 16 they are up to 1.3 times as fast as predicted.
INPUT_EACH, OUTPUT_EACH = (6.5, 4.0), (5.0, 4.0)
TRANSFORMED = 16
SUM_COST = 5
FEWEST_TILES = 4  # a product with fewer rows takes as long as one with these
FEWEST_CHANNELS = 8
# The least channels, of a group, for tiles along one axis; for others the least of each of several groups,
# and numbers of a group in the output: the fixed cost of a task arises for each. Against the direct form on a
# Sapphire Rapids core, AVX-512 / AVX2: 16 channels on 56x56 1.6 / 1.8, on 28x28 1.6 / 1.5, on 14x14 0.7 to
# 1.0; 24 on 28x28 1.7 / 1.9; 32 on 14x14 1.4 / 1.5; 64 on 10x10 1.4, on 7x7 0.7 to 1.1; 16 along one axis
# 0.9 / 0.9. On a Zen 3 (AVX2) one group of 16 along one axis, 49 to 12544 outputs: 3 taps 0.62 to 0.84, 5
# taps 0.64 to 0.88, 7 taps 0.71 to 0.92; of 32: 0.82 to 1.1, 0.9 to 1.2, 1.04 to 1.4.
CHANNELS_ALONG, GROUP_CHANNELS, GROUP_NUMBERS = 32, 16, 24 * 14 * 14
# Weights beyond a core's cache must be fetched for each call, however small the map. This is counted as more
# rows: one for PAIRS_PER_ROW pairs of channels, at most MOST_WEIGHT_ROWS. Few tiles do not hide it: then the
# time is that of UNHIDDEN times these rows. Fitted on an EPYC with 40 GB/s from L3 to 256 and 512 channels: 4
# tiles take the time of 9 to 11, 9 tiles that of 12 to 14, 16 tiles that of 20 to 22, whatever m.
PAIRS_PER_ROW = 8192
MOST_WEIGHT_ROWS = 4
UNHIDDEN = 2.5
# The least gain: over the direct form (what was predicted to win 1.15 to 1.25 won 1.1 to 1.5, on an EPYC);
# and of tiles with more than SMALL products along an axis over smaller tiles, since their errors are three to
# five times as large and they have up to 1.8 times the weights. (On 28x28 and 56x56 maps with 64 and more
# channels m = 6 is from 4% slower to 9% faster.)
GAIN = 1.15
GAIN_LARGE = 1.1
SMALL, MOST = 6, 8

# A block holds in L2 its transformed inputs and sums, and all weights, or if those are too many, the
# panel in use. No block is smaller than two rows of the largest micro-kernel, so that weights are not
# fetched too often. Measured with 2 MB of L2: 14 to 56 tiles for 64 channels, 28 to 84 for 128, 28 to 84
# for 256, 28 to 56 for 512 are within 5% of each other; 14 costs 10% for 128 channels, 30% for 256 and
# 512.
# Weights beyond LARGE_WEIGHTS are read from far away once for each block: then blocks are as large as
# they may be. Measured on a Zen 4 (1 MB of L2), one thread, weights in memory, 56 tiles against 28: 9 MB
# and 49 tiles 1.03, 64 tiles 1.01, 196 tiles 0.99; 8 to 12 MB and m = 5, 6 1.01 to 1.02; 16 to 36 MB 1.01
# to 1.045. Up to 4.5 MB it is 0.98 to 1.01. 70 tiles win 2% more where they make one block of two, but 2
# MB of L2 do not hold them. Where the inputs of 56 tiles exceed FAR_INPUTS (strided 3x3 on 512 channels),
# blocks are smaller, for the scratch: 28 and 42 tiles are 0.98 to 1.05 times as fast as 56.
# Instruction sets of 16 registers have micro-kernels of FEW_ROWS; most cores without a better one have 256
# to 512 KB of L2. On a Zen 3 (512 KB, AVX2, one thread) 24 tiles are so many times as fast as 54: on 56x56
# with 32 channels 1.12, 48 1.09, 64 1.04, 96 1.03, 128 1.02; on 28x28 with 64 1.03; strided, transposed and
# 5x5 kernels 1.00 to 1.02.
BLOCK_BYTES, SMALL_BLOCK_BYTES = 1280 * 1024, 320 * 1024
FEW_ROWS = 6
LARGE_WEIGHTS, FAR_INPUTS = 5 << 20, 10 << 20
LEAST_TILES, MOST_TILES = 28, 56


class Winograd(Plan):
    """Tiles of `tile` outputs along each axis, of each part. The results do not depend on `block_tiles`."""

    tile: Pair
    block_tiles: int
    piece: int  # products of a piece of a sum over the parts and input channels
    form: ClassVar[str] = "winograd"

    @property
    def layout(self) -> str:
        """Transformed weights, which differ from tile to tile."""
        return str(self)

    @property
    def along(self) -> tuple[Along, Along]:
        """The two axes in tiles."""
        return along(self.geometry.rows, self.tile[0]), along(self.geometry.columns, self.tile[1])

    @cached_property
    def runner(self) -> _kernels.Runner:
        """The plan as C structures, built on first use."""
        return _kernels.Winograd(self)

    def __str__(self) -> str:
        """The form's name with its tile, and the parts of rows and columns."""
        parts = tuple([axis.parts for axis in self.along])
        return f"winograd {_by(self.tile)}" + (f"/{_by(parts)}" if parts != (1, 1) else "")


def _by(pair: Iterable[int]) -> str:
    return "x".join([str(number) for number in pair])


def read_layout(layout: str) -> tuple[Pair, Pair]:
    """The tile of Winograd.layout, and the parts of rows and columns.

    >>> read_layout("winograd 1x4"), read_layout("winograd 3x3/2x1")
    (((1, 4), (1, 1)), ((3, 3), (2, 1)))
    """
    tile, _, parts = layout.partition(" ")[2].partition("/")
    (m, n), (rows, columns) = (map(int, each.split("x")) for each in (tile, parts or "1x1"))
    return (m, n), (rows, columns)


def products(geometry: Geometry) -> dict[Pair, float]:
    """What one image costs with each tile that serves, in products per pair of channels; (0, 0) is the direct
    form."""
    axes = geometry.rows, geometry.columns
    cin, cout = geometry.cin // geometry.groups, geometry.cout // geometry.groups
    read, written = (-(-channels // TRANSFORMED) * TRANSFORMED for channels in (cin, cout))
    found: dict[Pair, float] = {(0, 0): _direct(axes[0]) * _direct(axes[1])}
    for tile in _tiles(*axes):
        rows, columns = (along(axis, m) for axis, m in zip(axes, tile, strict=True))
        parts = rows.parts * columns.parts
        fetched = min(cin * cout / PAIRS_PER_ROW, MOST_WEIGHT_ROWS)
        tiles = max(rows.count(axes[0].out_size) * columns.count(axes[1].out_size), FEWEST_TILES)
        rows_of = max(tiles * (1 + SUM_COST / (parts * cin)) + fetched, UNHIDDEN * fetched)
        transforms = (parts * _input(rows, columns) * read + _output(rows, columns) * written) / (cin * cout)
        found[tile] = rows.slots * columns.slots * rows_of + tiles * transforms
    return found


def _direct(axis: Axis) -> int:
    """Pairs of an output and a tap along an axis; of taps that lie apart, those inside the image."""
    phase = axis.phases[0]
    if len(axis.phases) > 1 or len(phase.offsets) < 2 or abs(phase.offsets[1] - phase.offsets[0]) == 1:
        return axis.products  # the single output of a transpose may meet no tap, or one
    return sum([max(min(axis.in_size - at, phase.count) - max(-at, 0), 0) for at in phase.offsets])


def _tiles(rows: Axis, columns: Axis) -> list[Pair]:
    """Where both axes have tiles, the same along both; those with the largest errors along one axis only."""
    down, across = tiles_of(rows), tiles_of(columns)
    if down == (1,) or across == (1,):
        return [(m, n) for m in down for n in across if (m, n) != (1, 1)]
    both = [m for m in down if m in across]
    return [(m, m) for m in both if max(along(axis, m).n for axis in (rows, columns)) <= MOST]


def _input(rows: Along, columns: Along) -> float:
    """Of each part."""
    known = _known(rows, columns, INPUT_COST)
    one = 1 in (rows.n, columns.n)
    each = INPUT_EACH[one] * (rows.parts * columns.parts if one else 1)
    return known or rows.n * columns.n * each


def _output(rows: Along, columns: Along) -> float:
    known = _known(rows, columns, OUTPUT_COST)
    return known or rows.positions * columns.positions * OUTPUT_EACH[1 in (rows.n, columns.n)]


def _known(rows: Along, columns: Along, costs: dict[int, int]) -> int:
    """The cost of a tile of 3x3, which was fitted; 0 for others."""
    fitted = rows.taps == columns.taps == 3 and rows.phases == columns.phases == 1
    return costs.get(rows.tile, 0) if fitted else 0


def tile_for(geometry: Geometry) -> Pair:
    """The outputs along rows and columns of the cheapest tile, or (0, 0) for the direct form.

    This depends on the shape of one image only, so batch and machine do not change the result.

    >>> from convlite.geometry import conv_axis
    >>> def same(size, channels):
    ...     axis = conv_axis(size, 3, 1, 1, "same", "height")
    ...     return Geometry(1, axis, axis, channels, channels, 1)
    >>> [tile_for(same(*shape)) for shape in ((112, 64), (56, 64), (14, 256), (7, 512), (56, 3))]
    [(6, 6), (4, 4), (5, 5), (2, 2), (0, 0)]
    """
    if 0 in geometry.out_shape or not geometry.cin:
        return (0, 0)
    cin, cout = geometry.cin // geometry.groups, geometry.cout // geometry.groups
    longest = cin * math.prod([a.in_step for a in (geometry.rows, geometry.columns) if a.kernel > 1])
    if min(cin, cout) < FEWEST_CHANNELS or longest > sums.SECTION or not fits_groups(geometry):
        return (0, 0)
    found = products(geometry)
    direct = found.pop((0, 0))
    large = [tile for tile in found if _is_large(geometry, tile)]
    small = [tile for tile in found if tile not in large]
    best = min(small or large, key=found.__getitem__, default=None)
    if best is None:
        return (0, 0)
    if small and large:
        other = min(large, key=found.__getitem__)
        if found[other] * GAIN_LARGE < found[best]:
            best = other
    return best if found[best] * GAIN < direct else (0, 0)


def fits_groups(geometry: Geometry) -> bool:
    """Whether groups have enough channels and pixels, or the only one, along one axis, enough channels."""
    rows, columns = geometry.rows, geometry.columns
    channels = min(geometry.cin, geometry.cout) // geometry.groups
    if 1 in (rows.kernel, columns.kernel) and channels < CHANNELS_ALONG:
        return False
    if geometry.groups == 1:
        return True
    return channels >= GROUP_CHANNELS and channels * rows.out_size * columns.out_size >= GROUP_NUMBERS


def _is_large(geometry: Geometry, tile: Pair) -> bool:
    """Whether tiles have more than SMALL products of one part along both axes."""
    axes = zip((geometry.rows, geometry.columns), tile, strict=True)
    return min([along(axis, m).n for axis, m in axes]) > SMALL


def periods_for(geometry: Geometry) -> Pair:
    """How many outputs along rows and columns lie between the starts of two tiles; (0, 0) for the direct
    form.
    """
    tile = tile_for(geometry)
    if tile == (0, 0):
        return tile
    rows, columns = (along(axis, m) for axis, m in zip((geometry.rows, geometry.columns), tile, strict=True))
    return rows.period, columns.period


def block_tiles(
    read: int, positions: int, slots: int, cin: int, cout: int, itemsize: int, mr: int, panel: int
) -> int:
    """How many tiles go through the three steps at a time; the micro-kernel computes mr x panel sums.

    A tile has `read` transformed inputs for each input channel, `slots` weights for each pair, and
    `positions` sums for each output channel.

    A thread's scratch is so many times read * cin + positions * panel elements: in float32 0.2 to 1.2 MB for
    up to 256 channels with 3x3 kernels in tiles of 2 and 4, up to 2.1 MB with 5 and 6, and in proportion to
    cin beyond; twice as much with large weights; with strides, up to 10 MB, and for LEAST_TILES whatever they
    take (5x5 on 1344 channels 22 MB).
    """
    weights, near = slots * itemsize * cin * cout, BLOCK_BYTES if mr > FEW_ROWS else SMALL_BLOCK_BYTES
    if weights > LARGE_WEIGHTS:
        return max(LEAST_TILES, min(MOST_TILES, FAR_INPUTS // (itemsize * read * cin))) // mr * mr
    if weights > near:
        weights = slots * itemsize * cin * min(panel, cout)
    tiles = (near - weights) // (itemsize * (read * cin + positions * panel))
    return max(LEAST_TILES, min(tiles, MOST_TILES)) // mr * mr


@form
def winograd(problem: Problem) -> Winograd | None:
    """The plan; None if the direct form is as fast, or is the only one that serves."""
    geometry, table = problem.geometry, problem.table
    tile = tile_for(geometry)
    if tile == (0, 0):
        return None
    rows, columns = along(geometry.rows, tile[0]), along(geometry.columns, tile[1])
    cin, cout = geometry.cin // geometry.groups, geometry.cout // geometry.groups
    parts = rows.parts * columns.parts
    sizes = parts * rows.n * columns.n, rows.positions * columns.positions, rows.slots * columns.slots
    tiles = block_tiles(*sizes, cin, cout, problem.bytes, table["mr"], problem.panel_lanes)
    work = products(geometry)[tile] * geometry.images * geometry.cin * cout
    shared = problem.shared(winograd_costs(problem, work))
    piece = sums.cuts(parts, cin).part
    return Winograd(**shared, tile=tile, block_tiles=tiles, piece=piece)
