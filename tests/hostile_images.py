"""The part of hostile.py that is about resizing and padding: a good call of each function and layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import convlite as cl


def images(call: Callable[..., Any], f32: Callable[..., Any], layer: Callable[..., Any]) -> dict[str, Any]:
    """Calls by public name; call, f32 and layer are hostile.py's."""
    x4, x3 = f32(2, 5, 6, 4), f32(2, 6, 4)
    resize: dict[str, tuple[Any, str]] = {
        "size": (4, "integers"), "method": ("bicubic", "name"), "coordinates": ("tf_crop_and_resize", "name"),
        "scales": (None, "real"), "nearest_mode": (None, "name"), "cubic_a": (-0.75, "real"),
        "antialias": (True, "flag"), "exclude_outside": (True, "flag"), "extrapolation_value": (0.0, "real"),
    }  # fmt: skip
    two = {
        **resize,
        "x": (x4, "array"),
        "roi": ((0.0, 0.0, 1.0, 1.0), "shape"),
        "keep_aspect_ratio": ("stretch", "name"),
    }
    one = {**resize, "x": (x3, "array"), "roi": ((0.0, 1.0), "shape")}
    pad = {"padding": (1, "padding"), "mode": ("edge", "name"), "value": (0.0, "real")}
    frame, la = {"padding": (1, "padding")}, cl.layers
    return {
        "resize2d": call(_resize(cl.resize2d), **two),
        "resize1d": call(_resize(cl.resize1d), **one),
        "reference.resize2d": call(_resize(cl.reference.resize2d), **two),
        "pad2d": call(cl.pad2d, x=(x4, "array"), **pad),
        "pad1d": call(cl.pad1d, x=(x3, "array"), **pad),
        "reference.pad2d": call(cl.reference.pad2d, x=(x4, "array"), **pad),
        "layers.Resizing": layer(
            la.Resizing, x4, height=(4, "integer"), width=(4, "integer"), interpolation=("bilinear", "name"),
            crop_to_aspect_ratio=(True, "flag"), pad_to_aspect_ratio=(False, "flag"),
            fill_mode=("constant", "name"), fill_value=(0.0, "real"), antialias=(True, "flag"),
        ),
        "layers.ReflectionPad2D": layer(la.ReflectionPad2D, x4, **frame),
        "layers.ReplicationPad2D": layer(la.ReplicationPad2D, x4, **frame),
        "layers.CircularPad2D": layer(la.CircularPad2D, x4, **frame),
        "layers.ReflectionPad1D": layer(la.ReflectionPad1D, x3, **frame),
        "layers.ReplicationPad1D": layer(la.ReplicationPad1D, x3, **frame),
        "layers.CircularPad1D": layer(la.CircularPad1D, x3, **frame),
        "layers.ZeroPadding1D": layer(la.ZeroPadding1D, x3, **frame),
        "layers.Cropping1D": layer(la.Cropping1D, x3, cropping=(1, "padding")),
    }  # fmt: skip


def _resize(function: Callable[..., Any]) -> Callable[..., Any]:
    """Scales take the place of the size, which the good call has."""

    def run(size: Any, scales: Any, **options: Any) -> Any:
        return function(size=size if scales is None else None, scales=scales, **options)

    return run
