"""Winograd's form along one axis: tiles that need fewer products.

F(m, r) computes m neighbouring outputs of an r-tap filter from n = m + r - 1 products instead of m * r. It
evaluates polynomials at n points, the last of which is infinity. It serves these axes:

    stride 1                 of all taps; with a dilation of d, the axis falls into d grids, each with every
                             d-th input and output
    stride 2, 3 to 6 taps,   the even taps meet the even inputs, the odd taps the odd ones: two filters of
    not dilated              half the taps, whose products are added before one output transform. With an odd
                             number of taps the second filter has a tap of zero; its product at infinity is
                             zero, and is left out: F(m, r) takes 2 * (m + r - 1) - 1 products
    transposed, stride 2     each of its two phases, of half the taps: they read the same inputs, and share
                             their transform. With an odd number of taps the second phase has a tap of zero,
                             this time its first tap; its product at the point 0 is zero, and is left out
    one tap                  n = m = 1: the axis stays as it is

The product of two axes is a tile: (products along rows) x (products along columns) for (outputs) x (outputs).
A tile of F(4, 2) for 3x3 with stride 2, or transposed, takes 81 products instead of 144, one of F(4, 3) for
5x5 121 instead of 400. Kernels of 7 and 8 taps with stride 2 would be parts of 4 taps; layers that have them
read few channels.

The transforms of inputs and sums are in kernels/isa/winograd.h; those of the weights are here. All points are
binary fractions, so that G's entries are rounded once.
"""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

from ..geometry import Axis

# By n: the finite points. By phases and taps: the tiles that kernels/isa/winograd.h has; of stride 2, by the
# taps of the longer part.
POINTS: dict[int, tuple[float, ...]] = {
    3: (0, 1),
    4: (0, 1, -1),
    5: (0, 1, -1, 0.5),
    6: (0, 1, -1, 0.5, -2),
    7: (0, 1, -1, 0.5, -0.5, 2),
    8: (0, 1, -1, 0.5, -0.5, 2, -2),
    10: (0, 1, -1, 0.5, -0.5, 2, -2, 1.25, -1.25),
}
TILES: dict[int, dict[int, tuple[int, ...]]] = {
    1: {2: (2, 3, 4), 3: (2, 3, 4, 5, 6), 5: (2, 4), 7: (4,)},
    2: {2: (2, 3, 4), 3: (2, 4)},
}
STRIDED = {2: (2, 3, 4), 3: (2, 3, 4)}


class Along(NamedTuple):
    """One axis in tiles."""

    tile: int  # outputs of each phase: m
    taps: int  # of each phase, or of the longer part: r
    phases: int
    advance: int  # inputs from a tile to the next
    start: int  # the first input of the first tile,
    out: int  # and its first output; before the image if negative
    grids: int  # pixels from an output of a tile to the next
    parts: int = 1  # the stride, where inputs lie in so many parts: an input to the next of its part
    short: int = 0  # 1 if the last phase or part has a tap less

    @property
    def n(self) -> int:
        """Inputs that a tile reads of each part, and points of each phase."""
        return self.tile + self.taps - 1

    @property
    def positions(self) -> int:
        """Numbers that the output transform of a tile reads."""
        return self.n * self.phases

    @property
    def slots(self) -> int:
        """Products of a tile: those of all parts are added at a position."""
        return self.positions * self.parts - self.short

    @property
    def few(self) -> int:
        """The position with one product less than there are parts; -1 if there is none."""
        return (self.n if self.parts == 1 else self.n - 1) if self.short else -1

    @property
    def pitch(self) -> int:
        """Pixels from an input of a tile to the next."""
        return self.grids * self.parts

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
        """For each part, for each tile: its first input, which of its inputs are inside (low, high), its
        first output, and which of its outputs exist (low, high)."""
        found, outputs = [], self.tile * self.phases
        for part, grid in itertools.product(range(self.parts), range(min(self.grids, axis.out_size))):
            for tile in range(-(-(axis.out_size - self.out - grid) // self.period)):
                first = self.start + part + grid + tile * self.advance * self.grids
                low = -(-max(-first, 0) // self.pitch)
                high = -(-max(axis.in_size - first, 0) // self.pitch)
                out = self.out + grid + tile * self.period
                exist = min(-(-(axis.out_size - out) // self.grids), outputs)
                found.append((first, min(low, self.n), min(high, self.n), out, max(-out, 0), exist))
        return found


def tiles_of(axis: Axis) -> tuple[int, ...]:
    """The tiles that serve an axis; (1,) for an axis of one tap, () if the axis is not in the list above.

    >>> from convlite.geometry import conv_axis, transpose_axis
    >>> tiles_of(conv_axis(28, 3, 1, 1, "same", "")), tiles_of(conv_axis(28, 3, 2, 1, "same", ""))
    ((2, 3, 4, 5, 6), (2, 3, 4))
    >>> tiles_of(transpose_axis(14, 4, 2, 1, "same", "")), tiles_of(conv_axis(28, 4, 1, 1, "same", ""))
    ((2, 3, 4), ())
    """
    phases = len(axis.phases)
    if not axis.out_size or not phases or not all(phase.offsets for phase in axis.phases):
        return ()  # a phase without taps: strides and dilations have a common factor
    first = axis.phases[0]
    if phases == 1:
        if len(first.offsets) == 1:
            return (1,)
        if first.in_step == 2 and first.offsets[1] - first.offsets[0] == 1:
            return STRIDED.get(-(-axis.kernel // 2), ()) if axis.kernel > 2 else ()
        if first.in_step != 1:
            return ()
    elif phases != 2 or max([phase.reach for phase in axis.phases]) > -(-axis.kernel // 2):
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
    if phases == 1 and len(first.offsets) > 1 and first.in_step == 2:
        taps, short = -(-axis.kernel // 2), axis.kernel % 2
        return Along(tile, taps, 1, 2 * tile, first.offsets[0], 0, 1, parts=2, short=short)
    if phases == 1:
        grids = abs(first.offsets[1] - first.offsets[0]) if len(first.offsets) > 1 else 1
        return Along(tile, axis.kernel, 1, tile * first.in_step, min(first.offsets), 0, grids)
    # without cropping, output 2*i + p reads the inputs i, i - 1, ..., i - taps + 1
    taps, before, short = -(-axis.kernel // phases), axis.pads[0], axis.kernel % 2
    start, out = before // phases - taps + 1, -(before % phases)
    return Along(tile, taps, phases, tile, start, out, 1, short=short)


def weights_of(kernel: int, phases: int, tile: int, parts: int = 1) -> list[list[float]]:
    """G of an axis: a row for each product, with a factor for each tap. The taps are in the order of the
    inputs (those of a transposed convolution are reversed). The products of parts follow each other.

    >>> weights_of(2, 1, 3)
    [[1.0, 0.0], [0.5, 0.5], [0.5, -0.5], [0.0, 1.0]]
    >>> weights_of(4, 2, 3)[5]
    [0.5, 0.0, 0.5, 0.0]
    >>> weights_of(3, 1, 3, parts=2)[2:]
    [[0.5, 0.0, 0.5], [0.0, 0.5, 0.0], [0.5, 0.0, -0.5], [0.0, 0.5, 0.0], [0.0, 0.0, 1.0]]
    """
    taps, rows = -(-kernel // (phases * parts)), []
    if kernel == 1:
        return [[1.0]]
    n = tile + taps - 1
    values = [_powers(p, POINTS[n], taps) for p in POINTS[n]]
    values.append([0.0] * (taps - 1) + [1.0])
    for phase, row, part in itertools.product(range(phases), values, range(parts)):
        factors = [0.0] * kernel
        for k, value in enumerate(row):
            at = part + parts * k if phases == 1 else kernel - 1 - phase - phases * (taps - 1 - k)
            if 0 <= at < kernel:  # else the tap of zero
                factors[at] = value
        if any(factors):  # else a part or phase is a tap short
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
