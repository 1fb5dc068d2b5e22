"""Pixels taken from places that are data: grids and regions of interest."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from ..facts import Fact, listed, merged
from ..graph import Array, Node
from .images import cubic
from .record import Arrays, Facts, Kind, exact, given, must_fit, registered

__all__ = ["KINDS"]

KINDS: dict[str, Kind] = {}


def _grid_facts(node: Node, facts: Facts) -> tuple[Fact, ...]:
    x, grid = given(facts, 0), given(facts, 1)
    if x.shape is None or grid.shape is None:
        return (Fact(x.dtype, None),)
    if len(x.shape) != len(grid.shape) or len(x.shape) < 3:
        raise ValueError(
            f"x (N, spatial..., C) has {len(x.shape)} axes, grid {len(grid.shape)}; as many are needed"
        )
    must_fit(grid.shape[-1], len(x.shape) - 2, "the last axis of grid, one coordinate for each spatial axis,")
    must_fit(grid.shape[0], x.shape[0], "the batch of grid")
    return (Fact(x.dtype, (merged(x.shape[0], grid.shape[0]), *grid.shape[1:-1], x.shape[-1])),)


def _reflected(place: Array, low: float, high: float) -> Array:
    """Back and forth between two borders."""
    if high <= low:
        return np.full_like(place, low)
    away = np.mod(place - low, 2 * (high - low))
    return low + np.where(away > high - low, 2 * (high - low) - away, away)


def _inside(place: Array, size: int, mode: str, corners: bool) -> Array:
    """Places of padding mode "border" and "reflection" moved to where there are pixels."""
    if mode == "border":
        return np.clip(place, 0, size - 1)
    if mode == "reflection":
        low, high = (0.0, size - 1.0) if corners else (-0.5, size - 0.5)
        return np.where((place < low) | (place > high), _reflected(place, low, high), place)
    return place


@registered(KINDS, "grid_sample", infer=_grid_facts)
def _grid_sample(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    """grid holds, last axis first, places from -1 to 1: pixel centres with align_corners, else borders."""
    x, grid = given(arrays, 0), given(arrays, 1)
    mode, padding = node.attributes["mode"], node.attributes["padding_mode"]
    corners = bool(node.attributes["align_corners"])
    sizes = x.shape[1:-1]
    taps, reach = {"nearest": (1, 0), "linear": (2, 0), "cubic": (4, 1)}[mode]
    indices, weights = [], []
    for axis, size in enumerate(sizes):
        along = grid[..., len(sizes) - 1 - axis].astype(np.float64)
        place = (along + 1) / 2 * (size - 1) if corners else ((along + 1) * size - 1) / 2
        place = np.rint(place) if mode == "nearest" else place
        # A cubic spline reads past the border, so that only the places of its pixels are moved inside.
        place = place if mode == "cubic" else _inside(place, size, padding, corners)
        first = np.floor(place)
        index = first[..., None] + np.arange(taps) - reach
        distance = index - place[..., None]
        weights.append(
            np.ones_like(index)
            if mode == "nearest"
            else (1 - np.abs(distance) if mode == "linear" else cubic(distance, -0.75))
        )
        indices.append(index)
    total = np.zeros((*grid.shape[:-1], x.shape[-1]))
    batch = np.arange(len(x)).reshape(-1, *[1] * len(sizes))
    for tap in product(range(taps), repeat=len(sizes)):
        weight: Any = 1.0
        places = []
        for axis, size in enumerate(sizes):
            index = indices[axis][..., tap[axis]]
            weight = weight * weights[axis][..., tap[axis]]
            if padding == "zeros":
                weight = np.where((index < 0) | (index > size - 1), 0.0, weight)
            else:
                index = _inside(index, size, padding, corners)
            places.append(np.clip(index, 0, size - 1).astype(np.intp))
        total += np.where(weight[..., None] == 0, 0.0, exact(x)[(batch, *places)] * weight[..., None])
    return (total.astype(x.dtype),)


def _affine_facts(node: Node, facts: Facts) -> tuple[Fact, ...]:
    theta, size = given(facts, 0), listed(given(facts, 1))
    if size is None:
        return (Fact(theta.dtype, None),)
    if theta.shape is not None:
        if len(theta.shape) != 3:
            raise ValueError(f"theta must have shape (batch, axes, axes + 1), not {theta.shape}")
        for found, wanted in zip(theta.shape, (size[0], len(size) - 2, len(size) - 1), strict=True):
            must_fit(found, wanted, "an axis of theta")
    return (Fact(theta.dtype, (size[0], *size[2:], len(size) - 2)),)


@registered(KINDS, "affine_grid", infer=_affine_facts)
def _affine_grid(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    """theta @ (places from -1 to 1, last axis first, and 1); size is (N, C, spatial...)."""
    theta, size = given(arrays, 0), given(arrays, 1).tolist()
    axes = []
    for count in size[2:]:
        if node.attributes["align_corners"]:
            axes.append(np.linspace(-1, 1, count) if count > 1 else np.array([-1.0]))
        else:
            axes.append((2 * np.arange(count) + 1) / count - 1)
    places = np.stack([*np.meshgrid(*axes, indexing="ij")[::-1], np.ones(size[2:])], -1)
    grid = np.einsum("nij,...j->n...i", theta.astype(np.float64), places)
    return (grid.astype(theta.dtype),)


# ---- regions of interest ----


def _roi_facts(node: Node, facts: Facts) -> tuple[Fact, ...]:
    x, rois, batch = (given(facts, number) for number in range(3))
    if x.shape is not None and len(x.shape) != 4:
        raise ValueError(f"x must have 4 axes (N, H, W, C), not {len(x.shape)}")
    if rois.shape is not None:
        if len(rois.shape) != 2:
            raise ValueError(f"rois must have shape (count, 4), not {rois.shape}")
        must_fit(rois.shape[1], 4, "the last axis of rois")
    count = merged(None if rois.shape is None else rois.shape[0], batch.shape[0] if batch.shape else None)
    channels = None if x.shape is None else x.shape[3]
    sides = int(node.attributes["output_height"]), int(node.attributes["output_width"])
    return (Fact(x.dtype, (count, *sides, channels)),)


def _corner_weights(place: float, size: int) -> tuple[tuple[int, float], ...] | None:
    """The two pixels about a place along an axis; None outside."""
    if place < -1 or place > size:
        return None
    place = max(place, 0.0)
    low = min(int(place), size - 1)
    high = min(low + 1, size - 1)
    far = place - low if low < size - 1 else 0.0
    return (low, 1 - far), (high, far)


@registered(KINDS, "roi_align", infer=_roi_facts)
def _roi_align(node: Node, arrays: Arrays) -> tuple[Array, ...]:
    """Mean of samples of each cell ("avg"), or the largest weighted pixel that a sample meets ("max")."""
    x, rois, batch = (given(arrays, number) for number in range(3))
    attributes = node.attributes
    sides = int(attributes["output_height"]), int(attributes["output_width"])
    offset = 0.5 if attributes["coordinates"] == "half_pixel" else 0.0
    ratio, most = int(attributes["sampling_ratio"]), attributes["mode"] == "max"
    out = np.zeros((len(rois), *sides, x.shape[3]))
    for number, roi in enumerate(rois.astype(np.float64) * attributes["spatial_scale"] - offset):
        image = exact(x)[int(batch[number])]
        start, extent = roi[1::-1], roi[3:1:-1] - roi[1::-1]
        extent = extent if offset else np.maximum(extent, 1.0)
        cell = extent / sides
        counts = [ratio if ratio > 0 else int(np.ceil(side)) for side in cell]
        for row, column in product(range(sides[0]), range(sides[1])):
            found = []
            for sample in product(range(counts[0]), range(counts[1])):
                place = start + (np.array([row, column]) + (np.array(sample) + 0.5) / counts) * cell
                near = [_corner_weights(float(place[axis]), x.shape[1 + axis]) for axis in (0, 1)]
                if near[0] is None or near[1] is None:
                    found.append(np.zeros((4, x.shape[3])))
                    continue
                found.append(
                    np.stack([image[i, j] * (v * w) for (i, v), (j, w) in product(near[0], near[1])])
                )
            if found:
                samples = np.stack(found)
                out[number, row, column] = samples.max((0, 1)) if most else samples.sum(1).mean(0)
    return (out.astype(x.dtype),)
