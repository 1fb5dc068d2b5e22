"""Symbolic tensors: `Input` and layers return them, and they record the calls that made them.

A SymbolicTensor has a shape, a dtype and the call that it comes from, but no numbers. Arithmetic with one is
recorded as a call too: the call of an Operation instead of a layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import numpy.typing as npt

from ..arguments import shown
from .shapes import Shape

if TYPE_CHECKING:
    from .base import Layer

__all__ = ["Call", "NoNumbers", "Operation", "SymbolicTensor", "broadcast_sizes", "is_symbolic", "repeated"]

Array = npt.NDArray[Any]
_LAST = np.iinfo(np.int64).max


class NoNumbers(TypeError):
    """Code tried to read the numbers of a symbolic tensor."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what} needs the numbers of a symbolic tensor, which has none: use layers, + - * / ** and "
            "slices, which are recorded"
        )


@dataclass(frozen=True)
class Operation:
    """Arithmetic that is called like a layer: a kind of network node with its attributes.

    operands: for each input of the node a constant, or None if the input is a tensor.
    """

    kind: str
    operands: tuple[Array | None, ...]
    attributes: dict[str, Any] = field(default_factory=dict)


class Call:
    """`outputs = target(inputs)`. single: the target takes the tensor itself, not a list with one tensor."""

    __slots__ = ("inputs", "outputs", "single", "target")

    def __init__(
        self, target: Layer | Operation, inputs: Sequence[SymbolicTensor], single: bool = False
    ) -> None:
        self.target, self.inputs, self.single = target, tuple(inputs), single
        self.outputs: tuple[SymbolicTensor, ...] = ()

    def gives(self, *specs: tuple[Shape, np.dtype[Any]]) -> tuple[SymbolicTensor, ...]:
        """Make the outputs of the call: new tensors of these shapes and dtypes."""
        self.outputs = tuple(SymbolicTensor(shape, dtype, self) for shape, dtype in specs)
        return self.outputs


class SymbolicTensor:
    """A tensor with a shape and a dtype, but without numbers: `Input` and layers called on one return it.

    It represents a value of a network. Call layers on it; combine it by `+ - * / **` with another tensor, a
    number or an array of one sample; slice it; then make a `Model` from the inputs and outputs. NumPy
    functions that need its numbers raise a TypeError.

    Parameters
    ----------
    shape : tuple of int or None
        The shape with the batch axis, None where a size is free.
    dtype : dtype
        The dtype, float32 or float64.
    call : object, default None
        The call that made it; only the package sets it.

    Examples
    --------
    >>> from convlite.layers import Conv2D, Input
    >>> x = Input((28, 28, 1))
    >>> y = Conv2D(8, 3)(x)
    >>> y, (2 * y)[:, ::2].shape
    (<SymbolicTensor (None, 26, 26, 8) float32 of 'conv2d'>, (None, 13, 26, 8))
    """

    __slots__ = ("call", "dtype", "shape")

    def __init__(self, shape: Shape, dtype: np.dtype[Any], call: Any = None) -> None:
        self.shape: Shape = shape
        self.dtype: np.dtype[Any] = dtype
        self.call: Call | None = call

    @property
    def ndim(self) -> int:
        """The number of axes, batch included."""
        return len(self.shape)

    def __repr__(self) -> str:
        target = None if self.call is None else self.call.target
        made = "" if target is None else f" of {getattr(target, 'name', getattr(target, 'kind', ''))!r}"
        return f"<SymbolicTensor {self.shape} {self.dtype}{made}>"

    def __add__(self, other: Any) -> SymbolicTensor:
        return _combined("add", self, other)

    def __radd__(self, other: Any) -> SymbolicTensor:
        return _combined("add", other, self)

    def __sub__(self, other: Any) -> SymbolicTensor:
        return _combined("sub", self, other)

    def __rsub__(self, other: Any) -> SymbolicTensor:
        return _combined("sub", other, self)

    def __mul__(self, other: Any) -> SymbolicTensor:
        return _combined("mul", self, other)

    def __rmul__(self, other: Any) -> SymbolicTensor:
        return _combined("mul", other, self)

    def __truediv__(self, other: Any) -> SymbolicTensor:
        return _combined("div", self, other)

    def __rtruediv__(self, other: Any) -> SymbolicTensor:
        return _combined("div", other, self)

    def __pow__(self, other: Any) -> SymbolicTensor:
        return _combined("pow", self, other)

    def __rpow__(self, other: Any) -> SymbolicTensor:
        return _combined("pow", other, self)

    def __neg__(self) -> SymbolicTensor:
        return _alone("neg", self)

    def __abs__(self) -> SymbolicTensor:
        return _alone("abs", self)

    def __getitem__(self, key: Any) -> SymbolicTensor:
        return _part(self, key)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> SymbolicTensor:
        """Record NumPy's arithmetic functions of one or two arrays: `np.exp(x)`, `array + x`."""
        kind = _UFUNCS.get(ufunc)
        if method != "__call__" or options or kind is None:
            raise NoNumbers(f"np.{ufunc.__name__}")
        return _alone(kind, inputs[0]) if len(inputs) == 1 else _combined(kind, *inputs)

    def __array_function__(self, function: Any, *arguments: Any) -> NoReturn:
        raise NoNumbers(f"np.{getattr(function, '__name__', function)}")

    if not TYPE_CHECKING:  # for type checkers, a symbolic tensor is not an array

        def __array__(self, *arguments: Any, **options: Any) -> NoReturn:
            raise NoNumbers("a function of arrays")

    def __len__(self) -> NoReturn:
        raise NoNumbers("len")

    def __iter__(self) -> NoReturn:
        raise NoNumbers("a loop over the samples")

    def __bool__(self) -> NoReturn:
        raise NoNumbers("a condition")

    def __float__(self) -> NoReturn:
        raise NoNumbers("float")

    def __matmul__(self, other: Any) -> NoReturn:
        raise NoNumbers("@, for which there are the layers Dense and Dot,")


_UFUNCS: dict[Any, str] = {
    np.add: "add", np.subtract: "sub", np.multiply: "mul", np.divide: "div", np.power: "pow",
    np.maximum: "max", np.minimum: "min", np.negative: "neg", np.absolute: "abs", np.exp: "exp",
    np.log: "log", np.sqrt: "sqrt", np.tanh: "tanh", np.sin: "sin", np.cos: "cos",
}  # fmt: skip


def is_symbolic(x: object) -> bool:
    """Whether x is a symbolic tensor, or a list, tuple or dict that contains one."""
    if isinstance(x, SymbolicTensor):
        return True
    if isinstance(x, (list, tuple)):
        return any(isinstance(entry, SymbolicTensor) for entry in x)
    return isinstance(x, dict) and any(isinstance(entry, SymbolicTensor) for entry in x.values())


def broadcast_sizes(first: Shape, second: Shape) -> Shape:
    """The shape of the sum of two tensors of the same rank. ValueError names an axis that does not fit.

    >>> broadcast_sizes((None, 8, 1), (None, 1, 3)), broadcast_sizes((None, None), (None, 5))
    ((None, 8, 3), (None, 5))
    """
    sizes: list[int | None] = []
    for axis, (a, b) in enumerate(zip(first, second, strict=True)):
        if a == 1 or a == b:
            sizes.append(b)
        elif b == 1:
            sizes.append(a)
        elif a is None or b is None:  # the unknown size will be equal to the other size, or 1
            sizes.append(b if a is None else a)
        else:
            raise ValueError(f"the shapes {first} and {second} do not broadcast: axis {axis} has {a} and {b}")
    return tuple(sizes)


def repeated(operation: Operation, tensors: Sequence[SymbolicTensor]) -> SymbolicTensor:
    """Apply the operation to other tensors."""
    x, operands = tensors[0], operation.operands
    if operation.kind == "slice":
        numbers = [[int(number) for number in array] for array in operands[1:] if array is not None]
        key = [slice(None)] * x.ndim
        for start, end, axis, step in zip(*numbers, strict=True):
            key[axis] = slice(start, None if end == _LAST else end, step)
        return _part(x, tuple(key))
    if operation.kind == "squeeze":
        gone = operands[1]
        assert gone is not None
        kept = tuple(size for axis, size in enumerate(x.shape) if axis not in gone)
        return Call(operation, [x]).gives((kept, x.dtype))[0]
    if len(operands) == 1:
        return _alone(operation.kind, x)
    rest = iter(tensors)
    return _combined(operation.kind, *(next(rest) if array is None else array for array in operands))


def _alone(kind: str, x: SymbolicTensor) -> SymbolicTensor:
    return Call(Operation(kind, (None,)), [x]).gives((x.shape, x.dtype))[0]


def _combined(kind: str, a: Any, b: Any) -> SymbolicTensor:
    """Combine two operands; one may be a number or an array of one sample."""
    tensor: SymbolicTensor = a if isinstance(a, SymbolicTensor) else b
    operands: list[Array | None] = []
    shape: Shape | None = None
    for value in (a, b):
        if isinstance(value, SymbolicTensor):
            if value.dtype != tensor.dtype:
                raise TypeError(f"{kind} of tensors of {tensor.dtype} and {value.dtype}: they must have one")
            if value.ndim != tensor.ndim:
                raise ValueError(
                    f"{kind} of tensors of shapes {tensor.shape} and {value.shape}: they must have as many "
                    "axes; give the shorter one axes of size 1 with Reshape"
                )
            operands.append(None)
            shape = value.shape if shape is None else broadcast_sizes(shape, value.shape)
        else:
            operands.append(_constant(kind, value, tensor))
    assert shape is not None
    for array in operands:
        if array is not None and array.ndim:
            shape = broadcast_sizes(shape, (1,) * (len(shape) - array.ndim) + array.shape)
    inputs = [value for value in (a, b) if isinstance(value, SymbolicTensor)]
    return Call(Operation(kind, tuple(operands)), inputs).gives((shape, tensor.dtype))[0]


def _told(value: object) -> str:
    return f"an array of {value.dtype}" if isinstance(value, np.ndarray) else shown(value)


def _constant(kind: str, value: Any, tensor: SymbolicTensor) -> Array:
    """A number, or an array that is the same for every sample, in the dtype of the tensor."""
    array = np.asarray(value)
    if array.dtype.kind not in "iuf" or (isinstance(value, np.ndarray) and array.dtype != tensor.dtype):
        raise TypeError(
            f"{kind} of a tensor of {tensor.dtype} and {_told(value)}: the other must be a number, a "
            f"symbolic tensor or an array of {tensor.dtype}"
        )
    if array.ndim >= tensor.ndim and array.shape[: array.ndim - tensor.ndim + 1] != (1,):
        raise ValueError(
            f"{kind} of a tensor of shape {tensor.shape} and an array of shape {array.shape}: the array must "
            "hold for every sample, so that it has fewer axes, or size 1 along the batch axis"
        )
    result = np.array(array, tensor.dtype)
    result.flags.writeable = False
    return result


def _part(x: SymbolicTensor, key: Any) -> SymbolicTensor:
    """x[key] with slices, an ellipsis, and integers on the axes after the batch."""
    keys = list(key) if isinstance(key, tuple) else [key]
    allowed = all(type(entry) in (int, slice, type(Ellipsis)) for entry in keys)
    if not allowed or keys.count(Ellipsis) > 1:
        raise NoNumbers(f"an index such as {shown(key)}")
    place = keys.index(Ellipsis) if Ellipsis in keys else len(keys)
    rest = [slice(None)] * (x.ndim - len([entry for entry in keys if entry is not Ellipsis]))
    keys = [*keys[:place], *rest, *keys[place + 1 :]]
    if len(keys) > x.ndim or keys[0] != slice(None):
        raise ValueError(
            f"a part of a tensor of shape {x.shape} must have all samples and as many axes: write x[:, ...]; "
            f"got {shown(key)}"
        )
    shape, cuts, gone = [x.shape[0]], [], []
    for axis, (size, entry) in enumerate(zip(x.shape[1:], keys[1:], strict=True), start=1):
        start, end, step = (
            (entry, entry + 1 or None, 1)
            if isinstance(entry, int)
            else (entry.start or 0, entry.stop, 1 if entry.step is None else entry.step)
        )
        if any(type(number) is not int for number in (start, end or 0, step)) or step < 1:
            raise NoNumbers(f"an index such as {shown(key)}")
        if isinstance(entry, int):
            if size is not None and not -size <= entry < size:
                raise IndexError(f"index {entry} is outside of axis {axis} of a tensor of shape {x.shape}")
            gone.append(axis)
        if (start, end, step) != (0, None, 1):
            cuts.append((start, _LAST if end is None else end, axis, step))
            known = None if size is None else len(range(*slice(start, end, step).indices(size)))
            size = 1 if isinstance(entry, int) else known
        shape.append(size)
    result = x
    if cuts:
        operands = [np.array(numbers, np.int64) for numbers in zip(*cuts, strict=True)]
        result = Call(Operation("slice", (None, *operands)), [x]).gives((tuple(shape), x.dtype))[0]
    if gone:
        kept = tuple(size for axis, size in enumerate(shape) if axis not in gone)
        operation = Operation("squeeze", (None, np.array(gone, np.int64)))
        result = Call(operation, [result]).gives((kept, x.dtype))[0]
    return result
