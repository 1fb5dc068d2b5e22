"""reference.py against TensorFlow and PyTorch (golden files), against its own adjoint, and at its edges."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from golden_cases import GoldenCase, golden_cases
from tolerance import tolerance

from convlite import activations, reference

RNG = np.random.default_rng(7)


def randoms(*shape: int, dtype: str = "float64") -> np.ndarray:
    return RNG.standard_normal(shape).astype(dtype)


def ones(*shape: int) -> np.ndarray:
    return np.ones(shape, np.float32)


# ---- golden files ----------------------------------------------------------------------------------------

OPERATIONS = [
    case
    for name in ("conv2d", "conv2d_transpose", "depthwise_conv2d", "dense_conv1d")
    for case in golden_cases(name)
]


@pytest.mark.parametrize("case", OPERATIONS)
def test_golden(case: GoldenCase) -> None:
    if case.leaves_nothing:
        with pytest.raises(ValueError, match="kernel covers"):
            case.call(reference)
        return
    got = case.call(reference)
    assert got.dtype == case.want.dtype
    assert got.shape == case.want.shape
    if case.options.get("activation") in (None, "relu"):  # the files hold exact sums
        np.testing.assert_array_equal(got, case.want)
    else:
        np.testing.assert_allclose(got, case.want, **tolerance(got.dtype, 1))


ACTIVATIONS = golden_cases(
    "pointwise", "relu", "relu6", "leaky_relu", "elu", "sigmoid", "hard_sigmoid", "tanh", "softplus", "silu",
    "hard_swish", "gelu",
)  # fmt: skip


@pytest.mark.parametrize("case", ACTIVATIONS)
def test_golden_activations(case: GoldenCase) -> None:
    x = case.operands["x"].reshape(-1, 1)
    spec: Any = case.function
    if case.options:
        spec = {"leaky_relu": activations.LeakyReLU, "elu": activations.ELU}[case.function](**case.options)
    got = reference.dense(x, np.ones((1, 1), x.dtype), activation=spec)
    np.testing.assert_allclose(got.reshape(case.want.shape), case.want, **tolerance(x.dtype, 1))


# ---- the definition against loops ------------------------------------------------------------------------


def loops(
    x: np.ndarray, kernel: np.ndarray, strides: Any, dilations: Any, before: Any, size: Any
) -> np.ndarray:
    """conv2d with one group, number by number."""
    out = np.zeros((len(x), *size, kernel.shape[3]))
    for n, i, j, m, a, b, c in np.ndindex(*out.shape, *kernel.shape[:3]):
        h = i * strides[0] + a * dilations[0] - before[0]
        w = j * strides[1] + b * dilations[1] - before[1]
        if 0 <= h < x.shape[1] and 0 <= w < x.shape[2]:
            out[n, i, j, m] += x[n, h, w, c] * kernel[a, b, c, m]
    return out


@pytest.mark.parametrize("strides", [(1, 1), (2, 3), (4, 1)])
@pytest.mark.parametrize("dilations", [(1, 1), (2, 3)])
@pytest.mark.parametrize("pads", [((0, 0), (0, 0)), ((2, 1), (0, 3)), ((5, 0), (1, 1))])
def test_conv2d_is_its_loops(strides: Any, dilations: Any, pads: Any) -> None:
    x, kernel = randoms(2, 5, 7, 2), randoms(2, 3, 2, 3)
    extents = [(k - 1) * d + 1 for k, d in zip(kernel.shape, dilations, strict=False)]
    size = [(n + sum(p) - k) // s + 1 for n, p, k, s in zip((5, 7), pads, extents, strides, strict=True)]
    want = loops(x, kernel, strides, dilations, (pads[0][0], pads[1][0]), size)
    got = reference.conv2d(x, kernel, strides=strides, dilations=dilations, padding=pads)
    np.testing.assert_allclose(got, want, **tolerance(x.dtype, 12, scale=10))


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("strides", [1, (2, 3), (5, 1)])
@pytest.mark.parametrize("dilations", [1, (1, 2), (3, 2)])
@pytest.mark.parametrize("padding", ["valid", "same", "same_lower", 1, ((0, 3), (2, 1))])
def test_transpose_is_the_adjoint(groups: int, strides: Any, dilations: Any, padding: Any) -> None:
    x, kernel = randoms(2, 7, 8, 4), randoms(3, 2, 4 // groups, 8)
    options = {"groups": groups, "strides": strides, "dilations": dilations, "padding": padding}
    forward = reference.conv2d(x, kernel, **options)
    y = randoms(*forward.shape)
    back = reference.conv2d_transpose(y, kernel, output_shape=x.shape, **options)
    left, right = np.vdot(forward, y), np.vdot(x, back)
    np.testing.assert_allclose(left, right, **tolerance(x.dtype, y.size, scale=abs(forward * y).sum()))


def test_depthwise_is_grouped_conv2d() -> None:
    x, kernel = randoms(2, 6, 5, 3), randoms(3, 2, 3, 2)
    want = reference.conv2d(
        x, kernel.reshape(3, 2, 1, 6), groups=3, padding="same", strides=(2, 1), dilations=(1, 2)
    )
    got = reference.depthwise_conv2d(x, kernel, padding="same", strides=(2, 1), dilations=(1, 2))
    np.testing.assert_allclose(got, want, **tolerance(x.dtype, 6, scale=10))


def test_one_axis_is_one_row() -> None:
    x, kernel = randoms(2, 9, 4), randoms(3, 2, 6)
    got = reference.conv1d(x, kernel, groups=2, strides=2, padding=(2, 1), dilations=2)
    row = reference.conv2d(
        x[:, None], kernel[None], groups=2, strides=(1, 2), padding=((0, 0), (2, 1)), dilations=(1, 2)
    )
    np.testing.assert_array_equal(got, row[:, 0])
    y, back = randoms(2, 4, 6), randoms(3, 2, 6)
    for shape in (9, (9,), (2, 9, 4)):
        got = reference.conv1d_transpose(y, back, groups=2, strides=2, padding=[[0, 0], [2, 1], [0, 0]],
                                         dilations=2, output_shape=shape)  # fmt: skip
        assert got.shape == (2, 9, 4)


def test_sums_are_float64() -> None:
    x = np.array([1e8, 1, -1e8], np.float32)
    assert reference.dense(x, ones(3, 1)) == np.float32(1)
    got = reference.conv1d(x.reshape(1, 3, 1), ones(3, 1, 1))
    assert got.item() == 1
    assert got.dtype == np.float32


# ---- sizes -----------------------------------------------------------------------------------------------

GRID = list(itertools.product((1, 2, 5), (1, 2, 3), (1, 2, 4), (1, 2), ("valid", "same", "same_lower", 1)))


def conv_height(height: int, k: int, s: int, d: int, padding: Any) -> int | None:
    pads = padding if isinstance(padding, str) else (padding, 0)
    try:
        got = reference.conv2d(ones(1, height, 1, 1), ones(k, 1, 1, 1), strides=s, dilations=d, padding=pads)
    except ValueError:
        return None
    return got.shape[1]


@pytest.mark.parametrize(("n", "k", "s", "d", "padding"), GRID)
def test_output_shape_may_be_what_conv2d_takes_back(n: int, k: int, s: int, d: int, padding: Any) -> None:
    pads = padding if isinstance(padding, str) else (padding, 0)
    for height in range(n * s + k * d + 2):
        call = {"strides": s, "dilations": d, "padding": pads, "output_shape": (height, 1)}
        if conv_height(height, k, s, d, padding) == n:
            assert reference.conv2d_transpose(ones(1, n, 1, 1), ones(k, 1, 1, 1), **call).shape == (
                1,
                height,
                1,
                1,
            )
        else:
            with pytest.raises(ValueError, match=r"^output_shape gives .* possible sizes: "):
                reference.conv2d_transpose(ones(1, n, 1, 1), ones(k, 1, 1, 1), **call)


@pytest.mark.parametrize(("n", "k", "s", "d", "padding"), GRID)
def test_default_sizes(n: int, k: int, s: int, d: int, padding: Any) -> None:
    extent = (k - 1) * d + 1
    if padding == "valid":
        want = n * s + max(extent - s, 0)
    elif padding == 1:
        want = (n - 1) * s + extent - 2
    else:
        want = n * s
    pads = padding if isinstance(padding, str) else (padding, 0)
    call = {"strides": s, "dilations": d, "padding": pads}
    if want >= 0:
        assert reference.conv2d_transpose(ones(1, n, 1, 1), ones(k, 1, 1, 1), **call).shape[1] == want
    else:
        with pytest.raises(ValueError, match=r"^padding gives an output height of -"):
            reference.conv2d_transpose(ones(1, n, 1, 1), ones(k, 1, 1, 1), **call)


def test_valid_rows_that_nothing_reaches_hold_the_bias() -> None:
    got = reference.conv2d_transpose(
        ones(1, 1, 1, 1), ones(1, 1, 1, 1), ones(1), strides=3, output_shape=(3, 2)
    )
    np.testing.assert_array_equal(got[0, :, :, 0], [[2, 1], [1, 1], [1, 1]])


# ---- NaN and infinity ------------------------------------------------------------------------------------


@pytest.mark.parametrize("weight", [np.inf, -np.inf, np.nan])
def test_weights_over_padding_do_nothing(weight: float) -> None:
    kernel = np.full((3, 3, 1, 1), weight, np.float32)
    kernel[1, 1] = 2
    assert reference.conv2d(ones(1, 1, 1, 1), kernel, padding="same").item() == 2
    assert reference.depthwise_conv2d(ones(1, 1, 1, 1), kernel, padding="same").item() == 2
    assert reference.conv2d_transpose(ones(1, 1, 1, 1), kernel, padding="same").item() == 2


def test_nan_reaches_its_receptive_field_only() -> None:
    x = ones(1, 5, 5, 1)
    x[0, 2, 3] = np.nan
    got = reference.conv2d(x, ones(3, 3, 1, 1), padding="same")[0, :, :, 0]
    want = np.zeros((5, 5), bool)
    want[1:4, 2:5] = True
    np.testing.assert_array_equal(np.isnan(got), want)
    got = reference.conv2d_transpose(x, ones(1, 2, 1, 1), strides=2)[0, :, :, 0]
    assert np.argwhere(np.isnan(got)).tolist() == [[4, 6], [4, 7]]


def test_infinities_meet_without_warnings() -> None:
    x = np.array([[np.inf, -np.inf]], np.float32)
    assert math.isnan(reference.dense(x, ones(2, 1)).item())
    assert math.isnan(reference.conv2d(x.reshape(1, 1, 2, 1), ones(1, 2, 1, 1)).item())
    assert math.isnan(reference.dense(x[:, :1], ones(1, 1), np.array([-np.inf], np.float32)).item())
    assert reference.dense(np.float32([3e38]), np.float32([[3e38]])).item() == np.inf


# ---- empty arrays ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("x", "kernel", "options", "shape"),
    [
        ((0, 4, 4, 2), (3, 3, 2, 3), {}, (0, 2, 2, 3)),
        ((2, 4, 4, 0), (3, 3, 0, 3), {}, (2, 2, 2, 3)),
        ((2, 4, 4, 2), (3, 3, 2, 0), {}, (2, 2, 2, 0)),
        ((2, 0, 4, 2), (3, 3, 2, 3), {"padding": "same"}, (2, 0, 4, 3)),
        ((2, 0, 4, 2), (1, 1, 2, 3), {"padding": 1}, (2, 2, 6, 3)),
        ((2, 2, 4, 0), (3, 3, 0, 4), {"groups": 2, "padding": "same"}, (2, 2, 4, 4)),
    ],
)
def test_empty_conv2d(x: Any, kernel: Any, options: Any, shape: Any) -> None:
    bias = np.arange(kernel[3], dtype=np.float32)
    got = reference.conv2d(ones(*x), ones(*kernel), bias, **options)
    assert got.shape == shape
    if x[3] == 0 or x[1] == 0:
        np.testing.assert_array_equal(got, np.broadcast_to(bias, shape))


@pytest.mark.parametrize(
    ("x", "kernel", "options", "shape"),
    [
        ((0, 4, 4, 2), (3, 3, 3, 2), {}, (0, 6, 6, 3)),
        ((2, 4, 4, 0), (3, 3, 3, 0), {"strides": 2}, (2, 9, 9, 3)),
        ((2, 4, 4, 2), (3, 3, 0, 2), {"padding": "same"}, (2, 4, 4, 0)),
        ((2, 0, 4, 2), (3, 3, 3, 2), {"padding": "same"}, (2, 0, 4, 3)),
        ((2, 0, 4, 2), (3, 3, 3, 2), {}, (2, 2, 6, 3)),
        ((2, 0, 4, 2), (1, 1, 3, 2), {"padding": 1}, (2, 0, 2, 3)),
        ((2, 0, 4, 2), (3, 1, 3, 2), {"output_shape": (2, 4)}, (2, 2, 4, 3)),
        ((2, 1, 1, 2), (2, 2, 3, 2), {"padding": 1}, (2, 0, 0, 3)),
    ],
)
def test_empty_conv2d_transpose(x: Any, kernel: Any, options: Any, shape: Any) -> None:
    bias = np.arange(kernel[2], dtype=np.float32)
    got = reference.conv2d_transpose(ones(*x), ones(*kernel), bias, **options)
    assert got.shape == shape
    if x[3] == 0 or x[1] == 0:
        np.testing.assert_array_equal(got, np.broadcast_to(bias, shape))


def test_empty_others() -> None:
    np.testing.assert_array_equal(reference.dense(ones(2, 0), ones(0, 3), ones(3)), ones(2, 3))
    assert reference.dense(ones(0, 4), ones(4, 3), activation="softmax").shape == (0, 3)
    assert reference.dense(ones(2, 4), ones(4, 0), activation="softmax").shape == (2, 0)
    assert reference.depthwise_conv2d(ones(1, 3, 3, 0), ones(2, 2, 0, 4)).shape == (1, 2, 2, 0)
    assert reference.depthwise_conv2d(ones(1, 3, 3, 4), ones(2, 2, 4, 0)).shape == (1, 2, 2, 0)
    assert reference.conv1d(ones(0, 3, 1), ones(2, 1, 5)).shape == (0, 2, 5)
    assert reference.conv1d_transpose(ones(1, 0, 1), ones(2, 5, 1), strides=2).shape == (1, 0, 5)


# ---- activations -----------------------------------------------------------------------------------------


def test_softmax_is_over_channels() -> None:
    got = reference.conv2d(randoms(1, 2, 2, 3), randoms(1, 1, 3, 4), activation="softmax")
    np.testing.assert_allclose(got.sum(axis=-1), 1, **tolerance(got.dtype, 4))


def test_objects_of_activations() -> None:
    x = np.array([[-2.0, 5.0]])
    unit = np.eye(2)
    np.testing.assert_array_equal(
        reference.dense(x, unit, activation=activations.PReLU([0.5, 0.25])), [[-1, 5]]
    )
    np.testing.assert_array_equal(reference.dense(x, unit, activation=activations.ReLU(3.0)), [[0, 3]])
    np.testing.assert_array_equal(reference.dense(x, unit, activation=activations.ReLU()), [[0, 5]])
    np.testing.assert_array_equal(reference.dense(x, unit, activation=activations.get("relu")), [[0, 5]])


def test_every_name_of_activations_has_a_formula() -> None:
    assert set(reference.FORMULAS) == set(activations.NAMES)


def test_gelu_tanh_is_close_to_gelu() -> None:
    x = np.linspace(-6, 6, 101)[:, None]
    exact, close = (reference.dense(x, np.ones((1, 1)), activation=name) for name in ("gelu", "gelu_tanh"))
    assert 1e-4 < abs(exact - close).max() < 5e-4


def test_a_callable_gets_the_finished_array() -> None:
    seen = []

    def double(array: np.ndarray) -> np.ndarray:
        seen.append((array.shape, array.dtype))
        return 2.0 * array

    got = reference.conv1d(ones(2, 4, 1), ones(2, 1, 3), ones(3), activation=double)
    assert seen == [((2, 3, 3), np.dtype(np.float32))]
    np.testing.assert_array_equal(got, np.full((2, 3, 3), 6, np.float32))
    assert got.dtype == np.float32


# ---- errors ----------------------------------------------------------------------------------------------

X, K, T = ones(1, 4, 4, 2), ones(3, 3, 2, 6), ones(3, 3, 6, 2)


@pytest.mark.parametrize(
    ("function", "operands", "options", "error", "message"),
    [
        ("conv2d", (X[0], K), {}, ValueError, "x must have 4 dimensions"),
        ("conv2d", (X.astype(int), K), {}, TypeError, "x must be float32 or float64; got int64"),
        ("conv2d", (X, K.astype(float)), {}, TypeError, "kernel is float64 but x is float32"),
        ("conv2d", (X, ones(3, 3, 3, 6)), {}, ValueError, "kernel has 3 input channels but x has 2"),
        ("conv2d", (X, K, ones(5)), {}, ValueError, r"bias must have shape \(6,\).*got \(5,\)"),
        ("conv2d", (X, ones(0, 3, 2, 6)), {}, ValueError,
         r"kernel must have at least one tap.*\(0, 3, 2, 6\)"),
        ("conv2d", (X, K), {"groups": 3}, ValueError, "groups must divide .* channels; got groups=3 and 2"),
        ("conv2d", (X, K), {"strides": 0}, ValueError, "strides must be at least 1; got 0"),
        ("conv2d", (X, K), {"padding": "full"}, ValueError, "padding must be .*got 'full'"),
        ("conv2d", (X, ones(9, 3, 2, 6)), {"strides": 2}, ValueError,
         "kernel covers 9 elements along height but x has 4 there, padding included; give a larger x"),
        ("conv2d", (X[:, :2], K), {}, ValueError, "kernel covers 3 elements along height but x has 2 there"),
        ("conv2d", (X, K), {"activation": "rely"}, ValueError, "activation must be .*relu, .*got 'rely'"),
        ("conv2d", (X, K), {"activation": 3}, TypeError,
         "activation must be None, a name or a callable; got 3"),
        ("conv2d", (X, K), {"activation": lambda y: y[0]}, ValueError,
         r"activation must return an array of shape \(1, 2, 2, 6\); it returned float32 of .*\(2, 2, 6\)"),
        ("conv2d_transpose", (X, K), {}, ValueError, "kernel has 6 input channels but x has 2"),
        ("conv2d_transpose", (X, T), {"output_shape": (8, 8), "output_padding": 1}, ValueError,
         "output_shape and output_padding both choose"),
        ("conv2d_transpose", (X, T), {"output_shape": (8,)}, ValueError,
         r"output_shape must be \(Ho, Wo\) or \(N, Ho, Wo, Cout\); got \(8,\)"),
        ("conv2d_transpose", (X, T), {"output_shape": (2, 6, 6, 6)}, ValueError,
         r"output_shape \(2, 6, 6, 6\) must have x's batch 1 and 6 output channels"),
        ("conv2d_transpose", (X, T), {"output_shape": (6.0, 6)}, TypeError,
         "output_shape must be an integer; got 6.0"),
        ("conv2d_transpose", (X, T), {"output_shape": (6, 9), "strides": (1, 2)}, None, ""),
        ("conv2d_transpose", (X, T), {"output_shape": (7, 9), "strides": (1, 2)}, ValueError,
         "output_shape gives an output height of 7, .* x's height 4; possible sizes: 6 to 6"),
        ("conv2d_transpose", (X, T), {"output_shape": (6, 11), "strides": (1, 2)}, ValueError,
         "output width of 11, .* possible sizes: 9 to 10"),
        ("conv2d_transpose", (X, T), {"padding": 4}, ValueError,
         "padding gives an output height of -2, .* possible sizes: none, the padding crops all of it"),
        ("conv2d_transpose", (X, T), {"output_padding": 2, "strides": 2}, ValueError,
         r"output_padding must be smaller than the stride or the dilation \(2 along height\); got 2"),
        ("conv2d_transpose", (X, ones(4, 4, 6, 2)), {"output_padding": 0, "strides": 2, "padding": "same"},
         ValueError,
         "output_padding gives an output height of 6, .* possible sizes: 7 to 8"),
        ("conv2d_transpose", (X, T), {"groups": 4}, ValueError, "groups must divide"),
        ("depthwise_conv2d", (X, ones(3, 3, 3, 1)), {}, ValueError,
         "kernel has 3 input channels but x has 2"),
        ("depthwise_conv2d", (X, ones(3, 3, 2, 2), ones(2)), {}, ValueError, r"bias must have shape \(4,\)"),
        ("dense", (np.float32(1), ones(1, 1)), {}, ValueError, "x must have at least one axis"),
        ("dense", (ones(2, 3), ones(4, 5)), {}, ValueError,
         r"kernel must be \(K, M\) with K=3, .*got \(4, 5\)"),
        ("conv1d", (ones(1, 4, 2), K), {}, ValueError, "kernel must have 3 dimensions"),
        ("conv1d_transpose", (ones(1, 4, 2), ones(3, 1, 2)), {"output_shape": (1, 6)}, ValueError,
         r"output_shape must be Wo, \(Wo,\) or \(N, Wo, Cout\); got \(1, 6\)"),
    ],
)  # fmt: skip
def test_errors(function: str, operands: Any, options: Any, error: Any, message: str) -> None:
    call = getattr(reference, function)
    if error is None:  # the neighbour of a refused size
        call(*operands, **options)
        return
    with pytest.raises(error, match=message):
        call(*operands, **options)
