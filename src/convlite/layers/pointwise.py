"""Layers that compute each number, or the channels of each pixel, separately: activations, normalization."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from .. import activations, pointwise
from ..arguments import as_flag, as_int, as_operand, as_real, shown
from .base import Array, Layer, Shape
from .symbolic import SymbolicTensor
from .weighted import WeightedLayer

__all__ = [
    "Activation",
    "Lambda",
    "ReLU",
    "LeakyReLU",
    "ELU",
    "GELU",
    "PReLU",
    "Softmax",
    "BatchNormalization",
]


class Activation(Layer):
    """An activation as a layer.

    Parameters
    ----------
    activation : str, Activation or callable
        A name, an object of `convlite.activations`, or a function of one array.
    name : shared, layer

    Raises
    ------
    errors : shared, layer

    Examples
    --------
    >>> Activation("relu")([-1.0, 2.0]).tolist()
    [0.0, 2.0]
    """

    def __init__(self, activation: Any, *, name: str | None = None) -> None:
        super().__init__(name=name)
        self.activation = activations.get(activation)

    def call(self, x: Any) -> Array:
        x = as_operand(x, "x")
        return x if self.activation is None else activations.activate(x, self.activation)


class Lambda(Layer):
    """A function of x as a layer: Keras's Lambda.

    A Model calls it once on a symbolic tensor. In a Model the function may use the operations that are
    recorded: arithmetic, slices, np.exp and similar functions.

    Parameters
    ----------
    function : callable
        A function of one array (N, ...) that returns one of x's dtype for as many samples.
    output_shape : sequence of int or None, default None
        The shape of one sample of the result. It is needed if neither a Model nor a call on zeros can find
        it, for example with free sizes.
    name : shared, layer

    Raises
    ------
    errors : shared, layer

    Examples
    --------
    >>> Lambda(lambda x: x[:, ::2] * 2)([[1.0, 2.0, 3.0]]).tolist()
    [[2.0, 6.0]]
    """

    def __init__(
        self,
        function: Callable[[Any], Any],
        output_shape: Sequence[int | None] | None = None,
        *,
        name: str | None = None,
    ) -> None:
        super().__init__(name=name)
        if isinstance(function, type) or not callable(function):
            raise TypeError(f"function must be a function of x; got {shown(function)}")
        self.function = function
        self.sample_shape = None if output_shape is None else Layer.as_input_shape(self, output_shape)

    def call(self, x: Any) -> Array:
        if isinstance(x, SymbolicTensor):
            recorded: Array = self.function(x)
            return recorded
        array = as_operand(x, "x")
        result = np.asarray(self.function(array))
        if result.dtype != array.dtype or result.shape[:1] != array.shape[:1]:
            raise ValueError(
                f"function of {self.name} must give {array.dtype} for the {array.shape[:1]} samples of x; it "
                f"gave {result.dtype} of shape {result.shape}"
            )
        stated, shape = self.sample_shape, result.shape[1:]
        if stated is not None and (
            len(shape) != len(stated) or any(n not in (None, m) for n, m in zip(stated, shape, strict=True))
        ):
            raise ValueError(
                f"output_shape must be {shape}, the shape of a sample that {self.name}'s function gives; "
                f"got {shown(stated)}"
            )
        return result

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Shape:
        shape = self.as_input_shape(input_shape)
        if self.sample_shape is not None:
            return (*shape[:1], *self.sample_shape)
        with contextlib.suppress(Exception):  # a function that cannot be recorded is called on zeros
            given = self.function(SymbolicTensor(shape, np.dtype(np.float32)))
            if isinstance(given, SymbolicTensor):
                return given.shape
        sizes = [size for size in shape[1:] if size is not None]
        if len(sizes) < len(shape[1:]):
            raise ValueError(f"{self.name} needs output_shape, as sizes of {shape} are not known")
        return (*shape[:1], *self.call(np.zeros((1, *sizes), np.float32)).shape[1:])


class ReLU(Layer):
    """x where threshold <= x, at most max_value; negative_slope * (x - threshold) below the threshold.

    Parameters
    ----------
    max_value : float or None, default None
        The upper bound; None: no bound.
    negative_slope : float, default 0.0
        The slope below the threshold.
    threshold : float, default 0.0
        The value from which on x is returned unchanged.
    name : shared, layer

    Raises
    ------
    errors : shared, layer

    Examples
    --------
    >>> ReLU(max_value=6.0)([-1.0, 2.0, 9.0]).tolist()
    [0.0, 2.0, 6.0]
    """

    def __init__(
        self,
        max_value: float | None = None,
        negative_slope: float = 0.0,
        threshold: float = 0.0,
        *,
        name: str | None = None,
    ) -> None:
        super().__init__(name=name)
        self.max_value = None if max_value is None else _not_negative(max_value, "max_value")
        self.negative_slope = _not_negative(negative_slope, "negative_slope")
        self.threshold = _not_negative(threshold, "threshold")

    def call(self, x: Any) -> Array:
        if self.threshold == 0 and self.negative_slope == 0:
            result = pointwise.relu(x)
        else:
            x = as_operand(x, "x")
            # Not 0 * (x - threshold), which would turn an infinity into NaN.
            with np.errstate(all="ignore"):  # numbers of x's dtype: NumPy 1 makes float64 of a scalar array
                slope, threshold = x.dtype.type(self.negative_slope), x.dtype.type(self.threshold)
                below = slope * (x - threshold) if self.negative_slope else np.zeros_like(x)
                result = np.where(x < threshold, below, x)
        if self.max_value is not None:
            with np.errstate(all="ignore"):  # a limit beyond the range of the dtype
                np.minimum(result, self.max_value, out=result)
        return result


class LeakyReLU(Layer):
    """x where x >= 0, x * negative_slope where x < 0.

    Parameters
    ----------
    negative_slope : float, default 0.3
        The slope below 0: 0.3 as in Keras's layer, where the name "leaky_relu" means 0.2.
    name : shared, layer

    Raises
    ------
    errors : shared, layer

    Examples
    --------
    >>> LeakyReLU(0.5)([-1.0, 2.0]).tolist()
    [-0.5, 2.0]
    """

    def __init__(self, negative_slope: float = 0.3, *, name: str | None = None) -> None:
        super().__init__(name=name)
        self.negative_slope = _not_negative(negative_slope, "negative_slope")

    def call(self, x: Any) -> Array:
        return pointwise.leaky_relu(x, self.negative_slope)


class ELU(Layer):
    """x where x > 0, alpha * (exp(x) - 1) below: Keras's and PyTorch's, alpha 1 (Clevert et al., 2015).

    alpha, name -> : shared, layer

    Examples
    --------
    >>> ELU(0.5)([-np.inf, 2.0]).tolist()
    [-0.5, 2.0]
    """

    def __init__(self, alpha: float = 1.0, *, name: str | None = None) -> None:
        super().__init__(name=name)
        self.alpha = _not_negative(alpha, "alpha")

    def call(self, x: Any) -> Array:
        return pointwise.elu(x, self.alpha)


class GELU(Layer):
    """x * P(Z <= x), Z standard normal (Hendrycks and Gimpel, 2016, arXiv:1606.08415).

    Parameters
    ----------
    approximate : bool, default False
        Whether tanh approximates it, as in Keras's gelu(approximate=True) and PyTorch's
        GELU(approximate="tanh"); False is exact, PyTorch's default.
    name : shared, layer

    Raises
    ------
    errors : shared, layer

    Examples
    --------
    >>> GELU()([0.0, 1.0]).round(4).tolist(), GELU(approximate=True)([1.0]).round(4).tolist()
    ([0.0, 0.8413], [0.8412])
    """

    def __init__(self, approximate: bool = False, *, name: str | None = None) -> None:
        super().__init__(name=name)
        self.approximate = as_flag(approximate, "approximate")

    def call(self, x: Any) -> Array:
        return activations.activate(as_operand(x, "x"), "gelu_tanh" if self.approximate else "gelu")


class PReLU(WeightedLayer):
    """x where x >= 0, x times a learnt slope where x < 0 (He et al., 2015, arXiv:1502.01852).

    Weight: alpha of a sample's shape, with size 1 on the shared axes.

    Parameters
    ----------
    alpha_initializer : shared, layer
    shared_axes : sequence of ints or None, default None
        The axes along which all places share one slope. They are counted from 1, since the batch is axis 0:
        (1, 2) gives one slope for each channel of an image.
    dtype, name : shared, layer

    Raises
    ------
    errors : shared, layer

    Examples
    --------
    >>> PReLU.from_weights([[[0.5, 0.25]]])([[[[-4.0, -4.0], [1.0, 2.0]]]]).tolist()
    [[[[-2.0, -1.0], [1.0, 2.0]]]]
    """

    def __init__(
        self,
        alpha_initializer: Any = "zeros",
        *,
        shared_axes: Sequence[int] | None = None,
        dtype: npt.DTypeLike = "float32",
        name: str | None = None,
    ) -> None:
        super().__init__({"alpha": alpha_initializer}, dtype=dtype, name=name)
        axes = () if shared_axes is None else shared_axes
        if isinstance(axes, (str, bytes)) or not isinstance(axes, (Sequence, np.ndarray)):
            raise TypeError(f"shared_axes must be a sequence of axes, such as (1, 2); got {shown(axes)}")
        self.shared_axes = tuple(as_int(axis, "shared_axes", minimum=-(2**31)) for axis in axes)
        if any(axis < 1 for axis in self.shared_axes):
            raise ValueError(
                f"shared_axes must be at least 1, as 0 is the batch; got {shown(self.shared_axes)}"
            )

    @classmethod
    def from_weights(cls, alpha: npt.ArrayLike, *, name: str | None = None) -> Self:
        """Make a layer with these slopes.

        Parameters
        ----------
        alpha : array_like
            The slopes, shared along every axis where their size is 1.
        name : shared, layer

        Returns
        -------
        PReLU
            The layer.

        Raises
        ------
        errors : shared, weights

        Examples
        --------
        >>> PReLU.from_weights([0.5])([[-2.0]]).tolist()
        [[-1.0]]
        """
        alpha = as_operand(alpha, "alpha")
        shared = [axis for axis, size in enumerate(alpha.shape, 1) if size == 1]
        layer = cls(shared_axes=shared, dtype=alpha.dtype, name=name)
        layer.set_weights([alpha])
        return layer

    @property
    def alpha(self) -> Array:
        """The slopes, read-only. ValueError before the layer has weights."""
        return self.named_weights()["alpha"]

    def call(self, x: Any) -> Array:
        return pointwise.prelu(x, *self._prepared)

    def _weight_shapes(self, shape: Shape) -> dict[str, tuple[int, ...]]:
        sizes = [1 if axis in self.shared_axes else size for axis, size in enumerate(shape)][1:]
        if None in sizes:
            raise ValueError(
                f"{self.name} has a slope for each position and so needs the sizes of {shape}; for one slope "
                "per channel write PReLU(shared_axes=(1, 2))"
            )
        return {"alpha": tuple(size for size in sizes if size is not None)}

    def _input_shape_of(self, first: tuple[int, ...]) -> Shape:
        return None, *first


class Softmax(Layer):
    """exp(x) / sum(exp(x)) along one axis.

    Parameters
    ----------
    axis : int, default -1
        The axis along which the sum is taken.
    name : shared, layer

    Raises
    ------
    errors : shared, layer

    Examples
    --------
    >>> Softmax()([0.0, 0.0]).tolist()
    [0.5, 0.5]
    """

    def __init__(self, axis: int = -1, *, name: str | None = None) -> None:
        super().__init__(name=name)
        self.axis = as_int(axis, "axis", minimum=-(2**31))

    def call(self, x: Any) -> Array:
        return pointwise.softmax(x, self.axis)


class BatchNormalization(WeightedLayer):
    """(x - moving_mean) / sqrt(moving_variance + epsilon) * gamma + beta, for each channel, the last axis.

    Weights, each (C,): gamma (with scale=True), beta (with center=True), moving_mean, moving_variance. This
    is the inference form: the weights do not change. `convert.fold_batch_norms(model)` merges the layer into
    a convolution before it.

    axis, momentum, epsilon, center, scale, beta_initializer, gamma_initializer, moving_mean_initializer,
    moving_variance_initializer, dtype, name -> : shared, layer

    Examples
    --------
    >>> BatchNormalization.from_weights([2.0], [1.0], [5.0], [4.0], epsilon=0.0)([[9.0]]).tolist()
    [[5.0]]
    """

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        *,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        dtype: npt.DTypeLike = "float32",
        name: str | None = None,
    ) -> None:
        center, scale = as_flag(center, "center"), as_flag(scale, "scale")
        gamma = {"gamma": gamma_initializer} if scale else {}
        beta = {"beta": beta_initializer} if center else {}
        moving = {"moving_mean": moving_mean_initializer, "moving_variance": moving_variance_initializer}
        super().__init__({**gamma, **beta, **moving}, dtype=dtype, name=name)
        self.axis = as_int(axis, "axis", minimum=-(2**31))
        self.momentum, self.epsilon = as_real(momentum, "momentum"), _not_negative(epsilon, "epsilon")
        self.center, self.scale = center, scale

    @classmethod
    def from_weights(
        cls,
        gamma: npt.ArrayLike | None,
        beta: npt.ArrayLike | None,
        moving_mean: npt.ArrayLike,
        moving_variance: npt.ArrayLike,
        **options: Any,
    ) -> Self:
        """Make a layer with these weights.

        Parameters
        ----------
        gamma : shared, weights
        beta : array_like or None
            The offset; None: the layer has none.
        moving_mean : array_like, (C,)
            The mean.
        moving_variance : array_like, (C,)
            The variance.
        **options : object
            Further keywords of the constructor.

        Returns
        -------
        BatchNormalization
            The layer.

        Raises
        ------
        errors : shared, weights

        Examples
        --------
        >>> BatchNormalization.from_weights(None, None, [5.0], [4.0], epsilon=0.0)([[9.0]]).tolist()
        [[2.0]]
        """
        dtype = as_operand(moving_mean, "moving_mean", ndim=1).dtype
        layer = cls(scale=gamma is not None, center=beta is not None, **{"dtype": dtype, **options})
        layer.set_weights([w for w in (gamma, beta, moving_mean, moving_variance) if w is not None])
        return layer

    def call(self, x: Any) -> Array:
        weights: dict[str, Array] = self._prepared
        mean, variance = weights["moving_mean"], weights["moving_variance"]
        gamma, beta = weights.get("gamma"), weights.get("beta")
        return pointwise.batch_norm(x, mean, variance, scale=gamma, offset=beta, epsilon=self.epsilon)

    def as_input_shape(self, input_shape: Sequence[int | None]) -> Shape:
        shape = super().as_input_shape(input_shape)
        if self.axis not in (-1, len(shape) - 1):
            raise ValueError(f"axis must be the last one, -1, where convlite keeps channels; got {self.axis}")
        return shape

    def _weight_shapes(self, shape: Shape) -> dict[str, tuple[int, ...]]:
        return dict.fromkeys(self._own_names(), (self._channels(shape),))

    def _input_shape_of(self, first: tuple[int, ...]) -> Shape:
        return None, first[0]

    def _prepare(self, weights: dict[str, Array]) -> dict[str, Array]:
        return weights


def _not_negative(value: float, name: str) -> float:
    number = as_real(value, name)  # a Python float: a NumPy float64 scalar would turn float32 into float64
    if not number >= 0:
        raise ValueError(f"{name} must not be negative; got {shown(value)}")
    return number
