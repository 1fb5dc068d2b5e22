"""A dense layer is a 1x1 convolution: the same numbers, with the image still an image.

Reproduces document 000, "1x1 Convolution Quiz" (tf.layers.dense rewritten as tf.layers.conv2d, two
outputs). Its answer is kernel_size = 1, stride = 1.
"""

import numpy as np

import convlite as cl


def custom_init(shape: tuple[int, ...], dtype: type = np.float32, seed: int = 0) -> np.ndarray:
    """The document's initializer: tf.random_normal(shape, dtype=dtype, seed=seed)."""
    return cl.initializers.random_normal(shape, dtype=dtype, seed=seed)


def conv_1x1(x: np.ndarray, num_outputs: int) -> np.ndarray:
    """The quiz's function: a convolution that looks at one pixel at a time."""
    kernel_size, stride = 1, 1
    kernel = custom_init((kernel_size, kernel_size, x.shape[-1], num_outputs))
    return cl.conv2d(x, kernel, strides=stride)


def dense(x: np.ndarray, num_outputs: int) -> np.ndarray:
    """A dense layer works on the last axis and keeps the others."""
    return cl.dense(x, custom_init((x.shape[-1], num_outputs)))


def main() -> None:
    num_outputs = 2
    x = np.random.default_rng(0).standard_normal((1, 2, 2, 1), dtype=np.float32)

    a = dense(x, num_outputs)
    b = conv_1x1(x, num_outputs)
    print("Dense Output =", a)
    print("Conv 1x1 Output =", b)
    print("Same output? =", np.allclose(a, b, atol=1.0e-5))


if __name__ == "__main__":
    main()
