"""Write real_networks.npz: what ONNX Runtime and LiteRT give for trained networks.

    bash .ci/models FOLDER && python tests/golden/make_real_networks.py FOLDER

Needs onnxruntime and ai-edge-litert. Kept: of each output its shape and up to 512 numbers, evenly spread; and
the noise, the largest difference (over the largest output) between the runtime with and without optimisation.
"""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from real_networks import INPUTS, inputs_for, sampled


def by_onnx(path: Path, feeds: dict[str, np.ndarray]) -> tuple[list[np.ndarray], float]:
    import onnxruntime as ort

    found = []
    for level in (ort.GraphOptimizationLevel.ORT_DISABLE_ALL, ort.GraphOptimizationLevel.ORT_ENABLE_ALL):
        options = ort.SessionOptions()
        options.graph_optimization_level, options.log_severity_level = level, 3
        found.append(ort.InferenceSession(str(path), options).run(None, feeds))
    return found[0], noise(*found)


def by_tflite(path: Path, feeds: dict[str, np.ndarray]) -> tuple[list[np.ndarray], float]:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    found = []
    for resolver in (OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES, OpResolverType.AUTO):
        runner = Interpreter(str(path), experimental_op_resolver_type=resolver)
        try:
            runner.allocate_tensors()
        except RuntimeError:  # MediaPipe's own operators are known to the delegate only: no noise is known
            continue
        for info in runner.get_input_details():
            runner.set_tensor(info["index"], feeds[info["name"]])
        runner.invoke()
        found.append([runner.get_tensor(info["index"]) for info in runner.get_output_details()])
    return found[0], noise(found[0], found[-1])


def noise(plain: list[np.ndarray], fast: list[np.ndarray]) -> float:
    return max(
        float(np.abs(a.astype(float) - b).max() / max(np.abs(a).max(), 1e-30))
        for a, b in zip(plain, fast, strict=True)
    )


def main(folder: str) -> None:
    kept: dict[str, np.ndarray] = {}
    for name in INPUTS:
        path = Path(folder) / name
        outputs, scatter = (by_onnx if path.suffix == ".onnx" else by_tflite)(path, inputs_for(path))
        kept[f"{name}/noise"] = np.float64(scatter)
        for number, output in enumerate(outputs):
            kept[f"{name}/{number}/shape"] = np.array(output.shape)
            kept[f"{name}/{number}/values"] = sampled(output)
        print(name, [output.shape for output in outputs], f"noise {scatter:.1e}")
    np.savez_compressed(Path(__file__).with_name("real_networks.npz"), **kept)


if __name__ == "__main__":
    main(*sys.argv[1:])
