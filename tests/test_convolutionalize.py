"""Classifiers made fully convolutional slide as their windows do; folded batch norms compute the same."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from convlite import activations, convert, layers

Array = np.ndarray
DTYPE = np.float64  # so that a wrong weight cannot hide behind rounding
SIZE = (10, 12)


def random(shape: tuple[int, ...], seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=shape)


def built(
    steps: list[layers.Layer], shape: tuple[int, ...] = (*SIZE, 3), **options: Any
) -> layers.Sequential:
    """A model with random weights, variances among them positive."""
    model = layers.Sequential(steps, **options)
    model.build((None, *shape))
    new = {
        name: random(weight.shape, seed) for seed, (name, weight) in enumerate(model.named_weights().items())
    }
    model.assign({name: np.abs(value) if "variance" in name else value / 4 for name, value in new.items()})
    return model


def conv(filters: int = 4, size: int = 3, **options: Any) -> layers.Conv2D:
    return layers.Conv2D(filters, size, dtype=DTYPE, **options)


def dense(units: int, activation: Any = None, **options: Any) -> layers.Dense:
    return layers.Dense(units, activation, dtype=DTYPE, **options)


def norm(**options: Any) -> layers.BatchNormalization:
    return layers.BatchNormalization(dtype=DTYPE, **options)


def prelu(*axes: int) -> layers.PReLU:
    return layers.PReLU(shared_axes=axes, dtype=DTYPE)


# name: (the layers, the product of their strides)
CLASSIFIERS: dict[str, tuple[Callable[[], list[layers.Layer]], int]] = {
    "dense only": (lambda: [layers.Flatten(), dense(5)], 1),
    "HWC": (lambda: [conv(activation="relu"), layers.Flatten(), dense(5, "softmax")], 1),
    "CHW": (lambda: [conv(strides=2), layers.Flatten("CHW"), dense(5, "tanh", use_bias=False)], 2),
    "an input layer": (lambda: [layers.InputLayer((*SIZE, 3)), conv(), layers.Flatten(), dense(5)], 1),
    "pooled": (
        lambda: [conv(), layers.MaxPooling2D(), conv(), norm(), layers.Flatten(), dense(5), layers.Softmax()],
        2,
    ),
    "deep head": (
        lambda: [
            conv(2), layers.Flatten(), dense(8, "relu"), layers.Dropout(0.5), norm(), dense(6), prelu(),
            layers.LeakyReLU(), dense(5), layers.Activation("softmax"),
        ],
        1,
    ),
    "elementwise between": (
        lambda: [
            conv(2), layers.Flatten("CHW"), layers.ReLU(), layers.Dropout(), layers.Activation("elu"),
            layers.LeakyReLU(0.1), layers.Flatten(), dense(5),
        ],
        1,
    ),
    "norms between": (
        lambda: [
            conv(2), layers.Flatten("CHW"), norm(), layers.Dropout(), norm(center=False),
            dense(5, use_bias=False),
        ],
        1,
    ),
    "a norm before activation": (
        lambda: [conv(2), layers.Flatten(), layers.ReLU(), norm(scale=False, epsilon=0.1), dense(5)],
        1,
    ),
    "a norm and its activation": (
        lambda: [conv(2, strides=2), layers.Flatten(), norm(), layers.ReLU(), dense(5, "tanh")],
        2,
    ),
    "a norm and its activation, CHW": (
        lambda: [
            conv(2, 7), layers.Flatten("CHW"), layers.Dropout(), norm(scale=False), layers.Activation("elu"),
            dense(5),
        ],
        1,
    ),
    "slopes for each place": (lambda: [conv(2, 7), layers.Flatten(), prelu(), dense(5, use_bias=False)], 1),
    "one slope": (lambda: [conv(2, 7), layers.Flatten(), norm(), prelu(1), dense(5)], 1),
    "everything between": (
        lambda: [
            conv(2, 7), layers.Flatten(), layers.ReLU(), norm(), prelu(), layers.Dropout(),
            norm(center=False), layers.LeakyReLU(0.1), layers.Softmax(), layers.Flatten(), norm(),
            layers.Activation("softmax"), dense(5),
        ],
        1,
    ),
    "softmax of all features": (
        lambda: [conv(2, 7), layers.Flatten(), layers.Softmax(1), dense(5), norm()],
        1,
    ),
    "MobileNet's head": (
        lambda: [
            conv(), layers.GlobalAveragePooling2D(keepdims=True), layers.Dropout(), conv(5, 1),
            layers.Reshape((5,)), layers.Softmax(),
        ],
        1,
    ),
    "MobileNet's older head": (
        lambda: [
            conv(), layers.GlobalAveragePooling2D(), layers.Reshape((1, 1, 4)), conv(5, 1),
            layers.Reshape((-1,)), layers.Activation("softmax"),
        ],
        1,
    ),
    "norms of a pixel's channels": (
        lambda: [
            conv(), layers.LayerNormalization(dtype=DTYPE), layers.UnitNormalization(), layers.Flatten(),
            dense(5),
        ],
        1,
    ),
    "Reshape for Flatten": (
        lambda: [conv(2), layers.Reshape((-1,)), norm(), dense(5), layers.Reshape((5,))],
        1,
    ),
    "Flatten of one pixel": (
        lambda: [
            conv(), layers.GlobalMaxPooling2D(keepdims=True), layers.Flatten("CHW"), prelu(),
            layers.Softmax(),
        ],
        1,
    ),
    "features of many kinds": (
        lambda: [
            layers.Cropping2D(((1, 0), (0, 1))), conv(use_bias=False), prelu(1, 2), layers.UpSampling2D(2),
            layers.AveragePooling2D(2), layers.SeparableConv2D(4, 2, dtype=DTYPE),
            layers.DepthwiseConv2D(2, dtype=DTYPE), dense(6), layers.Softmax(), layers.Flatten(), dense(5),
        ],
        1,
    ),
    "global average": (lambda: [conv(strides=2), layers.GlobalAveragePooling2D(), dense(5)], 2),
    "global maximum": (
        lambda: [conv(), layers.GlobalMaxPooling2D(keepdims=True), layers.Flatten("CHW"), dense(5)],
        1,
    ),
    "pooling only": (lambda: [conv(), layers.GlobalAveragePooling2D()], 1),
    "nested": (
        lambda: [
            layers.Sequential([conv(2), layers.ReLU()], name="features"),
            layers.Sequential([layers.Flatten(), dense(5), dense(3)], name="head"),
        ],
        1,
    ),
}  # fmt: skip


def slide(model: layers.Sequential, image: Array, stride: int) -> Array:
    """What the classifier says to each window of the image, cut out."""
    rows, columns = (range(0, n - size + 1, stride) for n, size in zip(image.shape[1:3], SIZE, strict=True))
    windows = [image[:, i : i + SIZE[0], j : j + SIZE[1]] for i, j in itertools.product(rows, columns)]
    return np.stack([model(window) for window in windows], axis=1).reshape(
        len(image), len(rows), len(columns), -1
    )


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_the_network_slides_as_its_windows_do(name: str) -> None:
    make, stride = CLASSIFIERS[name]
    model = built(make())
    wide = convert.convolutionalize(model)
    image = random((2, SIZE[0] + 4, SIZE[1] + 6, 3), seed=99)
    want = slide(model, image, stride)
    got = wide(image)
    assert got.shape == want.shape
    np.testing.assert_allclose(got, want, rtol=1e-10, atol=1e-12)
    x = image[:, : SIZE[0], : SIZE[1]]
    np.testing.assert_allclose(wide(x)[:, 0, 0], model(x), rtol=1e-10, atol=1e-12)
    assert wide.input_shape == (None, None, None, 3)


def test_names_stay_and_the_model_is_left_alone() -> None:
    model = built([conv(2), layers.Flatten(), dense(4, name="fc"), dense(3)], name="digits")
    x = random((1, *SIZE, 3), 5)
    want, text = model(x), str(model)
    wide = convert.convolutionalize(model)
    assert wide.name == "digits"
    assert [name for name, _ in wide.steps] == ["conv2d", "fc", "dense"]
    assert [type(layer) for layer in wide] == [layers.Conv2D] * 3
    wide.set_weights([0 * weight for weight in wide.get_weights()])
    assert str(model) == text
    np.testing.assert_array_equal(model(x), want)


def test_a_parametric_activation_goes_along() -> None:
    model = built([layers.Flatten(), dense(4, activations.PReLU(np.array([0.1, 0.2, 0.3, 0.4]))), dense(2)])
    x = random((3, *SIZE, 3), 5)
    np.testing.assert_allclose(convert.convolutionalize(model)(x)[:, 0, 0], model(x), rtol=1e-12)


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        (lambda: [conv(), layers.Flatten()], "no Dense follows"),
        (
            lambda: [layers.Reshape((12, 10, 3)), layers.Flatten(), dense(5)],
            r"'reshape' \(Reshape\) makes \(None, 12, 10, 3\) of \(None, 10, 12, 3\): .*use Flatten",
        ),
        (lambda: [layers.Flatten(), layers.Reshape((1, 1, 360)), conv(5, 1)], r"'reshape' \(Reshape\) makes"),
        (
            lambda: [layers.Flatten(), layers.Activation(np.sort), dense(5)],
            "'activation' .*is not known to treat all features alike",
        ),
        (lambda: [layers.Flatten(), layers.Softmax(0), dense(5)], "only axis=-1, the features, can slide"),
        (lambda: [prelu(), layers.Flatten(), dense(5)], "slope for each position"),
        (
            lambda: [layers.InstanceNormalization(dtype=DTYPE), layers.Flatten(), dense(5)],
            r"\(InstanceNormalization\) looks at the whole image",
        ),
        (
            lambda: [layers.AdaptiveAveragePooling2D(2), layers.Flatten(), dense(5)],
            "looks at the whole image",
        ),
        (lambda: [layers.UnitNormalization((1, 2)), layers.Flatten(), dense(5)], "looks at the whole image"),
        (lambda: [layers.Softmax(1), layers.Flatten(), dense(5)], "only axis=-1, the channels, can slide"),
        (lambda: [layers.Flatten(), dense(5), layers.Softmax(0)], "only axis=-1, the features, can slide"),
        (lambda: [layers.Flatten(), dense(5), layers.Reshape((1, 5))], r"'reshape' \(Reshape\) makes .*1, 5"),
    ],
)
def test_what_cannot_slide_is_named(steps: Callable[[], list[layers.Layer]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        convert.convolutionalize(built(steps()))


def test_a_kernel_that_would_be_too_large_is_refused_with_the_reason() -> None:
    model = layers.Sequential(
        [layers.Conv2D(8, 1), layers.Flatten(), layers.BatchNormalization(), layers.ReLU(), layers.Dense(1)]
    )
    model.build((None, 64, 64, 1))
    with pytest.raises(
        ValueError,
        match=r"'batch_normalization' .* treats the 32768 features between 'flatten' and 'dense' differently "
        r"by place: that needs a kernel of 134217728 numbers",
    ):
        convert.convolutionalize(model)


def test_the_image_size_must_be_known() -> None:
    model = layers.Sequential([conv(), layers.GlobalAveragePooling2D(), dense(5)])
    with pytest.raises(ValueError, match=r"model must be built for its image size: call model\.build"):
        convert.convolutionalize(model)
    model.build((None, None, None, 3))
    with pytest.raises(ValueError, match=r"'global_average_pooling2d' .* needs the image size"):
        convert.convolutionalize(model)
    with pytest.raises(ValueError, match="model must take images"):
        convert.convolutionalize(built([dense(5)], (4,)))


IN_FRONT: dict[str, Callable[[], layers.Layer]] = {
    "Conv2D": lambda: conv(groups=3, filters=6),
    "Conv2D without bias": lambda: conv(use_bias=False),
    "Conv2D, linear": lambda: conv(activation="linear"),
    "Conv2DTranspose": lambda: layers.Conv2DTranspose(6, 3, 2, groups=3, dtype=DTYPE),
    "DepthwiseConv2D": lambda: layers.DepthwiseConv2D(3, depth_multiplier=2, dtype=DTYPE),
    "SeparableConv2D": lambda: layers.SeparableConv2D(4, 3, use_bias=False, dtype=DTYPE),
    "Dense": lambda: dense(4),
}


@pytest.mark.parametrize("name", IN_FRONT)
@pytest.mark.parametrize("options", [{}, {"scale": False}, {"center": False, "epsilon": 0.5}])
def test_a_batch_norm_folds_into_what_is_in_front(name: str, options: dict[str, Any]) -> None:
    model = built([IN_FRONT[name](), layers.Dropout(), norm(**options), layers.ReLU()], name="net")
    x = random((2, *SIZE, 3), 5)
    want = model(x)
    folded = convert.fold_batch_norms(model)
    assert [type(layer) for layer in folded] == [type(model[0]), layers.Dropout, layers.ReLU]
    np.testing.assert_allclose(folded(x), want, rtol=1e-10, atol=1e-12)
    np.testing.assert_array_equal(model(x), want)
    assert (folded.name, folded.input_shape) == (model.name, model.input_shape)


@pytest.mark.parametrize("kind", [layers.Conv1D, layers.Conv1DTranspose])
def test_a_batch_norm_folds_in_1d(kind: type[layers.Conv1D]) -> None:
    model = built([kind(6, 3, 2, groups=2, dtype=DTYPE), norm()], (9, 4))
    x = random((2, 9, 4), 5)
    folded = convert.fold_batch_norms(model)
    assert len(folded) == 1
    np.testing.assert_allclose(folded(x), model(x), rtol=1e-10, atol=1e-12)


def test_several_batch_norms_fold_one_after_the_other() -> None:
    model = built([conv(), norm(), norm(), conv(use_bias=False), norm()])
    x = random((2, *SIZE, 3), 5)
    folded = convert.fold_batch_norms(model)
    assert [name for name, _ in folded.steps] == ["conv2d", "conv2d_1"]
    np.testing.assert_allclose(folded(x), model(x), rtol=1e-10, atol=1e-12)


def test_a_batch_norm_behind_anything_else_stays() -> None:
    model = built([norm(), conv(activation="relu"), norm(), layers.MaxPooling2D(), norm()])
    x = random((2, *SIZE, 3), 5)
    folded = convert.fold_batch_norms(model)
    assert [type(layer) for layer in folded] == [type(layer) for layer in model]
    np.testing.assert_array_equal(folded(x), model(x))


def test_folding_needs_weights() -> None:
    with pytest.raises(ValueError, match="model must have its weights; 'conv2d' has none"):
        convert.fold_batch_norms(layers.Sequential([conv(), norm()]))
    bare = layers.Sequential(
        [
            layers.Conv2D.from_weights(random((3, 3, 3, 2))),
            layers.BatchNormalization.from_weights(None, *random((3, 2)) ** 2),
        ]
    )
    x = random((1, 5, 5, 3))
    folded = convert.fold_batch_norms(bare)  # not built, and need not be
    np.testing.assert_allclose(folded(x), bare(x), rtol=1e-12, atol=1e-12)


def test_folded_and_convolutional_together() -> None:
    model = built([conv(), norm(), layers.ReLU(), layers.Flatten(), dense(6), norm(), dense(3)])
    both = convert.convolutionalize(convert.fold_batch_norms(model))
    assert [type(layer) for layer in both] == [layers.Conv2D, layers.ReLU, layers.Conv2D, layers.Conv2D]
    x = random((2, *SIZE, 3), 5)
    np.testing.assert_allclose(both(x)[:, 0, 0], model(x), rtol=1e-10, atol=1e-12)
