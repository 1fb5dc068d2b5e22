"""Shared texts of docstrings, and functions whose errors suggest the right name for a wrong argument.

A line such as `strides, padding : shared` in a Parameters section stands for the entries of these names in
`_GENERAL`, and `strides : shared, pool` for those of `TEXTS["pool"]`: written once, read in every docstring.
`x, strides -> (N, Ho, Wo, C) : shared` stands for the whole of the sections Parameters, Returns (an array of
this shape) and Raises. `x -> int : The size. : shared` says what else is returned, `alpha -> : shared`
returns nothing, and `() ->` has no parameters.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable
from typing import Any, TypeVar, cast

Documented = TypeVar("Documented", bound=Any)
Function = TypeVar("Function", bound=Callable[..., Any])
Kind = TypeVar("Kind", bound=type)

# Entries: the type and the default on the first line, the meaning below.
_GENERAL = {
    "bias": "array_like, (Cout,), or None, default None\nAdded to each output, one value per channel.",
    "strides": "int, (h, w) or [1, h, w, 1], default 1\n"
    "The step between the places of the kernel, for both axes or each; four numbers are TensorFlow's.",
    "padding": 'str, int or sequence of ints, default "valid"\n'
    'What counts as zeros around x: "valid" (nothing), "same" (TensorFlow\'s rule: the odd pixel at the\n'
    'end), "same_lower" (ONNX: at the start), an int for every side, (ph, pw), ((top, bottom), (left,\n'
    "right)), or TensorFlow's [[0, 0], [t, b], [l, r], [0, 0]]. Case does not matter.",
    "dilations": "int, (h, w) or [1, h, w, 1], default 1\nThe distance between the kernel's elements.",
    "groups": "int, default 1\nThe number of groups of channels; each is convolved by itself.",
    "output_shape": "(Ho, Wo), (N, Ho, Wo, Cout) or None, default None\n"
    "One of the sizes whose conv2d gives x's size. Not together with output_padding.",
    "output_padding": "int, (h, w) or None, default None\n"
    "Rows and columns in addition to the smallest output, each below the stride or the dilation.",
    "activation": "str, Activation, callable or None, default None\n"
    'Applied to the result: a name such as "relu" (see `convlite.activations`), an object such as\n'
    "`convlite.activations.LeakyReLU(0.1)`, or a function that returns an array of the output's shape\n"
    "and dtype.",
    "out": "ndarray or None, default None\n"
    "Where to write the result: an array of the output's shape and dtype, C-contiguous, overlapping no\n"
    "input. An error leaves it as it was. None makes a new array.",
    "precision": '"exact", "fast" or None, default None\n'
    "The precision of this call; None: the one in force, see `convlite.precision`.",
    "x": "array_like, float32 or float64\nAn array of any shape.",
    "keepdims": "bool, default False\nWhether the axes of the image stay, with size 1.",
    "errors": "TypeError\nFor a dtype other than float32 and float64, or for operands of two dtypes.\n"
    "ValueError\nFor shapes and values that do not fit; the message names the argument.",
}
_IMAGES = "array_like, (N, H, W, C)\nThe images, float32 or float64."
_SEQUENCES = "array_like, (N, W, C)\nThe sequences, float32 or float64."
_1D = {
    "strides": "int, (w,) or [1, w, 1], default 1\n"
    "The step between the places of the kernel; three numbers are TensorFlow's.",
    "padding": 'str, int or sequence of ints, default "valid"\n'
    'What counts as zeros around x: "valid" (nothing), "same" (TensorFlow\'s rule: the odd place at the\n'
    'end), "same_lower" (ONNX: at the start), an int for both ends, (before, after), or TensorFlow\'s\n'
    "[[0, 0], [before, after], [0, 0]]. Case does not matter.",
    "dilations": "int, (w,) or [1, w, 1], default 1\nThe distance between the kernel's elements.",
    "output_shape": "int, (Wo,), (N, Wo, Cout) or None, default None\n"
    "One of the sizes whose conv1d gives x's size. Not together with output_padding.",
    "output_padding": "int, (w,) or None, default None\n"
    "Places in addition to the smallest output, fewer than the stride or the dilation.",
}
_POOL = {
    "x": _IMAGES,
    "pool_size": "int or (h, w), default 2\nThe size of the window.",
    "strides": "int, (h, w) or None, default None\nThe step between windows; None: pool_size.",
    "dilations": "int or (h, w), default 1\nThe step between the elements of a window.",
    "ceil_mode": "bool, default False\n"
    "Whether the size of the output is rounded up, so that the last window may reach beyond the padding;\n"
    "it still begins inside of the image or the padding before it. This is PyTorch's rule, and ONNX's from\n"
    'opset 22 on. With "same" nothing changes.',
    "count_include_pad": "bool, default False\n"
    "Whether the divisor counts padding too, PyTorch's default; what ceil_mode adds is never counted.",
    "output_size": "int or pair of int or None\nHo and Wo; None keeps x's size on that axis.",
}
_NORM = {
    "x": "array_like, (N, ..., C)\nThe values, float32 or float64.",
    "gamma": "array_like or None, default None\n"
    "The scale, of the size of the axes that it scales and of x's dtype; None: 1.",
    "beta": "array_like or None, default None\nThe offset, of the axes' size and of x's dtype; None: 0.",
    "groups": "int, default 32\nThe number of groups, which divides C; -1 stands for C groups, as in Keras.",
    "epsilon": "float, default 0.001\n"
    "Added to the variance: 1e-3 in Keras, 1e-5 in PyTorch and ONNX, 1e-6 in Flax.",
    "axis": "int or sequence of ints, default -1\nThe axes that are normalized together, not the batch.",
}
_RESIZE = {
    "x": _IMAGES,
    "size": "int, (h, w) or None, default None\n"
    "The size of the output; an int makes a square. None: scales say it.",
    "scales": "float, (sh, sw) or None, default None\n"
    "In place of a size: it is floor(H*sh) x floor(W*sw), and r is the scale itself, as in ONNX and PyTorch\n"
    "(whose recompute_scale_factor=True means m/n: give the size).",
    "roi": "sequence of floats or None, default None\n"
    'What "tf_crop_and_resize" cuts out, (top, left, bottom, right) in parts of the image.',
    "keep_aspect_ratio": 'str, default "stretch"\n'
    '"not_larger" or "not_smaller" make one scale of a size, as ONNX\'s policy; "stretch" does not.',
    "errors": "TypeError\nFor a dtype other than float32 and float64.\n"
    "ValueError\nFor a wrong shape, size or option, an option that the method does not have, or no pixels.",
    "coordinates": 'str, default "half_pixel"\nWhere an output pixel lies in the input: see above.',
    "nearest_mode": "str or None, default None\n"
    'ONNX\'s rule for "nearest": "round_prefer_floor", "round_prefer_ceil", "floor" or "ceil"; None: see\n'
    "above.",
    "cubic_a": "float or None, default None\n"
    'The coefficient of "bicubic": None is -0.5, as in TensorFlow and PIL; PyTorch and ONNX have -0.75.',
    "antialias": "bool, default False\nWhether the blend is widened where an image shrinks.",
    "exclude_outside": "bool, default True\n"
    "Whether pixels outside of the image do not count (TensorFlow, PIL); False: the border repeats.",
    "extrapolation_value": "float, default 0.0\nWhat is written where roi leads outside of the image.",
    "method": 'str, default "bilinear"\n'
    '"nearest", "bilinear" ("linear"), "bicubic" ("cubic"), "lanczos3", "lanczos5", "area" or\n'
    '"adaptive_average".',
}
_CONVERT = {
    "weight": "array_like or tensor\nThe weight, float32 or float64.",
    "kernel": "array_like\nThe kernel, in convlite's layout, float32 or float64.",
    "operation": 'str, default "conv2d"\n'
    'A name of the table above, or the framework\'s: "Linear", "ConvTranspose2d", "Dense", "Gemm" ...',
    "groups": "int or None, default None\n"
    "The groups: needed for a depthwise kernel with a multiplier, elsewhere only checked.",
    "trans_b": "bool, default False\n"
    "Gemm's attribute transB, 0 in ONNX by default but 1 in what PyTorch exports.",
    "errors": "TypeError\nFor what is not float32 or float64.\n"
    "ValueError\nFor a wrong rank, a name that is not known, or groups that do not fit.",
}
TEXTS: dict[str, dict[str, str]] = {
    "": {},
    "1-D": {},
    "quiet": {"errors": ""},
    "conv2d": {
        "x": "array_like, (N, H, W, Cin)\nThe images, float32 or float64.",
        "kernel": "array_like or PackedKernel, (kh, kw, Cin//groups, Cout)\nThe filters, of x's dtype.",
    },
    "conv2d_transpose": {
        "x": "array_like, (N, H, W, Cin)\nThe images, float32 or float64.",
        "kernel": "array_like or PackedKernel, (kh, kw, Cout//groups, Cin)\n"
        "The filters, of x's dtype: TensorFlow's layout, the array that conv2d uses the other way round.",
    },
    "depthwise_conv2d": {
        "x": _IMAGES,
        "kernel": "array_like or PackedKernel, (kh, kw, C, multiplier)\nThe filters, of x's dtype.",
        "bias": "array_like, (C*multiplier,), or None, default None\n"
        "Added to each output, one value per channel.",
    },
    "dense": {
        "x": "array_like, (..., K)\nThe rows, float32 or float64; of any rank from 1 on.",
        "kernel": "array_like or PackedKernel, (K, M)\nThe matrix, of x's dtype.",
        "bias": "array_like, (M,), or None, default None\nAdded to each row.",
    },
    "conv1d": {
        "x": "array_like, (N, W, Cin)\nThe sequences, float32 or float64.",
        "kernel": "array_like or PackedKernel, (kw, Cin//groups, Cout)\n"
        "The filters, of x's dtype; packed from (1, kw, Cin//groups, Cout).",
    },
    "conv1d_transpose": {
        "x": "array_like, (N, W, Cin)\nThe sequences, float32 or float64.",
        "kernel": "array_like or PackedKernel, (kw, Cout//groups, Cin)\n"
        "The filters, of x's dtype; packed from (1, kw, Cout//groups, Cin).",
    },
    "pool": _POOL,
    "pool1d": {
        **_POOL,
        "x": _SEQUENCES,
        "pool_size": "int, default 2\nThe size of the window.",
        "strides": "int or None, default None\nThe step between windows; None: pool_size.",
        "dilations": "int, default 1\nThe step between the elements of a window.",
    },
    "images": {"x": _IMAGES},
    "sequences": {"x": _SEQUENCES},
    "elementwise": {
        "alpha": "float, default 1.0\nThe limit below 0 is -alpha.",
        "threshold": "float, default 0.5\nHalf the width of the band that gives 0; not negative.",
        "axis": "int, default -1\nThe axis along which the sum is taken.",
        "max_value": "float or None, default None\nThe upper bound, at least 0; None: no bound.",
    },
    "leaky": {"alpha": "float, default 0.2\nThe slope below 0."},
    "prelu": {
        "alpha": "array_like, (C,), (H, W, C) or one number\n"
        "The slopes below 0, of x's dtype; they broadcast against x.",
    },
    "channels": {
        "x": "array_like, (..., C)\nThe values, float32 or float64.",
        "bias": "array_like, (C,)\nOne number for each channel, of x's dtype.",
        "groups": "int\nThe number of groups, which divides C.",
    },
    "batch": {
        "x": "array_like, (..., C)\nThe values, float32 or float64.",
        "mean": "array_like, (C,)\nThe moving mean.",
        "variance": "array_like, (C,)\nThe moving variance.",
        "scale": "array_like, (C,), or None, default None\nThe factor; None: 1.",
        "offset": "array_like, (C,), or None, default None\nWhat is added; None: 0.",
        "epsilon": "float, default 0.001\nAdded to the variance: 1e-3 in Keras, 1e-5 in PyTorch and ONNX.",
        "gamma": "array_like, (C,), or None, default None\nKeras's name for scale.",
        "beta": "array_like, (C,), or None, default None\nKeras's name for offset.",
        "weight": "array_like, (C,), or None, default None\nPyTorch's name for scale.",
        "bias": "array_like, (C,), or None, default None\nPyTorch's name for offset.",
    },
    "shapes": {
        "x_shape": "sequence of ints\nThe shape of x: (N, H, W, Cin).",
        "kernel_shape": "sequence of ints\nThe shape of the kernel, as the operation takes it.",
        "size": "int or (h, w)\nThe size of the image.",
        "kernel_size": "int or (kh, kw)\nThe size of the kernel.",
        "operation": "str\n"
        '"conv2d", "conv2d_transpose", "depthwise_conv2d", "dense", "conv1d" or "conv1d_transpose".',
    },
    "seeds": {
        "seed": "int or None, default None\nThe seed of the operation; None: as the module says.",
        "graph_seed": "int or None, default None\nTensorFlow's graph seed; None: that of a scope of `Graph`.",
        "minval": "float, default -0.05\nThe lower end.",
        "maxval": "float, default 0.05\nThe upper end, which is left out.",
        "mean": "float, default 0.0\nThe mean.",
        "stddev": "float, default 0.05\nThe standard deviation.",
        "scale": "float, default 1.0\nThe factor of the variance.",
        "mode": 'str, default "fan_in"\nWhat n is: "fan_in", "fan_out" or "fan_avg".',
        "distribution": 'str, default "truncated_normal"\n'
        '"truncated_normal" ("normal" is the same), "untruncated_normal" or "uniform".',
        "gain": "float, default 1.0\nThe factor of the matrix.",
        "errors": "TypeError\nFor a seed that is no integer, or a parameter that is no number.\n"
        "ValueError\nFor a parameter outside of its range.",
    },
    "spec": {
        "spec": "str, Activation, callable or None\n"
        "A name of `NAMES` or `ALIASES`, an object, or a function of an array.",
        "errors": "ValueError\nFor an unknown name; the message has the nearest one.\n"
        "TypeError\nFor what is no activation, such as a class.",
    },
    "convert": _CONVERT,
    "onnx": {
        **_CONVERT,
        "operation": 'str, default "Conv"\n'
        'A name of the table above, or an ONNX operator: "Conv" and "ConvTranspose" (of\n'
        '1 or 2 dimensions, by the weight\'s rank), "Gemm", "MatMul".',
    },
    "onnx-transpose": {
        "x_shape": "sequence of ints\nThe shape of x in convlite's layout: (N, H, W, C) or (N, W, C).",
        "kernel_shape": "sequence of ints\nThe kernel's: (kh, kw, O/g, I) or (kw, O/g, I).",
        "strides": "int or sequence of ints, default 1\nThe node's attribute.",
        "dilations": "int or sequence of ints, default 1\nThe node's attribute.",
        "auto_pad": 'str, default "NOTSET"\n"NOTSET", "VALID", "SAME_UPPER" or "SAME_LOWER".',
        "pads": "sequence of ints or None, default None\nAll beginnings, then all ends.",
        "output_padding": "int, sequence of ints or None, default None\nPlaces in addition.",
        "output_shape": "sequence of ints or None, default None\nThe size of the output alone.",
        "errors": "ValueError\nFor attributes that do not fit each other or the shapes.",
    },
    "draw": {
        "shape": "int or sequence of ints\nThe shape of the array.",
        "minval": "float, default 0.0\nThe lower end.",
        "maxval": "float, default 1.0\nThe upper end, which is left out.",
        "mean": "float, default 0.0\nThe mean.",
        "stddev": "float, default 1.0\nThe standard deviation.",
        "seed": "int or None, default None\nThe seed of the operation.",
        "dtype": "dtype_like, default float32\nThe dtype, float32 or float64.",
        "graph_seed": "int or None, default None\nThat of tf.set_random_seed; None: of a scope of `Graph`.",
        "errors": "TypeError\nFor a seed that is no integer, or another dtype.\n"
        "ValueError\nFor a negative size.",
    },
    "norm": _NORM,
    "rms": {
        **_NORM,
        "epsilon": "float, default 1e-06\n"
        "Added to the mean of squares: 1e-6 in Keras and Flax, 1e-5 in ONNX, the dtype's eps in PyTorch.",
    },
    "unit": {**_NORM, "epsilon": "float, default 1e-12\nThe smallest length that is divided by."},
    "lrn": {
        "x": _NORM["x"],
        "size": "int or (before, behind)\n"
        "The number of channels in a sum, odd; or how many before and behind: for an even n PyTorch's\n"
        "LocalResponseNorm(n) is (n//2, n//2 - 1), ONNX's LRN (n//2 - 1, n//2).",
        "alpha": "float, default 0.0001\nThe factor of the sum of squares.",
        "beta": "float, default 0.75\nThe exponent.",
        "k": "float, default 1.0\nWhat is added to the sum; TensorFlow calls it bias.",
    },
    "blocks": {
        "x": _IMAGES,
        "block_size": "int\nThe side b of a block of pixels.",
        "mode": 'str, default "DCR"\n'
        "The order of the channels: \"DCR\" is (row, column, c), TensorFlow's, Keras's and ONNX's default;\n"
        '"CRD" is (c, row, column), PyTorch\'s.',
    },
    "patches": {
        "x": _IMAGES,
        "size": "int or (kh, kw)\nThe size of the window.",
        "strides": "int, (h, w) or None, default None\nThe step between windows; None: size, as in Keras.",
        "order": 'str, default "HWC"\n'
        "The order of an output's channels: \"HWC\" is (row, column, c), TensorFlow's and Keras's, so that\n"
        'conv2d is a product with kernel.reshape(-1, Cout); "CHW" is (c, row, column), that of PyTorch\'s\n'
        "unfold, whose result here is transposed and keeps Ho and Wo apart.",
    },
    "frames": {
        "x": _IMAGES,
        "padding": "int or sequence of ints\n"
        "What is added: an int for every side, (ph, pw), ((top, bottom), (left, right)) or TensorFlow's\n"
        "[[0,0], [t,b], [l,r], [0,0]].",
        "mode": 'str, default "constant"\nHow the frame is filled.',
        "value": 'float, default 0.0\nWhat "constant" writes.',
        "errors": "TypeError\nFor a dtype other than float32 and float64.\n"
        "ValueError\nFor a wrong shape, padding or mode, for a value in another mode, for a frame\n"
        "deeper than the image (reflect: as deep as), and for an image without pixels to repeat.",
    },
    "resize": _RESIZE,
    "resize1d": {
        **_RESIZE,
        "x": _SEQUENCES,
        "size": "int or None, default None\nThe number of places of the output. None: scales say it.",
        "scales": "float or None, default None\nIn place of a size: it is floor(W*scales).",
        "roi": "sequence of floats or None, default None\n"
        'What "tf_crop_and_resize" cuts out, (start, end) in parts of the sequence.',
    },
}
_SHARED = re.compile(
    r"^( *)(\(\)|\w+(?:,\s+\w+)*)( ->(?:[^:\n]| : (?!shared))*)? : shared(?:, ([\w-]+))?$", re.MULTILINE
)


def _entries(found: re.Match[str]) -> str:
    """The text that replaces a line."""
    return _expanded(*found.groups())


@functools.cache
def _expanded(margin: str, listed: str, result: str | None, variant: str | None) -> str:
    texts = TEXTS[variant or ""]
    lines, names = [], [name.strip() for name in listed.split(",") if listed != "()"]
    if result is not None and names:
        lines += ["", *_HEADS["Parameters"]]
    for name in names:
        text = texts.get(name) or (_1D if "1" in (variant or "") else {}).get(name) or _GENERAL[name]
        lines += _entry(text if name == "errors" else f"{name} : {text}")
    if result is not None:
        kind, _, meaning = result[4:].partition(" : ")
        if kind and not meaning:  # a shape
            kept = "; `out` itself where it is given" if "out" in names else ""
            kind, meaning = f"ndarray, {kind}", f"The result, in x's dtype{kept}."
        if kind:
            lines += ["", *_HEADS["Returns"], kind, f"    {meaning}"]
        errors = texts.get("errors", _GENERAL["errors"])
        if errors:
            lines += ["", *_HEADS["Raises"], *_entry(errors)]
        del lines[0]
    return "\n".join(margin + line if line else "" for line in lines)


_HEADS = {name: [name, "-" * len(name)] for name in ("Parameters", "Returns", "Raises")}


def _entry(text: str) -> list[str]:
    """The first line, and the others indented; each error is a first line."""
    head, *others = text.split("\n")
    return [head, *(line if line.endswith("Error") else f"    {line}" for line in others)]


def documented(thing: Documented) -> Documented:
    """Insert the shared entries into the docstring of a function or a class."""
    text = thing.__doc__
    if text is not None and " : shared" in text:  # None: python -OO
        parts = text.split("\n\n")  # the expression is slow where nothing matches, and this runs at import
        thing.__doc__ = "\n\n".join(
            _SHARED.sub(_entries, part) if " : shared" in part else part for part in parts
        )
    return thing


def catching(function: Function) -> Function:
    """Hide `*more` and `**others`, in which a function catches wrong arguments, from its signature."""
    whole = inspect.signature(function)
    caught = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    kept = [one for one in whole.parameters.values() if one.kind not in caught]
    cast(Any, function).__signature__ = whole.replace(parameters=kept)
    return function


def documented_module(names: dict[str, Any]) -> None:
    """`public` for what a module, whose globals these are, has defined so far and has in `__all__` (without
    one: whose name has no underscore in front); `documented` for what else it has defined."""
    listed = names.get("__all__") or [name for name in names if not name.startswith("_")]
    for name, value in list(names.items()):
        if getattr(value, "__module__", None) == names["__name__"] and getattr(value, "__doc__", None):
            names[name] = public(value) if name in listed else documented(value)


def public(thing: Documented) -> Documented:
    """Both `documented` and `suggesting`, for a function or for a class and its methods."""
    return documented(suggesting_methods(thing) if isinstance(thing, type) else suggesting(thing))


def suggesting(function: Function) -> Function:
    """Wrap a function so that its TypeError for a wrong argument suggests the right one.

    The operations with kernels check that themselves, since this takes 0.1 us a call.
    """

    @functools.wraps(function)
    def wrapper(*arguments: Any, **keywords: Any) -> Any:
        try:
            return function(*arguments, **keywords)
        except TypeError:
            try:
                inspect.signature(function).bind(*arguments, **keywords)
            except TypeError:  # the call itself is wrong, not the code of the function
                from ._hints import explain_arguments

                clearer = explain_arguments(inspect.unwrap(function), arguments, keywords)
                if clearer:
                    raise TypeError(clearer) from None
            raise

    return cast(Function, wrapper)


def suggesting_methods(kind: Kind) -> Kind:
    """Wrap a class's public methods with arguments like this, except `call`, which is called often."""
    for name, value in list(vars(kind).items()):
        bound = isinstance(value, classmethod)
        function = cast(Any, value).__func__ if bound else value
        if name == "call" or (name.startswith("_") and name != "__init__"):
            continue
        if inspect.isfunction(function) and (name != "__init__" or not hasattr(function, "__wrapped__")):
            wrapped = suggesting(function)
            type.__setattr__(kind, name, classmethod(wrapped) if bound else wrapped)
    return kind
