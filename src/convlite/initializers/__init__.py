"""The first values of weights: TensorFlow's initializers, with the numbers that its seeds give.

An initializer is called with a shape and a dtype: `HeNormal(seed=1)((3, 3, 16, 32), dtype=np.float32)`.
Frameworks do not agree on what a seed means, so each contract has its own names:

- The classes here follow tf.compat.v1.keras.initializers, and `random_uniform`, `random_normal` and
  `truncated_normal` follow the operations of tf.compat.v1, both in TensorFlow 2.21. They take `seed=` (the
  operation's) and `graph_seed=` (tf.set_random_seed's), or the latter from a scope, `with Graph(seed=42):`.
  The operations' defaults are TensorFlow's (stddev 1, range 0 to 1), the classes' are Keras's (stddev 0.05,
  range -0.05 to 0.05).
- `keras3` has the same classes with the numbers of keras.initializers in Keras 3.

float32 values equal TensorFlow's bit for bit, on every platform, and so do float64 uniform ones. float64
normal values come from the machine's C library, as in TensorFlow: they are equal on one machine, and equal
but for the last ulp of log, sin and cos on two. Orthogonal depends on LAPACK.

A custom initializer is any function of (shape, dtype):

>>> import numpy as np
>>> def custom_init(shape, dtype=np.float32, partition_info=None, seed=0):
...     return random_normal(shape, dtype=dtype, seed=seed)
>>> get(custom_init)((1, 2))
array([[-0.3991576,  2.1044393]], dtype=float32)
"""

from __future__ import annotations

from collections.abc import Callable

from .._options import suggesting
from ..arguments import shown
from . import keras3
from ._operations import Array, Graph, random_normal, random_uniform, truncated_normal
from ._tensorflow1 import (
    Constant,
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    Identity,
    Initializer,
    LecunNormal,
    LecunUniform,
    Ones,
    Orthogonal,
    RandomNormal,
    RandomUniform,
    TruncatedNormal,
    VarianceScaling,
    Zeros,
)

__all__ = [
    "random_uniform", "random_normal", "truncated_normal", "Graph",
    "Initializer",
    "Zeros", "Ones", "Constant", "Identity",
    "RandomUniform", "RandomNormal", "TruncatedNormal",
    "VarianceScaling", "GlorotUniform", "GlorotNormal", "XavierUniform", "XavierNormal",
    "HeUniform", "HeNormal", "LecunUniform", "LecunNormal",
    "Orthogonal",
    "get",
    "keras3",
]  # fmt: skip

XavierUniform = GlorotUniform
XavierNormal = GlorotNormal

_BY_NAME: dict[str, type[Initializer]] = {
    "zeros": Zeros,
    "ones": Ones,
    "constant": Constant,
    "identity": Identity,
    "random_uniform": RandomUniform,
    "random_normal": RandomNormal,
    "truncated_normal": TruncatedNormal,
    "variance_scaling": VarianceScaling,
    "glorot_uniform": GlorotUniform,
    "glorot_normal": GlorotNormal,
    "xavier_uniform": XavierUniform,
    "xavier_normal": XavierNormal,
    "he_uniform": HeUniform,
    "he_normal": HeNormal,
    "lecun_uniform": LecunUniform,
    "lecun_normal": LecunNormal,
    "orthogonal": Orthogonal,
}
_OWN = {kind for made in _BY_NAME.values() for kind in (made, getattr(keras3, made.__name__))}
_BY_PLAIN_NAME = {name.replace("_", ""): kind for name, kind in _BY_NAME.items()}


def makes_anew(initializer: object) -> bool:
    """Whether each call makes an array that nobody else holds: a custom initializer need not."""
    return type(initializer) in _OWN


def spend_seed() -> None:
    """Take the seed of a layer that draws when Keras 3 trains it, so that later layers have theirs."""
    if keras3.is_chosen():
        keras3.draw_seed()


@suggesting
def get(initializer: str | type[Initializer] | Callable[..., Array]) -> Callable[..., Array]:
    """Return the initializer that a name, a class or any callable stands for.

    Names and classes give an initializer with default parameters and no seed, which `Graph` can still
    supply. After `keras3.set_random_seed`, and outside of a Graph, names mean the classes of `keras3`.

    Parameters
    ----------
    initializer : str, type or callable
        A name such as "glorot_uniform" or "GlorotUniform", a class, or a function of (shape, dtype=...).

    Returns
    -------
    callable
        The initializer.

    Raises
    ------
    ValueError
        For an unknown name.
    TypeError
        For what is no initializer.

    Examples
    --------
    >>> get("he_normal")
    HeNormal(seed=None, graph_seed=None)
    """
    if isinstance(initializer, str):
        kind = _BY_PLAIN_NAME.get(initializer.replace("_", "").lower())
        if kind is None:
            raise ValueError(f"initializer must be one of {', '.join(_BY_NAME)}; got {shown(initializer)}")
        if keras3.is_chosen() and not Graph.is_open():
            kind = getattr(keras3, kind.__name__)
        return kind()
    try:
        made: object = initializer() if isinstance(initializer, type) else initializer
    except TypeError as error:
        raise TypeError(
            f"initializer {shown(initializer)} cannot be made without arguments: {error}"
        ) from None
    if not callable(made):
        raise TypeError(
            f"initializer must be a name, an Initializer or a function of (shape, dtype); "
            f"got {shown(initializer)}. For fixed weights give the layer the array itself "
            "(from_weights or set_weights)"
        )
    return made
