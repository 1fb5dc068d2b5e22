"""Pools, activations, normalization and shuffles against PyTorch, Keras 3 and ONNX Runtime (a golden file).

And against their definitions in convlite.reference, and with other batch sizes.
"""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import convlite as cl
from convlite import _threads, reference

RNG = np.random.default_rng(29)
GOLDEN = Path(__file__).parent / "golden" / "ops_blocks.npz"


def randoms(*shape: int, dtype: Any = np.float32) -> np.ndarray:
    return RNG.standard_normal(shape).astype(dtype)


def golden() -> list[Any]:
    with np.load(GOLDEN) as file:
        cases, numbers, first, found = json.loads(str(file["cases"])), file["numbers"], 0, []
    for i, case in enumerate(cases):
        arrays = []
        for shape in case["shapes"]:
            arrays.append(numbers[first : first + math.prod(shape)].reshape(shape))
            first += math.prod(shape)
        options = {k: tuple(v) if isinstance(v, list) else v for k, v in case["options"].items()}
        operands = dict(zip(case["operands"], arrays[:-1], strict=True))
        source = case["source"].replace(" ", "-")
        found.append(pytest.param(case["function"], operands, options, arrays[-1], id=f"{i}-{source}"))
    assert first == numbers.size
    return found


@pytest.mark.parametrize(("function", "operands", "options", "want"), golden())
def test_golden(function: str, operands: Any, options: Any, want: np.ndarray) -> None:
    got = getattr(cl, function)(**operands, **options)
    assert got.shape == want.shape
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, want, rtol=2e-6, atol=2e-6)
    if hasattr(reference, function):
        np.testing.assert_allclose(
            getattr(reference, function)(**operands, **options), want, rtol=2e-6, atol=2e-6
        )


# ---- pools -------------------------------------------------------------------------------------------------

GEOMETRIES = [
    {"pool_size": k, "strides": s, "padding": p, "dilations": d, "ceil_mode": c}
    for k, s, p, d, c in itertools.product(
        [(1, 2), (2, 3), (3, 3)], [(1, 2), (3, 2)],
        ["valid", "same", "same_lower", ((0, 1), (1, 1)), ((0, 0), (1, 0))], [1, (1, 2)], [False, True],
    )
    if not (k[0] == 1 and isinstance(p, tuple) and p[0] != (0, 0))
]  # fmt: skip


@pytest.mark.parametrize(
    "options", GEOMETRIES, ids=lambda o: "-".join(str(v) for v in o.values()).replace(" ", "")
)
def test_pools_are_their_definition(isa: str, dtype: np.dtype, options: Any) -> None:
    x = randoms(2, 5, 8, 3, dtype=dtype)
    np.testing.assert_array_equal(cl.max_pool2d(x, **options), reference.max_pool2d(x, **options))
    for count in (False, True):
        got = cl.avg_pool2d(x, count_include_pad=count, **options)
        want = reference.avg_pool2d(x, count_include_pad=count, **options)
        np.testing.assert_allclose(got, want, rtol=0, atol=16 * np.finfo(dtype).eps)
    shape = cl.layers.MaxPooling2D(**options).compute_output_shape((None, *x.shape[1:]))
    assert shape == (None, *got.shape[1:])
    np.testing.assert_array_equal(cl.layers.AveragePooling2D(**options, count_include_pad=True)(x), got)
    np.testing.assert_array_equal(cl.layers.MaxPooling2D(**options)(x), cl.max_pool2d(x, **options))


@pytest.mark.parametrize("ceil", [False, True])
@pytest.mark.parametrize("padding", ["valid", "same", 1, (0, 1)])
def test_pools_in_one_dimension(dtype: np.dtype, padding: Any, ceil: bool) -> None:
    x = randoms(3, 8, 5, dtype=dtype)
    options = {"pool_size": 3, "strides": 2, "padding": padding, "ceil_mode": ceil}
    np.testing.assert_array_equal(cl.max_pool1d(x, **options), reference.max_pool1d(x, **options))
    np.testing.assert_array_equal(cl.layers.MaxPooling1D(**options)(x), cl.max_pool1d(x, **options))
    got = cl.avg_pool1d(x, count_include_pad=True, **options)
    want = reference.avg_pool1d(x, count_include_pad=True, **options)
    np.testing.assert_allclose(got, want, rtol=0, atol=16 * np.finfo(dtype).eps)
    layer = cl.layers.AveragePooling1D(count_include_pad=True, **options)
    np.testing.assert_array_equal(layer(x), got)
    assert layer.compute_output_shape((3, 8, 5)) == got.shape
    out = np.empty_like(got)
    assert cl.max_pool1d(x, **options, out=out) is out
    np.testing.assert_array_equal(out, cl.max_pool1d(x, **options))


def test_global_pools_in_one_dimension(dtype: np.dtype) -> None:
    x = randoms(3, 8, 5, dtype=dtype)
    for keep in (False, True):
        np.testing.assert_array_equal(cl.global_max_pool1d(x, keepdims=keep), x.max(axis=1, keepdims=keep))
        got = cl.global_avg_pool1d(x, keepdims=keep)
        np.testing.assert_allclose(got, x.astype(float).mean(axis=1, keepdims=keep), rtol=1e-6)
        for layer in (
            cl.layers.GlobalMaxPooling1D(keepdims=keep),
            cl.layers.GlobalAveragePooling1D(keepdims=keep),
        ):
            assert layer(x).shape == layer.compute_output_shape(x.shape) == got.shape


@pytest.mark.parametrize("size", [1, 2, 3, (4, 7), (None, 2), (6, 9), 11])
def test_adaptive_pools(isa: str, dtype: np.dtype, size: Any) -> None:
    x = randoms(2, 6, 9, 19, dtype=dtype)
    got = cl.adaptive_max_pool2d(x, size)
    np.testing.assert_array_equal(got, reference.adaptive_max_pool2d(x, size))
    mean = cl.adaptive_avg_pool2d(x, size)
    np.testing.assert_allclose(
        mean, reference.adaptive_avg_pool2d(x, size), rtol=0, atol=64 * np.finfo(dtype).eps
    )
    np.testing.assert_array_equal(cl.layers.AdaptiveMaxPooling2D(size)(x), got)
    layer = cl.layers.AdaptiveAveragePooling2D(size)
    np.testing.assert_array_equal(layer(x), mean)
    assert layer.compute_output_shape(x.shape) == mean.shape


def test_an_adaptive_pool_of_whole_windows_is_a_pool() -> None:
    x = randoms(2, 6, 9, 4)
    np.testing.assert_array_equal(cl.adaptive_avg_pool2d(x, (2, 3)), cl.avg_pool2d(x, 3))
    np.testing.assert_array_equal(cl.adaptive_avg_pool2d(x, 1), cl.global_avg_pool2d(x, keepdims=True))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: cl.max_pool2d(x, (1, 2), strides=1, padding=((0, 0), (1, 1)), dilations=4),
         "the window of output 0 along width has no element inside of x: 2 elements 4 apart, from -1 on"),
        (lambda x: cl.adaptive_avg_pool2d(x[:, :0], 2), r"\(1, 0, 3, 1\) has images without pixels"),
        (lambda x: cl.adaptive_avg_pool2d(x, (1, 2, 3)), r"output_size must be an int or \(h, w\)"),
        (lambda x: cl.adaptive_avg_pool2d(x, 0), "output_size must be at least 1; got 0"),
        (lambda x: cl.max_pool1d(x, 2), r"x must have 3 dimensions \(N, W, C\)"),
        (lambda x: cl.max_pool1d(x[0], 7, strides=1), "pool_size covers 7 elements along width but x has 3"),
        (lambda x: cl.max_pool1d(x[0], 2, padding=2), r"padding \(2, 2\) along width must be smaller"),
        (lambda x: cl.max_pool1d(x[0], (1, 2)), r"pool_size must be an int, \(w,\) or \[1, w, 1\]"),
    ],
)  # fmt: skip
def test_pool_errors(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(np.ones((1, 3, 3, 1)))


# ---- normalization and shuffles ----------------------------------------------------------------------------

CASES: dict[str, tuple[str, tuple[int, ...], dict[str, Any]]] = {
    "layer_norm": ("layer_norm", (5, 4, 3, 6), {}),
    "layer_norm, images": ("layer_norm", (5, 4, 3, 6), {"axis": (1, 2, 3), "epsilon": 1e-5}),
    "layer_norm, others": ("layer_norm", (5, 4, 3, 6), {"axis": (3, 1)}),
    "layer_norm, 1001": ("layer_norm", (5, 1001), {}),
    "rms_norm": ("rms_norm", (5, 4, 33), {}),
    "group_norm": ("group_norm", (5, 4, 3, 6), {"groups": 3}),
    "group_norm, one": ("group_norm", (5, 7, 6), {"groups": 1}),
    "group_norm, large": ("group_norm", (5, 80, 70, 16), {"groups": 4}),
    "instance_norm": ("instance_norm", (5, 4, 3, 6), {}),
    "unit_norm": ("unit_norm", (5, 4, 3, 6), {}),
    "unit_norm, pixels": ("unit_norm", (5, 4, 3, 6), {"axis": (1, 2)}),
    "lrn": ("lrn", (5, 4, 3, 7), {"size": 5, "alpha": 0.5, "k": 2.0}),
    "lrn, even": ("lrn", (5, 4, 3, 7), {"size": (1, 2), "alpha": 0.5}),
    "lrn, wide": ("lrn", (5, 3), {"size": 9}),
    "depth_to_space": ("depth_to_space", (5, 2, 3, 12), {"block_size": 2}),
    "depth_to_space, CRD": ("depth_to_space", (5, 2, 3, 18), {"block_size": 3, "mode": "CRD"}),
    "space_to_depth": ("space_to_depth", (5, 4, 6, 3), {"block_size": 2}),
    "space_to_depth, CRD": ("space_to_depth", (5, 6, 3, 2), {"block_size": 3, "mode": "CRD"}),
    "channel_shuffle": ("channel_shuffle", (5, 4, 12), {"groups": 3}),
    "extract_patches": ("extract_patches", (5, 6, 7, 3), {"size": (2, 3), "strides": 1, "padding": "same"}),
    "extract_patches, CHW": (
        "extract_patches", (5, 6, 7, 3),
        {"size": 2, "padding": ((1, 0), (0, 2)), "dilations": (2, 1), "order": "CHW"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_definitions_and_batches(dtype: np.dtype, name: str) -> None:
    """As the definition says, and each sample with the bits that it has alone."""
    function, shape, options = CASES[name]
    x, options = randoms(*shape, dtype=dtype), dict(options)
    if function.endswith("_norm") and function != "unit_norm":
        axes = options.get("axis", -1)
        sizes = (shape[-1],) if np.ndim(axes) == 0 else tuple(shape[a] for a in axes)
        options["gamma"] = randoms(*sizes, dtype=dtype)
        if function != "rms_norm":
            options["beta"] = randoms(*sizes, dtype=dtype)
    before, operation = x.copy(), getattr(cl, function)
    got = operation(x, **options)
    want = getattr(reference, function)(x, **options)
    assert (got.shape, got.dtype) == (want.shape, dtype)
    np.testing.assert_allclose(got, want, rtol=4 * np.finfo(dtype).eps, atol=32 * np.finfo(dtype).eps)
    np.testing.assert_array_equal(x, before)
    for n in range(len(x)):
        assert operation(x[n : n + 1], **options).tobytes() == got[n : n + 1].tobytes()
    assert operation(np.asfortranarray(x), **options).tobytes() == got.tobytes()
    many = operation(np.concatenate([x] * 40), **options)
    assert many[-len(x) :].tobytes() == got.tobytes()
    empty = operation(x[:0], **options)
    assert (empty.shape, empty.dtype) == ((0, *got.shape[1:]), dtype)


@pytest.mark.parametrize("columns", [1, 2, 7, 1000])
def test_log_softmax_of_any_batch(dtype: np.dtype, columns: int) -> None:
    x = 30 * randoms(70, columns, dtype=dtype)
    got = cl.log_softmax(x)
    moved = x.astype(np.longdouble) - x.max(axis=-1, keepdims=True)
    want = moved - np.log(np.exp(moved).sum(axis=-1, keepdims=True))
    np.testing.assert_allclose(
        got, want.astype(np.float64), rtol=4 * np.finfo(dtype).eps, atol=4 * np.finfo(dtype).eps
    )
    for n in (0, 33, 69):
        assert cl.log_softmax(x[n : n + 1]).tobytes() == got[n : n + 1].tobytes()
    x[3, 0], x[4, 0] = np.nan, np.inf
    x[5] = -np.inf
    np.testing.assert_array_equal(np.isnan(cl.log_softmax(x)).all(axis=1), [3 <= n <= 5 for n in range(70)])


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 7, 15, 16, 17, 33, 64])
@pytest.mark.parametrize(("scale", "offset"), [(1, 0), (1, 100), (1e30, 0), (1e-15, 0)])
def test_norms_of_any_number_of_channels(
    isa: str, dtype: np.dtype, channels: int, scale: float, offset: float
) -> None:
    """Within a few roundings of the formula in extended precision, whatever the numbers' size."""
    x = (scale * randoms(2, 5, 7, channels, dtype=np.float64) + offset).astype(dtype)
    epsilon = 0.0 if scale < 1 else 1e-3

    def centred(rows: np.ndarray) -> np.ndarray:
        rows = rows.astype(np.longdouble)
        rows = rows - rows.mean(axis=-1, keepdims=True)
        return rows / np.sqrt((rows * rows).mean(axis=-1, keepdims=True) + epsilon)

    def close(rows: np.ndarray) -> float:
        """Means are doubles: of doubles, that leaves a rounding of the mean, in units of the deviation."""
        far = np.abs(rows).max(axis=-1) / np.sqrt(rows.astype(np.longdouble).var(axis=-1) + epsilon)
        return float(40 * np.finfo(dtype).eps * (1 + far.max() if dtype == np.float64 else 1))

    if channels > 1:
        want = centred(x).astype(np.float64)
        np.testing.assert_allclose(cl.layer_norm(x, epsilon=epsilon), want, rtol=0, atol=close(x))
    for groups in {1, channels}:
        rows = x.reshape(2, 35, groups, -1).swapaxes(1, 2)
        flat = rows.reshape(2, groups, -1)
        want = centred(flat).reshape(rows.shape).swapaxes(1, 2).reshape(x.shape)
        got = cl.group_norm(x, groups, epsilon=epsilon)
        np.testing.assert_allclose(got, want.astype(np.float64), rtol=0, atol=close(flat))


def test_norms_keep_digits_and_nan() -> None:
    x = np.float32([[1e6 + 0.5, 1e6, 1e6 + 1, 1e6 + 0.5]])
    np.testing.assert_allclose(cl.layer_norm(x, epsilon=0.0), [[0, -(2**0.5), 2**0.5, 0]], rtol=1e-6)
    y = np.ones((2, 3, 4), np.float32)
    y[1, 2, 3] = np.nan
    assert np.isnan(cl.group_norm(y, 2)).sum() == 6  # the three positions of its two channels
    assert np.isnan(cl.layer_norm(y)).sum() == 4
    np.testing.assert_array_equal(cl.unit_norm(np.zeros((1, 3))), 0)


def test_layer_norm_of_the_largest_numbers() -> None:
    """1 / sqrt(variance) is subnormal in float32, and two numbers lie further apart than float32 reaches."""
    x = np.array([[3e38, -3e38, 1e38, 0]], np.float32)
    np.testing.assert_allclose(cl.layer_norm(x), cl.layer_norm(x.astype(np.float64)), rtol=1e-6)


def test_shuffles_undo_each_other() -> None:
    x = randoms(2, 4, 6, 8)
    for mode in ("DCR", "CRD"):
        there = cl.space_to_depth(x, 2, mode=mode)
        np.testing.assert_array_equal(cl.depth_to_space(there, 2, mode=mode), x)
    np.testing.assert_array_equal(cl.pixel_unshuffle(cl.pixel_shuffle(x, 2), 2), x)
    np.testing.assert_array_equal(cl.channel_shuffle(cl.channel_shuffle(x, 2), 4), x)


@pytest.mark.parametrize(
    "options", [{}, {"padding": "same", "strides": 2}, {"padding": 1, "dilations": 2}], ids=str
)
def test_patches_make_a_convolution_a_product(options: Any) -> None:
    x, kernel = np.rint(4 * randoms(2, 7, 8, 3)), np.rint(4 * randoms(3, 2, 3, 5))
    patches = cl.extract_patches(x, (3, 2), **{"strides": 1, **options})
    np.testing.assert_array_equal(cl.dense(patches, kernel.reshape(-1, 5)), cl.conv2d(x, kernel, **options))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda x: cl.layer_norm(x, axis=4),
            "axes of x, each once; x has 4; got 4",
        ),
        (
            lambda x: cl.layer_norm(x, axis=(1, -3)),
            "axis must name .* each once; x has 4",
        ),
        (lambda x: cl.layer_norm(x, gamma=np.ones(3)), r"gamma must have the shape \(4,\), .*; got \(3,\)"),
        (lambda x: cl.group_norm(x, 3), "groups must divide the 4 channels of x; got 3"),
        (lambda x: cl.group_norm(x), "groups must divide the 4 channels of x; got 32"),
        (lambda x: cl.lrn(x, 4), r"of 4, PyTorch's are \(2, 1\), ONNX's \(1, 2\)"),
        (
            lambda x: cl.depth_to_space(x, 3),
            r"block_size \* block_size \(9\) must divide the channels of x; got 4",
        ),
        (lambda x: cl.depth_to_space(x, 2, mode="NHWC"), "mode must be 'DCR' .* or 'CRD'"),
        (lambda x: cl.space_to_depth(x, 2), "block_size 2 must divide the height of x; got 3"),
        (lambda x: cl.channel_shuffle(x, 3), "groups 3 must divide the channels of x; got 4"),
        (lambda x: cl.extract_patches(x, 4), "size's effective height 4 exceeds x's height 3"),
    ],
)
def test_errors(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(np.ones((2, 3, 5, 4)))


def test_threads_cannot_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_threads, "SERIAL_WORK", 0)
    x, rows = randoms(3, 9, 8, 5), randoms(70, 130)
    for call in (
        lambda: cl.adaptive_avg_pool2d(x, (4, 3)),
        lambda: cl.avg_pool2d(x, 3, strides=2, padding=1, ceil_mode=True, count_include_pad=True),
        lambda: cl.resize2d(x, (13, 5), method="bicubic"),
        lambda: cl.resize1d(x[0], 23),
        lambda: cl.layer_norm(x),
        lambda: cl.layer_norm(x, axis=(1, 2)),
        lambda: cl.group_norm(x, 5),
        lambda: cl.group_norm(x, 1),
        lambda: cl.log_softmax(rows),
    ):
        results = set()
        for n in (1, 2, 5):
            with cl.num_threads(n):
                results.add(call().tobytes())
        assert len(results) == 1
