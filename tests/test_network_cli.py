"""The commands convert, inspect and run: what they print and write, and how they end."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import network_examples
import numpy as np
import pytest

import convlite as cl
from convlite import cli
from convlite.network.graph import Graph, Node, Value

F = np.dtype("float32")
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in an empty folder; nothing may be written there."""
    empty = tmp_path / "here"
    empty.mkdir()
    monkeypatch.chdir(empty)

    def call(*arguments: Any) -> tuple[int, str, str]:
        status = cli.main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        assert list(empty.iterdir()) == []
        return status, captured.out, captured.err

    return call


def mean_of_channels(folder: Path, shape: tuple[Any, ...], axes: list[int]) -> Path:
    """A classifier whose classes are the means of the channels."""
    nodes = [Node("reduce_mean", ("x", "axes"), ("y",), {"keepdims": False, "noop_with_empty_axes": False})]
    channels = next(size for axis, size in enumerate(shape) if axis not in (0, *axes))
    x, y = Value("x", F, shape), Value("y", F, (shape[0], channels))
    net = cl.Network(Graph.of([x], [y], nodes, {"axes": np.array(axes)}, name="means"))
    path = folder / "means.npz"
    net.save(path)
    return path


def convolution(folder: Path) -> Path:
    """A picture in, the same picture out: a 1x1 kernel that is the identity."""
    attributes = {"strides": (1, 1), "padding": "same", "dilations": (1, 1), "groups": 1, "activation": None}
    node = Node("conv", ("x", "k"), ("y",), attributes, "the conv")
    x, y = (Value(name, F, ("N", "H", "W", 3)) for name in "xy")
    path = folder / "same.npz"
    cl.Network(Graph.of([x], [y], [node], {"k": np.eye(3, dtype=F)[None, None]})).save(path)
    return path


def picture(path: Path, colour: tuple[int, int, int] = (10, 200, 30), size: tuple[int, int] = (6, 4)) -> Path:
    image = pytest.importorskip("PIL.Image")
    image.new("RGB", size, colour).save(path)
    return path


def test_run_shows_the_classes_of_a_picture(run: Run, tmp_path: Path) -> None:
    model = mean_of_channels(tmp_path, (1, 4, 6, 3), [1, 2])
    labels = tmp_path / "labels.txt"
    labels.write_text("red\ngreen\nblue\n")
    status, out, err = run("run", model, picture(tmp_path / "p.png"), "--labels", labels, "--top", 2)
    assert (status, err) == (0, "")
    assert [line.split() for line in out.splitlines()] == [
        ["Class", "Value", "Label"], ["1", "0.784314", "green"], ["2", "0.117647", "blue"],
    ]  # fmt: skip


@pytest.mark.parametrize("names", ["red\ngreen\n", "red\ngreen\nblue\nblack\n"])
def test_labels_name_each_class(run: Run, tmp_path: Path, names: str) -> None:
    model = mean_of_channels(tmp_path, (1, 4, 6, 3), [1, 2])
    labels = tmp_path / "labels.txt"
    labels.write_text(names)
    status, out, err = run("run", model, picture(tmp_path / "p.png"), "--labels", labels)
    assert (status, out) == (1, "")
    assert re.search(
        rf"--labels must name each of the 3 classes.* it names {names.count(chr(10))}$", err.strip()
    )
    labels.write_bytes(b"\xff\xfe\x00")
    status, _, err = run("run", model, picture(tmp_path / "p.png"), "--labels", labels)
    assert status == 1
    assert "must be a text file in UTF-8" in err


def test_labels_want_classes(run: Run, tmp_path: Path) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("red\n")
    status, _, err = run("run", convolution(tmp_path), picture(tmp_path / "p.png"), "--labels", labels)
    assert status == 1
    assert "--labels needs one output that is a vector" in err


def test_run_takes_channels_first_and_normalises(run: Run, tmp_path: Path) -> None:
    model = mean_of_channels(tmp_path, ("N", 3, "H", "W"), [2, 3])
    status, out, _ = run(
        "run",
        model,
        picture(tmp_path / "p.png"),
        "--scale",
        1,
        "--mean",
        "10,100,0",
        "--std",
        2,
        "--size",
        "8x8",
    )
    assert status == 0
    assert [line.split() for line in out.splitlines()[1:]] == [["1", "50"], ["2", "15"], ["0", "0"]]


def test_run_writes_a_picture(run: Run, tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    out = tmp_path / "out.png"
    assert run("run", convolution(tmp_path), picture(tmp_path / "p.png"), "--out", out)[0] == 0
    with image.open(out) as written:
        assert written.size == (6, 4)
        assert written.getpixel((2, 2)) == (10, 200, 30)


def test_run_goes_through_a_folder_and_reports_what_is_broken(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(7):
        picture(folder / f"{number}.png", (number, 0, 0))
    whole = (folder / "5.png").read_bytes()
    (folder / "5.png").write_bytes(whole[: len(whole) // 2])
    (folder / "8.jpg").write_bytes(b"no picture")
    (folder / "notes.txt").write_text("not read")
    out = tmp_path / "out.npz"
    status, printed, err = run("run", convolution(tmp_path), folder, "--out", out, "--workers", 3)
    assert (status, printed) == (1, "")
    lines = err.splitlines()
    assert [re.sub(r": .*", "", line.removeprefix("convlite run: ")) for line in lines] == [
        str(folder / "5.png"), str(folder / "8.jpg"),
    ]  # fmt: skip
    with np.load(out) as held:
        assert sorted(held.files) == [f"{number}.png/y" for number in (0, 1, 2, 3, 4, 6)]
        np.testing.assert_array_equal(held["3.png/y"][0, 0, 0], np.array([3 / 255, 0, 0], F))
    assert not list(tmp_path.glob(".*part"))


def test_run_takes_arrays_by_name(run: Run, tmp_path: Path) -> None:
    a, b, y, z = (Value(name, F, ("N", 2)) for name in "abyz")
    model = tmp_path / "two.npz"
    nodes = [Node("sub", ("a", "b"), ("y",)), Node("add", ("a", "b"), ("z",))]
    cl.Network(Graph.of([a, b], [y, z], nodes)).save(model)
    np.savez(tmp_path / "in.npz", b=np.ones((1, 2), F), a=np.full((1, 2), 3, F))
    status, out, _ = run("run", model, tmp_path / "in.npz")
    assert status == 0
    assert [line.split()[:4] for line in out.splitlines()[1:]] == [
        ["y", "float32", "(1,", "2)"], ["z", "float32", "(1,", "2)"],
    ]  # fmt: skip
    assert run("run", model, tmp_path / "in.npz", "--out", tmp_path / "o.npz")[0] == 0
    with np.load(tmp_path / "o.npz") as held:
        assert held["y"].tolist() == [[2, 2]]
        assert held["z"].tolist() == [[4, 4]]
    np.save(tmp_path / "in.npy", np.ones((1, 2), F))
    status, _, err = run("run", model, tmp_path / "in.npy")
    assert status == 1
    assert "one .npz file" in err


def test_run_without_input_times_it(run: Run, tmp_path: Path) -> None:
    model = convolution(tmp_path)
    status, _, err = run("run", model)
    assert status == 1
    assert "--size" in err
    trace = tmp_path / "trace.json"
    status, out, _ = run("run", model, "--size", "5x7", "--profile", trace)
    assert status == 0
    assert "random input x: float32(1, 5, 7, 3)" in out
    assert "first call" in out
    assert "Runs as" in out
    assert [event["name"] for event in json.loads(trace.read_text())["traceEvents"]] == ["the conv"]


def test_convert_and_inspect(run: Run, tmp_path: Path) -> None:
    model = convolution(tmp_path)
    out = tmp_path / "half.npz"
    status, printed, _ = run("convert", model, out, "--float16")
    assert status == 0
    assert re.fullmatch(
        rf"wrote {re.escape(str(out))}: 1 nodes, 0\.0+[1-9] MB \(from 0\.0+[1-9] MB\)\n", printed
    )
    with zipfile.ZipFile(out) as archive:
        assert "graph.npy" in archive.namelist()
    status, printed, _ = run("inspect", out, "--text")
    assert status == 0
    for text in ("the conv", "(N, H, W, 3)", "Multiply-adds: 9*H*N*W", "Parameters: 9", "groups=1"):
        assert text in printed


@pytest.mark.parametrize("command", ["run", "inspect", "convert"])
def test_errors_are_one_line(command: str, run: Run, tmp_path: Path) -> None:
    more = [tmp_path / "out.npz"] if command == "convert" else []
    for name, text in (("none.npz", "No such file"), ("model.pb", ".onnx, .tflite")):
        status, out, err = run(command, tmp_path / name, *more)
        assert (status, out) == (1, "")
        assert err.startswith(f"convlite {command}: ")
        assert text in err
        assert len(err.splitlines()) == 1
    assert not (tmp_path / "out.npz").exists()


def test_inspect_lists_every_node_that_is_not_supported(run: Run, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    nodes = [helper.make_node("DFT", ["x"], ["a"], "one"), helper.make_node("Nope", ["a"], ["y"], "two")]
    values = [helper.make_tensor_value_info(name, kind, [1, 4, 2]) for name in "xy"]
    onnx.save(helper.make_model(helper.make_graph(nodes, "g", values[:1], values[1:])), tmp_path / "m.onnx")
    status, out, err = run("inspect", tmp_path / "m.onnx")
    assert (status, out) == (1, "")
    assert "one" in err
    assert "two" in err
    assert len(run("run", tmp_path / "m.onnx")[2].splitlines()) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["--size", "5"],
        ["--mean", "a"],
        ["--scale", "0"],
        ["--workers", "0"],
        ["--top", "2", "--out", "a.npz"],
        [],
    ],
)
def test_misuse_ends_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.main(["run", *(["m.npz"] if arguments else []), *arguments])
    assert "error:" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--out", "a.txt"], ".npz or .png"),
        (["--profile=a.txt"], ".json"),
        (["--mean", "1,2"], "3 channels"),
    ],
)
def test_options_that_do_not_fit(arguments: list[str], text: str, run: Run, tmp_path: Path) -> None:
    status, _, err = run("run", convolution(tmp_path), picture(tmp_path / "p.png"), *arguments)
    assert status == 1
    assert text in err


def test_a_size_that_the_network_does_not_take(run: Run, tmp_path: Path) -> None:
    model = mean_of_channels(tmp_path, (1, 4, 6, 3), [1, 2])
    status, _, err = run("run", model, picture(tmp_path / "p.png"), "--size", "5x5")
    assert status == 1
    assert "--size does not fit" in err


def test_run_into_a_folder_skips_what_is_done_and_survives_what_is_broken(run: Run, tmp_path: Path) -> None:
    model, pictures, out = convolution(tmp_path), tmp_path / "in", tmp_path / "out"
    pictures.mkdir()
    for number in range(4):
        picture(pictures / f"{number}.png", (number, 2, 3))
    (pictures / "2.png").write_bytes((pictures / "1.png").read_bytes()[:50])  # cut off
    (pictures / "5.jpg").write_bytes(b"no picture")
    status, text, errors = run("run", model, pictures, "--out", out, "--workers", "3")
    assert status == 1
    assert re.fullmatch(r"3 done, 0 skipped, 2 failed in [\d.]+ s, [\d.]+ a second: .*out\n", text)
    assert [line.split(":")[1].rsplit("/")[-1] for line in errors.splitlines()] == ["2.png", "5.jpg"]
    assert sorted(path.name for path in out.iterdir()) == ["0.png.npz", "1.png.npz", "3.png.npz"]
    with np.load(out / "3.png.npz") as held:
        np.testing.assert_allclose(held["y"][0, 0, 0], np.float32([3, 2, 3]) / 255, rtol=1e-6)

    before = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    picture(pictures / "2.png")
    (pictures / "5.jpg").unlink()
    status, text, errors = run("run", model, pictures, "--out", out)
    assert (status, errors) == (0, "")
    assert text.startswith("1 done, 3 skipped, 0 failed in ")
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())
    status, text, errors = run("run", model, pictures, "--out", out)
    assert text.startswith("0 done, 4 skipped, 0 failed in ")

    status, text, errors = run("run", model, pictures, "--out", tmp_path / "drawn", "--format", "png")
    assert sorted(path.name for path in (tmp_path / "drawn").iterdir()) == [f"{n}.png.png" for n in range(4)]
    status, text, errors = run("run", model, pictures, "--out", tmp_path / "all.npz", "--format", "png")
    assert (status, errors) == (1, "convlite run: --format goes with --out DIR\n")


def test_inputs_of_one_name_in_two_folders(run: Run, tmp_path: Path) -> None:
    model, out = convolution(tmp_path), tmp_path / "out"
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        picture(tmp_path / name / "1.png")
    assert run("run", model, tmp_path / "a", tmp_path / "b", "--out", out)[0] == 0
    assert sorted(path.name for path in out.iterdir()) == ["a-1.png.npz", "b-1.png.npz"]
    for name in ("a", "b"):
        (tmp_path / name / "c").mkdir()
        picture(tmp_path / name / "c" / "2.png")
    status, _, errors = run("run", model, tmp_path / "a" / "c", tmp_path / "b" / "c", "--out", out)
    assert status == 1
    assert "two inputs would be written to" in errors


def test_messages_and_progress_share_no_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    network = tmp_path / "net.npz"
    cl.Network(network_examples.classifier()).save(network)
    for name in ("a.npy", "b.npy"):
        np.save(tmp_path / name, np.zeros((1, 8, 8, 3), np.float32))
    (tmp_path / "broken.npy").write_bytes(b"no array")
    inputs = [str(tmp_path / name) for name in ("a.npy", "broken.npy", "b.npy")]

    assert cli.main(["run", str(network), *inputs]) == 1  # redirected: no bar at all
    captured = capsys.readouterr()
    assert len(captured.err.splitlines()) == 1
    assert "\r" not in captured.err + captured.out

    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    assert cli.main(["run", str(network), *inputs, "--out", str(tmp_path / "out")]) == 1
    (message,) = [line for line in capsys.readouterr().err.split("\r") if "broken.npy" in line]
    assert message.startswith("\x1b[Kconvlite run: ")


def test_a_missing_file_is_named_once(run: Run, tmp_path: Path) -> None:
    missing = tmp_path / "none.jpg"
    status, _, err = run("run", convolution(tmp_path), missing)
    assert status == 1
    assert err == f"convlite run: {missing}: No such file or directory\n"


def test_convert_counts_the_weights_beside_an_onnx_file(run: Run, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    weights = onnx.numpy_helper.from_array(np.zeros(500_000, np.float32), "w")
    values = [onnx.helper.make_tensor_value_info(name, 1, [500_000]) for name in "xy"]
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Add", ["x", "w"], ["y"])], "g", values[:1], values[1:], [weights]
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)])
    onnx.save(model, tmp_path / "m.onnx", save_as_external_data=True, location="m.onnx.data")
    status, printed, _ = run("convert", tmp_path / "m.onnx", tmp_path / "m.npz")
    assert status == 0
    assert printed.endswith(" 2.0 MB (from 2.0 MB)\n")
