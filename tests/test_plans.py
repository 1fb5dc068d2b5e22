"""The plans of known shapes, in golden/plans.txt: no result depends on them, so that only a list shows a change.

Where a change is meant (and measured), write the list anew: python tests/test_plans.py
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from cases import SMALL, Case

from convlite import _kernels
from convlite.arguments import as_padding, as_pair
from convlite.geometry import Geometry, channels_of, conv_axis, transpose_axis
from convlite.plan import Weights, plan_for

PLANS = Path(__file__).parent / "golden" / "plans.txt"
PLAIN = {"output_shape", "output_padding", "precision"}  # options that this list leaves out
ISAS = ("avx512", "avx2")
LARGE = [
    Case(f"conv-{h}-{cin}-{k}-{cout}-{s}", "conv2d", (1, h, h, cin), (k, k, cin, cout), {"strides": s, "padding": "same"})
    for h, cin, k, cout, s in (
        (224, 3, 7, 64, 2), (56, 64, 1, 64, 1), (56, 64, 3, 64, 1), (56, 64, 1, 256, 1), (28, 128, 3, 128, 1),
        (14, 256, 3, 256, 1), (7, 512, 3, 512, 1), (7, 2048, 1, 512, 1), (112, 32, 3, 3, 1), (64, 3, 9, 1, 1),
        (56, 256, 1, 512, 2), (28, 512, 5, 24, 2), (9, 4096, 3, 8, 1), (14, 1024, 1, 2048, 2), (14, 512, 3, 512, 2),
    )
] + [
    Case(f"turned-{h}-{cin}-{k}-{cout}-{s}", "conv2d_transpose", (2, h, h, cin), (k, k, cout, cin), {"strides": s, "padding": "same"})
    for h, cin, k, cout, s in (
        (4, 512, 4, 256, 2), (8, 256, 5, 128, 2), (32, 64, 4, 3, 2), (16, 21, 16, 21, 8), (14, 64, 2, 32, 2), (7, 16, 3, 8, 4),
    )
] + [
    Case(f"deep-{h}-{c}-{k}-{s}", "depthwise_conv2d", (1, h, h, c), (k, k, c, 1), {"strides": s, "padding": "same"})
    for h, c, k, s in ((112, 32, 3, 1), (56, 96, 3, 2), (14, 240, 5, 1), (7, 960, 3, 1), (14, 48, 7, 1))
] + [
    Case(f"dense-{n}-{k}-{m}{given}", "dense", (n, k), (k, m)) for given in ("", "-array") for n, k, m in ((1, 4096, 1000), (8, 512, 10), (9, 512, 10), (64, 2048, 2048))
]  # fmt: skip


def line(case: Case, isa: str, dtype: str, fast: bool) -> str:
    """One plan, as far as it decides anything."""
    options, kernel = case.options, case.kernel
    strides, dilations = (as_pair(options.get(name, 1), name) for name in ("strides", "dilations"))
    pads = as_padding(options.get("padding", "valid"))
    x, taps = (case.x, kernel[:2]) if len(kernel) == 4 else ((1, 1, *case.x), (1, 1))
    axis = transpose_axis if case.operation == "conv2d_transpose" else conv_axis
    rows, columns = (
        axis(x[1 + a], taps[a], strides[a], dilations[a], pads if isinstance(pads, str) else pads[a], name)
        for a, name in enumerate(("height", "width"))
    )
    cin, cout, groups = channels_of(case.operation, kernel, options.get("groups", 1))
    geometry = Geometry(x[0], rows, columns, cin, cout, groups)
    weights = Weights(case.operation, kernel, strides, dilations, groups, packed="array" not in case.name)
    plan = plan_for(geometry, weights, np.dtype(dtype), isa, fast)
    left_out = {"geometry", "loops", "isa", "kind"}
    values = [f"{name}={getattr(plan, name)}" for name in plan.fields if name not in left_out]
    return f"{case.name} {isa} {dtype}{' fast' if fast else ''}: {plan.form} {' '.join(values)}"


def known(isa: str) -> list[str]:
    """The plans for one instruction set."""
    cases = [*(c for c in SMALL[::3] if len(c.kernel) == 4 and not PLAIN & set(c.options)), *LARGE]
    lines = [line(case, isa, dtype, False) for case in cases for dtype in ("float32", "float64")]
    return lines + [line(case, isa, "float32", True) for case in LARGE]


@pytest.mark.parametrize("isa", ISAS)
def test_plans_are_the_known_ones(isa: str) -> None:
    if _kernels.describe(isa, "f32") is None:
        pytest.skip(f"this build has no {isa}")
    golden = PLANS.read_text(encoding="utf-8").splitlines()
    assert known(isa) == [text for text in golden if f" {isa} " in text]


def written(isa: str, golden: list[str]) -> list[str]:
    """The lines of the list; those of an instruction set that this CPU lacks stay as they are."""
    if _kernels.describe(isa, "f32") is None:
        return [text for text in golden if f" {isa} " in text]
    return known(isa)


if __name__ == "__main__":
    before = PLANS.read_text(encoding="utf-8").splitlines()
    PLANS.write_text(
        "\n".join(text for isa in ISAS for text in written(isa, before)) + "\n", encoding="utf-8"
    )
    sys.stdout.write(f"{PLANS} written\n")
