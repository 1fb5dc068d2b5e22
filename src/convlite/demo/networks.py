"""P-Net, R-Net and O-Net as networks; the two classifiers also in fully convolutional form.

Written down as graphs once, and kept in the user's cache directory as files that `convlite.load` reads.
"""

import contextlib
import dataclasses
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import pointwise
from ..network.graph import Graph, Node, Value
from ..network.load import load
from ..network.network import Network
from .weights import Weights, cache_directory, read_weights

__all__ = ["Classifier", "Networks", "Outputs", "load_networks"]

Array = npt.NDArray[np.float32]

_VERSION = "mtcnn-1.0.0-v2"  # v2: one network a file; its name begins with this
_FLOAT = np.dtype(np.float32)


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
    dense: Network
    convolutional: Network


@dataclasses.dataclass(frozen=True)
class Networks:
    """The three networks of the cascade."""

    pnet: Network
    rnet: Classifier
    onet: Classifier


def load_networks(cache: pathlib.Path | None = None) -> Networks:
    """The networks, from the files in `cache`, by default `cache_directory()`.

    Where one is missing or broken, all are made from the weights of mtcnn 1.0.0, and the files written.

    Raises DemoError where that package is missing or its files are not the known ones.
    """
    folder = cache_directory() if cache is None else cache
    paths = {name: folder / f"{_VERSION}-{name}.npz" for name in _ROWS}
    try:
        found = {name: load(path) for name, path in paths.items()}
    except (OSError, ValueError):  # what is no network raises ValueError
        graphs = _graphs(read_weights())
        found = {name: Network(graph) for name, graph in graphs.items()}
        with contextlib.suppress(OSError):  # a read-only home, a full disk: the demo works without its cache
            os.makedirs(folder, exist_ok=True)
            for name, path in paths.items():
                found[name].save(path)
    return Networks(
        found["pnet"],
        Classifier("R-Net", 24, found["rnet"], found["rnet-convolutional"]),
        Classifier("O-Net", 48, found["onet"], found["onet-convolutional"]),
    )


# The layers of a network: a name is that of weights, numbers are window and stride of a pool.
Row = Sequence[str | tuple[int, int, Any]]
_SAME, _VALID = "same", ((0, 0), (0, 0))
_RNET: Row = ("conv1", (3, 2, _SAME), "conv2", (3, 2, _VALID), "conv3", "hidden", "out")
_ONET: Row = (
    *("conv1", (3, 2, _SAME), "conv2", (3, 2, _VALID), "conv3", (2, 2, _SAME), "conv4", "hidden", "out"),
)
# P-Net: convolutions and pooling alone: one answer for 12 x 12 pixels, for a larger image one per window.
_ROWS: dict[str, tuple[Row, int | None]] = {
    "pnet": (("conv1", (2, 2, _SAME), "conv2", "conv3", "out"), None),
    "rnet": (_RNET, 24),
    "rnet-convolutional": (_RNET, None),
    "onet": (_ONET, 48),
    "onet-convolutional": (_ONET, None),
}


def _graphs(weights: Weights) -> dict[str, Graph]:
    return {name: _graph(name, row, side, weights) for name, (row, side) in _ROWS.items()}


def _graph(name: str, row: Row, side: int | None, weights: Weights) -> Graph:
    """The graph of a row of layers, for patches of side x side pixels, or (None) for images of any size."""
    stem = name.partition("-")[0]
    constants: dict[str, Any] = {}
    nodes: list[Node] = []
    value, flat = "image", False

    def then(kind: str, *inputs: str, **attributes: Any) -> None:
        nonlocal value
        output = f"value{len(nodes)}"
        nodes.append(Node(kind, (value, *inputs), (output,), attributes))
        value = output

    for layer in row:
        if not isinstance(layer, str):
            window, stride, padding = layer
            then(
                "max_pool", kernel=(window,) * 2, strides=(stride,) * 2, padding=padding, dilations=(1, 1),
                ceil_mode=False,
            )  # fmt: skip
            continue
        kernel = weights[f"{stem}.{layer}.kernel"]
        if kernel.ndim == 2 and side is None:
            taps = _HIDDEN_SIDE if layer == "hidden" else 1
            kernel = kernel.reshape(taps, taps, -1, kernel.shape[1])
        constants |= {f"{layer}.kernel": kernel, f"{layer}.bias": weights[f"{stem}.{layer}.bias"]}
        inputs = (f"{layer}.kernel", f"{layer}.bias")
        if kernel.ndim == 2:
            if not flat:
                constants["flat"] = np.array([-1, kernel.shape[0]])
                then("reshape", "flat", allowzero=False)
                flat = True
            then("dense", *inputs, activation=None)
        else:
            then("conv", *inputs, strides=(1, 1), padding=_VALID, dilations=(1, 1), groups=1, activation=None)
        if f"{stem}.{layer}.alpha" in weights:
            constants[f"{layer}.alpha"] = weights[f"{stem}.{layer}.alpha"]
            then("prelu", f"{layer}.alpha")
    sides = ("height", "width") if side is None else (side, side)
    shape = ("count", *(("rows", "columns") if side is None else ()), kernel.shape[-1])
    return Graph.of(
        [Value("image", _FLOAT, ("count", *sides, 3))],
        [Value(value, _FLOAT, shape)],
        nodes,
        constants,
        name=name,
    )


_HIDDEN_SIDE = 3  # R-Net and O-Net flatten 3 x 3 positions
