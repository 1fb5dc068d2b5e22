"""TensorFlow 1's initializers and random operations, as TensorFlow 2.21 still has them in tf.compat.v1.

The functions reproduce tf.compat.v1.random_uniform, random_normal and truncated_normal with their default
parameters. The classes reproduce tf.compat.v1.keras.initializers (which TensorFlow takes from tf_keras if
TF_USE_LEGACY_KERAS=1) with Keras's default parameters, which are smaller.
"""

from __future__ import annotations

import itertools
import math
import operator
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _philox
from ..arguments import FLOAT32, FLOAT64, as_int

Shape = int | Sequence[int]
Array = npt.NDArray[Any]


class Graph:
    """The random state of one TensorFlow 1 graph: its seed, and how many operations without a seed it has.

    `with Graph(seed):` stands for `with tf.Graph().as_default(): tf.set_random_seed(seed)`. Inside, calls
    without `graph_seed` take this seed, and those without `seed` as well take 0, 1, 2 ... in the order of the
    calls, which is TensorFlow 2.21's rule. (TensorFlow 1 numbered them by the size of the graph.)
    The scope holds for the current thread or task; Graph(None) undoes an outer one.

    >>> with Graph(seed=42):
    ...     first, second = random_normal(2), random_normal(2)
    >>> bool((first == random_normal(2, graph_seed=42, seed=0)).all())
    True
    >>> bool((second == random_normal(2, graph_seed=42, seed=1)).all())
    True
    """

    _open: ContextVar[tuple[Graph, ...]] = ContextVar("convlite_graphs", default=())

    def __init__(self, seed: int | None = None) -> None:
        self.seed = _as_seed(seed, "seed")
        self._unseeded = itertools.count()

    def __enter__(self) -> Graph:
        Graph._open.set((*Graph._open.get(), self))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        Graph._open.set(Graph._open.get()[:-1])

    @staticmethod
    def stream(seed: int | None, graph_seed: int | None) -> _philox.Stream:
        """The stream of an operation with these seeds in the innermost graph.

        Source: get_seed in tensorflow/python/framework/random_seed.py.
        """
        seed, graph_seed = _as_seed(seed, "seed"), _as_seed(graph_seed, "graph_seed")
        if graph_seed is None and (graphs := Graph._open.get()) and graphs[-1].seed is not None:
            graph_seed = graphs[-1].seed
            if seed is None:
                seed = next(graphs[-1]._unseeded)
        if graph_seed is None and seed is None:
            return _philox.Stream.unseeded()
        return _philox.Stream.from_seeds(
            _philox.DEFAULT_GRAPH_SEED if graph_seed is None else graph_seed, 0 if seed is None else seed
        )


def random_uniform(
    shape: Shape,
    minval: float = 0.0,
    maxval: float = 1.0,
    *,
    seed: int | None = None,
    dtype: npt.DTypeLike = np.float32,
    graph_seed: int | None = None,
) -> Array:
    """Uniform values in [minval, maxval), those of tf.compat.v1.random_uniform.

    Seeds mean what they mean in TensorFlow: `seed` is the operation's, `graph_seed` is tf.set_random_seed's
    (87654321 if there is only a seed). With `graph_seed` alone the operation counts as the first of its
    graph; see `Graph` for more than one. With neither, every call gives other values.

    >>> random_uniform((2, 2), seed=0)
    array([[0.10086262, 0.9701668 ],
           [0.8487642 , 0.04828131]], dtype=float32)
    """
    return _uniform(Graph.stream(seed, graph_seed), minval, maxval, _as_shape(shape), _as_dtype(dtype))


def random_normal(
    shape: Shape,
    mean: float = 0.0,
    stddev: float = 1.0,
    *,
    seed: int | None = None,
    dtype: npt.DTypeLike = np.float32,
    graph_seed: int | None = None,
) -> Array:
    """Normal values, those of tf.compat.v1.random_normal; seeds as in `random_uniform`.

    >>> random_normal((1, 1, 1, 2), seed=0)
    array([[[[-0.3991576,  2.1044393]]]], dtype=float32)
    """
    return _normal(Graph.stream(seed, graph_seed), mean, stddev, _as_shape(shape), _as_dtype(dtype))


def truncated_normal(
    shape: Shape,
    mean: float = 0.0,
    stddev: float = 1.0,
    *,
    seed: int | None = None,
    dtype: npt.DTypeLike = np.float32,
    graph_seed: int | None = None,
) -> Array:
    """Normal values less than two standard deviations from the mean, those of tf.compat.v1.truncated_normal.

    Seeds as in `random_uniform`.

    >>> truncated_normal(3, seed=0)
    array([-0.3991576 ,  0.17107224,  0.54651815], dtype=float32)
    """
    return _truncated(Graph.stream(seed, graph_seed), mean, stddev, _as_shape(shape), _as_dtype(dtype))


class Initializer(ABC):
    """Something that makes the first values of a weight: `initializer(shape, dtype=np.float32)`."""

    def __call__(self, shape: Shape, dtype: npt.DTypeLike = np.float32) -> Array:
        """An array of this shape, float32 or float64."""
        return self._make(_as_shape(shape), _as_dtype(dtype))

    @abstractmethod
    def _make(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array: ...


@dataclass(frozen=True)
class Zeros(Initializer):
    """All 0."""

    def _make(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        return np.zeros(shape, dtype)


@dataclass(frozen=True)
class Ones(Initializer):
    """All 1."""

    def _make(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        return np.ones(shape, dtype)


@dataclass(frozen=True)
class Constant(Initializer):
    """All `value`."""

    value: float = 0.0

    def _make(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        return np.full(shape, self.value, dtype)


@dataclass(frozen=True)
class Identity(Initializer):
    """`gain` on the diagonal of a matrix, 0 elsewhere; other ranks raise ValueError."""

    gain: float = 1.0

    def _make(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        if len(shape) != 2:
            raise ValueError(f"shape must have 2 dimensions for Identity; got {shape}")
        identity: Array = np.eye(*shape, dtype=dtype) * dtype.type(self.gain)
        return identity


class RandomInitializer(Initializer):
    """An initializer that draws from the stream its seeds name: with a seed, every call gives the same."""

    seed: int | None
    graph_seed: int | None

    def __post_init__(self) -> None:
        _as_seed(self.seed, "seed")
        _as_seed(self.graph_seed, "graph_seed")

    def _make(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        return self._draw(self._stream(), shape, dtype)

    def _stream(self) -> _philox.Stream:
        return Graph.stream(self.seed, self.graph_seed)

    def _limits(self, low: float, high: float) -> tuple[float, float]:
        """The limits of a uniform distribution, as the framework rounds them."""
        return low, high

    @abstractmethod
    def _draw(self, stream: _philox.Stream, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array: ...


@dataclass(frozen=True)
class RandomUniform(RandomInitializer):
    """Uniform values in [minval, maxval)."""

    minval: float = -0.05
    maxval: float = 0.05
    seed: int | None = None
    graph_seed: int | None = None

    def _draw(self, stream: _philox.Stream, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        return _uniform(stream, *self._limits(self.minval, self.maxval), shape, dtype)


@dataclass(frozen=True)
class RandomNormal(RandomInitializer):
    """Normal values.

    >>> RandomNormal(stddev=1.0, seed=0)((1, 1, 1, 2))
    array([[[[-0.3991576,  2.1044393]]]], dtype=float32)
    """

    mean: float = 0.0
    stddev: float = 0.05
    seed: int | None = None
    graph_seed: int | None = None

    def _draw(self, stream: _philox.Stream, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        return _normal(stream, self.mean, self.stddev, shape, dtype)


@dataclass(frozen=True)
class TruncatedNormal(RandomInitializer):
    """Normal values less than two standard deviations from the mean."""

    mean: float = 0.0
    stddev: float = 0.05
    seed: int | None = None
    graph_seed: int | None = None

    def _draw(self, stream: _philox.Stream, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        return _truncated(stream, self.mean, self.stddev, shape, dtype)


_MODES = ("fan_in", "fan_out", "fan_avg")
_DISTRIBUTIONS = ("truncated_normal", "untruncated_normal", "uniform")
_TRUNCATED_STDDEV = 0.87962566103423978  # of a standard normal variable truncated at 2


@dataclass(frozen=True)
class VarianceScaling(RandomInitializer):
    """Values of variance scale / n, where n is fan_in, fan_out or their mean, fan_avg, and at least 1.

    The fans of a kernel are shape[-2] and shape[-1], each times the sizes of the axes before them; both fans
    of a vector are its size.
    distribution is "truncated_normal" ("normal" is the same), "untruncated_normal" or "uniform".

    >>> VarianceScaling(scale=2.0, mode="fan_out", seed=1)((3, 3, 32, 64)).std().round(4)
    np.float32(0.0591)
    """

    scale: float = 1.0
    mode: str = "fan_in"
    distribution: str = "truncated_normal"
    seed: int | None = None
    graph_seed: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.scale > 0:
            raise ValueError(f"scale must be positive; got {self.scale!r}")
        if self.mode not in _MODES:
            raise ValueError(f"mode must be one of {', '.join(_MODES)}; got {self.mode!r}")
        if self.distribution not in (*_DISTRIBUTIONS, "normal"):
            names = ", ".join(_DISTRIBUTIONS)
            raise ValueError(f"distribution must be one of {names}; got {self.distribution!r}")

    def _draw(self, stream: _philox.Stream, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        fan_in, fan_out = fans(shape)
        count = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        variance = self.scale / max(1.0, count)
        if self.distribution == "uniform":
            limit = math.sqrt(3.0 * variance)
            return _uniform(stream, *self._limits(-limit, limit), shape, dtype)
        if self.distribution == "untruncated_normal":
            return _normal(stream, 0.0, math.sqrt(variance), shape, dtype)
        return _truncated(stream, 0.0, math.sqrt(variance) / _TRUNCATED_STDDEV, shape, dtype)


def _fixed(value: Any) -> Any:
    return field(default=value, init=False, repr=False)


@dataclass(frozen=True)
class GlorotUniform(VarianceScaling):
    """Uniform values of variance 1 / fan_avg (Glorot and Bengio, AISTATS 2010); also XavierUniform.

    >>> GlorotUniform(graph_seed=42)((3, 3, 32, 32))[0, 0, 0, :3]
    array([ 0.06847531,  0.08497633, -0.00109216], dtype=float32)
    """

    scale: float = _fixed(1.0)
    mode: str = _fixed("fan_avg")
    distribution: str = _fixed("uniform")


@dataclass(frozen=True)
class GlorotNormal(VarianceScaling):
    """Truncated normal values of variance 1 / fan_avg (Glorot and Bengio, 2010); also XavierNormal."""

    scale: float = _fixed(1.0)
    mode: str = _fixed("fan_avg")
    distribution: str = _fixed("truncated_normal")


@dataclass(frozen=True)
class HeUniform(VarianceScaling):
    """Uniform values of variance 2 / fan_in (He, Zhang, Ren, Sun, ICCV 2015)."""

    scale: float = _fixed(2.0)
    mode: str = _fixed("fan_in")
    distribution: str = _fixed("uniform")


@dataclass(frozen=True)
class HeNormal(VarianceScaling):
    """Truncated normal values of variance 2 / fan_in (He, Zhang, Ren, Sun, ICCV 2015)."""

    scale: float = _fixed(2.0)
    mode: str = _fixed("fan_in")
    distribution: str = _fixed("truncated_normal")


@dataclass(frozen=True)
class LecunUniform(VarianceScaling):
    """Uniform values of variance 1 / fan_in (LeCun and others, "Efficient BackProp", 1998)."""

    scale: float = _fixed(1.0)
    mode: str = _fixed("fan_in")
    distribution: str = _fixed("uniform")


@dataclass(frozen=True)
class LecunNormal(VarianceScaling):
    """Truncated normal values of variance 1 / fan_in (LeCun and others, "Efficient BackProp", 1998)."""

    scale: float = _fixed(1.0)
    mode: str = _fixed("fan_in")
    distribution: str = _fixed("truncated_normal")


@dataclass(frozen=True)
class Orthogonal(RandomInitializer):
    """`gain` times a matrix with orthonormal columns, or rows if it is wide; the leading axes count as rows.

    Q of the QR decomposition of a normal matrix, with the signs that make R's diagonal positive (Saxe,
    McClelland, Ganguli, ICLR 2014). LAPACK decides the last bits: float32 values are within 2e-5 of
    TensorFlow's.

    >>> q = Orthogonal(seed=1)((2, 2, 3), dtype=np.float64).reshape(4, 3)
    >>> bool(np.allclose(q.T @ q, np.eye(3)))
    True
    """

    gain: float = 1.0
    seed: int | None = None
    graph_seed: int | None = None

    def _draw(self, stream: _philox.Stream, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        if len(shape) < 2:
            raise ValueError(f"shape must have at least 2 dimensions for Orthogonal; got {shape}")
        rows, columns = math.prod(shape[:-1]), shape[-1]
        tall = (max(rows, columns), min(rows, columns))
        q, r = np.linalg.qr(_philox.normal(stream, math.prod(tall), dtype).reshape(tall))
        q = q * np.sign(np.diagonal(r))
        if rows < columns:
            q = q.T
        return np.ascontiguousarray(dtype.type(self.gain) * q.reshape(shape))


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """fan_in and fan_out of a kernel of this shape, as Keras counts them.

    >>> fans((3, 3, 32, 64)), fans((5,)), fans(())
    ((288, 576), (5, 5), (1, 1))
    """
    if len(shape) < 2:
        return (shape[0], shape[0]) if shape else (1, 1)
    receptive = math.prod(shape[:-2])
    return receptive * shape[-2], receptive * shape[-1]


def _uniform(
    stream: _philox.Stream, low: float, high: float, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> Array:
    values = _philox.uniform(stream, math.prod(shape), dtype).reshape(shape)
    values *= dtype.type(high) - dtype.type(low)
    values += dtype.type(low)
    return values


def _normal(
    stream: _philox.Stream, mean: float, stddev: float, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> Array:
    return _shifted(_philox.normal(stream, math.prod(shape), dtype), mean, stddev, shape)


def _truncated(
    stream: _philox.Stream, mean: float, stddev: float, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> Array:
    return _shifted(_philox.truncated_normal(stream, math.prod(shape), dtype), mean, stddev, shape)


def _shifted(values: Array, mean: float, stddev: float, shape: tuple[int, ...]) -> Array:
    values *= values.dtype.type(stddev)
    values += values.dtype.type(mean)
    return values.reshape(shape)


def _as_seed(value: int | None, name: str) -> int | None:
    if value is None:
        return None
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer or None; got {value!r}") from None


def _as_shape(value: Shape) -> tuple[int, ...]:
    if not isinstance(value, Sequence | np.ndarray) or isinstance(value, str):
        return (as_int(value, "shape"),)
    return tuple(as_int(size, f"shape[{axis}]") for axis, size in enumerate(value))


def _as_dtype(value: npt.DTypeLike) -> np.dtype[Any]:
    dtype = np.dtype(value)
    if dtype not in (FLOAT32, FLOAT64):
        raise TypeError(f"dtype must be float32 or float64; got {dtype}: convert the result with .astype")
    return dtype
