"""Each pass on graphs written by hand: the same values, and the graph that it is for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from network_examples import CONV, REDUCE, F, numbers

from convlite.network.graph import Graph, Node, Value
from convlite.network.infer import facts_of
from convlite.network.interpret import interpret
from convlite.network.passes import PASSES, channels_last_ends, optimised

FIRST, LAST = (0, 3, 1, 2), (0, 2, 3, 1)
PLAIN = {**CONV, "padding": ((0, 0), (0, 0))}
FLAT = {"activation": None}
KEEP = {"keepdims": True, "noop_with_empty_axes": False}


def value(name: str, *shape: int | str, dtype: Any = F) -> Value:
    return Value(name, np.dtype(dtype), shape)


def turn(x: str, y: str, perm: tuple[int, ...]) -> Node:
    return Node("transpose", (x,), (y,), {"perm": perm})


def around(kind: str, inputs: tuple[str, ...], output: str, attributes: dict[str, Any]) -> list[Node]:
    """A channels-last node in a channels-first file."""
    inner = Node(kind, (f"{output}.i", *inputs[1:]), (f"{output}.o",), attributes)
    return [turn(inputs[0], f"{output}.i", LAST), inner, turn(f"{output}.o", output, FIRST)]


def changed(graph: Graph, *inputs: Any) -> Graph:
    """The graph after all passes: each keeps the values, the declarations, and the constants it was given."""
    want = interpret(graph, inputs)
    before = {name: array.copy() for name, array in graph.constants.items()}
    now = graph
    for function in PASSES:
        now = function(now, facts_of(now))
        assert now.outputs == graph.outputs
        for found, wanted in zip(interpret(now, inputs), want, strict=True):
            assert found.shape == wanted.shape
            assert found.dtype == wanted.dtype
            np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
    for name, array in before.items():
        np.testing.assert_array_equal(graph.constants[name], array)
    turned = optimised(graph.with_(nodes=_sorted_otherwise(graph)))
    assert sorted(kinds(turned)) == sorted(kinds(now))
    return now


def _sorted_otherwise(graph: Graph) -> tuple[Node, ...]:
    """The same nodes in another order that holds."""
    mixed = Graph.of(graph.inputs, graph.outputs, reversed(graph.nodes), graph.constants)
    return mixed.nodes


def kinds(graph: Graph) -> list[str]:
    return [node.kind for node in graph.nodes]


def chain() -> Graph:
    nodes = [
        *around("conv", ("x", "k"), "c", CONV),
        *around("batch_norm", ("c", "s", "o", "m", "v"), "b", {"epsilon": 1e-3}),
        Node("relu", ("b",), ("r",)),
        *around("conv", ("r", "k2"), "d", CONV),
        Node("add", ("d", "r"), ("a",)),
        Node("concat", ("a", "r"), ("n",), {"axis": 1}),
        *around(
            "max_pool",
            ("n",),
            "p",
            {"kernel": (2, 2), "strides": (2, 2), "padding": ((0, 0), (0, 0)), "dilations": (1, 1)}
            | {"ceil_mode": False},
        ),
        Node("reduce_mean", ("p", "hw"), ("g",), KEEP),
        *around("conv", ("g", "k3"), "e", PLAIN),
        Node("sigmoid", ("e",), ("q",)),
        Node("mul", ("p", "q"), ("t",)),
        Node("flatten", ("t",), ("f",), {"axis": 1}),
        Node("dense", ("f", "w"), ("y",), FLAT),
    ]
    constants = {
        "k": numbers(1, 3, 3, 3, 4), "k2": numbers(2, 3, 3, 4, 4), "k3": numbers(3, 1, 1, 8, 8),
        "s": numbers(4, 4), "o": numbers(5, 4), "m": numbers(6, 4), "v": np.abs(numbers(7, 4)) + 1,
        "hw": np.array([2, 3]), "w": numbers(8, 8 * 3 * 2, 5) / 8,
    }  # fmt: skip
    return Graph.of([value("x", "N", 3, 6, 4)], [value("y", "N", 5)], nodes, constants)


def test_a_channels_first_chain_keeps_one_transpose() -> None:
    x = numbers(9, 2, 3, 6, 4)
    graph = changed(chain(), x)
    assert kinds(graph).count("transpose") == 1
    assert not {"batch_norm", "affine", "relu"} & set(kinds(graph))
    last = channels_last_ends(graph)
    assert "transpose" not in kinds(last)
    assert last.inputs[0].shape == ("N", 6, 4, 3)
    (want,), (got,) = interpret(chain(), [x]), interpret(last, [x.transpose(LAST)])
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


def test_a_channels_last_export_keeps_no_transpose() -> None:
    """PyTorch's file of a channels-last model: transposes at both ends of the whole."""
    nodes = [
        turn("x", "t", FIRST),
        *around("conv", ("t", "k"), "c", CONV),
        Node("relu", ("c",), ("r",)),
        turn("r", "y", LAST),
    ]
    ends = [value("x", "N", 6, 4, 3)], [value("y", "N", 6, 4, 4)]
    graph = changed(Graph.of(*ends, nodes, {"k": numbers(1, 3, 3, 3, 4)}), numbers(2, 2, 6, 4, 3))
    assert kinds(graph) == ["conv"]


BN = ("s", "o", "m", "v")


@pytest.mark.parametrize("kind", ["conv", "conv_transpose", "grouped", "dense"])
@pytest.mark.parametrize("bias", [True, False])
def test_batch_norm_and_chains_fold_into_weights(kind: str, bias: bool) -> None:
    x = numbers(1, 2, 5, 5, 4)
    more = {**PLAIN, "groups": 2 if kind == "grouped" else 1}
    kernel, size = numbers(2, 2, 2, 4 // more["groups"], 6), (4, 4, 6)
    if kind == "dense":
        kernel, size, more = numbers(2, 4, 6), (5, 5, 6), FLAT
    if kind == "conv_transpose":
        more |= {"groups": 2, "output_shape": None, "output_padding": None, "strides": (2, 2)}
        kernel, size = numbers(2, 2, 2, 3, 4), (10, 10, 6)
    inputs = ("x", "k", "b") if bias else ("x", "k")
    nodes = [
        Node("conv" if kind == "grouped" else kind, inputs, ("c",), more),
        Node("batch_norm", ("c", *BN), ("n",), {"epsilon": 1e-3}),
        Node("mul", ("o", "n"), ("p",)),
        Node("sub", ("m", "p"), ("q",)),
        Node("div", ("q", "v"), ("z",)),
        Node("relu", ("z",), ("y",)),
    ]
    constants = {"k": kernel, "b": numbers(3, 6), **{name: numbers(4, 6) for name in BN[:3]}}
    constants["v"] = np.abs(numbers(5, 6)) + 1
    graph = Graph.of([value("x", "N", 5, 5, 4)], [value("y", "N", *size)], nodes, constants)
    graph = changed(graph, x)
    assert len(graph.nodes) == 1
    assert graph.nodes[0].attributes["activation"] == ("relu",)


def test_a_shared_kernel_is_folded_for_one_reader_only() -> None:
    nodes = [
        Node("dense", ("x", "k"), ("a",), FLAT),
        Node("mul", ("a", "s"), ("y",)),
        Node("dense", ("x", "k"), ("z",), FLAT),
    ]
    constants = {"k": numbers(1, 4, 6), "s": numbers(2, 6)}
    graph = Graph.of([value("x", "N", 4)], [value("y", "N", 6), value("z", "N", 6)], nodes, constants)
    assert kinds(changed(graph, numbers(3, 2, 4))) == ["dense", "dense"]


def _scalars(**items: float) -> dict[str, Any]:
    return {name: np.float32(item) for name, item in items.items()}


ACTIVATIONS: dict[str, tuple[list[Node], str]] = {
    "silu": ([Node("sigmoid", ("x",), ("s",)), Node("mul", ("x", "s"), ("y",))], "silu"),
    "hard_sigmoid": (
        [
            Node("hard_sigmoid", ("x",), ("s",), {"alpha": 1 / 6, "beta": 0.5}),
            Node("mul", ("s", "x"), ("y",)),
        ],
        "hard_swish",
    ),
    "hard_swish": (
        [
            Node("add", ("x", "three"), ("a",)),
            Node("clip", ("a", "zero", "six"), ("b",)),
            Node("mul", ("x", "b"), ("c",)),
            Node("div", ("c", "six"), ("y",)),
        ],
        "hard_swish",
    ),
    "gelu": (
        [
            Node("div", ("x", "root"), ("a",)),
            Node("erf", ("a",), ("b",)),
            Node("add", ("b", "one"), ("c",)),
            Node("mul", ("x", "c"), ("d",)),
            Node("mul", ("d", "half"), ("y",)),
        ],
        "gelu",
    ),
    "gelu_tanh": (
        [
            Node("pow", ("x", "three"), ("a",)),
            Node("mul", ("a", "cubic"), ("b",)),
            Node("add", ("x", "b"), ("c",)),
            Node("mul", ("c", "pi"), ("d",)),
            Node("tanh", ("d",), ("e",)),
            Node("add", ("e", "one"), ("f",)),
            Node("mul", ("x", "half"), ("g",)),
            Node("mul", ("g", "f"), ("y",)),
        ],
        "gelu",
    ),
    "gelu_tanh, the constant within": (
        [
            Node("mul", ("cubic", "x"), ("a",)),
            Node("mul", ("x", "a"), ("b",)),
            Node("mul", ("x", "b"), ("c",)),
            Node("add", ("x", "c"), ("d",)),
            Node("mul", ("pi", "d"), ("e",)),
            Node("tanh", ("e",), ("f",)),
            Node("add", ("one", "f"), ("g",)),
            Node("mul", ("half", "g"), ("h",)),
            Node("mul", ("x", "h"), ("y",)),
        ],
        "gelu",
    ),
    "mish": (
        [Node("softplus", ("x",), ("a",)), Node("tanh", ("a",), ("b",)), Node("mul", ("x", "b"), ("y",))],
        "mish",
    ),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("scaled", [False, True])
def test_activations_in_pieces_are_recognised(name: str, scaled: bool) -> None:
    """Also behind a product, whose factors are not the activation's."""
    nodes, kind = ACTIVATIONS[name]
    constants = _scalars(zero=0, half=0.5, one=1, three=3, six=6, root=np.sqrt(2), cubic=0.044715)
    constants |= _scalars(pi=np.sqrt(2 / np.pi), scale=1.7)
    first = [Node("mul", ("w", "scale"), ("x",)) if scaled else Node("abs", ("w",), ("x",))]
    graph = Graph.of([value("w", "N", 8)], [value("y", "N", 8)], first + nodes, constants)
    graph = changed(graph, 3 * numbers(1, 4, 8))
    names = kinds(graph) + [
        entry[0] for node in graph.nodes if (entry := node.attributes.get("activation")) is not None
    ]
    wanted = {kind, "gelu_tanh"} if name.startswith("gelu_tanh") else {kind}
    assert wanted & set(names)
    assert len(graph.nodes) <= 2


@pytest.mark.parametrize("kept", [False, True])
def test_what_changes_nothing_goes(kept: bool) -> None:
    """Whole slices, and shapes that are there already; a slice that steps back stays."""
    constants = {
        "first": np.array([0, -1 if kept else 0]), "last": np.array([2**31, -9 if kept else 2**31]),
        "axes": np.array([0, 1]), "steps": np.array([1, -1 if kept else 1]),
        "shape": np.array([0, 8]), "ones": np.array([1, 1]),
    }  # fmt: skip
    nodes = [
        Node("slice", ("x", "first", "last", "axes", "steps"), ("a",)),
        Node("reshape", ("a", "shape"), ("b",), {"allowzero": False}),
        Node("expand", ("b", "ones"), ("c",)),
        Node("abs", ("c",), ("y",)),
    ]
    graph = Graph.of([value("x", "N", 8)], [value("y", "N", 8)], nodes, constants)
    assert kinds(changed(graph, numbers(1, 4, 8))) == (["slice", "abs"] if kept else ["abs"])


@pytest.mark.parametrize(
    ("pads", "fill", "mode", "folds"),
    [
        ((0, 1, 2, 0, 0, 0, 3, 0), 0.0, "constant", True),
        ((0, 1, 2, 0, 0, 0, 3, 0), 1.0, "constant", False),
        ((0, 1, 2, 0, 0, 0, 3, 0), 0.0, "edge", False),
        ((0, 1, 1, 1, 0, 0, 0, 0), 0.0, "constant", False),
        ((1, 1, 1, 0, 0, 0, 0, 0), 0.0, "constant", False),
        ((0, -1, 1, 0, 0, 0, 0, 0), 0.0, "constant", False),
    ],
)
def test_pads_fold_where_they_are_zeros_around_images(pads: Any, fill: float, mode: str, folds: bool) -> None:
    channels = 4 + pads[3] + pads[7]
    inputs = ("x", "p", "f") if mode == "constant" else ("x", "p")
    nodes = [Node("pad", inputs, ("t",), {"mode": mode}), Node("conv", ("t", "k"), ("y",), PLAIN)]
    constants = {"p": np.array(pads), "f": np.float32(fill), "k": numbers(1, 3, 3, channels, 2)}
    graph = Graph.of([value("x", 2, 5, 6, 4)], [Value("y", F, None)], nodes, constants)
    assert ("pad" not in kinds(changed(graph, numbers(2, 2, 5, 6, 4)))) == folds


@pytest.mark.parametrize("why", ["alone", "output", "two readers", "twice"])
def test_activations_fuse_where_nobody_else_reads(why: str) -> None:
    nodes = [Node("dense", ("x", "k"), ("c",), FLAT), Node("tanh", ("c",), ("t",))]
    outputs = [value("t", "N", 6)]
    if why == "output":
        outputs.append(value("c", "N", 6))
    if why == "two readers":
        nodes.append(Node("neg", ("c",), ("z",)))
        outputs.append(value("z", "N", 6))
    if why == "twice":
        nodes.append(Node("relu", ("t",), ("z",)))
        outputs = [value("z", "N", 6)]
    graph = Graph.of([value("x", "N", 4)], outputs, nodes, {"k": numbers(1, 4, 6)})
    graph = changed(graph, numbers(2, 3, 4))
    fused = graph.nodes[0].attributes["activation"]
    assert fused == (("tanh",) if why in ("alone", "twice") else None)


@pytest.mark.parametrize("flag", [True, False])
def test_a_branch_that_is_known_is_put_in_place(flag: bool) -> None:
    a, b = value("a", "N"), value("b", "N")
    ways = {
        "then_branch": Graph.of([a], [b], [Node("mul", ("a", "two"), ("b",))], {"two": np.float32(2)}),
        "else_branch": Graph.of([a], [a], []),
    }
    nodes = [Node("if_", ("c", "x"), ("y",), ways), Node("neg", ("y",), ("z",))]
    graph = Graph.of([value("x", "N")], [value("y", "N"), value("z", "N")], nodes, {"c": np.array(flag)})
    assert "if_" not in kinds(changed(graph, numbers(1, 3)))


def test_outputs_that_are_inputs_constants_or_copies_keep_their_names() -> None:
    nodes = [
        Node("identity", ("x",), ("a",)),
        Node("identity", ("k",), ("b",)),
        Node("neg", ("x",), ("c",)),
        Node("identity", ("c",), ("d",)),
        Node("identity", ("d",), ("e",)),
        turn("x", "f", (0, 1)),
    ]
    outputs = [value(name, 2, 3) for name in ("x", "k", *"abcdef", "e")]
    graph = Graph.of([value("x", 2, 3)], outputs, nodes, {"k": numbers(1, 2, 3)})
    changed(graph, numbers(2, 2, 3))


def test_transposes_sink_through_what_names_axes() -> None:
    nodes = [
        turn("x", "t", FIRST),
        Node("softmax", ("t",), ("a",), {"axis": 1}),
        Node("slice", ("a", "one", "far", "one"), ("b",)),
        Node("split", ("b", "parts"), ("c", "d"), {"axis": 1, "num_outputs": None}),
        Node("pad", ("c", "pads"), ("e",), {"mode": "constant"}),
        Node("concat", ("e", "d"), ("f",), {"axis": 1}),
        Node("unsqueeze", ("f", "two"), ("g",)),
        Node("squeeze", ("g", "two"), ("h",)),
        Node("gather", ("h", "places"), ("i",), {"axis": 3}),
        Node("reduce_max", ("i", "three"), ("y",), REDUCE),
    ]
    constants = {
        "one": np.array([1]), "far": np.array([99]), "parts": np.array([1, 3]), "two": np.array([2]),
        "pads": np.array([0, 1, 0, 0, 0, 1, 0, 0]), "places": np.array([2, 0, -1]), "three": np.array([3]),
    }  # fmt: skip
    graph = Graph.of([value("x", "N", 4, 6, 5)], [Value("y", F, None)], nodes, constants)
    assert kinds(changed(graph, numbers(1, 2, 4, 6, 5))).count("transpose") <= 1
