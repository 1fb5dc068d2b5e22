"""Models written twice, here and with Keras: shapes, the order of layers and weights, values, seeds."""

from __future__ import annotations

import importlib.util
import os
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

if importlib.util.find_spec("tensorflow") is None and importlib.util.find_spec("torch") is not None:
    os.environ.setdefault("KERAS_BACKEND", "torch")
if all(importlib.util.find_spec(name) is None for name in ("tensorflow", "torch", "jax")):
    pytest.skip("Keras has no backend: Model is not compared with it", allow_module_level=True)
keras = pytest.importorskip("keras", reason="keras is not installed: Model is not compared with it")

from convlite import Network, initializers, layers  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # of Keras and its backend
Made = tuple[Any, Any]  # inputs, outputs


def branching(L: Any, Input: Any) -> Made:
    x = Input((9, 8, 3))
    a = L.Conv2D(4, 3, padding="same", activation="relu")(x)
    b = L.Conv2D(6, 1)(x)
    c = L.Conv2D(4, 5, padding="same")(b)
    d = L.Add()([a, c])
    e = L.Concatenate()([L.BatchNormalization()(d), b])
    return x, L.Dense(3, activation="softmax")(L.GlobalAveragePooling2D()(e))


def shared(L: Any, Input: Any) -> Made:
    x = Input((9, 8, 3))
    same = L.Conv2D(4, 3, padding="same", activation="relu")
    lift = L.Conv2D(3, 1)
    a = same(x)
    b = same(lift(x))
    gate = L.Dense(4, activation="sigmoid")(L.GlobalAveragePooling2D(keepdims=True)(a))
    both = L.Concatenate()([L.Multiply()([a, gate]), b])
    return x, [both, L.Dense(5)(L.GlobalMaxPooling2D()(both))]


def unet(L: Any, Input: Any) -> Made:
    x = y = Input((16, 16, 3))
    kept = []
    for filters in (4, 8):
        y = L.Conv2D(filters, 3, padding="same")(y)
        y = L.ReLU()(L.BatchNormalization()(y))
        kept.append(y)
        y = L.MaxPooling2D()(y)
    y = L.DepthwiseConv2D(3, padding="same", activation="relu")(y)
    for filters, skip in zip((8, 4), kept[::-1], strict=True):
        y = L.Conv2DTranspose(filters, 2, strides=2)(y)
        y = L.Conv2D(filters, 3, padding="same", activation="gelu")(L.Concatenate()([y, skip]))
    return x, L.Conv2D(1, 1, activation="sigmoid")(y)


def several(L: Any, Input: Any) -> Made:
    a, b, c = Input((6,)), Input((6,)), Input((4, 6))
    p, q = L.Dense(5)(a), L.Dense(5)(b)
    ends = [
        L.Average()([p, q, L.Dense(5)(a)]), L.Maximum()([p, q]), L.Minimum()([p, q]), L.Subtract()([q, p]),
        L.Dot(axes=(2, 1))([c, a]), L.Dot(axes=1, normalize=True)([p, q]), L.Multiply()([c, b]),
        p * 2.0 + q / 3.0 - 1.0,
    ]  # fmt: skip
    return [a, b, c], ends


def nested(L: Any, Input: Any) -> Made:
    kind = layers.Model if L is layers else keras.Model
    chain = layers.Sequential if L is layers else keras.Sequential
    i, j = Input((9, 8, 4)), Input((9, 8, 4))
    inner = kind([i, j], [L.Add()([L.Conv2D(4, 1)(i), j]), L.Subtract()([i, j])])
    body = chain([L.Conv2D(4, 3, padding="same"), L.LayerNormalization(), L.ELU()])
    x = Input((9, 8, 3))
    y = L.Conv2D(4, 1)(x)
    s, t = inner([body(y), y])
    u, _ = inner([t, body(s)])
    return x, L.SeparableConv2D(5, 3)(u)


MODELS: dict[str, Callable[[Any, Any], Made]] = {
    made.__name__: made for made in (branching, shared, unet, several, nested)
}


def both_of(name: str) -> tuple[layers.Model, Any]:
    ours = layers.Model(*MODELS[name](layers, layers.Input))
    theirs = keras.Model(*MODELS[name](keras.layers, keras.Input))
    return ours, theirs


def inputs_of(model: layers.Model, batch: int = 2) -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    return [rng.standard_normal((batch, *t.shape[1:])).astype(np.float32) for t in model.inputs]


def called(model: Any, arrays: list[np.ndarray]) -> list[np.ndarray]:
    result = model(arrays[0] if len(arrays) == 1 else arrays, training=False)
    results = result if isinstance(result, (list, tuple)) else [result]
    return [keras.ops.convert_to_numpy(one) for one in results]


@pytest.mark.parametrize("name", MODELS)
def test_layers_and_weights_come_in_keras_order(name: str) -> None:
    ours, theirs = both_of(name)
    kinds = [type(layer).__name__ for layer in theirs.layers]
    renamed = {"Functional": "Model"}
    assert [type(layer).__name__ for layer in ours.layers] == [renamed.get(kind, kind) for kind in kinds]
    assert [w.shape for w in ours.get_weights()] == [w.shape for w in theirs.get_weights()]
    assert ours.count_params() == theirs.count_params()
    shapes = theirs.output_shape if isinstance(theirs.output_shape, list) else [theirs.output_shape]
    assert [tensor.shape for tensor in ours.outputs] == [tuple(shape) for shape in shapes]


@pytest.mark.parametrize("name", MODELS)
def test_values_are_keras(name: str) -> None:
    ours, theirs = both_of(name)
    rng = np.random.default_rng(7)
    weights = [rng.uniform(0.1, 0.6, w.shape).astype(w.dtype) for w in theirs.get_weights()]
    theirs.set_weights(weights)
    ours.set_weights(weights)
    arrays = inputs_of(ours)
    expected = called(theirs, arrays)
    result: Any = ours(arrays if len(arrays) > 1 else arrays[0])
    results = result if isinstance(result, list) else [result]
    again = Network.from_keras(theirs)(*arrays)
    third = again if isinstance(again, tuple) else (again,)
    for one, two, wanted in zip(results, third, expected, strict=True):
        assert one.shape == wanted.shape
        largest = max(float(np.abs(wanted).max()), 1e-3)
        assert np.abs(one - wanted).max() <= 2e-5 * largest
        assert np.abs(one - two).max() <= 2e-5 * largest


@pytest.mark.parametrize("name", ["branching", "shared", "unet"])
def test_initializers_have_keras_seeds(name: str) -> None:
    """One global seed gives each kernel its own, drawn when its layer is made."""
    states = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        keras.utils.set_random_seed(11)
        theirs = keras.Model(*MODELS[name](keras.layers, keras.Input))
        initializers.keras3.set_random_seed(11)
        ours = layers.Model(*MODELS[name](layers, layers.Input))
    finally:
        initializers.keras3.forget_random_seed()
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
    drawn = []
    for one, other in zip(ours.layers, theirs.layers, strict=True):
        if isinstance(one, layers.KernelLayer):
            spec = getattr(other, "kernel_initializer", None) or other.depthwise_initializer
            drawn.append((one._initializers["kernel"].seed, spec.seed))
    assert len(drawn) > 3
    assert all(one == other for one, other in drawn)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda L, start: L.Add()([start((8, 8, 3)), start((8, 7, 3))]), "incompatible shapes"),
        (lambda L, start: L.Concatenate()([start((8, 8, 3)), start((8, 7, 3))]), "matching shapes"),
        (lambda L, start: L.Add()(start((8, 8, 3))), "list of inputs"),
        (lambda L, start: L.Dot(1)([start((4,)), start((5,))]), "Incompatible|incompatible"),
    ],
)
def test_what_keras_refuses_is_refused(call: Callable[[Any, Any], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(keras.layers, keras.Input)
    with pytest.raises((ValueError, TypeError), match="the layer '"):
        call(layers, layers.Input)
