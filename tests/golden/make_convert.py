"""Writes convert.npz: modules of PyTorch 2.13 and layers of Keras 3.15 with random weights, their inputs and outputs.

`python make_convert.py` in an environment with both. All arrays are float64 in the framework's own layouts, so that a
test may convert the weights, compute with convlite and compare. Keys are "case/array".
"""

import os
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np
import torch
from torch import nn

TORCH = {
    "Conv2d": (nn.Conv2d(3, 4, (3, 2), stride=(2, 1), padding=1), (2, 3, 6, 5)),
    "Conv2d groups": (nn.Conv2d(4, 6, 3, groups=2), (1, 4, 5, 5)),
    "Conv2d depthwise": (nn.Conv2d(3, 6, 3, groups=3, padding=1), (1, 3, 4, 5)),
    "ConvTranspose2d": (
        nn.ConvTranspose2d(3, 4, (3, 2), stride=2, padding=1, output_padding=1),
        (2, 3, 4, 3),
    ),
    "ConvTranspose2d groups": (nn.ConvTranspose2d(4, 6, 3, stride=2, groups=2), (1, 4, 3, 2)),
    "Conv1d": (nn.Conv1d(3, 4, 3, stride=2), (2, 3, 9)),
    "ConvTranspose1d": (nn.ConvTranspose1d(3, 4, 5, stride=2), (2, 3, 4)),
    "Linear": (nn.Linear(5, 3), (2, 5)),
    "Flatten Linear": (nn.Sequential(nn.Flatten(), nn.Linear(3 * 2 * 4, 5)), (2, 3, 2, 4)),
}
NORMALISED = ("Conv2d groups", "Conv2d depthwise", "ConvTranspose2d", "ConvTranspose2d groups", "Conv1d")
KERAS = {
    "Conv2D": (keras.layers.Conv2D(4, (3, 2), strides=2, padding="same", dtype="float64"), (2, 6, 5, 3)),
    "Conv2DTranspose": (
        keras.layers.Conv2DTranspose(4, 3, strides=2, padding="same", dtype="float64"),
        (1, 3, 4, 2),
    ),
    "DepthwiseConv2D": (keras.layers.DepthwiseConv2D(3, depth_multiplier=2, dtype="float64"), (1, 5, 4, 3)),
    "Dense": (keras.layers.Dense(4, dtype="float64"), (2, 5)),
    "Conv1D": (keras.layers.Conv1D(4, 3, dtype="float64"), (2, 7, 3)),
    "Conv1DTranspose": (keras.layers.Conv1DTranspose(4, 3, strides=2, dtype="float64"), (1, 5, 3)),
}


def main() -> None:
    rng = np.random.default_rng(0)
    arrays: dict[str, np.ndarray] = {}
    for name, (module, shape) in TORCH.items():
        module = module.double().eval()
        for parameter in module.parameters():
            parameter.data = torch.from_numpy(rng.standard_normal(parameter.shape))
        x = torch.from_numpy(rng.standard_normal(shape))
        weight, bias = module.parameters()
        with torch.no_grad():
            y = module(x)
        case = {"x": x, "weight": weight.data, "bias": bias.data, "y": y}
        if name in NORMALISED:
            channels = y.shape[1]
            norm = (nn.BatchNorm1d if y.ndim == 3 else nn.BatchNorm2d)(channels).double().eval()
            norm.running_mean = torch.from_numpy(rng.standard_normal(channels))
            norm.running_var = torch.from_numpy(rng.uniform(0.5, 2.0, channels))
            norm.weight.data = torch.from_numpy(rng.standard_normal(channels))
            norm.bias.data = torch.from_numpy(rng.standard_normal(channels))
            with torch.no_grad():
                case |= {"mean": norm.running_mean, "variance": norm.running_var, "scale": norm.weight.data,
                         "offset": norm.bias.data, "normalised": norm(y)}  # fmt: skip
        arrays |= {f"{name}/{key}": value.numpy() for key, value in case.items()}
    for name, (layer, shape) in KERAS.items():
        x = rng.standard_normal(shape)
        layer.build(shape)
        layer.set_weights([rng.standard_normal(weight.shape) for weight in layer.get_weights()])
        weight, bias = layer.get_weights()
        case = {"x": x, "weight": weight, "bias": bias, "y": np.asarray(layer(x))}
        arrays |= {f"{name}/{key}": value for key, value in case.items()}
    path = Path(__file__).parent / "convert.npz"
    np.savez_compressed(path, **arrays)
    print(torch.__version__, keras.__version__, len(arrays), path.stat().st_size)


if __name__ == "__main__":
    main()
