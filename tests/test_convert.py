"""Converted weights compute what PyTorch and Keras computed with them, in golden/convert.npz; errors."""

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from tolerance import tolerance

from convlite import convert, reference

with np.load(Path(__file__).parent / "golden" / "convert.npz") as archive:
    GOLDEN = dict(archive)
RNG = np.random.default_rng(0)

# PyTorch case -> convlite's operation, groups for the conversion, options of the call.
TORCH = {
    "Conv2d": ("conv2d", None, {"strides": (2, 1), "padding": 1}),
    "Conv2d groups": ("conv2d", 2, {"groups": 2}),
    "Conv2d depthwise": ("depthwise_conv2d", 3, {"padding": 1}),
    "ConvTranspose2d": ("conv2d_transpose", None, {"strides": 2, "padding": 1, "output_padding": 1}),
    "ConvTranspose2d groups": ("conv2d_transpose", 2, {"strides": 2, "groups": 2}),
    "Conv1d": ("conv1d", None, {"strides": 2}),
    "ConvTranspose1d": ("conv1d_transpose", None, {"strides": 2}),
    "Linear": ("dense", None, {}),
}
NORMALISED = [case for case in TORCH if f"{case}/normalised" in GOLDEN]
KERAS = {
    "Conv2D": ("conv2d", {"strides": 2, "padding": "same"}),
    "Conv2DTranspose": ("conv2d_transpose", {"strides": 2, "padding": "same"}),
    "DepthwiseConv2D": ("depthwise_conv2d", {}),
    "Dense": ("dense", {}),
    "Conv1D": ("conv1d", {}),
    "Conv1DTranspose": ("conv1d_transpose", {"strides": 2}),
}
# One kernel shape, none of whose axes are equal, of every operation.
SHAPES = {
    "conv2d": (2, 3, 4, 5),
    "conv2d_transpose": (2, 3, 4, 5),
    "depthwise_conv2d": (2, 3, 4, 5),
    "dense": (2, 3),
    "conv1d": (2, 3, 4),
    "conv1d_transpose": (2, 3, 4),
}


def golden(case: str, *names: str) -> list[np.ndarray]:
    return [GOLDEN[f"{case}/{name}"] for name in names]


def assert_close(got: np.ndarray, want: np.ndarray, kernel: np.ndarray, scale: float | None = None) -> None:
    """Equal up to the rounding of sums over the kernel, whose partial sums reach `scale`."""
    assert got.dtype == want.dtype
    scale = float(np.abs(want).max()) if scale is None else scale
    assert_allclose(got, want, **tolerance(want.dtype, kernel.size // min(kernel.shape[-2:]), scale))


def channels_last(x: np.ndarray) -> np.ndarray:
    return convert.nchw_to_nhwc(x) if x.ndim > 2 else x


@pytest.mark.parametrize("case", TORCH)
def test_torch_weights_compute_what_torch_computed(case: str) -> None:
    operation, groups, options = TORCH[case]
    x, weight, bias, y = golden(case, "x", "weight", "bias", "y")
    kernel = convert.from_torch(weight, operation, groups=groups)
    got = getattr(reference, operation)(channels_last(x), kernel, bias, **options)
    assert_close(got, channels_last(y), kernel)
    assert kernel.flags.c_contiguous
    assert_array_equal(convert.to_torch(kernel, operation), weight)
    if operation != "depthwise_conv2d":
        assert_array_equal(convert.from_torch(weight, case.removesuffix(" groups"), groups=groups), kernel)


@pytest.mark.parametrize("case", KERAS)
def test_keras_weights_compute_what_keras_computed(case: str) -> None:
    operation, options = KERAS[case]
    x, weight, bias, y = golden(case, "x", "weight", "bias", "y")
    kernel = convert.from_keras(weight, case)
    assert_close(getattr(reference, operation)(x, kernel, bias, **options), y, kernel)
    assert not np.shares_memory(kernel, weight)
    assert_array_equal(convert.to_keras(kernel, operation), weight)


@pytest.mark.parametrize("operation", SHAPES)
def test_every_layout_has_its_inverse(operation: str) -> None:
    kernel = RNG.standard_normal(SHAPES[operation]).astype(np.float32)
    groups = kernel.shape[2] if operation == "depthwise_conv2d" else None
    for there, back in [
        (convert.to_torch(kernel, operation), convert.from_torch),
        (convert.to_onnx(kernel, operation), convert.from_onnx),
        (convert.to_keras(kernel, operation), convert.from_keras),
    ]:
        options = {"groups": groups} if back is not convert.from_keras else {}
        result = back(there, operation, **options)
        assert_array_equal(result, kernel, strict=True)
        assert there.flags.c_contiguous
        assert not np.shares_memory(there, kernel)
        assert not np.shares_memory(result, there)


def test_onnx_operators() -> None:
    image, line, matrix = (RNG.standard_normal(shape) for shape in [(5, 4, 2, 3), (5, 4, 3), (5, 4)])
    assert_array_equal(convert.from_onnx(image), convert.from_torch(image))
    assert_array_equal(convert.from_onnx(line, "Conv"), convert.from_torch(line, "conv1d"))
    assert_array_equal(
        convert.from_onnx(image, "ConvTranspose"), convert.from_torch(image, "ConvTranspose2d")
    )
    assert_array_equal(convert.from_onnx(line, "ConvTranspose"), convert.from_torch(line, "ConvTranspose1d"))
    assert_array_equal(convert.from_onnx(matrix, "MatMul"), matrix)
    assert_array_equal(convert.from_onnx(matrix, "Gemm"), matrix)
    assert_array_equal(convert.from_onnx(matrix, "Gemm", trans_b=True), matrix.T)
    assert_array_equal(convert.to_onnx(matrix, "Gemm", trans_b=True), matrix.T)


def test_image_layouts() -> None:
    x = RNG.integers(0, 255, (2, 3, 4, 5)).astype(np.uint8)
    last = convert.nchw_to_nhwc(x)
    assert_array_equal(last, x.transpose(0, 2, 3, 1), strict=True)
    assert last.flags.c_contiguous
    assert_array_equal(convert.nhwc_to_nchw(last), x, strict=True)
    assert convert.nchw_to_nhwc(np.zeros((2, 3, 4))).shape == (2, 4, 3)


class Tensor:
    """Behaves as a PyTorch tensor that requires a gradient: NumPy can read it only once it is detached."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array

    def __array__(self, *_: object, **__: object) -> np.ndarray:
        raise RuntimeError("call detach() first")

    def detach(self) -> "Tensor":
        return self

    def cpu(self) -> "Tensor":
        return self

    def numpy(self) -> np.ndarray:
        return self.array


def test_tensors_that_require_a_gradient_are_accepted() -> None:
    weight = RNG.standard_normal((4, 3))
    assert_array_equal(convert.from_torch(Tensor(weight), "Linear"), weight.T)
    assert_array_equal(convert.from_onnx(Tensor(weight), "MatMul"), weight)
    assert convert.nchw_to_nhwc(Tensor(np.zeros((1, 2, 3)))).shape == (1, 3, 2)


@pytest.mark.parametrize("order", ["HWC", "CHW"])
@pytest.mark.parametrize("shape", [(2, 4, 3), (1, 1, 24), (4, 6, 1), None])
def test_a_dense_layer_is_a_convolution(
    order: str, shape: tuple[int, int, int] | None, dtype: np.dtype
) -> None:
    height, width, channels = shape or (1, 1, 24)
    x = RNG.standard_normal((2, height, width, channels)).astype(dtype)
    kernel, bias = RNG.standard_normal((24, 5)).astype(dtype), RNG.standard_normal(5).astype(dtype)
    flat = x if order == "HWC" else convert.nhwc_to_nchw(x)
    want = reference.dense(flat.reshape(2, -1), kernel, bias)
    wide, same = convert.dense_to_conv2d(kernel, bias, shape, order)
    assert wide.shape == (height, width, channels, 5)
    assert_array_equal(same, bias, strict=True)
    got = reference.conv2d(x, wide, same)
    assert_close(got[:, 0, 0], want, kernel)
    assert got.shape == (2, 1, 1, 5)
    back, bias_back = convert.conv2d_to_dense(wide, same, order)
    assert_array_equal(back, kernel, strict=True)
    assert_array_equal(bias_back, bias, strict=True)


def test_torch_flatten_and_linear_become_a_convolution_that_slides() -> None:
    x, weight, bias, y = golden("Flatten Linear", "x", "weight", "bias", "y")
    kernel, bias = convert.dense_to_conv2d(convert.from_torch(weight, "Linear"), bias, (2, 4, 3), order="CHW")
    image = convert.nchw_to_nhwc(x)
    assert_close(reference.conv2d(image, kernel, bias)[:, 0, 0], y, kernel)
    wide = np.concatenate([image, image[:, :, :2]], axis=2)
    got = reference.conv2d(wide, kernel, bias)
    assert got.shape == (2, 1, 3, 5)
    assert_close(got[:, 0, 0], y, kernel)


def test_document_002() -> None:
    weights = np.array([[1.1, 1.2, 1.3, 1.4], [1.5, 1.6, 1.7, 1.8]])
    bias, pixels = np.array([1.9, 2.0]), np.array([1.0, 2.0, 3.0, 4.0])
    kernel = convert.from_torch(weights, "Linear")
    for shape in [(2, 2, 1), None]:
        wide, offset = convert.dense_to_conv2d(kernel, bias, shape)
        x = pixels.reshape(1, *(shape or (1, 1, 4)))
        assert_allclose(reference.conv2d(x, wide, offset, activation="relu").ravel(), [14.9, 19.0])


def test_dense_without_bias() -> None:
    kernel, bias = convert.dense_to_conv2d(np.ones((4, 2)), None, (2, 2, 1))
    assert bias is None
    assert convert.conv2d_to_dense(kernel)[1] is None


@pytest.mark.parametrize("case", NORMALISED)
def test_batch_norm_folds_into(case: str) -> None:
    operation, groups, options = TORCH[case]
    x, weight, bias, want = golden(case, "x", "weight", "bias", "normalised")
    mean, variance, scale, offset = golden(case, "mean", "variance", "scale", "offset")
    kernel = convert.from_torch(weight, operation, groups=groups)
    folded, shifted = convert.fold_batch_norm(
        kernel, bias, mean, variance, scale=scale, offset=offset, epsilon=1e-5, operation=operation
    )
    got = getattr(reference, operation)(channels_last(x), folded, shifted, **options)
    assert_close(got, channels_last(want), kernel)


@pytest.mark.parametrize("operation", SHAPES)
def test_batch_norm_folds_into_every_operation(operation: str, dtype: np.dtype) -> None:
    kernel = RNG.standard_normal(SHAPES[operation]).astype(dtype)
    channels = {"depthwise_conv2d": 20, "conv2d_transpose": 4, "conv1d_transpose": 3}.get(
        operation, kernel.shape[-1]
    )
    inputs = kernel.shape[-1] if operation.endswith("transpose") else kernel.shape[-2]
    mean, variance = RNG.standard_normal(channels).astype(dtype), RNG.uniform(0.5, 2, channels).astype(dtype)
    x = RNG.standard_normal((1, *[6] * (kernel.ndim - 2), inputs)).astype(dtype)
    run = getattr(reference, operation)
    folded, shifted = convert.fold_batch_norm(kernel, None, mean, variance, operation=operation)
    assert (folded.dtype, folded.shape, shifted.dtype) == (dtype, kernel.shape, dtype)
    spread = np.sqrt(variance + dtype.type(1e-3))
    plain = run(x, kernel)
    assert_close(run(x, folded, shifted), (plain - mean) / spread, kernel, np.abs(plain).max() / spread.min())


def ones(*shape: int) -> np.ndarray:
    return np.ones(shape)


ERRORS = [
    (lambda: convert.from_torch(ones(2, 2)), ValueError, "weight must have 4 dimensions in PyTorch's layout"),
    (
        lambda: convert.from_torch(ones(2, 2), "pool"),
        ValueError,
        "operation must be one of conv2d.*; got 'pool'",
    ),
    (lambda: convert.from_torch(ones(2, 2), 3), TypeError, "operation must be one of .*; got 3"),
    (
        lambda: convert.from_torch(ones(2, 2).astype(int), "dense"),
        TypeError,
        "weight must be float32 or float64; got int",
    ),
    (lambda: convert.from_torch(ones(5, 1, 3, 3), groups=2), ValueError, "groups must divide .*groups=2"),
    (
        lambda: convert.from_torch(ones(5, 1, 3, 3), "depthwise_conv2d", groups=2),
        ValueError,
        "groups must divide",
    ),
    (
        lambda: convert.from_torch(ones(4, 2, 3, 3), "depthwise_conv2d"),
        ValueError,
        'it is a "conv2d" with groups',
    ),
    (lambda: convert.from_torch(ones(4, 2, 3, 3), groups=0), ValueError, "groups must be at least 1; got 0"),
    (
        lambda: convert.from_onnx(ones(4, 2, 3), "Gemm"),
        ValueError,
        "weight must have 2 dimensions in ONNX's layout",
    ),
    (
        lambda: convert.from_keras(ones(4, 2, 3), "Dense"),
        ValueError,
        "weight must have 2 dimensions in Keras's",
    ),
    (lambda: convert.nchw_to_nhwc(ones(4, 2)), ValueError, r"x must have a batch.*got shape \(4, 2\)"),
    (lambda: convert.dense_to_conv2d(ones(4)), ValueError, "kernel must have 2 dimensions"),
    (lambda: convert.dense_to_conv2d(ones(4, 2), ones(3)), ValueError, r"bias must have shape \(2,\)"),
    (
        lambda: convert.dense_to_conv2d(ones(4, 2), None, (2, 2, 2)),
        ValueError,
        r"input_shape must be \(H, W, C\) with H\*W\*C = 4, .*got \(2, 2, 2\)",
    ),
    (
        lambda: convert.dense_to_conv2d(ones(4, 2), None, (2, 2)),
        ValueError,
        r"input_shape must be \(H, W, C\) or",
    ),
    (
        lambda: convert.dense_to_conv2d(ones(4, 2), None, 4),
        ValueError,
        r"input_shape must be \(H, W, C\) or None",
    ),
    (lambda: convert.dense_to_conv2d(ones(4, 2), None, (2, 2, 1), "NHWC"), ValueError, 'order must be "HWC"'),
    (lambda: convert.conv2d_to_dense(ones(4, 2)), ValueError, "kernel must have 4 dimensions"),
    (
        lambda: convert.fold_batch_norm(ones(1, 1, 1, 2), None, ones(1), ones(1)),
        ValueError,
        "mean must have 2 values.*got 1",
    ),
    (
        lambda: convert.fold_batch_norm(
            ones(1, 1, 2, 3), None, ones(1), ones(1), operation="conv2d_transpose"
        ),
        ValueError,
        r"mean must have groups \* 2 values.*got 1",
    ),
    (
        lambda: convert.fold_batch_norm(
            ones(1, 1, 2, 3), None, ones(4), ones(1), operation="conv2d_transpose"
        ),
        ValueError,
        r"mean must have groups \* 2 values.*got 4",
    ),
    (
        lambda: convert.fold_batch_norm(ones(1, 1), None, ones(1), ones(2), operation="dense"),
        ValueError,
        r"variance must have shape \(1,\)",
    ),
    (
        lambda: convert.fold_batch_norm(ones(1, 1), None, ones(1), None, operation="dense"),
        TypeError,
        "variance .*None",
    ),
    (
        lambda: convert.fold_batch_norm(
            ones(1, 1), ones(1).astype(np.float32), ones(1), ones(1), operation="dense"
        ),
        TypeError,
        "bias is float32",
    ),
]


@pytest.mark.parametrize(("call", "error", "message"), ERRORS, ids=[message for _, _, message in ERRORS])
def test_errors(call, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
