"""Few rows: a matrix product of few rows, or a convolution to few pixels, with an array that is used once and
is not packed.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import ClassVar

from .. import _kernels, sums
from ..geometry import Geometry
from .choice import OWN_CACHE, few_rows_costs, form
from .direct import cuts_of, flattened
from .problem import Problem
from .record import Plan

# Up to FEW_ROWS pixels, packing a kernel costs more than the sums. Up to SOME_ROWS (two tiles with AVX-512),
# panels that tiles take from the kernel are no faster (direct.py). Up to MOST_ROWS they are slower where the
# kernel exceeds a core's own cache, since they read it in short stretches: 3x3 on 512 channels of 7x7 gains
# 90% here, 32 rows times 2048 x 1000 8%, 96 rows 3%; on 128 channels of 7x7 panels are 10% faster (Xeon, one
# thread). With 32 registers up to TALL_ROWS: 128 rows times 2048 x 2048 gain 7%, 3x3 on 512 channels of 14x14
# 5%, 256 rows 0 to 3%, which is not worth it; 512 rows lose 12% (Zen 4, one thread).
FEW_ROWS = 8
SOME_ROWS = 28
MOST_ROWS = 100
TALL_ROWS = 200
LEAST_VECTORS = 2  # of output channels, beyond FEW_ROWS


class FewRows(Plan):
    """The weights lie as [taps][Cin][Cout]."""

    loops: Geometry  # what the loops run over: `geometry`, or the same pixels in one row
    cuts: sums.Cuts
    form: ClassVar[str] = "few_rows"

    @property
    def layout(self) -> str:
        """Empty: the kernel is used unpacked."""
        return ""

    @cached_property
    def runner(self) -> _kernels.Runner:
        """The plan as C structures, built on first use."""
        return _kernels.FewRows(self)


@form
def few_rows(problem: Problem) -> FewRows | None:
    """The plan, where the form serves."""
    weights = problem.weights
    if weights.packed or not weights.outputs_last:
        return None
    loops = flattened(problem.geometry)
    pixels = loops.images * loops.rows.out_size * loops.columns.out_size
    serves = (
        loops.groups == 1
        and all(len(axis.phases) == 1 for axis in (loops.rows, loops.columns))
        and (pixels <= FEW_ROWS or _pays(problem, pixels))
    )
    if not serves:
        return None
    cuts, shared = cuts_of(loops.columns, loops.cin)[0], problem.shared(few_rows_costs(problem, pixels))
    return FewRows(**shared, loops=loops, cuts=cuts)


def _pays(problem: Problem, pixels: int) -> bool:
    """Whether this form is faster than packing, though there are more than FEW_ROWS pixels."""
    far = math.prod(problem.weights.shape) * problem.bytes > OWN_CACHE
    wide = problem.geometry.cout >= LEAST_VECTORS * problem.table["lanes"]
    most = TALL_ROWS if problem.table["mr"] >= 12 else MOST_ROWS
    return wide and pixels <= (most if far else SOME_ROWS)
