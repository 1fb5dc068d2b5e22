"""What is known about a call before it is planned."""

from __future__ import annotations

from typing import Any, NamedTuple

from .. import _kernels
from ..arguments import Pair
from ..geometry import OPERATIONS, Geometry


class Weights(NamedTuple):
    """Facts about a kernel: the array's shape, how the operation uses it, and facts about its values."""

    operation: str  # of geometry.py
    shape: tuple[int, ...]
    strides: Pair = (1, 1)
    dilations: Pair = (1, 1)
    groups: int = 1
    packed: bool = True  # packed once for many calls; else each call packs it or uses it unpacked
    finite: bool = True  # no Inf, no NaN: zeros may stand for padding

    @property
    def transposed(self) -> bool:
        """Whether the array is (kh, kw, Cout, Cin), and strides are between outputs."""
        return OPERATIONS[self.operation].transposed

    @property
    def general(self) -> bool:
        """Whether outputs are sums over a window and the channels of a group."""
        return OPERATIONS[self.operation].grouped

    @property
    def outputs_last(self) -> bool:
        """Whether the array is (..., input channels, output channels)."""
        return OPERATIONS[self.operation].kernel[-2:] in (("k", "gl"), ("k", "l"))

    @property
    def size(self) -> Pair:
        """(height, width)."""
        return (self.shape[0], self.shape[1]) if len(self.shape) == 4 else (1, 1)


class Problem(NamedTuple):
    """A call to be planned."""

    geometry: Geometry
    weights: Weights
    isa: str
    kind: str  # of the elements: "f32" or "f64"
    table: _kernels._Table  # of the instruction set, for this kind

    @property
    def empty(self) -> bool:
        """Whether there is no output, or nothing to add up."""
        return 0 in self.geometry.out_shape or self.geometry.cin == 0

    @property
    def bytes(self) -> int:
        """The bytes of an element."""
        return self.table["itemsize"]

    @property
    def panel_lanes(self) -> int:
        """How many output channels a panel has."""
        return self.table["nr"] * self.table["lanes"]

    def shared(self, nanoseconds: float) -> dict[str, Any]:
        """The fields that the records of all forms have."""
        whole = int(min(nanoseconds, 1e18))  # 30 years: it must fit an integer of the core
        return {"geometry": self.geometry, "isa": self.isa, "kind": self.kind, "nanoseconds": whole}
