"""What is known of a call before it is planned."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .. import _kernels
from ..arguments import Pair
from ..geometry import Geometry


class Weights(NamedTuple):
    """Facts about a kernel: the array's shape, what the operation makes of it, and what it holds."""

    operation: str  # "conv2d", "conv2d_transpose", "depthwise_conv2d" or "dense"
    shape: tuple[int, ...]
    strides: Pair = (1, 1)
    dilations: Pair = (1, 1)
    groups: int = 1
    packed: bool = True  # once, for many calls; else each call packs it, or uses it as it lies
    finite: bool = True  # no Inf, no NaN: zeros may stand for padding

    @property
    def transposed(self) -> bool:
        """Whether the array is (kh, kw, Cout, Cin), and strides are between outputs."""
        return self.operation == "conv2d_transpose"

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
        """Of an element."""
        return self.table["itemsize"]

    @property
    def panel_lanes(self) -> int:
        """How many output channels a panel has."""
        return self.table["nr"] * self.table["lanes"]

    def shared(self, nanoseconds: float) -> dict[str, Any]:
        """The fields that the records of all forms have."""
        whole = int(min(nanoseconds, 1e18))  # 30 years: it must fit an integer of the core
        return {"geometry": self.geometry, "isa": self.isa, "kind": self.kind, "nanoseconds": whole}


def kind_of(dtype: np.dtype[Any]) -> str:
    """The element kind of arrays of this dtype, as the core names it: "f32", "f64"."""
    return f"{dtype.kind}{8 * dtype.itemsize}"


def problem_of(geometry: Geometry, weights: Weights, dtype: np.dtype[Any], isa: str) -> Problem:
    """A call on arrays of this dtype, with this instruction set."""
    kind = kind_of(dtype)
    return Problem(geometry, weights, isa, kind, _kernels.describe(isa, kind))


def channels_of(operation: str, shape: tuple[int, ...], groups: int) -> tuple[int, int, int]:
    """(input channels, output channels, groups) of a kernel of this shape."""
    if operation == "conv2d":
        return shape[2] * groups, shape[3], groups
    if operation == "conv2d_transpose":
        return shape[3], shape[2] * groups, groups
    if operation == "depthwise_conv2d":
        return shape[2], shape[2] * shape[3], max(shape[2], 1)
    return shape[0], shape[1], 1
