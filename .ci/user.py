"""A small program as users write it: mypy --strict must accept it, and it must run."""

from typing import Any

import numpy as np
import numpy.typing as npt

import convlite as cl
from convlite.layers import Add, Conv2D, Dense, Flatten, Input, Layer, Model, Sequential, SymbolicTensor

Array = npt.NDArray[np.float32]


def edges(image: Array) -> Array:
    """Differences of neighbouring pixels."""
    kernel: Array = np.array([-1, 1], np.float32).reshape(1, 2, 1, 1)
    out: Array = cl.conv2d(image, kernel, padding="same", activation="relu")
    return out


class Residual(Layer):
    """A layer that holds a layer."""

    def __init__(self, filters: int) -> None:
        super().__init__()
        self.conv = Conv2D(filters, 3, padding="same")

    def call(self, x: Any) -> Any:
        return x + self.conv(x)


def two_branches() -> Model:
    """A network with branches and two inputs."""
    left, right = Input((8, 8, 1), name="left"), Input((8, 8, 1), name="right")
    shared = Conv2D(4, 3, activation="relu")
    joined: SymbolicTensor = Add()([shared(left), 2 * shared(right)[:, :, :]]) - 1
    return Model([left, right], {"scores": Dense(2)(Flatten()(Residual(4)(joined)))})


image = np.random.default_rng(0).random((1, 8, 8, 1), dtype=np.float32)
kernel = np.ones((3, 3, 1, 4), np.float32)
up = cl.conv2d_transpose(cl.conv2d(image, cl.PackedKernel(kernel), strides=2), kernel, strides=2)
model = Sequential([Conv2D(4, 3, activation="relu"), Flatten(), Dense(2)])
model.build((None, 8, 8, 1))
with cl.num_threads(1), cl.precision("fast"):
    scores = model(image)
shape: tuple[int, ...] = cl.conv2d_output_shape((1, 8, 8, 1), (3, 3, 1, 4), strides=2)
network: cl.Network = two_branches().network()
sums: npt.NDArray[Any] = Add()([image, image])
both = two_branches()({"left": image, "right": image})["scores"]
assert both.shape == two_branches()([image, image])["scores"].shape == network(image, right=image).shape
print(edges(image).shape, up.shape, scores.shape, shape)
