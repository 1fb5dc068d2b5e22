"""Every layer in a Model: its network against the plain interpreter and against the layer's own call."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tolerance import tolerance

import convlite as cl
from convlite import activations, layers
from convlite.layers.graph import RULES
from convlite.network.interpret import interpret

L = layers
IMAGE, SEQUENCE, VECTOR = (2, 9, 8, 4), (2, 9, 4), (3, 6)
Made = Callable[[np.dtype[Any]], layers.Layer]


def with_dtype(kind: Any, *arguments: Any, **options: Any) -> Made:
    return lambda dtype: kind(*arguments, **options, dtype=dtype)


def plain(kind: Any, *arguments: Any, **options: Any) -> Made:
    return lambda dtype: kind(*arguments, **options)


d, p = with_dtype, plain
CASES: dict[str, tuple[tuple[int, ...], Made]] = {
    "conv same": (IMAGE, d(L.Conv2D, 6, 3, strides=2, padding="same", activation="relu")),
    "conv same_lower": (IMAGE, d(L.Conv2D, 6, 4, strides=2, padding="same_lower")),
    "conv dilated groups": (IMAGE, d(L.Conv2D, 6, 3, dilation_rate=2, groups=2, activation="gelu")),
    "conv explicit": (IMAGE, d(L.Conv2D, 5, 3, padding=((2, 0), (1, 3)), use_bias=False)),
    "conv reflect": (IMAGE, d(L.Conv2D, 5, 3, padding="same", padding_mode="reflect")),
    "conv symmetric strided": (IMAGE, d(L.Conv2D, 5, 4, 3, padding="same", padding_mode="symmetric")),
    "conv circular": (IMAGE, d(L.Conv2D, 5, 3, padding=2, padding_mode="circular", activation="softmax")),
    "conv1d causal": (SEQUENCE, d(L.Conv1D, 5, 3, padding="causal", dilation_rate=2)),
    "conv1d replicate": (SEQUENCE, d(L.Conv1D, 5, 3, padding="same", padding_mode="replicate")),
    "depthwise": (IMAGE, d(L.DepthwiseConv2D, 3, depth_multiplier=2, padding="same", activation="silu")),
    "depthwise of one": ((2, 9, 8, 1), d(L.DepthwiseConv2D, 3, depth_multiplier=3)),
    "depthwise 1d": (SEQUENCE, d(L.DepthwiseConv1D, 3, padding="same", activation="relu6")),
    "separable": (IMAGE, d(L.SeparableConv2D, 5, 3, depth_multiplier=2, padding="same")),
    "separable 1d": (SEQUENCE, d(L.SeparableConv1D, 5, 3, activation="elu")),
    "transpose same": (IMAGE, d(L.Conv2DTranspose, 5, 3, strides=2, padding="same", activation="tanh")),
    "transpose same_lower": (IMAGE, d(L.Conv2DTranspose, 5, 4, strides=3, padding="same_lower")),
    "transpose same extra": (IMAGE, d(L.Conv2DTranspose, 5, 3, 2, padding="same", output_padding=1)),
    "transpose same even": (IMAGE, d(L.Conv2DTranspose, 5, 4, 3, padding="same", output_padding=1)),
    "transpose valid": (IMAGE, d(L.Conv2DTranspose, 5, 2, strides=3)),
    "transpose explicit": (IMAGE, d(L.Conv2DTranspose, 6, 4, 2, padding=1, output_padding=1, groups=2)),
    "transpose 1d": (SEQUENCE, d(L.Conv1DTranspose, 5, 4, strides=2, padding="same")),
    "dense": (VECTOR, d(L.Dense, 4, activation="softmax")),
    "dense of images": (IMAGE, d(L.Dense, 4, activation="elu")),
    "max pool": (IMAGE, p(L.MaxPooling2D, 3, 2, padding="same")),
    "max pool dilated": (IMAGE, p(L.MaxPooling2D, 2, 1, dilations=2)),
    "max pool ceil": (IMAGE, p(L.MaxPooling2D, 3, 2, ceil_mode=True)),
    "average pool": (IMAGE, p(L.AveragePooling2D, 3, 2, padding="same")),
    "average pool ceil": (IMAGE, p(L.AveragePooling2D, 3, 2, padding=1, ceil_mode=True)),
    "average pool counted": (IMAGE, p(L.AveragePooling2D, 3, 2, padding=1, count_include_pad=True)),
    "max pool 1d": (SEQUENCE, p(L.MaxPooling1D, 2, padding="same")),
    "average pool 1d": (SEQUENCE, p(L.AveragePooling1D, 3, 2, padding=(1, 0))),
    "global average": (IMAGE, p(L.GlobalAveragePooling2D, keepdims=True)),
    "global max": (IMAGE, p(L.GlobalMaxPooling2D)),
    "global average 1d": (SEQUENCE, p(L.GlobalAveragePooling1D)),
    "global max 1d": (SEQUENCE, p(L.GlobalMaxPooling1D, keepdims=True)),
    "adaptive average": (IMAGE, p(L.AdaptiveAveragePooling2D, (4, 3))),
    "adaptive max": (IMAGE, p(L.AdaptiveMaxPooling2D, (5, None))),
    "adaptive to one": (IMAGE, p(L.AdaptiveAveragePooling2D, 1)),
    "adaptive to a column": (IMAGE, p(L.AdaptiveMaxPooling2D, (1, 3))),
    "input layer": (IMAGE, p(L.InputLayer, (9, 8, 4))),
    "flatten": (IMAGE, p(L.Flatten)),
    "flatten CHW": (IMAGE, p(L.Flatten, "CHW")),
    "reshape": (IMAGE, p(L.Reshape, (6, -1, 2))),
    "permute": (IMAGE, p(L.Permute, (3, 1, 2))),
    "repeat": (VECTOR, p(L.RepeatVector, 3)),
    "upsampling": (IMAGE, p(L.UpSampling2D, (2, 3))),
    "upsampling bilinear": (IMAGE, p(L.UpSampling2D, 2, interpolation="bilinear")),
    "upsampling bicubic": (IMAGE, p(L.UpSampling2D, 2, interpolation="bicubic")),
    "upsampling 1d": (SEQUENCE, p(L.UpSampling1D, 3)),
    "resizing": (IMAGE, p(L.Resizing, 5, 13)),
    "resizing nearest": (IMAGE, p(L.Resizing, 6, 5, interpolation="nearest")),
    "resizing bicubic": (IMAGE, p(L.Resizing, 5, 13, interpolation="bicubic")),
    "resizing smooth": (IMAGE, p(L.Resizing, 4, 3, antialias=True)),
    "resizing bicubic smooth": (IMAGE, p(L.Resizing, 4, 3, "bicubic", antialias=True)),
    "resizing cropped": (IMAGE, p(L.Resizing, 4, 8, crop_to_aspect_ratio=True)),
    "resizing padded": (IMAGE, p(L.Resizing, 4, 8, pad_to_aspect_ratio=True, fill_value=0.5)),
    "zero padding": (IMAGE, p(L.ZeroPadding2D, ((1, 0), (2, 3)))),
    "zero padding 1d": (SEQUENCE, p(L.ZeroPadding1D, (2, 1))),
    "cropping": (IMAGE, p(L.Cropping2D, ((1, 0), (2, 1)))),
    "cropping 1d": (SEQUENCE, p(L.Cropping1D, (2, 1))),
    "reflection": (IMAGE, p(L.ReflectionPad2D, 2)),
    "replication": (IMAGE, p(L.ReplicationPad2D, ((3, 1), (0, 2)))),
    "circular": (IMAGE, p(L.CircularPad2D, 1)),
    "reflection 1d": (SEQUENCE, p(L.ReflectionPad1D, (2, 1))),
    "replication 1d": (SEQUENCE, p(L.ReplicationPad1D, 2)),
    "circular 1d": (SEQUENCE, p(L.CircularPad1D, (0, 3))),
    "dropout": (IMAGE, p(L.Dropout, 0.5)),
    "relu": (IMAGE, p(L.ReLU)),
    "relu capped": (IMAGE, p(L.ReLU, 0.75)),
    "relu 6": (IMAGE, p(L.ReLU, 6.0)),
    "relu slope": (IMAGE, p(L.ReLU, 1.0, 0.25)),
    "relu threshold": (IMAGE, p(L.ReLU, 1.5, 0.25, 0.5)),
    "relu threshold flat": (IMAGE, p(L.ReLU, threshold=0.5)),
    "leaky relu": (IMAGE, p(L.LeakyReLU, 0.1)),
    "lambda": (IMAGE, p(L.Lambda, lambda x: np.tanh(x[:, 1::2]) - x[:, :-1:2] / 2)),
    "elu": (IMAGE, p(L.ELU, 0.5)),
    "gelu": (IMAGE, p(L.GELU)),
    "gelu by tanh": (IMAGE, p(L.GELU, approximate=True)),
    "prelu": (IMAGE, d(L.PReLU, shared_axes=(1, 2))),
    "prelu everywhere": (IMAGE, d(L.PReLU)),
    "softmax": (IMAGE, p(L.Softmax)),
    "softmax of rows": (IMAGE, p(L.Softmax, 1)),
    "batch norm": (IMAGE, d(L.BatchNormalization)),
    "batch norm bare": (IMAGE, d(L.BatchNormalization, center=False, scale=False)),
    "layer norm": (IMAGE, d(L.LayerNormalization)),
    "layer norm axes": (IMAGE, d(L.LayerNormalization, axis=(1, 3), center=False)),
    "layer norm turned": (IMAGE, d(L.LayerNormalization, axis=(3, 2), scale=False)),
    "rms norm": (IMAGE, d(L.RMSNormalization)),
    "rms norm axis": (IMAGE, d(L.RMSNormalization, axis=1)),
    "group norm": (IMAGE, d(L.GroupNormalization, 2)),
    "group norm bare": (IMAGE, d(L.GroupNormalization, 4, center=False, scale=False)),
    "instance norm": (IMAGE, d(L.InstanceNormalization)),
    "unit norm": (IMAGE, p(L.UnitNormalization)),
    "unit norm axes": (IMAGE, p(L.UnitNormalization, axis=(1, 2))),
    "normalization": (IMAGE, d(L.Normalization, mean=[1.0, 2.0, 3.0, 4.0], variance=4.0)),
    "normalization weights": (IMAGE, d(L.Normalization)),
    "normalization inverted": (IMAGE, d(L.Normalization, mean=0.5, variance=2.0, invert=True)),
    "rescaling": (IMAGE, p(L.Rescaling, 1 / 127.5, offset=[-1.0, 0.0, 1.0, 2.0])),
    "depth to space": (IMAGE, p(L.DepthToSpace, 2)),
    "pixel shuffle": (IMAGE, p(L.PixelShuffle, 2)),
    "space to depth": ((2, 6, 8, 3), p(L.SpaceToDepth, 2)),
    "pixel unshuffle": ((2, 6, 8, 3), p(L.PixelUnshuffle, 2)),
    "channel shuffle": (IMAGE, p(L.ChannelShuffle, 2)),
    **{f"activation {name}": (IMAGE, p(L.Activation, name)) for name in activations.NAMES},
    "activation relu object": (IMAGE, p(L.Activation, activations.ReLU(0.5))),
    "activation leaky object": (IMAGE, p(L.Activation, activations.LeakyReLU(0.3))),
    "activation elu object": (IMAGE, p(L.Activation, activations.ELU(0.5))),
    "activation celu object": (IMAGE, p(L.Activation, activations.CELU(0.5))),
    "activation shrink objects": (IMAGE, p(L.Activation, activations.SoftShrink(0.25))),
    "activation hard shrink": (IMAGE, p(L.Activation, activations.HardShrink(0.25))),
    "activation of the package": (IMAGE, p(L.Activation, cl.hard_swish)),
    "activation of the caller": (IMAGE, p(L.Activation, lambda x: np.tanh(x) * 0.5 + x)),
    "activation none": (IMAGE, p(L.Activation, None)),
}


def scattered(layer: layers.Layer) -> None:
    """Weights that no initializer gives: every offset and statistic counts."""
    rng = np.random.default_rng(7)
    layer.set_weights([rng.uniform(0.2, 0.8, w.shape).astype(w.dtype) for w in layer.get_weights()])


def numbers(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    return np.random.default_rng(3).standard_normal(shape).astype(dtype)


def test_every_layer_has_a_case() -> None:
    tried = {type(made(np.dtype("float32"))) for _, made in CASES.values()}
    merging = {L.Add, L.Subtract, L.Multiply, L.Maximum, L.Minimum, L.Average, L.Concatenate, L.Dot}
    assert tried - set(RULES) == {L.SeparableConv1D, L.SeparableConv2D, L.Lambda}
    assert set(RULES) - tried == merging
    concrete = {
        kind
        for name in layers.__all__
        if isinstance(kind := getattr(layers, name), type) and issubclass(kind, L.Layer)
    }
    bases = {L.Layer, L.WeightedLayer, L.KernelLayer, L.Sequential, L.Model}
    assert concrete - bases == tried | merging


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", CASES)
def test_a_layer_in_a_model_is_the_layer(name: str, dtype: Any, tmp_path: Path) -> None:
    shape, made = CASES[name]
    layer, x = made(np.dtype(dtype)), numbers(shape, dtype)
    start = L.Input(shape[1:], dtype=dtype)
    end = layer(start)
    scattered(layer)
    model = L.Model(start, end)
    eager = layer(x)
    assert end.shape == (None, *eager.shape[1:])
    assert end.dtype == eager.dtype
    result = model(x)
    assert result.shape == eager.shape
    assert result.dtype == dtype
    largest = float(np.abs(eager).max())
    np.testing.assert_allclose(result, eager, **tolerance(dtype, 512, largest))
    (wanted,) = interpret(model._graph(), [x])
    np.testing.assert_allclose(result, wanted, **tolerance(dtype, 512, largest))
    model.save(tmp_path / "model.npz")
    np.testing.assert_array_equal(cl.load(tmp_path / "model.npz")(x), result)


FREE = {
    name
    for name, (shape, _) in CASES.items()
    if len(shape) > 2
    and not name.startswith(("reshape", "input layer", "prelu everywhere", "activation"))
    and name
    not in {
        "conv symmetric strided", "adaptive average", "adaptive max", "adaptive to a column",
        "resizing cropped", "resizing padded", "layer norm axes", "layer norm turned", "rms norm axis",
    }
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(FREE))
def test_sizes_may_be_free(name: str) -> None:
    shape, made = CASES[name]
    layer = made(np.dtype("float32"))
    start = L.Input((*[None] * (len(shape) - 2), shape[-1]))
    end = layer(start)
    scattered(layer)
    model = L.Model(start, end)
    for sizes in (shape[1:-1], tuple(size + 4 for size in shape[1:-1])):
        x = numbers((1, *sizes, shape[-1]), np.float32)
        eager = layer(x)
        assert len(end.shape) == eager.ndim
        assert all(a in (None, b) for a, b in zip(end.shape, eager.shape, strict=True))
        np.testing.assert_allclose(model(x), eager, **tolerance(np.float32, 512, float(np.abs(eager).max())))


@pytest.mark.parametrize("name", sorted(CASES))
def test_a_batch_of_none_gives_the_shape(name: str) -> None:
    shape, made = CASES[name]
    layer = made(np.dtype("float32"))
    start = L.Input(shape[1:])
    model = L.Model(start, layer(start))
    y = model(np.zeros((0, *shape[1:]), np.float32))
    assert y.shape == (0, *model.output_shape[1:])
