"""Writes onnx_transpose.npz: ConvTranspose by ONNX Runtime 1.32, with every way to state its padding.

    python tests/golden/make_onnx_transpose.py    needs onnx and onnxruntime

One line in, numbers that show which product fell where: 1, 2, 3 times 1, 10, 100, 1000. What ONNX Runtime refuses
is kept as null.
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from onnx import TensorProto, helper

FOLDER = Path(__file__).parent


def run(x: np.ndarray, weight: np.ndarray, attributes: dict[str, Any]) -> np.ndarray | None:
    """The node's output, None where it is refused."""
    node = helper.make_node("ConvTranspose", ["X", "W"], ["Y"], **attributes)
    inputs = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, v.shape) for n, v in (("X", x), ("W", weight))
    ]
    graph = helper.make_graph(
        [node], "g", inputs, [helper.make_tensor_value_info("Y", TensorProto.FLOAT, None)]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        return session.run(None, {"X": x, "W": weight})[0]
    except Exception:
        return None


def main() -> None:
    """Run the grid and write it."""
    cases: list[dict[str, Any]] = []
    row = np.arange(1, 4, dtype=np.float32).reshape(1, 1, 3)
    geometries = [
        (2, 2, 1),
        (3, 2, 1),
        (4, 2, 1),
        (2, 3, 1),
        (1, 3, 1),
        (3, 2, 2),
        (2, 1, 1),
        (3, 1, 2),
        (4, 3, 1),
    ]
    for (k, s, d), mode in itertools.product(geometries, ("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID")):
        weight = np.float32([1, 10, 100, 1000])[:k].reshape(1, 1, k)
        sizes: list[dict[str, Any]] = [{"output_shape": [3 * s + more]} for more in (-2, -1, 0, 1, 4)]
        sizes += [{}, *([{"pads": [1, 0]}, {"pads": [0, 2]}] if mode == "NOTSET" else [])]
        for size, extra in itertools.product(sizes, ({}, {"output_padding": [1]})):
            attributes = {"strides": [s], "dilations": [d], "auto_pad": mode, **size, **extra}
            want = run(row, weight, attributes)
            numbers = None if want is None else want.ravel().astype(int).tolist()
            cases.append({"kernel": k, **attributes, "want": numbers})
    random = np.random.default_rng(5)
    image, weight = (random.standard_normal(s).astype(np.float32) for s in ((2, 3, 4, 5), (3, 2, 3, 4)))
    arrays = {"image": image, "weight": weight}
    for mode, extra in itertools.product(("SAME_UPPER", "SAME_LOWER"), ([0, 0], [1, 0], [1, 2])):
        attributes = {"strides": [2, 3], "dilations": [1, 1], "auto_pad": mode, "output_padding": extra}
        want = run(image, weight, attributes)
        assert want is not None
        arrays[str(len(cases))] = want
        cases.append({"kernel": None, **attributes, "want": None})
    np.savez_compressed(FOLDER / "onnx_transpose.npz", cases=json.dumps(cases), **arrays)


if __name__ == "__main__":
    main()
