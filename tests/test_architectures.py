"""Well-known architectures, written by PyTorch and Keras in all their ways, give ONNX Runtime's numbers.

Weights are random and the same everywhere, so the golden file holds outputs only. PyTorch, torchvision or
Keras build the networks: without them the tests are skipped aloud. A few run always, the rest with --long.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import architectures
import numpy as np
import pytest

import convlite as cl

GOLDEN = Path(__file__).parent / "golden" / "architectures.npz"
LEAST = 2e-5  # of the largest output; where the runtime's own two ways differ by more, ten times that
QUICK = {("mobilenet_v3_small", "scripted"), ("dcgan", "traced"), ("yolov8n", "scripted")}
pytestmark = pytest.mark.filterwarnings("ignore")  # of the exporters and Keras


def needed(name: str, way: str) -> list[str]:
    """The packages that build this network and write it."""
    if name.startswith("keras "):
        return ["torch", "keras", *(["onnx", "onnxscript"] if way == "onnx" else [])]
    own = architectures.TORCH[name][0] == "own"
    return ["torch", "onnx", "onnxscript", *([] if own else ["torchvision"])]


def missing(name: str, way: str) -> list[str]:
    return [package for package in needed(name, way) if architectures.absent(package)]


@functools.cache
def golden() -> dict[str, np.ndarray]:
    with np.load(GOLDEN) as file:
        return dict(file)


def cases() -> list[Any]:
    return [
        pytest.param(name, way, marks=[] if (name, way) in QUICK else pytest.mark.long)
        for name, way in architectures.CASES
    ]


@pytest.mark.parametrize(("name", "way"), cases())
def test_an_architecture_gives_the_runtime_s_numbers(name: str, way: str, tmp_path: Path) -> None:
    if missing(name, way):
        pytest.skip(f"{', '.join(missing(name, way))} not installed: {name} cannot be built")
    source = architectures.written(name, way, tmp_path)
    net = cl.load(source) if isinstance(source, Path) else cl.Network.from_keras(source)
    outputs = net(architectures.input_of(name))
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    held = golden()
    allowed = max(LEAST, 10 * float(held[f"{name}/noise"]))
    for number, output in enumerate(outputs):
        got = architectures.kept(output)
        wanted = {key: held[f"{name}/{number}/{key}"] for key in got}
        assert got["shape"].tolist() == wanted["shape"].tolist()
        largest = wanted["norms"][0]
        assert np.abs(got["values"].astype(np.float64) - wanted["values"]).max() <= allowed * largest
        np.testing.assert_allclose(got["norms"], wanted["norms"], rtol=0, atol=allowed * largest)
    assert f"{name}/{len(outputs)}/shape" not in held
    graph = architectures.graph_of(source)
    before, after = held[f"{name}/{way}/nodes"]
    if architectures.nodes_in(source, graph) == before:  # other versions of the exporters write other files
        assert len(net.graph.nodes) <= after


@pytest.mark.parametrize("name", ["MobileNetV2", pytest.param("ResNet50", marks=pytest.mark.long)])
def test_no_transpose_of_a_keras_export_stays_inside(name: str, tmp_path: Path) -> None:
    if missing(f"keras {name}", "onnx"):
        pytest.skip(f"{', '.join(missing(f'keras {name}', 'onnx'))} not installed")
    path = architectures.written(f"keras {name}", "onnx", tmp_path)
    graph = architectures.graph_of(path)
    assert sum(node.kind == "transpose" for node in graph.nodes) > 100
    assert not [node for node in cl.load(path).graph.nodes if node.kind == "transpose"]
