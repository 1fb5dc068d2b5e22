"""`convlite bench MODEL`: the race of whole networks, with peers made here. No test asserts a time."""

import importlib.util
import json
import math
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from convlite import Network
from convlite.bench import bars, contestant, machine, picture, race, run, standings
from convlite.bench.rivals import PEERS, RACERS, Call, Unsupported
from convlite.network.graph import Graph, Node, Value

ROOT = Path(__file__).parents[1]
F = np.dtype("float32")
posix = pytest.mark.skipif(sys.platform == "win32", reason="the workers are stopped by POSIX signals")


def saved(path: Path, shape: tuple[int | str, ...] = ("n", 3)) -> Path:
    """A network of one step, as convlite's own file."""
    Network(Graph.of([Value("x", F, shape)], [Value("y", F, shape)], [Node("relu", ("x",), ("y",))])).save(
        path
    )
    return path


# ---- files and inputs --------------------------------------------------------------------------------------


def test_files_and_folders_are_found(tmp_path: Path) -> None:
    inside = tmp_path / "nets"
    inside.mkdir()
    for name in ("b.onnx", "a.tflite", "a.pt2", "a.inputs.npz", "readme.txt"):
        (inside / name).touch()
    alone = tmp_path / "c.npz"
    assert race.found_in([alone, inside]) == [alone, inside / "a.tflite", inside / "b.onnx"]
    with pytest.raises(ValueError, match="is no network: a name ends in"):
        race.found_in([tmp_path / "c.txt"])
    with pytest.raises(ValueError, match="same name: b"):
        race.found_in([inside, tmp_path / "b.npz"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="holds no network"):
        race.found_in([tmp_path / "empty"])


def test_inputs_come_from_a_seed_or_from_the_file_beside(tmp_path: Path) -> None:
    path = saved(tmp_path / "one.npz")
    first, second = race.model_of(path), race.model_of(path)
    assert first.name == "one"
    assert {name: (x.shape, x.dtype) for name, x in first.inputs.items()} == {"x": ((1, 3), F)}
    assert np.array_equal(first.inputs["x"], second.inputs["x"])
    given = np.arange(6, dtype=F).reshape(2, 3)
    np.savez(tmp_path / "one.inputs.npz", x=given)
    assert np.array_equal(race.model_of(path).inputs["x"], given)
    np.savez(tmp_path / "one.inputs.npz", z=given)
    with pytest.raises(ValueError, match="must hold x; it holds z"):
        race.model_of(path)


def test_who_reads_what(tmp_path: Path) -> None:
    def readers(name: str) -> set[str]:
        return {peer for peer in RACERS if race.reads(peer, tmp_path / name)}

    ours = {"convlite", "convlite_fast"}
    assert readers("a.onnx") == ours | {"ort", "openvino", "ncnn_wino"}
    assert readers("a.tflite") == ours | {"openvino", "litert"}
    assert readers("a.npz") == ours
    (tmp_path / "a.pt2").touch()
    assert readers("a.npz") == ours | {"torch"}
    assert set(RACERS) <= set(PEERS)


# ---- who is right ------------------------------------------------------------------------------------------


def test_a_wrong_peer_is_out_whoever_it_is() -> None:
    right = np.linspace(-1, 3, 50)
    answers = {
        "convlite": [right],
        "convlite_fast": [right + 1e-4],
        "ort": [right.reshape(5, 10) + 1e-6],
        "openvino": [right * 1.01],
    }
    errors, faults = race.verdicts(answers)
    assert set(errors) == {"convlite", "convlite_fast", "ort"}
    assert max(errors.values()) < race.TOLERANCE
    assert faults == {"openvino": "wrong: off by 1.0e-02 of the largest number from the others"}
    answers |= {"convlite": [right * 1.01], "convlite_fast": [right * 1.01], "openvino": [right]}
    assert set(race.verdicts(answers)[1]) == {"convlite", "convlite_fast"}


def test_of_two_that_differ_the_other_one_is_out() -> None:
    right = np.ones(4)
    errors, faults = race.verdicts({"convlite": [right], "convlite_fast": [right], "ort": [right + 1]})
    assert set(errors) == {"convlite", "convlite_fast"}
    assert faults["ort"].endswith("from convlite")


@pytest.mark.parametrize(
    ("wrong", "fault"),
    [
        ([np.ones(5)], "have [5] numbers"),
        ([np.ones(4), np.ones(1)], "have [4, 1] numbers"),
        ([np.array([1, 1, np.nan, 1.0])], "off by inf"),
    ],
)
def test_other_outputs_are_wrong_too(wrong: list[Any], fault: str) -> None:
    right = [np.ones(4)]
    answers = {"convlite": right, "ort": right, "openvino": wrong}
    assert fault in race.verdicts(answers)[1]["openvino"]


def test_infinities_and_empty_outputs_agree() -> None:
    outputs = [np.array([np.inf, -1.0]), np.empty((0, 4))]
    errors, faults = race.verdicts({"convlite": outputs, "ort": outputs, "litert": outputs})
    assert faults == {}
    assert set(errors.values()) == {0.0}


# ---- a worker ----------------------------------------------------------------------------------------------


class Rival(ModuleType):
    """A peer that returns its input times a factor, or fails."""

    def __init__(self, factor: float = 1.0, error: Exception | None = None) -> None:
        super().__init__("rival")
        self.factor, self.error, self.loads = factor, error, 0

    def load(self, path: str, inputs: dict[str, Any]) -> Call:
        if self.error:
            raise self.error
        self.loads += 1
        outputs = [x * self.factor for x in inputs.values()]
        return Call(lambda: None, lambda: outputs)


def loaded(rival: Any, folder: Path) -> tuple[contestant.Contestant, dict[str, Any]]:
    np.savez(folder / "inputs.npz", np.ones(3, F), np.zeros(2, F))
    held = contestant.Contestant(rival)
    return held, held.load("m.onnx", str(folder / "inputs.npz"), ["b", "a"], str(folder / "out.npz"), "")


def test_a_worker_loads_tells_and_times(tmp_path: Path) -> None:
    rival = Rival(2.0)
    held, told = loaded(rival, tmp_path)
    assert set(told) == {"load_ms", "first_ms", "resident"}
    assert rival.loads == contestant.LOADS
    assert told["resident"] == 0 or told["resident"] > 1e6
    with np.load(tmp_path / "out.npz") as arrays:
        assert np.array_equal(arrays["arr_0"], np.full(3, 2.0))
        assert len(arrays.files) == 2
    answer = held.time(100_000)
    assert answer["calls"] >= 2
    assert answer["ms"] >= 0


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (Unsupported("no such operator"), "no such operator"),
        (RuntimeError("line one\nline two"), "RuntimeError: line one line two"),
    ],
)
def test_a_peer_that_fails_says_why(error: Exception, told: str, tmp_path: Path) -> None:
    assert loaded(Rival(error=error), tmp_path)[1] == {"refused": told}


def test_a_peer_without_networks(tmp_path: Path) -> None:
    assert loaded(ModuleType("blas"), tmp_path)[1] == {"refused": "it runs no networks"}


@pytest.mark.parametrize("name", ["ort", "openvino", "litert"])
def test_a_runtime_agrees_with_convlite(name: str, tmp_path: Path) -> None:
    module = importlib.import_module(f"convlite.bench.rivals.{PEERS[name][0]}")
    if importlib.util.find_spec(module.PACKAGE) is None:
        pytest.skip(f"{module.PACKAGE} is not installed")
    if name == "litert":
        from convlite.bench.rivals.lite_rt import model_of
        from convlite.bench.shape import Operands, parse

        path = tmp_path / "net.tflite"
        path.write_bytes(model_of(Operands.of(parse("c conv 1,8,8,6 3 1 same 8"))))
    else:
        path = two_inputs(tmp_path / "net.onnx")
    found = race.measure(
        [path], ["convlite", "convlite_fast", name], [1], 1, 0.01, say=print, step=lambda name, n: None
    )
    (record,) = found["results"]
    assert set(record["peers"]) == {"convlite", "convlite_fast", name}, record["refused"]
    assert max(entry["error"] for entry in record["peers"].values()) < 1e-5


def two_inputs(path: Path) -> Path:
    """a - b of two inputs, which shows their order, and a second output."""
    onnx = pytest.importorskip("onnx")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    values = [helper.make_tensor_value_info(name, kind, ["n", 5]) for name in "abcd"]
    nodes = [helper.make_node("Sub", ["a", "b"], ["c"]), helper.make_node("Relu", ["c"], ["d"])]
    graph = helper.make_graph(nodes, "two", values[:2], values[2:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


# ---- a busy machine ----------------------------------------------------------------------------------------


def test_what_neighbours_take(monkeypatch: pytest.MonkeyPatch) -> None:
    used = iter([100.0, 103.0, 103.0, 105.0])
    clock = iter([0.0, 1.0, 1.0, 2.0])
    monkeypatch.setattr(machine.Neighbours, "_used", staticmethod(lambda: next(used)))
    monkeypatch.setattr(machine.time, "perf_counter", lambda: next(clock))
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda pid: {0, 1, 2, 3}, raising=False)
    watch = machine.Neighbours()
    assert watch.share() == 0
    for _ in range(2):
        with watch.watched(2) as told:
            told |= {"cpu": 1.5, "wall": 0.9}
    assert watch.share() == pytest.approx((5 - 3) / (2 * 4))


def test_a_thread_that_waits_for_its_processor_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 1.0])
    monkeypatch.setattr(machine.Neighbours, "_used", staticmethod(lambda: 0.0))
    monkeypatch.setattr(machine.time, "perf_counter", lambda: next(clock))
    watch = machine.Neighbours()
    with watch.watched(1) as told:
        told |= {"cpu": 0.5, "wall": 0.9}
    assert watch.share() == pytest.approx(0.4)


# ---- the command -------------------------------------------------------------------------------------------


@posix
def test_a_race_without_peers(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = saved(tmp_path / "mine.npz")
    out = tmp_path / "out"
    arguments = [str(path), "--threads", "1", "--rounds", "2", "--seconds", "0.01", "--anyway"]
    assert run.main([*arguments, "--out", str(out)]) == 0
    printed = capfd.readouterr().out
    data = json.loads((out / "convlite-networks.json").read_text())
    assert standings.table(data) in printed
    (record,) = data["results"]
    assert (record["name"], record["threads"], record["inputs"]) == ("mine", 1, {"x": ["float32", [1, 3]]})
    assert set(record["peers"]) == {"convlite", "convlite_fast"}
    for entry in record["peers"].values():
        assert len(entry["rounds"]) == 2
        assert min(entry["rounds"]) == entry["ms"]
    assert {"cpu", "date", "command", "isa"} <= set(data["context"])
    assert data["busy"]["1"] >= 0
    ET.fromstring((out / "convlite-networks.svg").read_text())
    assert run.main(["--show", str(out / "convlite-networks.json")]) == 0
    assert capfd.readouterr().out == standings.table(data)
    assert not list(tmp_path.glob("*.svg"))


def test_misuse(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = saved(tmp_path / "mine.npz", (1, "height", "width", 3))
    assert run.main([str(path), "--rounds", "0"]) == 1
    assert "--rounds and --seconds must be above 0" in capsys.readouterr().err
    assert run.main([str(tmp_path / "absent.onnx")]) == 1
    assert "absent.onnx" in capsys.readouterr().err
    assert run.main(["--networks", str(path)]) == 1
    assert "free sizes: give --size HxW" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        run.main([str(path), "--size", "224"])
    assert "must be HxW" in capsys.readouterr().err


def test_a_network_that_cannot_be_read_is_skipped(tmp_path: Path) -> None:
    (tmp_path / "bad.npz").write_bytes(b"no file")
    saved(tmp_path / "good.npz")
    said: list[str] = []
    found = race.measure(
        race.found_in([tmp_path]), ["convlite"], [1], 1, 0.01, say=said.append, step=lambda name, n: None
    )
    assert [record["name"] for record in found["results"]] == ["good"]
    assert "bad.npz" in found["skipped"]
    assert said[0].startswith("skipped bad.npz: ")


def test_after_an_interrupt_the_rest_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    def measured(held: Any, model: race.Model, threads: int, folder: Path, step: Any) -> None:
        if done:
            raise KeyboardInterrupt
        done.append(model.name)
        held.results.append({"name": model.name})

    monkeypatch.setattr(race._Race, "run", measured)
    paths = [saved(tmp_path / "a.npz"), saved(tmp_path / "b.npz")]
    found = race.measure(paths, ["convlite"], [1], 1, 0.01, say=print, step=lambda name, n: None)
    assert found["results"] == [{"name": "a"}]
    assert found["skipped"] == {"the rest": "interrupted"}
    with pytest.raises(KeyboardInterrupt):
        race.measure(paths, ["convlite"], [1], 1, 0.01, say=print, step=lambda name, n: None)


# ---- tables and charts, from a stored run ------------------------------------------------------------------


def entry(ms: float, **more: float) -> dict[str, Any]:
    return {
        "load_ms": 10.0,
        "first_ms": 3 * ms,
        "resident": 5e7,
        "rounds": [ms],
        "ms": ms,
        "error": 0.0,
    } | more


def stored() -> dict[str, Any]:
    def record(name: str, threads: int, **peers: Any) -> dict[str, Any]:
        return {
            "name": name,
            "file": f"{name}.onnx",
            "inputs": {},
            "threads": threads,
            "peers": peers,
            "refused": {},
        }

    data: dict[str, Any] = {
        "context": {
            "cpu": "A CPU (family 6, model 1)", "cores": 2, "isa": "avx2", "rounds": 1,
            "date": "2026-01-02T03:04:05+00:00", "command": "convlite bench --networks nets",
        },
        "kind": "networks",
        "versions": {"convlite": "0.1", "ort": "1.32", "openvino": "2026.4-22982", "ncnn_wino": "1.0"},
        "skipped": {},
        "busy": {"1": 0.02, "2": 0.01},
        "results": [
            record("large", 1, convlite=entry(10.0), convlite_fast=entry(5.0), ort=entry(11.0, load_ms=20.0),
                   openvino=entry(8.0)),
            record("small", 1, convlite=entry(1.0), convlite_fast=entry(1.0), ort=entry(0.5)),
            record("alone", 1, convlite=entry(1.0), convlite_fast=entry(1.0)),
            record("large", 2, convlite=entry(6.0), convlite_fast=entry(2.5), openvino=entry(5.0)),
        ],
    }  # fmt: skip
    data["results"][1]["refused"] = {"ncnn_wino": "pnnx does not convert it"}
    return data


def test_standings() -> None:
    large, small, alone, two = standings.standings(stored())
    assert (large.best, small.best, alone.best, two.best) == ("openvino", "ort", None, "openvino")
    assert large.ratio("convlite") == pytest.approx(0.8)
    assert large.ratio("convlite_fast") == pytest.approx(1.6)
    assert math.isnan(alone.ratio("convlite"))
    assert large.against("load_ms") == pytest.approx(0.5)
    assert math.isnan(two.against("resident"))
    assert large.first == pytest.approx(3)


def test_table() -> None:
    text = standings.table(stored())
    (large, _) = (line for line in text.splitlines() if line.startswith("large"))
    assert large.split() == ["large", "10", "5", "11", "8", "0.80", "1.60", "OpenVINO", "10", "3", "50"]
    assert '"fast": 0.89 times the best peer (geomean), ahead on 1 of 2' in text
    assert "  small: ncnn: pnnx does not convert it" in text
    assert "\n2 threads: milliseconds" in text


def test_a_busy_machine_gets_no_ratios() -> None:
    data = stored()
    data["busy"]["2"] = 0.4
    text = standings.table(data)
    assert text.startswith("The machine was busy: other processes took 40% of the processors")
    assert "0.80" not in text
    assert "geomean" not in text
    assert "best peer" not in text
    assert "<rect" in standings.draw(stored())
    drawn = standings.draw(data)
    assert "OpenVINO" not in drawn
    assert "The machine was busy" in drawn
    with pytest.raises(ValueError, match="was busy"):
        script().front(data)
    data["context"]["anyway"] = True
    assert "0.80" in standings.table(data)


SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize("dark", [False, True])
def test_the_chart(dark: bool) -> None:
    root = ET.fromstring(standings.draw(stored(), dark=dark))
    texts = [text.text for text in root.iter(f"{SVG}text")]
    assert "Whole networks: times the best peer, A CPU, 2026-01-02" in texts
    assert {"1.60 OpenVINO", "0.50 ONNX Runtime", "2.00 OpenVINO", "1 thread", "2 threads"} <= set(texts)
    assert "alone" not in texts
    assert texts.count("large") == 1
    width, height = map(float, root.attrib["viewBox"].split()[2:])
    for box in root.iter(f"{SVG}rect"):
        assert 0 <= float(box.attrib["x"]) <= float(box.attrib["x"]) + float(box.attrib["width"]) <= width
        assert 0 < float(box.attrib["y"]) < height
    one = {bars._DARK["lost"] if dark else bars._LIGHT["lost"]}
    assert one & {box.attrib["fill"] for box in root.iter(f"{SVG}rect")}


def test_bars_are_as_long_as_the_logarithm() -> None:
    made = [bars.Bar("two", 2.0, 4.0, "a"), bars.Bar("half", 0.5, math.nan, "b")]
    root = ET.fromstring(bars.draw([("1 thread", [("", made)])], "title", "below"))
    fast, exact, lost = (float(box.attrib["width"]) for box in list(root.iter(f"{SVG}rect"))[3:])
    assert fast == pytest.approx(2 * exact, abs=0.2)
    assert lost == pytest.approx(exact, abs=0.2)


def test_the_chart_of_layers_names_shapes_and_peers() -> None:
    data = json.loads((ROOT / "bench" / "results" / "convlite-bench.json").read_text())
    root = ET.fromstring(picture.draw(data))
    texts = [text.text or "" for text in root.iter(f"{SVG}text")]
    assert "ResNet-50, 3x3, 64 to 64, 56x56" in texts
    assert "decoder heads" in texts
    assert any(text.endswith("PyTorch") for text in texts)


def script() -> ModuleType:
    folder = str(ROOT / "bench")
    sys.path.insert(0, folder)
    try:
        return importlib.import_module("networks_table")
    finally:
        sys.path.remove(folder)


def test_the_script_writes_readme_and_page() -> None:
    module = script()
    lines = module.front(stored())
    assert "(docs/speed.md)" in lines
    assert "- 1 thread: **0.89** times the fastest other runtime" in lines
    assert "ahead on 1 of 2; **0.63** with" in lines
    assert "(0.63 and 0 of 2 against all but ncnn, which" in lines
    assert "2026-01-02, A CPU, 2 cores, avx2" in lines
    assert "OpenVINO 2026.4" in lines
    assert module.headline(stored()).startswith("On one thread, 2 networks run at **0.89** times the speed")
    page = module.block(stored())
    assert "| large | 10 | 5 | 11 | **8** | 0.80 | 1.60 |" in page
    assert "| large | 10 | 20 | 3.0 | 50 | 50 | 2.00 |" in page
    assert "- small, ncnn: pnnx does not convert it." in page


def test_the_readme_has_the_lines_of_the_committed_result() -> None:
    module = script()
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert module.BEGIN in readme
    assert module.END in readme
    if not module.RESULT.exists():
        pytest.skip("no result is committed yet")
    data = json.loads(module.RESULT.read_text(encoding="utf-8"))
    assert module.written(readme, data) == readme
    assert module.headline(data) in readme
    for dark, ending in ((False, ""), (True, "-dark")):
        drawn = module.RESULT.with_name(f"convlite-networks{ending}.svg").read_text(encoding="utf-8")
        assert drawn == standings.draw(data, dark=dark)
