"""The random streams against TensorFlow's, in golden/initializers_streams.npz: bit for bit where promised."""

import ast
import hashlib
import platform
import sys
from pathlib import Path

import numpy as np
import pytest

from convlite import _libm, _philox, initializers
from convlite._philox import Stream

with np.load(Path(__file__).parent / "golden" / "initializers_streams.npz") as archive:
    GOLDEN = dict(archive)
OPERATIONS = ("random_uniform", "random_normal", "truncated_normal")
SEEDED = [key for key in GOLDEN if key.startswith(OPERATIONS)]
STATELESS = [key for key in GOLDEN if key.startswith("stateless_")]
HASHED = [key for key in GOLDEN if key.startswith("sha256:")]
F32, F64 = np.dtype(np.float32), np.dtype(np.float64)


def assert_same(got: np.ndarray, want: np.ndarray, exact: bool) -> None:
    """Equal bits; or a few ulps for float64 from the C library, which has variants for CPUs with FMA."""
    assert got.dtype == want.dtype
    assert got.shape == want.shape
    if exact:
        np.testing.assert_array_equal(got.view(f"u{got.itemsize}"), want.view(f"u{want.itemsize}"))
    else:
        np.testing.assert_array_max_ulp(got, want, maxulp=4)


def test_the_generator_is_philox_4x32_10() -> None:
    # The known answers that come with the authors' implementation, Random123 (kat_vectors).
    ones = 0xFFFFFFFF
    for counter, key, want in [
        ((0, 0, 0, 0), (0, 0), "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ((ones,) * 4, (ones, ones), "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            "d16cfe09 94fdcceb 5001e420 24126ea1",
        ),
    ]:
        block = np.array([counter[0] | counter[1] << 32], np.uint64)
        words = Stream(key, counter[2:]).blocks(block)
        assert " ".join(f"{word:08x}" for word in words[0]) == want


@pytest.mark.parametrize("key", SEEDED)
def test_streams_of_seeds(key: str) -> None:
    name, graph_seed, seed, dtype = key.split(":")
    want = GOLDEN[key]
    got = getattr(initializers, name)(
        want.shape, seed=ast.literal_eval(seed), graph_seed=ast.literal_eval(graph_seed), dtype=dtype
    )
    assert_same(got, want, exact=dtype == "float32" or name == "random_uniform")


@pytest.mark.parametrize("key", STATELESS)
def test_stateless_streams(key: str) -> None:
    name, seed, dtype = key.split(":")
    name = name.removeprefix("stateless_")
    got = getattr(_philox, name)(Stream.stateless(*ast.literal_eval(seed)), GOLDEN[key].size, np.dtype(dtype))
    assert_same(got, GOLDEN[key], exact=dtype == "float32" or name == "uniform")


@pytest.mark.parametrize("key", HASHED)
@pytest.mark.skipif(sys.byteorder == "big", reason="the hashes are of little-endian bytes")
def test_long_streams_have_the_bits_of_tensorflow(key: str) -> None:
    _, name, seed, size = key.split(":")
    values = getattr(initializers, name)(int(size), seed=int(seed))
    assert hashlib.sha256(values.tobytes()).digest() == GOLDEN[key].tobytes()


@pytest.mark.parametrize(
    ("key", "call"),
    [
        ("range:-0.3:1.7", initializers.random_uniform),
        ("moments:0.25:1.3", initializers.random_normal),
        ("truncated:0.25:1.3", initializers.truncated_normal),
    ],
)
def test_ranges_and_moments_are_rounded_as_in_tensorflow(key: str, call) -> None:
    _, first, second = key.split(":")
    assert_same(call(257, float(first), float(second), seed=4), GOLDEN[key], exact=True)


def test_a_graph_counts_its_unseeded_operations() -> None:
    with initializers.Graph(seed=3):
        first = initializers.random_normal(5)
        initializers.Zeros()(2)
        second = initializers.random_uniform(5)
        seeded = initializers.random_uniform(5, seed=0)
        third = initializers.truncated_normal(5)
    np.testing.assert_array_equal(np.stack([first, second, seeded, third]), GOLDEN["graph"])


@pytest.mark.parametrize("draw", [_philox.uniform, _philox.normal, _philox.truncated_normal])
@pytest.mark.parametrize("dtype", [F32, F64])
def test_a_short_stream_is_the_beginning_of_a_long_one(draw, dtype: np.dtype) -> None:
    stream = Stream.from_seeds(1, 2)
    long = draw(stream, 70_001, dtype)  # more than one chunk
    for size in (0, 1, 2, 3, 4, 5, 65_535, 65_537):
        np.testing.assert_array_equal(draw(stream, size, dtype), long[:size])


def test_truncated_values_stay_below_two_and_start_with_the_normal_ones() -> None:
    stream = Stream.from_seeds(5, 6)
    values = _philox.truncated_normal(stream, 100_000, F32)
    assert np.abs(values).max() < 2
    first_group = _philox.normal(stream, 64, F32)
    np.testing.assert_array_equal(values[:4], first_group[np.abs(first_group) < 2][:4])
    assert abs(values.std() - 0.8796) < 0.01


@pytest.mark.parametrize("dtype", [F32, F64])
def test_groups_that_reject_most_of_their_values_are_filled(dtype: np.dtype) -> None:
    # A transform of which only every 16th value survives: groups read far beyond their first two blocks.
    def rare(words: np.ndarray) -> np.ndarray:
        bits = words[:, :: dtype.itemsize // 4]
        return np.where(bits % 16 == 0, 1.0, 3.0).astype(dtype) * (bits % 7 + 1)

    group = 16 // dtype.itemsize
    out = np.empty((50, group), dtype)
    stream = Stream.from_seeds(1, 1)
    _philox._fill_truncated(stream, out, 0, 1024, rare)
    for index, values in enumerate(out):
        run = rare(stream.blocks(np.arange(1024, dtype=np.uint64) + np.uint64(1024 * index))).reshape(-1)
        np.testing.assert_array_equal(values, run[run < 2][:group])


def test_counters_beyond_32_bits() -> None:
    stream = Stream.from_seeds(1, 1)
    far = stream.blocks(np.array([5, 2**32 + 5], np.uint64))
    assert (far[0] != far[1]).any()


def test_unseeded_streams_differ() -> None:
    assert Stream.unseeded() != Stream.unseeded()


def test_logf_sinf_cosf_are_within_an_ulp_and_are_the_c_library_s_where_that_is_glibc() -> None:
    u = np.random.default_rng(0).integers(0, 2**23, 4000).astype(np.float32) / np.float32(2**23)
    u = np.concatenate([u, np.array([0, 2**-23, 0.25, 0.5, 0.75, 1 - 2**-23, 1], np.float32)])
    positive = np.maximum(u, np.float32(1e-7))
    angle = (2 * np.pi * u.astype(np.float64)).astype(np.float32)
    sine, cosine = _libm.sinf_cosf(angle)
    for name, got, x in (
        ("log", _libm.logf(positive), positive),
        ("sin", sine, angle),
        ("cos", cosine, angle),
    ):
        assert got.dtype == np.float32
        want = getattr(np, name)(x.astype(np.float64)).astype(np.float32)
        np.testing.assert_array_max_ulp(got, want, maxulp=1)
    assert (_libm.logf(np.array([1], np.float32)), sine[4000], cosine[4000]) == (0, 0, 1)
    # NumPy takes the exponential of a complex64 from the C library, which multiplies expf(0) = 1 by sincosf.
    libc, version = platform.libc_ver()
    if libc == "glibc" and [int(part) for part in version.split(".")[:2]] >= [2, 28]:
        wave = np.exp(1j * angle.astype(np.complex64))
        np.testing.assert_array_equal(sine, wave.imag)
        np.testing.assert_array_equal(cosine, wave.real)
