"""Fused operators that ONNX Runtime's optimiser writes (domain com.microsoft), taken apart again."""

from __future__ import annotations

import numpy as np

from ..operation import Operation, operator
from ..tensors import Refused
from .convolution import convolution, gemm, product, scaled

__all__: list[str] = []

DOMAIN = "com.microsoft"


def _activated(op: Operation, y: str, name: str, parameters: tuple[float, ...]) -> str:
    """An activation that another operator has taken in."""
    plain = {"Relu": "relu", "Sigmoid": "sigmoid", "Tanh": "tanh"}
    if name in plain:
        return op.emit(plain[name], y)
    if name == "LeakyRelu":
        return op.emit("leaky_relu", y, alpha=parameters[0] if parameters else 0.01)
    if name == "Clip":
        low, high = (op.constant(value, op.dtype(y)) for value in (*parameters, np.inf)[:2])
        return op.emit("clip", y, low, high)
    if name == "HardSigmoid":
        alpha, beta = (*parameters, *(0.2, 0.5)[len(parameters) :])
        return op.emit("hard_sigmoid", y, alpha=alpha, beta=beta)
    raise Refused(f"the activation {name!r} is not supported in a fused operator")


@operator("FusedConv", domain=DOMAIN)
def _fused_conv(op: Operation) -> str:
    y = convolution(op, "conv", op.required(0), op.required(1), (op.input(2),), activation=None)
    if op.input(3):
        y = op.emit("add", y, op.input(3))
    name = op.text("activation", "")
    return _activated(op, y, name, op.reals("activation_params", ())) if name else y


@operator("FusedGemm", domain=DOMAIN)
def _fused_gemm(op: Operation) -> str:
    name, alpha = op.text("activation", ""), op.real("activation_alpha", 0.01)
    op.ignore("activation_beta", "activation_gamma")
    y = gemm(op)
    return _activated(op, y, name, (alpha,)) if name else y


@operator("FusedMatMul", "TransposeMatMul", domain=DOMAIN)
def _fused_matmul(op: Operation) -> str:
    if op.flag("transBatchA") or op.flag("transBatchB"):
        raise Refused("transBatchA and transBatchB are not supported")
    sides = [op.required(0), op.required(1)]
    for place, name in enumerate(("transA", "transB")):
        if op.flag(name):
            rank = op.rank(sides[place])
            if rank > 1:
                sides[place] = op.transposed(sides[place], (*range(rank - 2), rank - 1, rank - 2))
    return scaled(op, product(op, *sides), op.real("alpha", 1.0))


@operator("Gelu", domain=DOMAIN)
def _gelu(op: Operation) -> str:
    return op.emit("gelu", op.required(0), approximate=False)


@operator("BiasGelu", domain=DOMAIN)
def _bias_gelu(op: Operation) -> str:
    return op.emit("gelu", op.emit("add", op.required(0), op.required(1)), approximate=False)


@operator("FastGelu", domain=DOMAIN)
def _fast_gelu(op: Operation) -> str:
    x = op.required(0)
    return op.emit("gelu", op.emit("add", x, op.input(1)) if op.input(1) else x, approximate=True)


@operator("QuickGelu", domain=DOMAIN)
def _quick_gelu(op: Operation) -> str:
    return op.emit("swish", op.required(0), alpha=op.real("alpha", 1.702))


@operator("BiasAdd", domain=DOMAIN)
def _bias_add(op: Operation) -> str:
    return op.emit("add", op.emit("add", op.required(0), op.required(1)), op.required(2))


@operator("SimplifiedLayerNormalization", domain="")
@operator("SimplifiedLayerNormalization", domain=DOMAIN)
def _simplified_layer_normalization(op: Operation) -> str:
    op.ignore("stash_type")
    return op.emit(
        "rms_norm",
        op.required(0),
        op.required(1),
        axis=op.integer("axis", -1),
        epsilon=op.real("epsilon", 1e-5),
    )


def _skipped(op: Operation, bias: int) -> str:
    """Input + skip (+ bias)."""
    total = op.emit("add", op.required(0), op.required(1))
    return op.emit("add", total, op.input(bias)) if op.input(bias) else total


@operator("SkipLayerNormalization", domain=DOMAIN)
def _skip_layer_normalization(op: Operation) -> tuple[str, ...]:
    total = _skipped(op, 4)
    y = op.emit("layer_norm", total, op.required(2), op.input(3), axis=-1, epsilon=op.real("epsilon", 1e-12))
    return _with_sum(op, y, total)


@operator("SkipSimplifiedLayerNormalization", domain=DOMAIN)
def _skip_simplified_layer_normalization(op: Operation) -> tuple[str, ...]:
    total = _skipped(op, 3)
    y = op.emit("rms_norm", total, op.required(2), axis=-1, epsilon=op.real("epsilon", 1e-5))
    return _with_sum(op, y, total)


def _with_sum(op: Operation, y: str, total: str) -> tuple[str, ...]:
    """The means are not offered; the sum is the fourth output."""
    return (y, "", "", total)
