"""Linear(4 -> 2) on a 2x2 image, and the two convolutions that compute the same.

Reproduces document 002, "Replacing Fully-Connected by Equivalent Convolutional Layers" (PyTorch): a
convolution whose kernel is as large as the image, and a 1x1 convolution on the image reshaped to 1x1 with
four channels. PyTorch keeps channels before rows and columns (NCHW, OIHW); `convlite.convert` turns its
layouts into convlite's (NHWC, HWIO).
"""

import numpy as np

import convlite as cl

# As PyTorch has them: an image (batch, channels, rows, columns), a Linear's weights (outputs, inputs).
INPUTS = np.array([[[[1.0, 2.0], [3.0, 4.0]]]], np.float32)
WEIGHTS = np.array([[1.1, 1.2, 1.3, 1.4], [1.5, 1.6, 1.7, 1.8]], np.float32)
BIAS = np.array([1.9, 2.0], np.float32)


def main() -> None:
    image = INPUTS.transpose(0, 2, 3, 1)  # NCHW -> NHWC
    print("inputs:", INPUTS.shape, "in PyTorch,", image.shape, "here")

    # PyTorch's Linear sees the pixels in the order channel, row, column.
    kernel = cl.convert.from_torch(WEIGHTS, "linear")
    print("fully connected:", cl.dense(cl.flatten(image, order="CHW"), kernel, BIAS, activation="relu"))

    # The kernel is as large as the image: PyTorch's weights.view(2, 1, 2, 2).
    full, bias = cl.convert.dense_to_conv2d(kernel, BIAS, (2, 2, 1), order="CHW")
    assert np.array_equal(full, cl.convert.from_torch(WEIGHTS.reshape(2, 1, 2, 2), "conv2d"))
    print("kernel", full.shape, "bias", bias.shape)
    print("convolution, kernel as large as the image:", cl.conv2d(image, full, bias, activation="relu"))

    # The image is one pixel with four channels: PyTorch's weights.view(2, 4, 1, 1).
    one, bias = cl.convert.dense_to_conv2d(kernel, BIAS, (1, 1, 4), order="CHW")
    print("convolution, 1x1 kernel:", cl.conv2d(image.reshape(1, 1, 1, 4), one, bias, activation="relu"))


if __name__ == "__main__":
    main()
