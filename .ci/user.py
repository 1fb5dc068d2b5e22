"""A small program as users write it: mypy --strict must accept it, and it must run."""

import numpy as np
import numpy.typing as npt

import convlite as cl
from convlite.layers import Conv2D, Dense, Flatten, Sequential

Array = npt.NDArray[np.float32]


def edges(image: Array) -> Array:
    """Differences of neighbouring pixels."""
    kernel: Array = np.array([-1, 1], np.float32).reshape(1, 2, 1, 1)
    out: Array = cl.conv2d(image, kernel, padding="same", activation="relu")
    return out


image = np.random.default_rng(0).random((1, 8, 8, 1), dtype=np.float32)
kernel = np.ones((3, 3, 1, 4), np.float32)
up = cl.conv2d_transpose(cl.conv2d(image, cl.PackedKernel(kernel), strides=2), kernel, strides=2)
model = Sequential([Conv2D(4, 3, activation="relu"), Flatten(), Dense(2)])
model.build((None, 8, 8, 1))
with cl.num_threads(1), cl.precision("fast"):
    scores = model(image)
shape: tuple[int, ...] = cl.conv2d_output_shape((1, 8, 8, 1), (3, 3, 1, 4), strides=2)
print(edges(image).shape, up.shape, scores.shape, shape)
