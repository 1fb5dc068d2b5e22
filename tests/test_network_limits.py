"""The roofline of networks: what a step needs at least, and what the page says of it."""

from __future__ import annotations

import importlib
import json
import math
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from convlite.geometry import Geometry, conv_axis, transpose_axis

ROOT = Path(__file__).resolve().parents[1]


def script(name: str) -> ModuleType:
    folder = str(ROOT / "bench")
    sys.path.insert(0, folder)
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(folder)


def nonzero_products(size: int, taps: int, stride: int, dilation: int) -> int:
    """The products that do not meet padding, of a "same" axis: a row of ones, padded with zeros, summed."""
    out = -(-size // stride)
    extent = (taps - 1) * dilation + 1
    total = max((out - 1) * stride + extent - size, 0)
    line = np.pad(np.ones(size), (total // 2, total - total // 2))
    return int(sum(line[i * stride : i * stride + extent : dilation].sum() for i in range(out)))


@pytest.mark.parametrize(("size", "taps", "stride", "dilation"), [(7, 3, 1, 1), (8, 5, 2, 1), (8, 3, 1, 12)])
def test_products_in_the_padding_do_not_count(size: int, taps: int, stride: int, dilation: int) -> None:
    module = script("network_limits")
    axis = conv_axis(size, taps, stride, dilation, "same", "height")
    along = nonzero_products(size, taps, stride, dilation)
    assert module.inside(axis) == along
    [(products, _)] = module.forms(Geometry(2, axis, axis, 4, 6, 1), "exact")
    assert products == 2 * along**2 * 24


def test_only_weights_that_meet_the_image_are_read() -> None:
    module = script("network_limits")
    far = conv_axis(8, 3, 1, 12, "same", "height")
    assert module.forms(Geometry(1, far, far, 4, 6, 1), "exact") == [(8 * 8 * 24.0, 24.0)]
    doubled = transpose_axis(7, 4, 2, 1, "same", "height")
    assert module.taps_inside(doubled) == 4
    assert module.lines_read(conv_axis(8, 1, 2, 1, "same", "height")) == 4


def test_fast_counts_the_tile_with_fewest_products() -> None:
    module = script("network_limits")
    axis = conv_axis(24, 3, 1, 1, "same", "height")
    geometry = Geometry(1, axis, axis, 16, 16, 1)
    found = module.forms(geometry, "fast")
    assert min(found)[0] == 4 * 4 * 8 * 8 * 256  # sixteen tiles of 6 x 6 outputs, of 8 x 8 products
    assert len(module.forms(geometry, "exact")) == 1
    point = conv_axis(24, 1, 1, 1, "same", "height")
    for other in (Geometry(1, axis, axis, 16, 16, 16), Geometry(1, point, point, 16, 16, 1)):
        assert module.forms(other, "fast") == module.forms(other, "exact")


def test_a_step_takes_the_larger_of_two_times() -> None:
    module = script("network_limits")
    bounds = module.Bounds(1e9, {"weights": 1e9, "near": 4e9, "shared": 1e9})
    assert bounds.seconds(5e6, 1e6, 4e6) == 5e-3
    assert bounds.seconds(1e6, 1e6, 4e6) == pytest.approx(2e-3)
    assert bounds.seconds(0, 0, 2 * module.NEAR + 1e6) == pytest.approx(2 * module.NEAR / 4e9 + 1e-3)


def row(name: str, exact: float, fast: float, took: float, peer: float) -> dict[str, Any]:
    steps = [["1x1 and dense", 1e3 * fast, 1e3 * took]]
    return {
        "name": name,
        "peers": {"ort": peer, "openvino": 2 * peer},
        "exact": {"bound_ms": exact, "ms": took, "steps": steps},
        "fast": {"bound_ms": fast, "ms": took, "steps": steps},
    }


def test_the_page_says_how_far_ahead_fast_could_be() -> None:
    module = script("limits_table")
    rows = [row("saving", 8, 2, 4, 8), row("plain", 4, 4, 8, 8)]
    assert [module.saves(each) for each in rows] == [True, False]
    lines = module.table(rows)
    assert lines[2] == "| saving | 8 | 4 | 200% | 2 | 4 | 50% | ONNX Runtime | 8 | 2.00 | 4.00 |"
    assert module.groups(rows)[-1].startswith("| all | 2 | 50% | 50% |")
    first, second = module.conclusions(rows)
    assert f"would be {math.sqrt(8):.2f} times as fast" in first
    assert f"these 1 would have to be {1.6**2 / 2:.2f} times" in second


def test_the_committed_result_has_the_networks_of_the_race() -> None:
    module = script("limits_table")
    if not module.RESULT.exists():
        pytest.skip("no result is committed yet")
    rows = json.loads(module.RESULT.read_text(encoding="utf-8"))["rows"]
    raced = json.loads(script("networks_table").RESULT.read_text(encoding="utf-8"))["results"]
    assert {each["name"] for each in rows} == {record["name"] for record in raced}
    for each in rows:
        assert 0 < each["fast"]["bound_ms"] <= each["exact"]["bound_ms"] * (1 + 1e-9), each["name"]
        assert max(each["error"].values()) < 1e-3
    assert "| all | 28 |" in module.pages()["limits.md"]
