"""Separable convolutions: two layers in one."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy.typing as npt

from .._types import Mode, Pads, Sizes
from ..activations import Spec
from ..arguments import as_operand
from .base import Layer
from .chain import Chain
from .convolution import Conv1D, Conv2D, DepthwiseConv2D
from .kernels import KernelLayer
from .sequence import DepthwiseConv1D
from .weights import initializer

__all__ = ["SeparableConv1D", "SeparableConv2D"]


class _Separable(Chain):
    """A depthwise convolution, then a pointwise convolution (a kernel of one tap)."""

    _kinds: ClassVar[tuple[type[DepthwiseConv2D] | type[DepthwiseConv1D], type[Conv2D] | type[Conv1D]]]

    def __init__(
        self,
        filters: int,
        kernel_size: Sizes,
        strides: Sizes = 1,
        padding: Pads = "valid",
        *,
        dilation_rate: Sizes = 1,
        depth_multiplier: int = 1,
        padding_mode: Mode = "zeros",
        activation: Spec = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        pointwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        dtype: npt.DTypeLike = "float32",
        name: str | None = None,
    ) -> None:
        super().__init__(name=name)
        first, second = self._kinds
        depthwise_initializer = initializer(depthwise_initializer, "depthwise")
        pointwise_initializer = initializer(pointwise_initializer, "pointwise")
        self.depthwise: KernelLayer = first(
            kernel_size, strides, padding, depth_multiplier, dilation_rate=dilation_rate, use_bias=False,
            padding_mode=padding_mode, kernel_initializer=depthwise_initializer, dtype=dtype,
        )  # fmt: skip
        self.pointwise: KernelLayer = second(
            filters, 1, activation=activation, use_bias=use_bias, kernel_initializer=pointwise_initializer,
            bias_initializer=bias_initializer, dtype=dtype,
        )  # fmt: skip

    @classmethod
    def from_weights(
        cls,
        depthwise_kernel: npt.ArrayLike,
        pointwise_kernel: npt.ArrayLike,
        bias: npt.ArrayLike | None = None,
        **options: Any,
    ) -> Self:
        """Make a layer with these weights.

        Parameters
        ----------
        depthwise_kernel : array_like
            The depthwise kernel, in the layout that the class names.
        pointwise_kernel : array_like
            The pointwise kernel, likewise.
        bias : shared, weights
        **options : object
            Further keywords of the constructor.

        Returns
        -------
        Layer
            A layer of this class, sized by the kernels' shapes.

        Raises
        ------
        errors : shared, weights

        Examples
        --------
        >>> import numpy as np
        >>> SeparableConv2D.from_weights(np.ones((3, 3, 2, 1)), np.ones((1, 1, 2, 4))).count_params()
        26
        """
        rank = cls._kinds[0].kernel_rank
        first = as_operand(depthwise_kernel, "depthwise_kernel", ndim=rank)
        second = as_operand(pointwise_kernel, "pointwise_kernel", ndim=rank)
        layer = cls(
            second.shape[-1], first.shape[:-2], depth_multiplier=first.shape[-1], use_bias=bias is not None,
            **{"dtype": first.dtype, **options},
        )  # fmt: skip
        layer.set_weights([first, second] if bias is None else [first, second, bias])
        return layer

    @property
    def steps(self) -> list[tuple[str, Layer]]:
        return [("depthwise", self.depthwise), ("pointwise", self.pointwise)]

    def _label(self, part: str, weight: str) -> str:
        return weight if weight == "bias" else f"{part}_{weight}"


class SeparableConv2D(_Separable):
    """A depthwise and a 1x1 convolution: images (N, H, W, C) -> (N, Ho, Wo, filters), as in Keras.

    Weights: depthwise_kernel (kh, kw, C, depth_multiplier), pointwise_kernel (1, 1, C * depth_multiplier,
    filters), bias (filters,).

    filters, kernel_size, strides, padding, dilation_rate, depth_multiplier, padding_mode, activation,
    use_bias, depthwise_initializer, pointwise_initializer, bias_initializer, dtype, name -> : shared, layer

    Examples
    --------
    >>> layer = SeparableConv2D(8, 3)
    >>> layer.build((None, 9, 9, 4))
    >>> [weight.shape for weight in layer.get_weights()], layer.output_shape
    ([(3, 3, 4, 1), (1, 1, 4, 8), (8,)], (None, 7, 7, 8))
    """

    rank = 4
    axes = "batch, height, width, channels"
    _kinds = (DepthwiseConv2D, Conv2D)


class SeparableConv1D(_Separable):
    """A depthwise convolution and one of width 1: sequences (N, W, C) -> (N, Wo, filters), as in Keras.

    Weights: depthwise_kernel (kw, C, depth_multiplier), pointwise_kernel (1, C * depth_multiplier,
    filters), bias (filters,).

    filters, kernel_size, strides, padding, dilation_rate, depth_multiplier, padding_mode, activation,
    use_bias, depthwise_initializer, pointwise_initializer, bias_initializer, dtype, name -> : shared, layer1d

    Examples
    --------
    >>> layer = SeparableConv1D(8, 3)
    >>> layer.build((None, 9, 4))
    >>> [weight.shape for weight in layer.get_weights()], layer.output_shape
    ([(3, 4, 1), (1, 4, 8), (8,)], (None, 7, 8))
    """

    rank = 3
    axes = "batch, width, channels"
    _kinds = (DepthwiseConv1D, Conv1D)
