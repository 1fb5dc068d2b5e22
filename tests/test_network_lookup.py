"""One-hot vectors times a matrix become rows that are picked, and columns of pixels rows: the same bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from network_examples import F

import convlite as cl
from convlite.network.graph import Graph, Node, Value
from convlite.network.interpret import interpret
from convlite.network.passes import optimised

I32 = np.dtype("int32")


def one_hot(
    kind: str, numbers: Any, table: Any, *, ids: tuple[Any, ...] = ("n", 9, 1), swap: bool = False
) -> Graph:
    pair = ("numbers", "ids") if swap else ("ids", "numbers")
    nodes = [Node("equal", pair, ("e",)), Node("cast", ("e",), ("c",), {"dtype": F})]
    inputs, attributes = ("c", "table"), {}
    constants = {"numbers": np.asarray(numbers, I32), "table": table}
    if kind == "dense":
        inputs, attributes = (*inputs, "bias"), {"activation": None}
        constants["bias"] = np.arange(table.shape[1], dtype=F) / 3
    nodes.append(Node(kind, inputs, ("y",), attributes))
    return Graph.of([Value("ids", I32, ids)], [Value("y", F, None)], nodes, constants)


def table(rows: int = 5) -> Any:
    return np.random.default_rng(0).standard_normal((rows, 4), np.float32)


@pytest.mark.parametrize("kind", ["dense", "matmul"])
@pytest.mark.parametrize("swap", [False, True])
def test_rows_are_picked(kind: str, swap: bool) -> None:
    graph = one_hot(kind, np.arange(5).reshape(1, 1, 5), table(), swap=swap)
    found = optimised(graph)
    assert [node.kind for node in found.nodes] == ["squeeze", "clip", "gather"]
    ids = np.array([0, 4, 2, 5, -1, -5, 3, 2**31 - 1, -(2**31)], I32).reshape(1, 9, 1)
    np.testing.assert_array_equal(cl.Network(graph)(ids), interpret(graph, [ids])[0])
    assert cl.Network(graph)(np.zeros((3, 9, 1), I32)).shape == (3, 9, 4)


@pytest.mark.parametrize(
    "graph",
    [
        one_hot("matmul", np.arange(5)[::-1], table()),  # the rows in another order
        one_hot("matmul", [0, 1, 2, 3, 3], table()),  # two rows for one id
        one_hot("matmul", np.arange(5), table() * np.array([[1], [1], [np.inf], [1], [1]], F)),
        one_hot("matmul", np.arange(5), table(), ids=("n", 9, 5)),  # no one-hot: each place has its own id
        one_hot("matmul", np.arange(5), table(), ids=("n", 9, "k")),
        one_hot("matmul", np.arange(5).reshape(1, 1, 1, 5), table()),  # an axis more than the ids
    ],
)
def test_what_is_no_lookup_stays(graph: Graph) -> None:
    assert "gather" not in [node.kind for node in optimised(graph).nodes]


@pytest.mark.parametrize("padding", ["same", ((0, 0), (0, 0)), ((2, 1), (0, 0)), ((2, 1), (0, 1))])
@pytest.mark.parametrize("groups", [1, 2, 6])
@pytest.mark.parametrize("step", [((1, 1), (1, 1)), ((2, 3), (1, 2)), ((1, 1), (2, 1))])
def test_images_one_pixel_wide_have_the_bits_of_the_operation(padding: Any, groups: int, step: Any) -> None:
    rng = np.random.default_rng(1)
    strides, dilations = step
    kernel, bias = rng.standard_normal((5, 1, 6 // groups, 12), F), rng.standard_normal(12, F)
    x = rng.standard_normal((2, 37, 1, 6), F)
    attributes = {"strides": strides, "dilations": dilations, "padding": padding, "groups": groups}
    node = Node("conv", ("x", "k", "b"), ("y",), {**attributes, "activation": ("relu",)})
    graph = Graph.of([Value("x", F, x.shape)], [Value("y", F, None)], [node], {"k": kernel, "b": bias})
    options: dict[str, Any] = {"strides": strides, "dilations": dilations, "padding": padding}
    if groups == 6:
        want = cl.depthwise_conv2d(x, kernel.reshape(5, 1, 6, 2), bias, **options)
    else:
        want = cl.conv2d(x, kernel, bias, groups=groups, **options)
    np.testing.assert_array_equal(cl.Network(graph)(x), np.maximum(want, 0))
