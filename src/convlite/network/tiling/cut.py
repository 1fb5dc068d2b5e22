"""A network cut into windows: the network that computes one window of the whole run's outputs.

    whole run's graph and shapes --rules--> roles of every axis
    a window of the outputs --backwards, one role at a time--> windows of all values --forwards--> a graph

The windows along rows do not depend on those along columns, so that a grid of tiles needs as many ways back
as it has rows and columns. Tiles whose ways look the same share one graph, and so one program.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from ..constants import entry_of
from ..facts import Fact
from ..graph import Array, Graph, Node, Value, described_shape
from ..kinds import named
from . import moves as _moves
from . import windows as _windows
from .moves import slice_node
from .rule import ROLES, RULES, Back, Local, Look, Refused, Roles, Rule, Window

__all__ = ["Cut", "Way", "cut_network"]

FAMILIES = (_moves, _windows)


@dataclass(frozen=True, slots=True)
class Way:
    """The windows of all values along one role that some windows of the outputs need.

    held: of each value, the places that are computed. steps: of each node that takes part. source: the places
    of the input. wanted: of each output. key: the same for ways that one graph serves.
    """

    held: Mapping[str, Window]
    steps: Mapping[int, Back]
    source: Window
    wanted: Mapping[str, Window]
    key: tuple[Any, ...]


class Cut:
    """A network's graph for one shape of its input, and what its rules say of it."""

    def __init__(self, graph: Graph, facts: Mapping[str, Fact], roles: Roles, aligned: bool) -> None:
        self.graph, self.facts = graph, facts
        self.input = graph.inputs[0]
        self.roles: dict[str, Roles] = {self.input.name: roles}
        self.scales: dict[str, dict[int, Fraction]] = {
            self.input.name: {role: Fraction(1) for role in roles if role is not None}
        }
        self.rules: dict[int, Rule] = {}
        for number, node in enumerate(graph.nodes):
            if any(self.roles.get(name) for name in node.inputs):
                try:
                    self._follow(number, node, aligned)
                except Refused as error:
                    error.reached = number
                    raise
        for value in graph.outputs:
            missing = set(self.used) - set(self.roles.get(value.name, ()))
            if missing:
                lost = ROLES[min(role for role in missing if role is not None)]
                refused = Refused(f"the output {value.name!r} has no {lost} that follow the image's")
                refused.reached = len(graph.nodes)
                raise refused

    @property
    def used(self) -> tuple[int, ...]:
        """The roles that are cut."""
        return tuple(sorted(role for role in self.roles[self.input.name] if role is not None))

    def _follow(self, number: int, node: Node, aligned: bool) -> None:
        look = Look(node, self.facts, self.graph.constants, self.roles, aligned)
        if node.kind not in RULES:
            look.refuse("is of a kind that needs all of the image, as far as is known")
        found = self.rules[number] = RULES[node.kind](look)
        for name, axes in zip(node.inputs, found.cut, strict=True):
            if any(role is not None and role not in axes for role in self.roles.get(name, ())):
                look.refuse(f"takes its input {name!r} from the image")
        before: dict[int, Fraction] = {}
        for name in node.inputs:
            before = {**self.scales.get(name, {}), **before}
        for name, roles in zip(node.outputs, found.roles, strict=False):
            if name:
                self.roles[name] = roles
                self.scales[name] = {
                    role: scale * found.scale.get(role, 1) for role, scale in before.items() if role in roles
                }

    def size(self, name: str, role: int) -> int:
        """Of a value along a role, in the whole run."""
        shape = self.facts[name].shape
        assert shape is not None
        size = shape[self.roles[name].index(role)]
        assert isinstance(size, int)
        return size

    def alignment(self, role: int) -> int:
        """The number of input places of which a tile is a multiple: the strides, taken together."""
        found = 1
        for scales in self.scales.values():
            scale = scales.get(role)
            if scale is not None and scale.denominator <= 4096:
                found = int(np.lcm(found, scale.denominator))
        return found

    def way(self, role: int, wanted: Mapping[str, Window]) -> Way:
        """The windows that these windows of the outputs need."""
        need: dict[str, Window] = dict(wanted)
        steps: dict[int, Back] = {}
        held: dict[str, Window] = {}
        for number in range(len(self.graph.nodes) - 1, -1, -1):
            node, rule = self.graph.nodes[number], self.rules.get(number)
            asked = [need[name] for name in node.outputs if name in need]
            if rule is None or not asked:
                continue
            step = rule.window(role, min(lo for lo, _ in asked), max(hi for _, hi in asked))
            steps[number] = step
            held.update((name, (step.lo, step.hi)) for name in node.outputs if name)
            for name, window in zip(node.inputs, step.needs, strict=True):
                if window is not None and role in (self.roles.get(name) or ()):
                    lo, hi = need.get(name, window)
                    need[name] = min(lo, window[0]), max(hi, window[1])
        source = held[self.input.name] = need.get(self.input.name, (0, self.size(self.input.name, role)))
        return Way(held, steps, source, dict(wanted), self._key(held, steps, wanted))

    def _key(
        self, held: Mapping[str, Window], steps: Mapping[int, Back], wanted: Mapping[str, Window]
    ) -> tuple[Any, ...]:
        """What the graph depends on: sizes, and where operands lie within what is held."""
        parts: list[Any] = []
        for number, step in steps.items():
            offsets = []
            for name, window in zip(self.graph.nodes[number].inputs, step.needs, strict=True):
                if window is not None:
                    start = held[name][0] if name in held else 0
                    offsets.append((window[0] - start, window[1] - start))
            parts.append((number, step.hi - step.lo, tuple(offsets), _hashable(step.how)))
        ends = [(name, lo - held[name][0], hi - lo) for name, (lo, hi) in wanted.items()]
        return (*parts, *ends)

    def network(self, ways: Mapping[int, Way]) -> Graph:
        """The graph that computes the outputs' windows from the input's."""
        return _Maker(self, ways).graph()


def _hashable(how: Any) -> Any:
    if isinstance(how, np.ndarray):
        return how.shape, how.tobytes()
    return tuple(_hashable(part) for part in how) if isinstance(how, tuple) else how


class _Maker:
    """One graph in the making."""

    def __init__(self, cut: Cut, ways: Mapping[int, Way]) -> None:
        self.cut, self.ways = cut, ways
        self.constants: dict[str, Any] = {}  # arrays, or what stands for them
        self.nodes: list[Node] = []

    def graph(self) -> Graph:
        cut = self.cut
        needed = self._needed()
        for number, node in enumerate(cut.graph.nodes):
            if number in needed:
                self._emit(number, node)
        outputs = []
        for value in cut.graph.outputs:
            windows = {role: way.wanted[value.name] for role, way in self.ways.items()}
            shape = list(self._shape(value.name))
            for role, (lo, hi) in windows.items():
                shape[cut.roles[value.name].index(role)] = hi - lo
            axes = {role: cut.roles[value.name].index(role) for role in windows}
            name = self._sliced(value.name, windows, axes, "")
            outputs.append(Value(name, value.dtype, tuple(shape)))
        for node in self.nodes:
            for name in node.inputs:
                if name in cut.graph.constants:
                    self.constants[name] = entry_of(cut.graph.constants, name)
        for value in outputs:
            if value.name in cut.graph.constants:
                self.constants[value.name] = entry_of(cut.graph.constants, value.name)
        source = Value(cut.input.name, cut.input.dtype, self._shape(cut.input.name))
        return Graph.of([source], outputs, self.nodes, self.constants, name=cut.graph.name)

    def _needed(self) -> set[int]:
        """The nodes that the outputs hang on."""
        producers = {
            name: number for number, node in enumerate(self.cut.graph.nodes) for name in node.outputs
        }
        found: set[int] = set()
        waiting = [value.name for value in self.cut.graph.outputs]
        while waiting:
            number = producers.get(waiting.pop())
            if number is not None and number not in found:
                found.add(number)
                waiting.extend(self.cut.graph.nodes[number].inputs)
        return found

    def _shape(self, name: str) -> tuple[int, ...]:
        """Of a value, cut to what is computed of it."""
        shape = list(self.cut.facts[name].shape or ())
        for axis, role in enumerate(self.cut.roles.get(name, ())):
            if role is not None:
                lo, hi = self.ways[role].held[name]
                shape[axis] = hi - lo
        return tuple(shape)  # type: ignore[arg-type]

    def _constant(self, array: Array) -> str:
        name = f"window constant {len(self.constants)}"
        self.constants[name] = array
        return name

    def _sliced(self, name: str, windows: Mapping[int, Window], axes: Mapping[int, int], label: str) -> str:
        """The name of a value, or of what is sliced from it where it holds more than these windows."""
        cuts = {}
        for role, (lo, hi) in windows.items():
            follows = role in self.cut.roles.get(name, ())
            whole = self.cut.facts[name].shape
            assert whole is not None
            start, stop = self.ways[role].held[name] if follows else (0, whole[axes[role]])
            if (lo, hi) != (start, stop):
                cuts[axes[role]] = lo - start, hi - start, 1
        if not cuts:
            return name
        new = f"{name} window {len(self.nodes)}"
        self.nodes.append(slice_node(name, new, cuts, self._constant, label or name))
        return new

    def _emit(self, number: int, node: Node) -> None:
        rule = self.cut.rules.get(number)
        if rule is None:
            self.nodes.append(node)
            return
        inputs = []
        for place, name in enumerate(node.inputs):
            windows = {}
            for role in rule.cut[place] if name else ():
                window = self.ways[role].steps[number].needs[place]
                if window is not None:
                    windows[role] = window
            inputs.append(self._sliced(name, windows, rule.cut[place], node.label) if windows else name)
        outputs = tuple(self._shape(name) if name else () for name in node.outputs)
        how = {role: way.steps[number].how for role, way in self.ways.items()}
        emitted = rule.emit(Local(node, tuple(inputs), outputs, how, self._constant))
        self.nodes.append(emitted.with_(label=node.label or named(node).split("'")[1]))


def _first_axes(declared: Sequence[Any] | None, rank: int) -> tuple[int, ...]:
    """Where rows may begin: the axis of channels is the one that is declared as a number, if one is."""
    fixed = [isinstance(declared[axis], int) for axis in (1, rank - 1)] if declared else [False, False]
    return (2,) if fixed == [True, False] else (1,) if fixed == [False, True] else (1, 2)


def cut_network(graph: Graph, facts: Mapping[str, Fact], aligned: bool) -> Cut:
    """The network, cut along its images, rows and columns; ValueError names the node that cannot be cut.

    graph, facts: of the whole run, all shapes numbers. Which axes are rows and columns is tried, where the
    input does not declare the number of its channels.
    """
    (value,) = graph.inputs
    shape = facts[value.name].shape
    assert shape is not None
    rank = len(shape)
    if rank not in (3, 4):
        raise ValueError(
            f"the input {value.name!r} must be images (4 axes) or sequences (3 axes) to be cut into tiles; "
            f"it has the shape {described_shape(shape)}"
        )
    if 0 in shape:
        raise ValueError(f"there is nothing to cut: x has the shape {described_shape(shape)}")
    tried: list[Refused] = []
    for first in _first_axes(value.shape, rank):
        roles: list[int | None] = [0 if shape[0] != 1 else None, *(None,) * (rank - 1)]
        for axis in range(rank - 2):
            role = axis + 1 if rank == 4 else 2
            roles[first + axis] = role
        try:
            return Cut(graph, facts, tuple(roles), aligned)
        except Refused as error:
            tried.append(error)
    reason = max(tried, key=lambda error: error.reached)
    raise ValueError(f"the network {graph.name!r} cannot be cut into tiles: {reason}")
