"""The rule by which long sums are cut. It is the same for every form, instruction set, thread and batch.

A sum goes over the kernel's rows, its columns and the input channels, in this order. One chain of float32
additions drifts: its error grows with the square root of its length, and positive numbers add nothing any
more beyond 2^24. So

    a piece is at most PIECE products, one chain from zero, each step a fused multiply-add;
    a section is at most SECTION products, the sum of its pieces in their order;
    the sections are added in their order, with what each addition rounds off kept in a second number
    (Knuth's two-sum) and added at the end.

A piece ends where the shape says so: it is some whole kernel rows; where a row has more than PIECE products,
some taps of a row; where a tap has more, some channels of a tap; as equal as whole numbers allow. A section
is whole pieces, and likewise rows, taps or channels. Taps in the padding count, though nothing is added for
them, so that an output at the edge is cut where any other is.

Error. With u the unit roundoff, to first order:

    |y - exact| <= (PIECE + SECTION / PIECE + 3) * u * sum |x| |w|   of any length,

and by the roundings' random signs about sqrt(PIECE / 3 / pieces + pieces of a section / 3 / sections) times
0.6 u. Measured in float32, the root of the mean square is 0.6 to 3.2 u of the largest output for positive
numbers and 0.7 to 1.4 u for normal ones, for 64 to 25088 products.

>>> cuts(3, 64)  # of 3x3 taps and 64 channels: three pieces of a row, one section
Cuts(part=192, period=192, taps=84, channels=64, row=0)
>>> cuts(1, 25088)[:2]  # dense: 98 pieces
(256, 25088)
"""

from __future__ import annotations

from typing import NamedTuple

# 256 products: the longest chain with which long sums err no more than 1.5 times as much as those of PyTorch
# and NumPy (384 would be 2 times, of 3x3 on 128 channels).
PIECE = 256
SECTION = 21 * PIECE  # panels of weights for a section fit into L2; 9x9 on 64 channels is one
SECTION_TAPS = 512  # the table of a section's addresses fits, too


class Cuts(NamedTuple):
    """Where the sums of one phase are cut, in products from the first tap on, and in taps."""

    part: int  # pieces: part, part, ... and what is left of a period
    period: int
    taps: int  # of a section
    channels: int  # of a section: all, or some of one tap's
    row: int  # where sections are within kernel rows: the taps of a row; else 0


def cuts(width: int, channels: int) -> Cuts:
    """Cut sums over kernel rows of `width` taps with `channels` each."""
    width, channels = max(width, 1), max(channels, 1)
    row = width * channels
    if channels > PIECE:
        part, period = _even(channels, PIECE, 4), channels
    elif row > PIECE:
        part, period = _even(width, PIECE // channels, 1) * channels, row
    else:
        part = period = PIECE // row * row
    if channels > SECTION:
        return Cuts(part, period, 1, -(-_even(channels, SECTION // 2, 1) // part) * part, 0)
    if row > SECTION or width > SECTION_TAPS:
        step = max(part // channels, 1)
        return Cuts(
            part, period, max(min(SECTION // channels, SECTION_TAPS) // step, 1) * step, channels, width
        )
    step = max(part // row, 1)
    rows = max(min(SECTION // row, SECTION_TAPS // width) // step, 1) * step
    return Cuts(part, period, rows * width, channels, 0)


def one_section(taps: int, cut: Cuts, channels: int) -> bool:
    """Whether a sum over these numbers of taps and channels is a single section."""
    return taps <= cut.taps and channels <= cut.channels and not (cut.row and taps > cut.row)


def _even(total: int, most: int, step: int) -> int:
    """The length of nearly equal pieces of at most `most`, in whole steps."""
    pieces = -(-total // most)
    return min(-(-total // pieces // step) * step, max(most, 1))
