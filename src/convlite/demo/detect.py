"""From an image to faces: three networks, each on the boxes that the one before left over."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from .boxes import Boxes, apply_offsets, propose, square, suppress
from .clock import Clock
from .networks import Classifier, Networks, Outputs
from .pyramid import Image, crop, levels, normalize, scales

__all__ = ["LANDMARKS", "Comparison", "Detection", "Face", "HeatMap", "Progress", "detect"]

LANDMARKS = ("left eye", "right eye", "nose", "mouth left", "mouth right")

Progress = Callable[[str, int, int], Any]  # stage, steps done, steps in all

_BATCH = 256  # patches at a time: memory stays bounded however many boxes P-Net proposes
_HEAD_TOLERANCE = 1e-5  # of a score in 0..1: the heads may add their 1152 float32 terms in another order


@dataclasses.dataclass(frozen=True)
class Face:
    """One face, in pixels of the image: `box` is x1, y1, x2, y2; `landmarks` maps each name to x, y."""

    box: tuple[float, float, float, float]
    score: float
    landmarks: dict[str, tuple[float, float]]


@dataclasses.dataclass(frozen=True)
class HeatMap:
    """P-Net's score (h,w) for the windows of one level: 12/scale pixels wide, 2/scale pixels apart."""

    scale: float
    scores: npt.NDArray[np.float32]


@dataclasses.dataclass(frozen=True)
class Comparison:
    """A dense head against its convolutional form: the largest difference in `count` scores."""

    name: str
    largest: float
    count: int


@dataclasses.dataclass(frozen=True)
class Detection:
    """What `detect` found; `boxes` has rows x1, y1, x2, y2, score as each network left them."""

    faces: list[Face]
    heat_maps: list[HeatMap]
    boxes: dict[str, Boxes]
    comparisons: list[Comparison]
    milliseconds: dict[str, float]


def detect(
    image: npt.NDArray[np.uint8],
    networks: Networks,
    *,
    min_face: float = 20.0,
    thresholds: tuple[float, float, float] = (0.6, 0.7, 0.8),
    progress: Progress = lambda stage, done, total: None,
) -> Detection:
    """Find the faces in a photograph, (H,W,3) uint8 RGB.

    `min_face` is the smallest face in pixels, `thresholds` what a box must score in P-Net, R-Net and O-Net;
    the defaults are the mtcnn package's. `progress(stage, done, total)` is called after each pyramid level
    and batch of patches.

    Raises ArithmeticError if a dense head and its convolutional form disagree.
    """
    clock = Clock()
    with clock("pyramid"):
        pixels = normalize(image)

    scale_list = scales(image.shape[0], image.shape[1], min_face)
    heat_maps, proposals = _slide(pixels, networks, scale_list, thresholds[0], clock, progress)
    with clock("boxes"):
        boxes = square(suppress(np.concatenate([np.empty((0, 5)), *proposals]), 0.7))
    after = {"P-Net": boxes}

    out, rnet = _classify(networks.rnet, pixels, boxes, clock, progress)
    with clock("boxes"):
        boxes = _rescored(boxes, out)[out.score > thresholds[1]]
        boxes = square(suppress(boxes, 0.7))
    after["R-Net"] = boxes

    out, onet = _classify(networks.onet, pixels, boxes, clock, progress)
    with clock("boxes"):
        rows = np.column_stack([_rescored(boxes, out), _landmarks(boxes, out)])[out.score > thresholds[2]]
        rows = suppress(rows, 0.7, of_smaller=True)
    after["O-Net"] = rows[:, :5]

    faces = [_face(row, image.shape) for row in rows]
    return Detection(faces, heat_maps, after, [rnet, onet], clock.milliseconds)


def _slide(
    pixels: Image,
    networks: Networks,
    scale_list: list[float],
    threshold: float,
    clock: Clock,
    progress: Progress,
) -> tuple[list[HeatMap], list[Boxes]]:
    """P-Net over every level of the pyramid: one call answers for all windows of a level."""
    heat_maps, proposals = [], []
    pyramid = levels(pixels, scale_list)
    for number, scale in enumerate(scale_list, start=1):
        with clock("pyramid"):
            level = next(pyramid)
        with clock("P-Net"):
            out = Outputs.split(networks.pnet(level[np.newaxis]))
        with clock("boxes"):
            proposals.append(suppress(propose(out.score[0], out.offsets[0], threshold, scale), 0.5))
        heat_maps.append(HeatMap(scale, out.score[0]))
        progress("P-Net", number, len(scale_list))
    return heat_maps, proposals


def _classify(
    network: Classifier, pixels: Image, boxes: Boxes, clock: Clock, progress: Progress
) -> tuple[Outputs, Comparison]:
    """R-Net or O-Net on the patches in the boxes, with both forms of its head."""
    dense, convolutional = [], []
    steps = max(1, math.ceil(len(boxes) / _BATCH))  # no box: one batch of none, and all shapes still hold
    for step in range(steps):
        with clock("patches"):
            patches = crop(pixels, boxes[step * _BATCH : (step + 1) * _BATCH], network.size)
        with clock(network.name):
            dense.append(network.dense(patches))
        with clock(f"{network.name}, convolutional head"):
            convolutional.append(network.convolutional(patches)[:, 0, 0])
        progress(network.name, step + 1, steps)
    out = Outputs.split(np.concatenate(dense))
    difference = np.abs(out.score - Outputs.split(np.concatenate(convolutional)).score)
    largest = float(difference.max(initial=0.0))
    if not largest <= _HEAD_TOLERANCE:
        raise ArithmeticError(
            f"{network.name}: the scores of the dense and of the convolutional head differ by {largest:.3g}, "
            f"more than {_HEAD_TOLERANCE:g}; please report this with the output of `convlite info`"
        )
    return out, Comparison(network.name, largest, len(boxes))


def _rescored(boxes: Boxes, out: Outputs) -> Boxes:
    return np.column_stack([apply_offsets(boxes[:, :4], out.offsets), out.score])


def _landmarks(boxes: Boxes, out: Outputs) -> npt.NDArray[np.float64]:
    """(n,10): five x, then five y, in pixels; O-Net gives them in parts of the box it was shown."""
    size = boxes[:, 2:4] - boxes[:, :2] + 1
    return np.repeat(size, 5, axis=1) * out.landmarks + np.repeat(boxes[:, :2], 5, axis=1) - 1


def _face(row: npt.NDArray[np.float64], shape: tuple[int, ...]) -> Face:
    last = np.array([shape[1] - 1, shape[0] - 1] * 2)
    x1, y1, x2, y2 = np.clip(row[:4], 0, last).tolist()
    points = zip(row[5:10].tolist(), row[10:15].tolist(), strict=True)
    return Face((x1, y1, x2, y2), float(row[4]), dict(zip(LANDMARKS, points, strict=True)))
