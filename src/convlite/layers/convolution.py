"""Convolution layers in 1-D and 2-D."""

from __future__ import annotations

import abc
import functools
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy.typing as npt

from .. import ops
from .._image_arguments import as_mode, check_depth
from .._types import Mode, Pads, Pads1D, Sizes
from ..activations import Spec
from ..arguments import as_padding, as_padding_1d, as_pair, as_single, as_size
from .base import TOO_SMALL, Array, Shape, check_pixels, keep_unknown
from .framing import frame, framed, per_group
from .kernels import COMMON, KernelLayer

__all__ = ["Conv1D", "Conv1DTranspose", "Conv2D", "Conv2DTranspose", "DepthwiseConv2D"]


class _Convolution(KernelLayer):
    """The base of the convolution layers: their geometry. A sequence is treated as an image of one row.

    padding_mode is PyTorch's: "zeros", or "reflect", "replicate", "circular" or "symmetric" as in
    `convlite.pad2d`, which then pads x by what `padding` says.
    """

    rank = kernel_rank = 4
    axes = "batch, height, width, channels"

    def __init__(
        self,
        kernel_size: Sizes,
        strides: Sizes,
        padding: Any,
        dilation_rate: Sizes,
        options: dict[str, Any],
        common: tuple[Any, ...],
        padding_mode: Mode = "zeros",
    ) -> None:
        self.kernel_size = self._as_sizes(kernel_size, "kernel_size")
        self.strides = self._as_sizes(strides, "strides")
        self.dilation_rate = self._as_sizes(dilation_rate, "dilation_rate")
        self.padding = self._as_padding(padding)
        mode = as_mode(padding_mode, "padding_mode")
        self.padding_mode = "zeros" if mode == "constant" else mode
        self._framing = (self.padding, self.kernel_size, self.strides, self.dilation_rate)
        own = self.padding if self.padding_mode == "zeros" else "valid"  # another mode pads x before the call
        geometry = {"strides": self.strides, "padding": own, "dilations": self.dilation_rate}
        super().__init__({**geometry, **options}, **dict(zip(COMMON, common, strict=True)))

    def _as_sizes(self, value: Any, name: str, minimum: int = 1) -> tuple[int, ...]:
        return as_pair(value, name, minimum=minimum)

    def _as_padding(self, value: Any) -> Any:
        return as_padding(value)

    def _in_2d(self) -> dict[str, Any]:
        """The geometry as keyword arguments of the 2-D operations."""
        return {"strides": self.strides, "padding": self.padding, "dilations": self.dilation_rate}

    def _prepare(self, weights: dict[str, Array]) -> Callable[[npt.ArrayLike], Array]:
        return self._in_frame(super()._prepare(weights))

    def _in_frame(self, run: Callable[[npt.ArrayLike], Array]) -> Callable[[npt.ArrayLike], Array]:
        """Return the operation with the padding before it, if the mode is not "zeros"."""
        return run if self.padding_mode == "zeros" else partial(framed, run, self._framing, self.padding_mode)

    def _packing(self) -> dict[str, Any]:
        geometry = self._in_2d()
        return {key: geometry[key] for key in ("strides", "dilations")} | {"groups": self.groups}

    @property
    def groups(self) -> int:
        """The number of groups that the channels are divided into."""
        groups: int = self.options.get("groups", 1)
        return groups

    @abc.abstractmethod
    def _outputs(self, shape: Shape) -> int:
        """The number of output channels."""

    def _output_rule(self, shape: tuple[int, ...], kernel_size: tuple[int, ...]) -> tuple[int, ...]:
        return ops.conv2d_output_shape(shape, (*kernel_size, 1, 1), **self._in_2d())

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Shape:
        shape = self.as_input_shape(input_shape)
        if self.padding_mode != "zeros" and None not in shape[1:-1]:
            pads = frame(self._framing, [n for n in shape[1:-1] if n is not None])
            check_depth(shape, pads, self.padding_mode)
        ones = (1,) * (4 - len(shape))

        def rule(known: tuple[int, ...]) -> tuple[int, ...]:  # with one channel: only the geometry matters
            sizes = self._output_rule((known[0], *ones, *known[1:-1], 1), (*ones, *self.kernel_size))
            return (sizes[0], *sizes[1 + len(ones) :])

        return self._some((*keep_unknown(shape, rule)[:-1], self._outputs(shape)), shape)

    def _some(self, result: Shape, shape: Shape) -> Shape:
        """Return `result`. ValueError if the input or the result has no pixels."""
        if 0 not in result[1:-1] and 0 not in shape[1:-1]:
            return result
        extents = [(k - 1) * d + 1 for k, d in zip(self.kernel_size, self.dilation_rate, strict=True)]
        window = "x".join(map(str, extents))
        return check_pixels(self.name, shape, result, f"its kernel covers {window}; {TOO_SMALL}")

    def _with_pixels(self, operation: Callable[..., Array]) -> Callable[..., Array]:
        def call(x: Array, *operands: Any, **options: Any) -> Array:
            y = operation(x, *operands, **options)
            self._some(y.shape, x.shape)
            return y

        checked: Any = functools.update_wrapper(call, operation)
        checked.__kwdefaults__ = operation.__kwdefaults__  # `bind` reads the order of the arguments from it
        result: Callable[..., Array] = checked
        return result


class _Filters(_Convolution):
    """A convolution with a number of filters, in groups."""

    def __init__(
        self,
        filters: int,
        kernel_size: Sizes,
        strides: Sizes = 1,
        padding: Pads1D = "valid",  # "causal" is for Conv1D
        *,
        dilation_rate: Sizes = 1,
        groups: int = 1,
        padding_mode: Mode = "zeros",
        activation: Spec = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        dtype: npt.DTypeLike = "float32",
        name: str | None = None,
    ) -> None:
        self.filters = as_size(filters, "filters")
        groups = as_size(groups, "groups")
        per_group(self.filters, groups, "filters")
        options, common = (
            {"groups": groups},
            (activation, use_bias, kernel_initializer, bias_initializer, dtype, name),
        )
        super().__init__(kernel_size, strides, padding, dilation_rate, options, common, padding_mode)

    @classmethod
    def _arguments(cls, kernel: tuple[int, ...], groups: int) -> dict[str, Any]:
        return {"filters": kernel[-1], "kernel_size": kernel[:-2]}

    def _outputs(self, shape: Shape) -> int:
        return self.filters

    def _weight_shapes(self, shape: Shape) -> dict[str, tuple[int, ...]]:
        inputs = per_group(self._channels(shape), self.groups, "inputs")
        return self._with_bias((*self.kernel_size, inputs, self.filters), self.filters)

    def _input_shape_of(self, first: tuple[int, ...]) -> Shape:
        return None, first[-2] * self.groups


class _TransposedFilters(_Filters):
    """The transposed form: the kernel's last two axes are exchanged; the caller may set the output size."""

    def __init__(
        self,
        filters: int,
        kernel_size: Sizes,
        strides: Sizes = 1,
        padding: Pads = "valid",
        *,
        output_padding: Sizes | None = None,
        dilation_rate: Sizes = 1,
        groups: int = 1,
        activation: Spec = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        dtype: npt.DTypeLike = "float32",
        name: str | None = None,
    ) -> None:
        common = (activation, use_bias, kernel_initializer, bias_initializer, dtype, name)
        super().__init__(
            filters, kernel_size, strides, padding, dilation_rate=dilation_rate, groups=groups,
            **dict(zip(COMMON, common, strict=True)),
        )  # fmt: skip
        if output_padding is not None:
            output_padding = self._as_sizes(output_padding, "output_padding", 0)
        self.output_padding = self.options["output_padding"] = output_padding

    @classmethod
    def _arguments(cls, kernel: tuple[int, ...], groups: int) -> dict[str, Any]:
        return {"filters": kernel[-2] * groups, "kernel_size": kernel[:-2]}

    def _output_rule(self, shape: tuple[int, ...], kernel_size: tuple[int, ...]) -> tuple[int, ...]:
        extra = self.output_padding
        if extra is not None:
            extra = (0,) * (2 - len(extra)) + tuple(extra)
        kernel = (*kernel_size, 1, 1)
        return ops.conv2d_transpose_output_shape(shape, kernel, output_padding=extra, **self._in_2d())

    def _weight_shapes(self, shape: Shape) -> dict[str, tuple[int, ...]]:
        inputs = self._channels(shape)
        per_group(inputs, self.groups, "inputs")
        return self._with_bias((*self.kernel_size, self.filters // self.groups, inputs), self.filters)

    def _input_shape_of(self, first: tuple[int, ...]) -> Shape:
        return None, first[-1]

    def _positions(self, shape: Shape) -> Shape:
        return shape[1:-1]


class _OneRow(_Convolution):
    """The 1-D form."""

    rank = kernel_rank = 3
    axes = "batch, width, channels"

    def _as_sizes(self, value: Any, name: str, minimum: int = 1) -> tuple[int, ...]:
        return (as_single(value, name, minimum=minimum),)

    def _as_padding(self, value: Any) -> Any:
        pads = as_padding_1d(value)
        return pads if isinstance(pads, str) else pads[1]

    def _in_2d(self) -> dict[str, Any]:
        padding = self.padding if isinstance(self.padding, str) else ((0, 0), self.padding)
        return {"strides": (1, *self.strides), "padding": padding, "dilations": (1, *self.dilation_rate)}


class Conv2D(_Filters):
    """Convolve images (N, H, W, Cin) -> (N, Ho, Wo, filters), as `convlite.conv2d` and Keras's Conv2D do.

    Weights: kernel (kh, kw, Cin // groups, filters), bias (filters,).

    filters, kernel_size, strides, padding, dilation_rate, groups, padding_mode, activation, use_bias,
    kernel_initializer, bias_initializer, dtype, name -> : shared, layer

    Examples
    --------
    >>> layer = Conv2D(8, 3, padding="same", activation="relu")
    >>> layer.compute_output_shape((None, 28, 28, 1))
    (None, 28, 28, 8)
    """

    operation = packed_as = "conv2d"


class Conv2DTranspose(_TransposedFilters):
    """Enlarge images (N, H, W, Cin) -> (N, Ho, Wo, filters): `convlite.conv2d_transpose` and Keras's layer.

    Weights: kernel (kh, kw, filters // groups, Cin), bias (filters,).

    filters, kernel_size, strides, padding, output_padding, dilation_rate, groups, activation, use_bias,
    kernel_initializer, bias_initializer, dtype, name -> : shared, layer

    Examples
    --------
    >>> Conv2DTranspose(8, 3, strides=2, padding="same").compute_output_shape((None, 14, 14, 32))
    (None, 28, 28, 8)
    """

    operation = packed_as = "conv2d_transpose"


class Conv1D(_OneRow, _Filters):
    """Convolve sequences (N, W, Cin) -> (N, Wo, filters), as `convlite.conv1d` and Keras's Conv1D do.

    Weights: kernel (kw, Cin // groups, filters), bias (filters,).

    filters, kernel_size, strides, padding, dilation_rate, groups, padding_mode, activation, use_bias,
    kernel_initializer, bias_initializer, dtype, name -> : shared, causal

    Examples
    --------
    >>> Conv1D(8, 5, padding="causal").compute_output_shape((None, 100, 2))
    (None, 100, 8)
    """

    operation, packed_as = "conv1d", "conv2d"

    def _as_padding(self, value: Any) -> Any:
        if isinstance(value, str) and value.lower() == "causal":
            return (self.kernel_size[0] - 1) * self.dilation_rate[0], 0
        return super()._as_padding(value)


class Conv1DTranspose(_OneRow, _TransposedFilters):
    """Enlarge sequences (N, W, Cin) -> (N, Wo, filters): `convlite.conv1d_transpose` and Keras's layer.

    Weights: kernel (kw, filters // groups, Cin), bias (filters,).

    filters, kernel_size, strides, padding, output_padding, dilation_rate, groups, activation, use_bias,
    kernel_initializer, bias_initializer, dtype, name -> : shared, layer1d

    Examples
    --------
    >>> Conv1DTranspose(1, 1024, strides=256).compute_output_shape((None, 224, 1026))
    (None, 58112, 1)
    """

    operation, packed_as = "conv1d_transpose", "conv2d_transpose"


class DepthwiseConv2D(_Convolution):
    """Convolve every channel by itself: images (N, H, W, C) -> (N, Ho, Wo, C * depth_multiplier).

    Weights: kernel (kh, kw, C, depth_multiplier), bias (C * depth_multiplier,).

    kernel_size, strides, padding, depth_multiplier, dilation_rate, padding_mode, activation, use_bias,
    kernel_initializer, bias_initializer, dtype, name -> : shared, layer

    Examples
    --------
    >>> DepthwiseConv2D(3, strides=2, depth_multiplier=2).compute_output_shape((None, 9, 9, 4))
    (None, 4, 4, 8)
    """

    operation = packed_as = "depthwise_conv2d"

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
        return {"kernel_size": kernel[:2], "depth_multiplier": kernel[3]}

    def _outputs(self, shape: Shape) -> int:
        return self._channels(shape) * self.depth_multiplier

    def _weight_shapes(self, shape: Shape) -> dict[str, tuple[int, ...]]:
        kernel = (*self.kernel_size, self._channels(shape), self.depth_multiplier)
        return self._with_bias(kernel, self._outputs(shape))

    def _input_shape_of(self, first: tuple[int, ...]) -> Shape:
        return None, first[2]
