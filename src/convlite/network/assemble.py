"""From steps on slots to a Program: who owns memory, and where it lies.

Every slot is a view of a root (often itself), and each root has one owner:

    constant   it is there before             input    the caller gives it
    result     made by each call, returned    loose    a step makes it and puts it into the frame
    arena      everything else: a place in the frame's block

Where a concat or a split moves whole channels or rows, one slot may be a view of some of another (slices.py).

A step may write over an operand that nobody reads afterwards (`Lowered.over`), where both are in the arena:
the output's root then becomes a view of the operand's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from .arena import Lifetime, place
from .graph import Graph, Node
from .program import Frame, Lowered, Lowering, Program, Run, Step, View
from .slices import in_place

__all__ = ["assemble"]


def assemble(graph: Graph, low: Lowering, lowered: Sequence[tuple[Node, Lowered]]) -> Program:
    """Decide which slots share memory and which are made by each call, and put the steps together."""
    return _Assembly(graph, low, lowered).program()


class _Assembly:
    def __init__(self, graph: Graph, low: Lowering, lowered: Sequence[tuple[Node, Lowered]]) -> None:
        self.low = low
        self.inputs = tuple(low.slot(value.name) for value in graph.inputs)
        self.outputs = tuple(low.slot(value.name) for value in graph.outputs)
        self.source = {view.slot: view.source for view in low.views}
        lowered = [(node, self._landed(part)) for node, part in lowered]
        self.parts = self._expanded(lowered)
        self.copied, self.results = self._results()
        self.start, self.rows, self.corners = in_place(
            self.parts, low, self.source, self._fixed(), self.results
        )
        self.last: dict[int, int] = {}  # for each root, the last step that reads or writes it
        self.first: dict[int, int] = {}
        for number, (_, part) in enumerate(self.parts):
            for slot in (*part.reads, *part.writes):
                self.last[self.root(slot)] = number
            for slot in part.writes:
                self.first.setdefault(self.root(slot), number)

    def root(self, slot: int) -> int:
        """The slot that owns the memory."""
        while slot in self.source:
            slot = self.source[slot]
        return slot

    def _landed(self, part: Lowered) -> Lowered:
        """What NumPy makes, copied into the arena, so that the core's steps find it where they are bound.

        Not outputs, which are handed out as they are, nor what is known only when it is there.
        """
        known = all(self.low.shapes[slot] is not None and self.low.dtypes[slot] for slot in part.writes)
        ends = {self.root(slot) for slot in self.outputs}
        if not part.loose or part.run is None or not known or ends & {self.root(s) for s in part.writes}:
            return part
        return replace(part, run=_landing(part.run, part.writes), loose=False)

    def _expanded(self, lowered: Sequence[tuple[Node, Lowered]]) -> list[tuple[Node, Lowered]]:
        """The parts that do something, each followed by steps for the views of what it makes itself."""
        self.loose = {
            slot for _, part in lowered for slot in part.writes if part.loose or self.low.shapes[slot] is None
        }
        self.shared: dict[int, int] = {}  # of a reshaped loose slot, the slot whose memory it shows
        waiting: dict[int, list[int]] = {}
        for new, old in self.source.items():
            if self.root(new) in self.loose:
                waiting.setdefault(old, []).append(new)
        parts: list[tuple[Node, Lowered]] = []

        def follow(node: Node, slot: int) -> None:
            for new in waiting.get(slot, ()):
                del self.source[new]
                self.loose.add(new)
                self.shared[new] = self.shared.get(slot, slot)
                shape = self.low.shapes[new]
                assert shape is not None
                parts.append((node, Lowered(_reshape(slot, new, shape), (slot,), (new,), True, (), "view")))
                follow(node, new)

        for node, part in lowered:
            if part.run is not None:
                parts.append((node, part))
            for slot in part.writes:
                follow(node, slot)
        return parts

    def _results(self) -> tuple[tuple[int, ...], set[int]]:
        """(outputs that must be copied, roots that each call makes anew)."""
        copied, results = [], set()
        written = {self.root(slot) for _, part in self.parts for slot in part.writes}
        claimed: set[int] = set()
        for slot in self.outputs:
            root = self.root(slot)
            memory = self.shared.get(root, root)
            if root not in written or memory in claimed:
                copied.append(slot)
            elif root not in self.loose:
                results.add(root)
            claimed.add(memory)
        return tuple(copied), results

    def _fixed(self) -> set[int]:
        """The roots that do not lie in the arena."""
        written = {self.root(slot) for _, part in self.parts for slot in part.writes}
        slots = range(len(self.low.held))
        return self.loose | self.results | set(self.inputs) | {slot for slot in slots if slot not in written}

    def _owned(self) -> set[int]:
        """The roots that lie in the arena."""
        return set(self.first) - self.loose - self.results - set(self.inputs)

    def _overlay(self) -> None:
        """Let outputs take the place of operands that are not needed any more."""
        for number, (_, part) in enumerate(self.parts):
            if len(part.writes) != 1:
                continue
            out = part.writes[0]
            owned = self._owned_now
            if out not in owned or self.first[out] != number:
                continue
            for slot in part.over:
                root = self.root(slot)
                if root in owned and self.last[root] == number and self._bytes(root) == self._bytes(out):
                    self.source[out] = root
                    self.last[root] = max(self.last[root], self.last[out])
                    owned.discard(out)
                    break

    def _bytes(self, slot: int) -> int:
        shape, dtype = self.low.shapes[slot], self.low.dtypes[slot]
        assert shape is not None
        assert dtype is not None
        return math.prod(shape) * dtype.itemsize

    def program(self) -> Program:
        low = self.low
        self._owned_now = self._owned()
        self._overlay()
        held = sorted(self._owned_now)
        lifetimes = [Lifetime(self._bytes(slot), self.first[slot], self.last[slot]) for slot in held]
        offsets, total = place(lifetimes)
        per_call = self.results | set(self.inputs)
        views: dict[bool, list[View]] = {True: [], False: []}
        for new in self._parents_first():
            root = self.root(new)
            if root in per_call or root in self._owned_now:
                shape, dtype = low.shapes[new], low.dtypes[new]
                assert shape is not None
                view = View(
                    *(new, self.source[new], shape, dtype, self.start.get(new, -1)),
                    *(new in self.rows, self.corners.get(new)),
                )
                views[root in per_call].append(view)
        template = list(low.held)
        return Program(
            self._steps(),
            self.inputs,
            self.outputs,
            tuple((slot, *self._described(slot)) for slot in sorted(self.results)),
            tuple(views[True]),
            template,
            tuple((slot, offset, *self._described(slot)) for slot, offset in zip(held, offsets, strict=True)),
            tuple(views[False]),
            total,
            self.copied,
        )

    def _described(self, slot: int) -> tuple[tuple[int, ...], np.dtype[Any]]:
        shape, dtype = self.low.shapes[slot], self.low.dtypes[slot]
        assert shape is not None
        assert dtype is not None
        return shape, dtype

    def _parents_first(self) -> list[int]:
        """The slots that are views, each after the one it views."""
        done: set[int] = set()
        order: list[int] = []

        def visit(slot: int) -> None:
            path = []
            while slot in self.source and slot not in done:
                path.append(slot)
                done.add(slot)
                slot = self.source[slot]
            order.extend(reversed(path))

        for slot in self.source:
            visit(slot)
        return order

    def _steps(self) -> tuple[Step, ...]:
        """The steps, each with the loose slots to drop after it."""
        keep = {self.root(slot) for slot in self.outputs} | set(self.outputs)
        drops: dict[int, list[int]] = {}
        for slot in sorted(self.loose):
            if slot not in keep and slot in self.last:
                drops.setdefault(self.last[slot], []).append(slot)
        steps = []
        for number, (node, part) in enumerate(self.parts):
            assert part.run is not None
            core = part.core and not any(
                self.root(slot) in self.loose for slot in (*part.reads, *part.writes)
            )
            drop = tuple(drops.get(number, ()))
            steps.append(Step(part.run, node, part.how, drop, core and not drop))
        return tuple(steps)


def _landing(run: Run, slots: tuple[int, ...]) -> Run:
    """A step that makes its arrays, and then copies them to where the frame has them."""

    def landed(frame: Frame) -> None:
        homes = [frame[slot] for slot in slots]
        try:
            run(frame)
            for slot, home in zip(slots, homes, strict=True):
                made = frame[slot]
                if made.shape != home.shape or made.dtype != home.dtype:
                    raise ValueError(
                        f"internal error: {made.dtype}{made.shape}, not {home.dtype}{home.shape}"
                    )
                np.copyto(home, made)
        finally:
            for slot, home in zip(slots, homes, strict=True):
                frame[slot] = home

    return landed


def _reshape(source: int, target: int, shape: tuple[int, ...]) -> Run:
    def run(frame: Frame) -> None:
        frame[target] = frame[source].reshape(shape)

    return run
