"""Conversion of weights from and to other frameworks, and of networks to other forms.

`from_torch`, `from_onnx`, `from_keras`, `from_flax` and their inverses change the layout of a kernel,
`nchw_to_nhwc` and `nhwc_to_nchw` that of an image; `dense_to_conv2d`, `conv2d_to_dense` and `fold_batch_norm`
rewrite the weights of one operation, `onnx_transpose_padding` what ONNX's ConvTranspose says about sizes.
`convolutionalize` and `fold_batch_norms` rewrite a whole `layers.Sequential`.

Kernel layouts, with I and O for the channels going in and out of the operation, g for groups:

    operation            convlite, TensorFlow, Keras    PyTorch, ONNX
    conv2d               (kh, kw, I/g, O)               (O, I/g, kh, kw)
    conv2d_transpose     (kh, kw, O/g, I)               (I, O/g, kh, kw)
    depthwise_conv2d     (kh, kw, C, multiplier)        (C*multiplier, 1, kh, kw), groups=C
    dense                (I, O)                         (O, I); ONNX's MatMul, and Gemm with transB=0: (I, O)
    conv1d               (kw, I/g, O)                   (O, I/g, kw)
    conv1d_transpose     (kw, O/g, I)                   (I, O/g, kw)
    depthwise_conv1d     (kw, C, multiplier)            (C*multiplier, 1, kw), groups=C

Because convlite's transposed convolution takes the array of the convolution it reverses, one permutation
serves every row on the right: both channel axes go behind the others and change places. No kernel is
flipped in any of them; Flax's transposed convolution is the exception. Biases are the same everywhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._flax import from_flax, to_flax
from ._onnx import onnx_transpose_padding
from ._weights import (
    conv2d_to_dense,
    dense_to_conv2d,
    fold_batch_norm,
    from_keras,
    from_onnx,
    from_torch,
    nchw_to_nhwc,
    nhwc_to_nchw,
    to_keras,
    to_onnx,
    to_torch,
)

if TYPE_CHECKING:
    from ._convolutionalize import convolutionalize, fold_batch_norms

__all__ = [
    "from_torch", "to_torch", "from_onnx", "to_onnx", "from_keras", "to_keras",
    "from_flax", "to_flax",
    "nchw_to_nhwc", "nhwc_to_nchw",
    "dense_to_conv2d", "conv2d_to_dense", "fold_batch_norm", "onnx_transpose_padding",
    "convolutionalize", "fold_batch_norms",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """Import the functions that need the layers at their first use; array conversions do not need them."""
    if name not in ("convolutionalize", "fold_batch_norms"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import _convolutionalize

    return getattr(_convolutionalize, name)
