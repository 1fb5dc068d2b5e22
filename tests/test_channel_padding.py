"""Padding of the last axis as a step of its own: values around channels, of any rank."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from network_examples import numbers

from convlite import Network
from convlite.network.graph import Graph, Node, Value
from convlite.network.interpret import interpret


@pytest.mark.parametrize("shape", [(1, 9, 17, 16), (2, 3, 5), (7, 3), (2, 1, 3, 1)])
@pytest.mark.parametrize(("before", "after"), [(0, 16), (2, 1), (5, 0), (0, 0)])
@pytest.mark.parametrize("value", [0, -1.5])
def test_channels_are_put_beside_constants(
    shape: tuple[int, ...], before: int, after: int, value: float, dtype: np.dtype[Any], threads: int
) -> None:
    x, zeros = numbers(1, *shape).astype(dtype), [0] * (len(shape) - 1)
    size = (*shape[:-1], shape[-1] + before + after)
    nodes = [
        Node("neg", ("x",), ("t",)),
        Node("pad", ("t", "pads", "value"), ("u",), {"mode": "constant"}),
        Node("relu", ("u",), ("y",)),
        Node("neg", ("t",), ("z",)),
    ]
    constants = {"pads": np.array([*zeros, before, *zeros, after]), "value": np.array(value, dtype)}
    ends = [Value("y", dtype, size), Value("u", dtype, size), Value("z", dtype, shape)]
    graph = Graph.of([Value("x", dtype, shape)], ends, nodes, constants)
    for got, want in zip(Network(graph)(x), interpret(graph, [x]), strict=True):
        np.testing.assert_array_equal(got, want)
