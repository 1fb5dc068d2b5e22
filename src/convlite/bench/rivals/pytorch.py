"""PyTorch: channels_last under inference_mode, and oneDNN's kernels with the weights packed beforehand (what
TorchInductor emits after freezing).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..shape import Operands
from . import Call

PACKAGE = "torch"
_mode: Any = None


def start(threads: int) -> str:
    """One process-wide inference mode, which ends with its object; float32 stays float32."""
    global _mode
    import torch

    torch.set_num_threads(threads)
    _mode = torch.inference_mode()
    _mode.__enter__()
    torch.set_float32_matmul_precision("highest")
    torch.set_flush_denormal(True)
    return str(torch.__version__)


def prepare(operands: Operands) -> dict[str, Call]:
    """The public call, and the packed one where oneDNN takes the operation."""
    import torch

    x = torch.from_numpy(operands.x)
    if operands.shape.operation == "dense":
        weight = torch.from_numpy(np.ascontiguousarray(operands.kernel.T))
        kernel = torch.from_numpy(operands.kernel)
        out = torch.empty(operands.shape.out)
        calls: dict[str, Callable[[], Any]] = {
            "linear": lambda: torch.nn.functional.linear(x, weight),
            "mm": lambda: torch.mm(x, kernel, out=out),
        }
        packed = torch.ops.mkldnn._reorder_linear_weight(weight, operands.shape.x[0])
        pointwise = torch.ops.mkldnn._linear_pointwise
        calls["linear, packed"] = lambda: pointwise(x, packed, None, "none", [], "")
        return {name: _call(run, lambda y: y.numpy()) for name, run in calls.items()}

    x = x.permute(0, 3, 1, 2)  # a view: NHWC memory is torch's channels_last
    return _transposed(operands, x) if operands.shape.operation == "transpose" else _convolution(operands, x)


def _convolution(operands: Operands, x: Any) -> dict[str, Call]:
    import torch

    shape, functional = operands.shape, torch.nn.functional
    bias, groups = torch.from_numpy(operands.bias), operands.groups
    weight = torch.from_numpy(operands.channels_first).contiguous(memory_format=torch.channels_last)
    (top, bottom), (left, right) = (axis.pads for axis in shape.axes)
    pads, dilation = [top, left], [shape.dilation] * 2
    strides, even = list(shape.strides), top == bottom and left == right

    def padded() -> Any:
        return x if even else functional.pad(x, (left, right, top, bottom))

    if not even:
        pads = [0, 0]
    size = padded().shape
    packed = torch.ops.mkldnn._reorder_convolution_weight(weight, pads, strides, dilation, groups, size)
    pointwise = torch.ops.mkldnn._convolution_pointwise
    options: tuple[Any, ...] = (bias, pads, strides, dilation, groups, "none", [], "")
    if even:
        runs = {
            "channels_last": lambda: functional.conv2d(x, weight, bias, strides, pads, dilation, groups),
            "channels_last, packed": lambda: pointwise(x, packed, *options),
        }
    else:
        runs = {
            "channels_last": lambda: functional.conv2d(padded(), weight, bias, strides, 0, dilation, groups),
            "channels_last, packed": lambda: pointwise(padded(), packed, *options),
        }
    return {name: _call(run, lambda y: y.permute(0, 2, 3, 1).numpy()) for name, run in runs.items()}


def _transposed(operands: Operands, x: Any) -> dict[str, Call]:
    import torch

    shape = operands.shape
    bias, groups = torch.from_numpy(operands.bias), operands.groups
    weight = torch.from_numpy(operands.channels_first).contiguous(memory_format=torch.channels_last)
    dilation, strides = [shape.dilation] * 2, list(shape.strides)
    # torch crops both sides alike: the smaller crop, output_padding up to what is needed, then a view
    pads, extra, views = [], [], []
    for axis, stride in zip(shape.axes, shape.strides, strict=True):
        common = min(axis.pads)
        full = (axis.in_size - 1) * stride + (axis.kernel - 1) * shape.dilation + 1 - 2 * common
        start = axis.pads[0] - common
        pads.append(common)
        extra.append(max(start + axis.out_size - full, 0))
        views.append(slice(start, start + axis.out_size))

    def nhwc(y: Any) -> Any:
        return y[:, :, views[0], views[1]].permute(0, 2, 3, 1).numpy()

    transpose = torch.nn.functional.conv_transpose2d
    calls: dict[str, Callable[[], Any]] = {
        "channels_last": lambda: transpose(x, weight, bias, strides, pads, extra, groups, dilation)
    }
    if groups == 1:
        packed = torch.ops.mkldnn._reorder_convolution_transpose_weight(
            weight, pads, extra, strides, dilation, groups, x.shape
        )
        pointwise = torch.ops.mkldnn._convolution_transpose_pointwise
        options: tuple[Any, ...] = (bias, pads, extra, strides, dilation, groups, "none", [], "")
        calls["channels_last, packed"] = lambda: pointwise(x, packed, *options)
    return {name: _call(run, nhwc) for name, run in calls.items()}


def _call(run: Callable[[], Any], result: Callable[[Any], Any]) -> Call:
    return Call(run, lambda: result(run()))


def load(path: str, inputs: dict[str, Any]) -> Call:
    """NAME.pt2 beside the file, as torch.export.save writes it: channels_last."""
    import torch

    module = torch.export.load(Path(path).with_suffix(".pt2")).module().to(memory_format=torch.channels_last)
    arrays = [torch.from_numpy(x) for x in inputs.values()]
    arrays = [x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x for x in arrays]

    def result() -> Any:
        found = module(*arrays)
        return [y.numpy() for y in (found if isinstance(found, tuple | list) else [found])]

    return Call(lambda: module(*arrays), result)
