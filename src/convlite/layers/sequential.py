"""A network as a list of layers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Unpack, cast

import numpy as np
import numpy.typing as npt

from .._progress import Progress, reporting
from ..arguments import as_operand, as_size, new_output
from .base import Array, Layer
from .chain import Chain
from .errors import telling
from .keywords import Predicting, progress_of
from .parts import unchanged, visit
from .shaping import InputLayer
from .summary import table
from .weighted import WeightedLayer
from .weights import as_dtype
from .whole import Network, Whole, as_network, gives_batches

__all__ = ["Sequential"]


class Sequential(Chain, Whole):
    """A sequence of layers, each applied to the output of the one before; it is a layer itself.

    It is built by the first call, by `build((None, height, width, channels))`, or at once if the first
    layer is an InputLayer. Layers without a name are named in their order: conv2d, conv2d_1, ...
    Many threads may call it at once, but not while `add` or `set_weights` is running.

    Parameters
    ----------
    layers : iterable of Layer, default ()
        The layers, in order.
    name : shared, layer

    Raises
    ------
    errors : shared, layer

    Examples
    --------
    >>> import numpy as np
    >>> from convlite.layers import Conv2D, Dense, Flatten
    >>> model = Sequential([Conv2D(4, 3, activation="relu"), Flatten(), Dense(10, "softmax")])
    >>> model(np.zeros((2, 8, 8, 1), np.float32)).shape
    (2, 10)
    >>> model.weight_names()
    ['conv2d/kernel', 'conv2d/bias', 'dense/kernel', 'dense/bias']
    """

    def __init__(self, layers: Iterable[Layer] = (), *, name: str | None = None) -> None:
        super().__init__(name=name)
        self._steps: tuple[tuple[str, Layer], ...] = ()
        listed = list(layers)
        with unchanged(*(layer for layer in listed if isinstance(layer, Layer))):
            for layer in listed:
                self.add(layer)

    def add(self, layer: Layer) -> None:
        """Append a layer; it is built at once where the model is.

        Parameters
        ----------
        layer : Layer
            The layer.

        Raises
        ------
        TypeError
            For a value that is not a layer.
        ValueError
            For a name that is taken, or a layer that does not fit.

        Examples
        --------
        >>> from convlite.layers import ReLU
        >>> model = Sequential()
        >>> model.add(ReLU())
        >>> len(model.layers)
        1
        """
        if not isinstance(layer, Layer):
            raise TypeError(f"layers must be convlite layers; got {_described(layer)}")
        if any(layer is present for present in self.layers):
            raise ValueError(
                f"the layer {layer.name!r} is in {self.name} already: give copy.copy(layer) for another"
            )
        if any(inner is self for inner, _ in visit(layer)):
            raise ValueError(f"{self.name} must not hold itself, and {layer.name!r} has it inside")
        step = (self._free_name(layer), layer)
        first = not self._steps and isinstance(layer, InputLayer | Sequential)
        shape = layer.input_shape if first else self.output_shape
        if not self._steps and shape is None:
            shape = layer.stated_shape
        if shape is not None:
            with unchanged(layer):
                layer.build(shape)
        self._steps = (*self._steps, step)
        if self.input_shape is None:
            self.input_shape = shape

    def _free_name(self, layer: Layer) -> str:
        taken = {name for name, _ in self._steps}
        name, number = layer.name, 0
        while name in taken:
            if layer.has_own_name:
                raise ValueError(f"name {name!r} is taken by another layer of {self.name}: names must differ")
            number += 1
            name = f"{layer.name}_{number}"
        return name

    @property
    def steps(self) -> tuple[tuple[str, Layer], ...]:
        return self._steps

    def __getitem__(self, index: int) -> Layer:
        return self.layers[index]

    def _table(self) -> list[str]:
        return table(self)

    @telling
    def network(
        self, input_shape: Sequence[int | None] | None = None, *, dtype: npt.DTypeLike | None = None
    ) -> Network:
        """Return the model as a `convlite.Network` with the weights that it has now, which can be saved.

        The results may differ in the last bits from a call of the model, since the network folds batch
        normalizations and fuses layers.

        Parameters
        ----------
        input_shape : sequence of int or None, or None, default None
            The shape with the batch axis; None is a free size, and the batch is always free. None: the
            shape that the model was built for.
        dtype : dtype_like or None, default None
            The dtype of the input; None: that of the weights, else float32.

        Returns
        -------
        Network
            The network.

        Raises
        ------
        ValueError
            If no input shape is known, and for a layer that cannot be part of a network.

        Examples
        --------
        >>> import numpy as np
        >>> from convlite.layers import Conv2D, ReLU
        >>> model = Sequential([InputLayer((8, 8, 3)), Conv2D(4, 3), ReLU()])
        >>> net = model.network((None, None, None, 3))
        >>> net(np.zeros((2, 5, 6, 3), np.float32)).shape
        (2, 3, 4, 4)
        """
        from .graph import graph_of

        shape = self.input_shape if input_shape is None else input_shape
        if shape is None:
            raise ValueError(f"{self.name} has no input shape yet: give input_shape, or build it first")
        shape = self.as_input_shape(shape)
        if not self.built:
            self.build(shape)
        weighted = (layer.dtype for layer, _ in visit(self) if isinstance(layer, WeightedLayer))
        kind = next(weighted, np.dtype(np.float32)) if dtype is None else as_dtype(dtype)
        first = self._steps[0] if self._steps else ("", None)
        entry = first[0] if isinstance(first[1], InputLayer) else "input_layer"
        return as_network(graph_of(self, [(entry, shape, kind)], [name for name, _ in self._steps[-1:]]))

    def _for_tiles(self, x: Any) -> Network:
        """The network with free sizes, even if the model was built for fixed ones."""
        from .._hints import is_shape, other_order, shape_for_array

        if is_shape(x):
            raise TypeError(shape_for_array(x, "x", "float32"))
        first = next((layer.rank for layer in self if layer.rank is not None), len(np.shape(x)))
        rank = first if self.input_shape is None else len(self.input_shape)
        if self.input_shape is not None and len(np.shape(x)) == rank == 4:
            wanted = (None, None, None, self.input_shape[-1])
            if hint := other_order(np.shape(x), wanted, "the model", True):
                raise ValueError(f"x must have the shape {wanted}; got {np.shape(x)}{hint}")
        return self.network((*(None,) * (rank - 1), int(np.shape(x)[-1])))

    def predict(
        self,
        x: npt.ArrayLike | Iterable[npt.ArrayLike],
        batch_size: int | None = 32,
        progress: Progress = False,
        **keras: Unpack[Predicting],
    ) -> Array:
        """Compute the model for a few samples at a time, which bounds the memory of intermediate results.

        The bits are those of a single call.

        Parameters
        ----------
        x : array_like or iterable of array_like
            The samples, or batches of any sizes, for example from a generator; the results are joined.
        batch_size, progress : shared, predict
        **keras : object
            Keras's keywords: verbose=1 is progress=True; steps and callbacks are None.

        Returns
        -------
        ndarray
            The outputs of all samples.

        Raises
        ------
        TypeError
            For a value that is neither an array nor an iterable.
        ValueError
            For an iterable without a batch.

        Examples
        --------
        >>> import numpy as np
        >>> model = Sequential([InputLayer((2,))])
        >>> y = model.predict(np.ones((3, 2)), batch_size=2, progress=print)
        2 3
        3 3
        >>> model.predict(np.ones((n, 2)) for n in (1, 4)).shape
        (5, 2)
        """
        progress = progress_of(keras, progress)
        size = 32 if batch_size is None else as_size(batch_size, "batch_size")
        if gives_batches(x):
            return self._predict_batches(cast(Iterable[Any], x), size, progress)
        x = as_operand(cast(npt.ArrayLike, x), "x")
        if x.ndim == 0:
            raise ValueError("x must have a batch axis; got a scalar")
        total = x.shape[0]
        other = self.input_shape is not None and x.ndim != len(self.input_shape)  # the call refuses these
        if other or (total <= size and progress is False):
            return self(x)
        with reporting(progress, total, self.name) as report:
            first = self(x[:size])
            report(min(size, total))
            result = new_output((total, *first.shape[1:]), first.dtype)
            result[:size] = first
            for start in range(size, total, size):
                result[start : start + size] = self(x[start : start + size])
                report(min(start + size, total))
        return result

    def _predict_batches(self, batches: Iterable[Any], size: int, progress: Progress) -> Array:
        results: list[Array] = []
        done = 0
        with reporting(progress, None, self.name) as report:
            for number, batch in enumerate(batches):
                if isinstance(batch, (tuple, Mapping)) or batch is None:
                    raise TypeError(
                        f"x must give arrays; its batch {number} is a {type(batch).__name__}: give what the "
                        "model takes alone, such as (x for x, _ in batches)"
                    )
                y = self.predict(as_operand(batch, f"batch {number} of x"), size)
                if results and (y.shape[1:], y.dtype) != (results[0].shape[1:], results[0].dtype):
                    raise ValueError(
                        f"batch {number} of x gives {y.dtype} of shape {y.shape}, the first "
                        f"{results[0].dtype} of shape {results[0].shape}: they cannot be joined"
                    )
                results.append(y)
                done += len(y)
                report(done)
        if not results:
            raise ValueError("x must give at least one batch; it gave none: was this generator used before?")
        result = new_output((done, *results[0].shape[1:]), results[0].dtype)
        return np.concatenate(results, out=result)


def _described(value: object) -> str:
    if isinstance(value, type):
        return f"the class {value.__name__}: write {value.__name__}(...)"
    hint = ": wrap a function as Activation(function)" if callable(value) else ""
    return f"{type(value).__name__}{hint}"
