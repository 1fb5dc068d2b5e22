"""Every form on images whose pixels, rows and images lie apart: channels, rows and columns of larger arrays.

What lies between is NaN and stays as it is; arrays begin or end at pages without access.
"""

from __future__ import annotations

import itertools
import math
import sys
from typing import Any

import numpy as np
import pytest
from cases import Case
from test_guard_pages import SIDES, Rooms, _cases, _edges, interpret

from convlite import _dispatch, _kernels
from convlite.arguments import as_output_shape, as_padding, as_pair
from convlite.pack import PackedKernel, with_weights
from convlite.plan import Plan, Weights, planned
from convlite.plan.direct import flattened

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason=f"guard pages are made with Linux's mprotect; this is {sys.platform}"
)

FORMS = {
    "strided", "gathered", "merged_phases", "depthwise_lines", "depthwise_tiles", "lanewise", "pixel_vectors",
    "tall_skinny", "few_rows", "winograd",
}  # fmt: skip
MORE = (  # phases of which a panel holds whole ones, and parts
    Case("whole phases", "conv2d_transpose", (1, 5, 9, 8), (2, 2, 32, 8), {"strides": 2}),
    Case("parts of phases", "conv2d_transpose", (1, 5, 9, 8), (2, 2, 40, 8), {"strides": 2}),
    Case("many products", "conv2d", (1, 9, 9, 600), (3, 3, 600, 40), {"padding": "same"}),
    Case("powers of two", "conv2d", (1, 4, 28, 1024), (1, 1, 1024, 72)),
    Case("stripes", "conv2d_transpose", (2, 4, 9, 8), (2, 2, 2, 8), {"strides": 2}),
    Case("planes", "conv2d_transpose", (2, 4, 9, 8), (4, 4, 24, 8), {"strides": 4}),
)


def ready(case: Case, dtype: Any, packed: bool, kernel: Any) -> tuple[Plan, Any, tuple[int, ...]]:
    """The plan of a case, its weights, and the shape of x."""
    x = case.x if len(case.x) == 4 else (1, 1, math.prod(case.x[:-1]), case.x[-1])
    given = case.options
    steps = (as_pair(given.get("strides", 1), ""), as_padding(given.get("padding", "valid")))
    dilations, groups = as_pair(given.get("dilations", 1), ""), given.get("groups", 1)
    extra = given.get("output_padding")
    size, pair = as_output_shape(given.get("output_shape")), None if extra is None else as_pair(extra, "")
    call = (case.operation, x, case.kernel, *steps, dilations, groups, size, pair, 2)
    fast = given.get("precision") == "fast"
    plan = planned(_dispatch.active_isa(), np.dtype(dtype), fast, packed, True, *call)
    held = PackedKernel(kernel, case.operation, **case.packing) if packed else kernel
    facts = Weights(case.operation, case.kernel, steps[0], dilations, groups)
    return (*with_weights(plan, held, facts, call), x)


def apart(
    rooms: Rooms, name: str, shape: tuple[int, ...], dtype: Any, side: str, rest: Any
) -> tuple[Any, Any]:
    """An array of NaN at a guard, and an image of this shape in it with `rest` more of each axis."""
    room = rooms(name, math.prod(a + b for a, b in zip(shape, rest, strict=True)) * np.dtype(dtype).itemsize)
    whole = room.place(tuple(a + b for a, b in zip(shape, rest, strict=True)), dtype, side)
    first = (0, 0, 0, 0) if side == "start" else rest
    return whole, whole[tuple(slice(f, f + size) for f, size in zip(first, shape, strict=True))]


def check(plan: Plan, panels: Any, x: Any, bias: Any, side: str, rest: Any, rooms: Rooms) -> None:
    """The bits of a call on whole arrays, and nothing written beside the output."""
    out_shape, end = plan.geometry.out_shape, (0, 0.5, 1.0, panels.finite)
    _, given = apart(rooms, "x", x.shape, x.dtype, side, rest)
    given[...] = x
    whole, out = apart(rooms, "out", out_shape, x.dtype, side, rest)
    runner = plan.runner if given.flags.c_contiguous else plan.apart
    want, other = np.empty(out_shape, x.dtype), np.arange(math.prod(out_shape)).astype(x.dtype)
    for added in (None, other.reshape(out_shape)) if runner.adds else (None,):
        plan.runner.run(x, panels.data, bias, None, want, *end, 1, residual=added)
        residual = added
        if added is not None:
            _, residual = apart(rooms, "residual", out_shape, x.dtype, side, rest)
            residual[...] = added
        for threads in (1, 3):
            out[...] = 7.0
            runner.run(given, panels.data, bias, None, out, *end, threads, residual=residual)
            assert out.tobytes() == want.tobytes()
    bits = np.dtype(f"u{x.dtype.itemsize}")
    out.view(bits)[...] = np.iinfo(bits).max
    assert (whole.view(bits) == np.iinfo(bits).max).all()


def run_all() -> None:
    """Every form, each call announced; at the end the forms that were met."""
    rooms, met = Rooms(), set()
    cases = [c for c in (*_cases(), *_edges(), *MORE) if 0 not in c.x and c.cout]
    for case, dtype in itertools.product(cases, (np.float32, np.float64)):
        x, kernel, bias = case.operands(dtype)
        for packed in (True, False) if case.operation == "dense" else (True,):
            plan, panels, shape = ready(case, dtype, packed, kernel)
            if 0 in plan.geometry.out_shape:
                continue
            met.add(plan.form)
            flat = plan.form in ("tall_skinny", "few_rows") or flattened(plan.geometry) != plan.geometry
            for side in SIDES:
                print(case.name, plan.form, np.dtype(dtype), side, flush=True)
                check(plan, panels, x.reshape(shape), bias, side, (0, 0, 0, 3), rooms)
                if not flat:
                    check(plan, panels, x.reshape(shape), bias, side, (0, 1, 2, 3), rooms)
    print(*sorted(met), sep=", ")


def test_every_form_takes_images_in_larger_arrays(isa: str) -> None:
    code, lines, errors = interpret("import test_pitches as t; t.run_all()", CONVLITE_ISA=isa)
    assert code == 0, f"exit code {code} in {lines[-1:]}: {errors[-3000:]}"
    missing = FORMS - set(lines[-1].split(", "))
    table = _kernels.describe(isa, "f32")
    absent = {"lanewise"} if not table["lanewise"] else set()
    absent |= {"tall_skinny"} if not table["skinny_sums"] else set()
    absent |= {"pixel_vectors"} if not table["pixels"] else set()
    absent |= {"depthwise_lines"} if not table["lines"] else set()
    assert missing <= absent


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(lambda x: np.repeat(x, 2, -1)[..., ::2], id="channels apart"),
        pytest.param(lambda x: np.broadcast_to(x[:1, :1, :1], x.shape), id="pixels over each other"),
        pytest.param(lambda x: x[:, :, ::-1], id="pixels backwards"),
        pytest.param(lambda x: np.concatenate([x, x], 2)[:, :, :9], id="rows apart in one row of pixels"),
    ],
)
def test_what_is_no_image_is_refused(other: Any) -> None:
    case = Case("point", "conv2d", (2, 9, 9, 24), (1, 1, 24, 40))
    x, kernel, _ = case.operands(np.float32)
    plan, panels, _ = ready(case, np.float32, True, kernel)
    out = np.zeros((2, 9, 9, 40), np.float32)
    with pytest.raises(ValueError, match="internal error"):
        plan.runner.run(other(x), panels.data, None, None, out, 0, 0.0, 0.0, True, 1)
    assert (out == 0).all()
