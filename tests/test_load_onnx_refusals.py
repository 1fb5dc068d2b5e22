"""ONNX files that are refused: what the message says, what is never done, and the table of operators."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="the package onnx is not installed: the importer is not tested")

import onnx_fuzz  # noqa: E402
from onnx_models import model, node, refusal, values  # noqa: E402

import convlite as cl  # noqa: E402
from convlite.network.load.onnx import NEWEST, OLDEST, OPERATORS, read_onnx  # noqa: E402
from convlite.network.load.onnx.signatures import signature_of  # noqa: E402

# ---- refusals


def test_everything_that_is_not_supported_is_told_at_once() -> None:
    nodes = [
        node("Det", "x", ["a"], name="first"),
        node("Add", "aa", ["b"]),  # follows from the first: not told
        node("Conv", "xw", ["c"], name="second", auto_pad="SIDEWAYS"),
        node("LSTM", "x", ["d"], name="third"),
        node("Frobnicate", "x", ["e"]),
    ]
    text = refusal(
        model(nodes, {"x": (1, 1, 4, 4)}, ["b", "c", "d", "e"], constants={"w": values(1, 1, 1, 1)})
    )
    assert text.startswith("the ONNX model: 4 nodes cannot be read\n")
    for part in [
        "Det 'first': the operator is not supported",
        "Conv 'second': the attribute 'auto_pad' is 'SIDEWAYS'; supported are",
        "LSTM 'third': 1 inputs; LSTM has 3 to 8",
        "Frobnicate 'e': the operator is not known",
    ]:
        assert part in text
    assert "Add" not in text


@pytest.mark.parametrize(
    ("nodes", "text"),
    [
        ([node("Relu", ["nowhere"])], "Relu 'y': nothing writes its input 'nowhere'"),
        ([node("Relu", "z", ["z2"])], "nothing writes the output 'y'"),
        (
            [node("Neg", "b", ["a"]), node("Neg", "a", ["b"]), node("Neg", "a")],
            "the nodes form a cycle through Neg",
        ),
        ([node("Neg", "x"), node("Relu", "x")], "the value 'y' is written twice"),
        ([node("Neg", "y")], "reads what it writes"),
        (
            [node("Relu", "x", alpha=1.0)],
            "the attribute 'alpha' is not known for this operator in version 20",
        ),
        ([node("Transpose", "x", perm=[0, 0, 1, 2])], "no permutation"),
        ([node("Concat", "xx", axis=7)], "axis 7"),
        ([node("Concat", "xx")], "the attribute 'axis' is missing"),
        ([node("Flatten", "x", axis="one")], "the attribute 'axis' must be an integer"),
        ([node("MaxPool", "x", kernel_shape=[2, 2], strides=[0, 1])], "'strides' must be positive"),
        ([node("MaxPool", "x", kernel_shape=[2, 2], pads=[1, 1])], "'pads' has 2 entries for 2 spatial axes"),
        ([node("MaxPool", "x", kernel_shape=[2, 2], pads=[-1, 0, 0, 0])], "must not be negative"),
        ([node("Resize", ["x", "", "", ""])], "either scales or sizes"),
        ([node("Cast", "x", to=8)], "elements of type string are not supported"),
        ([node("Cast", "x", to=77)], "of unknown number 77"),
    ],
)
def test_malformed_models_are_refused_by_name(nodes: Sequence[Any], text: str) -> None:
    assert text in refusal(model(nodes, {"x": (1, 2, 4, 4)}))


def test_versions_that_are_not_read() -> None:
    for opset, hint in [(OLDEST - 1, "newer"), (NEWEST + 1, "or older")]:
        text = refusal(model([node("Relu", "x")], {"x": (1,)}, opset=opset))
        assert f"version {opset}" in text
        assert hint in text


@pytest.mark.parametrize("data", [b"", b"\x00", b"not a model", b"\x08\x07", bytes(range(256))])
def test_other_files_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="the ONNX model"):
        read_onnx(data)


def test_what_is_no_source() -> None:
    with pytest.raises(TypeError, match=r"a path, bytes or an onnx\.ModelProto"):
        read_onnx(3)  # type: ignore[arg-type]


def test_tensors_whose_bytes_do_not_fit() -> None:
    proto = model([node("Add", "xw")], {"x": (2,)}, constants={"w": np.float32([1, 2])})
    proto.graph.initializer[0].dims[0] = 10**12
    assert "the initialiser 'w': a tensor of shape (1000000000000,)" in refusal(proto)
    proto.graph.initializer[0].dims[0] = -2
    assert "negative size" in refusal(proto)


@pytest.mark.parametrize("kind", ["ConstantOfShape", "Expand", "Tile"])
def test_large_values_are_not_made_while_loading(kind: str) -> None:
    size = 10**12
    constants = {"s": np.int64([size]), "one": np.ones(1, np.float32)}
    graph = read_onnx(
        model([node(kind, ["s"] if kind == "ConstantOfShape" else ["one", "s"])], {}, constants=constants)
    )
    assert graph.outputs[0].shape == (size,)


def test_the_package_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(ImportError, match=r"pip install onnx$"):
        read_onnx(b"")
    with pytest.raises(FileNotFoundError, match=r"No such file or directory: 'nowhere\.onnx'"):
        cl.load("nowhere.onnx")


# ---- the table of operators


def test_every_attribute_of_every_version_is_read_or_ignored() -> None:
    """The schema of each operator against the source of the function that translates it."""
    import inspect

    from convlite.network.load.onnx.operators import convolution, windows

    shared = inspect.getsource(windows) + inspect.getsource(convolution)
    missing = []
    for (domain, name), entry in OPERATORS.items():
        source = inspect.getsource(inspect.getmodule(entry.translate)) + shared  # type: ignore[arg-type]
        for schema in onnx.defs.get_all_schemas_with_history():
            if (schema.domain, schema.name) != (domain, name) or schema.since_version > NEWEST:
                continue
            first = max(OLDEST, entry.since, 17 if name == "LayerNormalization" else 0)
            if schema.since_version < onnx.defs.get_schema(name, first, domain).since_version:
                continue
            missing += [
                f"{entry}: {attribute}" for attribute in schema.attributes if f'"{attribute}"' not in source
            ]
    assert not missing, "\n".join(missing)


def test_versions_of_the_table_are_those_of_onnx() -> None:
    for (domain, name), entry in OPERATORS.items():
        if domain == "" and name != "SimplifiedLayerNormalization":
            newest = onnx.defs.get_schema(name, NEWEST, "")
            assert entry.since <= NEWEST, name
            assert entry.until >= newest.since_version - 1 or newest.deprecated, name


def test_signatures_are_those_of_onnx() -> None:
    newest = min(NEWEST, onnx.defs.onnx_opset_version())
    for domain, name in OPERATORS:
        if domain or name == "SimplifiedLayerNormalization":
            continue
        for version in range(OLDEST, newest + 1):
            try:
                schema = onnx.defs.get_schema(name, version, "")
            except Exception:  # there was no such operator yet
                assert signature_of(name, version) is None, (name, version)
                continue
            found = signature_of(name, version)
            assert found is not None, (name, version)
            assert found.inputs == (schema.min_input, schema.max_input), (name, version)
            assert found.outputs == (schema.min_output, schema.max_output), (name, version)
            needed = [
                entry.name if entry.option == onnx.defs.OpSchema.FormalParameterOption.Single else ""
                for entry in schema.inputs
            ]
            assert list(found.names) == needed[: len(found.names)], (name, version)
            assert not any(needed[len(found.names) :]), (name, version)


def test_reading_does_not_register_all_operators_of_the_package(tmp_path: Path) -> None:
    """It would take 8 MB: the package's table is asked only for what is not in ours."""
    path = tmp_path / "model.onnx"
    onnx.save(model([node("Relu", ["x"])], {"x": (1, 2)}), path)
    code = (
        "import onnx, convlite\n"
        "def refuse(*arguments): raise AssertionError(arguments)\n"
        "onnx.defs.get_schema = refuse\n"
        f"print(convlite.load({str(path)!r}).outputs[0].shape)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "(1, 2)\n", done.stderr


# ---- mutated files


@pytest.mark.parametrize("seed", range(4))
def test_mutated_models_are_read_or_refused(seed: int) -> None:
    """A few hundred mutations each; `python tests/onnx_fuzz.py RUNS SEED` goes on as long as one likes."""
    read, refused = onnx_fuzz.run(250, seed)
    assert read > 10
    assert refused > 10
