"""Layers around one operation with a kernel: convolutions in 1-D and 2-D, and dense."""

from __future__ import annotations

import abc
import copy
import functools
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar, Self, TypedDict, Unpack

import numpy as np
import numpy.typing as npt

from .. import activations, images, initializers, ops
from .._calls import bind, constant
from .._image_arguments import as_mode, check_depth
from .._layouts import warn_of_window
from ..arguments import (
    as_flag,
    as_operand,
    as_padding,
    as_padding_1d,
    as_pair,
    as_single,
    as_size,
    fits_torch,
)
from ..pack import Operation, PackedKernel
from .base import TOO_SMALL, Array, Shape, WeightedLayer, check_pixels, keep_unknown, product

__all__ = [
    "KernelLayer",
    "Conv2D",
    "Conv2DTranspose",
    "DepthwiseConv2D",
    "Conv1D",
    "Conv1DTranspose",
    "Dense",
]

Sizes = int | Sequence[int]

# `build` makes the first call of layers below this, about 1 ms; a larger one hides its first call.
_REHEARSED = 50_000_000


class Weights(TypedDict, total=False):
    """The keywords about the weights of a layer with a kernel; KernelLayer says what they mean."""

    use_bias: bool
    kernel_initializer: Any
    bias_initializer: Any
    dtype: npt.DTypeLike
    name: str | None


class Common(Weights, total=False):
    """The keywords of every layer with a kernel."""

    activation: activations.Spec


class KernelLayer(WeightedLayer):
    """A layer that applies one operation with its kernel, bias and activation.

    Every such layer takes the keywords activation=None, use_bias=True, kernel_initializer="glorot_uniform",
    bias_initializer="zeros", dtype="float32" and name=None. An activation is whatever the operations take,
    an initializer a name, an object of `convlite.initializers`, or a function of (shape, dtype=...).
    """

    operation: ClassVar[str]  # its name in convlite.ops
    packed_as: ClassVar[Operation]  # the 2-D operation that the kernel is packed for
    kernel_rank: ClassVar[int]

    def __init__(
        self,
        options: dict[str, Any],
        *,
        activation: activations.Spec = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        dtype: npt.DTypeLike = "float32",
        name: str | None = None,
    ) -> None:
        use_bias = as_flag(use_bias, "use_bias")
        biases = {"bias": bias_initializer} if use_bias else {}
        super().__init__({"kernel": kernel_initializer, **biases}, dtype=dtype, name=name)
        self.use_bias = use_bias
        self.activation = activations.get(activation)
        self.options = options  # the operation's keyword arguments

    @classmethod
    def from_weights(cls, kernel: npt.ArrayLike, bias: npt.ArrayLike | None = None, **options: Any) -> Self:
        """A layer with these weights, sized by the kernel's shape; further keywords as for the constructor.

        >>> Dense.from_weights([[1.0], [2.0]], activation="relu")([[3.0, 4.0], [-3.0, 1.0]]).tolist()
        [[11.0], [0.0]]
        """
        kernel = as_operand(kernel, "kernel", ndim=cls.kernel_rank)
        warn_of_window(cls.__name__, kernel.shape)
        sizes = cls._arguments(kernel.shape, options.get("groups", 1))
        layer = cls(**{**sizes, "dtype": kernel.dtype, "use_bias": bias is not None, **options})
        layer.set_weights([kernel] if bias is None else [kernel, bias])
        return layer

    def with_weights(self, kernel: npt.ArrayLike, bias: npt.ArrayLike | None = None) -> Self:
        """A copy of this layer with another kernel, and another bias or none; everything else stays."""
        twin = copy.copy(self)
        twin.use_bias = bias is not None
        twin._initializers = {"kernel": self._initializers["kernel"]}
        if bias is not None:
            twin._initializers["bias"] = self._initializers.get("bias", initializers.get("zeros"))
        twin._weights = None
        twin.set_weights([kernel] if bias is None else [kernel, bias])
        return twin

    @classmethod
    @abc.abstractmethod
    def _arguments(cls, kernel: tuple[int, ...], groups: int) -> dict[str, Any]:
        """The constructor's arguments that a kernel of this shape stands for."""

    @property
    def kernel(self) -> Array:
        """The kernel, read-only. ValueError before the layer has weights."""
        return self.named_weights()["kernel"]

    @property
    def bias(self) -> Array | None:
        """The bias, read-only; None with use_bias=False. ValueError before the layer has weights."""
        return self.named_weights().get("bias")

    def build(self, input_shape: Sequence[int | None]) -> None:
        if self._weights is not None:  # a kernel of another layout is told before what its window leads to
            self._ensure_weights(self.as_input_shape(input_shape))
        super().build(input_shape)

    def call(self, x: Any) -> Array:
        result: Array = self._prepared(x)
        return result

    def _layout_hint(self, name: str, received: tuple[int, ...], expected: tuple[int, ...]) -> str:
        if name != "kernel" or len(received) != len(expected) or 0 in received:
            return ""
        *window, last, outputs = expected
        kind = self.packed_as
        form = {"conv2d_transpose": "IOHW", "conv2d": "OIHW"}.get(kind, "(C*m, 1, kh, kw)")
        there = (last * outputs, 1, *window) if kind == "depthwise_conv2d" else (outputs, last, *window)
        # an unbuilt layer knows all but the inputs; one of from_weights took its window from the kernel
        axis = 0 if kind in ("conv2d", "dense") else 1
        unbuilt = self.input_shape is None and received[axis:] == (there[axis], *received[axis + 1 :])
        unbuilt &= list(received[2:]) == window
        inputs = outputs if kind == "conv2d_transpose" else last
        taken = received[1] == inputs if kind == "dense" else list(received[:-2]) == window
        if (
            received == there
            or unbuilt
            or (taken and (kind == "dense" or fits_torch(received, inputs, form)))
        ):
            return f"; {received} looks like PyTorch's layout: see convlite.convert.from_torch"
        return ""

    def _rehearse(self, shape: Shape) -> None:
        work, known = self.multiply_adds(shape), [size for size in shape if size is not None]
        if work is None or len(known) < len(shape) or 0 in known or not constant(self.activation):
            return
        outputs = product(self.compute_output_shape(shape)) or 0
        if max(known[0] * work, math.prod(known), outputs) > _REHEARSED:
            return
        x, kind = np.zeros(known, self.dtype), type(self)
        own = kind.call is KernelLayer.call and kind.__call__ is KernelLayer.__call__  # no subclass's methods
        call: Callable[[Array], Array] = self if own else self._prepared
        for _ in range(3):  # checked, then as all later calls are: each way has its code to load
            call(x)

    def multiply_adds(self, input_shape: Sequence[int | None]) -> int | None:
        shape = self.as_input_shape(input_shape)
        return product([*self._positions(shape), *self._weight_shapes(shape)["kernel"]])

    def _positions(self, shape: Shape) -> Shape:
        """Where the whole kernel is applied: at the output's places, if transposed at the input's."""
        return self.compute_output_shape(shape)[1:-1]

    def _with_bias(self, kernel: tuple[int, ...], outputs: int) -> dict[str, tuple[int, ...]]:
        return {"kernel": kernel, "bias": (outputs,)} if self.use_bias else {"kernel": kernel}

    def _packing(self) -> dict[str, Any]:
        """PackedKernel's keyword arguments."""
        return {}

    def _prepare(self, weights: dict[str, Array]) -> Callable[[npt.ArrayLike], Array]:
        kernel = weights["kernel"]
        packed = PackedKernel(kernel[None] if kernel.ndim == 3 else kernel, self.packed_as, **self._packing())
        weights["kernel"] = packed.kernel.reshape(kernel.shape)  # one copy, not two
        operation = self._with_pixels(getattr(ops, self.operation))
        return bind(operation, packed, weights.get("bias"), {**self.options, "activation": self.activation})

    def _with_pixels(self, operation: Callable[..., Array]) -> Callable[..., Array]:
        """The operation; a result without pixels is refused, which costs repeated calls nothing."""
        return operation


class Dense(KernelLayer):
    """Multiply the last axis by a matrix: (..., K) -> (..., units), as `convlite.dense` and Keras's Dense do.

    Weights: kernel (K, units), bias (units,). Keywords as in KernelLayer.

    >>> Dense(10, "softmax").compute_output_shape((None, 64))
    (None, 10)
    """

    operation = packed_as = "dense"
    kernel_rank = 2
    axes = "batch, ..., channels"

    def __init__(self, units: int, activation: activations.Spec = None, **weights: Unpack[Weights]) -> None:
        self.units = as_size(units, "units")
        super().__init__({}, activation=activation, **weights)

    @classmethod
    def _arguments(cls, kernel: tuple[int, ...], groups: int) -> dict[str, Any]:
        return {"units": kernel[1]}

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Shape:
        shape = self.as_input_shape(input_shape)
        if len(shape) < 2:
            raise ValueError(f"{self.name} takes at least 2 axes ({self.axes}); got the shape {shape}")
        return (*shape[:-1], self.units)

    def _weight_shapes(self, shape: Shape) -> dict[str, tuple[int, ...]]:
        return self._with_bias((self._channels(shape), self.units), self.units)

    def _input_shape_of(self, first: tuple[int, ...]) -> Shape:
        return None, first[0]


class _Convolution(KernelLayer):
    """What the convolution layers share: their geometry. In 1-D it is that of an image of one row.

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
        common: Common,
        padding_mode: str = "zeros",
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
        super().__init__({**geometry, **options}, **common)

    def _as_sizes(self, value: Any, name: str, minimum: int = 1) -> tuple[int, ...]:
        return as_pair(value, name, minimum=minimum)

    def _as_padding(self, value: Any) -> Any:
        return as_padding(value)

    def _in_2d(self) -> dict[str, Any]:
        """The geometry as the 2-D operations take it."""
        return {"strides": self.strides, "padding": self.padding, "dilations": self.dilation_rate}

    def _prepare(self, weights: dict[str, Array]) -> Callable[[npt.ArrayLike], Array]:
        return self._in_frame(super()._prepare(weights))

    def _in_frame(self, run: Callable[[npt.ArrayLike], Array]) -> Callable[[npt.ArrayLike], Array]:
        """The operation behind the padding of another mode than zeros."""
        return (
            run if self.padding_mode == "zeros" else partial(_framed, run, self._framing, self.padding_mode)
        )

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
            frame = _frame(self._framing, [n for n in shape[1:-1] if n is not None])
            check_depth(shape, frame, self.padding_mode)
        ones = (1,) * (4 - len(shape))

        def rule(known: tuple[int, ...]) -> tuple[int, ...]:  # of one channel: the rest is not geometry
            sizes = self._output_rule((known[0], *ones, *known[1:-1], 1), (*ones, *self.kernel_size))
            return (sizes[0], *sizes[1 + len(ones) :])

        return self._some((*keep_unknown(shape, rule)[:-1], self._outputs(shape)), shape)

    def _some(self, result: Shape, shape: Shape) -> Shape:
        """`result`, where it has pixels, made of pixels."""
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
        checked.__kwdefaults__ = operation.__kwdefaults__  # where `bind` finds the order of the arguments
        result: Callable[..., Array] = checked
        return result


class _Filters(_Convolution):
    """A convolution with a number of filters, in groups."""

    def __init__(
        self,
        filters: int,
        kernel_size: Sizes,
        strides: Sizes = 1,
        padding: Any = "valid",
        *,
        dilation_rate: Sizes = 1,
        groups: int = 1,
        padding_mode: str = "zeros",
        **common: Unpack[Common],
    ) -> None:
        self.filters = as_size(filters, "filters")
        groups = as_size(groups, "groups")
        _per_group(self.filters, groups, "filters")
        options = {"groups": groups}
        super().__init__(kernel_size, strides, padding, dilation_rate, options, common, padding_mode)

    @classmethod
    def _arguments(cls, kernel: tuple[int, ...], groups: int) -> dict[str, Any]:
        return {"filters": kernel[-1], "kernel_size": kernel[:-2]}

    def _outputs(self, shape: Shape) -> int:
        return self.filters

    def _weight_shapes(self, shape: Shape) -> dict[str, tuple[int, ...]]:
        inputs = _per_group(self._channels(shape), self.groups, "inputs")
        return self._with_bias((*self.kernel_size, inputs, self.filters), self.filters)

    def _input_shape_of(self, first: tuple[int, ...]) -> Shape:
        return None, first[-2] * self.groups


class _TransposedFilters(_Filters):
    """The transposed form: the kernel's last two axes change places, and the output's size can be chosen."""

    def __init__(
        self,
        filters: int,
        kernel_size: Sizes,
        strides: Sizes = 1,
        padding: Any = "valid",
        *,
        output_padding: Sizes | None = None,
        dilation_rate: Sizes = 1,
        groups: int = 1,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(
            filters, kernel_size, strides, padding, dilation_rate=dilation_rate, groups=groups, **common
        )
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
        _per_group(inputs, self.groups, "inputs")
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

    Weights: kernel (kh, kw, Cin // groups, filters), bias (filters,). Keywords as in KernelLayer.
    padding_mode "reflect", "replicate", "circular" or "symmetric" pads as `convlite.pad2d`, "zeros" as usual.

    >>> layer = Conv2D(8, 3, padding="same", activation="relu")
    >>> layer.compute_output_shape((None, 28, 28, 1))
    (None, 28, 28, 8)
    """

    operation = packed_as = "conv2d"


class Conv2DTranspose(_TransposedFilters):
    """Enlarge images (N, H, W, Cin) -> (N, Ho, Wo, filters): `convlite.conv2d_transpose` and Keras's layer.

    Weights: kernel (kh, kw, filters // groups, Cin), bias (filters,). Keywords as in KernelLayer.

    >>> Conv2DTranspose(8, 3, strides=2, padding="same").compute_output_shape((None, 14, 14, 32))
    (None, 28, 28, 8)
    """

    operation = packed_as = "conv2d_transpose"


class Conv1D(_OneRow, _Filters):
    """Convolve sequences (N, W, Cin) -> (N, Wo, filters), as `convlite.conv1d` and Keras's Conv1D do.

    Weights: kernel (kw, Cin // groups, filters), bias (filters,). Keywords as in KernelLayer.
    padding="causal" lets an output see no input after its own place.

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

    Weights: kernel (kw, filters // groups, Cin), bias (filters,). Keywords as in KernelLayer.

    >>> Conv1DTranspose(1, 1024, strides=256).compute_output_shape((None, 224, 1026))
    (None, 58112, 1)
    """

    operation, packed_as = "conv1d_transpose", "conv2d_transpose"


class DepthwiseConv2D(_Convolution):
    """Convolve every channel by itself: images (N, H, W, C) -> (N, Ho, Wo, C * depth_multiplier).

    Weights: kernel (kh, kw, C, depth_multiplier), bias (C * depth_multiplier,). Keywords as in KernelLayer.

    >>> DepthwiseConv2D(3, strides=2, depth_multiplier=2).compute_output_shape((None, 9, 9, 4))
    (None, 4, 4, 8)
    """

    operation = packed_as = "depthwise_conv2d"

    def __init__(
        self,
        kernel_size: Sizes,
        strides: Sizes = 1,
        padding: Any = "valid",
        depth_multiplier: int = 1,
        *,
        dilation_rate: Sizes = 1,
        padding_mode: str = "zeros",
        **common: Unpack[Common],
    ) -> None:
        self.depth_multiplier = as_size(depth_multiplier, "depth_multiplier")
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


def _framed(
    run: Callable[[npt.ArrayLike], Array], framing: tuple[Any, ...], mode: str, x: npt.ArrayLike
) -> Array:
    """Pad x by another mode than zeros, then convolve."""
    array = as_operand(x, "x", ndim=2 + len(framing[1]))
    return run(images.pad_axes(array, _frame(framing, array.shape[1:-1]), mode))


def _frame(framing: tuple[Any, ...], sizes: Sequence[int]) -> Sequence[tuple[int, int]]:
    """What a layer's padding adds before and after each axis of an image of these sizes.

    >>> _frame(("same", (3, 3), (2, 2), (1, 1)), (8, 7)), _frame(((2, 0), (3,), (1,), (1,)), (7,))
    (((0, 1), (1, 1)), ((2, 0),))
    """
    padding, kernel_size, strides, dilations = framing
    if not isinstance(padding, str):
        return padding if len(kernel_size) == 2 else (padding,)
    if padding == "valid":
        return ((0, 0),) * len(kernel_size)
    ones = (1,) * (2 - len(kernel_size))
    steps = {"strides": (*ones, *strides), "dilations": (*ones, *dilations)}
    frame = ops.same_padding((*ones, *sizes), (*ones, *kernel_size), **steps)[len(ones) :]
    return frame if padding == "same" else tuple((after, before) for before, after in frame)


def _per_group(channels: int, groups: int, what: str) -> int:
    if channels % groups:
        raise ValueError(
            f"groups must divide the number of {what}; got groups={groups} and {channels} {what}"
        )
    return channels // groups
