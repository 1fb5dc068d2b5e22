"""Layers that combine several tensors into one: Keras's merging layers."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, ClassVar, overload

import numpy as np
import numpy.typing as npt

from .. import normalization
from ..arguments import as_flag, as_int, as_operand, mixed_dtypes, new_output, shown
from .base import Array, Layer
from .shapes import Shape
from .symbolic import SymbolicTensor, broadcast_sizes

__all__ = [
    "Add", "Average", "Concatenate", "Dot", "Maximum", "Merge", "Minimum", "Multiply", "Subtract",
]  # fmt: skip


class Merge(Layer):
    """A layer that takes a list of tensors: `layer([a, b])` gives one tensor, or one array for arrays.

    All must have the same dtype and batch size. The input shape of such a layer is a list of shapes.
    """

    least: ClassVar[int] = 1
    most: ClassVar[int | None] = None

    @overload  # type: ignore[override]
    def __call__(
        self, x: Sequence[SymbolicTensor], *, training: bool | None = None, mask: None = None
    ) -> SymbolicTensor: ...
    @overload
    def __call__(
        self, x: Sequence[npt.ArrayLike], *, training: bool | None = None, mask: None = None
    ) -> Array: ...
    def __call__(self, x: Any, *, training: bool | None = None, mask: None = None) -> Any:
        """Combine a list of arrays of one dtype into an array, or symbolic tensors into a symbolic tensor."""
        return super().__call__(x, training=training, mask=mask)

    def _first_call(self, x: Any) -> Array:
        return self.call(x)  # there is nothing to build

    def call(self, x: Any) -> Array:
        self._check_list(x)
        first = as_operand(x[0], "x[0]")
        arrays = [first]
        for number, given in enumerate(x[1:], start=1):
            array = as_operand(given, f"x[{number}]")
            if array.dtype != first.dtype:
                raise mixed_dtypes(given, f"x[{number}]", array.dtype, first.dtype, ("x[0]", x[0]))
            arrays.append(array)
        self.compute_output_shape([array.shape for array in arrays])
        with np.errstate(all="ignore"):
            return self._merged(arrays)

    def _merged(self, arrays: list[Array]) -> Array:
        """Combine arrays that were checked."""
        raise NotImplementedError(f"{type(self).__name__} must say what it makes of a list of arrays")

    def _given(self, tensors: list[SymbolicTensor], single: bool) -> SymbolicTensor:
        self._check_list(tensors[0] if single else tensors)
        dtypes = {tensor.dtype for tensor in tensors}
        if len(dtypes) > 1:
            raise TypeError(
                f"{self._told()} takes tensors of one dtype; got {', '.join(str(t.dtype) for t in tensors)}"
            )
        try:
            shape = self.compute_output_shape([tensor.shape for tensor in tensors])
        except ValueError as error:
            from .misfits import undivided

            raise ValueError(f"{undivided(tensors)}{error}") from None
        return SymbolicTensor(shape, tensors[0].dtype)

    def _told(self) -> str:
        return f"the layer {self.name!r} ({type(self).__name__})"

    def _check_list(self, x: Any) -> None:
        if not isinstance(x, (list, tuple)):
            raise TypeError(f"{self._told()} takes a list of tensors, layer([a, b]); got {type(x).__name__}")
        if len(x) < self.least or len(x) > (self.most or len(x)):
            many = f"{self.least}" if self.most == self.least else f"at least {self.least}"
            raise ValueError(f"{self._told()} takes a list of {many} tensors; got {len(x)}")

    def as_input_shapes(self, input_shape: Any) -> list[Shape]:
        """Check a list of shapes, which must have the same batch size, and return it.

        Parameters
        ----------
        input_shape : sequence of shapes
            A list of the tensors' shapes, with the batch axis.

        Returns
        -------
        list of tuples
            The shapes.

        Raises
        ------
        TypeError
            For a value that is not a list of shapes.
        ValueError
            For shapes of different batch sizes.

        Examples
        --------
        >>> Add().as_input_shapes([(None, 4), (None, 4)])
        [(None, 4), (None, 4)]
        """
        self._check_list(input_shape)
        if any(isinstance(shape, (int, np.integer)) or shape is None for shape in input_shape):
            raise TypeError(f"{self._told()} takes a list of shapes; got {shown(input_shape)}")
        shapes = [Layer.as_input_shape(self, shape) for shape in input_shape]
        if any(not shape for shape in shapes):
            raise ValueError(f"{self._told()} takes tensors with a batch axis; got {shown(shapes)}")
        if len({shape[0] for shape in shapes} - {None}) > 1:
            raise ValueError(f"{self._told()} takes tensors of one batch size; got {shown(shapes)}")
        return shapes

    def build(self, input_shape: Any) -> None:
        """Check whether the shapes fit each other; a merging layer has no weights.

        Parameters
        ----------
        input_shape : sequence of shapes
            A list of the tensors' shapes, with the batch axis.

        Raises
        ------
        ValueError
            For shapes that do not fit each other.

        Examples
        --------
        >>> Add().build([(None, 4), (None, 4)])
        """
        self.compute_output_shape(input_shape)

    def compute_output_shape(self, input_shape: Any) -> Shape:
        """Return the shape of the result for a list of shapes.

        Parameters
        ----------
        input_shape : sequence of shapes
            A list of the tensors' shapes, with the batch axis.

        Returns
        -------
        tuple
            The shape of the result.

        Raises
        ------
        ValueError
            For shapes that do not fit each other.

        Examples
        --------
        >>> Add().compute_output_shape([(None, 4), (None, 1)])
        (None, 4)
        """
        aligned = _aligned_shapes(self.as_input_shapes(input_shape))
        try:
            return functools.reduce(broadcast_sizes, aligned)
        except ValueError as error:
            raise ValueError(f"{self._told()}: {error}") from None

    def multiply_adds(self, input_shape: Any) -> int | None:
        return 0


def _aligned_shapes(shapes: Sequence[Shape]) -> list[Shape]:
    """The shapes with equal numbers of axes: axes of size 1 are inserted after the batch, as in Keras."""
    rank = max(len(shape) for shape in shapes)
    return [(shape[0], *(1,) * (rank - len(shape)), *shape[1:]) for shape in shapes]


class _Elementwise(Merge):
    """Element-wise arithmetic. Sizes of 1 are broadcast, missing axes inserted after the batch (Keras)."""

    function: ClassVar[Any]  # NumPy's function of two arrays

    def _merged(self, arrays: list[Array]) -> Array:
        shapes = _aligned_shapes([array.shape for array in arrays])
        wide = [array.reshape([n or 0 for n in shape]) for array, shape in zip(arrays, shapes, strict=True)]
        if len(wide) == 1:
            return wide[0].copy()
        return functools.reduce(type(self).function, wide)


class Add(_Elementwise):
    """The sum of tensors: Add()([a, b, ...]).

    name -> : shared, layer

    Examples
    --------
    >>> Add()([[[1.0, 2.0]], [[10.0, 20.0]]]).tolist()
    [[11.0, 22.0]]
    """

    function = np.add


class Subtract(_Elementwise):
    """The first of two tensors minus the second: Subtract()([a, b]).

    name -> : shared, layer

    Examples
    --------
    >>> Subtract()([[[1.0, 2.0]], [[10.0, 20.0]]]).tolist()
    [[-9.0, -18.0]]
    """

    least = most = 2
    function = np.subtract


class Multiply(_Elementwise):
    """The element-wise product of tensors: Multiply()([a, b, ...]).

    name -> : shared, layer

    Examples
    --------
    >>> Multiply()([[[1.0, 2.0]], [[10.0]]]).tolist()
    [[10.0, 20.0]]
    """

    function = np.multiply


class Maximum(_Elementwise):
    """The larger number at each place: Maximum()([a, b, ...]); NaN where one is NaN.

    name -> : shared, layer

    Examples
    --------
    >>> Maximum()([[[1.0, 2.0]], [[0.0, 20.0]]]).tolist()
    [[1.0, 20.0]]
    """

    function = np.maximum


class Minimum(_Elementwise):
    """The smaller number at each place: Minimum()([a, b, ...]); NaN where one is NaN.

    name -> : shared, layer

    Examples
    --------
    >>> Minimum()([[[1.0, 2.0]], [[0.0, 20.0]]]).tolist()
    [[0.0, 2.0]]
    """

    function = np.minimum


class Average(_Elementwise):
    """The element-wise mean of tensors, with sums in float64: Average()([a, b, ...]).

    name -> : shared, layer

    Examples
    --------
    >>> Average()([[[1.0, 2.0]], [[3.0, 6.0]]]).tolist()
    [[2.0, 4.0]]
    """

    def _merged(self, arrays: list[Array]) -> Array:
        shapes = _aligned_shapes([array.shape for array in arrays])
        wide = [array.reshape([n or 0 for n in shape]) for array, shape in zip(arrays, shapes, strict=True)]
        total = functools.reduce(np.add, [array.astype(np.float64) for array in wide])
        return np.asarray(total / len(wide)).astype(arrays[0].dtype)


class Concatenate(Merge):
    """Tensors joined along an axis, by default the channels: Concatenate()([a, b, ...]).

    All other sizes must be equal.

    Parameters
    ----------
    axis : int, default -1
        The axis, counted with the batch as axis 0; it must not be the batch itself.
    name : shared, layer

    Raises
    ------
    errors : shared, layer

    Examples
    --------
    >>> Concatenate()([[[1.0, 2.0]], [[3.0]]]).tolist()
    [[1.0, 2.0, 3.0]]
    """

    def __init__(self, axis: int = -1, *, name: str | None = None) -> None:
        super().__init__(name=name)
        self.axis = as_int(axis, "axis", minimum=-(2**31))
        if self.axis == 0:
            raise ValueError("axis must be an axis of a sample, not the batch; got 0")

    def _merged(self, arrays: list[Array]) -> Array:
        shape = self.compute_output_shape([array.shape for array in arrays])
        result = new_output(tuple(size or 0 for size in shape), arrays[0].dtype)
        return np.concatenate(arrays, self.axis, out=result)

    def compute_output_shape(self, input_shape: Any) -> Shape:
        shapes = self.as_input_shapes(input_shape)
        rank = len(shapes[0])
        if any(len(shape) != rank for shape in shapes):
            raise ValueError(
                f"{self._told()} takes tensors with as many axes; got the shapes {shown(shapes)}"
            )
        axis = self.axis + rank if self.axis < 0 else self.axis
        if not 0 < axis < rank:
            raise ValueError(
                f"{self._told()} joins along axis {self.axis}: it must be an axis of a sample, from 1 to "
                f"{rank - 1}; got the shapes {shown(shapes)}"
            )
        result: list[int | None] = []
        for place, sizes in enumerate(zip(*shapes, strict=True)):
            known = [size for size in sizes if size is not None]
            if place == axis:
                result.append(sum(known) if len(known) == len(sizes) else None)
            elif len(set(known)) > 1:
                raise ValueError(
                    f"{self._told()} joins along axis {axis}, so that all other sizes must be equal; got the "
                    f"shapes {shown(shapes)}, which differ along axis {place}"
                )
            else:
                result.append(known[0] if known else None)
        return tuple(result)


class Dot(Merge):
    """The dot product of two tensors along one axis of each, for each sample: Dot(axes)([a, b]).

    The output's shape is a's shape without its axis, then b's shape without its axis and batch; it is
    (N, 1) if no other axes remain. Sums are in float64.

    Parameters
    ----------
    axes : int or (int, int)
        An axis for both tensors, or one for each, not the batch.
    normalize : bool, default False
        Whether vectors are first scaled to length 1; the result is then the cosine of their angle.
    name : shared, layer

    Raises
    ------
    errors : shared, layer

    Examples
    --------
    >>> Dot(1)([[[1.0, 2.0]], [[3.0, 4.0]]]).tolist()
    [[11.0]]
    """

    least = most = 2

    def __init__(
        self, axes: int | Sequence[int], normalize: bool = False, *, name: str | None = None
    ) -> None:
        super().__init__(name=name)
        given = axes if isinstance(axes, (list, tuple)) else (axes, axes)
        if len(given) != 2:
            raise ValueError(f"axes must be one axis or two; got {shown(axes)}")
        first, second = (as_int(axis, "axes", minimum=-(2**31)) for axis in given)
        if 0 in (first, second):
            raise ValueError(f"axes must be axes of a sample, not the batch, 0; got {shown(axes)}")
        self.along = first, second
        self.normalize = as_flag(normalize, "normalize")

    def recipe(self, first: int, second: int) -> tuple[str, int, int, bool]:
        """Work out how the product is computed.

        Parameters
        ----------
        first : int
            The rank of the first tensor.
        second : int
            The rank of the second.

        Returns
        -------
        tuple
            NumPy's einsum equation, both axes counted from 0, whether a sample's result is a single number.

        Examples
        --------
        >>> Dot(1).recipe(2, 2)[1:]
        (1, 1, True)
        """
        a, b = (n + rank if n < 0 else n for n, rank in zip(self.along, (first, second), strict=True))
        if not 0 < a < first or not 0 < b < second:
            raise ValueError(
                f"{self._told()} sums along the axes {self.along}: they must be axes of a sample, from 1 to "
                f"{first - 1} in the first tensor and from 1 to {second - 1} in the second"
            )
        left = "a" + "bcdefghijkl"[: first - 1]
        right = "a" + "mnopqrstuvw"[: second - 1]
        right = right[:b] + left[a] + right[b + 1 :]
        result = left.replace(left[a], "") + right[1:].replace(left[a], "")
        return f"{left},{right}->{result}", a, b, len(result) == 1

    def _merged(self, arrays: list[Array]) -> Array:
        equation, first, second, vector = self.recipe(*(array.ndim for array in arrays))
        a, b = arrays
        if self.normalize:
            a, b = normalization.unit_norm(a, axis=first), normalization.unit_norm(b, axis=second)
        total = np.asarray(np.einsum(equation, a.astype(np.float64), b.astype(np.float64))).astype(a.dtype)
        return total[:, None] if vector else total

    def compute_output_shape(self, input_shape: Any) -> Shape:
        one, other = self.as_input_shapes(input_shape)
        _, first, second, vector = self.recipe(len(one), len(other))
        if None not in (one[first], other[second]) and one[first] != other[second]:
            raise ValueError(
                f"{self._told()} sums along axes of one size; got {one[first]} and {other[second]}, of the "
                f"shapes {one} and {other}"
            )
        batch = one[0] if one[0] is not None else other[0]
        kept = (
            *(n for axis, n in enumerate(one) if axis not in (0, first)),
            *(n for axis, n in enumerate(other) if axis not in (0, second)),
        )
        return (batch, 1) if vector else (batch, *kept)
