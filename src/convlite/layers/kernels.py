"""Layers around one operation with a kernel, and the simplest of them: dense."""

from __future__ import annotations

import abc
import copy
import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from .. import activations, initializers, ops
from .._calls import bind, constant
from .._layouts import warn_of_window
from ..arguments import as_flag, as_operand, as_size, fits_torch
from ..geometry import Operation
from ..pack import PackedKernel
from .base import Array, Shape, product
from .weighted import WeightedLayer

__all__ = ["COMMON", "Dense", "KernelLayer"]

# `build` makes the first call itself up to this number of multiply-adds (about 1 ms). In longer calls the
# extra cost of the first call does not matter.
_REHEARSED = 50_000_000
# The keywords of every such layer, in the order in which constructors pass them on.
COMMON = ("activation", "use_bias", "kernel_initializer", "bias_initializer", "dtype", "name")


class KernelLayer(WeightedLayer):
    """A layer that applies one operation with its kernel, bias and activation: the base of Conv2D and others.

    A subclass names the operation and how kernels are shaped.

    options, activation, use_bias, kernel_initializer, bias_initializer, dtype, name -> : shared, layer

    Examples
    --------
    >>> isinstance(Dense(3), KernelLayer)
    True
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
        """Make a layer with these weights.

        Parameters
        ----------
        kernel, bias : shared, weights
        **options : object
            Further keywords of the constructor.

        Returns
        -------
        Layer
            A layer of this class, sized by the kernel's shape.

        Raises
        ------
        errors : shared, weights

        Examples
        --------
        >>> Dense.from_weights([[1.0], [2.0]], activation="relu")([[3.0, 4.0], [-3.0, 1.0]]).tolist()
        [[11.0], [0.0]]
        """
        kernel = as_operand(kernel, "kernel", ndim=cls.kernel_rank)
        warn_of_window(cls.__name__, kernel.shape)
        sizes = cls._arguments(kernel.shape, options.get("groups", 1))
        if not all(0 < size < 2**31 for size in np.hstack([*sizes.values()]).tolist()):
            raise ValueError(
                f"{cls.__name__}.from_weights: kernel's axes of taps and of output channels must have sizes "
                f"from 1 to 2**31 - 1; got the shape {kernel.shape}"
            )
        layer = cls(**{**sizes, "dtype": kernel.dtype, "use_bias": bias is not None, **options})
        layer.set_weights([kernel] if bias is None else [kernel, bias])
        return layer

    def with_weights(self, kernel: npt.ArrayLike, bias: npt.ArrayLike | None = None) -> Self:
        """Copy this layer with another kernel, and another bias or none; everything else stays.

        Parameters
        ----------
        kernel, bias : shared, weights

        Returns
        -------
        Layer
            The copy, of the same class.

        Raises
        ------
        errors : shared, weights

        Examples
        --------
        >>> Dense.from_weights([[1.0]]).with_weights([[2.0]], [1.0])([[3.0]]).tolist()
        [[7.0]]
        """
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
        if self._weights is not None:  # a wrong kernel layout is reported before the errors of its window
            self._ensure_weights(self.as_input_shape(input_shape))
        super().build(input_shape)

    def call(self, x: Any) -> Array:
        result: Array = self._prepared(x)
        return result

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name == "call":  # a layer's own one, which __call__ must not pass over
            super().__setattr__("_ready", min(self._ready, 1))

    def _first_call(self, x: npt.ArrayLike) -> Array:
        y = super()._first_call(x)
        if type(self).call is KernelLayer.call and "call" not in vars(self):
            self._ready = 2
        return y

    def _layout_hint(self, name: str, received: tuple[int, ...], expected: tuple[int, ...]) -> str:
        if name != "kernel" or len(received) != len(expected) or 0 in received:
            return ""
        *window, last, outputs = expected
        kind = self.packed_as
        form = {"conv2d_transpose": "IOHW", "conv2d": "OIHW"}.get(kind, "(C*m, 1, kh, kw)")
        there = (last * outputs, 1, *window) if kind == "depthwise_conv2d" else (outputs, last, *window)
        # an unbuilt layer knows all sizes but its inputs; from_weights took the window from the kernel
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
        own = (
            kind.call is KernelLayer.call and kind.__call__ is KernelLayer.__call__
        )  # no subclass has replaced them
        call: Callable[[Array], Array] = self if own else self._prepared
        for _ in range(3):  # the first call is checked, the later ones are replayed: both paths are warm then
            call(x)

    def multiply_adds(self, input_shape: Sequence[int | None]) -> int | None:
        shape = self.as_input_shape(input_shape)
        return product([*self._positions(shape), *self._weight_shapes(shape)["kernel"]])

    def _positions(self, shape: Shape) -> Shape:
        """The positions where the kernel is applied: the output's, or the input's in a transposed layer."""
        return self.compute_output_shape(shape)[1:-1]

    def _with_bias(self, kernel: tuple[int, ...], outputs: int) -> dict[str, tuple[int, ...]]:
        return {"kernel": kernel, "bias": (outputs,)} if self.use_bias else {"kernel": kernel}

    def _packing(self) -> dict[str, Any]:
        """PackedKernel's keyword arguments."""
        return {}

    def _prepare(self, weights: dict[str, Array]) -> Callable[[npt.ArrayLike], Array]:
        kernel = weights["kernel"]
        # the layer's own array, which nobody writes to: no copy
        packed = PackedKernel._deferred(
            kernel[None] if kernel.ndim == 3 else kernel, self.packed_as, **self._packing()
        )
        packed.panels()
        operation = self._with_pixels(getattr(ops, self.operation))
        return bind(operation, packed, weights.get("bias"), {**self.options, "activation": self.activation})

    def _with_pixels(self, operation: Callable[..., Array]) -> Callable[..., Array]:
        """Return the operation with a check that its result has pixels; repeated calls skip the check."""
        return operation


class Dense(KernelLayer):
    """Multiply the last axis by a matrix: (..., K) -> (..., units), as `convlite.dense` and Keras's Dense do.

    Weights: kernel (K, units), bias (units,).

    units, activation, use_bias, kernel_initializer, bias_initializer, dtype, name -> : shared, layer

    Examples
    --------
    >>> Dense(10, "softmax").compute_output_shape((None, 64))
    (None, 10)
    """

    operation = packed_as = "dense"
    kernel_rank = 2
    axes = "batch, ..., channels"

    def __init__(
        self,
        units: int,
        activation: activations.Spec = None,
        *,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        dtype: npt.DTypeLike = "float32",
        name: str | None = None,
    ) -> None:
        self.units = as_size(units, "units")
        common = (activation, use_bias, kernel_initializer, bias_initializer, dtype, name)
        super().__init__({}, **dict(zip(COMMON, common, strict=True)))

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
