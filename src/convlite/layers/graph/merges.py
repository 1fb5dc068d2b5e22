"""Layers that take several tensors."""

from __future__ import annotations

from ..merging import Add, Average, Concatenate, Dot, Maximum, Minimum, Multiply, Subtract
from .numbers import unit
from .rules import Applied, rule

__all__: list[str] = []

_KINDS = {Add: "add", Subtract: "sub", Multiply: "mul", Maximum: "max", Minimum: "min"}


def _aligned(call: Applied) -> list[str]:
    """The inputs with equal numbers of axes; the new axes are inserted after the batch."""
    rank = max(len(call.shape(name)) for name in call.inputs)
    return [
        name if (short := rank - len(call.shape(name))) == 0
        else call.emit("unsqueeze", name, call.ints(range(1, short + 1)))
        for name in call.inputs
    ]  # fmt: skip


@rule(*_KINDS)
def _pairwise(call: Applied) -> str:
    kind = next(name for base, name in _KINDS.items() if isinstance(call.layer, base))
    y, *others = _aligned(call)
    for other in others:
        y = call.emit(kind, y, other)
    return y


@rule(Average)
def _average(call: Applied) -> str:
    return call.emit("mean", *_aligned(call))


@rule(Concatenate)
def _concatenate(call: Applied) -> str:
    return call.emit("concat", *call.inputs, axis=call.layer.axis)


@rule(Dot)
def _dot(call: Applied) -> str:
    equation, first, second, vector = call.layer.recipe(*(len(call.shape(name)) for name in call.inputs))
    a, b = call.inputs
    if call.layer.normalize:
        a, b = unit(call, a, (first,)), unit(call, b, (second,))
    y = call.emit("einsum", a, b, equation=equation)
    return call.emit("unsqueeze", y, call.ints((1,))) if vector else y
