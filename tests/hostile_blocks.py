"""The good calls of what stands between the convolutions: pools, normalization, shuffles, activations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import convlite as cl

Made = dict[str, Any]


def blocks(call: Callable[..., Any], layer: Callable[..., Any], f32: Callable[..., np.ndarray]) -> Made:
    """The calls by name, made with the helpers of hostile.py."""
    return {
        **_functions(cl, call, f32, ""),
        **_functions(cl.reference, call, f32, "reference."),
        **_more_functions(call, f32),
        **_layers(layer, call, f32),
        **_activations(call, f32),
        **_flax(call, f32),
    }


def _window(strides: str = "integers") -> Made:
    return {
        "strides": (1, strides), "padding": ("valid", "padding"), "dilations": (1, strides),
        "ceil_mode": (False, "flag"),
    }  # fmt: skip


def _functions(space: Any, call: Callable[..., Any], f32: Callable[..., np.ndarray], prefix: str) -> Made:
    """What convlite and its reference have under the same names."""
    x4, x3, x2 = ((f32(*s), "array") for s in ((2, 5, 6, 4), (2, 6, 4), (3, 4)))
    size, one = {"pool_size": (2, "integers")}, {"pool_size": (2, "integer")}
    counted, eps = {"count_include_pad": (True, "flag")}, {"epsilon": (1e-3, "real")}
    affine = {"gamma": (f32(4), "array"), "beta": (f32(4), "array")}
    axis = {"axis": (-1, "axes")}
    arguments: dict[str, Made] = {
        "max_pool2d": {"x": x4, **size, **_window()},
        "avg_pool2d": {"x": x4, **size, **_window(), **counted},
        "adaptive_max_pool2d": {"x": x4, "output_size": (3, "integers")},
        "adaptive_avg_pool2d": {"x": x4, "output_size": (3, "integers")},
        "max_pool1d": {"x": x3, **one, **_window("integer")},
        "avg_pool1d": {"x": x3, **one, **_window("integer"), **counted},
        "layer_norm": {"x": x2, **affine, **axis, **eps},
        "rms_norm": {"x": x2, "gamma": affine["gamma"], **axis, **eps},
        "group_norm": {"x": x4, "groups": (2, "integer"), **affine, **eps},
        "instance_norm": {"x": x4, **affine, **eps},
        "unit_norm": {"x": x2, **axis, **eps},
        "lrn": {
            "x": x2, "size": (3, "integers"), "alpha": (1.0, "real"), "beta": (0.75, "real"),
            "k": (1.0, "real"),
        },
        "depth_to_space": {"x": x4, "block_size": (2, "integer"), "mode": ("CRD", "name")},
        "space_to_depth": {
            "x": (f32(2, 4, 6, 3), "array"), "block_size": (2, "integer"), "mode": ("CRD", "name"),
        },
        "channel_shuffle": {"x": x2, "groups": (2, "integer")},
        "extract_patches": {
            "x": x4, "size": (2, "integers"), "strides": (1, "integers"), "padding": ("valid", "padding"),
            "dilations": (1, "integers"), "order": ("CHW", "name"),
        },
    }  # fmt: skip
    return {prefix + name: call(getattr(space, name), **given) for name, given in arguments.items()}


def _more_functions(call: Callable[..., Any], f32: Callable[..., np.ndarray]) -> Made:
    x4, x3, x2 = ((f32(*s), "array") for s in ((2, 5, 6, 4), (2, 6, 4), (3, 4)))
    keep, limit = {"keepdims": (True, "flag")}, {"threshold": (0.5, "real")}
    plain = ("selu", "mish", "exponential", "softsign", "hard_tanh", "log_sigmoid", "tanh_shrink")
    return {
        **{name: call(getattr(cl, name), x=x2) for name in plain},
        "celu": call(cl.celu, x=x2, alpha=(0.5, "real")),
        "log_softmax": call(cl.log_softmax, x=x2, axis=(-1, "integer")),
        "soft_shrink": call(cl.soft_shrink, x=x2, **limit),
        "hard_shrink": call(cl.hard_shrink, x=x2, **limit),
        "threshold": call(cl.threshold, x=x2, **limit, value=(0.25, "real")),
        "global_max_pool1d": call(cl.global_max_pool1d, x=x3, **keep),
        "global_avg_pool1d": call(cl.global_avg_pool1d, x=x3, **keep),
        "pixel_shuffle": call(cl.pixel_shuffle, x=x4, upscale_factor=(2, "integer")),
        "pixel_unshuffle": call(
            cl.pixel_unshuffle, x=(f32(2, 4, 6, 3), "array"), downscale_factor=(2, "integer")
        ),
    }


def _layers(layer: Callable[..., Any], call: Callable[..., Any], f32: Callable[..., np.ndarray]) -> Made:
    la = cl.layers
    x4, x3, x2 = f32(2, 5, 6, 4), f32(2, 6, 4), f32(3, 4)
    size, one = {"pool_size": (2, "integers")}, {"pool_size": (2, "integer")}
    counted, eps = {"count_include_pad": (True, "flag")}, {"epsilon": (1e-3, "real")}
    dtype, keep = {"dtype": ("float32", "name")}, {"keepdims": (True, "flag")}
    parts = {"center": (True, "flag"), "scale": (True, "flag")}
    made = {"beta_initializer": ("zeros", "name"), "gamma_initializer": ("ones", "name"), **dtype}
    axes, last = {"axis": (-1, "axes")}, {"axis": (-1, "integer")}
    conv = {
        "kernel_size": (3, "integer"), "strides": (1, "integer"), "padding": ("valid", "padding"),
        "dilation_rate": (1, "integer"), "depth_multiplier": (1, "integer"), "use_bias": (True, "flag"),
        "bias_initializer": ("ones", "name"), "activation": (None, "spec"),
        "padding_mode": ("edge", "name"), **dtype,
    }  # fmt: skip
    block = {"block_size": (2, "integer"), "mode": ("CRD", "name")}
    even = f32(2, 4, 6, 3)
    calls = {
        "MaxPooling2D": layer(la.MaxPooling2D, x4, **size, **_window()),
        "AveragePooling2D": layer(la.AveragePooling2D, x4, **size, **_window(), **counted),
        "MaxPooling1D": layer(la.MaxPooling1D, x3, **one, **_window("integer")),
        "AveragePooling1D": layer(la.AveragePooling1D, x3, **one, **_window("integer"), **counted),
        "AdaptiveMaxPooling2D": layer(la.AdaptiveMaxPooling2D, x4, output_size=(3, "integers")),
        "AdaptiveAveragePooling2D": layer(la.AdaptiveAveragePooling2D, x4, output_size=(3, "integers")),
        "GlobalMaxPooling1D": layer(la.GlobalMaxPooling1D, x3, **keep),
        "GlobalAveragePooling1D": layer(la.GlobalAveragePooling1D, x3, **keep),
        "UpSampling1D": layer(la.UpSampling1D, x3, size=(2, "integer")),
        "DepthwiseConv1D": layer(la.DepthwiseConv1D, x3, **conv, kernel_initializer=("ones", "name")),
        "SeparableConv1D": layer(
            la.SeparableConv1D, x3, filters=(4, "integer"), **conv, depthwise_initializer=("ones", "name"),
            pointwise_initializer=("ones", "name"),
        ),
        "LayerNormalization": layer(la.LayerNormalization, x2, **axes, **eps, **parts, **made),
        "RMSNormalization": layer(
            la.RMSNormalization, x2, **axes, **eps, scale_initializer=("ones", "name"), **dtype
        ),
        "GroupNormalization": layer(
            la.GroupNormalization, x4, groups=(2, "integer"), **last, **eps, **parts, **made
        ),
        "InstanceNormalization": layer(la.InstanceNormalization, x4, **last, **eps, **parts, **made),
        "UnitNormalization": layer(la.UnitNormalization, x2, **axes),
        "Normalization": layer(
            la.Normalization, x2, **last, mean=(1.0, "numbers"), variance=(4.0, "numbers"),
            invert=(False, "flag"), **dtype,
        ),
        "Rescaling": layer(la.Rescaling, x2, scale=(2.0, "numbers"), offset=(1.0, "numbers")),
        "DepthToSpace": layer(la.DepthToSpace, x4, **block),
        "SpaceToDepth": layer(la.SpaceToDepth, even, **block),
        "PixelShuffle": layer(la.PixelShuffle, x4, upscale_factor=(2, "integer")),
        "PixelUnshuffle": layer(la.PixelUnshuffle, even, downscale_factor=(2, "integer")),
        "ChannelShuffle": layer(la.ChannelShuffle, x2, groups=(2, "integer")),
        "Lambda": layer(la.Lambda, x2, function=(np.negative, "spec"), output_shape=((4,), "shape")),
        "ELU": layer(la.ELU, x2, alpha=(0.5, "real")),
        "GELU": layer(la.GELU, x2, approximate=(True, "flag")),
        "Permute": layer(la.Permute, x3, dims=((2, 1), "shape")),
        "RepeatVector": layer(la.RepeatVector, x2, n=(2, "integer")),
        **_merging(call, f32),
        "LayerNormalization.from_weights": call(
            lambda gamma, beta: la.LayerNormalization.from_weights(gamma, beta)(x2),
            gamma=(f32(4), "array"), beta=(f32(4), "array"),
        ),
        "RMSNormalization.from_weights": call(
            lambda scale: la.RMSNormalization.from_weights(scale)(x2), scale=(f32(4), "array")
        ),
    }  # fmt: skip
    return {f"layers.{name}": made for name, made in calls.items()}


def _merging(call: Callable[..., Any], f32: Callable[..., np.ndarray]) -> Made:
    """Layers of two arrays, a Model of them, and its parts."""
    la = cl.layers
    pair = {"a": (f32(3, 4), "array"), "b": (f32(3, 4), "array")}

    def merged(kind: Any, *given: str) -> Any:
        def run(a: Any, b: Any, **options: Any) -> Any:
            return kind(**options)([a, b])

        return run

    def small() -> Any:
        a, b = la.Input((4,), name="a"), la.Input((4,), name="b")
        return la.Model([a, b], la.Add()([a, b]))

    def named(shape: Any, dtype: Any, name: Any, batch_size: Any) -> Any:
        return la.Input(shape, dtype=dtype, name=name, batch_size=batch_size).shape

    def of(inputs: Any, outputs: Any, name: Any) -> Any:
        return la.Model(inputs, outputs, name=name).name

    start = la.Input((4,))
    return {
        **{
            name: call(merged(getattr(la, name)), **pair)
            for name in ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum")
        },
        "Concatenate": call(merged(la.Concatenate), **pair, axis=(-1, "integer")),
        "Dot": call(merged(la.Dot), **pair, axes=(1, "axes"), normalize=(True, "flag")),
        "Input": call(
            named, shape=((4,), "shape"), dtype=("float32", "name"), name=("mine", "name"),
            batch_size=(None, "integer"),
        ),
        "Model": call(
            of, inputs=(start, "spec"), outputs=(la.ReLU()(start), "spec"), name=("mine", "name")
        ),
        "Model.call": call(lambda a, b: small()([a, b]), **pair),
        "Model.predict": call(
            lambda a, b, batch_size: small().predict([a, b], batch_size), **pair, batch_size=(2, "integer")
        ),
        "Sequential.network": call(
            lambda input_shape, dtype: la.Sequential([la.ReLU()]).network(input_shape, dtype=dtype).name,
            input_shape=((None, 4), "shape"), dtype=("float32", "name"),
        ),
    }  # fmt: skip


def _activations(call: Callable[..., Any], f32: Callable[..., np.ndarray]) -> Made:
    ac, x = cl.activations, (f32(3, 4), "array")
    return {
        "activations.CELU": call(lambda x, alpha: ac.CELU(alpha)(x), x=x, alpha=(0.5, "real")),
        "activations.SoftShrink": call(
            lambda x, threshold: ac.SoftShrink(threshold)(x), x=x, threshold=(0.5, "real")
        ),
        "activations.HardShrink": call(
            lambda x, threshold: ac.HardShrink(threshold)(x), x=x, threshold=(0.5, "real")
        ),
    }


def _flax(call: Callable[..., Any], f32: Callable[..., np.ndarray]) -> Made:
    c = cl.convert
    options = {"operation": ("ConvTranspose", "name"), "transpose_kernel": (False, "flag")}
    return {
        "convert.from_flax": call(
            c.from_flax, weight=(f32(3, 3, 4, 4), "array"), **options, groups=(1, "integer")
        ),
        "convert.to_flax": call(c.to_flax, kernel=(f32(3, 3, 4, 4), "array"), **options),
    }
