"""From files to a network's inputs, and from its outputs to pictures."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..graph import Array, Value, described_shape
from ..network import Network

__all__ = ["Preparation", "as_picture", "fitting_size", "inputs_of", "random_inputs", "save_picture"]

ARRAYS = (".npy", ".npz")


@dataclass(frozen=True, slots=True)
class Preparation:
    """How a picture becomes an input: (pixel * scale - mean) / std, resized to `size` (height, width)."""

    size: tuple[int, int] | None
    scale: float | None
    mean: tuple[float, ...] | None
    std: tuple[float, ...] | None

    def scale_for(self, dtype: np.dtype[Any]) -> float:
        """1/255 for floats and 1 for whole numbers, unless said."""
        if self.scale is not None:
            return self.scale
        return 1 / 255 if dtype.kind == "f" else 1.0


def inputs_of(path: pathlib.Path, net: Network, how: Preparation) -> dict[str, Array]:
    """The network's inputs, by name, from a picture, a .npy or a .npz file."""
    ending = path.suffix.lower()
    if ending == ".npz":
        with np.load(path, allow_pickle=False) as held:
            arrays = {name: held[name] for name in held.files}
        names = [value.name for value in net.inputs]
        if len(arrays) == len(names) == 1:
            return {names[0]: next(iter(arrays.values()))}
        if missing := [name for name in names if name not in arrays]:
            raise ValueError(f"it has no array {missing[0]!r}; it has {', '.join(arrays) or 'none'}")
        return {name: arrays[name] for name in names}
    value = _only_input(net)
    if ending == ".npy":
        array = np.load(path, allow_pickle=False)
        rank = None if value.shape is None else len(value.shape)
        return {value.name: array[None] if rank is not None and array.ndim == rank - 1 else array}
    return {value.name: _picture(path, value, how)}


def _only_input(net: Network) -> Value:
    if len(net.inputs) != 1:
        names = ", ".join(value.name for value in net.inputs)
        raise ValueError(f"the network has {len(net.inputs)} inputs ({names}): give them in one .npz file")
    return net.inputs[0]


def _axes(value: Value) -> tuple[bool, int]:
    """(whether channels come first, how many there are) of an input for pictures."""
    shape = value.shape
    if shape is not None and len(shape) == 4:
        for first, channels in ((False, shape[3]), (True, shape[1])):
            if channels in (1, 3, 4):
                assert isinstance(channels, int)
                return first, channels
    raise ValueError(f"the input {value} does not take pictures: give it as a .npy file")


def _sizes(value: Value, first: bool, size: tuple[int, int] | None) -> tuple[Any, Any]:
    """(height, width) that the network wants; None where the picture's own will do."""
    assert value.shape is not None
    declared = value.shape[2:] if first else value.shape[1:3]
    wanted: list[int | None] = [None, None]
    for axis, known in enumerate(declared):
        given = None if size is None else size[axis]
        if isinstance(known, int) and given not in (None, known):
            raise ValueError(f"--size does not fit the input {value}: it is for sizes that are free")
        wanted[axis] = known if isinstance(known, int) else given
    return wanted[0], wanted[1]


def _picture(path: pathlib.Path, value: Value, how: Preparation) -> Array:
    pil, pil_ops = _pillow()
    first, channels = _axes(value)
    height, width = _sizes(value, first, how.size)
    try:
        with pil.open(path) as picture:
            turned = pil_ops.exif_transpose(picture).convert({1: "L", 3: "RGB", 4: "RGBA"}[channels])
            size = (width or turned.width, height or turned.height)
            if size != turned.size:
                turned = turned.resize(size, pil.Resampling.BILINEAR)
            pixels = np.array(turned)
    except pil.UnidentifiedImageError:
        raise ValueError("it is no picture that Pillow can read") from None
    except pil.DecompressionBombError as error:
        raise ValueError(f"it is too large: {error}") from None
    except SyntaxError as error:  # what Pillow raises for a broken PNG
        raise ValueError(str(error)) from None
    array = pixels.reshape(1, *pixels.shape[:2], channels).astype(np.float64) * how.scale_for(value.dtype)
    for name, numbers in (("mean", how.mean), ("std", how.std)):
        if numbers is not None:
            if len(numbers) not in (1, channels):
                raise ValueError(f"--{name} has {len(numbers)} numbers for {channels} channels")
            array = array - numbers if name == "mean" else array / numbers
    if value.dtype.kind in "iu":
        limits = np.iinfo(value.dtype)
        array = np.clip(np.rint(array), limits.min, limits.max)
    return np.ascontiguousarray(array.transpose(0, 3, 1, 2) if first else array, value.dtype)


def random_inputs(net: Network, size: tuple[int, int] | None) -> dict[str, Array]:
    """An input of each declared shape, always the same one: a free batch is 1, --size says free sizes."""
    rng = np.random.default_rng(0)
    found = {}
    for value in net.inputs:
        if value.shape is None:
            raise ValueError(f"the input {value} has no declared shape: give an INPUT")
        shape = list(value.shape)
        if len(shape) == 4 and size is not None:
            first, _ = _axes(value)
            start = 2 if first else 1
            shape[start : start + 2] = _sizes(value, first, size)
        if shape and not isinstance(shape[0], int):
            shape[0] = 1
        if not all(isinstance(axis, int) for axis in shape):
            raise ValueError(f"the input {value} has free sizes: give --size HxW, or an INPUT")
        if value.dtype.kind == "f":
            found[value.name] = rng.random(shape).astype(value.dtype)  # type: ignore[arg-type]
        else:
            found[value.name] = rng.integers(0, 2, shape).astype(value.dtype)  # type: ignore[arg-type]
    return found


def fitting_size(value: Value, shape: tuple[int, ...], multiple: int) -> str:
    """HxW for images of this shape, up to the next multiple; "" for an input that takes no pictures."""
    try:
        first, _ = _axes(value)
    except ValueError:
        return ""
    height, width = (-(-size // multiple) * multiple for size in (shape[2:] if first else shape[1:3]))
    return f"{height}x{width}"


def as_picture(array: Array, scale: float) -> Array:
    """An output (1,H,W,C) or (1,C,H,W) with 1 or 3 channels, as pixels; ValueError where it is no picture.

    Floats are divided by `scale`: what --scale does to the input is undone.

    >>> as_picture(np.array([[[[0.5]]]], np.float32), 1 / 255)
    array([[128]], dtype=uint8)
    """
    image = array
    while image.ndim > 3 and image.shape[0] == 1:
        image = image[0]
    if image.ndim == 3 and image.shape[2] not in (1, 3) and image.shape[0] in (1, 3):
        image = image.transpose(1, 2, 0)
    if image.ndim != 3 or image.shape[2] not in (1, 3) or 0 in image.shape:
        raise ValueError(f"an output of the shape {described_shape(array.shape)} is no picture")
    if image.dtype.kind == "f":
        image = np.nan_to_num(image.astype(np.float64) / scale, nan=0.0)
    pixels = np.clip(np.rint(image), 0, 255).astype(np.uint8)
    return pixels[..., 0] if pixels.shape[2] == 1 else pixels


def save_picture(path: pathlib.Path, outputs: Mapping[str, Array], scale: float) -> None:
    """Write the one output as a picture."""
    if len(outputs) != 1:
        raise ValueError(f"the network has {len(outputs)} outputs: write them into a .npz file")
    pil, _ = _pillow()
    pil.fromarray(as_picture(next(iter(outputs.values())), scale)).save(path)


def _pillow() -> tuple[Any, Any]:
    try:
        from PIL import Image, ImageOps
    except ImportError:
        raise ImportError("pictures need the package Pillow: pip install pillow") from None
    return Image, ImageOps
