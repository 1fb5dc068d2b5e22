"""What callers of `tiled` see: the protocol of arrays, and the record of how a run is cut."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

__all__ = ["TiledArray", "Tiling"]


class TiledArray(Protocol):
    """What `tiled` reads from and writes to: a shape, a dtype, and slices."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of the axes."""

    @property
    def dtype(self) -> Any:
        """Of the elements."""

    def __getitem__(self, place: Any, /) -> Any:
        """A part, an array or what becomes one."""


@dataclass(frozen=True, slots=True)
class Tiling:
    """How a network runs tile by tile on an input of one shape.

    shape: of the input. tile: rows and columns of the input that a tile stands for (one number for
    sequences). halo: ((top, bottom), (left, right)): how far beyond them a tile reads at most. alignment:
    what tiles are multiples of. tiles: how many there are. output_shapes: of the whole outputs. peak_bytes:
    what a tile takes beside the packed weights, x and out. same_bits: whether the result has the bits of the
    whole run; under "exact" always, under "fast" where each convolution of every tile takes the form of the
    whole run.
    """

    shape: tuple[int, ...]
    tile: tuple[int, ...]
    halo: tuple[tuple[int, int], ...]
    alignment: tuple[int, ...]
    tiles: int
    output_shapes: tuple[tuple[int, ...], ...]
    peak_bytes: int
    same_bits: bool

    def __str__(self) -> str:
        sides, steps = "x".join(map(str, self.tile)), "x".join(map(str, self.alignment))
        halo = ", ".join(f"{before}+{behind}" for before, behind in self.halo)
        bits = "the bits of the whole run" if self.same_bits else "within the bound of the whole run"
        return (
            f"{self.tiles} tiles of {sides} (multiples of {steps}), halo {halo}, "
            f"{self.peak_bytes / 1e6:,.1f} MB, {bits}"
        )
