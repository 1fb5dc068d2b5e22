"""Write docs/real-networks.md: what each network of the tests costs to load, and how close it comes.

    PYTHONPATH=tests python bench/networks.py FOLDER > docs/real-networks.md

FOLDER keeps the files: `bash .ci/models FOLDER` puts the trained ones there, the others are written when they
are missing. Needs `pip install ".[test-networks]"`. Times are the processor's, of all threads, fastest of
interleaved rounds: a neighbour's load does not change them much.
"""

import argparse
import datetime
import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import architectures
import numpy as np
import onnxruntime as ort
import real_networks

import convlite as cl
from convlite.network.load.onnx import read_onnx
from convlite.network.load.tflite import read_tflite

GOLDEN = Path(__file__).parents[1] / "tests" / "golden"
ROUNDS = 5
HEAD = """# Real networks

What [`convlite.load`](api/networks.rst) makes of known networks: trained ones that packages on PyPI ship, and
architectures with random weights as PyTorch (`scripted`, `traced`: its two exporters) and Keras write them.
The tests run all of them (`tests/test_real_networks.py`, `tests/test_architectures.py`).

- error: largest difference from ONNX Runtime (LiteRT for .tflite) without its optimisations, over the largest
  output.
- noise: the same between that runtime with and without its optimisations.
- nodes, run: nodes in the file, and those that run.
- load: what `convlite.load` takes; session: what ONNX Runtime takes to make a session of the same file;
  quotient: the one over the other.
- first call: the first call over a later one; it plans, and lays the weights out.
- saved: the size of `Network.save`'s .npz, and that over the size of the file.

`PYTHONPATH=tests python bench/networks.py FOLDER` writes this page.
"""


def cases(folder: Path) -> Iterator[tuple[str, Path, dict[str, np.ndarray] | np.ndarray, str]]:
    """(title, file, inputs, the name in the golden file)."""
    for name in real_networks.INPUTS:
        if (folder / name).exists():
            yield name.replace("-", ": ", 1), folder / name, real_networks.inputs_for(folder / name), name
    for name, way in architectures.CASES:
        if way in ("live", "file"):
            continue
        path = folder / f"{name.replace(' ', '_')}-{way}.onnx"
        if not path.exists():
            architectures.written(name, way, folder)
        title = f"{name}, {way}" if way != "onnx" else f"{name}, exported to ONNX"
        yield title, path, architectures.input_of(name), name


def error_of(outputs: tuple[np.ndarray, ...], name: str, golden: dict[str, np.ndarray]) -> float:
    worst = 0.0
    for number, output in enumerate(outputs):
        wanted = golden[f"{name}/{number}/values"]
        flat = output.reshape(-1)
        places = np.linspace(0, flat.size - 1, wanted.size).astype(int)
        got = flat if flat.size == wanted.size else flat[places]
        norms = golden.get(f"{name}/{number}/norms")
        largest = max(np.abs(wanted).max() if norms is None else float(norms[0]), 1e-6)
        worst = max(worst, float(np.abs(got.astype(np.float64) - wanted).max()) / largest)
    return worst


def timed(function: Callable[[], Any]) -> float:
    start = time.process_time()
    function()
    return 1e3 * (time.process_time() - start)


def session(path: Path) -> Any:
    options = ort.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 3, 1
    return ort.InferenceSession(str(path), options)


def row(title: str, path: Path, inputs: Any, name: str, golden: dict[str, np.ndarray]) -> str:
    read = read_onnx if path.suffix == ".onnx" else read_tflite
    net = cl.load(path)

    def call() -> Any:
        return net(**inputs) if isinstance(inputs, dict) else net(inputs)

    first, outputs = timed(call), call()
    calls = min(timed(call) for _ in range(ROUNDS))
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    error = error_of(outputs, name, golden)
    loads, sessions = [], []
    for _ in range(ROUNDS):
        loads.append(timed(lambda: cl.load(path)))
        if path.suffix == ".onnx":
            sessions.append(timed(lambda: session(path)))
    ours, theirs = min(loads), min(sessions, default=float("nan"))
    against = f"{theirs:.0f} | {ours / theirs:.2f}" if sessions else "- | -"
    before = architectures.nodes_in(path, None) if path.suffix == ".onnx" else len(read(path).nodes)
    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder) / "net.npz"
        net.save(saved)
        size = saved.stat().st_size
    return (
        f"| {title} | {error:.1e} | {float(golden[f'{name}/noise']):.1e} | {before} | {len(net.graph.nodes)} "
        f"| {ours:.0f} | {against} | {first / calls:.1f} "
        f"| {size / 1e6:.1f} MB, {size / path.stat().st_size:.2f} |"
    )


def processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor()


def main(folder: Path) -> None:
    print(HEAD)
    packages = ", ".join(f"{p} {version(p)}" for p in ("onnxruntime", "torch", "keras", "onnx", "numpy"))
    where = f"{datetime.date.today()}, {processor()}, one thread, convlite {cl.__version__}, {packages}."
    print(f"{where} Milliseconds of processor time.\n")
    print(
        "| network | error | noise | nodes | run | load, ms | session, ms | quotient | first call | saved |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    golden: dict[str, np.ndarray] = {}
    for file in ("real_networks.npz", "architectures.npz"):
        with np.load(GOLDEN / file) as arrays:
            golden |= dict(arrays)
    with cl.num_threads(1):
        for case in cases(folder):
            print(row(*case, golden), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", metavar="FOLDER", type=Path)
    main(parser.parse_args().folder)
