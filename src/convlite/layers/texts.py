"""The shared entries of the layers' docstrings, which `_options` inserts: each is written once."""

from __future__ import annotations

from typing import Any

from .._options import TEXTS, documented, suggesting_methods

__all__ = ["document"]

_INITIALIZER = "str, initializer or callable, default {}\nWhat makes the {}: a name, an object of " + (
    "`convlite.initializers`, or a function\nof (shape, dtype=...)."
)
_PAIR = "int or (before, after), default 1\nWhat is {} at both ends, or at each."
_FRAME = "int, (ph, pw) or ((top, bottom), (left, right)), default {}\nWhat is {} on every side, or on each."
_LAYER = {
    "name": "str or None, default None\nThe layer's name; None: made from the class, as in Keras.",
    "filters": "int\nThe number of output channels.",
    "units": "int\nThe number of outputs.",
    "kernel_size": "int or (kh, kw)\nThe size of the window.",
    "strides": "int or (h, w), default 1\nThe step between the places of the kernel.",
    "padding": 'str, int or sequence of ints, default "valid"\n'
    'As in `convlite.conv2d`: "valid", "same", "same_lower", an int, (ph, pw) or ((top, bottom),\n'
    "(left, right)).",
    "dilation_rate": "int or (h, w), default 1\nThe distance between the kernel's elements.",
    "groups": "int, default 1\nThe number of groups of channels; each is convolved by itself.",
    "depth_multiplier": "int, default 1\nThe number of output channels for each input channel.",
    "padding_mode": 'str, default "zeros"\n'
    'What the padding holds: "zeros", "reflect", "replicate", "circular" or "symmetric", as in\n'
    "`convlite.pad2d`.",
    "output_padding": "int, (h, w) or None, default None\n"
    "Rows and columns in addition to the smallest output, each below the stride or the dilation.",
    "activation": "str, Activation, callable or None, default None\n"
    'Applied to the output: a name such as "relu", an object of `convlite.activations`, or a function.',
    "use_bias": "bool, default True\nWhether a bias is added.",
    "kernel_initializer": _INITIALIZER.format('"glorot_uniform"', "kernel"),
    "depthwise_initializer": _INITIALIZER.format('"glorot_uniform"', "depthwise kernel"),
    "pointwise_initializer": _INITIALIZER.format('"glorot_uniform"', "pointwise kernel"),
    "bias_initializer": _INITIALIZER.format('"zeros"', "bias"),
    "beta_initializer": _INITIALIZER.format('"zeros"', "offset"),
    "gamma_initializer": _INITIALIZER.format('"ones"', "scale"),
    "scale_initializer": _INITIALIZER.format('"ones"', "scale"),
    "moving_mean_initializer": _INITIALIZER.format('"zeros"', "mean"),
    "moving_variance_initializer": _INITIALIZER.format('"ones"', "variance"),
    "alpha_initializer": _INITIALIZER.format('"zeros"', "slopes"),
    "dtype": 'dtype_like, default "float32"\nThe dtype of the weights and of x: float32 or float64.',
    "options": "dict\nThe keyword arguments of the operation.",
    "initializers": "mapping of str to initializer\nWhat makes each weight, by the weight's name.",
    "center": "bool, default True\nWhether an offset, beta, is added.",
    "scale": "bool, default True\nWhether there is a factor, gamma.",
    "epsilon": "float, default 0.001\nAdded to the variance: 1e-3 in Keras, 1e-5 in PyTorch and ONNX.",
    "momentum": "float, default 0.99\nAccepted for Keras's calls; it has an effect in training only.",
    "axis": "int, default -1\nThe axis of the channels: the last one.",
    "block_size": "int\nThe side of a block of pixels.",
    "mode": 'str, default "DCR"\n'
    'The order of the channels: "DCR" is TensorFlow\'s and ONNX\'s, "CRD" PyTorch\'s.',
    "alpha": "float, default 1.0\nThe limit below 0 is -alpha.",
    "interpolation": 'str, default "nearest"\n'
    '"nearest", "bilinear", "bicubic", "lanczos3" or "lanczos5", as in `convlite.resize2d`.',
    "output_size": "int or pair of int or None\nHo and Wo; None keeps x's size on that axis.",
    "keepdims": "bool, default False\nWhether the axes of the image stay, with size 1.",
    "order": 'str, default "HWC"\n'
    '"HWC" is Keras\'s order; "CHW" puts channels first, for dense kernels trained on PyTorch\'s layout.',
    "errors": "TypeError\nFor a keyword that the layer does not have, or a value of the wrong type.\n"
    "ValueError\nFor a value that does not fit; the message begins with the name of the class.",
}
_POOL = {
    **_LAYER,
    "pool_size": "int or (h, w), default 2\nThe size of the window.",
    "strides": "int, (h, w) or None, default None\nThe step between windows; None: pool_size.",
    "count_include_pad": "bool, default False\nWhether the divisor counts padding too, PyTorch's default.",
    "dilations": "int or (h, w), default 1\nThe step between the elements of a window.",
    "ceil_mode": "bool, default False\n"
    "Whether the size of the output is rounded up, as in PyTorch: see `convlite.max_pool2d`.",
}
_ONE = {
    "kernel_size": "int\nThe size of the window.",
    "strides": "int, default 1\nThe step between the places of the kernel.",
    "padding": 'str, int or (before, after), default "valid"\n'
    'As in `convlite.conv1d`: "valid", "same", "same_lower", an int or (before, after).',
    "dilation_rate": "int, default 1\nThe distance between the kernel's elements.",
    "output_padding": "int or None, default None\n"
    "Places in addition to the smallest output, fewer than the stride or the dilation.",
}
_SHAPE = {
    "input_shape": "sequence of int or None\n"
    "The shape of x, batch axis included; None where a size is unknown.",
    "errors": "ValueError\nFor a shape that does not fit the layer; the message has its class and name.",
}
TEXTS.update(
    {
        "layer": _LAYER,
        "layer1d": {**_LAYER, **_ONE},
        "causal": {
            **_LAYER,
            **_ONE,
            "padding": 'str, int or (before, after), default "valid"\n'
            'As in `convlite.conv1d`, and "causal": an output sees no input behind its own place.',
        },
        "pooling": _POOL,
        "pooling1d": {
            **_POOL,
            "pool_size": "int, default 2\nThe size of the window.",
            "strides": "int or None, default None\nThe step between windows; None: pool_size.",
            "padding": _ONE["padding"],
            "dilations": "int, default 1\nThe step between the elements of a window.",
        },
        "axes": {
            **_LAYER,
            "axis": "int or sequence of ints, default -1\nThe axes of a sample that are normalized together.",
        },
        "frame": {**_LAYER, "padding": _FRAME.format(1, "added"), "cropping": _FRAME.format(0, "cut off")},
        "ends": {**_LAYER, "padding": _PAIR.format("added"), "cropping": _PAIR.format("cut off")},
        "shape": _SHAPE,
        "model": {
            "input_shape": "sequence of int or None, or list of them\n"
            "The shape of the input, batch axis included; a list where there are several.",
            "errors": "ValueError\nFor shapes that do not fit.",
        },
        "predict": {
            "batch_size": "int or None, default 32\n"
            "The number of samples computed at a time; None is 32, as in Keras.",
            "progress": "bool or callable, default False\n"
            "True shows a bar on stderr, tqdm's where it is installed; a function is called with (samples\n"
            "done, samples in all) after every batch, the latter None for an iterable.",
        },
        "tiled": {
            "x": "array-like with shape, dtype and slicing\nThe images, of the network's dtype.",
            "out": "array-like or None, default None\nWhere to write, not over x; None: a new array.",
            "tile": "int, sequence of ints or None, default None\n"
            "Rows and columns of x that a tile stands for, multiples of the strides; None: chosen by memory.",
            "memory": "float or None, default None\n"
            "The bytes that a tile may take beside the weights, x and out; None: 256 MiB.",
            "progress": "bool or callable, default False\n"
            "True shows a bar; a function is called with (tiles done, tiles in all).",
            "journal": "str, path-like or None, default None\n"
            "A file that notes which tiles are done, so that the same call goes on after an interruption.",
            "errors": "TypeError\nFor another dtype.\n"
            "ValueError\nFor a node that looks at the whole image, for shapes and tiles that do not fit.",
        },
        "held": {"errors": "ValueError\nFor a layer that is held where it has no name."},
        "built": {"errors": "ValueError\nBefore the layer has weights."},
        "assign": {
            "weights": "sequence or mapping of array_like\n"
            "The arrays, in the order of `weight_names`; for `assign` by these names.",
            "errors": "TypeError\nFor an array of another dtype.\n"
            "ValueError\nFor names, a number of arrays or a shape that do not fit; nothing is replaced then.",
        },
        "weights": {
            "kernel": "array_like\nThe kernel, in the layout that the class names.",
            "bias": "array_like or None, default None\nThe bias; None: the layer has none.",
            "options": "object\nFurther keywords of the constructor.",
            "gamma": "array_like or None\nThe scale; None: the layer has none.",
            "beta": "array_like or None, default None\nThe offset; None: the layer has none.",
            "weights": "sequence of array_like\nThe arrays, in the order of `weight_names`.",
            "errors": "TypeError\nFor arrays of another dtype than float32 and float64, or of two dtypes.\n"
            "ValueError\nFor arrays whose shapes do not fit.",
        },
    }
)


def document(kind: type) -> None:
    """Insert the shared entries into the docstrings of a class and its methods.

    The errors of its methods then suggest arguments.
    """
    documented(kind)
    for member in vars(kind).values():
        function: Any = getattr(member, "__func__", member)  # the function of a class method
        if callable(function) and getattr(function, "__doc__", None) and hasattr(function, "__qualname__"):
            documented(function)
    suggesting_methods(kind)
