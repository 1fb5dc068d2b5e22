"""What every layer is: a name, an input shape, and weights that are replaced as a whole, never in place.

That last rule is what makes a layer safe to call from many threads: `call` reads one attribute, `_prepared`,
and whatever another thread installs meanwhile is a new object. Building happens once, under the layer's lock.
"""

from __future__ import annotations

import abc
import copy
import operator
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from .. import initializers
from .._layouts import build_from
from ..arguments import as_operand, mixed_dtypes, shown
from .keywords import dtype_of, refuse_training, understands_keras

__all__ = ["Array", "Layer", "Shape", "WeightedLayer", "keep_unknown", "product"]

Array = npt.NDArray[Any]
Shape = tuple[int | None, ...]  # with the batch axis; None where the size is not known

_DTYPES = {np.dtype(np.float32), np.dtype(np.float64)}
_STAND_IN = 1 << 16  # for an unknown size: larger than any kernel, small enough for products of sizes


def keep_unknown(shape: Shape, rule: Callable[[tuple[int, ...]], Sequence[int]]) -> Shape:
    """`rule(shape)`, where an axis of unknown size stays unknown.

    >>> keep_unknown((None, None, 8), lambda shape: [size // 2 for size in shape])
    (None, None, 4)
    """
    known = tuple(_STAND_IN if size is None else size for size in shape)
    return tuple(None if size is None else new for size, new in zip(shape, rule(known), strict=True))


def product(sizes: Sequence[int | None]) -> int | None:
    """The product of sizes, None where one is unknown.

    >>> product((2, 3)), product((2, None))
    (6, None)
    """
    total = 1
    for size in sizes:
        if size is None:
            return None
        total *= size
    return total


class Layer(abc.ABC):
    """A named step of a network: `layer(x)` gives an array, `layer.compute_output_shape(shape)` its shape.

    A subclass writes `call(x)`, and `compute_output_shape` where the shape changes. Shapes include the batch
    axis, as Keras's do: (None, 28, 28, 1). Layers pickle and copy; a copy shares the immutable weights.

    >>> class Negate(Layer):
    ...     def call(self, x):
    ...         return -x
    >>> layer = Negate()
    >>> layer.name, layer([1.0, 2.0]).tolist()
    ('negate', [-1.0, -2.0])
    """

    rank: ClassVar[int | None] = None  # the number of axes that x must have, batch included
    axes: ClassVar[str] = "batch, ..."  # their names, for messages

    stated_shape: Shape | None = None  # by Keras's input_shape=: what builds a Sequential that it begins

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "__init__" in cls.__dict__:
            type.__setattr__(cls, "__init__", understands_keras(cls.__dict__["__init__"]))

    @understands_keras
    def __init__(self, *, name: str | None = None) -> None:
        if name is not None and (
            not isinstance(name, str) or not re.fullmatch(r"[^/\\]*[^/\\.][^/\\]*", name)
        ):
            raise ValueError(f"name must be a string without slashes, and not only dots; got {shown(name)}")
        self.has_own_name = name is not None
        self.name: str = name if name is not None else _snake_case(type(self).__name__)
        self.input_shape: Shape | None = None
        self._prepared: Any = None
        self._lock = threading.RLock()

    def __call__(self, x: npt.ArrayLike, *, training: bool | None = None, mask: None = None) -> Array:
        """`call(x)`, after building the layer for x's shape where it is not built. training and mask are
        Keras's, and may be False and None.
        """
        if training is not None or mask is not None:
            refuse_training(self.name, training, mask)
        if self.input_shape is None:
            x = self._build_for(x)
        return self.call(x)

    def _build_for(self, x: npt.ArrayLike) -> Array:
        """Build for an x of this shape; the array that x is."""
        array, dtype = as_operand(x, "x"), getattr(self, "dtype", None)
        if dtype is not None and array.dtype != dtype:
            self.compute_output_shape((None, *array.shape[1:]))  # what is wrong with its shape comes first
            raise mixed_dtypes(x, "x", array.dtype, dtype, (f"the layer {self.name}", None))
        with self._lock:
            if self.input_shape is None:
                build_from(self.build, array.shape, self._reads_images(), self.built)
        return array

    def _reads_images(self) -> bool:
        """Whether x is (N, H, W, C), so that its shape may show that channels come first."""
        return self.rank == 4

    @abc.abstractmethod
    def call(self, x: Any) -> Array:
        """The arithmetic of the layer, once it is built."""

    @property
    def built(self) -> bool:
        """Whether the layer has its weights (a layer without any always has)."""
        return True

    @property
    def output_shape(self) -> Shape | None:
        """The shape that `input_shape` leads to, None before the layer is built."""
        return None if self.input_shape is None else self.compute_output_shape(self.input_shape)

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Fix the input shape, batch axis included, and create the weights that are not there yet.

        ValueError where the number of axes or of channels does not fit the layer.
        """
        shape = self.as_input_shape(input_shape)
        with self._lock:
            self.compute_output_shape(shape)
            self._ensure_weights(shape)
            self.input_shape = shape
            self._rehearse((1 if shape[:1] == (None,) else shape[0], *shape[1:]) if shape else shape)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Shape:
        """The shape of `layer(x)` for an x of this shape; unknown sizes are None."""
        return self.as_input_shape(input_shape)

    def multiply_adds(self, input_shape: Sequence[int | None]) -> int | None:
        """Multiplications (each with its addition) for one sample; None where a size is unknown."""
        return 0

    def weight_names(self) -> list[str]:
        """The names of the weights, in the order of `get_weights`."""
        return []

    def named_weights(self) -> dict[str, Array]:
        """The weights by name: read-only arrays, not copies. ValueError before the layer has any."""
        return {}

    def get_weights(self) -> list[Array]:
        """Copies of the weights, in Keras's order. ValueError before the layer has any."""
        return [weight.copy() for weight in self.named_weights().values()]

    def set_weights(self, weights: Sequence[npt.ArrayLike]) -> None:
        """Replace all weights; a layer that is not built takes its number of channels from them.

        Nothing is replaced where one of them has the wrong shape (ValueError) or dtype (TypeError).
        """
        names = self.weight_names()
        if len(weights) != len(names):
            raise ValueError(f"{self.name} has {len(names)} weights {names}; got {len(weights)} arrays")
        self.assign(dict(zip(names, weights, strict=True)))

    def assign(self, weights: Mapping[str, npt.ArrayLike]) -> None:
        """`set_weights` by name. ValueError where a name is missing or unknown."""
        names = self.weight_names()
        missing, unknown = [n for n in names if n not in weights], [n for n in weights if n not in names]
        if missing or unknown:
            raise ValueError(f"{self.name} has other weights: missing {missing}, unknown {unknown}")
        with self._lock:
            self._install(self._checked(weights, self._display))

    def count_params(self) -> int:
        """The number of weights. ValueError before the layer is built."""
        return sum(weight.size for weight in self.named_weights().values())

    def as_input_shape(self, input_shape: Sequence[int | None]) -> Shape:
        """`input_shape` as a tuple of the rank that this layer takes; ValueError where it is not one."""
        try:
            if isinstance(input_shape, (str, bytes)):
                raise TypeError
            shape = tuple(None if size is None else _as_dimension(size) for size in input_shape)
        except TypeError:
            raise TypeError(
                f"input_shape must be a sequence of sizes or None; got {shown(input_shape)}"
            ) from None
        if self.rank is not None and len(shape) != self.rank:
            raise ValueError(
                f"{self.name} takes {self.rank} axes ({self.axes}); got the shape {shown(shape)}"
                + ("; is the batch axis missing? It comes first" if len(shape) == self.rank - 1 else "")
            )
        if any(size is not None and size < 0 for size in shape):
            raise ValueError(f"input_shape must not be negative; got {shown(shape)}")
        return shape

    # What a layer with weights overrides.

    def _ensure_weights(self, shape: Shape) -> None:  # noqa: B027  (most layers have none)
        """Create the weights for this input shape, or check that the present ones fit it."""

    def _rehearse(self, shape: Shape) -> None:  # noqa: B027
        """Do what the first call with this input shape would have to do."""

    def _display(self, weight: str) -> str:
        """What messages call a weight."""
        return f"{self.name}/{weight}"

    def _checked(
        self, weights: Mapping[str, npt.ArrayLike], display: Callable[[str], str]
    ) -> dict[str, Array]:
        """Immutable copies of the weights, with every check done."""
        return {}

    def _install(self, weights: dict[str, Array]) -> None:
        """Make checked weights the layer's own."""
        assert not weights, "a layer without weights is given none"

    # Copies share what is immutable; a pickle holds plain arrays, and packs them again on arrival.

    _shared: ClassVar[frozenset[str]] = frozenset({"_prepared", "_weights", "_lock"})

    def __copy__(self) -> Self:
        twin = type(self).__new__(type(self))
        twin.__dict__.update(self.__dict__)
        twin._lock = threading.RLock()
        return twin

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        twin = Layer.__copy__(self)
        memo[id(self)] = twin
        for key, value in self.__dict__.items():
            if key not in self._shared:
                twin.__dict__[key] = copy.deepcopy(value, memo)
        return twin

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key not in ("_prepared", "_lock")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._prepared = None
        self._lock = threading.RLock()

    def __repr__(self) -> str:
        shapes = f"{self.input_shape} -> {self.output_shape}" if self.input_shape else "not built"
        return f"<{type(self).__name__} {self.name!r}: {shapes}>"


class WeightedLayer(Layer):
    """A layer with weights: a subclass names their shapes, and may pack them for `call`.

    It writes `_weight_shapes(input_shape)` and `_input_shape_of(first weight's shape)`, its inverse as far as
    the weights tell, and may write `_prepare(weights)`, whose result `call` finds in `self._prepared`.
    """

    def __init__(
        self, initializers: Mapping[str, Any], *, dtype: npt.DTypeLike = "float32", name: str | None = None
    ) -> None:
        super().__init__(name=name)
        self.dtype = _as_dtype(dtype_of(dtype))
        self._initializers = {weight: _initializer(spec, weight) for weight, spec in initializers.items()}
        self._weights: dict[str, Array] | None = None

    @property
    def built(self) -> bool:
        return self._weights is not None

    def weight_names(self) -> list[str]:
        return list(self._initializers)

    def named_weights(self) -> dict[str, Array]:
        if self._weights is None:
            raise ValueError(
                f"{self.name} has no weights yet: call it, build((None, ...)) it, or set_weights"
            )
        return dict(self._weights)

    @abc.abstractmethod
    def _weight_shapes(self, shape: Shape) -> dict[str, tuple[int, ...]]:
        """The shapes of the weights, by name, for this input shape."""

    @abc.abstractmethod
    def _input_shape_of(self, first: tuple[int, ...]) -> Shape:
        """What the shape of the first weight says about the input's; IndexError where it has too few axes."""

    def _prepare(self, weights: dict[str, Array]) -> Any:
        """What `call` will find in `_prepared`."""
        return tuple(weights.values())

    def _channels(self, shape: Shape) -> int:
        """The size of the last axis, which the weights depend on."""
        channels = shape[-1]
        if channels is None:
            raise ValueError(f"{self.name} needs the number of channels, the last size of {shape}")
        return channels

    def _ensure_weights(self, shape: Shape) -> None:
        expected = self._weight_shapes(shape)
        if self._weights is None:
            self._install({name: self._initial(name, size) for name, size in expected.items()})
        for name, weight in self.named_weights().items():
            if weight.shape != expected[name]:
                article = "an" if name[0] in "aeiou" else "a"
                raise ValueError(
                    f"{self.name} holds {article} {name} of shape {weight.shape}; the input shape {shape} "
                    f"needs {expected[name]}" + self._layout_hint(name, weight.shape, expected[name])
                )

    def _layout_hint(self, name: str, received: tuple[int, ...], expected: tuple[int, ...]) -> str:
        """What to do with a weight of another framework's layout."""
        return ""

    def _initial(self, name: str, shape: tuple[int, ...]) -> Array:
        try:
            values = np.asarray(self._initializers[name](shape, dtype=self.dtype))
        except ValueError as error:
            raise ValueError(f"{name}_initializer must give an array of shape {shape}: {error}") from error
        if values.shape != shape or values.dtype != self.dtype:
            raise ValueError(
                f"{name}_initializer must give {self.dtype} of shape {shape}; "
                f"got {values.dtype} of shape {values.shape}"
            )
        return _frozen(values)

    def _checked(
        self, weights: Mapping[str, npt.ArrayLike], display: Callable[[str], str]
    ) -> dict[str, Array]:
        arrays = {name: _as_weight(weights[name], display(name), self.dtype) for name in self._initializers}
        if self._weights is not None:
            expected = {name: weight.shape for name, weight in self._weights.items()}
        else:
            first, array = next(iter(arrays.items()))
            try:
                expected = self._weight_shapes(self._input_shape_of(array.shape))
            except IndexError:
                raise ValueError(
                    f"weight {display(first)!r} has too few axes; got the shape {array.shape}"
                ) from None
        for name, array in arrays.items():
            if array.shape != expected[name]:
                raise ValueError(
                    f"weight {display(name)!r} must have shape {expected[name]}; got {array.shape}"
                    + self._layout_hint(name, array.shape, expected[name])
                )
        for name, array in arrays.items():
            try:
                arrays[name] = _frozen(array)
            except MemoryError as error:
                raise MemoryError(f"no memory for weight {display(name)!r}: {error}") from None
        return arrays

    def _install(self, weights: dict[str, Array]) -> None:
        self._prepared = self._prepare(weights)
        self._weights = weights

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if self._weights is not None:
            self._install({name: _read_only(weight) for name, weight in self._weights.items()})


def _as_dimension(size: Any) -> int:
    if isinstance(size, (bool, np.bool_)):
        raise TypeError
    return operator.index(size)


def _snake_case(name: str) -> str:
    """The default name that Keras gives: Conv2DTranspose -> conv2d_transpose, LeakyReLU -> leaky_re_lu."""
    return re.sub(r"(?<!^)(?=[A-Z][a-z0-9])|(?<=[a-z])(?=[A-Z])", "_", name).lower()


def _as_dtype(dtype: npt.DTypeLike) -> np.dtype[Any]:
    try:
        result: np.dtype[Any] = np.dtype(dtype)
    except Exception:  # of a repr, among others
        result = np.dtype(object)
    if dtype is None or result not in _DTYPES:  # NumPy takes None as float64
        raise TypeError(f"dtype must be float32 or float64; got {shown(dtype)}")
    return result


def _initializer(spec: Any, weight: str) -> Callable[..., Array]:
    try:
        return initializers.get(spec)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{weight}_initializer: {error}") from None


def _as_weight(value: npt.ArrayLike, label: str, dtype: np.dtype[Any]) -> Array:
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"weight {label!r} is not an array: {error}") from None
    if array.dtype != dtype:  # byte order is a matter of storage, so '>f4' counts as float32
        if array.dtype.newbyteorder("=") == dtype:
            return array.astype(dtype)
        raise TypeError(
            f"weight {label!r} must be {dtype}; got {array.dtype}: cast it with "
            f"np.asarray(w, {dtype.name!r}), or make the layer with dtype={array.dtype.name!r}"
        )
    return array


def _read_only(array: Array) -> Array:
    view = array.view()
    view.flags.writeable = False
    return view


def _frozen(array: Array) -> Array:
    return _read_only(np.array(array, order="C"))
