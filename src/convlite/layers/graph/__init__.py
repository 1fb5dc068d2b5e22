"""Conversion of layers to the nodes of a network: rules for each layer, and the emitter that applies them.

`rules` has the table; `weighted`, `windows`, `numbers`, `places` and `merges` fill it; `emission` applies it
to a model.
"""

from . import merges as _merges
from . import numbers as _numbers
from . import places as _places
from . import weighted as _weighted
from . import windows as _windows
from .emission import graph_of
from .rules import RULES, rule_of

__all__ = ["FAMILIES", "RULES", "graph_of", "rule_of"]

FAMILIES = (_merges, _numbers, _places, _weighted, _windows)
