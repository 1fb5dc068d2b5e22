"""Layers that move or repeat numbers without computing with them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, cast, get_args

import numpy as np

from .. import images, initializers, pointwise
from ..arguments import (
    Pads,
    as_flag,
    as_int,
    as_operand,
    as_padding,
    as_pair,
    as_real,
    as_size,
    is_one_of,
    shown,
)
from .base import Array, Layer, Shape, check_pixels, product

__all__ = [
    "InputLayer", "Flatten", "Reshape", "UpSampling2D", "Resizing", "ZeroPadding2D", "Cropping2D", "Dropout",
]  # fmt: skip

Interpolation = Literal["nearest", "bilinear", "bicubic", "lanczos3", "lanczos5"]


class InputLayer(Layer):
    """The declared shape of one sample: as the first layer of a Sequential, it builds the model at once.

    The shape of every x is checked against it.

    Parameters
    ----------
    shape : sequence of int or None
        The shape of one sample, without the batch axis.
    name : shared, layer

    Raises
    ------
    errors : shared, layer

    Examples
    --------
    >>> InputLayer((28, 28, 1)).output_shape
    (None, 28, 28, 1)
    """

    def __init__(self, shape: Sequence[int | None], *, name: str | None = None) -> None:
        super().__init__(name=name)
        self.input_shape = self.batch_shape = (None, *Layer.as_input_shape(self, shape))

    def as_input_shape(self, input_shape: Sequence[int | None]) -> Shape:
        shape = super().as_input_shape(input_shape)
        wanted = self.batch_shape
        if len(shape) != len(wanted) or any(
            None not in (size, known) and size != known for size, known in zip(shape, wanted, strict=True)
        ):
            from .._hints import other_order, other_size

            hint = other_order(shape, wanted, "the model", None not in shape)
            hint = hint or other_size(shape, wanted, "the model")
            raise ValueError(f"{self.name} was made for the shape {shown(wanted)}; got {shown(shape)}{hint}")
        return shape

    def call(self, x: Any) -> Array:
        array = as_operand(x, "x")
        self.as_input_shape(array.shape)
        return array


class Flatten(Layer):
    """Every sample as one row: (N, H, W, C) -> (N, H*W*C).

    order, name -> : shared, layer

    Examples
    --------
    >>> Flatten("CHW")(np.arange(4.0).reshape(1, 1, 2, 2)).tolist()
    [[0.0, 2.0, 1.0, 3.0]]
    """

    axes = "batch, ..."

    def __init__(self, order: Literal["HWC", "CHW"] = "HWC", *, name: str | None = None) -> None:
        super().__init__(name=name)
        if not is_one_of(order, ("HWC", "CHW")):
            raise ValueError(f"order must be 'HWC' or 'CHW'; got {shown(order)}")
        self.order: Literal["HWC", "CHW"] = order

    def call(self, x: Any) -> Array:
        row = pointwise.flatten(x, self.order)
        if not row.size:
            self.compute_output_shape(np.shape(x))
        return row

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Shape:
        shape = batch, *rest = self.as_input_shape(input_shape)
        check_pixels(self.name, shape, shape, "")
        return batch, product(rest)


class Reshape(Layer):
    """Every sample in another shape: (N, ...) -> `(N, *target_shape)`.

    Parameters
    ----------
    target_shape : sequence of ints
        The shape of a sample; one size may be -1.
    name : shared, layer

    Raises
    ------
    errors : shared, layer

    Examples
    --------
    >>> Reshape((2, -1)).compute_output_shape((None, 3, 4))
    (None, 2, 6)
    """

    def __init__(self, target_shape: Sequence[int], *, name: str | None = None) -> None:
        super().__init__(name=name)
        if isinstance(target_shape, (str, bytes)) or not isinstance(target_shape, (Sequence, np.ndarray)):
            raise TypeError(f"target_shape must be a sequence of sizes; got {shown(target_shape)}")
        self.target_shape = tuple(as_int(size, "target_shape", minimum=-1) for size in target_shape)
        if self.target_shape.count(-1) > 1:
            raise ValueError(f"target_shape must not hold -1 more than once; got {shown(self.target_shape)}")

    def call(self, x: Any) -> Array:
        array = as_operand(x, "x")
        _, *shape = self.compute_output_shape(array.shape)
        return array.reshape(array.shape[0], *shape)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Shape:
        batch, *rest = self.as_input_shape(input_shape)
        size, fixed = product(rest), math.prod(n for n in self.target_shape if n != -1)
        if size is None:
            return (batch, *(None if n == -1 else n for n in self.target_shape))
        free = size // fixed if fixed else 0
        shape = tuple(free if n == -1 else n for n in self.target_shape)
        if math.prod(shape) != size:
            raise ValueError(
                f"target_shape {shown(self.target_shape)} must have as many numbers as a sample of x; got "
                f"samples of shape {shown(tuple(rest))}"
            )
        return (batch, *shape)


class _Images(Layer):
    rank = 4
    axes = "batch, height, width, channels"


class UpSampling2D(_Images):
    """Images enlarged by whole factors: (N, H, W, C) -> (N, H*fh, W*fw, C), pixels repeated or blended.

    Parameters
    ----------
    size : int or (h, w), default 2
        The factors of height and width.
    interpolation, name : shared, layer

    Raises
    ------
    errors : shared, layer

    Examples
    --------
    >>> UpSampling2D((1, 2)).compute_output_shape((None, 7, 7, 8))
    (None, 7, 14, 8)
    """

    def __init__(
        self,
        size: int | Sequence[int] = 2,
        *,
        interpolation: Interpolation = "nearest",
        name: str | None = None,
    ) -> None:
        super().__init__(name=name)
        self.interpolation: Interpolation = _as_interpolation(interpolation)
        self.size = as_pair(size, "size")

    def call(self, x: Any) -> Array:
        return images.upsample2d(x, self.size, method=self.interpolation)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Shape:
        batch, height, width, channels = self.as_input_shape(input_shape)
        return batch, product((height, self.size[0])), product((width, self.size[1])), channels


class Resizing(_Images):
    """Images in another size: (N, H, W, C) -> (N, height, width, C), as Keras's Resizing and `resize2d` do.

    Parameters
    ----------
    height : int
        The height of the output.
    width : int
        The width of the output.
    interpolation : str, default "bilinear"
        "bilinear", "nearest", "bicubic", "lanczos3" or "lanczos5".
    crop_to_aspect_ratio : bool, default False
        Whether the largest centred window of the output's shape is cut out first.
    pad_to_aspect_ratio : bool, default False
        Whether rows or columns of fill_value are added around the image first. Both options round sizes as
        Keras does.
    fill_mode : str, default "constant"
        Keras's argument; only "constant" is allowed.
    fill_value : float, default 0.0
        The value of the pixels that pad_to_aspect_ratio adds.
    antialias : bool, default False
        Whether an image is smoothed if it shrinks; "nearest" ignores it, as in Keras.
    name : shared, layer

    Raises
    ------
    errors : shared, layer

    Examples
    --------
    >>> Resizing(4, 6, antialias=True).compute_output_shape((None, 7, 7, 8))
    (None, 4, 6, 8)
    >>> Resizing(1, 2, crop_to_aspect_ratio=True)(np.arange(4.0).reshape(1, 4, 1, 1)).ravel().tolist()
    [1.0, 1.0]
    """

    def __init__(
        self,
        height: int,
        width: int,
        interpolation: Interpolation = "bilinear",
        crop_to_aspect_ratio: bool = False,
        pad_to_aspect_ratio: bool = False,
        fill_mode: Literal["constant"] = "constant",
        fill_value: float = 0.0,
        antialias: bool = False,
        *,
        name: str | None = None,
    ) -> None:
        super().__init__(name=name)
        self.height, self.width = as_size(height, "height"), as_size(width, "width")
        self.interpolation: Interpolation = _as_interpolation(interpolation)
        self.crop_to_aspect_ratio = as_flag(crop_to_aspect_ratio, "crop_to_aspect_ratio")
        self.pad_to_aspect_ratio = as_flag(pad_to_aspect_ratio, "pad_to_aspect_ratio")
        if self.crop_to_aspect_ratio and self.pad_to_aspect_ratio:
            raise ValueError("crop_to_aspect_ratio and pad_to_aspect_ratio exclude each other; got both")
        if not is_one_of(fill_mode, ("constant",)):
            raise ValueError(f"fill_mode must be 'constant', as in Keras; got {shown(fill_mode)}")
        self.fill_value = as_real(fill_value, "fill_value")
        self.antialias = as_flag(antialias, "antialias")

    def call(self, x: Any) -> Array:
        image = as_operand(x, "x", ndim=4)
        _, h, w, _ = image.shape
        # Keras's arithmetic: the image's sizes in the output's proportions, rounded down.
        high, wide = int(float(w * self.height) / self.width), int(float(h * self.width) / self.height)
        if self.crop_to_aspect_ratio:
            high, wide = max(min(h, high), min(h, 1)), max(min(w, wide), min(w, 1))
            top, left = (h - high) // 2, (w - wide) // 2
            image = image[:, top : top + high, left : left + wide]
        elif self.pad_to_aspect_ratio:
            frame = ((max(high - h, 0) // 2,) * 2, (max(wide - w, 0) // 2,) * 2)
            image = images.pad2d(image, frame, value=self.fill_value)
        smooth = self.antialias and self.interpolation != "nearest"
        size = (self.height, self.width)
        return images.resize2d(image, size, method=self.interpolation, antialias=smooth)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Shape:
        shape = batch, _, _, channels = self.as_input_shape(input_shape)
        return check_pixels(self.name, shape, (batch, self.height, self.width, channels), "")


class ZeroPadding2D(_Images):
    """Images in a frame of zeros.

    padding, name -> : shared, frame

    Examples
    --------
    >>> ZeroPadding2D(((1, 0), (2, 2))).compute_output_shape((None, 7, 7, 8))
    (None, 8, 11, 8)
    """

    def __init__(self, padding: Any = 1, *, name: str | None = None) -> None:
        super().__init__(name=name)
        self.padding = _as_pads(padding, "padding")

    def call(self, x: Any) -> Array:
        if 0 in np.shape(x):
            self.compute_output_shape(np.shape(x))
        return images.pad2d(x, self.padding)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Shape:
        shape = batch, height, width, channels = self.as_input_shape(input_shape)
        vertical, horizontal = self.padding
        grown = _grown(height, sum(vertical)), _grown(width, sum(horizontal))
        return check_pixels(self.name, shape, (batch, *grown, channels), "")


class Cropping2D(_Images):
    """Images without their border.

    cropping, name -> : shared, frame

    Examples
    --------
    >>> Cropping2D(1)(np.arange(9.0).reshape(1, 3, 3, 1)).ravel().tolist()
    [4.0]
    """

    def __init__(self, cropping: Any = 0, *, name: str | None = None) -> None:
        super().__init__(name=name)
        self.cropping = _as_pads(cropping, "cropping")

    def call(self, x: Any) -> Array:
        x = as_operand(x, "x", ndim=4)
        _, height, width, _ = self.compute_output_shape(x.shape)
        assert height is not None
        assert width is not None
        (top, _), (left, _) = self.cropping
        return np.ascontiguousarray(x[:, top : top + height, left : left + width])

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Shape:
        batch, height, width, channels = self.as_input_shape(input_shape)
        vertical, horizontal = self.cropping
        return batch, _grown(height, -sum(vertical)), _grown(width, -sum(horizontal)), channels


class Dropout(Layer):
    """The inference form of dropout: it returns x unchanged, for any shape.

    Parameters
    ----------
    rate : float, default 0.5
        Accepted for Keras's calls; it has an effect in training only.
    seed : int or None, default None
        Likewise.
    name : shared, layer

    Raises
    ------
    errors : shared, layer

    Examples
    --------
    >>> Dropout(0.5)([1.0, 2.0]).tolist()
    [1.0, 2.0]
    """

    def __init__(self, rate: float = 0.5, *, seed: int | None = None, name: str | None = None) -> None:
        super().__init__(name=name)
        self.rate = as_real(rate, "rate")
        if not 0 <= self.rate <= 1:
            raise ValueError(f"rate must lie between 0 and 1; got {shown(rate)}")
        if seed is not None:
            as_int(seed, "seed", minimum=-(2**31))
        elif self.rate > 0:
            initializers.spend_seed()

    def call(self, x: Any) -> Array:
        return as_operand(x, "x")


def _as_interpolation(value: Any) -> Interpolation:
    if not is_one_of(value, get_args(Interpolation)):
        names = ", ".join(map(repr, get_args(Interpolation)))
        raise ValueError(f"interpolation must be one of {names}; got {shown(value)}")
    return cast(Interpolation, value)


def _as_pads(value: Any, name: str) -> Pads:
    pads = as_padding(value, name)
    if isinstance(pads, str):
        raise ValueError(
            f"{name} must be numbers, such as 1 or ((top, bottom), (left, right)); got {shown(value)}"
        )
    return pads


def _grown(size: int | None, amount: int) -> int | None:
    if size is not None and amount <= 0 and size + amount < bool(amount):
        raise ValueError(f"cropping takes {-amount} from a size of {size}: nothing would be left")
    return None if size is None else size + amount
