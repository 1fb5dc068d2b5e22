"""Keras 3's initializers, with the numbers of its stateless streams.

The same classes as in `convlite.initializers`, but seed s names the stream of tf.random.stateless_* with
the seed pair (s mod 2**31 - 2, 0), as in keras.initializers of Keras 3.15 on the TensorFlow backend. tf_keras
2.21 gives the same float32 values. There is no graph seed. As in Keras, an initializer made without a seed
draws one, `random.randint(1, 10**9)` of Python's module `random`, when it is made, and repeats its values:
`set_random_seed` makes a whole model's weights those of keras.utils.set_random_seed.

>>> RandomNormal(stddev=1.0, seed=0)(2)
array([-1.697034 , -0.4813767], dtype=float32)
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import numpy as np

from .. import _philox
from .._options import documented_module
from ..arguments import shown
from . import _tensorflow1 as tf1
from ._operations import as_seed
from ._tensorflow1 import Constant, Identity, Initializer, Ones, Zeros

__all__ = [
    "Initializer",
    "Zeros", "Ones", "Constant", "Identity",
    "RandomUniform", "RandomNormal", "TruncatedNormal",
    "VarianceScaling", "GlorotUniform", "GlorotNormal", "XavierUniform", "XavierNormal",
    "HeUniform", "HeNormal", "LecunUniform", "LecunNormal",
    "Orthogonal",
    "set_random_seed",
]  # fmt: skip

_chosen = False  # whether set_random_seed made Keras 3's streams those of the names in layers


def set_random_seed(seed: int) -> None:
    """Seed Python's and NumPy's global generators, as keras.utils.set_random_seed does.

    From now on the names of initializers in layers, "glorot_uniform" by default, mean the classes of this
    module. Layers made after it, in the order in which Keras makes them, have the weights of Keras 3 on
    TensorFlow: each random initializer without a seed takes one number of `random` when its layer is made,
    and so does a Dropout with a rate above 0. Within `with Graph(seed)` names mean TensorFlow 1's classes
    nevertheless. Source: keras/src/utils/rng_utils.py and random/seed_generator.py of Keras 3.15.

    Parameters
    ----------
    seed : int
        The seed, from 0 to 2**32 - 1.

    Raises
    ------
    TypeError
        For what is no integer.
    ValueError
        For a seed outside of the range.

    Examples
    --------
    >>> from convlite.layers import Dense
    >>> set_random_seed(42)
    >>> layer = Dense(4)
    >>> layer.build((None, 3))
    >>> layer.kernel[0, :3]
    array([ 0.66323733,  0.30112958, -0.26161683], dtype=float32)
    >>> forget_random_seed()
    """
    global _chosen
    number = as_seed(seed, "seed")
    if number is None:
        raise TypeError("seed must be an integer; got None")
    if not 0 <= number < 2**32:
        raise ValueError(f"seed must lie between 0 and 2**32 - 1, as NumPy wants it; got {shown(number)}")
    random.seed(number)
    np.random.seed(number)  # noqa: NPY002 - the global generator is what Keras seeds
    _chosen = True


def forget_random_seed() -> None:
    """Undo what set_random_seed did to names; the generators go on where they are."""
    global _chosen
    _chosen = False


def is_chosen() -> bool:
    """Whether names mean this module's classes."""
    return _chosen


def draw_seed() -> int:
    """The seed of something that was given none (make_default_seed of Keras 3)."""
    return random.randint(1, 10**9)  # nosec B311


@dataclass(frozen=True)
class _Stateless:
    """What Keras 3 does otherwise than TensorFlow 1; stands before the TensorFlow 1 class among the bases."""

    seed: int | None = None
    graph_seed: int | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()  # type: ignore[misc]  # the TensorFlow 1 class checks its arguments
        if self.seed is None:
            object.__setattr__(self, "seed", draw_seed())

    def _stream(self) -> _philox.Stream:
        assert self.seed is not None
        return _philox.Stream.stateless(self.seed % (2**31 - 2))

    def _limits(self, low: float, high: float) -> tuple[float, float]:
        # Keras converts Python floats to float32 before it casts them to the dtype asked for.
        with np.errstate(all="ignore"):
            return float(np.float32(low)), float(np.float32(high))


@dataclass(frozen=True)
class RandomUniform(_Stateless, tf1.RandomUniform):
    """Uniform values in [minval, maxval).

    minval, maxval, seed -> : shared, seeds

    Examples
    --------
    >>> RandomUniform(seed=1)((2, 3)).shape
    (2, 3)
    """


@dataclass(frozen=True)
class RandomNormal(_Stateless, tf1.RandomNormal):
    """Normal values.

    mean, stddev, seed -> : shared, seeds

    Examples
    --------
    >>> RandomNormal(seed=1)((2, 3)).shape
    (2, 3)
    """


@dataclass(frozen=True)
class TruncatedNormal(_Stateless, tf1.TruncatedNormal):
    """Normal values less than two standard deviations from the mean.

    mean, stddev, seed -> : shared, seeds

    Examples
    --------
    >>> TruncatedNormal(seed=1)((2, 3)).shape
    (2, 3)
    """


@dataclass(frozen=True)
class VarianceScaling(_Stateless, tf1.VarianceScaling):
    """Values of variance scale / n, where n is fan_in, fan_out or their mean, fan_avg, and at least 1.

    The fans of a kernel are shape[-2] and shape[-1], each times the sizes of the axes before them; both
    fans of a vector are its size.

    scale, mode, distribution, seed -> : shared, seeds

    Examples
    --------
    >>> VarianceScaling(seed=1)((2, 3)).shape
    (2, 3)
    """


@dataclass(frozen=True)
class GlorotUniform(_Stateless, tf1.GlorotUniform):
    """Uniform values of variance 1 / fan_avg; XavierUniform is the same class.

    seed -> : shared, seeds

    Examples
    --------
    >>> GlorotUniform(seed=1)((2, 3)).shape
    (2, 3)
    """


@dataclass(frozen=True)
class GlorotNormal(_Stateless, tf1.GlorotNormal):
    """Truncated normal values of variance 1 / fan_avg; XavierNormal is the same class.

    seed -> : shared, seeds

    Examples
    --------
    >>> GlorotNormal(seed=1)((2, 3)).shape
    (2, 3)
    """


@dataclass(frozen=True)
class HeUniform(_Stateless, tf1.HeUniform):
    """Uniform values of variance 2 / fan_in.

    seed -> : shared, seeds

    Examples
    --------
    >>> HeUniform(seed=1)((2, 3)).shape
    (2, 3)
    """


@dataclass(frozen=True)
class HeNormal(_Stateless, tf1.HeNormal):
    """Truncated normal values of variance 2 / fan_in.

    seed -> : shared, seeds

    Examples
    --------
    >>> HeNormal(seed=1)((2, 3)).shape
    (2, 3)
    """


@dataclass(frozen=True)
class LecunUniform(_Stateless, tf1.LecunUniform):
    """Uniform values of variance 1 / fan_in.

    seed -> : shared, seeds

    Examples
    --------
    >>> LecunUniform(seed=1)((2, 3)).shape
    (2, 3)
    """


@dataclass(frozen=True)
class LecunNormal(_Stateless, tf1.LecunNormal):
    """Truncated normal values of variance 1 / fan_in.

    seed -> : shared, seeds

    Examples
    --------
    >>> LecunNormal(seed=1)((2, 3)).shape
    (2, 3)
    """


@dataclass(frozen=True)
class Orthogonal(_Stateless, tf1.Orthogonal):
    """`gain` times a matrix with orthonormal columns, or rows if it is wide.

    gain, seed -> : shared, seeds

    Examples
    --------
    >>> Orthogonal(seed=1)((2, 3)).shape
    (2, 3)
    """


XavierUniform = GlorotUniform
XavierNormal = GlorotNormal


documented_module(globals())
