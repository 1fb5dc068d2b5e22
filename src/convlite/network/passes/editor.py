"""A graph under change: what a pass works on between one frozen Graph and the next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from operator import is_
from typing import Any

import numpy as np

from ..constants import Draft
from ..facts import Fact
from ..graph import Array, Graph, Node, frozen_array

__all__ = ["Editor"]


class Editor:
    """Nodes that can be added, removed and rewired; `graph()` gives the frozen result.

    Nodes are known by number. Whoever writes a new value says what is known of it (`facts`), so that later
    steps of the same pass may ask.
    """

    def __init__(self, graph: Graph, facts: Mapping[str, Fact]) -> None:
        self._source = graph
        self.facts: dict[str, Fact] = dict(facts)
        self.constants = Draft(graph.constants)
        self.nodes: dict[int, Node] = {}
        self._producer: dict[str, int] = {}
        self._readers: dict[
            str, dict[int, None]
        ] = {}  # ordered sets, so that results do not depend on hashes
        self.outputs = {value.name for value in graph.outputs}
        self.inputs = {value.name for value in graph.inputs}
        self._taken = self.inputs | set(self.constants)
        self._serial = 0
        self._order: list[int] | None = None
        for node in graph.nodes:
            self.insert(node)
        self._changed = False

    # ---- questions ----

    def order(self) -> list[int]:
        """The numbers of the nodes, each after those it reads from."""
        if self._order is None:
            self._order = self._sorted()
        return list(self._order)

    def _sorted(self) -> list[int]:
        done: set[int] = set()
        result: list[int] = []
        producer = self._producer
        for start, node in self.nodes.items():
            if start in done:
                continue
            for name in node.inputs:
                before = producer.get(name, start)
                if before != start and before not in done:
                    break
            else:  # nearly always
                done.add(start)
                result.append(start)
                continue
            stack = [start]
            while stack:
                number = stack[-1]
                if number in done:
                    stack.pop()
                    continue
                waits = []
                for name in self.nodes[number].inputs:
                    before = producer.get(name, number)
                    if before != number and before not in done:
                        waits.append(before)
                if waits:
                    stack.extend(waits)
                else:
                    stack.pop()
                    done.add(number)
                    result.append(number)
        return result

    def producer(self, name: str) -> Node | None:
        """The node that writes a value; None for inputs and constants."""
        number = self._producer.get(name)
        return None if number is None else self.nodes[number]

    def number(self, name: str) -> int:
        """The number of the node that writes a value."""
        return self._producer[name]

    def readers(self, name: str) -> list[int]:
        """The nodes that read a value."""
        return list(self._readers.get(name, ()))

    def only_reader(self, name: str) -> Node | None:
        """The one node that reads a value, where there is just one and the value is no output."""
        readers = self._readers.get(name, {})
        return self.nodes[next(iter(readers))] if len(readers) == 1 and name not in self.outputs else None

    def constant(self, name: str) -> Array | None:
        """The value of a constant, None for all else."""
        return self.constants.get(name)

    def scalar(self, name: str) -> float | None:
        """The value of a constant of one element."""
        array = self.constants.get(name)
        return float(array.reshape(-1)[0]) if array is not None and array.size == 1 else None

    def shape(self, name: str) -> tuple[Any, ...] | None:
        """What is known of a shape: None, or sizes of which some are not ints."""
        fact = self.facts.get(name)
        return None if fact is None else fact.shape

    def rank(self, name: str) -> int | None:
        """The number of axes, where it is known."""
        shape = self.shape(name)
        return None if shape is None else len(shape)

    def is_float(self, name: str) -> bool:
        """Whether a value is of floats."""
        dtype = self.facts[name].dtype
        return dtype is not None and dtype.kind == "f"

    def of_kind(self, *kinds: str) -> Iterator[tuple[int, Node]]:
        """The nodes of some kinds, those that are still there when their turn comes."""
        for number in self.order():
            node = self.nodes.get(number)
            if node is not None and node.kind in kinds:
                yield number, node

    # ---- changes ----

    def fresh(self, stem: str) -> str:
        """A name that is not in use."""
        name = stem
        while name in self._taken:
            self._serial += 1
            name = f"{stem}.{self._serial}"
        self._taken.add(name)
        return name

    def add_constant(self, stem: str, value: Array) -> str:
        """A new constant, in C order; its name."""
        return self.hold_constant(stem, np.ascontiguousarray(value) if value.ndim else value)

    def hold_constant(self, stem: str, value: Array) -> str:
        """A new constant in the order that it has; its name."""
        name = self.fresh(stem)
        self.constants[name] = frozen_array(value)
        self.facts[name] = Fact(value.dtype, value.shape, self.constants[name])
        return name

    def add(
        self, kind: str, inputs: tuple[str, ...], fact: Fact, /, label: str = "", **attributes: Any
    ) -> str:
        """A new node with one output; the output's name."""
        name = self.fresh(f"{inputs[0]}.{kind}" if inputs else kind)
        self.insert(Node(kind, inputs, (name,), attributes, label))
        self.facts[name] = fact
        return name

    def remove(self, number: int) -> None:
        """Take a node out; nobody may read what it wrote."""
        node = self.nodes.pop(number)
        self._order, self._changed = None, True
        for name in node.inputs:
            if name and node.inputs and name in self._readers:
                self._readers[name].pop(number, None)
        for name in node.outputs:
            if name and self._producer.get(name) == number:
                del self._producer[name]

    def change(self, number: int, **fields: Any) -> Node:
        """Replace fields of a node; the new node."""
        node = self.nodes[number].with_(**fields)
        self.remove(number)
        self.insert(node, number)
        return node

    def replace(self, old: str, new: str) -> str:
        """Let everyone who reads `old` read `new`. The node that wrote `old` may then be dead.

        Where `old` is an output of the graph, the node that writes `new` writes `old` instead, since outputs
        keep their names; if that cannot be (new is an input, a constant, another output), an `identity`
        stays. The name that the value of `new` has now.
        """
        for reader in self.readers(old):
            node = self.nodes[reader]
            self.change(reader, inputs=tuple(new if name == old else name for name in node.inputs))
        if old not in self.outputs:
            return new
        writer = self._producer.get(old)
        if writer is not None:  # no node writes its output now
            node = self.nodes[writer]
            if node.kind == "identity" and node.inputs == (new,):
                return new
            spare = self.fresh(f"{old}.before")
            self.facts[spare] = self.facts[old]
            self.change(writer, outputs=tuple(spare if name == old else name for name in node.outputs))
        if new in self._producer and new not in self.outputs:
            number = self._producer[new]
            node = self.nodes[number]
            self.change(number, outputs=tuple(old if name == new else name for name in node.outputs))
            for reader in self.readers(new):
                inputs = self.nodes[reader].inputs
                self.change(reader, inputs=tuple(old if name == new else name for name in inputs))
            return old
        self.insert(Node("identity", (new,), (old,)))
        return new

    def sweep(self) -> None:
        """Remove the nodes whose outputs nobody reads, and the constants that are left alone."""
        unread = [number for number in self.nodes if self._unread(number)]
        while unread:
            number = unread.pop()
            names = self.nodes[number].inputs
            self.remove(number)
            writers = {self._producer[name] for name in names if name in self._producer}
            unread.extend(writer for writer in writers if self._unread(writer))
        for name in list(self.constants):
            if not self._readers.get(name) and name not in self.outputs:
                del self.constants[name]
                self._changed = True

    def _unread(self, number: int) -> bool:
        for name in self.nodes[number].outputs:
            if name and (self._readers.get(name) or name in self.outputs):
                return False
        return True

    def graph(self) -> Graph:
        """The frozen result, without what nobody reads; the graph that was given where nothing changed."""
        if not self._changed:
            return self._source
        self.sweep()
        nodes = tuple(self.nodes[number] for number in self.order())
        source = self._source
        same = len(nodes) == len(source.nodes) and all(map(is_, nodes, source.nodes))
        if same and self.constants.keys() == source.constants.keys():
            return source
        return source.with_(nodes=nodes, constants=self.constants)

    def insert(self, node: Node, number: int | None = None) -> None:
        """Put a node in, under a number of its own unless one is given."""
        if number is None:
            self._serial += 1
            number = self._serial
            while number in self.nodes:
                self._serial += 1
                number = self._serial
        self.nodes[number] = node
        self._order, self._changed = None, True
        for name in node.inputs:
            if name:
                self._readers.setdefault(name, {})[number] = None
        for name in node.outputs:
            if name:
                self._producer[name] = number
                self._taken.add(name)
