"""Images in other sizes."""

from __future__ import annotations

from ...onnx.tensors import Refused
from ..operation import Operation, operator

__all__: list[str] = []


@operator("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR")
def _resize(op: Operation) -> str:
    """Nearest with half_pixel_centers is floor((i + 0.5) * scale): half-pixel places, halves rounded up."""
    linear = op.name == "RESIZE_BILINEAR"
    table = "ResizeBilinearOptions" if linear else "ResizeNearestNeighborOptions"
    corners, half = op.flag(table, "AlignCorners"), op.flag(table, "HalfPixelCenters")
    if corners and half:
        raise Refused("align_corners and half_pixel_centers exclude each other")
    return op.emit(
        "resize", op.required(0), "", "", op.wide(op.required(1)), axes=(1, 2),
        mode="linear" if linear else "nearest", antialias=False, cubic_a=-0.75, exclude_outside=False,
        coordinates="align_corners" if corners else "half_pixel" if half else "asymmetric",
        nearest_mode="round_prefer_ceil" if corners or half else "floor", extrapolation_value=0.0,
        keep_aspect_ratio_policy="stretch",
    )  # fmt: skip
