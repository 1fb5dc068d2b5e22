"""A network that can be called: what users hold."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .._progress import Progress, reporting
from ..arguments import as_size, new_output, shown
from .executor import Executor
from .graph import Array, Graph, Value, described_shape
from .passes import channels_last_ends, optimised
from .profile import Profile
from .tiling.record import TiledArray, Tiling

__all__ = ["Network"]


class Network:
    """A network: graph and weights, callable with arrays.

    `convlite.load` makes one from a file. A network is immutable: many threads may call it at once, it
    pickles (the graph travels, programs are made again), and it may be used after a fork. The first call with
    inputs of new shapes plans for them; the plans for the last eight sets of shapes are kept.

    graph: what it computes. layout: None, or "NHWC" to take and give images channels last where the graph has
    them channels first.

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
        """A network of a graph that went through the passes already, as saved files hold it."""
        network = cls.__new__(cls)
        network._executor = Executor(graph)
        return network

    @classmethod
    def from_keras(cls, model: Any, *, layout: str | None = None) -> Network:
        """A network of a live Keras model, Keras 3 or tf_keras: functional, Sequential, nested.

        model: the model; its weights are copied. layout: as for the class.
        Returns a network that computes `model(x, training=False)` in float32.
        Raises ValueError naming every layer that is not supported, TypeError where model is no Keras model.
        """
        from .load.keras import from_keras

        return cls(from_keras(model), layout=layout)

    @classmethod
    def from_torch(
        cls, module: Any, example_inputs: Any, *, layout: str | None = None, **options: Any
    ) -> Network:
        """A network of a live PyTorch module, through PyTorch's own export to ONNX.

        module: a `torch.nn.Module`; it is exported in eval mode and left in its own. example_inputs: a
        tensor, or a tuple of them, for one call; axis 0 of each is free. layout: as for the class. options:
        `input_names`, `dynamic_axes` and `opset`, as torch.onnx.export takes them.
        Raises ValueError where the module cannot be exported or what is exported is not supported,
        ImportError without torch and onnx.
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
        """`self(x)` for a network of one input, `batch_size` samples at a time.

        x: an array, or an iterable of arrays (batches), whose results are joined. progress: True shows a bar
        on stderr; a function is called with (samples done, samples in all; 0 where unknown) after each batch.
        Returns an array, or a tuple of arrays where the network has several outputs.
        Raises ValueError where there is nothing to compute or the network has several inputs.
        """
        size = as_size(batch_size, "batch_size")
        if len(self.inputs) != 1:
            raise ValueError(
                f"predict takes a network of one input; this one has {len(self.inputs)}: call it"
            )
        batches: Iterable[Any]
        if isinstance(x, Iterable) and not hasattr(x, "__array__") and not _nested(x):
            batches, total = x, 0
        else:
            array = np.asarray(x)
            if array.ndim == 0:
                raise ValueError("x must have a batch axis; got a scalar")
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
        """How `tiled` would run on an input of this shape: tiles, halo, output shapes, bytes of memory.

        shape: of x; without the axis of images where there is one. tile, memory: as for `tiled`.
        Returns a `Tiling`; `print` shows it on one line. Raises ValueError naming the first node that looks
        at the whole image, and for a tile that is no multiple of the network's strides.

        >>> import numpy as np
        >>> from convlite.network.graph import Graph, Node, Value
        >>> options = {"strides": (1, 1), "padding": "same", "dilations": (1, 1), "groups": 1}
        >>> f, shape = np.dtype("float32"), ("n", "h", "w", 1)
        >>> node = Node("conv", ("x", "k"), ("y",), {**options, "activation": None})
        >>> ends = [Value("x", f, shape)], [Value("y", f, shape)]
        >>> net = Network(Graph.of(*ends, [node], {"k": np.ones((5, 3, 1, 1), f)}))
        >>> found = net.tiling((1, 1000, 800, 1), tile=256)
        >>> found.tiles, found.halo
        (16, ((2, 2), (1, 1)))
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
        """`self(x)` tile by tile, for images that do not fit into memory: the same bits in "exact".

        Each tile reads what its outputs depend on, its halo included, and computes windows of the whole run's
        values: the margins of an image are at its border only. In "fast" the bits are those of the whole run
        where `net.tiling(...).same_bits` says so, elsewhere within the bound of that precision.

        x: images (N, H, W, C), or as the network declares them; the axis of images may be missing. Anything
        with `shape`, `dtype` and slicing will do: an array, `np.load(..., mmap_mode="r")`, h5py, zarr, a
        class of one's own. Its dtype must be the network's. out: where to write, of the outputs' shape and
        dtype, not over x; a tuple for several outputs; by default new arrays. tile: rows and columns of x
        that a tile stands for, multiples of the network's strides. memory: bytes that a tile may take beside
        the weights, x and out, instead of tile; 256 MiB by default. progress: True shows a bar, a function is
        called with (tiles done, tiles in all). journal: a file that notes which tiles are done; after an
        interruption the same call goes on where it was, and at the end it is deleted. It needs out to be a
        file.

        Returns out. Raises ValueError for a network with a node that looks at the whole image, by its name,
        for shapes and tiles that do not fit, and for a journal of another run; TypeError for dtypes. What x
        raises goes on to the caller with a note: tiles that are written stay valid.

        >>> import numpy as np
        >>> from convlite.network.graph import Graph, Node, Value
        >>> f, shape = np.dtype("float32"), ("n", "h", "w", 1)
        >>> node = Node("relu", ("x",), ("y",))
        >>> net = Network(Graph.of([Value("x", f, shape)], [Value("y", f, shape)], [node]))
        >>> x = np.linspace(-1, 1, 1200, dtype=f).reshape(1, 40, 30, 1)
        >>> np.array_equal(net.tiled(x, tile=16), net(x))
        True
        """
        from .tiling.tiles import run_tiled

        return run_tiled(self._executor, x, out, tile, memory, progress, journal)

    def map_overlap(self, x: Any, threads: int = 1) -> Any:
        """`self(x)` for a Dask array, lazily: chunk by chunk with the halos that the network needs.

        x: a `dask.array`, images (N, H, W, C) or as the network declares them, the axis of images may be
        missing; in one piece along channels. Chunks stay as they are, scaled as the network scales images;
        they must be at least as large as the halo. threads: of each chunk's call, since Dask computes chunks
        side by side. The precision is that of this call, wherever chunks are computed.

        Returns a `dask.array` whose values have the bits of `self(x)` in "exact"; a tuple of them for a
        network of several outputs, which `dask.compute` computes together, each chunk once. On a cluster the
        network is sent to each worker once. Raises as `tiled`; ValueError also for chunks that are too
        small or split channels, ImportError without dask.
        """
        from .tiling.overlap import mapped

        return mapped(self, self._executor, x, as_size(threads, "threads"))

    def __dask_tokenize__(self) -> Any:
        from .tiling.journal import fingerprint

        return fingerprint(self.graph)

    def save(self, path: str | os.PathLike[str], float16: bool = False) -> None:
        """Write graph and weights to a file that `convlite.load` reads; .npz takes NumPy alone for that.

        path: ends in .npz or .safetensors; a file that is there is replaced at once or not at all. float16:
        store the weights in half the bytes, rounded to half precision.
        Raises ValueError for another ending and for weights too large for float16, ImportError where the
        package safetensors is missing.
        """
        from .file import write_network

        write_network(path, self.graph, float16=float16)

    def summary(self, *shapes: Sequence[int], print_fn: Callable[[str], object] | None = None) -> None:
        """Print a table of the nodes: output shape, parameters, multiply-adds, and what runs each.

        shapes: one for each input; by default the declared ones, or those of the last new call where sizes
        are free; "?" stands for what is not known. print_fn: called with each line, instead of print.
        """
        from .summary import described, given_shapes

        for line in described(self._executor, given_shapes(self._executor, shapes)):
            (print if print_fn is None else print_fn)(line)

    def __str__(self) -> str:
        lines: list[str] = []
        self.summary(print_fn=lines.append)
        return "\n".join(lines)

    def profile(self, /, *arrays: npt.ArrayLike, repeat: int = 10, **named: npt.ArrayLike) -> Profile:
        """Time each node on these inputs: print the result, or see its rows, `chart(path)`, `trace(path)`.

        arrays, named: as for a call. repeat: calls that are timed, after one that is not; rows are medians.
        """
        from .profile import profiled

        return profiled(self._executor, self._checked(arrays, named), as_size(repeat, "repeat"))

    def plot(self, path: str | os.PathLike[str], *shapes: Sequence[int]) -> None:
        """Draw the graph: .dot or .gv is graphviz's language; its program `dot` draws .svg, .png and .pdf.

        shapes: one for each input, for the shapes in the picture; as for `summary`.
        Raises ValueError for another ending, RuntimeError where `dot` is not installed.
        """
        from .plot import plotted
        from .summary import given_shapes

        plotted(self.graph, path, given_shapes(self._executor, shapes))

    def release(self) -> None:
        """Give back the memory that is kept for the next call."""
        self._executor.release()

    def _checked(self, arrays: tuple[Any, ...], named: dict[str, Any]) -> list[Array]:
        declared = self.inputs
        names = [value.name for value in declared]
        if len(arrays) > len(names):
            raise TypeError(f"{self.name} takes {len(names)} inputs ({', '.join(names)}); got {len(arrays)}")
        given = dict(zip(names, arrays, strict=False))
        for name, array in named.items():
            if name not in names:
                raise TypeError(f"{self.name} has no input {name!r}; its inputs are {', '.join(names)}")
            if name in given:
                raise TypeError(f"the input {name!r} was given twice")
            given[name] = array
        missing = [str(value) for value in declared if value.name not in given]
        if missing:
            raise TypeError(f"{self.name} misses its inputs {', '.join(missing)}")
        sizes: dict[str, tuple[int, str]] = {}
        return [_fitting(given[value.name], value, sizes) for value in declared]

    def __repr__(self) -> str:
        inputs, outputs = ", ".join(map(str, self.inputs)), ", ".join(map(str, self.outputs))
        return f"<Network {self.name!r}: {inputs} -> {outputs}>"


def _fitting(given: Any, value: Value, sizes: dict[str, tuple[int, str]]) -> Array:
    """One input as an array; every error about it is raised here."""
    try:
        array = np.asarray(given)
    except ValueError as error:
        raise ValueError(f"the input {value.name!r} is not an array: {error}") from None
    if array.dtype != value.dtype:
        hint = (
            f"write x.astype(np.{value.dtype.name})"
            if isinstance(given, np.ndarray)
            else (f"write np.asarray(x, np.{value.dtype.name})")
        )
        if array.dtype == np.uint8 and value.dtype.kind == "f":
            hint += ", and scale it as the network was trained (often / 255)"
        raise TypeError(f"the input {value.name!r} must be {value.dtype}; got {array.dtype}: {hint}")
    shape = value.shape
    if shape is not None:
        told = f"the input {value.name!r} must have the shape {described_shape(shape)}"
        if array.ndim != len(shape):
            hint = "; is the batch axis missing? Write x[None]" if array.ndim == len(shape) - 1 else ""
            raise ValueError(f"{told}; got {array.shape}{hint}")
        for size, wanted in zip(array.shape, shape, strict=True):
            if isinstance(wanted, str):
                known, owner = sizes.setdefault(wanted, (size, value.name))
                if known != size:
                    raise ValueError(
                        f"the input {value.name!r} has the shape {array.shape}, but {wanted} is {known} "
                        f"in {owner!r} and must be the same in {described_shape(shape)}"
                    )
            elif size != wanted:
                raise ValueError(f"{told}; got {array.shape}" + _layout_hint(array.shape, shape))
    return np.asarray(array, value.dtype, order="C")


def _layout_hint(got: tuple[int, ...], wanted: tuple[Any, ...]) -> str:
    """What to write where the axes of an image are in the other order."""
    for perm, name in (((0, 3, 1, 2), "channels first"), ((0, 2, 3, 1), "channels last")):
        if len(got) == 4 and all(
            isinstance(size, str) or got[axis] == size for axis, size in zip(perm, wanted, strict=True)
        ):
            return f"; this network takes images {name}: write np.transpose(x, {perm})"
    return ""


def _nested(x: Any) -> bool:
    """Whether a list or tuple is one array of numbers written out, not batches."""
    return isinstance(x, list | tuple) and not any(isinstance(item, np.ndarray) for item in x)


def _joined(parts: tuple[Array, ...]) -> Array:
    if len(parts) == 1:
        return parts[0]
    result = new_output((sum(len(part) for part in parts), *parts[0].shape[1:]), parts[0].dtype)
    np.concatenate(parts, out=result)
    return result
