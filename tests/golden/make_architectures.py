"""Write architectures.npz: what ONNX Runtime gives for well-known architectures with random weights.

    python tests/golden/make_architectures.py [NAME ...]

Needs torch, torchvision, onnxscript, keras and onnxruntime; takes ten minutes. NAME: only these, beside what is there.
Kept of each network: shape, norms and up to 256 numbers of every output, without optimisation; the noise, the largest
difference (over the largest output) between the runtime with and without optimisation; and for every way in which
the network is written, the nodes in the file and those that are left after the passes.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from architectures import CASES, graph_of, input_of, kept, nodes_in, written

from convlite.network.passes import optimised

FILE = Path(__file__).with_name("architectures.npz")


def by_runtime(path: Path, x: np.ndarray) -> tuple[list[np.ndarray], float]:
    """The outputs without optimisation, and how far those with it are from them."""
    import onnxruntime as ort

    found = []
    for level in (ort.GraphOptimizationLevel.ORT_DISABLE_ALL, ort.GraphOptimizationLevel.ORT_ENABLE_ALL):
        options = ort.SessionOptions()
        options.graph_optimization_level, options.log_severity_level = level, 3
        session = ort.InferenceSession(str(path), options)
        found.append(session.run(None, {session.get_inputs()[0].name: x}))
    noise = max(float(np.abs(a - b).max() / max(np.abs(a).max(), 1e-30)) for a, b in zip(*found, strict=True))
    return found[0], noise


def main(*chosen: str) -> None:
    made: dict[str, np.ndarray] = dict(np.load(FILE)) if chosen and FILE.exists() else {}
    for name, way in CASES:
        if chosen and name not in chosen:
            continue
        with tempfile.TemporaryDirectory() as folder:
            source = written(name, way, Path(folder))
            graph = graph_of(source)
            counts = (nodes_in(source, graph), len(optimised(graph).nodes))
            made[f"{name}/{way}/nodes"] = np.array(counts)
            text = f"{name}, {way}: {counts[0]} nodes, {counts[1]} after the passes"
            if isinstance(source, Path) and source.suffix == ".onnx":
                outputs, noise = by_runtime(source, input_of(name))
                noise = max(noise, float(made.get(f"{name}/noise", 0)) if way == "traced" else 0.0)
                made[f"{name}/noise"] = np.float64(noise)
                for number, output in enumerate(outputs):
                    for key, value in kept(output).items():
                        made[f"{name}/{number}/{key}"] = value
                text += f"; noise {noise:.1e}, largest {[float(np.abs(y).max()) for y in outputs]}"
            print(text, flush=True)
        np.savez_compressed(FILE, **made)


if __name__ == "__main__":
    main(*sys.argv[1:])
