"""convlite: run convolutional networks from NumPy.

NHWC arrays in, NumPy arrays out; float32 and float64. Start with `conv2d`, `conv2d_transpose`,
`depthwise_conv2d` and `dense`; `load` reads whole networks from files, `layers` builds them, `convert` brings
weights from other frameworks, `reference` is the definition in plain NumPy.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

with open(os.path.join(os.path.dirname(__file__), "VERSION"), encoding="ascii") as _file:  # pathlib: 4 ms
    __version__ = _file.read().strip()

from . import _waiting as _waiting  # first: it decides how the core is loaded
from . import activations
from ._dispatch import show_config
from ._precision import get_precision, precision, set_precision
from ._threads import get_num_threads, num_threads, set_num_threads
from .activations import activate
from .explain import explain
from .ops import (
    conv1d,
    conv1d_transpose,
    conv2d,
    conv2d_output_shape,
    conv2d_transpose,
    conv2d_transpose_output_shape,
    dense,
    depthwise_conv2d,
    same_padding,
)
from .pack import PackedKernel

if TYPE_CHECKING:
    from . import convert, initializers, layers, reference
    from .images import pad1d, pad2d, resize1d, resize2d, upsample2d
    from .network.load import load
    from .network.network import Network
    from .normalization import group_norm, instance_norm, layer_norm, lrn, rms_norm, unit_norm
    from .pointwise import (
        batch_norm,
        bias_add,
        celu,
        elu,
        exponential,
        flatten,
        gelu,
        hard_shrink,
        hard_sigmoid,
        hard_swish,
        hard_tanh,
        leaky_relu,
        log_sigmoid,
        log_softmax,
        mish,
        prelu,
        relu,
        relu6,
        selu,
        sigmoid,
        silu,
        soft_shrink,
        softmax,
        softplus,
        softsign,
        tanh,
        tanh_shrink,
        threshold,
    )
    from .pooling import (
        adaptive_avg_pool2d,
        adaptive_max_pool2d,
        avg_pool1d,
        avg_pool2d,
        global_avg_pool1d,
        global_avg_pool2d,
        global_max_pool1d,
        global_max_pool2d,
        max_pool1d,
        max_pool2d,
    )
    from .shuffles import (
        channel_shuffle,
        depth_to_space,
        extract_patches,
        pixel_shuffle,
        pixel_unshuffle,
        space_to_depth,
    )

__all__ = [
    # the operations
    "conv2d", "conv2d_transpose", "depthwise_conv2d", "dense", "conv1d", "conv1d_transpose", "PackedKernel",
    # sizes
    "conv2d_output_shape", "conv2d_transpose_output_shape", "same_padding", "explain",
    # other operations of networks
    "max_pool2d", "avg_pool2d", "global_avg_pool2d", "global_max_pool2d", "resize2d", "upsample2d", "pad2d",
    "resize1d", "pad1d",
    "activate", "relu", "relu6", "leaky_relu", "elu", "sigmoid", "tanh", "silu", "gelu", "hard_swish",
    "hard_sigmoid", "softplus", "softmax", "prelu", "bias_add", "batch_norm", "flatten",
    "selu", "celu", "mish", "exponential", "softsign", "hard_tanh", "log_sigmoid", "log_softmax",
    "tanh_shrink", "soft_shrink", "hard_shrink", "threshold",
    "max_pool1d", "avg_pool1d", "global_avg_pool1d", "global_max_pool1d", "adaptive_avg_pool2d",
    "adaptive_max_pool2d",
    "layer_norm", "rms_norm", "group_norm", "instance_norm", "unit_norm", "lrn",
    "depth_to_space", "space_to_depth", "pixel_shuffle", "pixel_unshuffle", "channel_shuffle",
    "extract_patches",
    # networks
    "load", "Network", "layers", "activations", "initializers", "convert", "reference",
    # the machine
    "precision", "set_precision", "get_precision",
    "num_threads", "set_num_threads", "get_num_threads", "show_config", "__version__",
]  # fmt: skip

_POINTWISE = (
    "batch_norm bias_add celu elu exponential flatten gelu hard_shrink hard_sigmoid hard_swish hard_tanh "
    "leaky_relu log_sigmoid log_softmax mish prelu relu relu6 selu sigmoid silu soft_shrink softmax softplus "
    "softsign tanh tanh_shrink threshold"
)
_POOLING = (
    "adaptive_avg_pool2d adaptive_max_pool2d avg_pool1d avg_pool2d global_avg_pool1d global_avg_pool2d "
    "global_max_pool1d global_max_pool2d max_pool1d max_pool2d"
)
_LAZY = {
    "pointwise": "pointwise",
    "pooling": "pooling",
    **{name: f"pointwise:{name}" for name in _POINTWISE.split()},
    **{name: f"pooling:{name}" for name in _POOLING.split()},
    "layers": "layers",
    "initializers": "initializers",
    "convert": "convert",
    "reference": "reference",
    "load": "network.load:load",
    "Network": "network.network:Network",
    **{name: f"images:{name}" for name in ("pad1d", "pad2d", "resize1d", "resize2d", "upsample2d")},
    **{
        f"{name}_norm": f"normalization:{name}_norm" for name in ("group", "instance", "layer", "rms", "unit")
    },
    "lrn": "normalization:lrn",
    **{name: f"shuffles:{name}" for name in ("channel_shuffle", "depth_to_space", "extract_patches")},
    **{name: f"shuffles:{name}" for name in ("pixel_shuffle", "pixel_unshuffle", "space_to_depth")},
}


def __getattr__(name: str) -> Any:
    """Import modules that many scripts do not need, and names in them, at their first use."""
    if name not in _LAZY:
        meant = ""
        if not name.startswith("_"):
            from ._hints import nearest

            meant = nearest(name, __all__)
            if name[0].isupper() and hasattr(importlib.import_module(".layers", __name__), name):
                meant = f"; it is a layer: convlite.layers.{name}"
        raise AttributeError(f"module 'convlite' has no attribute {name!r}{meant}")
    module, _, member = _LAZY[name].partition(":")
    value = importlib.import_module(f".{module}", __name__)
    globals()[name] = value = getattr(value, member) if member else value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
