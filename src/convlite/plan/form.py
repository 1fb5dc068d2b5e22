"""THE choice: which form computes a call.

A form is a way through the kernels, with a layout of the weights and a record of its own: what means
something for it and for no other. All that the choice depends on is an argument of `plan_for`: ops asks it,
`explain` prints its answer, tests compare it. No result depends on it, but for Winograd's form, which
precision="fast" allows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..geometry import Geometry, conv_axis, transpose_axis
from . import costs
from .depthwise import depthwise_lines, depthwise_tiles
from .direct import gathered, strided
from .few_rows import few_rows
from .lanewise import lanewise, wins
from .merged_phases import merged_phases
from .pixel_vectors import pixel_vectors
from .problem import Problem, Weights, channels_of, problem_of
from .record import Plan
from .tall_skinny import tall_skinny
from .winograd import winograd

# Each form's plan of a call, or None where it does not serve it.
FORMS: dict[str, Callable[[Problem], Plan | None]] = {
    "winograd": winograd,
    "few_rows": few_rows,
    "lanewise": lanewise,
    "depthwise_lines": depthwise_lines,
    "depthwise_tiles": depthwise_tiles,
    "strided": strided,
    "gathered": gathered,
    "merged_phases": merged_phases,
    "pixel_vectors": pixel_vectors,
    "tall_skinny": tall_skinny,
}
# Where these serve, they win; lanewise only for kernels of which it says so.
FIRST = ("few_rows", "lanewise", "depthwise_lines", "depthwise_tiles")


def plan_for(
    geometry: Geometry, weights: Weights, dtype: np.dtype[Any], isa: str, fast: bool = False
) -> Plan:
    """The plan of a call: of the cheapest form that serves it.

    `geometry` says which outputs read which inputs; `weights` is what is known of the kernel; `fast` allows
    Winograd's form.

    >>> axis = conv_axis(56, 3, 1, 1, "same", "height")
    >>> call = Geometry(1, axis, axis, 64, 64, 1), Weights("conv2d", (3, 3, 64, 64)), np.dtype("f4"), "base"
    >>> plan_for(*call).form, plan_for(*call, fast=True).form
    ('strided', 'winograd')
    """
    problem = problem_of(geometry, weights, dtype, isa)
    for form in (*(("winograd",) if fast else ()), *FIRST, *costs.cheapest_first(problem)):
        if form == "lanewise" and not wins(weights, problem.table):
            continue
        plan = FORMS[form](problem)
        if plan is not None:
            return plan
    return gathered(problem)


def plan_as(form: str, geometry: Geometry, weights: Weights, dtype: np.dtype[Any], isa: str) -> Plan | None:
    """The plan of a call in one of FORMS; None where that form does not serve it."""
    return FORMS[form](problem_of(geometry, weights, dtype, isa))


USUAL_SIZE = 32
_MOST_STRIDE = 64  # a phase for each: beyond, the estimate would take longer than the packing


def usual_layout(weights: Weights, dtype: np.dtype[Any], isa: str) -> str:
    """The layout to pack weights in before a call is known: what a square map of USUAL_SIZE pixels needs."""
    if 0 in weights.shape or max(weights.strides) > _MOST_STRIDE:
        return "direct"
    cin, cout, groups = channels_of(weights.operation, weights.shape, weights.groups)
    if weights.transposed:
        rows, columns = (
            transpose_axis(USUAL_SIZE, weights.size[a], weights.strides[a], weights.dilations[a], "same", "")
            for a in (0, 1)
        )
    else:
        rows, columns = (conv_axis(USUAL_SIZE, size, 1, 1, "same", "") for size in weights.size)
    return plan_for(Geometry(1, rows, columns, cin, cout, groups), weights, dtype, isa).layout
