"""What each operator of ONNX becomes in the vocabulary of `convlite.network.kinds`, by family.

Importing a module registers its operators in OPERATORS.
"""

from . import (
    control,
    convolution,
    elementwise,
    images,
    microsoft,
    normalization,
    pooling,
    quantization,
    recurrent,
    reductions,
    selection,
    shapes,
)

__all__ = [
    "control",
    "convolution",
    "elementwise",
    "images",
    "microsoft",
    "normalization",
    "pooling",
    "quantization",
    "recurrent",
    "reductions",
    "selection",
    "shapes",
]
