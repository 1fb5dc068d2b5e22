"""A graph that can be called with arrays: programs by the shapes of the inputs, made when they are needed."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .. import _dispatch, _precision
from .._locks import fork_lock
from .._memory import Room
from .assemble import assemble
from .collector import uncollected
from .constants import Away, Constants, is_there
from .facts import Fact
from .graph import Array, Graph
from .infer import Memo, facts_of, facts_of_rows, open_facts
from .kinds import named
from .lower import lower_node
from .passes import fuse_residuals, passed
from .program import Lowering, Program

__all__ = ["Executor"]

_MOST_PROGRAMS = 8
_LEAST_AWAY = 1 << 14  # bytes of a kernel that is kept as panels only
_OF_KERNELS = frozenset(("conv", "conv_transpose", "dense", "matmul"))
FAULTS = (TypeError, KeyError, IndexError, AttributeError, AssertionError, ArithmeticError)


class Executor:
    """Runs a graph whose nodes are fused already.

    Programs are kept for the eight sets of shapes that were used last. Making one happens under a lock,
    running one does not. Weights are packed once for all of them.
    """

    def __init__(self, graph: Graph, like: Executor | None = None) -> None:
        """like: an executor whose packed weights serve this one too, and whose bits it gives: this graph is a
        window of that one. A constant that one row of it is left of must not be folded into a kernel here."""
        self.graph = graph
        self._rounding = like is None
        self._programs: OrderedDict[tuple[Any, ...], Program] = OrderedDict()
        self._open: dict[str, Fact] = {}  # what is known of values for any number of rows
        self._packed: dict[Any, Any] = {} if like is None else like._packed
        self.cuts: OrderedDict[tuple[Any, ...], Any] = OrderedDict()  # plans of tiles, by the image's shape
        self.lock = fork_lock()

    def run(self, arrays: Sequence[Array]) -> tuple[Array, ...]:
        """The outputs for C-contiguous inputs of the declared dtypes."""
        return self.program(tuple([array.shape for array in arrays])).run(arrays)

    def plan_declared(self, facts: dict[str, Fact] | None = None) -> None:
        """Make the program now where the inputs' shapes are fixed; facts: what is known of the values."""
        inputs = self.graph.inputs
        if all(Fact.of_value(value).concrete for value in inputs):
            shapes: Any = tuple(value.shape for value in inputs)
            arrays = [np.empty(shape, value.dtype) for shape, value in zip(shapes, inputs, strict=True)]
            self.program(shapes, facts).bind(arrays)
        elif facts is not None:
            self._open = open_facts(self.graph, facts)

    def program(self, shapes: tuple[tuple[int, ...], ...], facts: dict[str, Fact] | None = None) -> Program:
        """The program for inputs of these shapes, under the instruction set and precision in force."""
        key = (shapes, _dispatch.active_isa(), _precision.is_fast())
        program = self._programs.get(key)
        if program is not None:
            try:  # noqa: SIM105 - suppress() takes nine times as long
                self._programs.move_to_end(key)
            except KeyError:  # another thread has removed it meanwhile
                pass
            return program
        with self.lock:
            program = self._programs.get(key)
            if program is None:
                with uncollected():
                    program = self._made(shapes, facts)
                while len(self._programs) >= _MOST_PROGRAMS:
                    self._programs.popitem(last=False)
                self._programs[key] = program
        return program

    def last_shapes(self) -> tuple[tuple[int, ...], ...] | None:
        """The inputs' shapes of the program that was used last; None before the first one."""
        with self.lock:
            return next(reversed(self._programs))[0] if self._programs else None

    def prepared(
        self, by_name: Mapping[str, Sequence[int]], facts: dict[str, Fact] | None = None
    ) -> tuple[Graph, dict[str, Fact]]:
        """The graph that runs for inputs of these shapes, and what is known of its values; facts: what is
        known already."""
        graph, facts = self.simplified(by_name, facts)
        return fuse_residuals(graph, facts), facts

    def simplified(
        self, by_name: Mapping[str, Sequence[int]], facts: dict[str, Fact] | None = None
    ) -> tuple[Graph, dict[str, Fact]]:
        """`prepared` before the passes that must run last: what tiles are cut from, which run these passes
        themselves. Branches and loops went through them when the graph was made."""
        graph, memo = self.graph, Memo()
        if facts is None:
            facts = facts_of_rows(graph, self._open, by_name) or facts_of(graph, by_name, memo)
        if any(facts[name].known is not None for node in graph.nodes for name in node.outputs if name):
            try:
                # sizes are known now, so more can be simplified
                graph, facts = passed(graph, by_name, self._rounding, memo)
            except FAULTS as error:
                raise ValueError(f"the network {graph.name!r} cannot be prepared: {error!r}") from error
        return graph, facts

    def _made(self, shapes: tuple[tuple[int, ...], ...], facts: dict[str, Fact] | None) -> Program:
        names = (value.name for value in self.graph.inputs)
        graph, facts = self.prepared(dict(zip(names, shapes, strict=True)), facts)
        low = Lowering(facts, Constants(graph.constants), self._packed)
        kernels = {node.inputs[1] for node in graph.nodes if node.kind in _OF_KERNELS}
        low.room = Room([getattr(low.constants.entry(name), "nbytes", 0) for name in kernels])
        kept = {name for node in graph.nodes if node.kind not in _OF_KERNELS for name in node.inputs}
        kept.update(value.name for value in graph.outputs)
        lowered = []
        for node in graph.nodes:
            try:
                lowered.append((node, lower_node(node, low)))
            except FAULTS as error:  # invalid attributes, from a file that no importer wrote
                raise ValueError(f"{named(node)} cannot be prepared: {error!r}") from error
            self._put_away(graph, low, kept)
        return assemble(graph, low, lowered)

    def _put_away(self, graph: Graph, low: Lowering, kept: set[str]) -> None:
        """Keep large kernels that were packed just now as panels only: the next ones take their place.

        Not what nodes of other kinds read as well (kept), nor where tiles share the arrays.
        """
        while low.spare:
            name, key = low.spare.pop()
            entry, packed = low.packed[key]
            shared = name in kept or name in low.names or not self._rounding or self.cuts
            if shared or entry.nbytes < _LEAST_AWAY or not packed._let_go() or not is_there(entry):
                continue
            away = Away(packed, entry.shape, entry.dtype)
            low.packed[key] = (away, packed)
            low.facts[name] = Fact(entry.dtype, entry.shape)
            for constants in (self.graph.constants, graph.constants, low.constants):
                if isinstance(constants, Constants) and constants.entry(name) is entry:
                    constants.put_away(name, away)

    def release(self) -> None:
        """Forget the programs and give their memory back; weights stay packed."""
        with self.lock:
            for program in self._programs.values():
                program.release()
            self._programs.clear()
            self.cuts.clear()

    def __getstate__(self) -> dict[str, Any]:
        return {"graph": self.graph}

    def __setstate__(self, state: dict[str, Any]) -> None:
        Executor.__init__(self, state["graph"])
