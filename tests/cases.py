"""The named shapes: small ones that reach every corner of the kernels, and layers of networks for bench/.

A small case is run in every instruction set and dtype, so it has few outputs; its name says what it is for.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

OPTIONS_OF_PACKING = {
    "conv2d": ("groups",),
    "conv2d_transpose": ("strides", "dilations", "groups"),
    "depthwise_conv2d": (),
    "dense": (),
}


@dataclass(frozen=True)
class Case:
    """One call of an operation: its shapes and its options."""

    name: str
    operation: str
    x: tuple[int, ...]
    kernel: tuple[int, ...]
    options: dict[str, Any] = field(default_factory=dict, hash=False)

    @property
    def cout(self) -> int:
        """Output channels."""
        if self.operation == "conv2d_transpose":
            return self.kernel[2] * int(self.options.get("groups", 1))
        if self.operation == "depthwise_conv2d":
            return self.kernel[2] * self.kernel[3]
        return self.kernel[-1]

    @property
    def terms(self) -> int:
        """The most products in one sum."""
        if self.operation == "conv2d_transpose":
            return self.kernel[0] * self.kernel[1] * self.kernel[3] // int(self.options.get("groups", 1))
        if self.operation == "depthwise_conv2d":
            return self.kernel[0] * self.kernel[1]
        return math.prod(self.kernel[:-1])

    @property
    def packing(self) -> dict[str, Any]:
        """The options that PackedKernel needs."""
        return {key: self.options[key] for key in OPTIONS_OF_PACKING[self.operation] if key in self.options}

    def operands(
        self, dtype: DTypeLike, images: int | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """x, kernel and bias: standard normal numbers, the same in every run; `images`: another batch."""
        rng = np.random.default_rng(zlib.crc32(self.name.encode()))
        x = self.x if images is None else (images, *self.x[1:])
        return tuple(rng.standard_normal(shape).astype(dtype) for shape in (x, self.kernel, (self.cout,)))

    def exact_operands(
        self, dtype: DTypeLike, images: int | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The same, of whole numbers from -3 to 3: sums are exact in any order, so results must be equal."""
        return tuple(np.clip(np.rint(a * 2), -3, 3) for a in self.operands(dtype, images))


def _conv(name: str, x: tuple[int, ...], kernel: tuple[int, ...], **options: Any) -> Case:
    return Case(f"conv-{name}", "conv2d", x, kernel, options)


def _transpose(name: str, x: tuple[int, ...], kernel: tuple[int, ...], **options: Any) -> Case:
    return Case(f"transpose-{name}", "conv2d_transpose", x, kernel, options)


def _depthwise(name: str, x: tuple[int, ...], kernel: tuple[int, ...], **options: Any) -> Case:
    return Case(f"depthwise-{name}", "depthwise_conv2d", x, kernel, options)


def _dense(name: str, x: tuple[int, ...], kernel: tuple[int, ...]) -> Case:
    return Case(f"dense-{name}", "dense", x, kernel)


TAILS = (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 48, 65)

SMALL: tuple[Case, ...] = (
    # 1x1 and few pixels, but no plain matrix product
    _conv("1x1-stride-batch", (5, 1, 1, 3), (1, 1, 3, 5), strides=2),
    _conv("1x1-rows-of-padding", (1, 1, 4, 3), (1, 1, 3, 5), padding=((1, 1), (0, 0))),
    _conv("1x1-stride-padded", (1, 1, 3, 3), (1, 1, 3, 5), strides=(1, 2), padding=((0, 0), (0, 2))),
    _conv("1x1-only-padding", (1, 1, 1, 3), (1, 1, 3, 5), strides=(1, 2), padding=((0, 0), (1, 0))),
    # taps far outside of the image
    _conv("dilation-beyond-image", (1, 8, 9, 4), (3, 3, 4, 5), padding="same", dilations=10**6),
    _conv("dilation-beyond-image-one-output", (1, 8, 9, 4), (3, 3, 4, 1), padding="same", dilations=10**6),
    _conv("wide-dilation", (1, 40, 40, 20), (3, 3, 20, 3), padding="same", dilations=30),
    # ---- convolution: strides, dilations, padding
    _conv("1x1", (2, 5, 4, 7), (1, 1, 7, 6)),
    _conv("3x3-valid", (1, 7, 6, 5), (3, 3, 5, 8)),
    _conv("3x3-same", (1, 7, 6, 5), (3, 3, 5, 8), padding="same"),
    _conv("stride2-same-even-size", (1, 8, 6, 3), (3, 3, 3, 16), strides=2, padding="same"),
    _conv("stride2-same-odd-size", (1, 9, 7, 3), (3, 3, 3, 16), strides=2, padding="same"),
    _conv("stride2-same-lower", (1, 8, 6, 3), (3, 3, 3, 16), strides=2, padding="same_lower"),
    _conv("even-kernel-same", (1, 6, 5, 4), (2, 4, 4, 5), padding="same"),
    _conv("even-kernel-same-lower", (1, 6, 5, 4), (2, 4, 4, 5), padding="same_lower"),
    _conv("unequal-strides", (1, 9, 8, 3), (3, 2, 3, 5), strides=(3, 1)),
    _conv("unequal-dilations", (1, 9, 11, 3), (3, 3, 3, 5), dilations=(1, 4), padding="same"),
    _conv("dilation-over-the-edge", (1, 4, 5, 3), (3, 3, 3, 4), dilations=(4, 5), padding="same"),
    _conv(
        "stride-and-dilation", (1, 12, 11, 2), (3, 2, 2, 6), strides=(2, 3), dilations=(2, 3), padding="same"
    ),
    _conv("stride-over-kernel", (1, 11, 9, 3), (2, 1, 3, 4), strides=(4, 3)),
    _conv("stride-over-kernel-same", (1, 11, 9, 3), (2, 1, 3, 4), strides=(5, 4), padding="same"),
    _conv("padding-int", (1, 5, 6, 3), (3, 3, 3, 4), padding=2),
    _conv("padding-pair", (1, 5, 6, 3), (3, 3, 3, 4), padding=(0, 3)),
    _conv("padding-four", (1, 5, 6, 3), (3, 3, 3, 4), padding=((0, 3), (2, 1))),
    _conv("padding-tensorflow", (1, 5, 6, 3), (3, 3, 3, 4), padding=[[0, 0], [1, 0], [0, 2], [0, 0]]),
    _conv("padding-over-kernel", (1, 3, 2, 2), (2, 2, 2, 3), padding=((4, 5), (3, 6))),
    _conv("kernel-over-input-same", (1, 2, 3, 4), (5, 7, 4, 6), padding="same"),
    _conv("kernel-over-input-padded", (1, 2, 3, 4), (5, 7, 4, 6), padding=3),
    _conv("kernel-is-the-input", (3, 5, 4, 6), (5, 4, 6, 10)),
    _conv("1xk", (1, 4, 13, 3), (1, 7, 3, 5), padding="same"),
    _conv("kx1", (1, 13, 4, 3), (7, 1, 3, 5), padding="same"),
    _conv("one-pixel", (1, 1, 1, 9), (1, 1, 9, 33)),
    _conv("batch", (7, 3, 3, 4), (3, 3, 4, 18), padding="same"),
    _conv("many-pixels", (2, 23, 19, 3), (3, 3, 3, 9), padding="same"),
    # ---- groups
    _conv("groups-2", (1, 5, 5, 6), (3, 3, 3, 8), groups=2, padding="same"),
    _conv("groups-3-wide", (1, 4, 4, 6), (2, 2, 2, 99), groups=3),
    _conv("groups-one-channel-each", (2, 5, 4, 20), (3, 3, 1, 20), groups=20, padding="same"),
    _conv("groups-multiplier", (1, 5, 4, 6), (3, 3, 1, 18), groups=6, strides=2),
    _conv("groups-few-wide", (1, 5, 4, 2), (3, 3, 1, 70), groups=2, dilations=2, padding="same"),
    # ---- sums that are cut
    _conv("many-taps", (1, 41, 42, 1), (40, 40, 1, 3)),
    _conv("many-taps-padded", (1, 6, 5, 1), (40, 40, 1, 2), padding="same"),
    _conv("many-taps-and-channels", (1, 9, 9, 48), (9, 9, 48, 34), padding="same"),
    _conv("many-channels", (1, 2, 3, 6000), (1, 2, 6000, 3), padding="same"),
    # ---- empty axes
    _conv("no-images", (0, 5, 5, 3), (3, 3, 3, 4)),
    _conv("no-rows-same", (2, 0, 5, 3), (3, 3, 3, 4), padding="same"),
    _conv("one-output-row", (1, 3, 5, 3), (3, 3, 3, 4)),
    _conv("no-rows-padded", (1, 0, 4, 3), (3, 3, 3, 4), padding=2),
    _conv("no-input-channels", (1, 4, 4, 0), (3, 3, 0, 5)),
    _conv("no-output-channels", (1, 4, 4, 3), (3, 3, 3, 0)),
    # ---- transpose
    _transpose("1x1", (2, 4, 3, 5), (1, 1, 6, 5)),
    _transpose("stride1", (1, 4, 5, 3), (3, 3, 7, 3), padding="same"),
    _transpose("stride2-same", (1, 4, 3, 5), (3, 3, 4, 5), strides=2, padding="same"),
    _transpose("stride2-same-lower", (1, 4, 3, 5), (3, 3, 4, 5), strides=2, padding="same_lower"),
    _transpose("stride2-even-kernel", (1, 4, 3, 5), (4, 2, 4, 5), strides=2, padding="same"),
    _transpose("stride2-5x5", (2, 3, 3, 4), (5, 5, 9, 4), strides=2, padding="same"),
    _transpose("stride3-valid", (1, 4, 4, 8), (3, 3, 5, 8), strides=3),
    _transpose("output-shape", (1, 4, 4, 8), (3, 3, 5, 8), strides=3, output_shape=(14, 13)),
    _transpose(
        "output-shape-same", (1, 3, 4, 3), (3, 5, 5, 3), strides=3, padding="same", output_shape=(7, 11)
    ),
    _transpose("output-shape-four", (2, 3, 4, 3), (3, 3, 5, 3), strides=2, output_shape=(2, 8, 9, 5)),
    _transpose("output-padding", (1, 4, 3, 3), (3, 3, 5, 3), strides=(3, 2), output_padding=(2, 1)),
    _transpose(
        "output-padding-same", (1, 4, 3, 3), (3, 3, 5, 3), strides=2, padding="same", output_padding=1
    ),
    _transpose("stride-over-kernel", (1, 3, 2, 4), (2, 1, 5, 4), strides=(4, 3)),
    _transpose("stride-over-kernel-same", (1, 3, 2, 4), (2, 1, 5, 4), strides=(4, 3), padding="same"),
    _transpose("dilation", (1, 4, 5, 3), (3, 2, 4, 3), dilations=(2, 3)),
    _transpose(
        "stride-and-dilation", (1, 4, 5, 3), (3, 4, 6, 3), strides=(2, 3), dilations=(3, 2), padding="same"
    ),
    _transpose("stride-divides-dilation", (1, 4, 5, 3), (3, 3, 6, 3), strides=2, dilations=(2, 4)),
    _transpose("padding", (1, 5, 4, 3), (4, 3, 6, 3), strides=2, padding=1),
    _transpose("padding-over-same", (1, 6, 7, 3), (3, 3, 6, 3), strides=2, padding=((3, 0), (2, 4))),
    _transpose(
        "padding-and-output-padding", (1, 5, 4, 3), (3, 3, 4, 3), strides=2, padding=1, output_padding=1
    ),
    _transpose("groups", (1, 4, 3, 6), (3, 3, 5, 6), strides=2, groups=2, padding="same"),
    _transpose("groups-one-channel-each", (1, 4, 3, 19), (3, 3, 1, 19), strides=2, groups=19, padding="same"),
    _transpose("groups-multiplier", (1, 4, 3, 4), (2, 3, 3, 4), strides=(1, 2), groups=4),
    _transpose("1xk", (1, 2, 7, 3), (1, 5, 4, 3), strides=(1, 2)),
    _transpose("many-taps", (1, 3, 3, 1), (40, 40, 3, 1), strides=1, padding="same"),
    _transpose("many-channels", (1, 2, 2, 6000), (2, 2, 3, 6000), strides=2),
    _transpose("batch", (5, 3, 2, 3), (3, 3, 17, 3), strides=2, padding="same"),
    _transpose("no-images", (0, 4, 4, 3), (3, 3, 5, 3), strides=2),
    _transpose("no-rows", (2, 0, 4, 3), (3, 3, 5, 3), strides=2, padding="same"),
    _transpose("no-input-channels", (1, 2, 2, 0), (3, 3, 5, 0), strides=2),
    _transpose("no-output-channels", (1, 2, 2, 3), (3, 3, 0, 3), strides=2),
    # ---- depthwise
    _depthwise("3x3-same", (1, 7, 6, 16), (3, 3, 16, 1), padding="same"),
    _depthwise("multiplier-2", (2, 5, 6, 9), (3, 3, 9, 2), padding="same"),
    _depthwise("multiplier-wide", (1, 5, 6, 3), (3, 3, 3, 40), padding="same"),
    _depthwise("one-channel", (1, 5, 6, 1), (3, 3, 1, 17)),
    _depthwise("unequal-strides", (1, 9, 8, 5), (3, 3, 5, 1), strides=(2, 3), padding="same"),
    _depthwise("dilation", (1, 9, 8, 5), (3, 3, 5, 1), dilations=(2, 3), padding="same"),
    _depthwise("rows-apart", (1, 9, 16, 5), (3, 3, 5, 1), dilations=(2, 1), padding="same"),
    _depthwise("rows-stride-3", (2, 10, 9, 5), (5, 3, 5, 1), strides=(3, 1), padding="same"),
    _depthwise("line-9-channels-224", (2, 5, 9, 224), (3, 3, 224, 1), padding="same"),
    _depthwise("kernel-over-input", (1, 3, 2, 5), (5, 5, 5, 1), padding="same"),
    _depthwise("many-taps", (1, 40, 41, 18), (40, 40, 18, 1)),
    _depthwise("no-channels", (1, 4, 4, 0), (3, 3, 0, 2)),
    _depthwise("no-multiplier", (1, 4, 4, 3), (3, 3, 3, 0)),
    # ---- products lane by lane: kernels of any size, few channels, few channels for each group
    _depthwise("7x7", (2, 9, 31, 17), (7, 7, 17, 1), padding="same"),
    _depthwise("7x7-40", (1, 8, 33, 40), (7, 7, 40, 1), strides=2, padding="same"),
    _depthwise("1x9-3-channels", (1, 3, 90, 3), (1, 9, 3, 1), padding="same"),
    _depthwise("9x1-3-channels-stride", (2, 19, 40, 3), (9, 1, 3, 1), strides=(2, 3), padding="same"),
    _depthwise("dilated-6-channels", (1, 12, 40, 6), (3, 5, 6, 1), dilations=(3, 2), padding="same"),
    _depthwise("7-channels-multiplier-2", (1, 6, 25, 7), (3, 3, 7, 2), padding=((1, 2), (0, 3))),
    _depthwise("21x21", (1, 9, 10, 20), (21, 21, 20, 1), padding="same"),
    _conv("groups-of-2", (1, 9, 30, 24), (3, 3, 2, 24), padding="same", groups=12),
    _conv("groups-of-4-to-2", (2, 6, 31, 80), (3, 3, 4, 40), padding="same", groups=20),
    _conv("groups-of-3-to-5", (1, 7, 20, 12), (3, 3, 3, 20), strides=2, padding="same", groups=4),
    _conv("groups-of-16-to-7", (1, 5, 18, 48), (2, 3, 16, 21), dilations=2, groups=3),
    _conv("groups-1x1", (2, 5, 9, 64), (1, 1, 4, 64), groups=16),
    _conv("groups-4-channels", (1, 6, 40, 4), (3, 3, 2, 4), padding="same", groups=2),
    _transpose("depthwise-21", (1, 6, 9, 21), (4, 4, 1, 21), strides=2, groups=21, padding="same"),
    _transpose("depthwise-3", (2, 5, 19, 3), (4, 4, 1, 3), strides=2, groups=3, padding=1),
    _transpose("groups-of-2-to-1", (1, 5, 9, 40), (3, 5, 1, 40), strides=(3, 2), dilations=(2, 1), groups=20),
    # ---- dilations whose taps mostly fall outside
    _conv("dilation-most-outside", (1, 17, 17, 600), (3, 3, 600, 40), dilations=8, padding="same"),
    _conv("dilation-two-lines", (3, 9, 7, 2400), (3, 3, 2400, 17), dilations=(5, 6), padding="same"),
    _conv("dilation-many-channels", (1, 5, 7, 3000), (3, 3, 3000, 40), dilations=(2, 3), padding="same"),
    # ---- dense
    _dense("vector", (5,), (5, 3)),
    _dense("matrix", (6, 5), (5, 33)),
    _dense("four-axes", (2, 3, 4, 5), (5, 3)),
    _dense("many-rows", (67, 9), (9, 20)),
    _dense("many-inputs", (5, 20000), (20000, 33)),
    _dense("one-output", (3, 300), (300, 1)),
    _dense("no-inputs", (4, 0), (0, 3)),
    _dense("no-outputs", (4, 3), (3, 0)),
    _dense("no-rows", (0, 3, 4), (4, 5)),
    # ---- whole vectors and what is left over, of input and output channels
    *(_conv(f"channels-{n}", (1, 3, 4, n), (2, 2, n, n), padding="same") for n in TAILS),
    *(_transpose(f"channels-{n}", (1, 2, 3, n), (3, 2, n, n), strides=2) for n in TAILS),
    *(_depthwise(f"channels-{n}", (1, 3, 4, n), (2, 2, n, 1), padding="same") for n in TAILS),
    *(_depthwise(f"channels-{n}-multiplier-3", (1, 2, 3, n), (2, 2, n, 3), padding="same") for n in TAILS),
    *(_dense(f"channels-{n}", (3, n), (n, n)) for n in TAILS),
    # ---- tiles of every height: 1 .. 29 pixels
    *(_conv(f"pixels-{n}", (1, 1, n, 3), (1, 1, 3, 19)) for n in range(1, 30)),
    # and with at most half of a last vector of 16 or 8 lanes in use: 11 = 8 + 3, 19 = 16 + 3, 35 = 32 + 3
    *(
        _conv(f"pixels-{n}-of-{c}", (1, 1, n + 1, 3), (1, 2, 3, c))
        for n in range(1, 15)
        for c in (11, 19, 35)
    ),
    # lines of every width, their edges in padding: how they are cut into tiles
    *(_conv(f"pixels-line-{n}", (2, 2, n, 3), (2, 3, 3, 17), padding="same") for n in range(1, 34)),
    *(
        _conv(f"pixels-line-{n}-stride2", (1, 3, n, 2), (1, 5, 2, 3), strides=2, padding=2)
        for n in range(1, 34)
    ),
    *(
        _transpose(f"pixels-line-{n}", (1, 2, n, 3), (3, 3, 5, 3), strides=2, padding="same")
        for n in range(1, 34)
    ),
    *(_depthwise(f"pixels-{n}", (1, 1, n, 17), (1, 3, 17, 1), padding="same") for n in range(1, 14)),
    # ---- few sums for each pixel, each from one pixel: heads of a decoder
    *(
        _transpose(f"head-channels-{n}", (2, 3, 11, n), (2, 2, 1, n), strides=2)
        for n in (*range(1, 10), 16, 24)
    ),
    *(_conv(f"head-channels-{n}", (2, 3, 11, n), (1, 1, n, 1 + n % 5)) for n in (*range(1, 10), 16, 24)),
    *(_conv(f"head-sums-{n}", (1, 5, 29, 9), (1, 1, 9, n)) for n in range(1, 14)),
    *(
        _transpose(f"head-pixels-{n}", (1, 2, n, 6), (2, 3, 2, 6), strides=(2, 3))
        for n in (4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 130)
    ),
    _transpose("head-columns", (2, 3, 37, 5), (3, 1, 2, 5), strides=(3, 1), padding="same"),
    _transpose("head-cropped", (1, 5, 9, 8), (2, 2, 1, 8), strides=2, padding=((1, 0), (0, 1))),
    _transpose("head-cropped-to-nothing", (1, 1, 9, 8), (2, 2, 1, 8), strides=2, padding=((1, 1), (0, 0))),
    _transpose(
        "head-longer", (1, 3, 9, 8), (2, 2, 1, 8), strides=2, padding=((1, 0), (0, 1)), output_padding=1
    ),
    _conv("head-padded", (1, 5, 9, 8), (1, 1, 8, 2), padding=1),
    _conv("head-stride2", (1, 5, 9, 8), (1, 1, 8, 2), strides=2),
)

# Layers of networks in use, for the benchmarks; the tests compute a few of their outputs.
NETWORKS: tuple[Case, ...] = (
    _conv("resnet50-stem", (1, 224, 224, 3), (7, 7, 3, 64), strides=2, padding="same"),
    _conv("resnet50-56x56-64", (1, 56, 56, 64), (3, 3, 64, 64), padding="same"),
    _conv("resnet50-28x28-128", (1, 28, 28, 128), (3, 3, 128, 128), padding="same"),
    _conv("resnet50-14x14-256", (1, 14, 14, 256), (3, 3, 256, 256), padding="same"),
    _conv("resnet50-7x7-512", (1, 7, 7, 512), (3, 3, 512, 512), padding="same"),
    _conv("resnet50-1x1-down", (1, 14, 14, 1024), (1, 1, 1024, 256)),
    _conv("resnext-14x14-groups", (1, 14, 14, 512), (3, 3, 16, 512), groups=32, padding="same"),
    _conv("mobilenet-stem", (1, 224, 224, 3), (3, 3, 3, 32), strides=2, padding="same"),
    _depthwise("mobilenet-112x112-32", (1, 112, 112, 32), (3, 3, 32, 1), padding="same"),
    _depthwise("mobilenet-14x14-512", (1, 14, 14, 512), (3, 3, 512, 1), padding="same"),
    _conv("mobilenet-pointwise", (1, 14, 14, 512), (1, 1, 512, 512)),
    _conv("mtcnn-pnet", (1, 256, 256, 3), (3, 3, 3, 10)),
    _transpose("dcgan-7x7-256", (1, 7, 7, 256), (5, 5, 128, 256), strides=2, padding="same"),
    _transpose("unet-28x28-256", (1, 28, 28, 256), (2, 2, 128, 256), strides=2),
    _dense("vgg-head", (1, 4096), (4096, 1000)),
    _dense("mlp-batch", (128, 784), (784, 512)),
)
