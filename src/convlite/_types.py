"""The types of public functions' arguments: names are literals, so that type checkers find misspelt ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol, SupportsIndex, TypeVar, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["ActivationName", "Elementwise", "Mode", "Pads", "Pads1D", "Real", "Sizes"]

Real = TypeVar("Real", np.float32, np.float64)


class Elementwise(Protocol):
    """A function of x alone, whose result has x's dtype.

    Functions with options have no such overloads: where one of several overloads must fit, the error for a
    misspelt option names none of the arguments.
    """

    @overload
    def __call__(self, x: NDArray[Real]) -> NDArray[Real]: ...
    @overload
    def __call__(self, x: ArrayLike) -> NDArray[Any]: ...


_Integers = NDArray[np.integer[Any]]
Sizes = SupportsIndex | Sequence[SupportsIndex] | _Integers
PadName = Literal["valid", "same", "same_lower", "VALID", "SAME", "SAME_LOWER"]
Pads = PadName | SupportsIndex | Sequence[SupportsIndex] | Sequence[Sequence[SupportsIndex]] | _Integers
Pads1D = Pads | Literal["causal"]
Mode = Literal["zeros", "constant", "reflect", "symmetric", "replicate", "edge", "circular", "wrap"]
ActivationName = Literal[
    "linear", "relu", "relu6", "leaky_relu", "elu", "sigmoid", "tanh", "silu", "gelu", "gelu_tanh",
    "hard_swish", "hard_sigmoid", "softplus", "log_sigmoid", "selu", "celu", "mish", "softsign",
    "exponential", "hard_tanh", "tanh_shrink", "soft_shrink", "hard_shrink", "softmax", "log_softmax",
    "swish", "identity", "relu_6", "exp", "hard_silu", "hardswish", "hardsigmoid", "hardtanh", "logsigmoid",
    "logsoftmax", "tanhshrink", "softshrink", "hardshrink",
]  # fmt: skip
