"""The arguments of resizing and padding: their names in all frameworks, and every check."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from .arguments import Pair, as_flag, as_real, is_one_of, shown

Method = Literal[
    "nearest", "bilinear", "linear", "bicubic", "cubic", "area", "adaptive_average", "lanczos3", "lanczos5",
]  # fmt: skip
Coordinates = Literal[
    "half_pixel", "align_corners", "asymmetric", "pytorch_half_pixel", "half_pixel_symmetric",
    "tf_half_pixel_for_nn", "tf_crop_and_resize",
]  # fmt: skip
NearestMode = Literal["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]
Policy = Literal["stretch", "not_larger", "not_smaller"]

METHODS = ("nearest", "bilinear", "bicubic", "area", "adaptive_average", "lanczos3", "lanczos5")
COORDINATES = (
    "half_pixel", "align_corners", "asymmetric", "pytorch_half_pixel", "half_pixel_symmetric",
    "tf_half_pixel_for_nn", "tf_crop_and_resize",
)  # fmt: skip
NEAREST_MODES = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
METHOD_ALIASES = {"linear": "bilinear", "cubic": "bicubic", "nearest-exact": "nearest"}
POLICIES = ("stretch", "not_larger", "not_smaller")
MODES = ("constant", "reflect", "symmetric", "edge", "wrap")
MODE_ALIASES = {"zeros": "constant", "replicate": "edge", "circular": "wrap"}


# ---- padding -----------------------------------------------------------------------------------------------


def as_mode(value: object, name: str = "mode") -> str:
    """One of MODES from any framework's name for it.

    >>> as_mode("REFLECT"), as_mode("circular")
    ('reflect', 'wrap')
    """
    mode = value.lower() if isinstance(value, str) else value
    if is_one_of(mode, MODE_ALIASES):
        return MODE_ALIASES[str(mode)]
    if not is_one_of(mode, MODES):
        names = (*MODES, *MODE_ALIASES)
        raise ValueError(f"{name} must be one of {', '.join(map(repr, names))}; got {shown(value)}")
    return str(mode)


def check_depth(shape: Sequence[int | None], pads: Sequence[Pair], mode: str) -> None:
    """Raise ValueError if a padding needs pixels that the image does not have; unknown sizes are None."""
    if mode == "constant":
        return
    for axis, (before, after) in enumerate(pads, start=1):
        size, deepest = shape[axis], max(before, after)
        if size is None or not deepest:
            continue
        most = {"reflect": max(size - 1, 0), "symmetric": size, "wrap": size}.get(mode, deepest)
        if deepest > most:
            verb = "takes" if mode == "wrap" else "mirrors"
            raise ValueError(
                f"padding {before, after} along axis {axis} is too deep for mode={mode!r}: it {verb} "
                f"at most {most} of the {size} pixels there; x has shape {tuple(shape)}"
            )
        if size == 0:
            raise ValueError(
                f"x of shape {tuple(shape)} has no pixels along axis {axis} to repeat; use mode='constant'"
            )


# ---- resizing ----------------------------------------------------------------------------------------------


def resize_options(
    method: object,
    coordinates: object,
    nearest_mode: object,
    cubic_a: object,
    antialias: object,
    exclude_outside: object,
    extrapolation_value: object,
) -> dict[str, Any]:
    """The keywords of axis_table that both axes share; combinations without a meaning are refused."""
    known = as_method(method)
    _check_choice(coordinates, "coordinates", COORDINATES)
    half_pixel = coordinates == "half_pixel"
    if not half_pixel and (known in ("area", "adaptive_average") or method == "nearest-exact"):
        raise ValueError(
            f"method={method!r} has coordinates of its own: leave out coordinates; got {coordinates!r}"
        )
    if nearest_mode is not None:
        _check_choice(nearest_mode, "nearest_mode", NEAREST_MODES)
        if known != "nearest":
            raise ValueError(f"nearest_mode is for method='nearest'; got {nearest_mode!r} with {method!r}")
    a = -0.5
    if cubic_a is not None:
        a = as_real(cubic_a, "cubic_a")
        if known != "bicubic":
            raise ValueError(f"cubic_a is for method='bicubic'; got {a} with {method!r}")
        if not math.isfinite(a):
            raise ValueError(f"cubic_a must be finite; got {a}")
    smooth = as_flag(antialias, "antialias")
    if smooth and known in ("nearest", "area", "adaptive_average"):
        raise ValueError(
            f"antialias=True widens a blend of pixels; method={method!r} has none: leave it out, or take "
            "'bilinear', 'bicubic', 'lanczos3' or 'lanczos5'"
        )
    as_real(extrapolation_value, "extrapolation_value")
    return {
        "method": known, "coordinates": coordinates, "nearest_mode": nearest_mode, "cubic_a": a,
        "antialias": smooth, "exclude_outside": as_flag(exclude_outside, "exclude_outside"),
    }  # fmt: skip


def as_method(value: object) -> str:
    """One of METHODS from any framework's name for it."""
    if is_one_of(value, METHOD_ALIASES):
        return METHOD_ALIASES[str(value)]
    _check_choice(value, "method", (*METHODS, *METHOD_ALIASES))
    return str(value)


def target_sizes(
    image: tuple[int, ...],
    size: tuple[int, ...] | None,
    scales: tuple[float, ...] | None,
    policy: object,
) -> tuple[tuple[int, ...], tuple[float | None, ...]]:
    """The sizes of the result, and the scales for the coordinates (None: the ratio of the sizes)."""
    _check_choice(policy, "keep_aspect_ratio", POLICIES)
    if (size is None) == (scales is None):
        raise ValueError(f"give size or scales, one of them; got size={size}, scales={scales}")
    if scales is not None:
        if policy != "stretch":
            raise ValueError("keep_aspect_ratio makes a scale of a size: give size, not scales")
        sizes = tuple(math.floor(n * scale) for n, scale in zip(image, scales, strict=True))
        if any(m < 1 for m, n in zip(sizes, image, strict=True) if n):
            raise ValueError(f"scales {scales} leave nothing of an image of {image}: it would be {sizes}")
        return tuple(max(m, 1) for m in sizes), scales
    assert size is not None
    if policy == "stretch" or 0 in image:
        return size, (None,) * len(size)
    ratios = [m / n for m, n in zip(size, image, strict=True)]
    scale = min(ratios) if policy == "not_larger" else max(ratios)
    return tuple(max(math.floor(scale * n + 0.5), 1) for n in image), (scale,) * len(image)


def as_scales(value: object, count: int) -> tuple[float, ...]:
    form = "a number or (sh, sw)" if count == 2 else "a number"
    items = (
        list(value) if isinstance(value, (Sequence, np.ndarray)) and np.ndim(value) == 1 else [value] * count
    )
    if len(items) != count:
        raise ValueError(f"scales must be {form}; got {shown(value)}")
    scales = tuple(as_real(item, "scales") for item in items)
    if not all(0 < scale < 2**31 for scale in scales):
        raise ValueError(f"scales must be above 0 and below 2**31; got {shown(value)}")
    return scales


def as_roi(value: object, axes: int, coordinates: object) -> tuple[Any, ...]:
    """(start, end) of each axis, as fractions of its length."""
    if coordinates != "tf_crop_and_resize":
        if value is not None:
            raise ValueError(
                f"roi is for coordinates='tf_crop_and_resize'; got {shown(value)} with {coordinates!r}"
            )
        return (None,) * axes
    form = "(top, left, bottom, right)" if axes == 2 else "(start, end)"
    if isinstance(value, (str, bytes)) or not isinstance(value, (Sequence, np.ndarray)):
        raise TypeError(f"roi must be {form}, as fractions of x's sizes; got {shown(value)}")
    items = [as_real(item, "roi") for item in value]
    if len(items) != 2 * axes or not all(abs(item) < 2**31 for item in items):
        raise ValueError(
            f"roi must be {form}, finite and below 2**31, as fractions of x's sizes; got {shown(value)}"
        )
    return tuple(zip(items[:axes], items[axes:], strict=True))


def _check_choice(value: Any, name: str, choices: tuple[str, ...]) -> None:
    if not is_one_of(value, choices):
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}; got {shown(value)}")
