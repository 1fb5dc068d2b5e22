"""Network files: what is written is read, now and later; what is malformed is refused."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from network_examples import CONV, F, branching, channels_first, classifier, numbers

import convlite as cl
from convlite.network.file import read_network, write_network
from convlite.network.graph import Graph, Node, Value
from convlite.network.load import READERS

GOLDEN = Path(__file__).parent / "golden"
X = numbers(9, 3, 12, 16, 3)
BRANCH = (np.array(True), np.array([-1, 0.5, 4], F))
ENDINGS = [".npz", ".safetensors"]


def path_of(folder: Path, ending: str) -> Path:
    if ending == ".safetensors":
        pytest.importorskip("safetensors.numpy")
    return folder / f"net{ending}"


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize(("graph", "inputs"), [(classifier(), (X,)), (branching(), BRANCH)], ids=["c", "b"])
def test_a_round_trip_keeps_everything(ending: str, graph: Graph, inputs: Any, tmp_path: Path) -> None:
    net, path = cl.Network(graph), path_of(tmp_path, ending)
    net.save(path)
    again = cl.load(path)
    assert str(again.graph) == str(net.graph)
    assert list(map(str, again.graph.subgraphs())) == list(map(str, net.graph.subgraphs()))
    for name, array in net.graph.constants.items():
        assert again.graph.constants[name].dtype == array.dtype
        np.testing.assert_array_equal(again.graph.constants[name], array)
        assert not again.graph.constants[name].flags.writeable
    got, want = again(*inputs), net(*inputs)
    got, want = (got, want) if isinstance(got, tuple) else ((got,), (want,))
    assert [y.tobytes() for y in got] == [y.tobytes() for y in want]
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("ending", ENDINGS)
def test_float16_halves_the_size(ending: str, tmp_path: Path) -> None:
    kernel = numbers(1, 3, 3, 64, 64)
    graph = Graph.of(
        [Value("x", F, (1, 6, 6, 64))], [Value("y", F, (1, 6, 6, 64))],
        [Node("conv", ("x", "k"), ("y",), CONV)], {"k": kernel},
    )  # fmt: skip
    whole, half = path_of(tmp_path, ending), tmp_path / f"half{ending}"
    cl.Network(graph).save(whole)
    cl.Network(graph).save(half, float16=True)
    assert half.stat().st_size < 0.53 * whole.stat().st_size
    net = cl.load(half)
    (held,) = net.graph.constants.values()
    assert held.dtype == np.float32
    np.testing.assert_array_equal(held, kernel.astype(np.float16).astype(np.float32))


def test_float16_leaves_what_is_no_weight_and_refuses_what_overflows(tmp_path: Path) -> None:
    scales = np.array([1, 1 / 3, 1 / 3, 1], F)
    attributes = {
        "axes": None, "mode": "nearest", "coordinates": "asymmetric", "nearest_mode": "floor", "cubic_a": -0.75,
        "exclude_outside": False, "extrapolation_value": 0.0, "antialias": False,
        "keep_aspect_ratio_policy": "stretch",
    }  # fmt: skip
    x, y = Value("x", F, (1, 9, 9, 2)), Value("y", F, (1, 3, 3, 2))
    graph = Graph.of([x], [y], [Node("resize", ("x", "", "s"), ("y",), attributes)], {"s": scales})
    write_network(tmp_path / "r.npz", graph, float16=True)
    np.testing.assert_array_equal(read_network(tmp_path / "r.npz").constants["s"], scales)
    large = classifier()
    large = large.with_(constants={**large.constants, "w": large.constants["w"] * np.float32(1e6)})
    with pytest.raises(ValueError, match="'w' has numbers too large for float16"):
        cl.Network(large).save(tmp_path / "l.npz", float16=True)
    assert not (tmp_path / "l.npz").exists()


def test_the_layout_of_a_file_of_ours(tmp_path: Path) -> None:
    cl.Network(channels_first()).save(tmp_path / "n.npz")
    first, last = cl.load(tmp_path / "n.npz"), cl.load(tmp_path / "n.npz", layout="NHWC")
    x = numbers(1, 2, 3, 8, 8)
    assert last.inputs[0].shape == ("N", 8, 8, 3)
    np.testing.assert_array_equal(last(x.transpose(0, 2, 3, 1)), first(x).transpose(0, 2, 3, 1))
    with pytest.raises(ValueError, match="layout must be"):
        cl.load(tmp_path / "n.npz", layout="NCHW")


def test_files_of_version_1_stay_readable() -> None:
    with np.load(GOLDEN / "network_v1_values.npz") as want:
        net = cl.load(GOLDEN / "network_v1_classifier.npz")
        np.testing.assert_allclose(net(want["x"]), want["classifier"], rtol=1e-5, atol=1e-7)
        y, q = cl.load(GOLDEN / "network_v1_branching.npz")(*BRANCH)
        np.testing.assert_array_equal(y, want["y"], strict=True)
        np.testing.assert_array_equal(q, want["q"], strict=True)


def test_endings() -> None:
    with pytest.raises(
        ValueError, match=r"\.onnx, \.tflite, \.keras, \.h5, \.npz, \.safetensors; got 'm.pb'"
    ):
        cl.load("m.pb")
    with pytest.raises(ValueError, match=r"\.npz"):
        cl.Network(classifier()).save("m.onnx")
    assert {ending: target.split(":")[0] for ending, target in READERS.items()}[
        ".npz"
    ] == "convlite.network.file"


def test_a_missing_file_and_a_file_of_weights(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        cl.load(tmp_path / "none.npz")
    np.savez(tmp_path / "w.npz", a=np.ones(3))
    with pytest.raises(ValueError, match="no network"):
        cl.load(tmp_path / "w.npz")


# ---- malformed files ----


def parts() -> tuple[dict[str, Any], dict[str, np.ndarray[Any, Any]]]:
    """The JSON of a network x -> conv -> relu -> y, and its arrays."""
    conv = ["conv", ["x", "k"], ["c"], {**CONV, "strides": [1, 1], "dilations": [1, 1]}, "the conv"]
    graph = {
        "name": "n",
        "inputs": [["x", "float32", ["N", 4, 4, 2]]],
        "outputs": [["y", "float32", ["N", 4, 4, 3]]],
        "nodes": [conv, ["relu", ["c"], ["y"], {}, ""]],
        "constants": {"k": [0, "float32"]},
    }
    return graph, {"0": numbers(0, 3, 3, 2, 3)}


def written(folder: Path, graph: Any, arrays: dict[str, Any], **more: Any) -> Path:
    document = {"format": "convlite network", "version": 1, "graph": graph, **more}
    text = document if isinstance(document, str) else json.dumps(document)
    path = folder / "m.npz"
    np.savez(path, graph=np.frombuffer(text.encode(), np.uint8), **arrays)
    return path


def nested(levels: int, kind: str = "loop") -> Any:
    graph, _ = parts()
    graph["constants"], graph["nodes"] = {}, [["relu", ["x"], ["y"], {}, ""]]
    inner = graph
    for _ in range(levels):
        inner = {**graph, "nodes": [[kind, ["x"], ["y"], {"body": {"graph": inner}, "carried": 1}, ""]]}
    return inner


Change = Callable[[dict[str, Any], dict[str, Any]], Any]
FAULTS: dict[str, tuple[Change, str]] = {
    "cycle": (lambda g, a: g["nodes"].__setitem__(1, ["relu", ["z"], ["y"], {}, ""]) or g["nodes"].append(["relu", ["y"], ["z"], {}, ""]), "cycle"),
    "missing value": (lambda g, a: g["nodes"][1].__setitem__(1, ["nowhere"]), "nothing writes it"),
    "missing output": (lambda g, a: g["outputs"].append(["q", "float32", [1]]), "nothing writes the output"),
    "written twice": (lambda g, a: g["nodes"].append(["abs", ["x"], ["c"], {}, ""]), "written twice"),
    "two inputs of one name": (lambda g, a: g["inputs"].append(g["inputs"][0]), "written twice"),
    "missing array": (lambda g, a: a.clear(), "missing"),
    "array of another dtype": (lambda g, a: a.update({"0": a["0"].astype(np.int8)}), "stored as int8"),
    "kernel that does not fit": (lambda g, a: a.update({"0": numbers(0, 3, 3, 5, 3)}), "the conv"),
    "output shape that lies": (lambda g, a: g["outputs"][0].__setitem__(2, ["N", 4, 4, 9]), "has the shape"),
    "output dtype that lies": (lambda g, a: g["outputs"][0].__setitem__(1, "float64"), "is float32"),
    "input shape that lies": (lambda g, a: g["inputs"][0].__setitem__(2, ["N", 4, 4, 7]), "the conv"),
    "negative size": (lambda g, a: g["inputs"][0].__setitem__(2, [-1]), "a size -1"),
    "huge size": (lambda g, a: g["inputs"][0].__setitem__(2, [2**70]), "a size"),
    "long name of a size": (lambda g, a: g["inputs"][0].__setitem__(2, ["N" * 2000]), "2000 characters"),
    "many axes": (lambda g, a: g["inputs"][0].__setitem__(2, [1] * 65), "65 axes"),
    "object dtype": (lambda g, a: g["inputs"][0].__setitem__(1, "object"), "a dtype"),
    "dtype that is a list": (lambda g, a: g["inputs"][0].__setitem__(1, []), "a dtype must be"),
    "unknown kind": (lambda g, a: g["nodes"][1].__setitem__(0, "exec"), "does not know"),
    "kind that is a list": (lambda g, a: g["nodes"][1].__setitem__(0, []), "a kind must be"),
    "attribute of another kind": (lambda g, a: g["nodes"][0][3].update(padding={"code": "1"}), "an attribute of the kind"),
    "attribute missing": (lambda g, a: g["nodes"][0][3].pop("strides"), "strides"),
    "attribute that is a string": (lambda g, a: g["nodes"][0][3].update(strides="aa"), "the conv"),
    "three operands": (lambda g, a: g["nodes"].__setitem__(1, ["add", ["c", "c", "x"], ["y"], {}, ""]), "not 2"),
    "zero stride": (lambda g, a: g["nodes"][0][3].update(strides=[0, 0]), "the conv"),
    "graph without nodes": (lambda g, a: g.pop("nodes"), "lacks 'nodes'"),
    "nodes that are a number": (lambda g, a: g.update(nodes=10**9), "nodes must be a list"),
    "deep loops": (lambda g, a: g.update(nested(9)), "nested too deeply"),
    "deep graphs": (lambda g, a: g.update(nested(40, "if_")), "nested too deeply"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_refused_in_words(fault: str, tmp_path: Path) -> None:
    graph, arrays = parts()
    assert cl.load(written(tmp_path, graph, arrays))(numbers(0, 1, 4, 4, 2)).shape == (1, 4, 4, 3)
    change, text = FAULTS[fault]
    change(graph, arrays)
    with pytest.raises(ValueError, match=r"m\.npz' is not a readable network: ") as caught:
        cl.load(written(tmp_path, graph, arrays))
    assert text in str(caught.value)


def test_what_no_importer_writes_is_named_when_it_is_planned(tmp_path: Path) -> None:
    graph, arrays = parts()
    graph["nodes"][0][3]["activation"] = 7
    x = numbers(0, 1, 4, 4, 2)
    with pytest.raises(ValueError, match="'the conv'"):
        cl.load(written(tmp_path, graph, arrays))(x)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "Expecting"),
        ("[" * 100_000, "nested too deeply"),
        ('{"format": "convlite network", "version": 2}', "version is 2"),
        ('{"format": "convlite network", "format": "convlite network"}', "twice"),
        ('{"format": NaN}', "NaN is no number"),
        ("[]", "does not say"),
        ('{"format": "convlite network", "version": 1, "graph": ' + "9" * 5000 + "}", "digits"),
        ("\xff", "decode"),
    ],
)
def test_texts_that_are_no_network(text: str, reason: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "m.npz", graph=np.frombuffer(text.encode("latin-1"), np.uint8))
    with pytest.raises(ValueError, match=reason):
        cl.load(tmp_path / "m.npz")


def test_sizes_do_not_grow_without_end(tmp_path: Path) -> None:
    """A product of 40 sums of two names would have 2**40 terms."""
    names = [f"a{axis}" for axis in range(40)]
    graph = {
        "name": "n", "constants": {"s": [0, "int64"]}, "outputs": [["y", "float32", None]],
        "inputs": [["x", "float32", names], *([f"z{i}", "float32", [*names[:i], f"b{i}", *names[i + 1 :]]] for i in range(40))],
        "nodes": [],
    }  # fmt: skip
    last = "x"
    for axis in range(40):
        shape = [f"a{i} + b{i}" if i < axis else name for i, name in enumerate(names)]
        shape[axis] = f"b{axis}"
        graph["inputs"][axis + 1][2] = shape  # type: ignore[index]
        graph["nodes"].append(["concat", [last, f"z{axis}"], [f"c{axis}"], {"axis": axis}, ""])  # type: ignore[attr-defined]
        last = f"c{axis}"
    graph["nodes"].append(["reshape", [last, "s"], ["y"], {"allowzero": False}, ""])  # type: ignore[attr-defined]
    path = written(tmp_path, graph, {"0": np.array([-1])})
    start = time.process_time()
    cl.load(path)
    assert time.process_time() - start < 60  # not for ever


def test_nodes_in_any_order_take_linear_time(tmp_path: Path) -> None:
    """One node that reads many later ones: each is looked at once."""
    count = 20_000
    names = [f"v{i}" for i in range(count)]
    x, y = Value("x", F, (1,)), Value("y", F, (count,))
    nodes = [Node("concat", tuple(names), ("y",), {"axis": 0})]
    nodes += [Node("abs", ("x",), (name,)) for name in names]
    start = time.process_time()
    graph = Graph.of([x], [y], nodes)
    assert time.process_time() - start < 20
    assert graph.nodes[-1].kind == "concat"
