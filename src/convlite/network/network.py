"""A network that can be called: what users hold."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .._inference import InferenceOnly
from .._options import suggesting_methods
from .._progress import Progress, reporting
from ..arguments import as_size, new_output, shown
from .executor import Executor
from .graph import Array, Graph, Value
from .inputs import check_axes, checked_inputs, refuse_shape
from .passes import channels_last_ends, optimised
from .profile import Profile
from .tiling.record import TiledArray, Tiling

__all__ = ["Network"]


@suggesting_methods
class Network(InferenceOnly):
    """A network: graph and weights, callable with arrays.

    `convlite.load` makes one from a file. A network is immutable: many threads may call it at once, it
    pickles (the graph travels, programs are made again), and it may be used after a fork. The first call
    with inputs of new shapes plans for them; the plans for the last eight sets of shapes are kept.

    Parameters
    ----------
    graph : Graph
        What the network computes.
    layout : str or None, default None
        "NHWC" to take and give images channels last where the model has them channels first.

    Raises
    ------
    TypeError
        For what is no graph.
    ValueError
        For a graph that is malformed.

    Examples
    --------
    >>> import numpy as np
    >>> from convlite.network.graph import Graph, Node, Value
    >>> f = np.dtype("float32")
    >>> node = Node("relu", ("x",), ("y",))
    >>> net = Network(Graph.of([Value("x", f, ("n", 2))], [Value("y", f, ("n", 2))], [node]))
    >>> net(np.array([[-1, 2]], f))
    array([[0., 2.]], dtype=float32)
    """

    def __init__(self, graph: Graph, *, layout: str | None = None) -> None:
        if not isinstance(graph, Graph):
            raise TypeError(f"graph must be a Graph; got {shown(graph)}: convlite.load reads files")
        if layout not in (None, "NHWC"):
            raise ValueError(f'layout must be None or "NHWC"; got {shown(layout)}')
        graph = optimised(graph)
        if layout == "NHWC":
            graph = channels_last_ends(graph)
        self._executor = Executor(graph)

    @classmethod
    def of_optimised(cls, graph: Graph) -> Network:
        """Make a network of a graph that went through the passes already, as saved files hold it.

        Parameters
        ----------
        graph : Graph
            The graph.

        Returns
        -------
        Network
            The network.

        Examples
        --------
        >>> from convlite.layers import Conv2D, InputLayer, Sequential
        >>> net = Sequential([InputLayer((None, None, 1)), Conv2D(2, 3, padding="same")]).network()
        >>> Network.of_optimised(net.graph).name == net.name
        True
        """
        network = cls.__new__(cls)
        network._executor = Executor(graph)
        return network

    @classmethod
    def from_keras(cls, model: Any, *, layout: str | None = None) -> Network:
        """Make a network of a live Keras model, Keras 3 or tf_keras: functional, Sequential, nested.

        Parameters
        ----------
        model : keras.Model
            The model; its weights are copied.
        layout : str or None, default None
            "NHWC" to take and give images channels last where the model has them channels first.

        Returns
        -------
        Network
            It computes `model(x, training=False)` in float32.

        Raises
        ------
        TypeError
            Where model is no Keras model.
        ValueError
            For layers that are not supported; each is named.

        Examples
        --------
        >>> Network.from_keras(keras_model)  # doctest: +SKIP
        """
        from .load.keras import from_keras

        return cls(from_keras(model), layout=layout)

    @classmethod
    def from_torch(
        cls, module: Any, example_inputs: Any, *, layout: str | None = None, **options: Any
    ) -> Network:
        """Make a network of a live PyTorch module, through PyTorch's own export to ONNX.

        Parameters
        ----------
        module : torch.nn.Module
            The module; it is exported in eval mode and left in its own.
        example_inputs : tensor or tuple of tensors
            The inputs of one call; axis 0 of each is free.
        layout : str or None, default None
            "NHWC" to take and give images channels last where the model has them channels first.
        **options : object
            `input_names`, `dynamic_axes` and `opset`, as torch.onnx.export takes them.

        Returns
        -------
        Network
            It computes the module's outputs.

        Raises
        ------
        ValueError
            Where the module cannot be exported, or what is exported is not supported.
        ImportError
            Without torch and onnx.

        Examples
        --------
        >>> Network.from_torch(module, torch.zeros(1, 3, 224, 224))  # doctest: +SKIP
        """
        from .load.torch import from_torch

        return cls(from_torch(module, example_inputs, **options), layout=layout)

    @property
    def graph(self) -> Graph:
        """The graph that runs, after all passes; `print(net.graph)` shows it."""
        return self._executor.graph

    @property
    def name(self) -> str:
        """The network's name, from its file."""
        return self.graph.name

    @property
    def inputs(self) -> tuple[Value, ...]:
        """The inputs in the file's order; each has name, dtype, shape (a name stands for a free size)."""
        return self.graph.inputs

    @property
    def outputs(self) -> tuple[Value, ...]:
        """The outputs in the file's order."""
        return self.graph.outputs

    def __call__(self, /, *arrays: npt.ArrayLike, **named: npt.ArrayLike) -> Any:
        """The output for these inputs: an array; a tuple in the file's order where there are several.

        Inputs come by position or by name; names that are no identifiers as `net(**{"input:0": x})`. Each
        must have the declared dtype and fit the declared shape. Outputs are new arrays.
        Raises TypeError for a wrong number of inputs, an unknown name or a wrong dtype, ValueError for a
        shape.
        """
        outputs = self._executor.run(self._checked(arrays, named))
        return outputs[0] if len(outputs) == 1 else outputs

    def predict(
        self, x: npt.ArrayLike | Iterable[npt.ArrayLike], batch_size: int = 32, progress: Progress = False
    ) -> Any:
        """Compute the network, which has one input, some samples at a time.

        Parameters
        ----------
        x : array_like or iterable of array_like
            The samples, or batches of them, whose results are joined.
        batch_size : int, default 32
            The number of samples of a call.
        progress : bool or callable, default False
            True shows a bar on stderr; a function is called with (samples done, samples in all; 0 where
            unknown) after each batch.

        Returns
        -------
        ndarray or tuple of ndarray
            The outputs, a tuple where the network has several.

        Raises
        ------
        TypeError
            For a shape instead of an array, and for another dtype.
        ValueError
            Where there is nothing to compute, shapes do not fit, or the network has several inputs.

        Examples
        --------
        >>> from convlite.layers import Conv2D, InputLayer, Sequential
        >>> net = Sequential([InputLayer((None, None, 1)), Conv2D(2, 3, padding="same")]).network()
        >>> net.predict(np.zeros((5, 4, 4, 1), np.float32), batch_size=2).shape
        (5, 4, 4, 2)
        """
        size = as_size(batch_size, "batch_size")
        if len(self.inputs) != 1:
            raise ValueError(
                f"predict takes a network of one input; this one has {len(self.inputs)}: call it"
            )
        (value,) = self.inputs
        refuse_shape(x, value, "x")
        batches: Iterable[Any]
        if isinstance(x, Iterable) and not hasattr(x, "__array__") and not _nested(x):
            batches, total = x, 0
        else:
            array = np.asarray(x)
            if array.ndim == 0:
                raise ValueError("x must have a batch axis; got a scalar")
            check_axes(array, value)
            total = array.shape[0]
            batches = (array[start : start + size] for start in range(0, max(total, 1), size))
        results: list[tuple[Array, ...]] = []
        done = 0
        with reporting(progress, total, self.name) as report:
            for batch in batches:
                outputs = self._executor.run(self._checked((batch,), {}))
                results.append(outputs)
                done += np.shape(batch)[0]
                report(done)
        if not results:
            raise ValueError("x must have at least one batch; the iterable had none")
        joined = tuple(_joined(parts) for parts in zip(*results, strict=True))
        return joined[0] if len(joined) == 1 else joined

    def tiling(
        self, shape: Sequence[int], tile: int | Sequence[int] | None = None, memory: float | None = None
    ) -> Tiling:
        """Tell how `tiled` would run on an input of this shape: tiles, halo, output shapes, memory.

        Parameters
        ----------
        shape : sequence of ints
            The shape of x, without the axis of images where there is one.
        tile : int, sequence of ints or None, default None
            As for `tiled`.
        memory : float or None, default None
            As for `tiled`.

        Returns
        -------
        Tiling
            The record; `print` shows it on one line.

        Raises
        ------
        TypeError
            For an array instead of its shape.
        ValueError
            For a network with a node that looks at the whole image, by its name, and for a tile that is no
            multiple of the strides.

        Examples
        --------
        >>> from convlite.layers import Conv2D, InputLayer, Sequential
        >>> net = Sequential([InputLayer((None, None, 1)), Conv2D(2, 3, padding="same")]).network()
        >>> found = net.tiling((1, 1000, 800, 1), tile=256)
        >>> found.tiles, found.halo
        (16, ((1, 1), (1, 1)))
        """
        from .tiling.tiles import tiling_for

        return tiling_for(self._executor, shape, tile, memory)[0]

    def tiled(
        self,
        x: TiledArray,
        out: Any = None,
        tile: int | Sequence[int] | None = None,
        memory: float | None = None,
        progress: Progress = False,
        journal: str | os.PathLike[str] | None = None,
    ) -> Any:
        """Compute the network tile by tile, for images that do not fit into memory: the same bits in "exact".

        Each tile reads what its outputs depend on, its halo included, and computes windows of the whole
        run's values: the margins of an image are at its border only. In "fast" the bits are those of the
        whole run where `net.tiling(...).same_bits` says so, elsewhere within the bound of that precision.

        Parameters
        ----------
        x : array-like with shape, dtype and slicing
            Images (N, H, W, C), or as the network declares them; the axis of images may be missing. An array,
            `np.load(..., mmap_mode="r")`, h5py, zarr, a class of one's own; of the network's dtype.
        out : array-like, tuple or None, default None
            Where to write, of the outputs' shape and dtype, not over x; a tuple for several outputs; new
            arrays for None.
        tile : int, sequence of ints or None, default None
            Rows and columns of x that a tile stands for, multiples of the network's strides; None: chosen
            by memory.
        memory : float or None, default None
            The bytes that a tile may take beside the weights, x and out, instead of tile; None: 256 MiB.
        progress : bool or callable, default False
            True shows a bar; a function is called with (tiles done, tiles in all).
        journal : str, path-like or None, default None
            A file that notes which tiles are done; after an interruption the same call goes on where it
            was, and at the end it is deleted. It needs out to be a file.

        Returns
        -------
        ndarray, or what out is
            The outputs.

        Raises
        ------
        TypeError
            For another dtype. What x raises goes on to the caller with a note: tiles that are written stay
            valid.
        ValueError
            For a network with a node that looks at the whole image, by its name, for shapes and tiles that
            do not fit, and for a journal of another run.

        Examples
        --------
        >>> from convlite.layers import Conv2D, InputLayer, Sequential
        >>> net = Sequential([InputLayer((None, None, 1)), Conv2D(2, 3, padding="same")]).network()
        >>> x = np.linspace(-1, 1, 1200, dtype=np.float32).reshape(1, 40, 30, 1)
        >>> np.array_equal(net.tiled(x, tile=16), net(x))
        True
        """
        from .tiling.tiles import run_tiled

        return run_tiled(self._executor, x, out, tile, memory, progress, journal)

    def map_overlap(self, x: Any, threads: int = 1) -> Any:
        """Compute the network for a Dask array, lazily: chunk by chunk with the halos that it needs.

        The precision is that of this call, wherever chunks are computed. On a cluster the network is sent
        to each worker once.

        Parameters
        ----------
        x : dask.array.Array
            Images (N, H, W, C) or as the network declares them, the axis of images may be missing; in one
            piece along channels. Chunks stay as they are, scaled as the network scales images; they must be
            at least as large as the halo.
        threads : int, default 1
            The threads of each chunk's call, since Dask computes chunks side by side.

        Returns
        -------
        dask.array.Array or tuple of them
            Its values have the bits of `self(x)` in "exact"; several outputs are computed together by
            `dask.compute`.

        Raises
        ------
        ValueError
            As `tiled`, and for chunks that are too small or split channels.
        ImportError
            Without dask.

        Examples
        --------
        >>> net.map_overlap(dask_array).compute()  # doctest: +SKIP
        """
        from .tiling.overlap import mapped

        return mapped(self, self._executor, x, as_size(threads, "threads"))

    def __dask_tokenize__(self) -> Any:
        from .tiling.journal import fingerprint

        return fingerprint(self.graph)

    def save(self, path: str | os.PathLike[str], float16: bool = False) -> None:
        """Write graph and weights to a file that `convlite.load` reads.

        Parameters
        ----------
        path : str or path-like
            It ends in .npz, which NumPy alone reads, or in .safetensors. A file that is there is replaced
            at once or not at all.
        float16 : bool, default False
            Whether the weights are stored in half the bytes, rounded to half precision.

        Raises
        ------
        ValueError
            For another ending, and for weights too large for float16.
        ImportError
            Where the package safetensors is missing.

        Examples
        --------
        >>> import os, tempfile, convlite
        >>> from convlite.layers import Conv2D, InputLayer, Sequential
        >>> net = Sequential([InputLayer((None, None, 1)), Conv2D(2, 3, padding="same")]).network()
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     net.save(os.path.join(folder, "net.npz"))
        ...     print(convlite.load(os.path.join(folder, "net.npz")).inputs[0].dtype)
        float32
        """
        from .file import write_network

        write_network(path, self.graph, float16=float16)

    def summary(self, *shapes: Sequence[int], print_fn: Callable[[str], object] | None = None) -> None:
        """Print a table of the nodes: output shape, parameters, multiply-adds, and what runs each.

        Parameters
        ----------
        *shapes : sequence of ints
            The shape of each input; by default the declared ones, or those of the last new call where sizes
            are free. "?" stands for what is not known.
        print_fn : callable or None, default None
            What is called with each line, instead of print.

        Raises
        ------
        TypeError
            For an array instead of its shape.
        ValueError
            For shapes that do not fit the inputs.

        Examples
        --------
        >>> from convlite.layers import Conv2D, InputLayer, Sequential
        >>> net = Sequential([InputLayer((None, None, 1)), Conv2D(2, 3, padding="same")]).network()
        >>> lines = []
        >>> net.summary((1, 8, 8, 1), print_fn=lines.append)
        """
        from .summary import described, given_shapes

        for line in described(self._executor, given_shapes(self._executor, shapes)):
            (print if print_fn is None else print_fn)(line)

    def __str__(self) -> str:
        lines: list[str] = []
        self.summary(print_fn=lines.append)
        return "\n".join(lines)

    def profile(self, /, *arrays: npt.ArrayLike, repeat: int = 10, **named: npt.ArrayLike) -> Profile:
        """Time each node on these inputs.

        Parameters
        ----------
        *arrays : array_like
            The inputs, as for a call.
        repeat : int, default 10
            The calls that are timed, after one that is not.
        **named : array_like
            The inputs by name, as for a call.

        Returns
        -------
        Profile
            Its rows are medians; `print` shows them, `chart(path)` draws them, `trace(path)` writes them
            for a browser.

        Raises
        ------
        TypeError
            For inputs of another dtype.
        ValueError
            For inputs of another shape.

        Examples
        --------
        >>> from convlite.layers import Conv2D, InputLayer, Sequential
        >>> net = Sequential([InputLayer((None, None, 1)), Conv2D(2, 3, padding="same")]).network()
        >>> profile = net.profile(np.zeros((1, 4, 4, 1), np.float32), repeat=1)
        """
        from .profile import profiled

        return profiled(self._executor, self._checked(arrays, named), as_size(repeat, "repeat"))

    def plot(self, path: str | os.PathLike[str], *shapes: Sequence[int]) -> None:
        """Draw the graph into a file.

        Parameters
        ----------
        path : str or path-like
            It ends in .dot or .gv (graphviz's language), or in .svg, .png or .pdf, which graphviz's program
            `dot` draws.
        *shapes : sequence of ints
            The shape of each input, for the shapes in the picture; as for `summary`.

        Raises
        ------
        ValueError
            For another ending.
        RuntimeError
            Where `dot` is not installed.

        Examples
        --------
        >>> import os, tempfile
        >>> from convlite.layers import Conv2D, InputLayer, Sequential
        >>> net = Sequential([InputLayer((None, None, 1)), Conv2D(2, 3, padding="same")]).network()
        >>> net.plot(os.path.join(tempfile.mkdtemp(), "net.dot"))
        """
        from .plot import plotted
        from .summary import given_shapes

        plotted(self.graph, path, given_shapes(self._executor, shapes))

    def release(self) -> None:
        """Give back the memory that is kept for the next call; what one to two minutes without a call do too.

        Examples
        --------
        >>> from convlite.layers import Conv2D, InputLayer, Sequential
        >>> net = Sequential([InputLayer((None, None, 1)), Conv2D(2, 3, padding="same")]).network()
        >>> net.release()
        """
        self._executor.release()

    def _checked(self, arrays: tuple[Any, ...], named: dict[str, Any]) -> list[Array]:
        return checked_inputs(self.name, self.inputs, arrays, named)

    def __repr__(self) -> str:
        inputs, outputs = ", ".join(map(str, self.inputs)), ", ".join(map(str, self.outputs))
        return f"<Network {self.name!r}: {inputs} -> {outputs}>"


def _nested(x: Any) -> bool:
    """Whether a list or tuple is one array of numbers written out, not batches."""
    return isinstance(x, list | tuple) and not any(isinstance(item, np.ndarray) for item in x)


def _joined(parts: tuple[Array, ...]) -> Array:
    if len(parts) == 1:
        return parts[0]
    result = new_output((sum(len(part) for part in parts), *parts[0].shape[1:]), parts[0].dtype)
    np.concatenate(parts, out=result)
    return result
