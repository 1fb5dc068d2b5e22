"""No operation warns, whatever numbers it is given: infinities, NaN and overflow are results, not events."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import convlite as cl
from convlite import initializers, layers
from convlite.initializers import keras3

NUMBERS = (
    0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 3e38, -3e38, 1e-40, 1e-45, 1e300, -1e300, 5e-324, 88.0,
    -104.0,
)  # fmt: skip


def cast(values: Any, dtype: Any) -> np.ndarray:
    with np.errstate(all="ignore"):
        return np.array(values).astype(dtype)


def images(dtype: Any) -> np.ndarray:
    """Every pair of numbers, as the two channels of a pixel."""
    return cast(list(itertools.product(NUMBERS, NUMBERS)), dtype).reshape(1, 16, 16, 2)


def calls(x: np.ndarray, a: float, b: float) -> dict[str, Callable[[], Any]]:
    """Operations that take numbers beside x, with a and b in their places."""
    dtype = x.dtype
    one, va, vb = np.ones(2, dtype), cast([a, a], dtype), cast([b, b], dtype)
    kernel = np.stack([va, vb])[None, None]
    seeded = {
        f"{space.__name__}.{kind}": lambda space=space, kind=kind: getattr(space, kind)(a, b, seed=1)(
            (3,), dtype
        )
        for space in (initializers, keras3)
        for kind in ("RandomUniform", "RandomNormal", "TruncatedNormal")
    }
    return seeded | {
        "prelu": lambda: cl.prelu(x, va),
        "PReLU": lambda: cl.activations.PReLU(va)(x),
        "leaky_relu": lambda: cl.leaky_relu(x, a),
        "elu": lambda: cl.elu(x, a),
        "bias_add": lambda: cl.bias_add(x, va),
        "batch_norm": lambda: cl.batch_norm(x, va, vb, scale=va, offset=vb, epsilon=0.0),
        "batch_norm, huge epsilon": lambda: cl.batch_norm(x, va, vb, epsilon=1e300),
        "fold": lambda: cl.convert.fold_batch_norm(kernel, va, va, vb, gamma=va, beta=vb, epsilon=0),
        "BatchNormalization": lambda: layers.BatchNormalization.from_weights(va, vb, va, vb)(x),
        "ReLU": lambda: layers.ReLU(abs(a), abs(b), 0.5)(x) if a == a and b == b else None,
        "conv2d": lambda: cl.conv2d(x, kernel, va, activation="gelu"),
        "depthwise_conv2d": lambda: cl.depthwise_conv2d(x, kernel, np.concatenate([va, vb]), padding=1),
        "conv2d_transpose": lambda: cl.conv2d_transpose(x, kernel, vb, strides=2),
        "dense": lambda: cl.dense(x, kernel[0, 0], va, activation="softmax"),
        "Constant": lambda: initializers.Constant(a)((2,), dtype),
        "Identity": lambda: initializers.Identity(a)((2, 2), dtype),
        "reference": lambda: cl.reference.conv2d(x, kernel, one, activation="silu"),
    }  # fmt: skip


@pytest.mark.parametrize("events", ["warn", "raise"])
def test_operations_with_parameters_are_silent(dtype: np.dtype, events: Any) -> None:
    x = images(dtype)
    with np.errstate(all=events), warnings.catch_warnings():
        warnings.simplefilter("error")
        for a, b in itertools.product(NUMBERS, NUMBERS):
            for name, call in calls(x, a, b).items():
                try:
                    call()
                except (RuntimeWarning, FloatingPointError) as error:
                    raise AssertionError(f"{name} with {a} and {b}: {error}") from error


@pytest.mark.parametrize("events", ["warn", "raise"])
def test_operations_without_parameters_are_silent(dtype: np.dtype, events: Any) -> None:
    x = images(dtype)
    with np.errstate(all=events), warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in cl.activations.NAMES:
            cl.activate(x, name)
            cl.reference.dense(x, np.ones((2, 2), dtype), activation=name)
        for padding in ("valid", "same", 1):
            cl.max_pool2d(x, 2, padding=padding)
            cl.avg_pool2d(x, 2, padding=padding)
        cl.global_avg_pool2d(x)
        cl.global_max_pool2d(x)
        layers.Softmax(1)(x)


def test_images_are_resized_and_padded_in_silence(dtype: np.dtype) -> None:
    x = images(dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for size in ((7, 11), (40, 3), (1, 1)):
            cl.resize2d(x, size)
            cl.resize2d(x, size, method="nearest")
        cl.upsample2d(x, 2, method="bilinear")
        cl.pad2d(x, 1, mode="reflect")
