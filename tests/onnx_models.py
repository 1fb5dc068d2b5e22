"""ONNX models of a few nodes, made by hand, and what is done with them in tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from convlite.network.graph import Graph
from convlite.network.interpret import interpret
from convlite.network.load.onnx import read_onnx

Shape = Sequence[int | str | None] | None
RNG = np.random.default_rng(7)


def values(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def info(name: str, shape: Shape, dtype: int = TensorProto.FLOAT) -> Any:
    return helper.make_tensor_value_info(name, dtype, shape)


def model(
    nodes: Sequence[Any],
    inputs: dict[str, Shape] | Sequence[Any],
    outputs: Sequence[Any] = ("y",),
    constants: dict[str, Any] | None = None,
    opset: int = 20,
    **more: Any,
) -> Any:
    """A ModelProto; inputs and outputs given as names are float32."""
    listed = [info(k, v) for k, v in inputs.items()] if isinstance(inputs, dict) else list(inputs)
    made = [info(out, None) if isinstance(out, str) else out for out in outputs]
    held = [numpy_helper.from_array(np.asarray(array), name) for name, array in (constants or {}).items()]
    graph = helper.make_graph(
        list(nodes), "test", listed, made, held, sparse_initializer=more.pop("sparse", None)
    )
    imports = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=more.pop("imports", imports), ir_version=9, **more)


def node(kind: str, inputs: Sequence[str], outputs: Sequence[str] = ("y",), **attributes: Any) -> Any:
    return helper.make_node(kind, list(inputs), list(outputs), **attributes)


def run(proto: Any, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
    return interpret(read_onnx(proto), arrays)


def kinds(graph: Graph) -> list[str]:
    return [entry.kind for entry in graph.nodes]


def refusal(proto: Any) -> str:
    with pytest.raises(ValueError) as caught:
        read_onnx(proto)
    return str(caught.value)


def branch(nodes: Sequence[Any], output: str, constants: dict[str, Any] | None = None) -> Any:
    held = [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()]
    return helper.make_graph(list(nodes), "branch", [], [info(output, None)], held)
