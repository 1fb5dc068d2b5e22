"""One kernel for each output: six outputs a pixel, by a Dense layer and by a Conv2D layer.

Reproduces document 001, the notebook in which tf.layers.dense becomes tf.layers.conv2d(x, num_outputs, 1,
1). The notebook draws its input at random and does not print it. X holds the four numbers that its printed
outputs divided by the kernel give, so the outputs below are the notebook's.
"""

import numpy as np

import convlite as cl

X = np.array([-1.2621602, -0.8084781, -0.19993122, -0.69554037], np.float32).reshape(1, 2, 2, 1)


def custom_init(shape: tuple[int, ...], dtype: type = np.float32, seed: int = 0) -> np.ndarray:
    """The document's initializer: tf.random_normal(shape, dtype=dtype, seed=seed)."""
    return cl.initializers.random_normal(shape, dtype=dtype, seed=seed)


def main() -> None:
    num_outputs = 6
    dense_layer = cl.layers.Dense(num_outputs, kernel_initializer=custom_init)
    conv_layer = cl.layers.Conv2D(num_outputs, 1, strides=1, kernel_initializer=custom_init)

    a = dense_layer(X)
    b = conv_layer(X)
    print(a.shape)
    print(b.shape)
    print("Dense Output =", a)
    print("Conv 1x1 Output =", b)
    print("Same output? =", np.allclose(a, b, atol=1.0e-5))


if __name__ == "__main__":
    main()
