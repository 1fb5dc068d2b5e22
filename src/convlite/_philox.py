"""TensorFlow's seeded random streams: Philox 4x32-10 and its uniform, normal and truncated normal values.

A stream is a key and the upper half of a counter; block b is ten rounds of Philox on the counter
(b lo, b hi, upper half), which give four 32-bit words. Because block b needs no block before it, the
words of many blocks are computed at once. What turns words into values is TensorFlow's
(tensorflow/core/lib/random/random_distributions.h), and was checked against TensorFlow 2.21.

float32 values are TensorFlow's in every bit on every platform (`_libm` says how). float64 uniform values
too; float64 normal values use this platform's C library, as TensorFlow does.

Source of the generator: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _kernels, _libm, _threads

__all__ = ["DEFAULT_GRAPH_SEED", "Stream", "normal", "truncated_normal", "uniform"]

Words = npt.NDArray[np.uint32]
Floats = npt.NDArray[Any]

DEFAULT_GRAPH_SEED = 87654321
_SEED_MODULUS = 2**31 - 1

_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
_MASK = 0xFFFFFFFF
_SCRAMBLE_KEY = (0x3EC8F720, 0x02461E29)  # TensorFlow's constant for mixing stateless seeds

_BLOCKS_AT_ONCE = 1 << 14  # the working set of a chunk stays in the L2 cache
_NANOSECONDS = 5  # a value, on one thread
_FLOOR = 1e-7  # the least value whose logarithm the normal transform takes


@dataclass(frozen=True)
class Stream:
    """Key and upper counter words of one Philox stream; each of the four is a 32-bit word.

    >>> uniform(Stream.from_seeds(DEFAULT_GRAPH_SEED, 0), 3, np.dtype(np.float32))
    array([0.10086262, 0.9701668 , 0.8487642 ], dtype=float32)
    """

    key: tuple[int, int]
    upper: tuple[int, int]

    @classmethod
    def from_seeds(cls, graph_seed: int, op_seed: int) -> Stream:
        """The stream of a TensorFlow 1 operation: both seeds modulo 2**31 - 1, and (0, 0) is (0, 2**31 - 1).

        Source: get_seed in tensorflow/python/framework/random_seed.py.
        """
        graph_seed, op_seed = graph_seed % _SEED_MODULUS, op_seed % _SEED_MODULUS
        if graph_seed == op_seed == 0:
            op_seed = _SEED_MODULUS
        return cls((graph_seed, 0), (op_seed, 0))

    @classmethod
    def stateless(cls, seed: int, second: int = 0) -> Stream:
        """The stream of tf.random.stateless_* with seed=(seed, second): the two scrambled by Philox.

        Source: GenerateKey of tensorflow/core/kernels/stateless_random_ops.h.
        """
        counter = [seed & _MASK, seed >> 32 & _MASK, second & _MASK, second >> 32 & _MASK]
        first = np.array([counter[0] | counter[1] << 32], np.uint64)
        mixed = [int(word) for word in _words(_SCRAMBLE_KEY, (counter[2], counter[3]), first)[0]]
        return cls((mixed[0], mixed[1]), (mixed[2], mixed[3]))

    @classmethod
    def unseeded(cls) -> Stream:
        """A stream that the operating system's entropy picks."""
        words = [int(word) for word in np.random.SeedSequence().generate_state(4)]
        return cls((words[0], words[1]), (words[2], words[3]))

    def blocks(self, indices: npt.NDArray[np.uint64]) -> Words:
        """The blocks with these indices (n,) -> (n, 4) words."""
        return _words(self.key, self.upper, indices)


def _words(key: tuple[int, int], upper: tuple[int, int], indices: npt.NDArray[np.uint64]) -> Words:
    low, shift = np.uint64(_MASK), np.uint64(32)
    c0, c1 = indices & low, indices >> shift
    c2, c3 = (np.full(indices.shape, word, np.uint64) for word in upper)
    k0, k1 = key
    for _ in range(10):
        p0, p1 = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        c0, c2 = (p1 >> shift) ^ c1 ^ np.uint64(k0), (p0 >> shift) ^ c3 ^ np.uint64(k1)
        c1, c3 = p1 & low, p0 & low
        k0, k1 = k0 + _KEY_STEPS[0] & _MASK, k1 + _KEY_STEPS[1] & _MASK
    return np.stack((c0, c1, c2, c3), axis=-1).astype(np.uint32)


def uniform(stream: Stream, size: int, dtype: np.dtype[Any]) -> Floats:
    """The stream's first `size` uniform values in [0, 1): float32 takes one word a value, float64 two."""
    if dtype != np.float32:
        return _fill(stream, size, dtype, _unit64)
    out = np.empty(-(-size // 4) * 4, np.float32)
    threads = _threads.threads_for(out.size * _NANOSECONDS)
    _kernels.philox_uniform(*stream.key, *stream.upper, out, threads)
    return out[:size]


def normal(stream: Stream, size: int, dtype: np.dtype[Any]) -> Floats:
    """The stream's first `size` standard normal values (Box and Muller, sine first)."""
    return _fill(stream, size, dtype, _normal32 if dtype == np.float32 else _normal64)


def truncated_normal(stream: Stream, size: int, dtype: np.dtype[Any]) -> Floats:
    """The stream's first `size` standard normal values that are drawn again where they reach 2.

    Values come in groups of 16 bytes. A group keeps the first values with |v| < 2 of its own run of
    blocks: 1024 words are set aside for each group of float32 and 512 for each of float64.
    """
    transform, group, reserved = (_normal32, 4, 256) if dtype == np.float32 else (_normal64, 2, 128)
    out = np.empty((-(-size // group), group), dtype)
    for start in range(0, len(out), _BLOCKS_AT_ONCE):
        _fill_truncated(stream, out[start : start + _BLOCKS_AT_ONCE], start * reserved, reserved, transform)
    return out.reshape(-1)[:size]


def _fill(stream: Stream, size: int, dtype: np.dtype[Any], transform: Callable[[Words], Floats]) -> Floats:
    per_block = 16 // dtype.itemsize
    count = -(-size // per_block)
    out = np.empty((count, per_block), dtype)
    for start in range(0, count, _BLOCKS_AT_ONCE):
        indices = np.arange(start, min(start + _BLOCKS_AT_ONCE, count), dtype=np.uint64)
        out[start : start + _BLOCKS_AT_ONCE] = transform(stream.blocks(indices))
    return out.reshape(-1)[:size]


def _fill_truncated(
    stream: Stream, out: Floats, first: int, reserved: int, transform: Callable[[Words], Floats]
) -> None:
    """Fill groups (n, group), the i-th from block first + i*reserved on."""
    group = out.shape[1]
    pending = np.arange(len(out), dtype=np.uint64)
    # 4.6% of the values are drawn again. Two blocks hold enough for all but 1 in 100,000 groups of float32
    # and 1 in 2,500 of float64; these are computed anew from their start with twice as many.
    count = 2
    while pending.size:
        starts = np.uint64(first) + pending * np.uint64(reserved)
        indices = np.add.outer(starts, np.arange(count, dtype=np.uint64)).reshape(-1)
        values = transform(stream.blocks(indices)).reshape(len(pending), -1)
        kept = np.abs(values) < 2
        done = np.count_nonzero(kept, axis=1) >= group
        # A stable sort by "not kept" moves the kept values to the front, in their order.
        order = np.argsort(~kept[done], axis=1, kind="stable")[:, :group]
        out[pending[done]] = np.take_along_axis(values[done], order, axis=1)
        pending = pending[~done]
        count *= 2


def _unit32(words: Words) -> Floats:
    """23 bits of each word as the fraction of a float32 in [1, 2), minus 1: (n, 4) -> (n, 4)."""
    return ((words & np.uint32(0x7FFFFF)) | np.uint32(127 << 23)).view(np.float32) - np.float32(1)


def _unit64(words: Words) -> Floats:
    """52 bits of each pair of words as the fraction of a float64 in [1, 2), minus 1: (n, 4) -> (n, 2)."""
    high = (words[:, 0::2] & np.uint32(0xFFFFF)).astype(np.uint64)
    bits: npt.NDArray[np.uint64] = (high << np.uint64(32)) | words[:, 1::2] | np.uint64(1023 << 52)
    values: Floats = bits.view(np.float64) - 1.0
    return values


def _normal32(words: Words) -> Floats:
    """Two pairs of words to two pairs of values, (n, 4) -> (n, 4).

    The angle is rounded from float64: with float32(2*pi) a quarter of the values would differ.
    """
    u = _unit32(words)
    radius = np.sqrt(np.float32(-2) * _libm.logf(np.maximum(u[:, 0::2], np.float32(_FLOOR))))
    angle = (2.0 * math.pi * u[:, 1::2].astype(np.float64)).astype(np.float32)
    pairs: Floats = np.stack(_libm.sinf_cosf(angle), axis=-1) * radius[:, :, None]
    return pairs.reshape(-1, 4)


def _normal64(words: Words) -> Floats:
    """Four words to one pair of values, (n, 4) -> (n, 2)."""
    u = _unit64(words)
    angle = (2.0 * math.pi * u[:, 1]).tolist()
    # math calls the C library, as TensorFlow does; NumPy's vector functions may differ in the last bit.
    log = np.array([math.log(value) for value in np.maximum(u[:, 0], _FLOOR).tolist()])
    pair = np.array([[math.sin(value) for value in angle], [math.cos(value) for value in angle]])
    return (pair * np.sqrt(-2.0 * log)).T
