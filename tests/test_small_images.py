"""Images too small for a network: layers and functions refuse windows that are larger than the image."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import convlite as cl
from convlite import convert, layers

L = layers
Array = np.ndarray

# name: (the layer, the largest shape of one image that gives nothing; one pixel more gives something)
WINDOWS: dict[str, tuple[Callable[[], layers.Layer], tuple[int, ...], tuple[int, ...]]] = {
    "Conv2D": (lambda: L.Conv2D(4, 3), (2, 9, 2), (3, 9, 2)),
    "Conv2D across": (lambda: L.Conv2D(4, 3), (9, 2, 2), (9, 3, 2)),
    "Conv2D dilated": (lambda: L.Conv2D(4, 3, dilation_rate=3), (6, 9, 2), (7, 9, 2)),
    "Conv2D padded": (lambda: L.Conv2D(4, 5, padding=1), (2, 9, 2), (3, 9, 2)),
    "Conv2D strided": (lambda: L.Conv2D(4, 5, strides=4), (4, 9, 2), (5, 9, 2)),
    "Conv2D same": (lambda: L.Conv2D(4, 3, padding="same"), (0, 9, 2), (1, 9, 2)),
    "DepthwiseConv2D": (lambda: L.DepthwiseConv2D(3), (2, 9, 2), (3, 9, 2)),
    "SeparableConv2D": (lambda: L.SeparableConv2D(4, 3), (2, 9, 2), (3, 9, 2)),
    "Conv2DTranspose": (lambda: L.Conv2DTranspose(4, 3, 2), (0, 9, 2), (1, 9, 2)),
    "Conv2DTranspose cropped": (lambda: L.Conv2DTranspose(4, 2, padding=1), (1, 9, 2), (2, 9, 2)),
    "Conv1D": (lambda: L.Conv1D(4, 3), (2, 2), (3, 2)),
    "Conv1DTranspose": (lambda: L.Conv1DTranspose(4, 3), (0, 2), (1, 2)),
    "MaxPooling2D": (lambda: L.MaxPooling2D(3), (2, 9, 2), (3, 9, 2)),
    "AveragePooling2D": (lambda: L.AveragePooling2D((2, 4), strides=4), (9, 3, 2), (9, 4, 2)),
    "AveragePooling2D same": (lambda: L.AveragePooling2D(3, padding="same"), (0, 9, 2), (1, 9, 2)),
    "GlobalMaxPooling2D": (L.GlobalMaxPooling2D, (0, 9, 2), (1, 9, 2)),
    "GlobalAveragePooling2D": (lambda: L.GlobalAveragePooling2D(keepdims=True), (9, 0, 2), (9, 1, 2)),
    "Conv2D on padding": (lambda: L.Conv2D(4, 3, padding=2), (0, 9, 2), (1, 9, 2)),
    "ZeroPadding2D": (lambda: L.ZeroPadding2D(1), (9, 0, 2), (9, 1, 2)),
    "Flatten": (L.Flatten, (0, 9, 2), (1, 9, 2)),
    "Flatten CHW": (lambda: L.Flatten("CHW"), (9, 0, 2), (9, 1, 2)),
    "Cropping2D": (lambda: L.Cropping2D(2), (4, 9, 2), (5, 9, 2)),
}
NOTHING = (
    r"which is nothing: its (kernel|window) covers|has no pixel to work on|"
    r"nothing would be left|must have pixels|there is no output; give a larger x"
)


@pytest.mark.parametrize("name", WINDOWS)
def test_the_border_of_what_has_pixels(name: str) -> None:
    make, small, large = WINDOWS[name]
    new, built = make(), make()
    y = built(np.ones((1, *large), np.float32))
    assert 0 not in y.shape
    assert built.compute_output_shape((None, *large)) == (None, *y.shape[1:])
    x = np.ones((1, *small), np.float32)
    for action in (
        lambda: new.build((None, *small)),
        lambda: new.compute_output_shape((None, *small)),
        lambda: new.compute_output_shape((3, *small)),
        lambda: new(x),
        lambda: built(x),  # which was built for more
        lambda: built(np.concatenate([x, x])),
        lambda: built.build((None, *small)),
    ):
        with pytest.raises(ValueError, match=NOTHING):
            action()
    assert new.input_shape is None
    assert built.input_shape == (None, *large)
    np.testing.assert_array_equal(built(np.ones((1, *large), np.float32)), y)


@pytest.mark.parametrize("name", [name for name in WINDOWS if "pad" not in name])
def test_no_images_and_no_channels_are_defined(name: str) -> None:
    make, _, large = WINDOWS[name]
    layer = make()
    none = layer(np.ones((0, *large), np.float32))
    assert none.shape == layer.compute_output_shape((0, *large))
    if not isinstance(layer, L.WeightedLayer | L.SeparableConv2D):
        no_channels = (2, *large[:-1], 0)
        assert layer(np.ones(no_channels, np.float32)).shape == layer.compute_output_shape(no_channels)


@pytest.mark.parametrize(
    "head", [[L.GlobalAveragePooling2D], [L.GlobalMaxPooling2D], [L.Flatten], [lambda: L.Reshape((-1,))]]
)
def test_a_network_that_leaves_nothing_is_not_built(head: list[Callable[[], layers.Layer]]) -> None:
    def network() -> layers.Sequential:
        return L.Sequential(
            [L.Conv2D(4, 5), L.MaxPooling2D(2), L.Conv2D(4, 3), *(make() for make in head), L.Dense(2)]
        )

    x = np.ones((2, 8, 8, 1), np.float32)
    model = network()
    for action in (lambda: model.build((None, 8, 8, 1)), lambda: model(x), lambda: model.predict(x)):
        with pytest.raises(
            ValueError, match=r"Conv2D 'conv2d': kernel's effective height 3 exceeds x's height 2: "
        ) as caught:
            action()
        assert any("at the layer 'conv2d_1'" in note for note in caught.value.__notes__)
        assert not model.built
    larger = network()
    larger.build((None, 10, 10, 1))
    with pytest.raises(ValueError, match="Conv2D 'conv2d': kernel's effective height 3 exceeds"):
        larger(x)
    if not isinstance(larger[3], L.Reshape):
        with pytest.raises(ValueError, match="there is no output"):
            convert.convolutionalize(larger)(x)


def test_functions_refuse_windows_larger_than_the_image() -> None:
    x, kernel = np.ones((2, 2, 5, 3), np.float32), np.ones((3, 3, 3, 4), np.float32)
    for call in (
        lambda: cl.conv2d(x, kernel),
        lambda: cl.conv2d(x, kernel, strides=4),
        lambda: cl.conv2d_output_shape(x.shape, kernel.shape),
        lambda: cl.max_pool2d(x, 3),
        lambda: cl.avg_pool2d(x, 3),
        lambda: cl.conv1d(x[:, 0, :2], kernel[0]),
        lambda: cl.max_pool1d(x[:, 0, :2], 3),
    ):
        with pytest.raises(ValueError, match="there is no output; give a larger x"):
            call()
    assert cl.conv2d(x[:0], kernel[:1]).shape == (0, 2, 3, 4)
    assert cl.conv2d(x[:, :0], kernel[:1]).shape == (2, 0, 3, 4)
    assert cl.max_pool2d(x, 3, strides=2, ceil_mode=True).shape == (2, 1, 2, 3)  # the last window is cut


@pytest.mark.parametrize("what", [cl.conv2d, cl.max_pool2d, cl.avg_pool2d])
def test_the_docstring_says_so(what: Any) -> None:
    assert "larger than the" in " ".join(what.__doc__.split())
