"""convlite: the functional form with a PackedKernel, into `out` and into a new array."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

import convlite as cl

from ... import _dispatch
from ...pack import Operation
from ..shape import Operands
from . import Call

PACKAGE = "convlite"
_NAMES: dict[str, Operation] = {
    "conv": "conv2d",
    "transpose": "conv2d_transpose",
    "depthwise": "depthwise_conv2d",
    "dense": "dense",
}


def start(threads: int) -> str:
    """Set the threads; the version names the instruction set too."""
    cl.set_num_threads(threads)
    return f"{cl.__version__} ({_dispatch.active_isa()})"


def prepare(operands: Operands) -> dict[str, Call]:
    """Pack the kernel; the call then does what every call does, checks included."""
    shape, name = operands.shape, _NAMES[operands.shape.operation]
    packing: dict[str, Any] = {}
    if name != "dense":
        packing = {"strides": shape.strides, "dilations": shape.dilation}
    groups = {"groups": shape.groups} if name in ("conv2d", "conv2d_transpose") else {}
    packed = cl.PackedKernel(operands.kernel, name, **packing, **groups)
    options = packing | groups | ({} if name == "dense" else {"padding": shape.padding})
    run = partial(getattr(cl, name), operands.x, packed, operands.bias, **options)
    out = np.empty(shape.out, np.float32)
    into = partial(run, out=out)
    return {"out": Call(into, lambda: out), "new array": Call(run, run)}
