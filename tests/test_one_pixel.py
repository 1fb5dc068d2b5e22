"""A single pixel times packed panels: four of them side by side, those left over by tiles."""

import numpy as np
import pytest

import convlite as cl

# whole groups of four panels, one to three more, a narrow last one, a part of a vector, with any lanes
WIDTHS = (1, 8, 16, 33, 48, 72, 96, 128, 130, 167, 200, 264)


def numbers(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).standard_normal(shape, dtype=np.float32)


@pytest.mark.usefixtures("isa", "threads")
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("channels", [1, 20, 64, 100, 300, 517, 700])
def test_a_pixel_alone_has_the_bits_of_neighbours(width: int, channels: int) -> None:
    """Whatever its pieces and sections: 20 channels make one of all taps, 100 two and one tap of a row, 300
    two unequal ones of a tap, 700 three. Tiles and the pixel that is alone cut sums in codes of their own."""
    x, kernel, bias = (
        numbers(1, 4, 4, channels),
        cl.PackedKernel(numbers(3, 3, channels, width)),
        numbers(width),
    )
    whole = cl.conv2d(x, kernel, bias, activation="leaky_relu")
    for i, j in ((0, 0), (1, 1)):
        alone = cl.conv2d(x[:, i : i + 3, j : j + 3], kernel, bias, activation="leaky_relu")
        np.testing.assert_array_equal(alone[0, 0, 0].view("u4"), whole[0, i, j].view("u4"))


@pytest.mark.usefixtures("isa", "threads")
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("products", [1, 255, 256, 257, 5376, 5377, 11000])
def test_a_row_alone_has_the_bits_of_rows(width: int, products: int) -> None:
    x, kernel = numbers(9, products), cl.PackedKernel(numbers(products, width), "dense")
    whole, bias = cl.dense(x, kernel), numbers(width)
    alone = cl.dense(x[5:6], kernel)
    np.testing.assert_array_equal(alone[0].view("u4"), whole[5].view("u4"))
    np.testing.assert_array_equal(cl.dense(x[5:6], kernel, bias)[0], whole[5] + bias)
    zeros = cl.dense(np.zeros((1, products), np.float32), kernel)
    assert not zeros.view("u4").any()


@pytest.mark.usefixtures("isa")
def test_each_phase_of_a_transpose_may_have_one_pixel() -> None:
    x, kernel = numbers(1, 1, 1, 70), cl.PackedKernel(numbers(4, 4, 130, 70), "conv2d_transpose", strides=2)
    two = cl.conv2d_transpose(np.concatenate([x, x]), kernel, strides=2, padding="same")
    np.testing.assert_array_equal(cl.conv2d_transpose(x, kernel, strides=2, padding="same")[0], two[1])


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("bad", [np.inf, np.nan])
def test_padding_is_left_out_where_weights_are_not_finite(bad: float) -> None:
    array, x = numbers(3, 3, 5, 140), numbers(1, 1, 1, 5)
    array[0, 0] = bad  # meets only padding
    out = cl.conv2d(x, cl.PackedKernel(array), padding="same")
    np.testing.assert_allclose(out[0, 0, 0], x[0, 0, 0] @ array[1, 1], rtol=1e-4, atol=1e-5)
