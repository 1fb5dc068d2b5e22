"""What the kinds compute: values worked out by hand, and formulas that go another way."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import numpy as np
import pytest
from network_pieces import INF, F, normal, run

import convlite as cl
from convlite.network.facts import Fact
from convlite.network.graph import Node
from convlite.network.kinds import KINDS

# ---- convolutions and windows ----

WINDOW = {"strides": (2, 1), "dilations": (1, 2), "padding": ((1, 0), (2, 1))}


@pytest.mark.parametrize("groups", [1, 2, 6])
@pytest.mark.parametrize("padding", [((1, 0), (2, 1)), "same", "same_lower"])
def test_conv_is_conv2d(groups: int, padding: Any) -> None:
    x, kernel, bias = normal(2, 7, 9, 6), normal(3, 2, 6 // groups, 12, seed=1), normal(12, seed=2)
    how = WINDOW | {"padding": padding, "groups": groups}
    want = cl.reference.conv2d(x, kernel, bias, activation="relu", **how)
    got = run("conv", x, kernel, bias, activation=("relu",), **how)
    assert (got.shape, got.dtype) == (want.shape, want.dtype)
    np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-6)


def test_conv_of_one_axis_and_of_three() -> None:
    x, kernel = normal(2, 9, 3), normal(4, 3, 5, seed=1)
    how = {"groups": 1, "activation": None}
    got = run("conv", x, kernel, strides=(2,), dilations=(1,), padding=((1, 2),), **how)
    want = cl.reference.conv1d(x, kernel, strides=2, padding=[(1, 2)])
    np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-6)
    deep, kernel3 = normal(1, 4, 4, 4, 2), normal(2, 2, 2, 2, 3, seed=1)
    got = run("conv", deep, kernel3, strides=(1,) * 3, dilations=(1,) * 3, padding=((0, 0),) * 3, **how)
    want = sum(
        deep[:, a : a + 3, b : b + 3, c : c + 3] @ kernel3[a, b, c] for a, b, c in product(range(2), repeat=3)
    )
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


def test_infinite_weights_add_nothing_in_the_padding() -> None:
    kernel = np.array([INF, 1, 1], F).reshape(3, 1, 1)
    how = {"strides": (1,), "dilations": (1,), "padding": ((1, 1),), "groups": 1, "activation": None}
    assert run("conv", np.zeros((1, 3, 1), F) + 1, kernel, **how).ravel().tolist() == [2, INF, INF]


@pytest.mark.parametrize("groups", [1, 3])
def test_conv_transpose_is_the_adjoint_of_conv(groups: int) -> None:
    """<conv(x), y> = <x, conv_transpose(y)>, with the kernel's last two axes read the other way round."""
    x, kernel = normal(2, 9, 9, 6, dtype=float), normal(3, 2, 6 // groups, 9, seed=1, dtype=float)
    how = WINDOW | {"groups": groups, "activation": None}
    y = run("conv", x, kernel, **how)
    other = normal(*y.shape, seed=3, dtype=float)
    back = run("conv_transpose", other, kernel, output_shape=None, output_padding=(1, 0), **how)
    assert back.shape == x.shape
    assert np.sum(y * other) == pytest.approx(np.sum(x * back))


@pytest.mark.parametrize(
    ("how", "want"),
    [
        ({"padding": ((0, 0),)}, [1, 1, 3, 2, 2]),
        ({"padding": ((1, 0),)}, [1, 3, 2, 2]),
        ({"padding": ((1, 0),), "output_padding": (1,)}, [1, 3, 2, 2, 0]),
        ({"padding": "same"}, [1, 1, 3, 2]),  # one too many: it goes behind
        ({"padding": "same_lower"}, [1, 3, 2, 2]),  # and before
        ({"padding": ((0, 0),), "output_shape": (4,)}, [1, 3, 2, 2]),
        ({"padding": ((0, 0),), "output_shape": (7,)}, [1, 1, 3, 2, 2, 0, 0]),
    ],
)
def test_the_size_of_conv_transpose(how: dict[str, Any], want: list[float]) -> None:
    x, kernel = np.array([1, 2], F).reshape(1, 2, 1), np.ones((3, 1, 1), F)
    attributes = {"strides": (2,), "dilations": (1,), "groups": 1, "activation": None}
    attributes |= {"output_shape": None, "output_padding": None}
    assert run("conv_transpose", x, kernel, **attributes | how).ravel().tolist() == want


def pooled(values: list[float], kind: str, **how: Any) -> list[float]:
    x = np.array(values, F).reshape(1, -1, 1)
    attributes = {"strides": (2,), "dilations": (1,), "padding": ((0, 0),), "ceil_mode": False}
    attributes |= {"count_include_pad": False, "p": 2}
    result: list[float] = run(kind, x, **attributes | how).ravel().tolist()
    return result


@pytest.mark.parametrize(
    ("kind", "how", "want"),
    [
        ("max_pool", {"kernel": (2,)}, [2, 4]),
        ("max_pool", {"kernel": (2,), "ceil_mode": True}, [2, 4, 5]),
        ("max_pool", {"kernel": (1,), "strides": (3,), "ceil_mode": True, "padding": ((0, 1),)}, [1, 4]),
        ("max_pool", {"kernel": (2,), "dilations": (3,)}, [4]),
        ("avg_pool", {"kernel": (3,), "padding": ((1, 1),)}, [1.5, 3, 4.5]),
        ("avg_pool", {"kernel": (3,), "padding": ((1, 1),), "count_include_pad": True}, [1, 3, 3]),
        # The last window reaches past the padding: what lies there is not counted.
        ("avg_pool", {"kernel": (4,), "ceil_mode": True, "count_include_pad": True}, [2.5, 4]),
        ("avg_pool", {"kernel": (2,), "padding": "same", "strides": (1,)}, [1.5, 2.5, 3.5, 4.5, 5]),
        ("avg_pool", {"kernel": (2,), "padding": "same_lower", "strides": (1,)}, [1, 1.5, 2.5, 3.5, 4.5]),
        ("lp_pool", {"kernel": (2,), "p": 1}, [3, 7]),
    ],
)
def test_pools_of_one_to_five(kind: str, how: dict[str, Any], want: list[float]) -> None:
    assert pooled([1, 2, 3, 4, 5], kind, **how) == want


def test_lp_pool_and_special_values_of_max_pool() -> None:
    assert pooled([3, -4], "lp_pool", kernel=(2,)) == [5]
    assert pooled([-INF, -INF, 1, np.nan], "max_pool", kernel=(2,))[0] == -INF
    assert math.isnan(pooled([1, np.nan], "max_pool", kernel=(2,))[0])


def test_the_places_of_the_largest() -> None:
    x = np.array([[3, 1, 3], [2, 9, 4]], F).reshape(1, 2, 3, 1)
    x = np.concatenate([x, -x], -1)
    how = {
        "kernel": (2, 2),
        "strides": (1, 1),
        "dilations": (1, 1),
        "padding": ((0, 0),) * 2,
        "ceil_mode": False,
    }
    _, first = run("max_pool_indices", x, outputs=2, channels_first_index=True, storage_order=0, **how)
    assert first[..., 0].ravel().tolist() == [4, 4]
    assert first[..., 1].ravel().tolist() == [6 + 1, 6 + 1]
    _, columns = run("max_pool_indices", x, outputs=2, channels_first_index=True, storage_order=1, **how)
    assert columns[..., 0].ravel().tolist() == [3, 3]
    _, last = run("max_pool_indices", x, outputs=2, channels_first_index=False, storage_order=0, **how)
    assert last[..., 0].ravel().tolist() == [8, 8]


# ---- matrix products ----


def test_products() -> None:
    x, kernel, bias = normal(2, 5, 4), normal(4, 3, seed=1), normal(3, seed=2)
    want = np.einsum("abk,km->abm", x.astype(float), kernel) + bias
    np.testing.assert_allclose(run("dense", x, kernel, bias, activation=None), want, rtol=1e-6)
    a, b = normal(3, 1, 2, 4), normal(5, 4, 6, seed=1)
    np.testing.assert_allclose(run("matmul", a, b), np.einsum("xyij,yjk->xyik", a.repeat(5, 1), b), rtol=1e-5)
    assert run("matmul", np.arange(3), np.arange(3)).shape == ()
    assert run("matmul", np.int32([[1, 2]]), np.int32([[3], [4]])).tolist() == [[11]]
    np.testing.assert_allclose(
        run("einsum", a, b, equation="xyij,yjk->xik"), np.einsum("xyij,yjk->xik", a, b), rtol=1e-5
    )


# ---- normalisations ----


def test_batch_norm_by_hand() -> None:
    got = run("batch_norm", F([[1, 10]]), F([2, 3]), F([0.5, 0]), F([0, 4]), F([4, 9]), epsilon=0.0)
    np.testing.assert_allclose(got, [[1.5, 6.0]])


def test_norms_bring_mean_and_variance() -> None:
    x = normal(2, 5, 4, 6) * 3 + 7
    ones, zeros = np.ones(6, F), np.zeros(6, F)
    for y, axes in [
        (run("instance_norm", x, ones, zeros, epsilon=0.0), (1, 2)),
        (run("group_norm", x, ones, zeros, epsilon=0.0, groups=2).reshape(2, 5, 4, 2, 3), (1, 2, 4)),
        (run("layer_norm", x, None, None, epsilon=0.0, axis=2), (2, 3)),
        (run("mean_variance_normalize", x, axes=(0, 1, 2)), (0, 1, 2)),
    ]:
        np.testing.assert_allclose(y.mean(axes), 0, atol=1e-6)
        np.testing.assert_allclose(y.var(axes), 1, rtol=1e-5)
    y = run("rms_norm", x, np.full(6, 2, F), epsilon=0.0, axis=-1)
    np.testing.assert_allclose(np.sqrt((y**2).mean(-1)), 2, rtol=1e-6)
    _, mean, inverse = run("layer_norm", x, None, None, epsilon=0.5, axis=-1, outputs=3)
    np.testing.assert_allclose(mean[..., 0], x.mean(-1), rtol=1e-5)
    np.testing.assert_allclose(inverse[..., 0], 1 / np.sqrt(x.var(-1) + 0.5), rtol=1e-5)


def test_the_epsilon_stands_in_the_root() -> None:
    got = run("instance_norm", F([-1, 1]).reshape(1, 2, 1), F([1]), F([0]), epsilon=3.0)
    np.testing.assert_allclose(got.ravel(), [-0.5, 0.5])


def test_lrn_by_hand() -> None:
    got = run("lrn", F([[[1, 2, 3, 4]]]), size=4, alpha=4.0, beta=1.0, bias=1.0)
    # One channel before (floor(3/2)), two behind (ceil(3/2)).
    sums = [1 + 4 + 9, 1 + 4 + 9 + 16, 4 + 9 + 16, 9 + 16]
    np.testing.assert_allclose(got.ravel(), [v / (1 + s) for v, s in zip([1, 2, 3, 4], sums, strict=True)])


def test_softmax_and_its_kin() -> None:
    x = F([[0, math.log(3)], [1000, 1000 + math.log(3)], [-INF, 0]])
    np.testing.assert_allclose(run("softmax", x, axis=1), [[0.25, 0.75], [0.25, 0.75], [0, 1]], rtol=1e-4)
    np.testing.assert_allclose(run("log_softmax", x[:1], axis=-1), np.log([[0.25, 0.75]]), rtol=1e-6)
    assert run("hardmax", F([[2, 5, 5], [1, 0, 0]]), axis=1).tolist() == [[0, 1, 0], [1, 0, 0]]
    got = run("lp_normalize", F([[3, 4], [0, 0]]), axis=1, p=2)
    np.testing.assert_allclose(got, [[0.6, 0.8], [0, 0]], rtol=1e-6)
    np.testing.assert_allclose(run("lp_normalize", F([[-3, 1]]), axis=1, p=1), [[-0.75, 0.25]])


# ---- elementwise ----


def sigmoid(v: float) -> float:
    return 1 / (1 + math.exp(-v))


SCALAR: dict[str, tuple[Any, dict[str, Any]]] = {
    "relu": (lambda v: max(v, 0), {}),
    "relu6": (lambda v: min(max(v, 0), 6), {}),
    "sigmoid": (sigmoid, {}),
    "tanh": (math.tanh, {}),
    "silu": (lambda v: v * sigmoid(v), {}),
    "swish": (lambda v: v * sigmoid(1.7 * v), {"alpha": 1.7}),
    "gelu": (lambda v: v * (1 + math.erf(v / math.sqrt(2))) / 2, {"approximate": False}),
    "hard_swish": (lambda v: v * min(max(v / 6 + 0.5, 0), 1), {}),
    "mish": (lambda v: v * math.tanh(math.log1p(math.exp(v))), {}),
    "softsign": (lambda v: v / (1 + abs(v)), {}),
    "selu": (lambda v: 1.1 * (v if v > 0 else 1.6 * (math.exp(v) - 1)), {"alpha": 1.6, "gamma": 1.1}),
    "elu": (lambda v: v if v > 0 else 0.7 * (math.exp(v) - 1), {"alpha": 0.7}),
    "celu": (lambda v: max(0, v) + min(0, 0.7 * (math.exp(v / 0.7) - 1)), {"alpha": 0.7}),
    "leaky_relu": (lambda v: v if v > 0 else 0.1 * v, {"alpha": 0.1}),
    "thresholded_relu": (lambda v: v if v > 1.2 else 0, {"alpha": 1.2}),
    "hard_sigmoid": (lambda v: min(max(0.2 * v + 0.6, 0), 1), {"alpha": 0.2, "beta": 0.6}),
    "softplus": (lambda v: math.log1p(math.exp(v)), {}),
    "shrink": (lambda v: v + 0.5 if v < -1 else v - 0.5 if v > 1 else 0, {"bias": 0.5, "lambd": 1.0}),
    "abs": (abs, {}),
    "neg": (lambda v: -v, {}),
    "exp": (math.exp, {}),
    "reciprocal": (lambda v: 1 / v, {}),
    "sign": (lambda v: (v > 0) - (v < 0), {}),
    "floor": (math.floor, {}),
    "ceil": (math.ceil, {}),
    "round": (round, {}),
    "erf": (math.erf, {}),
    "sin": (math.sin, {}),
    "cos": (math.cos, {}),
    "tan": (math.tan, {}),
    "atan": (math.atan, {}),
    "sinh": (math.sinh, {}),
    "cosh": (math.cosh, {}),
    "asinh": (math.asinh, {}),
    "identity": (lambda v: v, {}),
}
POSITIVE = {"log": math.log, "sqrt": math.sqrt, "acosh": lambda v: math.acosh(v + 1)}
INSIDE = {"asin": math.asin, "acos": math.acos, "atanh": math.atanh}
VALUES = [-7.3, -2.5, -1.5, -1.0, -0.4, 0.25, 0.5, 1.1, 1.5, 2.5, 3.7]


@pytest.mark.parametrize("kind", SCALAR)
def test_formulas_of_one_number(kind: str) -> None:
    formula, attributes = SCALAR[kind]
    got = run(kind, F(VALUES), **attributes)
    np.testing.assert_allclose(got, [formula(float(F(v))) for v in VALUES], rtol=1e-6, atol=1e-7)
    assert got.dtype == F


def test_formulas_with_a_smaller_domain() -> None:
    for kind, formula in POSITIVE.items():
        shift = 1 if kind == "acosh" else 0
        np.testing.assert_allclose(run(kind, np.array([0.3, 2.0]) + shift), [formula(0.3), formula(2.0)])
    for kind, formula in INSIDE.items():
        np.testing.assert_allclose(run(kind, np.array([-0.3, 0.9])), [formula(-0.3), formula(0.9)])


def test_every_unary_kind_has_a_formula_here() -> None:
    from network_cases import UNARY

    assert set(UNARY) - {"isnan"} == set(SCALAR) | set(POSITIVE) | set(INSIDE)


def test_gelu_by_tanh() -> None:
    want = [0.5 * v * (1 + math.tanh(math.sqrt(2 / math.pi) * (v + 0.044715 * v**3))) for v in VALUES]
    np.testing.assert_allclose(run("gelu", np.array(VALUES), approximate=True), want)


def test_extreme_arguments_do_not_overflow() -> None:
    far = np.array([-1e4, 1e4])
    for kind, want in [
        ("sigmoid", [0, 1]),
        ("softplus", [0, 1e4]),
        ("elu", [-1, 1e4]),
        ("mish", [0, 1e4]),
        ("silu", [0, 1e4]),
    ]:
        np.testing.assert_allclose(run(kind, far, alpha=1.0), want, atol=1e-12)
    nan = np.array([np.nan])
    for kind in ("relu", "relu6", "leaky_relu", "thresholded_relu", "elu", "hard_sigmoid", "softplus"):
        assert np.isnan(run(kind, nan, alpha=1.0, beta=0.5)).all(), kind


def test_tests_of_floats() -> None:
    x = F([1, -INF, INF, np.nan])
    assert run("isnan", x).tolist() == [False, False, False, True]
    assert run("isinf", x, positive=True, negative=True).tolist() == [False, True, True, False]
    assert run("isinf", x, positive=False, negative=True).tolist() == [False, True, False, False]
    assert run("not", np.array([True, False])).tolist() == [False, True]


def test_integers() -> None:
    a, b = np.int32([7, -7, 7, -7]), np.int32([2, 2, -2, -2])
    assert run("div", a, b).tolist() == [3, -3, -3, 3]
    assert run("mod", a, b, fmod=False).tolist() == [1, 1, -1, -1]
    assert run("mod", a, b, fmod=True).tolist() == [1, -1, 1, -1]
    assert run("mod", F([5.3, -5.3]), F([2, 2]), fmod=True).tolist() == pytest.approx([1.3, -1.3], rel=1e-5)
    assert run("div", np.uint8([250]), np.uint8([3])).tolist() == [83]
    assert run("add", np.uint8([250]), np.uint8([10])).tolist() == [4]
    assert run("pow", np.int32([2, 3]), F([3, 0.5])).tolist() == [8, 1]
    assert run("pow", F([2]), np.int64([-1])).tolist() == [0.5]
    assert run("bit_shift", np.uint8([3, 255]), np.uint8([2, 9]), direction="LEFT").tolist() == [12, 0]
    assert run("bit_shift", np.uint8([12, 255]), np.uint8([2, 4]), direction="RIGHT").tolist() == [3, 15]
    assert run("bitwise_not", np.int8([0, 5])).tolist() == [-1, -6]
    assert run("abs", np.int64([-(2**62)])).tolist() == [2**62]
    assert run("cast", F([2.9, -2.9]), dtype=np.dtype(np.int32)).tolist() == [2, -2]
    assert run("cast", F([0, 0.5, np.nan]), dtype=np.dtype(bool)).tolist() == [False, True, True]


def test_several_operands() -> None:
    a, b, c = F([[1], [5]]), F([3, 4]), F(2)
    assert run("max", a, b, c).tolist() == [[3, 4], [5, 5]]
    assert run("min", a, b, c).tolist() == [[1, 1], [2, 2]]
    assert run("sum", a, b, c).tolist() == [[6, 7], [10, 11]]
    assert run("mean", a, b, c).tolist() == pytest.approx(np.array([[6, 7], [10, 11]]) / 3)
    assert run("where", np.array([True, False]), a, b).tolist() == [[1, 4], [5, 4]]
    assert run("clip", F([-1, 0, 9]), F(0), F(3)).tolist() == [0, 0, 3]
    assert run("clip", F([-1, 9]), None, F(3)).tolist() == [-1, 3]
    assert run("clip", F([-1, 9]), F(5), F(3)).tolist() == [3, 3]
    assert run("prelu", F([[-2, 2], [-4, 4]]), F([0.5, 0.1])).tolist() == [[-1, 2], [-2, 4]]
    facts = [Fact.of(F([1])), Fact.of(F([1, 2]))]
    with pytest.raises(ValueError, match=r"low must be one number, not of shape \(2,\)"):
        KINDS["clip"].infer(Node("clip", ("a", "b"), ("y",)), facts)


def test_an_empty_batch_goes_through() -> None:
    how = {"strides": (1, 1), "dilations": (1, 1), "padding": "same", "groups": 1, "activation": None}
    x = np.zeros((0, 4, 4, 6), F)
    assert run("conv", x, np.zeros((3, 3, 6, 2), F), None, **how).shape == (0, 4, 4, 2)
    assert run("group_norm", x, np.ones(6, F), np.ones(6, F), epsilon=0.1, groups=3).shape == x.shape
    assert run("softmax", x, axis=-1).shape == x.shape
    assert run("resize", x, None, None, np.array([8]), **RESIZE_WIDTH).shape == (0, 4, 8, 6)
    assert run("gather", x, np.zeros((0, 2), np.int64), axis=0).shape == (0, 2, 4, 4, 6)
    with pytest.raises(ValueError, match="an index into nothing"):
        run("gather", x, np.array(0), axis=0)


RESIZE_WIDTH = {
    "axes": (2,), "mode": "linear", "coordinates": "half_pixel", "nearest_mode": "floor", "cubic_a": -0.75,
    "exclude_outside": False, "extrapolation_value": 0.0, "antialias": False,
    "keep_aspect_ratio_policy": "stretch",
}  # fmt: skip
