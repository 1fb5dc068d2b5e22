"""The rules of resizing: the input pixels of each output pixel along one axis, and their weights.

A resize goes axis by axis. `axis_table` is a pure function of sizes and options; `resample` touches pixels,
in the compiled core. Along one axis, with n input and m output pixels and ratio r = m / n (or the scale
that was given), output i stands at the input coordinate (the centre of pixel k is k):

    half_pixel            (i + 1/2) / r - 1/2
    pytorch_half_pixel    the same; 0 if m = 1
    half_pixel_symmetric  the same, moved so that both centres meet where m is not n * r
    asymmetric            i / r
    align_corners         i * (n - 1) / (m - 1); 0 if m = 1
    tf_half_pixel_for_nn  (i + 1/2) / r
    tf_crop_and_resize    (start + (end - start) * i / (m - 1)) * (n - 1); the middle of the two if m = 1
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import _dispatch, _kernels, _threads
from ._image_arguments import COORDINATES, METHODS, NEAREST_MODES
from .arguments import new_output

__all__ = ["COORDINATES", "METHODS", "NEAREST_MODES", "Table", "axis_table", "resample"]

Array = NDArray[Any]

_ONNX_SLACK = 1e-6  # ONNX Runtime's, found by trying: with it all sizes up to 64 take its pixels


class Table(NamedTuple):
    """One axis of a resize: output o is the sum over t of pixel indices[o, t] times weights[o, t].

    indices: (outputs, taps) int64, within the axis. weights: (outputs, taps) in the dtype of the pixels, none
    of them 0, since an infinite pixel would make NaN of it: where an output has fewer pixels than others, it
    takes its last one again, by halves. outside: (outputs,) bool, which outputs lie outside of the image and
    get a value of their own; None if none can. picks: whether each output is a pixel as it is.
    """

    indices: NDArray[np.int64]
    weights: Array
    outside: NDArray[np.bool_] | None
    picks: bool


@lru_cache(maxsize=128)
def axis_table(
    in_size: int,
    out_size: int,
    method: str = "bilinear",
    coordinates: str = "half_pixel",
    *,
    scale: float | None = None,
    nearest_mode: str | None = None,
    cubic_a: float = -0.5,
    antialias: bool = False,
    exclude_outside: bool = True,
    roi: tuple[float, float] | None = None,
    dtype: str = "float32",
) -> Table:
    """The table that resizes an axis of in_size >= 1 pixels to out_size >= 1; arguments as in resize2d.

    Places and weights are worked out exactly or in float64 and rounded once, to `dtype`; only "nearest"
    places float32 pixels in float32, as the frameworks do, since rounding decides there.

    >>> axis_table(2, 4).weights.tolist()
    [[0.5, 0.5], [0.75, 0.25], [0.25, 0.75], [0.5, 0.5]]
    >>> axis_table(4, 2, "nearest").indices.ravel().tolist()
    [1, 3]
    """
    outside = None
    if method == "nearest":
        index, outside = _nearest(in_size, out_size, coordinates, scale, nearest_mode, roi, dtype)
        indices, weights = index[:, None], np.ones((out_size, 1))
    elif method in ("area", "adaptive_average"):
        indices, weights = _areas(in_size, out_size, whole=method == "adaptive_average")
    else:
        whole, fraction, outside = _places(in_size, out_size, coordinates, scale, roi)
        shrinkage = in_size / out_size if scale is None else 1 / scale
        stretch = max(shrinkage, 1.0) if antialias else 1.0
        indices, weights = _weigh(
            whole, fraction, in_size, *_kernel(method, cubic_a), stretch, exclude_outside
        )
    indices, weights = _packed(indices, weights.astype(dtype))
    for array in (indices, weights):
        array.flags.writeable = False
    picks = weights.shape[1] == 1 and bool((weights == 1).all())
    return Table(indices, weights, outside, picks)


def resample(
    x: Array, tables: Sequence[tuple[int, Table]], outside_value: float = 0.0, out: Array | None = None
) -> Array:
    """Apply (axis, table) one after the other: a new C-contiguous array, for any number of axes.

    Rows and columns of images run at once, with the same bits, and into `out` where it is given. Pixels that
    are only picked are copied.

    >>> double = axis_table(1, 2, "nearest")
    >>> resample(np.float32([[7]]), [(0, double), (1, double)]).tolist()
    [[7.0, 7.0], [7.0, 7.0]]
    """
    if x.ndim == 4 and len(tables) == 2 and tables[0][0] == 1 and tables[1][0] == 2 and _blend(tables):
        result = _images(x, tables[0][1], tables[1][1], out)
    else:
        result = np.ascontiguousarray(x) if tables else x.copy()
        for axis, table in tables:
            result = result.take(table.indices[:, 0], axis) if table.picks else _axis(result, axis, table)
    for axis, table in tables:
        if table.outside is not None:
            result[(slice(None),) * axis + (table.outside,)] = outside_value
    return result


def _blend(tables: Sequence[tuple[int, Table]]) -> bool:
    return not (tables[0][1].picks and tables[1][1].picks)


def _images(x: Array, rows: Table, columns: Table, out: Array | None) -> Array:
    """Rows and columns of images (N,H,W,C)."""
    sizes = (*x.shape, len(rows.indices), len(columns.indices))
    result = new_output((sizes[0], *sizes[4:], sizes[3]), x.dtype) if out is None else out
    threads = _threads.threads_for(0.2 * result.size)
    isa, source = _dispatch.active_isa(), x if x.flags.c_contiguous else np.ascontiguousarray(x)
    tables = (rows.indices, rows.weights, columns.indices, columns.weights)
    _kernels.resize(isa, x.itemsize, source, result, sizes, *tables, threads)
    return result


def _axis(x: Array, axis: int, table: Table) -> Array:
    """One axis of a C-contiguous array."""
    outputs, taps = table.indices.shape
    before, after = math.prod(x.shape[:axis]), math.prod(x.shape[axis + 1 :])
    result = new_output((*x.shape[:axis], outputs, *x.shape[axis + 1 :]), x.dtype)
    threads = _threads.threads_for(0.1 * result.size)
    _kernels.resample(
        *(_dispatch.active_isa(), x.itemsize, x, result, table.indices, table.weights),
        *(before, x.shape[axis], outputs, after, taps, threads),
    )
    return result


def _packed(indices: NDArray[np.intp], weights: Array) -> tuple[NDArray[np.int64], Array]:
    """Taps that count first, in their order; as many taps as the fullest output has, none of weight 0."""
    used = weights != 0
    counts = used.sum(axis=1)
    width = max(int(counts.max()), 1)
    order = np.argsort(~used, axis=1, kind="stable")[:, :width]
    indices, weights = (np.take_along_axis(array, order, axis=1) for array in (indices, weights))
    for tap in range(1, width):
        spare = counts <= tap
        weights[spare, tap] = weights[spare, tap - 1] = weights[spare, tap - 1] / 2
        indices[spare, tap] = indices[spare, tap - 1]
    return np.ascontiguousarray(indices, np.int64), np.ascontiguousarray(weights)


# ---- positions of output pixels ----------------------------------------------------------------------------


def _places(
    n: int, m: int, coordinates: str, scale: float | None, roi: tuple[float, float] | None
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.bool_] | None]:
    """Coordinates as whole numbers and fractions: exact where sizes are given, else in float64."""
    i = np.arange(m, dtype=np.int64)
    if coordinates == "tf_crop_and_resize":
        place = _crop_places(n, m, roi or (0.0, 1.0), np.float64)
        whole = np.floor(place)
        return whole.astype(np.int64), place - whole, (place < 0) | (place > n - 1)
    if coordinates == "align_corners" or (coordinates == "pytorch_half_pixel" and m == 1):
        top, bottom = i * (n - 1), max(m - 1, 1)
        if coordinates != "align_corners":
            top *= 0
    elif scale is not None:
        place = _scaled_places(n, m, coordinates, scale, np.float64)
        floor = np.floor(place)
        return floor.astype(np.int64), place - floor, None
    elif coordinates == "asymmetric":
        top, bottom = i * n, m
    elif coordinates == "tf_half_pixel_for_nn":
        top, bottom = (2 * i + 1) * n, 2 * m
    else:
        top, bottom = (2 * i + 1) * n - m, 2 * m
    return top // bottom, (top % bottom) / bottom, None


def _scaled_places(n: int, m: int, coordinates: str, scale: float, real: Any) -> Array:
    """i / r and its relatives by division, in the precision of `real`: ONNX's formulas."""
    ratio, half = real(scale), real(0.5)
    i: Array = np.arange(m, dtype=real)
    if coordinates == "asymmetric":
        places: Array = i / ratio
        return places
    centres: Array = (i + half) / ratio
    if coordinates == "tf_half_pixel_for_nn":
        return centres
    if coordinates == "half_pixel_symmetric":
        centres += real(n) / real(2) * (real(1) - real(m) / (ratio * real(n)))
    centres -= half
    return centres


def _crop_places(n: int, m: int, roi: tuple[float, float], real: Any) -> Array:
    start, end, last = real(roi[0]), real(roi[1]), real(n - 1)
    if m == 1:
        return np.full(1, real(0.5) * (start + end) * last, real)
    places: Array = start * last + np.arange(m, dtype=real) * (end - start) * last / real(m - 1)
    return places


def _nearest(
    n: int,
    m: int,
    coordinates: str,
    scale: float | None,
    mode: str | None,
    roi: tuple[float, float] | None,
    dtype: str,
) -> tuple[NDArray[np.intp], NDArray[np.bool_] | None]:
    """The pixel of each output: for float64 exactly, for float32 with the frameworks' rounding in float32."""
    outside = None
    rounding = mode or (
        "floor" if coordinates in ("asymmetric", "tf_half_pixel_for_nn") else "round_prefer_ceil"
    )
    if dtype == "float64":
        whole, fraction, outside = _places(n, m, coordinates, scale, roi)
        index: Array = whole + _step(fraction, rounding)
    else:
        place, places_of_floor = _float32_places(n, m, coordinates, scale, mode, roi)
        if coordinates == "tf_crop_and_resize":
            outside = (place < 0) | (place > np.float32(n - 1))
        floor = np.floor(place)
        slack = 0.0 if mode is None else _ONNX_SLACK
        index = floor + _step(place - floor, "floor" if places_of_floor else rounding, slack)
    return np.clip(index, 0, n - 1).astype(np.intp), outside


def _step(rest: Array, mode: str, slack: float = 0.0) -> Array:
    """Whether a place is rounded up to the next pixel; a rest within `slack` of 1/2 counts as 1/2."""
    if mode == "floor":
        return np.zeros(rest.shape, np.bool_)
    if mode == "ceil":
        return rest > 0
    half = rest.dtype.type(0.5 + (slack if mode == "round_prefer_floor" else -slack))
    onwards: Array = rest > half if mode == "round_prefer_floor" else rest >= half
    return onwards


def _float32_places(
    n: int, m: int, coordinates: str, scale: float | None, mode: str | None, roi: tuple[float, float] | None
) -> tuple[Array, bool]:
    """Coordinates in float32, and whether the pixel is their floor. Without a mode as TensorFlow and PyTorch
    compute them, multiplying by n / m, and half_pixel ones half a pixel further on; with a mode as ONNX
    Runtime does, dividing by the scale. Products and quotients round differently."""
    real = np.float32
    i = np.arange(m, dtype=real)
    if coordinates == "tf_crop_and_resize":
        return _crop_places(n, m, roi or (0.0, 1.0), real), False
    if coordinates == "align_corners":
        last, steps = real(n - 1), real(max(m - 1, 1))
        return (i * (last / steps) if mode is None else i * last / steps), False
    if coordinates == "pytorch_half_pixel" and m == 1:
        return i, False
    if mode is None and coordinates != "half_pixel_symmetric":
        step = real(n) / real(m) if scale is None else real(1 / scale)
        return (i if coordinates == "asymmetric" else i + real(0.5)) * step, True
    return _scaled_places(n, m, coordinates, m / n if scale is None else scale, real), False


# ---- weights of input pixels -------------------------------------------------------------------------------

Kernel = Callable[[Array], Array]  # weight of a pixel by its distance


def _weigh(
    whole: NDArray[np.int64],
    fraction: NDArray[np.float64],
    n: int,
    kernel: Kernel,
    radius: int,
    stretch: float,
    exclude_outside: bool,
) -> tuple[NDArray[np.intp], Array]:
    """All pixels closer than radius * stretch, weighed by kernel(distance / stretch)."""
    reach = radius * stretch
    offsets = np.arange(math.floor(-reach) + 1, math.ceil(reach) + 1)
    pixels = whole[:, None] + offsets
    weights = kernel(np.abs(offsets - fraction[:, None]) / stretch)
    if exclude_outside:
        inside = np.where((pixels >= 0) & (pixels < n), weights, 0.0)
        some = inside.any(axis=1, keepdims=True)  # where all are outside, the border stands in for them
        weights = np.where(some, inside, weights)
    if exclude_outside or stretch > 1:
        weights = weights / weights.sum(axis=1, keepdims=True)
    return np.clip(pixels, 0, n - 1).astype(np.intp), weights


def _kernel(method: str, cubic_a: float) -> tuple[Kernel, int]:
    """The kernel and its radius."""
    if method == "bilinear":
        return _triangle, 1
    if method == "bicubic":
        return partial(_cubic, a=cubic_a), 2
    radius = int(method.removeprefix("lanczos"))
    return partial(_lanczos, radius=radius), radius


def _triangle(d: Array) -> Array:
    weights: Array = np.maximum(1 - d, 0)
    return weights


def _cubic(d: Array, a: float) -> Array:
    """Keys, "Cubic convolution interpolation for digital image processing" (1981), equation 4."""
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    weights: Array = np.select([d < 1, (d > 1) & (d < 2)], [near, far], 0.0)
    return weights


def _lanczos(d: Array, radius: int) -> Array:
    """sinc(d) * sinc(d / radius), exactly 0 at whole distances but the first."""
    weights: Array = np.where(d < radius, np.sinc(d) * np.sinc(d / radius), 0.0)
    whole = d == np.rint(d)
    weights[whole] = d[whole] == 0
    return weights


def _areas(n: int, m: int, whole: bool) -> tuple[NDArray[np.intp], Array]:
    """Pixels in [i * n/m, (i + 1) * n/m], weighted by their covered part, or equally (`whole`)."""
    edges = np.arange(m + 1, dtype=np.int64) * n  # in units of 1/m pixel
    first, stop = edges[:-1] // m, -(-edges[1:] // m)
    pixels = first[:, None] + np.arange(int((stop - first).max()))
    if whole:
        weights = (pixels < stop[:, None]) / (stop - first)[:, None]
    else:
        start, end = edges[:-1, None], edges[1:, None]
        covered = np.minimum(end, (pixels + 1) * m) - np.maximum(start, pixels * m)
        weights = np.maximum(covered, 0) / n
    return np.minimum(pixels, n - 1).astype(np.intp), weights
