"""Resizing, axis by axis, and the choice among overlapping boxes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..facts import Fact, Size, floor_of, listed, times
from ..graph import Array, Node
from .record import Arrays, Facts, Kind, axis_of, exact, given, must_fit, optional, registered

__all__ = ["KINDS", "cubic"]

KINDS: dict[str, Kind] = {}
INT64 = np.dtype(np.int64)


# ---- how large ----


def _resize_axes(node: Node, rank: int) -> list[int]:
    axes = node.attributes["axes"]
    found = list(range(rank)) if axes is None else [axis_of(int(axis), rank) for axis in axes]
    if len(set(found)) < len(found):
        raise ValueError(f"axes {axes} name an axis twice")
    return found


def _scaled(size: Size, scale: float) -> Size:
    """floor(size * scale), in float32 as all runtimes do."""
    if isinstance(size, int):
        return int(np.floor(np.float32(size) * np.float32(scale)))
    if scale > 0 and scale == int(scale):
        return times(size, int(scale))
    if 0 < scale < 1 and 1 / scale == int(1 / scale):
        return floor_of(size, int(1 / scale))
    return None


def _fitted(sizes: list[int], wanted: list[int], policy: str) -> tuple[list[int], list[float]]:
    """Sizes and scales of a resize to given sizes: with a policy, one scale for all axes."""
    scales = [target / size for size, target in zip(sizes, wanted, strict=True)]
    if policy == "stretch" or not scales:
        return wanted, scales
    scale = min(scales) if policy == "not_larger" else max(scales)
    return [math.floor(scale * size + 0.5) for size in sizes], [scale] * len(sizes)


def _wanted(facts: Facts) -> tuple[Fact | None, Fact | None]:
    """scales and sizes, of which one is there; an empty vector counts as left out."""
    scales, sizes = (
        None if fact is None or fact.shape == (0,) else fact
        for fact in (optional(facts, 2), optional(facts, 3))
    )
    if (scales is None) == (sizes is None):
        raise ValueError("either scales or sizes must be given")
    return scales, sizes


def _resize_facts(node: Node, facts: Facts) -> tuple[Fact, ...]:
    x = given(facts, 0)
    scales, sizes = _wanted(facts)
    if x.shape is None:
        return (Fact(x.dtype, None),)
    axes = _resize_axes(node, len(x.shape))
    for fact in (scales, sizes):
        if fact is not None and fact.shape is not None:
            if len(fact.shape) != 1:
                raise ValueError("scales and sizes must be vectors")
            must_fit(fact.shape[0], len(axes), "scales or sizes, one for each axis,")
    shape = list(x.shape)
    policy = node.attributes["keep_aspect_ratio_policy"]
    targets: list[Size] = [None] * len(axes)
    if sizes is not None:
        targets = listed(sizes) or targets
        numbers = [size for size in targets if isinstance(size, int)]
        whole = [size for axis in axes if isinstance(size := shape[axis], int)]
        if policy != "stretch":
            known = len(numbers) == len(whole) == len(axes) and all(whole)
            targets = list(_fitted(whole, numbers, policy)[0]) if known else [None] * len(axes)
    elif scales is not None and scales.known is not None:
        targets = [
            _scaled(shape[axis], float(s)) for axis, s in zip(axes, scales.known.tolist(), strict=True)
        ]
    for axis, target in zip(axes, targets, strict=True):
        if isinstance(target, int) and target < 0:
            raise ValueError(f"the new sizes {targets} are not all positive")
        shape[axis] = target
    return (Fact(x.dtype, tuple(shape)),)


# ---- where from ----


def _crop(i: Array, n: int, width: float, roi: tuple[Any, Any], real: Any) -> Array:
    start, end = real(roi[0]), real(roi[1])
    if width == 1:
        return np.full(len(i), real(0.5) * (start + end) * real(n - 1), real)
    return np.asarray(start * real(n - 1) + i * (end - start) * real(n - 1) / real(width - 1))


def _coordinates(
    how: str, n: int, m: int, scale: float, whole: bool, roi: tuple[Any, Any], real: Any
) -> Array:
    """The place in the input of each of m outputs; whole: the scale is m / n, and numerators are exact.

    A scale makes n * scale outputs, of which the last may be a fraction.
    """
    i: Array = np.arange(m, dtype=real)
    width = float(m) if whole else n * scale
    if how == "tf_crop_and_resize":
        return _crop(i, n, width, roi, real)
    if how == "align_corners":
        return np.zeros(m, real) if width == 1 else np.asarray(i * real(n - 1) / real(width - 1))
    if how == "pytorch_half_pixel" and m == 1:
        return np.zeros(1, real)
    exactly = whole and real is np.float64
    if how == "asymmetric":
        return np.asarray(i * n / m if exactly else i / real(scale))
    if how == "tf_half_pixel_for_nn":
        return np.asarray((2 * i + 1) * n / (2 * m) if exactly else (i + real(0.5)) / real(scale))
    if how not in ("half_pixel", "pytorch_half_pixel", "half_pixel_symmetric"):
        raise ValueError(f"there are no coordinates {how!r}")
    if exactly:
        return np.asarray(((2 * i + 1) * n - m) / (2 * m))
    place = (i + real(0.5)) / real(scale)
    if how == "half_pixel_symmetric":
        place = place + real(n) / real(2) * (real(1) - real(m) / (real(scale) * real(n)))
    return np.asarray(place - real(0.5))


ROUNDINGS: dict[str, Callable[[Array], Array]] = {
    "round_prefer_floor": lambda place: np.ceil(place - place.dtype.type(0.5)),
    "round_prefer_ceil": lambda place: np.floor(place + place.dtype.type(0.5)),
    "floor": np.floor,
    "ceil": np.ceil,
}


def cubic(t: Array, a: float) -> Array:
    """Keys's kernel at distance t."""
    t = np.abs(t)
    near = ((a + 2) * t - (a + 3)) * t * t + 1
    far = ((a * t - 5 * a) * t + 8 * a) * t - 4 * a
    return np.where(t <= 1, near, np.where(t < 2, far, 0.0))


def _taps(node: Node, place: Array, n: int, scale: float) -> tuple[Array, Array]:
    """Which elements make each output, and with what weights: two arrays of (outputs, taps)."""
    stretch = max(1.0, 1 / scale) if node.attributes["antialias"] else 1.0
    reach = (1 if node.attributes["mode"] == "linear" else 2) * stretch
    first = np.floor(place - reach).astype(np.intp) + 1
    index = first[:, None] + np.arange(math.ceil(2 * reach))
    distance = (index - place[:, None]) / stretch
    if node.attributes["mode"] == "linear":
        weight = np.clip(1 - np.abs(distance), 0, 1)
    else:
        weight = cubic(distance, float(node.attributes["cubic_a"]))
    if node.attributes["exclude_outside"]:
        weight = np.where((index < 0) | (index >= n), 0.0, weight)
    if node.attributes["exclude_outside"] or stretch > 1:
        weight = weight / weight.sum(1, keepdims=True)
    index = np.clip(index, 0, n - 1)
    # The image's last pixel may come several times. It counts once: an infinite one times weights of both
    # signs would be NaN.
    for tap in range(1, index.shape[1]):
        same = index[:, tap] == index[:, tap - 1]
        weight[:, tap] += np.where(same, weight[:, tap - 1], 0.0)
        weight[:, tap - 1] = np.where(same, 0.0, weight[:, tap - 1])
    return index, weight


def _resized_axis(
    node: Node, x: Array, axis: int, m: int, scale: float, whole: bool, roi: tuple[Any, Any], double: bool
) -> tuple[Array, Array]:
    """x with one axis resized, and which places along it lie outside of the input."""
    n, how = x.shape[axis], node.attributes["coordinates"]
    nearest = node.attributes["mode"] == "nearest"
    if how != "tf_crop_and_resize" and n == m and scale == 1:
        return x, np.zeros(m, bool)
    # Rounding decides what is nearest, so that these places are worked out as precisely as runtimes do.
    real = np.float32 if nearest and not double else np.float64
    place = _coordinates(how, n, m, scale, whole, roi, real)
    outside = (place < 0) | (place > n - 1) if how == "tf_crop_and_resize" else np.zeros(m, bool)
    if nearest:
        index = np.clip(ROUNDINGS[node.attributes["nearest_mode"]](place), 0, n - 1)
        return np.take(x, index.astype(np.intp), axis), outside
    index, weight = _taps(node, place, n, scale)
    total = np.zeros((*x.shape[:axis], m, *x.shape[axis + 1 :]))
    for tap in range(index.shape[1]):
        along = weight[:, tap].reshape([-1 if number == axis else 1 for number in range(x.ndim)])
        total += np.where(along == 0, 0.0, np.take(x, index[:, tap], axis) * along)
    return total, outside


def _rounded(x: Array, dtype: np.dtype[Any]) -> Array:
    """To integers: the nearest there is."""
    if dtype.kind in "iu" and x.dtype.kind == "f":
        limits = np.iinfo(dtype)
        return np.clip(np.rint(x), limits.min, limits.max).astype(dtype)
    return x.astype(dtype)


@registered(KINDS, "resize", infer=_resize_facts)
def _resize(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    x, roi = given(arrays, 0), optional(arrays, 1)
    facts = [None if array is None else Fact.of(array) for array in arrays]
    scales, sizes = (fact if fact is None else fact.known for fact in _wanted(facts))
    shape = _resize_facts(node, facts)[0].shape
    assert shape is not None
    axes = _resize_axes(node, x.ndim)
    if 0 in x.shape or 0 in shape:
        return (np.zeros([int(size) for size in shape if size is not None], x.dtype),)
    policy = node.attributes["keep_aspect_ratio_policy"]
    if scales is not None:
        factors = [float(scale) for scale in scales]
    else:
        assert sizes is not None
        factors = _fitted([x.shape[axis] for axis in axes], [int(size) for size in sizes], policy)[1]
    whole = scales is None and policy == "stretch"
    y = exact(x) if node.attributes["mode"] != "nearest" else x
    outside = np.zeros((1,) * x.ndim, bool)
    for number, axis in enumerate(axes):
        part = (0.0, 1.0) if roi is None or not roi.size else (roi[number], roi[number + len(axes)])
        size = shape[axis]
        assert isinstance(size, int)
        y, gone = _resized_axis(node, y, axis, size, factors[number], whole, part, x.dtype == np.float64)
        outside = outside | gone.reshape([-1 if other == axis else 1 for other in range(x.ndim)])
    if outside.any():
        y = np.where(outside, node.attributes["extrapolation_value"], y)
    return (_rounded(y, x.dtype),)


# ---- boxes ----


def _boxes_facts(node: Node, facts: Facts) -> tuple[Fact, ...]:
    boxes, scores = given(facts, 0), given(facts, 1)
    if boxes.shape is not None:
        if len(boxes.shape) != 3:
            raise ValueError(f"boxes must have shape (batch, boxes, 4), not {boxes.shape}")
        must_fit(boxes.shape[2], 4, "the last axis of boxes")
    if scores.shape is not None:
        if len(scores.shape) != 3:
            raise ValueError(f"scores must have shape (batch, classes, boxes), not {scores.shape}")
        if boxes.shape is not None:
            must_fit(scores.shape[0], boxes.shape[0], "the batch of scores")
            must_fit(scores.shape[2], boxes.shape[1], "the last axis of scores")
    return (Fact(INT64, (None, 3)),)


def _corners(boxes: Array, centred: bool) -> Array:
    """(low, low, high, high) of boxes given by two opposite corners, or by centre and size."""
    wide = boxes.astype(np.float64)
    if centred:
        return np.concatenate([wide[:, :2] - wide[:, 2:] / 2, wide[:, :2] + wide[:, 2:] / 2], 1)
    return np.concatenate([np.minimum(wide[:, :2], wide[:, 2:]), np.maximum(wide[:, :2], wide[:, 2:])], 1)


def _overlap(box: Array, others: Array) -> Array:
    """Intersection over union with each of others."""
    sides = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    common = np.prod(np.maximum(sides, 0), 1)
    areas = np.prod(others[:, 2:] - others[:, :2], 1)
    union = areas + np.prod(box[2:] - box[:2]) - common
    return np.where(common > 0, common / union, 0.0)


def _number(arrays: Arrays, place: int) -> float | None:
    array = optional(arrays, place)
    return None if array is None or not array.size else float(array.reshape(-1)[0])


@registered(KINDS, "non_max_suppression", infer=_boxes_facts)
def _non_max_suppression(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    """(batch, class, box) of the best boxes in order, each overlapping no better one by more than iou."""
    boxes, scores = given(arrays, 0), given(arrays, 1)
    most, iou, least = _number(arrays, 2) or 0, _number(arrays, 3) or 0.0, _number(arrays, 4)
    found = []
    for batch, every in enumerate(boxes):
        corners = _corners(every, bool(node.attributes["center_point_box"]))
        for label, values in enumerate(scores[batch]):
            kept: list[int] = []
            for box in np.argsort(-values.astype(np.float64), kind="stable").tolist():
                if len(kept) >= most or (least is not None and not values[box] > np.float32(least)):
                    break
                if not (_overlap(corners[box], corners[kept]) > iou).any():
                    kept.append(box)
            found += [(batch, label, box) for box in kept]
    return (np.array(found, INT64).reshape(-1, 3),)
