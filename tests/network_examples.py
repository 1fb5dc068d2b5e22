"""Small networks that are written by hand, for tests of what holds them: calls, files, threads, tables."""

from __future__ import annotations

from typing import Any

import numpy as np

from convlite.network.graph import Graph, Node, Value

F = np.dtype("float32")
CONV: dict[str, Any] = {
    "strides": (1, 1),
    "padding": "same",
    "dilations": (1, 1),
    "groups": 1,
    "activation": None,
}
REDUCE = {"keepdims": False, "noop_with_empty_axes": False}


def numbers(seed: int, *shape: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Normal numbers, the same for the same seed."""
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def classifier() -> Graph:
    """Two convolutions, one of them depthwise, a sum, a mean, a dense layer, softmax; free sizes."""
    nodes = [
        Node("conv", ("x", "k", "b"), ("c",), {**CONV, "strides": (2, 2)}, "first"),
        Node("relu", ("c",), ("r",)),
        Node("conv", ("r", "d"), ("e",), {**CONV, "groups": 16}, "depthwise"),
        Node("add", ("e", "r"), ("s",)),
        Node("hard_swish", ("s",), ("h",)),
        Node("reduce_mean", ("h", "axes"), ("m",), REDUCE),
        Node("dense", ("m", "w", "v"), ("z",), {"activation": None}, "last"),
        Node("softmax", ("z",), ("y",), {"axis": -1}),
    ]
    constants = {
        "k": numbers(1, 3, 3, 3, 16), "b": numbers(2, 16), "d": numbers(3, 3, 3, 1, 16),
        "axes": np.array([1, 2]), "w": numbers(4, 16, 10), "v": numbers(5, 10),
    }  # fmt: skip
    return Graph.of(
        [Value("x", F, ("N", "H", "W", 3))], [Value("y", F, ("N", 10))], nodes, constants, name="tiny"
    )


def branching() -> Graph:
    """A branch whose graphs have constants of their own, infinite and array attributes, two outputs."""
    a = Value("a", F, ("N",))
    b = Value("b", F, ("N",))
    twice = Graph.of([a], [b], [Node("mul", ("a", "two"), ("b",))], {"two": np.array(2, F)}, name="twice")
    less = Graph.of([a], [b], [Node("neg", ("a",), ("b",))], name="less")
    nodes = [
        Node("if_", ("flag", "x"), ("p",), {"then_branch": twice, "else_branch": less}),
        Node("cast", ("p",), ("q",), {"dtype": np.dtype(np.float64)}),
        Node("clip", ("p", "", "top"), ("r",)),
        Node("elu", ("r",), ("y",), {"alpha": float("inf")}),
    ]
    inputs = [Value("flag", np.dtype(bool), ()), Value("x", F, ("N",))]
    outputs = [Value("y", F, ("N",)), Value("q", np.dtype("float64"), ("N",))]
    return Graph.of(inputs, outputs, nodes, {"top": np.array(3, F)}, name="branching")


def channels_first() -> Graph:
    """A convolution between transposes, as files with channels first hold it."""
    nodes = [
        Node("transpose", ("x",), ("t",), {"perm": (0, 2, 3, 1)}),
        Node("conv", ("t", "k"), ("c",), CONV),
        Node("transpose", ("c",), ("y",), {"perm": (0, 3, 1, 2)}),
    ]
    ends = [Value("x", F, ("N", 3, 8, 8))], [Value("y", F, ("N", 4, 8, 8))]
    return Graph.of(*ends, nodes, {"k": numbers(6, 3, 3, 3, 4)}, name="channels_first")
