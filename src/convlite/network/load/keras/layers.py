"""What Keras's layers become: convolutions, pools, normalisations, shapes, merges."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..onnx.tensors import Refused
from .activations import activated
from .call import Call, layer

__all__: list[str] = []


def _tuple(value: Any, axes: int) -> tuple[int, ...]:
    return (int(value),) * axes if isinstance(value, int) else tuple(int(entry) for entry in value)


def _convolved(call: Call, x: str, kernel: str, bias: str, groups: int, padding: str | None = None) -> str:
    config, axes = call.config, call.rank_of(x) - 2
    strides, dilations = _tuple(config["strides"], axes), _tuple(config["dilation_rate"], axes)
    how: Any = config["padding"] if padding is None else padding
    if how == "causal":
        taps = call.builder.fact(kernel).shape
        assert taps is not None
        how = (((int(taps[0] or 0) - 1) * dilations[0], 0),)
    elif how == "valid":
        how = ((0, 0),) * axes
    return call.emit(
        "conv",
        x,
        kernel,
        bias,
        strides=strides,
        dilations=dilations,
        padding=how,
        groups=groups,
        activation=None,
    )


@layer("Conv1D", "Conv2D")
def _conv(call: Call) -> str:
    y = _convolved(call, call.last(), call.own("kernel"), call.own("bias"), int(call.config.get("groups", 1)))
    return activated(call, call.back(y), call.layer.activation)


def _depthwise_kernel(call: Call) -> tuple[str, int]:
    held = call.own("depthwise_kernel") or call.own("kernel")  # tf_keras and separable layers; Keras 3
    array = call.builder.constants[held]
    channels = int(array.shape[-2])
    wide = array.reshape(*array.shape[:-2], 1, -1)
    return call.builder.derived(wide, held, "grouped"), channels


@layer("DepthwiseConv1D", "DepthwiseConv2D")
def _depthwise(call: Call) -> str:
    kernel, channels = _depthwise_kernel(call)
    y = _convolved(call, call.last(), kernel, call.own("bias"), channels)
    return activated(call, call.back(y), call.layer.activation)


@layer("SeparableConv1D", "SeparableConv2D")
def _separable(call: Call) -> str:
    kernel, channels = _depthwise_kernel(call)
    y = _convolved(call, call.last(), kernel, "", channels)
    ones = (1,) * (call.rank - 2)
    y = call.emit(
        "conv", y, call.own("pointwise_kernel"), call.own("bias"), strides=ones, dilations=ones,
        padding=((0, 0),) * len(ones), groups=1, activation=None,
    )  # fmt: skip
    return activated(call, call.back(y), call.layer.activation)


@layer("Conv1DTranspose", "Conv2DTranspose")
def _conv_transpose(call: Call) -> str:
    config, axes = call.config, call.rank - 2
    strides, dilations = _tuple(config["strides"], axes), _tuple(config["dilation_rate"], axes)
    taps, extra = _tuple(config["kernel_size"], axes), config.get("output_padding")
    same = config["padding"] == "same"
    if same and extra is not None:
        raise Refused("it has an output_padding with padding 'same'; leave it out")
    windows = [(k - 1) * d + 1 for k, d in zip(taps, dilations, strict=True)]
    if extra is None:  # without overlap the output is strides * size all the same
        added = tuple(max(s - k, 0) for s, k in zip(strides, windows, strict=True))
    else:
        added = _tuple(extra, axes)
    y = call.emit(
        "conv_transpose", call.last(), call.own("kernel"), call.own("bias"), strides=strides,
        dilations=dilations, padding="same" if same else ((0, 0),) * axes, output_shape=None,
        output_padding=None if same or not any(added) else added, groups=int(config.get("groups", 1)),
        activation=None,
    )  # fmt: skip
    return activated(call, call.back(y), call.layer.activation)


@layer("Dense")
def _dense(call: Call) -> str:
    y = call.emit("dense", call.x, call.own("kernel"), call.own("bias"), activation=None)
    return activated(call, y, call.layer.activation)


@layer("EinsumDense")
def _einsum_dense(call: Call) -> str:
    y = call.emit("einsum", call.x, call.own("kernel"), equation=str(call.layer.equation))
    bias = call.own("bias")
    return activated(call, call.emit("add", y, bias) if bias else y, call.layer.activation)


@layer("Embedding")
def _embedding(call: Call) -> str:
    if call.config.get("mask_zero"):
        raise Refused("it makes a mask (mask_zero), which is not supported")
    ids = call.emit("cast", call.x, dtype=np.dtype(np.int64))
    return call.emit("gather", call.own("embeddings"), ids, axis=0)


# ---- pools ----


@layer("MaxPooling1D", "MaxPooling2D", "AveragePooling1D", "AveragePooling2D")
def _pool(call: Call) -> str:
    config, axes = call.config, call.rank - 2
    attributes: dict[str, Any] = {
        "kernel": _tuple(config["pool_size"], axes), "strides": _tuple(config["strides"], axes),
        "padding": "same" if config["padding"] == "same" else ((0, 0),) * axes, "dilations": (1,) * axes,
        "ceil_mode": False,
    }  # fmt: skip
    if type(call.layer).__name__.startswith("Max"):
        return call.back(call.emit("max_pool", call.last(), **attributes))
    return call.back(call.emit("avg_pool", call.last(), count_include_pad=False, **attributes))


@layer(
    "GlobalMaxPooling1D", "GlobalMaxPooling2D", "GlobalAveragePooling1D", "GlobalAveragePooling2D"
)  # fmt: skip
def _global_pool(call: Call) -> str:
    kind = "reduce_max" if "Max" in type(call.layer).__name__ else "reduce_mean"
    keep, axes = bool(call.config.get("keepdims", False)), range(1, call.rank - 1)
    y = call.emit(kind, call.last(), call.ints(axes), keepdims=keep, noop_with_empty_axes=False)
    return call.back(y) if keep else y


# ---- normalisation ----


@layer("BatchNormalization")
def _batch_norm(call: Call) -> str:
    axis = call.layer.axis
    axis = int(axis[0] if isinstance(axis, (list, tuple)) else axis) % call.rank
    mean, variance = call.own("moving_mean"), call.own("moving_variance")
    count = call.builder.constants[mean].shape
    scale = call.own("gamma") or call.constant(np.ones(count, np.float32))
    offset = call.own("beta") or call.constant(np.zeros(count, np.float32))
    rest = [other for other in range(call.rank) if other != axis]
    x = call.transposed(call.x, (*rest, axis))
    y = call.emit("batch_norm", x, scale, offset, mean, variance, epsilon=float(call.layer.epsilon))
    return call.transposed(y, tuple(int(place) for place in np.argsort((*rest, axis))))


@layer("LayerNormalization")
def _layer_norm(call: Call) -> str:
    if call.config.get("rms_scaling"):
        raise Refused("rms_scaling is not supported")
    axis = call.layer.axis
    axes = sorted(int(a) % call.rank for a in (axis if isinstance(axis, (list, tuple)) else [axis]))
    if axes != list(range(axes[0], call.rank)):
        raise Refused(f"it goes over the axes {axes}, not over the last ones")
    scale, offset = call.own("gamma"), call.own("beta")
    outputs = call.emit_many(
        "layer_norm", (call.x, scale, offset), 1, axis=axes[0], epsilon=float(call.layer.epsilon)
    )
    return outputs[0]


@layer("GroupNormalization")
def _group_norm(call: Call) -> str:
    if int(call.layer.axis) % call.rank != call.rank - 1:
        raise Refused("its axis is not the last")
    shape = call.builder.fact(call.x).shape
    channels = shape[-1] if shape else None
    if not isinstance(channels, int):
        raise Refused("the number of channels is not known")
    groups = channels if call.layer.groups == -1 else int(call.layer.groups)
    scale = call.own("gamma") or call.constant(np.ones(channels, np.float32))
    offset = call.own("beta") or call.constant(np.zeros(channels, np.float32))
    return call.emit("group_norm", call.x, scale, offset, groups=groups, epsilon=float(call.layer.epsilon))


def _unit(call: Call, x: str, axes: Sequence[int]) -> str:
    """x over its length, at least 1e-6, as Keras's l2_normalize."""
    squares = call.emit("reduce_sum_square", x, call.ints(axes), keepdims=True, noop_with_empty_axes=False)
    return call.emit("div", x, call.emit("sqrt", call.emit("max", squares, call.constant(1e-12, np.float32))))


@layer("UnitNormalization")
def _unit_normalization(call: Call) -> str:
    axis = call.layer.axis
    return _unit(call, call.x, axis if isinstance(axis, (list, tuple)) else [axis])


@layer("Rescaling")
def _rescaling(call: Call) -> str:
    scale, offset = (np.asarray(getattr(call.layer, name), np.float32) for name in ("scale", "offset"))
    if call.config.get("data_format") == "channels_first" and (scale.ndim or offset.ndim):
        raise Refused("a scale for each channel with channels first is not supported")
    y = call.emit("mul", call.floats(call.x), call.constant(scale))
    return call.emit("add", y, call.constant(offset)) if offset.any() else y


@layer("Normalization")
def _normalization(call: Call) -> str:
    if getattr(call.layer, "mean", None) is None:
        raise Refused("it has no mean yet: call adapt, or give mean and variance")
    deviation = np.maximum(np.sqrt(call.array("variance")), np.float32(1e-7))
    mean, scale = call.constant(call.array("mean"), np.float32), call.constant(deviation, np.float32)
    x = call.floats(call.x)
    if getattr(call.layer, "invert", False):
        return call.emit("add", call.emit("mul", x, scale), mean)
    return call.emit("div", call.emit("sub", x, mean), scale)


# ---- shapes ----


@layer(
    "Dropout", "SpatialDropout1D", "SpatialDropout2D", "GaussianDropout", "GaussianNoise", "AlphaDropout",
    "ActivityRegularization", "Identity", "RandomFlip", "RandomRotation", "RandomZoom", "RandomTranslation",
    "RandomContrast", "RandomBrightness",
)  # fmt: skip
def _nothing(call: Call) -> str:
    """These act while training only."""
    return call.x


@layer("Flatten")
def _flatten(call: Call) -> str:
    if call.rank == 1:
        return call.emit("unsqueeze", call.x, call.ints((1,)))
    return call.reshaped(call.last() if call.rank > 2 else call.x, (0, -1))


@layer("Reshape")
def _reshape(call: Call) -> str:
    return call.reshaped(call.x, (0, *(int(size) for size in call.config["target_shape"])))


@layer("Permute")
def _permute(call: Call) -> str:
    return call.transposed(call.x, (0, *(int(axis) for axis in call.config["dims"])))


@layer("RepeatVector")
def _repeat(call: Call) -> str:
    x = call.emit("unsqueeze", call.x, call.ints((1,)))
    return call.emit("tile", x, call.ints((1, int(call.config["n"]), 1)))


def _pairs(value: Any, axes: int) -> list[tuple[int, int]]:
    if isinstance(value, int):
        return [(value, value)] * axes
    if axes == 1:
        return [(int(value[0]), int(value[1]))]
    return [(entry, entry) if isinstance(entry, int) else (int(entry[0]), int(entry[1])) for entry in value]


@layer("ZeroPadding1D", "ZeroPadding2D")
def _zero_padding(call: Call) -> str:
    pairs = _pairs(call.config["padding"], call.rank - 2)
    pads = (0, *(low for low, _ in pairs), 0, 0, *(high for _, high in pairs), 0)
    return call.back(call.emit("pad", call.last(), call.ints(pads), mode="constant"))


@layer("Cropping1D", "Cropping2D")
def _cropping(call: Call) -> str:
    pairs = _pairs(call.config["cropping"], call.rank - 2)
    ends = [-high if high else np.iinfo(np.int64).max for _, high in pairs]
    axes, steps = range(1, len(pairs) + 1), [1] * len(pairs)
    starts = [low for low, _ in pairs]
    y = call.emit("slice", call.last(), call.ints(starts), call.ints(ends), call.ints(axes), call.ints(steps))
    return call.back(y)


def _resized(call: Call, axes: tuple[int, ...], how: str, scales: str, sizes: str) -> str:
    if how not in ("nearest", "bilinear"):
        raise Refused(f"its interpolation {how!r} is not supported; there are 'nearest' and 'bilinear'")
    y = call.emit(
        "resize", call.last(), "", scales, sizes, axes=axes,
        mode="linear" if how == "bilinear" else "nearest",
        coordinates="half_pixel", nearest_mode="round_prefer_ceil", cubic_a=-0.5, exclude_outside=False,
        extrapolation_value=0.0, antialias=False, keep_aspect_ratio_policy="stretch",
    )  # fmt: skip
    return call.back(y)


@layer("UpSampling1D", "UpSampling2D")
def _up_sampling(call: Call) -> str:
    size = _tuple(call.config["size"], call.rank - 2)
    scales = call.constant(size, np.float32)
    how = str(call.config.get("interpolation", "nearest"))
    return _resized(call, tuple(range(1, call.rank - 1)), how, scales, "")


@layer("Resizing")
def _resizing(call: Call) -> str:
    config = call.config
    if any(config.get(name) for name in ("crop_to_aspect_ratio", "pad_to_aspect_ratio", "antialias")):
        raise Refused("it keeps the aspect ratio or smooths, which is not supported")
    if call.rank != 4:
        raise Refused("images without a batch axis are not supported")
    sizes = call.ints((int(config["height"]), int(config["width"])))
    return _resized(call, (1, 2), str(config["interpolation"]), "", sizes)


# ---- several inputs ----


@layer("Concatenate")
def _concatenate(call: Call) -> str:
    return call.emit("concat", *call.inputs, axis=int(call.config["axis"]))


@layer("Add", "Multiply", "Subtract")
def _pairwise(call: Call) -> str:
    kind = {"Add": "add", "Multiply": "mul", "Subtract": "sub"}[type(call.layer).__name__]
    y = _aligned(call)[0]
    for other in _aligned(call)[1:]:
        y = call.emit(kind, y, other)
    return y


@layer("Average", "Maximum", "Minimum")
def _variadic(call: Call) -> str:
    kind = {"Average": "mean", "Maximum": "max", "Minimum": "min"}[type(call.layer).__name__]
    return call.emit(kind, *_aligned(call))


def _aligned(call: Call) -> list[str]:
    """Merging layers add axes behind the batch axis, which NumPy does in front of it."""
    most = max(call.rank_of(name) for name in call.inputs)
    short = [most - call.rank_of(name) for name in call.inputs]
    return [
        call.emit("unsqueeze", name, call.ints(tuple(range(1, count + 1)))) if count else name
        for name, count in zip(call.inputs, short, strict=True)
    ]


@layer("Dot")
def _dot(call: Call) -> str:
    a, b = call.inputs
    axes = call.config["axes"]
    first, second = (axes, axes) if isinstance(axes, int) else axes
    first, second = int(first) % call.rank_of(a), int(second) % call.rank_of(b)
    if call.config.get("normalize"):
        a, b = _unit(call, a, [first]), _unit(call, b, [second])
    left = "a" + "bcdefgh"[: call.rank_of(a) - 1]
    right = "a" + "mnopqrs"[: call.rank_of(b) - 1]
    right = right[:second] + left[first] + right[second + 1 :]
    result = left.replace(left[first], "") + right[1:].replace(left[first], "")
    y = call.emit("einsum", a, b, equation=f"{left},{right}->{result}")
    return call.emit("unsqueeze", y, call.ints((1,))) if len(result) == 1 else y
