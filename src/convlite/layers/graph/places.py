"""Layers that move, repeat or interpolate numbers: reshaping, padding, cropping and resizing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..padding import (
    CircularPad1D,
    CircularPad2D,
    Cropping1D,
    ReflectionPad1D,
    ReflectionPad2D,
    ReplicationPad1D,
    ReplicationPad2D,
    ZeroPadding1D,
)
from ..sequence import UpSampling1D
from ..shaping import (
    Cropping2D,
    Dropout,
    Flatten,
    InputLayer,
    Reshape,
    Resizing,
    UpSampling2D,
    ZeroPadding2D,
)
from ..shuffles import (
    ChannelShuffle,
    DepthToSpace,
    Permute,
    PixelShuffle,
    PixelUnshuffle,
    RepeatVector,
    SpaceToDepth,
)
from .rules import Applied, CannotBe, rule

__all__: list[str] = []

_LAST = np.iinfo(np.int64).max


@rule(Dropout, InputLayer)
def _nothing(call: Applied) -> str:
    return call.x


@rule(Flatten)
def _flatten(call: Applied) -> str:
    rank, x = call.rank, call.x
    if call.layer.order == "CHW" and rank > 2:
        x = call.transposed(x, (0, rank - 1, *range(1, rank - 1)))
    return call.emit("flatten", x, axis=1)


@rule(Reshape)
def _reshape(call: Applied) -> str:
    shape = call.layer.compute_output_shape(call.shape())[1:]
    if 0 in shape:
        raise CannotBe(f"its shape {shape} has nothing in it")
    return call.reshaped(call.x, (0, *(-1 if size is None else size for size in shape)))


@rule(Permute)
def _permute(call: Applied) -> str:
    return call.transposed(call.x, (0, *call.layer.dims))


@rule(RepeatVector)
def _repeat(call: Applied) -> str:
    x = call.emit("unsqueeze", call.x, call.ints((1,)))
    return call.emit("tile", x, call.ints((1, call.layer.n, 1)))


@rule(
    ZeroPadding1D, ReflectionPad1D, ReflectionPad2D, ReplicationPad1D, ReplicationPad2D, CircularPad1D,
    CircularPad2D,
)  # fmt: skip
def _frame(call: Applied) -> str:
    return call.padded(call.x, call.layer._pads, call.layer.mode)


@rule(ZeroPadding2D)
def _zero_padding(call: Applied) -> str:
    return call.padded(call.x, call.layer.padding, "constant")


def _cropped(call: Applied, pairs: Sequence[tuple[int, int]]) -> str:
    ends = [-high if high else _LAST for _, high in pairs]
    return call.sliced(call.x, [low for low, _ in pairs], ends, range(1, len(pairs) + 1))


@rule(Cropping1D)
def _cropping_1d(call: Applied) -> str:
    return _cropped(call, [call.layer.cropping])


@rule(Cropping2D)
def _cropping_2d(call: Applied) -> str:
    return _cropped(call, call.layer.cropping)


def _resized(call: Applied, x: str, how: str, scales: str, sizes: str, antialias: bool = False) -> str:
    """Resize by TensorFlow's rules: half pixels, the later of two nearest pixels, cubic a = -0.5."""
    modes = {"nearest": "nearest", "bilinear": "linear", "bicubic": "cubic"}
    if how not in modes:
        raise CannotBe(f"its interpolation {how!r} is not in networks yet; there are {', '.join(modes)}")
    return call.emit(
        "resize", x, "", scales, sizes, axes=tuple(range(1, call.rank - 1)), mode=modes[how],
        coordinates="half_pixel", nearest_mode="round_prefer_ceil", cubic_a=-0.5,
        exclude_outside=how == "bicubic" or antialias, extrapolation_value=0.0, antialias=antialias,
        keep_aspect_ratio_policy="stretch",
    )  # fmt: skip


@rule(UpSampling1D, UpSampling2D)
def _up_sampling(call: Applied) -> str:
    size = np.atleast_1d(call.layer.size)
    how = getattr(call.layer, "interpolation", "nearest")
    return _resized(call, call.x, how, call.constant(size, np.float32), "")


@rule(Resizing)
def _resizing(call: Applied) -> str:
    layer, x = call.layer, call.x
    height, width = layer.height, layer.width
    if layer.crop_to_aspect_ratio or layer.pad_to_aspect_ratio:
        h, w = call.sizes("what it crops or pads depends on the image's size")
        high, wide = int(float(w * height) / width), int(float(h * width) / height)
        if layer.crop_to_aspect_ratio:
            high, wide = max(min(h, high), min(h, 1)), max(min(w, wide), min(w, 1))
            top, left = (h - high) // 2, (w - wide) // 2
            x = call.sliced(x, [top, left], [top + high, left + wide], [1, 2])
        else:
            frame = ((max(high - h, 0) // 2,) * 2, (max(wide - w, 0) // 2,) * 2)
            x = call.padded(x, frame, "constant", layer.fill_value)
    smooth = layer.antialias and layer.interpolation != "nearest"
    return _resized(call, x, layer.interpolation, "", call.ints((height, width)), smooth)


# ---- channels and pixels ----


@rule(DepthToSpace, PixelShuffle)
def _depth_to_space(call: Applied) -> str:
    return call.emit("depth_to_space", call.x, block=call.layer.block_size, mode=call.layer.mode)


def _dealt(call: Applied, x: str, groups: int) -> str:
    """Channel g * (C // groups) + i goes to i * groups + g."""
    shape = call.shape(x)
    channels, rank = shape[-1], len(shape)
    if channels is None:
        raise CannotBe("the number of channels is free")
    kept = [0] * (rank - 1)
    y = call.reshaped(x, (*kept, groups, channels // groups))
    y = call.transposed(y, (*range(rank - 1), rank, rank - 1))
    return call.reshaped(y, (*kept, channels))


@rule(SpaceToDepth, PixelUnshuffle)
def _space_to_depth(call: Applied) -> str:
    block = call.layer.block_size
    y = call.emit("space_to_depth", call.x, block=block)
    return y if call.layer.mode == "DCR" else _dealt(call, y, block * block)


@rule(ChannelShuffle)
def _channel_shuffle(call: Applied) -> str:
    return _dealt(call, call.x, call.layer.groups)
