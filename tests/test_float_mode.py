"""The floating-point mode of the kernels (kernels/float_mode.h): subnormal numbers are zeros, the caller's
mode neither matters nor changes.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import Any

import numpy as np
import pytest
from calls import operands

import convlite as cl
from convlite import _kernels, _threads
from convlite.geometry import Geometry, conv_axis
from convlite.plan.winograd import tile_for

X86 = platform.machine().lower() in ("x86_64", "amd64")
ARM = platform.machine().lower() in ("arm64", "aarch64")
pytestmark = pytest.mark.skipif(not (X86 or ARM), reason="a mode is set on x86-64 and on 64-bit Arm only")

FLAGS = 0x3F if X86 else 0  # what has happened so far, as opposed to the mode
# The default; flush to zero, denormals are zeros; round down; traps. (Arm: the default, FZ, round down.)
MODES = {"default": 0x1F80, "flushes": 0x9FC0, "rounds down": 0x3F80, "traps": 0x1000 | 0x0100 | 0x0800}
if ARM:
    MODES = {"default": 0, "flushes": 1 << 24, "rounds down": 2 << 22}

Call = Callable[[np.ndarray], np.ndarray]


@cache  # NumPy would draw others in another mode
def kernel_of(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    return np.random.default_rng(3).standard_normal(shape).astype(dtype)


def calls(dtype: Any) -> dict[str, Call]:
    """Everything that computes, by name, of images with 4 channels."""

    def of(name: str, shape: tuple[int, ...], **options: Any) -> Call:
        kernel = kernel_of(shape, dtype)
        return lambda x: getattr(cl, name)(x, kernel, **options)

    def winograd(size: int, x: np.ndarray) -> np.ndarray:
        x = np.resize(x, (1, size, size, 16))  # the same numbers again
        shape = (3, 3, 16, 40)
        axis = conv_axis(size, 3, 1, 1, "same", "")
        assert tile_for(Geometry(1, axis, axis, *shape[2:], 1)) == {8: (4, 4), 10: (5, 5), 12: (6, 6)}[size]
        return cl.conv2d(x, kernel_of(shape, dtype), padding="same", precision="fast")

    small = np.finfo(dtype).tiny / 4
    return {
        "conv2d": of("conv2d", (3, 3, 4, 6), padding="same"),
        "gathered": of("conv2d", (3, 3, 4, 6), dilations=3, padding="same"),
        **{f"winograd, {size}": partial(winograd, size) for size in (8, 10, 12)},
        "few outputs": of("conv2d", (5, 5, 4, 2), padding="same"),
        "conv2d_transpose": of("conv2d_transpose", (4, 4, 3, 4), strides=2, padding="same"),
        "depthwise_conv2d": of("depthwise_conv2d", (3, 3, 4, 1), padding="same"),
        "depthwise by 2": of("depthwise_conv2d", (3, 3, 4, 2), padding="same"),
        "dense": of("dense", (4, 33)),
        "dense, few rows": lambda x: cl.dense(x.reshape(1, -1), kernel_of((x.size, 33), dtype)),
        "infinite weights": lambda x: cl.conv2d(x, np.full((3, 3, 4, 2), np.inf, dtype), padding="same"),
        "subnormal weights": lambda x: cl.conv2d(x, np.full((3, 3, 4, 6), small, dtype), padding="same"),
        "avg_pool2d": lambda x: cl.avg_pool2d(x, 3, padding="same"),
        "softmax": lambda x: cl.softmax(x),
        **{
            name: lambda x, name=name: cl.activate(x, name)
            for name in ("relu6", "tanh", "gelu", "hard_swish")
        },
    }


NAMES = list(calls(np.float32))


@pytest.fixture(autouse=True)
def unchanged(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Threads from the first multiply-add on, and the mode as it was."""
    monkeypatch.setattr(_threads, "SERIAL_WORK", 0)
    mode = _kernels.float_mode()
    yield
    _kernels.float_mode(mode)


def in_mode(mode: int, call: Call, x: np.ndarray) -> np.ndarray:
    """The result of a call in a mode, which must be the mode afterwards."""
    before = _kernels.float_mode(mode)
    try:
        return call(x)
    finally:
        after = _kernels.float_mode(before)
        assert after & ~FLAGS == mode & ~FLAGS


def images(dtype: Any) -> np.ndarray:
    return np.random.default_rng(5).standard_normal((2, 9, 9, 4)).astype(dtype)


@pytest.mark.parametrize("name", NAMES)
def test_the_callers_mode_neither_matters_nor_changes(
    isa: str, dtype: np.dtype, threads: int, name: str
) -> None:
    """Also where sums overflow or are invalid, which would be a signal if traps were on in the kernels."""
    call, info = calls(dtype)[name], np.finfo(dtype)
    for size in (1, info.max / 8, info.tiny):
        x = images(dtype) * dtype.type(size)
        want = call(x).tobytes()
        for mode in MODES.values():
            assert in_mode(mode, call, x).tobytes() == want


@pytest.mark.parametrize("mode", MODES)
def test_nor_does_the_mode_that_a_worker_was_born_with(isa: str, mode: str) -> None:
    """A new thread, and so its OpenMP workers, inherits the mode of the thread that starts it."""
    x, call = images(np.float32) * 1e-38, calls(np.float32)["few outputs"]
    want = call(x)

    def work(_: int) -> bytes:
        with cl.num_threads(3):
            return call(x).tobytes()

    before = _kernels.float_mode(MODES[mode])
    try:
        with ThreadPoolExecutor(2) as pool:
            got = list(pool.map(work, range(4)))
    finally:
        _kernels.float_mode(before)
    assert got == [want.tobytes()] * 4


def test_an_error_leaves_the_mode_alone(isa: str, threads: int) -> None:
    def fails(_: np.ndarray) -> Any:
        raise ZeroDivisionError

    x, kernel, _ = operands((1, 9, 9, 4), (3, 3, 4, 8), (8,))
    for mode in MODES.values():
        with pytest.raises(ZeroDivisionError):
            in_mode(mode, lambda x: cl.conv2d(x, kernel, activation=fails), x)
        with pytest.raises(ValueError, match="channels"):
            in_mode(mode, lambda x: cl.conv2d(x, kernel[:, :, :3]), x)


# ---- subnormal numbers -------------------------------------------------------------------------------------


def subnormals(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    least = np.finfo(dtype).smallest_subnormal
    return (least * np.random.default_rng(7).integers(-9, 10, shape)).astype(dtype)


# These pick one of their inputs, or pass it on where they change nothing.
KEEPING = ("linear", "leaky_relu", "elu", "celu")


@pytest.mark.parametrize("name", NAMES)
def test_subnormal_inputs_are_zeros(isa: str, dtype: np.dtype, threads: int, name: str) -> None:
    call = calls(dtype)[name]
    got = call(subnormals((2, 9, 9, 4), dtype))
    np.testing.assert_array_equal(got, call(np.zeros((2, 9, 9, 4), dtype)))


def ones(*shape: int, dtype: Any) -> np.ndarray:
    return np.ones(shape, dtype)


# docs/same-bits.md and ops.py have these two lists.
ZEROS: dict[str, Call] = {
    "conv2d": lambda x: cl.conv2d(x, ones(1, 1, 4, 2, dtype=x.dtype)),
    "conv1d": lambda x: cl.conv1d(x[0], ones(1, 4, 2, dtype=x.dtype)),
    "conv2d_transpose": lambda x: cl.conv2d_transpose(x, ones(1, 1, 2, 4, dtype=x.dtype)),
    "conv1d_transpose": lambda x: cl.conv1d_transpose(x[0], ones(1, 2, 4, dtype=x.dtype)),
    "depthwise_conv2d": lambda x: cl.depthwise_conv2d(x, ones(1, 1, 4, 1, dtype=x.dtype)),
    "dense": lambda x: cl.dense(x, ones(4, 3, dtype=x.dtype)),
    "avg_pool2d": lambda x: cl.avg_pool2d(x, 2),
    "avg_pool2d, a large window": lambda x: cl.avg_pool2d(x, (7, 6), strides=1),
    "avg_pool2d, the image": lambda x: cl.avg_pool2d(x, x.shape[1:3]),
    "avg_pool1d": lambda x: cl.avg_pool1d(x[0], 2),
    "adaptive_avg_pool2d": lambda x: cl.adaptive_avg_pool2d(x, 3),
    "global_avg_pool2d": lambda x: cl.global_avg_pool2d(x),
    "global_avg_pool1d": lambda x: cl.global_avg_pool1d(x[0]),
    "bias_add": lambda x: cl.bias_add(x, 0 * ones(4, dtype=x.dtype)),
    "batch_norm": lambda x: cl.batch_norm(x, 0 * ones(4, dtype=x.dtype), ones(4, dtype=x.dtype), epsilon=0.0),
    "log_softmax": lambda x: cl.log_softmax(x),
    "layer_norm": lambda x: cl.layer_norm(x),
    "group_norm": lambda x: cl.group_norm(x, 2),
    "instance_norm": lambda x: cl.instance_norm(x),
    "resize2d": lambda x: cl.resize2d(x, 11),
    "resize1d": lambda x: cl.resize1d(x[0], 11),
}
KEPT: dict[str, Call] = {
    "max_pool2d": lambda x: cl.max_pool2d(x, 2),
    "max_pool1d": lambda x: cl.max_pool1d(x[0], 2),
    "adaptive_max_pool2d": lambda x: cl.adaptive_max_pool2d(x, 3),
    "global_max_pool2d": lambda x: cl.global_max_pool2d(x),
    "global_max_pool1d": lambda x: cl.global_max_pool1d(x[0]),
    "prelu": lambda x: cl.prelu(x, ones(4, dtype=x.dtype)),
    "rms_norm": lambda x: cl.rms_norm(x),
    "unit_norm": lambda x: cl.unit_norm(x),
    "lrn": lambda x: cl.lrn(x, 3),
    "threshold": lambda x: cl.threshold(x, -1.0, 0.0),
    "resize2d, nearest": lambda x: cl.resize2d(x, 11, method="nearest"),
    "upsample2d": lambda x: cl.upsample2d(x, 2),
    "pad2d": lambda x: cl.pad2d(x, 1),
    "flatten": lambda x: cl.flatten(x),
    "depth_to_space": lambda x: cl.depth_to_space(x, 2),
    "channel_shuffle": lambda x: cl.channel_shuffle(x, 2),
    "extract_patches": lambda x: cl.extract_patches(x, 2),
    **{name: lambda x, name=name: cl.activate(x, name) for name in KEEPING},
}


@pytest.mark.parametrize("name", [*ZEROS, *KEPT])
def test_which_operations_count_subnormals_as_zeros(isa: str, dtype: np.dtype, name: str) -> None:
    """Large subnormal numbers give what zeros give, or something else."""
    x = np.random.default_rng(7).uniform(-0.9, 0.9, (2, 8, 8, 4)).astype(dtype) * np.finfo(dtype).tiny
    call = ZEROS[name] if name in ZEROS else KEPT[name]
    assert np.array_equal(call(x), call(np.zeros_like(x))) == (name in ZEROS)


@pytest.mark.parametrize("fast", [False, True])
def test_subnormal_weights_are_zeros(isa: str, dtype: np.dtype, threads: int, fast: bool) -> None:
    x = np.ones((1, 10, 10, 16), dtype)  # as "fast" computes it in Winograd's form: see `calls`
    with cl.precision("fast" if fast else "exact"):
        got = cl.conv2d(x, subnormals((3, 3, 16, 40), dtype), np.ones(40, dtype), padding="same")
    np.testing.assert_array_equal(got, np.ones_like(got))
    np.testing.assert_array_equal(cl.dense(images(dtype), subnormals((4, 5), dtype)), np.zeros((2, 9, 9, 5)))


def test_subnormal_results_are_zeros(isa: str, dtype: np.dtype) -> None:
    """Products, sums, biases and averages; the smallest normal number is one."""
    tiny, half = np.finfo(dtype).tiny, dtype.type(0.5)
    x = np.array([[tiny, -1.5 * tiny, 2 * tiny]], dtype)
    np.testing.assert_array_equal(cl.dense(x.T, np.array([[half]])).ravel(), [0, 0, tiny])
    assert cl.dense(x[:, :2], np.ones((2, 1), dtype)) == 0  # tiny - 1.5 tiny
    assert cl.dense(x[:, 1:], np.ones((2, 1), dtype), np.array([half * tiny]))[0, 0] == 0
    assert cl.avg_pool2d(x.reshape(1, 1, 3, 1), (1, 2))[0, 0, 0, 0] == 0


@pytest.mark.parametrize("mode", MODES)
def test_max_pools_keep_subnormals(isa: str, dtype: np.dtype, threads: int, mode: str) -> None:
    x = subnormals((2, 9, 9, 4), dtype)
    got = in_mode(MODES[mode], lambda x: cl.max_pool2d(x, 2, strides=1), x)
    want = np.maximum.reduce([x[:, i : i + 8, j : j + 8] for i in (0, 1) for j in (0, 1)])
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("name", cl.activations.NAMES)
def test_activations_of_subnormals(isa: str, dtype: np.dtype, name: str) -> None:
    """Within the smallest normal number of the formula, and fused as on their own where they compute."""
    x = subnormals((4, 33), dtype)
    got = cl.activate(x, name)
    np.testing.assert_allclose(got, cl.activate(np.zeros_like(x), name), rtol=0, atol=np.finfo(dtype).tiny)
    if name not in KEEPING:
        np.testing.assert_array_equal(cl.dense(x, np.eye(33, dtype=dtype), activation=name), got)


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_subnormals_cost_nothing(isa: str, dtype: np.dtype, name: str) -> None:
    """At most 5% more time: the fastest of many rounds in turn, of which a busy machine may spoil some."""
    call = calls(dtype)[name]
    normal = np.random.default_rng(5).standard_normal((1, 40, 40, 4)).astype(dtype)
    sources = (normal, subnormals(normal.shape, dtype))
    x = np.empty_like(normal)  # one place in memory
    least = [float("inf"), float("inf")]
    with cl.num_threads(1):
        for _ in range(60):
            for _ in range(100):
                for i, source in enumerate(sources):
                    np.copyto(x, source)
                    start = time.perf_counter()
                    call(x)
                    least[i] = min(least[i], time.perf_counter() - start)
            if least[1] <= 1.05 * least[0]:
                return
    raise AssertionError(f"{least[1] / least[0]:.2f} times the time")
