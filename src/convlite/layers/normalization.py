"""Layers that normalize with statistics of each sample, or with given numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from .. import normalization
from ..arguments import as_epsilon, as_flag, as_int, as_operand, as_real, shown
from .base import Array, Layer, Shape
from .weighted import WeightedLayer

__all__ = [
    "LayerNormalization", "RMSNormalization", "GroupNormalization", "InstanceNormalization",
    "UnitNormalization", "Normalization", "Rescaling",
]  # fmt: skip


class _Own(WeightedLayer):
    """A layer whose weights have the dtype of x."""

    def _own(self, x: Any) -> Array:
        array = as_operand(x, "x")
        if self._initializers and array.dtype != self.dtype:
            raise TypeError(
                f"x is {array.dtype} but the weights of {self.name} are {self.dtype}: write "
                f"x.astype(np.{self.dtype}), or make the layer with dtype={array.dtype.name!r}"
            )
        return array


class _Normalized(_Own):
    """A normalization with gamma, beta, both or neither, of the sizes that `_sizes` gives."""

    def __init__(
        self,
        epsilon: float,
        center: bool,
        scale: bool,
        beta_initializer: Any,
        gamma_initializer: Any,
        dtype: npt.DTypeLike,
        name: str | None,
    ) -> None:
        self.center, self.scale = as_flag(center, "center"), as_flag(scale, "scale")
        self.epsilon = as_epsilon(epsilon)
        gamma = {"gamma": gamma_initializer} if self.scale else {}
        beta = {"beta": beta_initializer} if self.center else {}
        super().__init__({**gamma, **beta}, dtype=dtype, name=name)

    @classmethod
    def from_weights(
        cls, gamma: npt.ArrayLike | None, beta: npt.ArrayLike | None = None, **options: Any
    ) -> Self:
        """Make a layer with these weights.

        Parameters
        ----------
        gamma, beta : shared, weights
        **options : object
            Further keywords of the constructor.

        Returns
        -------
        Layer
            The layer, of this class.

        Raises
        ------
        errors : shared, weights

        Examples
        --------
        >>> LayerNormalization.from_weights([2.0, 2.0], epsilon=0.0)([[1.0, 3.0]]).tolist()
        [[-2.0, 2.0]]
        """
        arrays = [as_operand(w, n) for w, n in ((gamma, "gamma"), (beta, "beta")) if w is not None]
        kept = {"dtype": arrays[0].dtype} if arrays else {}
        layer = cls(scale=gamma is not None, center=beta is not None, **{**kept, **options})
        if arrays:
            layer.set_weights(arrays)
        return layer

    def _sizes(self, shape: Shape) -> tuple[int, ...]:
        return (self._channels(shape),)

    def _weight_shapes(self, shape: Shape) -> dict[str, tuple[int, ...]]:
        return dict.fromkeys(self._own_names(), self._sizes(shape))

    def _input_shape_of(self, first: tuple[int, ...]) -> Shape:
        return None, first[-1]

    def _prepare(self, weights: dict[str, Array]) -> dict[str, Array]:
        return weights


class LayerNormalization(_Normalized):
    """(x - mean) / sqrt(variance + epsilon) * gamma + beta over the axes `axis` of each sample, as in Keras.

    Weights: gamma (with scale=True) and beta (with center=True) of these axes' sizes. See
    `convlite.layer_norm`.

    axis, epsilon, center, scale, beta_initializer, gamma_initializer, dtype, name -> : shared, axes

    Examples
    --------
    >>> LayerNormalization.from_weights([1.0, 2.0], [0.0, 1.0], epsilon=0.0)([[1.0, 3.0]]).tolist()
    [[-1.0, 3.0]]
    """

    def __init__(
        self,
        axis: int | Sequence[int] = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        *,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        dtype: npt.DTypeLike = "float32",
        name: str | None = None,
    ) -> None:
        super().__init__(epsilon, center, scale, beta_initializer, gamma_initializer, dtype, name)
        self.axis = _as_axes(axis)

    def call(self, x: Any) -> Array:
        return normalization.layer_norm(
            self._own(x), axis=self.axis, epsilon=self.epsilon, **(self._prepared or {})
        )

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Shape:
        shape = self.as_input_shape(input_shape)
        normalization.as_axes(self.axis, len(shape))
        return shape

    def _sizes(self, shape: Shape) -> tuple[int, ...]:
        return _sizes_along(self.axis, shape, self.name)

    def _input_shape_of(self, first: tuple[int, ...]) -> Shape:
        return _shape_along(self.axis, first)


class RMSNormalization(_Normalized):
    """x / sqrt(mean(x * x) + epsilon) * scale over the axes `axis` of each sample, by default the channels.

    Weight: scale of these axes' sizes. See `convlite.rms_norm`.

    Parameters
    ----------
    axis : shared, axes
    epsilon : float, default 1e-06
        Added to the mean of squares: 1e-6 in Keras and Flax, 1e-5 in ONNX, the dtype's eps in PyTorch.
    scale_initializer, dtype, name : shared, layer

    Raises
    ------
    errors : shared, layer

    Examples
    --------
    >>> RMSNormalization.from_weights([1.0, 2.0], epsilon=0.0)([[1.0, 7.0]]).round(3).tolist()
    [[0.2, 2.8]]
    """

    def __init__(
        self,
        axis: int | Sequence[int] = -1,
        epsilon: float = 1e-6,
        *,
        scale_initializer: Any = "ones",
        dtype: npt.DTypeLike = "float32",
        name: str | None = None,
    ) -> None:
        self.epsilon, self.axis = as_epsilon(epsilon), _as_axes(axis)
        WeightedLayer.__init__(self, {"scale": scale_initializer}, dtype=dtype, name=name)

    @classmethod
    def from_weights(  # type: ignore[override]
        cls, scale: npt.ArrayLike, **options: Any
    ) -> Self:
        """Make a layer with this weight.

        Parameters
        ----------
        scale : array_like
            The scale.
        **options : object
            Further keywords of the constructor.

        Returns
        -------
        RMSNormalization
            The layer.

        Raises
        ------
        errors : shared, weights

        Examples
        --------
        >>> RMSNormalization.from_weights([1.0, 1.0], epsilon=0.0)([[1.0, 7.0]]).round(3).tolist()
        [[0.2, 1.4]]
        """
        array = as_operand(scale, "scale")
        layer = cls(**{"dtype": array.dtype, **options})
        layer.set_weights([array])
        return layer

    def call(self, x: Any) -> Array:
        return normalization.rms_norm(
            self._own(x), gamma=self._prepared["scale"], axis=self.axis, epsilon=self.epsilon
        )

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Shape:
        shape = self.as_input_shape(input_shape)
        normalization.as_axes(self.axis, len(shape))
        return shape

    def _sizes(self, shape: Shape) -> tuple[int, ...]:
        return _sizes_along(self.axis, shape, self.name)

    def _input_shape_of(self, first: tuple[int, ...]) -> Shape:
        return _shape_along(self.axis, first)


class GroupNormalization(_Normalized):
    """(x - mean) / sqrt(variance + epsilon) * gamma + beta over the positions of each group of channels.

    Weights, each (C,): gamma (with scale=True), beta (with center=True). See `convlite.group_norm`.

    Parameters
    ----------
    groups : int, default 32
        The number of groups; -1 means one group for each channel.
    axis, epsilon, center, scale, beta_initializer, gamma_initializer, dtype, name : shared, layer

    Raises
    ------
    errors : shared, layer

    Examples
    --------
    >>> GroupNormalization(2, epsilon=0.0)(np.float32([[1.0, 3.0, 0.0, 8.0]])).tolist()
    [[-1.0, 1.0, -1.0, 1.0]]
    """

    def __init__(
        self,
        groups: int = 32,
        axis: int = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        *,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        dtype: npt.DTypeLike = "float32",
        name: str | None = None,
    ) -> None:
        super().__init__(epsilon, center, scale, beta_initializer, gamma_initializer, dtype, name)
        self.groups, self.axis = as_int(groups, "groups", minimum=-1), as_int(axis, "axis", minimum=-(2**31))
        if self.groups == 0:
            raise ValueError("groups must be at least 1, or -1 for one group a channel; got 0")

    def call(self, x: Any) -> Array:
        weights = self._prepared or {}
        return normalization.group_norm(self._own(x), self.groups, epsilon=self.epsilon, **weights)

    def as_input_shape(self, input_shape: Sequence[int | None]) -> Shape:
        shape = super().as_input_shape(input_shape)
        if len(shape) < 2:
            raise ValueError(f"{self.name} takes at least 2 axes (batch, ..., channels); got {shape}")
        if self.axis not in (-1, len(shape) - 1):
            raise ValueError(f"axis must be the last one, -1, where convlite keeps channels; got {self.axis}")
        if shape[-1] is not None and self.groups > 0 and shape[-1] % self.groups:
            raise ValueError(f"groups must divide the {shape[-1]} channels of x; got {self.groups}")
        return shape


class InstanceNormalization(GroupNormalization):
    """GroupNormalization with one group for each channel: over the positions of each sample and channel.

    The weights are those of GroupNormalization. Keras has no layer of this name: the default epsilon is that
    of GroupNormalization(-1), 1e-3; PyTorch's InstanceNorm2d has 1e-5, and by default no gamma and beta.

    axis, epsilon, center, scale, beta_initializer, gamma_initializer, dtype, name -> : shared, layer

    Examples
    --------
    >>> InstanceNormalization(epsilon=0.0)(np.float32([[[1.0, 0.0], [3.0, 8.0]]])).tolist()
    [[[-1.0, -1.0], [1.0, 1.0]]]
    """

    def __init__(
        self,
        axis: int = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        *,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        dtype: npt.DTypeLike = "float32",
        name: str | None = None,
    ) -> None:
        super().__init__(
            -1, axis, epsilon, center, scale, beta_initializer=beta_initializer,
            gamma_initializer=gamma_initializer, dtype=dtype, name=name,
        )  # fmt: skip


class UnitNormalization(Layer):
    """x / sqrt(sum(x * x)) over the axes `axis` of each sample, by default the channels.

    Parameters
    ----------
    axis, name : shared, axes

    Raises
    ------
    errors : shared, layer

    Examples
    --------
    >>> UnitNormalization()([[3.0, 4.0]]).tolist()
    [[0.6, 0.8]]
    """

    def __init__(self, axis: int | Sequence[int] = -1, *, name: str | None = None) -> None:
        super().__init__(name=name)
        self.axis = _as_axes(axis)

    def call(self, x: Any) -> Array:
        return normalization.unit_norm(x, axis=self.axis)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Shape:
        shape = self.as_input_shape(input_shape)
        normalization.as_axes(self.axis, len(shape))
        return shape


class Normalization(_Own):
    """(x - mean) / max(sqrt(variance), 1e-7) for each channel, the last axis: Keras's Normalization.

    The layer has no `adapt`, and it does not have Keras's third weight, count.

    Parameters
    ----------
    axis : int or None, default -1
        The axis of the channels, which is the last one; None: one number for all channels.
    mean : float, array_like or None, default None
        The mean, one number or (C,); None: a weight to be set.
    variance : float, array_like or None, default None
        The variance, likewise.
    invert : bool, default False
        Whether the inverse is computed: mean + x * max(sqrt(variance), 1e-7).
    dtype, name : shared, layer

    Raises
    ------
    errors : shared, layer

    Examples
    --------
    >>> Normalization(mean=[1.0, 2.0], variance=4.0)([[3.0, 8.0]]).tolist()
    [[1.0, 3.0]]
    """

    def __init__(
        self,
        axis: int | None = -1,
        mean: Any = None,
        variance: Any = None,
        invert: bool = False,
        *,
        dtype: npt.DTypeLike = "float32",
        name: str | None = None,
    ) -> None:
        if (mean is None) != (variance is None):
            raise ValueError(
                "give both mean and variance, or neither: then they are weights; got one of them"
            )
        weights = {"mean": "zeros", "variance": "ones"} if mean is None else {}
        super().__init__(weights, dtype=dtype, name=name)
        self.axis = None if axis is None else as_int(axis, "axis", minimum=-(2**31))
        self.invert = as_flag(invert, "invert")
        self.mean, self.variance = (
            None if v is None else _numbers(v, what) for v, what in ((mean, "mean"), (variance, "variance"))
        )

    def call(self, x: Any) -> Array:
        values, weights = self._own(x), self._prepared or {}
        mean = weights["mean"] if self.mean is None else self.mean
        variance = weights["variance"] if self.variance is None else self.variance
        fitting = ((), (1,), values.shape[-1:])
        if values.ndim == 0 or mean.shape not in fitting or variance.shape not in fitting:
            raise ValueError(
                f"mean and variance must be one number or one for each of the channels of x, of shape "
                f"{values.shape}; got {mean.shape} and {variance.shape}"
            )
        with np.errstate(all="ignore"):
            centre = mean.astype(values.dtype)
            spread = np.maximum(np.sqrt(variance.astype(values.dtype)), values.dtype.type(1e-7))
            return np.asarray(centre + values * spread if self.invert else (values - centre) / spread)

    def as_input_shape(self, input_shape: Sequence[int | None]) -> Shape:
        shape = super().as_input_shape(input_shape)
        if self.axis not in (None, -1, len(shape) - 1):
            raise ValueError(f"axis must be the last one, -1, or None for one number; got {self.axis}")
        return shape

    def _weight_shapes(self, shape: Shape) -> dict[str, tuple[int, ...]]:
        sizes = () if self.axis is None else (self._channels(shape),)
        return dict.fromkeys(self._own_names(), sizes)

    def _input_shape_of(self, first: tuple[int, ...]) -> Shape:
        return (None,) if self.axis is None else (None, first[0])

    def _prepare(self, weights: dict[str, Array]) -> dict[str, Array]:
        return weights


class Rescaling(Layer):
    """x * scale + offset.

    Rescaling(1 / 127.5, -1) maps the values 0 to 255, as float32, to -1 to 1.

    Parameters
    ----------
    scale : float or array_like
        The factor, one number or one for each channel.
    offset : float or array_like, default 0.0
        What is added, likewise.
    name : shared, layer

    Raises
    ------
    errors : shared, layer

    Examples
    --------
    >>> Rescaling(0.5, offset=1.0)([2.0, 4.0]).tolist()
    [2.0, 3.0]
    """

    def __init__(self, scale: Any, offset: Any = 0.0, *, name: str | None = None) -> None:
        super().__init__(name=name)
        self.scale, self.offset = _numbers(scale, "scale"), _numbers(offset, "offset")

    def call(self, x: Any) -> Array:
        values = as_operand(x, "x")
        for part, what in ((self.scale, "scale"), (self.offset, "offset")):
            if part.shape not in ((), (1,), values.shape[-1:]):
                raise ValueError(
                    f"{what} must be one number or one for each channel of x, of shape {values.shape}; "
                    f"got shape {part.shape}"
                )
        with np.errstate(all="ignore"):
            return np.asarray(values * self.scale.astype(values.dtype) + self.offset.astype(values.dtype))


def _numbers(value: Any, name: str) -> Array:
    """Return a number or a vector as a read-only float64 array."""
    array = np.array(value, dtype=object) if isinstance(value, (list, tuple, np.ndarray)) else np.array(None)
    if array.ndim == 0:
        array = np.array(as_real(array.item() if isinstance(value, np.ndarray) else value, name))
    elif array.shape[:-1] != (1,) * (array.ndim - 1):
        raise ValueError(f"{name} must be one number or one for each channel; got an array of {array.shape}")
    else:
        array = np.array([as_real(v, f"{name}[{i}]") for i, v in enumerate(array.ravel())], np.float64)
    array.setflags(write=False)
    return array


def _as_axes(axis: Any) -> int | tuple[int, ...]:
    if isinstance(axis, (Sequence, np.ndarray)) and not isinstance(axis, (str, bytes)):
        axes = tuple(as_int(a, "axis", minimum=-(2**31)) for a in axis)
        if not axes or 0 in axes:
            raise ValueError(f"axis must name axes of a sample, not the batch, 0; got {shown(axis)}")
        return axes
    number = as_int(axis, "axis", minimum=-(2**31))
    if number == 0:
        raise ValueError("axis must be an axis of a sample, not the batch; got 0")
    return number


def _sizes_along(axis: int | tuple[int, ...], shape: Shape, name: str) -> tuple[int, ...]:
    sizes = [shape[a] for a in normalization.as_axes(axis, len(shape))]
    known = tuple(size for size in sizes if size is not None)
    if len(known) < len(sizes):
        raise ValueError(
            f"{name} needs to know the sizes along axis {axis}, which has its weights; got the shape {shape}"
        )
    return known


def _shape_along(axis: int | tuple[int, ...], first: tuple[int, ...]) -> Shape:
    """An input shape whose sizes along `axis` are those of the weight."""
    axes = (axis,) if isinstance(axis, int) else axis
    if len(first) != len(axes):
        raise IndexError
    rank = max(len(axes) + 1, *(a + 1 if a > 0 else -a + 1 for a in axes))
    shape: list[int | None] = [None] * rank
    for a, size in zip(axes, first, strict=True):
        shape[a] = size
    return tuple(shape)
