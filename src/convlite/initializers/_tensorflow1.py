"""TensorFlow 1's initializers: tf.compat.v1.keras.initializers of TensorFlow 2.21, with Keras's defaults.

TensorFlow takes them from tf_keras if TF_USE_LEGACY_KERAS=1; otherwise it shows Keras 3's under this name.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _philox
from .._options import documented_module
from ..arguments import as_real, is_one_of, shown
from ._operations import (
    Array,
    Graph,
    Shape,
    as_seed,
    as_target,
    draw_normal,
    draw_truncated,
    draw_uniform,
)


class Initializer(ABC):
    """Something that makes the first values of a weight: `initializer(shape, dtype=np.float32)`.

    The base class of the initializers.

    Examples
    --------
    >>> isinstance(Zeros(), Initializer)
    True
    """

    def __post_init__(self) -> None:
        for name in ("value", "gain", "minval", "maxval", "mean", "stddev", "scale"):
            if hasattr(self, name):
                as_real(getattr(self, name), name)

    def __call__(self, shape: Shape, dtype: npt.DTypeLike = np.float32) -> Array:
        """An array of this shape, float32 or float64."""
        return self._make(*as_target(shape, dtype))

    @abstractmethod
    def _make(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array: ...


@dataclass(frozen=True)
class Zeros(Initializer):
    """All 0.

    Examples
    --------
    >>> Zeros()((2,))
    array([0., 0.], dtype=float32)
    """

    def _make(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        return np.zeros(shape, dtype)


@dataclass(frozen=True)
class Ones(Initializer):
    """All 1.

    Examples
    --------
    >>> Ones()((2,))
    array([1., 1.], dtype=float32)
    """

    def _make(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        return np.ones(shape, dtype)


@dataclass(frozen=True)
class Constant(Initializer):
    """All one value.

    Parameters
    ----------
    value : float, default 0.0
        The value.

    Examples
    --------
    >>> Constant(2.0)((2,))
    array([2., 2.], dtype=float32)
    """

    value: float = 0.0

    def _make(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        with np.errstate(all="ignore"):
            return np.full(shape, self.value, dtype)


@dataclass(frozen=True)
class Identity(Initializer):
    """`gain` on the diagonal of a matrix, 0 elsewhere; other ranks raise ValueError.

    Parameters
    ----------
    gain : float, default 1.0
        The value on the diagonal.

    Examples
    --------
    >>> Identity(2.0)((1, 2))
    array([[2., 0.]], dtype=float32)
    """

    gain: float = 1.0

    def _make(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        if len(shape) != 2:
            raise ValueError(f"shape must have 2 dimensions for Identity; got {shape}")
        with np.errstate(all="ignore"):
            identity: Array = np.eye(*shape, dtype=dtype) * dtype.type(self.gain)
        return identity


class RandomInitializer(Initializer):
    """An initializer that draws from the stream its seeds name: with a seed, every call gives the same."""

    seed: int | None
    graph_seed: int | None

    def __post_init__(self) -> None:
        super().__post_init__()
        as_seed(self.seed, "seed")
        as_seed(self.graph_seed, "graph_seed")

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
    """Uniform values in [minval, maxval).

    minval, maxval, seed, graph_seed -> : shared, seeds

    Examples
    --------
    >>> RandomUniform(seed=1)((2, 3)).shape
    (2, 3)
    """

    minval: float = -0.05
    maxval: float = 0.05
    seed: int | None = None
    graph_seed: int | None = None

    def _draw(self, stream: _philox.Stream, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        return draw_uniform(stream, *self._limits(self.minval, self.maxval), shape, dtype)


@dataclass(frozen=True)
class RandomNormal(RandomInitializer):
    """Normal values.

    mean, stddev, seed, graph_seed -> : shared, seeds

    Examples
    --------
    >>> RandomNormal(stddev=1.0, seed=0)((1, 1, 1, 2))
    array([[[[-0.3991576,  2.1044393]]]], dtype=float32)
    """

    mean: float = 0.0
    stddev: float = 0.05
    seed: int | None = None
    graph_seed: int | None = None

    def _draw(self, stream: _philox.Stream, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        return draw_normal(stream, self.mean, self.stddev, shape, dtype)


@dataclass(frozen=True)
class TruncatedNormal(RandomInitializer):
    """Normal values less than two standard deviations from the mean.

    mean, stddev, seed, graph_seed -> : shared, seeds

    Examples
    --------
    >>> TruncatedNormal(seed=1)((2, 3)).shape
    (2, 3)
    """

    mean: float = 0.0
    stddev: float = 0.05
    seed: int | None = None
    graph_seed: int | None = None

    def _draw(self, stream: _philox.Stream, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        return draw_truncated(stream, self.mean, self.stddev, shape, dtype)


_MODES = ("fan_in", "fan_out", "fan_avg")
_DISTRIBUTIONS = ("truncated_normal", "untruncated_normal", "uniform")
_TRUNCATED_STDDEV = 0.87962566103423978  # of a standard normal variable truncated at 2


@dataclass(frozen=True)
class VarianceScaling(RandomInitializer):
    """Values of variance scale / n, where n is fan_in, fan_out or their mean, fan_avg, and at least 1.

    The fans of a kernel are shape[-2] and shape[-1], each times the sizes of the axes before them; both
    fans of a vector are its size.

    scale, mode, distribution, seed, graph_seed -> : shared, seeds

    Examples
    --------
    >>> kernel = VarianceScaling(scale=2.0, mode="fan_out", seed=1)((3, 3, 32, 64))
    >>> round(float(kernel.std()), 3), round(math.sqrt(2 / (3 * 3 * 64)), 3)
    (0.059, 0.059)
    """

    scale: float = 1.0
    mode: str = "fan_in"
    distribution: str = "truncated_normal"
    seed: int | None = None
    graph_seed: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.scale > 0:
            raise ValueError(f"scale must be positive; got {shown(self.scale)}")
        if not is_one_of(self.mode, _MODES):
            raise ValueError(f"mode must be one of {', '.join(_MODES)}; got {shown(self.mode)}")
        if not is_one_of(self.distribution, (*_DISTRIBUTIONS, "normal")):
            names = ", ".join(_DISTRIBUTIONS)
            raise ValueError(f"distribution must be one of {names}; got {shown(self.distribution)}")

    def _draw(self, stream: _philox.Stream, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        fan_in, fan_out = fans(shape)
        count = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        variance = self.scale / max(1.0, count)
        if self.distribution == "uniform":
            limit = math.sqrt(3.0 * variance)
            return draw_uniform(stream, *self._limits(-limit, limit), shape, dtype)
        if self.distribution == "untruncated_normal":
            return draw_normal(stream, 0.0, math.sqrt(variance), shape, dtype)
        return draw_truncated(stream, 0.0, math.sqrt(variance) / _TRUNCATED_STDDEV, shape, dtype)


def _fixed(value: Any) -> Any:
    return field(default=value, init=False, repr=False)


@dataclass(frozen=True)
class GlorotUniform(VarianceScaling):
    """Uniform values of variance 1 / fan_avg (Glorot and Bengio, AISTATS 2010); also XavierUniform.

    seed, graph_seed -> : shared, seeds

    Examples
    --------
    >>> GlorotUniform(graph_seed=42)((3, 3, 32, 32))[0, 0, 0, :3]
    array([ 0.06847531,  0.08497633, -0.00109216], dtype=float32)
    """

    scale: float = _fixed(1.0)
    mode: str = _fixed("fan_avg")
    distribution: str = _fixed("uniform")


@dataclass(frozen=True)
class GlorotNormal(VarianceScaling):
    """Truncated normal values of variance 1 / fan_avg (Glorot and Bengio, 2010); also XavierNormal.

    seed, graph_seed -> : shared, seeds

    Examples
    --------
    >>> GlorotNormal(seed=1)((2, 3)).shape
    (2, 3)
    """

    scale: float = _fixed(1.0)
    mode: str = _fixed("fan_avg")
    distribution: str = _fixed("truncated_normal")


@dataclass(frozen=True)
class HeUniform(VarianceScaling):
    """Uniform values of variance 2 / fan_in (He, Zhang, Ren, Sun, ICCV 2015).

    seed, graph_seed -> : shared, seeds

    Examples
    --------
    >>> HeUniform(seed=1)((2, 3)).shape
    (2, 3)
    """

    scale: float = _fixed(2.0)
    mode: str = _fixed("fan_in")
    distribution: str = _fixed("uniform")


@dataclass(frozen=True)
class HeNormal(VarianceScaling):
    """Truncated normal values of variance 2 / fan_in (He, Zhang, Ren, Sun, ICCV 2015).

    seed, graph_seed -> : shared, seeds

    Examples
    --------
    >>> HeNormal(seed=1)((2, 3)).shape
    (2, 3)
    """

    scale: float = _fixed(2.0)
    mode: str = _fixed("fan_in")
    distribution: str = _fixed("truncated_normal")


@dataclass(frozen=True)
class LecunUniform(VarianceScaling):
    """Uniform values of variance 1 / fan_in (LeCun and others, "Efficient BackProp", 1998).

    seed, graph_seed -> : shared, seeds

    Examples
    --------
    >>> LecunUniform(seed=1)((2, 3)).shape
    (2, 3)
    """

    scale: float = _fixed(1.0)
    mode: str = _fixed("fan_in")
    distribution: str = _fixed("uniform")


@dataclass(frozen=True)
class LecunNormal(VarianceScaling):
    """Truncated normal values of variance 1 / fan_in (LeCun and others, "Efficient BackProp", 1998).

    seed, graph_seed -> : shared, seeds

    Examples
    --------
    >>> LecunNormal(seed=1)((2, 3)).shape
    (2, 3)
    """

    scale: float = _fixed(1.0)
    mode: str = _fixed("fan_in")
    distribution: str = _fixed("truncated_normal")


@dataclass(frozen=True)
class Orthogonal(RandomInitializer):
    """`gain` times a matrix with orthonormal columns, or rows if it is wide; the leading axes count as rows.

    Q of the QR decomposition of a normal matrix, with the signs that make R's diagonal positive (Saxe,
    McClelland, Ganguli, ICLR 2014). LAPACK decides the last bits: float32 values are within 2e-5 of
    TensorFlow's.

    gain, seed, graph_seed -> : shared, seeds

    Examples
    --------
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
        with np.errstate(all="ignore"):
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


documented_module(globals())
