"""The base of all layers: a name, an input shape, and weights that are replaced as a whole, never in place.

That last rule makes a layer safe to call from many threads: `call` reads one attribute, `_prepared`, and
another thread replaces it by a new object. Building happens once, under the layer's lock.
"""

from __future__ import annotations

import abc
import contextlib
import copy
import types
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from typing import Any, ClassVar, Self, overload

import numpy as np
import numpy.typing as npt

from .._inference import InferenceOnly
from .._layouts import build_from
from .._locks import fork_lock
from .._progress import Progress
from .._types import Real
from ..arguments import as_operand, mixed_dtypes, shown
from .errors import tell, telling
from .keywords import refuse_training, understands_keras
from .parts import check_held, find, hides, is_name, rebuilt, rehearses, unchanged, visit, watching
from .shapes import TOO_SMALL, Shape, as_dimension, check_pixels, keep_unknown, product, snake_case
from .symbolic import SymbolicTensor, is_symbolic
from .texts import document

__all__ = ["TOO_SMALL", "Array", "Layer", "Shape", "check_pixels", "keep_unknown", "product"]

Array = npt.NDArray[Any]
Symbols = Sequence[SymbolicTensor] | Mapping[str, SymbolicTensor]
_STAND_INS = 1024, 1864  # two sizes that replace an unknown one in a call without images


class Layer(InferenceOnly, abc.ABC):
    """A named step of a network: `layer(x)` gives an array, `layer.compute_output_shape(shape)` its shape.

    A subclass writes `call(x)`, and `compute_output_shape` where the shape changes. Shapes include the
    batch axis, as Keras's do: (None, 28, 28, 1). Layers pickle and copy; a copy shares the immutable
    weights.

    name -> : shared, layer

    Examples
    --------
    >>> class Negate(Layer):
    ...     def call(self, x):
    ...         return -x
    >>> layer = Negate()
    >>> layer.name, layer([1.0, 2.0]).tolist()
    ('negate', [-1.0, -2.0])
    """

    rank: ClassVar[int | None] = None  # the number of axes that x must have, batch included
    axes: ClassVar[str] = "batch, ..."  # their names, for messages

    stated_shape: Shape | None = None  # from Keras's input_shape=; it builds a Sequential at its first layer

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if cls.__module__.startswith("convlite."):
            document(cls)
        if "__init__" in cls.__dict__:
            type.__setattr__(cls, "__init__", understands_keras(cls.__dict__["__init__"]))
        if "compute_output_shape" in cls.__dict__:
            type.__setattr__(cls, "compute_output_shape", telling(cls.__dict__["compute_output_shape"]))

    @understands_keras
    def __init__(self, *, name: str | None = None) -> None:
        if name is not None and not is_name(name):
            raise ValueError(f"name must be a string without slashes, and not only dots; got {shown(name)}")
        self.has_own_name = name is not None
        self.name: str = name if name is not None else snake_case(type(self).__name__)
        self.input_shape: Shape | None = None
        self._prepared: Any = None
        self._lock = fork_lock()

    @overload
    def __call__(
        self, x: SymbolicTensor, *, training: bool | None = None, mask: None = None
    ) -> SymbolicTensor: ...
    @overload
    def __call__(
        self, x: npt.NDArray[Real], *, training: bool | None = None, mask: None = None
    ) -> npt.NDArray[Real]: ...
    @overload
    def __call__(self, x: npt.ArrayLike, *, training: bool | None = None, mask: None = None) -> Array: ...
    @overload
    def __call__(self, x: Symbols, *, training: bool | None = None, mask: None = None) -> Any: ...
    def __call__(self, x: Any, *, training: bool | None = None, mask: None = None) -> Any:
        """Build the layer for x's shape if it is not built yet, and return `call(x)`.

        training and mask are Keras's; they may be False and None. The call on a symbolic tensor, which
        `Input` gives, is recorded for a `Model`; its result is symbolic too."""
        if training is not None or mask is not None:
            refuse_training(self.name, training, mask)
        if type(x) is not np.ndarray and is_symbolic(x):
            from .tracing import called

            return called(self, x)
        try:
            if self._ready == 2:  # self._prepared(x) would be looked up as a method first
                return (run := self._prepared)(x)  # noqa: F841
            return self.call(x) if self._ready else self._first_call(x)
        except (TypeError, ValueError) as error:
            tell(error, self, x)
            raise

    def _first_call(self, x: npt.ArrayLike) -> Array:
        """Build the layer if it is not built yet, and call it; a refused call leaves the layer unchanged."""
        check_held(self)
        if self.input_shape is None:
            x = self._first_operand(x)
        with self._lock:
            if not self._ready:
                with unchanged(self), watching(self):
                    if self.input_shape is None:
                        x = self._first_operand(x)
                        build_from(self.build, x.shape, self._reads_images(), self.built)
                    y = self.call(x)
                    self._ready = 1
                return y
        return self.call(x)

    def _first_operand(self, x: npt.ArrayLike) -> Array:
        """Return x as an array of the dtype of the layer's weights, if it has weights."""
        array, dtype = as_operand(x, "x"), getattr(self, "dtype", None)
        if self._own_names() and dtype is not None and array.dtype != dtype:
            self.compute_output_shape((None, *array.shape[1:]))  # errors of the shape are raised first
            raise mixed_dtypes(x, "x", array.dtype, dtype, (f"the layer {self.name}", None))
        return array

    def _reads_images(self) -> bool:
        """Whether x is (N, H, W, C), so that its shape may show that channels come first."""
        return self.rank == 4

    @abc.abstractmethod
    def call(self, x: Any) -> Array:
        """Compute the output of a layer that is built; `layer(x)` also builds a layer that is not.

        x -> ndarray : The output. : shared, quiet

        Examples
        --------
        >>> from convlite.layers import ReLU
        >>> ReLU().call(np.array([-1.0, 2.0])).tolist()
        [0.0, 2.0]
        """

    def sublayers(self) -> list[tuple[str, Layer]]:
        """Return the layers in this one's attributes, and in lists, tuples and dicts there.

        Their weights belong to this layer too, under names such as "conv/kernel" or "blocks/0/kernel". The
        weights of a layer that is held twice have the first of its names.

        () -> list of (str, Layer) : The layers with their paths, such as "conv" or "blocks/0". : shared, held

        Examples
        --------
        >>> from convlite.layers import ReLU, Sequential
        >>> [path for path, _ in Sequential([ReLU()]).sublayers()]
        ['re_lu']
        """
        kind = type(self)
        for owner in kind.__mro__[: kind.__mro__.index(Layer)]:
            for name, value in vars(owner).items():
                slot = isinstance(value, types.MemberDescriptorType) and hasattr(self, name)
                if isinstance(getattr(self, name) if slot else value, Layer):
                    raise ValueError(
                        f"{self.name} holds a layer in {owner.__name__}.{name}, which is no attribute of its "
                        "own: make it in __init__, as self..."
                    )
        if hides(kind.call, Layer):
            raise ValueError(
                f"{kind.__name__}.call uses a layer that {self.name} does not hold: its weights would be "
                "neither counted nor saved; keep it in an attribute"
            )
        return find(self.name, {k: v for k, v in vars(self).items() if k not in self._private}, _LAYER)

    @property
    def built(self) -> bool:
        """Whether the layer and all layers inside have their weights; True for a layer without weights."""
        return all(layer._has_weights for layer, _ in visit(self))

    @property
    def output_shape(self) -> Shape | None:
        """The output's shape for `input_shape`, or None before the layer is built."""
        return None if self.input_shape is None else self.compute_output_shape(self.input_shape)

    @telling
    def build(self, input_shape: Sequence[int | None]) -> None:
        """Fix the input shape and create the weights that do not exist yet.

        The layers inside are built by a call on a batch without images, if all other sizes are known. A
        layer that refuses the shape remains unchanged, and so do the layers inside.

        input_shape -> : shared, shape

        Examples
        --------
        >>> from convlite.layers import Dense
        >>> layer = Dense(3)
        >>> layer.build((None, 2))
        >>> layer.built, layer.output_shape
        (True, (None, 3))
        """
        shape = self.as_input_shape(input_shape)
        with self._lock, unchanged(self):
            declared = self.compute_output_shape(shape) if self._knows_its_output() else None
            self._ensure_weights(shape)
            self.input_shape = shape
            if not rehearses():
                return
            self._build_parts(shape, declared)
            self._rehearse((1 if shape[:1] == (None,) else shape[0], *shape[1:]) if shape else shape)

    @telling
    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Shape:
        """Return the shape of `layer(x)` for an x of this shape.

        A layer that holds others and does not define this method is called on a batch without images. That
        call needs known sizes, unless the layers inside are built.

        input_shape -> tuple of int or None : The shape of the output. : shared, shape

        Examples
        --------
        >>> from convlite.layers import Dense
        >>> Dense(3).compute_output_shape((None, 2))
        (None, 3)
        """
        shape = self.as_input_shape(input_shape)
        if self._knows_its_output():
            return shape
        if self._traced is not None and self._traced[:2] == (shape[1:], self._parts_now()):
            return (*shape[:1], *self._traced[2])
        from .weighted import WeightedLayer

        twin = copy.copy(self)
        for layer, _ in visit(twin):
            if isinstance(layer, WeightedLayer):  # a shape needs no random numbers
                layer._initializers = dict.fromkeys(layer._initializers, np.zeros)
        if None not in shape[1:]:
            with watching(twin, anew=True):
                twin.build(shape)
            assert twin._traced is not None
            return (*shape[:1], *twin._traced[2])
        if not self.built:
            raise ValueError(
                f"{self.name} holds layers; what it gives for {shape} is not known before they are built: "
                "build or call it with known sizes first, or write its compute_output_shape"
            )
        with watching(twin, anew=True):  # a size that depends on an unknown one differs between both calls
            first, second = (
                twin._dry([size or other for size in shape[1:]]).shape[1:] for other in _STAND_INS
            )
        if len(first) != len(second):
            raise ValueError(f"{self.name} gives another number of axes for images of another size")
        return (*shape[:1], *(a if a == b else None for a, b in zip(first, second, strict=True)))

    def _knows_its_output(self) -> bool:
        """Whether compute_output_shape can answer without a call."""
        return type(self).compute_output_shape is not Layer.compute_output_shape or not self.sublayers()

    def _parts_now(self) -> tuple[int, ...]:
        return tuple(id(layer) for layer, _ in visit(self))

    def _build_parts(self, shape: Shape, declared: Shape | None) -> None:
        """Build the layers inside by a call on no images, and check the output against the declared shape."""
        if not self.sublayers() or None in shape[1:] or not shape:
            return
        with watching(self):
            given = self._dry(shape[1:]).shape[1:]
        agreed = given if declared is None else declared[1:]
        if len(agreed) != len(given) or any(a not in (None, b) for a, b in zip(agreed, given, strict=True)):
            raise ValueError(
                f"{self.name} gives the shape {(None, *given)} for {shape}; its compute_output_shape says "
                f"{declared}"
            )
        self._traced = shape[1:], self._parts_now(), given

    def _dry(self, sizes: Sequence[int | None]) -> Array:
        """Return the result of `call` for no images, or for one image if `call` needs one."""
        from .weighted import WeightedLayer

        weighted = (layer.dtype for layer, _ in visit(self) if isinstance(layer, WeightedLayer))
        dtype, known = next(weighted, np.dtype(np.float32)), [size or 0 for size in sizes]
        with np.errstate(all="ignore"):
            try:
                return self.call(np.zeros((0, *known), dtype))
            except Exception:
                return self.call(np.zeros((1, *known), dtype))

    def multiply_adds(self, input_shape: Sequence[int | None]) -> int | None:
        """Count the multiplications (each with its addition) for one sample.

        input_shape -> int or None : The number; None where it is not known. : shared, shape

        Examples
        --------
        >>> from convlite.layers import Dense
        >>> Dense(3).multiply_adds((None, 2))
        6
        """
        return None if self.sublayers() else 0

    def weight_names(self) -> list[str]:
        """Return the names of the weights, also of the layers inside, in the order of `get_weights`.

        () -> list of str : The names, such as "conv/kernel". : shared, quiet

        Examples
        --------
        >>> from convlite.layers import Dense
        >>> Dense(3).weight_names()
        ['kernel', 'bias']
        """
        return list(self._places())

    def named_weights(self) -> dict[str, Array]:
        """Return the weights by name.

        () -> dict of str to ndarray : Read-only arrays, not copies. : shared, built

        Examples
        --------
        >>> from convlite.layers import Dense
        >>> list(Dense.from_weights([[1.0]]).named_weights())
        ['kernel']
        """
        held: dict[int, dict[str, Array]] = {}
        for holder, _ in self._places().values():
            if id(holder) not in held:
                own = holder is self or not holder._names_its_own()
                held[id(holder)] = holder._held() if own else holder.named_weights()
        return {name: held[id(holder)][weight] for name, (holder, weight) in self._places().items()}

    def get_weights(self) -> list[Array]:
        """Return copies of the weights, in Keras's order.

        () -> list of ndarray : The copies. : shared, built

        Examples
        --------
        >>> from convlite.layers import Dense
        >>> Dense.from_weights([[1.0]]).get_weights()
        [array([[1.]])]
        """
        return [weight.copy() for weight in self.named_weights().values()]

    @telling
    def set_weights(self, weights: Sequence[npt.ArrayLike]) -> None:
        """Replace all weights; a layer that is not built takes its number of channels from them.

        weights -> : shared, assign

        Examples
        --------
        >>> from convlite.layers import Dense
        >>> layer = Dense(1)
        >>> layer.set_weights([np.float32([[2.0]]), np.float32([1.0])])
        >>> layer(np.float32([[3.0]])).tolist()
        [[7.0]]
        """
        names = self.weight_names()
        if len(weights) != len(names):
            raise ValueError(f"{self.name} has {len(names)} weights {names}; got {len(weights)} arrays")
        self.assign(dict(zip(names, weights, strict=True)))

    @telling
    def assign(self, weights: Mapping[str, npt.ArrayLike]) -> None:
        """Replace all weights, by name.

        weights -> : shared, assign

        Examples
        --------
        >>> from convlite.layers import Dense
        >>> Dense(1, use_bias=False).assign({"kernel": np.float32([[2.0]])})
        """
        names = self.weight_names()
        missing, unknown = [n for n in names if n not in weights], [n for n in weights if n not in names]
        if missing or unknown:
            raise ValueError(f"weights must be those of {self.name}: missing {missing}, unknown {unknown}")
        parts: dict[int, tuple[Layer, dict[str, str]]] = {}
        for name, (holder, weight) in self._places().items():
            parts.setdefault(id(holder), (holder, {}))[1][weight] = name
        with self._lock, unchanged(self):
            checked = [  # all weights are checked and packed before the first one is replaced
                (holder, holder._made({w: weights[n] for w, n in part.items()}, self._displays(part)))
                for holder, part in parts.values()
            ]
            for holder, made in checked:
                holder._set(made)

    def _displays(self, part: Mapping[str, str]) -> Callable[[str], str]:
        return lambda weight: self._display(part[weight])

    def tiled(
        self,
        x: Any,
        out: Any = None,
        tile: int | Sequence[int] | None = None,
        memory: float | None = None,
        progress: Progress = False,
        journal: str | PathLike[str] | None = None,
    ) -> Any:
        """Compute the layer's network tile by tile, for images larger than memory: see `Network.tiled`.

        This works for a single layer too. The result has the bits of the same network on the whole image.

        x, out, tile, memory, progress, journal -> ndarray, or what out is : The output. : shared, tiled

        Examples
        --------
        >>> from convlite.layers import Conv2D
        >>> layer = Conv2D.from_weights(np.ones((3, 3, 3, 4), np.float32), padding="same")
        >>> x = np.random.default_rng(0).random((1, 50, 60, 3), np.float32)
        >>> np.array_equal(layer.tiled(x, tile=16), layer(x))
        True
        """
        return self._for_tiles(x).tiled(x, out, tile, memory, progress, journal)

    def _for_tiles(self, x: Any) -> Any:
        """The network for images of the size of x."""
        from .sequential import Sequential

        return Sequential([self])._for_tiles(x)

    def count_params(self) -> int:
        """Count the numbers in the weights.

        () -> int : The number of parameters; a shared layer counts once. : shared, built

        Examples
        --------
        >>> from convlite.layers import Dense
        >>> Dense.from_weights([[1.0, 2.0]], [0.0, 0.0]).count_params()
        4
        """
        return sum(weight.size for weight in self.named_weights().values())

    def as_input_shape(self, input_shape: Sequence[int | None]) -> Shape:
        """Check an input shape.

        input_shape -> tuple of int or None : The shape, of the rank that this layer takes. : shared, shape

        Examples
        --------
        >>> from convlite.layers import ReLU
        >>> ReLU().as_input_shape([None, 4])
        (None, 4)
        """
        try:
            if isinstance(input_shape, (str, bytes)):
                raise TypeError
            shape = tuple(None if size is None else as_dimension(size) for size in input_shape)
        except TypeError:
            hint = ": write x.shape" * isinstance(input_shape, np.ndarray)
            told = f"input_shape must be a sequence of sizes or None; got {shown(input_shape)}{hint}"
            raise TypeError(told) from None
        if self.rank is not None and len(shape) != self.rank:
            raise ValueError(
                f"{type(self).__name__} {self.name!r} takes {self.rank} axes ({self.axes}); got the shape "
                f"{shown(shape)}"
                + ("; is the batch axis missing? It comes first" if len(shape) == self.rank - 1 else "")
            )
        if any(size is not None and size < 0 for size in shape):
            raise ValueError(f"input_shape must not be negative; got {shown(shape)}")
        return shape

    # Calls on symbolic tensors.

    def _flat(self, x: Any) -> tuple[list[SymbolicTensor], bool]:
        """The tensors in the argument of a call, and whether the argument is a single tensor."""
        from .tracing import flat

        return flat(self, x)

    def _given(self, tensors: list[SymbolicTensor], single: bool) -> Any:
        """Return the layer's symbolic outputs for these inputs; the layer is built by this."""
        from .tracing import given_by

        return given_by(self, tensors, single)

    def _plan_of_calls(self) -> tuple[Any, list[Layer]] | None:
        """The layer's calls as a tracing.Plan and its layers, if they were recorded at its construction."""
        return None

    # Methods that a layer with weights overrides.

    def _ensure_weights(self, shape: Shape) -> None:
        """Create the weights for this input shape, or check that the present ones fit it."""

    def _rehearse(self, shape: Shape) -> None:
        """Do in advance the work of the first call with this input shape."""

    def _display(self, weight: str) -> str:
        """The name of a weight in messages."""
        return f"{self.name}/{weight}"

    def _own_names(self) -> list[str]:
        """The names of the layer's own weights, without those of the layers inside."""
        return []

    def _held(self) -> dict[str, Array]:
        """The layer's own weights, by name. ValueError before there are any."""
        return {}

    _has_weights: bool = True  # whether the weights exist

    def _made(self, weights: Mapping[str, npt.ArrayLike], display: Callable[[str], str]) -> Any:
        """Check new weights of the layer itself and return them in the form that `_set` takes."""
        if type(self).assign is Layer.assign:
            raise ValueError(f"{self.name} names weights of its own, {list(weights)}; it must have an assign")
        return weights

    def _set(self, made: Any) -> None:
        """Replace the layer's own weights by the result of `_made`; this never fails."""
        self.assign(made)

    # Finding and naming the weights of the layers inside.

    def _names_its_own(self) -> bool:
        """Whether a subclass defines the public methods for names itself."""
        return type(self).weight_names is not Layer.weight_names

    def _label(self, part: str, weight: str) -> str:
        """The name in this layer for a weight of a layer inside."""
        return f"{part}/{weight}"

    def _places(self) -> dict[str, tuple[Layer, str]]:
        """Map the name of every weight to the layer that has it and the weight's name in that layer."""
        places: dict[str, tuple[Layer, str]] = {}
        for layer, label in visit(self):
            own = layer is self or not layer._names_its_own()
            for weight in layer._own_names() if own else layer.weight_names():
                name = label(weight)
                if name in places:
                    raise ValueError(f"{self.name} has two weights of the name {name!r}: rename a layer")
                places[name] = layer, weight
        return places

    # Copies share immutable objects. A pickle holds plain arrays, which are packed again when it is loaded.

    _shared: ClassVar[frozenset[str]] = frozenset({"_prepared", "_weights", "_lock"})
    _private: ClassVar[frozenset[str]] = _shared | {"_initializers", "_traced"}  # these hold no layers
    _ready: int = 0  # 1: the layer was called: its shapes are known; 2: also, `call` only calls `_prepared`
    _traced: tuple[Shape, tuple[int, ...], Shape] | None = None  # input, layers inside, output

    def __copy__(self) -> Self:
        return self._copied({})

    def _copied(self, memo: dict[int, Any]) -> Self:
        """Return a copy with copies of the layers inside; everything else is shared."""
        if id(self) in memo:
            known: Self = memo[id(self)]
            return known
        twin = memo[id(self)] = type(self).__new__(type(self))
        for key, value in list(self.__dict__.items()):
            inside = key not in self._private
            twin.__dict__[key] = rebuilt(value, _LAYER, lambda part: part._copied(memo)) if inside else value
        twin._lock = fork_lock()
        twin._renew()
        return twin

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        twin = memo[id(self)] = type(self).__new__(type(self))
        for key, value in list(self.__dict__.items()):
            twin.__dict__[key] = value if key in self._shared else copy.deepcopy(value, memo)
        twin._lock = fork_lock()
        twin._renew()
        return twin

    def _renew(self) -> None:
        """Prepare a copy, which has other layers inside."""

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key not in ("_prepared", "_lock")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._prepared = None
        self._lock = fork_lock()

    def __repr__(self) -> str:
        shapes = "not built"
        if self.input_shape:
            with contextlib.suppress(ValueError):  # some shapes are unknown before a call
                shapes = f"{self.input_shape} -> {self.output_shape}"
        return f"<{type(self).__name__} {self.name!r}: {shapes}>"


document(Layer)
_LAYER: type[Layer] = Layer  # type: ignore[type-abstract]  # for isinstance checks; it is never instantiated
