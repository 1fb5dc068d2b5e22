"""The same initializer with the same seed gives the same kernel, in the functional form and in a layer.

Reproduces document 003, "Using weights initializer with tf.nn.conv2d": a kernel made by hand for
tf.nn.conv2d and the kernel of a tf.layers.conv2d, both by xavier_initializer (today's name: Glorot) under
tf.set_random_seed(42), are equal. The numbers are those of TensorFlow 2.21, whose seed for the graph's
first unseeded operation is 0.
"""

import numpy as np

import convlite as cl
from convlite.initializers import Graph, Initializer, XavierUniform


def functional(
    x: np.ndarray, initializer: Initializer, filters: int, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """The question's way: variables by hand, then conv2d, bias_add, relu."""
    kernel = initializer((size, size, x.shape[-1], filters))
    biases = np.zeros(filters, np.float32)
    conv = cl.conv2d(x, kernel, strides=[1, 1, 1, 1], padding="SAME")
    return kernel, cl.relu(cl.bias_add(conv, biases))


def layer(x: np.ndarray, initializer: Initializer, filters: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """The answer's way: a layer that makes its own variables."""
    conv = cl.layers.Conv2D(filters, size, padding="same", activation="relu", kernel_initializer=initializer)
    out = conv(x)
    kernel, _biases = conv.get_weights()
    return kernel, out


def main() -> None:
    x = np.ones((1, 64, 64, 32), np.float32)
    with Graph(seed=42):  # tf.Graph().as_default(), tf.set_random_seed(42)
        kernel_nn, out_nn = functional(x, XavierUniform(), filters=32, size=3)
    with Graph(seed=42):  # an isolated context for each, as in the document
        kernel_layer, out_layer = layer(x, XavierUniform(), filters=32, size=3)

    same = np.array_equal(kernel_layer, kernel_nn)
    print("kernels are", "exactly the same" if same else "not the same!")
    print("outputs are", "exactly the same" if np.array_equal(out_layer, out_nn) else "not the same!")
    print("kernel", kernel_nn.shape, "begins with", kernel_nn.ravel()[:3])


if __name__ == "__main__":
    main()
