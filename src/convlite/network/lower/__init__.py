"""Which step computes a node: a table kind -> rule, in families.

A rule looks at a node and what is known of its values, and gives a Lowered, or None where it has nothing
better than NumPy; then `generic` takes the kind's own NumPy function. Importing this package fills the table.
"""

from __future__ import annotations

from . import control, convolution, elementwise, recurrent, shapes, windows
from .generic import lower_node
from .table import RULES

__all__ = ["RULES", "control", "convolution", "elementwise", "lower_node", "recurrent", "shapes", "windows"]
