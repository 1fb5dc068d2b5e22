"""Live Keras models as networks. Keras itself, on any backend, is what they are compared with."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

if importlib.util.find_spec("tensorflow") is None and importlib.util.find_spec("torch") is not None:
    os.environ.setdefault("KERAS_BACKEND", "torch")
if all(importlib.util.find_spec(name) is None for name in ("tensorflow", "torch", "jax")):
    pytest.skip("Keras has no backend: Network.from_keras is not tested", allow_module_level=True)
keras = pytest.importorskip("keras", reason="keras is not installed: Network.from_keras is not tested")

from convlite.network.load import load  # noqa: E402
from convlite.network.load.keras import from_keras, read_keras  # noqa: E402
from convlite.network.network import Network  # noqa: E402

L = keras.layers
pytestmark = pytest.mark.filterwarnings("ignore")  # of Keras and its backend


def scattered(model: Any) -> Any:
    """Weights that no initialiser gives: every offset and statistic counts."""
    rng = np.random.default_rng(7)
    model.set_weights([rng.uniform(0.2, 0.8, w.shape).astype(w.dtype) for w in model.get_weights()])
    return model


def agree(model: Any, *arrays: np.ndarray, tolerance: float = 2e-5) -> Network:
    net = Network.from_keras(model)
    expected = model(arrays[0] if len(arrays) == 1 else list(arrays), training=False)
    expected = expected if isinstance(expected, (list, tuple)) else [expected]
    got = net(*arrays)
    got = got if isinstance(got, tuple) else (got,)
    assert len(got) == len(expected)
    for one, other in zip(got, expected, strict=True):
        wanted = keras.ops.convert_to_numpy(other)
        assert one.shape == wanted.shape
        assert np.abs(one - wanted).max() <= tolerance * max(np.abs(wanted).max(), 1e-3)
    return net


def random(*shape: int) -> np.ndarray:
    return np.random.default_rng(3).standard_normal(shape).astype(np.float32)


IMAGE, SEQUENCE, VECTOR = (2, 9, 8, 4), (2, 9, 4), (3, 6)
CASES: dict[str, tuple[tuple[int, ...], Any]] = {
    "conv2d same": (IMAGE, lambda: L.Conv2D(6, 3, strides=2, padding="same", activation="relu")),
    "conv2d dilated groups": (IMAGE, lambda: L.Conv2D(6, 3, dilation_rate=2, groups=2, activation="gelu")),
    "conv1d causal": (SEQUENCE, lambda: L.Conv1D(5, 3, padding="causal", dilation_rate=2)),
    "depthwise": (IMAGE, lambda: L.DepthwiseConv2D(3, depth_multiplier=2, padding="same", activation="silu")),
    "depthwise 1d": (SEQUENCE, lambda: L.DepthwiseConv1D(3, padding="same")),
    "separable": (IMAGE, lambda: L.SeparableConv2D(5, 3, depth_multiplier=2, padding="same")),
    "separable 1d": (SEQUENCE, lambda: L.SeparableConv1D(5, 3)),
    "transpose same": (IMAGE, lambda: L.Conv2DTranspose(5, 3, strides=2, padding="same", activation="tanh")),
    "transpose valid": (IMAGE, lambda: L.Conv2DTranspose(5, 4, strides=2)),
    "transpose 1d": (SEQUENCE, lambda: L.Conv1DTranspose(5, 4, strides=2, padding="same")),
    "dense": (VECTOR, lambda: L.Dense(4, activation="softmax")),
    "dense of images": (IMAGE, lambda: L.Dense(4, activation="elu")),
    "einsum dense": (SEQUENCE, lambda: L.EinsumDense("abc,ce->abe", output_shape=(None, 7), bias_axes="e")),
    "batch norm": (IMAGE, lambda: L.BatchNormalization()),
    "batch norm axis 1": (IMAGE, lambda: L.BatchNormalization(axis=1, scale=False)),
    "layer norm": (IMAGE, lambda: L.LayerNormalization()),
    "layer norm axes": (IMAGE, lambda: L.LayerNormalization(axis=[2, 3], center=False)),
    "group norm": (IMAGE, lambda: L.GroupNormalization(2)),
    "unit norm": (IMAGE, lambda: L.UnitNormalization(axis=-1)),
    "rescaling": (IMAGE, lambda: L.Rescaling(1 / 127.5, -1.0)),
    "normalization": (IMAGE, lambda: L.Normalization(mean=[1, 2, 3, 4], variance=[4, 3, 2, 1])),
    "max pool": (IMAGE, lambda: L.MaxPooling2D(3, 2, padding="same")),
    # Odd sides: where padding is uneven, Keras on torch repeats the border, on TensorFlow it leaves it out.
    "average pool": ((2, 9, 7, 4), lambda: L.AveragePooling2D(3, 2, padding="same")),
    "max pool 1d": (SEQUENCE, lambda: L.MaxPooling1D(2)),
    "average pool 1d": (SEQUENCE, lambda: L.AveragePooling1D(2)),
    "global average": (IMAGE, lambda: L.GlobalAveragePooling2D(keepdims=True)),
    "global max": (SEQUENCE, lambda: L.GlobalMaxPooling1D()),
    "flatten": (IMAGE, lambda: L.Flatten()),
    "reshape": (IMAGE, lambda: L.Reshape((4, -1))),
    "permute": (IMAGE, lambda: L.Permute((3, 1, 2))),
    "repeat": (VECTOR, lambda: L.RepeatVector(3)),
    "zero padding": (IMAGE, lambda: L.ZeroPadding2D(((1, 2), (0, 3)))),
    "zero padding 1d": (SEQUENCE, lambda: L.ZeroPadding1D((1, 2))),
    "cropping": (IMAGE, lambda: L.Cropping2D(((1, 0), (2, 1)))),
    "cropping 1d": (SEQUENCE, lambda: L.Cropping1D((1, 2))),
    "up sampling": (IMAGE, lambda: L.UpSampling2D((2, 3))),
    "up sampling bilinear": (IMAGE, lambda: L.UpSampling2D(2, interpolation="bilinear")),
    "up sampling 1d": (SEQUENCE, lambda: L.UpSampling1D(2)),
    "resizing": (IMAGE, lambda: L.Resizing(13, 5)),
    "relu of three numbers": (IMAGE, lambda: L.ReLU(max_value=1.0, negative_slope=0.1)),
    "relu with threshold": (IMAGE, lambda: L.ReLU(threshold=0.5)),
    "leaky relu": (IMAGE, lambda: L.LeakyReLU(negative_slope=0.2)),
    "prelu": (IMAGE, lambda: L.PReLU(shared_axes=[1, 2])),
    "elu": (IMAGE, lambda: L.ELU(0.7)),
    "softmax": (IMAGE, lambda: L.Softmax(axis=1)),
    "dropout": (IMAGE, lambda: L.SpatialDropout2D(0.5)),
    "lstm": (SEQUENCE, lambda: L.LSTM(5, return_sequences=True)),
    "lstm backwards": (SEQUENCE, lambda: L.LSTM(5, go_backwards=True, return_sequences=True)),
    "lstm last": (SEQUENCE, lambda: L.LSTM(5, go_backwards=True)),
    "gru": (SEQUENCE, lambda: L.GRU(5, return_sequences=True)),
    "gru reset before": (SEQUENCE, lambda: L.GRU(5, reset_after=False)),
    "rnn": (SEQUENCE, lambda: L.SimpleRNN(5)),
    "bidirectional": (SEQUENCE, lambda: L.Bidirectional(L.LSTM(5, return_sequences=True))),
    "bidirectional last": (SEQUENCE, lambda: L.Bidirectional(L.GRU(5), merge_mode="sum")),
}
CASES |= {
    f"activation {name}": (IMAGE, lambda name=name: L.Activation(name))
    for name in (
        "relu", "relu6", "sigmoid", "tanh", "softmax", "log_softmax", "softplus", "softsign", "silu", "mish",
        "selu", "elu", "celu", "exponential", "gelu", "hard_sigmoid", "hard_silu", "leaky_relu", "linear",
    )
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_layer_computes_what_keras_computes(name: str) -> None:
    shape, make = CASES[name]
    entry = keras.Input(shape[1:])
    layer = make()
    model = keras.Model(entry, layer(entry))
    if not name.startswith("normalization"):  # whose weights are statistics that are finished already
        scattered(model)
    agree(model, random(*shape))


def test_functional_shared_nested_and_with_several_ends() -> None:
    a, b = keras.Input((8, 8, 3), name="left"), keras.Input((8, 8, 3), name="right")
    shared = L.Conv2D(4, 3, padding="same", name="shared")
    inner_in = keras.Input((8, 8, 4))
    inner = keras.Model(inner_in, L.ReLU()(inner_in * 2.0 + 1.0), name="inner")
    tail = keras.Sequential([keras.Input((8, 8, 4)), L.MaxPooling2D(), L.Flatten(), L.Dense(3)], name="tail")
    x, y = inner(shared(a)), inner(shared(b))
    merged = [L.Add()([x, y]), L.Multiply()([x, y]), L.Subtract()([x, y]), L.Average()([x, y])]
    merged += [L.Maximum()([x, y]), L.Minimum()([x, y])]
    joined = L.Concatenate()(merged)
    model = scattered(keras.Model([a, b], [tail(x), joined]))
    graph = from_keras(model)
    assert [value.name for value in graph.inputs] == ["left", "right"]
    assert sum(name.startswith("shared/kernel") for name in graph.constants) == 1
    assert str(graph.inputs[0].shape) == "('batch', 8, 8, 3)"
    agree(model, random(2, 8, 8, 3), random(2, 8, 8, 3)[::-1].copy())


@pytest.mark.parametrize("axes", [1, (2, 1)])
def test_dot(axes: Any) -> None:
    a = keras.Input((4, 4))
    b = keras.Input((4, 4))
    agree(keras.Model([a, b], L.Dot(axes)([a, b])), random(2, 4, 4), random(2, 4, 4) + 1)


def test_states_of_recurrent_layers() -> None:
    x, h, c = keras.Input((6, 4)), keras.Input((5,)), keras.Input((5,))
    y, last_h, last_c = L.LSTM(5, return_state=True)(x, initial_state=[h, c])
    model = scattered(keras.Model([x, h, c], [y, last_h, last_c]))
    agree(model, random(2, 6, 4), random(2, 5), random(2, 5) + 1)


def test_embedding() -> None:
    ids = keras.Input((7,), dtype="int32")
    model = scattered(keras.Model(ids, L.GlobalAveragePooling1D()(L.Embedding(11, 3)(ids))))
    agree(model, np.arange(14, dtype=np.int32).reshape(2, 7) % 11)


def test_a_file_loads_through_keras(tmp_path: Path) -> None:
    model = scattered(keras.Sequential([keras.Input((4,)), L.Dense(3, activation="relu")]))
    path = tmp_path / "m.keras"
    model.save(path)
    x = random(2, 4)
    got = Network(read_keras(path))(x)
    np.testing.assert_allclose(got, keras.ops.convert_to_numpy(model(x)), rtol=1e-5, atol=1e-6)


def test_all_unknown_layers_are_named_at_once() -> None:
    class Own(L.Layer):
        def call(self, x: Any) -> Any:
            return x

    entry = keras.Input((6, 4))
    x = Own(name="mine")(entry)
    x = L.Masking(name="masked")(L.Dense(4)(x))
    y = L.Embedding(3, 2, mask_zero=True, name="ids")(keras.Input((4,), name="other"))
    other = y._keras_history.operation.input
    z = L.MultiHeadAttention(2, 3, name="heads")(entry, entry)
    with pytest.raises(ValueError, match="4 layers cannot be read") as refused:
        from_keras(keras.Model([entry, other], [x, y, z]))
    for name in ("Own 'mine'", "Masking 'masked'", "Embedding 'ids'", "MultiHeadAttention 'heads'"):
        assert name in str(refused.value)


def test_what_is_no_model() -> None:
    class Subclass(keras.Model):
        def call(self, x: Any) -> Any:
            return x

    with pytest.raises(ValueError, match="subclass"):
        from_keras(Subclass())
    with pytest.raises(TypeError, match="must be a Keras model; got a"):
        from_keras(3)


@pytest.mark.long
@pytest.mark.parametrize("name", ["MobileNetV2", "ResNet50", "EfficientNetB0", "DenseNet121", "Xception"])
def test_applications(name: str) -> None:
    model = getattr(keras.applications, name)(weights=None, classifier_activation=None)
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, L.BatchNormalization):
            gamma, beta, mean, variance = (w.shape for w in layer.get_weights())
            layer.set_weights(
                [
                    *(rng.uniform(0.8, 1.2, gamma), rng.normal(0, 0.1, beta)),
                    *(rng.normal(0, 0.1, mean), rng.uniform(0.8, 1.2, variance)),
                ]
            )
    net = agree(model, rng.random((1, *model.input_shape[1:])).astype(np.float32))
    assert not [node for node in net.graph.nodes if node.kind == "transpose"]


def test_what_is_given_in_place_of_a_model_is_told() -> None:
    with pytest.raises(TypeError, match=r"a file is read by convlite\.load\(path\)$"):
        from_keras("model.keras")
    model = keras.Sequential([keras.Input((4,)), L.Dense(2)])
    with pytest.raises(TypeError, match=r"a Keras model is read by Network\.from_keras\(model\)$"):
        load(model)


def test_a_layer_that_is_not_keras_s_own() -> None:
    class Twice(L.Layer):
        def call(self, x: Any) -> Any:
            return x * 2

    with pytest.raises(
        ValueError, match=r"Twice 'twice': this layer is not supported; it is not one of Keras's: make"
    ):
        from_keras(keras.Sequential([keras.Input((4,)), Twice(name="twice")]))
