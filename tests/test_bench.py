"""`convlite bench`: shapes, models, the protocol with its workers, tables. No test asserts a time."""

import importlib.util
import json
import math
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import convlite as cl
from convlite.bench import conduct, machine, report, run, worker
from convlite.bench.picture import draw
from convlite.bench.rivals import PEERS, WINOGRAD, ours
from convlite.bench.shape import FAMILIES, Operands, Shape, load, parse, shipped
from convlite.geometry import Geometry
from convlite.plan.winograd import tile_for

ROOT = Path(__file__).parents[1]
SMALL = [
    "c conv 2,7,8,6 3 2 1 8 groups=2",
    "d conv 1,9,9,4 3x2 1 same 5 dilation=2",
    "t transpose 1,5,4,6 4 2 1 3",
    "s transpose 1,7,7,4 3 2 same 2",
    "w transpose 2,3,3,4 2 3 valid 8",
    "p depthwise 1,8,8,6 3 2 1 12",
    "m dense 3,10 - - - 7",
    "v dense 1,10 - - - 7",
]


# ---- shapes ------------------------------------------------------------------------------------------------


def test_shipped_shapes_have_unique_names_and_all_families() -> None:
    shapes = shipped()
    assert len({shape.name for shape in shapes}) == len(shapes) > 60
    assert {shape.family for shape in shapes} == set(FAMILIES)
    assert {shape.family for shape in shapes if shape.quick} == set(FAMILIES)
    networks = {
        "resnet50",
        "vgg16",
        "mobilenetv2",
        "dcgan",
        "unet",
        "fcn",
        "seeds",
        "complaints",
        "kernels",
        "dense",
        "tiny",
    }
    assert {shape.network for shape in shapes} == networks


@pytest.mark.parametrize(
    ("line", "out", "multiply_adds", "family"),
    [
        ("a conv 1,56,56,64 3 1 1 64", (1, 56, 56, 64), 56 * 56 * 9 * 64 * 64, "3x3"),
        (
            "a conv 1,56,56,64 3 1 2 64 dilation=2",
            (1, 56, 56, 64),
            56 * 56 * 9 * 64 * 64,
            "other convolution",
        ),
        ("a conv 1,56,56,64 1 2 0 64", (1, 28, 28, 64), 28 * 28 * 64 * 64, "1x1"),
        (
            "a conv 1,28,28,128 3 1 1 128 groups=4",
            (1, 28, 28, 128),
            28 * 28 * 9 * 32 * 128,
            "other convolution",
        ),
        ("a conv 1,224,224,3 7 2 3 64", (1, 112, 112, 64), 112 * 112 * 49 * 3 * 64, "first layers"),
        ("a conv 1,17,17,128 1x7 1 0x3 64", (1, 17, 17, 64), 17 * 17 * 7 * 128 * 64, "other convolution"),
        ("a transpose 1,32,32,128 4 2 1 64", (1, 64, 64, 64), 32 * 32 * 16 * 128 * 64, "transposed"),
        ("a transpose 1,64,64,64 4 2 1 3", (1, 128, 128, 3), 64 * 64 * 16 * 64 * 3, "decoder heads"),
        ("a depthwise 1,56,56,96 3 1 1 192", (1, 56, 56, 192), 56 * 56 * 9 * 192, "depthwise"),
        ("a dense 1,2048 - - - 1000", (1, 1000), 2048 * 1000, "dense, batch 1"),
        ("a dense 32,2048 - - - 1000", (32, 1000), 32 * 2048 * 1000, "dense"),
        ("a conv 1,2,2,1 1 1 0 2", (1, 2, 2, 2), 8, "tiny"),
    ],
)
def test_parse(line: str, out: tuple[int, ...], multiply_adds: int, family: str) -> None:
    shape = parse(line)
    assert (shape.out, shape.multiply_adds, shape.family) == (out, multiply_adds, family)
    operands = Operands.of(shape)
    assert shape.bytes == operands.x.nbytes + operands.kernel.nbytes + 4 * math.prod(out)
    assert operands.x.dtype == operands.kernel.dtype == np.float32


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a conv 1,8,8,3 3 1 1", "7 fields"),
        ("a pool 1,8,8,3 3 1 1 4", "operation must be one of"),
        ("a conv 8,8,3 3 1 1 4", "N,H,W,Cin"),
        ("a conv 1,8,8,3 3 1 some 4", "invalid literal"),
        ("a conv 1,8,8,3 3 1 1 4 group=2", "unknown option 'group=2'"),
        ("a conv 1,8,8,3 3 1 1 4 groups", "unknown option 'groups'"),
        ("a conv 1,2,2,3 3 1 valid 4", "there is no output"),
        ("a depthwise 1,8,8,3 3 1 1 4", "multiple of Cin"),
    ],
)
def test_parse_refuses(line: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse(line)


def test_load_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "mine.txt"
    path.write_text("# a comment\n\na conv 1,8,8,3 3 1 1 4  # and another\n")
    assert [(shape.name, shape.network) for shape in load(path)] == [("a", "mine")]
    path.write_text("a conv 1,8,8,3 3 1 1 4\nb conv\n")
    with pytest.raises(ValueError, match="line 2"):
        load(path)


def test_operands_are_the_same_in_every_process() -> None:
    first, second = Operands.of(parse(SMALL[0])), Operands.of(parse(SMALL[0]))
    assert np.array_equal(first.x, second.x)
    assert np.array_equal(first.kernel, second.kernel)
    assert not np.array_equal(first.x, Operands.of(parse(SMALL[0].replace("c ", "other ", 1))).x)


def test_batches_keep_order_and_limit() -> None:
    shapes = shipped()
    batches = conduct.batches(shapes, 10_000_000)
    assert [shape for batch in batches for shape in batch] == shapes
    assert all(len(batch) == 1 or sum(shape.bytes for shape in batch) <= 10_000_000 for batch in batches)


# ---- peers: each result against the reference, where the peer is installed ---------------------------------


@pytest.mark.parametrize("line", SMALL)
def test_convlite_is_measured_on_what_the_line_says(line: str, tmp_path: Path) -> None:
    operands = Operands.of(parse(line))
    want = worker.reference_of(operands)
    assert want.shape == operands.shape.out
    for call in ours.prepare(operands).values():
        call.run()
        np.testing.assert_allclose(call.result(), want, rtol=1e-4, atol=1e-4 * np.abs(want).max())


def test_each_layer_that_fast_changes_is_measured() -> None:
    for shape in shipped():
        if shape.operation != "dense":
            groups = shape.cin if shape.operation == "depthwise" else shape.groups
            geometry = Geometry(shape.x[0], *shape.axes, shape.cin, shape.cout, groups)
            assert shape.winograd or tile_for(geometry) == (0, 0), shape.title


@pytest.mark.parametrize("name", [name for name in PEERS if not name.startswith("convlite")])
def test_a_peer_computes_the_same_layers(name: str, tmp_path: Path) -> None:
    module = importlib.import_module(f"convlite.bench.rivals.{PEERS[name][0]}")
    if importlib.util.find_spec(module.PACKAGE) is None:
        pytest.skip(f"{module.PACKAGE} is not installed")
    shapes = [parse(line) for line in [*SMALL, "y conv 1,14,14,16 3 1 1 16"]]
    if name in WINOGRAD:
        shapes = [shape for shape in shapes if shape.winograd]
    with _started(conduct.Worker(name, 1, tmp_path)) as peer:
        for shape in shapes:
            path = tmp_path / "reference.npy"
            np.save(path, worker.reference_of(Operands.of(shape)))
            answer = peer.ask({"do": "prepare", "line": shape.line, "reference": str(path)})
            if "refused" in answer:
                assert " off by " not in answer["refused"]
                assert "Error" not in answer["refused"]
            else:
                assert answer["wrong"] == {}
                assert max(answer["errors"].values()) < worker.TOLERANCE


class _started:
    """A worker that has greeted and will be ended."""

    def __init__(self, peer: conduct.Worker) -> None:
        self.peer = peer

    def __enter__(self) -> conduct.Worker:
        hello = self.peer.receive()
        assert "version" in hello, hello
        return self.peer

    def __exit__(self, *error: object) -> None:
        self.peer.end()


def test_fastest_counts_its_calls() -> None:
    calls: list[None] = []
    microseconds, count = worker.fastest(lambda: calls.append(None), 1_000_000)
    assert count == len(calls) > 1
    assert microseconds > 0


def test_a_wrong_result_is_left_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(cl, "set_num_threads", lambda count: None)
    peer = worker.Peer("convlite", 1)
    shape = parse(SMALL[0])
    np.save(tmp_path / "wrong.npy", worker.reference_of(Operands.of(shape)) + 1)
    assert "off by" in peer.prepare(shape, str(tmp_path / "wrong.npy"))["refused"]
    assert peer.calls == {}


def test_variants_take_turns_and_the_fastest_stays() -> None:
    peer = object.__new__(worker.Peer)
    shape = parse(SMALL[0])
    slow, quick = (lambda: sum(range(20_000))), (lambda: None)
    peer.calls = {shape.name: {"slow": ours.Call(slow, slow), "quick": ours.Call(quick, quick)}}
    peer.best = {shape.name: {}}
    turns = [peer.time(shape, turn, 100_000)["variant"] for turn in range(6)]
    assert turns == ["slow", "quick", "slow", "quick", "quick", "quick"]


def test_the_environment_of_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    monkeypatch.setenv("KMP_BLOCKTIME", "0")
    monkeypatch.setenv("CONVLITE_ISA", "base")
    found = conduct.environment("numpy", 2)
    assert not {"OPENBLAS_CORETYPE", "KMP_BLOCKTIME"} & set(found)
    assert found["OPENBLAS_NUM_THREADS"] == found["OMP_NUM_THREADS"] == "2"
    assert found["CONVLITE_ISA"] == "base"


# ---- the command -------------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="the workers are stopped by POSIX signals")
def test_a_run_against_numpy(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    shapes = tmp_path / "few.txt"
    shapes.write_text("\n".join(["vector dense 1,64 - - - 10", "head transpose 1,8,8,8 2 2 0 4"]))
    out = tmp_path / "out"
    arguments = [
        "--against",
        "numpy",
        "--shapes",
        str(shapes),
        "--threads",
        "1",
        "--rounds",
        "2",
        "--out",
        str(out),
    ]
    assert run.main(arguments) == 0
    printed = capfd.readouterr().out
    data = json.loads((out / "convlite-bench.json").read_text())
    assert report.table(data) in printed
    assert [record["name"] for record in data["results"]] == ["vector", "head"]
    vector, head = (record["peers"] for record in data["results"])
    assert set(vector) == {"convlite", "numpy"}
    assert set(head) == {"convlite"}
    assert len(vector["numpy"]["rounds"]) == 2
    assert min(vector["numpy"]["rounds"]) == vector["numpy"]["us"] > 0
    assert max(data["machine"]["1"]["gflops"]) > 0
    assert set(data["resident"]["1"]) >= {"convlite", "numpy"}
    assert 1e6 < data["resident"]["1"]["convlite"] < 1e12
    assert "most memory resident, MB, all layers prepared: convlite " in printed
    context = data["context"]
    assert {"cpu", "compiler", "flags", "command", "date", "noise", "isa"} <= set(context)
    assert re.match(r"-O\d -fno-math-errno -ffp-contract=off |those of the wheel", context["flags"])
    assert context["command"].startswith("convlite bench --against numpy")
    assert run.main(["--show", str(out / "convlite-bench.json")]) == 0
    assert capfd.readouterr().out == report.table(data)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--against", "numpy,tensorflow"], "no such peer: 'tensorflow'"),
        (["--threads", "0"], "positive integers"),
        (["--threads", "two"], "positive integers"),
    ],
)
def test_misuse(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        run.main(arguments)
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "no shapes"), ("a conv", "line 1"), ("a dense 1,2 - - - 3\na dense 1,2 - - - 3", "same name: a")],
)
def test_bad_files(text: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "shapes.txt"
    path.write_text(text)
    assert run.main(["--shapes", str(path)]) == 1
    assert message in capsys.readouterr().err


def test_a_missing_peer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    held = conduct._Run(1, 1, said.append, lambda name, n: None)

    class Absent:
        peer, threads = "torch", 1

        def receive(self) -> dict[str, str]:
            return {"missing": "No module named 'torch'"}

    held._greet(Absent())  # type: ignore[arg-type]
    assert said == ["skipped torch: No module named 'torch' (pip install \"convlite[bench]\")"]
    assert held.workers == []


def test_the_compiler_is_named() -> None:
    from convlite import _kernels

    found = machine.compiler(Path(_kernels.__file__))
    assert found == "unknown" or any(name in found for name in ("GCC", "clang"))


# ---- tables, from a stored run -----------------------------------------------------------------------------


def _entry(*rounds: float) -> dict[str, Any]:
    return {"errors": {"only": 1e-7}, "rounds": list(rounds), "us": min(rounds), "variant": "only"}


def _stored() -> dict[str, Any]:
    def record(line: str, threads: int, **peers: Any) -> dict[str, Any]:
        found = conduct._record(parse(line, "some"), threads)
        return {**found, "gbs": 20.0, "peers": peers}

    return {
        "context": {
            "cpu": "A CPU", "cores": 2, "isa": "avx2", "compiler": "GCC 12", "flags": "-O3", "rounds": 2,
            "date": "2026-01-02T03:04:05+00:00", "command": "convlite bench", "noise": {"1": 0.1},
        },
        "versions": {"convlite": "0.1", "torch": "2", "numpy": "2.4", "ncnn_wino": "1"},
        "skipped": {},
        "machine": {"1": {"gflops": [90.0, 100.0]}},
        "results": [
            record(
                "three conv 1,56,56,64 3 1 1 64", 1,
                convlite=_entry(2500.0, 3000.0), convlite_fast=_entry(1200.0), torch=_entry(3000.0),
                ncnn_wino=_entry(1800.0),
            ),
            record("vector dense 1,1000 - - - 1000", 1, convlite=_entry(250.0), numpy=_entry(200.0)),
            record("small dense 1,4 - - - 4", 1, convlite=_entry(5.0), numpy=_entry(1.0), torch=_entry(9.0)),
        ],
    }  # fmt: skip


def test_rows_and_summary() -> None:
    three, vector, small = report.rows(_stored())
    assert three.ratio() == pytest.approx(1.2)  # not against Winograd's form
    assert three.ratio("convlite_fast") == pytest.approx(1.5)
    assert three.fraction("convlite") == pytest.approx(2 * 56 * 56 * 9 * 64 * 64 / 100e3 / 2500)
    assert three.noise["convlite"] == pytest.approx(0.1)
    assert three.bound == "compute"
    assert (vector.bound, vector.limit_us) == ("memory", pytest.approx(4 * (1_000_000 + 2000) / 20e3))
    assert vector.ratio() == pytest.approx(0.8)
    assert math.isnan(vector.ratio("convlite_fast"))
    assert small.rivals() == ["numpy", "torch"]
    found = {(entry.family, entry.ours): entry for entry in report.summary(report.rows(_stored()))}
    assert found["tiny", "convlite"].worst.name == "small"
    assert found["dense, batch 1", "convlite"].won == 0
    assert set(found) == {
        ("3x3", "convlite"), ("3x3", "convlite_fast"), ("dense, batch 1", "convlite"), ("tiny", "convlite"),
    }  # fmt: skip


def test_titles_name_the_network() -> None:
    titles = {shape.name: shape.title for shape in shipped()}
    assert titles["rn_3x3_64-64@56"] == "ResNet-50, 3x3, 64 to 64, 56x56"
    assert titles["tc_unet_2x2s2_128-64@56"] == "U-Net, transposed 2x2 / 2, 128 to 64, 56x56"
    assert titles["mb_dw3_96@56"] == "MobileNetV2, depthwise 3x3, 96 to 96, 56x56"
    assert titles["mb_dw5_240@14"] == "MobileNetV3, depthwise 5x5, 240 to 240, 14x14"
    assert titles["mm_1x4096x4096"] == "dense, 4096 to 4096, batch 1"  # of no network
    stored = _stored()
    stored["results"][0]["network"] = "resnet50"
    for made in (report.table(stored), _script().block(stored), draw(stored)):
        assert "ResNet-50, 3x3, 64 to 64, 56x56" in made


def test_table() -> None:
    lines = report.table(_stored()).splitlines()
    (three,) = (line for line in lines if line.startswith("3x3, "))
    # GFLOP/s, the best marked; microseconds, ratio, that of precision("fast"), part of the limit, best peer
    assert three.removeprefix("3x3, 64 to 64, 56x56").split() == [
        "92.5", "*193", "77.1", "128", "-", "2500", "1.20", "1.50", "92%", "torch",
    ]  # fmt: skip
    (small,) = (line for line in lines if line.startswith("dense, 4 to 4"))
    assert small.removeprefix("dense, 4 to 4, batch 1").split() == [
        "5.0",
        "-",
        "9.0",
        "-",
        "*1.0",
        "5.0",
        "0.20",
        "-",
        "-",
        "numpy",
    ]
    behind = lines.index("  behind:")
    told = ["    0.20  dense, 4 to 4, batch 1", "    0.80  dense, 1000 to 1000, batch 1"]
    assert lines[behind + 1 : behind + 3] == told
    assert len({line.index("ratio") for line in lines if " ratio " in line}) == 1


def test_picture() -> None:
    drawn = draw(_stored())
    assert "3x3, 64 to 64, 56x56" in drawn
    assert ">1.50 ncnn<" in drawn
    assert ">0.80 NumPy<" in drawn
    assert draw(_stored(), dark=True) != drawn


def _script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("readme_table", ROOT / "bench" / "readme_table.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_readme_table() -> None:
    script = _script()
    block = script.block(_stored())
    for fact in ("A CPU", "GCC 12", "-O3", "PyTorch 2", "convlite bench", "100 GFLOP/s", "2026-01-02"):
        assert fact in block
    assert "| 3x3 | 1 | **1.20**, 1.20 (3x3, 64 to 64, 56x56), 92% |" in block
    assert '| 3x3, `precision("fast")` | 1 | **1.50**, 1.50 (3x3, 64 to 64, 56x56), 193% |' in block
    text = f"before\n{script.BEGIN}\nold\n{script.END}\nafter\n"
    written = script.rewrite(text, block)
    assert written == script.rewrite(written, block)
    assert written.startswith("before\n")
    assert written.endswith("after\n")
    assert "old" not in written
    with pytest.raises(ValueError, match="has no"):
        script.rewrite("no markers", block)


def test_the_readme_has_the_table_of_the_committed_result() -> None:
    script = _script()
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert script.BEGIN in readme
    result = ROOT / "bench" / "results" / "convlite-bench.json"
    if not result.exists():
        pytest.skip("no result is committed yet")
    assert script.rewrite(readme, script.front(json.loads(result.read_text(encoding="utf-8")))) == readme


def test_shapes_are_values() -> None:
    assert parse(SMALL[0]) == parse(SMALL[0])
    assert isinstance(parse(SMALL[0]), Shape)


def test_a_busy_machine_shows_no_ratios() -> None:
    data = json.loads((ROOT / "bench" / "results" / "convlite-bench.json").read_text())
    assert report.busy(data) is None
    quiet = report.table(data)
    assert "best peer" in quiet
    assert "ratio" in quiet
    data["busy"] = {"all": 0.25}
    data["context"]["anyway"] = False
    text = report.table(data)
    assert text.startswith("The machine was busy: other processes took 25% of the processors")
    assert not re.search(r"best peer|convlite / peer|times the best|behind:", text)
    assert not re.search(r" ratio +limit", text)
    data["context"]["anyway"] = True
    assert report.table(data) == quiet


@pytest.mark.skipif(sys.platform == "win32", reason="the workers are stopped by POSIX signals")
def test_nothing_is_written_unasked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "few.txt").write_text("vector dense 1,64 - - - 10")
    arguments = ["--against", "numpy", "--shapes", "few.txt", "--threads", "1", "--rounds", "1"]
    assert run.main(arguments) == 0
    assert "wrote" not in capfd.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["few.txt"]
