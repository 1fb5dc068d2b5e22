"""Merged phases: in NHWC the outputs of a transposed convolution's column phases lie side by side, so that
phases with the same taps are one phase with stride*Cout channels."""

from __future__ import annotations

from typing import ClassVar

from ..geometry import Axis, Geometry, Phase
from .choice import form, merged_phases_costs
from .direct import Strided, strided_blocks
from .problem import Problem


class MergedPhases(Strided):
    """Strided tiles over `loops`: the operation with its column phases side by side."""

    lead: int  # numbers of the first pixel that lie before its output line
    form: ClassVar[str] = "merged_phases"

    @property
    def layout(self) -> str:
        """The layout of this form alone."""
        return self.form


@form
def merged_phases(problem: Problem) -> MergedPhases | None:
    """The plan, where the form serves."""
    weights = problem.weights
    stride, width = weights.strides[1], weights.size[1]
    serves = weights.transposed and stride > 1 and weights.dilations[1] == 1 and width % stride == 0
    if problem.empty or problem.geometry.groups != 1 or not serves:
        return None
    loops, lead = merged(problem.geometry)
    chosen = strided_blocks(problem, loops, cuttable=False)
    if chosen is None:
        return None
    return MergedPhases(**problem.shared(merged_phases_costs(problem)), **chosen, lead=lead)


def merged(geometry: Geometry) -> tuple[Geometry, int]:
    """A transposed convolution with its column phases side by side, as one phase of stride*Cout channels;
    and how many numbers of the first pixel lie before the output line.

    With u = output column + before, all phases u % stride have the same taps at the input column u // stride.
    """
    columns = geometry.columns
    stride, before, outputs = columns.phases[0].step, columns.pads[0], columns.out_size
    first = before // stride
    count = (outputs - 1 + before) // stride - first + 1
    offsets = tuple(first - tap for tap in range(columns.kernel // stride))
    axis = Axis(columns.in_size, count, len(offsets), columns.pads, (Phase(0, 1, count, 1, offsets, 0),))
    return geometry._replace(columns=axis, cout=stride * geometry.cout), before % stride * geometry.cout
