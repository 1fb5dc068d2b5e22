"""Initializers against those of TensorFlow 1 and Keras 3, golden/initializers_classes.npz; names; errors."""

import ast
import copy
import hashlib
import pickle
import random
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from convlite import initializers, layers
from convlite.initializers import Graph, keras3

with np.load(Path(__file__).parent / "golden" / "initializers_classes.npz") as archive:
    GOLDEN = dict(archive)
CLASSES = [key for key in GOLDEN if key.count(":") >= 4]
RANDOM = [
    "RandomUniform", "RandomNormal", "TruncatedNormal", "VarianceScaling", "GlorotUniform", "GlorotNormal",
    "XavierUniform", "XavierNormal", "HeUniform", "HeNormal", "LecunUniform", "LecunNormal", "Orthogonal",
]  # fmt: skip
PLAIN = ["Zeros", "Ones", "Constant", "Identity"]


@pytest.mark.parametrize("key", CLASSES)
def test_values_are_those_of_the_frameworks(key: str) -> None:
    source, name, rest = key.split(":", 2)
    arguments, shape, dtype = rest.rsplit(":", 2)
    module = keras3 if source == "keras3" else initializers
    seeds = {"graph_seed": 42} if source == "tf1_graph_seed" else {"seed": 3}
    got = getattr(module, name)(**ast.literal_eval(arguments), **seeds)(ast.literal_eval(shape), dtype=dtype)
    want = GOLDEN[key]
    assert got.dtype == want.dtype
    assert got.shape == want.shape
    if name == "Orthogonal":
        np.testing.assert_allclose(got, want, atol=2e-5 if dtype == "float32" else 1e-14)
    elif dtype == "float32" or "niform" in key.replace("untruncated", ""):
        np.testing.assert_array_equal(got, want)
    else:
        np.testing.assert_array_max_ulp(got, want, maxulp=4)


@pytest.mark.parametrize("key", [key for key in GOLDEN if key.startswith("keras3_seed:")])
def test_keras_seeds_wrap_around(key: str) -> None:
    got = keras3.RandomUniform(seed=int(key.split(":")[1]))(5)
    np.testing.assert_array_equal(got, GOLDEN[key])


def test_document_003() -> None:
    with Graph(seed=42):
        kernel = initializers.XavierUniform()((3, 3, 32, 32))
    np.testing.assert_array_equal(kernel.reshape(-1)[:5], GOLDEN["document_003"])
    np.testing.assert_array_equal(kernel, initializers.GlorotUniform(graph_seed=42)((3, 3, 32, 32)))
    np.testing.assert_array_equal(kernel, initializers.GlorotUniform(seed=0, graph_seed=42)((3, 3, 32, 32)))
    if sys.byteorder == "little":
        assert hashlib.sha256(kernel.tobytes()).digest() == GOLDEN["sha256:document_003"].tobytes()


def test_document_000() -> None:
    def custom_init(shape, dtype=np.float32, partition_info=None, seed=0):
        return initializers.random_normal(shape, dtype=dtype, seed=seed)

    kernel = initializers.get(custom_init)((1, 1, 1, 2))
    assert kernel.tolist() == [[[[np.float32(-0.3991576), np.float32(2.1044393)]]]]


def test_the_default_graph_seed() -> None:
    np.testing.assert_array_equal(
        initializers.random_normal(9, seed=5), initializers.random_normal(9, seed=5, graph_seed=87654321)
    )


def test_graphs_nest_and_end() -> None:
    first = initializers.random_normal(3, graph_seed=1, seed=0)
    second = initializers.random_normal(3, graph_seed=1, seed=1)
    with Graph(1) as outer:
        np.testing.assert_array_equal(initializers.random_normal(3), first)
        with Graph(2):
            np.testing.assert_array_equal(
                initializers.random_normal(3, seed=7), initializers.random_normal(3, graph_seed=2, seed=7)
            )
        with Graph():
            assert (initializers.random_normal(3) != second).all()
            np.testing.assert_array_equal(
                initializers.random_normal(3, seed=7),
                initializers.random_normal(3, graph_seed=87654321, seed=7),
            )
        np.testing.assert_array_equal(initializers.random_normal(3), second)
        # A graph seed of its own takes an operation out of the count.
        np.testing.assert_array_equal(initializers.random_normal(3, graph_seed=1), first)
    third = initializers.random_normal(3, graph_seed=1, seed=2)
    with outer:
        np.testing.assert_array_equal(initializers.random_normal(3), third)
    assert (initializers.random_normal(3) != initializers.random_normal(3)).all()


def test_a_graph_holds_for_its_own_thread() -> None:
    seen = []
    with Graph(1):
        thread = threading.Thread(target=lambda: seen.append(initializers.random_normal(3)))
        thread.start()
        thread.join()
        assert (seen[0] != initializers.random_normal(3)).all()


def test_a_graph_is_left_when_an_error_passes() -> None:
    with pytest.raises(ZeroDivisionError), Graph(1):
        raise ZeroDivisionError
    assert (initializers.random_normal(3) != initializers.random_normal(3)).all()


@pytest.mark.parametrize("name", RANDOM)
def test_without_a_seed_tensorflow_1_draws_anew_and_keras_3_repeats(name: str) -> None:
    shape = (4, 5)
    fresh = getattr(initializers, name)()
    assert (fresh(shape) != fresh(shape)).any()
    repeated = getattr(keras3, name)()
    np.testing.assert_array_equal(repeated(shape), repeated(shape))
    assert (repeated(shape) != getattr(keras3, name)()(shape)).any()


@pytest.mark.parametrize("name", RANDOM + PLAIN)
@pytest.mark.parametrize("module", [initializers, keras3], ids=["tf1", "keras3"])
def test_objects_are_values(module, name: str) -> None:
    kind = getattr(module, name)
    made = kind(seed=5) if name in RANDOM else kind()
    assert pickle.loads(pickle.dumps(made)) == made
    assert copy.deepcopy(made) == made
    assert eval(repr(made), vars(module)) == made
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(made))((2, 3)), made((2, 3)))


@pytest.mark.parametrize("name", RANDOM)
def test_keras_3_has_no_graph_seed(name: str) -> None:
    with pytest.raises(TypeError, match="graph_seed"):
        getattr(keras3, name)(graph_seed=1)


def test_plain_initializers() -> None:
    np.testing.assert_array_equal(initializers.Zeros()((2, 2)), np.zeros((2, 2), np.float32), strict=True)
    np.testing.assert_array_equal(initializers.Ones()(3, np.float64), np.ones(3), strict=True)
    np.testing.assert_array_equal(initializers.Constant(0.1)(2), np.full(2, 0.1, np.float32), strict=True)
    np.testing.assert_array_equal(
        initializers.Identity(2.0)((2, 3)), 2 * np.eye(2, 3, dtype=np.float32), strict=True
    )


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0), (2, 0, 3, 4), ()])
@pytest.mark.parametrize("name", RANDOM)
def test_empty_and_scalar_shapes(name: str, shape: tuple[int, ...]) -> None:
    initializer = getattr(initializers, name)(seed=1)
    if name == "Orthogonal" and len(shape) < 2:
        with pytest.raises(ValueError, match="shape must have at least 2 dimensions"):
            initializer(shape)
        return
    values = initializer(shape)
    assert values.shape == shape
    assert values.dtype == np.float32


@pytest.mark.parametrize("shape", [(4, 4), (7, 3), (2, 9), (3, 3, 2, 4)])
def test_orthogonal_is_orthogonal(shape: tuple[int, ...]) -> None:
    q = initializers.Orthogonal(gain=2.0, seed=1)(shape, dtype=np.float64).reshape(-1, shape[-1])
    product = q.T @ q if q.shape[0] >= q.shape[1] else q @ q.T
    np.testing.assert_allclose(product, 4 * np.eye(len(product)), atol=1e-12)


@pytest.mark.parametrize("name", RANDOM + PLAIN)
def test_get_knows_every_class_by_both_its_names(name: str) -> None:
    kind = getattr(initializers, name)
    snake = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")
    assert initializers.get(name) == initializers.get(snake) == initializers.get(kind) == kind()


def test_get_passes_objects_and_functions_through() -> None:
    made = keras3.HeNormal(seed=1)
    assert initializers.get(made) is made
    assert initializers.get(np.zeros) is np.zeros


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: initializers.get("glorot"),
            ValueError,
            "initializer must be one of zeros, .*; got 'glorot'",
        ),
        (lambda: initializers.get(np.ones(3)), TypeError, "initializer must be a name.*from_weights"),
        (lambda: initializers.get(None), TypeError, "initializer must be a name"),
        (lambda: initializers.random_normal((2, -1)), ValueError, r"shape\[1\] must be at least 0; got -1"),
        (lambda: initializers.random_normal(2.0), TypeError, "shape must be an integer; got 2.0"),
        (
            lambda: initializers.random_normal((2, None)),
            TypeError,
            r"shape\[1\] must be an integer; got None",
        ),
        (lambda: initializers.random_normal("23"), TypeError, "shape must be an integer; got '23'"),
        (
            lambda: initializers.random_normal(2, seed=1.5),
            TypeError,
            "seed must be an integer or None; got 1.5",
        ),
        (
            lambda: initializers.RandomNormal(graph_seed="1"),
            TypeError,
            "graph_seed must be an integer or None",
        ),
        (lambda: keras3.RandomNormal(seed="1"), TypeError, "seed must be an integer or None; got '1'"),
        (lambda: Graph(seed=0.5), TypeError, "seed must be an integer or None; got 0.5"),
        (
            lambda: initializers.Zeros()(2, dtype=np.int32),
            TypeError,
            "dtype must be float32 or float64; got int32",
        ),
        (lambda: initializers.VarianceScaling(scale=0), ValueError, "scale must be positive; got 0"),
        (
            lambda: initializers.VarianceScaling(mode="fan"),
            ValueError,
            "mode must be one of fan_in.*; got 'fan'",
        ),
        (
            lambda: keras3.VarianceScaling(distribution="x"),
            ValueError,
            "distribution must be one of.*; got 'x'",
        ),
        (lambda: initializers.Orthogonal()(3), ValueError, "at least 2 dimensions for Orthogonal; got "),
        (lambda: initializers.Identity()((1, 2, 2)), ValueError, "2 dimensions for Identity; got "),
    ],
)
def test_errors(call, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_one_seed_gives_the_weights_of_keras_3() -> None:
    """The seeds that Keras 3.15 drew after keras.utils.set_random_seed(42) for layers made in this order."""
    states = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        keras3.set_random_seed(42)
        made = [layers.Conv2D(4, 3), layers.BatchNormalization(), layers.Dropout(0.3), layers.Dropout(0.0)]
        made.append(layers.DepthwiseConv2D(3))
        separable = layers.SeparableConv2D(4, 3)
        seeds = [made[i]._initializers["kernel"].seed for i in (0, 4)]
        seeds += [part._initializers["kernel"].seed for part in (separable.depthwise, separable.pointwise)]
        assert seeds == [686579304, 26855093, 796233791, 295310486]
    finally:
        keras3.forget_random_seed()
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
    assert initializers.get("he_normal") == initializers.HeNormal()


def test_layers_keep_a_built_in_array_and_copy_a_custom_one() -> None:
    """Nobody else holds what these initializers make; a custom one may keep its array and write to it."""
    kept = np.ones((3, 4), np.float32)
    layer = layers.Dense(4, kernel_initializer=lambda shape, dtype: kept)
    layer.build((None, 3))
    kept[:] = 2
    assert np.array_equal(layer.kernel, np.ones((3, 4)))
    assert np.array_equal(layer(np.eye(3, dtype=np.float32)), np.ones((3, 4)))
    for kind in (*initializers._BY_NAME.values(), initializers.keras3.GlorotUniform):
        made = kind() if kind is not initializers.VarianceScaling else kind(2.0)
        twins = [layers.Dense(4, kernel_initializer=made) for _ in range(2)]
        for layer in twins:
            layer.build((None, 4))
            assert not layer.kernel.flags.writeable
            assert np.array_equal(layer(np.eye(4, dtype=np.float32)), layer.kernel)
        assert initializers.makes_anew(made)
        assert not np.may_share_memory(twins[0].kernel, twins[1].kernel)
