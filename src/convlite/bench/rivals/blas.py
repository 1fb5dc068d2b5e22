"""NumPy: matmul, for dense layers only."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from ..._memory import empty
from ..shape import Operands
from . import Call, Unsupported

PACKAGE = "numpy"


def start(threads: int) -> str:
    """Version, with its BLAS; the thread count is OpenBLAS's variable, which the parent sets."""
    config: Any = np.show_config(mode="dicts")
    blas = config["Build Dependencies"]["blas"]
    return f"{np.__version__} ({blas['name']} {blas['version']})"


def prepare(operands: Operands) -> dict[str, Call]:
    """x @ kernel into `out`, the kernel in either order."""
    if operands.shape.operation != "dense":
        raise Unsupported("NumPy has no convolution of images")
    out = empty(operands.shape.out, operands.x.dtype)
    turned = np.ascontiguousarray(operands.kernel.T).T
    call = partial(np.matmul, operands.x, operands.kernel, out=out)
    other = partial(np.matmul, operands.x, turned, out=out)
    return {"(K, M)": Call(call, lambda: out), "(M, K).T": Call(other, lambda: out)}
