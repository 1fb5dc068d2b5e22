"""The definitions of resize2d and pad2d, output by output: places are fractions, sums are in float64."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._image_arguments import as_mode, as_roi, as_scales, check_depth, resize_options, target_sizes
from ._options import documented_module
from .arguments import as_operand, as_padding, as_pair, as_real, new_output, shown

__all__ = ["pad2d", "resize2d"]

Array = NDArray[Any]
Place = Fraction | np.float32
HALF = Fraction(1, 2)


def resize2d(
    x: ArrayLike,
    size: Any = None,
    *,
    method: str = "bilinear",
    coordinates: str = "half_pixel",
    scales: Any = None,
    nearest_mode: str | None = None,
    cubic_a: float | None = None,
    antialias: bool = False,
    exclude_outside: bool = True,
    roi: Sequence[float] | None = None,
    extrapolation_value: float = 0.0,
    keep_aspect_ratio: str = "stretch",
) -> Array:
    """Define convlite.resize2d, whose page describes the methods and coordinates.

    x, size, method, coordinates, scales, nearest_mode, cubic_a, antialias, exclude_outside, roi,
    extrapolation_value, keep_aspect_ratio -> (N, h, w, C) : shared, resize

    Examples
    --------
    >>> resize2d(np.array([[[[0.0], [4.0]]]]), (1, 4)).ravel()
    array([0., 1., 3., 4.])
    """
    image = as_operand(x, "x", ndim=4)
    options = resize_options(
        method, coordinates, nearest_mode, cubic_a, antialias, exclude_outside, extrapolation_value
    )
    known, cubic = options["method"], options["cubic_a"]
    wanted = None if size is None else as_pair(size, "size")
    given = None if scales is None else as_scales(scales, 2)
    sizes, steps = target_sizes(image.shape[1:3], wanted, given, keep_aspect_ratio)
    cuts = as_roi(roi, 2, coordinates)
    empty = new_output((len(image), *sizes, image.shape[3]), image.dtype)  # or refused: no memory for it
    if 0 in image.shape[1:3]:
        raise ValueError(f"x of shape {image.shape} has images without pixels, which cannot be resized")
    if empty.size == 0:
        return empty
    result = image.astype(np.float64)
    beyond = np.zeros(sizes, bool)
    for a in (0, 1):
        n, m = image.shape[1 + a], sizes[a]
        scale, cut = steps[a], cuts[a]
        rows = []
        for i in range(m):
            if known == "nearest":
                single = image.dtype == np.float32
                pixel, out = _nearest(i, n, m, coordinates, scale, cut, nearest_mode, single)
                weights = {pixel: 1.0}
            elif known in ("area", "adaptive_average"):
                out, weights = False, _area(i, n, m, known == "area")
            else:
                place = _place(i, n, m, coordinates, scale, cut)
                out = coordinates == "tf_crop_and_resize" and not 0 <= place <= n - 1
                kernel, radius = _kernel(known, cubic)
                stretch = Fraction(n, m) if scale is None else 1 / Fraction(scale)
                stretch = max(stretch, Fraction(1)) if antialias else Fraction(1)
                weights = _blend(place, n, kernel, radius, stretch, exclude_outside)
            beyond[(i, slice(None)) if a == 0 else (slice(None), i)] |= out
            with np.errstate(all="ignore"):
                terms = [np.take(result, k, axis=1 + a) * w for k, w in weights.items() if w]
                rows.append(sum(terms[1:], terms[0]))
        result = np.stack(rows, axis=1 + a)
    result[:, beyond] = extrapolation_value
    return result.astype(image.dtype)


def _place(
    i: int, n: int, m: int, coordinates: str, scale: float | None, roi: tuple[float, float] | None
) -> Fraction:
    """The input coordinate of output i: exact between sizes, in float64 from a scale or a region."""
    if coordinates == "align_corners":
        return Fraction(i * (n - 1), m - 1) if m > 1 else Fraction(0)
    if coordinates == "tf_crop_and_resize":
        assert roi is not None
        start, end = roi
        if m == 1:
            return Fraction(0.5 * (start + end) * (n - 1))
        return Fraction(start * (n - 1) + i * (end - start) * (n - 1) / (m - 1))
    if coordinates == "pytorch_half_pixel" and m == 1:
        return Fraction(0)
    if coordinates == "asymmetric":
        return i * Fraction(n, m) if scale is None else Fraction(i / scale)
    if scale is None:
        centre = (i + HALF) * n / m
        return centre if coordinates == "tf_half_pixel_for_nn" else centre - HALF
    middle = (i + 0.5) / scale
    if coordinates == "tf_half_pixel_for_nn":
        return Fraction(middle)
    if coordinates == "half_pixel_symmetric":
        middle += n / 2 * (1 - m / (scale * n))
    return Fraction(middle - 0.5)


def _nearest(
    i: int,
    n: int,
    m: int,
    coordinates: str,
    scale: float | None,
    roi: tuple[float, float] | None,
    mode: str | None,
    single: bool,
) -> tuple[int, bool]:
    """The pixel that output i takes, and whether i lies outside."""
    downwards = coordinates in ("asymmetric", "tf_half_pixel_for_nn")
    half: Any = HALF
    if not single:
        place: Place = _place(i, n, m, coordinates, scale, roi)
        rule = mode or ("floor" if downwards else "round_prefer_ceil")
    else:
        place, rule = _single(i, n, m, coordinates, scale, roi, mode)
        if mode is not None:  # ONNX Runtime takes 0.5 +- 1e-6 for a half
            half = np.float32({"round_prefer_floor": 0.500001, "round_prefer_ceil": 0.499999}.get(mode, 0.5))
    floor = math.floor(place)
    rest = place - floor
    up = {
        "floor": False,
        "ceil": rest > 0,
        "round_prefer_floor": rest > half,
        "round_prefer_ceil": rest >= half,
    }
    out = coordinates == "tf_crop_and_resize" and not 0 <= place <= n - 1
    return min(max(floor + bool(up[rule]), 0), n - 1), out


def _single(
    i: int,
    n: int,
    m: int,
    coordinates: str,
    scale: float | None,
    roi: tuple[float, float] | None,
    mode: str | None,
) -> tuple[np.float32, str]:
    """Place and rounding in float32, in the order of the frameworks' operations."""
    f = np.float32
    rule = mode or "round_prefer_ceil"
    if coordinates == "tf_crop_and_resize":
        assert roi is not None
        start, end = f(roi[0]), f(roi[1])
        if m == 1:
            return f(0.5) * (start + end) * f(n - 1), rule
        return start * f(n - 1) + f(i) * (end - start) * f(n - 1) / f(m - 1), rule
    if coordinates == "align_corners":
        below = f(max(m - 1, 1))
        return (f(i) * (f(n - 1) / below) if mode is None else f(i) * f(n - 1) / below), rule
    if coordinates == "pytorch_half_pixel" and m == 1:
        return f(0), rule
    if mode is None and coordinates != "half_pixel_symmetric":
        step = f(n) / f(m) if scale is None else f(1 / scale)
        return (f(i) if coordinates == "asymmetric" else f(i) + f(0.5)) * step, "floor"
    ratio = f(m / n) if scale is None else f(scale)
    if coordinates == "asymmetric":
        return f(i) / ratio, rule
    centre = (f(i) + f(0.5)) / ratio
    if coordinates == "tf_half_pixel_for_nn":
        return centre, rule
    if coordinates == "half_pixel_symmetric":
        centre = centre + f(n) / f(2) * (f(1) - f(m) / (ratio * f(n)))
    return centre - f(0.5), rule


Weigh = Callable[[Fraction], float]


def _blend(
    place: Fraction, n: int, kernel: Weigh, radius: int, stretch: Fraction, exclude: bool
) -> dict[int, float]:
    """Weights of the pixels whose distance is below radius * stretch."""
    reach = range(math.floor(place - radius * stretch), math.ceil(place + radius * stretch) + 1)
    all_weights = {k: kernel(abs(k - place) / stretch) for k in reach}
    weights = {k: w for k, w in all_weights.items() if 0 <= k < n} if exclude else all_weights
    if not any(weights.values()):
        weights = all_weights
    total = sum(weights.values()) if exclude or stretch > 1 else 1.0
    clipped: dict[int, float] = {}
    for k, w in weights.items():
        pixel = min(max(k, 0), n - 1)
        clipped[pixel] = clipped.get(pixel, 0.0) + w / total
    return clipped


def _kernel(method: str, a: float) -> tuple[Weigh, int]:
    if method == "bilinear":
        return (lambda d: float(max(1 - d, 0))), 1
    if method == "bicubic":
        exact = Fraction(a)

        def cubic(d: Fraction) -> float:
            if d < 1:
                return float((exact + 2) * d**3 - (exact + 3) * d**2 + 1)
            return float(exact * (d**3 - 5 * d**2 + 8 * d - 4)) if d < 2 else 0.0

        return cubic, 2
    radius = {"lanczos3": 3, "lanczos5": 5}[method]

    def lanczos(d: Fraction) -> float:
        if d >= radius or (d and d.denominator == 1):
            return 0.0
        t = math.pi * float(d)
        return radius * math.sin(t) * math.sin(t / radius) / t**2 if t else 1.0

    return lanczos, radius


def _area(i: int, n: int, m: int, in_part: bool) -> dict[int, float]:
    """The pixels under [i * n/m, (i + 1) * n/m], by the part that it covers or all alike."""
    start, end = Fraction(i * n, m), Fraction((i + 1) * n, m)
    pixels = range(math.floor(start), math.ceil(end))
    parts = {k: min(end, Fraction(k + 1)) - max(start, Fraction(k)) for k in pixels}
    if in_part:
        return {k: float(part / (end - start)) for k, part in parts.items()}
    return dict.fromkeys(parts, 1 / len(parts))


def pad2d(x: ArrayLike, padding: Any, *, mode: str = "constant", value: float = 0.0) -> Array:
    """Define convlite.pad2d, whose page describes the modes.

    x, padding, mode, value -> (N, H+top+bottom, W+left+right, C) : shared, frames

    Examples
    --------
    >>> pad2d(np.array([[[[1.0], [2.0], [3.0]]]]), (0, 2), mode="symmetric").ravel()
    array([2., 1., 1., 2., 3., 3., 2.])
    """
    image = as_operand(x, "x", ndim=4)
    pads, known, fill = as_padding(padding), as_mode(mode), as_real(value, "value")
    if isinstance(pads, str):
        raise ValueError(f"padding must be numbers for pad2d; got {shown(padding)}")
    if known != "constant" and fill != 0:
        raise ValueError(f"value is for mode='constant'; got {fill} with mode={shown(mode)}")
    check_depth(image.shape, pads, known)
    n, h, w, c = image.shape
    new_output((n, h + sum(pads[0]), w + sum(pads[1]), c), image.dtype)  # refuses what does not fit
    result = np.full((n, h + sum(pads[0]), w + sum(pads[1]), c), fill, image.dtype)
    if result.size == 0:
        return result
    for i in range(result.shape[1]):
        for j in range(result.shape[2]):
            row, column = _source(i - pads[0][0], h, known), _source(j - pads[1][0], w, known)
            if row is not None and column is not None:
                result[:, i, j] = image[:, row, column]
    return result


def _source(position: int, size: int, mode: str) -> int | None:
    """The pixel at a position of the frame or of the image itself; None for a constant."""
    if 0 <= position < size:
        return position
    if mode == "constant":
        return None
    if mode == "edge":
        return 0 if position < 0 else size - 1
    if mode == "wrap":
        return position % size
    if mode == "reflect":
        return -position if position < 0 else 2 * (size - 1) - position
    return -1 - position if position < 0 else 2 * size - 1 - position


documented_module(globals())
