"""Conversion of a model to a graph, call by call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...network.facts import Fact
from ...network.graph import Dim, Graph, Value
from ...network.load.onnx.building import Builder
from ..base import Layer
from ..parts import visit, without_rehearsal
from ..shapes import Shape
from ..symbolic import Operation, SymbolicTensor
from ..tracing import Plan, plan_of, replayed, run_call
from .rules import Applied, CannotBe, rule_of

__all__ = ["Emitter", "graph_of"]


class Emitter:
    """Make the nodes of layers; constants have the names of the weights of `root`."""

    def __init__(self, root: Layer) -> None:
        self.root, self.builder = root, Builder()
        self._labels = {id(layer): label for layer, label in visit(root)}
        self._weights: dict[tuple[int, str], str] = {}

    def shape(self, name: str) -> Shape:
        """The shape of a value; a free size is None."""
        shape = self.builder.fact(name).shape
        assert shape is not None
        return tuple(size if isinstance(size, int) else None for size in shape)

    def path(self, layer: Layer) -> str:
        """The path of the layer in the root, with which the names of its weights begin."""
        label = self._labels.get(id(layer))
        return layer.name if label is None else label("\0").removesuffix("\0").rstrip("/_") or layer.name

    def weight(self, layer: Layer, name: str) -> str:
        """The name of a weight's constant, or "" if there is no weight of this name."""
        key = (id(layer), name)
        if key not in self._weights:
            held = layer.named_weights()
            label = self._labels.get(id(layer))
            base = f"{layer.name}/{name}" if label is None else label(name)
            self._weights[key] = self.builder.add_constant(held[name], base) if name in held else ""
        return self._weights[key]

    def emitted(self, target: Layer | Operation, inputs: Sequence[str], single: bool) -> Sequence[str]:
        """Emit a layer or an operation; return the names of its outputs."""
        if isinstance(target, Operation):
            return [self._operation(target, inputs)]
        plan = target._plan_of_calls()
        if plan is not None:
            return self.walked(plan[0], plan[1], inputs)
        rule, path = rule_of(target), self.path(target)
        if rule is not None:
            try:
                return [rule(Applied(self, target, inputs, path))]
            except CannotBe as error:
                raise ValueError(
                    f"the layer {path!r} ({type(target).__name__}) of {self.root.name!r} cannot be part of a "
                    f"network: {error}"
                ) from None
            except Exception as error:
                error.add_note(f"in the layer {path!r} ({type(target).__name__}) of {self.root.name!r}")
                raise
        fresh = []
        for name in inputs:
            dtype = self.builder.fact(name).dtype
            assert dtype is not None
            fresh.append(SymbolicTensor(self.shape(name), dtype))
        given = run_call(target, fresh, single)
        entries = [given] if isinstance(given, SymbolicTensor) else list(_values(given))
        layers: list[Layer] = []
        inner = plan_of(fresh, entries, layers, f"the layer {path!r} ({type(target).__name__})")
        return self.walked(inner, layers, inputs)

    def walked(self, plan: Plan, layers: Sequence[Layer], inputs: Sequence[str]) -> Sequence[str]:
        """Emit all calls of a plan; return the names of its outputs."""
        return replayed(plan, layers, list(inputs), self.emitted)

    def _operation(self, operation: Operation, inputs: Sequence[str]) -> str:
        waiting = iter(inputs)
        names = [
            next(waiting) if array is None else self.builder.add_constant(array, f"{operation.kind}/constant")
            for array in operation.operands
        ]
        output = self.builder.unique(operation.kind)
        self.builder.add(operation.kind, names, operation.attributes, [output], operation.kind)
        return output


def _values(given: Any) -> Any:
    return given.values() if isinstance(given, dict) else given


def graph_of(
    root: Layer, inputs: Sequence[tuple[str, Shape, np.dtype[Any]]], outputs: Sequence[str] = ()
) -> Graph:
    """The graph of a layer for inputs of these names, shapes and dtypes.

    The batch is free and has the name "batch" in all of them; any other size of None has its own name.
    outputs: the names of the outputs, if given. ValueError for a layer that cannot be part of a network.
    """
    emitter = Emitter(root)
    builder = emitter.builder
    names = []
    for given, shape, dtype in inputs:
        name = builder.unique(given)
        sizes: tuple[Dim, ...] = tuple(
            "batch" if axis == 0 else f"{name}[{axis}]" if size is None else size
            for axis, size in enumerate(shape)
        )
        builder.add_input(name, dtype, sizes, Fact(dtype, sizes))
        names.append(name)
    reserved = [builder.unique(output) for output in outputs]
    with without_rehearsal():
        found = emitter.emitted(root, names, len(names) == 1)
    values = []
    fixed = {*names, *builder.constants}
    new: dict[str, str] = {}
    for number, name in enumerate(found):
        own = reserved[number] if number < len(reserved) else builder.unique("output")
        if name in fixed or name in new:  # an output that is an input, or a second name for an output
            builder.add("identity", [new.get(name, name)], {}, [own], "")
        else:
            builder.rename(0, {name: own})
            new[name] = own
        fact = builder.fact(own)
        assert fact.shape is not None
        assert fact.dtype is not None
        shaped = tuple(f"{own}[{axis}]" if size is None else size for axis, size in enumerate(fact.shape))
        values.append(Value(own, fact.dtype, shaped))
    return builder.finished(values, root.name)
