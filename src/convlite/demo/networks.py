"""P-Net, R-Net and O-Net as convlite layers; the two classifiers also in fully convolutional form."""

import dataclasses

import numpy as np
import numpy.typing as npt

from .. import activations, convert, layers, pointwise
from .weights import Weights

__all__ = ["Classifier", "Networks", "Outputs", "build"]

Array = npt.NDArray[np.float32]


@dataclasses.dataclass(frozen=True)
class Outputs:
    """What a network says of each patch: score (...), offsets (...,4), landmarks (...,10) or (...,0)."""

    score: Array
    offsets: Array
    landmarks: Array

    @classmethod
    def split(cls, joined: Array) -> "Outputs":
        """Take the joined heads apart: 4 offsets, landmarks if any, 2 logits ("no face" and "face")."""
        return cls(pointwise.softmax(joined[..., -2:])[..., 1], joined[..., :4], joined[..., 4:-2])


@dataclasses.dataclass(frozen=True)
class Classifier:
    """A network on patches of size x size pixels, with a dense head and with convolutions instead."""

    name: str
    size: int
    dense: layers.Sequential
    convolutional: layers.Sequential


@dataclasses.dataclass(frozen=True)
class Networks:
    """The three networks of the cascade."""

    pnet: layers.Sequential
    rnet: Classifier
    onet: Classifier


def build(weights: Weights) -> Networks:
    """The networks with the weights of `load_weights`."""
    return Networks(
        pnet=_pnet(weights),
        rnet=_classifier("R-Net", 24, _rnet(weights)),
        onet=_classifier("O-Net", 48, _onet(weights)),
    )


def _classifier(name: str, size: int, dense: layers.Sequential) -> Classifier:
    return Classifier(name, size, dense, convert.convolutionalize(dense))


def _pnet(weights: Weights) -> layers.Sequential:
    # Convolutions and pooling alone: one answer for 12 x 12 pixels, for a larger image one per window.
    return layers.Sequential(
        [
            layers.InputLayer((None, None, 3)),
            _conv(weights, "pnet.conv1"),
            layers.MaxPooling2D(2, strides=2, padding="same"),
            _conv(weights, "pnet.conv2"),
            _conv(weights, "pnet.conv3"),
            _conv(weights, "pnet.out"),
        ]
    )


def _rnet(weights: Weights) -> layers.Sequential:
    return layers.Sequential(
        [
            layers.InputLayer((24, 24, 3)),
            _conv(weights, "rnet.conv1"),
            layers.MaxPooling2D(3, strides=2, padding="same"),
            _conv(weights, "rnet.conv2"),
            layers.MaxPooling2D(3, strides=2),
            _conv(weights, "rnet.conv3"),
            layers.Flatten(),
            _dense(weights, "rnet.hidden"),
            _dense(weights, "rnet.out"),
        ]
    )


def _onet(weights: Weights) -> layers.Sequential:
    return layers.Sequential(
        [
            layers.InputLayer((48, 48, 3)),
            _conv(weights, "onet.conv1"),
            layers.MaxPooling2D(3, strides=2, padding="same"),
            _conv(weights, "onet.conv2"),
            layers.MaxPooling2D(3, strides=2),
            _conv(weights, "onet.conv3"),
            layers.MaxPooling2D(2, strides=2, padding="same"),
            _conv(weights, "onet.conv4"),
            layers.Flatten(),
            _dense(weights, "onet.hidden"),
            _dense(weights, "onet.out"),
        ]
    )


def _conv(weights: Weights, name: str) -> layers.Conv2D:
    return layers.Conv2D.from_weights(
        weights[f"{name}.kernel"], weights[f"{name}.bias"], activation=_prelu(weights, name)
    )


def _dense(weights: Weights, name: str) -> layers.Dense:
    return layers.Dense.from_weights(
        weights[f"{name}.kernel"], weights[f"{name}.bias"], activation=_prelu(weights, name)
    )


def _prelu(weights: Weights, name: str) -> activations.PReLU | None:
    alpha = weights.get(f"{name}.alpha")
    return None if alpha is None else activations.PReLU(alpha)
