"""Rewriting of networks: fully convolutional forms of classifiers, and folding of batch normalizations.

Both functions return a new Sequential. Layers that do not change are copied and share the immutable weights;
a Sequential within the model is replaced by its layers.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import NamedTuple, NoReturn, TypeVar

import numpy as np

from . import activations, layers
from ._options import suggesting
from ._weights import Order, dense_to_conv2d, fold_batch_norm
from .arguments import Array

__all__ = ["convolutionalize", "fold_batch_norms"]

Shape = tuple[int | None, ...]
KernelLayer = TypeVar("KernelLayer", bound=layers.KernelLayer)


@suggesting
def convolutionalize(model: layers.Sequential) -> layers.Sequential:
    """Turn a classifier of images of one size into a fully convolutional network for larger ones.

    Flatten, of either order, and the Dense after it become a Conv2D whose kernel is as large as the feature
    map; batch normalizations between the two are merged into it. Other layers between the two whose weights
    differ by place, such as a normalization before an activation, are applied after a depthwise convolution
    that gathers each window into the channels of one pixel. A Reshape to a row is treated as a Flatten. A
    later Dense becomes a 1x1 Conv2D, and global pooling becomes pooling over windows of the feature map's
    size. An image of the size that `model` was built for gives the model's result, of shape
    (N, 1, 1, classes). A larger image gives one such result for every position of a window of that size,
    in steps of the product of all strides. The results equal those of the cut-out windows if the model pads
    nothing: with padding="same", a window within the image has its neighbouring pixels around it, and a
    cut-out window has zeros. If strides leave the last rows of a window unread, a window at the border that
    lacks only those rows also gives a result.

    Parameters
    ----------
    model : Sequential
        The classifier, built.

    Returns
    -------
    Sequential
        The new network.

    Raises
    ------
    ValueError
        For a model that is not built, and for a layer without such a form; the message names the layer.

    Examples
    --------
    >>> model = layers.Sequential([layers.Conv2D(4, 3), layers.Flatten(), layers.Dense(10)])
    >>> model.build((None, 12, 12, 1))
    >>> convolutionalize(model)(np.zeros((1, 20, 30, 1), np.float32)).shape
    (1, 9, 19, 10)
    """
    _check_model(model)
    if model.input_shape is None:
        raise ValueError(
            "model must be built for its image size: call model.build((None, height, width, channels))"
        )
    shape = model.input_shape
    if len(shape) != 4:
        raise ValueError(f"model must take images (N, H, W, C); it takes the shape {shape}")
    channels = shape[3]
    rewriting = _Rewriting()
    for layer in _flat(model):
        rewriting.take(layer, shape)
        shape = layer.compute_output_shape(shape)
    result = layers.Sequential(rewriting.finish(), name=model.name)
    result.build((None, None, None, channels))
    return result


def _check_model(model: object) -> None:
    if not isinstance(model, layers.Sequential):
        hint = ": Model.network() folds batch norms itself" if isinstance(model, layers.Model) else ""
        raise TypeError(f"model must be a convlite.layers.Sequential; got {type(model).__name__}{hint}")


@suggesting
def fold_batch_norms(model: layers.Sequential) -> layers.Sequential:
    """Merge every BatchNormalization into the convolution or Dense before it, if that has no activation.

    The new model gives the same results up to rounding. A BatchNormalization after any other layer remains.

    Parameters
    ----------
    model : Sequential
        The model, with its weights.

    Returns
    -------
    Sequential
        The new model.

    Raises
    ------
    ValueError
        For a model without weights.

    Examples
    --------
    >>> model = layers.Sequential([layers.Conv2D(4, 3, use_bias=False), layers.BatchNormalization()])
    >>> model.build((None, 12, 12, 1))
    >>> fold_batch_norms(model).layers
    [<Conv2D 'conv2d': (None, 12, 12, 1) -> (None, 10, 10, 4)>]
    """
    _check_model(model)
    result: list[layers.Layer] = []
    for layer in _flat(model):
        if not layer.built:
            raise ValueError(
                f"model must have its weights; {layer.name!r} has none: call model.build((None, ...))"
            )
        # Dropout does nothing at inference, so it may be between the two layers.
        place = next(
            (i for i in reversed(range(len(result))) if not isinstance(result[i], layers.Dropout)), -1
        )
        if place >= 0 and isinstance(layer, layers.BatchNormalization) and _takes_norm(result[place]):
            result[place] = _with_norm(result[place], layer)
        else:
            result.append(layer)
    folded = layers.Sequential(result, name=model.name)
    if model.input_shape is not None:
        folded.build(model.input_shape)
    return folded


def _flat(model: layers.Sequential, prefix: str = "") -> Iterator[layers.Layer]:
    """Copies of the layers, under the names that they have in the model."""
    for name, layer in model.steps:
        if isinstance(layer, layers.Sequential):
            yield from _flat(layer, f"{prefix}{name}_")
        else:
            yield _named(copy.deepcopy(layer), prefix + name)


def _named(layer: layers.Layer, name: str) -> layers.Layer:
    layer.name, layer.has_own_name = name, True
    return layer


# ---- batch normalization ---------------------------------------------------------------------------------


def _is_linear(activation: object) -> bool:
    return activation is None or activation is activations.get("linear")


def _takes_norm(layer: layers.Layer) -> bool:
    last = layer.pointwise if isinstance(layer, layers.SeparableConv2D | layers.SeparableConv1D) else layer
    return isinstance(last, layers.KernelLayer) and _is_linear(last.activation)


def _with_norm(layer: layers.Layer, norm: layers.BatchNormalization) -> layers.Layer:
    """The layer with the normalization merged into it."""
    if isinstance(layer, layers.SeparableConv2D | layers.SeparableConv1D):
        twin = copy.copy(layer)
        twin.pointwise = _folded(layer.pointwise, norm)
        return twin
    assert isinstance(layer, layers.KernelLayer)
    return _folded(layer, norm)


def _folded(layer: KernelLayer, norm: layers.BatchNormalization) -> KernelLayer:
    weights = norm.named_weights()
    return layer.with_weights(
        *fold_batch_norm(
            layer.kernel,
            layer.bias,
            weights["moving_mean"],
            weights["moving_variance"],
            scale=weights.get("gamma"),
            offset=weights.get("beta"),
            epsilon=norm.epsilon,
            operation=layer.operation,
        )
    )


def _absorb_norm(layer: layers.Dense, norm: layers.BatchNormalization) -> layers.Dense:
    """The Dense with the normalization before it merged into it: both are linear maps."""
    factor, shift = _scale_and_shift(norm)
    bias = shift @ layer.kernel + (0.0 if layer.bias is None else layer.bias)
    return layer.with_weights((factor[:, None] * layer.kernel).astype(layer.dtype), bias.astype(layer.dtype))


# ---- the head ---------------------------------------------------------------------------------------------


class _Flattened(NamedTuple):
    """A row of features that is still an image in the new network."""

    layer: layers.Layer  # the layer that flattened it
    shape: tuple[int, int, int]
    order: Order


class _Rewriting:
    """The layers of a classifier so far, in fully convolutional form.

    Between Flatten and Dense the new network still has the image. `waiting` holds the layers that treat the
    features of a row differently; the first is a batch normalization. If all of them are normalizations, they
    are merged into the Dense. Otherwise every window becomes a pixel whose channels are the features
    (`_spread`).
    """

    def __init__(self) -> None:
        self.layers: list[layers.Layer] = []
        self.flattened: _Flattened | None = None
        self.waiting: list[layers.Layer] = []

    def take(self, layer: layers.Layer, shape: Shape) -> None:
        """Add a layer whose input in the model has this shape."""
        if isinstance(layer, layers.InputLayer):
            return
        if isinstance(layer, layers.Reshape):
            self._take_reshape(layer, shape)
        elif len(shape) == 4:
            self._take_on_image(layer, shape)
        elif len(shape) != 2:
            _refuse(layer, f"takes the shape {shape}, neither an image nor a row of features")
        elif self.flattened is None:
            self._take_on_features(layer)
        else:
            self._take_on_flattened(layer)

    def _take_reshape(self, layer: layers.Reshape, shape: Shape) -> None:
        """Add a Reshape between a row of features and an image of any size (or of one pixel)."""
        result = layer.compute_output_shape(shape)
        if len(shape) == 4 and len(result) == 2:
            self._flatten(layer, shape, "HWC")
            return
        pixel = result[1:-1] == (1,) * (len(result) - 2) and result[-1] == shape[-1]
        if not pixel or len(result) not in (2, 4) or (len(result) == 4 and self.flattened is not None):
            _refuse(
                layer,
                f"makes {result} of {shape}: what slides is a row of features, or one pixel with the same "
                "channels; where it only flattens, use Flatten",
            )

    def _flatten(self, layer: layers.Layer, shape: Shape, order: Order) -> None:
        size = _known(layer, shape)
        if size[:2] != (1, 1):  # one pixel's channels are a row of features
            self.flattened = _Flattened(layer, size, order)

    def _take_on_image(self, layer: layers.Layer, shape: Shape) -> None:
        if isinstance(layer, layers.Flatten):
            self._flatten(layer, shape, layer.order)
        elif isinstance(layer, layers.GlobalAveragePooling2D | layers.GlobalMaxPooling2D):
            average = isinstance(layer, layers.GlobalAveragePooling2D)
            pooling = layers.AveragePooling2D if average else layers.MaxPooling2D
            self.layers.append(pooling(_known(layer, shape)[:2], strides=1, name=layer.name))
        elif isinstance(layer, layers.PReLU) and layer.alpha.shape[:2] != (1, 1):
            _refuse(
                layer, "has a slope for each position; PReLU(shared_axes=(1, 2)) has one for each channel"
            )
        elif isinstance(layer, _WHOLE) or not _along_channels(layer):
            _refuse(
                layer, "looks at the whole image, or at its size, so that a larger one is no row of windows"
            )
        elif isinstance(layer, layers.Softmax) and layer.axis not in (-1, 3):
            _refuse(layer, "runs over positions; only axis=-1, the channels, can slide")
        else:
            self.layers.append(layer)

    def _take_on_features(self, layer: layers.Layer) -> None:
        """Add a layer for a row of features; the features are now the channels of a pixel."""
        if isinstance(layer, layers.Dense):
            kernel, bias = dense_to_conv2d(layer.kernel, layer.bias)
            self._append_conv(layer, kernel, bias)
        elif isinstance(layer, layers.PReLU):
            self.layers.append(layers.PReLU.from_weights(layer.alpha.reshape(1, 1, -1), name=layer.name))
        elif isinstance(layer, layers.Softmax):
            if layer.axis not in (-1, 1):
                _refuse(layer, "runs over the batch; only axis=-1, the features, can slide")
            self.layers.append(layers.Softmax(name=layer.name))
        elif isinstance(layer, _ON_FEATURES):
            self.layers.append(layer)
        elif not isinstance(layer, layers.Flatten):
            _refuse(layer, "is not known to work on an image as it does on a row of features")

    def _take_on_flattened(self, layer: layers.Layer) -> None:
        assert self.flattened is not None
        norms = [other for other in self.waiting if isinstance(other, layers.BatchNormalization)]
        if isinstance(layer, layers.Dense) and len(norms) == len(self.waiting):
            for norm in reversed(norms):
                layer = _absorb_norm(layer, norm)
            kernel, bias = dense_to_conv2d(
                layer.kernel, layer.bias, self.flattened.shape, self.flattened.order
            )
            self._append_conv(layer, kernel, bias)
            self.flattened, self.waiting = None, []
        elif isinstance(layer, layers.Dense):
            channels = self._spread(layer)
            self._append_conv(layer, *dense_to_conv2d(layer.kernel[channels], layer.bias))
        elif _is_elementwise(layer) and not self.waiting:
            self.layers.append(layer)  # it has the same effect on the image
        elif isinstance(layer, _SPREAD) or _is_elementwise(layer) or _is_softmax(layer):
            if not isinstance(layer, layers.Dropout):
                self.waiting.append(layer)
        elif not isinstance(layer, layers.Flatten):
            _refuse(layer, "stands between Flatten and Dense and is not known to treat all features alike")

    def _spread(self, after: layers.Dense) -> Array:
        """Turn every window into a pixel and add the waiting layers; return the feature of each channel.

        A depthwise convolution gathers the windows: channel c at the window's place p becomes channel
        c * H * W + p. Its kernel and bias hold the first waiting normalization, a scale and a shift for each
        place of the window. All other taps are zeros, so an infinity or NaN spreads within its window.
        """
        assert self.flattened is not None
        (height, width, channels), (layer, _, order) = self.flattened.shape, self.flattened
        places = height * width
        if places * places * channels > _MOST_SPREAD:
            _refuse(
                self.waiting[0],
                f"treats the {places * channels} features between {layer.name!r} and {after.name!r} "
                f"differently by place: that needs a kernel of {places * places * channels} numbers, more "
                f"than {_MOST_SPREAD}",
            )
        features = np.arange(places * channels)
        if order == "HWC":  # for each channel here, its index in the model's row of features
            features = features.reshape(places, channels).T.ravel()
        waiting, self.waiting, self.flattened = self.waiting, [], None
        norm = waiting.pop(0) if waiting and isinstance(waiting[0], layers.BatchNormalization) else None
        scale, shift = (None, None) if norm is None else _scale_and_shift(norm)
        kernel = np.zeros((places, channels, places), after.dtype)
        place = np.arange(places)
        kernel[place, :, place] = 1 if scale is None else scale[features].reshape(channels, places).T
        bias = None if shift is None else shift[features].astype(kernel.dtype)
        taps = kernel.reshape(height, width, channels, places)
        self.layers.append(layers.DepthwiseConv2D.from_weights(taps, bias, name=(norm or layer).name))
        for other in waiting:
            self._take_on_features(_permuted(other, features))
        return features

    def _append_conv(self, layer: layers.Dense, kernel: Array, bias: Array | None) -> None:
        self.layers.append(
            layers.Conv2D.from_weights(kernel, bias, activation=layer.activation, name=layer.name)
        )

    def finish(self) -> list[layers.Layer]:
        """All layers of the new network. ValueError if a Flatten has no Dense after it."""
        if self.flattened is not None:
            raise ValueError("model flattens an image and no Dense follows: there is nothing to slide")
        return self.layers


# Layers that do the same to every row of features, and so to every pixel's channels.
_NUMBERWISE = layers.Dropout | layers.ELU | layers.GELU | layers.LeakyReLU | layers.ReLU
_ON_FEATURES = layers.Activation | layers.BatchNormalization | _NUMBERWISE
_SPREAD = layers.BatchNormalization | layers.PReLU | layers.Softmax  # feature by feature, or over all of them
# Layers that compute with all positions of an image, or that fix its size.
_WHOLE = (
    layers.GroupNormalization | layers.AdaptiveMaxPooling2D | layers.AdaptiveAveragePooling2D | layers.Permute
)
_MOST_SPREAD = 1 << 24  # the most numbers in a kernel that turns every window into a pixel


def _scale_and_shift(norm: layers.Layer) -> tuple[Array, Array]:
    """The factor and the offset of a batch normalization, in float64."""
    assert isinstance(norm, layers.BatchNormalization)
    weights = {name: weight.astype(np.float64) for name, weight in norm.named_weights().items()}
    scale: Array = weights.get("gamma", 1.0) / np.sqrt(weights["moving_variance"] + norm.epsilon)
    shift: Array = weights.get("beta", 0.0) - weights["moving_mean"] * scale
    return scale, shift


def _along_channels(layer: layers.Layer) -> bool:
    """Whether a normalization takes its means over a pixel's channels alone."""
    if isinstance(layer, layers.LayerNormalization | layers.RMSNormalization | layers.UnitNormalization):
        return layer.axis in (-1, 3, (-1,), (3,))
    return True


def _permuted(layer: layers.Layer, features: Array) -> layers.Layer:
    """The layer with its weights permuted for features in this order."""
    if isinstance(layer, layers.PReLU) and layer.alpha.size == 1:
        return layer
    if isinstance(layer, layers.WeightedLayer):
        layer.set_weights([weight[features] for weight in layer.get_weights()])
    return layer


def _is_softmax(layer: layers.Layer) -> bool:
    return isinstance(layer, layers.Activation) and layer.activation is activations.softmax


def _is_elementwise(layer: layers.Layer) -> bool:
    """Whether the layer applies the same function to every number."""
    if isinstance(layer, layers.Activation):
        activation = layer.activation
        return activation is None or (
            isinstance(activation, activations.Activation) and not isinstance(activation, activations.PReLU)
        )
    return isinstance(layer, _NUMBERWISE)


def _known(layer: layers.Layer, shape: Shape) -> tuple[int, int, int]:
    _, height, width, channels = shape
    if height is None or width is None or channels is None:
        _refuse(
            layer,
            f"needs the image size, but its input has the shape {shape}: build the model with a fixed one",
        )
    return height, width, channels


def _refuse(layer: layers.Layer, reason: str) -> NoReturn:
    raise ValueError(f"model cannot be made convolutional: {layer.name!r} ({type(layer).__name__}) {reason}")
