"""A Keras model walked through, call by call."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...facts import Fact
from ...graph import Dim, Graph, Value
from ...infer import Memo
from ..onnx.building import Builder
from ..onnx.tensors import Refused
from .call import LAYERS, Call

__all__ = ["from_keras", "read_keras"]

_KERAS = ("keras", "tf_keras")
# What these compute depends on `training`; preprocessing layers are called with True all the time.
_RANDOM = ("Dropout", "Spatial", "Gaussian", "Alpha", "BatchNormalization", "Random")


def read_keras(path: str | os.PathLike[str], memo: Memo | None = None) -> Graph:
    """A `.keras` or `.h5` file as a graph, loaded by the Keras that is installed (`keras`, else `tf_keras`).

    memo: takes what is found about the nodes' shapes.

    Raises ValueError naming every layer that is not supported, and ImportError without Keras.
    """
    import importlib

    keras, failed = None, None
    for name in _KERAS:
        try:
            keras = importlib.import_module(name)
            break
        except ImportError as error:
            if error.name != name and failed is None:  # the module exists, but one that it imports does not
                failed = (name, error)
    if keras is None and failed is not None:
        raise ImportError(
            f"{failed[0]} cannot be imported: {failed[1]}. Keras needs a backend: install tensorflow, jax or "
            "torch and name it, as in `pip install torch` and `export KERAS_BACKEND=torch`"
        ) from failed[1]
    if keras is None:
        raise ImportError(
            "Keras's files are read with the package keras, which is not installed: pip install keras, and a "
            "backend such as tensorflow"
        )
    return from_keras(keras.models.load_model(os.fspath(path), compile=False), memo)


def from_keras(model: Any, memo: Memo | None = None) -> Graph:
    """A live Keras model as a graph, with its own layout and order of inputs and outputs.

    model: a functional or Sequential model of Keras 3 or tf_keras, nested as it may be. Weights are copied;
    everything is computed in float32 as `model(x, training=False)`. A size of None is free, axis 0 under the
    name "batch".

    Returns a Graph in the vocabulary of `convlite.network.kinds`.

    Raises ValueError naming every layer that is not supported, TypeError where model is no Keras model.
    """
    from . import activations, layers, operations, recurrent  # noqa: F401, they fill LAYERS

    if not _is_keras(model) or not hasattr(model, "layers"):
        hint = ": a file is read by convlite.load(path)" if isinstance(model, str | os.PathLike) else ""
        kind = f"{type(model).__module__}.{type(model).__name__}"
        raise TypeError(f"model must be a Keras model; got a {kind}{hint}")
    return _Walk(model, memo).graph()


def _is_keras(thing: Any) -> bool:
    """Whether it is one of Keras's own, or made from one."""
    return any(base.__module__.partition(".")[0] in _KERAS for base in type(thing).__mro__)


def _walkable(thing: Any) -> bool:
    """Whether the calls inside a model are known."""
    return hasattr(thing, "layers") and (
        hasattr(thing, "_nodes_by_depth")
        or any(base.__name__ == "Sequential" for base in type(thing).__mro__)
    )


def _flat(value: Any) -> list[Any]:
    """The leaves of nested lists, tuples and dicts."""
    if isinstance(value, dict):
        return [leaf for key in value for leaf in _flat(value[key])]
    if isinstance(value, (list, tuple)):
        return [leaf for entry in value for leaf in _flat(entry)]
    return [] if value is None else [value]


def _is_tensor(value: Any) -> bool:
    return hasattr(value, "_keras_history")


class _Walk:
    def __init__(self, model: Any, memo: Memo | None = None) -> None:
        self.model = model
        self.builder = Builder(memo=memo)
        self.weights: dict[int, str] = {}
        self.reasons: dict[str, None] = {}  # in order, each once

    def graph(self) -> Graph:
        if not _walkable(self.model):
            raise ValueError(
                f"the model {self.model.name!r} is a subclass whose calls Keras does not record; "
                "build it from keras.Input, or export it to ONNX"
            )
        tensors = getattr(self.model, "inputs", None)
        if not tensors:
            raise ValueError(
                f"the model {self.model.name!r} has no inputs yet: give it a keras.Input, or call it once"
            )
        names = [self._input(tensor) for tensor in tensors]
        found = self._inside(self.model, names)
        if self.reasons:
            count = len(self.reasons)
            raise ValueError(
                f"the model {self.model.name!r}: {count} layer{'s' * (count != 1)} cannot be read\n"
                + "\n".join(f"  {reason}" for reason in self.reasons)
            )
        outputs = []
        for tensor, name in zip(_flat(self.model.outputs), found, strict=True):
            own = self.builder.unique(_called(tensor))
            self.builder.add("identity", [name], {}, [own], "")
            fact = self.builder.fact(own)
            shape = tuple(
                f"{own}[{axis}]" if size is None else size for axis, size in enumerate(fact.shape or ())
            )
            dtype = np.dtype(np.float32) if fact.dtype is None else fact.dtype
            outputs.append(Value(own, dtype, None if fact.shape is None else shape))
        return self.builder.finished(outputs, str(self.model.name))

    def _input(self, tensor: Any) -> str:
        name = self.builder.unique(_called(tensor))
        shape: tuple[Dim, ...] = tuple(
            ("batch" if axis == 0 else f"{name}[{axis}]") if size is None else int(size)
            for axis, size in enumerate(tuple(tensor.shape))
        )
        stated = getattr(tensor.dtype, "name", tensor.dtype)
        dtype = np.dtype("float32" if stated in ("float16", "bfloat16") else str(stated))
        self.builder.add_input(name, dtype, shape, Fact(dtype, shape))
        return name

    # ---- models

    def _inside(self, model: Any, names: Sequence[str]) -> list[str]:
        """The outputs of a model for these inputs."""
        inner = getattr(model, "_functional", None)
        if hasattr(inner, "_nodes_by_depth"):
            return self._inside(inner, names)
        if not hasattr(model, "_nodes_by_depth"):
            for part in model.layers:
                if type(part).__name__ != "InputLayer":
                    names = self._called(part, names, tuple(names), {}, 1)
            return list(names)
        tensors = _flat(model.inputs)
        if len(tensors) != len(names):
            raise ValueError(f"the model {model.name!r} takes {len(tensors)} inputs, not {len(names)}")
        held = {id(tensor): name for tensor, name in zip(tensors, names, strict=True)}
        for depth in sorted(model._nodes_by_depth, reverse=True):
            for node in model._nodes_by_depth[depth]:
                self._node(node, held)
        return [held.get(id(tensor), "") for tensor in _flat(model.outputs)]

    def _node(self, node: Any, held: dict[int, str]) -> None:
        """One call in a functional model."""
        target = node.operation if hasattr(node, "operation") else node.layer
        outputs = _flat(getattr(node, "output_tensors", None) or node.outputs)
        if type(target).__name__ == "InputLayer":
            return
        if hasattr(node, "arguments"):
            args, kwargs = node.arguments.args, node.arguments.kwargs
        else:
            args, kwargs = node.call_args, node.call_kwargs

        def named(value: Any) -> Any:
            if isinstance(value, dict):
                return {key: named(entry) for key, entry in value.items()}
            if isinstance(value, (list, tuple)):
                return (
                    type(value)([named(entry) for entry in value]) if type(value) in (list, tuple) else value
                )
            return held.get(id(value), "") if _is_tensor(value) else value

        tensors = [value for value in _flat([list(args), dict(kwargs)]) if _is_tensor(value)]
        inputs = [held.get(id(tensor), "") for tensor in tensors]
        found = self._called(target, inputs, tuple(named(list(args))), named(dict(kwargs)), len(outputs))
        for tensor, name in zip(outputs, found, strict=False):
            held[id(tensor)] = name

    def _called(self, target: Any, inputs: Sequence[str], args: Any, kwargs: Any, count: int) -> list[str]:
        """The outputs of one call, "" where it cannot be read."""
        try:
            if _walkable(target):
                return self._inside(target, inputs)
            found = self._translated(target, inputs, args, kwargs)
            names = [found] if isinstance(found, str) else list(found)
            if len(names) < count:
                raise Refused(f"it has {count} outputs; {len(names)} are known")
            return names
        except (ValueError, AttributeError, KeyError, TypeError) as problem:
            if isinstance(problem, ValueError) or all(inputs):
                missing = (
                    "" if isinstance(problem, ValueError) else "it is not built as its class should be: "
                )
                self.reasons[f"{type(target).__name__} {target.name!r}: {missing}{problem}"] = None
            return [""] * count

    def _translated(self, target: Any, inputs: Sequence[str], args: Any, kwargs: Any) -> Any:
        kind, module = type(target).__name__, type(target).__module__
        key = f"ops.{kind}" if module.startswith("keras.src.ops") else kind
        own = module.partition(".")[0] not in _KERAS
        if own or key not in LAYERS:
            hint = "; it is not one of Keras's: make it of those, or export the model to ONNX" if own else ""
            raise Refused(f"this layer is not supported{hint}")
        if not inputs or not all(inputs):
            raise _Behind  # the call before is in the list
        if getattr(target, "quantization_mode", None):
            raise Refused("its weights are quantised, which is not supported")
        if kwargs.get("mask") is not None:
            raise Refused("it is called with a mask, which is not supported")
        if kwargs.get("training") and kind.startswith(_RANDOM):
            raise Refused("it is called with training=True, which is not supported")
        return LAYERS[key](Call(self.builder, target, inputs, args, kwargs, self.weights))


class _Behind(TypeError):
    """A call whose inputs could not be made."""


def _called(tensor: Any) -> str:
    """The name of the layer that makes a tensor."""
    history = tensor._keras_history
    maker = getattr(history, "operation", None) or getattr(history, "layer", None)
    return str(getattr(maker, "name", "value"))
