"""Keras-shaped layers over convlite's operations: NHWC arrays in and out, weights packed once.

A layer is built by its first call, or made from weights:

>>> import numpy as np
>>> Conv2D(8, 3, activation="relu")(np.zeros((1, 28, 28, 1), np.float32)).shape
(1, 26, 26, 8)
>>> Conv2D.from_weights(np.ones((3, 3, 1, 1), np.float32))(np.ones((1, 3, 3, 1), np.float32)).item()
9.0

In reading order: base (what a layer is), parts (layers in layers), convolution, pooling, shaping, padding,
shuffles, pointwise, normalization, merging, chain, sequential and files; then symbolic, tracing and
functional, for networks with branches, and graph, where layers become the nodes of a network.
"""

from typing import Any

from .base import Layer
from .convolution import Conv1D, Conv1DTranspose, Conv2D, Conv2DTranspose, DepthwiseConv2D
from .files import LoadReport, read_weights
from .functional import Input, Model
from .kernels import Dense, KernelLayer
from .merging import Add, Average, Concatenate, Dot, Maximum, Minimum, Multiply, Subtract
from .normalization import (
    GroupNormalization,
    InstanceNormalization,
    LayerNormalization,
    Normalization,
    Rescaling,
    RMSNormalization,
    UnitNormalization,
)
from .padding import (
    CircularPad1D,
    CircularPad2D,
    Cropping1D,
    ReflectionPad1D,
    ReflectionPad2D,
    ReplicationPad1D,
    ReplicationPad2D,
    ZeroPadding1D,
)
from .pointwise import ELU, GELU, Activation, BatchNormalization, Lambda, LeakyReLU, PReLU, ReLU, Softmax
from .pooling import (
    AdaptiveAveragePooling2D,
    AdaptiveMaxPooling2D,
    AveragePooling1D,
    AveragePooling2D,
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    GlobalMaxPooling1D,
    GlobalMaxPooling2D,
    MaxPooling1D,
    MaxPooling2D,
)
from .separable import SeparableConv1D, SeparableConv2D
from .sequence import DepthwiseConv1D, UpSampling1D
from .sequential import Sequential
from .shaping import Cropping2D, Dropout, Flatten, InputLayer, Reshape, Resizing, UpSampling2D, ZeroPadding2D
from .shuffles import (
    ChannelShuffle,
    DepthToSpace,
    Permute,
    PixelShuffle,
    PixelUnshuffle,
    RepeatVector,
    SpaceToDepth,
)
from .symbolic import SymbolicTensor
from .weighted import WeightedLayer

__all__ = [
    "Layer", "WeightedLayer", "KernelLayer",
    "Conv2D", "Conv2DTranspose", "DepthwiseConv2D", "SeparableConv2D", "Conv1D", "Conv1DTranspose", "Dense",
    "MaxPooling2D", "AveragePooling2D", "GlobalMaxPooling2D", "GlobalAveragePooling2D",
    "InputLayer", "Flatten", "Reshape", "UpSampling2D", "ZeroPadding2D", "Cropping2D", "Dropout",
    "Resizing", "ZeroPadding1D", "Cropping1D", "ReflectionPad1D", "ReflectionPad2D", "ReplicationPad1D",
    "ReplicationPad2D", "CircularPad1D", "CircularPad2D",
    "Activation", "Lambda", "ReLU", "LeakyReLU", "ELU", "GELU", "PReLU", "Softmax", "BatchNormalization",
    "DepthwiseConv1D", "SeparableConv1D", "UpSampling1D",
    "MaxPooling1D", "AveragePooling1D", "GlobalMaxPooling1D", "GlobalAveragePooling1D",
    "AdaptiveMaxPooling2D", "AdaptiveAveragePooling2D",
    "LayerNormalization", "RMSNormalization", "GroupNormalization", "InstanceNormalization",
    "UnitNormalization", "Normalization", "Rescaling",
    "DepthToSpace", "SpaceToDepth", "PixelShuffle", "PixelUnshuffle", "ChannelShuffle", "Permute",
    "RepeatVector",
    "Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate", "Dot",
    "Sequential", "Input", "SymbolicTensor", "Model", "LoadReport", "read_weights",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """Raise the error for a class that does not exist; the message suggests the nearest name."""
    from .._hints import nearest

    meant = "" if name.startswith("_") else nearest({"Linear": "Dense"}.get(name, name), __all__)
    raise AttributeError(f"module 'convlite.layers' has no attribute {name!r}{meant}")
