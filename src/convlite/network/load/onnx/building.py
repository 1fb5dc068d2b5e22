"""A graph in the making: unique names, constants, nodes, and what is known of each value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from convlite.network.facts import Fact
from convlite.network.graph import Array, Dim, Graph, Node, Value, frozen_array
from convlite.network.infer import Memo, remembered
from convlite.network.kinds import KINDS

from .tensors import Refused

__all__ = ["Builder"]

UNKNOWN = Fact(None, None)
_MAX_FACT = 1 << 16  # elements of a value that is computed while loading
_SMALL = 1 << 12  # bytes up to which a known value is a constant at once: no pass has to look at its node


class Builder:
    """Takes nodes one by one; `finished` makes the Graph.

    A builder with a parent makes a sub-graph: what it uses of the parent's values becomes an input of its own
    (`captured`), constants of the parent become its own (the same arrays).

    memo: what is found about nodes is left in it, for the passes that follow.
    """

    def __init__(
        self, parent: Builder | None = None, names: Iterable[str] = (), memo: Memo | None = None
    ) -> None:
        self.parent = parent
        self.memo: Memo = memo if memo is not None else {} if parent is None else parent.memo
        self.nodes: list[Node] = []
        self.constants: dict[str, Array] = {}
        self.facts: dict[str, Fact] = {}
        self.captured: dict[str, str] = {}  # a value of the parent -> the name of the input here
        self.inputs: list[Value] = []
        self._taken: set[str] = set(names)
        self._counts: dict[str, int] = {}
        self._derived: dict[tuple[Any, ...], str] = {}  # arrays made from constants; shared ones stay shared

    # ---- names

    def unique(self, base: str) -> str:
        """A name that no value has: `base` itself, or with a number."""
        name = base or "value"
        while name in self._taken:
            self._counts[base] = self._counts.get(base, 1) + 1
            name = f"{base or 'value'}.{self._counts[base]}"
        self._taken.add(name)
        return name

    # ---- values

    def add_input(self, name: str, dtype: np.dtype[Any], shape: tuple[Dim, ...] | None, fact: Fact) -> None:
        self.inputs.append(Value(name, dtype, shape))
        self.facts[name] = fact

    def add_constant(self, array: Array, base: str = "constant") -> str:
        """A constant under a new name."""
        name = self.unique(base)
        self.constants[name] = array
        return name

    def derived(self, array: Array, source: str, *what: Any) -> str:
        """A constant made from the constant `source` by `what`; asked for again, the same one.

        Transposed weights stay views of the file: whoever packs them copies them (VGG-16, 500 MB, loads
        in 3 s instead of 17).
        """
        key = (source, *what)
        if key not in self._derived:
            self._derived[key] = self.add_constant(frozen_array(array), f"{source}:{what[0]}")
        return self._derived[key]

    def derived_before(self, source: str, *what: Any) -> str | None:
        return self._derived.get((source, *what))

    def fact(self, name: str) -> Fact:
        """What is known of a value; of a constant everything."""
        if name in self.constants:
            return Fact.of(self.constants[name])
        return self.facts.get(name, UNKNOWN)

    def capture(self, name: str) -> str:
        """The name here of a value of the parent's."""
        assert self.parent is not None
        if name in self.captured:
            return self.captured[name]
        if name in self.parent.constants:
            inner = self.captured[name] = self.unique(name)
            self.constants[inner] = self.parent.constants[name]
            return inner
        fact = self.parent.fact(name)
        inner = self.captured[name] = self.unique(name)
        self.facts[inner] = fact
        return inner

    def captures(self) -> list[str]:
        """The values of the parent that are inputs here, constants aside."""
        return [outer for outer, inner in self.captured.items() if inner not in self.constants]

    # ---- nodes

    def add(
        self,
        kind: str,
        inputs: Sequence[str],
        attributes: Mapping[str, Any],
        outputs: Sequence[str],
        label: str,
    ) -> None:
        """One node; its outputs' facts are inferred. ValueError where the inputs do not fit the kind."""
        node = Node(kind, tuple(inputs), tuple(outputs), attributes, label)
        if kind not in KINDS:
            raise Refused(f"the kind {kind!r} is not in the vocabulary yet")
        facts = remembered(node, [self.fact(name) if name else None for name in node.inputs], self.memo)
        if (
            len(facts) == 1 == len(outputs)
            and (known := facts[0].known) is not None
            and known.nbytes <= _SMALL
        ):
            self.constants[outputs[0]] = frozen_array(np.asarray(known))
            return
        self.nodes.append(node)
        for name, fact in zip(outputs, facts, strict=False):
            if name:
                self.facts[name] = _bounded(fact)

    def rename(self, start: int, names: Mapping[str, str]) -> None:
        """Other names for values that nodes from number `start` on write."""
        if not names:
            return
        for number in range(start, len(self.nodes)):
            node = self.nodes[number]
            self.nodes[number] = node.with_(
                inputs=tuple(names.get(name, name) for name in node.inputs),
                outputs=tuple(names.get(name, name) for name in node.outputs),
            )
        for old, new in names.items():
            if old in self.facts:
                self.facts[new] = self.facts.pop(old)

    def finished(self, outputs: Sequence[Value], name: str, extra: Iterable[Value] = ()) -> Graph:
        """The graph of what its outputs need."""
        needed = {value.name for value in outputs}
        kept: list[Node] = []
        for node in reversed(self.nodes):
            if needed.isdisjoint(node.outputs):
                continue
            needed.update(node.inputs)
            kept.append(node)
        constants = {key: array for key, array in self.constants.items() if key in needed}
        return Graph.of([*self.inputs, *extra], outputs, kept[::-1], constants, name=name)


def _bounded(fact: Fact) -> Fact:
    """A fact without data that is too large to keep."""
    if fact.data is not None and fact.data.size > _MAX_FACT:
        return Fact(fact.dtype, fact.shape)
    return fact
