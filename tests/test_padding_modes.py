"""Padding modes in pad2d, pad1d and the layers, against convlite.reference and NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tolerance import tolerance

import convlite as cl
from convlite import layers, reference
from convlite._image_arguments import as_mode

RNG = np.random.default_rng(6)
# Every name and the deepest frame that an axis of 4 pixels allows.
NAMES = {"constant": 9, "zeros": 9, "reflect": 3, "REFLECT": 3, "symmetric": 4, "SYMMETRIC": 4, "edge": 9,
         "replicate": 9, "wrap": 4, "circular": 4}  # fmt: skip


@pytest.mark.parametrize("mode", NAMES)
def test_pad2d_is_the_definition(mode: Any, dtype: np.dtype) -> None:
    x = RNG.standard_normal((2, 4, 5, 3)).astype(dtype)
    for deep in range(NAMES[mode] + 1):
        pads = ((deep, max(deep - 2, 0)), (1, deep))
        got = cl.pad2d(x, pads, mode=mode)
        np.testing.assert_array_equal(got, reference.pad2d(x, pads, mode=mode), strict=True)
        np.testing.assert_array_equal(got[0], np.pad(x[0], (*pads, (0, 0)), as_mode(mode)))  # type: ignore


@pytest.mark.parametrize("mode", NAMES)
def test_pad1d_is_one_row(mode: Any) -> None:
    x = RNG.standard_normal((2, 4, 3))
    forms: list[tuple[Any, Any]] = [
        (0, (0, 0)),
        (1, (1, 1)),
        ((2, 3), (2, 3)),
        ([[0, 0], [1, 2], [0, 0]], (1, 2)),
    ]
    for padding, (before, after) in forms:
        want = cl.pad2d(x[:, None], ((0, 0), (before, after)), mode=mode)[:, 0]
        np.testing.assert_array_equal(cl.pad1d(x, padding, mode=mode), want)


@pytest.mark.parametrize("mode", ["reflect", "symmetric", "wrap", "circular"])
def test_a_frame_deeper_than_the_image_is_refused(mode: Any) -> None:
    deep, known = NAMES[mode] + 1, as_mode(mode)
    verb = "takes" if known == "wrap" else "mirrors"
    message = (
        rf"padding \(0, {deep}\) along axis 1 is too deep for mode='{known}': it {verb} at most {deep - 1}"
    )
    with pytest.raises(ValueError, match=message):
        cl.pad2d(np.ones((1, 4, 9, 1)), ((0, deep), (0, 0)), mode=mode)
    with pytest.raises(ValueError, match=message):
        cl.pad1d(np.ones((1, 4, 1)), (0, deep), mode=mode)


def test_other_errors() -> None:
    with pytest.raises(
        ValueError, match="value is for mode='constant'; mode='edge' takes its numbers from x"
    ):
        cl.pad2d(np.ones((1, 2, 2, 1)), 1, mode="edge", value=1.0)
    with pytest.raises(ValueError, match=r"padding must be numbers for pad1d, such as 1 or .*got 'same'"):
        cl.pad1d(np.ones((1, 2, 1)), "same")
    with pytest.raises(ValueError, match="x must have 3 dimensions"):
        cl.pad1d(np.ones((1, 2, 2, 1)), 1)
    with pytest.raises(ValueError, match=r"mode must be one of 'constant', .*'circular'; got None"):
        cl.pad2d(np.ones((1, 2, 2, 1)), 1, mode=None)  # type: ignore[arg-type]


# ---- layers ----------------------------------------------------------------------------------------------

MODES = {"reflect": "reflect", "replicate": "edge", "circular": "wrap", "symmetric": "symmetric"}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("padding", [1, (2, 0), ((0, 1), (2, 2)), "valid", "same", "same_lower"])
@pytest.mark.parametrize("strides", [1, 2])
def test_conv2d_pads_by_mode(mode: str, padding: Any, strides: int) -> None:
    x = RNG.standard_normal((2, 6, 7, 4)).astype(np.float32)
    layer = layers.Conv2D(3, (3, 4), strides, padding, groups=1, padding_mode=mode, activation="relu")
    layer.build((None, 6, 7, 4))
    assert layer.output_shape == layers.Conv2D(3, (3, 4), strides, padding).compute_output_shape(
        (None, 6, 7, 4)
    )
    before = {"same": cl.same_padding((6, 7), (3, 4), strides=strides), "valid": ((0, 0), (0, 0)),
              "same_lower": tuple(p[::-1] for p in cl.same_padding((6, 7), (3, 4), strides=strides)),
              "1": ((1, 1), (1, 1)), "(2, 0)": ((2, 2), (0, 0))}.get(str(padding), padding)  # fmt: skip
    framed = reference.pad2d(x, before, mode=mode)
    want = reference.conv2d(framed, *layer.get_weights(), strides=strides, activation="relu")
    np.testing.assert_allclose(layer(x), want, **tolerance(np.float32, 48, scale=float(np.abs(want).max())))
    assert layer(x).shape == layer.compute_output_shape(x.shape)
    if padding == "valid":
        return
    zeros = layers.Conv2D.from_weights(
        *layer.get_weights(), strides=strides, padding=padding, activation="relu"
    )
    assert np.abs(zeros(x) - layer(x)).max() > 1e-3


@pytest.mark.parametrize("mode", MODES)
def test_the_other_convolutions_pad_by_mode(mode: str) -> None:
    x = RNG.standard_normal((2, 6, 7, 4)).astype(np.float32)
    framed = reference.pad2d(x, (1, 2), mode=mode)
    depthwise = layers.DepthwiseConv2D(3, padding=(1, 2), padding_mode=mode)
    separable = layers.SeparableConv2D(5, 3, padding=(1, 2), padding_mode=mode)
    line = layers.Conv1D(5, 3, padding=(2, 1), padding_mode=mode)
    causal = layers.Conv1D(5, 3, padding="causal", padding_mode=mode)
    same = layers.Conv1D(5, 4, padding="same", padding_mode=mode)
    np.testing.assert_array_equal(depthwise(x), cl.depthwise_conv2d(framed, *depthwise.get_weights()))
    slim = layers.DepthwiseConv1D(3, padding=(2, 1), padding_mode=mode)
    row = np.pad(x[0], ((0, 0), (2, 1), (0, 0)), MODES[mode])  # type: ignore[call-overload]
    want = layers.DepthwiseConv1D(3)
    want.build((None, 9, 4))
    slim.build((None, 6, 4))
    want.set_weights(slim.get_weights())
    np.testing.assert_array_equal(slim(x[0]), want(row))
    first, second, bias = (separable(x), separable.get_weights())[1]
    want = cl.conv2d(cl.depthwise_conv2d(framed, first), second, bias)
    np.testing.assert_array_equal(separable(x), want)
    for layer, pads in ((line, (2, 1)), (causal, (2, 0)), (same, (1, 2))):
        row = np.pad(x[0], ((0, 0), pads, (0, 0)), MODES[mode])  # type: ignore[call-overload]
        np.testing.assert_array_equal(layer(x[0]), cl.conv1d(row, *layer.get_weights()))
        assert layer.output_shape == (None, *layer(x[0]).shape[1:])


def test_padding_mode_survives_copies_and_new_weights() -> None:
    import copy
    import pickle

    x = RNG.standard_normal((1, 5, 5, 2)).astype(np.float32)
    layer = layers.Conv2D(2, 3, padding=1, padding_mode="circular")
    want = layer(x)
    for twin in (copy.copy(layer), copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        np.testing.assert_array_equal(twin(x), want)
    other = layer.with_weights(*(2 * w for w in layer.get_weights()))
    np.testing.assert_array_equal(other(x), 2 * want)
    assert (layer.padding_mode, layers.Conv2D(2, 3).padding_mode) == ("wrap", "zeros")


def test_padding_mode_errors() -> None:
    # PyTorch has none there either: a transposed convolution's padding crops its output
    for layer in (layers.Conv2DTranspose, layers.Conv1DTranspose):
        with pytest.raises(TypeError, match=r"Conv.DTranspose has no argument 'padding_mode'"):
            layer(1, 3, padding=1, padding_mode="reflect")
    with pytest.raises(ValueError, match=r"padding_mode must be one of .*got 'mirror'"):
        layers.Conv2D(1, 3, padding=1, padding_mode="mirror")
    layer = layers.Conv2D(1, 7, padding=3, padding_mode="reflect")
    with pytest.raises(ValueError, match=r"padding \(3, 3\) along axis 1 is too deep for mode='reflect'"):
        layer.build((None, 3, 9, 1))
    assert not layer.built
    layer.build((None, None, None, 1))
    with pytest.raises(ValueError, match="too deep for mode='reflect'"):
        layer(np.ones((1, 3, 9, 1), np.float32))
    with pytest.raises(ValueError, match="x must have 4 dimensions"):
        layer(np.ones((3, 9, 1), np.float32))
    for frame, form in ((layers.ReflectionPad2D, "top, bottom"), (layers.CircularPad1D, "before, after")):
        with pytest.raises(ValueError, match=f"padding must be numbers, such as 1 or .*{form}.*got 'same'"):
            frame("same")
    with pytest.raises(ValueError, match="too deep for mode='wrap'"):
        layers.CircularPad2D(3).build((None, 2, 9, 1))
    for width in (3, 4):
        with pytest.raises(
            ValueError, match=f"cropping takes 4 from a size of {width}: nothing would be left"
        ):
            layers.Cropping1D((1, 3)).build((None, width, 1))
    with pytest.raises(
        ValueError, match=r"'zero_padding1d' has no pixel to work on in the shape \(None, 0, 3\)"
    ):
        layers.ZeroPadding1D(1)(np.ones((2, 0, 3), np.float32))
    with pytest.raises(ValueError, match=r"'resizing' has no pixel to work on"):
        layers.Resizing(2, 2).build((None, 0, 4, 3))
    with pytest.raises(ValueError, match="cropping must be numbers"):
        layers.Cropping1D("valid")


def test_resizing_errors() -> None:
    with pytest.raises(ValueError, match="crop_to_aspect_ratio and pad_to_aspect_ratio exclude each other"):
        layers.Resizing(2, 2, crop_to_aspect_ratio=True, pad_to_aspect_ratio=True)
    with pytest.raises(ValueError, match="fill_mode must be 'constant'"):
        layers.Resizing(2, 2, fill_mode="nearest")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"interpolation must be one of .*'area'"):
        layers.Resizing(2, 2, "area")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"x must be float32 or float64; got uint8; write x.astype"):
        layers.Resizing(2, 2)(np.ones((1, 4, 4, 3), np.uint8))
