"""Layers that reduce windows, or whole images, to one number for each channel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from .. import ops, pooling
from ..arguments import as_flag, as_padding, as_pair
from .base import Array, Layer, Shape, keep_unknown

__all__ = ["MaxPooling2D", "AveragePooling2D", "GlobalMaxPooling2D", "GlobalAveragePooling2D"]


class _Pooling(Layer):
    rank = 4
    axes = "batch, height, width, channels"
    operation: ClassVar[str]  # its name in convlite.pooling

    def __init__(
        self,
        pool_size: int | Sequence[int] = 2,
        strides: int | Sequence[int] | None = None,
        padding: Any = "valid",
        *,
        name: str | None = None,
    ) -> None:
        super().__init__(name=name)
        self.pool_size = as_pair(pool_size, "pool_size")
        self.strides = self.pool_size if strides is None else as_pair(strides, "strides")
        self.padding = as_padding(padding)

    def call(self, x: Any) -> Array:
        result: Array = getattr(pooling, self.operation)(
            x, self.pool_size, strides=self.strides, padding=self.padding
        )
        return result

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Shape:
        shape = self.as_input_shape(input_shape)
        # One window for each channel is the geometry of a depthwise convolution.
        return (
            keep_unknown(
                shape,
                lambda known: ops.conv2d_output_shape(
                    (*known[:3], 1), (*self.pool_size, 1, 1), strides=self.strides, padding=self.padding
                ),
            )[:3]
            + shape[3:]
        )


class MaxPooling2D(_Pooling):
    """The largest number of every window: images (N, H, W, C) -> (N, Ho, Wo, C). No strides: pool_size.

    >>> MaxPooling2D().compute_output_shape((None, 28, 28, 8))
    (None, 14, 14, 8)
    """

    operation = "max_pool2d"


class AveragePooling2D(_Pooling):
    """The mean of every window, padding not counted: images (N, H, W, C) -> (N, Ho, Wo, C).

    >>> AveragePooling2D(3, strides=2, padding="same").compute_output_shape((None, 7, 7, 8))
    (None, 4, 4, 8)
    """

    operation = "avg_pool2d"


class _GlobalPooling(Layer):
    rank = 4
    axes = "batch, height, width, channels"
    operation: ClassVar[str]

    def __init__(self, *, keepdims: bool = False, name: str | None = None) -> None:
        super().__init__(name=name)
        self.keepdims = as_flag(keepdims, "keepdims")

    def call(self, x: Any) -> Array:
        result: Array = getattr(pooling, self.operation)(x, keepdims=self.keepdims)
        return result

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Shape:
        batch, _, _, channels = self.as_input_shape(input_shape)
        return (batch, 1, 1, channels) if self.keepdims else (batch, channels)


class GlobalMaxPooling2D(_GlobalPooling):
    """The largest number of every channel: images (N, H, W, C) -> (N, C), or (N, 1, 1, C) with keepdims.

    >>> GlobalMaxPooling2D().compute_output_shape((None, 7, 7, 8))
    (None, 8)
    """

    operation = "global_max_pool2d"


class GlobalAveragePooling2D(_GlobalPooling):
    """The mean of every channel: images (N, H, W, C) -> (N, C), or (N, 1, 1, C) with keepdims.

    >>> GlobalAveragePooling2D(keepdims=True).compute_output_shape((None, 7, 7, 8))
    (None, 1, 1, 8)
    """

    operation = "global_avg_pool2d"
