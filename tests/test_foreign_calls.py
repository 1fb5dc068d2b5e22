"""Calls as other frameworks write them: taken where they mean the same, and told what to write where not."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import convlite as cl
from convlite import layers
from convlite._layouts import looks_foreign

X = np.zeros((1, 9, 9, 3), np.float32)
TORCH = np.zeros((64, 3, 7, 7), np.float32)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: layers.Conv2D(4, 3, stride=2),
            r"^Conv2D has no argument 'stride'; did you mean 'strides'\?",
        ),
        (lambda: layers.Conv2D(4), "^Conv2D: missing a required argument: 'kernel_size'"),
        (lambda: layers.Conv2D(4, 3, data_format="channels_first"), "^Conv2D: data_format is channels_last"),
        (
            lambda: layers.Dense(4, kernel_regularizer="l2"),
            "^Dense: kernel_regularizer acts in training only",
        ),
        (lambda: layers.MaxPooling2D(dtype="float16"), "^MaxPooling2D: dtype has no meaning"),
        (lambda: layers.Dense.from_weights([[1.0]])([[1.0, 2.0]], mask=1), "mask has no meaning"),
        (lambda: layers.Dense(1)([[1.0, 2.0]]), r"write np\.asarray\(x, np\.float32\)"),
        (
            lambda: cl.conv2d(X, np.zeros((3, 3, 3, 4), np.float32), 2),
            "^bias must be .* are keywords: write strides=2",
        ),
        (lambda: cl.batch_norm(X, 1, 2, scale=1, gamma=1), "^scale and gamma are names of the same argument"),
        (
            lambda: cl.conv2d(X.astype(np.float64) / 255, np.zeros((3, 3, 3, 4), np.float32)),
            r"write x\.astype",
        ),
    ],
)
def test_type_errors(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        call()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: cl.conv2d(X, X, padding=[0, 1, 2, 0]), r"write \(\(0, 2\), \(1, 0\)\) if they are ONNX's"),
        (lambda: layers.Cropping2D([0, 1, 2, 0]), r"\(\(2, 0\), \(0, 1\)\) if they are PyTorch's"),
        (lambda: cl.conv2d(X, np.zeros((3, 3, 4, 6), np.float32), groups=3), "each of the 3 groups of x"),
        (lambda: layers.Conv2D(64, 7).set_weights([TORCH, X[0, 0, 0]]), "looks like PyTorch's layout"),
        (lambda: layers.Conv2D(8, 3)(np.zeros((1, 3, 32, 32), np.float32)), "looks like NCHW"),
        (lambda: layers.Conv2D(8, 3)(np.zeros((1, 1, 28, 28), np.float32)), "looks like NCHW"),
        (lambda: layers.Dense(2)(np.ones((1, 2), np.float32), training=True), "training=True is refused"),
        (lambda: cl.conv1d(X[0], np.zeros((0, 3, 3), np.float32)), r"at least one tap; got \(0, 3, 3\)"),
    ],
)  # fmt: skip
def test_value_errors(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_keywords_that_change_nothing() -> None:
    convolution = layers.Conv2D(4, 3, input_shape=(9, 9, 3), data_format="channels_last", trainable=False)
    model = layers.Sequential([convolution, layers.Flatten(data_format=None), layers.Dense(2)])
    assert model.output_shape == (None, 2)
    np.testing.assert_array_equal(model(X, training=False), model.predict(X, verbose=0))
    assert layers.BatchNormalization(gamma_initializer="ones").scale


@pytest.mark.parametrize(
    ("operation", "kernel", "want"),
    [
        ("conv2d", (64, 3, 3, 3), True),
        ("conv2d", (9, 9, 3, 3), False),
        ("conv2d", (3, 3, 3, 3), False),
        ("conv2d", (31, 1, 1, 1), False),
        ("conv2d_transpose", (3, 16, 3, 3), True),
        ("conv2d", (64, 16, 3), True),
        ("conv2d", (80, 1, 128), False),
    ],
)
def test_kernels_that_fit_by_chance(operation: str, kernel: tuple[int, ...], want: bool) -> None:
    assert looks_foreign(operation, kernel) == want


def test_a_kernel_that_fits_by_chance_warns() -> None:
    with pytest.warns(UserWarning, match="looks like PyTorch's or ONNX's layout") as found:
        cl.conv2d(X, np.zeros((72, 3, 3, 3), np.float32), padding="same")
    assert found[0].filename == __file__
    with pytest.warns(UserWarning, match="Conv2D: the kernel of shape"):
        layers.Conv2D.from_weights(TORCH)


def test_help_names_every_option() -> None:
    for name in ("conv2d", "conv2d_transpose", "conv1d", "dense", "explain", "same_padding"):
        function = getattr(cl, name)
        text = inspect.getdoc(function)
        assert all(f"\n{word} : " in text for word in function.__kwdefaults__ or ()), name


def test_a_subclass_with_annotations_that_are_not_there_takes_any_keyword() -> None:
    class Mine(layers.Layer):
        def __init__(self, **options: NotThere) -> None:  # type: ignore[name-defined]  # noqa: F821
            super().__init__(**options)

        def call(self, x: Any) -> Any:
            return x

    assert Mine(name="mine", trainable=False).name == "mine"
    with pytest.raises(TypeError, match=r"^Mine has no argument 'labell'"):
        Mine(labell="mine")
