"""How a call is computed: geometry + facts about the weights + dtype + instruction set -> a frozen record.

    problem.py    what is known of a call: its geometry, its weights, the instruction set's table
    choice.py     THE choice: plan_for(...) asks the forms, the cheapest first; and what each costs, in
                  nanoseconds: every constant that was fitted to a machine
    record.py     what the plans of all forms tell

A file for each form, with its record, the rule where it serves, and its own constants:

    direct.py         strided and gathered tiles: vectors along output channels
    merged_phases.py  strided tiles over a transposed convolution's column phases side by side
    depthwise.py      vectors along the groups: lines and tiles
    lanewise.py       vectors along the outputs of all groups: depthwise of any size, few channels
    pixel_vectors.py  vectors along the pixels of a row: few output channels
    tall_skinny.py    the same where each output reads one pixel
    few_rows.py       a matrix product with a kernel that is used once
    winograd.py       fewer products, where precision="fast" allows it; along.py: what it does along an axis
"""

from . import depthwise, direct, few_rows, lanewise, merged_phases, pixel_vectors, tall_skinny  # noqa: F401 - FORMS
from .along import tiles_of, weights_of
from .choice import FORMS, kind_of, plan_as, plan_for, planned, usual_layout
from .problem import Weights
from .record import Plan
from .winograd import periods_for, read_layout, tile_for

__all__ = [
    "FORMS", "Plan", "Weights", "kind_of", "periods_for", "plan_as", "plan_for", "planned", "read_layout",
    "tile_for", "tiles_of", "usual_layout", "weights_of",
]  # fmt: skip
