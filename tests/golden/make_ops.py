"""Write ops_*.npz: what TensorFlow and PyTorch compute, in convlite's argument order and layouts.

Run with an interpreter that has tensorflow-cpu and torch (README.md names the versions):

    python tests/golden/make_ops.py

Inputs are multiples of 1/16 below 2 in size: products and short sums of them are exact in float32, so a
golden convolution is the true value whatever order the framework added in, and the files compress well.
Each file holds arrays named "case/operand" and one JSON text, "cases", that says how to call convlite.
"""

from __future__ import annotations

import itertools
import json
import os
from pathlib import Path
from typing import Any

# oneDNN's conv2d returns the input's shape for an empty VALID output; TensorFlow's own kernels do not.
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np
import tensorflow as tf
import torch
import torch.nn.functional as F

FOLDER = Path(__file__).parent
RNG = np.random.default_rng(20240611)


def numbers(*shape: int, dtype: str = "float32") -> np.ndarray:
    return (RNG.integers(-31, 32, shape) / 16).astype(dtype)


class Book:
    """The cases of one file."""

    def __init__(self, name: str) -> None:
        self.path = FOLDER / f"ops_{name}.npz"
        self.arrays: dict[str, np.ndarray] = {}
        self.cases: list[dict[str, Any]] = []

    def add(
        self, source: str, function: str, operands: dict[str, np.ndarray], want: Any, **options: Any
    ) -> None:
        name = f"{len(self.cases):02d}"
        want = np.asarray(want.numpy() if hasattr(want, "numpy") else want)
        for key, array in {**operands, "want": want}.items():
            self.arrays[f"{name}/{key}"] = np.ascontiguousarray(array)
        self.cases.append({"name": name, "source": source, "function": function,
                           "operands": list(operands), "options": options})  # fmt: skip

    def write(self) -> None:
        np.savez_compressed(self.path, cases=np.array(json.dumps(self.cases)), **self.arrays)
        print(f"{self.path.name}: {len(self.cases)} cases, {self.path.stat().st_size} bytes")


def nchw(x: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(x, -1, 1)))


def nhwc(x: torch.Tensor) -> np.ndarray:
    return np.moveaxis(x.numpy(), 1, -1)


def oihw(kernel: np.ndarray) -> torch.Tensor:
    """Also makes PyTorch's transposed (in, out/groups, kh, kw) from (kh, kw, out/groups, in)."""
    spatial = range(kernel.ndim - 2)
    return torch.from_numpy(
        np.ascontiguousarray(kernel.transpose(kernel.ndim - 1, kernel.ndim - 2, *spatial))
    )


def conv2d() -> None:
    book = Book("conv2d")
    rows = [  # image, kernel, strides, dilations, padding
        ((5, 6), (3, 3), 1, 1, "valid"), ((5, 6), (3, 3), 1, 1, "same"), ((7, 6), (3, 3), 2, 1, "same"),
        ((7, 6), (3, 3), 2, 1, "valid"), ((6, 7), (2, 4), 2, 1, "same"), ((6, 7), (2, 4), [2, 3], 1, "valid"),
        ((8, 9), (3, 2), [1, 2], 1, "same"), ((9, 8), (3, 3), 1, 2, "same"), ((9, 8), (3, 2), 1, [2, 3], "valid"),
        ((9, 8), (3, 2), 1, [3, 1], "same"), ((5, 5), (1, 1), 3, 1, "same"), ((5, 7), (1, 1), 3, 1, "valid"),
        ((2, 3), (5, 5), 1, 1, "same"), ((2, 3), (5, 4), 2, 1, "same"), ((7, 7), (2, 2), 4, 1, "same"),
        ((1, 1), (1, 1), 1, 1, "valid"), ((2, 5), (3, 3), 1, 1, "valid"),
        ((6, 5), (3, 3), 1, 1, [[0, 0], [1, 1], [2, 0], [0, 0]]),
        ((6, 5), (3, 2), 2, 1, [[0, 0], [0, 3], [1, 2], [0, 0]]),
        ((4, 4), (3, 3), 1, 2, [[0, 0], [2, 2], [1, 3], [0, 0]]),
    ]  # fmt: skip
    for image, kernel, strides, dilations, padding in rows:
        for dtype in ("float32", "float64"):
            if dtype == "float64" and image[0] not in (7, 9):
                continue
            x, w = numbers(1, *image, 3, dtype=dtype), numbers(*kernel, 3, 4, dtype=dtype)
            tf_padding = padding.upper() if isinstance(padding, str) else padding
            want = tf.nn.conv2d(x, w, strides, tf_padding, dilations=dilations)
            book.add("tf.nn.conv2d", "conv2d", {"x": x, "kernel": w}, want,
                     strides=strides, dilations=dilations, padding=padding)  # fmt: skip
    x, w, b = numbers(1, 4, 4, 2), numbers(3, 3, 2, 3), numbers(3)
    layer = tf.keras.layers.Conv2D(3, 3, padding="same", activation="relu")
    layer.build(x.shape)
    layer.set_weights([w, b])
    book.add("tf.keras.layers.Conv2D", "conv2d", {"x": x, "kernel": w, "bias": b}, layer(x),
             padding="same", activation="relu")  # fmt: skip
    x = numbers(1, 6, 6, 1)
    x[0, 1, 1], x[0, 4, 4], x[0, 4, 1] = np.nan, np.inf, -np.inf
    w = numbers(3, 3, 1, 2)
    w[w == 0] = 1
    book.add(
        "tf.nn.conv2d",
        "conv2d",
        {"x": x, "kernel": w},
        tf.nn.conv2d(x, w, 2, "SAME"),
        strides=2,
        padding="same",
    )
    torch_rows = [  # groups, kernel, strides, dilations, padding
        (2, (3, 3), 1, 1, 1), (4, (3, 2), [2, 1], [1, 2], [2, 0]), (2, (2, 3), [1, 3], 2, [1, 3]), (1, (3, 3), 3, 3, 4),
        (2, (3, 3), 2, 2, 0),
    ]  # fmt: skip
    for groups, kernel, strides, dilations, padding in torch_rows:
        x, w, b = numbers(2, 8, 7, 4), numbers(*kernel, 4 // groups, 8), numbers(8)
        want = F.conv2d(nchw(x), oihw(w), torch.from_numpy(b), strides, padding, dilations, groups)
        book.add("torch.nn.functional.conv2d", "conv2d", {"x": x, "kernel": w, "bias": b}, nhwc(want),
                 groups=groups, strides=strides, dilations=dilations, padding=padding)  # fmt: skip
    # ONNX's SAME_LOWER is SAME with the odd element before: PyTorch computes it after padding by hand.
    for (height, width), kernel, stride in [((6, 7), (2, 4), 1), ((6, 7), (4, 2), 2), ((7, 6), (3, 3), 2)]:
        x, w = numbers(1, height, width, 2), numbers(*kernel, 2, 3)
        pads = []
        for size, k in [(width, kernel[1]), (height, kernel[0])]:
            total = max((-(-size // stride) - 1) * stride + k - size, 0)
            pads += [total - total // 2, total // 2]
        want = F.conv2d(F.pad(nchw(x), pads), oihw(w), None, stride)
        book.add("torch.nn.functional.conv2d", "conv2d", {"x": x, "kernel": w}, nhwc(want),
                 strides=stride, padding="same_lower")  # fmt: skip
    book.write()


def conv2d_transpose() -> None:
    book = Book("conv2d_transpose")
    for padding, k, s in itertools.product(("same", "valid"), (1, 2, 3, 5), (1, 2, 3)):
        x, w = numbers(1, 2, 3, 2), numbers(k, k, 3, 2)
        layer = tf.keras.layers.Conv2DTranspose(3, k, s, padding, use_bias=False)
        layer.build(x.shape)
        layer.set_weights([w])
        book.add("tf.keras.layers.Conv2DTranspose", "conv2d_transpose", {"x": x, "kernel": w}, layer(x),
                 strides=s, padding=padding)  # fmt: skip
    rows = [  # padding, image, kernel, strides, legal output sizes
        ("same", (3, 2), (3, 3), [2, 3], [(5, 4), (5, 6), (6, 5)]), ("same", (3, 3), (5, 2), [2, 2], [(5, 6), (6, 5)]),
        ("valid", (2, 3), (3, 2), [2, 3], [(5, 8), (6, 9), (5, 10)]), ("same", (2, 2), (1, 1), [3, 3], [(4, 6), (6, 5)]),
        ("valid", (4, 4), (3, 3), [3, 3], [(12, 12), (14, 14)]), ("same", (1, 2), (4, 6), [2, 4], [(1, 5), (2, 8), (1, 7)]),
        ("valid", (2, 2), (1, 2), [3, 4], [(4, 6), (6, 9)]),
    ]  # fmt: skip
    for padding, image, kernel, strides, sizes in rows:
        for size, dtype in zip(sizes, ("float32", "float64", "float32"), strict=False):
            x, w = numbers(1, *image, 2, dtype=dtype), numbers(*kernel, 3, 2, dtype=dtype)
            shape = [1, *size, 3]
            want = tf.nn.conv2d_transpose(x, w, shape, strides, padding.upper())
            book.add("tf.nn.conv2d_transpose", "conv2d_transpose", {"x": x, "kernel": w}, want,
                     output_shape=shape, strides=strides, padding=padding)  # fmt: skip
    for padding, k, s, extra in [("same", 3, 2, 0), ("same", 3, 2, 1), ("valid", 3, 2, 1), ("same", 5, 3, 2), ("valid", 2, 3, 2),
                                 ("same", 4, 2, 1)]:  # fmt: skip
        x, w, b = numbers(1, 3, 2, 2), numbers(k, k, 2, 2), numbers(2)
        layer = tf.keras.layers.Conv2DTranspose(2, k, s, padding, output_padding=extra)
        layer.build(x.shape)
        layer.set_weights([w, b])
        book.add("tf.keras.layers.Conv2DTranspose", "conv2d_transpose", {"x": x, "kernel": w, "bias": b}, layer(x),
                 strides=s, padding=padding, output_padding=extra)  # fmt: skip
    torch_rows = [  # groups, kernel, strides, dilations, padding, output_padding
        (1, (3, 3), 2, 1, 1, 1), (1, (3, 3), 2, 1, 1, 0), (2, (3, 2), [2, 3], 1, [0, 1], [1, 2]), (2, (3, 3), 1, 2, 3, 0),
        (4, (2, 3), [3, 2], [1, 2], [1, 0], [2, 1]), (1, (3, 3), 3, 2, 2, [0, 2]), (2, (2, 2), 4, 1, 0, 3), (1, (4, 4), 2, 3, 4, 1),
        (1, (3, 2), [1, 2], [3, 4], [2, 0], [2, 3]),
    ]  # fmt: skip
    for groups, kernel, strides, dilations, padding, extra in torch_rows:
        x, w, b = numbers(2, 3, 4, 4), numbers(*kernel, 8 // groups, 4), numbers(8)
        want = F.conv_transpose2d(
            nchw(x), oihw(w), torch.from_numpy(b), strides, padding, extra, groups, dilations
        )
        book.add("torch.nn.functional.conv_transpose2d", "conv2d_transpose", {"x": x, "kernel": w, "bias": b}, nhwc(want),
                 groups=groups, strides=strides, dilations=dilations, padding=padding, output_padding=extra)  # fmt: skip
    book.write()


def depthwise_conv2d() -> None:
    book = Book("depthwise_conv2d")
    rows = [((6, 5), (3, 3), 1, 1, 1, "same"), ((6, 5), (3, 3), 2, 1, 2, "same"), ((7, 8), (2, 3), 2, 1, 1, "valid"),
            ((7, 8), (3, 2), 1, 2, 3, "same"), ((9, 8), (3, 2), 1, [3, 2], 1, "valid"), ((5, 5), (5, 5), 1, 1, 2, "same"),
            ((6, 5), (3, 3), 2, 1, 2, [[0, 0], [1, 0], [2, 1], [0, 0]])]  # fmt: skip
    for image, kernel, s, dilations, multiplier, padding in rows:
        for dtype in ("float32", "float64") if multiplier == 2 else ("float32",):
            x, w = numbers(2, *image, 3, dtype=dtype), numbers(*kernel, 3, multiplier, dtype=dtype)
            tf_padding = padding.upper() if isinstance(padding, str) else padding
            pair = [dilations, dilations] if isinstance(dilations, int) else dilations
            want = tf.nn.depthwise_conv2d(x, w, [1, s, s, 1], tf_padding, dilations=pair)
            book.add("tf.nn.depthwise_conv2d", "depthwise_conv2d", {"x": x, "kernel": w}, want,
                     strides=s, dilations=dilations, padding=padding)  # fmt: skip
    for kernel, strides, dilations, multiplier, padding in [
        ((3, 3), [1, 2], 2, 2, [2, 1]),
        ((2, 3), [3, 2], [2, 1], 1, 0),
    ]:
        x, w, b = numbers(2, 8, 7, 3), numbers(*kernel, 3, multiplier), numbers(3 * multiplier)
        torch_kernel = torch.from_numpy(np.ascontiguousarray(w.transpose(2, 3, 0, 1).reshape(-1, 1, *kernel)))
        want = F.conv2d(nchw(x), torch_kernel, torch.from_numpy(b), strides, padding, dilations, groups=3)
        book.add("torch.nn.functional.conv2d", "depthwise_conv2d", {"x": x, "kernel": w, "bias": b}, nhwc(want),
                 strides=strides, dilations=dilations, padding=padding)  # fmt: skip
    book.write()


def dense_and_conv1d() -> None:
    book = Book("dense_conv1d")
    for shape, units, dtype in [((2, 5), 3, "float32"), ((1, 1), 1, "float32"), ((2, 3, 4), 2, "float64"),
                                ((2, 2, 3, 4), 3, "float32")]:  # fmt: skip
        x, w, b = (
            numbers(*shape, dtype=dtype),
            numbers(shape[-1], units, dtype=dtype),
            numbers(units, dtype=dtype),
        )
        layer = tf.keras.layers.Dense(units, activation="sigmoid" if len(shape) == 2 else None, dtype=dtype)
        layer.build(x.shape)
        layer.set_weights([w, b])
        activation = "sigmoid" if len(shape) == 2 else None
        book.add(
            "tf.keras.layers.Dense",
            "dense",
            {"x": x, "kernel": w, "bias": b},
            layer(x),
            activation=activation,
        )
    for width, k, s, d, padding in [(8, 3, 1, 1, "same"), (9, 3, 2, 1, "same"), (9, 4, 3, 1, "valid"), (10, 3, 1, 3, "valid"),
                                    (10, 2, 1, 2, "same"), (3, 5, 1, 1, "same")]:  # fmt: skip
        x, w = numbers(2, width, 3), numbers(k, 3, 4)
        want = tf.nn.conv1d(x, w, s, padding.upper(), dilations=d)
        book.add(
            "tf.nn.conv1d", "conv1d", {"x": x, "kernel": w}, want, strides=s, dilations=d, padding=padding
        )
    for groups, k, s, d, p in [(2, 3, 2, 2, 2), (4, 2, 1, 3, 1)]:
        x, w, b = numbers(2, 9, 4), numbers(k, 4 // groups, 8), numbers(8)
        want = F.conv1d(nchw(x), oihw(w), torch.from_numpy(b), s, p, d, groups)
        book.add("torch.nn.functional.conv1d", "conv1d", {"x": x, "kernel": w, "bias": b}, nhwc(want),
                 groups=groups, strides=s, dilations=d, padding=p)  # fmt: skip
    for width, k, s, padding, size in [(4, 3, 2, "same", 7), (4, 3, 2, "same", 8), (3, 4, 3, "valid", 10), (3, 4, 3, "valid", 12),
                                       (3, 2, 4, "same", 10), (3, 2, 4, "valid", 11)]:  # fmt: skip
        x, w = numbers(2, width, 3), numbers(k, 2, 3)
        want = tf.nn.conv1d_transpose(x, w, [2, size, 2], s, padding.upper())
        book.add("tf.nn.conv1d_transpose", "conv1d_transpose", {"x": x, "kernel": w}, want,
                 output_shape=[2, size, 2], strides=s, padding=padding)  # fmt: skip
    for groups, k, s, d, p, extra in [(1, 4, 2, 1, 1, 0), (2, 3, 3, 2, 2, 1), (2, 5, 2, 1, 2, 1)]:
        x, w, b = numbers(2, 5, 4), numbers(k, 6 // groups, 4), numbers(6)
        want = F.conv_transpose1d(nchw(x), oihw(w), torch.from_numpy(b), s, p, extra, groups, d)
        book.add("torch.nn.functional.conv_transpose1d", "conv1d_transpose", {"x": x, "kernel": w, "bias": b}, nhwc(want),
                 groups=groups, strides=s, dilations=d, padding=p, output_padding=extra)  # fmt: skip
    book.write()


def pools() -> None:
    book = Book("pools")
    rows = [((6, 5), 2, 2, "valid"), ((6, 5), 2, 2, "same"), ((7, 6), 3, 2, "same"), ((7, 6), 3, 2, "valid"),
            ((7, 8), [2, 3], [3, 1], "same"), ((5, 5), 3, 1, "same"), ((2, 2), 4, 3, "same"), ((7, 5), [1, 2], 4, "same")]  # fmt: skip
    for (image, size, strides, padding), dtype in itertools.product(rows, ("float32", "float64")):
        if dtype == "float64" and image[0] != 7:
            continue
        x = numbers(1, *image, 3, dtype=dtype)
        for kind in ("max", "avg"):
            want = getattr(tf.nn, f"{kind}_pool2d")(tf.constant(x), size, strides, padding.upper())
            book.add(
                f"tf.nn.{kind}_pool2d",
                f"{kind}_pool2d",
                {"x": x},
                want,
                pool_size=size,
                strides=strides,
                padding=padding,
            )
    for size, strides, padding, dilations in [(3, 2, 1, 1), ([2, 3], [1, 2], [1, 0], [2, 1]), (2, 2, 0, 3)]:
        x = numbers(2, 7, 6, 2)
        x[0, 2, 2, 0], x[1, 3, 3, 1], x[1, 0, 0] = np.nan, np.inf, -np.inf
        want = F.max_pool2d(nchw(x), size, strides, padding, dilations)
        book.add("torch.nn.functional.max_pool2d", "max_pool2d", {"x": x}, nhwc(want),
                 pool_size=size, strides=strides, padding=padding, dilations=dilations)  # fmt: skip
    for size, strides, padding, count in [
        (3, 2, 1, True),
        (3, 2, 1, False),
        ([2, 3], [3, 1], [1, 1], True),
        ([4, 3], 2, [2, 0], False),
    ]:
        x = numbers(2, 7, 6, 2)
        want = F.avg_pool2d(nchw(x), size, strides, padding, count_include_pad=count)
        book.add("torch.nn.functional.avg_pool2d", "avg_pool2d", {"x": x}, nhwc(want),
                 pool_size=size, strides=strides, padding=padding, count_include_pad=count)  # fmt: skip
    x = numbers(2, 5, 4, 3)
    for keepdims in (False, True):
        for kind, title in (("avg", "Average"), ("max", "Max")):
            layer = getattr(tf.keras.layers, f"Global{title}Pooling2D")(keepdims=keepdims)
            book.add(
                f"tf.keras.layers.Global{title}Pooling2D",
                f"global_{kind}_pool2d",
                {"x": x},
                layer(x),
                keepdims=keepdims,
            )
    book.write()


def images() -> None:
    book = Book("images")
    v1 = tf.compat.v1.image
    sizes = [
        ((4, 5), (8, 10)),
        ((5, 7), (3, 4)),
        ((3, 4), (7, 5)),
        ((1, 3), (4, 1)),
        ((6, 6), (6, 6)),
        ((9, 2), (2, 11)),
    ]
    for image, size in sizes:
        x = numbers(1, *image, 2)
        for method in ("nearest", "bilinear"):
            want = tf.image.resize(x, size, method)
            book.add(
                "tf.image.resize",
                "resize2d",
                {"x": x},
                want,
                size=size,
                method=method,
                coordinates="half_pixel",
            )
            old = v1.resize_nearest_neighbor if method == "nearest" else v1.resize_bilinear
            for coordinates in ("align_corners", "asymmetric"):
                want = old(x, size, align_corners=coordinates == "align_corners")
                book.add(f"tf.compat.v1.image.{old.__name__}", "resize2d", {"x": x}, want,
                         size=size, method=method, coordinates=coordinates)  # fmt: skip
    for image, size in sizes[:4]:
        x = numbers(1, *image, 2, dtype="float64")
        for coordinates in ("align_corners", "half_pixel"):
            want = F.interpolate(nchw(x), size, mode="bilinear", align_corners=coordinates == "align_corners")
            book.add("torch.nn.functional.interpolate", "resize2d", {"x": x}, nhwc(want),
                     size=size, method="bilinear", coordinates=coordinates)  # fmt: skip
        for mode, coordinates in (("nearest", "asymmetric"), ("nearest-exact", "half_pixel")):
            want = F.interpolate(nchw(x), size, mode=mode)
            book.add("torch.nn.functional.interpolate", "resize2d", {"x": x}, nhwc(want),
                     size=size, method="nearest", coordinates=coordinates)  # fmt: skip
    x = numbers(1, 3, 4, 2)
    for factors in (2, [3, 1]):
        for method in ("nearest", "bilinear"):
            want = tf.keras.layers.UpSampling2D(factors, interpolation=method)(x)
            book.add(
                "tf.keras.layers.UpSampling2D", "upsample2d", {"x": x}, want, factors=factors, method=method
            )
    x = numbers(2, 4, 3, 2)
    pads = [[1, 3], [2, 0]]
    for mode in ("constant", "reflect"):
        want = tf.pad(x, [[0, 0], *pads, [0, 0]], mode)
        book.add("tf.pad", "pad2d", {"x": x}, want, padding=pads, mode=mode)
    want = tf.pad(x, [[0, 0], *pads, [0, 0]], constant_values=-1.5)
    book.add("tf.pad", "pad2d", {"x": x}, want, padding=[[0, 0], *pads, [0, 0]], value=-1.5)
    want = F.pad(nchw(x), [2, 0, 1, 3], "replicate")
    book.add("torch.nn.functional.pad", "pad2d", {"x": x}, nhwc(want), padding=pads, mode="edge")
    # Each index through float32 arithmetic: where rounding may go either way, ours must go the framework's way.
    ramp = np.arange(64, dtype="float32").reshape(1, 64, 1, 1)
    for method, coordinates in itertools.product(("nearest",), ("half_pixel", "align_corners", "asymmetric")):
        rows = []
        for n, m in itertools.product(range(1, 65, 3), range(1, 65)):
            if coordinates == "half_pixel":
                want = tf.image.resize(ramp[:, :n], (m, 1), method)
            else:
                want = v1.resize_nearest_neighbor(
                    ramp[:, :n], (m, 1), align_corners=coordinates == "align_corners"
                )
            rows.append(want.numpy().ravel())
        book.arrays[f"indices/{coordinates}"] = np.concatenate(rows).astype("uint8")
    book.write()


def pointwise() -> None:
    book = Book("pointwise")
    points = np.concatenate([np.linspace(-12, 12, 97), np.linspace(-100, 100, 9),
                             [0.0, -0.0, np.inf, -np.inf, np.nan, 1e-30, -1e-30, 3, -3, 6, 1e4, -1e4, 88.8, -88.8, 710, -710]])  # fmt: skip
    # float64 only where TensorFlow has exact constants: its leaky_relu rounds 0.2, its gelu sqrt(2), to float32.
    table = {
        "relu": tf.nn.relu, "relu6": tf.nn.relu6, "leaky_relu": tf.nn.leaky_relu, "elu": tf.nn.elu, "sigmoid": tf.nn.sigmoid,
        "tanh": tf.nn.tanh, "silu": tf.nn.silu, "gelu": tf.nn.gelu, "softplus": tf.nn.softplus,
        "hard_sigmoid": tf.keras.activations.hard_sigmoid, "hard_swish": tf.keras.activations.hard_swish,
    }  # fmt: skip
    for name, function in table.items():
        for dtype in ("float32", "float64"):
            source = f"{'tf.keras.activations' if name.startswith('hard') else 'tf.nn'}.{name}"
            x = points.astype(dtype)
            if dtype == "float64" and name == "gelu":
                source, want = "torch.nn.functional.gelu", F.gelu(torch.from_numpy(x))
            elif dtype == "float64" and name == "leaky_relu":
                source, want = "torch.nn.functional.leaky_relu", F.leaky_relu(torch.from_numpy(x), 0.2)
            else:
                want = function(tf.constant(x))
            book.add(source, name, {"x": x}, want)
    x = numbers(2, 3, 4, 5)
    book.add("tf.nn.leaky_relu", "leaky_relu", {"x": x}, tf.nn.leaky_relu(x, 0.01), alpha=0.01)
    book.add("torch.nn.functional.elu", "elu", {"x": x}, F.elu(torch.from_numpy(x), 0.5), alpha=0.5)
    book.add("tf.nn.bias_add", "bias_add", {"x": x, "bias": (b := numbers(5))}, tf.nn.bias_add(x, b))
    for axis in (-1, 1):
        book.add("tf.nn.softmax", "softmax", {"x": x * 50}, tf.nn.softmax(x * 50, axis), axis=axis)
    scores = np.array([[1e4, 0, -1e4], [-np.inf, 0, 1], [np.nan, 0, 1]], "float32")
    book.add("tf.nn.softmax", "softmax", {"x": scores}, tf.nn.softmax(scores))
    for dtype in ("float32", "float64"):
        x, mean, scale, offset = (numbers(*s, dtype=dtype) for s in ((2, 3, 4, 5), (5,), (5,), (5,)))
        variance = abs(numbers(5, dtype=dtype))
        want = tf.nn.batch_normalization(x, mean, variance, offset, scale, 1e-3)
        book.add("tf.nn.batch_normalization", "batch_norm",
                 {"x": x, "mean": mean, "variance": variance, "scale": scale, "offset": offset}, want)  # fmt: skip
    want = F.batch_norm(nchw(x), torch.from_numpy(mean), torch.from_numpy(variance), eps=1e-5)
    book.add(
        "torch.nn.functional.batch_norm",
        "batch_norm",
        {"x": x, "mean": mean, "variance": variance},
        nhwc(want),
        epsilon=1e-5,
    )
    for shape in ((5,), (3, 4, 5), (1, 1, 5)):
        x, alpha = numbers(2, 3, 4, 5), numbers(*shape)
        layer = tf.keras.layers.PReLU(shared_axes=[1, 2] if shape != (3, 4, 5) else None)
        layer.build(x.shape)
        layer.set_weights([alpha.reshape(layer.get_weights()[0].shape)])
        book.add("tf.keras.layers.PReLU", "prelu", {"x": x, "alpha": alpha}, layer(x))
    book.add("torch.nn.functional.prelu", "prelu", {"x": points.astype("float32")[:, None], "alpha": (a := np.array([0.25], "float32"))},
             F.prelu(torch.from_numpy(points.astype("float32")[:, None]), torch.from_numpy(a)))  # fmt: skip
    x = numbers(2, 2, 3, 4)
    book.add("tf.keras.layers.Flatten", "flatten", {"x": x}, tf.keras.layers.Flatten()(x), order="HWC")
    book.add("torch.flatten", "flatten", {"x": x}, torch.flatten(nchw(x), 1), order="CHW")
    book.write()


if __name__ == "__main__":
    for make in (conv2d, conv2d_transpose, depthwise_conv2d, dense_and_conv1d, pools, images, pointwise):
        make()
