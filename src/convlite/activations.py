"""One table of activations: name -> (kernel code, parameters, NumPy formula).

A kernel code names a case of kernels/isa/epilogue.h, fused into the kernels; an activation without one
("softmax", "log_softmax", any callable) is applied to the finished output. Defaults behind
a name agree with Keras 3 and tf.nn (TensorFlow 2):

    relu, relu6            max(x, 0), min(max(x, 0), 6)
    leaky_relu             slope 0.2 below zero (PyTorch: 0.01)
    elu, celu              alpha 1
    selu                   1.0507 * elu with alpha 1.6733 (Klambauer et al., 2017, arXiv:1706.02515)
    sigmoid, tanh, silu    as everywhere
    gelu                   with erf (PyTorch's default, Keras's approximate=False); "gelu_tanh" approximates
    mish                   x*tanh(softplus(x)) (Misra, 2019, arXiv:1908.08681)
    exponential            exp(x)
    hard_sigmoid           relu6(x + 3)/6 (Keras 3, PyTorch; Keras 2 and ONNX: clip(0.2*x + 0.5, 0, 1))
    hard_swish             x*relu6(x + 3)/6
    hard_tanh              min(max(x, -1), 1)
    softplus, log_sigmoid  log(1 + exp(x)), -log(1 + exp(-x))
    softsign               x/(1 + |x|)
    softmax, log_softmax   over the last axis
    tanh_shrink            x - tanh(x)
    soft_shrink            x moved towards 0 by 0.5, 0 between
    hard_shrink            x, 0 from -0.5 to 0.5

The frameworks' other names mean the same: see ALIASES.

NaN gives NaN everywhere; what an infinity gives is the formula's (silu, gelu and mish: -inf * 0, softsign:
inf/inf, NaN). Those made of exp are within 7 units in the last place, gelu_tanh within 16 above -3, mish
within 5 (tests/test_exponentials.py).
"""

from __future__ import annotations

import abc
import math
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from . import _dispatch, _kernels, _threads
from ._options import public
from ._types import ActivationName
from .arguments import Array, as_operand, as_real, cast_of, check_out, new_output, shown

__all__ = [
    "NAMES", "ALIASES", "get", "Activation", "ReLU", "LeakyReLU", "ELU", "CELU", "SoftShrink", "HardShrink",
    "PReLU",
]  # fmt: skip

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
    "log_sigmoid": 13,
    "selu": 14,
    "celu": 15,
    "mish": 16,
    "softsign": 17,
    "exponential": 18,
    "tanh_shrink": 19,
    "soft_shrink": 20,
    "hard_shrink": 21,
}
_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772, 1.0507009873554805


class Fused(NamedTuple):
    """What the kernels need: a code, two numbers, and the slopes of prelu."""

    code: int
    a: float = 0.0
    b: float = 0.0
    alpha: Array | None = None


NONE = Fused(CODES["none"])
_PRELU = _kernels.pass_codes()["prelu"]


class Activation(abc.ABC):
    """An activation with parameters: call it on an array, or give it as `activation=`.

    Examples
    --------
    >>> isinstance(ReLU(6.0), Activation)
    True
    """

    @abc.abstractmethod
    def fused(self) -> Fused:
        """Return the form that kernels apply.

        Returns
        -------
        Fused
            Its code, two numbers, and the slopes of PReLU.

        Examples
        --------
        >>> ReLU(6.0).fused()
        Fused(code=1, a=0.0, b=6.0, alpha=None)
        """

    def __call__(self, x: Any) -> Array:
        """The activation of an array of any shape, as a new array."""
        return activate(x, self)


class _OneNumber(Activation):
    """An activation with one parameter, frozen: those with equal parameters are equal.

    As a frozen dataclass it would be the same, but each takes a millisecond to make at import.
    """

    _name: ClassVar[str]  # of the parameter

    def _keep(self, value: Any) -> float:
        """Set the parameter, as a Python float and not -0.0: calls are known again by equal activations, and
        a NumPy scalar of fewer bits equals floats that it is not."""
        number: float = as_real(value, self._name) + 0.0
        self.__dict__[self._name] = number
        return number

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen: {name} stays")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen: {name} stays")

    def __eq__(self, other: object) -> bool:
        return self.__dict__ == other.__dict__ if type(other) is type(self) else NotImplemented

    def __hash__(self) -> int:
        return hash((type(self), self.__dict__[self._name]))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._name}={self.__dict__[self._name]!r})"


@public
class ReLU(_OneNumber):
    """min(max(x, 0), max_value).

    max_value -> : shared, elementwise

    Examples
    --------
    >>> ReLU(6.0)(np.array([-1.0, 3.0, 9.0]))
    array([0., 3., 6.])
    """

    _name = "max_value"
    max_value: float | None

    def __init__(self, max_value: float | None = None) -> None:
        if max_value is None:
            self.__dict__["max_value"] = None
        elif not self._keep(max_value) >= 0:
            raise ValueError(f"max_value must be at least 0; got {max_value}")

    def fused(self) -> Fused:
        return Fused(CODES["clip"], 0.0, math.inf if self.max_value is None else float(self.max_value))


@public
class LeakyReLU(_OneNumber):
    """x where x >= 0, alpha*x below; 0.2 as in TensorFlow and Keras 3, PyTorch's default is 0.01.

    alpha -> : shared, leaky

    Examples
    --------
    >>> LeakyReLU(0.1)(np.array([-1.0, 3.0]))
    array([-0.1,  3. ])
    """

    _name = "alpha"
    alpha: float

    def __init__(self, alpha: float = 0.2) -> None:
        self._keep(alpha)

    def fused(self) -> Fused:
        return Fused(CODES["leaky"], float(self.alpha))


@public
class ELU(_OneNumber):
    """x where x > 0, alpha*(exp(x) - 1) below.

    alpha -> : shared, elementwise

    Examples
    --------
    >>> ELU()(np.array([-np.inf, 2.0]))
    array([-1.,  2.])
    """

    _name = "alpha"
    alpha: float

    def __init__(self, alpha: float = 1.0) -> None:
        self._keep(alpha)

    def fused(self) -> Fused:
        return Fused(CODES["elu"], float(self.alpha))


@public
class CELU(_OneNumber):
    """x where x > 0, alpha*(exp(x/alpha) - 1) below (Barron, 2017, arXiv:1704.07483); alpha above 0.

    alpha -> : shared, elementwise

    Examples
    --------
    >>> CELU(2.0)(np.array([-np.inf, 2.0]))
    array([-2.,  2.])
    """

    _name = "alpha"
    alpha: float

    def __init__(self, alpha: float = 1.0) -> None:
        if not self._keep(alpha) > 0:
            raise ValueError(f"alpha must be above 0; got {shown(alpha)}")

    def fused(self) -> Fused:
        return Fused(CODES["celu"], float(self.alpha))


@public
class SoftShrink(_OneNumber):
    """x moved towards 0 by threshold, 0 from -threshold to threshold.

    threshold -> : shared, elementwise

    Examples
    --------
    >>> SoftShrink()(np.array([-2.0, 0.25, 2.0]))
    array([-1.5,  0. ,  1.5])
    """

    _name = "threshold"
    threshold: float

    def __init__(self, threshold: float = 0.5) -> None:
        if not self._keep(threshold) >= 0:
            raise ValueError(f"threshold must not be negative; got {self.threshold}")

    def fused(self) -> Fused:
        return Fused(CODES["soft_shrink"], -float(self.threshold), float(self.threshold))


@public
class HardShrink(_OneNumber):
    """x, and 0 from -threshold to threshold.

    threshold -> : shared, elementwise

    Examples
    --------
    >>> HardShrink()(np.array([-2.0, 0.25, 2.0]))
    array([-2.,  0.,  2.])
    """

    _name = "threshold"
    threshold: float

    def __init__(self, threshold: float = 0.5) -> None:
        if not self._keep(threshold) >= 0:
            raise ValueError(f"threshold must not be negative; got {self.threshold}")

    def fused(self) -> Fused:
        return Fused(CODES["hard_shrink"], float(self.threshold))


@public
class PReLU(Activation):
    """x where x >= 0, alpha[c]*x below: a learnt slope for each channel, or one for all.

    Source: He et al., 2015, arXiv:1502.01852.

    Parameters
    ----------
    alpha : array_like, (C,), (1, 1, C) or one number
        The slopes below 0, float32 or float64.

    Raises
    ------
    errors : shared

    Examples
    --------
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
        return Fused(CODES["prelu"], alpha=self.alpha)


class Named(Activation):
    """The activation that `get` returns for a name."""

    def __init__(self, name: str, fused: Fused) -> None:
        self.name, self._fused = name, fused

    def __repr__(self) -> str:
        return f"<activation {self.name!r}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return get, (self.name,)

    def fused(self) -> Fused:
        return self._fused


def softmax_rows(x: Array, logarithm: bool = False) -> Array:
    """Softmax over the last axis of a C-contiguous array, or its logarithm."""
    result = new_output(x.shape, x.dtype)
    if x.size:
        columns = x.shape[-1]
        isa, threads = _dispatch.active_isa(), _threads.threads_for(0.6 * x.size)
        _kernels.softmax(isa, x.itemsize, x, result, x.size // columns, columns, threads, None, logarithm)
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


def log_softmax(x: Array) -> Array:
    """x - max - log(sum(exp(x - max))) over the last axis, summed in float64; NaN where the row holds one.

    >>> log_softmax(np.array([[0.0, 1000.0]]))
    array([[-1000.,     0.]])
    """
    rows = as_operand(x, "x")
    if rows.ndim == 0:
        raise ValueError("x must have at least 1 dimension for log_softmax; got a scalar")
    return softmax_rows(rows, logarithm=True)


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
        "gelu": Fused(CODES["gelu"]),
        "gelu_tanh": Fused(CODES["gelu_tanh"]),
        "hard_swish": Fused(CODES["hard_swish"]),
        "hard_sigmoid": Fused(CODES["hard_sigmoid"]),
        "softplus": Fused(CODES["softplus"]),
        "log_sigmoid": Fused(CODES["log_sigmoid"]),
        "selu": Fused(CODES["selu"], _SELU_SCALE, _SELU_SCALE * _SELU_ALPHA),
        "celu": CELU().fused(),
        "mish": Fused(CODES["mish"]),
        "softsign": Fused(CODES["softsign"]),
        "exponential": Fused(CODES["exponential"]),
        "hard_tanh": Fused(CODES["clip"], -1.0, 1.0),
        "tanh_shrink": Fused(CODES["tanh_shrink"]),
        "soft_shrink": SoftShrink().fused(),
        "hard_shrink": HardShrink().fused(),
    }.items()
}
# Without a kernel code: applied to the finished output.
_FUNCTIONS: dict[str, Callable[[Array], Array]] = {
    "softmax": softmax,
    "log_softmax": log_softmax,
}

NAMES: tuple[str, ...] = (*_NAMED, *_FUNCTIONS)
#: Other names of Keras 3 and PyTorch for the same functions; not PyTorch's "leakyrelu", whose slope is 0.01.
ALIASES: dict[str, str] = {
    "swish": "silu",
    "identity": "linear",
    "relu_6": "relu6",
    "exp": "exponential",
    "hard_silu": "hard_swish",
    "hardswish": "hard_swish",
    "hardsigmoid": "hard_sigmoid",
    "hardtanh": "hard_tanh",
    "logsigmoid": "log_sigmoid",
    "logsoftmax": "log_softmax",
    "tanhshrink": "tanh_shrink",
    "softshrink": "soft_shrink",
    "hardshrink": "hard_shrink",
}
Spec = ActivationName | Activation | Callable[[Array], Any] | None


@public
def get(spec: Spec | str) -> Activation | Callable[[Array], Any] | None:
    """Return the activation that a name, an object or a callable stands for; None stays None.

    spec -> Activation, callable or None : What computes it. : shared, spec

    Examples
    --------
    >>> get("relu")
    <activation 'relu'>
    """
    if spec is None or isinstance(spec, Activation):
        return spec
    if isinstance(spec, str):
        name = ALIASES.get(spec, spec)
        if name in _FUNCTIONS:
            return _FUNCTIONS[name]
        if name not in _NAMED:
            raise ValueError(f"activation {shown(spec)} is unknown; {_advice(spec)}")
        return _NAMED[name]
    if isinstance(spec, type) or not callable(spec):
        ours = isinstance(spec, type) and issubclass(spec, Activation)
        hint = f": a class; give an object, {spec.__name__}()" if ours else ""
        raise TypeError(f"activation must be None, a name, an object or a callable; got {shown(spec)}{hint}")
    return spec


def _advice(spec: str) -> str:
    lower = spec.lower()
    if lower in NAMES or lower in ALIASES:
        return f"names are written in lower case: {lower!r}"
    if lower == "none":
        return "no activation is activation=None"
    if lower in _OBJECTS:
        return f"it has parameters: give {_OBJECTS[lower]}"
    import difflib  # late: it takes a millisecond

    near = difflib.get_close_matches(lower, [*NAMES, *ALIASES], 1)
    meant = f"did you mean {near[0]!r}? " if near else ""
    return f"{meant}there are {', '.join(NAMES)}, objects such as LeakyReLU(0.1), and any callable"


_OBJECTS = {
    "prelu": "the layer PReLU, or activations.PReLU(slopes)",
    "threshold": "a function, such as one that returns convlite.threshold(x, threshold, value)",
}


def resolve(
    spec: Spec | str, channels: int, dtype: np.dtype[Any]
) -> tuple[Fused, Callable[[Array], Any] | None]:
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
    if result.dtype != y.dtype:
        raise TypeError(
            f"activation must return {y.dtype}, as the operands are; it returned {result.dtype}: "
            f"convlite casts nothing silently; write {cast_of(returned, 'result', y.dtype)} in it"
        )
    return result.astype(y.dtype, copy=False).reshape(y.shape)


@public
def activate(x: ArrayLike, activation: Spec, *, out: Array | None = None) -> Array:
    """Apply an activation to an array of any shape, element by element; softmax over the last axis.

    Parameters
    ----------
    x : shared
    activation : str, Activation, callable or None
        What to apply, as in the operations.
    out : ndarray or None, default None
        Where to write the result, of x's shape and dtype; it may be x itself. None makes a new array.

    Returns
    -------
    ndarray, of x's shape
        The result, in x's dtype; `out` itself where it is given.

    Raises
    ------
    errors : shared

    Examples
    --------
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
    if fused.alpha is None:  # no channels: one long row may be cut anywhere
        columns = min(max(array.size, 1), 1024) if array.size % 1024 == 0 else array.size
    rows = array.size // columns if columns else 0
    # in multiply-adds: an exponential takes about 0.5 ns, anything else 0.1
    threads = _threads.threads_for((0.4 if fused.code >= CODES["elu"] else 0.1) * array.size)
    code, a, b, alpha = fused
    isa = _dispatch.active_isa()
    if alpha is not None and rows > 1:  # few slopes are repeated there
        pixels = array.reshape(rows, columns), alpha, result.reshape(rows, columns)
        _kernels.elementwise(isa, _PRELU, *pixels, threads=threads)
        return result
    _kernels.activate(isa, array.itemsize, array, result, rows, columns, alpha, code, a, b, threads)
    return result
