"""The layers that are measured: lines of shapes/*.txt, and the operands they stand for.

    name   operation   N,H,W,Cin   kernel   stride   padding   Cout   [groups=2] [dilation=2] [quick]

operation: conv, transpose, depthwise (Cout is a multiple of Cin), or dense, whose line is

    name   dense   N,K   -   -   -   M

Kernel and stride are `3` or `3x5`, height first; padding is `same` (TensorFlow's), `valid`, `1` or `1x2`.
Lines marked `quick` are those of `convlite bench --quick`. `#` begins a comment.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._memory import empty
from ..geometry import Axis, conv_axis, transpose_axis
from ..plan import tiles_of

__all__ = ["FAMILIES", "Operands", "Shape", "families_of", "load", "parse", "shipped"]

Array = NDArray[Any]
Pair = tuple[int, int]

OPERATIONS = ("conv", "transpose", "depthwise", "dense")
FAMILIES = (
    "3x3",
    "other convolution",
    "1x1",
    "first layers",
    "transposed",
    "decoder heads",
    "depthwise",
    "dense, batch 1",
    "dense",
    "tiny",
)
# What people call the networks, by the names of their files; the other files hold layers of no one network.
NETWORKS = {
    "dcgan": "DCGAN",
    "fcn": "FCN",
    "mobilenetv2": "MobileNetV2",
    "resnet50": "ResNet-50",
    "unet": "U-Net",
    "vgg16": "VGG-16",
}
GUESTS = {"mb_dw5_240@14": "MobileNetV3"}  # layers in the file of another network
TINY = 50_000  # multiply-adds below which a call costs more than its arithmetic


@dataclass(frozen=True)
class Shape:
    """One layer; `network` is the file that it comes from, `line` its text."""

    network: str
    line: str
    name: str
    operation: str
    x: tuple[int, ...]
    kernel: Pair
    strides: Pair
    padding: str | Pair
    cout: int
    groups: int = 1
    dilation: int = 1
    quick: bool = False

    @property
    def cin(self) -> int:
        """Input channels."""
        return self.x[-1]

    @cached_property
    def axes(self) -> tuple[Axis, Axis]:
        """Rows and columns: sizes, pads and phases, convlite's geometry."""
        pads = self.padding if isinstance(self.padding, tuple) else (self.padding, self.padding)
        sizes = self.x[1:3] if len(self.x) == 4 else (1, self.x[0])
        found = []
        for size, kernel, stride, pad, name in zip(
            sizes, self.kernel, self.strides, pads, ("height", "width"), strict=True
        ):
            both: Any = (pad, pad) if isinstance(pad, int) else pad
            make = transpose_axis if self.operation == "transpose" else conv_axis
            found.append(make(size, kernel, stride, self.dilation, both, name))
        return found[0], found[1]

    @property
    def out(self) -> tuple[int, ...]:
        """The output's shape."""
        if self.operation == "dense":
            return self.x[0], self.cout
        return self.x[0], self.axes[0].out_size, self.axes[1].out_size, self.cout

    @property
    def kernel_shape(self) -> tuple[int, ...]:
        """The kernel's shape in convlite's layout."""
        if self.operation == "dense":
            return self.cin, self.cout
        if self.operation == "transpose":
            return *self.kernel, self.cout // self.groups, self.cin
        if self.operation == "depthwise":
            return *self.kernel, self.cin, self.cout // self.cin
        return *self.kernel, self.cin // self.groups, self.cout

    @property
    def multiply_adds(self) -> int:
        """Products by definition: for each output (transposed: each input) the whole kernel, as if nothing
        were padding. Peers are counted alike, whatever they compute.
        """
        if self.operation == "dense":
            return self.x[0] * self.cin * self.cout
        images = self.x if self.operation == "transpose" else self.out
        per_channel = math.prod(self.kernel) * images[0] * images[1] * images[2]
        return per_channel * (
            self.cout if self.operation == "depthwise" else self.cin // self.groups * self.cout
        )

    @property
    def bytes(self) -> int:
        """What must be read and written once, in float32: input, kernel, output."""
        return 4 * (math.prod(self.x) + math.prod(self.kernel_shape) + math.prod(self.out))

    @property
    def family(self) -> str:
        """Which of FAMILIES the layer belongs to."""
        if self.multiply_adds < TINY:
            return "tiny"
        if self.operation == "depthwise":
            return "depthwise"
        if self.operation == "transpose":
            return "decoder heads" if self.cout <= 8 else "transposed"
        if self.operation == "dense":
            return "dense, batch 1" if self.x[0] == 1 else "dense"
        if self.kernel == (1, 1):
            return "1x1"
        if self.cin <= 4 and self.cout >= 16:
            return "first layers"
        plain = self.kernel == (3, 3) and self.strides == (1, 1) and self.groups == self.dilation == 1
        return "3x3" if plain and self.cin > 4 else "other convolution"

    @property
    def title(self) -> str:
        """The layer spelled out, after its network's name where its file is that of a known network.

        >>> parse("rn_3x3 conv 1,56,56,64 3 1 1 64", "resnet50").title
        'ResNet-50, 3x3, 64 to 64, 56x56'
        >>> parse("rn_3x3 conv 1,56,56,64 3 2 1 128").title
        '3x3 / 2, 64 to 128, 56x56'
        >>> parse("fc dense 32,1024 - - - 10").title
        'dense, 1024 to 10, batch 32'
        """
        network = GUESTS.get(self.name) or NETWORKS.get(self.network)
        return f"{network}, {self._plain_title}" if network else self._plain_title

    @property
    def _plain_title(self) -> str:
        """The layer spelled out, without its network."""
        if self.operation == "dense":
            return f"dense, {self.cin} to {self.cout}, batch {self.x[0]}"
        square = "x".join(map(str, self.kernel))
        kind = {"conv": "", "transpose": "transposed ", "depthwise": "depthwise "}[self.operation]
        stride = "" if self.strides == (1, 1) else f" / {'x'.join(map(str, dict.fromkeys(self.strides)))}"
        text = f"{kind}{square}{stride}, {self.cin} to {self.cout}, {self.x[1]}x{self.x[2]}"
        text += f", {self.groups} groups" if self.groups > 1 else ""
        text += f", dilation {self.dilation}" if self.dilation > 1 else ""
        return text + (f", batch {self.x[0]}" if self.x[0] > 1 else "")

    @property
    def winograd(self) -> bool:
        """Whether Winograd's form may compute it: the planner has tiles for both axes.

        >>> [parse(f"x {rest}").winograd for rest in ("conv 1,9,9,8 1x3 1 0x1 8", "conv 1,9,9,8 3 2 1 8")]
        [True, True]
        >>> [parse(f"x {rest}").winograd for rest in ("conv 1,9,9,8 1 2 0 8", "conv 1,9,9,8 7 2 3 8")]
        [False, False]
        """
        tiles = [tiles_of(axis) for axis in self.axes]
        return self.operation in ("conv", "transpose") and all(tiles) and tiles != [(1,), (1,)]


@dataclass(frozen=True)
class Operands:
    """A layer's arrays, float32, convlite's layouts; dense has no bias, as NumPy's product has none."""

    shape: Shape
    x: Array
    kernel: Array
    bias: Array | None

    @classmethod
    def of(cls, shape: Shape) -> Operands:
        """The same arrays in every process: the shape's name is the seed. x is on a cache line, where
        libraries allocate it."""
        random = np.random.default_rng(zlib.crc32(shape.name.encode()))
        x = empty(shape.x, np.dtype(np.float32))
        random.standard_normal(dtype=np.float32, out=x)
        kernel = random.standard_normal(shape.kernel_shape, dtype=np.float32)
        bias = None if shape.operation == "dense" else random.standard_normal(shape.cout, dtype=np.float32)
        return cls(shape, x, kernel, bias)

    @property
    def nchw(self) -> Array:
        """x with its channels first, contiguous."""
        turned = self.x.transpose(0, 3, 1, 2)
        y = empty(turned.shape, turned.dtype)
        y[...] = turned
        return y

    @property
    def channels_first(self) -> Array:
        """The kernel as PyTorch and ONNX have it: OIHW, transposed IOHW (Cin, Cout//groups, kh, kw)."""
        if self.shape.operation == "depthwise":
            kh, kw, channels, multiplier = self.kernel.shape
            return np.ascontiguousarray(
                self.kernel.reshape(kh, kw, channels * multiplier).transpose(2, 0, 1)[:, None]
            )
        return np.ascontiguousarray(self.kernel.transpose(3, 2, 0, 1))

    @property
    def groups(self) -> int:
        """Groups as PyTorch and ONNX count them: a depthwise convolution has one for each channel."""
        return self.shape.cin if self.shape.operation == "depthwise" else self.shape.groups


def _pair(text: str) -> Pair:
    first, _, second = text.partition("x")
    return int(first), int(second or first)


def parse(line: str, network: str = "") -> Shape:
    """One line -> a Shape; ValueError says what is wrong with it.

    >>> parse("rn_7x7s2 conv 1,224,224,3 7 2 3 64").out
    (1, 112, 112, 64)
    >>> parse("fc dense 32,1024 - - - 10 quick").kernel_shape
    (1024, 10)
    """
    words = line.split("#")[0].split()
    try:
        if len(words) < 7:
            raise ValueError("7 fields are needed")
        name, operation, x, kernel, stride, padding, cout = words[:7]
        if operation not in OPERATIONS:
            raise ValueError(f"the operation must be one of {', '.join(OPERATIONS)}")
        options: dict[str, Any] = {}
        for word in words[7:]:
            key, _, value = word.partition("=")
            if key not in ("groups", "dilation", "quick") or (key == "quick") == bool(value):
                raise ValueError(f"unknown option {word!r}")
            options[key] = int(value) if value else True
        sizes = tuple(map(int, x.split(",")))
        if len(sizes) != (2 if operation == "dense" else 4) or min(sizes) < 1:
            raise ValueError("sizes must be N,H,W,Cin (dense: N,K)")
        dense = operation == "dense"
        shape = Shape(
            network,
            " ".join(words),
            name,
            operation,
            sizes,
            (1, 1) if dense else _pair(kernel),
            (1, 1) if dense else _pair(stride),
            "valid" if dense else padding if padding in ("same", "valid") else _pair(padding),
            int(cout),
            **options,
        )
        if operation == "depthwise" and shape.cout % shape.cin:
            raise ValueError(f"Cout {cout} must be a multiple of Cin {shape.cin}")
        if min(shape.out) < 1:
            raise ValueError(f"the output {shape.out} is empty")
    except ValueError as error:
        raise ValueError(f"not a shape: {' '.join(words)!r}: {error}; see convlite/bench/shape.py") from None
    return shape


def load(path: Path) -> list[Shape]:
    """The shapes of a file, in its order; ValueError names the line."""
    shapes = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if line.split("#")[0].strip():
            try:
                shapes.append(parse(line, path.stem))
            except ValueError as error:
                raise ValueError(f"{path}, line {number}: {error}") from None
    return shapes


def shipped() -> list[Shape]:
    """All shapes of the package, by network."""
    return [
        shape for path in sorted((Path(__file__).parent / "shapes").glob("*.txt")) for shape in load(path)
    ]


def families_of(shapes: list[Shape]) -> list[str]:
    """The families that occur, in the order of FAMILIES."""
    present = {shape.family for shape in shapes}
    return [family for family in FAMILIES if family in present]
