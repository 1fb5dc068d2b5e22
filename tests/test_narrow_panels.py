"""Panels of one vector: two tiles of a line are one call where sums would wait for each other."""

import numpy as np
import pytest

import convlite as cl


def numbers(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).standard_normal(shape, dtype=np.float32)


@pytest.mark.usefixtures("isa", "threads")
@pytest.mark.parametrize("line", range(1, 40))
@pytest.mark.parametrize(
    ("size", "strides", "dilations"), [(1, 1, 1), (3, 1, 1), (3, 2, 1), (3, 1, 2), ((1, 4), 1, 1)]
)
def test_channels_have_the_same_bits_in_panels_of_one_and_two_vectors(
    line: int, size: int | tuple[int, int], strides: int, dilations: int
) -> None:
    """The first 8 channels of 32 lie in a panel of two vectors, alone they are one vector or less; the last
    8 of 24 are one vector with AVX2 and in the middle of a panel of 32."""
    height, width = (size, size) if isinstance(size, int) else size
    x, kernel, bias = numbers(2, 5, line * strides, 20), numbers(height, width, 20, 32), numbers(32)
    given = {"strides": strides, "dilations": dilations, "padding": "same", "activation": "gelu"}
    whole = cl.conv2d(x, cl.PackedKernel(kernel), bias, **given)
    for count in (3, 8, 24):
        part = cl.conv2d(x, cl.PackedKernel(kernel[..., :count].copy()), bias[:count], **given)
        np.testing.assert_array_equal(part.view("u4"), whole[..., :count].view("u4"))
        taken = cl.conv2d(x, kernel[..., :count].copy(), bias[:count], **given)  # panels from an array
        np.testing.assert_array_equal(taken, part)


@pytest.mark.usefixtures("isa", "threads")
@pytest.mark.parametrize("line", [6, 11, 12, 13, 23, 24, 25, 47])
@pytest.mark.parametrize("channels", [90, 257, 600, 6000])
@pytest.mark.parametrize("count", [5, 8, 24])
def test_sums_of_pieces_and_sections(line: int, channels: int, count: int) -> None:
    x, kernel = numbers(1, 3, line, channels), numbers(1, 3, channels, 32)
    whole = cl.conv2d(x, cl.PackedKernel(kernel), padding="same")
    part = cl.conv2d(x, cl.PackedKernel(kernel[..., :count].copy()), padding="same")
    np.testing.assert_array_equal(part.view("u4"), whole[..., :count].view("u4"))
