"""ncnn as it comes: 3x3 convolutions by Winograd's form."""

from __future__ import annotations

from typing import Any

from ..shape import Operands
from . import Call, ncnn_direct
from .ncnn_direct import PACKAGE, convert, start

__all__ = ["PACKAGE", "convert", "load", "prepare", "start"]


def prepare(operands: Operands) -> dict[str, Call]:
    """The net of ncnn_direct with Winograd's form allowed."""
    return ncnn_direct.prepare(operands, winograd=True)


def load(path: str, inputs: dict[str, Any]) -> Call:
    """A network as `convert` left it, Winograd's form allowed."""
    return ncnn_direct.load(path, inputs, winograd=True)
