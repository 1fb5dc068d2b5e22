"""Resize and Upsample, and sampling at places that are computed."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..operation import Operation, operator
from ..tensors import Refused

__all__: list[str] = []

_COORDINATES = (
    "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric",
    "tf_half_pixel_for_nn", "tf_crop_and_resize",
)  # fmt: skip
_ROUNDINGS = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")


@operator("Resize")
def _resize(op: Operation) -> str:
    if op.version < 11:
        mode = op.text("mode", "nearest", ("nearest", "linear"))
        return _old_resize(op, op.required(0), op.required(1), mode)
    x, roi, scales, sizes = op.required(0), op.input(1), op.input(2), op.input(3)
    scales, sizes = (name if _holds(op, name) else "" for name in (scales, sizes))
    if bool(scales) == bool(sizes):
        raise Refused("it needs either scales or sizes")
    coordinates = op.text("coordinate_transformation_mode", "half_pixel", _COORDINATES)
    if op.flag("antialias"):
        raise Refused("the attribute 'antialias' is 1, which is not supported; resize before the network")
    axes: tuple[int, ...] | None = op.integers("axes") if op.has("axes") else None
    attributes: dict[str, Any] = {
        "mode": op.text("mode", "nearest", ("nearest", "linear", "cubic")),
        "coordinates": coordinates,
        "nearest_mode": op.text("nearest_mode", "round_prefer_floor", _ROUNDINGS),
        "cubic_a": op.real("cubic_coeff_a", -0.75),
        "exclude_outside": op.flag("exclude_outside"),
        "extrapolation_value": op.real("extrapolation_value", 0.0),
        "keep_aspect_ratio_policy": op.text(
            "keep_aspect_ratio_policy", "stretch", ("stretch", "not_larger", "not_smaller")
        ),
    }
    if coordinates == "tf_crop_and_resize":
        if not _holds(op, roi):
            raise Refused("coordinates of 'tf_crop_and_resize' need the input roi")
    else:
        roi = ""
    return _resized(op, x, roi, scales, sizes, axes, attributes)


def _holds(op: Operation, name: str) -> bool:
    """Whether an optional input is there: exporters write an empty constant for one that is not."""
    if not name:
        return False
    shape = op.shape(name)
    return shape is None or 0 not in shape


def _resized(
    op: Operation,
    x: str,
    roi: str,
    scales: str,
    sizes: str,
    axes: tuple[int, ...] | None,
    attributes: dict[str, Any],
) -> str:
    """Axes that keep their size are left out where that is known."""
    shape = op.shape(x)
    if axes is None:
        rank = None if shape is None else len(shape)
        for name in (scales, sizes):
            known = op.sizes_of(name) if name else None
            rank = len(known) if rank is None and known is not None else rank
        if rank is None:
            op.rank(x)  # refuses
        assert rank is not None
        axes = tuple(range(rank))
    kept: list[int] = list(range(len(axes)))
    factors = op.known(scales) if scales else None
    targets = op.sizes_of(sizes) if sizes else None
    if factors is not None and factors.shape == (len(axes),):
        kept = [place for place in kept if factors[place] != 1]
        scales = op.constant(factors[kept], np.float32)
    elif (
        targets is not None
        and len(targets) == len(axes)
        and shape is not None
        and all(-len(shape) <= axis < len(shape) for axis in axes)
        and attributes["keep_aspect_ratio_policy"] == "stretch"
    ):
        kept = [place for place in kept if targets[place] is None or targets[place] != shape[axes[place]]]
        if len(kept) < len(axes):
            chosen = [targets[place] for place in kept]
            if all(isinstance(target, int) for target in chosen):
                sizes = op.axes(chosen)  # type: ignore[arg-type]
            else:
                sizes = op.emit("gather", sizes, op.axes(kept), axis=0)
    if roi and len(kept) < len(axes):
        roi = op.emit("gather", roi, op.axes([*kept, *(place + len(axes) for place in kept)]), axis=0)
    if not kept:
        return x
    return op.emit(
        "resize",
        x,
        roi,
        scales,
        sizes,
        axes=tuple(axes[place] for place in kept),
        antialias=False,
        **attributes,
    )


@operator("Upsample", since=7, until=9)
def _upsample(op: Operation) -> str:
    mode = op.text("mode", "nearest", ("nearest", "linear", "bilinear"))
    scales = op.constant(op.reals("scales"), np.float32) if op.version < 9 else op.required(1)
    return _old_resize(op, op.required(0), scales, "linear" if mode == "bilinear" else mode)


def _old_resize(op: Operation, x: str, scales: str, mode: str) -> str:
    """Before version 11: corners at the same place; nearest rounds down, but up along axes that shrink."""
    attributes: dict[str, Any] = {
        "mode": mode, "coordinates": "asymmetric", "nearest_mode": "floor", "cubic_a": -0.75,
        "exclude_outside": False, "extrapolation_value": 0.0, "keep_aspect_ratio_policy": "stretch",
    }  # fmt: skip
    if mode == "linear" or op.name == "Upsample":  # whose scales are 1 or more
        return _resized(op, x, "", scales, "", None, attributes)
    factors = op.static(scales, "scales")
    if factors.ndim != 1:
        raise Refused(f"its scales have the shape {factors.shape}; they must have one axis")
    for rounding, chosen in (("floor", factors >= 1), ("ceil", factors < 1)):
        axes = tuple(int(axis) for axis in np.flatnonzero(chosen & (factors != 1)))
        if axes:
            scaled = op.constant(factors[list(axes)], np.float32)
            x = _resized(op, x, "", scaled, "", axes, {**attributes, "nearest_mode": rounding})
    return x


@operator("GridSample")
def _grid_sample(op: Operation) -> str:
    modes = {
        "bilinear": "linear",
        "bicubic": "cubic",
        "nearest": "nearest",
        "linear": "linear",
        "cubic": "cubic",
    }
    x = op.required(0)
    rank = op.rank(x)
    y = op.emit(
        "grid_sample", op.channels_last(x, rank), op.required(1),
        mode=modes[op.text("mode", "bilinear" if op.version < 20 else "linear", tuple(modes))],
        padding_mode=op.text("padding_mode", "zeros", ("zeros", "border", "reflection")),
        align_corners=op.flag("align_corners"),
    )  # fmt: skip
    return op.channels_first(y, rank)


@operator("RoiAlign")
def _roi_align(op: Operation) -> str:
    default = "output_half_pixel" if op.version < 16 else "half_pixel"
    y = op.emit(
        "roi_align", op.channels_last(op.required(0), 4), op.required(1), op.required(2),
        mode=op.text("mode", "avg", ("avg", "max")), output_height=op.integer("output_height", 1),
        output_width=op.integer("output_width", 1), sampling_ratio=op.integer("sampling_ratio", 0),
        spatial_scale=op.real("spatial_scale", 1.0),
        coordinates=op.text("coordinate_transformation_mode", default, ("half_pixel", "output_half_pixel"))
        if op.version >= 16 else "output_half_pixel",
    )  # fmt: skip
    return op.channels_first(y, 4)
