"""The peers: each module turns a layer or a network into calls to time, at the settings that suit it best.

A module has

    PACKAGE             what to import, and what `convlite[bench]` installs
    start(threads)      once in the process: load the package, return its version
    prepare(operands)   name of a variant -> Call, everything constant done; Unsupported says why not
    load(path, inputs)  a network's file and its inputs, in the file's order -> Call whose result is the list
                        of outputs in the file's order; Unsupported as above. NumPy has none.
    convert(path, inputs, folder)  where a peer has files of its own: the file that `load` takes, not timed

A worker times each variant and keeps the fastest. What is timed is one call from Python whose input and
output memory exist already where the peer allows that; layouts are the peer's own (NHWC or NCHW), never
converted inside the call.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["PEERS", "RACERS", "WINOGRAD", "Call", "Unsupported"]

# Name -> (module, what the report calls it). The order is that of the columns.
PEERS = {
    "convlite": ("ours", "convlite"),
    "convlite_fast": ("ours_fast", 'convlite, precision("fast")'),
    "torch": ("pytorch", "PyTorch"),
    "ort": ("onnx_runtime", "ONNX Runtime"),
    "openvino": ("open_vino", "OpenVINO"),
    "litert": ("lite_rt", "LiteRT (XNNPACK)"),
    "ncnn": ("ncnn_direct", "ncnn, direct forms"),
    "ncnn_wino": ("ncnn_winograd", "ncnn, Winograd allowed"),
    "numpy": ("blas", "NumPy (matmul)"),
}
# Who races with whole networks, and what files each reads; convlite reads more.
RACERS = {
    "convlite": "",
    "convlite_fast": "",
    "ort": ".onnx",
    "openvino": ".onnx .tflite",
    "litert": ".tflite",
    "ncnn_wino": ".onnx",
    "torch": ".pt2",
}
# Measured only where Winograd's form applies; precision("exact") is not compared with them.
WINOGRAD = ("convlite_fast", "ncnn_wino")


class Unsupported(Exception):
    """The peer has no such operation; the text says what."""


@dataclass(frozen=True)
class Call:
    """Something to time, how to get its last result as NHWC (dense: (N, M)), and what both need alive.

    Of a network the result is the list of its outputs, as the file has them.
    """

    run: Callable[[], Any]
    result: Callable[[], Any]
    keep: tuple[Any, ...] = ()
