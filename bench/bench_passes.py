"""Passes, norms, pools and resizing against the fastest of PyTorch, ONNX Runtime and OpenVINO.

    python bench/bench_passes.py [OPERATION ...] [--threads N] [--rounds N] [--json FILE]

One process, rounds in turn, the fastest round of each. Results are new arrays at each call, but OpenVINO's,
whose tensors stay. PyTorch has its data both ways, channels first and last; the others channels first where
their operation wants it. Each result is compared with convlite's before it counts.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import openvino
import torch
import torch.nn.functional as F
from common import interleaved, print_table, write_json
from onnx import TensorProto, helper, numpy_helper

import convlite as cl

Array = np.ndarray[Any, Any]
Peer = tuple[Callable[[], Any], Callable[[Any], Array]]  # the call, and what makes (N,H,W,C) of its result
SHAPES = (
    (1, 224, 224, 1), (1, 224, 224, 2), (1, 224, 224, 3), (1, 224, 224, 4), (1, 112, 112, 5), (1, 56, 56, 17),
    (1, 56, 56, 63), (4, 56, 56, 64), (1, 512, 512, 32), (1, 7, 7, 1024),
)  # fmt: skip
EPSILON = 1e-3
# name: ONNX operator, opset, attributes, whether it wants channels first, constants by channel
ONNX: dict[str, tuple[str, int, dict[str, Any], bool, int]] = {
    "prelu": ("PRelu", 17, {}, False, 1),
    "batch_norm": ("BatchNormalization", 17, {"epsilon": EPSILON}, True, 4),
    "instance_norm": ("InstanceNormalization", 17, {"epsilon": EPSILON}, True, 2),
    "group_norm": ("GroupNormalization", 21, {"epsilon": EPSILON}, True, 2),
    "layer_norm": ("LayerNormalization", 17, {"epsilon": EPSILON}, False, 2),
    "softmax": ("Softmax", 17, {"axis": -1}, False, 0),
    "log_softmax": ("LogSoftmax", 17, {"axis": -1}, False, 0),
    "global_mean": ("GlobalAveragePool", 17, {}, True, 0),
    "global_max": ("GlobalMaxPool", 17, {}, True, 0),
    "avg_pool": ("AveragePool", 17, {"kernel_shape": [3, 3], "strides": [2, 2]}, True, 0),
    "max_pool": ("MaxPool", 17, {"kernel_shape": [3, 3], "strides": [2, 2]}, True, 0),
    "max_pool_2": ("MaxPool", 17, {"kernel_shape": [2, 2], "strides": [2, 2]}, True, 0),
    "bilinear_x2": ("Resize", 17, {"mode": "linear"}, True, 0),
    "bilinear_half": ("Resize", 17, {"mode": "linear"}, True, 0),
}


def groups_of(channels: int) -> int:
    """How many groups the group norm has."""
    return 8 if channels % 8 == 0 else 1


def size_of(name: str, shape: tuple[int, ...]) -> tuple[int, int]:
    """The resized image's height and width."""
    return (2 * shape[1], 2 * shape[2]) if name == "bilinear_x2" else (shape[1] // 2, shape[2] // 2)


def ours(name: str, x: Array, vectors: list[Array]) -> Callable[[], Array]:
    """The call of convlite's."""
    channels = x.shape[3]
    one, two, mean, variance = vectors
    size = size_of(name, x.shape)
    return {
        "prelu": lambda: cl.prelu(x, one),
        "batch_norm": lambda: cl.batch_norm(x, mean, variance, scale=one, offset=two, epsilon=EPSILON),
        "instance_norm": lambda: cl.instance_norm(x, gamma=one, beta=two, epsilon=EPSILON),
        "group_norm": lambda: cl.group_norm(x, groups_of(channels), gamma=one, beta=two, epsilon=EPSILON),
        "layer_norm": lambda: cl.layer_norm(x, gamma=one, beta=two, epsilon=EPSILON),
        "softmax": lambda: cl.softmax(x),
        "log_softmax": lambda: cl.log_softmax(x),
        "global_mean": lambda: cl.global_avg_pool2d(x, keepdims=True),
        "global_max": lambda: cl.global_max_pool2d(x, keepdims=True),
        "avg_pool": lambda: cl.avg_pool2d(x, 3, strides=2),
        "max_pool": lambda: cl.max_pool2d(x, 3, strides=2),
        "max_pool_2": lambda: cl.max_pool2d(x, 2),
        "bilinear_x2": lambda: cl.resize2d(x, size),
        "bilinear_half": lambda: cl.resize2d(x, size),
    }[name]  # type: ignore[return-value]


def torch_call(
    name: str, x: torch.Tensor, vectors: list[torch.Tensor], size: tuple[int, int]
) -> Callable[[], Any]:
    """PyTorch's call, for x (N,C,H,W) in either order of memory."""
    one, two, mean, variance = vectors
    last, channels = x.permute(0, 2, 3, 1), x.shape[1]
    return {
        "prelu": lambda: F.prelu(x, one),
        "batch_norm": lambda: F.batch_norm(x, mean, variance, one, two, eps=EPSILON),
        "instance_norm": lambda: F.instance_norm(x, None, None, one, two, eps=EPSILON),
        "group_norm": lambda: F.group_norm(x, groups_of(channels), one, two, EPSILON),
        "layer_norm": lambda: F.layer_norm(last, (channels,), one, two, EPSILON).permute(0, 3, 1, 2),
        "softmax": lambda: F.softmax(x, 1),
        "log_softmax": lambda: F.log_softmax(x, 1),
        "global_mean": lambda: x.mean((2, 3), keepdim=True),
        "global_max": lambda: x.amax((2, 3), keepdim=True),
        "avg_pool": lambda: F.avg_pool2d(x, 3, 2),
        "max_pool": lambda: F.max_pool2d(x, 3, 2),
        "max_pool_2": lambda: F.max_pool2d(x, 2),
        "bilinear_x2": lambda: F.interpolate(x, size=size, mode="bilinear"),
        "bilinear_half": lambda: F.interpolate(x, size=size, mode="bilinear"),
    }[name]


def model_of(name: str, shape: tuple[int, ...], vectors: list[Array]) -> tuple[bytes, bool]:
    """The operation as an ONNX file of one node, and whether it has channels first."""
    kind, opset, attributes, first, count = ONNX[name]
    n, height, width, channels = shape
    constants = [v if first else v.reshape(1, 1, 1, -1) for v in vectors[:count]]
    if name == "layer_norm":
        constants = vectors[:count]
    if name == "group_norm":
        attributes = attributes | {"num_groups": groups_of(channels)}
    names = [f"v{i}" for i in range(count)]
    if kind == "Resize":
        constants = [np.array((n, channels, *size_of(name, shape)), np.int64)]
        names = ["", "", "sizes"]
    kept = [numpy_helper.from_array(c, m) for c, m in zip(constants, [m for m in names if m], strict=True)]
    sizes = (n, channels, height, width) if first else shape
    node = helper.make_node(kind, ["x", *names], ["y"], **attributes)
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, sizes)
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph([node], "g", [x], [y], kept)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    return model.SerializeToString(), first


def others(name: str, x: Array, vectors: list[Array], threads: int) -> dict[str, Peer]:
    """The peers' calls."""
    image, size = torch.from_numpy(x).permute(0, 3, 1, 2), size_of(name, x.shape)
    tensors = [torch.from_numpy(v) for v in vectors]
    back = lambda y: y.permute(0, 2, 3, 1).numpy()  # noqa: E731
    found: dict[str, Peer] = {
        "torch nhwc": (torch_call(name, image, tensors, size), back),
        "torch nchw": (torch_call(name, image.contiguous(), tensors, size), back),
    }
    model, first = model_of(name, x.shape, vectors)
    data = np.ascontiguousarray(np.moveaxis(x, 3, 1)) if first else x
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0" if threads == 1 else "1")
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    moved: Callable[[Array], Array] = lambda y: np.moveaxis(y, 1, 3) if first else y  # noqa: E731
    found["ort"] = (lambda: session.run(None, {"x": data})[0], moved)
    hints = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    core = openvino.Core()
    request = core.compile_model(core.read_model(model), "CPU", hints).create_infer_request()
    request.set_input_tensor(openvino.Tensor(data, shared_memory=True))

    def infer() -> Any:
        request.infer()
        return request.get_output_tensor()

    found["openvino"] = (infer, lambda y: moved(np.array(y.data)))
    return found


def measure(name: str, shape: tuple[int, ...], threads: int, rounds: int) -> dict[str, Any]:
    """A row of the table."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal(shape, dtype=np.float32)
    vectors = [rng.uniform(0.5, 1.5, shape[3]).astype(np.float32) for _ in range(4)]
    mine = ours(name, x, vectors)
    calls: dict[str, Callable[[], Any]] = {"convlite": mine}
    expected = mine()
    for peer, (call, back) in others(name, x, vectors, threads).items():
        got = back(call())
        if got.shape == expected.shape and np.allclose(got, expected, rtol=1e-3, atol=1e-4):
            calls[peer] = call
        else:
            print(f"{name} {shape}: {peer} computes something else")
    found = interleaved(list(calls.values()), rounds, 0.004)
    times = {n: min(t) * 1e6 for n, t in zip(calls, found, strict=True)}
    best = min(times.keys() - {"convlite"}, key=times.__getitem__)
    row = {"operation": name, "shape": shape, "threads": threads, "us": times, "best": best}
    return row | {"ratio": times[best] / times["convlite"]}


def main() -> None:
    """Measure and print."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("operations", nargs="*", help="default: all of " + ", ".join(ONNX))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    cl.set_num_threads(options.threads)
    torch.set_num_threads(options.threads)
    torch.set_grad_enabled(False)
    wanted = [(name, shape) for name in options.operations or ONNX for shape in SHAPES]
    rows = [measure(*each, options.threads, options.rounds) for each in wanted]
    cells = []
    for row in rows:
        peers = " ".join(f"{n} {t:.1f}" for n, t in row["us"].items() if n != "convlite")
        name, size, us = row["operation"], "x".join(map(str, row["shape"])), row["us"]["convlite"]
        cells.append((name, size, f"{us:.1f}", row["best"], f"{row['ratio']:.2f}", peers))
    print_table(("operation", "x", "us", "best", "ratio", "peers, us"), cells)
    write_json(options.json, rows)


if __name__ == "__main__":
    main()
