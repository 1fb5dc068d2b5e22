"""Trained networks, of the kinds that packages ship, give the numbers of their own runtimes.

CONVLITE_MODELS names the folder that `bash .ci/models FOLDER` filled; without it the tests are skipped aloud.
"""

import os
from pathlib import Path

import numpy as np
import pytest
from real_networks import INPUTS, inputs_for, sampled

import convlite as cl

FOLDER = os.environ.get("CONVLITE_MODELS")
pytestmark = pytest.mark.skipif(
    not FOLDER, reason="CONVLITE_MODELS is not set: `bash .ci/models FOLDER` fetches the trained networks"
)
GOLDEN = Path(__file__).parent / "golden" / "real_networks.npz"
LEAST = 2e-5  # of the largest output; where the runtime's own two ways differ by more, ten times that


def loaded(name: str) -> tuple[cl.Network, dict[str, np.ndarray]]:
    pytest.importorskip(name.rpartition(".")[2], reason="the package that reads this file is not installed")
    path = Path(str(FOLDER)) / name
    return cl.load(path), inputs_for(path)


def outputs_of(net: cl.Network, inputs: dict[str, np.ndarray]) -> tuple[np.ndarray, ...]:
    outputs = net(**inputs)
    return outputs if isinstance(outputs, tuple) else (outputs,)


@pytest.mark.parametrize("name", INPUTS)
def test_a_trained_network_gives_its_runtime_s_numbers(name: str) -> None:
    net, inputs = loaded(name)
    outputs = outputs_of(net, inputs)
    with np.load(GOLDEN) as golden:
        allowed = max(LEAST, 10 * float(golden[f"{name}/noise"]))
        for number, output in enumerate(outputs):
            wanted = golden[f"{name}/{number}/values"]
            assert output.shape == tuple(golden[f"{name}/{number}/shape"])
            error = np.abs(sampled(output).astype(np.float64) - wanted).max()
            assert error <= allowed * max(np.abs(wanted).max(), 1e-6), (number, error)


@pytest.mark.parametrize("name", INPUTS)
def test_saved_and_loaded_it_gives_the_same_bits(name: str, tmp_path: Path) -> None:
    net, inputs = loaded(name)
    net.save(tmp_path / "net.npz")
    again = cl.load(tmp_path / "net.npz")
    for one, other in zip(outputs_of(net, inputs), outputs_of(again, inputs), strict=True):
        assert one.tobytes() == other.tobytes()


@pytest.mark.parametrize("name", INPUTS)
def test_one_thread_gives_the_same_bits(name: str) -> None:
    net, inputs = loaded(name)
    with cl.num_threads(1):
        single = outputs_of(net, inputs)
    with cl.num_threads(2):
        assert [y.tobytes() for y in outputs_of(net, inputs)] == [y.tobytes() for y in single]
