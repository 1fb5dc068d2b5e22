"""Layers that are made of layers, each feeding the next."""

from __future__ import annotations

import abc
import copy
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import numpy.typing as npt

from .base import Array, Layer, Shape

__all__ = ["Chain"]


class Chain(Layer):
    """Named layers in a row; its weights are theirs, under the names that `_label` makes."""

    @property
    @abc.abstractmethod
    def steps(self) -> Sequence[tuple[str, Layer]]:
        """The layers with their names, which differ from each other."""

    @abc.abstractmethod
    def _label(self, step: str, weight: str) -> str:
        """The name of a step's weight within the chain."""

    def call(self, x: Any) -> Array:
        for name, layer in self.steps:
            try:
                x = layer(x)
            except Exception as error:
                error.add_note(f"in the layer {name!r} ({type(layer).__name__}) of {self.name!r}")
                raise
        result: Array = x
        return result

    @property
    def built(self) -> bool:
        return all(layer.built for _, layer in self.steps)

    def shapes(self, input_shape: Sequence[int | None]) -> list[Shape]:
        """The shapes that pass through: the input's, then the output's of every layer."""
        shapes = [self.as_input_shape(input_shape)]
        for name, layer in self.steps:
            try:
                shapes.append(layer.compute_output_shape(shapes[-1]))
            except Exception as error:
                error.add_note(f"at the layer {name!r} ({type(layer).__name__}) of {self.name!r}")
                raise
        return shapes

    def _reads_images(self) -> bool:
        return bool(self.steps) and self.steps[0][1]._reads_images()

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Shape:
        return self.shapes(input_shape)[-1]

    def multiply_adds(self, input_shape: Sequence[int | None]) -> int | None:
        shapes = self.shapes(input_shape)
        counts = [layer.multiply_adds(shape) for (_, layer), shape in zip(self.steps, shapes, strict=False)]
        known = [count for count in counts if count is not None]
        return sum(known) if len(known) == len(counts) else None

    def weight_names(self) -> list[str]:
        return [self._label(name, weight) for name, layer in self.steps for weight in layer.weight_names()]

    def named_weights(self) -> dict[str, Array]:
        return {
            self._label(name, weight): array
            for name, layer in self.steps
            for weight, array in layer.named_weights().items()
        }

    def _ensure_weights(self, shape: Shape) -> None:
        for (_, layer), step_shape in zip(self.steps, self.shapes(shape), strict=False):
            layer.build(step_shape)

    def __copy__(self) -> Self:
        return copy.deepcopy(self)  # the layers carry the weights, so a copy needs layers of its own

    def _part(self, weights: Mapping[str, Any], name: str, layer: Layer) -> dict[str, Any]:
        return {weight: weights[self._label(name, weight)] for weight in layer.weight_names()}

    def _checked(
        self, weights: Mapping[str, npt.ArrayLike], display: Callable[[str], str]
    ) -> dict[str, Array]:
        checked = {}
        for name, layer in self.steps:
            part = layer._checked(
                self._part(weights, name, layer), functools.partial(self._display_of, display, name)
            )
            checked.update({self._label(name, weight): array for weight, array in part.items()})
        return checked

    def _display_of(self, display: Callable[[str], str], step: str, weight: str) -> str:
        return display(self._label(step, weight))

    def _install(self, weights: dict[str, Array]) -> None:
        for name, layer in self.steps:
            layer._install(self._part(weights, name, layer))
