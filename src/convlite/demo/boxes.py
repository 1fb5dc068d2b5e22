"""Boxes between the networks: rows x1, y1, x2, y2, score in float64; the rules are the mtcnn package's."""

import numpy as np
import numpy.typing as npt

from .pyramid import WINDOW

__all__ = ["Boxes", "apply_offsets", "by_score", "propose", "square", "suppress"]

Boxes = npt.NDArray[np.float64]

_STRIDE = 2  # its one pooling halves the image, so windows lie 2 pixels apart


def propose(
    scores: npt.NDArray[np.float32], offsets: npt.NDArray[np.float32], threshold: float, scale: float
) -> Boxes:
    """Boxes of the P-Net windows that score above `threshold`: (h,w), (h,w,4) -> (n,5), best first.

    Output (i, j) of P-Net judged the 12 x 12 window whose corner is (2i, 2j). Its box runs from the window's
    second pixel to its end, as in the mtcnn package, which keeps the 1-based corners of the original; the
    offsets are in parts of these 11 pixels. The result is in pixels of the whole image.

    >>> propose(np.float32([[0.1, 0.9]]), np.zeros((1, 2, 4), np.float32), 0.6, 0.5).round(1)
    array([[ 6. ,  2. , 28. , 24. ,  0.9]])
    """
    row, column = np.nonzero(scores > threshold)
    corner = np.stack([column, row, column, row], axis=1) * _STRIDE
    box = corner + [1, 1, WINDOW, WINDOW] + offsets[row, column].astype(np.float64) * (WINDOW - 1)
    return by_score(np.column_stack([box / scale, scores[row, column]]))


def by_score(boxes: Boxes) -> Boxes:
    """The rows sorted by score (column 4), best first; equal scores keep their order."""
    return boxes[np.argsort(-boxes[:, 4], kind="stable")]


def suppress(boxes: Boxes, threshold: float, *, of_smaller: bool = False) -> Boxes:
    """Drop each box that overlaps a better one by more than `threshold`: (n, >=5) -> (m, same), best first.

    Overlap is intersection over union, or over the smaller box (`of_smaller`). A dropped box still drops
    others: that is the mtcnn package's rule; in the greedy one of the textbooks only survivors count.

    >>> rows = np.array([[0, 0, 9, 9, 0.7], [0, 0, 10, 9, 0.8], [40, 40, 50, 50, 0.9]])
    >>> suppress(rows, 0.5)[:, 4]
    array([0.9, 0.8])
    """
    boxes = by_score(boxes)
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    keep = np.ones(len(boxes), bool)
    # Row by row: a large photograph has thousands of proposals, too many for a matrix of pairs.
    for i in range(1, len(boxes)):
        corner = np.maximum(boxes[:i, :2], boxes[i, :2])
        opposite = np.minimum(boxes[:i, 2:4], boxes[i, 2:4])
        common = np.clip(opposite - corner, 0, None).prod(axis=1)
        whole = np.minimum(area[:i], area[i]) if of_smaller else area[:i] + area[i] - common
        keep[i] = not (common > threshold * whole).any()
    return boxes[keep]


def apply_offsets(boxes: Boxes, offsets: npt.NDArray[np.float32]) -> Boxes:
    """Move the four sides by a network's offsets, given in widths and heights (+1, as it was trained).

    >>> apply_offsets(np.array([[0.0, 0.0, 9.0, 19.0, 1.0]]), np.float32([[0.5, 0.0, 0.0, -0.5]]))
    array([[5., 0., 9., 9., 1.]])
    """
    size = boxes[:, 2:4] - boxes[:, :2] + 1
    return np.column_stack([boxes[:, :4] + offsets * np.tile(size, 2), boxes[:, 4:]])


def square(boxes: Boxes) -> Boxes:
    """Grow the shorter side around the middle until the box is square.

    >>> square(np.array([[0.0, 0.0, 4.0, 8.0, 1.0]]))
    array([[-2.,  0.,  6.,  8.,  1.]])
    """
    size = boxes[:, 2:4] - boxes[:, :2]
    side = size.max(axis=1, keepdims=True)
    corner = boxes[:, :2] + (size - side) / 2
    return np.column_stack([corner, corner + side, boxes[:, 4:]])
