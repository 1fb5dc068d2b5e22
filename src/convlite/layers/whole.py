"""Methods of whole models: the table of layers, files of weights, and conversion to a network."""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from .._weight_files import write_weights
from ..arguments import shown
from .base import Layer
from .errors import telling
from .files import LoadReport, Rename, load_into

if TYPE_CHECKING:
    from ..network.network import Network
    from ..network.profile import Profile
else:  # imported when a network is made; at run time the type hints are Any
    Network = Profile = Any

__all__ = ["Network", "Whole", "as_network", "gives_batches"]


class Whole(Layer):
    """A layer that is a model: Sequential and Model."""

    _steps: tuple[tuple[str, Layer], ...]  # names and layers

    @property
    def layers(self) -> list[Layer]:
        """The layers, in Keras's order; they include the layers of a Model's inputs."""
        return [layer for _, layer in self._steps]

    def __len__(self) -> int:
        return len(self._steps)

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers)

    def get_layer(self, name: str) -> Layer:
        """Return the layer of this name.

        Parameters
        ----------
        name : str
            The name.

        Returns
        -------
        Layer
            The layer.

        Raises
        ------
        ValueError
            If there is no layer of this name.

        Examples
        --------
        >>> from convlite.layers import Dense, InputLayer, Sequential
        >>> model = Sequential([InputLayer((3,)), Dense(2)])
        >>> model.get_layer("dense").units
        2
        """
        for known, layer in self._steps:
            if known == name:
                return layer
        raise ValueError(
            f"{self.name} has no layer {name!r}; its layers are {[known for known, _ in self._steps]}"
        )

    @abc.abstractmethod
    def network(self) -> Network:
        """The model as a `convlite.Network`, with the weights that it has now."""

    @abc.abstractmethod
    def _table(self) -> list[str]:
        """The lines of the summary."""

    def _display(self, weight: str) -> str:
        return weight

    def __str__(self) -> str:
        return "\n".join(self._table())

    def summary(self, print_fn: Callable[[str], object] | None = None) -> None:
        """Print a table of the layers, output shapes, parameters and multiply-adds.

        `str(model)` is its text.

        Parameters
        ----------
        print_fn : callable or None, default None
            A function that is called with each line, instead of print.

        Examples
        --------
        >>> from convlite.layers import Dense, InputLayer, Sequential
        >>> model = Sequential([InputLayer((3,)), Dense(2)])
        >>> lines = []
        >>> model.summary(print_fn=lines.append)
        """
        if print_fn is not None and not callable(print_fn):
            raise TypeError(
                f"print_fn must be a function of one line; got {shown(print_fn)}: a model knows its shapes, "
                "and network().summary(shape) shows those for others"
            )
        for line in self._table():
            (print if print_fn is None else print_fn)(line)

    def save(self, path: str | PathLike[str], *, float16: bool = False) -> None:
        """Write the model's network to a file that `convlite.load` reads: `network().save(path)`.

        Parameters
        ----------
        path : str or path-like
            It ends in .npz or .safetensors.
        float16 : bool, default False
            Whether the weights are stored in half the bytes, rounded to half precision.

        Raises
        ------
        ValueError
            For another ending, for weights too large for float16, and for a layer that cannot be part of a
            network.

        Examples
        --------
        >>> import os, tempfile
        >>> from convlite.layers import Dense, InputLayer, Sequential
        >>> model = Sequential([InputLayer((3,)), Dense(2)])
        >>> model.save(os.path.join(tempfile.mkdtemp(), "model.npz"))
        """
        self.network().save(path, float16=float16)

    def profile(self, /, *arrays: npt.ArrayLike, repeat: int = 10, **named: npt.ArrayLike) -> Profile:
        """Time each node of the model's network: `Network.profile`.

        Parameters
        ----------
        *arrays : array_like
            The inputs, as for a call.
        repeat : int, default 10
            The number of timed calls; one call before them is not timed.
        **named : array_like
            The inputs by name, as for a call.

        Returns
        -------
        Profile
            Its rows are medians.

        Examples
        --------
        >>> import numpy as np
        >>> from convlite.layers import Dense, InputLayer, Sequential
        >>> model = Sequential([InputLayer((3,)), Dense(2)])
        >>> profile = model.profile(np.zeros((1, 3), np.float32), repeat=1)
        """
        return self.network().profile(*arrays, repeat=repeat, **named)

    def plot(self, path: str | PathLike[str], *shapes: Sequence[int]) -> None:
        """Draw the model's network into a file: `Network.plot`.

        Parameters
        ----------
        path : str or path-like
            It ends in .dot, .gv, .svg, .png or .pdf.
        *shapes : sequence of ints
            The shape of each input, for the shapes in the picture.

        Raises
        ------
        ValueError
            For another ending.
        RuntimeError
            Where graphviz's program `dot` is not installed.

        Examples
        --------
        >>> import os, tempfile
        >>> from convlite.layers import Dense, InputLayer, Sequential
        >>> model = Sequential([InputLayer((3,)), Dense(2)])
        >>> model.plot(os.path.join(tempfile.mkdtemp(), "model.dot"))
        """
        self.network().plot(path, *shapes)

    def _for_tiles(self, x: Any) -> Network:
        return self.network()

    @telling
    def save_weights(self, path: str | PathLike[str], *, float16: bool = False) -> None:
        """Write the weights to a file, under names such as "conv2d/kernel".

        Parameters
        ----------
        path : str or path-like
            It ends in .safetensors or .npz. An existing file is replaced as a whole, or not at all.
        float16 : bool, default False
            Whether numbers are rounded to half precision, 11 bits, in half the space; `load_weights` widens
            them again.

        Raises
        ------
        ValueError
            For another ending, for numbers above 65504 with float16, or before the model is built.
        ImportError
            Where .safetensors needs a package that is missing.

        Examples
        --------
        >>> import os, tempfile
        >>> from convlite.layers import Dense, InputLayer, Sequential
        >>> model = Sequential([InputLayer((3,)), Dense(2)])
        >>> model.save_weights(os.path.join(tempfile.mkdtemp(), "weights.npz"))
        """
        write_weights(path, self.named_weights(), float16=float16)

    @telling
    def load_weights(
        self, path: str | PathLike[str], *, strict: bool = True, rename: Rename = None
    ) -> LoadReport:
        """Take the weights from a file of `save_weights`, or one with the same names.

        float16 and bfloat16 are widened, which is exact.

        Parameters
        ----------
        path : str or path-like
            The file.
        strict : bool, default True
            Whether all weights must be there; False takes every weight whose name and shape fit into a
            built model, leaves the others as they are, and reports them.
        rename : mapping, callable or None, default None
            New names for the file's names: a mapping of whole names or of the parts before a slash ("old":
            "new" also renames "old/kernel"), or a function of a name. If the new name is None, the weight
            is left out.

        Returns
        -------
        LoadReport
            The names of the weights that were loaded, and of the others.

        Raises
        ------
        TypeError
            For another dtype; nothing is replaced then.
        ValueError
            For a malformed file, and for other names or another shape (with strict=False: if nothing fits).

        Examples
        --------
        >>> import os, tempfile
        >>> from convlite.layers import Dense, InputLayer, Sequential
        >>> path = os.path.join(tempfile.mkdtemp(), "weights.npz")
        >>> model = Sequential([InputLayer((2,)), Dense(3, name="trunk"), Dense(5, name="head")])
        >>> model.save_weights(path)
        >>> other = Sequential([InputLayer((2,)), Dense(3, name="body"), Dense(4, name="head")])
        >>> report = other.load_weights(path, strict=False, rename={"trunk": "body"})
        >>> report.loaded, report.mismatched["head/bias"]
        (('body/kernel', 'body/bias'), ((4,), (5,)))
        """
        return load_into(self, path, strict=strict, rename=rename)


def as_network(graph: Any) -> Network:
    """The network of a graph."""
    from ..network.network import Network

    return Network(graph)


def gives_batches(x: object) -> bool:
    """Whether x is an iterable of arrays and not an array. TypeError for a mapping or a set."""
    if isinstance(x, (Mapping, Set)):
        hint = ": give the array itself, x[...]" if isinstance(x, Mapping) else ""
        raise TypeError(f"x must be an array or an iterable of batches; got a {type(x).__name__}{hint}")
    arrays = "__array__", "__array_interface__", "__dlpack__", "detach"
    if isinstance(x, (Sequence, memoryview)) or any(hasattr(x, name) for name in arrays):
        return False
    return isinstance(x, Iterable) and not isinstance(x, type)
