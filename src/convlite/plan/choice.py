"""THE choice: which form computes a call, and the costs that decide it.

A form is one way through the kernels, with its own layout of the weights and its own record. Everything that
the choice depends on is an argument of `plan_for`: ops calls it, `explain` prints its answer, tests compare
it. No result depends on the choice, except that of Winograd's form, which precision="fast" allows.

The cost of each form is in nanoseconds on one thread. These numbers decide two things that do not change any
result: which of several forms computes a call, and whether it is worth waking threads. The tile of Winograd's
form changes the result, so the rule for it is in winograd.py and does not depend on the machine.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np

from .. import _kernels
from ..geometry import Geometry, channels_of, conv_axis, geometry_of, transpose_axis
from .problem import Problem, Weights
from .record import Plan

Serves = TypeVar("Serves", bound=Callable[[Problem], Plan | None])

# ---- the choice --------------------------------------------------------------------------------------------

# By name: the function that plans a call in each form, or returns None. `form` adds them.
FORMS: dict[str, Callable[[Problem], Plan | None]] = {}
# These win wherever they serve; a form with a row in WINS only for kernels that this row accepts.
FIRST = ("few_rows", "lanewise", "depthwise_lines", "depthwise_tiles")
WINS: dict[str, Callable[[Weights, _kernels._Table], bool]] = {}


def form(serves: Serves) -> Serves:
    """Register a form under its function's name."""
    FORMS[serves.__name__] = serves
    return serves


@lru_cache(maxsize=512)
def planned(isa: str, dtype: np.dtype[Any], fast: bool, packed: bool, finite: bool, *call: Any) -> Plan:
    """The plan for the arguments of a call: `call` are those of geometry_of, `packed` and `finite` those of
    Weights. Called once for each shape."""
    operation, _, kernel, strides, _, dilations, groups = call[:7]
    weights = Weights(operation, kernel, strides, dilations, groups, packed, finite)
    return plan_for(geometry_of(*call), weights, dtype, isa, fast)


def plan_for(
    geometry: Geometry, weights: Weights, dtype: np.dtype[Any], isa: str, fast: bool = False
) -> Plan:
    """The plan of a call in the cheapest form that serves it.

    `geometry` says which outputs read which inputs; `weights` has the facts about the kernel; `fast` allows
    Winograd's form.

    >>> axis = conv_axis(56, 3, 1, 1, "same", "height")
    >>> call = Geometry(1, axis, axis, 64, 64, 1), Weights("conv2d", (3, 3, 64, 64)), np.dtype("f4"), "base"
    >>> plan_for(*call).form, plan_for(*call, fast=True).form
    ('strided', 'winograd')
    """
    problem = problem_of(geometry, weights, dtype, isa)
    for name in (*(("winograd",) if fast else ()), *FIRST, *cheapest_first(problem)):
        if name not in WINS or WINS[name](weights, problem.table):
            plan = FORMS[name](problem)
            if plan is not None:
                return plan
    raise ValueError("internal error: no form serves")  # gathered tiles serve every call


def problem_of(geometry: Geometry, weights: Weights, dtype: np.dtype[Any], isa: str) -> Problem:
    """A call on arrays of this dtype, with this instruction set."""
    kind = kind_of(dtype)
    return Problem(geometry, weights, isa, kind, _kernels.describe(isa, kind))


def kind_of(dtype: np.dtype[Any]) -> str:
    """The element kind of arrays of this dtype, as the core names it: "f32", "f64"."""
    return f"{dtype.kind}{8 * dtype.itemsize}"


def plan_as(name: str, geometry: Geometry, weights: Weights, dtype: np.dtype[Any], isa: str) -> Plan | None:
    """The plan of a call in one of FORMS; None where that form does not serve it."""
    return FORMS[name](problem_of(geometry, weights, dtype, isa))


USUAL_SIZE = 32
_MOST_STRIDE = 64  # there is a phase for each; with more, the estimate would take longer than the packing


def usual_layout(weights: Weights, dtype: np.dtype[Any], isa: str) -> str:
    """The layout for packing before a call is known: that for a square map of USUAL_SIZE pixels."""
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


# ---- the machine -------------------------------------------------------------------------------------------

# Fitted on 28 November 2026 to one thread of an Intel Xeon (Emerald Rapids, 2 shared cores), GCC, 104 calls
# in float32 and float64: estimates are 0.9 to 1.2 times what strided, gathered and depthwise forms take with
# AVX-512 and AVX2 (geometric mean of each; 0.6 to 1.6 times nearly all calls). NEON was not measured.

# One multiply-add of a whole vector, in tiles of the direct form: VECTOR_NANOSECONDS of each header in
# kernels/isa/simd/.
CALL = 400.0  # from the core's entry to its return
# Weights beyond a core's own cache come from the next one at each call, the number is nanoseconds per byte: a
# dense layer 1x1280x1000 takes 220 to 250 us, five times 1x512x512 70.
OWN_CACHE = 1024 * 1024
FAR_BYTE = 0.045

# ---- forms that compete: multiply-adds of whole vectors ----------------------------------------------------

# For each pixel: of the input for a transposed convolution, of the output for a convolution. Fitted to 100
# shapes on one core of a Zen 4 with AVX-512: within 15% of the times, and wrong only where two forms lie
# closer than that.
LANE_PIXEL = 15  # an output line's pixel, of vectors along channels
TRANSPOSE = 0.8  # an input element
TRANSPOSE_FEW = 12  # an input pixel of few channels
INTERLEAVE = 0.9  # an output element
ROW = 300  # an input row of pixel vectors
GATHERED_PIXELS = 4  # a tile with fewer pixels waits for its own sums

# ---- forms that win where they serve -----------------------------------------------------------------------

LINE_VECTOR, LINE_TAP, LINE_INPUT = 2.0, 0.1, 2.6  # an output vector, each tap of it, an input vector
WIDE_TAP = 1.25  # in multiply-adds: 0.8 (31x31 on 28x28) to 1.6 (27x27 on 7x7), with AVX2 half as much
TILE_VECTOR, TILE_TAP = 12.0, 0.95
# Lanewise: an output vector, a tap of it, a copied vector. On the same machine 0.5 to 1.3 times what 24 calls
# took with AVX-512 and AVX2.
LANEWISE_VECTOR, LANEWISE_TAP, LANEWISE_COPY = 4.5, 0.35, 0.8
# Pixels side by side: a vector of them, and each input channel.
TOGETHER_VECTOR, TOGETHER_TAP = 6.0, 2.0
ROW_VECTOR, ROW_PRODUCT = 0.9, 0.3  # few rows: a vector of weights, and its product with each row
WINOGRAD = 1.6  # the cost of what winograd.py counts as one product


def vector(problem: Problem) -> float:
    """One multiply-add of a vector."""
    return problem.table["vector_nanoseconds"]


def cheapest_first(problem: Problem) -> list[str]:
    """The names of the forms that compete, the cheapest first, as far as the kernel and the line go."""
    weights, tiles = problem.weights, strided_costs(problem)
    found = {"strided": tiles, "gathered": tiles}
    if problem.empty or problem.geometry.groups != 1:
        return list(found)
    if weights.transposed and weights.strides[1] > 1 and weights.size[1] % weights.strides[1] == 0:
        found["merged_phases"] = merged_phases_costs(problem)
    if weights.general:
        cout, table = problem.geometry.cout, problem.table
        if cout < 32 or cout % (2 * table["lanes"]):  # as many products in whole vectors, and more beside
            found["pixel_vectors"] = pixel_vectors_costs(problem)
        if weights.size[0] * weights.size[1] * cout <= table["skinny_sums"]:
            found["tall_skinny"] = tall_skinny_costs(problem)
    return sorted(found, key=found.__getitem__)


def strided_costs(problem: Problem, least_pixels: int = 0) -> float:
    """Strided tiles; of as many pixels as there are, or as gathered ones wait for."""
    geometry, (height, width) = problem.geometry, problem.weights.size
    groups, (rows, columns) = max(geometry.groups, 1), _outputs(problem)
    vectors = _vectors(geometry.cout // groups, problem.table["lanes"])
    work = height * width * geometry.cin * vectors + LANE_PIXEL * rows * columns * groups
    return _whole(problem, work, least_pixels)


def gathered_costs(problem: Problem) -> float:
    """Gathered tiles."""
    return strided_costs(problem, GATHERED_PIXELS)


def merged_phases_costs(problem: Problem) -> float:
    """Strided tiles over column phases side by side."""
    geometry, (height, width) = problem.geometry, problem.weights.size
    stride, line = problem.weights.strides[1], _line(problem)
    taps, ends = width // stride, 1 if width == stride else 1 + 1 / line
    vectors = _vectors(stride * geometry.cout, problem.table["lanes"])
    return _whole(problem, ends * height * taps * geometry.cin * vectors + LANE_PIXEL * _outputs(problem)[0])


def pixel_vectors_costs(problem: Problem) -> float:
    """Vectors of pixels, which are transposed first."""
    geometry, (height, width), lanes = problem.geometry, problem.weights.size, problem.table["lanes"]
    strides, outputs, cin, cout = problem.weights.strides, _outputs(problem), geometry.cin, geometry.cout
    line = _line(problem)
    empty = -(-line // lanes) * lanes / line  # a row's last vector
    sums = height * width * cin * cout / lanes * (2 if height * cout == 1 else 1)
    reload = 2 * height * outputs[1] * cout / lanes
    inputs = 1 if outputs != (1, 1) else strides[0] * strides[1]
    transpose = 2.0 if cin == 1 == inputs else max(TRANSPOSE * cin, TRANSPOSE_FEW)
    outer = transpose * inputs + INTERLEAVE * outputs[0] * outputs[1] * cout + ROW / line
    return _whole(problem, empty * (sums + reload) + outer)


def tall_skinny_costs(problem: Problem) -> float:
    """Vectors of pixels that stay in registers."""
    geometry, (height, width), lanes = problem.geometry, problem.weights.size, problem.table["lanes"]
    if together := pixels_together(problem):
        return _whole(problem, (TOGETHER_VECTOR + TOGETHER_TAP * geometry.cin) / together)
    sums = height * width * geometry.cout
    element, product = (4.0, 0.7) if lanes >= 8 else (2.0, 1.0)  # where lanes of them are one
    return _whole(problem, geometry.cin * (element + product * sums) / lanes + INTERLEAVE * sums)


def depthwise_lines_costs(problem: Problem, wide: bool) -> float:
    """Lines of vectors along channels: they wait for memory more often than for sums; wide ones do not, and
    leave out taps outside the image."""
    geometry, (height, width) = problem.geometry, problem.weights.size
    rows, columns = geometry.rows.in_size, geometry.columns.in_size
    inputs, tap = geometry.images * rows * columns, LINE_TAP
    if wide:
        height, width, tap = min(height, rows), min(width, columns), WIDE_TAP * vector(problem)
    each = LINE_VECTOR + tap * height * width
    return CALL + _channel_vectors(problem) * (_pixels(problem) * each + LINE_INPUT * inputs)


def depthwise_tiles_costs(problem: Problem) -> float:
    """Tiles of vectors along channels."""
    size, multiplier = problem.weights.size, problem.geometry.cout // problem.geometry.cin
    each = (TILE_VECTOR + TILE_TAP * size[0] * size[1]) * multiplier
    return CALL + _channel_vectors(problem) * _out_pixels(problem) * each


def lanewise_costs(problem: Problem) -> float:
    """Products lane by lane, over copied rows."""
    geometry, size, lanes = problem.geometry, problem.weights.size, problem.table["lanes"]
    channels = geometry.cin // geometry.groups
    taps, numbers = size[0] * size[1] * channels, _out_pixels(problem) * geometry.cout
    if problem.weights.transposed:  # each output uses only a part of the taps
        taps //= problem.weights.strides[0] * problem.weights.strides[1]
    copies = channels * geometry.cout * geometry.images * geometry.rows.in_size * geometry.columns.in_size
    each = LANEWISE_VECTOR + LANEWISE_TAP * taps
    return CALL + (numbers * each + copies * LANEWISE_COPY) / lanes


def few_rows_costs(problem: Problem, rows: int) -> float:
    """Rows times an unpacked kernel, one matrix for each tap."""
    geometry, (height, width) = problem.geometry, problem.weights.size
    vectors = height * width * geometry.cin * -(-geometry.cout // problem.table["lanes"])
    return CALL + vectors * (ROW_VECTOR + ROW_PRODUCT * rows) + _far(problem)


def winograd_costs(problem: Problem, products: float) -> float:
    """Winograd's form; its transforms count as products."""
    return CALL + WINOGRAD * products / problem.table["lanes"] * vector(problem)


def pixels_together(problem: Problem) -> int:
    """How many pixels tall_skinny puts side by side in a vector for a 1x1 kernel; 0 if it does not."""
    geometry, table = problem.geometry, problem.table
    if problem.empty or not table["moves"] or problem.weights.size != (1, 1) or problem.weights.transposed:
        return 0
    together = table["lanes"] // max(geometry.cin, geometry.cout)
    return int(together) if together >= 2 else 0


# ---- what they share ---------------------------------------------------------------------------------------


def _whole(problem: Problem, work: float, least_pixels: int = 0) -> float:
    """The call, from multiply-adds of vectors for each pixel."""
    pixels = max(_pixels(problem), least_pixels)
    return CALL + work * pixels * vector(problem) + _far(problem)


def _far(problem: Problem) -> float:
    size, geometry = problem.weights.size, problem.geometry
    weights = size[0] * size[1] * geometry.cin // max(geometry.groups, 1) * geometry.cout * problem.bytes
    return FAR_BYTE * max(weights - OWN_CACHE, 0)


def _outputs(problem: Problem) -> tuple[int, int]:
    """Lines and columns of outputs for each pixel that the cost counts."""
    return problem.weights.strides if problem.weights.transposed else (1, 1)


def _pixels(problem: Problem) -> int:
    """Counted pixels: of the input for a transposed convolution, of the output for a convolution."""
    geometry = problem.geometry
    if not problem.weights.transposed:
        return _out_pixels(problem)
    return geometry.images * geometry.rows.in_size * geometry.columns.in_size


def _out_pixels(problem: Problem) -> int:
    images, height, width, _ = problem.geometry.out_shape
    return images * height * width


def _line(problem: Problem) -> int:
    """How many pixels a line of a phase has."""
    return problem.geometry.columns.phases[0].count


def _channel_vectors(problem: Problem) -> int:
    return -(-problem.geometry.cin // problem.table["lanes"])


def _vectors(channels: int, lanes: int) -> float:
    """The cost of tiles over so many channels: two vectors wide, and one for the rest, which is slower.

    14x1 sums of 16 lanes are nearly as fast as 14x2 (3x3 on 16 channels of 200x200 108 GFLOP/s, 86 with pixel
    vectors); 6x1 sums of 8 lanes wait for one another.
    """
    vectors = -(-channels // lanes)
    if vectors == 1:
        return 1.05 if lanes >= 16 else 1.3
    return vectors + 0.25 * (vectors % 2)
