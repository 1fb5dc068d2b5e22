"""Advice in error messages for common mistakes. It is imported only when an error is raised."""

from __future__ import annotations

import difflib
import inspect
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from typing import Any, NoReturn

# Names of arguments in other frameworks.
_OTHER_NAMES = {
    "stride": ("strides",),
    "dilation": ("dilations",),
    "dilation_rate": ("dilations",),
    "rate": ("dilations",),
    "pad": ("padding",),
    "pads": ("padding",),
    "padding_mode": ("mode",),
    "group": ("groups",),
    "num_groups": ("groups",),
    "feature_group_count": ("groups",),
    "act": ("activation",),
    "weight": ("kernel", "gamma"),
    "weights": ("kernel",),
    "filter": ("kernel",),
    "filters": ("kernel",),
    "input": ("x",),
    "inputs": ("x",),
    "kernel_size": ("pool_size", "size"),
    "ksize": ("pool_size", "size"),
    "window": ("pool_size",),
    "output_size": ("output_shape", "size"),
    "scale_factor": ("scales", "factors"),
    "interpolation": ("method",),
    "mode": ("method",),
    "align_corners": ("coordinates",),
    "dim": ("axis",),
    "eps": ("epsilon",),
    "scale": ("gamma",),
    "offset": ("beta",),
    "negative_slope": ("alpha",),
    "approximate": ("activation",),
}


def refuse_arguments(
    function: Callable[..., Any], more: tuple[object, ...], others: Iterable[str]
) -> NoReturn:
    """Raise TypeError for arguments that a function does not have; the message suggests the right names."""
    raise TypeError(_refusal(function, more, others))


def _refusal(function: Callable[..., Any], more: tuple[object, ...], others: Iterable[str]) -> str:
    code, name = function.__code__, function.__name__
    if name == "__init__":
        name = function.__qualname__.split(".")[-2]
    by_position = list(code.co_varnames[: code.co_argcount])
    by_name = list(code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount])
    if by_position[:1] in (["self"], ["cls"]):
        del by_position[0]
    for other in others:
        known = by_position + by_name
        near = [meant for meant in _OTHER_NAMES.get(other, ()) if meant in known]
        near = near or difflib.get_close_matches(other, known, 1)
        near = near or [meant for meant in known if meant in other.split("_")]
        hint = f"did you mean {near[0]!r}?" if near else f"its arguments are {', '.join(known)}"
        return f"{name}() has no argument {other!r}; {hint}"
    first = next(iter(by_name), "")
    hint = f": {first} is a keyword, write {first}={_short(more[0])}" if first else ""
    if not by_position:
        return f"{name}() takes no arguments without a name; got {len(more)}{hint}"
    return (
        f"{name}() takes at most {len(by_position)} arguments without a name, {', '.join(by_position)}; got "
        f"{len(by_position) + len(more)}{hint}"
    )


def explain_arguments(
    function: Callable[..., Any], arguments: tuple[object, ...], keywords: Iterable[str]
) -> str:
    """The reason why Python refused a call; nothing if an argument is missing or was given twice."""
    code = function.__code__
    known = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    takes_more, takes_all = code.co_flags & inspect.CO_VARARGS, code.co_flags & inspect.CO_VARKEYWORDS
    others = [] if takes_all else [name for name in keywords if name not in known]
    more = () if takes_more else arguments[code.co_argcount :]
    if others or more:
        return _refusal(function, more, others)
    if function.__name__ == "explain":
        return (
            "explain() takes the name of an operation and two shapes, as in "
            'explain("conv2d", x.shape, kernel.shape); a model has model.summary()'
        )
    return ""


def _short(value: object) -> str:
    text = repr(value) if isinstance(value, (int, str, tuple, list)) else "..."
    return text if len(text) < 40 else "..."


def other_kind(value: Any, name: str) -> str:
    """A description of a value that is not numeric, and advice what to write instead.

    >>> other_kind("cat.png", "x")
    "got the text 'cat.png': read the file first, as in np.load(path) or np.asarray(PIL.Image.open(path))"
    """
    kind = type(value).__name__
    if isinstance(value, (str, bytes, os.PathLike)):
        what = "text" if isinstance(value, (str, bytes)) else "path"
        read = (
            "np.asarray(PIL.Image.open(path))" if name.endswith("x") else "convlite.layers.read_weights(path)"
        )
        return f"got the {what} {str(value)[:60]!r}: read the file first, as in np.load(path) or {read}"
    if isinstance(value, Mapping):
        keys = list(value)
        first = f"[{keys[0]!r}]" if keys and isinstance(keys[0], (str, int)) else "[...]"
        return f"got a {kind} of {len(keys)} entries: give one of them, as in {name}{first[:60]}"
    if isinstance(value, Set):
        return f"got a {kind}, which has no order: write np.array(list({name}), np.float32)"
    if isinstance(value, Iterator):
        return f"got a {kind}: collect its arrays first, as in np.stack(list({name}))"
    if hasattr(value, "state_dict") and hasattr(value, "named_parameters"):
        return (
            f"got the PyTorch module {kind}: give its weight, convlite.convert.from_torch({name}.weight), or "
            f"run the whole module by convlite.Network.from_torch({name}, example_inputs)"
        )
    if hasattr(value, "get_weights"):
        if name == "x":
            return f"got the layer {kind}: call the layer on an array, layer(x)"
        return f"got the layer {kind}: give its array, {name}.get_weights()[0], or call the layer on x"
    if callable(value):
        return f"got the function or class {getattr(value, '__name__', kind)}: give the array that it returns"
    return f"got an object of type {kind}: convert it first, as in np.asarray({name}, np.float32)"


def not_an_array(value: Any, name: str, error: Exception) -> str:
    """The reason why NumPy cannot convert a value to an array, and advice."""
    if getattr(value, "requires_grad", False):
        return f"it is a PyTorch tensor that requires grad: write {name}.detach()"
    if isinstance(error, ValueError) and "inhomogeneous" in str(error):
        if isinstance(value, tuple) and len(value) == 2 and hasattr(value[0], "shape"):
            return f"got a pair, as of images and labels: give the images alone, {name}[0]"
        return "its parts differ in shape: pad or cut them to one shape, or pass them one by one"
    return str(error)


def missing_axes(shape: tuple[int | None, ...], ndim: int) -> str:
    """What to write for an x without a batch axis, without channels, or without both.

    >>> missing_axes((32, 32, 3), 4)
    '; write x[None] if it is one sample without a batch axis'
    """
    batch = "x[None] if it is one sample without a batch axis"
    if len(shape) == ndim - 1:
        such = "as in grey images" if ndim == 4 else "as in a single signal"
        grey = f"x[..., None] if the channel axis is missing, {such}, or {batch}"
        return f"; write {batch if shape[-1] in (1, 3, 4) else grey}"
    if len(shape) == ndim - 2 > 0:
        return "; write x[None, ..., None]: the axes of batch and channels are missing"
    return ""


def is_shape(value: Any) -> bool:
    """Whether a value looks like the shape of an array: two to six whole numbers in a tuple or a list.

    >>> is_shape((1, 224, 224, 3)), is_shape([[1, 2], [3, 4]])
    (True, False)
    """
    return (
        isinstance(value, (tuple, list))
        and 2 <= len(value) <= 6
        and all(type(size) is int and size > 0 for size in value)
    )


def shape_for_array(value: Any, name: str, dtype: object, takers: str = "") -> str:
    """The message for a shape in place of an array; takers: the functions that take shapes.

    >>> print(shape_for_array((1, 4), "x", "float32"))
    x must be an array; got (1, 4), which looks like a shape: write np.zeros((1, 4), np.float32)
    """
    shape = tuple(value)
    told = (
        f"{name} must be an array; got {shape}, which looks like a shape: write np.zeros({shape}, np.{dtype})"
    )
    return f"{told}; {takers} take shapes" if takers else told


def array_for_shape(value: Any, name: str) -> str:
    """The message for an array in place of its shape.

    >>> import numpy as np
    >>> array_for_shape(np.zeros((2, 3)), "shape")
    'shape must be a sequence of sizes; got an array of shape (2, 3): write x.shape'
    """
    return f"{name} must be a sequence of sizes; got an array of shape {tuple(value.shape)}: write x.shape"


def other_order(got: tuple[Any, ...], wanted: tuple[Any, ...], whose: str, array: bool) -> str:
    """Advice for images whose axes are in the other order, or whose batch axis is missing.

    Args:
        got: The shape that was given, of an array or itself.
        wanted: The declared shape; entries that are not numbers are free.
        whose: The object that takes the images, such as "this network".
        array: Whether an array was given.

    Returns:
        The end of a message; "" in all other cases.

    >>> other_order((1, 3, 9, 9), (None, None, None, 3), "the model", True)
    '; the model takes images channels last: write np.transpose(x, (0, 2, 3, 1))'
    >>> other_order((1, 3, 9, 9), (None, None, None, 3), "the model", False)
    '; the model takes images channels last: write (1, 9, 9, 3)'
    """

    def fits(sizes: tuple[Any, ...]) -> bool:
        return len(sizes) == len(wanted) and all(
            not isinstance(want, int) or size in (want, None)
            for size, want in zip(sizes, wanted, strict=True)
        )

    if fits(got):
        return ""
    if len(got) == len(wanted) - 1:
        batched = (1, *got)
        if got[0] is None or (not fits(batched) and len(got) != 3):
            return ""
        return f"; is the batch axis missing? Write {'x[None]' if array else batched}"
    for perm, name in (((0, 3, 1, 2), "first"), ((0, 2, 3, 1), "last")):
        if len(got) == 4 and fits(moved := tuple(got[axis] for axis in perm)):
            write = f"np.transpose(x, {perm})" if array else moved
            return f"; {whose} takes images channels {name}: write {write}"
    return ""


def other_size(got: tuple[int | None, ...], wanted: tuple[int | str | None, ...], whose: str) -> str:
    """Advice for images that differ from the fixed shape in height or width only.

    >>> other_size((1, 200, 200, 3), (None, 224, 224, 3), "the model")
    '; the model takes images of 224 x 224: write convlite.resize2d(x, (224, 224))'
    """
    if not len(got) == len(wanted) == 4:
        return ""
    for rows, channels in ((1, 3), (2, 1)) if wanted[1] in (1, 2, 3, 4) else ((1, 3),):
        size = wanted[rows : rows + 2]
        others = [axis for axis in (0, channels) if isinstance(wanted[axis], int)]
        fits = all(got[axis] in (wanted[axis], None) for axis in others)
        if fits and all(isinstance(one, int) for one in size) and got[rows : rows + 2] != size:
            told = f"; {whose} takes images of {size[0]} x {size[1]}: "
            if channels == 3:
                return f"{told}write convlite.resize2d(x, {size})"
            return f"{told}write convlite.resize2d(x, {size}) before the channels are moved to axis 1"
    return ""


def other_channels(got: tuple[int | None, ...], wanted: tuple[int | str | None, ...]) -> str:
    """Advice for grey images where colours are wanted, for an alpha channel, and for colours where grey is.

    >>> other_channels((1, 8, 8, 4), (None, None, None, 3))
    '; is the fourth channel alpha? Write x[..., :3]'
    >>> other_channels((1, 1, 8, 8), (None, 3, 8, 8))
    '; are the images grey? Write np.repeat(x, 3, axis=1)'
    """
    for axis, name, colours in ((3, -1, "x[..., :3]"), (1, 1, "x[:, :3]")):
        if len(got) == len(wanted) == 4 and all(
            i == axis or not isinstance(want, int) or want == got[i] for i, want in enumerate(wanted)
        ):
            pair = got[axis], wanted[axis]
            if pair == (1, 3):
                return f"; are the images grey? Write np.repeat(x, 3, axis={name})"
            if pair == (4, 3):
                return f"; is the fourth channel alpha? Write {colours}"
            if pair in ((3, 1), (4, 1)):
                return f"; grey images are wanted: write {colours}.mean(axis={name}, keepdims=True)"
    return ""


def nearest(name: str, known: Iterable[str]) -> str:
    """'; did you mean ...?' for a name that a module does not have, or nothing.

    >>> nearest("Conv2d", ["Conv1D", "Conv2D"])
    "; did you mean 'Conv2D'?"
    """
    names = list(known)
    if "3d" in name.lower():
        flat = difflib.get_close_matches(name.replace("3D", "2D").replace("3d", "2d"), names, 1)
        if flat:
            return f": there is none, convlite has one or two spatial axes, as in {flat[0]!r}"
    same = [other for other in names if other.lower() == name.lower()]
    near = same or difflib.get_close_matches(name, names, 1)
    return f"; did you mean {near[0]!r}?" if near else ""


def swapped(
    received: int, expected: int, kernel: tuple[int, ...], operation: str, groups: int, cout: int
) -> str:
    """Advice for a kernel whose input channels are not those of x (or of a group of x)."""
    channels = expected * groups
    if operation == "depthwise_conv2d":
        if kernel[-2] == 1 and channels and kernel[-1] % channels == 0:
            shape = (*kernel[:-2], channels, kernel[-1] // channels)
            return f"; its last axes look like those of a grouped kernel: write kernel.reshape{shape}"
        return ""
    other = kernel[-1] if operation == "conv2d" else kernel[-2]
    if other * (groups if operation == "conv2d_transpose" else 1) == expected:
        return "; its last two axes look swapped: write kernel.swapaxes(-1, -2)"
    if operation == "conv2d" and received and channels and channels % received == 0:
        count = channels // received
        if count != groups and cout % count == 0:
            also = ", or use depthwise_conv2d" if received == 1 and len(kernel) == 4 else ""
            return f"; it fits groups={count}{also}"
    return ""
