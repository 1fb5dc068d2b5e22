"""One table of activations: name -> (kernel code, parameters, NumPy formula).

A kernel code names a case of kernels/isa/epilogue.h, fused into the kernels; an activation without one
("softmax", any callable) is applied to the finished output. Defaults behind a name agree with Keras 3 and
tf.nn (TensorFlow 2):

    relu, relu6            max(x, 0), min(max(x, 0), 6)
    leaky_relu             slope 0.2 below zero (PyTorch: 0.01)
    elu                    alpha 1
    sigmoid, tanh, silu    as everywhere; "swish" is silu
    gelu                   with erf (PyTorch's default, Keras's approximate=False); "gelu_tanh" approximates
    hard_sigmoid           relu6(x + 3)/6 (Keras 3, PyTorch; Keras 2 and ONNX: clip(0.2*x + 0.5, 0, 1))
    hard_swish             x*relu6(x + 3)/6
    softplus               log(1 + exp(x))
    softmax                over the last axis

NaN gives NaN everywhere; what -inf gives is the formula's (silu and gelu: -inf * 0, NaN). Those made of exp
are within 7 units in the last place, gelu_tanh within 16 above -3 (tests/test_exponentials.py).
"""

from __future__ import annotations

import abc
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from . import _dispatch, _kernels, _threads
from .arguments import Array, as_operand, as_real, check_out, new_output, shown

__all__ = ["NAMES", "get", "Activation", "ReLU", "LeakyReLU", "ELU", "PReLU"]

# Codes of kernels/isa/table.h (compared by a test).
CODES = {
    "none": 0,
    "clip": 1,
    "leaky": 2,
    "prelu": 3,
    "hard_sigmoid": 4,
    "hard_swish": 5,
    "elu": 6,
    "sigmoid": 7,
    "tanh": 8,
    "silu": 9,
    "gelu": 10,
    "gelu_tanh": 11,
    "softplus": 12,
}


class Fused(NamedTuple):
    """What the kernels need: a code, two numbers, and the slopes of prelu."""

    code: int
    a: float = 0.0
    b: float = 0.0
    alpha: Array | None = None


NONE = Fused(CODES["none"])
_PRELU = _kernels.pass_codes()["prelu"]


class Activation(abc.ABC):
    """An activation with parameters; call it on an array, or give it as `activation=`."""

    @abc.abstractmethod
    def fused(self) -> Fused:
        """The form that kernels apply."""

    def __call__(self, x: Any) -> Array:
        """The activation of an array of any shape, as a new array."""
        return activate(x, self)


def _keep_float(activation: Activation, name: str) -> None:
    """A parameter as a Python float, and not -0.0: calls are known again by equal activations, and a NumPy
    scalar of fewer bits equals floats that it is not."""
    value = as_real(getattr(activation, name), name) + 0.0
    object.__setattr__(activation, name, value)


@dataclass(frozen=True)
class ReLU(Activation):
    """min(max(x, 0), max_value).

    >>> ReLU(6.0)(np.array([-1.0, 3.0, 9.0]))
    array([0., 3., 6.])
    """

    max_value: float | None = None

    def __post_init__(self) -> None:
        if (given := self.max_value) is not None:
            _keep_float(self, "max_value")
            if not given >= 0:
                raise ValueError(f"max_value must be at least 0; got {given}")

    def fused(self) -> Fused:
        """The form that kernels apply."""
        return Fused(CODES["clip"], 0.0, math.inf if self.max_value is None else float(self.max_value))


@dataclass(frozen=True)
class LeakyReLU(Activation):
    """x where x >= 0, alpha*x below; 0.2 as in TensorFlow and Keras 3, PyTorch's default is 0.01.

    >>> LeakyReLU(0.1)(np.array([-1.0, 3.0]))
    array([-0.1,  3. ])
    """

    alpha: float = 0.2

    def __post_init__(self) -> None:
        _keep_float(self, "alpha")

    def fused(self) -> Fused:
        """The form that kernels apply."""
        return Fused(CODES["leaky"], float(self.alpha))


@dataclass(frozen=True)
class ELU(Activation):
    """x where x > 0, alpha*(exp(x) - 1) below.

    >>> ELU()(np.array([-np.inf, 2.0]))
    array([-1.,  2.])
    """

    alpha: float = 1.0

    def __post_init__(self) -> None:
        _keep_float(self, "alpha")

    def fused(self) -> Fused:
        """The form that kernels apply."""
        return Fused(CODES["elu"], float(self.alpha))


class PReLU(Activation):
    """x where x >= 0, alpha[c]*x below: a learnt slope for each channel, or one for all (He et al., 2015,
    arXiv:1502.01852).

    >>> PReLU(np.array([0.5, 0.25]))(np.array([[-4.0, -4.0], [1.0, 2.0]]))
    array([[-2., -1.],
           [ 1.,  2.]])
    """

    def __init__(self, alpha: Any) -> None:
        values = np.array(as_operand(alpha, "alpha"))
        if values.ndim and values.shape[:-1] != (1,) * (values.ndim - 1):
            raise ValueError(
                f"alpha must have one slope per channel, shape (C,) or (1, 1, C); got {values.shape}"
            )
        values.setflags(write=False)
        self.alpha = values.reshape(-1)

    def __setattr__(self, name: str, value: object) -> None:
        if "alpha" in self.__dict__:  # calls are known again by the object
            raise AttributeError(f"a PReLU is immutable: make a new one instead of assigning {name}")
        object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        return f"PReLU(<{self.alpha.size} slopes>)"

    def __reduce__(self) -> tuple[Any, ...]:  # by the constructor, so that copies are read-only as well
        return PReLU, (self.alpha,)

    def fused(self) -> Fused:
        """The form that kernels apply."""
        return Fused(CODES["prelu"], alpha=self.alpha)


class Named(Activation):
    """What `get` makes of a name."""

    def __init__(self, name: str, fused: Fused) -> None:
        self.name, self._fused = name, fused

    def __repr__(self) -> str:
        return f"<activation {self.name!r}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return get, (self.name,)

    def fused(self) -> Fused:
        """The form that kernels apply."""
        return self._fused


def softmax_rows(x: Array) -> Array:
    """Softmax over the last axis of a C-contiguous array."""
    result = new_output(x.shape, x.dtype)
    if x.size:
        columns = x.shape[-1]
        isa, threads = _dispatch.active_isa(), _threads.threads_for(30 * x.size)
        _kernels.softmax(isa, x.itemsize, x, result, x.size // columns, columns, threads)
    return result


def softmax(x: Array) -> Array:
    """exp(x - max) / sum over the last axis; NaN where the row holds one.

    >>> softmax(np.array([[0.0, 0.0]]))
    array([[0.5, 0.5]])
    """
    rows = as_operand(x, "x")
    if rows.ndim == 0:
        raise ValueError("x must have at least 1 dimension for softmax; got a scalar")
    return softmax_rows(rows)


_NAMED: dict[str, Activation] = {
    name: Named(name, fused)
    for name, fused in {
        "linear": NONE,
        "relu": ReLU().fused(),
        "relu6": ReLU(6.0).fused(),
        "leaky_relu": LeakyReLU().fused(),
        "elu": ELU().fused(),
        "sigmoid": Fused(CODES["sigmoid"]),
        "tanh": Fused(CODES["tanh"]),
        "silu": Fused(CODES["silu"]),
        "swish": Fused(CODES["silu"]),
        "gelu": Fused(CODES["gelu"]),
        "gelu_tanh": Fused(CODES["gelu_tanh"]),
        "hard_swish": Fused(CODES["hard_swish"]),
        "hard_sigmoid": Fused(CODES["hard_sigmoid"]),
        "softplus": Fused(CODES["softplus"]),
    }.items()
}

NAMES: tuple[str, ...] = (*_NAMED, "softmax")
Spec = str | Activation | Callable[[Array], Any] | None


def get(spec: Spec) -> Activation | Callable[[Array], Any] | None:
    """The activation that a name, an object or a callable stands for; None stays None.

    >>> get("relu")
    <activation 'relu'>
    """
    if spec is None or isinstance(spec, Activation):
        return spec
    if isinstance(spec, str):
        if spec == "softmax":
            return softmax
        if spec not in _NAMED:
            raise ValueError(
                f"activation {shown(spec)} is unknown; there are {', '.join(NAMES)}, objects such as "
                "LeakyReLU(0.1), and any callable"
            )
        return _NAMED[spec]
    if isinstance(spec, type) or not callable(spec):
        raise TypeError(f"activation must be None, a name, an object or a callable; got {shown(spec)}")
    return spec


def resolve(spec: Spec, channels: int, dtype: np.dtype[Any]) -> tuple[Fused, Callable[[Array], Any] | None]:
    """(what the kernel applies, what is applied to its output afterwards)."""
    if spec is None:
        return NONE, None
    activation = get(spec)
    if not isinstance(activation, Activation):
        return NONE, activation
    fused = activation.fused()
    if fused.alpha is None:
        return fused, None
    alpha = fused.alpha
    if alpha.dtype != dtype:
        raise TypeError(
            f"activation's alpha is {alpha.dtype} but the operands are {dtype}; "
            f"write alpha.astype(np.{dtype})"
        )
    if alpha.size == 1:
        alpha = np.repeat(alpha, channels)
    if alpha.size != channels:
        raise ValueError(f"activation's alpha has {alpha.size} slopes but the output has {channels} channels")
    return fused._replace(alpha=alpha), None


def checked(after: Callable[[Array], Any], y: Array, shape: tuple[int, ...]) -> Array:
    """A callable's result, which must be an array of the output's shape."""
    returned = after(y.reshape(shape))
    try:
        result = np.asarray(returned)
    except ValueError:
        raise ValueError(
            f"activation must return an array of shape {shape}; it returned {type(returned).__name__}"
        ) from None
    if result.shape != shape or result.dtype.kind not in "fiub":
        raise ValueError(
            f"activation must return an array of shape {shape}; "
            f"it returned {result.dtype} of shape {result.shape}"
        )
    return result.astype(y.dtype, copy=False).reshape(y.shape)


def activate(x: ArrayLike, activation: Spec, *, out: Array | None = None) -> Array:
    """activation(x) element by element (softmax: over the last axis), for an array of any shape;
    `out` may be x itself.

    Examples:
        >>> import numpy as np, convlite as cl
        >>> cl.activate(np.array([-1.0, 7.0]), "relu6")
        array([0., 6.])
    """
    array = as_operand(x, "x")
    columns = array.shape[-1] if array.ndim else 1
    fused, after = resolve(activation, columns, array.dtype)
    result = check_out(out, array.shape, array.dtype, () if out is x else (x, array))
    if after is not None:
        result[...] = checked(after, array, array.shape)
        return result
    if fused.alpha is None:  # no channels to keep apart: one long row is cut as one likes
        columns = min(max(array.size, 1), 1024) if array.size % 1024 == 0 else array.size
    rows = array.size // columns if columns else 0
    # in multiply-adds: an exponential takes about 0.5 ns, anything else 0.1
    threads = _threads.threads_for((20 if fused.code >= CODES["elu"] else 5) * array.size)
    code, a, b, alpha = fused
    isa = _dispatch.active_isa()
    if alpha is not None and rows > 1:  # few slopes are repeated there
        pixels = array.reshape(rows, columns), alpha, result.reshape(rows, columns)
        _kernels.elementwise(isa, _PRELU, *pixels, threads=threads)
        return result
    _kernels.activate(isa, array.itemsize, array, result, rows, columns, alpha, code, a, b, threads)
    return result
