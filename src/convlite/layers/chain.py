"""Layers that consist of a sequence of layers; each takes the output of the one before."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import Any

from .base import Array, Layer, Shape

__all__ = ["Chain"]


class Chain(Layer):
    """A sequence of named layers. It has their weights, under the names that `_label` makes."""

    @property
    @abc.abstractmethod
    def steps(self) -> Sequence[tuple[str, Layer]]:
        """The layers with their names, which are unique."""

    def call(self, x: Any) -> Array:
        for name, layer in self.steps:
            try:
                x = layer(x)
            except Exception as error:
                error.add_note(f"in the layer {name!r} ({type(layer).__name__}) of {self.name!r}")
                raise
        result: Array = x
        return result

    def shapes(self, input_shape: Sequence[int | None]) -> list[Shape]:
        """Return the shapes of the input and of every layer's output.

        input_shape -> list of tuples : The input's shape, then each layer's output. : shared, shape

        Examples
        --------
        >>> from convlite.layers import Dense, Sequential
        >>> Sequential([Dense(3), Dense(2)]).shapes((None, 4))
        [(None, 4), (None, 3), (None, 2)]
        """
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

    def sublayers(self) -> list[tuple[str, Layer]]:
        steps = list(self.steps)
        inside = {id(layer) for _, layer in steps}
        return [*steps, *(part for part in super().sublayers() if id(part[1]) not in inside)]

    def _ensure_weights(self, shape: Shape) -> None:
        for name, layer in self.steps:
            try:
                layer.build(shape)
                shape = layer.compute_output_shape(shape)
            except Exception as error:
                error.add_note(f"at the layer {name!r} ({type(layer).__name__}) of {self.name!r}")
                raise

    def _build_parts(self, shape: Shape, declared: Shape | None) -> None:
        if type(self).call is not Chain.call:  # a subclass may call the layers in another way
            super()._build_parts(shape, declared)
