"""A layer with its own weights: initializers make them, and they are packed for `call`."""

from __future__ import annotations

import abc
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import initializers
from .base import Array, Layer
from .keywords import dtype_of
from .shapes import Shape
from .weights import as_dtype, as_weight, frozen, initializer, read_only

__all__ = ["WeightedLayer"]


class WeightedLayer(Layer):
    """A layer with weights: a subclass names their shapes, and may pack them for `call`.

    A subclass defines `_weight_shapes(input_shape)` and its inverse, `_input_shape_of(first weight's shape)`,
    with None for the sizes that the weights do not determine. It may define `_prepare(weights)`; `call` finds
    the result in `self._prepared`.

    Parameters
    ----------
    initializers, dtype, name : shared, layer

    Raises
    ------
    errors : shared, layer

    Examples
    --------
    >>> Scale = type("Scale", (WeightedLayer,), {
    ...     "__init__": lambda self: WeightedLayer.__init__(self, {"scale": "ones"}),
    ...     "call": lambda self, x: x * self.named_weights()["scale"],
    ...     "_weight_shapes": lambda self, shape: {"scale": shape[-1:]},
    ...     "_input_shape_of": lambda self, first: (None, *first),
    ... })
    >>> Scale()(np.float32([[1.0, 2.0]])).tolist()
    [[1.0, 2.0]]
    """

    def __init__(
        self, initializers: Mapping[str, Any], *, dtype: npt.DTypeLike = "float32", name: str | None = None
    ) -> None:
        super().__init__(name=name)
        self.dtype = as_dtype(dtype_of(dtype))
        self._initializers = {weight: initializer(spec, weight) for weight, spec in initializers.items()}
        self._weights: dict[str, Array] | None = None

    @property
    def _has_weights(self) -> bool:  # type: ignore[override]
        return self._weights is not None

    def _own_names(self) -> list[str]:
        return list(self._initializers)

    def _held(self) -> dict[str, Array]:
        if self._weights is None:
            raise ValueError(
                f"{type(self).__name__} {self.name!r} has no weights yet: call it, build((None, ...)) it, or "
                "set_weights"
            )
        return dict(self._weights)

    @abc.abstractmethod
    def _weight_shapes(self, shape: Shape) -> dict[str, tuple[int, ...]]:
        """The shapes of the weights, by name, for this input shape."""

    @abc.abstractmethod
    def _input_shape_of(self, first: tuple[int, ...]) -> Shape:
        """The input shape, as far as the first weight's shape determines it. IndexError for too few axes."""

    def _prepare(self, weights: dict[str, Array]) -> Any:
        """Return the object that `call` will find in `_prepared`."""
        return tuple(weights.values())

    def _channels(self, shape: Shape) -> int:
        """The size of the last axis, which the weights depend on."""
        channels = shape[-1]
        if len(shape) < 2:
            raise ValueError(
                f"{type(self).__name__} {self.name!r} takes x with a batch axis and channels last, "
                "(N, ..., C); got one axis: write x[None] for one sample"
            )
        if channels is None:
            raise ValueError(
                f"{type(self).__name__} {self.name!r} needs the number of channels, the last size of {shape}"
            )
        return channels

    def _ensure_weights(self, shape: Shape) -> None:
        expected = self._weight_shapes(shape)
        if self._weights is None:
            self._install({name: self._initial(name, size) for name, size in expected.items()})
        for name, weight in self._held().items():
            if weight.shape != expected[name]:
                article = "an" if name[0] in "aeiou" else "a"
                raise ValueError(
                    f"{self.name} holds {article} {name} of shape {weight.shape}; the input shape {shape} "
                    f"needs {expected[name]}" + self._layout_hint(name, weight.shape, expected[name])
                )

    def _layout_hint(self, name: str, received: tuple[int, ...], expected: tuple[int, ...]) -> str:
        """Advice for a weight in another framework's layout."""
        return ""

    def _initial(self, name: str, shape: tuple[int, ...]) -> Array:
        try:
            values = np.asarray(self._initializers[name](shape, dtype=self.dtype))
        except ValueError as error:
            raise ValueError(f"{name}_initializer must give an array of shape {shape}: {error}") from error
        if values.shape != shape or values.dtype != self.dtype:
            raise ValueError(
                f"{name}_initializer must give {self.dtype} of shape {shape}; "
                f"got {values.dtype} of shape {values.shape}"
            )
        if initializers.makes_anew(self._initializers[name]) and values.flags.c_contiguous:
            return read_only(values)
        return frozen(values)

    def _made(
        self, weights: Mapping[str, npt.ArrayLike], display: Callable[[str], str]
    ) -> tuple[Any, dict[str, Array]]:
        arrays = {name: as_weight(weights[name], display(name), self.dtype) for name in self._initializers}
        if self._weights is not None:
            expected = {name: weight.shape for name, weight in self._weights.items()}
        else:
            first, array = next(iter(arrays.items()))
            try:
                expected = self._weight_shapes(self._input_shape_of(array.shape))
            except IndexError:
                raise ValueError(
                    f"weight {display(first)!r} must have more axes; got the shape {array.shape}"
                ) from None
        for name, array in arrays.items():
            if array.shape != expected[name]:
                raise ValueError(
                    f"weight {display(name)!r} must have shape {expected[name]}; got {array.shape}"
                    + self._layout_hint(name, array.shape, expected[name])
                )
        for name, array in arrays.items():
            try:
                arrays[name] = frozen(array)
            except MemoryError as error:
                raise MemoryError(f"no memory for weight {display(name)!r}: {error}") from None
        return self._prepare(arrays), arrays

    def _set(self, made: tuple[Any, dict[str, Array]]) -> None:
        self._prepared, self._weights = made

    def _install(self, weights: dict[str, Array]) -> None:
        self._set((self._prepare(weights), weights))

    def _renew(self) -> None:
        if self._weights is not None and self.sublayers():
            self._install(dict(self._weights))

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if self._weights is not None:
            self._install({name: read_only(weight) for name, weight in self._weights.items()})
