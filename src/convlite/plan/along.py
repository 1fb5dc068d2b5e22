"""Winograd's form along one axis: tiles that need fewer products.

F(m, r) computes m neighbouring outputs of an r-tap filter from n = m + r - 1 products instead of m * r. It
evaluates polynomials at n points, the last of which is infinity. It serves these axes:

    stride 1                 of all taps; with a dilation of d, the axis falls into d grids, each with every
                             d-th input and output
    transposed, stride 2     each of its two phases, of half the taps: they read the same inputs, and share
                             their transform. With an odd number of taps one has a tap of zero.
    one tap                  n = m = 1: the axis stays as it is

The product of two axes is a tile: (products along rows) x (products along columns) for (outputs) x (outputs).

Convolutions of stride 2 are left out, because they did not win 10% over the direct form (AVX-512, 1.0 to
1.2 times as fast on 64 to 256 channels). There the even taps meet the even inputs: F(4, 2) and 4 products
of the middle tap make 9 products instead of 12 along an axis, 81 instead of 144 in a tile. But the
transforms move 5 numbers for each input and output channel of an output, where F(4x4, 3x3) moves 2.25.
The same holds for the transpose. A 5x5 kernel of stride 2 would be four parts of F(4, 3), three of them
with taps of zero, whose products are added before one output transform: 144 products instead of 400 in a
tile, 144 transformed inputs (9 an output) and 36 sums (2.25). It is not written. A prototype, 3x3 with
stride 1 on a copy of four times the channels, was 2.24 to 2.33 times as fast as the direct form, the copy
included (Zen 4, AVX-512, 64 and 128 outputs, maps of 28 to 112); with 256 channels on 14x14, where m = 2,
0.98. The same of 3x3, F(m, 2) with its taps of zero: 1.03 to 1.26 on maps of 28 to 112 with 32 and more
inputs, 0.91 with 16.

The transforms of inputs and sums are in kernels/isa/winograd.h; those of the weights are here. All points are
binary fractions, so that G's entries are rounded once.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from ..geometry import Axis

# By n: the finite points. By phases and taps: the tiles that kernels/isa/winograd.h has.
POINTS: dict[int, tuple[float, ...]] = {
    4: (0, 1, -1),
    5: (0, 1, -1, 0.5),
    6: (0, 1, -1, 0.5, -2),
    7: (0, 1, -1, 0.5, -0.5, 2),
    8: (0, 1, -1, 0.5, -0.5, 2, -2),
    10: (0, 1, -1, 0.5, -0.5, 2, -2, 1.25, -1.25),
}
TILES: dict[int, dict[int, tuple[int, ...]]] = {
    1: {2: (3, 4), 3: (2, 3, 4, 5, 6), 5: (2, 4), 7: (4,)},
    2: {2: (3, 4), 3: (2, 4)},
}
FEWEST_TAPS = 4  # of two phases: with three taps, the tap of zero costs as much as the form saves


class Along(NamedTuple):
    """One axis in tiles."""

    tile: int  # outputs of each phase: m
    taps: int  # of each phase: r
    phases: int
    advance: int  # inputs from a tile to the next
    start: int  # the first input of the first tile,
    out: int  # and its first output; before the image if negative
    grids: int  # pixels from an input of a tile to the next, and from an output to the next

    @property
    def n(self) -> int:
        """Inputs that a tile reads, and products of each phase."""
        return self.tile + self.taps - 1

    @property
    def positions(self) -> int:
        """Products of a tile."""
        return self.n * self.phases

    @property
    def period(self) -> int:
        """How many outputs lie between the starts of two neighbouring tiles."""
        return self.tile * self.phases * self.grids

    def count(self, size: int) -> int:
        """How many tiles this number of outputs needs.

        >>> from convlite.geometry import conv_axis
        >>> [along(conv_axis(28, 3, 1, d, "same", ""), 4).count(28) for d in (1, 2, 3)]
        [7, 8, 9]
        """
        outputs = self.tile * self.phases
        each, more = divmod(size - self.out, self.grids)
        return more * -(-(each + 1) // outputs) + (self.grids - more) * -(-each // outputs)

    def lines(self, axis: Axis) -> list[tuple[int, int, int, int, int, int]]:
        """For each tile: its first input, which of its inputs are inside (low, high), its first output, and
        which of its outputs exist (low, high)."""
        found, outputs = [], self.tile * self.phases
        for grid in range(min(self.grids, axis.out_size)):
            for tile in range(-(-(axis.out_size - self.out - grid) // self.period)):
                first = self.start + grid + tile * self.advance * self.grids
                low = -(-max(-first, 0) // self.grids)
                high = -(-max(axis.in_size - first, 0) // self.grids)
                out = self.out + grid + tile * self.period
                exist = min(-(-(axis.out_size - out) // self.grids), outputs)
                found.append((first, min(low, self.n), min(high, self.n), out, max(-out, 0), exist))
        return found


def tiles_of(axis: Axis) -> tuple[int, ...]:
    """The tiles that serve an axis; (1,) for an axis of one tap, () if the axis is not in the list above.

    >>> from convlite.geometry import conv_axis, transpose_axis
    >>> tiles_of(conv_axis(28, 3, 1, 1, "same", "")), tiles_of(conv_axis(28, 3, 2, 1, "same", ""))
    ((2, 3, 4, 5, 6), ())
    >>> tiles_of(transpose_axis(14, 4, 2, 1, "same", "")), tiles_of(conv_axis(28, 4, 1, 1, "same", ""))
    ((3, 4), ())
    """
    phases = len(axis.phases)
    if not axis.out_size or not phases or not all(phase.offsets for phase in axis.phases):
        return ()  # a phase without taps: strides and dilations have a common factor
    first = axis.phases[0]
    if phases == 1:
        if len(first.offsets) == 1:
            return (1,)
        if first.in_step != 1:
            return ()
    elif (
        phases != 2 or axis.kernel < FEWEST_TAPS or max([p.reach for p in axis.phases]) > -(-axis.kernel // 2)
    ):
        return ()
    return TILES[phases].get(-(-axis.kernel // phases), ())


def along(axis: Axis, tile: int) -> Along:
    """An axis cut into tiles of a size from tiles_of.

    >>> from convlite.geometry import transpose_axis
    >>> found = along(transpose_axis(14, 4, 2, 1, (1, 1), ""), 3)
    >>> found.n, found.positions, found.start, found.out
    (4, 8, -1, -1)
    """
    phases, first = len(axis.phases), axis.phases[0]
    if phases == 1:
        grids = abs(first.offsets[1] - first.offsets[0]) if len(first.offsets) > 1 else 1
        return Along(tile, axis.kernel, 1, tile * first.in_step, min(first.offsets), 0, grids)
    # without cropping, output 2*i + p reads the inputs i, i - 1, ..., i - taps + 1
    taps, before = -(-axis.kernel // phases), axis.pads[0]
    return Along(tile, taps, phases, tile, before // phases - taps + 1, -(before % phases), 1)


def weights_of(kernel: int, phases: int, tile: int) -> list[list[float]]:
    """G of an axis: a row for each product, with a factor for each tap. The taps are in the order of the
    inputs (those of a transposed convolution are reversed).

    >>> weights_of(2, 1, 3)
    [[1.0, 0.0], [0.5, 0.5], [0.5, -0.5], [0.0, 1.0]]
    >>> weights_of(4, 2, 3)[5]
    [0.5, 0.0, 0.5, 0.0]
    """
    taps, rows = -(-kernel // phases), []
    if kernel == 1:
        return [[1.0]]
    n = tile + taps - 1
    values = [_powers(p, POINTS[n], taps) for p in POINTS[n]]
    values.append([0.0] * (taps - 1) + [1.0])
    for phase in range(phases):
        for row in values:
            factors = [0.0] * kernel
            for k, value in enumerate(row):
                at = kernel - 1 - phase - phases * (taps - 1 - k)
                if at >= 0:  # else the tap of zero
                    factors[at] = value
            rows.append(factors)
    return rows


def _powers(p: float, points: tuple[float, ...], taps: int) -> list[float]:
    """p^k over the product of p's distances to the others; for 0, 1 where that is a power of two."""
    distance = 1.0
    for other in points:
        if other != p:
            distance *= p - other
    if p == 0 and abs(distance).as_integer_ratio()[0] == 1:
        distance = 1.0
    return [_ratio(math.prod([p] * k), distance) for k in range(taps)]  # products are exact; ** may not be


def _ratio(a: float, b: float) -> float:
    """a / b, rounded to nearest whatever the caller's rounding mode is: large integers are divided as such.

    >>> _ratio(1, -3)
    -0.3333333333333333
    """
    (a, over), (b, under) = a.as_integer_ratio(), b.as_integer_ratio()
    return (int(a) * under << 256) / (int(b) * over << 256)
