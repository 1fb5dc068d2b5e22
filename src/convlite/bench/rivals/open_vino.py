"""OpenVINO: float32 forced, latency mode, tensors set once; NCHW tensors and NHWC tensors."""

from __future__ import annotations

import io
from functools import partial
from typing import Any

from ..._memory import empty
from ..shape import Operands
from . import Call, Unsupported
from .onnx_model import model_of

PACKAGE = "openvino"
_threads = 1
_core: Any = None


def start(threads: int) -> str:
    """One Core for the process."""
    global _core, _threads
    import openvino

    _threads = threads
    _core = openvino.Core()
    return str(openvino.__version__)


def prepare(operands: Operands) -> dict[str, Call]:
    """Both layouts of images; dense has one."""
    if operands.shape.operation == "dense":
        return {"f32": _compiled(operands, operands.x, ())}
    back = (0, 2, 3, 1)
    return {
        "NCHW": _compiled(operands, operands.nchw, back),
        "NHWC": _compiled(operands, operands.x, (), "NHWC"),
    }


def _compiled(operands: Operands, x: Any, back: tuple[int, ...], layout: str = "") -> Call:
    import openvino

    model = _core.read_model(io.BytesIO(model_of(operands)))
    if layout:
        steps = openvino.preprocess.PrePostProcessor(model)
        steps.input().tensor().set_layout(openvino.Layout(layout))
        steps.input().model().set_layout(openvino.Layout("NCHW"))
        steps.output().tensor().set_layout(openvino.Layout(layout))
        steps.output().model().set_layout(openvino.Layout("NCHW"))
        model = steps.build()
    request = _core.compile_model(model, "CPU", _config()).create_infer_request()
    request.set_input_tensor(openvino.Tensor(x, shared_memory=True))
    y = empty(operands.shape.out if layout or not back else _nchw(operands.shape.out), x.dtype)
    request.set_output_tensor(openvino.Tensor(y, shared_memory=True))
    run = partial(request.infer, share_outputs=True)
    return Call(run, lambda: y.transpose(back) if back else y, (x, y))


def _nchw(shape: tuple[int, ...]) -> tuple[int, ...]:
    return shape[0], shape[3], shape[1], shape[2]


def _config() -> dict[str, Any]:
    return {
        "INFERENCE_PRECISION_HINT": "f32",
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": _threads,
        "NUM_STREAMS": 1,
    }


def load(path: str, inputs: dict[str, Any]) -> Call:
    """An .onnx or .tflite file, compiled for the inputs' shapes; inputs and outputs are not copied."""
    model = _core.read_model(path)
    if len(model.inputs) != len(inputs):
        raise Unsupported(f"it sees {len(model.inputs)} inputs, not {len(inputs)}")
    arrays = list(inputs.values())
    for place, port in enumerate(model.inputs):  # names where the format has kept them, else the order
        known = [name for name in port.get_names() if name in inputs]
        arrays[place] = inputs[known[0]] if known else arrays[place]
    model.reshape({port: list(x.shape) for port, x in zip(model.inputs, arrays, strict=True)})
    request = _core.compile_model(model, "CPU", _config()).create_infer_request()
    run = partial(request.infer, arrays, share_inputs=True, share_outputs=True)
    return Call(run, lambda: list(run().values()), (arrays,))
