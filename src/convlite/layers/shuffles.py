"""Layers that move numbers between space and channels, or change the order or number of axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import shuffles
from ..arguments import as_int, as_operand, as_size, is_one_of, new_output, shown
from .base import Array, Layer, Shape, product

__all__ = [
    "DepthToSpace", "SpaceToDepth", "PixelShuffle", "PixelUnshuffle", "ChannelShuffle", "Permute",
    "RepeatVector",
]  # fmt: skip


class _Blocks(Layer):
    rank = 4
    axes = "batch, height, width, channels"

    def __init__(self, block_size: int, *, mode: shuffles.Mode, name: str | None) -> None:
        super().__init__(name=name)
        self.block_size = as_size(block_size, "block_size")
        if not is_one_of(mode, ("DCR", "CRD")):
            raise ValueError(f"mode must be 'DCR' or 'CRD'; got {shown(mode)}")
        self.mode: shuffles.Mode = mode


class _ToSpace(_Blocks):
    def call(self, x: Any) -> Array:
        return shuffles.depth_to_space(x, self.block_size, mode=self.mode)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Shape:
        batch, height, width, channels = self.as_input_shape(input_shape)
        b = self.block_size
        return batch, product((height, b)), product((width, b)), self._divided(channels, b * b, "channels")

    def _divided(self, size: int | None, by: int, what: str) -> int | None:
        return (
            None
            if size is None
            else shuffles.divided(size, by, f"block_size * block_size ({by}) must divide the {what} of x")
        )


class _ToDepth(_Blocks):
    def call(self, x: Any) -> Array:
        return shuffles.space_to_depth(x, self.block_size, mode=self.mode)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Shape:
        batch, height, width, channels = self.as_input_shape(input_shape)
        b = self.block_size
        sizes = [
            None
            if size is None
            else shuffles.divided(size, b, f"block_size {b} must divide the {what} of input_shape")
            for size, what in ((height, "height"), (width, "width"))
        ]
        return batch, sizes[0], sizes[1], product((channels, b * b))


class DepthToSpace(_ToSpace):
    """The channels of each pixel spread over a block of pixels: (N, H, W, C*b*b) -> (N, H*b, W*b, C).

    block_size, mode, name -> : shared, layer

    Examples
    --------
    >>> DepthToSpace(2).compute_output_shape((None, 7, 7, 12))
    (None, 14, 14, 3)
    """

    def __init__(self, block_size: int, mode: shuffles.Mode = "DCR", *, name: str | None = None) -> None:
        super().__init__(block_size, mode=mode, name=name)


class SpaceToDepth(_ToDepth):
    """Blocks of pixels gathered into channels: (N, H*b, W*b, C) -> (N, H, W, C*b*b).

    block_size, mode, name -> : shared, layer

    Examples
    --------
    >>> SpaceToDepth(2).compute_output_shape((None, 14, 14, 3))
    (None, 7, 7, 12)
    """

    def __init__(self, block_size: int, mode: shuffles.Mode = "DCR", *, name: str | None = None) -> None:
        super().__init__(block_size, mode=mode, name=name)


class PixelShuffle(_ToSpace):
    """PyTorch's PixelShuffle: DepthToSpace with mode="CRD".

    Parameters
    ----------
    upscale_factor : int
        The side of a block of pixels.
    name : shared, layer

    Raises
    ------
    errors : shared, layer

    Examples
    --------
    >>> PixelShuffle(3).compute_output_shape((None, 7, 7, 9))
    (None, 21, 21, 1)
    """

    def __init__(self, upscale_factor: int, *, name: str | None = None) -> None:
        super().__init__(as_size(upscale_factor, "upscale_factor"), mode="CRD", name=name)


class PixelUnshuffle(_ToDepth):
    """PyTorch's PixelUnshuffle: SpaceToDepth with mode="CRD".

    Parameters
    ----------
    downscale_factor : int
        The side of a block of pixels.
    name : shared, layer

    Raises
    ------
    errors : shared, layer

    Examples
    --------
    >>> PixelUnshuffle(3).compute_output_shape((None, 21, 21, 1))
    (None, 7, 7, 9)
    """

    def __init__(self, downscale_factor: int, *, name: str | None = None) -> None:
        super().__init__(as_size(downscale_factor, "downscale_factor"), mode="CRD", name=name)


class ChannelShuffle(Layer):
    """The channels dealt out to all groups, as `convlite.channel_shuffle` does.

    Parameters
    ----------
    groups : int
        The number of groups, which divides the channels.
    name : shared, layer

    Raises
    ------
    errors : shared, layer

    Examples
    --------
    >>> ChannelShuffle(2)([[0.0, 1.0, 2.0, 3.0]]).tolist()
    [[0.0, 2.0, 1.0, 3.0]]
    """

    def __init__(self, groups: int, *, name: str | None = None) -> None:
        super().__init__(name=name)
        self.groups = as_size(groups, "groups")

    def call(self, x: Any) -> Array:
        return shuffles.channel_shuffle(x, self.groups)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Shape:
        shape = self.as_input_shape(input_shape)
        if not shape:
            raise ValueError(f"{self.name} takes at least 1 axis, the channels; got the shape ()")
        if shape[-1] is not None:
            shuffles.divided(
                shape[-1], self.groups, f"groups {self.groups} must divide the channels of input_shape"
            )
        return shape


class Permute(Layer):
    """The axes of a sample in another order: Keras's Permute.

    Parameters
    ----------
    dims : sequence of ints
        The axes of a sample in their new order, counted from 1, as the batch is 0.
    name : shared, layer

    Raises
    ------
    errors : shared, layer

    Examples
    --------
    >>> Permute((2, 1)).compute_output_shape((None, 3, 4))
    (None, 4, 3)
    """

    def __init__(self, dims: Sequence[int], *, name: str | None = None) -> None:
        super().__init__(name=name)
        if isinstance(dims, (str, bytes)) or not isinstance(dims, (Sequence, np.ndarray)):
            raise TypeError(f"dims must be a sequence of axes, such as (2, 1, 3); got {shown(dims)}")
        self.dims = tuple(as_int(axis, "dims", minimum=1) for axis in dims)
        if sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            raise ValueError(f"dims must have each number from 1 to {len(self.dims)} once; got {shown(dims)}")

    def call(self, x: Any) -> Array:
        array = as_operand(x, "x")
        self.compute_output_shape(array.shape)
        moved = array.transpose(0, *self.dims)
        result = new_output(moved.shape, array.dtype)
        result[...] = moved
        return result

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Shape:
        shape = self.as_input_shape(input_shape)
        if len(shape) != len(self.dims) + 1:
            raise ValueError(f"{self.name} takes {len(self.dims)} axes behind the batch; got {shape}")
        return (shape[0], *(shape[axis] for axis in self.dims))


class RepeatVector(Layer):
    """Every vector n times in a row: (N, C) -> (N, n, C).

    Parameters
    ----------
    n : int
        How often a vector is repeated.
    name : shared, layer

    Raises
    ------
    errors : shared, layer

    Examples
    --------
    >>> RepeatVector(2)([[1.0, 2.0]]).tolist()
    [[[1.0, 2.0], [1.0, 2.0]]]
    """

    rank = 2
    axes = "batch, channels"

    def __init__(self, n: int, *, name: str | None = None) -> None:
        super().__init__(name=name)
        self.n = as_size(n, "n")

    def call(self, x: Any) -> Array:
        array = as_operand(x, "x", ndim=2)
        result = new_output((len(array), self.n, array.shape[1]), array.dtype)
        result[...] = array[:, None]
        return result

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Shape:
        batch, channels = self.as_input_shape(input_shape)
        return batch, self.n, channels
