"""What kinds with windows share: how many positions a window takes, and which elements it meets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

from ..facts import Size, ceil_of, difference, floor_of, smallest, sum_of, times
from ..graph import Node

__all__ = ["Links", "axes_of", "check_name", "count_of", "links", "padding_of"]

Pads = tuple[tuple[int, int], ...]
Links = Iterator[tuple[tuple[int, ...], tuple[slice, ...], tuple[slice, ...]]]


def axes_of(node: Node, name: str, axes: int) -> tuple[int, ...]:
    """An attribute with one positive int for each spatial axis."""
    values = node.attributes[name]
    if not isinstance(values, tuple) or len(values) != axes:
        raise ValueError(f"{name} must have {axes} entries, one for each spatial axis, not {values!r}")
    if any(int(value) < 1 for value in values):
        raise ValueError(f"{name} must be positive, not {values!r}")
    return tuple(int(value) for value in values)


def padding_of(
    padding: Any,
    sizes: Sequence[int],
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
) -> Pads:
    """(before, after) for each spatial axis; "same" puts an odd one behind, "same_lower" before."""
    if padding in ("same", "same_lower"):
        pads = []
        for size, k, stride, dilation in zip(sizes, kernel, strides, dilations, strict=True):
            out = -(-size // stride)
            total = max(0, (out - 1) * stride + (k - 1) * dilation + 1 - size)
            small, large = total // 2, total - total // 2
            pads.append((small, large) if padding == "same" else (large, small))
        return tuple(pads)
    if not isinstance(padding, tuple) or len(padding) != len(sizes):
        raise ValueError(f'padding must be "same", "same_lower" or {len(sizes)} pairs, not {padding!r}')
    return tuple((int(before), int(after)) for before, after in padding)


def check_name(padding: object) -> None:
    """ValueError for a padding that is a string, and neither of the two that have a meaning.

    >>> check_name("same"), check_name((0, 1))
    (None, None)
    """
    if isinstance(padding, str) and padding not in ("same", "same_lower"):
        raise ValueError(f'padding must be "same", "same_lower" or pairs of ints, not {padding!r}')


def count_of(
    size: Size,
    kernel: Size,
    stride: int,
    dilation: int,
    padding: str | tuple[int, int],
    ceil_mode: bool = False,
) -> Size:
    """How many positions a window takes: floor((size + pads - dilation * (kernel - 1) - 1) / stride) + 1.

    padding: "same", "same_lower" or (before, after). ceil_mode: rounded up, without a last window that would
    begin in the padding behind (ONNX's rule).
    """
    check_name(padding)
    if isinstance(padding, str):
        return ceil_of(size, stride)
    before, after = padding
    window = sum_of(times(difference(kernel, 1), dilation), 1)
    room = difference(sum_of(size, before + after), window)
    if isinstance(room, int) and room < 0:
        raise ValueError(f"the window of {window} does not fit into {size} with padding {(before, after)}")
    if not ceil_mode:
        return sum_of(floor_of(room, stride), 1)
    steps = ceil_of(room, stride)
    if not isinstance(window, int) or after + stride > window:
        steps = smallest(steps, floor_of(sum_of(size, before - 1), stride))
    return sum_of(steps, 1)


def links(
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    before: Sequence[int],
    coarse: Sequence[int],
    fine: Sequence[int],
) -> Links:
    """(tap, coarse slices, fine slices): tap t links c to c * stride + t * dilation - before.

    What leads outside of the fine side is left out, so that not even an infinite weight adds anything there.
    """
    for tap in product(*(range(k) for k in kernel)):
        near, far = [], []
        for axis, t in enumerate(tap):
            shift, stride = t * dilations[axis] - before[axis], strides[axis]
            first = max(0, -(shift // stride))  # the smallest c >= 0 with c * stride + shift >= 0
            last = min(coarse[axis], -((shift - fine[axis]) // stride))
            if last <= first:
                break
            near.append(slice(first, last))
            far.append(slice(first * stride + shift, (last - 1) * stride + shift + 1, stride))
        else:
            yield tap, tuple(near), tuple(far)
