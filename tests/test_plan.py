"""Plans: what they promise about memory, when they are made, and which form they choose."""

from __future__ import annotations

import math
import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from cases import NETWORKS, SMALL, Case

import convlite as cl
from convlite import _dispatch, _kernels, _threads, ops, sums
from convlite.arguments import as_padding, as_pair
from convlite.geometry import Axis, Geometry, conv_axis, transpose_axis
from convlite.plan import FORMS, Plan, Weights, direct, kind_of, plan_as, plan_for
from convlite.plan.depthwise import fills_vectors

ALL = [pytest.param(case, id=case.name) for case in SMALL + NETWORKS]


def plan_of(case: Case, dtype: Any, isa: str) -> Plan:
    """The plan of a call of this case, made anew."""
    options = {"strides": 1, "dilations": 1, "padding": "valid", "groups": 1, **case.options}
    x = case.x if len(case.x) == 4 else (1, 1, math.prod(case.x[:-1]), case.x[-1])
    extra = options.get("output_padding")
    geometry = ops.geometry_of(
        case.operation,
        x,
        case.kernel,
        as_pair(options["strides"], "strides"),
        as_padding(options["padding"]),
        as_pair(options["dilations"], "dilations"),
        options["groups"],
        options.get("output_shape"),
        None if extra is None else as_pair(extra, "output_padding", minimum=0),
    )
    weights = Weights(
        case.operation,
        case.kernel,
        as_pair(options["strides"], "strides"),
        as_pair(options["dilations"], "dilations"),
        options["groups"],
    )
    return plan_for(geometry, weights, np.dtype(dtype), isa)


@pytest.mark.parametrize("case", ALL)
def test_what_a_task_keeps_close_is_bounded(isa: str, dtype: np.dtype, case: Case) -> None:
    made = plan_of(case, dtype, isa)
    table = _kernels.describe(isa, made.kind)
    assert made.kind == kind_of(dtype)
    if not isinstance(made, direct.Direct):
        return
    assert 1 <= made.block_tiles <= direct.MAX_BLOCK_TILES
    assert made.tile_pixels in [size for name, size in table.items() if name.endswith("mr")]
    addresses = 2 if isinstance(made, direct.Strided) else made.tile_pixels
    for cut in made.cuts:
        assert cut.taps * addresses * 8 <= direct.TABLE_BYTES
        assert cut.part <= sums.PIECE
        assert min(cut.taps, cut.row or cut.taps) * cut.channels <= sums.SECTION


def brute_force_padding(axis: Axis) -> bool:
    return any(
        not 0 <= i * p.in_step + offset < axis.in_size
        for p in axis.phases
        for i in range(p.count)
        for offset in p.offsets
    )


@pytest.mark.parametrize("pad", ["valid", "same", (0, 0), (1, 0), (0, 3), (2, 2)])
def test_plans_know_whether_padding_is_read(pad: Any) -> None:
    for n in range(6):
        for k in range(1, 5):
            for s in range(1, 4):
                axes = []
                for make in (conv_axis, transpose_axis):
                    try:
                        axes.append(make(n, k, s, 1, pad, "height"))
                    except ValueError:
                        continue
                for axis in axes:
                    assert direct.reads_outside(axis) == brute_force_padding(axis), (n, k, s, pad)


@pytest.mark.thread_unsafe(reason="counts plans")
def test_a_shape_is_planned_once() -> None:
    ops.planned.cache_clear()
    x, kernel = np.ones((1, 5, 5, 3), np.float32), np.ones((3, 3, 3, 4), np.float32)
    for _ in range(3):
        cl.conv2d(x, kernel, padding="same")
        cl.conv2d(x, kernel, padding="SAME", strides=(1, 1))
    info = ops.planned.cache_info()
    assert (info.misses, info.hits) == (1, 1)  # known calls do not ask for a plan
    cl.conv2d(x.astype(np.float64), kernel.astype(np.float64), padding="same")
    assert ops.planned.cache_info().misses == 2


def test_plans_are_bounded_in_number() -> None:
    kernel = np.ones((1, 1, 1, 1), np.float32)
    for width in range(600):
        cl.conv2d(np.ones((1, 1, width, 1), np.float32), kernel)
    info = ops.planned.cache_info()
    assert info.maxsize is not None
    assert info.currsize <= info.maxsize


def test_plans_are_frozen(isa: str) -> None:
    made = plan_of(NETWORKS[0], np.float32, isa)
    with pytest.raises(AttributeError):
        made.nanoseconds = 1  # type: ignore[misc]
    with pytest.raises(TypeError, match="has the fields"):
        type(made)(geometry=made.geometry)
    assert made == plan_of(NETWORKS[0], np.float32, isa)
    assert made != plan_of(NETWORKS[1], np.float32, isa)
    assert hash(made) == hash(plan_of(NETWORKS[0], np.float32, isa))


@pytest.mark.parametrize(
    ("groups", "cin", "cout", "lanes", "want"),
    [
        (1, 1, 64, 16, False),
        (1, 64, 64, 16, False),
        (32, 64, 64, 16, False),
        (64, 64, 64, 16, True),
        (16, 16, 32, 16, True),
        (3, 3, 48, 16, False),  # 16 outputs of each channel fill a vector; three channels do not
        (3, 3, 3, 16, True),
        (0, 0, 0, 16, False),
    ],
)
def test_depthwise_is_chosen_where_it_fills_vectors(
    groups: int, cin: int, cout: int, lanes: int, want: bool
) -> None:
    assert fills_vectors(max(groups, 1), cin, cout, lanes) == want


def test_the_compiled_core_checks_sizes_itself() -> None:
    """Plans and arrays that do not belong together are refused, and nothing is written."""
    made = plan_of(SMALL[1], np.float32, "base")
    x, kernel, _ = SMALL[1].operands(np.float32)
    out = np.full(cl.conv2d(x, kernel, **SMALL[1].options).shape, -77.25, np.float32)
    with pytest.raises(ValueError, match="internal error: x has"):
        made.runner.run(x[:, 1:], kernel, None, None, out, 0, 0.0, 0.0, True, 1)
    with pytest.raises(ValueError, match="internal error: weights has"):
        made.runner.run(x, kernel[..., :1].copy(), None, None, out, 0, 0.0, 0.0, True, 1)
    assert (out == -77.25).all()
    with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
        pickle.dumps(made.runner)


def test_instruction_sets_that_do_not_exist() -> None:
    assert _kernels.describe("avx1024", "f32") is None
    for kind in ("f32", "f64"):
        table = _kernels.describe("base", kind)
        assert set(table) >= {"lanes", "mr", "nr", "depthwise_mr", "fma"}
        assert _kernels.peak_flops("base", kind, 10) > 0
    with pytest.raises(ValueError, match="kind must be one of f32, f64; got 'f16'"):
        _kernels.describe("base", kind_of(np.dtype(np.float16)))


@pytest.mark.skipif(sys.platform == "win32", reason="needs the resource module")
@pytest.mark.parametrize("cout", [1, 5, 64])
def test_memory_does_not_grow_with_the_dilation(cout: int) -> None:
    """Only the centre tap reaches the image: no form may hold what lies between the taps."""
    tracker = """
import resource, sys, numpy as np, convlite as cl
x, kernel = np.ones((1, 8, 8, 4), np.float32), np.ones((3, 3, 4, int(sys.argv[1])), np.float32)
cl.conv2d(x, kernel, padding="same")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
assert (cl.conv2d(x, kernel, padding="same", dilations=2**28) == 4).all()
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""
    done = subprocess.run(
        [sys.executable, "-c", tracker, str(cout)], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 16  # MB


def square(
    size: int,
    cin: int,
    kernel: int,
    cout: int,
    stride: int = 1,
    dilation: int = 1,
    groups: int = 1,
    pad: str = "same",
) -> tuple[Geometry, Weights]:
    """A convolution of one square map."""
    axis = conv_axis(size, kernel, stride, dilation, pad, "")
    shape = (kernel, kernel, cin // groups, cout)
    weights = Weights("conv2d", shape, (stride, stride), (dilation, dilation), groups)
    return Geometry(1, axis, axis, cin, cout, groups), weights


# Decided by how far apart a tile's pixels lie, how many are copied for each that is read, and what they take.
@pytest.mark.parametrize(
    ("given", "spread"),
    [
        ((14, 1024, 1, 256), True),
        ((28, 1024, 1, 512, 2), True),  # copies 0.12 for one read
        ((56, 256, 1, 512, 4), True),  # 0.24
        ((56, 1024, 3, 64, 1, 6), True),  # 0.31
        ((56, 1024, 3, 64, 1, 12), False),  # 0.45
        ((56, 512, 1, 64, 4), False),  # 1.9
        ((14, 512, 1, 256), False),  # 2048 bytes apart: two sets
        ((14, 1000, 1, 256), False),
        ((56, 16384, 3, 512, 1, 4), False),  # 1.4 MB
        ((56, 8192, 3, 512, 1, 4), True),  # 0.7 MB
    ],
)
def test_pixels_of_one_set_are_copied_where_that_pays(given: tuple[int, ...], spread: bool) -> None:
    if "avx512" not in _dispatch.available_isas():
        pytest.skip("how many pixels a tile has depends on the instruction set")
    made = plan_for(*square(*given, pad="valid"), np.dtype("f4"), "avx512")
    assert isinstance(made, direct.Strided)
    assert made.spread == spread


@pytest.mark.parametrize(("dilation", "serves"), [(2**14, True), (2**17, False)])
def test_pixel_vectors_hold_no_wide_dilation(isa: str, dilation: int, serves: bool) -> None:
    axis, line = conv_axis(3 * dilation, 3, 1, dilation, "same", ""), conv_axis(1, 1, 1, 1, "valid", "")
    weights = Weights("conv2d", (1, 3, 3, 1), dilations=(1, dilation))
    made = plan_as("pixel_vectors", Geometry(1, line, axis, 3, 1, 1), weights, np.dtype("f4"), isa)
    assert (made is not None) == serves


def test_kernel_rows_are_fused_in_one_group_only(isa: str) -> None:
    for groups, fused in ((1, True), (2, False)):
        made = plan_for(*square(28, 32, 3, 64, groups=groups), np.dtype("f4"), isa)
        assert isinstance(made, direct.Strided)
        assert made.fused == fused


def form_and_runner(call: tuple[Geometry, Weights], isa: str, fast: bool = False) -> str:
    made = plan_for(*call, np.dtype("f4"), isa, fast)
    return f"{made.form}: {type(made.runner).__name__}"


def test_each_form_has_its_runner(isa: str) -> None:
    up = transpose_axis(28, 8, 8, 1, "same", "")
    known = {
        "strided: Direct": square(28, 32, 3, 64),
        "gathered: Direct": square(1, 32, 3, 64),
        "depthwise_lines: DepthwiseLines": square(28, 32, 3, 32, groups=32),
        "depthwise_tiles: Direct": square(28, 32, 1, 32, groups=32),
        "lanewise: Lanewise": square(28, 7, 7, 7, groups=7),
        "pixel_vectors: PixelVectors": square(28, 32, 3, 1),
        "tall_skinny: TallSkinny": square(28, 64, 1, 1),
        "merged_phases: Direct": (
            Geometry(1, up, up, 32, 21, 1), Weights("conv2d_transpose", (8, 8, 21, 32), (8, 8))
        ),
        "few_rows: FewRows": (square(1, 64, 1, 64)[0], Weights("dense", (64, 64), packed=False)),
    }  # fmt: skip
    assert {wanted.partition(":")[0] for wanted in known} | {"winograd"} == set(FORMS)
    for wanted, call in known.items():
        assert form_and_runner(call, isa) == wanted
    assert form_and_runner(square(28, 64, 3, 64), isa, fast=True) == "winograd: Winograd"


@pytest.mark.parametrize("size", [28, 1])
@pytest.mark.parametrize("cout", [1, 64])
def test_weights_with_inf_leave_padding_out(isa: str, size: int, cout: int) -> None:
    geometry, weights = square(size, 32, 3, cout)
    odd = plan_for(geometry, weights._replace(finite=False), np.dtype("f4"), isa)
    assert (odd.form, odd.needs_finite) == ("gathered", False)
    assert plan_for(geometry, weights, np.dtype("f4"), isa).needs_finite == (size > 1)


def test_costs_know_what_waits_for_memory() -> None:
    """Work in nanoseconds: of equal products, those on weights that are read once take longest."""
    if "avx512" not in _dispatch.available_isas():
        pytest.skip("costs differ with the instruction set")

    def cost(call: tuple[Geometry, Weights]) -> int:
        return plan_for(*call, np.dtype("f4"), "avx512").nanoseconds

    dense = square(1, 1280, 1, 1000)
    few = (dense[0], Weights("dense", (1280, 1000), packed=False))
    conv = square(14, 64, 1, 102)
    assert dense[0].multiply_adds == pytest.approx(conv[0].multiply_adds, rel=0.01)
    assert cost(dense) > 5 * cost(conv)
    assert cost(few) > 5 * cost(conv)
    assert cost(conv) < _threads.SERIAL_WORK < min(cost(dense), cost(few))  # threads are worth waking
    lines = square(56, 64, 3, 64, groups=64)
    wide = square(28, 16, 3, 16)
    assert lines[0].multiply_adds == wide[0].multiply_adds
    assert cost(lines) > 1.5 * cost(wide)


def test_few_pixels_cost_what_all_their_taps_do() -> None:
    """The estimate decides on threads: nine taps take about nine times as long as one."""
    isa, found = _dispatch.active_isa(), []
    for size in (1, 3):
        axis = conv_axis(2, size, 1, 1, "same", "")
        weights = Weights("conv2d", (size, size, 64, 128), packed=False)
        plan = plan_for(Geometry(1, axis, axis, 64, 128, 1), weights, np.dtype("f4"), isa)
        assert plan.form == "few_rows"
        found.append(plan.nanoseconds)
    assert 6 * found[0] < found[1] <= 9 * found[0]
