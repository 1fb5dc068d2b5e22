"""Networks with branches: Keras's functional form."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Unpack

import numpy as np
import numpy.typing as npt

from .._options import documented_module
from .._progress import Progress, reporting
from ..arguments import as_operand, as_size, new_output, shown
from .base import Array, Layer
from .keywords import Predicting, progress_of
from .parts import visit
from .shaping import InputLayer
from .summary import model_table
from .symbolic import Call, Operation, SymbolicTensor
from .tracing import Plan, check_dtypes, named, plan_of, replayed, symbolically, told, whole_order
from .weighted import WeightedLayer
from .weights import as_dtype
from .whole import Network, Whole, as_network, gives_batches

__all__ = ["Input", "Model"]


def Input(
    shape: Sequence[int | None],
    *,
    dtype: npt.DTypeLike = "float32",
    name: str | None = None,
    batch_size: None = None,
) -> SymbolicTensor:
    """Begin a Model: make a symbolic tensor that stands for an array to come.

    Parameters
    ----------
    shape : sequence of int or None
        The shape of one sample, without the batch axis; None where a size is free.
    dtype : dtype_like, default "float32"
        The dtype of the input, float32 or float64. The network computes in this dtype.
    name : str or None, default None
        The name of the input, for calls by name.
    batch_size : None, default None
        Keras's argument; only None is allowed, since the batch size is always free.

    Returns
    -------
    SymbolicTensor
        The tensor.

    Raises
    ------
    TypeError
        For another dtype, or a batch_size.
    ValueError
        For a negative size.

    Examples
    --------
    >>> Input((None, None, 3), name="image")
    <SymbolicTensor (None, None, None, 3) float32 of 'image'>
    """
    kind = as_dtype(dtype)
    if batch_size is not None:
        raise TypeError(f"Input: batch_size is not fixed in convlite: leave it out; got {shown(batch_size)}")
    layer = InputLayer(shape, name=name)
    return Call(layer, ()).gives((layer.batch_shape, kind))[0]


class Model(Whole):
    """The layers between symbolic tensors, as one layer with weights, a table and files.

    A call takes arrays in the structure of `inputs` (or a dict by the inputs' names) and returns arrays in
    the structure of `outputs`. A layer that was called twice has one set of weights. A Model, a Sequential
    and your own subclass of Layer are layers too. `layers` and the weights are in Keras's order: the layers
    farthest from the outputs come first. Layers without a name are named in this order: conv2d, conv2d_1...

    A call runs the model's network (`network()`), which folds batch normalization and fuses activations,
    and the result has the same bits for any batch and number of threads. Many threads may call at once.

    Parameters
    ----------
    inputs : SymbolicTensor, or list, tuple or dict of them
        The tensors that `Input` returned.
    outputs : SymbolicTensor, or list, tuple or dict of them
        The tensors that the layers returned.
    name : shared, layer

    Raises
    ------
    TypeError
        For a value that is not a symbolic tensor.
    ValueError
        For outputs that depend on a tensor outside of the inputs, for a name that two layers have, and for
        a layer that cannot be part of a network.

    Examples
    --------
    >>> import numpy as np
    >>> from convlite.layers import Add, Conv2D, GlobalAveragePooling2D
    >>> x = Input((None, None, 3))
    >>> y = Conv2D(4, 3, padding="same", activation="relu")(x)
    >>> y = Add()([y, Conv2D(4, 1)(x)])
    >>> model = Model(x, GlobalAveragePooling2D()(y))
    >>> model(np.zeros((2, 8, 9, 3), np.float32)).shape
    (2, 4)
    >>> model.weight_names()
    ['conv2d/kernel', 'conv2d/bias', 'conv2d_1/kernel', 'conv2d_1/bias']
    """

    _shared: ClassVar[frozenset[str]] = Layer._shared | {"_ends"}
    _private: ClassVar[frozenset[str]] = Layer._private | {"_ends", "_plan", "_forms", "_dtypes"}

    def __init__(self, inputs: Any, outputs: Any, *, name: str | None = None) -> None:
        super().__init__(name=name)
        starts, ends = _tensors(inputs, "inputs"), _tensors(outputs, "outputs")
        for tensor in starts:
            if tensor.call is None or not isinstance(tensor.call.target, InputLayer) or tensor.call.inputs:
                raise ValueError(
                    f"inputs of {self.name} must be what Input gave; got {tensor!r}: make an Input of its "
                    "shape, and call the layers behind it again"
                )
        if len({id(tensor.call.target) for tensor in starts if tensor.call is not None}) < len(starts):
            raise ValueError(f"inputs of {self.name} must differ; one of {shown(starts)} is there twice")
        layers = whole_order(starts, ends)
        self._plan: Plan = plan_of(starts, ends, layers, f"{self.name} (Model)")
        self._steps: tuple[tuple[str, Layer], ...] = _with_names(self.name, layers)
        self._entries = tuple(
            next(n for n, layer in enumerate(layers) if layer is tensor.call.target)
            for tensor in starts
            if tensor.call is not None
        )
        self._dtypes = tuple(tensor.dtype for tensor in starts)
        self._forms = _form(inputs), _form(outputs)
        self._ends: tuple[list[SymbolicTensor], list[SymbolicTensor]] | None = (starts, ends)
        if len(starts) == 1:
            self.input_shape = self.stated_shape = starts[0].shape
        self._graph()  # a layer that cannot be part of a network is refused now, not at the first call

    # ---- its parts

    @property
    def input_names(self) -> list[str]:
        """The names of the inputs, in order."""
        return [self._steps[entry][0] for entry in self._entries]

    @property
    def inputs(self) -> list[SymbolicTensor]:
        """The inputs as symbolic tensors; another Model can be made from them and `outputs`."""
        return list(self._symbolic_ends()[0])

    @property
    def outputs(self) -> list[SymbolicTensor]:
        """The outputs, as symbolic tensors."""
        return list(self._symbolic_ends()[1])

    def _symbolic_ends(self) -> tuple[list[SymbolicTensor], list[SymbolicTensor]]:
        ends = self._ends
        if ends is None:  # a copy has other layers, so its tensors are made again
            starts = [
                Call(layer, ()).gives((layer.batch_shape, dtype))[0]
                for layer, dtype in zip(self._input_layers(), self._dtypes, strict=True)
            ]
            ends = self._ends = (starts, replayed(self._plan, self.layers, starts, symbolically))
        return ends

    def _input_layers(self) -> list[InputLayer]:
        found = [self._steps[entry][1] for entry in self._entries]
        return [layer for layer in found if isinstance(layer, InputLayer)]

    def sublayers(self) -> list[tuple[str, Layer]]:
        steps = list(self._steps)
        inside = {id(layer) for _, layer in steps}
        return [*steps, *(part for part in super().sublayers() if id(part[1]) not in inside)]

    # ---- shapes

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape of the output for a shape of the input.

        input_shape -> tuple or list of tuples : The shape of each output. : shared, model

        Examples
        --------
        >>> from convlite.layers import Dense
        >>> x = Input((3,))
        >>> model = Model(x, Dense(2)(x))
        >>> model.compute_output_shape((None, 3))
        (None, 2)
        """
        shapes = [input_shape] if len(self._entries) == 1 else list(input_shape)
        found = [tensor.shape for tensor in self._replayed(shapes)]
        return found[0] if len(found) == 1 else found

    def _replayed(self, shapes: Sequence[Any]) -> list[SymbolicTensor]:
        if len(shapes) != len(self._entries):
            raise ValueError(
                f"{named(self)} has {len(self._entries)} inputs {self.input_names}; got {len(shapes)} shapes"
            )
        pairs = zip(shapes, self._dtypes, strict=True)
        tensors = [SymbolicTensor(Layer.as_input_shape(self, shape), dtype) for shape, dtype in pairs]
        return self._given_flat(tensors)

    def _given_flat(self, tensors: list[SymbolicTensor]) -> list[SymbolicTensor]:
        for layer, tensor, dtype in zip(self._input_layers(), tensors, self._dtypes, strict=True):
            layer.as_input_shape(tensor.shape)
            if tensor.dtype != dtype:
                raise TypeError(f"the input {layer.name!r} of {named(self)} is {dtype}; got {tensor!r}")
        return replayed(self._plan, self.layers, tensors, symbolically)

    def build(self, input_shape: Any) -> None:
        """Check whether the inputs fit: a Model is built when it is made.

        input_shape -> : shared, model

        Examples
        --------
        >>> from convlite.layers import Dense
        >>> x = Input((3,))
        >>> model = Model(x, Dense(2)(x))
        >>> model.build((None, 3))
        """
        self.compute_output_shape(input_shape)

    @property
    def output_shape(self) -> Any:
        """The shape of the output; a list of shapes where there are several."""
        shapes = [tensor.shape for tensor in self.outputs]
        return shapes[0] if len(shapes) == 1 else shapes

    def multiply_adds(self, input_shape: Any) -> int | None:
        """Count the multiplications (each with its addition) for one sample.

        input_shape -> int or None : The number; None where it is not known. : shared, model

        Examples
        --------
        >>> from convlite.layers import Dense
        >>> x = Input((3,))
        >>> model = Model(x, Dense(2)(x))
        >>> model.multiply_adds((None, 3))
        6
        """
        counts = [row[3] for row in self._rows([input_shape] if len(self._entries) == 1 else input_shape)]
        known = [work for work in counts if work is not None]
        return sum(known) if len(known) == len(counts) else None

    def _rows(self, shapes: Sequence[Any]) -> list[tuple[int | Operation, list[int], Any, int | None]]:
        """For each call: its target, the numbers of its inputs, its output shapes and multiply-adds."""
        rows: list[tuple[int | Operation, list[int], Any, int | None]] = []
        waiting = iter(self._plan.steps)

        def apply(
            target: Layer | Operation, tensors: list[SymbolicTensor], single: bool
        ) -> Sequence[SymbolicTensor]:
            found = symbolically(target, tensors, single)
            step = next(waiting)
            given: Any = tensors[0].shape if single else [tensor.shape for tensor in tensors]
            work = 0 if isinstance(target, Operation) else target.multiply_adds(given)
            outputs: Any = [tensor.shape for tensor in found]
            rows.append((step.target, list(step.inputs), outputs[0] if len(outputs) == 1 else outputs, work))
            return found

        pairs = zip(shapes, self._dtypes, strict=True)
        tensors = [SymbolicTensor(Layer.as_input_shape(self, shape), dtype) for shape, dtype in pairs]
        replayed(self._plan, self.layers, tensors, apply)
        return rows

    def _table(self) -> list[str]:
        shapes = [layer.batch_shape for layer in self._input_layers()]
        return model_table(self, self._steps, self._entries, shapes, self._plan, self._rows(shapes))

    def __repr__(self) -> str:
        shapes = ", ".join(
            f"{name} {layer.batch_shape}"
            for name, layer in zip(self.input_names, self._input_layers(), strict=True)
        )
        ends = ", ".join(str(tensor.shape) for tensor in self.outputs)
        return f"<{type(self).__name__} {self.name!r}: {shapes} -> {ends}>"

    # ---- calls

    def __call__(self, x: Any, *, training: bool | None = None, mask: None = None) -> Any:
        """Compute the outputs: arrays from arrays, symbolic tensors from symbolic tensors.

        x: one array, a list of them in the order of `input_names`, or a dict by these names. Each must have
        its input's dtype and fit its shape. training and mask are Keras's, and may be False and None.
        TypeError for another dtype and for wrong names, ValueError for another shape or number of arrays.
        """
        return super().__call__(x, training=training, mask=mask)

    def _flat(self, x: Any) -> tuple[list[SymbolicTensor], bool]:
        tensors = self._arguments(x)
        for tensor in tensors:
            if not isinstance(tensor, SymbolicTensor):
                raise TypeError(
                    f"{named(self)} is called on symbolic tensors and {told(tensor)}: all must be symbolic"
                )
        return tensors, len(tensors) == 1

    def _given(self, tensors: list[SymbolicTensor], single: bool) -> Any:
        if type(self).call is not Model.call:  # a subclass defines its own
            return super()._given(tensors, single)
        check_dtypes(self, tensors)
        return self._structured(self._given_flat(tensors))

    def _plan_of_calls(self) -> tuple[Plan, list[Layer]] | None:
        return (self._plan, self.layers) if type(self).call is Model.call else None

    def _first_call(self, x: Any) -> Any:
        return self.call(x)  # a Model is always built

    def _arguments(self, x: Any) -> list[Any]:
        """The arguments of a call as a list, in the order of the inputs."""
        names, keys = self.input_names, self._forms[0]
        if isinstance(x, Mapping):
            wanted = keys if isinstance(keys, tuple) and set(keys) == set(x) else tuple(names)
            missing = [name for name in wanted if name not in x]
            unknown = [key for key in x if key not in wanted]
            if missing or unknown:
                raise TypeError(
                    f"{named(self)} has the inputs {list(wanted)}: missing {missing}, unknown {unknown}"
                )
            return [x[name] for name in wanted]
        count = len(names)
        if count == 1:
            alone = isinstance(x, (list, tuple)) and len(x) == 1 and hasattr(x[0], "dtype")
            return [x[0]] if alone else [x]
        if not isinstance(x, (list, tuple)) or len(x) != count:
            received = f"a list of {len(x)}" if isinstance(x, (list, tuple)) else f"one {type(x).__name__}"
            raise ValueError(
                f"{named(self)} takes {count} arrays, a list in the order {names} or a dict; got {received}"
            )
        return list(x)

    def _structured(self, values: Sequence[Any]) -> Any:
        form = self._forms[1]
        if isinstance(form, tuple):
            return dict(zip(form, values, strict=True))
        return values[0] if form == "one" else tuple(values) if form == "tuple" else list(values)

    def call(self, x: Any) -> Any:
        return self._structured(self._computed(self._arguments(x)))

    def _computed(self, arguments: list[Any]) -> tuple[Array, ...]:
        names = self.input_names
        arrays = [as_operand(value, name) for value, name in zip(arguments, names, strict=True)]
        found = self._running()(*arrays)
        return found if isinstance(found, tuple) else (found,)

    def predict(
        self,
        x: Any,
        batch_size: int | None = 32,
        progress: Progress = False,
        **keras: Unpack[Predicting],
    ) -> Any:
        """Compute the model for a few samples at a time, which bounds the memory of intermediate results.

        The bits are those of a single call.

        Parameters
        ----------
        x : array_like, list, dict or iterable
            As for a call; a model of one input takes an iterable of batches too, whose results are joined.
        batch_size, progress : shared, predict
        **keras : object
            Keras's keywords: verbose=1 is progress=True; steps and callbacks are None.

        Returns
        -------
        ndarray, or the structure of outputs
            The outputs of all samples.

        Raises
        ------
        ValueError
            For inputs with batches of other sizes, and for an iterable without a batch.

        Examples
        --------
        >>> from convlite.layers import Dense
        >>> x = Input((3,))
        >>> model = Model(x, Dense(2)(x))
        >>> model.predict(np.ones((5, 3), np.float32), batch_size=2).shape
        (5, 2)
        """
        progress = progress_of(keras, progress)
        size = 32 if batch_size is None else as_size(batch_size, "batch_size")
        alone = len(self._entries) == 1
        parts: Iterable[list[Any]]
        total: int | None = None
        if alone and not isinstance(x, (list, tuple, Mapping)) and gives_batches(x):
            parts = ([batch] for batch in x)
        else:
            pairs = zip(self._arguments(x), self.input_names, strict=True)
            arrays = [as_operand(value, name) for value, name in pairs]
            lengths = {len(array) if array.ndim else None for array in arrays}
            total = lengths.pop()
            if lengths or total is None:
                raise ValueError(
                    f"{named(self)} takes the same number of samples for each input; got the shapes "
                    f"{[array.shape for array in arrays]}"
                )
            from ..network.inputs import check_axes

            for array, value in zip(arrays, self._running().inputs, strict=True):
                check_axes(array, value)
            count = total
            parts = (
                [array[start : start + size] for array in arrays] for start in range(0, max(count, 1), size)
            )
        results: list[tuple[Array, ...]] = []
        done = 0
        with reporting(progress, total, self.name) as report:
            for part in parts:
                results.append(self._computed(part))
                done += len(part[0])
                report(done)
        if not results:
            raise ValueError("x must give at least one batch; it gave none: was this generator used before?")
        return self._structured([_joined(outputs) for outputs in zip(*results, strict=True)])

    # ---- the network

    def network(self) -> Network:
        """Return the model as a `convlite.Network` with the weights that it has now, which can be saved.

        Later changes of the model's weights do not reach it.

        Returns
        -------
        Network
            The network.

        Raises
        ------
        ValueError
            For a layer that cannot be part of a network.

        Examples
        --------
        >>> from convlite.layers import Dense
        >>> x = Input((3,))
        >>> model = Model(x, Dense(2)(x))
        >>> model.network().inputs[0].shape
        ('batch', 3)
        """
        return as_network(self._graph())

    def _graph(self) -> Any:
        from .graph import graph_of

        layers = self._input_layers()
        inputs = [
            (name, layer.batch_shape, dtype)
            for name, layer, dtype in zip(self.input_names, layers, self._dtypes, strict=True)
        ]
        return graph_of(self, inputs, self._output_names())

    def _output_names(self) -> list[str]:
        """The keys of `outputs`, or the names of the layers that give them."""
        if isinstance(self._forms[1], tuple):
            return list(self._forms[1])
        made = {number: step.target for step in self._plan.steps for number in step.outputs}
        entries = dict(zip(self._plan.inputs, self._entries, strict=True))
        names = []
        for number in self._plan.outputs:
            target = made.get(number, entries.get(number, 0))
            names.append(self._steps[target][0] if isinstance(target, int) else target.kind)
        return names

    def _running(self) -> Network:
        """The network with the layers' current weights; it is made again if the weights have changed."""
        held = self._prepared
        if held is None or not _still(held[1]):
            with self._lock:
                held = self._prepared
                if held is None or not _still(held[1]):
                    weights = [(layer, _weights_of(layer)) for layer, _ in visit(self) if _is_weighted(layer)]
                    held = self._prepared = (self.network(), weights)
        network: Network = held[0]
        return network

    def _renew(self) -> None:
        self._prepared = self._ends = None

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_ends": None}


def _is_weighted(layer: Layer) -> bool:
    return isinstance(layer, WeightedLayer) or layer._names_its_own()


def _weights_of(layer: Layer) -> list[Any]:
    """The objects that hold a layer's weights. New weights are new objects, as none changes in place."""
    if isinstance(layer, WeightedLayer) and not layer._names_its_own():
        return [layer._weights]
    return list(layer.named_weights().values())


def _still(held: list[tuple[Layer, list[Any]]]) -> bool:
    for layer, before in held:
        if type(layer).weight_names is Layer.weight_names:
            if layer._weights is not before[0]:  # type: ignore[attr-defined]
                return False
        elif any(a is not b for a, b in zip(_weights_of(layer), before, strict=True)):
            return False
    return True


def _tensors(value: Any, what: str) -> list[SymbolicTensor]:
    """The symbolic tensors in an argument of Model."""
    entries: list[Any] = (
        list(value.values())
        if isinstance(value, Mapping)
        else list(value)
        if isinstance(value, (list, tuple))
        else [value]
    )
    if not entries:
        raise ValueError(f"{what} must hold at least one symbolic tensor; got {shown(value)}")
    for entry in entries:
        if not isinstance(entry, SymbolicTensor):
            hint = ": call the layer on one" if isinstance(entry, Layer) else ""
            raise TypeError(
                f"{what} must be symbolic tensors, which Input and layers called on them give; "
                f"got {shown(entry)}{hint}"
            )
    return entries


def _form(value: Any) -> str | tuple[str, ...]:
    """How tensors were given: "one", "list", "tuple", or the keys of a dict."""
    if isinstance(value, Mapping):
        return tuple(str(key) for key in value)
    return "tuple" if isinstance(value, tuple) else "list" if isinstance(value, list) else "one"


def _with_names(model: str, layers: Sequence[Layer]) -> tuple[tuple[str, Layer], ...]:
    """The layers with unique names: a layer's own name, or its class's name with a number."""
    taken: dict[str, Layer] = {}
    for layer in layers:
        if layer.has_own_name:
            if layer.name in taken:
                kinds = f"{type(taken[layer.name]).__name__} and a {type(layer).__name__}"
                raise ValueError(f"{model}: the name {layer.name!r} is that of a {kinds}: names must differ")
            taken[layer.name] = layer
    steps = []
    for layer in layers:
        name, number = layer.name, 0
        while not layer.has_own_name and name in taken:
            number += 1
            name = f"{layer.name}_{number}"
        taken[name] = layer
        steps.append((name, layer))
    return tuple(steps)


def _joined(parts: tuple[Array, ...]) -> Array:
    if len(parts) == 1:
        return parts[0]
    first = parts[0]
    if any((part.shape[1:], part.dtype) != (first.shape[1:], first.dtype) for part in parts):
        raise ValueError(
            f"batches of x give {shown(sorted({part.shape[1:] for part in parts}))}: they cannot be joined"
        )
    result = new_output((sum(len(part) for part in parts), *first.shape[1:]), first.dtype)
    return np.concatenate(parts, out=result)


documented_module(globals())
