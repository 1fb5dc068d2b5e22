"""Few output channels, and transposed convolutions of many phases: forms that fill vectors where vectors
along the output channels alone would stay empty.

Each form has its own layout of the weights. `layout_for` chooses by the kernel alone, so that a kernel can be
packed before the input's size is known; `make_plan` turns back to "plain" where an input is too narrow.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from .geometry import Axis, Geometry, Phase
from .lanewise import fits_lanewise

LAYOUTS = ("plain", "wide", "pixels", "skinny", "lanewise")

# Pixel vectors: a tile's slice of the transposed row stays in L1, the row and the rolling sums of a stretch
# in L2.
TILE_BYTES = 24 * 1024
STRETCH_BYTES = 128 * 1024


class PixelPlan(NamedTuple):
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


def layout_for(
    operation: str,
    kernel: tuple[int, ...],
    strides: tuple[int, int],
    dilations: tuple[int, int],
    groups: int,
    lanes: int,
    line: int = 0,
    skinny: bool = True,
    table: Any = None,
) -> str:
    """The layout of the weights, and with it the form of the loops: the cheapest by the estimates below.

    "plain": each phase by itself, vectors along its output channels.
    "wide": in NHWC the outputs of a transposed convolution's column phases lie side by side, so phases with
    the same taps are one phase with stride*Cout channels.
    "pixels": vectors along the pixels of a row.
    "skinny": the same where each output reads one pixel, and each pixel gives few outputs: nothing waits in
    memory.
    "lanewise": vectors along the outputs of all groups (lanewise.py).

    `line` is how many pixels a line of a phase has, 0 where the input's size is not known yet; `skinny`
    is whether the input allows that form; `table` is what the instruction set has, None for no "lanewise".

    >>> layout_for("conv2d_transpose", (16, 16, 21, 21), (8, 8), (1, 1), 1, 16)
    'wide'
    >>> layout_for("conv2d_transpose", (4, 4, 3, 64), (2, 2), (1, 1), 1, 16)
    'pixels'
    >>> layout_for("conv2d_transpose", (2, 2, 1, 16), (2, 2), (1, 1), 1, 16)
    'skinny'
    """
    if table and fits_lanewise(operation, kernel, strides, dilations, groups, table):
        return "lanewise"
    if groups != 1 or 0 in kernel or operation not in ("conv2d", "conv2d_transpose"):
        return "plain"
    transposed = operation == "conv2d_transpose"
    height, width, a, b = kernel
    cin, cout = (b, a) if transposed else (a, b)
    outputs = strides if transposed else (1, 1)  # lines and columns of outputs for each pixel that is counted
    costs = {"plain": height * width * cin * _vectors(cout, lanes) + LANE_PIXEL * outputs[0] * outputs[1]}
    if transposed and strides[1] > 1 and dilations[1] == 1 and width % strides[1] == 0:
        taps, ends = width // strides[1], 1 if width == strides[1] else 1 + 1 / (line or 32)
        vectors = _vectors(strides[1] * cout, lanes)
        costs["wide"] = ends * height * taps * cin * vectors + LANE_PIXEL * outputs[0]
    special = not table or table["pixels"]  # doubles have neither form
    if special and (not transposed or max(dilations) == 1):
        costs["pixels"] = _pixel_cost(height, width, cin, cout, strides, outputs, lanes, line)
    apart = (height, width) == strides and max(dilations) == 1 if transposed else height == width == 1
    sums = height * width * cout
    if (
        special
        and skinny
        and apart
        and outputs == strides
        and sums <= most_sums(lanes)
        and cin >= SKINNY_CHANNELS
    ):
        costs["skinny"] = _skinny_cost(cin, sums, lanes)
    return min(costs, key=costs.__getitem__)


def most_sums(lanes: int) -> int:
    """How many outputs of a pixel "skinny" can have: no more than the kernels of any instruction set with
    vectors of so many lanes take (isa/skinny.h)."""
    return 12 if lanes >= 16 else 8 if lanes > 1 else 0


def fits_skinny(geometry: Geometry, lanes: int) -> bool:
    """Whether every output reads one pixel and every pixel gives all of its outputs (no padding, no crop),
    few of them, and there is a vector of pixels."""
    rows, columns = geometry.rows, geometry.columns
    return (
        all(a.pads == (0, 0) and a.out_size == a.in_size * a.kernel for a in (rows, columns))
        and geometry.groups == 1
        and geometry.cin >= SKINNY_CHANNELS
        and rows.kernel * columns.kernel * geometry.cout <= most_sums(lanes)
        and geometry.images * rows.in_size * columns.in_size >= lanes
    )


# What the forms cost, in multiply-adds of whole vectors for each pixel: of the input for a transposed
# convolution, of the output for a convolution. Fitted to 100 shapes on one core with AVX-512: within 15%
# of the times, and wrong only where two forms lie closer than that.
LANE_PIXEL = 15  # an output line's pixel, of vectors along channels
TRANSPOSE = 0.8  # an input element
TRANSPOSE_FEW = 12  # an input pixel of few channels
INTERLEAVE = 0.9  # an output element
ROW = 300  # an input row of pixel vectors
SKINNY_CHANNELS = 4  # at least: 16 bytes of a pixel are read at a time


def _vectors(channels: int, lanes: int) -> float:
    """The cost of tiles over so many channels: two vectors wide, and one for the rest, which is slower.

    14x1 sums of 16 lanes are nearly as fast as 14x2 (3x3 on 16 channels of 200x200 108 GFLOP/s, 86 with pixel
    vectors); 6x1 sums of 8 lanes wait for one another.
    """
    vectors = -(-channels // lanes)
    if vectors == 1:
        return 1.05 if lanes >= 16 else 1.3
    return vectors + 0.25 * (vectors % 2)


def _pixel_cost(
    height: int,
    width: int,
    cin: int,
    cout: int,
    strides: tuple[int, int],
    outputs: tuple[int, int],
    lanes: int,
    line: int,
) -> float:
    empty = -(-line // lanes) * lanes / line if line else 1.1  # a row's last vector
    sums = height * width * cin * cout / lanes * (2 if height * cout == 1 else 1)
    reload = 2 * height * outputs[1] * cout / lanes
    inputs = 1 if outputs != (1, 1) else strides[0] * strides[1]
    transpose = 2.0 if cin == 1 == inputs else max(TRANSPOSE * cin, TRANSPOSE_FEW)
    outer = transpose * inputs + INTERLEAVE * outputs[0] * outputs[1] * cout + ROW / (line or 32)
    return empty * (sums + reload) + outer


def _skinny_cost(cin: int, sums: int, lanes: int) -> float:
    element, product = (4.0, 0.7) if lanes >= 8 else (2.0, 1.0)  # where lanes of them are one
    return cin * (element + product * sums) / lanes + INTERLEAVE * sums


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
    return geometry._replace(columns=axis, cout=stride * geometry.cout), before % stride * geometry.cout


def pixel_plan(geometry: Geometry, lanes: int, size: int) -> PixelPlan:
    """The rows and columns as kernels/pixels.pxi wants them."""
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
    tile = max(TILE_BYTES // (size * lanes * planes * geometry.cin), 4)
    scale, divisor = row.step, row.in_step
    return PixelPlan(scale, divisor, deltas, transposed, planes, taps, left, right, stretch * lanes, tile)
