"""ncnn as it comes: 3x3 convolutions by Winograd's form."""

from __future__ import annotations

from ..shape import Operands
from . import Call, ncnn_direct
from .ncnn_direct import PACKAGE, start

__all__ = ["PACKAGE", "prepare", "start"]


def prepare(operands: Operands) -> dict[str, Call]:
    """The net of ncnn_direct with Winograd's form allowed."""
    return ncnn_direct.prepare(operands, winograd=True)
