"""convlite: a layer, and the functional form with a PackedKernel into `out` and into a new array."""

from __future__ import annotations

from functools import partial
from typing import Any

import convlite as cl

from ... import _dispatch
from ..._memory import empty
from ...geometry import Operation
from ..shape import Operands
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
    """Pack the kernel, build the layer; the calls are the public ones."""
    shape = operands.shape
    name, layer_name = _NAMES[shape.operation]
    packing: dict[str, Any] = {}
    if name != "dense":
        packing = {"strides": shape.strides, "dilations": shape.dilation}
    groups = {"groups": shape.groups} if name in ("conv2d", "conv2d_transpose") else {}
    packed = cl.PackedKernel(operands.kernel, name, **packing, **groups)
    options = packing | groups | ({} if name == "dense" else {"padding": shape.padding})
    run = partial(getattr(cl, name), operands.x, packed, operands.bias, **options)
    out = empty(shape.out, operands.x.dtype)
    into = partial(run, out=out)
    if "dilations" in options:
        options["dilation_rate"] = options.pop("dilations")
    layer = getattr(cl.layers, layer_name).from_weights(operands.kernel, operands.bias, **options)
    layer.build(shape.x)
    call = partial(layer, operands.x)
    return {"out": Call(into, lambda: out), "new array": Call(run, run), "layer": Call(call, call)}


def load(path: str, inputs: dict[str, Any]) -> Call:
    """A network's file: `convlite.load`; the call returns new arrays."""
    run = partial(cl.load(path), *inputs.values())

    def result() -> Any:
        found = run()
        return list(found) if isinstance(found, tuple) else [found]

    return Call(run, result)
