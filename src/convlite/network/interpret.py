"""A graph run node by node in plain NumPy: the definition of what a network computes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from .facts import Fact
from .graph import Array, Graph, described_shape
from .kinds import kind_of, named

__all__ = ["interpret", "interpreted"]


def interpret(
    graph: Graph, inputs: Mapping[str, npt.ArrayLike] | Sequence[npt.ArrayLike]
) -> tuple[Array, ...]:
    """The outputs of a graph.

    Args:
        graph: The graph.
        inputs: Arrays by name, or in the order of the graph's inputs; each with the declared dtype and shape.

    Returns:
        An array for each output, in order.

    Raises:
        ValueError: Inputs that are missing, unknown, or do not fit what is declared; a node that cannot be
            computed, by name.

    Examples:
        >>> from convlite.network.graph import Graph, Node, Value
        >>> x = Value("x", np.dtype("float32"), ("N",))
        >>> graph = Graph.of([x], [Value("y", x.dtype, x.shape)], [Node("relu", ("x",), ("y",))])
        >>> interpret(graph, [np.float32([-1, 2])])
        (array([0., 2.], dtype=float32),)
    """
    values = interpreted(graph, inputs)
    return tuple(values[value.name] for value in graph.outputs)


def interpreted(
    graph: Graph, inputs: Mapping[str, npt.ArrayLike] | Sequence[npt.ArrayLike]
) -> dict[str, Array]:
    """Every value of a graph by name: inputs, constants and what the nodes write."""
    return _completed(graph, _checked(graph, inputs))


def interpreted_inside(graph: Graph, arrays: Sequence[Array | None]) -> tuple[Array, ...]:
    """The outputs of a graph that a node holds; its inputs are trusted, and None where they are left out."""
    if len(arrays) != len(graph.inputs):
        raise ValueError(f"the graph {graph.name!r} has {len(graph.inputs)} inputs, not {len(arrays)}")
    pairs = zip(graph.inputs, arrays, strict=True)
    values = _completed(graph, {value.name: array for value, array in pairs if array is not None})
    return tuple(values[value.name] for value in graph.outputs)


def _completed(graph: Graph, values: dict[str, Array]) -> dict[str, Array]:
    values.update(graph.constants)
    for node in graph.nodes:
        arrays = [values[name] if name else None for name in node.inputs]
        if node.kind not in ("if_", "loop", "scan"):  # their graphs are checked node by node, like this one
            kind_of(node).infer(node, [None if array is None else Fact.of(array) for array in arrays])
        found = kind_of(node).compute(node, arrays)
        if len(found) < len(node.outputs):
            raise ValueError(f"{named(node)}: it has {len(found)} outputs, not {len(node.outputs)}")
        values.update({name: array for name, array in zip(node.outputs, found, strict=False) if name})
    return values


def _checked(graph: Graph, inputs: Mapping[str, npt.ArrayLike] | Sequence[npt.ArrayLike]) -> dict[str, Array]:
    names = [value.name for value in graph.inputs]
    if isinstance(inputs, Mapping):
        given = dict(inputs)
    else:
        if len(inputs) != len(names):
            raise ValueError(f"the network takes {len(names)} inputs {names}, not {len(inputs)}")
        given = dict(zip(names, inputs, strict=True))
    if set(given) != set(names):
        raise ValueError(f"the network takes the inputs {names}, not {sorted(given)}")
    sizes: dict[str, int] = {}
    values: dict[str, Array] = {}
    for value in graph.inputs:
        array = np.asarray(given[value.name])
        told = f"the input {value.name!r} must be {value.dtype}{described_shape(value.shape)}"
        received = f"{array.dtype}{described_shape(array.shape)}"
        if array.dtype != value.dtype:
            raise ValueError(f"{told}, not {received}")
        if value.shape is not None:
            if len(array.shape) != len(value.shape):
                raise ValueError(f"{told}, not {received}")
            for declared, size in zip(value.shape, array.shape, strict=True):
                wanted = sizes.setdefault(declared, size) if isinstance(declared, str) else declared
                if wanted != size:
                    known = f" with {declared} = {wanted}" if isinstance(declared, str) else ""
                    raise ValueError(f"{told}{known}, not {received}")
        values[value.name] = array
    return values
