"""A U-Net: an image goes down to a quarter of its size and up again, each level hands its features across.

Ronneberger, Fischer and Brox, "U-Net: convolutional networks for biomedical image segmentation", 2015,
arXiv:1505.04597, made small: three levels, padding that keeps the size, batch normalization. Sizes are free,
so that one model takes images of any height and width that 4 divides.

The weights here are random; trained ones of the same shapes come in with `model.set_weights` or
`model.load_weights`, by the names that this script prints. What is saved runs with convlite and NumPy alone:

    python examples/unet.py [FILE]
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

import convlite as cl
from convlite import layers
from convlite.layers import Concatenate, Conv2D, Conv2DTranspose, Input, MaxPooling2D, Model, SymbolicTensor


def block(x: SymbolicTensor, filters: int) -> SymbolicTensor:
    """Twice a 3x3 convolution, normalization and relu: the network folds all three into one step."""
    for _ in range(2):
        x = Conv2D(filters, 3, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
    return x


def unet(channels: int = 3, classes: int = 2, filters: int = 8, levels: int = 3) -> Model:
    """images (N, H, W, channels) -> (N, H, W, classes): for each pixel numbers that add up to 1."""
    image = x = Input((None, None, channels), name="image")
    across = []
    for level in range(levels - 1):
        x = block(x, filters << level)
        across.append(x)
        x = MaxPooling2D()(x)
    x = block(x, filters << (levels - 1))
    for level in reversed(range(levels - 1)):
        x = Conv2DTranspose(filters << level, 2, strides=2)(x)
        x = block(Concatenate()([across[level], x]), filters << level)
    return Model(image, Conv2D(classes, 1, activation="softmax", name="classes")(x), name="unet")


def main() -> None:
    with cl.initializers.Graph(seed=1):  # the same weights in each run
        model = unet()
    model.summary()
    for size in ((32, 48), (64, 64)):
        image = np.random.default_rng(0).random((1, *size, 3), np.float32)
        result = model(image)
        print(image.shape, "->", result.shape, "sums to 1:", np.allclose(result.sum(-1), 1))

    path = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.mkdtemp(), "unet.npz")
    model.save(path)
    net = cl.load(path)
    print(net.inputs[0], "->", net.outputs[0])
    print("steps that run:", len(net.graph.nodes), "of", len(model) - 1, "layers")
    print("the file gives the same bits:", np.array_equal(net(image), result))


if __name__ == "__main__":
    main()
