"""Docstrings that share their texts, and functions that say what was meant by a wrong argument.

A line such as `strides, padding : shared` in a Parameters section stands for the entries of these names in
`_TEXTS`, and `strides : shared, 1-D` for those of `_TEXTS["1-D"]`: written once, read in every docstring.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable
from typing import Any, TypeVar, cast

Documented = TypeVar("Documented", bound=Any)
Function = TypeVar("Function", bound=Callable[..., Any])

# Entries: the type and the default on the first line, the meaning below.
_TEXTS: dict[str, dict[str, str]] = {
    "": {
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
        "errors": "TypeError\nFor a dtype other than float32 and float64, or for operands of two dtypes.\n"
        "ValueError\nFor shapes and values that do not fit; the message names the argument.",
    },
    "1-D": {
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
    },
}
_SHARED = re.compile(r"^( *)([\w, *]+) : shared(?:, ([\w-]+))?$", re.MULTILINE)


def _entries(found: re.Match[str]) -> str:
    margin, names, variant = found.groups()
    texts, lines = _TEXTS[variant or ""], []
    for name in names.split(", "):
        text = texts.get(name) or _TEXTS[""][name]
        if name != "errors":
            text = f"{name} : {text}"
        lines += [_indented(line, margin, i) for i, line in enumerate(text.split("\n"))]
    return "\n".join(lines)


def _indented(line: str, margin: str, number: int) -> str:
    head = number == 0 or line.endswith("Error")
    return f"{margin}{line}" if head else f"{margin}    {line}"


def documented(thing: Documented) -> Documented:
    """Put the shared entries into the docstring of a function or a class."""
    if thing.__doc__ is not None:  # None: python -OO
        thing.__doc__ = _SHARED.sub(_entries, thing.__doc__)
    return thing


def catching(function: Function) -> Function:
    """A function that catches wrong arguments in `*more` and `**others`, which its signature hides."""
    whole = inspect.signature(function)
    caught = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    kept = [one for one in whole.parameters.values() if one.kind not in caught]
    cast(Any, function).__signature__ = whole.replace(parameters=kept)
    return function


def suggesting(function: Function) -> Function:
    """A function whose TypeError for a wrong argument says which one was meant.

    The operations with kernels check that themselves, since this takes 0.1 us a call.
    """

    @functools.wraps(function)
    def wrapper(*arguments: Any, **keywords: Any) -> Any:
        try:
            return function(*arguments, **keywords)
        except TypeError as error:
            trace = error.__traceback__
            if trace is None or trace.tb_next is not None:  # raised by the function, not by the call of it
                raise
            from ._hints import explain_arguments

            explain_arguments(function, arguments, keywords)
            raise

    return cast(Function, wrapper)
