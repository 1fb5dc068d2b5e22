"""Attributes that convolutions and pools share, and their third spatial axis."""

from __future__ import annotations

from typing import Any

from ..operation import Operation
from ..tensors import Refused

__all__ = ["per_axis", "planar", "windowed_padding"]

_LIMIT = 1 << 31


def per_axis(op: Operation, name: str, axes: int, default: int = 1) -> tuple[int, ...]:
    """Strides, dilations or a window: one positive integer for each spatial axis."""
    values = op.integers(name, (default,) * axes)
    if len(values) != axes:
        raise Refused(f"the attribute {name!r} has {len(values)} entries for {axes} spatial axes")
    if not all(1 <= value < _LIMIT for value in values):
        raise Refused(f"the attribute {name!r} must be positive; it is {values}")
    return values


def windowed_padding(op: Operation, axes: int) -> Any:
    """`auto_pad` and `pads` as the vocabulary has them: (before, after) an axis, "same" or "same_lower"."""
    mode = op.text("auto_pad", "NOTSET", ("NOTSET", "", "VALID", "SAME_UPPER", "SAME_LOWER"))
    pads = op.integers("pads", (0,) * (2 * axes))
    if mode in ("SAME_UPPER", "SAME_LOWER"):
        return "same" if mode == "SAME_UPPER" else "same_lower"
    if mode == "VALID":
        return ((0, 0),) * axes
    if len(pads) != 2 * axes:
        raise Refused(
            f"the attribute 'pads' has {len(pads)} entries for {axes} spatial axes; it needs {2 * axes}"
        )
    if not all(0 <= pad < _LIMIT for pad in pads):
        raise Refused(f"the attribute 'pads' must not be negative; it is {pads}: use a Slice to crop")
    return tuple(zip(pads[:axes], pads[axes:], strict=True))


def planar(
    op: Operation, x: str, axes: int, window: Any, strides: Any, dilations: Any, padding: Any
) -> int | None:
    """Which of three spatial axes a window leaves alone, so that two are left; None for one or two axes.

    An axis is left alone where window and stride are 1 and nothing is padded.
    """
    if axes in (1, 2):
        return None
    if axes != 3:
        raise Refused(
            f"{axes} spatial axes; 1 and 2 are supported, 3 where one has a window and a stride of 1"
        )
    shape = op.shape(x)
    sides = shape[2:] if shape is not None and len(shape) == 5 else (None,) * 3
    alone = [
        axis
        for axis in range(3)
        if window[axis] == 1 and strides[axis] == 1 and (isinstance(padding, str) or padding[axis] == (0, 0))
    ]
    if not alone:
        raise Refused(
            f"3-D windows ({'x'.join(map(str, window))}) are not supported, except where one of the axes has "
            "a window and a stride of 1 and no padding"
        )
    return next((axis for axis in alone if sides[axis] == 1), alone[0])


class Folded:
    """A 5-D input (N, C, 3 axes) as a channels-last 4-D one: the axis left alone goes into the batch."""

    def __init__(self, op: Operation, x: str, axis: int) -> None:
        self.op, self.axis = op, axis
        others = [other for other in range(3) if other != axis]
        self.perm = (0, 2 + axis, 2 + others[0], 2 + others[1], 1)  # N, alone, rest, C
        shape = op.shape(x)
        self.single = shape is not None and shape[2 + axis] == 1
        moved = op.transposed(x, self.perm)
        if self.single:
            self.x = op.emit("squeeze", moved, op.axes([1]))
            return
        sizes = op.emit("shape", moved, start=0, end=None)
        self._outer = op.emit("slice", sizes, op.axes([0]), op.axes([2]), op.axes([0]), op.axes([1]))
        inner = op.emit("slice", sizes, op.axes([2]), op.axes([5]), op.axes([0]), op.axes([1]))
        flat = op.emit("concat", op.axes([-1]), inner, axis=0)
        self.x = op.emit("reshape", moved, flat, allowzero=False)

    def unfolded(self, y: str) -> str:
        """A channels-last 4-D result in the file's order of five axes."""
        op = self.op
        if self.single:
            moved = op.emit("unsqueeze", y, op.axes([1]))
        else:
            sizes = op.emit("shape", y, start=0, end=None)
            inner = op.emit("slice", sizes, op.axes([1]), op.axes([4]), op.axes([0]), op.axes([1]))
            full = op.emit("concat", self._outer, inner, axis=0)
            moved = op.emit("reshape", y, full, allowzero=False)
        back = tuple(self.perm.index(place) for place in range(5))
        return op.emit("transpose", moved, perm=back)


__all__ += ["Folded"]
