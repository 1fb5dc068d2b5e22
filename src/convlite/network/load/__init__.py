"""Files and live models of other libraries, read as graphs."""

from __future__ import annotations

import contextlib
import importlib
import os
import pathlib
from collections.abc import Callable

from ..._options import suggesting
from ..._weight_files import refuse_stand_in
from ...arguments import shown
from ..collector import uncollected
from ..facts import Fact
from ..graph import Graph
from ..infer import Memo
from ..network import Network

__all__ = ["READERS", "load"]

# Ending -> the module and function that read such a file as a graph, imported when they are used.
READERS = {
    ".onnx": "convlite.network.load.onnx:read_onnx",
    ".tflite": "convlite.network.load.tflite:read_tflite",
    ".keras": "convlite.network.load.keras:read_keras",
    ".h5": "convlite.network.load.keras:read_keras",
    ".npz": "convlite.network.file:read_network",
    ".safetensors": "convlite.network.file:read_network",
}


_TORCH = (
    ": a file of PyTorch's holds Python objects, so load it in PyTorch, then write "
    "convlite.Network.from_torch(module, example_inputs)"
)
_SAVED_MODEL = (
    ": a TensorFlow model; convert it by tf.lite.TFLiteConverter to .tflite, or by tf2onnx to .onnx"
)
# What to do with files that `load` does not read.
_OTHER_FILES = {
    **dict.fromkeys((".pt", ".pth", ".ckpt", ".bin"), _TORCH),
    ".pt2": ": write convlite.Network.from_torch(torch.export.load(path).module(), example_inputs)",
    **dict.fromkeys((".pb", ".savedmodel"), _SAVED_MODEL),
    ".hdf5": ": rename it to .h5 if Keras wrote it",
    "": ": the ending says what a file is; TensorFlow's folders must be converted to .tflite or .onnx",
}


def _ending_of(path: str | os.PathLike[str]) -> str:
    """The ending of a file that may have a network, one of READERS."""
    if not isinstance(path, str | os.PathLike):
        hint = ""
        if hasattr(path, "get_config"):  # asked first: on PyTorch's backend it has a state_dict, too
            hint = "; a Keras model is read by Network.from_keras(model)"
        elif hasattr(path, "state_dict"):
            hint = "; a PyTorch module is read by Network.from_torch(module, example_inputs)"
        raise TypeError(f"path must be a string or a path; got {shown(path)}{hint}")
    ending = pathlib.Path(path).suffix.lower()
    if ending not in READERS:
        known = f"path must end in one of {', '.join(READERS)}"
        raise ValueError(f"{known}; got {shown(os.fspath(path))}{_OTHER_FILES.get(ending, '')}")
    if os.fspath(path).lower().endswith(".weights.h5"):
        raise ValueError(
            f"path must be a file with a network; got {shown(os.fspath(path))}, which has weights only: in "
            "Keras, build the model, call model.load_weights(path), then convlite.Network.from_keras(model)"
        )
    return ending


@suggesting
def load(path: str | os.PathLike[str], layout: str | None = None) -> Network:
    """Read a network from a file.

    Parameters
    ----------
    path : str or path-like
        A file whose name ends in .onnx (needs the package onnx: `pip install onnx`), .tflite
        (the package tflite), .keras or .h5 (your own Keras), or in .npz or .safetensors: what
        `Network.save` wrote; .npz needs NumPy alone. PyTorch's files are loaded in PyTorch: see
        `Network.from_torch`.
    layout : str or None, default None
        None: inputs and outputs as the file has them. "NHWC": images channels last, where the file has them
        channels first.

    Returns
    -------
    Network
        The network: call it with arrays.

    Raises
    ------
    ValueError
        For another ending, and for a file that is malformed or asks for what is not supported: every such
        node is named in the one message.
    ImportError
        Where the package that reads the file is missing.
    TypeError
        Where path is no path.
    OSError
        Where the file cannot be opened.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> from convlite import Network
    >>> from convlite.network.graph import Graph, Node, Value
    >>> x, y = (Value(name, np.dtype("float32"), ("n", 2)) for name in "xy")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "model.npz")
    ...     Network(Graph.of([x], [y], [Node("relu", ("x",), ("y",))])).save(path)
    ...     net = load(path)
    >>> net(np.array([[-1, 2]], np.float32))
    array([[0., 2.]], dtype=float32)
    """
    from ..file import ENDINGS
    from ..network import Network
    from ..passes import channels_last_ends, inside_first, passed

    ending = _ending_of(path)
    if layout not in (None, "NHWC"):
        raise ValueError(f'layout must be None or "NHWC"; got {shown(layout)}')
    with contextlib.suppress(ValueError):  # a null byte: the reader says so
        os.stat(path)  # that a file is missing is said before that a package is
    refuse_stand_in(path)
    module, function = READERS[ending].split(":")
    read: Callable[..., Graph] = getattr(importlib.import_module(module), function)
    facts: dict[str, Fact] | None = None
    with uncollected():
        if ending in ENDINGS:
            graph = read(path)
        else:
            memo: Memo = {}
            graph, facts = passed(inside_first(read(path, memo)), memo=memo)
            memo.clear()  # what it holds takes as much memory as the plans
    if layout == "NHWC":
        graph, facts = channels_last_ends(graph), None
    network = Network.of_optimised(graph)
    network._executor.plan_declared(facts)
    return network
