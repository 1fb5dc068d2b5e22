"""Well-known architectures with random weights, built by PyTorch and Keras and written in all their ways.

Weights come from NumPy's generator in the order of the model's own list, so that they are the same on every
machine and nothing but outputs need be kept. Used by test_architectures.py and golden/make_architectures.py.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import io
import logging
import os
import re
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

# name -> (how it is built, the shape of its input)
TORCH: dict[str, tuple[str, tuple[int, ...]]] = {
    "resnet18": ("torchvision", (1, 3, 224, 224)),
    "resnet50": ("torchvision", (1, 3, 224, 224)),
    "resnext50_32x4d": ("torchvision", (1, 3, 224, 224)),
    "vgg16": ("torchvision", (1, 3, 224, 224)),
    "mobilenet_v2": ("torchvision", (1, 3, 224, 224)),
    "mobilenet_v3_small": ("torchvision", (1, 3, 224, 224)),
    "efficientnet_b0": ("torchvision", (1, 3, 224, 224)),
    "densenet121": ("torchvision", (1, 3, 224, 224)),
    "squeezenet1_1": ("torchvision", (1, 3, 224, 224)),
    "shufflenet_v2_x1_0": ("torchvision", (1, 3, 224, 224)),
    "inception_v3": ("torchvision", (1, 3, 299, 299)),
    "convnext_tiny": ("torchvision", (1, 3, 224, 224)),
    "deeplab_resnet18": ("segmentation", (1, 3, 256, 256)),
    "yolov5n": ("own", (1, 3, 320, 320)),
    "yolov8n": ("own", (1, 3, 320, 320)),
    "espcn": ("own", (1, 1, 128, 128)),
    "dcgan": ("own", (4, 100, 1, 1)),
    "UNet": ("own", (1, 3, 256, 256)),
    "StyleTransfer": ("own", (1, 3, 256, 256)),
}
KERAS: dict[str, tuple[int, ...]] = {
    "MobileNetV2": (1, 224, 224, 3),
    "ResNet50": (1, 224, 224, 3),
    "EfficientNetB0": (1, 224, 224, 3),
    "DenseNet121": (1, 224, 224, 3),
    "Xception": (1, 299, 299, 3),
}
TORCH_WAYS = ("scripted", "traced")
KERAS_WAYS = ("live", "file", "onnx")
SHAPES = {name: shape for name, (_, shape) in TORCH.items()} | {f"keras {n}": s for n, s in KERAS.items()}
CASES = [(name, way) for name in TORCH for way in TORCH_WAYS] + [
    (f"keras {name}", way) for name in KERAS for way in KERAS_WAYS
]


def absent(package: str) -> bool:
    """Whether a package is not installed."""
    return importlib.util.find_spec(package) is None


def input_of(name: str) -> Array:
    """What the network is fed: normal numbers from a seed; the range of bytes where it scales them itself."""
    values = np.random.default_rng(1).standard_normal(SHAPES[name], np.float32)
    return values * 60 + 128 if name == "keras EfficientNetB0" else values


def weights_for(names: list[str], shapes: list[tuple[int, ...]], fan_last: bool) -> list[Array]:
    """Weights by their names: He's scale for kernels, statistics and factors around 1, offsets around 0."""
    rng = np.random.default_rng(0)
    made = []
    for name, shape in zip(names, shapes, strict=True):
        last = name.replace("/", ".").rpartition(".")[2]
        if "var" in last:
            values = rng.uniform(0.6, 1.6, shape)
        elif len(shape) <= 1 and last in ("weight", "gamma"):
            values = rng.uniform(0.6, 1.2, shape)
        elif len(shape) <= 1 or last == "layer_scale":
            values = rng.normal(0, 0.1, shape)
        else:
            fan = np.prod(shape[:-1] if fan_last else shape[1:])
            values = rng.standard_normal(shape, np.float32) * np.sqrt(2 / fan)
        made.append(np.asarray(values, np.float32))
    return made


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """The exporters report to the log, to warnings and to standard output."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def torchvision() -> Any:
    """The package. Where its compiled operators do not fit PyTorch, names stand in: none is called."""
    import torch

    for _ in range(20):
        try:
            return importlib.import_module("torchvision")
        except RuntimeError as problem:
            missing = re.search(r"operator (torchvision::\w+) does not exist", str(problem))
            if missing is None:
                raise
            for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
                del sys.modules[name]
            torch.library.define(missing[1], "(Tensor x) -> Tensor")
    raise ImportError("torchvision cannot be imported")


def torch_module(name: str) -> Any:
    """The network in eval mode, with its weights."""
    import torch

    kind, _ = TORCH[name]
    if kind == "own":
        module = getattr(importlib.import_module("architecture_modules"), name)()
    elif kind == "segmentation":
        models = torchvision().models
        getter = models._utils.IntermediateLayerGetter(models.resnet18(), {"layer4": "out"})
        head = models.segmentation.deeplabv3.DeepLabHead(512, 21)
        module = picture_of(models.segmentation.DeepLabV3(getter, head))
    else:
        options = {"inception_v3": {"init_weights": False, "transform_input": True}}.get(name, {})
        module = getattr(torchvision().models, name)(**options)
    state = {key: held for key, held in module.state_dict().items() if held.dtype == torch.float32}
    arrays = weights_for(list(state), [tuple(held.shape) for held in state.values()], fan_last=False)
    module.load_state_dict(dict(zip(state, map(torch.from_numpy, arrays), strict=True)), strict=False)
    return module.eval()


def picture_of(module: Any) -> Any:
    """The one picture of a module that returns a dictionary."""
    import torch

    class First(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = module

        def forward(self, x: Any) -> Any:
            return self.inner(x)["out"]

    return First()


def keras_model(name: str) -> Any:
    """The network with its weights."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    import keras

    # Their logits are large, and a softmax of such says more of rounding than of the network.
    head = {"classifier_activation": None} if name in ("ResNet50", "DenseNet121") else {}
    model = getattr(keras.applications, name)(weights=None, input_shape=KERAS[name][1:], **head)
    paths = [held.path for held in model.weights]
    model.set_weights(weights_for(paths, [tuple(held.shape) for held in model.weights], fan_last=True))
    return model


def written(name: str, way: str, folder: Path) -> Any:
    """The network as `way` gives it: a path, or the live Keras model."""
    path = folder / f"{name.replace(' ', '_')}-{way}.{'keras' if way == 'file' else 'onnx'}"
    if name.startswith("keras "):
        model = keras_model(name.removeprefix("keras "))
        if way == "live":
            return model
        with quiet():
            if way == "file":
                model.save(path)
            else:
                model(input_of(name))  # a model that was never called is not exported
                options = {}
                if name == "keras Xception":  # its shortcuts' padding asks the exporter for a known batch
                    spec = type(model.inputs[0])(SHAPES[name], dtype="float32")
                    options["input_signature"] = [spec]
                model.export(path, format="onnx", verbose=False, **options)
        return path
    import torch

    example = torch.from_numpy(input_of(name))
    free: dict[str, Any] = {"dynamic_axes": {"x": {0: "batch"}}} if way == "scripted" else {"verbose": False}
    with quiet(), torch.no_grad():
        torch.onnx.export(
            torch_module(name), (example,), str(path), input_names=["x"], dynamo=way == "traced",
            opset_version=18, external_data=False, **free,
        )  # fmt: skip
    return path


def kept(output: Array) -> dict[str, Array]:
    """What is stored of an output: its shape, size and up to 256 numbers, evenly spread."""
    flat = np.ascontiguousarray(output).reshape(-1)
    places = np.linspace(0, flat.size - 1, min(flat.size, 256)).astype(int)
    norms = [np.abs(flat).max(), np.sqrt(np.mean(np.square(flat, dtype=np.float64)))]
    return {"shape": np.array(output.shape), "norms": np.array(norms), "values": flat[places]}


def graph_of(source: Any) -> Any:
    """The graph of what `written` gave, before the passes."""
    from convlite.network.load.keras import from_keras, read_keras
    from convlite.network.load.onnx import read_onnx

    if not isinstance(source, Path):
        return from_keras(source)
    return read_keras(source) if source.suffix == ".keras" else read_onnx(source)


def nodes_in(source: Any, graph: Any) -> int:
    """The nodes of an ONNX file; of a Keras model those of its graph."""
    if isinstance(source, Path) and source.suffix == ".onnx":
        import onnx

        return len(onnx.load(source, load_external_data=False).graph.node)
    return len(graph.nodes)
