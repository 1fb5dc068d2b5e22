"""Activations: the table, the formulas, the edges of floating point, and the objects."""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from golden_cases import GoldenCase, golden_cases
from tolerance import tolerance

import convlite as cl
from convlite import _kernels, activations
from convlite.activations import (
    ALIASES,
    CELU,
    ELU,
    NAMES,
    HardShrink,
    LeakyReLU,
    PReLU,
    ReLU,
    SoftShrink,
    get,
)

ELEMENTWISE = [name for name in NAMES if not name.endswith("softmax")]


def clip(x: float, low: float, high: float) -> float:
    return min(max(x, low), high)


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


FORMULAS: dict[str, Callable[[float], float]] = {
    "linear": lambda x: x,
    "relu": lambda x: max(x, 0.0),
    "relu6": lambda x: clip(x, 0, 6),
    "leaky_relu": lambda x: x if x >= 0 else 0.2 * x,
    "elu": lambda x: x if x >= 0 else math.expm1(x),
    "sigmoid": sigmoid,
    "tanh": math.tanh,
    "silu": lambda x: x * sigmoid(x),
    "gelu": lambda x: x * math.erfc(-x / math.sqrt(2)) / 2,
    "gelu_tanh": lambda x: x / 2 * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "hard_sigmoid": lambda x: clip(x + 3, 0, 6) / 6,
    "hard_swish": lambda x: x * clip(x + 3, 0, 6) / 6,
    "softplus": lambda x: max(x, 0.0) + math.log1p(math.exp(-abs(x))),
    "log_sigmoid": lambda x: min(x, 0.0) - math.log1p(math.exp(-abs(x))),
    "selu": lambda x: 1.0507009873554805 * (x if x >= 0 else 1.6732632423543772 * math.expm1(x)),
    "celu": lambda x: x if x >= 0 else math.expm1(x),
    "mish": lambda x: x * math.tanh(max(x, 0.0) + math.log1p(math.exp(-abs(x)))),
    "softsign": lambda x: x / (1 + abs(x)),
    "exponential": lambda x: math.exp(x) if x < 709.7 else math.inf,
    "hard_tanh": lambda x: clip(x, -1, 1),
    "tanh_shrink": lambda x: x - math.tanh(x),
    "soft_shrink": lambda x: math.copysign(max(abs(x) - 0.5, 0.0), x),
    "hard_shrink": lambda x: 0.0 if abs(x) <= 0.5 else x,
}

SIZES = (0.0, 1e-30, 1e-4, 0.5, 1, 2.999, 3, 3.5, 6, 7, 15, 40, 87, 90, 110, 700)
VALUES = [*SIZES, *(-v for v in SIZES)]


# ---- the table ---------------------------------------------------------------------------------------------


def test_codes_are_those_of_the_kernels() -> None:
    assert _kernels.activation_codes() == activations.CODES


def test_every_name_has_a_formula_here_and_in_the_reference() -> None:
    assert set(FORMULAS) == set(ELEMENTWISE)
    for name in NAMES:
        cl.reference.dense([[1.0]], [[1.0]], activation=name)


@pytest.mark.parametrize("name", NAMES)
def test_names_stand_for_one_object(name: str) -> None:
    assert get(name) is get(name)
    assert get(get(name)) is get(name)
    assert callable(get(name))


def test_none_and_callables_stand_for_themselves() -> None:
    assert get(None) is None
    assert get(np.tanh) is np.tanh


@pytest.mark.parametrize("alias", ALIASES)
def test_aliases_stand_for_the_same_object(alias: str) -> None:
    assert alias not in NAMES
    assert get(alias) is get(ALIASES[alias])
    x = np.linspace(-4, 4, 9).reshape(9, 1)
    want = cl.reference.dense(x, np.ones((1, 1)), activation=alias)
    np.testing.assert_allclose(cl.dense(x, np.ones((1, 1)), activation=alias), want, rtol=1e-12, atol=1e-15)


def test_shrinks(isa: str, dtype: np.dtype) -> None:
    x = np.array([-np.inf, -3, -0.5, -0.1, -0.0, 0.0, 0.5, 0.75, np.inf, np.nan], dtype)
    np.testing.assert_array_equal(cl.hard_shrink(x, 0.5), [-np.inf, -3, 0, 0, 0, 0, 0, 0.75, np.inf, np.nan])
    np.testing.assert_array_equal(
        cl.soft_shrink(x, 0.5), [-np.inf, -2.5, 0, 0, 0, 0, 0, 0.25, np.inf, np.nan]
    )
    np.testing.assert_array_equal(cl.threshold(x, 0.5, 7), [7, 7, 7, 7, 7, 7, 7, 0.75, np.inf, np.nan])
    for kind in (HardShrink, SoftShrink):
        want = cl.reference.dense(x[1:9, None], np.ones((1, 1), dtype), activation=kind(0.25))[:-1]
        np.testing.assert_array_equal(kind(0.25)(x[1:8, None]), want)


@pytest.mark.parametrize("name", ["tanh_shrink", "soft_shrink", "hard_shrink", "log_softmax", "mish", "selu"])
def test_new_names_in_layers_pickle(name: str) -> None:
    layer = cl.layers.Dense(4, activation=name)
    layer.build((None, 3))
    x = np.linspace(-2, 2, 6, dtype=np.float32).reshape(2, 3)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(layer))(x), layer(x))
    np.testing.assert_array_equal(layer(x), cl.activate(cl.dense(x, layer.kernel, layer.bias), name))


# ---- formulas ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_formulas(isa: str, dtype: np.dtype, name: str) -> None:
    x = np.concatenate([np.array(VALUES), np.linspace(-12, 12, 1201)]).astype(dtype)
    want = np.array([FORMULAS[name](float(v)) for v in x])
    with np.errstate(over="ignore"):
        want = want.astype(dtype).astype(np.float64)  # infinite where it overflows
    got = cl.activate(x, name)
    assert got.dtype == dtype
    assert (np.isinf(got) == np.isinf(want)).all()
    x, got, want = x[np.isfinite(want)], got[np.isfinite(want)], want[np.isfinite(want)]
    scale = np.maximum(np.abs(x), 1).astype(
        np.float64
    )  # gelu and silu cancel: an error of x times one ulp of 1
    limits = tolerance(dtype, 0)
    np.testing.assert_array_less(np.abs(got - want), scale * limits["atol"] + np.abs(want) * limits["rtol"])


@pytest.mark.parametrize(
    "name", ["sigmoid", "tanh", "elu", "softplus", "selu", "celu", "softsign", "exponential", "mish"]
)
def test_small_results_keep_their_digits(isa: str, dtype: np.dtype, name: str) -> None:
    x = np.array([-30.0, -20.0, -10.0, -1.0, -1e-3, -1e-6], dtype)
    want = np.array([FORMULAS[name](float(v)) for v in x])
    np.testing.assert_allclose(cl.activate(x, name), want, rtol=8 * np.finfo(dtype).eps)


GOLDEN = golden_cases(
    "pointwise", "relu", "relu6", "leaky_relu", "elu", "sigmoid", "hard_sigmoid", "tanh", "softplus", "silu",
    "hard_swish", "gelu",
)  # fmt: skip


@pytest.mark.parametrize("case", GOLDEN)
def test_tensorflow_says_the_same(isa: str, case: GoldenCase) -> None:
    spec: Any = case.function
    if case.options:
        spec = {"leaky_relu": LeakyReLU, "elu": ELU}[case.function](**case.options)
    x = case.operands["x"]
    got = cl.activate(x, spec)
    assert (got.shape, got.dtype) == (case.want.shape, case.want.dtype)
    np.testing.assert_allclose(got, case.want, **tolerance(x.dtype, 1))


# ---- the edges ---------------------------------------------------------------------------------------------

LIMITS: dict[str, tuple[float, float]] = {  # of -inf and inf; x times a sigmoid of 0 is NaN, as in TensorFlow
    "linear": (-np.inf, np.inf),
    "relu": (0, np.inf),
    "relu6": (0, 6),
    "leaky_relu": (-np.inf, np.inf),
    "elu": (-1, np.inf),
    "sigmoid": (0, 1),
    "tanh": (-1, 1),
    "silu": (np.nan, np.inf),
    "gelu": (np.nan, np.inf),
    "gelu_tanh": (np.nan, np.inf),
    "hard_sigmoid": (0, 1),
    "hard_swish": (np.nan, np.inf),
    "softplus": (0, np.inf),
    "log_sigmoid": (-np.inf, 0),
    "selu": (-1.0507009873554805 * 1.6732632423543772, np.inf),
    "celu": (-1, np.inf),
    "mish": (np.nan, np.inf),
    "softsign": (np.nan, np.nan),
    "exponential": (0, np.inf),
    "hard_tanh": (-1, 1),
    "tanh_shrink": (-np.inf, np.inf),
    "soft_shrink": (-np.inf, np.inf),
    "hard_shrink": (-np.inf, np.inf),
}


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_infinities(isa: str, dtype: np.dtype, name: str) -> None:
    x = np.array([-np.inf, np.inf], dtype)
    np.testing.assert_allclose(
        cl.activate(x, name), np.array(LIMITS[name], dtype), rtol=1e-7 if name == "selu" else 0
    )
    want = cl.reference.dense(x[:, None], np.ones((1, 1), dtype), activation=name)[:, 0]
    np.testing.assert_allclose(cl.activate(x, name), want, rtol=1e-7 if name == "selu" else 0)


@pytest.mark.parametrize(
    "spec",
    [
        *ELEMENTWISE,
        ReLU(),
        ReLU(2.0),
        LeakyReLU(0.1),
        ELU(2.0),
        CELU(2.0),
        SoftShrink(0.1),
        HardShrink(0.1),
        "prelu",
    ],
    ids=repr,
)
@pytest.mark.parametrize("size", [1, 2, 3, 4, 7, 8, 15, 16, 17, 33])
def test_nan_travels_through(isa: str, dtype: np.dtype, spec: Any, size: int) -> None:
    if spec == "prelu":
        spec = PReLU(np.array(0.25, dtype))
    for place in range(size):
        x = np.full(size, 0.5, dtype)
        x[place] = np.nan
        got = cl.activate(x, spec)
        np.testing.assert_array_equal(np.isnan(got), np.isnan(x))


def test_nan_fills_the_rows_of_softmax_that_hold_it(dtype: np.dtype) -> None:
    x = np.array([[0, 1], [np.nan, 1], [np.inf, 1], [-np.inf, 1], [-np.inf, -np.inf]], dtype)
    with np.errstate(all="raise"):  # and nothing is said about it
        got = cl.activate(x, "softmax")
    # inf - inf is NaN, so a row's maximum must be finite
    np.testing.assert_array_equal(np.isnan(got).all(axis=1), [False, True, True, False, True])


@pytest.mark.parametrize(
    "name",
    ["linear", "leaky_relu", "elu", "tanh", "silu", "gelu", "hard_swish", "selu", "celu", "mish", "softsign"],
)
def test_minus_zero_stays(isa: str, dtype: np.dtype, name: str) -> None:
    assert np.signbit(cl.activate(np.array([-0.0], dtype), name)).all()


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_large_numbers_overflow_nowhere(isa: str, dtype: np.dtype, name: str) -> None:
    big = np.finfo(dtype).max / 8
    low, high = cl.activate(np.array([-big, big], dtype), name)
    with np.errstate(over="ignore"):
        limits = np.array(LIMITS[name], dtype)
    if name in ("exponential", "softsign"):
        assert high == (np.inf if name == "exponential" else 1)
    elif name not in ("hard_swish", "selu"):
        assert high == (big if np.isinf(limits[1]) else limits[1])
    assert not np.isnan(low)


# ---- objects -----------------------------------------------------------------------------------------------

OBJECTS: list[Any] = [
    ReLU(), ReLU(6), ReLU(max_value=1.5), LeakyReLU(), LeakyReLU(0.01), LeakyReLU(np.float32(0.3)), ELU(),
    ELU(2), CELU(), CELU(0.5), SoftShrink(0.1), HardShrink(0.1),
    PReLU(np.array([0.1, 0.2, 0.3], np.float32)), PReLU(np.float32(0.25)),
    *map(get, ELEMENTWISE),
]  # fmt: skip


@pytest.mark.parametrize("spec", OBJECTS, ids=repr)
def test_objects_survive_copies(spec: Any) -> None:
    x = np.linspace(-4, 8, 12, dtype=np.float32).reshape(4, 3)
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        twin = pickle.loads(pickle.dumps(spec, protocol))
        np.testing.assert_array_equal(twin(x), spec(x))
        assert repr(twin) == repr(spec)
    np.testing.assert_array_equal(copy.deepcopy(spec)(x), spec(x))
    np.testing.assert_array_equal(copy.copy(spec)(x), spec(x))


def test_objects_are_immutable() -> None:
    for spec in (ReLU(), LeakyReLU(), ELU()):
        for name in vars(spec):
            with pytest.raises(AttributeError):
                setattr(spec, name, 3.0)
    slopes = np.array([0.5, 0.25])
    for prelu in (PReLU(slopes), pickle.loads(pickle.dumps(PReLU(slopes), 2)), copy.deepcopy(PReLU(slopes))):
        assert not prelu.alpha.flags.writeable
    prelu = PReLU(slopes)
    slopes[:] = 99
    assert prelu.alpha.tolist() == [0.5, 0.25]


def test_values_are_equal_and_hash_alike() -> None:
    assert LeakyReLU(0.1) == LeakyReLU(0.1) != LeakyReLU(0.2)
    assert len({ReLU(6), ReLU(6.0), ELU()}) == 2


@pytest.mark.parametrize("shape", [(), (1,), (3,), (1, 3), (1, 1, 3)])
def test_shapes_of_slopes(isa: str, dtype: np.dtype, shape: tuple[int, ...]) -> None:
    slopes = (np.arange(1, math.prod(shape) + 1) / 4).astype(dtype).reshape(shape)
    x = np.linspace(-4, 4, 24).astype(dtype).reshape(2, 4, 3)
    np.testing.assert_array_equal(PReLU(slopes)(x), np.where(x < 0, x * slopes, x))


@pytest.mark.parametrize("shape", [(3, 1), (2, 3), (2, 1, 3)])
def test_slopes_for_anything_but_channels_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="alpha must have one slope per channel"):
        PReLU(np.ones(shape))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: ReLU(-1), ValueError, "max_value must be at least 0; got -1"),
        (lambda: ReLU(math.nan), ValueError, "max_value must be at least 0; got nan"),
        (lambda: ReLU("6"), TypeError, "max_value must be a number; got '6' (str)"),
        (lambda: LeakyReLU(True), TypeError, "alpha must be a number; got True (bool)"),
        (lambda: LeakyReLU(None), TypeError, "alpha must be a number; got None (NoneType)"),
        (lambda: ELU([1.0]), TypeError, "alpha must be a number; got [1.0] (list)"),
        (lambda: PReLU(1), TypeError,
         "alpha must be float32 or float64; got int64; write np.asarray(alpha, np.float32)"),
        (lambda: PReLU(None), TypeError, "alpha must be an array of float32 or float64; got None"),
        (lambda: SoftShrink(-1), ValueError, "threshold must not be negative; got -1.0"),
        (lambda: HardShrink(-1), ValueError, "threshold must not be negative; got -1.0"),
        (lambda: CELU(0), ValueError, "alpha must be above 0; got 0"),
        (lambda: get("rellu"), ValueError,
         "activation 'rellu' is unknown; did you mean 'relu'? "
         "there are linear, relu, relu6, leaky_relu, elu, sigmoid, tanh, "
         "silu, gelu, gelu_tanh, hard_swish, hard_sigmoid, softplus, log_sigmoid, selu, celu, mish, "
         "softsign, exponential, hard_tanh, tanh_shrink, soft_shrink, hard_shrink, softmax, log_softmax, "
         "objects such as LeakyReLU(0.1), and any callable"),
        (lambda: get("RELU"), ValueError,
         "activation 'RELU' is unknown; names are written in lower case: 'relu'"),
        (lambda: get("None"), ValueError, "activation 'None' is unknown; no activation is activation=None"),
        (lambda: get("prelu"), ValueError, "activation 'prelu' is unknown; it has parameters: give "
         "the layer PReLU, or activations.PReLU(slopes)"),
        (lambda: get(3), TypeError, "activation must be None, a name, an object or a callable; got 3"),
        (lambda: get(LeakyReLU), TypeError, "activation must be None, a name, an object or a callable; "
         "got <class 'convlite.activations.LeakyReLU'>: a class; give an object, LeakyReLU()"),
        (lambda: cl.activate(np.ones(3), PReLU(np.ones(2))), ValueError,
         "activation's alpha has 2 slopes but the output has 3 channels"),
        (lambda: cl.activate(np.ones(3), PReLU(np.ones(3, np.float32))), TypeError,
         "activation's alpha is float32 but the operands are float64; write alpha.astype(np.float64)"),
        (lambda: cl.activate(1.0, "softmax"), ValueError,
         "x must have at least 1 dimension for softmax; got a scalar"),
        (lambda: cl.activate([1, 2], "relu"), TypeError,
         "x must be float32 or float64; got int64; write np.asarray(x, np.float32)"),
    ],
)  # fmt: skip
def test_refusals(make: Any, error: Any, message: str) -> None:
    with pytest.raises(error) as caught:
        make()
    assert str(caught.value) == message


# ---- activate ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (5,), (2, 3, 4), (1024,), (2, 1024), (3, 700)])
@pytest.mark.parametrize("spec", ["relu", "tanh", PReLU(0.5)], ids=repr)
def test_any_shape(isa: str, shape: tuple[int, ...], spec: Any) -> None:
    x = np.linspace(-3, 3, math.prod(shape)).reshape(shape)
    before = x.copy()
    got = cl.activate(x, spec)
    want = {"relu": np.maximum(x, 0), "tanh": np.tanh(x)}.get(spec, np.where(x < 0, x * 0.5, x))  # type: ignore[arg-type]
    np.testing.assert_allclose(got, want, rtol=1e-14)
    assert got.shape == shape
    np.testing.assert_array_equal(x, before)
    assert cl.activate(x, spec, out=x) is x
    np.testing.assert_array_equal(x, got)


def test_out_of_activate() -> None:
    x = np.linspace(-3, 3, 12).reshape(3, 4)
    out = np.empty_like(x)
    assert cl.activate(x.T, "relu", out=out.reshape(4, 3)).base is out
    for bad, error in (
        (np.empty(5), ValueError),
        (np.empty((3, 4), np.float32), TypeError),
        ([0.0], TypeError),
    ):
        with pytest.raises(error, match=r"^out must"):
            cl.activate(x, "relu", out=bad)
    both = np.linspace(-1, 1, 9)
    before = both.copy()
    for x_part, out_part in ((both[:8], both[1:]), (memoryview(both[:8]), both[1:])):
        with pytest.raises(ValueError, match="out must not overlap"):
            cl.activate(x_part, "relu", out=out_part)
    with pytest.raises(ZeroDivisionError):
        cl.activate(both, lambda _: 1 // 0, out=both)
    np.testing.assert_array_equal(both, before)
