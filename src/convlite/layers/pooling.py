"""Layers that reduce windows, or whole images, to one number for each channel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from .. import pooling
from .._types import Pads
from ..arguments import as_flag, as_operand, as_padding, as_padding_1d, as_pair, as_single
from .base import TOO_SMALL, Array, Layer, Shape, check_pixels, keep_unknown

__all__ = [
    "MaxPooling2D", "AveragePooling2D", "GlobalMaxPooling2D", "GlobalAveragePooling2D",
    "AdaptiveMaxPooling2D", "AdaptiveAveragePooling2D",
    "MaxPooling1D", "AveragePooling1D", "GlobalMaxPooling1D", "GlobalAveragePooling1D",
]  # fmt: skip


class _Pooling(Layer):
    rank = 4
    axes = "batch, height, width, channels"
    operation: ClassVar[str]  # its name in convlite.pooling

    def __init__(
        self,
        pool_size: int | Sequence[int] = 2,
        strides: int | Sequence[int] | None = None,
        padding: Pads = "valid",
        *,
        dilations: int | Sequence[int] = 1,
        ceil_mode: bool = False,
        name: str | None = None,
    ) -> None:
        super().__init__(name=name)
        self.pool_size = self._as_sizes(pool_size, "pool_size")
        self.strides = self.pool_size if strides is None else self._as_sizes(strides, "strides")
        self.padding = self._as_padding(padding)
        self.dilations = self._as_sizes(dilations, "dilations")
        self.ceil_mode = as_flag(ceil_mode, "ceil_mode")

    def _as_sizes(self, value: Any, name: str) -> Any:
        return as_pair(value, name)

    def _as_padding(self, value: Any) -> Any:
        return as_padding(value)

    def _options(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("strides", "padding", "dilations", "ceil_mode")}

    def call(self, x: Any) -> Array:
        result: Array = getattr(pooling, self.operation)(x, self.pool_size, **self._options())
        return result if result.size else self._some(result, np.shape(x))

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Shape:
        def rule(known: tuple[int, ...]) -> tuple[int, ...]:
            return pooling.pooled_sizes(known, self.pool_size, **self._options())

        shape = batch, *sizes, channels = self.as_input_shape(input_shape)
        return self._checked(shape, (batch, *keep_unknown(tuple(sizes), rule), channels))

    def _some(self, result: Array, shape: Shape) -> Array:
        self._checked(shape, result.shape)
        return result

    def _checked(self, shape: Shape, result: Shape) -> Shape:
        """Return `result`. ValueError if it has no pixels."""
        window = "x".join(map(str, np.atleast_1d(self.pool_size)))
        return check_pixels(self.name, shape, result, f"its window covers {window}; {TOO_SMALL}")


class _AveragePooling(_Pooling):
    def __init__(
        self,
        pool_size: int | Sequence[int] = 2,
        strides: int | Sequence[int] | None = None,
        padding: Pads = "valid",
        *,
        count_include_pad: bool = False,
        dilations: int | Sequence[int] = 1,
        ceil_mode: bool = False,
        name: str | None = None,
    ) -> None:
        super().__init__(pool_size, strides, padding, dilations=dilations, ceil_mode=ceil_mode, name=name)
        self.count_include_pad = as_flag(count_include_pad, "count_include_pad")

    def call(self, x: Any) -> Array:
        result: Array = getattr(pooling, self.operation)(
            x, self.pool_size, count_include_pad=self.count_include_pad, **self._options()
        )
        return result if result.size else self._some(result, np.shape(x))


class _OneAxis(_Pooling):
    rank = 3
    axes = "batch, width, channels"

    def _as_sizes(self, value: Any, name: str) -> Any:
        return as_single(value, name)

    def _as_padding(self, value: Any) -> Any:
        pads = as_padding_1d(value)
        return pads if isinstance(pads, str) else pads[1]


class MaxPooling2D(_Pooling):
    """The largest number of every window: images (N, H, W, C) -> (N, Ho, Wo, C).

    pool_size, strides, padding, dilations, ceil_mode, name -> : shared, pooling

    Examples
    --------
    >>> MaxPooling2D().compute_output_shape((None, 28, 28, 8))
    (None, 14, 14, 8)
    >>> MaxPooling2D(3, 2, ceil_mode=True).compute_output_shape((None, 112, 112, 64))
    (None, 56, 56, 64)
    """

    operation = "max_pool2d"


class AveragePooling2D(_AveragePooling):
    """The mean of every window without its padding: images (N, H, W, C) -> (N, Ho, Wo, C).

    pool_size, strides, padding, count_include_pad, dilations, ceil_mode, name -> : shared, pooling

    Examples
    --------
    >>> AveragePooling2D(3, strides=2, padding="same").compute_output_shape((None, 7, 7, 8))
    (None, 4, 4, 8)
    """

    operation = "avg_pool2d"


class MaxPooling1D(_OneAxis):
    """The largest number of every window: sequences (N, W, C) -> (N, Wo, C).

    pool_size, strides, padding, dilations, ceil_mode, name -> : shared, pooling1d

    Examples
    --------
    >>> MaxPooling1D(2, padding="same").compute_output_shape((None, 7, 8))
    (None, 4, 8)
    """

    operation = "max_pool1d"


class AveragePooling1D(_OneAxis, _AveragePooling):
    """The mean of every window: sequences (N, W, C) -> (N, Wo, C).

    pool_size, strides, padding, count_include_pad, dilations, ceil_mode, name -> : shared, pooling1d

    Examples
    --------
    >>> AveragePooling1D(3, 1).compute_output_shape((None, 7, 8))
    (None, 5, 8)
    """

    operation = "avg_pool1d"


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
        shape = batch, *sizes, channels = self.as_input_shape(input_shape)
        check_pixels(self.name, shape, shape, "")
        return (batch, *(1 for _ in sizes), channels) if self.keepdims else (batch, channels)


class GlobalMaxPooling2D(_GlobalPooling):
    """The largest number of every channel: images (N, H, W, C) -> (N, C), or (N, 1, 1, C) with keepdims.

    keepdims, name -> : shared, layer

    Examples
    --------
    >>> GlobalMaxPooling2D().compute_output_shape((None, 7, 7, 8))
    (None, 8)
    """

    operation = "global_max_pool2d"


class GlobalAveragePooling2D(_GlobalPooling):
    """The mean of every channel: images (N, H, W, C) -> (N, C), or (N, 1, 1, C) with keepdims.

    keepdims, name -> : shared, layer

    Examples
    --------
    >>> GlobalAveragePooling2D(keepdims=True).compute_output_shape((None, 7, 7, 8))
    (None, 1, 1, 8)
    """

    operation = "global_avg_pool2d"


class GlobalMaxPooling1D(_GlobalPooling):
    """The largest number of every channel: sequences (N, W, C) -> (N, C), or (N, 1, C) with keepdims.

    keepdims, name -> : shared, layer

    Examples
    --------
    >>> GlobalMaxPooling1D().compute_output_shape((None, 7, 8))
    (None, 8)
    """

    rank = 3
    axes = "batch, width, channels"
    operation = "global_max_pool1d"


class GlobalAveragePooling1D(_GlobalPooling):
    """The mean of every channel: sequences (N, W, C) -> (N, C), or (N, 1, C) with keepdims.

    keepdims, name -> : shared, layer

    Examples
    --------
    >>> GlobalAveragePooling1D(keepdims=True).compute_output_shape((None, 7, 8))
    (None, 1, 8)
    """

    rank = 3
    axes = "batch, width, channels"
    operation = "global_avg_pool1d"


class _AdaptivePooling(Layer):
    rank = 4
    axes = "batch, height, width, channels"
    operation: ClassVar[str]

    def __init__(self, output_size: int | Sequence[int | None], *, name: str | None = None) -> None:
        super().__init__(name=name)
        self.output_size = pooling.as_output_size(output_size)

    def call(self, x: Any) -> Array:
        result: Array = getattr(pooling, self.operation)(as_operand(x, "x", ndim=4), self.output_size)
        return result

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Shape:
        batch, *sizes, channels = self.as_input_shape(input_shape)
        if 0 in sizes:
            raise ValueError(f"input_shape must have pixels to pool; got {input_shape}")
        return batch, *(m or n for n, m in zip(sizes, self.output_size, strict=True)), channels


class AdaptiveMaxPooling2D(_AdaptivePooling):
    """The largest number of each of Ho x Wo windows: images (N, H, W, C) -> (N, Ho, Wo, C).

    The windows are those of `convlite.adaptive_max_pool2d`, PyTorch's AdaptiveMaxPool2d.

    output_size, name -> : shared, layer

    Examples
    --------
    >>> AdaptiveMaxPooling2D(7).compute_output_shape((None, 13, None, 8))
    (None, 7, 7, 8)
    """

    operation = "adaptive_max_pool2d"


class AdaptiveAveragePooling2D(_AdaptivePooling):
    """The mean of each of Ho x Wo windows: images (N, H, W, C) -> (N, Ho, Wo, C).

    The windows are those of `convlite.adaptive_avg_pool2d`, PyTorch's AdaptiveAvgPool2d.

    output_size, name -> : shared, layer

    Examples
    --------
    >>> AdaptiveAveragePooling2D((1, None)).compute_output_shape((None, 13, 9, 8))
    (None, 1, 9, 8)
    """

    operation = "adaptive_avg_pool2d"
