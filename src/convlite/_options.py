"""What the keywords of the operations mean: written once here, read in each operation's docstring."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])

_TEXTS = {
    "strides": "an int, (h, w), or TensorFlow's [1, h, w, 1]; default 1.",
    "padding": '"valid" (none; the default), "same" (TensorFlow\'s rule: the odd pixel at the end), '
    '"same_lower" (ONNX: at the start), '
    "an int, (ph, pw), ((top, bottom), (left, right)), or TensorFlow's "
    "[[0, 0], [t, b], [l, r], [0, 0]]; case does not matter.",
    "dilations": "the distance between the kernel's elements, as strides; default 1.",
    "groups": "how many groups the channels are divided into, each convolved by itself; default 1.",
    "output_shape": "(Ho, Wo) or (N, Ho, Wo, Cout), one of the sizes whose conv2d gives x's; default None.",
    "output_padding": "rows and columns in addition to the smallest output, an int or (h, w), each below the "
    "stride or the dilation; default None. Not together with output_shape.",
    "activation": 'None, a name such as "relu" (convlite.activations lists them), an object such as '
    "convlite.activations.LeakyReLU(0.1), or any callable that gives an array of the output's shape and "
    "dtype.",
    "out": "an array to write the result into and to return: exact shape and dtype, C-contiguous, "
    "overlapping no input; untouched when an error is raised. Default None: a new array.",
    "precision": '"exact" or "fast" for this call (convlite.precision); None, the default: what holds here.',
}
_TEXTS_1D = {
    "strides": "an int, (w,), or TensorFlow's [1, w, 1]; default 1.",
    "padding": '"valid" (none; the default), "same" (TensorFlow\'s rule: the odd place at the end), '
    '"same_lower" (ONNX: at the start), '
    "an int, (before, after), or TensorFlow's [[0, 0], [before, after], [0, 0]].",
    "output_shape": "Wo, (Wo,) or (N, Wo, Cout), one of the sizes whose conv1d gives x's; default None.",
    "output_padding": "places in addition to the smallest output, an int below the stride or the dilation; "
    "default None. Not together with output_shape.",
}
_WIDTH = 105


def documented(function: Function) -> Function:
    """Put what each keyword means, and what is raised, in front of the docstring's examples."""
    if function.__doc__ is None:  # python -OO
        return function
    texts = _TEXTS | _TEXTS_1D if "1d" in function.__name__ else _TEXTS
    lines = ["    Args:"]
    for name in function.__kwdefaults__ or ():
        lines += _wrapped(f"{name}: {texts[name]}")
    lines += ["", "    Raises:"]
    lines += _wrapped(
        "TypeError: for a dtype but float32 and float64, for two dtypes, or for what is no number."
    )
    lines += _wrapped("ValueError: for shapes and values that do not fit; the message names the argument.")
    text, mark, examples = function.__doc__.partition("\n    Examples:\n")
    function.__doc__ = "\n".join([text, *lines, mark.lstrip("\n") and mark + examples])
    return function


def _wrapped(text: str) -> list[str]:
    """Lines of an entry, the later ones indented."""
    lines, line = [], " " * 7
    for word in text.split(" "):
        if len(line) + 1 + len(word) > _WIDTH:
            lines.append(line)
            line = " " * 11
        line += " " + word
    return [*lines, line]
