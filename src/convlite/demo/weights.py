"""The trained weights, read from the installed mtcnn package; `networks` makes networks of them.

The package keeps each network as a list of Keras weights in a joblib file. Two things change on the way here:

- The last layers (box, landmarks, face or not) share an input and become one, their outputs side by side.
- R-Net and O-Net swap height and width before they flatten, so the rows of their first dense kernel come in
  the order (width, height, channel). Sorted into (height, width, channel) they fit a plain Flatten, and a
  convolution.
"""

import hashlib
import importlib.metadata
import io
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .extras import NEEDED, DemoError, extra

__all__ = ["Weights", "cache_directory", "read_weights"]

Weights = dict[str, npt.NDArray[np.float32]]

# What was read and checked: mtcnn 1.0.0 as published. Its files are pickles, so nothing else is ever opened.
_SHA256 = {
    "pnet": "ea6b0c3e685ebee3165326ad6484acc95f2ef78f1c94fbf40a55704fa989f7b5",
    "rnet": "cb00e6460f3c98b0bfafaba3c0a0ded4bdf6e62cee7174d969e8670d7e757fee",
    "onet": "94f6ea2f4cf985275ee958cdd762d17b6009348a4fb9d8c6be39ba73ffd22ca3",
}
_LAYERS = {"pnet": 3, "rnet": 4, "onet": 5}  # before the heads; the last of R-Net and O-Net is dense
_HIDDEN_SIDE = 3  # R-Net and O-Net flatten 3 x 3 positions


def cache_directory() -> pathlib.Path:
    """The user's cache directory for convlite: $XDG_CACHE_HOME/convlite, or ~/.cache/convlite.

    A relative XDG_CACHE_HOME is ignored, as the XDG base directory specification asks.

    >>> cache_directory().name
    'convlite'
    """
    configured = os.environ.get("XDG_CACHE_HOME", "")
    base = pathlib.Path(configured) if os.path.isabs(configured) else pathlib.Path.home() / ".cache"
    return base / "convlite"


def read_weights() -> Weights:
    """The weights of the three networks, float32, by name ("rnet.conv1.kernel", ".bias", ".alpha", ...).

    Kernels are HWIO, dense kernels (inputs, outputs). They come from mtcnn 1.0.0.

    Raises DemoError where the package is missing or its files are not the known ones.
    """
    return _convert({name: _read_package(name) for name in _SHA256})


def _read_package(network: str) -> list[Any]:
    try:
        distribution = importlib.metadata.distribution("mtcnn")
    except importlib.metadata.PackageNotFoundError:
        raise DemoError(f"the demo needs the package mtcnn 1.0.0; pip install {NEEDED}") from None
    path = pathlib.Path(str(distribution.locate_file(f"mtcnn/assets/weights/{network}.lz4")))
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DemoError(
            f"cannot read the weights in {path}: {error.strerror}; pip install mtcnn==1.0.0"
        ) from error
    found = hashlib.sha256(data).hexdigest()
    if found != _SHA256[network]:
        raise DemoError(
            f"{path} is not the file of mtcnn 1.0.0 (installed: {distribution.version}); "
            f"its SHA-256 is {found}, expected {_SHA256[network]}; pip install mtcnn==1.0.0"
        )
    # joblib unpickles, and a pickle may run code: only the pinned package's own, checked bytes get here.
    extra("lz4.frame")
    arrays: list[Any] = extra("joblib").load(io.BytesIO(data))
    return arrays


def _convert(networks: Mapping[str, Sequence[Any]]) -> Weights:
    weights: Weights = {}
    for network, arrays in networks.items():
        # Kernel, bias and PReLU slope of each layer in the row, then kernel and bias of each head.
        heads = 3 * _LAYERS[network]
        for i in range(0, heads, 3):
            kernel, bias, alpha = arrays[i : i + 3]
            name = f"{network}.conv{i // 3 + 1}"
            if kernel.ndim == 2:
                name, kernel = f"{network}.hidden", _swap_height_width(kernel)
            weights |= {f"{name}.kernel": kernel, f"{name}.bias": bias, f"{name}.alpha": alpha.reshape(-1)}
        weights[f"{network}.out.kernel"] = np.concatenate(arrays[heads::2], axis=-1)
        weights[f"{network}.out.bias"] = np.concatenate(arrays[heads + 1 :: 2])
    return {name: np.ascontiguousarray(array, dtype=np.float32) for name, array in weights.items()}


def _swap_height_width(kernel: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    inputs, outputs = kernel.shape
    by_width = kernel.reshape(_HIDDEN_SIDE, _HIDDEN_SIDE, inputs // _HIDDEN_SIDE**2, outputs)
    return by_width.transpose(1, 0, 2, 3).reshape(inputs, outputs)
