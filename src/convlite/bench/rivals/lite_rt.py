"""LiteRT with its XNNPACK delegate: NHWC, weights constant; input written into the arena once, then `invoke`.

The model is a flatbuffer of one operation (two where an explicit padding needs PAD, which XNNPACK fuses),
written with the schema classes that ai-edge-litert carries: TensorFlow is not needed.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...geometry import same_pads, transpose_pads
from ..shape import Operands, Shape
from . import Call, Unsupported

PACKAGE = "ai_edge_litert"
_threads = 1
_SAME, _VALID = 0, 1


def start(threads: int) -> str:
    """Remember the threads for the interpreters."""
    global _threads
    from importlib.metadata import version

    import ai_edge_litert.interpreter  # noqa: F401

    _threads = threads
    return version("ai-edge-litert")


def prepare(operands: Operands) -> dict[str, Call]:
    """One interpreter, XNNPACK applied by default."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=model_of(operands), num_threads=_threads)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], operands.x)
    index = interpreter.get_output_details()[0]["index"]
    return {"XNNPACK": Call(interpreter.invoke, lambda: interpreter.get_tensor(index))}


def model_of(operands: Operands) -> bytes:
    """The model, serialised."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    graph = _Graph(schema)
    shape = operands.shape
    x, y = graph.tensor("x", shape.x), graph.tensor("y", shape.out)
    if shape.operation == "dense":
        kernel = graph.tensor("w", value=np.ascontiguousarray(operands.kernel.T))
        graph.operation(
            "FULLY_CONNECTED", [x, kernel, -1], y, schema.FullyConnectedOptionsT(keepNumDims=True)
        )
    elif shape.operation == "transpose":
        _transposed(graph, operands, x, y)
    else:
        _convolution(graph, operands, x, y)
    builder = flatbuffers.Builder(operands.kernel.nbytes + 4096)
    builder.Finish(graph.model(x, y).Pack(builder), b"TFL3")
    return bytes(builder.Output())


class _Graph:
    """One subgraph under construction."""

    def __init__(self, schema: Any) -> None:
        self.schema = schema
        self.codes: list[Any] = []
        self.tensors: list[Any] = []
        self.operations: list[Any] = []
        self.buffers = [schema.BufferT()]  # the first is empty, by the format's rule

    def tensor(self, name: str, shape: tuple[int, ...] = (), value: Any = None) -> int:
        """Add a tensor, constant where it has a value; its index."""
        tensor = self.schema.TensorT(name=name.encode(), shape=list(shape if value is None else value.shape))
        types = self.schema.TensorType
        tensor.type = types.INT32 if value is not None and value.dtype == np.int32 else types.FLOAT32
        if value is not None:
            tensor.buffer = len(self.buffers)
            self.buffers.append(
                self.schema.BufferT(data=np.ascontiguousarray(value).reshape(-1).view(np.uint8))
            )
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def operation(self, name: str, inputs: list[int], output: int, options: Any, version: int = 1) -> None:
        """Add an operation; its options' class says which member of the union they are."""
        code = getattr(self.schema.BuiltinOperator, name)
        self.codes.append(
            self.schema.OperatorCodeT(deprecatedBuiltinCode=code, builtinCode=code, version=version)
        )
        kind = getattr(self.schema.BuiltinOptions, type(options).__name__.removesuffix("T"))
        operator = self.schema.OperatorT(opcodeIndex=len(self.codes) - 1, inputs=inputs, outputs=[output])
        operator.builtinOptionsType, operator.builtinOptions = kind, options
        self.operations.append(operator)

    def model(self, x: int, y: int) -> Any:
        """The whole model with input x and output y."""
        graph = self.schema.SubGraphT(
            tensors=self.tensors, inputs=[x], outputs=[y], operators=self.operations
        )
        return self.schema.ModelT(
            version=3, operatorCodes=self.codes, subgraphs=[graph], buffers=self.buffers, description=b"layer"
        )


def _convolution(graph: _Graph, operands: Operands, x: int, y: int) -> None:
    shape, schema = operands.shape, graph.schema
    pads = [axis.pads for axis in shape.axes]
    same = [
        same_pads(axis.in_size, (axis.kernel - 1) * shape.dilation + 1, stride)
        for axis, stride in zip(shape.axes, shape.strides, strict=True)
    ]
    padding = _VALID if pads == [(0, 0), (0, 0)] else _SAME
    if padding == _SAME and pads != same:
        size = [n + sum(p) for n, p in zip(shape.x[1:3], pads, strict=True)]
        padded = graph.tensor("padded", (shape.x[0], *size, shape.x[3]))
        widths = graph.tensor("pads", value=np.array([[0, 0], *pads, [0, 0]], np.int32))
        graph.operation("PAD", [x, widths], padded, schema.PadOptionsT())
        x, padding = padded, _VALID
    common = {
        "padding": padding,
        "strideH": shape.strides[0],
        "strideW": shape.strides[1],
        "dilationHFactor": shape.dilation,
        "dilationWFactor": shape.dilation,
    }
    bias = graph.tensor("b", value=operands.bias)
    if shape.operation == "depthwise":
        kernel = graph.tensor("w", value=operands.kernel.reshape(1, *shape.kernel, shape.cout))
        options = schema.DepthwiseConv2DOptionsT(depthMultiplier=shape.cout // shape.cin, **common)
        graph.operation("DEPTHWISE_CONV_2D", [x, kernel, bias], y, options, version=2)
    else:
        kernel = graph.tensor("w", value=operands.kernel.transpose(3, 0, 1, 2))  # OHWI
        graph.operation("CONV_2D", [x, kernel, bias], y, schema.Conv2DOptionsT(**common), version=2)


def _transposed(graph: _Graph, operands: Operands, x: int, y: int) -> None:
    shape, schema = operands.shape, graph.schema
    kernel = graph.tensor("w", value=operands.kernel.transpose(2, 0, 1, 3))  # OHWI
    size = graph.tensor("size", value=np.array(shape.out, np.int32))
    bias = graph.tensor("b", value=operands.bias)
    options = schema.TransposeConvOptionsT(_padding(shape), shape.strides[1], shape.strides[0])
    graph.operation("TRANSPOSE_CONV", [size, kernel, x, bias], y, options, version=3)


def _padding(shape: Shape) -> int:
    """SAME or VALID, whichever crops as the shape asks."""
    pads = [axis.pads for axis in shape.axes]
    if pads == [(0, 0), (0, 0)]:
        return _VALID
    same = [
        transpose_pads(axis.out_size, axis.in_size, (axis.kernel - 1) * shape.dilation + 1, stride, "same")
        for axis, stride in zip(shape.axes, shape.strides, strict=True)
    ]
    if pads != same or shape.groups > 1 or shape.dilation > 1:
        raise Unsupported("TRANSPOSE_CONV has SAME and VALID only, no groups, no dilation")
    return _SAME


def load(path: str, inputs: dict[str, Any]) -> Call:
    """A .tflite file, XNNPACK applied by default; inputs are written once, `invoke` is timed."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=path, num_threads=_threads)
    details = interpreter.get_input_details()
    for detail, x in zip(details, inputs.values(), strict=True):
        if tuple(detail["shape"]) != x.shape:
            interpreter.resize_tensor_input(detail["index"], x.shape)
    interpreter.allocate_tensors()
    for detail, x in zip(details, inputs.values(), strict=True):
        interpreter.set_tensor(detail["index"], x)
    places = [detail["index"] for detail in interpreter.get_output_details()]
    return Call(interpreter.invoke, lambda: [interpreter.get_tensor(place) for place in places])
