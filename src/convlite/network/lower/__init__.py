"""Which step computes a node: a table kind -> rule, in families.

A rule looks at a node and what is known of its values, and gives a Lowered, or None where it has nothing
better than NumPy; then `generic` takes the kind's own NumPy function. Importing this package fills the table.
"""

from __future__ import annotations

from . import control as _control
from . import convolution as _convolution
from . import elements as _elements
from . import elementwise as _elementwise
from . import images as _images
from . import recurrent as _recurrent
from . import reductions as _reductions
from . import shapes as _shapes
from . import windows as _windows
from .generic import lower_node
from .table import RULES

__all__ = ["FAMILIES", "RULES", "lower_node"]

FAMILIES = (
    *(_control, _convolution, _elementwise, _elements, _images),
    *(_recurrent, _reductions, _shapes, _windows),
)
