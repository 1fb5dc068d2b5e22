"""Pixels for the networks: the normalised image, its pyramid, and patches cut out of it.

The mtcnn package shrinks by averaging areas (TensorFlow's ResizeMethod.AREA) and cuts patches at fractional
corners (crop_and_resize). `convlite.resize2d` has the former with exact areas; here the float32 edges of
TensorFlow matter, so both are written out, in NumPy.
"""

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["WINDOW", "Image", "crop", "levels", "normalize", "resize_area", "scales"]

Image = npt.NDArray[np.float32]
Boxes = npt.NDArray[np.float64]

WINDOW = 12  # P-Net sees 12 x 12 pixels


def normalize(image: npt.NDArray[np.uint8]) -> Image:
    """Bytes to the range the networks were trained on, -1 to 1: (H,W,3) uint8 -> (H,W,3) float32.

    >>> normalize(np.array([[[0, 127, 255]]], np.uint8))
    array([[[-0.99609375, -0.00390625,  0.99609375]]], dtype=float32)
    """
    return (image.astype(np.float32) - np.float32(127.5)) / np.float32(128)


def scales(height: int, width: int, min_face: float = 20.0, factor: float = 0.709) -> list[float]:
    """The scales of the pyramid, largest first, as long as P-Net's window fits into the image.

    At the first one a face of `min_face` pixels fills the window; a smaller image gives an empty list.

    >>> [round(scale, 4) for scale in scales(60, 80)]
    [0.6, 0.4254, 0.3016, 0.2138]
    """
    candidates = (WINDOW / min_face * factor**level for level in itertools.count())
    return list(itertools.takewhile(lambda scale: int(min(height, width) * scale) >= WINDOW, candidates))


def levels(image: Image, scale_list: list[float]) -> Iterator[Image]:
    """The image at each scale, (H,W,3) -> (int(H*scale), int(W*scale), 3), one at a time."""
    height, width = image.shape[:2]
    for scale in scale_list:
        yield resize_area(image, (int(height * scale), int(width * scale)))


def resize_area(image: npt.NDArray[Any], size: tuple[int, int]) -> npt.NDArray[Any]:
    """Resize by averaging: each output is the mean over the rectangle it covers, (H,W,C) -> (*size, C).

    Input pixels that the rectangle's edge cuts count in part. This is TensorFlow's ResizeMethod.AREA.

    >>> resize_area(np.arange(6.0).reshape(1, 6, 1), (1, 4)).ravel()
    array([0.33333333, 1.66666667, 3.33333333, 4.66666667])
    """
    return _average(_average(image, 0, size[0]), 1, size[1])


def _average(image: npt.NDArray[Any], axis: int, count: int) -> npt.NDArray[Any]:
    length = image.shape[axis]
    # float32 like TensorFlow's: with exact edges the pixels differ by 3e-5, which is enough to change a few
    # proposals.
    scale = np.float32(length / count)
    edges = np.arange(count + 1, dtype=np.float32) * scale
    start, stop = edges[:-1], edges[1:]
    first = np.floor(start).astype(np.intp)
    total = np.zeros([count if a == axis else n for a, n in enumerate(image.shape)], image.dtype)
    # One pass per input pixel that a rectangle can touch: memory stays at the size of the output.
    for tap in range(int((np.ceil(stop) - first).max())):
        pixel = first + tap
        covered = np.clip(np.minimum(stop, pixel + 1) - np.maximum(start, pixel), 0, None)
        weight = (covered / scale).astype(image.dtype).reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
        total += weight * image.take(np.minimum(pixel, length - 1), axis)
    return total


def crop(image: Image, boxes: Boxes, size: int) -> Image:
    """Cut boxes out of an image, resized bilinearly: (H,W,C), (n, >=4) x1, y1, x2, y2 -> (n, size, size, C).

    Corner pixels sample the box's corners, and what lies outside the image is 0, the middle grey of
    `normalize`. As in the mtcnn package a box's coordinate v counts as v * (length - 1) / length, which is
    what becomes of it on its way through TensorFlow's crop_and_resize.

    >>> crop(np.arange(16, dtype=np.float32).reshape(4, 4, 1), np.array([[0.0, 0.0, 4.0, 4.0]]), 2).ravel()
    array([ 0.,  3., 12., 15.], dtype=float32)
    """
    height, width = image.shape[:2]
    top, bottom, fy, inside_y = _samples(boxes[:, 1], boxes[:, 3], height, size)
    left, right, fx, inside_x = _samples(boxes[:, 0], boxes[:, 2], width, size)
    fx, fy = fx[:, None, :, None], fy[:, :, None, None]

    def row(y: npt.NDArray[np.intp]) -> Image:
        a, b = image[y[:, :, None], left[:, None, :]], image[y[:, :, None], right[:, None, :]]
        return a + (b - a) * fx

    above, below = row(top), row(bottom)
    inside = inside_y[:, :, None, None] & inside_x[:, None, :, None]
    return np.where(inside, above + (below - above) * fy, np.float32(0))


def _samples(
    low: npt.NDArray[np.float64], high: npt.NDArray[np.float64], length: int, size: int
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], Image, npt.NDArray[np.bool_]]:
    """Per sample: the pixel before, the pixel after, how far between them, and whether it is inside."""
    # TensorFlow computes these in float32; a float64 grid moves a sample across a border here and there.
    last = np.float32(length - 1)
    begin, end = (low / length).astype(np.float32), (high / length).astype(np.float32)
    step = (end - begin) * last / np.float32(size - 1)
    at = (begin * last)[:, None] + np.arange(size, dtype=np.float32) * step[:, None]
    inside = (at >= 0) & (at <= last)
    at = np.clip(at, 0, last)
    before = np.floor(at)
    return before.astype(np.intp), np.ceil(at).astype(np.intp), at - before, inside
