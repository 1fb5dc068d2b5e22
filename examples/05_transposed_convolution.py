"""Transposed convolution: back up to a higher resolution.

Reproduces document 004, "Transpose a CNN". A dense layer and a 1x1 convolution turn a 4x4 image into two
channels, a 1x1 transposed convolution turns them back into one; then the sizes of transposed convolutions,
and the two batches of 64 images. Where the CPU fuses multiplication and addition, some of the table's sixteen
numbers differ from the document's in the last digit, as they do in today's TensorFlow; with CONVLITE_ISA=base
on x86-64 all of them are the document's.

Where the document's prose and TensorFlow's behaviour differ, TensorFlow's is printed here (its program was
run on TensorFlow 2.21):
- a 3x3 kernel would give 9x9 with VALID padding, the prose says. In the document's own call, with strides
  (1, 1), it gives 6x6; it is 9x9 with strides (2, 2).
- the strides are how 4x4 becomes 8x8, the prose says. The call has strides (1, 1) and stays at 4x4; strides
  (2, 2) give 8x8, and a regular 1x1 convolution with strides (2, 2) gives 2x2, as it says.
"""

import numpy as np

import convlite as cl


def custom_init(shape: tuple[int, ...], dtype: type = np.float32, seed: int = 0) -> np.ndarray:
    """The document's initializer: tf.random_normal(shape, dtype=dtype, seed=seed)."""
    return cl.initializers.random_normal(shape, dtype=dtype, seed=seed)


def table() -> None:
    """The document's first listing and its table of results."""
    num_outputs = 2
    np.random.seed(1)
    random_array = np.random.rand(1, 4, 4, 1)
    x = random_array.astype(np.float32)  # the document's placeholder is tf.float32

    dense_out = cl.layers.Dense(num_outputs, kernel_initializer=custom_init)(x)
    conv_out = cl.layers.Conv2D(num_outputs, kernel_size=1, strides=1, kernel_initializer=custom_init)(x)
    print("Same output? =", np.allclose(dense_out, conv_out, atol=1.0e-5))

    relu = cl.relu(conv_out)
    fc0 = cl.flatten(relu)
    print("relu, flattened:", fc0.shape, "smallest", fc0.min())

    def upsample(features: np.ndarray) -> np.ndarray:
        return cl.layers.Conv2DTranspose(1, (1, 1), (1, 1), kernel_initializer=custom_init)(features)

    result_conv = upsample(conv_out)
    result_dense = upsample(dense_out)
    print("transpose of a conv layer:", result_conv.shape)
    print("transpose of a dense layer:", result_dense.shape)
    print("Same output? =", np.allclose(result_conv, result_dense, atol=1.0e-5))

    print("np.random.rand(1, 4, 4, 1)   Transpose of a dense layer   Transpose of a conv layer")
    for row in zip(random_array.flat, result_dense.flat, result_conv.flat, strict=True):
        print("{:>26.8e}   {:>26.7e}   {:>25.7e}".format(*row))


def sizes() -> None:
    """The sizes that the document's prose speaks of."""

    def size(pixels: int, kernel: int, stride: int, padding: str) -> None:
        image = np.ones((1, pixels, pixels, 1), np.float32)
        weights = np.ones((kernel, kernel, 1, 1), np.float32)
        _, height, width, _ = cl.conv2d_transpose(image, weights, strides=stride, padding=padding).shape
        how = f"kernel {kernel}x{kernel}, stride {stride}, {padding.upper()}"
        print(f"{pixels}x{pixels} -> {height}x{width}: {how}")

    print("sizes of a transposed convolution")
    size(3, kernel=5, stride=2, padding="same")
    size(2, kernel=3, stride=2, padding="same")
    size(4, kernel=3, stride=1, padding="valid")  # the document says 9x9
    size(4, kernel=3, stride=2, padding="valid")
    size(4, kernel=1, stride=1, padding="valid")  # the document says 8x8
    size(4, kernel=1, stride=2, padding="valid")
    one = np.ones((1, 1, 1, 1), np.float32)
    _, height, width, _ = cl.conv2d(np.ones((1, 4, 4, 1), np.float32), one, strides=2).shape
    print(f"4x4 -> {height}x{width}: a regular convolution, kernel 1x1, stride 2, VALID")


def batches() -> None:
    """The document's second listing: 64 images of ones, up and down again."""
    w = np.ones((3, 3, 128, 256), np.float32)  # conv2d: 128 -> 256 channels; conv2d_transpose: 256 -> 128

    x1 = np.ones((64, 7, 7, 256), np.float32)
    y1 = cl.layers.Conv2DTranspose(128, 3, strides=2, padding="same")(x1)
    y2 = cl.conv2d_transpose(x1, w, output_shape=(64, 14, 14, 128), strides=[1, 2, 2, 1], padding="SAME")
    x2 = cl.conv2d(y2, w, strides=[1, 2, 2, 1], padding="SAME")
    print("downsample example")
    print(y1.shape)
    print(y2.shape)
    print(x2.shape)
    print("first row of y2:", *(int(value) for value in y2[0, 0, :, 0]))
    print("first row of x2:", *(int(value) for value in x2[0, 0, :, 0]))

    image = np.ones((64, 14, 14, 128), np.float32)
    x = cl.conv2d(image, w, strides=[1, 3, 3, 1], padding="VALID")
    y1 = cl.layers.Conv2DTranspose(128, kernel_size=3, strides=3, padding="valid")(x)
    # 14x14 pixels and 12x12 pixels both shrink to 4x4. The default is 12x12; output_shape asks for the other,
    # and the two rows and columns that no kernel reaches are zero.
    y2 = cl.conv2d_transpose(x, w, output_shape=(64, 14, 14, 128), strides=[1, 3, 3, 1], padding="VALID")
    print("upsample example")
    print(x.shape)
    print(y1.shape)
    print(y2.shape)
    print("first row of x:", *(int(value) for value in x[0, 0, :, 0]))
    print("first row of y2:", *(int(value) for value in y2[0, 0, :, 0]))


def main() -> None:
    table()
    sizes()
    batches()


if __name__ == "__main__":
    main()
