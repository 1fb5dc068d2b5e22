"""A layer as an ONNX model with constant weights: NCHW in and out."""

from __future__ import annotations

import numpy as np

from ..shape import Operands

__all__ = ["model_of"]


def model_of(operands: Operands) -> bytes:
    """The model, serialised: input `x`, output `y`."""
    from onnx import TensorProto, checker, helper, numpy_helper

    shape = operands.shape
    if shape.operation == "dense":
        nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
        constants = {"w": operands.kernel}
        x, y = shape.x, shape.out
    else:
        (top, bottom), (left, right) = (axis.pads for axis in shape.axes)
        attributes = {
            "kernel_shape": shape.kernel,
            "strides": shape.strides,
            "dilations": (shape.dilation, shape.dilation),
            "pads": (top, left, bottom, right),
            "group": operands.groups,
        }
        kind = "Conv"
        if shape.operation == "transpose":
            kind = "ConvTranspose"
            extra = [
                axis.out_size
                - ((axis.in_size - 1) * stride + (axis.kernel - 1) * shape.dilation + 1 - sum(axis.pads))
                for axis, stride in zip(shape.axes, shape.strides, strict=True)
            ]
            if any(extra):
                attributes["output_padding"] = tuple(extra)
        nodes = [helper.make_node(kind, ["x", "w", "b"], ["y"], **attributes)]
        constants = {"w": operands.channels_first, "b": np.asarray(operands.bias)}
        x = shape.x[0], shape.x[3], shape.x[1], shape.x[2]
        y = shape.out[0], shape.out[3], shape.out[1], shape.out[2]
    graph = helper.make_graph(
        nodes,
        "layer",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, y)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(model)
    return bytes(model.SerializeToString())
