"""ncnn: channels first, one image at a time (its arrays have no batch), float32, Winograd's form off."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from ..shape import Operands
from . import Call, Unsupported

PACKAGE = "ncnn"
_threads = 1
_PATIENCE = 120.0  # seconds for pnnx


def start(threads: int) -> str:
    """Remember the threads for the nets."""
    global _threads
    from importlib.metadata import version

    import ncnn

    _threads = threads
    ncnn.set_omp_num_threads(threads)
    return version("ncnn")


def prepare(operands: Operands, winograd: bool = False) -> dict[str, Call]:
    """One net; the layer's options are ncnn's defaults without 16-bit storage and arithmetic."""
    import ncnn

    if operands.shape.operation == "transpose" and operands.shape.groups > 1:
        raise Unsupported("grouped transposed convolution is left out")
    net = _net(winograd)
    layer, weights = _layer(operands)
    with tempfile.TemporaryDirectory() as folder:
        param, data = Path(folder) / "layer.param", Path(folder) / "layer.bin"
        param.write_text(f"7767517\n2 2\nInput x 0 1 x\n{layer} y 1 1 x y {weights[0]}\n")
        data.write_bytes(weights[1])
        if net.load_param(str(param)) or net.load_model(str(data)):
            raise Unsupported("ncnn refused the model")
    dense = operands.shape.operation == "dense"
    images = [operands.x] if dense else list(operands.nchw)
    if dense and len(operands.x) == 1:
        images = [operands.x[0]]
    inputs = [ncnn.Mat(image).clone() for image in images]

    def run() -> list[Any]:
        found = []
        for image in inputs:
            extractor = net.create_extractor()
            extractor.input("x", image)
            found.append(extractor.extract("y")[1])
        return found

    def result() -> Any:
        arrays = [np.array(mat) for mat in run()]
        return arrays[0].reshape(operands.shape.out) if dense else np.stack(arrays).transpose(0, 2, 3, 1)

    return {"winograd" if winograd else "direct": Call(run, result)}


def _layer(operands: Operands) -> tuple[str, tuple[str, bytes]]:
    """The layer's type, its numbered parameters, and its weights as ncnn reads them."""
    shape = operands.shape
    raw = np.zeros(1, np.uint32).tobytes()  # "what follows is float32"
    if shape.operation == "dense":
        parameters = f"0={shape.cout} 1=0 2={operands.kernel.size}"
        return "InnerProduct", (parameters, raw + np.ascontiguousarray(operands.kernel.T).tobytes())
    (top, bottom), (left, right) = (axis.pads for axis in shape.axes)
    kernel = operands.channels_first
    parameters = (
        f"0={shape.cout} 1={shape.kernel[1]} 11={shape.kernel[0]} 2={shape.dilation} 12={shape.dilation} "
        f"3={shape.strides[1]} 13={shape.strides[0]} 4={left} 15={right} 14={top} 16={bottom} "
        f"5=1 6={kernel.size}"
    )
    name = "Convolution"
    if shape.operation == "transpose":
        name, kernel = "Deconvolution", np.ascontiguousarray(kernel.transpose(1, 0, 2, 3))
        extra = [
            axis.out_size
            - ((axis.in_size - 1) * stride + (axis.kernel - 1) * shape.dilation + 1 - sum(axis.pads))
            for axis, stride in zip(shape.axes, shape.strides, strict=True)
        ]
        parameters += f" 18={extra[1]} 19={extra[0]}"
    elif operands.groups > 1:
        name, parameters = "ConvolutionDepthWise", f"{parameters} 7={operands.groups}"
    return name, (parameters, raw + kernel.tobytes() + np.asarray(operands.bias).tobytes())


def _net(winograd: bool) -> Any:
    import ncnn

    net = ncnn.Net()
    net.opt.num_threads = _threads
    net.opt.use_winograd_convolution = winograd
    for name in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage"):
        setattr(net.opt, name, False)
    return net


def convert(path: str, inputs: dict[str, Any], folder: str) -> str:
    """An .onnx file through pnnx, for these shapes, in float32; kept in the folder."""
    for name, x in inputs.items():
        if x.dtype != np.float32 or x.ndim < 2 or x.shape[0] != 1:
            raise Unsupported(f"it has no batches and only float32 inputs; {name} is {x.dtype} {x.shape}")
    made = Path(folder) / "model.ncnn.param"
    refused = Path(folder) / "refused.txt"
    if not made.exists() and not refused.exists():
        try:
            from pnnx import EXEC_PATH
        except ImportError:
            raise Unsupported("pnnx is not installed, which converts for it") from None
        source = Path(folder) / "model.onnx"
        source.symlink_to(Path(path).resolve())
        shapes = ",".join(f"[{','.join(map(str, x.shape))}]" for x in inputs.values())
        command = [EXEC_PATH, "model.onnx", f"inputshape={shapes}", "fp16=0"]
        with contextlib.suppress(subprocess.TimeoutExpired):
            subprocess.run(command, cwd=folder, stdout=sys.stderr, timeout=_PATIENCE, check=False)
        for left in Path(folder).glob("model.pnnx*"):
            left.unlink()
        if not made.exists():
            refused.touch()
    if refused.exists():
        raise Unsupported("pnnx does not convert it")
    return str(made)


def load(path: str, inputs: dict[str, Any], winograd: bool = False) -> Call:
    """A network as `convert` left it."""
    import ncnn

    net = _net(winograd)
    if net.load_param(path) or net.load_model(str(Path(path).with_suffix(".bin"))):
        raise Unsupported("ncnn refused the converted model")
    arrays = [ncnn.Mat(np.ascontiguousarray(x[0])).clone() for x in inputs.values()]
    feeds = list(zip(net.input_names(), arrays, strict=True))
    names = sorted(net.output_names(), key=lambda name: (len(name), name))

    def run() -> list[Any]:
        extractor = net.create_extractor()
        for name, x in feeds:
            extractor.input(name, x)
        return [extractor.extract(name)[1] for name in names]

    return Call(run, lambda: [np.array(y) for y in run()], (net,))
