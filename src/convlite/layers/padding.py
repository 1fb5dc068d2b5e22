"""PyTorch's layers that pad images and sequences, and 1-D zero padding and cropping."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from .. import images
from .._image_arguments import check_depth
from ..arguments import Pads, Pair, as_operand, as_padding, as_padding_1d, shown
from .base import Array, Layer, Shape, check_pixels

__all__ = [
    "ZeroPadding1D", "Cropping1D", "ReflectionPad1D", "ReflectionPad2D", "ReplicationPad1D",
    "ReplicationPad2D", "CircularPad1D", "CircularPad2D",
]  # fmt: skip


class _Frame(Layer):
    """Pixels around an image: padding is an int, (ph, pw) or ((top, bottom), (left, right))."""

    rank = 4
    axes = "batch, height, width, channels"
    mode: ClassVar[str]  # of convlite.pad2d

    def __init__(self, padding: Any = 1, *, name: str | None = None) -> None:
        super().__init__(name=name)
        pads = as_padding(padding) if self.rank == 4 else as_padding_1d(padding)
        if isinstance(pads, str):
            form = "((top, bottom), (left, right))" if self.rank == 4 else "(before, after)"
            raise ValueError(f"padding must be numbers, such as 1 or {form}; got {shown(padding)}")
        self.padding: Pads | Pair = pads if self.rank == 4 else pads[1]
        self._pads: tuple[Pair, ...] = pads if self.rank == 4 else pads[1:]

    def call(self, x: Any) -> Array:
        array = as_operand(x, "x", ndim=self.rank)
        if 0 in array.shape:
            self.compute_output_shape(array.shape)
        return images.pad_axes(array, self._pads, self.mode)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Shape:
        batch, *sizes, channels = shape = self.as_input_shape(input_shape)
        check_depth(shape, self._pads, self.mode)
        grown = [None if n is None else n + sum(pair) for n, pair in zip(sizes, self._pads, strict=True)]
        return check_pixels(self.name, shape, (batch, *grown, channels), "")


class _Ends(_Frame):
    """The 1-D form: padding is an int or (before, after)."""

    rank = 3
    axes = "batch, width, channels"


class ZeroPadding1D(_Ends):
    """Sequences with zeros at both ends: (N, W, C) -> (N, before + W + after, C).

    padding, name -> : shared, ends

    Examples
    --------
    >>> ZeroPadding1D((2, 0)).compute_output_shape((None, 7, 8))
    (None, 9, 8)
    """

    mode = "constant"


class ReflectionPad1D(_Ends):
    """Sequences mirrored at both ends; the first and last numbers are not repeated.

    padding, name -> : shared, ends

    Examples
    --------
    >>> ReflectionPad1D(2)(np.arange(3.0).reshape(1, 3, 1)).ravel().tolist()
    [2.0, 1.0, 0.0, 1.0, 2.0, 1.0, 0.0]
    """

    mode = "reflect"


class ReplicationPad1D(_Ends):
    """Sequences whose first and last number repeat.

    padding, name -> : shared, ends

    Examples
    --------
    >>> ReplicationPad1D((2, 1))(np.arange(3.0).reshape(1, 3, 1)).ravel().tolist()
    [0.0, 0.0, 0.0, 1.0, 2.0, 2.0]
    """

    mode = "edge"


class CircularPad1D(_Ends):
    """Sequences padded at each end with the numbers from the other end.

    padding, name -> : shared, ends

    Examples
    --------
    >>> CircularPad1D((2, 1))(np.arange(3.0).reshape(1, 3, 1)).ravel().tolist()
    [1.0, 2.0, 0.0, 1.0, 2.0, 0.0]
    """

    mode = "wrap"


class ReflectionPad2D(_Frame):
    """Images mirrored at their border, which is not repeated: PyTorch's ReflectionPad2d.

    PyTorch writes padding as (left, right, top, bottom).

    padding, name -> : shared, frame

    Examples
    --------
    >>> ReflectionPad2D(((0, 0), (2, 1)))(np.arange(3.0).reshape(1, 1, 3, 1)).ravel().tolist()
    [2.0, 1.0, 0.0, 1.0, 2.0, 1.0]
    """

    mode = "reflect"


class ReplicationPad2D(_Frame):
    """Images whose border repeats: PyTorch's ReplicationPad2d.

    padding, name -> : shared, frame

    Examples
    --------
    >>> ReplicationPad2D((0, 1))(np.arange(3.0).reshape(1, 1, 3, 1)).ravel().tolist()
    [0.0, 0.0, 1.0, 2.0, 2.0]
    """

    mode = "edge"


class CircularPad2D(_Frame):
    """Images padded at each side with the pixels from the opposite side: PyTorch's CircularPad2d.

    padding, name -> : shared, frame

    Examples
    --------
    >>> CircularPad2D((0, 1))(np.arange(3.0).reshape(1, 1, 3, 1)).ravel().tolist()
    [2.0, 0.0, 1.0, 2.0, 0.0]
    """

    mode = "wrap"


class Cropping1D(Layer):
    """Sequences without their ends: (N, W, C) -> (N, W - before - after, C).

    cropping, name -> : shared, ends

    Examples
    --------
    >>> Cropping1D((1, 0))(np.arange(3.0).reshape(1, 3, 1)).ravel().tolist()
    [1.0, 2.0]
    """

    rank = 3
    axes = "batch, width, channels"

    def __init__(self, cropping: Any = 1, *, name: str | None = None) -> None:
        super().__init__(name=name)
        pads = as_padding_1d(cropping, "cropping")
        if isinstance(pads, str):
            raise ValueError(f"cropping must be numbers, such as 1 or (before, after); got {shown(cropping)}")
        self.cropping = pads[1]

    def call(self, x: Any) -> Array:
        line = as_operand(x, "x", ndim=3)
        width = self.compute_output_shape(line.shape)[1]
        assert width is not None
        return np.ascontiguousarray(line[:, self.cropping[0] : self.cropping[0] + width])

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Shape:
        batch, width, channels = self.as_input_shape(input_shape)
        off = sum(self.cropping)
        if width is not None and width - off < bool(off):
            raise ValueError(f"cropping takes {off} from a size of {width}: nothing would be left")
        return batch, None if width is None else width - off, channels
