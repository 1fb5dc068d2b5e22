"""Layers called on symbolic tensors, and the plan of calls between two sets of them.

A layer with a rule in `graph` computes its output shape. Any other layer is recorded: its `call` runs on new
symbolic tensors, and these record the calls of further layers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import numpy as np

from ..arguments import shown
from .base import Layer
from .kernels import KernelLayer
from .parts import check_held, unchanged, watching, without_rehearsal
from .shaping import InputLayer
from .symbolic import Call, NoNumbers, Operation, SymbolicTensor, repeated
from .weighted import WeightedLayer

__all__ = [
    "Plan", "called", "check_dtypes", "flat", "given_by", "named", "plan_of", "replayed",
    "run_call", "symbolically", "told", "whole_order", "why_not",
]  # fmt: skip

T = TypeVar("T")


def _cannot(layer: Layer, why: str) -> TypeError:
    """The error for a layer whose call cannot be recorded; enclosing layers raise it unchanged."""
    error = TypeError(f"{named(layer)} cannot be part of a network: its call {why}")
    error.__dict__["says_which"] = True
    return error


def told(value: object) -> str:
    """A description, for messages, of a value that is not a symbolic tensor."""
    return f"an array of shape {value.shape}" if isinstance(value, np.ndarray) else shown(value)


def named(layer: Layer) -> str:
    """The name and class of a layer, as messages write them.

    >>> from convlite.layers import Dense
    >>> named(Dense(3, name="head"))
    "the layer 'head' (Dense)"
    """
    return f"the layer {layer.name!r} ({type(layer).__name__})"


def flat(layer: Layer, x: Any) -> tuple[list[SymbolicTensor], bool]:
    """The tensors that a layer is called on, and whether the argument is a single tensor."""
    if isinstance(x, SymbolicTensor):
        return [x], True
    tensors = list(x.values()) if isinstance(x, dict) else list(x)
    for number, tensor in enumerate(tensors):
        if not isinstance(tensor, SymbolicTensor):
            raise TypeError(
                f"{named(layer)} is called on symbolic tensors and, at {number}, {told(tensor)}: all of "
                "them must come from Input"
            )
    return tensors, False


# ---- one call ----


def called(layer: Layer, x: Any) -> Any:
    """Return `layer(x)` for symbolic x: new symbolic tensors, in the structure of the layer's output.

    A layer that is not built is built for x's shape. Raises the layer's own error for a wrong shape, and
    TypeError for another dtype and for a layer whose call needs numbers.
    """
    tensors, single = layer._flat(x)
    check_held(layer)
    with layer._lock, unchanged(layer), without_rehearsal():
        given = layer._given(tensors, single)
    if isinstance(given, SymbolicTensor):
        return _recorded(layer, tensors, single, [given])[0]
    entries = list(given.values()) if isinstance(given, dict) else list(given)
    results = _recorded(layer, tensors, single, entries)
    return dict(zip(given, results, strict=True)) if isinstance(given, dict) else type(given)(results)


def _recorded(
    layer: Layer, tensors: list[SymbolicTensor], single: bool, given: Sequence[SymbolicTensor]
) -> tuple[SymbolicTensor, ...]:
    return Call(layer, tensors, single).gives(*((entry.shape, entry.dtype) for entry in given))


def given_by(layer: Layer, tensors: list[SymbolicTensor], single: bool) -> Any:
    """The outputs of a layer, as new tensors that come from its call; the layer is built by this."""
    from .graph import rule_of

    check_dtypes(layer, tensors)
    if rule_of(layer) is None:
        return traced(layer, tensors, single)
    if not single:
        raise TypeError(f"{named(layer)} takes one tensor; got {len(tensors)}")
    shape = tensors[0].shape
    try:
        result = layer.compute_output_shape(shape)
        if layer.input_shape is None:
            layer.build(shape)
        else:
            layer._ensure_weights(shape)
    except Exception as error:
        error.add_note(f"at {named(layer)}, called on {tensors[0]!r}")
        raise
    return SymbolicTensor(result, tensors[0].dtype)


def check_dtypes(layer: Layer, tensors: Sequence[SymbolicTensor]) -> None:
    """Raise TypeError if a layer's weights have another dtype than the tensors."""
    dtype = getattr(layer, "dtype", None) if layer._own_names() else None
    for tensor in tensors:
        if dtype is not None and tensor.dtype != dtype:
            raise TypeError(
                f"{named(layer)} has weights of {dtype} and is called on a tensor of {tensor.dtype}: make it "
                f"with dtype={tensor.dtype.name!r}, or the Input with dtype={np.dtype(dtype).name!r}"
            )


_BUILDS = (Layer.build, KernelLayer.build)  # a class with its own `build` makes its layers there


def traced(layer: Layer, tensors: Sequence[SymbolicTensor], single: bool) -> Any:
    """Run the layer's own `call` on new tensors like these; its outputs record the calls between."""
    if layer.input_shape is None and type(layer).build not in _BUILDS and single:
        layer.build(tensors[0].shape)
    if isinstance(layer, WeightedLayer) and single:
        layer._ensure_weights(tensors[0].shape)
    given = run_call(layer, list(tensors), single)
    if layer.input_shape is None and single:
        layer.input_shape = tensors[0].shape
    return given


def run_call(layer: Layer, tensors: list[SymbolicTensor], single: bool) -> Any:
    """Run `layer.call` on symbolic tensors. TypeError if it needs numbers or does not return tensors."""
    try:
        with watching(layer):
            given = layer.call(tensors[0] if single else tensors)
    except Exception as error:
        if getattr(error, "says_which", False):
            raise
        if (reason := why_not(error)) is not None:
            raise _cannot(layer, f"does what cannot be recorded; {reason}") from error
        error.add_note(f"in {named(layer)}, called on symbolic tensors")
        raise
    entries = given.values() if isinstance(given, dict) else given
    sound = isinstance(given, SymbolicTensor) or (
        isinstance(given, (list, tuple, dict))
        and len(given) > 0
        and all(isinstance(entry, SymbolicTensor) for entry in entries)
    )
    if not sound:
        raise _cannot(
            layer, f"must give the tensors that it makes of x, one or several; it gave {told(given)}"
        )
    return given


def why_not(error: BaseException | None) -> str | None:
    """The use of a symbolic tensor that caused an error, or None if the error has another cause."""
    while error is not None:
        if isinstance(error, NoNumbers):
            return str(error)
        if isinstance(error, AttributeError) and isinstance(error.obj, SymbolicTensor):
            return str(NoNumbers(f"x.{error.name}"))
        error = error.__cause__ or error.__context__
    return None


# ---- plans ----


class Step(NamedTuple):
    """A call in a plan: an operation or the number of a layer, and the numbers of values."""

    target: int | Operation
    inputs: tuple[int, ...]
    single: bool
    outputs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """Calls in an order in which the inputs of each are ready; the layers are in a separate list."""

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    steps: tuple[Step, ...]


def _back_from(outputs: Sequence[SymbolicTensor], inputs: set[int]) -> Iterator[tuple[Call, bool]]:
    """Yield each call before the outputs twice: when found (False), and after all its inputs (True)."""
    met: set[int] = set()
    for output in outputs:
        if output.call is None or id(output.call) in met:
            continue
        met.add(id(output.call))
        yield output.call, False
        stack = [(output.call, iter(_before(output.call, inputs)))]
        while stack:
            call, waiting = stack[-1]
            for earlier in waiting:  # an iterator: it continues after the last call that it gave
                if id(earlier) not in met:
                    met.add(id(earlier))
                    yield earlier, False
                    stack.append((earlier, iter(_before(earlier, inputs))))
                    break
            else:
                stack.pop()
                yield call, True


def _before(call: Call, inputs: set[int]) -> list[Call]:
    return [tensor.call for tensor in call.inputs if tensor.call is not None and id(tensor) not in inputs]


def whole_order(inputs: Sequence[SymbolicTensor], outputs: Sequence[SymbolicTensor]) -> list[Layer]:
    """The layers between inputs and outputs, in Keras's order: those farthest from the outputs first.

    The distance of a call is the largest number of calls between it and an output. Layers of the same
    distance are in the order in which a search back from the outputs finds them; unused inputs come last.
    """
    done: list[Call] = []
    met: dict[int, int] = {}
    for call, complete in _back_from(outputs, set()):
        if complete:
            done.append(call)
        else:
            met.setdefault(id(call.target), len(met))
    distances = {id(call): 0 for call in done}
    farthest: dict[int, int] = {}
    targets: dict[int, Layer | Operation] = {}
    for call in reversed(done):
        target = id(call.target)
        targets[target] = call.target
        distance = farthest[target] = max(distances[id(call)], farthest.get(target, 0))
        for tensor in call.inputs:
            if tensor.call is not None:
                distances[id(tensor.call)] = max(distances[id(tensor.call)], distance + 1)
    for tensor in inputs:
        if tensor.call is not None and id(tensor.call.target) not in targets:
            target = id(tensor.call.target)
            targets[target], farthest[target], met[target] = tensor.call.target, 0, -1
    order = sorted(targets, key=lambda target: (-farthest[target], met[target]))
    return [layer for layer in (targets[target] for target in order) if isinstance(layer, Layer)]


def plan_of(
    inputs: Sequence[SymbolicTensor], outputs: Sequence[SymbolicTensor], layers: list[Layer], owner: str
) -> Plan:
    """The calls between inputs and outputs; layers that are not in the list are added to it.

    ValueError if the outputs depend on a tensor that is not among the inputs.
    """
    numbers = {id(tensor): number for number, tensor in enumerate(inputs)}
    total = len(numbers)
    places = {id(layer): place for place, layer in enumerate(layers)}
    given = set(numbers)
    for output in outputs:
        if output.call is None and id(output) not in given:
            raise ValueError(f"{owner}: the output {output!r} does not come from its inputs")
    steps: list[Step] = []
    for call, complete in _back_from([o for o in outputs if id(o) not in given], given):
        if not complete:
            continue
        missing = [t for t in call.inputs if id(t) not in numbers]
        if isinstance(call.target, InputLayer) and not call.inputs:
            raise ValueError(
                f"{owner}: the graph is disconnected: its outputs need {named(call.target)}, which is not "
                "among its inputs"
            )
        if missing:
            raise ValueError(
                f"{owner}: the graph is disconnected: {_told(call)} needs {missing[0]!r}, which does not "
                "come from its inputs"
            )
        for tensor in call.outputs:
            numbers[id(tensor)] = total
            total += 1
        target: int | Operation
        if isinstance(call.target, Operation):
            target = call.target
        else:
            if id(call.target) not in places:
                places[id(call.target)] = len(layers)
                layers.append(call.target)
            target = places[id(call.target)]
        own = tuple(numbers[id(tensor)] for tensor in call.inputs)
        steps.append(Step(target, own, call.single, tuple(numbers[id(tensor)] for tensor in call.outputs)))
    ends = tuple(tuple(numbers[id(tensor)] for tensor in side) for side in (inputs, outputs))
    return Plan(ends[0], ends[1], tuple(steps))


def _told(call: Call) -> str:
    return f"the operation {call.target.kind!r}" if isinstance(call.target, Operation) else named(call.target)


def replayed(
    plan: Plan,
    layers: Sequence[Layer],
    inputs: Sequence[T],
    apply: Callable[[Layer | Operation, list[T], bool], Sequence[T]],
) -> list[T]:
    """The outputs of a plan for these inputs; `apply` computes each call."""
    values = dict(zip(plan.inputs, inputs, strict=True))
    for step in plan.steps:
        target = layers[step.target] if isinstance(step.target, int) else step.target
        found = apply(target, [values[number] for number in step.inputs], step.single)
        values.update(zip(step.outputs, found, strict=True))
    return [values[number] for number in plan.outputs]


def symbolically(
    target: Layer | Operation, tensors: list[SymbolicTensor], single: bool
) -> Sequence[SymbolicTensor]:
    """Make the call again on other tensors; `replayed` uses this to find shapes."""
    if isinstance(target, Operation):
        return [repeated(target, tensors)]
    given = called(target, tensors[0] if single else tensors)
    if isinstance(given, SymbolicTensor):
        return [given]
    return list(given.values()) if isinstance(given, dict) else list(given)
