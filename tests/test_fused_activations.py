"""The attribute `activation` of nodes: what it may be, and that all who read it agree."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from network_examples import CONV, numbers

from convlite import Network
from convlite.network.graph import Graph, Node, Value
from convlite.network.interpret import interpret
from convlite.network.kinds.elementwise import FUSED

F = np.dtype("float32")
TRANSPOSED = {**CONV, "output_shape": None, "output_padding": None}
NODES: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "conv": (("x", "kernel"), CONV),
    "conv_transpose": (("x", "turned"), TRANSPOSED),
    "dense": (("x", "matrix"), {}),
    "affine": (("x", "vector", "vector"), {}),
    "add": (("x", "image"), {}),
    "mul": (("x", "image"), {}),
}
CONSTANTS = {
    "kernel": numbers(1, 3, 3, 2, 2), "turned": numbers(2, 3, 3, 2, 2), "matrix": numbers(3, 2, 2),
    "vector": numbers(4, 2), "image": numbers(5, 1, 5, 5, 2),
}  # fmt: skip
PARAMETERS: dict[str, tuple[Any, ...]] = {
    "leaky_relu": (0.1,),
    "elu": (0.5,),
    "prelu": (np.array([0.25, -2.0]),),
}


def graph(kind: str, activation: Any) -> Graph:
    inputs, attributes = NODES[kind]
    node = Node(kind, inputs, ("y",), {**attributes, "activation": activation}, "here")
    used = {name: CONSTANTS[name] for name in inputs if name in CONSTANTS}
    return Graph.of([Value("x", F, (1, 5, 5, 2))], [Value("y", F, (1, 5, 5, 2))], [node], used)


@pytest.mark.parametrize("kind", NODES)
@pytest.mark.parametrize("name", FUSED)
def test_they_run_as_they_are_defined(kind: str, name: str) -> None:
    x = numbers(6, 1, 5, 5, 2)
    made = graph(kind, (name, *PARAMETERS.get(name, ())))
    (wanted,) = interpret(made, [x])
    np.testing.assert_allclose(Network.of_optimised(made)(x), wanted, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("kind", NODES)
def test_a_name_alone_will_do(kind: str) -> None:
    x = numbers(6, 1, 5, 5, 2)
    alone, listed = (Network.of_optimised(graph(kind, given)) for given in ("relu", ("relu",)))
    np.testing.assert_array_equal(alone(x), listed(x))
    assert f"{kind} + relu" in str(alone)
    np.testing.assert_array_equal(Network(graph(kind, "relu"))(x), listed(x))


@pytest.mark.parametrize("kind", NODES)
@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("softmax", "there is no fused activation 'softmax'; there are elu, exponential"),
        ("", "there is no fused activation ''"),
        ((), r"activation must be None, a name or \(name, \*parameters\), not \(\)"),
        (5, r"activation must be None, a name or \(name, \*parameters\), not 5"),
        ((1, 2), "activation must be None, a name or"),
        (("relu", 3), "activation 'relu' has 0 parameters, not 1"),
        ("leaky_relu", "activation 'leaky_relu' has 1 parameters, not 0"),
        (("elu", "a"), "activation 'elu' has a parameter that is no number: 'a'"),
        (("elu", [1.0, 2.0]), "activation 'elu' has a parameter that is no number"),
        (("prelu", [1.0, 2.0, 3.0]), "activation 'prelu' has 3 slopes for 2 channels"),
        (("prelu", None), "activation 'prelu' has a parameter that is no number"),
    ],
)
def test_anything_else_is_refused_in_words(kind: str, given: Any, reason: str) -> None:
    made, x = graph(kind, given), CONSTANTS["image"]
    for run in (lambda: Network(made), lambda: interpret(made, [x])):
        with pytest.raises(ValueError, match=rf"^node 'here' \({kind}\): {reason}"):
            run()
