"""What the kinds compute that resize, recur, quantise and loop: values by hand, formulas of another way."""

from __future__ import annotations

from itertools import product
from typing import Any

import network_cases_rare  # noqa: F401  fills the cases
import numpy as np
import pytest
from network_pieces import F, node_of, normal, run
from network_pieces import vector as ints

from convlite.network.facts import Fact
from convlite.network.graph import Node
from convlite.network.kinds import KINDS

# ---- images ----

RESIZE = {
    "axes": None, "mode": "linear", "coordinates": "half_pixel", "nearest_mode": "floor", "cubic_a": -0.75,
    "exclude_outside": False, "extrapolation_value": 0.0, "antialias": False,
    "keep_aspect_ratio_policy": "stretch",
}  # fmt: skip


@pytest.mark.parametrize(
    ("values", "size", "how", "want"),
    [
        ([0, 4], 4, {}, [0, 1, 3, 4]),
        ([0, 4], 4, {"coordinates": "asymmetric"}, [0, 2, 4, 4]),
        ([0, 3], 4, {"coordinates": "align_corners"}, [0, 1, 2, 3]),
        ([0, 4], 1, {"coordinates": "pytorch_half_pixel"}, [0]),
        ([0, 4], 1, {}, [2]),
        ([0, 4], 4, {"coordinates": "tf_half_pixel_for_nn", "mode": "nearest"}, [0, 0, 4, 4]),
        ([1, 2, 3, 4], 2, {"mode": "nearest", "nearest_mode": "round_prefer_floor"}, [1, 3]),
        ([1, 2, 3, 4], 2, {"mode": "nearest", "nearest_mode": "round_prefer_ceil"}, [2, 4]),
        ([1, 2, 3, 4], 2, {"mode": "nearest", "nearest_mode": "floor"}, [1, 3]),
        ([1, 2, 3, 4], 2, {"mode": "nearest", "nearest_mode": "ceil"}, [2, 4]),
        # Half as large, the triangle twice as wide: weights 1 3 3 1; the outermost falls on the edge.
        ([8, 16, 24, 32], 2, {"antialias": True}, [104 / 8, 216 / 8]),
        ([8, 16, 24, 32], 2, {"antialias": True, "exclude_outside": True}, [96 / 7, 184 / 7]),
        ([5, 5, 5], 7, {"mode": "cubic"}, [5] * 7),
        ([0, 1, 2, 3, 4, 5, 6, 7], 4, {"mode": "cubic"}, [0.40625, 2.5, 4.5, 6.59375]),
        ([1, 2], 3, {"coordinates": "tf_crop_and_resize"}, [1, 1.5, 2]),
    ],
)  # fmt: skip
def test_resize_of_one_axis(values: list[float], size: int, how: dict[str, Any], want: list[float]) -> None:
    got = run("resize", F(values), None, None, ints(size), **RESIZE | how)
    np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-6)


def test_resize_by_crop_axes_and_policy() -> None:
    x = F([[1, 2, 3, 4, 5]])
    how = RESIZE | {"coordinates": "tf_crop_and_resize", "extrapolation_value": 9.0}
    got = run("resize", x, F([0, -0.25, 1, 1]), None, ints(1, 6), **how)
    np.testing.assert_allclose(got, [[9, 1, 2, 3, 4, 5]], atol=1e-6)
    assert run("resize", x, None, F([2]), None, **RESIZE | {"axes": (-1,)}).shape == (1, 10)
    image = np.zeros((1, 10, 20, 3), F)
    for policy, want in [("stretch", (5, 40)), ("not_larger", (5, 10)), ("not_smaller", (20, 40))]:
        how = RESIZE | {"axes": (1, 2), "keep_aspect_ratio_policy": policy}
        assert run("resize", image, None, None, ints(5, 40), **how).shape == (1, *want, 3)
    assert run("resize", np.uint8([0, 255]), None, F([2]), None, **RESIZE).tolist() == [0, 64, 191, 255]
    with pytest.raises(ValueError, match="either scales or sizes"):
        run("resize", x, None, None, None, **RESIZE)


def test_axes_resize_one_after_the_other() -> None:
    x = normal(3, 4, 5)
    both = run("resize", x, None, F([2, 1.5]), None, **RESIZE | {"axes": (0, 2), "mode": "cubic"})
    one = run("resize", x, None, F([2]), None, **RESIZE | {"axes": (0,), "mode": "cubic"})
    two = run("resize", one, None, F([1.5]), None, **RESIZE | {"axes": (2,), "mode": "cubic"})
    np.testing.assert_allclose(both, two, rtol=1e-5, atol=1e-6)


def test_non_max_suppression() -> None:
    boxes = F([[[0, 0, 1, 1], [0, 0.1, 1, 1.1], [1, 1, 0, 0], [0, 5, 1, 6]]])
    scores = F([[[0.9, 0.75, 0.6, 0.8]]])
    for most, iou, least, want in [
        (9, 0.5, 0.0, [0, 3]),
        (1, 0.5, 0.0, [0]),
        (9, 0.9, 0.7, [0, 3, 1]),
        (9, 1.0, 0.0, [0, 3, 1, 2]),
    ]:
        got = run(
            "non_max_suppression", boxes, scores, ints(most), F([iou]), F([least]), center_point_box=False
        )
        assert got.tolist() == [[0, 0, box] for box in want]
    centred = np.concatenate(
        [(boxes[..., :2] + boxes[..., 2:]) / 2, np.abs(boxes[..., 2:] - boxes[..., :2])], -1
    )
    got = run("non_max_suppression", centred, scores, ints(9), F([0.5]), None, center_point_box=True)
    assert got[:, 2].tolist() == [0, 3]
    assert run("non_max_suppression", boxes, scores, None, None, None, center_point_box=False).shape == (0, 3)


def test_grids() -> None:
    x = F([[1, 2], [3, 4]]).reshape(1, 2, 2, 1)
    places = F([[-1, -1], [1, 1], [0, 0], [3, 0]]).reshape(1, 1, 4, 2)
    for how, want in [
        ({"align_corners": True, "padding_mode": "zeros"}, [1, 4, 2.5, 0]),
        ({"align_corners": False, "padding_mode": "zeros"}, [0.25, 1, 2.5, 0]),
        ({"align_corners": True, "padding_mode": "border"}, [1, 4, 2.5, 3]),
        ({"align_corners": True, "padding_mode": "reflection"}, [1, 4, 2.5, 2]),
    ]:
        np.testing.assert_allclose(run("grid_sample", x, places, mode="linear", **how).ravel(), want)
    theta = F([[[1, 0, 0], [0, 1, 0]]])
    grid = run("affine_grid", theta, ints(1, 1, 2, 2), align_corners=True)
    np.testing.assert_allclose(
        run("grid_sample", x, grid, mode="nearest", padding_mode="zeros", align_corners=True), x
    )


def test_regions() -> None:
    x = np.arange(16, dtype=F).reshape(1, 4, 4, 1)
    how = {"output_height": 2, "output_width": 2, "sampling_ratio": 1, "spatial_scale": 1.0}
    got = run("roi_align", x, F([[0, 0, 4, 4]]), ints(0), mode="avg", coordinates="half_pixel", **how)
    # Samples at pixel coordinates 0.5 and 2.5 of each axis.
    assert got.ravel().tolist() == [2.5, 4.5, 10.5, 12.5]


# ---- recurrent: the loops of the definition, number by number ----


def sigma(v: Any) -> Any:
    return 1 / (1 + np.exp(-v))


def lstm_by_hand(x: Any, w: Any, r: Any, b: Any, h: Any, c: Any) -> tuple[Any, Any, Any]:
    hidden = len(h)
    wi, wo, wf, wc = (w[k * hidden : (k + 1) * hidden] for k in range(4))
    ri, ro, rf, rc = (r[k * hidden : (k + 1) * hidden] for k in range(4))
    bias = b[: 4 * hidden] + b[4 * hidden :]
    bi, bo, bf, bc = (bias[k * hidden : (k + 1) * hidden] for k in range(4))
    rows = []
    for step in x:
        c = sigma(wf @ step + rf @ h + bf) * c + sigma(wi @ step + ri @ h + bi) * np.tanh(
            wc @ step + rc @ h + bc
        )
        h = sigma(wo @ step + ro @ h + bo) * np.tanh(c)
        rows.append(h)
    return np.array(rows), h, c


def gru_by_hand(x: Any, w: Any, r: Any, b: Any, h: Any, before: bool) -> tuple[Any, Any]:
    n = len(h)
    wz, wr, wh = w[:n], w[n : 2 * n], w[2 * n :]
    rz, rr, rh = r[:n], r[n : 2 * n], r[2 * n :]
    rows = []
    for step in x:
        z = sigma(wz @ step + rz @ h + b[:n] + b[3 * n : 4 * n])
        q = sigma(wr @ step + rr @ h + b[n : 2 * n] + b[4 * n : 5 * n])
        inner = q * (rh @ h + b[5 * n :]) if before else rh @ (q * h) + b[5 * n :]
        h = (1 - z) * np.tanh(wh @ step + inner + b[2 * n : 3 * n]) + z * h
        rows.append(h)
    return np.array(rows), h


def cell_inputs(
    gates: int, count: int, *, steps: int = 5, batch: int = 3, width: int = 4, hidden: int = 2
) -> list[Any]:
    sizes = [(steps, batch, width), (count, gates * hidden, width), (count, gates * hidden, hidden)]
    sizes += [(count, 2 * gates * hidden), (count, batch, hidden), (count, batch, hidden)]
    return [normal(*size, seed=n, dtype=float) for n, size in enumerate(sizes)]


CELL = {"hidden_size": 2, "clip": None, "layout": 0}


@pytest.mark.parametrize("layout", [0, 1])
def test_lstm_of_both_directions_and_lengths(layout: int) -> None:
    x, w, r, b, h, c = cell_inputs(4, 2)
    lengths = np.array([5, 2, 0], np.int32)
    how = CELL | {"direction": "bidirectional", "input_forget": False, "layout": layout}
    held = [x, h, c] if not layout else [array.swapaxes(0, 1) for array in (x, h, c)]
    y, last, cell = run(
        "lstm",
        held[0],
        w,
        r,
        b,
        lengths,
        held[1],
        held[2],
        outputs=3,
        activations=("sigmoid", "tanh", "tanh") * 2,
        **how,
    )
    if layout:
        y, last, cell = y.transpose(1, 2, 0, 3), last.swapaxes(0, 1), cell.swapaxes(0, 1)
    assert y.shape == (5, 2, 3, 2)
    for entry, length in enumerate(lengths):
        part = x[:length, entry]
        for direction, sequence in enumerate((part, part[::-1])):
            rows, hn, cn = lstm_by_hand(
                sequence, w[direction], r[direction], b[direction], h[direction, entry], c[direction, entry]
            )
            rows = rows[::-1] if direction and length else rows
            np.testing.assert_allclose(y[:length, direction, entry], rows.reshape(length, 2))
            assert not y[length:, direction, entry].any()
            np.testing.assert_allclose(last[direction, entry], hn)
            np.testing.assert_allclose(cell[direction, entry], cn)


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize("direction", ["forward", "reverse"])
def test_gru(before: bool, direction: str) -> None:
    x, w, r, b, h, _ = cell_inputs(3, 1)
    how = CELL | {"direction": direction, "linear_before_reset": before, "activations": ("sigmoid", "tanh")}
    y, last = run("gru", x, w, r, b, None, h, outputs=2, **how)
    for entry in range(3):
        sequence = x[:, entry] if direction == "forward" else x[::-1, entry]
        rows, hn = gru_by_hand(sequence, w[0], r[0], b[0], h[0, entry], before)
        np.testing.assert_allclose(y[:, 0, entry], rows if direction == "forward" else rows[::-1])
        np.testing.assert_allclose(last[0, entry], hn)


def test_rnn_clip_forget_and_refusals() -> None:
    x, w, r, b, h, c = cell_inputs(1, 1, steps=1)
    y, _ = run(
        "rnn", x, w, r, b, None, h, outputs=2, direction="forward", activations=(("leaky_relu", 0.1),), **CELL
    )
    total = x[0] @ w[0].T + h[0] @ r[0].T + b[0, :2] + b[0, 2:]
    np.testing.assert_allclose(y[0, 0], np.where(total < 0, 0.1 * total, total))
    y, _ = run(
        "rnn",
        x,
        w,
        r,
        b,
        None,
        h,
        outputs=2,
        direction="forward",
        activations=("relu",),
        **CELL | {"clip": 0.1},
    )
    np.testing.assert_allclose(y[0, 0], np.clip(total, 0, 0.1))
    x, w, r, b, h, c = cell_inputs(4, 1, steps=1)
    how = CELL | {"direction": "forward", "activations": ("sigmoid", "tanh", "tanh"), "input_forget": True}
    _, _, cell = run("lstm", x, w, r, b, None, h, c, outputs=3, **how)
    gates = x[0] @ w[0].T + h[0] @ r[0].T + b[0, :8] + b[0, 8:]
    i, g = sigma(gates[:, :2]), np.tanh(gates[:, 6:])
    np.testing.assert_allclose(cell[0], (1 - i) * c[0] + i * g)
    with pytest.raises(ValueError, match="3 are needed for each direction"):
        run("lstm", x, w, r, b, None, h, c, outputs=3, **how | {"activations": ("tanh",)})
    node = Node("lstm", tuple("xwrb--hcp"), ("y",), how)
    with pytest.raises(ValueError, match="peepholes are not supported"):
        KINDS["lstm"].infer(node, [*(Fact.of(a) for a in (x, w, r, b)), None, None, None, Fact.of(c)])


# ---- quantised ----


def test_quantized_numbers() -> None:
    whole = {"axis": 1, "block_size": 0, "dtype": np.dtype("uint8"), "saturate": True}
    x = F([[-1, 0.5, 1.5, 2.5, 300]])
    assert run("quantize_linear", x, F(1), np.uint8(3), **whole).tolist() == [[2, 3, 5, 5, 255]]
    assert run("quantize_linear", x, F(1), np.int8(0), **whole).tolist() == [[-1, 0, 2, 2, 127]]
    assert run("quantize_linear", x, F([1, 1, 1, 0.5, 100]), None, **whole).tolist() == [[0, 0, 2, 5, 3]]
    block = whole | {"block_size": 2}
    assert run("quantize_linear", x, F([[1, 0.5, 100]]), None, **block).tolist() == [[0, 0, 3, 5, 3]]
    back = run("dequantize_linear", np.uint8([[2, 3, 255]]), F([2, 1, 0.5]), np.uint8([1, 3, 0]), **whole)
    assert back.tolist() == [[2, 0, 127.5]]
    y, scale, zero = run("dynamic_quantize_linear", F([0, 2, -3, -2.5, 1.34, 0.5]), outputs=3)
    assert scale == pytest.approx(5 / 255)
    assert zero == 153
    assert y.tolist() == [153, 255, 0, 26, 221, 179]
    assert run("dynamic_quantize_linear", F([0, 0]), outputs=3)[0].tolist() == [0, 0]


def test_products_of_integers() -> None:
    a, b = np.uint8([[11, 7, 3], [10, 6, 2]]), np.uint8([[1, 4], [2, 5], [3, 6]])
    assert run("matmul_integer", a, b, np.uint8(12), np.uint8(0)).tolist() == [[-38, -83], [-44, -98]]
    rows = run("matmul_integer", a, b, np.uint8([1, 2]), np.uint8([0, 1]))
    assert rows.tolist() == ((a.astype(int) - [[1], [2]]) @ (b.astype(int) - [0, 1])).tolist()
    how = {"strides": (1,), "dilations": (1,), "padding": ((1, 1),), "groups": 1}
    x, kernel = np.uint8([3, 4]).reshape(1, 2, 1), np.uint8([1, 2, 3]).reshape(3, 1, 1)
    # x - 2 = 1 2; the padding is 0 after that.
    assert run("conv_integer", x, kernel, np.uint8(2), None, **how).ravel().tolist() == [2 + 6, 1 + 4]
    y = run(
        "qlinear_conv",
        x,
        F(0.5),
        np.uint8(2),
        kernel,
        F([2]),
        np.uint8(0),
        F(4),
        np.uint8(1),
        np.int32([10]),
        **how,
    )
    assert y.ravel().tolist() == [round((8 + 10) * 0.25) + 1, round((5 + 10) * 0.25) + 1]
    y = run("qlinear_matmul", a, F(1), np.uint8(12), b, F(1), np.uint8(0), F(10), np.int8(0))
    assert y.tolist() == [[-4, -8], [-4, -10]]


# ---- graphs inside ----


def test_loops_and_scans() -> None:
    for seed, kind in product(range(12), ("loop", "scan")):
        node, arrays = node_of(kind, np.random.default_rng(seed))
        got = KINDS[kind].compute(node, arrays)
        if kind == "loop":
            turns = 0 if arrays[0] is None else int(arrays[0])
            grows = node.attributes["body"].nodes[0].kind == "concat"
            want = np.tile(arrays[2], 2**turns) if grows else arrays[2] * 2**turns
            np.testing.assert_allclose(got[0], want)
            assert got[1].ravel().tolist() == [
                len(arrays[2]) * (2 ** (t + 1) if grows else 1) for t in range(turns)
            ]
            continue
        rows = np.moveaxis(arrays[1], node.attributes["input_axes"][0], 0)
        rows = rows[::-1] if node.attributes["input_reversed"][0] else rows
        sums = arrays[0] + np.cumsum(rows, 0)
        np.testing.assert_allclose(got[0], sums[-1], rtol=1e-5, atol=1e-5)
        sums = sums[::-1] if node.attributes["output_reversed"][0] else sums
        np.testing.assert_allclose(
            got[1], 2 * np.moveaxis(sums, 0, node.attributes["output_axes"][0]), rtol=1e-4, atol=1e-5
        )


def test_cubic_grids_read_past_the_border() -> None:
    """At 0.25 pixels before the first: weights of Keys's kernel at distances 1.75, 0.75, 0.25 and 1.25."""
    x = F([2, 5, 7, 1]).reshape(1, 1, 4, 1)
    grid = F([-1 - 2 * 0.25 / 3, 0]).reshape(1, 1, 1, 2)
    got = run("grid_sample", x, grid, mode="cubic", padding_mode="border", align_corners=True)
    a = -0.75
    inner = [((a + 2) * t - (a + 3)) * t * t + 1 for t in (0.75, 0.25)]
    outer = [((a * t - 5 * a) * t + 8 * a) * t - 4 * a for t in (1.75, 1.25)]
    want = 2 * (outer[0] + inner[0] + inner[1]) + 5 * outer[1]
    assert got.item() == pytest.approx(want, rel=1e-5)
