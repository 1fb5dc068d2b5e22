"""Tiles of a whole run: where they lie, what each needs, what it computes, and how much memory that takes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Any

import numpy as np

from ... import _dispatch, _precision, _threads
from ..executor import Executor
from ..facts import Fact
from ..graph import Array
from ..infer import facts_of
from .cut import Cut, Way, cut_network
from .rule import Window
from .windows import winograd_of

__all__ = ["Cells", "Grid", "Tile", "cut_of", "edges_of", "widest"]

MOST_GRAPHS = 32
MOST_CUTS = 4
KEPT = 8 << 20  # bytes that the plans of so many programs take, and memory that was freed but not reused
SCRATCH = 4 << 20  # bytes that the kernels take at most for each thread: transformed tiles, copies of edges


@dataclass(frozen=True, slots=True)
class Tile:
    """One tile: the places of the input that it reads, and of each output that it writes.

    source, targets: for each axis a slice. key: tiles with the same one run on the same program.
    """

    source: tuple[slice, ...]
    targets: tuple[tuple[slice, ...], ...]
    ways: Mapping[int, Way]
    key: tuple[Any, ...]


class Cells:
    """The network cut for one shape of its input, and the programs of its windows.

    aligned: windows of convolutions that take Winograd's form in the whole run begin and end at its tiles, so
    that they have its bits; this makes halos larger.
    """

    def __init__(self, executor: Executor, shape: tuple[int, ...], aligned: bool = False) -> None:
        self.shape, self.fast, self.aligned = shape, _precision.is_fast(), aligned
        self._like = executor
        graph, facts = executor.simplified({executor.graph.inputs[0].name: shape})
        self.cut: Cut = cut_network(graph, facts, aligned)
        self.outputs = tuple(value.name for value in graph.outputs)
        self.output_shapes = tuple(self._shape(facts[name]) for name in self.outputs)
        self.dtypes = tuple(value.dtype for value in graph.outputs)
        self._executors: OrderedDict[tuple[Any, ...], Executor] = OrderedDict()
        self._lock = threading.Lock()
        self._last: Executor | None = None

    @staticmethod
    def _shape(fact: Fact) -> tuple[int, ...]:
        assert fact.concrete
        return fact.shape  # type: ignore[return-value]

    def size(self, role: int) -> int:
        """Of the input along a role."""
        return self.cut.size(self.cut.input.name, role)

    def window(self, name: str, role: int, lo: int, hi: int) -> Window:
        """The places of an output that belong to the places lo..hi of the input; the last have the rest."""
        scale, size = self.cut.scales[name][role], self.cut.size(name, role)
        ends = [min(size, place * scale.numerator // scale.denominator) for place in (lo, hi)]
        return ends[0], size if hi == self.size(role) else ends[1]

    def tile(self, ways: Mapping[int, Way]) -> Tile:
        """A tile of one way for each role."""

        def place(name: str, windows: Mapping[int, Window], rank: int) -> tuple[slice, ...]:
            roles = self.cut.roles[name]
            return tuple(
                slice(*windows[role]) if role is not None else slice(0, None)
                for role in (roles[axis] for axis in range(rank))
            )

        source = place(self.cut.input.name, {r: way.source for r, way in ways.items()}, len(self.shape))
        targets = tuple(
            place(name, {role: way.wanted[name] for role, way in ways.items()}, len(shape))
            for name, shape in zip(self.outputs, self.output_shapes, strict=True)
        )
        return Tile(source, targets, ways, tuple(ways[role].key for role in self.cut.used))

    def executor(self, tile: Tile) -> Executor:
        """What runs a tile."""
        key = (tile.key, _dispatch.active_isa())
        with self._lock:
            found = self._executors.get(key)
            if found is None:
                while len(self._executors) >= MOST_GRAPHS:
                    self._executors.popitem(last=False)
                found = self._executors[key] = Executor(self.cut.network(tile.ways), self._like)
            self._executors.move_to_end(key)
            return found

    def run(self, tile: Tile, x: Array) -> tuple[Array, ...]:
        """The outputs' windows from the input's."""
        return self.executor(tile).run([np.ascontiguousarray(x)])

    def forget(self) -> None:
        """Give back the memory of all programs."""
        with self._lock:
            for executor in self._executors.values():
                executor.release()

    def give_back(self, tile: Tile) -> None:
        """Give back the arena of a tile's program."""
        executor = self.executor(tile)
        (value,) = executor.graph.inputs
        executor.program((value.shape,)).release()  # type: ignore[arg-type]

    def peak(self, tile: Tile) -> int:
        """Bytes that a tile takes: what is read, a copy, the arena, what is written, scratch."""
        executor = self.executor(tile)
        graph = executor.graph
        (source,) = graph.inputs
        program = executor.program((source.shape,))  # type: ignore[arg-type]
        sizes = [2 * _bytes(source.shape, source.dtype)]
        sizes += [_bytes(value.shape, value.dtype) for value in graph.outputs]
        facts = facts_of(graph)
        for step in program.steps:
            if step.how == "NumPy":  # the definitions compute in float64
                sizes += [4 * _bytes(facts[name].shape, facts[name].dtype) for name in step.node.outputs]
        return program.arena_bytes + sum(sizes) + KEPT + SCRATCH * _threads.get_num_threads()

    def same_forms(self, tile: Tile) -> bool:
        """Whether each convolution of a tile takes the form that it has in the whole run."""
        if not self.fast:
            return True
        graph = self.executor(tile).graph
        facts, wholes = facts_of(graph), self.cut.graph.producers()
        for node in graph.nodes:
            if node.kind in ("conv", "conv_transpose"):
                whole = winograd_of(wholes[node.outputs[0]], self.cut.facts)
                aligned = self.aligned and node.kind == "conv"
                if winograd_of(node, facts) != whole or (whole != (0, 0) and not aligned):
                    return False
        return True


def _bytes(shape: Any, dtype: np.dtype[Any] | None) -> int:
    assert dtype is not None
    return int(np.prod(shape, dtype=np.int64)) * dtype.itemsize


def cut_of(executor: Executor, shape: tuple[int, ...], aligned: bool = False) -> Cells:
    """The network cut for this shape under the precision in force; the last few are kept."""
    key = (shape, _precision.is_fast(), aligned)
    with executor.lock:
        found: Cells | None = executor.cuts.get(key)
        if found is None:
            found = Cells(executor, shape, aligned)
            while len(executor.cuts) >= MOST_CUTS:
                executor.cuts.popitem(last=False)
            executor.cuts[key] = found
        return found


def edges_of(cells: Cells, role: int, step: int) -> list[int]:
    """Where tiles of `step` places begin along a role, and the end; none of them without outputs."""
    size, edges = cells.size(role), [0]
    for place in range(step, size, step):
        before = edges[-1]
        if all(
            cells.window(name, role, before, place)[0] < cells.window(name, role, before, place)[1]
            and cells.window(name, role, place, size)[0] < cells.cut.size(name, role)
            for name in cells.outputs
        ):
            edges.append(place)
    return [*edges, size]


def widest(cells: Cells, role: int, step: int) -> Way:
    """The way that reads most, of the first stretches of `step` places, the last, and one in the middle."""
    size = cells.size(role)
    last = (size - 1) // step * step
    places = {0, step, 2 * step, size // 2 // step * step, last - step, last}
    ways = []
    for lo in sorted(place for place in places if 0 <= place < size):
        windows = {name: cells.window(name, role, lo, min(size, lo + step)) for name in cells.outputs}
        if all(first < end for first, end in windows.values()):
            ways.append(cells.cut.way(role, windows))
    if not ways:  # too few outputs: a tile of this size has none
        return cells.cut.way(role, {name: cells.window(name, role, 0, size) for name in cells.outputs})
    return max(ways, key=lambda way: way.source[1] - way.source[0])


class Grid:
    """The tiles of a run: along each role its edges, and the way of each stretch between them."""

    def __init__(self, cells: Cells, edges: Mapping[int, Sequence[int]]) -> None:
        self.cells, self.edges = cells, edges
        self.ways: dict[int, list[Way]] = {}
        for role, ends in edges.items():
            self.ways[role] = [
                cells.cut.way(role, {name: cells.window(name, role, lo, hi) for name in cells.outputs})
                for lo, hi in pairwise(ends)
            ]

    def __len__(self) -> int:
        return int(np.prod([len(ways) for ways in self.ways.values()], dtype=np.int64))

    def __iter__(self) -> Iterator[Tile]:
        """Image by image, row by row, from left to right."""
        roles = sorted(self.ways)
        for chosen in product(*(self.ways[role] for role in roles)):
            yield self.cells.tile(dict(zip(roles, chosen, strict=True)))

    def halo(self, role: int) -> tuple[int, int]:
        """The most that a tile reads before and behind its own places."""
        before, behind = 0, 0
        ends = self.edges[role]
        for way, lo, hi in zip(self.ways[role], ends, ends[1:], strict=False):
            before, behind = max(before, lo - way.source[0]), max(behind, way.source[1] - hi)
        return before, behind

    def largest(self) -> Tile:
        """The tile that reads most."""
        return self.cells.tile(
            {
                role: max(ways, key=lambda way: way.source[1] - way.source[0])
                for role, ways in self.ways.items()
            }
        )

    def kinds(self) -> Iterator[Tile]:
        """One tile for each program."""
        distinct = {role: list({way.key: way for way in ways}.values()) for role, ways in self.ways.items()}
        roles = sorted(distinct)
        for chosen in product(*(distinct[role] for role in roles)):
            yield self.cells.tile(dict(zip(roles, chosen, strict=True)))
