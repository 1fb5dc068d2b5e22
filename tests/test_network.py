"""Network: calls, threads, processes, tables, pictures. Its files: tests/test_network_file.py."""

from __future__ import annotations

import copy
import json
import multiprocessing
import os
import pickle
import re
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from network_examples import F, branching, channels_first, classifier, numbers

import convlite as cl
from convlite.network.graph import Graph, Node, Value
from convlite.network.interpret import interpret

X = numbers(9, 5, 12, 16, 3)


@pytest.fixture(scope="module")
def net() -> cl.Network:
    return cl.Network(classifier())


def test_values_are_the_interpreters(net: cl.Network) -> None:
    (want,) = interpret(classifier(), [X])
    np.testing.assert_allclose(net(X), want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_the_same_bits_for_any_batch_and_threads(net: cl.Network, threads: int) -> None:
    want = net(X)
    with cl.num_threads(threads):
        for size in (1, 2, 5):
            got = np.concatenate([net(X[start : start + size]) for start in range(0, 5, size)])
            assert got.tobytes() == want.tobytes()


def test_sixteen_threads_call_one_network() -> None:
    net = cl.Network(classifier())
    inputs = [numbers(seed, 1 + seed % 3, 8 + 2 * (seed % 4), 10, 3) for seed in range(16)]
    alone = cl.Network(classifier())
    want = [alone(x).tobytes() for x in inputs]
    with ThreadPoolExecutor(16) as pool:
        for _ in range(5):
            assert [y.tobytes() for y in pool.map(net, inputs)] == want


def test_programs_are_bounded() -> None:
    net = cl.Network(classifier())
    for height in range(4, 30):
        net(numbers(0, 1, height, 5, 3))
    assert len(net._executor._programs) <= 8
    net.release()
    assert len(net._executor._programs) == 0
    assert net(X).shape == (5, 10)


def test_outputs_are_new_arrays(net: cl.Network) -> None:
    x = X.copy()
    first = net(x)
    kept = first.copy()
    second = net(2 * x)
    assert not np.shares_memory(first, second)
    np.testing.assert_array_equal(first, kept)
    np.testing.assert_array_equal(x, X)


def test_pickle_keeps_bits_and_takes_weights_out_of_band(net: cl.Network) -> None:
    want = net(X).tobytes()
    buffers: list[pickle.PickleBuffer] = []
    data = pickle.dumps(net, protocol=5, buffer_callback=buffers.append)
    assert len(buffers) >= 4
    assert len(data) < 4096
    for other in (pickle.loads(data, buffers=buffers), copy.copy(net), copy.deepcopy(net)):
        assert other(X).tobytes() == want
        assert str(other.graph) == str(net.graph)


def _in_a_child(net: cl.Network, want: bytes, queue: Any) -> None:
    queue.put(net(X).tobytes() == want)


@pytest.mark.skipif(not hasattr(os, "fork") or sys.platform == "darwin", reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_network_goes_on_in_a_forked_process(net: cl.Network) -> None:
    want = net(X).tobytes()
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    child = context.Process(target=_in_a_child, args=(net, want, queue))
    child.start()
    child.join(60)
    assert child.exitcode == 0
    assert queue.get() is True


def test_layout_takes_the_transposes_off() -> None:
    first, last = cl.Network(channels_first()), cl.Network(channels_first(), layout="NHWC")
    x = numbers(1, 2, 3, 8, 8)
    assert last.inputs[0].shape == ("N", 8, 8, 3)
    assert last.outputs[0].shape == ("N", 8, 8, 4)
    assert [node.kind for node in last.graph.nodes] == ["conv"]
    np.testing.assert_array_equal(last(x.transpose(0, 2, 3, 1)), first(x).transpose(0, 2, 3, 1))
    with pytest.raises(ValueError, match="layout must be"):
        cl.Network(channels_first(), layout="NCHW")


def test_inputs_by_name_and_several_outputs() -> None:
    net = cl.Network(branching())
    x = np.array([-1, 4], F)
    flag = np.array(True)
    y, q = net(flag, x=x)
    assert q.dtype == np.float64
    assert q.tolist() == [-2, 8]
    assert y.tolist() == [-np.inf, 3]
    assert net(x=x, flag=~flag)[1].tolist() == [1, -4]
    assert [value.name for value in net.inputs] == ["flag", "x"]


def _one(name: str, shape: tuple[int | str, ...] | None = ("N", 2)) -> cl.Network:
    return cl.Network(
        Graph.of([Value(name, F, shape)], [Value("y", F, shape)], [Node("abs", (name,), ("y",))])
    )


def test_names_that_are_no_identifiers() -> None:
    for name in ("input:0", "self", "repeat", "arrays", "x y"):
        net = _one(name)
        x = np.array([[-1, 2]], F)
        assert net(**{name: x}).tolist() == [[1, 2]]
        assert net(x).tolist() == [[1, 2]]


@pytest.mark.parametrize(
    ("arguments", "kind", "text"),
    [
        ((np.ones((1, 2)),), TypeError, "'x' must be float32; got float64"),
        ((None,), TypeError, "'x' must be an array of float32; got None"),
        (("p.png",), TypeError, "'x' must be an array of float32; got the text 'p.png': read the file first"),
        (({"x": 1},), TypeError, "got a mapping: write net(**x)"),
        (({"y": 1},), TypeError, "got a dict of 1 entries: give one of them"),
        ((np.ones((1, 2), np.uint8),), TypeError, "/ 255"),
        ((np.ones((1, 3), F),), ValueError, "'x' must have the shape (N, 2); got (1, 3)"),
        ((np.ones(2, F),), ValueError, "x[None]"),
        ((np.ones((1, 2), F), 1), TypeError, "takes 1 inputs"),
        ((), TypeError, "misses its inputs"),
    ],
)
def test_what_does_not_fit_is_named(arguments: tuple[Any, ...], kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=re.escape(text)):
        _one("x")(*arguments)


def test_an_unknown_name_and_one_given_twice() -> None:
    with pytest.raises(TypeError, match="no input 'z'"):
        _one("x")(z=np.ones((1, 2), F))
    with pytest.raises(TypeError, match="twice"):
        _one("x")(np.ones((1, 2), F), x=np.ones((1, 2), F))


def test_a_name_is_one_size() -> None:
    a, b, y = (Value(name, F, ("N",)) for name in "aby")
    net = cl.Network(Graph.of([a, b], [y], [Node("add", ("a", "b"), ("y",))]))
    with pytest.raises(ValueError, match="N is 2 in 'a'"):
        net(np.ones(2, F), np.ones(3, F))


def test_predict(net: cl.Network) -> None:
    want = net(X)
    told: list[tuple[int, int]] = []
    got = net.predict(X, batch_size=2, progress=lambda done, total: told.append((done, total)))
    assert got.tobytes() == want.tobytes()
    assert told == [(2, 5), (4, 5), (5, 5)]
    told.clear()
    got = net.predict(
        (X[i : i + 1] for i in range(5)), progress=lambda done, total: told.append((done, total))
    )
    assert got.tobytes() == want.tobytes()
    assert told == [(n, 0) for n in range(1, 6)]
    assert net.predict(X[:0]).shape == (0, 10)
    with pytest.raises(ValueError, match="at least one batch"):
        net.predict(iter(()))
    with pytest.raises(ValueError, match="one input"):
        cl.Network(branching()).predict(X)
    with pytest.raises(ValueError, match="batch axis"):
        net.predict(np.float32(1))


def test_the_summary_counts(net: cl.Network) -> None:
    lines: list[str] = []
    net.summary((1, 8, 8, 3), print_fn=lines.append)
    rows = {line.split()[0]: line for line in lines if line.startswith(("first", "depthwise", "last"))}
    assert re.search(r"conv \+ relu +\(1, 4, 4, 16\) +448 +6,912 +conv2d: [a-z ]+$", rows["first"])
    assert re.search(
        r"conv \+ add \+ hard_swish +\(1, 4, 4, 16\) +144 +2,304 +depthwise_conv2d: depthwise [a-z]+$",
        rows["depthwise"],
    )
    assert re.search(r"dense +\(1, 10\) +170 +160 +dense: [a-z]+$", rows["last"])
    nodes = len(net.graph.nodes) - 1  # the convolution adds the residual itself
    told = f"Nodes: {nodes} run, of {nodes + 1} in the graph"
    assert lines[-3:] == [told, "Parameters: 762", "Multiply-adds: 9,376"]


def runs_as(kind: str, x: tuple[int, ...], kernel: tuple[int, ...], **attributes: Any) -> str:
    """What the summary says of one node."""
    how = {"dilations": (1,) * (len(x) - 2), "groups": 1, "activation": None, **attributes}
    shape, f = (x[0], *([None] * (len(x) - 2))), np.dtype("float32")
    y = Value("y", f, tuple("abcd"[: len(shape) + 1]))
    graph = Graph.of(
        [Value("x", f, x)], [y], [Node(kind, ("x", "k"), ("y",), how)], {"k": np.ones(kernel, f)}
    )
    lines: list[str] = []
    cl.Network(graph).summary(print_fn=lines.append)
    return next(line for line in lines if line.startswith("y ")).rpartition("  ")[2]


def test_the_summary_names_the_form_of_each_convolution() -> None:
    same = {"strides": (1, 1), "padding": "same"}
    with cl.precision("fast"):
        fast = runs_as("conv", (1, 56, 56, 64), (3, 3, 64, 64), **same)
    assert re.match(r"conv2d: winograd ([2456])x\1$", fast)
    exact = runs_as("conv", (1, 56, 56, 64), (3, 3, 64, 64), **same)
    assert exact == "conv2d: strided"
    flat = runs_as("conv", (2, 40, 8), (3, 8, 16), strides=(2,), padding=((1, 0),))
    assert flat.startswith("conv2d: ")
    wide = runs_as("conv", (1, 9, 9, 32), (3, 3, 1, 32), **same, groups=32)
    assert wide == "depthwise_conv2d: depthwise lines"
    for padding, extra in [("same", None), (((1, 0), (0, 1)), None), (((1, 1), (1, 1)), (1, 1))]:
        options = {"strides": (2, 2), "padding": padding, "output_shape": None, "output_padding": extra}
        text = runs_as("conv_transpose", (1, 7, 6, 16), (3, 3, 8, 16), **options)
        assert re.match(r"conv2d_transpose: [a-z ]+$", text)


def test_the_summary_without_shapes_has_names_for_sizes() -> None:
    net = cl.Network(classifier())
    assert "(N, 10)" in str(net)
    assert "?" in next(line for line in str(net).splitlines() if line.startswith("last"))
    net(X)
    assert "For x: (5, 12, 16, 3)" in str(net)
    for shapes in [((1, 2, 3, 3), (1,)), (("a", 2, 3, 3),), ((1, 2, 3, 4),)]:
        with pytest.raises(ValueError):
            net.summary(*shapes, print_fn=lambda line: None)
    assert str(cl.Network(branching()))


def test_the_profile(net: cl.Network, tmp_path: Path) -> None:
    before = net(X).tobytes()
    profile = net.profile(X, repeat=3)
    assert [row.node for row in profile.rows][:2] == ["first", "depthwise"]
    assert sum(row.share for row in profile.rows) == pytest.approx(1)
    assert sum(row.ms for row in profile.rows) == pytest.approx(profile.ms)
    assert sum(row.count for row in profile.by_kind()) == len(profile.rows)
    assert "depthwise_conv2d" in str(profile)
    for table in str(profile).split("\n\n"):  # the rows add up to the time of a call, but for the last digit
        rows = [line for line in table.splitlines() if not line.startswith(("Profile", "-", "Node", "Kind"))]
        sums = [float(re.findall(r"-?\d+\.\d{3}", row)[-1]) for row in rows]
        assert rows[-1].startswith("between nodes")
        assert abs(sum(sums) - profile.total_ms) < 0.0005 * (len(sums) + 1)
    profile.trace(tmp_path / "t.json")
    events = json.loads((tmp_path / "t.json").read_text())["traceEvents"]
    assert [event["name"] for event in events] == [row.node for row in profile.rows]
    ends = [event["ts"] + event["dur"] for event in events]
    assert all(end <= event["ts"] + 1e-3 for end, event in zip(ends, events[1:], strict=False))
    assert net(X).tobytes() == before
    with pytest.raises(ValueError, match="repeat"):
        net.profile(X, repeat=0)


def test_the_chart_of_a_profile(net: cl.Network, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    net.profile(X, repeat=1).chart(tmp_path / "c.png")
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")


def test_the_plot(net: cl.Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net.plot(tmp_path / "n.dot", (1, 8, 8, 3))
    text = (tmp_path / "n.dot").read_text()
    assert text.count(" -> ") >= len(net.graph.nodes)
    assert "(1, 4, 4, 16)" in text
    with pytest.raises(ValueError, match=re.escape(".dot, .gv, .svg")):
        net.plot(tmp_path / "n.txt")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(RuntimeError, match="graphviz"):
        net.plot(tmp_path / "n.svg")
    assert [path.name for path in tmp_path.iterdir()] == ["n.dot"]


def test_names_cannot_break_out_of_the_plot(tmp_path: Path) -> None:
    name = 'a"]; b -> c; "\\\n\0'
    _one(name).plot(tmp_path / "n.dot")
    for line in (tmp_path / "n.dot").read_text().splitlines():
        assert line.replace("\\\\", "").replace('\\"', "").count('"') % 2 == 0


@pytest.mark.skipif(os.name == "nt", reason="a shell script stands in for dot")
@pytest.mark.parametrize("status", [0, 1])
def test_dot_is_given_the_graph(
    status: int, net: cl.Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "dot"
    program.write_text(f'#!/bin/sh\necho "cannot $1" >&2\ncat > "$3"\nexit {status}\n')
    program.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda name: str(program))
    picture = tmp_path / "n.svg"
    picture.write_text("old")
    if status:
        with pytest.raises(RuntimeError, match="cannot -Tsvg"):
            net.plot(picture)
        assert picture.read_text() == "old"
    else:
        net.plot(picture)
        assert picture.read_text().startswith('digraph "tiny"')
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dot", "n.svg"]


@pytest.mark.skipif(shutil.which("dot") is None, reason="graphviz is not installed")
def test_dot_draws_the_plot(net: cl.Network, tmp_path: Path) -> None:
    net.plot(tmp_path / "n.svg")
    assert "<svg" in (tmp_path / "n.svg").read_text()


def test_a_batch_that_the_file_fixes() -> None:
    graph = Graph.of(
        [Value("x", np.dtype(F), (1, 3))], [Value("y", np.dtype(F), (1, 3))], [Node("neg", ("x",), ("y",))]
    )
    fixed, x = cl.Network(graph), np.arange(12, dtype=F).reshape(4, 3)
    with pytest.raises(ValueError, match=r"got \(4, 3\); the file fixes the batch: write .*batch_size=1\)"):
        fixed(x)
    np.testing.assert_array_equal(fixed.predict(x, batch_size=1), -x)
    signal = Value("x", np.dtype(F), (8,))  # its only axis is no batch
    with pytest.raises(ValueError, match=r"got \(16,\)$"):
        cl.Network(Graph.of([signal], [Value("y", np.dtype(F), (8,))], [Node("neg", ("x",), ("y",))]))(
            np.zeros(16, F)
        )


def test_keras_without_a_backend_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "keras.py").write_text("import a_backend_that_is_not_there\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    for name in [name for name in sys.modules if name.partition(".")[0] in ("keras", "tf_keras")]:
        monkeypatch.delitem(sys.modules, name)
    (tmp_path / "net.keras").write_bytes(b"")
    with pytest.raises(
        ImportError, match=r"keras cannot be imported: No module named 'a_b.*Keras needs a backend"
    ):
        cl.load(tmp_path / "net.keras")
