"""convlite: a layer, and the functional form with a PackedKernel into `out` and into a new array."""

from __future__ import annotations

from functools import partial
from typing import Any

import convlite as cl

from ... import _dispatch
from ..._memory import empty
from ...geometry import Operation
from ..shape import Operands, Shape
from . import Call

PACKAGE = "convlite"
_NAMES: dict[str, tuple[Operation, str]] = {
    "conv": ("conv2d", "Conv2D"),
    "transpose": ("conv2d_transpose", "Conv2DTranspose"),
    "depthwise": ("depthwise_conv2d", "DepthwiseConv2D"),
    "dense": ("dense", "Dense"),
}


def start(threads: int) -> str:
    """Set the threads; the version names the instruction set too."""
    cl.set_num_threads(threads)
    return f"{cl.__version__} ({_dispatch.active_isa()})"


def prepare(operands: Operands) -> dict[str, Call]:
    """Pack the kernel, build the layer; the calls are the public ones, as a program writes them.

    (functools.partial with keywords takes 0.1 us more than such a call.)
    """
    shape, x, bias = operands.shape, operands.x, operands.bias
    name, layer_name = _NAMES[shape.operation]
    geometry: dict[str, Any] = {}
    if name != "dense":
        geometry = {"strides": shape.strides, "dilations": shape.dilation}
    groups = {"groups": shape.groups} if name in ("conv2d", "conv2d_transpose") else {}
    packed = cl.PackedKernel(operands.kernel, name, **geometry, **groups)
    out = empty(shape.out, x.dtype)
    run, into = _calls(name, shape, (x, packed, bias), out)
    options: dict[str, Any] = dict(groups)
    if name != "dense":
        options |= {"strides": shape.strides, "dilation_rate": shape.dilation, "padding": shape.padding}
    layer = getattr(cl.layers, layer_name).from_weights(operands.kernel, bias, **options)
    layer.build(shape.x)

    def call() -> Any:
        return layer(x)

    return {"out": Call(into, lambda: out), "new array": Call(run, run), "layer": Call(call, call)}


def _calls(name: Operation, shape: Shape, arrays: tuple[Any, ...], out: Any) -> tuple[Any, Any]:
    """The operation into a new array, and into `out`."""
    x, kernel, bias = arrays
    strides, dilation, groups = shape.strides, shape.dilation, shape.groups
    padding: Any = shape.padding
    if name == "dense":
        return lambda: cl.dense(x, kernel, bias), lambda: cl.dense(x, kernel, bias, out=out)
    if name == "depthwise_conv2d":
        return (
            lambda: cl.depthwise_conv2d(
                x, kernel, bias, strides=strides, padding=padding, dilations=dilation
            ),
            lambda: cl.depthwise_conv2d(
                x, kernel, bias, strides=strides, padding=padding, dilations=dilation, out=out
            ),
        )
    operation = getattr(cl, name)
    return (
        lambda: operation(
            x, kernel, bias, strides=strides, padding=padding, dilations=dilation, groups=groups
        ),
        lambda: operation(
            x, kernel, bias, strides=strides, padding=padding, dilations=dilation, groups=groups, out=out
        ),
    )


def load(path: str, inputs: dict[str, Any]) -> Call:
    """A network's file: `convlite.load`; the call returns new arrays."""
    run = partial(cl.load(path), *inputs.values())

    def result() -> Any:
        found = run()
        return list(found) if isinstance(found, tuple) else [found]

    return Call(run, result)
