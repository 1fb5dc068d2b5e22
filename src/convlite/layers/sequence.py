"""More layers for sequences (N, W, C): depthwise convolution and upsampling."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy.typing as npt

from .. import activations, images, ops
from .._calls import bind
from .._layouts import check_channels
from .._types import Mode, Pads, Sizes
from ..activations import Spec
from ..arguments import as_operand, as_single, as_size
from ..pack import PackedKernel
from .base import Array, Layer, Shape, product
from .convolution import _OneRow

__all__ = ["DepthwiseConv1D", "UpSampling1D"]


class DepthwiseConv1D(_OneRow):
    """Convolve every channel by itself: sequences (N, W, C) -> (N, Wo, C * depth_multiplier).

    Weights: kernel (kw, C, depth_multiplier), bias (C * depth_multiplier,).

    kernel_size, strides, padding, depth_multiplier, dilation_rate, padding_mode, activation, use_bias,
    kernel_initializer, bias_initializer, dtype, name -> : shared, layer1d

    Examples
    --------
    >>> DepthwiseConv1D(3, strides=2, depth_multiplier=2).compute_output_shape((None, 9, 4))
    (None, 4, 8)
    """

    operation, packed_as = "depthwise_conv1d", "depthwise_conv2d"

    def __init__(
        self,
        kernel_size: Sizes,
        strides: Sizes = 1,
        padding: Pads = "valid",
        depth_multiplier: int = 1,
        *,
        dilation_rate: Sizes = 1,
        padding_mode: Mode = "zeros",
        activation: Spec = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        dtype: npt.DTypeLike = "float32",
        name: str | None = None,
    ) -> None:
        self.depth_multiplier = as_size(depth_multiplier, "depth_multiplier")
        common = (activation, use_bias, kernel_initializer, bias_initializer, dtype, name)
        super().__init__(kernel_size, strides, padding, dilation_rate, {}, common, padding_mode)

    @classmethod
    def _arguments(cls, kernel: tuple[int, ...], groups: int) -> dict[str, Any]:
        return {"kernel_size": kernel[:1], "depth_multiplier": kernel[2]}

    def _outputs(self, shape: Shape) -> int:
        return self._channels(shape) * self.depth_multiplier

    def _weight_shapes(self, shape: Shape) -> dict[str, tuple[int, ...]]:
        kernel = (*self.kernel_size, self._channels(shape), self.depth_multiplier)
        return self._with_bias(kernel, self._outputs(shape))

    def _input_shape_of(self, first: tuple[int, ...]) -> Shape:
        return None, first[1]

    def _prepare(self, weights: dict[str, Array]) -> Callable[[npt.ArrayLike], Array]:
        """The 2-D operation on images of one row; a callable activation is called on the sequences."""
        kernel = weights["kernel"]
        packed = PackedKernel(kernel[None], self.packed_as)
        weights["kernel"] = packed.kernel.reshape(kernel.shape)  # one copy, not two
        given = self.activation
        after = None if given is None or isinstance(given, activations.Activation) else given
        own = {} if self.padding_mode == "zeros" else {"padding": "valid"}  # x is padded before the call
        options = {**self._in_2d(), **own, "activation": given if after is None else None}
        inner = bind(ops.depthwise_conv2d, packed, weights.get("bias"), options)

        def call(x: npt.ArrayLike) -> Array:
            row = as_operand(x, "x", ndim=3)
            check_channels(
                kernel.shape[1], row.shape[2], row.shape, kernel.shape, "(kw, C, multiplier)", "(C*m, 1, kw)"
            )
            y = inner(row[:, None])[:, 0]
            return y if after is None else activations.checked(after, y, y.shape)

        return self._in_frame(call)


class UpSampling1D(Layer):
    """Sequences enlarged by a whole factor: (N, W, C) -> (N, W * size, C), every step repeated.

    Parameters
    ----------
    size : int, default 2
        The factor.
    name : shared, layer

    Raises
    ------
    errors : shared, layer

    Examples
    --------
    >>> UpSampling1D(3)([[[1.0], [2.0]]]).ravel().tolist()
    [1.0, 1.0, 1.0, 2.0, 2.0, 2.0]
    """

    rank = 3
    axes = "batch, width, channels"

    def __init__(self, size: int = 2, *, name: str | None = None) -> None:
        super().__init__(name=name)
        self.size = as_single(size, "size")

    def call(self, x: Any) -> Array:
        row = as_operand(x, "x", ndim=3)
        return images.upsample2d(row[:, None], (1, self.size))[:, 0]

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Shape:
        batch, width, channels = self.as_input_shape(input_shape)
        return batch, product((width, self.size)), channels
