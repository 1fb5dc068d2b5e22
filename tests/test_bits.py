"""Same bits: the committed hashes, whatever the batch, the threads, the FMA instruction set, the order of
calls and the way of calling. A hash that changes on purpose: tests/golden/make_bits.py, and a changelog line.
"""

from __future__ import annotations

from typing import Any

import bits
import numpy as np
import pytest
from bits import IMAGES, PROMISES, Promise

import convlite as cl
from convlite import _dispatch, _kernels, _threads

EVERY = [pytest.param(promise, id=promise.name) for promise in PROMISES]
OF_CASES = [pytest.param(promise, id=promise.name) for promise in PROMISES if promise.case]
WANT = bits.read()
LAYERS = {"conv2d": cl.layers.Conv2D, "conv2d_transpose": cl.layers.Conv2DTranspose,
          "depthwise_conv2d": cl.layers.DepthwiseConv2D, "dense": cl.layers.Dense}  # fmt: skip


@pytest.fixture(autouse=True)
def eager_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads from the first multiply-add on."""
    monkeypatch.setattr(_threads, "SERIAL_WORK", 0)


def counts(promise: Promise) -> tuple[int, ...]:
    """Threads; the many tails of channels and pixels have two counts, and so batches 1 to 4."""
    if not _dispatch.config()["openmp"]:
        return (1,)
    return (1, 3) if "pixels-" in promise.name or "channels-" in promise.name else (1, 2, 3, 7)


def check(promise: Promise, got: np.ndarray) -> None:
    """Without fused multiply-adds the bits are others, and then only the same in every way of calling."""
    if _kernels.describe(_dispatch.active_isa(), "f32")["fma"]:
        want = WANT[promise.name][got.dtype.name]
    else:
        with cl.num_threads(1):
            want = bits.hash_of(promise.call(*promise.operands(got.dtype)))
    assert bits.hash_of(got) == want


def test_every_call_has_its_hash() -> None:
    assert list(WANT) == [promise.name for promise in PROMISES]


def test_inputs_are_the_same_everywhere() -> None:
    """SplitMix64 in Python's own integers."""
    mask, seed = 2**64 - 1, 0x352441C2 << 32  # CRC-32 of "abc"
    for i, (single, double) in enumerate(
        zip(
            bits.numbers("abc", (5,), np.dtype("f4")), bits.numbers("abc", (5,), np.dtype("f8")), strict=True
        ),
        1,
    ):
        z = (i * 0x9E3779B97F4A7C15 + seed) & mask
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        z ^= z >> 31
        assert float(single) == ((z >> 40) - 2**23) / 2**22
        assert float(double) == ((z >> 11) - 2**52) / 2**51


@pytest.mark.parametrize("promise", EVERY)
def test_batches_and_threads(isa: str, dtype: np.dtype, promise: Promise) -> None:
    x, *rest = promise.operands(dtype)
    for i, threads in enumerate(counts(promise)):
        with cl.num_threads(threads):
            check(promise, promise.call(x, *rest))
            # two batch sizes for each number of threads: 1 to 8 in all
            for batch in (2 * i + 1, 2 * i + 2) if promise.batched else ():
                parts = [promise.call(x[n : n + batch], *rest) for n in range(0, IMAGES, batch)]
                check(promise, np.concatenate(parts))


@pytest.mark.parametrize("promise", OF_CASES)
def test_ways_of_calling(isa: str, dtype: np.dtype, promise: Promise) -> None:
    """Into `out`, with packed weights, as a layer, and again."""
    case, (x, kernel, bias) = promise.case, promise.operands(dtype)
    assert case is not None
    packed = cl.PackedKernel(kernel, case.operation, **case.packing)
    first = promise.call(x, packed, bias)
    check(promise, first)
    out = np.full_like(first, np.nan)
    check(promise, promise.call(x, packed, bias, out=out))
    check(promise, out)
    if "output_shape" in case.options or 0 in case.kernel or x.ndim == 1:
        return  # what no layer has
    options = {"dilation_rate" if key == "dilations" else key: value for key, value in case.options.items()}
    layer = LAYERS[case.operation].from_weights(kernel, bias, **options)
    no_pixel = 0 in (*x.shape[1:-1], *first.shape[1:-1])
    if no_pixel and case.operation != "dense":  # which layers refuse
        with pytest.raises(ValueError, match=r"no pixel to work on|which is nothing"):
            layer(x)
        return
    check(promise, layer(x))
    check(promise, layer(x))


@pytest.mark.parametrize(
    "name", ["conv-3x3-same", "transpose-stride2-same", "depthwise-3x3-same", "dense-matrix"]
)
def test_the_thousandth_call(isa: str, dtype: np.dtype, name: str) -> None:
    promise = next(promise for promise in PROMISES if promise.name == name)
    operands = promise.operands(dtype)
    wanted: Any = None
    for _ in range(1000):
        got = promise.call(*operands).tobytes()
        wanted = wanted or got
        assert got == wanted
    check(promise, promise.call(*operands))
