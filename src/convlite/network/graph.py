"""A network as a value: named inputs, nodes in topological order, constants, outputs. Nothing here computes.

A graph is frozen: a pass takes one and returns another. Every name stands for one array that is written once,
by an input, a constant or a node. The kind of a node defines what it computes (`kinds`); all kinds with
spatial axes take channels last.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from .constants import Constants, entry_of, is_there

__all__ = ["Array", "Dim", "Graph", "Node", "Value", "described_shape", "frozen_array"]

Array = npt.NDArray[Any]
Dim = int | str  # a size, or the name of a free one


@dataclass(frozen=True, slots=True)
class Value:
    """An input or output of a graph.

    name: unique within the graph. dtype: of its elements. shape: sizes, names of free sizes (the same name
    is the same size), or None if even the rank is not known.
    """

    name: str
    dtype: np.dtype[Any]
    shape: tuple[Dim, ...] | None

    def __str__(self) -> str:
        return f"{self.name}: {self.dtype}{described_shape(self.shape)}"


@dataclass(frozen=True, slots=True)
class Node:
    """One step: `outputs = kind(inputs, attributes)`.

    inputs: names of values; "" for an optional one that is left out. outputs: names; "" for one that nobody
    asks for. attributes: plain values, arrays, or graphs. label: what the source file calls the node, for
    messages.
    """

    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    label: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "attributes", MappingProxyType(dict(self.attributes)))

    def with_(self, **changes: Any) -> Node:
        """A copy with some fields changed; attributes that stay are shared."""
        node = Node.__new__(Node)
        for name in Node.__slots__:
            object.__setattr__(node, name, changes.pop(name) if name in changes else getattr(self, name))
        if changes:
            raise TypeError(f"a node has no field {next(iter(changes))!r}")
        if not isinstance(node.attributes, MappingProxyType):
            node.__post_init__()
        return node

    def __reduce__(self) -> Any:  # a mapping proxy does not pickle
        return Node, (self.kind, self.inputs, self.outputs, dict(self.attributes), self.label)

    def __str__(self) -> str:
        attributes = "".join(f", {key}={_shown(value)}" for key, value in self.attributes.items())
        outputs = ", ".join(name or "_" for name in self.outputs)
        return f"{outputs} = {self.kind}({', '.join(name or '_' for name in self.inputs)}{attributes})"


@dataclass(frozen=True, slots=True)
class Graph:
    """Inputs, nodes in topological order, constants and outputs.

    `Graph.of(...)` checks what it is given; the plain constructor trusts it (passes use it).
    """

    name: str
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    nodes: tuple[Node, ...]
    constants: Mapping[str, Array]

    @classmethod
    def of(
        cls,
        inputs: Iterable[Value],
        outputs: Iterable[Value],
        nodes: Iterable[Node],
        constants: Mapping[str, npt.ArrayLike] | None = None,
        *,
        name: str = "network",
    ) -> Graph:
        """A graph whose parts are checked and whose constants are read-only.

        Nodes may come in any order that can be sorted. ValueError for a name that is written twice, read but
        never written, or for a cycle.
        """
        given = constants or {}
        entries = ((key, entry_of(given, key)) for key in given)  # type: ignore[arg-type]
        held = Constants(
            {key: frozen_array(np.asarray(entry)) if is_there(entry) else entry for key, entry in entries}
        )
        graph = cls(name, tuple(inputs), tuple(outputs), tuple(nodes), held)
        return graph._sorted()

    def _sorted(self) -> Graph:
        """The nodes in an order in which each reads what is there; the given order if it is one."""
        written = set(self.constants)
        for value in self.inputs:
            if value.name in written:
                raise ValueError(f"the value {value.name!r} is written twice")
            written.add(value.name)
        producers: dict[str, int] = {}
        for number, node in enumerate(self.nodes):
            for output in node.outputs:
                if output and (output in written or output in producers):
                    raise ValueError(f"the value {output!r} is written twice, the second time by {node}")
                producers[output] = number
        order: list[Node] = []
        state = [0] * len(self.nodes)  # 0 not seen, 1 under way, 2 placed
        for start in range(len(self.nodes)):
            if state[start]:
                continue
            state[start] = 1
            stack = [(start, iter(self.nodes[start].inputs))]
            while stack:
                number, names = stack[-1]
                for name in names:  # continues where it stopped
                    if not name or name in written:
                        continue
                    if name not in producers:
                        raise ValueError(
                            f"the value {name!r} is read by {self.nodes[number]}, but nothing writes it"
                        )
                    producer = producers[name]
                    if state[producer] == 1:
                        raise ValueError(f"the nodes form a cycle through {name!r}")
                    if state[producer] == 0:
                        state[producer] = 1
                        stack.append((producer, iter(self.nodes[producer].inputs)))
                        break
                else:
                    stack.pop()
                    state[number] = 2
                    order.append(self.nodes[number])
                    written.update(name for name in self.nodes[number].outputs if name)
        for value in self.outputs:
            if value.name not in written:
                raise ValueError(f"nothing writes the output {value.name!r}")
        return replace(self, nodes=tuple(order))

    def with_(self, **changes: Any) -> Graph:
        """A copy with some fields changed; `constants` is made read-only."""
        if "constants" in changes:
            changes["constants"] = Constants(changes["constants"])
        return replace(self, **changes)

    def uses(self) -> dict[str, list[int]]:
        """For each name, the numbers of the nodes that read it; -1 stands for an output of the graph."""
        found: dict[str, list[int]] = {}
        for number, node in enumerate(self.nodes):
            for name in node.inputs:
                if name:
                    found.setdefault(name, []).append(number)
        for value in self.outputs:
            found.setdefault(value.name, []).append(-1)
        return found

    def producers(self) -> dict[str, Node]:
        """For each name that a node writes, that node."""
        return {name: node for node in self.nodes for name in node.outputs if name}

    def subgraphs(self) -> Iterator[Graph]:
        """The graphs that nodes hold as attributes, at any depth."""
        for node in self.nodes:
            for value in node.attributes.values():
                if isinstance(value, Graph):
                    yield value
                    yield from value.subgraphs()

    def __reduce__(self) -> Any:
        return _rebuilt, (self.name, self.inputs, self.outputs, self.nodes, dict(self.constants))

    def __str__(self) -> str:
        lines = [f"network {self.name}({', '.join(str(value) for value in self.inputs)})"]
        lines += [
            f"  {name} = constant {array.dtype}{described_shape(array.shape)}"
            for name, array in self.constants.items()
        ]
        lines += [f"  {node}" for node in self.nodes]
        lines.append(f"  return {', '.join(str(value) for value in self.outputs)}")
        return "\n".join(lines)


def frozen_array(array: Array) -> Array:
    """A read-only view; the array itself where it is read-only already."""
    if not array.flags.writeable:
        return array
    view = array.view()
    view.flags.writeable = False
    return view


def described_shape(shape: tuple[Dim | None, ...] | None) -> str:
    """
    >>> described_shape((1, "height", 3)), described_shape(None)
    ('(1, height, 3)', '(...)')
    """
    if shape is None:
        return "(...)"
    return f"({', '.join('?' if size is None else str(size) for size in shape)}{',' * (len(shape) == 1)})"


def _rebuilt(
    name: str,
    inputs: tuple[Value, ...],
    outputs: tuple[Value, ...],
    nodes: tuple[Node, ...],
    constants: dict[str, Array],
) -> Graph:
    held = {key: frozen_array(array) for key, array in constants.items()}
    return Graph(name, inputs, outputs, nodes, Constants(held))


def _shown(value: Any) -> str:
    if isinstance(value, Graph):
        return f"<network {value.name}: {len(value.nodes)} nodes>"
    if isinstance(value, np.ndarray):
        return f"<{value.dtype}{described_shape(value.shape)}>" if value.size > 8 else repr(value.tolist())
    if isinstance(value, tuple):
        return f"({', '.join(map(_shown, value))}{',' * (len(value) == 1)})"
    return repr(value)
