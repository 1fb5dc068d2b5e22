"""Why two branches of a model differ in size by a few pixels: a stride that does not divide its input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .shapes import Shape
from .symbolic import Call, SymbolicTensor

__all__ = ["undivided"]


def undivided(tensors: Sequence[SymbolicTensor]) -> str:
    """Advice for images that differ in size because a layer's strides do not divide the size of its input.

    "" if that is not the cause, or if inputs whose sizes are multiples of the strides would differ as well.

    >>> from convlite.layers import Input, MaxPooling2D, UpSampling2D
    >>> x = Input((15, 15, 3))
    >>> print(undivided([x, UpSampling2D()(MaxPooling2D()(x))])[-64:-2])
    since the layer 'max_pooling2d' has strides 2 and gets 15 rows
    """
    if {len(tensor.shape) for tensor in tensors} != {4} or len({t.shape[1:3] for t in tensors}) == 1:
        return ""
    axis = 0 if len({tensor.shape[1] for tensor in tensors}) > 1 else 1  # the axis whose sizes differ
    found = ""
    reduced: dict[int, int] = {}  # the factor by which each call's images are smaller than the model's
    for call in _in_order(tensors):
        factor = max(
            (reduced[id(tensor.call)] for tensor in call.inputs if tensor.call is not None), default=1
        )
        steps = getattr(call.target, "strides", None)
        if isinstance(steps, tuple) and len(steps) == 2 and len(call.inputs[0].shape) == 4:
            sizes, results = call.inputs[0].shape[1:3], call.outputs[0].shape[1:3]
            size, result, step = sizes[axis], results[axis], steps[axis]
            if size is not None and result is not None and result < size and size % step and not found:
                name = getattr(call.target, "name", "")
                what = ("rows", "columns")[axis]
                found = f"since the layer {name!r} has strides {step} and gets {size} {what}"
            if None in results or results < sizes:
                factor *= max(steps)
        reduced[id(call)] = factor
    if not found:
        return ""
    most = max(reduced.values())
    if _still_differ(tensors, most):
        return ""
    return f"make the sizes of Input multiples of {most}, and pad or resize images to them, {found}: "


def _still_differ(tensors: Sequence[SymbolicTensor], most: int) -> bool:
    """Whether the images still differ in size if the model's rows and columns are multiples of `most`.

    False if that is unknown: after arithmetic, several outputs, or layers that were made for one size.
    """
    shapes: dict[int, Any] = {}
    try:
        for call in _in_order(tensors):
            (tensor,) = call.outputs
            if call.inputs:
                given = [shapes[id(x)] for x in call.inputs]
                shape = call.target.compute_output_shape(given[0] if call.single else given)  # type: ignore[union-attr]
            else:
                shape = _enlarged(tensor.shape, most)
            shapes[id(tensor)] = shape
        return len({shapes[id(tensor)][1:3] for tensor in tensors}) > 1
    except (ValueError, TypeError, AttributeError, KeyError):
        return False


def _enlarged(shape: Shape, most: int) -> Shape:
    """An image's shape with its rows and columns rounded up to multiples of `most`."""
    if len(shape) != 4:
        return shape
    rows, columns = (None if size is None else -(-size // most) * most for size in shape[1:3])
    return shape[0], rows, columns, shape[3]


def _in_order(tensors: Sequence[SymbolicTensor]) -> list[Call]:
    """The calls that the tensors depend on, each after the calls whose outputs it takes."""
    found: dict[int, Call] = {}
    waiting = [(tensor.call, False) for tensor in tensors]
    while waiting:
        call, ready = waiting.pop()
        if call is None or id(call) in found:
            continue
        if ready:
            found[id(call)] = call
        else:
            waiting += [(call, True), *((tensor.call, False) for tensor in call.inputs)]
    return list(found.values())
