"""Networks that were converted here run where there is nothing but Python, NumPy and convlite."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import architectures
import numpy as np
import pytest
from real_networks import inputs_for

import convlite as cl

pytestmark = [
    pytest.mark.filterwarnings("ignore"),  # of the exporters
    pytest.mark.skipif(os.name == "nt" or sys.platform == "emscripten", reason="needs symbolic links"),
]
SCRIPT = """
import importlib.metadata, sys
import numpy as np, convlite as cl
found = {item.metadata["Name"] for item in importlib.metadata.distributions()}
assert found <= {"numpy", "convlite"}, found
net = cl.load(sys.argv[1])
with np.load(sys.argv[2]) as given:
    outputs = net(*(given[f"in{number}"] for number in range(len(net.inputs))))
np.savez(sys.argv[3], *(outputs if isinstance(outputs, tuple) else (outputs,)))
outside = {name.partition(".")[0] for name in sys.modules} - set(sys.stdlib_module_names)
print(*sorted(name for name in outside if not name.startswith(("_", "cython"))))
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a virtual environment into which NumPy and convlite are linked, and nothing else."""
    folder = tmp_path_factory.mktemp("bare")
    command = [sys.executable, "-m", "venv", "--without-pip", "--symlinks", str(folder)]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": ""})
    place = Path(sysconfig.get_path("purelib", "venv", {"base": str(folder), "platbase": str(folder)}))
    numpy = Path(np.__file__).parent
    beside = [
        path for path in numpy.parent.iterdir() if path.name.lower().startswith(("numpy.libs", "numpy-"))
    ]
    for path in (numpy, Path(cl.__file__).parent, *beside):
        (place / path.name).symlink_to(path)
    return folder / "bin" / "python"


def run_bare(python: Path, net: cl.Network, inputs: list[np.ndarray], folder: Path) -> list[np.ndarray]:
    model, given, result = (folder / name for name in ("model.npz", "given.npz", "result.npz"))
    net.save(model)
    np.savez(given, **{f"in{number}": array for number, array in enumerate(inputs)})
    found = subprocess.run(
        [str(python), "-I", "-c", SCRIPT, str(model), str(given), str(result)],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    assert found.stdout.split() == ["convlite", "numpy"]
    with np.load(result) as arrays:
        return [arrays[name] for name in arrays.files]


def agree(python: Path, net: cl.Network, inputs: list[np.ndarray], folder: Path) -> None:
    wanted = net(*inputs)
    got = run_bare(python, net, inputs, folder)
    for one, other in zip(got, wanted if isinstance(wanted, tuple) else (wanted,), strict=True):
        assert one.tobytes() == other.tobytes()


def test_a_mobilenet(python: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="the package onnx is not installed: no network is converted")
    for package in ("torch", "torchvision"):
        if architectures.absent(package):
            pytest.skip(f"{package} is not installed: MobileNetV2 is not built")
    net = cl.load(architectures.written("mobilenet_v2", "scripted", tmp_path))
    agree(python, net, [architectures.input_of("mobilenet_v2")], tmp_path)


@pytest.mark.parametrize("name", ["silero_vad-silero_vad.onnx", "silero_vad-silero_vad_16k_op15.onnx"])
def test_voice_activity(name: str, python: Path, tmp_path: Path) -> None:
    folder = os.environ.get("CONVLITE_MODELS")
    if not folder:
        pytest.skip("CONVLITE_MODELS is not set: `bash .ci/models FOLDER` fetches the trained networks")
    pytest.importorskip("onnx", reason="the package onnx is not installed: no network is converted")
    path = Path(folder) / name
    net = cl.load(path)
    given = inputs_for(path)
    agree(python, net, [given[value.name] for value in net.inputs], tmp_path)
