"""convlite under precision("fast"): Winograd's form where the plan chooses it."""

from __future__ import annotations

import convlite as cl

from . import Unsupported, ours
from .ours import PACKAGE, load, prepare

__all__ = ["PACKAGE", "load", "prepare", "start"]


def start(threads: int) -> str:
    """Make "fast" the process's precision."""
    if not hasattr(cl, "set_precision"):
        raise Unsupported("this convlite has no precision()")
    cl.set_precision("fast")
    return ours.start(threads)
