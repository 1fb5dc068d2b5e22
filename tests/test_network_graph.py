"""Graphs: order, names, printing, pickling; and a graph run node by node."""

from __future__ import annotations

import pickle
import subprocess
import sys

import numpy as np
import pytest

from convlite.network.graph import Graph, Node, Value, described_shape, frozen_array
from convlite.network.interpret import interpret, interpreted

FLOAT = np.dtype(np.float32)
X = Value("x", FLOAT, ("N", 3))


def chain(*nodes: Node, outputs: str = "y") -> Graph:
    return Graph.of([X], [Value(outputs, FLOAT, None)], nodes, {"two": np.float32(2)})


def test_nodes_are_sorted_where_they_must_and_kept_where_they_may() -> None:
    late, early = Node("relu", ("a",), ("y",)), Node("neg", ("x",), ("a",))
    assert chain(late, early).nodes == (early, late)
    first, second = Node("neg", ("x",), ("a",)), Node("relu", ("x",), ("y",))
    assert chain(first, second).nodes == (first, second)
    assert chain(second, first).nodes == (second, first)


def test_a_long_chain_written_backwards_is_sorted() -> None:
    count = 3000
    nodes = [Node("neg", (f"v{i}",), (f"v{i + 1}",)) for i in range(count)]
    graph = Graph.of([Value("v0", FLOAT, (1,))], [Value(f"v{count}", FLOAT, (1,))], nodes[::-1])
    assert list(graph.nodes) == nodes


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([Node("neg", ("x",), ("x",))], "'x' is written twice"),
        ([Node("neg", ("x",), ("y",)), Node("neg", ("x",), ("y",))], "'y' is written twice, the second time"),
        ([Node("neg", ("x",), ("two",))], "'two' is written twice"),
        ([Node("split", ("x",), ("y", "y"))], "'y' is written twice"),
        ([Node("neg", ("missing",), ("y",))], "'missing' is read by .* but nothing writes it"),
        ([Node("neg", ("y",), ("y",))], "cycle through 'y'"),
        ([Node("neg", ("b",), ("y",)), Node("neg", ("y",), ("b",))], "cycle through"),
        ([Node("neg", ("x",), ("z",))], "nothing writes the output 'y'"),
    ],
)
def test_malformed_graphs_are_refused(nodes: list[Node], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        chain(*nodes)


def test_an_input_that_is_also_a_constant_is_refused() -> None:
    with pytest.raises(ValueError, match="'x' is written twice"):
        Graph.of([X], [X], [], {"x": np.zeros(3)})
    with pytest.raises(ValueError, match="'x' is written twice"):
        Graph.of([X, X], [X], [])


def test_outputs_nobody_asks_for_have_no_name() -> None:
    graph = chain(
        Node("split", ("x",), ("", "y", ""), {"axis": 1, "num_outputs": 3}), Node("neg", ("x",), ("",))
    )
    assert interpret(graph, [np.float32([[1, 2, 3]])])[0].tolist() == [[2]]


def test_printing() -> None:
    graph = chain(Node("mul", ("x", "two"), ("a",), label="Mul_1"), Node("clip", ("a", "", "two"), ("y", "")))
    assert str(graph).splitlines() == [
        "network network(x: float32(N, 3))",
        "  two = constant float32()",
        "  a = mul(x, two)",
        "  y, _ = clip(a, _, two)",
        "  return y: float32(...)",
    ]
    inner = Node("if_", ("x",), ("y",), {"then_branch": graph, "values": np.arange(9)})
    assert str(inner) == "y = if_(x, then_branch=<network network: 2 nodes>, values=<int64(9,)>)"
    assert described_shape((None, "N", 2)) == "(?, N, 2)"


def test_graphs_pickle_and_stay_frozen() -> None:
    graph = chain(Node("transpose", ("x",), ("y",), {"perm": (1, 0)}, "label"))
    again = pickle.loads(pickle.dumps(graph))
    assert again.nodes == graph.nodes
    assert again.inputs == graph.inputs
    assert str(again) == str(graph)
    for held in (graph, again):
        with pytest.raises(ValueError, match="read-only"):
            held.constants["two"][...] = 3
        with pytest.raises(TypeError):
            held.constants["three"] = np.zeros(1)  # type: ignore[index]
        with pytest.raises(TypeError):
            held.nodes[0].attributes["perm"] = (0, 1)  # type: ignore[index]
    array = np.zeros(3)
    assert frozen_array(array).base is array
    assert frozen_array(view := frozen_array(array)) is view


def test_who_reads_and_who_writes() -> None:
    inner = chain(Node("neg", ("x",), ("y",)))
    deep = Graph.of([X], [X], [Node("if_", ("x",), ("z",), {"then_branch": inner})])
    graph = chain(
        Node("mul", ("x", "x"), ("a",)),
        Node("add", ("a", "two"), ("y",)),
        Node("if_", ("a",), ("b",), {"g": deep}),
    )
    assert graph.uses() == {"x": [0, 0], "a": [1, 2], "two": [1], "y": [-1]}
    assert graph.producers()["y"].kind == "add"
    assert list(graph.subgraphs()) == [deep, inner]


def test_the_interpreter_takes_inputs_by_name_and_by_place() -> None:
    graph = chain(Node("mul", ("x", "two"), ("a",)), Node("relu", ("a",), ("y",)))
    x = np.float32([[-1, 0, 2]])
    for inputs in ([x], {"x": x}):
        (y,) = interpret(graph, inputs)
        np.testing.assert_array_equal(y, np.float32([[0, 0, 4]]), strict=True)
    assert set(interpreted(graph, [x])) == {"x", "two", "a", "y"}


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([], r"takes 1 inputs \['x'\], not 0"),
        ({"z": np.zeros((1, 3), FLOAT)}, r"takes the inputs \['x'\], not \['z'\]"),
        ([np.zeros((1, 3))], r"'x' must be float32\(N, 3\), not float64\(1, 3\)"),
        ([np.zeros((1, 4), FLOAT)], r"'x' must be float32\(N, 3\), not float32\(1, 4\)"),
        ([np.zeros(3, FLOAT)], r"'x' must be float32\(N, 3\), not float32\(3,\)"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(inputs: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        interpret(chain(Node("neg", ("x",), ("y",))), inputs)  # type: ignore[arg-type]


def test_a_name_of_a_size_is_one_size() -> None:
    z = Value("z", FLOAT, ("N",))
    graph = Graph.of([X, z], [X], [])
    with pytest.raises(ValueError, match=r"'z' must be float32\(N,\) with N = 2, not float32\(3,\)"):
        interpret(graph, [np.zeros((2, 3), FLOAT), np.zeros(3, FLOAT)])


def test_errors_of_the_interpreter_name_the_node() -> None:
    graph = chain(Node("reshape", ("x", "two"), ("y",), {"allowzero": False}, "/head/Reshape"))
    with pytest.raises(ValueError, match=r"node '/head/Reshape' \(reshape\)"):
        interpret(graph, [np.zeros((1, 3), FLOAT)])
    graph = chain(Node("relu", ("x",), ("y", "z"), {}, "two outputs"))
    with pytest.raises(ValueError, match=r"node 'two outputs' \(relu\): it has 1 outputs, not 2"):
        interpret(graph, [np.zeros((1, 3), FLOAT)])


def test_importing_convlite_leaves_the_vocabulary_out() -> None:
    script = (
        "import sys, convlite; print([name for name in sys.modules if name.startswith('convlite.network.')])"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "convlite.network.kinds" not in run.stdout


def test_the_interpreter_refuses_what_numpy_would_broadcast() -> None:
    """A bias of one number for four channels, and a first state for one sequence of two."""
    attributes = {"activation": None}
    node = Node("dense", ("x", "k", "b"), ("y",), attributes, "fc")
    constants = {"k": np.zeros((3, 4), FLOAT), "b": np.zeros(1, FLOAT)}
    graph = Graph.of([X], [Value("y", FLOAT, None)], [node], constants)
    with pytest.raises(ValueError, match=r"node 'fc' \(dense\): bias must have size 4, not 1"):
        interpret(graph, [np.zeros((2, 3), FLOAT)])
    how = {"direction": "forward", "hidden_size": 1, "activations": ("tanh",), "clip": None, "layout": 0}
    names = ("x", "w", "r", "", "", "h")
    constants = {
        "w": np.zeros((1, 1, 3), FLOAT),
        "r": np.zeros((1, 1, 1), FLOAT),
        "h": np.zeros((1, 1, 1), FLOAT),
    }
    x = Value("x", FLOAT, (5, 2, 3))
    graph = Graph.of([x], [Value("y", FLOAT, None)], [Node("rnn", names, ("y",), how, "cell")], constants)
    with pytest.raises(
        ValueError, match=r"node 'cell' \(rnn\): an axis of a first state must have size 2, not 1"
    ):
        interpret(graph, [np.zeros((5, 2, 3), FLOAT)])
