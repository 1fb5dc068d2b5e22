"""Tiles at an edge that leave out, tap by tap, the pixels that read outside the image (kernels/edges.pxi).

Their bits are those of an image with zeros around it, which are multiplied.
"""

import numpy as np
import pytest

import convlite as cl

# name: image, channels in and out, kernel, stride, dilation. With AVX-512 lines of up to 7 pixels are taken
# in pairs, otherwise of up to 3; a panel is 32 channels there, otherwise 16 or 8.
CASES = {
    "far taps": ((30, 31), 256, 36, (3, 3), 1, (11, 13)),
    "taps that no pixel of a tile reaches": ((33, 33), 256, 20, (3, 3), 1, (24, 24)),
    "taps that no pixel at all reaches": ((20, 21), 300, 16, (3, 3), 1, (19, 25)),
    "far taps, stride 2": ((41, 43), 256, 33, (3, 3), 2, (13, 12)),
    "fused taps": ((7, 7), 512, 40, (3, 3), 1, (1, 1)),
    "pairs of lines, the last one alone": ((5, 3), 128, 48, (3, 3), 1, (1, 1)),
    "fused taps of pieces": ((10, 10), 128, 17, (5, 5), 1, (1, 1)),
    "a kernel of one row": ((9, 17), 128, 32, (1, 7), 1, (1, 1)),
    "taps of several pieces": ((6, 4), 600, 24, (3, 3), 1, (1, 1)),
    "sums of several sections": ((6, 7), 1100, 24, (3, 3), 1, (1, 1)),
    "sections of far taps": ((25, 26), 700, 18, (3, 5), 1, (9, 6)),
}


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", CASES)
def test_bits_are_those_of_zeros_around_the_image(name: str, threads: int, isa: str) -> None:
    """With bias and activation, of two images; the kernel is packed, as a layer's is, or an array."""
    (h, w), cin, cout, kernel, stride, dilation = CASES[name]
    rng = np.random.default_rng(len(name))
    x = rng.standard_normal((2, h, w, cin), dtype=np.float32)
    weights = rng.standard_normal((*kernel, cin, cout), dtype=np.float32)
    bias = rng.standard_normal(cout, dtype=np.float32)
    pads = tuple(((k - 1) // 2 * d,) * 2 for k, d in zip(kernel, dilation, strict=True))
    around = np.pad(x, ((0, 0), *pads, (0, 0)))
    options = {"strides": stride, "dilations": dilation, "activation": "relu"}
    with cl.num_threads(threads):
        expected = cl.conv2d(around, weights, bias, padding="valid", **options)
        for given in (weights, cl.PackedKernel(weights)):
            found = cl.conv2d(x, given, bias, padding=pads, **options)
            assert found.tobytes() == expected.tobytes(), f"{name} on {isa}"
