"""TensorFlow 1's random operations and graph seeds, as TensorFlow 2.21 still has them in tf.compat.v1."""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Sequence
from contextvars import ContextVar
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _philox
from .._options import documented_module
from ..arguments import FLOAT32, FLOAT64, as_int, as_real, new_output, shown

Shape = int | Sequence[int]
Array = npt.NDArray[Any]
MAX_AXES = 32  # NumPy 1's limit


class Graph:
    """The random state of one TensorFlow 1 graph: its seed, and how many operations without a seed it has.

    `with Graph(seed):` stands for `with tf.Graph().as_default(): tf.set_random_seed(seed)`. Inside, calls
    without `graph_seed` take this seed, and those without `seed` as well take 0, 1, 2 ... in the order of
    the calls, which is TensorFlow 2.21's rule. (TensorFlow 1 numbered them by the size of the graph.) The
    scope holds for the current thread or task.

    Parameters
    ----------
    seed : int or None, default None
        The seed of the graph; None undoes an outer scope.

    Raises
    ------
    TypeError
        For what is no integer.

    Examples
    --------
    >>> with Graph(seed=42):
    ...     first, second = random_normal(2), random_normal(2)
    >>> bool((first == random_normal(2, graph_seed=42, seed=0)).all())
    True
    >>> bool((second == random_normal(2, graph_seed=42, seed=1)).all())
    True
    """

    _open: ContextVar[tuple[Graph, ...]] = ContextVar("convlite_graphs", default=())

    def __init__(self, seed: int | None = None) -> None:
        self.seed = as_seed(seed, "seed")
        self._unseeded = itertools.count()

    def __enter__(self) -> Graph:
        Graph._open.set((*Graph._open.get(), self))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        Graph._open.set(Graph._open.get()[:-1])

    @staticmethod
    def is_open() -> bool:
        """Tell whether a scope with a seed holds here.

        Returns
        -------
        bool
            Whether it does.

        Examples
        --------
        >>> with Graph(seed=1):
        ...     Graph.is_open()
        True
        """
        graphs = Graph._open.get()
        return bool(graphs) and graphs[-1].seed is not None

    @staticmethod
    def stream(seed: int | None, graph_seed: int | None) -> _philox.Stream:
        """Return the stream of an operation with these seeds in the innermost graph.

        Source: get_seed in tensorflow/python/framework/random_seed.py.

        Parameters
        ----------
        seed : int or None
            The seed of the operation.
        graph_seed : int or None
            The seed of the graph; None: that of the scope.

        Returns
        -------
        Stream
            The random numbers.

        Raises
        ------
        TypeError
            For what is no integer.

        Examples
        --------
        >>> type(Graph.stream(1, 2)).__name__
        'Stream'
        """
        seed, graph_seed = as_seed(seed, "seed"), as_seed(graph_seed, "graph_seed")
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

    shape, minval, maxval, seed, dtype, graph_seed -> ndarray : The values. : shared, draw

    Examples
    --------
    >>> random_uniform((2, 2), seed=0)
    array([[0.10086262, 0.9701668 ],
           [0.8487642 , 0.04828131]], dtype=float32)
    """
    low, high = as_real(minval, "minval"), as_real(maxval, "maxval")
    return draw_uniform(Graph.stream(seed, graph_seed), low, high, *as_target(shape, dtype))


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

    shape, mean, stddev, seed, dtype, graph_seed -> ndarray : The values. : shared, draw

    Examples
    --------
    >>> random_normal((1, 1, 1, 2), seed=0)
    array([[[[-0.3991576,  2.1044393]]]], dtype=float32)
    """
    centre, spread = as_real(mean, "mean"), as_real(stddev, "stddev")
    return draw_normal(Graph.stream(seed, graph_seed), centre, spread, *as_target(shape, dtype))


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

    shape, mean, stddev, seed, dtype, graph_seed -> ndarray : The values. : shared, draw

    Examples
    --------
    >>> truncated_normal(3, seed=0)
    array([-0.3991576 ,  0.17107224,  0.54651815], dtype=float32)
    """
    centre, spread = as_real(mean, "mean"), as_real(stddev, "stddev")
    return draw_truncated(Graph.stream(seed, graph_seed), centre, spread, *as_target(shape, dtype))


@np.errstate(all="ignore")  # infinite limits give what NumPy's arithmetic gives
def draw_uniform(
    stream: _philox.Stream, low: float, high: float, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> Array:
    values = _philox.uniform(stream, math.prod(shape), dtype).reshape(shape)
    values *= dtype.type(high) - dtype.type(low)
    values += dtype.type(low)
    return values


def draw_normal(
    stream: _philox.Stream, mean: float, stddev: float, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> Array:
    return _shifted(_philox.normal(stream, math.prod(shape), dtype), mean, stddev, shape)


def draw_truncated(
    stream: _philox.Stream, mean: float, stddev: float, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> Array:
    return _shifted(_philox.truncated_normal(stream, math.prod(shape), dtype), mean, stddev, shape)


@np.errstate(all="ignore")
def _shifted(values: Array, mean: float, stddev: float, shape: tuple[int, ...]) -> Array:
    values *= values.dtype.type(stddev)
    values += values.dtype.type(mean)
    return values.reshape(shape)


def as_seed(value: int | None, name: str) -> int | None:
    if value is None:
        return None
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer or None; got {shown(value)}") from None


def as_shape(value: Shape) -> tuple[int, ...]:
    if not isinstance(value, Sequence | np.ndarray) or isinstance(value, (str, bytes)):
        return (as_int(value, "shape"),)
    if len(value) > MAX_AXES:
        raise ValueError(f"shape must have at most {MAX_AXES} axes; got {len(value)}")
    return tuple(as_int(size, f"shape[{axis}]") for axis, size in enumerate(value))


def as_dtype(value: npt.DTypeLike) -> np.dtype[Any]:
    try:
        dtype: np.dtype[Any] = np.dtype(value)
    except Exception:  # of a repr, among others
        dtype = np.dtype(object)
    if value is None or dtype not in (FLOAT32, FLOAT64):  # NumPy takes None as float64
        got = shown(value) if dtype.kind == "O" else dtype
        raise TypeError(f"dtype must be float32 or float64; got {got}: convert the result with .astype")
    return dtype


def as_target(shape: Shape, dtype: npt.DTypeLike) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Both, checked; MemoryError at once where no such array can be."""
    sizes, kind = as_shape(shape), as_dtype(dtype)
    new_output(sizes, kind)
    return sizes, kind


documented_module(globals())
