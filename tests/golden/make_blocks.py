"""Write ops_blocks.npz: pools, activations, normalization and shuffles as PyTorch, Keras 3 and ONNX Runtime have them.

    KERAS_BACKEND=torch python tests/golden/make_blocks.py

with an interpreter that has torch, keras, onnx and onnxruntime (README.md names the versions). All numbers lie in one
array, "numbers"; the JSON text "cases" has each array's shape, in the order of "operands" and then "want". Operands are
keywords of convlite's functions. Each case is also compared with what convlite computes, and a difference is printed:
it is then for a person to say who is right.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np

warnings.simplefilter("ignore")
import keras  # noqa: E402
import onnx  # noqa: E402
import onnxruntime  # noqa: E402
import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402

import convlite as cl  # noqa: E402

FILE = Path(__file__).parent / "ops_blocks.npz"
RNG = np.random.default_rng(20261128)
ARRAYS: list[np.ndarray] = []
CASES: list[dict[str, Any]] = []


def numbers(*shape: int) -> np.ndarray:
    return (RNG.integers(-31, 32, shape) / 16).astype(np.float32)


def add(source: str, function: str, operands: dict[str, np.ndarray], want: Any, **options: Any) -> None:
    want = np.ascontiguousarray(want.detach().numpy() if hasattr(want, "detach") else want)
    arrays = [np.ascontiguousarray(array, np.float32) for array in (*operands.values(), want)]
    ARRAYS.extend(arrays)
    CASES.append(
        {
            "source": source,
            "function": function,
            "operands": list(operands),
            "options": options,
            "shapes": [array.shape for array in arrays],
        }
    )
    got = getattr(cl, function)(**operands, **options)
    if got.shape != want.shape or not np.allclose(got, want, rtol=1e-5, atol=1e-6):
        print(f"differs: {source} {options} {got.shape} {want.shape}")


def first(x: np.ndarray) -> torch.Tensor:
    """Channels first."""
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(x, -1, 1)))


def last(x: Any) -> np.ndarray:
    return np.moveaxis(x.detach().numpy() if hasattr(x, "detach") else np.asarray(x), 1, -1)


def onnx_run(kind: str, x: np.ndarray, opset: int, **attributes: Any) -> np.ndarray:
    """One node of ONNX Runtime, channels moved there and back."""
    node = onnx.helper.make_node(kind, ["x"], ["y"], **attributes)
    info = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [node], "g", [info("x", onnx.TensorProto.FLOAT, None)], [info("y", onnx.TensorProto.FLOAT, None)]
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)], ir_version=9)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return last(session.run(None, {"x": first(x).numpy()})[0])


def pools() -> None:
    for k, s, p, d, size in (
        (2, 2, 0, 1, (5, 6)), (3, 2, 1, 1, (6, 7)), (3, 2, 0, 1, (6, 8)), (3, 3, 1, 1, (7, 8)), (2, 3, 1, 1, (4, 6)),
        (3, 2, 1, 2, (8, 9)), (2, 2, 1, 3, (7, 8)), (3, 1, 1, 2, (6, 5)), (4, 3, 2, 1, (5, 9)), (3, 4, 1, 1, (5, 6)),
    ):  # fmt: skip
        for ceil in (False, True):
            x = numbers(1, *size, 2)
            geometry = {"pool_size": k, "strides": s, "padding": p, "ceil_mode": ceil}
            y = F.max_pool2d(first(x), k, s, p, d, ceil)
            add("torch max_pool2d", "max_pool2d", {"x": x}, last(y), dilations=d, **geometry)
            if d == 1:
                for count in (False, True):
                    y = F.avg_pool2d(first(x), k, s, p, ceil, count)
                    add(
                        "torch avg_pool2d",
                        "avg_pool2d",
                        {"x": x},
                        last(y),
                        count_include_pad=count,
                        **geometry,
                    )
            attributes = {"kernel_shape": [k, k], "strides": [s, s], "pads": [p] * 4, "dilations": [d, d]}
            y = onnx_run("MaxPool", x, 12, ceil_mode=int(ceil), **attributes)
            add("ONNX MaxPool-12", "max_pool2d", {"x": x}, y, dilations=d, **geometry)
            for count in (False, True):
                y = onnx_run(
                    "AveragePool", x, 19, ceil_mode=int(ceil), count_include_pad=int(count), **attributes
                )
                add(
                    "ONNX AveragePool-19",
                    "avg_pool2d",
                    {"x": x},
                    y,
                    dilations=d,
                    count_include_pad=count,
                    **geometry,
                )
    for size, wanted in (
        ((7, 9), (3, 4)),
        ((5, 6), (7, 7)),
        ((6, 6), (2, 3)),
        ((7, 5), (1, 1)),
        ((7, 5), (None, 2)),
    ):
        x = numbers(2, *size, 3)
        add("torch AdaptiveAvgPool2d", "adaptive_avg_pool2d", {"x": x}, last(F.adaptive_avg_pool2d(first(x), wanted)),
            output_size=wanted)  # fmt: skip
        add("torch AdaptiveMaxPool2d", "adaptive_max_pool2d", {"x": x}, last(F.adaptive_max_pool2d(first(x), wanted)),
            output_size=wanted)  # fmt: skip
    for k, s, p in ((2, 2, 0), (3, 2, 1)):
        x = numbers(2, 8, 3)
        for ceil in (False, True):
            options = {"pool_size": k, "strides": s, "padding": p, "ceil_mode": ceil}
            y = F.max_pool1d(first(x), k, s, p, 1, ceil)
            add("torch max_pool1d", "max_pool1d", {"x": x}, last(y), **options)
            y = F.avg_pool1d(first(x), k, s, p, ceil, True)
            add("torch avg_pool1d", "avg_pool1d", {"x": x}, last(y), count_include_pad=True, **options)
    for padding in ("valid", "same"):
        x = numbers(2, 7, 3)
        y = keras.layers.MaxPooling1D(3, 2, padding)(x)
        add("keras MaxPooling1D", "max_pool1d", {"x": x}, y, pool_size=3, strides=2, padding=padding)
        y = keras.layers.AveragePooling1D(3, 2, padding)(x)
        add("keras AveragePooling1D", "avg_pool1d", {"x": x}, y, pool_size=3, strides=2, padding=padding)
    x = numbers(2, 7, 3)
    add("keras GlobalMaxPooling1D", "global_max_pool1d", {"x": x}, keras.layers.GlobalMaxPooling1D()(x))
    add(
        "keras GlobalAveragePooling1D",
        "global_avg_pool1d",
        {"x": x},
        keras.layers.GlobalAveragePooling1D()(x),
    )


def activations() -> None:
    x = np.concatenate([np.linspace(-9, 9, 73), [-40, 40, -0.5, 0.5]]).astype(np.float32)
    t = torch.from_numpy(x)
    for name, theirs, options in (
        ("selu", F.selu, {}), ("mish", F.mish, {}), ("softsign", F.softsign, {}), ("log_sigmoid", F.logsigmoid, {}),
        ("hard_tanh", F.hardtanh, {}), ("tanh_shrink", F.tanhshrink, {}), ("soft_shrink", F.softshrink, {}),
        ("hard_shrink", F.hardshrink, {}), ("exponential", torch.exp, {}), ("celu", F.celu, {"alpha": 1.5}),
    ):  # fmt: skip
        add(f"torch {name}", name, {"x": x}, theirs(t, **options), **options)
        if not options:
            add(f"keras {name}", name, {"x": x}, getattr(keras.activations, name)(t))
    add("torch threshold", "threshold", {"x": x}, F.threshold(t, 0.5, 2.0), threshold=0.5, value=2.0)
    rows = numbers(3, 4, 7)
    for axis in (-1, 1):
        y = F.log_softmax(torch.from_numpy(rows), axis)
        add("torch log_softmax", "log_softmax", {"x": rows}, y, axis=axis)
    add(
        "keras log_softmax", "log_softmax", {"x": rows}, keras.activations.log_softmax(torch.from_numpy(rows))
    )


def normalization() -> None:
    x = numbers(2, 5, 4, 6)
    gamma, beta = numbers(6), numbers(6)
    affine, t = {"gamma": gamma, "beta": beta}, torch.from_numpy
    y = F.layer_norm(t(x), (6,), t(gamma), t(beta), 1e-5)
    add("torch layer_norm", "layer_norm", {"x": x, **affine}, y, epsilon=1e-5)
    whole = {"gamma": numbers(5, 4, 6), "beta": numbers(5, 4, 6)}
    y = F.layer_norm(t(x), (5, 4, 6), t(whole["gamma"]), t(whole["beta"]), 1e-5)
    add("torch layer_norm", "layer_norm", {"x": x, **whole}, y, epsilon=1e-5, axis=(1, 2, 3))
    for groups in (1, 2, 3, 6):
        y = last(F.group_norm(first(x), groups, t(gamma), t(beta), 1e-5))
        add("torch group_norm", "group_norm", {"x": x, **affine}, y, groups=groups, epsilon=1e-5)
    y = last(F.instance_norm(first(x), weight=t(gamma), bias=t(beta), eps=1e-5))
    add("torch instance_norm", "instance_norm", {"x": x, **affine}, y, epsilon=1e-5)
    y = F.rms_norm(t(x), (6,), t(gamma), 1e-5)
    add("torch rms_norm", "rms_norm", {"x": x, "gamma": gamma}, y, epsilon=1e-5)
    add("torch normalize", "unit_norm", {"x": x}, F.normalize(t(x), dim=-1))
    for n in (1, 2, 3, 4, 5):
        size = n if n % 2 else (n // 2, n // 2 - 1)
        y = last(F.local_response_norm(first(x), n, 0.5, 0.75, 2.0))
        add("torch local_response_norm", "lrn", {"x": x}, y, size=size, alpha=0.5, beta=0.75, k=2.0)
        if (
            n % 2
        ):  # ONNX Runtime takes no even size, and onnx.reference is wrong: it counts channels by the batch
            y = onnx_run("LRN", x, 13, size=n, alpha=0.5, beta=0.75, bias=2.0)
            add("ONNX LRN", "lrn", {"x": x}, y, size=n, alpha=0.5, beta=0.75, k=2.0)
    for axis in (-1, (2, 3), (1, 2, 3)):  # the last axes only: Keras on torch fails on others
        layer = keras.layers.LayerNormalization(axis=axis)
        layer.build(x.shape)
        weights = {k: numbers(*w.shape) for k, w in zip(("gamma", "beta"), layer.weights, strict=True)}
        layer.set_weights(list(weights.values()))
        add("keras LayerNormalization", "layer_norm", {"x": x, **weights}, layer(x), axis=axis)
    for groups in (2, -1):
        layer = keras.layers.GroupNormalization(groups)
        layer.build(x.shape)
        layer.set_weights([gamma, beta])
        add("keras GroupNormalization", "group_norm", {"x": x, **affine}, layer(x), groups=groups)
    layer = keras.layers.RMSNormalization()
    layer.build(x.shape)
    layer.set_weights([gamma])
    add("keras RMSNormalization", "rms_norm", {"x": x, "gamma": gamma}, layer(x))
    for axis in (-1, (1, 2)):
        y = keras.layers.UnitNormalization(axis)(x)
        add("keras UnitNormalization", "unit_norm", {"x": x}, y, axis=axis)


def shuffles() -> None:
    x = numbers(2, 3, 2, 12)
    add(
        "torch pixel_shuffle", "pixel_shuffle", {"x": x}, last(F.pixel_shuffle(first(x), 2)), upscale_factor=2
    )
    for mode in ("DCR", "CRD"):
        y = onnx_run("DepthToSpace", x, 13, blocksize=2, mode=mode)
        add("ONNX DepthToSpace", "depth_to_space", {"x": x}, y, block_size=2, mode=mode)
    add("keras depth_to_space", "depth_to_space", {"x": x}, keras.ops.depth_to_space(x, 2), block_size=2)
    for groups in (2, 3, 4):
        y = last(torch.nn.ChannelShuffle(groups)(first(x)))
        add("torch ChannelShuffle", "channel_shuffle", {"x": x}, y, groups=groups)
    x = numbers(2, 4, 6, 3)
    y = last(F.pixel_unshuffle(first(x), 2))
    add("torch pixel_unshuffle", "pixel_unshuffle", {"x": x}, y, downscale_factor=2)
    y = onnx_run("SpaceToDepth", x, 13, blocksize=2)
    add("ONNX SpaceToDepth", "space_to_depth", {"x": x}, y, block_size=2)
    add("keras space_to_depth", "space_to_depth", {"x": x}, keras.ops.space_to_depth(x, 2), block_size=2)
    x = numbers(2, 6, 7, 3)
    for k, s, p, d in ((3, 1, 0, 1), (3, 2, 1, 1), (2, 2, 1, 2)):
        y = F.unfold(first(x), k, dilation=d, padding=p, stride=s)
        h, w = ((n + 2 * p - (k - 1) * d - 1) // s + 1 for n in x.shape[1:3])
        y = y.reshape(2, -1, h, w)
        add(
            "torch unfold",
            "extract_patches",
            {"x": x},
            last(y),
            size=k,
            strides=s,
            padding=p,
            dilations=d,
            order="CHW",
        )
    for padding in ("valid", "same"):
        y = keras.ops.image.extract_patches(x, (3, 2), strides=2, padding=padding)
        add("keras extract_patches", "extract_patches", {"x": x}, y, size=(3, 2), strides=2, padding=padding)


for part in (pools, activations, normalization, shuffles):
    part()
numbers_of_all = np.concatenate([array.ravel() for array in ARRAYS])
np.savez_compressed(FILE, cases=np.array(json.dumps(CASES)), numbers=numbers_of_all)
print(f"{FILE.name}: {len(CASES)} cases, {FILE.stat().st_size} bytes")
