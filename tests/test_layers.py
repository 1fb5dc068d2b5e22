"""Layers against the reference, their weights, shapes, copies and threads."""

import copy
import pickle
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import pytest
from tolerance import tolerance

import convlite as cl
from convlite import images, initializers, layers, pointwise, pooling, reference

Array = np.ndarray
Definition = Callable[..., Array]  # of x and the layer's weights in order


class Case(NamedTuple):
    make: Callable[..., layers.Layer]  # takes dtype where the layer has weights
    shape: tuple[int, ...]
    definition: Definition


def conv(operation: str, **options: Any) -> Definition:
    return lambda x, *weights: getattr(reference, operation)(x, *weights, **options)


def separable(x: Array, depthwise: Array, pointwise_kernel: Array, bias: Array) -> Array:
    between = reference.depthwise_conv2d(x, depthwise, strides=2, padding="same")
    return reference.conv2d(between, pointwise_kernel, bias)


# One case per class at least, and per option that the constructor passes on.
WEIGHTED = {
    "Conv2D": Case(lambda **k: layers.Conv2D(6, 3, **k), (2, 7, 8, 4), conv("conv2d")),
    "Conv2D-all": Case(
        lambda **k: layers.Conv2D(
            6, (3, 2), (2, 1), "same", dilation_rate=(1, 2), groups=2, activation="relu", use_bias=False, **k
        ),
        (2, 9, 8, 4),
        conv("conv2d", strides=(2, 1), padding="same", dilations=(1, 2), groups=2, activation="relu"),
    ),
    "Conv2D-pads": Case(
        lambda **k: layers.Conv2D(3, 3, padding=((2, 0), (1, 1)), **k),
        (1, 5, 5, 2),
        conv("conv2d", padding=((2, 0), (1, 1))),
    ),
    "Conv2DTranspose": Case(
        lambda **k: layers.Conv2DTranspose(6, 3, 2, "same", groups=2, **k),
        (2, 4, 5, 4),
        conv("conv2d_transpose", strides=2, padding="same", groups=2),
    ),
    "Conv2DTranspose-output_padding": Case(
        lambda **k: layers.Conv2DTranspose(3, 3, 2, output_padding=1, dilation_rate=2, **k),
        (1, 4, 5, 4),
        conv("conv2d_transpose", strides=2, output_padding=1, dilations=2),
    ),
    "DepthwiseConv2D": Case(
        lambda **k: layers.DepthwiseConv2D(3, 2, depth_multiplier=2, dilation_rate=2, activation="tanh", **k),
        (2, 9, 9, 3),
        conv("depthwise_conv2d", strides=2, dilations=2, activation="tanh"),
    ),
    "SeparableConv2D": Case(
        lambda **k: layers.SeparableConv2D(5, 3, 2, "same", depth_multiplier=2, **k), (2, 8, 8, 3), separable
    ),
    "Conv1D": Case(
        lambda **k: layers.Conv1D(6, 3, 2, "same", groups=2, dilation_rate=1, activation="relu6", **k),
        (2, 11, 4),
        conv("conv1d", strides=2, padding="same", groups=2, activation="relu6"),
    ),
    "Conv1D-causal": Case(
        lambda **k: layers.Conv1D(3, 3, padding="causal", dilation_rate=2, **k),
        (2, 9, 4),
        conv("conv1d", padding=(4, 0), dilations=2),
    ),
    "Conv1DTranspose": Case(
        lambda **k: layers.Conv1DTranspose(3, 4, 3, padding=(1, 2), **k),
        (2, 5, 4),
        conv("conv1d_transpose", strides=3, padding=(1, 2)),
    ),
    "Conv1DTranspose-output_padding": Case(
        lambda **k: layers.Conv1DTranspose(3, 4, 3, output_padding=2, **k),
        (2, 5, 4),
        conv("conv1d_transpose", strides=3, output_padding=2),
    ),
    "Dense": Case(lambda **k: layers.Dense(5, "softmax", **k), (3, 7), conv("dense", activation="softmax")),
    "Dense-image": Case(lambda **k: layers.Dense(5, **k), (2, 3, 4, 7), conv("dense")),
    "PReLU": Case(lambda **k: layers.PReLU("ones", shared_axes=(1, 2), **k), (2, 3, 4, 5), pointwise.prelu),
    "PReLU-positions": Case(lambda **k: layers.PReLU("ones", **k), (2, 3, 4, 5), pointwise.prelu),
    "BatchNormalization": Case(
        lambda **k: layers.BatchNormalization(epsilon=0.5, **k),
        (2, 3, 4, 5),
        lambda x, g, b, mean, var: pointwise.batch_norm(x, mean, var, gamma=g, beta=b, epsilon=0.5),
    ),
    "BatchNormalization-plain": Case(
        lambda **k: layers.BatchNormalization(center=False, scale=False, **k),
        (2, 5),
        lambda x, mean, var: pointwise.batch_norm(x, mean, var),
    ),
}  # fmt: skip

WEIGHTLESS = {
    "MaxPooling2D": Case(lambda: layers.MaxPooling2D(3, 2, "same"), (2, 7, 8, 3),
                         lambda x: pooling.max_pool2d(x, 3, strides=2, padding="same")),
    "AveragePooling2D": Case(lambda: layers.AveragePooling2D((2, 3)), (2, 7, 8, 3),
                             lambda x: pooling.avg_pool2d(x, (2, 3))),
    "GlobalMaxPooling2D": Case(layers.GlobalMaxPooling2D, (2, 7, 8, 3), pooling.global_max_pool2d),
    "GlobalAveragePooling2D": Case(lambda: layers.GlobalAveragePooling2D(keepdims=True), (2, 7, 8, 3),
                                   lambda x: pooling.global_avg_pool2d(x, keepdims=True)),
    "Flatten": Case(layers.Flatten, (2, 3, 4, 5), lambda x: x.reshape(2, -1)),
    "Flatten-CHW": Case(lambda: layers.Flatten("CHW"), (2, 3, 4, 5),
                        lambda x: x.transpose(0, 3, 1, 2).reshape(2, -1)),
    "Reshape": Case(lambda: layers.Reshape((6, -1)), (2, 3, 4, 5), lambda x: x.reshape(2, 6, 10)),
    "UpSampling2D": Case(lambda: layers.UpSampling2D((2, 3)), (2, 3, 4, 5),
                         lambda x: x.repeat(2, 1).repeat(3, 2)),
    "UpSampling2D-bilinear": Case(lambda: layers.UpSampling2D(2, interpolation="bilinear"), (2, 3, 4, 5),
                                  lambda x: images.resize2d(x, (6, 8))),
    "Resizing": Case(lambda: layers.Resizing(2, 7, "bicubic", antialias=True), (2, 3, 4, 5),
                     lambda x: images.resize2d(x, (2, 7), method="bicubic", antialias=True)),
    "ReflectionPad2D": Case(lambda: layers.ReflectionPad2D(((1, 2), (0, 3))), (2, 3, 4, 5),
                            lambda x: np.pad(x, ((0, 0), (1, 2), (0, 3), (0, 0)), "reflect")),
    "ReplicationPad1D": Case(lambda: layers.ReplicationPad1D((4, 1)), (2, 3, 4),
                             lambda x: np.pad(x, ((0, 0), (4, 1), (0, 0)), "edge")),
    "CircularPad2D": Case(lambda: layers.CircularPad2D((3, 1)), (2, 3, 4, 5),
                          lambda x: np.pad(x, ((0, 0), (3, 3), (1, 1), (0, 0)), "wrap")),
    "ZeroPadding1D": Case(lambda: layers.ZeroPadding1D((1, 2)), (2, 3, 4),
                          lambda x: np.pad(x, ((0, 0), (1, 2), (0, 0)))),
    "Cropping1D": Case(lambda: layers.Cropping1D((1, 2)), (2, 5, 4), lambda x: x[:, 1:3]),
    "ZeroPadding2D": Case(lambda: layers.ZeroPadding2D(((1, 2), (0, 3))), (2, 3, 4, 5),
                          lambda x: np.pad(x, ((0, 0), (1, 2), (0, 3), (0, 0)))),
    "Cropping2D": Case(lambda: layers.Cropping2D(((1, 0), (1, 2))), (2, 3, 4, 5), lambda x: x[:, 1:, 1:2]),
    "Dropout": Case(lambda: layers.Dropout(0.9), (2, 3), lambda x: x),
    "InputLayer": Case(lambda: layers.InputLayer((3, None)), (2, 3, 4), lambda x: x),
    "Activation": Case(lambda: layers.Activation("gelu"), (2, 3, 4), pointwise.gelu),
    "Activation-function": Case(lambda: layers.Activation(np.abs), (2, 3, 4), np.abs),
    "ReLU": Case(layers.ReLU, (2, 3, 4), lambda x: np.maximum(x, 0)),
    "ReLU-all": Case(lambda: layers.ReLU(1.0, 0.25, 0.5), (2, 30, 4),
                     lambda x: np.select([x >= 1, x >= 0.5], [np.ones_like(x), x], 0.25 * (x - 0.5))),
    "LeakyReLU": Case(layers.LeakyReLU, (2, 3, 4), lambda x: np.where(x < 0, x.dtype.type(0.3) * x, x)),
    "Softmax": Case(lambda: layers.Softmax(1), (2, 3, 4), lambda x: pointwise.softmax(x, 1)),
}  # fmt: skip

CASES = WEIGHTED | WEIGHTLESS


def random(shape: tuple[int, ...], dtype: Any, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def made(name: str, dtype: Any, seed: int = 0) -> tuple[layers.Layer, Array]:
    """The layer of a case with random weights (positive: one may be a variance), and an x for it."""
    case = CASES[name]
    x = random(case.shape, dtype, seed)
    if name in WEIGHTLESS:
        return case.make(), x
    layer = case.make(dtype=dtype)
    layer.build((None, *case.shape[1:]))
    layer.set_weights([np.abs(random(w.shape, dtype, 1 + i)) for i, w in enumerate(layer.get_weights())])
    return layer, x


@pytest.mark.parametrize("name", CASES)
def test_a_layer_computes_its_definition(name: str, dtype: np.dtype) -> None:
    layer, x = made(name, dtype)
    want = CASES[name].definition(x, *layer.get_weights())
    got = layer(x)
    assert got.dtype == dtype
    terms = max([w.size for w in layer.get_weights()], default=1)
    np.testing.assert_allclose(got, want, **tolerance(dtype, terms, float(np.abs(want).max())))


@pytest.mark.parametrize("name", CASES)
def test_output_shapes_are_known_before_the_call(name: str) -> None:
    layer, x = made(name, np.float32)
    shape = (None, *x.shape[1:])
    assert layer.compute_output_shape(x.shape) == layer(x).shape
    assert layer.compute_output_shape(shape) == (None, *layer(x).shape[1:])
    if name != "InputLayer":  # which knows its shape from the start
        assert (layer.input_shape, layer.output_shape) == (shape, layer.compute_output_shape(shape))
    assert layer(x[:0]).shape == (0, *layer(x).shape[1:])


@pytest.mark.parametrize("name", CASES)
def test_unknown_sizes_stay_unknown(name: str) -> None:
    case = CASES[name]
    if name == "PReLU-positions":
        with pytest.raises(ValueError, match="a slope for each position"):
            case.make().build((None, None, None, 5))
        return
    if len(case.shape) != 4:
        return
    layer = case.make()
    free = layer.compute_output_shape((None, None, None, case.shape[3]))
    fixed = layer.compute_output_shape((None, *case.shape[1:]))
    assert len(free) == len(fixed)
    assert all(size in (None, known) for size, known in zip(free, fixed, strict=True))


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("how", ["pickle", "buffers", "deepcopy", "copy"])
def test_copies_compute_the_same_and_stand_alone(name: str, how: str) -> None:
    layer, x = made(name, np.float32)
    want = layer(x)
    buffers: list[pickle.PickleBuffer] = []
    twin = {
        "pickle": lambda: pickle.loads(pickle.dumps(layer)),
        "buffers": lambda: pickle.loads(
            pickle.dumps(layer, protocol=5, buffer_callback=buffers.append), buffers=buffers
        ),
        "deepcopy": lambda: copy.deepcopy(layer),
        "copy": lambda: copy.copy(layer),
    }[how]()
    weights = layer.get_weights()
    if how == "buffers":
        assert len(buffers) == len(weights)  # no array goes through the byte stream
    np.testing.assert_array_equal(twin(x), want)
    twin.set_weights([2 * w for w in weights])
    np.testing.assert_array_equal(layer(x), want)
    assert (twin.name, twin.input_shape) == (layer.name, layer.input_shape)


@pytest.mark.parametrize("name", WEIGHTED)
def test_weights_are_copies_outside_and_read_only_inside(name: str) -> None:
    layer, x = made(name, np.float32)
    want, weights = layer(x), layer.get_weights()
    layer.set_weights(weights)
    for weight in weights:
        weight += 1
    np.testing.assert_array_equal(layer(x), want)
    for weight in layer.named_weights().values():
        with pytest.raises(ValueError, match="read-only"):
            weight[...] = 0
    assert layer.count_params() == sum(w.size for w in weights)
    assert list(layer.named_weights()) == layer.weight_names()


@pytest.mark.parametrize("name", WEIGHTED)
def test_weights_may_come_before_the_shape(name: str, dtype: np.dtype) -> None:
    layer, x = made(name, dtype)
    fresh = CASES[name].make(dtype=dtype)
    assert not fresh.built
    fresh.set_weights(layer.get_weights())
    assert fresh.built
    np.testing.assert_array_equal(fresh(x), layer(x))
    wider = (*x.shape[:-1], 2 * x.shape[-1])
    with pytest.raises(ValueError, match=r"holds an? \w+ of shape"):
        fresh.build(wider)


@pytest.mark.parametrize(
    ("kind", "kernel", "options"),
    [
        (layers.Conv2D, (3, 2, 2, 6), {"groups": 2, "strides": 2}),
        (layers.Conv2DTranspose, (3, 2, 3, 4), {"groups": 2, "output_padding": 0}),
        (layers.DepthwiseConv2D, (3, 2, 4, 2), {"padding": "same"}),
        (layers.Conv1D, (3, 2, 6), {"groups": 2, "padding": "causal"}),
        (layers.Conv1DTranspose, (3, 3, 4), {"groups": 2}),
        (layers.Dense, (4, 6), {"activation": "relu"}),
    ],
)
def test_from_weights_reads_the_sizes_off_the_kernel(
    kind: type[layers.KernelLayer], kernel: tuple[int, ...], options: dict[str, Any], dtype: np.dtype
) -> None:
    weight = random(kernel, dtype)
    outputs = 8 if kind is layers.DepthwiseConv2D else 6
    with_bias = kind.from_weights(weight, np.arange(outputs, dtype=dtype), **options)
    assert with_bias.dtype == dtype
    np.testing.assert_array_equal(with_bias.kernel, weight)
    plain = kind.from_weights(weight, name="mine", **options)
    assert (plain.bias, plain.use_bias, plain.name) == (None, False, "mine")
    x = random((2, *[9] * (plain.rank - 2 if plain.rank else 0), 4), dtype)
    zero = plain.with_weights(weight, np.zeros(outputs, dtype))
    np.testing.assert_array_equal(zero(x), with_bias.with_weights(weight)(x))
    assert plain.compute_output_shape(x.shape) == plain(x).shape


def test_separable_from_weights() -> None:
    first, second = random((3, 3, 4, 2), np.float64), random((1, 1, 8, 5), np.float64)
    layer = layers.SeparableConv2D.from_weights(first, second, padding="same")
    x = random((1, 5, 5, 4), np.float64)
    want = reference.conv2d(reference.depthwise_conv2d(x, first, padding="same"), second)
    np.testing.assert_allclose(layer(x), want, rtol=1e-12, atol=1e-12)
    assert layer.weight_names() == ["depthwise_kernel", "pointwise_kernel"]


def test_building_takes_the_initializers_numbers() -> None:
    init = initializers.GlorotUniform(seed=42)
    layer = layers.Conv2D(8, 3, kernel_initializer=init, bias_initializer="ones")
    layer.build((None, 9, 9, 4))
    np.testing.assert_array_equal(layer.kernel, initializers.GlorotUniform(seed=42)((3, 3, 4, 8)))
    np.testing.assert_array_equal(layer.bias, np.ones(8, np.float32))


def test_a_custom_initializer_is_a_function() -> None:
    def custom_init(shape: Any, dtype: Any = np.float32, partition_info: Any = None, seed: int = 0) -> Array:
        return initializers.random_normal(shape, dtype=dtype, seed=seed)

    layer = layers.Dense(2, kernel_initializer=custom_init)
    layer.build((None, 1))
    np.testing.assert_allclose(layer.kernel, [[-0.3991576, 2.1044393]], rtol=1e-6)
    wrong = layers.Dense(2, kernel_initializer=lambda shape, dtype: np.zeros(3))
    with pytest.raises(
        ValueError, match=r"kernel_initializer must give float32 of shape \(4, 2\).*got float64"
    ):
        wrong.build((None, 4))


def test_multiply_adds_count_one_sample() -> None:
    assert layers.Conv2D(8, 3, groups=2).multiply_adds((None, 10, 10, 4)) == 8 * 8 * 9 * 2 * 8
    assert layers.Conv2DTranspose(8, 3, 2).multiply_adds((5, 10, 10, 4)) == 10 * 10 * 9 * 4 * 8
    assert layers.DepthwiseConv2D(3, depth_multiplier=2).multiply_adds((None, 10, 10, 4)) == 8 * 8 * 9 * 8
    assert layers.SeparableConv2D(6, 3).multiply_adds((None, 10, 10, 4)) == 8 * 8 * (9 * 4 + 4 * 6)
    assert layers.Conv1D(6, 3).multiply_adds((None, 10, 4)) == 8 * 3 * 4 * 6
    assert layers.Dense(6).multiply_adds((None, 5, 4)) == 5 * 4 * 6
    assert layers.Conv2D(8, 3).multiply_adds((None, None, 10, 4)) is None
    assert layers.ReLU().multiply_adds((None, 4)) == 0


def test_nan_and_infinity_pass_through_relu() -> None:
    x = np.array([np.nan, np.inf, -np.inf])
    np.testing.assert_array_equal(layers.ReLU()(x), [np.nan, np.inf, 0.0])
    np.testing.assert_array_equal(layers.ReLU(threshold=1.0)(x), [np.nan, np.inf, 0.0])
    np.testing.assert_array_equal(layers.ReLU(6.0, 0.5)(x), [np.nan, 6.0, -np.inf])


def test_many_threads_build_a_layer_once() -> None:
    shapes = []

    def slow_init(shape: tuple[int, ...], dtype: Any) -> Array:
        shapes.append(shape)
        entered.wait(0.05)  # the others arrive meanwhile
        return random(shape, dtype)

    entered = threading.Event()
    layer = layers.Conv2D(4, 3, kernel_initializer=slow_init)
    x = random((1, 8, 8, 2), np.float32)
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: layer(x), range(16)))
    assert shapes == [(3, 3, 2, 4)]
    for result in results:
        np.testing.assert_array_equal(result, results[0])


def test_a_call_sees_all_new_weights_or_none() -> None:
    # kernel and bias are k and -9k, so any mixture of two generations is seen in the sum.
    layer = layers.Conv2D.from_weights(np.zeros((3, 3, 1, 1)), np.zeros(1))
    x = np.ones((1, 3, 3, 1))
    layer(x)
    stop = threading.Event()

    def keep_setting() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            layer.set_weights([np.full((3, 3, 1, 1), float(number)), np.full(1, -9.0 * number)])

    writer = threading.Thread(target=keep_setting)
    writer.start()
    try:
        with ThreadPoolExecutor(3) as pool:
            sums = list(pool.map(lambda _: layer(x).item(), range(300)))
    finally:
        stop.set()
        writer.join()
    assert set(sums) == {0.0}


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (layers.Conv2D, "conv2d"),
        (layers.Conv2DTranspose, "conv2d_transpose"),
        (layers.DepthwiseConv2D, "depthwise_conv2d"),
        (layers.MaxPooling2D, "max_pooling2d"),
        (layers.UpSampling2D, "up_sampling2d"),
        (layers.LeakyReLU, "leaky_re_lu"),
        (layers.PReLU, "p_re_lu"),
        (layers.Sequential, "sequential"),
    ],
)
def test_default_names_are_keras_names(kind: type[layers.Layer], name: str) -> None:
    arguments = {layers.Conv2D: (8, 3), layers.Conv2DTranspose: (8, 3), layers.DepthwiseConv2D: (3,)}
    assert kind(*arguments.get(kind, ())).name == name


def test_a_layer_keeps_its_name() -> None:
    assert layers.Dense(3, name="fc1").name == "fc1"


def conv2d(**options: Any) -> layers.Conv2D:
    return layers.Conv2D(8, 3, **options)


@pytest.mark.parametrize(
    ("action", "error", "message"),
    [
        (lambda: layers.Conv2D(2.5, 3), TypeError, "filters must be an integer"),
        (lambda: layers.Conv2D(0, 3), ValueError, "filters must be at least 1"),
        (lambda: layers.Conv2D(8, (3, 3, 3)), ValueError, "kernel_size"),
        (lambda: conv2d(padding="full"), ValueError, "padding must be"),
        (
            lambda: conv2d(groups=3),
            ValueError,
            "groups must divide the number of filters; got groups=3 and 8",
        ),
        (
            lambda: conv2d(groups=2).build((None, 9, 9, 3)),
            ValueError,
            "groups must divide the number of inputs",
        ),
        (lambda: conv2d(activation="rel"), ValueError, "'rel'"),
        (lambda: conv2d(kernel_initializer="glorot"), ValueError, "kernel_initializer: .*'glorot'"),
        (lambda: conv2d(bias_initializer=3), TypeError, "bias_initializer: "),
        (lambda: conv2d(dtype="float16"), TypeError, "dtype must be float32 or float64; got 'float16'"),
        (lambda: conv2d(dtype="no such"), TypeError, "dtype must be float32 or float64"),
        (lambda: conv2d(name="a/b"), ValueError, "name must be a string without slashes"),
        (lambda: conv2d(name=".."), ValueError, "not only dots"),
        (lambda: conv2d(units=3), TypeError, "Conv2D has no argument 'units'"),
        (
            lambda: conv2d().build((28, 28, 1)),
            ValueError,
            r"takes 4 axes \(batch, .*is the batch axis missing",
        ),
        (lambda: conv2d().build((None, 28, 28, None)), ValueError, "needs the number of channels"),
        (lambda: conv2d().build((None, -1, 28, 3)), ValueError, "input_shape must not be negative"),
        (lambda: conv2d().build(28), TypeError, "input_shape must be a sequence"),
        (lambda: conv2d().build((None, 1, 28, 3)), ValueError, "effective height 3 exceeds x's height 1"),
        (lambda: conv2d().get_weights(), ValueError, "Conv2D 'conv2d' has no weights yet"),
        (lambda: conv2d().count_params(), ValueError, "Conv2D 'conv2d' has no weights yet"),
        (
            lambda: conv2d().set_weights([np.zeros((3, 3, 1, 8))]),
            ValueError,
            r"2 weights \['kernel', 'bias'\]; got 1",
        ),
        (
            lambda: conv2d().set_weights([np.zeros((3, 3, 1, 8)), np.zeros(8)]),
            TypeError,
            r"weight 'conv2d/kernel' must be float32; got float64: cast it with np.asarray\(w, 'float32'\)",
        ),
        (
            lambda: layers.Conv2D.from_weights(np.zeros((3, 3, 1, 8)), np.zeros(7)),
            ValueError,
            r"weight 'conv2d/bias' must have shape \(8,\); got \(7,\)",
        ),
        (
            lambda: conv2d(use_bias=False, dtype="float64").set_weights([np.zeros(3)]),
            ValueError,
            "weight 'conv2d/kernel' must have more axes",
        ),
        (
            lambda: layers.Dense(10, dtype="float64", use_bias=False).set_weights([np.zeros((10, 64))]),
            ValueError,
            r"must have shape \(10, 10\); got \(10, 64\)",
        ),
        (
            lambda: conv2d().assign({"kernel": 0, "beta": 0}),
            ValueError,
            r"missing \['bias'\], unknown \['beta'\]",
        ),
        (lambda: conv2d()(np.zeros((9, 9, 3), np.float32)), ValueError, "takes 4 axes"),
        (
            lambda: conv2d()(np.zeros((1, 9, 9, 3), int)),
            TypeError,
            r"x must be float32 or float64; got int64",
        ),
        (lambda: conv2d()(np.zeros((1, 9, 9, 3))), TypeError, "x is float64 but the layer conv2d is float32"),
        (lambda: layers.Dense(3)(np.zeros(3)), ValueError, "Dense 'dense' takes at least 2 axes"),
        (lambda: layers.Flatten("WHC"), ValueError, "order must be 'HWC' or 'CHW'; got 'WHC'"),
        (lambda: layers.Reshape((-1, -1)), ValueError, "target_shape must not hold -1 more than once"),
        (
            lambda: layers.Reshape((5,)).build((None, 3, 4)),
            ValueError,
            r"must have as many numbers as a sample of x",
        ),
        (
            lambda: layers.UpSampling2D(2, interpolation="cubic"),
            ValueError,
            "interpolation must be one of 'nearest', 'bilinear', .*; got 'cubic'",
        ),
        (lambda: layers.ZeroPadding2D("same"), ValueError, "padding must be numbers"),
        (
            lambda: layers.Cropping2D(3).build((None, 5, 9, 1)),
            ValueError,
            "cropping takes 6 from a size of 5",
        ),
        (lambda: layers.Dropout(2), ValueError, "rate must lie between 0 and 1"),
        (lambda: layers.ReLU(-1.0), ValueError, "max_value must not be negative"),
        (lambda: layers.LeakyReLU(-0.1), ValueError, "negative_slope must not be negative"),
        (lambda: layers.PReLU(shared_axes=(0, 1)), ValueError, "shared_axes must be at least 1"),
        (
            lambda: layers.BatchNormalization(axis=1).build((None, 3, 4, 5)),
            ValueError,
            "axis must be the last one",
        ),
        (lambda: layers.BatchNormalization(epsilon=-1), ValueError, "epsilon must not be negative"),
        (
            lambda: layers.InputLayer((28, 28, 1))(np.zeros((2, 28, 28, 3))),
            ValueError,
            r"made for the shape .*got",
        ),
        (lambda: layers.Layer(), TypeError, "abstract"),
    ],
)
def test_errors_name_the_argument(action: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        action()


def test_a_kernel_in_pytorchs_layout_is_recognised() -> None:
    layer = conv2d(use_bias=False)
    layer.build((None, 9, 9, 4))
    with pytest.raises(
        ValueError, match=r"\(3, 3, 4, 8\); got \(8, 4, 3, 3\); .* looks like PyTorch's layout"
    ):
        layer.set_weights([np.zeros((8, 4, 3, 3), np.float32)])
    dense = layers.Dense(8, use_bias=False)
    dense.build((None, 4))
    with pytest.raises(ValueError, match=r"looks like PyTorch's layout: see convlite\.convert\.from_torch"):
        dense.set_weights([np.zeros((8, 4), np.float32)])


def test_a_failed_replacement_changes_nothing() -> None:
    layer, x = made("Conv2D", np.float32)
    want = layer(x)
    kernel, bias = layer.get_weights()
    with pytest.raises(ValueError, match="bias"):
        layer.set_weights([2 * kernel, bias[:-1]])
    np.testing.assert_array_equal(layer(x), want)


def test_byte_order_is_storage_not_dtype() -> None:
    layer = layers.Dense(2, use_bias=False)
    layer.set_weights([np.array([[1, 2], [3, 4]], ">f4")])
    assert layer(np.array([[1, 1]], np.float32)).tolist() == [[4, 6]]


def test_lists_are_arrays() -> None:
    layer = layers.Dense.from_weights([[1.0], [2.0]], [0.5])
    assert layer([[1.0, 1.0]]).tolist() == [[3.5]]
    assert layers.Flatten()([[[1.0], [2.0]]]).tolist() == [[1.0, 2.0]]


def test_a_layer_equals_the_operation_bit_for_bit(dtype: np.dtype) -> None:
    layer, x = made("Conv2D-all", dtype)
    assert isinstance(layer, layers.Conv2D)
    want = cl.conv2d(
        x, layer.kernel, strides=(2, 1), padding="same", dilations=(1, 2), groups=2, activation="relu"
    )
    np.testing.assert_array_equal(layer(x), want)


def test_a_normalization_by_given_numbers_takes_either_dtype(dtype: np.dtype) -> None:
    y = layers.Normalization(mean=[1.0, 2.0], variance=4.0)(np.array([[3.0, 8.0]], dtype))
    np.testing.assert_array_equal(y, np.array([[1.0, 3.0]], dtype), strict=True)
