"""Layers of sequences, normalization and shuffles: weights, shapes, files, messages; kernels of Flax."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import convlite as cl
from convlite import layers as la

RNG = np.random.default_rng(31)


def randoms(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


X4, X3, X2 = randoms(2, 4, 6, 8), randoms(2, 6, 8), randoms(3, 8)
EVERY: list[tuple[la.Layer, np.ndarray]] = [
    (la.DepthwiseConv1D(3, 2, "same", 2, activation="mish"), X3),
    (la.SeparableConv1D(5, 3, dilation_rate=2, activation="selu"), X3),
    (la.UpSampling1D(3), X3),
    (la.MaxPooling1D(3, 2, "same"), X3),
    (la.AveragePooling1D(3, 2, ceil_mode=True), X3),
    (la.GlobalMaxPooling1D(), X3),
    (la.GlobalAveragePooling1D(keepdims=True), X3),
    (la.AdaptiveAveragePooling2D((3, None)), X4),
    (la.AdaptiveMaxPooling2D(2), X4),
    (la.LayerNormalization(), X4),
    (la.LayerNormalization((1, 2, 3), scale=False), X4),
    (la.LayerNormalization(center=False, scale=False), X4),
    (la.RMSNormalization(), X2),
    (la.GroupNormalization(4), X4),
    (la.GroupNormalization(2, center=False, scale=False), X2),
    (la.InstanceNormalization(), X4),
    (la.UnitNormalization(), X2),
    (la.Normalization(), X4),
    (la.Normalization(mean=[1.0] * 8, variance=2.0), X4),
    (la.Rescaling(1 / 127.5, -1), X4),
    (la.DepthToSpace(2), X4),
    (la.SpaceToDepth(2, "CRD"), X4),
    (la.PixelShuffle(2), X4),
    (la.PixelUnshuffle(2), X4),
    (la.ChannelShuffle(4), X4),
    (la.Permute((3, 1, 2)), X4),
    (la.RepeatVector(3), X2),
]


@pytest.mark.parametrize(
    ("layer", "x"), EVERY, ids=[type(layer).__name__ + str(i) for i, (layer, _) in enumerate(EVERY)]
)
def test_every_layer(layer: la.Layer, x: np.ndarray, tmp_path: Path) -> None:
    layer = copy.deepcopy(layer)
    y = layer(x)
    assert layer.compute_output_shape(x.shape) == y.shape
    assert layer.compute_output_shape((None, *x.shape[1:])) == (None, *y.shape[1:])
    assert y.dtype == np.float32
    layer.set_weights([np.abs(randoms(*w.shape)) for w in layer.get_weights()])
    y = layer(x)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(layer))(x), y)
    np.testing.assert_array_equal(copy.copy(layer)(x), y)
    for n in range(len(x)):
        np.testing.assert_array_equal(layer(x[n : n + 1]), y[n : n + 1])
    if layer.rank is not None:
        with pytest.raises(ValueError, match=r"takes|axes"):
            layer.build((None,) * 7)
    model = la.Sequential([layer])
    model.build((None, *x.shape[1:]))
    model.save_weights(tmp_path / "weights.npz")
    fresh = la.Sequential([copy.deepcopy(layer)])
    if layer.weight_names():
        fresh.set_weights([np.zeros_like(w) for w in fresh.get_weights()])
    fresh.load_weights(tmp_path / "weights.npz")
    np.testing.assert_array_equal(fresh(x), y)
    with pytest.raises(TypeError, match="x must be float32 or float64; got int64"):
        layer(np.ones(x.shape, np.int64))


def test_depthwise_and_separable_sequences_are_images_of_one_row() -> None:
    kernel, bias = randoms(3, 8, 2), randoms(16)
    for options in ({}, {"padding": "same", "strides": 2}, {"padding": (2, 0), "dilation_rate": 2}):
        geometry: Any = dict(options)
        spread = geometry.pop("dilation_rate", 1)
        pads = geometry.pop("padding", "valid")
        want = cl.depthwise_conv2d(
            X3[:, None], kernel[None], bias, strides=geometry.get("strides", 1), dilations=(1, spread),
            padding=pads if isinstance(pads, str) else ((0, 0), pads), activation="relu",
        )[:, 0]  # fmt: skip
        layer = la.DepthwiseConv1D.from_weights(kernel, bias, activation="relu", **options)
        np.testing.assert_array_equal(layer(X3), want)
        assert layer.compute_output_shape(X3.shape) == want.shape
    point = randoms(1, 16, 5)
    layer = la.SeparableConv1D.from_weights(kernel, point, activation="relu")
    want = cl.conv1d(la.DepthwiseConv1D.from_weights(kernel)(X3), point, activation="relu")
    np.testing.assert_array_equal(layer(X3), want)
    seen: list[tuple[int, ...]] = []

    def seeing(y: np.ndarray) -> np.ndarray:
        seen.append(y.shape)
        return y

    la.DepthwiseConv1D.from_weights(kernel, activation=seeing)(X3)
    assert seen == [(2, 4, 16)]


def test_batch_normalization_folds_into_layers_of_sequences() -> None:
    model = la.Sequential(
        [la.DepthwiseConv1D(3), la.BatchNormalization(), la.SeparableConv1D(4, 2), la.BatchNormalization()]
    )
    want = model(X3)
    for layer in model.layers:
        layer.set_weights([np.abs(randoms(*w.shape)) + 0.5 for w in layer.get_weights()])
    want = model(X3)
    folded = cl.convert.fold_batch_norms(model)
    assert len(folded.layers) == 2
    np.testing.assert_allclose(folded(X3), want, rtol=1e-4, atol=1e-4)


def test_weights_by_name() -> None:
    gamma, beta = randoms(8), randoms(8)
    want = cl.layer_norm(X4, gamma=gamma, beta=beta)
    np.testing.assert_array_equal(la.LayerNormalization.from_weights(gamma, beta)(X4), want)
    np.testing.assert_array_equal(la.LayerNormalization.from_weights(None)(X4), cl.layer_norm(X4))
    layer = la.GroupNormalization.from_weights(gamma, beta, groups=2)
    np.testing.assert_array_equal(layer(X4), cl.group_norm(X4, 2, gamma=gamma, beta=beta))
    np.testing.assert_array_equal(la.RMSNormalization.from_weights(gamma)(X4), cl.rms_norm(X4, gamma=gamma))
    layer = la.LayerNormalization(axis=(1, 2, 3))
    whole = randoms(4, 6, 8)
    layer.set_weights([whole, whole])  # before it is built
    np.testing.assert_array_equal(layer(X4), cl.layer_norm(X4, gamma=whole, beta=whole, axis=(1, 2, 3)))
    moments = la.Normalization()
    moments.set_weights([gamma, beta**2])
    np.testing.assert_allclose(moments(X4), (X4 - gamma) / np.abs(beta), rtol=1e-5, atol=1e-5)
    back = la.Normalization(mean=1.0, variance=4.0, invert=True)
    np.testing.assert_allclose(back(X2), 1 + 2 * X2, rtol=1e-6)
    for scale in ([0.5] * 8, [[0.5] * 8], np.full((1, 1, 8), 0.5), np.float64(0.5), np.array(0.5)):
        np.testing.assert_allclose(la.Rescaling(scale, [1.0] * 8)(X2), X2 / 2 + 1, rtol=1e-6)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: la.MaxPooling1D((1, 2)), ValueError, r"pool_size must be an int, \(w,\) or \[1, w, 1\]"),
        (lambda: la.MaxPooling1D(2)(X4), ValueError, r"batch, width, channels"),
        (lambda: la.DepthwiseConv1D.from_weights(randoms(3, 4, 1))(X3), ValueError,
         r"DepthwiseConv1D .depthwise_conv1d. holds a kernel of shape \(3, 4, 1\); the input shape"),
        (lambda: la.DepthwiseConv1D.from_weights(randoms(3, 4, 1)).call(X3), ValueError,
         r"kernel has 4 input channels but x has 8 \(kernel is \(kw, C, multiplier\), got \(3, 4, 1\)\)"),
        (lambda: la.AdaptiveAveragePooling2D("same"), ValueError, "output_size must be an int or"),
        (lambda: la.GroupNormalization(3)(X4), ValueError, "groups must divide the 8 channels of x; got 3"),
        (lambda: la.GroupNormalization(2, axis=1)(X4), ValueError, "axis must be the last one, -1"),
        (lambda: la.LayerNormalization(0), ValueError, "axis must be an axis of a sample, not the batch"),
        (lambda: la.LayerNormalization(5)(X4), ValueError, "axis must name .* each once; x has 4"),
        (lambda: la.LayerNormalization()(X4.astype(np.float64)), TypeError,
         r"x is float64 but the layer layer_normalization is float32: .* write x.astype\(np.float32\)"),
        (lambda: la.Rescaling([[1.0, 2.0], [3.0, 4.0]]), ValueError,
         r"scale must be one number or one for each channel; got an array of \(2, 2\)"),
        (lambda: la.Rescaling([[1.0], [1.0, 2.0]]), TypeError, r"scale\[0\] must be a number"),
        (lambda: la.Normalization(mean=1.0), ValueError, "give both mean and variance, or neither"),
        (lambda: la.DepthToSpace(3)(X4), ValueError, r"\(9\) must divide the channels of x"),
        (lambda: la.SpaceToDepth(4)(X4), ValueError, "4 must divide the width of input_shape; got 6"),
        (lambda: la.DepthToSpace(2, "NCHW"), ValueError, "mode must be 'DCR' or 'CRD'; got 'NCHW'"),
        (lambda: la.Permute((0, 1)), ValueError, "dims must be at least 1; got 0"),
        (lambda: la.Permute((1, 3)), ValueError, "dims must have each number from 1 to 2 once"),
        (lambda: la.Permute((1, 2))(X4), ValueError, "takes 2 axes behind the batch"),
        (lambda: la.ChannelShuffle(3)(X4), ValueError, "groups 3 must divide the channels"),
    ],
)  # fmt: skip
def test_refusals(make: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        make()


# ---- Flax --------------------------------------------------------------------------------------------------


def lax_conv_transpose(
    x: np.ndarray, kernel: np.ndarray, strides: Any, padding: str, transpose: bool
) -> np.ndarray:
    """lax.conv_transpose by its definition: x with stride - 1 zeros between its pixels, padded as JAX's
    documentation says, and correlated; transpose_kernel mirrors the kernel and exchanges its channels first.
    """
    if transpose:
        kernel = kernel[::-1, ::-1].swapaxes(2, 3)
    n, h, w, cin = x.shape
    wide = np.zeros((n, (h - 1) * strides[0] + 1, (w - 1) * strides[1] + 1, cin))
    wide[:, :: strides[0], :: strides[1]] = x
    pads = []
    for k, s in zip(kernel.shape[:2], strides, strict=True):
        total = k + s - 2 + (0 if padding == "SAME" else max(k - s, 0))
        before = k - 1 if padding == "VALID" or s > k - 1 else -(-total // 2)
        pads.append((before, total - before))
    wide = np.pad(wide, ((0, 0), *pads, (0, 0)))
    rows, columns = wide.shape[1] - kernel.shape[0] + 1, wide.shape[2] - kernel.shape[1] + 1
    result = np.zeros((n, rows, columns, kernel.shape[3]))
    for i, j in np.ndindex(rows, columns):
        window = wide[:, i : i + kernel.shape[0], j : j + kernel.shape[1]]
        result[:, i, j] = np.einsum("nabk,abkl->nl", window, kernel)
    return result


@pytest.mark.parametrize("transpose", [False, True])
@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("strides", [(1, 1), (2, 2), (2, 3), (4, 1)])
@pytest.mark.parametrize("size", [(2, 2), (3, 3), (4, 3), (1, 5)])
def test_transposed_kernels_of_flax(size: Any, strides: Any, padding: str, transpose: bool) -> None:
    x, shape = np.rint(4 * randoms(2, 3, 4, 2)), (3, 2) if transpose else (2, 3)
    kernel = np.rint(4 * randoms(*size, *shape))
    want = lax_conv_transpose(x, kernel, strides, padding, transpose)
    ours = cl.convert.from_flax(kernel, "ConvTranspose", transpose_kernel=transpose)
    got = cl.conv2d_transpose(x, ours, strides=strides, padding=padding.lower())
    np.testing.assert_array_equal(got, want)
    back = cl.convert.to_flax(ours, "ConvTranspose", transpose_kernel=transpose)
    np.testing.assert_array_equal(back, kernel)


def test_other_kernels_of_flax() -> None:
    """A Conv is a correlation with (kh, kw, in // groups, out); Dense is x @ kernel."""
    for name, shape in (("Conv", (3, 3, 2, 4)), ("Conv", (3, 2, 4)), ("Dense", (3, 4))):
        kernel = randoms(*shape)
        for convert in (cl.convert.from_flax, cl.convert.to_flax):
            same = convert(kernel, name)
            np.testing.assert_array_equal(same, kernel)
            assert not np.shares_memory(same, kernel)
    row = randoms(5, 2, 3)
    np.testing.assert_array_equal(cl.convert.from_flax(row, "ConvTranspose"), row[::-1].swapaxes(1, 2))
    kernel, x = randoms(3, 3, 1, 6), randoms(1, 5, 5, 3)
    ours = cl.convert.from_flax(kernel, "depthwise_conv2d", groups=3)
    np.testing.assert_array_equal(cl.convert.to_flax(ours, "depthwise_conv2d"), kernel)
    want = cl.conv2d(x, kernel, groups=3)  # feature_group_count=3
    np.testing.assert_allclose(cl.depthwise_conv2d(x, ours), want, rtol=1e-5, atol=1e-5)
    for name in ("depthwise_conv1d", "conv1d_transpose"):
        flat = randoms(3, 1, 6) if name.startswith("depthwise") else randoms(3, 2, 6)
        there = cl.convert.from_flax(flat, name)
        np.testing.assert_array_equal(cl.convert.to_flax(there, name), flat)
    with pytest.raises(
        ValueError, match="weight must have 4 dimensions in Flax's layout of conv2d_transpose"
    ):
        cl.convert.from_flax(randoms(3, 3), "ConvTranspose")
    with pytest.raises(ValueError, match="operation must be one of conv2d"):
        cl.convert.from_flax(randoms(3, 3), "Einsum")
    with pytest.raises(TypeError, match="transpose_kernel must be"):
        cl.convert.to_flax(randoms(2, 2, 2, 2), transpose_kernel="yes")  # type: ignore[arg-type]


def test_depthwise_kernels_of_pytorch_in_one_dimension() -> None:
    weight = randoms(16, 1, 3)  # C * multiplier, 1, kw
    kernel = cl.convert.from_torch(weight, "depthwise_conv1d", groups=8)
    assert kernel.shape == (3, 8, 2)
    np.testing.assert_array_equal(cl.convert.to_torch(kernel, "depthwise_conv1d"), weight)
    want = cl.conv1d(X3, cl.convert.from_torch(weight, "conv1d"), groups=8)
    np.testing.assert_allclose(la.DepthwiseConv1D.from_weights(kernel)(X3), want, rtol=1e-5, atol=1e-5)
