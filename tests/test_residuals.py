"""Residuals that a convolution adds itself: where the pass puts them, and the separate addition's bits."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from network_examples import CONV, F, numbers
from test_network_passes import value

import convlite as cl
from convlite import Network
from convlite.network import executor
from convlite.network.graph import Graph, Node, Value
from convlite.network.infer import facts_of
from convlite.network.interpret import interpret
from convlite.network.passes import fuse_residuals
from convlite.network.summary import kind_shown

SAME = {**CONV, "padding": "same", "activation": None}


def kinds(graph: Graph) -> list[str]:
    return [kind_shown(node) for node in graph.nodes]


def block(
    shape: tuple[int, ...],
    kernel: tuple[int, ...],
    first: Any = None,
    last: Any = None,
    dtype: Any = F,
    turned: bool = False,
    **options: Any,
) -> tuple[Graph, tuple[np.ndarray, ...]]:
    """last(first(conv(x) + bias) + r) with r an input as well; what it is called with."""
    dtype = np.dtype(dtype)
    weights, bias = numbers(1, *kernel).astype(dtype), numbers(2, kernel[-1]).astype(dtype)
    conv = Node("conv", ("x", "k", "b"), ("c",), {**SAME, **options, "activation": first})
    add = Node("add", ("r", "c") if turned else ("c", "r"), ("y",), {"activation": last})
    x = numbers(3, *shape).astype(dtype)
    half = Graph.of([Value("x", dtype, shape)], [Value("c", dtype, None)], [conv], {"k": weights, "b": bias})
    size = facts_of(half)["c"].shape
    assert size is not None
    inputs = [Value("x", dtype, shape), Value("r", dtype, size)]
    graph = Graph.of(inputs, [Value("y", dtype, size)], [conv, add], {"k": weights, "b": bias})
    return graph, (x, numbers(4, *size).astype(dtype))


def apart(monkeypatch: pytest.MonkeyPatch, graph: Graph, inputs: Any) -> np.ndarray:
    """The result with the addition as a step of its own."""
    with monkeypatch.context() as patch:
        patch.setattr(executor, "fuse_residuals", lambda graph, facts: graph)
        return Network(graph)(*inputs)


# ---- the pass ----


@pytest.mark.parametrize("why", ["alone", "output", "two readers", "twice", "broadcast", "dtype", "slopes"])
def test_a_conv_takes_what_is_added_to_it_alone(why: str) -> None:
    slopes = ("prelu", numbers(9, 4)) if why == "slopes" else None
    nodes = [
        Node("conv", ("x", "k"), ("c",), {**SAME, "activation": slopes}),
        Node("add", ("c", "c" if why == "twice" else "r"), ("y",), {"activation": slopes}),
    ]
    outputs = [value("y", 1, 5, 5, 4)]
    if why == "output":
        outputs.append(value("c", 1, 5, 5, 4))
    if why == "two readers":
        nodes.append(Node("neg", ("c",), ("z",)))
        outputs.append(value("z", 1, 5, 5, 4))
    shape = (1, 1, 1, 4) if why == "broadcast" else (1, 5, 5, 4)
    graph = Graph.of(
        [value("x", 1, 5, 5, 3), value("r", *shape)], outputs, nodes, {"k": numbers(1, 3, 3, 3, 4)}
    )
    facts = facts_of(graph)
    if why == "dtype":
        facts = {**facts, "r": type(facts["r"])(np.dtype("float64"), shape)}
    found = fuse_residuals(graph, facts)
    assert kinds(found) == (["conv + add"] if why == "alone" else kinds(graph))
    if why == "alone":
        assert found.nodes[0].inputs == ("x", "k", "", "r")
        inputs = numbers(5, 1, 5, 5, 3), numbers(6, *shape)
        np.testing.assert_array_equal(interpret(found, inputs)[0], interpret(graph, inputs)[0])


def test_of_two_convs_the_later_takes_the_sum() -> None:
    nodes = [
        Node("conv", ("x", "k"), ("a",), SAME),
        Node("conv", ("x", "k"), ("b",), {**SAME, "activation": ("tanh",)}),
        Node("conv", ("b", "l"), ("c",), SAME),
        Node("add", ("c", "a"), ("d",), {"activation": ("relu",)}),
        Node("conv", ("d", "l"), ("e",), SAME),
        Node("add", ("d", "e"), ("y",), {"activation": None}),
    ]
    constants = {"k": numbers(1, 3, 3, 3, 4), "l": numbers(2, 1, 1, 4, 4)}
    graph = Graph.of([value("x", 2, 5, 6, 3)], [value("y", 2, 5, 6, 4)], nodes, constants)
    found = fuse_residuals(graph, facts_of(graph))
    assert kinds(found) == ["conv", "conv + tanh", "conv + add + relu", "conv + add"]
    x = numbers(3, 2, 5, 6, 3)
    np.testing.assert_array_equal(interpret(found, [x])[0], interpret(graph, [x])[0])
    np.testing.assert_allclose(Network(graph)(x), interpret(graph, [x])[0], rtol=1e-4, atol=1e-4)


def test_a_residual_block_is_two_steps_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    nodes = [
        Node("conv", ("x", "k"), ("a",), {**SAME, "activation": ("relu",)}),
        Node("conv", ("a", "k"), ("b",), SAME),
        Node("add", ("b", "x"), ("c",), {"activation": None}),
        Node("relu", ("c",), ("y",)),
    ]
    graph = Graph.of(
        [value("x", "n", 8, 8, 4)], [value("y", "n", 8, 8, 4)], nodes, {"k": numbers(1, 3, 3, 4, 4)}
    )
    net, x = Network(graph), numbers(2, 1, 8, 8, 4)
    net(x)
    assert [row.kind for row in net.profile(x).rows] == ["conv + relu", "conv + add + relu"]
    net.summary()
    assert re.search(r"conv \+ add \+ relu .* conv2d", capsys.readouterr().out)


# ---- values and bits: each form ----

FORMS: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "strided": ((2, 9, 17, 5), (3, 3, 5, 33), {}),
    "strided 1x1": ((2, 7, 14, 20), (1, 1, 20, 40), {}),
    "stride 2": ((1, 9, 23, 8), (3, 3, 8, 16), {"strides": (2, 2)}),
    "one vector": ((1, 5, 29, 8), (3, 3, 8, 8), {}),
    "one vector beside two": ((1, 5, 24, 8), (1, 3, 8, 23), {}),
    "gathered": ((3, 3, 3, 7), (3, 3, 7, 19), {"dilations": (2, 2)}),
    "sections": ((1, 4, 4, 1100), (3, 3, 1100, 18), {}),
    "cut": ((1, 7, 7, 256), (3, 3, 256, 32), {}),
    "groups": ((2, 6, 9, 32), (3, 3, 16, 34), {"groups": 2}),
    "lanewise groups": ((2, 6, 9, 8), (3, 3, 2, 12), {"groups": 4}),
    "lines": ((2, 7, 15, 33), (3, 3, 1, 33), {"groups": 33}),
    "lines 2": ((1, 8, 16, 192), (5, 5, 1, 192), {"groups": 192, "strides": (2, 2)}),
    "wide lines": ((2, 9, 15, 33), (7, 7, 1, 33), {"groups": 33}),
    "columns": ((2, 15, 9, 33), (7, 1, 1, 33), {"groups": 33}),
    "depthwise": ((2, 7, 9, 6), (3, 3, 1, 12), {"groups": 6, "dilations": (2, 3)}),
    "few channels": ((1, 12, 40, 3), (5, 5, 3, 2), {}),
    "tall and skinny": ((1, 12, 40, 32), (1, 1, 32, 4), {}),
    "a row": ((2, 31, 6), (3, 6, 20), {"strides": (1,), "dilations": (1,)}),
    "one pixel": ((1, 1, 1, 24), (1, 1, 24, 40), {}),
}


@pytest.fixture(params=["exact", "fast"])
def precision(request: pytest.FixtureRequest) -> Iterator[str]:
    with cl.precision(request.param):
        yield request.param


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("first", "last"),
    [
        (None, None),
        (None, ("relu",)),
        (("silu",), None),
        (("relu6",), ("tanh",)),
        (("prelu", 0.2), ("relu",)),
        (("leaky_relu", 0.3), ("prelu", 0.2)),
    ],
)
def test_the_bits_are_those_of_two_steps(
    monkeypatch: pytest.MonkeyPatch,
    isa: str,
    dtype: np.dtype,
    precision: str,
    form: str,
    first: Any,
    last: Any,
) -> None:
    shape, kernel, options = FORMS[form]
    slopes = ("prelu", numbers(8, kernel[-1]).astype(dtype))
    first, last = (slopes if act == ("prelu", 0.2) else act for act in (first, last))
    graph, inputs = block(shape, kernel, first, last, dtype, turned=form == "cut", **options)
    got = Network(graph)(*inputs)
    assert got.tobytes() == apart(monkeypatch, graph, inputs).tobytes()
    scale = np.sqrt(np.prod(kernel[:-1]))
    tolerance = (1e-5 if dtype == np.float32 else 1e-13) * (10 if precision == "fast" else 1) * scale
    np.testing.assert_allclose(got, interpret(graph, inputs)[0], rtol=tolerance, atol=tolerance)


def test_winograds_form_adds(monkeypatch: pytest.MonkeyPatch, isa: str) -> None:
    graph, inputs = block((2, 21, 23, 64), (3, 3, 64, 72), ("silu",), ("relu",))
    with cl.precision("fast"):
        net = Network(graph)
        got = net(*inputs)
        assert got.tobytes() == apart(monkeypatch, graph, inputs).tobytes()
    np.testing.assert_allclose(got, interpret(graph, inputs)[0], rtol=1e-3, atol=1e-3)


def test_weights_that_are_not_finite(monkeypatch: pytest.MonkeyPatch, isa: str) -> None:
    graph, inputs = block((1, 5, 6, 3), (3, 3, 3, 20), None, ("relu",))
    weights = graph.constants["k"].copy()
    weights[0, 1, 2, 3], weights[1, 1, 0, 17] = np.inf, np.nan
    graph = graph.with_(constants={**graph.constants, "k": weights})
    with np.errstate(all="ignore"):
        got, want = Network(graph)(*inputs), interpret(graph, inputs)[0]
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(got, apart(monkeypatch, graph, inputs))


# ---- a residual of fewer channels ----


def padded_block(
    shape: tuple[int, ...],
    kernel: tuple[int, ...],
    channels: int,
    last: Any = None,
    dtype: Any = F,
    first: Any = None,
    **options: Any,
) -> tuple[Graph, tuple[np.ndarray, ...]]:
    """last(first(conv(x)) + r), where r has so many channels and zeros in place of the others."""
    graph, (x, r) = block(shape, kernel, first, last, dtype, **options)
    r = np.ascontiguousarray(r[..., :channels])
    missing = np.array([0] * (2 * r.ndim - 1) + [kernel[-1] - channels])
    pad = Node("pad", ("r", "pads"), ("p",), {"mode": "constant"})
    conv, add = graph.nodes
    inputs = (graph.inputs[0], Value("r", r.dtype, r.shape))
    constants = {**graph.constants, "pads": missing}
    nodes = (conv, pad, add.with_(inputs=("c", "p")))
    return Graph.of(inputs, graph.outputs, nodes, constants), (x, r)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("last", [None, ("relu",), ("prelu", 0.2), ("silu",)])
def test_channels_that_a_residual_lacks_are_zeros(
    monkeypatch: pytest.MonkeyPatch, isa: str, dtype: np.dtype, form: str, last: Any
) -> None:
    shape, kernel, options = FORMS[form]
    if last == ("prelu", 0.2):
        last = ("prelu", numbers(8, kernel[-1]).astype(dtype))
    for channels in {1, kernel[-1] // 2, kernel[-1] - 1} - {0, kernel[-1]}:
        graph, inputs = padded_block(shape, kernel, channels, last, dtype, ("leaky_relu", 0.5), **options)
        found = fuse_residuals(graph, facts_of(graph))
        assert [node.kind for node in found.nodes] == ["conv"]
        np.testing.assert_allclose(interpret(found, inputs)[0], interpret(graph, inputs)[0], 3e-7, 3e-7)
        got = Network(graph)(*inputs)
        assert got.tobytes() == apart(monkeypatch, graph, inputs).tobytes()
        tolerance = (1e-5 if dtype == np.float32 else 1e-13) * np.sqrt(np.prod(kernel[:-1]))
        np.testing.assert_allclose(got, interpret(graph, inputs)[0], rtol=tolerance, atol=tolerance)


def test_winograds_form_adds_fewer_channels(monkeypatch: pytest.MonkeyPatch, isa: str) -> None:
    graph, inputs = padded_block((2, 21, 23, 64), (3, 3, 64, 72), 41, ("relu",))
    with cl.precision("fast"):
        got = Network(graph)(*inputs)
        assert got.tobytes() == apart(monkeypatch, graph, inputs).tobytes()
    np.testing.assert_allclose(got, interpret(graph, inputs)[0], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("why", ["output", "two readers", "in front", "not zero", "reflected"])
def test_channels_that_are_not_zeros_behind_stay_a_step(why: str) -> None:
    graph, inputs = padded_block((1, 5, 17, 6), (1, 1, 6, 20), 12)
    conv, pad, add = graph.nodes
    constants = dict(graph.constants)
    if why == "output":
        graph = graph.with_(outputs=(*graph.outputs, Value("p", np.dtype(F), (1, 5, 17, 20))))
    if why == "two readers":
        graph = graph.with_(
            nodes=(*graph.nodes, Node("neg", ("p",), ("z",))),
            outputs=(*graph.outputs, value("z", 1, 5, 17, 20)),
        )
    if why == "in front":
        constants["pads"] = np.array([0, 0, 0, 8, 0, 0, 0, 0])
    if why == "not zero":
        constants["fill"] = np.array(0.5, F)
        graph = graph.with_(nodes=(conv, pad.with_(inputs=("r", "pads", "fill")), add))
    if why == "reflected":
        graph = graph.with_(nodes=(conv, pad.with_(attributes={"mode": "reflect"}), add))
    graph = graph.with_(constants=constants)
    found = fuse_residuals(graph, facts_of(graph))
    assert "pad" in [node.kind for node in found.nodes]
    got, want = Network(graph)(*inputs), interpret(graph, inputs)
    for one, other in zip(got if isinstance(got, tuple) else (got,), want, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


def test_fewer_channels_out_of_a_split_into_a_concat(monkeypatch: pytest.MonkeyPatch, isa: str) -> None:
    """The residual is some channels of a larger array, and so is the output."""
    nodes = [
        Node("conv", ("x", "k"), ("a",), {**SAME, "activation": ("silu",)}),
        Node("split", ("a", "sizes"), ("l", "r"), {"axis": -1}),
        Node("conv", ("a", "m"), ("c",), {**SAME, "activation": None}),
        Node("pad", ("r", "pads"), ("p",), {"mode": "constant"}),
        Node("add", ("p", "c"), ("s",), {"activation": ("relu",)}),
        Node("concat", ("l", "s"), ("y",), {"axis": -1}),
    ]
    constants = {
        "k": numbers(1, 1, 1, 12, 32),
        "m": numbers(2, 3, 3, 32, 24),
        "sizes": np.array([16, 16]),
        "pads": np.array([0, 0, 0, 0, 0, 0, 0, 8]),
    }
    graph = Graph.of([value("x", 2, 9, 17, 12)], [value("y", 2, 9, 17, 40)], nodes, constants)
    x = numbers(3, 2, 9, 17, 12)
    got = Network(graph)(x)
    np.testing.assert_allclose(got, interpret(graph, [x])[0], rtol=1e-4, atol=1e-4)
    assert got.tobytes() == apart(monkeypatch, graph, [x]).tobytes()


@pytest.mark.parametrize("form", ["strided", "cut", "sections", "lines 2", "groups"])
def test_neither_threads_nor_batch_show(form: str, threads: int, precision: str) -> None:
    shape, kernel, options = FORMS[form]
    graph, (x, r) = block((4, *shape[1:]), kernel, None, ("relu",), **options)
    free = [Value(v.name, v.dtype, ("n", *(v.shape or ())[1:])) for v in (*graph.inputs, *graph.outputs)]
    net = Network(graph.with_(inputs=tuple(free[:2]), outputs=tuple(free[2:])))
    whole = net(x, r)
    with cl.num_threads(1):
        alone = np.concatenate([net(x[i : i + 1], r[i : i + 1]) for i in range(4)])
    assert whole.tobytes() == alone.tobytes()


def test_a_sum_that_lies_in_a_concat(monkeypatch: pytest.MonkeyPatch, isa: str) -> None:
    """The residual is some channels of a split, the output some of a concat: they lie differently."""
    nodes = [
        Node("conv", ("x", "k"), ("a",), {**SAME, "activation": ("silu",)}),
        Node("split", ("a", "sizes"), ("l", "r"), {"axis": -1}),
        Node("conv", ("r", "m"), ("c",), {**SAME, "activation": ("silu",)}),
        Node("add", ("r", "c"), ("s",), {"activation": None}),
        Node("concat", ("l", "r", "s"), ("y",), {"axis": -1}),
    ]
    constants = {"k": numbers(1, 1, 1, 12, 32), "m": numbers(2, 3, 3, 16, 16), "sizes": np.array([16, 16])}
    graph = Graph.of([value("x", 2, 9, 17, 12)], [value("y", 2, 9, 17, 48)], nodes, constants)
    x = numbers(3, 2, 9, 17, 12)
    got = Network(graph)(x)
    np.testing.assert_allclose(got, interpret(graph, [x])[0], rtol=1e-4, atol=1e-4)
    assert got.tobytes() == apart(monkeypatch, graph, [x]).tobytes()


@given(st.data())
def test_any_geometry(data: st.DataObject) -> None:
    pick = data.draw
    size = st.integers(1, 19)
    groups = pick(st.sampled_from([1, 1, 2, 5]))
    cin, cout = groups * pick(st.integers(1, 9)), groups * pick(st.integers(1, 20))
    shape = (pick(st.integers(1, 3)), pick(size), pick(size), cin)
    taps = pick(st.integers(1, 5)), pick(st.integers(1, 5))
    options = {
        "groups": groups,
        "strides": (pick(st.integers(1, 3)), pick(st.integers(1, 3))),
        "dilations": (pick(st.integers(1, 2)), pick(st.integers(1, 2))),
    }
    acts = st.sampled_from([None, ("relu",), ("silu",), ("leaky_relu", 0.1), ("hard_swish",)])
    graph, inputs = block(shape, (*taps, cin // groups, cout), pick(acts), pick(acts), **options)
    with cl.precision(pick(st.sampled_from(["exact", "fast"]))):
        got = Network(graph)(*inputs)
        with pytest.MonkeyPatch.context() as patch:
            assert got.tobytes() == apart(patch, graph, inputs).tobytes()
    np.testing.assert_allclose(got, interpret(graph, inputs)[0], rtol=1e-3, atol=1e-3)
