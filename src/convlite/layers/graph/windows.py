"""Pooling layers."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..pooling import (
    AdaptiveAveragePooling2D,
    AdaptiveMaxPooling2D,
    AveragePooling1D,
    AveragePooling2D,
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    GlobalMaxPooling1D,
    GlobalMaxPooling2D,
    MaxPooling1D,
    MaxPooling2D,
)
from .rules import Applied, CannotBe, rule

__all__: list[str] = []


def _tuple(value: Any) -> tuple[int, ...]:
    return tuple(int(entry) for entry in np.atleast_1d(value))


def _pooled(call: Applied, kind: str, **more: Any) -> str:
    layer, axes = call.layer, call.rank - 2
    padding = layer.padding
    if padding == "valid":
        padding = ((0, 0),) * axes
    elif not isinstance(padding, str) and axes == 1:
        padding = (padding,)
    return call.emit(
        kind, call.x, kernel=_tuple(layer.pool_size), strides=_tuple(layer.strides), padding=padding,
        dilations=_tuple(layer.dilations), ceil_mode=layer.ceil_mode, **more,
    )  # fmt: skip


@rule(MaxPooling1D, MaxPooling2D)
def _max_pool(call: Applied) -> str:
    return _pooled(call, "max_pool")


@rule(AveragePooling1D, AveragePooling2D)
def _average_pool(call: Applied) -> str:
    return _pooled(call, "avg_pool", count_include_pad=call.layer.count_include_pad)


@rule(GlobalAveragePooling1D, GlobalAveragePooling2D)
def _global_average(call: Applied) -> str:
    return call.reduced("reduce_mean", call.x, range(1, call.rank - 1), call.layer.keepdims)


@rule(GlobalMaxPooling1D, GlobalMaxPooling2D)
def _global_max(call: Applied) -> str:
    return call.reduced("reduce_max", call.x, range(1, call.rank - 1), call.layer.keepdims)


def _adaptive(call: Applied, kind: str) -> str:
    """Pool windows from floor(i * n / m) to ceil((i + 1) * n / m), one axis after the other."""
    wanted, x = call.layer.output_size, call.x
    if wanted == (1, 1):
        return call.reduced(kind, x, (1, 2), keepdims=True)
    for axis, size in enumerate(wanted, start=1):
        there = call.shape(x)[axis]
        if size is None or size == there:
            continue
        if size == 1:
            x = call.reduced(kind, x, (axis,), keepdims=True)
            continue
        if there is None:
            raise CannotBe(
                "its windows depend on the image's size, which is free: give Input the size, or pool to 1"
            )
        ends = [(i * there // size, -(-(i + 1) * there // size)) for i in range(size)]
        windows = [call.sliced(x, [start], [end], [axis]) for start, end in ends]
        parts = [call.reduced(kind, window, (axis,), keepdims=True) for window in windows]
        x = call.emit("concat", *parts, axis=axis)
    return x


@rule(AdaptiveAveragePooling2D)
def _adaptive_average(call: Applied) -> str:
    return _adaptive(call, "reduce_mean")


@rule(AdaptiveMaxPooling2D)
def _adaptive_max(call: Applied) -> str:
    return _adaptive(call, "reduce_max")
