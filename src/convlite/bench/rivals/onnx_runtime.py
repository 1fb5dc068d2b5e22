"""ONNX Runtime: NCHW, weights constant (so prepacked), input and output bound once."""

from __future__ import annotations

from functools import partial
from typing import Any

from ..shape import Operands
from . import Call
from .onnx_model import model_of

PACKAGE = "onnxruntime"
_threads = 1


def start(threads: int) -> str:
    """Remember the threads for the sessions."""
    global _threads
    import onnxruntime

    _threads = threads
    onnxruntime.set_default_logger_severity(3)
    return str(onnxruntime.__version__)


def prepare(operands: Operands) -> dict[str, Call]:
    """With all of its optimisations (blocked NCHWc inside), and without the blocked layout."""
    import onnxruntime

    model, dense = model_of(operands), operands.shape.operation == "dense"
    image = operands.x if dense else operands.nchw
    x = onnxruntime.OrtValue.ortvalue_from_numpy(image), image
    out = operands.shape.out if dense else tuple(operands.shape.out[i] for i in (0, 3, 1, 2))
    levels = onnxruntime.GraphOptimizationLevel
    variants = {"all": levels.ORT_ENABLE_ALL, "extended": levels.ORT_ENABLE_EXTENDED}
    return {
        name: _session(model, x, out, level, dense)
        for name, level in variants.items()
        if name == "all" or operands.shape.operation in ("conv", "depthwise")
    }


def _session(model: bytes, x: Any, out: tuple[int, ...], level: Any, dense: bool) -> Call:
    import numpy as np
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = _threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = level
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    y = onnxruntime.OrtValue.ortvalue_from_shape_and_type(out, np.float32)
    binding = session.io_binding()
    binding.bind_ortvalue_input("x", x[0])
    binding.bind_ortvalue_output("y", y)
    run = partial(session._sess.run_with_iobinding, binding._iobinding, None)  # the Python wrapper costs 1 us
    keep = session, binding, x, y
    return Call(run, lambda: y.numpy() if dense else y.numpy().transpose(0, 2, 3, 1), keep)


def load(path: str, inputs: dict[str, Any]) -> Call:
    """An .onnx file, all optimisations on; inputs are read where they are, outputs are new."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = _threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    run = partial(session.run, None, dict(inputs))
    return Call(run, run)
